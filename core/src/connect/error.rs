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
    /// A null where `JsonConverter` has neither leave nor a default for it.
    NullForRequired,
    /// For `JsonConverter` a value of another class than its schema has.
    InvalidType {
        /// Of the schema, in lower case.
        wanted: &'static str,
        /// Class of the value.
        class: &'static str,
    },
    /// For `JsonConverter` a schema with the name of a logical type and a value of another class.
    InvalidLogicalType {
        /// Short name of the type and of its values' class.
        wanted: (&'static str, &'static str),
        /// Class of the value.
        class: &'static str,
    },
    /// A decimal of another scale than its schema has.
    DecimalScale,
    /// A `Date` that is not at midnight.
    TimeInDate,
    /// A `Time` of another day than the first.
    DateInTime,
    /// For `ByteArrayConverter` a schema of another type, in lower case.
    SchemaForByteArray(&'static str),
    /// For `ByteArrayConverter` a value of another class.
    ValueForByteArray(&'static str),
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
            Self::NullForRequired => f.write_str(
                "Conversion error: null value for field that is required and has no default value",
            ),
            Self::InvalidType { wanted: "bytes", class } => {
                write!(f, "Invalid type for bytes type: class {class}")
            }
            Self::InvalidType { wanted, class } => {
                write!(f, "Invalid type for {}: class {class}", wanted.to_ascii_uppercase())
            }
            Self::InvalidLogicalType { wanted: (logical, expected), class } => {
                write!(f, "Invalid type for {logical}, expected {expected} but was class {class}")
            }
            Self::DecimalScale => f.write_str("Decimal value has mismatching scale value"),
            Self::TimeInDate => f.write_str(
                "Kafka Connect Date type should not have any time fields set to non-zero values.",
            ),
            Self::DateInTime => f.write_str(
                "Kafka Connect Time type should not have any date fields set to non-zero values.",
            ),
            Self::SchemaForByteArray(kind) => {
                write!(f, "Invalid schema type for ByteArrayConverter: {}", kind.to_ascii_uppercase())
            }
            Self::ValueForByteArray(class) => {
                write!(f, "ByteArrayConverter is not compatible with objects of type class {class}")
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
