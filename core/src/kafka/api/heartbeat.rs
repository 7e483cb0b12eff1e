//! Heartbeat v4: a member still lives; answered with whether the group is at rest.
//!
//! ```text
//! request    group │ generation i32 │ member id │ instance id │ tags
//! answer     throttle i32 │ error i16 │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_null, put_compact_string, put_i32, put_no_tags,
};

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, group: &str, generation: i32, member: &str) {
    put_compact_string(out, group);
    put_i32(out, generation);
    put_compact_string(out, member);
    put_compact_null(out);
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<ErrorCode, WireError> {
    let _throttle_ms = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    reader.skip_tags()?;
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::cut;

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let answer = cut::at_every_byte(&[0, 0, 0, 0, 0, 27, 0], read_answer);
        assert_eq!(answer, ErrorCode::REBALANCE_IN_PROGRESS);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, "g", 5, "m");
        assert_eq!(out, [2, b'g', 0, 0, 0, 5, 2, b'm', 0, 0]);
    }
}
