//! Holds the topics of the two lanes against each other, record for record.
//!
//! ```text
//! topic ─► partition ─► record 0, 1, 2, …   partition, key, value (nothing is not empty), headers
//! ```
//!
//! Offsets and timestamps are not compared: the first follow from the order, the second are the producers' clocks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::record::Record;

/// Topics by name, each with its records in the order of partitions and offsets.
pub type Topics = BTreeMap<String, Vec<Record>>;

/// How many bytes around a difference are shown.
const SHOWN: usize = 120;

/// What differs between the lanes; empty if nothing does. One entry per topic and partition at most.
pub fn differences(java: &Topics, node: &Topics) -> Vec<String> {
    let mut found = Vec::new();
    for name in java.keys().filter(|name| !node.contains_key(*name)) {
        found.push(format!("{name}: a topic of Java's lane alone"));
    }
    for (name, ours) in node {
        let Some(theirs) = java.get(name) else {
            found.push(format!("{name}: a topic of the node's lane alone"));
            continue;
        };
        let (theirs, ours) = (by_partition(theirs), by_partition(ours));
        let partitions = theirs.keys().chain(ours.keys().filter(|p| !theirs.contains_key(p)));
        for partition in partitions {
            let lane = |records: &BTreeMap<i32, Vec<Record>>| {
                records.get(partition).cloned().unwrap_or_default()
            };
            let difference = sequence(&lane(&theirs), &lane(&ours));
            found.extend(difference.map(|text| format!("{name}, partition {partition}: {text}")));
        }
    }
    found
}

fn by_partition(records: &[Record]) -> BTreeMap<i32, Vec<Record>> {
    let mut partitions: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    for record in records {
        partitions.entry(record.partition).or_default().push(record.clone());
    }
    partitions
}

/// The first difference between two sequences of records.
fn sequence(java: &[Record], node: &[Record]) -> Option<String> {
    let first = java.iter().zip(node).position(|(java, node)| !same(java, node));
    if first.is_none() && java.len() == node.len() {
        return None;
    }
    let mut text = format!("{} records in Java's lane, {} in the node's", java.len(), node.len());
    let at = first.unwrap_or(java.len().min(node.len()));
    match (java.get(at), node.get(at)) {
        (Some(theirs), Some(ours)) => {
            let _ = write!(text, "; record {at} differs in {}", difference(theirs, ours));
            let later = |records: &[Record], wanted: &Record| {
                records.iter().skip(at + 1).position(|record| same(record, wanted))
            };
            if later(node, theirs).is_some() {
                text.push_str("; the node's lane has the record of Java's later");
            }
            if later(java, ours).is_some() {
                text.push_str("; Java's lane has the record of the node's later");
            }
        }
        (Some(lost), None) => {
            let _ = write!(text, "; the node's lane has no {}", shown(lost.key.as_deref(), 0));
        }
        (None, Some(extra)) => {
            let _ = write!(text, "; Java's lane has no {}", shown(extra.key.as_deref(), 0));
        }
        (None, None) => {}
    }
    Some(text)
}

fn same(java: &Record, node: &Record) -> bool {
    java.key == node.key && java.value == node.value && java.headers == node.headers
}

fn difference(java: &Record, node: &Record) -> String {
    if java.headers != node.headers {
        return format!(
            "its headers: {:?} in Java's lane, {:?} in the node's",
            java.headers, node.headers
        );
    }
    let (part, java, node) = if java.key == node.key {
        ("value", java.value.as_deref(), node.value.as_deref())
    } else {
        ("key", java.key.as_deref(), node.key.as_deref())
    };
    let bytes = |side: Option<&[u8]>| side.unwrap_or_default().to_vec();
    let pairs = bytes(java).into_iter().zip(bytes(node));
    let at = pairs.take_while(|(java, node)| java == node).count();
    format!(
        "its {part} at byte {at}:\n    Java's lane     {}\n    the node's lane {}",
        shown(java, at),
        shown(node, at)
    )
}

/// The bytes around `at`, as text where they are.
fn shown(bytes: Option<&[u8]>, at: usize) -> String {
    let Some(bytes) = bytes else { return "nothing".to_owned() };
    let begin = at.saturating_sub(SHOWN / 2).min(bytes.len());
    let end = (at + SHOWN / 2).min(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(begin..end).unwrap_or_default());
    // Quotes stay as they are: there are many of them.
    let escape =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    format!("{} bytes …{}…", bytes.len(), text.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: i64) -> Record {
        Record {
            partition: (number % 2) as i32,
            offset: number,
            key: Some(format!("key {number}").into_bytes()),
            value: Some(format!("value {number}").into_bytes()),
            headers: BTreeMap::new(),
        }
    }

    fn topics(records: Vec<Record>) -> Topics {
        [("a".to_owned(), records)].into()
    }

    /// What is found when the node's lane is Java's with a spoilt copy of its records.
    fn spoilt(spoil: impl FnOnce(&mut Vec<Record>)) -> String {
        let java: Vec<_> = (0..8).map(record).collect();
        let mut node = java.clone();
        spoil(&mut node);
        differences(&topics(java), &topics(node)).join("\n")
    }

    #[test]
    fn equal_lanes_do_not_differ_whatever_their_offsets() {
        let moved = spoilt(|records| records.iter_mut().for_each(|record| record.offset += 7));
        assert_eq!(moved, "");
    }

    #[test]
    fn every_altered_byte_of_every_record_is_found() {
        for number in 0..8 {
            for byte in 0..5 {
                let found = spoilt(|records| records[number].value.as_mut().unwrap()[byte] ^= 1);
                assert!(found.contains(&format!("its value at byte {byte}")), "{found}");
                let found = spoilt(|records| records[number].key.as_mut().unwrap()[byte] ^= 1);
                assert!(found.contains(&format!("its key at byte {byte}")), "{found}");
            }
        }
    }

    #[test]
    fn lost_doubled_swapped_and_moved_records_are_found() {
        let found = spoilt(|records| drop(records.remove(2)));
        assert!(found.contains("4 records in Java's lane, 3 in the node's"), "{found}");
        assert!(found.contains("Java's lane has the record of the node's later"), "{found}");
        let found = spoilt(|records| drop(records.pop()));
        assert!(found.contains("the node's lane has no 5 bytes …key 7…"), "{found}");
        let found = spoilt(|records| records.insert(2, records[2].clone()));
        assert!(found.contains("4 records in Java's lane, 5 in the node's"), "{found}");
        let found = spoilt(|records| records.swap(2, 4));
        assert!(found.contains("the node's lane has the record of Java's later"), "{found}");
        let found = spoilt(|records| records[2].partition = 5);
        assert!(
            found.contains("partition 5: 0 records in Java's lane, 1 in the node's"),
            "{found}"
        );
    }

    #[test]
    fn nothing_is_not_empty_and_not_the_word_null() {
        for value in [Some(Vec::new()), Some(b"null".to_vec())] {
            let found = differences(
                &topics(vec![Record { value: None, ..record(0) }]),
                &topics(vec![Record { value, ..record(0) }]),
            );
            assert!(found.concat().contains("Java's lane     nothing"), "{found:?}");
        }
    }

    #[test]
    fn headers_and_names_of_topics_are_compared() {
        let found = spoilt(|records| drop(records[3].headers.insert("h".to_owned(), vec![1])));
        assert!(found.contains("headers"), "{found}");
        let (java, node) =
            (topics(vec![record(0)]), Topics::from([("b".to_owned(), vec![record(0)])]));
        assert_eq!(differences(&java, &node).len(), 2);
    }
}
