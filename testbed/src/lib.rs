//! Real servers for tests, demo and benchmarks: a MongoDB replica set and a Kafka broker.
//!
//! ```text
//! Plan ──► Testbed::up ──► external: addresses given from outside, nothing started, nothing ended
//!                     └──► native:   fetched once into the cache, started on free loopback ports
//!                                   process.rs  a child that ends with its parent
//!                                   mongodb.rs  1 or 3 members, or a standalone; faults
//!                                   kafka.rs    one KRaft broker; the same faults
//! ConnectWorker::start ──────► native:   connect.rs  a Connect worker with the plug-ins asked for
//! Testbed::up_detached ──► the same, left running on purpose; detached.rs ends them later
//! ```
//!
//! What it does not do: it loads nothing, measures nothing, and knows neither the node nor a rival.
//! Sizes are in MiB where a name ends in `_mb`, in GiB where it ends in `_gb`; times in
//! milliseconds.

mod broker_config;
pub mod cache;
mod connect;
mod connect_fetch;
mod connect_plan;
mod connect_rest;
pub mod detached;
mod facts;
mod fetch;
mod kafka;
mod launch;
mod member;
mod mongodb;
mod parent_death;
mod plan;
mod port;
pub mod process;
mod replica_set;
mod run_folder;
mod testbed;

pub use self::mongodb::Mongodb;
pub use connect::ConnectWorker;
pub use connect_plan::{ConnectMode, ConnectPlan, Plugin};
pub use facts::{Facts, KafkaFacts, MongodbFacts, Origin};
pub use fetch::fetch;
pub use kafka::Kafka;
pub use plan::{KafkaPlan, MongodbPlan, Plan, Servers, Topology, UnknownServers};
pub use process::{Lifetime, Process};
pub use testbed::Testbed;
