//! The tasks of connectors: begun with the position that is stored, ended with everything sent acknowledged. What is
//! between is in [`super::attempts`].

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use super::Worker;
use super::attempts::Shared;
use crate::config::SourceConfig;
use crate::offsets::StoredOffsets;
use crate::task::{ActiveTopics, FailureClass, Figures, FiguresCell, StateCell, TaskState};

/// The task of a connector, from its beginning to its last state.
#[derive(Clone)]
pub(crate) struct Task {
    state: StateCell,
    stop: watch::Sender<bool>,
    figures: FiguresCell,
    /// Its sender is gone when nothing will change the state any more.
    over: watch::Receiver<()>,
}

impl Task {
    pub(crate) fn state(&self) -> TaskState {
        self.state.read()
    }

    /// Tells when its state changes.
    pub(crate) fn watch(&self) -> watch::Receiver<TaskState> {
        self.state.subscribe()
    }

    /// What it has counted.
    pub(crate) fn figures(&self) -> Figures {
        self.figures.read()
    }

    /// Orders it to end; it may have ended already.
    pub(crate) fn order_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it was ordered to end.
    pub(crate) fn is_ordered_to_stop(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether it has ended by order, or for a reason that passes by itself: then it would go on.
    pub(crate) fn has_left_off(&self) -> bool {
        match self.state() {
            TaskState::Stopped => true,
            TaskState::Failed(failure) => failure.class == FailureClass::Passing,
            TaskState::Unassigned | TaskState::Running => false,
        }
    }

    /// Waits until it has ended for good.
    pub(crate) async fn ended(&self) {
        // Nothing is ever sent.
        let _ = self.over.clone().changed().await;
    }

    /// Ends it, which takes as long as what was sent needs to be acknowledged.
    pub(crate) async fn stop(&self) {
        self.order_stop();
        self.ended().await;
    }
}

impl Worker {
    /// Begins a task of `source` after what is stored: `stored` if somebody has just read that.
    pub(crate) fn begin(
        self: &Arc<Self>,
        source: SourceConfig,
        topics: ActiveTopics,
        stored: Option<Arc<StoredOffsets>>,
    ) -> Task {
        let (stop, stopped) = watch::channel(false);
        let (alive, over) = watch::channel(());
        let (state, figures) = (StateCell::new(), FiguresCell::default());
        let task = Task { state: state.clone(), stop, figures: figures.clone(), over };
        let shared =
            Shared { state, figures, topics, stop: stopped, is_oplog_watched: false, alive };
        tokio::spawn(Arc::clone(self).keep(source, shared, stored));
        task
    }

    /// Waits until the threads of pipelines have ended; no task begins after this. Blocks.
    pub(crate) fn join(&self) {
        let runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtimes) = runtimes {
            runtimes.join();
        }
    }
}
