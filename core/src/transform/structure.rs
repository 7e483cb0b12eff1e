//! A struct or a map of a record, taken apart for a transformation and put together again.

use std::fmt;
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

    /// A struct of these fields with name and version of `like` (`SchemaUtil.copySchemaBasics`). A field with `None`
    /// is never put, and so may be null whatever its schema says.
    pub(super) fn build<V: Into<Option<Value>>>(
        like: &Schema,
        fields: Vec<(Field, V)>,
    ) -> Result<Self, TransformError> {
        let (fields, puts): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let schema = Arc::new(like.basics(struct_kind(fields)?));
        Self::put(schema, puts)
    }

    /// The struct of `values`, if each fits its field.
    pub(super) fn checked(schema: Arc<Schema>, values: Vec<Value>) -> Result<Self, TransformError> {
        Self::put(schema, values)
    }

    /// `Struct.put` for each field that has a value.
    fn put<V: Into<Option<Value>>>(
        schema: Arc<Schema>,
        puts: Vec<V>,
    ) -> Result<Self, TransformError> {
        let put = |(field, value): (&Field, V)| match value.into() {
            Some(value) => {
                validate(&field.schema, &value, Place::Field(&field.name)).map(|()| value)
            }
            None => Ok(Value::Null),
        };
        let values = schema.fields().iter().zip(puts).map(put).collect::<Result<_, _>>()?;
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

/// What a value is put to, in Java's words.
#[derive(Clone, Copy)]
enum Place<'a> {
    Field(&'a str),
    Element(&'a Self),
    MapValue(&'a Self),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "field: \"{name}\""),
            Self::Element(of) => write!(f, "element of array {of}"),
            Self::MapValue(of) => write!(f, "value of map {of}"),
        }
    }
}

/// `ConnectSchema.validateValue`
fn validate(schema: &Schema, value: &Value, place: Place<'_>) -> Result<(), TransformError> {
    let kind = schema.kind.type_name();
    match (&schema.kind, value) {
        (_, Value::Null) if schema.optional => Ok(()),
        (_, Value::Null) => Err(TransformError::NullForRequired { place: place.to_string(), kind }),
        (of, value) if !of.takes(value) => Err(TransformError::InvalidObject {
            schema: schema.full_name().map(str::to_owned),
            kind,
            class: value.class_name(),
            place: place.to_string(),
        }),
        (Kind::Array(of), Value::Array(values)) => {
            values.iter().try_for_each(|value| validate(of, value, Place::Element(&place)))
        }
        (Kind::Map(of), Value::Map(entries)) => {
            entries.iter().try_for_each(|(_, value)| validate(of, value, Place::MapValue(&place)))
        }
        (Kind::Struct(fields), Value::Struct(values)) => {
            // A field that was never put may have a default (`Struct.validate`).
            let is_put = |(field, value): &(&Field, &Value)| {
                field.schema.default.is_none() || **value != Value::Null
            };
            fields.iter().zip(values).filter(is_put).try_for_each(|(field, value)| {
                validate(&field.schema, value, Place::Field(&field.name))
            })
        }
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn required(kind: Kind) -> Arc<Schema> {
        Arc::new(Schema::new(kind, false))
    }

    fn field(name: &str, schema: Arc<Schema>) -> Field {
        Field { name: name.to_owned(), schema }
    }

    /// Printed by `HoistField` of `connect-transforms` 4.1.0.
    #[test]
    fn a_null_is_refused_where_none_may_be_at_every_depth() {
        let int = || required(Kind::Int32);
        let null = || vec![Value::Null];
        let inner = required(Kind::Struct(vec![field("q", int())]));
        for (schema, value, place) in [
            (int(), Value::Null, "field: \"f\""),
            (required(Kind::Array(int())), Value::Array(null()), "element of array field: \"f\""),
            (
                required(Kind::Map(int())),
                Value::Map(vec![("k".to_owned(), Value::Null)]),
                "value of map field: \"f\"",
            ),
            (inner, Value::Struct(null()), "field: \"q\""),
        ] {
            let error = validate(&schema, &value, Place::Field("f")).unwrap_err().to_string();
            let want = format!("Invalid value: null used for required {place}, schema type: INT32");
            assert_eq!(error, want);
        }
    }

    /// Printed by `HoistField` and `InsertField` of `connect-transforms` 4.1.0.
    #[test]
    fn a_field_that_is_never_put_is_null_if_it_has_a_default_or_is_not_looked_at() {
        let default = Some(Value::Int32(3));
        let schema = Schema { default, ..Schema::new(Kind::Int32, false) };
        let default = field("d", Arc::new(schema));
        let outer = required(Kind::Struct(vec![default.clone()]));
        let unput = Value::Struct(vec![Value::Null]);
        assert_eq!(validate(&outer, &unput, Place::Field("f")), Ok(()));
        assert!(validate(&default.schema, &Value::Null, Place::Field("d")).is_err());
        let fields = vec![(field("z", required(Kind::Int32)), None)];
        assert_eq!(Structure::build(&outer, fields).unwrap().values, [Value::Null]);
    }
}
