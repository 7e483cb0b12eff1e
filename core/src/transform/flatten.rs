//! `Flatten`: the fields of structs within a struct, each with its path as its name.
//!
//! A field is optional where anything on its path is. Arrays stay as they are; maps are taken apart only where there is
//! no schema.

use std::sync::Arc;

use super::error::TransformError;
use super::record::{Record, Side};
use super::structure::{Structure, put_default, require_map};
use crate::connect::{Datum, Field, Kind, Schema, Value};

const PURPOSE: &str = "flattening";

/// See the module.
#[derive(Clone, Debug)]
pub struct Flatten {
    /// What.
    pub side: Side,
    /// `delimiter`: what stands between the names of a path.
    pub delimiter: String,
}

impl Flatten {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let flat = match datum {
            Datum { value: Value::Null, .. } => datum,
            Datum { schema: None, value } => {
                let mut flat = Vec::new();
                self.flatten_map(require_map(value, PURPOSE)?, "", &mut flat)?;
                Datum { schema: None, value: Value::Map(flat) }
            }
            Datum { schema: Some(schema), value: Value::Struct(values) } => {
                self.flatten_struct(&schema, &values)?
            }
            Datum { value, .. } => {
                let found = value.class_name();
                return Err(TransformError::NotAStruct { purpose: PURPOSE, found });
            }
        };
        *record.side_mut(self.side) = flat;
        Ok(record)
    }

    fn name(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() { name.to_owned() } else { [prefix, &self.delimiter, name].concat() }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "every other kind stays as it is")]
    fn flatten_map(
        &self,
        entries: Vec<(String, Value)>,
        prefix: &str,
        flat: &mut Vec<(String, Value)>,
    ) -> Result<(), TransformError> {
        for (name, value) in entries {
            let name = self.name(prefix, &name);
            match value {
                Value::Map(inner) => self.flatten_map(inner, &name, flat)?,
                value => match flat.iter_mut().find(|(there, _)| *there == name) {
                    Some((_, there)) => *there = value,
                    None => flat.push((name, value)),
                },
            }
        }
        Ok(())
    }

    fn flatten_struct(&self, schema: &Schema, values: &[Value]) -> Result<Datum, TransformError> {
        let mut fields = Vec::new();
        let default = match &schema.default {
            Some(Value::Struct(values)) => Some(values.as_slice()),
            _ => None,
        };
        self.flatten_fields(schema, "", schema.optional, default, &mut fields)?;
        let mut flat_values = Vec::new();
        flatten_values(schema, Some(values), &mut flat_values);
        let flat = fields.into_iter().zip(flat_values).collect();
        Ok(Structure::build(schema, flat)?.into_datum())
    }

    /// `optional`: something around is; `default`: the values that what is around has by default.
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other kind stays as it is")]
    fn flatten_fields(
        &self,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        default: Option<&[Value]>,
        flat: &mut Vec<Field>,
    ) -> Result<(), TransformError> {
        for (place, field) in schema.fields().iter().enumerate() {
            let name = self.name(prefix, &field.name);
            let optional = optional || field.schema.optional;
            let of_parent = default.and_then(|values| values.get(place));
            let of_parent = of_parent.filter(|value| **value != Value::Null);
            let default = field.schema.default.as_ref().or(of_parent);
            match &field.schema.kind {
                Kind::Struct(_) => {
                    let inner = match default {
                        Some(Value::Struct(values)) => Some(values.as_slice()),
                        _ => None,
                    };
                    self.flatten_fields(&field.schema, &name, optional, inner, flat)?;
                }
                Kind::Map(_) => {
                    return Err(TransformError::CannotFlatten { kind: "MAP", field: name });
                }
                _ => {
                    let schema = Schema {
                        optional,
                        default: default.cloned(),
                        ..Schema::clone(&field.schema)
                    };
                    flat.push(Field { name, schema: Arc::new(schema) });
                }
            }
        }
        Ok(())
    }
}

/// The values in the order of the flat fields; those below a null are never put.
fn flatten_values(schema: &Schema, values: Option<&[Value]>, flat: &mut Vec<Option<Value>>) {
    for (place, field) in schema.fields().iter().enumerate() {
        let mut value = values.and_then(|values| values.get(place)).cloned().unwrap_or(Value::Null);
        // Java looks for a default of what it keeps, not of what it takes apart.
        if values.is_some() && !matches!(field.schema.kind, Kind::Struct(_)) {
            put_default(&field.schema, &mut value);
        }
        match (&field.schema.kind, value) {
            (Kind::Struct(_), Value::Struct(inner)) => {
                flatten_values(&field.schema, Some(&inner), flat);
            }
            (Kind::Struct(_), _) => flatten_values(&field.schema, None, flat),
            (_, value) => flat.push(values.is_some().then_some(value)),
        }
    }
}
