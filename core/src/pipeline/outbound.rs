//! From an event to the open batch: everything of a pipeline that lies behind the stream.
//!
//! ```text
//!  event ─► record ─────────────────────────► batch of its topic
//!             └─ transformed, where that is wanted ──┘
//!             └─ cannot be written ─► dead letter ─► batch of the dead-letter topic
//!                                        └─ none here, or no text either ─► the task ends
//! ```
//!
//! A record that transformations drop was made all the same: it counts, and its batch is no idle time.

use super::dead_letters::{DeadLetterConfig, DeadLetters, is_of_one_change};
use super::error::PipelineError;
use super::records::{Record, RecordMaker, Transformed, Value};
use super::transformed::{Produced, TransformConfig};
use crate::event::ChangeEvent;
use crate::format::EncodeError;
use crate::kafka::partitioner::{self, Sticky};
use crate::kafka::{AppendError, Appended, Client, NewTopic, TopicId};
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
    /// By [`TopicIndex`]; `None` if it was not asked for.
    topics: Vec<Option<TopicId>>,
    /// An event that waits for its topic; the only event that is ever copied whole.
    waiting: Vec<u8>,
    dead_letters: Option<DeadLetters>,
    keyless: Sticky,
    /// Bytes of the events taken, as BSON.
    event_bytes: u64,
    /// Records of events, dead letters and filtered ones included.
    records: u64,
    /// Heartbeats, filtered ones included: they are numbered like events, so that positions wait for them.
    heartbeats: u64,
    /// Records and heartbeats that transformations have dropped.
    filtered: u64,
}

impl Outbound {
    pub(super) fn new(
        client: Client,
        maker: RecordMaker,
        create_topics: Option<NewTopic>,
        dead_letters: Option<DeadLetterConfig>,
    ) -> Self {
        Self {
            client,
            maker,
            progress: Progress::default(),
            create_topics,
            topics: Vec::new(),
            waiting: Vec::new(),
            dead_letters: dead_letters.map(DeadLetters::new),
            keyless: Sticky::default(),
            event_bytes: 0,
            records: 0,
            heartbeats: 0,
            filtered: 0,
        }
    }

    /// Takes the next event of the stream.
    pub(super) fn take(&mut self, event: RawDoc<'_>, unix_ms: i64) -> Result<Taken, PipelineError> {
        self.progress.event_taken();
        self.event_bytes += event.as_bytes().len() as u64;
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

    /// Events taken from the stream.
    pub(super) fn events(&self) -> u64 {
        self.progress.events().saturating_sub(self.heartbeats)
    }

    /// Bytes of the events taken from the stream, as BSON.
    pub(super) fn event_bytes(&self) -> u64 {
        self.event_bytes
    }

    /// Heartbeats made.
    pub(super) fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// Of records and heartbeats, those that transformations have dropped.
    pub(super) fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Records that events have made.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Changes that became dead letters.
    pub(super) fn dead_letter_count(&self) -> u64 {
        self.dead_letters.as_ref().map_or(0, |letters| letters.count)
    }

    /// What a log should say of a dead letter.
    pub(super) fn next_said(&mut self) -> Option<String> {
        self.dead_letters.as_mut()?.said.pop_front()
    }

    fn write(&mut self, event: RawDoc<'_>, unix_ms: i64) -> Result<Taken, PipelineError> {
        match self.write_record(event, unix_ms) {
            Err(error) if is_of_one_change(&error) => self.write_dead_letter(event, error, unix_ms),
            other => other,
        }
    }

    fn write_record(&mut self, event: RawDoc<'_>, unix_ms: i64) -> Result<Taken, PipelineError> {
        if self.maker.transforms().is_some() {
            return self.write_transformed(event, unix_ms);
        }
        let Some(Record { topic: index, value, made_at_ms }) = self.maker.make(event)? else {
            return Ok(Taken::Done);
        };
        let topic = self.topic(index);
        let Some(facts) = self.client.topic_ready(topic) else {
            return Ok(Taken::TopicNotReady);
        };
        let partition = partitioner::partition_for_key(self.maker.key(), facts.partitions);
        let appended = match value {
            Value::Document(document) if self.dead_letters.is_some() => {
                // A batch keeps what was begun in it, so what may fail is encoded before.
                self.maker.encode_value_apart(document).map_err(PipelineError::Format)?;
                let (key, value) = self.maker.key_and_scratch();
                append(&mut self.client, topic, partition, key, Some(value), unix_ms)
            }
            Value::Document(document) => {
                let hint = self.maker.value_size_hint(document);
                let maker = &self.maker;
                let key = Some(maker.key());
                let mut outcome: Result<(), EncodeError> = Ok(());
                let appended = self.client.append(topic, partition, key, unix_ms, hint, |out| {
                    outcome = maker.encode_value(document, out);
                });
                outcome.map_err(PipelineError::Format)?;
                appended
            }
            Value::Tombstone => {
                append(&mut self.client, topic, partition, self.maker.key(), None, unix_ms)
            }
        };
        let name = self.maker.topic_name(index);
        let appended = appended.map_err(|error| refused(error, name, self.maker.key()))?;
        self.note(appended, || made_at_ms);
        Ok(Taken::Done)
    }

    fn write_transformed(
        &mut self,
        event: RawDoc<'_>,
        unix_ms: i64,
    ) -> Result<Taken, PipelineError> {
        let produced = match self.maker.make_transformed(event)? {
            Transformed::Produced(produced) => produced,
            Transformed::Filtered => {
                self.records += 1;
                self.filtered += 1;
                return Ok(Taken::Done);
            }
            Transformed::NoRecord => return Ok(Taken::Done),
        };
        let Some(appended) = self.append_produced(&produced, unix_ms)? else {
            return Ok(Taken::TopicNotReady);
        };
        self.note(appended, || made_at_ms(event));
        Ok(Taken::Done)
    }

    /// Appends a record that transformations have made, if its topic is known.
    fn append_produced(
        &mut self,
        Produced { topic: name, key, value, headers }: &Produced,
        unix_ms: i64,
    ) -> Result<Option<Appended>, PipelineError> {
        let topic = self.client.topic(name, self.create_topics.as_ref());
        let Some(facts) = self.client.topic_ready(topic) else { return Ok(None) };
        let (key, value) = (key.as_deref(), value.as_deref());
        let partition = match key {
            Some(key) => partitioner::partition_for_key(key, facts.partitions),
            None => self.keyless.partition(topic, facts.partitions),
        };
        let appended = self
            .client
            .append_encoded(topic, partition, key, unix_ms, value, headers)
            .map_err(|error| refused(error, name, key.unwrap_or_default()))?;
        if key.is_none() && appended.opened {
            self.keyless.batch_opened(topic);
        }
        Ok(Some(appended))
    }

    /// Writes a heartbeat that the transformations have seen, if its topic is known. `false`: it is not, yet.
    pub(super) fn write_transformed_heartbeat(
        &mut self,
        topic: &str,
        key: &[u8],
        unix_ms: i64,
    ) -> Result<bool, PipelineError> {
        let Some(transforms) = self.maker.transforms() else { return Ok(true) };
        let key = String::from_utf8_lossy(key).into_owned();
        let produced = match transforms.produce(TransformConfig::heartbeat(topic, key), topic) {
            Ok(Some(produced)) => produced,
            Ok(None) => {
                self.note_filtered_heartbeat();
                return Ok(true);
            }
            Err(error) => match &mut self.dead_letters {
                Some(letters) if is_of_one_change(&error) => {
                    letters.heartbeat_dropped(&error);
                    self.note_filtered_heartbeat();
                    return Ok(true);
                }
                Some(_) | None => return Err(error),
            },
        };
        let Some(appended) = self.append_produced(&produced, unix_ms)? else { return Ok(false) };
        self.note_heartbeat(appended);
        Ok(true)
    }

    /// Writes `event` to the dead-letter topic, or fails with `error` and the name of the document.
    fn write_dead_letter(
        &mut self,
        event: RawDoc<'_>,
        error: PipelineError,
        unix_ms: i64,
    ) -> Result<Taken, PipelineError> {
        let document = self.maker.describe(event);
        let Some(letters) = &mut self.dead_letters else {
            return Err(PipelineError::Change { document, error: Box::new(error) });
        };
        if self.maker.make_dead_letter(event, &letters.config).is_err() {
            return Err(PipelineError::Change { document, error: Box::new(error) });
        }
        let name = letters.config.topic.as_str();
        let client = &mut self.client;
        let created = self.create_topics.as_ref();
        let topic = *letters.topic.get_or_insert_with(|| client.topic(name, created));
        let Some(facts) = client.topic_ready(topic) else { return Ok(Taken::TopicNotReady) };
        let (key, value) = self.maker.key_and_scratch();
        let partition = partitioner::partition_for_key(key, facts.partitions);
        let appended = append(client, topic, partition, key, Some(value), unix_ms)
            .map_err(|error| refused(error, name, key))?;
        letters.written(&document, &error);
        self.note(appended, || made_at_ms(event));
        Ok(Taken::Done)
    }

    /// Writes a heartbeat if its topic is known. `false`: it is not, yet.
    pub(super) fn write_heartbeat(
        &mut self,
        name: &str,
        key: &[u8],
        value: Option<&[u8]>,
        unix_ms: i64,
    ) -> Result<bool, PipelineError> {
        let topic = self.client.topic(name, self.create_topics.as_ref());
        let Some(facts) = self.client.topic_ready(topic) else { return Ok(false) };
        let partition = partitioner::partition_for_key(key, facts.partitions);
        let appended = append(&mut self.client, topic, partition, key, value, unix_ms)
            .map_err(|error| refused(error, name, key))?;
        self.note_heartbeat(appended);
        Ok(true)
    }

    fn note_filtered_heartbeat(&mut self) {
        self.heartbeats += 1;
        self.filtered += 1;
        self.progress.event_taken();
    }

    fn note_heartbeat(&mut self, appended: Appended) {
        self.heartbeats += 1;
        self.progress.event_taken();
        if appended.opened {
            self.progress.batch_opened(appended.batch, None);
        }
    }

    /// Notes the record of the event taken last. When its change was made is asked for the first one of a batch only.
    fn note(&mut self, appended: Appended, made_at_ms: impl FnOnce() -> Option<i64>) {
        self.records += 1;
        if appended.opened {
            self.progress.batch_opened(appended.batch, made_at_ms());
        }
    }

    /// The client's id of a topic; asks for the topic the first time.
    fn topic(&mut self, index: TopicIndex) -> TopicId {
        if let Some(&Some(topic)) = self.topics.get(index.index()) {
            return topic;
        }
        let topic = self.client.topic(self.maker.topic_name(index), self.create_topics.as_ref());
        // A change whose key cannot be written was routed, and never asked for its topic.
        if self.topics.len() <= index.index() {
            self.topics.resize(index.index() + 1, None);
        }
        if let Some(place) = self.topics.get_mut(index.index()) {
            *place = Some(topic);
        }
        topic
    }
}

/// When the change was made, of an event whose record was not made from its parts.
fn made_at_ms(event: RawDoc<'_>) -> Option<i64> {
    ChangeEvent::parse(event).ok()?.made_at_ms()
}

/// Appends a record that is encoded already.
fn append(
    client: &mut Client,
    topic: TopicId,
    partition: u32,
    key: &[u8],
    value: Option<&[u8]>,
    unix_ms: i64,
) -> Result<Appended, AppendError> {
    match value {
        Some(value) => client.append(topic, partition, Some(key), unix_ms, value.len(), |out| {
            out.extend_from_slice(value);
        }),
        None => client.append_null(topic, partition, Some(key), unix_ms),
    }
}

fn refused(error: AppendError, topic: &str, key: &[u8]) -> PipelineError {
    match error {
        AppendError::UnknownPartition { partition } => {
            PipelineError::UnknownPartition { topic: topic.to_owned(), partition }
        }
        AppendError::RecordTooLarge { record_bytes, bytes_max } => PipelineError::RecordTooLarge {
            topic: topic.to_owned(),
            record_bytes,
            bytes_max,
            key: String::from_utf8_lossy(key).chars().take(200).collect(),
        },
    }
}
