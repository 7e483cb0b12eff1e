//! Events above 16 MB: joined to what an event of the same kind is that is not split, and never stored halfway.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures_util::StreamExt;
use millrace_bench::kafka_admin::KafkaAdmin;
use mongodb::options::{FullDocumentBeforeChangeType, FullDocumentType};

use super::harness::records::Record;
use super::harness::{EVENTS, Setup, Stage, offsets};
use super::stage;

/// Of the document's one text. The event of an update has three times as much.
const TEXT_BYTES: usize = 9_000_000;
/// Above what a record with such an event needs.
const RECORD_BYTES_MAX: &str = "60000000";

/// A collection with pre- and post-images, and a node that reads it, as raw BSON.
async fn prepared(stage: &Stage, split: bool) -> Result<Setup> {
    let images = doc! { "enabled": true };
    let create = doc! { "create": EVENTS, "changeStreamPreAndPostImages": images };
    stage.database().run_command(create).await?;
    KafkaAdmin::connect(&stage.bootstrap())?.create_topic(
        &stage.topic(),
        1,
        &[("max.message.bytes", RECORD_BYTES_MAX)],
    )?;
    let connector = stage
        .connector()
        .bson()
        .set("change.stream.full.document", "required")
        .set("change.stream.full.document.before.change", "required")
        .set("producer.override.max.request.size", RECORD_BYTES_MAX);
    let connector = if split { connector.set("split.large.events", "true") } else { connector };
    Ok(stage.worker()?.connector(connector))
}

fn text(letter: &str) -> String {
    letter.repeat(TEXT_BYTES)
}

/// The same update in a transaction.
async fn update_in_transaction(stage: &Stage, id: i32, text: &str) -> Result<()> {
    let mut session = stage.client.start_session().await?;
    session.start_transaction().await?;
    let set = doc! { "$set": { "text": text } };
    stage.events().update_one(doc! { "_id": id }, set).session(&mut session).await?;
    session.commit_transaction().await?;
    Ok(())
}

async fn update(stage: &Stage, id: i32, text: &str) -> Result<()> {
    let set = doc! { "$set": { "text": text } };
    let updated = stage.events().update_one(doc! { "_id": id }, set).await?;
    ensure!(updated.modified_count == 1, "the document {id} is not there");
    Ok(())
}

fn value(record: &Record) -> Result<RawDocumentBuf> {
    Ok(RawDocumentBuf::from_bytes(record.value.clone().context("a record without a value")?)?)
}

fn names(event: &RawDocumentBuf) -> Result<Vec<String>> {
    event.iter().map(|field| Ok(field?.0.to_string())).collect()
}

/// The fragments of the next `count` events of the stage since `start`, as the official driver reads them.
async fn fragments(stage: &Stage, start: Timestamp, count: usize) -> Result<Vec<RawDocumentBuf>> {
    let stream = stage
        .events()
        .watch()
        .pipeline([doc! { "$changeStreamSplitLargeEvent": {} }])
        .full_document(FullDocumentType::Required)
        .full_document_before_change(FullDocumentBeforeChangeType::Required)
        .start_at_operation_time(start)
        .await?;
    let mut stream = stream.with_type::<RawDocumentBuf>();
    let (mut fragments, mut ended) = (Vec::new(), 0);
    while ended < count {
        let fragment = stream.next().await.context("the change stream ended")??;
        ended += usize::from(is_last(&fragment)?);
        fragments.push(fragment);
    }
    Ok(fragments)
}

fn is_last(event: &RawDocumentBuf) -> Result<bool> {
    let Ok(split) = event.get_document("splitEvent") else { return Ok(true) };
    Ok(split.get_i32("fragment")? == split.get_i32("of")?)
}

fn token(event: &RawDocumentBuf) -> Result<String> {
    Ok(event.get_document("_id")?.get_str("_data")?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_27_mb_is_what_an_unsplit_one_is() -> Result<()> {
    let stage = stage("split").await?;
    let setup = prepared(&stage, true).await?;
    let mut node = setup.start_running().await?;
    let start = stage.operation_time().await?;
    let texts = ["a", "b", "c"].map(text);
    stage.events().insert_one(doc! { "_id": 1, "text": "small" }).await?;
    update(&stage, 1, "still small").await?;
    update_in_transaction(&stage, 1, "small too").await?;
    stage.events().insert_one(doc! { "_id": 2, "text": &texts[0] }).await?;
    update(&stage, 2, &texts[1]).await?;
    update_in_transaction(&stage, 2, &texts[2]).await?;
    stage.events().delete_one(doc! { "_id": 1 }).await?;
    let records = stage.records().await?.at_least(7, &mut node).await?;
    node.stop().await?;
    assert_eq!(records.len(), 7);

    let [_, plain, in_transaction, _, large, large_in_transaction, _] = &records[..] else {
        panic!("{} records", records.len());
    };
    let large = value(large)?;
    is_like_unsplit(&value(plain)?, &large, &texts[0], &texts[1])?;
    let in_transaction = value(in_transaction)?;
    is_like_unsplit(&in_transaction, &value(large_in_transaction)?, &texts[1], &texts[2])?;

    let fragments = fragments(&stage, start, 7).await?;
    let tokens =
        fragments.iter().filter(|event| event.get("splitEvent").is_ok_and(|s| s.is_some()));
    let tokens: Vec<String> = tokens.map(token).collect::<Result<_>>()?;
    assert_eq!(tokens.len(), 6, "each event in three fragments");
    assert_eq!(token(&large)?, tokens[2], "the token of the last one");
    Ok(())
}

/// Whether `large` says of its change what the server says of a `small` one, but for token and times.
fn is_like_unsplit(
    small: &RawDocumentBuf,
    large: &RawDocumentBuf,
    before: &str,
    after: &str,
) -> Result<()> {
    assert!(3 * TEXT_BYTES < large.as_bytes().len());
    assert_eq!(names(large)?, names(small)?, "the fields of an event that is not split");
    let mut want = Document::from_reader(small.as_bytes())?;
    let read = Document::from_reader(large.as_bytes())?;
    for name in ["txnNumber", "lsid", "_id", "clusterTime", "wallTime"] {
        if let Some(value) = read.get(name) {
            want.insert(name, value.clone());
        }
    }
    want.insert("documentKey", doc! { "_id": 2 });
    want.insert("fullDocument", doc! { "_id": 2, "text": after });
    want.insert("fullDocumentBeforeChange", doc! { "_id": 2, "text": before });
    want.get_document_mut("updateDescription")?.insert("updatedFields", doc! { "text": after });
    assert!(want.to_vec()? == large.as_bytes(), "another event: {:?}", names(large)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_setting_such_an_event_ends_the_task_which_names_it() -> Result<()> {
    let stage = stage("unsplit").await?;
    let setup = prepared(&stage, false).await?;
    let node = setup.start_running().await?;
    stage.events().insert_one(doc! { "_id": 1, "text": text("a") }).await?;
    update(&stage, 1, &text("b")).await?;
    let (code, log) = node.ended().await?;
    assert_eq!(code, 1);
    assert!(log.contains("set split.large.events=true"), "{log}");
    Ok(())
}

/// A node that is killed again and again while large events pass stores no position inside one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_among_fragments_stores_no_position_inside_an_event() -> Result<()> {
    const UPDATES: usize = 4;
    let stage = stage("killed").await?;
    let setup = prepared(&stage, true).await?;
    let mut node = setup.start_running().await?;
    let start = stage.operation_time().await?;
    stage.events().insert_one(doc! { "_id": 1, "text": text("a") }).await?;
    let mut stored = Vec::new();
    for (round, letter) in ["b", "c", "d", "e"].into_iter().enumerate() {
        update(&stage, 1, &text(letter)).await?;
        tokio::time::sleep(Duration::from_millis(60 * round as u64)).await;
        node.kill()?;
        stored.extend(offsets::token(&setup.offsets())?);
        node = setup.start_running().await?;
    }
    // What was not stored when the node was killed comes again, so their number says nothing.
    let mut want = 1 + UPDATES as u64;
    let letters = loop {
        let records = stage.records().await?.at_least(want, &mut node).await?;
        let letters = updated_to(&records)?;
        if letters.last().is_some_and(|last| last == "e") {
            break letters;
        }
        want = records.len() as u64 + 1;
    };
    stored.push(offsets::token(&setup.offsets())?.context("a position")?);
    let inside: Vec<String> = fragments(&stage, start, 1 + UPDATES)
        .await?
        .iter()
        .filter(|event| is_last(event).is_ok_and(|last| !last))
        .map(token)
        .collect::<Result<_>>()?;
    assert!(UPDATES <= inside.len(), "{} fragments before a last one", inside.len());
    assert!(!stored.iter().any(|stored| inside.contains(stored)), "{stored:?} {inside:?}");
    node.stop().await?;
    ensure!(
        ["b", "c", "d", "e"].iter().all(|wanted| letters.iter().any(|letter| letter == wanted)),
        "{letters:?}"
    );
    Ok(())
}

/// The letters that the updates among `records` set, each update whole.
fn updated_to(records: &[Record]) -> Result<Vec<String>> {
    let mut letters: Vec<String> = Vec::new();
    for record in records {
        let event = Document::from_reader(value(record)?.as_bytes())?;
        let Some(Bson::Document(document)) = event.get("fullDocument") else { continue };
        let text = document.get_str("text")?;
        ensure!(event.contains_key("fullDocumentBeforeChange") || text.starts_with('a'));
        ensure!(text.len() == TEXT_BYTES, "{} bytes of text", text.len());
        letters.extend(text.get(..1).map(str::to_owned));
    }
    letters.dedup();
    Ok(letters)
}
