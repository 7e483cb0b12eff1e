//! Laws of the ledger: every fault is named, that one and no other.

use proptest::prelude::*;

use super::*;
use crate::document::DocumentShape;
use crate::workload::{Collections, KeySpread, Mix, Transactions};

fn workload(seed: u64, operations: u64) -> Workload {
    Workload {
        seed,
        database: "d".into(),
        collections: Collections::one("c"),
        operations,
        writers: 3,
        mix: Mix::ALL,
        document: DocumentShape::PLAIN_1_KB.into(),
        key_spread: KeySpread::Skewed,
    }
}

fn seen(Operation { key, version, kind, .. }: Operation) -> Observed {
    let version = (kind != Kind::Delete).then_some(version);
    Observed { key, kind, version, content: Content::Matches }
}

fn events(workload: &Workload) -> Vec<Observed> {
    workload.schedule().map(seen).collect()
}

fn judge(workload: &Workload, events: impl IntoIterator<Item = Observed>) -> Verdict {
    let mut ledger = Ledger::new(workload);
    events.into_iter().for_each(|event| {
        ledger.observe(event);
    });
    ledger.verdict()
}

/// The verdict that names nothing but `counts` of lost, duplicated, reordered, corrupted, unexpected.
fn assert_only(verdict: &Verdict, counts: [u64; 5]) {
    let Verdict { lost, duplicated, reordered, corrupted, unexpected, .. } = *verdict;
    assert_eq!([lost, duplicated, reordered, corrupted, unexpected], counts, "{verdict}");
    assert_eq!(verdict.is_exact(), counts == [0; 5]);
    assert_eq!(verdict.seen + lost, verdict.expected);
    let named = counts.iter().map(|&count| count.min(EXAMPLES_MAX as u64)).sum::<u64>();
    assert_eq!(verdict.examples.len() as u64, named);
}

/// Two places of neighbouring versions of one key.
fn neighbours(events: &[Observed], after: usize) -> Option<(usize, usize)> {
    (after..events.len()).find_map(|first| {
        let second = (first + 1..events.len()).find(|&at| events[at].key == events[first].key)?;
        Some((first, second))
    })
}

proptest! {
    #[test]
    fn the_written_sequence_is_exact(seed: u64, operations in 0_u64..400) {
        let workload = workload(seed, operations);
        assert_only(&judge(&workload, events(&workload)), [0; 5]);
    }

    #[test]
    fn writers_may_overtake_each_other(seed: u64) {
        let workload = workload(seed, 300);
        let by_writer = (0..3).rev().flat_map(|writer| workload.operations(writer)).map(seen);
        assert_only(&judge(&workload, by_writer), [0; 5]);
    }

    #[test]
    fn a_dropped_event_is_lost_and_nothing_else(seed: u64, at in 0_usize..300) {
        let workload = workload(seed, 300);
        let mut events = events(&workload);
        events.remove(at);
        assert_only(&judge(&workload, events), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_doubled_event_is_duplicated_and_nothing_else(
        seed: u64, from in 0_usize..300, to in 0_usize..300,
    ) {
        let workload = workload(seed, 300);
        let mut events = events(&workload);
        let (first, later) = (from.min(to), from.max(to));
        events.insert(later + 1, events[first]);
        assert_only(&judge(&workload, events), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn swapped_neighbours_of_a_key_are_reordered_and_nothing_else(
        seed: u64, after in 0_usize..150,
    ) {
        let workload = workload(seed, 300);
        let mut events = events(&workload);
        let (first, second) = neighbours(&events, after).expect("a key with two events");
        events.swap(first, second);
        assert_only(&judge(&workload, events), [0, 0, 1, 0, 0]);
    }

    #[test]
    fn an_altered_event_is_corrupted_and_nothing_else(seed: u64, at in 0_usize..300) {
        let workload = workload(seed, 300);
        let mut events = events(&workload);
        events[at].content = Content::Differs;
        assert_only(&judge(&workload, events), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_replayed_window_is_duplicates_and_nothing_else(
        seed: u64, start in 0_usize..300, length in 0_usize..100,
    ) {
        let workload = workload(seed, 300);
        let events = events(&workload);
        let end = events.len().min(start + length);
        let replayed = events[..end].iter().chain(&events[start..]).copied();
        let verdict = judge(&workload, replayed);
        assert_only(&verdict, [0, (end - start) as u64, 0, 0, 0]);
        prop_assert!(verdict.is_at_least_once());
    }

    #[test]
    fn sightings_name_the_place_in_the_schedule(seed: u64) {
        let workload = workload(seed, 200);
        let mut ledger = Ledger::new(&workload);
        for operation in workload.schedule() {
            let first = ledger.observe(seen(operation));
            prop_assert_eq!(first, Sighting::First { index: operation.index });
            prop_assert_eq!(ledger.observe(seen(operation)), Sighting::Again);
        }
        prop_assert_eq!(ledger.missing(), 0);
    }

    #[test]
    fn no_observation_panics(
        writer in 0_u32..5,
        number: u32,
        version: Option<u32>,
        kind in 0_u8..4,
        small in 0_u32..20,
    ) {
        let mut ledger = Ledger::new(&workload(1, 60));
        for number in [number, small, u32::MAX] {
            for version in [version, Some(small), Some(u32::MAX), None] {
                let key = Key { writer, number };
                let content = Content::Matches;
                ledger.observe(Observed { key, kind: kind_of(kind), version, content });
            }
        }
        ledger.verdict();
    }
}

#[test]
fn what_was_never_written_is_unexpected_and_nothing_else() {
    let workload = workload(1, 300);
    let events = events(&workload);
    let update = *events.iter().find(|event| event.kind == Kind::Update).unwrap();
    let alive = events
        .iter()
        .find(|event| !events.iter().any(|e| e.key == event.key && e.kind == Kind::Delete))
        .unwrap();
    let stranger = Key { writer: 3, number: 0 };
    let unborn = Key { writer: 0, number: 1_000 };
    for phantom in [
        Observed { key: stranger, ..update },
        Observed { key: unborn, ..update },
        Observed { version: Some(1_000), ..update },
        Observed { version: None, ..update },
        Observed { kind: Kind::Delete, version: None, ..*alive },
    ] {
        let verdict = judge(&workload, events.iter().copied().chain([phantom]));
        assert_only(&verdict, [0, 0, 0, 0, 1]);
    }
}

#[test]
fn an_event_of_another_kind_or_version_is_corrupted() {
    let workload = workload(1, 300);
    let events = events(&workload);
    for (kind, other) in [
        (Kind::Update, Observed { kind: Kind::Replace, ..events[0] }),
        (Kind::Insert, Observed { version: Some(9), ..events[0] }),
    ] {
        let at = events.iter().position(|event| event.kind == kind).unwrap();
        let mut tampered = events.clone();
        let (kind, version) =
            (other.kind, if kind == Kind::Insert { other.version } else { events[at].version });
        tampered[at] = Observed { kind, version, ..events[at] };
        assert_only(&judge(&workload, tampered), [0, 0, 0, 1, 0]);
    }
}

#[test]
fn the_verdict_names_an_example_of_each_fault() {
    let workload = workload(1, 30);
    let mut events = events(&workload);
    let lost = events.pop().unwrap();
    events.push(events[0]);
    events[1].content = Content::Differs;
    let text = judge(&workload, events).to_string();
    assert!(text.starts_with("29 of 30 events: 1 lost, 1 duplicated, 0 reordered, 1 corrupted"));
    assert!(text.contains(&format!("lost: insert of _id {} ", lost.key.id())), "{text}");
    assert!(text.contains("duplicated: insert of _id 0 (writer 0, key 0, version 0)"), "{text}");
    assert!(text.contains("corrupted: insert of _id 4294967296"), "{text}");
}

#[test]
fn two_million_events_take_less_than_fifty_megabytes() {
    let workload = Workload { mix: Mix::INSERTS, ..workload(1, 2_000_000) };
    let Ledger { writers, keys, slots, indexes, .. } = Ledger::new(&workload);
    let bytes = writers.capacity() * 4
        + keys.capacity() * size_of::<KeyState>()
        + slots.capacity()
        + indexes.capacity() * 4;
    assert!(bytes < 50_000_000, "{bytes}");
}

#[test]
fn the_operations_of_a_transaction_are_due_with_its_first() {
    let mut workload = workload(1, 300);
    workload.mix.transactions = Transactions { operations: 5, permille: 500 };
    let mut ledger = Ledger::new(&workload);
    let mut together = 0;
    for operation in workload.schedule() {
        let due = workload.due_index(operation.index);
        together += u64::from(due != operation.index);
        assert_eq!(ledger.observe(seen(operation)), Sighting::First { index: due });
    }
    assert!(ledger.verdict().is_exact());
    assert!(60 < together, "{together}");
}

#[test]
fn digests_are_those_of_what_was_written() {
    for mix in [Mix::ALL, Mix { delete: 5, ..Mix::UPDATES }] {
        let workload = Workload { mix, ..workload(2, 900) };
        let ledger = Ledger::with_digests(&workload);
        for Operation { key, version, kind, .. } in workload.schedule() {
            let expected = match kind {
                Kind::Insert | Kind::Replace => {
                    digest::of_document(&workload.document_bytes(key, version))
                }
                Kind::Update => digest::of_change(&workload.changes(key, version)[0]),
                Kind::Delete => 0,
            };
            assert_eq!(ledger.digest(key, version), Some(expected));
        }
        assert_eq!(ledger.digest(Key { writer: 0, number: 0 }, 100_000), None);
        assert_eq!(ledger.digest(Key { writer: 9, number: 0 }, 0), None);
        assert_eq!(Ledger::new(&workload).digest(Key { writer: 0, number: 0 }, 0), None);
    }
}

proptest! {
    #[test]
    fn a_load_that_was_cut_short_is_judged_by_what_was_written(seed: u64, written in 1_u64..300) {
        let whole = workload(seed, 300);
        let mut ledger = Ledger::new(&whole);
        let events = events(&Workload { operations: written, ..whole });
        for event in &events[1..] {
            ledger.observe(*event);
        }
        ledger.cut(written);
        assert_eq!(ledger.missing(), 1);
        let verdict = ledger.verdict();
        assert_eq!((verdict.expected, verdict.lost), (written, 1));
        // The last event that was seen now lies behind the cut; of a load of one none was seen.
        ledger.cut(written - 1);
        let (verdict, seen_any) = (ledger.verdict(), u64::from(written != 1));
        assert_eq!((verdict.unexpected, verdict.lost), (seen_any, seen_any));
    }
}
