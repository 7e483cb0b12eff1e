//! Wilcoxon's signed-rank test for pairs, exact at every size and with ties.
//!
//! ```text
//! pairs          ln(new / base)     rank by size     p = share of all 2ⁿ sign patterns whose rank sum
//! (102, 100)         +0.020             2                of the positive is at least the one seen
//! (101, 100)         +0.010             1
//! ```
//!
//! Source: Wilcoxon, "Individual comparisons by ranking methods", 1945. Equal sizes share the mean of their ranks, pairs
//! without a difference are left out, and the distribution is counted over the ranks that are there, so nothing is
//! approximated. Ranks instead of sizes: one disturbed pair does not decide.

/// Beyond this many pairs the later ones are not looked at: the count takes n³ steps.
pub const PAIRS_MAX: usize = 400;

/// Sizes that differ by less than this share differ by rounding: `ln(a / b)` is not always `-ln(b / a)`.
const TIED: f64 = 1e-9;

/// How likely the pairs `(new, base)` would be at least this much in favour of `new > base` if both were the same.
/// 1 where no pair differs.
pub fn p_of_larger(pairs: &[(f64, f64)]) -> f64 {
    let mut differences: Vec<f64> = pairs
        .iter()
        .take(PAIRS_MAX)
        .map(|(new, base)| (new / base).ln())
        .filter(|difference| difference.is_finite() && *difference != 0.0)
        .collect();
    differences.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&differences);
    let positive = differences.iter().zip(&ranks).filter(|(difference, _)| 0.0 < **difference);
    let seen: usize = positive.map(|(_, rank)| rank).sum();
    share_at_least(&ranks, seen)
}

/// Twice the rank of each, so that the mean of two ranks is whole. Sorted by size.
fn doubled_ranks(differences: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(differences.len());
    for tied in differences.chunk_by(|a, b| b.abs() - a.abs() <= TIED * b.abs()) {
        let first = ranks.len() + 1;
        ranks.resize(ranks.len() + tied.len(), first + first + tied.len() - 1);
    }
    ranks
}

/// The share of all subsets of `ranks` whose sum is at least `sum`.
fn share_at_least(ranks: &[usize], sum: usize) -> f64 {
    let mut shares = vec![0.0; ranks.iter().sum::<usize>() + 1];
    shares[0] = 1.0;
    for &rank in ranks {
        for total in (0..shares.len()).rev() {
            let with = total.checked_sub(rank).map_or(0.0, |without| shares[without]);
            shares[total] = f64::midpoint(shares[total], with);
        }
    }
    shares[sum..].iter().sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    fn pairs(differences: &[f64]) -> Vec<(f64, f64)> {
        differences.iter().map(|difference| (difference.exp(), 1.0)).collect()
    }

    #[test]
    fn the_shares_are_those_of_the_printed_tables() {
        // Critical sums of the one-sided test: n = 10 → 10 at 5 % (p 0.0420), 8 at 2.5 % (p 0.0244), 5 at 1 % (0.0098).
        let doubled: Vec<usize> = (1..=10).map(|rank| 2 * rank).collect();
        for (sum_of_negative, p) in [(10, 0.0420), (8, 0.0244), (5, 0.0098)] {
            let found = share_at_least(&doubled, 2 * (55 - sum_of_negative));
            assert!((found - p).abs() < 0.0001, "{sum_of_negative}: {found}");
        }
    }

    #[test]
    fn few_pairs_cannot_prove_much() {
        assert_eq!(p_of_larger(&pairs(&[0.1, 0.2, 0.3])), 0.125);
        assert_eq!(p_of_larger(&pairs(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])), 1.0 / 128.0);
        assert_eq!(p_of_larger(&pairs(&[-0.1, -0.2, -0.3])), 1.0);
        assert_eq!(p_of_larger(&[(1.0, 1.0); 9]), 1.0);
        assert_eq!(p_of_larger(&[]), 1.0);
    }

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(doubled_ranks(&[1.0, -2.0, 2.0, 3.0]), [2, 5, 5, 8]);
        // Of the 8 patterns of three equal sizes, one has three positive and three have two.
        assert_eq!(p_of_larger(&pairs(&[0.25, 0.25, -0.25])), 0.5);
    }

    #[test]
    fn it_errs_as_seldom_as_it_says_and_finds_what_is_there() {
        let rejected = |shift: f64| {
            let run = |seed: u64| {
                let mut random = Random::seeded(seed);
                let differences: Vec<f64> =
                    (0..12).map(|_| shift + 0.04 * random.normal()).collect();
                p_of_larger(&pairs(&differences)) <= 0.05
            };
            (0..1_000).filter(|&seed| run(seed)).count()
        };
        let (false_alarms, found) = (rejected(0.0), rejected(0.05));
        assert!((25..=68).contains(&false_alarms), "{false_alarms} of 1,000");
        assert!(950 < found, "{found} of 1,000");
    }
}
