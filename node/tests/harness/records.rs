//! What a topic holds, read by another Kafka client than the node's.

use std::time::Duration;

use anyhow::Result;
use millrace_bench::consumer::{self, Topic};
pub(crate) use millrace_bench::oracle::record::Record;
use millrace_bench::oracle::record::read_all;

use super::{NodeProcess, PATIENCE, eventually};

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
        read_all(&self.topic).await
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
