//! A Kafka Connect worker, standalone or distributed, and the connectors in it.
//!
//! ```text
//! start ──► serves (REST on a free loopback port) ── create ──► connector and task RUNNING
//!   │                                                             │ fails: an error with its trace
//!   └──► connect/  worker.properties  log  data/                  ▼
//! stop: SIGTERM; tasks end, what was sent is acknowledged, offsets are flushed
//! ```
//!
//! The worker ends with this value and with this process. Times are wall-clock.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    broker_config,
    connect_fetch::{self, ConnectLibraries},
    connect_plan::{ConnectMode, ConnectPlan},
    connect_rest::{Method, ask},
    fetch::{KAFKA_VERSION, blocking},
    launch::{Launcher, Server},
    limits::Limits,
    port::Port,
    process::{POLL, tail},
    run_folder::RunFolder,
    software::{Engine, Invocation},
};

/// How long a worker may take to serve: it looks through all its jars for plug-ins.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long a worker may take to stop: it ends its tasks one after the other, and each may sit in a
/// poll of several seconds.
const STOP_LIMIT: Duration = Duration::from_secs(180);
/// How long a worker without running connectors may take to stop before it is killed.
const STOPPED_LIMIT: Duration = Duration::from_secs(5);
/// How long a connector and its tasks may take to run.
const RUNNING_LIMIT: Duration = Duration::from_secs(60);
/// The heap that a worker begins with, in MiB, as Connect's own start script has it.
const FIRST_HEAP_MB: u32 = 256;
/// What a worker logs at the end of an orderly stop, when offsets are stored.
const STOPPED: &str = "Kafka Connect stopped";

/// Where a distributed worker keeps what it knows: the topic's property, its replication factor's,
/// and the end of the topic's name. There is one broker, so there is one replica.
const STORAGE: [(&str, &str, &str); 3] = [
    ("config.storage.topic", "config.storage.replication.factor", "configs"),
    ("offset.storage.topic", "offset.storage.replication.factor", "offsets"),
    ("status.storage.topic", "status.storage.replication.factor", "status"),
];
/// How much of the log an error carries.
const LOG_LINES: usize = 12;

/// A Connect worker that serves.
#[derive(Debug)]
pub struct ConnectWorker {
    server: Server,
    port: Port,
    libraries: ConnectLibraries,
    offsets: PathBuf,
    mode: ConnectMode,
    ready_after: Duration,
}

impl ConnectWorker {
    /// Starts a worker and waits until it serves, about 10 s; the first time on a machine its jars
    /// are fetched. It has no connectors, unless a distributed one finds those of its group.
    ///
    /// # Errors
    /// When a download fails; when the worker does not come up, with the end of its log.
    pub async fn start(plan: &ConnectPlan) -> Result<Self> {
        plan.check()?;
        let libraries = connect_fetch::connect_libraries().await?;
        let mut plugins = Vec::new();
        for plugin in &plan.plugins {
            plugins.push(connect_fetch::plugin_folder(*plugin).await?);
        }
        let folder = RunFolder::temporary(false)?;
        let launcher = Arc::new(Launcher { folder, state: None, engine: Engine::Native });
        let server = Server::new("connect", None, &launcher)?;
        let (port, data) = (Port::lease()?, server.folder().join("data"));
        let offsets = plan.offsets_file.clone().unwrap_or_else(|| data.join("connect.offsets"));
        fs::create_dir_all(data.join("tmp"))?;
        let file = server.folder().join("worker.properties");
        let text = worker_properties(plan, port.number(), &plugins, &offsets);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;

        let start = Instant::now();
        let command = worker_command(plan, &libraries, server.folder(), &file);
        server.start(Invocation { command, limits: Limits::default() })?;
        let mode = plan.mode;
        let mut worker =
            Self { server, port, libraries, offsets, mode, ready_after: Duration::ZERO };
        worker.wait_ready().await?;
        worker.ready_after = start.elapsed();
        Ok(worker)
    }

    /// From the start of the process until it answered on its REST interface.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Creates a connector and waits until it and its tasks run. Returns how long that took.
    ///
    /// That a task runs says that Connect polls it. Whether the connector has opened its stream is
    /// for the servers to tell.
    ///
    /// # Errors
    /// When the worker refuses the connector; when it or a task fails, with the trace; when it does
    /// not run within 60 s.
    pub async fn create(&self, name: &str, config: &BTreeMap<String, String>) -> Result<Duration> {
        let start = Instant::now();
        self.submit(name, config).await?;
        self.wait_running(name).await?;
        Ok(start.elapsed())
    }

    /// Creates a connector and leaves it to [`ConnectWorker::wait_running`] to see it run.
    ///
    /// # Errors
    /// When the worker refuses it.
    pub async fn submit(&self, name: &str, config: &BTreeMap<String, String>) -> Result<()> {
        let body = json!({ "name": name, "config": config });
        let deadline = Instant::now() + RUNNING_LIMIT;
        loop {
            let asked = self.ask(Method::Post, "/connectors".to_owned(), Some(body.clone())).await;
            match asked {
                Ok(_) => return Ok(()),
                // A distributed worker that is still joining its group.
                Err(error) if is_momentary(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until a connector and its tasks run.
    ///
    /// # Errors
    /// When it or a task fails, with the trace; when it does not run within 60 s.
    pub async fn wait_running(&self, name: &str) -> Result<()> {
        let deadline = Instant::now() + RUNNING_LIMIT;
        loop {
            let status = self.status(name).await;
            match status.as_ref().map(phase) {
                Ok(Phase::Running) => return Ok(()),
                Ok(Phase::Failed(trace)) => bail!("connector {name} has failed: {trace}"),
                // Right after its creation a connector has no status.
                Ok(Phase::Pending) | Err(_) if Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Ok(Phase::Pending) | Err(_) => {
                    bail!("connector {name} does not run within {RUNNING_LIMIT:?}: {status:?}")
                }
            }
        }
    }

    /// Fails unless a connector and its tasks run now.
    ///
    /// # Errors
    /// As it says; with the trace of what has failed.
    pub async fn ensure_running(&self, name: &str) -> Result<()> {
        let status = self.status(name).await?;
        match phase(&status) {
            Phase::Running => Ok(()),
            Phase::Failed(trace) => bail!("connector {name} has failed: {trace}"),
            Phase::Pending => bail!("connector {name} does not run: {status}"),
        }
    }

    /// Removes a connector; the worker goes on to store its offsets.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.ask(Method::Delete, format!("/connectors/{name}"), None).await.map(drop)
    }

    /// The classes of the connectors that it has loaded.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connector_classes(&self) -> Result<Vec<String>> {
        let plugins = self.ask(Method::Get, "/connector-plugins".to_owned(), None).await?;
        let plugins = plugins.as_array().context("the list of plug-ins is no array")?;
        let classes = plugins.iter().filter_map(|plugin| plugin.get("class")?.as_str());
        Ok(classes.map(str::to_owned).collect())
    }

    /// Ends its connectors, so that offsets are stored, and then the worker.
    ///
    /// A standalone worker is asked to stop every connector first: on SIGTERM Connect and the Jetty in it stop the same
    /// server in two threads, and about one time in ten neither ends. With nothing left to store it may be killed then.
    ///
    /// # Errors
    /// When it is not running; when a connector does not stop; when a distributed worker did not end in order within
    /// 180 s, so that offsets may be missing.
    pub async fn stop(&self) -> Result<()> {
        match self.mode {
            ConnectMode::Standalone => {
                self.stop_connectors().await?;
                self.server.stop_within(STOPPED_LIMIT).await
            }
            ConnectMode::Distributed => {
                self.server.stop_within(STOP_LIMIT).await?;
                self.ensure_stopped_in_order()
            }
        }
    }

    /// Ends it by SIGKILL: nothing more is stored.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(self) -> Result<()> {
        self.server.kill()
    }

    /// Ends every connector, so that its offsets are stored, and goes on without them.
    ///
    /// # Errors
    /// When one does not stop within 180 s.
    pub async fn stop_connectors(&self) -> Result<()> {
        let connectors = self.ask(Method::Get, "/connectors".to_owned(), None).await?;
        let names: Vec<String> = serde_json::from_value(connectors)?;
        for name in &names {
            self.ask(Method::Put, format!("/connectors/{name}/stop"), None).await?;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        for name in &names {
            while !is_stopped(&self.status(name).await?) {
                if deadline < Instant::now() {
                    bail!("connector {name} does not stop within {STOP_LIMIT:?}");
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn ensure_stopped_in_order(&self) -> Result<()> {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        if log.contains(STOPPED) {
            return Ok(());
        }
        self.server.keep_logs();
        bail!(
            "stop the Connect worker: it has not logged {STOPPED:?}, so offsets may be missing; its log {} ends \
             with:\n{}",
            self.log_path().display(),
            tail(&log, LOG_LINES)
        )
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// Where it logs. The file goes away with this value, unless `MILLRACE_KEEP_LOGS` is set.
    pub fn log_path(&self) -> PathBuf {
        self.server.log_path()
    }

    /// The offsets file of a standalone worker.
    pub fn offsets_path(&self) -> &Path {
        &self.offsets
    }

    /// `http://127.0.0.1:port`, its REST interface.
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// The version of Connect.
    pub fn version(&self) -> &'static str {
        KAFKA_VERSION
    }

    /// The major version of the Java that runs it.
    pub fn java_version(&self) -> u32 {
        self.libraries.kafka.java_version
    }

    async fn wait_ready(&self) -> Result<()> {
        let probe = || self.ask(Method::Get, "/connectors".to_owned(), None);
        self.server.wait_until("serves", READY_LIMIT, || async { probe().await.map(drop) }).await
    }

    async fn status(&self, name: &str) -> Result<Value> {
        self.ask(Method::Get, format!("/connectors/{name}/status"), None).await
    }

    async fn ask(&self, method: Method, path: String, body: Option<Value>) -> Result<Value> {
        let port = self.port.number();
        blocking(move || ask(port, method, &path, body.as_ref())).await
    }
}

/// Whether a worker refuses something only for now.
fn is_momentary(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("409") && (text.contains("momentarily") || text.contains("rebalance"))
}

/// Where a connector is between its creation and its end.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Some part does not run yet.
    Pending,
    /// It and all its tasks run.
    Running,
    /// Something has failed, with this trace.
    Failed(String),
}

/// Whether a connector is stopped and has no task left.
fn is_stopped(status: &Value) -> bool {
    let state = status.pointer("/connector/state").and_then(Value::as_str);
    let tasks = status.get("tasks").and_then(Value::as_array);
    state == Some("STOPPED") && tasks.is_some_and(Vec::is_empty)
}

/// Reads `{"connector": {"state": …}, "tasks": [{"state": …, "trace": …}, …]}`.
fn phase(status: &Value) -> Phase {
    let tasks = status.get("tasks").and_then(Value::as_array).map(Vec::as_slice);
    let parts = status.get("connector").into_iter().chain(tasks.unwrap_or_default());
    let mut running = tasks.is_some_and(|tasks| !tasks.is_empty());
    for part in parts {
        match part.get("state").and_then(Value::as_str) {
            Some("RUNNING") => {}
            Some("FAILED") => {
                let trace = part.get("trace").and_then(Value::as_str);
                return Phase::Failed(trace.unwrap_or("without a trace").to_owned());
            }
            _ => running = false,
        }
    }
    if running { Phase::Running } else { Phase::Pending }
}

/// The text of the worker's file. Lines of the plan come last, and the last one of a name counts.
fn worker_properties(plan: &ConnectPlan, port: u16, plugins: &[PathBuf], offsets: &Path) -> String {
    const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";
    let plugin_path: Vec<_> = plugins.iter().map(|folder| folder.display().to_string()).collect();
    let mut lines = vec![
        ("bootstrap.servers", plan.bootstrap.clone()),
        ("key.converter", JSON_CONVERTER.to_owned()),
        ("value.converter", JSON_CONVERTER.to_owned()),
        ("listeners", format!("http://127.0.0.1:{port}")),
        ("plugin.path", plugin_path.join(",")),
    ];
    match plan.mode {
        ConnectMode::Standalone => {
            lines.push(("offset.storage.file.filename", offsets.display().to_string()));
        }
        ConnectMode::Distributed => {
            lines.push(("group.id", "millrace-connect".to_owned()));
            for (topic, factor, name) in STORAGE {
                lines.push((topic, format!("millrace-connect-{name}")));
                lines.push((factor, "1".to_owned()));
            }
        }
    }
    let planned = plan.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = lines.iter().map(|(name, value)| (*name, value.as_str()));
    let mut text = String::new();
    for (name, value) in own.chain(planned) {
        let _ = writeln!(text, "{name}={}", value.replace('\\', "\\\\"));
    }
    text
}

fn worker_command(
    plan: &ConnectPlan,
    libraries: &ConnectLibraries,
    folder: &Path,
    file: &Path,
) -> Command {
    let mut java = Command::new(&libraries.kafka.java);
    broker_config::add_server_flags(&mut java, folder);
    java.arg(format!("-Xms{FIRST_HEAP_MB}m")).arg(format!("-Xmx{}m", plan.heap_mb));
    java.args(&plan.jvm);
    java.arg("-cp").arg(libraries.class_path());
    java.arg(match plan.mode {
        ConnectMode::Standalone => "org.apache.kafka.connect.cli.ConnectStandalone",
        ConnectMode::Distributed => "org.apache.kafka.connect.cli.ConnectDistributed",
    });
    java.arg(file);
    java
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect_plan::Plugin;

    #[test]
    fn connector_runs_when_it_and_all_its_tasks_do() {
        let part = |state: &str| json!({ "state": state, "worker_id": "w" });
        let status = |connector: &str, tasks: &[&str]| {
            let tasks: Vec<_> = tasks.iter().map(|state| part(state)).collect();
            json!({ "name": "c", "connector": part(connector), "tasks": tasks })
        };
        assert_eq!(phase(&status("RUNNING", &["RUNNING", "RUNNING"])), Phase::Running);
        assert_eq!(phase(&status("RUNNING", &[])), Phase::Pending);
        assert_eq!(phase(&status("RUNNING", &["UNASSIGNED"])), Phase::Pending);
        assert_eq!(phase(&status("PAUSED", &["RUNNING"])), Phase::Pending);
        assert_eq!(phase(&Value::Null), Phase::Pending);
    }

    #[test]
    fn failed_task_is_told_with_its_trace() {
        let task = json!({ "state": "FAILED", "trace": "java.lang.X: no\n\tat Y" });
        let status = json!({ "connector": { "state": "RUNNING" }, "tasks": [task] });
        assert_eq!(phase(&status), Phase::Failed("java.lang.X: no\n\tat Y".to_owned()));
    }

    #[test]
    fn planned_property_comes_after_the_own_one() {
        let plan = ConnectPlan::new("127.0.0.1:1", Plugin::MongodbConnector)
            .property("key.converter", "x")
            .property("listeners", "http://127.0.0.1:9");
        let folders = [PathBuf::from("/a"), PathBuf::from("/b")];
        let text = worker_properties(&plan, 2, &folders, Path::new("/o"));
        assert!(text.contains("\nplugin.path=/a,/b\n"), "{text}");
        assert!(text.contains("\noffset.storage.file.filename=/o\n"), "{text}");
        assert!(text.ends_with("\nkey.converter=x\nlisteners=http://127.0.0.1:9\n"), "{text}");
        let text = worker_properties(&plan.distributed(), 2, &folders, Path::new("/o"));
        assert!(text.contains("\noffset.storage.topic=millrace-connect-offsets\n"), "{text}");
        assert!(!text.contains("offset.storage.file.filename"), "{text}");
    }
}
