//! CreateTopics v5: makes a topic, with settings.
//!
//! ```text
//! request    [name, partitions i32, replication factor i16, assignments [],
//!              settings [name, value, tags], tags] │ timeout i32 │ validate only │ tags
//! answer     throttle i32 │ [name, error i16, message, partitions i32, replication factor i16,
//!              settings [name, value, read only, source i8, sensitive, tags], tags] │ tags
//! ```
//!
//! -1 for partitions or replication factor is the broker's default (KIP-464).

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_bool, put_compact_length, put_compact_string, put_i16, put_i32,
    put_no_tags,
};

/// How a topic is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Number of partitions; -1 for the broker's default.
    pub partitions: i32,
    /// Number of replicas; -1 for the broker's default.
    pub replication_factor: i16,
    /// Settings of the topic, such as `cleanup.policy`.
    pub settings: Vec<(String, String)>,
}

/// Appends the body of a request for one topic.
pub fn write_request(out: &mut Vec<u8>, name: &str, topic: &NewTopic, timeout_ms: i32) {
    write_body(out, name, topic, timeout_ms, false);
}

/// The same for who only wants to know whether the topic could be made.
pub fn write_question(out: &mut Vec<u8>, name: &str, topic: &NewTopic, timeout_ms: i32) {
    write_body(out, name, topic, timeout_ms, true);
}

fn write_body(
    out: &mut Vec<u8>,
    name: &str,
    topic: &NewTopic,
    timeout_ms: i32,
    only_validate: bool,
) {
    put_compact_length(out, 1);
    put_compact_string(out, name);
    put_i32(out, topic.partitions);
    put_i16(out, topic.replication_factor);
    put_compact_length(out, 0);
    put_compact_length(out, topic.settings.len());
    for (name, value) in &topic.settings {
        put_compact_string(out, name);
        put_compact_string(out, value);
        put_no_tags(out);
    }
    put_no_tags(out);
    put_i32(out, timeout_ms);
    put_bool(out, only_validate);
    put_no_tags(out);
}

/// Reads the answer for the one topic: its error, and what the broker says about it.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<(ErrorCode, Option<String>), WireError> {
    let _throttle_ms = reader.i32()?;
    let mut answer = None;
    for _ in 0..reader.compact_array()? {
        let _name = reader.compact_name()?;
        let error = ErrorCode(reader.i16()?);
        let message = reader.compact_string()?.map(str::to_owned);
        let _partitions = reader.i32()?;
        let _replication_factor = reader.i16()?;
        for _ in 0..reader.compact_array()? {
            let _name = reader.compact_name()?;
            let _value = reader.compact_string()?;
            let _read_only_source_sensitive = reader.take(3)?;
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
        answer = Some((error, message));
    }
    reader.skip_tags()?;
    answer.ok_or(WireError::Incomplete)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_compact_null, put_i8};

    /// An answer as a broker writes it.
    pub(crate) fn write(name: &str, error: ErrorCode, message: Option<&str>) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, name);
        put_i16(out, error.0);
        match message {
            Some(message) => put_compact_string(out, message),
            None => put_compact_null(out),
        }
        put_i32(out, 3);
        put_i16(out, 1);
        put_compact_length(out, 1);
        put_compact_string(out, "cleanup.policy");
        put_compact_null(out);
        put_bool(out, false);
        put_i8(out, 5);
        put_bool(out, false);
        put_no_tags(out);
        put_no_tags(out);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let bytes = write("t", ErrorCode::POLICY_VIOLATION, Some("no"));
        let answer = cut::at_every_byte(&bytes, read_answer);
        assert_eq!(answer, (ErrorCode::POLICY_VIOLATION, Some("no".into())));
        assert_eq!(read_answer(&mut Reader::new(&[0, 0, 0, 0, 1, 0])), Err(WireError::Incomplete));
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let topic = NewTopic {
            partitions: -1,
            replication_factor: 2,
            settings: vec![("a".into(), "b".into())],
        };
        let mut out = Vec::new();
        write_request(&mut out, "t", &topic, 1);
        assert_eq!(
            out,
            [2, 2, b't', 255, 255, 255, 255, 0, 2, 1, 2, 2, b'a', 2, b'b', 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }
}
