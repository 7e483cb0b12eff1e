//! Heartbeats: a record while nothing else is written, so that a position reaches Kafka all the same.
//!
//! ```text
//!  batches of the server   ■ ■ □ □ □ □ □ ■ □ □      ■ made records, □ made none
//!  interval                    ├───┤ ├───┤
//!  heartbeats                  ♥     ♥              only if the resume token differs from the last one's
//!
//!  record      topic  heartbeat.topic.name, as it is
//!              key    {"_data": "8264F0…"}, a text, by the key's converter
//!              value  null that may be bytes, by the value's converter
//!  position    {"_id":"{\"_data\": \"8264F0…\"}","HEARTBEAT":"true"}
//! ```
//!
//! The first batch without records is followed by one at once. Facts: the connector's
//! `HeartbeatManager`.

use std::time::{Duration, Instant};

use super::error::PipelineError;
use super::outbound::Outbound;
use crate::format::Encoder;
use crate::mongo::bson::RawDoc;

#[cfg(test)]
mod tests;

/// How heartbeats are written.
#[derive(Clone, Debug)]
pub struct HeartbeatConfig {
    /// `heartbeat.topic.name`.
    pub topic: String,
    /// `heartbeat.interval.ms`: more than this lies between two.
    pub interval: Duration,
    /// Writes the token: relaxed extended JSON by the key's converter; where there are transformations, as text.
    pub key: Encoder,
    /// What the value's converter makes of the null.
    pub value: Option<&'static [u8]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Heartbeats {
    config: HeartbeatConfig,
    /// When one was last considered.
    last: Option<Instant>,
    /// The token of the last one.
    token: Vec<u8>,
    /// The encoded key, kept for its memory.
    key: Vec<u8>,
    /// Records made before the batch that is being taken.
    records_before: u64,
    /// One is due and waits for its topic.
    waiting: bool,
}

impl Heartbeats {
    pub(super) fn new(config: HeartbeatConfig) -> Self {
        Self {
            config,
            last: None,
            token: Vec::new(),
            key: Vec::new(),
            records_before: 0,
            waiting: false,
        }
    }

    /// A batch of the server has ended, and `token` stands behind it.
    pub(super) fn batch_ended(
        &mut self,
        token: &[u8],
        outbound: &mut Outbound,
        now: Instant,
        unix_ms: i64,
    ) -> Result<(), PipelineError> {
        let is_idle = self.records_before == outbound.records();
        self.records_before = outbound.records();
        let is_early = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) <= self.config.interval);
        if !is_idle || is_early {
            self.waiting &= is_idle;
            return self.write_if_waiting(token, outbound, unix_ms);
        }
        self.last = Some(now);
        self.waiting = token != self.token;
        self.write_if_waiting(token, outbound, unix_ms)
    }

    /// Writes the one that waits for its topic, if there is one and the topic is known by now.
    pub(super) fn write_if_waiting(
        &mut self,
        token: &[u8],
        outbound: &mut Outbound,
        unix_ms: i64,
    ) -> Result<(), PipelineError> {
        if !self.waiting || self.records_before != outbound.records() {
            return Ok(());
        }
        let HeartbeatConfig { topic, key: encoder, value, interval: _ } = &self.config;
        let document = RawDoc::new(token).map_err(PipelineError::Event)?;
        self.key.clear();
        encoder.encode(document, &mut self.key).map_err(PipelineError::Format)?;
        let is_written = match outbound.maker.transforms() {
            None => outbound.write_heartbeat(topic, &self.key, *value, unix_ms)?,
            Some(_) => outbound.write_transformed_heartbeat(topic, &self.key, unix_ms)?,
        };
        if !is_written {
            return Ok(());
        }
        outbound.progress.mark_heartbeat(token);
        self.waiting = false;
        self.token.clear();
        self.token.extend_from_slice(token);
        Ok(())
    }
}
