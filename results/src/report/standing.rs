//! Which arms may show figures.
//!
//! ```text
//! ArmRecord ─► Standing ─┬─ Counts(Counting)     the only way to a figure
//!                        ├─ Invalid(reason)      named and struck out
//!                        └─ Unsupported(lack)    named
//! ```
//!
//! Everything that draws or writes figures takes a [`Counting`], and only this module makes one. The flag `valid` of a
//! record is not enough: a record that says it is valid and holds a fault shows no figure.

use crate::histogram::LatencyHistogram;
use crate::record::{ArmRecord, RoundRecord, RunRecord, StepRecord};

/// A share of the offered rate from which on an arm keeps up.
pub(super) const KEEPS_UP_MIN: f64 = 0.98;

/// What an arm may show.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing<'a> {
    Counts(Counting<'a>),
    Invalid(&'a str),
    Unsupported(&'a str),
}

/// An arm that is valid and whose ledger is clean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting<'a> {
    arm: &'a ArmRecord,
    /// The objective of a ladder: what 99 of 100 events may take.
    p99_ms_max: Option<f64>,
}

/// A rung that an arm was offered, in an arm that counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rung<'a> {
    Counts(&'a StepRecord),
    Invalid { offered_per_s: f64, reason: &'a str },
}

impl<'a> Standing<'a> {
    pub(super) fn of(run: &RunRecord, arm: &'a ArmRecord) -> Self {
        if let Some(lack) = &arm.unsupported {
            return Self::Unsupported(lack);
        }
        let clean = arm.faults.is_none() && arm.rounds.iter().all(|round| round.faults.is_none());
        if clean && arm.valid {
            let p99_ms_max = run.settings["ladder"]["p99_ms_max"].as_f64();
            return Self::Counts(Counting { arm, p99_ms_max });
        }
        let unclean = if clean { "no reason is recorded" } else { "its ledger is not clean" };
        Self::Invalid(arm.invalid_reason.as_deref().unwrap_or(unclean))
    }
}

/// The arms of a run that count, in the order of the record.
pub(super) fn counting(run: &RunRecord) -> Vec<Counting<'_>> {
    let standings = run.arms.iter().map(|arm| Standing::of(run, arm));
    standings
        .filter_map(|standing| match standing {
            Standing::Counts(counting) => Some(counting),
            Standing::Invalid(_) | Standing::Unsupported(_) => None,
        })
        .collect()
}

/// The offered rate whose rounds are shown in detail: that which most arms hold validly, the highest of these. `None`
/// where a backlog was drained.
pub(super) fn detailed_rate(arms: &[Counting<'_>]) -> Option<f64> {
    let mut rates: Vec<f64> = arms.iter().flat_map(Counting::rates_per_s).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let holders = |rate: f64| arms.iter().filter(|arm| arm.rates_per_s().contains(&rate)).count();
    rates.into_iter().max_by_key(|&rate| holders(rate))
}

impl<'a> Counting<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.arm.name
    }

    /// The record, whose figures count.
    pub(super) fn arm(&self) -> &'a ArmRecord {
        self.arm
    }

    /// The rounds that count.
    pub(super) fn rounds(&self) -> impl Iterator<Item = &'a RoundRecord> {
        self.arm.rounds.iter().filter(|round| round.counts())
    }

    /// The rounds that count at an offered rate, or all where there is none.
    pub(super) fn rounds_at(&self, rate: Option<f64>) -> impl Iterator<Item = &'a RoundRecord> {
        self.rounds().filter(move |round| rate.is_none() || round.offered_per_s == rate)
    }

    /// Latency of the rounds that count at an offered rate, merged exactly; of all where there is none.
    pub(super) fn latency_at(&self, rate: Option<f64>) -> Option<LatencyHistogram> {
        let mut merged: Option<LatencyHistogram> = None;
        for latency in self.rounds_at(rate).filter_map(|round| round.latency.as_ref()) {
            merged.get_or_insert_default().merge(latency);
        }
        merged.filter(|merged| merged.count() != 0)
    }

    /// What it was offered, lowest first.
    pub(super) fn rungs(&self) -> impl Iterator<Item = Rung<'a>> {
        self.arm.steps.iter().map(|step| match (step.valid, &step.invalid_reason) {
            (true, None) => Rung::Counts(step),
            (_, reason) => Rung::Invalid {
                offered_per_s: step.offered_per_s,
                reason: reason.as_deref().unwrap_or("no reason is recorded"),
            },
        })
    }

    /// The highest rung that it kept up with, with all below it: delivered at least [`KEEPS_UP_MIN`] of the offer,
    /// within the objective if the run has one. A rung that does not count says nothing, for the arm or against it.
    pub(super) fn knee(&self) -> Option<&'a StepRecord> {
        let measured = self.rungs().filter_map(|rung| match rung {
            Rung::Counts(step) => Some(step),
            Rung::Invalid { .. } => None,
        });
        measured.take_while(|step| kept_up(step) && self.is_in_time(step)).last()
    }

    /// The objective of the run that it was measured in, if that was a ladder's.
    pub(super) fn p99_ms_max(&self) -> Option<f64> {
        self.p99_ms_max
    }

    fn is_in_time(&self, step: &StepRecord) -> bool {
        let p99_ms = step.latency.as_ref().map(|latency| latency.percentile_ms(99.0));
        self.p99_ms_max.zip(p99_ms).is_none_or(|(max, p99_ms)| p99_ms <= max)
    }

    fn rates_per_s(&self) -> Vec<f64> {
        let counting = self.rungs().filter_map(|rung| match rung {
            Rung::Counts(step) => Some(step.offered_per_s),
            Rung::Invalid { .. } => None,
        });
        counting.collect()
    }
}

fn kept_up(step: &StepRecord) -> bool {
    step.events_per_s.is_some_and(|rate| step.offered_per_s * KEEPS_UP_MIN <= rate)
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(f64::midpoint(values[(values.len() - 1) / 2], upper))
}

/// Median, smallest and largest.
pub(super) fn spread(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let values: Vec<f64> = values.into_iter().collect();
    let min = values.iter().copied().reduce(f64::min)?;
    let max = values.iter().copied().reduce(f64::max)?;
    Some((median(values)?, min, max))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::record::Faults;
    use crate::synthetic::Synthetic;

    fn arm(offers: &[(f64, u64)]) -> ArmRecord {
        let round = |(number, &(offered, rate)): (u32, &(f64, u64))| RoundRecord {
            offered_per_s: Some(offered),
            ..RoundRecord::new(number, rate, rate, 1.0)
        };
        ArmRecord::from_rounds("arm".into(), (1..).zip(offers).map(round).collect())
    }

    fn of(arm: &ArmRecord) -> Option<Counting<'_>> {
        standing_in(&Synthetic::new(1).run(1), arm)
    }

    fn standing_in<'a>(run: &RunRecord, arm: &'a ArmRecord) -> Option<Counting<'a>> {
        match Standing::of(run, arm) {
            Standing::Counts(counting) => Some(counting),
            Standing::Invalid(_) | Standing::Unsupported(_) => None,
        }
    }

    #[test]
    fn a_record_that_calls_itself_valid_and_holds_a_fault_shows_nothing() {
        let good = arm(&[(100.0, 100)]);
        assert!(of(&good).is_some());
        let faults = Faults { lost: 1, ..Faults::default() };
        let summed = ArmRecord { faults, ..good.clone() };
        assert!(summed.valid && of(&summed).is_none());
        let mut hidden = good;
        hidden.rounds[0].faults = faults;
        assert!(hidden.valid && of(&hidden).is_none());
    }

    #[test]
    fn the_knee_is_below_the_first_rung_that_was_not_kept_up_with() {
        let laddered = arm(&[(100.0, 100), (200.0, 197), (300.0, 200), (400.0, 400)]);
        let knee = of(&laddered).and_then(|arm| arm.knee()).map(|step| step.offered_per_s);
        assert_eq!(knee, Some(200.0));
        let mut late = arm(&[(100.0, 100), (200.0, 1), (300.0, 300)]);
        late.steps[1].valid = false;
        late.valid = true;
        late.invalid_reason = None;
        let knee = of(&late).and_then(|arm| arm.knee()).map(|step| step.offered_per_s);
        assert_eq!(knee, Some(300.0));
        let never = arm(&[(100.0, 50)]);
        assert!(of(&never).is_some_and(|arm| arm.knee().is_none()));
    }

    #[test]
    fn a_rung_beyond_the_objective_is_not_kept_up_with() {
        let mut laddered = arm(&[(100.0, 100), (200.0, 200)]);
        for (step, ms) in laddered.steps.iter_mut().zip([40, 60]) {
            step.latency.get_or_insert_default().record(Duration::from_millis(ms));
        }
        let mut run = Synthetic::new(1).run(1);
        for (p99_ms_max, knee) in [(50.0, Some(100.0)), (70.0, Some(200.0)), (30.0, None)] {
            run.settings = json!({ "ladder": { "p99_ms_max": p99_ms_max } });
            let found = standing_in(&run, &laddered).and_then(|arm| arm.knee());
            assert_eq!(found.map(|step| step.offered_per_s), knee, "{p99_ms_max}");
        }
    }

    #[test]
    fn details_are_shown_at_the_highest_rate_that_most_arms_hold() {
        let (wide, narrow) = (arm(&[(1.0, 1), (2.0, 2), (3.0, 3)]), arm(&[(1.0, 1), (2.0, 2)]));
        let arms: Vec<_> = [&wide, &narrow].into_iter().filter_map(of).collect();
        assert_eq!(detailed_rate(&arms), Some(2.0));
        assert_eq!(detailed_rate(&[]), None);
    }

    #[test]
    fn the_spread_is_median_smallest_largest() {
        assert_eq!(spread([3.0, 1.0, 9.0, 4.0]), Some((3.5, 1.0, 9.0)));
        assert_eq!(spread([]), None);
    }
}
