//! How numbers are written for people, and quantiles of a histogram. `page.js` writes them in the same way.

/// Thousands are set apart by a narrow space that does not break.
const GAP: char = '\u{202f}';

/// `12 345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(GAP);
        }
        text.push(digit);
    }
    text
}

/// `740 B`, `1.5 KiB`, `12 MiB`.
pub(super) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if value < 1_024.0 || units.peek().is_none() {
            let decimals = usize::from(unit != "B" && value < 10.0);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1_024.0;
    }
    String::new()
}

/// `350 ms`, `2.5 s`, `12 min`, `5.2 h`, `3.1 d`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86_400.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

/// The time below which a share of `q` lies, by the counts up to each bound and the count of all: on a straight line
/// inside of its bucket, as Prometheus' `histogram_quantile`. `None`: there are none.
pub(super) fn quantile(q: f64, bounds: &[(f64, u64)], all: u64) -> Option<f64> {
    let rank = (all != 0).then_some(q * all as f64)?;
    let (mut low, mut below) = (0.0, 0.0);
    for &(bound, counted) in bounds {
        let counted = counted as f64;
        if rank <= counted && below < counted {
            return Some(low + (bound - low) * (rank - below) / (counted - below));
        }
        (low, below) = (bound, counted);
    }
    // Longer than the last bound: nobody knows how much.
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        let counts = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        let sizes = [0, 1_023, 1_536, 12 << 20, 5 << 40].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "12 MiB", "5.0 TiB"]);
        let times = [0.0, 0.35, 2.5, 720.0, 18_720.0, 267_840.0].map(duration);
        assert_eq!(times, ["0 ms", "350 ms", "2.5 s", "12 min", "5.2 h", "3.1 d"]);
    }

    #[test]
    fn quantile_lies_on_a_line_inside_of_its_bucket() {
        let bounds = [(0.001, 0), (0.002, 10), (0.005, 10), (0.01, 20)];
        let of = |q, all| quantile(q, &bounds, all);
        assert_eq!(of(0.5, 20), Some(0.002));
        assert_eq!(of(0.25, 20), Some(0.0015));
        assert!(of(0.75, 20).is_some_and(|time| (time - 0.0075).abs() < 1e-9));
        assert_eq!(of(0.99, 1_000), Some(0.01), "beyond the last bound");
        assert_eq!(of(0.5, 0), None);
    }
}
