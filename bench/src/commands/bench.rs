//! `millrace bench`: runs scenarios and keeps their records.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use millrace_results::store::Store;
use millrace_testbed::Servers;
use serde_json::json;

use super::{Outcome, WrongUsage, judge, oracle, print, stop_on_ctrl_c};
use crate::alone::{broker, replay};
use crate::arm;
use crate::null_path;
use crate::present;
use crate::progress::Progress;
use crate::run;
use crate::scenario::{Arm, Entry, Scenario};
use crate::straight_line;

pub(super) const EXAMPLES: &str = "Examples:
  millrace bench list
  millrace bench run drain
  millrace bench run drain --events 200000 --rounds 5 --json
  millrace bench run drain --rivals all
  millrace bench run node-alone                         the node without mongod and Kafka in its way
  millrace bench run latency --rates 100,1000,5000 --seconds 10
  millrace bench run soak --seconds 3600
  millrace bench run oracle                             the MongoDB connector and the node, byte for byte
  millrace bench run mine.toml                          a scenario of your own
  millrace bench compare drain --base latest~3
  millrace bench gate --counts counts.json
  millrace bench export drain --format hgrm --out curves";

/// Commands of `millrace bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Show the scenarios and their questions
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Run a scenario and append its record to results/records
    Run(BenchRun),
    /// Replicate by the official driver and rdkafka: the rival that `run --rivals` starts
    #[command(hide = true)]
    StraightLine(straight_line::Options),
    /// Replicate by the shortest way there is: the bound of latency. It does not log in
    #[command(hide = true)]
    NullPath(straight_line::Options),
    /// Play captured replies of a change stream: the source of `run node-alone`
    #[command(hide = true)]
    Replay(replay::Options),
    /// Acknowledge what a producer sends, and count it: the sink of `run node-alone`
    #[command(hide = true)]
    Acknowledge(broker::Options),
    /// Compare two runs of a scenario, figure by figure
    Compare(judge::Compare),
    /// Fail if something became slower: exact counts, pairs, history
    Gate(judge::Gate),
    /// Show how much two runs of the same build differ
    Noise(judge::Noise),
    /// Write records in the formats of other tools, or the README's table
    Export(judge::Export),
}

/// Options of `millrace bench run`.
#[derive(Debug, Args)]
pub struct BenchRun {
    /// The scenario: a name of `bench list`, or a .toml file
    name: String,
    /// Events instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,
    /// Seconds of each recorded step of a load, instead of the scenario's number
    #[arg(long, value_parser = parse_above_zero)]
    seconds: Option<f64>,
    /// Rates per second of a load in steps, with commas, instead of the scenario's
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = parse_above_zero)]
    rates: Vec<f64>,
    /// Rounds instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Rounds before that, which are not recorded, instead of the scenario's number
    #[arg(long)]
    warm_up_rounds: Option<u32>,
    /// Seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Arms instead of the scenario's, with commas; a node's may have worker properties: node-bson+io.driver=epoll
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    arms: Vec<Entry>,
    /// Rivals to compare with, beside the scenario's arms: all, none, or names with commas
    #[arg(long, default_value = "none", value_name = "NAMES", value_parser = parse_rivals)]
    rivals: Rivals,
    /// Where servers come from: auto, docker, native or external
    #[arg(long, default_value_t = Servers::Auto, value_name = "SOURCE")]
    servers: Servers,
    /// The binary that is measured, instead of this one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Count the system calls of the arms by `perf stat`, which slows them a little; backlogs and replays only
    #[arg(long)]
    count_system_calls: bool,
    /// Another build of it, such as the last release: the node's arms run beside it, for `bench gate`
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
    /// Print the record as one JSON document
    #[arg(long)]
    json: bool,
}

impl BenchRun {
    /// What of it the oracle takes.
    fn for_oracle(self) -> Result<oracle::Options, WrongUsage> {
        let Self { events, seed, servers, binary, json, .. } = self;
        for (given, option) in [
            (self.seconds.is_some(), "--seconds"),
            (!self.rates.is_empty(), "--rates"),
            (self.rounds.is_some(), "--rounds"),
            (self.warm_up_rounds.is_some(), "--warm-up-rounds"),
            (!self.arms.is_empty(), "--arms"),
            (self.rivals != Rivals::default(), "--rivals"),
            (self.count_system_calls, "--count-system-calls"),
            (self.base.is_some(), "--base"),
        ] {
            if given {
                return Err(WrongUsage(format!(
                    "the oracle takes no {option}: it compares all records of the MongoDB connector and the node; give \
                     --events, --seed, --servers, --binary or --json"
                )));
            }
        }
        Ok(oracle::Options { events, seed, servers, binary, json })
    }
}

fn parse_above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| 0.0 < *number && number.is_finite());
    number.ok_or_else(|| format!("{text:?} is no number above zero"))
}

/// The rivals that are to take part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rivals(Vec<Arm>);

fn parse_rivals(text: &str) -> Result<Rivals, String> {
    let known = |name: &str| Arm::RIVALS.into_iter().find(|arm| arm.name() == name);
    let names = Arm::RIVALS.map(Arm::name).join(", ");
    match text {
        "all" => Ok(Rivals(Arm::RIVALS.to_vec())),
        "none" => Ok(Rivals::default()),
        _ => text
            .split(',')
            .map(|name| known(name).ok_or_else(|| format!("no rival {name:?}; there are: {names}")))
            .collect::<Result<_, _>>()
            .map(Rivals),
    }
}

pub(super) async fn run(command: Bench) -> Result<Outcome> {
    match command {
        Bench::List { json } => list(json),
        Bench::Run(options) => run_scenario(options).await,
        Bench::StraightLine(options) => {
            straight_line::run(&options).await?;
            Ok(Outcome::Done)
        }
        Bench::NullPath(options) => {
            null_path::run(&options).await?;
            Ok(Outcome::Done)
        }
        Bench::Replay(options) => {
            replay::run(&options).await?;
            Ok(Outcome::Done)
        }
        Bench::Acknowledge(options) => {
            broker::run(&options).await?;
            Ok(Outcome::Done)
        }
        Bench::Compare(options) => judge::compare(&options),
        Bench::Gate(options) => judge::gate(&options),
        Bench::Noise(options) => judge::noise(&options),
        Bench::Export(options) => judge::export(&options),
    }
}

fn list(json: bool) -> Result<Outcome> {
    let scenarios = Scenario::all()?;
    let rows = || {
        let row = |scenario: &Scenario| {
            let arms: Vec<_> = scenario.arms.iter().map(ToString::to_string).collect();
            json!({ "name": scenario.name, "question": scenario.question, "arms": arms,
                "needs": scenario.needs, "size": scenario.size(), "rounds": scenario.rounds })
        };
        let mut rows: Vec<_> = scenarios.iter().map(row).collect();
        rows.push(oracle::row());
        Ok(rows.into())
    };
    print(json, rows, || format!("{}{}", present::scenarios(&scenarios), oracle::line()))?;
    Ok(Outcome::Done)
}

/// A scenario by its name, or from a file of the user's.
fn find(name: &str) -> Result<Scenario> {
    if name.ends_with(".toml") {
        let read = Scenario::read(Path::new(name));
        return read.map_err(|error| WrongUsage(format!("{error:#}")).into());
    }
    let scenarios = Scenario::all()?;
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let found = scenarios.into_iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| {
        let names = names.join(", ");
        WrongUsage(format!(
            "there is no scenario {name:?}; there are: {names}; or name a .toml file"
        ))
        .into()
    })
}

async fn run_scenario(options: BenchRun) -> Result<Outcome> {
    if options.name == oracle::NAME {
        return oracle::run(options.for_oracle()?).await;
    }
    let mut scenario = find(&options.name)?;
    let wrong_usage = |error: anyhow::Error| WrongUsage(format!("{error:#}"));
    if !options.rates.is_empty() {
        scenario.set_rates(&options.rates).map_err(wrong_usage)?;
    }
    scenario.resize(options.events, options.seconds).map_err(wrong_usage)?;
    if !options.arms.is_empty() {
        scenario.arms = options.arms;
    }
    for rival in options.rivals.0 {
        if !scenario.arms.iter().any(|entry| entry.arm == rival) {
            scenario.arms.push(rival.into());
        }
    }
    scenario.rounds = options.rounds.unwrap_or(scenario.rounds);
    scenario.warm_up_rounds = options.warm_up_rounds.unwrap_or(scenario.warm_up_rounds);
    scenario.load.seed = options.seed.unwrap_or(scenario.load.seed);
    scenario.count_system_calls |= options.count_system_calls;
    let binary = options.binary.map_or_else(arm::own_binary, Ok)?;
    let stop = stop_on_ctrl_c("ending the run; what was measured is kept");
    let (servers, base) = (options.servers, options.base);
    let run = run::Run { scenario, servers, binary, base, stop };
    let record = run::run(&run, Progress::on_terminal()).await?;
    match Store::locate().and_then(|store| store.append(&record)) {
        Ok(path) => tracing::info!("record appended to {}", path.display()),
        Err(error) => tracing::warn!("the record is not kept: {error:#}"),
    }
    print(options.json, || Ok(serde_json::to_value(&record)?), || present::record(&record))?;
    let valid = record.arms.iter().all(|arm| arm.valid);
    Ok(if valid { Outcome::Done } else { Outcome::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rivals_are_named_one_by_one_or_all_together() {
        assert_eq!(parse_rivals("all").map(|rivals| rivals.0.len()), Ok(5));
        assert_eq!(parse_rivals("none"), Ok(Rivals::default()));
        assert_eq!(
            parse_rivals("straight-line,connector-bson"),
            Ok(Rivals(vec![Arm::StraightLine, Arm::ConnectorBson]))
        );
        assert!(parse_rivals("kafka").is_err_and(|error| error.contains("connector-tuned")));
    }

    #[tokio::test]
    async fn a_scenario_that_does_not_exist_is_wrong_usage() {
        let options = BenchRun {
            name: "drian".to_owned(),
            events: None,
            seconds: None,
            rates: Vec::new(),
            arms: Vec::new(),
            rounds: None,
            warm_up_rounds: None,
            rivals: Rivals::default(),
            count_system_calls: false,
            seed: None,
            servers: Servers::Native,
            binary: None,
            base: None,
            json: false,
        };
        let error = run_scenario(options).await.expect_err("unknown");
        assert!(
            error.is::<WrongUsage>() && error.to_string().contains("there are: drain"),
            "{error}"
        );
    }
}
