//! The files of a node, as an operator writes them, in a folder that goes away with the test.
//!
//! ```text
//! <folder>/  worker.properties   <connector>.json …   connect.offsets   node.log
//! ```
//!
//! The worker file asks for the `StringConverter` and an offsets file unless a test says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{FREE_PORT, NodeProcess};

const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTE_ARRAY_CONVERTER: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

/// One connector's file.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    name: String,
    config: Map<String, Value>,
}

impl Connector {
    /// A source connector named `name` that reads from `uri`.
    pub(crate) fn new(name: &str, uri: &str) -> Self {
        let connector = Self { name: name.to_owned(), config: Map::new() };
        connector
            .set("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector")
            .set("connection.uri", uri)
    }

    /// A connector with these very properties.
    pub(crate) fn with_config(name: &str, config: &BTreeMap<String, String>) -> Self {
        let config = config.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        Self { name: name.to_owned(), config: config.collect() }
    }

    pub(crate) fn set(mut self, property: &str, value: &str) -> Self {
        self.config.insert(property.to_owned(), value.into());
        self
    }

    /// Watches one collection.
    pub(crate) fn collection(self, database: &str, collection: &str) -> Self {
        self.set("database", database).set("collection", collection)
    }

    /// Raw BSON for keys and values.
    pub(crate) fn bson(self) -> Self {
        self.set("output.format.key", "bson")
            .set("output.format.value", "bson")
            .set("key.converter", BYTE_ARRAY_CONVERTER)
            .set("value.converter", BYTE_ARRAY_CONVERTER)
    }

    fn text(&self) -> String {
        json!({ "name": self.name, "config": self.config }).to_string()
    }
}

/// See the module. A clone has the same folder.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    folder: Arc<TempDir>,
    worker: BTreeMap<String, String>,
    connectors: Vec<Connector>,
    files: Vec<PathBuf>,
    worker_file: Option<String>,
    mode: &'static str,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
}

impl Setup {
    /// A worker that writes to the brokers at `bootstrap`, without a connector.
    pub(crate) fn new(bootstrap: &str) -> Result<Self> {
        let folder = Arc::new(TempDir::with_prefix("millrace-test-")?);
        let offsets = folder.path().join("connect.offsets");
        let worker = [
            ("bootstrap.servers", bootstrap.to_owned()),
            ("key.converter", STRING_CONVERTER.to_owned()),
            ("value.converter", STRING_CONVERTER.to_owned()),
            ("offset.storage.file.filename", offsets.display().to_string()),
            // Without REST a worker ends with its last connector, and its exit code says how.
            ("listeners", String::new()),
        ];
        let worker = worker.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Self {
            folder,
            worker,
            connectors: Vec::new(),
            files: Vec::new(),
            worker_file: None,
            mode: "standalone",
            arguments: Vec::new(),
            env: Vec::new(),
        })
    }

    /// Sets a property of the worker.
    pub(crate) fn worker(mut self, property: &str, value: &str) -> Self {
        self.worker.insert(property.to_owned(), value.to_owned());
        self
    }

    /// Removes a property of the worker.
    pub(crate) fn without(mut self, property: &str) -> Self {
        self.worker.remove(property);
        self
    }

    /// With the REST interface, on a free port.
    pub(crate) fn rest(self) -> Self {
        self.worker("listeners", FREE_PORT)
    }

    /// Adds a connector, or replaces the one of that name.
    pub(crate) fn connector(mut self, connector: Connector) -> Self {
        self.connectors.retain(|other| other.name != connector.name);
        self.connectors.push(connector);
        self
    }

    /// Adds a connector file with this very text.
    pub(crate) fn connector_file(mut self, name: &str, text: &str) -> Result<Self> {
        let path = self.folder.path().join(name);
        fs::write(&path, text)?;
        self.files.push(path);
        Ok(self)
    }

    /// A worker file with this very text.
    pub(crate) fn worker_file(mut self, text: String) -> Self {
        self.worker_file = Some(text);
        self
    }

    /// A worker of a group, `millrace distributed`.
    pub(crate) fn distributed(mut self) -> Self {
        self.mode = "distributed";
        self
    }

    /// Starts the node with `--strict`.
    pub(crate) fn strict(self) -> Self {
        self.argument("--strict")
    }

    /// One more word of the command line.
    pub(crate) fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Sets a variable of the node's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The offsets file, unless a test has named another.
    pub(crate) fn offsets(&self) -> PathBuf {
        self.folder.path().join("connect.offsets")
    }

    /// Writes the files and starts a node.
    pub(crate) fn start(&self) -> Result<NodeProcess> {
        NodeProcess::start(self.command(self.mode)?, Arc::clone(&self.folder))
    }

    /// Writes the files and asks the doctor. Returns the exit code and what is on standard output and error.
    pub(crate) async fn doctor(&self) -> Result<(i32, String, String)> {
        let mut command = self.command("doctor")?;
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let [said, log] = [output.stdout, output.stderr].map(String::from_utf8);
        Ok((output.status.code().context("the doctor was killed")?, said?, log?))
    }

    fn command(&self, subcommand: &str) -> Result<Command> {
        let worker_path = self.folder.path().join("worker.properties");
        let lines = self.worker.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&worker_path, self.worker_file.clone().unwrap_or_else(|| lines.collect()))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.env("NO_COLOR", "1").env_remove("RUST_LOG").arg(subcommand).arg(worker_path);
        for connector in &self.connectors {
            let path = self.folder.path().join(format!("{}.json", connector.name));
            fs::write(&path, connector.text())?;
            command.arg(path);
        }
        command.args(&self.files);
        command.args(&self.arguments);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// As [`Setup::start`], and waits until every connector of [`Setup::connector`] runs.
    pub(crate) async fn start_running(&self) -> Result<NodeProcess> {
        let mut node = self.start()?;
        for connector in &self.connectors {
            node.running(&connector.name).await?;
        }
        Ok(node)
    }

    /// Starts a node that must end by itself with `exit_code`. Returns all that it has logged.
    pub(crate) async fn fails(&self, exit_code: i32) -> Result<String> {
        let (code, log) = self.start()?.ended().await?;
        assert_eq!(code, exit_code, "exit code of the node, which logged:\n{log}");
        Ok(log)
    }
}
