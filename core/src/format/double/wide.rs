//! Whole numbers of two widths for the digits of a double.
//!
//! ```text
//!  Long   i64, wraps      about 1E-3 to 2^63; as in Java down to its overflow
//!  Big    20 × u64        all others; the largest have about 1,140 bits
//! ```
//!
//! Only what digit generation needs: the product of a number with powers of 2 and 5, division by a
//! scale with a quotient below 10, multiplication by ten and comparison.

use std::cmp::Ordering;

/// What digit generation asks of a number.
pub(super) trait Magnitude: Clone {
    /// `factor · 2^twos · 5^fives`; the caller knows that it fits.
    fn new(factor: u64, twos: i32, fives: i32) -> Self;
    /// Divides by `scale`, which is more than a tenth of `self`: returns the quotient, leaves ten
    /// times the remainder.
    fn take_digit(&mut self, scale: &Self) -> u8;
    /// Multiplies by ten.
    fn times_ten(&mut self);
    /// Whether `self` is within `half_step` of 0, and within `half_step` of `tens`.
    fn stops(&self, half_step: &Self, tens: &Self) -> (bool, bool);
    /// Compares `2 · self` with `tens`.
    fn twice_cmp(&self, tens: &Self) -> Ordering;
}

/// Java's `long`: multiplication wraps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long(i64);

impl Magnitude for Long {
    fn new(factor: u64, twos: i32, fives: i32) -> Self {
        Self((factor.wrapping_mul(5_u64.wrapping_pow(fives.unsigned_abs())) << twos).cast_signed())
    }

    #[inline]
    fn take_digit(&mut self, scale: &Self) -> u8 {
        // Both are positive by the caller's reckoning; unsigned division is the faster one.
        let (number, scale) = (self.0.cast_unsigned(), scale.0.cast_unsigned().max(1));
        self.0 = (number % scale).wrapping_mul(10).cast_signed();
        (number / scale) as u8
    }

    #[inline]
    fn times_ten(&mut self) {
        self.0 = self.0.wrapping_mul(10);
    }

    #[inline]
    fn stops(&self, half_step: &Self, tens: &Self) -> (bool, bool) {
        if half_step.0 <= 0 {
            // It has overflowed, so it was larger than anything here.
            return (true, true);
        }
        (self.0 < half_step.0, self.0.wrapping_add(half_step.0) > tens.0)
    }

    fn twice_cmp(&self, tens: &Self) -> Ordering {
        self.0.wrapping_shl(1).wrapping_sub(tens.0).cmp(&0)
    }
}

/// Words of a [`Big`].
const WORDS: usize = 20;

/// A number below 2^1280, the lowest word first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big {
    words: [u64; WORDS],
    /// Words in use: the last one is not zero, all above are.
    len: usize,
}

impl Big {
    fn used(&self) -> &[u64] {
        self.words.get(..self.len).unwrap_or_default()
    }

    /// Multiplies by `factor`.
    fn times(&mut self, factor: u64) {
        let mut carry = 0_u64;
        let used = self.words.get_mut(..self.len).unwrap_or_default();
        for word in used {
            let product = u128::from(*word) * u128::from(factor) + u128::from(carry);
            *word = product as u64;
            carry = (product >> 64) as u64;
        }
        if carry != 0
            && let Some(word) = self.words.get_mut(self.len)
        {
            *word = carry;
            self.len += 1;
        }
    }

    fn shift_left(&mut self, bits: usize) {
        let words = bits / 64;
        self.words.copy_within(..WORDS.saturating_sub(words), words.min(WORDS));
        self.words.get_mut(..words).unwrap_or_default().fill(0);
        self.len = (self.len + words).min(WORDS);
        self.times(1 << (bits % 64));
    }

    /// Takes off `other · multiple`, which is not more than `self`.
    fn subtract(&mut self, other: &Self, multiple: u64) {
        let (mut carry, mut borrow) = (0_u64, false);
        let used = self.words.get_mut(..self.len).unwrap_or_default();
        for (word, &part) in used.iter_mut().zip(&other.words) {
            let product = u128::from(part) * u128::from(multiple) + u128::from(carry);
            carry = (product >> 64) as u64;
            (*word, borrow) = word.borrowing_sub(product as u64, borrow);
        }
        self.trim();
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.len = (self.len.max(other.len) + 1).min(WORDS);
        let used = sum.words.get_mut(..sum.len).unwrap_or_default();
        let mut carry = false;
        for (word, &part) in used.iter_mut().zip(&other.words) {
            (*word, carry) = word.carrying_add(part, carry);
        }
        sum.trim();
        sum
    }

    fn trim(&mut self) {
        self.len = self.used().iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
    }

    /// The number divided by `2^(64 · (len - 1))`, to 52 bits if it has `len` words or one more.
    fn leading(&self, len: usize) -> f64 {
        let word = |index: Option<usize>| {
            index.and_then(|index| self.words.get(index)).map_or(0.0, |&word| word as f64)
        };
        let two_64 = 18_446_744_073_709_551_616.0;
        word(Some(len)) * two_64 + word(len.checked_sub(1)) + word(len.checked_sub(2)) / two_64
    }
}

impl Magnitude for Big {
    fn new(factor: u64, twos: i32, fives: i32) -> Self {
        let mut big = Self { words: [0; WORDS], len: 1 };
        if let Some(first) = big.words.first_mut() {
            *first = factor;
        }
        let mut fives = fives.unsigned_abs();
        while fives > 0 {
            let step = fives.min(27);
            big.times(5_u64.pow(step));
            fives -= step;
        }
        big.shift_left(twos.unsigned_abs() as usize);
        big
    }

    fn take_digit(&mut self, scale: &Self) -> u8 {
        // Made a little smaller, the estimate is never above the quotient and at most one below.
        let ratio = self.leading(scale.len) / scale.leading(scale.len);
        let mut digit = (ratio * (1.0 - 1e-12)) as u8;
        self.subtract(scale, u64::from(digit));
        if *self >= *scale {
            self.subtract(scale, 1);
            digit += 1;
        }
        self.times(10);
        digit
    }

    fn times_ten(&mut self) {
        self.times(10);
    }

    fn stops(&self, half_step: &Self, tens: &Self) -> (bool, bool) {
        (self < half_step, *tens <= self.plus(half_step))
    }

    fn twice_cmp(&self, tens: &Self) -> Ordering {
        self.plus(self).cmp(tens)
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        self.len
            .cmp(&other.len)
            .then_with(|| self.used().iter().rev().cmp(other.used().iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_u128(big: &Big) -> u128 {
        assert!(big.len <= 2);
        u128::from(big.words[0]) | u128::from(big.words[1]) << 64
    }

    proptest! {
        #[test]
        fn big_numbers_reckon_like_128_bits(
            factor in 1..1_u64 << 53, twos in 0..30, fives in 0..10_u32, scale_fives in 0..12_u32,
        ) {
            let small = (u128::from(factor) * 5_u128.pow(fives)) << twos;
            let big = Big::new(factor, twos, fives.cast_signed());
            prop_assert_eq!(to_u128(&big), small);
            let mut scale = 5_u128.pow(scale_fives);
            while small / 10 >= scale { scale <<= 1; }
            let scale_twos = scale.trailing_zeros().cast_signed();
            let big_scale = Big::new(1, scale_twos, scale_fives.cast_signed());
            prop_assert_eq!(to_u128(&big_scale), scale);
            let mut rest = big.clone();
            prop_assert_eq!(u128::from(rest.take_digit(&big_scale)), small / scale);
            let small_rest = small % scale * 10;
            prop_assert_eq!(to_u128(&rest), small_rest);
            let stops = (small_rest < small, scale <= small_rest + small);
            prop_assert_eq!(rest.stops(&big, &big_scale), stops);
            prop_assert_eq!(rest.twice_cmp(&big), (2 * small_rest).cmp(&small));
        }
    }

    #[test]
    fn the_largest_numbers_of_a_double_fit() {
        let mut largest = Big::new((1 << 53) - 1, 1_077, 0);
        largest.times_ten();
        assert!(largest.len < WORDS);
        let mut powers = Big::new((1 << 53) - 1, 54, 325);
        powers.times_ten();
        assert!(powers.len < WORDS);
    }
}
