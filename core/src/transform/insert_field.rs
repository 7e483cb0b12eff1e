//! `InsertField`: fields that say where a record goes, or what the operator says.
//!
//! A record of a source connector has neither partition nor timestamp, so their fields stay empty; it has no offset
//! either, and Java fails on that.

use std::sync::Arc;

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, require_map};
use crate::connect::{Datum, Field, Kind, Schema, Value};

const PURPOSE: &str = "field insertion";

/// See the module.
#[derive(Clone, Debug)]
pub struct InsertField {
    /// Where.
    pub side: Side,
    /// `topic.field`
    pub topic: Option<Insertion>,
    /// `partition.field`
    pub partition: Option<Insertion>,
    /// `offset.field`
    pub offset: Option<Insertion>,
    /// `timestamp.field`
    pub timestamp: Option<Insertion>,
    /// `static.field` and `static.value`
    pub fixed: Option<(Insertion, String)>,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// A field to insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// Its name.
    pub field: String,
    /// Whether it may be null.
    pub optional: bool,
}

impl Insertion {
    /// A name that may end in `!`, for a field that is required, or in `?`.
    pub fn parse(text: &str) -> Self {
        match (text.strip_suffix('?'), text.strip_suffix('!')) {
            (None, Some(field)) => Self { field: field.to_owned(), optional: false },
            (field, _) => Self { field: field.unwrap_or(text).to_owned(), optional: true },
        }
    }

    /// `None`: the field is there, but never put.
    fn new_field(&self, kind: Kind, value: Option<Value>) -> (Field, Option<Value>) {
        let schema = Arc::new(Schema::new(kind, self.optional));
        (Field { name: self.field.clone(), schema }, value)
    }
}

impl InsertField {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let changed = match datum {
            Datum { value: Value::Null, .. } => datum,
            Datum { schema: None, value } => self.insert_in_map(value, &record.topic)?,
            Datum { schema: Some(_), .. } => self.insert_in_struct(datum, &record.topic)?,
        };
        *record.side_mut(self.side) = changed;
        Ok(record)
    }

    fn insert_in_map(&self, value: Value, topic: &str) -> Result<Datum, TransformError> {
        let mut map = HashMap::copy_of(require_map(value, PURPOSE)?);
        if let Some(insertion) = &self.topic {
            map.put(insertion.field.clone(), Value::String(topic.to_owned()));
        }
        self.refuse_offset()?;
        if let Some((insertion, text)) = &self.fixed {
            map.put(insertion.field.clone(), Value::String(text.clone()));
        }
        Ok(Datum { schema: None, value: map.into_value() })
    }

    fn insert_in_struct(&self, datum: Datum, topic: &str) -> Result<Datum, TransformError> {
        let structure =
            Structure::of(datum, PURPOSE)?.with_defaults(self.replace_null_with_default);
        let like = Arc::clone(&structure.schema);
        let fields = structure.into_fields().into_iter();
        let mut fields: Vec<_> = fields.map(|(field, value)| (field, Some(value))).collect();
        let text = |text: &str| Some(Value::String(text.to_owned()));
        let inserted = [
            self.topic.as_ref().map(|field| field.new_field(Kind::String, text(topic))),
            self.partition.as_ref().map(|field| field.new_field(Kind::Int32, None)),
            self.offset.as_ref().map(|field| field.new_field(Kind::Int64, None)),
            self.timestamp.as_ref().map(|field| field.new_field(Kind::Timestamp, None)),
            self.fixed.as_ref().map(|(field, fixed)| field.new_field(Kind::String, text(fixed))),
        ];
        fields.extend(inserted.into_iter().flatten());
        let built = Structure::build(&like, fields)?;
        self.refuse_offset()?;
        Ok(built.into_datum())
    }

    fn refuse_offset(&self) -> Result<(), TransformError> {
        match self.offset {
            Some(_) => Err(TransformError::NotASinkRecord { purpose: PURPOSE }),
            None => Ok(()),
        }
    }
}
