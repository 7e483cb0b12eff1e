//! The event that a copied document makes, byte for byte what the connector makes of it.
//!
//! ```text
//!  document   { _id: X, … }
//!  event      { _id: { _id: X, copyingData: true }, operationType: "insert", documentKey: { _id: X },
//!               fullDocument: { _id: X, … }, ns: { db, coll } }
//! ```
//!
//! Without a pipeline of its own the event is made here, around the document as the server sent it. With one the
//! server makes it, because the pipeline works on it; it calls the namespace `__` until it is here, and so puts it
//! last. Facts: `MongoCopyDataManager` of connector 2.0.1.

use super::piece::Namespace;
use crate::mongo::bson::{BsonError, RawDoc};
use crate::mongo::bson_write::write_document;

/// What the server calls `ns`; as long, so that it is renamed where it lies.
pub(super) const NAMESPACE_ALIAS: &str = "__";
const NAMESPACE: &[u8] = b"ns";

/// Puts the event of `document` into `out`, in place of what was there.
///
/// # Errors
/// If an element up to `_id` is malformed.
pub(super) fn write_event(
    document: RawDoc<'_>,
    namespace: &Namespace,
    out: &mut Vec<u8>,
) -> Result<(), BsonError> {
    let id = document.element_bytes(b"_id")?;
    out.clear();
    write_document(out, |event| {
        event.document("_id", |token| {
            token.raw_elements(id);
            token.boolean("copyingData", true);
        });
        event.string("operationType", "insert");
        event.document("documentKey", |key| key.raw_elements(id));
        event.raw_document("fullDocument", document.as_bytes());
        event.document("ns", |ns| {
            ns.string("db", &namespace.database);
            ns.string("coll", &namespace.collection);
        });
    });
    Ok(())
}

/// Puts an event that the server made into `out`, in place of what was there, with its namespace under its own name.
///
/// # Errors
/// If a top-level element is malformed.
pub(super) fn rename_namespace(event: RawDoc<'_>, out: &mut Vec<u8>) -> Result<(), BsonError> {
    out.clear();
    out.extend_from_slice(event.as_bytes());
    let mut elements = event.iter();
    while let Some(kind) = elements.take_kind() {
        // The name begins here; behind the last element is the terminator.
        let name_at = out.len() - 1 - elements.rest().len();
        if elements.take_cstring()? == NAMESPACE_ALIAS.as_bytes()
            && let Some(name) = out.get_mut(name_at..name_at + NAMESPACE.len())
        {
            name.copy_from_slice(NAMESPACE);
        }
        elements.take_value(kind)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, doc};

    fn namespace() -> Namespace {
        Namespace { database: "d".to_owned(), collection: "c.e".to_owned() }
    }

    fn event_of(document: &Document) -> Document {
        let (bytes, mut out) = (document.to_vec().unwrap(), b"left over".to_vec());
        write_event(RawDoc::new(&bytes).unwrap(), &namespace(), &mut out).unwrap();
        Document::from_reader(out.as_slice()).unwrap()
    }

    #[test]
    fn a_copied_document_becomes_an_insert_with_its_namespace_last() {
        for id in [bson::Bson::Int32(5), doc! { "a": [1, 2] }.into(), "text".into()] {
            let document = doc! { "before": 1, "_id": id.clone(), "after": { "_id": 7 } };
            let want = doc! {
                "_id": { "_id": id.clone(), "copyingData": true },
                "operationType": "insert",
                "documentKey": { "_id": id },
                "fullDocument": document.clone(),
                "ns": { "db": "d", "coll": "c.e" },
            };
            // As bytes: the order counts.
            assert_eq!(event_of(&document).to_vec().unwrap(), want.to_vec().unwrap());
        }
    }

    #[test]
    fn a_document_without_an_id_makes_an_event_without_one() {
        let event = event_of(&doc! { "a": 1 });
        assert_eq!(event.get_document("_id").unwrap(), &doc! { "copyingData": true });
        assert_eq!(event.get_document("documentKey").unwrap(), &doc! {});
    }

    #[test]
    fn only_the_alias_on_top_is_renamed() {
        let made = doc! { "_id": 1, "in": { "__": 2 }, "text": "__", "__": { "db": "d", "__": 3 } };
        let (bytes, mut out) = (made.to_vec().unwrap(), Vec::new());
        rename_namespace(RawDoc::new(&bytes).unwrap(), &mut out).unwrap();
        let want = doc! { "_id": 1, "in": { "__": 2 }, "text": "__", "ns": { "db": "d", "__": 3 } };
        assert_eq!(out, want.to_vec().unwrap());
    }

    #[test]
    fn a_document_cut_or_altered_at_any_byte_never_panics() {
        let whole = doc! { "a": "b", "_id": { "x": 1 }, "__": { "db": "d" } }.to_vec().unwrap();
        let mut out = Vec::new();
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut altered = whole.clone();
                altered[at] = byte;
                if let Ok(document) = RawDoc::new(&altered) {
                    let _ = write_event(document, &namespace(), &mut out);
                    let _ = rename_namespace(document, &mut out);
                }
            }
        }
    }
}
