//! What metrics are made of: connectors, their states and figures, and how many starts went well.

use super::entities::State;
use crate::task::Figures;
use crate::worker::{StartupFigures, Worker};

/// What is seen of a worker at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerFigures {
    pub(crate) connectors: Vec<ConnectorFigures>,
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

impl WorkerFigures {
    /// Those of `worker`, in which `connectors` run.
    pub(crate) fn new(worker: &Worker, connectors: Vec<ConnectorFigures>) -> Self {
        let (memory_bytes_max, memory_lent_bytes) = worker.memory_bytes();
        Self {
            connectors,
            connector_startups: worker.connector_startups.read(),
            task_startups: worker.task_startups.read(),
            memory_bytes_max,
            memory_lent_bytes,
        }
    }
}
