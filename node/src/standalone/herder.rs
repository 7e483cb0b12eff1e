//! The life of connectors in a worker alone: made, changed, paused, stopped, started again, removed.
//!
//! ```text
//!              ┌── pause ──► PAUSED ── resume ──┐            the task keeps its place, its pipeline ends
//!  create ─► RUNNING ◄──────────────────────────┤
//!              └── stop ───► STOPPED ── resume ─┘            there is no task; offsets may be changed
//!  a task:   UNASSIGNED ─► RUNNING ─► FAILED (with the reason) ── restart ─► UNASSIGNED
//! ```
//!
//! The names are those of Connect's `StandaloneHerder`. One change is made at a time. A connector lives in memory
//! alone: the next worker has those of its command line. A task that fails leaves the others alone.
//!
//! Connect's rules: a configuration that is replaced by the same leaves a running task alone; a restart of a connector
//! alone touches no task; what is resumed after a failure stays failed until it is restarted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::connector::Connector;
use crate::config::TargetState;
use crate::herder::{
    ConnectorInfo, ConnectorStateInfo, Created, Health, Herder, HerderError, Restart, TaskInfo,
    TaskStateInfo, WorkerFigures, patched,
};
use crate::offsets::NamedOffset;
use crate::task::TaskState;
use crate::worker::{Message, Posted, Task, Worker};

/// How long a change may be under way before the worker counts as unhealthy, as in Connect.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Standalone {
    pub(super) worker: Arc<Worker>,
    connectors: Mutex<BTreeMap<String, Connector>>,
    /// Held while something is changed.
    changes: tokio::sync::Mutex<()>,
}

impl Standalone {
    /// Without connectors.
    pub(super) fn new(worker: Arc<Worker>) -> Arc<Self> {
        let (connectors, changes) = (Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self { worker, connectors, changes })
    }

    /// Waits until no task runs.
    pub(crate) async fn until_idle(&self) {
        for task in self.all_tasks() {
            task.ended().await;
        }
    }

    /// Ends every task at the same time. `true`: all that were running have settled.
    pub(crate) async fn stop(&self) -> bool {
        let _changes = self.changes.lock().await;
        let tasks = self.all_tasks();
        let running: Vec<&Task> = tasks.iter().filter(|task| !task.state().is_final()).collect();
        // One that has failed may wait to begin again.
        for task in &tasks {
            task.order_stop();
        }
        for task in &tasks {
            task.ended().await;
        }
        running.iter().all(|task| task.state() == TaskState::Stopped)
    }

    /// Whether some task has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.all_tasks().iter().any(|task| matches!(task.state(), TaskState::Failed(_)))
    }

    fn all_tasks(&self) -> Vec<Task> {
        self.connectors().values().filter_map(|connector| connector.task.clone()).collect()
    }

    pub(super) fn look_at<T>(&self, name: &str, look: impl FnOnce(&Connector) -> T) -> Option<T> {
        self.connectors().get(name).map(look)
    }

    pub(super) fn connectors(&self) -> MutexGuard<'_, BTreeMap<String, Connector>> {
        // Whoever panicked did not leave half a change behind: each is one assignment.
        self.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ensure_stopped(&self, name: &str) -> Result<(), HerderError> {
        let is_stopped = self.look_at(name, |connector| {
            connector.target == TargetState::Stopped && connector.task.is_none()
        });
        match is_stopped {
            None => Err(HerderError::no_connector(name)),
            Some(true) => Ok(()),
            Some(false) => Err(HerderError::not_stopped(name)),
        }
    }
}

#[async_trait]
impl Herder for Standalone {
    fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    fn names(&self) -> Vec<String> {
        self.connectors().keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        self.look_at(name, |connector| connector.info(name))
            .ok_or_else(|| HerderError::no_connector(name))
    }

    fn status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError> {
        self.look_at(name, |connector| connector.status(name, self.worker.id()))
            .ok_or_else(|| HerderError::no_status(name))
    }

    fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError> {
        self.look_at(name, |connector| connector.tasks(name))
            .ok_or_else(|| HerderError::no_connector(name))
    }

    fn task_status(&self, name: &str, task: i32) -> Result<TaskStateInfo, HerderError> {
        let status = self.look_at(name, |connector| connector.status(name, self.worker.id()));
        let tasks = status.map(|status| status.tasks).unwrap_or_default();
        tasks
            .into_iter()
            .find(|status| status.id == task)
            .ok_or_else(|| HerderError::no_task_status(name, task))
    }

    fn active_topics(&self, name: &str) -> Vec<String> {
        self.look_at(name, |connector| connector.topics.names()).unwrap_or_default()
    }

    fn reset_active_topics(&self, name: &str) {
        self.look_at(name, |connector| connector.topics.reset());
    }

    fn figures(&self) -> WorkerFigures {
        let connectors = self.connectors();
        let connectors = connectors.iter().map(|(name, connector)| connector.figures(name));
        WorkerFigures::new(&self.worker, connectors.collect(), None)
    }

    async fn health(&self) -> Health {
        match tokio::time::timeout(HEALTH_TIMEOUT, self.changes.lock()).await {
            Ok(_) => Health::Healthy,
            Err(_) => Health::Unhealthy,
        }
    }

    async fn create(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
        initial: Option<TargetState>,
    ) -> Result<ConnectorInfo, HerderError> {
        let runnable = self.worker.check(name, posted).await?;
        let _changes = self.changes.lock().await;
        if self.connectors().contains_key(name) {
            return Err(HerderError::AlreadyExists(format!("Connector {name} already exists")));
        }
        self.add(name, runnable, initial.unwrap_or(TargetState::Started), None);
        self.info(name)
    }

    async fn put_config(
        self: Arc<Self>,
        name: &str,
        posted: Posted,
    ) -> Result<Created, HerderError> {
        let runnable = self.worker.check(name, posted).await?;
        let _changes = self.changes.lock().await;
        self.put(name, runnable).await
    }

    async fn patch_config(
        self: Arc<Self>,
        name: &str,
        patch: Posted,
    ) -> Result<ConnectorInfo, HerderError> {
        loop {
            let before = self.info(name)?.config;
            let runnable = self.worker.check(name, patched(&before, &patch)).await?;
            let _changes = self.changes.lock().await;
            // Checking takes its time; who has changed the connector meanwhile is not overruled.
            if self.info(name)?.config == before {
                return Ok(self.put(name, runnable).await?.info);
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.end_task(name).await?;
        self.connectors().remove(name);
        tracing::info!("connector {name} removed");
        Ok(())
    }

    async fn stop_connector(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.end_task(name).await?;
        self.change(name, |connector| {
            connector.target = TargetState::Stopped;
            connector.task = None;
        });
        Ok(())
    }

    async fn pause(&self, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        self.change(name, |connector| {
            connector.target = TargetState::Paused;
            if let Some(task) = &connector.task {
                task.order_stop();
            }
        })
        .ok_or_else(|| HerderError::unknown(name))
    }

    async fn resume(self: Arc<Self>, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        let task = self
            .change(name, |connector| {
                connector.target = TargetState::Started;
                connector.task.clone()
            })
            .ok_or_else(|| HerderError::unknown(name))?;
        match task {
            None => self.begin_if_started(name, false),
            Some(task) if task.is_ordered_to_stop() => {
                task.ended().await;
                // A task that has failed waits to be restarted.
                if task.state() == TaskState::Stopped {
                    self.begin_if_started(name, true);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// There is nothing of a connector's own that could be started again.
    async fn restart_connector(self: Arc<Self>, name: &str) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        match self.look_at(name, |connector| connector.task.is_some()) {
            None => Err(HerderError::no_connector(name)),
            Some(true) => Ok(()),
            Some(false) => {
                self.begin_if_started(name, false);
                Ok(())
            }
        }
    }

    async fn restart_with_tasks(
        self: Arc<Self>,
        name: &str,
        restart: Restart,
    ) -> Result<ConnectorStateInfo, HerderError> {
        let _changes = self.changes.lock().await;
        let Ok(mut plan) = self.status(name) else {
            return Err(HerderError::NotFound(format!("Unknown connector: {name}")));
        };
        let (_, tasks) = plan.mark(restart);
        if !tasks.is_empty() {
            self.restart_first_task(name).await;
        }
        Ok(plan)
    }

    async fn restart_task(self: Arc<Self>, name: &str, task: i32) -> Result<(), HerderError> {
        let _changes = self.changes.lock().await;
        match self.look_at(name, |connector| connector.task.is_some()) {
            None => Err(HerderError::no_connector(name)),
            Some(true) if task == 0 => {
                self.restart_first_task(name).await;
                Ok(())
            }
            Some(_) => Err(HerderError::NotFound(format!("Task {name}-{task} not found"))),
        }
    }

    async fn offsets(&self, name: &str) -> Result<Vec<NamedOffset>, HerderError> {
        self.look_at(name, |_| ()).ok_or_else(|| HerderError::no_connector(name))?;
        self.worker.positions(name).await
    }

    async fn alter_offsets(
        &self,
        name: &str,
        offsets: Vec<NamedOffset>,
    ) -> Result<Message, HerderError> {
        let _changes = self.changes.lock().await;
        self.ensure_stopped(name)?;
        self.worker.alter_positions(name, offsets).await
    }

    async fn reset_offsets(&self, name: &str) -> Result<Message, HerderError> {
        let _changes = self.changes.lock().await;
        self.ensure_stopped(name)?;
        self.worker.reset_positions(name).await
    }
}
