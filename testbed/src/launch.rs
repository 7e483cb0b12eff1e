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
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    detached::StateFile,
    docker::{
        Owner,
        container::{Container, Order, run_to_end},
        image::Image,
    },
    limits::{self, Bounds, Limits},
    process::{Lifetime, POLL, Process, log_since, run, tail},
    run_folder::RunFolder,
    software::{Engine, Invocation},
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
    pub(crate) engine: Engine,
}

/// A server that was started: as a process, or in a container.
#[derive(Debug)]
enum Running {
    Process(Process),
    Container(Box<Container>),
}

impl Launcher {
    fn start(&self, server: &Server, invocation: Invocation) -> Result<Running> {
        let Invocation { command, limits } = invocation;
        let (role, log) = (server.role.as_str(), server.log_path());
        match (&self.engine, &self.state) {
            (Engine::Native, None) => {
                let lifetime = Lifetime::WithParent;
                Process::start_limited(role, command, &log, lifetime, &limits).map(Running::Process)
            }
            (Engine::Native, Some(state)) => {
                let lifetime = Lifetime::Detached;
                let process = Process::start_limited(role, command, &log, lifetime, &limits)?;
                state.note_server(role, process.pid())?;
                Ok(Running::Process(process))
            }
            (Engine::Docker(docker, _), _) => {
                let invocation = Invocation { command, limits };
                let order = self.order(server, &log, invocation)?;
                Ok(Running::Container(Box::new(Container::start(docker, &order)?)))
            }
        }
    }

    fn order<'a>(
        &'a self,
        server: &'a Server,
        log: &'a Path,
        invocation: Invocation,
    ) -> Result<Order<'a>> {
        let role = server.role.as_str();
        let owner = if self.state.is_some() { Owner::Nobody } else { Owner::Process };
        Ok(Order {
            role,
            image: server.image.as_ref().with_context(|| format!("{role} has no image"))?,
            invocation,
            run_folder: self.folder.path(),
            log,
            owner,
        })
    }
}

impl Running {
    /// How it ended, if it has.
    fn try_wait(&mut self) -> Result<Option<String>> {
        match self {
            Self::Process(process) => Ok(process.try_wait()?.map(|status| status.to_string())),
            Self::Container(container) => {
                Ok(container.try_wait()?.map(|status| format!("exit status {status}")))
            }
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Process(process) => process.pid(),
            Self::Container(container) => container.pid(),
        }
    }

    fn kill(&mut self) -> Result<()> {
        match self {
            Self::Process(process) => process.kill(),
            Self::Container(container) => container.kill(),
        }
    }

    async fn stop(&mut self, grace: Duration) -> Result<()> {
        match self {
            Self::Process(process) => process.stop(grace).await.map(drop),
            Self::Container(container) => container.stop(grace).await,
        }
    }

    fn pause(&mut self) -> Result<()> {
        match self {
            Self::Process(process) => process.pause(),
            Self::Container(container) => container.pause(),
        }
    }

    fn resume(&mut self) -> Result<()> {
        match self {
            Self::Process(process) => process.resume(),
            Self::Container(container) => container.resume(),
        }
    }

    fn leave(self) {
        match self {
            Self::Process(process) => process.leave(),
            Self::Container(container) => container.leave(),
        }
    }

    /// Why a limit that was asked for is not kept.
    fn unlimited(&self) -> Option<&str> {
        match self {
            Self::Process(process) => process.unlimited(),
            Self::Container(_) => None,
        }
    }
}

/// A server that can go down and come up again. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    role: String,
    folder: PathBuf,
    image: Option<Image>,
    running: Mutex<Option<Running>>,
    /// Length of the log when the server was started last, in bytes.
    log_start: AtomicU64,
    launcher: Arc<Launcher>,
}

impl Server {
    /// A server that is not running yet, with its folder.
    pub(crate) fn new(role: &str, image: Option<&Image>, launcher: &Arc<Launcher>) -> Result<Self> {
        Ok(Self {
            role: role.to_owned(),
            folder: launcher.folder.server(role)?,
            image: image.cloned(),
            running: Mutex::new(None),
            log_start: AtomicU64::new(0),
            launcher: Arc::clone(launcher),
        })
    }

    /// Starts it; it does not serve yet.
    pub(crate) fn start(&self, invocation: Invocation) -> Result<()> {
        let mut running = self.running();
        if let Some(running) = &mut *running
            && running.try_wait()?.is_none()
        {
            bail!("start {}: it is running (pid {})", self.role, running.pid());
        }
        // One that has ended is let go first: a container would still have its name and folder.
        *running = None;
        let written = fs::metadata(self.log_path()).map_or(0, |log| log.len());
        self.log_start.store(written, Ordering::Relaxed);
        *running = Some(self.launcher.start(self, invocation)?);
        Ok(())
    }

    /// Runs a command of the same software to its end, and returns what it wrote.
    pub(crate) async fn run(&self, invocation: Invocation, log: &str) -> Result<String> {
        match &self.launcher.engine {
            Engine::Native => {
                let run = tokio::task::spawn_blocking(move || run(invocation.command));
                run.await.with_context(|| format!("prepare {}", self.role))?
            }
            Engine::Docker(docker, _) => {
                let log = self.folder.join(log);
                run_to_end(docker, &self.launcher.order(self, &log, invocation)?).await
            }
        }
    }

    /// The CPUs and the memory that it has.
    pub(crate) fn bounds(&self, limits: &Limits) -> Result<Bounds> {
        self.with_running(|running| {
            let note = running.unlimited().map(str::to_owned);
            let memory_mb = limits.memory_mb.filter(|_| note.is_none());
            Ok(Bounds { cpus: limits::cpus_of(running.pid()).ok(), memory_mb, note })
        })
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.with_running(|running| Ok(running.pid()))
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&self) -> Result<()> {
        self.with_running(Running::kill)?;
        *self.running() = None;
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
        let taken = self.running().take();
        if let Some(mut running) = taken {
            running.stop(grace).await?;
        }
        Ok(())
    }

    pub(crate) fn pause(&self) -> Result<()> {
        self.with_running(Running::pause)
    }

    pub(crate) fn resume(&self) -> Result<()> {
        self.with_running(Running::resume)
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

    /// What it has written since it was started last.
    pub(crate) fn log(&self) -> String {
        let start = self.log_start.load(Ordering::Relaxed);
        String::from_utf8_lossy(&log_since(&self.log_path(), start)).into_owned()
    }

    /// Whether it has written `text` since it was started last.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// Lets it run on when this is dropped.
    pub(crate) fn leave(&self) {
        if let Some(running) = self.running().take() {
            running.leave();
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
            let lines = tail(&self.log(), LOG_LINES);
            return Err(why).with_context(|| {
                format!(
                    "wait until {} {what}; its log {} ends with:\n{lines}",
                    self.role,
                    log.display()
                )
            });
        }
    }

    fn with_running<T>(&self, act: impl FnOnce(&mut Running) -> Result<T>) -> Result<T> {
        let mut running = self.running();
        let Some(running) = &mut *running else {
            bail!("{} is not running; start it again first", self.role);
        };
        let ended = running.try_wait()?;
        ensure!(
            ended.is_none(),
            "{} has ended by itself with {}",
            self.role,
            ended.unwrap_or_default()
        );
        act(running)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
