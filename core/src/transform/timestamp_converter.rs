//! `TimestampConverter`: a point in time as another type.
//!
//! ```text
//!  string, by format ┐                       ┌ string, by format
//!  int64, by unit    ├─► milliseconds ──────►├ int64, by unit (unix)
//!  Date, Time,       │   since 1970-01-01    ├ Date: its midnight; Time: as if of 1970-01-01
//!  Timestamp         ┘                       └ Timestamp
//! ```

use std::sync::Arc;

use super::date_format::DateFormat;
use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, put_default, require_map, struct_kind};
use crate::connect::{Datum, Kind, Schema, Value};

const PURPOSE: &str = "converting timestamp formats";
const MS_PER_DAY: i64 = 86_400_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct TimestampConverter {
    /// Of what.
    pub side: Side,
    /// `field`; empty: all of it.
    pub field: String,
    /// `target.type`
    pub target: TimeType,
    /// `format`, for texts.
    pub format: Option<DateFormat>,
    /// `unix.precision`
    pub unit: TimeUnit,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// What a point in time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the setting")]
pub enum TimeType {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

/// What a whole number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the setting")]
pub enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeType {
    fn schema(self, optional: bool) -> Schema {
        let kind = match self {
            Self::Text => Kind::String,
            Self::Unix => Kind::Int64,
            Self::Date => Kind::Date,
            Self::Time => Kind::Time,
            Self::Timestamp => Kind::Timestamp,
        };
        Schema::new(kind, optional)
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is no point in time")]
    fn of_schema(schema: &Schema) -> Result<Self, TransformError> {
        let kind = &schema.kind;
        match kind {
            Kind::Timestamp => Ok(Self::Timestamp),
            Kind::Date => Ok(Self::Date),
            Kind::Time => Ok(Self::Time),
            Kind::String => Ok(Self::Text),
            Kind::Int64 => Ok(Self::Unix),
            _ => {
                let name = schema.full_name().map(|name| format!("{name}:")).unwrap_or_default();
                let kind = kind.type_name().to_ascii_uppercase();
                Err(TransformError::NoTimeSchema(format!("{name}{kind}")))
            }
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is no point in time")]
    fn of_value(value: &Value) -> Result<Self, TransformError> {
        match value {
            Value::Timestamp(_) => Ok(Self::Timestamp),
            Value::Int64(_) => Ok(Self::Unix),
            Value::String(_) => Ok(Self::Text),
            other => Err(TransformError::NoTime { class: other.class_name() }),
        }
    }
}

impl TimestampConverter {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let converted = match datum {
            Datum { schema: Some(schema), value } if self.field.is_empty() => {
                let source = TimeType::of_schema(&schema)?;
                Datum::new(self.target.schema(schema.optional), self.convert(value, source)?)
            }
            Datum { schema: Some(schema), value } => self.convert_field(&schema, value)?,
            Datum { schema: None, value: Value::Null } => Datum::NULL,
            Datum { schema: None, value } if self.field.is_empty() => {
                Datum { schema: None, value: self.convert_inferred(value)? }
            }
            Datum { schema: None, value } => {
                let entries = require_map(value, PURPOSE)?;
                let value = entries.iter().find(|(name, _)| *name == self.field);
                let value = value.map_or(Value::Null, |(_, value)| value.clone());
                let mut map = HashMap::copy_of(entries);
                map.put(self.field.clone(), self.convert_inferred(value)?);
                Datum { schema: None, value: map.into_value() }
            }
        };
        *record.side_mut(self.side) = converted;
        Ok(record)
    }

    fn convert_field(&self, schema: &Arc<Schema>, value: Value) -> Result<Datum, TransformError> {
        let structure = if value == Value::Null {
            None
        } else {
            Some(Structure::of(Datum::new(Arc::clone(schema), value), PURPOSE)?)
        };
        if !matches!(schema.kind, Kind::Struct(_)) {
            return Err(TransformError::NoFieldsToList);
        }
        let mut fields = schema.fields().to_vec();
        for field in fields.iter_mut().filter(|field| field.name == self.field) {
            field.schema = Arc::new(self.target.schema(field.schema.optional));
        }
        let changed = Schema { optional: schema.optional, ..schema.basics(struct_kind(fields)?) };
        let Some(Structure { mut values, .. }) = structure else {
            return Ok(Datum::new(changed, Value::Null));
        };
        for (field, value) in schema.fields().iter().zip(&mut values) {
            if self.replace_null_with_default {
                put_default(&field.schema, value);
            }
            if field.name == self.field {
                let source = TimeType::of_schema(&field.schema)?;
                *value = self.convert(std::mem::replace(value, Value::Null), source)?;
            }
        }
        Ok(Structure::checked(Arc::new(changed), values)?.into_datum())
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is no point in time")]
    fn convert_inferred(&self, value: Value) -> Result<Value, TransformError> {
        match value {
            Value::Null => Ok(Value::Null),
            value => {
                let source = TimeType::of_value(&value)?;
                self.convert(value, source)
            }
        }
    }

    fn convert(&self, value: Value, source: TimeType) -> Result<Value, TransformError> {
        if value == Value::Null {
            return Ok(Value::Null);
        }
        let unix_ms = self.read(&value, source)?;
        Ok(match self.target {
            TimeType::Text => {
                let format = self.format.as_ref().ok_or(TransformError::NoDateFormat)?;
                Value::String(format.write(unix_ms))
            }
            TimeType::Unix => Value::Int64(match self.unit {
                TimeUnit::Seconds => unix_ms / 1_000,
                TimeUnit::Milliseconds => unix_ms,
                TimeUnit::Microseconds => unix_ms.saturating_mul(1_000),
                TimeUnit::Nanoseconds => unix_ms.saturating_mul(1_000_000),
            }),
            TimeType::Date => {
                Value::Timestamp(unix_ms.wrapping_sub(unix_ms.rem_euclid(MS_PER_DAY)))
            }
            TimeType::Time => Value::Timestamp(unix_ms.rem_euclid(MS_PER_DAY)),
            TimeType::Timestamp => Value::Timestamp(unix_ms),
        })
    }

    fn read(&self, value: &Value, source: TimeType) -> Result<i64, TransformError> {
        match (source, value) {
            (TimeType::Text, Value::String(text)) => {
                let format = self.format.as_ref().ok_or(TransformError::NoDateFormat)?;
                format.read(text).ok_or_else(|| TransformError::NotATime {
                    text: text.clone(),
                    pattern: format.pattern().to_owned(),
                })
            }
            (TimeType::Unix, Value::Int64(number)) => Ok(match self.unit {
                TimeUnit::Seconds => number.saturating_mul(1_000),
                TimeUnit::Milliseconds => *number,
                TimeUnit::Microseconds => number / 1_000,
                TimeUnit::Nanoseconds => number / 1_000_000,
            }),
            (TimeType::Date | TimeType::Time | TimeType::Timestamp, Value::Timestamp(unix_ms)) => {
                Ok(*unix_ms)
            }
            (_, other) => Err(TransformError::NoTime { class: other.class_name() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `connect-transforms` 4.1.0.
    #[test]
    fn a_field_of_what_is_no_struct_is_refused_by_its_value_before_its_schema() {
        let converter = TimestampConverter {
            side: Side::Value,
            field: "f".to_owned(),
            target: TimeType::Unix,
            format: None,
            unit: TimeUnit::Milliseconds,
            replace_null_with_default: true,
        };
        let schema = Arc::new(Schema::new(Kind::Int32, true));
        for (value, message) in [
            (Value::Null, "Cannot list fields on non-struct type"),
            (
                Value::Int32(1),
                "Only Struct objects supported for [converting timestamp formats], found: \
                 java.lang.Integer",
            ),
        ] {
            let error = converter.convert_field(&schema, value).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
