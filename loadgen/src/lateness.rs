//! How far a load was behind its intended times, whose fault that was, and when it makes a run invalid.
//!
//! ```text
//! due ───────── connection free ───────── begins to be sent
//! │             └─────────── own ────────────┤      the generator's: pacing, waking up, building the document
//! └───────────── behind ─────────────────────┘      as well the wait for answers to earlier operations: the server's
//! ```
//!
//! Both are in every latency, because latency counts from the intended time. The wait for the server belongs there;
//! the generator's own part does not, so it must be small:
//!
//! | own lateness | may be at most                                     | because                                 |
//! |--------------|----------------------------------------------------|-----------------------------------------|
//! | p99          | 1 ms, or 1 % of the p99 latency if that is more    | p99 is what a run is quoted by          |
//! | p99.9        | ten times that                                     | the outermost percentile that is quoted |
//!
//! A tenth of a write with `w: majority` on loopback (2 to 10 ms) is about 1 ms, and a larger latency can bear more.
//! A stall of the generator that is longer than these and hits more than one operation in a hundred, or in a
//! thousand, is found; one that is shorter or rarer does not reach a figure that is quoted.
//!
//! Recorded in ns with three significant digits. Histograms of connections are added, never averaged.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What the generator may always be late at p99.
pub const OWN_P99_MAX: Duration = Duration::from_millis(1);
/// A larger p99 latency bears this part of itself.
const LATENCY_SHARE: u32 = 100;
/// The bound at p99.9 over that at p99.
const P99_9_FACTOR: u32 = 10;
/// An operation that begins this much after its time is worth counting.
const LATE_AFTER: Duration = Duration::from_millis(10);

/// How often each delay came.
#[derive(Clone, Debug, PartialEq)]
pub struct Delays(Histogram<u64>);

impl Default for Delays {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are possible"))
    }
}

impl Delays {
    /// Counts `times` delays of the same length.
    pub fn record(&mut self, delay: Duration, times: u64) {
        let ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        // The histogram grows as needed; what it cannot hold lies beyond 292 years.
        self.0.record_n(ns, times).unwrap_or_else(|_| self.0.saturating_record_n(ns, times));
    }

    /// Adds all that `other` counted, as if it had been recorded here.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("a histogram that grows takes every value of another");
    }

    /// Every delay that was recorded, to the precision of the histogram, and how often.
    pub fn recorded(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let values = self.0.iter_recorded();
        values
            .map(|value| (Duration::from_nanos(value.value_iterated_to()), value.count_at_value()))
    }

    /// Delays recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What `percent` of all did not exceed; zero when nothing was recorded.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_percentile(percent))
    }

    /// The largest; zero when nothing was recorded.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// Those above `bound`, to the precision of the histogram.
    pub fn count_above(&self, bound: Duration) -> u64 {
        let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let last = self.0.max();
        if last <= bound_ns { 0 } else { self.0.count_between(bound_ns + 1, last) }
    }
}

/// How far operations began behind their intended times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lateness {
    /// The part that is the generator's fault.
    pub own: Delays,
    /// All of it.
    pub behind: Delays,
}

impl Lateness {
    /// Adds what `other` recorded.
    pub fn merge(&mut self, other: &Self) {
        self.own.merge(&other.own);
        self.behind.merge(&other.behind);
    }

    /// Operations that began more than 10 ms after their time, whoever's fault it was.
    pub fn late_count(&self) -> u64 {
        self.behind.count_above(LATE_AFTER)
    }

    /// Why the run is invalid, if the generator was late. `latency_p99` is that of the run where one was measured.
    pub fn fault(&self, latency_p99: Option<Duration>) -> Option<Late> {
        let latency_part = latency_p99.unwrap_or_default() / LATENCY_SHARE;
        let p99_max = OWN_P99_MAX.max(latency_part);
        let judged = [(99.0, p99_max), (99.9, p99_max * P99_9_FACTOR)];
        judged.into_iter().find_map(|(percentile, allowed)| {
            let found = self.own.percentile(percentile);
            (allowed < found).then_some(Late { percentile, found, allowed })
        })
    }

    /// Whether the generator was late: see [`Self::fault`].
    pub fn is_late(&self, latency_p99: Option<Duration>) -> bool {
        self.fault(latency_p99).is_some()
    }
}

/// A generator that was late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Late {
    /// Where it shows.
    pub percentile: f64,
    /// Its own lateness there.
    pub found: Duration,
    /// What would have been in order.
    pub allowed: Duration,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentile, found, allowed } = self;
        write!(
            f,
            "the load generator was late by itself: {found:.1?} at p{percentile}, at most {allowed:.1?} is allowed. What \
             this run measured is not the load that was asked for: give the generator more CPU, or ask for a lower rate"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lateness(own_us: impl IntoIterator<Item = u64>) -> Lateness {
        let mut lateness = Lateness::default();
        own_us.into_iter().for_each(|us| lateness.own.record(Duration::from_micros(us), 1));
        lateness
    }

    #[test]
    fn percentiles_are_those_of_all_delays() {
        let Lateness { own, .. } = lateness((0..=1_000).map(|step| step * 20));
        for (percent, expected_us) in [(50.0, 10_000_u128), (99.0, 19_800), (100.0, 20_000)] {
            let found = own.percentile(percent).as_micros();
            assert!(found.abs_diff(expected_us) <= expected_us / 1_000, "{percent}: {found}");
        }
        assert_eq!(own.count(), 1_001);
        assert!(own.count_above(Duration::from_millis(10)).abs_diff(500) <= 1);
        assert_eq!(own.count_above(Duration::from_secs(1)), 0);
        assert_eq!(Delays::default().percentile(99.0), Duration::ZERO);
    }

    #[test]
    fn merged_histograms_are_the_histogram_of_both() {
        let mut first = lateness(0..500);
        first.merge(&lateness(500..100_000));
        assert_eq!(first, lateness(0..100_000));
    }

    #[test]
    fn a_generator_is_late_beyond_a_millisecond_at_p99() {
        let mostly_50_us = |late: usize, us: u64| {
            lateness((0..1_000 - late).map(|_| 50).chain((0..late).map(move |_| us)))
        };
        assert_eq!(mostly_50_us(5, 9_000).fault(None), None);
        let late = mostly_50_us(20, 3_000);
        let fault = late.fault(None).expect("late");
        assert_eq!((fault.percentile, fault.allowed), (99.0, OWN_P99_MAX));
        assert!(fault.to_string().contains("3.0ms at p99, at most 1.0ms is allowed"), "{fault}");
        let rare = mostly_50_us(5, 11_000).fault(None).expect("late");
        assert_eq!((rare.percentile, rare.allowed), (99.9, 10 * OWN_P99_MAX));
    }

    #[test]
    fn a_larger_latency_bears_a_larger_lateness() {
        let late = lateness([3_000; 100]);
        assert!(late.is_late(Some(Duration::from_millis(299))));
        assert!(!late.is_late(Some(Duration::from_millis(301))));
    }

    #[test]
    fn waiting_for_the_server_is_not_the_generators_fault() {
        let mut waited = lateness([20; 100]);
        waited.behind.record(Duration::from_secs(1), 100);
        assert!(!waited.is_late(None));
        assert_eq!(waited.late_count(), 100);
    }
}
