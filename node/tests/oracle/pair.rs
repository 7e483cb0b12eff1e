//! A worker and a node that run the same connectors at the same time.
//!
//! ```text
//! start ──► worker serves ──► every connector RUNNING, every stream seen open by the server
//!      └──► node starts ────► every connector says running (its opening position is stored)
//! stop  ──► SIGTERM to both: all that was read is acknowledged, offsets are stored
//! ```
//!
//! Both use Kafka's own worker file `worker-standalone.properties`, addresses and places of files aside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use millrace_bench::oracle::sides;
use millrace_testbed::{ConnectPlan, ConnectWorker, Plugin, Testbed};
use mongodb::Client;

use super::harness::{Connector, FREE_PORT, NodeProcess, Setup};

const STANDALONE: &str = "worker-standalone.properties";
/// Properties of a worker's file that are addresses or places: they are set, not taken.
const PLACES: [&str; 3] = ["bootstrap.servers", "offset.storage.file.filename", "plugin.path"];

/// The connectors of one side, and where it keeps their offsets.
pub(crate) struct Side {
    pub(crate) connectors: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) offsets: PathBuf,
}

/// Both sides, running.
pub(crate) struct Pair {
    pub(crate) worker: ConnectWorker,
    pub(crate) node: NodeProcess,
    connectors: Vec<String>,
}

/// A worker's file of `tests/fixtures` as properties.
pub(crate) fn worker_fixture(name: &str) -> Result<BTreeMap<String, String>> {
    let text = fixture(name)?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The text of a file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

impl Pair {
    /// Starts both and returns when every connector of both reads its stream.
    pub(crate) async fn start(testbed: &Testbed, java: &Side, node: &Side) -> Result<Self> {
        let started = Instant::now();
        let (worker, node) =
            tokio::try_join!(start_worker(testbed, java), start_node(testbed, node))?;
        eprintln!(
            "{} connectors run on both sides after {:.1?}; the worker served after {:.1?}",
            java.connectors.len(),
            started.elapsed(),
            worker.ready_after()
        );
        Ok(Self { worker, node, connectors: java.connectors.keys().cloned().collect() })
    }

    /// Fails if a side has ended, or a connector of Java.
    pub(crate) async fn ensure_running(&mut self) -> Result<()> {
        self.node.ensure_alive()?;
        for connector in &self.connectors {
            self.worker.ensure_running(connector).await?;
        }
        Ok(())
    }

    /// Stops both in order.
    pub(crate) async fn stop(self) -> Result<()> {
        let log = self.node.stop().await?;
        for line in log.lines().filter(|line| line.contains("ERROR")) {
            eprintln!("the node: {line}");
        }
        self.worker.stop().await
    }
}

async fn start_node(testbed: &Testbed, side: &Side) -> Result<NodeProcess> {
    let mut worker = worker_fixture(STANDALONE)?;
    worker.insert("bootstrap.servers".to_owned(), testbed.kafka().bootstrap());
    let offsets = side.offsets.display().to_string();
    worker.insert("offset.storage.file.filename".to_owned(), offsets);
    worker.insert("listeners".to_owned(), FREE_PORT.to_owned());
    let text = worker.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let mut setup = Setup::new(&testbed.kafka().bootstrap())?.worker_file(text);
    for (name, config) in &side.connectors {
        setup = setup.connector(Connector::with_config(name, config));
    }
    setup.start_running().await
}

async fn start_worker(testbed: &Testbed, side: &Side) -> Result<ConnectWorker> {
    let plan = worker_plan(testbed, STANDALONE)?.heap_mb(1_024).offsets_file(&side.offsets);
    let worker = reference_worker(&plan).await?;
    for (name, config) in &side.connectors {
        worker.submit(name, config).await?;
    }
    for name in side.connectors.keys() {
        worker.wait_running(name).await?;
    }
    let client = testbed.mongodb().client().await?;
    streams_open(&client, side.connectors.values()).await?;
    Ok(worker)
}

/// A worker with the connector and with a file of `tests/fixtures`.
pub(crate) fn worker_plan(testbed: &Testbed, fixture: &str) -> Result<ConnectPlan> {
    let plan = ConnectPlan::new(&testbed.kafka().bootstrap(), Plugin::MongodbConnector);
    // A short run: what compiles quickly is done first.
    let mut plan = plan.jvm("-XX:TieredStopAtLevel=1");
    for (name, value) in worker_fixture(fixture)? {
        if !PLACES.contains(&name.as_str()) {
            plan = plan.property(&name, &value);
        }
    }
    Ok(plan)
}

/// Starts a worker whose bytes count.
pub(crate) async fn reference_worker(plan: &ConnectPlan) -> Result<ConnectWorker> {
    let worker = ConnectWorker::start(plan).await?;
    let java = worker.java_version();
    ensure!(
        java == sides::JAVA_VERSION,
        "the reference worker runs on Java {}, but JAVA_HOME or PATH leads to Java {java}: set JAVA_HOME",
        sides::JAVA_VERSION
    );
    Ok(worker)
}

/// Waits until the server has worked on a change stream of every connector's `appName`.
///
/// A task that Connect calls running may not have opened its stream yet, and would miss what is written before.
pub(crate) async fn streams_open<'a>(
    client: &Client,
    connectors: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> Result<()> {
    sides::streams_open(client, connectors.map(app_name).collect()).await
}

fn app_name(config: &BTreeMap<String, String>) -> String {
    let uri = config.get("connection.uri").map(String::as_str).unwrap_or_default();
    uri.split_once("appName=").map(|(_, name)| name.to_owned()).unwrap_or_default()
}
