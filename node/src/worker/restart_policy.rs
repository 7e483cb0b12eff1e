//! Whether a task that has failed is begun again, and when. Connect leaves that to a person.
//!
//! ```text
//! the reason passes by itself   servers that are away, a time that ran out: again after a pause
//! it lasts                      a setting, a right, a record, a lost position: never, a person must decide
//!
//! failures in a row    1     2     3    …    7         a run of ten times the last pause, and they
//! pause                1 s   2 s   4 s  …    60 s      are forgotten
//! ```

use std::time::Duration;

use crate::config::TaskRestart;
use crate::task::{FailureClass, TaskFailure};

/// A run of so many times the last pause was a good one.
const GOOD_RUN_PAUSES: u32 = 10;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestartPolicy(TaskRestart);

impl RestartPolicy {
    pub(super) fn new(settings: TaskRestart) -> Self {
        Self(settings)
    }

    /// How long to wait after `failure` before the task is begun again, if it is. `failures`: those before it in a row.
    pub(super) fn after(self, failure: &TaskFailure, failures: u32) -> Option<Duration> {
        match failure.class {
            FailureClass::Passing => self.pause(failures),
            FailureClass::Lasting => None,
        }
    }

    /// Whether a task that has run for `ran` after so many `failures` is taken for one that never failed.
    pub(super) fn forgets(self, failures: u32, ran: Duration) -> bool {
        let last_pause = failures.checked_sub(1).and_then(|before| self.pause(before));
        last_pause.is_none_or(|pause| pause.saturating_mul(GOOD_RUN_PAUSES) <= ran)
    }

    fn pause(self, failures: u32) -> Option<Duration> {
        match self.0 {
            TaskRestart::Off => None,
            TaskRestart::After { backoff_ms, backoff_max_ms } => {
                let doubled = backoff_ms.saturating_mul(1 << failures.min(32));
                Some(Duration::from_millis(doubled.min(backoff_max_ms)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy =
        RestartPolicy(TaskRestart::After { backoff_ms: 1000, backoff_max_ms: 60_000 });

    #[test]
    fn pauses_double_up_to_the_longest() {
        let away = TaskFailure::passing("away");
        let pauses = [0, 1, 2, 5, 6, 100, u32::MAX].map(|failures| POLICY.after(&away, failures));
        let seconds = [1, 2, 4, 32, 60, 60, 60].map(|seconds| Some(Duration::from_secs(seconds)));
        assert_eq!(pauses, seconds);
        let wide = TaskRestart::After { backoff_ms: u64::MAX, backoff_max_ms: u64::MAX };
        let pause = RestartPolicy(wide).after(&away, 7);
        assert_eq!(pause, Some(Duration::from_millis(u64::MAX)));
    }

    #[test]
    fn what_lasts_is_left_to_a_person_and_so_is_everything_if_the_file_says_so() {
        assert_eq!(POLICY.after(&TaskFailure::lasting("no right"), 0), None);
        assert_eq!(RestartPolicy(TaskRestart::Off).after(&TaskFailure::passing("away"), 0), None);
    }

    #[test]
    fn failures_are_forgotten_after_a_run_of_ten_times_the_last_pause() {
        let seconds = Duration::from_secs;
        assert!(!POLICY.forgets(1, Duration::from_millis(9_999)) && POLICY.forgets(1, seconds(10)));
        assert!(!POLICY.forgets(3, seconds(39)) && POLICY.forgets(3, seconds(40)));
        assert!(!POLICY.forgets(50, seconds(599)) && POLICY.forgets(50, seconds(600)));
        assert!(POLICY.forgets(0, Duration::ZERO), "there is nothing to forget");
    }
}
