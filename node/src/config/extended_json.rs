//! Reads documents in the JSON dialect of the MongoDB Java driver into BSON.
//!
//! ```text
//! plain                {"a": 1, b: 'x', c: [null, true]}
//! extended, canonical  {"$numberLong": "5"}   {"$date": {"$numberLong": "5"}}
//! extended, relaxed    {"$date": "2021-01-01T00:00:00Z"}
//! legacy               {"$date": 5}   {"$binary": "AQI=", "$type": "00"}
//!                      {"$regex": "a", "$options": "i"}
//! shell                ObjectId("…")   NumberLong(5)   ISODate("…")   /a/i
//! ```
//!
//! As in Java: a text that does not parse is tried again with every `\` doubled
//! (`ConfigHelper.jsonArrayFromString`); of a doubled field the last value counts; a comma may
//! stand before a closing bracket. Unlike Java: nothing may follow the last bracket, and numbers of
//! `$numberLong` and the like may also stand without quotes.
//!
//! Not read: `UUID(…)`, which Java refuses too for want of a representation.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Regex, Timestamp, Uuid,
};
use thiserror::Error;

use super::json_lexer::{Lexer, Token};
use super::operation_time::parse_date_ms;

/// How deep documents may be nested; BSON itself allows 100 on the server.
const DEPTH_MAX: usize = 100;

/// Why a text is no document. Positions count characters from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// A character that begins no token.
    #[error("unexpected character '{character}' at character {at}")]
    UnexpectedCharacter { at: usize, character: char },
    /// The text ends inside something.
    #[error("{what} that begins at character {at} has no end")]
    Unfinished { at: usize, what: &'static str },
    /// A backslash before a character that cannot be escaped.
    #[error("invalid escape '\\{character}' at character {at}")]
    BadEscape { at: usize, character: char },
    /// Digits that are no number, or too large.
    #[error("invalid number '{text}' at character {at}")]
    BadNumber { at: usize, text: String },
    /// The wrong token.
    #[error("expected {expected} but found {found} at character {at}")]
    Expected { at: usize, expected: &'static str, found: &'static str },
    /// A `$name` or a call whose content does not fit.
    #[error("invalid value for {name} before character {at}")]
    BadValue { at: usize, name: String },
    /// A name that stands for nothing we know.
    #[error("unknown name '{name}' at character {at}")]
    UnknownName { at: usize, name: String },
    /// A value of another kind than asked for.
    #[error("the text is no {what}")]
    NotAn { what: &'static str },
    /// An element of the array is no document.
    #[error("element {index} of the array is no document")]
    NoDocument { index: usize },
    /// Nested too deeply.
    #[error("nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// A document that BSON cannot hold.
    #[error("no BSON: {0}")]
    NoBson(String),
}

/// Reads an array of documents, each as raw BSON.
pub(crate) fn stages_from_json(text: &str) -> Result<Vec<Vec<u8>>, JsonError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    or_with_doubled_backslashes(text, |text| {
        let mut reader = Reader::new(text);
        let Bson::Array(elements) = reader.whole_value()? else {
            return Err(JsonError::NotAn { what: "array" });
        };
        let mut stages = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let Bson::Document(stage) = element else {
                return Err(JsonError::NoDocument { index });
            };
            stages.push(to_bytes(&stage)?);
        }
        Ok(stages)
    })
}

/// Reads a document. Its fields keep their order; one that comes twice keeps its first place.
pub(super) fn document_from_json(text: &str) -> Result<Document, JsonError> {
    or_with_doubled_backslashes(text, |text| {
        let Bson::Document(document) = Reader::new(text).whole_value()? else {
            return Err(JsonError::NotAn { what: "document" });
        };
        Ok(document)
    })
}

/// Reads one value; what follows it is not looked at, as in Java.
pub(super) fn leading_value_from_json(text: &str) -> Result<Bson, JsonError> {
    Reader::new(text).value(0)
}

fn to_bytes(document: &Document) -> Result<Vec<u8>, JsonError> {
    document.to_vec().map_err(|error| JsonError::NoBson(error.to_string()))
}

/// Texts that went through one quoting too few, such as `"\."`, are wanted to mean `"\\."`. The
/// first error counts.
fn or_with_doubled_backslashes<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, JsonError>,
) -> Result<T, JsonError> {
    read(text).or_else(|error| read(&text.replace('\\', "\\\\")).map_err(|_| error))
}

struct Reader {
    lexer: Lexer,
}

impl Reader {
    fn new(text: &str) -> Self {
        Self { lexer: Lexer::new(text) }
    }

    fn whole_value(&mut self) -> Result<Bson, JsonError> {
        let value = self.value(0)?;
        self.lexer.expect(&Token::End, "the end")?;
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Bson, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        let lexeme = self.lexer.next()?;
        match lexeme.token {
            Token::BeginObject => self.object(depth),
            Token::BeginArray => self.array(depth),
            Token::Text(text) => Ok(Bson::String(text)),
            Token::Int32(number) => Ok(Bson::Int32(number)),
            Token::Int64(number) => Ok(Bson::Int64(number)),
            Token::Double(number) => Ok(Bson::Double(number)),
            Token::Regex { pattern, options } => regex(&pattern, &options).ok_or_else(|| {
                JsonError::BadValue { at: lexeme.at, name: "a regular expression".to_owned() }
            }),
            Token::Name(name) => self.named(&name, lexeme.at, depth),
            Token::EndObject
            | Token::EndArray
            | Token::BeginCall
            | Token::EndCall
            | Token::Colon
            | Token::Comma
            | Token::End => Err(lexeme.unexpected("a value")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Bson, JsonError> {
        let mut elements = Vec::new();
        while !self.lexer.take_if(&Token::EndArray)? {
            elements.push(self.value(depth + 1)?);
            if !self.lexer.take_if(&Token::Comma)? {
                self.lexer.expect(&Token::EndArray, "',' or ']'")?;
                break;
            }
        }
        Ok(Bson::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Result<Bson, JsonError> {
        let mut document = Document::new();
        while !self.lexer.take_if(&Token::EndObject)? {
            let lexeme = self.lexer.next()?;
            let (Token::Text(name) | Token::Name(name)) = lexeme.token else {
                return Err(lexeme.unexpected("a field name"));
            };
            self.lexer.expect(&Token::Colon, "':'")?;
            let value = self.value(depth + 1)?;
            document.insert(name, value);
            if !self.lexer.take_if(&Token::Comma)? {
                self.lexer.expect(&Token::EndObject, "',' or '}'")?;
                break;
            }
        }
        let at = self.lexer.next_at()?;
        extended(document, at)
    }

    /// A word, or a call as in the shell.
    fn named(&mut self, name: &str, at: usize, depth: usize) -> Result<Bson, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        match name {
            "true" => return Ok(Bson::Boolean(true)),
            "false" => return Ok(Bson::Boolean(false)),
            "null" => return Ok(Bson::Null),
            "undefined" => return Ok(Bson::Undefined),
            "NaN" => return Ok(Bson::Double(f64::NAN)),
            "Infinity" => return Ok(Bson::Double(f64::INFINITY)),
            "new" => {
                let lexeme = self.lexer.next()?;
                let Token::Name(name) = lexeme.token else {
                    return Err(lexeme.unexpected("the name of a type"));
                };
                return self.named(&name, lexeme.at, depth + 1);
            }
            _ => {}
        }
        let arguments = self.arguments(depth)?;
        call(name, &arguments)
            .ok_or(JsonError::UnknownName { at, name: name.to_owned() })?
            .ok_or_else(|| JsonError::BadValue { at: at + name.len(), name: name.to_owned() })
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<Bson>, JsonError> {
        let mut arguments = Vec::new();
        if self.lexer.take_if(&Token::BeginCall)? {
            while !self.lexer.take_if(&Token::EndCall)? {
                arguments.push(self.value(depth + 1)?);
                if !self.lexer.take_if(&Token::Comma)? {
                    self.lexer.expect(&Token::EndCall, "',' or ')'")?;
                    break;
                }
            }
        }
        Ok(arguments)
    }
}

/// What a call stands for. Outer `None`: no such name; inner: wrong arguments.
fn call(name: &str, arguments: &[Bson]) -> Option<Option<Bson>> {
    Some(match (name, arguments) {
        ("ObjectId", [Bson::String(hex)]) => object_id(hex),
        ("NumberInt", [number]) => {
            int64(number).and_then(|n| i32::try_from(n).ok()).map(Bson::Int32)
        }
        ("NumberLong", [number]) => int64(number).map(Bson::Int64),
        ("NumberDecimal", [Bson::String(text)]) => decimal(text),
        ("NumberDecimal", [Bson::Int32(number)]) => decimal(&number.to_string()),
        ("NumberDecimal", [Bson::Int64(number)]) => decimal(&number.to_string()),
        ("ISODate" | "Date", [Bson::String(text)]) => date(text),
        ("Date", [number]) => int64(number).map(|ms| Bson::DateTime(DateTime::from_millis(ms))),
        ("Timestamp", [time, increment]) => timestamp(time, increment),
        ("BinData", [subtype, Bson::String(base64)]) => {
            let subtype = int64(subtype).and_then(|subtype| u8::try_from(subtype).ok());
            subtype.and_then(|subtype| binary(base64, subtype))
        }
        ("RegExp", [Bson::String(pattern)]) => regex(pattern, ""),
        ("RegExp", [Bson::String(pattern), Bson::String(options)]) => regex(pattern, options),
        ("MinKey", []) => Some(Bson::MinKey),
        ("MaxKey", []) => Some(Bson::MaxKey),
        (
            "ObjectId" | "NumberInt" | "NumberLong" | "NumberDecimal" | "ISODate" | "Date"
            | "Timestamp" | "BinData" | "RegExp" | "MinKey" | "MaxKey",
            _,
        ) => None,
        _ => return None,
    })
}

/// Turns `{"$oid": …}` and the like into its value; any other document stays. `at` is where the
/// document has ended.
fn extended(document: Document, at: usize) -> Result<Bson, JsonError> {
    let mut fields = document.iter();
    let Some((name, first)) = fields.next() else { return Ok(Bson::Document(document)) };
    let second = fields.next().map(|(name, value)| (name.as_str(), value));
    if fields.next().is_some() {
        return Ok(Bson::Document(document));
    }
    let value = match (name.as_str(), first, second) {
        ("$oid", Bson::String(hex), None) => object_id(hex),
        ("$numberInt", number, None) => {
            int64(number).and_then(|n| i32::try_from(n).ok()).map(Bson::Int32)
        }
        ("$numberLong", number, None) => int64(number).map(Bson::Int64),
        ("$numberDouble", number, None) => double(number).map(Bson::Double),
        ("$numberDecimal", Bson::String(text), None) => decimal(text),
        ("$date", Bson::String(text), None) => date(text),
        ("$date", number, None) => {
            int64(number).map(|ms| Bson::DateTime(DateTime::from_millis(ms)))
        }
        ("$timestamp", Bson::Document(parts), None) if parts.len() == 2 => {
            parts.get("t").zip(parts.get("i")).and_then(|(t, i)| timestamp(t, i))
        }
        ("$binary", Bson::Document(parts), None) if parts.len() == 2 => {
            parts.get("base64").zip(parts.get("subType")).and_then(|(b, s)| legacy_binary(b, s))
        }
        ("$binary", base64, Some(("$type", subtype))) => legacy_binary(base64, subtype),
        ("$type", subtype, Some(("$binary", base64))) => legacy_binary(base64, subtype),
        ("$regularExpression", Bson::Document(parts), None) if parts.len() == 2 => parts
            .get_str("pattern")
            .and_then(|pattern| Ok((pattern, parts.get_str("options")?)))
            .ok()
            .and_then(|(pattern, options)| regex(pattern, options)),
        ("$regex", Bson::String(pattern), Some(("$options", Bson::String(options))))
        | ("$options", Bson::String(options), Some(("$regex", Bson::String(pattern)))) => {
            regex(pattern, options)
        }
        ("$uuid", Bson::String(text), None) => {
            Uuid::parse_str(text).ok().map(|uuid| Bson::Binary(Binary::from_uuid(uuid)))
        }
        ("$symbol", Bson::String(symbol), None) => Some(Bson::Symbol(symbol.clone())),
        ("$undefined", Bson::Boolean(true), None) => Some(Bson::Undefined),
        ("$minKey", Bson::Int32(1), None) => Some(Bson::MinKey),
        ("$maxKey", Bson::Int32(1), None) => Some(Bson::MaxKey),
        ("$code", Bson::String(code), None) => Some(Bson::JavaScriptCode(code.clone())),
        ("$code", Bson::String(code), Some(("$scope", Bson::Document(scope)))) => {
            let (code, scope) = (code.clone(), scope.clone());
            Some(Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope }))
        }
        (
            "$oid" | "$numberInt" | "$numberLong" | "$numberDouble" | "$numberDecimal" | "$date"
            | "$timestamp" | "$regularExpression" | "$uuid" | "$symbol" | "$undefined" | "$minKey"
            | "$maxKey",
            ..,
        ) => None,
        // `$type`, `$binary`, `$regex`, `$options` and `$code` are query operators too.
        _ => return Ok(Bson::Document(document)),
    };
    value.ok_or_else(|| JsonError::BadValue { at, name: name.clone() })
}

fn object_id(hex: &str) -> Option<Bson> {
    ObjectId::parse_str(hex).ok().map(Bson::ObjectId)
}

fn decimal(text: &str) -> Option<Bson> {
    text.parse().ok().map(Bson::Decimal128)
}

fn date(text: &str) -> Option<Bson> {
    parse_date_ms(text).map(|ms| Bson::DateTime(DateTime::from_millis(ms)))
}

/// `None` if a zero byte would end the pattern or the options early.
fn regex(pattern: &str, options: &str) -> Option<Bson> {
    let mut sorted: Vec<char> = options.chars().collect();
    sorted.sort_unstable();
    let options: String = sorted.into_iter().collect();
    Some(Bson::RegularExpression(Regex {
        pattern: pattern.to_owned().try_into().ok()?,
        options: options.try_into().ok()?,
    }))
}

fn binary(base64: &str, subtype: u8) -> Option<Bson> {
    Binary::from_base64(base64, BinarySubtype::from(subtype)).ok().map(Bson::Binary)
}

/// The subtype is hexadecimal text, or a number in the oldest form.
fn legacy_binary(base64: &Bson, subtype: &Bson) -> Option<Bson> {
    let subtype = match subtype.as_str() {
        Some(hex) => u8::from_str_radix(hex, 16).ok()?,
        None => u8::try_from(integer(subtype)?).ok()?,
    };
    binary(base64.as_str()?, subtype)
}

fn timestamp(time: &Bson, increment: &Bson) -> Option<Bson> {
    let time = u32::try_from(integer(time)?).ok()?;
    let increment = u32::try_from(integer(increment)?).ok()?;
    Some(Bson::Timestamp(Timestamp { time, increment }))
}

/// An integer that stands without quotes.
fn integer(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

fn int64(value: &Bson) -> Option<i64> {
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => integer(value),
    }
}

fn double(value: &Bson) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(text) => text.parse().ok(),
        None => value.as_f64().or_else(|| value.as_i32().map(f64::from)),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Decimal128, doc};

    use super::*;

    fn stages(text: &str) -> Result<Vec<Document>, JsonError> {
        let stages = stages_from_json(text)?;
        Ok(stages.iter().map(|bytes| Document::from_reader(bytes.as_slice()).unwrap()).collect())
    }

    fn pattern(pattern: &str, options: &str) -> Bson {
        Bson::RegularExpression(Regex {
            pattern: pattern.to_owned().try_into().unwrap(),
            options: options.to_owned().try_into().unwrap(),
        })
    }

    /// Each expectation is what `ConfigHelper.jsonArrayFromString` of connector 2.0.1 made of the
    /// text.
    #[test]
    fn pipeline_is_read_as_java_reads_it() {
        let new_year = DateTime::from_millis(1_609_459_200_000);
        let id = ObjectId::from_bytes([0x5f, 0x5e, 0x1e, 14, 14, 14, 14, 14, 14, 14, 14, 14]);
        for (text, expected) in [
            (
                r#"[{"$match": {"operationType": "insert"}}]"#,
                doc! { "$match": { "operationType": "insert" } },
            ),
            ("[{$match: {'a': /x.*y/i}}]", doc! { "$match": { "a": pattern("x.*y", "i") } }),
            (
                "[{b: ObjectId('5f5e1e0e0e0e0e0e0e0e0e0e'), c: NumberLong(5), \
                 d: ISODate('2021-01-01T00:00:00Z')}]",
                doc! { "b": id, "c": 5_i64, "d": new_year },
            ),
            (
                r#"[{"$match": {"a": {"$regex": "\.x"}}}]"#,
                doc! { "$match": { "a": { "$regex": "\\.x" } } },
            ),
            (
                r#"[{"$match": {"a": {"$regex": "^x", "$options": "i"}}}]"#,
                doc! { "$match": { "a": pattern("^x", "i") } },
            ),
            (r#"[{"a":1},]"#, doc! { "a": 1 }),
            (r#"[{"a":1,"a":2}]"#, doc! { "a": 2 }),
            ("[{a:{$date:\"2021-01-01\"}}]", doc! { "a": new_year }),
            (
                r#"[{"$match":{"a":{"$in":[/x/]}}}]"#,
                doc! { "$match": { "a": { "$in": [pattern("x", "")] } } },
            ),
        ] {
            assert_eq!(stages(text), Ok(vec![expected]), "{text}");
        }
        assert_eq!((stages("[]"), stages("")), (Ok(Vec::new()), Ok(Vec::new())));
    }

    #[test]
    fn every_notation_of_a_value_gives_the_same_value() {
        let binary = |bytes: &[u8]| {
            Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: bytes.to_vec() })
        };
        let uuid = Uuid::parse_str("73ffd264-44b3-4c69-90e8-e7d1dfc035d4").unwrap().bytes();
        let decimal: Decimal128 = "1.5".parse().unwrap();
        for (expected, notations) in [
            (
                Bson::Int64(5),
                vec![r#"{"$numberLong": "5"}"#, r#"{"$numberLong": 5}"#, "NumberLong('5')"],
            ),
            (
                Bson::DateTime(DateTime::from_millis(5)),
                vec![
                    r#"{"$date": 5}"#,
                    r#"{"$date": {"$numberLong": "5"}}"#,
                    "new Date(5)",
                    "ISODate('1970-01-01T00:00:00.005Z')",
                ],
            ),
            (
                binary(&[1, 2]),
                vec![
                    r#"{"$binary": "AQI=", "$type": "04"}"#,
                    r#"{"$type": "04", "$binary": "AQI="}"#,
                    r#"{"$binary": {"base64": "AQI=", "subType": "04"}}"#,
                    "BinData(4, 'AQI=')",
                ],
            ),
            (
                Bson::Timestamp(Timestamp { time: 1, increment: 2 }),
                vec![r#"{"$timestamp": {"i": 2, "t": 1}}"#, "Timestamp(1, 2)"],
            ),
            (
                Bson::Decimal128(decimal),
                vec![r#"{"$numberDecimal": "1.5"}"#, "NumberDecimal('1.5')"],
            ),
            (Bson::Int32(5), vec!["5", r#"{"$numberInt": "5"}"#, "NumberInt(5)"]),
            (Bson::Double(1.5), vec!["1.5", r#"{"$numberDouble": "1.5"}"#]),
            (Bson::MinKey, vec![r#"{"$minKey": 1}"#, "MinKey", "MinKey()"]),
            (Bson::Null, vec!["null"]),
            (Bson::Undefined, vec!["undefined", r#"{"$undefined": true}"#]),
            (binary(&uuid), vec![r#"{"$uuid": "73ffd264-44b3-4c69-90e8-e7d1dfc035d4"}"#]),
            (
                pattern("a/b", "im"),
                vec![
                    r#"{"$regularExpression": {"pattern": "a/b", "options": "mi"}}"#,
                    r#"{"$options": "im", "$regex": "a/b"}"#,
                    "RegExp('a/b', 'mi')",
                ],
            ),
        ] {
            for notation in notations {
                let read = stages(&format!("[{{v: {notation}}}]"));
                assert_eq!(read, Ok(vec![doc! { "v": expected.clone() }]), "{notation}");
            }
        }
    }

    #[test]
    fn backslashes_are_doubled_only_when_the_text_does_not_parse() {
        assert_eq!(stages(r#"[{"a": "\.x"}]"#), stages(r#"[{"a": "\\.x"}]"#));
        assert_eq!(stages(r#"[{"a": "\n"}]"#), Ok(vec![doc! { "a": "\n" }]));
    }

    #[test]
    fn query_operators_stay_documents() {
        for (text, expected) in [
            (r#"{"$type":"string"}"#, doc! { "$type": "string" }),
            (r#"{"$regex":"^x"}"#, doc! { "$regex": "^x" }),
            (r#"{"$exists":true}"#, doc! { "$exists": true }),
            ("{}", doc! {}),
        ] {
            assert_eq!(stages(&format!("[{{\"a\":{text}}}]")), Ok(vec![doc! { "a": expected }]));
        }
    }

    #[test]
    fn what_is_no_array_of_documents_is_refused_with_its_place() {
        let error = |text: &str| stages_from_json(text).unwrap_err().to_string();
        assert_eq!(error("{"), "expected a field name but found the end at character 2");
        assert_eq!(error("{}"), "the text is no array");
        assert_eq!(error("[{}, 1]"), "element 1 of the array is no document");
        assert_eq!(error("[{a:1}] x"), "expected the end but found a name at character 9");
        assert_eq!(error("[{a:1}"), "expected ',' or ']' but found the end at character 7");
        assert_eq!(error("[{a:{$oid:'x'}}]"), "invalid value for $oid before character 15");
        assert_eq!(error("[{a: ObjectID('x')}]"), "unknown name 'ObjectID' at character 6");
        assert_eq!(
            error("[{a:9223372036854775808}]"),
            "invalid number '9223372036854775808' at character 5"
        );
        assert_eq!(error("[null]"), "element 0 of the array is no document");
        assert_eq!(error(&"[".repeat(500)), "nested deeper than 100");
    }

    #[test]
    fn no_cut_of_a_text_panics() {
        let text = r#"[{$match: {'a': /x\/y/i, b: {"$date": {"$numberLong": "5"}}, "#.to_owned()
            + r#"c: new Date(5), "d\u00e9": [1,-2.5e3]}}]"#;
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for end in ends {
            assert!(stages_from_json(&text[..end]).is_err() || end == 0);
        }
        assert!(stages_from_json(&text).is_ok());
    }
}
