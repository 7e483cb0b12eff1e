//! What is said of connectors and tasks: the JSON of Connect's REST interface.
//!
//! Properties are shown as they were given, passwords too: that is what Connect does, whose users read configurations
//! back and post them elsewhere. Nothing that was not given is shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::CONNECTOR_VERSION;

/// The class of the one connector.
pub(crate) const CONNECTOR_CLASS: &str = "com.mongodb.kafka.connect.MongoSourceConnector";
/// What Connect adds to the properties of a task.
pub(super) const TASK_CLASS: (&str, &str) =
    ("task.class", "com.mongodb.kafka.connect.source.MongoSourceTask");
/// What kind of connector it is.
pub(crate) const SOURCE: &str = "source";

/// A connector and its tasks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConnectorInfo {
    pub(crate) name: String,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ConnectorInfo {
    pub(super) fn new(name: &str, config: &BTreeMap<String, String>, has_task: bool) -> Self {
        let tasks = has_task.then(|| TaskId::first(name)).into_iter().collect();
        Self { name: name.to_owned(), config: config.clone(), tasks, kind: SOURCE }
    }
}

/// Names a task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskId {
    connector: String,
    task: i32,
}

impl TaskId {
    /// A source connector for MongoDB has one task.
    pub(super) fn first(connector: &str) -> Self {
        Self { connector: connector.to_owned(), task: 0 }
    }
}

/// A task and its properties.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskInfo {
    pub(super) id: TaskId,
    pub(super) config: BTreeMap<String, String>,
}

/// How it stands with a connector and its tasks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConnectorStateInfo {
    name: String,
    pub(super) connector: StateInfo,
    pub(super) tasks: Vec<TaskStateInfo>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ConnectorStateInfo {
    pub(super) fn new(name: &str, connector: StateInfo, tasks: Vec<TaskStateInfo>) -> Self {
        Self { name: name.to_owned(), connector, tasks, kind: SOURCE }
    }
}

/// A state and whose it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StateInfo {
    pub(super) state: State,
    worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    version: &'static str,
}

impl StateInfo {
    pub(super) fn new(state: State, worker_id: &str, trace: Option<String>) -> Self {
        Self { state, worker_id: worker_id.to_owned(), trace, version: CONNECTOR_VERSION }
    }
}

/// How it stands with a task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskStateInfo {
    pub(super) id: i32,
    #[serde(flatten)]
    pub(super) state: StateInfo,
}

/// The states of connectors and tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum State {
    /// It is being started, or ended.
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    /// It is being ended, to be started again.
    Restarting,
}

impl State {
    /// As Connect's metrics write it.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
        }
    }
}
