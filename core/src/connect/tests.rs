//! Laws of schema output: from documents to record bytes.

use std::sync::Arc;

use bson::{Bson, Document, doc};
use proptest::prelude::*;

use super::{
    ConversionError, DecimalFormat, Field, JsonSettings, Kind, Schema, SchemaOutput, SchemaSource,
    Value,
};
use crate::format::{Converter, EncodeError, Encoder, EncoderError, JsonFormatter};
use crate::mongo::bson::RawDoc;

const PLAIN: Converter = Converter::Json { schemas_enable: false };
const ENVELOPE: Converter = Converter::Json { schemas_enable: true };

fn record(fields: Vec<(&str, Schema)>) -> Schema {
    let field =
        |(name, schema): (&str, Schema)| Field { name: name.to_owned(), schema: Arc::new(schema) };
    Schema::new(Kind::Struct(fields.into_iter().map(field).collect()), false)
}

fn optional(kind: Kind) -> Schema {
    Schema::new(kind, true)
}

fn output(source: SchemaSource) -> SchemaOutput {
    SchemaOutput { source, formatter: JsonFormatter::Simplified, json: JsonSettings::DEFAULT }
}

fn encode_by(
    output: SchemaOutput,
    converter: Converter,
    bytes: &[u8],
) -> Result<String, EncodeError> {
    let encoder = Encoder::schema(output, converter).unwrap();
    let mut out = b"before".to_vec();
    encoder.encode(RawDoc::new(bytes).map_err(ConversionError::from)?, &mut out)?;
    Ok(String::from_utf8(out.split_off(6)).unwrap())
}

fn encode(
    schema: &Schema,
    converter: Converter,
    document: &Document,
) -> Result<String, ConversionError> {
    let output = output(SchemaSource::Given(Arc::new(schema.clone())));
    encode_by(output, converter, &document.to_vec().unwrap()).map_err(conversion)
}

fn infer(converter: Converter, document: &Document) -> Result<String, ConversionError> {
    encode_by(output(SchemaSource::Inferred), converter, &document.to_vec().unwrap())
        .map_err(conversion)
}

fn conversion(error: EncodeError) -> ConversionError {
    match error {
        EncodeError::Conversion(error) => *error,
        EncodeError::Format(error) => ConversionError::Format(error),
    }
}

/// Names and types of an inferred schema in the order of the fields.
fn inferred(document: &Document) -> Vec<(String, serde_json::Value)> {
    let record = infer(ENVELOPE, document).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let fields = record["schema"]["fields"].as_array().unwrap().clone();
    fields.into_iter().map(|field| (field["field"].as_str().unwrap().to_owned(), field)).collect()
}

fn item_type(items: Vec<Bson>) -> String {
    let fields = inferred(&doc! { "a": items });
    fields[0].1["items"]["type"].as_str().unwrap().to_owned()
}

#[test]
fn an_envelope_is_the_schema_and_the_payload_as_java_writes_them() {
    let with_default =
        Schema { default: Some(Value::Int32(-7)), ..Schema::new(Kind::Int32, false) };
    let inner = record(vec![("x", optional(Kind::Boolean))]).named("n.inner");
    let schema = record(vec![
        ("id", Schema::new(Kind::String, false)),
        ("n", with_default),
        ("l", optional(Kind::Array(optional(Kind::Float64).into()))),
        ("m", Schema::new(Kind::Map(Schema::new(Kind::Float32, false).into()), true)),
        ("o", inner),
        ("b", optional(Kind::Bytes)),
        ("d", optional(Kind::Decimal { scale: 2 })),
        ("t", optional(Kind::Timestamp)),
        ("gone", optional(Kind::Int64)),
    ]);
    let document = doc! {
        "t": bson::DateTime::from_millis(-5), "id": "é\"", "l": [1, Bson::Null, f64::NAN, 2.5],
        "m": { "a": 0.1, "b": 1_i64 }, "o": { "x": true }, "b": "é",
        "d": "-1.28".parse::<bson::Decimal128>().unwrap(),
    };
    let payload = concat!(
        r#"{"id":"é\"","n":-7,"l":[1.0,null,"NaN",2.5],"m":{"a":0.1,"b":1.0},"o":{"x":true},"b":"w6k=","#,
        r#""d":"gA==","t":-5,"gone":null}"#,
    );
    let want = concat!(
        r#"{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},"#,
        r#"{"type":"int32","optional":false,"default":-7,"field":"n"},"#,
        r#"{"type":"array","items":{"type":"double","optional":true},"optional":true,"field":"l"},"#,
        r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"float","optional":false},"#,
        r#""optional":true,"field":"m"},"#,
        r#"{"type":"struct","fields":[{"type":"boolean","optional":true,"field":"x"}],"optional":false,"#,
        r#""name":"n.inner","field":"o"},{"type":"bytes","optional":true,"field":"b"},"#,
        r#"{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"#,
        r#""parameters":{"scale":"2"},"field":"d"},"#,
        r#"{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"#,
        r#""field":"t"},{"type":"int64","optional":true,"field":"gone"}],"optional":false},"payload":"#,
    );
    assert_eq!(encode(&schema, PLAIN, &document).unwrap(), payload);
    assert_eq!(encode(&schema, ENVELOPE, &document).unwrap(), format!("{want}{payload}}}"));
}

#[test]
fn the_text_of_a_struct_leaves_nulls_out_and_has_none_for_bytes() {
    let schema = record(vec![
        ("s", optional(Kind::String)),
        ("l", optional(Kind::Array(optional(Kind::Float32).into()))),
        ("m", optional(Kind::Map(optional(Kind::Boolean).into()))),
        (
            "o",
            record(vec![
                ("t", optional(Kind::Timestamp)),
                ("d", optional(Kind::Decimal { scale: 1 })),
            ]),
        ),
        ("b", optional(Kind::Bytes)),
    ]);
    let document = doc! {
        "l": [1, Bson::Null, 1.4e-45], "m": { "k": true, "n": Bson::Null },
        "o": { "t": bson::DateTime::from_millis(0), "d": "0.5".parse::<bson::Decimal128>().unwrap() },
    };
    assert_eq!(
        encode(&schema, Converter::String, &document).unwrap(),
        "Struct{l=[1.0, null, 1.4E-45],m={k=true, n=null},o=Struct{t=Thu Jan 01 00:00:00 UTC 1970,d=0.5}}"
    );
    let bytes = encode(&schema, Converter::String, &doc! { "o": {}, "b": "x" });
    assert_eq!(bytes, Err(ConversionError::BytesAsText));
}

#[test]
fn a_converter_of_bytes_takes_no_struct() {
    let error = Encoder::schema(output(SchemaSource::Inferred), Converter::ByteArray).unwrap_err();
    assert_eq!(error, EncoderError::SchemaAsByteArray);
    assert!(error.to_string().contains("JsonConverter"));
}

#[test]
fn decimals_are_numbers_where_that_is_wanted() {
    for (decimals, want) in
        [(DecimalFormat::Numeric, r#"{"d":1.2E+3}"#), (DecimalFormat::Base64, r#"{"d":"DA=="}"#)]
    {
        let json = JsonSettings { decimals, ..JsonSettings::DEFAULT };
        let output = SchemaOutput { json, ..output(SchemaSource::Inferred) };
        let document = doc! { "d": "12E2".parse::<bson::Decimal128>().unwrap() };
        assert_eq!(encode_by(output, PLAIN, &document.to_vec().unwrap()).unwrap(), want);
    }
}

#[test]
fn a_field_is_found_by_its_name_then_along_its_path() {
    let schema = record(vec![("a.b.c", optional(Kind::Int32)), ("a.", optional(Kind::Int32))]);
    for (document, want) in [
        (doc! { "a": { "b": { "c": 1 } } }, r#"{"a.b.c":1,"a.":null}"#),
        (doc! { "a": { "b.c": 2 }, "a.b.c": 3 }, r#"{"a.b.c":3,"a.":null}"#),
        (doc! { "a": { "b.c": 2 }, "a.": 4 }, r#"{"a.b.c":2,"a.":4}"#),
        (doc! { "a": [1], "a.b": { "c": 1 } }, r#"{"a.b.c":null,"a.":null}"#),
    ] {
        assert_eq!(encode(&schema, PLAIN, &document).unwrap(), want, "{document}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let schema = record(vec![("n", Schema::new(Kind::Int32, false))]);
    let error = |document: Document| encode(&schema, PLAIN, &document).unwrap_err().to_string();
    assert_eq!(error(doc! { "_id": 5 }), r#"Missing field 'n' in: '{"_id": 5}'"#);
    assert_eq!(error(doc! { "n": "5" }), "Schema type of int32 but value was of type: string");
    assert_eq!(error(doc! { "n": null }), "Schema type of int32 but value was of type: null");
    let decimal = "5".parse::<bson::Decimal128>().unwrap();
    assert_eq!(
        error(doc! { "n": decimal }),
        "Schema type of int32 but value was of type: decimal128"
    );
}

#[test]
fn numbers_are_cast_as_java_casts_them() {
    let schema = record(vec![
        ("i", Schema::new(Kind::Array(optional(Kind::Int32).into()), false)),
        ("l", Schema::new(Kind::Array(optional(Kind::Int64).into()), false)),
    ]);
    let at = bson::Timestamp { time: u32::MAX, increment: 9 };
    let numbers = vec![
        Bson::Double(f64::NAN),
        Bson::Double(1e300),
        Bson::Double(-1.9),
        Bson::Int64(1 << 32 | 5),
        Bson::Timestamp(at),
    ];
    assert_eq!(
        encode(&schema, PLAIN, &doc! { "i": &numbers, "l": &numbers }).unwrap(),
        r#"{"i":[0,-1,-1,5,-1000],"l":[0,9223372036854775807,-1,4294967301,-1000]}"#
    );
}

#[test]
fn other_types_are_texts_without_their_quotes() {
    let schema = record(vec![("s", Schema::new(Kind::String, false))]);
    for (value, want) in [
        (Bson::Null, r#""null""#),
        (Bson::Boolean(true), r#""true""#),
        (Bson::DateTime(bson::DateTime::from_millis(0)), r#""1970-01-01T00:00:00Z""#),
        (Bson::from(doc! { "a": "b" }), r#""{\"a\": \"b\"}""#),
        (Bson::from(vec!["x"]), r#""[\"x\"]""#),
        (Bson::Symbol("\"".to_owned()), r#""\\\"""#),
    ] {
        let got = encode(&schema, PLAIN, &doc! { "s": value.clone() }).unwrap();
        assert_eq!(got, format!(r#"{{"s":{want}}}"#), "{value}");
    }
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

/// A document with these elements, which no library would write.
fn framed(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    let length = (elements.len() as u32 + 5).to_le_bytes();
    [&length, elements.as_slice(), &[0]].concat()
}

/// What Java's `BsonValueToSchemaAndValue` printed for the same bytes.
#[test]
fn a_name_that_occurs_twice_is_decoded_where_java_decodes_it() {
    let number = |name, number: i32| element(0x10, name, &number.to_le_bytes());
    let code = |scope: &[u8]| {
        let body = [&2_u32.to_le_bytes()[..], b"c\0", scope].concat();
        [&(body.len() as u32 + 4).to_le_bytes()[..], &body].concat()
    };
    let twice = framed(&[number("x", 1), number("y", 9), number("x", 2)]);
    let array = framed(&[element(3, "0", &twice)]);
    let scoped = code(&framed(&[
        element(3, "in", &twice),
        element(4, "l", &array),
        element(0x0f, "c", &code(&twice)),
        number("x", 1),
        element(3, "x", &twice),
        element(4, "e", &framed(&[number("7", 5), number("7", 6)])),
    ]));
    let (raw, one) = (r#"{"x": 1, "y": 9, "x": 2}"#, r#"{"x": 2, "y": 9}"#);
    let code_of_one = format!(r#"{{"$code": "c", "$scope": {one}}}"#);
    let decoded = format!(
        r#"{{"$code": "c", "$scope": {{"in": {one}, "l": [{one}], "c": {code_of_one}, "x": {one}, "e": [5, 6]}}}}"#
    );
    let text = |kind: u8, value: &[u8]| {
        let source = SchemaSource::Given(record(vec![("v", optional(Kind::String))]).into());
        let document = framed(&[element(kind, "v", value)]);
        encode_by(output(source), Converter::String, &document).unwrap()
    };
    for (kind, value, want) in [
        (3, twice.clone(), raw.to_owned()),
        (4, array.clone(), format!("[{raw}]")),
        (4, framed(&[element(4, "0", &array)]), format!("[[{raw}]]")),
        (0x0f, scoped.clone(), decoded.clone()),
        (4, framed(&[element(0x0f, "0", &scoped)]), format!("[{decoded}]")),
        (
            3,
            framed(&[element(0x0f, "c", &code(&twice))]),
            format!(r#"{{"c": {{"$code": "c", "$scope": {raw}}}}}"#),
        ),
    ] {
        assert_eq!(text(kind, &value), format!("Struct{{v={want}}}"));
    }
    let map = optional(Kind::Map(optional(Kind::String).into()));
    let entries = framed(&[element(0x0f, "k", &scoped), element(4, "2", &array)]);
    let source = SchemaSource::Given(record(vec![("v", map)]).into());
    let written =
        encode_by(output(source), Converter::String, &framed(&[element(3, "v", &entries)]));
    assert_eq!(written.unwrap(), format!("Struct{{v={{k={decoded}, 2=[{one}]}}}}"));
}

#[test]
fn an_inferred_schema_has_the_id_first_and_names_its_parts_by_their_path() {
    let document = doc! {
        "b": { "y": { "_id": { "z": 1 } }, "x": [] }, "\u{ffff}": 1, "😀": 1, "_id": 7, "B": 1,
    };
    let fields = inferred(&document);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["_id", "B", "b", "😀", "\u{ffff}"]);
    let b = &fields[2].1;
    assert_eq!((&b["name"], &b["fields"][0]["name"]), (&"b".into(), &"b_x".into()));
    let y = &b["fields"][1];
    assert_eq!((&y["name"], &y["fields"][0]["name"]), (&"b_y".into(), &"_id".into()));
    assert!(infer(ENVELOPE, &document).unwrap().contains(r#""optional":false,"name":"default"},"#));
    assert_eq!(infer(PLAIN, &doc! { "": 1 }), Err(ConversionError::EmptyFieldName));
}

#[test]
fn items_of_an_array_are_combined_as_java_does_it() {
    let (null, at) = (Bson::Null, Bson::DateTime(bson::DateTime::from_millis(1)));
    let scale = |text: &str| Bson::Decimal128(text.parse().unwrap());
    for (items, want) in [
        (vec![], "string"),
        (vec![null.clone(), 1.into(), null.clone()], "int32"),
        (vec![1.into(), Bson::Int64(1)], "string"),
        (vec![at.clone(), Bson::Timestamp(bson::Timestamp { time: 1, increment: 1 })], "int64"),
        (vec![at, Bson::Int64(1)], "string"),
        (vec![scale("1.0"), scale("1.00")], "string"),
        (vec![doc! { "a": 1 }.into(), 1.into()], "string"),
        (vec![doc! { "a": 1 }.into(), doc! { "b": 1 }.into()], "struct"),
    ] {
        assert_eq!(item_type(items.clone()), want, "{items:?}");
    }
    // Beside a text the unknown stays unknown, and what comes third decides.
    let third = |first: Bson| {
        let of = |a: Bson| Bson::from(doc! { "a": a });
        inferred(&doc! { "l": [of(first), of("x".into()), of(null.clone())] })[0].1["items"]["fields"]
            [0]["type"]
            .clone()
    };
    assert_eq!(third("x".into()), "string");
    let misfit = doc! { "l": [{ "a": null }, { "a": "x" }, { "a": 1 }] };
    assert_eq!(
        infer(PLAIN, &misfit),
        Err(ConversionError::UnexpectedType { wanted: "int32", found: "string" })
    );
}

#[test]
fn a_document_cut_or_altered_at_any_byte_never_panics() {
    let document = doc! {
        "_id": 1, "s": "text", "d": { "l": [1, "x", { "a": null }] }, "b": bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2],
        },
        "dec": bson::Decimal128::from_bytes([1; 16]), "at": bson::DateTime::from_millis(-1),
    };
    let whole = document.to_vec().unwrap();
    let schema = record(vec![("d", optional(Kind::String)), ("b", optional(Kind::Bytes))]);
    for source in [SchemaSource::Inferred, SchemaSource::Given(Arc::new(schema))] {
        for len in 5..whole.len() {
            let mut cut = whole[..len].to_vec();
            cut[..4].copy_from_slice(&i32::try_from(len).unwrap().to_le_bytes());
            cut[len - 1] = 0;
            let _ = encode_by(output(source.clone()), ENVELOPE, &cut);
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[len] = byte;
                let _ = encode_by(output(source.clone()), ENVELOPE, &altered);
            }
        }
    }
    let deep = (0..300).fold(doc! {}, |inner, _| doc! { "a": inner });
    assert!(matches!(infer(PLAIN, &deep), Err(ConversionError::Format(_))));
}

proptest! {
    #[test]
    fn a_document_of_plain_types_reads_back_from_its_inferred_payload(
        texts in proptest::collection::vec(any::<String>(), 0..4), number: i64, flag: bool,
        double in any::<f64>().prop_filter("finite", |value| value.is_finite()),
        name in "[^\\x00]{1,8}",
    ) {
        let document = doc! { "texts": &texts, "flag": flag, "o": { &name: number }, "double": double };
        let json = infer(PLAIN, &document).unwrap();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read["texts"].clone(), serde_json::json!(texts));
        prop_assert_eq!(read["o"][&name].as_i64(), Some(number));
        prop_assert_eq!(read["double"].as_f64(), Some(double));
        prop_assert_eq!(read["flag"].as_bool(), Some(flag));
    }
}
