//! What a record says about the servers that a run was measured on.

use serde::{Deserialize, Serialize};

use crate::{limits::Bounds, plan::Sasl, security::Tls};

/// Whether the servers were started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Started as processes by the testbed.
    Native,
    /// Started in containers by the testbed.
    Docker,
    /// Already running, at addresses given from outside.
    External,
}

/// The servers of a testbed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether they were started here.
    pub origin: Origin,
    /// The MongoDB deployment, if there is one.
    pub mongodb: Option<MongodbFacts>,
    /// The Kafka broker, if there is one.
    pub kafka: Option<KafkaFacts>,
}

/// A MongoDB deployment. What is not known of an external one is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MongodbFacts {
    /// As `buildInfo` says.
    pub version: String,
    /// The name of the replica set; `None` for a standalone.
    pub replica_set: Option<String>,
    /// Members that bear data.
    pub members: usize,
    /// Whether clients authenticate.
    pub auth: bool,
    /// WiredTiger's cache of each member, in GiB.
    pub cache_gb: Option<f64>,
    /// Cap of the oplog, in MiB.
    pub oplog_mb: Option<u32>,
    /// How many shards stand behind the mongos that was reached; `None` if it is none.
    #[serde(default)]
    pub shards: Option<usize>,
    /// Whether connections are encrypted.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The image of its containers; `None` if it runs in none.
    #[serde(default)]
    pub image: Option<String>,
    /// Whether a proxy of the testbed stands before each member.
    #[serde(default)]
    pub proxied: bool,
    /// What each member may use; `None` if it is not ours.
    #[serde(default)]
    pub bounds: Option<Bounds>,
}

/// A Kafka cluster. What is not known of an external one is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaFacts {
    /// The version of the broker's jars.
    pub version: Option<String>,
    /// The major version of the Java that runs it.
    pub java: Option<u32>,
    /// The size of the heap, in MiB.
    pub heap_mb: Option<u32>,
    /// Settings that differ from the testbed's own, as planned.
    pub properties: Vec<(String, String)>,
    /// How many brokers there are; of an external cluster, how many addresses were given.
    #[serde(default = "one_broker")]
    pub brokers: usize,
    /// Whether connections of clients are encrypted.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// How clients say who they are; `None` if they need not, or if that is not known.
    #[serde(default)]
    pub sasl: Option<Sasl>,
    /// The image of its containers; `None` if it runs in none.
    #[serde(default)]
    pub image: Option<String>,
    /// Whether a proxy of the testbed stands before each broker.
    #[serde(default)]
    pub proxied: bool,
    /// What each broker may use; `None` if it is not ours.
    #[serde(default)]
    pub bounds: Option<Bounds>,
}

/// What records from before there were several say.
fn one_broker() -> usize {
    1
}
