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

use crate::mongo::bson::{BsonError, Elements, RawDoc, RawValue, kind};

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
    /// `wallTime`, since MongoDB 6.0: the primary's clock when it wrote the change. Milliseconds since the Unix epoch.
    pub wall_time_ms: Option<i64>,
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
            wall_time_ms: None,
            database: None,
            collection: None,
            document_key: None,
            full_document: None,
        };
        let mut elements = event.iter();
        change.take_in_order(&mut elements)?;
        change.take_rest(&mut elements)?;
        Ok(change)
    }

    /// When it was made, in milliseconds since the Unix epoch: to the second where the server says no more.
    #[inline]
    pub fn made_at_ms(&self) -> Option<i64> {
        self.wall_time_ms.or(self.cluster_time.map(|(seconds, _)| i64::from(seconds) * 1_000))
    }

    /// The fields in the order in which servers write them: each name is one comparison. Stops taking where an
    /// event has another one; a field that is left out stops nothing.
    #[inline]
    fn take_in_order(&mut self, elements: &mut Elements<'a>) -> Result<(), BsonError> {
        if elements.take_head(b"\x03_id\0") {
            self.token = Some(elements.take_doc()?);
        }
        if elements.take_head(b"\x02operationType\0") {
            self.operation = Some(Operation::parse(elements.take_string(kind::STRING)?));
        }
        if elements.take_head(b"\x11clusterTime\0") {
            self.cluster_time = Some(elements.take_timestamp(kind::TIMESTAMP)?);
        }
        if elements.take_head(b"\x09wallTime\0")
            && let RawValue::DateTime(at_ms) = elements.take_value(kind::DATE_TIME)?
        {
            self.wall_time_ms = Some(at_ms);
        }
        if elements.take_head(b"\x03fullDocument\0") {
            self.full_document = Some(RawValue::Document(elements.take_doc()?));
        }
        if elements.take_head(b"\x03ns\0") {
            self.note_namespace(elements.take_doc()?)?;
        }
        if elements.take_head(b"\x03documentKey\0") {
            self.document_key = Some(elements.take_doc()?);
        }
        Ok(())
    }

    /// Whatever follows, in any order.
    fn take_rest(&mut self, elements: &mut Elements<'a>) -> Result<(), BsonError> {
        while let Some(kind) = elements.take_kind() {
            match (elements.take_cstring()?, kind) {
                (b"_id", kind::DOCUMENT) => {
                    let token = elements.take_doc()?;
                    self.token.get_or_insert(token);
                }
                (b"operationType", kind::STRING) => {
                    let name = elements.take_string(kind)?;
                    self.operation.get_or_insert(Operation::parse(name));
                }
                (b"ns", kind::DOCUMENT) => self.note_namespace(elements.take_doc()?)?,
                (b"documentKey", kind::DOCUMENT) => {
                    let key = elements.take_doc()?;
                    self.document_key.get_or_insert(key);
                }
                (name, kind) => self.note(name, elements.take_value(kind)?),
            }
        }
        Ok(())
    }

    fn note(&mut self, name: &[u8], value: RawValue<'a>) {
        match (name, value) {
            (b"clusterTime", RawValue::Timestamp { time, increment }) => {
                self.cluster_time.get_or_insert((time, increment));
            }
            (b"wallTime", RawValue::DateTime(at_ms)) => {
                self.wall_time_ms.get_or_insert(at_ms);
            }
            (b"fullDocument", document) => {
                self.full_document.get_or_insert(document);
            }
            _ => {}
        }
    }

    fn note_namespace(&mut self, namespace: RawDoc<'a>) -> Result<(), BsonError> {
        let mut elements = namespace.iter();
        if self.database.is_none() && elements.take_head(b"\x02db\0") {
            self.database = Some(elements.take_string(kind::STRING)?);
        }
        if self.collection.is_none() && elements.take_head(b"\x02coll\0") {
            self.collection = Some(elements.take_string(kind::STRING)?);
        }
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
            "wallTime": bson::DateTime::from_millis(7_123),
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
            wall_time_ms: Some(7_123),
            database: Some(b"d"),
            collection: Some(b"c.e"),
            document_key: Some(RawDoc::new(&key).unwrap()),
            full_document: Some(RawValue::Document(RawDoc::new(&document).unwrap())),
        };
        assert_eq!(change, want);
    }

    #[test]
    fn a_change_was_made_when_its_server_says_as_exactly_as_it_says() {
        let mut event = insert();
        assert_eq!(parse(&bytes(&event)).made_at_ms(), Some(7_123));
        event.remove("wallTime");
        assert_eq!(parse(&bytes(&event)).made_at_ms(), Some(7_000));
        event.remove("clusterTime");
        assert_eq!(parse(&bytes(&event)).made_at_ms(), None);
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

    /// A document of these, its frame around the elements of each.
    fn joined(parts: &[&Document]) -> Vec<u8> {
        let mut out = vec![0; 4];
        for part in parts {
            let bytes = bytes(part);
            out.extend_from_slice(&bytes[4..bytes.len() - 1]);
        }
        out.push(0);
        let length = u32::try_from(out.len()).unwrap();
        out[..4].copy_from_slice(&length.to_le_bytes());
        out
    }

    #[test]
    fn fields_in_any_order_with_others_between_them_are_noted_alike() {
        let in_order = bytes(&insert());
        let want = parse(&in_order);
        let fields: Vec<_> =
            insert().into_iter().map(|(name, value)| doc! { name: value }).collect();
        let other = doc! { "x": 1, "n": { "db": "no" }, "nsx": { "db": "no" }, "_idx": 1 };
        for first in 0..fields.len() {
            for second in 0..fields.len() {
                let mut parts: Vec<_> = fields.iter().collect();
                parts.rotate_left(first);
                parts.swap(0, second);
                parts.insert(second, &other);
                assert_eq!(parse(&joined(&parts)), want, "{parts:?}");
            }
        }
        let upside_down = doc! { "ns": { "x": 1, "coll": "c.e", "y": 1, "db": "d" } };
        let upside_down = bytes(&upside_down);
        let change = parse(&upside_down);
        assert_eq!((change.database, change.collection), (want.database, want.collection));
    }

    #[test]
    fn of_a_name_that_comes_twice_the_first_counts() {
        let again = doc! {
            "_id": { "_data": "83" }, "operationType": "delete", "ns": { "db": "e", "coll": "f" },
            "clusterTime": Timestamp { time: 8, increment: 3 },
            "fullDocument": { "_id": 2 }, "documentKey": { "_id": 2 },
        };
        let once = bytes(&insert());
        assert_eq!(parse(&joined(&[&insert(), &again])), parse(&once));
        let namespace = doc! { "ns": { "db": "d" } };
        let twice = joined(&[&namespace, &again]);
        let change = parse(&twice);
        assert_eq!(
            (change.database, change.collection),
            (Some(b"d".as_slice()), Some(b"f".as_slice()))
        );
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
