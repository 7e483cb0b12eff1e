//! A node that runs: its log, its signals, its exit code.
//!
//! ```text
//! Setup::start ──► running ── stop: SIGTERM ──► exit code        (interrupt: SIGINT)
//!                     │ └──── kill: SIGKILL ──► gone, nothing said
//!                     └────── ends by itself ─► exit code
//! ```
//!
//! Dropping kills. A restart in the same folder continues the log; only what this process wrote is looked at.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use millrace_testbed::{Lifetime, Process};
use tempfile::TempDir;

use super::POLL_INTERVAL;

/// How long a node may take to start, to stop and to fail.
const NODE_PATIENCE: Duration = Duration::from_secs(45);
const LOG_TAIL_LINES: usize = 40;

/// See the module.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    process: Process,
    /// Length of the log when this process was started.
    log_start: usize,
    /// Stays while the node runs.
    _folder: Arc<TempDir>,
}

impl NodeProcess {
    /// Starts `command`, which logs into `folder`.
    pub(super) fn start(command: Command, folder: Arc<TempDir>) -> Result<Self> {
        let log = folder.path().join("node.log");
        let log_start = fs::metadata(&log).map_or(0, |log| log.len()) as usize;
        let process = Process::start("the node", command, &log, Lifetime::WithParent)?;
        Ok(Self { process, log_start, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything that this process has logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.process.log_path()).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    /// Waits until it has logged `text` and returns that line.
    pub(crate) async fn logged(&mut self, text: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            // Asked before the log is read, so that the last words of a node that has ended are seen.
            let ended = self.process.try_wait()?;
            let log = self.log();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = ended {
                bail!("the node ended ({status}) without logging {text:?}:\n{}", self.log_tail());
            }
            if NODE_PATIENCE < started.elapsed() {
                bail!("the node did not log {text:?}:\n{}", self.log_tail());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Where its REST interface listens: `host:port`.
    pub(crate) async fn rest_address(&mut self) -> Result<String> {
        let line = self.logged("REST interface on http://").await?;
        let (_, address) = line.rsplit_once("http://").context("no address")?;
        Ok(address.to_owned())
    }

    /// Waits until the connector `name` runs.
    pub(crate) async fn running(&mut self, name: &str) -> Result<()> {
        self.logged(&format!("connector {name} running")).await.map(drop)
    }

    /// Fails with the end of its log if it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the node ended ({status}):\n{}", self.log_tail()),
        }
    }

    /// Waits until it ends by itself. Returns its exit code and all that it has logged.
    pub(crate) async fn ended(mut self) -> Result<(i32, String)> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                let code = status.code().with_context(|| format!("{status}, no exit code"))?;
                return Ok((code, self.log()));
            }
            ensure!(
                started.elapsed() < NODE_PATIENCE,
                "the node has not ended within {} s:\n{}",
                NODE_PATIENCE.as_secs(),
                self.log_tail()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends SIGTERM. Fails unless it then ends with exit code 0. Returns all that it has logged.
    pub(crate) async fn stop(mut self) -> Result<String> {
        self.ensure_alive()?;
        let status = self.process.stop(NODE_PATIENCE).await?;
        ensure!(
            status.code() == Some(0),
            "SIGTERM ended the node with {status}, not with exit code 0:\n{}",
            self.log_tail()
        );
        Ok(self.log())
    }

    /// Sends SIGINT, as Ctrl-C does. Returns how it ended and all that it has logged.
    pub(crate) async fn interrupt(self) -> Result<(i32, String)> {
        let kill = Command::new("kill").args(["-INT", &self.pid().to_string()]).status()?;
        ensure!(kill.success(), "kill -INT: {kill}");
        self.ended().await
    }

    /// Sends SIGKILL and waits for the end. Fails if it had ended before.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.ensure_alive()?;
        self.process.kill()
    }

    fn log_tail(&self) -> String {
        self.process.log_tail(LOG_TAIL_LINES)
    }
}
