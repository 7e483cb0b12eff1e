//! Which interface of the kernel drives a thread's sockets, and the runtime that it needs.
//!
//! ```text
//!  DriverChoice ── resolve: probe io_uring ──► Driver ──► Runtime of one thread
//!   auto, uring, epoll                         Epoll, Uring
//! ```
//!
//! io_uring may be forbidden: by the kernel's setting (`kernel.io_uring_disabled`), by a container's seccomp profile,
//! by the limit of locked memory, or because the kernel is too old for an operation. None of that can be read off
//! somewhere, so the probe does what a connection does, once.

use std::fmt;
use std::io;
use std::str::FromStr;

use tokio::task::LocalSet;

/// Entries of a submission queue; a pipeline has two operations under way on each of its few connections, and a full
/// queue is handed to the kernel at once.
const URING_ENTRIES: u32 = 64;

/// What sockets are driven by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Readiness, by tokio.
    Epoll,
    /// Completion, by tokio-uring.
    Uring,
}

/// What the operator asks for (`io.driver`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The one that is faster by our own measurements; see DESIGN.md.
    #[default]
    Auto,
    /// io_uring where it is allowed.
    Uring,
    /// epoll.
    Epoll,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
        })
    }
}

impl FromStr for DriverChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(format!("'{text}' is no I/O driver; write auto, uring or epoll")),
        }
    }
}

impl DriverChoice {
    /// The driver to use; beside it why that is not the one that was asked for.
    pub fn resolve(self) -> (Driver, Option<io::Error>) {
        self.resolve_with(probe_uring)
    }

    fn resolve_with(self, probe: impl FnOnce() -> io::Result<()>) -> (Driver, Option<io::Error>) {
        match self {
            Self::Auto | Self::Epoll => (Driver::Epoll, None),
            Self::Uring => match probe() {
                Ok(()) => (Driver::Uring, None),
                Err(error) => (Driver::Epoll, Some(error)),
            },
        }
    }
}

/// Whether io_uring does here what a connection needs.
///
/// # Errors
/// What the kernel said, at the set-up of the ring or at an operation.
pub fn probe_uring() -> io::Result<()> {
    let runtime = uring_runtime()?;
    let (near, far) = std::os::unix::net::UnixStream::pair()?;
    runtime.block_on(async {
        let near = tokio_uring::net::UnixStream::from_std(near);
        let far = tokio_uring::net::UnixStream::from_std(far);
        near.writev(vec![vec![1_u8], vec![2]]).await.0?;
        let (read, bytes) = far.read(vec![0; 2]).await;
        if read? != 2 || bytes != [1, 2] {
            return Err(io::Error::other("io_uring lost bytes on a pair of local sockets"));
        }
        tokio_uring::no_op().await
    })
}

/// The runtime of one thread, with sockets of one driver, timers and [`tokio::task::spawn_local`].
pub struct Runtime {
    kind: Kind,
}

enum Kind {
    Epoll(tokio::runtime::Runtime),
    Uring(tokio_uring::Runtime),
}

impl Runtime {
    /// Sets up what `driver` needs.
    ///
    /// # Errors
    /// Those of the kernel; for [`Driver::Uring`] none that [`probe_uring`] would not have met, but for a lack of
    /// memory or descriptors.
    pub fn new(driver: Driver) -> io::Result<Self> {
        let kind = match driver {
            Driver::Epoll => {
                Kind::Epoll(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
            }
            Driver::Uring => Kind::Uring(uring_runtime()?),
        };
        Ok(Self { kind })
    }

    /// Runs `future`, and what it spawns, on this thread until it ends.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.kind {
            Kind::Epoll(runtime) => LocalSet::new().block_on(runtime, future),
            Kind::Uring(runtime) => runtime.block_on(future),
        }
    }
}

/// Lets the driver begin what was submitted and look at what has ended. For a task that has more to do at once.
pub async fn turn(driver: Driver) {
    match driver {
        Driver::Epoll => tokio::task::yield_now().await,
        // Operations reach the kernel only when the thread parks. It does for this one, and wakes with it.
        Driver::Uring => drop(tokio_uring::no_op().await),
    }
}

fn uring_runtime() -> io::Result<tokio_uring::Runtime> {
    tokio_uring::Runtime::new(tokio_uring::builder().entries(URING_ENTRIES))
}

/// Every driver that this machine allows; says so where io_uring is none of them.
#[cfg(test)]
pub(crate) fn drivers_here() -> Vec<Driver> {
    match probe_uring() {
        Ok(()) => vec![Driver::Epoll, Driver::Uring],
        Err(error) => {
            eprintln!("io_uring is not tested, this machine forbids it: {error}");
            vec![Driver::Epoll]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_is_read_as_it_is_written() {
        for (text, choice) in [
            ("auto", DriverChoice::Auto),
            ("uring", DriverChoice::Uring),
            ("epoll", DriverChoice::Epoll),
        ] {
            assert_eq!(text.parse(), Ok(choice));
        }
        assert!("io_uring".parse::<DriverChoice>().unwrap_err().contains("auto, uring or epoll"));
    }

    #[test]
    fn what_is_forbidden_is_replaced_and_the_reason_kept() {
        let forbid = || Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let (driver, refused) = DriverChoice::Uring.resolve_with(forbid);
        assert_eq!(driver, Driver::Epoll);
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::PermissionDenied);
        let (driver, refused) = DriverChoice::Uring.resolve_with(|| Ok(()));
        assert!(driver == Driver::Uring && refused.is_none());
        for choice in [DriverChoice::Auto, DriverChoice::Epoll] {
            let never = || unreachable!("epoll needs no probe");
            assert_eq!(choice.resolve_with(never).0, Driver::Epoll);
        }
    }

    #[test]
    fn the_probe_passes_where_a_ring_can_be_made() {
        assert_eq!(probe_uring().is_ok(), uring_runtime().is_ok());
    }

    #[test]
    fn a_busy_task_that_gives_turns_does_not_starve_others() {
        for driver in drivers_here() {
            let done = Runtime::new(driver).unwrap().block_on(async move {
                let other = tokio::task::spawn_local(async {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                });
                let mut turns = 0_u64;
                while !other.is_finished() {
                    turn(driver).await;
                    turns += 1;
                }
                turns
            });
            assert!(done > 0);
        }
    }
}
