//! A resume token as the stored position of a connector: key and value in Kafka Connect's offset
//! topic or file.
//!
//! ```text
//!  key    ["orders",{"ns":"mongodb://h1:27017/shop.orders"}]
//!  value  {"_id":"{\"_data\": \"8264F0…\"}"}                            streaming
//!         {"_id":"{\"_data\": \"8264F0…\"}","HEARTBEAT":"true"}         heartbeat: means the same
//!         {"_id":"{\"_id\": 5, \"copyingData\": true}","copy":"true"}   inside a copy: no token
//!         {"_id":"{\"_id\": 5, \"copyingData\": true}","copy":"true","millrace.copy":"dQAAA…"}   ours
//!         {"_id":"{\"_data\": \"8264F0…\"}","millrace.gaps":"…"}      ours: what was skipped before
//! ```
//!
//! To Java the position inside a copy says only that the copy begins again. Ours has one more entry, which Java
//! ignores: how far the copy is, in BSON and base 64.
//!
//! Written byte for byte as Connect's internal JsonConverter does (Jackson: no spaces, non-ASCII as
//! it is but for characters beyond U+FFFF, which are two escapes in upper case), because a
//! compacted topic finds keys by their bytes. Read from any spelling of the same JSON. A null value
//! in the topic means that there is no position; it is not JSON.

mod text;

use std::fmt;

use crate::format::binary::{read_base64, write_base64};
pub use crate::format::json_reader::JsonError;
use crate::format::json_reader::JsonReader;
use crate::format::{FormatError, JsonFormatter, json};
use crate::mongo::bson::{RawDoc, RawValue};
use crate::mongo::bson_write::write_document;

pub use text::{TokenError, read_token, write_token};

/// The entry that says how far a copy is. Values of an offset are strings, and Java asks for its own by name.
const COPY_POSITION: &str = "millrace.copy";
/// The entry that says what was skipped, for [`crate::gaps`].
const GAPS: &str = "millrace.gaps";

/// Whose position a stored offset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetKey {
    /// Name of the connector.
    pub connector: String,
    /// Name of the source partition: hosts, database and collection as a connection string without
    /// secrets.
    pub partition: String,
}

/// What a stored offset says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredOffset {
    /// Go on after this resume token (BSON).
    Token(Vec<u8>),
    /// A copy of existing documents had not ended: there is no token.
    Copying {
        /// How far it was (BSON), if we wrote it; else it starts over.
        position: Option<Vec<u8>>,
    },
}

/// Why a stored offset cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetError {
    /// It is not the JSON that Connect writes for this connector.
    Json(JsonError),
    /// Its token cannot be read.
    Token(TokenError),
    /// It has no field `_id`.
    NoToken,
    /// How far a copy was is not base 64.
    Copy,
}

impl From<JsonError> for OffsetError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for OffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot read a stored offset: ")?;
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::Token(error) => write!(f, "{error}"),
            Self::NoToken => f.write_str("it has no field \"_id\""),
            Self::Copy => write!(f, "its field {COPY_POSITION:?} is not what was written"),
        }
    }
}

impl std::error::Error for OffsetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Json(_) | Self::NoToken | Self::Copy => None,
        }
    }
}

/// Appends the key of `connector` and its source `partition`.
pub fn write_offset_key(connector: &str, partition: &str, out: &mut Vec<u8>) {
    out.push(b'[');
    write_jackson_string(connector, out);
    out.extend_from_slice(br#",{"ns":"#);
    write_jackson_string(partition, out);
    out.extend_from_slice(b"}]");
}

/// Appends the value for a position: a resume token, or how far a copy is. Both are BSON.
///
/// # Errors
/// [`TokenError`] if it cannot be stored; the caller truncates `out`.
pub fn write_offset_value(position: &[u8], out: &mut Vec<u8>) -> Result<(), TokenError> {
    let document = RawDoc::new(position)?;
    out.extend_from_slice(br#"{"_id":""#);
    if document.get(b"copyingData")?.is_none() {
        text::write::<true>(document, out)?;
        out.extend_from_slice(br#""}"#);
        return Ok(());
    }
    write_copied(document, out)?;
    out.extend_from_slice(br#"","copy":"true",""#);
    out.extend_from_slice(COPY_POSITION.as_bytes());
    out.extend_from_slice(br#"":""#);
    write_base64(position, out);
    out.extend_from_slice(br#""}"#);
    Ok(())
}

/// Appends the value for the resume token of a heartbeat.
///
/// # Errors
/// As [`write_offset_value`].
pub fn write_heartbeat_offset_value(
    resume_token: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TokenError> {
    write_offset_value(resume_token, out)?;
    out.pop();
    out.extend_from_slice(br#","HEARTBEAT":"true"}"#);
    Ok(())
}

/// Adds a record of gaps to a value that was written just now.
pub fn write_offset_gaps(gaps: &str, out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(br#",""#);
    out.extend_from_slice(GAPS.as_bytes());
    out.extend_from_slice(br#"":"#);
    write_jackson_string(gaps, out);
    out.push(b'}');
}

/// The record of gaps in a value, if it has one.
///
/// # Errors
/// [`OffsetError::Json`].
pub fn read_offset_gaps(json: &[u8]) -> Result<Option<String>, OffsetError> {
    let mut gaps = None;
    let mut reader = JsonReader::new(json);
    reader.object(|name, reader| {
        if name != GAPS {
            return reader.skip_scalar();
        }
        gaps = Some(reader.string()?);
        Ok(())
    })?;
    reader.end()?;
    Ok(gaps)
}

/// Appends `{"_id": X, "copyingData": true}`, quoted. Numbers and dates within documents keep their type, where the
/// driver has them bare; Java reads none of it.
fn write_copied(position: RawDoc<'_>, out: &mut Vec<u8>) -> Result<(), TokenError> {
    let element = position.element_bytes(b"_id")?;
    let formatter = match position.get(b"_id")? {
        Some(RawValue::Int64(_)) => JsonFormatter::Simplified,
        Some(RawValue::Int32(_) | RawValue::Double(_)) => JsonFormatter::Default,
        Some(_) | None => JsonFormatter::Extended,
    };
    let mut copied = Vec::new();
    write_document(&mut copied, |copied| {
        copied.raw_elements(element);
        copied.boolean("copyingData", true);
    });
    let written = json::write::<true>(formatter, RawDoc::new(&copied)?, out);
    written.map_err(|error| match error {
        FormatError::Bson(error) => TokenError::Bson(error),
        FormatError::TooDeep => TokenError::FieldType { name: "_id".to_owned() },
    })
}

/// Reads a key.
///
/// # Errors
/// [`OffsetError::Json`], also for keys of connectors whose partitions are not called `ns`.
pub fn read_offset_key(json: &[u8]) -> Result<OffsetKey, OffsetError> {
    let mut reader = JsonReader::new(json);
    reader.expect(b'[', "an array")?;
    let connector = reader.string()?;
    reader.expect(b',', "a comma")?;
    let mut partition = None;
    reader.object(|name, reader| {
        if name != "ns" {
            return Err(reader.error("\"ns\""));
        }
        partition = Some(reader.string()?);
        Ok(())
    })?;
    let partition = partition.ok_or(reader.error("\"ns\" before here"))?;
    reader.expect(b']', "the end of the array")?;
    reader.end()?;
    Ok(OffsetKey { connector, partition })
}

/// Reads a value.
///
/// # Errors
/// [`OffsetError`].
pub fn read_offset_value(json: &[u8]) -> Result<StoredOffset, OffsetError> {
    let mut reader = JsonReader::new(json);
    let (mut text, mut copying, mut copied) = (None, false, None);
    reader.object(|name, reader| match name.as_str() {
        "_id" => {
            text = Some(reader.string()?);
            Ok(())
        }
        COPY_POSITION => {
            copied = Some(reader.string()?);
            Ok(())
        }
        _ => {
            copying |= name == "copy";
            reader.skip_scalar()
        }
    })?;
    reader.end()?;
    if copying {
        let position = copied.map(|copied| read_base64(copied.as_bytes()).ok_or(OffsetError::Copy));
        return Ok(StoredOffset::Copying { position: position.transpose()? });
    }
    let text = text.ok_or(OffsetError::NoToken)?;
    read_token(text.as_bytes()).map(StoredOffset::Token).map_err(OffsetError::Token)
}

/// Appends `text` as Jackson writes a string, quotes included.
fn write_jackson_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\u{8}' => out.extend_from_slice(br"\b"),
            '\u{c}' => out.extend_from_slice(br"\f"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            '\0'..' ' | '\u{1_0000}'.. => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    fn value_of(token: &bson::Document) -> Vec<u8> {
        let bytes = token.to_vec().expect("a document has bytes");
        let mut out = Vec::new();
        write_offset_value(&bytes, &mut out).expect("a token");
        out
    }

    fn key_of(connector: &str, partition: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_offset_key(connector, partition, &mut out);
        out
    }

    #[test]
    fn keys_and_values_have_the_form_of_connect() {
        assert_eq!(value_of(&doc! { "_data": "82" }), br#"{"_id":"{\"_data\": \"82\"}"}"#);
        assert_eq!(
            key_of("c\u{1f}\u{7f}é😀", "mongodb://h:27017/db.\"c\""),
            "[\"c\\u001F\u{7f}é\\uD83D\\uDE00\",{\"ns\":\"mongodb://h:27017/db.\\\"c\\\"\"}]"
                .as_bytes()
        );
    }

    #[test]
    fn offsets_of_every_phase_are_told_apart() {
        let token = doc! { "_data": "82" }.to_vec().expect("bytes");
        let stream = br#"{ "_id" : "{\"_data\": \"82\"}" }"#;
        assert_eq!(read_offset_value(stream), Ok(StoredOffset::Token(token.clone())));
        let heartbeat = br#"{"HEARTBEAT":"true","_id":"{\"_data\": \"82\"}"}"#;
        assert_eq!(read_offset_value(heartbeat), Ok(StoredOffset::Token(token.clone())));
        let mut written = Vec::new();
        write_heartbeat_offset_value(&token, &mut written).expect("a token");
        assert_eq!(written, br#"{"_id":"{\"_data\": \"82\"}","HEARTBEAT":"true"}"#);
        assert_eq!(read_offset_value(&written), Ok(StoredOffset::Token(token)));
        let copy =
            br#"{"_id":"{\"_id\": {\"$oid\": \"00\"}, \"copyingData\": true}","copy":"true"}"#;
        assert_eq!(read_offset_value(copy), Ok(StoredOffset::Copying { position: None }));
        assert_eq!(read_offset_value(b"{}"), Err(OffsetError::NoToken));
        for bad in ["", "null", r#"{"_id":5}"#, r#"{"_id":"x"}"#, r#"{"_id":"{}"}"#] {
            assert!(read_offset_value(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_of_gaps_comes_back_and_changes_no_position() {
        let token = doc! { "_data": "82" };
        let copy = doc! { "copyingData": true, "stream": &token, "left": [] };
        for position in [token, copy] {
            let plain = value_of(&position);
            assert_eq!(read_offset_gaps(&plain), Ok(None));
            let mut value = plain.clone();
            write_offset_gaps("1..? \"now\"", &mut value);
            assert!(value.ends_with(br#"","millrace.gaps":"1..? \"now\""}"#));
            assert_eq!(read_offset_gaps(&value), Ok(Some("1..? \"now\"".to_owned())));
            assert_eq!(read_offset_value(&value), read_offset_value(&plain));
        }
        assert!(read_offset_gaps(b"{").is_err());
    }

    #[test]
    fn the_position_of_a_copy_has_javas_form_and_comes_back_as_it_went() {
        let id = bson::oid::ObjectId::from_bytes([7; 12]);
        for (id, text) in [
            (bson::Bson::Int32(5), "5"),
            (bson::Bson::Int64(5), "5"),
            (1.5.into(), "1.5"),
            (id.into(), r#"{\"$oid\": \"070707070707070707070707\"}"#),
            ("a\"b".into(), r#"\"a\\\"b\""#),
            (doc! { "a": 1_i64 }.into(), r#"{\"a\": {\"$numberLong\": \"1\"}}"#),
        ] {
            let position =
                doc! { "_id": id, "copyingData": true, "stream": { "_data": "82" }, "left": [] };
            let value = String::from_utf8(value_of(&position)).expect("text");
            let start =
                format!(r#"{{"_id":"{{\"_id\": {text}, \"copyingData\": true}}","copy":"true","#);
            assert!(value.starts_with(&start), "{value}");
            let position = Some(position.to_vec().expect("bytes"));
            assert_eq!(read_offset_value(value.as_bytes()), Ok(StoredOffset::Copying { position }));
        }
        let nothing_yet = String::from_utf8(value_of(&doc! { "copyingData": true })).expect("text");
        let start = r#"{"_id":"{\"copyingData\": true}","copy":"true","millrace.copy":""#;
        assert!(nothing_yet.starts_with(start), "{nothing_yet}");
        let spoilt = format!("{start}*{}", &nothing_yet[start.len() + 1..]);
        assert_eq!(read_offset_value(spoilt.as_bytes()), Err(OffsetError::Copy));
    }

    #[test]
    fn keys_and_values_cut_at_every_byte_are_refused() {
        let (key, value) = (key_of("c", "p"), value_of(&doc! { "_data": "82" }));
        for cut in 0..key.len() {
            assert!(read_offset_key(&key[..cut]).is_err(), "{cut}");
        }
        for cut in 0..value.len() {
            assert!(read_offset_value(&value[..cut]).is_err(), "{cut}");
        }
        assert!(read_offset_key(br#"["c",{"server":"x"}]"#).is_err());
        assert!(read_offset_key(br#"["c",{}]"#).is_err());
    }

    proptest! {
        #[test]
        fn keys_come_back_as_they_went(connector in any::<String>(), partition in any::<String>()) {
            let key = key_of(&connector, &partition);
            prop_assert_eq!(read_offset_key(&key), Ok(OffsetKey { connector, partition }));
        }

        #[test]
        fn values_come_back_as_they_went(data in any::<String>()) {
            let token = doc! { "_data": data };
            let expected = StoredOffset::Token(token.to_vec().expect("bytes"));
            prop_assert_eq!(read_offset_value(&value_of(&token)), Ok(expected));
        }
    }
}
