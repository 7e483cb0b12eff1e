//! What is said of connectors and tasks: the JSON of Connect's REST interface.
//!
//! Properties are shown as they were given, passwords too: that is what Connect does, whose users read configurations
//! back and post them elsewhere. Nothing that was not given is shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Restart;
use crate::config::{CONNECTOR_VERSION, SourceConfig};

/// The class of the one connector.
pub(crate) const CONNECTOR_CLASS: &str = "com.mongodb.kafka.connect.MongoSourceConnector";
/// What Connect adds to the properties of a task.
pub(crate) const TASK_CLASS: (&str, &str) =
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
    pub(crate) fn new(name: &str, config: BTreeMap<String, String>, tasks: &[i32]) -> Self {
        let tasks = tasks.iter().map(|task| TaskId::new(name, *task)).collect();
        let kind = kind(&config);
        Self { name: name.to_owned(), config, tasks, kind }
    }
}

/// What kind of connector these properties are of: another than ours may be run by other workers of the group.
pub(crate) fn kind(config: &BTreeMap<String, String>) -> &'static str {
    let is_ours = config.get("connector.class").is_some_and(|class| SourceConfig::is_class(class));
    if is_ours { SOURCE } else { "unknown" }
}

/// Names a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct TaskId {
    pub(crate) connector: String,
    pub(crate) task: i32,
}

impl TaskId {
    pub(crate) fn new(connector: &str, task: i32) -> Self {
        Self { connector: connector.to_owned(), task }
    }
}

/// A task and its properties.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskInfo {
    pub(crate) id: TaskId,
    pub(crate) config: BTreeMap<String, String>,
}

/// How it stands with a connector and its tasks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConnectorStateInfo {
    name: String,
    pub(crate) connector: StateInfo,
    pub(crate) tasks: Vec<TaskStateInfo>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ConnectorStateInfo {
    pub(crate) fn new(
        name: &str,
        kind: &'static str,
        connector: StateInfo,
        tasks: Vec<TaskStateInfo>,
    ) -> Self {
        Self { name: name.to_owned(), connector, tasks, kind }
    }

    /// Marks what `restart` starts again, and says which tasks and whether the connector itself.
    pub(crate) fn mark(&mut self, restart: Restart) -> (bool, Vec<i32>) {
        let is_due = |state| !restart.only_failed || state == State::Failed;
        let connector = is_due(self.connector.state);
        if connector {
            self.connector.state = State::Restarting;
        }
        let tasks =
            self.tasks.iter_mut().filter(|task| restart.include_tasks && is_due(task.state.state));
        let mark = |task: &mut TaskStateInfo| {
            task.state.state = State::Restarting;
            task.id
        };
        (connector, tasks.map(mark).collect())
    }
}

/// A state and whose it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StateInfo {
    pub(crate) state: State,
    pub(crate) worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
    /// Of the connector's class; workers of Java before 4.1 do not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

impl StateInfo {
    pub(crate) fn new(state: State, worker_id: &str, trace: Option<String>) -> Self {
        Self {
            state,
            worker_id: worker_id.to_owned(),
            trace,
            version: Some(CONNECTOR_VERSION.to_owned()),
        }
    }
}

/// How it stands with a task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TaskStateInfo {
    pub(crate) id: i32,
    #[serde(flatten)]
    pub(crate) state: StateInfo,
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
    /// As Connect's REST interface writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
        }
    }

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
