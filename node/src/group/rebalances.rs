//! What rebalances have cost: from the assignment until the worker had dealt with it, as Java counts.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebalances {
    /// How many are done.
    pub(crate) completed: u64,
    /// Time of all of them.
    pub(crate) total: Duration,
    /// Time of the one that took longest.
    pub(crate) longest: Duration,
    /// When the last one was done.
    pub(crate) last_ended: Option<Instant>,
    began: Option<Instant>,
}

impl Rebalances {
    /// Whether the worker deals with an assignment.
    pub(crate) fn is_under_way(&self) -> bool {
        self.began.is_some()
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    pub(super) fn end(&mut self, now: Instant) {
        let Some(began) = self.began.take() else { return };
        let took = now - began;
        self.completed += 1;
        self.total += took;
        self.longest = self.longest.max(took);
        self.last_ended = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_from_the_assignment_to_its_end() {
        let start = millrace_io::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rebalances = Rebalances::default();
        for (begin, end) in [(0, 1), (10, 13)] {
            rebalances.begin(at(begin));
            assert!(rebalances.is_under_way());
            rebalances.end(at(end));
        }
        rebalances.end(at(20));
        assert_eq!((rebalances.completed, rebalances.total.as_secs()), (2, 4));
        assert_eq!((rebalances.longest.as_secs(), rebalances.last_ended), (3, Some(at(13))));
    }
}
