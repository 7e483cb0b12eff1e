//! What metrics are made of: connectors, their states and figures, and how many starts went well.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Herder;
use super::connector::Connector;
use super::entities::State;
use crate::task::{self, Figures};

/// Starts of one kind, since the worker began. Of two counters that are read one after the other none is wrong.
#[derive(Debug, Default)]
pub(super) struct Startups {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Startups {
    pub(super) fn succeeded(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> StartupFigures {
        let succeeded = self.succeeded.load(Ordering::Relaxed);
        StartupFigures { succeeded, failed: self.failed.load(Ordering::Relaxed) }
    }
}

/// How many starts went well, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartupFigures {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// What is seen of the group of workers, from inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupFigures {
    /// What this worker runs.
    pub(crate) assigned_connectors: u64,
    pub(crate) assigned_tasks: u64,
    /// Connectors and tasks are just being handed out anew.
    pub(crate) is_rebalancing: bool,
    pub(crate) completed_rebalances: u64,
    /// Generation of the group.
    pub(crate) epoch: u64,
    /// Where the worker listens that decides for the others; `None`: there is none.
    pub(crate) leader_url: Option<String>,
    /// Of the readers of the worker's own topics, and of what makes topics.
    pub(crate) reader_connections: u64,
    pub(crate) reader_received_bytes: u64,
    pub(crate) admin_connections: u64,
}

/// What is seen of a worker at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerFigures {
    /// What it calls itself, `host:port`.
    pub(crate) worker_id: String,
    /// `standalone` or `distributed`.
    pub(crate) mode: &'static str,
    pub(crate) group: GroupFigures,
    pub(crate) connectors: Vec<ConnectorFigures>,
    /// A connector has nothing of its own that could fail to start.
    pub(crate) connector_startups: StartupFigures,
    /// A task that has what it needs to begin has started well; whether it gets to run is its state.
    pub(crate) task_startups: StartupFigures,
    /// What the buffers of all tasks may have, and have. Bytes.
    pub(crate) memory_bytes_max: u64,
    pub(crate) memory_lent_bytes: u64,
}

/// What is seen of a connector.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorFigures {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) task: Option<TaskFigures>,
}

/// What is seen of its task.
#[derive(Clone, Debug)]
pub(crate) struct TaskFigures {
    pub(crate) state: State,
    /// What its producer calls itself.
    pub(crate) client_id: String,
    pub(crate) figures: Figures,
}

impl Herder {
    /// What is seen now, connectors in the order of their names.
    pub(crate) fn figures(&self) -> WorkerFigures {
        let connectors: Vec<_> = {
            let connectors = self.connectors();
            connectors.iter().map(|(name, connector)| connector.figures(name)).collect()
        };
        WorkerFigures {
            worker_id: self.worker_id.clone(),
            mode: "standalone",
            group: GroupFigures::alone(&connectors),
            connectors,
            connector_startups: self.connector_startups.read(),
            task_startups: self.task_startups.read(),
            memory_bytes_max: self.memory.bytes_max() as u64,
            memory_lent_bytes: self.memory.lent_bytes() as u64,
        }
    }
}

impl GroupFigures {
    /// Of a worker without a group, which runs everything.
    fn alone(connectors: &[ConnectorFigures]) -> Self {
        let tasks = connectors.iter().filter(|connector| connector.task.is_some()).count();
        Self {
            assigned_connectors: connectors.len() as u64,
            assigned_tasks: tasks as u64,
            ..Self::default()
        }
    }
}

impl Connector {
    fn figures(&self, name: &str) -> ConnectorFigures {
        let task = self.task.as_ref().map(|task| TaskFigures {
            state: self.task_state(task).0,
            client_id: task::client_id(name, &self.source.producer),
            figures: task.figures(),
        });
        ConnectorFigures { name: name.to_owned(), state: self.state(), task }
    }
}
