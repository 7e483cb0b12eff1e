//! `InsertHeader`, `DropHeaders` and `HeaderFrom`.

use super::error::TransformError;
use super::hash_map::HashMap;
use super::record::{Header, Record, Side};
use super::structure::{Structure, require_map};
use crate::connect::{Datum, Value};

/// `HeaderFrom`: fields that become headers.
#[derive(Clone, Debug)]
pub struct HeaderFrom {
    /// Whose fields.
    pub side: Side,
    /// `fields` and `headers`: the name of a field, and of its header.
    pub names: Vec<(String, String)>,
    /// `operation` is `move`: the fields are there no longer.
    pub moves: bool,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// Adds a header; one of the same name stays.
pub(super) fn insert(mut record: Record, header: &Header) -> Record {
    record.headers.push(header.clone());
    record
}

/// Drops the headers of these names.
pub(super) fn drop_named(mut record: Record, names: &[String]) -> Record {
    record.headers.retain(|header| !names.contains(&header.key));
    record
}

impl HeaderFrom {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let changed = match datum {
            Datum { schema: None, value } => self.take_of_map(value, &mut record.headers)?,
            Datum { schema: Some(_), .. } => self.take_of_struct(datum, &mut record.headers)?,
        };
        *record.side_mut(self.side) = changed;
        Ok(record)
    }

    fn purpose(&self) -> &'static str {
        if self.moves { "header move" } else { "header copy" }
    }

    fn take_of_map(
        &self,
        value: Value,
        headers: &mut Vec<Header>,
    ) -> Result<Datum, TransformError> {
        let entries = require_map(value, self.purpose())?;
        let mut map = HashMap::copy_of(entries.clone());
        for (field, header) in &self.names {
            let value = entries.iter().find(|(name, _)| name == field).map(|(_, value)| value);
            let value = Datum { schema: None, value: value.cloned().unwrap_or(Value::Null) };
            headers.push(Header { key: header.clone(), value });
            if self.moves {
                map.remove(field);
            }
        }
        Ok(Datum { schema: None, value: map.into_value() })
    }

    fn take_of_struct(
        &self,
        datum: Datum,
        headers: &mut Vec<Header>,
    ) -> Result<Datum, TransformError> {
        let untouched = (!self.moves).then(|| datum.clone());
        let structure =
            Structure::of(datum, self.purpose())?.with_defaults(self.replace_null_with_default);
        for (name, header) in &self.names {
            let place = structure.schema.place(name).ok_or(TransformError::NoFieldForHeader)?;
            let field = structure.fields().get(place).map(|field| field.schema.clone());
            let value = structure.values.get(place).cloned().unwrap_or(Value::Null);
            headers.push(Header { key: header.clone(), value: Datum { schema: field, value } });
        }
        if let Some(datum) = untouched {
            return Ok(datum);
        }
        let like = structure.schema.clone();
        let mut fields = structure.into_fields();
        fields.retain(|(field, _)| !self.names.iter().any(|(name, _)| *name == field.name));
        Ok(Structure::build(&like, fields)?.into_datum())
    }
}
