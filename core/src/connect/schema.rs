//! What a value may be: `org.apache.kafka.connect.data.Schema`, as far as the MongoDB connector makes them.
//!
//! The logical types are kinds of their own: their name and version follow from that. There are no versions
//! of other schemas, no `doc` and no parameters but the scale of a decimal.

use std::sync::Arc;

use super::value::Value;

/// What a value is, without what is said of it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are those of Connect's types")]
pub enum Kind {
    Boolean,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
    /// `org.apache.kafka.connect.data.Decimal`: bytes with a fixed scale.
    Decimal {
        /// Decimal digits behind the point; negative ones are zeros before it.
        scale: i32,
    },
    /// `org.apache.kafka.connect.data.Timestamp`: milliseconds since 1970-01-01 UTC.
    Timestamp,
    /// Of values of one schema.
    Array(Arc<Schema>),
    /// From texts to values of one schema.
    Map(Arc<Schema>),
    /// Fields in their order.
    Struct(Vec<Field>),
}

/// A kind, and what is said of the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// What a value is.
    pub kind: Kind,
    /// Whether it may be null.
    pub optional: bool,
    /// Its name, if it is no logical type.
    pub name: Option<String>,
    /// What stands for a missing field.
    pub default: Option<Value>,
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub schema: Arc<Schema>,
}

impl Schema {
    /// A schema without a name and a default.
    pub fn new(kind: Kind, optional: bool) -> Self {
        Self { kind, optional, name: None, default: None }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether any value below it is bytes.
    pub fn holds_bytes(&self) -> bool {
        match &self.kind {
            Kind::Bytes => true,
            Kind::Array(of) | Kind::Map(of) => of.holds_bytes(),
            Kind::Struct(fields) => fields.iter().any(|field| field.schema.holds_bytes()),
            Kind::Boolean
            | Kind::Int32
            | Kind::Int64
            | Kind::Float32
            | Kind::Float64
            | Kind::String
            | Kind::Decimal { .. }
            | Kind::Timestamp => false,
        }
    }
}

impl Kind {
    /// What Java calls the type (`Schema.Type.getName`).
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int32 => "int32",
            Self::Int64 | Self::Timestamp => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bytes | Self::Decimal { .. } => "bytes",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
        }
    }
}
