//! The result table of the README, made from the records, between two markers.
//!
//! ```text
//! <!-- results:begin -->
//! ### drain
//! How near does the node come to the wall …?
//!
//! | arm | events/s | of the null reader (median, range) | CPU µs per event | peak RSS MiB |
//! |---|--:|--:|--:|--:|
//! | null-reader | 85,535 | 1.00 (1.00-1.00) | 0.41 | 32 |
//!
//! 5 rounds of 400,000 events, … MongoDB 6.0.27, Kafka 4.1.0 … commit 627f9b2f1299.
//! <!-- results:end -->
//! ```
//!
//! Each scenario shows its newest run that was not cut short and has a valid arm, of those with the most arms: a later
//! run of fewer does not take the rivals away. An arm that does not count says why instead of figures. Nobody
//! writes a figure by hand: [`check`] says whether the table is what the records say.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::histogram::LatencyHistogram;
use crate::record::{ArmRecord, RunRecord};
use crate::store::Store;
use crate::table::thousands;

/// Before the table.
pub const BEGIN: &str = "<!-- results:begin -->";

/// After the table.
pub const END: &str = "<!-- results:end -->";

/// Scenarios that say something about the rig, or whose rungs one row would mix.
const HIDDEN: [&str; 3] = ["aa", "connectors", "ladder"];

/// `readme` with what the records say between the markers.
pub fn replaced(readme: &str, store: &Store) -> Result<String> {
    let (before, _, after) = parts(readme)?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", tables(store)?))
}

/// Whether the table in the file `readme` is what the records say; the error names the first line that is not.
pub fn check(readme: &Path, store: &Store) -> Result<()> {
    let shown = readme.display();
    let text = std::fs::read_to_string(readme).with_context(|| format!("cannot read {shown}"))?;
    let (_, table, _) = parts(&text).with_context(|| format!("cannot check {shown}"))?;
    let expected = tables(store)?;
    let mut lines = expected.lines();
    let remedy = "make it anew with `millrace bench export --format readme`";
    for line in table.lines() {
        match lines.next() {
            Some(expected) if expected == line => {}
            Some(expected) => {
                bail!("{shown} says {line:?} where the records say {expected:?}; {remedy}");
            }
            None => bail!("{shown} says {line:?} of which the records say nothing; {remedy}"),
        }
    }
    match lines.next() {
        Some(missing) => bail!("{shown} lacks {missing:?}; {remedy}"),
        None => Ok(()),
    }
}

/// What stands before, between and after the markers, without the end of the marker's line.
fn parts(readme: &str) -> Result<(&str, &str, &str)> {
    let once = |marker: &str| readme.matches(marker).count() == 1;
    ensure!(once(BEGIN) && once(END), "there must be one {BEGIN} and one {END} in the text");
    let (before, rest) = readme.split_once(BEGIN).unwrap_or_default();
    let (table, after) = rest.split_once(END).context("the end marker stands before the other")?;
    Ok((before, table.trim_start_matches('\n'), after))
}

/// A table for each scenario that has a run to show.
pub fn tables(store: &Store) -> Result<String> {
    let mut tables = Vec::new();
    for scenario in store.scenarios()?.iter().filter(|name| !HIDDEN.contains(&name.as_str())) {
        let runs = store.read(scenario)?;
        let counts = |run: &&RunRecord| !run.cut_short && run.arms.iter().any(|arm| arm.valid);
        // Of several that are the most, this is the last.
        let shown = runs.iter().filter(counts).max_by_key(|run| run.arms.len());
        tables.extend(shown.map(table));
    }
    Ok(tables.join("\n"))
}

/// One figure of a row; `None` where there is none.
type Cell = Option<String>;

const HEADS: [&str; 9] = [
    "offered/s",
    "events/s",
    "of the null reader (median, range)",
    "of the null writer",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs per event",
    "peak RSS MiB",
];

fn table(run: &RunRecord) -> String {
    let rows: Vec<(String, [Cell; HEADS.len()])> = run.arms.iter().flat_map(rows).collect();
    let used: Vec<usize> = (0..HEADS.len())
        .filter(|&column| rows.iter().any(|(_, row)| row[column].is_some()))
        .collect();
    let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = format!("### {}\n{}\n\n", run.scenario, run.question);
    text.push_str(&line("arm", &mut used.iter().map(|&column| HEADS[column])));
    text.push_str(&format!("|---|{}\n", "--:|".repeat(used.len())));
    for (name, row) in &rows {
        let cells = used.iter().map(|&column| row[column].as_deref().unwrap_or(""));
        text.push_str(&line(name, &mut { cells }));
    }
    text.push('\n');
    for arm in &run.arms {
        if let Some(reason) = &arm.invalid_reason {
            text.push_str(&format!("{} does not count: {reason}.\n", arm.name));
        }
    }
    text.push_str(&conditions(run));
    text
}

/// A row, or one for each offered rate.
fn rows(arm: &ArmRecord) -> Vec<(String, [Cell; HEADS.len()])> {
    if !arm.valid || arm.steps.is_empty() {
        return vec![(arm.name.clone(), row(arm))];
    }
    let offered_rates = arm.offered_rates().into_iter().flatten();
    offered_rates
        .map(|offered| {
            let rounds = arm.rounds.iter().filter(|round| round.offered_per_s == Some(offered));
            let step = ArmRecord::from_rounds(arm.name.clone(), rounds.cloned().collect());
            let mut row = row(&step);
            row[0] = Some(thousands(offered.round() as u64));
            (arm.name.clone(), row)
        })
        .collect()
}

fn row(arm: &ArmRecord) -> [Cell; HEADS.len()] {
    let decimal =
        |value: Option<f64>, digits: usize| value.map(|value| format!("{value:.digits$}"));
    let latency_ms = |percent| {
        let percentile = |latency: &LatencyHistogram| latency.percentile_ms(percent);
        decimal(arm.latency.as_ref().map(percentile), 1)
    };
    let range = arm.null_ratio_min.zip(arm.null_ratio_max);
    let null_ratio = arm.null_ratio.zip(range);
    [
        None,
        arm.events_per_s.map(|rate| thousands(rate.round() as u64)),
        null_ratio.map(|(median, (min, max))| format!("{median:.2} ({min:.2}-{max:.2})")),
        decimal(arm.sink_ratio, 2),
        latency_ms(50.0),
        latency_ms(99.0),
        latency_ms(99.9),
        decimal(arm.cpu_us_per_event, 2),
        decimal(arm.peak_rss_mib, 0),
    ]
}

/// Under which conditions, in a sentence.
fn conditions(run: &RunRecord) -> String {
    let server = |name: &str, server: &str| {
        let version = run.servers.get(server).and_then(|server| server.get("version"));
        version.and_then(Value::as_str).map(|version| format!("{name} {version}"))
    };
    let servers = [server("MongoDB", "mongodb"), server("Kafka", "kafka")];
    let servers: Vec<_> = servers.into_iter().flatten().collect();
    let changed = if run.commit.dirty { " with changes" } else { "" };
    format!(
        "{} rounds, documents of {} bytes, w:{}, {}, {} cores of {} for everything; {}, commit {}{changed}.\n",
        run.rounds,
        thousands(run.document_bytes.into()),
        run.write_concern,
        servers.join(", "),
        run.machine.cores,
        run.machine.cpu_model,
        run.started_at.get(..10).unwrap_or(&run.started_at),
        run.commit.describe
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::synthetic::{Folder, Synthetic};

    /// A folder with a store of `runs`, and the path of a README there.
    fn stored(name: &str, runs: &[RunRecord]) -> (Folder, PathBuf, Store) {
        let folder = Folder::new(name);
        let store = Store::at(folder.path().join("records"));
        runs.iter().for_each(|run| drop(store.append(run).expect("stored")));
        let readme = folder.path().join("README.md");
        (folder, readme, store)
    }

    const README: &str = "# A\n\n<!-- results:begin -->\nold\n<!-- results:end -->\n\nrest\n";

    #[test]
    fn the_table_is_that_of_the_newest_run_that_counts() {
        let mut runs = Synthetic::new(1).history(0, 4);
        runs[2].cut_short = true;
        runs[3].arms.iter_mut().for_each(|arm| arm.valid = false);
        let (_folder, _, store) = stored("newest", &runs);
        let text = tables(&store).expect("made");
        assert_eq!(text, table(&runs[1]));
        for named in
            ["| node-json | ", "commit 000000000001.", "MongoDB 6.0.27, Kafka 4.1.0", "1,024"]
        {
            assert!(text.contains(named), "{text}");
        }
        assert!(!text.contains("null writer") && !text.contains("offered"), "{text}");
    }

    #[test]
    fn a_later_run_of_fewer_arms_does_not_take_the_rivals_away() {
        let mut runs = Synthetic::new(1).history(0, 3);
        runs[2].arms.pop();
        let (_folder, _, store) = stored("most", &runs);
        assert_eq!(tables(&store).expect("made"), table(&runs[1]));
    }

    #[test]
    fn an_arm_that_does_not_count_says_why_and_shows_no_figure() {
        let mut run = Synthetic::new(1).run(1);
        run.arms[2].rounds[0].faults.lost = 2;
        run.arms[2] = ArmRecord::from_rounds("node-bson".into(), run.arms[2].rounds.clone());
        let text = table(&run);
        let row = text.lines().find(|line| line.starts_with("| node-bson")).expect("a row");
        assert!(!row.contains(|c: char| c.is_ascii_digit()), "{row}");
        assert!(text.contains("node-bson does not count: 2 lost.\n"), "{text}");
    }

    #[test]
    fn rates_have_rows_of_their_own() {
        let mut run = Synthetic::new(1).run(1);
        let mut rounds = run.arms[1].rounds.clone();
        for round in &mut rounds {
            round.offered_per_s = Some(if round.round < 3 { 2_000.0 } else { 1_000.0 });
        }
        run.arms[1] = ArmRecord::from_rounds("node-json".into(), rounds);
        let text = table(&run);
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| node-json")).collect();
        assert!(rows[0].starts_with("| node-json | 1,000 |"), "{rows:?}");
        assert!(rows[1].starts_with("| node-json | 2,000 |") && rows.len() == 2, "{rows:?}");
    }

    #[test]
    fn what_was_replaced_passes_the_check_and_a_changed_digit_does_not() {
        let (_folder, readme, store) = stored("check", &Synthetic::new(1).history(0, 2));
        let text = replaced(README, &store).expect("markers");
        assert!(text.starts_with("# A\n\n<!-- results:begin -->\n### drain\n"), "{text}");
        assert!(text.ends_with("<!-- results:end -->\n\nrest\n") && !text.contains("old"));
        assert_eq!(replaced(&text, &store).expect("markers"), text);
        std::fs::write(&readme, &text).expect("written");
        check(&readme, &store).expect("what the records say");
        for (right, wrong) in
            [("| 40 |", "| 41 |"), ("### drain\n", ""), ("<!-- results:end", "x\n<!-- results:end")]
        {
            std::fs::write(&readme, text.replacen(right, wrong, 1)).expect("written");
            let error = check(&readme, &store).expect_err("changed").to_string();
            assert!(error.contains("bench export --format readme"), "{error}");
        }
        store.append(&Synthetic::new(9).run(3)).expect("stored");
        std::fs::write(&readme, &text).expect("written");
        assert!(check(&readme, &store).is_err(), "there is a newer run");
    }

    #[test]
    fn a_text_without_both_markers_is_refused() {
        let (_folder, _, store) = stored("markers", &[]);
        for text in ["", BEGIN, END, &format!("{END}{BEGIN}"), &README.repeat(2)] {
            assert!(replaced(text, &store).is_err(), "{text}");
        }
    }
}
