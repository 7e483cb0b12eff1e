//! Where the level of a series changed: E-divisive with means, by permutation test.
//!
//! ```text
//! runs      1.01 0.99 1.00 1.02 0.98 | 0.94 0.95 0.93          split with the largest divergence q
//! shuffled  0.95 1.01 0.98 1.02 0.94 1.00 0.93 0.99            how often does chance reach q?
//! ```
//!
//! Source: Matteson, James, "A nonparametric approach for multiple change point analysis of multivariate data", Journal
//! of the American Statistical Association 109, 2014; used for a history of benchmark runs by Daly, Brown, Ingo,
//! O'Leary, Bradford, "The use of change point detection to identify software performance regressions in a continuous integration
//! system", ICPE 2020. As there, the right part of a split reaches to the end of its segment, and α = 1.
//!
//! The segment whose best split diverges most is split first; the test shuffles within all segments at once. It stops
//! at the first split that chance explains. No distribution is assumed; runs are taken to be exchangeable between two
//! changes, so a slow drift is reported as a step.

use super::median::median;
use super::random::Random;

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// The share of series without a change in which one may be found.
    pub significance: f64,
    /// Fewest values on each side of a change; at least 2.
    pub segment_min: usize,
}

/// A change of the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// Place of the first value after it.
    pub at: usize,
    /// The share of shuffled series that diverge as much.
    pub p: f64,
    /// Median from the change before up to here.
    pub before: f64,
    /// Median from here to the next change.
    pub after: f64,
}

/// The changes of level in `series`, first one first; none in a series too short to have one.
pub fn find(series: &[f64], sensitivity: Sensitivity, mut random: Random) -> Vec<ChangePoint> {
    let segment_min = sensitivity.segment_min.max(2);
    let mut bounds = vec![0, series.len()];
    let mut found: Vec<(usize, f64)> = Vec::new();
    while let Some(split) = best_split(series, &bounds, segment_min) {
        let Some(p) = chance(series, &bounds, split.q, sensitivity, &mut random) else { break };
        bounds.push(split.at);
        bounds.sort_unstable();
        found.push((split.at, p));
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    let levels: Vec<f64> = bounds
        .windows(2)
        .map(|segment| median(series[segment[0]..segment[1]].to_vec()).unwrap_or(f64::NAN))
        .collect();
    let around = levels.windows(2);
    found
        .into_iter()
        .zip(around)
        .map(|((at, p), levels)| ChangePoint { at, p, before: levels[0], after: levels[1] })
        .collect()
}

#[derive(Clone, Copy, Debug)]
struct Split {
    at: usize,
    q: f64,
}

/// The split that diverges most, over all segments between `bounds`.
fn best_split(series: &[f64], bounds: &[usize], segment_min: usize) -> Option<Split> {
    let segments = bounds.windows(2).filter_map(|segment| {
        let (start, end) = (segment[0], segment[1]);
        let split = split_of(&series[start..end], segment_min)?;
        Some(Split { at: start + split.at, q: split.q })
    });
    segments.max_by(|a, b| a.q.total_cmp(&b.q))
}

/// The best split of one segment. Sums of distances are carried on from split to split, so it takes n² steps.
fn split_of(values: &[f64], segment_min: usize) -> Option<Split> {
    let length = values.len();
    if length < 2 * segment_min {
        return None;
    }
    let distances = |from: f64, to: &[f64]| to.iter().map(|to| (from - to).abs()).sum::<f64>();
    let (mut left, mut cross) = (0.0, 0.0);
    let mut right: f64 =
        values.iter().enumerate().map(|(i, &value)| distances(value, &values[i + 1..])).sum();
    let mut best: Option<Split> = None;
    for (i, &value) in values.iter().enumerate().take(length - segment_min) {
        let to_left = distances(value, &values[..i]);
        let to_right = distances(value, &values[i + 1..]);
        left += to_left;
        right -= to_right;
        cross += to_right - to_left;
        let at = i + 1;
        if at < segment_min {
            continue;
        }
        let (n, m) = (at as f64, (length - at) as f64);
        let divergence =
            2.0 * cross / (n * m) - left / (n * (n - 1.0) / 2.0) - right / (m * (m - 1.0) / 2.0);
        let q = divergence * n * m / (n + m);
        if best.is_none_or(|best| best.q < q) {
            best = Some(Split { at, q });
        }
    }
    best
}

/// The share of shuffled series that reach `q`, if it is at most the significance. Shuffling ends as soon as that is
/// out of reach, which changes no decision.
fn chance(
    series: &[f64],
    bounds: &[usize],
    q: f64,
    sensitivity: Sensitivity,
    random: &mut Random,
) -> Option<f64> {
    // Ten shuffles may reach q before the share is too large: its own error is then small beside it.
    let shuffles = (10.0 / sensitivity.significance).ceil();
    let reached_max = (sensitivity.significance * (shuffles + 1.0)).floor() as u32;
    let mut reached = 1_u32;
    let mut shuffled = series.to_vec();
    for _ in 0..shuffles as u32 {
        for segment in bounds.windows(2) {
            random.shuffle(&mut shuffled[segment[0]..segment[1]]);
        }
        let best = best_split(&shuffled, bounds, sensitivity.segment_min.max(2));
        reached += u32::from(best.is_some_and(|best| q <= best.q));
        if reached_max < reached {
            return None;
        }
    }
    Some(f64::from(reached) / (shuffles + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSITIVITY: Sensitivity = Sensitivity { significance: 0.01, segment_min: 3 };

    /// Levels with their lengths, under noise of 2 %.
    fn series(levels: &[(f64, usize)], random: &mut Random) -> Vec<f64> {
        let values = levels.iter().flat_map(|&(level, length)| std::iter::repeat_n(level, length));
        values.map(|level| level * (0.02 * random.normal()).exp()).collect()
    }

    fn find_in(levels: &[(f64, usize)], seed: u64) -> Vec<ChangePoint> {
        let mut random = Random::seeded(seed);
        find(&series(levels, &mut random), SENSITIVITY, random)
    }

    #[test]
    fn steps_are_found_where_they_are() {
        let places = |seed| -> Vec<usize> {
            let found = find_in(&[(1.0, 15), (0.9, 12), (1.1, 15)], seed);
            found.iter().map(|change| change.at).collect()
        };
        let exact = (0..200).filter(|&seed| places(seed) == [15, 27]).count();
        assert!(180 < exact, "{exact} of 200");
        let found = find_in(&[(1.0, 15), (0.9, 12), (1.1, 15)], 1);
        assert!((found[0].before - 1.0).abs() < 0.02 && (found[0].after - 0.9).abs() < 0.02);
        assert!(found[0].after == found[1].before && found[1].p <= 0.01);
    }

    #[test]
    fn the_divergence_is_that_of_its_definition() {
        let values = [1.0, 4.0, 2.0, 8.0, 9.0, 7.5, 6.0];
        let split = split_of(&values, 2).expect("long enough");
        let by_definition = |at: usize| {
            let (left, right) = values.split_at(at);
            let mean = |a: &[f64], b: &[f64]| {
                let sum: f64 = a.iter().flat_map(|x| b.iter().map(move |y| (x - y).abs())).sum();
                sum / (a.len() * b.len()) as f64
            };
            // A mean over pairs of different values has n - 1 partners for each, not n.
            let within = |a: &[f64]| mean(a, a) * a.len() as f64 / (a.len() - 1) as f64;
            let (n, m) = (left.len() as f64, right.len() as f64);
            (2.0 * mean(left, right) - within(left) - within(right)) * n * m / (n + m)
        };
        let best = (2..=5).max_by(|&a, &b| by_definition(a).total_cmp(&by_definition(b)));
        assert_eq!(Some(split.at), best);
        assert!((split.q - by_definition(split.at)).abs() < 1e-9);
    }

    #[test]
    fn steady_series_have_changes_as_seldom_as_asked() {
        let false_alarms =
            (0..1_000).filter(|&seed| !find_in(&[(1.0, 20)], seed).is_empty()).count();
        assert!(false_alarms <= 20, "{false_alarms} of 1,000, asked for 10");
    }

    #[test]
    fn a_step_of_five_percent_is_found_under_noise_of_two() {
        let close = |found: Vec<ChangePoint>| {
            found.first().is_some_and(|change| change.at.abs_diff(15) <= 1)
        };
        let found = (0..200).filter(|&seed| close(find_in(&[(1.0, 15), (0.95, 8)], seed))).count();
        assert!(170 < found, "{found} of 200");
    }

    #[test]
    fn short_and_constant_series_have_no_changes() {
        for length in 0..6 {
            assert_eq!(find(&vec![1.0; length], SENSITIVITY, Random::seeded(1)), []);
        }
        assert_eq!(find(&[1.0; 50], SENSITIVITY, Random::seeded(1)), []);
        assert_eq!(find(&[1.0, 1.0, 2.0, 2.0], SENSITIVITY, Random::seeded(1)), []);
    }
}
