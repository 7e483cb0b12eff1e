//! Statistics over rounds and runs: intervals, tests, change points, fits. All of it is deterministic.
//!
//! ```text
//! rounds of two arms   ─► bootstrap       ratio of medians with a confidence interval
//! pairs of one run     ─► signed_rank     is the one slower than the other?
//! values of many runs  ─► change_points   where did the level change?
//! rungs of a ladder    ─► least_squares   coefficients that may not be negative
//! ```
//!
//! What draws at random takes a seed, and [`random`] never changes its sequence: the same records give the same
//! figures on every machine and in every version.

use serde::{Deserialize, Serialize};

pub mod bootstrap;
pub mod change_points;
pub mod least_squares;
pub mod median;
pub mod random;
pub mod signed_rank;

/// The level that is asked for everywhere.
pub const CONFIDENCE: f64 = 0.95;

/// An estimate and the range that holds the true value with `confidence`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The best single value.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// From 0 to 1; below [`CONFIDENCE`] where the sample is too small to reach it.
    pub confidence: f64,
}

/// What an interval of a ratio says, given how much two runs of the same thing differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// All of it is below 1 by more than the noise.
    Below,
    /// All of it is above 1 by more than the noise.
    Above,
    /// All of it lies within the noise: no difference that this rig could see.
    Within,
    /// It reaches from the noise to beyond it: more rounds are needed.
    Unclear,
}

impl Interval {
    /// Whether `value` lies inside, the ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// On which side of 1 the ratio lies when ratios from `1 / (1 + noise)` to `1 + noise` mean nothing.
    pub fn side_of_one(&self, noise: f64) -> Side {
        let (lower, upper) = (1.0 / (1.0 + noise), 1.0 + noise);
        if self.high < lower {
            Side::Below
        } else if upper < self.low {
            Side::Above
        } else if lower <= self.low && self.high <= upper {
            Side::Within
        } else {
            Side::Unclear
        }
    }

    /// Both ends and the estimate, times `factor`, which is not negative.
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            estimate: self.estimate * factor,
            low: self.low * factor,
            high: self.high * factor,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_counts_only_beyond_the_noise() {
        let side = |low, high, noise| {
            Interval { estimate: f64::midpoint(low, high), low, high, confidence: 0.95 }
                .side_of_one(noise)
        };
        assert_eq!(side(0.90, 0.94, 0.05), Side::Below);
        assert_eq!(side(0.90, 0.96, 0.05), Side::Unclear);
        assert_eq!(side(0.97, 1.04, 0.05), Side::Within);
        assert_eq!(side(1.06, 1.30, 0.05), Side::Above);
        assert_eq!(side(1.01, 1.02, 0.0), Side::Above);
        assert_eq!(side(0.80, 1.20, 0.05), Side::Unclear);
    }
}
