//! How much two measurements of the same build differ: the noise floor below which a difference means nothing.
//!
//! ```text
//! within a run    arms `x` and `x#2` are the same build. Per round: figure of x#2 / figure of x
//! run to run      runs of one commit under the same conditions: figure of a run / figure of another
//! floor           the factor that 95 % of such ratios stay within, both ways; kept as factor − 1
//! ```
//!
//! Within a run a comparison shows the median of its rounds' ratios. So as many ratios as a run has are drawn from all
//! that were measured, and the floor is the 95 % quantile of the distance of their median from 1.
//!
//! A comparison of two runs needs the floor from run to run: with s the deviation of the logarithms of the runs'
//! figures around the mean of their commit, √2 s t, where t is Student's 97.5 % quantile. Where too few runs repeat a
//! commit, it is taken from the floor within a run: both runs carry the noise of one pair, and independent noise adds
//! up by its square, so it is √2 times as wide, on the scale of logarithms. That leaves out what changes from run to
//! run.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::baselines::Kind;
use crate::likeness::{self, Difference};
use crate::machine::Machine;
use crate::metric::Metric;
use crate::record::{ArmRecord, RoundRecord, RunRecord};
use crate::stats::CONFIDENCE;
use crate::stats::median::{median, quantile, sorted};
use crate::stats::random::Random;
use crate::store::Store;
use crate::table;

/// Raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The scenario whose arms are the same build twice.
pub const SCENARIO: &str = "aa";

/// Runs beyond the first of their commit for a floor from run to run.
pub const REPEATS_MIN: usize = 3;

/// Sizes of memory repeat to the page; a floor of nothing would make news of a page.
const NOISE_MIN: f64 = 0.005;

/// Fewer rounds of `x` and `x#2` have no floor: their own spread is too uncertain.
pub const PAIRS_MIN: usize = 10;

const RESAMPLES: usize = 4_000;

/// The noise of one scenario under one set of conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The scenario of the runs.
    pub scenario: String,
    /// Where they were made.
    pub machine: Machine,
    /// UTC, of the newest run.
    pub newest_run_at: String,
    /// Runs that were used, by their start.
    pub runs: Vec<String>,
    /// What was found.
    pub floors: Vec<NoiseFloor>,
}

/// The noise of one figure of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// The arm that was there twice, or in several runs.
    pub arm: String,
    /// The figure.
    pub metric: Metric,
    /// Offered rate, where the rounds had one.
    pub offered_per_s: Option<f64>,
    /// Rounds in which both `x` and `x#2` count.
    pub pairs: usize,
    /// Standard deviation of the logarithm of the ratio in one round.
    pub pair_deviation: Option<f64>,
    /// Inside one run.
    pub within_run: Option<f64>,
    /// From run to run.
    pub between_runs: Option<f64>,
}

/// What a difference between two runs is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Ratios from `1 / (1 + noise)` to `1 + noise` mean nothing.
    pub noise: f64,
    /// Where it comes from.
    pub origin: FloorOrigin,
}

/// Where a noise floor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorOrigin {
    /// Runs of one commit.
    BetweenRuns,
    /// Pairs within runs, √2 times as wide.
    WithinRun,
    /// It was never measured.
    Assumed,
}

impl Floor {
    /// Where nothing was measured: what a floor is meant to be at most.
    pub const ASSUMED: Self = Self { noise: 0.05, origin: FloorOrigin::Assumed };
}

impl NoiseRecord {
    /// The noise in those of `history` that are like the last of them. Refuses a history without any run that holds an
    /// arm twice or repeats a commit.
    pub fn of(history: &[RunRecord]) -> Result<Self> {
        let like_last = |last: &RunRecord| -> Vec<&RunRecord> {
            let alike = |run: &&RunRecord| likeness::differences(run, last).is_empty();
            history.iter().filter(alike).collect()
        };
        Self::of_like(&history.last().map(like_last).unwrap_or_default())
    }

    /// What `run` is held against: the noise of the runs of its scenario that are like it; else that of scenario
    /// [`SCENARIO`] with the same document, machine and servers; else the last that was kept for its scenario and
    /// machine. `None` if nothing of that is there.
    pub fn for_run(run: &RunRecord, store: &Store) -> Result<Option<Self>> {
        let mut alike = store.read(&run.scenario)?;
        alike.retain(|other| likeness::differences(other, run).is_empty());
        let mut twins = store.read(SCENARIO)?;
        let of_workload = |found: &Difference| {
            ["scenario", "seed", "settings"].iter().any(|free| found.condition.starts_with(free))
        };
        twins.retain(|other| likeness::differences(other, run).iter().all(of_workload));
        for runs in [alike, twins] {
            if let Ok(found) = Self::of_like(&runs.iter().collect::<Vec<_>>()) {
                return Ok(Some(found));
            }
        }
        let kept: Vec<Self> = store.baselines().read(Kind::Noise)?;
        let of_run = |kept: &Self| kept.scenario == run.scenario && kept.machine == run.machine;
        Ok(kept.into_iter().rfind(of_run))
    }

    fn of_like(runs: &[&RunRecord]) -> Result<Self> {
        let Some(last) = runs.last() else {
            bail!("cannot tell the noise: there are no runs; run `millrace bench run {SCENARIO}`");
        };
        let floors = floors(runs);
        ensure!(
            !floors.is_empty(),
            "cannot tell the noise of {}: none of {} like runs has an arm twice (`x` and `x#2`, in at least \
             {PAIRS_MIN} rounds), and fewer than {REPEATS_MIN} repeat a commit; run `millrace bench run {SCENARIO}`",
            last.scenario,
            runs.len()
        );
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            scenario: last.scenario.clone(),
            machine: last.machine.clone(),
            newest_run_at: last.started_at.clone(),
            runs: runs.iter().map(|run| run.started_at.clone()).collect(),
            floors,
        })
    }

    /// A table for a terminal.
    pub fn text(&self) -> String {
        let percent = |share: Option<f64>| {
            share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
        };
        let row = |floor: &NoiseFloor| {
            let at = floor.offered_per_s.map_or(String::new(), |rate| format!(" at {rate}/s"));
            vec![
                format!("{}{at}", floor.arm),
                floor.metric.to_string(),
                if floor.pairs == 0 { "-".to_owned() } else { floor.pairs.to_string() },
                percent(floor.pair_deviation),
                percent(floor.within_run),
                percent(floor.between_runs),
            ]
        };
        let heads = ["arm", "figure", "pairs", "deviation", "within a run", "run to run"];
        let rows: Vec<_> = self.floors.iter().map(row).collect();
        let (scenario, count) = (&self.scenario, self.runs.len());
        format!("noise of {scenario} in {count} like runs\n\n{}", table::render(&heads, &rows))
    }

    /// What a difference of `metric` of `arm` between two runs is held against: its own floor, else the widest of any
    /// arm. `None` where that figure has none.
    pub fn floor(&self, arm: &str, metric: Metric, offered_per_s: Option<f64>) -> Option<Floor> {
        let of_metric = || self.floors.iter().filter(|floor| floor.metric == metric);
        let own = of_metric().filter(|floor| floor.arm == arm);
        let own_rate = own.clone().filter(|floor| floor.offered_per_s == offered_per_s);
        let widest = |floors: &mut dyn Iterator<Item = &NoiseFloor>| {
            floors.filter_map(NoiseFloor::for_two_runs).max_by(|a, b| a.noise.total_cmp(&b.noise))
        };
        widest(&mut own_rate.into_iter())
            .or_else(|| widest(&mut own.into_iter()))
            .or_else(|| widest(&mut of_metric()))
    }
}

impl NoiseFloor {
    fn for_two_runs(&self) -> Option<Floor> {
        let floor = |noise: f64, origin| Floor { noise: noise.max(NOISE_MIN), origin };
        let between = self.between_runs.map(|noise| floor(noise, FloorOrigin::BetweenRuns));
        between.or_else(|| {
            let noise = (self.within_run?.ln_1p() * 2.0_f64.sqrt()).exp_m1();
            Some(floor(noise, FloorOrigin::WithinRun))
        })
    }
}

/// `node-json` of `node-json#2`; `None` for an arm that is there once.
pub fn first_of_twins(arm: &str) -> Option<&str> {
    let (first, number) = arm.rsplit_once('#')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(first)
}

type Key = (String, Metric, Option<u64>);

#[derive(Default)]
struct Evidence {
    /// Logarithms of the ratios of each run.
    ratios_by_run: Vec<Vec<f64>>,
    /// Figure of each run, by commit.
    figures_by_commit: BTreeMap<String, Vec<f64>>,
}

fn floors(runs: &[&RunRecord]) -> Vec<NoiseFloor> {
    let mut evidence: BTreeMap<Key, Evidence> = BTreeMap::new();
    for run in runs {
        for arm in run.arms.iter().filter(|arm| arm.valid) {
            for offered in arm.offered_rates() {
                for metric in Metric::ALL {
                    collect(run, arm, offered, metric, &mut evidence);
                }
            }
        }
    }
    let floors = evidence.into_iter().map(|(key, evidence)| evidence.floor(key));
    floors.filter(|floor| floor.within_run.is_some() || floor.between_runs.is_some()).collect()
}

fn collect(
    run: &RunRecord,
    arm: &ArmRecord,
    offered: Option<f64>,
    metric: Metric,
    evidence: &mut BTreeMap<Key, Evidence>,
) {
    let first = first_of_twins(&arm.name);
    let key = (first.unwrap_or(&arm.name).to_owned(), metric, offered.map(f64::to_bits));
    let rounds = arm.counting(offered);
    let Some(figure) = metric.sample(&rounds).estimate() else { return };
    let evidence = evidence.entry(key).or_default();
    let twin = first.and_then(|first| run.arms.iter().find(|arm| arm.name == first));
    if let Some(twin) = twin {
        let others = twin.counting(offered);
        let ratio = |round: &&RoundRecord| {
            let other = others.iter().find(|other| other.round == round.round)?;
            let ratio = (metric.value(round)? / metric.value(other)?).ln();
            ratio.is_finite().then_some(ratio)
        };
        evidence.ratios_by_run.push(rounds.iter().filter_map(ratio).collect());
    } else if !run.commit.dirty && 0.0 < figure {
        let figures = evidence.figures_by_commit.entry(run.commit.describe.clone()).or_default();
        figures.push(figure.ln());
    }
}

impl Evidence {
    fn floor(self, (arm, metric, offered): Key) -> NoiseFloor {
        let name = format!("noise of {metric} of {arm}");
        let ratios: Vec<f64> = self.ratios_by_run.concat();
        let enough = PAIRS_MIN <= ratios.len();
        NoiseFloor {
            pairs: ratios.len(),
            pair_deviation: enough.then(|| deviation(&ratios)),
            within_run: enough.then(|| within(&self.ratios_by_run, Random::named(&name))).flatten(),
            between_runs: between(self.figures_by_commit.values()),
            offered_per_s: offered.map(f64::from_bits),
            arm,
            metric,
        }
    }
}

/// 95 % of the medians of a run are no further from 1 than this.
fn within(ratios_by_run: &[Vec<f64>], mut random: Random) -> Option<f64> {
    let lengths = ratios_by_run.iter().map(|ratios| ratios.len() as f64);
    let rounds = median(lengths.filter(|length| 0.0 < *length).collect())? as usize;
    let all = ratios_by_run.concat();
    let distances = (0..RESAMPLES).filter_map(|_| {
        let drawn = (0..rounds).map(|_| all[random.place(all.len())]);
        Some(median(drawn.collect())?.abs())
    });
    Some(quantile(&sorted(distances.collect()), CONFIDENCE)?.exp_m1())
}

/// 95 % of the ratios of two runs of one commit are no further from 1 than this.
fn between<'a>(figures_by_commit: impl Iterator<Item = &'a Vec<f64>>) -> Option<f64> {
    let (mut squares, mut repeats) = (0.0, 0);
    for figures in figures_by_commit.filter(|figures| 1 < figures.len()) {
        squares += deviation(figures).powi(2) * (figures.len() - 1) as f64;
        repeats += figures.len() - 1;
    }
    let deviation = (squares / repeats as f64).sqrt();
    (REPEATS_MIN <= repeats)
        .then(|| (2.0_f64.sqrt() * deviation * student_97_5(repeats as f64)).exp_m1())
}

/// The 97.5 % quantile of Student's distribution, to 1 % from 3 degrees of freedom on (Abramowitz, Stegun, "Handbook of
/// mathematical functions", 26.7.5).
fn student_97_5(degrees: f64) -> f64 {
    let z = 1.959_964_f64;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    let powers = (1..).map(|power| degrees.powi(power));
    z + terms.iter().zip(powers).map(|(term, power)| term / power).sum::<f64>()
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests;
