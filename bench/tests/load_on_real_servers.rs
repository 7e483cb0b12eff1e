//! The load generator held against a real server: whatever it writes, the change stream says what it derives.
//!
//! ```text
//! workload ─► writer ─► mongod ─► official driver's change stream ─► decoder ─► ledger
//! ```
//!
//! This is where it is decided whether a delta is reported as `delta.rs` says, and whether a load that was cut short
//! is the beginning of the whole.

use std::num::NonZero;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::Timestamp;
use bson::raw::RawDocumentBuf;
use futures_util::StreamExt;
use millrace_bench::arm::Format;
use millrace_bench::check::{Checker, Report};
use millrace_loadgen::arrivals::{Profile, Rate};
use millrace_loadgen::document::{DocumentShape, Template};
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Transactions, Workload};
use millrace_loadgen::writer::{Acknowledgement, Backlog, OpenLoop, WriteConcern, Written};
use millrace_testbed::{MongodbPlan, Plan, Servers, Testbed};
use rskafka::chrono::DateTime;
use rskafka::record::{Record, RecordAndOffset};

const LEAD_IN: Duration = Duration::from_millis(300);
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

fn workload(database: &str, operations: u64) -> Workload {
    Workload {
        seed: 17,
        database: database.to_owned(),
        collections: Collections::one("events"),
        operations,
        writers: 3,
        mix: Mix { replace: 10, delete: 5, ..Mix::UPDATES },
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// What is written by turns and in both ways, each in a database of its own.
fn workloads() -> Result<Vec<Workload>> {
    let transactions = Transactions { operations: 5, permille: 500 };
    let template =
        r#"{ "name": { "$string": 12 }, "state": { "$choice": ["a", "b"] }, "n": { "$oid": {} } }"#;
    let updates = workload("millrace_updates", 1_500);
    let mut many = workload("millrace_many", 900);
    many.collections = Collections::Numbered { prefix: "c".to_owned(), count: 200 };
    many.key_spread = KeySpread::Zipf { theta_permille: 990 };
    many.document = DocumentShape::named("small").context("a shape")?.into();
    let mut together = workload("millrace_together", 1_000);
    together.mix.transactions = transactions;
    together.key_spread = KeySpread::HotSet { keys_permille: 100, operations_permille: 900 };
    let mut templated = workload("millrace_templated", 900);
    templated.document = Template::parse(template)?.into();
    let mut special = workload("millrace_special", 600);
    special.document = DocumentShape::named("special").context("a shape")?.into();
    let mut deep = workload("millrace_deep", 600);
    deep.document = DocumentShape::named("deep").context("a shape")?.into();
    Ok(vec![updates, many, together, templated, special, deep])
}

async fn testbed() -> Result<Testbed> {
    Testbed::up(Plan::only_mongodb(MongodbPlan::default()), Servers::Auto).await
}

/// Reads the changes of a whole database from `start` on and judges them.
async fn judge(testbed: &Testbed, workload: &Workload, start: Timestamp) -> Result<Report> {
    let client = testbed.mongodb().client().await?;
    let database = client.database(&workload.database);
    let stream = database.watch().start_at_operation_time(start).await?;
    let mut events = stream.with_type::<RawDocumentBuf>();
    let mut checker = Checker::new(workload, Format::Bson, 1);
    for offset in 0..workload.operations.cast_signed() {
        let event = tokio::time::timeout(EVENT_TIMEOUT, events.next()).await;
        let event = event.with_context(|| format!("the stream is silent after {offset} events"))?;
        let event = event.context("the stream ended")??;
        let record = Record {
            key: Some(event.get_document("documentKey")?.as_bytes().to_vec()),
            value: Some(event.into_bytes()),
            headers: Default::default(),
            timestamp: DateTime::UNIX_EPOCH,
        };
        checker.observe(0, &RecordAndOffset { record, offset });
    }
    Ok(checker.report())
}

/// As many operations a second that the whole takes about two seconds.
fn open_loop(workload: &Workload, per_s: f64) -> Result<OpenLoop> {
    let profile = Profile::constant(Rate::per_s(per_s)?)?.poisson(workload.seed)?;
    let start = Instant::now() + LEAD_IN;
    Ok(OpenLoop::new(workload, Schedule::new(start, &profile, workload.operations)?))
}

async fn ensure_exact(testbed: &Testbed, workload: &Workload, written: &Written) -> Result<()> {
    ensure!(written.operations == workload.operations, "{written:?}");
    let report = judge(testbed, workload, written.started_at_operation_time).await?;
    ensure!(report.is_exact(), "{}: {report}", workload.database);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_stream_says_of_every_mix_what_the_seed_derives() -> Result<()> {
    let testbed = testbed().await?;
    let uri = testbed.mongodb().uri();
    for workload in workloads()? {
        let written = Backlog::new(&workload).run(&uri, |_| ()).await?;
        ensure_exact(&testbed, &workload, &written).await?;

        let paced = Workload { database: format!("{}_paced", workload.database), ..workload };
        let journaled =
            WriteConcern { acknowledgement: Acknowledgement::Members(1), journal: Some(true) };
        let report = open_loop(&paced, 1_000.0)?
            .connections(NonZero::new(16).context("not 0")?)
            .write_concern(journaled)
            .run(&uri, |_| ())
            .await?;
        ensure_exact(&testbed, &paced, &report.written).await?;
        ensure!(report.written.write_concern == journaled);
        ensure!(
            report.lateness.behind.count() == paced.operations,
            "each operation has a lateness"
        );
        let busy =
            report.connections.iter().filter(|connection| connection.operations != 0).count();
        let lanes = if paced.mix.transactions.are_used() { 3 } else { 16 };
        ensure!(busy == lanes, "{busy} of {lanes} connections were used");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_cut_short_is_the_beginning_of_the_whole() -> Result<()> {
    let testbed = testbed().await?;
    let uri = testbed.mongodb().uri();
    let whole = Workload { mix: Mix::ALL, ..workload("millrace_cut_backlog", 4_000_000) };
    let stop = Stop::new();
    let on_progress = |done| {
        if 3_000 < done {
            stop.request();
        }
    };
    let written = Backlog::new(&whole).stop(stop.clone()).run(&uri, on_progress).await?;
    ensure!((3_000..100_000).contains(&written.operations), "{written:?}");
    ensure_exact(&testbed, &Workload { operations: written.operations, ..whole }, &written).await?;

    let mut whole = workload("millrace_cut_paced", 1_000_000);
    whole.mix.transactions = Transactions { operations: 4, permille: 300 };
    let stop = Stop::new();
    let stopping = open_loop(&whole, 500.0)?.stop(stop.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.request();
    });
    let report = stopping.run(&uri, |_| ()).await?;
    let operations = report.written.operations;
    ensure!((100..5_000).contains(&operations), "{operations}");
    ensure_exact(&testbed, &Workload { operations, ..whole }, &report.written).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_almost_sixteen_megabytes_are_written_and_judged() -> Result<()> {
    let testbed = testbed().await?;
    let uri = testbed.mongodb().uri();
    let document = DocumentShape::named("max").context("a shape")?.into();
    let workload = Workload { mix: Mix::INSERTS, document, ..workload("millrace_max", 2) };
    let written = Backlog::new(&workload).run(&uri, |_| ()).await?;
    ensure!(31_000_000 < written.bytes, "{written:?}");
    ensure_exact(&testbed, &workload, &written).await?;
    let paced = Workload { database: "millrace_max_paced".to_owned(), ..workload };
    let report = open_loop(&paced, 2.0)?.run(&uri, |_| ()).await?;
    ensure_exact(&testbed, &paced, &report.written).await
}
