//! What Linux says about a process: CPU time, CPU time of its threads, peak memory.
//!
//! ```text
//! /proc/<pid>/stat            pid (name) state … utime stime …     field 14 and 15, ticks
//! /proc/<pid>/task/<tid>/stat the same for one thread
//! /proc/<pid>/status          VmHWM:  12345 kB                     the most memory ever resident
//! /proc/<pid>/net/tcp, fd     … 0100007F:6989 01 … inode          sockets, and which of them are the process's
//! /proc/stat                  cpu user nice system idle iowait irq softirq steal …        the whole machine, ticks
//! ```
//!
//! Ticks are 10 ms, so a share of a window is only as good as the window is long: over 2 s it is within 1 %.

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use std::{fs, io};

/// Length of a tick, ms. `USER_HZ` is 100 on every Linux that we run on (`man 5 proc`, `man 7 time`).
const TICK_MS: u64 = 10;

/// CPU time that process `pid` has used since it started.
pub fn cpu_times(pid: u32) -> io::Result<CpuTimes> {
    read_times(&format!("/proc/{pid}/stat"))
}

/// CPU time (user and system) that process `pid` has used since it started.
pub fn process_cpu(pid: u32) -> io::Result<Duration> {
    cpu_times(pid).map(CpuTimes::total)
}

/// CPU time that the calling thread has used since it started.
pub fn own_thread_cpu() -> io::Result<Duration> {
    read_times("/proc/thread-self/stat").map(CpuTimes::total)
}

/// The most memory of process `pid` that was ever resident at once, KiB.
pub fn peak_rss_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmHWM in the status file"))
}

/// CPU time, ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    user: u64,
    system: u64,
}

impl CpuTimes {
    /// What was used after `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Both together.
    pub fn total(self) -> Duration {
        Duration::from_millis((self.user + self.system) * TICK_MS)
    }

    /// Part that was spent in the kernel, 0 to 1. `None` of nothing.
    pub fn system_share(self) -> Option<f64> {
        let total = self.user + self.system;
        (total != 0).then(|| self.system as f64 / total as f64)
    }
}

/// How often a process stood aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// It waited for something.
    pub voluntary: u64,
    /// Its time was up.
    pub involuntary: u64,
}

/// Context switches of all threads that `pid` has now. Those of threads that have ended are lost.
pub fn switches(pid: u32) -> io::Result<Switches> {
    let mut sum = Switches::default();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended meanwhile.
        let Ok(status) = fs::read_to_string(entry?.path().join("status")) else { continue };
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        sum.voluntary += number("voluntary_ctxt_switches:");
        sum.involuntary += number("nonvoluntary_ctxt_switches:");
    }
    Ok(sum)
}

/// Open connections of process `pid` to any of `ports`.
pub fn connections(pid: u32, ports: &[u16]) -> io::Result<u32> {
    let mut own = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor may be closed meanwhile.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        let inode =
            target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        own.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    let mut open = 0;
    for table in ["tcp", "tcp6"] {
        // Without IPv6 there is no second table.
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let peers = table.lines().filter_map(parse_connection);
        let ours = peers.filter(|(port, inode)| ports.contains(port) && own.contains(inode));
        open += ours.count() as u32;
    }
    Ok(open)
}

/// The peer's port and the inode of an established connection.
fn parse_connection(line: &str) -> Option<(u16, u64)> {
    const ESTABLISHED: &str = "01";
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (_, port) = fields.get(2)?.rsplit_once(':')?;
    let is_open = *fields.get(3)? == ESTABLISHED;
    let inode = fields.get(9)?.parse().ok()?;
    is_open.then_some((u16::from_str_radix(port, 16).ok()?, inode))
}

/// What the machine's CPUs did up to one moment, ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineTimes {
    all: u64,
    stolen: u64,
}

impl MachineTimes {
    /// Reads them.
    pub fn read() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::parse(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/stat: no CPU time"))
    }

    /// The first eight fields of the first line: what comes after them is in them already (`man 5 proc`).
    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks = fields.split_ascii_whitespace().take(8).map(|field| field.parse().ok());
        let ticks: Vec<u64> = ticks.collect::<Option<_>>()?;
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    /// Part of the time since `earlier` in which the host gave this machine no CPU that it wanted, 0 to 1.
    pub fn stolen_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.stolen.saturating_sub(earlier.stolen) as f64 / all as f64
    }
}

/// What a thread had of the CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTime {
    /// It ran.
    pub ran: Duration,
    /// It could have run, and others did: time in the queue of a CPU. Zero where the kernel keeps no account of it.
    pub waited: Duration,
}

/// Times of every thread of a process at one moment.
#[derive(Debug)]
pub struct ThreadTimes(HashMap<u64, ThreadTime>);

impl ThreadTimes {
    /// Reads all threads of `pid`. Threads that end meanwhile are left out.
    pub fn read(pid: u32) -> io::Result<Self> {
        let mut times = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let folder = format!("/proc/{pid}/task/{thread}");
            let exact = fs::read_to_string(format!("{folder}/schedstat"));
            let time = match exact.ok().as_deref().and_then(parse_schedstat) {
                Some(time) => Some(time),
                None => read_times(&format!("{folder}/stat"))
                    .map(|times| ThreadTime { ran: times.total(), waited: Duration::ZERO })
                    .ok(),
            };
            times.extend(time.map(|time| (thread, time)));
        }
        Ok(Self(times))
    }

    /// What the thread that ran the most since `earlier` had since then. A new thread counts from zero.
    pub fn busiest_since(&self, earlier: &Self) -> ThreadTime {
        let since = |(thread, now): (&u64, &ThreadTime)| {
            let then = earlier.0.get(thread).copied().unwrap_or_default();
            let (ran, waited) =
                (now.ran.saturating_sub(then.ran), now.waited.saturating_sub(then.waited));
            ThreadTime { ran, waited }
        };
        self.0.iter().map(since).max_by_key(|time| time.ran).unwrap_or_default()
    }
}

/// Nanoseconds on a CPU, nanoseconds in its queue, turns (the kernel's `sched-stats.rst`).
fn parse_schedstat(text: &str) -> Option<ThreadTime> {
    let mut fields =
        text.split_ascii_whitespace().map(|field| field.parse().map(Duration::from_nanos));
    Some(ThreadTime { ran: fields.next()?.ok()?, waited: fields.next()?.ok()? })
}

fn read_times(path: &str) -> io::Result<CpuTimes> {
    let stat = fs::read_to_string(path)?;
    parse_times(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: no CPU time")))
}

/// The name in the second field may hold spaces and brackets, so fields are counted after the last `)`.
fn parse_times(stat: &str) -> Option<CpuTimes> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user = fields.next()?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some(CpuTimes { user, system })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets_and_spaces() {
        let stat = "7 (conn 1) x) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0";
        let times = parse_times(stat).expect("both times");
        assert_eq!(times.total(), Duration::from_millis(1_500));
        assert_eq!(times.system_share(), Some(0.2));
        assert_eq!(parse_times("7 (x) S 1 2"), None);
        assert_eq!(parse_times(""), None);
    }

    #[test]
    fn the_busiest_thread_is_the_one_with_the_largest_growth() {
        let time = |ran, waited| ThreadTime {
            ran: Duration::from_millis(ran),
            waited: Duration::from_millis(waited),
        };
        let earlier = ThreadTimes(HashMap::from([(1, time(5_000, 900)), (2, time(100, 10))]));
        let later = ThreadTimes(HashMap::from([
            (1, time(5_100, 990)),
            (2, time(900, 60)),
            (3, time(200, 0)),
        ]));
        assert_eq!(later.busiest_since(&earlier), time(800, 50));
    }

    #[test]
    fn waiting_for_a_cpu_is_told_from_running() {
        let time = parse_schedstat("1500000 250000 7\n").expect("three numbers");
        assert_eq!(time.ran, Duration::from_micros(1_500));
        assert_eq!(time.waited, Duration::from_micros(250));
        assert_eq!(parse_schedstat("1500000"), None);
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn a_connection_is_counted_at_the_end_that_asked() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let count = || connections(std::process::id(), &[port]).expect("own sockets");
        assert_eq!(count(), 0);
        let held = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
        assert_eq!(count(), 1);
        drop(held);
        assert_eq!(count(), 0);
        assert_eq!(parse_connection("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn time_that_the_host_took_is_a_part_of_all_time() {
        let earlier =
            MachineTimes::parse("cpu  10 0 10 70 0 0 0 10 5 5\ncpu0 1 2").expect("fields");
        let later = MachineTimes::parse("cpu  110 0 10 140 0 0 0 40 9 9\n").expect("fields");
        assert_eq!(later.stolen_since(earlier), 0.15);
        assert_eq!(MachineTimes::parse("cpu  1 2 3\n"), None);
        assert!(MachineTimes::read().expect("this machine's").all > 0);
    }

    #[test]
    fn this_process_has_threads_and_memory() {
        let pid = std::process::id();
        assert!(peak_rss_kib(pid).is_ok_and(|kib| 100 < kib));
        assert!(!ThreadTimes::read(pid).expect("own threads").0.is_empty());
        process_cpu(pid).expect("own CPU time");
        assert!(switches(pid).is_ok_and(|switches| switches != Switches::default()));
    }
}
