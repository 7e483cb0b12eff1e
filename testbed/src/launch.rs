//! One server of a testbed: where it lives, whether it runs, and the wait until it serves.
//!
//! ```text
//!            start                 kill, stop
//!  down ──────────────► running ──────────────► down     same folder, same log, same port
//!                        │   ▲
//!                  pause ▼   │ resume
//!                       stopped
//! ```
//!
//! Faults take `&self`, so that a test can inject them beside the load that it runs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    detached::StateFile,
    process::{Lifetime, POLL, Process},
    run_folder::RunFolder,
};

/// How long a server may take to heed SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// How long one look at whether a server serves may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// How much of a server's log an error carries.
const LOG_LINES: usize = 12;

/// What all servers of one testbed share.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) folder: RunFolder,
    /// Where a detached server is noted as soon as it runs, so that it can be ended later.
    pub(crate) state: Option<StateFile>,
}

impl Launcher {
    fn start(&self, role: &str, command: Command, log: &Path) -> Result<Process> {
        let Some(state) = &self.state else {
            return Process::start(role, command, log, Lifetime::WithParent);
        };
        let process = Process::start(role, command, log, Lifetime::Detached)?;
        state.note_server(role, process.pid())?;
        Ok(process)
    }
}

/// A server process that can go down and come up again. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    role: String,
    folder: PathBuf,
    process: Mutex<Option<Process>>,
    launcher: Arc<Launcher>,
}

impl Server {
    /// A server that is not running yet, with its folder.
    pub(crate) fn new(role: &str, launcher: &Arc<Launcher>) -> Result<Self> {
        Ok(Self {
            role: role.to_owned(),
            folder: launcher.folder.server(role)?,
            process: Mutex::new(None),
            launcher: Arc::clone(launcher),
        })
    }

    /// Starts the process; it does not serve yet.
    pub(crate) fn start(&self, command: Command) -> Result<()> {
        let mut process = self.process();
        if let Some(running) = &mut *process
            && running.try_wait()?.is_none()
        {
            bail!("start {}: it is running (pid {})", self.role, running.pid());
        }
        *process = Some(self.launcher.start(&self.role, command, &self.log_path())?);
        Ok(())
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.with_running(|process| Ok(process.pid()))
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&self) -> Result<()> {
        self.with_running(Process::kill)?;
        *self.process() = None;
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.stop_within(STOP_GRACE).await
    }

    /// As [`Server::stop`]; it is killed only after `grace`.
    pub(crate) async fn stop_within(&self, grace: Duration) -> Result<()> {
        self.with_running(|_| Ok(()))?;
        // Taken out, because no lock may be held across a wait.
        let taken = self.process().take();
        if let Some(mut process) = taken {
            process.stop(grace).await?;
        }
        Ok(())
    }

    pub(crate) fn pause(&self) -> Result<()> {
        self.with_running(Process::pause)
    }

    pub(crate) fn resume(&self) -> Result<()> {
        self.with_running(Process::resume)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.with_running(|_| Ok(())).is_ok()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Lets the logs of all servers of this launcher stay.
    pub(crate) fn keep_logs(&self) {
        self.launcher.folder.keep_logs();
    }

    /// Whether the process that was started last has written `text`.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.process().as_ref().is_some_and(|process| process.has_logged(text))
    }

    /// Lets the process run on when this is dropped.
    pub(crate) fn leave(&self) {
        if let Some(process) = self.process().take() {
            process.leave();
        }
    }

    /// Waits until `probe` succeeds; `what` says in words what is waited for.
    ///
    /// # Errors
    /// When the process ends, or `limit` is over: why the last probe failed, where the log is and
    /// how it ends. The log is kept.
    pub(crate) async fn wait_until<F: Future<Output = Result<()>> + Send>(
        &self,
        what: &str,
        limit: Duration,
        probe: impl Fn() -> F + Send,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let failure = match tokio::time::timeout(PROBE_LIMIT, probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => anyhow!("no answer within {PROBE_LIMIT:?}"),
            };
            let ended = self.with_running(|_| Ok(())).err();
            if ended.is_none() && Instant::now() < deadline {
                tokio::time::sleep(POLL).await;
                continue;
            }
            self.launcher.folder.keep_logs();
            let why = ended.unwrap_or_else(|| failure.context(format!("not within {limit:?}")));
            let log = self.log_path();
            let lines = self.process().as_ref().map(|p| p.log_tail(LOG_LINES)).unwrap_or_default();
            return Err(why).with_context(|| {
                format!(
                    "wait until {} {what}; its log {} ends with:\n{lines}",
                    self.role,
                    log.display()
                )
            });
        }
    }

    fn with_running<T>(&self, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let mut process = self.process();
        let Some(process) = &mut *process else {
            bail!("{} is not running; start it again first", self.role);
        };
        let ended = process.try_wait()?;
        ensure!(
            ended.is_none(),
            "{} has ended by itself with {}",
            self.role,
            ended.map(|status| status.to_string()).unwrap_or_default()
        );
        act(process)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
