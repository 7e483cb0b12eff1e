//! SyncGroup v5: the leader hands in everybody's assignment, and each member is given its own.
//!
//! ```text
//! request    group │ generation i32 │ member id │ instance id │ protocol type │ protocol
//!            │ [member id, assignment bytes, tags] │ tags
//! answer     throttle i32 │ error i16 │ protocol type │ protocol │ assignment bytes │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_bytes, put_compact_length, put_compact_null, put_compact_string,
    put_i32, put_no_tags,
};

/// What a member asks with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest<'a> {
    /// The group.
    pub group: &'a str,
    /// The generation, as JoinGroup answered.
    pub generation: i32,
    /// Who asks.
    pub member: &'a str,
    /// What kind of group this is.
    pub protocol_type: &'a str,
    /// The protocol, as JoinGroup answered.
    pub protocol: &'a str,
    /// Member and what it is to do; empty unless the leader asks.
    pub assignments: &'a [(String, Vec<u8>)],
}

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    /// Whether there is an assignment.
    pub error: ErrorCode,
    /// What kind of group this is.
    pub protocol_type: Option<String>,
    /// The protocol of the assignment.
    pub protocol: Option<String>,
    /// What the leader has made for us.
    pub assignment: Vec<u8>,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, request: &SyncRequest<'_>) {
    put_compact_string(out, request.group);
    put_i32(out, request.generation);
    put_compact_string(out, request.member);
    put_compact_null(out);
    put_compact_string(out, request.protocol_type);
    put_compact_string(out, request.protocol);
    put_compact_length(out, request.assignments.len());
    for (member, assignment) in request.assignments {
        put_compact_string(out, member);
        put_compact_bytes(out, assignment);
        put_no_tags(out);
    }
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<SyncAnswer, WireError> {
    let _throttle_ms = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    let protocol_type = reader.compact_string()?.map(str::to_owned);
    let protocol = reader.compact_string()?.map(str::to_owned);
    let assignment = reader.compact_bytes()?.unwrap_or_default().to_vec();
    reader.skip_tags()?;
    Ok(SyncAnswer { error, protocol_type, protocol, assignment })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::put_i16;

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let mut out = Vec::new();
        put_i32(&mut out, 0);
        put_i16(&mut out, ErrorCode::REBALANCE_IN_PROGRESS.0);
        put_compact_string(&mut out, "connect");
        put_compact_null(&mut out);
        put_compact_bytes(&mut out, &[1, 2, 3]);
        put_no_tags(&mut out);
        let answer = cut::at_every_byte(&out, read_answer);
        let wanted = SyncAnswer {
            error: ErrorCode::REBALANCE_IN_PROGRESS,
            protocol_type: Some("connect".into()),
            protocol: None,
            assignment: vec![1, 2, 3],
        };
        assert_eq!(answer, wanted);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        let request = SyncRequest {
            group: "g",
            generation: 5,
            member: "m",
            protocol_type: "t",
            protocol: "p",
            assignments: &[("n".into(), vec![7])],
        };
        write_request(&mut out, &request);
        assert_eq!(
            out,
            [2, b'g', 0, 0, 0, 5, 2, b'm', 0, 2, b't', 2, b'p', 2, 2, b'n', 2, 7, 0, 0]
        );
    }
}
