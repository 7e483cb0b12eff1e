//! What a Kafka record says happened: from key and value to what the ledger takes.
//!
//! ```text
//! key     documentKey                              JSON text or BSON
//! value   { _id, operationType, …, fullDocument | updateDescription, ns, documentKey }
//!              insert, replace   fullDocument    = Workload::document(key, v)
//!              update            updatedFields, removedFields, truncatedArrays = one of Workload::changes(key, v)
//!              delete            nothing else
//! ```
//!
//! Whether that is a change or a copy is told by [`crate::decode_copy`], and has to be what was due. The whole content
//! is compared with what the seed derives, or its digest where there is one ([`crate::content`]); always the namespace
//! and the record's key. A record that cannot be read this far has no place in the ledger: [`Unreadable`]. JSON is read
//! by serde_json and raw values by the bson crate; neither shares code with the node.

use std::fmt;

use bson::raw::{RawBson, RawBsonRef, RawDocument};
use bson::rawdoc;
use millrace_loadgen::delta::{Change, Truncated};
use millrace_loadgen::digest;
use millrace_loadgen::ledger::{Content, Ledger, Observed};
use millrace_loadgen::workload::{Key, Kind, Workload};
use serde_json::{Value, json};

use crate::arm::Format;
use crate::content::{self, Judged};
use crate::decode_copy::{Told, told_by_bson, told_by_json};
use crate::{decode_debezium, strict_json};

/// Why a record says nothing about any write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no value.
    NoValue,
    /// The value is no document of its format.
    NoDocument,
    /// The event has no `operationType`, or one that no workload causes.
    Operation,
    /// The event has no `documentKey` that a workload could have written.
    DocumentKey,
    /// The event carries no version where its kind has one.
    Version,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoValue => "it has no value",
            Self::NoDocument => "its value is no document",
            Self::Operation => "its value names no operation of the workload",
            Self::DocumentKey => "its value has no documentKey of the workload",
            Self::Version => "its value has no version",
        })
    }
}

impl std::error::Error for Unreadable {}

/// Reads the records of one workload in one format.
#[derive(Clone, Debug)]
pub struct Decoder {
    workload: Workload,
    format: Format,
    told: Told,
}

impl Decoder {
    /// For records that `format` wrote about the changes of `workload`.
    pub fn new(workload: Workload, format: Format) -> Self {
        Self { workload, format, told: Told::Changes }
    }

    /// For records about that.
    pub fn of(mut self, told: Told) -> Self {
        self.told = told;
        self
    }

    /// What the record says, its content compared in full. About 10 µs for a KB of JSON, a fifth of that for BSON.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Observed, Unreadable> {
        self.decode_by(None, key, value).map(|(observed, _)| observed)
    }

    /// As [`Self::decode`], and how the content was judged: by the digests of `ledger`, as far as it has them.
    pub fn decode_by(
        &self,
        ledger: Option<&Ledger>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(Observed, Judged), Unreadable> {
        let value = value.ok_or(Unreadable::NoValue)?;
        let in_full = |observed: Observed| (observed, Judged::InFull(observed.content));
        match self.format {
            Format::Json => self.decode_json(key, value).map(in_full),
            Format::Bson => self.decode_bson(ledger, key, value),
            Format::Debezium => {
                decode_debezium::decode(&self.workload, self.told, key, value).map(in_full)
            }
        }
    }

    fn decode_json(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Observed, Unreadable> {
        let event: Value = serde_json::from_slice(value).map_err(|_| Unreadable::NoDocument)?;
        let operation = event.get("operationType").and_then(Value::as_str);
        let kind = operation.and_then(kind_of).ok_or(Unreadable::Operation)?;
        let document_key = event.get("documentKey").ok_or(Unreadable::DocumentKey)?;
        let id =
            document_key.get("_id").and_then(|id| id.get("$numberLong")?.as_str()?.parse().ok());
        let about = id.and_then(Key::from_id).ok_or(Unreadable::DocumentKey)?;
        let record_key = key.and_then(|key| serde_json::from_slice::<Value>(key).ok());
        let same_identity = told_by_json(&event, about) == Some(self.told)
            && record_key.as_ref() == Some(document_key)
            && document_key.as_object().is_some_and(|fields| fields.len() == 1)
            && event.get("ns").is_some_and(|ns| self.names_namespace_json(ns, about));
        let version_of = |fields: &Value| {
            fields.get("v").and_then(Value::as_u64).and_then(|v| u32::try_from(v).ok())
        };
        let (version, same_content) = match kind {
            Kind::Insert | Kind::Replace => {
                let document = event.get("fullDocument").ok_or(Unreadable::Version)?;
                let version = version_of(document).ok_or(Unreadable::Version)?;
                let expected = self.workload.document_bytes(about, version);
                let same =
                    view(&expected).is_some_and(|doc| strict_json::document_equals(doc, document));
                (Some(version), same)
            }
            Kind::Update => {
                let update = event.get("updateDescription").ok_or(Unreadable::Version)?;
                let fields = update.get("updatedFields").ok_or(Unreadable::Version)?;
                let version = version_of(fields).ok_or(Unreadable::Version)?;
                let changes = self.workload.changes(about, version);
                let same = changes.iter().any(|change| change_is_json(change, update, fields));
                (Some(version), same)
            }
            Kind::Delete => (None, true),
        };
        Ok(observed(about, kind, version, same_identity && same_content))
    }

    fn decode_bson(
        &self,
        ledger: Option<&Ledger>,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(Observed, Judged), Unreadable> {
        let document = view(value).ok_or(Unreadable::NoDocument)?;
        let event = EventFields::read(document)?;
        let kind = event.operation.and_then(kind_of).ok_or(Unreadable::Operation)?;
        let document_key = event.document_key.ok_or(Unreadable::DocumentKey)?;
        let id = document_key.get_i64("_id").ok();
        let about = id.and_then(Key::from_id).ok_or(Unreadable::DocumentKey)?;
        let same_identity = told_by_bson(document, about) == Some(self.told)
            && key == Some(document_key.as_bytes())
            && document_key.into_iter().count() == 1
            && event.namespace.is_some_and(|ns| self.names_namespace_bson(ns, about));
        let version_of = |fields: &RawDocument| fields.get_i32("v").ok().map(i32::cast_unsigned);
        let written = |version| ledger.and_then(|ledger| ledger.digest(about, version));
        let (version, judged) = match kind {
            Kind::Insert | Kind::Replace => {
                let document = event.full_document.ok_or(Unreadable::Version)?;
                let version = version_of(document).ok_or(Unreadable::Version)?;
                let arrived = || Some(digest::of_document(document.as_bytes()));
                let same = || self.workload.document_bytes(about, version) == document.as_bytes();
                (Some(version), Judged::by(written(version), arrived, same))
            }
            Kind::Update => {
                let update = event.update.ok_or(Unreadable::Version)?;
                let fields =
                    update.get_document("updatedFields").map_err(|_| Unreadable::Version)?;
                let version = version_of(fields).ok_or(Unreadable::Version)?;
                let arrived = || content::digest_of_update(update, fields);
                let same = || {
                    let changes = self.workload.changes(about, version);
                    changes.iter().any(|change| change_is_bson(change, update, fields))
                };
                (Some(version), Judged::by(written(version), arrived, same))
            }
            // Nothing is left to compare.
            Kind::Delete => (None, Judged::in_full(true)),
        };
        let same_content = judged.content() == Content::Matches;
        Ok((observed(about, kind, version, same_identity && same_content), judged))
    }

    fn names_namespace_json(&self, namespace: &Value, about: Key) -> bool {
        namespace.get("db").and_then(Value::as_str) == Some(&self.workload.database)
            && namespace.get("coll").and_then(Value::as_str)
                == Some(&*self.workload.collection(about))
    }

    fn names_namespace_bson(&self, namespace: &RawDocument, about: Key) -> bool {
        namespace.get_str("db").is_ok_and(|db| db == self.workload.database)
            && namespace.get_str("coll").is_ok_and(|coll| coll == self.workload.collection(about))
    }
}

/// The fields of an event that are compared, found in one walk.
#[derive(Default)]
struct EventFields<'a> {
    operation: Option<&'a str>,
    document_key: Option<&'a RawDocument>,
    full_document: Option<&'a RawDocument>,
    update: Option<&'a RawDocument>,
    namespace: Option<&'a RawDocument>,
}

impl<'a> EventFields<'a> {
    fn read(document: &'a RawDocument) -> Result<Self, Unreadable> {
        let mut event = Self::default();
        for element in document {
            let (name, value) = element.map_err(|_| Unreadable::NoDocument)?;
            match name.as_str() {
                "operationType" => event.operation = value.as_str(),
                "documentKey" => event.document_key = value.as_document(),
                "fullDocument" => event.full_document = value.as_document(),
                "updateDescription" => event.update = value.as_document(),
                "ns" => event.namespace = value.as_document(),
                _ => {}
            }
        }
        Ok(event)
    }
}

pub(crate) fn view(bytes: &[u8]) -> Option<&RawDocument> {
    RawDocument::from_bytes(bytes).ok()
}

fn kind_of(operation: &str) -> Option<Kind> {
    match operation {
        "insert" => Some(Kind::Insert),
        "update" => Some(Kind::Update),
        "replace" => Some(Kind::Replace),
        "delete" => Some(Kind::Delete),
        _ => None,
    }
}

pub(crate) fn observed(key: Key, kind: Kind, version: Option<u32>, same: bool) -> Observed {
    let content = if same { Content::Matches } else { Content::Differs };
    Observed { key, kind, version, content }
}

/// Whether an `updateDescription` and its `updatedFields` say exactly this.
fn change_is_json(change: &Change, update: &Value, fields: &Value) -> bool {
    let only = |name: &str, expected: Option<Value>| match update.get(name) {
        Some(Value::Array(list)) => list.iter().eq(expected.iter()),
        Some(_) => false,
        None => expected.is_none(),
    };
    let truncated = |Truncated { field, new_size }| json!({ "field": field, "newSize": new_size });
    only("removedFields", change.removed.clone().map(Value::from))
        && only("truncatedArrays", change.truncated.map(truncated))
        && view(&change.updated).is_some_and(|expected| strict_json::fields_equal(expected, fields))
}

/// As [`change_is_json`], for BSON.
fn change_is_bson(change: &Change, update: &RawDocument, fields: &RawDocument) -> bool {
    let list = |name: &str| match find(update, name) {
        Some(RawBsonRef::Array(list)) => {
            let items = list.into_iter().map(|item| item.ok().map(RawBson::from));
            items.collect::<Option<Vec<_>>>()
        }
        Some(_) => None,
        None => Some(Vec::new()),
    };
    let removed = change.removed.clone().map(RawBson::String);
    let truncated = change.truncated.map(|Truncated { field, new_size }| {
        RawBson::Document(rawdoc! { "field": field, "newSize": new_size.cast_signed() })
    });
    list("removedFields") == Some(removed.into_iter().collect())
        && list("truncatedArrays") == Some(truncated.into_iter().collect())
        && fields_equal(view(&change.updated), fields)
}

/// Whether both have the same fields with the same values, in any order.
fn fields_equal(expected: Option<&RawDocument>, actual: &RawDocument) -> bool {
    let Some(expected) = expected else { return false };
    let equal = |element| match element {
        Ok((name, value)) => same_value(Some(value), find(actual, name)),
        Err(_) => false,
    };
    expected.into_iter().count() == actual.into_iter().count()
        && expected.into_iter().map(|e| e.map(|(name, value)| (name.as_str(), value))).all(equal)
}

fn find<'a>(document: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    document.get(name).ok().flatten()
}

/// NaN is not equal to itself, so doubles are compared by their bits.
fn same_value(expected: Option<RawBsonRef<'_>>, actual: Option<RawBsonRef<'_>>) -> bool {
    match (expected, actual) {
        (Some(RawBsonRef::Double(x)), Some(RawBsonRef::Double(y))) => x.to_bits() == y.to_bits(),
        (expected, actual) => expected == actual,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::{Document, Timestamp, doc};
    use millrace_loadgen::document::DocumentShape;
    use millrace_loadgen::workload::{Collections, KeySpread, Mix, Operation};

    use super::*;

    pub(crate) fn workload(operations: u64) -> Workload {
        Workload {
            seed: 7,
            database: "millrace_unit".into(),
            collections: Collections::one("events"),
            operations,
            writers: 2,
            mix: Mix::ALL,
            document: DocumentShape::PLAIN_1_KB.into(),
            key_spread: KeySpread::Uniform,
        }
    }

    /// Key and value of the record that a node would write about an operation.
    pub(crate) fn record(workload: &Workload, op: Operation, format: Format) -> (Vec<u8>, Vec<u8>) {
        let (key, event) = event(workload, op);
        match format {
            Format::Json | Format::Bson => (text(&key, format), text(&event, format)),
            Format::Debezium => decode_debezium::tests::record(workload, op, &event),
        }
    }

    /// What a connector that copies says of the document that an insert left.
    pub(crate) fn copy(workload: &Workload, op: Operation) -> Document {
        let id = op.key.id();
        doc! {
            "_id": { "_id": id, "copyingData": true },
            "operationType": "insert",
            "documentKey": { "_id": id },
            "fullDocument": workload.document(op.key, op.version),
            "ns": { "db": &workload.database, "coll": &*workload.collection(op.key) },
        }
    }

    pub(crate) fn text(document: &Document, format: Format) -> Vec<u8> {
        let bytes = document.to_vec().expect("encodes");
        match format {
            Format::Bson => bytes,
            Format::Json => json_of_document(document).to_string().into_bytes(),
            Format::Debezium => panic!("its envelope has another shape"),
        }
    }

    fn event(workload: &Workload, op: Operation) -> (Document, Document) {
        let document_key = doc! { "_id": op.key.id() };
        let mut event = doc! {
            "_id": { "_data": "82" },
            "operationType": match op.kind {
                Kind::Insert => "insert",
                Kind::Update => "update",
                Kind::Replace => "replace",
                Kind::Delete => "delete",
            },
            "clusterTime": Timestamp { time: 1, increment: 2 },
        };
        match op.kind {
            Kind::Insert | Kind::Replace => {
                event.insert("fullDocument", workload.document(op.key, op.version));
            }
            Kind::Update => {
                let [change, ..] = &workload.changes(op.key, op.version)[..] else {
                    panic!("every update changes something")
                };
                event.insert("updateDescription", description(change));
            }
            Kind::Delete => {}
        }
        let collection = &*workload.collection(op.key);
        event.insert("ns", doc! { "db": &workload.database, "coll": collection });
        event.insert("documentKey", document_key.clone());
        (document_key, event)
    }

    /// What the server says about an update.
    fn description(change: &Change) -> Document {
        let fields = Document::from_reader(&change.updated[..]).expect("decodes");
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.reverse(); // the server sorts them in its own way
        let fields: Document = fields.into_iter().collect();
        let removed: Vec<_> = change.removed.clone().into_iter().collect();
        let truncated = change.truncated.map(|Truncated { field, new_size }| {
            doc! { "field": field, "newSize": new_size.cast_signed() }
        });
        let truncated: Vec<_> = truncated.into_iter().collect();
        doc! { "updatedFields": fields, "removedFields": removed, "truncatedArrays": truncated }
    }

    pub(crate) fn json_of_document(document: &Document) -> Value {
        let bytes = document.to_vec().expect("encodes");
        json_of(RawBsonRef::Document(RawDocument::from_bytes(&bytes).expect("decodes")))
    }

    /// The types of plain documents, as DefaultJson writes them.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is the bson crate's")]
    fn json_of(value: RawBsonRef<'_>) -> Value {
        match value {
            RawBsonRef::Document(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|field| field.expect("decodes"))
                    .map(|(name, value)| (name.as_str().to_owned(), json_of(value)))
                    .collect(),
            ),
            RawBsonRef::Array(items) => {
                items.into_iter().map(|item| json_of(item.expect("decodes"))).collect()
            }
            RawBsonRef::Int64(i) => json!({ "$numberLong": i.to_string() }),
            RawBsonRef::DateTime(at) => json!({ "$date": at.timestamp_millis() }),
            RawBsonRef::Timestamp(at) => {
                json!({ "$timestamp": { "t": at.time, "i": at.increment } })
            }
            RawBsonRef::Int32(i) => json!(i),
            RawBsonRef::Double(x) => json!(x),
            RawBsonRef::Boolean(b) => json!(b),
            RawBsonRef::String(s) => json!(s),
            other => panic!("no plain type: {other:?}"),
        }
    }

    fn decode(
        workload: &Workload,
        format: Format,
        key: &[u8],
        value: &[u8],
    ) -> Result<Observed, Unreadable> {
        Decoder::new(workload.clone(), format).decode(Some(key), Some(value))
    }

    const FORMATS: [Format; 2] = [Format::Json, Format::Bson];

    #[test]
    fn every_kind_of_event_is_read_as_it_was_written() {
        for mix in [Mix::ALL, Mix::UPDATES] {
            let workload = Workload { mix, ..workload(600) };
            for (format, op) in
                FORMATS.iter().flat_map(|&f| workload.schedule().map(move |op| (f, op)))
            {
                let (key, value) = record(&workload, op, format);
                let version = (op.kind != Kind::Delete).then_some(op.version);
                let expected = observed(op.key, op.kind, version, true);
                assert_eq!(decode(&workload, format, &key, &value), Ok(expected), "{op:?}");
            }
        }
    }

    #[test]
    fn a_record_under_the_key_of_another_differs() {
        let workload = workload(2);
        let [first, second] =
            <[_; 2]>::try_from(workload.schedule().collect::<Vec<_>>()).expect("two");
        for format in FORMATS {
            let (key, _) = record(&workload, first, format);
            let (_, value) = record(&workload, second, format);
            let seen = decode(&workload, format, &key, &value).expect("readable");
            assert_eq!((seen.key, seen.content), (second.key, Content::Differs));
            let decoder = Decoder::new(workload.clone(), format);
            assert_eq!(
                decoder.decode(None, Some(&value)).expect("readable").content,
                Content::Differs
            );
            assert_eq!(decoder.decode(Some(&key), None), Err(Unreadable::NoValue));
        }
    }

    #[test]
    fn every_altered_letter_of_a_document_is_seen() {
        let workload = workload(1);
        let op = workload.schedule().next().expect("one");
        for format in FORMATS {
            let (key, value) = record(&workload, op, format);
            let document = workload.document_bytes(op.key, op.version);
            let pad = document.windows(4).position(|name| name == b"pad\0").expect("padded") + 8;
            let pad = &document[pad..document.len() - 2];
            let at = value.windows(pad.len()).position(|text| text == pad).expect("in the value");
            for at in at..at + pad.len() {
                let mut altered = value.clone();
                altered[at] = if altered[at] == b'x' { b'y' } else { b'x' };
                let seen = decode(&workload, format, &key, &altered).expect("readable");
                assert_eq!(seen.content, Content::Differs, "byte {at}");
            }
        }
    }

    #[test]
    fn a_field_too_many_or_too_few_in_an_update_is_seen() {
        let workload = workload(200);
        let op = workload.schedule().find(|op| op.kind == Kind::Update).expect("an update");
        let spoil: [fn(&mut Document); 3] = [
            |update| drop(update.get_document_mut("updatedFields").expect("there").insert("x", 1)),
            |update| drop(update.insert("removedFields", vec!["f1"])),
            |update| {
                let fields = update.get_document_mut("updatedFields").expect("there");
                let other = fields.keys().find(|name| *name != "v").expect("another").clone();
                fields.remove(other);
            },
        ];
        for spoil in spoil {
            let (key, mut event) = event(&workload, op);
            spoil(event.get_document_mut("updateDescription").expect("there"));
            let (key, value) = (key.to_vec().expect("encodes"), event.to_vec().expect("encodes"));
            let seen = decode(&workload, Format::Bson, &key, &value).expect("readable");
            assert_eq!(seen.content, Content::Differs, "{event}");
        }
    }

    #[test]
    fn a_change_is_read_in_every_way_that_servers_say_it_and_in_no_other() {
        let workload = Workload { mix: Mix::UPDATES, ..workload(600) };
        let mut ways = 0;
        let spoil: [fn(&mut Document); 3] = [
            |update| drop(update.insert("removedFields", vec!["maybe9"])),
            |update| {
                let truncated = doc! { "field": "list", "newSize": 77 };
                drop(update.insert("truncatedArrays", vec![truncated]));
            },
            |update| drop(update.insert("updatedFields", doc! { "v": 1, "count": 5_i64 })),
        ];
        for op in workload.schedule().filter(|op| op.kind == Kind::Update) {
            for change in workload.changes(op.key, op.version) {
                ways += 1;
                let (key, mut event) = event(&workload, op);
                let mut contents = vec![Content::Matches];
                event.insert("updateDescription", description(&change));
                let mut events = vec![event.clone()];
                for spoil in spoil {
                    let mut spoilt = event.clone();
                    spoil(spoilt.get_document_mut("updateDescription").expect("there"));
                    events.push(spoilt);
                    contents.push(Content::Differs);
                }
                for ((event, expected), format) in events
                    .iter()
                    .zip(contents)
                    .flat_map(|pair| FORMATS.map(|format| (pair, format)))
                {
                    let bytes = |document: &Document| text(document, format);
                    let seen = decode(&workload, format, &bytes(&key), &bytes(event));
                    assert_eq!(seen.expect("readable").content, expected, "{event}");
                }
            }
        }
        assert!(600 < ways, "{ways}: a shorter list can be told in two ways");
    }

    #[test]
    fn a_record_that_is_cut_is_unreadable_and_never_panics() {
        let workload = workload(1);
        let op = workload.schedule().next().expect("one");
        for format in FORMATS {
            let (key, value) = record(&workload, op, format);
            for end in 0..value.len() {
                assert!(decode(&workload, format, &key, &value[..end]).is_err(), "{end}");
            }
        }
    }
}
