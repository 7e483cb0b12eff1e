//! Two things that the rig asks of a broker and that its client library cannot: a topic with settings, and the time at
//! which the broker appended a batch.
//!
//! ```text
//! request   length i32 │ api i16 │ version i16 │ correlation i32 │ client id │ body
//! response  length i32 │ correlation i32 │ body                                   all big endian
//!
//! CreateTopics (19) v4   with settings: rskafka sends none
//! Fetch (1) v4           only the heads of batches are read:
//!     base offset i64 │ length i32 │ epoch i32 │ magic i8 │ crc u32 │ attributes i16 │ last delta i32
//!     │ base time i64 │ max time i64 │ … │ count i32
//! ```
//!
//! In a topic with `message.timestamp.type=LogAppendTime` the broker writes its own clock into `max time` and leaves
//! `base time` alone, so the producer's clock plays no part. Times are ms since 1970.
//!
//! One blocking connection to one broker, which must lead the partitions asked for. No retries.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::wire::{Reader, Writer};

const CREATE_TOPICS: (i16, i16) = (19, 4);
const FETCH: (i16, i16) = (1, 4);
const CLIENT_ID: &[u8] = b"millrace-bench";
const TIMEOUT: Duration = Duration::from_secs(30);
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Asked for in one request when many batches are wanted.
const FETCH_BYTES: i32 = 8 << 20;
/// Offset and length, which the length does not count.
const BEFORE_LENGTH_COUNTS: usize = 8 + 4;
/// `LogAppendTime` in the attributes of a batch.
const ATTRIBUTE_APPEND_TIME: i16 = 1 << 3;

/// A connection to one broker.
#[derive(Debug)]
pub struct KafkaAdmin {
    stream: TcpStream,
    correlation_id: i32,
}

/// The head of one batch in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// When the broker appended it, ms since 1970.
    pub appended_ms: i64,
    /// Records in it.
    pub records: u32,
    /// The offset of its last record, from its own.
    pub last_delta: u32,
}

impl KafkaAdmin {
    /// Connects to the first address of `bootstrap`.
    pub fn connect(bootstrap: &str) -> Result<Self> {
        let address = bootstrap.split(',').next().unwrap_or(bootstrap).trim();
        let stream = TcpStream::connect(address)
            .with_context(|| format!("could not connect to the broker at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Creates a topic with `settings`, one replica per partition.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let mut body = Writer::default();
        body.i32(1)
            .string(Some(name.as_bytes()), false)
            .i32(partitions)
            .i16(1)
            .i32(0)
            .i32(settings.len() as i32);
        for (key, value) in settings {
            body.string(Some(key.as_bytes()), false).string(Some(value.as_bytes()), false);
        }
        body.i32(TIMEOUT.as_millis() as i32).i8(0);
        let response = self.ask(CREATE_TOPICS, &body.0)?;
        let mut response = Reader(&response);
        response.i32()?; // throttled, ms
        ensure!(response.i32()? == 1, "the broker answered for another number of topics");
        response.string(false)?;
        let code = response.i16()?;
        let reason = response.string(false)?;
        ensure!(
            code == 0,
            "could not create topic {name}: {} (code {code})",
            String::from_utf8_lossy(reason.unwrap_or_default())
        );
        Ok(())
    }

    /// The head of the batch that holds `offset`. `None` if the log ends before it.
    pub fn batch_at(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Option<BatchHead>> {
        // One byte is asked for; a broker sends at least one whole batch.
        read_batch_head(&self.fetch(topic, partition, offset, 1)?)
    }

    /// Offset and head of every batch that holds one of these offsets.
    ///
    /// # Errors
    /// When the log ends before the last of them.
    pub fn batches_in(
        &mut self,
        topic: &str,
        partition: i32,
        offsets: RangeInclusive<i64>,
    ) -> Result<Vec<(i64, BatchHead)>> {
        let mut heads: Vec<(i64, BatchHead)> = Vec::new();
        let mut next = *offsets.start();
        while next <= *offsets.end() {
            let records = self.fetch(topic, partition, next, FETCH_BYTES)?;
            let before = heads.len();
            for batch in whole_batches(&records) {
                let offset = Reader(batch).i64()?;
                let head = read_batch_head(batch)?.context("a batch is empty")?;
                if next <= offset + i64::from(head.last_delta) && offset <= *offsets.end() {
                    next = offset + i64::from(head.last_delta) + 1;
                    heads.push((offset, head));
                }
            }
            ensure!(
                before < heads.len(),
                "the log of {topic}-{partition} ends at {next}, before {}",
                offsets.end()
            );
        }
        Ok(heads)
    }

    /// Batches from that which holds `offset` on, about so many bytes. The last may be cut.
    fn fetch(&mut self, topic: &str, partition: i32, offset: i64, bytes: i32) -> Result<Vec<u8>> {
        let mut body = Writer::default();
        body.i32(-1).i32(0).i32(1).i32(bytes).i8(0);
        body.i32(1).string(Some(topic.as_bytes()), false);
        body.i32(1).i32(partition).i64(offset).i32(bytes);
        let response = self.ask(FETCH, &body.0)?;
        let mut response = Reader(&response);
        response.i32()?; // throttled, ms
        ensure!(response.i32()? == 1, "the broker answered for another number of topics");
        response.string(false)?;
        ensure!(response.i32()? == 1, "the broker answered for another number of partitions");
        response.i32()?; // the partition
        let code = response.i16()?;
        ensure!(code == 0, "could not fetch {topic}-{partition} at {offset} (code {code})");
        response.take(16)?; // high watermark, last stable offset
        for _ in 0..response.i32()?.max(0) {
            response.take(16)?; // aborted transactions
        }
        let records_bytes = response.i32()?.max(0) as usize;
        Ok(response.0.get(..records_bytes).unwrap_or(response.0).to_vec())
    }

    fn ask(&mut self, (api, version): (i16, i16), body: &[u8]) -> Result<Vec<u8>> {
        self.correlation_id += 1;
        let mut head = Writer::default();
        head.i16(api).i16(version).i32(self.correlation_id).string(Some(CLIENT_ID), false);
        let mut request = Writer::default();
        request.i32((head.0.len() + body.len()) as i32);
        request.0.extend_from_slice(&head.0);
        request.0.extend_from_slice(body);
        self.stream.write_all(&request.0).context("could not send to the broker")?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("the broker did not answer")?;
        let length = u32::from_be_bytes(length) as usize;
        ensure!((4..=RESPONSE_BYTES_MAX).contains(&length), "the broker sent {length} bytes");
        let mut response = vec![0; length];
        self.stream.read_exact(&mut response).context("the broker's answer was cut")?;
        let correlation_id = Reader(&response).i32()?;
        ensure!(correlation_id == self.correlation_id, "the broker answered another request");
        response.drain(..4);
        Ok(response)
    }
}

/// The batches of a reply, without one that is cut.
fn whole_batches(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = Reader(records.get(8..)?).i32().ok()?;
        let bytes = BEFORE_LENGTH_COUNTS + usize::try_from(length).ok()?;
        let (batch, rest) = records.split_at_checked(bytes)?;
        records = rest;
        Some(batch)
    })
}

fn read_batch_head(records: &[u8]) -> Result<Option<BatchHead>> {
    if records.is_empty() {
        return Ok(None);
    }
    let mut batch = Reader(records);
    batch.take(8 + 4 + 4)?;
    let magic = batch.take(1)?;
    ensure!(magic == [2], "a batch has format {magic:?}, not 2");
    batch.take(4)?;
    let attributes = batch.i16()?;
    if attributes & ATTRIBUTE_APPEND_TIME == 0 {
        bail!("the topic does not keep append times: set message.timestamp.type=LogAppendTime");
    }
    let last_delta = batch.i32()?.max(0) as u32;
    batch.take(8)?;
    let appended_ms = batch.i64()?;
    batch.take(8 + 2 + 4)?;
    Ok(Some(BatchHead { appended_ms, records: batch.i32()?.max(0) as u32, last_delta }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(attributes: i16) -> Vec<u8> {
        let mut batch = Writer::default();
        batch.i64(0).i32(100).i32(0).i8(2).i32(7).i16(attributes).i32(4);
        batch.i64(1_000).i64(2_000).i64(-1).i16(-1).i32(-1).i32(5);
        batch.0
    }

    #[test]
    fn the_append_time_is_the_largest_time_of_the_batch() {
        let head = read_batch_head(&batch(ATTRIBUTE_APPEND_TIME)).expect("whole");
        assert_eq!(head, Some(BatchHead { appended_ms: 2_000, records: 5, last_delta: 4 }));
    }

    #[test]
    fn a_batch_that_is_cut_is_left_for_the_next_request() {
        let mut whole = batch(ATTRIBUTE_APPEND_TIME);
        let length = (whole.len() - BEFORE_LENGTH_COUNTS) as i32;
        whole[8..12].copy_from_slice(&length.to_be_bytes());
        let two = [whole.clone(), whole.clone()].concat();
        for end in 0..=two.len() {
            let batches: Vec<_> = whole_batches(&two[..end]).collect();
            assert_eq!(batches.len(), end / whole.len(), "{end}");
            assert!(batches.iter().all(|batch| *batch == whole));
        }
    }

    #[test]
    fn a_topic_with_producer_times_is_refused() {
        let error = read_batch_head(&batch(0)).expect_err("refused").to_string();
        assert!(error.contains("message.timestamp.type=LogAppendTime"), "{error}");
    }

    #[test]
    fn a_head_that_is_cut_is_an_error_at_every_byte() {
        let batch = batch(ATTRIBUTE_APPEND_TIME);
        assert_eq!(read_batch_head(&[]).expect("an empty log is fine"), None);
        for end in 1..batch.len() {
            assert!(read_batch_head(&batch[..end]).is_err(), "{end}");
        }
    }
}
