//! `millrace standalone`: the worker and its connectors, from their files to the exit code.
//!
//! Every file is read and every rule checked before anything starts; all that is wrong is said at
//! once. Then each connector runs on a thread of its own, and one that fails leaves the others
//! alone. The worker ends when it is told to (SIGTERM, SIGINT) or when no connector is left.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::StandaloneArgs;
use crate::config::{ConnectorFile, Notice, OffsetStorage, Severity, SourceConfig, WorkerConfig};
use crate::offsets::{self, OffsetWriters, StoredOffsets};
use crate::task::{self, StateCell, Surroundings, TaskState};

/// Time for what was sent to be acknowledged after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the worker looks whether a task has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Told to, and every connector stopped cleanly.
    Stopped,
    /// At least one connector failed.
    Failed,
}

struct Task {
    connector: String,
    state: StateCell,
    thread: Option<thread::JoinHandle<()>>,
}

/// Runs the worker until it ends and says how.
pub(crate) fn run(args: &StandaloneArgs) -> ExitCode {
    let (worker, sources) = match read(args) {
        Ok(read) => read,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match work(&worker, sources) {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads and checks every file; what is wrong with any of them is in the error.
fn read(args: &StandaloneArgs) -> anyhow::Result<(WorkerConfig, Vec<SourceConfig>)> {
    let (worker, notices) = WorkerConfig::read(&args.worker, args.strict)?;
    say(&args.worker, &notices);
    let mut sources: Vec<SourceConfig> = Vec::new();
    let mut errors = Vec::new();
    for path in &args.connectors {
        let checked = ConnectorFile::read(path)
            .and_then(|file| SourceConfig::new(&file, &worker, args.strict));
        match checked {
            Ok((source, notices)) => {
                say(path, &notices);
                if sources.iter().any(|other| other.name == source.name) {
                    errors.push(format!(
                        "{}: a connector named '{}' was read before; give one of them another name",
                        path.display(),
                        source.name
                    ));
                }
                sources.push(source);
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    if !errors.is_empty() {
        bail!("nothing was started:\n{}", errors.join("\n"));
    }
    Ok((worker, sources))
}

fn say(path: &Path, notices: &[Notice]) {
    for notice in notices {
        match notice.severity {
            Severity::Info => tracing::info!("{}: {}", path.display(), notice.text),
            Severity::Warning => tracing::warn!("{}: {}", path.display(), notice.text),
        }
    }
}

fn work(worker: &WorkerConfig, sources: Vec<SourceConfig>) -> anyhow::Result<Outcome> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    let listening = signals.handle();
    let listener = thread::spawn(move || {
        for signal in &mut signals {
            tracing::info!("signal {signal}: stopping");
            stop.send_replace(true);
        }
    });
    let (stored, writers) = open_offsets(worker)?;
    let mut tasks: Vec<Task> = sources
        .into_iter()
        .map(|source| start(worker, &source, &stored, writers.as_ref(), stopped.clone()))
        .collect();
    while tasks.iter().any(|task| !task.has_ended()) {
        thread::sleep(LOOK_INTERVAL);
    }
    let outcome = outcome(&mut tasks);
    if let Some(writers) = writers {
        writers.finish();
    }
    listening.close();
    if listener.join().is_err() {
        tracing::error!("the thread that listens for signals has panicked");
    }
    Ok(outcome)
}

/// What is stored, and who writes it if that is a file.
fn open_offsets(worker: &WorkerConfig) -> anyhow::Result<(StoredOffsets, Option<OffsetWriters>)> {
    match &worker.offsets {
        OffsetStorage::File(path) => {
            let (stored, writers) = offsets::open_file(path)?;
            Ok((stored, Some(writers)))
        }
        OffsetStorage::Topic { name, .. } => {
            let stored = offsets::read_topic(&worker.bootstrap, name)?;
            Ok((stored, None))
        }
    }
}

/// Starts one connector. If that fails the task is there all the same, failed.
fn start(
    worker: &WorkerConfig,
    source: &SourceConfig,
    stored: &StoredOffsets,
    writers: Option<&OffsetWriters>,
    stop: watch::Receiver<bool>,
) -> Task {
    let state = StateCell::new();
    let connector = source.name.clone();
    let started = start_task(worker, source, stored, writers, stop, state.clone());
    let thread = started
        .inspect_err(|error| {
            tracing::error!("connector {connector} failed: {error:#}");
            state.set(TaskState::Failed(format!("{error:#}").into()));
        })
        .ok();
    Task { connector, state, thread }
}

fn start_task(
    worker: &WorkerConfig,
    source: &SourceConfig,
    stored: &StoredOffsets,
    writers: Option<&OffsetWriters>,
    stop: watch::Receiver<bool>,
    state: StateCell,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let position = stored.position(&source.name, &source.partition)?;
    let key = offsets::key(&source.name, &source.partition.name);
    let config = task::pipeline_config(worker, source, position, key.clone())?;
    let around = Surroundings {
        connector: source.name.clone(),
        offsets: writers.map(|writers| writers.writer(key)),
        stop,
        stop_timeout: STOP_TIMEOUT,
        state,
    };
    Ok(task::start(config, around)?)
}

/// Waits for the threads and says how it went.
fn outcome(tasks: &mut [Task]) -> Outcome {
    let mut outcome = Outcome::Stopped;
    for task in tasks {
        if let Some(thread) = task.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("connector {}: its thread has panicked", task.connector);
            outcome = Outcome::Failed;
        }
        match task.state.read() {
            TaskState::Stopped => {}
            TaskState::Failed(_) | TaskState::Unassigned | TaskState::Running => {
                outcome = Outcome::Failed;
            }
        }
    }
    outcome
}

impl Task {
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}
