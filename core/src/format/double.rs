//! `Double.toString` of JDK 17: decimal digits of a double, often the shortest, sometimes one or
//! two more.
//!
//! ```text
//!  value = B/S · 10^exponent                   B and S whole numbers, 1 <= B/S < 10
//!  digit = B div S,  B = 10·(B mod S)          one decimal digit at a time, from the front
//!  stop when B < M or B + M > 10·S             near below, near above: round the last digit
//!  M                                           half the distance to the next double, · 10 each
//! ```
//!
//! JDK 19 replaced the algorithm by one with the fewest digits; up to then the digits are those of
//! `FloatingDecimal` (Steele and White): mostly the fewest, too, but `2E23` is
//! `1.9999999999999998E23`. Three facts of it are kept here:
//!
//! * whole numbers are taken as integers, from 2^58 on with the digits that a double does not hold
//!   rounded off;
//! * with B and S below 2^63 the second test is `>`, and M may overflow; with larger ones it is
//!   `>=`;
//! * where an exponent is written, the first digit never ends the number.
//!
//! JDK 19 and later write the fewest digits that read back as the number, and of these the nearest;
//! where one digit would do, the nearest number of two digits. With `FEWEST` this is written instead.
//!
//! All this is needed seldom. [`is_shortest`] says for which doubles the fewest digits are the
//! same, and `zmij` finds those without a division. Held against JDK 17 by `tests/golden`. Nothing
//! is allocated: B and S lie on the stack.

mod wide;

use std::fmt::{self, Write as _};

use crate::format::block::push_short;
use wide::{Big, Magnitude};

/// Bits of a double's fraction with the leading one.
const FRACTION_BITS: i32 = 53;
/// The same of a float.
const FLOAT_FRACTION_BITS: i32 = 24;
/// Power of two of the smallest normal float.
const FLOAT_EXPONENT_MIN: i32 = -126;
/// Decimal exponents below which, and from which on, a number is written with an exponent.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -3..8;
/// Numbers that are written without an exponent.
const PLAIN_NUMBERS: std::ops::Range<f64> = 1e-3..1e7;
/// More digits than any double is given.
const DIGITS_MAX: usize = 24;

/// Appends `value` as `Double.toString` writes it: `1.0`, `1.0E10`, `-0.0`, `NaN`, `Infinity`.
pub(crate) fn write<const FEWEST: bool>(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        out.extend_from_slice(b"Infinity");
    } else if value == 0.0 {
        out.extend_from_slice(b"0.0");
    } else if FEWEST {
        write_fewest(value.abs(), out);
    } else {
        write_finite(value.abs(), out);
    }
}

/// Appends a positive number as JDK 19 and later do.
fn write_fewest(value: f64, out: &mut Vec<u8>) {
    let parts = Parts::new(value);
    let fraction_bits = FRACTION_BITS - parts.fraction.trailing_zeros() as i32;
    // Below 2^53 no shorter number is as near as a whole one.
    if parts.exponent < FRACTION_BITS && fraction_bits <= parts.exponent + 1 {
        return digits_of_integer(&parts).write(out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if PLAIN_NUMBERS.contains(&value) {
        return push_short(text.as_bytes(), out);
    }
    let mut digits = shortest_digits(text);
    digits.trim();
    if digits.len == 1 && value < f64::MIN_POSITIVE {
        digits = two_digits(value);
    }
    digits.write(out);
}

/// The nearest number of two digits: below the normal doubles it may be nearer than one of one digit.
#[cold]
fn two_digits(value: f64) -> Digits {
    let mut text = Text { bytes: [0; DIGITS_MAX], len: 0 };
    // It has eight characters at most.
    let _ = write!(text, "{value:.1e}");
    let text = text.bytes.get(..text.len).unwrap_or_default();
    shortest_digits(std::str::from_utf8(text).unwrap_or_default())
}

/// A short text on the stack.
struct Text {
    bytes: [u8; DIGITS_MAX],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Appends `value` as `Float.toString` writes it: the same algorithm with 24 bits of fraction.
pub(crate) fn write_float(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() || value == 0.0 {
        return write::<false>(f64::from(value), out);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    // Every float is a normal double, with zeros in the bits that it does not have.
    let mut parts = Parts::new(f64::from(value.abs()));
    let below_normal = (FLOAT_EXPONENT_MIN - parts.exponent).max(0);
    parts.significant_bits = FLOAT_FRACTION_BITS - below_normal;
    let fraction_bits = FRACTION_BITS - parts.fraction.trailing_zeros() as i32;
    let bits_after_point = (fraction_bits - parts.exponent - 1).max(0);
    if bits_after_point == 0 && parts.exponent <= 62 {
        digits_of_integer(&parts).write(out);
    } else {
        let fraction = parts.fraction >> (FRACTION_BITS - fraction_bits);
        Ratio::new(&parts, fraction, fraction_bits, bits_after_point).digits().write(out);
    }
}

/// Appends a positive number.
fn write_finite(value: f64, out: &mut Vec<u8>) {
    let parts = Parts::new(value);
    let fraction_bits = FRACTION_BITS - parts.fraction.trailing_zeros() as i32;
    let bits_after_point = (fraction_bits - parts.exponent - 1).max(0);
    if bits_after_point == 0 && parts.exponent <= 62 {
        digits_of_integer(&parts).write(out);
    } else if is_shortest(&parts, fraction_bits) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        if PLAIN_NUMBERS.contains(&value) {
            // Digits, a point, digits: Java writes the same.
            push_short(text.as_bytes(), out);
        } else {
            shortest_digits(text).write(out);
        }
    } else {
        let fraction = parts.fraction >> (FRACTION_BITS - fraction_bits);
        Ratio::new(&parts, fraction, fraction_bits, bits_after_point).digits().write(out);
    }
}

/// A positive double taken apart: `fraction · 2^(exponent - 52)`, `fraction` with 53 bits.
struct Parts {
    fraction: u64,
    /// Power of two of the leading bit.
    exponent: i32,
    /// Bits of the fraction that can differ: 53, fewer below the smallest normal double.
    significant_bits: i32,
}

impl Parts {
    fn new(value: f64) -> Self {
        let bits = value.to_bits();
        let biased = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        if biased == 0 {
            let shift = fraction.leading_zeros() as i32 - 11;
            let significant_bits = FRACTION_BITS - shift;
            return Self { fraction: fraction << shift, exponent: -1022 - shift, significant_bits };
        }
        Self {
            fraction: fraction | 1 << 52,
            exponent: biased - 1023,
            significant_bits: FRACTION_BITS,
        }
    }
}

/// Decimal digits: the number is `0.d1d2d3… · 10^exponent`.
struct Digits {
    text: [u8; DIGITS_MAX],
    len: usize,
    exponent: i32,
}

impl Digits {
    fn new() -> Self {
        Self { text: [b'0'; DIGITS_MAX], len: 0, exponent: 0 }
    }

    #[inline]
    fn push(&mut self, digit: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = b'0' + digit;
            self.len += 1;
        }
    }

    fn extend(&mut self, digits: &str) {
        let places = self.text.get_mut(self.len..).unwrap_or_default().iter_mut();
        for (place, digit) in places.zip(digits.bytes()) {
            *place = digit;
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    fn last_is_odd(&self) -> bool {
        self.as_slice().last().is_some_and(|digit| digit & 1 == 1)
    }

    /// Drops zeros at the end.
    fn trim(&mut self) {
        while self.len > 1 && self.as_slice().last() == Some(&b'0') {
            self.len -= 1;
        }
    }

    /// Adds one to the last digit. Nines become zeros, which stay.
    fn round_up(&mut self) {
        let digits = self.text.get_mut(..self.len).unwrap_or_default();
        for digit in digits.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        if let Some(first) = digits.first_mut() {
            *first = b'1';
            self.exponent += 1;
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let digits = self.as_slice();
        match self.exponent {
            1..=7 => {
                let whole = usize::try_from(self.exponent).unwrap_or(0);
                let (before, after) = digits.split_at(whole.min(digits.len()));
                out.extend_from_slice(before);
                out.extend(std::iter::repeat_n(b'0', whole - before.len()));
                out.push(b'.');
                out.extend_from_slice(if after.is_empty() { b"0" } else { after });
            }
            -2..=0 => {
                out.extend_from_slice(b"0.");
                out.extend(std::iter::repeat_n(b'0', self.exponent.unsigned_abs() as usize));
                out.extend_from_slice(digits);
            }
            _ => {
                let (first, after) = digits.split_at(1.min(digits.len()));
                out.extend_from_slice(first);
                out.push(b'.');
                out.extend_from_slice(if after.is_empty() { b"0" } else { after });
                out.push(b'E');
                out.extend_from_slice(itoa::Buffer::new().format(self.exponent - 1).as_bytes());
            }
        }
    }
}

/// Whether the fewest digits that read back as the number are those of `FloatingDecimal`. They are
/// not
///
/// * for powers of two, since the distance to the next double differs below and above, and Java
///   takes the smaller one;
/// * below the normal doubles, where one digit may do and Java writes two;
/// * where a number of at most 17 digits can lie just in the middle between two doubles, since Java
///   does not count the middle. That takes a double from 2^52 up, and none above 10^17 · 5^23.
fn is_shortest(parts: &Parts, fraction_bits: i32) -> bool {
    let no_middle = parts.exponent < 52 || 112 < parts.exponent;
    no_middle && fraction_bits > 1 && parts.significant_bits == FRACTION_BITS
}

/// The digits of `text`, which has the fewest that read back as the number; of two that are equally
/// near those with an even end, as in Java.
fn shortest_digits(text: &str) -> Digits {
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits = Digits::new();
    if whole == "0" {
        let significant = decimals.trim_start_matches('0');
        digits.extend(significant);
        digits.exponent = exponent - (decimals.len() - significant.len()) as i32;
    } else {
        digits.extend(whole);
        digits.extend(decimals);
        digits.exponent = exponent + whole.len() as i32;
    }
    digits
}

/// A number without bits after the point, below 2^63.
fn digits_of_integer(parts: &Parts) -> Digits {
    let shift = parts.exponent - (FRACTION_BITS - 1);
    let mut number = if shift >= 0 { parts.fraction << shift } else { parts.fraction >> -shift };
    let mut dropped = 0;
    // Bits below the fraction are unknown: so many decimal digits at the end say nothing.
    let unknown_bits = parts.exponent - parts.significant_bits - 1;
    if unknown_bits > 1 {
        dropped = unknown_bits * 30_103 / 100_000;
        let unit = 10_u64.pow(dropped.unsigned_abs());
        let rest = number % unit;
        number = number / unit + u64::from(dropped > 0 && rest >= unit / 2);
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    let mut digits = Digits::new();
    digits.extend(text);
    digits.exponent = i32::try_from(text.len()).unwrap_or(0) + dropped;
    digits.trim();
    digits
}

/// A product `factor · 2^twos · 5^fives`.
#[derive(Clone, Copy)]
struct Product {
    factor: u64,
    twos: i32,
    fives: i32,
}

/// `number / scale · 10^exponent` is the value, `half_step` half the distance to its neighbours in
/// units of `number`.
struct Ratio {
    number: Product,
    scale: Product,
    half_step: Product,
    /// Decimal exponent of the first digit; one too high at times, then the first digit is 0 and
    /// left out.
    exponent: i32,
    /// Whether [`wide::Long`] has room for all numbers, as `FloatingDecimal` reckons it.
    fits_long: bool,
}

impl Ratio {
    fn new(parts: &Parts, fraction: u64, fraction_bits: i32, bits_after_point: i32) -> Self {
        let exponent = estimate_exponent(parts);
        let number_fives = (-exponent).max(0);
        let scale_fives = exponent.max(0);
        let mut number_twos = number_fives + bits_after_point + parts.exponent;
        let mut scale_twos = scale_fives + bits_after_point;
        let mut step_twos = number_twos - parts.significant_bits;
        number_twos -= fraction_bits - 1;
        let common = number_twos.min(scale_twos);
        number_twos -= common;
        scale_twos -= common;
        step_twos -= common;
        if fraction_bits == 1 {
            // Below a power of two the next double is half as far away.
            step_twos -= 1;
        }
        if step_twos < 0 {
            number_twos -= step_twos;
            scale_twos -= step_twos;
            step_twos = 0;
        }
        let number_bits = fraction_bits + number_twos + bits_of_power_of_5(number_fives);
        let tens_bits = scale_twos + 1 + bits_of_power_of_5(scale_fives + 1);
        Self {
            number: Product { factor: fraction, twos: number_twos, fives: number_fives },
            scale: Product { factor: 1, twos: scale_twos, fives: scale_fives },
            half_step: Product { factor: 1, twos: step_twos, fives: number_fives },
            exponent,
            fits_long: number_bits < 64 && tens_bits < 64,
        }
    }

    fn digits(&self) -> Digits {
        if self.fits_long { self.digits_in::<wide::Long>() } else { self.digits_in::<Big>() }
    }

    fn digits_in<N: Magnitude>(&self) -> Digits {
        let of = |product: Product| N::new(product.factor, product.twos, product.fives);
        let (mut number, scale, mut half_step) =
            (of(self.number), of(self.scale), of(self.half_step));
        let mut tens = scale.clone();
        tens.times_ten();
        let mut digits = Digits::new();
        let mut exponent = self.exponent;

        let first = number.take_digit(&scale);
        half_step.times_ten();
        let (mut low, mut high) = number.stops(&half_step, &tens);
        if first == 0 && !high {
            exponent -= 1;
        } else {
            digits.push(first);
        }
        if !PLAIN_EXPONENTS.contains(&exponent) {
            (low, high) = (false, false);
        }
        while !low && !high && digits.len < DIGITS_MAX {
            digits.push(number.take_digit(&scale));
            half_step.times_ten();
            (low, high) = number.stops(&half_step, &tens);
        }
        digits.exponent = exponent + 1;
        let up = match (low, high) {
            (_, false) => false,
            (false, true) => true,
            (true, true) => match number.twice_cmp(&tens) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => digits.last_is_odd(),
                std::cmp::Ordering::Greater => true,
            },
        };
        if up {
            digits.round_up();
        }
        digits
    }
}

/// `floor(log10(value))` or one more: a line through log10 at 1.5, as `FloatingDecimal` has it.
fn estimate_exponent(parts: &Parts) -> i32 {
    let fraction = f64::from_bits(1023 << 52 | parts.fraction & ((1 << 52) - 1));
    let estimate = (fraction - 1.5) * 0.289_529_654
        + 0.176_091_259
        + f64::from(parts.exponent) * std::f64::consts::LOG10_2;
    estimate.floor() as i32
}

/// Bits of `5^power`, or a little more: what decides between the widths in `FloatingDecimal`.
fn bits_of_power_of_5(power: i32) -> i32 {
    match power {
        ..=0 => 0,
        1..=26 => power * 2_321_928 / 1_000_000 + 1,
        _ => power * 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write::<false>(value, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    fn fewest(value: f64) -> String {
        let mut out = Vec::new();
        write::<true>(value, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn later_jdks_write_the_fewest_digits_and_two_at_least() {
        for (value, expected) in [
            (2e23, "2.0E23"),
            (2e-3, "0.002"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (2.0_f64.powi(63), "9.223372036854776E18"),
            (9_007_199_254_740_991.0, "9.007199254740991E15"),
            (1e7, "1.0E7"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(fewest(value), expected);
        }
    }

    /// Printed by JDK 17.
    #[test]
    fn floats_have_the_digits_of_jdk_17() {
        let float = |bits: u32| {
            let mut out = Vec::new();
            write_float(f32::from_bits(bits), &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        for (bits, expected) in [
            (0x38bd_cc97, "9.05033E-5"),
            (0x3d99_42ef, "0.0748347"),
            (0x57d8_9e8e, "4.76350998E14"),
            (0x5c48_9f65, "2.25881006E17"),
            (0x442e_f72b, "699.862"),
            (0x59bd_1053, "6.6520899E15"),
            (0x5d44_89b4, "8.8512803E17"),
            (0x0000_0001, "1.4E-45"),
            (0x8000_0000, "-0.0"),
            (0x3dcc_cccd, "0.1"),
            (0xff80_0000, "-Infinity"),
            (0x7fc0_0000, "NaN"),
        ] {
            assert_eq!(float(bits), expected);
        }
    }

    #[test]
    fn edges_are_written_as_by_jdk_17() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1e10, "1.0E10"),
            (123_456_789.125, "1.23456789125E8"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (9_007_199_254_740_993.0, "9.007199254740992E15"),
            (2e23, "1.9999999999999998E23"),
            (2.0_f64.powi(63), "9.223372036854776E18"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn digits_beyond_the_shortest_are_kept_where_jdk_17_has_them() {
        assert_eq!(text(2e-44), "2.0E-44");
    }

    proptest! {
        #[test]
        fn written_doubles_read_back_as_the_same(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            // Java writes a number in the middle between two doubles for both of them, here and
            // there.
            prop_assume!(!(9e18..1e41).contains(&value.abs()));
            let read: f64 = text(value).parse().expect("a number");
            prop_assert_eq!(read.to_bits(), bits);
        }

        #[test]
        fn the_fewest_digits_read_back_as_the_same(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let read: f64 = fewest(value).parse().expect("a number");
            prop_assert_eq!(read.to_bits(), bits);
        }
    }
}
