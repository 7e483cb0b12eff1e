//! The scenarios of `millrace bench`: files that are part of the binary, or the user's own.
//!
//! ```text
//! # The question that the scenario answers.          first line, shown by `bench list`
//! name, warm_up_rounds, rounds, arms                 an arm may have worker properties: "node-bson+io.driver=epoll"
//! needs = ["tls"]         what an arm must have to take part; one that lacks it is recorded as unsupported
//! [load]                  as in `millrace load --settings`: operations, mix, keys, document, profile …
//! [connector]             properties that every connector gets
//! [servers]               cache, oplog and heap (else a server would take what the machine has), members, brokers
//!
//! nothing more            a backlog of load.operations is written, then every arm drains it
//! needs = ["snapshot"]    as many documents are inserted into one collection, then every arm copies it
//! needs = ["tls"]         arms connect encrypted to both servers, but for bounds and for "connector-tuned+in-the-clear"
//! [[step]]                per_s, lasts_s: the load comes at these rates, one after the other
//! [load.profile], lasts_s the load follows a profile
//! [[fault]]               at_s, until_s, and what goes wrong: beside steps or a profile
//! connectors = [1, 2 …]   backlogs, each drained by so many connectors
//! [ladder]                the highest rate at which an objective is kept, by rungs and bisection
//! [replay] events         the stream of the backlog is captured once and replayed to the node alone, without a broker
//! ```
//!
//! A setting that a file does not know is an error, not a surprise. Sizes carry their unit in their name.

mod arm;
mod course;
mod entry;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use millrace_loadgen::settings::{Load, LoadSettings};
use millrace_loadgen::workload::Workload;
use millrace_testbed::faults::Fault;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Tls};
use serde::{Deserialize, Serialize};

pub use arm::{Arm, Feature};
pub use course::{Course, Phase};
pub use entry::Entry;

const FILES: [&str; 16] = [
    include_str!("../../scenarios/drain.toml"),
    include_str!("../../scenarios/latency.toml"),
    include_str!("../../scenarios/ladder.toml"),
    include_str!("../../scenarios/soak.toml"),
    include_str!("../../scenarios/burst.toml"),
    include_str!("../../scenarios/failover.toml"),
    include_str!("../../scenarios/update-lookup.toml"),
    include_str!("../../scenarios/large-documents.toml"),
    include_str!("../../scenarios/many-collections.toml"),
    include_str!("../../scenarios/connectors.toml"),
    include_str!("../../scenarios/compression.toml"),
    include_str!("../../scenarios/snapshot.toml"),
    include_str!("../../scenarios/tls.toml"),
    include_str!("../../scenarios/node-alone.toml"),
    include_str!("../../scenarios/io-drivers.toml"),
    include_str!("../../scenarios/aa.toml"),
];

/// One scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The question that it answers.
    #[serde(skip)]
    pub question: String,
    /// Its name on the command line and in records.
    pub name: String,
    /// How often every arm runs before anything is recorded.
    pub warm_up_rounds: u32,
    /// How often every arm runs.
    pub rounds: u32,
    /// What is compared.
    pub arms: Vec<Entry>,
    /// What an arm must have.
    #[serde(default)]
    pub needs: Vec<Feature>,
    /// What is written.
    pub load: LoadSettings,
    /// Length of a load that follows a profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_s: Option<f64>,
    /// Rates, one after the other.
    #[serde(default, rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What goes wrong meanwhile.
    #[serde(default, rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultStep>,
    /// The search for the highest rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Ladder>,
    /// The node between the rig's own servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Connectors beside each other, rung by rung: each has a collection with load.operations of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<u32>,
    /// Properties that every connector gets beyond its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connector: BTreeMap<String, String>,
    /// Whether the system calls of the arms are counted, which costs them something: see [`crate::system_calls`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub count_system_calls: bool,
    servers: Servers,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One rate for some time.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Writes per second.
    pub per_s: f64,
    /// For how long.
    pub lasts_s: f64,
    /// Whether it only warms up what was just started; then it is checked and not recorded.
    #[serde(default)]
    pub warm_up: bool,
}

/// Something that goes wrong during the load.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FaultStep {
    /// Seconds after the first intended write.
    pub at_s: u32,
    /// When it is undone; left out: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<u32>,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// A search for the highest rate at which an objective is kept.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// The lowest rate that is tried.
    pub from_per_s: f64,
    /// The highest.
    pub to_per_s: f64,
    /// Rates on the way up, in even ratios, until one is not kept.
    pub rungs: u32,
    /// Rates that are tried between the last that was kept and the first that was not.
    pub refinements: u32,
    /// How long each is held.
    pub lasts_s: f64,
    /// The objective: 99 of 100 events take at most this.
    pub p99_ms_max: f64,
}

/// A stream that is captured once and replayed in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Events of a round at least: whole replies are sent.
    pub events: u64,
}

/// How a scenario measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A backlog is drained.
    Backlog,
    /// A collection is copied.
    Snapshot,
    /// Backlogs are drained by more and more connectors.
    Connectors,
    /// A load at intended times is followed.
    Live,
    /// As live, at rates that are searched for.
    Ladder(Ladder),
    /// A captured stream is replayed to the node alone.
    Alone(Replay),
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Servers {
    cache_gb: f64,
    oplog_mb: u32,
    /// Left out where there is no broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heap_mb: Option<u32>,
    #[serde(default = "one")]
    members: usize,
    #[serde(default = "one")]
    brokers: usize,
    /// Whether proxies stand before them, for faults of the network.
    #[serde(default)]
    proxied: bool,
}

fn one() -> usize {
    1
}

impl Scenario {
    /// All that there are.
    pub fn all() -> Result<Vec<Self>> {
        FILES.iter().map(|file| Self::parse(file)).collect()
    }

    /// One of the user's own.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::read_to_string(path)
            .with_context(|| format!("could not read the scenario {}", path.display()))?;
        Self::parse(&file)
    }

    fn parse(file: &str) -> Result<Self> {
        let question = file.lines().next().and_then(|line| line.strip_prefix("# "));
        let question = question.context("a scenario begins with its question, as a comment")?;
        let scenario: Self = toml::from_str(file)
            .with_context(|| format!("could not read the scenario that asks {question:?}"))?;
        ensure!(
            scenario
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "a name is made of small letters, digits and hyphens, not {:?}",
            scenario.name
        );
        let scenario = Self { question: question.to_owned(), ..scenario };
        scenario
            .check()
            .with_context(|| format!("the scenario {} is impossible", scenario.name))?;
        Ok(scenario)
    }

    /// Refuses what cannot be run, before any server is started.
    pub fn check(&self) -> Result<()> {
        ensure!(self.rounds != 0 && !self.arms.is_empty(), "it has no rounds or no arms");
        let courses = [
            !self.steps.is_empty(),
            self.load.profile.is_some(),
            self.ladder.is_some(),
            !self.connectors.is_empty(),
            self.replay.is_some(),
        ];
        ensure!(
            courses.into_iter().filter(|given| *given).count() <= 1,
            "it has more than one of step, load.profile, ladder, connectors and replay"
        );
        ensure!(
            !self.needs.contains(&Feature::Snapshot) || self.measure() == Measure::Snapshot,
            "a snapshot is of what lies there when the arms start: leave out step, load.profile, ladder, connectors and \
             replay"
        );
        self.check_encryption()?;
        ensure!(
            self.lasts_s.is_some() == self.load.profile.is_some(),
            "load.profile and lasts_s belong together"
        );
        ensure!(
            self.servers.heap_mb.is_none() == self.replay.is_some(),
            "servers.heap_mb is of the broker, and a replay has none"
        );
        match self.measure() {
            Measure::Alone(replay) => self.check_replay(replay),
            Measure::Backlog => {
                ensure!(
                    self.faults.is_empty(),
                    "a backlog has no fault: give step or load.profile"
                );
                self.backlog().map(drop)
            }
            Measure::Snapshot => self.check_snapshot(),
            Measure::Connectors => {
                ensure!(
                    self.faults.is_empty()
                        && self.connectors.is_sorted()
                        && self.connectors[0] != 0,
                    "connectors go up from 1, and no fault goes with them"
                );
                self.connectors.iter().try_for_each(|&count| self.backlog_of(count).map(drop))
            }
            Measure::Live => {
                let course = self.course()?;
                let lasts_s = course.lasts().as_secs_f64();
                for fault in &self.faults {
                    let end_s = fault.until_s.unwrap_or(fault.at_s);
                    ensure!(
                        fault.at_s <= end_s && f64::from(end_s) < lasts_s,
                        "a fault from {} s to {end_s} s is not within the {lasts_s} s of the load",
                        fault.at_s
                    );
                }
                Ok(())
            }
            Measure::Ladder(ladder) => {
                ensure!(
                    0.0 < ladder.from_per_s
                        && ladder.from_per_s < ladder.to_per_s
                        && 1 < ladder.rungs,
                    "a ladder goes up, in two rungs or more"
                );
                self.course_at(ladder.to_per_s, ladder.lasts_s).map(drop)
            }
        }
    }

    fn check_encryption(&self) -> Result<()> {
        if !self.is_encrypted() {
            let idle = self.arms.iter().find(|entry| entry.in_the_clear);
            return idle.map_or(Ok(()), |entry| {
                bail!("{entry} is in the clear anyway: give needs = [\"tls\"]")
            });
        }
        match self.measure() {
            Measure::Backlog | Measure::Snapshot | Measure::Connectors => Ok(()),
            Measure::Live | Measure::Ladder(_) | Measure::Alone(_) => {
                bail!(
                    "arms encrypt only where a backlog is drained or copied: leave out \"tls\" of needs, or step, \
                       load.profile, ladder and replay"
                )
            }
        }
    }

    fn check_snapshot(&self) -> Result<()> {
        ensure!(self.faults.is_empty(), "nothing goes wrong in a snapshot: leave out fault");
        let Workload { mix, collections, .. } = self.backlog()?.workload;
        ensure!(
            mix.update == 0 && mix.replace == 0 && mix.delete == 0 && collections.count() == 1,
            "a snapshot is of documents that were only inserted, into one collection: give load.mix inserts alone and \
             load.collections = 1"
        );
        Ok(())
    }

    fn check_replay(&self, Replay { events }: Replay) -> Result<()> {
        ensure!(
            self.faults.is_empty() && self.needs.is_empty(),
            "nothing goes wrong in a replay, and it has no needs"
        );
        let other = self.arms.iter().find(|entry| !entry.arm.is_node());
        if let Some(other) = other {
            bail!("a replay is taken by the node alone, not by {other}");
        }
        ensure!(self.load.collections == 1, "a replay takes load.collections = 1");
        ensure!(events != 0, "a replay has events");
        self.backlog().map(drop)
    }

    /// Whether arms connect encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.needs.contains(&Feature::Tls)
    }

    /// How it measures.
    pub fn measure(&self) -> Measure {
        match (self.ladder, self.replay) {
            (Some(ladder), _) => Measure::Ladder(ladder),
            (None, Some(replay)) => Measure::Alone(replay),
            (None, None) if !self.connectors.is_empty() => Measure::Connectors,
            (None, None) if !self.steps.is_empty() || self.load.profile.is_some() => Measure::Live,
            (None, None) if self.needs.contains(&Feature::Snapshot) => Measure::Snapshot,
            (None, None) => Measure::Backlog,
        }
    }

    /// How much it writes, for people.
    pub fn size(&self) -> String {
        match self.measure() {
            Measure::Backlog => format!("{} events", self.load.operations.unwrap_or_default()),
            Measure::Snapshot => format!("{} documents", self.load.operations.unwrap_or_default()),
            Measure::Alone(Replay { events }) => format!("{events} events, replayed"),
            Measure::Connectors => {
                let counts: Vec<_> = self.connectors.iter().map(u32::to_string).collect();
                let events = self.load.operations.unwrap_or_default();
                format!("{} connectors with {events} events each", counts.join(", "))
            }
            Measure::Ladder(Ladder { rungs, lasts_s, from_per_s, to_per_s, .. }) => {
                format!("up to {rungs} rates of {from_per_s} to {to_per_s}/s, {lasts_s} s each")
            }
            Measure::Live => {
                let seconds: f64 = self.steps.iter().map(|step| step.lasts_s).sum();
                format!("{} s of load", self.lasts_s.unwrap_or(seconds))
            }
        }
    }

    /// The database that it writes to.
    pub fn database(&self) -> String {
        format!("millrace_{}", self.name.replace('-', "_"))
    }

    /// The backlog that it writes.
    pub fn backlog(&self) -> Result<Load> {
        let settings = LoadSettings { database: self.database(), ..self.load.clone() };
        Ok(settings.resolve(Path::new(""))?)
    }

    /// The backlog of so many connectors, in a database of its own.
    pub fn backlog_of(&self, connectors: u32) -> Result<Load> {
        let events = self.load.operations.context("connectors take load.operations")?;
        let settings = LoadSettings {
            database: format!("{}_{connectors}", self.database()),
            collections: connectors,
            operations: Some(events * u64::from(connectors)),
            ..self.load.clone()
        };
        Ok(settings.resolve(Path::new(""))?)
    }

    /// The load that it follows, from its steps or its profile.
    pub fn course(&self) -> Result<Course> {
        match (&self.load.profile, self.lasts_s) {
            (Some(profile), Some(lasts_s)) => Course::profile(&self.load, profile, lasts_s),
            _ => Course::steps(&self.load, &self.steps),
        }
    }

    /// One rate of a ladder, after a warm-up at a tenth of it.
    pub fn course_at(&self, per_s: f64, lasts_s: f64) -> Result<Course> {
        let warm_up = Step { per_s: (per_s / 10.0).max(1.0), lasts_s: 3.0, warm_up: true };
        Course::steps(&self.load, &[warm_up, Step { per_s, lasts_s, warm_up: false }])
    }

    /// Gives the load another length: of a backlog its events, of a live load the seconds of each recorded step.
    pub fn resize(&mut self, events: Option<u64>, seconds: Option<f64>) -> Result<()> {
        if let Some(events) = events {
            match self.measure() {
                Measure::Backlog | Measure::Snapshot | Measure::Connectors => {
                    self.load.operations = Some(events);
                }
                Measure::Alone(_) => self.replay = Some(Replay { events }),
                Measure::Live | Measure::Ladder(_) => {
                    bail!("the events of {} follow from its rates: give --seconds", self.name)
                }
            }
        }
        let Some(seconds) = seconds else { return Ok(()) };
        if let Some(ladder) = &mut self.ladder {
            ladder.lasts_s = seconds;
        } else if let Some(lasts_s) = &mut self.lasts_s {
            *lasts_s = seconds;
        } else if self.steps.is_empty() {
            bail!("{} goes through its events as fast as it goes: give --events", self.name);
        }
        self.steps.iter_mut().filter(|step| !step.warm_up).for_each(|step| step.lasts_s = seconds);
        self.check()
    }

    /// Gives the recorded steps other rates, each as long as the last of them was.
    pub fn set_rates(&mut self, rates: &[f64]) -> Result<()> {
        let last = self.steps.last().copied();
        let last = last.with_context(|| format!("{} has no steps to give rates to", self.name))?;
        self.steps.retain(|step| step.warm_up);
        self.steps.extend(rates.iter().map(|&per_s| Step { per_s, warm_up: false, ..last }));
        self.check()
    }

    /// The servers that it runs on.
    pub fn plan(&self) -> Plan {
        let Servers { cache_gb, oplog_mb, heap_mb, members, brokers, proxied } = self.servers;
        let mut mongodb =
            MongodbPlan::default().cache_gb(cache_gb).oplog_mb(oplog_mb).members(members);
        let Some(heap_mb) = heap_mb else { return Plan::only_mongodb(mongodb) };
        let mut kafka = KafkaPlan::default().heap_mb(heap_mb).brokers(brokers);
        if self.is_encrypted() {
            // The rig's own clients stay in the clear.
            (mongodb, kafka) = (mongodb.tls(Tls::Offered), kafka.tls(Tls::Offered));
        }
        if proxied {
            (mongodb, kafka) = (mongodb.proxied(), kafka.proxied());
        }
        Plan::default().mongodb(mongodb).kafka(kafka)
    }
}

#[cfg(test)]
mod tests;
