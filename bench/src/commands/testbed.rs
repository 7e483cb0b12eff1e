//! `millrace testbed`: real servers by hand.

use anyhow::Result;
use clap::Subcommand;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, detached};

use super::{Outcome, WrongUsage, print};
use crate::present;
use crate::progress::Progress;

pub(super) const EXAMPLES: &str = "Examples:
  millrace testbed up
  millrace testbed up --members 3 --json
  millrace testbed status
  millrace testbed down";

/// Commands of `millrace testbed`.
#[derive(Debug, Subcommand)]
pub enum Testbed {
    /// Start servers and leave them running
    Up {
        /// Members of the replica set: 1 or 3
        #[arg(long, default_value_t = 1)]
        members: usize,
        /// Make clients of MongoDB authenticate
        #[arg(long)]
        auth: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// End all servers that were left running, and remove their data
    Down {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show the servers that were left running
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Testbed) -> Result<Outcome> {
    match command {
        Testbed::Up { members, auth, json } => {
            if !matches!(members, 1 | 3) {
                let text = format!("a replica set has 1 or 3 members here, not {members}");
                return Err(WrongUsage(text).into());
            }
            let mongodb = MongodbPlan { auth, ..MongodbPlan::default().members(members) };
            let waiting = Progress::on_terminal().wait("servers");
            let plan = Plan::default().mongodb(mongodb).kafka(KafkaPlan::default());
            let state = detached::up(plan).await?;
            waiting.finish_and_clear();
            print(json, || Ok(serde_json::to_value(&state)?), || present::servers_up(&state))?;
        }
        Testbed::Down { json } => {
            let report = detached::down().await?;
            print(json, || Ok(serde_json::to_value(&report)?), || present::servers_down(&report))?;
        }
        Testbed::Status { json } => {
            let status = detached::status()?;
            print(json, || Ok(serde_json::to_value(&status)?), || present::servers(&status))?;
        }
    }
    Ok(Outcome::Done)
}
