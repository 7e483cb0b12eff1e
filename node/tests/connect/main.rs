//! The judge of the Connect runtime: groups of workers, Java's and the node's, and the clients that drive them.
//!
//! ```text
//!  curl, kcctl, kafbat-ui, Strimzi ──► REST ──► group of Java workers ──► topics ──► ConsoleConsumer
//!                                   └─► REST ──► group of nodes        ──┘
//! ```
//!
//! | module    | what it is                                                                                 |
//! |-----------|--------------------------------------------------------------------------------------------|
//! | group     | workers that share a group and its topics, each of Java or a node                          |
//! | plugin    | the connector with a list of what it holds, so that workers of Java start sooner           |
//! | posted    | the stock connector, posted with `curl` and read with `kafka-console-consumer`             |
//! | corpus    | the file of call sequences: who asks what, and what status Java's worker answers           |
//! | sequences | those calls to two groups at once                                                          |
//! | clients   | Java against Java, Java against nodes, and answers that were altered                       |
//! | mixed     | connectors that wander through a group under load                                          |
//! | replay    | what a topic holds after hand-overs: each run begins right behind the stored position      |
//! | figures   | many connectors, many requests, a cold start                                               |
//! | pressure  | requests at a rate over connections that stay open                                         |
//!
//! A judge is shown to work on Java's workers alone before it judges the node, and to fail on answers and records that
//! were altered.

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "several test binaries use it, each its part")]
mod harness;

mod clients;
mod corpus;
mod figures;
mod group;
mod mixed;
mod plugin;
mod posted;
mod pressure;
mod replay;
mod sequences;

use std::sync::Arc;

use anyhow::Result;
use harness::Stage;
use harness::servers::Shared;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed};
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: groups of workers need all cores to start, and figures need them to be idle.
static TURN: Mutex<()> = Mutex::const_new(());

fn plan() -> Plan {
    Plan::default()
        .mongodb(MongodbPlan::default().cache_gb(0.25).oplog_mb(990))
        .kafka(KafkaPlan::default().heap_mb(512))
}

/// A replica set of one and a broker, for this test alone while the guard lives. The stock files name a database that
/// is not ours, so servers from outside are not used.
async fn stage(subject: &str) -> Result<(Stage, MutexGuard<'static, ()>)> {
    static SHARED: Shared = Shared::new();
    let testbed: Arc<Testbed> = SHARED.get(Servers::Native, plan).await?;
    let turn = TURN.lock().await;
    Ok((Stage::new(testbed, subject).await?, turn))
}
