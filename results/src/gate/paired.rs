//! Two builds measured in turns: is the new one slower?
//!
//! ```text
//! [{"name": "json plain", "new_ns": [412.0, 409.5, ...], "base_ns": [401.2, 400.9, ...]}, ...]
//!                                    └─ measured right after each other ─┘
//! ```
//!
//! The same test serves a run of a scenario that has the old build as another arm, `node-json@base` beside `node-json`.
//!
//! A loss counts if Wilcoxon's signed ranks give it at most 1 % by chance, shared among all that are judged together
//! (Bonferroni), and if it is at least 1 %: less than that the layout of code in memory alone does.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Finding, GateReport, Layer, change};
use crate::metric::{Better, Metric};
use crate::record::RunRecord;
use crate::stats::bootstrap;
use crate::stats::random::Random;
use crate::stats::signed_rank::{self, PAIRS_MAX};

/// The share of gates that may fail by chance.
pub const SIGNIFICANCE: f64 = 0.01;

/// A smaller loss is no alarm.
pub const LOSS_MIN: f64 = 0.01;

/// The suffix of the arm that runs the old build.
pub const BASE_SUFFIX: &str = "@base";

/// Values of two builds, measured in turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs {
    /// What was measured.
    pub name: String,
    /// Which direction is an improvement.
    pub better: Better,
    /// `(new, base)`.
    pub values: Vec<(f64, f64)>,
}

/// Reads the form above.
pub fn parse(text: &str) -> Result<Vec<Pairs>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bench {
        name: String,
        new_ns: Vec<f64>,
        base_ns: Vec<f64>,
    }
    let benches: Vec<Bench> = serde_json::from_str(text).context(
        r#"cannot read the pairs: not of the form [{"name": …, "new_ns": […], "base_ns": […]}]"#,
    )?;
    let pairs = benches.into_iter().map(|Bench { name, new_ns, base_ns }| {
        ensure!(
            new_ns.len() == base_ns.len(),
            "cannot pair {name}: {} new values and {} old ones",
            new_ns.len(),
            base_ns.len()
        );
        let values: Vec<_> = new_ns.into_iter().zip(base_ns).collect();
        let good = |&(new, base): &(f64, f64)| 0.0 < new && 0.0 < base;
        ensure!(values.iter().all(good), "cannot pair {name}: a value is not above zero");
        Ok(Pairs { name, better: Better::Lower, values })
    });
    pairs.collect()
}

/// The arms of a run that have their old build beside them, for each figure that noise of the machine cancels out of.
pub fn of_run(run: &RunRecord) -> Vec<Pairs> {
    let mut all = Vec::new();
    for base in &run.arms {
        let name = base.name.strip_suffix(BASE_SUFFIX);
        let new = name.and_then(|name| run.arms.iter().find(|arm| arm.name == name));
        let Some(new) = new else { continue };
        for offered in new.offered_rates() {
            let others = base.counting(offered);
            for metric in [Metric::EventsPerS, Metric::CpuPerEvent, Metric::LatencyP99] {
                let pair = |round: &crate::record::RoundRecord| {
                    let other = others.iter().find(|other| other.round == round.round)?;
                    Some((metric.value(round)?, metric.value(other)?))
                };
                let values: Vec<_> = new.counting(offered).into_iter().filter_map(pair).collect();
                let at = offered.map_or(String::new(), |rate| format!(" at {rate}/s"));
                let name = format!("{}{at} {metric}", new.name);
                all.push(Pairs { name, better: metric.better(), values });
            }
        }
    }
    all.retain(|pairs| !pairs.values.is_empty());
    all
}

/// Judges all that were measured together.
pub fn judge(all: &[Pairs]) -> GateReport {
    let significance = SIGNIFICANCE / all.len().max(1) as f64;
    // Of n pairs the strongest evidence is 2⁻ⁿ.
    let pairs_min = (-significance.log2()).ceil() as usize;
    let mut report = GateReport::default();
    for pairs in all {
        let Pairs { name, values, .. } = pairs;
        if values.len() < pairs_min {
            let have = values.len();
            report
                .not_checked
                .push(format!("{name}: {have} pairs, at least {pairs_min} are needed"));
            continue;
        }
        report.checked.push(format!("{name}: {} pairs", values.len().min(PAIRS_MAX)));
        report.findings.extend(pairs.finding(significance));
    }
    report
}

impl Pairs {
    fn finding(&self, significance: f64) -> Option<Finding> {
        let turned: Vec<_> = self.values.iter().map(|&(new, base)| (base, new)).collect();
        let (losses, gains) = match self.better {
            Better::Lower => (&self.values, &turned),
            Better::Higher => (&turned, &self.values),
        };
        let ratio = bootstrap::ratio_of_pairs(&self.values, Random::named(&self.name))?;
        let (loss, gain) = (signed_rank::p_of_larger(losses), signed_rank::p_of_larger(gains));
        let large = LOSS_MIN <= (ratio.estimate - 1.0).abs();
        let alarm = loss <= significance && large;
        let what = format!(
            "{} ({} to {}), p {:.5} in {} pairs",
            change(ratio.estimate, 1.0),
            change(ratio.low, 1.0),
            change(ratio.high, 1.0),
            loss.min(gain),
            self.values.len()
        );
        let found = alarm || (gain <= significance && large);
        found.then(|| Finding { layer: Layer::Paired, subject: self.name.clone(), alarm, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Synthetic;

    fn bench(seed: u64, slowdown: f64, pairs: usize) -> Pairs {
        let mut random = Random::seeded(seed);
        let mut pair = || {
            let machine = (0.12 * random.normal()).exp();
            // One pair in fifty is disturbed.
            let disturbed = if random.unit() < 0.02 { 1.5 } else { 1.0 };
            let new = machine * slowdown * disturbed * (0.02 * random.normal()).exp();
            (400.0 * new, 400.0 * machine * (0.02 * random.normal()).exp())
        };
        let values = (0..pairs).map(|_| pair()).collect();
        Pairs { name: "json plain".into(), better: Better::Lower, values }
    }

    #[test]
    fn a_planted_slow_down_of_five_percent_is_found_and_the_same_build_passes() {
        let alarms = |slowdown| {
            let failed = |seed: &u64| !judge(&[bench(*seed, slowdown, 30)]).passed();
            (0..400).filter(failed).count()
        };
        let (missed, false_alarms) = (400 - alarms(1.05), alarms(1.0));
        assert!(missed <= 4, "{missed} of 400 missed");
        assert!(false_alarms <= 8, "{false_alarms} false alarms of 400");
    }

    #[test]
    fn one_run_of_thirty_rounds_finds_a_loss_of_five_percent() {
        let alarms = |ratio| {
            let failed = |seed: &u64| {
                let arms = vec![("node-json", ratio), ("node-json@base", 0.8)];
                let mut machine =
                    Synthetic { arms, rounds: 30, latencies: false, ..Synthetic::new(*seed) };
                !judge(&of_run(&machine.run(1))).passed()
            };
            (0..200).filter(failed).count()
        };
        let (found, false_alarms) = (alarms(0.76), alarms(0.8));
        assert!(180 <= found, "{found} of 200");
        assert!(false_alarms <= 6, "{false_alarms} of 200");
    }

    #[test]
    fn an_improvement_is_a_note_and_a_trifle_is_nothing() {
        let report = judge(&[bench(1, 0.9, 40)]);
        assert!(report.passed() && report.findings.len() == 1, "{report:?}");
        let trifle = Pairs {
            values: (1..200).map(|step| (f64::from(step) * 1.001, f64::from(step))).collect(),
            ..bench(1, 1.0, 0)
        };
        assert_eq!(judge(&[trifle]).findings, []);
    }

    #[test]
    fn judging_more_at_once_asks_for_more_evidence() {
        let all = vec![bench(1, 1.05, 8); 10];
        let report = judge(&all);
        assert_eq!(report.not_checked.len(), 10);
        assert!(report.not_checked[0].contains("at least 10 are needed"), "{report:?}");
        assert_eq!(judge(&all[..1]).not_checked, [""; 0]);
    }

    #[test]
    fn an_arm_with_its_old_build_beside_it_is_judged_in_its_own_run() {
        let arms = vec![("node-json", 0.72), ("node-json@base", 0.8), ("node-bson", 0.9)];
        let run = Synthetic { arms, rounds: 20, ..Synthetic::new(2) }.run(1);
        let pairs = of_run(&run);
        assert_eq!(pairs.len(), 3, "{pairs:?}");
        let report = judge(&pairs);
        assert!(!report.passed());
        assert!(report.text().contains("ALARM        node-json events/s: -"), "{}", report.text());
    }

    #[test]
    fn pairs_have_two_values_above_zero() {
        let good = r#"[{"name": "a", "new_ns": [1.0, 2], "base_ns": [1, 2]}]"#;
        assert_eq!(parse(good).unwrap()[0].values, [(1.0, 1.0), (2.0, 2.0)]);
        for bad in [
            good.replace("[1, 2]", "[1]"),
            good.replace("[1, 2]", "[1, 0]"),
            good.replace("base_ns", "old_ns"),
            "{}".into(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
