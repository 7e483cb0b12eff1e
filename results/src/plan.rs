//! What a load will need, from runs in which the load was turned up step by step.
//!
//! ```text
//! record of `connectors` or `ladder` ─► rungs ─┬─ all but the last ─► law ─► predicts the last: error of the model
//!                                              └─ all              ─► law ─► capacity for the asked rate
//! demand: events/s, bytes of a document, p99, hours of an outage      └───► cores, memory, connections, MB/s, oplog,
//!                                                                           and what gives way first
//! ```
//!
//! Every answer has an interval and names the runs that it comes from; an answer that needs a number which no run has
//! says which scenario to run. Nothing is said beyond [`capacity::EXTRAPOLATION_MAX`] times the largest rung.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::compare::RunName;
use crate::record::RunRecord;
use crate::stats::Interval;
use crate::store::Store;

pub mod capacity;
mod growth;
pub mod rungs;
pub mod text;
pub mod usl;

use capacity::Answers;
use rungs::{Axis, Ladder, PREDICTED_EVENTS_PER_S, RUNGS_MIN};
use usl::{Fitted, Point, Usl};

/// Raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Scenarios whose rounds make a ladder, the better first.
pub const SCENARIOS: [&str; 2] = ["connectors", "ladder"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Changes per second, at the busiest.
    pub events_per_s: f64,
    /// Of a document; `None`: as measured.
    pub document_bytes: Option<f64>,
    /// From the write to the consumer, ms.
    pub p99_ms: Option<f64>,
    /// How long the node may be away without losing its place.
    pub outage_h: Option<f64>,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for.
    pub demand: Demand,
    /// The law.
    pub model: Model,
    /// How well it foretells.
    pub held_out: Prediction,
    /// What the demand needs.
    pub answers: Answers,
}

/// The law and what it was fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The scenario of the run.
    pub scenario: String,
    /// The run.
    pub run: RunName,
    /// Its arm.
    pub arm: String,
    /// What was turned up.
    pub axis: Axis,
    /// Connectors or offered rate of each rung, and its median rate.
    pub rungs: Vec<(f64, f64)>,
    /// Fitted to all rungs.
    pub usl: Usl,
    /// Rate at N = 1.
    pub lambda: Interval,
    /// Contention.
    pub sigma: Interval,
    /// Coherency.
    pub kappa: Interval,
}

/// The last rung, as the others foretell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Connectors or offered rate.
    pub rung: f64,
    /// Events per second from the rungs before.
    pub predicted: Interval,
    /// Median of its rounds.
    pub measured: f64,
    /// Predicted to measured, less 1.
    pub error: f64,
    /// Whether the run itself holds the prediction, made before the rung was measured.
    pub foretold: bool,
}

/// A prediction as the history keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The scenario of the run.
    pub scenario: String,
    /// The run.
    pub run: RunName,
    /// Its arm.
    pub arm: String,
    /// What was foretold and what came.
    pub prediction: Prediction,
}

/// Runs that a plan is made of.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The ladder that the law is fitted to.
    pub scaling: RunRecord,
    /// The ladder that latencies are read from, if there is another.
    pub latency: Option<RunRecord>,
}

impl Evidence {
    /// The newest runs of [`SCENARIOS`] that were not cut short and in which `arm` counts.
    pub fn newest(store: &Store, arm: &str) -> Result<Self> {
        let mut newest = Vec::new();
        for scenario in SCENARIOS {
            let counts = |run: &RunRecord| {
                let valid = run.arms.iter().any(|found| found.name == arm && found.valid);
                valid && !run.cut_short
            };
            newest.push(store.read(scenario)?.into_iter().rfind(counts));
        }
        let [connectors, ladder] = <[_; 2]>::try_from(newest).unwrap_or_default();
        match (connectors, ladder) {
            (Some(scaling), latency) => Ok(Self { scaling, latency }),
            (None, Some(scaling)) => Ok(Self { scaling, latency: None }),
            (None, None) => None.with_context(|| {
                format!(
                    "no run says how {arm} grows with its load; run `millrace bench run {}` or `millrace bench run {}`",
                    SCENARIOS[0], SCENARIOS[1]
                )
            }),
        }
    }
}

/// What the next rung will give, from the rounds measured so far: for the runner to write into the rounds of that rung,
/// as counter [`PREDICTED_EVENTS_PER_S`], before it measures them. `None` if four rungs were not measured yet.
pub fn predict_next(points: &[Point], load: f64, rounds: usize) -> Option<Interval> {
    let mut loads: Vec<u64> = points.iter().map(|point| point.load.to_bits()).collect();
    loads.sort_unstable();
    loads.dedup();
    let enough = RUNGS_MIN - 1 <= loads.len();
    enough.then(|| Fitted::of(points.to_vec())?.prediction(load, rounds)).flatten()
}

/// Makes a plan for `demand` from `arm` in the runs of `evidence`.
pub fn plan(demand: Demand, evidence: &Evidence, arm: &str) -> Result<Plan> {
    demand.check()?;
    let run = &evidence.scaling;
    let ladder = Ladder::of(run, arm)?;
    let scenario = &run.scenario;
    let count = ladder.rungs.len();
    ensure!(
        RUNGS_MIN <= count,
        "cannot fit a law to {count} rungs of {arm} in the newest run of {scenario}: {RUNGS_MIN} are needed, the last of \
         which is held out; run `millrace bench run {scenario}` with more rungs"
    );
    let held_out = held_out(&ladder).with_context(|| {
        format!("cannot fit a law to the rungs of {arm} in the newest run of {scenario}")
    })?;
    let fitted = Fitted::of(ladder.points(count)).with_context(|| {
        format!("cannot fit a law to all rungs of {arm} in the newest run of {scenario}")
    })?;
    let answers = Answers::of(&demand, &ladder, &fitted, evidence)?;
    Ok(Plan { demand, model: model(run, &ladder, &fitted)?, held_out, answers })
}

impl Demand {
    fn check(&self) -> Result<()> {
        let named = [
            ("events per second", Some(self.events_per_s)),
            ("document bytes", self.document_bytes),
            ("p99", self.p99_ms),
            ("outage", self.outage_h),
        ];
        for (name, value) in named {
            ensure!(
                value.is_none_or(|value| 0.0 < value && value.is_finite()),
                "cannot plan for {name} of {}: it must be above zero",
                value.unwrap_or_default()
            );
        }
        Ok(())
    }
}

fn model(run: &RunRecord, ladder: &Ladder, fitted: &Fitted) -> Result<Model> {
    let usl = fitted.usl;
    let interval = |name: &str, figure: fn(&Usl) -> f64| {
        fitted.interval(name, figure(&usl), |usl| Some(figure(usl))).context("no interval")
    };
    Ok(Model {
        scenario: run.scenario.clone(),
        run: RunName::of(run),
        arm: ladder.arm.clone(),
        axis: ladder.axis,
        rungs: ladder.rungs.iter().map(|rung| (rung.value, rung.events_per_s())).collect(),
        usl,
        lambda: interval("lambda", |usl| usl.lambda)?,
        sigma: interval("sigma", |usl| usl.sigma)?,
        kappa: interval("kappa", |usl| usl.kappa)?,
    })
}

/// Foretells the last rung from those before it. What the run itself foretold counts, where it did.
fn held_out(ladder: &Ladder) -> Option<Prediction> {
    let (last, before) = ladder.rungs.split_last()?;
    let fitted = Fitted::of(ladder.points(before.len()))?;
    let mut predicted = fitted.prediction(last.load, last.rounds.len())?;
    let measured = last.events_per_s();
    let foretold =
        last.rounds.iter().find_map(|round| rungs::counter(round, PREDICTED_EVENTS_PER_S));
    if let Some(foretold) = foretold {
        let (low, high) = (predicted.low.min(foretold), predicted.high.max(foretold));
        predicted = Interval { estimate: foretold, low, high, ..predicted };
    }
    Some(Prediction {
        rung: last.value,
        measured,
        error: predicted.estimate / measured - 1.0,
        predicted,
        foretold: foretold.is_some(),
    })
}

impl Plan {
    /// The prediction as the history keeps it.
    pub fn prediction_record(&self) -> PredictionRecord {
        PredictionRecord {
            schema_version: SCHEMA_VERSION,
            scenario: self.model.scenario.clone(),
            run: self.model.run.clone(),
            arm: self.model.arm.clone(),
            prediction: self.held_out.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
