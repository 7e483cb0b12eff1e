//! Runs of a machine that is not there, for tests: their true ratios are known. And a folder for them.
//!
//! ```text
//! machine of a round   drifts: each round half of the last one's state and a new half, 12 % apart
//! null reader          100,000 events/s × machine
//! arm                  null reader × its true ratio × noise of the pair (4 %) × offset of the run (1 %)
//! ```
//!
//! The sizes are what real drain runs on two shared cores show: 8-15 % between rounds, 3-5 % inside a pair.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::histogram::LatencyHistogram;
use crate::machine::{Commit, Machine};
use crate::record::{self, RoundRecord, RunRecord, SCHEMA_VERSION};
use crate::stats::random::Random;

/// What the machine and the arms are like.
#[derive(Clone, Debug)]
pub(crate) struct Synthetic {
    pub(crate) random: Random,
    /// Name and true ratio to the null reader.
    pub(crate) arms: Vec<(&'static str, f64)>,
    pub(crate) rounds: u32,
    pub(crate) machine_noise: f64,
    pub(crate) pair_noise: f64,
    pub(crate) run_noise: f64,
    /// Whether rounds have a histogram; it takes most of the time of a long history.
    pub(crate) latencies: bool,
    pub(crate) machine: f64,
}

impl Synthetic {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
            arms: vec![("node-json", 0.8), ("node-bson", 0.95)],
            rounds: 5,
            machine_noise: 0.12,
            pair_noise: 0.04,
            run_noise: 0.01,
            latencies: true,
            machine: 0.0,
        }
    }

    /// The next run; `number` is its place in the history.
    pub(crate) fn run(&mut self, number: u32) -> RunRecord {
        let offset = self.run_noise * self.random.normal();
        let mut rounds_by_arm: Vec<(String, Vec<RoundRecord>)> = std::iter::once("null-reader")
            .chain(self.arms.iter().map(|(name, _)| *name))
            .map(|name| (name.to_owned(), Vec::new()))
            .collect();
        for round in 1..=self.rounds {
            self.machine = 0.5 * self.machine + 0.5_f64.sqrt() * self.random.normal();
            let null_rate = 100_000.0 * (self.machine_noise * self.machine).exp();
            rounds_by_arm[0].1.push(self.measured(round, null_rate, 0.4));
            for (place, (_, ratio)) in self.arms.iter().enumerate() {
                let noise = self.pair_noise * self.random.normal() + offset;
                let rate = null_rate * ratio * noise.exp();
                rounds_by_arm[place + 1].1.push(self.measured(
                    round,
                    rate,
                    2.4 / ratio * noise.exp(),
                ));
            }
        }
        RunRecord {
            schema_version: SCHEMA_VERSION,
            scenario: "drain".into(),
            question: "how near to the wall?".into(),
            seed: 42,
            started_at: format!("2026-11-{:02}T{:02}:00:00Z", 1 + number / 24, number % 24),
            commit: Commit { describe: format!("{number:012x}"), dirty: false },
            command_line: vec!["millrace".into(), "bench".into(), "run".into(), "drain".into()],
            machine: Machine {
                cpu_model: "a processor".into(),
                cores: 2,
                memory_mib: 24_105,
                kernel: "6.18".into(),
                os: "a system".into(),
            },
            servers: json!({ "origin": "native", "mongodb": { "version": "6.0.27", "cache_gb": 1.0 },
                "kafka": { "version": "4.1.0", "heap_mb": 1024 } }),
            write_concern: "1".into(),
            document_bytes: 1_024,
            rounds: self.rounds,
            settings: json!({ "events": 400_000, "rounds": self.rounds, "load": { "writers": 4 } }),
            cut_short: false,
            bottleneck: None,
            arms: record::arms(rounds_by_arm, Some("null-reader"), None),
        }
    }

    /// `count` runs, numbered from `first`.
    pub(crate) fn history(&mut self, first: u32, count: u32) -> Vec<RunRecord> {
        (first..first + count).map(|number| self.run(number)).collect()
    }

    /// A round of 400,000 events, with latencies that grow with the time it took.
    fn measured(&self, number: u32, events_per_s: f64, cpu_us_per_event: f64) -> RoundRecord {
        let seconds = 400_000.0 / events_per_s;
        let mut latency = self.latencies.then(LatencyHistogram::new);
        for step in 1..=200 {
            let latency_s = seconds * f64::from(step) * 1e-5;
            latency.iter_mut().for_each(|all| all.record(Duration::from_secs_f64(latency_s)));
        }
        RoundRecord {
            cpu_us_per_event: Some(cpu_us_per_event),
            peak_rss_mib: Some(40.0),
            latency,
            ..RoundRecord::new(number, 400_000, 532_000_000, seconds)
        }
    }
}

/// A folder that is made with a test and goes away with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("millrace-results-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
