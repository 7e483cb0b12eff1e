//! What the node is compared with: the MongoDB connector and Debezium in Kafka Connect, the straight line, and the null
//! path.
//!
//! ```text
//! connector-default   JSON text, every setting left alone
//! connector-tuned     JSON text, batches of 10 000 events, 20 ms linger, record batches of 1 MB
//! connector-bson      as tuned, raw BSON
//! straight-line       the official driver and rdkafka, raw BSON: see `straight_line`
//! debezium            Debezium's envelope as JSON text: see `debezium`
//! null-path           no rival but a bound, raw BSON: see `null_path`
//! ```
//!
//! A rival gets the same backlog, the same start of the stream, the same topic settings and the same check as the
//! node. It is started as its users start it, in a process of its own, and that start is not part of what is timed.

use anyhow::{Context, Result};
use millrace_testbed::{ConnectPlan, ConnectWorker, Plugin};

use crate::arm::{Format, Node, NodePlan};
use crate::own_process::OwnProcess;
use crate::{debezium, null_path, straight_line};

/// Heap of a Connect worker, MiB: what Connect's own start script gives.
const CONNECT_HEAP_MB: u32 = 2_048;
const LOG_TAIL_LINES: usize = 30;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// The MongoDB connector as it comes.
    ConnectorDefault,
    /// The MongoDB connector with large batches.
    ConnectorTuned,
    /// The MongoDB connector with large batches and raw BSON.
    ConnectorBson,
    /// The official driver and rdkafka.
    StraightLine,
    /// The raw exhaust reader and raw Produce requests.
    NullPath,
    /// Debezium for MongoDB.
    Debezium,
}

impl Rival {
    /// What it makes of an event.
    pub fn format(self) -> Format {
        match self {
            Self::ConnectorDefault | Self::ConnectorTuned => Format::Json,
            Self::ConnectorBson | Self::StraightLine | Self::NullPath => Format::Bson,
            Self::Debezium => Format::Debezium,
        }
    }

    /// The connector's properties beyond those that name servers, namespace, format and start.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ConnectorDefault | Self::StraightLine | Self::NullPath => &[],
            Self::ConnectorTuned | Self::ConnectorBson => &[
                ("poll.max.batch.size", "10000"),
                ("batch.size", "10000"),
                ("producer.override.linger.ms", "20"),
                ("producer.override.batch.size", "1000000"),
            ],
            Self::Debezium => debezium::SETTINGS,
        }
    }
}

/// The node or a rival, running.
#[derive(Debug)]
pub enum Contender {
    /// The node.
    Node(Node),
    /// A rival in Kafka Connect.
    Connect(Box<ConnectWorker>),
    /// The straight line or the null path.
    Own(OwnProcess),
}

impl Contender {
    /// Starts what `plan` describes, by `rival` or by the node, and waits until it runs.
    pub async fn start(rival: Option<Rival>, plan: &NodePlan) -> Result<Self> {
        match rival {
            None => Node::start(plan).await.map(Self::Node),
            Some(Rival::StraightLine) => {
                let started = OwnProcess::start("straight-line", straight_line::RUNNING, plan);
                started.await.map(Self::Own)
            }
            Some(Rival::NullPath) => {
                let started = OwnProcess::start("null-path", null_path::RUNNING, plan);
                started.await.map(Self::Own)
            }
            Some(Rival::Debezium) => {
                let worker = debezium::start(plan, CONNECT_HEAP_MB).await?;
                Ok(Self::Connect(Box::new(worker)))
            }
            Some(
                rival @ (Rival::ConnectorDefault | Rival::ConnectorTuned | Rival::ConnectorBson),
            ) => start_connector(rival, plan).await,
        }
    }

    /// Process id.
    pub fn pid(&self) -> Result<u32> {
        match self {
            Self::Node(node) => Ok(node.pid()),
            Self::Connect(worker) => worker.pid(),
            Self::Own(process) => Ok(process.pid()),
        }
    }

    /// Fails if it has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self {
            Self::Node(node) => node.ensure_alive(),
            Self::Connect(worker) => worker.pid().map(drop),
            Self::Own(process) => process.ensure_alive(),
        }
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Node(node) => node.stop().await,
            Self::Connect(worker) => worker.stop().await,
            Self::Own(process) => process.stop().await,
        }
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        match self {
            Self::Node(node) => node.log_tail(),
            Self::Connect(worker) => {
                let log = std::fs::read_to_string(worker.log_path()).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
            }
            Self::Own(process) => process.log_tail(),
        }
    }
}

async fn start_connector(rival: Rival, plan: &NodePlan) -> Result<Contender> {
    let converter = plan.converter();
    let worker = ConnectPlan::new(&plan.bootstrap, Plugin::MongodbConnector)
        .heap_mb(CONNECT_HEAP_MB)
        .property("key.converter", converter)
        .property("value.converter", converter);
    let worker = plan
        .worker_security()
        .iter()
        .fold(worker, |worker, (name, value)| worker.property(name, value));
    let worker = ConnectWorker::start(&worker).await.context("could not start Kafka Connect")?;
    for (connector, mut config) in plan.connectors() {
        for (name, value) in rival.settings() {
            config.insert((*name).to_owned(), (*value).to_owned());
        }
        worker.create(&connector, &config).await?;
    }
    Ok(Contender::Connect(Box::new(worker)))
}
