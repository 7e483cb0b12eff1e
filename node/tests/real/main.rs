//! The node as a process between a real replica set and a real broker.
//!
//! | module          | laws about                                                                           |
//! |-----------------|--------------------------------------------------------------------------------------|
//! | events          | every kind of change and every BSON type: the bytes of keys and values               |
//! | stock_files     | Kafka Connect's own worker and connector files                                       |
//! | scopes          | what is watched, what is published, where the stream starts                          |
//! | positions       | offsets file: Java's format, resume, opening position, idle streams                  |
//! | offset_topic    | offsets in a compacted topic                                                         |
//! | topics          | topics that the node creates, partitions of keys                                     |
//! | access          | authentication and rights                                                            |
//! | encryption      | TLS to both servers                                                                  |
//! | sasl            | brokers that ask who the node is                                                     |
//! | mongodb_logins  | mongodb+srv, X.509                                                                   |
//! | providers       | values that stand elsewhere than in the configuration; tasks that begin again by themselves |
//! | addresses       | servers that are not there, or are not what they should be                           |
//! | files           | configuration that cannot be run                                                     |
//! | lost_position   | positions that the server no longer knows, positions under other hosts               |
//! | large_events    | events that the server has to split                                                  |
//! | resume_policy   | what follows when the oplog has passed the position by                              |
//! | large_record    | records that the broker does not take                                                |
//! | dead_letters    | changes that cannot be written                                                       |
//! | doctor          | what would fail is found before it fails, and named                                  |
//! | compression     | batches of every codec                                                               |
//! | rest            | a worker that is driven by its REST interface                                        |
//! | rest_security   | https, passwords and headers of the REST interface                                   |
//! | metrics         | what a worker tells Prometheus                                                       |
//! | prometheus      | a real Prometheus scrapes a worker, and its alerts fire                              |
//! | page            | the status page, in a real browser                                                   |
//! | drivers         | I/O drivers; reading alone                                                           |
//! | many_connectors | what an idle connector costs, and many at work                                       |
//!
//! Faults of the servers are in `tests/faults`. Tests share one set of servers and nothing else.

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "two test binaries use it, each its part")]
mod harness;

mod access;
mod addresses;
mod compression;
mod dead_letters;
mod doctor;
mod drivers;
mod encryption;
mod events;
mod files;
mod large_events;
mod large_record;
mod lost_position;
mod many_connectors;
mod metrics;
mod mongodb_logins;
mod offset_topic;
mod page;
mod positions;
mod prometheus;
mod providers;
mod rest;
mod rest_security;
mod resume_policy;
mod sasl;
mod scopes;
mod stock_files;
mod topics;

use std::sync::Arc;

use anyhow::Result;
use harness::Stage;
use harness::servers::Shared;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed};

fn plan() -> Plan {
    Plan::default()
        .mongodb(MongodbPlan::default().cache_gb(0.25).oplog_mb(990))
        .kafka(KafkaPlan::default().heap_mb(512))
}

/// A replica set of one without authentication, and a broker.
async fn servers() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    SHARED.get(Servers::Auto, plan).await
}

/// Names of its own for a test about `subject`, on the shared servers.
async fn stage(subject: &str) -> Result<Stage> {
    Stage::new(servers().await?, subject).await
}
