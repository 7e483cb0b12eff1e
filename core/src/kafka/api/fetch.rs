//! Fetch v12: reads batches back. The last version that names topics by name.
//!
//! ```text
//! request    replica i32 │ wait i32 │ min bytes i32 │ max bytes i32 │ isolation i8
//!            │ session i32 │ session epoch i32
//!            │ [topic, [index i32, leader epoch i32, offset i64, last epoch i32, log start i64,
//!               max bytes i32, tags], tags]
//!            │ forgotten [] │ rack │ tags
//! answer     throttle i32 │ error i16 │ session i32
//!            │ [topic, [index i32, error i16, high watermark i64, last stable i64, log start i64,
//!               aborted [producer id i64, offset i64, tags], replica i32, records, tags], tags]
//!            │ tags
//! ```
//!
//! The first batch of an answer is whole even if it is larger than the bytes asked for (KIP-74);
//! the last may be cut.

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_length, put_compact_string, put_i8, put_i32, put_i64,
    put_no_tags,
};

/// How long a broker may hold an answer back that has nothing in it.
pub const WAIT_MS: i32 = 500;

/// How far a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All that the replicas in sync have.
    Uncommitted = 0,
    /// No further than the oldest transaction that is open; those that were aborted are named.
    Committed = 1,
}

/// Appends the body of a request for partitions of one topic, each by its number and the offset to read from, of
/// about `bytes_max` bytes of batches in all.
pub fn write_request(
    out: &mut Vec<u8>,
    topic: &str,
    partitions: &[(i32, i64)],
    isolation: Isolation,
    bytes_max: i32,
) {
    put_i32(out, -1);
    put_i32(out, WAIT_MS);
    put_i32(out, 1);
    put_i32(out, bytes_max);
    put_i8(out, isolation as i8);
    put_i32(out, 0);
    put_i32(out, -1);
    put_compact_length(out, 1);
    put_compact_string(out, topic);
    put_compact_length(out, partitions.len());
    for (partition, offset) in partitions {
        put_i32(out, *partition);
        put_i32(out, -1);
        put_i64(out, *offset);
        put_i32(out, -1);
        put_i64(out, -1);
        put_i32(out, bytes_max);
        put_no_tags(out);
    }
    put_no_tags(out);
    put_compact_length(out, 0);
    put_compact_length(out, 0);
    put_no_tags(out);
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose it was.
    pub producer_id: i64,
    /// Where it began.
    pub first_offset: i64,
}

/// The answer for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// The partition.
    pub partition: i32,
    /// Why there is nothing.
    pub error: ErrorCode,
    /// Transactions with batches among these that do not count; for [`Isolation::Committed`].
    pub aborted: Vec<Aborted>,
    /// Batches, see [`crate::kafka::batch_reader::RecordBatches`].
    pub records: &'a [u8],
}

/// Reads an answer and hands each partition to `take`; returns the error that concerns all of them.
pub fn read_answer<'a>(
    reader: &mut Reader<'a>,
    mut take: impl FnMut(Fetched<'a>),
) -> Result<ErrorCode, WireError> {
    let _throttle_ms = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    let _session = reader.i32()?;
    for _ in 0..reader.compact_array()? {
        let _topic = reader.compact_name()?;
        for _ in 0..reader.compact_array()? {
            take(Fetched::read_partition(reader)?);
        }
        reader.skip_tags()?;
    }
    reader.skip_tags()?;
    Ok(error)
}

impl<'a> Fetched<'a> {
    /// Reads the answer for the one partition that was asked for.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let mut answer = None;
        let error = read_answer(reader, |fetched| answer = Some(fetched))?;
        let refused = Self { partition: -1, error, aborted: Vec::new(), records: &[] };
        answer.or((!error.is_none()).then_some(refused)).ok_or(WireError::Incomplete)
    }

    fn read_partition(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let partition = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _high_watermark = reader.i64()?;
        let _last_stable = reader.i64()?;
        let _log_start = reader.i64()?;
        let mut aborted = Vec::new();
        for _ in 0..reader.compact_array()? {
            aborted.push(Aborted { producer_id: reader.i64()?, first_offset: reader.i64()? });
            reader.skip_tags()?;
        }
        let _preferred_replica = reader.i32()?;
        let records = reader.compact_bytes()?.unwrap_or_default();
        reader.skip_tags()?;
        Ok(Self { partition, error, aborted, records })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::wire::put_i16;

    /// An answer as a broker writes it.
    pub(crate) fn write(topic: &str, partition: i32, error: ErrorCode, records: &[u8]) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_i16(out, 0);
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, topic);
        put_compact_length(out, 1);
        put_i32(out, partition);
        put_i16(out, error.0);
        put_i64(out, 10);
        put_i64(out, 10);
        put_i64(out, 0);
        put_compact_length(out, 1);
        put_i64(out, 1);
        put_i64(out, 2);
        put_no_tags(out);
        put_i32(out, -1);
        put_compact_length(out, records.len());
        out.extend_from_slice(records);
        put_no_tags(out);
        put_no_tags(out);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let bytes = write("t", 0, ErrorCode::NONE, b"records");
        for cut in 0..bytes.len() {
            assert!(Fetched::read(&mut Reader::new(&bytes[..cut])).is_err(), "cut at {cut}");
        }
        let fetched = Fetched::read(&mut Reader::new(&bytes)).unwrap();
        let aborted = vec![Aborted { producer_id: 1, first_offset: 2 }];
        let (partition, error) = (0, ErrorCode::NONE);
        assert_eq!(fetched, Fetched { partition, error, aborted, records: b"records" });
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, "t", &[(1, 5), (2, 6)], Isolation::Committed, 16);
        let mut wanted = vec![255, 255, 255, 255, 0, 0, 1, 244, 0, 0, 0, 1, 0, 0, 0, 16, 1];
        wanted.extend_from_slice(&[0, 0, 0, 0, 255, 255, 255, 255, 2, 2, b't', 3]);
        for (partition, offset) in [(1, 5), (2, 6)] {
            wanted.extend_from_slice(&[0, 0, 0, partition]);
            wanted.extend_from_slice(&[255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, offset]);
            wanted.extend_from_slice(&[255; 12]);
            wanted.extend_from_slice(&[0, 0, 0, 16, 0]);
        }
        wanted.extend_from_slice(&[0, 1, 1, 0]);
        assert_eq!(out, wanted);
    }
}
