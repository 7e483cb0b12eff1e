//! Faults under load: of the node, of the broker, of MongoDB, of one connector beside another.
//!
//! Each test runs alone, on servers that it may stop and kill. In all of them an open-loop load goes on while the fault
//! happens, and the ledger judges what arrived: nothing lost, nothing altered, order kept.

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "two test binaries use it, each its part")]
mod harness;

mod broker;
mod copy;
mod isolation;
mod kill;
mod primary;
mod unread;

use std::sync::Arc;

use anyhow::Result;
use harness::Stage;
use harness::servers::Shared;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed};
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: a test that waits for its turn already holds the servers, so that they stay.
static TURN: Mutex<()> = Mutex::const_new(());

fn plan() -> Plan {
    Plan::default()
        .mongodb(MongodbPlan::default().cache_gb(0.25).oplog_mb(990))
        .kafka(KafkaPlan::default().heap_mb(512))
}

/// A replica set of one and a broker, for this test alone while the guard lives.
async fn stage(subject: &str) -> Result<(Stage, MutexGuard<'static, ()>)> {
    static SHARED: Shared = Shared::new();
    let testbed: Arc<Testbed> = SHARED.get(Servers::Native, plan).await?;
    let turn = TURN.lock().await;
    Ok((Stage::new(testbed, subject).await?, turn))
}

/// As [`stage`], with three members of which any can be away, on servers that no other test has.
async fn three_members(subject: &str) -> Result<(Stage, MutexGuard<'static, ()>)> {
    let turn = TURN.lock().await;
    let mongodb = MongodbPlan::default().members(3).election_timeout_ms(2_000);
    let plan = plan().mongodb(mongodb.cache_gb(0.25).oplog_mb(990));
    let testbed = Testbed::up(plan, Servers::Native).await?.into();
    Ok((Stage::new(testbed, subject).await?, turn))
}
