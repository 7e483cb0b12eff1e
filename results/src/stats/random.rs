//! Seeded random numbers whose sequence never changes: SplitMix64.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. A library's generator may
//! change with its version, and with it every interval that a record or a test has printed; so these lines stand here.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of a name, such as that of an arm and its metric (64-bit FNV-1a of its bytes).
    pub fn named(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::seeded(hash)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A place in a list of `length`, each as likely as the others to 1 in 2⁶⁴. Panics for an empty list.
    pub fn place(&mut self, length: usize) -> usize {
        assert_ne!(length, 0, "an empty list has no places");
        // The upper half of the product; below 2⁶⁴ places the bias is too small to ever be seen.
        ((u128::from(self.bits()) * length as u128) >> 64) as usize
    }

    /// Puts `items` into an order of which all are equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.place(last + 1));
        }
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed with mean 0 and deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_publication() {
        // Of the reference implementation in C, seed 1234567.
        let mut random = Random::seeded(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_have_streams_of_their_own() {
        assert_eq!(Random::named("").state, 0xcbf2_9ce4_8422_2325);
        assert_eq!(Random::named("a").state, 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn every_place_and_every_order_is_as_likely() {
        let mut random = Random::seeded(7);
        let mut places = [0_u32; 5];
        let mut orders = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            places[random.place(5)] += 1;
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            *orders.entry(items).or_insert(0_u32) += 1;
        }
        assert!(places.iter().all(|count| count.abs_diff(12_000) < 500), "{places:?}");
        assert_eq!(orders.len(), 6);
        assert!(orders.values().all(|count| count.abs_diff(10_000) < 500), "{orders:?}");
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = Random::seeded(11);
        let sample: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let moment =
            |power| sample.iter().map(|x| x.powi(power)).sum::<f64>() / sample.len() as f64;
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!((moment(power) - expected).abs() < 0.06, "{power}: {}", moment(power));
        }
    }
}
