//! The record that an event makes: topic, key and value by the connector's rules.
//!
//! | setting | insert, replace, update with document | update without, delete, other |
//! |---|---|---|
//! | [`Publish::Event`] | the whole event | the whole event |
//! | [`Publish::FullDocument`] | `fullDocument` | nothing, or a tombstone where there is no such field |
//!
//! The key is `documentKey`, or `{_id: <resume token>}` where there is none or where it is not
//! wanted; a schema for keys is given the whole event. An event without `ns.db`, or one whose topic
//! is mapped to nothing, makes no record. Facts: the connector's
//! `StartedMongoSourceTask.createSourceRecord`.

use crate::event::ChangeEvent;
use crate::format::{EncodeError, Encoder, JsonFormatter};
use crate::mongo::bson::{RawDoc, RawValue};
use crate::mongo::bson_write::write_document;
use crate::pipeline::dead_letters::DeadLetterConfig;
use crate::pipeline::error::PipelineError;
use crate::pipeline::transformed::{Produced, TransformConfig};
use crate::route::{Router, TopicIndex};

/// What of an event becomes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// The event as the server sent it.
    Event,
    /// Its `fullDocument` (`publish.full.document.only`).
    FullDocument {
        /// A null value where the event has no `fullDocument` field at all.
        tombstone_on_delete: bool,
    },
}

/// What of an event the key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDocument {
    /// `documentKey`; the resume token where an event has none.
    DocumentKey,
    /// The resume token.
    Token,
    /// The whole event, for `output.format.key=schema`.
    Event,
}

/// How events become records.
#[derive(Debug)]
pub struct RecordConfig {
    /// Writes keys.
    pub key: Encoder,
    /// Writes values.
    pub value: Encoder,
    /// What becomes the value.
    pub publish: Publish,
    /// What keys are made of (`change.stream.document.key.as.key`).
    pub key_document: KeyDocument,
    /// Names topics.
    pub router: Router,
    /// What changes the records; `None`: nothing does, and they are written straight into batches.
    pub transforms: Option<Box<TransformConfig>>,
}

/// The value of a record, still in the bytes of its event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Document(RawDoc<'a>),
    Tombstone,
}

/// The record of an event; its key lies in the [`RecordMaker`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) topic: TopicIndex,
    pub(super) value: Value<'a>,
    /// When the change was made, in milliseconds since the Unix epoch.
    pub(super) made_at_ms: Option<i64>,
}

/// What becomes of an event where there are transformations.
#[derive(Debug)]
pub(super) enum Transformed {
    Produced(Produced),
    /// It made a record, and the chain dropped that.
    Filtered,
    /// It makes none, so the chain has seen nothing.
    NoRecord,
}

/// Makes records, one at a time, without allocating.
#[derive(Debug)]
pub(super) struct RecordMaker {
    config: RecordConfig,
    /// The encoded key of the record made last.
    key: Vec<u8>,
    /// Room for a key document that no event holds.
    key_document: Vec<u8>,
    /// Room for a value that is encoded before it is put into a batch.
    scratch: Vec<u8>,
    /// Writes keys for people.
    describer: Encoder,
}

impl RecordMaker {
    pub(super) fn new(config: RecordConfig) -> Self {
        Self {
            config,
            key: Vec::new(),
            key_document: Vec::new(),
            scratch: Vec::new(),
            describer: Encoder::text(JsonFormatter::Relaxed),
        }
    }

    /// The record of `event`; `None` if it makes none.
    pub(super) fn make<'a>(
        &mut self,
        event: RawDoc<'a>,
    ) -> Result<Option<Record<'a>>, PipelineError> {
        let change = ChangeEvent::parse(event).map_err(PipelineError::Event)?;
        let Some(value) = self.value(event, &change) else { return Ok(None) };
        let Some(database) = change.database else { return Ok(None) };
        let topic = self.config.router.route(database, change.collection)?;
        let Some(topic) = topic else { return Ok(None) };
        self.encode_key(event, &change)?;
        Ok(Some(Record { topic, value, made_at_ms: change.made_at_ms() }))
    }

    /// What changes the records, if anything does.
    pub(super) fn transforms(&self) -> Option<&TransformConfig> {
        self.config.transforms.as_deref()
    }

    /// The record of `event` behind the transformations.
    pub(super) fn make_transformed(
        &mut self,
        event: RawDoc<'_>,
    ) -> Result<Transformed, PipelineError> {
        let change = ChangeEvent::parse(event).map_err(PipelineError::Event)?;
        let Some(value) = self.value(event, &change) else { return Ok(Transformed::NoRecord) };
        let Some(database) = change.database else { return Ok(Transformed::NoRecord) };
        let topic = self.config.router.route(database, change.collection)?;
        let (Some(topic), Some(transforms)) = (topic, &self.config.transforms) else {
            return Ok(Transformed::NoRecord);
        };
        let which = self.config.key_document;
        let key = key_document(which, event, &change, &mut self.key_document)?;
        let value = match value {
            Value::Document(document) => Some(document),
            Value::Tombstone => None,
        };
        let topic = self.config.router.name(topic);
        let record = transforms.record(topic, key, value).map_err(PipelineError::Format)?;
        let parts = [Some(database), change.collection];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::from_utf8_lossy).collect();
        let produced = transforms.produce(record, &parts.join("."))?;
        Ok(produced.map_or(Transformed::Filtered, Transformed::Produced))
    }

    /// The key of the record made last.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The key, and the value that was encoded apart.
    pub(super) fn key_and_scratch(&self) -> (&[u8], &[u8]) {
        (&self.key, &self.scratch)
    }

    pub(super) fn topic_name(&self, topic: TopicIndex) -> &str {
        self.config.router.name(topic)
    }

    /// A namespace whose changes make no record, said once.
    pub(super) fn next_unrouted(&mut self) -> Option<String> {
        self.config.router.next_unrouted()
    }

    pub(super) fn value_size_hint(&self, document: RawDoc<'_>) -> usize {
        self.config.value.size_hint(document)
    }

    pub(super) fn encode_value(
        &self,
        document: RawDoc<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.config.value.encode(document, out)
    }

    fn value<'a>(&self, event: RawDoc<'a>, change: &ChangeEvent<'a>) -> Option<Value<'a>> {
        match self.config.publish {
            Publish::Event => Some(Value::Document(event)),
            Publish::FullDocument { tombstone_on_delete } => match change.full_document {
                Some(RawValue::Document(document)) => Some(Value::Document(document)),
                Some(_) => None,
                None => tombstone_on_delete.then_some(Value::Tombstone),
            },
        }
    }

    fn encode_key(
        &mut self,
        event: RawDoc<'_>,
        change: &ChangeEvent<'_>,
    ) -> Result<(), PipelineError> {
        let which = self.config.key_document;
        let key = key_document(which, event, change, &mut self.key_document)?;
        self.key.clear();
        self.config.key.encode(key, &mut self.key).map_err(PipelineError::Format)
    }

    /// Key and value of `event` as a dead letter has them, for [`RecordMaker::key_and_scratch`].
    pub(super) fn make_dead_letter(
        &mut self,
        event: RawDoc<'_>,
        letters: &DeadLetterConfig,
    ) -> Result<(), PipelineError> {
        const EMPTY: &[u8] = &[5, 0, 0, 0, 0];
        let change = ChangeEvent::parse(event).map_err(PipelineError::Event)?;
        let which = self.config.key_document;
        let key = key_document(which, event, &change, &mut self.key_document)?;
        self.key.clear();
        letters.key.encode(key, &mut self.key).map_err(PipelineError::Format)?;
        let document = match self.value(event, &change) {
            Some(Value::Document(document)) => document,
            Some(Value::Tombstone) | None => RawDoc::new(EMPTY).map_err(PipelineError::Event)?,
        };
        self.scratch.clear();
        letters.value.encode(document, &mut self.scratch).map_err(PipelineError::Format)
    }

    /// The key of `event` for people: at most 200 characters.
    pub(super) fn describe(&mut self, event: RawDoc<'_>) -> String {
        // A key of the whole event would name everything but the document.
        let which = match self.config.key_document {
            KeyDocument::Event => KeyDocument::DocumentKey,
            KeyDocument::DocumentKey | KeyDocument::Token => self.config.key_document,
        };
        let described =
            ChangeEvent::parse(event).map_err(PipelineError::Event).and_then(|change| {
                let key = key_document(which, event, &change, &mut self.key_document)?;
                self.key.clear();
                self.describer.encode(key, &mut self.key).map_err(PipelineError::Format)
            });
        match described {
            Ok(()) => String::from_utf8_lossy(&self.key).chars().take(200).collect(),
            Err(_) => "a document whose key has no text".to_owned(),
        }
    }

    /// The encoded value of a document, before it is put anywhere: what fails leaves nothing behind.
    pub(super) fn encode_value_apart(&mut self, document: RawDoc<'_>) -> Result<(), EncodeError> {
        self.scratch.clear();
        self.config.value.encode(document, &mut self.scratch)
    }
}

/// What the key of `event` is made of. `room` holds what no event does.
#[inline]
fn key_document<'a>(
    which: KeyDocument,
    event: RawDoc<'a>,
    change: &ChangeEvent<'a>,
    room: &'a mut Vec<u8>,
) -> Result<RawDoc<'a>, PipelineError> {
    match change.document_key {
        Some(key) if which == KeyDocument::DocumentKey => Ok(key),
        Some(_) | None if which == KeyDocument::Event => Ok(event),
        Some(_) | None => {
            room.clear();
            write_document(room, |document| {
                if let Some(token) = change.token {
                    document.raw_document("_id", token.as_bytes());
                }
            });
            RawDoc::new(room).map_err(PipelineError::Event)
        }
    }
}
