//! Why a pipeline stopped.

use std::fmt;

use crate::format::EncodeError;
use crate::kafka::ClientError;
use crate::mongo::bson::BsonError;
use crate::mongo::session::SessionError;
use crate::recovery::Recovery;
use crate::route::RouteError;
use crate::transform::ChainError;

/// Why a pipeline stopped. Whatever passes by itself is retried and never gets here.
#[derive(Debug)]
pub enum PipelineError {
    /// MongoDB: the position is lost, a right is missing, the address is wrong, …
    Session(SessionError),
    /// Kafka: a topic may not be written, no broker was ever reached, …
    Client(ClientError),
    /// The server sent an event that is no BSON document.
    Event(BsonError),
    /// An event could not be written in the configured format.
    Format(EncodeError),
    /// A transformation cannot be applied to the record of an event.
    Transform(Box<ChainError>),
    /// The namespace of an event gives a topic name that Kafka refuses.
    Route(RouteError),
    /// A change that cannot be written, and could not be made a dead letter.
    Change {
        /// Its key, as text.
        document: String,
        /// Why not.
        error: Box<Self>,
    },
    /// A record is larger than its topic takes.
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// Size of the batch with this record alone, in bytes.
        record_bytes: usize,
        /// The topic's `max.message.bytes`, or the producer's `max.request.size` if that is less.
        bytes_max: usize,
        /// Key of the record, as far as it is text.
        key: String,
    },
    /// A key was given a partition that the topic does not have. A mistake of ours.
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// The position could not be stored.
    Store(String),
}

impl PipelineError {
    /// Whether one change or its record is the reason, and not a server or a setting.
    pub fn is_of_one_record(&self) -> bool {
        match self {
            Self::Event(_)
            | Self::Format(_)
            | Self::Route(_)
            | Self::Transform(_)
            | Self::Change { .. }
            | Self::RecordTooLarge { .. } => true,
            Self::Client(error) => matches!(error, ClientError::RecordTooLarge { .. }),
            Self::Session(_) | Self::UnknownPartition { .. } | Self::Store(_) => false,
        }
    }
}

impl PipelineError {
    /// Whether a pipeline that begins anew may get further: servers were away, a time has run out, or a state is out
    /// of step that a new pipeline does not have. A lost position, a right, a setting and a record last.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Session(error) => error.is_unreachable() || error.recovery() == Recovery::Retry,
            Self::Client(error) => error.may_pass(),
            Self::Store(_) => true,
            Self::Event(_)
            | Self::Format(_)
            | Self::Route(_)
            | Self::Transform(_)
            | Self::Change { .. }
            | Self::RecordTooLarge { .. }
            | Self::UnknownPartition { .. } => false,
        }
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Event(error) => {
                write!(
                    f,
                    "the server sent a change event that is not valid BSON: {error}; nothing was skipped"
                )
            }
            Self::Format(error) => {
                write!(
                    f,
                    "a change event cannot be written in the configured output format: {error}; nothing was skipped"
                )
            }
            Self::Transform(error) => error.fmt(f),
            Self::Route(error) => error.fmt(f),
            Self::Change { document, error } => write!(
                f,
                "{error}; it is the change of {document}: leave it out with a $match in pipeline, or let such \
                 changes go to a topic with errors.tolerance=all and errors.deadletterqueue.topic.name"
            ),
            Self::RecordTooLarge { topic, record_bytes, bytes_max, key } => write!(
                f,
                "the record with key {key} for topic {topic} needs {record_bytes} bytes and the topic takes \
                 {bytes_max}; raise max.message.bytes of the topic (and producer.override.max.request.size where it \
                 is set), then restart: the task goes on with this record, nothing was skipped"
            ),
            Self::UnknownPartition { topic, partition } => write!(
                f,
                "a record for topic {topic} was given partition {partition}, which the topic does not have; \
                 this is a mistake of Millrace, please report it; nothing was skipped"
            ),
            Self::Store(reason) => write!(
                f,
                "the position cannot be stored: {reason}; events after the last stored position will be sent again"
            ),
        }
    }
}

impl std::error::Error for PipelineError {}

impl From<SessionError> for PipelineError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<ClientError> for PipelineError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<RouteError> for PipelineError {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::ErrorCode;

    #[test]
    fn servers_that_are_away_pass_and_what_a_person_must_change_lasts() {
        let waited = Duration::from_secs(30);
        for passing in [
            PipelineError::Store("no space left on device".to_owned()),
            SessionError::Unreachable { timeout: waited, tried: Vec::new() }.into(),
            ClientError::Unreachable { attempts: Vec::new(), waited }.into(),
        ] {
            assert!(passing.may_pass(), "{passing}");
        }
        let refused =
            ClientError::ProducerRefused { error: ErrorCode::CLUSTER_AUTHORIZATION_FAILED };
        let too_large = ClientError::RecordTooLarge {
            topic: "t".to_owned(),
            partition: 0,
            record_bytes: 2,
            bytes_max: None,
        };
        let all: [PipelineError; 2] = [refused.into(), too_large.into()];
        for lasting in all {
            assert!(!lasting.may_pass(), "{lasting}");
        }
    }
}
