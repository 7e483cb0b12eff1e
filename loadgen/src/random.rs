//! Random numbers that are the same on every machine and for ever.
//!
//! ```text
//! (seed, domain, place, step, item) ─► ChaCha8 key ─► a stream of its own
//! ```
//!
//! Each purpose and place has its own stream, so what is drawn for one document or transaction does not depend on
//! what was drawn before it: anything can be derived alone. ChaCha8's stream is fixed by its definition; the
//! distributions of the `rand` crate may change from version to version, and are not used.
//!
//! Opening a stream costs some 60 ns in a release build.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Keeps the streams of different purposes apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    Operations = 1,
    Documents = 2,
    /// Which delta each update is.
    Deltas = 3,
    /// Values that deltas write.
    DeltaValues = 4,
    /// Which turns of a writer are transactions.
    Transactions = 5,
    /// Gaps between Poisson arrivals.
    Arrivals = 6,
    Templates = 7,
}

/// The stream of one purpose and place.
pub(crate) fn rng(seed: u64, domain: Domain, place: i64, step: u32) -> ChaCha8Rng {
    rng_of_item(seed, domain, place, step, 0)
}

/// As [`rng`], for one of several items at the same place and step.
pub(crate) fn rng_of_item(
    seed: u64,
    domain: Domain,
    place: i64,
    step: u32,
    item: u8,
) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&place.to_le_bytes());
    key[16..20].copy_from_slice(&step.to_le_bytes());
    key[20] = domain as u8;
    key[21] = item;
    ChaCha8Rng::from_seed(key)
}

/// A number in `0..end`, `end` at most 2³². The bias is below `end` / 2³², the same everywhere.
pub(crate) fn below(rng: &mut impl Rng, end: u64) -> u64 {
    (u64::from(rng.next_u32()) * end) >> 32
}
