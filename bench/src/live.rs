//! Latency under a load: from the intended time of a write to the arrival of its record at a consumer.
//!
//! ```text
//! intended ── write, w: majority ── change stream ── node ── produce, acks all ── broker ── consumer
//! └────────────────────────────────── one latency, recorded in µs ──────────────────────────────────┘
//!          └─ acknowledged                                  └─ appended      and its stages: crate::stages
//! ```
//!
//! The load is open: a write that is late does not delay the next, and its lateness is part of its latency. The
//! consumer holds a request open at the broker, so polling adds nothing. Both ends are this process, so there is one
//! clock. Duplicates have no latency; every event is held against the ledger. An event belongs to the phase of the
//! load in which it was due, and to the second in which it arrived; what seconds hold is added up, never averaged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millrace_loadgen::lateness::Lateness;
use millrace_loadgen::ledger::Sighting;
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::Workload;
use millrace_loadgen::writer::{OpenLoop, OpenLoopReport, WriteTimes, Written};
use millrace_results::histogram::LatencyHistogram;
use millrace_results::record::{Mark, Second};
use millrace_testbed::Testbed;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::append_times::{AppendTimes, Clocks};
use crate::arm::Format;
use crate::check::{Checker, Report};
use crate::consumer::{Fetched, Topic};
use crate::fault_steps;
use crate::progress::Progress;
use crate::scenario::{Course, FaultStep, Phase};
use crate::stages::{Arrival, Join, StageTally};
use crate::usage::{Found, Watch};

/// Time for the connections to open before the first write is due.
const LEAD_IN: Duration = Duration::from_millis(500);
/// Events that are still missing this long after the last news are lost: longer than an election takes.
const GRACE: Duration = Duration::from_secs(30);
/// How long the topic is watched for more after the last expected event.
const AFTERMATH: Duration = Duration::from_millis(300);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What is followed.
#[derive(Debug)]
pub struct Live<'a> {
    /// Where it is written.
    pub mongodb_uri: &'a str,
    /// When.
    pub course: &'a Course,
    /// What: that of the course, or the same in another database.
    pub workload: &'a Workload,
    /// Where it comes out, and in which form.
    pub topic: &'a Topic,
    /// Form of keys and values.
    pub format: Format,
    /// The bootstrap address, if the broker has the clock of this machine: then it tells when it appended a record.
    pub append_clock: Option<&'a str>,
    /// Processes that are watched.
    pub parts: &'a [(&'static str, Option<u32>)],
    /// What goes wrong meanwhile, and where.
    pub faults: Option<(Arc<Testbed>, Vec<FaultStep>)>,
    /// Ends the load early; what was written by then is judged.
    pub stop: Stop,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct LiveReading {
    /// One for each phase of the course.
    pub phases: Vec<PhaseReading>,
    /// What the ledger says of all of them.
    pub report: Report,
    /// How the writing went.
    pub written: Written,
    /// How far the writers were behind their schedule, over all phases.
    pub lateness: Lateness,
    /// Whether the generator's threads were of a real-time class.
    pub is_raised: bool,
    /// What went wrong on purpose; seconds from the first intended write.
    pub marks: Vec<Mark>,
    /// Whether the load was ended early.
    pub is_cut_short: bool,
}

/// What one phase of the load came to.
#[derive(Clone, Debug, Default)]
pub struct PhaseReading {
    /// First occurrences of events that were due in it.
    pub events: u64,
    /// Keys and values of these.
    pub bytes: u64,
    /// How long it was meant to last, or from the first of these events to the last if that took longer. So an arm that
    /// is always late by as much keeps up, and one that falls further and further behind does not.
    pub lasted: Duration,
    /// Second by second, by arrival.
    pub series: Vec<Second>,
    /// Where the latency of these events went.
    pub stages: StageTally,
    /// What every process used while it lasted.
    pub used: Found,
    /// How far the writes that were due in it began behind their times.
    pub lateness: Lateness,
}

impl PhaseReading {
    /// Of all its events: the sum of its seconds.
    pub fn latency(&self) -> LatencyHistogram {
        let mut sum = LatencyHistogram::new();
        self.series
            .iter()
            .filter_map(|second| second.latency.as_ref())
            .for_each(|second| sum.merge(second));
        sum
    }
}

/// Writes the load while somebody replicates it, and takes the latency of every event. `alive` says whether whoever
/// replicates still does.
pub async fn measure(
    live: &Live<'_>,
    mut alive: impl FnMut() -> Result<()>,
    progress: Progress,
) -> Result<LiveReading> {
    let mut fetched = live.topic.follow().await?;
    // Made before the clock runs: with digests that takes a second for a million events.
    let checker = Checker::new(live.workload, live.format, live.topic.partitions());
    let clocks = Clocks::read();
    let start = Instant::now() + LEAD_IN;
    let operations = live.workload.operations;
    let schedule = Schedule::new(start, live.course.profile_of_load(), operations)?;
    let (times, mut write_times) = mpsc::unbounded_channel();
    let mut writing = live.start_writing(schedule.clone(), times);
    let faulting = live.faults.clone().map(|(testbed, steps)| {
        tokio::spawn(async move { fault_steps::run(&testbed, &steps, start).await })
    });

    let bar = progress.count("live", operations);
    let mut follower = Follower::new(live, schedule, checker);
    let mut written = None;
    let mut news = start;
    loop {
        follower.note_time();
        if let Ok(batch) = tokio::time::timeout(POLL_INTERVAL, fetched.recv()).await {
            let batch = batch.context("the consumer ended early")??;
            news = batch.arrived;
            follower.observe(&batch);
            bar.set_position(operations - follower.checker.missing().min(operations));
        }
        if writing.is_finished() && written.is_none() {
            let report = (&mut writing).await.context("the writers panicked")??;
            follower.checker.cut(report.written.operations);
            written = Some(report);
            news = news.max(Instant::now());
        }
        while let Ok(times) = write_times.try_recv() {
            follower.join.handle_written(times);
        }
        alive()?;
        let patience = if follower.checker.missing() == 0 { AFTERMATH } else { GRACE };
        if written.is_some() && patience < news.elapsed() {
            break;
        }
    }
    bar.finish_and_clear();
    let OpenLoopReport { written, lateness, lateness_by_part, is_raised, .. } =
        written.context("the loop ends after the writers")?;
    let marks = match faulting {
        Some(faulting) => faulting.await.context("the faults panicked")??,
        None => Vec::new(),
    };
    let is_cut_short = written.operations < operations;
    let report = follower.checker.report();
    let appended = live.append_times(&follower.join, clocks).await;
    let mut phases = follower.finish(is_cut_short, appended.as_ref());
    for (phase, lateness) in phases.iter_mut().zip(lateness_by_part) {
        phase.lateness = lateness;
    }
    Ok(LiveReading { phases, report, written, lateness, is_raised, marks, is_cut_short })
}

impl Live<'_> {
    fn start_writing(
        &self,
        schedule: Schedule,
        times: mpsc::UnboundedSender<WriteTimes>,
    ) -> JoinHandle<Result<OpenLoopReport>> {
        let load = self.course.load();
        let open_loop = OpenLoop::new(self.workload, schedule)
            .connections(load.connections)
            .write_concern(load.write_concern)
            .times(times)
            .parts(self.course.phases().iter().rev().skip(1).rev().map(Phase::ends))
            .stop(self.stop.clone());
        let uri = self.mongodb_uri.to_owned();
        tokio::spawn(async move { open_loop.run(&uri, |_| ()).await })
    }

    /// Without them two stages are told as one, which is no reason to give up the run.
    async fn append_times(&self, join: &Join, clocks: Clocks) -> Option<AppendTimes> {
        let bootstrap = self.append_clock?;
        match AppendTimes::read(bootstrap, self.topic, join.offsets(), clocks).await {
            Ok(times) => Some(times),
            Err(error) => {
                tracing::warn!("the broker's append times are not known: {error:#}");
                None
            }
        }
    }
}

/// Sorts arrivals into phases and seconds.
struct Follower<'a> {
    live: &'a Live<'a>,
    schedule: Schedule,
    checker: Checker,
    join: Join,
    tallies: Vec<Tally>,
    /// The phase that it is time for, since it is time for it.
    watching: Option<(usize, Watch)>,
}

#[derive(Debug, Default)]
struct Tally {
    events: u64,
    bytes: u64,
    /// Events that came while the phase lasted, whenever they were due.
    arrived: u64,
    seconds: BTreeMap<u32, Second>,
    /// The first arrival and the last.
    arrivals: Option<(Instant, Instant)>,
    used: Found,
}

impl<'a> Follower<'a> {
    fn new(live: &'a Live<'a>, schedule: Schedule, checker: Checker) -> Self {
        let tallies = live.course.phases().iter().map(|_| Tally::default()).collect();
        let join = Join::new(schedule.clone());
        Self { live, schedule, checker, join, tallies, watching: None }
    }

    /// Watches the processes from the begin of each phase to its end.
    fn note_time(&mut self) {
        let now = Instant::now();
        let offset = now.checked_duration_since(self.schedule.start());
        let course = self.live.course;
        let phase = offset.filter(|offset| *offset < course.lasts());
        let phase = phase.map(|offset| course.phase_at(offset));
        if self.watching.as_ref().map(|(watched, _)| *watched) != phase {
            self.end_watch();
            self.watching = phase.map(|phase| (phase, Watch::begin(self.live.parts)));
        }
    }

    fn end_watch(&mut self) {
        if let Some((phase, mut watch)) = self.watching.take() {
            let tally = &mut self.tallies[phase];
            tally.used = watch.end(tally.arrived);
        }
    }

    fn observe(&mut self, batch: &Fetched) {
        for record in &batch.records {
            if let Some((phase, _)) = &self.watching {
                self.tallies[*phase].arrived += 1;
            }
            match self.checker.observe(batch.partition, record) {
                Some(Sighting::First { index }) => {
                    let key_bytes = record.record.key.as_ref().map_or(0, Vec::len);
                    let value_bytes = record.record.value.as_ref().map_or(0, Vec::len);
                    self.note_first(index, batch.arrived, (key_bytes + value_bytes) as u64);
                    let at = (batch.partition, record.offset);
                    self.join.handle_arrival(index, Arrival { at, received: batch.arrived });
                }
                Some(Sighting::Again | Sighting::Unexpected) | None => {}
            }
        }
    }

    fn note_first(&mut self, index: u64, arrived: Instant, bytes: u64) {
        let start = self.schedule.start();
        let due = self.schedule.due(index);
        let phase = self.live.course.phase_at(due.saturating_duration_since(start));
        let begins = start + self.live.course.phases()[phase].begins;
        let tally = &mut self.tallies[phase];
        tally.events += 1;
        tally.bytes += bytes;
        let (first, last) = tally.arrivals.unwrap_or((arrived, arrived));
        tally.arrivals = Some((first.min(arrived), last.max(arrived)));
        let second = arrived.saturating_duration_since(begins).as_secs() as u32;
        let second = tally.seconds.entry(second).or_insert_with(|| Second {
            second,
            events: 0,
            latency: Some(LatencyHistogram::new()),
        });
        second.events += 1;
        if let Some(latency) = &mut second.latency {
            latency.record(arrived.saturating_duration_since(due));
        }
    }

    fn finish(mut self, is_cut_short: bool, appended: Option<&AppendTimes>) -> Vec<PhaseReading> {
        self.end_watch();
        let course = self.live.course;
        let mut stages = vec![StageTally::default(); self.tallies.len()];
        self.join.cut(appended, &mut stages, |due| course.phase_at(due));
        let phases = course.phases().iter().zip(self.tallies).zip(stages);
        let reading = |((phase, tally), stages): ((&Phase, Tally), StageTally)| {
            let arriving =
                tally.arrivals.map(|(first, last)| last.saturating_duration_since(first));
            PhaseReading {
                events: tally.events,
                bytes: tally.bytes,
                lasted: match arriving.unwrap_or_default() {
                    // Nobody knows in which phase it was ended, so none is taken to be whole.
                    arriving if is_cut_short => arriving,
                    arriving => phase.lasts.max(arriving),
                },
                series: seconds_without_gaps(tally.seconds),
                stages,
                used: tally.used,
                lateness: Lateness::default(),
            }
        };
        phases.map(reading).collect()
    }
}

/// A second in which nothing came is told, not left out.
fn seconds_without_gaps(mut seconds: BTreeMap<u32, Second>) -> Vec<Second> {
    let Some((&last, _)) = seconds.last_key_value() else { return Vec::new() };
    let silent = |second| Second { second, events: 0, latency: None };
    (0..=last).map(|second| seconds.remove(&second).unwrap_or_else(|| silent(second))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_second_is_told() {
        let second = |second| (second, Second { second, events: 3, latency: None });
        let seconds = seconds_without_gaps(BTreeMap::from([second(0), second(2)]));
        let events: Vec<_> = seconds.iter().map(|second| (second.second, second.events)).collect();
        assert_eq!(events, [(0, 3), (1, 0), (2, 3)]);
        assert!(seconds_without_gaps(BTreeMap::new()).is_empty());
    }
}
