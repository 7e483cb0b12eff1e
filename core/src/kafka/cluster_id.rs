//! What a cluster is called: one question to one broker, outside of any pipeline.
//!
//! ```text
//!  SaslHandshake, SaslAuthenticate …   where we must say who we are
//!  Metadata v9 for no topics ──► brokers, cluster id, …
//! ```
//!
//! Also the quickest way to learn whether a broker lets us in. Frames have their size in front.

use std::fmt;

use crate::kafka::api::metadata::{self, Metadata};
use crate::kafka::api::{Api, sasl_authenticate, sasl_handshake};
use crate::kafka::sasl::{
    self, Conversation, LoginFailure, Sasl, SaslConfig, SaslError, Step, Undecided,
};
use crate::kafka::wire::{Reader, WireError, finish_request};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InquiryError {
    /// The broker does not speak as it should.
    Wire(WireError),
    /// It does not let us in. Asking again will not help.
    Sasl(SaslError),
    /// It could not tell whether to let us in. Asking again may help.
    Undecided(Undecided),
}

impl From<WireError> for InquiryError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<SaslError> for InquiryError {
    fn from(error: SaslError) -> Self {
        Self::Sasl(error)
    }
}

impl From<LoginFailure> for InquiryError {
    fn from(failure: LoginFailure) -> Self {
        match failure {
            LoginFailure::Final(error) => Self::Sasl(error),
            LoginFailure::Passing(error) => Self::Undecided(error),
        }
    }
}

impl fmt::Display for InquiryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Sasl(error) => error.fmt(f),
            Self::Undecided(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InquiryError {}

/// What follows an answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this frame.
    Send(Vec<u8>),
    /// That is what it is called, if it has a name.
    Known(Option<String>),
}

/// A frame is counted, not shown: it may hold a password.
impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(frame) => write!(f, "Send {{ {} bytes }}", frame.len()),
            Self::Known(name) => f.debug_tuple("Known").field(name).finish(),
        }
    }
}

/// One question over one connection.
#[derive(Debug)]
pub struct Inquiry {
    client_id: String,
    sasl: Option<Sasl>,
    asked: Asked,
    correlation: i32,
}

#[derive(Debug)]
enum Asked {
    Handshake,
    Said(Conversation),
    Metadata,
}

impl Inquiry {
    /// A question with its first frame.
    pub fn begin(client_id: &str, sasl: Option<SaslConfig>) -> (Self, Vec<u8>) {
        let asked = if sasl.is_some() { Asked::Handshake } else { Asked::Metadata };
        let (client_id, sasl) = (client_id.to_owned(), sasl.map(Sasl::new));
        let inquiry = Self { client_id, sasl, asked, correlation: 0 };
        let first = match &inquiry.sasl {
            Some(sasl) => inquiry.frame(Api::SaslHandshake, |out| {
                sasl_handshake::write_request(out, sasl.mechanism().name());
            }),
            None => inquiry.question(),
        };
        (inquiry, first)
    }

    fn question(&self) -> Vec<u8> {
        self.frame(Api::Metadata, |out| metadata::write_request(out, std::iter::empty(), false))
    }

    fn frame(&self, api: Api, write_body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut request = Vec::new();
        api.begin_request(&mut request, self.correlation, &self.client_id);
        write_body(&mut request);
        let size_bytes = request.len();
        finish_request(&mut request, size_bytes);
        request
    }

    /// Takes an answer without its size.
    ///
    /// # Errors
    /// See [`InquiryError`]; the connection is then of no use.
    pub fn handle(&mut self, answer: &[u8]) -> Result<Next, InquiryError> {
        let mut reader = Reader::new(answer);
        let api = match &self.asked {
            Asked::Handshake => Api::SaslHandshake,
            Asked::Said(_) => Api::SaslAuthenticate,
            Asked::Metadata => Api::Metadata,
        };
        let (got, wanted) = (api.read_header(&mut reader)?, self.correlation);
        if got != wanted {
            return Err(WireError::Correlation { wanted, got }.into());
        }
        self.correlation += 1;
        match (&self.asked, &mut self.sasl) {
            (Asked::Handshake, Some(sasl)) => {
                let answer = sasl_handshake::read_answer(&mut reader)?;
                sasl::check_handshake(sasl.mechanism(), answer)?;
                let (message, conversation) = sasl.begin();
                Ok(self.say(&message, conversation))
            }
            (Asked::Said(conversation), _) => {
                let answer = sasl_authenticate::read_answer(&mut reader)?;
                match conversation.handle(&answer)? {
                    Step::Send(message, conversation) => Ok(self.say(&message, conversation)),
                    Step::Done { .. } => {
                        self.asked = Asked::Metadata;
                        Ok(Next::Send(self.question()))
                    }
                }
            }
            (Asked::Handshake, None) | (Asked::Metadata, _) => {
                Ok(Next::Known(Metadata::read(&mut reader)?.cluster_id))
            }
        }
    }

    fn say(&mut self, message: &[u8], conversation: Conversation) -> Next {
        self.asked = Asked::Said(conversation);
        Next::Send(self.frame(Api::SaslAuthenticate, |out| {
            sasl_authenticate::write_request(out, message);
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ErrorCode;
    use crate::kafka::fake_broker::{FakeCluster, Fate};
    use crate::kafka::fake_login::{FakeLogin, PASSWORD, config};
    use crate::kafka::sasl::Mechanism;

    fn ask(cluster: &mut FakeCluster, sasl: Option<SaslConfig>) -> Result<Next, InquiryError> {
        let (mut inquiry, mut frame) = Inquiry::begin("c", sasl);
        loop {
            let (size, body) = frame.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_be_bytes(*size) as usize, body.len());
            let answer = cluster.handle(0, body, || Fate::Fair);
            let answer = &answer[4..];
            for cut in 0..answer.len() {
                let error = inquiry.handle(&answer[..cut]).err();
                assert!(matches!(error, Some(InquiryError::Wire(_))), "cut at {cut}");
                // A cut answer ends the connection; the test goes on with the same one.
                inquiry.correlation = i32::from_be_bytes(*answer.first_chunk().unwrap());
            }
            match inquiry.handle(answer)? {
                Next::Send(next) => frame = next,
                known @ Next::Known(_) => return Ok(known),
            }
        }
    }

    #[test]
    fn broker_answers_the_question_and_no_cut_answer_is_read() {
        let known = Next::Known(Some("fake".to_owned()));
        assert_eq!(ask(&mut FakeCluster::new(1), None), Ok(known.clone()));
        for mechanism in Mechanism::ALL {
            let mut cluster = FakeCluster::new(1);
            cluster.login = Some(FakeLogin::new(mechanism));
            assert_eq!(ask(&mut cluster, Some(config(mechanism, PASSWORD))), Ok(known.clone()));
        }
    }

    #[test]
    fn a_frame_with_a_password_is_not_shown() {
        let config = config(Mechanism::Plain, PASSWORD);
        let (message, conversation) = Sasl::new(config.clone()).begin();
        let next = Inquiry::begin("c", Some(config)).0.say(&message, conversation);
        let Next::Send(frame) = &next else { panic!("{next:?}") };
        assert!(frame.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
        assert_eq!(format!("{next:?}"), format!("Send {{ {} bytes }}", frame.len()));
    }

    #[test]
    fn a_broker_that_does_not_let_us_in_says_why() {
        for mechanism in Mechanism::ALL {
            let mut cluster = FakeCluster::new(1);
            cluster.login = Some(FakeLogin::new(mechanism));
            let error = ask(&mut cluster, Some(config(mechanism, "wrong"))).unwrap_err();
            assert!(error.to_string().contains("SASL_AUTHENTICATION_FAILED (58)"), "{error}");
        }
    }

    #[test]
    fn a_broker_that_cannot_decide_has_not_refused_us() {
        let mut cluster = FakeCluster::new(1);
        let mut login = FakeLogin::new(Mechanism::Plain);
        login.fault = Some(ErrorCode::UNKNOWN_SERVER_ERROR);
        cluster.login = Some(login);
        let error = ask(&mut cluster, Some(config(Mechanism::Plain, PASSWORD))).unwrap_err();
        assert!(matches!(error, InquiryError::Undecided(_)), "{error}");
    }
}
