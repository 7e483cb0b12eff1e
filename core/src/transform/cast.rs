//! `Cast`: fields, or the whole, as another type.
//!
//! Numbers are cut as Java cuts them, texts are read as Java reads them, bytes become base 64. Of a logical type a cast
//! to anything but text sees the number below it; cast as a whole it keeps its name, which then fits no value any more.

use std::sync::Arc;

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, put_default, require_map, struct_kind};
use crate::connect::{Datum, Kind, Schema, Value, date_text, header_text};

const PURPOSE: &str = "cast types";
const MS_PER_DAY: i64 = 86_400_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Of what.
    pub side: Side,
    /// `spec`
    pub spec: CastSpec,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// What is cast.
#[derive(Clone, Debug, PartialEq)]
pub enum CastSpec {
    /// All of it.
    Whole(Kind),
    /// These fields. Of two for one field the last counts.
    Fields(Vec<(String, Kind)>),
}

impl Cast {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let cast = match (datum, &self.spec) {
            (datum @ Datum { value: Value::Null, .. }, _) => datum,
            (Datum { schema, value }, CastSpec::Whole(target)) => whole(schema, &value, target)?,
            (Datum { schema: None, value }, CastSpec::Fields(casts)) => {
                let entries = require_map(value, PURPOSE)?;
                let mut map = HashMap::copy_of(entries.clone());
                for (name, target) in casts {
                    let value = entries.iter().find(|(there, _)| there == name);
                    let value = value.map_or(&Value::Null, |(_, value)| value);
                    map.put(name.clone(), cast_value(None, value, target)?);
                }
                Datum { schema: None, value: map.into_value() }
            }
            (datum, CastSpec::Fields(casts)) => self.fields(datum, casts)?,
        };
        *record.side_mut(self.side) = cast;
        Ok(record)
    }

    fn fields(&self, datum: Datum, casts: &[(String, Kind)]) -> Result<Datum, TransformError> {
        let Structure { schema: old, mut values } = Structure::of(datum, PURPOSE)?;
        let mut fields = old.fields().to_vec();
        for (field, value) in fields.iter_mut().zip(&mut values) {
            if self.replace_null_with_default {
                put_default(&field.schema, value);
            }
            let target = casts.iter().rfind(|(name, _)| *name == field.name);
            if let Some((_, target)) = target {
                *value = cast_value(Some(&field.schema), value, target)?;
                field.schema = Arc::new(cast_schema(&field.schema, target)?);
            }
        }
        let schema = Schema { optional: old.optional, ..old.basics(struct_kind(fields)?) };
        if old.default.is_some() {
            // Java casts the default of a struct to a struct, and says that it cannot.
            return Err(TransformError::CastFrom("STRUCT"));
        }
        Ok(Structure::checked(Arc::new(schema), values)?.into_datum())
    }
}

fn whole(
    schema: Option<Arc<Schema>>,
    value: &Value,
    target: &Kind,
) -> Result<Datum, TransformError> {
    let Some(schema) = schema else {
        return Ok(Datum { schema: None, value: cast_value(None, value, target)? });
    };
    let default = schema.default.as_ref();
    let default = default.map(|default| cast_value(Some(&schema), default, target)).transpose()?;
    let cast = Schema { optional: schema.optional, default, ..schema.basics(target.clone()) };
    Ok(Datum::new(cast, cast_value(Some(&schema), value, target)?))
}

/// The schema of a field: nothing is kept of the old one but whether it is optional, and its default.
fn cast_schema(old: &Schema, target: &Kind) -> Result<Schema, TransformError> {
    let default = old.default.as_ref();
    let default = default.map(|default| cast_value(Some(old), default, target)).transpose()?;
    Ok(Schema { default, ..Schema::new(target.clone(), old.optional) })
}

fn cast_value(
    schema: Option<&Schema>,
    value: &Value,
    target: &Kind,
) -> Result<Value, TransformError> {
    let encoded = match (value, schema.map(|schema| &schema.kind)) {
        (Value::Null, _) => return Ok(Value::Null),
        (Value::Array(_), _) => return Err(TransformError::CastFrom("ARRAY")),
        (Value::Map(_), _) => return Err(TransformError::CastFrom("MAP")),
        (Value::Struct(_), _) => return Err(TransformError::CastFrom("STRUCT")),
        (Value::Timestamp(unix_ms), Some(Kind::Date)) => {
            Value::Int32(unix_ms.div_euclid(MS_PER_DAY) as i32)
        }
        (Value::Timestamp(unix_ms), Some(Kind::Time)) => Value::Int32(*unix_ms as i32),
        (Value::Timestamp(unix_ms), _) => Value::Int64(*unix_ms),
        (other, _) => other.clone(),
    };
    let out_of_range = |text: &str| TransformError::OutOfRange(text.to_owned());
    Ok(match (target, &encoded) {
        (Kind::String, _) => Value::String(text_of(value)),
        (_, Value::Bytes(_)) => return Err(TransformError::CastOf("[B")),
        (Kind::Boolean, Value::String(text)) => Value::Boolean(text.eq_ignore_ascii_case("true")),
        (Kind::Boolean, number) => Value::Boolean(whole_number(number) != 0),
        (Kind::Int8, Value::String(text)) => {
            Value::Int8(text.parse().map_err(|_| out_of_range(text))?)
        }
        (Kind::Int16, Value::String(text)) => {
            Value::Int16(text.parse().map_err(|_| out_of_range(text))?)
        }
        (Kind::Int32, Value::String(text)) => {
            Value::Int32(text.parse().map_err(|_| out_of_range(text))?)
        }
        (Kind::Int64, Value::String(text)) => {
            Value::Int64(text.parse().map_err(|_| out_of_range(text))?)
        }
        (Kind::Float32, Value::String(text)) => {
            Value::Float32(read_float(text).ok_or_else(|| out_of_range(text))?)
        }
        (_, Value::String(text)) => {
            Value::Float64(read_float(text).ok_or_else(|| out_of_range(text))?)
        }
        // A short number is an int that is cut, also where it is made of a long double.
        (Kind::Int8, number) => Value::Int8(int_number(number) as i8),
        (Kind::Int16, number) => Value::Int16(int_number(number) as i16),
        (Kind::Int32, number) => Value::Int32(int_number(number)),
        (Kind::Int64, number) => Value::Int64(whole_number(number)),
        (Kind::Float32, number) => Value::Float32(single(number)),
        (_, number) => Value::Float64(double(number)),
    })
}

/// `Number.longValue`
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no number")]
fn whole_number(value: &Value) -> i64 {
    match value {
        Value::Boolean(value) => i64::from(*value),
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        Value::Float32(number) => *number as i64,
        Value::Float64(number) => *number as i64,
        Value::Decimal(decimal) => decimal.to_i64(),
        _ => 0,
    }
}

/// `Number.intValue`: of floating points the nearest that an int can be, of others the lower half.
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no number")]
fn int_number(value: &Value) -> i32 {
    match value {
        Value::Float32(number) => *number as i32,
        Value::Float64(number) => *number as i32,
        other => whole_number(other) as i32,
    }
}

/// `Number.doubleValue`
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no number")]
fn double(value: &Value) -> f64 {
    match value {
        Value::Float32(number) => f64::from(*number),
        Value::Float64(number) => *number,
        Value::Decimal(decimal) => decimal.to_string().parse().unwrap_or(f64::NAN),
        other => whole_number(other) as f64,
    }
}

/// `Number.floatValue`
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no number")]
fn single(value: &Value) -> f32 {
    match value {
        Value::Float32(number) => *number,
        Value::Float64(number) => *number as f32,
        Value::Decimal(decimal) => decimal.to_string().parse().unwrap_or(f32::NAN),
        other => whole_number(other) as f32,
    }
}

/// `toString()`, but for bytes and points in time.
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no number")]
fn text_of(value: &Value) -> String {
    match value {
        Value::Timestamp(unix_ms) => date_text(*unix_ms),
        other => header_text(&Datum { schema: None, value: other.clone() }).unwrap_or_default(),
    }
}

/// `Float.parseFloat`, `Double.parseDouble`, hexadecimal notation aside.
fn read_float<F: std::str::FromStr>(text: &str) -> Option<F> {
    let text = text.trim_matches(|next: char| next <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = unsigned == "NaN" || unsigned == "Infinity";
    if is_word {
        return text.parse().ok();
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let is_number =
        number.bytes().all(|next| matches!(next, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
    if is_number { number.parse().ok() } else { None }
}

/// Reads `spec`: pairs of field and type, or one type.
///
/// # Errors
/// [`CastSpecError`], as Java says it.
pub fn read_spec(items: &[String]) -> Result<CastSpec, CastSpecError> {
    let mut fields = Vec::new();
    let mut whole = None;
    for item in items {
        let parts: Vec<&str> = item.split(':').collect();
        // Java's split leaves out what is empty at the end.
        let count = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        match parts.get(..count) {
            Some([kind]) => whole = Some(read_kind(kind)?),
            Some([field, kind]) => fields.push((field.trim().to_owned(), read_kind(kind)?)),
            _ => return Err(CastSpecError::NotAPair(item.clone())),
        }
    }
    match whole {
        Some(_) if items.len() > 1 => Err(CastSpecError::WholeAndMore),
        Some(kind) => Ok(CastSpec::Whole(kind)),
        None if fields.is_empty() => Err(CastSpecError::Empty),
        None => Ok(CastSpec::Fields(fields)),
    }
}

fn read_kind(text: &str) -> Result<Kind, CastSpecError> {
    let text = text.trim();
    Ok(match text.to_ascii_lowercase().as_str() {
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float32" => Kind::Float32,
        "float64" => Kind::Float64,
        "boolean" => Kind::Boolean,
        "string" => Kind::String,
        "bytes" | "array" | "map" | "struct" => {
            return Err(CastSpecError::CastTo(text.to_ascii_uppercase()));
        }
        _ => return Err(CastSpecError::UnknownType(text.to_owned())),
    })
}

/// What is wrong with the `spec` of `Cast`. The messages are Java's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CastSpecError {
    /// Nothing is there.
    Empty,
    /// More than a field and a type.
    NotAPair(String),
    /// No type has this name.
    UnknownType(String),
    /// A type that nothing is cast to.
    CastTo(String),
    /// All of it, and something else.
    WholeAndMore,
}

impl std::fmt::Display for CastSpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Must specify at least one field to cast."),
            Self::NotAPair(item) => write!(f, "Invalid rename mapping: {item}"),
            Self::UnknownType(text) => write!(f, "Invalid type found in casting spec: {text}"),
            Self::CastTo(kind) => write!(
                f,
                "Cast transformation does not support casting to {kind}; supported types are [INT8, INT16, \
                 INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"
            ),
            Self::WholeAndMore => f.write_str(
                "Cast transformations that specify a type to cast the entire value to may only specify a single \
                 cast in their spec",
            ),
        }
    }
}

impl std::error::Error for CastSpecError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(value: Value, target: Kind) -> Result<Value, String> {
        cast_value(None, &value, &target).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_cut_and_texts_read_as_java_does_it() {
        let text = |text: &str| Value::String(text.to_owned());
        for (value, target, want) in [
            (Value::Float64(1e300), Kind::Int8, Value::Int8(-1)),
            (Value::Float64(300.7), Kind::Int8, Value::Int8(44)),
            (Value::Float64(f64::NAN), Kind::Int64, Value::Int64(0)),
            (Value::Int64((1 << 32) + 5), Kind::Int32, Value::Int32(5)),
            (Value::Boolean(true), Kind::Float32, Value::Float32(1.0)),
            (Value::Int32(-1), Kind::Boolean, Value::Boolean(true)),
            (Value::Float64(0.9), Kind::Boolean, Value::Boolean(false)),
            (text("TRUE"), Kind::Boolean, Value::Boolean(true)),
            (text(" 1.5d "), Kind::Float64, Value::Float64(1.5)),
            (text("-Infinity"), Kind::Float32, Value::Float32(f32::NEG_INFINITY)),
            (text("+12"), Kind::Int16, Value::Int16(12)),
            (Value::Float64(1.0), Kind::String, text("1.0")),
            (Value::Bytes(vec![1, 2]), Kind::String, text("AQI=")),
            (Value::Timestamp(86_400_000), Kind::String, text("1970-01-02")),
        ] {
            assert_eq!(cast(value.clone(), target), Ok(want), "{value:?}");
        }
        for (value, message) in [
            (text("300"), "Value (300) was out of range for requested data type"),
            (text("inf"), "Value (inf) was out of range for requested data type"),
            (Value::Bytes(vec![]), "Unexpected type in Cast transformation: class [B"),
        ] {
            let target = if value == text("inf") { Kind::Float32 } else { Kind::Int8 };
            assert_eq!(cast(value, target), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_spec_is_one_type_or_pairs() {
        let read = |spec: &str| {
            let items: Vec<String> = spec.split(',').map(str::to_owned).collect();
            read_spec(&items).map_err(|error| error.to_string())
        };
        assert_eq!(read("INT8"), Ok(CastSpec::Whole(Kind::Int8)));
        let fields = vec![("a".to_owned(), Kind::String), ("b".to_owned(), Kind::Float64)];
        assert_eq!(read("a : string,b:FLOAT64"), Ok(CastSpec::Fields(fields)));
        assert_eq!(read("a:"), Err("Invalid type found in casting spec: a".to_owned()));
        assert_eq!(read("a:b:c"), Err("Invalid rename mapping: a:b:c".to_owned()));
        assert!(
            read("a:bytes").unwrap_err().contains("casting to BYTES; supported types are [INT8")
        );
        assert!(read("int8,a:int8").unwrap_err().contains("may only specify a single"));
    }
}
