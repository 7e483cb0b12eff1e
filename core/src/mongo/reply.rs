//! Takes events out of a reply while it still arrives.
//!
//! ```text
//!  header │ { … cursor: { … nextBatch: [ event, event, … ] … } … } │ checksum
//!  Header   Body        Cursor          Batch                Cursor  Body  Tail     places
//! ```
//!
//! A reply has up to 16 MB. An event is handed out as soon as it is whole; it stays where it lies
//! in the [`Inbox`] and is taken off at the next call. All other fields are small: they are
//! collected in [`Reply`] as they come, in whatever order. Short replies (handshake,
//! authentication) are read in one piece by [`ReplyReader::whole`]. Every length is held against
//! the length of what contains it before it is waited for.

use std::fmt;

use super::bson::{BsonError, DOC_BYTES_MIN, RawDoc, RawElement, RawValue};
use super::bson_partial::{element_head, value_bytes};
use super::error_codes::ServerError;
use super::message::{Header, MessageError, PREFIX_BYTES, decode_header};
use crate::inbox::Inbox;

/// Largest field beside the batch that is collected. Bytes.
const FIELD_BYTES_MAX: usize = 1 << 20;

/// Why a reply cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The frame is not that of a reply.
    Message(MessageError),
    /// The document is malformed.
    Bson(BsonError),
    /// A field, or a reply that must be read whole, is larger than `bytes_max`.
    TooLarge {
        /// Bytes declared.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A batch holds something else than documents.
    NoDocument {
        /// Its BSON type.
        kind: u8,
    },
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(error) => error.fmt(f),
            Self::Bson(error) => error.fmt(f),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "a part of a reply declares {bytes} bytes, at most {bytes_max} are taken")
            }
            Self::NoDocument { kind } => {
                write!(f, "a batch holds a value of type 0x{kind:02x} where an event should be")
            }
        }
    }
}

impl std::error::Error for ReplyError {}

impl From<BsonError> for ReplyError {
    fn from(error: BsonError) -> Self {
        Self::Bson(error)
    }
}

impl From<MessageError> for ReplyError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

/// All of a reply but its events. Complete at [`Progress::End`]; buffers are kept from one reply to
/// the next.
#[derive(Debug, Default)]
pub struct Reply {
    /// `ok`: the command succeeded.
    pub ok: bool,
    /// `cursor.id`; 0 if the server holds no cursor any more.
    pub cursor_id: i64,
    /// `cursor.postBatchResumeToken`, raw BSON. Empty if there is none.
    pub post_batch_token: Vec<u8>,
    /// `operationTime`: seconds and increment.
    pub operation_time: Option<(u32, u32)>,
    /// What the server says of a failure.
    pub error: ServerError,
    /// Events handed out of this reply.
    pub events: u64,
}

impl Reply {
    fn clear(&mut self) {
        self.ok = false;
        self.cursor_id = 0;
        self.post_batch_token.clear();
        self.operation_time = None;
        self.error.clear();
        self.events = 0;
    }

    fn collect_body(&mut self, element: RawElement<'_>) {
        if element.name == b"ok" {
            self.ok = element.value.is_true();
        } else if let (b"operationTime", RawValue::Timestamp { time, increment }) =
            (element.name, element.value)
        {
            self.operation_time = Some((time, increment));
        } else {
            self.error.collect(element);
        }
    }

    fn collect_cursor(&mut self, element: RawElement<'_>) {
        if element.name == b"id" {
            self.cursor_id = element.value.as_i64().unwrap_or(0);
        } else if let (b"postBatchResumeToken", RawValue::Document(token)) =
            (element.name, element.value)
        {
            self.post_batch_token.clear();
            self.post_batch_token.extend_from_slice(token.as_bytes());
        }
    }

    /// Everything but the events of a reply that is there whole.
    ///
    /// # Errors
    /// If the part of `body` that is looked at is malformed.
    pub fn peek(body: RawDoc<'_>) -> Result<(Self, bool), BsonError> {
        let mut reply = Self::default();
        let mut batch_is_empty = true;
        for element in body {
            let element = element?;
            reply.collect_body(element);
            let (b"cursor", RawValue::Document(cursor)) = (element.name, element.value) else {
                continue;
            };
            for element in cursor {
                let element = element?;
                reply.collect_cursor(element);
                if let (b"firstBatch", RawValue::Array(batch)) = (element.name, element.value) {
                    batch_is_empty = batch.is_empty();
                }
            }
        }
        Ok((reply, batch_is_empty))
    }
}

/// What a call to [`ReplyReader::advance`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Wait,
    /// A reply begins; nothing of it has been handed out.
    Begin(Header),
    /// An event lies at the front of the inbox: see [`ReplyReader::event`]. The next call takes it
    /// off.
    Event,
    /// The reply has been read to its end; see [`ReplyReader::reply`].
    End(Header),
}

/// Reads replies from an inbox, one after the other.
#[derive(Debug)]
pub struct ReplyReader {
    place: Place,
    /// Bytes of the message that are read, the handed-out event included.
    read: usize,
    /// Bytes of the handed-out event, still in the inbox.
    handed_out: usize,
    reply: Reply,
}

/// Where the reader is. Ends are counted in bytes from the start of the message, behind the
/// terminating zero. Invariant: `batch_end < cursor_end < body_end <= message_bytes`.
#[derive(Clone, Copy, Debug)]
enum Place {
    Header,
    Body { header: Header, body_end: usize },
    Cursor { header: Header, body_end: usize, cursor_end: usize },
    Batch { header: Header, body_end: usize, cursor_end: usize, batch_end: usize },
    Tail { header: Header },
}

/// What follows a step.
enum Step {
    Go(Place),
    Stay,
    Out(Progress),
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self { place: Place::Header, read: 0, handed_out: 0, reply: Reply::default() }
    }
}

impl ReplyReader {
    /// Forgets what it was reading, as after a lost connection.
    pub fn reset(&mut self) {
        self.place = Place::Header;
        self.read = 0;
        self.handed_out = 0;
    }

    /// Whether the last reply was read to its end and the next has not begun.
    pub fn is_between_replies(&self) -> bool {
        matches!(self.place, Place::Header)
    }

    /// The fields of the reply that is being read.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The event that was handed out last, where it lies in `inbox`.
    ///
    /// # Errors
    /// If its frame is broken, or if there is none.
    pub fn event<'a>(&self, inbox: &'a Inbox) -> Result<RawDoc<'a>, BsonError> {
        RawDoc::new(inbox.bytes().get(..self.handed_out).unwrap_or_default())
    }

    /// Reads on up to the next event or the end of the reply. Cost: one look at each field, none at
    /// an event's inside.
    ///
    /// # Errors
    /// See [`ReplyError`]. The reader is then of no more use until [`ReplyReader::reset`].
    pub fn advance(&mut self, inbox: &mut Inbox) -> Result<Progress, ReplyError> {
        inbox.consume(self.handed_out);
        self.handed_out = 0;
        loop {
            let step = match self.place {
                Place::Header => self.read_header(inbox)?,
                Place::Body { header, body_end } => self.read_body(inbox, header, body_end)?,
                Place::Cursor { header, body_end, cursor_end } => {
                    self.read_cursor(inbox, header, body_end, cursor_end)?
                }
                Place::Batch { header, body_end, cursor_end, batch_end } => {
                    let outer = Place::Cursor { header, body_end, cursor_end };
                    self.read_event(inbox, batch_end, outer)?
                }
                Place::Tail { header } => self.read_tail(inbox, header),
            };
            match step {
                Step::Go(place) => self.place = place,
                Step::Stay => {}
                Step::Out(progress) => return Ok(progress),
            }
        }
    }

    /// The next reply, if all of it has arrived and it has at most `bytes_max` bytes. Takes nothing
    /// off the inbox: [`ReplyReader::skip_whole`] or [`ReplyReader::advance`] goes on from its
    /// start.
    ///
    /// # Errors
    /// If it is larger, or no reply.
    pub fn whole<'a>(
        inbox: &'a mut Inbox,
        bytes_max: usize,
    ) -> Result<Option<(Header, RawDoc<'a>)>, ReplyError> {
        if !inbox.gather(4) {
            return Ok(None);
        }
        inbox.gather(PREFIX_BYTES);
        let declared = inbox.bytes().first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        let bytes = usize::try_from(declared).unwrap_or(usize::MAX);
        let header = decode_header(inbox.bytes())?;
        if bytes_max < bytes {
            return Err(ReplyError::TooLarge { bytes, bytes_max });
        }
        let Some(header) = header else { return Ok(None) };
        if !inbox.gather(header.message_bytes) {
            return Ok(None);
        }
        let body = inbox.bytes().get(PREFIX_BYTES..header.document_end()).unwrap_or_default();
        Ok(Some((header, RawDoc::new(body)?)))
    }

    /// Takes off a reply that [`ReplyReader::whole`] has given.
    pub fn skip_whole(inbox: &mut Inbox, header: Header) {
        inbox.consume(header.message_bytes);
    }

    fn read_header(&mut self, inbox: &mut Inbox) -> Result<Step, ReplyError> {
        let wanted = PREFIX_BYTES + 4;
        if !inbox.gather(wanted) {
            // A peer that speaks another protocol may never send as much.
            decode_header(inbox.bytes())?;
            return Ok(Step::Out(Progress::Wait));
        }
        let Some(header) = decode_header(inbox.bytes())? else {
            return Ok(Step::Out(Progress::Wait));
        };
        let length = inbox.bytes().get(PREFIX_BYTES..).unwrap_or_default();
        let body_end = nested_end(length, PREFIX_BYTES, header.document_end() + 1)?;
        if body_end != header.document_end() {
            let declared = i32::try_from(body_end - PREFIX_BYTES).unwrap_or(i32::MAX);
            let present = header.document_end() - PREFIX_BYTES;
            return Err(BsonError::Frame { declared, present }.into());
        }
        self.reply.clear();
        self.read = 0;
        self.take(inbox, wanted);
        self.place = Place::Body { header, body_end };
        Ok(Step::Out(Progress::Begin(header)))
    }

    fn read_body(
        &mut self,
        inbox: &mut Inbox,
        header: Header,
        body_end: usize,
    ) -> Result<Step, ReplyError> {
        match self.look(inbox, body_end, &[(b"cursor", 0x03)])? {
            Look::Wait => Ok(Step::Out(Progress::Wait)),
            Look::End => Ok(Step::Go(Place::Tail { header })),
            Look::Nested { end } => {
                Ok(Step::Go(Place::Cursor { header, body_end, cursor_end: end }))
            }
            Look::Field { bytes } => {
                self.reply.collect_body(field(inbox, bytes)?);
                self.take(inbox, bytes);
                Ok(Step::Stay)
            }
        }
    }

    fn read_cursor(
        &mut self,
        inbox: &mut Inbox,
        header: Header,
        body_end: usize,
        cursor_end: usize,
    ) -> Result<Step, ReplyError> {
        match self.look(inbox, cursor_end, &[(b"nextBatch", 0x04), (b"firstBatch", 0x04)])? {
            Look::Wait => Ok(Step::Out(Progress::Wait)),
            Look::End => Ok(Step::Go(Place::Body { header, body_end })),
            Look::Nested { end } => {
                Ok(Step::Go(Place::Batch { header, body_end, cursor_end, batch_end: end }))
            }
            Look::Field { bytes } => {
                self.reply.collect_cursor(field(inbox, bytes)?);
                self.take(inbox, bytes);
                Ok(Step::Stay)
            }
        }
    }

    /// The hot path: once per event.
    fn read_event(
        &mut self,
        inbox: &mut Inbox,
        batch_end: usize,
        outer: Place,
    ) -> Result<Step, ReplyError> {
        loop {
            if self.at_end(inbox, batch_end)? {
                return Ok(Step::Go(outer));
            }
            let front = self.front(inbox, batch_end);
            if let Some((kind, value_at)) = element_head(front) {
                if kind != 0x03 {
                    return Err(ReplyError::NoDocument { kind });
                }
                let value = front.get(value_at..).unwrap_or_default();
                if value.first_chunk::<4>().is_some() {
                    let bytes = nested_end(value, self.read + value_at, batch_end)?
                        - (self.read + value_at);
                    if !inbox.gather(value_at + bytes) {
                        return Ok(Step::Out(Progress::Wait));
                    }
                    self.take(inbox, value_at);
                    self.read += bytes;
                    self.handed_out = bytes;
                    self.reply.events += 1;
                    return Ok(Step::Out(Progress::Event));
                }
            }
            if !self.gather_more(inbox, batch_end, 0x03)? {
                return Ok(Step::Out(Progress::Wait));
            }
        }
    }

    fn read_tail(&mut self, inbox: &mut Inbox, header: Header) -> Step {
        let checksum_bytes = header.message_bytes - self.read;
        if !inbox.gather(checksum_bytes) {
            return Step::Out(Progress::Wait);
        }
        self.take(inbox, checksum_bytes);
        self.place = Place::Header;
        Step::Out(Progress::End(header))
    }

    /// Looks at the next element of the document that ends at `end`. Enters it if it is one of
    /// `nested`, else waits until it is whole.
    fn look(
        &mut self,
        inbox: &mut Inbox,
        end: usize,
        nested: &[(&[u8], u8)],
    ) -> Result<Look, ReplyError> {
        loop {
            if self.at_end(inbox, end)? {
                return Ok(Look::End);
            }
            let front = self.front(inbox, end);
            let mut kind_seen = 0;
            if let Some((kind, value_at)) = element_head(front) {
                kind_seen = kind;
                let name = front.get(1..value_at - 1).unwrap_or_default();
                let value = front.get(value_at..).unwrap_or_default();
                if nested.contains(&(name, kind)) {
                    if value.first_chunk::<4>().is_some() {
                        let nested_end = nested_end(value, self.read + value_at, end)?;
                        self.take(inbox, value_at + 4);
                        return Ok(Look::Nested { end: nested_end });
                    }
                } else if let Some(value_bytes) = value_bytes(kind, value)? {
                    let bytes = value_at + value_bytes;
                    if end - self.read <= bytes {
                        return Err(BsonError::Truncated { kind }.into());
                    }
                    if FIELD_BYTES_MAX < bytes {
                        return Err(ReplyError::TooLarge { bytes, bytes_max: FIELD_BYTES_MAX });
                    }
                    return Ok(if inbox.gather(bytes) {
                        Look::Field { bytes }
                    } else {
                        Look::Wait
                    });
                }
            }
            if !self.gather_more(inbox, end, kind_seen)? {
                return Ok(Look::Wait);
            }
        }
    }

    /// Whether only the terminator of the document that ends at `end` is left; it is then taken.
    fn at_end(&mut self, inbox: &mut Inbox, end: usize) -> Result<bool, ReplyError> {
        if self.read + 1 < end || !inbox.gather(1) {
            return Ok(false);
        }
        if inbox.bytes().first() != Some(&0) {
            return Err(BsonError::Unterminated.into());
        }
        self.take(inbox, 1);
        Ok(true)
    }

    /// What lies together of the document that ends at `end`.
    fn front<'a>(&self, inbox: &'a Inbox, end: usize) -> &'a [u8] {
        let bytes = inbox.bytes();
        bytes.get(..end.saturating_sub(self.read)).unwrap_or(bytes)
    }

    /// Brings at least one more byte to the front. `Ok(false)`: wait for the socket.
    fn gather_more(&self, inbox: &mut Inbox, end: usize, kind: u8) -> Result<bool, ReplyError> {
        let there = inbox.bytes().len();
        if end - self.read <= there {
            return Err(BsonError::Truncated { kind }.into());
        }
        if FIELD_BYTES_MAX <= there {
            return Err(ReplyError::TooLarge { bytes: there, bytes_max: FIELD_BYTES_MAX });
        }
        Ok(inbox.gather(there + 1))
    }

    fn take(&mut self, inbox: &mut Inbox, bytes: usize) {
        inbox.consume(bytes);
        self.read += bytes;
    }
}

/// What comes next in a document.
enum Look {
    Wait,
    End,
    Nested { end: usize },
    Field { bytes: usize },
}

/// Where a document or array ends that begins `at` with `length`, inside something that ends at
/// `outer_end`.
#[inline]
fn nested_end(length: &[u8], at: usize, outer_end: usize) -> Result<usize, BsonError> {
    let declared = length.first_chunk().map_or(-1, |length| i32::from_le_bytes(*length));
    let present = outer_end.saturating_sub(at);
    match usize::try_from(declared) {
        Ok(bytes) if (DOC_BYTES_MIN..present).contains(&bytes) => Ok(at + bytes),
        Ok(_) | Err(_) => Err(BsonError::Frame { declared, present }),
    }
}

fn field(inbox: &Inbox, bytes: usize) -> Result<RawElement<'_>, BsonError> {
    RawElement::read(inbox.bytes().get(..bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests;
