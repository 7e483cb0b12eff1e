//! Arrivals of many independent sources: exponential gaps with the mean that the profile asks for.
//!
//! ```text
//! position   0 ── gap ── 1st ── gap ── 2nd ── …        gaps of mean 1, in 2⁻²⁴ event
//! due        the moment at which the profile's curve reaches the position
//! ```
//!
//! A gap is drawn by von Neumann's method, which compares uniform numbers and takes no logarithm: the same on every
//! machine, and exact. Gaps come in blocks of 64, each from a stream of its own, and the position at which each block
//! begins is kept (8 bytes): any position can be had with at most 64 draws, in sequence with one.

use std::sync::Arc;

use rand::Rng;

use super::curve::{Area, EVENT};
use crate::random::{Domain, rng};

/// Events in a block.
const BLOCK: usize = 64;
/// Bits behind the point of a position.
const FRACTION_BITS: u32 = 24;

/// Where the blocks of a stream of arrivals begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Poisson {
    seed: u64,
    starts: Arc<[u64]>,
}

impl Poisson {
    /// Arrivals of `events` events; some 15 ns each.
    pub(super) fn new(seed: u64, events: u64) -> Self {
        let blocks = events.div_ceil(BLOCK as u64);
        let starts = (0..blocks).scan(0, |end, block| {
            let start = *end;
            *end = positions(seed, block, start)[BLOCK - 1];
            Some(start)
        });
        Self { seed, starts: starts.collect() }
    }

    /// Where the event lies, as an area below the profile's curve.
    pub(super) fn area(&self, index: u64, memory: &mut Memory) -> Area {
        let block = index / BLOCK as u64;
        if memory.block != Some(block) {
            let start = self.starts.get(block as usize).copied().unwrap_or(u64::MAX >> 8);
            *memory = Memory { block: Some(block), positions: positions(self.seed, block, start) };
        }
        let position = memory.positions[index as usize % BLOCK];
        (Area::from(position) * EVENT) >> FRACTION_BITS
    }
}

/// The block that was asked for last.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    block: Option<u64>,
    positions: [u64; BLOCK],
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { block: None, positions: [0; BLOCK] }
    }
}

fn positions(seed: u64, block: u64, start: u64) -> [u64; BLOCK] {
    let mut rng = rng(seed, Domain::Arrivals, block.cast_signed(), 0);
    let mut position = start;
    [(); BLOCK].map(|()| {
        position += exponential(&mut rng);
        position
    })
}

/// An exponential gap of mean 1. The length of a falling run of uniform numbers is odd with the probability e⁻ˣ,
/// where x is its first; each even one adds a whole unit.
fn exponential(rng: &mut impl Rng) -> u64 {
    let mut whole = 0_u64;
    loop {
        let first = rng.next_u32();
        let mut last = first;
        let mut length = 1;
        loop {
            let next = rng.next_u32();
            if last <= next {
                break;
            }
            (last, length) = (next, length + 1);
        }
        if length % 2 == 1 {
            return (whole << FRACTION_BITS) + u64::from(first >> (u32::BITS - FRACTION_BITS));
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exponential() {
        let mut rng = rng(5, Domain::Arrivals, 0, 0);
        let unit = f64::from(1 << FRACTION_BITS);
        let gaps: Vec<_> = (0..200_000).map(|_| exponential(&mut rng) as f64 / unit).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        for x in [0.1, 0.5, 1.0, 2.0, 5.0] {
            let share = gaps.iter().filter(|&&gap| x < gap).count() as f64 / count;
            let expected = (-x).exp();
            assert!((share - expected).abs() < 0.005, "above {x}: {share}, {expected}");
        }
    }

    #[test]
    fn a_position_is_the_same_alone_and_in_sequence() {
        let poisson = Poisson::new(9, 1_000);
        let mut memory = Memory::new();
        let mut last = 0;
        for index in 0..1_000 {
            let in_sequence = poisson.area(index, &mut memory);
            assert_eq!(poisson.area(index, &mut Memory::new()), in_sequence);
            assert!(last <= in_sequence);
            last = in_sequence;
        }
    }

    #[test]
    fn a_shorter_stream_is_the_beginning_of_a_longer_one() {
        let (short, long) = (Poisson::new(3, 100), Poisson::new(3, 10_000));
        for index in 0..100 {
            let of = |poisson: &Poisson| poisson.area(index, &mut Memory::new());
            assert_eq!(of(&short), of(&long));
        }
    }
}
