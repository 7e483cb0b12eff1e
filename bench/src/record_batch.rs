//! Record batches of Kafka's log, format 2: the header, and the records where they are not compressed.
//!
//! ```text
//! batch     base offset i64 │ length i32 │ epoch i32 │ magic i8 │ crc u32 │
//!           ├── covered by the crc ────────────────────────────────────────────────────────────────────────┐
//!           attributes i16 │ last delta i32 │ base time i64 │ max time i64 │ producer id i64
//!           │ producer epoch i16 │ base sequence i32 │ count i32 │ record …                       big endian
//! record    length │ attributes i8 │ time delta │ offset delta │ key │ value │ headers               varints
//! ```
//!
//! The header can be read without the records, which is what a broker does that has no time for more.

use anyhow::{Context, Result, ensure};

use crate::wire::{Reader, Writer};

/// Of the attributes; 0: not compressed.
pub(crate) const COMPRESSION_MASK: i16 = 0b111;
/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes that the length does not count.
const BEFORE_LENGTH_COUNTS: usize = 8 + 4;
const CRC_COVERS_FROM: usize = BEFORE_LENGTH_COUNTS + 4 + 1 + 4;
const MAGIC: i8 = 2;

/// What the header says. Its own arithmetic holds: length, format, count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of the first record; the broker writes it.
    pub(crate) base_offset: i64,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    /// -1: not idempotent.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// Number of the first record among those of its producer in this partition.
    pub(crate) base_sequence: i32,
    /// Records, at least one.
    pub(crate) count: u32,
}

impl Header {
    /// Reads the header of the one batch that `bytes` are. No record is looked at.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        let (base_offset, length) = (from.i64()?, from.i32()?);
        ensure!(
            usize::try_from(length).is_ok_and(|length| length == from.0.len()),
            "a batch says that it has {length} more bytes and has {}",
            from.0.len()
        );
        from.i32()?; // leader epoch
        let magic = from.i8()?;
        ensure!(magic == MAGIC, "a batch is of format {magic}");
        let (crc, attributes, last_delta) = (from.i32()?.cast_unsigned(), from.i16()?, from.i32()?);
        from.take(8 + 8)?; // times
        let (producer_id, producer_epoch) = (from.i64()?, from.i16()?);
        let (base_sequence, count) = (from.i32()?, from.i32()?);
        ensure!(
            0 < count && last_delta == count - 1,
            "a batch of {count} records ends with the offset delta {last_delta}"
        );
        let count = count.cast_unsigned();
        Ok(Self { base_offset, crc, attributes, producer_id, producer_epoch, base_sequence, count })
    }

    /// Whether the checksum of the batch, which `bytes` are, is right. Reads every byte.
    pub(crate) fn crc_is_right(&self, bytes: &[u8]) -> bool {
        bytes.get(CRC_COVERS_FROM..).is_some_and(|covered| crc32c::crc32c(covered) == self.crc)
    }
}

/// One record. Its place is that in its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) attributes: i8,
    pub(crate) time_delta: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// As they came, their number included.
    pub(crate) headers: Vec<u8>,
}

impl Record {
    /// Takes the next record of a batch that is not compressed.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self> {
        let length = usize::try_from(from.varint()?).context("a record has a negative length")?;
        let mut record = Reader(from.take(length)?);
        let attributes = record.i8()?;
        let time_delta = record.varint()?;
        record.varint()?; // offset delta: its place
        let mut bytes = || -> Result<Option<Vec<u8>>> {
            let length = record.varint()?;
            Ok(if length < 0 { None } else { Some(record.take(length as usize)?.to_vec()) })
        };
        let (key, value) = (bytes()?, bytes()?);
        Ok(Self { attributes, time_delta, key, value, headers: record.0.to_vec() })
    }

    /// All records of the batch that `bytes` are, whose header is `header`. Fails where they are compressed.
    pub(crate) fn read_all(header: &Header, bytes: &[u8]) -> Result<Vec<Self>> {
        ensure!(header.attributes & COMPRESSION_MASK == 0, "a batch is compressed");
        let mut from = Reader(bytes.get(HEADER_BYTES..).context("a batch is cut")?);
        let records = (0..header.count).map(|_| Self::read(&mut from)).collect::<Result<_>>()?;
        ensure!(from.0.is_empty(), "{} bytes follow the records of a batch", from.0.len());
        Ok(records)
    }

    /// Appends it at the place `offset_delta`.
    pub(crate) fn write(&self, offset_delta: usize, to: &mut Writer) {
        let mut body = Writer::default();
        body.i8(self.attributes).varint(self.time_delta).varint(offset_delta as i64);
        for bytes in [&self.key, &self.value] {
            match bytes {
                Some(bytes) => body.varint(bytes.len() as i64).put(bytes),
                None => body.varint(-1),
            };
        }
        body.put(&self.headers);
        to.varint(body.0.len() as i64).put(&body.0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `records` by producer `producer_id`, sealed.
    pub(crate) fn batch(records: &[Record], producer_id: i64, base_sequence: i32) -> Vec<u8> {
        let mut covered = Writer::default();
        let count = records.len() as i32;
        covered.i16(0).i32(count - 1).i64(5).i64(6);
        covered.i64(producer_id).i16(0).i32(base_sequence).i32(count);
        records.iter().enumerate().for_each(|(place, record)| record.write(place, &mut covered));
        let mut batch = Writer::default();
        let length = CRC_COVERS_FROM - BEFORE_LENGTH_COUNTS + covered.0.len();
        batch.i64(0).i32(length as i32).i32(-1).i8(MAGIC);
        batch.put(&crc32c::crc32c(&covered.0).to_be_bytes()).put(&covered.0);
        batch.0
    }

    /// A record with one byte of key.
    pub(crate) fn record(key: u8, value: &[u8]) -> Record {
        let (key, value) = (Some(vec![key]), Some(value.to_vec()));
        Record { attributes: 0, time_delta: 3, key, value, headers: vec![0] }
    }

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let records = [record(1, b"one"), record(2, b""), record(3, &[9; 300])];
        let bytes = batch(&records, 77, 1_000);
        let header = Header::read(&bytes).expect("whole");
        assert_eq!((header.producer_id, header.base_sequence, header.count), (77, 1_000, 3));
        assert!(header.crc_is_right(&bytes));
        assert_eq!(Record::read_all(&header, &bytes).expect("whole"), records);
        let mut altered = bytes.clone();
        altered[HEADER_BYTES + 4] ^= 1;
        assert!(!header.crc_is_right(&altered));
    }

    #[test]
    fn a_batch_that_is_cut_or_longer_than_it_says_is_an_error() {
        let mut bytes = batch(&[record(1, b"one")], 77, 0);
        for end in 0..bytes.len() {
            assert!(Header::read(&bytes[..end]).is_err(), "{end}");
        }
        bytes.push(0);
        assert!(Header::read(&bytes).is_err());
    }

    #[test]
    fn a_count_that_its_last_delta_belies_is_an_error() {
        let mut bytes = batch(&[record(1, b"one"), record(2, b"two")], 77, 0);
        bytes[HEADER_BYTES - 1] = 3;
        let error = Header::read(&bytes).expect_err("refused").to_string();
        assert!(error.contains("3 records ends with the offset delta 1"), "{error}");
    }
}
