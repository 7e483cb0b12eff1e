//! When operations are intended to begin: a profile of the rate over time.
//!
//! | profile  | rate                                   | then                         |
//! |----------|----------------------------------------|------------------------------|
//! | constant | the same                               |                              |
//! | ramp     | from one to another, evenly            | the last rate is held        |
//! | steps    | one after the other                    | the last rate is held        |
//! | burst    | a base, and in each period a peak      | repeats                      |
//! | sine     | around a mean                          | repeats                      |
//! | replayed | offsets or counts of a recorded trace  | ends with the trace          |
//!
//! Between the events the gaps are even, or random with the same mean ([`Profile::poisson`]). Everything is computed
//! in whole numbers: the same profile gives the same nanoseconds on every machine, and the millionth event is where
//! the profile says, not where a million rounded gaps add up to. The sine is a polygon of 64 sides; it is never
//! further from the curve than 0.13 % of the amplitude.

mod curve;
mod poisson;
mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use curve::{Curve, EVENT, Line, Then};
use poisson::{Memory, Poisson};
pub use trace::TraceError;

/// Events per second, in thousandths of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// No event.
    pub const ZERO: Self = Self(0);
    /// Ten million a second.
    pub const MAX: Self = Self(10_000_000_000);

    /// From events per second, rounded to thousandths.
    pub fn per_s(events_per_s: f64) -> Result<Self, ProfileError> {
        let thousandths = (events_per_s * 1_000.0).round();
        if (0.0..=Self::MAX.0 as f64).contains(&thousandths) {
            Ok(Self(thousandths as u64))
        } else {
            Err(ProfileError::Rate(events_per_s))
        }
    }

    /// Events per second.
    pub fn as_per_s(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

/// Why a profile cannot be run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProfileError {
    /// A rate below zero, above ten million a second, or not a number.
    Rate(f64),
    /// A part that lasts no time, or more than a day.
    Duration(Duration),
    /// All parts together last longer than time can be counted.
    TooLong,
    /// It makes no event, or none after its parts have ended.
    Silence,
    /// The peak of a burst lasts as long as its period, or longer.
    Peak,
    /// A sine that swings below zero.
    Amplitude,
    /// Recorded offsets cannot be made random.
    PoissonOffsets,
    /// More events than the trace has.
    TraceEnds {
        /// What was asked for.
        asked: u64,
        /// What it has.
        events: u64,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => {
                let most = Rate::MAX.as_per_s();
                write!(f, "a rate of {rate}/s is none: ask for 0.001 to {most}/s")
            }
            Self::Duration(duration) => {
                write!(f, "a part of {duration:?} is not possible: ask for 1 ns to 24 h")
            }
            Self::TooLong => write!(f, "all parts together are too long: ask for fewer"),
            Self::Silence => write!(f, "it makes no events: ask for a rate above zero at its end"),
            Self::Peak => write!(f, "the peak fills its whole period: make it shorter"),
            Self::Amplitude => write!(f, "the amplitude is larger than the mean: make it smaller"),
            Self::PoissonOffsets => write!(
                f,
                "recorded offsets are not random: replay counts_per_s, or leave out poisson"
            ),
            Self::TraceEnds { asked, events } => {
                write!(f, "the trace has {events} arrivals, not {asked}: ask for fewer operations")
            }
        }
    }
}

impl std::error::Error for ProfileError {}

/// A rate over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    course: Course,
    /// Seed of random gaps.
    poisson: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Course {
    Curve(Curve),
    OffsetsNs(Arc<[u64]>),
}

/// sin(k·90°/16), millionths.
const QUARTER_SINE: [u64; 17] = [
    0, 98_017, 195_090, 290_285, 382_683, 471_397, 555_570, 634_393, 707_107, 773_010, 831_470,
    881_921, 923_880, 956_940, 980_785, 995_185, 1_000_000,
];
const SINE_SIDES: u32 = 64;

impl Profile {
    /// The same rate for ever.
    pub fn constant(rate: Rate) -> Result<Self, ProfileError> {
        Self::of([], Then::Hold(rate))
    }

    /// Evenly `from` one rate `to` another, which is held then.
    pub fn ramp(from: Rate, to: Rate, over: Duration) -> Result<Self, ProfileError> {
        Self::of([Line { from, to, duration: over }], Then::Hold(to))
    }

    /// One rate after the other, each for its time; the last is held.
    pub fn steps(steps: impl IntoIterator<Item = (Rate, Duration)>) -> Result<Self, ProfileError> {
        let lines: Vec<_> = steps.into_iter().map(|(rate, lasts)| flat(rate, lasts)).collect();
        let last = lines.last().map_or(Rate::ZERO, |line| line.to);
        Self::of(lines, Then::Hold(last))
    }

    /// `base`, and at the end of each period `peak` for some time.
    pub fn burst(
        base: Rate,
        peak: Rate,
        every: Duration,
        lasts: Duration,
    ) -> Result<Self, ProfileError> {
        let before = every.checked_sub(lasts).filter(|before| !before.is_zero());
        let before = before.ok_or(ProfileError::Peak)?;
        Self::of([flat(base, before), flat(peak, lasts)], Then::Repeat)
    }

    /// `mean` plus and minus `amplitude`, beginning at the mean and rising.
    pub fn sine(mean: Rate, amplitude: Rate, period: Duration) -> Result<Self, ProfileError> {
        if mean < amplitude {
            return Err(ProfileError::Amplitude);
        }
        let corner = |side: u32| {
            let at = side % SINE_SIDES;
            let within = (at % 32) as usize;
            let height = QUARTER_SINE[if within <= 16 { within } else { 32 - within }];
            let swing = (amplitude.0 * height + 500_000) / 1_000_000;
            Rate(if at < 32 { mean.0 + swing } else { mean.0 - swing })
        };
        let time_ns =
            |side: u32| (period.as_nanos() * u128::from(side) / u128::from(SINE_SIDES)) as u64;
        let lines = (0..SINE_SIDES).map(|side| Line {
            from: corner(side),
            to: corner(side + 1),
            duration: Duration::from_nanos(time_ns(side + 1) - time_ns(side)),
        });
        Self::of(lines, Then::Repeat)
    }

    /// So many events in each second, evenly within it.
    pub fn counts_per_s(counts: impl IntoIterator<Item = u64>) -> Result<Self, ProfileError> {
        let second = |count: u64| {
            let rate = count.checked_mul(1_000).map(Rate).filter(|&rate| rate <= Rate::MAX);
            rate.map(|rate| flat(rate, Duration::from_secs(1)))
                .ok_or(ProfileError::Rate(count as f64))
        };
        let lines = counts.into_iter().map(second).collect::<Result<Vec<_>, _>>()?;
        Self::of(lines, Then::End)
    }

    /// The text of a recorded trace: see `arrivals/trace.rs` for its form.
    pub fn trace(text: &str) -> Result<Self, TraceError> {
        trace::parse(text)
    }

    /// Offsets from the start in ns, in ascending order.
    fn replayed(offsets_ns: Vec<u64>) -> Self {
        Self { course: Course::OffsetsNs(offsets_ns.into()), poisson: None }
    }

    fn of(lines: impl IntoIterator<Item = Line>, then: Then) -> Result<Self, ProfileError> {
        Ok(Self { course: Course::Curve(Curve::new(lines, then)?), poisson: None })
    }

    /// The same rates with random gaps between the events: those of many independent sources.
    pub fn poisson(mut self, seed: u64) -> Result<Self, ProfileError> {
        match self.course {
            Course::Curve(_) => {
                self.poisson = Some(seed);
                Ok(self)
            }
            Course::OffsetsNs(_) => Err(ProfileError::PoissonOffsets),
        }
    }

    /// The highest rate that it asks for. Of recorded offsets: the most in any second.
    pub fn peak(&self) -> Rate {
        match &self.course {
            Course::Curve(curve) => curve.peak(),
            Course::OffsetsNs(offsets) => {
                let mut first = 0;
                let within_a_second = offsets.iter().enumerate().map(|(last, &offset_ns)| {
                    while offsets[first] + 1_000_000_000 <= offset_ns {
                        first += 1;
                    }
                    (last - first + 1) as u64
                });
                Rate(within_a_second.max().unwrap_or(0).saturating_mul(1_000))
            }
        }
    }

    /// How many events it has; `None` if it goes on for ever.
    pub fn events_max(&self) -> Option<u64> {
        match &self.course {
            Course::Curve(curve) => curve.events(),
            Course::OffsetsNs(offsets) => Some(offsets.len() as u64),
        }
    }

    /// The times of its first `events` events.
    pub fn arrivals(&self, events: u64) -> Result<Arrivals, ProfileError> {
        match self.events_max() {
            Some(most) if most < events => {
                Err(ProfileError::TraceEnds { asked: events, events: most })
            }
            Some(_) | None => Ok(Arrivals {
                course: self.course.clone(),
                poisson: self.poisson.map(|seed| Poisson::new(seed, events)),
            }),
        }
    }
}

fn flat(rate: Rate, duration: Duration) -> Line {
    Line { from: rate, to: rate, duration }
}

/// The times of events, from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    course: Course,
    poisson: Option<Poisson>,
}

impl Arrivals {
    /// When the event with this index is due, ns from the start. With random gaps up to 1 µs; in order it is faster:
    /// see [`Self::in_order`].
    pub fn offset_ns(&self, index: u64) -> u64 {
        self.offset_with(index, &mut Memory::new())
    }

    /// For indexes that mostly count up.
    pub fn in_order(&self) -> InOrder<'_> {
        InOrder { arrivals: self, memory: Memory::new() }
    }

    fn offset_with(&self, index: u64, memory: &mut Memory) -> u64 {
        match &self.course {
            Course::Curve(curve) => curve.offset_ns(match &self.poisson {
                Some(poisson) => poisson.area(index, memory),
                None => u128::from(index) * EVENT,
            }),
            Course::OffsetsNs(offsets) => {
                let last = offsets.last().copied().unwrap_or(0);
                offsets.get(index as usize).copied().unwrap_or(last)
            }
        }
    }
}

/// See [`Arrivals::in_order`].
#[derive(Clone, Debug)]
pub struct InOrder<'a> {
    arrivals: &'a Arrivals,
    memory: Memory,
}

impl InOrder<'_> {
    /// As [`Arrivals::offset_ns`].
    pub fn offset_ns(&mut self, index: u64) -> u64 {
        self.arrivals.offset_with(index, &mut self.memory)
    }
}

#[cfg(test)]
mod tests;
