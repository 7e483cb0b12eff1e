//! Which operation comes on which key, in which order. Derived from a seed, the same on every machine.
//!
//! ```text
//! index      0   1   2   3   4   5   …     the global schedule: writers take turns
//! writer     0   1   2   0   1   2   …     index mod writers
//! ```
//!
//! Each writer owns its keys, so the operations on one key come in the order of that writer's sequence. A key is
//! inserted first, deleted last or never, and not used again: version 0 is the insert, every update and replace adds
//! one, the delete has the last number. The first n operations of a workload are the workload of n operations.
//!
//! Random numbers are drawn with integer arithmetic from ChaCha8, whose stream is fixed by its definition; the
//! distributions of the `rand` crate may change from version to version.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::document::DocumentShape;

/// What is written, all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The same seed gives the same operations and documents.
    pub seed: u64,
    /// Where the collections lie.
    pub database: String,
    /// Key n of a writer lies in collection n modulo their number; at least one.
    pub collections: Vec<String>,
    /// Writes in total, over all writers.
    pub operations: u64,
    /// Independent sequences, each with its own keys; at least one.
    pub writers: u32,
    /// How often each kind comes.
    pub mix: Mix,
    /// What an inserted document looks like.
    pub document: DocumentShape,
    /// Which of its living keys a writer chooses.
    pub key_spread: KeySpread,
}

/// Weights of the kinds of operations; only their ratios count.
///
/// A writer without a living key inserts, whatever the weights say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// New documents.
    pub insert: u16,
    /// `$set` of some fields.
    pub update: u16,
    /// Whole new contents of a key.
    pub replace: u16,
    /// Deletes of a key, which is never used again.
    pub delete: u16,
}

impl Mix {
    /// Nothing but inserts.
    pub const INSERTS: Self = Self { insert: 1, update: 0, replace: 0, delete: 0 };
    /// Half inserts, the rest mostly updates: every kind comes, and the number of living keys grows.
    pub const ALL: Self = Self { insert: 50, update: 30, replace: 12, delete: 8 };

    fn total(self) -> u64 {
        [self.insert, self.update, self.replace, self.delete].map(u64::from).iter().sum()
    }
}

/// How a writer chooses among its living keys. Deletes always choose uniformly, else no hot key would live long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpread {
    /// Every key alike.
    Uniform,
    /// A tenth of the keys takes 46 % of the operations, a hundredth 22 % (rank = u³, near to Zipf without its sums).
    Skewed,
}

/// Names one document; its writer and a number that counts up within the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The writer that owns the key.
    pub writer: u32,
    /// Keys of a writer are numbered from 0 without gaps, in the order of their inserts.
    pub number: u32,
}

impl Key {
    /// The document's `_id`: writer in the upper, number in the lower half.
    pub fn id(self) -> i64 {
        (i64::from(self.writer) << 32) | i64::from(self.number)
    }

    /// The key of an `_id`. `None` if no writer can have made it.
    pub fn from_id(id: i64) -> Option<Self> {
        let writer = u32::try_from(id >> 32).ok()?;
        let number = u32::try_from(id & i64::from(u32::MAX)).ok()?;
        Some(Self { writer, number })
    }
}

/// What happens to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It comes to be.
    Insert,
    /// Some fields are set.
    Update,
    /// All but its `_id` is replaced.
    Replace,
    /// It is gone.
    Delete,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Place in the global schedule: intended at start + index / rate.
    pub index: u64,
    /// The document.
    pub key: Key,
    /// 0 for the insert, then one more for each operation on the key, the delete included.
    pub version: u32,
    /// What is done.
    pub kind: Kind,
}

/// Why a workload cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// No writer.
    NoWriter,
    /// More writers than an `_id` has room for.
    WritersMax(u32),
    /// No collection.
    NoCollection,
    /// Every weight is zero.
    EmptyMix,
    /// More operations than the ledger can number.
    OperationsMax(u64),
}

impl std::fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoWriter => {
                write!(f, "a workload without writers writes nothing: ask for at least one")
            }
            Self::WritersMax(writers) => {
                write!(f, "{writers} writers do not fit into an _id: ask for at most {}", i32::MAX)
            }
            Self::NoCollection => write!(f, "a workload needs at least one collection to write to"),
            Self::EmptyMix => {
                write!(f, "all weights of the mix are zero: give at least one kind a weight")
            }
            Self::OperationsMax(operations) => {
                write!(f, "{operations} operations are too many: ask for at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for WorkloadError {}

impl Workload {
    /// Checks that the workload can be run at all. Everything else here takes that for granted.
    pub fn check(&self) -> Result<(), WorkloadError> {
        if self.writers == 0 {
            return Err(WorkloadError::NoWriter);
        }
        if i32::try_from(self.writers).is_err() {
            return Err(WorkloadError::WritersMax(self.writers));
        }
        if self.collections.is_empty() {
            return Err(WorkloadError::NoCollection);
        }
        if self.mix.total() == 0 {
            return Err(WorkloadError::EmptyMix);
        }
        if u32::try_from(self.operations).is_err() {
            return Err(WorkloadError::OperationsMax(self.operations));
        }
        Ok(())
    }

    /// The operations of one writer, in its order. Costs some 20 ns each, and 8 bytes per living key.
    pub fn operations(&self, writer: u32) -> WriterOperations {
        WriterOperations {
            writer,
            stride: u64::from(self.writers),
            next_index: u64::from(writer),
            end_index: self.operations,
            mix: self.mix,
            key_spread: self.key_spread,
            rng: rng(self.seed, Domain::Operations, i64::from(writer), 0),
            next_number: 0,
            living: Vec::new(),
        }
    }

    /// The operations of all writers by their index.
    pub fn schedule(&self) -> impl Iterator<Item = Operation> + use<> {
        let mut writers: Vec<_> = (0..self.writers).map(|writer| self.operations(writer)).collect();
        (0..self.operations).map_while(move |index| {
            let turn = usize::try_from(index % writers.len() as u64).ok()?;
            writers[turn].next()
        })
    }

    /// The place of a key's collection in [`Self::collections`].
    pub fn collection_index(&self, key: Key) -> usize {
        key.number as usize % self.collections.len()
    }

    /// The collection that a key lies in.
    pub fn collection(&self, key: Key) -> &str {
        &self.collections[self.collection_index(key)]
    }
}

/// See [`Workload::operations`].
#[derive(Clone, Debug)]
pub struct WriterOperations {
    writer: u32,
    stride: u64,
    next_index: u64,
    end_index: u64,
    mix: Mix,
    key_spread: KeySpread,
    rng: ChaCha8Rng,
    next_number: u32,
    living: Vec<LivingKey>,
}

#[derive(Clone, Copy, Debug)]
struct LivingKey {
    number: u32,
    version: u32,
}

impl Iterator for WriterOperations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        if self.end_index <= self.next_index {
            return None;
        }
        let index = self.next_index;
        self.next_index += self.stride;
        let kind = self.choose_kind();
        let LivingKey { number, version } = match kind {
            Kind::Insert => self.insert(),
            Kind::Update | Kind::Replace => self.change(),
            Kind::Delete => self.delete(),
        };
        Some(Operation { index, key: Key { writer: self.writer, number }, version, kind })
    }
}

impl WriterOperations {
    fn choose_kind(&mut self) -> Kind {
        if self.living.is_empty() {
            return Kind::Insert;
        }
        let mut draw = below(&mut self.rng, self.mix.total());
        for (kind, weight) in [
            (Kind::Insert, self.mix.insert),
            (Kind::Update, self.mix.update),
            (Kind::Replace, self.mix.replace),
        ] {
            let weight = u64::from(weight);
            if draw < weight {
                return kind;
            }
            draw -= weight;
        }
        Kind::Delete
    }

    fn insert(&mut self) -> LivingKey {
        let key = LivingKey { number: self.next_number, version: 0 };
        self.next_number += 1;
        self.living.push(key);
        key
    }

    fn change(&mut self) -> LivingKey {
        let count = self.living.len() as u64;
        let place = match self.key_spread {
            KeySpread::Uniform => below(&mut self.rng, count),
            KeySpread::Skewed => {
                let draw = u64::from(self.rng.next_u32());
                let cubed = (((draw * draw) >> 32) * draw) >> 32;
                (cubed * count) >> 32
            }
        };
        let key = &mut self.living[place as usize];
        key.version += 1;
        *key
    }

    fn delete(&mut self) -> LivingKey {
        let place = below(&mut self.rng, self.living.len() as u64);
        let LivingKey { number, version } = self.living.swap_remove(place as usize);
        LivingKey { number, version: version + 1 }
    }
}

/// Keeps the random streams of different purposes apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    Operations = 1,
    Documents = 2,
}

/// The generator of one purpose and place.
pub(crate) fn rng(seed: u64, domain: Domain, place: i64, step: u32) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&place.to_le_bytes());
    key[16..20].copy_from_slice(&step.to_le_bytes());
    key[20] = domain as u8;
    ChaCha8Rng::from_seed(key)
}

/// A number in `0..end`, `end` at most 2³². The bias is below `end` / 2³², the same everywhere.
pub(crate) fn below(rng: &mut impl Rng, end: u64) -> u64 {
    (u64::from(rng.next_u32()) * end) >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn workload(seed: u64, operations: u64, writers: u32, mix: Mix) -> Workload {
        Workload {
            seed,
            database: "d".into(),
            collections: vec!["a".into(), "b".into()],
            operations,
            writers,
            mix,
            document: DocumentShape::ALL_1_KB,
            key_spread: KeySpread::Skewed,
        }
    }

    /// FNV-1a, 64 bits.
    fn fnv(hash: u64, bytes: &[u8]) -> u64 {
        let prime = 0x0100_0000_01b3;
        bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(prime))
    }

    #[test]
    fn a_seed_gives_the_same_operations_and_bytes_for_ever() {
        let workload = workload(42, 10_000, 4, Mix::ALL);
        let mut operations = 0xcbf2_9ce4_8422_2325;
        let mut bytes = operations;
        for Operation { index, key, version, kind } in workload.schedule() {
            operations = fnv(operations, &index.to_le_bytes());
            operations = fnv(operations, &key.id().to_le_bytes());
            operations = fnv(operations, &version.to_le_bytes());
            operations = fnv(operations, &[kind as u8]);
            bytes = match kind {
                Kind::Insert | Kind::Replace => fnv(bytes, &workload.document_bytes(key, version)),
                Kind::Update => fnv(bytes, &workload.update_bytes(key, version)),
                Kind::Delete => bytes,
            };
        }
        assert_eq!(format!("{operations:016x} {bytes:016x}"), "535bf90756d56b1c f279240bac18b61e");
    }

    proptest! {
        #[test]
        fn keys_live_once_and_their_versions_count_up(
            seed: u64, operations in 0_u64..2_000, writers in 1_u32..9, skewed: bool,
        ) {
            let mut workload = workload(seed, operations, writers, Mix::ALL);
            workload.key_spread = if skewed { KeySpread::Skewed } else { KeySpread::Uniform };
            let mut last: HashMap<Key, (u32, Kind)> = HashMap::new();
            let mut count = 0;
            for (index, operation) in (0..).zip(workload.schedule()) {
                prop_assert_eq!(operation.index, index);
                prop_assert_eq!(u64::from(operation.key.writer), index % u64::from(writers));
                let before = last.insert(operation.key, (operation.version, operation.kind));
                match before {
                    None => prop_assert_eq!((operation.version, operation.kind), (0, Kind::Insert)),
                    Some((version, kind)) => {
                        prop_assert_eq!(operation.version, version + 1);
                        prop_assert!(operation.kind != Kind::Insert && kind != Kind::Delete);
                    }
                }
                count += 1;
            }
            prop_assert_eq!(count, operations);
        }

        #[test]
        fn the_schedule_is_what_the_writers_do(
            seed: u64, operations in 0_u64..500, writers in 1_u32..9,
        ) {
            let workload = workload(seed, operations, writers, Mix::ALL);
            let mut joined: Vec<_> =
                (0..writers).flat_map(|writer| workload.operations(writer)).collect();
            joined.sort_by_key(|operation| operation.index);
            prop_assert_eq!(joined, workload.schedule().collect::<Vec<_>>());
        }

        #[test]
        fn a_shorter_workload_is_the_beginning_of_a_longer_one(
            seed: u64, operations in 0_u64..500,
        ) {
            let long: Vec<_> = workload(seed, 1_000, 3, Mix::ALL).schedule().collect();
            let short: Vec<_> = workload(seed, operations, 3, Mix::ALL).schedule().collect();
            prop_assert_eq!(&long[..short.len()], &short);
        }

        #[test]
        fn ids_name_their_keys(writer in 0..=i32::MAX as u32, number: u32) {
            let key = Key { writer, number };
            prop_assert_eq!(Key::from_id(key.id()), Some(key));
            prop_assert_eq!(Key::from_id(!key.id()), None);
        }
    }

    #[test]
    fn the_mix_is_kept_within_two_percent() {
        let workload = workload(7, 100_000, 4, Mix::ALL);
        let mut counts: HashMap<Kind, i64> = HashMap::new();
        workload.schedule().for_each(|operation| *counts.entry(operation.kind).or_default() += 1);
        for (kind, percent) in
            [(Kind::Insert, 50), (Kind::Update, 30), (Kind::Replace, 12), (Kind::Delete, 8)]
        {
            assert!((counts[&kind] - percent * 1_000).abs() < 2_000, "{kind:?}: {}", counts[&kind]);
        }
    }

    #[test]
    fn a_writer_without_a_living_key_inserts() {
        let mix = Mix { insert: 0, update: 0, replace: 0, delete: 1 };
        let kinds: Vec<_> =
            workload(1, 6, 1, mix).schedule().map(|operation| operation.kind).collect();
        assert_eq!(kinds, [Kind::Insert, Kind::Delete].repeat(3));
    }

    #[test]
    fn a_tenth_of_skewed_keys_takes_almost_half_of_the_changes() {
        for (key_spread, least, most) in
            [(KeySpread::Skewed, 0.43, 0.49), (KeySpread::Uniform, 0.08, 0.12)]
        {
            let mut writer = workload(3, 1_000_000, 1, Mix::ALL).operations(0);
            writer.key_spread = key_spread;
            writer.living = (0..1_000).map(|number| LivingKey { number, version: 0 }).collect();
            let hot = (0..10_000).filter(|_| writer.change().number < 100).count();
            let share = hot as f64 / 10_000.0;
            assert!(least < share && share < most, "{key_spread:?}: {share}");
        }
    }

    #[test]
    fn workloads_that_cannot_be_run_are_refused() {
        let good = workload(1, 1, 1, Mix::ALL);
        assert_eq!(good.check(), Ok(()));
        let no_mix = Mix { insert: 0, update: 0, replace: 0, delete: 0 };
        for (bad, error) in [
            (Workload { writers: 0, ..good.clone() }, WorkloadError::NoWriter),
            (Workload { writers: 1 << 31, ..good.clone() }, WorkloadError::WritersMax(1 << 31)),
            (Workload { collections: Vec::new(), ..good.clone() }, WorkloadError::NoCollection),
            (Workload { mix: no_mix, ..good.clone() }, WorkloadError::EmptyMix),
            (
                Workload { operations: 1 << 32, ..good.clone() },
                WorkloadError::OperationsMax(1 << 32),
            ),
        ] {
            assert_eq!(bad.check(), Err(error));
        }
    }
}
