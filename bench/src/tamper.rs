//! Spoils record batches on purpose: the faults that the ledger must be able to name.
//!
//! ```text
//! Produce request   header │ transactional id │ acks │ timeout │ topics [ name, partitions [ index, records ] ]
//! records           a batch: see `record_batch`
//! ```
//!
//! Lengths, counts, offset deltas and the checksum are made right again, so the broker takes the batch as good. Every
//! batch loses its producer id, whether it is spoiled or not: the broker would refuse a batch whose sequence does not
//! follow the one before. Compressed batches are passed through.

use anyhow::{Result, ensure};

use crate::record_batch::{COMPRESSION_MASK, Record};
use crate::wire::{Reader, Writer};

/// What to do to the records on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Leave one record out.
    Drop,
    /// Send one record twice.
    Double,
    /// Exchange two records of the same key.
    Swap,
    /// Change one letter of a value.
    Alter,
}

/// Spoils the first batch that allows it, then none.
#[derive(Debug)]
pub struct Tamperer {
    fault: Fault,
    done: bool,
}

/// The first version of Produce with compact fields and tags.
const PRODUCE_FLEXIBLE: i16 = 9;
/// The first version of Produce that names a topic by its id.
const PRODUCE_TOPIC_ID: i16 = 13;
/// So deep inside a word stands no escape and no keyword of JSON.
const WORD_BYTES_MIN: usize = 10;
/// Fields of a batch before its attributes, bytes.
const BEFORE_ATTRIBUTES_BYTES: usize = 8 + 4 + 4 + 1 + 4;

impl Tamperer {
    /// Will do `fault` once.
    pub fn new(fault: Fault) -> Self {
        Self { fault, done: false }
    }

    /// Whether the fault was done.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Rewrites a Produce request (without its length prefix), version 3 and up.
    pub fn rewrite_produce(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let mut from = Reader(request);
        let mut to = Writer::default();
        let (api, version) = (from.i16()?, from.i16()?);
        let flexible = PRODUCE_FLEXIBLE <= version;
        to.i16(api).i16(version).i32(from.i32()?).string(from.string(false)?, false);
        copy_tags(&mut from, &mut to, flexible)?;
        to.string(from.string(flexible)?, flexible).i16(from.i16()?).i32(from.i32()?);
        let topics = from.array(flexible)?;
        to.array(topics, flexible);
        for _ in 0..topics {
            if PRODUCE_TOPIC_ID <= version {
                to.put(from.take(16)?);
            } else {
                to.string(from.string(flexible)?, flexible);
            }
            let partitions = from.array(flexible)?;
            to.array(partitions, flexible);
            for _ in 0..partitions {
                to.i32(from.i32()?);
                let records = from.bytes(flexible)?.map(|batch| self.rewrite_batch(batch));
                to.bytes(records.transpose()?.as_deref(), flexible);
                copy_tags(&mut from, &mut to, flexible)?;
            }
            copy_tags(&mut from, &mut to, flexible)?;
        }
        to.put(from.0);
        Ok(to.0)
    }

    fn rewrite_batch(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut batch = Batch::parse(bytes)?;
        if let Some(records) = &mut batch.records
            && !self.done
        {
            self.done = spoil(records, self.fault);
        }
        Ok(batch.encode())
    }
}

fn copy_tags(from: &mut Reader<'_>, to: &mut Writer, flexible: bool) -> Result<()> {
    if flexible {
        to.put(from.tags()?);
    }
    Ok(())
}

struct Batch<'a> {
    /// Base offset, length, epoch, magic, checksum.
    before_attributes: &'a [u8],
    attributes: i16,
    times: &'a [u8],
    /// `None` if they are compressed.
    records: Option<Vec<Record>>,
    /// Last delta, count and records as they came.
    original: (i32, i32, &'a [u8]),
}

impl<'a> Batch<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        let before_attributes = from.take(BEFORE_ATTRIBUTES_BYTES)?;
        ensure!(before_attributes.get(16) == Some(&2), "a record batch is not of format 2");
        let attributes = from.i16()?;
        let last_delta = from.i32()?;
        let times = from.take(16)?;
        from.take(8 + 2 + 4)?;
        let count = from.i32()?;
        let original = (last_delta, count, from.0);
        let records = if attributes & COMPRESSION_MASK == 0 {
            Some((0..count).map(|_| Record::read(&mut from)).collect::<Result<_>>()?)
        } else {
            None
        };
        Ok(Self { before_attributes, attributes, times, records, original })
    }

    fn encode(&self) -> Vec<u8> {
        let (mut last_delta, mut count, original) = self.original;
        let mut body = Writer::default();
        match &self.records {
            Some(records) => {
                count = records.len() as i32;
                last_delta = count - 1;
                for (delta, record) in records.iter().enumerate() {
                    record.write(delta, &mut body);
                }
            }
            None => {
                body.put(original);
            }
        }
        let mut covered = Writer::default();
        covered.i16(self.attributes).i32(last_delta).put(self.times);
        covered.i64(-1).i16(-1).i32(-1).i32(count).put(&body.0);
        let mut batch = Writer::default();
        let length = BEFORE_ATTRIBUTES_BYTES - 12 + covered.0.len();
        batch.put(&self.before_attributes[..8]).i32(length as i32);
        batch.put(&self.before_attributes[12..17]);
        batch.put(&crc32c::crc32c(&covered.0).to_be_bytes()).put(&covered.0);
        batch.0
    }
}

/// Does the fault; `false` if these records do not allow it.
fn spoil(records: &mut Vec<Record>, fault: Fault) -> bool {
    let middle = records.len() / 2;
    match fault {
        Fault::Drop if 1 < records.len() => {
            records.remove(middle);
            true
        }
        Fault::Double if !records.is_empty() => {
            records.insert(middle, records[middle].clone());
            true
        }
        Fault::Swap => swap_same_key(records),
        Fault::Alter => alter(records),
        Fault::Drop | Fault::Double => false,
    }
}

/// Exchanges two neighbours among the records of one key.
fn swap_same_key(records: &mut [Record]) -> bool {
    for later in 1..records.len() {
        let same_key = |earlier: &usize| records[*earlier].key == records[later].key;
        if let Some(earlier) = (0..later).rev().find(same_key)
            && records[earlier].value != records[later].value
        {
            records.swap(earlier, later);
            return true;
        }
    }
    false
}

/// Changes one letter deep inside a word in the second half of the longest value. There it stands in a document's
/// text, so JSON stays JSON, and the words of the event around it stay what they are.
fn alter(records: &mut [Record]) -> bool {
    let values = records.iter_mut().filter_map(|record| record.value.as_mut());
    let Some(value) = values.max_by_key(|value| value.len()) else { return false };
    let middle = value.len() / 2;
    let mut word_bytes = 0;
    for byte in &mut value[middle..] {
        word_bytes = if byte.is_ascii_alphanumeric() { word_bytes + 1 } else { 0 };
        if WORD_BYTES_MIN <= word_bytes && matches!(byte, b'b'..=b'y') {
            *byte ^= 1;
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Record {
        Record {
            attributes: 0,
            time_delta: 3,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: vec![0],
        }
    }

    fn records() -> Vec<Record> {
        vec![
            record("a", "one"),
            record("b", "two"),
            record("a", "three 0123456789 abcdefghijklmnop"),
            record("c", "four"),
        ]
    }

    fn batch(records: Vec<Record>, attributes: i16) -> Vec<u8> {
        let mut before = Writer::default();
        before.i64(0).i32(0).i32(-1).i8(2).i32(0);
        let (before_attributes, times) = (before.0.as_slice(), &[0; 16][..]);
        let (records, original) = (Some(records), (0, 0, &[][..]));
        Batch { before_attributes, attributes, times, records, original }.encode()
    }

    fn produce(version: i16, records: &[u8]) -> Vec<u8> {
        let flexible = PRODUCE_FLEXIBLE <= version;
        let mut request = Writer::default();
        request.i16(0).i16(version).i32(42).string(Some(b"client"), false);
        if flexible {
            request.put(&[0]);
        }
        request.string(None, flexible).i16(-1).i32(30_000).array(1, flexible);
        if PRODUCE_TOPIC_ID <= version {
            request.put(&[9; 16]);
        } else {
            request.string(Some(b"topic"), flexible);
        }
        request.array(1, flexible).i32(7).bytes(Some(records), flexible);
        if flexible {
            request.put(&[0, 0, 0]);
        }
        request.0
    }

    fn spoiled(fault: Fault) -> Vec<Record> {
        let mut tamperer = Tamperer::new(fault);
        let bytes = tamperer.rewrite_batch(&batch(records(), 0)).expect("whole");
        assert!(tamperer.is_done());
        let again = tamperer.rewrite_batch(&bytes).expect("still a batch");
        assert_eq!(again, bytes, "a fault is done once");
        Batch::parse(&bytes).expect("still a batch").records.expect("not compressed")
    }

    #[test]
    fn each_fault_does_what_its_name_says() {
        let [a, b, c, d] = <[Record; 4]>::try_from(records()).expect("four");
        assert_eq!(spoiled(Fault::Drop), [a.clone(), b.clone(), d.clone()]);
        assert_eq!(spoiled(Fault::Double), [a.clone(), b.clone(), c.clone(), c.clone(), d.clone()]);
        assert_eq!(spoiled(Fault::Swap), [c, b.clone(), a.clone(), d.clone()]);
        assert_eq!(
            spoiled(Fault::Alter),
            [a, b, record("a", "three 0123456789 abcdefghikklmnop"), d]
        );
    }

    #[test]
    fn lengths_counts_and_checksum_are_right_again() {
        let mut tamperer = Tamperer::new(Fault::Double);
        let bytes = tamperer.rewrite_batch(&batch(records(), 0)).expect("whole");
        let mut head = Reader(&bytes);
        head.i64().expect("base offset");
        assert_eq!(head.i32().expect("length") as usize, bytes.len() - 12);
        head.take(5).expect("epoch, magic");
        let crc = head.i32().expect("checksum") as u32;
        assert_eq!(crc, crc32c::crc32c(head.0));
        head.i16().expect("attributes");
        assert_eq!(head.i32().expect("last delta"), 4);
        head.take(16).expect("times");
        assert_eq!(head.i64().expect("producer id"), -1);
        head.take(6).expect("epoch, sequence");
        assert_eq!(head.i32().expect("count"), 5);
    }

    #[test]
    fn only_the_records_of_a_request_change() {
        for version in [3, 8, 9, 12, 13] {
            let good = batch(records(), 0);
            let bad = Tamperer::new(Fault::Drop).rewrite_batch(&good).expect("whole");
            let request = produce(version, &good);
            let rewritten = Tamperer::new(Fault::Drop).rewrite_produce(&request).expect("whole");
            assert_eq!(rewritten, produce(version, &bad), "version {version}");
        }
    }

    #[test]
    fn a_request_that_is_cut_is_an_error() {
        for version in [8, 12] {
            let request = produce(version, &batch(records(), 0));
            let tags_bytes = if PRODUCE_FLEXIBLE <= version { 1 } else { 0 };
            for end in 0..request.len() - tags_bytes {
                let cut = Tamperer::new(Fault::Alter).rewrite_produce(&request[..end]);
                assert!(cut.is_err(), "version {version}, {end} bytes");
            }
        }
    }

    #[test]
    fn a_compressed_batch_only_loses_its_producer() {
        let compressed = batch(records(), 2);
        let mut tamperer = Tamperer::new(Fault::Drop);
        let bytes = tamperer.rewrite_batch(&compressed).expect("whole");
        assert!(!tamperer.is_done());
        assert_eq!(bytes.len(), compressed.len());
    }

    #[test]
    fn records_that_do_not_allow_a_fault_are_left_alone() {
        assert!(!spoil(&mut vec![record("a", "x")], Fault::Drop));
        assert!(!spoil(&mut vec![], Fault::Double));
        assert!(!spoil(&mut vec![record("a", "x"), record("b", "x")], Fault::Swap));
        assert!(!spoil(&mut vec![record("a", "short words only")], Fault::Alter));
    }
}
