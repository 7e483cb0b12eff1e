//! Reads what a server answers, and asks it for more.
//!
//! ```text
//!  with exhaust      getMore ──►        ◄── batch ◄── batch ◄── batch …
//!  without           getMore ──►        ◄── batch
//!                    getMore ──► at the batch's first byte, so that the server works while we do
//! ```

use std::time::Instant;

use super::{OPENING_REPLY_BYTES_MAX, Peer, ResumePosition, Session, State, Stream};
use crate::mongo::bson::RawValue;
use crate::mongo::fragments::Taken;
use crate::mongo::handshake::Next;
use crate::mongo::message::Header;
use crate::mongo::peer::EXHAUST_REFUSED_CODE;
use crate::mongo::reply::{Progress, Reply, ReplyError, ReplyReader};
use crate::mongo::server_api::encode_with_api;
use crate::mongo::session_error::{Doing, SessionError};

/// What [`Session::next_item`] is to hand out.
pub(super) enum Outcome {
    Wait,
    Opened,
    /// It lies in the inbox.
    Event,
    /// It lies where it was put together.
    Joined,
    BatchEnd,
    Interrupted {
        reason: String,
    },
}

/// What a look at the inbox came to.
pub(super) enum Step {
    Again,
    Out(Outcome),
}

impl Step {
    pub(super) fn wait() -> Self {
        Self::Out(Outcome::Wait)
    }
}

impl Session {
    pub(super) fn next_outcome(&mut self, now: Instant) -> Result<Outcome, SessionError> {
        loop {
            if let Some(reason) = self.interrupted.take() {
                return Ok(Outcome::Interrupted { reason });
            }
            let step = match &self.state {
                State::Waiting { .. } | State::Connecting { .. } => Ok(Step::Out(Outcome::Wait)),
                State::Handshake { .. } => self.step_handshake(now),
                State::Opening { .. } => self.step_opening(),
                State::Streaming { .. } => self.step_streaming(now),
                State::Measuring { .. } => self.step_measuring(),
                State::Failed { error } => return Err(error.clone()),
            };
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Out(Outcome::Wait)) => {
                    self.quiet.wait(self.inbox.unread_bytes(), now);
                    return Ok(Outcome::Wait);
                }
                Ok(Step::Out(outcome)) => {
                    self.quiet.busy();
                    return Ok(outcome);
                }
                Err(error) => self.fail(error, now)?,
            }
        }
    }

    fn step_handshake(&mut self, now: Instant) -> Result<Step, SessionError> {
        let State::Handshake { peer, handshake, asked } = &mut self.state else {
            return Ok(Step::Again);
        };
        let (inbox, topology) = (&mut self.inbox, &mut self.topology);
        let next = handshake.read_reply(&self.config, (peer, *asked), inbox, topology)?;
        let Some(next) = next else { return Ok(Step::Out(Outcome::Wait)) };
        match next {
            Next::Send => {
                self.last_request = self.last_request.wrapping_add(1);
                *asked = self.last_request;
                let command = handshake.command(&self.config, *asked);
                let link = peer.link;
                self.send(link, command, now);
            }
            Next::Ready { exhaust } => {
                let exhaust = exhaust && !self.exhaust_refused;
                let peer = Peer { exhaust, ..peer.clone() };
                self.selecting_since = now;
                self.open(peer, now);
            }
        }
        Ok(Step::Again)
    }

    /// Waits for the whole reply to `aggregate`: where the stream begins stands behind its events.
    fn step_opening(&mut self) -> Result<Step, SessionError> {
        let State::Opening { peer, asked } = &self.state else { return Ok(Step::Again) };
        let malformed = |error| peer.malformed(error);
        let reply = ReplyReader::whole(&mut self.inbox, OPENING_REPLY_BYTES_MAX);
        let Some((header, body)) = reply.map_err(malformed)? else {
            return Ok(Step::Out(Outcome::Wait));
        };
        peer.check_reply(*asked, header)?;
        let (reply, batch_is_empty) =
            Reply::peek(body).map_err(|error| malformed(ReplyError::Bson(error)))?;
        let stream = Stream {
            doing: Doing::Opening,
            cursor_id: reply.cursor_id,
            asked: *asked,
            asked_ahead: None,
            had_event: false,
        };
        let peer = peer.clone();
        self.state = State::Streaming { peer, stream };
        if !reply.ok {
            return Ok(Step::Again); // read on: the end of the reply deals with errors
        }
        self.was_open = true;
        if batch_is_empty {
            if !reply.post_batch_token.is_empty() {
                self.position.move_after(&reply.post_batch_token);
            } else if let (ResumePosition::Now, Some((time, increment))) =
                (&self.position, reply.operation_time)
            {
                self.position = ResumePosition::AtOperationTime { time, increment };
            }
        }
        Ok(Step::Out(Outcome::Opened))
    }

    fn step_streaming(&mut self, now: Instant) -> Result<Step, SessionError> {
        let State::Streaming { peer, stream } = &mut self.state else { return Ok(Step::Again) };
        let malformed = |error| peer.malformed(error);
        match self.reader.advance(&mut self.inbox).map_err(malformed)? {
            Progress::Wait => {
                if let Some(fragments) = &mut self.fragments {
                    fragments.release();
                }
                Ok(Step::Out(Outcome::Wait))
            }
            Progress::Begin(header) => {
                peer.check_reply(stream.asked, header)?;
                if !peer.exhaust && stream.doing == Doing::Streaming {
                    self.ask_for_more(now);
                }
                Ok(Step::Again)
            }
            Progress::Event => {
                let is_first = !std::mem::replace(&mut stream.had_event, true);
                let malformed = |error| malformed(ReplyError::Bson(error));
                let event = self.reader.event(&self.inbox).map_err(malformed)?;
                let Some(RawValue::Document(token)) = event.get(b"_id").map_err(malformed)? else {
                    return Err(SessionError::NoToken { scope: self.config.watch.scope.clone() });
                };
                let outcome = match &mut self.fragments {
                    None => Outcome::Event,
                    Some(fragments) => {
                        let taken = fragments.take(event).map_err(|error| {
                            let scope = &self.config.watch.scope;
                            SessionError::fragments(&peer.address, scope, error, is_first)
                        })?;
                        match taken {
                            Taken::Whole => Outcome::Event,
                            Taken::Joined => Outcome::Joined,
                            Taken::PassedOn => return Ok(Step::Out(Outcome::Event)),
                            Taken::Kept => return Ok(Step::Again),
                        }
                    }
                };
                self.position.move_after(token.as_bytes());
                Ok(Step::Out(outcome))
            }
            Progress::End(header) => self.end_of_reply(header, now),
        }
    }

    fn end_of_reply(&mut self, header: Header, now: Instant) -> Result<Step, SessionError> {
        let State::Streaming { peer, stream } = &mut self.state else { return Ok(Step::Again) };
        let reply = self.reader.reply();
        if !reply.ok {
            if reply.error.code == EXHAUST_REFUSED_CODE && peer.exhaust {
                self.exhaust_refused = true;
                return Err(SessionError::CursorClosed { address: peer.address.clone() });
            }
            return Err(SessionError::command(
                peer.address.clone(),
                stream.doing,
                reply.error.clone(),
                &self.config.watch.scope,
                &self.position,
            ));
        }
        if let Some(fragments) = &mut self.fragments {
            fragments.release();
        }
        // Between two fragments the token is that of the first.
        let is_inside = self.fragments.as_ref().is_some_and(|parts| parts.is_inside_event());
        if !is_inside && !reply.post_batch_token.is_empty() {
            self.position.move_after(&reply.post_batch_token);
        }
        if stream.doing == Doing::Streaming {
            self.backoff.succeed();
            self.silences = 0;
            self.last_error = None;
        }
        stream.doing = Doing::Streaming;
        stream.cursor_id = reply.cursor_id;
        if stream.cursor_id == 0 {
            self.reopen(now)?;
        } else if header.more_to_come {
            stream.asked = header.request_id;
        } else if let Some(asked) = stream.asked_ahead.take() {
            stream.asked = asked;
        } else {
            self.ask_for_more(now);
        }
        Ok(Step::Out(Outcome::BatchEnd))
    }
}

/// Asking.
impl Session {
    fn open(&mut self, peer: Peer, now: Instant) {
        self.forget_fragments();
        let asked = self.next_request();
        let (watch, position) = (&self.config.watch, &self.position);
        let command = encode_with_api(self.config.server_api, asked, false, |doc| {
            watch.write_aggregate(position, doc);
        });
        self.send(peer.link, command, now);
        self.state = State::Opening { peer, asked };
    }

    /// The server holds no cursor any more, as after an invalidation: opens it again behind the
    /// last event. Waits first if that may go round in circles, and takes a new connection if this
    /// one has yet to answer a request.
    fn reopen(&mut self, now: Instant) -> Result<(), SessionError> {
        let State::Streaming { peer, stream } = &self.state else { return Ok(()) };
        let peer = peer.clone();
        if stream.had_event && stream.asked_ahead.is_none() {
            self.open(peer, now);
            return Ok(());
        }
        self.fail(SessionError::CursorClosed { address: peer.address }, now)
    }

    /// Asks for the next batch: once and for all with exhaust, else for the one after the batch
    /// that is being read.
    fn ask_for_more(&mut self, now: Instant) {
        let asked = self.next_request();
        let State::Streaming { peer, stream } = &mut self.state else { return };
        let (watch, cursor_id) = (&self.config.watch, stream.cursor_id);
        let command = encode_with_api(self.config.server_api, asked, peer.exhaust, |doc| {
            watch.write_get_more(cursor_id, doc);
        });
        let link = peer.link;
        if self.reader.is_between_replies() {
            stream.asked = asked;
        } else {
            stream.asked_ahead = Some(asked);
        }
        self.send(link, command, now);
    }
}
