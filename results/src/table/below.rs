//! What stands below the table of arms: where the latency went, and how contents were judged.
//!
//! ```text
//! mean ms    offered/s  queue  write  replicate  deliver  together
//! node-json        200   0.08   1.10       0.62     0.21      2.01
//!
//! contents judged: node-json 6,000 in full; node-bson 5,990,000 by digest, 10,000 in full
//! ```

use std::collections::BTreeMap;

use super::{decimal, rate, render, thousands};
use crate::record::{ArmRecord, ContentRecord, StepRecord, stages};

/// The means of the stages of every arm, a line for each offered rate; empty if there are none.
pub fn latency_stages(arms: &[ArmRecord]) -> String {
    let lines: Vec<Line<'_>> = arms.iter().flat_map(lines).collect();
    let mut names: Vec<&str> =
        lines.iter().flat_map(|line| line.means_ms.keys()).copied().collect();
    names.sort_unstable_by_key(|name| (stages::place(name), *name));
    names.dedup();
    if lines.is_empty() {
        return String::new();
    }
    let heads: Vec<&str> =
        ["mean ms", "offered/s"].into_iter().chain(names.clone()).chain(["together"]).collect();
    let rows: Vec<Vec<String>> = lines.iter().map(|line| line.cells(&names)).collect();
    render(&heads, &rows)
}

struct Line<'a> {
    arm: &'a ArmRecord,
    offered_per_s: f64,
    means_ms: BTreeMap<&'a str, f64>,
}

/// One for each rate at which the arm counts and has stages.
fn lines(arm: &ArmRecord) -> Vec<Line<'_>> {
    let line = |step: &StepRecord| {
        let merged = stages::merged(arm.counting(Some(step.offered_per_s)));
        let means_ms: BTreeMap<_, _> =
            merged.into_iter().map(|(name, stage)| (name, stage.mean_ms())).collect();
        (!means_ms.is_empty()).then_some(Line { arm, offered_per_s: step.offered_per_s, means_ms })
    };
    arm.steps.iter().filter_map(line).collect()
}

impl Line<'_> {
    fn cells(&self, names: &[&str]) -> Vec<String> {
        let mean_ms = |name: &&str| decimal(self.means_ms.get(name).copied(), 2);
        let together = decimal(Some(self.means_ms.values().sum()), 2);
        [self.arm.name.clone(), rate(Some(self.offered_per_s))]
            .into_iter()
            .chain(names.iter().map(mean_ms))
            .chain([together])
            .collect()
    }
}

/// How the contents of each arm were judged, all rounds together; empty if nothing says so.
pub fn contents(arms: &[ArmRecord]) -> String {
    let of = |arm: &ArmRecord| {
        let judged = arm.rounds.iter().filter_map(|round| round.content);
        let sum = judged.map(Some).reduce(|sum, one| sum?.merged(one?))?;
        let text = sum
            .map_or_else(|| "in several ways".to_owned(), |sum: ContentRecord| sum.text(thousands));
        Some(format!("{} {text}", arm.name))
    };
    let texts: Vec<String> = arms.iter().filter_map(of).collect();
    if texts.is_empty() {
        return String::new();
    }
    format!("contents judged: {}\n", texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::histogram::LatencyHistogram;
    use crate::record::{ContentCheck, RoundRecord};

    fn round(offered_per_s: f64, stages: &[(&str, u64)]) -> RoundRecord {
        let mut round = RoundRecord::new(1, 1, 1, 1.0);
        round.offered_per_s = Some(offered_per_s);
        for &(name, us) in stages {
            let mut stage = LatencyHistogram::new();
            stage.record(Duration::from_micros(us));
            round.stages.insert(name.to_owned(), stage);
        }
        round
    }

    #[test]
    fn means_of_stages_stand_side_by_side_in_the_order_of_the_way() {
        let rounds = vec![
            round(200.0, &[("deliver", 210), ("queue", 80), ("write", 1_100)]),
            round(1_000.0, &[("queue", 100), ("write", 2_000)]),
        ];
        let arms = [
            ArmRecord::from_rounds("node-json".to_owned(), rounds),
            ArmRecord::from_rounds("older".to_owned(), vec![round(200.0, &[])]),
        ];
        let expected = "\
mean ms    offered/s  queue  write  deliver  together
node-json        200   0.08   1.10     0.21      1.39
node-json      1,000   0.10   2.00        -      2.10
";
        assert_eq!(latency_stages(&arms), expected);
        assert_eq!(latency_stages(&arms[1..]), "");
    }

    #[test]
    fn an_arm_that_does_not_count_has_no_stages() {
        let mut lost = round(200.0, &[("queue", 80)]);
        lost.faults.lost = 1;
        assert_eq!(latency_stages(&[ArmRecord::from_rounds("a".to_owned(), vec![lost])]), "");
    }

    #[test]
    fn contents_of_all_rounds_are_added_up() {
        let judged = |check, by_digest, in_full| {
            let mut round = RoundRecord::new(1, 1, 1, 1.0);
            round.content = Some(ContentRecord { check, by_digest, in_full });
            round
        };
        let full = || judged(ContentCheck::Full, 0, 1_500);
        let arms = [
            ArmRecord::from_rounds("null-reader".to_owned(), vec![RoundRecord::new(1, 1, 1, 1.0)]),
            ArmRecord::from_rounds("node-json".to_owned(), vec![full(), full()]),
            ArmRecord::from_rounds(
                "node-bson".to_owned(),
                vec![judged(ContentCheck::Digest, 2_000, 7)],
            ),
        ];
        let expected =
            "contents judged: node-json 3,000 in full; node-bson 2,000 by digest, 7 in full\n";
        assert_eq!(contents(&arms), expected);
        assert_eq!(contents(&arms[..1]), "");
    }
}
