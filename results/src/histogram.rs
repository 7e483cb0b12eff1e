//! Latency histograms that can be merged without loss and put into JSON.
//!
//! ```text
//! { "count": …, "p50_ms": …, "p99_ms": …, "p99_9_ms": …, "max_ms": …, "hdr_v2_us": "base64 of HdrHistogram V2" }
//! ```
//!
//! Recorded in microseconds from 1 µs to 1 hour with three significant digits. The percentiles in JSON are for readers;
//! only the encoded histogram is read back. Any HdrHistogram tool decodes it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

const LOWEST_US: u64 = 1;
const HIGHEST_US: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// How often each latency came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Encoded", try_from = "Encoded")]
pub struct LatencyHistogram {
    counts_us: Histogram<u64>,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl LatencyHistogram {
    /// An empty histogram; 180 KB of memory whatever is recorded.
    pub fn new() -> Self {
        let counts_us = Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that the tests use");
        Self { counts_us }
    }

    /// Counts one latency; above an hour it is an hour.
    pub fn record(&mut self, latency: Duration) {
        self.record_n(latency, 1);
    }

    /// Counts the same latency `times` times.
    pub fn record_n(&mut self, latency: Duration, times: u64) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(HIGHEST_US);
        self.counts_us.saturating_record_n(latency_us, times);
    }

    /// Adds all that `other` counted, as if it had been recorded here.
    pub fn merge(&mut self, other: &Self) {
        self.counts_us.add(&other.counts_us).expect("all histograms have the same bounds");
    }

    /// Latencies recorded.
    pub fn count(&self) -> u64 {
        self.counts_us.len()
    }

    /// The latency that `percent` of all did not exceed, in milliseconds; 0 when nothing was recorded.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        ms(self.counts_us.value_at_percentile(percent))
    }

    /// Every latency that came, in µs to three digits, with how often it came; smallest first.
    pub fn recorded_us(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts_us.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// The standard deviation, in milliseconds; 0 when nothing was recorded.
    pub fn deviation_ms(&self) -> f64 {
        self.counts_us.stdev() / 1_000.0
    }

    /// The latencies up to `ticks_per_half` steps of the way to 50 %, as many again to 75 %, and so on up to all; the
    /// walk that HdrHistogram's percentile text is made of.
    pub fn quantiles(&self, ticks_per_half: u32) -> impl Iterator<Item = Quantile> {
        self.counts_us.iter_quantiles(ticks_per_half).map(|step| Quantile {
            quantile: step.quantile_iterated_to(),
            latency_ms: ms(step.value_iterated_to()),
        })
    }

    /// How many latencies did not exceed `latency_ms`, to three digits of it.
    pub fn count_up_to(&self, latency_ms: f64) -> u64 {
        self.counts_us.count_between(0, (latency_ms * 1_000.0).round() as u64)
    }

    /// Buckets and sub-buckets of HdrHistogram's layout for the bounds of all these histograms.
    pub fn layout() -> (u32, u32) {
        let sub_buckets = 2 * 10_u64.pow(u32::from(SIGNIFICANT_DIGITS)).next_power_of_two();
        let buckets = (0..).find(|bucket| HIGHEST_US < sub_buckets << bucket);
        (buckets.unwrap_or(0) + 1, sub_buckets as u32)
    }

    /// The largest latency, in milliseconds; 0 when nothing was recorded.
    pub fn max_ms(&self) -> f64 {
        ms(self.counts_us.max())
    }

    /// The mean latency, in milliseconds, to three digits; 0 when nothing was recorded. Means of stages add up.
    pub fn mean_ms(&self) -> f64 {
        self.counts_us.mean() / 1_000.0
    }

    /// HdrHistogram V2, uncompressed, in base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.counts_us, &mut bytes)
            .expect("a vector takes all, and counts stay below 2⁶³");
        STANDARD.encode(bytes)
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self> {
        let bytes = STANDARD.decode(text).context("cannot read a histogram: it is not base64")?;
        let counts_us: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| {
                anyhow::anyhow!("cannot read a histogram: not HdrHistogram V2: {error}")
            })?;
        let bounds = (counts_us.low(), counts_us.high(), counts_us.sigfig());
        ensure!(
            bounds == (LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS),
            "cannot merge a histogram with other bounds: {bounds:?} (lowest and highest µs, digits)"
        );
        Ok(Self { counts_us })
    }
}

/// A step of [`LatencyHistogram::quantiles`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// From 0 to 1.
    pub quantile: f64,
    /// This share of all did not exceed it.
    pub latency_ms: f64,
}

/// To a thousandth of a millisecond, which is all that was recorded.
fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    count: u64,
    p50_ms: f64,
    p99_ms: f64,
    p99_9_ms: f64,
    max_ms: f64,
    hdr_v2_us: String,
}

impl From<LatencyHistogram> for Encoded {
    fn from(histogram: LatencyHistogram) -> Self {
        Self {
            count: histogram.count(),
            p50_ms: histogram.percentile_ms(50.0),
            p99_ms: histogram.percentile_ms(99.0),
            p99_9_ms: histogram.percentile_ms(99.9),
            max_ms: histogram.max_ms(),
            hdr_v2_us: histogram.encode(),
        }
    }
}

impl TryFrom<Encoded> for LatencyHistogram {
    type Error = anyhow::Error;

    fn try_from(encoded: Encoded) -> Result<Self> {
        Self::decode(&encoded.hdr_v2_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(latencies_us: impl IntoIterator<Item = u64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        latencies_us.into_iter().for_each(|us| histogram.record(Duration::from_micros(us)));
        histogram
    }

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let histogram = histogram((1..=10_000).map(|step| step * 10));
        assert_eq!(histogram.count(), 10_000);
        for (percent, ms) in [(50.0, 50.0), (99.0, 99.0), (99.9, 99.9), (100.0, 100.0)] {
            let found = histogram.percentile_ms(percent);
            assert!((found - ms).abs() <= ms / 1_000.0, "p{percent}: {found}");
        }
    }

    #[test]
    fn the_mean_is_right_to_three_digits() {
        assert_eq!(histogram([]).mean_ms(), 0.0);
        assert!((histogram([1_000, 3_000, 8_000]).mean_ms() - 4.0).abs() < 0.01);
    }

    #[test]
    fn merging_is_recording_both() {
        let mut merged = histogram((0..500).map(|step| step * step));
        merged.merge(&histogram((0..90).map(|step| step * 1_000_000)));
        let both = (0..500).map(|step| step * step).chain((0..90).map(|step| step * 1_000_000));
        assert_eq!(merged, histogram(both));
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for histogram in [histogram([]), histogram([0, 1, 2_345, 3_600_000_000, 3_600_000_000])] {
            assert_eq!(LatencyHistogram::decode(&histogram.encode()).unwrap(), histogram);
            let json = serde_json::to_string(&histogram).unwrap();
            assert_eq!(serde_json::from_str::<LatencyHistogram>(&json).unwrap(), histogram);
        }
    }

    #[test]
    fn latencies_above_an_hour_are_an_hour() {
        let mut histogram = histogram([]);
        histogram.record(Duration::MAX);
        assert!((histogram.max_ms() - 3_600_000.0).abs() < 3_600.0);
    }

    #[test]
    fn json_names_the_percentiles_of_the_histogram() {
        let json = serde_json::to_value(histogram([1_000; 99].into_iter().chain([9_000]))).unwrap();
        assert_eq!(json["count"], 100);
        assert_eq!(json["p50_ms"], 1.0);
        assert!(json["p99_ms"].as_f64().unwrap() < 1.01);
        assert!(8.9 < json["p99_9_ms"].as_f64().unwrap());
        assert!(8.9 < json["max_ms"].as_f64().unwrap());
    }

    #[test]
    fn a_histogram_cut_anywhere_is_refused() {
        let bytes = STANDARD.decode(histogram([5, 70, 900]).encode()).unwrap();
        for length in 0..bytes.len() {
            assert!(
                LatencyHistogram::decode(&STANDARD.encode(&bytes[..length])).is_err(),
                "{length}"
            );
        }
        assert!(LatencyHistogram::decode("%").is_err());
    }

    #[test]
    fn a_histogram_with_other_bounds_is_refused() {
        let mut bytes = Vec::new();
        let other = Histogram::<u64>::new_with_bounds(1, 1_000, 2).unwrap();
        V2Serializer::new().serialize(&other, &mut bytes).unwrap();
        let error = LatencyHistogram::decode(&STANDARD.encode(bytes)).unwrap_err().to_string();
        assert!(error.contains("other bounds: (1, 1000, 2)"), "{error}");
    }
}
