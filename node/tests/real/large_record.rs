//! Records that the broker does not take: the task stops before them, and goes on with them once the limit is raised.

use anyhow::{Context, Result};
use bson::doc;
use millrace_bench::kafka_admin::KafkaAdmin;

use super::harness::{java, offsets};
use super::stage;

/// `max.message.bytes` of the topic.
const LIMIT: &str = "20000";
/// A document above it, and below every other limit.
const LARGE_BYTES: usize = 50_000;
const LARGE_ID: i32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_larger_than_its_topic_takes_stops_the_task_and_nothing_is_lost() -> Result<()> {
    let stage = stage("large").await?;
    let topic = stage.topic();
    KafkaAdmin::connect(&stage.bootstrap())?.create_topic(
        &topic,
        1,
        &[("max.message.bytes", LIMIT)],
    )?;
    let setup = stage.setup()?;
    let node = setup.start_running().await?;
    stage.insert(0..LARGE_ID).await?;
    let start = stage.operation_time().await?;
    let large = doc! { "_id": LARGE_ID, "text": "x".repeat(LARGE_BYTES) };
    stage.events().insert_one(large).await?;
    stage.insert(LARGE_ID + 1..LARGE_ID + 4).await?;
    let token = stage.token_since(start).await?;

    let (code, mut log) = node.ended().await?;
    assert_eq!(code, 1, "exit code of the node, which logged:\n{log}");
    // The second time it stops at once, again before the record.
    for _ in 0..2 {
        let failed = format!("connector {} failed", stage.name);
        let line = log.lines().find(|line| line.contains(&failed)).context("it does not fail")?;
        for part in [topic.as_str(), LIMIT, "max.message.bytes", "restart"] {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        assert!(names_a_size(line), "the record's size is not in: {line}");
        let stored = offsets::token(&setup.offsets())?.context("a position")?;
        assert!(stored < token, "{stored} is stored, {token} was never acknowledged");
        log = setup.fails(1).await?;
    }

    java::set_topic(stage.testbed.kafka(), &topic, "max.message.bytes=200000").await?;
    let mut node = setup.start_running().await?;
    let records = stage.records().await?.at_least(7, &mut node).await?;
    node.stop().await?;
    let mut keys: Vec<_> = records.iter().map(|record| record.key_text()).collect();
    // What was acknowledged and not stored when the task stopped may come again.
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys, (0..7).map(|id| format!(r#"{{"_id": {id}}}"#)).collect::<Vec<_>>());
    let large = records.iter().find(|record| record.key_text() == r#"{"_id": 3}"#);
    assert!(large.is_some_and(|large| LARGE_BYTES < large.value_text().len()));
    Ok(())
}

/// Whether a number stands there that can be the size of the large record.
fn names_a_size(line: &str) -> bool {
    line.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<usize>().ok())
        .any(|number| (LARGE_BYTES..LARGE_BYTES + 1_000).contains(&number))
}
