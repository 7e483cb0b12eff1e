//! Results as the OpenMessaging benchmark writes them, for its chart scripts: one JSON for each arm and offered rate.
//!
//! ```text
//! publishRate          what the generator was to write, else what came out      per window of 10 s, events/s
//! consumeRate          what came out                                            per window of 10 s, events/s
//! endToEndLatency…     from the intended write to the consumer                  ms
//! publishDelayLatency… how much later than intended the generator wrote         µs
//! publishLatency…      there is no such step here                              0, as of an empty histogram
//! ```
//!
//! Field names and units are those of `TestResult.java`. A drain of a few seconds has fewer than one window: each round
//! is then one. Windows are made of whole seconds by merging their histograms; nothing is averaged. A topic has one
//! producer and one consumer; the number of partitions is in the record's counter `partitions`, else 0.

use serde_json::{Map, Value, json};

use super::{ExportFile, per_arm};
use crate::histogram::LatencyHistogram;
use crate::record::{RoundRecord, RunRecord};

/// What the benchmark sums up in one number.
const WINDOW_S: usize = 10;

/// Percentiles by the suffixes of their fields.
const PERCENTILES: [(&str, f64); 7] = [
    ("50pct", 50.0),
    ("75pct", 75.0),
    ("95pct", 95.0),
    ("99pct", 99.0),
    ("999pct", 99.9),
    ("9999pct", 99.99),
    ("99999pct", 99.999),
];

/// One file for each valid arm and offered rate.
pub fn files(run: &RunRecord) -> Vec<ExportFile> {
    per_arm(run, "json", |arm, offered| {
        let rounds = arm.counting(offered);
        let document = document(run, &arm.name, offered, &rounds);
        Some(format!("{:#}\n", Value::Object(document)))
    })
}

fn document(
    run: &RunRecord,
    arm: &str,
    offered: Option<f64>,
    rounds: &[&RoundRecord],
) -> Map<String, Value> {
    let windows: Vec<Window> = rounds.iter().flat_map(|round| Window::of(round)).collect();
    let consumed: Vec<f64> = windows.iter().map(|window| window.events_per_s).collect();
    let published = consumed.iter().map(|&rate| offered.unwrap_or(rate)).collect::<Vec<_>>();
    let first = rounds.first();
    let partitions = first.and_then(|round| round.counters.get("partitions"));
    let Value::Object(mut fields) = json!({
        "workload": run.scenario,
        "driver": arm,
        "messageSize": run.document_bytes,
        "topics": 1,
        "partitions": partitions.and_then(Value::as_u64).unwrap_or(0),
        "producersPerTopic": 1,
        "consumersPerTopic": 1,
        "publishRate": published,
        "publishErrorRate": vec![0.0; windows.len()],
        "consumeRate": consumed,
        "backlog": Vec::<u64>::new(),
    }) else {
        unreachable!("an object in braces is an object");
    };
    let (ms, us) = (Unit { per_ms: 1.0, whole: false }, Unit { per_ms: 1_000.0, whole: true });
    let latencies: Vec<_> = windows.iter().filter_map(|window| window.latency.as_ref()).collect();
    let lateness: Vec<_> = rounds.iter().filter_map(|round| round.lateness.as_ref()).collect();
    // The chart scripts fail on a list without values.
    let nothing = LatencyHistogram::new();
    let or_nothing = |measured: Vec<_>| match measured.is_empty() {
        true => vec![&nothing; windows.len()],
        false => measured,
    };
    add_latency(&mut fields, "publishLatency", "PublishLatency", &or_nothing(Vec::new()), ms);
    let lateness = or_nothing(lateness);
    add_latency(&mut fields, "publishDelayLatency", "PublishDelayLatency", &lateness, us);
    let latencies = or_nothing(latencies);
    add_latency(&mut fields, "endToEndLatency", "EndToEndLatency", &latencies, ms);
    fields
}

/// Ten seconds of a round, or all of a shorter one.
struct Window {
    events_per_s: f64,
    latency: Option<LatencyHistogram>,
}

impl Window {
    fn of(round: &RoundRecord) -> Vec<Self> {
        // The last seconds, fewer than a window has, are left out: they would count as ten.
        let windows: Vec<Self> = round
            .series
            .chunks_exact(WINDOW_S)
            .map(|seconds| Self {
                events_per_s: seconds.iter().map(|second| second.events).sum::<u64>() as f64
                    / WINDOW_S as f64,
                latency: merged(seconds.iter().filter_map(|second| second.latency.as_ref())),
            })
            .collect();
        if windows.is_empty() {
            return vec![Self {
                events_per_s: round.events_per_s(),
                latency: round.latency.clone(),
            }];
        }
        windows
    }
}

#[derive(Clone, Copy)]
struct Unit {
    per_ms: f64,
    whole: bool,
}

impl Unit {
    fn value(self, ms: f64) -> Value {
        let value = ms * self.per_ms;
        if self.whole { json!(value.round() as u64) } else { json!(value) }
    }
}

/// Lists of the windows' percentiles and the same of all together. The mean is always a fraction.
fn add_latency(
    fields: &mut Map<String, Value>,
    list: &str,
    aggregated: &str,
    windows: &[&LatencyHistogram],
    unit: Unit,
) {
    let all = merged(windows.iter().copied()).unwrap_or_default();
    let mean = |histogram: &LatencyHistogram| json!(histogram.mean_ms() * unit.per_ms);
    let mut add = |suffix: &str, value: &dyn Fn(&LatencyHistogram) -> Value| {
        let values: Vec<Value> = windows.iter().map(|window| value(window)).collect();
        fields.insert(format!("{list}{suffix}"), Value::Array(values));
        fields.insert(format!("aggregated{aggregated}{suffix}"), value(&all));
    };
    add("Avg", &mean);
    for (suffix, percent) in PERCENTILES {
        add(suffix, &|histogram| unit.value(histogram.percentile_ms(percent)));
    }
    add("Max", &|histogram| unit.value(histogram.max_ms()));
    let quantiles = all
        .quantiles(100)
        .map(|step| (format!("{:?}", step.quantile * 100.0), unit.value(step.latency_ms)));
    fields.insert(format!("aggregated{aggregated}Quantiles"), quantiles.collect());
}

fn merged<'a>(histograms: impl Iterator<Item = &'a LatencyHistogram>) -> Option<LatencyHistogram> {
    histograms.fold(None, |merged: Option<LatencyHistogram>, histogram| {
        let mut merged = merged.unwrap_or_default();
        merged.merge(histogram);
        Some(merged)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::record::Second;
    use crate::synthetic::Synthetic;

    /// The public fields of `TestResult.java`, August 2026, but for those that are made of a percentile's suffix.
    const FIELDS: &str = "workload driver messageSize topics partitions producersPerTopic consumersPerTopic \
        publishRate publishErrorRate consumeRate backlog publishLatencyAvg publishLatencyMax \
        publishDelayLatencyAvg publishDelayLatencyMax endToEndLatencyAvg endToEndLatencyMax \
        aggregatedPublishLatencyAvg aggregatedPublishLatencyMax aggregatedPublishDelayLatencyAvg \
        aggregatedPublishDelayLatencyMax aggregatedEndToEndLatencyAvg aggregatedEndToEndLatencyMax \
        aggregatedPublishLatencyQuantiles aggregatedPublishDelayLatencyQuantiles \
        aggregatedEndToEndLatencyQuantiles";

    fn latency(us: u64) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        histogram.record(Duration::from_micros(us));
        histogram
    }

    fn parsed(run: &RunRecord) -> Vec<Value> {
        files(run).iter().map(|file| serde_json::from_str(&file.text).expect("JSON")).collect()
    }

    #[test]
    fn the_fields_are_those_of_the_benchmark() {
        let mut expected: BTreeSet<String> = FIELDS.split_whitespace().map(str::to_owned).collect();
        for base in ["ublishLatency", "ublishDelayLatency", "ndToEndLatency"] {
            for suffix in ["50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "99999pct"] {
                let (small, large) = if base.starts_with('u') { ("p", "P") } else { ("e", "E") };
                expected.insert(format!("{small}{base}{suffix}"));
                expected.insert(format!("aggregated{large}{base}{suffix}"));
            }
        }
        let document = &parsed(&Synthetic::new(1).run(1))[1];
        let found: BTreeSet<String> = document.as_object().expect("one").keys().cloned().collect();
        assert_eq!(found, expected);
        assert_eq!(
            (&document["workload"], &document["driver"]),
            (&json!("drain"), &json!("node-json"))
        );
    }

    #[test]
    fn seconds_become_windows_of_ten_and_histograms_are_merged() {
        let mut run = Synthetic::new(1).run(1);
        let arm = &mut run.arms[1];
        arm.rounds.truncate(1);
        arm.rounds[0].lateness = Some(latency(1_234));
        arm.rounds[0].offered_per_s = Some(500.0);
        arm.rounds[0].series = (0..25)
            .map(|second| Second {
                second,
                events: 100 * u64::from(second / 10 + 1),
                latency: Some(latency(u64::from(second + 1) * 1_000)),
            })
            .collect();
        let document = &parsed(&run)[1];
        assert_eq!(files(&run)[1].name, "drain-node-json-500.json");
        assert_eq!(document["consumeRate"], json!([100.0, 200.0]));
        assert_eq!(document["publishRate"], json!([500.0, 500.0]));
        assert_eq!(document["endToEndLatency50pct"], json!([5.003, 15.007]));
        assert_eq!(document["aggregatedEndToEndLatencyMax"], json!(20.015));
        assert_eq!(document["publishDelayLatency99pct"], json!([1_234]));
        assert_eq!(document["publishLatency99pct"], json!([0.0, 0.0]));
        let quantiles = document["aggregatedEndToEndLatencyQuantiles"].as_object().expect("one");
        assert_eq!((&quantiles["0.0"], &quantiles["100.0"]), (&json!(1.0), &json!(20.015)));
    }

    #[test]
    fn a_short_round_is_a_window_and_an_arm_that_does_not_count_has_no_file() {
        let mut run = Synthetic::new(1).run(1);
        run.arms[2].valid = false;
        let documents = parsed(&run);
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0]["consumeRate"].as_array().map(Vec::len), Some(5));
    }
}
