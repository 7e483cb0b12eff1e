//! What a topic holds, read by another Kafka client than the node's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_bench::consumer::{self, Topic};
use tokio::sync::mpsc;

use super::{NodeProcess, PATIENCE, eventually};

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, Vec<u8>>,
}

impl Record {
    pub(crate) fn key_text(&self) -> &str {
        text(self.key.as_deref())
    }

    pub(crate) fn value_text(&self) -> &str {
        text(self.value.as_deref())
    }

    /// The resume token (`_data` in hexadecimal) of an event in JSON.
    pub(crate) fn token(&self) -> Result<&str> {
        let value = self.value_text();
        let token = value.strip_prefix(r#"{"_id": {"_data": ""#);
        let token = token.and_then(|token| Some(token.split_once('"')?.0));
        token.with_context(|| format!("a record does not begin with its token: {value}"))
    }
}

fn text(bytes: Option<&[u8]>) -> &str {
    let bytes = bytes.expect("a record without it");
    std::str::from_utf8(bytes).expect("a record that is no text")
}

/// A topic that is there, and a connection to it.
#[derive(Debug)]
pub(crate) struct Records {
    topic: Topic,
}

impl Records {
    /// Waits until the topic `name` is there.
    pub(crate) async fn open(bootstrap: &str, name: &str) -> Result<Self> {
        let client = consumer::connect(bootstrap).await?;
        Ok(Self { topic: Topic::open(&client, name, PATIENCE).await? })
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// All records now, in the order of their partitions and offsets.
    pub(crate) async fn all(&self) -> Result<Vec<Record>> {
        let (sink, mut fetched) = mpsc::channel(4);
        let (read, mut records) = tokio::join!(self.topic.read_all(sink), async {
            let mut records = Vec::new();
            while let Some(batch) = fetched.recv().await {
                for fetched in batch.records {
                    records.push(Record {
                        partition: batch.partition,
                        offset: fetched.offset,
                        key: fetched.record.key,
                        value: fetched.record.value,
                        headers: fetched.record.headers,
                    });
                }
            }
            records
        });
        read?;
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// Waits until there are at least `count` records, while `node` lives.
    pub(crate) async fn at_least(&self, count: u64, node: &mut NodeProcess) -> Result<Vec<Record>> {
        let alive = || node.ensure_alive();
        self.topic.wait_for(count, PATIENCE, alive, |_| ()).await?;
        self.all().await
    }

    /// Waits until nothing more is appended for a while, as after the end of a producer.
    pub(crate) async fn settled(&self) -> Result<u64> {
        let mut last = None;
        eventually("the end of the topic stands still", async || {
            let end = self.topic.end().await?;
            let stands_still = last == Some(end);
            last = Some(end);
            if !stands_still {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(stands_still.then_some(end))
        })
        .await
    }
}
