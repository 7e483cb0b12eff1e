//! What the node is compared with: the MongoDB connector in Kafka Connect, and the straight line.
//!
//! ```text
//! connector-default   JSON text, every setting left alone
//! connector-tuned     JSON text, batches of 10 000 events, 20 ms linger, record batches of 1 MB
//! connector-bson      as tuned, raw BSON
//! straight-line       the official driver and rdkafka, raw BSON: see `straight_line`
//! ```
//!
//! A rival gets the same backlog, the same start of the stream, the same topic settings and the same check as the
//! node. It is started as its users start it, in a process of its own, and that start is not part of what is timed.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::Timestamp;
use millrace_testbed::{ConnectPlan, ConnectWorker, Lifetime, Plugin, Process};
use tempfile::TempDir;

use crate::arm::{Format, Node, NodePlan};
use crate::straight_line;

/// Heap of a Connect worker, MiB: what Connect's own start script gives.
const CONNECT_HEAP_MB: u32 = 2_048;
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
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
}

impl Rival {
    /// What it makes of an event.
    pub fn format(self) -> Format {
        match self {
            Self::ConnectorDefault | Self::ConnectorTuned => Format::Json,
            Self::ConnectorBson | Self::StraightLine => Format::Bson,
        }
    }

    /// The connector's properties beyond those that name servers, namespace, format and start.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ConnectorDefault | Self::StraightLine => &[],
            Self::ConnectorTuned | Self::ConnectorBson => &[
                ("poll.max.batch.size", "10000"),
                ("batch.size", "10000"),
                ("producer.override.linger.ms", "20"),
                ("producer.override.batch.size", "1000000"),
            ],
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
    /// The straight line, and where it logs.
    StraightLine(Process, TempDir),
}

impl Contender {
    /// Starts what `plan` describes, by `rival` or by the node, and waits until it runs.
    pub async fn start(rival: Option<Rival>, plan: &NodePlan) -> Result<Self> {
        match rival {
            None => Node::start(plan).await.map(Self::Node),
            Some(Rival::StraightLine) => start_straight_line(plan).await,
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
            Self::StraightLine(process, _) => Ok(process.pid()),
        }
    }

    /// Fails if it has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self {
            Self::Node(node) => node.ensure_alive(),
            Self::Connect(worker) => worker.pid().map(drop),
            Self::StraightLine(process, _) => match process.try_wait()? {
                None => Ok(()),
                Some(status) => bail!(
                    "the straight line ended ({status}); its log ends with:\n{}",
                    process.log_tail(LOG_TAIL_LINES)
                ),
            },
        }
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Node(node) => node.stop().await,
            Self::Connect(worker) => worker.stop().await,
            Self::StraightLine(mut process, _) => {
                let status = process.stop(STOP_TIMEOUT).await?;
                if !status.success() {
                    bail!("the straight line failed: {}", process.log_tail(LOG_TAIL_LINES));
                }
                Ok(())
            }
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
            Self::StraightLine(process, _) => process.log_tail(LOG_TAIL_LINES),
        }
    }
}

async fn start_connector(rival: Rival, plan: &NodePlan) -> Result<Contender> {
    let converter = plan.converter();
    let worker = ConnectPlan::new(&plan.bootstrap, Plugin::MongodbConnector)
        .heap_mb(CONNECT_HEAP_MB)
        .property("key.converter", converter)
        .property("value.converter", converter);
    let worker = ConnectWorker::start(&worker).await.context("could not start Kafka Connect")?;
    let mut config: BTreeMap<String, String> = plan.connector_config();
    for (name, value) in rival.settings() {
        config.insert((*name).to_owned(), (*value).to_owned());
    }
    worker.create(&plan.name, &config).await?;
    Ok(Contender::Connect(Box::new(worker)))
}

async fn start_straight_line(plan: &NodePlan) -> Result<Contender> {
    let folder = TempDir::with_prefix("millrace-line-")
        .context("could not make a temporary folder for the straight line")?;
    let Timestamp { time, increment } =
        plan.start_at.context("the straight line starts at a cluster time")?;
    let mut command = Command::new(&plan.binary);
    command.args(["bench", "straight-line", "--uri", &plan.mongodb_uri]);
    command.args(["--bootstrap", &plan.bootstrap, "--database", &plan.database]);
    command.args(["--collection", &plan.collection, "--topic", &plan.topic(&plan.collection)]);
    command.args(["--start-at", &format!("{time},{increment}")]);
    let log = folder.path().join("log");
    let mut process = Process::start("the straight line", command, &log, Lifetime::WithParent)?;
    let started = Instant::now();
    while !std::fs::read_to_string(&log).unwrap_or_default().contains(straight_line::RUNNING) {
        if let Some(status) = process.try_wait()? {
            bail!("the straight line ended ({status}): {}", process.log_tail(LOG_TAIL_LINES));
        }
        if START_TIMEOUT < started.elapsed() {
            bail!("the straight line does not run within {START_TIMEOUT:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(Contender::StraightLine(process, folder))
}
