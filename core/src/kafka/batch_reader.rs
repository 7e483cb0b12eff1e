//! Reads record batches (format 2) as a broker returns them.
//!
//! ```text
//! ┌ header 61 │ records ┐┌ header 61 │ records ┐┌ header 61 │ rec…   the last may be cut
//! ```
//!
//! [`RecordBatches`] proves frame and checksum of each batch; its records are checked when they are
//! read. Those of a compressed batch are read back into memory of the caller first. Used to read
//! back the tail of a partition and to split a batch; see [`super::batch`] for the picture of the
//! bytes. Sizes are bytes, times milliseconds since the Unix epoch.

use std::fmt;

use crate::kafka::batch::{
    CODEC_MASK, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_COUNTS_FROM, checksum,
};
use crate::kafka::codec::{Codec, CodecError};
use crate::kafka::wire::{Reader, WireError};

const MAGIC: i8 = 2;
const TRANSACTIONAL_MASK: i16 = 0x10;
const CONTROL_MASK: i16 = 0x20;

/// Why bytes are not record batches that can be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// A field does not fit.
    Wire(WireError),
    /// The batch has another format than 2.
    Magic {
        /// The format.
        magic: i8,
    },
    /// The length is less than that of an empty batch.
    Length {
        /// The length as it was sent.
        declared: i32,
    },
    /// The checksum does not match.
    Crc {
        /// What the batch says.
        declared: u32,
        /// What its bytes have.
        computed: u32,
    },
    /// The records are compressed with something that Kafka does not know.
    UnknownCodec {
        /// Its code in the attributes.
        code: i16,
    },
    /// The records are compressed and cannot be read back.
    Compressed {
        /// With what.
        codec: Codec,
        /// Why not.
        error: CodecError,
    },
}

impl From<WireError> for BatchError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => write!(f, "a record batch is malformed: {error}"),
            Self::Magic { magic } => {
                write!(f, "a record batch has format {magic}, only format {MAGIC} can be read")
            }
            Self::Length { declared } => {
                write!(f, "a record batch has the impossible length {declared}")
            }
            Self::Crc { declared, computed } => write!(
                f,
                "a record batch says checksum {declared:08x} but has {computed:08x}: it was altered"
            ),
            Self::UnknownCodec { code } => {
                write!(f, "a record batch is compressed with an unknown codec, number {code}")
            }
            Self::Compressed { codec, error } => write!(
                f,
                "a record batch is compressed with {} and cannot be read back: {error}",
                codec.name()
            ),
        }
    }
}

impl std::error::Error for BatchError {}

/// Goes over the batches in fetched bytes. Ends at the end, at a batch that is cut, or behind the
/// first error.
#[derive(Clone, Debug)]
pub struct RecordBatches<'a> {
    bytes: &'a [u8],
}

impl<'a> RecordBatches<'a> {
    /// The batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for RecordBatches<'a> {
    type Item = Result<RecordBatch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut frame = Reader::new(self.bytes);
        let base_offset = frame.i64().ok()?;
        let declared = frame.i32().ok()?;
        let size = match usize::try_from(declared) {
            Ok(length) if HEADER_BYTES - LENGTH_COUNTS_FROM <= length => {
                length + LENGTH_COUNTS_FROM
            }
            _ => {
                self.bytes = &[];
                return Some(Err(BatchError::Length { declared }));
            }
        };
        let (batch, rest) = self.bytes.split_at_checked(size)?;
        let batch = RecordBatch::read(base_offset, batch);
        self.bytes = if batch.is_ok() { rest } else { &[] };
        Some(batch)
    }
}

/// One batch, borrowed. Frame and checksum are right; the records may still be malformed.
#[derive(Clone, Copy, Debug)]
pub struct RecordBatch<'a> {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record, less that of the first. Compaction may have removed records
    /// between.
    pub last_offset_delta: i32,
    /// See [`super::batch::Stamp`].
    pub producer_id: i64,
    /// See [`super::batch::Stamp`].
    pub epoch: i16,
    /// Sequence of the first record.
    pub sequence: i32,
    /// Records in the batch.
    pub count: i32,
    attributes: i16,
    base_timestamp_ms: i64,
    records: &'a [u8],
}

impl<'a> RecordBatch<'a> {
    fn read(base_offset: i64, batch: &'a [u8]) -> Result<Self, BatchError> {
        let mut reader = Reader::new(batch);
        reader.take(LENGTH_COUNTS_FROM)?;
        let _leader_epoch = reader.i32()?;
        let magic = reader.i8()?;
        if magic != MAGIC {
            return Err(BatchError::Magic { magic });
        }
        let declared = reader.u32()?;
        let computed = checksum(batch.get(CRC_COVERS_FROM..).unwrap_or_default());
        if declared != computed {
            return Err(BatchError::Crc { declared, computed });
        }
        let attributes = reader.i16()?;
        let last_offset_delta = reader.i32()?;
        let base_timestamp_ms = reader.i64()?;
        let _max_timestamp_ms = reader.i64()?;
        let producer_id = reader.i64()?;
        let epoch = reader.i16()?;
        let sequence = reader.i32()?;
        let count = reader.i32()?;
        Ok(Self {
            base_offset,
            last_offset_delta,
            producer_id,
            epoch,
            sequence,
            count,
            attributes,
            base_timestamp_ms,
            records: reader.take(reader.left())?,
        })
    }

    /// Offset behind the last record.
    pub fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }

    /// Whether this is part of a transaction: it counts when that is committed.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_MASK != 0
    }

    /// Whether this holds a marker of a transaction instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_MASK != 0
    }

    /// What the records are compressed with; `None` if they are not.
    pub fn codec(&self) -> Result<Option<Codec>, BatchError> {
        match self.attributes & CODEC_MASK {
            0 => Ok(None),
            code => Codec::from_code(code).map(Some).ok_or(BatchError::UnknownCodec { code }),
        }
    }

    /// The records, to be checked one by one. Compressed ones are read back into `room`, whose
    /// content is dropped; an error if they are more than `bytes_max` bytes then.
    pub fn records<'b>(
        &self,
        room: &'b mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<Records<'b>, BatchError>
    where
        'a: 'b,
    {
        let records = match self.codec()? {
            None => self.records,
            Some(codec) => {
                codec
                    .decompress(self.records, bytes_max, room)
                    .map_err(|error| BatchError::Compressed { codec, error })?;
                room.as_slice()
            }
        };
        Ok(Records {
            base_offset: self.base_offset,
            base_timestamp_ms: self.base_timestamp_ms,
            left: self.count,
            reader: Reader::new(records),
        })
    }
}

/// Goes over the records of one batch. Ends behind the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    base_offset: i64,
    base_timestamp_ms: i64,
    left: i32,
    reader: Reader<'a>,
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Key, or null.
    pub key: Option<&'a [u8]>,
    /// Value, or null.
    pub value: Option<&'a [u8]>,
    /// Headers as they lie there, their count first.
    pub headers: &'a [u8],
}

impl<'a> Records<'a> {
    fn read(&mut self) -> Result<Record<'a>, BatchError> {
        let length = self.reader.varint()?;
        let length = usize::try_from(length)
            .map_err(|_| WireError::Length { declared: i64::from(length) })?;
        let mut body = Reader::new(self.reader.take(length)?);
        let _attributes = body.i8()?;
        let timestamp_ms = self.base_timestamp_ms.wrapping_add(body.varlong()?);
        let offset = self.base_offset.saturating_add(i64::from(body.varint()?));
        let key = body.varint_bytes()?;
        let value = body.varint_bytes()?;
        let headers = body.rest();
        for _ in 0..body.varint()? {
            body.varint_bytes()?;
            body.varint_bytes()?;
        }
        Ok(Record { offset, timestamp_ms, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let record = self.read();
        self.left = if record.is_ok() { self.left - 1 } else { 0 };
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::batch::{BatchBuilder, Stamp};
    use proptest::prelude::*;

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(Vec::new());
        for (key, value) in [("a", "one"), ("b", "two"), ("c", "three")] {
            builder.append(Some(key.as_bytes()), 77, 3, |out| {
                out.extend_from_slice(value.as_bytes());
            });
        }
        builder.seal(Stamp { producer_id: 5, epoch: 1, sequence: 9 }).bytes().to_vec()
    }

    fn set_crc(bytes: &mut [u8]) {
        let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }

    #[test]
    fn a_batch_that_is_cut_anywhere_is_left_out() {
        let one = batch();
        let two = [one.clone(), one.clone()].concat();
        for cut in 0..=two.len() {
            let read: Vec<_> = RecordBatches::new(&two[..cut]).map(Result::unwrap).collect();
            assert_eq!(read.len(), cut / one.len(), "cut at {cut}");
        }
    }

    #[test]
    fn records_that_are_cut_anywhere_are_an_error() {
        let whole = batch();
        for cut in HEADER_BYTES..whole.len() {
            let mut bytes = whole[..cut].to_vec();
            bytes[8..12].copy_from_slice(&((cut - LENGTH_COUNTS_FROM) as u32).to_be_bytes());
            set_crc(&mut bytes);
            let read = RecordBatches::new(&bytes).next().unwrap().unwrap();
            let mut room = Vec::new();
            let mut records = read.records(&mut room, 0).unwrap();
            assert!(records.any(|record| record.is_err()), "cut at {cut}");
        }
    }

    #[test]
    fn every_altered_byte_under_the_checksum_is_noticed() {
        let whole = batch();
        for at in 16..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(RecordBatches::new(&bytes).next().unwrap().is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_cannot_be_read_back_is_refused_by_name_and_old_formats_by_number() {
        let mut bytes = batch();
        let mut room = Vec::new();
        for (code, name) in [(1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd"), (5, "number 5")] {
            bytes[22] = code;
            set_crc(&mut bytes);
            let read = RecordBatches::new(&bytes).next().unwrap().unwrap();
            assert_eq!(read.next_offset(), 3);
            let error = read.records(&mut room, 1_000).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        bytes[16] = 1;
        let error = RecordBatches::new(&bytes).next().unwrap().unwrap_err();
        assert_eq!(error, BatchError::Magic { magic: 1 });
        bytes[8..12].copy_from_slice(&3_i32.to_be_bytes());
        let error = RecordBatches::new(&bytes).next().unwrap().unwrap_err();
        assert_eq!(error, BatchError::Length { declared: 3 });
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut room = Vec::new();
            for batch in RecordBatches::new(&bytes).flatten() {
                if let Ok(records) = batch.records(&mut room, 9_000) { for _ in records {} }
            }
            if HEADER_BYTES <= bytes.len() {
                let length = (bytes.len() - LENGTH_COUNTS_FROM) as u32;
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
                bytes[16] = 2;
                bytes[22] &= 0xf8;
                set_crc(&mut bytes);
                let batch = RecordBatches::new(&bytes).next().unwrap().unwrap();
                for _ in batch.records(&mut room, 0).unwrap() {}
            }
        }
    }
}
