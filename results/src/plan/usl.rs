//! The Universal Scalability Law, fitted to measured rungs.
//!
//! ```text
//!                  λ N                   λ   rate of one
//! X(N) = ─────────────────────────       σ   share that waits for something shared
//!        1 + σ (N − 1) + κ N (N − 1)     κ   cost of keeping each in step with each other
//! ```
//!
//! Source: Gunther, "Guerrilla capacity planning", 2007. N is what was turned up: parallel connectors, or the offered rate
//! in units of the lowest. λ > 0, σ ≥ 0, κ ≥ 0.
//!
//! The fit: noise of a rate is a share of it, so the sum of the squares of ln(measured / model) is made small. The time
//! N / X is linear in 1/λ, σ/λ and κ/λ; a first solution comes from that form, with relative weights. Each further step
//! makes the logarithm linear around the last solution (Gauss and Newton) and is solved with no coefficient negative
//! ([`crate::stats::least_squares`]); a step that does not improve the sum is halved. So σ and κ are exactly 0 where
//! the data ask for less, and no start value is needed.
//!
//! Intervals: residuals, as wide as the fit's degrees of freedom ask for, are drawn again and put on the fitted
//! rates, and all is fitted anew. That works with one round for each rung as well, and the residuals carry what the
//! model misses.

use serde::{Deserialize, Serialize};

use crate::stats::Interval;
use crate::stats::bootstrap;
use crate::stats::least_squares::{Row, nonnegative};
use crate::stats::median::median;
use crate::stats::random::Random;

/// Coefficients to be fitted.
const COEFFICIENTS: usize = 3;

const STEPS_MAX: usize = 30;

const RESAMPLES: usize = 1_000;

/// The law with its coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usl {
    /// Rate at N = 1.
    pub lambda: f64,
    /// Contention.
    pub sigma: f64,
    /// Coherency.
    pub kappa: f64,
}

/// A measured rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// N, at least 1.
    pub load: f64,
    /// Events per second.
    pub events_per_s: f64,
}

impl Usl {
    /// X(N).
    pub fn rate(&self, load: f64) -> f64 {
        self.lambda * load / (1.0 + (load - 1.0) * (self.sigma + self.kappa * load))
    }

    /// The load at which the rate is largest; `None` if it grows for ever.
    pub fn peak_load(&self) -> Option<f64> {
        (0.0 < self.kappa).then(|| ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0))
    }

    /// The largest rate that is ever reached; infinite if there is no bound.
    pub fn rate_max(&self) -> f64 {
        match self.peak_load() {
            Some(load) => self.rate(load),
            None if 0.0 < self.sigma => self.lambda / self.sigma.min(1.0),
            None => f64::INFINITY,
        }
    }

    /// The smallest load, from 1 on, that reaches `events_per_s`; `None` if none does.
    pub fn load_for(&self, events_per_s: f64) -> Option<f64> {
        if events_per_s <= self.lambda {
            return Some(1.0);
        }
        // κ r N² + (σ r − κ r − λ) N + (1 − σ) r = 0, solved so that nothing cancels out when κ is near 0.
        let Self { lambda, sigma, kappa } = *self;
        let [a, b, c] = [kappa, sigma - kappa - lambda / events_per_s, 1.0 - sigma];
        let root = b * b - 4.0 * a * c;
        let load = 2.0 * c / (root.sqrt() - b);
        (0.0 <= root && b < 0.0 && 1.0 <= load && load.is_finite()).then_some(load)
    }
}

/// The law that fits best; `None` for fewer than four points, fewer than three loads, or rates that are not above zero.
pub fn fit(points: &[Point]) -> Option<Usl> {
    let mut loads: Vec<f64> = points.iter().map(|point| point.load).collect();
    loads.sort_unstable_by(f64::total_cmp);
    loads.dedup();
    let sound = |point: &Point| {
        1.0 <= point.load && 0.0 < point.events_per_s && point.events_per_s.is_finite()
    };
    if points.len() <= COEFFICIENTS || loads.len() < COEFFICIENTS || !points.iter().all(sound) {
        return None;
    }
    let measured = |point: &Point| point.load / point.events_per_s;
    let mut best = solve(points, |point| (measured(point), measured(point)))?;
    for _ in 0..STEPS_MAX {
        let around = |point: &Point| {
            let time = time(point, &best);
            (time * (1.0 + (measured(point) / time).ln()), time)
        };
        let Some(next) = solve(points, around) else { break };
        let Some(better) = improve(points, &best, &next) else { break };
        best = better;
    }
    let [one, contention, coherency] = best;
    (0.0 < one).then(|| Usl { lambda: 1.0 / one, sigma: contention / one, kappa: coherency / one })
}

type Coefficients = [f64; COEFFICIENTS];

fn columns(load: f64) -> [f64; COEFFICIENTS] {
    [1.0, load - 1.0, load * (load - 1.0)]
}

/// N / X of the law.
fn time(point: &Point, coefficients: &Coefficients) -> f64 {
    columns(point.load).iter().zip(coefficients).map(|(column, value)| column * value).sum()
}

/// Solves for what `target` says a point's time should be, and what it is to be relative to.
fn solve(points: &[Point], target: impl Fn(&Point) -> (f64, f64)) -> Option<Coefficients> {
    let row = |point: &Point| {
        let (target, scale) = target(point);
        Row { columns: columns(point.load), target, weight: scale.powi(-2) }
    };
    nonnegative(&points.iter().map(row).collect::<Vec<_>>())
}

/// The longest of a step's halves that makes the sum smaller; `None` if none does by a share that matters.
fn improve(points: &[Point], from: &Coefficients, to: &Coefficients) -> Option<Coefficients> {
    let sum = |coefficients: &Coefficients| -> f64 {
        let square = |point: &Point| {
            (point.load / point.events_per_s / time(point, coefficients)).ln().powi(2)
        };
        points.iter().map(square).sum()
    };
    let now = sum(from);
    let step = |share: f64| -> Coefficients {
        std::array::from_fn(|place| from[place] + share * (to[place] - from[place]))
    };
    (0..10).map(|half| step(0.5_f64.powi(half))).find(|next| sum(next) < now * (1.0 - 1e-10))
}

/// A fitted law and what is needed to say how sure it is.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The law.
    pub usl: Usl,
    points: Vec<Point>,
    /// ln(measured / model), widened for the coefficients that were fitted.
    residuals: Vec<f64>,
}

impl Fitted {
    /// Fits; see [`fit`].
    pub fn of(points: Vec<Point>) -> Option<Self> {
        let usl = fit(&points)?;
        let count = points.len() as f64;
        let widened = (count / (count - COEFFICIENTS as f64)).sqrt();
        let residuals: Vec<f64> = points
            .iter()
            .map(|point| widened * (point.events_per_s / usl.rate(point.load)).ln())
            .collect();
        Some(Self { usl, points, residuals })
    }

    /// Where a figure of the law may lie.
    pub fn interval(
        &self,
        name: &str,
        estimate: f64,
        figure: impl Fn(&Usl) -> Option<f64>,
    ) -> Option<Interval> {
        bootstrap::of_statistic(estimate, Random::named(name), RESAMPLES, |random| {
            figure(&self.redrawn(random)?)
        })
    }

    /// The rate of a rung that was not measured yet: where the median of its `rounds` may lie.
    pub fn prediction(&self, load: f64, rounds: usize) -> Option<Interval> {
        let name = format!("prediction at {load}");
        let estimate = self.usl.rate(load);
        bootstrap::of_statistic(estimate, Random::named(&name), RESAMPLES, |random| {
            let rate = self.redrawn(random)?.rate(load);
            let noise =
                (0..rounds.max(1)).map(|_| self.residuals[random.place(self.residuals.len())]);
            Some(rate * median(noise.collect())?.exp())
        })
    }

    fn redrawn(&self, random: &mut Random) -> Option<Usl> {
        let redraw = |point: &Point| {
            let residual = self.residuals[random.place(self.residuals.len())];
            Point { events_per_s: self.usl.rate(point.load) * residual.exp(), ..*point }
        };
        fit(&self.points.iter().map(redraw).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(usl: Usl, loads: &[f64], rounds: u32, noise: f64, random: &mut Random) -> Vec<Point> {
        let rungs = loads.iter().flat_map(|&load| (0..rounds).map(move |_| load));
        let measure =
            |load| Point { load, events_per_s: usl.rate(load) * (noise * random.normal()).exp() };
        rungs.map(measure).collect()
    }

    const TRUTH: Usl = Usl { lambda: 9_000.0, sigma: 0.08, kappa: 0.002 };
    const LOADS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 12.0, 16.0];

    #[test]
    fn without_noise_the_law_is_found_exactly() {
        for (sigma, kappa) in [(0.08, 0.002), (0.0, 0.0), (0.3, 0.0), (0.0, 0.01), (0.9, 0.00001)] {
            let truth = Usl { lambda: 9_000.0, sigma, kappa };
            let found = fit(&points(truth, &LOADS, 1, 0.0, &mut Random::seeded(1))).expect("fits");
            assert!((found.lambda / truth.lambda - 1.0).abs() < 1e-6, "{found:?}");
            assert!(
                (found.sigma - sigma).abs() < 1e-6 && (found.kappa - kappa).abs() < 1e-7,
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_published_series_gives_its_best_law() {
        // The series of 32 loads in Schwartz, Fortune, "Forecasting MySQL scalability with the universal scalability law",
        // 2010. The values below were found by a simplex search (Nelder and Mead) for the same sum. Plain least squares
        // on the rates gives λ 995.65, σ 0.02672, κ 0.000769, with the peak at the same load.
        let rates = [
            955.16, 1_878.91, 2_688.01, 3_548.68, 4_315.54, 5_130.43, 5_931.37, 6_531.08, 7_219.8,
            7_867.61, 8_278.71, 8_646.7, 9_047.84, 9_426.55, 9_645.37, 9_897.24, 10_097.6,
            10_240.5, 10_532.39, 10_798.52, 11_151.43, 11_518.63, 11_806.0, 12_089.37, 12_075.41,
            12_177.29, 12_211.41, 12_158.93, 12_155.27, 12_118.04, 12_140.4, 12_074.39,
        ];
        let points: Vec<Point> = (1..)
            .zip(rates)
            .map(|(load, events_per_s)| Point { load: f64::from(load), events_per_s })
            .collect();
        let found = fit(&points).expect("fits");
        for (found, expected) in
            [(found.lambda, 960.150_9), (found.sigma, 0.020_453_9), (found.kappa, 0.000_890_96)]
        {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} is not {expected}");
        }
        assert!((found.peak_load().expect("a peak") - 34.0).abs() < 1.5, "{found:?}");
    }

    #[test]
    fn no_neighbour_fits_better_and_nothing_is_negative() {
        let sum = |points: &[Point], usl: &Usl| -> f64 {
            let squares = points.iter().map(|p| (p.events_per_s / usl.rate(p.load)).ln().powi(2));
            squares.sum()
        };
        for seed in 0..200 {
            let points = points(TRUTH, &LOADS[..5], 2, 0.15, &mut Random::seeded(seed));
            let Some(found) = fit(&points) else { continue };
            assert!(0.0 < found.lambda && 0.0 <= found.sigma && 0.0 <= found.kappa, "{found:?}");
            let best = sum(&points, &found);
            for (lambda, sigma, kappa) in [
                (1.002, 0.0, 0.0),
                (0.998, 0.0, 0.0),
                (1.0, 1e-4, 0.0),
                (1.0, -1e-4, 0.0),
                (1.0, 0.0, 1e-5),
                (1.0, 0.0, -1e-5),
            ] {
                let other = Usl {
                    lambda: found.lambda * lambda,
                    sigma: (found.sigma + sigma).max(0.0),
                    kappa: (found.kappa + kappa).max(0.0),
                };
                assert!(best <= sum(&points, &other) + 1e-9, "{seed}: {found:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_next_rung_is_predicted_within_a_tenth_and_the_interval_holds_it() {
        let (mut near, mut held) = (0, 0);
        for seed in 0..100 {
            let mut random = Random::seeded(seed);
            let fitted =
                Fitted::of(points(TRUTH, &LOADS[..5], 3, 0.04, &mut random)).expect("fits");
            let rounds = points(TRUTH, &LOADS[5..], 3, 0.04, &mut random);
            let measured = median(rounds.iter().map(|point| point.events_per_s).collect());
            let measured = measured.expect("three rounds");
            let predicted = fitted.prediction(LOADS[5], 3).expect("fits");
            near += u32::from((predicted.estimate / measured - 1.0).abs() <= 0.1);
            held += u32::from(predicted.contains(measured));
        }
        assert!(90 <= near, "{near} of 100 within a tenth");
        assert!((88..=100).contains(&held), "{held} of 100 inside");
    }

    #[test]
    fn intervals_of_the_load_hold_the_truth() {
        let truth = TRUTH.load_for(30_000.0).expect("reached");
        let held = (0..100).filter(|&seed| {
            let fitted = Fitted::of(points(TRUTH, &LOADS, 3, 0.04, &mut Random::seeded(seed)));
            let fitted = fitted.expect("fits");
            let estimate = fitted.usl.load_for(30_000.0).expect("reached");
            let interval = fitted.interval("load", estimate, |usl| usl.load_for(30_000.0));
            interval.expect("reached").contains(truth)
        });
        let held = held.count();
        assert!((88..=100).contains(&held), "{held} of 100");
    }

    #[test]
    fn loads_and_rates_are_inverse_up_to_the_peak() {
        for usl in [
            TRUTH,
            Usl { kappa: 0.0, ..TRUTH },
            Usl { sigma: 0.0, ..TRUTH },
            Usl { sigma: 0.0, kappa: 0.0, ..TRUTH },
        ] {
            for load in [1.0, 1.5, 7.0, 20.0] {
                let found = usl.load_for(usl.rate(load)).expect("reached");
                assert!((found - load).abs() < 1e-6, "{usl:?} at {load}: {found}");
            }
            assert_eq!(usl.load_for(1.0), Some(1.0));
            assert_eq!(usl.load_for(usl.rate_max() * 1.01), None);
        }
        let peak = TRUTH.peak_load().expect("a peak");
        assert!(
            TRUTH.rate(peak * 1.01) < TRUTH.rate_max()
                && TRUTH.rate(peak * 0.99) < TRUTH.rate_max()
        );
        assert_eq!(Usl { kappa: 0.0, ..TRUTH }.rate_max(), 9_000.0 / 0.08);
    }

    #[test]
    fn points_that_determine_nothing_are_not_fitted() {
        let point = |load, events_per_s| Point { load, events_per_s };
        assert_eq!(fit(&[point(1.0, 1.0), point(2.0, 2.0), point(3.0, 3.0)]), None);
        assert_eq!(fit(&[point(1.0, 1.0); 9]), None);
        for bad in [point(0.5, 1.0), point(4.0, 0.0), point(4.0, f64::NAN)] {
            assert_eq!(fit(&[point(1.0, 1.0), point(2.0, 2.0), point(3.0, 3.0), bad]), None);
        }
    }
}
