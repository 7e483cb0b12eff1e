//! What metrics are made of: connectors, their states and figures, and how many starts went well.

use super::entities::State;
use crate::task::Figures;
use crate::worker::{StartupFigures, Worker};

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
}

impl GroupFigures {
    /// Of a worker without a group, which runs everything.
    pub(crate) fn alone(connectors: &[ConnectorFigures]) -> Self {
        let tasks = connectors.iter().filter(|connector| connector.task.is_some()).count();
        Self {
            assigned_connectors: connectors.len() as u64,
            assigned_tasks: tasks as u64,
            ..Self::default()
        }
    }
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
    pub(crate) connector_startups: StartupFigures,
    /// A task that has what it needs to begin has started well; whether it gets to run is its state.
    pub(crate) task_startups: StartupFigures,
    /// What the buffers of all tasks may have, and have. Bytes.
    pub(crate) memory_bytes_max: u64,
    pub(crate) memory_lent_bytes: u64,
}

/// What is seen of a connector of which something runs here.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorFigures {
    pub(crate) name: String,
    /// `None`: only its task is here, the connector itself is another worker's.
    pub(crate) state: Option<State>,
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

impl WorkerFigures {
    /// Those of `worker`, in which `connectors` run; `group`: it is in one.
    pub(crate) fn new(
        worker: &Worker,
        connectors: Vec<ConnectorFigures>,
        group: Option<GroupFigures>,
    ) -> Self {
        let (memory_bytes_max, memory_lent_bytes) = worker.memory_bytes();
        Self {
            worker_id: worker.id().to_owned(),
            mode: if group.is_some() { "distributed" } else { "standalone" },
            group: group.unwrap_or_else(|| GroupFigures::alone(&connectors)),
            connectors,
            connector_startups: worker.connector_startups.read(),
            task_startups: worker.task_startups.read(),
            memory_bytes_max,
            memory_lent_bytes,
        }
    }
}
