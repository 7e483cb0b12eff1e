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

const WAIT_MS: i32 = 500;

/// Appends the body of a request for one partition, of about `bytes_max` bytes of batches.
pub fn write_request(out: &mut Vec<u8>, topic: &str, partition: i32, offset: i64, bytes_max: i32) {
    put_i32(out, -1);
    put_i32(out, WAIT_MS);
    put_i32(out, 1);
    put_i32(out, bytes_max);
    put_i8(out, 0);
    put_i32(out, 0);
    put_i32(out, -1);
    put_compact_length(out, 1);
    put_compact_string(out, topic);
    put_compact_length(out, 1);
    put_i32(out, partition);
    put_i32(out, -1);
    put_i64(out, offset);
    put_i32(out, -1);
    put_i64(out, -1);
    put_i32(out, bytes_max);
    put_no_tags(out);
    put_no_tags(out);
    put_compact_length(out, 0);
    put_compact_length(out, 0);
    put_no_tags(out);
}

/// The answer for the one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// Why there is nothing.
    pub error: ErrorCode,
    /// Batches, see [`crate::kafka::batch_reader::RecordBatches`].
    pub records: &'a [u8],
}

impl<'a> Fetched<'a> {
    /// Reads an answer.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let _throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _session = reader.i32()?;
        let mut answer = (!error.is_none()).then_some(Self { error, records: &[] });
        for _ in 0..reader.compact_array()? {
            let _topic = reader.compact_name()?;
            for _ in 0..reader.compact_array()? {
                answer = Some(Self::read_partition(reader)?);
            }
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
        answer.ok_or(WireError::Incomplete)
    }

    fn read_partition(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let _index = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _high_watermark = reader.i64()?;
        let _last_stable = reader.i64()?;
        let _log_start = reader.i64()?;
        for _ in 0..reader.compact_array()? {
            let _producer_id = reader.i64()?;
            let _first_offset = reader.i64()?;
            reader.skip_tags()?;
        }
        let _preferred_replica = reader.i32()?;
        let records = reader.compact_bytes()?.unwrap_or_default();
        reader.skip_tags()?;
        Ok(Self { error, records })
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
        assert_eq!(fetched, Fetched { error: ErrorCode::NONE, records: b"records" });
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, "t", 1, 5, 16);
        let mut wanted = vec![255, 255, 255, 255, 0, 0, 1, 244, 0, 0, 0, 1, 0, 0, 0, 16, 0];
        wanted.extend_from_slice(&[0, 0, 0, 0, 255, 255, 255, 255, 2, 2, b't', 2, 0, 0, 0, 1]);
        wanted.extend_from_slice(&[255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 5]);
        wanted.extend_from_slice(&[255; 12]);
        wanted.extend_from_slice(&[0, 0, 0, 16, 0, 0, 1, 1, 0]);
        assert_eq!(out, wanted);
    }
}
