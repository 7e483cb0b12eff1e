//! A cursor read with exhaust, taken apart no further than its events or documents: for arms that must cost nothing.
//!
//! ```text
//! reader                                   mongod
//!   hello                          ──►
//!                                  ◄──     setName, isWritablePrimary
//!   aggregate [$changeStream]      ──►          or find, of which each document is taken
//!                                  ◄──     cursor { firstBatch [ … ], id }
//!   getMore, flag exhaustAllowed   ──►
//!                                  ◄──     cursor { nextBatch [ … ] }, flag moreToCome
//!                                  ◄──     cursor { nextBatch [ … ] }, flag moreToCome      (unasked)
//!
//! message   length i32 │ request id i32 │ response to i32 │ 2013 │ flags u32 │ 0 │ document       little endian
//! document  length i32 │ elements │ 0          element  type u8 │ name │ 0 │ value
//! ```
//!
//! Its framing is its own, so that it shares no mistake with the node. It only knows the types that stand outside of
//! documents in replies and events. No authentication and no TLS: the scenarios that use it start servers that take
//! plain connections. Blocking.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{Bson, Document, Timestamp, doc};

pub(crate) const OP_MSG: i32 = 2013;
pub(crate) const FLAG_MORE_TO_COME: u32 = 1 << 1;
pub(crate) const FLAG_EXHAUST_ALLOWED: u32 = 1 << 16;
/// Length, ids and kind of a message.
pub(crate) const HEADER_BYTES: usize = 16;
/// Flags and the kind of the first section.
pub(crate) const BEFORE_DOCUMENT_BYTES: usize = 4 + 1;
/// A document of no elements.
const DOCUMENT_BYTES_MIN: usize = 4 + 1;
/// Larger than any reply: 16 MB of events and what is around them.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// How long the server waits for news before it sends an empty reply, ms.
const AWAIT_MS: i32 = 1_000;

/// Documents in a reply of a scan: a megabyte or so, which the sockets hold, so that mongod makes the next reply while
/// this one is read. In replies of 16 MB, which it sends unless told otherwise, it sleeps an eighth of the time.
const SCAN_REPLY_DOCUMENTS: i32 = 1_000;

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct Watched<'a> {
    /// Host and port of the primary.
    pub(crate) address: &'a str,
    pub(crate) database: &'a str,
    /// Empty for all of the database.
    pub(crate) collection: &'a str,
    pub(crate) start_at: Timestamp,
}

/// An open cursor and its last reply.
#[derive(Debug)]
pub(crate) struct RawStream {
    connection: Connection,
    get_more: Document,
    /// The command that opens it again when it is at its end, of a scan.
    again: Option<Document>,
    /// Whether the server goes on by itself.
    asked: bool,
}

impl RawStream {
    /// Opens the stream; the first reply is there then. A socket that is silent for longer than `idle_max` is an error:
    /// the server sends an empty reply every second.
    pub(crate) fn open(watched: &Watched<'_>, idle_max: Duration) -> Result<Self> {
        let Watched { address, database, collection, start_at } = watched;
        let mut connection = Connection::to_primary(address, idle_max)?;
        let stage = doc! { "$changeStream": { "startAtOperationTime": start_at } };
        // Who watches a database names no collection, and the cursor has one of its own (the change streams' spec).
        let (aggregate, collection) = match *collection {
            "" => (Bson::Int32(1), "$cmd.aggregate"),
            name => (Bson::from(name), name),
        };
        connection.command(&doc! {
            "aggregate": aggregate, "pipeline": [stage], "cursor": {}, "$db": database,
        })?;
        let cursor_id = Batch::parse(connection.reply())?.cursor_id;
        let get_more = doc! { "getMore": cursor_id, "collection": collection, "maxTimeMS": AWAIT_MS,
        "$db": database };
        Ok(Self { connection, get_more, again: None, asked: false })
    }

    /// Opens a scan of a collection, in the order in which its documents lie there. It has no end: behind the last
    /// document it begins again with the first.
    pub(crate) fn scan(
        address: &str,
        database: &str,
        collection: &str,
        idle_max: Duration,
    ) -> Result<Self> {
        let mut connection = Connection::to_primary(address, idle_max)?;
        let find = doc! { "find": collection, "$db": database };
        connection.command(&find)?;
        let get_more = doc! { "getMore": 0_i64, "collection": collection,
        "batchSize": SCAN_REPLY_DOCUMENTS, "$db": database };
        Ok(Self { connection, get_more, again: Some(find), asked: false })
    }

    /// The last reply.
    pub(crate) fn batch(&self) -> Result<Batch<'_>> {
        Batch::parse(self.connection.reply())
    }

    /// Waits for the next reply.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let cursor_id = self.batch()?.cursor_id;
        if let (0, Some(find)) = (cursor_id, &self.again) {
            self.asked = false;
            return self.connection.command(find).map(drop);
        }
        ensure!(cursor_id != 0, "mongod closed the stream");
        if !self.asked {
            self.get_more.insert("getMore", cursor_id);
            self.connection.send(&self.get_more, FLAG_EXHAUST_ALLOWED)?;
        }
        self.asked = self.connection.receive()? & FLAG_MORE_TO_COME != 0;
        Ok(())
    }

    /// The document of the last reply.
    pub(crate) fn reply(&self) -> &[u8] {
        self.connection.reply()
    }

    /// Bytes of the last reply.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.connection.reply().len()
    }

    /// Bytes of the receive buffer.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.connection.message.capacity()
    }

    /// The socket, for whoever has to end a blocked [`RawStream::advance`].
    pub(crate) fn socket(&self) -> Result<TcpStream> {
        self.connection.stream.try_clone().context("could not share the socket to mongod")
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request_id: i32,
    /// Receive buffer. It only grows: filling it with zeros for each reply would cost as much as the copy itself.
    message: Vec<u8>,
    /// The last document received lies here in `message`.
    document_end: usize,
}

impl Connection {
    fn open(address: &str, timeout: Duration) -> Result<Self> {
        ensure!(
            !address.contains('@') && !address.contains('/'),
            "the raw reader takes host:port without credentials; it does not log in"
        );
        let stream = TcpStream::connect(address)
            .with_context(|| format!("could not connect the raw reader to mongod at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout.max(Duration::from_millis(AWAIT_MS as u64 * 5))))?;
        Ok(Self { stream, request_id: 0, message: Vec::new(), document_end: BEFORE_DOCUMENT_BYTES })
    }

    fn to_primary(address: &str, timeout: Duration) -> Result<Self> {
        let mut connection = Self::open(address, timeout)?;
        let hello = connection.command(&doc! { "hello": 1, "$db": "admin" })?;
        ensure!(hello.contains_key("setName"), "mongod is not a member of a replica set");
        let is_primary = hello.get_bool("isWritablePrimary").unwrap_or(false);
        ensure!(is_primary, "mongod at {address} is not the primary");
        Ok(connection)
    }

    fn command(&mut self, command: &Document) -> Result<Document> {
        self.send(command, 0)?;
        self.receive()?;
        Document::from_reader(self.reply()).context("could not read mongod's reply")
    }

    fn send(&mut self, command: &Document, flags: u32) -> Result<()> {
        self.request_id += 1;
        let message = message([self.request_id, 0], flags, &command.to_vec()?);
        self.stream.write_all(&message).context("could not send to mongod")
    }

    /// Reads one whole message and returns its flags. Fails when the server reports an error.
    fn receive(&mut self) -> Result<u32> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).context("could not read from mongod")?;
        let length = i32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = i32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        ensure!(kind == OP_MSG, "mongod sent a message of kind {kind}, not OP_MSG");
        let least = HEADER_BYTES + BEFORE_DOCUMENT_BYTES + DOCUMENT_BYTES_MIN;
        ensure!((least..=REPLY_BYTES_MAX).contains(&length), "mongod sent {length} bytes at once");
        let body_bytes = length - HEADER_BYTES;
        if self.message.len() < body_bytes {
            self.message.resize(body_bytes, 0);
        }
        let body = &mut self.message[..body_bytes];
        self.stream.read_exact(body).context("could not read from mongod")?;
        let flags = [body[0], body[1], body[2], body[3]];
        ensure!(body[4] == 0, "mongod sent a reply that begins with no body section");
        let document_bytes = document_bytes(&body[BEFORE_DOCUMENT_BYTES..])?;
        self.document_end = BEFORE_DOCUMENT_BYTES + document_bytes;
        check_ok(self.reply())?;
        Ok(u32::from_le_bytes(flags))
    }

    /// The document of the last reply.
    fn reply(&self) -> &[u8] {
        self.message.get(BEFORE_DOCUMENT_BYTES..self.document_end).unwrap_or_default()
    }
}

/// A message of one document. `ids`: its own, and that of the message that it answers.
pub(crate) fn message(ids: [i32; 2], flags: u32, document: &[u8]) -> Vec<u8> {
    let length = HEADER_BYTES + BEFORE_DOCUMENT_BYTES + document.len();
    let mut message = Vec::with_capacity(length);
    for field in [length as i32, ids[0], ids[1], OP_MSG] {
        message.extend_from_slice(&field.to_le_bytes());
    }
    message.extend_from_slice(&flags.to_le_bytes());
    message.push(0);
    message.extend_from_slice(document);
    message
}

fn check_ok(reply: &[u8]) -> Result<()> {
    for element in elements(reply) {
        let (name, kind, value) = element?;
        let ok = match (name, kind) {
            (b"ok", 0x01) => value == 1.0_f64.to_le_bytes(),
            (b"ok", _) => value.first() == Some(&1),
            _ => continue,
        };
        if !ok {
            bail!("mongod refused: {}", Document::from_reader(reply)?);
        }
    }
    Ok(())
}

/// One reply of a cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// 0: the cursor is closed.
    pub(crate) cursor_id: i64,
    /// The array of events.
    events: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads the document of a reply.
    pub(crate) fn parse(reply: &'a [u8]) -> Result<Self> {
        let mut batch = Self { cursor_id: 0, events: &[] };
        for element in elements(reply) {
            let (b"cursor", 0x03, cursor) = element? else { continue };
            for element in elements(cursor) {
                match element? {
                    (b"firstBatch" | b"nextBatch", 0x04, events) => batch.events = events,
                    (b"id", 0x12, id) => batch.cursor_id = i64::from_le_bytes(id.try_into()?),
                    _ => {}
                }
            }
        }
        Ok(batch)
    }

    /// The events, each as the bytes of its document. Walks over lengths only; no event is looked into.
    pub(crate) fn events(self) -> impl Iterator<Item = Result<&'a [u8]>> {
        elements(self.events).map(|event| {
            let (_, kind, event) = event?;
            ensure!(kind == 0x03, "mongod sent an event of type {kind:#04x}, not a document");
            Ok(event)
        })
    }
}

/// The bytes of an event's `documentKey`, which is the key of its record.
pub(crate) fn document_key(event: &[u8]) -> Result<&[u8]> {
    for element in elements(event) {
        if let (b"documentKey", 0x03, key) = element? {
            return Ok(key);
        }
    }
    bail!("an event has no documentKey: only changes of documents have a record here")
}

type Element<'a> = (&'a [u8], u8, &'a [u8]);

/// The elements of a document: name, type byte, value bytes. Ends after the first error.
fn elements(document: &[u8]) -> impl Iterator<Item = Result<Element<'_>>> {
    let mut rest = document.get(4..document.len().saturating_sub(1)).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&kind, after) = rest.split_first()?;
        let taken = take_element(kind, after);
        rest = taken.as_ref().map_or(&[][..], |(_, rest)| rest);
        Some(taken.map(|(element, _)| element))
    })
}

fn take_element(kind: u8, bytes: &[u8]) -> Result<(Element<'_>, &[u8])> {
    let name_bytes = bytes.iter().position(|&b| b == 0).context("an element name has no end")?;
    let (name, value) = (&bytes[..name_bytes], &bytes[name_bytes + 1..]);
    let length_prefix = || -> Result<usize> {
        let prefix = value.get(..4).context("a value is cut")?;
        Ok(u32::from_le_bytes(prefix.try_into()?) as usize)
    };
    let value_bytes = match kind {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 => 4 + length_prefix()?,
        0x03 | 0x04 => document_bytes(value)?,
        0x05 => 5 + length_prefix()?,
        0x07 => 12,
        0x08 => 1,
        0x0a => 0,
        0x10 => 4,
        _ => bail!("a reply has an element of type {kind:#04x} outside of its documents"),
    };
    ensure!(value_bytes <= value.len(), "a value is cut");
    Ok(((name, kind, &value[..value_bytes]), &value[value_bytes..]))
}

/// The length of the document that `bytes` begin with: it is all there and ends with 0.
fn document_bytes(bytes: &[u8]) -> Result<usize> {
    let prefix = bytes.get(..4).context("a document is cut")?;
    let length = u32::from_le_bytes(prefix.try_into()?) as usize;
    ensure!(DOCUMENT_BYTES_MIN <= length, "a document of {length} bytes is too short");
    ensure!(bytes.get(length - 1) == Some(&0), "a document of {length} bytes is cut or has no end");
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Vec<u8> {
        let event = doc! { "_id": { "_data": "82" }, "fullDocument": { "a": [1, 2.5, "x"] },
        "documentKey": { "_id": 7_i64 } };
        let cursor = doc! { "nextBatch": [event.clone(), event.clone(), event], "id": 77_i64,
        "postBatchResumeToken": { "_data": "83" }, "ns": "d.c" };
        let reply = doc! { "cursor": cursor, "ok": 1.0, "operationTime": Timestamp { time: 1, increment: 2 } };
        reply.to_vec().expect("encodes")
    }

    #[test]
    fn events_are_found_without_looking_into_them() {
        let reply = reply();
        let batch = Batch::parse(&reply).expect("whole");
        let events: Vec<_> = batch.events().collect::<Result<_>>().expect("whole");
        assert_eq!((events.len(), batch.cursor_id), (3, 77));
        let key = document_key(events[2]).expect("there");
        assert_eq!(Document::from_reader(key).expect("a document"), doc! { "_id": 7_i64 });
    }

    #[test]
    fn an_event_without_a_key_is_refused() {
        let event = doc! { "operationType": "drop" }.to_vec().expect("encodes");
        assert!(document_key(&event).is_err());
    }

    #[test]
    fn a_reply_that_is_cut_never_panics() {
        let reply = reply();
        for end in 0..reply.len() {
            if let Ok(batch) = Batch::parse(&reply[..end]) {
                for event in batch.events().flatten() {
                    let _ = document_key(event);
                }
            }
            let _ = check_ok(&reply[..end]);
        }
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let event = doc! { "documentKey": { "_id": 7_i64 } }.to_vec().expect("encodes");
        let length_at = 4 + 1 + "documentKey".len() + 1;
        for length in [0, 1, 4, 5, 200, u32::MAX] {
            let mut wrong = event.clone();
            wrong[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            assert!(document_key(&wrong).is_err(), "{length}");
        }
    }

    #[test]
    fn a_refusal_is_an_error() {
        let refusal =
            doc! { "ok": 0.0, "code": 13, "errmsg": "not authorized" }.to_vec().expect("encodes");
        let message = check_ok(&refusal).expect_err("refused").to_string();
        assert!(message.contains("not authorized"), "{message}");
        check_ok(&reply()).expect("ok");
    }

    #[test]
    fn credentials_are_refused_by_name() {
        let timeout = Duration::from_secs(1);
        let error = Connection::open("u:p@localhost:27017", timeout).expect_err("refused");
        assert!(error.to_string().contains("without credentials"), "{error}");
    }
}
