//! An arm that is a hidden command of this very binary: started, watched and stopped as a process of its own.
//!
//! ```text
//! millrace bench <command> --uri … --bootstrap … --database … --collection … --topic … --start-at …
//!     log: its line that says it runs     SIGTERM ──► exit code 0   (anything else fails the arm)
//! ```

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::Timestamp;
use millrace_testbed::{Lifetime, Process};
use tempfile::TempDir;

use crate::arm::NodePlan;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 30;

/// It runs. Dropping it kills it.
#[derive(Debug)]
pub struct OwnProcess {
    process: Process,
    /// Where its log lies.
    _folder: TempDir,
}

impl OwnProcess {
    /// Starts `millrace bench <command>` for what `plan` describes and waits until its log says `running`.
    pub(crate) async fn start(command: &str, running: &str, plan: &NodePlan) -> Result<Self> {
        let folder = TempDir::with_prefix("millrace-arm-")
            .with_context(|| format!("could not make a temporary folder for {command}"))?;
        let Timestamp { time, increment } =
            plan.start_at.with_context(|| format!("{command} starts at a cluster time"))?;
        let mut line = Command::new(&plan.binary);
        line.args(["bench", command, "--uri", &plan.mongodb_uri]);
        line.args(["--bootstrap", &plan.bootstrap, "--database", &plan.database]);
        line.args(["--collection", &plan.collection, "--topic", &plan.topic(&plan.collection)]);
        line.args(["--start-at", &format!("{time},{increment}")]);
        let log = folder.path().join("log");
        let process = Process::start(command, line, &log, Lifetime::WithParent)?;
        let mut own = Self { process, _folder: folder };
        let started = Instant::now();
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(running) {
            own.ensure_alive()?;
            if START_TIMEOUT < started.elapsed() {
                bail!("{command} does not run within {START_TIMEOUT:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(own)
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
