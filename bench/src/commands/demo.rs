//! `millrace demo`: the tour on real servers.

use anyhow::Result;
use clap::Args;
use millrace_testbed::Servers;

use super::{Outcome, WrongUsage, print};
use crate::arm;
use crate::demo::{self, Tour};
use crate::present;
use crate::progress::Progress;

pub(super) const EXAMPLES: &str = "Examples:
  millrace demo
  millrace demo --events 50000 --json > demo.json
  millrace demo --keep                        leaves servers and node running; `millrace testbed down` ends them";

/// Options of `millrace demo`.
#[derive(Debug, Args)]
pub struct Options {
    /// Events in the backlog
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,
    /// Writes per second while latency is measured
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rate: u32,
    /// Leave servers and node running, and say how to look around
    #[arg(long)]
    keep: bool,
    /// Where servers come from: auto, docker, native or external
    #[arg(long, default_value_t = Servers::Auto, value_name = "SOURCE")]
    servers: Servers,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Result<Outcome> {
    if options.keep && options.servers == Servers::External {
        let hint = "--keep leaves servers of its own running; leave out --servers external";
        return Err(WrongUsage(hint.to_owned()).into());
    }
    let tour = Tour {
        events: options.events,
        rate_per_s: options.rate,
        keep: options.keep,
        servers: options.servers,
        binary: arm::own_binary()?,
    };
    let summary = demo::run(&tour, Progress::on_terminal()).await?;
    print(options.json, || Ok(serde_json::to_value(&summary)?), || present::demo(&summary))?;
    for line in &summary.fault_examples {
        eprintln!("{line}");
    }
    Ok(if summary.is_clean() { Outcome::Done } else { Outcome::Failed })
}
