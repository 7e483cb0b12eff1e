//! Text tables for a terminal: plain characters, aligned, no colour.
//!
//! ```text
//! arm           events  events/s   MB/s  null ratio  (min-max)  …  faults
//! null-reader  100,000    77,118   79.0        1.00  1.00-1.00  …    none
//! ```
//!
//! An arm with several offered rates, or numbers of connectors, has a line for each. A column without any value is
//! left out; a missing value is `-`. Reasons of invalid arms follow below the table.

use std::collections::BTreeSet;

use crate::histogram::LatencyHistogram;
use crate::plan::rungs::CONNECTORS;
use crate::record::{ArmRecord, RoundRecord, StepRecord};
use crate::stats::median::median;

mod below;

pub use below::{contents, latency_stages};

/// The arms of a run, one per line and rung, and below why some do not count.
pub fn arms(arms: &[ArmRecord]) -> String {
    let rows: Vec<Vec<String>> =
        arms.iter().flat_map(|arm| lines(arm).into_iter().map(|line| line.cells(arm))).collect();
    let mut text = render(&HEADS, &rows);
    for arm in arms {
        if let Some(reason) = &arm.invalid_reason {
            text.push_str(&format!("{} does not count: {reason}\n", arm.name));
        }
    }
    text
}

fn lines(arm: &ArmRecord) -> Vec<Line<'_>> {
    match (&arm.steps[..], &numbers_of_connectors(arm)[..]) {
        ([] | [_], [] | [_]) => vec![Line::of_arm(arm)],
        ([] | [_], numbers) => numbers.iter().map(|number| Line::of_rung(arm, *number)).collect(),
        (steps, _) => steps.iter().map(|step| Line::of_step(arm, step)).collect(),
    }
}

const HEADS: [&str; 14] = [
    "arm",
    "connectors",
    "offered/s",
    "events",
    "events/s",
    "MB/s",
    "null ratio",
    "(min-max)",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs/event",
    "RSS MiB",
    "faults",
];

/// The figures of a line. What is not told by a part of an arm is that of the whole arm.
struct Line<'a> {
    connectors: Option<u64>,
    offered_per_s: Option<f64>,
    events: u64,
    events_per_s: Option<f64>,
    mb_per_s: Option<f64>,
    null_ratio: Option<f64>,
    null_ratio_range: Option<(f64, f64)>,
    latency: Option<&'a LatencyHistogram>,
    cpu_us_per_event: Option<f64>,
    peak_rss_mib: Option<f64>,
}

impl<'a> Line<'a> {
    fn of_arm(arm: &'a ArmRecord) -> Self {
        Self {
            connectors: None,
            offered_per_s: arm.steps.first().map(|step| step.offered_per_s),
            events: arm.events,
            events_per_s: arm.events_per_s,
            mb_per_s: arm.mb_per_s,
            null_ratio: arm.null_ratio,
            null_ratio_range: arm.null_ratio_min.zip(arm.null_ratio_max),
            latency: arm.latency.as_ref(),
            cpu_us_per_event: arm.cpu_us_per_event,
            peak_rss_mib: arm.peak_rss_mib,
        }
    }

    /// One offered rate.
    fn of_step(arm: &'a ArmRecord, step: &'a StepRecord) -> Self {
        Self {
            offered_per_s: Some(step.offered_per_s),
            events_per_s: step.events_per_s,
            mb_per_s: None,
            null_ratio: None,
            null_ratio_range: None,
            latency: step.latency.as_ref(),
            cpu_us_per_event: step.cpu_us_per_event,
            ..Self::of_arm(arm)
        }
    }

    /// One number of connectors: medians of its rounds that count.
    fn of_rung(arm: &'a ArmRecord, number: u64) -> Self {
        let of_rung = |round: &&RoundRecord| connectors(round) == Some(number);
        let rounds: Vec<&RoundRecord> = arm.counting(None).into_iter().filter(of_rung).collect();
        let middle = |figure: fn(&RoundRecord) -> Option<f64>| {
            median(rounds.iter().filter_map(|round| figure(round)).collect())
        };
        Self {
            connectors: Some(number),
            events: rounds.iter().map(|round| round.events).sum(),
            events_per_s: middle(|round| Some(round.events_per_s())),
            mb_per_s: middle(|round| Some(round.mb_per_s())),
            cpu_us_per_event: middle(|round| round.cpu_us_per_event),
            peak_rss_mib: middle(|round| round.peak_rss_mib),
            ..Self::of_arm(arm)
        }
    }

    /// In the order of [`HEADS`]. Faults are those of the whole arm.
    fn cells(self, arm: &ArmRecord) -> Vec<String> {
        let missing = || MISSING.to_owned();
        let latency_ms =
            |percent| decimal(self.latency.map(|latency| latency.percentile_ms(percent)), 1);
        vec![
            arm.name.clone(),
            self.connectors.map_or_else(missing, |number| number.to_string()),
            rate(self.offered_per_s),
            thousands(self.events),
            rate(self.events_per_s),
            decimal(self.mb_per_s, 1),
            decimal(self.null_ratio, 2),
            self.null_ratio_range.map_or_else(missing, |(min, max)| format!("{min:.2}-{max:.2}")),
            latency_ms(50.0),
            latency_ms(99.0),
            latency_ms(99.9),
            decimal(self.cpu_us_per_event, 2),
            decimal(self.peak_rss_mib, 0),
            if arm.faults.is_none() { "none".to_owned() } else { arm.faults.text() },
        ]
    }
}

/// How many connectors ran beside each other in the rounds, fewest first.
fn numbers_of_connectors(arm: &ArmRecord) -> Vec<u64> {
    let numbers: BTreeSet<u64> = arm.rounds.iter().filter_map(connectors).collect();
    numbers.into_iter().collect()
}

fn connectors(round: &RoundRecord) -> Option<u64> {
    round.counters.get(CONNECTORS)?.as_u64()
}

fn rate(per_s: Option<f64>) -> String {
    per_s.map_or(MISSING.to_owned(), |per_s| thousands(per_s.round() as u64))
}

const MISSING: &str = "-";

/// Lines of a table: the first column to the left, the others to the right, columns without values left out.
pub fn render(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![String::new(); rows.len() + 1];
    for (column, head) in heads.iter().enumerate() {
        let cells: Vec<&str> =
            rows.iter().map(|row| row.get(column).map_or(MISSING, String::as_str)).collect();
        if !rows.is_empty() && cells.iter().all(|&cell| cell == MISSING) {
            continue;
        }
        let width = cells.iter().chain([head]).map(|cell| cell.chars().count()).max().unwrap_or(0);
        for (line, cell) in lines.iter_mut().zip([*head].into_iter().chain(cells)) {
            match column {
                0 => line.push_str(&format!("{cell:<width$}")),
                _ => line.push_str(&format!("  {cell:>width$}")),
            }
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place != 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn decimal(value: Option<f64>, digits: usize) -> String {
    value.map_or(MISSING.to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::{self, RoundRecord};

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows = [["a", "1", "-", "22"], ["long", "1,000", "-", "-"]]
            .map(|row| row.map(str::to_owned).to_vec());
        let text = render(&["arm", "µs", "gone", "x"], &rows);
        assert_eq!(text, "arm      µs   x\na         1  22\nlong  1,000   -\n");
    }

    #[test]
    fn arms_show_their_figures_and_why_they_do_not_count() {
        let mut latency = LatencyHistogram::new();
        latency.record(Duration::from_micros(2_500));
        let mut node = RoundRecord::new(1, 90_000, 90_000_000, 1.0);
        node.cpu_us_per_event = Some(1.234);
        node.latency = Some(latency);
        let mut broken = RoundRecord::new(1, 7, 7, 1.0);
        broken.faults.lost = 2;
        let text = arms(&record::arms(
            vec![
                ("null-reader".into(), vec![RoundRecord::new(1, 100_000, 100_000_000, 1.0)]),
                ("node-json".into(), vec![node]),
                ("node-bson".into(), vec![broken]),
            ],
            Some("null-reader"),
            None,
        ));
        let expected = "\
arm           events  events/s   MB/s  null ratio  (min-max)  p50 ms  p99 ms  p99.9 ms  CPU µs/event  faults
null-reader  100,000   100,000  100.0        1.00  1.00-1.00       -       -         -             -    none
node-json     90,000    90,000   90.0        0.90  0.90-0.90     2.5     2.5       2.5          1.23    none
node-bson          7         -      -           -          -       -       -         -             -  2 lost
node-bson does not count: 2 lost
";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_arm_has_a_line_for_each_number_of_connectors() {
        let round = |number: u32, connectors: u64, seconds: f64| {
            let mut round = RoundRecord::new(number, 1_000 * connectors, 1, seconds);
            round.counters.insert(CONNECTORS.to_owned(), connectors.into());
            round
        };
        let rounds = [(1, 2, 1.0), (1, 1, 1.0), (2, 1, 2.0), (3, 1, 4.0)];
        let rounds = rounds.map(|(number, connectors, seconds)| round(number, connectors, seconds));
        let text = arms(&record::arms(vec![("node-json".into(), rounds.into())], None, None));
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["arm", "connectors", "events", "events/s"]);
        assert_eq!(lines[1][..4], ["node-json", "1", "3,000", "500"]);
        assert_eq!(lines[2][..4], ["node-json", "2", "2,000", "2,000"]);
    }

    #[test]
    fn an_arm_has_a_line_for_each_offered_rate() {
        let round = |offered_per_s: f64, latency_us: u64| {
            let mut latency = LatencyHistogram::new();
            latency.record(Duration::from_micros(latency_us));
            let mut round = RoundRecord::new(1, offered_per_s as u64, 1, 1.0);
            (round.latency, round.offered_per_s) = (Some(latency), Some(offered_per_s));
            round
        };
        let rounds = vec![round(1_000.0, 9_000), round(200.0, 2_000)];
        let text = arms(&record::arms(vec![("node-json".into(), rounds)], None, None));
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..2], ["arm", "offered/s"]);
        assert_eq!(lines[1], ["node-json", "200", "600", "200", "2.0", "2.0", "2.0", "none"]);
        assert_eq!(lines[2], ["node-json", "1,000", "600", "1,000", "9.0", "9.0", "9.0", "none"]);
    }

    #[test]
    fn a_table_without_rows_has_its_heads() {
        assert_eq!(render(&["a", "b"], &[]), "a  b\n");
    }
}
