//! The schema that a document shows (`output.schema.infer.value`).
//!
//! ```text
//!  { b: 1, _id: …, a: [1, null] }  ─►  struct "default": _id, a: array "a" of int32, b: int32
//!  { o: { x: … } }                 ─►  struct "default": o: struct "o": x …        "o_x" names what is below
//!  [1, "x"]  [1, null]  []  [{ a }, { b }]  ─►  array of string, int32, string, struct with a and b
//! ```
//!
//! All but the document itself is optional. `_id` comes first, the other fields in the order of Java's
//! strings. Null says nothing of its type and is taken for a string where nothing else is known. Types
//! without a counterpart are strings. Source: `BsonDocumentToSchema` of mongo-kafka-connect 2.0.1.

use std::sync::Arc;

use super::error::ConversionError;
use super::schema::{Field, Kind, Schema};
use crate::format::utf8::to_text;
use crate::format::{DEPTH_MAX, FormatError, decimal128};
use crate::mongo::bson::{RawDoc, RawValue};

const ROOT: &str = "default";
const ID: &str = "_id";

/// What is known of a value.
#[derive(Clone, Debug)]
enum Shape {
    /// Nothing: only null was seen.
    Unknown,
    /// A type without parts; strings, and what is written as one.
    Plain(Kind),
    Array {
        name: String,
        of: Box<Self>,
    },
    Struct {
        name: String,
        fields: Vec<(String, Self)>,
    },
}

/// The schema of `document`.
///
/// # Errors
/// [`ConversionError`] for a field without a name, a decimal that Java has no value for, and too deep nesting.
pub(super) fn infer(document: RawDoc<'_>) -> Result<Schema, ConversionError> {
    let mut schema = schema_of(shape_of_document(ROOT, document, DEPTH_MAX)?);
    schema.optional = false;
    Ok(schema)
}

/// `depth_left` counts this document.
fn shape_of_document(
    path: &str,
    document: RawDoc<'_>,
    depth_left: u32,
) -> Result<Shape, ConversionError> {
    let depth_left = depth_left.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let mut values: Vec<(String, RawValue<'_>)> = Vec::new();
    for element in document {
        let element = element?;
        values.push((to_text(element.name), element.value));
    }
    // Of a name that occurs twice the last counts.
    values.reverse();
    values.sort_by(|(a, _), (b, _)| in_order(a, b));
    values.dedup_by(|(later, _), (earlier, _)| later == earlier);
    let mut fields = Vec::with_capacity(values.len());
    for (name, value) in values {
        if name.is_empty() {
            return Err(ConversionError::EmptyFieldName);
        }
        let below = match (name.as_str(), path) {
            (ID, _) => ID.to_owned(),
            (_, ROOT) => name.clone(),
            (_, path) => format!("{path}_{name}"),
        };
        let shape = shape_of(&below, value, depth_left)?;
        fields.push((name, shape));
    }
    Ok(Shape::Struct { name: path.to_owned(), fields })
}

fn shape_of_array(
    path: &str,
    array: RawDoc<'_>,
    depth_left: u32,
) -> Result<Shape, ConversionError> {
    let depth_left = depth_left.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let mut of = Shape::Unknown;
    for item in array {
        of = combined(of, shape_of(path, item?.value, depth_left)?);
        if matches!(of, Shape::Plain(Kind::String)) {
            // Nothing combines with it to anything else, and Java looks no further.
            break;
        }
    }
    Ok(Shape::Array { name: path.to_owned(), of: Box::new(of) })
}

fn shape_of(path: &str, value: RawValue<'_>, depth_left: u32) -> Result<Shape, ConversionError> {
    Ok(Shape::Plain(match value {
        RawValue::Null => return Ok(Shape::Unknown),
        RawValue::Document(document) => return shape_of_document(path, document, depth_left),
        RawValue::Array(array) => return shape_of_array(path, array, depth_left),
        RawValue::Boolean(_) => Kind::Boolean,
        RawValue::Int32(_) => Kind::Int32,
        RawValue::Int64(_) => Kind::Int64,
        RawValue::Double(_) => Kind::Float64,
        RawValue::DateTime(_) | RawValue::Timestamp { .. } => Kind::Timestamp,
        RawValue::Binary { .. } => Kind::Bytes,
        RawValue::Decimal128(bytes) => {
            let (_, scale) = decimal128::big_decimal(bytes).ok_or(ConversionError::NoBigDecimal)?;
            Kind::Decimal { scale }
        }
        RawValue::String(_)
        | RawValue::Undefined
        | RawValue::ObjectId(_)
        | RawValue::Regex { .. }
        | RawValue::DbPointer { .. }
        | RawValue::JavaScript(_)
        | RawValue::Symbol(_)
        | RawValue::JavaScriptWithScope { .. }
        | RawValue::MinKey
        | RawValue::MaxKey => Kind::String,
    }))
}

/// What fits both.
fn combined(first: Shape, second: Shape) -> Shape {
    if equal(&first, &second) && !matches!(first, Shape::Unknown) {
        return first;
    }
    match (first, second) {
        (Shape::Unknown, other) | (other, Shape::Unknown) => other,
        (Shape::Array { name, of: first }, Shape::Array { of: second, .. }) => {
            Shape::Array { name, of: Box::new(combined(*first, *second)) }
        }
        (Shape::Struct { name, fields: first }, Shape::Struct { fields: second, .. }) => {
            Shape::Struct { name, fields: combined_fields(first, second) }
        }
        _ => Shape::Plain(Kind::String),
    }
}

fn combined_fields(
    first: Vec<(String, Shape)>,
    second: Vec<(String, Shape)>,
) -> Vec<(String, Shape)> {
    let mut fields = first;
    for (name, shape) in second {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            // Of an unknown and a string the first stays, so that what comes later may still decide.
            Some((_, known)) if equal(known, &shape) => {}
            Some((_, known)) => {
                let before = std::mem::replace(known, Shape::Unknown);
                *known = combined(before, shape);
            }
            None => fields.push((name, shape)),
        }
    }
    fields.sort_by(|(a, _), (b, _)| in_order(a, b));
    fields
}

/// Whether Java's schemas are equal: there the unknown is an optional string like any other.
fn equal(first: &Shape, second: &Shape) -> bool {
    let is_string = |shape: &Shape| matches!(shape, Shape::Unknown | Shape::Plain(Kind::String));
    match (first, second) {
        (Shape::Plain(first), Shape::Plain(second)) => first == second,
        (Shape::Array { name, of }, Shape::Array { name: other_name, of: other }) => {
            name == other_name && equal(of, other)
        }
        (Shape::Struct { name, fields }, Shape::Struct { name: other_name, fields: others }) => {
            let same =
                |((a, x), (b, y)): (&(String, Shape), &(String, Shape))| a == b && equal(x, y);
            name == other_name
                && fields.len() == others.len()
                && fields.iter().zip(others).all(same)
        }
        (first, second) => is_string(first) && is_string(second),
    }
}

/// `_id` first, the others by UTF-16 units as Java compares strings.
fn in_order(a: &str, b: &str) -> std::cmp::Ordering {
    (a != ID).cmp(&(b != ID)).then_with(|| a.encode_utf16().cmp(b.encode_utf16()))
}

fn schema_of(shape: Shape) -> Schema {
    match shape {
        Shape::Unknown => Schema::new(Kind::String, true),
        Shape::Plain(kind) => Schema::new(kind, true),
        Shape::Array { name, of } => {
            Schema::new(Kind::Array(Arc::new(schema_of(*of))), true).named(name)
        }
        Shape::Struct { name, fields } => {
            let fields = fields
                .into_iter()
                .map(|(name, shape)| Field { name, schema: Arc::new(schema_of(shape)) });
            Schema::new(Kind::Struct(fields.collect()), true).named(name)
        }
    }
}
