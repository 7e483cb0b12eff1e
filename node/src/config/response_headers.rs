//! `response.http.headers.config`: headers that every answer of the REST interface carries.
//!
//! ```text
//! set X-Frame-Options:DENY, "add Cache-Control:no-cache, no-store", setDate Expires:60000
//! └ action └ name           └ quotes where there is a comma          └ now, and so many ms
//! ```
//!
//! Cut by the rules of Jetty's `StringUtil.csvSplit`, checked with the words of Connect's `RestServerConfig`, and meant
//! as Jetty's `HeaderFilter` means them, which tells actions apart by their case.

use axum::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use thiserror::Error;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderRule {
    /// What it is about.
    pub(crate) name: HeaderName,
    /// What it says.
    pub(crate) value: RuleValue,
    /// Whether headers of that name that earlier rules made stay.
    pub(crate) adds: bool,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleValue {
    /// Always this.
    Text(HeaderValue),
    /// The time of the answer, and so much later.
    Date {
        /// May be negative.
        offset_ms: i64,
    },
}

/// Why a rule is none. All but the last have Connect's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum RuleError {
    #[error(
        "Invalid format of header config '{0}'. Expected: '[action] [header name]:[header value]'"
    )]
    Format(String),
    #[error("Invalid header config action: '{0}'. Expected one of [{actions}]", actions = ACTIONS.join(", "))]
    Action(String),
    #[error(
        "Invalid format of header name and header value pair '{0}'. Expected: '[header name]:[header value]'"
    )]
    Pair(String),
    #[error("Invalid header name '{0}'. The '[header name]' cannot contain whitespace")]
    Name(String),
    #[error(
        "'{0}' is not for a rule to say; HTTP takes no such header, or the connection needs it for itself"
    )]
    NotAHeader(String),
    #[error("'{0}' is no number of milliseconds, which setDate and addDate want")]
    NotMilliseconds(String),
}

const ACTIONS: [&str; 4] = ["set", "add", "setDate", "addDate"];

/// The rules of a property's value, in their order.
pub(super) fn parse(text: &str) -> Result<Vec<HeaderRule>, RuleError> {
    items(text).iter().map(|item| HeaderRule::parse(item)).collect()
}

impl HeaderRule {
    fn parse(text: &str) -> Result<Self, RuleError> {
        let trimmed = text.trim();
        let Some((action, header)) = trimmed.split_once(char::is_whitespace) else {
            return Err(RuleError::Format(text.to_owned()));
        };
        if !ACTIONS.iter().any(|known| known.eq_ignore_ascii_case(action)) {
            return Err(RuleError::Action(action.to_owned()));
        }
        let header = header.trim_start();
        let pair = header.split_once(':').filter(|(_, value)| is_one(value));
        let Some((name, value)) = pair else { return Err(RuleError::Pair(header.to_owned())) };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(RuleError::Name(name.to_owned()));
        }
        let no_header = || RuleError::NotAHeader(header.to_owned());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| no_header())?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(no_header());
        }
        let value = if action.ends_with("Date") {
            let offset_ms = value.parse();
            let offset_ms = offset_ms.map_err(|_| RuleError::NotMilliseconds(value.to_owned()))?;
            RuleValue::Date { offset_ms }
        } else {
            RuleValue::Text(HeaderValue::from_str(value).map_err(|_| no_header())?)
        };
        Ok(Self { name, value, adds: action.starts_with("add") })
    }
}

/// Java's `split(":")` finds exactly one value: there is one, and no further colon but at its end.
fn is_one(value: &str) -> bool {
    let value = value.trim_end_matches(':');
    !value.is_empty() && !value.contains(':')
}

/// Where a list is being read.
#[derive(Clone, Copy)]
enum Place {
    Before,
    Plain,
    Quoted,
    Escaped,
    Behind,
}

/// The items of a list with commas: in quotes a comma is one, and a backslash stands before a quote.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut item, mut place) = (Vec::new(), String::new(), Place::Before);
    for char in text.chars() {
        place = match (place, char) {
            (Place::Before, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}') => Place::Before,
            (Place::Before, '"') => Place::Quoted,
            (Place::Before | Place::Plain, ',') => {
                items.push(std::mem::take(&mut item).trim_end().to_owned());
                Place::Before
            }
            (Place::Quoted, '\\') => Place::Escaped,
            (Place::Quoted, '"') => {
                items.push(std::mem::take(&mut item));
                Place::Behind
            }
            (Place::Behind, ',') => Place::Before,
            (Place::Behind, _) => Place::Behind,
            (Place::Before | Place::Plain, _) => {
                item.push(char);
                Place::Plain
            }
            (Place::Quoted | Place::Escaped, _) => {
                item.push(char);
                Place::Quoted
            }
        };
    }
    match place {
        Place::Before | Place::Behind => {}
        Place::Plain => items.push(item.trim_end().to_owned()),
        Place::Quoted | Place::Escaped => items.push(item),
    }
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(name: &'static str, value: &'static str, adds: bool) -> HeaderRule {
        let value = RuleValue::Text(HeaderValue::from_static(value));
        HeaderRule { name: HeaderName::from_static(name), value, adds }
    }

    fn date(name: &'static str, offset_ms: i64, adds: bool) -> HeaderRule {
        let value = RuleValue::Date { offset_ms };
        HeaderRule { name: HeaderName::from_static(name), value, adds }
    }

    #[test]
    fn rules_are_read_as_jetty_reads_them() {
        let rules = "set X-Frame-Options: DENY,\"add Cache-Control: no-cache, no-store\" ,\n  \
                     setDate Expires: 31540000000,addDate  Date : -5, SET x:1, ADD y : a b ";
        assert_eq!(
            parse(rules).unwrap(),
            [
                text("x-frame-options", "DENY", false),
                text("cache-control", "no-cache, no-store", true),
                date("expires", 31_540_000_000, false),
                date("date", -5, true),
                text("x", "1", false),
                text("y", "a b", false),
            ]
        );
        let quoted = parse(r#""set X: say \"a\\b\"" ignored, "set Y:1"#).unwrap();
        assert_eq!(quoted, [text("x", r#"say "a\b""#, false), text("y", "1", false)]);
        assert_eq!(parse("set X:1,").unwrap().len(), 1, "a comma at the end");
    }

    #[test]
    fn rule_that_is_none_is_refused_in_connects_words() {
        for (rule, words) in [
            (
                "set",
                "Invalid format of header config 'set'. Expected: '[action] [header name]:[header value]'",
            ),
            (
                ",set X:1",
                "Invalid format of header config ''. Expected: '[action] [header name]:[header value]'",
            ),
            (
                "put X:1",
                "Invalid header config action: 'put'. Expected one of [set, add, setDate, addDate]",
            ),
            (
                "set X",
                "Invalid format of header name and header value pair 'X'. Expected: '[header name]:[header value]'",
            ),
            (
                "set X:http://h",
                "Invalid format of header name and header value pair 'X:http://h'. Expected: '[header name]:[header \
                 value]'",
            ),
            (
                "set X:",
                "Invalid format of header name and header value pair 'X:'. Expected: '[header name]:[header value]'",
            ),
            (
                "set X Y:1",
                "Invalid header name 'X Y'. The '[header name]' cannot contain whitespace",
            ),
            ("set :1", "Invalid header name ''. The '[header name]' cannot contain whitespace"),
        ] {
            assert_eq!(parse(rule).unwrap_err().to_string(), words, "{rule}");
        }
        assert!(matches!(parse("setDate X:soon"), Err(RuleError::NotMilliseconds(_))));
        for rule in ["set Ä:1", "set X:a\u{7}", "set Content-Length:1", "add transfer-encoding:x"]
        {
            assert!(matches!(parse(rule), Err(RuleError::NotAHeader(_))), "{rule}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
