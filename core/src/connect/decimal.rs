//! `java.math.BigDecimal`, as far as its digits fit into 128 bits.

use std::fmt;

use crate::format::decimal128;

/// `unscaled / 10^scale`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The digits.
    pub unscaled: i128,
    /// How many of them stand behind the point.
    pub scale: i32,
}

impl Decimal {
    /// `new BigDecimal(text)`; `None` if that is no number, or has more digits than fit.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { unscaled: sign * all.parse::<i128>().ok()?, scale })
    }

    /// The whole number that it is, if it is one that fits.
    pub fn to_exact(self) -> Option<i64> {
        if self.unscaled == 0 {
            return Some(0);
        }
        let power = 10_i128.checked_pow(self.scale.unsigned_abs());
        let whole = match self.scale {
            0.. => Some(self.unscaled / power?)
                .filter(|whole| *whole * power.unwrap_or(1) == self.unscaled),
            _ => self.unscaled.checked_mul(power?),
        };
        i64::try_from(whole?).ok()
    }

    /// `longValue()`: the lower half of what stands before the point.
    pub fn to_i64(self) -> i64 {
        let power = 10_i128.checked_pow(self.scale.unsigned_abs());
        match (self.scale, power) {
            (0.., Some(power)) => (self.unscaled / power) as i64,
            (0.., None) => 0,
            // 10^64 and more end in 64 zero bits.
            (..=-64, _) => 0,
            (_, _) => {
                let power =
                    (0..self.scale.unsigned_abs()).fold(1_i128, |power, _| power.wrapping_mul(10));
                self.unscaled.wrapping_mul(power) as i64
            }
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        decimal128::write_big_decimal(self.unscaled, self.scale, &mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_java_reads_them() {
        for (text, unscaled, scale) in [
            ("1", 1, 0),
            ("-1.50", -150, 2),
            ("+.5", 5, 1),
            ("1.", 1, 0),
            ("1E3", 1, -3),
            ("1e-2", 1, 2),
        ] {
            assert_eq!(Decimal::parse(text), Some(Decimal { unscaled, scale }), "{text}");
        }
        for text in ["", ".", "+", "1_0", " 1", "1e", "NaN", "0x1", "--1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_exponent_may_be_as_large_as_an_int() {
        assert_eq!(Decimal::parse("1e2147483647").unwrap().to_string(), "1E+2147483647");
        assert_eq!(Decimal::parse("12e2147483647").unwrap().to_string(), "1.2E+2147483648");
    }

    #[test]
    fn whole_numbers_are_exact_or_cut() {
        let of = |text: &str| Decimal::parse(text).unwrap();
        assert_eq!((of("1.50").to_exact(), of("1.50").to_i64()), (None, 1));
        assert_eq!((of("-2.00").to_exact(), of("-1.99").to_i64()), (Some(-2), -1));
        assert_eq!((of("12e3").to_exact(), of("12e3").to_i64()), (Some(12_000), 12_000));
        assert_eq!((of("1e40").to_exact(), of("1e20").to_i64()), (None, 7_766_279_631_452_241_920));
        assert_eq!((of("0e99").to_exact(), of("1e64").to_i64()), (Some(0), 0));
        assert_eq!(of("9223372036854775808").to_exact(), None);
    }
}
