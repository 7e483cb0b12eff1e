//! The highest rate at which an objective is kept: up in even ratios, then by bisection.
//!
//! ```text
//! 500  1 000  2 000  4 000 ✗        the rungs: the same in every round, so that a law can be fitted to them
//!                2 828 ✓            refinements: the middle of the logarithms of the last kept and the first broken
//!                     3 364 ✗
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
    /// Rates that were tried.
    tried: u32,
    /// The highest rate that was kept.
    kept: Option<f64>,
    /// The lowest that was not.
    broken: Option<f64>,
}

impl Search {
    /// Before the first rung.
    pub fn new(ladder: Ladder) -> Self {
        Self { ladder, tried: 0, kept: None, broken: None }
    }

    /// The rate to try, or `None` when the search is over.
    pub fn next_rate(&self) -> Option<f64> {
        let Ladder { rungs, refinements, .. } = self.ladder;
        match (self.kept, self.broken) {
            (_, None) if self.tried < rungs => Some(self.rung(self.tried)),
            (Some(kept), Some(broken)) if self.tried < rungs + refinements => {
                Some((kept * broken).sqrt().round())
            }
            _ => None,
        }
    }

    /// Whether the next rate is a rung, the same in every round.
    pub fn is_rung_next(&self) -> bool {
        self.broken.is_none()
    }

    fn rung(&self, place: u32) -> f64 {
        let Ladder { from_per_s, to_per_s, rungs, .. } = self.ladder;
        let share = f64::from(place) / f64::from(rungs.saturating_sub(1).max(1));
        (from_per_s * (to_per_s / from_per_s).powf(share)).round()
    }

    /// Notes what a rate came to: events a second, and the latency at p99.
    pub fn note(&mut self, offered_per_s: f64, events_per_s: f64, p99_ms: f64, is_exact: bool) {
        let is_kept = is_exact
            && offered_per_s * ACHIEVED_MIN <= events_per_s
            && p99_ms <= self.ladder.p99_ms_max;
        if self.is_rung_next() && !is_kept {
            // What rungs are left above is left to refine below.
            self.tried = self.ladder.rungs;
        } else {
            self.tried += 1;
        }
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

    const LADDER: Ladder = Ladder {
        from_per_s: 500.0,
        to_per_s: 16_000.0,
        rungs: 6,
        refinements: 4,
        lasts_s: 1.0,
        p99_ms_max: 50.0,
    };

    /// The rates that are tried on a machine that keeps the objective up to `knee`, and the knee that is found.
    fn search(knee: f64) -> (Vec<f64>, Option<f64>) {
        let mut search = Search::new(LADDER);
        let mut tried = Vec::new();
        while let Some(rate) = search.next_rate() {
            tried.push(rate);
            search.note(rate, rate, if rate <= knee { 10.0 } else { 400.0 }, true);
        }
        (tried, search.knee())
    }

    #[test]
    fn the_rungs_come_first_and_the_knee_is_found_within_a_few_percent() {
        for knee in [600.0, 1_234.0, 5_000.0, 15_000.0] {
            let (tried, found) = search(knee);
            let found = found.expect("there is one");
            assert!(found <= knee && knee / found < 1.06, "{found} of {knee}");
            let rungs = tried.iter().take_while(|rate| **rate <= knee).count();
            let doubled: Vec<f64> =
                (0..rungs as i32).map(|rung| 500.0 * 2.0_f64.powi(rung)).collect();
            assert_eq!(tried[..rungs], doubled);
        }
    }

    #[test]
    fn a_machine_that_keeps_all_of_it_is_not_refined() {
        assert_eq!(
            search(20_000.0),
            (vec![500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0], Some(16_000.0))
        );
    }

    #[test]
    fn a_machine_that_keeps_nothing_has_no_knee_and_is_asked_once() {
        assert_eq!(search(100.0), (vec![500.0], None));
    }

    #[test]
    fn too_few_events_or_a_fault_break_a_rung() {
        for (events_per_s, is_exact) in [(480.0, true), (500.0, false)] {
            let mut search = Search::new(LADDER);
            search.note(500.0, events_per_s, 1.0, is_exact);
            assert_eq!((search.knee(), search.next_rate()), (None, None));
        }
    }
}
