//! One task: one pipeline on one thread with a runtime of its own.
//!
//! * [`drive`] the loop between the pipeline and the world
//! * [`links`] connections and the operations under way on them
//! * [`build`] from a checked configuration to a pipeline
//! * [`state`] what others may know of the task

use std::io;
use std::thread::{self, JoinHandle};

use millrace_core::pipeline::{Pipeline, PipelineConfig};
use millrace_io::clock;

mod build;
mod drive;
mod links;
mod state;

pub(crate) use build::pipeline_config;
pub(crate) use drive::Surroundings;
pub(crate) use state::{StateCell, TaskState};

use drive::Ended;

/// Starts the task on its thread. What becomes of it is said through its state cell.
pub(crate) fn start(config: PipelineConfig, around: Surroundings) -> io::Result<JoinHandle<()>> {
    let name = format!("task-{}", around.connector);
    thread::Builder::new().name(name).spawn(move || run(config, around))
}

fn run(config: PipelineConfig, around: Surroundings) {
    let state = around.state.clone();
    let connector = around.connector.clone();
    let fail = |reason: String| {
        tracing::error!("connector {connector} failed: {reason}");
        state.set(TaskState::Failed(reason.into()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("no runtime for its thread: {error}")),
    };
    let pipeline = Pipeline::new(config, clock::now());
    match runtime.block_on(drive::drive(pipeline, around)) {
        Ok(Ended::Settled) => {
            tracing::info!("connector {connector} stopped: everything sent is acknowledged");
            state.set(TaskState::Stopped);
        }
        Ok(Ended::Unsettled) => fail(
            "stopped before everything sent was acknowledged; what was not will be sent again"
                .into(),
        ),
        Err(error) => fail(error.to_string()),
    }
}
