//! `millrace load`: writes seeded load to a MongoDB.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::workload::{KeySpread, Mix, Workload};
use millrace_loadgen::writer::{write_backlog, write_open_loop};

use super::{Outcome, WrongUsage, print};
use crate::present;
use crate::progress::Progress;

pub(super) const EXAMPLES: &str = "Examples:
  millrace load --uri mongodb://localhost:27017/?replicaSet=rs0 --operations 100000
  millrace load --uri $URI --rate 1000 --operations 60000 --mix all      one minute, each write at its time";

/// Options of `millrace load`.
#[derive(Debug, Args)]
pub struct Options {
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

pub(super) async fn run(options: Options) -> Result<Outcome> {
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

impl Options {
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
