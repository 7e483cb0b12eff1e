//! One connector beside another in one worker: a failure stays where it is, until nobody is left.

use anyhow::Result;
use bson::doc;
use millrace_bench::kafka_admin::KafkaAdmin;

use super::harness::Stage;
use super::stage;

/// `max.message.bytes` of the topics, and a document that is larger.
const LIMIT: &str = "20000";
const LARGE_BYTES: usize = 30_000;

async fn insert_large(stage: &Stage, collection: &str) -> Result<()> {
    let document = doc! { "_id": 100, "text": "x".repeat(LARGE_BYTES) };
    stage.database().collection(collection).insert_one(document).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_connector_leaves_the_other_alone_and_the_worker_ends_with_the_last() -> Result<()>
{
    let (stage, _turn) = stage("isolation").await?;
    let mut setup = stage.worker()?;
    for collection in ["one", "two"] {
        let name = format!("{}_{collection}", stage.name);
        let connector = super::harness::Connector::new(&name, &stage.uri());
        setup = setup.connector(connector.collection(&stage.name, collection));
        KafkaAdmin::connect(&stage.bootstrap())?.create_topic(
            &format!("{}.{collection}", stage.name),
            1,
            &[("max.message.bytes", LIMIT)],
        )?;
    }
    let mut node = setup.start_running().await?;

    insert_large(&stage, "one").await?;
    node.logged(&format!("connector {}_one failed", stage.name)).await?;
    let two = stage.database().collection("two");
    for id in 0..50 {
        two.insert_one(doc! { "_id": id }).await?;
    }
    let records = stage.records_of(&format!("{}.two", stage.name)).await?;
    assert_eq!(records.at_least(50, &mut node).await?.len(), 50);
    assert!(!node.log().contains(&format!("connector {}_two failed", stage.name)));

    insert_large(&stage, "two").await?;
    let (code, log) = node.ended().await?;
    assert_eq!(code, 1, "exit code of the node, which logged:\n{log}");
    assert!(log.contains(&format!("connector {}_two failed", stage.name)), "{log}");
    Ok(())
}
