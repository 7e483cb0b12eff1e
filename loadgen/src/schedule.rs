//! When each write is intended to begin: an open loop.
//!
//! ```text
//! due(index) = start + index / rate
//! ```
//!
//! A write that begins late does not move those behind it, and latency counts from the intended time. So a stall of a
//! second at 1 000/s is a thousand late events, not one (closed loops hide that: coordinated omission).

use std::time::{Duration, Instant};

/// Intended times at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    start: Instant,
    rate_per_s: f64,
}

impl Schedule {
    /// Index 0 is due at `start`. A rate that is not above zero makes everything due at `start`.
    pub fn new(start: Instant, rate_per_s: f64) -> Self {
        Self { start, rate_per_s }
    }

    /// When the write with this index is intended to begin.
    pub fn due(&self, index: u64) -> Instant {
        self.start + self.offset(index)
    }

    /// How late `actual` is for the write with this index; zero if early.
    pub fn lateness(&self, index: u64, actual: Instant) -> Duration {
        actual.saturating_duration_since(self.due(index))
    }

    fn offset(&self, index: u64) -> Duration {
        Duration::try_from_secs_f64(index as f64 / self.rate_per_s).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_due_at_even_distances_from_the_start() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 2_000.0);
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(1), start + Duration::from_micros(500));
        assert_eq!(schedule.due(7_200_000_000), start + Duration::from_hours(1_000));
    }

    #[test]
    fn a_late_write_moves_no_other() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1_000.0);
        let stalled = start + Duration::from_millis(100);
        let lateness: Vec<_> = [0, 50, 99, 100, 200]
            .map(|index| schedule.lateness(index, stalled).as_millis())
            .to_vec();
        assert_eq!(lateness, [100, 50, 1, 0, 0]);
    }

    #[test]
    fn a_rate_of_nothing_makes_all_due_at_once() {
        let start = Instant::now();
        for rate_per_s in [0.0, -1.0, f64::NAN] {
            assert_eq!(Schedule::new(start, rate_per_s).due(9), start);
        }
    }
}
