//! LeaveGroup v4: a member goes, and its group need not wait for its session to end.
//!
//! ```text
//! request    group │ [member id, instance id, tags] │ tags
//! answer     throttle i32 │ error i16 │ [member id, instance id, error i16, tags] │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_length, put_compact_null, put_compact_string, put_no_tags,
};

/// Appends the body of a request for one member.
pub fn write_request(out: &mut Vec<u8>, group: &str, member: &str) {
    put_compact_string(out, group);
    put_compact_length(out, 1);
    put_compact_string(out, member);
    put_compact_null(out);
    put_no_tags(out);
    put_no_tags(out);
}

/// Reads the answer for the one member: the error of the request, or else that of the member.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<ErrorCode, WireError> {
    let _throttle_ms = reader.i32()?;
    let mut error = ErrorCode(reader.i16()?);
    for _ in 0..reader.compact_array()? {
        let _member = reader.compact_name()?;
        let _instance = reader.compact_string()?;
        let of_member = ErrorCode(reader.i16()?);
        reader.skip_tags()?;
        if error.is_none() {
            error = of_member;
        }
    }
    reader.skip_tags()?;
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::cut;

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let bytes = [0, 0, 0, 0, 0, 0, 2, 2, b'm', 0, 0, 25, 0, 0];
        assert_eq!(cut::at_every_byte(&bytes, read_answer), ErrorCode::UNKNOWN_MEMBER_ID);
        let bytes = [0, 0, 0, 0, 0, 16, 1, 0];
        assert_eq!(cut::at_every_byte(&bytes, read_answer), ErrorCode::NOT_COORDINATOR);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, "g", "m");
        assert_eq!(out, [2, b'g', 2, 2, b'm', 0, 0, 0]);
    }
}
