//! From a fresh connection to one that may watch: hello, then the password or the certificate.
//!
//! ```text
//!  Hello ──► refused (standalone, secondary, other set, too old)
//!    │
//!    ├── password ──► saslStart ──► saslContinue ──► Ready
//!    ├── certificate ──► authenticate ─────────────► Ready
//!    └── neither ──────────────────────────────────► Ready
//! ```
//!
//! Knows no time: whoever opened the connection sends each [`Handshake::command`], and takes what follows
//! from [`Handshake::read_reply`].

use bytes::Bytes;

use super::bson::RawDoc;
use super::bson_write::DocWriter;
use super::error_codes::{CodeClass, ServerError};
use super::hello::{Hello, Role, write_hello};
use super::login::{Login, write_authenticate};
use super::peer::Peer;
use super::reply::{Reply, ReplyError, ReplyReader};
use super::scram::{self, Answer, Credentials, Mechanism, Scram};
use super::server_api::encode_with_api;
use super::session::SessionConfig;
use super::session_error::SessionError;
use super::topology::Topology;
use crate::inbox::Inbox;
use crate::link::Address;

/// MongoDB 4.4: the oldest that knows `hello` and `startAfter`.
const WIRE_VERSION_MIN: i64 = 9;
/// MongoDB 7.1: the first mongos that goes on replying unasked.
const EXHAUST_MONGOS_WIRE_VERSION_MIN: i64 = 22;
/// Largest reply. Bytes. Small, so that a peer that speaks TLS is found out by its first bytes.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Handshake {
    nonce: [u8; 24],
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Hello,
    Start { scram: Scram, exhaust: bool },
    Certificate { exhaust: bool },
    Continue { scram: Scram, exhaust: bool, conversation_id: i32, payload: Vec<u8> },
}

/// What follows a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the next command.
    Send,
    /// The connection may be used. `exhaust`: the server can go on replying unasked.
    Ready { exhaust: bool },
}

impl Handshake {
    pub(super) fn new(nonce: [u8; 24]) -> Self {
        Self { nonce, stage: Stage::Hello }
    }

    /// The command that is due, as a message.
    pub(super) fn command(&self, config: &SessionConfig, request_id: i32) -> Bytes {
        encode_with_api(config.server_api, request_id, false, |doc| self.write_command(config, doc))
    }

    fn write_command(&self, config: &SessionConfig, doc: &mut DocWriter<'_>) {
        let source = match &config.login {
            Some(Login::Password(credentials)) => credentials.source.as_str(),
            Some(Login::Certificate { .. }) | None => "admin",
        };
        match &self.stage {
            Stage::Hello => write_hello(&config.app_name, config.login.as_ref(), doc),
            Stage::Certificate { .. } => {
                let username = match &config.login {
                    Some(Login::Certificate { username }) => username.as_deref(),
                    Some(Login::Password(_)) | None => None,
                };
                write_authenticate(username, doc);
            }
            Stage::Start { scram, .. } => scram.write_start(source, doc),
            Stage::Continue { conversation_id, payload, .. } => {
                scram::write_continue(source, *conversation_id, payload, doc);
            }
        }
    }

    /// Takes the reply of `peer` to the command `asked` off `inbox`; `None`: it is not there yet. What
    /// the server says of its set goes into `topology`.
    ///
    /// # Errors
    /// Why this server cannot be used.
    pub(super) fn read_reply(
        &mut self,
        config: &SessionConfig,
        (peer, asked): (&Peer, i32),
        inbox: &mut Inbox,
        topology: &mut Topology,
    ) -> Result<Option<Next>, SessionError> {
        let reply = ReplyReader::whole(inbox, REPLY_BYTES_MAX);
        let Some((header, body)) = reply.map_err(|error| peer.malformed(error))? else {
            return Ok(None);
        };
        peer.check_reply(asked, header)?;
        let next = self.handle_reply(config, &peer.address, body, topology)?;
        ReplyReader::skip_whole(inbox, header);
        Ok(Some(next))
    }

    fn handle_reply(
        &mut self,
        config: &SessionConfig,
        address: &Address,
        body: RawDoc<'_>,
        topology: &mut Topology,
    ) -> Result<Next, SessionError> {
        let malformed = |error| SessionError::Reply {
            address: address.clone(),
            error: ReplyError::Bson(error),
        };
        let (reply, _) = Reply::peek(body).map_err(malformed)?;
        if !reply.ok {
            return Err(self.refused(config, address, reply.error));
        }
        match &self.stage {
            Stage::Hello => {
                let hello = Hello::read(body).map_err(malformed)?;
                // First: what a foreign set says of its members would displace those of ours.
                check_set(&hello, config, address)?;
                let by_primary = hello.role == Role::Primary;
                topology.learn(&hello.hosts, hello.primary.clone(), by_primary);
                let exhaust = check(&hello, address)?;
                self.stage = match &config.login {
                    None => return Ok(Next::Ready { exhaust }),
                    Some(Login::Certificate { .. }) => Stage::Certificate { exhaust },
                    Some(Login::Password(credentials)) => {
                        let scram = start_scram(&hello, credentials, self.nonce, address)?;
                        Stage::Start { scram, exhaust }
                    }
                };
                Ok(Next::Send)
            }
            Stage::Certificate { exhaust } => Ok(Next::Ready { exhaust: *exhaust }),
            Stage::Start { .. } | Stage::Continue { .. } => self.continue_scram(address, body),
        }
    }

    fn continue_scram(
        &mut self,
        address: &Address,
        body: RawDoc<'_>,
    ) -> Result<Next, SessionError> {
        let (mut scram, exhaust) = match std::mem::replace(&mut self.stage, Stage::Hello) {
            Stage::Start { scram, exhaust } | Stage::Continue { scram, exhaust, .. } => {
                (scram, exhaust)
            }
            Stage::Hello | Stage::Certificate { .. } => return Ok(Next::Send),
        };
        let answer = scram.answer(body);
        match answer.map_err(|error| SessionError::Scram { address: address.clone(), error })? {
            Answer::Done => Ok(Next::Ready { exhaust }),
            Answer::Continue { conversation_id, payload } => {
                self.stage = Stage::Continue { scram, exhaust, conversation_id, payload };
                Ok(Next::Send)
            }
        }
    }

    fn refused(
        &self,
        config: &SessionConfig,
        address: &Address,
        error: ServerError,
    ) -> SessionError {
        let address = address.clone();
        let error = Box::new(error);
        match (&self.stage, &config.login) {
            (Stage::Hello, _) | (_, None) => {
                if error.class(false) == CodeClass::BadRequest {
                    SessionError::TooOld { address, wire_version: 0 }
                } else {
                    SessionError::Hello { address, error }
                }
            }
            (
                Stage::Start { .. } | Stage::Continue { .. } | Stage::Certificate { .. },
                Some(login),
            ) => {
                if error.class(false) == CodeClass::Retry {
                    return SessionError::Hello { address, error };
                }
                let (username, source) = login.user();
                SessionError::Authentication { address, username, source, error }
            }
        }
    }
}

/// Whether a member is one of the set that is wanted.
fn check_set(hello: &Hello, config: &SessionConfig, address: &Address) -> Result<(), SessionError> {
    if let (Some(wanted), Role::Primary | Role::Secondary | Role::OtherMember) =
        (&config.replica_set, hello.role)
        && hello.set_name.as_ref() != Some(wanted)
    {
        let found = hello.set_name.clone().unwrap_or_default();
        let (address, wanted) = (address.clone(), wanted.clone());
        return Err(SessionError::OtherReplicaSet { address, wanted, found });
    }
    Ok(())
}

/// Whether a server can be watched, and if so whether it can go on replying unasked.
fn check(hello: &Hello, address: &Address) -> Result<bool, SessionError> {
    let address = address.clone();
    if hello.max_wire_version < WIRE_VERSION_MIN {
        return Err(SessionError::TooOld { address, wire_version: hello.max_wire_version });
    }
    match hello.role {
        Role::Primary => Ok(true),
        Role::Mongos => Ok(EXHAUST_MONGOS_WIRE_VERSION_MIN <= hello.max_wire_version),
        Role::Standalone => Err(SessionError::Standalone { address }),
        Role::Uninitiated => Err(SessionError::NotInitiated { address }),
        Role::Secondary | Role::OtherMember => {
            Err(SessionError::NotPrimary { address, primary: hello.primary.clone() })
        }
    }
}

/// By the mechanism that the user named, else by the strongest that the server says the user has. What was named is not
/// compared with that: the server says itself what it refuses, and a weaker one is never put in its place.
fn start_scram(
    hello: &Hello,
    credentials: &Credentials,
    nonce: [u8; 24],
    address: &Address,
) -> Result<Scram, SessionError> {
    let offered = hello.mechanisms.as_deref();
    let Some(mechanism) = credentials.mechanism.or_else(|| Mechanism::strongest(offered)) else {
        let Credentials { username, source, .. } = credentials.clone();
        let offered = offered.unwrap_or_default().to_vec();
        return Err(SessionError::Mechanism { username, source, offered });
    };
    Scram::new(mechanism, credentials, nonce)
        .map_err(|error| SessionError::Scram { address: address.clone(), error })
}
