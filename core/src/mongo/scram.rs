//! SCRAM as MongoDB speaks it: [`crate::scram`] in commands and replies.
//!
//! ```text
//!  first message of the client       ──► saslStart
//!                                    ◄── first message of the server
//!  its last one                      ──► saslContinue
//!                                    ◄── last one of the server
//! ```
//!
//! One round trip is saved with `skipEmptyExchange`; a server that does not know it gets the empty
//! third message. The user name is sent as it is. For SCRAM-SHA-256 the password is prepared with SASLprep,
//! for SCRAM-SHA-1 it is the MD5 of user and password that the server keeps of old. Facts: authentication
//! specification of the MongoDB drivers.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use super::bson::{RawDoc, RawValue};
use super::bson_write::DocWriter;
use crate::scram::{ClientFirst, Hash, ScramError, ServerSignature};

/// What proves a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-1: all that users have who were made before MongoDB 4.0.
    ScramSha1,
}

impl Mechanism {
    /// Every mechanism, the strongest first.
    pub const ALL: [Self; 2] = [Self::ScramSha256, Self::ScramSha1];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
        }
    }

    /// The one of this name. Case counts, as for the Java driver.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// The strongest of those that a user has; `None`: it has no password.
    ///
    /// Servers since 4.0 leave the list out for users they do not know, and refuse these whatever is
    /// tried. The specification would try SCRAM-SHA-1 then, for servers older than we take; we try the
    /// stronger, so that who cuts the list out of a reply gains nothing.
    pub(super) fn strongest(offered: Option<&[String]>) -> Option<Self> {
        let Some(offered) = offered else { return Some(Self::ScramSha256) };
        Self::ALL.into_iter().find(|mechanism| offered.iter().any(|name| name == mechanism.name()))
    }

    fn hash(self) -> Hash {
        match self {
            Self::ScramSha256 => Hash::Sha256,
            Self::ScramSha1 => Hash::Sha1,
        }
    }

    /// What goes into the proof in place of the password.
    fn prepare(self, username: &str, password: &str) -> Result<String, ScramError> {
        match self {
            Self::ScramSha256 => stringprep::saslprep(password)
                .map(Cow::into_owned)
                .map_err(|_| ScramError::Password),
            Self::ScramSha1 => {
                let digest = Md5::digest(format!("{username}:mongo:{password}"));
                Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
            }
        }
    }
}

/// A user and the database that knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password. Never shown.
    pub password: String,
    /// `authSource`: the database where the user is defined, usually `admin`.
    pub source: String,
    /// `authMechanism`; `None`: the server is asked what the user has.
    pub mechanism: Option<Mechanism>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, source, password: _, mechanism: _ } = self;
        write!(f, "Credentials {{ {username} of {source}, password hidden }}")
    }
}

/// One conversation. Write [`Scram::write_start`], then answer each reply until it is done.
pub struct Scram {
    mechanism: Mechanism,
    stage: Stage,
}

enum Stage {
    /// `saslStart` is on the way.
    First(ClientFirst),
    /// The proof is on the way; this is what the server must send.
    Final(ServerSignature),
    /// The server has proved itself, but wants an empty message before it is done.
    Empty,
}

/// What follows a reply of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send this in a `saslContinue`.
    Continue {
        /// Names the conversation.
        conversation_id: i32,
        /// The message.
        payload: Vec<u8>,
    },
    /// Both sides are who they claim to be.
    Done,
}

impl Scram {
    /// A conversation for `credentials` by `mechanism`. `nonce` must be random and never used before.
    ///
    /// # Errors
    /// [`ScramError::Password`].
    pub fn new(
        mechanism: Mechanism,
        credentials: &Credentials,
        nonce: [u8; 24],
    ) -> Result<Self, ScramError> {
        Self::with_nonce(mechanism, credentials, BASE64.encode(nonce))
    }

    fn with_nonce(
        mechanism: Mechanism,
        credentials: &Credentials,
        nonce: String,
    ) -> Result<Self, ScramError> {
        let Credentials { username, password, .. } = credentials;
        let password = mechanism.prepare(username, password)?;
        let first = ClientFirst::new(mechanism.hash(), username, password, nonce);
        Ok(Self { mechanism, stage: Stage::First(first) })
    }

    /// The first command; later ones are of [`write_continue`].
    pub fn write_start(&self, source: &str, doc: &mut DocWriter<'_>) {
        let Stage::First(first) = &self.stage else { return };
        doc.int32("saslStart", 1);
        doc.string("mechanism", self.mechanism.name());
        doc.binary("payload", first.message().as_bytes());
        doc.document("options", |options| options.boolean("skipEmptyExchange", true));
        doc.string("$db", source);
    }

    /// Answers `body`, a reply with `ok: 1` to the last command.
    ///
    /// # Errors
    /// See [`ScramError`]. The conversation is then over. Cost: see [`ClientFirst::prove`], for the first reply.
    pub fn answer(&mut self, body: RawDoc<'_>) -> Result<Answer, ScramError> {
        let field = |name: &str| body.get(name.as_bytes()).ok().flatten();
        let done = field("done").is_some_and(RawValue::is_true);
        let conversation_id = field("conversationId").and_then(RawValue::as_i64).unwrap_or(1);
        let conversation_id = i32::try_from(conversation_id).map_err(|_| ScramError::Malformed)?;
        let Some(RawValue::Binary { bytes: payload, .. }) = field("payload") else {
            return Err(ScramError::Malformed);
        };
        let message = std::str::from_utf8(payload).map_err(|_| ScramError::Malformed)?;
        let payload = match &self.stage {
            Stage::First(first) => {
                let (message, signature) = first.prove(message)?;
                self.stage = Stage::Final(signature);
                message.into_bytes()
            }
            Stage::Final(signature) => {
                signature.verify(message)?;
                self.stage = Stage::Empty;
                Vec::new()
            }
            Stage::Empty if done => return Ok(Answer::Done),
            Stage::Empty => return Err(ScramError::Malformed),
        };
        match &self.stage {
            Stage::Empty if done => Ok(Answer::Done),
            Stage::First(_) | Stage::Final(_) if done => Err(ScramError::Signature),
            Stage::First(_) | Stage::Final(_) | Stage::Empty => {
                Ok(Answer::Continue { conversation_id, payload })
            }
        }
    }
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scram { hidden }")
    }
}

/// The `saslContinue` command.
pub fn write_continue(source: &str, conversation_id: i32, payload: &[u8], doc: &mut DocWriter<'_>) {
    doc.int32("saslContinue", 1);
    doc.int32("conversationId", conversation_id);
    doc.binary("payload", payload);
    doc.string("$db", source);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;

    use crate::scram::tests::{Known, SHA_256};

    /// The example of the drivers' specification for SCRAM-SHA-1.
    const SHA_1: Known = Known {
        hash: Hash::Sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,\
                       s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,\
                       p=MC2T8BvbmWRckDw8oWl5IVghwCY=",
        server_final: "v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=",
    };

    fn credentials(password: &str) -> Credentials {
        Credentials {
            username: "user".to_owned(),
            password: password.to_owned(),
            source: "admin".to_owned(),
            mechanism: None,
        }
    }

    fn conversation_by(mechanism: Mechanism, known: &Known) -> Scram {
        Scram::with_nonce(mechanism, &credentials("pencil"), known.nonce.to_owned()).unwrap()
    }

    fn conversation() -> Scram {
        conversation_by(Mechanism::ScramSha256, &SHA_256)
    }

    fn answer(scram: &mut Scram, payload: &str, done: bool) -> Result<Answer, ScramError> {
        let mut body = Vec::new();
        write_document(&mut body, |doc| {
            doc.int32("conversationId", 5);
            doc.boolean("done", done);
            doc.binary("payload", payload.as_bytes());
            doc.double("ok", 1.0);
        });
        scram.answer(RawDoc::new(&body).unwrap())
    }

    #[test]
    fn known_conversations_are_spoken() {
        for (mechanism, known) in [(Mechanism::ScramSha256, SHA_256), (Mechanism::ScramSha1, SHA_1)]
        {
            let mut scram = conversation_by(mechanism, &known);
            let mut start = Vec::new();
            write_document(&mut start, |doc| scram.write_start("admin", doc));
            let field = |name: &[u8]| RawDoc::new(&start).unwrap().get(name).unwrap().unwrap();
            let first = format!("n,,n=user,r={}", known.nonce);
            let name = mechanism.name().as_bytes();
            assert_eq!(field(b"mechanism"), RawValue::String(name));
            let bytes = first.as_bytes();
            assert_eq!(field(b"payload"), RawValue::Binary { subtype: 0, bytes });
            let payload = known.client_final.into();
            let proof = Answer::Continue { conversation_id: 5, payload };
            assert_eq!(answer(&mut scram, known.server_first, false), Ok(proof));
            assert_eq!(answer(&mut scram, known.server_final, true), Ok(Answer::Done));
        }
    }

    #[test]
    fn a_server_without_skip_empty_exchange_gets_the_empty_message() {
        let mut scram = conversation();
        answer(&mut scram, SHA_256.server_first, false).unwrap();
        let empty = Answer::Continue { conversation_id: 5, payload: Vec::new() };
        assert_eq!(answer(&mut scram, SHA_256.server_final, false), Ok(empty));
        assert_eq!(answer(&mut scram, "", true), Ok(Answer::Done));
    }

    #[test]
    fn a_server_that_does_not_prove_itself_is_refused() {
        let mut scram = conversation();
        answer(&mut scram, SHA_256.server_first, false).unwrap();
        let forged = SHA_256.server_final.replace('6', "7");
        assert_eq!(answer(&mut scram, &forged, true), Err(ScramError::Signature));
        let mut scram = conversation();
        assert_eq!(answer(&mut scram, SHA_256.server_first, true), Err(ScramError::Signature));
    }

    #[test]
    fn a_reply_without_a_message_is_refused() {
        let mut body = Vec::new();
        write_document(&mut body, |doc| doc.double("ok", 1.0));
        let answer = conversation().answer(RawDoc::new(&body).unwrap());
        assert_eq!(answer, Err(ScramError::Malformed));
        assert_eq!(answer_to_first("r=x,s=,i=1"), Err(ScramError::Nonce));
    }

    fn answer_to_first(message: &str) -> Result<Answer, ScramError> {
        answer(&mut conversation(), message, false)
    }

    #[test]
    fn passwords_are_prepared_and_secrets_are_not_shown() {
        let by = Mechanism::ScramSha256;
        let shy = credentials("pen\u{ad}cil");
        let mut scram = Scram::with_nonce(by, &shy, SHA_256.nonce.to_owned()).unwrap();
        assert!(!format!("{shy:?}{scram:?}").contains("pen"));
        let proof = answer(&mut scram, SHA_256.server_first, false);
        let payload = SHA_256.client_final.into();
        assert_eq!(proof, Ok(Answer::Continue { conversation_id: 5, payload }), "RFC 4013");
        let bad = credentials("\u{7}");
        assert_eq!(Scram::new(by, &bad, [0; 24]).err(), Some(ScramError::Password));
        assert!(Scram::new(Mechanism::ScramSha1, &bad, [0; 24]).is_ok(), "SHA-1 prepares nothing");
    }
}
