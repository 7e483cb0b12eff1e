//! Debezium as a rival, on real servers: what it writes is read, and is exactly what was written.

use std::time::{Duration, Instant};

use anyhow::Result;
use bson::{Document, doc};
use millrace_bench::arm::{Format, NodePlan, Start, own_binary};
use millrace_bench::backlog::{Backlog, STALLED_MAX};
use millrace_bench::check;
use millrace_bench::open_streams::OpenStreams;
use millrace_bench::progress::Progress;
use millrace_bench::rival::{Contender, Rival};
use millrace_bench::topics;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{Collections, Deltas, KeySpread, Mix, Workload};
use millrace_loadgen::writer::write_backlog;
use millrace_testbed::{Plan, Servers, Testbed};

const EVENTS: u64 = 5_000;

/// Inserts, updates by every operator, replaces and deletes of documents with every type.
fn workload() -> Workload {
    Workload {
        seed: 23,
        database: "millrace_debezium".into(),
        collections: Collections::one("events"),
        operations: EVENTS,
        writers: 2,
        mix: Mix { deltas: Deltas::ALL, ..Mix::ALL },
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Uniform,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_loses_and_repeats_nothing_of_a_backlog_nor_of_what_is_written_when_its_stream_is_open()
-> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Native).await?;
    drain(&testbed).await?;
    follow(&testbed).await
}

/// From a cluster time: all that was written from there on, and nothing older.
async fn drain(testbed: &Testbed) -> Result<()> {
    let earlier = testbed.mongodb().client().await?.database("millrace_debezium");
    earlier.collection::<Document>("events").insert_one(doc! { "_id": "before" }).await?;
    let backlog = Backlog::write(testbed, workload(), Progress::hidden()).await?;
    let plan = backlog.node_plan(&own_binary()?, Format::Debezium, "dbz")?;
    let reading =
        backlog.drain_node(Some(Rival::Debezium), &plan, false, Progress::hidden()).await?;
    assert!(reading.report.is_exact(), "{}", reading.report);
    assert_eq!(reading.events, EVENTS);
    eprintln!(
        "{:.0} events/s of {} bytes, {:.1} ms of CPU per event with its start, {} MiB, started within {:.1?}",
        reading.events as f64 / reading.window.max(Duration::from_millis(1)).as_secs_f64(),
        reading.report.bytes / reading.events,
        reading.cpu.as_secs_f64() * 1e3 / reading.events as f64,
        reading.peak_rss_kib >> 10,
        reading.start
    );
    Ok(())
}

/// From now on: "now" is when its stream is open, which Connect does not tell.
async fn follow(testbed: &Testbed) -> Result<()> {
    let (mongodb, bootstrap) = (testbed.mongodb(), testbed.kafka().bootstrap());
    let workload =
        Workload { database: "millrace_debezium_live".into(), operations: 500, ..workload() };
    let plan = NodePlan {
        binary: own_binary()?,
        name: "live".into(),
        mongodb_uri: mongodb.uri(),
        bootstrap: bootstrap.clone(),
        trust: None,
        database: workload.database.clone(),
        collection: "events".into(),
        further_collections: Vec::new(),
        topic_prefix: "dbz".into(),
        format: Format::Debezium,
        start: Start::Now,
        worker_settings: Vec::new(),
        connector_settings: Vec::new(),
        cpus: Vec::new(),
    };
    let topic = topics::fresh_one(&bootstrap, &plan.topic("events"), 1).await?;
    let before = OpenStreams::note(&mongodb.client().await?).await?;
    let mut contender = Contender::start(Some(Rival::Debezium), &plan).await?;
    let runs = Instant::now();
    before.wait_for_stream(STALLED_MAX).await?;
    eprintln!("its stream was open {:.1?} after it was RUNNING", runs.elapsed());
    write_backlog(&mongodb.uri(), &workload, |_| ()).await?;
    let alive = || contender.ensure_alive();
    topic.wait_for(workload.operations, STALLED_MAX, alive, |_| ()).await?;
    contender.stop().await?;
    let report = check::check_topic(&topic, &workload, plan.format, |_| ()).await?;
    assert!(report.is_exact(), "{report}");
    Ok(())
}
