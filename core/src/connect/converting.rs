//! What a converter makes of any value: the bytes of a key, a value or a header.
//!
//! | converter | takes |
//! |---|---|
//! | `StringConverter` | everything: what Java's `toString()` is, bytes aside |
//! | `ByteArrayConverter` | bytes and nulls |
//! | `JsonConverter` | everything that fits its schema |
//!
//! Facts: `fromConnectData` of the three, Connect 4.1.0.

use super::datum::Datum;
use super::error::ConversionError;
use super::json::JsonSettings;
use super::schema::Kind;
use super::value::Value;
use super::{java_text, json};
use crate::format::Converter;

/// A converter and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatumConverter {
    /// Which.
    pub converter: Converter,
    /// Those of `JsonConverter`.
    pub json: JsonSettings,
}

impl DatumConverter {
    /// The bytes of `datum`; `None`: a null.
    ///
    /// # Errors
    /// [`ConversionError`] where Java's converter fails.
    pub fn convert(&self, datum: &Datum) -> Result<Option<Vec<u8>>, ConversionError> {
        let (schema, value) = (datum.schema.as_deref(), &datum.value);
        let mut out = Vec::new();
        match self.converter {
            Converter::String | Converter::ByteArray | Converter::Json { .. }
                if schema.is_none() && *value == Value::Null =>
            {
                return Ok(None);
            }
            Converter::String if *value == Value::Null => return Ok(None),
            Converter::String => java_text::write(schema, value, &mut out)?,
            Converter::ByteArray => return bytes(datum),
            Converter::Json { schemas_enable: false } => {
                json::write_value(schema, value, self.json, &mut out)?;
            }
            Converter::Json { schemas_enable: true } => {
                out.extend_from_slice(br#"{"schema":"#);
                match schema {
                    Some(schema) => json::write_schema(schema, None, self.json, &mut out),
                    None => out.extend_from_slice(b"null"),
                }
                out.extend_from_slice(br#","payload":"#);
                json::write_value(schema, value, self.json, &mut out)?;
                out.push(b'}');
            }
        }
        Ok(Some(out))
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no bytes")]
fn bytes(datum: &Datum) -> Result<Option<Vec<u8>>, ConversionError> {
    if let Some(schema) = &datum.schema
        && schema.kind.base() != Kind::Bytes
    {
        return Err(ConversionError::SchemaForByteArray(schema.kind.type_name()));
    }
    match &datum.value {
        Value::Null => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes.clone())),
        other => Err(ConversionError::ValueForByteArray(other.class_name())),
    }
}
