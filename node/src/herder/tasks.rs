//! The tasks of connectors: begun with the position that is stored, ended with everything sent acknowledged.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millrace_core::pipeline::PipelineConfig;
use tokio::sync::watch;

use super::Herder;
use crate::config::SourceConfig;
use crate::offsets::{self, StoredOffsets};
use crate::task::{
    self, ActiveTopics, Figures, FiguresCell, Located, StateCell, Surroundings, TaskState,
};

/// Time for what was sent to be acknowledged after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The task of a connector, from its beginning to its last state.
#[derive(Clone)]
pub(super) struct Task {
    state: StateCell,
    stop: watch::Sender<bool>,
    figures: FiguresCell,
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

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        self.state.ended().await;
    }

    /// Ends it, which takes up to [`STOP_TIMEOUT`].
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
        let state = StateCell::new();
        let figures = FiguresCell::default();
        let task = Task { state: state.clone(), stop, figures: figures.clone() };
        let key = offsets::key(&source.name, &source.partition.name);
        let around = Surroundings {
            connector: source.name.clone(),
            offsets: self.offsets.writer(key.clone()),
            stop: stopped,
            stop_timeout: STOP_TIMEOUT,
            state,
            encryption: task::encryption(&source),
            topics,
            figures,
        };
        tokio::spawn(Arc::clone(self).place(source, key, around, stored));
        task
    }

    async fn place(
        self: Arc<Self>,
        source: SourceConfig,
        key: Vec<u8>,
        mut around: Surroundings,
        stored: Option<Arc<StoredOffsets>>,
    ) {
        let found = async {
            let stored = match stored {
                Some(stored) => stored,
                None => self.offsets.read().await.map(Arc::new)?,
            };
            anyhow::Ok((stored, task::locate(&source.mongo).await?))
        };
        let found = tokio::select! {
            found = found => found,
            _ = around.stop.changed() => return around.state.set(TaskState::Stopped),
        };
        let config = found.and_then(|(stored, located)| {
            task::watch_oplog(&source, located.clone(), &around.figures);
            self.pipeline_config((&source, located), &stored, key)
        });
        match config {
            Ok(config) => {
                self.task_startups.succeeded();
                self.spawn(config, around);
            }
            Err(error) => {
                self.task_startups.failed();
                tracing::error!("connector {} failed: {error:#}", source.name);
                around.state.set(TaskState::Failed(format!("{error:#}").into()));
            }
        }
    }

    fn pipeline_config(
        &self,
        (source, located): (&SourceConfig, Located),
        stored: &StoredOffsets,
        key: Vec<u8>,
    ) -> anyhow::Result<PipelineConfig> {
        let position = stored.position(&source.name, &source.partition)?;
        let gaps = stored.gaps(&key);
        task::pipeline_config(&self.worker, (source, located), (position, gaps), key, &self.memory)
    }

    fn spawn(&self, config: PipelineConfig, around: Surroundings) {
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        match runtimes.as_mut() {
            Some(runtimes) => task::start(config, around, runtimes),
            None => around.state.set(TaskState::Stopped),
        }
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
        let running = self.all_tasks().into_iter().filter(|task| !task.state().is_final());
        let running: Vec<Task> = running.collect();
        for task in &running {
            task.order_stop();
        }
        for task in &running {
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
