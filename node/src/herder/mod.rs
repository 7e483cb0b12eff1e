//! The life of connectors in a standalone worker: made, changed, paused, stopped, started again, removed.
//!
//! ```text
//!              ┌── pause ──► PAUSED ── resume ──┐            the task keeps its place, its pipeline ends
//!  create ─► RUNNING ◄──────────────────────────┤
//!              └── stop ───► STOPPED ── resume ─┘            there is no task; offsets may be changed
//!  a task:   UNASSIGNED ─► RUNNING ─► FAILED (with the reason) ── restart ─► UNASSIGNED
//! ```
//!
//! The names are Connect's (`StandaloneHerder`), and so are its answers. One change is made at a time; what only looks
//! does not wait for it. A connector lives in memory alone: the next worker has those of its command line. A task that
//! fails leaves the others alone, and stays FAILED until someone restarts it.
//!
//! * [`connector`] what is known of one
//! * [`entities`] what is said of it
//! * [`changes`] what may be ordered
//! * [`checking`] which configurations can be run
//! * [`tasks`] its pipeline: begun, ended
//! * [`watching`] what metrics are made of
//! * [`modify_offsets`] its positions, while it is stopped
//! * [`cluster`] the name of the Kafka cluster
//!
//! Nothing here speaks HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use millrace_core::memory::MemoryBudget;
use millrace_io::driver::Driver;
use tokio::sync::Semaphore;

use crate::config::WorkerConfig;
use crate::offsets::OffsetStore;
use crate::task::Runtimes;

mod changes;
mod checking;
mod cluster;
mod connector;
mod entities;
mod error;
mod modify_offsets;
mod tasks;
mod watching;

pub(crate) use changes::{Posted, Restart};
pub(crate) use entities::{CONNECTOR_CLASS, ConnectorInfo, ConnectorStateInfo, SOURCE, State};
pub(crate) use error::{HerderError, say};
pub(crate) use watching::{ConnectorFigures, GroupFigures, TaskFigures, WorkerFigures};

use connector::Connector;
use entities::{TaskInfo, TaskStateInfo};
use watching::Startups;

/// How long a change may be under way before the worker counts as unhealthy, as in Connect.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Herder {
    worker: Arc<WorkerConfig>,
    /// What it calls itself, `host:port`.
    worker_id: String,
    offsets: OffsetStore,
    runtimes: Mutex<Option<Runtimes>>,
    /// What drives the sockets of pipelines.
    driver: Driver,
    memory: MemoryBudget,
    /// Who may look at MongoDB for a check.
    looks: Arc<Semaphore>,
    connectors: Mutex<BTreeMap<String, Connector>>,
    /// Held while something is changed.
    changes: tokio::sync::Mutex<()>,
    cluster_id: OnceLock<String>,
    connector_startups: Startups,
    task_startups: Startups,
    /// Whether properties that nobody knows are refused.
    strict: bool,
}

impl Herder {
    /// A worker without connectors.
    pub(crate) fn new(
        worker: WorkerConfig,
        worker_id: String,
        offsets: OffsetStore,
        driver: Driver,
        strict: bool,
    ) -> Arc<Self> {
        let memory = MemoryBudget::new(worker.memory_bytes_max);
        Arc::new(Self {
            worker: Arc::new(worker),
            worker_id,
            offsets,
            runtimes: Mutex::new(Some(Runtimes::new(driver))),
            driver,
            memory,
            looks: Arc::new(Semaphore::new(checking::LOOKS_MAX)),
            connectors: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            cluster_id: OnceLock::new(),
            connector_startups: Startups::default(),
            task_startups: Startups::default(),
            strict,
        })
    }

    /// The worker's settings.
    pub(crate) fn worker(&self) -> &WorkerConfig {
        &self.worker
    }

    /// The names of the connectors.
    pub(crate) fn names(&self) -> Vec<String> {
        self.connectors().keys().cloned().collect()
    }

    /// What is known of a connector.
    pub(crate) fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        self.look_at(name, |connector| connector.info(name))
            .ok_or_else(|| HerderError::no_connector(name))
    }

    /// How it stands with a connector.
    pub(crate) fn status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError> {
        self.look_at(name, |connector| connector.status(name, &self.worker_id))
            .ok_or_else(|| HerderError::NotFound(format!("No status found for connector {name}")))
    }

    /// The tasks of a connector with their properties.
    pub(crate) fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError> {
        self.look_at(name, |connector| connector.tasks(name))
            .ok_or_else(|| HerderError::no_connector(name))
    }

    /// How it stands with a task.
    pub(crate) fn task_status(&self, name: &str, task: i32) -> Result<TaskStateInfo, HerderError> {
        let status = self.look_at(name, |connector| connector.status(name, &self.worker_id));
        let tasks = status.map(|status| status.tasks).unwrap_or_default();
        tasks
            .into_iter()
            .find(|status| status.id == task)
            .ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    /// The topics that a connector has written to since they were last forgotten; none if there is no such connector.
    pub(crate) fn active_topics(&self, name: &str) -> Vec<String> {
        self.look_at(name, |connector| connector.topics.names()).unwrap_or_default()
    }

    /// Forgets the topics that a connector has written to.
    pub(crate) fn reset_active_topics(&self, name: &str) {
        self.look_at(name, |connector| connector.topics.reset());
    }

    /// Whether changes can be made: none is stuck.
    pub(crate) async fn is_healthy(&self) -> bool {
        tokio::time::timeout(HEALTH_TIMEOUT, self.changes.lock()).await.is_ok()
    }

    fn look_at<T>(&self, name: &str, look: impl FnOnce(&Connector) -> T) -> Option<T> {
        self.connectors().get(name).map(look)
    }

    fn connectors(&self) -> MutexGuard<'_, BTreeMap<String, Connector>> {
        // Whoever panicked did not leave half a change behind: each is one assignment.
        self.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
