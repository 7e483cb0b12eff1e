//! Judges what came out against what was written.
//!
//! The expected events are derived from the seed. Those of one key lie side by side, by version:
//!
//! ```text
//! keys     first slot of each key          [0, 3, 4, …]      a writer's keys count up, writers follow each other
//! slots    kind and seen bit of an event   [insert update delete | insert | …]
//! indexes  its place in the schedule       [0 4 12 | 8 | …]
//! ```
//!
//! Memory: 5 bytes per event and 8 per key; 2 000 000 inserts are 26 MB. One observation costs a few cache misses.
//!
//! | fault      | an event …                                                                   |
//! |------------|------------------------------------------------------------------------------|
//! | lost       | that was written and never seen                                              |
//! | duplicated | that was seen before                                                         |
//! | reordered  | seen for the first time after a later event of its key                       |
//! | corrupted  | whose content or kind is not what was written                                |
//! | unexpected | whose key or version was never written                                       |
//!
//! Order is that of first occurrences, so what an at-least-once node replays is duplicates and nothing else.

use std::fmt;

use crate::workload::{Key, Kind, Operation, Workload};

/// One event as a consumer found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The document it is about.
    pub key: Key,
    /// What it says happened.
    pub kind: Kind,
    /// The `v` it carries. A delete carries none; one that an insert carries is compared.
    pub version: Option<u32>,
    /// Whether the rest is what [`Workload::document`] or [`Workload::update`] derive.
    pub content: Content,
}

/// What the comparison of an event's content gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is what was written.
    Matches,
    /// It is something else.
    Differs,
}

/// What an observation turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The first occurrence of the write at this place of the schedule.
    First {
        /// [`Operation::index`] of the write: its latency counts from the time that was intended for this index.
        index: u64,
    },
    /// A further occurrence.
    Again,
    /// Nothing that was written.
    Unexpected,
}

/// The faults a ledger knows, in the order of its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Duplicated,
    Reordered,
    Corrupted,
    Unexpected,
}

const FAULTS: usize = 4;
/// How many examples of each fault a verdict names.
const EXAMPLES_MAX: usize = 3;
const SEEN: u8 = 0x80;

/// Expected events and which of them were seen.
#[derive(Debug)]
pub struct Ledger {
    /// Place in `keys` of each writer's key 0, and one more entry for the end.
    writers: Vec<u32>,
    keys: Vec<KeyState>,
    /// [`Kind`] as a number, and [`SEEN`].
    slots: Vec<u8>,
    indexes: Vec<u32>,
    observed: u64,
    seen: u64,
    counts: [u64; FAULTS],
    examples: Vec<(Fault, String)>,
}

#[derive(Clone, Copy, Debug)]
struct KeyState {
    first_slot: u32,
    /// Versions below this were seen or overtaken.
    next_version: u32,
}

impl Ledger {
    /// Derives the expected events, twice 20 ns each.
    ///
    /// # Panics
    /// If [`Workload::check`] refuses the workload.
    pub fn new(workload: &Workload) -> Self {
        workload
            .check()
            .unwrap_or_else(|error| panic!("the ledger needs a workload that can be run: {error}"));
        let mut ledger = Self {
            writers: vec![0],
            keys: Vec::new(),
            slots: vec![0; workload.operations as usize],
            indexes: vec![0; workload.operations as usize],
            observed: 0,
            seen: 0,
            counts: [0; FAULTS],
            examples: Vec::new(),
        };
        let mut slots = 0;
        for writer in 0..workload.writers {
            slots = ledger.add_writer(workload, writer, slots);
        }
        // An end for the last key.
        ledger.keys.push(KeyState { first_slot: slots, next_version: 0 });
        ledger
    }

    /// Appends the keys of a writer behind `slots` slots in use, and returns how many are in use then.
    fn add_writer(&mut self, workload: &Workload, writer: u32, mut slots: u32) -> u32 {
        let base = self.keys.len();
        // First the number of events of each key, then where they begin.
        for Operation { key, .. } in workload.operations(writer) {
            let place = base + key.number as usize;
            if place == self.keys.len() {
                self.keys.push(KeyState { first_slot: 0, next_version: 0 });
            }
            self.keys[place].first_slot += 1;
        }
        for key in &mut self.keys[base..] {
            let events = key.first_slot;
            key.first_slot = slots;
            slots += events;
        }
        for Operation { index, key, version, kind } in workload.operations(writer) {
            let slot = self.keys[base + key.number as usize].first_slot + version;
            self.slots[slot as usize] = kind_code(kind);
            self.indexes[slot as usize] = index as u32;
        }
        self.writers.push(self.keys.len() as u32);
        slots
    }

    /// Notes one event. Call it in the order in which a consumer reads them, per partition.
    pub fn observe(&mut self, observed: Observed) -> Sighting {
        self.observed += 1;
        let Some((place, slot)) = self.find(observed) else {
            self.fault(Fault::Unexpected, observed);
            return Sighting::Unexpected;
        };
        let version = slot - self.keys[place].first_slot;
        if !self.agrees(observed, slot, version) {
            self.fault(Fault::Corrupted, observed);
        }
        if self.slots[slot as usize] & SEEN != 0 {
            self.fault(Fault::Duplicated, observed);
            return Sighting::Again;
        }
        self.slots[slot as usize] |= SEEN;
        self.seen += 1;
        if version < self.keys[place].next_version {
            self.fault(Fault::Reordered, observed);
        } else {
            self.keys[place].next_version = version + 1;
        }
        Sighting::First { index: u64::from(self.indexes[slot as usize]) }
    }

    /// Expected events that were not seen yet; 0 lets a consumer stop.
    pub fn missing(&self) -> u64 {
        self.slots.len() as u64 - self.seen
    }

    /// What is to be said of all that was observed. Looks at every event once.
    pub fn verdict(&self) -> Verdict {
        let count = |fault: Fault| self.counts[fault as usize];
        let mut examples: Vec<_> = self.examples.iter().map(|(_, text)| text.clone()).collect();
        examples.extend(self.lost_examples());
        Verdict {
            expected: self.slots.len() as u64,
            observed: self.observed,
            seen: self.seen,
            lost: self.missing(),
            duplicated: count(Fault::Duplicated),
            reordered: count(Fault::Reordered),
            corrupted: count(Fault::Corrupted),
            unexpected: count(Fault::Unexpected),
            examples,
        }
    }

    /// The key's place and the slot that an event claims to be. `None` if there is no such write.
    fn find(&self, observed: Observed) -> Option<(usize, u32)> {
        let Key { writer, number } = observed.key;
        let begin = *self.writers.get(writer as usize)?;
        let end = *self.writers.get(writer as usize + 1)?;
        let place = begin.checked_add(number).filter(|&place| place < end)? as usize;
        let first = self.keys[place].first_slot;
        let end = self.keys[place + 1].first_slot;
        let slot = match observed.kind {
            Kind::Insert => first,
            Kind::Delete => end - 1,
            Kind::Update | Kind::Replace => {
                first.checked_add(observed.version?).filter(|&slot| slot < end)?
            }
        };
        let is_delete = self.slots[slot as usize] & !SEEN == kind_code(Kind::Delete);
        (is_delete == (observed.kind == Kind::Delete)).then_some((place, slot))
    }

    fn agrees(&self, observed: Observed, slot: u32, version: u32) -> bool {
        self.slots[slot as usize] & !SEEN == kind_code(observed.kind)
            && observed.version.is_none_or(|carried| carried == version)
            && observed.content == Content::Matches
    }

    fn fault(&mut self, fault: Fault, observed: Observed) {
        let count = &mut self.counts[fault as usize];
        *count += 1;
        if *count <= EXAMPLES_MAX as u64 {
            let name = match fault {
                Fault::Duplicated => "duplicated",
                Fault::Reordered => "reordered",
                Fault::Corrupted => "corrupted",
                Fault::Unexpected => "unexpected",
            };
            let Observed { key, kind, version, .. } = observed;
            self.examples.push((fault, example(name, kind, key, version)));
        }
    }

    fn lost_examples(&self) -> impl Iterator<Item = String> + '_ {
        let unseen = (0..).zip(&self.slots).filter(|(_, slot)| **slot & SEEN == 0);
        unseen.take(EXAMPLES_MAX).filter_map(|(slot, &code)| {
            let place = self.keys.partition_point(|key| key.first_slot <= slot).checked_sub(1)?;
            let writer =
                self.writers.partition_point(|&begin| begin as usize <= place).checked_sub(1)?;
            let number = place as u32 - self.writers[writer];
            let key = Key { writer: writer as u32, number };
            let version = slot - self.keys[place].first_slot;
            Some(example("lost", kind_of(code), key, Some(version)))
        })
    }
}

fn example(fault: &str, kind: Kind, key: Key, version: Option<u32>) -> String {
    let kind = match kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Replace => "replace",
        Kind::Delete => "delete",
    };
    let version = version.map_or(String::new(), |version| format!(", version {version}"));
    let Key { writer, number } = key;
    format!("{fault}: {kind} of _id {} (writer {writer}, key {number}{version})", key.id())
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Insert => 0,
        Kind::Update => 1,
        Kind::Replace => 2,
        Kind::Delete => 3,
    }
}

fn kind_of(code: u8) -> Kind {
    match code & !SEEN {
        0 => Kind::Insert,
        1 => Kind::Update,
        2 => Kind::Replace,
        _ => Kind::Delete,
    }
}

/// What a ledger found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Events that were written.
    pub expected: u64,
    /// Events that a consumer reported, whatever they were.
    pub observed: u64,
    /// Written events that were seen at least once.
    pub seen: u64,
    /// Written events that were not seen.
    pub lost: u64,
    /// Occurrences after the first.
    pub duplicated: u64,
    /// First occurrences after a later event of their key.
    pub reordered: u64,
    /// Occurrences whose content or kind differs, duplicates included.
    pub corrupted: u64,
    /// Events that were never written.
    pub unexpected: u64,
    /// The first of each fault, one line each.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Every event, once, in order, unchanged, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.duplicated == 0 && self.is_at_least_once()
    }

    /// As [`Self::is_exact`], duplicates allowed: what an at-least-once node owes after a fault.
    pub fn is_at_least_once(&self) -> bool {
        self.lost == 0 && self.reordered == 0 && self.corrupted == 0 && self.unexpected == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, seen, lost, duplicated, reordered, corrupted, unexpected, .. } = self;
        write!(
            f,
            "{seen} of {expected} events: {lost} lost, {duplicated} duplicated, {reordered} reordered, \
             {corrupted} corrupted, {unexpected} unexpected"
        )?;
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{KeySpread, Mix};

    fn workload(seed: u64, operations: u64) -> Workload {
        Workload {
            seed,
            database: "d".into(),
            collections: vec!["c".into()],
            operations,
            writers: 3,
            mix: Mix::ALL,
            document: DocumentShape::PLAIN_1_KB,
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
            let second =
                (first + 1..events.len()).find(|&at| events[at].key == events[first].key)?;
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
        assert!(
            text.starts_with("29 of 30 events: 1 lost, 1 duplicated, 0 reordered, 1 corrupted")
        );
        assert!(text.contains(&format!("lost: insert of _id {} ", lost.key.id())), "{text}");
        assert!(
            text.contains("duplicated: insert of _id 0 (writer 0, key 0, version 0)"),
            "{text}"
        );
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
}
