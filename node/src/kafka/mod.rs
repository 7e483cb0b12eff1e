//! The worker's own dealings with Kafka: its internal topics, its group, the name of the cluster.
//!
//! ```text
//!  connection    one broker: TCP, TLS, login; one request after the other
//! ```
//!
//! What a connector writes takes another way: the producer of the core, in its pipeline. Here a question is asked, its
//! answer awaited, and bytes are moved only; what they say is the business of the core.

mod connection;
mod error;

pub(crate) use connection::{Cluster, Connection};
pub(crate) use error::KafkaError;
