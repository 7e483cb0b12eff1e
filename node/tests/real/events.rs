//! Every kind of change and every BSON type: keys and values to the byte.
//!
//! The texts of values were printed by the Java connector (`core/tests/golden/default_json.tsv`). The envelope around
//! them is written out here; what only the server knows (token, times) comes from the official driver's change stream.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bson::raw::{RawBsonRef, cstr};
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};

use super::harness::{EVENTS, Stage};
use super::stage;

/// A document, and its text by Java.
struct Golden {
    document: RawDocumentBuf,
    text: String,
}

impl Golden {
    /// The only value of a document `{"a": …}`, and its text.
    fn only_value(&self) -> Option<(RawBsonRef<'_>, &str)> {
        let text = self.text.strip_prefix(r#"{"a": "#)?.strip_suffix('}')?;
        let mut fields = self.document.iter();
        let (_, value) = fields.next()?.ok()?;
        fields.next().is_none().then_some((value, text))
    }
}

fn golden() -> Result<Vec<Golden>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden/default_json.tsv");
    let lines = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let golden: Result<Vec<_>> = lines
        .lines()
        .map(|line| {
            let (bytes, text) = line.split_once('\t').context("no tab")?;
            let bytes: Result<Vec<u8>, _> = (0..bytes.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&bytes[at..at + 2], 16))
                .collect();
            Ok(Golden { document: RawDocumentBuf::from_bytes(bytes?)?, text: text.to_owned() })
        })
        .collect();
    let golden = golden?;
    ensure!(150 < golden.len(), "only {} documents in {}", golden.len(), path.display());
    Ok(golden)
}

/// Runs a write command and fails unless it wrote `count` documents.
async fn write(stage: &Stage, command: RawDocumentBuf, count: usize) -> Result<()> {
    let reply = stage.database().run_raw_command(command).await?;
    ensure!(reply.get_i32("n")? as usize == count, "the server refused some: {reply}");
    Ok(())
}

fn array(documents: impl IntoIterator<Item = RawDocumentBuf>) -> RawArrayBuf {
    documents.into_iter().fold(RawArrayBuf::new(), |mut array, document| {
        array.push(document);
        array
    })
}

/// Inserts, updates, replaces and deletes one document per golden value, all of one kind before the next.
async fn write_every_kind(stage: &Stage, golden: &[Golden]) -> Result<()> {
    let numbered = || (0..).zip(golden).map(|(id, golden): (i32, _)| (id, golden.document.clone()));
    let documents = numbered().map(|(id, value)| rawdoc! { "_id": id, "inserted": value });
    let insert = rawdoc! { "insert": EVENTS, "documents": array(documents) };
    write(stage, insert, golden.len()).await?;
    let updates = numbered().map(|(id, value)| {
        rawdoc! { "q": { "_id": id }, "u": { "$set": { "updated": value } } }
    });
    write(stage, rawdoc! { "update": EVENTS, "updates": array(updates) }, golden.len()).await?;
    let replacements = numbered().map(|(id, value)| {
        rawdoc! { "q": { "_id": id }, "u": { "_id": id, "replaced": value } }
    });
    write(stage, rawdoc! { "update": EVENTS, "updates": array(replacements) }, golden.len())
        .await?;
    let deletes = numbered().map(|(id, _)| rawdoc! { "q": { "_id": id }, "limit": 1 });
    write(stage, rawdoc! { "delete": EVENTS, "deletes": array(deletes) }, golden.len()).await
}

/// The text of an event of [`write_every_kind`], as the Java connector would print it.
fn event_text(event: &RawDocument, golden: &[Golden]) -> Result<String> {
    let token = event.get_document("_id")?.get_str("_data")?;
    let kind = event.get_str("operationType")?;
    let Timestamp { time, increment } = event.get_timestamp("clusterTime")?;
    let wall_ms = event.get_datetime("wallTime")?.timestamp_millis();
    let namespace = event.get_document("ns")?;
    let (db, coll) = (namespace.get_str("db")?, namespace.get_str("coll")?);
    let id = event.get_document("documentKey")?.get_i32("_id")?;
    let value = &golden[id as usize].text;
    let head = format!(
        r#""_id": {{"_data": "{token}"}}, "operationType": "{kind}", "clusterTime": {{"$timestamp": {{"t": {time}, "i": {increment}}}}}, "wallTime": {{"$date": {wall_ms}}}"#
    );
    let place =
        format!(r#""ns": {{"db": "{db}", "coll": "{coll}"}}, "documentKey": {{"_id": {id}}}"#);
    Ok(match kind {
        "insert" => {
            format!(r#"{{{head}, "fullDocument": {{"_id": {id}, "inserted": {value}}}, {place}}}"#)
        }
        "update" => format!(
            r#"{{{head}, {place}, "updateDescription": {{"updatedFields": {{"updated": {value}}}, "removedFields": [], "truncatedArrays": []}}}}"#
        ),
        "replace" => {
            format!(r#"{{{head}, "fullDocument": {{"_id": {id}, "replaced": {value}}}, {place}}}"#)
        }
        _ => format!("{{{head}, {place}}}"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_change_of_every_bson_type_arrives_as_the_text_of_java() -> Result<()> {
    let (stage, golden) = (stage("json").await?, golden()?);
    let mut node = stage.setup()?.start_running().await?;
    let start = stage.operation_time().await?;
    write_every_kind(&stage, &golden).await?;
    let events = stage.stream(start, 4 * golden.len()).await?;
    let records = stage.records().await?.at_least(events.len() as u64, &mut node).await?;
    node.stop().await?;
    for (event, record) in events.iter().zip(&records) {
        let id = event.get_document("documentKey")?.get_i32("_id")?;
        assert_eq!(record.key_text(), format!(r#"{{"_id": {id}}}"#));
        assert_eq!(record.value_text(), event_text(event, &golden)?);
    }
    assert_eq!(stage.records().await?.all().await?.len(), events.len(), "records in the topic");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_change_of_every_bson_type_arrives_as_the_bytes_of_the_server() -> Result<()>
{
    let (stage, golden) = (stage("bson").await?, golden()?);
    let setup = stage.worker()?.connector(stage.connector().bson());
    let mut node = setup.start_running().await?;
    let start = stage.operation_time().await?;
    write_every_kind(&stage, &golden).await?;
    let events = stage.stream(start, 4 * golden.len()).await?;
    let records = stage.records().await?.at_least(events.len() as u64, &mut node).await?;
    node.stop().await?;
    for (event, record) in events.iter().zip(&records) {
        assert_eq!(record.key.as_deref(), Some(event.get_document("documentKey")?.as_bytes()));
        assert_eq!(record.value.as_deref(), Some(event.as_bytes()), "{event:?}");
    }
    assert_eq!(stage.records().await?.all().await?.len(), events.len(), "records in the topic");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_every_bson_type_is_the_key_of_its_insert_and_its_delete() -> Result<()> {
    let (stage, golden) = (stage("ids").await?, golden()?);
    let mut node = stage.setup()?.start_running().await?;
    let (mut expected, mut refused) = (Vec::new(), Vec::new());
    for (id, text) in golden.iter().filter_map(Golden::only_value) {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        let insert = rawdoc! { "insert": EVENTS, "documents": array([document.clone()]) };
        let reply = stage.database().run_raw_command(insert).await;
        if reply.is_ok_and(|reply| reply.get_i32("n").is_ok_and(|n| n == 1)) {
            let deletes = array([rawdoc! { "q": {}, "limit": 1 }]);
            write(&stage, rawdoc! { "delete": EVENTS, "deletes": deletes }, 1).await?;
            expected.extend([(text, "insert"), (text, "delete")]);
        } else {
            refused.push(id.element_type());
        }
    }
    use bson::spec::ElementType::{Array, RegularExpression, Undefined};
    refused.dedup();
    assert_eq!(refused, [Array, Undefined, RegularExpression, Array], "types no _id may have");
    let records = stage.records().await?.at_least(expected.len() as u64, &mut node).await?;
    node.stop().await?;
    assert_eq!(records.len(), expected.len());
    for (record, (id, kind)) in records.iter().zip(expected) {
        assert_eq!(record.key_text(), format!(r#"{{"_id": {id}}}"#));
        let (value, kind) = (record.value_text(), format!(r#""operationType": "{kind}""#));
        assert!(value.contains(&kind), "{kind} in {value}");
        assert!(value.contains(&format!(r#""documentKey": {{"_id": {id}}}"#)), "{id} in {value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drop_of_a_collection_arrives_under_its_token() -> Result<()> {
    let stage = stage("drop").await?;
    let connector = stage.connector().set("collection", "");
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    stage.insert([1]).await?;
    stage.events().drop().await?;
    let records = stage.records().await?.at_least(2, &mut node).await?;
    node.stop().await?;
    let token = records[1].token()?;
    assert_eq!(records[1].key_text(), format!(r#"{{"_id": {{"_data": "{token}"}}}}"#));
    assert!(records[1].value_text().contains(r#""operationType": "drop""#), "{records:?}");
    assert_eq!(stage.events().count_documents(doc! {}).await?, 0);
    Ok(())
}
