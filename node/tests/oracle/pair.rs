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
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use millrace_testbed::{ConnectWorker, Testbed};

use crate::harness::reference::{reference_worker, streams_open, worker_fixture, worker_plan};
use crate::harness::{Connector, FREE_PORT, NodeProcess, Setup};

const STANDALONE: &str = "worker-standalone.properties";

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
