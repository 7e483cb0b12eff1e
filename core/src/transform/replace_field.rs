//! `ReplaceField`: fields left out or renamed.

use std::sync::Arc;

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Record, Side};
use super::structure::{Structure, require_map, struct_kind};
use crate::connect::{Datum, Field, Value};

const PURPOSE: &str = "field replacement";

/// See the module.
#[derive(Clone, Debug)]
pub struct ReplaceField {
    /// Whose fields.
    pub side: Side,
    /// `exclude`: these are left out.
    pub exclude: Vec<String>,
    /// `include`: all others are left out, unless it is empty.
    pub include: Vec<String>,
    /// `renames`: old and new names. Of two for one name the last counts.
    pub renames: Vec<(String, String)>,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

impl ReplaceField {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let changed = match datum {
            Datum { value: Value::Null, .. } => datum,
            Datum { schema: None, value } => self.replace_in_map(value)?,
            Datum { schema: Some(_), .. } => self.replace_in_struct(datum)?,
        };
        *record.side_mut(self.side) = changed;
        Ok(record)
    }

    fn stays(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|other| other == name);
        !is_in(&self.exclude) && (self.include.is_empty() || is_in(&self.include))
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let mapping = self.renames.iter().rfind(|(old, _)| old == name);
        mapping.map_or(name, |(_, new)| new)
    }

    /// The old name of a field. It is looked up for every field there is, also for one that had this name before: then
    /// that gets the value of the other, as in Java.
    fn old_name<'a>(&'a self, name: &'a str) -> &'a str {
        let mapping = self.renames.iter().rfind(|(_, new)| new == name);
        mapping.map_or(name, |(old, _)| old)
    }

    fn replace_in_map(&self, value: Value) -> Result<Datum, TransformError> {
        let entries = require_map(value, PURPOSE)?;
        let mut map = HashMap::with_capacity(entries.len());
        for (name, value) in entries {
            if self.stays(&name) {
                map.put(self.renamed(&name).to_owned(), value);
            }
        }
        Ok(Datum { schema: None, value: map.into_value() })
    }

    fn replace_in_struct(&self, datum: Datum) -> Result<Datum, TransformError> {
        let old = Structure::of(datum, PURPOSE)?.with_defaults(self.replace_null_with_default);
        let kept = old.fields().iter().filter(|field| self.stays(&field.name));
        let fields = kept.map(|field| Field {
            name: self.renamed(&field.name).to_owned(),
            schema: Arc::clone(&field.schema),
        });
        let schema = Arc::new(old.schema.basics(struct_kind(fields.collect())?));
        let value = |field: &Field| {
            let name = self.old_name(&field.name);
            old.value(name).cloned().ok_or_else(|| TransformError::NotAFieldName(name.to_owned()))
        };
        let values = schema.fields().iter().map(value).collect::<Result<_, _>>()?;
        Ok(Structure::checked(schema, values)?.into_datum())
    }
}
