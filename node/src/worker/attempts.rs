//! A task from its beginning to its end: one attempt after another, as long as what ends them passes by itself.
//!
//! ```text
//!            ┌──────────────── pause ◄──────────────────┐ [`RestartPolicy`]
//!            ▼                                          │ (FAILED meanwhile, with the reason)
//!  begin ─► prepare: placeholders, positions, servers ─► pipeline ─► Stopped, or Failed for good
//! ```
//!
//! Placeholders of config providers are filled anew for each attempt, so a restart finds a secret that has changed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millrace_core::pipeline::PipelineConfig;
use millrace_io::clock;
use tokio::sync::watch;

use super::Worker;
use super::restart_policy::RestartPolicy;
use crate::config::SourceConfig;
use crate::offsets::{self, StoredOffsets};
use crate::task::{
    self, ActiveTopics, FiguresCell, Located, StateCell, Surroundings, TaskFailure, TaskState,
};

/// Time for what was sent to be acknowledged after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the attempts of one task share with those who look at it.
pub(super) struct Shared {
    pub(super) state: StateCell,
    pub(super) figures: FiguresCell,
    pub(super) topics: ActiveTopics,
    pub(super) stop: watch::Receiver<bool>,
    /// Whether somebody looks how far back the oplog reaches; it takes one for all attempts.
    pub(super) is_oplog_watched: bool,
    /// Goes with the last attempt.
    pub(super) alive: watch::Sender<()>,
}

/// What an attempt needs to begin.
struct Prepared {
    source: SourceConfig,
    servers: Located,
    key: Vec<u8>,
    pipeline: PipelineConfig,
}

impl Worker {
    /// Runs a task of `given` after what is stored (`stored` if somebody has just read that) to its end.
    pub(super) async fn keep(
        self: Arc<Self>,
        given: SourceConfig,
        mut shared: Shared,
        mut stored: Option<Arc<StoredOffsets>>,
    ) {
        let policy = RestartPolicy::new(self.config.task_restart);
        let mut failures = 0;
        loop {
            // In a box: what beginning takes is given back while the task runs.
            Box::pin(self.attempt(&given, &mut shared, stored.take())).await;
            shared.state.begun().await;
            if shared.state.read() == TaskState::Running {
                // Its first position is stored before it runs.
                self.offsets.expect_topic();
            }
            let begun = clock::now();
            shared.state.ended().await;
            let TaskState::Failed(failure) = shared.state.read() else { break };
            if policy.forgets(failures, clock::now().saturating_duration_since(begun)) {
                failures = 0;
            }
            let Some(pause) = policy.after(&failure, failures) else { break };
            failures += 1;
            shared.state.set(TaskState::Failed(failure.to_be_tried_again(failures, pause)));
            let name = &given.name;
            tracing::warn!("connector {name} starts again in {} ms by itself", pause.as_millis());
            tokio::select! {
                () = clock::wait(pause) => {}
                _ = shared.stop.wait_for(|is_ordered| *is_ordered) => break,
            }
            tracing::info!("connector {name} starts again, after {failures} failures in a row");
            shared.figures.begin_again();
            shared.state.set(TaskState::Unassigned);
        }
        drop(shared.alive);
    }

    /// Begins a pipeline, unless something is in its way.
    async fn attempt(
        &self,
        given: &SourceConfig,
        shared: &mut Shared,
        stored: Option<Arc<StoredOffsets>>,
    ) {
        let prepared = tokio::select! {
            prepared = self.prepare(given, stored) => prepared,
            _ = shared.stop.wait_for(|is_ordered| *is_ordered) => {
                return shared.state.set(TaskState::Stopped);
            }
        };
        match prepared {
            Ok(Prepared { source, servers, key, pipeline }) => {
                if !shared.is_oplog_watched {
                    shared.is_oplog_watched = true;
                    task::watch_oplog(&source, servers, &shared.figures);
                }
                self.task_startups.succeeded();
                let around = Surroundings {
                    connector: source.name.clone(),
                    offsets: self.offsets.writer(key),
                    stop: shared.stop.clone(),
                    stop_timeout: STOP_TIMEOUT,
                    state: shared.state.clone(),
                    encryption: task::encryption(&source),
                    topics: shared.topics.clone(),
                    figures: shared.figures.clone(),
                    concealed: source.concealed(),
                };
                self.spawn(pipeline, around);
            }
            Err(failure) => {
                self.task_startups.failed();
                tracing::error!("connector {} failed: {}", given.name, failure.reason);
                shared.state.set(TaskState::Failed(failure));
            }
        }
    }

    async fn prepare(
        &self,
        given: &SourceConfig,
        stored: Option<Arc<StoredOffsets>>,
    ) -> Result<Prepared, TaskFailure> {
        let source = self.renewed(given).await?;
        let concealed = source.concealed();
        let text =
            |error: anyhow::Error| concealed.without_secrets(&format!("{error:#}")).into_owned();
        let stored = match stored {
            Some(stored) => stored,
            None => {
                let read = self.offsets.read().await;
                let of = |error| TaskFailure::of(offsets::may_pass(&error), text(error));
                Arc::new(read.map_err(of)?)
            }
        };
        let located = task::locate(&source.mongo).await;
        let located =
            located.map_err(|error| TaskFailure::of(error.may_pass(), text(error.into())))?;
        let servers = located.clone();
        let key = offsets::key(&source.name, &source.partition.name);
        let pipeline =
            stored.position(&source.name, &source.partition).map_err(anyhow::Error::from);
        let pipeline = pipeline.and_then(|position| {
            let stored = (position, stored.gaps(&key));
            let servers = (&source, located);
            task::pipeline_config(&self.config, servers, stored, key.clone(), &self.memory)
        });
        let pipeline = pipeline.map_err(|error| TaskFailure::lasting(text(error)))?;
        Ok(Prepared { source, servers, key, pipeline })
    }

    /// The connector with what its worker's providers have now; reading that may take its time.
    async fn renewed(&self, given: &SourceConfig) -> Result<SourceConfig, TaskFailure> {
        if given.concealed().is_empty() {
            return Ok(given.clone());
        }
        let (given, worker) = (given.clone(), Arc::clone(&self.config));
        let renewed = tokio::task::spawn_blocking(move || given.renewed(&worker)).await;
        match renewed {
            Ok(Ok(source)) => Ok(source),
            Ok(Err(error)) => Err(TaskFailure::lasting(error.to_string())),
            Err(error) => Err(TaskFailure::lasting(error.to_string())),
        }
    }

    fn spawn(&self, config: PipelineConfig, around: Surroundings) {
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        match runtimes.as_mut() {
            Some(runtimes) => task::start(config, around, runtimes),
            None => around.state.set(TaskState::Stopped),
        }
    }
}
