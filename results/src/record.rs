//! One run as one JSON line: rounds of interleaved arms, and what they come to.
//!
//! ```text
//! run ─┬─ arm null-reader ─┬─ round 1   events, seconds, counters, faults
//!      │                   └─ round 2
//!      └─ arm node-json   ─┬─ round 1   … and the ratio to round 1 of the null reader
//!                          └─ round 2
//! ```
//!
//! Machines are noisy and drift: an arm's ratio is the median of the ratios of its rounds, each to the null reader
//! in the same round. A round that does not count is kept with its reason and left out of the medians. An arm with
//! a fault in any round, or with half of its rounds not counting, is invalid and reports neither throughput nor
//! latency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::histogram::LatencyHistogram;
use crate::machine::{Commit, Machine};
use crate::stats::median::median;

mod by_rate;
mod content;
pub mod stages;

pub use content::{ContentCheck, ContentRecord};

/// Raised when a field changes its meaning; new optional fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Its name, also that of the file.
    pub scenario: String,
    /// What the run was to find out, in one sentence.
    pub question: String,
    /// Of the workload.
    pub seed: u64,
    /// UTC, see [`crate::utc`].
    pub started_at: String,
    /// The sources.
    pub commit: Commit,
    /// Program and arguments, without credentials.
    pub command_line: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// Versions, cache and heap sizes of the servers, and where they came from.
    pub servers: Value,
    /// Of the load.
    pub write_concern: String,
    /// Size of a document.
    pub document_bytes: u32,
    /// Rounds of each arm.
    pub rounds: u32,
    /// All settings of the scenario, defaults filled in.
    #[serde(default)]
    pub settings: Value,
    /// Whether the run was interrupted: what was measured until then is here.
    #[serde(default)]
    pub cut_short: bool,
    /// What held each arm back, in plain words.
    #[serde(default)]
    pub bottleneck: Option<String>,
    /// What was compared.
    pub arms: Vec<ArmRecord>,
}

/// One arm over all rounds. `None` where nothing was measured or nothing counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmRecord {
    /// Such as `node-json`.
    pub name: String,
    /// Whether its figures count.
    pub valid: bool,
    /// Why not.
    pub invalid_reason: Option<String>,
    /// What the scenario needs and the arm lacks; such an arm did not run and is not valid.
    #[serde(default)]
    pub unsupported: Option<String>,
    /// Median of the rounds.
    pub events: u64,
    /// Median of the rounds.
    pub events_per_s: Option<f64>,
    /// Median of the rounds; 10⁶ bytes.
    pub mb_per_s: Option<f64>,
    /// Median of the ratios of each round to the null reader in the same round.
    pub null_ratio: Option<f64>,
    /// The smallest of these ratios.
    pub null_ratio_min: Option<f64>,
    /// The largest of these ratios.
    pub null_ratio_max: Option<f64>,
    /// Median of the rounds: user and system time of the arm's process.
    pub cpu_us_per_event: Option<f64>,
    /// The largest of all rounds.
    pub peak_rss_mib: Option<f64>,
    /// Median of the ratios of each round to the null writer in the same round.
    #[serde(default)]
    pub sink_ratio: Option<f64>,
    /// All rounds together.
    #[serde(flatten)]
    pub faults: Faults,
    /// All rounds that count together, where they had one offered rate.
    pub latency: Option<LatencyHistogram>,
    /// The rounds by the rate that was offered, lowest first; empty where a backlog was drained.
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// By number.
    pub rounds: Vec<RoundRecord>,
}

/// The rounds of an arm at one offered rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Writes per second that the generator was to do.
    pub offered_per_s: f64,
    /// Whether its figures count.
    pub valid: bool,
    /// Why not.
    pub invalid_reason: Option<String>,
    /// Median of the rounds that count.
    pub events_per_s: Option<f64>,
    /// Median of the rounds that count.
    pub cpu_us_per_event: Option<f64>,
    /// All rounds that count, merged exactly.
    pub latency: Option<LatencyHistogram>,
}

/// One round of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// From 1. The same number in other arms is the same round.
    pub round: u32,
    /// Events that came out.
    pub events: u64,
    /// Bytes that came out, as the scenario counts them.
    pub bytes: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Ratio of its rate to that of the null reader in this round; filled in by [`arms`].
    pub null_ratio: Option<f64>,
    /// User and system time of the arm's process.
    pub cpu_us_per_event: Option<f64>,
    /// Of the arm's process.
    pub peak_rss_mib: Option<f64>,
    /// What the ledger found.
    #[serde(flatten)]
    pub faults: Faults,
    /// How the ledger judged the content; of a load in phases that of all phases, in the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentRecord>,
    /// Why the round does not count, beside faults.
    pub invalid_reason: Option<String>,
    /// From intended write to consumer.
    pub latency: Option<LatencyHistogram>,
    /// Writes per second that the generator was to do; `None` where a backlog was drained.
    #[serde(default)]
    pub offered_per_s: Option<f64>,
    /// Ratio of its rate to that of the null writer in this round; filled in by [`arms`].
    #[serde(default)]
    pub sink_ratio: Option<f64>,
    /// Parts of the latency, by the name of the stage.
    #[serde(default)]
    pub stages: BTreeMap<String, LatencyHistogram>,
    /// How much later than intended the generator sent its writes.
    #[serde(default)]
    pub lateness: Option<LatencyHistogram>,
    /// Second by second, from the first event on.
    #[serde(default)]
    pub series: Vec<Second>,
    /// What was done to the servers meanwhile.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What every process used: `arm`, `mongod`, `kafka`, `rig`.
    #[serde(default)]
    pub usage: Vec<ProcessUsage>,
    /// Whatever else was counted, by name with its unit last.
    pub counters: BTreeMap<String, Value>,
}

/// One second of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// From 0.
    pub second: u32,
    /// Events that came out.
    pub events: u64,
    /// Of these events.
    pub latency: Option<LatencyHistogram>,
}

/// Something that was done to the servers during a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Seconds since the first event.
    pub at_s: f64,
    /// When it was over, where it had a length.
    pub until_s: Option<f64>,
    /// In plain words: `primary stepped down`.
    pub what: String,
}

/// What one process used during a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Its part in the run.
    pub process: String,
    /// User and system time.
    pub cpu_us_per_event: Option<f64>,
    /// The most that was resident.
    pub peak_rss_mib: Option<f64>,
    /// Times that it waited.
    pub voluntary_switches: Option<u64>,
    /// Times that it had to give way.
    pub involuntary_switches: Option<u64>,
    /// System calls, where they were counted.
    pub system_calls: Option<u64>,
}

/// What a ledger found wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Written, never seen.
    pub lost: u64,
    /// Seen again.
    pub duplicated: u64,
    /// Seen first after a later event of the same key.
    pub reordered: u64,
    /// Seen with other content.
    pub corrupted: u64,
    /// Seen, never written.
    pub unexpected: u64,
}

impl Faults {
    /// None at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// `2 lost, 1 reordered`: those that are not zero.
    pub fn text(&self) -> String {
        let named = self.counts().into_iter().filter(|(_, count)| *count != 0);
        named.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    fn counts(&self) -> [(&'static str, u64); 5] {
        let Self { lost, duplicated, reordered, corrupted, unexpected } = *self;
        [
            ("lost", lost),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("corrupted", corrupted),
            ("unexpected", unexpected),
        ]
    }

    fn add(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            corrupted: self.corrupted + other.corrupted,
            unexpected: self.unexpected + other.unexpected,
        }
    }
}

impl RoundRecord {
    /// A round that counts so far; the rest is filled in by whoever measured it.
    pub fn new(round: u32, events: u64, bytes: u64, seconds: f64) -> Self {
        Self {
            round,
            events,
            bytes,
            seconds,
            null_ratio: None,
            cpu_us_per_event: None,
            peak_rss_mib: None,
            faults: Faults::default(),
            content: None,
            invalid_reason: None,
            latency: None,
            offered_per_s: None,
            sink_ratio: None,
            stages: BTreeMap::new(),
            lateness: None,
            series: Vec::new(),
            marks: Vec::new(),
            usage: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Events per second; 0 if it took no time.
    pub fn events_per_s(&self) -> f64 {
        per_second(self.events, self.seconds)
    }

    /// 10⁶ bytes per second; 0 if it took no time.
    pub fn mb_per_s(&self) -> f64 {
        per_second(self.bytes, self.seconds) / 1e6
    }

    /// Whether its figures count.
    pub fn counts(&self) -> bool {
        self.faults.is_none() && self.invalid_reason.is_none()
    }
}

/// Sums up the rounds of every arm, with ratios to the rounds of the arms called `null_arm` (the source's ceiling)
/// and `null_sink` (the sink's) where there are such.
pub fn arms(
    mut rounds_by_arm: Vec<(String, Vec<RoundRecord>)>,
    null_arm: Option<&str>,
    null_sink: Option<&str>,
) -> Vec<ArmRecord> {
    let null_rates = rates_by_round(&rounds_by_arm, null_arm);
    let sink_rates = rates_by_round(&rounds_by_arm, null_sink);
    for round in rounds_by_arm.iter_mut().flat_map(|(_, rounds)| rounds) {
        let ratio = |rates: &BTreeMap<u32, f64>| {
            rates
                .get(&round.round)
                .filter(|_| round.counts())
                .map(|rate| round.events_per_s() / rate)
        };
        let (null_ratio, sink_ratio) = (ratio(&null_rates), ratio(&sink_rates));
        round.null_ratio = null_ratio;
        round.sink_ratio = sink_ratio;
    }
    rounds_by_arm.into_iter().map(|(name, rounds)| ArmRecord::from_rounds(name, rounds)).collect()
}

/// The rates of an arm's rounds that count.
fn rates_by_round(
    rounds_by_arm: &[(String, Vec<RoundRecord>)],
    arm: Option<&str>,
) -> BTreeMap<u32, f64> {
    let rounds = rounds_by_arm.iter().filter(|(name, _)| Some(name.as_str()) == arm);
    rounds
        .flat_map(|(_, rounds)| rounds)
        .filter(|round| round.counts() && 0.0 < round.events_per_s())
        .map(|round| (round.round, round.events_per_s()))
        .collect()
}

impl ArmRecord {
    /// Medians and sums of `rounds`.
    pub fn from_rounds(name: String, rounds: Vec<RoundRecord>) -> Self {
        let faults = rounds.iter().fold(Faults::default(), |sum, round| sum.add(round.faults));
        let invalid_reason = why_invalid(&rounds.iter().collect::<Vec<_>>(), faults);
        let counting: Vec<_> = match invalid_reason {
            Some(_) => Vec::new(),
            None => rounds.iter().filter(|round| round.counts()).collect(),
        };
        let all = |value: fn(&RoundRecord) -> Option<f64>| {
            counting.iter().filter_map(|round| value(round)).collect::<Vec<_>>()
        };
        let null_ratios = all(|round| round.null_ratio);
        let steps = steps(&rounds);
        let events = median(rounds.iter().map(|round| round.events as f64).collect());
        Self {
            name,
            valid: invalid_reason.is_none(),
            events: events.unwrap_or(0.0) as u64,
            events_per_s: median(all(|round| Some(round.events_per_s()))),
            mb_per_s: median(all(|round| Some(round.mb_per_s()))),
            null_ratio_min: null_ratios.iter().copied().reduce(f64::min),
            null_ratio_max: null_ratios.iter().copied().reduce(f64::max),
            null_ratio: median(null_ratios),
            cpu_us_per_event: median(all(|round| round.cpu_us_per_event)),
            peak_rss_mib: all(|round| round.peak_rss_mib).into_iter().reduce(f64::max),
            sink_ratio: median(all(|round| round.sink_ratio)),
            faults,
            latency: (steps.len() < 2).then(|| merged_latency(&counting)).flatten(),
            steps,
            unsupported: None,
            invalid_reason,
            rounds,
        }
    }

    /// An arm that lacks what the scenario needs.
    pub fn unsupported(name: String, lacks: String) -> Self {
        let reason = format!("unsupported: {lacks}");
        Self {
            valid: false,
            invalid_reason: Some(reason),
            unsupported: Some(lacks),
            ..Self::from_rounds(name, Vec::new())
        }
    }
}

/// The rounds grouped by the rate that was offered, lowest first.
fn steps(rounds: &[RoundRecord]) -> Vec<StepRecord> {
    let mut offered: Vec<f64> = rounds.iter().filter_map(|round| round.offered_per_s).collect();
    offered.sort_by(f64::total_cmp);
    offered.dedup();
    offered.into_iter().map(|rate| StepRecord::from_rounds(rate, rounds)).collect()
}

impl StepRecord {
    fn from_rounds(offered_per_s: f64, rounds: &[RoundRecord]) -> Self {
        let rounds: Vec<_> =
            rounds.iter().filter(|round| round.offered_per_s == Some(offered_per_s)).collect();
        let faults = rounds.iter().fold(Faults::default(), |sum, round| sum.add(round.faults));
        let invalid_reason = why_invalid(&rounds, faults);
        let counting: Vec<_> = match invalid_reason {
            Some(_) => Vec::new(),
            None => rounds.into_iter().filter(|round| round.counts()).collect(),
        };
        Self {
            offered_per_s,
            valid: invalid_reason.is_none(),
            invalid_reason,
            events_per_s: median(counting.iter().map(|round| round.events_per_s()).collect()),
            cpu_us_per_event: median(
                counting.iter().filter_map(|round| round.cpu_us_per_event).collect(),
            ),
            latency: merged_latency(&counting),
        }
    }
}

fn merged_latency(rounds: &[&RoundRecord]) -> Option<LatencyHistogram> {
    let mut merged: Option<LatencyHistogram> = None;
    for histogram in rounds.iter().filter_map(|round| round.latency.as_ref()) {
        merged.get_or_insert_default().merge(histogram);
    }
    merged
}

fn why_invalid(rounds: &[&RoundRecord], faults: Faults) -> Option<String> {
    if !faults.is_none() {
        return Some(faults.text());
    }
    let counting = rounds.iter().filter(|round| round.counts()).count();
    if rounds.len() < counting * 2 {
        return None;
    }
    let first = rounds.iter().find_map(|round| round.invalid_reason.as_deref());
    let reason = first.unwrap_or("nothing was measured");
    Some(format!("{counting} of {} rounds count: {reason}", rounds.len()))
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if 0.0 < seconds { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests;
