//! The command line of `millrace`.
//!
//! Exit codes are a contract: 0 done, 1 failed, 2 wrong usage or configuration. Logs go to stderr;
//! stdout belongs to what a command has to say.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(test)]
#[path = "../../core/src/allocations.rs"]
mod allocations;
#[cfg(feature = "rig")]
mod compat;
mod config;
mod distributed;
mod doctor;
mod group;
mod herder;
mod kafka;
mod logging;
mod metrics;
mod offsets;
mod page;
mod process;
mod rest;
mod standalone;
mod task;
mod worker;

/// Moves changes from MongoDB to Kafka, and measures itself doing so.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run connectors as a standalone worker of Kafka Connect does, with its REST interface
    #[command(
        after_help = "The REST interface listens where `listeners` in the worker's file says, by default on \
        port 8083 of every interface; an empty `listeners=` goes without it, and the worker then ends with its last \
        connector.\n\nExamples:\n  \
        millrace standalone worker.properties\n  \
        millrace standalone worker.properties mongodb-source.json\n  \
        millrace standalone worker.properties orders.json customers.properties --strict"
    )]
    Standalone(StandaloneArgs),
    /// Run a worker of a group as a distributed worker of Kafka Connect does
    #[command(
        after_help = "Workers with the same `group.id` and the same three topics share their connectors out, and \
        workers of Kafka Connect can be among them. Connectors come by the REST interface of any worker, by default on \
        port 8083.\n\nExamples:\n  \
        millrace distributed worker.properties\n  \
        curl -X POST -H 'Content-Type: application/json' --data @mongodb-source.json http://localhost:8083/connectors"
    )]
    Distributed(DistributedArgs),
    /// Say what would fail: the machine, the files, MongoDB and Kafka
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::DoctorArgs),
    /// Write the generated parts of COMPAT.md anew
    #[cfg(feature = "rig")]
    #[command(after_help = compat::EXAMPLES)]
    Compat(compat::CompatArgs),
    #[cfg(feature = "rig")]
    #[command(flatten)]
    Rig(millrace_bench::commands::Rig),
}

/// Files of a worker and its connectors, as Kafka Connect reads them.
#[derive(Debug, clap::Args)]
pub(crate) struct StandaloneArgs {
    /// Worker file (.properties)
    worker: PathBuf,
    /// Connector files (.properties, or the JSON that one would POST); further ones come by REST
    connectors: Vec<PathBuf>,
    /// Refuse properties that Kafka Connect and the connector do not know
    #[arg(long)]
    strict: bool,
    /// Read this many events of one connector, drop them, and say how fast they came
    #[arg(long, value_name = "EVENTS")]
    only_read: Option<u64>,
}

/// The file of a worker in a group, as Kafka Connect reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct DistributedArgs {
    /// Worker file (.properties)
    worker: PathBuf,
    /// Refuse properties that Kafka Connect and the connector do not know
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let loggers = logging::start();
    match cli.command {
        Command::Standalone(args) => standalone::run(&args, loggers),
        Command::Distributed(args) => distributed::run(&args, loggers),
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "rig")]
        Command::Compat(args) => compat::run(&args),
        #[cfg(feature = "rig")]
        Command::Rig(command) => millrace_bench::commands::run(command),
    }
}
