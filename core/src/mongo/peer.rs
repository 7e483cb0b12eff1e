//! The server at the other end of a connection, and what every connection to one has alike, whatever it is opened for.

use std::time::Duration;

use super::message::Header;
use super::reply::ReplyError;
use super::session_error::SessionError;
use crate::link::{Address, LinkId};

/// One read of the socket. Bytes.
pub(super) const SEGMENT_BYTES: usize = 256 * 1024;
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(100);
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// IllegalOpMsgFlag: the server does not take a request to go on unasked.
pub(super) const EXHAUST_REFUSED_CODE: i32 = 223;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) link: LinkId,
    pub(super) address: Address,
    /// It can go on replying unasked.
    pub(super) exhaust: bool,
}

impl Peer {
    /// Fails if a reply answers something else than the request `asked`.
    pub(super) fn check_reply(&self, asked: i32, header: Header) -> Result<(), SessionError> {
        let answered = header.response_to;
        if asked == answered {
            return Ok(());
        }
        Err(SessionError::WrongReply { address: self.address.clone(), asked, answered })
    }

    /// An error for bytes of this server that are no valid reply.
    pub(super) fn malformed(&self, error: ReplyError) -> SessionError {
        SessionError::Reply { address: self.address.clone(), error }
    }
}
