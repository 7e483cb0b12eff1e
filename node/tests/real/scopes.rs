//! What is watched, what of it is published, and where the stream starts.

use anyhow::Result;
use bson::{Document, doc};

use super::harness::records::Record;
use super::harness::{Connector, EVENTS, Stage};
use super::stage;

const OTHER: &str = "other";

/// Inserts `{_id: id}` into the collections [`EVENTS`] and [`OTHER`] of this database and of a second one.
async fn write_to_four_collections(stage: &Stage) -> Result<()> {
    for (number, database) in [stage.name.clone(), second(stage)].iter().enumerate() {
        for (place, collection) in [OTHER, EVENTS].iter().enumerate() {
            let collection = stage.client.database(database).collection::<Document>(collection);
            collection.insert_one(doc! { "_id": (10 * number + place) as i32 }).await?;
        }
    }
    // The last event of every scope: whatever else would come, has come before it.
    stage.insert([99]).await
}

fn second(stage: &Stage) -> String {
    format!("{}_second", stage.name)
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key_text()).collect()
}

async fn topics_with(stage: &Stage, part: &str) -> Result<Vec<String>> {
    let topics = stage.testbed.kafka().client().await?.list_topics().await?;
    let mut names: Vec<_> = topics.into_iter().map(|topic| topic.name).collect();
    names.retain(|name| name.contains(part));
    names.sort_unstable();
    Ok(names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_watched_and_nothing_beside_it() -> Result<()> {
    let stage = stage("collection").await?;
    let mut node = stage.setup()?.start_running().await?;
    write_to_four_collections(&stage).await?;
    let records = stage.records().await?.at_least(2, &mut node).await?;
    node.stop().await?;
    assert_eq!(keys(&records), [r#"{"_id": 1}"#, r#"{"_id": 99}"#]);
    assert_eq!(topics_with(&stage, &stage.name).await?, [stage.topic()]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_watched_with_all_its_collections() -> Result<()> {
    let stage = stage("database").await?;
    let connector = stage.connector().set("collection", "");
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    write_to_four_collections(&stage).await?;
    let records = stage.records().await?.at_least(2, &mut node).await?;
    let others = stage.records_of(&format!("{}.{OTHER}", stage.name)).await?;
    let others = others.at_least(1, &mut node).await?;
    node.stop().await?;
    assert_eq!(keys(&records), [r#"{"_id": 1}"#, r#"{"_id": 99}"#]);
    assert_eq!(keys(&others), [r#"{"_id": 0}"#]);
    assert_eq!(topics_with(&stage, &second(&stage)).await?, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_watched_under_prefix_separator_and_suffix() -> Result<()> {
    let stage = stage("deployment").await?;
    // Only what this test writes: others write to the same deployment.
    let mine = format!(r#"[{{"$match": {{"ns.db": {{"$regex": "^{}"}}}}}}]"#, stage.name);
    let connector = stage
        .connector()
        .collection("", "")
        .set("pipeline", &mine)
        .set("topic.prefix", "millrace_all")
        .set("topic.separator", "-")
        .set("topic.suffix", "v1");
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    write_to_four_collections(&stage).await?;
    let (first, second) = (stage.name.clone(), second(&stage));
    for (database, collection, expected) in [
        (&first, EVENTS, [1, 99].as_slice()),
        (&first, OTHER, &[0]),
        (&second, EVENTS, &[11]),
        (&second, OTHER, &[10]),
    ] {
        let topic = format!("millrace_all-{database}-{collection}-v1");
        let records = stage.records_of(&topic).await?;
        let records = records.at_least(expected.len() as u64, &mut node).await?;
        let expected: Vec<_> = expected.iter().map(|id| format!(r#"{{"_id": {id}}}"#)).collect();
        assert_eq!(keys(&records), expected, "{topic}");
    }
    node.stop().await?;
    assert_eq!(topics_with(&stage, &stage.name).await?.len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_pipeline_filters_out_does_not_arrive_and_what_it_adds_does() -> Result<()> {
    let stage = stage("pipeline").await?;
    let pipeline = r#"[{"$match": {"$or": [{"fullDocument.keep": {"$gte": {"$numberInt": "2"}}},
                                           {"operationType": "delete"}]}},
                       {"$addFields": {"by": "a \"pipeline\""}}]"#;
    let connector = stage.connector().set("pipeline", pipeline);
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    for keep in 0..4 {
        stage.events().insert_one(doc! { "_id": keep, "keep": keep }).await?;
    }
    stage.events().delete_one(doc! { "_id": 0 }).await?;
    let records = stage.records().await?.at_least(3, &mut node).await?;
    node.stop().await?;
    assert_eq!(keys(&records), [r#"{"_id": 2}"#, r#"{"_id": 3}"#, r#"{"_id": 0}"#]);
    for record in &records {
        assert!(record.value_text().ends_with(r#", "by": "a \"pipeline\""}"#), "{record:?}");
    }
    Ok(())
}

/// Key and value of each record; `-` for no value.
fn pairs(records: &[Record]) -> Vec<(&str, &str)> {
    let pairs = records.iter().map(|record| {
        let value = record.value.as_ref().map_or("-", |_| record.value_text());
        (record.key_text(), value)
    });
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_documents_alone_are_published_with_a_tombstone_for_a_delete() -> Result<()> {
    let stage = stage("tombstone").await?;
    let documents = |name: &str| {
        let connector = Connector::new(&format!("{}_{name}", stage.name), &stage.uri());
        let connector = connector.collection(&stage.name, EVENTS).set("topic.prefix", name);
        connector.set("publish.full.document.only", "true")
    };
    let tombstones =
        documents("millrace_t").set("publish.full.document.only.tombstone.on.delete", "true");
    let setup = stage.worker()?.connector(tombstones).connector(documents("millrace_s"));
    let mut node = setup.start_running().await?;

    stage.insert([1]).await?;
    let tombstones = stage.records_of(&format!("millrace_t.{}", stage.topic())).await?;
    let silent = stage.records_of(&format!("millrace_s.{}", stage.topic())).await?;
    stage.events().update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 2 } }).await?;
    // The update looks its document up, so it must not have changed by then.
    tombstones.at_least(2, &mut node).await?;
    silent.at_least(2, &mut node).await?;
    stage.events().replace_one(doc! { "_id": 1 }, doc! { "b": 3 }).await?;
    stage.events().delete_one(doc! { "_id": 1 }).await?;
    stage.insert([2]).await?;
    let tombstones = tombstones.at_least(5, &mut node).await?;
    let silent = silent.at_least(4, &mut node).await?;
    node.stop().await?;

    let key = r#"{"_id": 1}"#;
    let mut expected = vec![
        (key, r#"{"_id": 1}"#),
        (key, r#"{"_id": 1, "a": 2}"#),
        (key, r#"{"_id": 1, "b": 3}"#),
        (key, "-"),
        (r#"{"_id": 2}"#, r#"{"_id": 2}"#),
    ];
    assert_eq!(pairs(&tombstones), expected);
    expected.remove(3);
    assert_eq!(pairs(&silent), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_started_at_a_time_sees_that_event_and_nothing_older() -> Result<()> {
    let stage = stage("timestamp").await?;
    stage.insert(0..3).await?;
    let start = stage.operation_time().await?;
    stage.insert([3]).await?;
    stage.events().update_one(doc! { "_id": 3 }, doc! { "$set": { "a": 1 } }).await?;
    stage.events().delete_one(doc! { "_id": 3 }).await?;
    stage.insert([4]).await?;
    let text = format!(r#"{{"$timestamp": {{"t": {}, "i": {}}}}}"#, start.time, start.increment);
    let connector = stage
        .connector()
        .set("startup.mode", "timestamp")
        .set("startup.mode.timestamp.start.at.operation.time", &text)
        // The document is gone: the look-up of its update finds nothing, and nothing is published.
        .set("publish.full.document.only", "true");
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    let records = stage.records().await?.at_least(2, &mut node).await?;
    node.stop().await?;
    assert_eq!(
        pairs(&records),
        [(r#"{"_id": 3}"#, r#"{"_id": 3}"#), (r#"{"_id": 4}"#, r#"{"_id": 4}"#)]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_started_from_now_leaves_out_what_was_there() -> Result<()> {
    let stage = stage("latest").await?;
    stage.insert(0..3).await?;
    let mut node = stage.setup()?.start_running().await?;
    stage.insert([3]).await?;
    let records = stage.records().await?.at_least(1, &mut node).await?;
    node.stop().await?;
    assert_eq!(keys(&records), [r#"{"_id": 3}"#]);
    Ok(())
}
