//! `output.schema.key`, `output.schema.value` and `output.schema.infer.value`: which schema keys and values
//! of `output.format.key|value=schema` have.
//!
//! ```text
//!  Avro                                  Connect
//!  int, long, float, double              int32, int64, float32, float64
//!  boolean, string, bytes                the same
//!  array, map, record                    array, map from string, struct
//!  [T, null] in either order             T, optional; a default is passed over, as in Java
//!  null, fixed, enum, other unions       refused, as in Java
//!  a record within itself                refused: Java writes it with schemas.enable=false alone
//! ```
//!
//! Java finds the first problems of a file when it checks the file, the last ones when the task starts; here
//! all are found at once. A schema is checked also where none is used. Source: `AvroSchema` and
//! `AvroSchemaDefaults` of mongo-kafka-connect 2.0.1.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_core::connect::{Field, Kind, Schema, SchemaSource, Value};
use serde_json::Value as Json;

use super::avro::{Avro, Record};
use super::converter::ConverterKind;
use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;

const INFER: &str = "output.schema.infer.value";

/// Java's schema for keys.
pub(super) const DEFAULT_KEY: &str =
    r#"{"type": "record", "name": "keySchema", "fields": [{"name": "_id", "type": "string"}]}"#;
/// Java's schema for values: a change event, its documents as JSON texts.
pub(super) const DEFAULT_VALUE: &str = r#"{
  "type": "record", "name": "ChangeStream", "fields": [
    {"name": "_id", "type": "string"},
    {"name": "operationType", "type": ["string", "null"]},
    {"name": "fullDocumentBeforeChange", "type": ["string", "null"]},
    {"name": "fullDocument", "type": ["string", "null"]},
    {"name": "ns", "type": [{"type": "record", "name": "ns", "fields": [
      {"name": "db", "type": "string"}, {"name": "coll", "type": ["string", "null"]}]}, "null"]},
    {"name": "to", "type": [{"type": "record", "name": "to", "fields": [
      {"name": "db", "type": "string"}, {"name": "coll", "type": ["string", "null"]}]}, "null"]},
    {"name": "documentKey", "type": ["string", "null"]},
    {"name": "updateDescription", "type": [{"type": "record", "name": "updateDescription", "fields": [
      {"name": "updatedFields", "type": ["string", "null"]},
      {"name": "removedFields", "type": [{"type": "array", "items": "string"}, "null"]},
      {"name": "truncatedArrays", "type": [{"type": "array", "items": {
        "type": "record", "name": "truncatedArray", "fields": [
          {"name": "field", "type": "string"}, {"name": "newSize", "type": "int"}]}}, "null"]},
      {"name": "disambiguatedPaths", "type": ["string", "null"]}]}, "null"]},
    {"name": "clusterTime", "type": ["string", "null"]},
    {"name": "txnNumber", "type": ["long", "null"]},
    {"name": "lsid", "type": [{"type": "record", "name": "lsid", "fields": [
      {"name": "id", "type": "string"}, {"name": "uid", "type": "string"}]}, "null"]}]}"#;

/// Where the schemas of `side` (`key` or `value`) come from, for a converter that takes structs.
pub(super) fn parse_source(
    side: &str,
    values: &Values,
    converter: ConverterKind,
    report: &mut Report,
) -> Option<SchemaSource> {
    if side == "value" && values.boolean(INFER) {
        return Some(SchemaSource::Inferred);
    }
    let property = format!("output.schema.{side}");
    let text = values.text(&property);
    // A schema that cannot be read was refused by `check` already.
    let schema = read(text).ok()?;
    if converter == ConverterKind::String && schema.holds_bytes() {
        let reason = format!(
            "StringConverter has no text for bytes (Java writes the name and hash of an array); use \
             string for them, or {side}.converter=…JsonConverter"
        );
        report.refuse(&property, Shown::Text(text.to_owned()), Reason::Conflict(reason));
        return None;
    }
    Some(SchemaSource::Given(Arc::new(schema)))
}

/// Checks both schemas, and says what has no effect.
pub(super) fn check(values: &Values, report: &mut Report) {
    for property in ["output.schema.key", "output.schema.value"] {
        let text = values.text(property);
        if let Err(reason) = read(text) {
            report.refuse(property, Shown::Text(text.to_owned()), Reason::Conflict(reason));
        }
    }
    let is_schema = values.text("output.format.value").eq_ignore_ascii_case("schema");
    if values.boolean(INFER) && !is_schema {
        report.warn(format!("{INFER} has no effect without output.format.value=schema"));
    }
}

/// The schema that `json` declares, or what is wrong with it in Java's words where Java has any.
fn read(json: &str) -> Result<Schema, String> {
    let avro =
        Avro::parse(json).map_err(|error| format!("Invalid Avro schema. {error}\n{json}"))?;
    if !matches!(avro, Avro::Record(_)) {
        return Err("Only Record schemas are supported at the top-level.".to_owned());
    }
    validate(&avro, "", &mut BTreeSet::new())?;
    schema(&avro, false, None)
}

fn validate(avro: &Avro, path: &str, seen: &mut BTreeSet<String>) -> Result<(), String> {
    match avro {
        Avro::Record(record) => {
            if !seen.insert(record.full_name.clone()) {
                return Ok(());
            }
            for field in &record.fields {
                let name = &field.name;
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                validate(&field.schema, &path, seen)?;
            }
            Ok(())
        }
        Avro::Array(of) | Avro::Map(of) => validate(of, path, seen),
        Avro::Union(members) => validate_union(members, path, seen),
        Avro::Fixed => Err(invalid(
            path,
            "Unsupported Avro schema type: 'FIXED'. The connector will not validate the length. Use bytes instead.",
        )),
        Avro::Enum => Err(invalid(
            path,
            "Unsupported Avro schema type: 'ENUM'. The connector will not validate the values. Use string instead.",
        )),
        Avro::Null => Err(invalid(path, "Unsupported Avro schema type: 'NULL'.")),
        Avro::Within(name) => Err(invalid(
            path,
            &format!(
                "Record {name} within itself is not supported by this version: JsonConverter could not write its \
                 schema. Use string for the inner one."
            ),
        )),
        Avro::Boolean
        | Avro::Int
        | Avro::Long
        | Avro::Float
        | Avro::Double
        | Avro::Bytes
        | Avro::String => Ok(()),
    }
}

fn validate_union(members: &[Avro], path: &str, seen: &mut BTreeSet<String>) -> Result<(), String> {
    let is_null = |member: &&Avro| matches!(member, Avro::Null);
    let Some(member) = members.iter().find(|member| !is_null(member)) else {
        return Err(invalid(path, NO_UNIONS));
    };
    if members.len() != 2 || members.iter().filter(is_null).count() != 1 {
        return Err(invalid(path, NO_UNIONS));
    }
    validate(member, "", seen).map_err(|inner| {
        let mut letters = inner.chars();
        let first = letters.next().map(|first| first.to_lowercase().to_string());
        let inner = format!("{}{}", first.unwrap_or_default(), letters.as_str());
        let has_parts = matches!(member, Avro::Record(_) | Avro::Array(_) | Avro::Map(_));
        let text = if has_parts {
            format!(
                "Union Schema contains an unsupported Avro schema type: '{member}', which contains an {inner}"
            )
        } else {
            format!("Union Schema contains an {inner}")
        };
        invalid(path, &text)
    })
}

const NO_UNIONS: &str =
    "Union Schemas are not supported, unless one value is null to represent an optional value.";

fn invalid(path: &str, message: &str) -> String {
    if path.is_empty() {
        return message.to_owned();
    }
    format!("Field '{path}' is invalid. {message}")
}

/// Connect's schema of a validated one.
fn schema(avro: &Avro, optional: bool, default: Option<&Json>) -> Result<Schema, String> {
    let kind = match avro {
        Avro::Union(members) => {
            let member = members.iter().find(|member| !matches!(member, Avro::Null));
            return schema(member.ok_or(NO_UNIONS)?, true, None);
        }
        Avro::Record(record) => return structure(record, optional, default),
        Avro::Array(of) => Kind::Array(Arc::new(schema(of, false, default)?)),
        Avro::Map(of) => Kind::Map(Arc::new(schema(of, false, default)?)),
        Avro::Boolean => Kind::Boolean,
        Avro::Int => Kind::Int32,
        Avro::Long => Kind::Int64,
        Avro::Float => Kind::Float32,
        Avro::Double => Kind::Float64,
        Avro::Bytes => Kind::Bytes,
        Avro::String => Kind::String,
        Avro::Null | Avro::Fixed | Avro::Enum | Avro::Within(_) => {
            return Err(format!("Unsupported Avro schema type: '{avro}'."));
        }
    };
    let default = default.map(|json| default_value(&kind, json)).transpose()?;
    Ok(Schema { default, ..Schema::new(kind, optional) })
}

fn structure(record: &Record, optional: bool, default: Option<&Json>) -> Result<Schema, String> {
    let name = &record.full_name;
    if default.is_some() {
        return Err(format!(
            "A default for a value of record {name} is not supported by this version: Java's JsonConverter cannot \
             write it."
        ));
    }
    let mut fields = Vec::new();
    for field in &record.fields {
        if field.name.is_empty() {
            return Err("fieldName cannot be null.".to_owned());
        }
        let schema = schema(&field.schema, false, field.default.as_ref())
            .map_err(|error| invalid(&field.name, &error))?;
        fields.push(Field { name: field.name.clone(), schema: Arc::new(schema) });
    }
    Ok(Schema::new(Kind::Struct(fields), optional).named(name))
}

/// A default. Java gives the default of an array or map to its items, too, which takes an empty one of
/// optional items alone.
fn default_value(kind: &Kind, json: &Json) -> Result<Value, String> {
    let value = match (kind, json) {
        (Kind::Boolean, Json::Bool(value)) => Some(Value::Boolean(*value)),
        (Kind::Int32, json) => {
            json.as_i64().and_then(|number| i32::try_from(number).ok()).map(Value::Int32)
        }
        (Kind::Int64, json) => json.as_i64().map(Value::Int64),
        (Kind::Float32, json) => json.as_f64().map(|number| Value::Float32(number as f32)),
        (Kind::Float64, json) => json.as_f64().map(Value::Float64),
        (Kind::String, Json::String(text)) => Some(Value::String(text.clone())),
        // Each character is a byte; Java writes a question mark for what is none.
        (Kind::Bytes, Json::String(text)) => {
            let byte = |unit: u16| u8::try_from(unit).unwrap_or(b'?');
            Some(Value::Bytes(text.encode_utf16().map(byte).collect()))
        }
        (Kind::Array(_), Json::Array(items)) if items.is_empty() => Some(Value::Array(Vec::new())),
        (Kind::Map(_), Json::Object(items)) if items.is_empty() => Some(Value::Map(Vec::new())),
        (Kind::Array(_) | Kind::Map(_), _) => {
            return Err("A default with items is not supported by this version.".to_owned());
        }
        _ => None,
    };
    value.ok_or_else(|| "Invalid default value".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::source::OutputFormat;
    use super::super::source_check::tests::{error, source};
    use super::*;

    fn field(declaration: &str) -> String {
        format!(r#"{{"type": "record", "name": "a", "fields": [{declaration}]}}"#)
    }

    fn field_of(declaration: &str) -> Schema {
        let Kind::Struct(fields) = read(&field(declaration)).unwrap().kind else { panic!() };
        (*fields[0].schema).clone()
    }

    #[test]
    fn the_defaults_are_schemas() {
        let key = read(DEFAULT_KEY).unwrap();
        assert_eq!((key.name.as_deref(), key.optional), (Some("keySchema"), false));
        let Kind::Struct(fields) = read(DEFAULT_VALUE).unwrap().kind else { panic!() };
        assert_eq!(fields.len(), 11);
        assert_eq!(fields.iter().filter(|field| !field.schema.optional).count(), 1);
    }

    #[test]
    fn types_names_and_defaults_are_those_of_java() {
        let json = r#"{"type": "error", "name": "a", "namespace": "n.s", "doc": "d", "fields": [
            {"name": "b", "type": {"type": "record", "name": "c", "fields": [
                {"name": "x.y", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}},
            {"name": "e", "type": ["null", "c"], "default": null},
            {"name": "f", "type": {"type": "map", "values": ["null", "double"]}, "default": {}}]}"#;
        let c = |optional| {
            let long =
                Field { name: "x.y".to_owned(), schema: Schema::new(Kind::Int64, false).into() };
            Schema::new(Kind::Struct(vec![long]), optional).named("n.s.c")
        };
        let map = Schema::new(Kind::Map(Schema::new(Kind::Float64, true).into()), false);
        let fields = [
            ("b", c(false)),
            ("e", c(true)),
            ("f", Schema { default: Some(Value::Map(Vec::new())), ..map }),
        ];
        let fields =
            fields.map(|(name, schema)| Field { name: name.to_owned(), schema: schema.into() });
        let want = Schema::new(Kind::Struct(fields.to_vec()), false).named("n.s.a");
        assert_eq!(read(json), Ok(want));
        for (declaration, default) in [
            (r#""int", "default": -5"#, Value::Int32(-5)),
            (r#""float", "default": 1"#, Value::Float32(1.0)),
            (r#""bytes", "default": "\u00ff\u0100""#, Value::Bytes(vec![255, b'?'])),
            (r#""string", "default": """#, Value::String(String::new())),
        ] {
            let schema = field_of(&format!(r#"{{"name": "b", "type": {declaration}}}"#));
            assert_eq!(schema.default, Some(default), "{declaration}");
        }
        let dropped = field_of(r#"{"name": "b", "type": ["int", "null"], "default": 5}"#);
        assert_eq!(dropped, Schema::new(Kind::Int32, true), "as in Java");
    }

    /// The messages of connector 2.0.1.
    #[test]
    fn what_java_refuses_is_refused_in_its_words() {
        let b = |declared: &str| field(&format!(r#"{{"name": "b", "type": {declared}}}"#));
        for (json, message) in [
            ("5".to_owned(), "Invalid Avro schema. Schema not yet supported: 5\n5"),
            ("[]".to_owned(), "Only Record schemas are supported at the top-level."),
            (r#""string""#.to_owned(), "Only Record schemas are supported at the top-level."),
            ("{}".to_owned(), "Invalid Avro schema. No type: {}\n{}"),
            (r#"{"type":"record"}"#.to_owned(), "No name in schema: {\"type\":\"record\"}\n"),
            (r#"{"type":"record","name":"a"}"#.to_owned(), "Record has no fields: {\"type\""),
            (field("{}"), "No field name: {}\n"),
            (field(r#"{"name":"b"}"#), "No field type: {\"name\":\"b\"}\n"),
            (field(r#"{"name":"","type":"int"}"#), "fieldName cannot be null."),
            (b(r#""foo""#), "Undefined schema: foo\n"),
            (
                field(r#"{"name":"b","type":"int"},{"name":"b","type":"int"}"#),
                "Duplicate field b in record a: b type:INT pos:1 and b type:INT pos:0.\n",
            ),
            (b(r#""int", "default": "x""#), "Invalid default for field b: \"x\" not a \"int\"\n"),
            (b(r#""int", "default": 5.0"#), "Invalid default for field b: 5.0 not a \"int\"\n"),
            (
                b(r#"["int","null"], "default": "x""#),
                "Invalid default for field b: \"x\" not a [\"int\",\"null\"]\n",
            ),
            (b(r#"["int","int"]"#), "Duplicate in union:int\n"),
            (
                b(r#"["int"]"#),
                "Field 'b' is invalid. Union Schemas are not supported, unless one value is null to represent an \
                 optional value.",
            ),
            (b(r#""null""#), "Field 'b' is invalid. Unsupported Avro schema type: 'NULL'."),
            (b(r#"{"type":"array"}"#), "Array has no items type: {\"type\":\"array\"}\n"),
            (b(r#"{"type":"map"}"#), "Map has no values type: {\"type\":\"map\"}\n"),
            (
                b(r#"{"type":"array","items":{"type":"fixed","name":"f","size":3}}"#),
                "Field 'b' is invalid. Unsupported Avro schema type: 'FIXED'. The connector will not validate the \
                 length. Use bytes instead.",
            ),
            (
                b(
                    r#"["null",{"type":"array","items":{"type":"enum","name":"f","symbols":["x"]}}]"#,
                ),
                "Field 'b' is invalid. Union Schema contains an unsupported Avro schema type: 'ARRAY', which \
                 contains an unsupported Avro schema type: 'ENUM'. The connector will not validate the values. \
                 Use string instead.",
            ),
            (
                b(r#"{"type":"record","name":"c","fields":[{"name":"d","type":"null"}]}"#),
                "Field 'b.d' is invalid. Unsupported Avro schema type: 'NULL'.",
            ),
            (b(r#"{"type":"array","items":"string"}, "default": []"#), "Invalid default value"),
        ] {
            let error = read(&json).unwrap_err();
            assert!(error.contains(message), "{json}: {error}");
        }
    }

    #[test]
    fn what_only_java_can_is_refused_by_name() {
        for (declared, message) in [
            (r#"["null", "a"]"#, "ecord a within itself is not supported"),
            (
                r#"{"type": "record", "name": "r", "fields": []}, "default": {}"#,
                "default for a value of record r is not supported",
            ),
            (
                r#"{"type": "array", "items": ["string", "null"]}, "default": ["x"]"#,
                "A default with items is not supported",
            ),
        ] {
            let error =
                read(&field(&format!(r#"{{"name": "b", "type": {declared}}}"#))).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn schemas_are_for_schema_output_and_every_one_is_checked() {
        let (config, notices) = source("output.format.key=Schema", true).unwrap();
        assert_eq!(notices, Vec::new());
        let OutputFormat::Schema { source: SchemaSource::Given(schema), .. } = &config.key.format
        else {
            panic!("{:?}", config.key)
        };
        assert_eq!(schema.name.as_deref(), Some("keySchema"));
        let lines = "output.format.value=schema\noutput.schema.infer.value=true";
        let (config, _) = source(lines, true).unwrap();
        let inferred = matches!(
            &config.value.format,
            OutputFormat::Schema { source: SchemaSource::Inferred, .. }
        );
        assert!(inferred, "{:?}", config.value);
        let (_, notices) = source("output.schema.infer.value=true", true).unwrap();
        assert!(notices[0].text.ends_with("has no effect without output.format.value=schema"));
        let text = error("output.schema.key=\"string\"");
        assert!(
            text.contains(
                "Invalid value \"string\" for configuration output.schema.key: Only Record schemas"
            ),
            "{text}"
        );
    }

    #[test]
    fn converters_that_cannot_write_a_schema_are_refused() {
        let text = error("output.format.value=schema\nvalue.converter=ByteArray");
        assert!(
            text.contains("configuration output.format.value: ByteArrayConverter takes no structs")
        );
        let bytes = field(r#"{"name": "b", "type": ["bytes", "null"]}"#);
        let lines = format!("output.format.value=schema\noutput.schema.value={bytes}");
        assert!(error(&lines).contains("StringConverter has no text for bytes"));
        assert!(source(&format!("{lines}\nvalue.converter=Json"), true).is_ok());
    }
}
