//! One task: one pipeline, on one of the threads that pipelines share.
//!
//! * [`runtimes`] those threads
//! * [`drive`] the loop between the pipeline and the world
//! * [`links`] connections and the operations under way on them
//! * [`locate`] where the servers of MongoDB are
//! * [`build`] from a checked configuration to a pipeline
//! * [`stream`] the reading side alone: [`only_read`] reads it, [`only_open`] looks whether it opens
//! * [`state`] what others may know of the task
//! * [`figures`] what it has counted
//! * [`oplog_watch`] how far back the oplog reaches, beside the task
//! * [`active_topics`] what its connector has written to

use millrace_core::pipeline::{Pipeline, PipelineConfig};
use millrace_io::clock;
use millrace_io::driver::Driver;

mod active_topics;
mod build;
mod drive;
mod figures;
mod links;
mod locate;
pub(crate) mod only_open;
pub(crate) mod only_read;
mod oplog_watch;
mod runtimes;
mod state;
mod stream;

pub(crate) use active_topics::{ActiveTopics, Listener};
pub(crate) use build::{client_id, encryption, first_position, pipeline_config, session_config};
pub(crate) use drive::Surroundings;
pub(crate) use figures::{Figures, FiguresCell, Stage, TopicFigures};
pub(crate) use locate::{Located, locate};
pub(crate) use oplog_watch::watch_oplog;
pub(crate) use runtimes::Runtimes;
pub(crate) use state::{FailureClass, StateCell, TaskFailure, TaskState};

use drive::Ended;

/// Starts the task. What becomes of it is said through its state cell.
pub(crate) fn start(config: PipelineConfig, around: Surroundings, runtimes: &mut Runtimes) {
    let (connector, state, driver) =
        (around.connector.clone(), around.state.clone(), runtimes.driver());
    runtimes.spawn(&connector, &state, move || Box::pin(run(config, around, driver)));
}

async fn run(config: PipelineConfig, around: Surroundings, driver: Driver) {
    let state = around.state.clone();
    let connector = around.connector.clone();
    let concealed = around.concealed.clone();
    let fail = |may_pass: bool, reason: &str| {
        let reason = concealed.without_secrets(reason);
        tracing::error!("connector {connector} failed: {reason}");
        state.set(TaskState::Failed(TaskFailure::of(may_pass, reason)));
    };
    let pipeline = Pipeline::new(config, clock::now());
    match drive::drive(pipeline, around, driver).await {
        Ok(Ended::Settled) => {
            tracing::info!("connector {connector} stopped: everything sent is acknowledged");
            state.set(TaskState::Stopped);
        }
        Ok(Ended::Unsettled) => fail(
            false,
            "stopped before everything sent was acknowledged; what was not will be sent again",
        ),
        Err(error) => fail(error.may_pass(), &error.to_string()),
    }
}
