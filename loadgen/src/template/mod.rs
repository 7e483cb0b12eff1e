//! Documents after a user's own pattern: a JSON file in which a field is a literal or a generator.
//!
//! ```json
//! {
//!   "customer": { "name": { "$string": { "min": 5, "max": 30 } }, "vip": { "$bool": {} } },
//!   "status": { "$choice": ["new", "paid", "sent"] },
//!   "placed": { "$date": { "min": "2024-01-01T00:00:00Z", "max": "2025-01-01T00:00:00Z" } },
//!   "items": { "$array": { "min": 1, "max": 8, "of": { "sku": { "$oid": {} }, "price": { "$double": { "min": 1, "max": 90 } } } } },
//!   "currency": "EUR"
//! }
//! ```
//!
//! | generator                             | makes                                              |
//! |---------------------------------------|----------------------------------------------------|
//! | `$int`, `$long` with min, max         | an Int32 or Int64, ends included                   |
//! | `$double` with min, max               | a double, the upper end not included               |
//! | `$string`, `$binary` with min, max    | that many bytes; one number stands for both        |
//! | `$date` with min, max in RFC 3339     | a date to the millisecond                          |
//! | `$oid`, `$bool` with `{}`             | any                                                |
//! | `$choice` with a list                 | one of them, which may be generators               |
//! | `$array` with min, max, of            | that many values                                   |
//!
//! `_id`, `v` and the fields of deltas are the generator's own. An update sets one to three neighbouring fields of
//! the outermost level whose values do not come twice: those that hold at least 48 random bits. Where there is none
//! it sets `v` alone.

mod parse;

use std::fmt;

use rand::Rng;

use crate::bson_writer::{BsonWriter, element};
use crate::random::below;
use crate::text;

/// A pattern of documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    fields: Vec<(String, Node)>,
    /// Places of the fields that an update may set.
    settable: Vec<usize>,
    source: String,
}

/// What is wrong with a template: what, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

/// A value, or how one is made.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    Text(String),
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
    AnyBool,
    AnyObjectId,
    AnyInt { min: i64, max: i64, width: IntWidth },
    AnyDouble { min: f64, max: f64 },
    AnyText { min: u32, max: u32 },
    AnyBinary { min: u32, max: u32 },
    AnyDate { min_ms: i64, max_ms: i64 },
    Choice(Vec<Self>),
    AnyList { min: u32, max: u32, of: Box<Self> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IntWidth {
    Int32,
    Int64,
}

/// A value with so many random bits does not come twice: among 10⁶ draws once in 500 runs.
const DISTINCT_BITS: u32 = 48;

impl Template {
    /// Reads a template. An error names the field and the line.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let fields = parse::fields(source).map_err(|error| TemplateError(error.to_string()))?;
        let settable = (0..fields.len()).filter(|&at| DISTINCT_BITS <= fields[at].1.bits());
        Ok(Self { settable: settable.collect(), fields, source: source.to_owned() })
    }

    /// The text that it was read from: the settings of a run hold it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The fields of the largest document, bytes.
    pub fn bytes_max(&self) -> u64 {
        fields_bytes_max(&self.fields)
    }

    /// All fields, into an open document.
    pub(crate) fn push_fields(&self, writer: &mut BsonWriter, rng: &mut impl Rng) {
        for (name, node) in &self.fields {
            node.push(writer, name, rng);
        }
    }

    /// New values of some fields, into an open document.
    pub(crate) fn push_new_fields(&self, writer: &mut BsonWriter, rng: &mut impl Rng) {
        let count = self.settable.len();
        if count == 0 {
            return;
        }
        let taken = count.min(1 + below(rng, 3) as usize);
        let first = below(rng, count as u64) as usize;
        for step in 0..taken {
            let (name, node) = &self.fields[self.settable[(first + step) % count]];
            node.push(writer, name, rng);
        }
    }
}

impl Node {
    fn push(&self, writer: &mut BsonWriter, name: impl fmt::Display, rng: &mut impl Rng) {
        match self {
            Self::Null => writer.element(element::NULL, name),
            Self::Bool(value) => push_bool(writer, name, *value),
            Self::AnyBool => push_bool(writer, name, below(rng, 2) == 1),
            Self::Int32(value) => push_int(writer, name, i64::from(*value), IntWidth::Int32),
            Self::Int64(value) => push_int(writer, name, *value, IntWidth::Int64),
            Self::AnyInt { min, max, width } => {
                push_int(writer, name, between(rng, *min, *max), *width);
            }
            Self::Double(value) => push_double(writer, name, *value),
            Self::AnyDouble { min, max } => {
                let share = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                push_double(writer, name, min + share * (max - min));
            }
            Self::Text(text) => {
                writer.element(element::STRING, name);
                writer.string(text);
            }
            Self::AnyText { min, max } => {
                writer.element(element::STRING, name);
                let open = writer.open();
                let bytes = between(rng, i64::from(*min), i64::from(*max)) as usize;
                text::push_plain(writer.buffer(), rng, bytes);
                writer.close_string(open);
            }
            Self::AnyBinary { min, max } => push_binary(writer, name, rng, (*min, *max)),
            Self::AnyObjectId => {
                writer.element(element::OBJECT_ID, name);
                push_random(writer, rng, 12);
            }
            Self::AnyDate { min_ms, max_ms } => {
                writer.element(element::DATE_TIME, name);
                writer.i64(between(rng, *min_ms, *max_ms));
            }
            Self::Choice(nodes) => {
                nodes[below(rng, nodes.len() as u64) as usize].push(writer, name, rng);
            }
            Self::List(nodes) => {
                writer.element(element::ARRAY, name);
                push_list(writer, nodes.iter(), rng);
            }
            Self::AnyList { min, max, of } => {
                writer.element(element::ARRAY, name);
                let count = between(rng, i64::from(*min), i64::from(*max)) as usize;
                push_list(writer, std::iter::repeat_n(of.as_ref(), count), rng);
            }
            Self::Fields(fields) => {
                writer.element(element::DOCUMENT, name);
                let open = writer.open();
                fields.iter().for_each(|(name, node)| node.push(writer, name, rng));
                writer.close_document(open);
            }
        }
    }

    /// Random bits that every value has at least.
    fn bits(&self) -> u32 {
        let of_range = |values: u128| u128::BITS - 1 - values.max(1).leading_zeros();
        match self {
            Self::Null
            | Self::Bool(_)
            | Self::Int32(_)
            | Self::Int64(_)
            | Self::Double(_)
            | Self::Text(_) => 0,
            Self::AnyBool => 1,
            Self::AnyObjectId => 96,
            Self::AnyInt { min, max, .. } => of_range(u128::from(min.abs_diff(*max)) + 1),
            Self::AnyDate { min_ms, max_ms } => of_range(u128::from(min_ms.abs_diff(*max_ms)) + 1),
            Self::AnyDouble { min, max } => {
                if min < max {
                    50
                } else {
                    0
                }
            }
            Self::AnyText { min, .. } => min.saturating_mul(6),
            Self::AnyBinary { min, .. } => min.saturating_mul(8),
            Self::Choice(nodes) => nodes.iter().map(Self::bits).min().unwrap_or(0),
            Self::List(nodes) => nodes.iter().map(Self::bits).fold(0, u32::saturating_add),
            Self::AnyList { min, of, .. } => min.saturating_mul(of.bits()),
            Self::Fields(fields) => {
                fields.iter().map(|(_, node)| node.bits()).fold(0, u32::saturating_add)
            }
        }
    }

    fn bytes_max(&self) -> u64 {
        /// Type, index and NUL of an element of an array.
        const ITEM_OVERHEAD: u64 = 1 + 8 + 1;
        /// Length and NUL, or length and subtype.
        const FRAME: u64 = 5;
        match self {
            Self::Null => 0,
            Self::Bool(_) | Self::AnyBool => 1,
            Self::Int32(_) => 4,
            Self::Int64(_) | Self::Double(_) => 8,
            Self::AnyInt { .. } | Self::AnyDouble { .. } | Self::AnyDate { .. } => 8,
            Self::AnyObjectId => 12,
            Self::Text(text) => FRAME + text.len() as u64,
            Self::AnyText { max, .. } | Self::AnyBinary { max, .. } => FRAME + u64::from(*max),
            Self::Choice(nodes) => nodes.iter().map(Self::bytes_max).max().unwrap_or(0),
            Self::List(nodes) => {
                FRAME + nodes.iter().map(|node| ITEM_OVERHEAD + node.bytes_max()).sum::<u64>()
            }
            Self::AnyList { max, of, .. } => {
                FRAME + u64::from(*max).saturating_mul(ITEM_OVERHEAD + of.bytes_max())
            }
            Self::Fields(fields) => FRAME + fields_bytes_max(fields),
        }
    }
}

fn fields_bytes_max(fields: &[(String, Node)]) -> u64 {
    let field =
        |(name, node): &(String, Node)| (name.len() as u64 + 2).saturating_add(node.bytes_max());
    fields.iter().map(field).fold(0, u64::saturating_add)
}

fn push_bool(writer: &mut BsonWriter, name: impl fmt::Display, value: bool) {
    writer.element(element::BOOLEAN, name);
    writer.raw(&[u8::from(value)]);
}

fn push_double(writer: &mut BsonWriter, name: impl fmt::Display, value: f64) {
    writer.element(element::DOUBLE, name);
    writer.raw(&value.to_le_bytes());
}

fn push_int(writer: &mut BsonWriter, name: impl fmt::Display, value: i64, width: IntWidth) {
    match width {
        IntWidth::Int32 => {
            writer.element(element::INT32, name);
            writer.i32(value as i32);
        }
        IntWidth::Int64 => {
            writer.element(element::INT64, name);
            writer.i64(value);
        }
    }
}

fn push_binary(
    writer: &mut BsonWriter,
    name: impl fmt::Display,
    rng: &mut impl Rng,
    (min, max): (u32, u32),
) {
    const GENERIC: u8 = 0;
    let bytes = between(rng, i64::from(min), i64::from(max));
    writer.element(element::BINARY, name);
    writer.i32(bytes as i32);
    writer.raw(&[GENERIC]);
    push_random(writer, rng, bytes as usize);
}

fn push_random(writer: &mut BsonWriter, rng: &mut impl Rng, bytes: usize) {
    let buffer = writer.buffer();
    let start = buffer.len();
    buffer.resize(start + bytes, 0);
    rng.fill_bytes(&mut buffer[start..]);
}

fn push_list<'a>(
    writer: &mut BsonWriter,
    nodes: impl Iterator<Item = &'a Node>,
    rng: &mut impl Rng,
) {
    let open = writer.open();
    nodes.enumerate().for_each(|(place, node)| node.push(writer, place, rng));
    writer.close_document(open);
}

/// A number from `min` to `max`, both included.
fn between(rng: &mut impl Rng, min: i64, max: i64) -> i64 {
    let count = u128::from(min.abs_diff(max)) + 1;
    let offset = (u128::from(rng.next_u64()) * count) >> 64;
    min.wrapping_add_unsigned(offset as u64)
}

#[cfg(test)]
mod tests;
