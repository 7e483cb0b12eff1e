//! What a converter of Kafka Connect makes of a document: the bytes of a record's key or value.
//!
//! ```text
//!  format  converter          record
//!  json    StringConverter    {"a": 1}
//!  json    JsonConverter      "{\"a\": 1}"
//!            with schemas     {"schema":{"type":"string","optional":false},"payload":"{\"a\": 1}"}
//!  bson    ByteArrayConverter the raw bytes
//!  bson    JsonConverter      "DAAAABBhAAEAAAAA"
//!            with schemas     {"schema":{"type":"bytes","optional":false},"payload":"DAAA…"}
//!  schema  …                  a struct, see [`crate::connect`]
//! ```
//!
//! The other pairs are refused before anything runs: ByteArrayConverter fails on text and structs in
//! Java, too, and StringConverter would write the name and hash of a Java array. A tombstone has no
//! document and no encoder.

use std::fmt;
use std::sync::Arc;

use crate::connect::{ConversionError, SchemaEncoder, SchemaOutput};
use crate::format::binary::{base64_len, write_base64};
use crate::format::{FormatError, JavaVersion, JsonFormatter, json};
use crate::mongo::bson::RawDoc;

/// What the connector hands to the converter: `output.format.key`, `output.format.value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text of this formatter (`output.json.formatter`).
    Json(JsonFormatter),
    /// The bytes of the document.
    Bson,
}

/// How the worker turns that into bytes: `key.converter`, `value.converter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converter {
    /// `org.apache.kafka.connect.storage.StringConverter`
    String,
    /// `org.apache.kafka.connect.converters.ByteArrayConverter`
    ByteArray,
    /// `org.apache.kafka.connect.json.JsonConverter`
    Json {
        /// `schemas.enable`: wrap the value in a schema and payload envelope.
        schemas_enable: bool,
    },
}

impl Converter {
    /// What it makes of a null that may be bytes (`OPTIONAL_BYTES_SCHEMA`); `None`: a null. A null
    /// without a schema, as a tombstone is, becomes a null everywhere.
    pub fn optional_bytes_null(self) -> Option<&'static [u8]> {
        match self {
            Self::String | Self::ByteArray => None,
            Self::Json { schemas_enable: false } => Some(b"null"),
            Self::Json { schemas_enable: true } => {
                Some(br#"{"schema":{"type":"bytes","optional":true},"payload":null}"#)
            }
        }
    }
}

/// A format and a converter that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderError {
    /// Bytes for a converter that takes text.
    BsonAsString,
    /// Text for a converter that takes bytes.
    JsonAsByteArray,
    /// A struct for a converter that takes bytes.
    SchemaAsByteArray,
}

impl fmt::Display for EncoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BsonAsString => f.write_str(
                "StringConverter cannot write output.format bson: it takes text and gets bytes; \
                 use org.apache.kafka.connect.converters.ByteArrayConverter, or output.format json",
            ),
            Self::JsonAsByteArray => f.write_str(
                "ByteArrayConverter cannot write output.format json: it takes bytes and gets text; \
                 use org.apache.kafka.connect.storage.StringConverter, or output.format bson",
            ),
            Self::SchemaAsByteArray => f.write_str(
                "ByteArrayConverter cannot write output.format schema: it takes bytes and gets a struct; \
                 use org.apache.kafka.connect.json.JsonConverter, or output.format bson",
            ),
        }
    }
}

impl std::error::Error for EncoderError {}

/// Why a document has no record bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It has no text.
    Format(FormatError),
    /// It does not fit its schema.
    Conversion(Box<ConversionError>),
}

impl From<FormatError> for EncodeError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<ConversionError> for EncodeError {
    fn from(error: ConversionError) -> Self {
        if let ConversionError::Format(error) = error {
            return Self::Format(error);
        }
        Self::Conversion(Box::new(error))
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Conversion(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Writes documents as one format and converter want them. Chosen once per connector, then one
/// branch per document.
#[derive(Clone, Debug)]
pub struct Encoder {
    shape: Shape,
    java: JavaVersion,
}

#[derive(Clone, Debug)]
enum Shape {
    JsonText(JsonFormatter),
    JsonLiteral { formatter: JsonFormatter, schemas_enable: bool },
    BsonRaw,
    BsonBase64 { schemas_enable: bool },
    Schema(Arc<SchemaEncoder>),
}

const STRING_ENVELOPE: &[u8] = br#"{"schema":{"type":"string","optional":false},"payload":"#;
const BYTES_ENVELOPE: &[u8] = br#"{"schema":{"type":"bytes","optional":false},"payload":"#;
/// Bytes around a payload: envelope, quotes, closing brace.
const ENVELOPE_BYTES: usize = STRING_ENVELOPE.len() + 3;

impl Encoder {
    /// The encoder for a format and a converter.
    ///
    /// # Errors
    /// [`EncoderError`] if the converter cannot take the format.
    pub fn new(format: OutputFormat, converter: Converter) -> Result<Self, EncoderError> {
        let shape = match (format, converter) {
            (OutputFormat::Json(formatter), Converter::String) => Shape::JsonText(formatter),
            (OutputFormat::Json(formatter), Converter::Json { schemas_enable }) => {
                Shape::JsonLiteral { formatter, schemas_enable }
            }
            (OutputFormat::Json(_), Converter::ByteArray) => {
                return Err(EncoderError::JsonAsByteArray);
            }
            (OutputFormat::Bson, Converter::ByteArray) => Shape::BsonRaw,
            (OutputFormat::Bson, Converter::Json { schemas_enable }) => {
                Shape::BsonBase64 { schemas_enable }
            }
            (OutputFormat::Bson, Converter::String) => return Err(EncoderError::BsonAsString),
        };
        Ok(Self { shape, java: JavaVersion::default() })
    }

    /// The same where another Java runs the connector than [`JavaVersion::V17`].
    pub fn by(self, java: JavaVersion) -> Self {
        Self { java, ..self }
    }

    /// The encoder of `output.format.key|value=schema`.
    ///
    /// # Errors
    /// [`EncoderError`] if the converter cannot take structs.
    pub fn schema(output: SchemaOutput, converter: Converter) -> Result<Self, EncoderError> {
        let encoder = match converter {
            Converter::String => SchemaEncoder::java_text(output),
            Converter::Json { schemas_enable } => SchemaEncoder::json(output, schemas_enable),
            Converter::ByteArray => return Err(EncoderError::SchemaAsByteArray),
        };
        Ok(Self { shape: Shape::Schema(Arc::new(encoder)), java: JavaVersion::default() })
    }

    /// The encoder of text as it is.
    pub(crate) fn text(formatter: JsonFormatter) -> Self {
        Self { shape: Shape::JsonText(formatter), java: JavaVersion::default() }
    }

    /// Appends the record bytes of `document`. Allocates only where `out` grows.
    ///
    /// # Errors
    /// [`EncodeError`], with a part written: the caller truncates `out`. Raw bytes are not looked
    /// into, so malformed elements are no error there.
    pub fn encode(&self, document: RawDoc<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.shape {
            Shape::JsonText(formatter) => {
                json::write_as::<false>(formatter, self.java, document, out)?;
            }
            Shape::JsonLiteral { formatter, schemas_enable } => {
                if schemas_enable {
                    out.extend_from_slice(STRING_ENVELOPE);
                }
                out.push(b'"');
                json::write_as::<true>(formatter, self.java, document, out)?;
                out.extend_from_slice(if schemas_enable { b"\"}" } else { b"\"" });
            }
            Shape::BsonRaw => out.extend_from_slice(document.as_bytes()),
            Shape::BsonBase64 { schemas_enable } => {
                if schemas_enable {
                    out.extend_from_slice(BYTES_ENVELOPE);
                }
                out.push(b'"');
                write_base64(document.as_bytes(), out);
                out.extend_from_slice(if schemas_enable { b"\"}" } else { b"\"" });
            }
            Shape::Schema(ref encoder) => encoder.encode(document, out)?,
        }
        Ok(())
    }

    /// Bytes that [`Encoder::encode`] is likely to append: exact or one envelope too many for BSON,
    /// a guess on the large side for JSON (text with many escapes takes up to six times as many).
    pub fn size_hint(&self, document: RawDoc<'_>) -> usize {
        let bytes = document.as_bytes().len();
        match self.shape {
            Shape::JsonText(
                JsonFormatter::Default | JsonFormatter::Simplified | JsonFormatter::Relaxed,
            ) => bytes.saturating_mul(3) / 2,
            Shape::JsonText(JsonFormatter::Extended) => bytes.saturating_mul(2),
            Shape::JsonLiteral { .. } => bytes.saturating_mul(2).saturating_add(ENVELOPE_BYTES),
            Shape::BsonRaw => bytes,
            Shape::BsonBase64 { .. } => base64_len(bytes).saturating_add(ENVELOPE_BYTES),
            Shape::Schema(ref encoder) => encoder.size_hint(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);

    const ALL: [(OutputFormat, Converter); 6] = [
        (JSON, Converter::String),
        (JSON, Converter::Json { schemas_enable: false }),
        (JSON, Converter::Json { schemas_enable: true }),
        (OutputFormat::Bson, Converter::ByteArray),
        (OutputFormat::Bson, Converter::Json { schemas_enable: false }),
        (OutputFormat::Bson, Converter::Json { schemas_enable: true }),
    ];

    fn encode(
        (format, converter): (OutputFormat, Converter),
        document: &bson::Document,
    ) -> Vec<u8> {
        let bytes = document.to_vec().expect("a document has bytes");
        let document = RawDoc::new(&bytes).expect("valid");
        let encoder = Encoder::new(format, converter).expect("they go together");
        let mut out = b"before".to_vec();
        encoder.encode(document, &mut out).expect("valid");
        out.split_off(6)
    }

    #[test]
    fn every_pair_that_goes_together_has_its_shape() {
        let document = doc! { "a": 1 };
        let expected: [&[u8]; 6] = [
            br#"{"a": 1}"#,
            br#""{\"a\": 1}""#,
            br#"{"schema":{"type":"string","optional":false},"payload":"{\"a\": 1}"}"#,
            b"\x0c\0\0\0\x10a\0\x01\0\0\0\0",
            br#""DAAAABBhAAEAAAAA""#,
            br#"{"schema":{"type":"bytes","optional":false},"payload":"DAAAABBhAAEAAAAA"}"#,
        ];
        for (pair, expected) in ALL.into_iter().zip(expected) {
            assert_eq!(encode(pair, &document), expected, "{pair:?}");
        }
    }

    #[test]
    fn pairs_that_cannot_work_are_refused_with_the_remedy() {
        let error = Encoder::new(OutputFormat::Bson, Converter::String).expect_err("refused");
        assert!(error.to_string().contains("ByteArrayConverter"));
        let error = Encoder::new(JSON, Converter::ByteArray).expect_err("refused");
        assert!(error.to_string().contains("StringConverter"));
    }

    proptest! {
        #[test]
        fn a_literal_read_as_json_is_the_text(
            texts in proptest::collection::vec(any::<String>(), 0..4),
            code in "[\"\\\\\\\\a]{0,8}", id in any::<[u8; 12]>(), binary in any::<[u8; 5]>(),
        ) {
            let document = doc! {
                "texts": texts, "code": bson::Bson::JavaScriptCode(code),
                "id": bson::oid::ObjectId::from_bytes(id), "int": 7, "long": 5_i64, "double": 0.1,
                "nan": f64::NAN, "symbol": bson::Bson::Symbol("\"".to_owned()),
                "regex": bson::Regex {
                    pattern: "\"\\".try_into().expect("no zero"),
                    options: "i".try_into().expect("no zero"),
                },
                "decimal": bson::Decimal128::from_bytes([1; 16]),
                "at": bson::DateTime::from_millis(7),
                "ts": bson::Timestamp { time: 1, increment: 2 },
                "bin": bson::Binary {
                    subtype: bson::spec::BinarySubtype::Generic,
                    bytes: binary.to_vec(),
                },
                "min": bson::Bson::MinKey, "max": bson::Bson::MaxKey, "u": bson::Bson::Undefined,
            };
            for formatter in
                [JsonFormatter::Default, JsonFormatter::Extended, JsonFormatter::Simplified]
            {
                let written = |converter| encode((OutputFormat::Json(formatter), converter), &document);
                let literal = Converter::Json { schemas_enable: false };
                let envelope = Converter::Json { schemas_enable: true };
                let text = String::from_utf8(written(Converter::String)).expect("UTF-8");
                let read: String = serde_json::from_slice(&written(literal)).expect("JSON");
                prop_assert_eq!(&read, &text);
                let read: serde_json::Value =
                    serde_json::from_slice(&written(envelope)).expect("JSON");
                prop_assert_eq!(read["payload"].as_str(), Some(text.as_str()));
            }
        }
    }
}
