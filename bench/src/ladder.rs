//! The highest rate at which an objective is kept, by bisection between two rates.
//!
//! ```text
//! low  kept ──────────────┐        each rung is a start of the arm, a warm-up and the rate for some seconds
//! high not kept, or untried ┘ ─► the rate in the middle of their logarithms ─► one of the two
//! ```
//!
//! A rung is kept when every event came, as many a second as were offered, and 99 of 100 within the objective. Rungs
//! that were not kept are in the record as well: they are the part of the curve behind the knee.

use crate::scenario::Ladder;

/// Less than this part of the offered rate is not kept: the backlog grows.
const ACHIEVED_MIN: f64 = 0.98;

/// Where the search stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    ladder: Ladder,
    rungs: u32,
    /// The highest rate that was kept.
    kept: Option<f64>,
    /// The lowest that was not.
    broken: Option<f64>,
}

impl Search {
    /// Before the first rung.
    pub fn new(ladder: Ladder) -> Self {
        Self { ladder, rungs: 0, kept: None, broken: None }
    }

    /// The rate to try, or `None` when the search is over: rungs used up, the lowest rate broken, the highest kept.
    pub fn next_rate(&self) -> Option<f64> {
        let Ladder { from_per_s, to_per_s, rungs, .. } = self.ladder;
        if rungs <= self.rungs {
            return None;
        }
        match (self.kept, self.broken) {
            (None, None) => Some(from_per_s),
            (None, Some(_)) => None,
            (Some(kept), _) if to_per_s <= kept => None,
            (Some(kept), broken) => Some((kept * broken.unwrap_or(to_per_s)).sqrt().round()),
        }
    }

    /// Notes what a rung came to: events a second, and the latency at p99.
    pub fn note(&mut self, offered_per_s: f64, events_per_s: f64, p99_ms: f64, is_exact: bool) {
        self.rungs += 1;
        let is_kept = is_exact
            && offered_per_s * ACHIEVED_MIN <= events_per_s
            && p99_ms <= self.ladder.p99_ms_max;
        let place = if is_kept { &mut self.kept } else { &mut self.broken };
        *place = Some(offered_per_s);
    }

    /// The highest rate that was kept.
    pub fn knee(&self) -> Option<f64> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: Ladder =
        Ladder { from_per_s: 500.0, to_per_s: 16_000.0, rungs: 8, lasts_s: 1.0, p99_ms_max: 50.0 };

    /// Searches on a machine that keeps the objective up to `knee`.
    fn search(knee: f64) -> Search {
        let mut search = Search::new(LADDER);
        while let Some(rate) = search.next_rate() {
            search.note(rate, rate, if rate <= knee { 10.0 } else { 400.0 }, true);
        }
        search
    }

    #[test]
    fn the_knee_is_found_within_a_few_percent() {
        for knee in [600.0, 1_234.0, 5_000.0, 15_000.0] {
            let found = search(knee).knee().expect("there is one");
            assert!(found <= knee && knee / found < 1.06, "{found} of {knee}");
        }
    }

    #[test]
    fn a_machine_that_keeps_nothing_has_no_knee_and_is_asked_once() {
        let search = search(100.0);
        assert_eq!((search.knee(), search.rungs), (None, 1));
    }

    #[test]
    fn too_few_events_or_a_fault_break_a_rung() {
        let mut search = Search::new(LADDER);
        search.note(500.0, 480.0, 1.0, true);
        assert_eq!(search.knee(), None);
        search = Search::new(LADDER);
        search.note(500.0, 500.0, 1.0, false);
        assert_eq!(search.knee(), None);
    }
}
