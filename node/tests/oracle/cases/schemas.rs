//! `output.format.key|value=schema`: given and inferred schemas, in both converters.
//!
//! The documents are those of the golden file, one value of every type with its edge values, and such as show how
//! types combine. Bytes in a text are Java's name and hash of an array, so they are for `JsonConverter` alone.

use anyhow::{Result, ensure};
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf, RawJavaScriptCodeWithScope};
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Timestamp, doc, rawdoc};

use super::copies::COPY_LASTS_MAX;
use super::documents::each_kind_once;
use super::envelopes::{array, every_kind_of_every_type, golden};
use crate::case::{Case, EVENTS, LANE, Place, Write};
use crate::trial::trial;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const KINDS: Write = |place| Box::pin(each_kind_once(place));
const TYPES: Write = |place| Box::pin(every_kind_of_every_type(place));
const DOCUMENTS: Write = |place| Box::pin(every_type(place, |_| true));
const TEXTS: Write = |place| Box::pin(every_type(place, |document| !holds_bytes(document)));
const OWN_DOCUMENTS: Write = |place| Box::pin(documents_of_the_own_schema(place));
const NUMBERS: Write = |place| Box::pin(numbers(place));
const MISFITS: Write = |place| Box::pin(documents_that_do_not_fit(place));
const BEHIND: Write = |_| Box::pin(behind_the_copy());

/// Every type that a schema may have, with defaults, paths and a field that lies deep.
const OWN: &str = r#"{"type": "record", "name": "Own", "namespace": "shop.sales", "fields": [
    {"name": "_id", "type": ["null", "string"]},
    {"name": "missing", "type": "string", "default": "é\"😀"},
    {"name": "count", "type": "int", "default": 7}, {"name": "ratio", "type": "float", "default": 0.1},
    {"name": "huge", "type": "double", "default": 1e300}, {"name": "whole", "type": "long", "default": -5},
    {"name": "is", "type": "boolean", "default": true},
    {"name": "none", "type": {"type": "array", "items": ["int", "null"]}, "default": []},
    {"name": "empty", "type": {"type": "map", "values": ["int", "null"]}, "default": {}},
    {"name": "text", "type": ["string", "null"]}, {"name": "o.deep.er", "type": ["string", "null"]},
    {"name": "o.list", "type": [{"type": "array", "items": ["long", "null"]}, "null"]},
    {"name": "o", "type": [{"type": "record", "name": "Inner", "fields": [
        {"name": "deep", "type": ["null", {"type": "map", "values": "string"}]},
        {"name": "list", "type": [{"type": "array", "items": ["double", "null"]}, "null"]}]}, "null"]},
    {"name": "again", "type": ["Inner", "null"]}]}"#;
const OWN_KEY: &str = r#"{"type": "record", "name": "Key", "fields": [
    {"name": "documentKey._id", "type": ["string", "null"]}, {"name": "operationType", "type": "string"},
    {"name": "documentKey.gone", "type": "boolean", "default": false}]}"#;
const BYTES: &str = r#"{"type": "record", "name": "Bytes", "fields": [
    {"name": "_id", "type": ["null", "string"]},
    {"name": "a", "type": ["null", "bytes"]}, {"name": "none", "type": "bytes", "default": "\u00ff0"}]}"#;
const NUMBERS_SCHEMA: &str = r#"{"type": "record", "name": "Numbers", "fields": [
    {"name": "_id", "type": ["null", "string"]},
    {"name": "int", "type": ["null", {"type": "array", "items": ["null", "int"]}]},
    {"name": "long", "type": ["null", {"type": "array", "items": ["null", "long"]}]},
    {"name": "float", "type": ["null", {"type": "array", "items": ["null", "float"]}]},
    {"name": "double", "type": ["null", {"type": "array", "items": ["null", "double"]}]}]}"#;
const TWICE: &str = r#"{"type": "record", "name": "Twice", "fields": [
    {"name": "_id", "type": "string"}, {"name": "code", "type": ["string", "null"]},
    {"name": "codes", "type": [{"type": "array", "items": "string"}, "null"]},
    {"name": "list", "type": ["string", "null"]},
    {"name": "map", "type": [{"type": "map", "values": "string"}, "null"]},
    {"name": "maps", "type": [{"type": "map", "values": "string"}, "null"]}]}"#;
const STRICT: &str = r#"{"type": "record", "name": "Strict", "fields": [
    {"name": "_id", "type": "int"}, {"name": "fits", "type": "boolean"}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_and_inferred_schemas_have_javas_bytes() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    let both =
        |case: Case| case.set("output.format.key", "schema").set("output.format.value", "schema");
    let documents = |case: Case| case.set("publish.full.document.only", "true");
    let inferred = |name, content| {
        documents(both(Case::new(name, content))).set("output.schema.infer.value", "true")
    };
    let plain = |case: Case| {
        case.set("key.converter", JSON)
            .set("value.converter", JSON)
            .set("key.converter.schemas.enable", "false")
            .set("value.converter.schemas.enable", "false")
    };
    let numeric = |case: Case| plain(case).set("value.converter.decimal.format", "numeric");
    let by = |case: Case, formatter: &str| {
        let package = "com.mongodb.kafka.connect.source.json.formatter";
        case.set("output.json.formatter", &format!("{package}.{formatter}"))
    };
    let own = |name, content, schema: &str| {
        let schema = schema.replace('\n', "");
        documents(both(Case::new(name, content))).set("output.schema.value", &schema)
    };
    vec![
        both(Case::new("schema_events", KINDS)).shows(r#""name":"ChangeStream"},"payload":{"_id""#),
        by(both(Case::new("schema_extended", KINDS)), "ExtendedJson")
            .strings()
            .shows("Struct{_id="),
        by(plain(both(Case::new("schema_simplified", TYPES))), "SimplifiedJson")
            .shows(r#""updateDescription":null"#),
        by(both(Case::new("schema_default", TYPES)), "DefaultJson").strings().shows("Struct{_id={"),
        both(Case::new("schema_renamed", |place| Box::pin(other_collection_renamed(place))))
            .whole_database()
            .shows(r#""to":{"db""#),
        inferred("schema_tombstones", KINDS)
            .set("publish.full.document.only.tombstone.on.delete", "true")
            .shows_tombstone(),
        both(Case::new("schema_copied", BEHIND))
            .before(DOCUMENTS)
            .set("startup.mode", "copy_existing")
            .shows(r#""clusterTime":null"#),
        letters(inferred("schema_copied_inferred", BEHIND))
            .before(DOCUMENTS)
            .set("startup.mode", "copy_existing")
            .shows("org.apache.kafka.connect.data.Decimal"),
        own("schema_own", OWN_DOCUMENTS, OWN)
            .set("output.schema.key", &OWN_KEY.replace('\n', ""))
            .shows(r#""name":"shop.sales.Own""#),
        by(own("schema_own_text", OWN_DOCUMENTS, OWN), "SimplifiedJson")
            .strings()
            .shows("missing=é"),
        own("schema_bytes", |place| Box::pin(bytes(place)), BYTES).shows(r#""default":"/zA=""#),
        own("schema_numbers", NUMBERS, NUMBERS_SCHEMA).shows(r#""NaN""#),
        own("schema_numbers_text", NUMBERS, NUMBERS_SCHEMA).strings().shows("1.4E-45"),
        letters(inferred("schema_inferred", DOCUMENTS))
            .shows("org.apache.kafka.connect.data.Timestamp"),
        by(numeric(letters(inferred("schema_inferred_plain", DOCUMENTS))), "ExtendedJson")
            .shows("E+"),
        letters(inferred("schema_inferred_text", TEXTS)).strings().shows("UTC 1970"),
        Case::new("schema_inferred_events", KINDS)
            .set("output.format.value", "schema")
            .set("output.schema.infer.value", "true")
            .shows(r#""name":"updateDescription_updatedFields","#),
        letters(inferred("schema_combined", |place| Box::pin(mixed_arrays(place))))
            .shows(r#""name":"merged"},"optional""#),
        letters(own("schema_letters", MISFITS, STRICT)).shows(r#"\"operationType\": \"insert\""#),
        letters(Case::new("schema_text_letters", MISFITS))
            .strings()
            .set("publish.full.document.only", "true")
            .set("output.format.value", "schema")
            .set("output.schema.value", &STRICT.replace('\n', ""))
            .shows(r#"{"_id": 2, "at": {"$date": "1970-01-01T00:00:00Z"}, "long": 5}"#),
        own("schema_twice", |place| Box::pin(names_that_occur_twice(place)), TWICE)
            .strings()
            .shows(r#"code={"$code": "c", "$scope": {"x": 2, "y": 9}}"#)
            .shows(r#"list=[{"x": 1, "y": 9, "x": 2}]"#)
            .shows(r#"map={x=2, y=9}"#),
    ]
}

/// Dead letters are among the topics of the case: its database is in their name.
fn letters(case: Case) -> Case {
    let topic = format!("{}.letters.{LANE}", case.database);
    case.set("errors.tolerance", "all").set("errors.deadletterqueue.topic.name", &topic)
}

async fn insert(place: &Place, documents: Vec<RawDocumentBuf>) -> Result<()> {
    let count = documents.len();
    let insert = rawdoc! { "insert": EVENTS, "documents": array(documents) };
    let reply = place.database().run_raw_command(insert).await?;
    ensure!(reply.get_i32("n")? as usize == count, "some were refused: {reply}");
    Ok(())
}

/// A document with each golden value that `wanted` takes.
async fn every_type(place: Place, wanted: fn(&RawDocument) -> bool) -> Result<()> {
    let chosen = golden()?.into_iter().filter(|document| wanted(document));
    let documents = (0_i32..).zip(chosen).map(|(id, value)| {
        rawdoc! { "value": value, "_id": id, "at": DateTime::from_millis(i64::from(id) * 86_399_999) }
    });
    insert(&place, documents.collect()).await
}

fn holds_bytes(document: &RawDocument) -> bool {
    document.iter().any(|element| match element {
        Ok((_, RawBsonRef::Document(inner))) => holds_bytes(inner),
        Ok((_, RawBsonRef::Array(items))) => items.into_iter().any(|item| match item {
            Ok(RawBsonRef::Document(inner)) => holds_bytes(inner),
            Ok(item) => matches!(item, RawBsonRef::Binary(_) | RawBsonRef::Array(_)),
            Err(_) => true,
        }),
        Ok((_, value)) => matches!(value, RawBsonRef::Binary(_)),
        Err(_) => true,
    })
}

async fn documents_of_the_own_schema(place: Place) -> Result<()> {
    let mut documents = Vec::new();
    for (id, value) in golden()?.into_iter().enumerate() {
        let Some(Ok((_, first))) = value.iter().next() else { continue };
        let mut document = rawdoc! { "_id": format!("n{id}") };
        document.append(bson::raw::cstr!("text"), first);
        documents.push(document);
    }
    insert(&place, documents).await?;
    let full = doc! {
        "_id": "full", "missing": 5, "count": -1, "ratio": 1.0e-10, "huge": 3_i64, "whole": 1.9, "is": false,
        "none": [1, Bson::Null, 2_i64], "empty": { "é": 1, "b": Bson::Null },
        "o": { "deep": { "er": "\"x\\\u{1f}😀\u{7f}" }, "list": [1, 2.5, Bson::Null] },
        "again": { "deep": Bson::Null, "list": [] }, "unknown": 1,
    };
    place.events().insert_one(full).await?;
    // The name with points counts before the path.
    place
        .events()
        .insert_one(doc! { "_id": "points", "o.list": [7], "o": { "list": [8.5] } })
        .await?;
    place.events().insert_one(doc! { "_id": "null", "o": Bson::Null, "text": Bson::Null }).await?;
    Ok(())
}

async fn bytes(place: Place) -> Result<()> {
    for length in 0..5 {
        let bytes: Vec<u8> = (250..=255).take(length).collect();
        let a = Binary { subtype: BinarySubtype::Generic, bytes };
        place.events().insert_one(doc! { "_id": length.to_string(), "a": a }).await?;
    }
    place
        .events()
        .insert_one(doc! { "_id": "old", "a": Binary {
            subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3],
        } })
        .await?;
    place.events().insert_one(doc! { "_id": "text", "a": "é😀" }).await?;
    place.events().insert_one(doc! { "_id": "document", "a": { "b": 1 } }).await?;
    place.events().insert_one(doc! { "_id": "null", "a": Bson::Null, "none": "there" }).await?;
    Ok(())
}

/// Numbers of every type in every type: casts, and floats as Java prints them.
async fn numbers(place: Place) -> Result<()> {
    let mut numbers = vec![
        Bson::Null,
        Bson::DateTime(DateTime::from_millis(1_609_459_200_123)),
        Bson::Timestamp(Timestamp { time: u32::MAX, increment: 1 }),
        Bson::Timestamp(Timestamp { time: 1_609_459_200, increment: 1 }),
    ];
    numbers.extend([i64::MIN, -1, 1 << 31, 1 << 53, (1 << 53) + 1, i64::MAX].map(Bson::Int64));
    numbers.extend([i32::MIN, 0, i32::MAX].map(Bson::Int32));
    numbers.extend(
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1.9, -1.9, 3.0e9, 1.0e300, 1.0e-300]
            .map(Bson::Double),
    );
    let mut bits = 1_u32;
    for _ in 0..4_000 {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        numbers.push(Bson::Double(f64::from(f32::from_bits(bits))));
        let digits = f64::from(bits % 100_000) * 10_f64.powi((bits >> 20) as i32 % 30 - 15);
        numbers.push(Bson::Double(digits));
    }
    numbers.extend((0..32).map(|bit| Bson::Double(f64::from(f32::from_bits(1 << bit)))));
    for (id, chunk) in numbers.chunks(500).enumerate() {
        let all = Bson::Array(chunk.to_vec());
        let document = doc! {
            "_id": id.to_string(), "int": &all, "long": &all, "float": &all, "double": &all,
        };
        place.events().insert_one(document).await?;
    }
    Ok(())
}

/// Items of several types: what fits, what becomes a text, and what Java cannot write by its own schema.
async fn mixed_arrays(place: Place) -> Result<()> {
    let decimal = |text: &str| text.parse::<Decimal128>().map(Bson::Decimal128);
    let (null, at) = (Bson::Null, DateTime::from_millis(7));
    let values = [
        Bson::Array(vec![]),
        Bson::from(vec![Bson::from(1), "x".into()]),
        Bson::from(vec![Bson::from(1), Bson::from(1_i64)]),
        Bson::from(vec![null.clone(), 1.into(), null.clone()]),
        Bson::from(vec![null.clone(), null.clone()]),
        Bson::from(vec![null.clone(), "x".into(), 1.into()]),
        Bson::from(vec![Bson::DateTime(at), Bson::Timestamp(Timestamp { time: 1, increment: 2 })]),
        Bson::from(vec![Bson::DateTime(at), Bson::Int64(5)]),
        Bson::from(vec![decimal("1.0")?, decimal("-2.5")?]),
        Bson::from(vec![decimal("1.0")?, decimal("1.00")?]),
        Bson::from(vec![Bson::Array(vec![]), Bson::Array(vec![1.into()])]),
        Bson::from(vec![Bson::Array(vec![null.clone()]), Bson::Array(vec!["x".into()])]),
        // The unknown stays unknown beside a text, so the number decides and the text does not fit.
        Bson::from(vec![
            Bson::Array(vec![null.clone()]),
            Bson::Array(vec!["x".into()]),
            Bson::Array(vec![1.into()]),
        ]),
        Bson::from(vec![doc! { "a": Bson::Null }, doc! { "a": "x" }, doc! { "a": 1 }]),
        Bson::from(vec![doc! { "a": "x" }, doc! { "a": Bson::Null }, doc! { "a": 1 }]),
        Bson::from(vec![
            doc! { "b": 1 },
            doc! { "a": "x", "_id": 2 },
            doc! { "_id": "y", "b": null },
        ]),
        Bson::from(vec![Bson::from(doc! { "a": 1 }), 1.into()]),
        Bson::from(doc! { "a": { "_id": { "x": 1 }, "b": [{ "c": [[{ "d": 1 }]] }] } }),
        Bson::from(Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] }),
    ];
    for (id, value) in values.into_iter().enumerate() {
        let id = id.to_string();
        let document =
            doc! { "z": 1, "merged": value.clone(), "_id": id, "default": { "merged": value } };
        place.events().insert_one(document).await?;
    }
    // Java compares UTF-16 units: the second name comes before the first.
    place.events().insert_one(doc! { "_id": "order", "\u{ffff}": 1, "😀": 1, "": 1 }).await?;
    place
        .events()
        .insert_one(doc! { "_id": "order 2", "\u{ffff}": 1, "😀": 1, "b": 1, "B": 1 })
        .await?;
    Ok(())
}

async fn documents_that_do_not_fit(place: Place) -> Result<()> {
    for document in [
        doc! { "_id": 1, "fits": true },
        doc! { "_id": 2, "at": DateTime::from_millis(0), "long": 5_i64 },
        doc! { "_id": 3, "fits": "no" },
        doc! { "_id": 4.5, "fits": false },
    ] {
        place.events().insert_one(document).await?;
    }
    Ok(())
}

/// Java reads some values where they lie and decodes others, which leaves the last of a name.
async fn names_that_occur_twice(place: Place) -> Result<()> {
    let mut twice = rawdoc! { "x": 1, "y": 9 };
    twice.append(bson::raw::cstr!("x"), 2);
    let code = RawJavaScriptCodeWithScope { code: "c".to_owned(), scope: twice.clone() };
    let document = rawdoc! {
        "_id": 1, "code": code.clone(), "codes": [code, twice.clone()], "list": [twice.clone()],
        "map": twice.clone(), "maps": { "a": twice.clone(), "b": [twice] },
    };
    insert(&place, vec![document]).await
}

async fn other_collection_renamed(place: Place) -> Result<()> {
    each_kind_once(place.clone()).await?;
    place.collection("other").insert_one(doc! { "_id": 1 }).await?;
    let name = |collection: &str| format!("{}.{collection}", place.name);
    let rename = doc! { "renameCollection": name("other"), "to": name("another") };
    place.client.database("admin").run_command(rename).await?;
    place.collection("another").drop().await?;
    Ok(())
}

/// Nothing but the fence, when the copy has ended.
async fn behind_the_copy() -> Result<()> {
    tokio::time::sleep(COPY_LASTS_MAX).await;
    Ok(())
}
