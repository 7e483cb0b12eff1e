//! A rate over time made of straight lines, and the exact moment at which it has made n events.
//!
//! ```text
//! rate ▲        ╱▔▔▔▔                 flat     from = to                  piece k: from, to, duration
//!      │   ▁▁▁╱                       sloped   the rate changes evenly    then: hold the last rate, repeat, or end
//!      └──────────────► time
//! ```
//!
//! Units: ns for time, thousandths of an event per second for rates, 1/(2·10¹²) event for the area below the curve.
//! In these every flat area is a whole number, and a sloped one is compared without division: nothing is rounded, so
//! nothing drifts, whatever the machine's floating point does. An event is due at the last whole nanosecond at which
//! the area does not exceed its number. So after a silence it is due when the silence ends.

use std::time::Duration;

use super::{ProfileError, Rate};

/// Area of one event.
pub(super) const EVENT: u128 = 2_000_000_000_000;
/// With it and the highest rate the largest product stays below 2¹²⁷.
const PIECE_MAX: Duration = Duration::from_hours(24);

/// Area below a curve.
pub(super) type Area = u128;

/// What follows the last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Hold(Rate),
    Repeat,
    End,
}

/// A line from one rate to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) from: Rate,
    pub(super) to: Rate,
    pub(super) duration: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start_ns: u64,
    start_area: Area,
    duration_ns: u64,
    from: Rate,
    to: Rate,
}

/// Lines, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Curve {
    pieces: Vec<Piece>,
    then: Then,
    end_ns: u64,
    end_area: Area,
}

impl Curve {
    pub(super) fn new(
        lines: impl IntoIterator<Item = Line>,
        then: Then,
    ) -> Result<Self, ProfileError> {
        let mut curve = Self { pieces: Vec::new(), then, end_ns: 0, end_area: 0 };
        for Line { from, to, duration } in lines {
            if duration.is_zero() || PIECE_MAX < duration {
                return Err(ProfileError::Duration(duration));
            }
            let duration_ns = duration.as_nanos() as u64;
            let (start_ns, start_area) = (curve.end_ns, curve.end_area);
            curve.pieces.push(Piece { start_ns, start_area, duration_ns, from, to });
            curve.end_ns = start_ns.checked_add(duration_ns).ok_or(ProfileError::TooLong)?;
            curve.end_area = start_area + Area::from(from.0 + to.0) * Area::from(duration_ns);
        }
        let makes_events = match then {
            Then::Hold(rate) => rate != Rate::ZERO,
            Then::Repeat | Then::End => curve.end_area != 0,
        };
        if makes_events { Ok(curve) } else { Err(ProfileError::Silence) }
    }

    /// The highest rate anywhere.
    pub(super) fn peak(&self) -> Rate {
        let held = match self.then {
            Then::Hold(rate) => rate,
            Then::Repeat | Then::End => Rate::ZERO,
        };
        self.pieces.iter().map(|piece| piece.from.max(piece.to)).fold(held, Rate::max)
    }

    /// How many events it makes in all; `None` if it does not end.
    pub(super) fn events(&self) -> Option<u64> {
        match self.then {
            Then::Hold(_) | Then::Repeat => None,
            Then::End => Some(self.end_area.div_ceil(EVENT) as u64),
        }
    }

    /// When the area has become `area`, from the start. Some 20 ns on a flat piece, 100 ns on a sloped one.
    pub(super) fn offset_ns(&self, area: Area) -> u64 {
        if area < self.end_area {
            return self.within_pieces(area);
        }
        match self.then {
            Then::Hold(rate) => self.end_ns.saturating_add(flat_ns(area - self.end_area, rate)),
            Then::Repeat => {
                let cycles = u64::try_from(area / self.end_area).unwrap_or(u64::MAX);
                let within = self.within_pieces(area % self.end_area);
                self.end_ns.saturating_mul(cycles).saturating_add(within)
            }
            Then::End => self.end_ns,
        }
    }

    /// `area` lies below the area of all pieces, so one that makes events holds it.
    fn within_pieces(&self, area: Area) -> u64 {
        let after = self.pieces.partition_point(|piece| piece.start_area <= area);
        let piece = &self.pieces[after - 1];
        piece.start_ns + piece.offset_ns(area - piece.start_area)
    }
}

impl Piece {
    /// The last nanosecond of the piece at which its area does not exceed `area`:
    /// `2·from·t + (to - from)·t²/T ≤ area`, multiplied by T.
    fn offset_ns(&self, area: Area) -> u64 {
        if self.from == self.to {
            return flat_ns(area, self.from);
        }
        let (from, slope) =
            (i128::from(self.from.0), i128::from(self.to.0) - i128::from(self.from.0));
        let whole_ns = i128::from(self.duration_ns);
        let wanted = area.cast_signed() * whole_ns;
        let fits = |ns: u64| {
            let ns = i128::from(ns);
            2 * from * ns * whole_ns + slope * ns * ns <= wanted
        };
        last_that_fits(self.estimate_ns(area), self.duration_ns, fits)
    }

    /// Close to the solution; the exact comparison mends what rounding does to it.
    fn estimate_ns(&self, area: Area) -> u64 {
        let (from, to) = (self.from.0 as f64, self.to.0 as f64);
        let area = area as f64;
        let root = (from * from + (to - from) * area / self.duration_ns as f64).max(0.0).sqrt();
        ((area / (from + root)) as u64).min(self.duration_ns)
    }
}

/// At a steady rate; a rate of zero never gets there, and stands at its beginning.
fn flat_ns(area: Area, rate: Rate) -> u64 {
    let per_ns = 2 * Area::from(rate.0);
    area.checked_div(per_ns).map_or(0, |ns| u64::try_from(ns).unwrap_or(u64::MAX))
}

/// The largest number up to `end` that fits, where 0 fits and nothing above one that does not. Searches outwards from
/// `guess`, so a good guess costs two comparisons.
fn last_that_fits(guess: u64, end: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let mut step = 1;
    let (mut low, mut high) = (guess, guess);
    if fits(guess) {
        loop {
            high = low.saturating_add(step).min(end + 1);
            if high == end + 1 || !fits(high) {
                break;
            }
            (low, step) = (high, step * 2);
        }
    } else {
        loop {
            low = high.saturating_sub(step);
            if fits(low) {
                break;
            }
            (high, step) = (low, step * 2);
        }
    }
    while 1 < high - low {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(from_mhz: u64, to_mhz: u64, duration_ns: u64) -> Line {
        Line { from: Rate(from_mhz), to: Rate(to_mhz), duration: Duration::from_nanos(duration_ns) }
    }

    /// Area after `ns`, times the duration of the piece, so that it is whole.
    fn scaled_area(line: Line, ns: u64) -> i128 {
        let (from, to) = (i128::from(line.from.0), i128::from(line.to.0));
        let (whole, ns) = (line.duration.as_nanos() as i128, i128::from(ns));
        2 * from * ns * whole + (to - from) * ns * ns
    }

    proptest! {
        #[test]
        fn an_event_is_due_at_the_last_nanosecond_that_its_number_allows(
            from in 0..=Rate::MAX.0, to in 0..=Rate::MAX.0,
            duration_ns in 1..=86_400_000_000_000_u64, share in 0.0..1.0_f64,
        ) {
            prop_assume!(from + to != 0);
            let line = line(from, to, duration_ns);
            let curve = Curve::new([line], Then::End).unwrap();
            let area = ((curve.end_area as f64 * share) as u128).min(curve.end_area - 1);
            let ns = curve.offset_ns(area);
            let scaled = area.cast_signed() * i128::from(duration_ns);
            prop_assert!(scaled_area(line, ns) <= scaled);
            prop_assert!(ns == duration_ns || scaled < scaled_area(line, ns + 1));
        }

        #[test]
        fn later_events_are_never_due_earlier(
            lines in prop::collection::vec((0..5_000_000_u64, 0..5_000_000_u64, 1..3_000_000_000_u64), 1..6),
            then in 0..3_u8,
        ) {
            let then = match then { 0 => Then::Hold(Rate(7_000)), 1 => Then::Repeat, _ => Then::End };
            let lines = lines.into_iter().map(|(from, to, ns)| line(from, to, ns));
            let Ok(curve) = Curve::new(lines, then) else { return Ok(()) };
            let mut last = 0;
            for event in 0..2_000 {
                let due = curve.offset_ns(event * EVENT);
                prop_assert!(last <= due);
                last = due;
            }
        }
    }

    #[test]
    fn a_slope_that_starts_at_nothing_follows_the_square_root() {
        // 0 to 2/s in 100 s makes 100 events; a quarter of them in half of the time.
        let curve = Curve::new([line(0, 2_000, 100_000_000_000)], Then::End).unwrap();
        assert_eq!(curve.events(), Some(100));
        assert_eq!(curve.offset_ns(0), 0);
        assert_eq!(curve.offset_ns(25 * EVENT), 50_000_000_000);
        assert_eq!(curve.offset_ns(EVENT), 10_000_000_000);
    }

    #[test]
    fn what_is_due_after_a_silence_is_due_when_it_ends() {
        let second = 1_000_000_000;
        let lines = [line(3_000, 3_000, second), line(0, 0, second), line(2_000, 2_000, second)];
        let curve = Curve::new(lines, Then::Repeat).unwrap();
        let due: Vec<_> = (0..7).map(|event| curve.offset_ns(event * EVENT)).collect();
        let first = [0, 333_333_333, 666_666_666, 2_000_000_000, 2_500_000_000];
        assert_eq!(due[..5], first);
        assert_eq!(due[5..], [3_000_000_000, 3_333_333_333]);
    }

    #[test]
    fn cycles_do_not_drift() {
        let curve = Curve::new([line(1_000, 2_000, 86_400_000_000_000)], Then::Repeat).unwrap();
        // 1 to 2/s over a day: 129 600 events a day.
        assert_eq!(curve.offset_ns(129_600 * 1_000 * EVENT), 86_400_000_000_000 * 1_000);
    }

    #[test]
    fn what_makes_no_event_is_refused() {
        let silent = line(0, 0, 1);
        assert_eq!(Curve::new([silent], Then::Repeat), Err(ProfileError::Silence));
        assert_eq!(Curve::new([line(1, 1, 1)], Then::Hold(Rate::ZERO)), Err(ProfileError::Silence));
        let zero = Duration::ZERO;
        assert_eq!(Curve::new([line(1, 1, 0)], Then::Repeat), Err(ProfileError::Duration(zero)));
    }
}
