//! Copies the documents that are there before the stream begins (`startup.mode=copy_existing`).
//!
//! ```text
//!  open the stream ──► its position is kept ──► pieces ──► Reader ┐
//!  (and end its cursor)                          queue ──► Reader ├─ documents ──► events ──► Ended:
//!                                                  ▲       Reader ┘                the stream goes on
//!                                                  └── taken apart, or interrupted     at that position
//! ```
//!
//! Whatever is written while the copy runs lies behind the position, so the stream repeats it and nothing falls
//! between the two. Several readers work beside each other, on different collections and on ranges of one. What is
//! left is a list of [`piece::Piece`]s and is itself the position of the copy: see there.
//!
//! A collection is cut into ranges if it is large and no pipeline works on it; otherwise its documents come in the
//! order of the disk, which is Java's. A range that is interrupted goes on where it was; anything else begins again.
//! A machine: it opens no connection and reads no clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::inbox::Inbox;
use crate::link::{LinkCommand, LinkId, LinkIds};
use crate::mongo::bson::{BsonError, RawDoc};
use crate::mongo::bson_write::write_document;
use crate::mongo::session::SessionConfig;
use crate::mongo::session_error::SessionError;
use crate::mongo::watch::Scope;

mod commands;
mod event;
mod listing;
mod piece;
mod reader;
mod slot;
#[cfg(test)]
mod tests;
mod turn;

pub use commands::CopySpec;
pub use piece::{CopyPosition, CopyPositionError, Namespace};

use commands::Maker;
use piece::Piece;
use reader::{Heard, Reader};
use slot::Slot;

/// Documents taken from one reader before the next is looked at.
const DOCUMENTS_PER_TURN: u32 = 128;

/// What a copy came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing until something happens.
    Wait,
    /// The position of the stream is known, so [`Copier::position`] is one.
    Opened,
    /// A document was copied: see [`Copier::event`].
    Event,
    /// A reader was interrupted; the copy goes on by itself.
    Interrupted {
        /// Why.
        reason: String,
        /// Interruptions of this reader since its last answer.
        attempt: u32,
    },
    /// All is copied: the stream goes on at [`Copier::stream`].
    Ended,
}

/// See the module. It is driven like a [`crate::mongo::session::Session`].
#[derive(Debug)]
pub struct Copier {
    config: SessionConfig,
    spec: CopySpec,
    maker: Maker,
    stage: Stage,
    slots: Vec<Slot>,
    /// The reader that is looked at, and the documents it may still give.
    turn: usize,
    turn_left: u32,
    queue: VecDeque<Piece>,
    /// The token at which the stream goes on; empty until it is known.
    stream: Vec<u8>,
    /// The event made last.
    event: Vec<u8>,
    /// The element `_id` of the document copied last.
    last_id: Vec<u8>,
    position: Vec<u8>,
    failed: Option<SessionError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    /// The cursor of the stream is ended; its place is known.
    Closing {
        cursor_id: i64,
    },
    Copying,
}

impl Copier {
    /// A copy of what `config` watches, from its beginning or where `resumed` says.
    pub fn new(
        config: SessionConfig,
        spec: CopySpec,
        resumed: Option<CopyPosition>,
        now: Instant,
    ) -> Self {
        let (stream, left) = match resumed {
            Some(position) => (position.stream, position.left),
            None => (Vec::new(), vec![first_piece(&config.watch.scope, &spec)]),
        };
        Self {
            maker: Maker::of(&config.watch),
            slots: vec![Slot::new(Reader::new(&config, true, now))],
            config,
            spec,
            stage: Stage::Opening,
            turn: 0,
            turn_left: DOCUMENTS_PER_TURN,
            queue: left.into(),
            stream,
            event: Vec::new(),
            last_id: Vec::new(),
            position: Vec::new(),
            failed: None,
        }
    }

    /// What the driver is to do.
    pub fn poll(&mut self, ids: &mut LinkIds, now: Instant) -> Option<LinkCommand> {
        self.slots.iter_mut().find_map(|slot| slot.reader.poll(ids, now))
    }

    /// When to call [`Copier::handle_timeout`], then [`Copier::poll`].
    pub fn deadline(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.reader.deadline(&self.config)).min()
    }

    /// The connection is open. `nonce` must be random and new.
    pub fn handle_connected(&mut self, link: LinkId, nonce: [u8; 24], now: Instant) {
        if let Some(slot) = find(&mut self.slots, link) {
            slot.reader.handle_connected(&self.config, nonce, now);
        }
    }

    /// The connection was lost, or never came to be.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &str,
        now: Instant,
    ) -> Result<(), SessionError> {
        match find(&mut self.slots, link) {
            Some(slot) => slot.reader.handle_closed(&self.config, reason, now),
            None => Ok(()),
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        self.slots.iter_mut().try_for_each(|slot| slot.reader.handle_timeout(&self.config, now))
    }

    /// Where the driver puts what the connection received; `None` if `link` is not ours.
    pub fn inbox(&mut self, link: LinkId) -> Option<&mut Inbox> {
        find(&mut self.slots, link).map(|slot| slot.reader.inbox())
    }

    /// Returns the memory that holds nothing.
    pub fn release_memory(&mut self) {
        for slot in &mut self.slots {
            slot.reader.inbox().release();
        }
    }

    /// What closes every connection; the copy is then of no more use.
    pub fn close(&self) -> impl Iterator<Item = LinkCommand> {
        let links = self.slots.iter().filter_map(|slot| slot.reader.link());
        links.map(|link| LinkCommand::Close { link })
    }

    /// Goes on to the next document or notice. Costs a document one copy and no allocation.
    ///
    /// # Errors
    /// Those whose [`SessionError::recovery`] is to stop, at this and every later call.
    pub fn advance(&mut self, now: Instant) -> Result<Progress, SessionError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let progress = self.look_at_all(now);
        if let Err(error) = &progress {
            self.failed = Some(error.clone());
        }
        progress
    }

    /// The event of the document copied last.
    ///
    /// # Errors
    /// If there is none.
    pub fn event(&self) -> Result<RawDoc<'_>, BsonError> {
        RawDoc::new(&self.event)
    }

    /// How far the copy is, to be stored; `None` until [`Progress::Opened`]. Costs as much as is left.
    pub fn position(&mut self) -> Option<&[u8]> {
        if self.stream.is_empty() {
            return None;
        }
        self.position.clear();
        let in_work = self.slots.iter().filter_map(|slot| slot.work.piece());
        let left = in_work.chain(&self.queue);
        let (id, stream) = (&self.last_id, &self.stream);
        write_document(&mut self.position, |out| piece::write_position(id, stream, left, out));
        Some(&self.position)
    }

    /// The resume token at which the stream goes on; empty until [`Progress::Opened`].
    pub fn stream(&self) -> &[u8] {
        &self.stream
    }
}

/// One round over the readers.
impl Copier {
    fn look_at_all(&mut self, now: Instant) -> Result<Progress, SessionError> {
        loop {
            self.add_readers(now);
            for _ in 0..self.slots.len() {
                let progress = self.look_at_one(now)?;
                if progress != Progress::Wait {
                    return Ok(progress);
                }
                self.next_turn();
            }
            let copying = self.stage == Stage::Copying;
            if copying && self.queue.is_empty() && self.slots.iter().all(Slot::is_free) {
                return Ok(Progress::Ended);
            }
            // A reader may have left something for one that was looked at before it.
            let may_go_on = |slot: &Slot| slot.is_free() && slot.reader.is_idle();
            if !copying || self.queue.is_empty() || !self.slots.iter().any(may_go_on) {
                return Ok(Progress::Wait);
            }
        }
    }

    /// As many readers as there is work for.
    fn add_readers(&mut self, now: Instant) {
        if self.stage != Stage::Copying {
            return;
        }
        let busy = self.slots.iter().filter(|slot| !slot.is_free()).count();
        let wanted = (busy + self.queue.len()).min(self.spec.threads_max);
        while self.slots.len() < wanted {
            self.slots.push(Slot::new(Reader::new(&self.config, false, now)));
        }
    }

    fn next_turn(&mut self) {
        self.turn = (self.turn + 1) % self.slots.len().max(1);
        self.turn_left = DOCUMENTS_PER_TURN;
    }

    fn look_at_one(&mut self, now: Instant) -> Result<Progress, SessionError> {
        loop {
            let Some(slot) = self.slots.get_mut(self.turn) else { return Ok(Progress::Wait) };
            match slot.reader.next(&self.config, now)? {
                Heard::Wait => return Ok(Progress::Wait),
                Heard::Idle => {
                    if !self.begin(now) {
                        return Ok(Progress::Wait);
                    }
                }
                Heard::Whole => self.whole()?,
                Heard::Document => {
                    if self.document()? {
                        self.turn_left -= 1;
                        if self.turn_left == 0 {
                            self.next_turn();
                        }
                        return Ok(Progress::Event);
                    }
                }
                Heard::End => {
                    if self.end(now)? {
                        return Ok(Progress::Opened);
                    }
                }
                Heard::Refused(error) => self.refused(*error)?,
                Heard::Interrupted { reason, attempt } => {
                    self.give_back();
                    return Ok(Progress::Interrupted { reason, attempt });
                }
            }
        }
    }
}

fn first_piece(scope: &Scope, spec: &CopySpec) -> Piece {
    match scope {
        Scope::Deployment => Piece::Databases,
        Scope::Database(database) => Piece::Collections { database: database.clone() },
        // What is listed is held against the pattern.
        Scope::Collection { database, .. } if spec.namespace_regex.is_some() => {
            Piece::Collections { database: database.clone() }
        }
        Scope::Collection { database, collection } => Piece::Unmeasured(Namespace {
            database: database.clone(),
            collection: collection.clone(),
        }),
    }
}

fn find(slots: &mut [Slot], link: LinkId) -> Option<&mut Slot> {
    slots.iter_mut().find(|slot| slot.reader.link() == Some(link))
}
