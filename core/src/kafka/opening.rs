//! The first words on a connection of the control plane: what the broker speaks, and who we are.
//!
//! ```text
//!  ApiVersions ──► SaslHandshake ──► SaslAuthenticate … ──► open
//!       └───────────── where nobody asks who we are ────────►┘
//! ```
//!
//! One request is open at a time. Also the quickest way to learn whether a broker lets us in. Frames to send have
//! their size in front, answers come without it.

use std::fmt;
use std::time::Duration;

use crate::kafka::api::api_versions::{self, Unsupported};
use crate::kafka::api::{Api, sasl_authenticate, sasl_handshake};
use crate::kafka::errors::ErrorCode;
use crate::kafka::sasl::{
    self, Conversation, LoginFailure, Sasl, SaslConfig, SaslError, Step, Undecided,
};
use crate::kafka::wire::{Reader, WireError};

/// Why a connection cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpeningError {
    /// The broker does not speak as it should.
    Wire(WireError),
    /// It will not say what it speaks.
    Versions(ErrorCode),
    /// It does not speak what is needed. Asking it again will not help.
    Unsupported(Unsupported),
    /// It does not let us in. Asking again will not help.
    Sasl(SaslError),
    /// It could not tell whether to let us in. Asking again may help.
    Undecided(Undecided),
}

impl From<WireError> for OpeningError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<SaslError> for OpeningError {
    fn from(error: SaslError) -> Self {
        Self::Sasl(error)
    }
}

impl From<LoginFailure> for OpeningError {
    fn from(failure: LoginFailure) -> Self {
        match failure {
            LoginFailure::Final(error) => Self::Sasl(error),
            LoginFailure::Passing(error) => Self::Undecided(error),
        }
    }
}

impl fmt::Display for OpeningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Versions(error) => write!(
                f,
                "ApiVersions was answered with {error:?}; a broker of Kafka 2.8 or newer is needed"
            ),
            Self::Unsupported(Unsupported { api, offered }) => {
                write!(f, "it does not speak {} version {} (", api.name(), api.version())?;
                match offered {
                    Some((min, max)) => write!(f, "it has {min} to {max}")?,
                    None => f.write_str("it does not offer it at all")?,
                }
                f.write_str("); a broker of Kafka 2.8 or newer is needed, and not a controller")
            }
            Self::Sasl(error) => error.fmt(f),
            Self::Undecided(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpeningError {}

/// What follows an answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this frame.
    Send(Vec<u8>),
    /// The connection can be used, for that long if there is an end to it. The next request has this number.
    Open {
        /// How long the broker takes us for who we are.
        session_lifetime: Option<Duration>,
        /// The number of the next request.
        correlation: i32,
    },
}

/// A frame is counted, not shown: it may hold a password.
impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(frame) => write!(f, "Send {{ {} bytes }}", frame.len()),
            Self::Open { session_lifetime, correlation } => f
                .debug_struct("Open")
                .field("session_lifetime", session_lifetime)
                .field("correlation", correlation)
                .finish(),
        }
    }
}

/// A connection that is being opened.
#[derive(Debug)]
pub struct Opening {
    client_id: String,
    sasl: Option<Sasl>,
    asked: Asked,
    correlation: i32,
}

#[derive(Debug)]
enum Asked {
    Versions,
    Handshake,
    Said(Conversation),
}

impl Opening {
    /// An opening with its first frame.
    pub fn begin(client_id: &str, sasl: Option<SaslConfig>) -> (Self, Vec<u8>) {
        let (client_id, sasl) = (client_id.to_owned(), sasl.map(Sasl::new));
        let opening = Self { client_id, sasl, asked: Asked::Versions, correlation: 0 };
        let first = opening.frame(Api::ApiVersions, api_versions::write_request);
        (opening, first)
    }

    fn frame(&self, api: Api, write_body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        api.request(self.correlation, &self.client_id, write_body)
    }

    /// Takes an answer without its size.
    ///
    /// # Errors
    /// See [`OpeningError`]; the connection is then of no use.
    pub fn handle(&mut self, answer: &[u8]) -> Result<Next, OpeningError> {
        let mut reader = Reader::new(answer);
        let api = match &self.asked {
            Asked::Versions => Api::ApiVersions,
            Asked::Handshake => Api::SaslHandshake,
            Asked::Said(_) => Api::SaslAuthenticate,
        };
        api.expect(&mut reader, self.correlation)?;
        self.correlation += 1;
        match (&self.asked, &mut self.sasl) {
            (Asked::Versions, sasl) => {
                let lacking = api_versions::read_answer(&mut reader, sasl.is_some())?;
                if let Some(lacking) = lacking.map_err(OpeningError::Versions)? {
                    return Err(OpeningError::Unsupported(lacking));
                }
                Ok(self.shake_hands())
            }
            (Asked::Handshake, Some(sasl)) => {
                let answer = sasl_handshake::read_answer(&mut reader)?;
                sasl::check_handshake(sasl.mechanism(), answer)?;
                let (message, conversation) = sasl.begin();
                Ok(self.say(&message, conversation))
            }
            (Asked::Handshake, None) => Ok(self.open(None)),
            (Asked::Said(conversation), _) => {
                let answer = sasl_authenticate::read_answer(&mut reader)?;
                match conversation.handle(&answer)? {
                    Step::Send(message, conversation) => Ok(self.say(&message, conversation)),
                    Step::Done { session_lifetime } => Ok(self.open(session_lifetime)),
                }
            }
        }
    }

    fn shake_hands(&mut self) -> Next {
        let Some(sasl) = &self.sasl else { return self.open(None) };
        let mechanism = sasl.mechanism().name();
        self.asked = Asked::Handshake;
        Next::Send(self.frame(Api::SaslHandshake, |out| {
            sasl_handshake::write_request(out, mechanism);
        }))
    }

    fn say(&mut self, message: &[u8], conversation: Conversation) -> Next {
        self.asked = Asked::Said(conversation);
        Next::Send(self.frame(Api::SaslAuthenticate, |out| {
            sasl_authenticate::write_request(out, message);
        }))
    }

    fn open(&self, session_lifetime: Option<Duration>) -> Next {
        Next::Open { session_lifetime, correlation: self.correlation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::fake_broker::{FakeCluster, Fate};
    use crate::kafka::fake_login::{FakeLogin, PASSWORD, config};
    use crate::kafka::sasl::Mechanism;

    fn open(cluster: &mut FakeCluster, sasl: Option<SaslConfig>) -> Result<Next, OpeningError> {
        let (mut opening, mut frame) = Opening::begin("c", sasl);
        loop {
            let (size, body) = frame.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_be_bytes(*size) as usize, body.len());
            let answer = cluster.handle(0, body, || Fate::Fair);
            let answer = &answer[4..];
            for cut in 0..answer.len() {
                let error = opening.handle(&answer[..cut]).err();
                assert!(matches!(error, Some(OpeningError::Wire(_))), "cut at {cut}");
                // A cut answer ends the connection; the test goes on with the same one.
                opening.correlation = i32::from_be_bytes(*answer.first_chunk().unwrap());
            }
            match opening.handle(answer)? {
                Next::Send(next) => frame = next,
                open @ Next::Open { .. } => return Ok(open),
            }
        }
    }

    #[test]
    fn connection_opens_and_no_cut_answer_is_read() {
        let opened = |correlation| Ok(Next::Open { session_lifetime: None, correlation });
        assert_eq!(open(&mut FakeCluster::new(1), None), opened(1));
        for mechanism in Mechanism::ALL {
            let mut cluster = FakeCluster::new(1);
            cluster.login = Some(FakeLogin::new(mechanism));
            let steps = if mechanism == Mechanism::Plain { 3 } else { 4 };
            assert_eq!(open(&mut cluster, Some(config(mechanism, PASSWORD))), opened(steps));
        }
    }

    #[test]
    fn the_end_of_a_session_is_known() {
        let mut cluster = FakeCluster::new(1);
        let mut login = FakeLogin::new(Mechanism::Plain);
        login.session_lifetime_ms = 60_000;
        cluster.login = Some(login);
        let opened = open(&mut cluster, Some(config(Mechanism::Plain, PASSWORD)));
        let session_lifetime = Some(Duration::from_secs(60));
        assert_eq!(opened, Ok(Next::Open { session_lifetime, correlation: 3 }));
    }

    #[test]
    fn a_frame_with_a_password_is_not_shown() {
        let config = config(Mechanism::Plain, PASSWORD);
        let (message, conversation) = Sasl::new(config.clone()).begin();
        let next = Opening::begin("c", Some(config)).0.say(&message, conversation);
        let Next::Send(frame) = &next else { panic!("{next:?}") };
        assert!(frame.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
        assert_eq!(format!("{next:?}"), format!("Send {{ {} bytes }}", frame.len()));
    }

    #[test]
    fn a_broker_that_does_not_let_us_in_says_why() {
        for mechanism in Mechanism::ALL {
            let mut cluster = FakeCluster::new(1);
            cluster.login = Some(FakeLogin::new(mechanism));
            let error = open(&mut cluster, Some(config(mechanism, "wrong"))).unwrap_err();
            assert!(error.to_string().contains("SASL_AUTHENTICATION_FAILED (58)"), "{error}");
        }
    }

    #[test]
    fn a_broker_that_cannot_decide_has_not_refused_us() {
        let mut cluster = FakeCluster::new(1);
        let mut login = FakeLogin::new(Mechanism::Plain);
        login.fault = Some(ErrorCode::UNKNOWN_SERVER_ERROR);
        cluster.login = Some(login);
        let error = open(&mut cluster, Some(config(Mechanism::Plain, PASSWORD))).unwrap_err();
        assert!(matches!(error, OpeningError::Undecided(_)), "{error}");
    }
}
