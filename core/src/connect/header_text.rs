//! Values as `Values.convertToString` prints them, which is what `SimpleHeaderConverter` writes.
//!
//! ```text
//!  a text as it is     [1,"a \"quoted\" text",null]     {"field":1,"of":{"a":"struct"}}     2024-02-29T00:00:00.001Z
//! ```
//!
//! Bytes are in base 64. A point in time is printed as a date if it is a midnight, as a time before 1970-01-02, else
//! as both; in UTC, where Java takes the zone of its machine.

use std::fmt::Write as _;

use super::datum::Datum;
use super::java_text::civil;
use super::schema::Schema;
use super::value::Value;
use crate::format::binary::write_base64;
use crate::format::{decimal128, double};

const MS_PER_DAY: i64 = 86_400_000;

/// The text of `datum`; a null has none.
pub(crate) fn header_text(datum: &Datum) -> Option<String> {
    if datum.value == Value::Null {
        return None;
    }
    let mut out = String::new();
    append(datum.schema.as_deref(), &datum.value, false, &mut out);
    Some(out)
}

fn append(schema: Option<&Schema>, value: &Value, is_embedded: bool, out: &mut String) {
    let number = |out: &mut String, write: &dyn Fn(&mut Vec<u8>)| {
        let mut text = Vec::new();
        write(&mut text);
        out.push_str(&String::from_utf8_lossy(&text));
    };
    // Writing to a text does not fail.
    let _ = match value {
        Value::Null => out.write_str("null"),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Int8(value) => write!(out, "{value}"),
        Value::Int16(value) => write!(out, "{value}"),
        Value::Int32(value) => write!(out, "{value}"),
        Value::Int64(value) => write!(out, "{value}"),
        Value::Float32(value) => return number(out, &|text| double::write_float(*value, text)),
        Value::Float64(value) => return number(out, &|text| double::write::<false>(*value, text)),
        Value::Decimal(decimal) => {
            return number(out, &|text| {
                decimal128::write_big_decimal(decimal.unscaled, decimal.scale, text);
            });
        }
        Value::String(text) if is_embedded => {
            write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Value::String(text) => out.write_str(text),
        Value::Bytes(bytes) => {
            let quote = if is_embedded { "\"" } else { "" };
            out.push_str(quote);
            number(out, &|text| write_base64(bytes, text));
            out.write_str(quote)
        }
        Value::Timestamp(unix_ms) => return out.push_str(&date_text(*unix_ms)),
        Value::Array(values) => {
            out.push('[');
            let of = schema.and_then(Schema::items);
            joined(values.iter(), out, |value, out| append(of, value, true, out));
            out.write_char(']')
        }
        Value::Map(entries) => {
            let of = schema.and_then(Schema::items);
            out.push('{');
            joined(entries.iter(), out, |(name, value), out| member(name, of, value, out));
            out.write_char('}')
        }
        Value::Struct(values) => {
            out.push('{');
            let fields = schema.map(Schema::fields).unwrap_or_default();
            joined(fields.iter().zip(values), out, |(field, value), out| {
                let value = match (&field.schema.default, value) {
                    (Some(default), Value::Null) => default,
                    _ => value,
                };
                member(&field.name, Some(&field.schema), value, out);
            });
            out.write_char('}')
        }
    };
}

fn joined<T>(
    items: impl Iterator<Item = T>,
    out: &mut String,
    mut append: impl FnMut(T, &mut String),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        append(item, out);
    }
}

fn member(name: &str, schema: Option<&Schema>, value: &Value, out: &mut String) {
    append(None, &Value::String(name.to_owned()), true, out);
    out.push(':');
    append(schema, value, true, out);
}

/// A point in time by the pattern of `Values.dateFormatFor`.
pub(crate) fn date_text(unix_ms: i64) -> String {
    let time = || {
        let ms = unix_ms.rem_euclid(MS_PER_DAY);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        format!("{hour:02}:{minute:02}:{:02}.{:03}Z", ms / 1_000 % 60, ms % 1_000)
    };
    let date = || {
        let (year, month, day) = civil(unix_ms.div_euclid(MS_PER_DAY));
        format!("{year:04}-{:02}-{day:02}", month + 1)
    };
    match unix_ms {
        _ if unix_ms < MS_PER_DAY => time(),
        _ if unix_ms % MS_PER_DAY == 0 => date(),
        _ => format!("{}T{}", date(), time()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_printed_by_what_they_hold() {
        for (unix_ms, want) in [
            (-1, "23:59:59.999Z"),
            (0, "00:00:00.000Z"),
            (86_399_999, "23:59:59.999Z"),
            (86_400_000, "1970-01-02"),
            (1_709_164_800_000, "2024-02-29"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
        ] {
            assert_eq!(date_text(unix_ms), want);
        }
    }

    #[test]
    fn texts_are_quoted_inside_of_others_only() {
        let text = |value| header_text(&Datum { schema: None, value });
        let quoted = Value::String(r#"a"\"#.to_owned());
        assert_eq!(text(quoted.clone()).as_deref(), Some(r#"a"\"#));
        let array = Value::Array(vec![quoted, Value::Null, Value::Bytes(vec![1])]);
        assert_eq!(text(array).as_deref(), Some(r#"["a\"\\",null,"AQ=="]"#));
        let map = Value::Map(vec![("k".to_owned(), Value::Int8(1))]);
        assert_eq!(text(map).as_deref(), Some(r#"{"k":1}"#));
        assert_eq!(text(Value::Null), None);
    }
}
