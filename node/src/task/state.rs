//! What others may know of a task while it runs.

use std::sync::Arc;

use tokio::sync::watch;

/// The states of a task, as Kafka Connect names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Nothing is open yet.
    Unassigned,
    /// The stream is open and its opening position is stored.
    Running,
    /// Stopped by order.
    Stopped,
    /// Stopped by an error that a person must look at.
    Failed(Arc<str>),
}

impl TaskState {
    /// Whether nothing will change it any more.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Unassigned | Self::Running => false,
            Self::Stopped | Self::Failed(_) => true,
        }
    }
}

/// Where a task says its state, and others read it.
#[derive(Clone, Debug)]
pub(crate) struct StateCell {
    cell: watch::Sender<TaskState>,
}

impl StateCell {
    pub(crate) fn new() -> Self {
        Self { cell: watch::Sender::new(TaskState::Unassigned) }
    }

    pub(crate) fn set(&self, state: TaskState) {
        self.cell.send_replace(state);
    }

    pub(crate) fn read(&self) -> TaskState {
        self.cell.borrow().clone()
    }

    /// Tells when it changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<TaskState> {
        self.cell.subscribe()
    }

    /// Waits until nothing will change it any more.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this does.
        let _ = self.cell.subscribe().wait_for(TaskState::is_final).await;
    }
}
