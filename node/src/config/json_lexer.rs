//! Cuts text into the tokens of the JSON dialect that the MongoDB Java driver reads.
//!
//! More than JSON: names without quotes, texts in single quotes, `/pattern/options`, and calls as
//! in the shell (`ObjectId("…")`). Pipelines in connector files are often copied from a shell, so
//! this is not an edge case. Facts from `org.bson.json.JsonScanner` of driver 5.
//!
//! Positions count characters from 1. Nothing is converted here.

use super::extended_json::JsonError;

/// One token and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    BeginCall,
    EndCall,
    Colon,
    Comma,
    /// In quotes.
    Text(String),
    /// Without quotes: a field name, `true`, `ObjectId`.
    Name(String),
    Int32(i32),
    Int64(i64),
    Double(f64),
    Regex {
        pattern: String,
        options: String,
    },
    End,
}

/// Reads tokens one by one, with one token of look-ahead.
pub(super) struct Lexer {
    chars: Vec<char>,
    position: usize,
    peeked: Option<Lexeme>,
}

impl Lexer {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), position: 0, peeked: None }
    }

    /// The next token without taking it.
    pub(super) fn peek(&mut self) -> Result<&Token, JsonError> {
        let lexeme = match self.peeked.take() {
            Some(lexeme) => lexeme,
            None => self.scan()?,
        };
        Ok(&self.peeked.insert(lexeme).token)
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Result<Lexeme, JsonError> {
        match self.peeked.take() {
            Some(lexeme) => Ok(lexeme),
            None => self.scan(),
        }
    }

    /// Where the next token begins.
    pub(super) fn next_at(&mut self) -> Result<usize, JsonError> {
        self.peek()?;
        Ok(self.peeked.as_ref().map_or(0, |lexeme| lexeme.at))
    }

    /// Takes the next token if it is `token`.
    pub(super) fn take_if(&mut self, token: &Token) -> Result<bool, JsonError> {
        let found = self.peek()? == token;
        if found {
            self.peeked = None;
        }
        Ok(found)
    }

    /// Takes `token` or fails.
    pub(super) fn expect(&mut self, token: &Token, name: &'static str) -> Result<(), JsonError> {
        let lexeme = self.next()?;
        if lexeme.token == *token { Ok(()) } else { Err(lexeme.unexpected(name)) }
    }

    fn scan(&mut self) -> Result<Lexeme, JsonError> {
        while self.head().is_some_and(char::is_whitespace) {
            self.position += 1;
        }
        let at = self.position + 1;
        let Some(first) = self.head() else { return Ok(Lexeme { token: Token::End, at }) };
        self.position += 1;
        let token = match first {
            '{' => Token::BeginObject,
            '}' => Token::EndObject,
            '[' => Token::BeginArray,
            ']' => Token::EndArray,
            '(' => Token::BeginCall,
            ')' => Token::EndCall,
            ':' => Token::Colon,
            ',' => Token::Comma,
            '"' | '\'' => Token::Text(self.text(first, at)?),
            '/' => self.regex(at)?,
            '-' | '0'..='9' => self.number(first, at)?,
            _ if is_name(first) && !first.is_ascii_digit() => Token::Name(self.name(first)),
            _ => return Err(JsonError::UnexpectedCharacter { at, character: first }),
        };
        Ok(Lexeme { token, at })
    }

    fn head(&self) -> Option<char> {
        self.chars.get(self.position).copied()
    }

    fn name(&mut self, first: char) -> String {
        let mut name = String::from(first);
        while let Some(next) = self.head().filter(|next| is_name(*next)) {
            name.push(next);
            self.position += 1;
        }
        name
    }

    fn text(&mut self, quote: char, at: usize) -> Result<String, JsonError> {
        let mut text = String::new();
        // UTF-16 units of \u escapes that stand together, since a character may need two.
        let mut units: Vec<u16> = Vec::new();
        loop {
            let next = self.head().ok_or(JsonError::Unfinished { at, what: "a text" })?;
            self.position += 1;
            if next == '\\' && self.head() == Some('u') {
                self.position += 1;
                units.push(self.unit()?);
                continue;
            }
            for decoded in char::decode_utf16(units.drain(..)) {
                text.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            if next == quote {
                return Ok(text);
            }
            text.push(if next == '\\' { self.escaped()? } else { next });
        }
    }

    fn escaped(&mut self) -> Result<char, JsonError> {
        let at = self.position + 1;
        let Some(next) = self.head() else {
            return Err(JsonError::Unfinished { at, what: "a text" });
        };
        self.position += 1;
        Ok(match next {
            '\'' | '"' | '\\' | '/' => next,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            character => return Err(JsonError::BadEscape { at, character }),
        })
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let mut unit: u16 = 0;
        for _ in 0..4 {
            let at = self.position + 1;
            let digit = self.head().and_then(|digit| digit.to_digit(16));
            let digit = digit.and_then(|digit| u16::try_from(digit).ok());
            let Some(digit) = digit else {
                return Err(JsonError::BadEscape { at, character: 'u' });
            };
            unit = unit << 4 | digit;
            self.position += 1;
        }
        Ok(unit)
    }

    fn regex(&mut self, at: usize) -> Result<Token, JsonError> {
        let mut pattern = String::new();
        loop {
            let next =
                self.head().ok_or(JsonError::Unfinished { at, what: "a regular expression" })?;
            self.position += 1;
            match next {
                '/' => break,
                '\\' => {
                    // The driver keeps the backslash; only the slash it protects must not end the
                    // pattern.
                    pattern.push(next);
                    pattern.extend(self.head());
                    self.position += 1;
                }
                other => pattern.push(other),
            }
        }
        let mut options = String::new();
        while let Some(option) = self.head().filter(|next| matches!(next, 'i' | 'm' | 's' | 'x')) {
            options.push(option);
            self.position += 1;
        }
        Ok(Token::Regex { pattern, options })
    }

    fn number(&mut self, first: char, at: usize) -> Result<Token, JsonError> {
        let mut text = String::from(first);
        while let Some(next) = self
            .head()
            .filter(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '.'))
        {
            text.push(next);
            self.position += 1;
        }
        if text == "-Infinity" {
            return Ok(Token::Double(f64::NEG_INFINITY));
        }
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let leading_zero = digits.len() > 1
            && digits.starts_with('0')
            && digits.chars().nth(1).is_some_and(|next| next.is_ascii_digit());
        let well_formed = digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.ends_with(|last: char| last.is_ascii_digit())
            && !leading_zero;
        let token = if digits.contains(['.', 'e', 'E']) {
            text.parse().ok().map(Token::Double)
        } else {
            let narrow = text.parse().ok().map(Token::Int32);
            narrow.or_else(|| text.parse().ok().map(Token::Int64))
        };
        match token {
            Some(token) if well_formed => Ok(token),
            Some(_) | None => Err(JsonError::BadNumber { at, text }),
        }
    }
}

impl Lexeme {
    /// The error for a token that stands where `expected` should.
    pub(super) fn unexpected(&self, expected: &'static str) -> JsonError {
        let found = match &self.token {
            Token::BeginObject => "'{'",
            Token::EndObject => "'}'",
            Token::BeginArray => "'['",
            Token::EndArray => "']'",
            Token::BeginCall => "'('",
            Token::EndCall => "')'",
            Token::Colon => "':'",
            Token::Comma => "','",
            Token::Text(_) => "a text",
            Token::Name(_) => "a name",
            Token::Int32(_) | Token::Int64(_) | Token::Double(_) => "a number",
            Token::Regex { .. } => "a regular expression",
            Token::End => "the end",
        };
        JsonError::Expected { at: self.at, expected, found }
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '$' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token>, JsonError> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            let token = lexer.next()?.token;
            if token == Token::End {
                return Ok(tokens);
            }
            tokens.push(token);
        }
    }

    #[test]
    fn tokens_are_cut_where_the_driver_cuts_them() {
        assert_eq!(
            tokens("{a_1:$b,'c':\"\\u00e9\\n\"}").unwrap(),
            [
                Token::BeginObject,
                Token::Name("a_1".to_owned()),
                Token::Colon,
                Token::Name("$b".to_owned()),
                Token::Comma,
                Token::Text("c".to_owned()),
                Token::Colon,
                Token::Text("é\n".to_owned()),
                Token::EndObject,
            ]
        );
        assert_eq!(
            tokens("/a\\/b/im").unwrap(),
            [Token::Regex { pattern: "a\\/b".to_owned(), options: "im".to_owned() }]
        );
        assert_eq!(tokens("'\\ud83d\\ude00'").unwrap(), [Token::Text("😀".to_owned())]);
    }

    #[test]
    fn numbers_have_the_narrowest_type() {
        for (text, token) in [
            ("5", Token::Int32(5)),
            ("-2147483648", Token::Int32(i32::MIN)),
            ("2147483648", Token::Int64(2_147_483_648)),
            ("5.0", Token::Double(5.0)),
            ("1e3", Token::Double(1000.0)),
            ("-Infinity", Token::Double(f64::NEG_INFINITY)),
        ] {
            assert_eq!(tokens(text).unwrap(), [token], "{text}");
        }
        for bad in ["9223372036854775808", "01", "1.", "-", "1x", "--1"] {
            assert!(matches!(tokens(bad), Err(JsonError::BadNumber { .. })), "{bad}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(tokens("{ 'a\\.b' }"), Err(JsonError::BadEscape { at: 6, character: '.' }));
        assert_eq!(tokens("  \"a"), Err(JsonError::Unfinished { at: 3, what: "a text" }));
        assert_eq!(tokens(" #"), Err(JsonError::UnexpectedCharacter { at: 2, character: '#' }));
    }
}
