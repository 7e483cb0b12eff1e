//! The judge of compatibility: the real MongoDB connector in a real Connect worker, beside the node.
//!
//! ```text
//!                      ┌─► Connect 4.1.0, connector 2.0.1 ─► topics of the Java lane ─┐
//!  one replica set ────┤        the same worker file,                                 ├─► compared, record for record
//!                      └─► millrace standalone ────────────► topics of the node lane ─┘
//!                               the same connector files
//! ```
//!
//! | module  | what it is                                                                            |
//! |---------|---------------------------------------------------------------------------------------|
//! | case    | one connector file, what is written for it, and what its records must show            |
//! | cases/* | the cases and their writes, a law for each group                                      |
//! | trial   | runs every case on both sides at once, swaps the sides twice, reads all topics back   |
//! | handover | both take turns while a load never rests, ended in order or killed                |
//! | pair    | a worker and a node, started and stopped together                                     |
//! | misfits | a document that its schema does not fit, and nowhere to put it                |
//! | offset_topic | positions in the offset topic, handed over and back                                |
//! | rest    | the same requests to both REST interfaces                                             |
//! | validate | those about properties and their values                                             |
//!
//! `millrace_bench::oracle` holds two sets of topics against each other. Compared are topic names, partitions, keys,
//! values, headers and the order in each partition; timestamps are the producer's and differ. Every case runs in one
//! trial, because starting a worker takes longer than all else.

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "several test binaries use it, each its part")]
mod harness;

mod case;
mod cases;
mod handover;
mod misfits;
mod offset_topic;
mod pair;
mod rest;
mod trial;
mod validate;

use std::sync::Arc;

use anyhow::Result;
use harness::servers::Shared;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed};

/// Records larger than Kafka's own limit are among the cases.
const MESSAGE_BYTES_MAX: &str = "20000000";

/// A replica set of one, and a broker. Cases and stock files name their databases and topics, so servers from outside
/// are not used.
async fn servers() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || {
        let mongodb = MongodbPlan::default().cache_gb(0.25).oplog_mb(990);
        let kafka = KafkaPlan::default().heap_mb(512);
        Plan::default()
            .mongodb(mongodb)
            .kafka(kafka.property("message.max.bytes", MESSAGE_BYTES_MAX))
    };
    SHARED.get(Servers::Native, plan).await
}
