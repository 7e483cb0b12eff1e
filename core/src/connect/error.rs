//! Why a document is no value of its schema, in Java's words where Java has any.

use std::fmt;

use crate::format::FormatError;
use crate::mongo::bson::BsonError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversionError {
    /// The document has no text, or is no BSON.
    Format(FormatError),
    /// A field that must be there is not.
    MissingField {
        /// The field.
        field: String,
        /// What it was looked for in, as text.
        document: String,
    },
    /// A value of another type than its schema has.
    UnexpectedType {
        /// Of the schema.
        wanted: &'static str,
        /// Of the value.
        found: &'static str,
    },
    /// A decimal that `BigDecimal` has no value for.
    NoBigDecimal,
    /// A field without a name, for which no schema can be inferred.
    EmptyFieldName,
    /// Bytes for `StringConverter`.
    BytesAsText,
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::MissingField { field, document } => {
                write!(f, "Missing field '{field}' in: '{document}'")
            }
            Self::UnexpectedType { wanted, found } => {
                write!(f, "Schema type of {wanted} but value was of type: {found}")
            }
            Self::NoBigDecimal => f.write_str(
                "a decimal128 that is no number, infinite or -0 has no value of type Decimal",
            ),
            Self::EmptyFieldName => {
                f.write_str("fieldName cannot be null: a field without a name fits into no schema")
            }
            Self::BytesAsText => f.write_str(
                "StringConverter has no text for bytes (Java writes the name and hash of an array); use \
                 JsonConverter",
            ),
        }
    }
}

impl std::error::Error for ConversionError {}

impl From<FormatError> for ConversionError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<BsonError> for ConversionError {
    fn from(error: BsonError) -> Self {
        Self::Format(FormatError::Bson(error))
    }
}
