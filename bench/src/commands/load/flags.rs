//! The flags of `millrace load` that say what is written, and how they stand above a settings file.
//!
//! ```text
//! --profile KIND:key=value,…     the keys of `[profile]` in a settings file
//!           steps:100x10,500x10  100/s for 10 s, then 500/s
//!           trace:FILE
//! --keys    uniform | skewed | zipf:0.99 | hot:0.1:0.9    a tenth of the keys takes nine tenths
//! ```

use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use millrace_loadgen::settings::{
    DocumentSettings, KeySettings, LoadSettings, Members, ProfileSettings, StepSettings,
    TransactionSettings, WriteConcernSettings,
};
use millrace_loadgen::workload::Mix;

/// Each stands above the setting of the file.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The database [default: millrace_load]
    #[arg(long)]
    database: Option<String>,
    /// The collection, or what the names of several begin with; it must not hold documents of an earlier load
    /// [default: events]
    #[arg(long)]
    collection: Option<String>,
    /// How many collections [default: 1]
    #[arg(long, value_name = "N")]
    collections: Option<u32>,
    /// Writes [default: 100000, or as many as a trace has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    operations: Option<u64>,
    /// Writes per second, each at its time with w:majority; without it as fast as it goes with w:1
    #[arg(long, value_name = "PER_S", conflicts_with = "profile")]
    rate: Option<f64>,
    /// A rate that changes: ramp, steps, burst, sine or trace, as in the examples
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    profile: Option<ProfileSettings>,
    /// Random gaps between the writes, those of many independent sources
    #[arg(long)]
    poisson: bool,
    /// Kinds of writes
    #[arg(long, value_enum)]
    mix: Option<MixName>,
    /// Writes in transactions of so many operations
    #[arg(long, value_name = "OPERATIONS")]
    transactions: Option<u16>,
    /// Share of the writes that are in transactions, 0 to 1 [default: 1]
    #[arg(long, value_name = "SHARE", requires = "transactions")]
    transaction_share: Option<f64>,
    /// Which keys are changed: uniform, skewed, zipf:THETA or hot:KEYS:OPERATIONS
    #[arg(long, value_name = "SPREAD", value_parser = keys)]
    keys: Option<KeySettings>,
    /// The name of a shape, or a template in a file that ends with .json
    #[arg(long, value_name = "SHAPE|FILE")]
    document: Option<String>,
    /// Size of a document of a shape
    #[arg(long, value_name = "BYTES")]
    document_bytes: Option<u32>,
    /// Writers, each with keys of its own [default: 4]
    #[arg(long, value_name = "N")]
    writers: Option<u32>,
    /// Writes in flight at most, where they have times [default: 64]
    #[arg(long, value_name = "N", value_parser = super::connections)]
    connections: Option<NonZero<u32>>,
    /// majority, or a number of members
    #[arg(long, value_name = "W")]
    write_concern: Option<String>,
    /// Wait for the journal
    #[arg(long)]
    journal: bool,
    /// The same seed writes the same documents [default: 42]
    #[arg(long)]
    seed: Option<u64>,
}

/// Kinds of writes and of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MixName {
    /// New plain documents
    Inserts,
    /// Inserts, updates, replaces and deletes with every BSON type
    All,
    /// A tenth inserts, else updates: set, unset, inc, push, pop, truncated and altered lists
    Updates,
}

impl Flags {
    /// What is said here, else what `settings` says. Files that are named here are looked for where the user is.
    pub(super) fn over(&self, mut settings: LoadSettings) -> Result<LoadSettings, String> {
        let LoadSettings { seed, database, collection, collections, writers, connections, .. } =
            &mut settings;
        replace(seed, self.seed);
        replace(database, self.database.clone());
        replace(collection, self.collection.clone());
        replace(collections, self.collections);
        replace(writers, self.writers);
        replace(connections, self.connections);
        settings.operations = self.operations.or(settings.operations);
        settings.poisson |= self.poisson;
        replace(&mut settings.keys, self.keys);
        self.profile_over(&mut settings)?;
        self.mix_over(&mut settings);
        self.document_over(&mut settings)?;
        self.write_concern_over(&mut settings);
        Ok(settings)
    }

    fn profile_over(&self, settings: &mut LoadSettings) -> Result<(), String> {
        if let Some(per_s) = self.rate {
            settings.profile = Some(ProfileSettings::Constant { per_s });
        }
        match &self.profile {
            Some(ProfileSettings::Trace { file }) => {
                settings.profile = Some(ProfileSettings::Trace { file: from_here(file)? });
            }
            Some(other) => settings.profile = Some(other.clone()),
            None => {}
        }
        Ok(())
    }

    fn mix_over(&self, settings: &mut LoadSettings) {
        if let Some(mix) = self.mix {
            let (mix, shape) = match mix {
                MixName::Inserts => (Mix::INSERTS, "plain"),
                MixName::All => (Mix::ALL, "all"),
                MixName::Updates => (Mix::UPDATES, "plain"),
            };
            let transactions = settings.mix.transactions;
            settings.mix = mix.into();
            settings.mix.transactions = transactions;
            if settings.document == DocumentSettings::default() {
                settings.document.shape = Some(shape.to_owned());
            }
        }
        if let Some(operations) = self.transactions {
            let share = self.transaction_share.unwrap_or(1.0);
            settings.mix.transactions = Some(TransactionSettings { operations, share });
        }
    }

    fn document_over(&self, settings: &mut LoadSettings) -> Result<(), String> {
        let nothing = DocumentSettings { shape: None, ..DocumentSettings::default() };
        match &self.document {
            Some(name) if name.ends_with(".json") => {
                let template = Some(from_here(Path::new(name))?);
                settings.document = DocumentSettings { template, ..nothing };
            }
            Some(name) => {
                settings.document = DocumentSettings { shape: Some(name.clone()), ..nothing };
            }
            None => {}
        }
        settings.document.bytes = self.document_bytes.or(settings.document.bytes);
        Ok(())
    }

    fn write_concern_over(&self, settings: &mut LoadSettings) {
        if let Some(w) = &self.write_concern {
            let w = w.parse().map_or_else(|_| Members::Name(w.clone()), Members::Count);
            let journal = settings.write_concern.as_ref().and_then(|concern| concern.journal);
            settings.write_concern = Some(WriteConcernSettings { w, journal });
        }
        if self.journal {
            let paced = settings.profile.is_some();
            let usual =
                if paced { Members::Name("majority".to_owned()) } else { Members::Count(1) };
            let w = settings.write_concern.take().map_or(usual, |concern| concern.w);
            settings.write_concern = Some(WriteConcernSettings { w, journal: Some(true) });
        }
    }
}

fn replace<T>(setting: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *setting = flag;
    }
}

/// Settings look for files in a folder of their own, which a path from the root does not heed.
fn from_here(file: &Path) -> Result<PathBuf, String> {
    std::path::absolute(file).map_err(|error| format!("{} is no path: {error}", file.display()))
}

/// `KIND:key=value,…`, `steps:RATExSECONDS,…`, `trace:FILE`.
fn profile(text: &str) -> Result<ProfileSettings, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "trace" => Ok(ProfileSettings::Trace { file: rest.into() }),
        "steps" => {
            let steps = rest.split(',').map(|step| {
                let parts = step.split_once('x').and_then(|(per_s, lasts_s)| {
                    let (per_s, lasts_s) = (per_s.parse().ok()?, lasts_s.parse().ok()?);
                    Some(StepSettings { per_s, lasts_s })
                });
                parts
                    .ok_or_else(|| format!("{step:?} is no step: write RATExSECONDS, as in 100x10"))
            });
            Ok(ProfileSettings::Steps { steps: steps.collect::<Result<_, _>>()? })
        }
        _ => {
            let mut table = toml::Table::from_iter([("kind".to_owned(), kind.into())]);
            for pair in rest.split(',').filter(|pair| !pair.is_empty()) {
                let number = |value: &str| value.parse::<f64>().ok();
                let value =
                    pair.split_once('=').and_then(|(key, value)| Some((key, number(value)?)));
                let (key, value) = value.ok_or_else(|| {
                    format!("{pair:?} is no setting: write key=number, as in per_s=100")
                })?;
                table.insert(key.to_owned(), value.into());
            }
            table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
        }
    }
}

fn keys(text: &str) -> Result<KeySettings, String> {
    let parts: Vec<_> = text.split(':').collect();
    let number = |text: &str| {
        text.parse::<f64>().map_err(|_| format!("{text:?} is no number, as 0.99 would be"))
    };
    match parts[..] {
        ["uniform"] => Ok(KeySettings::Uniform {}),
        ["skewed"] => Ok(KeySettings::Skewed {}),
        ["zipf", theta] => Ok(KeySettings::Zipf { theta: number(theta)? }),
        ["hot", keys, operations] => {
            Ok(KeySettings::HotSet { keys: number(keys)?, operations: number(operations)? })
        }
        _ => Err("give uniform, skewed, zipf:THETA or hot:KEYS:OPERATIONS".to_owned()),
    }
}
