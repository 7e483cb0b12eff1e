//! Reads the little JSON that positions are stored in: objects of strings, two levels deep.
//!
//! ```text
//!  {"_id":"{\"_data\": \"82…\"}"}             offset
//!  ["connector",{"ns":"mongodb://…"}]         its key
//!  {"_data": "82…"}                           token
//! ```
//!
//! Strict: no comments, no trailing commas, no lone surrogates. White space is allowed between all
//! parts, so texts that a person or another version wrote are read as well. Memory is bounded by
//! the text. Numbers are skipped, not read.

use std::fmt;

/// What is wrong with a text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes before the place.
    pub at: usize,
    /// What should stand there.
    pub wanted: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} expected at byte {}", self.wanted, self.at)
    }
}

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct JsonReader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The error that says `wanted` should stand here.
    pub(super) fn error(&self, wanted: &'static str) -> JsonError {
        JsonError { at: self.at, wanted }
    }

    /// The next byte that is not white space, left where it is.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Takes `byte` if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Takes `byte`, which `wanted` describes.
    pub(super) fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(wanted)) }
    }

    /// Takes the white space up to the end of the text.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the text")),
        }
    }

    /// Reads an object: calls `member` at each value, which must take it.
    pub(super) fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(String, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':', "a colon")?;
            member(name, self)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the object")?;
        }
    }

    /// Skips a string, number, `true`, `false` or `null`.
    pub(super) fn skip_scalar(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'"') {
            return self.string().map(drop);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let len = rest.iter().take_while(is_part).count();
        if len == 0 {
            return Err(self.error("a string, number or constant"));
        }
        self.at += len;
        Ok(())
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<String, JsonError> {
        self.expect(b'"', "a string")?;
        let mut string = Vec::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().take_while(|&&byte| !matches!(byte, b'"' | b'\\' | ..0x20));
            let len = plain.count();
            string.extend_from_slice(rest.get(..len).unwrap_or_default());
            self.at += len;
            match rest.get(len) {
                Some(b'"') => {
                    self.at += 1;
                    return String::from_utf8(string).map_err(|_| self.error("UTF-8 before here"));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    string.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(_) | None => return Err(self.error("the end of the string")),
            }
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = self.text.get(self.at).copied();
        let error = self.error("an escape");
        self.at += 1;
        Ok(match letter {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(u32::from(first)).ok_or(error);
                }
                if self.text.get(self.at..self.at.saturating_add(2)) != Some(br"\u") {
                    return Err(self.error("the second half of a surrogate pair"));
                }
                self.at += 2;
                let pair = [first, self.unit()?];
                char::decode_utf16(pair).next().and_then(Result::ok).ok_or(error)?
            }
            Some(_) | None => return Err(error),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, JsonError> {
        let error = self.error("four hexadecimal digits");
        let digits = self.text.get(self.at..self.at.saturating_add(4)).ok_or(error)?;
        let unit = digits.iter().try_fold(0_u16, |unit, &digit| {
            let value = char::from(digit).to_digit(16)?;
            Some(unit << 4 | u16::try_from(value).ok()?)
        });
        self.at += 4;
        unit.ok_or(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(text: &str) -> Result<String, JsonError> {
        let mut reader = JsonReader::new(text.as_bytes());
        let string = reader.string()?;
        reader.end()?;
        Ok(string)
    }

    #[test]
    fn every_escape_is_read_and_halves_of_pairs_are_refused() {
        assert_eq!(
            string(r#" "\"\\\/\b\f\n\r\té\ud83d\ude00" "#).as_deref(),
            Ok("\"\\/\u{8}\u{c}\n\r\té😀")
        );
        for bad in [
            r#""\x""#,
            r#""\u12""#,
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\ud83d\u0041""#,
            "\"a",
            "\"a\nb\"",
            "\"\\",
            "x",
            "",
            "\"\"x",
        ] {
            assert!(string(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn objects_are_read_member_by_member() {
        let read = |text: &str| {
            let mut names = Vec::new();
            let mut reader = JsonReader::new(text.as_bytes());
            reader
                .object(|name, reader| {
                    names.push(name);
                    reader.skip_scalar()
                })
                .and_then(|()| reader.end())
                .map(|()| names)
        };
        assert_eq!(read("{}"), Ok(vec![]));
        assert_eq!(
            read(r#"{ "a" : 1.5e+3 , "b":"x","c":null}"#),
            Ok(vec!["a".into(), "b".into(), "c".into()])
        );
        let text = r#"{"a": 1, "b": "x"}"#;
        for cut in 0..text.len() {
            assert!(read(&text[..cut]).is_err(), "{cut}");
        }
        for bad in [r#"{"a":1,}"#, r#"{"a" 1}"#, r#"{a:1}"#, r#"{"a":}"#, r#"{"a":{}}"#, "{} x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn strings_of_another_writer_are_read(text in any::<String>()) {
            prop_assert_eq!(string(&serde_json::to_string(&text).expect("JSON")), Ok(text));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(text in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'u'), any::<u8>()], 0..40)) {
            let _ = JsonReader::new(&text).string();
            let _ = JsonReader::new(&text).skip_scalar();
        }
    }
}
