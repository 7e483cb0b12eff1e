//! One server in a container: the counterpart of `process.rs`, with the same life.
//!
//! ```text
//! start ──► running ◄── SIGCONT ── SIGSTOP ──► stopped
//!              │ stop: SIGTERM, wait, SIGKILL      │ kill: SIGKILL
//!              ▼                                   ▼
//!            ended, then removed                 (a restart makes a new container on the same folder)
//! ```
//!
//! The run folder is mounted under its own path, so a command line means the same inside
//! and outside. The program runs as the owner of that folder, so that the data can be removed.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
    pin::Pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use testcontainers::{
    ContainerAsync, GenericImage, ImageExt as _,
    bollard::{models::HostConfig, query_parameters::KillContainerOptionsBuilder},
    runners::AsyncRunner as _,
};
use tokio::{
    io::{AsyncBufRead, AsyncReadExt as _},
    task::JoinHandle,
};

use super::{Docker, FOLDER_LABEL, OWNER_LABEL, Owner, image::Image, remove_container, wait};
use crate::{limits::Limits, process::POLL, software::Invocation};

/// Says which server a container is.
pub(crate) const ROLE_LABEL: &str = "io.millrace.testbed.role";
/// How long a container may take to be created and started; its server then still comes up.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the last lines of a container that has ended may take to arrive.
const LOG_LIMIT: Duration = Duration::from_secs(2);

/// What a container is started with.
pub(crate) struct Order<'a> {
    pub(crate) role: &'a str,
    pub(crate) image: &'a Image,
    pub(crate) invocation: Invocation,
    /// Of the whole set: mounted under the same path, and containers are found by it.
    pub(crate) run_folder: &'a Path,
    pub(crate) log: &'a Path,
    pub(crate) owner: Owner,
}

/// A container that is removed when this is dropped.
pub(crate) struct Container {
    role: String,
    docker: Docker,
    id: String,
    /// Of the server on this machine; 0 if the daemon does not tell.
    pid: u32,
    /// `None` only after [`Container::leave`].
    container: Option<Box<ContainerAsync<GenericImage>>>,
    /// Each carries one stream of the server into the log and ends with it.
    followers: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("role", &self.role).field("id", &self.id).finish()
    }
}

impl Container {
    /// Starts a container; the server in it does not serve yet.
    ///
    /// # Errors
    /// When the daemon refuses, or the program is not in the image.
    pub(crate) fn start(docker: &Docker, order: &Order<'_>) -> Result<Self> {
        let Order { role, image, invocation, run_folder, log, owner } = order;
        let text = |word: &OsStr| {
            word.to_str().map(str::to_owned).with_context(|| format!("{word:?} is not UTF-8"))
        };
        let program = text(invocation.command.get_program())?;
        let arguments = invocation.command.get_args().map(text).collect::<Result<Vec<String>>>()?;
        let folder = text(run_folder.as_os_str())?;
        let user = fs::metadata(run_folder)
            .with_context(|| format!("look at {}", run_folder.display()))?;
        let request = image
            .generic()
            .with_entrypoint(&program)
            .with_cmd(arguments)
            .with_user(format!("{}:{}", user.uid(), user.gid()))
            .with_label(ROLE_LABEL, *role)
            .with_label(FOLDER_LABEL, &folder)
            .with_label(OWNER_LABEL, owner.label()?)
            .with_startup_timeout(START_LIMIT)
            .with_host_config_modifier({
                let limits = invocation.limits.clone();
                move |host| set_host(host, &folder, &limits)
            });
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {} for the output of {role}", log.display()))?;
        let api = docker.api.clone();
        let (container, pid, followers) = wait(async move {
            let container = request.start().await?;
            let followers = vec![
                follow(container.stdout(true), output.try_clone()?),
                follow(container.stderr(true), output),
            ];
            let state = api.inspect_container(container.id(), None).await?.state;
            let pid = state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
            Ok((container, pid.unwrap_or(0), followers))
        })
        .with_context(|| format!("start {role}: run {program} of the image {image}"))?;
        Ok(Self {
            role: (*role).to_owned(),
            docker: docker.clone(),
            id: container.id().to_owned(),
            pid,
            container: Some(Box::new(container)),
            followers,
        })
    }

    /// The server's process id on this machine.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How the server ended, if it has; its last lines are in the log then.
    pub(crate) fn try_wait(&mut self) -> Result<Option<i64>> {
        let (api, id) = (self.docker.api.clone(), self.id.clone());
        let state = wait(async move { Ok(api.inspect_container(&id, None).await?.state) })
            .with_context(|| format!("ask the Docker daemon for {}", self.role))?;
        let state = state.with_context(|| format!("{} has no state", self.role))?;
        if state.running == Some(true) {
            return Ok(None);
        }
        let followers = std::mem::take(&mut self.followers);
        wait(async move {
            for follower in followers {
                // What does not arrive by then is not waited for; the daemon has ended the stream.
                let _ = tokio::time::timeout(LOG_LIMIT, follower).await;
            }
            Ok(())
        })?;
        Ok(Some(state.exit_code.unwrap_or_default()))
    }

    /// Sends SIGKILL and waits for the end; nothing if it has ended.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.try_wait()?.is_none() {
            self.signal(Signal::SIGKILL)?;
            self.wait_for_end(Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Sends SIGTERM, waits up to `grace`, then sends SIGKILL.
    pub(crate) async fn stop(&mut self, grace: Duration) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        // One that was paused sees that signal only now. One that was not may have ended by it already.
        let resumed = self.signal(Signal::SIGCONT);
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        resumed?;
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if self.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::warn!(role = self.role, ?grace, "did not end after SIGTERM; it is killed");
        self.kill()
    }

    /// Sends SIGSTOP: it keeps its sockets and answers nothing.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Sends SIGCONT.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Lets it run on: dropping no longer removes it.
    pub(crate) fn leave(mut self) {
        // The library removes a container in its destructor and has no way to let one go.
        std::mem::forget(self.container.take());
    }

    fn wait_for_end(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} is still there {limit:?} after SIGKILL", self.role);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let (api, id) = (self.docker.api.clone(), self.id.clone());
        let options = KillContainerOptionsBuilder::new().signal(signal.as_str()).build();
        wait(async move { Ok(api.kill_container(&id, Some(options)).await?) })
            .with_context(|| format!("send {signal} to the container of {}", self.role))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let Some(container) = self.container.take() else { return };
        let api = self.docker.api.clone();
        let removed = wait(async move {
            let removed = remove_container(&api, container.id()).await;
            // The library's destructor would ask once more, and take the answer that it is gone as an error.
            std::mem::forget(container);
            removed
        });
        if let Err(error) = removed {
            tracing::warn!(role = self.role, "remove its container: {error:#}");
        }
    }
}

fn set_host(host: &mut HostConfig, folder: &str, limits: &Limits) {
    host.network_mode = Some("host".to_owned());
    host.publish_all_ports = Some(false);
    host.binds = Some(vec![format!("{folder}:{folder}")]);
    host.cpuset_cpus = limits.cpu_list();
    if let Some(bytes) = limits.memory_bytes() {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        host.memory = Some(bytes);
        // The same number means no swap on top.
        host.memory_swap = Some(bytes);
    }
}

fn follow(mut stream: Pin<Box<dyn AsyncBufRead + Send>>, mut log: File) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 14];
        while let Ok(read) = stream.read(&mut buffer).await {
            let whole = buffer.get(..read).unwrap_or_default();
            if whole.is_empty() || log.write_all(whole).is_err() {
                return;
            }
        }
    })
}

/// Runs a program of an image to its end and returns what it wrote.
pub(crate) async fn run_to_end(docker: &Docker, order: &Order<'_>) -> Result<String> {
    let mut container = Container::start(docker, order)?;
    let status = loop {
        if let Some(status) = container.try_wait()? {
            break status;
        }
        tokio::time::sleep(POLL).await;
    };
    let output =
        fs::read_to_string(order.log).with_context(|| format!("read {}", order.log.display()))?;
    if status != 0 {
        let line = order.invocation.line();
        bail!(
            "`{line}` in {} ended with status {status}; its last lines:\n{}",
            order.image,
            crate::process::tail(&output, 15)
        );
    }
    Ok(output)
}
