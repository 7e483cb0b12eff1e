//! The topics of an arm: made new, timed by the broker's clock, deleted.
//!
//! ```text
//! fresh ─► arm writes ─► append_window    first batch of any topic ─── last batch of any topic
//!                        delete           until the broker has forgotten them
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::spawn_blocking;

use crate::consumer::{self, Topic};
use crate::kafka_admin::KafkaAdmin;

/// How long the broker may take to know a topic, or to forget it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the broker's clock says of topics that were filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendWindow {
    /// Records in all of them.
    pub events: u64,
    /// From the first batch to the last.
    pub window: Duration,
    /// Records of the first batch.
    pub events_first_batch: u64,
}

/// Empty topics in which the broker notes when it appended each batch. What an earlier run left there is deleted.
pub async fn fresh(bootstrap: &str, names: &[String], partitions: i32) -> Result<Topic> {
    let client = consumer::connect(bootstrap).await?;
    let there = client.list_topics().await?;
    let is_there = |name: &&String| there.iter().any(|topic| topic.name == **name);
    let left: Vec<_> = names.iter().filter(is_there).cloned().collect();
    delete(bootstrap, &left).await?;
    let (address, new) = (bootstrap.to_owned(), names.to_owned());
    let settings = [("message.timestamp.type", "LogAppendTime")];
    spawn_blocking(move || {
        let mut admin = KafkaAdmin::connect(&address)?;
        new.iter().try_for_each(|name| admin.create_topic(name, partitions, &settings))
    })
    .await??;
    let mut topics = Vec::new();
    for name in names {
        topics.push(Topic::open(&client, name, TIMEOUT).await?);
    }
    Ok(Topic::together(topics))
}

/// As [`fresh`], one topic.
pub async fn fresh_one(bootstrap: &str, name: &str, partitions: i32) -> Result<Topic> {
    fresh(bootstrap, &[name.to_owned()], partitions).await
}

/// Deletes topics and waits until the broker has forgotten them.
pub async fn delete(bootstrap: &str, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let client = consumer::connect(bootstrap).await?;
    let controller = client.controller_client()?;
    for name in names {
        let deleted = controller.delete_topic(name, TIMEOUT.as_millis() as i32).await;
        deleted.with_context(|| format!("could not delete topic {name}"))?;
    }
    let asked = Instant::now();
    let still_there = |name: &str| names.iter().any(|deleted| deleted == name);
    while client.list_topics().await?.iter().any(|topic| still_there(&topic.name)) {
        ensure!(asked.elapsed() < TIMEOUT, "topics are still there after their deletion");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Asks the broker when it appended the first and the last batch of every partition.
pub async fn append_window(bootstrap: &str, topic: &Topic) -> Result<AppendWindow> {
    let (ends, name) = (topic.ends().await?, topic.name());
    let bootstrap = bootstrap.to_owned();
    spawn_blocking(move || {
        let mut admin = KafkaAdmin::connect(&bootstrap)?;
        let (mut first, mut last_ms, mut events) = (None, i64::MIN, 0);
        for (name, partition, end) in ends {
            let begin = admin.batch_at(&name, partition, 0)?;
            let tail = admin.batch_at(&name, partition, end.saturating_sub(1))?;
            let Some((begin, tail)) = begin.zip(tail) else { continue };
            events += end as u64;
            last_ms = last_ms.max(tail.appended_ms);
            if first.is_none_or(|(appended_ms, _)| begin.appended_ms < appended_ms) {
                first = Some((begin.appended_ms, u64::from(begin.records)));
            }
        }
        let (first_ms, events_first_batch) =
            first.with_context(|| format!("topic {name} is empty"))?;
        let window = Duration::from_millis(last_ms.saturating_sub(first_ms).max(0) as u64);
        Ok(AppendWindow { events, window, events_first_batch })
    })
    .await?
}
