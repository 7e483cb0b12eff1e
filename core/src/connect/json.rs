//! Values and schemas as `JsonConverter` of Connect 4.1.0 writes them.
//!
//! ```text
//!  {"schema":{"type":"struct","fields":[{"type":"int32","optional":true,"field":"a"}],
//!             "optional":false,"name":"default"},
//!   "payload":{"a":1}}
//! ```
//!
//! The text is Jackson's: no spaces; control characters as `\u001F`, characters beyond the basic plane as
//! two such escapes in upper case, all else as it is; numbers by `toString`, in quotes where JSON has none.

use std::io::Write as _;

use super::decimal::Decimal;
use super::error::ConversionError;
use super::schema::{Kind, Schema, logical_type};
use super::value::Value;
use crate::format::binary::write_base64;
use crate::format::{decimal128, double};

/// How decimals are written (`decimal.format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalFormat {
    /// The digits as a whole number, big-endian, in base 64.
    #[default]
    Base64,
    /// As a number.
    Numeric,
}

/// The settings of `JsonConverter` that concern values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonSettings {
    /// `decimal.format`
    pub decimals: DecimalFormat,
    /// `replace.null.with.default`: whether a null is written as the default of its schema.
    pub replace_null_with_default: bool,
}

impl JsonSettings {
    /// What counts where nothing is set.
    pub const DEFAULT: Self =
        Self { decimals: DecimalFormat::Base64, replace_null_with_default: true };
}

const MS_PER_DAY: i64 = 86_400_000;

/// Appends the JSON of `schema`; `field` is its name in the struct around it.
pub(super) fn write_schema(
    schema: &Schema,
    field: Option<&str>,
    settings: JsonSettings,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(match &schema.kind {
        Kind::Boolean => b"boolean\"",
        Kind::Int8 => b"int8\"",
        Kind::Int16 => b"int16\"",
        Kind::Int32 | Kind::Date | Kind::Time => b"int32\"",
        Kind::Int64 | Kind::Timestamp => b"int64\"",
        Kind::Float32 => b"float\"",
        Kind::Float64 => b"double\"",
        Kind::String => b"string\"",
        Kind::Bytes | Kind::Decimal { .. } => b"bytes\"",
        Kind::Array(_) => br#"array","items":"#,
        Kind::Map(_) => br#"map","keys":{"type":"string","optional":false},"values":"#,
        Kind::Struct(_) => br#"struct","fields":["#,
    });
    match &schema.kind {
        Kind::Array(of) | Kind::Map(of) => write_schema(of, None, settings, out),
        Kind::Struct(fields) => {
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_schema(&field.schema, Some(&field.name), settings, out);
            }
            out.push(b']');
        }
        Kind::Boolean
        | Kind::Int8
        | Kind::Int16
        | Kind::Int32
        | Kind::Int64
        | Kind::Float32
        | Kind::Float64
        | Kind::String
        | Kind::Bytes
        | Kind::Decimal { .. }
        | Kind::Timestamp
        | Kind::Date
        | Kind::Time => {}
    }
    write_facts(schema, settings, out);
    if let Some(field) = field {
        out.extend_from_slice(br#","field":"#);
        write_text(field, out);
    }
    out.push(b'}');
}

/// Appends what is said of the values of `schema`.
fn write_facts(schema: &Schema, settings: JsonSettings, out: &mut Vec<u8>) {
    out.extend_from_slice(br#","optional":"#);
    out.extend_from_slice(if schema.optional { b"true" } else { b"false" });
    if let Some(name) = schema.full_name() {
        out.extend_from_slice(br#","name":"#);
        write_text(name, out);
    }
    if let Some(version) = schema.full_version() {
        let _ = write!(out, r#","version":{version}"#);
    }
    if let Kind::Decimal { scale } = schema.kind {
        let _ = write!(out, r#","parameters":{{"scale":"{scale}"}}"#);
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(br#","default":"#);
        // A default is a value of its schema: there is nothing that could fail.
        let _ = write_value(Some(schema), default, settings, out);
    }
}

/// Appends the JSON of `value`. Without a schema it is what its class says.
///
/// # Errors
/// [`ConversionError`] if it does not fit its schema, with a part written.
pub(super) fn write_value(
    schema: Option<&Schema>,
    value: &Value,
    settings: JsonSettings,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    if let (Some(schema), Value::Null) = (schema, value) {
        return match &schema.default {
            Some(default) if settings.replace_null_with_default => {
                write_value(Some(schema), default, settings, out)
            }
            _ if schema.optional => write_value(None, value, settings, out),
            _ => Err(ConversionError::NullForRequired),
        };
    }
    if let Some(schema) = schema {
        check(schema, value, settings.decimals)?;
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Int8(number) => write_integer(*number, out),
        Value::Int16(number) => write_integer(*number, out),
        Value::Int32(number) => write_integer(*number, out),
        Value::Int64(number) => write_integer(*number, out),
        Value::Timestamp(unix_ms) => match schema.map(|schema| &schema.kind) {
            Some(Kind::Date) => write_integer(unix_ms.div_euclid(MS_PER_DAY), out),
            _ => write_integer(*unix_ms, out),
        },
        Value::Float32(number) => {
            write_number(number.is_finite(), out, |out| double::write_float(*number, out));
        }
        Value::Float64(number) => {
            write_number(number.is_finite(), out, |out| double::write::<false>(*number, out));
        }
        Value::String(text) => write_text(text, out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Decimal(Decimal { unscaled, scale }) => match settings.decimals {
            DecimalFormat::Numeric => decimal128::write_big_decimal(*unscaled, *scale, out),
            DecimalFormat::Base64 => write_bytes(minimal_bytes(&unscaled.to_be_bytes()), out),
        },
        Value::Array(values) => {
            let of = schema.and_then(Schema::items);
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(of, value, settings, out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            let of = schema.and_then(Schema::items);
            let members = entries.iter().map(|(name, value)| (name.as_str(), of, value));
            write_object(members, settings, out)?;
        }
        Value::Struct(values) => {
            let fields = schema.map(Schema::fields).unwrap_or_default();
            let members = fields.iter().zip(values);
            let members =
                members.map(|(field, value)| (field.name.as_str(), Some(&*field.schema), value));
            write_object(members, settings, out)?;
        }
    }
    Ok(())
}

/// Whether a value that is there fits its schema.
fn check(schema: &Schema, value: &Value, decimals: DecimalFormat) -> Result<(), ConversionError> {
    let class = value.class_name();
    if let Some(wanted) = schema.full_name().and_then(logical_type)
        && !(schema.kind.logical_name().is_some() && schema.kind.takes(value))
    {
        return Err(ConversionError::InvalidLogicalType { wanted, class });
    }
    if !schema.kind.takes(value) {
        return Err(ConversionError::InvalidType { wanted: schema.kind.type_name(), class });
    }
    match (&schema.kind, value) {
        (Kind::Decimal { scale }, Value::Decimal(decimal))
            if decimals == DecimalFormat::Base64 && decimal.scale != *scale =>
        {
            Err(ConversionError::DecimalScale)
        }
        (Kind::Date, Value::Timestamp(unix_ms)) if unix_ms % MS_PER_DAY != 0 => {
            Err(ConversionError::TimeInDate)
        }
        (Kind::Time, Value::Timestamp(unix_ms)) if !(0..=MS_PER_DAY).contains(unix_ms) => {
            Err(ConversionError::DateInTime)
        }
        _ => Ok(()),
    }
}

fn write_object<'a>(
    members: impl Iterator<Item = (&'a str, Option<&'a Schema>, &'a Value)>,
    settings: JsonSettings,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    out.push(b'{');
    for (index, (name, schema, value)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_value(schema, value, settings, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number that may be none: Jackson puts quotes around `NaN` and `Infinity`.
fn write_number(is_finite: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let quote: &[u8] = if is_finite { b"" } else { b"\"" };
    out.extend_from_slice(quote);
    write(out);
    out.extend_from_slice(quote);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_base64(bytes, out);
    out.push(b'"');
}

/// `BigInteger.toByteArray`: the fewest bytes that keep the sign.
fn minimal_bytes(bytes: &[u8; 16]) -> &[u8] {
    let needless = bytes.windows(2).take_while(|pair| {
        matches!(pair, [0, second] if *second < 0x80)
            || matches!(pair, [0xff, second] if *second >= 0x80)
    });
    bytes.get(needless.count()..).unwrap_or_default()
}

/// Appends a JSON string.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\' || c > '\u{ffff}') {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(character) = characters.next() {
            write_escape(character, out);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

fn write_escape(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_escaped_as_jackson_does() {
        let mut out = Vec::new();
        write_text("a\"\\\u{8}\t\n\u{c}\r\u{1f}\u{7f}é\u{2028}\u{30fc}😀/", &mut out);
        let want = "\"a\\\"\\\\\\b\\t\\n\\f\\r\\u001F\u{7f}é\u{2028}\u{30fc}\\uD83D\\uDE00/\"";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn the_bytes_of_a_decimal_are_the_fewest_that_keep_its_sign() {
        for (number, bytes) in [
            (0_i128, &[0_u8][..]),
            (127, &[127]),
            (128, &[0, 128]),
            (-1, &[255]),
            (-128, &[128]),
            (-129, &[255, 127]),
            (256, &[1, 0]),
        ] {
            assert_eq!(minimal_bytes(&number.to_be_bytes()), bytes, "{number}");
        }
    }

    /// `JsonConverter.convertToJson` of Connect 4.1.0.
    #[test]
    fn a_null_is_the_default_of_its_schema_only_where_that_is_wanted() {
        let written = |optional, replace_null_with_default| {
            let default = Some(Value::Int32(7));
            let schema = Schema { default, ..Schema::new(Kind::Int32, optional) };
            let settings = JsonSettings { replace_null_with_default, ..JsonSettings::DEFAULT };
            let mut out = Vec::new();
            write_value(Some(&schema), &Value::Null, settings, &mut out)
                .map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(written(true, true).as_deref(), Ok("7"));
        assert_eq!(written(true, false).as_deref(), Ok("null"));
        assert_eq!(written(false, true).as_deref(), Ok("7"));
        assert_eq!(written(false, false), Err(ConversionError::NullForRequired));
    }

    proptest! {
        #[test]
        fn a_text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
