//! The rig's commands of the binary `millrace`: what they take, and what they print.
//!
//! ```text
//! millrace demo | bench list | bench run NAME | testbed up|down|status | load
//!      stdout   the result: text, or with --json one document
//!      stderr   logs, bars, errors
//!      exit     0 done    1 failed, or the ledger is not clean    2 wrong usage
//! ```
//!
//! The node's binary flattens [`Rig`] into its own commands and hands it to [`run`]. Names, flags and exit codes are a
//! contract.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{KeySpread, Mix, Workload};
use millrace_loadgen::writer::{write_backlog, write_open_loop};
use millrace_results::store::Store;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, detached};
use serde_json::json;

use crate::arm;
use crate::demo::{self, Tour};
use crate::drain;
use crate::present;
use crate::progress::Progress;
use crate::scenario::Scenario;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Rig {
    /// Tour on real servers: start, load, replicate, verify, report
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Run scenarios and keep their records
    #[command(subcommand, after_help = BENCH_EXAMPLES)]
    Bench(Bench),
    /// Real MongoDB and Kafka servers by hand
    #[command(subcommand, after_help = TESTBED_EXAMPLES)]
    Testbed(TestbedCommand),
    /// Write seeded load to a MongoDB
    #[command(after_help = LOAD_EXAMPLES)]
    Load(Load),
}

const DEMO_EXAMPLES: &str = "Examples:
  millrace demo
  millrace demo --events 50000 --json > demo.json
  millrace demo --keep                        leaves servers and node running; `millrace testbed down` ends them";

const BENCH_EXAMPLES: &str = "Examples:
  millrace bench list
  millrace bench run drain
  millrace bench run drain --events 200000 --rounds 5 --json";

const TESTBED_EXAMPLES: &str = "Examples:
  millrace testbed up
  millrace testbed up --members 3 --json
  millrace testbed status
  millrace testbed down";

const LOAD_EXAMPLES: &str = "Examples:
  millrace load --uri mongodb://localhost:27017/?replicaSet=rs0 --operations 100000
  millrace load --uri $URI --rate 1000 --operations 60000 --mix all      one minute, each write at its time";

/// Options of `millrace demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Events in the backlog
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: u64,
    /// Writes per second while latency is measured
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rate: u32,
    /// Leave servers and node running, and say how to look around
    #[arg(long)]
    keep: bool,
    /// Where servers come from: auto, native or external
    #[arg(long, default_value_t = Servers::Auto, value_name = "SOURCE")]
    servers: Servers,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

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
}

/// Options of `millrace bench run`.
#[derive(Debug, Args)]
pub struct BenchRun {
    /// The scenario
    name: String,
    /// Events instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,
    /// Rounds instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Seed instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Where servers come from: auto, native or external
    #[arg(long, default_value_t = Servers::Auto, value_name = "SOURCE")]
    servers: Servers,
    /// The binary that is measured, instead of this one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Print the record as one JSON document
    #[arg(long)]
    json: bool,
}

/// Commands of `millrace testbed`.
#[derive(Debug, Subcommand)]
pub enum TestbedCommand {
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

/// Options of `millrace load`.
#[derive(Debug, Args)]
pub struct Load {
    /// Where to write; also from MILLRACE_MONGODB_URI
    #[arg(long)]
    uri: Option<String>,
    /// The database
    #[arg(long, default_value = "millrace_load")]
    database: String,
    /// The collection; it must not hold documents of an earlier load
    #[arg(long, default_value = "events")]
    collection: String,
    /// Writes
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    operations: u64,
    /// Writes per second, each at its time with w:majority; without it as fast as it goes with w:1
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Kinds of writes
    #[arg(long, value_enum, default_value_t = MixName::Inserts)]
    mix: MixName,
    /// Size of a document
    #[arg(long, default_value_t = 1_024, value_name = "BYTES")]
    document_bytes: u32,
    /// Writers, each with keys of its own
    #[arg(long, default_value_t = 4)]
    writers: u32,
    /// The same seed writes the same documents
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Kinds of writes and of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MixName {
    /// New plain documents
    Inserts,
    /// Inserts, updates, replaces and deletes with every BSON type
    All,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It ran to its end, but what it found is not good.
    Failed,
}

/// An error of the person at the keyboard.
#[derive(Debug)]
struct WrongUsage(String);

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// Runs a command to its end, prints its result or its error, and says how the process is to exit. Must not be called
/// from within an asynchronous runtime: it makes its own.
pub fn run(command: Rig) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(command)),
        Err(error) => Err(error).context("could not start the runtime of the rig"),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
        }
    }
}

async fn dispatch(command: Rig) -> Result<Outcome> {
    match command {
        Rig::Demo(demo) => run_demo(demo).await,
        Rig::Bench(Bench::List { json }) => list(json),
        Rig::Bench(Bench::Run(bench)) => run_bench(bench).await,
        Rig::Testbed(command) => run_testbed(command).await,
        Rig::Load(load) => run_load(load).await,
    }
}

async fn run_demo(options: Demo) -> Result<Outcome> {
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

fn list(json: bool) -> Result<Outcome> {
    let scenarios = Scenario::all()?;
    let rows = || {
        let row = |scenario: &Scenario| {
            let arms: Vec<_> = scenario.arms.iter().map(|arm| arm.name()).collect();
            json!({ "name": scenario.name, "question": scenario.question, "arms": arms,
                "events": scenario.events, "rounds": scenario.rounds })
        };
        Ok(scenarios.iter().map(row).collect())
    };
    print(json, rows, || present::scenarios(&scenarios))?;
    Ok(Outcome::Done)
}

async fn run_bench(options: BenchRun) -> Result<Outcome> {
    let scenarios = Scenario::all()?;
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let found = scenarios.into_iter().find(|scenario| scenario.name == options.name);
    let Some(mut scenario) = found else {
        let (name, names) = (options.name, names.join(", "));
        return Err(WrongUsage(format!("there is no scenario {name:?}; there are: {names}")).into());
    };
    scenario.events = options.events.unwrap_or(scenario.events);
    scenario.rounds = options.rounds.unwrap_or(scenario.rounds);
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    let binary = options.binary.map_or_else(arm::own_binary, Ok)?;
    let run = drain::Run { scenario, servers: options.servers, binary };
    let record = drain::run(&run, Progress::on_terminal()).await?;
    match Store::locate().and_then(|store| store.append(&record)) {
        Ok(path) => tracing::info!("record appended to {}", path.display()),
        Err(error) => tracing::warn!("the record is not kept: {error:#}"),
    }
    print(options.json, || Ok(serde_json::to_value(&record)?), || present::record(&record))?;
    let valid = record.arms.iter().all(|arm| arm.valid);
    Ok(if valid { Outcome::Done } else { Outcome::Failed })
}

async fn run_testbed(command: TestbedCommand) -> Result<Outcome> {
    match command {
        TestbedCommand::Up { members, auth, json } => {
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
        TestbedCommand::Down { json } => {
            let report = detached::down().await?;
            print(json, || Ok(serde_json::to_value(&report)?), || present::servers_down(&report))?;
        }
        TestbedCommand::Status { json } => {
            let status = detached::status()?;
            print(json, || Ok(serde_json::to_value(&status)?), || present::servers(&status))?;
        }
    }
    Ok(Outcome::Done)
}

async fn run_load(options: Load) -> Result<Outcome> {
    let from_environment = || std::env::var("MILLRACE_MONGODB_URI").ok();
    let Some(uri) = options.uri.clone().or_else(from_environment) else {
        let hint = "no address to write to; give --uri or set MILLRACE_MONGODB_URI";
        return Err(WrongUsage(hint.to_owned()).into());
    };
    let workload = options.workload();
    workload.check().map_err(|error| WrongUsage(error.to_string()))?;
    let bar = Progress::on_terminal().count("loading", workload.operations);
    let (written, lateness) = match options.rate {
        Some(rate) => {
            let start = Instant::now() + Duration::from_millis(500);
            let written = write_open_loop(&uri, &workload, f64::from(rate), start).await;
            written.map(|(written, lateness)| (written, Some(lateness)))
        }
        None => {
            let written = write_backlog(&uri, &workload, |done| bar.set_position(done)).await;
            written.map(|written| (written, None))
        }
    }
    .context("the load was not written")?;
    bar.finish_and_clear();
    let document = || Ok(present::load_json(&workload, &written, lateness.as_ref()));
    print(options.json, document, || present::load(&workload, &written, lateness.as_ref()))?;
    Ok(Outcome::Done)
}

impl Load {
    fn workload(&self) -> Workload {
        let (mix, shape) = match self.mix {
            MixName::Inserts => (Mix::INSERTS, DocumentShape::PLAIN_1_KB),
            MixName::All => (Mix::ALL, DocumentShape::ALL_1_KB),
        };
        Workload {
            seed: self.seed,
            database: self.database.clone(),
            collections: vec![self.collection.clone()],
            operations: self.operations,
            writers: self.writers,
            mix,
            document: DocumentShape { bytes: self.document_bytes, ..shape },
            key_spread: KeySpread::Uniform,
        }
    }
}

/// Prints the one document that a machine reads, or the text that a person does.
fn print(
    json: bool,
    document: impl FnOnce() -> Result<serde_json::Value>,
    text: impl FnOnce() -> String,
) -> Result<()> {
    if json {
        println!("{}", document()?);
    } else {
        print!("{}", text());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Millrace {
        #[command(subcommand)]
        rig: Rig,
    }

    fn parse(line: &str) -> Result<Rig, clap::Error> {
        Millrace::try_parse_from(line.split(' ')).map(|millrace| millrace.rig)
    }

    #[test]
    fn the_commands_of_the_contract_are_there() {
        Millrace::command().debug_assert();
        for line in [
            "millrace demo --events 50000 --keep --json --servers native --rate 500",
            "millrace bench list --json",
            "millrace bench run drain --events 20000 --rounds 1 --seed 7 --json --servers external",
            "millrace testbed up --members 3 --auth --json",
            "millrace testbed down",
            "millrace testbed status --json",
            "millrace load --uri mongodb://h --rate 100 --operations 500 --mix all",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        for line in
            ["millrace demo --servers podman", "millrace demo --events 0", "millrace bench run"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[tokio::test]
    async fn a_scenario_that_does_not_exist_is_wrong_usage() {
        let Rig::Bench(Bench::Run(options)) = parse("millrace bench run drian").expect("parses")
        else {
            panic!("another command");
        };
        let error = run_bench(options).await.expect_err("unknown");
        assert!(
            error.is::<WrongUsage>() && error.to_string().contains("there are: drain"),
            "{error}"
        );
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Millrace::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:"), "{}", command.get_name());
        }
    }
}
