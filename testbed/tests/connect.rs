//! A real Connect worker: it serves, runs a connector, tells of one that fails, and ends in order.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use millrace_testbed::{ConnectPlan, ConnectWorker, KafkaPlan, Plan, Plugin, Servers, Testbed};
use rskafka::client::partition::{OffsetAt, UnknownTopicHandling};

/// Reads a file and writes its lines to a topic: a connector of Kafka's own, without MongoDB.
fn file_source(file: &Path, topic: &str) -> BTreeMap<String, String> {
    let file = file.display().to_string();
    let config = [("connector.class", "FileStreamSource"), ("file", &file), ("topic", topic)];
    config.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A MongoDB connector whose server is not there: it starts, and the worker refuses it for that.
fn nowhere() -> BTreeMap<String, String> {
    let class = "com.mongodb.kafka.connect.MongoSourceConnector";
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200";
    let config = [("connector.class", class), ("connection.uri", uri)];
    config.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_runs_what_it_is_given_and_stores_offsets_when_it_stops() -> Result<()> {
    let broker = Plan::only_kafka(KafkaPlan::default().heap_mb(256));
    let testbed = Testbed::up(broker, Servers::Native).await?;
    let folder = tempfile::tempdir()?;
    let (input, offsets) = (folder.path().join("input"), folder.path().join("offsets"));
    fs::write(&input, "one\ntwo\nthree\n")?;
    let plan = ConnectPlan::new(&testbed.kafka().bootstrap(), Plugin::MongodbConnector)
        .plugin(Plugin::DebeziumMongodb)
        .heap_mb(512)
        .offsets_file(&offsets);

    let worker = ConnectWorker::start(&plan).await?;
    eprintln!("the worker served after {:?}", worker.ready_after());
    assert!(Duration::ZERO < worker.ready_after());
    assert!(Path::new(&format!("/proc/{}", worker.pid()?)).exists());
    let classes = worker.connector_classes().await?;
    for class in ["mongodb.kafka.connect.MongoSource", "debezium.connector.mongodb.MongoDb"] {
        assert!(classes.iter().any(|name| name.contains(class)), "{class} in {classes:?}");
    }
    let created = worker.create("lines", &file_source(&input, "lines")).await?;
    eprintln!("the connector ran after {created:?}");
    worker.ensure_running("lines").await?;

    let again = worker.submit("lines", &file_source(&input, "lines")).await.unwrap_err();
    assert!(format!("{again:#}").contains("already exists"), "{again:#}");
    let nobody = worker.create("nowhere", &nowhere()).await.unwrap_err();
    assert!(format!("{nobody:#}").contains("Unable to connect"), "{nobody:#}");
    assert!(worker.ensure_running("nowhere").await.is_err());

    let client = testbed.kafka().client().await?;
    let lines = client.partition_client("lines", 0, UnknownTopicHandling::Retry).await?;
    while lines.get_offset(OffsetAt::Latest).await? < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (records, _) = lines.fetch_records(0, 1..1_000_000, 1_000).await?;
    let values =
        records.iter().map(|at| String::from_utf8_lossy(at.record.value.as_ref().unwrap()));
    let payload = r#"{"schema":{"type":"string","optional":false},"payload":"#;
    let expected = ["one", "two", "three"].map(|line| format!("{payload}\"{line}\"}}"));
    assert_eq!(values.collect::<Vec<_>>(), expected);

    assert!(!offsets.exists(), "offsets are stored every 60 s, and when the worker stops");
    let stopping = Instant::now();
    worker.stop().await?;
    eprintln!("the worker stopped after {:?}", stopping.elapsed());
    let stored = fs::read(&offsets)?;
    let position = br#"{"position":14}"#;
    assert!(stored.windows(position.len()).any(|bytes| bytes == position), "{stored:?}");
    assert!(worker.pid().is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_that_cannot_serve_says_why() -> Result<()> {
    let plan = ConnectPlan::new("127.0.0.1:1", Plugin::MongodbConnector)
        .heap_mb(256)
        .property("key.converter", "no.such.Converter");
    let error = format!("{:#}", ConnectWorker::start(&plan).await.unwrap_err());
    assert!(error.contains("connect has ended by itself"), "{error}");
    assert!(error.contains("no.such.Converter"), "{error}");
    // The log of a failed start is kept for a person to read; this one is read.
    let log = error.split_once("its log ").and_then(|(_, rest)| rest.split_once(" ends with"));
    let log = Path::new(log.expect("the error names its log").0);
    assert!(log.is_file(), "{}", log.display());
    fs::remove_dir_all(log.ancestors().nth(2).expect("the folder of the run"))?;
    Ok(())
}
