//! Kafka Connect's own worker and connector files, as they are but for addresses and the place of the offsets file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bson::doc;
use millrace_testbed::{Servers, Testbed};

use super::harness::{FREE_PORT, Stage, offsets};
use super::{plan, servers};

const CONNECTOR: &str = "mongodb-source-connector";
const TOPIC: &str = "mongo..yourDatabase.yourCollection";

fn fixture(name: &str, changes: &[(&str, &str)]) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (from, to) in changes {
        assert!(text.contains(from), "{name} does not hold {from}");
        text = text.replace(from, to);
    }
    Ok(text)
}

/// A worker's file, but for the port that other nodes on this machine may have.
fn worker_fixture(name: &str, changes: &[(&str, &str)]) -> Result<String> {
    Ok(format!("{}\nlisteners={FREE_PORT}\n", fixture(name, changes)?))
}

/// The files name a database that is not ours, so servers from outside are not used.
async fn stage() -> Result<Stage> {
    let mut testbed = servers().await?;
    if testbed.is_external() {
        testbed = Testbed::up(plan(), Servers::Native).await?.into();
    }
    let mut stage = Stage::new(testbed, "stock").await?;
    stage.name = "yourDatabase".to_owned();
    Ok(stage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_files_fill_the_topic_of_java_with_javas_envelope() -> Result<()> {
    let stage = stage().await?;
    let (bootstrap, uri, setup) = (stage.bootstrap(), stage.uri(), stage.worker()?);
    let offsets_file = setup.offsets().display().to_string();
    let changes = [("localhost:9092", &*bootstrap), ("/tmp/connect.offsets", &offsets_file)];
    let worker = worker_fixture("worker-standalone.properties", &changes)?;
    let connector = fixture("mongodb-source.json", &[("mongodb://localhost:27017", &uri)])?;
    let setup = setup.worker_file(worker).connector_file("mongodb-source.json", &connector)?;
    let mut node = setup.start()?;
    node.running(CONNECTOR).await?;

    let documents = stage.database().collection("yourCollection");
    documents.insert_one(doc! { "_id": "a\"b", "n": 1_i64 }).await?;
    documents.delete_one(doc! { "_id": "a\"b" }).await?;
    let records = stage.records_of(TOPIC).await?.at_least(2, &mut node).await?;
    let log = node.stop().await?;
    let warned = |line: &str| {
        line.contains("WARN") && (line.contains(".properties") || line.contains(".json"))
    };
    let warnings: Vec<&str> = log.lines().filter(|line| warned(line)).collect();
    let doubled = "topic.prefix ends with topic.separator '.'";
    assert!(
        matches!(warnings[..], [only] if only.contains(doubled) && only.ends_with(TOPIC)),
        "the stock files need one warning:\n{log}"
    );

    assert_eq!(records.len(), 2);
    let key = r#"{"schema":{"type":"string","optional":false},"payload":"{\"_id\": \"a\\\"b\"}"}"#;
    let document = r#"\"fullDocument\": {\"_id\": \"a\\\"b\", \"n\": {\"$numberLong\": \"1\"}}, \"ns\": {\"db\": \"yourDatabase\", \"coll\": \"yourCollection\"}, \"documentKey\": {\"_id\": \"a\\\"b\"}}"}"#;
    let head =
        r#"{"schema":{"type":"string","optional":false},"payload":"{\"_id\": {\"_data\": \""#;
    for record in &records {
        assert_eq!(record.key_text(), key);
        assert!(record.value_text().starts_with(head), "{}", record.value_text());
    }
    assert!(records[0].value_text().ends_with(document), "{}", records[0].value_text());
    assert!(records[1].value_text().contains(r#"\"operationType\": \"delete\""#), "{records:?}");

    let stored = offsets::read(&setup.offsets())?;
    let hosts = stage.testbed.mongodb().hosts().join(",");
    let partition =
        format!(r#"["{CONNECTOR}",{{"ns":"mongodb://{hosts}/yourDatabase.yourCollection"}}]"#);
    assert_eq!(stored.keys().collect::<Vec<_>>(), [&partition]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_distributed_worker_file_keeps_offsets_in_its_topic() -> Result<()> {
    let stage = stage().await?;
    let bootstrap = stage.bootstrap();
    let worker =
        worker_fixture("worker-distributed.properties", &[("localhost:9092", &bootstrap)])?;
    let connector = stage.connector().collection("yourDatabase", "distributed");
    let mut node = stage.worker()?.worker_file(worker).connector(connector).start_running().await?;
    let offsets = stage.records_of("connect-offsets").await?;
    assert_eq!(offsets.topic().partitions(), 25);
    let opening = offsets.at_least(1, &mut node).await?;
    assert!(opening[0].key_text().starts_with(r#"["yourDatabase",{"ns":"mongodb://"#));
    node.stop().await?;
    Ok(())
}
