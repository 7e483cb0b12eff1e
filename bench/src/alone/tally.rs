//! What the acknowledging broker knows of the batches that came: counts, sequences, and every so many a batch whole.
//!
//! ```text
//! batch ─► header (61 bytes) ─► per partition: next offset, next sequence ─► base offset of the answer
//!              │                                └─ skipped: lost    back again: duplicated
//!              └─ every n-th, and the last ─► samples: batches as in a log segment, with their offsets
//! ```
//!
//! No byte of a record is looked at while the clock runs: that would be CPU time of the broker's core, and the node
//! would wait for it. So a batch between two samples is only counted; see `judge` for the samples.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::record_batch::Header;

/// Sequences of a producer begin again at 0 after the largest (`DefaultRecordBatch.incrementSequence`).
const SEQUENCES: i64 = 1 << 31;

/// What came so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records of all batches that were not there before.
    pub records: u64,
    /// Batches with these records.
    pub batches: u64,
    /// Produce requests.
    pub requests: u64,
    /// Bytes of the batches, headers included.
    pub bytes: u64,
    /// Records of the first batch.
    pub records_first_batch: u64,
    /// From the first batch to the last, µs.
    pub window_us: u64,
    /// Records by whose number a sequence was higher than the next.
    pub skipped: u64,
    /// Records of batches whose sequence was there before.
    pub repeated: u64,
    /// Records of batches without a producer id or of a second producer: their sequence says nothing.
    pub unnumbered: u64,
    /// Topics and partitions with records.
    pub partitions: u64,
    /// Batches in the samples.
    pub sampled: u64,
}

/// Takes batches.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Counts,
    logs: HashMap<(Vec<u8>, i32), Log>,
    first: Option<Instant>,
    samples: Samples,
}

/// One partition.
#[derive(Debug, Default)]
struct Log {
    next_offset: i64,
    /// Producer and epoch, and the sequence that follows.
    producer: Option<((i64, i16), i64)>,
}

/// Where whole batches are kept.
#[derive(Debug)]
pub(crate) struct Samples {
    file: File,
    /// One of so many batches.
    every: u64,
    /// The batch with this record, counted from 1, is kept as well.
    last_record: u64,
}

impl Samples {
    /// Keeps the first of every `every` batches, and the one with record number `last_record`, in a new file.
    pub(crate) fn new(path: &Path, every: u64, last_record: u64) -> Result<Self> {
        let file = File::create(path);
        let file = file.with_context(|| format!("could not make {}", path.display()))?;
        Ok(Self { file, every: every.max(1), last_record })
    }
}

impl Tally {
    pub(crate) fn new(samples: Samples) -> Self {
        Self { counts: Counts::default(), logs: HashMap::new(), first: None, samples }
    }

    /// What came so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The offset after the last record of a partition.
    pub(crate) fn end(&self, topic: &[u8], partition: i32) -> i64 {
        self.logs.get(&(topic.to_vec(), partition)).map_or(0, |log| log.next_offset)
    }

    /// Notes a Produce request.
    pub(crate) fn note_request(&mut self) {
        self.counts.requests += 1;
    }

    /// Takes a batch and returns the offset of its first record.
    ///
    /// # Errors
    /// When its header is none, or a sample cannot be kept.
    pub(crate) fn take(
        &mut self,
        topic: &[u8],
        partition: i32,
        batch: &[u8],
        now: Instant,
    ) -> Result<i64> {
        let header = Header::read(batch).context("a batch that no broker would take")?;
        let count = i64::from(header.count);
        let key = (topic.to_vec(), partition);
        let is_new = !self.logs.contains_key(&key);
        let log = self.logs.entry(key).or_default();
        let counts = &mut self.counts;
        counts.partitions += u64::from(is_new);
        match log.judge(&header) {
            Sequence::Next => {}
            Sequence::Skipped(records) => counts.skipped += records,
            Sequence::Unnumbered => counts.unnumbered += u64::from(header.count),
            Sequence::Repeated => {
                counts.repeated += u64::from(header.count);
                return Ok(log.next_offset - count);
            }
        }
        let base_offset = log.next_offset;
        log.next_offset += count;
        let first = *self.first.get_or_insert(now);
        counts.window_us = now.saturating_duration_since(first).as_micros() as u64;
        if counts.batches == 0 {
            counts.records_first_batch = header.count.into();
        }
        let records_before = counts.records;
        counts.records += u64::from(header.count);
        counts.bytes += batch.len() as u64;
        let Samples { file, every, last_record } = &mut self.samples;
        let has_last = records_before < *last_record && *last_record <= counts.records;
        if counts.batches.is_multiple_of(*every) || has_last {
            counts.sampled += 1;
            let kept = file.write_all(&base_offset.to_be_bytes()).and_then(|()| {
                file.write_all(&batch[8..]) // a broker writes the offset, the checksum does not cover it
            });
            kept.context("could not keep a sample")?;
        }
        counts.batches += 1;
        Ok(base_offset)
    }
}

enum Sequence {
    Next,
    Skipped(u64),
    Repeated,
    Unnumbered,
}

impl Log {
    fn judge(&mut self, header: &Header) -> Sequence {
        let producer = (header.producer_id, header.producer_epoch);
        let (base, count) = (i64::from(header.base_sequence), i64::from(header.count));
        if header.producer_id < 0 || base < 0 {
            return Sequence::Unnumbered;
        }
        let following = base + count; // compared modulo SEQUENCES
        match &mut self.producer {
            None => {
                self.producer = Some((producer, following));
                if base == 0 { Sequence::Next } else { Sequence::Skipped(base as u64) }
            }
            Some((known, _)) if *known != producer => Sequence::Unnumbered,
            Some((_, next)) => {
                // Behind by less than half of all: it was there. Else it is ahead.
                let ahead = (base - *next).rem_euclid(SEQUENCES);
                if SEQUENCES / 2 <= ahead {
                    return Sequence::Repeated;
                }
                *next = following;
                if ahead == 0 { Sequence::Next } else { Sequence::Skipped(ahead as u64) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record_batch::tests::{batch, record};

    fn tally(every: u64, last_record: u64) -> (Tally, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = Samples::new(&folder.path().join("samples"), every, last_record);
        (Tally::new(samples.expect("made")), folder)
    }

    fn take(tally: &mut Tally, producer_id: i64, sequence: i32, records: usize) -> i64 {
        let records = vec![record(1, b"value"); records];
        let batch = batch(&records, producer_id, sequence);
        tally.take(b"t", 0, &batch, Instant::now()).expect("taken")
    }

    #[test]
    fn batches_in_sequence_are_counted_and_get_their_offsets() {
        let (mut tally, _folder) = tally(100, 0);
        assert_eq!([take(&mut tally, 5, 0, 3), take(&mut tally, 5, 3, 2)], [0, 3]);
        let Counts {
            records,
            batches,
            records_first_batch,
            skipped,
            repeated,
            unnumbered,
            partitions,
            ..
        } = *tally.counts();
        assert_eq!((records, batches, records_first_batch, partitions), (5, 2, 3, 1));
        assert_eq!((skipped, repeated, unnumbered), (0, 0, 0));
        assert_eq!((tally.end(b"t", 0), tally.end(b"t", 1)), (5, 0));
    }

    #[test]
    fn a_batch_that_is_missing_or_there_again_is_found_by_its_sequence() {
        let (mut tally, _folder) = tally(100, 0);
        take(&mut tally, 5, 0, 3);
        take(&mut tally, 5, 7, 2);
        assert_eq!(tally.counts().skipped, 4);
        assert_eq!(take(&mut tally, 5, 7, 2), 3, "the offset that it has");
        assert_eq!((tally.counts().repeated, tally.counts().records), (2, 5));
        take(&mut tally, 5, 9, 1);
        assert_eq!((tally.counts().skipped, tally.counts().repeated), (4, 2));
    }

    #[test]
    fn the_first_batch_of_a_producer_begins_at_zero() {
        let (mut tally, _folder) = tally(100, 0);
        take(&mut tally, 5, 4, 1);
        assert_eq!(tally.counts().skipped, 4);
    }

    #[test]
    fn a_batch_without_a_producer_or_of_another_is_told() {
        let (mut tally, _folder) = tally(100, 0);
        take(&mut tally, 5, 0, 3);
        take(&mut tally, -1, -1, 2);
        take(&mut tally, 6, 0, 1);
        assert_eq!((tally.counts().unnumbered, tally.counts().records), (3, 6));
    }

    #[test]
    fn a_stream_without_any_producer_has_no_sequence_at_all() {
        let (mut tally, _folder) = tally(100, 0);
        take(&mut tally, -1, -1, 3);
        take(&mut tally, -1, -1, 2);
        let Counts { unnumbered, skipped, repeated, .. } = *tally.counts();
        assert_eq!((unnumbered, skipped, repeated), (5, 0, 0));
    }

    #[test]
    fn sequences_begin_again_after_the_largest() {
        let mut log = Log { next_offset: 0, producer: Some(((5, 0), SEQUENCES - 1)) };
        let header = |base_sequence, count| Header {
            base_offset: 0,
            crc: 0,
            attributes: 0,
            producer_id: 5,
            producer_epoch: 0,
            base_sequence,
            count,
        };
        assert!(matches!(log.judge(&header(i32::MAX, 3)), Sequence::Next));
        assert!(matches!(log.judge(&header(2, 1)), Sequence::Next));
        assert!(matches!(log.judge(&header(i32::MAX, 3)), Sequence::Repeated));
        assert!(matches!(log.judge(&header(5, 1)), Sequence::Skipped(2)));
    }

    #[test]
    fn one_of_so_many_batches_is_kept_whole_and_so_is_the_last() {
        let (mut tally, folder) = tally(3, 8);
        for sequence in 0..9 {
            take(&mut tally, 5, sequence, 1);
        }
        assert_eq!(tally.counts().sampled, 4, "one of three, and the one with record 8");
        let kept = std::fs::read(folder.path().join("samples")).expect("there");
        let one = batch(&[record(1, b"value")], 5, 0).len();
        let offsets = kept.chunks(one).map(|batch| Header::read(batch).expect("whole").base_offset);
        assert_eq!(offsets.collect::<Vec<_>>(), [0, 3, 6, 7]);
    }

    #[test]
    fn the_window_is_from_the_first_batch_to_the_last() {
        let (mut tally, _folder) = tally(100, 0);
        let began = Instant::now();
        for (sequence, ms) in [(0, 50), (1, 80), (2, 170)] {
            let batch = batch(&[record(1, b"value")], 5, sequence);
            tally.take(b"t", 0, &batch, began + Duration::from_millis(ms)).expect("taken");
        }
        assert_eq!(tally.counts().window_us, 120_000);
    }

    #[test]
    fn what_is_no_batch_is_an_error() {
        let (mut tally, _folder) = tally(100, 0);
        assert!(tally.take(b"t", 0, b"no batch", Instant::now()).is_err());
    }
}
