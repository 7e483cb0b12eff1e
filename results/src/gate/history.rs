//! Did a scenario's figures get worse in the last runs? Change points for small losses, a fence for a large one.
//!
//! ```text
//! null ratio   0.81 0.79 0.80 0.82 0.80 0.79 0.81 0.80 | 0.76 0.77 0.75     a loss of 5 %: three and more runs show it
//!              0.81 0.79 0.80 0.82 0.80 0.79 0.81 0.80   0.55               a loss of 30 %: one run shows it
//! ```
//!
//! * Only runs under the conditions of the newest are looked at ([`crate::likeness`]), of our own arms (`node-…`), each
//!   as one value: the rounds of a run share that run's luck, so they are not independent.
//! * Change points: [`crate::stats::change_points`]; the significance is shared among all series (Bonferroni). Alarm
//!   only if the last change is a loss of at least [`LOSS_MIN`] and among the last [`RECENT_RUNS`]; an older one was
//!   there at the last release.
//! * Fence: the newest run is worse than the worse quartile of up to twenty runs before it by more than five times the
//!   distance between the quartiles, and by a tenth. Tukey's outer fence is at three times; of ten runs that alone is
//!   too often wrong for a gate with many figures.
//!
//! What it finds, in a history of 15 runs and then some with a loss; five rounds a run, 4 % noise in a pair, 1 %
//! from run to run, 12 % of the machine; counted by a test:
//!
//! ```text
//! runs with the loss       1      3      5      8
//! loss of  5 %           1 %   32 %   73 %   94 %   of histories raise the alarm
//! loss of 10 %          32 %   96 %  100 %  100 %
//! loss of 30 %         100 %  100 %  100 %  100 %
//! no loss              3.5 % of histories of 20 runs, with a gate after each, raise any alarm
//! ```
//!
//! So a loss of 5 % that a release must not carry is asked for in one run, with the old build as another arm
//! ([`super::paired`]), or by exact counts.

use std::ops::RangeInclusive;

use super::{Finding, GateReport, Layer, change};
use crate::likeness;
use crate::metric::{Better, Metric};
use crate::record::RunRecord;
use crate::stats::change_points::{self, Sensitivity};
use crate::stats::median::{quantile, sorted};
use crate::stats::random::Random;

/// The share of gates that may fail by chance, all series together.
pub const SIGNIFICANCE: f64 = 0.02;

/// A smaller loss is no alarm.
pub const LOSS_MIN: f64 = 0.02;

/// A loss further back is not new.
pub const RECENT_RUNS: usize = 10;

/// Fewer runs are not judged.
pub const RUNS_MIN: usize = 6;

/// Runs on each side of a change.
const SEGMENT_MIN: usize = 3;

/// Runs before the newest that a fence is built of.
const FENCE_RUNS: RangeInclusive<usize> = 10..=20;

/// Of the distance between the quartiles.
const FENCE_WIDTH: f64 = 5.0;

/// One run may be unlucky; a smaller loss in one run is no alarm.
const FENCE_LOSS_MIN: f64 = 0.1;

/// The figures of a release.
const METRICS: [Metric; 4] =
    [Metric::NullRatio, Metric::CpuPerEvent, Metric::PeakRss, Metric::LatencyP99];

/// Judges the history of one scenario, oldest run first.
pub fn judge(history: &[RunRecord]) -> GateReport {
    let mut report = GateReport::default();
    let Some(newest) = history.last() else { return report };
    let alike: Vec<&RunRecord> =
        history.iter().filter(|run| likeness::differences(newest, run).is_empty()).collect();
    let scenario = &newest.scenario;
    let unlike = history.len() - alike.len();
    if unlike != 0 {
        report.not_checked.push(format!("{scenario}: {unlike} runs under other conditions"));
    }
    let mut all = series(&alike);
    all.retain(|series| {
        let enough = RUNS_MIN <= series.values.len();
        if !enough {
            report.not_checked.push(format!(
                "{scenario} {}: {} runs, at least {RUNS_MIN} are needed; run `millrace bench run {scenario}`",
                series.name, series.values.len()
            ));
        }
        enough
    });
    let significance = SIGNIFICANCE / all.len().max(1) as f64;
    for series in &all {
        report.checked.push(format!("{scenario} {}: {} runs", series.name, series.values.len()));
        report.findings.extend(series.last_change(significance).or_else(|| series.beyond_fence()));
    }
    report
}

/// One figure of one arm over the runs that have it.
struct Series<'a> {
    name: String,
    better: Better,
    values: Vec<f64>,
    runs: Vec<&'a RunRecord>,
}

fn series<'a>(runs: &[&'a RunRecord]) -> Vec<Series<'a>> {
    let Some(newest) = runs.last() else { return Vec::new() };
    let own = newest
        .arms
        .iter()
        .filter(|arm| arm.valid && arm.name.starts_with("node-") && !arm.name.contains(['#', '@']));
    let mut all = Vec::new();
    for arm in own {
        for offered in arm.offered_rates() {
            for metric in METRICS {
                let figures = runs.iter().filter_map(|run| {
                    let arm = run.arms.iter().find(|other| other.name == arm.name)?;
                    let figure = metric.sample(&arm.counting(offered)).estimate()?;
                    (0.0 < figure).then_some((figure, *run))
                });
                let (values, runs): (Vec<f64>, Vec<&RunRecord>) = figures.unzip();
                let at = offered.map_or(String::new(), |rate| format!(" at {rate}/s"));
                let name = format!("{}{at} {metric}", arm.name);
                all.push(Series { name, better: metric.better(), values, runs });
            }
        }
    }
    all.retain(|series| !series.values.is_empty());
    all
}

impl Series<'_> {
    /// The last change of level, if it is recent and large enough to be named.
    fn last_change(&self, significance: f64) -> Option<Finding> {
        let logarithms: Vec<f64> = self.values.iter().map(|value| value.ln()).collect();
        let sensitivity = Sensitivity { significance, segment_min: SEGMENT_MIN };
        let found = change_points::find(&logarithms, sensitivity, Random::named(&self.name));
        let last = found.last()?;
        let (before, after) = (last.before.exp(), last.after.exp());
        let recent = self.values.len() <= last.at + RECENT_RUNS;
        if !recent || (after / before).ln().abs() < LOSS_MIN.ln_1p() {
            return None;
        }
        let run = self.runs[last.at];
        let what = format!(
            "{before:.3} became {after:.3} ({}) with the run of {} ({}), p {:.4}, {} runs since",
            change(after, before),
            run.commit.describe,
            run.started_at,
            last.p,
            self.values.len() - last.at
        );
        Some(self.finding(self.is_loss(after, before), what))
    }

    /// The newest run, if it lies beyond the fence of those before it.
    fn beyond_fence(&self) -> Option<Finding> {
        let (&newest, before) = self.values.split_last()?;
        let before = &before[before.len().saturating_sub(*FENCE_RUNS.end())..];
        if !FENCE_RUNS.contains(&before.len()) {
            return None;
        }
        let before = sorted(before.to_vec());
        let [lower, middle, upper] = [0.25, 0.5, 0.75].map(|q| quantile(&before, q));
        let (lower, middle, upper) = (lower?, middle?, upper?);
        let fence = FENCE_WIDTH * (upper - lower);
        let beyond = match self.better {
            Better::Higher => newest < lower - fence,
            Better::Lower => upper + fence < newest,
        };
        let large = FENCE_LOSS_MIN <= (newest / middle - 1.0).abs();
        let what = format!(
            "{middle:.3} in {} runs, {newest:.3} ({}) in the last: beyond the fence",
            before.len(),
            change(newest, middle)
        );
        (beyond && large).then(|| self.finding(true, what))
    }

    fn is_loss(&self, new: f64, base: f64) -> bool {
        match self.better {
            Better::Higher => new < base,
            Better::Lower => base < new,
        }
    }

    fn finding(&self, alarm: bool, what: String) -> Finding {
        Finding { layer: Layer::History, subject: self.name.clone(), alarm, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Synthetic;

    /// Fifteen runs, then `since` runs of which node-json has lost the share `loss`.
    fn planted(seed: u64, loss: f64, since: u32) -> Vec<RunRecord> {
        let mut machine = Synthetic { latencies: false, ..Synthetic::new(seed) };
        let mut history = machine.history(0, 15);
        machine.arms[0].1 *= 1.0 - loss;
        history.extend(machine.history(15, since));
        history
    }

    /// How many of 100 histories raise an alarm that names the arm.
    fn found(loss: f64, since: u32) -> usize {
        let is_blamed = |report: &GateReport| {
            let mut alarms = report.findings.iter().filter(|found| found.alarm);
            alarms.any(|found| found.subject.starts_with("node-json "))
        };
        (0..100).filter(|&seed| is_blamed(&judge(&planted(seed, loss, since)))).count()
    }

    #[test]
    fn planted_losses_are_found_as_often_as_the_documentation_says() {
        let expected = [
            (0.05, 1, 0..=5),
            (0.05, 3, 20..=45),
            (0.05, 5, 62..=85),
            (0.05, 8, 88..=100),
            (0.10, 1, 20..=45),
            (0.10, 3, 90..=100),
            (0.10, 5, 98..=100),
            (0.30, 1, 98..=100),
        ];
        for (loss, since, range) in expected {
            let found = found(loss, since);
            assert!(range.contains(&found), "a loss of {loss} in {since} runs: {found} of 100");
        }
    }

    #[test]
    fn twenty_runs_of_the_same_build_raise_no_alarm_in_nineteen_of_twenty_histories() {
        let raised = |seed: &u64| {
            let mut machine = Synthetic { latencies: false, ..Synthetic::new(1_000 + seed) };
            let history = machine.history(0, 20);
            (1..=20).any(|runs| !judge(&history[..runs]).passed())
        };
        let alarms = (0..200).filter(raised).count();
        assert!(alarms <= 10, "{alarms} of 200 histories");
    }

    #[test]
    fn an_alarm_names_the_run_with_which_it_began() {
        let history = planted(3, 0.15, 6);
        let report = judge(&history);
        let text = report.text();
        assert!(text.contains("ALARM        node-json null ratio: 0.797 became 0.683"), "{text}");
        assert!(text.contains("with the run of 00000000000f (2026-11-01T15:00:00Z)"), "{text}");
        assert!(report.findings.iter().all(|found| !found.subject.starts_with("node-bson")));
    }

    #[test]
    fn a_gain_is_a_note_and_an_old_loss_is_nothing() {
        let gain = judge(&planted(3, -0.2, 8));
        assert!(gain.passed() && !gain.findings.is_empty(), "{}", gain.text());
        assert_eq!(judge(&planted(3, 0.2, 14)).findings, []);
    }

    #[test]
    fn runs_under_other_conditions_are_not_mixed_in() {
        let mut history = planted(3, 0.3, 6);
        history[15..].iter_mut().for_each(|run| run.machine.cpu_model = "a slower one".into());
        let report = judge(&history);
        assert!(report.passed());
        let unlike = "drain: 15 runs under other conditions";
        assert_eq!(report.not_checked.first().map(String::as_str), Some(unlike));
    }

    #[test]
    fn a_short_history_is_said_not_to_be_checked() {
        let report = judge(&Synthetic::new(1).history(0, RUNS_MIN as u32 - 1));
        assert!(report.checked.is_empty() && report.passed());
        assert!(report.not_checked[0].contains("5 runs, at least 6 are needed"), "{report:?}");
        assert_eq!(judge(&[]), GateReport::default());
    }

    #[test]
    fn rivals_twins_and_old_builds_cannot_stop_a_release() {
        let arms = vec![("debezium", 0.2), ("node-json#2", 0.8), ("node-json@base", 0.8)];
        let mut machine = Synthetic { arms, latencies: false, ..Synthetic::new(1) };
        let mut history = machine.history(0, 12);
        machine.arms.iter_mut().for_each(|(_, ratio)| *ratio *= 0.5);
        history.extend(machine.history(12, 5));
        assert!(judge(&history).passed());
    }
}
