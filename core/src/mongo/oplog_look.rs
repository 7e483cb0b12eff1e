//! Asks a server how far its oplog reaches back, over a connection of its own and as often as somebody wants to know.
//!
//! ```text
//!  next_server ──► connected ──► hello, login ──► Known ──► ask ──► Known …
//!       ▲                            │ NotPrimary
//!       └────────────────────────────┘ the primary goes first
//! ```
//!
//! The change stream's own connection is never free for a question: with exhaust the server answers unasked. A machine:
//! it opens no connection and reads no clock. Times are cluster times, in seconds since 1970-01-01 UTC.

use bytes::Bytes;

use super::handshake::{Handshake, Next, REPLY_BYTES_MAX};
use super::lost_position::{OplogBegin, read_find, write_find};
use super::peer::Peer;
use super::reply::ReplyReader;
use super::server_api::encode_with_api;
use super::session::SessionConfig;
use super::session_error::SessionError;
use super::topology::Topology;
use crate::inbox::{Inbox, Space};
use crate::link::{Address, LinkIds};

/// Answers have a few hundred bytes.
const SEGMENT_BYTES: usize = 4 * 1024;

/// What became of bytes that were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// More has to come first.
    Wait,
    /// Send this.
    Send(Bytes),
    /// The answer. [`OplogLook::ask`] asks again.
    Known(OplogBegin),
}

/// See the module.
#[derive(Debug)]
pub struct OplogLook {
    config: SessionConfig,
    topology: Topology,
    inbox: Inbox,
    talk: Option<Talk>,
}

/// What is said over one connection.
#[derive(Debug)]
struct Talk {
    peer: Peer,
    /// `None` once the server has let us in.
    handshake: Option<Handshake>,
    /// Number of the last request.
    asked: i32,
}

impl OplogLook {
    /// Servers and login are those of `config`.
    pub fn new(config: SessionConfig) -> Self {
        let topology = Topology::new(&config.seeds);
        let inbox = Inbox::new(SEGMENT_BYTES, REPLY_BYTES_MAX);
        Self { config, topology, inbox, talk: None }
    }

    /// The server to connect to next. `None`: each was tried once, and the next round begins.
    pub fn next_server(&mut self) -> Option<Address> {
        let next = self.topology.next_address();
        if next.is_none() {
            self.topology.begin_round(None);
        }
        next
    }

    /// There is a new connection to `address`. What is to be sent first.
    pub fn connected(&mut self, address: Address, nonce: [u8; 24]) -> Bytes {
        self.inbox.clear();
        // Its links are nobody else's.
        let link = LinkIds::default().next_id();
        let peer = Peer { link, address, exhaust: false };
        let handshake = Handshake::new(nonce);
        let hello = handshake.command(&self.config, 1);
        self.talk = Some(Talk { peer, handshake: Some(handshake), asked: 1 });
        hello
    }

    /// The question, over a connection that has given an answer before. `None`: there is none.
    pub fn ask(&mut self) -> Option<Bytes> {
        let talk = self.talk.as_mut().filter(|talk| talk.handshake.is_none())?;
        talk.asked = talk.asked.wrapping_add(1);
        Some(encode_with_api(self.config.server_api, talk.asked, false, write_find))
    }

    /// The connection is gone.
    pub fn closed(&mut self) {
        self.talk = None;
    }

    /// A buffer to read into, to be given back before the next.
    pub fn take_space(&mut self) -> Option<Space> {
        self.inbox.take_space()
    }

    /// `received` bytes were read into `space`.
    ///
    /// # Errors
    /// Why this server cannot be asked. The connection is then of no use.
    pub fn received(&mut self, space: Space, received: usize) -> Result<Heard, SessionError> {
        self.inbox.give_back(space, received);
        let Some(talk) = &mut self.talk else { return Ok(Heard::Wait) };
        let Some(handshake) = &mut talk.handshake else { return talk.answer(&mut self.inbox) };
        let asked = (&talk.peer, talk.asked);
        match handshake.read_reply(&self.config, asked, &mut self.inbox, &mut self.topology)? {
            None => Ok(Heard::Wait),
            Some(Next::Send) => {
                talk.asked += 1;
                Ok(Heard::Send(handshake.command(&self.config, talk.asked)))
            }
            Some(Next::Ready { .. }) => {
                talk.handshake = None;
                Ok(self.ask().map_or(Heard::Wait, Heard::Send))
            }
        }
    }
}

impl Talk {
    fn answer(&self, inbox: &mut Inbox) -> Result<Heard, SessionError> {
        let reply = ReplyReader::whole(inbox, REPLY_BYTES_MAX);
        let Some((header, body)) = reply.map_err(|error| self.peer.malformed(error))? else {
            return Ok(Heard::Wait);
        };
        self.peer.check_reply(self.asked, header)?;
        let begin = read_find(body);
        ReplyReader::skip_whole(inbox, header);
        Ok(Heard::Known(begin))
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, Timestamp, doc};

    use super::*;
    use crate::mongo::message::tests::encode_reply;
    use crate::mongo::session::tests::config;

    const PRIMARY: &str = "b";

    fn look() -> OplogLook {
        let seeds = vec![Address::new("a", 1)];
        OplogLook::new(SessionConfig { seeds, ..config() })
    }

    fn hear(look: &mut OplogLook, reply: &Document, asked: i32) -> Result<Heard, SessionError> {
        let bytes = encode_reply(9, asked, false, reply);
        let mut heard = Heard::Wait;
        // Byte for byte: only the last one makes it whole.
        for byte in bytes {
            assert_eq!(heard, Heard::Wait);
            let mut space = look.take_space().unwrap();
            let filled = space.filled;
            space.bytes[filled] = byte;
            heard = look.received(space, 1)?;
        }
        Ok(heard)
    }

    fn hello(is_primary: bool) -> Document {
        doc! {
            "ok": 1.0, "isWritablePrimary": is_primary, "secondary": !is_primary, "setName": "rs0",
            "hosts": ["a:1", "b:1"], "primary": "b:1", "me": "x:1", "maxWireVersion": 21,
        }
    }

    fn entry(time: u32) -> Document {
        let entry = doc! { "ts": Timestamp { time, increment: 3 } };
        doc! { "ok": 1.0, "cursor": { "id": 0_i64, "ns": "local.oplog.rs", "firstBatch": [entry] } }
    }

    #[test]
    fn the_primary_is_found_and_asked_again_over_the_same_connection() {
        let mut look = look();
        let first = look.next_server().unwrap();
        look.connected(first, [0; 24]);
        let refused = hear(&mut look, &hello(false), 1);
        assert!(matches!(refused, Err(SessionError::NotPrimary { .. })), "{refused:?}");
        let primary = look.next_server().unwrap();
        assert_eq!(primary.host, PRIMARY);
        look.connected(primary, [0; 24]);
        let Ok(Heard::Send(find)) = hear(&mut look, &hello(true), 1) else { panic!("no question") };
        assert!(find.windows(8).any(|bytes| bytes == b"oplog.rs"));
        for (asked, time) in [(2, 50), (3, 60)] {
            let known = OplogBegin::At { time, increment: 3 };
            assert_eq!(hear(&mut look, &entry(time), asked), Ok(Heard::Known(known)));
            assert!(look.ask().is_some());
        }
        assert!(hear(&mut look, &entry(70), 9).is_err(), "an answer to another question");
    }

    #[test]
    fn a_user_without_the_right_is_an_answer_and_a_lost_connection_takes_no_question() {
        let mut look = look();
        assert_eq!(look.ask(), None);
        let server = look.next_server().unwrap();
        assert_eq!(look.next_server(), None, "one round");
        look.connected(server, [0; 24]);
        hear(&mut look, &hello(true), 1).unwrap();
        let refusal = doc! { "ok": 0.0, "code": 13, "errmsg": "not authorized on local" };
        let heard = hear(&mut look, &refusal, 2);
        assert!(
            matches!(&heard, Ok(Heard::Known(OplogBegin::Unknown { reason })) if reason.contains("not authorized"))
        );
        look.closed();
        assert_eq!(look.ask(), None);
        assert!(look.next_server().is_some(), "the next round");
    }
}
