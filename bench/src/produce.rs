//! Produce requests of one partition, as raw as they can be: record batches built and sealed in place, answers read.
//!
//! ```text
//! request   size i32 │ api 0 │ version 7 │ correlation id i32 │ client id │ no transaction │ acks -1 │ timeout i32
//!           │ 1 topic: name │ 1 partition: index i32 │ size of records i32 │ one batch            big endian
//! batch     base offset i64 │ length i32 │ epoch i32 │ magic i8 │ crc u32 │
//!           ├── covered by the crc ────────────────────────────────────────────────────────────────────────┐
//!           attributes i16 │ last delta i32 │ base time i64 │ max time i64 │ producer id i64 │ epoch i16
//!           │ base sequence i32 │ count i32 │ record …
//! record    length │ attributes i8 │ time delta │ offset delta │ key │ value │ 0 headers         varints
//! answer    size i32 │ correlation id i32 │ 1 topic: name │ 1 partition: index i32 │ code i16 │ base offset i64
//!           │ append time i64 │ start offset i64 │ throttled ms i32
//! ```
//!
//! An [`OpenRequest`] can be appended to, a [`SealedRequest`] sent, more than once if one likes: only its correlation
//! id changes. There is no producer id, no compression and no retry. The broker at the other end has to lead the
//! partition. Its own protocol code: an arm that bounds the node shares none with it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::wire::{Reader, Writer};

/// A batch is no larger than the node's by default (`batch.size`), which is what a topic takes by default too.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Requests without an answer: as many as an idempotent producer may have, and as the node has.
pub(crate) const IN_FLIGHT_MAX: usize = 5;

const PRODUCE: (i16, i16) = (0, 7);
const CLIENT_ID: &[u8] = b"millrace-bench-null";
const ACKS_ALL: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;
/// An answer for one partition is much shorter.
const ANSWER_BYTES_MAX: usize = 1 << 16;
const CORRELATION_ID_AT: usize = 4 + 2 + 2;
const BATCH_HEADER_BYTES: usize = 61;
/// What the length of a batch does not count.
const BEFORE_LENGTH_COUNTS: usize = 8 + 4;
const CRC_AT: usize = BEFORE_LENGTH_COUNTS + 4 + 1;
const CRC_COVERS_FROM: usize = CRC_AT + 4;
const MAGIC: u8 = 2;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Everything of a request before its batch, sizes and correlation id blank.
    head: Vec<u8>,
}

/// A request that is being filled.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    bytes: Vec<u8>,
    head_bytes: usize,
    records: u32,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct SealedRequest {
    bytes: Vec<u8>,
    records: u32,
}

impl Target {
    /// Partition `partition` of `topic`.
    pub(crate) fn new(topic: &str, partition: i32) -> Self {
        let mut head = Writer::default();
        head.i32(0).i16(PRODUCE.0).i16(PRODUCE.1).i32(0).string(Some(CLIENT_ID), false);
        head.string(None, false).i16(ACKS_ALL).i32(TIMEOUT_MS);
        head.array(1, false).string(Some(topic.as_bytes()), false);
        head.array(1, false).i32(partition).i32(0);
        Self { head: head.0 }
    }

    /// An empty request in the memory of `memory`, whose content is dropped.
    pub(crate) fn open(&self, mut memory: Vec<u8>) -> OpenRequest {
        memory.clear();
        memory.extend_from_slice(&self.head);
        memory.resize(self.head.len() + BATCH_HEADER_BYTES, 0);
        OpenRequest { bytes: memory, head_bytes: self.head.len(), records: 0 }
    }
}

impl OpenRequest {
    /// Whether there is no record in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether the record can be added: the batch stays within [`BATCH_BYTES_MAX`]. A batch of one record may be
    /// larger; whether it is taken is for the broker to say.
    pub(crate) fn has_room(&self, key: &[u8], value: &[u8]) -> bool {
        let batch_bytes = self.bytes.len() - self.head_bytes;
        let record_bytes = record_body_bytes(self.records, key, value);
        let record_bytes = varint_bytes(record_bytes as i64) + record_bytes;
        self.is_empty() || batch_bytes + record_bytes <= BATCH_BYTES_MAX
    }

    /// Adds a record.
    pub(crate) fn append(&mut self, key: &[u8], value: &[u8]) {
        let body_bytes = record_body_bytes(self.records, key, value);
        let mut to = Writer(std::mem::take(&mut self.bytes));
        to.varint(body_bytes as i64).i8(0).varint(0).varint(i64::from(self.records));
        to.varint(key.len() as i64).put(key).varint(value.len() as i64).put(value).varint(0);
        self.bytes = to.0;
        self.records += 1;
    }

    /// Closes it: sizes, counts, time and checksum are right from here on.
    pub(crate) fn seal(mut self) -> SealedRequest {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (head, batch) = self.bytes.split_at_mut(self.head_bytes);
        let batch_bytes = batch.len() as i32;
        put(head, 0, &(self.head_bytes as i32 - 4 + batch_bytes).to_be_bytes());
        put(head, self.head_bytes - 4, &batch_bytes.to_be_bytes());

        let mut fields = Writer::default();
        fields.i64(0).i32(batch_bytes - BEFORE_LENGTH_COUNTS as i32).i32(-1).put(&[MAGIC]).i32(0);
        fields.i16(0).i32(self.records as i32 - 1).i64(now_ms as i64).i64(now_ms as i64);
        fields.i64(-1).i16(-1).i32(-1).i32(self.records as i32);
        put(batch, 0, &fields.0);
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        put(batch, CRC_AT, &crc.to_be_bytes());
        SealedRequest { bytes: self.bytes, records: self.records }
    }
}

impl SealedRequest {
    /// Gives it the number by which its answer is known.
    pub(crate) fn number(&mut self, correlation_id: i32) {
        put(&mut self.bytes, CORRELATION_ID_AT, &correlation_id.to_be_bytes());
    }

    /// The whole request.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Records in it.
    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Its memory, for the next.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        self.bytes
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn record_body_bytes(delta: u32, key: &[u8], value: &[u8]) -> usize {
    let sized = |bytes: &[u8]| varint_bytes(bytes.len() as i64) + bytes.len();
    1 + 1 + varint_bytes(i64::from(delta)) + sized(key) + sized(value) + 1
}

/// Of a number that is not negative.
fn varint_bytes(value: i64) -> usize {
    let bits = 64 - (value << 1).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

/// The broker has taken a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of the request.
    pub(crate) correlation_id: i32,
    /// Offset of the batch's first record.
    pub(crate) base_offset: i64,
}

/// Bytes from the broker, until they are whole answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    bytes: Vec<u8>,
}

impl Answers {
    /// Takes what was received.
    pub(crate) fn feed(&mut self, received: &[u8]) {
        self.bytes.extend_from_slice(received);
    }

    /// The next answer, if all of it is there. Fails if the broker did not take the batch.
    pub(crate) fn next(&mut self) -> Result<Option<Answer>> {
        let Some(size) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_be_bytes(*size) as usize;
        ensure!(size <= ANSWER_BYTES_MAX, "the broker's answer has {size} bytes");
        let Some(answer) = self.bytes.get(4..4 + size) else { return Ok(None) };
        let answer = read_answer(answer).context("could not read the broker's answer")?;
        self.bytes.drain(..4 + size);
        Ok(Some(answer))
    }
}

fn read_answer(bytes: &[u8]) -> Result<Answer> {
    let mut from = Reader(bytes);
    let correlation_id = from.i32()?;
    ensure!(from.array(false)? == 1, "it is about another number of topics");
    let topic = String::from_utf8_lossy(from.string(false)?.unwrap_or_default()).into_owned();
    ensure!(from.array(false)? == 1, "it is about another number of partitions");
    let (partition, code, base_offset) = (from.i32()?, from.i16()?, from.i64()?);
    from.take(8 + 8 + 4)?; // append time, start of the log, throttled
    ensure!(code == 0, "the broker did not take a batch for {topic}-{partition} (code {code})");
    ensure!(from.0.is_empty(), "{} bytes follow it", from.0.len());
    Ok(Answer { correlation_id, base_offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tamper::{Fault, Tamperer};

    const FIELDS_BEFORE_CODE: usize = 4 + 4 + 4 + 2 + 1 + 4 + 4;

    fn answer(code: i16) -> Vec<u8> {
        let mut body = Writer::default();
        body.i32(7).array(1, false).string(Some(b"t"), false).array(1, false);
        body.i32(0).i16(code).i64(1_234).i64(-1).i64(0).i32(0);
        let mut answer = Writer::default();
        answer.i32(body.0.len() as i32).put(&body.0);
        answer.0
    }

    fn open() -> OpenRequest {
        Target::new("a.topic", 3).open(vec![9; 10])
    }

    /// The proxy takes every request apart and seals it again; without two records of one key it finds nothing to swap.
    #[test]
    fn a_request_is_the_same_after_the_proxy_has_built_it_again() {
        let mut request = open();
        for record in 0..300_usize {
            let value = vec![record as u8; record * 7 % 400];
            request.append(&record.to_be_bytes(), &value);
        }
        let mut request = request.seal();
        request.number(77);
        assert_eq!(request.records(), 300);
        let size = u32::from_be_bytes(*request.bytes().first_chunk().expect("a size")) as usize;
        assert_eq!(size, request.bytes().len() - 4);
        let rewritten = Tamperer::new(Fault::Swap).rewrite_produce(&request.bytes()[4..]);
        assert!(rewritten.expect("well-formed") == request.bytes()[4..]);
        assert_eq!(request.bytes()[CORRELATION_ID_AT..][..4], [0, 0, 0, 77]);
    }

    #[test]
    fn a_batch_is_filled_up_to_its_bound_and_not_past_it() {
        let mut request = open();
        let (key, value) = ([1; 20], [2; 1_000]);
        while request.has_room(&key, &value) {
            request.append(&key, &value);
        }
        let batch_bytes = |request: &OpenRequest| request.bytes.len() - request.head_bytes;
        assert!((BATCH_BYTES_MAX - 1_030..=BATCH_BYTES_MAX).contains(&batch_bytes(&request)));
        request.append(&key, &value);
        assert!(BATCH_BYTES_MAX < batch_bytes(&request));
        assert!(open().has_room(&key, &vec![0; BATCH_BYTES_MAX]), "alone, for the broker to judge");
    }

    #[test]
    fn the_predicted_size_of_a_record_is_its_size() {
        for value_bytes in [0, 1, 63, 64, 8_191, 8_192, 70_000] {
            let mut request = open();
            let before = request.bytes.len();
            let value = vec![0; value_bytes];
            let body_bytes = record_body_bytes(0, b"key", &value);
            request.append(b"key", &value);
            let whole = varint_bytes(body_bytes as i64) + body_bytes;
            assert_eq!(request.bytes.len() - before, whole, "{value_bytes}");
        }
    }

    #[test]
    fn answers_are_whole_however_they_arrive() {
        let mut answers = Answers::default();
        let bytes = [answer(0), answer(0)].concat();
        let mut found = Vec::new();
        for byte in bytes {
            answers.feed(&[byte]);
            found.extend(answers.next().expect("well-formed"));
        }
        assert_eq!(found, [Answer { correlation_id: 7, base_offset: 1_234 }; 2]);
    }

    #[test]
    fn a_refusal_names_topic_and_code() {
        let mut answers = Answers::default();
        answers.feed(&answer(10));
        let error = format!("{:#}", answers.next().expect_err("refused"));
        assert!(error.contains("t-0 (code 10)"), "{error}");
    }

    #[test]
    fn an_answer_that_is_cut_or_has_a_wrong_length_is_an_error() {
        let whole = answer(0);
        for size in 0..whole.len() - 4 {
            let mut answers = Answers::default();
            answers.feed(&(size as u32).to_be_bytes());
            answers.feed(&whole[4..]);
            assert!(answers.next().is_err(), "{size}");
        }
        let mut answers = Answers::default();
        answers.feed(&u32::MAX.to_be_bytes());
        assert!(answers.next().is_err());
        let mut many = whole;
        many[FIELDS_BEFORE_CODE - 8..FIELDS_BEFORE_CODE - 4].fill(0x7f);
        let mut answers = Answers::default();
        answers.feed(&many);
        assert!(answers.next().is_err());
    }
}
