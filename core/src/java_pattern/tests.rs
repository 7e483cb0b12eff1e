//! Laws of the patterns: what is refused, and that nothing is refused or matched by chance.

use super::*;

fn matches(java: &str, text: &str) -> bool {
    JavaPattern::of_whole(java).expect("a pattern").is_match(text).expect("a cheap pattern")
}

fn finds(java: &str, text: &str) -> bool {
    JavaPattern::of_part(java).expect("a pattern").is_match(text).expect("a cheap pattern")
}

fn fault(java: &str) -> PatternFault {
    JavaPattern::of_whole(java).expect_err(java).fault
}

#[test]
fn what_differs_between_the_dialects_has_the_meaning_of_java() {
    for (pattern, text, want) in [
        // Possessive: the engine's own grammar takes `a++` for a repetition of `a+`.
        ("a++a", "aaa", false),
        ("a{1,2}+a", "aa", false),
        ("(?>a|ab)c", "abc", false),
        // ASCII classes.
        (r"\d", "٣", false),
        (r"\w", "é", false),
        (r"\W", "é", true),
        (r"\s", "\u{a0}", false),
        (r"\v", "\n", true),
        (r"\h", "\u{a0}", true),
        // A literal '<' and '-', where the engine has word boundaries and differences.
        (r"\<a\>", "<a>", true),
        ("[+--]", ",", true),
        ("[a~~b]", "~", true),
        ("(?i)k", "\u{212a}", false),
        ("(?i)k", "K", true),
        ("(?i)[^k]", "K", false),
        ("(?i:a)b", "AB", false),
        (".", "\u{85}", false),
        ("(?s).", "\u{85}", true),
        ("a$", "a", true),
        (r"a$\n", "a\n", true),
        (r"a\r$\n", "a\r\n", false),
        (r"\Qa.b*\E*", "a.b**", true),
        ("(?!admin|local).*", "administration.x", false),
        ("(?!admin|local).*", "shop.x", true),
        ("", "", true),
        ("a||b", "", true),
    ] {
        assert_eq!(matches(pattern, text), want, "{pattern} {text:?}");
    }
}

#[test]
fn a_part_is_found_where_java_finds_one() {
    for (pattern, text, want) in [
        ("b", "abc", true),
        ("^b", "abc", false),
        ("c$", "abc", true),
        ("^a|c$", "xc", true),
        ("a++a", "xaaa", false),
        ("(?<=shop\\.)orders", "shop.orders", true),
        ("(?<!shop\\.)orders", "shop.orders", false),
        // A library that searches may take these for words and letters of every script.
        (r"^\w+\.\d$", "é.3", false),
        ("(?i)É", "é", false),
        ("", "", true),
    ] {
        assert_eq!(finds(pattern, text), want, "{pattern} {text:?}");
    }
    assert_ne!(JavaPattern::of_part("a"), JavaPattern::of_whole("a"));
}

#[test]
fn a_fault_is_told_as_java_does() {
    let text = |java: &str| JavaPattern::of_part(java).expect_err(java).to_string();
    assert_eq!(text("(a"), "Unclosed group near index 2\n(a");
    assert_eq!(text("*a"), "Dangling meta character '*' near index 0\n*a\n^");
    assert!(text(r"x\bshop").starts_with("not supported by this version: "));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for pattern in [
        "[a[b]]",
        "[a&&b]",
        r"\bx",
        r"(a)\1",
        r"(?<n>a)\k<n>",
        r"\p{L}",
        r"\pL",
        r"\p{IsLatin}",
        "(?u)a",
        "(?x)a",
        "(?m)a",
        "(?U)a",
        r"\R",
        r"\X",
        r"\01",
        r"\cA",
        r"\N{DASH}",
        "^*",
        "(?=a)+",
        r"\uD83D\uDE00",
        r"[\Qa\E]",
        "a{1001}",
        r"(?i)\p{Lower}",
        "[]a]",
    ] {
        let fault = fault(pattern);
        assert!(matches!(fault, PatternFault::Unsupported(_)), "{pattern}: {fault:?}");
    }
    assert_eq!(
        JavaPattern::of_whole("(?<=a*)b").expect_err("one length only").fault,
        PatternFault::Unsupported("a look-behind of more than one length".to_owned())
    );
    assert_eq!(fault(&"(".repeat(100)), PatternFault::TooLarge);
}

#[test]
fn what_java_refuses_is_refused() {
    for (pattern, want) in [
        ("(a", PatternFault::Unclosed("group")),
        ("[a", PatternFault::Unclosed("character class")),
        (r"a\", PatternFault::Unclosed("escape")),
        ("a{2", PatternFault::Unclosed("counted closure")),
        (r"\x4", PatternFault::Unclosed("hexadecimal escape")),
        ("a)", PatternFault::UnmatchedClose),
        ("*a", PatternFault::Dangling('*')),
        ("a**", PatternFault::Dangling('*')),
        ("a+++", PatternFault::Dangling('+')),
        ("a{}", PatternFault::Repetition),
        ("a{,2}", PatternFault::Repetition),
        ("a{3,2}", PatternFault::Repetition),
        ("[b-a]", PatternFault::Range),
        (r"\y", PatternFault::Escape),
    ] {
        assert_eq!(fault(pattern), want, "{pattern}");
    }
}

/// Every character that `java.util.regex` has in a class, and no other.
#[test]
fn a_class_has_the_characters_of_java() {
    let golden = include_str!("../../tests/golden/character_classes.tsv");
    for line in golden.lines() {
        let (java, ranges) = line.split_once('\t').expect("two columns");
        let hex = |text: &str| u32::from_str_radix(text, 16).expect("hexadecimal");
        let ranges: Vec<(u32, u32)> = ranges
            .split(' ')
            .map(|range| range.split_once('-').map(|(a, b)| (hex(a), hex(b))).expect("a range"))
            .collect();
        let pattern = JavaPattern::of_whole(java).expect("a class");
        let (mut text, mut rest) = (String::new(), ranges.as_slice());
        for character in '\0'..=char::MAX {
            while let [(_, last), behind @ ..] = rest
                && *last < u32::from(character)
            {
                rest = behind;
            }
            let want = rest.first().is_some_and(|(first, _)| *first <= u32::from(character));
            text.clear();
            text.push(character);
            assert_eq!(pattern.is_match(&text), Ok(want), "{java} {character:?}");
        }
    }
    assert_eq!(golden.lines().count(), 30);
}

/// What `java.util.regex` says of seeded expressions; see `core/tests/golden/README.md`.
#[test]
fn an_expression_has_the_verdict_of_java_or_is_refused_as_unsupported() {
    let (mut equal, mut unsupported, mut refused) = (0, 0, 0);
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/golden/patterns.tsv").lines() {
        let [java, text, verdict] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("wrong number of columns: {line}");
        };
        let bytes: Vec<u8> = (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        let ours = match JavaPattern::of_whole(java) {
            Ok(pattern) if pattern.is_match(text) == Ok(true) => "matches",
            Ok(_) => "differs",
            Err(PatternError { fault: PatternFault::Unsupported(_), .. }) => {
                unsupported += 1;
                continue;
            }
            Err(_) => "refused",
        };
        match ours {
            _ if ours != verdict => {
                wrong.push(format!("{java} over {text:?}: {ours}, not {verdict}"));
            }
            "refused" => refused += 1,
            _ => equal += 1,
        }
    }
    assert!(wrong.is_empty(), "{} verdicts:\n{}", wrong.len(), wrong.join("\n"));
    println!("{equal} verdicts equal, {unsupported} unsupported, {refused} refused by both");
    assert!(2_000 < equal && 50 < refused, "too few say anything: {equal}, {refused}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let signs =
        ["(", "?", "<", "!", "[", "^", "-", "]", "\\", "Q", "x", "{", "1", ",", "}", "a", "|"];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut pattern = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            pattern.push_str(signs[(state >> 33) as usize % signs.len()]);
        }
        let _ = JavaPattern::of_whole(&pattern);
    }
}
