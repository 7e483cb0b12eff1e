//! The node as a reader that does nothing with what it reads: `millrace standalone --only-read`, in its own process.
//!
//! Held against the null reader on the same backlog it says what the node's I/O driver, framing and resume tokens cost.
//! Events and window are the node's own word: nothing of it leaves the process that could be counted elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millrace_results::record::RoundRecord;
use millrace_testbed::Lifetime;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::arm::NodePlan;
use crate::backlog::STALLED_MAX;
use crate::procfs;

/// How often its CPU time and memory are looked at; the last look before its end counts.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What it prints.
#[derive(Debug, Deserialize)]
struct Reading {
    io_driver: String,
    events: u64,
    event_bytes: u64,
    events_first_batch: u64,
    window_s: f64,
}

/// Reads `events` events by the connector of `plan`. Blocks.
///
/// # Errors
/// When the node fails, or is not done in time.
pub fn read(plan: &NodePlan, events: u64, round: u32) -> Result<RoundRecord> {
    let folder = TempDir::with_prefix("millrace-reader-")
        .context("could not make a temporary folder for the node")?;
    let arguments = ["--only-read", &events.to_string()];
    let mut process = plan.start(folder.path(), &arguments, Lifetime::WithParent)?;
    let began = Instant::now();
    let (mut cpu, mut peak_rss_kib) = (Duration::ZERO, 0);
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        cpu = procfs::process_cpu(process.pid()).map_or(cpu, |now| cpu.max(now));
        peak_rss_kib = procfs::peak_rss_kib(process.pid()).unwrap_or(peak_rss_kib);
        if STALLED_MAX * 4 < began.elapsed() {
            process.kill()?;
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    ensure!(status.success(), "the node ended with {status}:\n{}", process.log_tail(15));
    // Both of its outputs are in its log; what it has to say is the last line.
    let reading: Reading = serde_json::from_str(&process.log_tail(1))
        .context("the node did not say what it read as JSON")?;
    let mut record = RoundRecord::new(round, reading.events, reading.event_bytes, reading.window_s);
    record.cpu_us_per_event = Some(cpu.as_secs_f64() * 1e6 / reading.events.max(1) as f64);
    record.peak_rss_mib = Some(peak_rss_kib as f64 / 1_024.0);
    record.counters.insert("events_first_batch".to_owned(), json!(reading.events_first_batch));
    record.counters.insert("io_driver".to_owned(), json!(reading.io_driver));
    Ok(record)
}
