//! Batches compressed with every codec: what a real broker takes, Kafka's own tool and another client read.

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};

use super::harness::{Connector, Stage, java};
use super::stage;

/// Names of `compression.type`, and what Kafka's tool calls them in a log.
const CODECS: [(&str, &str); 5] =
    [("none", "none"), ("gzip", "gzip"), ("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstd")];
const DOCUMENTS: i32 = 400;

/// Small ones, and some that fill several blocks of a codec.
fn documents() -> impl Iterator<Item = Document> {
    (0..DOCUMENTS).map(|id| {
        let len = if id % 40 == 7 { 90_000 } else { 20 * (id as usize % 60) };
        let words = format!("{id} is not {} ", id * 7_919);
        doc! { "_id": id, "text": words.chars().cycle().take(len).collect::<String>() }
    })
}

fn prefix(stage: &Stage, codec: &str) -> String {
    format!("{}_{codec}", stage.name)
}

fn connector(stage: &Stage, codec: &str) -> Connector {
    let name = prefix(stage, codec);
    Connector::new(&name, &stage.uri())
        .collection(&stage.name, "events")
        .set("topic.prefix", &name)
        .set("topic.creation.default.partitions", "1")
        .set("topic.creation.default.replication.factor", "1")
        .set("producer.override.compression.type", codec)
}

/// What `DumpLogSegments` says about the first segment of a topic; it reads every record back.
async fn dumped(stage: &Stage, topic: &str) -> Result<String> {
    let kafka = stage.testbed.kafka();
    let folder = kafka.log_path()?.parent().context("a folder")?.join("data/logs");
    let segment = folder.join(format!("{topic}-0/{:020}.log", 0));
    let segment = segment.to_str().context("a path in UTF-8")?;
    let arguments = ["--deep-iteration", "--files", segment];
    java::kafka_tool(kafka, "kafka.tools.DumpLogSegments", &arguments, String::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_is_read_back_whole_by_kafka_and_by_another_client() -> Result<()> {
    let stage = stage("compression").await?;
    let mut setup = stage.worker()?;
    for (codec, _) in CODECS {
        setup = setup.connector(connector(&stage, codec));
    }
    let mut node = setup.start_running().await?;
    for (codec, _) in CODECS {
        node.running(&prefix(&stage, codec)).await?;
    }
    stage.events().insert_many(documents()).await?;
    let mut plain = Vec::new();
    for (codec, shown) in CODECS {
        let topic = format!("{}.{}", prefix(&stage, codec), stage.topic());
        let records = stage.records_of(&topic).await?.at_least(DOCUMENTS as u64, &mut node).await?;
        let read: Vec<_> = records.into_iter().map(|record| (record.key, record.value)).collect();
        ensure!(read.len() == DOCUMENTS as usize, "{codec}: {} records", read.len());
        if codec == "none" {
            plain = read;
        } else {
            ensure!(read == plain, "{codec}: other records than without compression");
        }
        let log = dumped(&stage, &topic).await?;
        let is_shown = format!("compresscodec: {shown}");
        let batches = log.lines().filter(|line| line.contains(&is_shown)).count();
        ensure!(0 < batches, "no batch is compressed with {codec}:\n{log}");
        let records = log.lines().filter(|line| line.contains("| offset:")).count();
        ensure!(records == DOCUMENTS as usize, "{codec}: Kafka reads {records} records:\n{log}");
    }
    node.stop().await?;
    Ok(())
}
