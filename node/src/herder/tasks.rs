//! The tasks of connectors: begun with the position that is stored, ended with everything sent acknowledged. What is
//! between is in [`super::attempts`].

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use super::Herder;
use super::attempts::Shared;
use crate::config::SourceConfig;
use crate::offsets::StoredOffsets;
use crate::task::{ActiveTopics, Figures, FiguresCell, StateCell, TaskState};

/// The task of a connector, from its beginning to its last state.
#[derive(Clone)]
pub(super) struct Task {
    state: StateCell,
    stop: watch::Sender<bool>,
    figures: FiguresCell,
    /// Its sender is gone when nothing will change the state any more.
    over: watch::Receiver<()>,
}

impl Task {
    pub(super) fn state(&self) -> TaskState {
        self.state.read()
    }

    /// What it has counted.
    pub(super) fn figures(&self) -> Figures {
        self.figures.read()
    }

    /// Orders it to end; it may have ended already.
    pub(super) fn order_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it was ordered to end.
    pub(super) fn is_ordered_to_stop(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until it has ended for good.
    pub(super) async fn ended(&self) {
        // Nothing is ever sent.
        let _ = self.over.clone().changed().await;
    }

    /// Ends it, which takes as long as what was sent needs to be acknowledged.
    pub(super) async fn stop(&self) {
        self.order_stop();
        self.ended().await;
    }
}

impl Herder {
    /// Begins a task of `source` after what is stored: `stored` if somebody has just read that.
    pub(super) fn begin(
        self: &Arc<Self>,
        source: SourceConfig,
        topics: ActiveTopics,
        stored: Option<Arc<StoredOffsets>>,
    ) -> Task {
        let (stop, stopped) = watch::channel(false);
        let (alive, over) = watch::channel(());
        let (state, figures) = (StateCell::new(), FiguresCell::default());
        let task = Task { state: state.clone(), stop, figures: figures.clone(), over };
        let shared = Shared { state, figures, topics, stop: stopped, alive };
        tokio::spawn(Arc::clone(self).keep(source, shared, stored));
        task
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

    /// Waits until the threads of pipelines have ended; no task begins after this. Blocks.
    pub(crate) fn join(&self) {
        let runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtimes) = runtimes {
            runtimes.join();
        }
    }

    fn all_tasks(&self) -> Vec<Task> {
        self.connectors().values().filter_map(|connector| connector.task.clone()).collect()
    }
}
