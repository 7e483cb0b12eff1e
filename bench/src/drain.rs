//! A preloaded backlog, drained by one arm.
//!
//! What is measured: see [`crate::backlog`]. The topic is checked against the ledger after the window has closed, and
//! deleted then. An arm that lost, doubled, reordered or spoiled a single event reports no throughput.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use millrace_results::record::{Faults, RoundRecord};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::arm::Format;
use crate::backlog::{Backlog, NodeReading};
use crate::check::Report;
use crate::exhaust::NullReading;
use crate::node_reader;
use crate::null_writer::NullWriting;
use crate::progress::Progress;
use crate::scenario::{Arm, Entry, Scenario};

const MIB: f64 = 1_048_576.0;
/// Records of the null writer for each event of the backlog: a broker takes them some times as fast as a change stream
/// gives events, and the window has to be long enough to judge.
const NULL_WRITER_TURNS: u64 = 3;

/// Lets one arm drain the backlog.
pub async fn measure(
    backlog: &Backlog,
    scenario: &Scenario,
    (entry, round): (&Entry, u32),
    binary: &Path,
    progress: Progress,
) -> Result<RoundRecord> {
    let arm = entry.arm;
    if arm == Arm::NullWriter {
        return null_writer_round(backlog, round, progress).await;
    }
    if arm == Arm::NodeReader {
        let mut plan = backlog.node_plan(binary, Format::Bson, "millrace")?;
        plan.worker_settings.extend(entry.worker_settings.clone());
        let events = backlog.workload.operations;
        let reading = spawn_blocking(move || node_reader::read(&plan, events, round));
        return reading.await.context("the reading panicked")?;
    }
    let Some((rival, format)) = arm.contender() else {
        let reading = backlog.drain_null(progress).await?;
        return Ok(null_round(round, &reading));
    };
    let prefix = format!("millrace_r{round}_{}", arm.name());
    let mut plan = backlog.node_plan(binary, format, &prefix)?;
    plan.connector_settings.extend(scenario.connector.clone());
    plan.worker_settings.extend(entry.worker_settings.clone());
    if scenario.is_encrypted() && !entry.in_the_clear {
        plan = backlog.encrypt(plan)?;
    }
    let reading = backlog.drain_node(rival, &plan, false, progress).await?;
    if !reading.report.is_exact() {
        tracing::error!("{entry}: {}", reading.report);
    }
    Ok(node_round(round, &reading))
}

/// What is recorded of the null reader. Its memory is its receive buffer: it runs inside the rig.
pub fn null_round(round: u32, reading: &NullReading) -> RoundRecord {
    let seconds = reading.window.as_secs_f64();
    RoundRecord {
        cpu_us_per_event: Some(reading.cpu.as_secs_f64() * 1e6 / reading.events as f64),
        peak_rss_mib: Some(reading.memory_bytes as f64 / MIB),
        invalid_reason: reading.invalid_because(),
        counters: BTreeMap::from([
            ("events_first_batch".to_owned(), json!(reading.events_first_batch)),
            ("server_busy".to_owned(), json!(reading.server_busy)),
            ("host_stolen".to_owned(), json!(reading.host_stolen)),
            ("cpu_ms".to_owned(), json!(reading.cpu.as_millis() as u64)),
        ]),
        ..RoundRecord::new(round, reading.events, reading.bytes, seconds)
    }
}

async fn null_writer_round(
    backlog: &Backlog,
    round: u32,
    progress: Progress,
) -> Result<RoundRecord> {
    let topic = format!("millrace_r{round}_{}", Arm::NullWriter.name());
    let records = backlog.workload.operations * NULL_WRITER_TURNS;
    Ok(sink_round(round, &backlog.fill_null(&topic, records, progress).await?))
}

/// What is recorded of the null writer. Its memory is its requests: it runs inside the rig.
pub fn sink_round(round: u32, writing: &NullWriting) -> RoundRecord {
    RoundRecord {
        cpu_us_per_event: Some(writing.cpu.as_secs_f64() * 1e6 / writing.events.max(1) as f64),
        peak_rss_mib: Some(writing.memory_bytes as f64 / MIB),
        invalid_reason: writing.invalid_because(),
        counters: BTreeMap::from([
            ("events_first_batch".to_owned(), json!(writing.events_first_batch)),
            ("events_distinct".to_owned(), json!(writing.records_distinct)),
            ("broker_supplied".to_owned(), json!(writing.broker_supplied)),
            ("writer_waited".to_owned(), json!(writing.writer_waited)),
            ("host_stolen".to_owned(), json!(writing.host_stolen)),
            ("cpu_ms".to_owned(), json!(writing.cpu.as_millis() as u64)),
        ]),
        ..RoundRecord::new(round, writing.events, writing.bytes, writing.window.as_secs_f64())
    }
}

/// What is recorded of the node.
pub fn node_round(round: u32, reading: &NodeReading) -> RoundRecord {
    let seconds = reading.window.as_secs_f64();
    let moved = reading.report.moved;
    let mut counters = reading.counters.clone();
    counters.extend([
        ("events_first_batch".to_owned(), json!(reading.events_first_batch)),
        ("cpu_ms".to_owned(), json!(reading.cpu.as_millis() as u64)),
        ("start_ms".to_owned(), json!(reading.start.as_millis() as u64)),
        ("cpu_system_share".to_owned(), json!(reading.used.arm_system_share)),
        ("server_busy".to_owned(), json!(reading.used.mongod_busy)),
        ("server_waited".to_owned(), json!(reading.used.mongod_waited)),
        ("host_stolen".to_owned(), json!(reading.used.host_stolen)),
    ]);
    RoundRecord {
        cpu_us_per_event: Some(reading.cpu.as_secs_f64() * 1e6 / reading.events.max(1) as f64),
        peak_rss_mib: Some(reading.peak_rss_kib as f64 / 1_024.0),
        faults: faults(&reading.report),
        content: Some(reading.report.content),
        invalid_reason: (moved != 0).then(|| format!("{moved} records in a foreign partition")),
        usage: reading.used.usage.clone(),
        counters,
        ..RoundRecord::new(round, reading.events, reading.report.bytes, seconds)
    }
}

/// The faults of a report as records count them. An unreadable record is a corrupted one.
pub fn faults(report: &Report) -> Faults {
    Faults {
        lost: report.verdict.lost,
        duplicated: report.verdict.duplicated,
        reordered: report.verdict.reordered,
        corrupted: report.verdict.corrupted + report.unreadable,
        unexpected: report.verdict.unexpected,
    }
}
