//! Medians and quantiles of small samples.

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    let upper = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (below, &mut middle, _) = values.select_nth_unstable_by(upper, f64::total_cmp);
    if below.len() + below.len() + 1 == values.len() {
        return Some(middle);
    }
    let lower = values[..upper].iter().copied().reduce(f64::max)?;
    Some(f64::midpoint(lower, middle))
}

/// The value below which the share `q` of a sorted sample lies, between neighbours along a line (type 7 of Hyndman and
/// Fan, 1996); `None` of nothing.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (lower, upper) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[lower] + (sorted[upper] - sorted[lower]) * (place - place.floor()))
}

/// `values`, smallest first.
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(vec![5.0, 5.0]), Some(5.0));
    }

    #[test]
    fn quantiles_lie_on_the_line_between_neighbours() {
        let sample = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (q, expected) in [(0.0, 1.0), (0.25, 2.0), (0.5, 4.0), (0.625, 6.0), (1.0, 16.0)] {
            assert_eq!(quantile(&sample, q), Some(expected), "{q}");
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0], 0.99), Some(3.0));
    }
}
