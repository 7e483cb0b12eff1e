//! A resume token as the stored position of a connector: key and value in Kafka Connect's offset
//! topic or file.
//!
//! ```text
//!  key    ["orders",{"ns":"mongodb://h1:27017/shop.orders"}]
//!  value  {"_id":"{\"_data\": \"8264F0…\"}"}                            streaming
//!         {"_id":"{\"_data\": \"8264F0…\"}","HEARTBEAT":"true"}         heartbeat: means the same
//!         {"_id":"{\"_id\": 5, \"copyingData\": true}","copy":"true"}   inside a copy: no token
//! ```
//!
//! Written byte for byte as Connect's internal JsonConverter does (Jackson: no spaces, non-ASCII as
//! it is but for characters beyond U+FFFF, which are two escapes in upper case), because a
//! compacted topic finds keys by their bytes. Read from any spelling of the same JSON. A null value
//! in the topic means that there is no position; it is not JSON.

mod text;

use std::fmt;

pub use crate::format::json_reader::JsonError;
use crate::format::json_reader::JsonReader;
use crate::mongo::bson::RawDoc;

pub use text::{TokenError, read_token, write_token};

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
    /// A copy of existing documents had not ended: there is no token, the copy starts over.
    Copying,
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
        }
    }
}

impl std::error::Error for OffsetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Json(_) | Self::NoToken => None,
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

/// Appends the value for a resume token, which is BSON.
///
/// # Errors
/// [`TokenError`] if the token cannot be stored; the caller truncates `out`.
pub fn write_offset_value(resume_token: &[u8], out: &mut Vec<u8>) -> Result<(), TokenError> {
    out.extend_from_slice(br#"{"_id":""#);
    text::write::<true>(RawDoc::new(resume_token)?, out)?;
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
    let (mut text, mut copying) = (None, false);
    reader.object(|name, reader| match name.as_str() {
        "_id" => {
            text = Some(reader.string()?);
            Ok(())
        }
        _ => {
            copying |= name == "copy";
            reader.skip_scalar()
        }
    })?;
    reader.end()?;
    if copying {
        return Ok(StoredOffset::Copying);
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
        assert_eq!(read_offset_value(copy), Ok(StoredOffset::Copying));
        assert_eq!(read_offset_value(b"{}"), Err(OffsetError::NoToken));
        for bad in ["", "null", r#"{"_id":5}"#, r#"{"_id":"x"}"#, r#"{"_id":"{}"}"#] {
            assert!(read_offset_value(bad.as_bytes()).is_err(), "{bad}");
        }
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
