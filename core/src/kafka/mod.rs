//! The Kafka side: an idempotent producer as a state machine without I/O.
//!
//! ```text
//!  client ──┬─► cluster ──► connection      brokers, links, open calls
//!           │       └─────► sasl            logging in
//!  dispatch ┤
//!           ├─► topics, refresh             what exists, who leads
//!           └─► producer ─► partition ──► batch ──► codec
//!               delivery ──┘    ├► tail     order, retries, doubts
//!                               └► sealing  compressed on other threads
//!
//!  api/, wire     requests and answers      batch_reader   what a log holds
//!  errors         codes of brokers          partitioner    key to partition
//!  opening        a connection of the control plane
//! ```
//!
//! The kinds of request and the one version of each are in [`api`]. Kafka 2.8 to 4.1 are spoken to.
//! Not done here: TLS, transactions, consumer groups.

pub mod api;
pub mod batch;
pub mod batch_reader;
pub mod codec;
pub mod errors;
pub mod opening;
pub mod partitioner;
pub mod producer;
pub mod sasl;
pub mod wire;

mod client;
mod client_error;
mod cluster;
mod config;
mod connection;
mod delivery;
mod dispatch;
mod partition;
mod refresh;
mod sealed_batch;
mod sealing;
mod settled;
mod status;
mod tail;
mod topics;

#[cfg(test)]
pub(crate) mod fake_broker;
#[cfg(test)]
pub(crate) mod fake_login;
#[cfg(test)]
mod logging_in;
#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;

pub use api::create_topics::NewTopic;
pub use batch::put_headers;
pub use client::Client;
pub use client_error::ClientError;
pub use codec::Compression;
pub use config::{Acks, ClientConfig};
pub use errors::{ErrorClass, ErrorCode};
pub use partition::BatchId;
pub use producer::{AppendError, Appended};
pub use sealed_batch::SealedBatch;
pub use sealing::{SealId, SealJob, SealedJob};
pub use status::{Acknowledged, ClientState, Notice, Stats, TopicStats};
pub use topics::{TopicFacts, TopicId};
