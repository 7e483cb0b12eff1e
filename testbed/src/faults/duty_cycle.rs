//! A server that runs a share of the time only: SIGSTOP and SIGCONT in turn.
//!
//! ```text
//! running_percent = 25    ██░░░░░░██░░░░░░██░░░░░░     a period is 20 ms
//! ```
//!
//! It differs from fewer CPUs in that every thread stops at once, as on a machine that is starved by
//! its neighbours. A request waits up to one period.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::detached::Tracked;

const PERIOD: Duration = Duration::from_millis(20);

/// A cycle that goes on until it is ended or dropped.
#[derive(Debug)]
pub(super) struct DutyCycle {
    process: Tracked,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DutyCycle {
    /// Starts the cycle of the process `pid`.
    pub(super) fn start(pid: u32, running_percent: u8) -> Result<Self> {
        ensure!(
            matches!(running_percent, 1..=99),
            "a server that runs {running_percent} % of the time was asked for; give 1 to 99"
        );
        // By its start time as well: a pid alone may be another's when the server has ended.
        let process = Tracked::of("slow server", pid, true)?;
        let ended = Arc::new(AtomicBool::new(false));
        let runs = PERIOD * u32::from(running_percent) / 100;
        let thread = thread::Builder::new().name("testbed-slow".to_owned()).spawn({
            let (process, ended) = (process.clone(), Arc::clone(&ended));
            move || {
                while !ended.load(Ordering::Relaxed) && process.is_running() {
                    // A process that ends between the look and the signal is gone at the next look.
                    let _ = process.signal(Signal::SIGSTOP);
                    thread::sleep(PERIOD - runs);
                    let _ = process.signal(Signal::SIGCONT);
                    thread::sleep(runs);
                }
            }
        });
        let thread = thread.context("start the thread that slows the server")?;
        Ok(Self { process, ended, thread: Some(thread) })
    }

    /// Ends the cycle with the server running.
    pub(super) fn end(mut self) -> Result<()> {
        self.join();
        self.process.signal(Signal::SIGCONT)
    }

    fn join(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for DutyCycle {
    fn drop(&mut self) {
        self.join();
        let _ = self.process.signal(Signal::SIGCONT);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command, time::Instant};

    use super::*;

    /// CPU time of a process in clock ticks: fields 14 and 15 of `/proc/<pid>/stat`.
    fn ticks(pid: u32) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let field = |n: usize| rest.split(' ').nth(n).unwrap().parse::<u64>().unwrap();
        field(11) + field(12)
    }

    #[test]
    fn slowed_process_gets_its_share_of_time_and_all_of_it_afterwards() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let cycle = DutyCycle::start(busy.id(), 25).unwrap();
        let (begun, before) = (Instant::now(), ticks(busy.id()));
        thread::sleep(Duration::from_secs(1));
        let slow = (ticks(busy.id()) - before) as f64 / begun.elapsed().as_secs_f64();
        cycle.end().unwrap();
        let state = fs::read_to_string(format!("/proc/{}/stat", busy.id())).unwrap();
        busy.kill().unwrap();
        busy.wait().unwrap();
        // 100 ticks a second. A loaded machine gives less, never more.
        assert!((1.0..40.0).contains(&slow), "{slow} ticks a second");
        assert!(!state.contains(") T "), "{state}");
        assert!(DutyCycle::start(1, 0).is_err() && DutyCycle::start(1, 100).is_err());
    }
}
