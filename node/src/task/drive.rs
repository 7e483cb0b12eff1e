//! The loop that joins a pipeline to the world: work, submit, wait.
//!
//! ```text
//!   ┌─► work on what was received (a bounded slice)
//!   │   drain the pipeline's wishes: connect, send, close, store, say
//!   │   start a read wherever there is room
//!   └── wait for a completion, the deadline or the order to stop
//! ```
//!
//! A task stays on its thread: nothing here is shared or locked but the state that others may look at. Batches may be
//! compressed by other threads: they get them whole and give them back whole.

use std::time::{Duration, Instant};

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use millrace_core::inbox::Space;
use millrace_core::kafka::SealJob;
use millrace_core::link::LinkId;
use millrace_core::pipeline::{Output, Pipeline, PipelineError};
use millrace_io::clock;
use millrace_io::driver::{self, Driver};
use tokio::sync::watch;

use super::active_topics::ActiveTopics;
use super::figures::{FiguresCell, Publisher, Stage};
use super::links::{Completion, Encryption, Links, Machine, Operations};
use super::state::{StateCell, TaskState};
use crate::config::Concealed;
use crate::offsets::OffsetWriter;

#[cfg(test)]
mod steady_state;

/// How a task ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything sent is acknowledged and its position stored.
    Settled,
    /// The time for stopping ran out; what was not acknowledged will be sent again.
    Unsettled,
}

/// Everything a task needs beside its pipeline.
pub(crate) struct Surroundings {
    pub(crate) connector: String,
    pub(crate) offsets: Option<OffsetWriter>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) stop_timeout: Duration,
    pub(crate) state: StateCell,
    pub(crate) encryption: Encryption,
    pub(crate) topics: ActiveTopics,
    pub(crate) figures: FiguresCell,
    /// What its log must not say.
    pub(crate) concealed: Concealed,
}

struct Drive {
    pipeline: Pipeline,
    links: Links,
    operations: Operations,
    around: Surroundings,
    driver: Driver,
    stop_deadline: Option<Instant>,
    /// Resets of the active topics that the pipeline knows of.
    topic_resets: u64,
    publisher: Publisher,
}

/// Runs `pipeline` until it is told to stop or cannot go on.
pub(crate) async fn drive(
    pipeline: Pipeline,
    around: Surroundings,
    driver: Driver,
) -> Result<Ended, PipelineError> {
    let mut drive = Drive::new(pipeline, around, driver);
    let result = drive.run().await;
    let stats = drive.pipeline.stats();
    let failed_record = result.as_ref().is_err_and(PipelineError::is_of_one_record);
    let stages = &drive.publisher.stages;
    drive.around.figures.end(&drive.pipeline, drive.links.traffic(), stages, failed_record);
    tracing::info!(
        "connector {}: {} events, {} records in {} batches, {} bytes acknowledged, {} dead letters, \
         {} reads, {} produce requests",
        drive.around.connector,
        stats.events,
        stats.records,
        stats.batches,
        stats.acknowledged_bytes,
        stats.dead_letters,
        stats.reads,
        stats.requests
    );
    result
}

impl Drive {
    fn new(pipeline: Pipeline, around: Surroundings, driver: Driver) -> Self {
        let topic_resets = around.topics.resets();
        Self {
            pipeline,
            topic_resets,
            publisher: Publisher::new(around.figures.clone(), clock::now()),
            links: Links::new(driver, around.encryption.clone()),
            operations: Operations::new(),
            around,
            driver,
            stop_deadline: None,
        }
    }

    /// What is under way lives in `self`: a run that is given up can be taken up again.
    async fn run(&mut self) -> Result<Ended, PipelineError> {
        loop {
            let more = self.pipeline.work(clock::now(), clock::unix_ms())?;
            self.publisher.stages.ended(Stage::Take, clock::now());
            self.carry_out()?;
            if self.pipeline.is_settled() {
                return Ok(Ended::Settled);
            }
            if self.stop_deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return Ok(Ended::Unsettled);
            }
            self.read_ahead();
            let now = clock::now();
            self.publisher.stages.ended(Stage::Send, now);
            if !more || self.publisher.is_due(now) {
                self.publisher.publish(&self.pipeline, self.links.traffic(), now);
            }
            let stage = if more {
                // Without it a flood would starve the sockets, and the thread's other tasks.
                driver::turn(self.driver).await;
                // A server that sends does not work on its next reply: take in all it has sent.
                while self.complete_what_ended()? {
                    self.read_ahead();
                }
                if self.pipeline.deadline().is_some_and(|deadline| deadline <= clock::now()) {
                    self.pipeline.handle_timeout(clock::now())?;
                }
                self.look_at_stop();
                Stage::Read
            } else {
                let stage = if self.pipeline.has_room() { Stage::Idle } else { Stage::Full };
                self.wait().await?;
                stage
            };
            self.publisher.stages.ended(stage, clock::now());
        }
    }

    fn read_ahead(&mut self) {
        self.links.read_ahead(&mut self.pipeline, &self.operations);
    }

    /// Lets the pipeline know of every operation that has ended. `false` if none has.
    fn complete_what_ended(&mut self) -> Result<bool, PipelineError> {
        let mut any = false;
        while let Some(Some(completion)) = self.operations.next().now_or_never() {
            self.complete(completion)?;
            any = true;
        }
        Ok(any)
    }

    /// Waits until something happens, then lets the pipeline know all that has.
    async fn wait(&mut self) -> Result<(), PipelineError> {
        let deadline = [self.pipeline.deadline(), self.stop_deadline].into_iter().flatten().min();
        let stopping = self.stop_deadline.is_some();
        tokio::select! {
            Some(completion) = self.operations.next() => self.complete(completion)?,
            () = clock::wait_until(deadline) => self.pipeline.handle_timeout(clock::now())?,
            _ = self.around.stop.changed(), if !stopping => self.look_at_stop(),
        }
        self.complete_what_ended()?;
        Ok(())
    }

    fn look_at_stop(&mut self) {
        let ordered = *self.around.stop.borrow() || self.around.stop.has_changed().is_err();
        if ordered && self.stop_deadline.is_none() {
            let now = clock::now();
            self.stop_deadline = Some(now + self.around.stop_timeout);
            self.pipeline.stop();
        }
    }

    fn carry_out(&mut self) -> Result<(), PipelineError> {
        while let Some(output) = self.pipeline.poll(clock::now(), clock::unix_ms())? {
            match output {
                Output::Link(command) => self.links.command(command, &self.operations),
                Output::Seal(job) => self.seal_elsewhere(job),
                Output::Store(token) => {
                    let Some(offsets) = self.around.offsets.clone() else { continue };
                    self.operations.push(Box::pin(async move {
                        Completion::Stored { result: offsets.store(&token).await }
                    }));
                }
                Output::Running => {
                    tracing::info!("connector {} running", self.around.connector);
                    self.around.state.set(TaskState::Running);
                }
                Output::Written(topic) => self.around.topics.add(topic),
                Output::Warning(text) => {
                    let text = self.around.concealed.without_secrets(&text);
                    tracing::warn!("connector {}: {text}", self.around.connector);
                }
                Output::Notice(text) => {
                    let text = self.around.concealed.without_secrets(&text);
                    tracing::info!("connector {}: {text}", self.around.connector);
                }
            }
        }
        Ok(())
    }

    /// Lets a thread of the runtime's pool compress a batch; there are no more at once than the client allows.
    fn seal_elsewhere(&mut self, job: Box<SealJob>) {
        let id = job.id();
        let sealing = tokio::task::spawn_blocking(move || Box::new(job.run()));
        self.operations.push(Box::pin(async move {
            match sealing.await {
                Ok(job) => Completion::Sealed { job },
                Err(error) => Completion::SealLost { id, reason: error.to_string() },
            }
        }));
    }

    fn complete(&mut self, completion: Completion) -> Result<(), PipelineError> {
        let resets = self.around.topics.resets();
        if resets != self.topic_resets {
            self.topic_resets = resets;
            self.pipeline.forget_written();
        }
        match completion {
            Completion::Link(ended) => {
                self.links.settle(ended, &mut self.pipeline, &self.operations, clock::now())
            }
            Completion::Stored { result } => self.pipeline.handle_stored(result),
            Completion::Sealed { job } => {
                self.pipeline.handle_sealed(*job);
                Ok(())
            }
            Completion::SealLost { id, reason } => Err(self.pipeline.seal_lost(id, &reason)),
        }
    }
}

impl Machine for Pipeline {
    type Error = PipelineError;

    fn take_space(&mut self, link: LinkId) -> Option<Space> {
        Self::take_space(self, link)
    }

    fn connected(&mut self, link: LinkId, now: Instant) -> Result<(), PipelineError> {
        self.handle_connected(link, rand::random(), now)
    }

    fn received(
        &mut self,
        link: LinkId,
        space: Space,
        count: usize,
        now: Instant,
    ) -> Result<(), PipelineError> {
        self.handle_received(link, space, count, now)
    }

    fn closed(&mut self, link: LinkId, reason: &str, now: Instant) -> Result<(), PipelineError> {
        self.handle_closed(link, reason, now)
    }
}
