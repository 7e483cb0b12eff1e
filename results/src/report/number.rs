//! Figures as a reader sees them: narrow spaces between thousands, no more digits than were measured.
//!
//! ```text
//! whole        85534.8   85 535      counts and rates in tables
//! significant  85534.8   85 500      three digits: sentences, latencies, times
//! ratio        0.95432   0.95
//! ```
//!
//! The space is U+202F, which does not break a line. Units are the caller's.

/// Between thousands, and between a figure and its unit.
pub(super) const GAP: char = '\u{202f}';
/// Stands where nothing was measured or nothing counts.
pub(super) const NONE: &str = "–";

/// `85534.8` as `85 535`.
pub(super) fn whole(value: f64) -> String {
    decimals(value, 0)
}

/// Three significant digits: `85534.8` as `85 500`, `11.317` as `11.3`, `0.4251` as `0.425`.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return decimals(value, 0);
    }
    let magnitude = value.abs().log10().floor() as i32;
    let step = 10_f64.powi(magnitude - 2);
    let rounded = (value / step).round() * step;
    // 999.6 became 1000: one digit more before the point.
    let magnitude = rounded.abs().log10().floor() as i32;
    decimals(rounded, (2 - magnitude).clamp(0, 6) as usize)
}

/// Two digits after the point, as ratios are noted; three digits in all from 10 on.
pub(super) fn ratio(value: f64) -> String {
    if value < 10.0 { decimals(value, 2) } else { significant(value) }
}

/// `min–max` by the same writing; one figure where both read alike.
pub(super) fn range(min: f64, max: f64, write: fn(f64) -> String) -> String {
    let (min, max) = (write(min), write(max));
    if min == max { min } else { format!("{min}–{max}") }
}

/// `write(value)`, or the sign for nothing.
pub(super) fn or_none(value: Option<f64>, write: fn(f64) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), write)
}

/// `value` and its unit, not to be parted by a line's end.
pub(super) fn with_unit(value: &str, unit: &str) -> String {
    format!("{value}{GAP}{unit}")
}

/// `1` and `node` as `1 node`, others with an `s`.
pub(super) fn plural(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{}{GAP}{what}{end}", whole(count as f64))
}

/// Labels of an axis: all digits that tell its ticks apart and no more.
pub(super) fn tick(value: f64, step: f64) -> String {
    let told_apart = |places: &i32| {
        let scaled = step * 10_f64.powi(*places);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
    };
    let places = (0..6).find(told_apart).unwrap_or(6) as usize;
    decimals(value, places)
}

fn decimals(value: f64, places: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.places$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("−", rest));
    let (before, after) = digits.split_once('.').map_or((digits, ""), |parts| parts);
    let mut grouped = sign.to_owned();
    for (place, digit) in before.chars().enumerate() {
        // Four digits are read at a glance; apart they look like two numbers.
        if place != 0 && (before.len() - place).is_multiple_of(3) && 4 < before.len() {
            grouped.push(GAP);
        }
        grouped.push(digit);
    }
    if !after.is_empty() {
        grouped.push('.');
        grouped.push_str(after);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace(GAP, " ")
    }

    #[test]
    fn thousands_stand_apart_by_a_space_that_does_not_break() {
        for (value, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (8_534.0, "8534"),
            (85_534.8, "85 535"),
            (1e6, "1 000 000"),
        ] {
            assert_eq!(plain(&whole(value)), text);
        }
        assert_eq!(plain(&whole(-12_345.0)), "−12 345");
    }

    #[test]
    fn sentences_have_three_digits() {
        for (value, text) in [
            (85_534.8, "85 500"),
            (999.6, "1000"),
            (99.96, "100"),
            (11.317, "11.3"),
            (2.0, "2.00"),
            (0.4251, "0.425"),
            (0.0, "0"),
        ] {
            assert_eq!(plain(&significant(value)), text);
        }
    }

    #[test]
    fn ranges_and_ratios_read_as_people_write_them() {
        assert_eq!(range(0.706, 1.083, ratio), "0.71–1.08");
        assert_eq!(range(1.0, 1.0, ratio), "1.00");
        assert_eq!(ratio(23.456), "23.5");
        assert_eq!(or_none(None, ratio), NONE);
    }

    #[test]
    fn what_is_not_a_number_is_nothing() {
        for value in [f64::NAN, f64::INFINITY] {
            assert_eq!((whole(value), significant(value)), (NONE.to_owned(), NONE.to_owned()));
        }
    }

    #[test]
    fn ticks_have_the_digits_of_their_step() {
        assert_eq!(tick(0.25, 0.25), "0.25");
        assert_eq!(tick(0.5, 0.5), "0.5");
        assert_eq!(plain(&tick(20_000.0, 20_000.0)), "20 000");
        assert_eq!(tick(0.01, 0.01), "0.01");
    }
}
