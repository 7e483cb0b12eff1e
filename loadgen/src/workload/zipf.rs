//! Ranks by Zipf's law: rank k of n with a probability proportional to k^-θ.
//!
//! Rejection-inversion (W. Hörmann and G. Derflinger, ACM TOMACS 6(3), 1996): a rank is drawn from the continuous
//! curve around the law and kept nearly always; it needs no table and no sum over n, so n may change from draw to
//! draw.
//!
//! ```text
//! H(x) = ∫ x^-θ      area below the curve up to x
//! u    uniform in H(1.5) - 1 … H(n + 0.5)        x = H⁻¹(u)        k = round(x)
//! ```
//!
//! Powers are computed here from additions, multiplications and divisions alone: these are the same on every machine,
//! what a machine's mathematical library makes of `powf` is not. A draw costs some 50 ns.

use rand::Rng;

/// The law for one θ.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    theta: f64,
    /// H(1.5) - 1: rank 1 has a whole unit.
    low: f64,
    /// Below this distance from the middle of its rank a draw is kept without a further look.
    near: f64,
    /// H(n + 0.5) and its n.
    high: (u64, f64),
}

impl Zipf {
    pub(super) fn new(theta_permille: u16) -> Self {
        let theta = f64::from(theta_permille) / 1_000.0;
        let mut zipf = Self { theta, low: 0.0, near: 0.0, high: (0, 0.0) };
        zipf.low = zipf.area(1.5) - 1.0;
        zipf.near = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// A rank in `1..=count`.
    pub(super) fn rank(&mut self, rng: &mut impl Rng, count: u64) -> u64 {
        if self.high.0 != count {
            self.high = (count, self.area(count as f64 + 0.5));
        }
        let (low, high) = (self.low, self.high.1);
        loop {
            let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let area = high + uniform * (low - high);
            let x = self.inverse(area);
            let rank = ((x + 0.5) as u64).clamp(1, count);
            let middle = rank as f64;
            if middle - x <= self.near || self.area(middle + 0.5) - self.height(middle) <= area {
                return rank;
            }
        }
    }

    fn area(&self, x: f64) -> f64 {
        let power = 1.0 - self.theta;
        if power == 0.0 { ln(x) } else { (exp(power * ln(x)) - 1.0) / power }
    }

    fn inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.theta;
        if power == 0.0 {
            exp(area)
        } else {
            // Rounding may lead a hair below zero, where no power is.
            exp(ln((1.0 + area * power).max(f64::MIN_POSITIVE)) / power)
        }
    }

    fn height(&self, x: f64) -> f64 {
        exp(-self.theta * ln(x))
    }
}

/// Natural logarithm of a normal number above zero: exponent and mantissa apart, then 2·artanh((m-1)/(m+1)).
fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1_023;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | (1_023 << 52));
    if std::f64::consts::SQRT_2 < mantissa {
        mantissa /= 2.0;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

/// eˣ for |x| below 700: a power of two, and Taylor's series for what is left.
fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let whole = (x / std::f64::consts::LN_2).round();
    let rest = x - whole * std::f64::consts::LN_2;
    let series = (1..16).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    series * f64::from_bits(((whole as i64 + 1_023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Domain, rng};

    #[test]
    fn powers_agree_with_the_library_of_this_machine() {
        for step in 1..4_000 {
            let x = f64::from(step) * 0.173;
            assert!((ln(x) - x.ln()).abs() <= 1e-14 * (1.0 + x.ln().abs()), "ln {x}");
            let y = (f64::from(step) - 2_000.0) * 0.01;
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-13, "exp {y}");
        }
    }

    #[test]
    fn ranks_come_as_often_as_the_law_says() {
        const DRAWS: u32 = 200_000;
        for (theta_permille, count) in [(500, 50), (990, 1_000), (1_000, 1_000), (2_500, 20)] {
            let mut zipf = Zipf::new(theta_permille);
            let mut rng = rng(1, Domain::Operations, 0, 0);
            let mut found = vec![0_u32; count + 1];
            (0..DRAWS).for_each(|_| found[zipf.rank(&mut rng, count as u64) as usize] += 1);
            let theta = f64::from(theta_permille) / 1_000.0;
            let weight = |rank: usize| (rank as f64).powf(-theta);
            let all: f64 = (1..=count).map(weight).sum();
            for rank in [1, 2, 3, 7, 20] {
                let expected = weight(rank) / all * f64::from(DRAWS);
                let away = (f64::from(found[rank]) - expected).abs();
                // Five standard deviations.
                assert!(
                    away < 5.0 * expected.sqrt() + 1.0,
                    "θ {theta} rank {rank}: {away} off {expected}"
                );
            }
            assert_eq!(found[0], 0);
        }
    }
}
