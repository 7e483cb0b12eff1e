//! DescribeConfigs v4: what a topic takes and how it is cleaned.
//!
//! ```text
//! request    [type i8, name, settings [name], tags] │ synonyms │ documentation │ tags
//! answer     throttle i32 │ [error i16, message, type i8, name, settings, tags] │ tags
//! setting    name, value, read only, source i8, sensitive,
//!            synonyms [name, value, source i8, tags], type i8, documentation, tags
//! ```

use std::collections::BTreeMap;

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_bool, put_compact_length, put_compact_string, put_i8, put_no_tags,
};

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";

/// Appends the body of a request for one topic.
pub fn write_request(out: &mut Vec<u8>, topic: &str) {
    write_question(out, Resource::Topic(topic), &[MAX_MESSAGE_BYTES, CLEANUP_POLICY]);
}

/// What has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A broker. Only it answers for itself.
    Broker(i32),
}

/// Appends the body of a request for some settings of one resource.
pub fn write_question(out: &mut Vec<u8>, resource: Resource<'_>, settings: &[&str]) {
    put_compact_length(out, 1);
    match resource {
        Resource::Topic(topic) => {
            put_i8(out, RESOURCE_TOPIC);
            put_compact_string(out, topic);
        }
        Resource::Broker(id) => {
            put_i8(out, RESOURCE_BROKER);
            put_compact_string(out, &id.to_string());
        }
    }
    put_compact_length(out, settings.len());
    for setting in settings {
        put_compact_string(out, setting);
    }
    put_no_tags(out);
    put_bool(out, false);
    put_bool(out, false);
    put_no_tags(out);
}

/// Reads the answer for one resource: its settings by name, those without a value left out, or why there are none.
pub fn read_values(
    reader: &mut Reader<'_>,
) -> Result<Result<BTreeMap<String, String>, ErrorCode>, WireError> {
    let mut values = BTreeMap::new();
    let error = read_answer(reader, |name, value| {
        if let Some(value) = value {
            values.insert(name.to_owned(), value.to_owned());
        }
    })?;
    Ok(if error.is_none() { Ok(values) } else { Err(error) })
}

/// The settings of a topic that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Why there are none.
    pub error: ErrorCode,
    /// The largest batch that the topic takes, in bytes.
    pub max_message_bytes: Option<usize>,
    /// `delete`, `compact`, or both with a comma between.
    pub cleanup_policy: Option<String>,
}

impl TopicSettings {
    /// Reads the answer for the one topic.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (mut max_message_bytes, mut cleanup_policy) = (None, None);
        let error = read_answer(reader, |name, value| match name {
            MAX_MESSAGE_BYTES => max_message_bytes = value.and_then(|value| value.parse().ok()),
            CLEANUP_POLICY => cleanup_policy = value.map(str::to_owned),
            _ => {}
        })?;
        Ok(Self { error, max_message_bytes, cleanup_policy })
    }
}

/// Hands every setting to `on_setting`; the error of the last resource, which is the only one.
fn read_answer(
    reader: &mut Reader<'_>,
    mut on_setting: impl FnMut(&str, Option<&str>),
) -> Result<ErrorCode, WireError> {
    let _throttle_ms = reader.i32()?;
    let mut answer = None;
    for _ in 0..reader.compact_array()? {
        answer = Some(ErrorCode(reader.i16()?));
        let _message = reader.compact_string()?;
        let _type = reader.i8()?;
        let _name = reader.compact_name()?;
        for _ in 0..reader.compact_array()? {
            let name = reader.compact_name()?;
            let value = reader.compact_string()?;
            let _read_only_source_sensitive = reader.take(3)?;
            for _ in 0..reader.compact_array()? {
                let _name = reader.compact_name()?;
                let _value = reader.compact_string()?;
                let _source = reader.i8()?;
                reader.skip_tags()?;
            }
            let _type = reader.i8()?;
            let _documentation = reader.compact_string()?;
            reader.skip_tags()?;
            on_setting(name, value);
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
    use crate::kafka::wire::{put_compact_null, put_i16, put_i32};

    /// An answer as a broker writes it.
    pub(crate) fn write(topic: &str, error: ErrorCode, max_message_bytes: usize) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_i16(out, error.0);
        put_compact_null(out);
        put_i8(out, RESOURCE_TOPIC);
        put_compact_string(out, topic);
        let mut settings = vec![
            (MAX_MESSAGE_BYTES, max_message_bytes.to_string()),
            (CLEANUP_POLICY, "compact".to_owned()),
        ];
        if !error.is_none() {
            settings.clear();
        }
        put_compact_length(out, settings.len());
        for (name, value) in settings {
            put_compact_string(out, name);
            put_compact_string(out, &value);
            out.extend_from_slice(&[0, 5, 0]);
            put_compact_length(out, 1);
            put_compact_string(out, "synonym");
            put_compact_null(out);
            put_i8(out, 5);
            put_no_tags(out);
            put_i8(out, 3);
            put_compact_null(out);
            put_no_tags(out);
        }
        put_no_tags(out);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let settings =
            cut::at_every_byte(&write("t", ErrorCode::NONE, 1_048_588), TopicSettings::read);
        assert_eq!(settings.max_message_bytes, Some(1_048_588));
        assert_eq!(settings.cleanup_policy.as_deref(), Some("compact"));
    }

    #[test]
    fn values_are_those_of_an_answer_or_its_error() {
        let values = cut::at_every_byte(&write("t", ErrorCode::NONE, 7), read_values).unwrap();
        let found: Vec<_> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [(CLEANUP_POLICY, "compact"), (MAX_MESSAGE_BYTES, "7")]);
        let refused = write("t", ErrorCode::TOPIC_AUTHORIZATION_FAILED, 7);
        assert_eq!(
            cut::at_every_byte(&refused, read_values),
            Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
        );
    }

    #[test]
    fn a_broker_is_asked_for_by_its_id() {
        let mut out = Vec::new();
        write_question(&mut out, Resource::Broker(12), &["a"]);
        assert_eq!(out, [2, 4, 3, b'1', b'2', 2, 2, b'a', 0, 0, 0, 0]);
    }

    #[test]
    fn a_request_names_the_topic_and_two_settings() {
        let mut out = Vec::new();
        write_request(&mut out, "t");
        let mut wanted = vec![2, 2, 2, b't', 3, 18];
        wanted.extend_from_slice(b"max.message.bytes\x0fcleanup.policy\0\0\0\0");
        assert_eq!(out, wanted);
    }
}
