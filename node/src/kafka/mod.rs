//! The worker's own dealings with Kafka: its internal topics, its group, the name of the cluster.
//!
//! ```text
//!  compacted_log ──┬─► topic       created, or checked
//!                  ├─► follower    read to the end, then on
//!                  └─► append      each pair to the partition of its key
//!  fence ──────────────► client         whom to ask, and again if need be
//!                               └──► connection    one broker: TCP, TLS, login; one request after the other
//! ```
//!
//! What a connector writes takes another way: the producer of the core, in its pipeline. Here a question is asked, its
//! answer awaited, and bytes are moved only; what they say is the business of the core.

mod append;
mod client;
mod compacted_log;
mod connection;
mod error;
mod fence;
mod follower;
#[cfg(test)]
pub(crate) mod scripted_broker;
mod topic;

pub(crate) use append::{Pair, append};
pub(crate) use client::Client;
pub(crate) use compacted_log::CompactedLog;
pub(crate) use connection::{Cluster, Connection};
pub(crate) use error::KafkaError;
pub(crate) use fence::fence_producers;
pub(crate) use follower::{LogRecord, read_whole};
pub(crate) use topic::{Role, TopicSpec, ensure};
