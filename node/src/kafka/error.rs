//! Why the worker cannot do with Kafka what it wants, in Connect's words where Connect has some.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::kafka::batch_reader::BatchError;
use millrace_core::kafka::opening::OpeningError;
use millrace_core::kafka::sasl::SaslError;
use millrace_core::kafka::wire::WireError;
use millrace_core::kafka::{ErrorClass, ErrorCode};
use millrace_core::link::Address;
use thiserror::Error;

/// See the module.
#[derive(Debug, Error)]
pub(crate) enum KafkaError {
    #[error("cannot connect to broker {broker}: {error}")]
    Connect { broker: Address, error: io::Error },
    #[error("cannot log in at broker {broker}: {error}")]
    Login { broker: Address, error: SaslError },
    #[error("broker {broker} cannot be used: {error}")]
    Unusable { broker: Address, error: OpeningError },
    #[error("the connection to broker {broker} was lost at a {request} request: {error}")]
    Lost { broker: Address, request: &'static str, error: io::Error },
    #[error("broker {broker} did not answer a {request} request within {} ms", .after.as_millis())]
    Silent { broker: Address, request: &'static str, after: Duration },
    #[error("broker {broker} answered a {request} request with something else: {error}")]
    Malformed { broker: Address, request: &'static str, error: WireError },
    #[error(
        "no Kafka broker could be used:{}; check bootstrap.servers and that the brokers run",
        .attempts.iter().map(|error| format!(" {error};")).collect::<String>().trim_end_matches(';')
    )]
    Unreachable { attempts: Vec<Self> },
    #[error("a {request} request for {about} was answered with {error:?}{}{}", said(.message), remedy(*.error))]
    Refused { request: &'static str, about: String, error: ErrorCode, message: Option<String> },
    #[error(
        "broker {broker} knows no brokers, not even itself: it has yet to hear from its controller"
    )]
    Ignorant { broker: Address },
    #[error(
        "topic {topic} was there before, and now a broker says that it is not; if it was deleted, what was stored in \
         it is lost: restart the worker to go on without"
    )]
    Vanished { topic: String },
    #[error("partition {partition} of topic {topic} cannot be read: {error}")]
    Unreadable { topic: String, partition: i32, error: BatchError },
    #[error("topic {topic} is not read any more, and was not read to its end")]
    Stopped { topic: String },
    #[error("topic {topic} cannot be read to its end: {error}")]
    Trouble { topic: String, error: Arc<Self> },
    #[error("Unable to create topic(s) '{topic}': {message}")]
    Settings { topic: String, message: String },
    #[error("Error while attempting to create/find topic(s) '{topic}': {error}")]
    NotCreated { topic: String, error: Box<Self> },
    #[error(
        "Could not look up partition metadata for topic '{topic}' in the allotted period. This could indicate a \
         connectivity issue, unavailable topic partitions, or if this is your first use of the topic it may have \
         taken too long to create."
    )]
    NoPartitions { topic: String },
    #[error(
        "Topic '{topic}' supplied via the '{property}' property is required to have 'cleanup.policy=compact' to \
         guarantee consistency and durability of {purpose}, but found the topic currently has \
         'cleanup.policy={found}'. Continuing would likely result in eventually losing {purpose} and problems \
         restarting this Connect cluster in the future. Change the '{property}' property in the Connect worker \
         configurations to use a topic with 'cleanup.policy=compact'."
    )]
    NotCompacted { topic: String, property: &'static str, purpose: &'static str, found: String },
    #[error(
        "Topic '{topic}' supplied via the '{property}' property is required to have a single partition in order to \
         guarantee consistency of {purpose}, but found {found} partitions."
    )]
    NotSingle { topic: String, property: &'static str, purpose: &'static str, found: usize },
}

impl KafkaError {
    /// Whether it may pass by itself, so that asking again is worth it.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Malformed { .. }
            | Self::Unreachable { .. }
            | Self::Ignorant { .. }
            | Self::Vanished { .. }
            | Self::Unreadable { .. }
            | Self::Trouble { .. } => true,
            Self::Unusable { error, .. } => match error {
                OpeningError::Wire(_) | OpeningError::Versions(_) | OpeningError::Undecided(_) => {
                    true
                }
                OpeningError::Unsupported(_) | OpeningError::Sasl(_) => false,
            },
            // Brokers are missing while a cluster starts.
            Self::Refused { error: ErrorCode::INVALID_REPLICATION_FACTOR, .. } => true,
            Self::Refused { error, .. } => match error.class() {
                ErrorClass::Retry | ErrorClass::RefreshMetadata => true,
                ErrorClass::Duplicate
                | ErrorClass::TooLarge
                | ErrorClass::SequenceTrouble
                | ErrorClass::Fatal => false,
            },
            Self::Login { .. }
            | Self::Stopped { .. }
            | Self::Settings { .. }
            | Self::NotCreated { .. }
            | Self::NoPartitions { .. }
            | Self::NotCompacted { .. }
            | Self::NotSingle { .. } => false,
        }
    }
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(" ({message})"))
}

fn remedy(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            "; allow the worker's user READ, WRITE, DESCRIBE and DESCRIBE_CONFIGS on the topic, and CREATE if it is \
             to be created"
        }
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "; allow the worker's user CREATE on the cluster"
        }
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            "; allow the worker's user DESCRIBE and WRITE on the transactional id"
        }
        ErrorCode::MESSAGE_TOO_LARGE => "; raise max.message.bytes of the topic",
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            "; the cluster has fewer brokers than replicas are wanted"
        }
        _ => "",
    }
}
