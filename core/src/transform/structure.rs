//! A struct or a map of a record, taken apart for a transformation and put together again.

use std::sync::Arc;

use super::error::TransformError;
use crate::connect::{Datum, Field, Kind, Schema, Value};

/// A struct: one value for each field of its schema.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) schema: Arc<Schema>,
    pub(super) values: Vec<Value>,
}

impl Structure {
    /// The struct that `datum` is (`Requirements.requireStruct`).
    pub(super) fn of(datum: Datum, purpose: &'static str) -> Result<Self, TransformError> {
        match datum {
            Datum { schema: Some(schema), value: Value::Struct(values) } => {
                Ok(Self { schema, values })
            }
            Datum { value, .. } => {
                Err(TransformError::NotAStruct { purpose, found: value.class_name() })
            }
        }
    }

    pub(super) fn fields(&self) -> &[Field] {
        self.schema.fields()
    }

    /// Puts the default of its field in the place of each null, if that is `wanted` (`Struct.get`).
    pub(super) fn with_defaults(mut self, wanted: bool) -> Self {
        if wanted {
            for (field, value) in self.schema.fields().iter().zip(&mut self.values) {
                put_default(&field.schema, value);
            }
        }
        self
    }

    /// The value of a field; nulls are not replaced.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(self.schema.place(name)?)
    }

    /// Each field with its value.
    pub(super) fn into_fields(self) -> Vec<(Field, Value)> {
        self.schema.fields().iter().cloned().zip(self.values).collect()
    }

    /// The datum that it is.
    pub(super) fn into_datum(self) -> Datum {
        Datum { schema: Some(self.schema), value: Value::Struct(self.values) }
    }

    /// A struct of these fields with name and version of `like` (`SchemaUtil.copySchemaBasics`).
    pub(super) fn build(
        like: &Schema,
        fields: Vec<(Field, Value)>,
    ) -> Result<Self, TransformError> {
        let (fields, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let schema = Arc::new(like.basics(struct_kind(fields)?));
        Self::checked(schema, values)
    }

    /// The struct of `values`, if each fits its field (`Struct.put`).
    pub(super) fn checked(schema: Arc<Schema>, values: Vec<Value>) -> Result<Self, TransformError> {
        for (field, value) in schema.fields().iter().zip(&values) {
            validate(field, value)?;
        }
        Ok(Self { schema, values })
    }
}

/// Puts the default of `schema` in the place of a null.
pub(super) fn put_default(schema: &Schema, value: &mut Value) {
    if let (Value::Null, Some(default)) = (&*value, &schema.default) {
        *value = default.clone();
    }
}

/// A struct of these fields, if their names differ (`SchemaBuilder.field`).
pub(super) fn struct_kind(fields: Vec<Field>) -> Result<Kind, TransformError> {
    for (index, field) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|other| other.name == field.name) {
            return Err(TransformError::DuplicateField(field.name.clone()));
        }
    }
    Ok(Kind::Struct(fields))
}

/// `ConnectSchema.validateValue`, as far as a transformation can go wrong. Null where none may be is no error here: a
/// field that is never put is found by the converter.
fn validate(field: &Field, value: &Value) -> Result<(), TransformError> {
    if *value == Value::Null || field.schema.kind.takes(value) {
        return Ok(());
    }
    Err(TransformError::InvalidObject {
        schema: field.schema.full_name().map(str::to_owned),
        kind: field.schema.kind.type_name(),
        class: value.class_name(),
        field: field.name.clone(),
    })
}

/// The entries of a map without a schema (`Requirements.requireMap`).
#[allow(clippy::wildcard_enum_match_arm, reason = "every other class is no map")]
pub(super) fn require_map(
    value: Value,
    purpose: &'static str,
) -> Result<Vec<(String, Value)>, TransformError> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => Err(TransformError::NotAMap { purpose, found: other.class_name() }),
    }
}
