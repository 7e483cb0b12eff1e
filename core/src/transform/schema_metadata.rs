//! `SetSchemaMetadata`: another name or version for the schema of a struct. Java 4.1.0 fails on every other one.

use std::sync::Arc;

use super::error::TransformError;
use super::record::{Record, Side};
use super::structure::Structure;
use crate::connect::{Kind, Schema, Value};

const PURPOSE: &str = "updating schema metadata";

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
            return Err(TransformError::NoSchema { purpose: PURPOSE });
        };
        if !matches!(schema.kind, Kind::Struct(_)) {
            return Err(TransformError::NoFieldsToList);
        }
        let mut changed = Schema::clone(schema);
        changed.name = self.name.clone().or(changed.name);
        changed.version = self.version.or(changed.version);
        let changed = Arc::new(changed);
        if datum.value == Value::Null {
            datum.schema = Some(changed);
            return Ok(record);
        }
        let structure = Structure::of(record.take(self.side), PURPOSE)?
            .with_defaults(self.replace_null_with_default);
        *record.side_mut(self.side) = Structure::checked(changed, structure.values)?.into_datum();
        Ok(record)
    }
}
