//! Copies the documents that are there before the stream begins (`startup.mode=copy_existing`).
//!
//! ```text
//!  open the stream ──► its position is kept ──► pieces ──► Reader ┐
//!  (and end its cursor)                          queue ──► Reader ├─ documents ──► events ──► Ended:
//!                                                  ▲       Reader ┘                the stream goes on
//!                                                  └── taken apart, or interrupted     at that position
//! ```
//!
//! Whatever is written while the copy runs lies behind the position, so the stream repeats it and nothing falls between
//! the two. Several readers work beside each other, on different collections and on ranges of one. What is left is a
//! list of [`piece::Piece`]s and is itself the position of the copy: see there.
//!
//! A collection is cut into ranges if it is large and no pipeline works on it; otherwise its documents come in the order
//! of the disk, which is Java's. A range that is interrupted goes on where it was; anything else begins again. A
//! machine: it opens no connection and reads no clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::inbox::Inbox;
use crate::link::{LinkCommand, LinkId, LinkIds};
use crate::mongo::bson::{BsonError, RawDoc, RawValue};
use crate::mongo::bson_write::write_document;
use crate::mongo::error_codes::ServerError;
use crate::mongo::reply::ReplyError;
use crate::mongo::session::{ResumePosition, SessionConfig};
use crate::mongo::session_error::{Doing, SessionError};
use crate::mongo::watch::Scope;

mod commands;
mod event;
mod listing;
mod piece;
mod reader;
mod slot;
#[cfg(test)]
mod tests;

pub use commands::CopySpec;
pub use piece::{CopyPosition, CopyPositionError, Namespace};

use commands::Maker;
use piece::Piece;
use reader::{Answer, Heard, Reader};
use slot::{Slot, Step, Work};

/// Documents taken from one reader before the next is looked at.
const DOCUMENTS_PER_TURN: u32 = 128;
/// What a position holds of one `_id` at most; a larger one is passed over. Bytes.
const POSITION_ID_BYTES_MAX: usize = 1_024;
/// NamespaceNotFound: there is nothing to read.
const NAMESPACE_NOT_FOUND_CODE: i32 = 26;

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

/// What one reader begins and ends. All of these concern the reader whose turn it is.
impl Copier {
    /// Asks for what comes next. `false`: there is nothing.
    fn begin(&mut self, now: Instant) -> bool {
        let Some(slot) = self.slots.get_mut(self.turn) else { return false };
        let (spec, watch) = (&self.spec, &self.config.watch);
        match self.stage {
            Stage::Opening => {
                let position = if self.stream.is_empty() {
                    ResumePosition::Now
                } else {
                    ResumePosition::After(self.stream.clone())
                };
                slot.reader.ask(Answer::FirstBatch(Doing::Opening), now, |doc| {
                    watch.write_aggregate(&position, doc);
                });
                slot.work = Work::Opening;
                true
            }
            Stage::Closing { cursor_id } => {
                slot.reader.ask(Answer::Whole, now, |doc| {
                    commands::write_kill_cursor(watch, cursor_id, doc);
                });
                slot.work = Work::Closing;
                true
            }
            Stage::Copying => {
                let Some(piece) = self.queue.pop_front() else { return false };
                slot.begin(piece, spec, watch, now);
                true
            }
        }
    }

    /// An answer that came whole.
    fn whole(&mut self) -> Result<(), SessionError> {
        let Some(slot) = self.slots.get_mut(self.turn) else { return Ok(()) };
        let is_list = matches!(slot.work, Work::Piece { piece: Piece::Databases, .. });
        if is_list {
            let names = slot.reader.body().map(listing::databases)?;
            let names = names.map_err(|error| slot.reader.malformed(ReplyError::Bson(error)))?;
            self.queue.extend(names.into_iter().map(|database| Piece::Collections { database }));
        } else {
            self.stage = Stage::Copying;
        }
        slot.reader.take_whole();
        slot.work = Work::Nothing;
        Ok(())
    }

    /// A document came. `true`: it was copied.
    fn document(&mut self) -> Result<bool, SessionError> {
        let Some(slot) = self.slots.get_mut(self.turn) else { return Ok(false) };
        let document = slot.reader.document()?;
        let done = match &mut slot.work {
            Work::Piece { piece, step: Step::Read } => {
                let copied = match (self.maker, piece.namespace()) {
                    (Maker::Node, Some(namespace)) => {
                        event::write_event(document, namespace, &mut self.event)
                    }
                    (Maker::Server, _) | (_, None) => {
                        event::rename_namespace(document, &mut self.event)
                    }
                };
                let id = copied.and_then(|()| copied_id(self.maker, document));
                id.map(|id| {
                    if !id.is_empty() && id.len() <= POSITION_ID_BYTES_MAX {
                        self.last_id.clear();
                        self.last_id.extend_from_slice(id);
                        piece.move_from(id);
                    }
                    true
                })
            }
            Work::Piece { piece: Piece::Collections { database }, step: Step::List } => {
                let splits = self.maker == Maker::Node && self.spec.pipeline.is_empty();
                listing::collection(document, database, splits).map(|piece| {
                    self.queue.extend(piece);
                    false
                })
            }
            Work::Piece { step: Step::Measure(measured), .. } => {
                measured.add(document).map(|()| false)
            }
            Work::Piece { step: Step::Split { samples, .. }, .. } => {
                if document.as_bytes().len() <= POSITION_ID_BYTES_MAX {
                    samples.push(document.as_bytes().to_vec());
                }
                Ok(false)
            }
            // Events behind the opening position: the stream brings them.
            Work::Opening | Work::Closing | Work::Nothing | Work::Piece { .. } => Ok(false),
        };
        done.map_err(|error| slot.reader.malformed(ReplyError::Bson(error)))
    }

    /// A cursor is read to its end. `true`: the stream's, so its position is known.
    fn end(&mut self, now: Instant) -> Result<bool, SessionError> {
        let Some(slot) = self.slots.get_mut(self.turn) else { return Ok(false) };
        match std::mem::replace(&mut slot.work, Work::Nothing) {
            Work::Opening => {
                let reply = slot.reader.reply();
                if self.stream.is_empty() {
                    self.stream.extend_from_slice(&reply.post_batch_token);
                }
                if self.stream.is_empty() {
                    let scope = self.config.watch.scope.clone();
                    return Err(SessionError::NoToken { scope });
                }
                self.stage = match reply.cursor_id {
                    0 => Stage::Copying,
                    cursor_id => Stage::Closing { cursor_id },
                };
                return Ok(true);
            }
            Work::Piece { piece: Piece::Unmeasured(namespace), step: Step::Measure(measured) } => {
                match measured.chunks() {
                    Some(chunks) => slot.split(namespace, chunks, measured.samples(chunks), now),
                    None => self.queue.push_front(Piece::Whole(namespace)),
                }
            }
            Work::Piece {
                piece: Piece::Unmeasured(namespace),
                step: Step::Split { chunks, samples },
            } => {
                for range in slot::ranges(&namespace, chunks, samples).into_iter().rev() {
                    self.queue.push_front(range);
                }
            }
            Work::Closing | Work::Nothing | Work::Piece { .. } => {}
        }
        Ok(false)
    }

    /// The server cannot do what was asked.
    fn refused(&mut self, error: ServerError) -> Result<(), SessionError> {
        let Some(slot) = self.slots.get_mut(self.turn) else { return Ok(()) };
        let address = slot.reader.address().cloned();
        match std::mem::replace(&mut slot.work, Work::Nothing) {
            Work::Closing => self.stage = Stage::Copying,
            // A view, or a right that is missing: it can be read all the same.
            Work::Piece {
                piece: Piece::Unmeasured(namespace),
                step: Step::Measure(_) | Step::Split { .. },
            } => self.queue.push_front(Piece::Whole(namespace)),
            Work::Piece { .. } if error.code == NAMESPACE_NOT_FOUND_CODE => {}
            work @ (Work::Opening | Work::Nothing | Work::Piece { .. }) => {
                let Some(address) = address else { return Ok(()) };
                let (doing, scope) = match work.piece() {
                    Some(piece) => (Doing::Copying, piece.scope()),
                    None => (Doing::Opening, self.config.watch.scope.clone()),
                };
                let position = ResumePosition::After(self.stream.clone());
                return Err(SessionError::command(address, doing, error, &scope, &position));
            }
        }
        Ok(())
    }

    /// The connection is lost: what it was for is done again, a range from where it was.
    fn give_back(&mut self) {
        let Some(slot) = self.slots.get_mut(self.turn) else { return };
        match std::mem::replace(&mut slot.work, Work::Nothing) {
            Work::Piece { piece, .. } => self.queue.push_front(piece),
            // The cursor ends with its time.
            Work::Closing => self.stage = Stage::Copying,
            Work::Opening | Work::Nothing => {}
        }
    }
}

fn first_piece(scope: &Scope, spec: &CopySpec) -> Piece {
    match scope {
        Scope::Deployment => Piece::Databases,
        Scope::Database(database) => Piece::Collections { database: database.clone() },
        // Only the server can tell whether it passes.
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

/// The element `_id` of the document that was copied.
fn copied_id(maker: Maker, document: RawDoc<'_>) -> Result<&[u8], BsonError> {
    match maker {
        Maker::Node => document.element_bytes(b"_id"),
        Maker::Server => match document.get(b"_id")? {
            Some(RawValue::Document(token)) => token.element_bytes(b"_id"),
            Some(_) | None => Ok(&[]),
        },
    }
}
