//! The checker is held against a broken way: a proxy between node and broker spoils records, and the ledger has to name
//! each fault, that one and no other, whether contents are judged in full or by digest.
//!
//! ```text
//! mongod ─► millrace ─► proxy (drops, doubles, swaps, alters one record) ─► broker ─► ledger
//! ```
//!
//! A checker that has never seen a fault proves nothing when it sees none. The proxy makes the broker take every batch
//! as good, so nothing but the content of the topic can give the fault away.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_bench::arm::{Format, Node, NodePlan};
use millrace_bench::backlog::Backlog;
use millrace_bench::check::{self, Checker, Report};
use millrace_bench::content::Check;
use millrace_bench::progress::Progress;
use millrace_bench::proxy::Proxy;
use millrace_bench::tamper::Fault;
use millrace_bench::topics;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{Plan, Servers, Testbed};

const EVENTS: u64 = 3_000;
const STALLED_MAX: Duration = Duration::from_secs(30);

/// Hot keys, so that a batch holds two events of one key and a swap shows.
fn workload() -> Workload {
    Workload {
        seed: 13,
        database: "millrace_tampering".into(),
        collections: Collections::one("events"),
        operations: EVENTS,
        writers: 2,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// How contents can be judged in this format.
fn checks(format: Format) -> &'static [Check] {
    match format {
        Format::Bson => &[Check::Full, Check::Digest],
        Format::Json | Format::Debezium => &[Check::Full],
    }
}

/// What the ledger says by each check when the node writes to `bootstrap` and `arriving` records come out.
async fn replicate(
    backlog: &Backlog,
    bootstrap: &str,
    format: Format,
    prefix: &str,
    arriving: u64,
) -> Result<Vec<Report>> {
    let plan = backlog.node_plan(Path::new(env!("CARGO_BIN_EXE_millrace")), format, prefix)?;
    let plan = NodePlan { bootstrap: bootstrap.to_owned(), ..plan };
    let topic = topics::fresh_one(&backlog.bootstrap, &plan.topic("events"), 1).await?;
    let mut node = Node::start(&plan).await?;
    let filled = topic.wait_for(arriving, STALLED_MAX, || node.ensure_alive(), |_| ()).await;
    filled.with_context(|| format!("the node's log ends with:\n{}", node.log_tail()))?;
    node.stop().await?;
    let mut reports = Vec::new();
    for &check in checks(format) {
        let checker = Checker::by(check, &backlog.workload, format, topic.partitions());
        let report = check::check_topic_by(checker, &topic, |_| ()).await?;
        let digests = report.content.by_digest;
        assert_eq!(EVENTS / 2 < digests, check == Check::Digest, "{digests} by digest");
        reports.push(report);
    }
    Ok(reports)
}

/// Lost, duplicated, reordered, corrupted.
fn faults(report: &Report) -> [u64; 4] {
    let verdict = &report.verdict;
    [verdict.lost, verdict.duplicated, verdict.reordered, report.corrupted()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_names_each_fault_on_the_way_to_the_broker_and_no_other() -> Result<()> {
    let testbed = Testbed::up(Plan::default(), Servers::Auto).await?;
    let backlog = Backlog::write(&testbed, workload(), Progress::hidden()).await?;
    for format in [Format::Json, Format::Bson] {
        let prefix = format!("millrace_{format:?}").to_lowercase();
        for good in replicate(&backlog, &backlog.bootstrap, format, &prefix, EVENTS).await? {
            assert!(good.is_exact(), "{format:?} {:?}: {good}", good.content.check);
        }

        for (fault, expected) in [
            (Fault::Drop, [1, 0, 0, 0]),
            (Fault::Double, [0, 1, 0, 0]),
            (Fault::Swap, [0, 0, 1, 0]),
            (Fault::Alter, [0, 0, 0, 1]),
        ] {
            let proxy = Proxy::start(&backlog.bootstrap, fault)?;
            let prefix = format!("{prefix}_{fault:?}").to_lowercase();
            let arriving = EVENTS + expected[1] - expected[0];
            let bootstrap = proxy.bootstrap();
            for report in replicate(&backlog, &bootstrap, format, &prefix, arriving).await? {
                let check = report.content.check;
                assert!(proxy.has_tampered(), "{fault:?} {format:?} {check:?}");
                assert_eq!(faults(&report), expected, "{fault:?} {format:?} {check:?}: {report}");
                assert!(!report.is_exact());
            }
        }
    }
    Ok(())
}
