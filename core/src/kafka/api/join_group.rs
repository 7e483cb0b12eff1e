//! JoinGroup v7: enter a group, or say again that one is in it; answered when everybody has.
//!
//! ```text
//! request    group │ session timeout i32 │ rebalance timeout i32 │ member id │ instance id
//!            │ protocol type │ [protocol, metadata bytes, tags] │ tags
//! answer     throttle i32 │ error i16 │ generation i32 │ protocol type │ protocol │ leader
//!            │ member id │ [member id, instance id, metadata bytes, tags] │ tags
//! ```
//!
//! Only the leader is told who the members are. A member that has no id yet is refused with
//! `MEMBER_ID_REQUIRED` and given one (KIP-394). Instance ids are not used. Times are milliseconds.

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_bytes, put_compact_length, put_compact_null, put_compact_string,
    put_i32, put_no_tags,
};

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest<'a> {
    /// The group.
    pub group: &'a str,
    /// Without a heartbeat for this long the member is taken for dead.
    pub session_timeout_ms: i32,
    /// How long the others wait for the member to join again.
    pub rebalance_timeout_ms: i32,
    /// As a coordinator has given it; empty before.
    pub member: &'a str,
    /// What kind of group this is.
    pub protocol_type: &'a str,
    /// Protocols with the member's metadata, the preferred one first.
    pub protocols: &'a [(&'a str, Vec<u8>)],
}

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAnswer {
    /// Whether the member is in.
    pub error: ErrorCode,
    /// The generation that begins; -1 with an error.
    pub generation: i32,
    /// What kind of group this is; not said with an error.
    pub protocol_type: Option<String>,
    /// The protocol that all members speak.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: String,
    /// Who we are.
    pub member: String,
    /// Everybody; empty unless we are the leader.
    pub members: Vec<JoinedMember>,
}

/// A member, as its leader is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: String,
    /// What it said of itself under the chosen protocol.
    pub metadata: Vec<u8>,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, request: &JoinRequest<'_>) {
    put_compact_string(out, request.group);
    put_i32(out, request.session_timeout_ms);
    put_i32(out, request.rebalance_timeout_ms);
    put_compact_string(out, request.member);
    put_compact_null(out);
    put_compact_string(out, request.protocol_type);
    put_compact_length(out, request.protocols.len());
    for (name, metadata) in request.protocols {
        put_compact_string(out, name);
        put_compact_bytes(out, metadata);
        put_no_tags(out);
    }
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<JoinAnswer, WireError> {
    let _throttle_ms = reader.i32()?;
    let mut answer = JoinAnswer {
        error: ErrorCode(reader.i16()?),
        generation: reader.i32()?,
        protocol_type: reader.compact_string()?.map(str::to_owned),
        protocol: reader.compact_string()?.map(str::to_owned),
        leader: reader.compact_name()?.to_owned(),
        member: reader.compact_name()?.to_owned(),
        members: Vec::new(),
    };
    for _ in 0..reader.compact_array()? {
        let member = reader.compact_name()?.to_owned();
        let _instance = reader.compact_string()?;
        let metadata = reader.compact_bytes()?.unwrap_or_default().to_vec();
        reader.skip_tags()?;
        answer.members.push(JoinedMember { member, metadata });
    }
    reader.skip_tags()?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::put_i16;

    fn write(answer: &JoinAnswer) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_i16(out, answer.error.0);
        put_i32(out, answer.generation);
        for text in [&answer.protocol_type, &answer.protocol] {
            match text {
                Some(text) => put_compact_string(out, text),
                None => put_compact_null(out),
            }
        }
        put_compact_string(out, &answer.leader);
        put_compact_string(out, &answer.member);
        put_compact_length(out, answer.members.len());
        for member in &answer.members {
            put_compact_string(out, &member.member);
            put_compact_null(out);
            put_compact_bytes(out, &member.metadata);
            put_no_tags(out);
        }
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let answer = JoinAnswer {
            error: ErrorCode::NONE,
            generation: 3,
            protocol_type: Some("connect".into()),
            protocol: Some("sessioned".into()),
            leader: "a".into(),
            member: "b".into(),
            members: vec![
                JoinedMember { member: "a".into(), metadata: vec![1, 2] },
                JoinedMember { member: "b".into(), metadata: vec![] },
            ],
        };
        assert_eq!(cut::at_every_byte(&write(&answer), read_answer), answer);
        let refused = JoinAnswer {
            error: ErrorCode::MEMBER_ID_REQUIRED,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            member: "given".into(),
            members: vec![],
        };
        assert_eq!(cut::at_every_byte(&write(&refused), read_answer), refused);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        let request = JoinRequest {
            group: "g",
            session_timeout_ms: 1,
            rebalance_timeout_ms: 2,
            member: "",
            protocol_type: "connect",
            protocols: &[("p", vec![9])],
        };
        write_request(&mut out, &request);
        let mut wanted = vec![2, b'g', 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 8];
        wanted.extend_from_slice(b"connect");
        wanted.extend_from_slice(&[2, 2, b'p', 2, 9, 0, 0]);
        assert_eq!(out, wanted);
    }
}
