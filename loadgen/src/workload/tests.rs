//! Laws of workloads: the same for ever, keys in order, a prefix is a workload.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::document::DocumentShape;

fn workload(seed: u64, operations: u64, writers: u32, mix: Mix) -> Workload {
    Workload {
        seed,
        database: "d".into(),
        collections: vec!["a".to_owned(), "b".to_owned()].into(),
        operations,
        writers,
        mix,
        document: DocumentShape::ALL_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

/// Every kind of operation, half of the turns of `turn` operations as transactions.
fn transactions(turn: u64) -> Mix {
    let transactions = Transactions { operations: turn as u16, permille: 500 };
    Mix { transactions, ..Mix::ALL }
}

const SPREADS: [KeySpread; 4] = [
    KeySpread::Uniform,
    KeySpread::Skewed,
    KeySpread::Zipf { theta_permille: 990 },
    KeySpread::HotSet { keys_permille: 100, operations_permille: 900 },
];

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
        seed: u64, operations in 0_u64..2_000, writers in 1_u32..9, spread in 0..4_usize, turn in 1..9_u64,
    ) {
        let mut workload = workload(seed, operations, writers, transactions(turn));
        workload.key_spread = SPREADS[spread];
        let mut last: HashMap<Key, (u32, Kind)> = HashMap::new();
        let mut count = 0;
        for (index, operation) in (0..).zip(workload.schedule()) {
            prop_assert_eq!(operation.index, index);
            prop_assert_eq!(u64::from(operation.key.writer), index / turn % u64::from(writers));
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
        seed: u64, operations in 0_u64..500, writers in 1_u32..9, turn in 1..9_u64,
    ) {
        let workload = workload(seed, operations, writers, transactions(turn));
        let mut joined: Vec<_> =
            (0..writers).flat_map(|writer| workload.operations(writer)).collect();
        joined.sort_by_key(|operation| operation.index);
        prop_assert_eq!(joined, workload.schedule().collect::<Vec<_>>());
    }

    #[test]
    fn a_shorter_workload_is_the_beginning_of_a_longer_one(
        seed: u64, operations in 0_u64..500, turn in 1..9_u64,
    ) {
        let mix = transactions(turn);
        let long: Vec<_> = workload(seed, 1_000, 3, mix).schedule().collect();
        let short: Vec<_> = workload(seed, operations, 3, mix).schedule().collect();
        prop_assert_eq!(&long[..short.len()], &short);
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
    let mix = Mix { insert: 0, delete: 1, ..Mix::INSERTS };
    let kinds: Vec<_> = workload(1, 6, 1, mix).schedule().map(|operation| operation.kind).collect();
    assert_eq!(kinds, [Kind::Insert, Kind::Delete].repeat(3));
}

#[test]
fn workloads_that_cannot_be_run_are_refused() {
    let good = workload(1, 1, 1, Mix::ALL);
    assert_eq!(good.check(), Ok(()));
    let no_mix = Mix { insert: 0, ..Mix::INSERTS };
    let no_deltas = Mix { deltas: Deltas { set: 0, ..Deltas::SET }, ..Mix::ALL };
    let empty_transactions =
        Mix { transactions: Transactions { operations: 0, permille: 1 }, ..Mix::ALL };
    let large = DocumentShape { bytes: 17 << 20, ..DocumentShape::PLAIN_1_KB };
    for (bad, error) in [
        (Workload { writers: 0, ..good.clone() }, WorkloadError::NoWriter),
        (Workload { writers: 1 << 31, ..good.clone() }, WorkloadError::WritersMax(1 << 31)),
        (Workload { collections: Vec::new().into(), ..good.clone() }, WorkloadError::NoCollection),
        (Workload { mix: no_mix, ..good.clone() }, WorkloadError::EmptyMix),
        (Workload { mix: no_deltas, ..good.clone() }, WorkloadError::EmptyDeltas),
        (Workload { mix: empty_transactions, ..good.clone() }, WorkloadError::Transactions),
        (
            Workload { document: large.into(), ..good.clone() },
            WorkloadError::DocumentBytesMax(17 << 20),
        ),
        (Workload { operations: 1 << 32, ..good.clone() }, WorkloadError::OperationsMax(1 << 32)),
    ] {
        assert_eq!(bad.check(), Err(error));
    }
}

#[test]
fn key_spreads_that_make_no_sense_are_refused() {
    let good = workload(1, 1, 1, Mix::ALL);
    for key_spread in [
        KeySpread::Zipf { theta_permille: 0 },
        KeySpread::Zipf { theta_permille: 5_001 },
        KeySpread::HotSet { keys_permille: 0, operations_permille: 500 },
        KeySpread::HotSet { keys_permille: 500, operations_permille: 1_001 },
    ] {
        let refused = Workload { key_spread, ..good.clone() }.check();
        assert!(matches!(refused, Err(WorkloadError::KeySpread(_))), "{key_spread:?}");
    }
}
