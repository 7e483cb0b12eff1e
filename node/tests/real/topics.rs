//! Topics that the node creates, and the partitions that keys go to.

use anyhow::Result;
use bson::{Bson, doc, oid::ObjectId};

use super::harness::records::Record;
use super::harness::{Setup, Stage, java};
use super::stage;

const PARTITIONS: usize = 7;

fn setup(stage: &Stage) -> Result<Setup> {
    let connector = stage
        .connector()
        .set("topic.creation.default.partitions", &PARTITIONS.to_string())
        .set("topic.creation.default.replication.factor", "1")
        .set("topic.creation.default.retention.ms", "3600000")
        .set("topic.creation.default.compression.type", "producer");
    Ok(stage.worker()?.connector(connector))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_is_created_with_the_partitions_and_settings_asked_for() -> Result<()> {
    let stage = stage("creation").await?;
    let mut node = setup(&stage)?.start_running().await?;
    stage.insert([1]).await?;
    let records = stage.records().await?;
    records.at_least(1, &mut node).await?;
    node.stop().await?;
    assert_eq!(records.topic().partitions(), PARTITIONS);
    let settings = java::topic_settings(stage.testbed.kafka(), &stage.topic()).await?;
    for setting in ["retention.ms=3600000 ", "compression.type=producer "] {
        assert!(settings.contains(setting), "{setting} is not in {settings}");
    }
    Ok(())
}

/// Ids of several types, so that keys have many lengths and letters.
fn ids() -> Vec<Bson> {
    let mut ids: Vec<Bson> = (0..60).map(|id| Bson::Int32(id * 7_919)).collect();
    ids.extend((1..61).map(|id| Bson::Int64(id << 33)));
    ids.extend((0..60).map(|id| Bson::String("schlüssel ".repeat(id) + &id.to_string())));
    ids.extend((0..60_u8).map(|id| Bson::ObjectId(ObjectId::from_bytes([id; 12]))));
    ids
}

/// Java's own producer sends the same keys to a topic with as many partitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_to_the_partition_that_javas_producer_chooses() -> Result<()> {
    let stage = stage("partitions").await?;
    let mut node = setup(&stage)?.start_running().await?;
    let ids = ids();
    let documents = ids.iter().map(|id| doc! { "_id": id });
    stage.events().insert_many(documents).await?;
    stage.events().update_many(doc! {}, doc! { "$set": { "again": 1 } }).await?;
    let ours = stage.records().await?.at_least(2 * ids.len() as u64, &mut node).await?;
    node.stop().await?;

    let kafka = stage.testbed.kafka();
    let by_java = format!("{}_by_java", stage.name);
    let controller = kafka.client().await?.controller_client()?;
    controller.create_topic(&by_java, PARTITIONS as i32, 1, 5_000).await?;
    let lines: String = ours.iter().map(|record| format!("{}\t.\n", record.key_text())).collect();
    let bootstrap = stage.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--topic", &by_java];
    let properties = ["--property", "parse.key=true", "--property", "key.separator=\t"];
    let arguments = [&arguments[..], &properties[..]].concat();
    java::kafka_tool(kafka, "org.apache.kafka.tools.ConsoleProducer", &arguments, lines).await?;
    let theirs = stage.records_of(&by_java).await?.all().await?;

    let places = |records: &[Record]| {
        let mut places: Vec<_> =
            records.iter().map(|record| (record.key_text().to_owned(), record.partition)).collect();
        places.sort_unstable();
        places
    };
    assert_eq!(places(&ours), places(&theirs));
    let mut used: Vec<_> = ours.iter().map(|record| record.partition).collect();
    used.dedup();
    assert_eq!(used.len(), PARTITIONS, "keys in every partition");
    Ok(())
}
