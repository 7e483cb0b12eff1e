//! When each operation of a load is intended to begin, on the clock of this process: an open loop.
//!
//! ```text
//! due(index) = start + offset of the profile's event number `index`
//! ```
//!
//! An operation that begins late does not move those behind it, and latency counts from the intended time. So a stall
//! of a second at 1 000/s is a thousand late events, not one (closed loops hide that: coordinated omission).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arrivals::{Arrivals, Profile, ProfileError, Rate};

/// Intended times. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    peak: Rate,
    arrivals: Arc<Arrivals>,
}

impl Schedule {
    /// The first `operations` events of `profile`, which begins at `start`.
    pub fn new(start: Instant, profile: &Profile, operations: u64) -> Result<Self, ProfileError> {
        let arrivals = Arc::new(profile.arrivals(operations)?);
        Ok(Self { start, peak: profile.peak(), arrivals })
    }

    /// One rate, even gaps, for ever; index 0 is due at `start`.
    pub fn constant(start: Instant, rate_per_s: f64) -> Result<Self, ProfileError> {
        Self::new(start, &Profile::constant(Rate::per_s(rate_per_s)?)?, 0)
    }

    /// The moment of offset 0.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The highest rate that is asked for.
    pub fn peak(&self) -> Rate {
        self.peak
    }

    /// When the operation with this index is intended to begin. Of an operation within a transaction ask for
    /// [`crate::workload::Workload::due_index`]: it is due with the first of them.
    pub fn due(&self, index: u64) -> Instant {
        self.start + Duration::from_nanos(self.arrivals.offset_ns(index))
    }

    /// How late `actual` is for the operation with this index; zero if early.
    pub fn lateness(&self, index: u64, actual: Instant) -> Duration {
        actual.saturating_duration_since(self.due(index))
    }

    /// Offsets for indexes that count up.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_due_at_even_distances_from_the_start() {
        let start = Instant::now();
        let schedule = Schedule::constant(start, 2_000.0).unwrap();
        assert_eq!(schedule.due(0), start);
        assert_eq!(schedule.due(1), start + Duration::from_micros(500));
        assert_eq!(schedule.due(7_200_000_000), start + Duration::from_hours(1_000));
    }

    #[test]
    fn a_late_write_moves_no_other() {
        let start = Instant::now();
        let schedule = Schedule::constant(start, 1_000.0).unwrap();
        let stalled = start + Duration::from_millis(100);
        let lateness: Vec<_> = [0, 50, 99, 100, 200]
            .map(|index| schedule.lateness(index, stalled).as_millis())
            .to_vec();
        assert_eq!(lateness, [100, 50, 1, 0, 0]);
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        for rate_per_s in [0.0, -1.0, f64::NAN] {
            let refused = Schedule::constant(Instant::now(), rate_per_s).unwrap_err().to_string();
            assert!(refused.contains("ask for"), "{refused}");
        }
    }
}
