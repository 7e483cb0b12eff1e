//! Java `.properties` text, by the rules of `java.util.Properties.load`.
//!
//! ```text
//! # comment   ! comment          at the start of a line
//! key=value   key : value   key value
//! key = one \                    a backslash at the end joins the next line without its indent
//!       two
//! k\ ey=\u00e9\t                 escapes: \t \n \r \f \uXXXX; any other stands for itself
//! ```
//!
//! One difference: Java reads the file as ISO-8859-1, we read UTF-8 where it is valid UTF-8 and say
//! so in a notice when that matters. A file that is not UTF-8 is read as Java reads it.
//!
//! Lines and columns count from 1; columns count characters.

use super::error::Malformed;

/// The entries of a file in its order, with the line on which each begins.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    /// One per `key=value`, doubled keys included.
    pub(crate) entries: Vec<Entry>,
    /// The text is UTF-8 that Java would read as other characters.
    pub(crate) has_utf8: bool,
}

/// One `key=value`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key, escapes resolved.
    pub(crate) key: String,
    /// The value, escapes resolved. White space at its end stays, as in Java.
    pub(crate) value: String,
    /// Where it begins.
    pub(crate) line: usize,
}

/// An error and its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: Malformed,
}

/// Reads a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Properties, At> {
    let (text, has_utf8) = match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), !text.is_ascii()),
        Err(_) => (bytes.iter().map(|&byte| char::from(byte)).collect(), false),
    };
    let mut entries = Vec::new();
    let mut lines = NaturalLines { chars: text.chars().peekable(), line: 0 };
    while let Some(line) = lines.next_logical() {
        if !line.is_empty() {
            entries.push(entry(&line)?);
        }
    }
    Ok(Properties { entries, has_utf8 })
}

/// A character with its place.
#[derive(Clone, Copy, Debug)]
struct Placed {
    char: char,
    line: usize,
    column: usize,
}

struct NaturalLines<I: Iterator<Item = char>> {
    chars: std::iter::Peekable<I>,
    line: usize,
}

impl<I: Iterator<Item = char>> NaturalLines<I> {
    /// The next line with its continuations, indents dropped; empty for a comment or a blank line.
    /// `None` at the end.
    fn next_logical(&mut self) -> Option<Vec<Placed>> {
        let mut logical = self.next_natural()?;
        skip_indent(&mut logical);
        if logical.first().is_some_and(|first| matches!(first.char, '#' | '!')) {
            return Some(Vec::new());
        }
        while ends_in_backslash(&logical) {
            logical.pop();
            let Some(mut next) = self.next_natural() else { break };
            skip_indent(&mut next);
            logical.append(&mut next);
        }
        Some(logical)
    }

    /// The characters up to the end of the line, which is `\n`, `\r` or both.
    fn next_natural(&mut self) -> Option<Vec<Placed>> {
        self.chars.peek()?;
        self.line += 1;
        let mut placed = Vec::new();
        while let Some(char) = self.chars.next() {
            match char {
                '\n' => break,
                '\r' => {
                    self.chars.next_if_eq(&'\n');
                    break;
                }
                char => placed.push(Placed { char, line: self.line, column: placed.len() + 1 }),
            }
        }
        Some(placed)
    }
}

fn skip_indent(line: &mut Vec<Placed>) {
    let indent = line.iter().take_while(|placed| is_space(placed.char)).count();
    line.drain(..indent);
}

/// An odd number of backslashes at the end: the last one is not escaped itself.
fn ends_in_backslash(line: &[Placed]) -> bool {
    line.iter().rev().take_while(|placed| placed.char == '\\').count() % 2 == 1
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\u{c}')
}

/// Splits a logical line at the first separator that is not escaped.
fn entry(line: &[Placed]) -> Result<Entry, At> {
    let mut escaped = false;
    let key_end = line
        .iter()
        .position(|placed| {
            let ends = !escaped && (matches!(placed.char, '=' | ':') || is_space(placed.char));
            escaped = !escaped && placed.char == '\\';
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(key_end);
    let mut rest = rest.iter().copied().skip_while(|placed| is_space(placed.char)).peekable();
    rest.next_if(|placed| matches!(placed.char, '=' | ':'));
    let value: Vec<Placed> = rest.skip_while(|placed| is_space(placed.char)).collect();
    Ok(Entry {
        key: unescape(key)?,
        value: unescape(&value)?,
        line: line.first().map_or(0, |placed| placed.line),
    })
}

fn unescape(chars: &[Placed]) -> Result<String, At> {
    let mut text = String::with_capacity(chars.len());
    let mut chars = chars.iter().copied();
    // The first half of a surrogate pair, waiting for the second, and where it began.
    let mut high: Option<(u16, Placed)> = None;
    while let Some(placed) = chars.next() {
        let unit = if placed.char == '\\' {
            match chars.next() {
                Some(Placed { char: 'u', .. }) => Some(hex_unit(&mut chars, placed)?),
                Some(escaped) => {
                    no_half(high.take())?;
                    text.push(simple_escape(escaped.char));
                    None
                }
                None => None,
            }
        } else {
            no_half(high.take())?;
            text.push(placed.char);
            None
        };
        let Some(unit) = unit else { continue };
        match (high.take(), unit) {
            (None, 0xD800..=0xDBFF) => high = Some((unit, placed)),
            (half, _) => {
                let units = half.map(|(first, _)| first).into_iter().chain([unit]);
                for decoded in char::decode_utf16(units) {
                    text.push(decoded.map_err(|error| {
                        at(placed, Malformed::LoneSurrogate(error.unpaired_surrogate()))
                    })?);
                }
            }
        }
    }
    no_half(high)?;
    Ok(text)
}

fn no_half(half: Option<(u16, Placed)>) -> Result<(), At> {
    match half {
        Some((unit, placed)) => Err(at(placed, Malformed::LoneSurrogate(unit))),
        None => Ok(()),
    }
}

fn hex_unit(chars: &mut impl Iterator<Item = Placed>, start: Placed) -> Result<u16, At> {
    let mut unit: u16 = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|placed| placed.char.to_digit(16));
        let digit = digit.and_then(|digit| u16::try_from(digit).ok());
        let Some(digit) = digit else { return Err(at(start, Malformed::UnicodeEscape)) };
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

fn simple_escape(char: char) -> char {
    match char {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\u{c}',
        other => other,
    }
}

fn at(placed: Placed, reason: Malformed) -> At {
    At { line: placed.line, column: placed.column, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let parsed = parse(text.as_bytes()).unwrap();
        parsed.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    /// Each expectation was printed by `java.util.Properties.load` of Java 17.
    #[test]
    fn text_is_read_as_java_reads_it() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("a = b ", "a", "b "),
            ("a=b\\\n   c", "a", "bc"),
            ("#x\n!y\nk\\=x=v", "k=x", "v"),
            ("k=\\u00e9\\t\\n\\r\\f\\q\\\\", "k", "\u{e9}\t\n\r\u{c}q\\"),
            ("k", "k", ""),
            ("  =v", "", "v"),
            ("k=a\\", "k", "a"),
            ("k==v", "k", "=v"),
            ("k = = v", "k", "= v"),
            ("a\\ b=c", "a b", "c"),
            ("# c \\\nd=e", "d", "e"),
            ("k=v\\\n#notcomment", "k", "v#notcomment"),
            ("k=v\\\n\n", "k", "v"),
            ("\u{c}k\u{c}=\u{c}v", "k", "v"),
        ] {
            assert_eq!(pairs(text), [(key.to_owned(), value.to_owned())], "{text:?}");
        }
        assert_eq!(
            pairs("a=1\r\nb=2\rc=3\nk=x\\\\\ny=z")
                .iter()
                .map(|(_, v)| v.as_str())
                .collect::<Vec<_>>(),
            ["1", "2", "3", "x\\", "z"]
        );
    }

    #[test]
    fn entry_knows_the_line_it_begins_on() {
        let parsed = parse(b"# one\n\na=1\nb=2 \\\n  3\nc=4\n").unwrap();
        assert_eq!(parsed.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [3, 4, 6]);
    }

    #[test]
    fn bad_escape_is_named_by_line_and_column() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err();
        let at = |line, column, reason| At { line, column, reason };
        assert_eq!(bad("a=1\n k=x\\uZZZZ"), at(2, 5, Malformed::UnicodeEscape));
        assert_eq!(bad("k=\\u12"), at(1, 3, Malformed::UnicodeEscape));
        assert_eq!(bad("k=\\ud83dx"), at(1, 3, Malformed::LoneSurrogate(0xd83d)));
        assert_eq!(bad("k=\\ude00"), at(1, 3, Malformed::LoneSurrogate(0xde00)));
        assert_eq!(bad("k=\\ud83d"), at(1, 3, Malformed::LoneSurrogate(0xd83d)));
        assert_eq!(pairs("k=\\ud83d\\ude00"), [("k".to_owned(), "😀".to_owned())]);
    }

    #[test]
    fn utf8_is_read_as_utf8_and_anything_else_as_latin_1() {
        let utf8 = parse("k=é".as_bytes()).unwrap();
        assert_eq!((utf8.entries[0].value.as_str(), utf8.has_utf8), ("é", true));
        let latin = parse(b"k=\xe9").unwrap();
        assert_eq!((latin.entries[0].value.as_str(), latin.has_utf8), ("é", false));
        assert!(!parse(b"k=e").unwrap().has_utf8);
    }

    #[test]
    fn no_input_panics() {
        let text = b"a\\ b = c\\\n  d\\u00e9\\ud83d\\ude00 # x\r\n!z\n\\";
        for cut in 0..=text.len() {
            let _ = parse(&text[..cut]);
        }
    }
}
