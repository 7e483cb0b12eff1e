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

use anyhow::bail;
use millrace_core::memory::MemoryBudget;
use millrace_io::driver::Driver;
use tokio::sync::watch;

use crate::StandaloneArgs;
use crate::config::{ConnectorFile, Mode, SourceConfig, WorkerConfig};
use crate::herder::say;
use crate::logging::Loggers;
use crate::offsets::OffsetStore;
use crate::process::{self, Outcome};
use crate::rest::{Shared, Sockets};
use crate::task;
use crate::worker::Worker;

mod changes;
mod connector;
mod herder;

use herder::Standalone;

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
    process::run(worker.io_driver, |driver, stopped| {
        serve(worker, connectors, driver, args.strict, loggers, stopped)
    })
}

/// Reads the change stream of the one connector and prints what came as one JSON document.
fn only_read(worker: &WorkerConfig, connectors: &[Checked], events: u64) -> ExitCode {
    let [(_, source)] = connectors else {
        tracing::error!("--only-read takes one connector, {} were given", connectors.len());
        return ExitCode::from(2);
    };
    let driver = process::driver(worker.io_driver);
    let reading = process::control_runtime().and_then(|control| {
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
    let (mut worker, notices) = WorkerConfig::read(&args.worker, Mode::Standalone, args.strict)?;
    say(&args.worker, &notices);
    worker.io_driver = process::chosen_driver(worker.io_driver)?;
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
    let worker = Worker::new(worker, worker_id.unwrap_or_default(), offsets, driver, strict);
    let herder = Standalone::new(Arc::clone(&worker));
    herder.start(connectors).await?;
    let outcome = if let Some(sockets) = sockets {
        let cluster = tokio::spawn(Arc::clone(&worker).find_cluster());
        let shared = Shared::alone(Arc::<Standalone>::clone(&herder), Arc::new(loggers));
        sockets.serve(&rest, shared, stopped).await;
        cluster.abort();
        if herder.stop().await { Outcome::Stopped } else { Outcome::Failed }
    } else {
        tokio::select! {
            () = herder.until_idle() => {}
            _ = stopped.wait_for(|stopped| *stopped) => drop(herder.stop().await),
        }
        if herder.has_failed() { Outcome::Failed } else { Outcome::Stopped }
    };
    worker.join();
    Ok(outcome)
}
