//! What a worker runs and has, whoever decides what that is: one alone, or a group.
//!
//! ```text
//!  standalone ──┐                    ┌─► tasks ──► threads of pipelines
//!               ├─► (Herder) ─► Worker ├─► checking ──► MongoDB, files: can this configuration be run?
//!  distributed ─┘                    └─► positions ──► offsets file or topic
//! ```
//!
//! * [`tasks`] pipelines: begun, ended; [`attempts`] begun again after a failure that passes by itself, as
//!   [`restart_policy`] says
//! * [`checking`] which configurations can be run
//! * [`positions`] where connectors go on: read, and changed by hand
//! * [`cluster`] the name of the Kafka cluster
//! * [`startups`] how many starts went well
//!
//! Nothing here knows which connectors there are.

use std::sync::{Arc, Mutex, OnceLock};

use millrace_core::memory::MemoryBudget;
use millrace_io::driver::Driver;
use tokio::sync::Semaphore;

use crate::config::WorkerConfig;
use crate::offsets::OffsetStore;
use crate::task::Runtimes;

mod attempts;
mod checking;
mod cluster;
mod positions;
mod restart_policy;
mod startups;
mod tasks;

pub(crate) use checking::{Posted, Runnable};
pub(crate) use positions::Message;
pub(crate) use startups::{StartupFigures, Startups};
pub(crate) use tasks::Task;

/// See the module.
pub(crate) struct Worker {
    config: Arc<WorkerConfig>,
    /// What it calls itself, `host:port`.
    id: String,
    offsets: OffsetStore,
    runtimes: Mutex<Option<Runtimes>>,
    /// What drives the sockets of pipelines.
    driver: Driver,
    memory: MemoryBudget,
    /// Who may look at MongoDB for a check.
    looks: Arc<Semaphore>,
    cluster_id: OnceLock<String>,
    pub(crate) connector_startups: Startups,
    pub(crate) task_startups: Startups,
    /// Whether properties that nobody knows are refused.
    strict: bool,
}

impl Worker {
    /// A worker that runs nothing yet.
    pub(crate) fn new(
        config: WorkerConfig,
        id: String,
        offsets: OffsetStore,
        driver: Driver,
        strict: bool,
    ) -> Arc<Self> {
        let memory = MemoryBudget::new(config.memory_bytes_max);
        Arc::new(Self {
            config: Arc::new(config),
            id,
            offsets,
            runtimes: Mutex::new(Some(Runtimes::new(driver))),
            driver,
            memory,
            looks: Arc::new(Semaphore::new(checking::LOOKS_MAX)),
            cluster_id: OnceLock::new(),
            connector_startups: Startups::default(),
            task_startups: Startups::default(),
            strict,
        })
    }

    /// Its settings.
    pub(crate) fn config(&self) -> &WorkerConfig {
        &self.config
    }

    /// What it calls itself, `host:port`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What the buffers of all tasks may have, and have. Bytes.
    pub(crate) fn memory_bytes(&self) -> (u64, u64) {
        (self.memory.bytes_max() as u64, self.memory.lent_bytes() as u64)
    }
}
