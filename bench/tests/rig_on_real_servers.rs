//! The rig held against real servers, without the node.
//!
//! A replicator of a few lines, the official driver's change stream and rskafka, stands in for the node. What it makes
//! is right; what the proxy makes of it is wrong in one known way, and the checker has to name exactly that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bson::raw::RawDocumentBuf;
use futures_util::StreamExt;
use millrace_bench::arm::Format;
use millrace_bench::backlog::Backlog;
use millrace_bench::check::{self, Checker, Report};
use millrace_bench::consumer::{self, Topic};
use millrace_bench::content::Check;
use millrace_bench::kafka_admin::KafkaAdmin;
use millrace_bench::progress::Progress;
use millrace_bench::proxy::Proxy;
use millrace_bench::tamper::Fault;
use millrace_bench::topics;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{Plan, Servers, Testbed};
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;

const BATCH_RECORDS: usize = 100;

fn workload(operations: u64) -> Workload {
    Workload {
        seed: 11,
        database: "millrace_rig".into(),
        collections: Collections::one("events"),
        operations,
        writers: 2,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// The records that a right node would write, in the order of the stream.
async fn replicate(testbed: &Testbed, backlog: &Backlog) -> Result<Vec<Record>> {
    let client = testbed.mongodb().client().await?;
    let database = client.database(&backlog.workload.database);
    let stream = database
        .collection::<RawDocumentBuf>("events")
        .watch()
        .start_at_operation_time(backlog.start_at())
        .await?;
    let mut events = stream.with_type::<RawDocumentBuf>();
    let mut records = Vec::new();
    while (records.len() as u64) < backlog.workload.operations {
        let event = events.next().await.context("the stream ended")??;
        records.push(Record {
            key: Some(event.get_document("documentKey")?.as_bytes().to_vec()),
            value: Some(event.into_bytes()),
            headers: Default::default(),
            timestamp: DateTime::UNIX_EPOCH,
        });
    }
    Ok(records)
}

async fn produce(bootstrap: &str, topic: &str, records: &[Record]) -> Result<()> {
    let client = consumer::connect(bootstrap).await?;
    let partition = client.partition_client(topic, 0, UnknownTopicHandling::Retry).await?;
    for batch in records.chunks(BATCH_RECORDS) {
        partition.produce(batch.to_vec(), Compression::NoCompression).await?;
    }
    Ok(())
}

/// What the checker says in full and by digest.
async fn check(topic: &Topic, workload: &Workload) -> Result<[Report; 2]> {
    let by = async |check| {
        let checker = Checker::by(check, workload, Format::Bson, topic.partitions());
        check::check_topic_by(checker, topic, |_| ()).await
    };
    let [in_full, by_digest] = [by(Check::Full).await?, by(Check::Digest).await?];
    let records = in_full.content.in_full;
    assert_eq!((in_full.content.by_digest, by_digest.content.in_full < records / 2), (0, true));
    assert_eq!(by_digest.content.by_digest + by_digest.content.in_full, records);
    Ok([in_full, by_digest])
}

fn now_ms() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64)
}

/// Lost, duplicated, reordered, corrupted.
fn faults(report: &Report) -> [u64; 4] {
    let verdict = &report.verdict;
    [verdict.lost, verdict.duplicated, verdict.reordered, report.corrupted()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_names_what_a_proxy_does_to_records_and_nothing_else() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let backlog = Backlog::write(&testbed, workload(2_000), Progress::hidden()).await?;
    let records = replicate(&testbed, &backlog).await?;

    let good = topics::fresh_one(&backlog.bootstrap, "millrace_rig_good", 1).await?;
    produce(&backlog.bootstrap, &good.name(), &records).await?;
    for report in check(&good, &backlog.workload).await? {
        assert!(report.is_exact(), "{report}");
    }

    for (fault, expected) in [
        (Fault::Drop, [1, 0, 0, 0]),
        (Fault::Double, [0, 1, 0, 0]),
        (Fault::Swap, [0, 0, 1, 0]),
        (Fault::Alter, [0, 0, 0, 1]),
    ] {
        let name = format!("millrace_rig_{fault:?}").to_lowercase();
        let topic = topics::fresh_one(&backlog.bootstrap, &name, 1).await?;
        let proxy = Proxy::start(&backlog.bootstrap, fault)?;
        produce(&proxy.bootstrap(), &name, &records).await?;
        assert!(proxy.has_tampered(), "{fault:?}");
        for report in check(&topic, &backlog.workload).await? {
            let check = report.content.check;
            assert_eq!(faults(&report), expected, "{fault:?} {check:?}: {report}");
            assert!(!report.is_exact());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_null_reader_and_the_consumer_read_all_there_is() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let backlog = Backlog::write(&testbed, workload(20_000), Progress::hidden()).await?;
    let reading = backlog.drain_null(Progress::hidden()).await?;
    assert_eq!(reading.events, 20_000);
    assert!(Duration::ZERO < reading.window && 10_000_000 < reading.bytes, "{reading:?}");

    let records = replicate(&testbed, &backlog).await?;
    let name = "millrace_rig_consumer";
    let topic = topics::fresh_one(&backlog.bootstrap, name, 1).await?;
    let mut live = topic.follow().await?;
    let before = now_ms()?;
    produce(&backlog.bootstrap, name, &records).await?;
    let after = now_ms()?;
    assert_eq!(topic.end().await?, 20_000);
    let mut followed = 0;
    while followed < 20_000 {
        let fetched = tokio::time::timeout(Duration::from_secs(10), live.recv()).await?;
        followed += fetched.context("the consumer ended")??.records.len();
    }
    let bootstrap = backlog.bootstrap.clone();
    let heads = tokio::task::spawn_blocking(move || -> Result<_> {
        let mut admin = KafkaAdmin::connect(&bootstrap)?;
        Ok([admin.batch_at(name, 0, 0)?, admin.batch_at(name, 0, 19_999)?])
    });
    let [first, last] = heads.await??;
    let (first, last) = first.zip(last).context("the topic is empty")?;
    assert_eq!((first.records, last.records), (100, 100));
    assert!(before <= first.appended_ms && first.appended_ms <= last.appended_ms);
    assert!(last.appended_ms <= after, "{last:?} {after}");
    Ok(())
}
