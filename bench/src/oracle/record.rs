//! What a topic holds, as it is compared: read by another Kafka client than the node's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;

use crate::consumer::{Fetched, Topic};

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Its key; nothing is not empty.
    pub key: Option<Vec<u8>>,
    /// Its value; nothing is not empty.
    pub value: Option<Vec<u8>>,
    /// Its headers by name.
    pub headers: BTreeMap<String, Vec<u8>>,
}

impl Record {
    /// Its key as text.
    ///
    /// # Panics
    /// When it has none, or one that is no text.
    pub fn key_text(&self) -> &str {
        text(self.key.as_deref())
    }

    /// Its value as text.
    ///
    /// # Panics
    /// When it has none, or one that is no text.
    pub fn value_text(&self) -> &str {
        text(self.value.as_deref())
    }

    /// The resume token (`_data` in hexadecimal) of an event in JSON.
    ///
    /// # Errors
    /// When it does not begin with one.
    pub fn token(&self) -> Result<&str> {
        let value = self.value_text();
        let token = value.strip_prefix(r#"{"_id": {"_data": ""#);
        let token = token.and_then(|token| Some(token.split_once('"')?.0));
        token.with_context(|| format!("a record does not begin with its token: {value}"))
    }

    /// Whether `text` stands in its key or its value.
    pub fn holds(&self, text: &str) -> bool {
        self.parts().any(|bytes| contains(bytes, text))
    }

    /// Whether `text` stands in its key or its value, as it is or as raw BSON in base 64.
    pub fn shows(&self, text: &str) -> bool {
        self.holds(text)
            || self.parts().filter_map(|part| packed(part)).any(|bytes| contains(&bytes, text))
    }

    fn parts(&self) -> impl Iterator<Item = &Vec<u8>> {
        [&self.key, &self.value].into_iter().flatten()
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The bytes in base 64 between the last two quotes: all of `"AAE="`, the payload of `{"schema":…,"payload":"AAE="}`.
fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut parts = bytes.rsplit(|byte| *byte == b'"');
    parts.next()?;
    STANDARD.decode(parts.next()?).ok()
}

fn text(bytes: Option<&[u8]>) -> &str {
    let bytes = bytes.expect("a record without it");
    std::str::from_utf8(bytes).expect("a record that is no text")
}

/// All records of a topic now, in the order of their partitions and offsets.
///
/// # Errors
/// When the broker does not give them.
pub async fn read_all(topic: &Topic) -> Result<Vec<Record>> {
    let (sink, mut fetched) = mpsc::channel(4);
    let (read, mut records) = tokio::join!(topic.read_all(sink), async {
        let mut records = Vec::new();
        while let Some(batch) = fetched.recv().await {
            records.extend(records_of(batch));
        }
        records
    });
    read?;
    records.sort_by_key(|record: &Record| (record.partition, record.offset));
    Ok(records)
}

/// Puts records whose order says nothing into one that their content gives.
pub(super) fn sort_by_content(records: &mut [Record]) {
    records.sort_by(|a, b| {
        let content =
            |record: &Record| (record.partition, record.key.clone(), record.value.clone());
        content(a).cmp(&content(b))
    });
}

/// The records of one answer.
pub(super) fn records_of(batch: Fetched) -> impl Iterator<Item = Record> {
    let partition = batch.partition;
    batch.records.into_iter().map(move |fetched| Record {
        partition,
        offset: fetched.offset,
        key: fetched.record.key,
        value: fetched.record.value,
        headers: fetched.record.headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &[u8]) -> Record {
        Record {
            partition: 0,
            offset: 0,
            key: None,
            value: Some(value.to_vec()),
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn sorted_by_content_records_do_not_show_the_order_in_which_they_came() {
        let mut records = [record(b"b"), record(b"a"), Record { partition: 1, ..record(b"a") }];
        let mut others = records.clone();
        others.reverse();
        sort_by_content(&mut records);
        sort_by_content(&mut others);
        assert_eq!(records, others);
        assert_eq!(records[0], record(b"a"));
    }

    #[test]
    fn a_text_is_found_in_every_form() {
        let document = b"\x10\0\0\0\x02_id\0\x06\0\0\0fence\0\0";
        let base64 = STANDARD.encode(document);
        let enveloped = format!(r#"{{"schema":{{"type":"bytes"}},"payload":"{base64}"}}"#);
        for value in [
            &document[..],
            br#"{"_id": "fence"}"#,
            br#""{\"_id\": \"fence\"}""#,
            format!("\"{base64}\"").as_bytes(),
            enveloped.as_bytes(),
        ] {
            assert!(record(value).shows("fence"), "{}", String::from_utf8_lossy(value));
            assert!(!record(value).shows("other"));
        }
    }
}
