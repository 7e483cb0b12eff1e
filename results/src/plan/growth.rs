//! How a figure of a round grows: with the load, with the document, from one process to all.
//!
//! ```text
//! with the load       a + b N through all rounds, a, b ≥ 0: a cost that falls with the load is taken as constant
//! with the document   a cost per event lies between not growing and growing with the bytes; bytes on the wire grow at
//!                     least by those of the document. The interval spans both, the estimate is in the middle
//! ```

use crate::metric::Metric;
use crate::record::RoundRecord;
use crate::stats::bootstrap;
use crate::stats::least_squares::{Row, nonnegative};
use crate::stats::median::median;
use crate::stats::random::Random;
use crate::stats::{CONFIDENCE, Interval};

const RESAMPLES: usize = 1_000;

/// A cost per event at `size` times the measured document: from not growing to growing with the bytes.
pub(super) fn cost(per_event: Interval, size: f64) -> Interval {
    Interval {
        estimate: per_event.estimate * f64::midpoint(1.0, size),
        low: per_event.low * size.min(1.0),
        high: per_event.high * size.max(1.0),
        ..per_event
    }
}

/// Bytes per event at `size` times the measured document: from growing by the bytes of the document alone to growing in
/// all parts.
pub(super) fn bytes(per_event: Interval, document_bytes: f64, size: f64) -> Interval {
    let more = document_bytes * (size - 1.0);
    let both = |bytes: f64| [bytes + more, bytes * size];
    let ([low_a, low_b], [high_a, high_b]) = (both(per_event.low), both(per_event.high));
    let [alone, all] = both(per_event.estimate);
    Interval {
        estimate: f64::midpoint(alone, all),
        low: low_a.min(low_b).max(0.0),
        high: high_a.max(high_b),
        ..per_event
    }
}

/// `a + b N` with a, b ≥ 0 through `(N, value)`, at `load`; rounds are drawn again for the interval.
pub(super) fn along_load(name: &str, figures: &[(f64, f64)], load: f64) -> Option<Interval> {
    let at_load = |figures: &[(f64, f64)]| {
        let row =
            |&(load, value): &(f64, f64)| Row { columns: [1.0, load], target: value, weight: 1.0 };
        let [fixed, slope] = nonnegative(&figures.iter().map(row).collect::<Vec<_>>())?;
        Some(fixed + slope * load)
    };
    let estimate = at_load(figures)?;
    bootstrap::of_statistic(estimate, Random::named(name), RESAMPLES, |random| {
        at_load(&bootstrap::draw(figures, random))
    })
}

pub(super) fn p99(rounds: &[&RoundRecord]) -> Option<Interval> {
    let sample = Metric::LatencyP99.sample(rounds);
    let places: Vec<usize> = (0..sample.rounds()).collect();
    let estimate = sample.estimate()?;
    bootstrap::of_statistic(estimate, Random::named("p99"), RESAMPLES, |random| {
        sample.figure(&bootstrap::draw(&places, random))
    })
}

/// The median with its interval, or with the range where there are too few.
pub(super) fn spread(values: &[f64], name: &str) -> Option<Interval> {
    let of_few = || {
        let (low, high) =
            (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let confidence = CONFIDENCE.min(1.0 - 2.0_f64.powi(1 - values.len() as i32));
        Some(Interval { estimate: median(values.to_vec())?, low, high, confidence })
    };
    bootstrap::median_of(values, Random::named(name)).or_else(of_few)
}

/// The sum of two amounts: ends add up, which is as wide as it can be.
pub(super) fn sum(a: Interval, b: Interval) -> Interval {
    Interval {
        estimate: a.estimate + b.estimate,
        low: a.low + b.low,
        high: a.high + b.high,
        confidence: a.confidence.min(b.confidence),
    }
}
