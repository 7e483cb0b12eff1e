//! The rig's commands of the binary `millrace`: what they take, and what they print.
//!
//! ```text
//! millrace demo | bench list|run|compare|gate|noise|export | report | plan | testbed up|down|status | load
//!      stdout   the result: text, or with --json one document
//!      stderr   logs, bars, errors
//!      exit     0 done    1 failed, the ledger is not clean, or the gate is shut    2 wrong usage
//! ```
//!
//! The node's binary flattens [`Rig`] into its own commands and hands it to [`run`]. Names, flags and exit codes are a
//! contract.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use millrace_loadgen::stop::Stop;

mod bench;
mod demo;
mod judge;
mod load;
mod oracle;
mod plan;
mod report;
mod testbed;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Rig {
    /// Tour on real servers: start, load, replicate, verify, report
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Options),
    /// Run scenarios and keep their records
    #[command(subcommand, after_help = bench::EXAMPLES)]
    Bench(bench::Bench),
    /// Capacity planning from measured runs
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::Options),
    /// Real MongoDB and Kafka servers by hand
    #[command(subcommand, after_help = testbed::EXAMPLES)]
    Testbed(testbed::Testbed),
    /// Write seeded load to a MongoDB
    #[command(after_help = load::EXAMPLES)]
    Load(Box<load::Options>),
    /// Write what all records say into one HTML file
    #[command(after_help = report::EXAMPLES)]
    Report(report::Options),
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
        Rig::Demo(options) => demo::run(options).await,
        Rig::Bench(command) => bench::run(command).await,
        Rig::Plan(options) => plan::run(options),
        Rig::Testbed(command) => testbed::run(command).await,
        Rig::Load(options) => load::run(*options).await,
        Rig::Report(options) => report::run(&options),
    }
}

/// Prints the one document that a machine reads, or the text that a person does.
fn print(
    json: bool,
    document: impl FnOnce() -> Result<serde_json::Value>,
    text: impl FnOnce() -> String,
) -> Result<()> {
    let text = if json { format!("{}\n", document()?) } else { text() };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who reads has seen enough: `millrace … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not print the result"),
    }
}

/// The first Ctrl-C asks for an end and says `what` comes now, the second is one.
fn stop_on_ctrl_c(what: &'static str) -> Stop {
    let stop = Stop::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("{what}; Ctrl-C again ends the process at once");
            asked.request();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
    stop
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
            "millrace bench run oracle --events 20000 --seed 3 --json",
            "millrace bench compare drain --new latest --base latest~1 --force --json",
            "millrace bench gate drain --counts - --accept --pairs pairs.json --json",
            "millrace bench noise drain --keep --json",
            "millrace bench export drain --format omb --run latest~2 --out results",
            "millrace plan --events-per-s 50000 --document-bytes 1024 --p99-ms 50 --outage-h 24 --json",
            "millrace testbed up --members 3 --auth --json",
            "millrace testbed down",
            "millrace testbed status --json",
            "millrace load --uri mongodb://h --rate 100 --operations 500 --mix all",
            "millrace report --out r.html --records records --json",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        for line in [
            "millrace demo --servers podman",
            "millrace demo --events 0",
            "millrace bench run",
            "millrace plan",
            "millrace plan --events-per-s 0",
            "millrace bench export drain --format xml",
            "millrace bench compare drain --base latest~x",
            "millrace bench gate --accept",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Millrace::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:"), "{}", command.get_name());
        }
    }
}
