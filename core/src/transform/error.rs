//! Why a transformation cannot be applied, in the words of Java's exceptions.

use std::fmt;

use crate::route::java_pattern::ReplacementError;

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
        /// The field.
        field: String,
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
            Self::DuplicateField(name) => {
                write!(f, "Cannot create field because of field name duplication {name}")
            }
            Self::InvalidObject { schema, kind, class, field } => {
                f.write_str("Invalid Java object for schema")?;
                if let Some(schema) = schema {
                    write!(f, " \"{schema}\"")?;
                }
                let kind = kind.to_ascii_uppercase();
                write!(f, " with type {kind}: class {class} for field: \"{field}\"")
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
