//! Logging in at a broker: SASL PLAIN and SCRAM, as Kafka's own clients do it.
//!
//! ```text
//!  ApiVersions ──► SaslHandshake ──► SaslAuthenticate, one or two ──► ready
//!                       ▲                                               │
//!                       └───────── the session is about to end ◄────────┘   KIP-368
//! ```
//!
//! What a broker or a mechanism refuses needs a person: Kafka's clients take it for final, and so do
//! we. That is each error of a handshake, a proof that does not hold, and the three errors of
//! `SaslAuthenticate` whose exceptions are an `AuthenticationException`; its other errors cost the
//! connection, and another is tried (`Selector.pollSelectionKeys`). Their words are used where they
//! have some (`SaslClientAuthenticator`). The password is sent and hashed as it is: Kafka's
//! `ScramFormatter.normalize` prepares nothing.

use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::kafka::api::sasl_authenticate::AuthenticateAnswer;
use crate::kafka::api::sasl_handshake::HandshakeAnswer;
use crate::kafka::errors::ErrorCode;
use crate::scram::{self, ClientFirst, ScramError, ServerSignature};

/// A broker takes a second login on a connection no sooner than this after the last.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_millis(1_100);

/// The hash of SCRAM. Brokers know no other: SCRAM-SHA-1 cannot be said to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl From<Hash> for scram::Hash {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256,
            Hash::Sha512 => Self::Sha512,
        }
    }
}

/// How we log in (`sasl.mechanism`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself; for connections that are encrypted.
    Plain,
    /// A proof that we know the password.
    Scram(Hash),
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Scram(Hash::Sha256), Self::Scram(Hash::Sha512)];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }
}

/// Who we are to brokers.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// How that is said.
    pub mechanism: Mechanism,
    /// User name.
    pub username: String,
    /// Password. Never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, username, password: _ } = self;
        write!(f, "Login {{ {username} by {}, password hidden }}", mechanism.name())
    }
}

/// A login with what makes its conversations unique.
#[derive(Clone)]
pub struct SaslConfig {
    /// Mechanism, user and password.
    pub login: Login,
    /// Random, secret and used for one client: the nonces of all its conversations come from it.
    pub nonce_seed: [u8; 32],
}

impl fmt::Debug for SaslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.fmt(f)
    }
}

/// Begins conversations, each with a nonce of its own.
#[derive(Debug)]
pub(super) struct Sasl {
    config: SaslConfig,
    conversations: u64,
}

impl Sasl {
    pub(super) fn new(config: SaslConfig) -> Self {
        Self { config, conversations: 0 }
    }

    /// The mechanism that a handshake names.
    pub(super) fn mechanism(&self) -> Mechanism {
        self.config.login.mechanism
    }

    /// The first message, and what follows it; after the broker has taken the mechanism.
    pub(super) fn begin(&mut self) -> (Vec<u8>, Conversation) {
        let nonce = self.nonce();
        let Login { mechanism, username, password } = &self.config.login;
        match mechanism {
            Mechanism::Plain => {
                let message = format!("\0{username}\0{password}").into_bytes();
                (message, Conversation { mechanism: *mechanism, stage: Stage::Sent })
            }
            Mechanism::Scram(hash) => {
                let first = ClientFirst::new((*hash).into(), username, password.clone(), nonce);
                let message = first.message().into_bytes();
                (message, Conversation { mechanism: *mechanism, stage: Stage::First(first) })
            }
        }
    }

    /// Unlike all before, and not to be guessed from them.
    fn nonce(&mut self) -> String {
        self.conversations += 1;
        let number = self.conversations.to_be_bytes();
        BASE64.encode(
            Sha256::new().chain_update(self.config.nonce_seed).chain_update(number).finalize(),
        )
    }
}

/// What was said last, and so what the broker's answer must be.
#[derive(Debug)]
pub(super) struct Conversation {
    mechanism: Mechanism,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// PLAIN: all is said.
    Sent,
    /// SCRAM: the proof is to come.
    First(ClientFirst),
    /// SCRAM: the broker's own proof is to come.
    Final(ServerSignature),
}

/// What follows an answer.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this message.
    Send(Vec<u8>, Conversation),
    /// Both sides are who they claim to be, for that long.
    Done { session_lifetime: Option<Duration> },
}

impl Conversation {
    /// Takes the answer to the last message.
    ///
    /// # Errors
    /// The conversation is then over. Cost: see [`ClientFirst::prove`], for the first message of SCRAM.
    pub(super) fn handle(&self, answer: &AuthenticateAnswer) -> Result<Step, LoginFailure> {
        if !answer.error.is_none() {
            return Err(LoginFailure::of(answer.error, answer.error_message.clone()));
        }
        Ok(self.take(answer)?)
    }

    fn take(&self, answer: &AuthenticateAnswer) -> Result<Step, SaslError> {
        let mechanism = self.mechanism;
        let scram = |error| SaslError::Scram { mechanism, error };
        let text = || str::from_utf8(&answer.message).map_err(|_| scram(ScramError::Malformed));
        let done = Step::Done { session_lifetime: answer.session_lifetime };
        match &self.stage {
            Stage::Sent => Ok(done),
            Stage::First(first) => {
                let (message, signature) = first.prove(text()?).map_err(scram)?;
                let stage = Stage::Final(signature);
                Ok(Step::Send(message.into_bytes(), Self { mechanism, stage }))
            }
            Stage::Final(signature) => signature.verify(text()?).map(|()| done).map_err(scram),
        }
    }
}

/// Checks the answer to a handshake.
pub(super) fn check_handshake(
    mechanism: Mechanism,
    answer: HandshakeAnswer,
) -> Result<(), SaslError> {
    if answer.error.is_none() {
        return Ok(());
    }
    Err(SaslError::Mechanism { mechanism, error: answer.error, enabled: answer.enabled })
}

/// When to log in again: before the session ends, with a tenth of it to spare for the way there.
/// Java's clients take a random instant between 85 and 95 %. Of a session below 1.2 s less is left,
/// and one below [`RENEWAL_INTERVAL_MIN`] ends before: the broker then closes the connection.
pub fn renewal(session_lifetime: Option<Duration>, now: Instant) -> Option<Instant> {
    let lifetime = session_lifetime?;
    now.checked_add((lifetime / 10).saturating_mul(9).max(RENEWAL_INTERVAL_MIN))
}

/// Why a conversation ended without a login.
#[derive(Debug)]
pub(super) enum LoginFailure {
    /// A person must change something.
    Final(SaslError),
    /// The connection is of no use, another may be.
    Passing(Undecided),
}

impl LoginFailure {
    fn of(error: ErrorCode, message: Option<String>) -> Self {
        match error {
            ErrorCode::SASL_AUTHENTICATION_FAILED
            | ErrorCode::UNSUPPORTED_SASL_MECHANISM
            | ErrorCode::ILLEGAL_SASL_STATE => Self::Final(SaslError::Refused { error, message }),
            _ => Self::Passing(Undecided { error, message }),
        }
    }
}

impl From<SaslError> for LoginFailure {
    fn from(error: SaslError) -> Self {
        Self::Final(error)
    }
}

/// A broker could not tell whether to let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// What it says.
    pub error: ErrorCode,
    /// The same in words.
    pub message: Option<String>,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaslAuthenticate was answered with {:?}", self.error)?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// Why a broker does not let us in, or is not let in by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The broker does not take the mechanism.
    Mechanism {
        /// The one that was named.
        mechanism: Mechanism,
        /// What the broker says.
        error: ErrorCode,
        /// Those that it takes.
        enabled: Vec<String>,
    },
    /// The broker does not take what was said.
    Refused {
        /// What it says.
        error: ErrorCode,
        /// The same in words.
        message: Option<String>,
    },
    /// What the broker said is not what it should be.
    Scram {
        /// The mechanism.
        mechanism: Mechanism,
        /// What is wrong.
        error: ScramError,
    },
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism { mechanism, error, enabled } => {
                let (mechanism, enabled) = (mechanism.name(), enabled.join(", "));
                match *error {
                    ErrorCode::UNSUPPORTED_SASL_MECHANISM => write!(
                        f,
                        "{error:?}: Client SASL mechanism '{mechanism}' not enabled in the server, enabled \
                         mechanisms are [{enabled}]; set sasl.mechanism to one of them"
                    ),
                    ErrorCode::ILLEGAL_SASL_STATE => write!(
                        f,
                        "{error:?}: Unexpected handshake request with client mechanism {mechanism}, enabled \
                         mechanisms are [{enabled}]; this listener wants no SASL, use PLAINTEXT or SSL as \
                         security.protocol, or the port of a listener that does"
                    ),
                    _ => write!(
                        f,
                        "Unknown error code {error}, client mechanism is {mechanism}, enabled mechanisms are \
                         [{enabled}]"
                    ),
                }
            }
            Self::Refused { error, message } => {
                write!(f, "{error:?}")?;
                if let Some(message) = message {
                    write!(f, ": {message}")?;
                }
                f.write_str("; check username and password in sasl.jaas.config")
            }
            Self::Scram { mechanism, error } => {
                write!(f, "{}: {error}", mechanism.name())?;
                f.write_str("; make sure that this is the broker that you mean")
            }
        }
    }
}

impl std::error::Error for SaslError {}
