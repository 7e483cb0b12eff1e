//! The node as an arm of a scenario: started as a process, measured from outside, stopped like any service.
//!
//! ```text
//! worker.properties + connector.json ──► millrace standalone ──► log: "connector <name> running"
//!                                        /proc/<pid>: CPU time, peak memory
//!                                        SIGTERM ──► exit code 0   (anything else fails the arm)
//! ```
//!
//! The files are what a user would write: Kafka Connect's own, with converters that add nothing to the bytes. The rig
//! knows the node only by its command line, its log line and its exit code.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bson::Timestamp;
use millrace_testbed::{Lifetime, Limits, Process, Truststore};
use serde_json::json;
use tempfile::TempDir;

use crate::procfs;

/// How long a node may take to read its files, connect and open the stream.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a node may take to hand over what is under way and store its position.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 30;

/// What the node makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text as the connector's DefaultJson writes it.
    Json,
    /// The bytes of the event as MongoDB sent them.
    Bson,
    /// Debezium's envelope as JSON text: see [`crate::decode_debezium`]. Only Debezium writes it.
    Debezium,
}

/// What an arm begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Changes from now on: the connector's mode `latest`.
    Now,
    /// Changes from a cluster time on.
    At(Timestamp),
    /// What is in the collection already, then its changes: the connector's mode `copy_existing`.
    Copy,
}

/// What an arm is told where its connections are encrypted.
#[derive(Clone, Debug)]
pub struct Trust {
    /// What it trusts of MongoDB, in a file for Java.
    pub mongodb: Truststore,
    /// What every client of Kafka is told: `security.protocol`, `ssl.…`.
    pub kafka: Vec<(String, String)>,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// The binary `millrace`.
    pub binary: PathBuf,
    /// Name of the connector.
    pub name: String,
    /// Where to read.
    pub mongodb_uri: String,
    /// Where to write.
    pub bootstrap: String,
    /// What it trusts; `None` where it connects in the clear.
    pub trust: Option<Trust>,
    /// Database to watch.
    pub database: String,
    /// Collection to watch; empty for every collection of the database.
    pub collection: String,
    /// Further collections, each with a connector of its own.
    pub further_collections: Vec<String>,
    /// The topic is `<prefix>.<database>.<collection>`; without a prefix `<database>.<collection>`.
    pub topic_prefix: String,
    /// Form of keys and values.
    pub format: Format,
    /// What comes first.
    pub start: Start,
    /// Further lines of the worker's file.
    pub worker_settings: Vec<(String, String)>,
    /// Further properties of the connector.
    pub connector_settings: Vec<(String, String)>,
    /// The CPUs that it may run on, by number; empty for all. A node's, not a rival's.
    pub cpus: Vec<u16>,
}

/// What the node has used since it started.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most memory that was ever resident, KiB.
    pub peak_rss_kib: u64,
}

/// The files of a node, as they are.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    /// The worker's.
    pub worker: String,
    /// Name and properties of each connector.
    pub connectors: Vec<(String, BTreeMap<String, String>)>,
}

/// A node that runs. Dropping it kills it, and so does the end of this process.
#[derive(Debug)]
pub struct Node {
    process: Process,
    /// Of its connectors.
    names: Vec<String>,
    folder: Folder,
}

/// Where the node's files lie, and what becomes of them.
#[derive(Debug)]
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

/// The binary of this very process: it holds the node too.
pub fn own_binary() -> Result<PathBuf> {
    std::env::current_exe().context("could not find the path of the running binary")
}

impl NodePlan {
    /// The topic that the events of a collection go to.
    pub fn topic(&self, collection: &str) -> String {
        let namespace = format!("{}.{collection}", self.database);
        if self.topic_prefix.is_empty() {
            namespace
        } else {
            format!("{}.{namespace}", self.topic_prefix)
        }
    }

    /// The class that writes keys and values.
    pub(crate) fn converter(&self) -> &'static str {
        match self.format {
            Format::Json => "org.apache.kafka.connect.storage.StringConverter",
            Format::Bson => "org.apache.kafka.connect.converters.ByteArrayConverter",
            Format::Debezium => "org.apache.kafka.connect.json.JsonConverter",
        }
    }

    /// Without REST the node ends with its last connector, so that an arm that fails is seen to.
    fn worker_file(&self, folder: &Path) -> String {
        let converter = self.converter();
        let offsets = folder.join("connect.offsets");
        let mut file = format!(
            "bootstrap.servers={}\nkey.converter={converter}\nvalue.converter={converter}\n\
             offset.storage.file.filename={}\n\
             listeners=\n",
            self.bootstrap,
            offsets.display()
        );
        for (name, value) in self.worker_security().iter().chain(&self.worker_settings) {
            file.push_str(&format!("{name}={value}\n"));
        }
        file
    }

    /// The lines of a worker's file that let its own, its producers' and its admin clients encrypt.
    pub(crate) fn worker_security(&self) -> Vec<(String, String)> {
        let lines = self.trust.iter().flat_map(|trust| &trust.kafka).flat_map(|(name, value)| {
            ["", "producer.", "admin."].map(|whose| (format!("{whose}{name}"), value.clone()))
        });
        lines.collect()
    }

    /// Name and properties of each connector.
    pub(crate) fn connectors(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let first = (self.name.clone(), self.connector_config());
        let further = (2..).zip(&self.further_collections).map(|(number, collection)| {
            let plan = Self { collection: collection.clone(), ..self.clone() };
            (format!("{}-{number}", self.name), plan.connector_config())
        });
        iter::once(first).chain(further).collect()
    }

    /// The properties of the first connector.
    pub(crate) fn connector_config(&self) -> BTreeMap<String, String> {
        let format = match self.format {
            Format::Json | Format::Debezium => "json",
            Format::Bson => "bson",
        };
        let mut config = BTreeMap::from(
            [
                ("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector"),
                ("connection.uri", &self.mongodb_uri),
                ("database", &self.database),
                ("collection", &self.collection),
                ("topic.prefix", &self.topic_prefix),
                ("output.format.key", format),
                ("output.format.value", format),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut set = |name: &str, value: String| config.insert(name.to_owned(), value);
        match self.start {
            Start::Now => drop(set("startup.mode", "latest".to_owned())),
            Start::At(Timestamp { time, increment }) => {
                let start_at = json!({ "$timestamp": { "t": time, "i": increment } }).to_string();
                set("startup.mode", "timestamp".to_owned());
                set("startup.mode.timestamp.start.at.operation.time", start_at);
            }
            Start::Copy => drop(set("startup.mode", "copy_existing".to_owned())),
        }
        if let Some(Trust { mongodb: Truststore { path, password }, .. }) = &self.trust {
            set("connection.ssl.truststore", path.display().to_string());
            set("connection.ssl.truststorePassword", (*password).to_owned());
        }
        for (name, value) in &self.connector_settings {
            set(name, value.clone());
        }
        config
    }
}

impl NodePlan {
    /// Writes the worker's and the connectors' files into `folder`, and starts the node there with `arguments` behind
    /// them. Its log is `node.log`.
    pub(crate) fn start(
        &self,
        folder: &Path,
        arguments: &[&str],
        lifetime: Lifetime,
    ) -> Result<Process> {
        let files = NodeFiles { worker: self.worker_file(folder), connectors: self.connectors() };
        let limits = Limits::default().cpus(self.cpus.iter().copied());
        files.start(&self.binary, folder, arguments, lifetime, &limits)
    }
}

impl NodeFiles {
    fn start(
        &self,
        binary: &Path,
        folder: &Path,
        arguments: &[&str],
        lifetime: Lifetime,
        limits: &Limits,
    ) -> Result<Process> {
        let worker = folder.join("worker.properties");
        fs::write(&worker, &self.worker)?;
        let mut command = Command::new(binary);
        command.arg("standalone").arg(worker);
        for (index, (name, config)) in self.connectors.iter().enumerate() {
            let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            let file = folder.join(format!("connector{number}.json"));
            fs::write(&file, json!({ "name": name, "config": config }).to_string())?;
            command.arg(file);
        }
        // Its log tells when it runs.
        command.args(arguments).env("NO_COLOR", "1").env("RUST_LOG", "info");
        Process::start_limited("the node", command, &folder.join("node.log"), lifetime, limits)
    }
}

impl Node {
    /// Writes the node's files into a new temporary folder, starts it and waits until the connector runs.
    pub async fn start(plan: &NodePlan) -> Result<Self> {
        let folder = TempDir::with_prefix("millrace-node-")
            .context("could not make a temporary folder for the node")?;
        Self::run(plan, Folder::Temporary(folder), Lifetime::WithParent).await
    }

    /// As [`Node::start`], in a folder that stays: a second start there goes on where the first has ended.
    pub async fn start_in(plan: &NodePlan, folder: &Path) -> Result<Self> {
        Self::run(plan, Folder::Kept(folder.to_owned()), Lifetime::WithParent).await
    }

    /// As [`Node::start_in`], and [`Node::leave`] lets it outlive this process.
    pub async fn start_detached(plan: &NodePlan, folder: &Path) -> Result<Self> {
        Self::run(plan, Folder::Kept(folder.to_owned()), Lifetime::Detached).await
    }

    /// Starts `binary` with these very files in `folder`, which stays, and waits until every connector runs.
    pub async fn start_files(binary: &Path, files: &NodeFiles, folder: &Path) -> Result<Self> {
        let names = files.connectors.iter().map(|(name, _)| name.clone()).collect();
        let log_bytes_before = log_bytes(folder);
        let process = files.start(binary, folder, &[], Lifetime::WithParent, &Limits::default())?;
        let mut node = Self { process, names, folder: Folder::Kept(folder.to_owned()) };
        node.wait_until_running(log_bytes_before as usize).await?;
        Ok(node)
    }

    async fn run(plan: &NodePlan, folder: Folder, lifetime: Lifetime) -> Result<Self> {
        let path = folder.path();
        let names = plan.connectors().into_iter().map(|(name, _)| name).collect();
        let log_bytes_before = log_bytes(path);
        let process = plan.start(path, &[], lifetime)?;
        let mut node = Self { process, names, folder };
        node.wait_until_running(log_bytes_before as usize).await?;
        Ok(node)
    }

    async fn wait_until_running(&mut self, log_bytes_before: usize) -> Result<()> {
        let started = Instant::now();
        loop {
            let log = fs::read(self.process.log_path()).unwrap_or_default();
            let new = String::from_utf8_lossy(log.get(log_bytes_before..).unwrap_or_default());
            let runs = |name: &String| new.lines().any(|line| says_running(line, name));
            if self.names.iter().all(runs) {
                return Ok(());
            }
            self.ensure_alive()?;
            if START_TIMEOUT < started.elapsed() {
                bail!(
                    "the node did not report {} running within {} s; its log ends with:\n{}",
                    self.names.join(", "),
                    START_TIMEOUT.as_secs(),
                    self.log_tail()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder of its files, its log (`node.log`) and its offsets (`connect.offsets`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Fails with the end of the node's log if the node has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// What it has used since it started. Fails when it has ended.
    pub fn usage(&self) -> Result<Usage> {
        let read = || -> std::io::Result<Usage> {
            let pid = self.pid();
            Ok(Usage { cpu: procfs::process_cpu(pid)?, peak_rss_kib: procfs::peak_rss_kib(pid)? })
        };
        read().context("could not read what the node uses")
    }

    /// Asks it to stop and waits for it. Fails unless it ends with code 0.
    pub async fn stop(mut self) -> Result<()> {
        self.ensure_alive()?;
        let status = self.process.stop(STOP_TIMEOUT).await?;
        ensure!(status.success(), self.ended(status));
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Lets a node that was started detached run on. Returns its process id.
    pub fn leave(self) -> u32 {
        let pid = self.process.pid();
        self.process.leave();
        pid
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_TAIL_LINES)
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow!("the node ended ({status}); its log ends with:\n{}", self.log_tail())
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// How long the log in a folder is.
fn log_bytes(folder: &Path) -> u64 {
    fs::metadata(folder.join("node.log")).map_or(0, |log| log.len())
}

/// Whether a log line says that connector `name` runs.
fn says_running(line: &str, name: &str) -> bool {
    line.trim_end().ends_with(&format!(" connector {name} running"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(binary: &str) -> NodePlan {
        NodePlan {
            binary: binary.into(),
            name: "drain".into(),
            mongodb_uri: "mongodb://h:1/?replicaSet=rs0".into(),
            bootstrap: "h:2".into(),
            trust: None,
            database: "millrace_drain".into(),
            collection: "events".into(),
            further_collections: vec!["more".into()],
            topic_prefix: "r1json".into(),
            format: Format::Json,
            start: Start::At(Timestamp { time: 7, increment: 2 }),
            worker_settings: vec![("offset.flush.interval.ms".into(), "1000".into())],
            connector_settings: vec![("batch.size".into(), "5".into())],
            cpus: Vec::new(),
        }
    }

    #[test]
    fn the_files_are_those_of_kafka_connect() {
        let plan = plan("millrace");
        assert_eq!(
            plan.worker_file(Path::new("/f")),
            "bootstrap.servers=h:2\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename=/f/connect.offsets\n\
             listeners=\n\
             offset.flush.interval.ms=1000\n"
        );
        let connectors = plan.connectors();
        let [(name, config), (second, further)] = &connectors[..] else { panic!("two connectors") };
        assert_eq!((name.as_str(), second.as_str()), ("drain", "drain-2"));
        assert_eq!((&*config["collection"], &*further["collection"]), ("events", "more"));
        assert_eq!(config["batch.size"], "5");
        assert_eq!(
            config["startup.mode.timestamp.start.at.operation.time"],
            r#"{"$timestamp":{"t":7,"i":2}}"#
        );
        assert_eq!(plan.topic("events"), "r1json.millrace_drain.events");
        for (start, mode) in [(Start::Now, "latest"), (Start::Copy, "copy_existing")] {
            let config = NodePlan { start, ..plan.clone() }.connector_config();
            assert_eq!(config["startup.mode"], mode);
            assert!(!config.contains_key("startup.mode.timestamp.start.at.operation.time"));
        }
    }

    #[test]
    fn what_is_to_be_trusted_stands_in_both_files_in_kafka_connects_own_words() {
        let kafka = vec![("security.protocol".to_owned(), "SSL".to_owned())];
        let mongodb = Truststore { path: "/t/ca.p12".into(), password: "changeit" };
        let plan = NodePlan { trust: Some(Trust { mongodb, kafka }), ..plan("millrace") };
        let file = plan.worker_file(Path::new("/f"));
        for whose in ["", "producer.", "admin."] {
            assert!(file.contains(&format!("\n{whose}security.protocol=SSL\n")), "{file}");
        }
        let config = plan.connector_config();
        assert_eq!(config["connection.ssl.truststore"], "/t/ca.p12");
        assert_eq!(config["connection.ssl.truststorePassword"], "changeit");
    }

    #[test]
    fn only_the_named_connector_counts_as_running() {
        assert!(says_running("2026-01-01 INFO millrace: connector drain running", "drain"));
        assert!(!says_running("INFO connector drain2 running", "drain"));
        assert!(!says_running("INFO connector drain starting", "drain"));
    }

    #[tokio::test]
    async fn a_node_that_ends_at_once_is_reported_with_its_code() {
        let error = Node::start(&plan("/bin/false")).await.expect_err("it ends").to_string();
        assert!(error.contains("exit status: 1"), "{error}");
    }
}
