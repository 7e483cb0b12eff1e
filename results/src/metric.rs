//! What two runs are compared by: a figure of a round, and which direction is better.
//!
//! ```text
//! figure                 of a round                     of several rounds
//! events/s, ratios       its value                      median
//! CPU per event, memory  its value                      median
//! latency percentiles    its histogram                  percentile of the merged histogram
//! ```
//!
//! Percentiles are never averaged: where rounds are drawn for an interval, their histograms are merged and the
//! percentile is taken of the whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::histogram::LatencyHistogram;
use crate::record::RoundRecord;
use crate::stats::bootstrap::Sample;

/// A figure of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Events per second.
    EventsPerS,
    /// Of the null reader in the same round.
    NullRatio,
    /// Of the null writer in the same round.
    SinkRatio,
    /// User and system time of the arm's process, µs.
    CpuPerEvent,
    /// Of the arm's process, MiB.
    PeakRss,
    /// Milliseconds from the intended write to the consumer.
    LatencyP50,
    /// As [`Self::LatencyP50`].
    LatencyP99,
    /// As [`Self::LatencyP50`].
    LatencyP999,
}

/// Which change is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A larger figure.
    Higher,
    /// A smaller figure.
    Lower,
}

impl Metric {
    /// All, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::EventsPerS,
        Self::NullRatio,
        Self::SinkRatio,
        Self::CpuPerEvent,
        Self::PeakRss,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyP999,
    ];

    /// Which change is an improvement.
    pub fn better(self) -> Better {
        match self {
            Self::EventsPerS | Self::NullRatio | Self::SinkRatio => Better::Higher,
            Self::CpuPerEvent
            | Self::PeakRss
            | Self::LatencyP50
            | Self::LatencyP99
            | Self::LatencyP999 => Better::Lower,
        }
    }

    /// The figure in those of `rounds` that have one.
    pub fn sample(self, rounds: &[&RoundRecord]) -> Box<dyn Sample> {
        match self.percent() {
            Some(percent) => {
                let histograms = rounds.iter().filter_map(|round| round.latency.as_ref());
                Box::new(Latencies::new(histograms.collect(), percent))
            }
            None => Box::new(Values(rounds.iter().filter_map(|round| self.value(round)).collect())),
        }
    }

    /// The figure of one round.
    pub fn value(self, round: &RoundRecord) -> Option<f64> {
        match self {
            Self::EventsPerS => Some(round.events_per_s()),
            Self::NullRatio => round.null_ratio,
            Self::SinkRatio => round.sink_ratio,
            Self::CpuPerEvent => round.cpu_us_per_event,
            Self::PeakRss => round.peak_rss_mib,
            Self::LatencyP50 | Self::LatencyP99 | Self::LatencyP999 => {
                Some(round.latency.as_ref()?.percentile_ms(self.percent()?))
            }
        }
    }

    fn percent(self) -> Option<f64> {
        match self {
            Self::LatencyP50 => Some(50.0),
            Self::LatencyP99 => Some(99.0),
            Self::LatencyP999 => Some(99.9),
            Self::EventsPerS
            | Self::NullRatio
            | Self::SinkRatio
            | Self::CpuPerEvent
            | Self::PeakRss => None,
        }
    }
}

/// As the heads of tables name it.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EventsPerS => "events/s",
            Self::NullRatio => "null ratio",
            Self::SinkRatio => "sink ratio",
            Self::CpuPerEvent => "CPU µs/event",
            Self::PeakRss => "RSS MiB",
            Self::LatencyP50 => "p50 ms",
            Self::LatencyP99 => "p99 ms",
            Self::LatencyP999 => "p99.9 ms",
        })
    }
}

struct Values(Vec<f64>);

impl Sample for Values {
    fn rounds(&self) -> usize {
        self.0.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        self.0.figure(drawn)
    }
}

/// Histograms laid out so that a percentile of any merge of them is one walk over the latencies that came at all.
struct Latencies {
    share: f64,
    totals: Vec<u64>,
    /// Smallest latency first; how often it came in each round.
    counts_by_us: Vec<(u64, Vec<u64>)>,
}

impl Latencies {
    fn new(histograms: Vec<&LatencyHistogram>, percent: f64) -> Self {
        let mut counts_by_us = std::collections::BTreeMap::new();
        for (round, histogram) in histograms.iter().enumerate() {
            for (us, count) in histogram.recorded_us() {
                counts_by_us.entry(us).or_insert_with(|| vec![0; histograms.len()])[round] += count;
            }
        }
        Self {
            share: percent / 100.0,
            totals: histograms.iter().map(|histogram| histogram.count()).collect(),
            counts_by_us: counts_by_us.into_iter().collect(),
        }
    }
}

impl Sample for Latencies {
    fn rounds(&self) -> usize {
        self.totals.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        let total: u64 = drawn.iter().map(|&round| self.totals[round]).sum();
        let wanted = (self.share * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (us, counts) in &self.counts_by_us {
            seen += drawn.iter().map(|&round| counts[round]).sum::<u64>();
            if wanted <= seen {
                return Some(*us as f64 / 1_000.0);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn round(number: u32, latencies_us: &[u64]) -> RoundRecord {
        let mut latency = LatencyHistogram::new();
        latencies_us.iter().for_each(|&us| latency.record(Duration::from_micros(us)));
        RoundRecord {
            latency: Some(latency),
            null_ratio: Some(f64::from(number) / 10.0),
            ..RoundRecord::new(number, 100 * u64::from(number), 1, 1.0)
        }
    }

    #[test]
    fn percentiles_of_drawn_rounds_are_those_of_the_merged_histogram() {
        let rounds = [
            round(1, &(1..=1_000).map(|step| step * 7).collect::<Vec<_>>()),
            round(2, &[90_000; 30]),
            round(3, &(1..=500).map(|step| step * step).collect::<Vec<_>>()),
        ];
        let rounds: Vec<&RoundRecord> = rounds.iter().collect();
        for metric in [Metric::LatencyP50, Metric::LatencyP99, Metric::LatencyP999] {
            let sample = metric.sample(&rounds);
            for drawn in [vec![0, 1, 2], vec![1, 1, 0], vec![2, 2, 2], vec![0]] {
                let mut merged = LatencyHistogram::new();
                drawn.iter().for_each(|&r| merged.merge(rounds[r].latency.as_ref().expect("set")));
                let expected = merged.percentile_ms(metric.percent().expect("a percentile"));
                assert_eq!(sample.figure(&drawn), Some(expected), "{metric} of {drawn:?}");
            }
        }
    }

    #[test]
    fn other_figures_are_medians() {
        let rounds = [round(1, &[1]), round(5, &[1]), round(2, &[1])];
        let rounds: Vec<&RoundRecord> = rounds.iter().collect();
        assert_eq!(Metric::NullRatio.sample(&rounds).estimate(), Some(0.2));
        assert_eq!(Metric::EventsPerS.sample(&rounds).figure(&[1, 1, 2]), Some(500.0));
        assert_eq!(Metric::CpuPerEvent.sample(&rounds).rounds(), 0);
        assert_eq!(Metric::LatencyP99.sample(&[]).estimate(), None);
    }
}
