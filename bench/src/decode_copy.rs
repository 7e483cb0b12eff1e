//! Whether a record is about a document that was copied, in the shape of the MongoDB connector's `copy_existing`.
//!
//! ```text
//! change   { _id: { _data: "82…" },                       operationType, clusterTime, …, fullDocument, ns, documentKey }
//! copy     { _id: { _id: <documentKey._id>, copyingData: true }, operationType, documentKey, fullDocument, ns }
//!            these five in this order, and none beside them
//! ```
//!
//! What stands in the fields is compared by [`crate::decode`], for both alike. Debezium tells a copy by its `op`: see
//! [`crate::decode_debezium`].

use bson::raw::RawDocument;
use bson::rawdoc;
use millrace_loadgen::workload::Key;
use serde_json::{Value, json};

/// What records are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What was done to documents.
    Changes,
    /// Documents as they were found.
    Copies,
}

const FIELDS: [&str; 5] = ["_id", "operationType", "documentKey", "fullDocument", "ns"];

/// What an event of connector 2.0.1 as JSON text is about; `None` for a mixture of both.
pub(crate) fn told_by_json(event: &Value, about: Key) -> Option<Told> {
    let id = event.get("_id");
    if id.and_then(|id| id.get("copyingData")).is_none() {
        return Some(Told::Changes);
    }
    let expected = json!({ "_id": { "$numberLong": about.id().to_string() }, "copyingData": true });
    // As text, because objects are equal in any order of their fields.
    let is_copy = id.map(Value::to_string) == Some(expected.to_string())
        && event.as_object().is_some_and(|event| event.keys().eq(FIELDS.iter()));
    is_copy.then_some(Told::Copies)
}

/// As [`told_by_json`], for BSON.
pub(crate) fn told_by_bson(event: &RawDocument, about: Key) -> Option<Told> {
    let id = event.get_document("_id").ok();
    if id.and_then(|id| id.get("copyingData").ok().flatten()).is_none() {
        return Some(Told::Changes);
    }
    let expected = rawdoc! { "_id": about.id(), "copyingData": true };
    let names = event.into_iter().map(|element| element.ok().map(|(name, _)| name.as_str()));
    let is_copy =
        id.is_some_and(|id| id.as_bytes() == expected.as_bytes()) && names.eq(FIELDS.map(Some));
    is_copy.then_some(Told::Copies)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, doc};
    use millrace_loadgen::ledger::Content;
    use millrace_loadgen::workload::{Mix, Operation, Workload};

    use super::*;
    use crate::arm::Format;
    use crate::decode::Decoder;
    use crate::decode::tests::{copy, record, text, workload};

    const FORMATS: [Format; 2] = [Format::Json, Format::Bson];

    fn one() -> (Workload, Operation) {
        let workload = Workload { mix: Mix::INSERTS, ..workload(3) };
        let op = workload.schedule().next().expect("one");
        (workload, op)
    }

    fn content(workload: &Workload, told: Told, format: Format, event: &Document) -> Content {
        let key = text(event.get_document("documentKey").expect("there"), format);
        let decoder = Decoder::new(workload.clone(), format).of(told);
        decoder.decode(Some(&key), Some(&text(event, format))).expect("readable").content
    }

    #[test]
    fn a_copy_is_taken_where_copies_are_due_and_nowhere_else() {
        let (workload, op) = one();
        for format in FORMATS {
            let copy = copy(&workload, op);
            assert_eq!(content(&workload, Told::Copies, format, &copy), Content::Matches);
            assert_eq!(content(&workload, Told::Changes, format, &copy), Content::Differs);
            let (key, change) = record(&workload, op, format);
            let decoder = Decoder::new(workload.clone(), format).of(Told::Copies);
            let seen = decoder.decode(Some(&key), Some(&change)).expect("readable");
            assert_eq!(seen.content, Content::Differs);
        }
    }

    #[test]
    fn a_copy_of_another_shape_is_no_copy() {
        let (workload, op) = one();
        let good = copy(&workload, op);
        let without = |name: &str| {
            let mut event = good.clone();
            event.remove(name);
            event
        };
        let with = |name: &str, value: Bson| {
            let mut event = good.clone();
            event.insert(name, value);
            event
        };
        let ns_first = {
            let mut event = doc! { "ns": good.get_document("ns").expect("there").clone() };
            event.extend(without("ns"));
            event
        };
        let id = op.key.id();
        for event in [
            ns_first,
            with("clusterTime", Bson::Timestamp(bson::Timestamp { time: 1, increment: 1 })),
            with("_id", Bson::Document(doc! { "_id": id, "copyingData": false })),
            with("_id", Bson::Document(doc! { "_id": id + 1, "copyingData": true })),
            with("_id", Bson::Document(doc! { "copyingData": true, "_id": id })),
            with("_id", Bson::Document(doc! { "_id": id, "copyingData": true, "more": 1 })),
        ] {
            for format in FORMATS {
                let seen = content(&workload, Told::Copies, format, &event);
                assert_eq!(seen, Content::Differs, "{event}");
            }
        }
    }
}
