//! Real servers for tests, demo and benchmarks: a MongoDB deployment and a Kafka cluster.
//!
//! ```text
//! Plan ──► Testbed::up ──► external: addresses given from outside, nothing started, nothing ended
//!            provision.rs  docker:   containers of images that are there, pulled or built here
//!                          native:   fetched once into the cache, started on free loopback ports
//!
//!   launch.rs    one server that goes down and comes up: process.rs, or docker/container.rs
//!   mongodb.rs   1 or 3 members (member.rs), or a standalone; TLS, authentication
//!   kafka.rs     1 or 3 KRaft brokers (broker.rs); TLS, SASL
//!   limits.rs    CPUs and memory of each process
//!   faults.rs    what a scenario does to them, each with its undo; proxy.rs for the network
//! ConnectWorker::start ──────► native: connect.rs, a Connect worker with the plug-ins asked for
//! Testbed::up_detached ──► the same, left running on purpose; detached.rs ends them later
//! ```
//!
//! What it does not do: it loads nothing, measures nothing, and knows neither the node nor a rival.
//! Sizes are in MiB where a name ends in `_mb`, in GiB where it ends in `_gb`; times in
//! milliseconds.

mod broker;
mod broker_config;
pub mod cache;
mod connect;
mod connect_fetch;
mod connect_plan;
mod connect_rest;
mod data_disk;
pub mod detached;
mod docker;
mod facts;
pub mod faults;
mod fetch;
mod kafka;
mod launch;
mod limits;
mod member;
mod mongodb;
mod own_runtime;
mod parent_death;
mod plan;
mod port;
pub mod process;
mod provision;
pub mod proxy;
mod replica_set;
mod run_folder;
mod security;
mod sharded;
mod software;
mod testbed;

pub use self::mongodb::Mongodb;
pub use connect::ConnectWorker;
pub use connect_plan::{ConnectMode, ConnectPlan, Plugin};
pub use docker::{
    build::{BuiltImage, build_images},
    image::{KAFKA_IMAGE, MONGODB_IMAGE},
};
pub use facts::{Facts, KafkaFacts, MongodbFacts, Origin};
pub use fetch::fetch;
pub use kafka::Kafka;
pub use limits::{Bounds, Limits, allowed_cpus};
pub use plan::{KafkaPlan, MongodbPlan, Plan, Sasl, Servers, Topology, UnknownServers};
pub use process::{Lifetime, Process};
pub use security::{Certificates, Tls, Truststore};
pub use testbed::Testbed;
