//! `millrace standalone`: the worker and its connectors, from their files to the exit code.
//!
//! Every file is read and every rule checked before anything starts; all that is wrong is said at
//! once. Then the connectors run, and one that fails leaves the others alone.
//!
//! ```text
//! with REST      as a Connect worker: goes on whatever fails, until it is told to end (SIGTERM, SIGINT);
//!                0 if what was running then has stopped in order, else 1
//! without REST   nobody could start a connector again: ends with the last one, or when it is told to;
//!                0 if all have stopped in order, else 1
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use millrace_core::memory::MemoryBudget;
use millrace_io::driver::{Driver, DriverChoice};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::StandaloneArgs;
use crate::config::{ConnectorFile, SourceConfig, WorkerConfig};
use crate::herder::{Herder, say};
use crate::logging::Loggers;
use crate::offsets::OffsetStore;
use crate::rest::Sockets;
use crate::task;

/// Names the I/O driver where the worker's file does not.
const DRIVER_VARIABLE: &str = "MILLRACE_IO_DRIVER";

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything stopped cleanly.
    Stopped,
    /// Something did not.
    Failed,
}

/// A connector's file, and what it comes to.
type Checked = (ConnectorFile, SourceConfig);

/// Runs the worker until it ends and says how.
pub(crate) fn run(args: &StandaloneArgs, loggers: Loggers) -> ExitCode {
    let (worker, connectors) = match read(args) {
        Ok(read) => read,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    if let Some(events) = args.only_read {
        return only_read(&worker, &connectors, events);
    }
    match work(worker, connectors, args.strict, loggers) {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the change stream of the one connector and prints what came as one JSON document.
fn only_read(worker: &WorkerConfig, connectors: &[Checked], events: u64) -> ExitCode {
    let [(_, source)] = connectors else {
        tracing::error!("--only-read takes one connector, {} were given", connectors.len());
        return ExitCode::from(2);
    };
    let driver = resolve_driver(worker.io_driver.unwrap_or_default());
    let reading = control_runtime().and_then(|control| {
        let located = control.block_on(task::locate(&source.mongo))?;
        let memory = MemoryBudget::new(worker.memory_bytes_max);
        let session = task::session_config(source, located, memory);
        let sockets = (driver, task::encryption(source));
        task::only_read::read(session, task::first_position(source), events, sockets)
    });
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
fn read(args: &StandaloneArgs) -> anyhow::Result<(WorkerConfig, Vec<Checked>)> {
    let (mut worker, notices) = WorkerConfig::read(&args.worker, args.strict)?;
    say(&args.worker, &notices);
    if let (None, Ok(name)) = (worker.io_driver, std::env::var(DRIVER_VARIABLE)) {
        let driver = name.parse().map_err(anyhow::Error::msg).context(DRIVER_VARIABLE)?;
        worker.io_driver = Some(driver);
    }
    if args.connectors.is_empty() && worker.rest.listeners.is_empty() {
        bail!(
            "there is no connector, and without listeners in {} none could come",
            args.worker.display()
        );
    }
    let mut connectors: Vec<Checked> = Vec::new();
    let mut errors = Vec::new();
    for path in &args.connectors {
        let checked = ConnectorFile::read(path).and_then(|file| {
            SourceConfig::new(&file, &worker, args.strict)
                .map(|(source, said)| (file, source, said))
        });
        match checked {
            Ok((file, source, notices)) => {
                say(path, &notices);
                if connectors.iter().any(|(_, other)| other.name == source.name) {
                    errors.push(format!(
                        "{}: a connector named '{}' was read before; give one of them another name",
                        path.display(),
                        source.name
                    ));
                }
                connectors.push((file, source));
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    if !errors.is_empty() {
        bail!("nothing was started:\n{}", errors.join("\n"));
    }
    Ok((worker, connectors))
}

fn work(
    worker: WorkerConfig,
    connectors: Vec<Checked>,
    strict: bool,
    loggers: Loggers,
) -> anyhow::Result<Outcome> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen for signals")?;
    let listening = signals.handle();
    let listener = thread::spawn(move || {
        for signal in &mut signals {
            tracing::info!("signal {signal}: stopping");
            stop.send_replace(true);
        }
    });
    // Trying io_uring takes a runtime of its own.
    let driver = resolve_driver(worker.io_driver.unwrap_or_default());
    let outcome =
        control_runtime()?.block_on(serve(worker, connectors, driver, strict, loggers, stopped));
    listening.close();
    if listener.join().is_err() {
        tracing::error!("the thread that listens for signals has panicked");
    }
    outcome
}

/// What everything but pipelines runs on.
fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build();
    control.context("no runtime for the worker")
}

/// Runs the connectors, and the REST interface if there is one, until the end of both.
async fn serve(
    worker: WorkerConfig,
    connectors: Vec<Checked>,
    driver: Driver,
    strict: bool,
    loggers: Loggers,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Outcome> {
    let sockets = Sockets::bind(&worker.rest).await?;
    let worker_id = sockets.as_ref().map(|sockets| sockets.worker_id(&worker.rest));
    let offsets = OffsetStore::open(&worker)?;
    let rest = worker.rest.clone();
    let herder = Herder::new(worker, worker_id.unwrap_or_default(), offsets, driver, strict);
    herder.start(connectors).await?;
    let outcome = if let Some(sockets) = sockets {
        let cluster = tokio::spawn(Arc::clone(&herder).find_cluster());
        sockets.serve(&rest, Arc::clone(&herder), Arc::new(loggers), stopped).await;
        cluster.abort();
        if herder.stop().await { Outcome::Stopped } else { Outcome::Failed }
    } else {
        tokio::select! {
            () = herder.until_idle() => {}
            _ = stopped.wait_for(|stopped| *stopped) => drop(herder.stop().await),
        }
        if herder.has_failed() { Outcome::Failed } else { Outcome::Stopped }
    };
    herder.join();
    Ok(outcome)
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
