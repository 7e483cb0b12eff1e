//! A preloaded backlog, drained by every arm in turn.
//!
//! ```text
//! round 1   null-reader  node-json    node-bson        every arm reads the same events
//! round 2   node-json    node-bson    null-reader      from the same place of the oplog
//! round 3   node-bson    null-reader  node-json
//! ```
//!
//! Why interleaved: the speed of a machine drifts by the minute, with its neighbours, its caches and its clock. So an
//! arm is only compared with the null reader of its own round, and the order rotates, so that no arm is always the one
//! that finds a cold cache. The ratio of an arm is the median over the rounds.
//!
//! A round in which the null reader is no wall (mongod was not busy: a reader that was too slow, or a host that gave
//! the CPU to a neighbour) has no ratios. It is kept with its reason, and another is run, up to twice the rounds but
//! one.
//!
//! The first rounds warm up and are not recorded: the broker's machine code is compiled while it works, which takes as
//! much CPU again as the work (17 µs per event in the first round, 6 µs in the fourth).
//!
//! What is measured: see [`crate::backlog`]. Every topic is checked against the ledger after its window has closed, and
//! deleted then. An arm that lost, doubled, reordered or spoiled a single event reports no throughput.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use millrace_results::machine::{self, Commit, Machine};
use millrace_results::record::{self, Faults, RoundRecord, RunRecord, SCHEMA_VERSION};
use millrace_results::utc;
use millrace_testbed::{Servers, Testbed};
use serde_json::json;

use crate::backlog::{Backlog, NodeReading};
use crate::check::Report;
use crate::exhaust::NullReading;
use crate::null_writer::NullWriting;
use crate::progress::Progress;
use crate::scenario::{Arm, Scenario};

const MIB: f64 = 1_048_576.0;
/// Records of the null writer for each event of the backlog: a broker takes them some times as fast as a change stream
/// gives events, and the window has to be long enough to judge.
const NULL_WRITER_TURNS: u64 = 3;

/// A run of a scenario.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its settings.
    pub scenario: Scenario,
    /// Where the servers come from.
    pub servers: Servers,
    /// The binary `millrace`.
    pub binary: PathBuf,
}

/// Runs all rounds of all arms. Nothing is stored.
pub async fn run(run: &Run, progress: Progress) -> Result<RunRecord> {
    let Run { scenario, servers, .. } = run;
    let started_at = utc::text(SystemTime::now());
    let waiting = progress.wait("servers");
    let testbed = Testbed::up(scenario.plan(), *servers).await?;
    waiting.finish_and_clear();
    let backlog = Backlog::write(&testbed, scenario.workload(), progress).await?;
    tracing::info!(
        events = backlog.written.operations,
        seconds = backlog.written.elapsed.as_secs_f64(),
        "backlog loaded"
    );

    let rounds_by_arm = run_rounds(run, &backlog, progress).await?;
    Ok(RunRecord {
        schema_version: SCHEMA_VERSION,
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.seed,
        started_at,
        commit: Commit::of(Path::new(".")),
        command_line: machine::command_line(),
        machine: Machine::here(),
        servers: serde_json::to_value(testbed.facts())?,
        write_concern: backlog.written.write_concern.to_string(),
        document_bytes: backlog.workload.document.bytes() as u32,
        rounds: scenario.rounds,
        settings: serde_json::to_value(scenario)?,
        cut_short: false,
        bottleneck: None,
        arms: record::arms(
            rounds_by_arm,
            Some(Arm::NullReader.name()),
            Some(Arm::NullWriter.name()),
        ),
    })
}

async fn run_rounds(
    Run { scenario, binary, .. }: &Run,
    backlog: &Backlog,
    progress: Progress,
) -> Result<Vec<(String, Vec<RoundRecord>)>> {
    let mut rounds_by_arm: Vec<(String, Vec<RoundRecord>)> =
        scenario.arms.iter().map(|arm| (arm.name().to_owned(), Vec::new())).collect();
    let last_round = scenario.warm_up_rounds + 2 * scenario.rounds - 1;
    let (mut round, mut walls) = (0, 0);
    while walls < scenario.rounds && round < last_round {
        round += 1;
        let mut is_wall = scenario.warm_up_rounds < round;
        for place in order_of(round, scenario.arms.len()) {
            let arm = scenario.arms[place];
            let measured = measure(backlog, arm, round, binary, progress).await;
            let measured =
                measured.with_context(|| format!("round {round} of {} failed", arm.name()))?;
            is_wall &= arm != Arm::NullReader || measured.counts();
            // A fault counts whenever it happens.
            if scenario.warm_up_rounds < round || !measured.faults.is_none() {
                rounds_by_arm[place].1.push(measured);
            }
        }
        walls += u32::from(is_wall);
    }
    Ok(rounds_by_arm)
}

/// The places of the arms in a round: each round begins one further.
fn order_of(round: u32, arms: usize) -> impl Iterator<Item = usize> {
    (0..arms).map(move |step| (step + round as usize - 1) % arms)
}

async fn measure(
    backlog: &Backlog,
    arm: Arm,
    round: u32,
    binary: &Path,
    progress: Progress,
) -> Result<RoundRecord> {
    if arm == Arm::NullWriter {
        let measured = null_writer_round(backlog, round, progress).await?;
        log(arm, &measured);
        return Ok(measured);
    }
    let Some((rival, format)) = arm.contender() else {
        let reading = backlog.drain_null(progress).await?;
        let measured = null_round(round, &reading);
        log(arm, &measured);
        return Ok(measured);
    };
    let prefix = format!("millrace_r{round}_{}", arm.name());
    let plan = backlog.node_plan(binary, format, &prefix)?;
    let reading = backlog.drain_node(rival, &plan, false, progress).await?;
    if !reading.report.is_exact() {
        tracing::error!("{}: {}", arm.name(), reading.report);
    }
    let measured = node_round(round, &reading);
    log(arm, &measured);
    Ok(measured)
}

fn log(arm: Arm, round: &RoundRecord) {
    let rate = round.events_per_s().round();
    tracing::info!(round = round.round, arm = arm.name(), events_per_s = rate, "arm done");
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
    RoundRecord {
        cpu_us_per_event: Some(reading.cpu.as_secs_f64() * 1e6 / reading.events.max(1) as f64),
        peak_rss_mib: Some(reading.peak_rss_kib as f64 / 1_024.0),
        faults: faults(&reading.report),
        invalid_reason: (moved != 0).then(|| format!("{moved} records in a foreign partition")),
        usage: reading.used.usage.clone(),
        counters: BTreeMap::from([
            ("events_first_batch".to_owned(), json!(reading.events_first_batch)),
            ("cpu_ms".to_owned(), json!(reading.cpu.as_millis() as u64)),
            ("start_ms".to_owned(), json!(reading.start.as_millis() as u64)),
            ("cpu_system_share".to_owned(), json!(reading.used.arm_system_share)),
            ("server_busy".to_owned(), json!(reading.used.mongod_busy)),
            ("host_stolen".to_owned(), json!(reading.used.host_stolen)),
        ]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_is_first_once_and_none_is_left_out() {
        let orders: Vec<Vec<_>> = (1..=3).map(|round| order_of(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }
}
