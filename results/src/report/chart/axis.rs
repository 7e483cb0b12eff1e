//! Axes: where a value lies between the ends, and which values are written beside it.
//!
//! ```text
//! linear   0        20 000      40 000      60 000        steps of 1, 2, 2.5 or 5 times ten
//! log      1    2    5    10    20    50    100           decades, and 2 and 5 where there is room
//! nines    0 %   50 %    90 %      99 %     99.9 %        log 1/(1-p): every nine takes the same room
//! places   11-20 a1b2c3   11-21 d4e5f6                    one for each run, evenly
//! ```
//!
//! Positions are shares of the length, 0 to 1. Values beyond the ends are drawn at the ends.

use crate::report::number;

/// Labels that fit beside each other on a wide page.
const LABELS_MAX: usize = 6;
/// Spread from which on a linear axis would hide the small ones.
const LOG_FROM: f64 = 30.0;
/// Up to so many decades, 2 and 5 are written between them.
const DECADES_MAX: f64 = 2.2;

/// One axis and what it counts.
#[derive(Clone, Debug)]
pub(in crate::report) struct Axis {
    scale: Scale,
    /// Such as `events/s`.
    pub unit: String,
}

#[derive(Clone, Debug)]
enum Scale {
    Linear { max: f64, step: f64 },
    Log { min: f64, max: f64 },
    Nines { max: f64 },
    Places { labels: Vec<String> },
}

/// A value that is written beside the axis.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Tick {
    /// Share of the length.
    pub at: f64,
    pub label: String,
    /// Left out where there is little room.
    pub wide_only: bool,
}

impl Axis {
    /// From 0 to a round number above all `values`.
    pub(in crate::report) fn linear(values: impl IntoIterator<Item = f64>, unit: &str) -> Self {
        let top = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let top = if 0.0 < top { top } else { 1.0 };
        let step = round_step(top / 4.0);
        let max = ((top / step - 1e-9).ceil()).max(1.0) * step;
        Self { scale: Scale::Linear { max, step }, unit: unit.to_owned() }
    }

    /// From a round number below all `values` above 0 to one above them.
    pub(in crate::report) fn log(values: impl IntoIterator<Item = f64>, unit: &str) -> Self {
        let (mut min, mut max) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| 0.0 < *value && value.is_finite()) {
            (min, max) = (min.min(value), max.max(value));
        }
        if max < min {
            (min, max) = (1.0, 10.0);
        }
        let (min, max) = (round_down(min), round_up(max));
        // Where only decades are written, the lower end is one of them.
        let many = DECADES_MAX < (max / min).log10();
        let min = if many { 10_f64.powf((min.log10() + 1e-9).floor()) } else { min };
        let max = if min < max { max } else { round_up(max * 1.5) };
        Self { scale: Scale::Log { min, max }, unit: unit.to_owned() }
    }

    /// Logarithmic where the smallest value above 0 would else be lost beside the largest.
    pub(in crate::report) fn fitting(values: &[f64], unit: &str) -> Self {
        let above = || values.iter().copied().filter(|value| 0.0 < *value);
        let (min, max) = (above().fold(f64::INFINITY, f64::min), above().fold(0.0, f64::max));
        match min * LOG_FROM < max {
            true => Self::log(above(), unit),
            false => Self::linear(above(), unit),
        }
    }

    /// Percentiles of `count` latencies, up to the largest; values are 1/(1-p).
    pub(in crate::report) fn nines(count: u64) -> Self {
        let max = (count.max(10) as f64).log10();
        Self { scale: Scale::Nines { max }, unit: "percentile".to_owned() }
    }

    /// One place for each label; values are 0, 1 and so on.
    pub(in crate::report) fn places(labels: Vec<String>, unit: &str) -> Self {
        Self { scale: Scale::Places { labels }, unit: unit.to_owned() }
    }

    pub(in crate::report) fn is_log(&self) -> bool {
        match self.scale {
            Scale::Log { .. } => true,
            Scale::Linear { .. } | Scale::Nines { .. } | Scale::Places { .. } => false,
        }
    }

    /// Share of the length at which `value` lies.
    pub(in crate::report) fn place(&self, value: f64) -> f64 {
        let share = match &self.scale {
            Scale::Linear { max, .. } => value / max,
            Scale::Log { min, max } => (value.max(*min) / min).log10() / (max / min).log10(),
            Scale::Nines { max } => value.max(1.0).log10() / max,
            Scale::Places { labels } => (value + 0.5) / labels.len().max(1) as f64,
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    pub(in crate::report) fn ticks(&self) -> Vec<Tick> {
        match &self.scale {
            Scale::Linear { max, step } => {
                let count = (max / step).round() as usize;
                let value = |place: usize| place as f64 * step;
                (0..=count).map(|place| self.tick(value(place), *step, place % 2 == 1)).collect()
            }
            Scale::Log { min, max } => {
                let values = log_values(*min, *max);
                values.iter().map(|&(value, minor)| self.tick(value, value, minor)).collect()
            }
            Scale::Nines { max } => nine_ticks(*max),
            Scale::Places { labels } => place_ticks(labels, |place| self.place(place)),
        }
    }

    fn tick(&self, value: f64, step: f64, wide_only: bool) -> Tick {
        Tick { at: self.place(value), label: number::tick(value, step), wide_only }
    }
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let factor =
        [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| least <= factor * decade * 1.000_001);
    factor.unwrap_or(10.0) * decade
}

fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let factors = [5.0, 2.0, 1.0].into_iter();
    factors.map(|factor| factor * decade).find(|round| *round <= value).unwrap_or(decade)
}

fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 5.0].into_iter();
    factors.map(|factor| factor * decade).find(|round| value <= *round).unwrap_or(10.0 * decade)
}

/// 1, 2 and 5 of every decade, or decades alone where there are many; and which may be left out.
fn log_values(min: f64, max: f64) -> Vec<(f64, bool)> {
    let decades = (max / min).log10();
    let factors: &[f64] = if decades <= DECADES_MAX { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let first = min.log10().floor() as i32;
    let last = max.log10().ceil() as i32;
    let mut values = Vec::new();
    for decade in first..=last {
        for &factor in factors {
            let value = factor * 10_f64.powi(decade);
            if (min * 0.999..=max * 1.001).contains(&value) {
                values.push((value, factor != 1.0 && 1.0 < decades));
            }
        }
    }
    values
}

fn nine_ticks(max: f64) -> Vec<Tick> {
    let label = |nines: i32| match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    };
    let nine = |nines: i32| Tick {
        at: f64::from(nines) / max,
        label: label(nines),
        wide_only: nines == 0,
    };
    let half = Tick { at: 2_f64.log10() / max, label: "50 %".to_owned(), wide_only: false };
    let mut ticks: Vec<Tick> = (0..=max.floor() as i32).map(nine).collect();
    ticks.insert(1, half);
    ticks
}

fn place_ticks(labels: &[String], place: impl Fn(f64) -> f64) -> Vec<Tick> {
    let every = labels.len().div_ceil(LABELS_MAX).max(1);
    let shown = labels.iter().enumerate().rev().step_by(every);
    let mut ticks: Vec<Tick> = shown
        .enumerate()
        .map(|(count, (index, label))| Tick {
            at: place(index as f64),
            label: label.clone(),
            wide_only: !count.is_multiple_of(3) && 3 < labels.len(),
        })
        .collect();
    ticks.reverse();
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| tick.label.replace(number::GAP, " ")).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_above_all() {
        let axis = Axis::linear([85_534.0, 12.0], "");
        assert_eq!(labels(&axis), ["0", "25 000", "50 000", "75 000", "100 000"]);
        assert_eq!((axis.place(0.0), axis.place(50_000.0), axis.place(1e9)), (0.0, 0.5, 1.0));
        assert_eq!(labels(&Axis::linear([1.05], "")), ["0.0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(&Axis::linear([], "")).len(), 5);
    }

    #[test]
    fn a_log_axis_gives_every_decade_the_same_room() {
        let axis = Axis::log([0.9, 900.0], "");
        assert_eq!(labels(&axis), ["0.1", "1", "10", "100", "1000"]);
        let (one, ten, hundred) = (axis.place(1.0), axis.place(10.0), axis.place(100.0));
        assert!((ten - one - (hundred - ten)).abs() < 1e-9);
        assert_eq!(labels(&Axis::log([2.0, 45.0], "")), ["2", "5", "10", "20", "50"]);
        assert_eq!(axis.place(0.0), 0.0);
        assert!(labels(&Axis::log([], "")).len() > 1 && labels(&Axis::log([5.0], "")).len() > 1);
    }

    #[test]
    fn an_axis_is_logarithmic_when_small_values_would_be_lost() {
        assert!(!Axis::fitting(&[8_500.0, 85_000.0], "").is_log());
        assert!(Axis::fitting(&[100.0, 85_000.0], "").is_log());
    }

    #[test]
    fn every_nine_takes_the_same_room() {
        let axis = Axis::nines(60_000);
        assert_eq!(labels(&axis), ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((axis.place(100.0) - 2.0 * axis.place(10.0)).abs() < 1e-9);
        assert_eq!((axis.place(1.0), axis.place(60_000.0)), (0.0, 1.0));
    }

    #[test]
    fn places_are_even_and_the_last_keeps_its_label() {
        let names: Vec<String> = (0..50).map(|run| run.to_string()).collect();
        let axis = Axis::places(names, "");
        assert_eq!((axis.place(0.0), axis.place(49.0)), (0.01, 0.99));
        let ticks = axis.ticks();
        assert!(ticks.len() <= LABELS_MAX && ticks.last().is_some_and(|last| last.label == "49"));
        assert_eq!(ticks.last().map(|last| last.wide_only), Some(false));
    }
}
