//! Confidence intervals of medians and ratios by the percentile bootstrap.
//!
//! ```text
//! rounds of the sample ─► draw as many with replacement ─► statistic      4,000 times
//!                         2.5 % of these statistics lie below the interval, 2.5 % above
//! ```
//!
//! Why percentile and not BCa (both: Efron, Tibshirani, "An introduction to the bootstrap", 1993): runs have some five
//! rounds. There the median's jackknife takes two or three values, and BCa's acceleration made of it is noise.
//!
//! Few rounds: no interval of a median is wider than the range of its sample, and the range of n rounds holds the true
//! median with 1 − 2¹⁻ⁿ: 75 % for three rounds, 87.5 % for four, 93.75 % for five. [`Interval::confidence`] says so.
//! Below [`ROUNDS_MIN`] rounds there is no interval. The tests count how often the truth lies inside.

use super::median::{median, quantile, sorted};
use super::random::Random;
use super::{CONFIDENCE, Interval};

/// Fewer rounds have no interval.
pub const ROUNDS_MIN: usize = 3;

const RESAMPLES: usize = 4_000;

/// The median of the ratios `new / base` of pairs `(new, base)`, each pair from one round. `None` for fewer than
/// [`ROUNDS_MIN`] pairs or where a value is not above zero.
pub fn ratio_of_pairs(pairs: &[(f64, f64)], random: Random) -> Option<Interval> {
    let ratios: Vec<f64> = pairs.iter().map(|(new, base)| new / base).collect();
    pairs
        .iter()
        .all(|&(new, base)| is_figure(new) && is_figure(base))
        .then(|| median_of(&ratios, random))?
}

/// The median of a sample, and where it may lie. `None` for fewer than [`ROUNDS_MIN`] values.
pub fn median_of(sample: &[f64], mut random: Random) -> Option<Interval> {
    if sample.len() < ROUNDS_MIN {
        return None;
    }
    let estimate = median(sample.to_vec())?;
    let statistics = (0..RESAMPLES).filter_map(|_| median(draw(sample, &mut random))).collect();
    interval(estimate, statistics, reachable(sample.len()))
}

/// Rounds, of which some can be drawn.
pub trait Sample {
    /// How many there are.
    fn rounds(&self) -> usize;

    /// The figure of the rounds at the places `drawn`, each as often as it was drawn; `None` where there is none.
    fn figure(&self, drawn: &[usize]) -> Option<f64>;

    /// The figure of all rounds.
    fn estimate(&self) -> Option<f64> {
        self.figure(&(0..self.rounds()).collect::<Vec<_>>())
    }
}

/// One value for each round; the figure is their median.
impl Sample for [f64] {
    fn rounds(&self) -> usize {
        self.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        median(drawn.iter().map(|&round| self[round]).collect())
    }
}

/// The ratio of the figures of two samples that have no rounds in common, as those of two runs. `None` where one has
/// fewer than [`ROUNDS_MIN`] rounds or a figure is not above zero.
pub fn ratio_of_samples<S: Sample + ?Sized>(
    new: &S,
    base: &S,
    mut random: Random,
) -> Option<Interval> {
    let fewest = new.rounds().min(base.rounds());
    if fewest < ROUNDS_MIN {
        return None;
    }
    let ratio = |new: Option<f64>, base: Option<f64>| {
        Some(new.filter(|&new| is_figure(new))? / base.filter(|&base| is_figure(base))?)
    };
    let estimate = ratio(new.estimate(), base.estimate())?;
    let places = [new, base].map(|sample| (0..sample.rounds()).collect::<Vec<_>>());
    let statistics: Option<Vec<f64>> = (0..RESAMPLES)
        .map(|_| {
            let [of_new, of_base] = places.each_ref().map(|places| draw(places, &mut random));
            ratio(new.figure(&of_new), base.figure(&of_base))
        })
        .collect();
    interval(estimate, statistics?, reachable(fewest))
}

/// The interval of a statistic that is computed anew for each of the resamples that `resampled` makes. Draws that give
/// `None` or no number are left out; `None` if more than half are.
pub fn of_statistic(
    estimate: f64,
    mut random: Random,
    resamples: usize,
    mut resampled: impl FnMut(&mut Random) -> Option<f64>,
) -> Option<Interval> {
    let statistics: Vec<f64> = (0..resamples)
        .filter_map(|_| resampled(&mut random).filter(|value| value.is_finite()))
        .collect();
    if statistics.len() * 2 < resamples {
        return None;
    }
    interval(estimate, statistics, CONFIDENCE)
}

/// As many of `sample` as there are, with replacement.
pub fn draw<T: Copy>(sample: &[T], random: &mut Random) -> Vec<T> {
    (0..sample.len()).map(|_| sample[random.place(sample.len())]).collect()
}

fn interval(estimate: f64, statistics: Vec<f64>, confidence: f64) -> Option<Interval> {
    let statistics = sorted(statistics);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    // A statistic that is seldom drawn must not push its own estimate out of its interval.
    let low = quantile(&statistics, tail)?.min(estimate);
    let high = quantile(&statistics, 1.0 - tail)?.max(estimate);
    Some(Interval { estimate, low, high, confidence })
}

fn reachable(rounds: usize) -> f64 {
    CONFIDENCE.min(1.0 - 2.0_f64.powi(1 - rounds as i32))
}

fn is_figure(value: f64) -> bool {
    value.is_finite() && 0.0 < value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 400 intervals hold `truth`, in percent.
    fn coverage(truth: f64, interval: impl Fn(&mut Random) -> Interval) -> f64 {
        let held = (0..400_u64)
            .filter(|&seed| interval(&mut Random::seeded(seed * 7_919 + 1)).contains(truth))
            .count();
        held as f64 / 4.0
    }

    fn noisy(random: &mut Random, rounds: usize, level: f64, deviation: f64) -> Vec<f64> {
        (0..rounds).map(|_| level * (deviation * random.normal()).exp()).collect()
    }

    #[test]
    fn intervals_of_a_median_hold_the_truth_as_often_as_they_say() {
        for rounds in [3, 4, 5, 8, 12, 30] {
            let covered = coverage(0.9, |random| {
                let sample = noisy(random, rounds, 0.9, 0.04);
                median_of(&sample, random.clone()).expect("enough rounds")
            });
            let said = reachable(rounds) * 100.0;
            assert!(said - 3.5 < covered, "{rounds} rounds: {covered} %, said {said} %");
            assert!(covered <= said + 4.5, "{rounds} rounds: {covered} %, said {said} %");
        }
    }

    #[test]
    fn intervals_of_two_runs_hold_the_truth_as_often_as_they_say() {
        for (rounds, skewed) in [(5, false), (5, true), (10, false), (20, true)] {
            let covered = coverage(0.95, |random| {
                let mut run = |level| -> Vec<f64> {
                    let sample = noisy(random, rounds, level, 0.05);
                    // A tail to one side, as latencies have it; the median of both runs moves alike.
                    let tail = |value: f64| if skewed { value.powi(3) } else { value };
                    sample.into_iter().map(tail).collect()
                };
                let (new, base) = (run(if skewed { 0.95_f64.cbrt() } else { 0.95 }), run(1.0));
                ratio_of_samples(&new[..], &base[..], random.clone()).expect("enough rounds")
            });
            assert!((91.0..=99.8).contains(&covered), "{rounds} rounds: {covered} %");
        }
    }

    #[test]
    fn pairs_cancel_what_both_arms_suffer() {
        let mut random = Random::seeded(3);
        let pairs: Vec<(f64, f64)> = (0..7)
            .map(|_| {
                let machine = (0.5 * random.normal()).exp();
                (machine * 0.9 * (0.01 * random.normal()).exp(), machine)
            })
            .collect();
        let paired = ratio_of_pairs(&pairs, Random::seeded(1)).expect("enough rounds");
        let (new, base): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let apart =
            ratio_of_samples(&new[..], &base[..], Random::seeded(1)).expect("enough rounds");
        assert!(paired.contains(0.9) && paired.high - paired.low < 0.03, "{paired:?}");
        assert!((paired.high - paired.low) * 10.0 < apart.high - apart.low, "{apart:?}");
    }

    #[test]
    fn few_rounds_say_what_they_cannot_reach() {
        let confidence = |sample: &[f64]| {
            median_of(sample, Random::seeded(1)).map(|interval| interval.confidence)
        };
        assert_eq!(confidence(&[1.0, 2.0]), None);
        assert_eq!(confidence(&[1.0, 2.0, 3.0]), Some(0.75));
        assert_eq!(confidence(&[1.0; 5]), Some(0.9375));
        assert_eq!(confidence(&[1.0; 6]), Some(0.95));
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let sample = [0.81, 0.77, 0.95, 0.79, 0.88, 0.83];
        let interval = |seed| median_of(&sample, Random::seeded(seed)).expect("enough rounds");
        assert_eq!(interval(5), interval(5));
        assert!(interval(5).contains(interval(6).estimate));
    }

    #[test]
    fn what_is_no_figure_has_no_ratio() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                ratio_of_samples(&[1.0, bad, bad][..], &[1.0; 3][..], Random::seeded(1)),
                None
            );
            assert_eq!(ratio_of_pairs(&[(1.0, bad); 4], Random::seeded(1)), None);
        }
    }
}
