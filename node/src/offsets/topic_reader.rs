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

use millrace_core::kafka::sasl::{Login, Mechanism, SaslError};
use millrace_core::link::Address;
use millrace_core::scram::Hash;
use rskafka::BackoffConfig;
use rskafka::client::error::Error;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use thiserror::Error;
use tokio::time::timeout;

use super::stored::StoredOffsets;
use crate::config::KafkaSecurity;
use crate::kafka::{Connection, KafkaError};

/// How long brokers may stay away before that is an error.
const BROKER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long reading may take in all.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a broker holds an answer back that has nothing in it.
const FETCH_WAIT_MS: i32 = 500;
/// Bytes of one answer; the broker sends a larger record all the same.
const FETCH_BYTES: std::ops::Range<i32> = 1..1 << 20;

/// Why the offset topic cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum OffsetTopicError {
    #[error(
        "asking {brokers} about the offset topic {topic} failed: {error}; bootstrap.servers and \
         offset.storage.topic name them"
    )]
    Kafka { topic: String, brokers: String, error: Box<Error> },
    #[error(
        "no broker of {brokers} answered within {} s; is bootstrap.servers right and Kafka \
         running?",
        .after.as_secs()
    )]
    Silent { brokers: String, after: Duration },
    #[error("cannot log in at broker {broker} to read the offset topic {topic}: {error}")]
    Login { topic: String, broker: Address, error: SaslError },
    #[error("reading the offset topic {topic} took longer than {} s", .after.as_secs())]
    Slow { topic: String, after: Duration },
    #[error(
        "the offset topic {topic} is not there yet: the first connector that runs creates it; start one, and \
         stop it again"
    )]
    Missing { topic: String },
}

/// Reads `topic` whole.
pub(super) async fn read(
    cluster: &Cluster,
    topic: &str,
) -> Result<StoredOffsets, OffsetTopicError> {
    let brokers = Brokers::new(cluster, topic);
    let client = brokers.connect().await?;
    let reading = async {
        let mut stored = StoredOffsets::default();
        for partition in partitions(&client, topic).await? {
            let handling = UnknownTopicHandling::Retry;
            let partition = client.partition_client(topic, partition, handling).await?;
            for (key, value) in read_partition(&partition).await? {
                stored.insert(key, value);
            }
        }
        Ok(stored)
    };
    let slow = || OffsetTopicError::Slow { topic: topic.to_owned(), after: READ_TIMEOUT };
    timeout(READ_TIMEOUT, reading).await.map_err(|_| slow())?.map_err(|error| brokers.failed(error))
}

/// The partitions of `topic`; none if it is not there.
pub(super) async fn partitions(client: &Client, topic: &str) -> Result<Vec<i32>, Error> {
    let topics = client.list_topics().await?;
    let known = topics.into_iter().find(|known| known.name == topic);
    Ok(known.map_or_else(Vec::new, |known| known.partitions.into_iter().collect()))
}

/// The brokers that have an offset topic.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(super) bootstrap: Vec<Address>,
    /// How connections to them are made.
    pub(super) security: KafkaSecurity,
}

/// Whom to ask about an offset topic, and how they are called in an error.
pub(super) struct Brokers<'a> {
    cluster: &'a Cluster,
    addresses: Vec<String>,
    topic: &'a str,
}

impl<'a> Brokers<'a> {
    pub(super) fn new(cluster: &'a Cluster, topic: &'a str) -> Self {
        let addresses = cluster.bootstrap.iter().map(Address::to_string).collect();
        Self { cluster, addresses, topic }
    }

    pub(super) async fn connect(&self) -> Result<Client, OffsetTopicError> {
        self.log_in().await?;
        let KafkaSecurity { tls, login } = &self.cluster.security;
        let backoff = BackoffConfig { deadline: Some(BROKER_TIMEOUT), ..BackoffConfig::default() };
        let builder = ClientBuilder::new(self.addresses.clone());
        let builder = builder.client_id("millrace-offsets").backoff_config(backoff);
        let builder = match tls {
            Some(tls) => builder.tls_config(tls.config()),
            None => builder,
        };
        let builder = match login {
            Some(login) => builder.sasl_config(sasl_config(login)),
            None => builder,
        };
        let silent = || OffsetTopicError::Silent { brokers: self.names(), after: BROKER_TIMEOUT };
        let built = timeout(BROKER_TIMEOUT, builder.build()).await.map_err(|_| silent())?;
        built.map_err(|error| self.failed(error))
    }

    /// Fails if a broker does not let us in: the library would try for long, and lose the broker's words.
    async fn log_in(&self) -> Result<(), OffsetTopicError> {
        let Cluster { bootstrap, security } = self.cluster;
        if security.login.is_none() {
            return Ok(());
        }
        let cluster = crate::kafka::Cluster {
            bootstrap: bootstrap.clone(),
            security: security.clone(),
            client_id: "millrace-offsets".to_owned(),
        };
        for broker in bootstrap {
            match Connection::open(&cluster, broker).await {
                Ok(_) => return Ok(()),
                Err(KafkaError::Login { broker, error }) => {
                    return Err(OffsetTopicError::Login {
                        topic: self.topic.to_owned(),
                        broker,
                        error,
                    });
                }
                // What may pass is tried again by the library.
                Err(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, error: Error) -> OffsetTopicError {
        let (topic, brokers) = (self.topic.to_owned(), self.names());
        OffsetTopicError::Kafka { topic, brokers, error: Box::new(error) }
    }

    fn names(&self) -> String {
        self.addresses.join(",")
    }
}

fn sasl_config(Login { mechanism, username, password }: &Login) -> SaslConfig {
    let credentials = Credentials::new(username.clone(), password.clone());
    match mechanism {
        Mechanism::Plain => SaslConfig::Plain(credentials),
        Mechanism::Scram(Hash::Sha256) => SaslConfig::ScramSha256(credentials),
        Mechanism::Scram(Hash::Sha512) => SaslConfig::ScramSha512(credentials),
    }
}

/// The newest value of each key of one partition.
async fn read_partition(
    partition: &PartitionClient,
) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, Error> {
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
