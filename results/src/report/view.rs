//! One run as the page shows it: what kind of load it had, which arms count, at which rate details are shown.
//!
//! ```text
//! drained   a backlog, no rate was offered        rate of each arm, ratio to the null reader
//! offered   one rate                              latency at that rate
//! ladder    several rates                         latency against rate, and the knee
//! ```
//!
//! A run tells its kind by its steps, so that a scenario that nobody knew of is shown as well.

use super::look::Looks;
use super::number;
use super::standing::{self, Counting, Standing};
use crate::record::{RoundRecord, RunRecord};

/// What the load of a run was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    Drained,
    Offered { rate_per_s: f64 },
    Ladder,
}

/// A run and what follows from it.
pub(super) struct View<'a> {
    pub run: &'a RunRecord,
    pub looks: &'a Looks,
    pub load: Load,
    /// The arms that count, in the order of the record.
    pub arms: Vec<Counting<'a>>,
    /// Where details are shown, writes per second; `None` where a backlog was drained.
    pub rate: Option<f64>,
    /// Begins the names of its figures; unique in the page.
    pub id: String,
}

impl<'a> View<'a> {
    pub(super) fn new(run: &'a RunRecord, looks: &'a Looks, id: String) -> Self {
        let arms = standing::counting(run);
        let rate = standing::detailed_rate(&arms);
        let load = match (run.arms.iter().any(|arm| 1 < arm.steps.len()), rate) {
            (true, _) => Load::Ladder,
            (false, Some(rate_per_s)) => Load::Offered { rate_per_s },
            (false, None) => Load::Drained,
        };
        Self { run, looks, load, arms, rate, id }
    }

    /// Those that do not count, with the reason.
    pub(super) fn absent(&self) -> Vec<(&'a str, String)> {
        let standings =
            self.run.arms.iter().map(|arm| (arm.name.as_str(), Standing::of(self.run, arm)));
        standings
            .filter_map(|(name, standing)| match standing {
                Standing::Counts(_) => None,
                Standing::Invalid(reason) => Some((name, format!("does not count: {reason}"))),
                Standing::Unsupported(lack) => Some((name, format!("unsupported: {lack}"))),
            })
            .collect()
    }

    /// ` at 1000 writes/s`, or nothing where a backlog was drained.
    pub(super) fn at_rate(&self) -> String {
        self.rate.map_or_else(String::new, |rate| format!(" at {}", writes_per_s(rate)))
    }

    /// The rounds of an arm that are shown in detail.
    pub(super) fn rounds(&self, arm: &Counting<'a>) -> impl Iterator<Item = &'a RoundRecord> {
        arm.rounds_at(self.rate)
    }

    /// Name of a figure.
    pub(super) fn id(&self, figure: &str) -> String {
        format!("{}-{figure}", self.id)
    }
}

/// What an arm is to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A bound: does no work between source and sink.
    Null,
    /// Ours.
    Node,
    /// Somebody else's.
    Rival,
}

impl Part {
    pub(super) fn of(name: &str) -> Self {
        if name.starts_with("null-") {
            Self::Null
        } else if name.starts_with("node-") {
            Self::Node
        } else {
            Self::Rival
        }
    }
}

/// `1000 writes/s`.
pub(super) fn writes_per_s(rate: f64) -> String {
    number::with_unit(&number::whole(rate), "writes/s")
}
