//! Why a session was interrupted or has stopped, and what to do about it.
//!
//! ```text
//!  Retry   one server or connection failed: another try may succeed, nothing is lost
//!  Stop    trying again would fail again, or would skip events
//! ```
//!
//! The text of an error that stops names the remedy. Secrets are in none.

use std::fmt;
use std::time::Duration;

use super::error_codes::{CodeClass, ServerError};
use super::fragments::{FragmentError, FragmentNumber};
use super::login::EXTERNAL;
use super::lost_position::{LostPosition, OplogBegin};
use super::reply::ReplyError;
use super::watch::{ResumePosition, SPLIT_STAGE, Scope};
use crate::link::Address;
use crate::recovery::Recovery;
use crate::scram::ScramError;

/// What a session was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Opening the connection.
    Connecting,
    /// Saying hello or authenticating.
    Handshaking,
    /// Opening the change stream.
    Opening,
    /// Reading events.
    Streaming,
    /// Reading documents that were there before the stream.
    Copying,
    /// Asking where the oplog begins.
    Measuring,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Handshaking => "saying hello",
            Self::Opening => "opening the change stream",
            Self::Streaming => "reading the change stream",
            Self::Copying => "copying existing documents",
            Self::Measuring => "asking where the oplog begins",
        })
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The connection ended.
    Closed {
        /// To whom.
        address: Address,
        /// Meanwhile.
        doing: Doing,
        /// As the driver says.
        reason: String,
    },
    /// Nothing came for too long.
    Silent {
        /// From whom.
        address: Address,
        /// Meanwhile.
        doing: Doing,
        /// How long was waited.
        waited: Duration,
    },
    /// Bytes that are no reply.
    Reply {
        /// From whom.
        address: Address,
        /// What is wrong.
        error: ReplyError,
    },
    /// A reply to something else than was asked.
    WrongReply {
        /// From whom.
        address: Address,
        /// The request that waits for a reply.
        asked: i32,
        /// The request that was answered.
        answered: i32,
    },
    /// The server refused the first exchange for the time being.
    Hello {
        /// Who.
        address: Address,
        /// Its words.
        error: Box<ServerError>,
    },
    /// A secondary, or a member in another state.
    NotPrimary {
        /// Who.
        address: Address,
        /// Whom it takes for the primary.
        primary: Option<Address>,
    },
    /// Started for a replica set that was not initiated.
    NotInitiated {
        /// Who.
        address: Address,
    },
    /// A member of another replica set than the one asked for.
    OtherReplicaSet {
        /// Who.
        address: Address,
        /// The name that was asked for.
        wanted: String,
        /// Its own name.
        found: String,
    },
    /// The server ended the cursor without an event, or while the next batch was already asked for.
    CursorClosed {
        /// Who.
        address: Address,
    },
    /// No primary was found in time after the start.
    Unreachable {
        /// How long it was looked for.
        timeout: Duration,
        /// Every address with the last reason.
        tried: Vec<(Address, Option<String>)>,
    },
    /// No member of a replica set.
    Standalone {
        /// Who.
        address: Address,
    },
    /// Before MongoDB 4.4.
    TooOld {
        /// Who.
        address: Address,
        /// As announced; 0 if it does not even know `hello`.
        wire_version: i64,
    },
    /// The user has credentials for neither SCRAM-SHA-256 nor SCRAM-SHA-1.
    Mechanism {
        /// User.
        username: String,
        /// Its database.
        source: String,
        /// What the user has.
        offered: Vec<String>,
    },
    /// The SCRAM conversation failed on our side.
    Scram {
        /// With whom.
        address: Address,
        /// Why.
        error: ScramError,
    },
    /// The server refused user and password.
    Authentication {
        /// Who.
        address: Address,
        /// User.
        username: String,
        /// Its database.
        source: String,
        /// The server's words.
        error: Box<ServerError>,
    },
    /// The server answered `aggregate` or `getMore` with an error.
    Command {
        /// Who.
        address: Address,
        /// [`Doing::Opening`] or [`Doing::Streaming`].
        doing: Doing,
        /// Its words.
        error: Box<ServerError>,
        /// What is watched.
        scope: Scope,
        /// Of the position behind the last event handed out, if known: seconds since 1970 and counter.
        cluster_time: Option<(u32, u32)>,
    },
    /// The server no longer knows the position: going on would be a gap.
    PositionLost {
        /// Who.
        address: Address,
        /// [`Doing::Opening`] or [`Doing::Streaming`].
        doing: Doing,
        /// Its words.
        error: Box<ServerError>,
        /// What is watched.
        scope: Scope,
        /// How large the gap would be.
        lost: Box<LostPosition>,
    },
    /// An event without a document `_id`, which is its resume token.
    NoToken {
        /// What is watched.
        scope: Scope,
    },
    /// Fragments of an event in another order than they were cut.
    FragmentOrder {
        /// From whom.
        address: Address,
        /// What should have come; `None`: a first fragment, or an event that is not split.
        due: Option<FragmentNumber>,
        /// What came; `None`: an event that is not split.
        found: Option<FragmentNumber>,
    },
    /// The stream began with a later fragment: the stored position lies inside an event.
    InsideEvent {
        /// What is watched.
        scope: Scope,
        /// What came first.
        found: FragmentNumber,
    },
    /// An event in fragments has more bytes than the process may hold.
    EventOverMemory {
        /// What is watched.
        scope: Scope,
        /// Bytes of the fragments so far.
        bytes: usize,
        /// `memory.bytes.max`.
        bytes_max: usize,
    },
    /// The pattern of the collections that are copied took too long over one.
    NamespacePattern {
        /// The pattern.
        pattern: String,
        /// The database and the collection.
        namespace: String,
    },
}

impl SessionError {
    pub(super) fn command(
        address: Address,
        doing: Doing,
        error: ServerError,
        scope: &Scope,
        position: &ResumePosition,
    ) -> Self {
        let cluster_time = position.cluster_time();
        let error = Box::new(error);
        Self::Command { address, doing, error, scope: scope.clone(), cluster_time }
    }

    /// A lost position, if it is one, with what `measure` says of one of this time; else itself.
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other error stays what it is")]
    pub(super) fn into_lost(
        self,
        measure: impl FnOnce(Option<(u32, u32)>) -> LostPosition,
    ) -> Result<Self, Self> {
        match self {
            Self::Command { address, doing, error, scope, cluster_time }
                if error.class(doing == Doing::Opening) == CodeClass::PositionLost =>
            {
                let lost = Box::new(measure(cluster_time));
                Ok(Self::PositionLost { address, doing, error, scope, lost })
            }
            other => Err(other),
        }
    }

    /// The same lost position, and where the oplog begins.
    pub(super) fn with_oplog(mut self, begin: OplogBegin) -> Self {
        if let Self::PositionLost { lost, .. } = &mut self {
            lost.oplog = begin;
        }
        self
    }

    /// How far a lost position lies back, and what happened, without a remedy.
    pub fn lost_position(&self) -> Option<(&LostPosition, String)> {
        if let Self::PositionLost { address, doing, error, scope, lost } = self {
            Some((lost, loss(address, *doing, error, scope, lost)))
        } else {
            None
        }
    }

    pub(super) fn fragments(
        address: &Address,
        scope: &Scope,
        error: FragmentError,
        is_first: bool,
    ) -> Self {
        let (address, scope) = (address.clone(), scope.clone());
        match error {
            FragmentError::Bson(error) => Self::Reply { address, error: ReplyError::Bson(error) },
            FragmentError::Order { due: None, found: Some(found) } if is_first => {
                Self::InsideEvent { scope, found }
            }
            FragmentError::Order { due, found } => Self::FragmentOrder { address, due, found },
            FragmentError::TooLarge { bytes, bytes_max } => {
                Self::EventOverMemory { scope, bytes, bytes_max }
            }
        }
    }

    /// What the session does next. Every variant is listed, so a new one must choose.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Closed { .. }
            | Self::Silent { .. }
            | Self::Reply { .. }
            | Self::WrongReply { .. }
            | Self::Hello { .. }
            | Self::NotPrimary { .. }
            | Self::NotInitiated { .. }
            | Self::OtherReplicaSet { .. }
            | Self::FragmentOrder { .. }
            | Self::CursorClosed { .. } => Recovery::Retry,
            Self::Unreachable { .. }
            | Self::Standalone { .. }
            | Self::TooOld { .. }
            | Self::Mechanism { .. }
            | Self::Scram { .. }
            | Self::Authentication { .. }
            | Self::InsideEvent { .. }
            | Self::EventOverMemory { .. }
            | Self::NamespacePattern { .. }
            | Self::PositionLost { .. }
            | Self::NoToken { .. } => Recovery::Stop,
            Self::Command { doing, error, .. } => match error.class(*doing == Doing::Opening) {
                CodeClass::Retry => Recovery::Retry,
                CodeClass::PositionLost
                | CodeClass::EventTooLarge
                | CodeClass::AuthenticationFailed
                | CodeClass::Unauthorized
                | CodeClass::NotReplicaSet
                | CodeClass::BadRequest
                | CodeClass::Unknown => Recovery::Stop,
            },
        }
    }

    /// The one server that it concerns, if it is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Closed { address, .. }
            | Self::Silent { address, .. }
            | Self::Reply { address, .. }
            | Self::WrongReply { address, .. }
            | Self::Hello { address, .. }
            | Self::NotPrimary { address, .. }
            | Self::NotInitiated { address }
            | Self::OtherReplicaSet { address, .. }
            | Self::CursorClosed { address }
            | Self::Standalone { address }
            | Self::TooOld { address, .. }
            | Self::Scram { address, .. }
            | Self::Authentication { address, .. }
            | Self::FragmentOrder { address, .. }
            | Self::PositionLost { address, .. }
            | Self::Command { address, .. } => Some(address),
            Self::Unreachable { .. }
            | Self::Mechanism { .. }
            | Self::InsideEvent { .. }
            | Self::EventOverMemory { .. }
            | Self::NamespacePattern { .. }
            | Self::NoToken { .. } => None,
        }
    }

    /// Whether no server that could be used was found in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether a server refused the user, or the user's password.
    pub fn is_login_refused(&self) -> bool {
        matches!(self, Self::Authentication { .. } | Self::Mechanism { .. } | Self::Scram { .. })
    }

    /// Whether the user has not the right to watch.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Command { doing, error, .. }
            if error.class(*doing == Doing::Opening) == CodeClass::Unauthorized)
    }

    /// Whether the server no longer knows the resume position: going on would be a gap.
    pub fn is_position_lost(&self) -> bool {
        matches!(self, Self::PositionLost { .. })
            || matches!(self, Self::Command { doing, error, .. }
                if error.class(*doing == Doing::Opening) == CodeClass::PositionLost)
    }
}

impl std::error::Error for SessionError {}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { address, doing, reason } => fmt_closed(f, address, *doing, reason),
            Self::Silent { address, doing, waited } => {
                write!(f, "nothing came from {address} for {waited:?} while {doing}")
            }
            Self::Reply { address, error } => {
                write!(
                    f,
                    "{address} sent no valid reply: {error}; is it a MongoDB server without TLS?"
                )
            }
            Self::WrongReply { address, asked, answered } => {
                write!(f, "{address} answered request {answered} where {asked} was asked")
            }
            Self::Hello { address, error } => write!(f, "{address} refused: {error}"),
            Self::NotPrimary { address, primary: Some(primary) } => {
                write!(f, "{address} is not the primary, it names {primary}")
            }
            Self::NotPrimary { address, primary: None } => {
                write!(f, "{address} is not the primary and knows none")
            }
            Self::NotInitiated { address } => write!(
                f,
                "the replica set of {address} is not initiated: run rs.initiate() in mongosh"
            ),
            Self::OtherReplicaSet { address, wanted, found } => {
                write!(f, "{address} belongs to replica set '{found}', not to '{wanted}'")
            }
            Self::CursorClosed { address } => write!(f, "{address} closed the change stream"),
            Self::Unreachable { timeout, tried } => fmt_unreachable(f, *timeout, tried),
            Self::Standalone { address } => write!(
                f,
                "{address} is a standalone server and has no change streams: restart mongod with \
                 --replSet rs0 and run rs.initiate() once in mongosh"
            ),
            Self::TooOld { address, wire_version } => write!(
                f,
                "{address} is too old (wire version {wire_version}): MongoDB 4.4 or later is needed"
            ),
            Self::Mechanism { username, source, offered } => write!(
                f,
                "user '{username}' of '{source}' has neither SCRAM-SHA-256 nor SCRAM-SHA-1 credentials, only [{}]: set \
                 the password again with db.updateUser and mechanisms ['SCRAM-SHA-256']",
                offered.join(", ")
            ),
            Self::Scram { address, error } => {
                write!(f, "cannot authenticate at {address}: {error}")
            }
            Self::Authentication { address, username, source, error } => write!(
                f,
                "{address} refused user '{username}' of '{source}': {error}; {}",
                if source == EXTERNAL {
                    "make the subject of the certificate in connection.ssl.keystore a user there"
                } else {
                    "check user, password, authSource and authMechanism in connection.uri"
                }
            ),
            Self::Command { address, doing, error, scope, cluster_time } => {
                write!(f, "{address} failed while {doing} on {scope}: {error}")?;
                let class = error.class(*doing == Doing::Opening);
                if (*doing, class) == (Doing::Copying, CodeClass::BadRequest) {
                    return f.write_str(
                        "; check startup.mode.copy.existing.pipeline and pipeline against what this version of the \
                         server knows",
                    );
                }
                if class == CodeClass::BadRequest && error.message.contains(SPLIT_STAGE) {
                    return f.write_str("; split.large.events needs MongoDB 6.0.9, 7.0 or later");
                }
                fmt_remedy(f, class, scope, *cluster_time)
            }
            Self::PositionLost { address, doing, error, scope, lost } => write!(
                f,
                "{}; the position can no longer be resumed, the stream is stopped and nothing was \
                 skipped: store an offset that is still in the oplog, or accept the gap with \
                 resume.policy.lost.position=oldest, now or copy, or with a new offset.partition.name",
                loss(address, *doing, error, scope, lost)
            ),
            Self::NoToken { scope } => write!(
                f,
                "an event of {scope} has no _id: the pipeline must keep _id, it is the resume token"
            ),
            Self::FragmentOrder { address, due, found } => {
                write!(f, "{address} sent ")?;
                fmt_part(f, *found)?;
                f.write_str(" of a change stream where ")?;
                fmt_part(f, *due)?;
                f.write_str(" was due")
            }
            Self::InsideEvent { scope, found } => write!(
                f,
                "the stored position of {scope} lies inside a split event: {found} came first, and those before it \
                 were published by themselves; let the pipeline end with $changeStreamSplitLargeEvent instead of \
                 split.large.events until this event is behind, or store an earlier offset"
            ),
            Self::NamespacePattern { pattern, namespace } => write!(
                f,
                "the expression {pattern:?} of startup.mode.copy.existing.namespace.regex backtracks without an end \
                 over {namespace}: write it with possessive quantifiers, or without repetitions in one another"
            ),
            Self::EventOverMemory { scope, bytes, bytes_max } => write!(
                f,
                "a split event of {scope} has {bytes} bytes or more and memory.bytes.max is {bytes_max}: raise it \
                 in the worker's file; nothing was skipped"
            ),
        }
    }
}

fn loss(
    address: &Address,
    doing: Doing,
    error: &ServerError,
    scope: &Scope,
    lost: &LostPosition,
) -> String {
    format!("{address} failed while {doing} on {scope}: {error}; {lost}")
}

fn fmt_part(f: &mut fmt::Formatter<'_>, part: Option<FragmentNumber>) -> fmt::Result {
    match part {
        Some(number) => write!(f, "{number}"),
        None => f.write_str("a whole event"),
    }
}

fn fmt_closed(
    f: &mut fmt::Formatter<'_>,
    address: &Address,
    doing: Doing,
    reason: &str,
) -> fmt::Result {
    match doing {
        Doing::Connecting => write!(f, "cannot connect to {address}: {reason}"),
        Doing::Handshaking => write!(
            f,
            "{address} closed the connection while {doing}: {reason}; a server that requires TLS, \
             or a client certificate, does so"
        ),
        Doing::Opening | Doing::Streaming | Doing::Copying | Doing::Measuring => {
            write!(f, "the connection to {address} was lost while {doing}: {reason}")
        }
    }
}

fn fmt_unreachable(
    f: &mut fmt::Formatter<'_>,
    timeout: Duration,
    tried: &[(Address, Option<String>)],
) -> fmt::Result {
    write!(f, "no primary found within {timeout:?}; tried")?;
    for (index, (address, reason)) in tried.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let reason = reason.as_deref().unwrap_or("no answer yet");
        write!(f, "{comma} {address} ({reason})")?;
    }
    f.write_str("; check the hosts in connection.uri and that the servers run and can be reached")
}

fn fmt_remedy(
    f: &mut fmt::Formatter<'_>,
    class: CodeClass,
    scope: &Scope,
    cluster_time: Option<(u32, u32)>,
) -> fmt::Result {
    match class {
        CodeClass::Retry | CodeClass::Unknown => Ok(()),
        CodeClass::PositionLost => {
            f.write_str("; this position")?;
            if let Some((seconds, _)) = cluster_time {
                write!(f, " (cluster time {seconds} s)")?;
            }
            f.write_str(
                " can no longer be resumed, the stream is stopped and nothing was skipped: store \
                 an offset that is still in the oplog, or set offset.partition.name to a new name \
                 to begin afresh and accept the gap",
            )
        }
        CodeClass::EventTooLarge => f.write_str(
            "; a change event is larger than 16 MB: set split.large.events=true, leave out large \
             fields with a $project stage in pipeline, or set change.stream.full.document and \
             change.stream.full.document.before.change so that less comes with it",
        ),
        CodeClass::AuthenticationFailed => {
            f.write_str("; check user, password, authSource and authMechanism in connection.uri")
        }
        CodeClass::Unauthorized => {
            f.write_str(
                "; connection.uri must name a user with the actions find and changeStream",
            )?;
            write!(f, " on {scope}")?;
            f.write_str(match scope {
                Scope::Deployment => ", as role readAnyDatabase grants them",
                Scope::Database(_) | Scope::Collection { .. } => ", as role read grants them",
            })
        }
        CodeClass::NotReplicaSet => {
            f.write_str("; restart mongod with --replSet rs0 and run rs.initiate() once in mongosh")
        }
        CodeClass::BadRequest => f.write_str(
            "; check pipeline, database, collection and the change.stream properties against what \
             this version of the server knows",
        ),
    }
}
