//! A hidden command of this very binary: started, watched and stopped as a process of its own.
//!
//! ```text
//! an arm      millrace bench <command> --uri … --bootstrap … --database … --collection … --topic …
//!                                      --start-at … | --copy
//! a server    millrace bench replay | acknowledge …
//!     log: its line that says it runs, a server's with its address
//!     SIGTERM ──► exit code 0   (anything else fails the arm)
//! ```

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::Timestamp;
use millrace_testbed::{Lifetime, Limits, Process};
use tempfile::TempDir;

use crate::arm::{NodePlan, Start};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 30;

/// It runs. Dropping it kills it.
#[derive(Debug)]
pub struct OwnProcess {
    process: Process,
    /// What stands behind the words that say it runs.
    address: String,
    /// Where its log lies.
    _folder: TempDir,
}

impl OwnProcess {
    /// Starts `millrace bench <command>` for what `plan` describes and waits until its log says `running`.
    pub(crate) async fn start(command: &str, running: &str, plan: &NodePlan) -> Result<Self> {
        let mut line = Command::new(&plan.binary);
        line.args(["bench", command, "--uri", &plan.mongodb_uri]);
        line.args(["--bootstrap", &plan.bootstrap, "--database", &plan.database]);
        line.args(["--collection", &plan.collection, "--topic", &plan.topic(&plan.collection)]);
        match plan.start {
            Start::At(Timestamp { time, increment }) => {
                line.args(["--start-at", &format!("{time},{increment}")])
            }
            Start::Copy => line.arg("--copy"),
            Start::Now => bail!("{command} starts at a cluster time, or with a copy"),
        };
        Self::run(command, running, line, &Limits::default()).await
    }

    /// Starts `line` with no more than `limits` as `role` and waits until a line of its log has said `running`.
    pub(crate) async fn run(
        role: &str,
        running: &str,
        line: Command,
        limits: &Limits,
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("millrace-arm-")
            .with_context(|| format!("could not make a temporary folder for {role}"))?;
        let log = folder.path().join("log");
        let process = Process::start_limited(role, line, &log, Lifetime::WithParent, limits)?;
        let mut own = Self { process, address: String::new(), _folder: folder };
        let started = Instant::now();
        loop {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            // A line without its end may be half of one.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some((_, address)) = whole.lines().find_map(|line| line.split_once(running)) {
                own.address = address.trim().to_owned();
                return Ok(own);
            }
            own.ensure_alive()?;
            if START_TIMEOUT < started.elapsed() {
                bail!("{role} does not run within {START_TIMEOUT:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Where it listens, if it is a server: host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Fails with the end of its log if it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}); its log ends with:\n{}",
                self.process.role(),
                self.log_tail()
            ),
        }
    }

    /// Asks it to stop and waits for it. Fails unless it ends with code 0.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.ensure_alive()?;
        let status = self.process.stop(STOP_TIMEOUT).await?;
        if !status.success() {
            bail!("{} failed ({status}): {}", self.process.role(), self.log_tail());
        }
        Ok(())
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail(LOG_TAIL_LINES)
    }
}
