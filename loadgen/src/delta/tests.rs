//! Laws of deltas, with a small interpreter of update statements as the judge. A real server judges them in
//! `bench/tests/load_on_real_servers.rs`.

use std::collections::BTreeMap;

use bson::{Bson, doc};
use proptest::prelude::*;

use super::*;
use crate::document::DocumentShape;
use crate::workload::{Collections, KeySpread, Mix};

fn workload(seed: u64, document: DocumentShape) -> Workload {
    Workload {
        seed,
        database: "d".into(),
        collections: Collections::one("c"),
        operations: 0,
        writers: 1,
        mix: Mix::UPDATES,
        document: document.into(),
        key_spread: KeySpread::Uniform,
    }
}

fn modification(workload: &Workload, key: Key, version: u32) -> Bson {
    let mut writer = BsonWriter::default();
    let open = writer.open();
    workload.push_modification(&mut writer, key, version);
    writer.close_document(open);
    decode(writer.into_bytes()).remove("u").expect("the statement's u")
}

/// What a server does to a document.
fn apply(document: &mut Document, modification: &Bson) {
    if let Some(stages) = modification.as_array() {
        let set = stages[0].as_document().unwrap().get_document("$set").unwrap();
        document.insert("v", set.get_i32("v").unwrap());
        let slice = set.get_document("list").unwrap().get_array("$slice").unwrap();
        let length = slice[1].as_i32().unwrap() as usize;
        document.get_array_mut("list").unwrap().truncate(length);
        return;
    }
    for (operator, fields) in modification.as_document().unwrap() {
        for (name, value) in fields.as_document().unwrap() {
            match (operator.as_str(), name.strip_prefix("list.")) {
                ("$set", Some(place)) => {
                    let place: usize = place.parse().unwrap();
                    document.get_array_mut("list").unwrap()[place] = value.clone();
                }
                ("$set", None) => drop(document.insert(name, value.clone())),
                ("$unset", None) => drop(document.remove(name).expect("it was there")),
                ("$inc", None) => {
                    let sum = document.get_i64(name).unwrap() + value.as_i64().unwrap();
                    document.insert(name, sum);
                }
                ("$push", None) => document.get_array_mut(name).unwrap().push(value.clone()),
                ("$pop", None) => drop(document.get_array_mut(name).unwrap().pop().unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn delta_fields(document: &Document) -> BTreeMap<&str, &Bson> {
    let is_of_delta = |name: &str| name == "count" || name == "list" || name.starts_with("maybe");
    document
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| is_of_delta(name))
        .collect()
}

proptest! {
    #[test]
    fn updates_lead_from_each_version_to_what_a_replace_of_the_next_writes(seed: u64, number: u32) {
        let workload = workload(seed, DocumentShape::ALL_1_KB);
        let key = Key { writer: 0, number };
        let mut document = workload.document(key, 0);
        for version in 1..50 {
            apply(&mut document, &modification(&workload, key, version));
            let replaced = workload.document(key, version);
            prop_assert_eq!(delta_fields(&document), delta_fields(&replaced), "version {}", version);
            prop_assert_eq!(document.get_i32("v").unwrap(), version as i32);
        }
    }

    #[test]
    fn a_change_names_what_differs_and_nothing_else(seed: u64, number: u32) {
        let workload = workload(seed, DocumentShape::PLAIN_1_KB);
        let key = Key { writer: 0, number };
        let mut before = workload.document(key, 0);
        for version in 1..50 {
            let mut after = before.clone();
            apply(&mut after, &modification(&workload, key, version));
            for change in workload.changes(key, version) {
                prop_assert_eq!(&replay(&before, &change), &after, "version {}", version);
                for (name, value) in decode(change.updated) {
                    prop_assert_ne!(before.get(&name), Some(&value), "{} of {}", name, version);
                }
            }
            before = after;
        }
    }
}

/// What somebody makes of `before` who knows nothing but the event.
fn replay(before: &Document, change: &Change) -> Document {
    let mut after = before.clone();
    for (name, value) in decode(change.updated.clone()) {
        match name.strip_prefix("list.") {
            Some(place) => {
                let list = after.get_array_mut("list").unwrap();
                let place: usize = place.parse().unwrap();
                if place == list.len() { list.push(value) } else { list[place] = value }
            }
            None => drop(after.insert(name, value)),
        }
    }
    if let Some(name) = &change.removed {
        after.remove(name).expect("it was there");
    }
    if let Some(Truncated { field, new_size }) = change.truncated {
        let list = after.get_array_mut(field).unwrap();
        assert!((new_size as usize) < list.len());
        list.truncate(new_size as usize);
    }
    after
}

#[test]
fn every_delta_comes_and_those_without_weight_do_not() {
    let workload = workload(1, DocumentShape::PLAIN_1_KB);
    let mut counts = BTreeMap::<_, u32>::new();
    for number in 0..200 {
        for version in 1..64 {
            let name = match workload.delta(Key { writer: 0, number }, version) {
                Delta::Set => "set",
                Delta::Reset => "reset",
                Delta::Unset { .. } => "unset",
                Delta::Restore { .. } => "restore",
                Delta::Inc { .. } => "inc",
                Delta::Push => "push",
                Delta::Pop => "pop",
                Delta::Truncate => "truncate",
                Delta::Element { .. } => "element",
            };
            *counts.entry(name).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 9, "{counts:?}");
    assert_eq!(counts["reset"], 600);
    assert!(counts.values().all(|&count| 20 < count), "{counts:?}");

    let mut increments = workload;
    increments.mix.deltas = Deltas { set: 0, inc: 1, ..Deltas::SET };
    let deltas = (1..16).map(|version| increments.delta(Key { writer: 0, number: 0 }, version));
    assert!(deltas.into_iter().all(|delta| matches!(delta, Delta::Inc { .. })));
}

#[test]
fn workloads_of_plain_sets_carry_no_fields_of_deltas() {
    let mut workload = workload(1, DocumentShape::PLAIN_1_KB);
    workload.mix = Mix::ALL;
    let document = workload.document(Key { writer: 0, number: 0 }, 3);
    assert_eq!(delta_fields(&document).len(), 0);
    assert_eq!(
        modification(&workload, Key { writer: 0, number: 0 }, 3),
        Bson::from(doc! { "$set": workload.update(Key { writer: 0, number: 0 }, 3) })
    );
}
