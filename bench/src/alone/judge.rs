//! What is wrong with what the acknowledging broker took: counts and sequences of all, contents of the samples.
//!
//! ```text
//! counts    records ─ expected                    missing: lost     more: unexpected
//!           sequences                             skipped: lost     repeated: duplicated
//! samples   record at offset o ─► decoder ──┐
//!           event o of the tape ─► decoder ─┴─►   the same write, with the same content, or not: corrupted
//! ```
//!
//! One topic with one partition, filled in the order of the stream: so the offset of a record is the number of its
//! event, and a record that is lost or doubled anywhere before a sample moves all of it. The last batch is a sample.
//! What is swapped or altered between two samples is not seen, nor a loss that a repetition makes up for there.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use millrace_loadgen::ledger::Content;
use millrace_loadgen::workload::Workload;
use millrace_results::record::Faults;

use super::tally::Counts;
use super::tape::Tape;
use crate::arm::Format;
use crate::decode::Decoder;
use crate::raw_stream;
use crate::record_batch::{Header, Record};
use crate::wire::Reader;

/// How many records that are not what they should be are described.
const EXAMPLES_MAX: usize = 3;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// As records count them; an unreadable record is a corrupted one.
    pub faults: Faults,
    /// Batches of the samples.
    pub batches_compared: u64,
    /// Records in them.
    pub records_compared: u64,
    /// Why the checks say nothing, if they do not.
    pub undecided: Option<String>,
    /// The first records that are not what they should be, one line each.
    pub examples: Vec<String>,
}

/// Judges by `counts` alone whether `expected` records came, each once.
pub(crate) fn counts(counts: &Counts, expected: u64) -> Verdict {
    let Counts { records, skipped, repeated, unnumbered, partitions, .. } = *counts;
    let faults = Faults {
        lost: skipped.max(expected.saturating_sub(records)),
        duplicated: repeated,
        unexpected: records.saturating_sub(expected),
        ..Faults::default()
    };
    let undecided = if unnumbered != 0 {
        Some(format!("{unnumbered} records came without a sequence, or from a second producer"))
    } else if 1 < partitions {
        Some(format!(
            "{partitions} partitions were written, so that offsets are no places in the stream"
        ))
    } else {
        None
    };
    Verdict { faults, undecided, ..Verdict::default() }
}

impl Verdict {
    /// Compares the batches in the file `samples` with the events of `tape`, record by record, checksums included.
    ///
    /// # Errors
    /// When the file is not what the broker writes.
    pub(crate) fn compare(
        &mut self,
        samples: &Path,
        tape: &Tape,
        workload: &Workload,
        format: Format,
    ) -> Result<()> {
        let bytes = std::fs::read(samples);
        let bytes = bytes.with_context(|| format!("could not read {}", samples.display()))?;
        let comparison = Comparison {
            events: tape.events()?,
            written: Decoder::new(workload.clone(), Format::Bson),
            read: Decoder::new(workload.clone(), format),
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (batch, after) = take_batch(rest)?;
            rest = after;
            self.batches_compared += 1;
            self.compare_batch(batch, &comparison)?;
        }
        Ok(())
    }

    fn compare_batch(&mut self, batch: &[u8], comparison: &Comparison<'_>) -> Result<()> {
        let header = Header::read(batch)?;
        let at = header.base_offset;
        if !header.crc_is_right(batch) {
            self.faults.corrupted += u64::from(header.count);
            self.explain(format!("the checksum of the batch at {at} is wrong"));
            return Ok(());
        }
        let records = Record::read_all(&header, batch);
        let records = records.with_context(|| format!("could not read the batch at {at}"))?;
        for (offset, record) in (at as u64..).zip(&records) {
            self.records_compared += 1;
            if let Err(reason) = comparison.compare(offset, record) {
                self.faults.corrupted += 1;
                self.explain(format!("record {offset}: {reason}"));
            }
        }
        Ok(())
    }

    fn explain(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }
}

/// The batch at the front, whose length stands behind its offset.
fn take_batch(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut from = Reader(bytes);
    from.i64()?;
    let length = usize::try_from(from.i32()?).context("a sample has a negative length")?;
    bytes.split_at_checked(8 + 4 + length).context("a sample is cut")
}

struct Comparison<'a> {
    /// Of one turn of the tape.
    events: Vec<&'a [u8]>,
    /// Reads events.
    written: Decoder,
    /// Reads records.
    read: Decoder,
}

impl Comparison<'_> {
    fn compare(&self, offset: u64, record: &Record) -> Result<()> {
        let event = self.events[(offset % self.events.len() as u64) as usize];
        let key = raw_stream::document_key(event)?;
        let expected = self.written.decode(Some(key), Some(event)).context("its event")?;
        ensure!(expected.content == Content::Matches, "its event is not of this workload");
        let found = self.read.decode(record.key.as_deref(), record.value.as_deref())?;
        let about = |observed: &millrace_loadgen::ledger::Observed| {
            format!("{:?} of _id {}", observed.kind, observed.key.id())
        };
        ensure!(found.content == Content::Matches, "{} is not what was written", about(&found));
        ensure!(found == expected, "{} in the place of {}", about(&found), about(&expected));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::tally::{Samples, Tally};
    use crate::alone::tape::tests::tape_of;
    use crate::decode::tests::{record, workload};
    use crate::record_batch::tests::batch;

    const RECORDS: u64 = 40;

    /// Records of one turn, as a node writes them.
    fn records(format: Format) -> Vec<Record> {
        let workload = workload(RECORDS);
        let made = |op| {
            let (key, value) = record(&workload, op, format);
            Record {
                attributes: 0,
                time_delta: 0,
                key: Some(key),
                value: Some(value),
                headers: vec![0],
            }
        };
        workload.schedule().map(made).collect()
    }

    /// The verdict over two turns of `records`, sent in batches of 10 of which each is a sample.
    fn judge(format: Format, spoil: impl FnOnce(&mut Vec<Record>)) -> Verdict {
        let workload = workload(RECORDS);
        let events = records(Format::Bson).into_iter().map(|record| record.value.expect("a value"));
        let tape = tape_of(&events.collect::<Vec<_>>(), 16);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples");
        let mut tally = Tally::new(Samples::new(&path, 1, 0).expect("made"));
        let mut sent = [records(format), records(format)].concat();
        spoil(&mut sent);
        let mut sequence = 0;
        for records in sent.chunks(10) {
            let bytes = batch(records, 5, sequence);
            tally.take(b"t", 0, &bytes, std::time::Instant::now()).expect("taken");
            sequence += records.len() as i32;
        }
        let mut verdict = counts(tally.counts(), 2 * RECORDS);
        verdict.compare(&path, &tape, &workload, format).expect("samples");
        verdict
    }

    #[test]
    fn what_was_replayed_in_order_is_without_fault() {
        for format in [Format::Json, Format::Bson] {
            let verdict = judge(format, |_| ());
            assert!(verdict.faults.is_none() && verdict.undecided.is_none(), "{verdict:?}");
            assert_eq!((verdict.batches_compared, verdict.records_compared), (8, 80));
        }
    }

    #[test]
    fn each_fault_is_found() {
        for format in [Format::Json, Format::Bson] {
            let dropped = judge(format, |records| drop(records.remove(33)));
            assert_eq!(dropped.faults.lost, 1);
            assert!(dropped.faults.corrupted != 0, "what follows is moved: {dropped:?}");
            let doubled = judge(format, |records| records.insert(33, records[33].clone()));
            assert_eq!((doubled.faults.lost, doubled.faults.unexpected), (0, 1));
            let swapped = judge(format, |records| records.swap(33, 34));
            assert_eq!((swapped.faults.lost, swapped.faults.corrupted), (0, 2), "{swapped:?}");
            assert!(swapped.examples[0].contains("in the place of"), "{swapped:?}");
            let cut = judge(format, |records| {
                records[33].value.as_mut().expect("a value").pop();
            });
            assert_eq!(cut.faults.corrupted, 1, "{cut:?}");
            assert!(cut.examples[0].starts_with("record 33: "), "{cut:?}");
        }
    }

    #[test]
    fn one_lost_and_one_doubled_event_leave_the_count_right_and_are_found_by_the_samples() {
        let verdict = judge(Format::Bson, |records| {
            records.remove(20);
            records.insert(60, records[60].clone());
        });
        assert_eq!((verdict.faults.lost, verdict.faults.unexpected), (0, 0));
        assert!(verdict.faults.corrupted != 0, "{verdict:?}");
    }

    #[test]
    fn counts_tell_what_is_missing_and_what_says_nothing() {
        let of = |changed: Counts| counts(&changed, 100);
        let good = Counts { records: 100, partitions: 1, ..Counts::default() };
        assert_eq!(of(good.clone()), Verdict::default());
        assert_eq!(of(Counts { records: 93, ..good.clone() }).faults.lost, 7);
        assert_eq!(of(Counts { skipped: 5, ..good.clone() }).faults.lost, 5);
        assert_eq!(of(Counts { repeated: 5, ..good.clone() }).faults.duplicated, 5);
        assert_eq!(of(Counts { records: 101, ..good.clone() }).faults.unexpected, 1);
        assert!(of(Counts { unnumbered: 1, ..good.clone() }).undecided.is_some());
        assert!(of(Counts { partitions: 2, ..good }).undecided.is_some());
    }

    #[test]
    fn a_wrong_checksum_spoils_the_whole_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples");
        let mut bytes = batch(&records(Format::Bson)[..4], 5, 0);
        *bytes.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        let events = records(Format::Bson).into_iter().map(|record| record.value.expect("a value"));
        let tape = tape_of(&events.collect::<Vec<_>>(), 16);
        let mut verdict = Verdict::default();
        verdict.compare(&path, &tape, &workload(RECORDS), Format::Bson).expect("samples");
        assert_eq!((verdict.faults.corrupted, verdict.records_compared), (4, 0));
    }
}
