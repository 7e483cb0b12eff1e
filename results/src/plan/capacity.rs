//! What a rate needs: cores, memory, connections, bandwidth, oplog, and what gives way first.
//!
//! ```text
//! per event      CPU of each process, bytes, oplog bytes     a + b N, b ≥ 0, at the N that the rate needs
//! per connector  memory, connections                         the same
//! utilisation    rate / null reader, / null writer, / peak of the law; cores / cores of the machine
//!                the largest is the bottleneck
//! ```
//!
//! How a figure grows with the load and with the document: [`super::growth`].

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::rungs::{
    Axis, CONNECTIONS_KAFKA, CONNECTIONS_MONGODB, Ladder, OPLOG_BYTES_PER_EVENT, counter,
};
use super::usl::Fitted;
use super::{Demand, Evidence, growth};
use crate::compare::RunName;
use crate::metric::Metric;
use crate::record::RoundRecord;
use crate::stats::Interval;

/// Rates and sizes further from what was measured are refused.
pub const EXTRAPOLATION_MAX: f64 = 2.0;

/// A document that differs by less counts as measured.
const SAME_SIZE: f64 = 0.1;

/// Parts of a run whose use is planned, as records name them.
const PROCESSES: [&str; 3] = ["arm", "mongod", "kafka"];

/// What the demand needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Whether the rate is above the largest that was measured.
    pub extrapolated: bool,
    /// In the order of a table.
    pub needs: Vec<Need>,
    /// The largest share first; the first is what gives way.
    pub utilisation: Vec<Utilisation>,
    /// What could not be said, and what to run.
    pub missing: Vec<String>,
}

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Such as `cores of mongod`.
    pub what: String,
    /// Such as `MiB`; empty for a count.
    pub unit: String,
    /// How much.
    pub amount: Interval,
    /// The runs that it comes from.
    pub from: Vec<RunName>,
    /// What to know about it.
    pub note: Option<String>,
}

/// How much of something the demand takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Utilisation {
    /// Such as `the change stream of mongod`.
    pub of: String,
    /// 1 is all there is.
    pub share: Interval,
}

impl Answers {
    /// Refuses a rate or a size beyond [`EXTRAPOLATION_MAX`].
    pub fn of(
        demand: &Demand,
        ladder: &Ladder,
        fitted: &Fitted,
        evidence: &Evidence,
    ) -> Result<Self> {
        let largest = ladder.events_per_s_max();
        let rate = demand.events_per_s;
        ensure!(
            rate <= largest * EXTRAPOLATION_MAX,
            "cannot plan for {rate:.0} events/s: the largest rung gave {largest:.0}/s, and nothing is said beyond \
             {EXTRAPOLATION_MAX} times that; run `millrace bench run {}` with higher rungs",
            evidence.scaling.scenario
        );
        let measured_bytes = f64::from(evidence.scaling.document_bytes);
        let size = demand.document_bytes.unwrap_or(measured_bytes) / measured_bytes;
        ensure!(
            (1.0 / EXTRAPOLATION_MAX..=EXTRAPOLATION_MAX).contains(&size),
            "cannot plan for documents of {:.0} bytes: those of the newest run of {} had {measured_bytes:.0}, and nothing \
             is said beyond {EXTRAPOLATION_MAX} times more or less; run it with documents of that size",
            size * measured_bytes,
            evidence.scaling.scenario
        );
        let mut planner = Planner {
            demand,
            ladder,
            fitted,
            evidence,
            size: if (size - 1.0).abs() <= SAME_SIZE { 1.0 } else { size },
            load: load(ladder, fitted, rate),
            answers: Self {
                extrapolated: largest < rate,
                needs: Vec::new(),
                utilisation: Vec::new(),
                missing: Vec::new(),
            },
        };
        planner.connectors();
        planner.cores();
        planner.memory();
        planner.connections();
        planner.kafka();
        planner.oplog();
        planner.latency();
        planner.saturation();
        let mut answers = planner.answers;
        answers.utilisation.sort_by(|a, b| b.share.estimate.total_cmp(&a.share.estimate));
        Ok(answers)
    }

    /// What gives way first.
    pub fn bottleneck(&self) -> Option<&Utilisation> {
        self.utilisation.first()
    }
}

/// N at which the law gives the rate; the largest measured N if it never does.
fn load(ladder: &Ladder, fitted: &Fitted, events_per_s: f64) -> f64 {
    let highest = ladder.rungs.last().map_or(1.0, |rung| rung.load);
    fitted.usl.load_for(events_per_s).unwrap_or(highest).min(highest * EXTRAPOLATION_MAX)
}

struct Planner<'a> {
    demand: &'a Demand,
    ladder: &'a Ladder,
    fitted: &'a Fitted,
    evidence: &'a Evidence,
    /// Asked bytes of a document to measured ones; 1 where they are near.
    size: f64,
    load: f64,
    answers: Answers,
}

impl Planner<'_> {
    fn need(&mut self, what: &str, unit: &str, amount: Interval, note: Option<String>) {
        self.answers.needs.push(Need {
            what: what.to_owned(),
            unit: unit.to_owned(),
            amount,
            from: vec![RunName::of(&self.evidence.scaling)],
            note,
        });
    }

    fn miss(&mut self, what: &str, lacks: &str) {
        let scenario = &self.evidence.scaling.scenario;
        self.answers.missing.push(format!(
            "{what}: the newest run of {scenario} has no {lacks}; run `millrace bench run {scenario}` anew"
        ));
    }

    /// How many in parallel reach the rate, and how near that is to what the law can give at all.
    fn connectors(&mut self) {
        let rate = self.demand.events_per_s;
        let peak = self.fitted.usl.rate_max();
        let share = self
            .fitted
            .interval("share of the peak", rate / peak, |usl| Some(rate / usl.rate_max()));
        let of = format!("what {} can give ({})", self.ladder.arm, self.ladder.axis);
        self.answers.utilisation.extend(share.map(|share| Utilisation { of, share }));
        if self.ladder.axis == Axis::OfferedRate {
            self.answers.missing.push(
                "connectors: rates were turned up, not connectors; run `millrace bench run connectors`".into(),
            );
            return;
        }
        let Some(estimate) = self.fitted.usl.load_for(rate) else {
            self.answers.missing.push(format!(
                "connectors: no number of them reaches {rate:.0}/s on this machine, the law ends at {peak:.0}/s; use a \
                 larger machine, or several"
            ));
            return;
        };
        let interval = self.fitted.interval("connectors", estimate, |usl| usl.load_for(rate));
        match interval {
            Some(exact) => {
                let whole = Interval {
                    estimate: exact.estimate.ceil(),
                    low: exact.low.ceil(),
                    high: exact.high.ceil(),
                    ..exact
                };
                let note = format!("exactly {:.2}", exact.estimate);
                self.need("connectors", "", whole, Some(note));
            }
            None => self
                .miss("connectors", "rungs steady enough to reach that rate in most redrawn fits"),
        }
    }

    fn cores(&mut self) {
        let per_core = self.demand.events_per_s / 1e6;
        let mut total: Option<Interval> = None;
        let mut complete = true;
        for process in PROCESSES {
            let what = format!("cores of {}", named(process, &self.ladder.arm));
            let figures = self.ladder.figures(|round| cpu_us_per_event(round, process));
            let Some(per_event) = growth::along_load(&what, &figures, self.load) else {
                complete = false;
                self.miss(&what, &format!("CPU time of the process {process:?} in its `usage`"));
                continue;
            };
            let cores = growth::cost(per_event, self.size).scaled(per_core);
            total = Some(total.map_or(cores, |total| growth::sum(total, cores)));
            self.need(&what, "", cores, self.size_note());
        }
        if let Some(total) = total.filter(|_| complete) {
            let machine = self.evidence.scaling.machine.cores as f64;
            self.need("cores together", "", total, None);
            let of = format!("the {machine} cores of a machine like the measured one");
            let share = total.scaled(1.0 / machine);
            self.answers.utilisation.push(Utilisation { of, share });
        }
    }

    fn memory(&mut self) {
        for process in PROCESSES {
            let what = format!("memory of {}", named(process, &self.ladder.arm));
            match growth::along_load(
                &what,
                &self.ladder.figures(|round| peak_rss_mib(round, process)),
                self.load,
            ) {
                Some(amount) => {
                    let note = (process != "arm")
                        .then(|| "with the caches of the measured run".to_owned());
                    self.need(&what, "MiB", amount, note);
                }
                None => {
                    self.miss(&what, &format!("memory of the process {process:?} in its `usage`"));
                }
            }
        }
    }

    fn connections(&mut self) {
        for (server, name) in [("MongoDB", CONNECTIONS_MONGODB), ("Kafka", CONNECTIONS_KAFKA)] {
            let what = format!("connections to {server}");
            match growth::along_load(
                &what,
                &self.ladder.figures(|round| counter(round, name)),
                self.load,
            ) {
                Some(amount) => self.need(&what, "", amount, None),
                None => self.miss(&what, &format!("counter {name:?}")),
            }
        }
    }

    fn kafka(&mut self) {
        let figures = self.ladder.figures(bytes_per_event);
        match growth::along_load("bytes per event", &figures, self.load) {
            Some(per_event) => {
                let amount = growth::bytes(per_event, self.document_bytes(), self.size)
                    .scaled(self.demand.events_per_s / 1e6);
                self.need("into Kafka", "MB/s", amount, self.size_note());
            }
            None => self.miss("into Kafka", "bytes of its records"),
        }
    }

    fn oplog(&mut self) {
        let Some(outage_h) = self.demand.outage_h else { return };
        let what = format!("oplog for an outage of {outage_h} h");
        let figures = self.ladder.figures(|round| counter(round, OPLOG_BYTES_PER_EVENT));
        match growth::along_load(&what, &figures, self.load) {
            Some(per_event) => {
                let events = self.demand.events_per_s * outage_h * 3_600.0;
                let amount = growth::bytes(per_event, self.document_bytes(), self.size)
                    .scaled(events / 1_073_741_824.0);
                let note = "the rate of changes all the time; leave room beyond it".to_owned();
                self.need(&what, "GiB", amount, Some(note));
            }
            None => self.miss(&what, &format!("counter {OPLOG_BYTES_PER_EVENT:?}")),
        }
    }

    /// The p99 of the lowest measured rung that gave at least the asked rate, held against what is asked for.
    fn latency(&mut self) {
        let Some(p99_ms) = self.demand.p99_ms else { return };
        let run = self.evidence.latency.as_ref().unwrap_or(&self.evidence.scaling);
        let Ok(ladder) = Ladder::of(run, &self.ladder.arm) else { return };
        let enough = |rate: f64| self.demand.events_per_s * 0.99 <= rate;
        let rung = ladder
            .rungs
            .iter()
            .find(|rung| enough(rung.events_per_s()) && rung.latency().is_some());
        let remedy = format!(
            "run `millrace bench run ladder` with a rung above {:.0}/s",
            self.demand.events_per_s
        );
        let Some(rung) = rung else {
            let gap = "p99: no rung with latencies gave that rate";
            self.answers.missing.push(format!("{gap}; {remedy}"));
            return;
        };
        let rounds: Vec<&RoundRecord> = rung.rounds.iter().collect();
        let Some(amount) = growth::p99(&rounds) else { return };
        let kept = match (amount.high <= p99_ms, amount.low <= p99_ms) {
            (true, _) => "kept",
            (false, true) => "not sure to be kept",
            (false, false) => "not kept",
        };
        let note = format!("{p99_ms} ms is {kept}; measured with {}", ladder.axis.load(rung.value));
        let from = vec![RunName::of(run)];
        self.answers.needs.push(Need {
            what: "p99".into(),
            unit: "ms".into(),
            amount,
            from,
            note: Some(note),
        });
        let share = amount.scaled(1.0 / p99_ms);
        self.answers
            .utilisation
            .push(Utilisation { of: format!("the {p99_ms} ms of the p99"), share });
    }

    /// How near the rate is to that of the null reader and of the null writer.
    fn saturation(&mut self) {
        let rate = self.demand.events_per_s;
        for (of, scenario_arm, metric) in [
            ("the change stream of mongod", "null-reader", Metric::NullRatio),
            ("what the broker takes", "null-writer", Metric::SinkRatio),
        ] {
            let ceiling = |round: &RoundRecord| Some(round.events_per_s() / metric.value(round)?);
            let ceilings = self
                .ladder
                .nearest(rate)
                .map(|rung| -> Vec<f64> { rung.rounds.iter().filter_map(ceiling).collect() });
            let ceilings = ceilings.unwrap_or_default();
            match growth::spread(&ceilings, of) {
                Some(ceiling) => self.answers.utilisation.push(Utilisation {
                    of: of.to_owned(),
                    share: Interval {
                        estimate: rate / ceiling.estimate,
                        low: rate / ceiling.high,
                        high: rate / ceiling.low,
                        ..ceiling
                    },
                }),
                None => self.miss(
                    &format!("share of {of}"),
                    &format!("arm {scenario_arm:?} in its rounds"),
                ),
            }
        }
    }

    fn document_bytes(&self) -> f64 {
        self.evidence.scaling.document_bytes.into()
    }

    fn size_note(&self) -> Option<String> {
        (self.size != 1.0).then(|| {
            let bytes = self.evidence.scaling.document_bytes;
            format!(
                "measured with documents of {bytes} bytes: from not growing to growing with them"
            )
        })
    }
}

fn named(process: &str, arm: &str) -> String {
    if process == "arm" { arm.to_owned() } else { process.to_owned() }
}

fn cpu_us_per_event(round: &RoundRecord, process: &str) -> Option<f64> {
    let of_usage = round.usage.iter().find(|usage| usage.process == process);
    let of_arm = round.cpu_us_per_event.filter(|_| process == "arm");
    of_usage.and_then(|usage| usage.cpu_us_per_event).or(of_arm)
}

fn peak_rss_mib(round: &RoundRecord, process: &str) -> Option<f64> {
    let of_usage = round.usage.iter().find(|usage| usage.process == process);
    let of_arm = round.peak_rss_mib.filter(|_| process == "arm");
    of_usage.and_then(|usage| usage.peak_rss_mib).or(of_arm)
}

fn bytes_per_event(round: &RoundRecord) -> Option<f64> {
    (round.events != 0 && round.bytes != 0).then(|| round.bytes as f64 / round.events as f64)
}
