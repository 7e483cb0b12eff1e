//! Latency under a steady load: from the intended time of a write to the arrival of its record at a consumer.
//!
//! ```text
//! intended ── write, w: majority ── change stream ── node ── produce, acks all ── broker ── consumer
//! └────────────────────────────────── one latency, recorded in µs ──────────────────────────────────┘
//! ```
//!
//! The load is open: a write that is late does not delay the next, and its lateness is part of its latency. The
//! consumer holds a request open at the broker, so polling adds nothing. Both ends are this process, so there is one
//! clock. Duplicates have no latency; every event is held against the ledger.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millrace_loadgen::lateness::Lateness;
use millrace_loadgen::ledger::Sighting;
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::workload::Workload;
use millrace_loadgen::writer::{Written, write_open_loop};
use millrace_results::histogram::LatencyHistogram;

use crate::arm::{Format, Node};
use crate::check::{Checker, Report};
use crate::consumer::{Fetched, Topic};
use crate::progress::Progress;

/// Time for the connections to open before the first write is due.
const LEAD_IN: Duration = Duration::from_millis(500);
/// Events that are still missing this long after the last write are lost.
const GRACE: Duration = Duration::from_secs(10);
/// How long the topic is watched for more after the last expected event.
const AFTERMATH: Duration = Duration::from_millis(300);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Clone, Debug)]
pub struct LiveReading {
    /// Of the first occurrence of every event.
    pub latency: LatencyHistogram,
    /// What the ledger says.
    pub report: Report,
    /// How the writing went.
    pub written: Written,
    /// How far the writers were behind their schedule.
    pub lateness: Lateness,
}

/// Writes `workload` at `rate_per_s` while `node` replicates it to `topic`, and takes the latency of every event.
pub async fn measure(
    mongodb_uri: &str,
    workload: &Workload,
    rate_per_s: f64,
    (topic, format): (&Topic, Format),
    node: &mut Node,
    progress: Progress,
) -> Result<LiveReading> {
    let mut fetched = topic.follow().await?;
    let schedule_start = Instant::now() + LEAD_IN;
    let schedule = Schedule::constant(schedule_start, rate_per_s)?;
    let mut writing = tokio::spawn({
        let (uri, workload) = (mongodb_uri.to_owned(), workload.clone());
        async move { write_open_loop(&uri, &workload, rate_per_s, schedule_start).await }
    });

    let bar = progress.count("live", workload.operations);
    let mut checker = Checker::new(workload, format, topic.partitions());
    let mut latency = LatencyHistogram::new();
    let mut written = None;
    let mut news = Instant::now();
    loop {
        if let Ok(batch) = tokio::time::timeout(POLL_INTERVAL, fetched.recv()).await {
            let batch = batch.context("the consumer ended early")??;
            news = batch.arrived;
            observe(&batch, &mut checker, &schedule, &mut latency);
            bar.set_position(workload.operations - checker.missing());
        }
        if writing.is_finished() && written.is_none() {
            written = Some((&mut writing).await.context("the writers panicked")??);
            news = Instant::now();
        }
        node.ensure_alive()?;
        let patience = if checker.missing() == 0 { AFTERMATH } else { GRACE };
        if written.is_some() && patience < news.elapsed() {
            break;
        }
    }
    bar.finish_and_clear();
    let (written, lateness) = written.context("the loop ends after the writers")?;
    Ok(LiveReading { latency, report: checker.report(), written, lateness })
}

fn observe(
    batch: &Fetched,
    checker: &mut Checker,
    schedule: &Schedule,
    latency: &mut LatencyHistogram,
) {
    for record in &batch.records {
        match checker.observe(batch.partition, record) {
            Some(Sighting::First { index }) => {
                latency.record(schedule.lateness(index, batch.arrived));
            }
            Some(Sighting::Again | Sighting::Unexpected) | None => {}
        }
    }
}
