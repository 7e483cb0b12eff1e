//! What a Connect worker is wanted for: plug-ins, heap, settings. Nothing here touches the world.
//!
//! ```text
//! ConnectPlan::new("127.0.0.1:9092", Plugin::MongodbConnector)
//!     .heap_mb(1_024)
//!     .property("offset.flush.interval.ms", "10000")     a line of the worker's file
//!     .jvm("-XX:+UseSerialGC")                           an argument of java
//! ```
//!
//! What a plan leaves open is what Kafka's own start script and worker file have: a heap of up to
//! 2 GiB, JSON converters with schemas.

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// A set of connectors that a worker loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// The MongoDB Kafka connector 2.0.1, `com.mongodb.kafka.connect.MongoSourceConnector`.
    MongodbConnector,
    /// Debezium for MongoDB 3.4.0.Final, `io.debezium.connector.mongodb.MongoDbConnector`.
    DebeziumMongodb,
}

impl Plugin {
    /// Its version, as records name it.
    pub fn version(self) -> &'static str {
        match self {
            Self::MongodbConnector => "2.0.1",
            Self::DebeziumMongodb => "3.4.0.Final",
        }
    }
}

/// Where a worker keeps its connectors and their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectMode {
    /// Connectors in memory, offsets in a file.
    Standalone,
    /// Connectors, offsets and states in topics, which the next worker of the group finds again.
    Distributed,
}

/// A Kafka Connect worker.
#[derive(Clone, Debug)]
pub struct ConnectPlan {
    /// Standalone unless [`ConnectPlan::distributed`] was asked for.
    pub mode: ConnectMode,
    /// `bootstrap.servers`: where the worker's connectors produce to.
    pub bootstrap: String,
    /// What it loads. Each is fetched when it is first asked for.
    pub plugins: Vec<Plugin>,
    /// `-Xmx`, in MiB. Default 2048, what Connect's own start script gives; it starts with 256.
    pub heap_mb: u32,
    /// Further arguments of `java`, behind the worker's own.
    pub jvm: Vec<String>,
    /// Further lines of the worker's file; they win over the testbed's own.
    pub properties: Vec<(String, String)>,
    /// The offsets file of a standalone worker. Default: one in the worker's folder, which goes
    /// away with the worker.
    pub offsets_file: Option<PathBuf>,
}

impl ConnectPlan {
    /// A standalone worker for the brokers at `bootstrap` (`host:port`, several with commas) with one plug-in.
    pub fn new(bootstrap: &str, plugin: Plugin) -> Self {
        Self {
            mode: ConnectMode::Standalone,
            bootstrap: bootstrap.to_owned(),
            plugins: vec![plugin],
            heap_mb: 2_048,
            jvm: Vec::new(),
            properties: Vec::new(),
            offsets_file: None,
        }
    }

    /// A worker in distributed mode, a group of its own unless properties say otherwise.
    pub fn distributed(mut self) -> Self {
        self.mode = ConnectMode::Distributed;
        self
    }

    /// Adds a plug-in.
    pub fn plugin(mut self, plugin: Plugin) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// Sets the largest heap, in MiB.
    pub fn heap_mb(mut self, heap_mb: u32) -> Self {
        self.heap_mb = heap_mb;
        self
    }

    /// Adds an argument of `java`.
    pub fn jvm(mut self, argument: &str) -> Self {
        self.jvm.push(argument.to_owned());
        self
    }

    /// Adds a line of the worker's file, such as `offset.flush.interval.ms`.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps offsets in a file that stays when the worker is gone.
    pub fn offsets_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.offsets_file = Some(file.into());
        self
    }

    /// Refuses what no worker could be started with, before anything is fetched.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.heap_mb >= 256,
            "a heap of {} MiB was asked for; a worker starts with 256, so give 256 or more",
            self.heap_mb
        );
        for (name, value) in &self.properties {
            ensure!(
                !name.is_empty() && !format!("{name}{value}").contains(['\n', '\r']),
                "worker property {name:?} does not fit on one line of the worker's file"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_that_no_worker_takes_is_refused() {
        let plan = || ConnectPlan::new("127.0.0.1:9092", Plugin::MongodbConnector);
        assert!(plan().property("key.converter.schemas.enable", "false").check().is_ok());
        for plan in [plan().heap_mb(64), plan().property("", "x"), plan().property("a", "b\nc=d")] {
            assert!(plan.check().is_err(), "{plan:?}");
        }
    }
}
