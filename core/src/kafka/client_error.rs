//! Why a client gave up. Whatever passes by itself is retried and never gets here.

use std::fmt;
use std::time::Duration;

use crate::kafka::batch_reader::BatchError;
use crate::kafka::errors::ErrorCode;
use crate::kafka::sasl::SaslError;
use crate::link::Address;
use crate::recovery::Recovery;

/// Why a client gave up: a person must change something. Nothing that was not acknowledged may be
/// taken for stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No broker could be used since the start.
    Unreachable {
        /// Each address tried, with what became of it.
        attempts: Vec<(Address, String)>,
        /// How long it was tried.
        waited: Duration,
    },
    /// A broker does not speak the versions that are spoken here.
    UnsupportedBroker {
        /// The broker.
        address: Address,
        /// Name of the request.
        api: &'static str,
        /// The version that is spoken.
        version: i16,
        /// The versions that the broker has, if any.
        offered: Option<(i16, i16)>,
    },
    /// A broker does not let us in, or could not prove that it is one of ours.
    Authentication {
        /// Host and port of the broker.
        broker: String,
        /// Why.
        error: SaslError,
    },
    /// A topic may not be read about, created or written.
    TopicRefused {
        /// The topic.
        topic: String,
        /// What was tried: `describe`, `create`, `write to`.
        action: &'static str,
        /// What the broker says.
        error: ErrorCode,
        /// What it says in words.
        message: Option<String>,
    },
    /// A topic does not exist and does not come to be.
    TopicMissing {
        /// The topic.
        topic: String,
        /// The last error about it.
        error: ErrorCode,
        /// Whether it was left to the broker to create it.
        by_broker: bool,
        /// How long it was missing.
        waited: Duration,
    },
    /// A broker refused a single record for its size.
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Bytes of the batch with this record alone.
        record_bytes: usize,
        /// The topic's `max.message.bytes`, if it is known.
        bytes_max: Option<usize>,
    },
    /// No broker lets us be an idempotent producer.
    ProducerRefused {
        /// What the broker says.
        error: ErrorCode,
    },
    /// Broker and producer disagree about a partition, and it cannot be read back to see who is
    /// right.
    TailRefused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What the broker says.
        error: ErrorCode,
    },
    /// As above; what was read cannot be understood.
    TailUnreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What is wrong with it.
        error: BatchError,
    },
    /// A batch was given to another thread to be compressed, and that thread ended.
    BatchLost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What became of the thread.
        reason: String,
    },
    /// A record was not acknowledged within `delivery.timeout.ms`.
    DeliveryTimeout {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How long it was tried.
        waited: Duration,
        /// The last error, if a broker gave one.
        error: Option<ErrorCode>,
    },
}

impl ClientError {
    /// What follows: every one of these needs a person.
    pub fn recovery(&self) -> Recovery {
        Recovery::Stop
    }

    /// Whether a client that begins anew may get further.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TailRefused { .. }
            | Self::TailUnreadable { .. }
            | Self::BatchLost { .. }
            | Self::DeliveryTimeout { .. } => true,
            // A topic that was created comes to be; whether anybody creates the other is up to a person.
            Self::TopicMissing { by_broker, .. } => !by_broker,
            Self::UnsupportedBroker { .. }
            | Self::Authentication { .. }
            | Self::TopicRefused { .. }
            | Self::RecordTooLarge { .. }
            | Self::ProducerRefused { .. } => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { attempts, waited } => {
                write!(f, "no Kafka broker could be used within {} s:", waited.as_secs())?;
                for (i, (address, reason)) in attempts.iter().enumerate() {
                    write!(f, "{} {address}: {reason}", if i == 0 { "" } else { ";" })?;
                }
                write!(f, "; check bootstrap.servers and that the brokers run")
            }
            Self::UnsupportedBroker { address, api, version, offered } => {
                write!(f, "broker {address} does not speak {api} version {version} (")?;
                match offered {
                    Some((min, max)) => write!(f, "it has {min} to {max}")?,
                    None => write!(f, "it does not offer it at all")?,
                }
                write!(f, "); a broker of Kafka 2.8 or newer is needed, and not a controller")
            }
            Self::Authentication { broker, error } => {
                write!(f, "cannot log in at broker {broker}: {error}")
            }
            Self::TopicRefused { topic, action, error, message } => {
                write!(f, "cannot {action} topic {topic}: {error}")?;
                if let Some(message) = message {
                    write!(f, " ({message})")?;
                }
                write!(f, "{}", remedy(*error))
            }
            Self::TopicMissing { topic, error, by_broker, waited } => {
                let seconds = waited.as_secs();
                write!(f, "topic {topic} does not exist after {seconds} s ({error}); ")?;
                if *by_broker {
                    f.write_str(
                        "create it, or set topic.creation.default.partitions and \
                         topic.creation.default.replication.factor, or allow the brokers to \
                         (auto.create.topics.enable)",
                    )
                } else {
                    f.write_str("it was created but no broker has it; look into the brokers' logs")
                }
            }
            Self::RecordTooLarge { topic, partition, record_bytes, bytes_max } => {
                write!(f, "a record of {record_bytes} bytes is larger than topic {topic} takes")?;
                if let Some(bytes_max) = bytes_max {
                    write!(f, " ({bytes_max} bytes)")?;
                }
                write!(
                    f,
                    " (partition {partition}); raise max.message.bytes of the topic above the \
                     record's size, then restart"
                )
            }
            Self::ProducerRefused { error } => {
                write!(f, "cannot become an idempotent producer: {error}{}", remedy(*error))
            }
            Self::TailRefused { topic, partition, error } => write!(
                f,
                "cannot read back partition {partition} of topic {topic}: {error}; the broker \
                 lost track of this producer and only the log can say which batches are stored; \
                 allow READ on the topic, or restart (batches not acknowledged are sent again)"
            ),
            Self::TailUnreadable { topic, partition, error } => write!(
                f,
                "cannot read back partition {partition} of topic {topic}: {error}; restart to go \
                 on (batches not acknowledged are sent again)"
            ),
            Self::BatchLost { topic, partition, reason } => write!(
                f,
                "a batch for partition {partition} of topic {topic} could not be compressed on another thread: \
                 {reason}; restart to go on (batches not acknowledged are sent again), with compression.threads=0 \
                 if it happens again"
            ),
            Self::DeliveryTimeout { topic, partition, waited, error } => {
                write_late(f, topic, *partition, *waited, *error)
            }
        }
    }
}

fn write_late(
    f: &mut fmt::Formatter<'_>,
    topic: &str,
    partition: i32,
    waited: Duration,
    error: Option<ErrorCode>,
) -> fmt::Result {
    write!(
        f,
        "a record for partition {partition} of topic {topic} was not acknowledged within {} ms \
         (delivery.timeout.ms)",
        waited.as_millis()
    )?;
    match error {
        Some(error) => write!(f, "; the last error was {error}"),
        None => write!(f, "; no broker answered"),
    }
}

fn remedy(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            "; allow DESCRIBE and WRITE on the topic, and CREATE if it is to be created"
        }
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "; allow IDEMPOTENT_WRITE on the cluster, and CREATE if topics are to be created"
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "; a topic name has 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            "; the cluster has fewer brokers than replicas are wanted"
        }
        _ => "",
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_cluster_names_each_address_and_reason() {
        let error = ClientError::Unreachable {
            attempts: vec![
                (Address::new("a", 1), "connection refused".into()),
                (Address::new("b", 2), "no answer".into()),
            ],
            waited: Duration::from_secs(30),
        };
        let text = error.to_string();
        assert!(text.contains("a:1: connection refused; b:2: no answer"), "{text}");
    }

    #[test]
    fn a_record_that_is_too_large_names_topic_sizes_and_remedy() {
        let error = ClientError::RecordTooLarge {
            topic: "orders".into(),
            partition: 3,
            record_bytes: 2_000_000,
            bytes_max: Some(1_048_588),
        };
        let text = error.to_string();
        for part in ["orders", "2000000", "1048588", "max.message.bytes"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
