//! Reads Java's notation and spells it for the engine, in one pass.
//!
//! ```text
//!  alternatives   sequence | sequence | …
//!  sequence       atom quantifier? atom quantifier? …
//!  atom           literal, escape, class, anchor, group
//! ```

use std::collections::BTreeSet;

use super::char_set::{CharSet, LINE_TERMINATORS};
use super::{PatternError, PatternFault};

/// Groups in one another.
const DEPTH_MAX: u32 = 50;
/// The largest bound of a repetition; every repetition is written out by the engine.
const REPEAT_MAX: u32 = 1_000;
/// The end of the text, or before a line terminator that ends it, but not inside `\r\n`.
const END_OR_LAST_TERMINATOR: &str =
    r"(?=(?:\x{d}\x{a}|(?<!\x{d})\x{a}|[\x{d}\x{85}\x{2028}\x{2029}])?\z)";

/// `(?i)` and `(?s)`.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    ignore_case: bool,
    dot_all: bool,
}

/// What a quantifier may stand behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    Repeatable,
    /// An anchor or a look-around, which takes no characters, or nothing at all.
    Empty,
}

/// What an escape stands for.
enum Escaped {
    Char(char),
    Set(CharSet),
}

pub(super) struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    group_names: BTreeSet<String>,
}

type Read<T> = Result<T, PatternError>;

impl Reader {
    pub(super) fn new(java: &str) -> Self {
        Self {
            chars: java.chars().collect(),
            at: 0,
            out: String::new(),
            group_names: BTreeSet::new(),
        }
    }

    /// The whole pattern, spelled out.
    pub(super) fn read(mut self) -> Read<String> {
        self.alternatives(Flags::default(), 0)?;
        match self.peek() {
            None => Ok(self.out),
            Some(_) => Err(self.fault(PatternFault::UnmatchedClose)),
        }
    }

    fn alternatives(&mut self, mut flags: Flags, depth: u32) -> Read<()> {
        if DEPTH_MAX < depth {
            return Err(self.fault(PatternFault::TooLarge));
        }
        loop {
            match self.peek() {
                None | Some(')') => return Ok(()),
                Some('|') => {
                    self.at += 1;
                    self.out.push('|');
                }
                Some(_) => self.repeated_atom(&mut flags, depth)?,
            }
        }
    }

    fn repeated_atom(&mut self, flags: &mut Flags, depth: u32) -> Read<()> {
        let quoted = self.eat(r"\Q");
        if quoted {
            return self.quoted(*flags);
        }
        let start = self.at;
        let atom = self.atom(flags, depth)?;
        self.quantifier(atom, start)
    }

    /// The text of `\Q…\E`; a quantifier behind it belongs to its last character.
    fn quoted(&mut self, flags: Flags) -> Read<()> {
        let mut atom = Atom::Empty;
        while !self.eat(r"\E") {
            let Some(literal) = self.next() else { return Ok(()) };
            self.literal(literal, flags);
            atom = Atom::Repeatable;
        }
        self.quantifier(atom, self.at)
    }

    fn atom(&mut self, flags: &mut Flags, depth: u32) -> Read<Atom> {
        let Some(first) = self.next() else { return Ok(Atom::Empty) };
        match first {
            '(' => return self.group(flags, depth),
            '[' => self.class(*flags)?.spell(&mut self.out),
            '.' if flags.dot_all => CharSet::default().complement().spell(&mut self.out),
            '.' => CharSet::of(LINE_TERMINATORS).complement().spell(&mut self.out),
            '^' => {
                self.out.push_str(r"\A");
                return Ok(Atom::Empty);
            }
            '$' => {
                self.out.push_str(END_OR_LAST_TERMINATOR);
                return Ok(Atom::Empty);
            }
            '?' | '*' | '+' => return Err(self.fault_before(PatternFault::Dangling(first))),
            // Java refuses it in some places and repeats nothing in others.
            '{' => return Err(self.unsupported("'{' without anything to repeat".to_owned())),
            '\\' => {
                let anchor = match self.peek() {
                    Some('A') => r"\A",
                    Some('z') => r"\z",
                    Some('Z') => END_OR_LAST_TERMINATOR,
                    _ => {
                        match self.escape(*flags)? {
                            Escaped::Char(literal) => self.literal(literal, *flags),
                            Escaped::Set(set) => set.spell(&mut self.out),
                        }
                        return Ok(Atom::Repeatable);
                    }
                };
                self.at += 1;
                self.out.push_str(anchor);
                return Ok(Atom::Empty);
            }
            literal => self.literal(literal, *flags),
        }
        Ok(Atom::Repeatable)
    }

    /// Behind `(`. Flags that stand alone change `flags` to the end of the group around them.
    fn group(&mut self, flags: &mut Flags, depth: u32) -> Read<Atom> {
        let mut inner = *flags;
        let mut atom = Atom::Repeatable;
        let look_arounds = ["?=", "?!", "?<=", "?<!"];
        if let Some(look) = look_arounds.into_iter().find(|look| self.eat(look)) {
            atom = Atom::Empty;
            self.out.push('(');
            self.out.push_str(look);
        } else if self.eat("?>") {
            self.out.push_str("(?>");
        } else if self.eat("?<") {
            let name = self.group_name()?;
            self.out.push_str(&format!("(?<{name}>"));
        } else if self.eat("?:") {
            self.out.push_str("(?:");
        } else if self.eat("?") {
            if !self.flags(&mut inner)? {
                *flags = inner;
                return Ok(Atom::Empty);
            }
            self.out.push_str("(?:");
        } else {
            self.out.push('(');
        }
        self.alternatives(inner, depth + 1)?;
        if !self.eat(")") {
            return Err(self.fault(PatternFault::Unclosed("group")));
        }
        self.out.push(')');
        Ok(atom)
    }

    fn group_name(&mut self) -> Read<String> {
        let mut name = String::new();
        while let Some(letter) = self.next() {
            let is_first = name.is_empty();
            match letter {
                '>' if !is_first && self.group_names.insert(name.clone()) => return Ok(name),
                letter if letter.is_ascii_alphabetic() => name.push(letter),
                letter if letter.is_ascii_digit() && !is_first => name.push(letter),
                _ => break,
            }
        }
        Err(self.fault_before(PatternFault::GroupName))
    }

    /// Flags behind `(?`. `true`: a group follows.
    fn flags(&mut self, flags: &mut Flags) -> Read<bool> {
        let mut on = true;
        loop {
            match self.next() {
                Some('i') => flags.ignore_case = on,
                Some('s') => flags.dot_all = on,
                Some('-') if on => on = false,
                Some(':') => return Ok(true),
                Some(')') => return Ok(false),
                Some(other) => return Err(self.unsupported(format!("the flag (?{other})"))),
                None => return Err(self.fault(PatternFault::Unclosed("inline flag"))),
            }
        }
    }

    fn quantifier(&mut self, atom: Atom, start: usize) -> Read<()> {
        let begin = self.at;
        match self.peek() {
            Some(sign @ ('?' | '*' | '+')) => {
                self.at += 1;
                self.out.push(sign);
            }
            Some('{') => {
                self.at += 1;
                self.bounds()?;
            }
            Some(_) | None => return Ok(()),
        }
        if atom == Atom::Empty {
            let what = "a quantifier behind an anchor or a look-around".to_owned();
            let fault = PatternFault::Unsupported(what);
            return Err(self.error(begin.max(start), fault));
        }
        match self.peek() {
            Some('?') => {
                self.at += 1;
                self.out.push('?');
            }
            Some('+') => {
                self.at += 1;
                self.out.push('+');
            }
            Some(_) | None => {}
        }
        match self.peek() {
            Some(sign @ ('?' | '*' | '+')) => Err(self.fault(PatternFault::Dangling(sign))),
            Some('{') => Err(self.fault(PatternFault::Repetition)),
            Some(_) | None => Ok(()),
        }
    }

    /// Behind `{`.
    fn bounds(&mut self) -> Read<()> {
        let min = self.number()?;
        let max = if self.eat(",") {
            if self.peek() == Some('}') { None } else { Some(self.number()?) }
        } else {
            Some(min)
        };
        if !self.eat("}") {
            return Err(self.fault(PatternFault::Unclosed("counted closure")));
        }
        match max {
            Some(max) if max < min => return Err(self.fault_before(PatternFault::Repetition)),
            Some(max) => self.out.push_str(&format!("{{{min},{max}}}")),
            None => self.out.push_str(&format!("{{{min},}}")),
        }
        Ok(())
    }

    fn number(&mut self) -> Read<u32> {
        let mut number = None;
        while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(10)) {
            self.at += 1;
            let grown = number.unwrap_or(0_u32) * 10 + digit;
            if REPEAT_MAX < grown {
                return Err(self.unsupported(format!("more than {REPEAT_MAX} repetitions")));
            }
            number = Some(grown);
        }
        number.ok_or_else(|| self.fault(PatternFault::Repetition))
    }

    /// Behind `[`.
    fn class(&mut self, flags: Flags) -> Read<CharSet> {
        let negated = self.eat("^");
        let mut set = CharSet::default();
        if self.peek() == Some(']') {
            return Err(self.unsupported("']' as the first character of a class; write \\]".into()));
        }
        loop {
            let Some(first) = self.next() else {
                return Err(self.fault_before(PatternFault::Unclosed("character class")));
            };
            let first = match first {
                ']' => break,
                '[' => return Err(self.unsupported("a class inside a class".to_owned())),
                '&' if self.peek() == Some('&') => {
                    return Err(self.unsupported("&& in a class".to_owned()));
                }
                '\\' => match self.escape(flags)? {
                    Escaped::Char(literal) => literal,
                    Escaped::Set(other) => {
                        set.add(&other);
                        continue;
                    }
                },
                literal => literal,
            };
            let last = self.range_end(flags)?.unwrap_or(first);
            if last < first {
                return Err(self.fault_before(PatternFault::Range));
            }
            set.add_range(first.into(), last.into());
        }
        if flags.ignore_case {
            set.fold_ascii();
        }
        Ok(if negated { set.complement() } else { set })
    }

    /// The end of a range, if one follows. A `-` before `]` or `[` is a character.
    fn range_end(&mut self, flags: Flags) -> Read<Option<char>> {
        let behind = self.chars.get(self.at + 1).copied();
        if self.peek() != Some('-') || matches!(behind, None | Some(']' | '[')) {
            return Ok(None);
        }
        self.at += 1;
        match self.next() {
            Some('\\') => match self.escape(flags)? {
                Escaped::Char(last) => Ok(Some(last)),
                Escaped::Set(_) => Err(self.fault_before(PatternFault::Range)),
            },
            last => Ok(last),
        }
    }

    /// Behind a backslash.
    fn escape(&mut self, flags: Flags) -> Read<Escaped> {
        let Some(letter) = self.next() else {
            return Err(self.fault(PatternFault::Unclosed("escape")));
        };
        if let Some(set) = CharSet::shorthand(letter) {
            return Ok(Escaped::Set(set));
        }
        Ok(Escaped::Char(match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0C',
            'a' => '\x07',
            'e' => '\x1B',
            'u' => self.code_point(4)?,
            'x' if self.eat("{") => self.braced_code_point()?,
            'x' => self.code_point(2)?,
            'p' | 'P' => return self.property(letter == 'P', flags),
            '1'..='9' | 'k' => return Err(self.unsupported("a back reference".to_owned())),
            '0' | 'b' | 'B' | 'c' | 'G' | 'N' | 'Q' | 'R' | 'X' => {
                return Err(self.unsupported(format!("\\{letter} here")));
            }
            letter if letter.is_ascii_alphabetic() => {
                return Err(self.fault_before(PatternFault::Escape));
            }
            literal => literal,
        }))
    }

    fn code_point(&mut self, digits: usize) -> Read<char> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|digit| digit.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.fault_before(PatternFault::Unclosed("hexadecimal escape")));
            };
            code = code * 16 + digit;
        }
        char::from_u32(code).ok_or_else(|| self.unsupported("half of a surrogate pair".to_owned()))
    }

    /// Behind `\x{`.
    fn braced_code_point(&mut self) -> Read<char> {
        let mut code = None;
        while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(16)) {
            self.at += 1;
            code = Some(code.unwrap_or(0_u32).saturating_mul(16).saturating_add(digit));
        }
        let code = code.filter(|_| self.eat("}")).and_then(char::from_u32);
        code.ok_or_else(|| self.fault_before(PatternFault::Unclosed("hexadecimal escape")))
    }

    /// Behind `\p`.
    fn property(&mut self, negated: bool, flags: Flags) -> Read<Escaped> {
        let mut name = String::new();
        if self.eat("{") {
            while let Some(letter) = self.next().filter(|letter| *letter != '}') {
                name.push(letter);
            }
        }
        // Whether these two care for the case differs between JDKs.
        let known = !(flags.ignore_case && matches!(name.as_str(), "Lower" | "Upper"));
        match CharSet::posix(&name).filter(|_| known) {
            Some(set) if negated => Ok(Escaped::Set(set.complement())),
            Some(set) => Ok(Escaped::Set(set)),
            None => Err(self.unsupported(format!("\\p{{{name}}} here"))),
        }
    }

    fn literal(&mut self, literal: char, flags: Flags) {
        let mut set = CharSet::of(&[(literal.into(), literal.into())]);
        if flags.ignore_case {
            set.fold_ascii();
        }
        set.spell(&mut self.out);
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// Takes `text` if it is next.
    fn eat(&mut self, text: &str) -> bool {
        let mut at = self.at;
        for wanted in text.chars() {
            if self.chars.get(at) != Some(&wanted) {
                return false;
            }
            at += 1;
        }
        self.at = at;
        true
    }

    fn fault(&self, fault: PatternFault) -> PatternError {
        self.error(self.at, fault)
    }

    /// At the character that was taken last.
    fn fault_before(&self, fault: PatternFault) -> PatternError {
        self.error(self.at.saturating_sub(1), fault)
    }

    fn error(&self, index: usize, fault: PatternFault) -> PatternError {
        PatternError { pattern: self.chars.iter().collect(), index, fault }
    }

    fn unsupported(&self, what: String) -> PatternError {
        self.fault_before(PatternFault::Unsupported(what))
    }
}
