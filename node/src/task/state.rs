//! What others may know of a task while it runs.

use std::sync::Arc;
use std::time::Duration;

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
    /// Stopped by an error.
    Failed(TaskFailure),
}

/// Why a task has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskFailure {
    /// What is shown of it. Holds no secret.
    pub(crate) reason: Arc<str>,
    pub(crate) class: FailureClass,
}

/// Whether another try may go better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureClass {
    /// Servers were away, a time has run out: it may pass by itself.
    Passing,
    /// A person must change something.
    Lasting,
}

impl TaskFailure {
    pub(crate) fn passing(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), class: FailureClass::Passing }
    }

    pub(crate) fn lasting(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into(), class: FailureClass::Lasting }
    }

    /// The same, for who asks how it stands: so many have come in a row, and another try comes after this pause.
    pub(crate) fn to_be_tried_again(&self, failures: u32, pause: Duration) -> Self {
        let (reason, ms) = (&self.reason, pause.as_millis());
        let reason = format!(
            "{reason}\nFailure {failures} in a row; the task begins again by itself after {ms} ms."
        );
        Self { reason: reason.into(), class: self.class }
    }

    pub(crate) fn of(may_pass: bool, reason: impl Into<Arc<str>>) -> Self {
        if may_pass { Self::passing(reason) } else { Self::lasting(reason) }
    }
}

impl TaskState {
    /// Whether the pipeline has ended.
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

    /// Waits until it runs, or has ended before it did.
    pub(crate) async fn begun(&self) {
        // The sender lives as long as this does.
        let _ = self.cell.subscribe().wait_for(|state| *state != TaskState::Unassigned).await;
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this does.
        let _ = self.cell.subscribe().wait_for(TaskState::is_final).await;
    }
}
