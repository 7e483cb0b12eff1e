//! What a value may be: `org.apache.kafka.connect.data.Schema`, as far as the MongoDB connector and the
//! transformations of Connect's box make them.
//!
//! The logical types are kinds of their own: their name and version follow from that. A cast may leave such a
//! name on another kind, which no converter but `StringConverter` then takes. There is no `doc`, and there are
//! no parameters but the scale of a decimal.

use std::sync::Arc;

use super::value::Value;

/// What a value is, without what is said of it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are those of Connect's types")]
pub enum Kind {
    Boolean,
    Int8,
    Int16,
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
    /// `org.apache.kafka.connect.data.Date`: the days of an int32, a time at midnight as a value.
    Date,
    /// `org.apache.kafka.connect.data.Time`: the milliseconds of an int32, a time of 1970-01-01 as a value.
    Time,
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
    /// Its name, if it has another than its kind.
    pub name: Option<String>,
    /// Its version, if it has another than its kind.
    pub version: Option<i32>,
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
        Self { kind, optional, name: None, version: None, default: None }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its own name, or that of its logical type.
    pub fn full_name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.kind.logical_name())
    }

    /// Its own version, or that of its logical type.
    pub fn full_version(&self) -> Option<i32> {
        self.version.or_else(|| self.kind.logical_name().map(|_| 1))
    }

    /// A required schema of `kind` with the name and the version of this one
    /// (`SchemaUtil.copySchemaBasics`).
    #[must_use]
    pub fn basics(&self, kind: Kind) -> Self {
        let (name, version) = (self.full_name().map(str::to_owned), self.full_version());
        Self { kind, optional: false, name, version, default: None }
    }

    /// The fields of a struct; of everything else none.
    pub fn fields(&self) -> &[Field] {
        if let Kind::Struct(fields) = &self.kind { fields } else { &[] }
    }

    /// Where the field of this name is.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name == name)
    }

    /// The schema of what an array or a map holds.
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other kind has none of it")]
    pub(crate) fn items(&self) -> Option<&Self> {
        match &self.kind {
            Kind::Array(of) | Kind::Map(of) => Some(of),
            _ => None,
        }
    }

    /// Whether any value below it is bytes.
    pub fn holds_bytes(&self) -> bool {
        match &self.kind {
            Kind::Bytes => true,
            Kind::Array(of) | Kind::Map(of) => of.holds_bytes(),
            Kind::Struct(fields) => fields.iter().any(|field| field.schema.holds_bytes()),
            Kind::Boolean
            | Kind::Int8
            | Kind::Int16
            | Kind::Int32
            | Kind::Int64
            | Kind::Float32
            | Kind::Float64
            | Kind::String
            | Kind::Decimal { .. }
            | Kind::Timestamp
            | Kind::Date
            | Kind::Time => false,
        }
    }
}

impl Kind {
    /// What Java calls the type (`Schema.Type.getName`).
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 | Self::Date | Self::Time => "int32",
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

    /// The name of a logical type.
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other kind has none of it")]
    pub fn logical_name(&self) -> Option<&'static str> {
        match self {
            Self::Decimal { .. } => Some(DECIMAL),
            Self::Timestamp => Some(TIMESTAMP),
            Self::Date => Some(DATE),
            Self::Time => Some(TIME),
            _ => None,
        }
    }

    /// The type below a logical type; others are themselves.
    #[must_use]
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other kind has none of it")]
    pub fn base(&self) -> Self {
        match self {
            Self::Decimal { .. } => Self::Bytes,
            Self::Timestamp => Self::Int64,
            Self::Date | Self::Time => Self::Int32,
            other => other.clone(),
        }
    }

    /// Whether Java's class for `value` is one for this type. What a value holds is not looked at, and null is
    /// nobody's.
    pub fn takes(&self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Boolean, Value::Boolean(_))
                | (Self::Int8, Value::Int8(_))
                | (Self::Int16, Value::Int16(_))
                | (Self::Int32, Value::Int32(_))
                | (Self::Int64, Value::Int64(_))
                | (Self::Float32, Value::Float32(_))
                | (Self::Float64, Value::Float64(_))
                | (Self::String, Value::String(_))
                | (Self::Bytes, Value::Bytes(_))
                | (Self::Decimal { .. }, Value::Decimal(_))
                | (Self::Timestamp | Self::Date | Self::Time, Value::Timestamp(_))
                | (Self::Array(_), Value::Array(_))
                | (Self::Map(_), Value::Map(_))
                | (Self::Struct(_), Value::Struct(_))
        )
    }
}

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";

/// The logical type that has this name, in short, and the class of its values.
pub(super) fn logical_type(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        DECIMAL => Some(("Decimal", "BigDecimal")),
        TIMESTAMP => Some(("Timestamp", "Date")),
        DATE => Some(("Date", "Date")),
        TIME => Some(("Time", "Date")),
        _ => None,
    }
}
