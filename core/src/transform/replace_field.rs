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
    /// `renames`
    pub renames: Renames,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// Old and new names of fields, each old name once.
#[derive(Clone, Debug)]
pub struct Renames {
    /// In the order of Java's `HashMap`.
    pairs: Vec<(String, String)>,
}

impl Renames {
    /// The renames that are left of these pairs of an old and a new name: of two for one old name the last counts.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut map = HashMap::new();
        for (old, new) in pairs {
            map.put(old, new);
        }
        Self { pairs: map.into_entries() }
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let mapping = self.pairs.iter().find(|(old, _)| old == name);
        mapping.map_or(name, |(_, new)| new)
    }

    /// The old name of a field. It is looked up for every field there is, also for one that had this name before: then
    /// that gets the value of the other, as in Java. Of two fields that get one name the last in Java's order counts
    /// (`ReplaceField.invert`).
    fn old_name<'a>(&'a self, name: &'a str) -> &'a str {
        let mapping = self.pairs.iter().rfind(|(_, new)| new == name);
        mapping.map_or(name, |(old, _)| old)
    }
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

    fn replace_in_map(&self, value: Value) -> Result<Datum, TransformError> {
        let entries = require_map(value, PURPOSE)?;
        let mut map = HashMap::with_capacity(entries.len());
        for (name, value) in entries {
            if self.stays(&name) {
                map.put(self.renames.renamed(&name).to_owned(), value);
            }
        }
        Ok(Datum { schema: None, value: map.into_value() })
    }

    fn replace_in_struct(&self, datum: Datum) -> Result<Datum, TransformError> {
        let old = Structure::of(datum, PURPOSE)?.with_defaults(self.replace_null_with_default);
        let kept = old.fields().iter().filter(|field| self.stays(&field.name));
        let fields = kept.map(|field| Field {
            name: self.renames.renamed(&field.name).to_owned(),
            schema: Arc::clone(&field.schema),
        });
        let schema = Arc::new(old.schema.basics(struct_kind(fields.collect())?));
        let value = |field: &Field| {
            let name = self.renames.old_name(&field.name);
            old.value(name).cloned().ok_or_else(|| TransformError::NotAFieldName(name.to_owned()))
        };
        let values = schema.fields().iter().map(value).collect::<Result<_, _>>()?;
        Ok(Structure::checked(schema, values)?.into_datum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Kind, Schema};

    /// What `renames` and `exclude` make of a struct of these fields, which hold 1, 2, …
    fn replaced(names: &[&str], renames: &[(&str, &str)], exclude: &str) -> Vec<(String, Value)> {
        let field = |name: &&str| Field {
            name: (*name).to_owned(),
            schema: Arc::new(Schema::new(Kind::Int32, false)),
        };
        let schema = Schema::new(Kind::Struct(names.iter().map(field).collect()), false);
        let values = (1..).take(names.len()).map(Value::Int32).collect();
        let record = Record {
            topic: "t".to_owned(),
            key: Datum::NULL,
            value: Datum::new(schema, Value::Struct(values)),
            headers: Vec::new(),
        };
        let renames = renames.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
        let replace = ReplaceField {
            side: Side::Value,
            exclude: vec![exclude.to_owned()],
            include: Vec::new(),
            renames: Renames::new(renames),
            replace_null_with_default: true,
        };
        let replaced = replace.apply(record).unwrap().value;
        let fields = Structure::of(replaced, PURPOSE).unwrap().into_fields();
        fields.into_iter().map(|(field, value)| (field.name, value)).collect()
    }

    /// Printed by `connect-transforms` 4.1.0.
    #[test]
    fn a_rename_that_a_later_one_took_the_place_of_gives_no_value() {
        let want = [("y".to_owned(), Value::Int32(1)), ("x".to_owned(), Value::Int32(2))];
        assert_eq!(replaced(&["a", "x"], &[("a", "x"), ("a", "y")], ""), want);
    }

    /// Printed by `connect-transforms` 4.1.0.
    #[test]
    fn of_two_fields_that_get_one_name_the_last_in_the_order_of_java_gives_the_value() {
        let want = [("x".to_owned(), Value::Int32(1))];
        for renames in [[("a", "x"), ("b", "x")], [("b", "x"), ("a", "x")]] {
            assert_eq!(replaced(&["b", "a"], &renames, "b"), want, "{renames:?}");
        }
    }
}
