//! What the kernel says of this process, under the names that Prometheus' own clients use.

use std::fs;

use super::exposition::{Kind, Page};

/// Units of `/proc/self/stat` in a second. The kernel shows every program this number, whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is shown of a process where people look, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessFigures {
    pub(crate) resident_bytes: f64,
    pub(crate) threads: f64,
}

/// `None`: the kernel does not say.
pub(crate) fn figures() -> Option<ProcessFigures> {
    figures_of(&status())
}

/// `/proc/self/status`; empty: the kernel does not say.
pub(super) fn status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

pub(super) fn figures_of(status: &str) -> Option<ProcessFigures> {
    let resident_bytes = field_of(status, "VmRSS:")? * 1_024.0;
    Some(ProcessFigures { resident_bytes, threads: field_of(status, "Threads:")? })
}

/// What there is no file for is left out. `status`: as it was just read.
pub(super) fn write(status: &str, page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        let help = "User and system CPU time of the process, in seconds.";
        page.single("process_cpu_seconds_total", Kind::Counter, help, seconds);
    }
    let uptime = fs::read_to_string("/proc/stat").unwrap_or_default();
    if let Some(seconds) = start_time(&stat, &uptime) {
        let help = "When the process began, in seconds since the Unix epoch.";
        page.single("process_start_time_seconds", Kind::Gauge, help, seconds);
    }
    for (field, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Resident memory of the process, in bytes."),
        ("VmHWM:", "process_resident_memory_max_bytes", "The most that it ever was, in bytes."),
        ("VmSize:", "process_virtual_memory_bytes", "Virtual memory of the process, in bytes."),
    ] {
        if let Some(kib) = field_of(status, field) {
            page.single(name, Kind::Gauge, help, kib * 1_024.0);
        }
    }
    if let Some(threads) = field_of(status, "Threads:") {
        page.single("process_threads", Kind::Gauge, "Threads of the process.", threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being read.
        let open = open.count().saturating_sub(1);
        page.single("process_open_fds", Kind::Gauge, "Open file descriptors.", open as f64);
    }
}

/// The fields behind the name of the program, which may hold anything; the first one is the state.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut times = fields(stat).skip(11).map(str::parse::<f64>);
    Some((times.next()?.ok()? + times.next()?.ok()?) / TICKS_PER_SECOND)
}

/// The time of the start counts from the start of the machine.
fn start_time(stat: &str, machine: &str) -> Option<f64> {
    let since_boot: f64 = fields(stat).nth(19)?.parse().ok()?;
    Some(field_of(machine, "btime ")? + since_boot / TICKS_PER_SECOND)
}

fn field_of(text: &str, field: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_of_any_kind() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4 9 0 0 0 1250 250 0 0 20 0 4 0 4200 1 1";
        assert_eq!(cpu_seconds(stat), Some(15.0));
        assert_eq!(start_time(stat, "cpu 1 2\nbtime 1000\n"), Some(1_042.0));
        assert_eq!((cpu_seconds(""), start_time(stat, "cpu 1\n")), (None, None));
    }

    #[test]
    fn this_process_is_described() {
        let mut page = Page::default();
        write(&status(), &mut page);
        let text = page.into_text();
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(series.len(), 7, "{text}");
        let rss = field_of(&text, "process_resident_memory_bytes").unwrap();
        assert!((1e6..1e11).contains(&rss), "{text}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - field_of(&text, "process_start_time_seconds").unwrap();
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }
}
