//! A child process: its log, its signals, its end.
//!
//! ```text
//! start ──► running ◄── resume ── pause ──► stopped (SIGSTOP)
//!              │ stop: SIGTERM, wait, SIGKILL      │ kill: SIGKILL
//!              ▼                                   ▼
//!            ended (waited for, so the pid is nobody's before it is let go)
//! ```
//!
//! Dropping kills. Standard output and error are appended to one log file, so a restart continues
//! it.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    limits::{Limits, MemoryGroup},
    parent_death,
};

/// How long a child waits between two looks at whether something came true.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Whether a child may outlive this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends when this process ends: by return, panic, signal or SIGKILL.
    WithParent,
    /// It has its own session and stays until someone ends it.
    Detached,
}

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    role: String,
    /// `None` only after [`Process::leave`].
    child: Option<Child>,
    log: PathBuf,
    /// Length of the log when this child was started, in bytes.
    log_start: u64,
    /// Removed after the child has ended, so it stands below it.
    memory: Option<MemoryGroup>,
    unlimited: Option<String>,
}

impl Process {
    /// Starts `command` under the name `role`, its output appended to the file `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(role: &str, command: Command, log: &Path, lifetime: Lifetime) -> Result<Self> {
        Self::start_limited(role, command, log, lifetime, &Limits::default())
    }

    /// As [`Process::start`], with no more CPUs and memory than `limits` says. Its children inherit
    /// them. A limit on memory that cannot be kept here is told by [`Process::unlimited`].
    ///
    /// # Errors
    /// Those of [`Process::start`]; when it may not run on one of the CPUs.
    pub fn start_limited(
        role: &str,
        mut command: Command,
        log: &Path,
        lifetime: Lifetime,
        limits: &Limits,
    ) -> Result<Self> {
        let (memory, unlimited) = match limits.memory_bytes().map(MemoryGroup::create) {
            None => (None, None),
            Some(Ok(group)) => (Some(group), None),
            Some(Err(error)) => {
                tracing::warn!(role, "its memory is not limited: {error:#}");
                (None, Some(format!("memory is not limited: {error:#}")))
            }
        };
        let entrance = memory.as_ref().map(MemoryGroup::entrance).transpose()?;
        parent_death::confine(&mut command, &limits.cpus, entrance)
            .with_context(|| format!("limit {role} to the CPUs {:?}", limits.cpus))?;
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {} for the output of {role}", log.display()))?;
        let log_start = output.metadata()?.len();
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let program = command.get_program().to_owned();
        let child = parent_death::spawn(command, lifetime)
            .with_context(|| format!("start {role}: run {}", program.display()))?;
        Ok(Self {
            role: role.to_owned(),
            child: Some(child),
            log: log.to_owned(),
            log_start,
            memory,
            unlimited,
        })
    }

    /// What it was started as.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its process id; 0 after [`Process::leave`].
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Why a limit that was asked for is not kept.
    pub fn unlimited(&self) -> Option<&str> {
        self.unlimited.as_deref()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().with_context(|| format!("wait for {}", self.role)),
            None => Ok(None),
        }
    }

    /// Sends SIGKILL and waits for the end; nothing if it has ended.
    ///
    /// # Errors
    /// Those of kill(2) and waitpid(2).
    pub fn kill(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        child.kill().with_context(|| format!("kill {} (pid {})", self.role, child.id()))?;
        child.wait().with_context(|| format!("wait for {} after SIGKILL", self.role))?;
        Ok(())
    }

    /// Sends SIGTERM, waits up to `grace`, then sends SIGKILL; returns how it ended.
    ///
    /// # Errors
    /// Those of kill(2) and waitpid(2).
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        // One that was paused sees that signal only now. One that was not may have ended by it already.
        if self.try_wait()?.is_none() {
            self.send(Signal::SIGCONT)?;
        }
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::warn!(role = self.role, ?grace, "did not end after SIGTERM; it is killed");
        self.kill()?;
        self.try_wait()?.with_context(|| format!("{} has no exit status after SIGKILL", self.role))
    }

    /// Sends SIGSTOP: it keeps its sockets and answers nothing.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last `lines` lines that it wrote.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&String::from_utf8_lossy(&self.log_bytes()), lines)
    }

    /// Whether this child, not an earlier one with the same log, has written `text`.
    #[cfg(test)]
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.log_bytes()).contains(text)
    }

    /// Lets it run on: dropping no longer kills it.
    pub fn leave(mut self) {
        self.child = None;
        // The group stays with what runs in it; a later start removes it when it is empty.
        std::mem::forget(self.memory.take());
    }

    fn log_bytes(&self) -> Vec<u8> {
        log_since(&self.log, self.log_start)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // A child that was waited for has given its pid back: it must not be signalled.
        if let Some(status) = self.try_wait()? {
            bail!("send {signal} to {}: it has ended with {status}", self.role);
        }
        self.send(signal)
    }

    /// Sends `signal` to a child that was not waited for; one that ended since takes it too.
    fn send(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("a pid above i32")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("send {signal} to {} (pid {pid})", self.role))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(role = self.role, "{error:#}");
        }
    }
}

/// What was appended to `log` after its first `start` bytes.
pub(crate) fn log_since(log: &Path, start: u64) -> Vec<u8> {
    let mut bytes = fs::read(log).unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(0).min(bytes.len());
    bytes.drain(..start);
    bytes
}

/// Runs `command` to its end and returns what it wrote to standard output and error.
///
/// # Errors
/// When it cannot be started (the cause is the `io::Error`) or ends with another status than 0; the
/// message then carries the last lines of its output.
pub(crate) fn run(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let line = format!("{program} {}", arguments.join(" "));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = parent_death::spawn(command, Lifetime::WithParent)
        .and_then(Child::wait_with_output)
        .with_context(|| format!("run `{program}`: it cannot be started"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("`{line}` ended with {}; its last lines:\n{}", output.status, tail(&text, 15));
    }
    Ok(text)
}

/// The last `lines` lines of `text`, each indented.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    all.iter().skip(skipped).map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn start(script: &str, folder: &Path) -> Process {
        Process::start("a shell", shell(script), &folder.join("log"), Lifetime::WithParent).unwrap()
    }

    #[tokio::test]
    async fn child_that_heeds_sigterm_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            start("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        while !child.has_logged("up") {
            tokio::time::sleep(POLL).await;
        }
        child.pause().unwrap();
        assert_eq!(child.stop(Duration::from_secs(10)).await.unwrap().code(), Some(7));
        assert!(child.pause().unwrap_err().to_string().contains("it has ended"));
    }

    #[tokio::test]
    async fn child_that_ends_at_once_is_stopped_as_any_other() {
        use std::os::unix::process::ExitStatusExt as _;
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..200 {
            let mut child = start("exec sleep 60", folder.path());
            let status = child.stop(Duration::from_secs(10)).await.unwrap();
            assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
        }
    }

    #[tokio::test]
    async fn child_that_ignores_sigterm_is_killed_after_the_grace() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start("trap '' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        while !child.has_logged("up") {
            tokio::time::sleep(POLL).await;
        }
        assert_eq!(child.stop(Duration::from_millis(100)).await.unwrap().code(), None);
    }

    #[test]
    fn dropped_child_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let child = start("sleep 100", folder.path());
        let proc = PathBuf::from(format!("/proc/{}", child.pid()));
        assert!(proc.exists());
        drop(child);
        assert!(!proc.exists());
    }

    #[test]
    fn child_outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mut child = std::thread::spawn(move || start("sleep 100", &path)).join().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none());
    }

    #[test]
    fn log_of_an_earlier_child_is_not_taken_for_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for (word, other) in [("first", "second"), ("second", "first")] {
            let mut child = start(&format!("echo {word}"), folder.path());
            while child.try_wait().unwrap().is_none() {
                std::thread::sleep(POLL);
            }
            assert!(child.has_logged(word) && !child.has_logged(other));
        }
    }

    #[test]
    fn failed_run_says_what_it_ran_and_how_it_went() {
        let error = run(shell("echo one; echo two >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("exit status: 3"), "{error}");
        assert!(error.contains("  one\n  two\n"), "{error}");
        let error = run(Command::new("no-such-program")).unwrap_err();
        assert!(error.downcast_ref::<std::io::Error>().is_some());
    }
}
