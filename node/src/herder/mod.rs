//! Who decides which connectors there are and what becomes of them: a worker alone ([`crate::standalone`]) or a group
//! of them ([`crate::distributed`]).
//!
//! The names are Connect's, and so are the answers. What only looks does not wait for changes under way. Nothing here
//! speaks HTTP.
//!
//! * [`entities`] what is said of a connector and its tasks
//! * [`error`] why something is not done
//! * [`figures`] what metrics are made of

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::TargetState;
use crate::offsets::NamedOffset;
use crate::worker::{Message, Posted, Worker};

mod entities;
mod error;
mod figures;

pub(crate) use entities::{
    CONNECTOR_CLASS, ConnectorInfo, ConnectorStateInfo, SOURCE, State, StateInfo, TASK_CLASS,
    TaskId, TaskInfo, TaskStateInfo, kind,
};
pub(crate) use error::{HerderError, say, unknown_class};
pub(crate) use figures::{ConnectorFigures, GroupFigures, TaskFigures, WorkerFigures};

/// `before` with the properties of `patch`; `None` removes one.
pub(crate) fn patched(before: &BTreeMap<String, String>, patch: &Posted) -> Posted {
    let before = before.iter().map(|(property, value)| (property.clone(), Some(value.clone())));
    let mut patched: Posted = before.collect();
    patched.extend(patch.clone());
    patched.retain(|_, value| value.is_some());
    patched
}

/// A connector, and whether it is new.
pub(crate) struct Created {
    pub(crate) is_new: bool,
    pub(crate) info: ConnectorInfo,
}

/// What of a connector is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) include_tasks: bool,
    pub(crate) only_failed: bool,
}

/// How long a change may be under way before the worker counts as unhealthy, as in Connect.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a worker is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It has not begun to take requests.
    Starting,
    Healthy,
    /// A change is stuck.
    Unhealthy,
}

/// See the module. Orders go on when whoever gave them no longer waits.
#[async_trait]
pub(crate) trait Herder: Send + Sync {
    /// What runs here.
    fn worker(&self) -> &Arc<Worker>;

    /// The names of the connectors.
    fn names(&self) -> Vec<String>;

    /// What is known of a connector.
    fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError>;

    /// How it stands with a connector.
    fn status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError>;

    /// The tasks of a connector with their properties.
    fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError>;

    /// How it stands with a task.
    fn task_status(&self, name: &str, task: i32) -> Result<TaskStateInfo, HerderError>;

    /// The topics that a connector has written to since they were last forgotten; none if there is no such connector.
    fn active_topics(&self, name: &str) -> Vec<String>;

    /// Forgets the topics that a connector has written to.
    fn reset_active_topics(&self, name: &str);

    /// What is seen now of what runs here, connectors in the order of their names.
    fn figures(&self) -> WorkerFigures;

    /// Whether changes can be made.
    async fn health(&self) -> Health;

    /// Makes a connector. `initial` is what it is to do; without it, it runs.
    async fn create(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
        initial: Option<TargetState>,
    ) -> Result<ConnectorInfo, HerderError>;

    /// Makes a connector, or gives it other properties.
    async fn put_config(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
    ) -> Result<Created, HerderError>;

    /// Changes some properties of a connector; `None` removes one.
    async fn patch_config(
        self: Arc<Self>,
        name: &str,
        patch: Posted,
    ) -> Result<ConnectorInfo, HerderError>;

    /// Removes a connector. Its positions stay.
    async fn delete(&self, name: &str) -> Result<(), HerderError>;

    /// Ends the tasks of a connector, and forgets them.
    async fn stop_connector(&self, name: &str) -> Result<(), HerderError>;

    /// Lets the tasks of a connector do nothing; they may go on sending for a moment.
    async fn pause(&self, name: &str) -> Result<(), HerderError>;

    /// Lets a connector run that was paused or stopped. Whether it does is seen later.
    async fn resume(self: Arc<Self>, name: &str) -> Result<(), HerderError>;

    /// Starts a connector again, without its tasks.
    async fn restart_connector(self: Arc<Self>, name: &str) -> Result<(), HerderError>;

    /// Starts a connector and its tasks again, as `restart` says. Returns what is being restarted.
    async fn restart_with_tasks(
        self: Arc<Self>,
        name: &str,
        restart: Restart,
    ) -> Result<ConnectorStateInfo, HerderError>;

    /// Starts a task again.
    async fn restart_task(self: Arc<Self>, name: &str, task: i32) -> Result<(), HerderError>;

    /// The positions that a connector has stored.
    async fn offsets(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError>;

    /// Stores `offsets`, each in place of what its partition had.
    async fn alter_offsets(
        &self,
        name: &str,
        offsets: Vec<NamedOffset>,
    ) -> Result<Message, HerderError>;

    /// Forgets every position of a connector.
    async fn reset_offsets(&self, name: &str) -> Result<Message, HerderError>;

    /// Tells every worker of the group how much a logger is to say. `false`: there is no group.
    async fn tell_logger_level(&self, _namespace: &str, _level: &str) -> Result<bool, HerderError> {
        Ok(false)
    }
}
