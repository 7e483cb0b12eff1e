//! Why a transformation cannot be applied, in the words of Java's exceptions.

use std::fmt;

use crate::java_pattern::ReplacementError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// A key or value that has to be a struct.
    NotAStruct {
        /// What for.
        purpose: &'static str,
        /// Java's class.
        found: &'static str,
    },
    /// A key or value without a schema that has to be a map.
    NotAMap {
        /// What for.
        purpose: &'static str,
        /// Java's class.
        found: &'static str,
    },
    /// `InsertField` with `offset.field`, which records of a source connector do not have.
    NotASinkRecord {
        /// What for.
        purpose: &'static str,
    },
    /// A value without a schema that needs one.
    NoSchema {
        /// What for.
        purpose: &'static str,
    },
    /// The fields of a schema that is of no struct.
    NoFieldsToList,
    /// A field to extract is not there.
    UnknownField(String),
    /// A field for the key is not there.
    MissingField(String),
    /// A renamed field is not there.
    NotAFieldName(String),
    /// A field for a header is not there.
    NoFieldForHeader,
    /// A value of a type that has no mask.
    CannotMask {
        /// Java's class.
        class: &'static str,
    },
    /// A value of a type that has no replacement.
    CannotMaskWith {
        /// Java's class.
        class: &'static str,
    },
    /// A replacement that is no number, for a field that is one.
    NotANumber(String),
    /// The same for a decimal.
    NotADecimal(String),
    /// A cast of something that is made of parts.
    CastFrom(&'static str),
    /// A cast of something to a number that has none.
    CastOf(&'static str),
    /// A text that is not of the type it is cast to.
    OutOfRange(String),
    /// A map inside of a struct.
    CannotFlatten {
        /// Its type.
        kind: &'static str,
        /// Its path.
        field: String,
    },
    /// `TimestampConverter` for a schema that is of no point in time; as Java prints it.
    NoTimeSchema(String),
    /// `TimestampConverter` for a value that is no point in time.
    NoTime {
        /// Java's class.
        class: &'static str,
    },
    /// `TimestampConverter` for a text, without a format.
    NoDateFormat,
    /// A text that does not fit its format.
    NotATime {
        /// The text.
        text: String,
        /// The format.
        pattern: String,
    },
    /// Two fields of one name.
    DuplicateField(String),
    /// A value of another class than its field has.
    InvalidObject {
        /// Name of the field's schema.
        schema: Option<String>,
        /// Type of the field, in lower case.
        kind: &'static str,
        /// Java's class of the value.
        class: &'static str,
        /// The field, or what in it.
        place: String,
    },
    /// A null where none may be.
    NullForRequired {
        /// The field, or what in it.
        place: String,
        /// Its type, in lower case.
        kind: &'static str,
    },
    /// The replacement of a topic is wrong.
    Replacement(ReplacementError),
    /// An expression backtracks without end over a topic. Java would go on.
    CostlyPattern {
        /// The expression.
        pattern: String,
        /// The topic.
        topic: String,
    },
    /// `TimestampRouter` for a record that has no timestamp: for each of a source connector's.
    NoTimestamp {
        /// Where the record goes.
        topic: String,
    },
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAStruct { purpose, found } => {
                write!(f, "Only Struct objects supported for [{purpose}], found: {found}")
            }
            Self::NotAMap { purpose, found } => write!(
                f,
                "Only Map objects supported in absence of schema for [{purpose}], found: {found}"
            ),
            Self::NotASinkRecord { purpose } => write!(
                f,
                "Only SinkRecord supported for [{purpose}], found: \
                 org.apache.kafka.connect.source.SourceRecord"
            ),
            Self::NoSchema { purpose } => write!(f, "Schema required for [{purpose}]"),
            Self::NoFieldsToList => f.write_str("Cannot list fields on non-struct type"),
            Self::UnknownField(name) => write!(f, "Unknown field: {name}"),
            Self::MissingField(name) => write!(f, "Field does not exist: {name}"),
            Self::NotAFieldName(name) => write!(f, "{name} is not a valid field name"),
            Self::NoFieldForHeader => f.write_str(
                "Cannot invoke \"org.apache.kafka.connect.data.Field.schema()\" because the return value of \
                 \"org.apache.kafka.connect.data.Schema.field(String)\" is null",
            ),
            Self::CannotMask { class } => write!(f, "Cannot mask value of type: class {class}"),
            Self::CannotMaskWith { class } => {
                write!(f, "Cannot mask value of type class {class} with custom replacement.")
            }
            Self::NotANumber(text) => {
                write!(f, "Unable to convert {text} (class java.lang.String) to a number")
            }
            Self::NotADecimal(text) => {
                write!(f, "Unable to convert {text} (class java.lang.String) to number")
            }
            Self::CastFrom(kind) => write!(
                f,
                "Cast transformation does not support casting from {kind}; supported types are [INT8, INT16, \
                 INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"
            ),
            Self::CastOf(class) => {
                write!(f, "Unexpected type in Cast transformation: class {class}")
            }
            Self::OutOfRange(text) => {
                write!(f, "Value ({text}) was out of range for requested data type")
            }
            Self::CannotFlatten { kind, field } => write!(
                f,
                "Flatten transformation does not support {kind} for record with schemas (for field {field})."
            ),
            Self::NoTimeSchema(schema) => write!(
                f,
                "Schema Schema{{{schema}}} does not correspond to a known timestamp type format"
            ),
            Self::NoTime { class } => {
                write!(f, "TimestampConverter does not support class {class} objects as timestamps")
            }
            Self::NoDateFormat => f.write_str(
                "Cannot invoke \"java.text.SimpleDateFormat.parse(String)\" because \"config.format\" is null",
            ),
            Self::NotATime { text, pattern } => write!(
                f,
                "Could not parse timestamp: value ({text}) does not match pattern ({pattern})"
            ),
            Self::DuplicateField(name) => {
                write!(f, "Cannot create field because of field name duplication {name}")
            }
            Self::InvalidObject { schema, kind, class, place } => {
                f.write_str("Invalid Java object for schema")?;
                if let Some(schema) = schema {
                    write!(f, " \"{schema}\"")?;
                }
                let kind = kind.to_ascii_uppercase();
                write!(f, " with type {kind}: class {class} for {place}")
            }
            Self::NullForRequired { place, kind } => {
                let kind = kind.to_ascii_uppercase();
                write!(f, "Invalid value: null used for required {place}, schema type: {kind}")
            }
            Self::Replacement(error) => error.fmt(f),
            Self::CostlyPattern { pattern, topic } => {
                write!(f, "the expression {pattern:?} backtracks without an end over topic {topic}")
            }
            Self::NoTimestamp { topic } => {
                write!(f, "Timestamp missing on record: SourceRecord for topic {topic}")
            }
        }
    }
}

impl std::error::Error for TransformError {}
