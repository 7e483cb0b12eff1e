//! Builds Kafka record batches (format 2) in memory that is used again.
//!
//! ```text
//! byte 0         8        12           16    17    21                                    61
//!      base       length   leader       magic crc   attributes i16, last offset     records …
//!      offset i64 i32      epoch i32    i8    u32   delta i32, base and max
//!                          │                  │     timestamp i64, producer id i64
//!                          │                  │     and epoch i16, sequence i32, count i32
//!                          └── length counts from here to the end
//!                                             └── crc32c covers from behind itself to the end
//! record         length │ attributes │ timestamp delta │ offset delta │ key length │ key
//!                       │ value length │ value │ header count     (varints but for attributes)
//! ```
//!
//! A value is written straight into the batch by who makes it, so its length is known only
//! afterwards: the width of the two lengths before it is predicted from a hint, and the value is
//! moved only where the prediction was wrong. The first 61 bytes stay blank until
//! [`BatchBuilder::seal`]. Times are milliseconds since the Unix epoch.
//!
//! A [`BatchBuilder`] is sealed into a [`SealedBatch`], which is shared with the socket and, once
//! acknowledged, gives its memory to the next builder. Records are compressed while they are sealed,
//! header and checksum come after that. Record headers are written as [`put_headers`] has made them.

use std::ops::Range;

use crate::kafka::codec::{Codec, Compressor};
use crate::kafka::sealed_batch::SealedBatch;
use crate::kafka::wire::{put_varint, set_varint, varint_bytes};

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;

/// Where the bytes that the length counts begin.
pub(super) const LENGTH_COUNTS_FROM: usize = 12;

/// Where the bytes that the checksum covers begin.
pub(super) const CRC_COVERS_FROM: usize = 21;

/// The bits of the attributes that name the codec.
pub(super) const CODEC_MASK: i16 = 0x07;

const MAGIC: u8 = 2;

/// The headers of a record without any.
pub const NO_HEADERS: &[u8] = &[0];

/// Who produces a batch, and where it stands among that producer's records of the partition
/// (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Given by a broker; -1 without idempotence.
    pub producer_id: i64,
    /// Raised when sequences start again from 0; -1 without idempotence.
    pub epoch: i16,
    /// Sequence of the first record; -1 without idempotence.
    pub sequence: i32,
}

impl Stamp {
    /// The stamp of a producer that is not idempotent.
    pub const NONE: Self = Self { producer_id: -1, epoch: -1, sequence: -1 };

    /// The stamp of the batch behind one of `count` records. Sequences start again from 0 behind
    /// `i32::MAX`, as in Kafka's `DefaultRecordBatch.incrementSequence`.
    pub fn after(self, count: u32) -> Self {
        if self.sequence < 0 {
            return self;
        }
        let sequence = (i64::from(self.sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1);
        Self { sequence: sequence as i32, ..self }
    }
}

/// Where the parts of the last record lie, for taking it back.
#[derive(Clone, Debug, Default)]
struct LastRecord {
    start: usize,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    timestamp_ms: i64,
    max_timestamp_ms_before: i64,
}

/// A batch that is being filled.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    count: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    last: LastRecord,
}

impl BatchBuilder {
    /// An empty batch in the memory of `memory`, whose content is dropped.
    pub fn new(mut memory: Vec<u8>) -> Self {
        memory.clear();
        memory.resize(HEADER_BYTES, 0);
        Self {
            bytes: memory,
            count: 0,
            base_timestamp_ms: 0,
            max_timestamp_ms: 0,
            last: LastRecord::default(),
        }
    }

    /// Bytes of the batch as it is now, header included: what Kafka holds against
    /// `max.message.bytes`.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Records in the batch.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends a record whose value `write_value` appends to the buffer that it is given.
    /// `size_hint` is the expected length of the value; a wrong one costs a move of the value,
    /// nothing else.
    pub fn append(
        &mut self,
        key: Option<&[u8]>,
        timestamp_ms: i64,
        size_hint: usize,
        write_value: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        let head_bytes = self.head_bytes(key, timestamp_ms);
        let value_width = varint_bytes(size_hint as i64);
        let body_width = varint_bytes((head_bytes + value_width + size_hint + 1) as i64);
        self.bytes.resize(start + body_width, 0);
        let key = self.put_head(key, timestamp_ms);
        let head_end = self.bytes.len();
        let value_start = head_end + value_width;
        self.bytes.resize(value_start, 0);
        write_value(&mut self.bytes);
        debug_assert!(value_start <= self.bytes.len(), "the writer of a value only appends");
        let value_bytes = self.bytes.len().saturating_sub(value_start);

        let real_value_width = varint_bytes(value_bytes as i64);
        let body_bytes = head_bytes + real_value_width + value_bytes + 1;
        let real_body_width = varint_bytes(body_bytes as i64);
        move_tail(&mut self.bytes, value_start, head_end + real_value_width);
        move_tail(&mut self.bytes, start + body_width, start + real_body_width);
        self.set_varint(start, real_body_width, body_bytes as i64);
        let value_length_at = start + real_body_width + head_bytes;
        self.set_varint(value_length_at, real_value_width, value_bytes as i64);

        let key_shift = start + real_body_width;
        let key = key.map(|key| {
            key.start - body_width - start + key_shift..key.end - body_width - start + key_shift
        });
        let value_start = value_length_at + real_value_width;
        self.bytes.extend_from_slice(NO_HEADERS);
        let value = Some(value_start..value_start + value_bytes);
        self.finish_record(start, key, value, NO_HEADERS.len(), timestamp_ms);
    }

    /// Appends a record with a null value: a tombstone where the topic is compacted.
    pub fn append_null(&mut self, key: Option<&[u8]>, timestamp_ms: i64) {
        self.append_encoded(key, None, NO_HEADERS, timestamp_ms);
    }

    /// Appends a record all of which is there already; `headers` as [`put_headers`] makes them.
    pub fn append_encoded(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[u8],
        timestamp_ms: i64,
    ) {
        let start = self.bytes.len();
        let value_bytes = value.map_or(1, |value| varint_bytes(value.len() as i64) + value.len());
        let body_bytes = self.head_bytes(key, timestamp_ms) + value_bytes + headers.len();
        put_varint(&mut self.bytes, body_bytes as i64);
        let key = self.put_head(key, timestamp_ms);
        let value = self.put_bytes(value);
        self.bytes.extend_from_slice(headers);
        self.finish_record(start, key, value, headers.len(), timestamp_ms);
    }

    /// Bytes of a record between its length and the length of its value.
    fn head_bytes(&self, key: Option<&[u8]>, timestamp_ms: i64) -> usize {
        let key_bytes = key.map_or(1, |key| varint_bytes(key.len() as i64) + key.len());
        let delta_ms = self.timestamp_delta_ms(timestamp_ms);
        1 + varint_bytes(delta_ms) + varint_bytes(i64::from(self.count)) + key_bytes
    }

    fn timestamp_delta_ms(&self, timestamp_ms: i64) -> i64 {
        if self.count == 0 { 0 } else { timestamp_ms.wrapping_sub(self.base_timestamp_ms) }
    }

    fn put_head(&mut self, key: Option<&[u8]>, timestamp_ms: i64) -> Option<Range<usize>> {
        let delta_ms = self.timestamp_delta_ms(timestamp_ms);
        self.bytes.push(0);
        put_varint(&mut self.bytes, delta_ms);
        put_varint(&mut self.bytes, i64::from(self.count));
        self.put_bytes(key)
    }

    fn put_bytes(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let Some(bytes) = bytes else {
            put_varint(&mut self.bytes, -1);
            return None;
        };
        put_varint(&mut self.bytes, bytes.len() as i64);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    fn set_varint(&mut self, at: usize, width: usize, value: i64) {
        if let Some(place) = self.bytes.get_mut(at..at + width) {
            set_varint(place, value);
        }
    }

    /// To be called when the record is whole.
    fn finish_record(
        &mut self,
        start: usize,
        key: Option<Range<usize>>,
        value: Option<Range<usize>>,
        headers_bytes: usize,
        timestamp_ms: i64,
    ) {
        if self.count == 0 {
            self.base_timestamp_ms = timestamp_ms;
            self.max_timestamp_ms = timestamp_ms;
        }
        let max_timestamp_ms_before = self.max_timestamp_ms;
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        let headers = self.bytes.len().saturating_sub(headers_bytes)..self.bytes.len();
        self.last =
            LastRecord { start, key, value, headers, timestamp_ms, max_timestamp_ms_before };
        self.count += 1;
    }

    /// Moves the record that was appended last to the end of `other`, for when it turned out not to
    /// fit. To be called at most once after each append; copies the record.
    pub fn move_last_to(&mut self, other: &mut Self) {
        let last = std::mem::take(&mut self.last);
        let part = |range: Option<Range<usize>>| range.and_then(|range| self.bytes.get(range));
        let headers = part(Some(last.headers)).unwrap_or(NO_HEADERS);
        other.append_encoded(part(last.key), part(last.value), headers, last.timestamp_ms);
        self.bytes.truncate(last.start);
        self.count = self.count.saturating_sub(1);
        self.max_timestamp_ms = last.max_timestamp_ms_before;
    }

    /// Forgets the record that was appended last. To be called at most once after each append.
    pub fn drop_last(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.bytes.truncate(last.start);
        self.count = self.count.saturating_sub(1);
        self.max_timestamp_ms = last.max_timestamp_ms_before;
    }

    /// Fills in the header.
    pub fn seal(self, stamp: Stamp) -> SealedBatch {
        self.seal_as(None, stamp)
    }

    /// The same with the records compressed, if that makes them smaller. The batch then lies in a
    /// buffer that `buffer` gives, which has the room that it is asked for, and the builder's own is
    /// returned.
    ///
    /// Costs the time of the codec. Nothing is touched but what is passed in, so this call may run
    /// on another thread.
    pub fn seal_compressed(
        mut self,
        stamp: Stamp,
        compressor: &mut Compressor,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> (SealedBatch, Option<Vec<u8>>) {
        let records = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        let Some((codec, compressed)) = compressor.compress(records) else {
            return (self.seal(stamp), None);
        };
        let mut bytes = buffer(HEADER_BYTES + compressed.len());
        bytes.clear();
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend_from_slice(compressed);
        let left_over = std::mem::replace(&mut self.bytes, bytes);
        (self.seal_as(Some(codec), stamp), Some(left_over))
    }

    fn seal_as(mut self, codec: Option<Codec>, stamp: Stamp) -> SealedBatch {
        let length = (self.bytes.len() - LENGTH_COUNTS_FROM) as u32;
        self.put(8, length.to_be_bytes());
        self.put(12, (-1_i32).to_be_bytes());
        self.put(16, [MAGIC]);
        self.put(21, codec.map_or(0, Codec::code).to_be_bytes());
        self.put(23, self.count.wrapping_sub(1).to_be_bytes());
        self.put(27, self.base_timestamp_ms.to_be_bytes());
        self.put(35, self.max_timestamp_ms.to_be_bytes());
        self.put(57, self.count.to_be_bytes());
        put_stamp(&mut self.bytes, stamp);
        SealedBatch::new(self.bytes, self.count, stamp, codec)
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        put_at(&mut self.bytes, at, value);
    }

    /// The memory of a batch that is not needed any more.
    pub fn recycle(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends the headers of a record: their count, then each with its name and its value.
pub fn put_headers(headers: &[(&str, Option<&[u8]>)], out: &mut Vec<u8>) {
    put_varint(out, headers.len() as i64);
    for (name, value) in headers {
        put_varint(out, name.len() as i64);
        out.extend_from_slice(name.as_bytes());
        match value {
            Some(value) => {
                put_varint(out, value.len() as i64);
                out.extend_from_slice(value);
            }
            None => put_varint(out, -1),
        }
    }
}

fn put_at<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

pub(super) fn put_stamp(bytes: &mut [u8], stamp: Stamp) {
    put_at(bytes, 43, stamp.producer_id.to_be_bytes());
    put_at(bytes, 51, stamp.epoch.to_be_bytes());
    put_at(bytes, 53, stamp.sequence.to_be_bytes());
    let crc = checksum(bytes.get(CRC_COVERS_FROM..).unwrap_or_default());
    put_at(bytes, 17, crc.to_be_bytes());
}

/// The checksum that a batch has of everything behind it: CRC-32C, at the speed of the cache.
pub fn checksum(bytes: &[u8]) -> u32 {
    // A number of 64 bits for every algorithm of the crate; of this one the lower half.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Moves everything behind `from` so that it begins at `to`.
fn move_tail(bytes: &mut Vec<u8>, from: usize, to: usize) {
    let end = bytes.len();
    if from < to {
        bytes.resize(end + (to - from), 0);
    }
    if from != to {
        bytes.copy_within(from..end, to);
        bytes.truncate(to + (end - from));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kafka::batch_reader::RecordBatches;
    use proptest::prelude::*;

    pub(in crate::kafka) fn put(
        builder: &mut BatchBuilder,
        key: Option<&[u8]>,
        time_ms: i64,
        hint: usize,
        value: &[u8],
    ) {
        builder.append(key, time_ms, hint, |out| out.extend_from_slice(value));
    }

    #[test]
    fn a_batch_is_the_bytes_of_the_format() {
        let mut builder = BatchBuilder::new(vec![9; 100]);
        put(&mut builder, Some(b"k"), 1_000, 5, b"hello");
        builder.append_null(None, 1_003);
        let batch = builder.seal(Stamp { producer_id: 7, epoch: 1, sequence: 40 });

        let mut wanted = Vec::new();
        wanted.extend_from_slice(&0_i64.to_be_bytes()); // base offset
        wanted.extend_from_slice(&69_i32.to_be_bytes()); // length: 49 + 13 + 7
        wanted.extend_from_slice(&(-1_i32).to_be_bytes()); // leader epoch
        wanted.push(2); // magic
        wanted.extend_from_slice(&[0; 4]); // crc, below
        wanted.extend_from_slice(&0_i16.to_be_bytes()); // attributes
        wanted.extend_from_slice(&1_i32.to_be_bytes()); // last offset delta
        wanted.extend_from_slice(&1_000_i64.to_be_bytes());
        wanted.extend_from_slice(&1_003_i64.to_be_bytes());
        wanted.extend_from_slice(&7_i64.to_be_bytes());
        wanted.extend_from_slice(&1_i16.to_be_bytes());
        wanted.extend_from_slice(&40_i32.to_be_bytes());
        wanted.extend_from_slice(&2_i32.to_be_bytes());
        wanted.extend_from_slice(&[24, 0, 0, 0, 2, b'k', 10, b'h', b'e', b'l', b'l', b'o', 0]);
        wanted.extend_from_slice(&[12, 0, 6, 2, 1, 1, 0]);
        let crc = crc32c::crc32c(&wanted[21..]);
        wanted[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(batch.bytes(), &wanted);
    }

    #[test]
    fn the_checksum_is_castagnoli_at_every_length_and_place() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        let bytes: Vec<u8> = (0..5_000_u32).map(|at| ((at * at) >> 3) as u8).collect();
        for (from, to) in (0..70).flat_map(|from| (from..1_100).map(move |to| (from, to))) {
            assert_eq!(checksum(&bytes[from..to]), crc32c::crc32c(&bytes[from..to]));
        }
        assert_eq!(checksum(&bytes), crc32c::crc32c(&bytes));
    }

    #[test]
    fn a_record_taken_back_leaves_the_batch_as_it_was() {
        let mut builder = BatchBuilder::new(Vec::new());
        put(&mut builder, None, 1, 3, b"one");
        let before = builder.bytes.clone();
        put(&mut builder, Some(b"k"), 2, 9, b"two");
        builder.drop_last();
        assert_eq!((builder.bytes, builder.count, builder.max_timestamp_ms), (before, 1, 1));
    }

    #[test]
    fn sequences_start_again_behind_the_largest() {
        let stamp = Stamp { producer_id: 1, epoch: 0, sequence: i32::MAX - 1 };
        assert_eq!(stamp.after(1).sequence, i32::MAX);
        assert_eq!(stamp.after(2).sequence, 0);
        assert_eq!(stamp.after(5).sequence, 3);
        assert_eq!(Stamp::NONE.after(5), Stamp::NONE);
    }

    pub(in crate::kafka) type Content = (Option<Vec<u8>>, Option<Vec<u8>>, i64);

    pub(in crate::kafka) fn contents(batch: &SealedBatch) -> Vec<Content> {
        let read = RecordBatches::new(batch.bytes()).next().unwrap().unwrap();
        let mut room = Vec::new();
        read.records(&mut room, 10 << 20)
            .unwrap()
            .map(Result::unwrap)
            .map(|r| (r.key.map(Vec::from), r.value.map(Vec::from), r.timestamp_ms))
            .collect()
    }

    pub(in crate::kafka) fn any_record() -> impl Strategy<Value = (Content, usize)> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..300);
        let key = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80));
        let time = -1_000_i64..3_000_000_000_000;
        ((key, proptest::option::of(bytes), time), 0_usize..40_000)
    }

    pub(in crate::kafka) fn build(records: &[(Content, usize)]) -> BatchBuilder {
        let mut builder = BatchBuilder::new(Vec::new());
        for ((key, value, time_ms), hint) in records {
            match value {
                Some(value) => put(&mut builder, key.as_deref(), *time_ms, *hint, value),
                None => builder.append_null(key.as_deref(), *time_ms),
            }
        }
        builder
    }

    #[test]
    fn headers_go_along_with_a_record_that_is_moved_on() {
        let mut headers = Vec::new();
        put_headers(&[("a", Some(b"1")), ("b", None)], &mut headers);
        assert_eq!(headers, b"\x04\x02a\x021\x02b\x01");
        let (mut builder, mut other) =
            (BatchBuilder::new(Vec::new()), BatchBuilder::new(Vec::new()));
        for value in [None, Some(&b"value"[..])] {
            builder.append_encoded(Some(b"key"), value, &headers, 7);
            builder.move_last_to(&mut other);
        }
        assert_eq!((builder.count(), other.count()), (0, 2));
        let batch = other.seal(Stamp::NONE);
        let batch = RecordBatches::new(batch.bytes()).next().unwrap().unwrap();
        let mut room = Vec::new();
        for record in batch.records(&mut room, 1 << 20).unwrap() {
            assert_eq!(record.unwrap().headers, headers);
        }
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_went_in_whatever_the_hints(
            records in proptest::collection::vec(any_record(), 1..80),
        ) {
            let wanted: Vec<_> = records.iter().map(|(content, _)| content.clone()).collect();
            let exact: Vec<_> = records
                .iter()
                .map(|(c, _)| (c.clone(), c.1.as_ref().map_or(0, Vec::len)))
                .collect();
            let batch = build(&records).seal(Stamp::NONE);
            let exact = build(&exact).seal(Stamp::NONE);
            prop_assert_eq!(batch.bytes(), exact.bytes());
            prop_assert_eq!(contents(&batch), wanted);
        }

        #[test]
        fn a_record_moved_on_leaves_no_trace_and_arrives_whole(
            records in proptest::collection::vec(any_record(), 2..20),
        ) {
            let (last, rest) = records.split_last().unwrap();
            let mut builder = build(&records);
            let mut other = BatchBuilder::new(Vec::new());
            builder.move_last_to(&mut other);
            let (left, wanted) = (builder.seal(Stamp::NONE), build(rest).seal(Stamp::NONE));
            prop_assert_eq!(left.bytes(), wanted.bytes());
            prop_assert_eq!(contents(&other.seal(Stamp::NONE)), vec![last.0.clone()]);
        }
    }
}
