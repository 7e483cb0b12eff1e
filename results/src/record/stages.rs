//! The stages of a latency: how they are called, and in which order they follow each other.
//!
//! ```text
//! intended ─ queue ─► sent ─ write ─► acknowledged ─ replicate ─► appended ─ deliver ─► received
//!                                                  └─ replicate and deliver ─────────►┘  one stage where the broker
//!                                                                                        has another clock
//! ```
//!
//! Every stage of an event is its own share of the time from intended to received: never negative, and together all
//! of it. So the means of the stages add up to the mean of the latency; their percentiles do not.

use crate::histogram::LatencyHistogram;
use crate::record::RoundRecord;

/// A part of the way of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Due and not sent yet: it waits for a connection of the load, or the generator is late.
    Queue,
    /// Until the write is acknowledged.
    Write,
    /// Until the broker has appended the record.
    Replicate,
    /// Until a consumer has it.
    Deliver,
    /// [`Self::Replicate`] and [`Self::Deliver`], where they cannot be told apart.
    ReplicateAndDeliver,
}

impl Stage {
    /// In the order of the way.
    pub const ALL: [Self; 5] =
        [Self::Queue, Self::Write, Self::Replicate, Self::Deliver, Self::ReplicateAndDeliver];

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Write => "write",
            Self::Replicate => "replicate",
            Self::Deliver => "deliver",
            Self::ReplicateAndDeliver => "replicate and deliver",
        }
    }
}

/// The stages of all `rounds`, each merged exactly, in the order of the way; those that nobody knows come last, by
/// their names.
pub fn merged<'a>(
    rounds: impl IntoIterator<Item = &'a RoundRecord>,
) -> Vec<(&'a str, LatencyHistogram)> {
    let mut merged: Vec<(&str, LatencyHistogram)> = Vec::new();
    for (name, stage) in rounds.into_iter().flat_map(|round| &round.stages) {
        match merged.iter_mut().find(|(there, _)| there == name) {
            Some((_, sum)) => sum.merge(stage),
            None => merged.push((name, stage.clone())),
        }
    }
    merged.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    merged
}

/// Where a stage of this name stands among others.
pub fn place(name: &str) -> usize {
    Stage::ALL.iter().position(|stage| stage.name() == name).unwrap_or(Stage::ALL.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn stages_are_merged_exactly_and_stand_in_the_order_of_the_way() {
        let round = |names: &[&str], ms: u64| {
            let mut round = RoundRecord::new(1, 1, 1, 1.0);
            for &name in names {
                let mut stage = LatencyHistogram::new();
                stage.record(Duration::from_millis(ms));
                round.stages.insert(name.to_owned(), stage);
            }
            round
        };
        let rounds =
            [round(&["write", "deliver", "x"], 10), round(&["a", "queue", "write", "deliver"], 30)];
        let merged = merged(&rounds);
        let names: Vec<&str> = merged.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["queue", "write", "deliver", "a", "x"]);
        let (_, write) = &merged[1];
        assert_eq!(write.count(), 2);
        assert!((write.mean_ms() - 20.0).abs() < 0.02);
    }
}
