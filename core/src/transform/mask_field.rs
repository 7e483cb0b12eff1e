//! `MaskField`: nothing, or what the operator says, in the place of the values of fields.

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, require_map};
use crate::connect::{Datum, Decimal, Value};

const PURPOSE: &str = "mask fields";

/// See the module.
#[derive(Clone, Debug)]
pub struct MaskField {
    /// Whose fields.
    pub side: Side,
    /// `fields`
    pub fields: Vec<String>,
    /// `replacement`; `None`: zero, false, an empty text, …
    pub replacement: Option<String>,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

impl MaskField {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let masked = match datum {
            Datum { schema: None, value } => {
                let entries = require_map(value, PURPOSE)?;
                let mut map = HashMap::copy_of(entries.clone());
                for name in &self.fields {
                    let value = entries.iter().find(|(there, _)| there == name);
                    let value = value.map_or(Ok(Value::Null), |(_, value)| self.masked(value))?;
                    map.put(name.clone(), value);
                }
                Datum { schema: None, value: map.into_value() }
            }
            Datum { schema: Some(_), .. } => self.mask_struct(datum)?,
        };
        *record.side_mut(self.side) = masked;
        Ok(record)
    }

    fn mask_struct(&self, datum: Datum) -> Result<Datum, TransformError> {
        let mut structure =
            Structure::of(datum, PURPOSE)?.with_defaults(self.replace_null_with_default);
        for name in &self.fields {
            if let Some(place) = structure.schema.place(name)
                && let Some(value) = structure.values.get_mut(place)
            {
                *value = self.masked(value)?;
            }
        }
        Ok(Structure::checked(structure.schema, structure.values)?.into_datum())
    }

    fn masked(&self, value: &Value) -> Result<Value, TransformError> {
        match &self.replacement {
            None => nothing_like(value),
            Some(replacement) => replaced(value, replacement),
        }
    }
}

fn nothing_like(value: &Value) -> Result<Value, TransformError> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::String(String::new()),
        Value::Decimal(_) => Value::Decimal(Decimal { unscaled: 0, scale: 0 }),
        Value::Timestamp(_) => Value::Timestamp(0),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Bytes(_) | Value::Struct(_) => {
            return Err(TransformError::CannotMask { class: value.class_name() });
        }
    })
}

fn replaced(value: &Value, replacement: &str) -> Result<Value, TransformError> {
    let parsed = Decimal::parse(replacement);
    let number = || parsed.ok_or_else(|| TransformError::NotANumber(replacement.to_owned()));
    let double = || number().map(|_| replacement.parse::<f64>().unwrap_or(f64::NAN));
    Ok(match value {
        Value::Null => Value::Null,
        Value::Int8(_) => Value::Int8(number()?.to_i64() as i8),
        Value::Int16(_) => Value::Int16(number()?.to_i64() as i16),
        Value::Int32(_) => Value::Int32(number()?.to_i64() as i32),
        Value::Int64(_) => Value::Int64(number()?.to_i64()),
        Value::Float32(_) => Value::Float32(double()? as f32),
        Value::Float64(_) => Value::Float64(double()?),
        Value::Decimal(_) => {
            let text = || TransformError::NotADecimal(replacement.to_owned());
            Value::Decimal(parsed.ok_or_else(text)?)
        }
        Value::String(_) => Value::String(replacement.to_owned()),
        Value::Boolean(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => {
            return Err(TransformError::CannotMaskWith { class: value.class_name() });
        }
    })
}
