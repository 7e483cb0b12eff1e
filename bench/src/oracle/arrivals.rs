//! Waits for fences: records behind which a lane has nothing more of a phase.
//!
//! ```text
//! topics of the broker ──► those of a lane of a combination ──► new records, looked through and dropped
//! ```
//!
//! A fence is known by its text: see [`Record::shows`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use rskafka::client::Client;

use crate::consumer::{self, Topic};

use super::combination::{Combination, Lane};
use super::record::{Record, records_of};

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What has arrived of the group that is running.
pub(super) struct Arrivals {
    client: Client,
    topics: BTreeMap<String, Followed>,
}

/// Texts that are waited for in a lane of a combination.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) combination: Combination,
    pub(super) lane: Lane,
    pub(super) texts: BTreeSet<String>,
}

struct Followed {
    topic: Topic,
    /// The next offset of each partition.
    next: Vec<i64>,
}

impl Arrivals {
    pub(super) async fn of(bootstrap: &str) -> Result<Self> {
        Ok(Self { client: consumer::connect(bootstrap).await?, topics: BTreeMap::new() })
    }

    /// Waits for all of them while something arrives, and longer by `stalled_max`. Returns what did not come.
    pub(super) async fn wait_for(
        &mut self,
        mut wanted: Vec<Wanted>,
        stalled_max: Duration,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<Vec<Wanted>> {
        let mut moved = Instant::now();
        loop {
            wanted.retain(|one| !one.texts.is_empty());
            if wanted.is_empty() || stalled_max < moved.elapsed() {
                return Ok(wanted);
            }
            alive()?;
            for topic in self.client.list_topics().await? {
                let is_ours =
                    |one: &&mut Wanted| one.combination.unmarked(one.lane, &topic.name).is_some();
                let Some(one) = wanted.iter_mut().find(is_ours) else { continue };
                let records = self.news(&topic.name).await?;
                if !records.is_empty() {
                    moved = Instant::now();
                }
                one.texts.retain(|text| !records.iter().any(|record| record.shows(text)));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What is new in a topic.
    async fn news(&mut self, name: &str) -> Result<Vec<Record>> {
        if !self.topics.contains_key(name) {
            let topic = Topic::open(&self.client, name, OPEN_TIMEOUT).await?;
            let next = vec![0; topic.partitions()];
            self.topics.insert(name.to_owned(), Followed { topic, next });
        }
        let Some(Followed { topic, next }) = self.topics.get_mut(name) else {
            return Ok(Vec::new());
        };
        Ok(topic.read_on(next).await?.into_iter().flat_map(records_of).collect())
    }
}
