//! Positions in the offset topic: a distributed worker and the node go on from each other's.
//!
//! ```text
//! written   0..5 live      5..10 away   10..15 live    15..20 away   20..25 live
//! who runs  ConnectDistributed          the node                     ConnectDistributed
//! ```
//!
//! Both read Kafka's own `worker-distributed.properties`, addresses aside, and so the same topic `connect-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use millrace_testbed::ConnectWorker;

use crate::harness::records::{Record, Records};
use crate::harness::reference::{reference_worker, streams_open, worker_fixture, worker_plan};
use crate::harness::{Connector, FREE_PORT, PATIENCE, Stage};
use crate::servers;

pub(crate) const DISTRIBUTED: &str = "worker-distributed.properties";
const OFFSETS: &str = "connect-offsets";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_in_the_offset_topic_are_handed_over_and_back() -> Result<()> {
    let stage = Stage::new(servers().await?, "distributed").await?;
    let config = |runner: &str| config(&stage, runner);

    let worker = start_worker(&stage).await?;
    worker.create(&stage.name, &config("java")).await?;
    streams_open(&stage.client, [&config("java")].into_iter()).await?;
    live(&stage, 0).await?;
    worker.stop().await?;

    stage.insert(5..10).await?;
    let mut file = worker_fixture(DISTRIBUTED)?;
    file.insert("bootstrap.servers".to_owned(), stage.bootstrap());
    file.insert("listeners".to_owned(), FREE_PORT.to_owned());
    let text = file.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let connector = Connector::with_config(&stage.name, &config("node"));
    let setup = stage.worker()?.worker_file(text).connector(connector);
    let node = setup.start_running().await?;
    live(&stage, 10).await?;
    node.stop().await?;

    stage.insert(15..20).await?;
    // The connector itself is in the topic of configurations.
    let worker = start_worker(&stage).await?;
    worker.wait_running(&stage.name).await?;
    live(&stage, 20).await?;
    worker.stop().await?;

    let records = stage.records().await?.all().await?;
    let keys: Vec<_> = records.iter().map(Record::key_text).collect();
    let expected: Vec<_> = (0..25)
        .map(|id| {
            format!(
                r#"{{"schema":{{"type":"string","optional":false}},"payload":"{{\"_id\": {id}}}"}}"#
            )
        })
        .collect();
    ensure!(keys == expected, "each once and in order, but the topic has {keys:#?}");
    one_key_in_one_partition(&stage, OFFSETS).await
}

async fn start_worker(stage: &Stage) -> Result<ConnectWorker> {
    let plan = worker_plan(&stage.testbed, DISTRIBUTED)?.heap_mb(512).distributed();
    let worker = reference_worker(&plan).await?;
    eprintln!("the distributed worker served after {:.1?}", worker.ready_after());
    Ok(worker)
}

/// The connector's file; its stream carries the name of who runs it.
pub(crate) fn config(stage: &Stage, runner: &str) -> BTreeMap<String, String> {
    let uri = stage.uri();
    let separator = if uri.contains('?') { '&' } else { '?' };
    let config = [
        ("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector"),
        ("connection.uri", &format!("{uri}{separator}appName={runner}-{}", stage.name)),
        ("database", &stage.name),
        ("collection", crate::harness::EVENTS),
        ("poll.await.time.ms", "100"),
    ];
    config.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Inserts five documents from `first` on and waits until all that was written has arrived.
async fn live(stage: &Stage, first: i32) -> Result<()> {
    stage.insert(first..first + 5).await?;
    let records = stage.records().await?;
    let count = u64::try_from(first + 5)?;
    records.topic().wait_for(count, PATIENCE, || Ok(()), |_| ()).await
}

/// Whoever wrote another key, or to another partition, would not have been found again.
pub(crate) async fn one_key_in_one_partition(stage: &Stage, topic: &str) -> Result<()> {
    let stored = Records::open(&stage.bootstrap(), topic).await?;
    ensure!(stored.topic().partitions() == 25, "partitions of {topic}");
    let records = stored.all().await?;
    let ours = || records.iter().filter(|record| record.key_text().contains(&stage.name));
    let places: BTreeSet<_> = ours().map(|record| (record.partition, record.key_text())).collect();
    ensure!(places.len() == 1, "one key in one partition, but {places:?}");
    let newest = ours().next_back().context("a stored position")?;
    ensure!(newest.value_text().contains(r#"{\"_data\": \""#), "a token is stored: {newest:?}");
    Ok(())
}
