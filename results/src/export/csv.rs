//! Runs as CSV (RFC 4180): a row for each round of each arm, heads in the first row.
//!
//! ```text
//! scenario,started_at,commit,…,arm,round,…,events_per_s,…,counter.cpu_ms,…,usage.mongod.cpu_us_per_event,…
//! ```
//!
//! Counters and processes differ between scenarios: each that any round has gets a column, in the order of the
//! alphabet. What a round does not have is an empty cell. Units are the last word of a head.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::record::{ArmRecord, RoundRecord, RunRecord};

const HEADS: [&str; 33] = [
    "scenario",
    "started_at",
    "commit",
    "dirty",
    "seed",
    "document_bytes",
    "write_concern",
    "cpu_model",
    "cores",
    "cut_short",
    "arm",
    "arm_valid",
    "round",
    "counts",
    "invalid_reason",
    "offered_per_s",
    "events",
    "bytes",
    "seconds",
    "events_per_s",
    "null_ratio",
    "sink_ratio",
    "cpu_us_per_event",
    "peak_rss_mib",
    "lost",
    "duplicated",
    "reordered",
    "corrupted",
    "unexpected",
    "latency_p50_ms",
    "latency_p99_ms",
    "latency_p99_9_ms",
    "lateness_p99_ms",
];

/// All rounds of `runs`.
pub fn text(runs: &[RunRecord]) -> String {
    let rows = || {
        runs.iter().flat_map(|run| {
            run.arms
                .iter()
                .flat_map(move |arm| arm.rounds.iter().map(move |round| (run, arm, round)))
        })
    };
    let more: BTreeSet<String> = rows().flat_map(|(_, _, round)| more(round).into_keys()).collect();
    let heads = HEADS.iter().map(|&head| head.to_owned()).chain(more.iter().cloned());
    let mut text = line(heads);
    for (run, arm, round) in rows() {
        let mut values = self::more(round);
        let rest = more.iter().map(|head| values.remove(head).unwrap_or_default());
        text.push_str(&line(cells(run, arm, round).into_iter().chain(rest)));
    }
    text
}

fn cells(run: &RunRecord, arm: &ArmRecord, round: &RoundRecord) -> [String; HEADS.len()] {
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let latency_ms =
        |percent| optional(round.latency.as_ref().map(|latency| latency.percentile_ms(percent)));
    let lateness = round.lateness.as_ref().map(|lateness| lateness.percentile_ms(99.0));
    let faults = round.faults;
    [
        run.scenario.clone(),
        run.started_at.clone(),
        run.commit.describe.clone(),
        run.commit.dirty.to_string(),
        run.seed.to_string(),
        run.document_bytes.to_string(),
        run.write_concern.clone(),
        run.machine.cpu_model.clone(),
        run.machine.cores.to_string(),
        run.cut_short.to_string(),
        arm.name.clone(),
        arm.valid.to_string(),
        round.round.to_string(),
        round.counts().to_string(),
        round.invalid_reason.clone().unwrap_or_default(),
        optional(round.offered_per_s),
        round.events.to_string(),
        round.bytes.to_string(),
        round.seconds.to_string(),
        round.events_per_s().to_string(),
        optional(round.null_ratio),
        optional(round.sink_ratio),
        optional(round.cpu_us_per_event),
        optional(round.peak_rss_mib),
        faults.lost.to_string(),
        faults.duplicated.to_string(),
        faults.reordered.to_string(),
        faults.corrupted.to_string(),
        faults.unexpected.to_string(),
        latency_ms(50.0),
        latency_ms(99.0),
        latency_ms(99.9),
        optional(lateness),
    ]
}

/// Counters and processes of a round, by the heads of their columns.
fn more(round: &RoundRecord) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let counters =
        round.counters.iter().map(|(name, value)| (format!("counter.{name}"), text(value)));
    let usage = round.usage.iter().flat_map(|usage| {
        let figures = [
            ("cpu_us_per_event", usage.cpu_us_per_event.map(|value| value.to_string())),
            ("peak_rss_mib", usage.peak_rss_mib.map(|value| value.to_string())),
            ("voluntary_switches", usage.voluntary_switches.map(|value| value.to_string())),
            ("involuntary_switches", usage.involuntary_switches.map(|value| value.to_string())),
            ("system_calls", usage.system_calls.map(|value| value.to_string())),
        ];
        let measured = figures.into_iter().filter_map(|(name, value)| Some((name, value?)));
        measured.map(|(name, value)| (format!("usage.{}.{name}", usage.process), value))
    });
    counters.chain(usage).collect()
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.map(quoted).collect();
    format!("{}\r\n", cells.join(","))
}

/// In quotes where the text would else end its cell.
fn quoted(cell: String) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::ProcessUsage;
    use crate::synthetic::Synthetic;

    /// The rows of a CSV text by RFC 4180, read by a small machine of its own.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut quoted) = (vec![], vec![], String::new(), false);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match (character, quoted) {
                ('"', true) if characters.peek() == Some(&'"') => cell.extend(characters.next()),
                ('"', _) => quoted = !quoted,
                (',', false) => row.push(std::mem::take(&mut cell)),
                ('\r', false) => assert_eq!(characters.peek(), Some(&'\n')),
                ('\n', false) => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                (character, _) => cell.push(character),
            }
        }
        assert!(row.is_empty() && cell.is_empty() && !quoted, "the text ends with a line");
        rows
    }

    #[test]
    fn every_round_is_a_row_with_a_cell_for_each_head() {
        let mut runs = Synthetic::new(1).history(0, 2);
        runs[0].machine.cpu_model = "one, \"two\"\nthree".into();
        let round = &mut runs[1].arms[2].rounds[4];
        round.invalid_reason = Some("late".into());
        round.counters.insert("cpu_ms".into(), json!(17));
        round.usage.push(ProcessUsage {
            process: "mongod".into(),
            cpu_us_per_event: Some(9.5),
            peak_rss_mib: None,
            voluntary_switches: Some(3),
            involuntary_switches: None,
            system_calls: None,
        });
        let rows = read(&text(&runs));
        assert_eq!(rows.len(), 1 + 2 * 3 * 5);
        assert!(rows.iter().all(|row| row.len() == rows[0].len()));
        let cell = |row: usize, head: &str| {
            let column = rows[0].iter().position(|found| found == head).expect("a head");
            rows[row][column].as_str()
        };
        assert_eq!(cell(1, "cpu_model"), "one, \"two\"\nthree");
        assert_eq!((cell(1, "arm"), cell(30, "arm")), ("null-reader", "node-bson"));
        assert_eq!((cell(30, "counts"), cell(30, "invalid_reason")), ("false", "late"));
        assert_eq!((cell(29, "counter.cpu_ms"), cell(30, "counter.cpu_ms")), ("", "17"));
        assert_eq!(cell(30, "usage.mongod.cpu_us_per_event"), "9.5");
        assert_eq!(cell(30, "usage.mongod.voluntary_switches"), "3");
        let rate: f64 = cell(7, "events_per_s").parse().expect("a number");
        assert_eq!(rate, runs[0].arms[1].rounds[1].events_per_s());
    }
}
