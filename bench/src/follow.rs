//! A load at intended times, followed by one arm: started before it, checked and stopped after it.
//!
//! ```text
//! database dropped ─► topic made ─► arm started at this operation time ─► its stream is open
//!                                                             ─► load ─► arm stopped ─► topic deleted
//!                                                                └ one record for each recorded phase
//! ```
//!
//! Every arm has a database of its own, so that no arm sees the drop of another's. A ledger that is not clean spoils
//! every phase: an event that is missing may have been due in any of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millrace_loadgen::ceiling::Ceiling;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, Workload};
use millrace_loadgen::writer::next_operation_time;
use millrace_results::histogram::LatencyHistogram;
use millrace_results::record::RoundRecord;
use millrace_testbed::Testbed;
use serde_json::{Value, json};

use crate::arm::{NodePlan, Start};
use crate::backlog::CONNECTOR;
use crate::counters;
use crate::drain::faults;
use crate::live::{self, Live, LiveReading, PhaseReading};
use crate::open_streams::OpenStreams;
use crate::progress::Progress;
use crate::rival::Contender;
use crate::scenario::{Course, Entry, Phase, Scenario};
use crate::topics;

/// How long an arm that runs may take to open its stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);

/// What the arms of a run share.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The servers.
    pub testbed: Arc<Testbed>,
    /// What the generator could do by itself.
    pub ceiling: Ceiling,
    /// Ends a load early.
    pub stop: Stop,
}

impl Follow {
    /// Lets one arm follow `course`: a record for each phase that is recorded.
    pub async fn measure(
        &self,
        scenario: &Scenario,
        course: &Course,
        (entry, round): (&Entry, u32),
        binary: &Path,
        progress: Progress,
    ) -> Result<Vec<RoundRecord>> {
        let arm = entry.arm;
        let (rival, format) = arm
            .contender()
            .with_context(|| format!("{} replicates nothing, so it has no latency", arm.name()))?;
        let (mongodb, kafka) = (self.testbed.mongodb(), self.testbed.kafka());
        let database = format!("{}_{}", scenario.database(), arm.name().replace('-', "_"));
        let workload = Workload { database, ..course.load().workload.clone() };
        let client = mongodb.client().await?;
        client.database(&workload.database).drop().await.context("could not drop a database")?;
        let plan = NodePlan {
            binary: binary.to_owned(),
            name: CONNECTOR.to_owned(),
            mongodb_uri: mongodb.uri(),
            bootstrap: kafka.bootstrap(),
            trust: None,
            database: workload.database.clone(),
            collection: collection(&workload)?,
            further_collections: Vec::new(),
            topic_prefix: format!("millrace_r{round}"),
            format,
            start: Start::At(next_operation_time(&client).await?),
            worker_settings: entry.worker_settings.clone(),
            connector_settings: scenario.connector.clone().into_iter().collect(),
            cpus: Vec::new(),
        };
        let topic = topics::fresh_one(&plan.bootstrap, &plan.topic(&plan.collection), 1).await?;
        let started = Instant::now();
        let streams = OpenStreams::note(&client).await?;
        let mut contender = Contender::start(rival, &plan).await?;
        streams
            .wait_for_stream(STREAM_TIMEOUT)
            .await
            .with_context(|| format!("its log ends with:\n{}", contender.log_tail()))?;
        let start_ms = started.elapsed().as_millis() as u64;
        let member = mongodb.primary().await.unwrap_or(0);
        let parts = [
            ("arm", Some(contender.pid()?)),
            ("mongod", mongodb.pid(member).ok()),
            ("kafka", kafka.pid().ok()),
            ("rig", Some(std::process::id())),
        ];
        let faults = (!scenario.faults.is_empty())
            .then(|| (Arc::clone(&self.testbed), scenario.faults.clone()));
        let live = Live {
            mongodb_uri: &plan.mongodb_uri,
            course,
            workload: &workload,
            topic: &topic,
            format,
            append_clock: kafka.pid().is_ok().then_some(plan.bootstrap.as_str()),
            parts: &parts,
            faults,
            stop: self.stop.clone(),
        };
        let oplog_before = counters::oplog_bytes(&client).await.ok();
        let reading = live::measure(&live, || contender.ensure_alive(), progress).await;
        let reading =
            reading.with_context(|| format!("its log ends with:\n{}", contender.log_tail()))?;
        let oplog_after = counters::oplog_bytes(&client).await.ok();
        let mut counters =
            counters::connections(contender.pid()?, &plan.mongodb_uri, &plan.bootstrap);
        let written = reading.written.operations;
        counters.extend(counters::oplog_growth(oplog_before, oplog_after, written));
        counters.insert("start_ms".to_owned(), json!(start_ms));
        contender.stop().await?;
        topics::delete(&plan.bootstrap, topic.names()).await?;
        if !reading.report.is_exact() {
            tracing::error!("{entry}: {}", reading.report);
        }
        Ok(self.records(round, course, &reading, &counters))
    }

    fn records(
        &self,
        round: u32,
        course: &Course,
        reading: &LiveReading,
        counters: &BTreeMap<String, Value>,
    ) -> Vec<RoundRecord> {
        let phases = course.phases().iter().zip(&reading.phases);
        let recorded = phases.filter(|(phase, read)| phase.is_recorded && read.events != 0);
        let mut records: Vec<_> = recorded
            .map(|(phase, read)| self.record(round, phase, read, reading, counters))
            .collect();
        // The faults of the whole are counted once, and so is what was judged.
        if let Some(last) = records.last_mut() {
            last.faults = faults(&reading.report);
            last.content = Some(reading.report.content);
        }
        records
    }

    fn record(
        &self,
        round: u32,
        phase: &Phase,
        read: &PhaseReading,
        reading: &LiveReading,
        counters: &BTreeMap<String, Value>,
    ) -> RoundRecord {
        let latency = read.latency();
        let arm = read.used.usage.iter().find(|usage| usage.process == "arm");
        RoundRecord {
            cpu_us_per_event: arm.and_then(|arm| arm.cpu_us_per_event),
            peak_rss_mib: arm.and_then(|arm| arm.peak_rss_mib),
            invalid_reason: why_invalid(reading, read, &latency),
            offered_per_s: Some(phase.offered_per_s),
            lateness: Some(lateness(read)),
            series: read.series.clone(),
            stages: read.stages.named(),
            marks: marks(phase, reading),
            usage: read.used.usage.clone(),
            counters: counters
                .clone()
                .into_iter()
                .chain([
                    ("host_stolen".to_owned(), json!(read.used.host_stolen)),
                    ("generator_scheduled_per_s".to_owned(), json!(self.ceiling.scheduled_per_s)),
                    ("generator_built_per_s".to_owned(), json!(self.ceiling.built_per_s)),
                    ("generator_priority_raised".to_owned(), json!(reading.is_raised)),
                    ("events_cut_into_stages".to_owned(), json!(read.stages.events)),
                    ("events_with_a_point_moved".to_owned(), json!(read.stages.moved)),
                    ("server_busy".to_owned(), json!(read.used.mongod_busy)),
                    ("server_waited".to_owned(), json!(read.used.mongod_waited)),
                ])
                .collect(),
            latency: Some(latency),
            ..RoundRecord::new(round, read.events, read.bytes, read.lasted.as_secs_f64())
        }
    }
}

fn why_invalid(
    reading: &LiveReading,
    read: &PhaseReading,
    latency: &LatencyHistogram,
) -> Option<String> {
    if !reading.report.is_exact() {
        return Some(format!(
            "the ledger of the whole load is not clean: {}",
            reading.report.verdict
        ));
    }
    let p99 = Duration::from_secs_f64(latency.percentile_ms(99.0) / 1e3);
    read.lateness.fault(Some(p99)).map(|late| late.to_string())
}

/// The generator's own lateness, as latencies are kept.
fn lateness(read: &PhaseReading) -> LatencyHistogram {
    let mut histogram = LatencyHistogram::new();
    for (delay, times) in read.lateness.own.recorded() {
        histogram.record_n(delay, times);
    }
    histogram
}

/// The marks of the load that lie in a phase, counted from its begin.
fn marks(phase: &Phase, reading: &LiveReading) -> Vec<millrace_results::record::Mark> {
    let (begins, ends) = (phase.begins.as_secs_f64(), phase.ends().as_secs_f64());
    let within = reading.marks.iter().filter(|mark| (begins..ends).contains(&mark.at_s));
    within
        .map(|mark| {
            let mut mark = mark.clone();
            mark.at_s -= begins;
            mark.until_s = mark.until_s.map(|until_s| until_s - begins);
            mark
        })
        .collect()
}

fn collection(workload: &Workload) -> Result<String> {
    match &workload.collections {
        Collections::Named(names) if names.len() == 1 => Ok(names[0].clone()),
        collections @ (Collections::Named(_) | Collections::Numbered { .. }) => {
            anyhow::bail!("a load is followed in one collection, not in {collections}")
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_loadgen::lateness::Lateness;
    use millrace_loadgen::settings::LoadSettings;
    use millrace_loadgen::writer::{WriteConcern, Written};

    use super::*;
    use crate::arm::Format;
    use crate::check::Checker;
    use crate::scenario::Step;

    /// A load of which nothing was written, by a generator that was always so late.
    fn reading(late: Duration) -> LiveReading {
        let steps = [Step { per_s: 10.0, lasts_s: 1.0, warm_up: false }];
        let course = Course::steps(&LoadSettings::default(), &steps).expect("a course");
        let mut checker = Checker::new(&course.load().workload, Format::Bson, 1);
        checker.cut(0);
        let mut lateness = Lateness::default();
        lateness.own.record(late, 1_000);
        LiveReading {
            phases: vec![PhaseReading { lateness: lateness.clone(), ..PhaseReading::default() }],
            report: checker.report(),
            written: Written {
                operations: 0,
                bytes: 0,
                elapsed: Duration::ZERO,
                started_at_operation_time: bson::Timestamp { time: 1, increment: 1 },
                write_concern: WriteConcern::MAJORITY,
                retries: 0,
            },
            lateness,
            is_raised: true,
            marks: Vec::new(),
            is_cut_short: false,
        }
    }

    #[test]
    fn a_late_generator_spoils_the_round() {
        let mut latency = LatencyHistogram::new();
        latency.record(Duration::from_millis(5));
        let judged = |late: Duration| {
            let reading = reading(late);
            why_invalid(&reading, &reading.phases[0], &latency)
        };
        let late = judged(Duration::from_millis(40));
        assert!(late.is_some_and(|reason| reason.contains("late by itself")));
        assert_eq!(judged(Duration::from_micros(300)), None);
    }

    #[test]
    fn a_ledger_that_is_not_clean_spoils_the_round() {
        let mut lost = reading(Duration::ZERO);
        lost.report.verdict.lost = 1;
        let reason = why_invalid(&lost, &lost.phases[0], &LatencyHistogram::new());
        assert!(reason.is_some_and(|reason| reason.contains("1 lost")));
    }

    #[test]
    fn a_mark_stands_in_the_phase_in_which_it_began() {
        let mut marked = reading(Duration::ZERO);
        let mark = |at_s, what: &str| millrace_results::record::Mark {
            at_s,
            until_s: Some(at_s + 2.0),
            what: what.to_owned(),
        };
        marked.marks = vec![mark(1.0, "kill"), mark(6.5, "pause")];
        let (begins, lasts) = (Duration::from_secs(5), Duration::from_secs(5));
        let phase = Phase { offered_per_s: 1.0, begins, lasts, is_recorded: true };
        let [mark] = &marks(&phase, &marked)[..] else { panic!("one mark") };
        assert_eq!((mark.what.as_str(), mark.at_s, mark.until_s), ("pause", 1.5, Some(3.5)));
    }
}
