//! Two runs of one scenario, figure by figure: the ratio, where it may lie, and whether it means anything.
//!
//! ```text
//! rounds of the new run  ─┐
//!                         ├─► ratio with its 95 % interval ─► held against the noise floor ─► better, worse,
//! rounds of the base run ─┘                                                                    same, unclear
//! ```
//!
//! Runs under unlike conditions are not compared unless that is forced; the differences are then part of the result. An
//! arm that is not valid has no figures, so it is not compared but named.
//!
//! The null ratio is what counts across runs: the machine's own drift is in both arms of a round. A rate is shown with
//! it, but a machine that was slower that day moves it as well.

use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::likeness::{self, Difference};
use crate::metric::{Better, Metric};
use crate::noise::{Floor, FloorOrigin, NoiseRecord};
use crate::record::{ArmRecord, RoundRecord, RunRecord};
use crate::stats::bootstrap::{self, ROUNDS_MIN};
use crate::stats::random::Random;
use crate::stats::{Interval, Side};
use crate::table;

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Of both runs, or of the newer one where they were forced together.
    pub scenario: String,
    /// What is judged.
    pub new: RunName,
    /// What it is held against.
    pub base: RunName,
    /// Conditions that were not alike; none unless the comparison was forced.
    pub differences: Vec<Difference>,
    /// What could not be compared, and why.
    pub left_out: Vec<String>,
    /// One for each figure that both runs have.
    pub rows: Vec<Row>,
}

/// Enough to find a run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// Its commit.
    pub commit: String,
    /// UTC.
    pub started_at: String,
}

/// One figure of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The arm.
    pub arm: String,
    /// Where the rounds had an offered rate.
    pub offered_per_s: Option<f64>,
    /// The figure.
    pub metric: Metric,
    /// In the base run.
    pub base: f64,
    /// In the new run.
    pub new: f64,
    /// New to base.
    pub ratio: Interval,
    /// What the ratio is held against.
    pub floor: Floor,
    /// What that means.
    pub verdict: Verdict,
}

/// What a ratio means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is an improvement beyond the noise.
    Better,
    /// The whole interval is a loss beyond the noise.
    Worse,
    /// The whole interval is within the noise.
    Same,
    /// More rounds are needed.
    Unclear,
}

impl Verdict {
    fn of(side: Side, better: Better) -> Self {
        match (side, better) {
            (Side::Above, Better::Higher) | (Side::Below, Better::Lower) => Self::Better,
            (Side::Above, Better::Lower) | (Side::Below, Better::Higher) => Self::Worse,
            (Side::Within, Better::Higher | Better::Lower) => Self::Same,
            (Side::Unclear, Better::Higher | Better::Lower) => Self::Unclear,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Unclear => "unclear",
        })
    }
}

/// Compares `new` with `base`. Refuses runs under unlike conditions, naming each, unless `force` is set.
pub fn runs(
    new: &RunRecord,
    base: &RunRecord,
    noise: Option<&NoiseRecord>,
    force: bool,
) -> Result<Comparison> {
    let differences = likeness::differences(new, base);
    if !differences.is_empty() && !force {
        let named: Vec<_> = differences.iter().map(|found| format!("\n  {found}")).collect();
        bail!(
            "these runs are not alike, so their ratio would say nothing:{}\nchoose other runs, or see the figures with \
             --force",
            named.concat()
        );
    }
    let mut comparison = Comparison {
        scenario: new.scenario.clone(),
        new: RunName::of(new),
        base: RunName::of(base),
        differences,
        left_out: cut_short(new, "the new run").chain(cut_short(base, "the base run")).collect(),
        rows: Vec::new(),
    };
    for arm in &new.arms {
        match base.arms.iter().find(|other| other.name == arm.name) {
            Some(other) => comparison.add(arm, other, noise),
            None => comparison.left_out.push(format!("{} is only in the new run", arm.name)),
        }
    }
    let only_base = base.arms.iter().filter(|arm| new.arms.iter().all(|new| new.name != arm.name));
    comparison
        .left_out
        .extend(only_base.map(|arm| format!("{} is only in the base run", arm.name)));
    Ok(comparison)
}

fn cut_short(run: &RunRecord, name: &str) -> impl Iterator<Item = String> {
    run.cut_short.then(|| format!("{name} was cut short: the rest of its rounds")).into_iter()
}

impl Comparison {
    fn add(&mut self, new: &ArmRecord, base: &ArmRecord, noise: Option<&NoiseRecord>) {
        for (arm, run) in [(new, "new"), (base, "base")] {
            if let Some(reason) = &arm.invalid_reason {
                self.left_out
                    .push(format!("{} does not count in the {run} run: {reason}", arm.name));
            }
        }
        if !(new.valid && base.valid) {
            return;
        }
        for offered in new.offered_rates() {
            let (rounds, others) = (new.counting(offered), base.counting(offered));
            if rounds.len().min(others.len()) < ROUNDS_MIN {
                let at = offered.map_or(String::new(), |rate| format!(" at {rate}/s"));
                self.left_out.push(format!(
                    "{}{at}: {} rounds count in the new run and {} in the base run, {ROUNDS_MIN} are needed",
                    new.name, rounds.len(), others.len()
                ));
                continue;
            }
            let rows = Metric::ALL.into_iter().filter_map(|metric| {
                let floor = noise.and_then(|noise| noise.floor(&new.name, metric, offered));
                let floor = floor.unwrap_or(Floor::ASSUMED);
                Row::of(&new.name, offered, metric, [&rounds, &others], floor)
            });
            self.rows.extend(rows);
        }
    }

    /// A table for a terminal, and below it what to know.
    pub fn text(&self) -> String {
        let Self { scenario, new, base, differences, left_out, rows } = self;
        let mut text = format!(
            "{scenario}: {} ({}) against {} ({})\n\n",
            new.commit, new.started_at, base.commit, base.started_at
        );
        if !differences.is_empty() {
            text.push_str("These runs are NOT ALIKE; their ratios say nothing about the code:\n");
            differences.iter().for_each(|found| text.push_str(&format!("  {found}\n")));
            text.push('\n');
        }
        let heads =
            ["arm", "figure", "base", "new", "ratio", "interval", "level", "noise", "verdict"];
        let cells: Vec<_> = rows.iter().map(Row::cells).collect();
        text.push_str(&table::render(&heads, &cells));
        left_out.iter().for_each(|line| text.push_str(&format!("not compared: {line}\n")));
        text.push_str(&self.notes());
        text
    }

    fn notes(&self) -> String {
        let any = |origin| self.rows.iter().any(|row| row.floor.origin == origin);
        let mut notes = String::new();
        if any(FloorOrigin::WithinRun) {
            notes.push_str(
                "noise marked * is that within a run, √2 times as wide; repeat a commit's run to know that between runs\n",
            );
        }
        if any(FloorOrigin::Assumed) {
            notes.push_str("noise marked ? was never measured; run `millrace bench run aa`\n");
        }
        notes
    }
}

impl RunName {
    /// Of a run.
    pub fn of(run: &RunRecord) -> Self {
        let dirty = if run.commit.dirty { "-dirty" } else { "" };
        Self {
            commit: format!("{}{dirty}", run.commit.describe),
            started_at: run.started_at.clone(),
        }
    }
}

impl Row {
    /// `None` where a run has not enough rounds with the figure, and for the null arm's ratio to itself.
    fn of(
        arm: &str,
        offered_per_s: Option<f64>,
        metric: Metric,
        [rounds, others]: [&[&RoundRecord]; 2],
        floor: Floor,
    ) -> Option<Self> {
        let (sample, other) = (metric.sample(rounds), metric.sample(others));
        let (new, base) = (sample.estimate()?, other.estimate()?);
        let to_itself = matches!(metric, Metric::NullRatio | Metric::SinkRatio);
        if to_itself && new == 1.0 && base == 1.0 {
            return None;
        }
        let name = format!("{arm} {metric} {offered_per_s:?}");
        let ratio = bootstrap::ratio_of_samples(&*sample, &*other, Random::named(&name))?;
        let verdict = Verdict::of(ratio.side_of_one(floor.noise), metric.better());
        let arm = arm.to_owned();
        Some(Self { arm, offered_per_s, metric, base, new, ratio, floor, verdict })
    }

    fn cells(&self) -> Vec<String> {
        let at = self.offered_per_s.map_or(String::new(), |rate| format!(" at {rate}/s"));
        let mark = match self.floor.origin {
            FloorOrigin::BetweenRuns => "",
            FloorOrigin::WithinRun => "*",
            FloorOrigin::Assumed => "?",
        };
        vec![
            format!("{}{at}", self.arm),
            self.metric.to_string(),
            figure(self.base),
            figure(self.new),
            format!("{:.3}", self.ratio.estimate),
            format!("{:.3}-{:.3}", self.ratio.low, self.ratio.high),
            format!("{:.0} %", self.ratio.confidence * 100.0),
            format!("{:.1} %{mark}", self.floor.noise * 100.0),
            self.verdict.to_string(),
        ]
    }
}

/// Four digits, or whole thousands.
fn figure(value: f64) -> String {
    match value.abs() {
        1_000.0.. => table::thousands(value.round() as u64),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Synthetic;

    fn row<'a>(comparison: &'a Comparison, arm: &str, metric: Metric) -> &'a Row {
        let is_it = |row: &&Row| row.arm == arm && row.metric == metric;
        comparison.rows.iter().find(is_it).expect("compared")
    }

    fn noise_of(synthetic: &Synthetic) -> NoiseRecord {
        let arms = vec![("node-json", 0.8), ("node-json#2", 0.8)];
        NoiseRecord::of(&Synthetic { arms, ..synthetic.clone() }.history(0, 10)).expect("twins")
    }

    #[test]
    fn a_loss_of_a_quarter_is_worse_and_its_gain_is_better() {
        let mut machine = Synthetic { rounds: 10, ..Synthetic::new(5) };
        let noise = noise_of(&machine);
        let base = machine.run(1);
        machine.arms = vec![("node-json", 0.6), ("node-bson", 0.95)];
        let new = machine.run(2);
        for (new, base, expected) in [(&new, &base, Verdict::Worse), (&base, &new, Verdict::Better)]
        {
            let found = runs(new, base, Some(&noise), false).expect("alike");
            let row_of_json = row(&found, "node-json", Metric::NullRatio);
            assert_eq!(row_of_json.verdict, expected, "{row_of_json:?}");
            assert_eq!(row(&found, "node-json", Metric::CpuPerEvent).verdict, expected);
            let other = row(&found, "node-bson", Metric::NullRatio);
            assert!(matches!(other.verdict, Verdict::Same | Verdict::Unclear), "{other:?}");
        }
    }

    #[test]
    fn two_runs_of_the_same_build_are_seldom_called_different() {
        let mut wrong = 0;
        for seed in 0..60 {
            let mut machine = Synthetic { latencies: false, ..Synthetic::new(seed) };
            let noise = noise_of(&machine);
            let (base, new) = (machine.run(1), machine.run(2));
            let found = runs(&new, &base, Some(&noise), false).expect("alike");
            let verdict = row(&found, "node-json", Metric::NullRatio).verdict;
            wrong += u32::from(matches!(verdict, Verdict::Better | Verdict::Worse));
        }
        assert!(wrong <= 1, "{wrong} of 60");
    }

    #[test]
    fn unlike_runs_are_refused_by_name_and_shown_with_a_warning_when_forced() {
        let mut machine = Synthetic::new(1);
        let (base, mut new) = (machine.run(1), machine.run(2));
        new.document_bytes = 475;
        new.machine.cores = 8;
        let error = runs(&new, &base, None, false).unwrap_err().to_string();
        for named in ["document bytes: 475 against 1024", "machine.cores: 8 against 2"] {
            assert!(error.contains(named), "{error}");
        }
        let forced = runs(&new, &base, None, true).expect("forced");
        assert_eq!(forced.differences.len(), 2);
        let text = forced.text();
        assert!(text.contains("NOT ALIKE") && text.contains("machine.cores"), "{text}");
    }

    #[test]
    fn arms_that_do_not_count_or_are_missing_are_named_and_not_compared() {
        let mut machine = Synthetic::new(1);
        let (mut base, mut new) = (machine.run(1), machine.run(2));
        new.arms[1].valid = false;
        new.arms[1].invalid_reason = Some("2 lost".into());
        base.arms[2].name = "node-avro".into();
        new.cut_short = true;
        let found = runs(&new, &base, None, false).expect("alike");
        assert!(found.rows.iter().all(|row| row.arm == "null-reader"));
        for named in [
            "cut short",
            "node-json does not count in the new run: 2 lost",
            "node-bson is only in the new run",
            "node-avro is only in the base run",
        ] {
            assert!(found.left_out.iter().any(|line| line.contains(named)), "{:?}", found.left_out);
        }
    }

    #[test]
    fn too_few_rounds_are_not_compared() {
        let mut machine = Synthetic { rounds: 2, ..Synthetic::new(1) };
        let found = runs(&machine.run(1), &machine.run(2), None, false).expect("alike");
        assert_eq!(found.rows, []);
        assert!(found.left_out[0].contains("2 in the base run, 3 are needed"));
    }

    #[test]
    fn the_same_runs_give_the_same_comparison() {
        let mut machine = Synthetic::new(9);
        let (base, new) = (machine.run(1), machine.run(2));
        let compare = || runs(&new, &base, None, false).expect("alike");
        assert_eq!(compare(), compare());
        let json = serde_json::to_string(&compare()).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), compare());
        assert!(compare().text().contains("5.0 %?"));
    }
}
