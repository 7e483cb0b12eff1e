//! `sasl.jaas.config`: the one login module of a Kafka client, with its options. JAAS files, whose entries hold such.
//!
//! ```text
//! org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="b\"c";
//! └ module                                                └ flag  └ options                   └ end
//!
//! KafkaConnect { module flag options; module flag options; };
//! ```
//!
//! Read as `JaasConfig` of Kafka 4.1 reads it, which lets Java's `StreamTokenizer` find the words: letters, digits and
//! `.`, `-`, `_`, `$` make a word that does not begin with a digit; quotes of either kind hold anything but the end of
//! the line, with the escapes of C; `/` begins a comment. Numbers are no values: they want quotes.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

/// A login module. Its options are secrets, so there is no `Debug`.
pub(super) struct LoginModule {
    /// The class.
    pub(super) class: String,
    /// Of a doubled option the last counts.
    pub(super) options: BTreeMap<String, String>,
}

/// Why a text names no login module. Holds no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum JaasError {
    #[error("Login module not specified in JAAS config")]
    NoModule,
    #[error("Login module control flag not specified in JAAS config")]
    NoFlag,
    #[error("Login module control flag is not available in the JAAS config")]
    FlagMissing,
    #[error("Invalid login module control flag '{0}' in JAAS config")]
    Flag(String),
    #[error("Value not specified for key '{0}' in JAAS config")]
    NoValue(String),
    #[error("JAAS config entry not terminated by semi-colon")]
    NotTerminated,
    #[error("JAAS config property contains {0} login modules, should be 1 module")]
    SeveralModules(usize),
    #[error(
        "a JAAS file has entries of the form NAME {{ MODULE FLAG OPTIONS; }}; and here {0} is missing"
    )]
    Entry(&'static str),
}

/// The login modules of the entry `name` in the text of a JAAS file; `None`: there is no such entry.
pub(super) fn entry(text: &str, name: &str) -> Result<Option<Vec<LoginModule>>, JaasError> {
    let mut tokens = Tokens { chars: text.chars().peekable() };
    let mut found = None;
    while let Some(token) = tokens.next() {
        let entry = token.word().ok_or(JaasError::Entry("a name"))?;
        tokens.expect('{', "the opening brace")?;
        let mut modules = Vec::new();
        loop {
            match tokens.next() {
                None => return Err(JaasError::Entry("the closing brace")),
                Some(Token::Other('}')) => break,
                Some(token) => modules.push(LoginModule::read(token, &mut tokens)?),
            }
        }
        tokens.expect(';', "the semi-colon at its end")?;
        if entry == name {
            found = Some(modules);
        }
    }
    Ok(found)
}

impl LoginModule {
    /// Reads a property's value.
    pub(super) fn parse(text: &str) -> Result<Self, JaasError> {
        let mut tokens = Tokens { chars: text.chars().peekable() };
        let mut modules = Vec::new();
        while let Some(token) = tokens.next() {
            modules.push(Self::read(token, &mut tokens)?);
        }
        let count = modules.len();
        match modules.pop() {
            None => Err(JaasError::NoModule),
            Some(module) if count == 1 => Ok(module),
            Some(_) => Err(JaasError::SeveralModules(count)),
        }
    }

    fn read(class: Token, tokens: &mut Tokens<'_>) -> Result<Self, JaasError> {
        let flag = tokens.next().ok_or(JaasError::NoFlag)?;
        let flag = flag.word().ok_or(JaasError::FlagMissing)?;
        const FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];
        if !FLAGS.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
            return Err(JaasError::Flag(shown(flag)));
        }
        let mut options = BTreeMap::new();
        loop {
            let key = match tokens.next() {
                None => return Err(JaasError::NotTerminated),
                Some(Token::Other(';')) => break,
                Some(token) => token.word().unwrap_or_else(|| "null".to_owned()),
            };
            let is_given = tokens.next() == Some(Token::Other('='));
            match is_given.then(|| tokens.next()).flatten().and_then(Token::word) {
                Some(value) => options.insert(key, value),
                None => return Err(JaasError::NoValue(shown(key))),
            };
        }
        Ok(Self { class: class.word().unwrap_or_default(), options })
    }
}

/// A key or a flag as an error may show it. Java shows any; but of a password without quotes the rest is taken for one.
fn shown(key: String) -> String {
    const KNOWN: [&str; 4] = ["username", "password", "tokenauth", "null"];
    if KNOWN.contains(&key.as_str()) { key } else { "[hidden]".to_owned() }
}

/// What a `StreamTokenizer` tells apart.
#[derive(PartialEq, Eq)]
enum Token {
    /// Plain or in quotes.
    Word(String),
    Number,
    Other(char),
}

impl Token {
    fn word(self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word),
            Self::Number | Self::Other(_) => None,
        }
    }
}

struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let char = self.chars.next()?;
            match char {
                '\0'..=' ' => {}
                '/' => self.skip_comment(),
                '"' | '\'' => return Some(Token::Word(self.quoted(char))),
                '0'..='9' | '.' | '-' => return Some(self.number(char)),
                _ if is_word(char) => return Some(Token::Word(self.word(char))),
                _ => return Some(Token::Other(char)),
            }
        }
    }
}

impl Tokens<'_> {
    fn expect(&mut self, wanted: char, what: &'static str) -> Result<(), JaasError> {
        if self.next() == Some(Token::Other(wanted)) { Ok(()) } else { Err(JaasError::Entry(what)) }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(char) = self.chars.next_if(|char| is_word(*char) || is_number(*char)) {
            word.push(char);
        }
        word
    }

    /// A sign without a digit behind it stands for itself.
    fn number(&mut self, first: char) -> Token {
        let mut digits = u32::from(first.is_ascii_digit());
        let mut has_point = first == '.';
        while let Some(char) =
            self.chars.next_if(|char| char.is_ascii_digit() || (*char == '.' && !has_point))
        {
            has_point |= char == '.';
            digits += u32::from(char != '.');
        }
        if digits == 0 && first == '-' && !has_point { Token::Other('-') } else { Token::Number }
    }

    /// What is between quotes; the end of the line ends them too.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(char) = self.chars.next_if(|char| !matches!(char, '\n' | '\r')) {
            match char {
                _ if char == quote => break,
                '\\' => text.extend(self.escaped()),
                _ => text.push(char),
            }
        }
        text
    }

    fn escaped(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        Some(match char {
            '0'..='7' => self.octal(char),
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            _ => char,
        })
    }

    /// Up to three digits, of which three are at most 0o377.
    fn octal(&mut self, first: char) -> char {
        let value = |char: char| char.to_digit(8).unwrap_or_default();
        let mut code = value(first);
        for _ in 0..if first <= '3' { 2 } else { 1 } {
            let Some(digit) = self.chars.next_if(|char| char.is_digit(8)) else { break };
            code = code * 8 + value(digit);
        }
        char::from_u32(code).unwrap_or_default()
    }

    /// `/* … */`, or to the end of the line: one `/` is enough.
    fn skip_comment(&mut self) {
        if self.chars.next_if_eq(&'*').is_none() {
            while self.chars.next_if(|char| !matches!(char, '\n' | '\r')).is_some() {}
            return;
        }
        let mut last = ' ';
        for char in self.chars.by_ref() {
            if (last, char) == ('*', '/') {
                break;
            }
            last = char;
        }
    }
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphabetic() || matches!(char, '_' | '$') || '\u{a0}' <= char
}

fn is_number(char: char) -> bool {
    char.is_ascii_digit() || matches!(char, '.' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The class is `M`, the options are sorted.
    fn parse(text: &str) -> String {
        match LoginModule::parse(text) {
            Ok(LoginModule { class, options }) => {
                let options = options.iter().map(|(name, value)| format!("{name}={value}"));
                format!("{class} {{{}}}", options.collect::<Vec<_>>().join(", "))
            }
            Err(error) => error.to_string(),
        }
    }

    /// Each expectation was printed by `JaasContext.loadClientContext` of Kafka 4.1.0.
    #[test]
    fn texts_mean_what_they_mean_to_java() {
        for (text, meaning) in [
            (r#"o.p-q.M required username="a" password="b";"#, "o.p-q.M {password=b, username=a}"),
            (r"M required username='a' password='b\'c';", "M {password=b'c, username=a}"),
            (
                r#"M required username="a\"x\\y\nz\101q\u0041" password=b;"#,
                "M {password=b, username=a\"x\\y\nzAqu0041}",
            ),
            (r#"M REQUIRED username = "a" password=b.c-d_e;"#, "M {password=b.c-d_e, username=a}"),
            (
                "M required username=\"a\" /* c */ password=\"b // x\"; // tail",
                "M {password=b // x, username=a}",
            ),
            ("M required;", "M {}"),
            (r#"M required username="a" username="b";"#, "M {username=b}"),
            (r#"M required "user"="x";"#, "M {user=x}"),
            (r#""M" required username=x;"#, "M {username=x}"),
            (r#"M optional username=é password="é";"#, "M {password=é, username=é}"),
            (r#"M required username="" password="";"#, "M {password=, username=}"),
        ] {
            assert_eq!(parse(text), meaning, "{text}");
        }
    }

    /// As above.
    #[test]
    fn wrong_texts_are_refused_in_javas_words() {
        let no_value = |key: &str| JaasError::NoValue(key.to_owned());
        for (text, error) in [
            ("", JaasError::NoModule),
            (" ", JaasError::NoModule),
            (";", JaasError::NoFlag),
            ("M;", JaasError::FlagMissing),
            ("M foo username=a;", JaasError::Flag("[hidden]".to_owned())),
            (r#"KafkaClient { M required username="a"; };"#, JaasError::FlagMissing),
            (r#"M required username="a" password="b""#, JaasError::NotTerminated),
            (r#"M required username="a"#, JaasError::NotTerminated),
            (r#"M required username="a" password="b";;"#, JaasError::NoFlag),
            (r#"M required username="a"; M required;"#, JaasError::SeveralModules(2)),
            ("M required username=a-b password=5x;", no_value("password")),
            ("M required username=a password=55;", no_value("password")),
            ("M required username=a password=5.50;", no_value("password")),
            ("M required username=true password=1e5;", no_value("password")),
            ("M required username;", no_value("username")),
            ("M required username=;", no_value("username")),
            (r#"M required a.b="x" user$n=1 a:b=c;"#, no_value("[hidden]")),
            ("M required # c\n username=\"a\";", no_value("null")),
            ("M required username=a@b password=a/b;", no_value("null")),
            ("M required username=a password=a=b;", no_value("null")),
            ("M required username=\"a\nb\";", no_value("[hidden]")),
            ("M required password=my secret;", no_value("[hidden]")),
        ] {
            assert_eq!(LoginModule::parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn entry_of_a_file_is_found_by_its_name() {
        let file = "// of clients\nKafkaClient { a.B required x=y; };\n\
                    KafkaConnect {\n  c.D required\n  file=\"/etc/users\";\n  e.F optional;\n};\n";
        let classes = |name| {
            let modules = entry(file, name).unwrap()?;
            Some(modules.into_iter().map(|module| module.class).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(classes("KafkaConnect").as_deref(), Some("c.D e.F"));
        assert_eq!(classes("KafkaClient").as_deref(), Some("a.B"));
        assert_eq!(classes("other"), None);
        let modules = entry(file, "KafkaConnect").unwrap().unwrap();
        assert_eq!(modules[0].options["file"], "/etc/users");
    }

    #[test]
    fn file_that_is_no_jaas_file_is_refused() {
        let refusal = |text| entry(text, "A").err();
        assert_eq!(refusal("{ a.B required; };"), Some(JaasError::Entry("a name")));
        assert_eq!(refusal("A a.B required;"), Some(JaasError::Entry("the opening brace")));
        assert_eq!(refusal("A { a.B required;"), Some(JaasError::Entry("the closing brace")));
        assert_eq!(refusal("A { };"), None);
        assert_eq!(
            refusal("A { a.B required; }"),
            Some(JaasError::Entry("the semi-colon at its end"))
        );
        assert_eq!(refusal("A { a.B required x=y };"), Some(JaasError::NoValue("null".to_owned())));
        assert_eq!(refusal("A { a.B needed; };"), Some(JaasError::Flag("[hidden]".to_owned())));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = (LoginModule::parse(&text), entry(&text, "A"));
        }

        #[test]
        fn a_quoted_password_comes_back(password in "[^\n\r]*") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let module = LoginModule::parse(&format!("M required password=\"{quoted}\";")).unwrap();
            prop_assert_eq!(&module.options["password"], &password);
        }
    }
}
