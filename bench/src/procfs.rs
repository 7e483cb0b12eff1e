//! What Linux says about a process: CPU time, CPU time of its threads, peak memory.
//!
//! ```text
//! /proc/<pid>/stat            pid (name) state … utime stime …     field 14 and 15, ticks
//! /proc/<pid>/task/<tid>/stat the same for one thread
//! /proc/<pid>/status          VmHWM:  12345 kB                     the most memory ever resident
//! ```
//!
//! Ticks are 10 ms, so a share of a window is only as good as the window is long: over 2 s it is within 1 %.

use std::collections::HashMap;
use std::time::Duration;
use std::{fs, io};

/// Length of a tick, ms. `USER_HZ` is 100 on every Linux that we run on (`man 5 proc`, `man 7 time`).
const TICK_MS: u64 = 10;

/// CPU time (user and system) that process `pid` has used since it started.
pub fn process_cpu(pid: u32) -> io::Result<Duration> {
    read_ticks(&format!("/proc/{pid}/stat")).map(ticks_to_duration)
}

/// CPU time that the calling thread has used since it started.
pub fn own_thread_cpu() -> io::Result<Duration> {
    read_ticks("/proc/thread-self/stat").map(ticks_to_duration)
}

/// The most memory of process `pid` that was ever resident at once, KiB.
pub fn peak_rss_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmHWM in the status file"))
}

/// CPU time of every thread of a process at one moment.
#[derive(Debug)]
pub struct ThreadTimes(HashMap<u64, u64>);

impl ThreadTimes {
    /// Reads all threads of `pid`. Threads that end meanwhile are left out.
    pub fn read(pid: u32) -> io::Result<Self> {
        let mut ticks = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Ok(used) = read_ticks(&format!("/proc/{pid}/task/{thread}/stat")) {
                ticks.insert(thread, used);
            }
        }
        Ok(Self(ticks))
    }

    /// CPU time that the busiest thread has used since `earlier`. A new thread counts from zero.
    pub fn busiest_since(&self, earlier: &Self) -> Duration {
        let ticks = self
            .0
            .iter()
            .map(|(thread, ticks)| {
                ticks.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0))
            })
            .max();
        ticks_to_duration(ticks.unwrap_or(0))
    }
}

fn read_ticks(path: &str) -> io::Result<u64> {
    let stat = fs::read_to_string(path)?;
    parse_ticks(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: no CPU time")))
}

/// The name in the second field may hold spaces and brackets, so fields are counted after the last `)`.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn ticks_to_duration(ticks: u64) -> Duration {
    Duration::from_millis(ticks * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets_and_spaces() {
        let stat = "7 (conn 1) x) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0";
        assert_eq!(parse_ticks(stat), Some(150));
        assert_eq!(parse_ticks("7 (x) S 1 2"), None);
        assert_eq!(parse_ticks(""), None);
    }

    #[test]
    fn the_busiest_thread_is_the_one_with_the_largest_growth() {
        let earlier = ThreadTimes(HashMap::from([(1, 500), (2, 10)]));
        let later = ThreadTimes(HashMap::from([(1, 510), (2, 90), (3, 20)]));
        assert_eq!(later.busiest_since(&earlier), Duration::from_millis(800));
    }

    #[test]
    fn this_process_has_threads_and_memory() {
        let pid = std::process::id();
        assert!(peak_rss_kib(pid).is_ok_and(|kib| 100 < kib));
        assert!(!ThreadTimes::read(pid).expect("own threads").0.is_empty());
        process_cpu(pid).expect("own CPU time");
    }
}
