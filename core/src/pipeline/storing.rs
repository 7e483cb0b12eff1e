//! Where positions are stored, and one write at a time.
//!
//! A position goes either to the driver (a file) or into Kafka's offset topic through the same
//! idempotent producer as the records. Only when a write has ended does the next begin, with the
//! newest token there is, so writing clocks itself.

use std::time::{Duration, Instant};

use crate::kafka::{BatchId, NewTopic, TopicId};
use crate::pipeline::PipelineError;
use crate::progress::SafeToken;

/// The topic that holds positions, in Kafka Connect's format.
#[derive(Clone, Debug)]
pub struct OffsetTopic {
    /// `offset.storage.topic`.
    pub name: String,
    /// How it is created when it is missing; compacted.
    pub create: NewTopic,
    /// `["<connector>",{"ns":"<source partition>"}]`, the key of our positions.
    pub key: Vec<u8>,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Nothing,
    ByDriver,
    Batch(BatchId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Storing {
    topic: Option<(TopicId, OffsetTopic)>,
    interval: Duration,
    writing: Writing,
    not_before: Instant,
    has_stored: bool,
    /// Cluster time of the position that is written, and of the one that was stored last. Seconds.
    writing_time: Option<u32>,
    stored_time: Option<u32>,
}

impl Storing {
    pub(super) fn new(
        topic: Option<(TopicId, OffsetTopic)>,
        interval: Duration,
        now: Instant,
    ) -> Self {
        Self {
            topic,
            interval,
            writing: Writing::Nothing,
            not_before: now,
            has_stored: false,
            writing_time: None,
            stored_time: None,
        }
    }

    /// The offset topic and the key of our positions there; `None`: the driver stores.
    pub(super) fn topic_and_key(&self) -> Option<(TopicId, &[u8])> {
        self.topic.as_ref().map(|(id, topic)| (*id, topic.key.as_slice()))
    }

    /// Whether a write may begin at `now`, or `at_once` without regard to the interval.
    pub(super) fn may_begin(&self, now: Instant, at_once: bool) -> bool {
        self.writing == Writing::Nothing && (at_once || self.not_before <= now)
    }

    /// When the write of a position that is safe may begin.
    pub(super) fn deadline(&self, has_safe_token: bool) -> Option<Instant> {
        (has_safe_token && self.writing == Writing::Nothing).then_some(self.not_before)
    }

    /// The topic is not known yet: look again after the interval.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.not_before = now + self.interval;
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing != Writing::Nothing
    }

    /// Whether a position of ours was stored since the start.
    pub(super) fn has_stored(&self) -> bool {
        self.has_stored
    }

    /// Cluster time of the position that was stored last, if it has one. Seconds since the Unix epoch.
    pub(super) fn stored_time(&self) -> Option<u32> {
        self.stored_time
    }

    /// A write of a position of this cluster time has begun.
    pub(super) fn begun(&mut self, writing: Writing, position_time: Option<u32>, now: Instant) {
        self.writing = writing;
        self.writing_time = position_time;
        self.not_before = now + self.interval;
    }

    /// The driver's write has ended.
    pub(super) fn ended(&mut self, stored: bool) {
        self.writing = Writing::Nothing;
        self.has_stored |= stored;
        if stored {
            self.stored_time = self.writing_time;
        }
    }

    /// Whether `batch` carries our position; then its acknowledgement ends the write.
    pub(super) fn acknowledged(&mut self, batch: BatchId) -> bool {
        let ours = self.writing == Writing::Batch(batch);
        if ours {
            self.ended(true);
        }
        ours
    }
}

/// The offset record's value for `token`. Allocates: a store is rare beside events.
pub(super) fn offset_value(token: &SafeToken) -> Result<Vec<u8>, PipelineError> {
    token.offset_value().map_err(|error| PipelineError::Store(error.to_string()))
}
