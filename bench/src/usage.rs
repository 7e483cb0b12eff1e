//! What every process of a run uses between two moments: CPU time, memory, context switches.
//!
//! ```text
//! Watch::begin ── first and later looks at /proc ── Watch::end ──► one ProcessUsage each
//!   arm       the process that is measured; its system calls, if asked for
//!   mongod    the primary, kafka: the broker; `rig`: this process, which reads and checks
//! ```
//!
//! A process that ended meanwhile is left out: what it used is not known any more.

use std::time::{Duration, Instant};

use anyhow::Result;
use millrace_results::record::ProcessUsage;

use crate::procfs::{self, MachineTimes, ThreadTimes};
use crate::system_calls::SystemCalls;

/// Processes that are watched.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    machine: MachineTimes,
    processes: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    part: &'static str,
    pid: u32,
    times: procfs::CpuTimes,
    threads: Option<ThreadTimes>,
    switches: procfs::Switches,
    calls: Option<SystemCalls>,
}

/// What [`Watch::end`] found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// One for each process that still ran.
    pub usage: Vec<ProcessUsage>,
    /// Share of the time in which the busiest thread of mongod was on the CPU.
    pub mongod_busy: Option<f64>,
    /// Share of the time in which that thread waited for a CPU that others had.
    pub mongod_waited: Option<f64>,
    /// Part of the arm's CPU time that was spent in the kernel, 0 to 1.
    pub arm_system_share: Option<f64>,
    /// Part of the CPU time that the host kept to itself, 0 to 1.
    pub host_stolen: f64,
    /// CPU time of the arm.
    pub arm_cpu: Option<Duration>,
}

impl Watch {
    /// Takes the first look. A part without a process id runs elsewhere and is left out.
    pub fn begin(parts: &[(&'static str, Option<u32>)]) -> Self {
        let processes = parts
            .iter()
            .filter_map(|&(part, pid)| {
                let pid = pid?;
                Some(Watched {
                    part,
                    pid,
                    times: procfs::cpu_times(pid).ok()?,
                    threads: ThreadTimes::read(pid).ok(),
                    switches: procfs::switches(pid).unwrap_or_default(),
                    calls: None,
                })
            })
            .collect();
        let machine = MachineTimes::read().unwrap_or_default();
        Self { began: Instant::now(), machine, processes }
    }

    /// Counts the arm's system calls too, if that is asked for.
    ///
    /// # Errors
    /// When they cannot be counted here.
    pub fn counting_system_calls(mut self, is_wanted: bool) -> Result<Self> {
        let arm = self.processes.iter_mut().find(|process| process.part == "arm" && is_wanted);
        if let Some(arm) = arm {
            arm.calls = Some(SystemCalls::begin(arm.pid)?);
        }
        Ok(self)
    }

    /// Takes the last look; figures per event are for `events`.
    pub fn end(&mut self, events: u64) -> Found {
        let window_s = self.began.elapsed().as_secs_f64().max(1e-9);
        let machine = MachineTimes::read().unwrap_or(self.machine);
        let mut found =
            Found { host_stolen: machine.stolen_since(self.machine), ..Found::default() };
        for process in &mut self.processes {
            let calls = process.calls.take().and_then(|calls| {
                let counted = calls.finish();
                counted.inspect_err(|error| tracing::warn!("system calls: {error:#}")).ok()
            });
            let Ok(times) = procfs::cpu_times(process.pid) else { continue };
            let used = times.since(process.times);
            let switches = procfs::switches(process.pid).unwrap_or(process.switches);
            if process.part == "mongod" {
                let now = ThreadTimes::read(process.pid).ok();
                let busiest = now.zip(process.threads.as_ref());
                let busiest = busiest.map(|(now, then)| now.busiest_since(then));
                found.mongod_busy = busiest.map(|time| time.ran.as_secs_f64() / window_s);
                found.mongod_waited = busiest.map(|time| time.waited.as_secs_f64() / window_s);
            }
            if process.part == "arm" {
                found.arm_cpu = Some(used.total());
                found.arm_system_share = used.system_share();
            }
            found.usage.push(ProcessUsage {
                process: process.part.to_owned(),
                cpu_us_per_event: (events != 0)
                    .then(|| used.total().as_secs_f64() * 1e6 / events as f64),
                peak_rss_mib: procfs::peak_rss_kib(process.pid)
                    .ok()
                    .map(|kib| kib as f64 / 1_024.0),
                voluntary_switches: Some(
                    switches.voluntary.saturating_sub(process.switches.voluntary),
                ),
                involuntary_switches: Some(
                    switches.involuntary.saturating_sub(process.switches.involuntary),
                ),
                system_calls: calls,
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_process_is_seen_and_a_process_that_is_elsewhere_left_out() {
        let mut watch = Watch::begin(&[("arm", Some(std::process::id())), ("mongod", None)]);
        let began = Instant::now();
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let found = watch.end(10);
        assert_eq!(found.usage.len(), 1);
        let cpu_us = found.usage[0].cpu_us_per_event.expect("events");
        assert!(cpu_us >= 1_000.0, "{cpu_us} µs for each of ten");
        assert!(found.arm_cpu >= Some(Duration::from_millis(10)));
    }
}
