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
//! With digests ([`Ledger::with_digests`]) 8 bytes per event more: then the content of most events is judged by one
//! hash of what arrived, and nothing is derived while events come.
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
use std::num::NonZero;
use std::thread;

use crate::digest;
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
        /// [`Workload::due_index`] of the write: its latency counts from the time that was intended for this index.
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
    /// Of each slot's content; empty if there are none.
    digests: Vec<u64>,
    /// Operations that were written: the first so many.
    written: u64,
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
            digests: Vec::new(),
            written: workload.operations,
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

    /// As [`Self::new`], with the digest of every event: 2 µs for a KB, shared among all cores.
    ///
    /// # Panics
    /// If [`Workload::check`] refuses the workload.
    pub fn with_digests(workload: &Workload) -> Self {
        let mut ledger = Self::new(workload);
        let mut digests = vec![0; ledger.slots.len()];
        let parts = thread::available_parallelism().map_or(1, NonZero::get);
        let slots = digests.len().div_ceil(parts).max(1);
        thread::scope(|scope| {
            for (part, digests) in digests.chunks_mut(slots).enumerate() {
                let ledger = &ledger;
                scope.spawn(move || {
                    for (slot, digest) in (part * slots..).zip(digests) {
                        *digest = ledger.derive_digest(workload, slot as u32);
                    }
                });
            }
        });
        ledger.digests = digests;
        ledger
    }

    fn derive_digest(&self, workload: &Workload, slot: u32) -> u64 {
        let Some((key, version)) = self.place_of(slot) else { return 0 };
        match kind_of(self.slots[slot as usize]) {
            Kind::Insert | Kind::Replace => {
                digest::of_document(&workload.document_bytes(key, version))
            }
            Kind::Update => digest::of_change(&workload.changes(key, version)[0]),
            Kind::Delete => 0,
        }
    }

    /// The digest of what was written as `version` of `key`, if it was written and digests are kept.
    pub fn digest(&self, key: Key, version: u32) -> Option<u64> {
        let place = self.place(key)?;
        let first = self.keys[place].first_slot;
        let slot =
            first.checked_add(version).filter(|&slot| slot < self.keys[place + 1].first_slot)?;
        self.digests.get(slot as usize).copied()
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
            self.indexes[slot as usize] = workload.due_index(index) as u32;
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

    /// Expects no more than the first `operations`, because the load was cut short there.
    pub fn cut(&mut self, operations: u64) {
        self.written = operations.min(self.slots.len() as u64);
    }

    /// Expected events that were not seen yet; 0 lets a consumer stop.
    pub fn missing(&self) -> u64 {
        self.written.saturating_sub(self.seen)
    }

    /// What is to be said of all that was observed. Looks at every event once.
    pub fn verdict(&self) -> Verdict {
        let count = |fault: Fault| self.counts[fault as usize];
        let mut examples: Vec<_> = self.examples.iter().map(|(_, text)| text.clone()).collect();
        examples.extend(self.lost_examples());
        // Nobody wrote what lies behind the cut.
        let invented = self.slots.iter().zip(&self.indexes);
        let invented =
            invented.filter(|(slot, index)| **slot & SEEN != 0 && !self.is_written(**index));
        let invented = invented.count() as u64;
        let seen = self.seen - invented;
        Verdict {
            expected: self.written,
            observed: self.observed,
            seen,
            lost: self.written - seen,
            duplicated: count(Fault::Duplicated),
            reordered: count(Fault::Reordered),
            corrupted: count(Fault::Corrupted),
            unexpected: count(Fault::Unexpected) + invented,
            examples,
        }
    }

    fn is_written(&self, index: u32) -> bool {
        u64::from(index) < self.written
    }

    /// The key's place and the slot that an event claims to be. `None` if there is no such write.
    fn find(&self, observed: Observed) -> Option<(usize, u32)> {
        let place = self.place(observed.key)?;
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

    /// The key's place. `None` if there is no such key.
    fn place(&self, key: Key) -> Option<usize> {
        let begin = *self.writers.get(key.writer as usize)?;
        let end = *self.writers.get(key.writer as usize + 1)?;
        begin.checked_add(key.number).filter(|&place| place < end).map(|place| place as usize)
    }

    /// The key and version of a slot.
    fn place_of(&self, slot: u32) -> Option<(Key, u32)> {
        let place = self.keys.partition_point(|key| key.first_slot <= slot).checked_sub(1)?;
        let writer =
            self.writers.partition_point(|&begin| begin as usize <= place).checked_sub(1)?;
        let number = place as u32 - self.writers[writer];
        let key = Key { writer: writer as u32, number };
        Some((key, slot - self.keys[place].first_slot))
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
        let slots = (0..).zip(self.slots.iter().zip(&self.indexes));
        let unseen =
            slots.filter(|(_, (slot, index))| **slot & SEEN == 0 && self.is_written(**index));
        unseen.take(EXAMPLES_MAX).filter_map(|(slot, (&code, _))| {
            let (key, version) = self.place_of(slot)?;
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
mod tests;
