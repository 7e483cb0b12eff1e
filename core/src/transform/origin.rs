//! What the connector hands over: a document as a value of Connect (`output.format.key`, `output.format.value`).
//!
//! | format | schema | value |
//! |---|---|---|
//! | `json` | `STRING_SCHEMA` | the text |
//! | `bson` | `BYTES_SCHEMA` | the document |
//! | `schema` | given or inferred | a struct |

use crate::connect::{Datum, SchemaOutput};
use crate::format::{Converter, EncodeError, Encoder, EncoderError, JavaVersion};
use crate::format::{JsonFormatter, OutputFormat};
use crate::mongo::bson::RawDoc;

/// See the module.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Text, by an encoder that adds nothing to it.
    Text(Encoder),
    /// The document as it is.
    Bson,
    /// A struct.
    Schema(SchemaOutput),
}

impl Origin {
    /// The text of `formatter`, as `java` writes it.
    ///
    /// # Errors
    /// Never: text goes with the converter of text.
    pub fn text(formatter: JsonFormatter, java: JavaVersion) -> Result<Self, EncoderError> {
        let encoder = Encoder::new(OutputFormat::Json(formatter), Converter::String)?;
        Ok(Self::Text(encoder.by(java)))
    }

    /// What `document` is.
    ///
    /// # Errors
    /// [`EncodeError`] if it has no text, or does not fit its schema.
    pub(crate) fn datum(&self, document: RawDoc<'_>) -> Result<Datum, EncodeError> {
        match self {
            Self::Text(encoder) => {
                let mut text = Vec::new();
                encoder.encode(document, &mut text)?;
                // Formatters write UTF-8 and nothing else.
                Ok(Datum::string(String::from_utf8_lossy(&text).into_owned()))
            }
            Self::Bson => Ok(Datum::bytes(document.as_bytes().to_vec())),
            Self::Schema(output) => Ok(output.datum(document)?),
        }
    }
}
