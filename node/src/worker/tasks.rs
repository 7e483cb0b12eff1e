//! The tasks of connectors: begun with the position that is stored, ended with everything sent acknowledged.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millrace_core::pipeline::PipelineConfig;
use tokio::sync::watch;

use super::Worker;
use crate::config::SourceConfig;
use crate::offsets::{self, StoredOffsets};
use crate::task::{
    self, ActiveTopics, Figures, FiguresCell, Located, StateCell, Surroundings, TaskState,
};

/// Time for what was sent to be acknowledged after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The task of a connector, from its beginning to its last state.
#[derive(Clone)]
pub(crate) struct Task {
    state: StateCell,
    stop: watch::Sender<bool>,
    figures: FiguresCell,
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

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        self.state.ended().await;
    }

    /// Ends it, which takes up to [`STOP_TIMEOUT`].
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
        let config = found
            .and_then(|(stored, located)| self.pipeline_config((&source, located), &stored, key));
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
        task::pipeline_config(&self.config, (source, located), (position, gaps), key, &self.memory)
    }

    fn spawn(&self, config: PipelineConfig, around: Surroundings) {
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        match runtimes.as_mut() {
            Some(runtimes) => task::start(config, around, runtimes),
            None => around.state.set(TaskState::Stopped),
        }
    }

    /// Waits until the threads of pipelines have ended; no task begins after this. Blocks.
    pub(crate) fn join(&self) {
        let runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtimes) = runtimes {
            runtimes.join();
        }
    }
}
