//! The scheduling class of the threads that keep time.
//!
//! On a machine that the servers share, a thread that wakes up waits for its turn: on two cores with mongod, broker
//! and arm 1.6 to 2.7 ms at p99, at 200 as at 2 000 operations a second, although its nice value was -20. In a
//! real-time class it was below the bound of 1 ms in eight of nine measurements. The lowest priority of round robin is
//! enough; should such threads ever run wild, the kernel leaves others 5 % of the time (`man 7 sched`). The system
//! gives the class to root and to processes with `CAP_SYS_NICE`; others go on without, and their lateness tells.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// The lowest of a real-time class.
const PRIORITY: u8 = 1;

/// Puts the calling thread into a real-time class. Returns whether the system allowed it.
pub(crate) fn raise() -> bool {
    let Ok(value) = ThreadPriorityValue::try_from(PRIORITY) else { return false };
    let round_robin = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriority::Crossplatform(value);
    set_thread_priority_and_policy(thread_native_id(), priority, round_robin).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_thread_is_of_a_real_time_class_and_its_neighbours_are_not() {
        let raised = std::thread::spawn(|| (raise(), policy())).join().expect("no panic");
        assert_ne!(policy(), Some(2), "this thread was not raised");
        match raised {
            (true, policy) => assert_eq!(policy, Some(2), "SCHED_RR"),
            (false, policy) => assert_ne!(policy, Some(2)),
        }
    }

    /// Field 41 of the thread's stat file (`man 5 proc`).
    fn policy() -> Option<u32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_ascii_whitespace().nth(38)?.parse().ok()
    }
}
