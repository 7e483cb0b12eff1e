//! The null path held against real servers: the bound of latency loses nothing, doubles nothing and keeps the order.
//!
//! ```text
//! mongod ─► millrace bench null-path ─► broker ─► ledger
//! ```
//!
//! It is a hidden command of this binary, so it is judged where the binary is.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use millrace_bench::arm::{Format, NodePlan};
use millrace_bench::backlog::Backlog;
use millrace_bench::check;
use millrace_bench::progress::Progress;
use millrace_bench::rival::{Contender, Rival};
use millrace_bench::topics;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{Plan, Servers, Testbed};

fn workload(operations: u64) -> Workload {
    Workload {
        seed: 31,
        database: "millrace_null_path".into(),
        collections: Collections::one("events"),
        operations,
        writers: 2,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_null_path_is_exact_and_stops_when_it_is_asked_to() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let backlog = Backlog::write(&testbed, workload(20_000), Progress::hidden()).await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_millrace"));
    let plan = backlog.node_plan(binary, Format::Bson, "millrace_null_path")?;
    let progress = Progress::hidden();
    let reading = backlog.drain_node(Some(Rival::NullPath), &plan, false, progress).await?;
    ensure!(reading.report.is_exact(), "{}", reading.report);
    ensure!(reading.events == 20_000, "{reading:?}");

    let missing = NodePlan { topic_prefix: "millrace_null_path_missing".into(), ..plan };
    let mut path = Contender::start(Some(Rival::NullPath), &missing).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while path.ensure_alive().is_ok() {
        ensure!(Instant::now() < deadline, "it goes on though nothing can be written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = path.log_tail();
    ensure!(log.contains("did not take a batch"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_path_that_is_stopped_on_its_way_leaves_the_beginning_and_no_hole() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let workload = Workload { database: "millrace_null_stop".into(), ..workload(60_000) };
    let workload = Workload { mix: Mix::INSERTS, writers: 1, ..workload };
    let backlog = Backlog::write(&testbed, workload, Progress::hidden()).await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_millrace"));
    let plan = backlog.node_plan(binary, Format::Bson, "millrace_null_stop")?;
    let topic = topics::fresh_one(&backlog.bootstrap, &plan.topic("events"), 1).await?;
    let mut path = Contender::start(Some(Rival::NullPath), &plan).await?;
    topic.wait_for(1, Duration::from_secs(20), || path.ensure_alive(), |_| ()).await?;
    path.stop().await?;

    let end = topic.end().await?;
    ensure!((1..=60_000).contains(&end), "{end}");
    let written = Workload { operations: end, ..backlog.workload.clone() };
    let report = check::check_topic(&topic, &written, Format::Bson, |_| ()).await?;
    ensure!(report.is_exact(), "{end} records: {report}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    ensure!(topic.end().await? == end, "something came after its end");
    Ok(())
}
