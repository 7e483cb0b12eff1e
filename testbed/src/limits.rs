//! What one server process may use: CPUs and memory, and what came of it.
//!
//! ```text
//!                   CPUs                              memory
//!  native           affinity, set before exec         a cgroup (v2 or v1) if one may be made
//!  container        cpuset of its cgroup              limit of its cgroup, no swap on top
//!  external         not ours                          not ours
//! ```
//!
//! Memory is never bounded by `RLIMIT_AS`: a Java machine reserves many times what it touches, so
//! such a limit would end it without it having used too much. Where no cgroup may be made the limit
//! is not kept, and the record says so. Sizes are in MiB.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// What a server is given; the default is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The CPUs that it may run on, by number; empty for all.
    pub cpus: Vec<u16>,
    /// The memory that it may touch, page cache of its files included, in MiB.
    pub memory_mb: Option<u32>,
}

/// What a server has in fact, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The CPUs that it may run on, as the kernel writes them: `0-1`. `None` if not ours.
    pub cpus: Option<String>,
    /// The memory that it may touch, in MiB; `None` for no limit.
    pub memory_mb: Option<u32>,
    /// Why a limit that was asked for is not kept.
    pub note: Option<String>,
}

impl Limits {
    /// Sets the CPUs that a process may run on.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = u16>) -> Self {
        self.cpus = cpus.into_iter().collect();
        self
    }

    /// Sets the memory that a process may touch, in MiB.
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.memory_mb = Some(memory_mb);
        self
    }

    /// As a cpuset is written: `0,2`.
    pub(crate) fn cpu_list(&self) -> Option<String> {
        let numbers: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        (!numbers.is_empty()).then(|| numbers.join(","))
    }

    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.memory_mb.map(|mb| u64::from(mb) << 20)
    }

    /// Refuses what this machine cannot give, before anything starts.
    pub(crate) fn check(&self, least_memory_mb: u32, what: &str) -> Result<()> {
        let there = allowed_cpus()?;
        for cpu in &self.cpus {
            ensure!(
                there.contains(cpu),
                "{what} is to run on CPU {cpu}, but this process may use {there:?}"
            );
        }
        if let Some(memory_mb) = self.memory_mb {
            ensure!(
                memory_mb >= least_memory_mb,
                "{what} is to have {memory_mb} MiB of memory, but with its heap or cache it takes \
                 {least_memory_mb} or more"
            );
        }
        Ok(())
    }
}

/// The CPUs of a process as the kernel writes them, such as `0-1`.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpus_of(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(line.with_context(|| format!("{path} names no CPUs"))?.trim().to_owned())
}

/// The CPUs that this process may run on, lowest first.
///
/// # Errors
/// When the kernel does not tell.
pub fn allowed_cpus() -> Result<Vec<u16>> {
    parse_cpu_list(&cpus_of(std::process::id())?)
}

/// `0-2,5` is 0, 1, 2 and 5.
fn parse_cpu_list(text: &str) -> Result<Vec<u16>> {
    let mut cpus = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number =
            |text: &str| text.parse::<u16>().with_context(|| format!("{text:?} is no CPU"));
        cpus.extend(number(first)?..=number(last)?);
    }
    Ok(cpus)
}

/// A cgroup of our own with a limit on memory. Removed when dropped, after the process in it.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Makes a group that may touch `bytes`.
    ///
    /// # Errors
    /// When there is no memory controller here, or groups may not be made.
    pub(crate) fn create(bytes: u64) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (parent, limits) = memory_controller()?;
        remove_abandoned(&parent);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("millrace-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make the cgroup {}", path.display()))?;
        let group = Self { path };
        for (file, required) in limits {
            let path = group.path.join(file);
            let value = if *file == "memory.swap.max" { 0 } else { bytes };
            let written = fs::write(&path, value.to_string());
            // Limits of swap are not there on a kernel that does not account for swap.
            if *required {
                written.with_context(|| format!("write {}", path.display()))?;
            }
        }
        Ok(group)
    }

    /// Where a process writes `0` to join.
    pub(crate) fn entrance(&self) -> Result<File> {
        let path = self.path.join("cgroup.procs");
        OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that was just waited for may still be leaving.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(crate::process::POLL);
        }
        tracing::warn!(group = %self.path.display(), "the cgroup cannot be removed");
    }
}

/// Removes groups of processes that were killed before they could. The kernel keeps those in use.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("millrace-")) else {
            continue;
        };
        let pid = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The folder under which groups are made, and the files that take the limit.
fn memory_controller() -> Result<(PathBuf, &'static [(&'static str, bool)])> {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.join("memory.limit_in_bytes").is_file() {
        const V1: &[(&str, bool)] =
            &[("memory.limit_in_bytes", true), ("memory.memsw.limit_in_bytes", false)];
        return Ok((v1.to_owned(), V1));
    }
    const V2: &[(&str, bool)] = &[("memory.max", true), ("memory.swap.max", false)];
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
    ensure!(
        controllers.split_whitespace().any(|name| name == "memory"),
        "no cgroup with a memory controller is mounted at {}",
        root.display()
    );
    Ok((root.to_owned(), V2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_list_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_cpu_list("0").unwrap(), [0]);
        assert_eq!(parse_cpu_list("0-2,5").unwrap(), [0, 1, 2, 5]);
        assert!(parse_cpu_list("").is_err() && parse_cpu_list("a-b").is_err());
    }

    #[test]
    fn limit_that_this_machine_cannot_give_is_refused() {
        assert!(Limits::default().check(100, "x").is_ok());
        let error = Limits::default().cpus([60_000]).check(100, "kafka").unwrap_err().to_string();
        assert!(error.contains("CPU 60000"), "{error}");
        assert!(Limits::default().memory_mb(99).check(100, "x").is_err());
    }
}
