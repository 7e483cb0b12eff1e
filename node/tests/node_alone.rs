//! The node between the rig's replay server and acknowledging broker: it takes the whole tape, and what is lost or
//! spoiled on the way is found.
//!
//! ```text
//! mongod ─► tape      replay server ─► millrace ─► (proxy) ─► acknowledging broker ─► counts, sequences, samples
//! ```
//!
//! The checks of this way are less than the ledger's, so each is held against a way that is broken.

use std::path::Path;

use anyhow::{Result, ensure};
use millrace_bench::alone::{Alone, AloneReading};
use millrace_bench::arm::{Format, NodePlan};
use millrace_bench::progress::Progress;
use millrace_bench::proxy::Proxy;
use millrace_bench::tamper::Fault;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{MongodbPlan, Plan, Servers, Testbed};

const CAPTURED: u64 = 4_000;
/// More than one turn of the tape.
const REPLAYED: u64 = 10_000;

/// Hot keys, so that a batch holds two events of one key and a swap shows.
fn workload() -> Workload {
    Workload {
        seed: 17,
        database: "millrace_node_alone".into(),
        collections: Collections::one("events"),
        operations: CAPTURED,
        writers: 2,
        mix: Mix::ALL,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// Lets the node take the tape, by way of a proxy that does `fault`.
async fn run(alone: &Alone, format: Format, fault: Option<Fault>) -> Result<AloneReading> {
    let binary = Path::new(env!("CARGO_BIN_EXE_millrace"));
    let stage = alone.stage(binary).await?;
    let plan = alone.node_plan(&stage, binary, format)?;
    let Some(fault) = fault else {
        return alone.measure(stage, &plan, Progress::hidden()).await;
    };
    let proxy = Proxy::start(&plan.bootstrap, fault)?;
    let plan = NodePlan { bootstrap: proxy.bootstrap(), ..plan };
    let reading = alone.measure(stage, &plan, Progress::hidden()).await?;
    ensure!(proxy.has_tampered(), "{fault:?}: nothing was done");
    Ok(reading)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_takes_the_whole_tape_and_a_broken_way_is_found() -> Result<()> {
    let testbed = Testbed::up(Plan::only_mongodb(MongodbPlan::default()), Servers::Auto).await?;
    let progress = Progress::hidden();
    let alone = Alone::capture(&testbed, workload(), REPLAYED, Stop::new(), progress).await?;
    drop(testbed); // the tape is all that is needed
    // Every batch: which of them allows a swap depends on where the node cuts them.
    let alone = alone.sample_every(1);
    let events = alone.events();
    ensure!((REPLAYED..REPLAYED + CAPTURED).contains(&events), "{events} are no whole replies");
    for format in [Format::Json, Format::Bson] {
        let good = run(&alone, format, None).await?;
        let record = alone.record(1, &good);
        assert!(record.faults.is_none() && good.verdict.undecided.is_none(), "{good:?}");
        assert_eq!((record.events, good.counts.records), (events, events));
        assert_eq!(good.verdict.records_compared, events, "{good:?}");
        assert!(record.cpu_us_per_event.is_some_and(|us| 0.0 < us), "{record:?}");

        // Lost, unexpected; the contents show each of them.
        for (fault, expected) in [
            (Fault::Drop, [1, 0]),
            (Fault::Double, [0, 1]),
            (Fault::Swap, [0, 0]),
            (Fault::Alter, [0, 0]),
        ] {
            let bad = run(&alone, format, Some(fault)).await?;
            let faults = bad.verdict.faults;
            assert_eq!(
                [faults.lost, faults.unexpected],
                expected,
                "{fault:?} {format:?}: {faults:?}"
            );
            assert!(faults.corrupted != 0, "{fault:?} {format:?}: {faults:?}");
            // The proxy takes the sequences away.
            assert!(bad.verdict.undecided.is_some(), "{fault:?} {format:?}: {bad:?}");
            assert!(!alone.record(1, &bad).counts());
        }
    }
    Ok(())
}
