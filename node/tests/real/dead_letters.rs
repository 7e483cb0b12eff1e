//! A change that cannot be written: a dead letter where one is wanted, the end of the task where not.

use anyhow::{Context, Result};
use bson::doc;

use super::harness::offsets;
use super::stage;

/// Kafka takes no such name for a topic.
const COLLECTION: &str = "two words";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_a_topic_is_a_dead_letter_and_what_follows_is_delivered() -> Result<()> {
    let stage = stage("dead_letters").await?;
    let letters = format!("{}-letters", stage.name);
    let connector = stage
        .connector()
        .set("collection", "")
        .set("errors.tolerance", "all")
        .set("errors.log.enable", "true")
        .set("errors.deadletterqueue.topic.name", &letters);
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    stage.database().collection(COLLECTION).insert_one(doc! { "_id": 7_i64 }).await?;
    stage.insert([1]).await?;
    let records = stage.records().await?.at_least(1, &mut node).await?;
    let letters = stage.records_of(&letters).await?.at_least(1, &mut node).await?;
    let log = node.stop().await?;
    assert_eq!(records[0].key_text(), r#"{"_id": 1}"#);
    assert_eq!(letters[0].key_text(), r#"{"_id": 7}"#);
    assert!(letters[0].value_text().contains(r#""coll": "two words"}, "documentKey": {"_id": 7}"#));
    assert!(log.contains(r#"{"_id": 7} went to dead-letter topic"#), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tolerance_without_a_topic_ends_the_task_before_the_change_and_names_it() -> Result<()> {
    let stage = stage("no_letters").await?;
    let connector = stage.connector().set("collection", "").set("errors.tolerance", "all");
    let setup = stage.worker()?.connector(connector);
    let node = setup.start_running().await?;
    stage.database().collection(COLLECTION).insert_one(doc! { "_id": 7_i64 }).await?;
    let (code, log) = node.ended().await?;
    assert_eq!(code, 1, "exit code of the node, which logged:\n{log}");
    let line = log.lines().find(|line| line.contains("failed")).context("it does not fail")?;
    for part in ["two words", r#"the change of {"_id": 7}"#, "errors.deadletterqueue.topic.name"] {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
    offsets::token(&setup.offsets())?.context("the opening position")?;
    let again = setup.fails(1).await?;
    assert!(again.contains(r#"the change of {"_id": 7}"#), "it was skipped: {again}");
    Ok(())
}
