//! `millrace standalone`: the worker and its connectors, from their files to the exit code.
//!
//! Every file is read and every rule checked before anything starts; all that is wrong is said at
//! once. Then the connectors run, and one that fails leaves the others alone. The worker ends when it is
//! told to (SIGTERM, SIGINT) or when no connector is left.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use millrace_core::memory::MemoryBudget;
use millrace_core::pipeline::PipelineConfig;
use millrace_io::driver::{Driver, DriverChoice};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::StandaloneArgs;
use crate::config::{ConnectorFile, Notice, OffsetStorage, Severity, SourceConfig, WorkerConfig};
use crate::offsets::{self, OffsetWriters, StoredOffsets};
use crate::task::{self, Runtimes, StateCell, Surroundings, TaskState};

/// Time for what was sent to be acknowledged after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the worker looks whether a task has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Names the I/O driver where the worker's file does not.
const DRIVER_VARIABLE: &str = "MILLRACE_IO_DRIVER";

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Told to, and every connector stopped cleanly.
    Stopped,
    /// At least one connector failed.
    Failed,
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
    if let Some(events) = args.only_read {
        return only_read(&worker, &sources, events);
    }
    match work(&worker, &sources) {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the change stream of the one connector and prints what came as one JSON document.
fn only_read(worker: &WorkerConfig, sources: &[SourceConfig], events: u64) -> ExitCode {
    let [source] = sources else {
        tracing::error!("--only-read takes one connector, {} were given", sources.len());
        return ExitCode::from(2);
    };
    let driver = resolve_driver(worker.io_driver.unwrap_or_default());
    let session = task::session_config(source, MemoryBudget::new(worker.memory_bytes_max));
    let start = task::first_position(source);
    let sockets = (driver, task::encryption(source));
    let reading = task::only_read::read(session, start, events, sockets);
    match reading.and_then(|reading| Ok(serde_json::to_string(&reading)?)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("connector {}: {error:#}", source.name);
            ExitCode::FAILURE
        }
    }
}

/// Reads and checks every file; what is wrong with any of them is in the error.
fn read(args: &StandaloneArgs) -> anyhow::Result<(WorkerConfig, Vec<SourceConfig>)> {
    let (mut worker, notices) = WorkerConfig::read(&args.worker, args.strict)?;
    say(&args.worker, &notices);
    if let (None, Ok(name)) = (worker.io_driver, std::env::var(DRIVER_VARIABLE)) {
        let driver = name.parse().map_err(anyhow::Error::msg).context(DRIVER_VARIABLE)?;
        worker.io_driver = Some(driver);
    }
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

fn work(worker: &WorkerConfig, sources: &[SourceConfig]) -> anyhow::Result<Outcome> {
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
    let driver = resolve_driver(worker.io_driver.unwrap_or_default());
    let mut runtimes =
        Runtimes::start(driver, sources.len()).context("no threads for the connectors")?;
    let memory = MemoryBudget::new(worker.memory_bytes_max);
    let states: Vec<StateCell> = sources
        .iter()
        .map(|source| {
            let state = StateCell::new();
            let key = offsets::key(&source.name, &source.partition.name);
            let around = Surroundings {
                connector: source.name.clone(),
                offsets: writers.as_ref().map(|writers| writers.writer(key.clone())),
                stop: stopped.clone(),
                stop_timeout: STOP_TIMEOUT,
                state: state.clone(),
                encryption: task::encryption(source),
            };
            match pipeline_config(worker, source, &stored, key, &memory) {
                Ok(config) => task::start(config, around, &mut runtimes),
                Err(error) => {
                    tracing::error!("connector {} failed: {error:#}", source.name);
                    state.set(TaskState::Failed(format!("{error:#}").into()));
                }
            }
            state
        })
        .collect();
    while !states.iter().all(|state| state.read().is_final()) {
        thread::sleep(LOOK_INTERVAL);
    }
    runtimes.join();
    if let Some(writers) = writers {
        writers.finish();
    }
    listening.close();
    if listener.join().is_err() {
        tracing::error!("the thread that listens for signals has panicked");
    }
    let all_stopped = states.iter().all(|state| state.read() == TaskState::Stopped);
    Ok(if all_stopped { Outcome::Stopped } else { Outcome::Failed })
}

/// What is stored, and who writes it if that is a file.
fn open_offsets(worker: &WorkerConfig) -> anyhow::Result<(StoredOffsets, Option<OffsetWriters>)> {
    match &worker.offsets {
        OffsetStorage::File(path) => {
            let (stored, writers) = offsets::open_file(path)?;
            Ok((stored, Some(writers)))
        }
        OffsetStorage::Topic { name, .. } => {
            let stored = offsets::read_topic(&worker.bootstrap, worker.tls.as_ref(), name)?;
            Ok((stored, None))
        }
    }
}

/// The driver that was chosen, if the kernel allows it; says which it is.
fn resolve_driver(choice: DriverChoice) -> Driver {
    let (driver, refused) = choice.resolve();
    match refused {
        Some(error) => tracing::warn!(
            "io_uring cannot be used here ({error}): I/O driver {driver} instead; io.driver=epoll \
             says so without trying"
        ),
        None => tracing::info!("I/O driver {driver}"),
    }
    driver
}

fn pipeline_config(
    worker: &WorkerConfig,
    source: &SourceConfig,
    stored: &StoredOffsets,
    key: Vec<u8>,
    memory: &MemoryBudget,
) -> anyhow::Result<PipelineConfig> {
    let position = stored.position(&source.name, &source.partition)?;
    let gaps = stored.gaps(&key);
    task::pipeline_config(worker, source, (position, gaps), key, memory)
}
