//! A resume token as text: the relaxed extended JSON that the Java driver's `toJson()` writes, and
//! back.
//!
//! ```text
//!  {"_data": "8264F0…"}
//!  {"_data": "8264F0…", "_typeBits": {"$binary": {"base64": "gkAA", "subType": "00"}}}
//!  {"_data": {"$binary": {"base64": "glv…", "subType": "00"}}}         MongoDB 4.0
//! ```
//!
//! To the server a token is opaque but for its order; here it is a flat document of strings and
//! binary values, and anything else is refused rather than stored in a form that cannot be taken
//! back. The driver's form differs from the formatter's ([`crate::format::json`]) in binary values
//! only.

use std::fmt;

use crate::format::binary::{read_base64, write_base64, write_subtype};
use crate::format::escape::write_escaped;
use crate::format::fragment::{
    BINARY_RELAXED, BINARY_SUB_TYPE, FIRST_NAME, NAME_END, NEXT_NAME, QUOTE, STRING_END_2,
};
use crate::format::jdk::Jdk17;
use crate::format::json_reader::{JsonError, JsonReader};
use crate::mongo::bson::{BsonError, DOC_BYTES_MIN, RawDoc, RawValue};

/// Why a resume token cannot be stored as text, or a stored text is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The server's token is no BSON.
    Bson(BsonError),
    /// A field of the server's token is neither a string nor a binary value.
    FieldType {
        /// Its name.
        name: String,
    },
    /// The stored text is not what was written.
    Json(JsonError),
    /// The stored text is well-formed and has no `_data`.
    NoData,
}

impl From<BsonError> for TokenError {
    fn from(error: BsonError) -> Self {
        Self::Bson(error)
    }
}

impl From<JsonError> for TokenError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bson(error) => write!(f, "cannot store a resume token: {error}"),
            Self::FieldType { name } => write!(
                f,
                "cannot store a resume token: its field {name:?} is neither a string nor binary; \
                 the server is of a kind that is not supported"
            ),
            Self::Json(error) => write!(f, "cannot read a stored resume token: {error}"),
            Self::NoData => {
                f.write_str("cannot read a stored resume token: it has no field \"_data\"")
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// Appends the text of `token`, as the connector stores it.
///
/// # Errors
/// [`TokenError::Bson`], [`TokenError::FieldType`]; the caller truncates `out`.
pub fn write_token(token: RawDoc<'_>, out: &mut Vec<u8>) -> Result<(), TokenError> {
    write::<false>(token, out)
}

/// The same, with `QUOTED` escaped to stand in a JSON string.
pub(super) fn write<const QUOTED: bool>(
    token: RawDoc<'_>,
    out: &mut Vec<u8>,
) -> Result<(), TokenError> {
    let mut before = FIRST_NAME;
    for element in token {
        let element = element?;
        before.write::<QUOTED>(out);
        before = NEXT_NAME;
        write_escaped::<Jdk17, QUOTED>(element.name, out);
        NAME_END.write::<QUOTED>(out);
        #[allow(clippy::wildcard_enum_match_arm, reason = "servers make tokens of two types")]
        match element.value {
            RawValue::String(text) => {
                QUOTE.write::<QUOTED>(out);
                write_escaped::<Jdk17, QUOTED>(text, out);
                QUOTE.write::<QUOTED>(out);
            }
            RawValue::Binary { subtype, bytes } => {
                BINARY_RELAXED.write::<QUOTED>(out);
                write_base64(bytes, out);
                BINARY_SUB_TYPE.write::<QUOTED>(out);
                write_subtype(subtype, out);
                STRING_END_2.write::<QUOTED>(out);
            }
            _ => {
                let name = String::from_utf8_lossy(element.name).into_owned();
                return Err(TokenError::FieldType { name });
            }
        }
    }
    out.extend_from_slice(if token.is_empty() { b"{}" } else { b"}" });
    Ok(())
}

/// Reads the text of a token back into BSON, ready for `startAfter`. White space may differ from
/// what was written.
///
/// # Errors
/// [`TokenError::Json`], [`TokenError::NoData`].
pub fn read_token(text: &[u8]) -> Result<Vec<u8>, TokenError> {
    let mut reader = JsonReader::new(text);
    let mut bson = vec![0; DOC_BYTES_MIN - 1];
    let mut has_data = false;
    reader.object(|name, reader| {
        has_data |= name == "_data";
        read_field(&name, reader, &mut bson)
    })?;
    reader.end()?;
    if !has_data {
        return Err(TokenError::NoData);
    }
    bson.push(0);
    let len = i32::try_from(bson.len())
        .map_err(|_| TokenError::Json(reader.error("at most 2 GiB of text")))?;
    if let Some(head) = bson.first_chunk_mut() {
        *head = len.to_le_bytes();
    }
    Ok(bson)
}

/// Reads a value and appends the element `name` to `bson`.
fn read_field(
    name: &str,
    reader: &mut JsonReader<'_>,
    bson: &mut Vec<u8>,
) -> Result<(), TokenError> {
    let too_long = |error: JsonError| move |_| TokenError::Json(error);
    if name.contains('\0') {
        return Err(reader.error("a name without NUL").into());
    }
    if reader.peek() == Some(b'{') {
        let (subtype, bytes) = read_binary(reader)?;
        let len = i32::try_from(bytes.len()).map_err(too_long(reader.error("shorter data")))?;
        push_name(0x05, name, bson);
        bson.extend_from_slice(&len.to_le_bytes());
        bson.push(subtype);
        bson.extend_from_slice(&bytes);
        return Ok(());
    }
    let text = reader.string()?;
    let len = i32::try_from(text.len() + 1).map_err(too_long(reader.error("shorter data")))?;
    push_name(0x02, name, bson);
    bson.extend_from_slice(&len.to_le_bytes());
    bson.extend_from_slice(text.as_bytes());
    bson.push(0);
    Ok(())
}

fn push_name(kind: u8, name: &str, bson: &mut Vec<u8>) {
    bson.push(kind);
    bson.extend_from_slice(name.as_bytes());
    bson.push(0);
}

/// Reads `{"$binary": {"base64": "…", "subType": "00"}}`.
fn read_binary(reader: &mut JsonReader<'_>) -> Result<(u8, Vec<u8>), TokenError> {
    let (mut bytes, mut subtype) = (None, None);
    reader.object(|name, reader| {
        if name != "$binary" || bytes.is_some() {
            return Err(reader.error("one \"$binary\""));
        }
        reader.object(|name, reader| {
            match name.as_str() {
                "base64" => bytes = read_base64(reader.string()?.as_bytes()),
                "subType" => subtype = u8::from_str_radix(&reader.string()?, 16).ok(),
                _ => return Err(reader.error("\"base64\" or \"subType\"")),
            }
            Ok(())
        })
    })?;
    match (subtype, bytes) {
        // The old form has a second length inside; no server makes such a token.
        (Some(subtype), Some(bytes)) if subtype != 2 => Ok((subtype, bytes)),
        (Some(_) | None, Some(_) | None) => Err(reader.error("binary data before here").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Binary, doc, spec::BinarySubtype};
    use proptest::prelude::*;

    fn text_of(token: &bson::Document) -> Result<String, TokenError> {
        let bytes = token.to_vec().expect("a document has bytes");
        let mut out = Vec::new();
        write_token(RawDoc::new(&bytes)?, &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    fn token(data: &str, type_bits: &[u8]) -> bson::Document {
        let bits = Binary { subtype: BinarySubtype::Generic, bytes: type_bits.to_vec() };
        doc! { "_data": data, "_typeBits": bits }
    }

    #[test]
    fn tokens_are_written_in_the_relaxed_form() {
        assert_eq!(text_of(&doc! { "_data": "8264" }).as_deref(), Ok(r#"{"_data": "8264"}"#));
        assert_eq!(
            text_of(&token("82", &[0x82, 0x40])).as_deref(),
            Ok(r#"{"_data": "82", "_typeBits": {"$binary": {"base64": "gkA=", "subType": "00"}}}"#)
        );
        let name = "_kind".to_owned();
        assert_eq!(text_of(&doc! { "_kind": 1 }), Err(TokenError::FieldType { name }));
    }

    #[test]
    fn text_cut_at_every_byte_is_refused() {
        let text = text_of(&token("82", &[1])).expect("valid");
        for cut in 0..text.len() {
            assert!(read_token(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
        assert!(read_token(text.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for bad in [
            "{}",
            "null",
            r#"{"_id": "x"}"#,
            r#"{"_data": 5}"#,
            r#"{"_data": {"$binary": "AQ==", "$type": "00"}}"#,
            r#"{"_data": {"$binary": {"base64": "A", "subType": "00"}}}"#,
            r#"{"_data": {"$binary": {"base64": "AQ==", "subType": "100"}}}"#,
            r#"{"_data": {"$binary": {"base64": "AQ==", "subType": "02"}}}"#,
            r#"{"_data": "82"} x"#,
            "{\"_data\\u0000\": \"82\"}",
        ] {
            assert!(read_token(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(read_token(b"{}"), Err(TokenError::NoData));
    }

    proptest! {
        #[test]
        fn tokens_come_back_as_they_went(
            data in any::<String>(), bits in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let token = token(&data, &bits);
            let text = text_of(&token).expect("valid");
            prop_assert_eq!(read_token(text.as_bytes()), Ok(token.to_vec().expect("bytes")));
        }

        #[test]
        fn arbitrary_text_is_read_or_refused(text in "[{}\":,\\\\\\\\u0-9a_$bindtsTpy ]{0,40}") {
            let _ = read_token(text.as_bytes());
        }
    }
}
