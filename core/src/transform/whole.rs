//! `HoistField` and `ValueToKey`: a key or a value put into a field, and fields of the value made the key.

use std::sync::Arc;

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, require_map, struct_kind};
use crate::connect::{Datum, Field, Kind, Schema, Value};

const KEY_PURPOSE: &str = "copying fields from value to key";

/// `HoistField`: all of it becomes the one field of a struct, or of a map where there is no schema.
pub(super) fn hoist(mut record: Record, side: Side, name: &str) -> Result<Record, TransformError> {
    let Datum { schema, value } = record.take(side);
    *record.side_mut(side) = match schema {
        Some(schema) => {
            let field = Field { name: name.to_owned(), schema };
            let schema = Arc::new(Schema::new(Kind::Struct(vec![field]), false));
            Structure::checked(schema, vec![value])?.into_datum()
        }
        None => {
            let mut map = HashMap::new();
            map.put(name.to_owned(), value);
            Datum { schema: None, value: map.into_value() }
        }
    };
    Ok(record)
}

/// `ValueToKey`
#[derive(Clone, Debug)]
pub struct ValueToKey {
    /// `fields` of the value.
    pub fields: Vec<String>,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

impl ValueToKey {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let value = record.value.clone();
        record.key = match value.schema {
            None => {
                let entries = require_map(value.value, KEY_PURPOSE)?;
                let mut map = HashMap::with_capacity(self.fields.len());
                for name in &self.fields {
                    let value = entries.iter().find(|(there, _)| there == name);
                    let value = value.map_or(Value::Null, |(_, value)| value.clone());
                    map.put(name.clone(), value);
                }
                Datum { schema: None, value: map.into_value() }
            }
            Some(_) => self.key_of_struct(value)?,
        };
        Ok(record)
    }

    fn key_of_struct(&self, value: Datum) -> Result<Datum, TransformError> {
        let value =
            Structure::of(value, KEY_PURPOSE)?.with_defaults(self.replace_null_with_default);
        let mut fields = Vec::new();
        let mut values = Vec::new();
        for name in &self.fields {
            let missing = || TransformError::MissingField(name.clone());
            let place = value.schema.place(name).ok_or_else(missing)?;
            let field = value.fields().get(place).ok_or_else(missing)?;
            fields.push(Field { name: name.clone(), schema: Arc::clone(&field.schema) });
            values.push(value.values.get(place).cloned().unwrap_or(Value::Null));
        }
        let schema = Arc::new(Schema::new(struct_kind(fields)?, false));
        Ok(Structure::checked(schema, values)?.into_datum())
    }
}
