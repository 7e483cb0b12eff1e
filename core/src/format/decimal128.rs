//! `Decimal128.toString` of the Java driver.
//!
//! ```text
//!  bit 127   sign
//!  usual     14 bits exponent + 6,176 │ 113 bits significand
//!  11…       two bits shifted: a significand that is too large by its form, read as 0
//!  11110     infinity      11111  not a number (its sign is not shown)
//! ```
//!
//! Text: digits with a point while the exponent is at most 0 and the first digit stands at 10^-6 or
//! above, otherwise one digit, point, rest, `E`, signed exponent. Zeros keep sign and exponent:
//! `-0`, `0E+3`. A significand of 113 bits above 10^34 - 1 is printed as it is, as Java does,
//! though IEEE 754 reads it as 0.

/// Appends the decimal number that the little-endian `bytes` hold.
pub(super) fn write(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let bits = u128::from_le_bytes(*bytes);
    let negative = bits >> 127 == 1;
    let combination = (bits >> 122 & 0x1f) as u8;
    if combination == 0x1f {
        return out.extend_from_slice(b"NaN");
    }
    if negative {
        out.push(b'-');
    }
    if combination == 0x1e {
        return out.extend_from_slice(b"Infinity");
    }
    let (significand, exponent) = finite(bits);
    write_number(significand, exponent, out);
}

/// Unscaled value and scale of the `BigDecimal` that `bytes` hold: the value is `unscaled / 10^scale`.
/// `None` for what Java has none for: infinities, what is no number, and zero with a minus.
pub(crate) fn big_decimal(bytes: &[u8; 16]) -> Option<(i128, i32)> {
    let bits = u128::from_le_bytes(*bytes);
    if bits >> 123 & 0xf == 0xf {
        return None;
    }
    let (significand, exponent) = finite(bits);
    let unscaled = i128::try_from(significand).ok()?;
    match bits >> 127 {
        0 => Some((unscaled, -exponent)),
        _ if unscaled == 0 => None,
        _ => Some((-unscaled, -exponent)),
    }
}

/// Appends `BigDecimal.toString()` of `unscaled / 10^scale`.
pub(crate) fn write_big_decimal(unscaled: i128, scale: i32, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    write_number(unscaled.unsigned_abs(), scale.saturating_neg(), out);
}

/// Significand and exponent of a finite number.
fn finite(bits: u128) -> (u128, i32) {
    let (significand, biased) = if bits >> 125 & 3 == 3 {
        (0, bits >> 111 & 0x3fff)
    } else {
        (bits & ((1 << 113) - 1), bits >> 113 & 0x3fff)
    };
    (significand, biased as i32 - 6_176)
}

fn write_number(significand: u128, exponent: i32, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(significand).as_bytes();
    let len = i32::try_from(digits.len()).unwrap_or(0);
    // A literal may have any exponent.
    let adjusted = i64::from(exponent) + i64::from(len) - 1;
    if exponent > 0 || adjusted < -6 {
        let (first, rest) = digits.split_at(1.min(digits.len()));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if adjusted > 0 { b"E+" } else { b"E" });
        out.extend_from_slice(itoa::Buffer::new().format(adjusted).as_bytes());
        return;
    }
    if exponent == 0 {
        return out.extend_from_slice(digits);
    }
    let before_point = usize::try_from(len + exponent).unwrap_or(0);
    let (whole, fraction) = digits.split_at(before_point.min(digits.len()));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    let zeros = usize::try_from(-exponent - len).unwrap_or(0);
    out.extend(std::iter::repeat_n(b'0', zeros));
    out.extend_from_slice(fraction);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bits: u128) -> String {
        let mut out = Vec::new();
        write(&bits.to_le_bytes(), &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    fn number(significand: u128, exponent: i32) -> u128 {
        ((exponent + 6_176) as u128) << 113 | significand
    }

    #[test]
    fn numbers_are_plain_down_to_the_millionth_and_scientific_beyond() {
        for (significand, exponent, expected) in [
            (0, 0, "0"),
            (15, -1, "1.5"),
            (15, -2, "0.15"),
            (15, -4, "0.0015"),
            (1, -6, "0.000001"),
            (1, -7, "1E-7"),
            (12, -8, "1.2E-7"),
            (12, 1, "1.2E+2"),
            (0, 3, "0E+3"),
            (0, -7, "0E-7"),
            (0, -2, "0.00"),
            (10_u128.pow(34) - 1, 0, "9999999999999999999999999999999999"),
        ] {
            assert_eq!(text(number(significand, exponent)), expected);
            assert_eq!(text(1 << 127 | number(significand, exponent)), format!("-{expected}"));
        }
    }

    #[test]
    fn infinities_keep_their_sign_and_what_is_no_number_has_none() {
        assert_eq!(text(0x1e << 122), "Infinity");
        assert_eq!(text(0x3e << 122), "-Infinity");
        assert_eq!(text(0x1f << 122), "NaN");
        assert_eq!(text(0x3f << 122 | 7), "NaN");
    }

    #[test]
    fn significands_of_the_shifted_form_are_zero() {
        assert_eq!(text(0b11 << 125 | 6_176 << 111 | 5), "0");
        assert_eq!(text(1 << 127 | 0b11 << 125 | 6_179 << 111 | 5), "-0E+3");
    }

    #[test]
    fn a_big_decimal_is_what_java_makes_of_it_or_nothing() {
        let of = |bits: u128| big_decimal(&bits.to_le_bytes());
        assert_eq!(of(number(150, -2)), Some((150, 2)));
        assert_eq!(of(1 << 127 | number(15, 3)), Some((-15, -3)));
        assert_eq!(of(number(0, -7)), Some((0, 7)));
        assert_eq!(of(1 << 127 | number(0, 0)), None, "-0");
        for special in [0x1e << 122, 0x3e << 122, 0x1f << 122, 0x3f << 122 | 7] {
            assert_eq!(of(special), None);
        }
        let text = |unscaled, scale| {
            let mut out = Vec::new();
            write_big_decimal(unscaled, scale, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(text(-150, 2), "-1.50");
        assert_eq!(text(12, -1), "1.2E+2");
        assert_eq!(text(1, 7), "1E-7");
    }

    proptest! {
        #[test]
        fn every_finite_number_reads_back(
            significand in 0..10_u128.pow(34), exponent in -6_176..6_112,
        ) {
            let read: bson::Decimal128 = text(number(significand, exponent)).parse()
                .expect("the driver reads it");
            prop_assert_eq!(u128::from_le_bytes(read.bytes()), number(significand, exponent));
        }
    }
}
