//! One connection to one server, for questions about it that a change stream does not ask: its set, its version, the
//! rights of the user.
//!
//! ```text
//!  begin ──► hello, login ── greet: Send … ──► Ready ── command ──► answer ──► command …
//!                              └──► refused: standalone, secondary, wrong password, too old
//! ```
//!
//! The greeting is the one of a change stream, so whoever is let in here is let in there, and is refused in the same
//! words. Commands and answers are whole BSON documents; what they say is their owner's business. One command is under
//! way at a time. Knows no time.

use bytes::Bytes;

use super::error_codes::ServerError;
use super::handshake::{self, Handshake};
use super::peer::{Peer, SEGMENT_BYTES};
use super::reply::{Reply, ReplyError, ReplyReader};
use super::server_api::encode_with_api;
use super::session::{SessionConfig, SessionError};
use super::topology::Topology;
use crate::inbox::Inbox;
use crate::link::{Address, LinkIds};

/// Largest answer: a batch of 16 MB and its frame. Bytes.
const ANSWER_BYTES_MAX: usize = 17 << 20;

/// See the module.
#[derive(Debug)]
pub struct Inquiry {
    config: SessionConfig,
    peer: Peer,
    handshake: Handshake,
    topology: Topology,
    inbox: Inbox,
    asked: i32,
}

/// What follows while the connection is greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// More has to come from the server.
    Wait,
    /// Send this.
    Send(Bytes),
    /// Commands may be sent.
    Ready,
}

/// What the server says to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The whole document.
    Document(Vec<u8>),
    /// It refuses.
    Refused(ServerError),
}

impl Inquiry {
    /// For a connection to `address` that is open, and what to send over it first. `nonce` is random.
    pub fn begin(config: SessionConfig, address: Address, nonce: [u8; 24]) -> (Self, Bytes) {
        let topology = Topology::new(&config.seeds);
        let peer = Peer { link: LinkIds::default().next_id(), address, exhaust: false };
        let inbox = Inbox::new(SEGMENT_BYTES, ANSWER_BYTES_MAX);
        let handshake = Handshake::new(nonce);
        let hello = handshake.command(&config, 1);
        (Self { config, peer, handshake, topology, inbox, asked: 1 }, hello)
    }

    /// Where received bytes go.
    pub fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Takes what has come for the greeting.
    ///
    /// # Errors
    /// Why this server cannot be asked, or watched.
    pub fn greet(&mut self) -> Result<Greeting, SessionError> {
        let Self { config, peer, handshake, topology, inbox, asked } = self;
        Ok(match handshake.read_reply(config, (peer, *asked), inbox, topology)? {
            None => Greeting::Wait,
            Some(handshake::Next::Ready { .. }) => Greeting::Ready,
            Some(handshake::Next::Send) => {
                *asked += 1;
                Greeting::Send(handshake.command(config, *asked))
            }
        })
    }

    /// The message for `command`, one whole BSON document with its `$db`.
    pub fn command(&mut self, command: &[u8]) -> Bytes {
        self.asked += 1;
        let elements = command.len().checked_sub(1).and_then(|end| command.get(4..end));
        encode_with_api(self.config.server_api, self.asked, false, |doc| {
            doc.raw_elements(elements.unwrap_or_default());
        })
    }

    /// The answer to the last command; `None`: it is not whole yet.
    ///
    /// # Errors
    /// When the bytes are no answer, or answer something else.
    pub fn answer(&mut self) -> Result<Option<Answer>, SessionError> {
        let Self { peer, inbox, asked, .. } = self;
        let reply = ReplyReader::whole(inbox, ANSWER_BYTES_MAX);
        let Some((header, body)) = reply.map_err(|error| peer.malformed(error))? else {
            return Ok(None);
        };
        peer.check_reply(*asked, header)?;
        let peeked = Reply::peek(body).map_err(|error| peer.malformed(ReplyError::Bson(error)))?;
        let answer = match peeked {
            (reply, _) if !reply.ok => Answer::Refused(reply.error),
            _ => Answer::Document(body.as_bytes().to_vec()),
        };
        ReplyReader::skip_whole(inbox, header);
        Ok(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bson::{Document, doc};

    use super::super::message::tests::encode_reply;
    use super::super::watch::{Scope, WatchSpec};
    use super::*;
    use crate::memory::MemoryBudget;

    fn config() -> SessionConfig {
        SessionConfig {
            seeds: vec![Address::new("a", 1)],
            replica_set: None,
            login: None,
            app_name: "test".to_owned(),
            server_api: None,
            watch: WatchSpec {
                scope: Scope::Deployment,
                pipeline: Vec::new(),
                full_document: None,
                full_document_before_change: None,
                batch_size: None,
                await_time_ms: 0,
                show_expanded_events: false,
                collation: None,
                split_large_events: false,
            },
            server_selection_timeout: Duration::ZERO,
            read_ahead_bytes_max: 0,
            memory: MemoryBudget::unbounded(),
        }
    }

    fn give(inquiry: &mut Inquiry, bytes: &[u8]) {
        let mut space = inquiry.inbox().take_space().expect("room");
        let end = space.filled + bytes.len();
        space.bytes[space.filled..end].copy_from_slice(bytes);
        inquiry.inbox().give_back(space, bytes.len());
    }

    fn greeted() -> Inquiry {
        let (mut inquiry, _) = Inquiry::begin(config(), Address::new("a", 1), [7; 24]);
        let hello =
            doc! { "setName": "s", "isWritablePrimary": true, "maxWireVersion": 17, "ok": 1.0 };
        give(&mut inquiry, &encode_reply(1, 1, false, &hello));
        assert_eq!(inquiry.greet(), Ok(Greeting::Ready));
        inquiry
    }

    #[test]
    fn a_command_is_sent_as_it_is_and_its_answer_is_whole_or_not_there() {
        let mut inquiry = greeted();
        let command = doc! { "ping": 1, "$db": "admin" };
        let message = inquiry.command(&command.to_vec().unwrap());
        assert_eq!(Document::from_reader(&message[21..]).unwrap(), command);
        let body = doc! { "ok": 1.0, "text": "x".repeat(300_000) };
        let reply = encode_reply(9, 2, false, &body);
        for part in reply.chunks(100_000) {
            assert_eq!(inquiry.answer(), Ok(None));
            give(&mut inquiry, part);
        }
        assert_eq!(inquiry.answer(), Ok(Some(Answer::Document(body.to_vec().unwrap()))));
    }

    #[test]
    fn a_refusal_has_the_words_of_the_server() {
        let mut inquiry = greeted();
        inquiry.command(&doc! { "ping": 1 }.to_vec().unwrap());
        let body = doc! { "ok": 0.0, "errmsg": "no", "code": 13, "codeName": "Unauthorized" };
        give(&mut inquiry, &encode_reply(9, 2, false, &body));
        let Ok(Some(Answer::Refused(error))) = inquiry.answer() else { panic!("not refused") };
        assert_eq!((error.code, error.message.as_str()), (13, "no"));
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        let mut inquiry = greeted();
        inquiry.command(&doc! { "ping": 1 }.to_vec().unwrap());
        give(&mut inquiry, &encode_reply(9, 1, false, &doc! { "ok": 1.0 }));
        assert!(matches!(inquiry.answer(), Err(SessionError::WrongReply { asked: 2, .. })));
    }

    #[test]
    fn a_command_that_is_no_document_is_an_empty_one() {
        for command in [&[][..], &[0; 3], &[5, 0, 0, 0, 0]] {
            assert_eq!(greeted().command(command).len(), 26);
        }
    }
}
