//! What the kernel and the container let this process have: files under `/proc` and `/sys`, read as text.
//!
//! ```text
//! /proc/self/limits     Max open files  1024  1048576  files
//! /proc/self/cgroup     0::/system.slice/millrace.service
//! /sys/fs/cgroup/…      memory.max, cpu.max of that group and of those around it
//! ```
//!
//! Only the unified hierarchy (cgroup v2) is known. What there is no file for is not limited.

use std::fs;
use std::path::Path;

const CGROUPS: &str = "/sys/fs/cgroup";

/// A limit of the process; the soft one, which counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    AtMost(u64),
    Unlimited,
}

/// The limit whose line begins with `name`.
pub(super) fn of_process(name: &str) -> Option<Limit> {
    find(&fs::read_to_string("/proc/self/limits").ok()?, name)
}

fn find(limits: &str, name: &str) -> Option<Limit> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match rest.split_ascii_whitespace().next()? {
        "unlimited" => Some(Limit::Unlimited),
        number => number.parse().ok().map(Limit::AtMost),
    }
}

/// The memory of the machine. Bytes.
pub(super) fn machine_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// The least `memory.max` of the process's group and those around it. Bytes.
pub(super) fn group_memory() -> Option<u64> {
    least(|text| text.trim().parse().ok(), "memory.max")
}

/// The least CPU quota, in thousandths of a core.
pub(super) fn group_millicores() -> Option<u64> {
    least(millicores, "cpu.max")
}

/// `cpu.max`: microseconds of CPU time in a period, and that period in microseconds.
fn millicores(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    quota.checked_mul(1_000)?.checked_div(period)
}

fn least(read: impl Fn(&str) -> Option<u64>, file: &str) -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new(CGROUPS);
    let own = root.join(own.trim_start_matches('/'));
    let around = own.ancestors().take_while(|group| group.starts_with(root));
    around.filter_map(|group| read(&fs::read_to_string(group.join(file)).ok()?)).min()
}

/// The release of the kernel.
pub(super) fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 1048576              files
Max locked memory         unlimited            unlimited            bytes
";

    #[test]
    fn the_soft_limit_counts() {
        assert_eq!(find(LIMITS, "Max open files"), Some(Limit::AtMost(1_024)));
        assert_eq!(find(LIMITS, "Max locked memory"), Some(Limit::Unlimited));
        assert_eq!(find(LIMITS, "Max nothing"), None);
        assert_eq!(find("Max open files", "Max open files"), None);
    }

    #[test]
    fn quota_is_a_part_of_its_period() {
        assert_eq!(millicores("150000 100000\n"), Some(1_500));
        for text in ["max 100000\n", "1 0", "", "x y", "18446744073709551615 1"] {
            assert_eq!(millicores(text), None, "{text}");
        }
    }

    #[test]
    fn this_process_has_limits_and_memory() {
        assert!(of_process("Max open files").is_some());
        assert!(machine_memory().is_some_and(|bytes| 1 << 26 < bytes));
        assert!(!kernel().is_empty());
    }
}
