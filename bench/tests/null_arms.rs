//! The null writer held against a real broker: what lies in the topic is what it built, and just as much as asked for.
//!
//! ```text
//! backlog ─► sample ─► prebuilt requests ─► broker ─► independent consumer ─► the sample again, in turns
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_bench::backlog::Backlog;
use millrace_bench::null_writer::{self, BROKER_SUPPLIED_MIN, NullWrite};
use millrace_bench::progress::Progress;
use millrace_bench::topics;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{Plan, Servers, Testbed};
use tokio::sync::mpsc;

fn workload() -> Workload {
    Workload {
        seed: 29,
        database: "millrace_null_arms".into(),
        collections: Collections::one("events"),
        operations: 4_000,
        writers: 2,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_null_writer_leaves_the_records_that_it_built_in_turns() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let backlog = Backlog::write(&testbed, workload(), Progress::hidden()).await?;
    let sample = backlog.sample(1_000_000).await?;
    ensure!(sample.len() == 4_000, "all that there are: {}", sample.len());

    let topic = topics::fresh_one(&backlog.bootstrap, "millrace_null_writer", 1).await?;
    let (bootstrap, records) = (backlog.bootstrap.clone(), 10_123);
    let plan = NullWrite { bootstrap, sample: sample.clone(), records };
    let writing = null_writer::write(plan.clone(), &topic, |_| ()).await?;
    ensure!(writing.events == records && topic.end().await? == records, "{writing:?}");
    ensure!(1_000 < writing.records_distinct, "{writing:?}");
    ensure!(writing.events_first_batch < writing.records_distinct, "{writing:?}");
    ensure!(Duration::ZERO < writing.window, "{writing:?}");
    let again = null_writer::write(plan, &topic, |_| ()).await;
    ensure!(again.is_err(), "the topic is not empty");

    let (sink, mut fetched) = mpsc::channel(4);
    let reader = topic.clone();
    let reading = tokio::spawn(async move { reader.read_all(sink).await });
    let (mut seen, mut bytes) = (0, 0);
    while let Some(fetched) = fetched.recv().await {
        for record in fetched.records {
            let (key, value) = &sample[(seen % writing.records_distinct) as usize];
            let found = (record.record.key.as_ref(), record.record.value.as_ref());
            ensure!(found == (Some(key), Some(value)), "record {seen} is another");
            ensure!(record.offset == seen as i64);
            bytes += (key.len() + value.len()) as u64;
            seen += 1;
        }
    }
    reading.await.context("the consumer panicked")??;
    ensure!((seen, bytes) == (records, writing.bytes), "{seen} records, {bytes} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_kept_busy_is_a_wall() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let small = Workload { database: "millrace_null_wall".into(), ..workload() };
    let backlog = Backlog::write(&testbed, small, Progress::hidden()).await?;
    let writing = backlog.fill_null("millrace_null_wall", 200_000, Progress::hidden()).await?;
    ensure!(BROKER_SUPPLIED_MIN <= writing.broker_supplied, "{writing:?}");
    ensure!(0.5 < writing.writer_waited && writing.writer_waited < 1.0, "{writing:?}");
    Ok(())
}
