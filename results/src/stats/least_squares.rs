//! Weighted linear least squares whose coefficients may not be negative, for up to three coefficients.
//!
//! ```text
//! rows of columns ─► scale every column to length 1 ─► QR by Gram and Schmidt, twice
//!                    for each set of columns that may be used: solve, keep if no coefficient is negative
//!                    the best of those that were kept is the best of all
//! ```
//!
//! The optimum of a convex problem over x ≥ 0 is the plain solution over some set of columns. With three columns there
//! are seven sets, so all are tried: no iteration, no tolerance. Scaled columns and QR instead of normal equations: the
//! columns 1, N − 1 and N(N − 1) differ by powers of ten.

/// A row: the values of its columns, what their sum should be, and how much the row counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<const COLUMNS: usize> {
    /// Values.
    pub columns: [f64; COLUMNS],
    /// Target of the sum.
    pub target: f64,
    /// Its weight, of the square of its residual.
    pub weight: f64,
}

/// The coefficients, none negative, with the smallest weighted sum of squares. `None` where there are fewer rows than
/// columns, a value is no number, or no set of columns determines its coefficients.
pub fn nonnegative<const COLUMNS: usize>(rows: &[Row<COLUMNS>]) -> Option<[f64; COLUMNS]> {
    const { assert!(COLUMNS <= 3, "all sets of columns are tried") };
    let finite = |row: &Row<COLUMNS>| {
        row.columns.iter().chain([&row.target, &row.weight]).all(|value| value.is_finite())
    };
    if rows.len() < COLUMNS || !rows.iter().all(finite) {
        return None;
    }
    let sets = 1_u32..1 << COLUMNS;
    let solutions = sets.filter_map(|set| {
        let used: Vec<usize> = (0..COLUMNS).filter(|column| set & 1 << column != 0).collect();
        let solved = solve(rows, &used)?;
        let mut coefficients = [0.0; COLUMNS];
        for (&column, value) in used.iter().zip(solved) {
            coefficients[column] = value;
        }
        let allowed = coefficients.iter().all(|value| 0.0 <= *value);
        allowed.then_some(coefficients)
    });
    solutions.min_by(|a, b| sum_of_squares(rows, a).total_cmp(&sum_of_squares(rows, b)))
}

fn sum_of_squares<const COLUMNS: usize>(
    rows: &[Row<COLUMNS>],
    coefficients: &[f64; COLUMNS],
) -> f64 {
    let square =
        |row: &Row<COLUMNS>| row.weight * (row.target - dot(&row.columns, coefficients)).powi(2);
    rows.iter().map(square).sum()
}

/// The plain solution over the columns `used`; `None` where they depend on each other.
fn solve<const COLUMNS: usize>(rows: &[Row<COLUMNS>], used: &[usize]) -> Option<Vec<f64>> {
    let weighted = |value: fn(&Row<COLUMNS>, usize) -> f64, column: usize| -> Vec<f64> {
        rows.iter().map(|row| row.weight.sqrt() * value(row, column)).collect()
    };
    let target = weighted(|row, _| row.target, 0);
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut triangle: Vec<Vec<f64>> = Vec::new();
    let mut lengths = Vec::new();
    for &column in used {
        let mut vector = weighted(|row, column| row.columns[column], column);
        lengths.push(scale_to_one(&mut vector)?);
        let mut parts = vec![0.0; basis.len()];
        // The second pass takes away what rounding left of the first.
        for _ in 0..2 {
            for (part, base) in parts.iter_mut().zip(&basis) {
                let along = dot(base, &vector);
                *part += along;
                vector.iter_mut().zip(base).for_each(|(value, base)| *value -= along * base);
            }
        }
        parts.push(scale_to_one(&mut vector).filter(|rest| 1e-9 < *rest)?);
        basis.push(vector);
        triangle.push(parts);
    }
    let mut solution: Vec<f64> = basis.iter().map(|base| dot(base, &target)).collect();
    for place in (0..solution.len()).rev() {
        solution[place] /= triangle[place][place];
        let (before, value) = solution.split_at_mut(place);
        before.iter_mut().zip(&triangle[place]).for_each(|(sum, part)| *sum -= value[0] * part);
    }
    solution.iter_mut().zip(lengths).for_each(|(value, length)| *value /= length);
    Some(solution)
}

/// Makes the length 1 and returns what it was; `None` if that was 0.
fn scale_to_one(vector: &mut [f64]) -> Option<f64> {
    let length = dot(vector, vector).sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    (0.0 < length).then_some(length)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    fn row(load: f64, target: f64) -> Row<3> {
        Row { columns: [1.0, load - 1.0, load * (load - 1.0)], target, weight: 1.0 }
    }

    #[test]
    fn coefficients_of_very_different_sizes_are_found() {
        let rows: Vec<_> = (1..=64)
            .map(f64::from)
            .map(|load| row(load, 1e-4 + 3e-6 * (load - 1.0) + 2e-9 * load * (load - 1.0)))
            .collect();
        let [a, b, c] = nonnegative(&rows).expect("determined");
        for (found, truth) in [(a, 1e-4), (b, 3e-6), (c, 2e-9)] {
            assert!((found / truth - 1.0).abs() < 1e-9, "{found} is not {truth}");
        }
    }

    #[test]
    fn no_coefficient_is_negative_and_no_step_improves_on_the_result() {
        for seed in 0..200 {
            let mut random = Random::seeded(seed);
            let rows: Vec<_> =
                (1..=8).map(|load| row(f64::from(load), 1.0 + random.normal())).collect();
            let best = nonnegative(&rows).expect("determined");
            let sum = sum_of_squares(&rows, &best);
            assert!(best.iter().all(|value| 0.0 <= *value), "{best:?}");
            for column in 0..3 {
                for step in [-1e-4, 1e-4] {
                    let mut other = best;
                    other[column] = (other[column] + step).max(0.0);
                    assert!(sum <= sum_of_squares(&rows, &other) + 1e-12, "{seed}: {other:?}");
                }
            }
        }
    }

    #[test]
    fn rows_that_determine_nothing_have_no_solution() {
        assert_eq!(nonnegative(&[row(1.0, 1.0), row(2.0, 2.0)]), None);
        assert_eq!(nonnegative::<1>(&[Row { columns: [0.0], target: 1.0, weight: 1.0 }]), None);
        assert_eq!(nonnegative(&[row(f64::NAN, 1.0); 5]), None);
    }

    #[test]
    fn a_heavy_row_counts_more() {
        let rows = [(1.0, 1.0), (3.0, 99.0)].map(|(target, weight)| Row {
            columns: [1.0],
            target,
            weight,
        });
        let [mean] = nonnegative(&rows).expect("determined");
        assert!((mean - 2.98).abs() < 1e-12);
    }
}
