//! Who is compared: one Connect worker for the whole run, and a node for each group of combinations.
//!
//! ```text
//! worker   ── submit ──► every connector RUNNING, every stream seen open ── stop, delete ── the next group
//! node     ── start ───► every connector says running ─────────────────── SIGTERM
//! ```
//!
//! Both keep offsets in a file of Java's format: the worker one for all groups, each node its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Bson, doc};
use futures_util::TryStreamExt;
use millrace_testbed::{ConnectPlan, ConnectWorker, Plugin};
use mongodb::Client;

use crate::arm::{Node, NodeFiles};

use super::offsets;

/// The bytes of doubles and the table of escaped characters are those of this Java; see DESIGN.md.
pub const JAVA_VERSION: u32 = 17;
/// How long it may take until the server has worked for every stream.
const STREAMS_PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The heap of the worker, MiB: connectors hold a batch each, and what waits for the broker.
const HEAP_MB: u32 = 1_536;

/// Connectors by name.
pub(super) type Files = BTreeMap<String, BTreeMap<String, String>>;

/// A Connect worker whose bytes count.
#[derive(Debug)]
pub(super) struct Java {
    worker: ConnectWorker,
}

impl Java {
    pub(super) async fn start(bootstrap: &str) -> Result<Self> {
        let plan = ConnectPlan::new(bootstrap, Plugin::MongodbConnector)
            .heap_mb(HEAP_MB)
            // A short run: what compiles quickly is done first.
            .jvm("-XX:TieredStopAtLevel=1")
            .property("offset.flush.interval.ms", "10000")
            // Tens of producers share the heap.
            .property("producer.buffer.memory", "4194304");
        let worker = ConnectWorker::start(&plan).await?;
        let java = worker.java_version();
        ensure!(
            java == JAVA_VERSION,
            "the reference worker runs on Java {JAVA_VERSION}, but JAVA_HOME or PATH leads to Java {java}: set JAVA_HOME"
        );
        Ok(Self { worker })
    }

    /// Lets it run these connectors.
    pub(super) async fn run(&self, files: &Files) -> Result<()> {
        for (name, file) in files {
            self.worker.submit(name, file).await?;
        }
        for name in files.keys() {
            self.worker.wait_running(name).await?;
        }
        Ok(())
    }

    /// Fails with the trace of a connector that has failed.
    pub(super) async fn ensure_running(&self, files: &Files) -> Result<()> {
        for name in files.keys() {
            self.worker.ensure_running(name).await?;
        }
        Ok(())
    }

    /// Ends and removes all connectors. Returns the positions that it has stored.
    pub(super) async fn end(&self, files: &Files) -> Result<BTreeMap<String, String>> {
        self.worker.stop_connectors().await?;
        for name in files.keys() {
            self.worker.delete(name).await?;
        }
        offsets::read(self.worker.offsets_path())
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.worker.stop().await
    }

    pub(super) fn connect_version(&self) -> &'static str {
        self.worker.version()
    }

    pub(super) fn java_version(&self) -> u32 {
        self.worker.java_version()
    }
}

/// A node that runs connectors.
#[derive(Debug)]
pub(super) struct Running {
    node: Node,
    offsets: PathBuf,
}

impl Running {
    pub(super) async fn start(
        binary: &Path,
        bootstrap: &str,
        files: &Files,
        folder: &Path,
    ) -> Result<Self> {
        const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
        let offsets = folder.join("node.offsets");
        let worker = format!(
            "bootstrap.servers={bootstrap}\nkey.converter={JSON}\nvalue.converter={JSON}\n\
             offset.flush.interval.ms=10000\noffset.storage.file.filename={}\nlisteners=\n",
            offsets.display()
        );
        let connectors = files.clone().into_iter().collect();
        let files = NodeFiles { worker, connectors };
        Ok(Self { node: Node::start_files(binary, &files, folder).await?, offsets })
    }

    pub(super) fn ensure_alive(&mut self) -> Result<()> {
        self.node.ensure_alive()
    }

    /// Ends it. Returns the positions that it has stored.
    pub(super) async fn stop(self) -> Result<BTreeMap<String, String>> {
        self.node.stop().await?;
        offsets::read(&self.offsets)
    }
}

/// Waits until the server has worked on a change stream of each of these `appName`s.
///
/// A task that Connect calls running may not have opened its stream yet, and would miss what is written before.
///
/// # Errors
/// When one is missing after a minute; when the server does not tell.
pub async fn streams_open(client: &Client, mut missing: BTreeSet<String>) -> Result<()> {
    let deadline = Instant::now() + STREAMS_PATIENCE;
    loop {
        let stages = [
            doc! { "$currentOp": { "allUsers": true } },
            doc! { "$match": { "cursor.originatingCommand.pipeline.$changeStream": { "$exists": true } } },
        ];
        let operations = client.database("admin").aggregate(stages).await;
        let operations =
            operations.context("could not ask mongod for its open streams ($currentOp)")?;
        let operations: Vec<_> = operations.try_collect().await?;
        for operation in operations {
            if let Some(Bson::String(name)) = operation.get("appName") {
                missing.remove(name);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        if deadline < Instant::now() {
            bail!(
                "mongod has not worked on these streams within {STREAMS_PATIENCE:?}: {missing:?}"
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
