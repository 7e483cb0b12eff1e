//! The rungs of a ladder, taken from a record: what was turned up, and what each step gave.
//!
//! ```text
//! scenario connectors   rung = rounds with the same counter `connectors`         N = connectors
//! scenario ladder       rung = rounds with the same offered rate                 N = rate / lowest rate
//! ```
//!
//! Counters that the planner reads: [`CONNECTORS`], [`CONNECTIONS_MONGODB`], [`CONNECTIONS_KAFKA`],
//! [`OPLOG_BYTES_PER_EVENT`], [`PREDICTED_EVENTS_PER_S`]. What a process used is in the rounds' `usage`.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::usl::Point;
use crate::histogram::LatencyHistogram;
use crate::record::{ArmRecord, RoundRecord, RunRecord};
use crate::stats::median::median;

/// Counter: connectors that ran at the same time.
pub const CONNECTORS: &str = "connectors";
/// Counter: connections of the arm to MongoDB.
pub const CONNECTIONS_MONGODB: &str = "connections_mongodb";
/// Counter: connections of the arm to Kafka.
pub const CONNECTIONS_KAFKA: &str = "connections_kafka";
/// Counter: growth of the oplog during the round, shared among its events.
pub const OPLOG_BYTES_PER_EVENT: &str = "oplog_bytes_per_event";
/// Counter: what [`super::predict_next`] said before the rung was measured.
pub const PREDICTED_EVENTS_PER_S: &str = "predicted_events_per_s";

/// With fewer there is no model: one is held out, and three coefficients are fitted to the rest.
pub const RUNGS_MIN: usize = 5;

/// What was turned up from rung to rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Connectors that ran at the same time.
    Connectors,
    /// Writes per second of the generator.
    OfferedRate,
}

/// As a person says it: `8 connectors`, `offered 20000/s`.
impl Axis {
    /// The load of a rung in words.
    pub fn load(self, value: f64) -> String {
        match self {
            Self::Connectors => format!("{value:.0} connectors"),
            Self::OfferedRate => format!("{value:.0}/s offered"),
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connectors => "connectors",
            Self::OfferedRate => "offered rate",
        })
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Connectors, or writes per second.
    pub value: f64,
    /// N of the law.
    pub load: f64,
    /// Those that count.
    pub rounds: Vec<RoundRecord>,
}

/// The rungs of one arm of one run, lowest first.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// The arm.
    pub arm: String,
    /// What was turned up.
    pub axis: Axis,
    /// At least one.
    pub rungs: Vec<Rung>,
}

impl Rung {
    /// Median rate of its rounds.
    pub fn events_per_s(&self) -> f64 {
        median(self.rounds.iter().map(RoundRecord::events_per_s).collect()).unwrap_or(0.0)
    }

    /// All latencies of its rounds, merged exactly.
    pub fn latency(&self) -> Option<LatencyHistogram> {
        let mut merged: Option<LatencyHistogram> = None;
        for latency in self.rounds.iter().filter_map(|round| round.latency.as_ref()) {
            merged.get_or_insert_default().merge(latency);
        }
        merged
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        let point =
            |round: &RoundRecord| Point { load: self.load, events_per_s: round.events_per_s() };
        self.rounds.iter().map(point)
    }
}

impl Ladder {
    /// The rungs of `arm` in `run`. Refuses an arm that is not there or not valid.
    pub fn of(run: &RunRecord, arm: &str) -> Result<Self> {
        let names: Vec<_> = run.arms.iter().map(|arm| arm.name.as_str()).collect();
        let found = run.arms.iter().find(|found| found.name == arm).with_context(|| {
            format!("the run of {} has no arm {arm}; it has: {}", run.scenario, names.join(", "))
        })?;
        ensure!(
            found.valid,
            "{arm} does not count in the newest run of {}: {}",
            run.scenario,
            found.invalid_reason.as_deref().unwrap_or("no reason is recorded")
        );
        let axis = if found.rounds.iter().any(|round| counter(round, CONNECTORS).is_some()) {
            Axis::Connectors
        } else {
            Axis::OfferedRate
        };
        let rungs = rungs(found, axis);
        ensure!(
            !rungs.is_empty(),
            "the rounds of {arm} in the run of {} have neither a counter {CONNECTORS:?} nor an offered rate",
            run.scenario
        );
        Ok(Self { arm: arm.to_owned(), axis, rungs })
    }

    /// The rounds of the first `rungs` rungs as points of the law.
    pub fn points(&self, rungs: usize) -> Vec<Point> {
        self.rungs.iter().take(rungs).flat_map(Rung::points).collect()
    }

    /// `(load, value)` of every round that has the figure.
    pub fn figures(&self, figure: impl Fn(&RoundRecord) -> Option<f64>) -> Vec<(f64, f64)> {
        let of_rung = |rung: &Rung| -> Vec<(f64, f64)> {
            rung.rounds.iter().filter_map(|round| Some((rung.load, figure(round)?))).collect()
        };
        self.rungs.iter().flat_map(of_rung).collect()
    }

    /// The rung whose rate is nearest to `events_per_s`, on a scale of ratios.
    pub fn nearest(&self, events_per_s: f64) -> Option<&Rung> {
        let distance = |rung: &Rung| (rung.events_per_s() / events_per_s).ln().abs();
        self.rungs.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// The largest rate that was measured.
    pub fn events_per_s_max(&self) -> f64 {
        self.rungs.iter().map(Rung::events_per_s).fold(0.0, f64::max)
    }
}

/// The number that a round counted under a name.
pub fn counter(round: &RoundRecord, name: &str) -> Option<f64> {
    round.counters.get(name).and_then(Value::as_f64).filter(|value| value.is_finite())
}

fn rungs(arm: &ArmRecord, axis: Axis) -> Vec<Rung> {
    let value = |round: &RoundRecord| match axis {
        Axis::Connectors => counter(round, CONNECTORS),
        Axis::OfferedRate => round.offered_per_s,
    };
    let mut rungs: Vec<Rung> = Vec::new();
    for round in arm.rounds.iter().filter(|round| round.counts()) {
        let Some(value) = value(round).filter(|value| 0.0 < *value) else { continue };
        match rungs.iter_mut().find(|rung| rung.value == value) {
            Some(rung) => rung.rounds.push(round.clone()),
            None => rungs.push(Rung { value, load: value, rounds: vec![round.clone()] }),
        }
    }
    rungs.sort_by(|a, b| a.value.total_cmp(&b.value));
    if axis == Axis::OfferedRate {
        let lowest = rungs.first().map_or(1.0, |rung| rung.value);
        rungs.iter_mut().for_each(|rung| rung.load = rung.value / lowest);
    }
    rungs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record;
    use crate::synthetic::Synthetic;

    fn run(rounds: Vec<RoundRecord>) -> RunRecord {
        let arms = record::arms(vec![("node-json".into(), rounds)], None, None);
        RunRecord { scenario: "connectors".into(), arms, ..Synthetic::new(1).run(1) }
    }

    fn round(number: u32, connectors: Option<u32>, offered_per_s: Option<f64>) -> RoundRecord {
        let mut round = RoundRecord::new(number, 1_000, 1_000, 1.0);
        round.offered_per_s = offered_per_s;
        if let Some(connectors) = connectors {
            round.counters.insert(CONNECTORS.into(), json!(connectors));
        }
        round
    }

    #[test]
    fn connectors_go_before_rates_and_rungs_are_sorted() {
        let rounds = vec![
            round(1, Some(4), Some(9.0)),
            round(2, Some(1), Some(9.0)),
            round(3, Some(4), None),
        ];
        let ladder = Ladder::of(&run(rounds), "node-json").expect("rungs");
        let found: Vec<_> =
            ladder.rungs.iter().map(|rung| (rung.load, rung.rounds.len())).collect();
        assert_eq!((ladder.axis, found), (Axis::Connectors, vec![(1.0, 1), (4.0, 2)]));
    }

    #[test]
    fn rates_are_loads_in_units_of_the_lowest() {
        let rounds = [4_000.0, 1_000.0, 2_000.0].map(|rate| round(1, None, Some(rate))).to_vec();
        let ladder = Ladder::of(&run(rounds), "node-json").expect("rungs");
        let found: Vec<_> = ladder.rungs.iter().map(|rung| (rung.value, rung.load)).collect();
        assert_eq!(found, [(1_000.0, 1.0), (2_000.0, 2.0), (4_000.0, 4.0)]);
    }

    #[test]
    fn arms_without_rungs_are_refused_with_what_there_is() {
        let error = Ladder::of(&run(vec![round(1, None, None)]), "node-json").unwrap_err();
        assert!(error.to_string().contains("neither a counter \"connectors\""), "{error}");
        let error = Ladder::of(&run(Vec::new()), "node-bson").unwrap_err().to_string();
        assert!(error.contains("it has: node-json"), "{error}");
        let mut faulty = round(1, Some(1), None);
        faulty.faults.lost = 3;
        let error = Ladder::of(&run(vec![faulty]), "node-json").unwrap_err().to_string();
        assert!(error.contains("3 lost"), "{error}");
    }
}
