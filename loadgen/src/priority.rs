//! The priority of the threads that keep time.
//!
//! On a machine that the servers share, a thread that wakes up waits for its turn behind them: ms, where the load was
//! to be exact to some µs. A nice value below zero brings its turn forward; the share of CPU that the generator takes
//! is small all the same. The system gives it to root and to processes with `CAP_SYS_NICE`; others go on without, and
//! their lateness tells.

/// As urgent as a thread can be without a real-time class, which could stop the machine.
const NICE: i32 = -20;

/// Raises the priority of the calling thread. Returns whether the system allowed it.
pub(crate) fn raise() -> bool {
    // On Linux this is the thread, not the process (`man 2 setpriority`).
    rustix::process::setpriority_process(None, NICE).is_ok()
}
