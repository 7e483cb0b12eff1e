//! What `millrace load` tells about a load, for people and for machines.

use std::time::Duration;

use millrace_loadgen::arrivals::Profile;
use millrace_loadgen::ceiling::Ceiling;
use millrace_loadgen::lateness::{Delays, Late, Lateness};
use millrace_loadgen::pacer::Paced;
use millrace_loadgen::settings::{Load, LoadSettings};
use millrace_loadgen::writer::{ConnectionReport, OpenLoopReport, Written};
use millrace_results::table::thousands;
use serde_json::{Value, json};

/// How the load was made.
pub(super) enum Loaded {
    Backlog(Written),
    Paced { report: Box<OpenLoopReport>, ceiling: Ceiling },
    Nowhere { paced: Paced, elapsed: Duration, ceiling: Ceiling },
}

/// All there is to tell.
pub(super) struct Report<'a> {
    load: &'a Load,
    loaded: Loaded,
    /// It was ended before its end.
    stopped: bool,
    /// With as many operations as there were.
    settings: LoadSettings,
}

impl<'a> Report<'a> {
    pub(super) fn new(load: &'a Load, loaded: Loaded, stop_asked: bool) -> Self {
        let operations = match &loaded {
            Loaded::Backlog(written) => written.operations,
            Loaded::Paced { report, .. } => report.written.operations,
            Loaded::Nowhere { paced, .. } => paced.operations,
        };
        let stopped = stop_asked && operations < load.workload.operations;
        let settings = LoadSettings { operations: Some(operations), ..load.settings.clone() };
        Self { load, loaded, stopped, settings }
    }

    fn operations(&self) -> u64 {
        self.settings.operations.unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        match &self.loaded {
            Loaded::Backlog(written) => written.elapsed,
            Loaded::Paced { report, .. } => report.written.elapsed,
            Loaded::Nowhere { elapsed, .. } => *elapsed,
        }
    }

    fn written(&self) -> Option<&Written> {
        match &self.loaded {
            Loaded::Backlog(written) => Some(written),
            Loaded::Paced { report, .. } => Some(&report.written),
            Loaded::Nowhere { .. } => None,
        }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        match &self.loaded {
            Loaded::Backlog(_) => None,
            Loaded::Paced { ceiling, .. } | Loaded::Nowhere { ceiling, .. } => Some(*ceiling),
        }
    }

    fn lateness(&self) -> Option<&Lateness> {
        match &self.loaded {
            Loaded::Backlog(_) => None,
            Loaded::Paced { report, .. } => Some(&report.lateness),
            Loaded::Nowhere { paced, .. } => Some(&paced.lateness),
        }
    }

    fn paced(&self) -> Option<&Paced> {
        match &self.loaded {
            Loaded::Backlog(_) => None,
            Loaded::Paced { report, .. } => Some(&report.paced),
            Loaded::Nowhere { paced, .. } => Some(paced),
        }
    }

    /// Each connection of a paced load.
    fn connections(&self) -> &[ConnectionReport] {
        match &self.loaded {
            Loaded::Backlog(_) | Loaded::Nowhere { .. } => &[],
            Loaded::Paced { report, .. } => &report.connections,
        }
    }

    fn fault(&self) -> Option<Late> {
        self.lateness().and_then(|lateness| lateness.fault(None))
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let seconds = self.elapsed().as_secs_f64().max(1e-9);
        let per_s = thousands((self.operations() as f64 / seconds) as u64);
        let count = thousands(self.operations());
        let mut text = match self.written() {
            Some(written) => format!(
                "{count} writes to {}.{} in {seconds:.1} s: {per_s}/s, {:.1} MB/s, w:{}\n",
                self.load.workload.database,
                self.load.workload.collections,
                written.bytes as f64 / seconds / 1e6,
                written.write_concern
            ),
            None => format!("{count} operations to nowhere in {seconds:.1} s: {per_s}/s\n"),
        };
        if self.stopped {
            let asked = thousands(self.load.workload.operations);
            text.push_str(&format!("cut short: {asked} were asked for\n"));
        }
        if let Some(lateness) = self.lateness() {
            text.push_str(&format!(
                "behind their times: {}; {} more than 10 ms\nthe generator's own part: {}\n",
                percentiles(&lateness.behind),
                thousands(lateness.late_count()),
                percentiles(&lateness.own)
            ));
        }
        if let Some(Ceiling { scheduled_per_s, built_per_s }) = self.ceiling() {
            text.push_str(&format!(
                "ceiling of the generator on one core: {}/s scheduled, {}/s with documents\n",
                thousands(scheduled_per_s as u64),
                thousands(built_per_s as u64)
            ));
        }
        if let Some(fault) = self.fault() {
            text.push_str(&format!("INVALID: {fault}\n"));
        }
        if self.written().is_some() {
            let settings = self.settings.to_toml();
            text.push_str(&format!("\n# settings that this load is checked with\n{settings}"));
        }
        text
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let seconds = self.elapsed().as_secs_f64();
        let written = self.written();
        let start = written.map(|written| written.started_at_operation_time);
        let fault = self.fault();
        json!({
            "operations": self.operations(),
            "operations_per_s": self.operations() as f64 / seconds.max(1e-9),
            "bytes": written.map(|written| written.bytes),
            "seconds": seconds,
            "stopped": self.stopped,
            "write_concern": written.map(|written| written.write_concern.to_string()),
            "retries": written.map(|written| written.retries),
            "seed": self.load.workload.seed,
            "database": self.load.workload.database,
            "start_at_operation_time": start.map(|at| json!({ "t": at.time, "i": at.increment })),
            "peak_per_s": self.load.profile.as_ref().map(Profile::peak).map(|peak| peak.as_per_s()),
            "lateness_ms": self.lateness().map(|lateness| delays_json(&lateness.behind)),
            "late_count": self.lateness().map(Lateness::late_count),
            "own_lateness_ms": self.lateness().map(|lateness| delays_json(&lateness.own)),
            "valid": self.lateness().map(|_| fault.is_none()),
            "invalid_because": fault.map(|fault| fault.to_string()),
            "pacer": self.paced().map(|paced| json!({
                "release_ms": delays_json(&paced.lateness.own),
                "spun_s": paced.spun.as_secs_f64(),
            })),
            "connections": self.connections().iter().map(connection_json).collect::<Vec<_>>(),
            "ceiling": self.ceiling().map(|ceiling| json!({
                "scheduled_per_s": ceiling.scheduled_per_s,
                "built_per_s": ceiling.built_per_s,
            })),
            "settings": self.settings,
        })
    }
}

fn connection_json(connection: &ConnectionReport) -> Value {
    let ConnectionReport { operations, retries, lateness, .. } = connection;
    json!({
        "operations": operations,
        "retries": retries,
        "lateness_ms": delays_json(&lateness.behind),
        "own_lateness_ms": delays_json(&lateness.own),
    })
}

fn percentiles(delays: &Delays) -> String {
    let ms = |percent: f64| delays.percentile(percent).as_secs_f64() * 1e3;
    let max = delays.max().as_secs_f64() * 1e3;
    format!(
        "p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, at most {max:.3} ms",
        ms(50.0),
        ms(99.0),
        ms(99.9)
    )
}

fn delays_json(delays: &Delays) -> Value {
    let ms = |percent: f64| delays.percentile(percent).as_secs_f64() * 1e3;
    json!({
        "p50": ms(50.0),
        "p99": ms(99.0),
        "p99_9": ms(99.9),
        "max": delays.max().as_secs_f64() * 1e3,
    })
}
