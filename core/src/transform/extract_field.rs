//! `ExtractField`: one field in the place of the whole. `field.syntax.version=V2` reads a path.
//!
//! ```text
//!  V1   a.b          the field "a.b"
//!  V2   a.b          the field "b" of the struct in "a"
//!       `a.b`.c      the field "c" of the struct in "a.b"; a backtick inside is escaped by a backslash
//! ```
//!
//! Facts: `SingleFieldPath` of `connect-transforms` 4.1.0.

use std::sync::Arc;

use super::error::TransformError;
use super::record::{Record, Side};
use super::structure::require_map;
use crate::connect::{Datum, Value};

const PURPOSE: &str = "field extraction";
const PATH_PURPOSE: &str = "nested field access";

/// See the module.
#[derive(Clone, Debug)]
pub struct ExtractField {
    /// Whose field.
    pub side: Side,
    /// `field`, as it was written.
    pub field: String,
    /// The same, read.
    pub path: FieldPath,
    /// `replace.null.with.default`
    pub replace_null_with_default: bool,
}

/// The names of the fields that lead to a field, from the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    outer: Vec<String>,
    last: String,
}

/// A path has a backtick without its partner: where, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpairedBacktick(pub usize);

impl FieldPath {
    /// A name as it is.
    pub fn name(name: &str) -> Self {
        Self { outer: Vec::new(), last: name.to_owned() }
    }

    /// A path.
    ///
    /// # Errors
    /// [`UnpairedBacktick`].
    pub fn parse(path: &str) -> Result<Self, UnpairedBacktick> {
        let mut steps = Vec::new();
        let mut rest = path;
        loop {
            let at = path.len() - rest.len();
            let behind = match rest.strip_prefix('`') {
                None => {
                    let (step, behind) = match rest.split_once('.') {
                        Some((step, behind)) => (step, Some(behind)),
                        None => (rest, None),
                    };
                    steps.push(step.to_owned());
                    behind
                }
                Some(quoted) => {
                    let position = path.get(..at).unwrap_or_default().chars().count();
                    let (step, behind) = quoted_step(quoted).ok_or(UnpairedBacktick(position))?;
                    steps.push(step);
                    behind
                }
            };
            match behind {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        let last = steps.pop().unwrap_or_default();
        Ok(Self { outer: steps, last })
    }
}

/// A step up to its closing backtick, and what is behind the dot after it.
fn quoted_step(quoted: &str) -> Option<(String, Option<&str>)> {
    let mut step = String::new();
    let mut rest = quoted;
    loop {
        let (before, behind) = rest.split_once('`')?;
        let escaped = before.strip_suffix('\\');
        match (behind.strip_prefix('.'), escaped) {
            (None, _) if !behind.is_empty() => {
                step.push_str(before);
                step.push('`');
            }
            (None, Some(_)) => return None,
            (None, None) => return Some((step + before, None)),
            (Some(_), Some(escaped)) => {
                step.push_str(escaped);
                step.push('`');
            }
            (Some(behind), None) => return Some((step + before, Some(behind))),
        }
        rest = behind;
    }
}

impl ExtractField {
    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let datum = record.take(self.side);
        let extracted = match &datum.schema {
            None => self.of_map(datum.value)?,
            Some(_) => self.of_struct(&datum)?,
        };
        *record.side_mut(self.side) = extracted;
        Ok(record)
    }

    fn of_map(&self, value: Value) -> Result<Datum, TransformError> {
        let (mut value, mut purpose) = (value, PURPOSE);
        for step in self.path.outer.iter().chain([&self.path.last]) {
            if value == Value::Null {
                break;
            }
            let entries = require_map(value, purpose)?;
            let found = entries.into_iter().find(|(name, _)| name == step);
            value = found.map_or(Value::Null, |(_, value)| value);
            purpose = PATH_PURPOSE;
        }
        Ok(Datum { schema: None, value })
    }

    fn of_struct(&self, datum: &Datum) -> Result<Datum, TransformError> {
        if !matches!(datum.value, Value::Struct(_) | Value::Null) {
            let found = datum.value.class_name();
            return Err(TransformError::NotAStruct { purpose: PURPOSE, found });
        }
        let unknown = || TransformError::UnknownField(self.field.clone());
        let mut schema = datum.schema.as_ref().ok_or_else(unknown)?;
        let mut value = &datum.value;
        for (depth, step) in self.path.outer.iter().chain([&self.path.last]).enumerate() {
            let place = schema.place(step).ok_or_else(unknown)?;
            schema = schema.fields().get(place).map(|field| &field.schema).ok_or_else(unknown)?;
            // A struct that is null has no fields, and so no defaults.
            let Value::Struct(values) = value else { continue };
            value = values.get(place).unwrap_or(&Value::Null);
            let is_outer = depth < self.path.outer.len();
            if let (Value::Null, Some(default)) = (value, &schema.default)
                && (is_outer || self.replace_null_with_default)
            {
                value = default;
            }
        }
        Ok(Datum { schema: Some(Arc::clone(schema)), value: value.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Field, Kind, Schema};

    fn struct_of(name: &str, schema: Schema, optional: bool) -> Schema {
        let field = Field { name: name.to_owned(), schema: Arc::new(schema) };
        Schema::new(Kind::Struct(vec![field]), optional)
    }

    /// Printed by `connect-transforms` 4.1.0.
    #[test]
    fn below_a_null_a_field_has_no_default() {
        let last = Schema { default: Some(Value::Int32(7)), ..Schema::new(Kind::Int32, false) };
        let schema = struct_of("p", struct_of("c", last, true), false);
        let extract = ExtractField {
            side: Side::Value,
            field: "p.c".to_owned(),
            path: FieldPath::parse("p.c").unwrap(),
            replace_null_with_default: true,
        };
        let of_null = Value::Struct(vec![Value::Null]);
        let of_struct = Value::Struct(vec![Value::Struct(vec![Value::Null])]);
        for (value, want) in
            [(Value::Null, Value::Null), (of_null, Value::Null), (of_struct, Value::Int32(7))]
        {
            let datum = Datum::new(schema.clone(), value);
            assert_eq!(extract.of_struct(&datum).unwrap().value, want, "{:?}", datum.value);
        }
    }

    #[test]
    fn a_path_is_cut_at_its_dots_but_not_inside_of_backticks() {
        for (path, steps) in [
            ("a", &["a"][..]),
            ("a.b", &["a", "b"]),
            ("a..b", &["a", "", "b"]),
            ("a.", &["a", ""]),
            ("", &[""]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`b.c`", &["a", "b.c"]),
            ("`a`b`.c", &["a`b", "c"]),
            (r"`a\`.b`.c", &["a`.b", "c"]),
            ("a`b.c", &["a`b", "c"]),
        ] {
            let (last, outer) = steps.split_last().unwrap();
            let outer = outer.iter().map(|step| (*step).to_owned()).collect();
            assert_eq!(
                FieldPath::parse(path),
                Ok(FieldPath { outer, last: (*last).to_owned() }),
                "{path}"
            );
        }
        assert_eq!(FieldPath::parse("a.`b"), Err(UnpairedBacktick(2)));
        assert_eq!(FieldPath::parse(r"`a\`"), Err(UnpairedBacktick(0)));
    }
}
