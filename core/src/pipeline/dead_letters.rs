//! Dead letters: a change that cannot be written as it should goes to a topic of its own, as text.
//!
//! | `errors.tolerance` | `errors.deadletterqueue.topic.name` | a change that cannot be written |
//! |---|---|---|
//! | `none` | | ends the task, which names its document |
//! | `all` | set | is a record there, and its position waits for it like any other |
//! | `all` | empty | ends the task, where Java would drop it |
//!
//! The record has the key and the value that it would have had, each as the relaxed extended JSON of
//! `BsonDocument.toJson()`, a text for the converters. A change that has no such text either ends the
//! task. Transformations see no dead letter: what they failed on stays as it was. What Kafka refuses for its
//! size is none: a larger limit lets it pass. Facts: `StartedMongoSourceTask.createSourceRecord` of the
//! connector.

use std::collections::VecDeque;

use crate::format::Encoder;
use crate::kafka::TopicId;

use super::error::PipelineError;

#[cfg(test)]
mod tests;

/// Where changes go that cannot be written.
#[derive(Clone, Debug)]
pub struct DeadLetterConfig {
    /// `errors.deadletterqueue.topic.name`.
    pub topic: String,
    /// Writes keys: relaxed extended JSON by the key's converter.
    pub key: Encoder,
    /// Writes values: relaxed extended JSON by the value's converter.
    pub value: Encoder,
    /// `errors.log.enable`: each is warned of.
    pub log: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct DeadLetters {
    pub(super) config: DeadLetterConfig,
    pub(super) topic: Option<TopicId>,
    pub(super) count: u64,
    /// What the log should say of the last ones.
    pub(super) said: VecDeque<String>,
}

impl DeadLetters {
    pub(super) fn new(config: DeadLetterConfig) -> Self {
        Self { config, topic: None, count: 0, said: VecDeque::new() }
    }

    /// A change became a dead letter because of `error`.
    pub(super) fn written(&mut self, document: &str, error: &PipelineError) {
        self.count += 1;
        if self.config.log {
            let topic = &self.config.topic;
            self.said.push_back(format!("{error}; {document} went to dead-letter topic {topic}"));
        }
    }

    /// A heartbeat could not be written because of `error`. It carries no change, so nothing is lost.
    pub(super) fn heartbeat_dropped(&mut self, error: &PipelineError) {
        if self.config.log {
            self.said.push_back(format!("{error}; a heartbeat was left out"));
        }
    }
}

/// Whether `error` is about the one change that is taken, whatever comes after it.
pub(super) fn is_of_one_change(error: &PipelineError) -> bool {
    match error {
        PipelineError::Format(_) | PipelineError::Transform(_) | PipelineError::Route(_) => true,
        PipelineError::Session(_)
        | PipelineError::Client(_)
        | PipelineError::Event(_)
        | PipelineError::Change { .. }
        | PipelineError::RecordTooLarge { .. }
        | PipelineError::UnknownPartition { .. }
        | PipelineError::Store(_) => false,
    }
}
