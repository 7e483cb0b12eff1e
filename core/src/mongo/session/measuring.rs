//! Before a session fails because its position is lost, the server is asked how far the oplog reaches back.
//!
//! ```text
//!  Opening, Streaming ── position lost ──► Measuring ── answer, or none in time ──► Failed
//! ```

use std::time::Instant;

use super::replies::Step;
use super::{Session, State};
use crate::mongo::handshake::REPLY_BYTES_MAX;
use crate::mongo::lost_position::{self, LostPosition, OplogBegin};
use crate::mongo::reply::ReplyReader;
use crate::mongo::server_api::encode_with_api;
use crate::mongo::session_error::SessionError;

impl Session {
    /// Asks the server, if `error` is a lost position; else gives `error` back, what was to be found out with it.
    pub(super) fn measure(&mut self, error: SessionError, now: Instant) -> Option<SessionError> {
        if let State::Measuring { lost, .. } = &self.state {
            // The answer, or why there is none.
            if matches!(error, SessionError::PositionLost { .. }) {
                return Some(error);
            }
            let reason = error.to_string();
            return Some(lost.clone().with_oplog(OplogBegin::Unknown { reason }));
        }
        let (State::Opening { peer, .. } | State::Streaming { peer, .. }) = &self.state else {
            return Some(error);
        };
        let server_time = self.reader.reply().operation_time.map(|(time, _)| time);
        let lost = error.into_lost(|time| LostPosition {
            time,
            server_time,
            oplog: OplogBegin::Unknown { reason: "nothing was asked".to_owned() },
        });
        let lost = match lost {
            Ok(lost) => Box::new(lost),
            Err(error) => return Some(error),
        };
        let peer = peer.clone();
        let asked = self.next_request();
        let find = encode_with_api(self.config.server_api, asked, false, lost_position::write_find);
        self.send(peer.link, find, now);
        self.state = State::Measuring { peer, asked, lost };
        None
    }

    /// Waits for the answer. An answer to what was asked before it is of no more use.
    pub(super) fn step_measuring(&mut self) -> Result<Step, SessionError> {
        let State::Measuring { peer, asked, lost } = &self.state else { return Ok(Step::Again) };
        loop {
            let reply = ReplyReader::whole(&mut self.inbox, REPLY_BYTES_MAX);
            let reply = reply.map_err(|error| peer.malformed(error))?;
            let Some((header, body)) = reply else { return Ok(Step::wait()) };
            if header.response_to == *asked {
                return Err(lost.clone().with_oplog(lost_position::read_find(body)));
            }
            ReplyReader::skip_whole(&mut self.inbox, header);
        }
    }
}
