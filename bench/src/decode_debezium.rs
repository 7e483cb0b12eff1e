//! What a record of Debezium says happened: from its key and envelope to what the ledger takes.
//!
//! ```text
//! key     { id: "1234" }                     _id as relaxed JSON, within a string
//! value   { before, after, updateDescription, source: { db, collection, snapshot, … }, op, … }
//!              op c                after: "{…}", the document as strict JSON
//!              op u, a replace     after: "{…}", no updateDescription
//!              op u, an update     updateDescription: {
//!                                     removedFields      names, or null
//!                                     updatedFields      "{…}", relaxed JSON
//!                                     truncatedArrays    [{ field, size }], or null }
//!              op d                nothing else
//!              op r, a copy        after: "{…}", and source.snapshot tells its place among the copies
//! ```
//!
//! Documents are compared by [`crate::strict_json`], updates by [`crate::relaxed_json`]. With the same care as the
//! connector's events: whole content, namespace, key, and nothing beside it that has no business there.
//!
//! What Debezium does not tell, and so cannot be held against it:
//! * the width of an integer in keys and in updates, where relaxed JSON writes 32 and 64 bits alike. Inserts and
//!   replaces tell it;
//! * which document an update or a delete is about, but in the record's key. A record under the key of another is
//!   therefore judged as an event of that other: an update or a replace differs in content there, and a delete is one
//!   event too many of one key and one lost of the other;
//! * what an update made of the document: `after` is there when look-up is asked for, and holds the document as it was
//!   when it was read. The delta is compared, as for all arms;
//! * that a replace is one, but by what is missing: `op` is `u` for both;
//! * NaN and the infinities within a document, which strict JSON prints as bare words. Such a record is corrupted here,
//!   as the connector's is;
//! * the transaction that a write belongs to is told (`lsid`, `txnNumber`) and not compared, as for all arms.

use millrace_loadgen::delta::{Change, Truncated};
use millrace_loadgen::ledger::Observed;
use millrace_loadgen::workload::{Key, Kind, Workload};
use serde_json::{Value, json};

use crate::decode::{Unreadable, observed, view};
use crate::decode_copy::Told;
use crate::{relaxed_json, strict_json};

/// What `source.snapshot` says of a copy.
const SNAPSHOT_PLACES: [&str; 5] =
    ["first", "first_in_data_collection", "true", "last_in_data_collection", "last"];

/// What the record says about a write of `workload`.
///
/// # Errors
/// When it says nothing about any write.
pub fn decode(
    workload: &Workload,
    told: Told,
    key: Option<&[u8]>,
    value: &[u8],
) -> Result<Observed, Unreadable> {
    let envelope: Value = serde_json::from_slice(value).map_err(|_| Unreadable::NoDocument)?;
    let part = |name: &str| envelope.get(name).filter(|part| !part.is_null());
    let update = part("updateDescription");
    let kind = match (told, part("op").and_then(Value::as_str)) {
        (Told::Copies, Some("r")) | (Told::Changes, Some("c")) => Kind::Insert,
        (Told::Changes, Some("u")) if update.is_some() => Kind::Update,
        (Told::Changes, Some("u")) => Kind::Replace,
        (Told::Changes, Some("d")) => Kind::Delete,
        _ => return Err(Unreadable::Operation),
    };
    let about = key.and_then(key_of).ok_or(Unreadable::DocumentKey)?;
    let after = part("after");
    let (version, same_content) = match kind {
        Kind::Insert | Kind::Replace => {
            let (version, same) = read_document(workload, about, after)?;
            (Some(version), same && update.is_none())
        }
        Kind::Update => {
            let (version, same) = read_update(workload, about, update)?;
            (Some(version), same)
        }
        Kind::Delete => (None, after.is_none() && update.is_none()),
    };
    let same_source = part("before").is_none()
        && part("source").is_some_and(|source| source_is(workload, told, about, source));
    Ok(observed(about, kind, version, same_content && same_source))
}

/// `{"id": "1234"}`, and nothing else.
fn key_of(key: &[u8]) -> Option<Key> {
    let key: Value = serde_json::from_slice(key).ok()?;
    let text = strict_json::member_str(&key, "id")?;
    let id: i64 = text.parse().ok()?;
    Key::from_id(id).filter(|_| id.to_string() == text)
}

/// Whether the event comes from where it should, and from the collection that the key belongs to.
fn source_is(workload: &Workload, told: Told, about: Key, source: &Value) -> bool {
    let field = |name: &str| source.get(name).and_then(Value::as_str);
    field("db") == Some(&workload.database)
        && field("collection") == Some(&*workload.collection(about))
        && match told {
            Told::Changes => field("snapshot") == Some("false"),
            Told::Copies => field("snapshot").is_some_and(|place| SNAPSHOT_PLACES.contains(&place)),
        }
}

fn read_document(
    workload: &Workload,
    about: Key,
    after: Option<&Value>,
) -> Result<(u32, bool), Unreadable> {
    let document = inner_json(after)?;
    let version = version_of(&document)?;
    let expected = workload.document_bytes(about, version);
    let same = view(&expected).is_some_and(|doc| strict_json::document_equals(doc, &document));
    Ok((version, same))
}

fn read_update(
    workload: &Workload,
    about: Key,
    update: Option<&Value>,
) -> Result<(u32, bool), Unreadable> {
    let update = update.ok_or(Unreadable::Version)?;
    let fields = inner_json(update.get("updatedFields"))?;
    let version = version_of(&fields)?;
    let changes = workload.changes(about, version);
    Ok((version, changes.iter().any(|change| change_is(change, update, &fields))))
}

/// JSON within a JSON string.
fn inner_json(text: Option<&Value>) -> Result<Value, Unreadable> {
    let text = text.and_then(Value::as_str).ok_or(Unreadable::Version)?;
    serde_json::from_str(text).map_err(|_| Unreadable::NoDocument)
}

fn version_of(fields: &Value) -> Result<u32, Unreadable> {
    let version = fields.get("v").and_then(Value::as_u64).and_then(|v| u32::try_from(v).ok());
    version.ok_or(Unreadable::Version)
}

/// Whether an `updateDescription` and its `updatedFields` say exactly this.
fn change_is(change: &Change, update: &Value, fields: &Value) -> bool {
    let only = |name: &str, expected: Option<Value>| match update.get(name) {
        Some(Value::Array(list)) => list.iter().eq(expected.iter()),
        Some(Value::Null) | None => expected.is_none(),
        Some(_) => false,
    };
    let truncated = |Truncated { field, new_size }| json!({ "field": field, "size": new_size });
    only("removedFields", change.removed.clone().map(Value::from))
        && only("truncatedArrays", change.truncated.map(truncated))
        && view(&change.updated)
            .is_some_and(|expected| relaxed_json::fields_equal(expected, fields))
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::{Bson, Document};
    use millrace_loadgen::ledger::Content;
    use millrace_loadgen::workload::{Mix, Operation};

    use super::*;
    use crate::arm::Format;
    use crate::decode::tests::{json_of_document, record as any_record, workload};

    /// Key and value of Debezium's record about an operation of which the server says `event`.
    pub(crate) fn record(
        workload: &Workload,
        op: Operation,
        event: &Document,
    ) -> (Vec<u8>, Vec<u8>) {
        let after = event.get_document("fullDocument").ok();
        let after = after.map(|document| json_of_document(document).to_string());
        let update = event.get_document("updateDescription").ok().map(description);
        let envelope = json!({
            "before": null,
            "after": after,
            "updateDescription": update,
            "source": {
                "version": "3.4.0.Final", "connector": "mongodb", "name": "dbz", "ts_ms": 1, "snapshot": "false",
                "db": workload.database, "sequence": null, "ts_us": 1, "ts_ns": 1,
                "collection": workload.collection(op.key), "lsid": null, "txnNumber": null, "wallTime": 1,
            },
            "op": match op.kind {
                Kind::Insert => "c",
                Kind::Update | Kind::Replace => "u",
                Kind::Delete => "d",
            },
            "ts_ms": 1,
            "transaction": null,
        });
        let key = json!({ "id": op.key.id().to_string() });
        (key.to_string().into_bytes(), envelope.to_string().into_bytes())
    }

    fn description(update: &Document) -> Value {
        let list = |name: &str, item: fn(&Bson) -> Value| {
            let items: Vec<_> = update.get_array(name).expect("there").iter().map(item).collect();
            if items.is_empty() { Value::Null } else { Value::from(items) }
        };
        let fields = update.get_document("updatedFields").expect("there");
        json!({
            "removedFields": list("removedFields", |name| Value::from(name.as_str().expect("text"))),
            "updatedFields": relaxed(json_of_document(fields)).to_string(),
            "truncatedArrays": list("truncatedArrays", |array| {
                let array = array.as_document().expect("a document");
                let (field, size) = (array.get_str("field"), array.get_i32("newSize"));
                json!({ "field": field.expect("text"), "size": size.expect("int") })
            }),
        })
    }

    /// Relaxed JSON from strict, for the types of plain documents.
    fn relaxed(strict: Value) -> Value {
        if let Some(i) = strict_json::member_str(&strict, "$numberLong") {
            return json!(i.parse::<i64>().expect("an integer"));
        }
        if let Some(ms) = strict_json::member(&strict, "$date").and_then(Value::as_i64) {
            return match bson::DateTime::from_millis(ms).try_to_rfc3339_string() {
                Ok(text) if 0 <= ms => json!({ "$date": text }),
                _ => json!({ "$date": { "$numberLong": ms.to_string() } }),
            };
        }
        match strict {
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (name, relaxed(value))).collect()
            }
            Value::Array(items) => items.into_iter().map(relaxed).collect(),
            scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
        }
    }

    fn of_kind(workload: &Workload, kind: Kind) -> Operation {
        workload.schedule().find(|op| op.kind == kind).expect("one of each kind")
    }

    fn content(workload: &Workload, key: &[u8], envelope: &Value) -> Content {
        let value = envelope.to_string().into_bytes();
        decode(workload, Told::Changes, Some(key), &value).expect("readable").content
    }

    fn parsed(workload: &Workload, op: Operation) -> (Vec<u8>, Value) {
        let (key, value) = any_record(workload, op, Format::Debezium);
        (key, serde_json::from_slice(&value).expect("JSON"))
    }

    #[test]
    fn every_kind_of_event_is_read_as_it_was_written() {
        for mix in [Mix::ALL, Mix::UPDATES] {
            let workload = Workload { mix, ..workload(600) };
            for op in workload.schedule() {
                let (key, value) = any_record(&workload, op, Format::Debezium);
                let version = (op.kind != Kind::Delete).then_some(op.version);
                let expected = observed(op.key, op.kind, version, true);
                assert_eq!(
                    decode(&workload, Told::Changes, Some(&key), &value),
                    Ok(expected),
                    "{op:?}"
                );
            }
        }
    }

    #[test]
    fn a_field_that_is_altered_or_does_not_belong_there_is_seen() {
        let workload = workload(300);
        for kind in [Kind::Insert, Kind::Update, Kind::Replace, Kind::Delete] {
            let (key, good) = parsed(&workload, of_kind(&workload, kind));
            assert_eq!(content(&workload, &key, &good), Content::Matches, "{good}");
            for (path, value) in [
                ("/source/db", json!("millrace_other")),
                ("/source/collection", json!("other")),
                ("/source/snapshot", json!("true")),
                ("/source", Value::Null),
                ("/before", json!("{}")),
            ] {
                let mut spoilt = good.clone();
                *spoilt.pointer_mut(path).expect("there") = value;
                assert_eq!(content(&workload, &key, &spoilt), Content::Differs, "{spoilt}");
            }
        }
        let (key, mut spoilt) = parsed(&workload, of_kind(&workload, Kind::Delete));
        spoilt["after"] = json!("{\"v\":1}");
        assert_eq!(content(&workload, &key, &spoilt), Content::Differs, "{spoilt}");
    }

    #[test]
    fn a_field_too_many_or_too_few_in_an_update_is_seen() {
        let workload = Workload { mix: Mix::UPDATES, ..workload(600) };
        for op in workload.schedule().filter(|op| op.kind == Kind::Update) {
            let (key, good) = parsed(&workload, op);
            let fields = good.pointer("/updateDescription/updatedFields").and_then(Value::as_str);
            let fields: Value = serde_json::from_str(fields.expect("text")).expect("JSON");
            let (mut more, mut other) = (fields.clone(), fields.clone());
            more["x"] = json!(1);
            other["count"] = json!("5");
            for (name, value) in [
                ("removedFields", json!(["maybe9"])),
                ("truncatedArrays", json!([{ "field": "list", "size": 77 }])),
                ("updatedFields", json!(more.to_string())),
                ("updatedFields", json!(other.to_string())),
            ] {
                let mut spoilt = good.clone();
                spoilt["updateDescription"][name] = value;
                assert_eq!(content(&workload, &key, &spoilt), Content::Differs, "{spoilt}");
            }
        }
    }

    #[test]
    fn every_altered_letter_of_a_document_is_seen() {
        let workload = workload(300);
        for (kind, path) in [
            (Kind::Insert, "/after"),
            (Kind::Replace, "/after"),
            (Kind::Update, "/updateDescription/updatedFields"),
        ] {
            let (key, good) = parsed(&workload, of_kind(&workload, kind));
            let text = good.pointer(path).and_then(Value::as_str).expect("text").to_owned();
            for at in (0..text.len()).filter(|&at| text.as_bytes()[at].is_ascii_alphanumeric()) {
                let mut altered = text.clone().into_bytes();
                altered[at] ^= 1;
                let mut spoilt = good.clone();
                *spoilt.pointer_mut(path).expect("there") =
                    Value::from(String::from_utf8(altered).expect("ASCII"));
                let seen =
                    decode(&workload, Told::Changes, Some(&key), spoilt.to_string().as_bytes());
                let unseen = seen.is_ok_and(|seen| seen.content == Content::Matches);
                assert!(!unseen, "letter {at} of {text}");
            }
        }
    }

    #[test]
    fn a_kind_is_not_taken_for_another() {
        let workload = workload(300);
        let (key, mut replace) = parsed(&workload, of_kind(&workload, Kind::Replace));
        let read = |envelope: &Value| {
            decode(&workload, Told::Changes, Some(&key), envelope.to_string().as_bytes())
        };
        assert_eq!(read(&replace).expect("readable").kind, Kind::Replace);
        replace["op"] = json!("c");
        assert_eq!(read(&replace).expect("readable").kind, Kind::Insert);
        for op in [json!("r"), json!("t"), json!(null)] {
            replace["op"] = op;
            assert_eq!(read(&replace), Err(Unreadable::Operation));
        }
    }

    #[test]
    fn a_copy_is_taken_where_copies_are_due_and_nowhere_else() {
        let workload = workload(300);
        let (key, insert) = parsed(&workload, of_kind(&workload, Kind::Insert));
        let mut copy = insert.clone();
        (copy["op"], copy["source"]["snapshot"]) = (json!("r"), json!("last"));
        let read = |told, envelope: &Value| {
            let seen = decode(&workload, told, Some(&key), envelope.to_string().as_bytes());
            seen.map(|seen| seen.content)
        };
        assert_eq!(read(Told::Copies, &copy), Ok(Content::Matches));
        assert_eq!(read(Told::Changes, &copy), Err(Unreadable::Operation));
        assert_eq!(read(Told::Copies, &insert), Err(Unreadable::Operation));
        for place in [json!("false"), json!("incremental"), json!(true), Value::Null] {
            copy["source"]["snapshot"] = place;
            assert_eq!(read(Told::Copies, &copy), Ok(Content::Differs), "{copy}");
        }
    }

    #[test]
    fn a_record_without_a_key_or_under_that_of_another_is_never_what_was_written() {
        let workload = workload(300);
        let op = of_kind(&workload, Kind::Insert);
        let other = workload.schedule().find(|other| other.key != op.key).expect("another key");
        let (_, value) = any_record(&workload, op, Format::Debezium);
        let (key, _) = any_record(&workload, other, Format::Debezium);
        let seen = decode(&workload, Told::Changes, Some(&key), &value).expect("readable");
        assert_eq!((seen.key, seen.content), (other.key, Content::Differs));
        let id = op.key.id();
        for key in [
            format!("{{\"id\":{id}}}"),
            format!("{{\"id\":\" {id}\"}}"),
            format!("{{\"id\":\"{id}\",\"x\":1}}"),
            format!("{{\"_id\":\"{id}\"}}"),
            id.to_string(),
        ] {
            let seen = decode(&workload, Told::Changes, Some(key.as_bytes()), &value);
            assert_eq!(seen, Err(Unreadable::DocumentKey), "{key}");
        }
        assert_eq!(decode(&workload, Told::Changes, None, &value), Err(Unreadable::DocumentKey));
    }

    #[test]
    fn a_record_that_is_cut_is_unreadable_and_never_panics() {
        let workload = workload(1);
        let op = workload.schedule().next().expect("one");
        let (key, value) = any_record(&workload, op, Format::Debezium);
        for end in 0..value.len() {
            assert!(decode(&workload, Told::Changes, Some(&key), &value[..end]).is_err(), "{end}");
        }
        for end in 0..key.len() {
            assert!(decode(&workload, Told::Changes, Some(&key[..end]), &value).is_err(), "{end}");
        }
    }
}
