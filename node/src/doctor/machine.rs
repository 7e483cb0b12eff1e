//! Whether this machine gives what a worker needs: its I/O driver, descriptors, memory, cores.

use millrace_io::driver::{DriverChoice, probe_uring};

use super::finding::Finding;
use super::limits::{self, Limit};
use crate::config::{CopyExisting, LostPosition, SourceConfig, Startup, WorkerConfig};

/// Descriptors of a worker without connectors: logs, REST and its clients, runtimes.
const FILES_OF_WORKER: u64 = 64;
/// Descriptors of a connector: its stream and one connection to each broker of a cluster of usual size, doubled for
/// connections that end while new ones begin.
const FILES_OF_CONNECTOR: u64 = 16;
/// Of the memory that there is, buffers may have at most this part: the rest is for documents on their way through
/// converters, for TLS and for the process itself.
const MEMORY_PERCENT_MAX: u64 = 75;
/// What a ring and its buffers may lock before Linux 5.12. Bytes.
const LOCKED_BYTES_MIN: u64 = 8 << 20;

/// What a worker and its connectors want of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// `None`: nobody says.
    driver: Option<DriverChoice>,
    /// `memory.bytes.max`; `None`: no worker is known.
    memory_bytes: Option<u64>,
    files: u64,
}

/// What the machine gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// `Err`: why not.
    uring: Result<(), String>,
    kernel: String,
    locked_bytes: Option<Limit>,
    open_files: Option<Limit>,
    cores: usize,
    group_millicores: Option<u64>,
    memory_bytes: Option<u64>,
    group_memory_bytes: Option<u64>,
}

impl Needs {
    pub(super) fn of(worker: Option<&WorkerConfig>, connectors: &[SourceConfig]) -> Self {
        let of_connectors: u64 = connectors.iter().map(files_of).sum();
        Self {
            driver: worker.and_then(|worker| worker.io_driver),
            memory_bytes: worker.and_then(|worker| u64::try_from(worker.memory_bytes_max).ok()),
            files: FILES_OF_WORKER + of_connectors,
        }
    }
}

fn files_of(source: &SourceConfig) -> u64 {
    let copy = match (&source.startup, &source.lost_position) {
        (Startup::CopyExisting(copy), _) | (_, LostPosition::Copy(copy)) => Some(copy),
        (
            Startup::Latest | Startup::Timestamp(_),
            LostPosition::Fail | LostPosition::Oldest | LostPosition::Now,
        ) => None,
    };
    let threads = copy.map_or(0, |CopyExisting { threads_max, .. }| *threads_max);
    FILES_OF_CONNECTOR + u64::try_from(threads).unwrap_or(u64::MAX)
}

impl Machine {
    /// Looks at this one. Trying io_uring takes a runtime of its own: not to be called within another.
    pub(super) fn look() -> Self {
        Self {
            uring: probe_uring().map_err(|error| error.to_string()),
            kernel: limits::kernel(),
            locked_bytes: limits::of_process("Max locked memory"),
            open_files: limits::of_process("Max open files"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            group_millicores: limits::group_millicores(),
            memory_bytes: limits::machine_memory(),
            group_memory_bytes: limits::group_memory(),
        }
    }

    /// What there is to say of it.
    pub(super) fn judge(&self, needs: Needs) -> Vec<Finding> {
        vec![
            self.judge_uring(needs),
            self.judge_locked_memory(needs),
            self.judge_files(needs),
            self.judge_cores(),
            self.judge_memory(needs),
        ]
    }

    fn judge_uring(&self, needs: Needs) -> Finding {
        const CHECK: &str = "io_uring";
        let Self { uring, kernel, .. } = self;
        match (uring, needs.driver) {
            (Ok(()), Some(DriverChoice::Uring)) => {
                Finding::ok(CHECK, format!("works on Linux {kernel} and drives the sockets"))
            }
            (Ok(()), _) => Finding::ok(
                CHECK,
                format!("works on Linux {kernel}; epoll drives the sockets unless io.driver=uring"),
            ),
            (Err(error), Some(DriverChoice::Uring)) => Finding::warning(
                CHECK,
                format!("cannot be used ({error}): epoll will drive the sockets"),
                "allow it (kernel.io_uring_disabled=0, a seccomp profile with io_uring_setup, enter and register), or \
                 set io.driver=epoll",
            ),
            (Err(error), Some(DriverChoice::Auto | DriverChoice::Epoll) | None) => {
                Finding::ok(CHECK, format!("cannot be used ({error}), nor is it asked for: epoll"))
            }
        }
    }

    fn judge_locked_memory(&self, needs: Needs) -> Finding {
        const CHECK: &str = "locked memory";
        let counts = needs.driver == Some(DriverChoice::Uring);
        match self.locked_bytes {
            None => Finding::not_checked(CHECK, "/proc/self/limits does not say"),
            Some(Limit::AtMost(bytes))
                if counts && bytes < LOCKED_BYTES_MIN && is_before_5_12(&self.kernel) =>
            {
                Finding::warning(
                    CHECK,
                    format!("at most {bytes} bytes, which rings count against before Linux 5.12"),
                    "raise it: LimitMEMLOCK=8M in the unit, ulimit -l 8192, or --ulimit memlock=8388608",
                )
            }
            Some(Limit::AtMost(bytes)) => Finding::ok(CHECK, format!("at most {}", mib(bytes))),
            Some(Limit::Unlimited) => Finding::ok(CHECK, "no limit"),
        }
    }

    fn judge_files(&self, needs: Needs) -> Finding {
        const CHECK: &str = "open files";
        match self.open_files {
            None => Finding::not_checked(CHECK, "/proc/self/limits does not say"),
            Some(Limit::AtMost(files)) if files < needs.files => Finding::warning(
                CHECK,
                format!("at most {files}, and {} may be needed", needs.files),
                format!(
                    "raise it: LimitNOFILE={0} in the unit, ulimit -n {0}, or --ulimit nofile={0}",
                    needs.files.next_power_of_two()
                ),
            ),
            Some(Limit::AtMost(files)) => {
                Finding::ok(CHECK, format!("at most {files}, about {} are needed", needs.files))
            }
            Some(Limit::Unlimited) => Finding::ok(CHECK, "no limit"),
        }
    }

    fn judge_cores(&self) -> Finding {
        const CHECK: &str = "cores";
        let Self { cores, group_millicores, .. } = self;
        match group_millicores {
            Some(quota) if *quota < 1_000 => Finding::warning(
                CHECK,
                format!("{cores}, of which the container may use {:.2}", *quota as f64 / 1e3),
                "give it a whole core: with less the kernel stops it for parts of each 100 ms, which is latency",
            ),
            Some(quota) => Finding::ok(
                CHECK,
                format!("{cores}, of which the container may use {:.2}", *quota as f64 / 1e3),
            ),
            None => Finding::ok(CHECK, cores.to_string()),
        }
    }

    fn judge_memory(&self, needs: Needs) -> Finding {
        const CHECK: &str = "memory";
        let (there, whose) = match (self.group_memory_bytes, self.memory_bytes) {
            (Some(group), machine) if machine.is_none_or(|machine| group < machine) => {
                (group, "the container may have")
            }
            (_, Some(machine)) => (machine, "the machine has"),
            (_, None) => return Finding::not_checked(CHECK, "/proc/meminfo does not say"),
        };
        let Some(buffers) = needs.memory_bytes else {
            return Finding::ok(CHECK, format!("{whose} {}", mib(there)));
        };
        let seen = format!("{whose} {}, buffers may take {} of it", mib(there), mib(buffers));
        let bound = there / 100 * MEMORY_PERCENT_MAX;
        let remedy = format!(
            "set memory.bytes.max to {bound} or less in the worker's file, or give it more memory"
        );
        if there <= buffers {
            Finding::failure(CHECK, format!("{seen}: it would be killed"), remedy)
        } else if bound < buffers {
            Finding::warning(CHECK, format!("{seen}: little is left for the rest"), remedy)
        } else {
            Finding::ok(CHECK, seen)
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Since 5.12 a ring's memory counts to the group of the process, not to this limit.
fn is_before_5_12(kernel: &str) -> bool {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (5, 12),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;

    fn healthy() -> Machine {
        Machine {
            uring: Ok(()),
            kernel: "6.1.0".to_owned(),
            locked_bytes: Some(Limit::AtMost(8 << 20)),
            open_files: Some(Limit::AtMost(1_024)),
            cores: 4,
            group_millicores: None,
            memory_bytes: Some(8 << 30),
            group_memory_bytes: None,
        }
    }

    fn needs() -> Needs {
        Needs { driver: Some(DriverChoice::Uring), memory_bytes: Some(1 << 30), files: 100 }
    }

    /// The one check that is no longer as it should be.
    fn changed(machine: Machine, needs: Needs) -> Finding {
        let mut others = machine.judge(needs);
        others.retain(|finding| !matches!(finding.outcome, Outcome::Ok { .. }));
        assert_eq!(others.len(), 1, "{others:?}");
        others.remove(0)
    }

    #[test]
    fn healthy_machine_is_as_it_should_be() {
        let findings = healthy().judge(needs());
        assert!(findings.iter().all(|finding| matches!(finding.outcome, Outcome::Ok { .. })));
        assert_eq!(findings.len(), 5);
    }

    #[test]
    fn io_uring_that_is_asked_for_and_forbidden_is_a_warning() {
        let forbidden = || Machine { uring: Err("EPERM".to_owned()), ..healthy() };
        assert_eq!(changed(forbidden(), needs()).check, "io_uring");
        for driver in [None, Some(DriverChoice::Auto), Some(DriverChoice::Epoll)] {
            let findings = forbidden().judge(Needs { driver, ..needs() });
            assert!(matches!(findings[0].outcome, Outcome::Ok { .. }), "{driver:?}");
        }
    }

    #[test]
    fn locked_memory_counts_for_rings_of_old_kernels_only() {
        let low = |kernel: &str| Machine {
            kernel: kernel.to_owned(),
            locked_bytes: Some(Limit::AtMost(65_536)),
            ..healthy()
        };
        assert_eq!(changed(low("5.11.9-x"), needs()).check, "locked memory");
        let is_ok = |machine: Machine, needs| {
            machine.judge(needs).iter().all(|finding| matches!(finding.outcome, Outcome::Ok { .. }))
        };
        assert!(is_ok(low("5.12.0"), needs()));
        assert!(is_ok(low("4.19.0"), Needs { driver: None, ..needs() }));
    }

    #[test]
    fn too_few_descriptors_are_a_warning_with_the_number() {
        let finding = changed(healthy(), Needs { files: 1_500, ..needs() });
        let Outcome::Warning { remedy, .. } = finding.outcome else { panic!() };
        assert!(remedy.contains("LimitNOFILE=2048"), "{remedy}");
    }

    #[test]
    fn part_of_a_core_is_a_warning() {
        let machine = Machine { group_millicores: Some(500), ..healthy() };
        assert_eq!(changed(machine, needs()).check, "cores");
    }

    #[test]
    fn buffers_must_fit_into_the_container() {
        let within = |bytes| Machine { group_memory_bytes: Some(bytes), ..healthy() };
        assert!(changed(within(1 << 30), needs()).is_failure());
        assert!(!changed(within(5 << 28), needs()).is_failure());
        let findings = within(3 << 30).judge(needs());
        assert!(matches!(findings[4].outcome, Outcome::Ok { .. }));
    }
}
