//! What the reader whose turn it is begins, what comes of it, and what that leads to.
//!
//! ```text
//!  begin ──► whole, document …, end     the answer, taken apart or copied
//!     ▲ └──► refused                    another way, or the end of the copy
//!     └───── give_back                  the connection is lost: again, a range from where it was
//! ```

use std::time::Instant;

use super::commands::{self, Maker};
use super::piece::Piece;
use super::reader::Answer;
use super::slot::{self, Step, Work};
use super::{Copier, Stage, event, listing};
use crate::mongo::bson::{BsonError, RawDoc, RawValue};
use crate::mongo::error_codes::ServerError;
use crate::mongo::reply::ReplyError;
use crate::mongo::session::ResumePosition;
use crate::mongo::session_error::{Doing, SessionError};

/// What a position holds of one `_id` at most; a larger one is passed over. Bytes.
const POSITION_ID_BYTES_MAX: usize = 1_024;
/// NamespaceNotFound: there is nothing to read.
const NAMESPACE_NOT_FOUND_CODE: i32 = 26;

impl Copier {
    /// Asks for what comes next. `false`: there is nothing.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
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
    pub(super) fn whole(&mut self) -> Result<(), SessionError> {
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
    pub(super) fn document(&mut self) -> Result<bool, SessionError> {
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
                match listing::collection(document, database, splits) {
                    Ok(Some(piece)) => {
                        if self.spec.chooses(&piece)? {
                            self.queue.push_back(piece);
                        }
                        Ok(false)
                    }
                    Ok(None) => Ok(false),
                    Err(error) => Err(error),
                }
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
    pub(super) fn end(&mut self, now: Instant) -> Result<bool, SessionError> {
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
    pub(super) fn refused(&mut self, error: ServerError) -> Result<(), SessionError> {
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
    pub(super) fn give_back(&mut self) {
        let Some(slot) = self.slots.get_mut(self.turn) else { return };
        match std::mem::replace(&mut slot.work, Work::Nothing) {
            Work::Piece { piece, .. } => self.queue.push_front(piece),
            // The cursor ends with its time.
            Work::Closing => self.stage = Stage::Copying,
            Work::Opening | Work::Nothing => {}
        }
    }
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
