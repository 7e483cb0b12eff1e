//! `SetSchemaMetadata`: another name or version for the schema of a struct. Java 4.1.0 fails on every other one.

use std::sync::Arc;

use super::error::TransformError;
use super::record::{Record, Side};
use super::structure::put_default;
use crate::connect::{Kind, Schema, Value};

/// See the module.
#[derive(Clone, Debug)]
pub struct SetSchemaMetadata {
    /// Whose schema.
    pub side: Side,
    /// `schema.name`
    pub name: Option<String>,
    /// `schema.version`
    pub version: Option<i32>,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

impl SetSchemaMetadata {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.side_mut(self.side);
        let Some(schema) = &datum.schema else {
            if datum.value == Value::Null {
                return Ok(record);
            }
            return Err(TransformError::NoSchema { purpose: "updating schema metadata" });
        };
        if !matches!(schema.kind, Kind::Struct(_)) {
            return Err(TransformError::NoFieldsToList);
        }
        let mut changed = Schema::clone(schema);
        changed.name = self.name.clone().or(changed.name);
        changed.version = self.version.or(changed.version);
        if let (Kind::Struct(fields), Value::Struct(values)) = (&changed.kind, &mut datum.value)
            && self.replace_null_with_default
        {
            for (field, value) in fields.iter().zip(values) {
                put_default(&field.schema, value);
            }
        }
        datum.schema = Some(Arc::new(changed));
        Ok(record)
    }
}
