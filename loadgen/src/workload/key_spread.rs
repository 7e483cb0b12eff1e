//! Which of its living keys a writer changes next.
//!
//! Living keys stand in a row, the oldest first; a deleted one gives its place to the last. A spread chooses a place:
//!
//! | spread   | place                                                                    |
//! |----------|--------------------------------------------------------------------------|
//! | uniform  | every one alike                                                          |
//! | skewed   | count·u³: a tenth of the keys takes 46 % of the operations               |
//! | zipf     | the k-th place with a probability proportional to k^-θ                   |
//! | hot set  | a share of the operations to a share of the keys, alike within each part |
//!
//! Deletes always choose uniformly, else no hot key would live long.

use rand::Rng;

use super::zipf::Zipf;
use crate::random::below;

/// How a writer chooses among its living keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpread {
    /// Every key alike.
    Uniform,
    /// A tenth of the keys takes 46 % of the operations, a hundredth 22 % (place = u³, near to Zipf without its
    /// sums).
    Skewed,
    /// As word counts and city sizes are.
    Zipf {
        /// The exponent in thousandths: 990 is what YCSB uses. At most 5 000.
        theta_permille: u16,
    },
    /// A hot part and the rest.
    HotSet {
        /// Share of the keys that are hot, 1 to 999.
        keys_permille: u16,
        /// Share of the operations that go to hot keys, 0 to 1000.
        operations_permille: u16,
    },
}

impl KeySpread {
    /// Whether its numbers make sense; else what is wrong.
    pub(super) fn fault(self) -> Option<&'static str> {
        match self {
            Self::Uniform | Self::Skewed => None,
            Self::Zipf { theta_permille } => (!(1..=5_000).contains(&theta_permille))
                .then_some("the exponent of zipf lies between 0.001 and 5"),
            Self::HotSet { keys_permille, .. } if !(1..=999).contains(&keys_permille) => {
                Some("the hot share of the keys lies between 0.001 and 0.999")
            }
            Self::HotSet { operations_permille, .. } => (1_000 < operations_permille)
                .then_some("the hot share of the operations lies between 0 and 1"),
        }
    }
}

/// A spread at work.
#[derive(Clone, Debug)]
pub(super) struct Chooser {
    spread: KeySpread,
    zipf: Zipf,
}

impl Chooser {
    pub(super) fn new(spread: KeySpread) -> Self {
        let theta_permille = match spread {
            KeySpread::Zipf { theta_permille } => theta_permille,
            KeySpread::Uniform | KeySpread::Skewed | KeySpread::HotSet { .. } => 1_000,
        };
        Self { spread, zipf: Zipf::new(theta_permille) }
    }

    /// A place below `count`, which is at least 1.
    pub(super) fn choose(&mut self, rng: &mut impl Rng, count: u64) -> u64 {
        match self.spread {
            KeySpread::Uniform => below(rng, count),
            KeySpread::Skewed => {
                let draw = u64::from(rng.next_u32());
                let cubed = (((draw * draw) >> 32) * draw) >> 32;
                (cubed * count) >> 32
            }
            KeySpread::Zipf { .. } => self.zipf.rank(rng, count) - 1,
            KeySpread::HotSet { keys_permille, operations_permille } => {
                let hot = (count * u64::from(keys_permille)).div_ceil(1_000);
                if hot == count || below(rng, 1_000) < u64::from(operations_permille) {
                    below(rng, hot)
                } else {
                    hot + below(rng, count - hot)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Domain, rng};

    #[test]
    fn each_spread_gives_a_tenth_of_the_keys_its_share() {
        let hot_set = KeySpread::HotSet { keys_permille: 100, operations_permille: 800 };
        for (spread, least, most) in [
            (KeySpread::Uniform, 0.09, 0.11),
            (KeySpread::Skewed, 0.44, 0.48),
            (hot_set, 0.79, 0.81),
            // H(100) / H(1000) for θ = 1.
            (KeySpread::Zipf { theta_permille: 1_000 }, 0.683, 0.703),
        ] {
            let mut rng = rng(3, Domain::Operations, 0, 0);
            let mut chooser = Chooser::new(spread);
            let hot = (0..50_000).filter(|_| chooser.choose(&mut rng, 1_000) < 100).count();
            let share = hot as f64 / 50_000.0;
            assert!(least < share && share < most, "{spread:?}: {share}");
        }
    }

    #[test]
    fn every_spread_reaches_every_place_and_no_other() {
        for spread in [
            KeySpread::Uniform,
            KeySpread::Skewed,
            KeySpread::Zipf { theta_permille: 500 },
            KeySpread::HotSet { keys_permille: 500, operations_permille: 900 },
        ] {
            let mut rng = rng(3, Domain::Operations, 0, 0);
            let mut chooser = Chooser::new(spread);
            for count in 1..6 {
                let mut seen = vec![false; count];
                (0..2_000)
                    .for_each(|_| seen[chooser.choose(&mut rng, count as u64) as usize] = true);
                assert!(seen.iter().all(|&seen| seen), "{spread:?} of {count}: {seen:?}");
            }
        }
    }
}
