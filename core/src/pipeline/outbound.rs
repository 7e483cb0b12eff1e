//! From an event to the open batch: everything of a pipeline that lies behind the stream.

use super::error::PipelineError;
use super::records::{Record, RecordMaker, Value};
use crate::format::FormatError;
use crate::kafka::{AppendError, Client, NewTopic, TopicId, partitioner};
use crate::mongo::bson::RawDoc;
use crate::progress::Progress;
use crate::route::TopicIndex;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Taken {
    /// Its record is in a batch, or it makes none.
    Done,
    /// Its topic is not known yet; nothing was written.
    TopicNotReady,
}

/// Apart from the session, since an event borrows from that.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) client: Client,
    pub(super) maker: RecordMaker,
    pub(super) progress: Progress,
    create_topics: Option<NewTopic>,
    /// By [`TopicIndex`].
    topics: Vec<TopicId>,
    /// An event that waits for its topic; the only event that is ever copied whole.
    waiting: Vec<u8>,
}

impl Outbound {
    pub(super) fn new(client: Client, maker: RecordMaker, create_topics: Option<NewTopic>) -> Self {
        Self {
            client,
            maker,
            progress: Progress::default(),
            create_topics,
            topics: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes the next event of the stream.
    pub(super) fn take(&mut self, event: RawDoc<'_>, unix_ms: i64) -> Result<Taken, PipelineError> {
        self.progress.event_taken();
        let taken = self.write(event, unix_ms)?;
        if taken == Taken::TopicNotReady {
            self.waiting.extend_from_slice(event.as_bytes());
        }
        Ok(taken)
    }

    /// Tries again with the event that waits for its topic, if there is one.
    pub(super) fn retry_waiting(&mut self, unix_ms: i64) -> Result<Taken, PipelineError> {
        if self.waiting.is_empty() {
            return Ok(Taken::Done);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let event = RawDoc::new(&waiting).map_err(PipelineError::Event)?;
        let taken = self.write(event, unix_ms)?;
        if taken == Taken::TopicNotReady {
            self.waiting = waiting;
        }
        Ok(taken)
    }

    /// Drops the event that waits for its topic. `true` if there was one: no mark may be set behind
    /// it any more.
    pub(super) fn forget_waiting(&mut self) -> bool {
        let waited = !self.waiting.is_empty();
        self.waiting.clear();
        waited
    }

    fn write(&mut self, event: RawDoc<'_>, unix_ms: i64) -> Result<Taken, PipelineError> {
        let Some(Record { topic: index, value }) = self.maker.make(event)? else {
            return Ok(Taken::Done);
        };
        let topic = self.topic(index);
        let Some(facts) = self.client.topic_ready(topic) else {
            return Ok(Taken::TopicNotReady);
        };
        let key = self.maker.key();
        let partition = partitioner::partition_for_key(key, facts.partitions);
        let appended = match value {
            Value::Document(document) => {
                let hint = self.maker.value_size_hint(document);
                let maker = &self.maker;
                let mut outcome: Result<(), FormatError> = Ok(());
                let appended =
                    self.client.append(topic, partition, Some(key), unix_ms, hint, |out| {
                        outcome = maker.encode_value(document, out);
                    });
                outcome.map_err(PipelineError::Format)?;
                appended
            }
            Value::Tombstone => self.client.append_null(topic, partition, Some(key), unix_ms),
        };
        let appended = appended.map_err(|error| self.refused(error, index))?;
        if appended.opened {
            self.progress.batch_opened(appended.batch);
        }
        Ok(Taken::Done)
    }

    /// The client's id of a topic; asks for the topic the first time.
    fn topic(&mut self, index: TopicIndex) -> TopicId {
        if let Some(&topic) = self.topics.get(index.index()) {
            return topic;
        }
        // Indices are given out in order, so the next one is at the end.
        let topic = self.client.topic(self.maker.topic_name(index), self.create_topics.as_ref());
        self.topics.push(topic);
        topic
    }

    fn refused(&self, error: AppendError, topic: TopicIndex) -> PipelineError {
        let name = self.maker.topic_name(topic);
        match error {
            AppendError::UnknownPartition { partition } => {
                PipelineError::UnknownPartition { topic: name.to_owned(), partition }
            }
            AppendError::RecordTooLarge { record_bytes, bytes_max } => {
                PipelineError::RecordTooLarge {
                    topic: name.to_owned(),
                    record_bytes,
                    bytes_max,
                    key: String::from_utf8_lossy(self.maker.key()).chars().take(200).collect(),
                }
            }
        }
    }
}
