//! What a machine does after an error, and how long it waits.

use std::time::{Duration, Instant};

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The fault passes by itself: wait, connect again, go on where we were.
    Retry,
    /// A person must decide; going on would lose events or repeat the error.
    Stop,
}

/// Waiting times between attempts: doubled each time up to a bound, back to the first after a success.
///
/// No jitter: a node has one stream per replica set, so there is no herd to spread.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits `first` after the first failure, at most `max` after any.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempts: 0 }
    }

    /// Notes a failure at `now` and returns when to try again.
    pub fn fail(&mut self, now: Instant) -> Instant {
        let factor = 1_u32 << self.attempts.min(16);
        self.attempts = self.attempts.saturating_add(1);
        now + self.first.saturating_mul(factor).min(self.max)
    }

    /// Failures since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Notes a success.
    pub fn succeed(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_the_bound_and_starts_again_after_success() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| (backoff.fail(now) - now).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        backoff.succeed();
        assert_eq!(backoff.fail(now) - now, Duration::from_millis(100));
        for _ in 0..100 {
            backoff.fail(now);
        }
        assert_eq!(backoff.fail(now) - now, Duration::from_secs(1));
    }
}
