//! One connector: its properties, what it is meant to do, and its task.
//!
//! A connector of Java runs code of its own beside its tasks; this one has nothing to do there, so its state is what
//! it is meant to be, and only its task can fail.

use std::collections::BTreeMap;

use crate::config::{SourceConfig, TargetState};
use crate::herder::{
    ConnectorFigures, ConnectorInfo, ConnectorStateInfo, State, StateInfo, TASK_CLASS, TaskFigures,
    TaskId, TaskInfo, TaskStateInfo, kind,
};
use crate::task::{self, ActiveTopics, TaskState};
use crate::worker::Task;

/// See the module.
pub(super) struct Connector {
    /// As it was given. May hold secrets.
    pub(super) config: BTreeMap<String, String>,
    /// The same, checked.
    pub(super) source: SourceConfig,
    /// What it is meant to do.
    pub(super) target: TargetState,
    /// `None` while it is stopped, and until it runs for the first time.
    pub(super) task: Option<Task>,
    /// What its tasks have written to.
    pub(super) topics: ActiveTopics,
}

impl Connector {
    pub(super) fn info(&self, name: &str) -> ConnectorInfo {
        ConnectorInfo::new(name, self.config.clone(), if self.task.is_some() { &[0] } else { &[] })
    }

    pub(super) fn tasks(&self, name: &str) -> Vec<TaskInfo> {
        let task = self.task.as_ref().map(|_| {
            let mut config = self.config.clone();
            let (property, class) = TASK_CLASS;
            config.insert(property.to_owned(), class.to_owned());
            TaskInfo { id: TaskId::new(name, 0), config }
        });
        task.into_iter().collect()
    }

    pub(super) fn status(&self, name: &str, worker_id: &str) -> ConnectorStateInfo {
        let task = self.task.as_ref().map(|task| {
            let (state, trace) = self.task_state(task);
            TaskStateInfo { id: 0, state: StateInfo::new(state, worker_id, trace) }
        });
        let connector = StateInfo::new(self.state(), worker_id, None);
        ConnectorStateInfo::new(name, kind(&self.config), connector, task.into_iter().collect())
    }

    /// Its own state.
    pub(super) fn state(&self) -> State {
        match self.target {
            TargetState::Started => State::Running,
            TargetState::Paused => State::Paused,
            TargetState::Stopped => State::Stopped,
        }
    }

    /// The state of its task, and why that has failed.
    pub(super) fn task_state(&self, task: &Task) -> (State, Option<String>) {
        match (task.state(), self.target) {
            (TaskState::Failed(failure), _) => (State::Failed, Some(failure.reason.to_string())),
            (TaskState::Running, _) => (State::Running, None),
            (TaskState::Stopped, TargetState::Paused) => (State::Paused, None),
            (TaskState::Stopped | TaskState::Unassigned, _) => (State::Unassigned, None),
        }
    }

    pub(super) fn figures(&self, name: &str) -> ConnectorFigures {
        let task = self.task.as_ref().map(|task| TaskFigures {
            state: self.task_state(task).0,
            client_id: task::client_id(name, &self.source.producer),
            figures: task.figures(),
        });
        ConnectorFigures { name: name.to_owned(), state: Some(self.state()), task }
    }
}
