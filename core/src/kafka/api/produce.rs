//! Produce v9: appends at most one batch to each of some partitions.
//!
//! ```text
//! request    transactional id │ acks i16 │ timeout i32 │ [topic, [index i32, batch, tags], tags]
//!            │ tags
//! answer     [topic, [index i32, error i16, base offset i64, append time i64, log start i64,
//!              record errors [index i32, message, tags], message, tags], tags]
//!            │ throttle i32 │ tags
//! ```
//!
//! A request goes out as segments: framing, batch, framing, batch, …, framing. The framing of all
//! of them lies in one piece of memory, the batches are shared, nothing is copied.

use bytes::Bytes;

use crate::kafka::api::Api;
use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, finish_request, put_compact_bytes, put_compact_length, put_compact_null,
    put_compact_string, put_i16, put_i32, put_no_tags,
};

const ACKS_ALL: i16 = -1;

/// One batch of a request. Those of one topic follow each other.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// A sealed batch.
    pub batch: &'a Bytes,
}

/// What all parts of a request have in common.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Comes back with the answer.
    pub correlation: i32,
    /// Shown in the broker's logs.
    pub client_id: &'a str,
    /// 1 for the leader, -1 for all replicas in sync.
    pub acks: i16,
    /// How long the broker may wait for replicas.
    pub timeout_ms: i32,
}

/// Writes a whole request with `parts`, which are in the order of topics.
pub fn request(head: Head<'_>, parts: &[Part<'_>]) -> Vec<Bytes> {
    let mut framing = Vec::with_capacity(64 + parts.len() * 48);
    let mut cuts = Vec::with_capacity(parts.len());
    Api::Produce.begin_request(&mut framing, head.correlation, head.client_id);
    put_compact_null(&mut framing);
    put_i16(&mut framing, head.acks);
    put_i32(&mut framing, head.timeout_ms);
    let topics = || parts.chunk_by(|a, b| a.topic == b.topic);
    put_compact_length(&mut framing, topics().count());
    for topic in topics() {
        put_compact_string(&mut framing, topic.first().map_or("", |part| part.topic));
        put_compact_length(&mut framing, topic.len());
        for part in topic {
            put_i32(&mut framing, part.partition);
            put_compact_length(&mut framing, part.batch.len());
            cuts.push(framing.len());
            put_no_tags(&mut framing);
        }
        put_no_tags(&mut framing);
    }
    put_no_tags(&mut framing);
    let batches_bytes: usize = parts.iter().map(|part| part.batch.len()).sum();
    let size_bytes = framing.len() + batches_bytes;
    finish_request(&mut framing, size_bytes);

    let framing = Bytes::from(framing);
    let mut segments = Vec::with_capacity(2 * parts.len() + 1);
    let mut from = 0;
    for (part, cut) in parts.iter().zip(cuts) {
        segments.push(framing.slice(from..cut));
        segments.push(part.batch.clone());
        from = cut;
    }
    segments.push(framing.slice(from..));
    segments
}

/// Appends the body of a request with one batch, which is copied; for all replicas in sync.
pub fn write_request(out: &mut Vec<u8>, part: &Part<'_>, timeout_ms: i32) {
    put_compact_null(out);
    put_i16(out, ACKS_ALL);
    put_i32(out, timeout_ms);
    put_compact_length(out, 1);
    put_compact_string(out, part.topic);
    put_compact_length(out, 1);
    put_i32(out, part.partition);
    put_compact_bytes(out, part.batch);
    for _part_topic_request in 0..3 {
        put_no_tags(out);
    }
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartAnswer<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Whether it was appended.
    pub error: ErrorCode,
    /// Offset of its first record; -1 if the broker does not know.
    pub base_offset: i64,
    /// What the broker says about the error.
    pub message: Option<&'a str>,
}

/// Reads an answer and hands each part to `take`.
pub fn read_answer<'a>(
    reader: &mut Reader<'a>,
    mut take: impl FnMut(PartAnswer<'a>),
) -> Result<(), WireError> {
    for _ in 0..reader.compact_array()? {
        let topic = reader.compact_name()?;
        for _ in 0..reader.compact_array()? {
            take(read_part(reader, topic)?);
        }
        reader.skip_tags()?;
    }
    let _throttle_ms = reader.i32()?;
    reader.skip_tags()
}

fn read_part<'a>(reader: &mut Reader<'a>, topic: &'a str) -> Result<PartAnswer<'a>, WireError> {
    let partition = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    let base_offset = reader.i64()?;
    let _append_time_ms = reader.i64()?;
    let _log_start = reader.i64()?;
    let mut record_message = None;
    for _ in 0..reader.compact_array()? {
        let _index = reader.i32()?;
        let message = reader.compact_string()?;
        record_message = record_message.or(message);
        reader.skip_tags()?;
    }
    let message = reader.compact_string()?;
    reader.skip_tags()?;
    Ok(PartAnswer { topic, partition, error, base_offset, message: record_message.or(message) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::put_i64;

    /// An answer as a broker writes it; one topic for each part.
    pub(crate) fn write(parts: &[PartAnswer<'_>]) -> Vec<u8> {
        let out = &mut Vec::new();
        put_compact_length(out, parts.len());
        for part in parts {
            put_compact_string(out, part.topic);
            put_compact_length(out, 1);
            put_i32(out, part.partition);
            put_i16(out, part.error.0);
            put_i64(out, part.base_offset);
            put_i64(out, -1);
            put_i64(out, 0);
            match part.message {
                Some(message) => {
                    put_compact_length(out, 1);
                    put_i32(out, 0);
                    put_compact_string(out, message);
                    put_no_tags(out);
                }
                None => put_compact_length(out, 0),
            }
            put_compact_null(out);
            put_no_tags(out);
            put_no_tags(out);
        }
        put_i32(out, 0);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let (topic, partition) = ("a", 3);
        let error = ErrorCode::NONE;
        let good = PartAnswer { topic, partition, error, base_offset: 77, message: None };
        let error = ErrorCode::INVALID_RECORD;
        let message = Some("null key");
        let bad = PartAnswer { topic: "b", partition: 0, error, base_offset: -1, message };
        let bytes = write(&[good, bad]);
        let read = cut::at_every_byte(&bytes, |reader| {
            let mut errors = Vec::new();
            read_answer(reader, |part| errors.push(part.error)).map(|()| errors)
        });
        assert_eq!(read, [ErrorCode::NONE, ErrorCode::INVALID_RECORD]);
        let mut read = Vec::new();
        read_answer(&mut Reader::new(&bytes), |part| read.push(part)).unwrap();
        assert_eq!(read, [good, bad]);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol_and_shares_the_batches() {
        let (one, two) = (Bytes::from(vec![b'1'; 3]), Bytes::from(vec![b'2'; 200]));
        let head = Head { correlation: 5, client_id: "c", acks: -1, timeout_ms: 9 };
        let parts = [
            Part { topic: "t", partition: 0, batch: &one },
            Part { topic: "t", partition: 2, batch: &two },
            Part { topic: "u", partition: 1, batch: &one },
        ];
        let segments = request(head, &parts);
        assert_eq!(segments.len(), 7);
        assert_eq!(segments[3].as_ptr(), two.as_ptr());
        let mut wanted = vec![0, 0, 0, 9, 0, 0, 0, 5, 0, 1, b'c', 0]; // header
        wanted.extend_from_slice(&[0, 255, 255, 0, 0, 0, 9, 3]); // two topics
        wanted.extend_from_slice(&[2, b't', 3, 0, 0, 0, 0, 4, b'1', b'1', b'1', 0]);
        wanted.extend_from_slice(&[0, 0, 0, 2, 201, 1]);
        wanted.extend_from_slice(&two);
        wanted.extend_from_slice(&[0, 0]);
        wanted.extend_from_slice(&[2, b'u', 2, 0, 0, 0, 1, 4, b'1', b'1', b'1', 0, 0, 0]);
        let sent = segments.concat();
        assert_eq!(sent[..4], (sent.len() as u32 - 4).to_be_bytes());
        assert_eq!(sent[4..], wanted);
    }
    #[test]
    fn a_request_with_one_batch_is_the_same_bytes_in_one_piece() {
        let batch = Bytes::from(vec![b'1'; 200]);
        let part = Part { topic: "t", partition: 3, batch: &batch };
        let head = Head { correlation: 5, client_id: "c", acks: -1, timeout_ms: 9 };
        let whole = Api::Produce.request(5, "c", |out| write_request(out, &part, 9));
        assert_eq!(whole, request(head, &[part]).concat());
    }
}
