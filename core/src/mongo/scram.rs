//! Proves to a server that we know a password, and makes it prove that it does: SCRAM-SHA-256.
//!
//! ```text
//!  n,,n=user,r=NONCE                         ──► saslStart
//!                                            ◄── r=NONCE+theirs,s=salt,i=iterations
//!  c=biws,r=NONCE+theirs,p=proof             ──► saslContinue
//!                                            ◄── v=signature      checked in constant time
//! ```
//!
//! One round trip is saved with `skipEmptyExchange`; a server that does not know it gets the empty
//! third message. SCRAM-SHA-1 is refused on purpose. The password is prepared with SASLprep, the
//! user name is sent as it is. Facts: RFC 5802, RFC 7677, authentication specification of the
//! MongoDB drivers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::bson::{RawDoc, RawValue};
use super::bson_write::DocWriter;

/// The one mechanism.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Fewer iterations make the password cheap to guess; RFC 7677 forbids them.
const ITERATIONS_MIN: u32 = 4_096;
/// More iterations keep the thread busy for seconds; servers use 15,000.
const ITERATIONS_MAX: u32 = 2_000_000;

/// A user and the database that knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password. Never shown.
    pub password: String,
    /// `authSource`: the database where the user is defined, usually `admin`.
    pub source: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, source, password: _ } = self;
        write!(f, "Credentials {{ {username} of {source}, password hidden }}")
    }
}

/// Why the conversation cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramError {
    /// The password holds characters that SASLprep forbids.
    Password,
    /// A message of the server lacks a part or has one that cannot be read.
    Malformed,
    /// The server's nonce does not begin with ours: the message belongs to another conversation.
    Nonce,
    /// The server asks for an iteration count out of range.
    Iterations {
        /// As asked.
        iterations: u32,
    },
    /// The server does not know the password: it is not the server that it claims to be.
    Signature,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str("the password holds characters that SASLprep forbids"),
            Self::Malformed => f.write_str("the server sent a malformed SCRAM message"),
            Self::Nonce => f.write_str("the server answered with a foreign nonce"),
            Self::Iterations { iterations } => write!(
                f,
                "the server asks for {iterations} iterations, allowed are {ITERATIONS_MIN} to \
                 {ITERATIONS_MAX}"
            ),
            Self::Signature => f.write_str("the server could not prove that it knows the password"),
        }
    }
}

impl std::error::Error for ScramError {}

/// One conversation. Write [`Scram::write_start`], then answer each reply until it is done.
pub struct Scram {
    nonce: String,
    /// `n=user,r=NONCE`: part of what both sides sign.
    client_first_bare: String,
    password: String,
    stage: Stage,
}

enum Stage {
    /// `saslStart` is on the way.
    First,
    /// The proof is on the way; this is the HMAC that the server must send.
    Final { signature: Hmac<Sha256> },
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
    /// A conversation for `credentials`. `nonce` must be random and never used before.
    ///
    /// # Errors
    /// [`ScramError::Password`].
    pub fn new(credentials: &Credentials, nonce: [u8; 24]) -> Result<Self, ScramError> {
        Self::with_nonce(credentials, BASE64.encode(nonce))
    }

    fn with_nonce(credentials: &Credentials, nonce: String) -> Result<Self, ScramError> {
        let user = credentials.username.replace('=', "=3D").replace(',', "=2C");
        let password =
            stringprep::saslprep(&credentials.password).map_err(|_| ScramError::Password)?;
        Ok(Self {
            client_first_bare: format!("n={user},r={nonce}"),
            nonce,
            password: password.into_owned(),
            stage: Stage::First,
        })
    }

    /// The first command.
    pub fn write_start(&self, source: &str, doc: &mut DocWriter<'_>) {
        doc.int32("saslStart", 1);
        doc.string("mechanism", MECHANISM);
        doc.binary("payload", format!("n,,{}", self.client_first_bare).as_bytes());
        doc.document("options", |options| options.boolean("skipEmptyExchange", true));
        doc.string("$db", source);
    }

    /// Answers `body`, a reply with `ok: 1` to the last command.
    ///
    /// # Errors
    /// See [`ScramError`]. The conversation is then over. Cost: up to some 10 ms of hashing for the
    /// first reply.
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
            Stage::First => {
                let (payload, signature) = self.prove(message)?;
                self.stage = Stage::Final { signature };
                payload.into_bytes()
            }
            Stage::Final { signature } => {
                let got = attribute(message, "v=").and_then(|text| BASE64.decode(text).ok());
                let got = got.ok_or(ScramError::Malformed)?;
                signature.clone().verify_slice(&got).map_err(|_| ScramError::Signature)?;
                self.stage = Stage::Empty;
                Vec::new()
            }
            Stage::Empty if done => return Ok(Answer::Done),
            Stage::Empty => return Err(ScramError::Malformed),
        };
        match &self.stage {
            Stage::Empty if done => Ok(Answer::Done),
            Stage::First | Stage::Final { .. } if done => Err(ScramError::Signature),
            Stage::First | Stage::Final { .. } | Stage::Empty => {
                Ok(Answer::Continue { conversation_id, payload })
            }
        }
    }

    /// The proof for the server's first message, and what its signature must be.
    fn prove(&self, server_first: &str) -> Result<(String, Hmac<Sha256>), ScramError> {
        let nonce = attribute(server_first, "r=").ok_or(ScramError::Malformed)?;
        let salt = attribute(server_first, "s=").and_then(|salt| BASE64.decode(salt).ok());
        let salt = salt.ok_or(ScramError::Malformed)?;
        let iterations = attribute(server_first, "i=").and_then(|count| count.parse().ok());
        let iterations: u32 = iterations.ok_or(ScramError::Malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations { iterations });
        }
        let salted =
            pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(self.password.as_bytes(), &salt, iterations);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let client_key = hmac(&salted, b"Client Key")?.finalize().into_bytes();
        let stored_key = Sha256::digest(client_key);
        let client_signature = hmac(&stored_key, signed.as_bytes())?.finalize().into_bytes();
        let proof: Vec<u8> =
            client_key.iter().zip(client_signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = hmac(&salted, b"Server Key")?.finalize().into_bytes();
        let server_signature = hmac(&server_key, signed.as_bytes())?;
        Ok((format!("{without_proof},p={}", BASE64.encode(proof)), server_signature))
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

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

fn hmac(key: &[u8], text: &[u8]) -> Result<Hmac<Sha256>, ScramError> {
    // HMAC takes keys of every length; the error exists for other codes.
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| ScramError::Malformed)?;
    hmac.update(text);
    Ok(hmac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::bson_write::write_document;

    // The conversation of RFC 7677, section 3.
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn conversation() -> Scram {
        let credentials = Credentials {
            username: "user".to_owned(),
            password: "pencil".to_owned(),
            source: "admin".to_owned(),
        };
        Scram::with_nonce(&credentials, "rOprNGfwEbeRWgbNEkqO".to_owned()).unwrap()
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
    fn the_conversation_of_the_rfc_is_spoken() {
        let mut scram = conversation();
        let mut start = Vec::new();
        write_document(&mut start, |doc| scram.write_start("admin", doc));
        let payload = RawDoc::new(&start).unwrap().get(b"payload").unwrap().unwrap();
        let bytes = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO".as_slice();
        assert_eq!(payload, RawValue::Binary { subtype: 0, bytes });
        let want = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let proof = Answer::Continue { conversation_id: 5, payload: want.into() };
        assert_eq!(answer(&mut scram, SERVER_FIRST, false), Ok(proof));
        assert_eq!(answer(&mut scram, SERVER_FINAL, true), Ok(Answer::Done));
    }

    #[test]
    fn a_server_without_skip_empty_exchange_gets_the_empty_message() {
        let mut scram = conversation();
        answer(&mut scram, SERVER_FIRST, false).unwrap();
        let empty = Answer::Continue { conversation_id: 5, payload: Vec::new() };
        assert_eq!(answer(&mut scram, SERVER_FINAL, false), Ok(empty));
        assert_eq!(answer(&mut scram, "", true), Ok(Answer::Done));
    }

    #[test]
    fn a_server_that_does_not_prove_itself_is_refused() {
        let mut scram = conversation();
        answer(&mut scram, SERVER_FIRST, false).unwrap();
        let forged = SERVER_FINAL.replace('6', "7");
        assert_eq!(answer(&mut scram, &forged, true), Err(ScramError::Signature));
        let mut scram = conversation();
        assert_eq!(answer(&mut scram, SERVER_FIRST, true), Err(ScramError::Signature));
    }

    #[test]
    fn bad_server_messages_are_refused() {
        for (message, want) in [
            (SERVER_FIRST.replace("r=r", "r=s"), ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096".to_owned(), ScramError::Nonce),
            (SERVER_FIRST.replace("4096", "4095"), ScramError::Iterations { iterations: 4095 }),
            (
                SERVER_FIRST.replace("4096", "4000000000"),
                ScramError::Iterations { iterations: 4_000_000_000 },
            ),
            (SERVER_FIRST.replace("4096", "x"), ScramError::Malformed),
            (SERVER_FIRST.replace("s=W", "s=!"), ScramError::Malformed),
            (String::new(), ScramError::Malformed),
        ] {
            assert_eq!(answer(&mut conversation(), &message, false), Err(want), "{message}");
        }
    }

    #[test]
    fn names_are_escaped_and_secrets_are_not_shown() {
        let credentials = Credentials {
            username: "a=b,c".to_owned(),
            password: "I\u{ad}X\u{2168}".to_owned(),
            source: "admin".to_owned(),
        };
        let scram = Scram::new(&credentials, [0; 24]).unwrap();
        assert!(scram.client_first_bare.starts_with("n=a=3Db=2Cc,r=AAAA"));
        assert_eq!(scram.password, "IXIX", "RFC 4013, section 3");
        assert!(!format!("{credentials:?}{scram:?}").contains("IX"));
        let bad = Credentials { password: "\u{7}".to_owned(), ..credentials };
        assert_eq!(Scram::new(&bad, [0; 24]).err(), Some(ScramError::Password));
    }
}
