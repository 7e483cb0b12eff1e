//! A document as a value of a given schema.
//!
//! ```text
//!  schema            takes                                          makes
//!  string            strings; documents; all else                   the text; JSON; JSON without quotes around it
//!  int32, int64, …   int32, int64, double, date, timestamp          the number, cut to the type; milliseconds
//!  boolean           booleans
//!  bytes             strings, binary values, documents              UTF-8; the bytes; BSON
//!  array, map        arrays; documents
//!  struct            documents: each field by its name, or along a dotted path
//! ```
//!
//! Null is null where the schema allows it. A field that is missing is its default, else null, else an error.
//! A name that occurs twice: the first counts in a struct, the last in a map and what lies in it. Source:
//! `BsonValueToSchemaAndValue` and `BsonDocumentFieldLookup` of mongo-kafka-connect 2.0.1, `Values` of
//! `connect-api` 4.1.0.

use super::decimal::Decimal;
use super::decoded;
use super::error::ConversionError;
use super::schema::{Field, Kind, Schema};
use super::value::Value;
use crate::format::utf8::to_text;
use crate::format::{JsonFormatter, decimal128, json};
use crate::mongo::bson::{BsonError, Elements, RawDoc, RawValue};

/// A value where it lies, with its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
    pub(super) value: RawValue<'a>,
    /// Of the value alone.
    pub(super) bytes: &'a [u8],
}

/// The value that `schema` has for `document`; JSON texts inside it are those of `formatter`.
///
/// # Errors
/// [`ConversionError`] if a required field is missing, or a value does not fit.
pub(super) fn project(
    schema: &Schema,
    document: RawDoc<'_>,
    formatter: JsonFormatter,
) -> Result<Value, ConversionError> {
    Projection { formatter }.document(schema, document)
}

#[derive(Clone, Copy)]
struct Projection {
    formatter: JsonFormatter,
}

impl Projection {
    fn value(self, schema: &Schema, item: &Item<'_>) -> Result<Value, ConversionError> {
        if schema.optional && item.value == RawValue::Null {
            return Ok(Value::Null);
        }
        let fits = match (&schema.kind, item.value) {
            (Kind::Int32, value) => whole(value).map(|number| Value::Int32(number as i32)),
            (Kind::Int64, value) => whole(value).map(Value::Int64),
            (Kind::Timestamp, value) => whole(value).map(Value::Timestamp),
            (Kind::Float32, value) => float(value).map(|number| Value::Float32(number as f32)),
            (Kind::Float64, value) => float(value).map(Value::Float64),
            (Kind::Boolean, RawValue::Boolean(value)) => Some(Value::Boolean(value)),
            (Kind::String, _) => Some(Value::String(self.text(item)?)),
            (Kind::Bytes, RawValue::String(text)) => Some(Value::Bytes(to_text(text).into_bytes())),
            (Kind::Bytes, RawValue::Binary { bytes, .. }) => Some(Value::Bytes(bytes.to_vec())),
            (Kind::Bytes, RawValue::Document(document)) => {
                Some(Value::Bytes(document.as_bytes().to_vec()))
            }
            (Kind::Decimal { scale }, RawValue::Decimal128(bytes)) => {
                let found = decimal128::big_decimal(bytes).ok_or(ConversionError::NoBigDecimal)?;
                let (unscaled, found) = found;
                (found == *scale).then_some(Value::Decimal(Decimal { unscaled, scale: found }))
            }
            (Kind::Array(of), RawValue::Array(array)) => {
                let values = items(array).map(|item| self.value(of, &item?));
                Some(Value::Array(values.collect::<Result<_, _>>()?))
            }
            (Kind::Map(of), RawValue::Document(document)) => Some(self.map(of, document)?),
            (Kind::Struct(_), RawValue::Document(document)) => {
                Some(self.document(schema, document)?)
            }
            _ => None,
        };
        fits.ok_or_else(|| unexpected(&schema.kind, item.value))
    }

    fn document(self, schema: &Schema, document: RawDoc<'_>) -> Result<Value, ConversionError> {
        let Kind::Struct(fields) = &schema.kind else {
            let found = "document";
            return Err(ConversionError::UnexpectedType { wanted: schema.kind.type_name(), found });
        };
        fields
            .iter()
            .map(|field| self.field(field, document))
            .collect::<Result<_, _>>()
            .map(Value::Struct)
    }

    fn field(self, field: &Field, document: RawDoc<'_>) -> Result<Value, ConversionError> {
        if let Some(item) = look_up(field.name.as_bytes(), document)? {
            return self.value(&field.schema, &item);
        }
        match &field.schema.default {
            Some(default) => Ok(default.clone()),
            None if field.schema.optional => Ok(Value::Null),
            None => Err(ConversionError::MissingField {
                field: field.name.clone(),
                document: self.json(document)?,
            }),
        }
    }

    fn map(self, of: &Schema, document: RawDoc<'_>) -> Result<Value, ConversionError> {
        let decoded = decoded::document(document)?;
        let entries = items(RawDoc::new(&decoded)?).map(|item| {
            let item = item?;
            Ok((to_text(item.name), self.value(of, &item)?))
        });
        entries.collect::<Result<_, _>>().map(Value::Map)
    }

    fn text(self, item: &Item<'_>) -> Result<String, ConversionError> {
        if let RawValue::String(text) = item.value {
            return Ok(to_text(text));
        }
        if let RawValue::Document(document) = item.value {
            return self.json(document);
        }
        let mut around = vec![0; 4];
        around.extend_from_slice(&[item.kind, b'v', 0]);
        around.extend(decoded::value(item)?);
        around.push(0);
        let length = u32::try_from(around.len()).unwrap_or(u32::MAX);
        if let Some(blank) = around.first_chunk_mut() {
            *blank = length.to_le_bytes();
        }
        let text = self.json(RawDoc::new(&around)?)?;
        let text = text.strip_prefix(r#"{"v": "#).and_then(|text| text.strip_suffix('}'));
        let text = text.unwrap_or_default();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(bare.unwrap_or(text).to_owned())
    }

    fn json(self, document: RawDoc<'_>) -> Result<String, ConversionError> {
        let mut text = Vec::new();
        json::write::<false>(self.formatter, document, &mut text)?;
        Ok(String::from_utf8(text).unwrap_or_default())
    }
}

/// What `Values.convertToLong` of Connect makes of it; smaller types are cut as Java casts.
fn whole(value: RawValue<'_>) -> Option<i64> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is no number")]
    match value {
        RawValue::Int32(number) => Some(i64::from(number)),
        RawValue::Int64(number) | RawValue::DateTime(number) => Some(number),
        RawValue::Double(number) => Some(number as i64),
        RawValue::Timestamp { time, .. } => Some(i64::from(time.cast_signed()) * 1_000),
        _ => None,
    }
}

/// What `Values.convertToDouble` of Connect makes of it.
fn float(value: RawValue<'_>) -> Option<f64> {
    if let RawValue::Double(number) = value {
        return Some(number);
    }
    whole(value).map(|number| number as f64)
}

/// The field called `name`, or the one that the path `a.b` leads to.
fn look_up<'a>(name: &[u8], document: RawDoc<'a>) -> Result<Option<Item<'a>>, BsonError> {
    let mut inner = None;
    let path = name.iter().position(|byte| *byte == b'.').filter(|_| !name.ends_with(b"."));
    let path = path.and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?)));
    for item in items(document) {
        let item = item?;
        if is_called(&item, name) {
            return Ok(Some(item));
        }
        if inner.is_none() && path.is_some_and(|(first, _)| is_called(&item, first)) {
            inner = Some(item.value);
        }
    }
    match (path, inner) {
        (Some((_, rest)), Some(RawValue::Document(document))) => look_up(rest, document),
        _ => Ok(None),
    }
}

/// Whether Java reads `name`, which is UTF-8, where the item has its own.
fn is_called(item: &Item<'_>, name: &[u8]) -> bool {
    item.name == name
        || (std::str::from_utf8(item.name).is_err() && to_text(item.name).as_bytes() == name)
}

/// The elements of a document. What comes after an error has no meaning: callers stop at it.
pub(super) fn items(document: RawDoc<'_>) -> impl Iterator<Item = Result<Item<'_>, BsonError>> {
    let mut elements = document.iter();
    std::iter::from_fn(move || {
        let kind = elements.take_kind()?;
        Some(take(kind, &mut elements))
    })
}

fn take<'a>(kind: u8, elements: &mut Elements<'a>) -> Result<Item<'a>, BsonError> {
    let name = elements.take_cstring()?;
    let before = elements.rest();
    let value = elements.take_value(kind)?;
    let length = before.len() - elements.rest().len();
    Ok(Item { kind, name, value, bytes: before.get(..length).unwrap_or_default() })
}

fn unexpected(wanted: &Kind, found: RawValue<'_>) -> ConversionError {
    ConversionError::UnexpectedType { wanted: wanted.type_name(), found: bson_name(found) }
}

/// The name of a type in Java's messages (`BsonType`).
fn bson_name(value: RawValue<'_>) -> &'static str {
    match value {
        RawValue::Double(_) => "double",
        RawValue::String(_) => "string",
        RawValue::Document(_) => "document",
        RawValue::Array(_) => "array",
        RawValue::Binary { .. } => "binary",
        RawValue::Undefined => "undefined",
        RawValue::ObjectId(_) => "object_id",
        RawValue::Boolean(_) => "boolean",
        RawValue::DateTime(_) => "date_time",
        RawValue::Null => "null",
        RawValue::Regex { .. } => "regular_expression",
        RawValue::DbPointer { .. } => "db_pointer",
        RawValue::JavaScript(_) => "javascript",
        RawValue::Symbol(_) => "symbol",
        RawValue::JavaScriptWithScope { .. } => "javascript_with_scope",
        RawValue::Int32(_) => "int32",
        RawValue::Timestamp { .. } => "timestamp",
        RawValue::Int64(_) => "int64",
        RawValue::Decimal128(_) => "decimal128",
        RawValue::MinKey => "min_key",
        RawValue::MaxKey => "max_key",
    }
}
