//! A value beside its schema: `org.apache.kafka.connect.data.SchemaAndValue`.

use std::sync::Arc;

use super::schema::{Kind, Schema};
use super::value::Value;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// `None`: a tombstone, or what a transformation has made of one.
    pub schema: Option<Arc<Schema>>,
    /// What it is.
    pub value: Value,
}

impl Datum {
    /// A null without a schema, as the value of a tombstone is.
    pub const NULL: Self = Self { schema: None, value: Value::Null };

    /// A value with a schema.
    pub fn new(schema: impl Into<Arc<Schema>>, value: Value) -> Self {
        Self { schema: Some(schema.into()), value }
    }

    /// A text that is always there (`STRING_SCHEMA`).
    pub fn string(text: String) -> Self {
        Self::new(Schema::new(Kind::String, false), Value::String(text))
    }

    /// Bytes that are always there (`BYTES_SCHEMA`).
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::new(Schema::new(Kind::Bytes, false), Value::Bytes(bytes))
    }
}
