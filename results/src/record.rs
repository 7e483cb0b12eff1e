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
    /// All rounds together.
    #[serde(flatten)]
    pub faults: Faults,
    /// All rounds that count together.
    pub latency: Option<LatencyHistogram>,
    /// By number.
    pub rounds: Vec<RoundRecord>,
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
    /// Why the round does not count, beside faults.
    pub invalid_reason: Option<String>,
    /// From intended write to consumer.
    pub latency: Option<LatencyHistogram>,
    /// Whatever else was counted, by name with its unit last.
    pub counters: BTreeMap<String, Value>,
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
            invalid_reason: None,
            latency: None,
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

/// Sums up the rounds of every arm, with ratios to the rounds of the arm called `null_arm` where there is one.
pub fn arms(
    mut rounds_by_arm: Vec<(String, Vec<RoundRecord>)>,
    null_arm: Option<&str>,
) -> Vec<ArmRecord> {
    let null_rates: BTreeMap<u32, f64> = rounds_by_arm
        .iter()
        .filter(|(name, _)| Some(name.as_str()) == null_arm)
        .flat_map(|(_, rounds)| rounds)
        .filter(|round| round.counts() && 0.0 < round.events_per_s())
        .map(|round| (round.round, round.events_per_s()))
        .collect();
    for round in rounds_by_arm.iter_mut().flat_map(|(_, rounds)| rounds) {
        let null_rate = null_rates.get(&round.round).filter(|_| round.counts());
        round.null_ratio = null_rate.map(|null_rate| round.events_per_s() / null_rate);
    }
    rounds_by_arm.into_iter().map(|(name, rounds)| ArmRecord::from_rounds(name, rounds)).collect()
}

impl ArmRecord {
    /// Medians and sums of `rounds`.
    pub fn from_rounds(name: String, rounds: Vec<RoundRecord>) -> Self {
        let faults = rounds.iter().fold(Faults::default(), |sum, round| sum.add(round.faults));
        let invalid_reason = why_invalid(&rounds, faults);
        let counting: Vec<_> = match invalid_reason {
            Some(_) => Vec::new(),
            None => rounds.iter().filter(|round| round.counts()).collect(),
        };
        let all = |value: fn(&RoundRecord) -> Option<f64>| {
            counting.iter().filter_map(|round| value(round)).collect::<Vec<_>>()
        };
        let null_ratios = all(|round| round.null_ratio);
        let mut latency: Option<LatencyHistogram> = None;
        for histogram in counting.iter().filter_map(|round| round.latency.as_ref()) {
            latency.get_or_insert_default().merge(histogram);
        }
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
            faults,
            latency,
            invalid_reason,
            rounds,
        }
    }
}

fn why_invalid(rounds: &[RoundRecord], faults: Faults) -> Option<String> {
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

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rounds(rates: &[u64]) -> Vec<RoundRecord> {
        (1..)
            .zip(rates)
            .map(|(round, &rate)| RoundRecord::new(round, rate * 2, rate * 2_000, 2.0))
            .collect()
    }

    fn arm(rounds: Vec<RoundRecord>) -> ArmRecord {
        ArmRecord::from_rounds("arm".into(), rounds)
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let arms = arms(
            vec![("null".into(), rounds(&[100, 200, 50])), ("node".into(), rounds(&[90, 100, 49]))],
            Some("null"),
        );
        assert_eq!(arms[0].null_ratio, Some(1.0));
        let node = &arms[1];
        assert_eq!(node.events_per_s, Some(90.0));
        assert_eq!(node.mb_per_s, Some(0.09));
        assert_eq!(node.events, 180);
        assert_eq!((node.null_ratio_min, node.null_ratio), (Some(0.5), Some(0.9)));
        assert_eq!(node.null_ratio_max, Some(0.98));
    }

    #[test]
    fn without_a_null_arm_there_are_no_ratios() {
        let arms = arms(vec![("node".into(), rounds(&[1, 2]))], None);
        assert_eq!((arms[0].null_ratio, arms[0].valid), (None, true));
    }

    #[test]
    fn a_round_that_does_not_count_is_left_out_of_every_median() {
        let mut null = rounds(&[100, 1_000, 100]);
        null[1].invalid_reason = Some("mongod was 80 % busy".into());
        let arms =
            arms(vec![("null".into(), null), ("node".into(), rounds(&[80, 90, 90]))], Some("null"));
        assert_eq!(arms[0].events_per_s, Some(100.0));
        assert!(arms[0].valid && arms[1].valid);
        assert_eq!(arms[1].rounds[1].null_ratio, None);
        assert_eq!(arms[1].null_ratio, Some(f64::midpoint(0.8, 0.9)));
    }

    #[test]
    fn an_arm_with_half_of_its_rounds_not_counting_is_invalid() {
        let mut rounds = rounds(&[1, 2, 3, 4]);
        rounds[0].invalid_reason = Some("cold".into());
        assert!(arm(rounds.clone()).valid);
        rounds[3].invalid_reason = Some("late".into());
        let arm = arm(rounds);
        assert_eq!(arm.invalid_reason.as_deref(), Some("2 of 4 rounds count: cold"));
        assert_eq!((arm.valid, arm.events_per_s), (false, None));
    }

    #[test]
    fn a_single_fault_takes_all_throughput_away() {
        let faults: [fn(&mut Faults) -> &mut u64; 5] = [
            |faults| &mut faults.lost,
            |faults| &mut faults.duplicated,
            |faults| &mut faults.reordered,
            |faults| &mut faults.corrupted,
            |faults| &mut faults.unexpected,
        ];
        for fault in faults {
            let mut rounds = rounds(&[1, 2, 3]);
            *fault(&mut rounds[1].faults) = 1;
            rounds[0].latency = Some(LatencyHistogram::new());
            let arm = arm(rounds);
            assert!(
                !arm.valid
                    && arm.invalid_reason.as_deref().is_some_and(|why| why.starts_with("1 "))
            );
            assert_eq!((arm.events_per_s, arm.mb_per_s, arm.null_ratio), (None, None, None));
            assert_eq!((arm.latency, arm.cpu_us_per_event), (None, None));
            assert_eq!(*fault(&mut { arm.faults }), 1);
        }
    }

    #[test]
    fn an_arm_without_rounds_is_invalid() {
        assert_eq!(
            arm(Vec::new()).invalid_reason.as_deref(),
            Some("0 of 0 rounds count: nothing was measured")
        );
    }

    #[test]
    fn peaks_are_the_largest_and_latencies_are_merged() {
        let mut rounds = rounds(&[1, 2, 3]);
        for (round, peak) in rounds.iter_mut().zip([30.0, 90.0, 10.0]) {
            round.peak_rss_mib = Some(peak);
            round.cpu_us_per_event = Some(peak / 10.0);
            let mut latency = LatencyHistogram::new();
            latency.record(Duration::from_millis(peak as u64));
            round.latency = Some(latency);
        }
        let arm = arm(rounds);
        assert_eq!((arm.peak_rss_mib, arm.cpu_us_per_event), (Some(90.0), Some(3.0)));
        assert_eq!(arm.latency.map(|latency| latency.count()), Some(3));
    }

    #[test]
    fn json_carries_faults_beside_the_figures() {
        let json = serde_json::to_value(arm(rounds(&[5]))).unwrap();
        for name in
            ["name", "events", "events_per_s", "null_ratio", "cpu_us_per_event", "peak_rss_mib"]
        {
            assert!(json.get(name).is_some(), "{name}");
        }
        for name in ["lost", "duplicated", "reordered", "corrupted", "unexpected"] {
            assert_eq!(json[name], 0, "{name}");
            assert_eq!(json["rounds"][0][name], 0, "{name}");
        }
    }
}
