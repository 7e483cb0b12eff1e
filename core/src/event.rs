//! One change, viewed where it lies: a single walk over its top-level fields notes all that
//! replication needs.
//!
//! ```text
//!  { _id: token, operationType, clusterTime, ns: { db, coll }, documentKey, fullDocument, … }
//!         │            │            │               │             │             │
//!  token  operation    cluster_time  database,      document_key  full_document
//!                                    collection
//! ```
//!
//! Nothing is copied, every part borrows from the event. The fields may come in any order; of a
//! name that comes twice the first counts. Where the event came from does not matter: a change
//! stream makes it, an oplog reader can make the same. What is inside the parts is not looked at.
//! Facts: "Change Events" of the MongoDB manual.

use crate::mongo::bson::{BsonError, RawDoc, RawValue, kind};

/// What happened, as `operationType` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the server's")]
pub enum Operation<'a> {
    Insert,
    Update,
    Replace,
    Delete,
    Drop,
    Rename,
    DropDatabase,
    Invalidate,
    /// Events of the schema and whatever later servers invent.
    Other(&'a [u8]),
}

impl<'a> Operation<'a> {
    /// The operation that the server calls `name`.
    pub fn parse(name: &'a [u8]) -> Self {
        match name {
            b"insert" => Self::Insert,
            b"update" => Self::Update,
            b"replace" => Self::Replace,
            b"delete" => Self::Delete,
            b"drop" => Self::Drop,
            b"rename" => Self::Rename,
            b"dropDatabase" => Self::DropDatabase,
            b"invalidate" => Self::Invalidate,
            _ => Self::Other(name),
        }
    }
}

/// See the module. A part is `None` where the event has no such field or where the field has
/// another type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangeEvent<'a> {
    /// `_id`: the resume token.
    pub token: Option<RawDoc<'a>>,
    /// `operationType`.
    pub operation: Option<Operation<'a>>,
    /// `clusterTime`: seconds since 1970-01-01 UTC and a counter within the second.
    pub cluster_time: Option<(u32, u32)>,
    /// `ns.db`; not checked to be UTF-8.
    pub database: Option<&'a [u8]>,
    /// `ns.coll`; not checked to be UTF-8. Absent for events of a whole database.
    pub collection: Option<&'a [u8]>,
    /// `documentKey`: `_id` of the document, and its shard key before it.
    pub document_key: Option<RawDoc<'a>>,
    /// `fullDocument` of any type: `Some(RawValue::Null)` says that the document is gone, `None`
    /// that the event has no such field.
    pub full_document: Option<RawValue<'a>>,
}

impl<'a> ChangeEvent<'a> {
    /// Walks `event` once, and `ns` within it.
    ///
    /// # Errors
    /// What is wrong with the first malformed field; nothing is known of the insides of other
    /// fields.
    #[inline]
    pub fn parse(event: RawDoc<'a>) -> Result<Self, BsonError> {
        let mut change = Self {
            token: None,
            operation: None,
            cluster_time: None,
            database: None,
            collection: None,
            document_key: None,
            full_document: None,
        };
        let mut elements = event.iter();
        while let Some(kind) = elements.take_kind() {
            match (elements.take_cstring()?, kind) {
                (b"_id", kind::DOCUMENT) => {
                    let token = elements.take_doc()?;
                    change.token.get_or_insert(token);
                }
                (b"operationType", kind::STRING) => {
                    let name = elements.take_string(kind)?;
                    change.operation.get_or_insert(Operation::parse(name));
                }
                (b"ns", kind::DOCUMENT) => change.note_namespace(elements.take_doc()?)?,
                (b"documentKey", kind::DOCUMENT) => {
                    let key = elements.take_doc()?;
                    change.document_key.get_or_insert(key);
                }
                (name, kind) => change.note(name, elements.take_value(kind)?),
            }
        }
        Ok(change)
    }

    fn note(&mut self, name: &[u8], value: RawValue<'a>) {
        match (name, value) {
            (b"clusterTime", RawValue::Timestamp { time, increment }) => {
                self.cluster_time.get_or_insert((time, increment));
            }
            (b"fullDocument", document) => {
                self.full_document.get_or_insert(document);
            }
            _ => {}
        }
    }

    fn note_namespace(&mut self, namespace: RawDoc<'a>) -> Result<(), BsonError> {
        let mut elements = namespace.iter();
        while let Some(kind) = elements.take_kind() {
            match (elements.take_cstring()?, kind) {
                (b"db", kind::STRING) => {
                    let name = elements.take_string(kind)?;
                    self.database.get_or_insert(name);
                }
                (b"coll", kind::STRING) => {
                    let name = elements.take_string(kind)?;
                    self.collection.get_or_insert(name);
                }
                (_, kind) => drop(elements.take_value(kind)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, Timestamp, doc};

    fn bytes(event: &Document) -> Vec<u8> {
        event.to_vec().unwrap()
    }

    fn parse(bytes: &[u8]) -> ChangeEvent<'_> {
        ChangeEvent::parse(RawDoc::new(bytes).unwrap()).unwrap()
    }

    fn insert() -> Document {
        doc! {
            "_id": { "_data": "82" },
            "operationType": "insert",
            "clusterTime": Timestamp { time: 7, increment: 2 },
            "wallTime": bson::DateTime::from_millis(7_000),
            "fullDocument": { "_id": 1, "a": "b" },
            "ns": { "db": "d", "coll": "c.e" },
            "documentKey": { "_id": 1 },
        }
    }

    #[test]
    fn every_part_of_an_insert_is_noted() {
        let bytes = bytes(&insert());
        let change = parse(&bytes);
        let key = doc! { "_id": 1 }.to_vec().unwrap();
        let token = doc! { "_data": "82" }.to_vec().unwrap();
        let document = doc! { "_id": 1, "a": "b" }.to_vec().unwrap();
        let want = ChangeEvent {
            token: Some(RawDoc::new(&token).unwrap()),
            operation: Some(Operation::Insert),
            cluster_time: Some((7, 2)),
            database: Some(b"d"),
            collection: Some(b"c.e"),
            document_key: Some(RawDoc::new(&key).unwrap()),
            full_document: Some(RawValue::Document(RawDoc::new(&document).unwrap())),
        };
        assert_eq!(change, want);
    }

    #[test]
    fn a_document_that_is_null_absent_or_there_is_told_apart() {
        let null = bytes(&doc! { "operationType": "update", "fullDocument": null });
        assert_eq!(parse(&null).full_document, Some(RawValue::Null));
        let absent = bytes(&doc! { "operationType": "delete" });
        assert_eq!(parse(&absent).full_document, None);
        let there = bytes(&insert());
        assert!(matches!(parse(&there).full_document, Some(RawValue::Document(_))));
    }

    #[test]
    fn odd_types_and_unknown_operations_are_passed_on_as_they_are() {
        let odd = bytes(&doc! {
            "_id": 1, "operationType": "createIndexes", "ns": { "db": "d" }, "documentKey": "k",
            "clusterTime": 3, "fullDocument": "text",
        });
        let change = parse(&odd);
        assert_eq!(change.operation, Some(Operation::Other(b"createIndexes")));
        assert_eq!((change.database, change.collection), (Some(b"d".as_slice()), None));
        assert_eq!((change.token, change.document_key, change.cluster_time), (None, None, None));
        assert_eq!(change.full_document, Some(RawValue::String(b"text")));
    }

    #[test]
    fn each_operation_has_its_own_name() {
        for (name, want) in [
            (b"insert".as_slice(), Operation::Insert),
            (b"update", Operation::Update),
            (b"replace", Operation::Replace),
            (b"delete", Operation::Delete),
            (b"drop", Operation::Drop),
            (b"rename", Operation::Rename),
            (b"dropDatabase", Operation::DropDatabase),
            (b"invalidate", Operation::Invalidate),
            (b"Insert", Operation::Other(b"Insert")),
        ] {
            assert_eq!(Operation::parse(name), want);
        }
    }

    #[test]
    fn an_event_with_any_byte_altered_or_cut_never_panics() {
        let whole = bytes(&insert());
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = whole.clone();
                altered[at] = byte;
                let _ = RawDoc::new(&altered).and_then(ChangeEvent::parse);
            }
            let mut cut = whole[..at.max(4)].to_vec();
            cut.push(0);
            let length = u32::try_from(cut.len()).unwrap();
            cut[..4].copy_from_slice(&length.to_le_bytes());
            let _ = RawDoc::new(&cut).and_then(ChangeEvent::parse);
        }
    }
}
