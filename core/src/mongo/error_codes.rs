//! What an error reply of a server means for a change stream, as data.
//!
//! ```text
//!  code known? ── yes ──► its class (some codes only when the stream is being opened)
//!      └ no ── label says resumable? ──► Retry
//!              └ no ── text speaks of the resume token? ──► PositionLost
//!                      └ no ──► Unknown: stop and show it
//! ```
//!
//! Drivers resume once and leave the rest to the application; a replication node goes on wherever
//! opening the stream again behind the last event can neither skip nor repeat the error. If it
//! could skip, the server says so: with 280 or 286 when opening. Facts: error_codes.yml of the
//! server, "Resumable Error" of the drivers' change stream specification. Codes that have no name
//! there are the numbers of single assertions.

use self::CodeClass::{
    AuthenticationFailed, BadRequest, EventTooLarge, NotReplicaSet, PositionLost, Retry,
    Unauthorized,
};
use super::bson::{RawDoc, RawElement, RawValue};

/// What follows an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeClass {
    /// Passes by itself: connect again, resume behind the last event.
    Retry,
    /// The server can no longer resume where we were. Going on means a gap.
    PositionLost,
    /// An event is larger than a document may be.
    EventTooLarge,
    /// Wrong user or password.
    AuthenticationFailed,
    /// The user has not the right, or nobody is logged in.
    Unauthorized,
    /// The server is not a member of a replica set.
    NotReplicaSet,
    /// The server does not understand or allow what the configuration asks.
    BadRequest,
    /// None of these. A person must look.
    Unknown,
}

/// Codes that mean the same whenever they come, in numerical order within each class.
const CLASSES: &[(i32, CodeClass)] = &[
    (6, Retry),                   // HostUnreachable
    (7, Retry),                   // HostNotFound
    (24, Retry),                  // LockTimeout
    (26, Retry),                  // NamespaceNotFound: a mongos says so until the database exists
    (43, Retry),                  // CursorNotFound: idle too long, or a restarted server
    (46, Retry),                  // LockBusy
    (50, Retry),                  // MaxTimeMSExpired
    (63, Retry),                  // StaleShardVersion
    (89, Retry),                  // NetworkTimeout
    (90, Retry),                  // CallbackCanceled
    (91, Retry),                  // ShutdownInProgress
    (94, Retry),                  // NotYetInitialized
    (112, Retry),                 // WriteConflict
    (133, Retry),                 // FailedToSatisfyReadPreference
    (134, Retry),                 // ReadConcernMajorityNotAvailableYet
    (136, Retry),                 // CappedPositionLost: 286 follows if the cut oplog lost something
    (143, Retry),                 // CursorInUse
    (150, Retry),                 // StaleEpoch
    (175, Retry),                 // QueryPlanKilled
    (189, Retry),                 // PrimarySteppedDown
    (202, Retry),                 // NetworkInterfaceExceededTimeLimit
    (211, Retry),                 // KeyNotFound: signing keys of a starting cluster
    (216, Retry),                 // ElectionInProgress
    (222, Retry),                 // CloseChangeStream
    (234, Retry),                 // RetryChangeStream
    (237, Retry),                 // CursorKilled: by a person; drivers stop here
    (246, Retry),                 // SnapshotUnavailable
    (249, Retry),                 // StaleDbVersion
    (262, Retry),                 // ExceededTimeLimit
    (279, Retry),                 // ClientDisconnect
    (290, Retry),                 // TransactionExceededLifetimeLimitSeconds
    (303, Retry),                 // SplitHorizonChange
    (333, Retry),                 // ServiceExecutorInShutdown
    (355, Retry),                 // InterruptedDueToStorageChange
    (365, Retry),                 // TemporarilyUnavailable
    (391, Retry),                 // ReauthenticationRequired
    (402, Retry),                 // ResourceExhausted
    (407, Retry),                 // PooledConnectionAcquisitionExceededTimeLimit
    (433, Retry),                 // AdmissionQueueOverflow
    (449, Retry),                 // RateLimitExceeded
    (453, Retry),                 // InterruptedDueToReshardingCriticalSection
    (462, Retry),                 // IngressRequestRateLimitExceeded
    (9001, Retry),                // SocketException
    (10058, Retry),               // LegacyNotPrimary
    (10107, Retry),               // NotWritablePrimary
    (11600, Retry),               // InterruptedAtShutdown
    (11601, Retry),               // Interrupted: killOp by a person; drivers stop here
    (11602, Retry),               // InterruptedDueToReplStateChange
    (13388, Retry),               // StaleConfig
    (13435, Retry),               // NotPrimaryNoSecondaryOk
    (13436, Retry),               // NotPrimaryOrSecondary
    (46841, Retry),               // ClientMarkedKilled
    (91331, Retry),               // RetriableRemoteCommandFailure
    (10045600, Retry),            // InterruptedDueToFCVChange
    (280, PositionLost),          // ChangeStreamFatalError
    (286, PositionLost),          // ChangeStreamHistoryLost
    (464, PositionLost),          // ShardRemovedError
    (40576, PositionLost),        // the name of 286 before 4.4
    (10334, EventTooLarge),       // BSONObjectTooLarge
    (11, AuthenticationFailed),   // UserNotFound
    (18, AuthenticationFailed),   // AuthenticationFailed
    (334, AuthenticationFailed),  // MechanismUnavailable
    (8000, AuthenticationFailed), // AtlasError: its proxy says this for bad credentials
    (13, Unauthorized),           // Unauthorized
    (8002, Unauthorized),         // its twin behind the Atlas proxy
    (123, NotReplicaSet),         // NotAReplicaSet
    (40573, NotReplicaSet),       // $changeStream on a standalone
    (2, BadRequest),              // BadValue
    (9, BadRequest),              // FailedToParse
    (14, BadRequest),             // TypeMismatch
    (20, BadRequest),             // IllegalOperation
    (59, BadRequest),             // CommandNotFound
    (72, BadRequest),             // InvalidOptions
    (73, BadRequest),             // InvalidNamespace
    (115, BadRequest),            // CommandNotSupported
    (148, BadRequest),            // ReadConcernMajorityNotEnabled
    (166, BadRequest),            // CommandNotSupportedOnView
    (167, BadRequest),            // OptionNotSupportedOnView
    (168, BadRequest),            // InvalidPipelineOperator
    (224, BadRequest),            // QueryFeatureNotAllowed
    (235, BadRequest),            // InternalErrorNotSupported
    (238, BadRequest),            // NotImplemented
    (322, BadRequest),            // APIVersionError
    (323, BadRequest),            // APIStrictError
    (324, BadRequest),            // APIDeprecationError
    (376, BadRequest),            // ChangeStreamNotEnabled
    (40324, BadRequest),          // unrecognized pipeline stage
    (40413, BadRequest),          // IDLDuplicateField
    (40414, BadRequest),          // IDLFailedToParse
    (40415, BadRequest),          // IDLUnknownField
];

/// Codes that mean this only while the stream is being opened.
const CLASSES_WHEN_OPENING: &[(i32, CodeClass)] = &[
    (260, PositionLost),   // InvalidResumeToken
    (50811, PositionLost), // the token's KeyString has another format
];

/// What a server says of a failed command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `code`; 0 if absent.
    pub code: i32,
    /// `codeName`; empty if absent.
    pub code_name: String,
    /// `errmsg`.
    pub message: String,
    /// A label says that resuming is right.
    pub labelled_resumable: bool,
    /// A label says that resuming is wrong.
    pub labelled_non_resumable: bool,
}

impl ServerError {
    /// What `body`, the whole of an error reply, says.
    pub fn from_body(body: RawDoc<'_>) -> Self {
        let mut error = Self::default();
        body.iter().map_while(Result::ok).for_each(|element| error.collect(element));
        error
    }

    /// Notes one top-level field of a reply, if it concerns errors.
    pub fn collect(&mut self, element: RawElement<'_>) {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match (element.name, element.value) {
            (b"code", value) => {
                self.code = value.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
            }
            (b"codeName", RawValue::String(name)) => self.code_name = text(name),
            (b"errmsg", RawValue::String(message)) => self.message = text(message),
            (b"errorLabels", RawValue::Array(labels)) => {
                for label in labels.iter().map_while(Result::ok) {
                    let says = |name: &[u8]| label.value == RawValue::String(name);
                    self.labelled_resumable |= says(b"ResumableChangeStreamError")
                        || says(b"RetryableError")
                        || says(b"RetryableWriteError");
                    self.labelled_non_resumable |= says(b"NonResumableChangeStreamError");
                }
            }
            _ => {}
        }
    }

    /// Forgets everything; buffers are kept.
    pub fn clear(&mut self) {
        self.code = 0;
        self.code_name.clear();
        self.message.clear();
        self.labelled_resumable = false;
        self.labelled_non_resumable = false;
    }

    /// What it means. `opening`: the answer to `aggregate`, not to `getMore`.
    pub fn class(&self, opening: bool) -> CodeClass {
        let find = |classes: &[(i32, CodeClass)]| {
            classes.iter().find(|(code, _)| *code == self.code).map(|(_, class)| *class)
        };
        if let Some(class) = find(CLASSES) {
            // A token that the server cannot even read is refused by the code for a bad command.
            let token_is_bad = class == BadRequest && self.message_names_resume_position();
            return if token_is_bad { PositionLost } else { class };
        }
        if let (true, Some(class)) = (opening, find(CLASSES_WHEN_OPENING)) {
            return class;
        }
        if self.labelled_non_resumable {
            PositionLost
        } else if self.labelled_resumable {
            Retry
        } else if self.message_names_resume_position() {
            PositionLost
        } else {
            CodeClass::Unknown
        }
    }

    /// Old servers and proxies lose the code but not the text; the Java connector goes by it too.
    fn message_names_resume_position(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["resume token", "resume point", "resume of change stream"]
            .iter()
            .any(|words| message.contains(words))
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, code_name, message, .. } = self;
        match code_name.as_str() {
            "" => write!(f, "{message} (code {code})"),
            name => write!(f, "{message} (code {code} {name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;

    fn error(code: i32) -> ServerError {
        ServerError { code, ..ServerError::default() }
    }

    #[test]
    fn a_token_that_the_server_cannot_read_is_a_lost_position_whatever_the_code() {
        let mut unread = error(9);
        assert_eq!(unread.class(true), BadRequest);
        unread.message = "resume token string was not a valid hex string".to_owned();
        assert_eq!(unread.class(true), PositionLost);
    }

    #[test]
    fn every_code_that_drivers_resume_is_retried() {
        // "Resumable Error" of the change stream specification, servers before and after 4.4.
        for code in [
            6, 7, 43, 63, 89, 91, 133, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435,
            13436,
        ] {
            assert_eq!(error(code).class(false), Retry, "{code}");
            assert_eq!(error(code).class(true), Retry, "{code}");
        }
    }

    #[test]
    fn a_lost_position_is_never_retried() {
        for code in [280, 286, 464] {
            assert_eq!(error(code).class(false), PositionLost, "{code}");
            let labelled = ServerError { labelled_resumable: true, ..error(code) };
            assert_eq!(labelled.class(true), PositionLost, "{code}");
        }
        for code in [260, 50811] {
            assert_eq!(error(code).class(true), PositionLost, "{code}");
            assert_eq!(error(code).class(false), CodeClass::Unknown, "{code}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<i32> =
            CLASSES.iter().chain(CLASSES_WHEN_OPENING).map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    }

    #[test]
    fn labels_and_text_decide_where_the_code_is_unknown() {
        let mut bytes = Vec::new();
        write_document(&mut bytes, |doc| {
            doc.double("ok", 0.0);
            doc.string("errmsg", "odd");
            doc.int32("code", 123_456);
            doc.string("codeName", "Location123456");
            doc.array("errorLabels", |labels| {
                labels.string("0", "x");
                labels.string("1", "ResumableChangeStreamError");
            });
        });
        let mut error = ServerError::from_body(RawDoc::new(&bytes).unwrap());
        assert_eq!(error.to_string(), "odd (code 123456 Location123456)");
        assert_eq!(error.class(false), Retry);
        error.labelled_resumable = false;
        assert_eq!(error.class(false), CodeClass::Unknown);
        error.message = "The resume token was not found".to_owned();
        assert_eq!(error.class(false), PositionLost);
        error.clear();
        assert_eq!(error, ServerError::default());
    }
}
