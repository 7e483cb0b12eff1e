//! Values as Java's maps hold them: of a name that occurs twice, the first place and the last value.
//!
//! ```text
//!  { x: 1, y: 9, x: 2 }                         stays as it is while Java reads it where it lies
//!                         ─► { x: 2, y: 9 }     once Java has decoded what is around it
//! ```
//!
//! Java decodes the scope of a code that is a value or an item of an array, and what a map is made of, with all that
//! lies in them; items of arrays have no names. Source: `RawBsonDocument` and `RawBsonArray` of BSON library 4.7.2, and
//! `BsonValueToSchemaAndValue` of mongo-kafka-connect 2.0.1 run over such values.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::ConversionError;
use super::projection::{Item, items};
use crate::format::utf8::to_text;
use crate::format::{DEPTH_MAX, FormatError};
use crate::mongo::bson::{RawDoc, RawValue};

/// What is decoded beside scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Documents {
    Raw,
    Decoded,
}

/// The bytes of `document`, decoded with all that lies in it.
///
/// # Errors
/// [`ConversionError`] for malformed BSON and too deep nesting.
pub(super) fn document(document: RawDoc<'_>) -> Result<Vec<u8>, ConversionError> {
    let mut out = Vec::with_capacity(document.as_bytes().len());
    write_document(document, DEPTH_MAX, &mut out)?;
    Ok(out)
}

/// The bytes of the value of `item`, as Java has it when it asks a document for the value.
///
/// # Errors
/// As [`document`].
pub(super) fn value(item: &Item<'_>) -> Result<Vec<u8>, ConversionError> {
    let mut out = Vec::with_capacity(item.bytes.len());
    write_value(item, Documents::Raw, DEPTH_MAX, &mut out)?;
    Ok(out)
}

fn write_document(
    document: RawDoc<'_>,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    let mut fields: Vec<Item<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for item in items(document) {
        let item = item?;
        match places.entry(to_text(item.name)) {
            Entry::Vacant(place) => {
                place.insert(fields.len());
                fields.push(item);
            }
            Entry::Occupied(place) => {
                if let Some(field) = fields.get_mut(*place.get()) {
                    *field = Item { name: field.name, ..item };
                }
            }
        }
    }
    write_items(fields.into_iter().map(Ok), Documents::Decoded, depth_left, out)
}

/// The frame of a document or of an array, and what lies in it.
fn write_items<'a>(
    items: impl Iterator<Item = Result<Item<'a>, ConversionError>>,
    documents: Documents,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    let depth_left = depth_left.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let begin = begin_length(out);
    for item in items {
        let item = item?;
        out.push(item.kind);
        out.extend_from_slice(item.name);
        out.push(0);
        write_value(&item, documents, depth_left, out)?;
    }
    out.push(0);
    end_length(begin, out);
    Ok(())
}

fn write_value(
    item: &Item<'_>,
    documents: Documents,
    depth_left: u32,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other type has no document inside")]
    match item.value {
        RawValue::Document(document) if documents == Documents::Decoded => {
            write_document(document, depth_left, out)?;
        }
        RawValue::Array(array) => {
            let items = items(array).map(|item| item.map_err(ConversionError::from));
            write_items(items, documents, depth_left, out)?;
        }
        RawValue::JavaScriptWithScope { code, scope } => {
            let begin = begin_length(out);
            let length = u32::try_from(code.len() + 1).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(code);
            out.push(0);
            write_document(scope, depth_left, out)?;
            end_length(begin, out);
        }
        _ => out.extend_from_slice(item.bytes),
    }
    Ok(())
}

fn begin_length(out: &mut Vec<u8>) -> usize {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    begin
}

fn end_length(begin: usize, out: &mut [u8]) {
    let length = u32::try_from(out.len() - begin).unwrap_or(u32::MAX);
    if let Some(blank) = out.get_mut(begin..).and_then(|bytes| bytes.first_chunk_mut()) {
        *blank = length.to_le_bytes();
    }
}
