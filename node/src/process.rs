//! The process of a worker, in any mode: what ends it, what it runs on, and its exit code.

use std::future::Future;
use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use millrace_io::driver::{Driver, DriverChoice};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

/// Names the I/O driver where the worker's file does not.
const DRIVER_VARIABLE: &str = "MILLRACE_IO_DRIVER";

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything stopped cleanly.
    Stopped,
    /// Something did not.
    Failed,
}

/// Runs `serve` with the driver that was chosen, until it ends; SIGTERM and SIGINT tell it to.
pub(crate) fn run<F: Future<Output = anyhow::Result<Outcome>>>(
    driver: Option<DriverChoice>,
    serve: impl FnOnce(Driver, watch::Receiver<bool>) -> F,
) -> ExitCode {
    match try_run(driver, serve) {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<F: Future<Output = anyhow::Result<Outcome>>>(
    choice: Option<DriverChoice>,
    serve: impl FnOnce(Driver, watch::Receiver<bool>) -> F,
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
    let driver = driver(choice);
    let outcome = control_runtime()?.block_on(serve(driver, stopped));
    listening.close();
    if listener.join().is_err() {
        tracing::error!("the thread that listens for signals has panicked");
    }
    outcome
}

/// What everything but pipelines runs on.
pub(crate) fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build();
    control.context("no runtime for the worker")
}

/// What drives sockets: as the worker's file says, else as the environment does.
///
/// # Errors
/// When the environment names no driver.
pub(crate) fn chosen_driver(of_file: Option<DriverChoice>) -> anyhow::Result<Option<DriverChoice>> {
    match (of_file, std::env::var(DRIVER_VARIABLE)) {
        (None, Ok(name)) => {
            let driver = name.parse().map_err(anyhow::Error::msg).context(DRIVER_VARIABLE)?;
            Ok(Some(driver))
        }
        (of_file, _) => Ok(of_file),
    }
}

/// The driver that was chosen, if the kernel allows it; says which it is.
pub(crate) fn driver(choice: Option<DriverChoice>) -> Driver {
    let (driver, refused) = choice.unwrap_or_default().resolve();
    match refused {
        Some(error) => tracing::warn!(
            "io_uring cannot be used here ({error}): I/O driver {driver} instead; io.driver=epoll \
             says so without trying"
        ),
        None => tracing::info!("I/O driver {driver}"),
    }
    driver
}
