//! Reads the compacted offset topic of Kafka Connect, from the beginning to where it ended when
//! reading began.
//!
//! A topic that is not there holds no positions; the pipeline creates it with its first position.
//! Of a key the newest record counts; a record without a value resets it. Keys are spread over
//! partitions by their hash, so all are read.
//!
//! A topic that holds transactions, as a Connect cluster with exactly-once support writes them, is
//! refused: the client cannot read their marks, and guessing which positions count could lose events.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_core::link::Address;
use millrace_io::tls::TlsClient;
use rskafka::BackoffConfig;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use thiserror::Error;
use tokio::time::timeout;

use super::stored::StoredOffsets;

/// How long brokers may stay away before that is an error.
const BROKER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading may take in all.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a broker holds an answer back that has nothing in it.
const FETCH_WAIT_MS: i32 = 500;
/// Bytes of one answer; the broker sends a larger record all the same.
const FETCH_BYTES: std::ops::Range<i32> = 1..1 << 20;

/// Why the offset topic cannot be read.
#[derive(Debug, Error)]
pub(crate) enum TopicReaderError {
    #[error(
        "reading the offset topic {topic} from {brokers} failed: {error}; bootstrap.servers and \
         offset.storage.topic name them"
    )]
    Kafka { topic: String, brokers: String, error: Box<rskafka::client::error::Error> },
    #[error(
        "no broker of {brokers} answered within {} s; is bootstrap.servers right and Kafka \
         running?",
        .after.as_secs()
    )]
    Silent { brokers: String, after: Duration },
    #[error("reading the offset topic {topic} took longer than {} s", .after.as_secs())]
    Slow { topic: String, after: Duration },
}

/// Reads `topic` whole.
pub(super) async fn read(
    bootstrap: &[Address],
    tls: Option<&TlsClient>,
    topic: &str,
) -> Result<StoredOffsets, TopicReaderError> {
    let brokers: Vec<String> = bootstrap.iter().map(Address::to_string).collect();
    let names = brokers.join(",");
    let kafka = |error| TopicReaderError::Kafka {
        topic: topic.to_owned(),
        brokers: names.clone(),
        error: Box::new(error),
    };
    let backoff = BackoffConfig { deadline: Some(BROKER_TIMEOUT), ..BackoffConfig::default() };
    let mut building =
        ClientBuilder::new(brokers).client_id("millrace-offsets").backoff_config(backoff);
    if let Some(tls) = tls {
        building = building.tls_config(tls.config());
    }
    let client = timeout(BROKER_TIMEOUT, building.build())
        .await
        .map_err(|_| TopicReaderError::Silent { brokers: names.clone(), after: BROKER_TIMEOUT })?;
    let client = client.map_err(kafka)?;
    let reading = async {
        let topics = client.list_topics().await?;
        let mut stored = StoredOffsets::default();
        let Some(known) = topics.into_iter().find(|known| known.name == topic) else {
            return Ok(stored);
        };
        for partition in known.partitions {
            let handling = UnknownTopicHandling::Retry;
            let partition = client.partition_client(topic, partition, handling).await?;
            for (key, value) in read_partition(&partition).await? {
                stored.insert(key, value);
            }
        }
        Ok(stored)
    };
    let slow = TopicReaderError::Slow { topic: topic.to_owned(), after: READ_TIMEOUT };
    timeout(READ_TIMEOUT, reading).await.map_err(|_| slow)?.map_err(kafka)
}

/// The newest value of each key of one partition.
async fn read_partition(
    partition: &PartitionClient,
) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, rskafka::client::error::Error> {
    let mut offset = partition.get_offset(OffsetAt::Earliest).await?;
    let end = partition.get_offset(OffsetAt::Latest).await?;
    let mut newest = BTreeMap::new();
    while offset < end {
        let (records, _) = partition.fetch_records(offset, FETCH_BYTES, FETCH_WAIT_MS).await?;
        // Compaction leaves gaps; an answer without records lies in one.
        offset = records.last().map_or(offset, |record| record.offset) + 1;
        for record in records {
            if let Some(key) = record.record.key {
                newest.insert(key, record.record.value);
            }
        }
    }
    Ok(newest)
}
