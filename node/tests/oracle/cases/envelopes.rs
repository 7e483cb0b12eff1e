//! What the converters make of keys and values, over every kind of change of every BSON type.
//!
//! The documents are those of `core/tests/golden/default_json.tsv`: all types, nested, empty, with their edge values.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bson::raw::{RawArrayBuf, RawBsonRef, RawDocumentBuf, cstr};
use bson::rawdoc;
use serde_json::Value;

use crate::case::{Case, EVENTS, Place, Write};
use crate::harness::reference::fixture;
use crate::trial::trial;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

const EVERY_TYPE: Write = |place| Box::pin(every_kind_of_every_type(place));
const EVERY_ID: Write = |place| Box::pin(ids_of_every_type(place));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_every_bson_type_has_javas_bytes_in_every_converter() -> Result<()> {
    trial().await?.judge(&cases()?)
}

pub(super) fn cases() -> Result<Vec<Case>> {
    let bson =
        |case: Case| case.set("output.format.key", "bson").set("output.format.value", "bson");
    let converters =
        |case: Case, key, value| case.set("key.converter", key).set("value.converter", value);
    Ok(vec![
        stock()?,
        Case::new("strings", EVERY_TYPE).strings().shows(r#""operationType": "replace""#),
        converters(bson(Case::new("raw", EVERY_TYPE)), BYTES, BYTES).shows("operationType\0"),
        converters(Case::new("json_literals", EVERY_TYPE), JSON, JSON)
            .set("key.converter.schemas.enable", "false")
            .set("value.converter.schemas.enable", "false")
            .shows(r#"\"operationType\": \"replace\""#),
        bson(Case::new("json_of_bytes", EVERY_TYPE)).shows(r#"{"type":"bytes","optional":false}"#),
        converters(Case::new("text_keys_raw_values", EVERY_ID), STRING, BYTES)
            .set("output.format.value", "bson")
            .shows(r#"{"_id": {"$minKey": 1}}"#),
        Case::new("ids", EVERY_ID).shows(r#"{\"_id\": {\"$minKey\": 1}}"#),
        Case::new("tokens_as_keys", EVERY_ID)
            .strings()
            .set("change.stream.document.key.as.key", "false")
            .shows(r#"{"_id": {"_data": "#),
    ])
}

/// The connector file of the fixtures, as it is.
fn stock() -> Result<Case> {
    let file: Value = serde_json::from_str(&fixture("mongodb-source.json")?)?;
    let mut case = Case::new(file["name"].as_str().context("a name")?, EVERY_TYPE);
    case.config.clear();
    for (property, value) in file["config"].as_object().context("a config")? {
        case = case.set(property, value.as_str().context("a text")?);
    }
    case.database = case.config["database"].clone();
    case.collection = case.config["collection"].clone();
    Ok(case.shows(r#"\"operationType\": \"replace\""#))
}

pub(super) fn golden() -> Result<Vec<RawDocumentBuf>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden/default_json.tsv");
    let lines = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let documents = lines.lines().map(|line| {
        let (hex, _) = line.split_once('\t').context("no tab")?;
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        Ok(RawDocumentBuf::from_bytes(bytes.collect::<Result<_, _>>()?)?)
    });
    let documents: Result<Vec<_>> = documents.collect();
    let documents = documents?;
    ensure!(150 < documents.len(), "only {} documents in {}", documents.len(), path.display());
    Ok(documents)
}

/// Inserts, updates, replaces and deletes one document per golden value, all of one kind before the next.
pub(super) async fn every_kind_of_every_type(place: Place) -> Result<()> {
    let golden = golden()?;
    // The collection of the stock file has its own name.
    let collection = if place.name == "yourDatabase" { "yourCollection" } else { EVENTS };
    let numbered = || (0_i32..).zip(golden.clone());
    let inserts = numbered().map(|(id, value)| rawdoc! { "_id": id, "inserted": value });
    let updates = numbered()
        .map(|(id, value)| rawdoc! { "q": { "_id": id }, "u": { "$set": { "updated": value } } });
    let replaces = numbered()
        .map(|(id, value)| rawdoc! { "q": { "_id": id }, "u": { "_id": id, "replaced": value } });
    let deletes = numbered().map(|(id, _)| rawdoc! { "q": { "_id": id }, "limit": 1 });
    for command in [
        rawdoc! { "insert": collection, "documents": array(inserts) },
        rawdoc! { "update": collection, "updates": array(updates) },
        rawdoc! { "update": collection, "updates": array(replaces) },
        rawdoc! { "delete": collection, "deletes": array(deletes) },
    ] {
        let reply = place.database().run_raw_command(command).await?;
        ensure!(reply.get_i32("n")? as usize == golden.len(), "some were refused: {reply}");
    }
    Ok(())
}

/// Inserts and deletes a document under every golden value that an `_id` may have.
async fn ids_of_every_type(place: Place) -> Result<()> {
    for document in golden()? {
        let mut fields = document.iter();
        let (Some(Ok((name, id))), None) = (fields.next(), fields.next()) else { continue };
        if name.as_str() != "a" || matches!(id, RawBsonRef::Undefined) {
            continue;
        }
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        let insert = rawdoc! { "insert": EVENTS, "documents": array([document]) };
        let reply = place.database().run_raw_command(insert).await?;
        // Arrays and regular expressions are refused.
        if reply.get_i32("n")? == 1 {
            let delete = rawdoc! { "delete": EVENTS, "deletes": [{ "q": {}, "limit": 1 }] };
            place.database().run_raw_command(delete).await?;
        }
    }
    Ok(())
}

pub(super) fn array(documents: impl IntoIterator<Item = RawDocumentBuf>) -> RawArrayBuf {
    documents.into_iter().fold(RawArrayBuf::new(), |mut array, document| {
        array.push(document);
        array
    })
}
