//! ListOffsets v6: where a partition ends, begins, or was at a time.
//!
//! ```text
//! request    replica i32 │ isolation i8
//!            │ [topic, [index i32, leader epoch i32, timestamp i64, tags], tags] │ tags
//! answer     throttle i32
//!            │ [topic, [index i32, error i16, timestamp i64, offset i64, leader epoch i32, tags],
//!               tags] │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_length, put_compact_string, put_i8, put_i32, put_i64,
    put_no_tags,
};

/// In place of a timestamp: the offset behind the last record that all replicas in sync have.
pub const LATEST: i64 = -1;

/// In place of a timestamp: the offset of the first record that is still there.
pub const EARLIEST: i64 = -2;

/// Appends the body of a request for one partition.
pub fn write_request(out: &mut Vec<u8>, topic: &str, partition: i32, timestamp_ms: i64) {
    put_i32(out, -1);
    put_i8(out, 0);
    put_compact_length(out, 1);
    put_compact_string(out, topic);
    put_compact_length(out, 1);
    put_i32(out, partition);
    put_i32(out, -1);
    put_i64(out, timestamp_ms);
    put_no_tags(out);
    put_no_tags(out);
    put_no_tags(out);
}

/// Reads the answer for the one partition: an offset, or -1 if no record is as young as the
/// timestamp.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<Result<i64, ErrorCode>, WireError> {
    let _throttle_ms = reader.i32()?;
    let mut answer = None;
    for _ in 0..reader.compact_array()? {
        let _topic = reader.compact_name()?;
        for _ in 0..reader.compact_array()? {
            let _index = reader.i32()?;
            let error = ErrorCode(reader.i16()?);
            let _timestamp_ms = reader.i64()?;
            let offset = reader.i64()?;
            let _leader_epoch = reader.i32()?;
            reader.skip_tags()?;
            answer = Some(if error.is_none() { Ok(offset) } else { Err(error) });
        }
        reader.skip_tags()?;
    }
    reader.skip_tags()?;
    answer.ok_or(WireError::Incomplete)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::put_i16;

    /// An answer as a broker writes it.
    pub(crate) fn write(topic: &str, partition: i32, error: ErrorCode, offset: i64) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, topic);
        put_compact_length(out, 1);
        put_i32(out, partition);
        put_i16(out, error.0);
        put_i64(out, -1);
        put_i64(out, offset);
        put_i32(out, 3);
        put_no_tags(out);
        put_no_tags(out);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let bytes = write("t", 1, ErrorCode::NONE, 42);
        assert_eq!(cut::at_every_byte(&bytes, read_answer), Ok(42));
        let bytes = write("t", 1, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
        let refused = read_answer(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(refused, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, "t", 2, LATEST);
        let mut wanted = vec![255, 255, 255, 255, 0, 2, 2, b't', 2, 0, 0, 0, 2];
        wanted.extend_from_slice(&[255; 12]);
        wanted.extend_from_slice(&[0, 0, 0]);
        assert_eq!(out, wanted);
    }
}
