//! Avro's schemas as JSON declares them, as far as a source connector can have them.
//!
//! ```text
//!  "string" …                                    a type by its name, or a record named before
//!  { "type": "array", "items": … }               { "type": "map", "values": … }
//!  { "type": "record", "name": …, "fields": [ { "name": …, "type": …, "default": … } ] }
//!  [ …, "null" ]                                 one of several
//! ```
//!
//! Names are not checked, as the connector asks of Avro, so a field may be called `a.b`. Logical types,
//! documentation, aliases and orders are passed over. A record within itself is known as such. What this
//! module does not do: say which of all that has a counterpart in Connect; comments; records named before
//! they are declared. Source: `Schema.Parser` of Avro 1.12 as connector 2.0.1 carries it, whose messages
//! these are.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value};

/// A schema.
#[derive(Clone, Debug)]
pub(super) enum Avro {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed,
    Enum,
    Array(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Record(Rc<Record>),
    /// The record of this name, inside of itself.
    Within(String),
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) full_name: String,
    pub(super) fields: Vec<RecordField>,
}

#[derive(Debug)]
pub(super) struct RecordField {
    pub(super) name: String,
    pub(super) schema: Avro,
    pub(super) default: Option<Value>,
}

/// Avro's name of the type, in capitals as messages have it.
impl fmt::Display for Avro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Bytes => "BYTES",
            Self::String => "STRING",
            Self::Fixed => "FIXED",
            Self::Enum => "ENUM",
            Self::Array(_) => "ARRAY",
            Self::Map(_) => "MAP",
            Self::Union(_) => "UNION",
            Self::Record(_) | Self::Within(_) => "RECORD",
        })
    }
}

impl Avro {
    /// The schema that `json` declares, or what is wrong with it.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Names::default().schema(&json, "")
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// Whether `json` is a value of it, as a default must be.
    fn takes(&self, json: &Value) -> bool {
        match self {
            Self::Null => json.is_null(),
            Self::Boolean => json.is_boolean(),
            Self::Int => json.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            Self::Long => json.is_i64(),
            Self::Float | Self::Double => json.is_number(),
            Self::Bytes | Self::String | Self::Fixed | Self::Enum => json.is_string(),
            Self::Array(of) => {
                json.as_array().is_some_and(|items| items.iter().all(|item| of.takes(item)))
            }
            Self::Map(of) => {
                json.as_object().is_some_and(|items| items.values().all(|item| of.takes(item)))
            }
            Self::Union(of) => of.iter().any(|of| of.takes(json)),
            Self::Record(_) | Self::Within(_) => json.is_object(),
        }
    }

    /// What two members of a union must not have in common.
    fn union_name(&self) -> String {
        #[allow(clippy::wildcard_enum_match_arm, reason = "every other type is its own name")]
        match self {
            Self::Record(record) => record.full_name.clone(),
            Self::Within(name) => name.clone(),
            other => other.to_string().to_lowercase(),
        }
    }
}

/// Types that were declared by name; `None` while their own fields are read.
#[derive(Default)]
struct Names(BTreeMap<String, Option<Avro>>);

impl Names {
    /// `space` is the namespace around it.
    fn schema(&mut self, json: &Value, space: &str) -> Result<Avro, String> {
        match json {
            Value::String(name) => self.named(name, space),
            Value::Array(members) => self.union(members, space),
            Value::Object(object) => match object.get("type").and_then(Value::as_str) {
                None => Err(format!("No type: {json}")),
                Some("record" | "error") => self.record(json, object, space),
                Some("array") => {
                    let items = object.get("items");
                    let items = items.ok_or_else(|| format!("Array has no items type: {json}"))?;
                    Ok(Avro::Array(Box::new(self.schema(items, space)?)))
                }
                Some("map") => {
                    let values = object.get("values");
                    let values = values.ok_or_else(|| format!("Map has no values type: {json}"))?;
                    Ok(Avro::Map(Box::new(self.schema(values, space)?)))
                }
                Some(kind @ ("fixed" | "enum")) => {
                    let (full_name, _) = full_name(json, object, space)?;
                    let schema = if kind == "fixed" { Avro::Fixed } else { Avro::Enum };
                    self.declare(&full_name)?;
                    self.0.insert(full_name, Some(schema.clone()));
                    Ok(schema)
                }
                Some(name) => self.named(name, space),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(format!("Schema not yet supported: {json}"))
            }
        }
    }

    fn named(&self, name: &str, space: &str) -> Result<Avro, String> {
        if let Some(plain) = Avro::plain(name) {
            return Ok(plain);
        }
        let inside = if name.contains('.') { String::new() } else { in_space(space, name) };
        let known = self.0.get_key_value(&inside).or_else(|| self.0.get_key_value(name));
        match known {
            Some((_, Some(schema))) => Ok(schema.clone()),
            Some((full_name, None)) => Ok(Avro::Within(full_name.clone())),
            None => Err(format!("Undefined schema: {name}")),
        }
    }

    fn union(&mut self, members: &[Value], space: &str) -> Result<Avro, String> {
        let mut schemas: Vec<Avro> = Vec::new();
        for member in members {
            let schema = self.schema(member, space)?;
            if matches!(schema, Avro::Union(_)) {
                return Err("Nested union".to_owned());
            }
            let name = schema.union_name();
            if schemas.iter().any(|other| other.union_name() == name) {
                return Err(format!("Duplicate in union:{name}"));
            }
            schemas.push(schema);
        }
        Ok(Avro::Union(schemas))
    }

    fn record(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        space: &str,
    ) -> Result<Avro, String> {
        let (full_name, space) = full_name(json, object, space)?;
        self.declare(&full_name)?;
        let fields = object.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| format!("Record has no fields: {json}"))?;
        let mut read: Vec<RecordField> = Vec::new();
        for (position, field) in fields.iter().enumerate() {
            let field = self.field(field, &space)?;
            if let Some(at) = read.iter().position(|other| other.name == field.name) {
                let (name, schema, before) = (&field.name, &field.schema, &read[at].schema);
                return Err(format!(
                    "Duplicate field {name} in record {full_name}: {name} type:{schema} pos:{position} and \
                     {name} type:{before} pos:{at}."
                ));
            }
            read.push(field);
        }
        let record = Record { full_name: full_name.clone(), fields: read };
        let record = Avro::Record(Rc::new(record));
        self.0.insert(full_name, Some(record.clone()));
        Ok(record)
    }

    fn field(&mut self, json: &Value, space: &str) -> Result<RecordField, String> {
        let name = json.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| format!("No field name: {json}"))?;
        let declared = json.get("type").ok_or_else(|| format!("No field type: {json}"))?;
        let schema = self.schema(declared, space)?;
        let default = json.get("default").cloned();
        if let Some(default) = default.as_ref().filter(|default| !schema.takes(default)) {
            return Err(format!("Invalid default for field {name}: {default} not a {declared}"));
        }
        Ok(RecordField { name: name.to_owned(), schema, default })
    }

    fn declare(&mut self, full_name: &str) -> Result<(), String> {
        match self.0.insert(full_name.to_owned(), None) {
            None => Ok(()),
            Some(_) => Err(format!("Can't redefine: {full_name}")),
        }
    }
}

/// The full name that `object` declares, and the namespace for what is inside.
fn full_name(
    json: &Value,
    object: &Map<String, Value>,
    space: &str,
) -> Result<(String, String), String> {
    let name = object.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| format!("No name in schema: {json}"))?;
    if let Some((space, _)) = name.rsplit_once('.') {
        return Ok((name.to_owned(), space.to_owned()));
    }
    let space = object.get("namespace").and_then(Value::as_str).unwrap_or(space);
    Ok((in_space(space, name), space.to_owned()))
}

fn in_space(space: &str, name: &str) -> String {
    if space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}
