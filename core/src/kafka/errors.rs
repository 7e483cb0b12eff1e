//! Error codes of brokers: their names, and what each of them asks for.
//!
//! The codes are those of `org.apache.kafka.common.protocol.Errors`. Only codes that an answer to
//! one of our requests can carry have a row; any other is shown by its number and taken for one
//! that passes.

use std::fmt;

use self::ErrorClass::{Duplicate, Fatal, RefreshMetadata, Retry, SequenceTrouble, TooLarge};

/// An error code as a broker sent it; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// It passes: ask again after a pause.
    Retry,
    /// Leaders or topics are not where we thought: ask for metadata, then again.
    RefreshMetadata,
    /// The batch is in the log already, which is what we want.
    Duplicate,
    /// The batch is larger than the topic takes.
    TooLarge,
    /// Broker and producer do not agree on what was written last: read it back before anything else
    /// is sent.
    SequenceTrouble,
    /// It does not pass: a person must change something.
    Fatal,
}

macro_rules! codes {
    ($($code:literal $name:ident $class:ident,)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("Kafka's error ", stringify!($code), ".")]
                pub const $name: Self = Self($code);
            )*

            /// Kafka's name of the error, if this table has it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What the error asks for. A code that is not in the table is retried: a broker that
            /// is newer than this table may name a passing fault in a new way, and a retry is
            /// visible and loses nothing.
            pub fn class(self) -> ErrorClass {
                match self.0 {
                    $($code => $class,)*
                    _ => Retry,
                }
            }
        }
    };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR Retry,
    0 NONE Retry,
    1 OFFSET_OUT_OF_RANGE Retry,
    2 CORRUPT_MESSAGE Retry,
    3 UNKNOWN_TOPIC_OR_PARTITION RefreshMetadata,
    5 LEADER_NOT_AVAILABLE RefreshMetadata,
    6 NOT_LEADER_OR_FOLLOWER RefreshMetadata,
    7 REQUEST_TIMED_OUT Retry,
    8 BROKER_NOT_AVAILABLE RefreshMetadata,
    9 REPLICA_NOT_AVAILABLE RefreshMetadata,
    10 MESSAGE_TOO_LARGE TooLarge,
    13 NETWORK_EXCEPTION RefreshMetadata,
    14 COORDINATOR_LOAD_IN_PROGRESS Retry,
    15 COORDINATOR_NOT_AVAILABLE Retry,
    16 NOT_COORDINATOR Retry,
    17 INVALID_TOPIC_EXCEPTION Fatal,
    18 RECORD_LIST_TOO_LARGE TooLarge,
    19 NOT_ENOUGH_REPLICAS Retry,
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Retry,
    21 INVALID_REQUIRED_ACKS Fatal,
    22 ILLEGAL_GENERATION Retry,
    23 INCONSISTENT_GROUP_PROTOCOL Fatal,
    24 INVALID_GROUP_ID Fatal,
    25 UNKNOWN_MEMBER_ID Retry,
    26 INVALID_SESSION_TIMEOUT Fatal,
    27 REBALANCE_IN_PROGRESS Retry,
    29 TOPIC_AUTHORIZATION_FAILED Fatal,
    30 GROUP_AUTHORIZATION_FAILED Fatal,
    31 CLUSTER_AUTHORIZATION_FAILED Fatal,
    32 INVALID_TIMESTAMP Fatal,
    33 UNSUPPORTED_SASL_MECHANISM Fatal,
    34 ILLEGAL_SASL_STATE Fatal,
    35 UNSUPPORTED_VERSION Fatal,
    36 TOPIC_ALREADY_EXISTS Retry,
    37 INVALID_PARTITIONS Fatal,
    38 INVALID_REPLICATION_FACTOR Fatal,
    39 INVALID_REPLICA_ASSIGNMENT Fatal,
    40 INVALID_CONFIG Fatal,
    41 NOT_CONTROLLER RefreshMetadata,
    42 INVALID_REQUEST Fatal,
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Fatal,
    44 POLICY_VIOLATION Fatal,
    45 OUT_OF_ORDER_SEQUENCE_NUMBER SequenceTrouble,
    46 DUPLICATE_SEQUENCE_NUMBER Duplicate,
    47 INVALID_PRODUCER_EPOCH SequenceTrouble,
    49 INVALID_PRODUCER_ID_MAPPING SequenceTrouble,
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Fatal,
    54 SECURITY_DISABLED Fatal,
    56 KAFKA_STORAGE_ERROR RefreshMetadata,
    58 SASL_AUTHENTICATION_FAILED Fatal,
    59 UNKNOWN_PRODUCER_ID SequenceTrouble,
    72 LISTENER_NOT_FOUND RefreshMetadata,
    74 FENCED_LEADER_EPOCH RefreshMetadata,
    75 UNKNOWN_LEADER_EPOCH RefreshMetadata,
    76 UNSUPPORTED_COMPRESSION_TYPE Fatal,
    78 OFFSET_NOT_AVAILABLE Retry,
    79 MEMBER_ID_REQUIRED Retry,
    81 GROUP_MAX_SIZE_REACHED Fatal,
    82 FENCED_INSTANCE_ID Fatal,
    87 INVALID_RECORD Fatal,
    89 THROTTLING_QUOTA_EXCEEDED Retry,
    90 PRODUCER_FENCED SequenceTrouble,
}

impl ErrorCode {
    /// Whether this is no error.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_and_classes_of_kafka() {
        assert_eq!(ErrorCode(6).to_string(), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(ErrorCode(6).class(), RefreshMetadata);
        assert_eq!(ErrorCode(46).class(), Duplicate);
        assert_eq!(ErrorCode(10).class(), TooLarge);
        assert_eq!(ErrorCode(45).class(), SequenceTrouble);
        assert_eq!(ErrorCode(29).class(), Fatal);
    }

    #[test]
    fn a_code_from_the_future_is_shown_by_number_and_retried() {
        assert_eq!(ErrorCode(999).to_string(), "error 999");
        assert_eq!(ErrorCode(999).class(), Retry);
    }
}
