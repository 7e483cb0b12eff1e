//! The scenarios of `millrace bench`, as files that are part of the binary.
//!
//! ```text
//! # The question that the scenario answers.          first line, shown by `bench list`
//! name, seed, events, rounds, arms
//! [load]      writers, and how often each kind of write comes
//! [document]  what a document looks like
//! [servers]   cache, oplog and heap: else the server would take what the machine has
//! ```
//!
//! A setting that a file does not know is an error, not a surprise. Sizes carry their unit in their name.

use anyhow::{Context, Result, ensure};
use millrace_loadgen::document::{DocumentShape, Kinds};
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan};
use serde::{Deserialize, Serialize};

use crate::arm::Format;
use crate::rival::Rival;

const FILES: [&str; 1] = [include_str!("../scenarios/drain.toml")];

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Reads the change stream and drops it.
    NullReader,
    /// The node, keys and values as JSON text.
    NodeJson,
    /// The node, keys and values as BSON.
    NodeBson,
    /// See [`Rival::ConnectorDefault`].
    ConnectorDefault,
    /// See [`Rival::ConnectorTuned`].
    ConnectorTuned,
    /// See [`Rival::ConnectorBson`].
    ConnectorBson,
    /// See [`Rival::StraightLine`].
    StraightLine,
    /// Writes records like the events, and reads nothing.
    NullWriter,
    /// See [`Rival::NullPath`].
    NullPath,
}

impl Arm {
    /// Every rival, in the order of tables.
    pub const RIVALS: [Self; 4] =
        [Self::ConnectorDefault, Self::ConnectorTuned, Self::ConnectorBson, Self::StraightLine];

    /// As records name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NullReader => "null-reader",
            Self::NodeJson => "node-json",
            Self::NodeBson => "node-bson",
            Self::ConnectorDefault => "connector-default",
            Self::ConnectorTuned => "connector-tuned",
            Self::ConnectorBson => "connector-bson",
            Self::StraightLine => "straight-line",
            Self::NullWriter => "null-writer",
            Self::NullPath => "null-path",
        }
    }

    /// Who replicates, and what becomes of an event; `None`: nobody does.
    pub fn contender(self) -> Option<(Option<Rival>, Format)> {
        let rival = match self {
            Self::NullReader | Self::NullWriter => return None,
            Self::NodeJson => return Some((None, Format::Json)),
            Self::NodeBson => return Some((None, Format::Bson)),
            Self::ConnectorDefault => Rival::ConnectorDefault,
            Self::ConnectorTuned => Rival::ConnectorTuned,
            Self::ConnectorBson => Rival::ConnectorBson,
            Self::StraightLine => Rival::StraightLine,
            Self::NullPath => Rival::NullPath,
        };
        Some((Some(rival), rival.format()))
    }
}

/// One scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The question that it answers.
    #[serde(skip)]
    pub question: String,
    /// Its name on the command line and in records.
    pub name: String,
    /// Of the workload.
    pub seed: u64,
    /// Writes, each of which makes one event.
    pub events: u64,
    /// How often every arm runs before anything is recorded.
    pub warm_up_rounds: u32,
    /// How often every arm runs.
    pub rounds: u32,
    /// What is compared.
    pub arms: Vec<Arm>,
    load: Load,
    document: Document,
    servers: Servers,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Load {
    writers: u32,
    insert: u16,
    update: u16,
    replace: u16,
    delete: u16,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    bytes: u32,
    fields: u32,
    kinds: KindsName,
    unicode: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum KindsName {
    Plain,
    All,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Servers {
    cache_gb: f64,
    oplog_mb: u32,
    heap_mb: u32,
}

impl Scenario {
    /// All that there are.
    pub fn all() -> Result<Vec<Self>> {
        FILES.iter().map(|file| Self::parse(file)).collect()
    }

    fn parse(file: &str) -> Result<Self> {
        let question = file.lines().next().and_then(|line| line.strip_prefix("# "));
        let question = question.context("a scenario begins with its question, as a comment")?;
        let scenario: Self = toml::from_str(file)
            .with_context(|| format!("could not read the scenario that asks {question:?}"))?;
        ensure!(scenario.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        Ok(Self { question: question.to_owned(), ..scenario })
    }

    /// What it writes.
    pub fn workload(&self) -> Workload {
        let Load { writers, insert, update, replace, delete } = self.load;
        Workload {
            seed: self.seed,
            database: format!("millrace_{}", self.name.replace('-', "_")),
            collections: Collections::one("events"),
            operations: self.events,
            writers,
            mix: Mix { insert, update, replace, delete, ..Mix::INSERTS },
            document: DocumentShape {
                bytes: self.document.bytes,
                fields: self.document.fields,
                kinds: match self.document.kinds {
                    KindsName::Plain => Kinds::Plain,
                    KindsName::All => Kinds::All,
                },
                unicode: self.document.unicode,
                special_doubles: false,
            }
            .into(),
            key_spread: KeySpread::Uniform,
        }
    }

    /// The servers that it runs on.
    pub fn plan(&self) -> Plan {
        let Servers { cache_gb, oplog_mb, heap_mb } = self.servers;
        Plan::default()
            .mongodb(MongodbPlan::default().cache_gb(cache_gb).oplog_mb(oplog_mb))
            .kafka(KafkaPlan::default().heap_mb(heap_mb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_run() {
        for scenario in Scenario::all().expect("well-formed") {
            scenario.workload().check().expect("a workload that can be run");
            assert!(!scenario.arms.is_empty() && scenario.rounds != 0, "{}", scenario.name);
            assert!(scenario.question.ends_with('?'), "{}", scenario.question);
        }
    }

    #[test]
    fn a_setting_that_no_scenario_has_is_refused() {
        let file = FILES[0].replace("\nrounds = 5", "\nrounds = 5\nround = 5");
        assert!(format!("{:#}", Scenario::parse(&file).expect_err("refused")).contains("round"));
        assert!(Scenario::parse("name = \"x\"").is_err(), "no question");
    }
}
