//! Holds what a topic contains against the ledger of what was written.
//!
//! ```text
//! topic ─► consumer ─► decoder ─► ledger ─► verdict        one thread fetches, one decodes
//!                         └ unreadable records, keys that changed their partition
//! ```
//!
//! A report is exact when every event is there once, in order per key, unchanged, in the partition of its key, and
//! nothing else is there. A record that cannot be read counts as corrupted; the event that it was is then lost too.
//! Whether contents are compared in full or by digest is a rule ([`Check::of`]), and the report says how many were.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result};
use millrace_loadgen::ledger::{Ledger, Sighting, Verdict};
use millrace_loadgen::workload::{Key, Workload};
use millrace_results::record::ContentRecord;
use rskafka::record::RecordAndOffset;
use tokio::sync::mpsc;

use crate::arm::Format;
use crate::consumer::{Fetched, Topic};
use crate::content::Check;
use crate::decode::Decoder;
use crate::decode_copy::Told;

/// How many replies may wait between the fetching and the decoding thread.
const FETCHED_MAX: usize = 4;
/// How many unreadable records are described.
const EXAMPLES_MAX: usize = 3;

/// Takes records one by one.
#[derive(Debug)]
pub struct Checker {
    decoder: Decoder,
    ledger: Ledger,
    /// Where each key was seen first; only kept when there is more than one partition.
    partitions: Option<HashMap<Key, i32>>,
    content: ContentRecord,
    unreadable: u64,
    moved: u64,
    bytes: u64,
    examples: Vec<String>,
}

/// What a checker found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The ledger's verdict.
    pub verdict: Verdict,
    /// How contents were judged.
    pub content: ContentRecord,
    /// Records that say nothing about any write.
    pub unreadable: u64,
    /// Records in another partition than the first of their key.
    pub moved: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// The first unreadable or moved records, one line each.
    pub examples: Vec<String>,
}

impl Checker {
    /// For a topic of `partitions` partitions that `format` filled with `workload`.
    pub fn new(workload: &Workload, format: Format, partitions: usize) -> Self {
        Self::by(Check::of(format, workload.operations), workload, format, partitions)
    }

    /// As [`Self::new`], whatever the size of the load.
    pub fn by(check: Check, workload: &Workload, format: Format, partitions: usize) -> Self {
        Self {
            decoder: Decoder::new(workload.clone(), format),
            ledger: check.ledger(workload),
            partitions: (1 < partitions).then(HashMap::new),
            content: check.record(),
            unreadable: 0,
            moved: 0,
            bytes: 0,
            examples: Vec::new(),
        }
    }

    /// Takes records about that, instead of changes.
    pub fn of(mut self, told: Told) -> Self {
        self.decoder = self.decoder.of(told);
        self
    }

    /// Notes a record. `None` if it cannot be read.
    pub fn observe(&mut self, partition: i32, record: &RecordAndOffset) -> Option<Sighting> {
        let (key, value) = (record.record.key.as_deref(), record.record.value.as_deref());
        self.bytes += [key, value].iter().flatten().map(|bytes| bytes.len() as u64).sum::<u64>();
        match self.decoder.decode_by(Some(&self.ledger), key, value) {
            Ok((observed, judged)) => {
                judged.count(&mut self.content);
                self.note_partition(observed.key, partition, record.offset);
                Some(self.ledger.observe(observed))
            }
            Err(reason) => {
                self.unreadable += 1;
                self.explain(|| format!("unreadable: {partition}@{}: {reason}", record.offset));
                None
            }
        }
    }

    /// Expects no more than the first `operations`, because the load was cut short there.
    pub fn cut(&mut self, operations: u64) {
        self.ledger.cut(operations);
    }

    /// Events that were written and not seen yet.
    pub fn missing(&self) -> u64 {
        self.ledger.missing()
    }

    /// What is to be said of all records so far.
    pub fn report(&self) -> Report {
        Report {
            verdict: self.ledger.verdict(),
            content: self.content,
            unreadable: self.unreadable,
            moved: self.moved,
            bytes: self.bytes,
            examples: self.examples.clone(),
        }
    }

    fn note_partition(&mut self, key: Key, partition: i32, offset: i64) {
        let Some(partitions) = &mut self.partitions else { return };
        let first = *partitions.entry(key).or_insert(partition);
        if first != partition {
            self.moved += 1;
            let id = key.id();
            self.explain(|| {
                format!("moved: _id {id} from partition {first} to {partition}@{offset}")
            });
        }
    }

    fn explain(&mut self, example: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

impl Report {
    /// Every event, once, in order, unchanged, in its partition, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.verdict.is_exact() && self.unreadable == 0 && self.moved == 0
    }

    /// As [`Report::is_exact`], duplicates allowed: what is owed after a crash.
    pub fn is_at_least_once(&self) -> bool {
        self.verdict.is_at_least_once() && self.unreadable == 0 && self.moved == 0
    }

    /// Records whose content is not what was written, unreadable and unexpected ones included.
    pub fn corrupted(&self) -> u64 {
        self.verdict.corrupted + self.verdict.unexpected + self.unreadable
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if 0 < self.unreadable + self.moved {
            write!(f, "\n  {} records unreadable, {} moved", self.unreadable, self.moved)?;
        }
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

/// Reads a topic of changes from its start to its end and judges it. `on_progress` gets the number of records so far.
pub async fn check_topic(
    topic: &Topic,
    workload: &Workload,
    format: Format,
    on_progress: impl FnMut(u64) + Send + 'static,
) -> Result<Report> {
    let checker = Checker::new(workload, format, topic.partitions());
    check_topic_by(checker, topic, on_progress).await
}

/// As [`check_topic`], by a checker that has seen nothing yet.
pub async fn check_topic_by(
    mut checker: Checker,
    topic: &Topic,
    mut on_progress: impl FnMut(u64) + Send + 'static,
) -> Result<Report> {
    let (sink, mut fetched) = mpsc::channel::<Fetched>(FETCHED_MAX);
    let judged = tokio::task::spawn_blocking(move || {
        let mut records = 0;
        while let Some(batch) = fetched.blocking_recv() {
            for record in &batch.records {
                checker.observe(batch.partition, record);
            }
            records += batch.records.len() as u64;
            on_progress(records);
        }
        checker.report()
    });
    topic.read_all(sink).await?;
    judged.await.context("the checking thread ended early")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_loadgen::workload::Kind;
    use rskafka::chrono::DateTime;
    use rskafka::record::Record;

    use super::*;
    use crate::decode::tests::{record, workload};

    fn records(workload: &Workload, format: Format) -> Vec<RecordAndOffset> {
        let kafka = |(offset, op)| {
            let (key, value) = record(workload, op, format);
            let timestamp = DateTime::UNIX_EPOCH;
            let (key, value, headers) = (Some(key), Some(value), BTreeMap::new());
            RecordAndOffset { record: Record { key, value, headers, timestamp }, offset }
        };
        (0..).zip(workload.schedule()).map(kafka).collect()
    }

    /// Each format in full, and raw BSON by digest as well.
    const CHECKS: [(Check, Format); 4] = [
        (Check::Full, Format::Json),
        (Check::Full, Format::Bson),
        (Check::Full, Format::Debezium),
        (Check::Digest, Format::Bson),
    ];

    fn check_by(
        (check, format): (Check, Format),
        workload: &Workload,
        records: &[RecordAndOffset],
    ) -> Report {
        let mut checker = Checker::by(check, workload, format, 1);
        for record in records {
            checker.observe(0, record);
        }
        checker.report()
    }

    /// Lost, duplicated, reordered, corrupted.
    fn faults(report: &Report) -> [u64; 4] {
        let Verdict { lost, duplicated, reordered, .. } = report.verdict;
        [lost, duplicated, reordered, report.corrupted()]
    }

    fn same_key(records: &[RecordAndOffset]) -> (usize, usize) {
        let later = |i: usize| {
            (i + 1..records.len()).find(|&j| records[i].record.key == records[j].record.key)
        };
        (0..records.len()).find_map(|i| Some((i, later(i)?))).expect("a key with two events")
    }

    #[test]
    fn what_was_written_is_exact() {
        let workload = workload(300);
        for check in CHECKS {
            let report = check_by(check, &workload, &records(&workload, check.1));
            assert!(report.is_exact(), "{report}");
            assert!(0 < report.bytes);
            let ContentRecord { by_digest, in_full, .. } = report.content;
            assert_eq!(by_digest + in_full, 300, "{check:?}");
            assert_eq!(by_digest != 0, check.0 == Check::Digest, "{check:?}");
        }
    }

    #[test]
    fn digests_are_enough_for_all_but_what_has_no_content_and_what_was_altered() {
        let workload = workload(300);
        let mut records = records(&workload, Format::Bson);
        let deletes = workload.schedule().filter(|op| op.kind == Kind::Delete).count() as u64;
        let judged = check_by((Check::Digest, Format::Bson), &workload, &records).content;
        assert_eq!((judged.by_digest, judged.in_full), (300 - deletes, deletes));

        let value = records[0].record.value.as_mut().expect("a value");
        let pad = value.windows(4).position(|name| name == b"pad\0").expect("padded") + 12;
        value[pad] ^= 1;
        let report = check_by((Check::Digest, Format::Bson), &workload, &records);
        assert_eq!(faults(&report), [0, 0, 0, 1], "{report}");
        let judged = report.content;
        assert_eq!((judged.by_digest, judged.in_full), (299 - deletes, deletes + 1));
    }

    #[test]
    fn each_fault_is_named_and_no_other() {
        let workload = workload(300);
        for check in CHECKS {
            let good = records(&workload, check.1);
            let (first, second) = same_key(&good);
            let mut dropped = good.clone();
            dropped.remove(first);
            let mut doubled = good.clone();
            doubled.insert(second, good[second].clone());
            let mut swapped = good.clone();
            swapped.swap(first, second);
            let mut cut = good.clone();
            cut[first].record.value.as_mut().expect("a value").pop();
            for (records, expected) in [
                (dropped, [1, 0, 0, 0]),
                (doubled, [0, 1, 0, 0]),
                (swapped, [0, 0, 1, 0]),
                (cut, [1, 0, 0, 1]),
            ] {
                let report = check_by(check, &workload, &records);
                assert_eq!(faults(&report), expected, "{report}");
                assert!(!report.is_exact());
            }
        }
    }

    #[test]
    fn a_key_that_changes_its_partition_is_reported() {
        let workload = workload(300);
        let records = records(&workload, Format::Bson);
        let (_, second) = same_key(&records);
        let mut checker = Checker::new(&workload, Format::Bson, 2);
        for (place, record) in records.iter().enumerate() {
            checker.observe(i32::from(place == second), record);
        }
        let report = checker.report();
        assert!(report.moved != 0 && !report.is_exact(), "{report}");
        assert!(report.verdict.is_exact(), "{report}");
    }
}
