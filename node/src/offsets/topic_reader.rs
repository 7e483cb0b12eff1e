//! Reads the compacted offset topic of Kafka Connect, from the beginning to where it ended when
//! reading began.
//!
//! A topic that is not there for certain ([`super::topic`]) holds no positions; the pipeline creates it with its
//! first position.
//! Of a key the newest record counts; a record without a value resets it. Keys are spread over
//! partitions by their hash, so all are read. What a Connect cluster with exactly-once support has
//! written in transactions counts if they were committed.

use std::time::Duration;

use millrace_core::kafka::sasl::SaslError;
use millrace_core::link::Address;
use thiserror::Error;
use tokio::time::timeout;

use super::stored::StoredOffsets;
use super::topic::OffsetTopic;
use crate::kafka::{Client, KafkaError, LogRecord, read_whole};

/// How long reading may take in all.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Why the offset topic cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum OffsetTopicError {
    #[error(
        "asking {brokers} about the offset topic {topic} failed: {error}; bootstrap.servers and \
         offset.storage.topic name them"
    )]
    Kafka { topic: String, brokers: String, error: Box<KafkaError> },
    #[error("cannot log in at broker {broker} to read the offset topic {topic}: {error}")]
    Login { topic: String, broker: Address, error: SaslError },
    #[error(
        "reading the offset topic {topic} took longer than {} s; a transaction that stays open may hold it up",
        .after.as_secs()
    )]
    Slow { topic: String, after: Duration },
    #[error(
        "the offset topic {topic} is not there yet: the first connector that runs creates it; start one, and \
         stop it again"
    )]
    Missing { topic: String },
}

impl OffsetTopicError {
    pub(super) fn new(topic: &OffsetTopic, error: KafkaError) -> Self {
        let (cluster, topic) = (topic.cluster(), topic.name().to_owned());
        if let KafkaError::Login { broker, error } = error {
            return Self::Login { topic, broker, error };
        }
        let brokers: Vec<_> = cluster.bootstrap.iter().map(Address::to_string).collect();
        Self::Kafka { topic, brokers: brokers.join(","), error: Box::new(error) }
    }

    /// Whether another try may go better.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Kafka { error, .. } => error.may_pass(),
            Self::Slow { .. } => true,
            Self::Login { .. } | Self::Missing { .. } => false,
        }
    }
}

/// Reads `topic` whole.
pub(super) async fn read(topic: &OffsetTopic) -> Result<StoredOffsets, OffsetTopicError> {
    let reading = async {
        let mut client = Client::new(topic.cluster().clone());
        let partitions = topic.partitions(&mut client).await?;
        let mut stored = StoredOffsets::default();
        let insert = |LogRecord { key, value, .. }: LogRecord<'_>| {
            if let Some(key) = key {
                stored.insert(key.to_owned(), value.map(<[u8]>::to_owned));
            }
        };
        read_whole(client, topic.name(), &partitions, insert).await?;
        Ok(stored)
    };
    let slow = || OffsetTopicError::Slow { topic: topic.name().to_owned(), after: READ_TIMEOUT };
    let read = timeout(READ_TIMEOUT, reading).await.map_err(|_| slow())?;
    read.map_err(|error| OffsetTopicError::new(topic, error))
}
