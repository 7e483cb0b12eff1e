//! What the arms of a run meet: a backlog, several of them, or a load; and how one arm is measured on it.
//!
//! ```text
//! Backlog      drain::measure                       one record; a snapshot too, whose arms copy what it left
//! Connectors   drain::measure, rung by rung         a record for each number of connectors
//! Live         follow::measure                      a record for each recorded phase of the load
//! Ladder       follow::measure, rate by rate        a record for each rate
//! Alone        alone::measure                       one record
//! ```

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use millrace_loadgen::ceiling::Ceiling;
use millrace_loadgen::settings::Load;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::Workload;
use millrace_results::plan::predict_next;
use millrace_results::plan::rungs::{CONNECTORS, PREDICTED_EVENTS_PER_S};
use millrace_results::plan::usl::Point;
use millrace_results::record::RoundRecord;
use millrace_results::stats::Interval;
use millrace_testbed::Testbed;
use serde_json::json;

use crate::alone::Alone;
use crate::arm::own_binary;
use crate::backlog::Backlog;
use crate::drain;
use crate::follow::Follow;
use crate::ladder::Search;
use crate::progress::Progress;
use crate::run::{Run, ensure_not_stopped};
use crate::scenario::{Course, Entry, Ladder, Measure, Replay, Scenario};

/// What the arms meet.
pub(crate) enum Ground {
    Backlog(Box<Backlog>),
    /// Fewest connectors first. What a rung drains is written just before: whatever lies behind a backlog in the oplog
    /// is read through too, before its last, half-full batch is handed out.
    Connectors(Arc<Testbed>, Vec<(u32, Workload)>),
    Live(Follow, Box<Course>),
    Ladder(Follow, Ladder),
    Alone(Box<Alone>),
}

impl Ground {
    /// Writes what has to be there before the first round.
    pub(crate) async fn prepare(
        Run { scenario, stop, .. }: &Run,
        testbed: &Arc<Testbed>,
        ceiling: Option<Ceiling>,
        progress: Progress,
    ) -> Result<Self> {
        let follow = || -> Result<Follow> {
            let ceiling = ceiling.context("a load at intended times has a ceiling")?;
            Ok(Follow { testbed: Arc::clone(testbed), ceiling, stop: stop.clone() })
        };
        Ok(match scenario.measure() {
            Measure::Live => Self::Live(follow()?, Box::new(scenario.course()?)),
            Measure::Ladder(ladder) => Self::Ladder(follow()?, ladder),
            Measure::Connectors => {
                let rungs = scenario
                    .connectors
                    .iter()
                    .map(|&connectors| Ok((connectors, scenario.backlog_of(connectors)?.workload)));
                Self::Connectors(Arc::clone(testbed), rungs.collect::<Result<_>>()?)
            }
            Measure::Alone(Replay { events }) => {
                let workload = scenario.backlog()?.workload;
                let alone = Alone::capture(testbed, workload, events, stop.clone(), progress);
                let alone = alone.await?.count_system_calls(scenario.count_system_calls);
                Self::Alone(Box::new(alone))
            }
            measure @ (Measure::Backlog | Measure::Snapshot) => {
                let workload = scenario.backlog()?.workload;
                let backlog = Backlog::write(testbed, workload, progress).await?;
                let (events, written) = (backlog.written.operations, backlog.written.elapsed);
                tracing::info!(events, seconds = written.as_secs_f64(), "backlog loaded");
                let backlog = backlog.count_system_calls(scenario.count_system_calls);
                let backlog = if measure == Measure::Snapshot { backlog.copied() } else { backlog };
                Self::Backlog(Box::new(backlog.stop(stop.clone())))
            }
        })
    }

    /// One round of one arm; of a load one record for each rate.
    pub(crate) async fn measure(
        &self,
        scenario: &Scenario,
        who: (&Entry, u32),
        binary: &Path,
        stop: &Stop,
        progress: Progress,
    ) -> Result<Vec<RoundRecord>> {
        ensure_not_stopped(stop)?;
        match self {
            Self::Backlog(backlog) => drain::measure(backlog, scenario, who, binary, progress)
                .await
                .map(|round| vec![round]),
            Self::Connectors(testbed, rungs) => {
                let mut records = Vec::new();
                for (connectors, workload) in rungs {
                    let written = Backlog::write(testbed, workload.clone(), progress).await?;
                    let backlog = written.share_out().stop(stop.clone());
                    let rung = (*connectors, &backlog);
                    join_in(rung, &mut records, scenario, who, binary, progress).await?;
                }
                Ok(records)
            }
            Self::Live(follow, course) => {
                follow.measure(scenario, course, who, binary, progress).await
            }
            Self::Ladder(follow, ladder) => {
                climb(follow, *ladder, scenario, who, binary, progress).await
            }
            Self::Alone(alone) => {
                measure_alone(alone, scenario, who, binary, progress).await.map(|round| vec![round])
            }
        }
    }

    /// Whether the arms meet the servers of the testbed; else these can be ended.
    pub(crate) fn needs_servers(&self) -> bool {
        match self {
            Self::Backlog(_) | Self::Connectors(..) | Self::Live(..) | Self::Ladder(..) => true,
            Self::Alone(_) => false,
        }
    }

    /// What is written, for the record.
    pub(crate) fn load(&self, scenario: &Scenario) -> Result<Load> {
        match self {
            Self::Backlog(_) | Self::Connectors(..) | Self::Alone(_) => scenario.backlog(),
            Self::Live(_, course) => Ok(course.load().clone()),
            Self::Ladder(_, ladder) => {
                Ok(scenario.course_at(ladder.from_per_s, ladder.lasts_s)?.load().clone())
            }
        }
    }
}

/// One rung more of one arm, foretold once there are enough `below` it.
async fn join_in(
    (connectors, backlog): (u32, &Backlog),
    below: &mut Vec<RoundRecord>,
    scenario: &Scenario,
    who: (&Entry, u32),
    binary: &Path,
    progress: Progress,
) -> Result<()> {
    let points: Vec<Point> = (scenario.connectors.iter().zip(below.iter()))
        .map(|(&load, rung)| Point { load: f64::from(load), events_per_s: rung.events_per_s() })
        .collect();
    let predicted = predict_next(&points, f64::from(connectors), 1);
    let mut rung = drain::measure(backlog, scenario, who, binary, progress).await?;
    rung.counters.insert(CONNECTORS.to_owned(), json!(connectors));
    foretell(&mut rung, predicted);
    below.push(rung);
    Ok(())
}

/// One round of the node between the rig's own servers.
async fn measure_alone(
    alone: &Alone,
    scenario: &Scenario,
    (entry, round): (&Entry, u32),
    binary: &Path,
    progress: Progress,
) -> Result<RoundRecord> {
    let (_, format) = entry.arm.contender().context("an arm of this scenario replicates")?;
    // The servers are this binary's, whichever build of the node is measured.
    let stage = alone.stage(&own_binary()?).await?;
    let mut plan = alone.node_plan(&stage, binary, format)?;
    plan.connector_settings.extend(scenario.connector.clone());
    plan.worker_settings.extend(entry.worker_settings.clone());
    let reading = alone.measure(stage, &plan, progress).await?;
    for example in &reading.verdict.examples {
        tracing::error!("{entry}: {example}");
    }
    Ok(alone.record(round, &reading))
}

/// Writes down what was said before a rung was measured, so that it can be wrong.
fn foretell(rung: &mut RoundRecord, predicted: Option<Interval>) {
    if let Some(predicted) = predicted {
        rung.counters.insert(PREDICTED_EVENTS_PER_S.to_owned(), json!(predicted.estimate));
    }
}

/// The rungs of one arm. The knee stands with the last of them.
async fn climb(
    follow: &Follow,
    ladder: Ladder,
    scenario: &Scenario,
    who: (&Entry, u32),
    binary: &Path,
    progress: Progress,
) -> Result<Vec<RoundRecord>> {
    let mut search = Search::new(ladder);
    let mut rungs: Vec<RoundRecord> = Vec::new();
    let mut points = Vec::new();
    while let Some(rate) = search.next_rate().filter(|_| !follow.stop.is_requested()) {
        let load = rate / ladder.from_per_s;
        let predicted = search.is_rung_next().then(|| predict_next(&points, load, 1)).flatten();
        let course = scenario.course_at(rate, ladder.lasts_s)?;
        let measured = follow.measure(scenario, &course, who, binary, progress).await?;
        for mut rung in measured {
            let p99_ms = rung.latency.as_ref().map_or(0.0, |latency| latency.percentile_ms(99.0));
            search.note(rate, rung.events_per_s(), p99_ms, rung.counts());
            points.push(Point { load, events_per_s: rung.events_per_s() });
            foretell(&mut rung, predicted);
            rungs.push(rung);
        }
    }
    if let Some(last) = rungs.last_mut() {
        last.counters.insert("knee_per_s".to_owned(), json!(search.knee()));
    }
    Ok(rungs)
}
