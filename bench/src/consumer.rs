//! The independent consumer: reads a topic back with another client than the node's own.
//!
//! * [`Topic::read_all`] every record from offset 0 to the end of the log, all partitions at once
//! * [`Topic::follow`]   records as they come, each stamped with the moment of its arrival
//! * [`Topic::end`]      how many records the log holds now
//!
//! Records arrive in batches, in order within a partition. It commits nothing and is a member of no group. The
//! timestamps of records are the producer's (see [`crate::kafka_admin`] for the broker's).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::RecordAndOffset;
use tokio::sync::mpsc;

/// Bytes asked for in one request. A reply with one larger record still holds that record.
const FETCH_BYTES: i32 = 8 << 20;
/// How long the broker may hold a request while there is nothing to send, ms.
const LONG_POLL_MS: i32 = 500;
/// Largest reply that is accepted, bytes.
const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// Records of one partition, in the order of their offsets.
#[derive(Debug)]
pub struct Fetched {
    /// The partition; of several topics its place among all partitions.
    pub partition: i32,
    /// When the reply was complete.
    pub arrived: Instant,
    /// Key, value and offset of each record.
    pub records: Vec<RecordAndOffset>,
}

/// A topic, or several that are read as one, and a connection to the leader of each partition.
#[derive(Clone, Debug)]
pub struct Topic {
    names: Vec<String>,
    partitions: Vec<Arc<PartitionClient>>,
}

/// A client for the brokers named by `bootstrap`, `host:port` separated by commas.
pub async fn connect(bootstrap: &str) -> Result<Client> {
    let brokers = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
    ClientBuilder::new(brokers)
        .client_id("millrace-bench")
        .max_message_size(MESSAGE_BYTES_MAX)
        .build()
        .await
        .with_context(|| format!("could not connect the consumer to Kafka at {bootstrap}"))
}

impl Topic {
    /// Opens a topic; waits until it exists, at most `timeout`.
    pub async fn open(client: &Client, name: &str, timeout: Duration) -> Result<Self> {
        let started = Instant::now();
        let partitions = loop {
            let topics = client.list_topics().await.context("could not list the topics")?;
            if let Some(topic) = topics.into_iter().find(|topic| topic.name == name) {
                break topic.partitions;
            }
            ensure!(
                started.elapsed() < timeout,
                "topic {name} did not appear within {} s",
                timeout.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let open = partitions.into_iter().map(|partition| async move {
            let client = client.partition_client(name, partition, UnknownTopicHandling::Retry);
            client.await.map(Arc::new).with_context(|| format!("could not open {name}-{partition}"))
        });
        Ok(Self { names: vec![name.to_owned()], partitions: try_join_all(open).await? })
    }

    /// Several topics as one.
    pub fn together(topics: Vec<Self>) -> Self {
        let (mut names, mut partitions) = (Vec::new(), Vec::new());
        for topic in topics {
            names.extend(topic.names);
            partitions.extend(topic.partitions);
        }
        Self { names, partitions }
    }

    /// The name; of several topics the first and how many there are.
    pub fn name(&self) -> String {
        match &self.names[..] {
            [] => "none".to_owned(),
            [name] => name.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        }
    }

    /// All names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many partitions it has.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Records in all partitions now, if none was deleted.
    pub async fn end(&self) -> Result<u64> {
        Ok(self.ends().await?.into_iter().map(|(_, _, end)| end as u64).sum())
    }

    /// Name, partition and end of the log of each partition.
    pub async fn ends(&self) -> Result<Vec<(String, i32, i64)>> {
        let ends = self.partitions.iter().map(|partition| async move {
            let end = end_of(partition).await?;
            anyhow::Ok((partition.topic().to_owned(), partition.partition(), end))
        });
        try_join_all(ends).await
    }

    /// Waits until the log holds `records` records. Fails when none is added for `stalled_max`, and when `alive` says
    /// that the producer has ended. `on_progress` gets the number of records so far.
    pub async fn wait_for(
        &self,
        records: u64,
        stalled_max: Duration,
        mut alive: impl FnMut() -> Result<()>,
        mut on_progress: impl FnMut(u64),
    ) -> Result<()> {
        let (mut seen, mut grown) = (0, Instant::now());
        loop {
            let end = self.end().await?;
            on_progress(end);
            if records <= end {
                return Ok(());
            }
            alive()?;
            if seen < end {
                (seen, grown) = (end, Instant::now());
            }
            ensure!(
                grown.elapsed() < stalled_max,
                "topic {} stands at {end} of {records} records for {} s",
                self.name(),
                stalled_max.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends every record of the log, as it is now, to `sink`. Ends early when the receiver is gone.
    pub async fn read_all(&self, sink: mpsc::Sender<Fetched>) -> Result<()> {
        let readers = (0..).zip(&self.partitions);
        let readers = readers.map(|(place, partition)| read_all(place, partition, sink.clone()));
        try_join_all(readers).await?;
        Ok(())
    }

    /// Reads each partition from its offset in `next` to its end now, and moves the offsets on.
    pub async fn read_on(&self, next: &mut [i64]) -> Result<Vec<Fetched>> {
        let mut all = Vec::new();
        for ((place, partition), next) in (0..).zip(&self.partitions).zip(next) {
            let end = end_of(partition).await?;
            while *next < end {
                let fetched = fetch(place, partition, *next, LONG_POLL_MS).await?;
                let last = fetched.records.last().map(|record| record.offset);
                *next = last.with_context(|| format!("the log has a gap at {next} of {end}"))? + 1;
                all.push(fetched);
            }
        }
        Ok(all)
    }

    /// Sends records from the end of the log on to the returned channel until that is dropped. One task per partition
    /// holds a request open at the broker, so that a record is seen as soon as it is committed.
    pub async fn follow(&self) -> Result<mpsc::UnboundedReceiver<Result<Fetched>>> {
        let (sink, fetched) = mpsc::unbounded_channel();
        for (place, partition) in (0..).zip(&self.partitions) {
            let from = end_of(partition).await?;
            tokio::spawn(follow(place, partition.clone(), from, sink.clone()));
        }
        Ok(fetched)
    }
}

async fn end_of(partition: &PartitionClient) -> Result<i64> {
    partition.get_offset(OffsetAt::Latest).await.context("could not read the end of the log")
}

async fn read_all(
    place: i32,
    partition: &PartitionClient,
    sink: mpsc::Sender<Fetched>,
) -> Result<()> {
    let end = end_of(partition).await?;
    let mut offset = 0;
    while offset < end {
        let fetched = fetch(place, partition, offset, LONG_POLL_MS).await?;
        let last = fetched.records.last().map(|record| record.offset);
        offset =
            last.with_context(|| format!("the log of {} records has a gap at {offset}", end))? + 1;
        if sink.send(fetched).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn follow(
    place: i32,
    partition: Arc<PartitionClient>,
    from: i64,
    sink: mpsc::UnboundedSender<Result<Fetched>>,
) {
    let mut offset = from;
    loop {
        let fetched = tokio::select! {
            fetched = fetch(place, &partition, offset, LONG_POLL_MS) => fetched,
            // Nobody listens: the request is given up, so that it does not see the topic deleted.
            () = sink.closed() => return,
        };
        match &fetched {
            Ok(fetched) if fetched.records.is_empty() => continue,
            Ok(fetched) => offset = fetched.records.last().map_or(offset, |last| last.offset + 1),
            Err(_) => {
                let _ = sink.send(fetched);
                return;
            }
        }
        let _ = sink.send(fetched);
    }
}

async fn fetch(
    place: i32,
    partition: &PartitionClient,
    offset: i64,
    wait_ms: i32,
) -> Result<Fetched> {
    let (records, _) = partition
        .fetch_records(offset, 1..FETCH_BYTES, wait_ms)
        .await
        .with_context(|| format!("could not fetch {} from {offset}", partition.topic()))?;
    Ok(Fetched { partition: place, arrived: Instant::now(), records })
}
