//! A connection to one server of MongoDB for a handful of questions: opened as the connector's own are, with its
//! encryption and its login, so what it meets they will meet.

use std::time::Duration;

use bytes::Bytes;
use millrace_core::link::Address;
use millrace_core::mongo::error_codes::{CodeClass, ServerError};
use millrace_core::mongo::inquiry::{Answer, Greeting, Inquiry};
use millrace_core::mongo::session::{SessionConfig, SessionError};
use millrace_core::mongo::session_error::Doing;
use millrace_io::driver::Driver;
use millrace_io::socket::Socket;
use millrace_io::tls::TlsClient;
use mongodb::bson::{Document, error::Error as BsonError};
use thiserror::Error;

/// How long one server may take to be connected to and to let us in.
const OPENING_TIMEOUT: Duration = Duration::from_secs(4);

/// Why a question has no answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{0}")]
    Refused(ServerError),
    #[error("the answer is no BSON: {0}")]
    Bson(#[from] BsonError),
}

impl AskError {
    /// Whether the user has not the right to ask.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused(error) if error.class(false) == CodeClass::Unauthorized)
    }
}

/// See the module.
pub(super) struct MongoLink {
    address: Address,
    socket: Socket,
    inquiry: Inquiry,
}

impl MongoLink {
    /// Connects to `address` and logs in.
    ///
    /// # Errors
    /// Why this server cannot be watched, as a task would say it.
    pub(super) async fn open(
        config: SessionConfig,
        address: &Address,
        tls: Option<&TlsClient>,
    ) -> Result<Self, SessionError> {
        let silent = |doing| SessionError::Silent {
            address: address.clone(),
            doing,
            waited: OPENING_TIMEOUT,
        };
        let place = (address.host.as_str(), address.port);
        let socket = Socket::connect(Driver::Epoll, place, tls, OPENING_TIMEOUT).await;
        let socket = socket.map_err(|error| closed(address, Doing::Connecting, &error))?;
        let (inquiry, hello) = Inquiry::begin(config, address.clone(), rand::random());
        let mut link = Self { address: address.clone(), socket, inquiry };
        let greeting = tokio::time::timeout(OPENING_TIMEOUT, link.greet(hello));
        greeting.await.map_err(|_| silent(Doing::Handshaking))??;
        Ok(link)
    }

    async fn greet(&mut self, hello: Bytes) -> Result<(), SessionError> {
        self.send(hello, Doing::Handshaking).await?;
        loop {
            match self.inquiry.greet()? {
                Greeting::Ready => return Ok(()),
                Greeting::Send(message) => self.send(message, Doing::Handshaking).await?,
                Greeting::Wait => self.receive(Doing::Handshaking).await?,
            }
        }
    }

    /// Whom this is connected to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends `command`, which names its `$db`, and waits for the answer.
    ///
    /// # Errors
    /// When the connection is lost, or the server refuses.
    pub(super) async fn ask(&mut self, command: &Document) -> Result<Document, AskError> {
        let message = self.inquiry.command(&command.to_vec()?);
        self.send(message, Doing::Measuring).await?;
        loop {
            match self.inquiry.answer()? {
                Some(Answer::Document(bytes)) => {
                    return Ok(Document::from_reader(bytes.as_slice())?);
                }
                Some(Answer::Refused(error)) => return Err(AskError::Refused(error)),
                None => self.receive(Doing::Measuring).await?,
            }
        }
    }

    async fn send(&self, message: Bytes, doing: Doing) -> Result<(), SessionError> {
        let written = self.socket.clone().write(vec![message]).await;
        written.map_err(|error| closed(&self.address, doing, &error))
    }

    async fn receive(&mut self, doing: Doing) -> Result<(), SessionError> {
        let end = || closed(&self.address, doing, &"the server closed it");
        let Some(mut space) = self.inquiry.inbox().take_space() else { return Err(end()) };
        let (bytes, count) = self.socket.clone().read(space.bytes, space.filled).await;
        space.bytes = bytes;
        let count = count.map_err(|error| closed(&self.address, doing, &error))?;
        if count == 0 {
            return Err(end());
        }
        self.inquiry.inbox().give_back(space, count);
        Ok(())
    }
}

fn closed(address: &Address, doing: Doing, reason: &impl ToString) -> SessionError {
    SessionError::Closed { address: address.clone(), doing, reason: reason.to_string() }
}
