//! Reads what the server answers, and asks it for the rest of a cursor.
//!
//! ```text
//!  Answer::Whole        reply                            ──► Heard::Whole
//!  Answer::FirstBatch   first batch                      ──► Document …, End
//!  Answer::Cursor       first batch ── getMore ── batch … ──► Document …, End
//!  any of them          ok: 0                            ──► Refused, or the connection is left
//! ```

use std::time::Instant;

use super::{Answer, Heard, Peer, REPLY_BYTES_MAX, Reader, State};
use crate::mongo::error_codes::{CodeClass, ServerError};
use crate::mongo::handshake::Next;
use crate::mongo::message::Header;
use crate::mongo::peer::EXHAUST_REFUSED_CODE;
use crate::mongo::reply::{Progress, Reply, ReplyError, ReplyReader};
use crate::mongo::server_api::encode_with_api;
use crate::mongo::session::SessionConfig;
use crate::mongo::session_error::{Doing, SessionError};

/// NamespaceNotFound: there is nothing to read, which whoever asked decides on.
const NAMESPACE_NOT_FOUND_CODE: i32 = 26;

impl Reader {
    /// The next thing that the server said.
    ///
    /// # Errors
    /// Those whose [`SessionError::recovery`] is to stop.
    pub(in crate::mongo::copy) fn next(
        &mut self,
        config: &SessionConfig,
        now: Instant,
    ) -> Result<Heard, SessionError> {
        loop {
            if let Some(reason) = self.interrupted.take() {
                let attempt = self.backoff.attempts();
                return Ok(Heard::Interrupted { reason, attempt });
            }
            let heard = match &self.state {
                State::Waiting { .. } | State::Connecting { .. } => return Ok(Heard::Wait),
                State::Idle { .. } => return Ok(Heard::Idle),
                State::Handshake { .. } => self.step_handshake(config, now),
                State::Asked { .. } => self.step_asked(now),
            };
            match heard {
                Ok(Some(Heard::Wait)) => {
                    self.quiet.wait(self.inbox.unread_bytes(), now);
                    return Ok(Heard::Wait);
                }
                Ok(Some(heard)) => {
                    self.quiet.busy();
                    return Ok(heard);
                }
                Ok(None) => {}
                Err(error) => self.fail(error, config, now)?,
            }
        }
    }

    fn step_handshake(
        &mut self,
        config: &SessionConfig,
        now: Instant,
    ) -> Result<Option<Heard>, SessionError> {
        let State::Handshake { peer, handshake, asked } = &mut self.state else { return Ok(None) };
        let (inbox, topology) = (&mut self.inbox, &mut self.topology);
        let next = handshake.read_reply(config, (peer, *asked), inbox, topology)?;
        let Some(next) = next else { return Ok(Some(Heard::Wait)) };
        match next {
            Next::Send => {
                self.last_request = self.last_request.wrapping_add(1);
                *asked = self.last_request;
                let command = handshake.command(config, *asked);
                let link = peer.link;
                self.send(link, command, now);
            }
            Next::Ready { exhaust } => {
                let exhaust = exhaust && !self.exhaust_refused;
                self.state = State::Idle { peer: Peer { exhaust, ..peer.clone() } };
                self.selecting_since = None;
            }
        }
        Ok(None)
    }

    fn step_asked(&mut self, now: Instant) -> Result<Option<Heard>, SessionError> {
        let State::Asked { peer, answer, asked } = &mut self.state else { return Ok(None) };
        let malformed = |error| peer.malformed(error);
        if matches!(answer, Answer::Whole) {
            let reply = ReplyReader::whole(&mut self.inbox, REPLY_BYTES_MAX).map_err(malformed)?;
            let Some((header, body)) = reply else { return Ok(Some(Heard::Wait)) };
            peer.check_reply(*asked, header)?;
            let (reply, _) =
                Reply::peek(body).map_err(|error| malformed(ReplyError::Bson(error)))?;
            if reply.ok {
                return Ok(Some(Heard::Whole));
            }
            ReplyReader::skip_whole(&mut self.inbox, header);
            return self.refused(reply.error).map(Some);
        }
        match self.reply.advance(&mut self.inbox).map_err(malformed)? {
            Progress::Wait => Ok(Some(Heard::Wait)),
            Progress::Begin(header) => peer.check_reply(*asked, header).map(|()| None),
            Progress::Event => Ok(Some(Heard::Document)),
            Progress::End(header) => self.end_of_reply(header, now),
        }
    }

    fn end_of_reply(
        &mut self,
        header: Header,
        now: Instant,
    ) -> Result<Option<Heard>, SessionError> {
        let State::Asked { peer, answer, asked } = &mut self.state else { return Ok(None) };
        let reply = self.reply.reply();
        if !reply.ok {
            if reply.error.code == EXHAUST_REFUSED_CODE && peer.exhaust {
                self.exhaust_refused = true;
                return Err(SessionError::CursorClosed { address: peer.address.clone() });
            }
            return self.refused(reply.error.clone()).map(Some);
        }
        self.silences = 0;
        self.backoff.succeed();
        let cursor = match answer {
            Answer::Cursor(namespace) if reply.cursor_id != 0 => namespace.clone(),
            Answer::Cursor(_) | Answer::FirstBatch(_) | Answer::Whole => {
                self.rest();
                return Ok(Some(Heard::End));
            }
        };
        if header.more_to_come {
            *asked = header.request_id;
            return Ok(None);
        }
        self.last_request = self.last_request.wrapping_add(1);
        *asked = self.last_request;
        let (link, cursor_id) = (peer.link, reply.cursor_id);
        let command = encode_with_api(self.api, *asked, peer.exhaust, |doc| {
            doc.int64("getMore", cursor_id);
            doc.string("collection", &cursor.collection);
            doc.string("$db", &cursor.database);
        });
        self.send(link, command, now);
        Ok(None)
    }

    /// The server has answered with an error: either this connection is of no use, or what was asked.
    fn refused(&mut self, error: ServerError) -> Result<Heard, SessionError> {
        let State::Asked { peer, answer, .. } = &self.state else { return Ok(Heard::Idle) };
        let is_opening = answer.doing() == Doing::Opening;
        if error.class(is_opening) == CodeClass::Retry && error.code != NAMESPACE_NOT_FOUND_CODE {
            let (address, error) = (peer.address.clone(), Box::new(error));
            return Err(SessionError::Hello { address, error });
        }
        self.rest();
        Ok(Heard::Refused(Box::new(error)))
    }
}
