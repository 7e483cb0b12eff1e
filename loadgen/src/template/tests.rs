//! Laws of templates.

use std::collections::BTreeSet;

use bson::{Bson, Document};
use proptest::prelude::*;

use super::*;
use crate::workload::{Collections, Key, KeySpread, Mix, Workload};

const ORDER: &str = r#"{
    "customer": { "name": { "$string": { "min": 5, "max": 30 } }, "vip": { "$bool": {} } },
    "status": { "$choice": ["new", "paid", { "$int": { "min": 1, "max": 3 } }] },
    "placed": { "$date": { "min": "2024-01-01T00:00:00Z", "max": "2024-01-02T00:00:00Z" } },
    "items": { "$array": { "min": 1, "max": 4, "of": {
        "sku": { "$oid": {} }, "price": { "$double": { "min": 1, "max": 90.5 } }
    } } },
    "photo": { "$binary": 16 },
    "serial": { "$long": { "min": -9223372036854775808, "max": 9223372036854775807 } },
    "currency": "EUR", "rate": 1.5, "big": 5000000000, "none": null, "tags": ["a", 1, true]
}"#;

fn workload(seed: u64, template: &str) -> Workload {
    Workload {
        seed,
        database: "d".into(),
        collections: Collections::one("c"),
        operations: 0,
        writers: 1,
        mix: Mix::ALL,
        document: Template::parse(template).unwrap().into(),
        key_spread: KeySpread::Uniform,
    }
}

proptest! {
    #[test]
    fn documents_follow_the_template(seed: u64, number: u32, version in 0..9_u32) {
        let workload = workload(seed, ORDER);
        let document = workload.document(Key { writer: 0, number }, version);
        let names: Vec<_> = document.keys().map(String::as_str).collect();
        let expected = [
            "_id", "v", "customer", "status", "placed", "items", "photo", "serial", "currency", "rate",
            "big", "none", "tags",
        ];
        prop_assert_eq!(names, expected);
        let customer = document.get_document("customer").unwrap();
        prop_assert!((5..=30).contains(&customer.get_str("name").unwrap().len()));
        prop_assert!(customer.get_bool("vip").is_ok());
        let placed = document.get_datetime("placed").unwrap().timestamp_millis();
        prop_assert!((1_704_067_200_000..=1_704_153_600_000).contains(&placed));
        let items = document.get_array("items").unwrap();
        prop_assert!((1..=4).contains(&items.len()));
        for item in items.iter().filter_map(Bson::as_document) {
            prop_assert!(item.get_object_id("sku").is_ok());
            prop_assert!((1.0..90.5).contains(&item.get_f64("price").unwrap()));
        }
        prop_assert_eq!(document.get_binary_generic("photo").unwrap().len(), 16);
        prop_assert_eq!(document.get("currency"), Some(&Bson::from("EUR")));
        prop_assert_eq!(document.get("big"), Some(&Bson::Int64(5_000_000_000)));
        prop_assert_eq!(document.get("none"), Some(&Bson::Null));
        let bytes = document.to_vec().unwrap().len() as u64;
        prop_assert!(bytes <= workload.document.bytes_max(), "{}", bytes);
    }

    #[test]
    fn an_update_sets_only_what_never_comes_twice(seed: u64, number: u32) {
        let workload = workload(seed, ORDER);
        let key = Key { writer: 0, number };
        let mut document: Document = workload.document(key, 0);
        for version in 1..30 {
            let update = workload.update(key, version);
            prop_assert!((2..=4).contains(&update.len()));
            for (name, value) in update {
                prop_assert!(["v", "items", "photo", "serial"].contains(&name.as_str()), "{}", name);
                prop_assert_ne!(document.insert(name, value.clone()), Some(value));
            }
        }
    }
}

#[test]
fn every_choice_comes() {
    let workload = workload(1, ORDER);
    let found: BTreeSet<_> = (0..100)
        .map(|number| workload.document(Key { writer: 0, number }, 0))
        .map(|document| document.get("status").unwrap().to_string())
        .collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["\"new\"", "\"paid\"", "1", "2", "3"]);
}

#[test]
fn a_template_without_wide_fields_is_updated_by_its_version_alone() {
    let workload = workload(1, r#"{ "a": { "$int": { "min": 1, "max": 9 } } }"#);
    let update = workload.update(Key { writer: 0, number: 0 }, 4);
    assert_eq!(update, bson::doc! { "v": 4 });
}

#[test]
fn errors_name_the_field_and_the_line() {
    for (template, expected) in [
        (
            "{\n \"a\": {\n \"$int\": {\"min\": 3, \"max\": 1} }\n}",
            "field `a`, $int: min is larger than max at line 3",
        ),
        (
            "{\n \"a\": { \"$int\": {\"min\": 3} } }",
            "field `a`, $int: missing field `max` at line 2",
        ),
        ("{\n\n \"a\": { \"b\": { \"$it\": 1 } } }", "field `a` / `b`, $it: no such generator"),
        ("{\"a\": { \"$oid\": {}, \"x\": 1 } }", "field `a`: `x` stands beside $oid"),
        ("{\n\"_id\": 1 }", "field `_id`: the load generator writes a field of this name"),
        ("{\"list\": 1 }", "field `list`: the load generator"),
        ("{\"a\": 1,\n \"a\": 2 }", "field `a`: it comes twice at line 2"),
        ("{\"a.b\": 1 }", "field `a.b`: a name has no `.`"),
        ("{\"a\": { \"$date\": { \"min\": \"x\", \"max\": \"y\" } } }", "\"x\" is no date"),
        ("{\"a\": { \"$choice\": [] } }", "field `a`, $choice: give a list"),
        ("{\"a\": { \"$string\": \"long\" } }", "field `a`, $string: "),
        ("{\"a\": { \"$array\": { \"min\": 1 } } }", "field `a` / `$array`: give min, max and of"),
        ("[1]", "a template is a document"),
        ("{\"a\": }", "expected value at line 1 column 7"),
        ("{} x", "trailing characters"),
        ("{\"a\": 18446744073709551615}", "larger than an Int64"),
    ] {
        let error = Template::parse(template).unwrap_err().to_string();
        assert!(error.contains(expected), "{template}\n{error}");
    }
}

#[test]
fn a_template_that_makes_too_large_documents_is_refused() {
    let workload = workload(1, r#"{ "a": { "$string": 10000000 }, "b": { "$string": 9000000 } }"#);
    let refused = workload.check().unwrap_err().to_string();
    assert!(refused.contains("are too large: the server takes 16777216"), "{refused}");
}
