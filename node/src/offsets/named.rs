//! What a connector has stored, as Connect's REST interface shows and takes it.
//!
//! ```text
//! {"partition": {"ns": "mongodb://h:27017/db.c"}, "offset": {"_id": "{\"_data\": \"82…\"}"}}
//! stored    ["orders",{"ns":"mongodb://h:27017/db.c"}]   {"_id":"{\"_data\": \"82…\"}"}
//! ```
//!
//! No offset, or `null`, means that nothing is stored. Whether a token can be read is not asked here, as in Connect: a
//! connector that cannot go on from what is stored says so when it starts. Bytes are those of Connect's internal
//! converter, since a compacted topic finds keys by their bytes: no spaces, characters beyond U+FFFF as two escapes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};
use serde_json::{Map, Value};
use thiserror::Error;

use super::stored::StoredOffsets;
use crate::kafka::Pair;

/// One position of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedOffset {
    /// What it is a position in; `None`: `null`.
    pub(crate) partition: Option<Map<String, Value>>,
    /// The position; `None`: none.
    pub(crate) offset: Option<Map<String, Value>>,
}

/// Why something is no partition or no offset. Java's words (`OffsetUtils.validateFormat`).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum OffsetFormatError {
    #[error(
        "Offsets may only contain primitive types as values, but field {field} contains {what}"
    )]
    NotPrimitive { field: String, what: &'static str },
}

impl StoredOffsets {
    /// Every position that `connector` has.
    pub(crate) fn of_connector(&self, connector: &str) -> Vec<NamedOffset> {
        let pairs = self.iter().filter_map(|(key, value)| {
            let partition = partition_of(key, connector)?;
            let offset = serde_json::from_slice(value?).ok()?;
            Some(NamedOffset { partition: Some(partition), offset: Some(offset) })
        });
        pairs.collect()
    }
}

/// The partition of a key, if the key is one of `connector`.
fn partition_of(key: &[u8], connector: &str) -> Option<Map<String, Value>> {
    let (name, partition): (String, Map<String, Value>) = serde_json::from_slice(key).ok()?;
    (name == connector).then_some(partition)
}

impl NamedOffset {
    /// The pair to store for `connector`.
    ///
    /// # Errors
    /// When a value is an array or an object.
    pub(crate) fn to_pair(&self, connector: &str) -> Result<Pair, OffsetFormatError> {
        let partition = self.partition.as_ref();
        let key = (connector, partition.map(primitive).transpose()?);
        let value = self.offset.as_ref().map(primitive).transpose()?;
        Ok((json_bytes(&key), value.map(|value| json_bytes(&value))))
    }
}

fn primitive(map: &Map<String, Value>) -> Result<&Map<String, Value>, OffsetFormatError> {
    for (field, value) in map {
        let what = match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => continue,
            Value::Array(_) => "ARRAY",
            Value::Object(_) => "MAP",
        };
        return Err(OffsetFormatError::NotPrimitive { field: field.clone(), what });
    }
    Ok(map)
}

/// Compact JSON as Jackson writes it.
fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    // Maps of texts and primitives cannot fail to be written, nor can a vector.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Jackson));
    out
}

/// Where Jackson's spelling differs: escapes in upper case, characters beyond U+FFFF as two of them.
struct Jackson;

impl Formatter for Jackson {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for char in fragment.chars() {
            if u32::from(char) <= 0xffff {
                out.write_all(char.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}")?;
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        if let CharEscape::AsciiControl(byte) = escape {
            write!(out, "\\u{byte:04X}")
        } else {
            CompactFormatter.write_char_escape(out, escape)
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::format::token::write_offset_value;
    use serde_json::json;

    use super::super::position::offset_key;
    use super::*;

    fn map(value: Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn pair_is_the_bytes_that_a_running_task_stores() {
        let token = mongodb::bson::doc! { "_data": "82" }.to_vec().unwrap();
        for (connector, ns) in [("c", "mongodb://h:27017/db.c"), ("ü😀\"\u{1f}", "é\n\u{7f}")] {
            let named = NamedOffset {
                partition: map(json!({ "ns": ns })),
                offset: map(json!({ "_id": "{\"_data\": \"82\"}" })),
            };
            let mut value = Vec::new();
            write_offset_value(&token, &mut value).expect("a token");
            let stored = (offset_key(connector, ns), Some(value));
            assert_eq!(named.to_pair(connector), Ok(stored), "{connector}");
        }
    }

    #[test]
    fn what_was_stored_is_shown_and_what_was_reset_is_not() {
        let mut stored = StoredOffsets::default();
        let named = NamedOffset {
            partition: map(json!({ "ns": "x" })),
            offset: map(json!({ "_id": "t", "n": 1, "f": 1.5, "b": true, "z": null })),
        };
        for connector in ["c", "d"] {
            let (key, value) = named.to_pair(connector).unwrap();
            stored.insert(key, value);
        }
        stored.insert(b"not json".to_vec(), Some(b"x".to_vec()));
        assert_eq!(stored.of_connector("c"), std::slice::from_ref(&named));
        let gone = NamedOffset { offset: None, ..named };
        let (key, value) = gone.to_pair("c").unwrap();
        stored.insert(key, value);
        assert_eq!(stored.of_connector("c"), []);
        assert_eq!(stored.of_connector("d").len(), 1);
    }

    #[test]
    fn offset_holds_primitives_only() {
        for (value, what) in [(json!([1]), "ARRAY"), (json!({}), "MAP")] {
            let named = NamedOffset { partition: map(json!({ "ns": value })), offset: None };
            let field = "ns".to_owned();
            assert_eq!(named.to_pair("c"), Err(OffsetFormatError::NotPrimitive { field, what }));
        }
    }
}
