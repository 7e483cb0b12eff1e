//! The null reader: reads a change stream with exhaust as fast as the server sends it, and does nothing with it.
//!
//! ```text
//! reader                                   mongod
//!   hello                          ──►
//!                                  ◄──     setName, isWritablePrimary
//!   aggregate [$changeStream]      ──►
//!                                  ◄──     cursor { firstBatch [ … ], id }
//!   getMore, flag exhaustAllowed   ──►
//!                                  ◄──     cursor { nextBatch [ … ] }, flag moreToCome
//!                                  ◄──     cursor { nextBatch [ … ] }, flag moreToCome      (unasked)
//! ```
//!
//! It is the wall that every other arm is measured against: nothing that reads a change stream can be faster than a
//! reader that only counts. So it must be shown that the server was the limit and not the reader: the thread of mongod
//! that serves the cursor has to be busy for at least [`SERVER_BUSY_MIN`] of the window, else the reading is not valid.
//!
//! Its framing is its own, so that it shares no mistake with the node. No authentication and no TLS: the scenarios that
//! use it start their servers without.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, Timestamp, doc};

use crate::procfs::{self, MachineTimes, ThreadTimes};

/// Share of the window that the serving thread must have been on the CPU.
pub const SERVER_BUSY_MIN: f64 = 0.95;

/// CPU time is counted in steps of 10 ms: a shorter window judges nothing.
pub const WINDOW_MIN: Duration = Duration::from_secs(2);

const OP_MSG: i32 = 2013;
const FLAG_MORE_TO_COME: u32 = 1 << 1;
const FLAG_EXHAUST_ALLOWED: u32 = 1 << 16;
const HEADER_BYTES: usize = 16;
/// Larger than any reply: 16 MB of events and what is around them.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// How long the server waits for news before it sends an empty reply, ms.
const AWAIT_MS: i32 = 1_000;

/// What to read.
#[derive(Clone, Debug)]
pub struct NullRead {
    /// Host and port of the primary.
    pub address: String,
    /// Database of the collection.
    pub database: String,
    /// The collection to watch.
    pub collection: String,
    /// Where the stream starts.
    pub start_at: Timestamp,
    /// Events to read.
    pub events: u64,
    /// Process id of mongod, if it runs on this machine.
    pub server_pid: Option<u32>,
    /// Give up when no event comes for this long.
    pub idle_max: Duration,
}

/// What was read, and how.
#[derive(Clone, Debug)]
pub struct NullReading {
    /// Events read.
    pub events: u64,
    /// Events in the first batch that had any: they were there when the window opened.
    pub events_first_batch: u64,
    /// From the first batch with events to the last.
    pub window: Duration,
    /// Bytes of all replies.
    pub bytes: u64,
    /// CPU time of the reading thread, from before it connected.
    pub cpu: Duration,
    /// Memory that the reader needs: its receive buffer, bytes.
    pub memory_bytes: u64,
    /// Share of the window in which the busiest thread of mongod was on the CPU. `None` if mongod runs elsewhere.
    pub server_busy: Option<f64>,
    /// Part of the window's CPU time that the host kept to itself, 0 to 1.
    pub host_stolen: f64,
}

impl NullReading {
    /// Why this reading is no wall to measure against, or `None` if it is one.
    pub fn invalid_because(&self) -> Option<String> {
        if self.window < WINDOW_MIN {
            return Some(format!(
                "the window of {:.2} s is shorter than {} s; use more events",
                self.window.as_secs_f64(),
                WINDOW_MIN.as_secs()
            ));
        }
        match self.server_busy {
            None => Some("mongod is not a process of this machine: its load is unknown".to_owned()),
            Some(busy) if busy < SERVER_BUSY_MIN => Some(format!(
                "mongod's serving thread was busy for {:.1} % of the window, at least {:.0} % are needed; the \
                 host kept {:.1} % of this machine's CPU time to itself",
                busy * 100.0,
                SERVER_BUSY_MIN * 100.0,
                self.host_stolen * 100.0
            )),
            Some(_) => None,
        }
    }
}

/// Reads `plan.events` events. Blocks the thread. `on_progress` gets the number of events read so far.
pub fn read(plan: &NullRead, mut on_progress: impl FnMut(u64)) -> Result<NullReading> {
    let cpu_before = procfs::own_thread_cpu()?;
    let mut connection = Connection::open(&plan.address, plan.idle_max)?;
    connection.require_replica_set()?;
    let mut cursor_id = connection.open_stream(plan)?;
    let mut tally = Tally::default();
    tally.note(connection.reply(), plan)?;
    let mut asked = false;
    while tally.events < plan.events {
        if !asked {
            let more = doc! { "getMore": cursor_id, "collection": &plan.collection,
            "maxTimeMS": AWAIT_MS, "$db": &plan.database };
            connection.send(&more, FLAG_EXHAUST_ALLOWED)?;
        }
        asked = connection.receive()? & FLAG_MORE_TO_COME != 0;
        cursor_id = tally.note(connection.reply(), plan)?;
        ensure!(cursor_id != 0, "mongod closed the stream after {} events", tally.events);
        on_progress(tally.events);
        ensure!(
            tally.last_news.elapsed() < plan.idle_max,
            "no event came for {} s: {} of {} events read",
            plan.idle_max.as_secs(),
            tally.events,
            plan.events
        );
    }
    let mut reading = tally.finish(plan)?;
    reading.cpu = procfs::own_thread_cpu()?.saturating_sub(cpu_before);
    reading.memory_bytes = connection.message.capacity() as u64;
    Ok(reading)
}

/// Events counted so far, and when.
struct Tally {
    events: u64,
    events_first_batch: u64,
    bytes: u64,
    first: Option<First>,
    last_news: Instant,
}

/// The moment of the first event.
struct First {
    at: Instant,
    threads: Option<ThreadTimes>,
    machine: MachineTimes,
}

impl Default for Tally {
    fn default() -> Self {
        Self { events: 0, events_first_batch: 0, bytes: 0, first: None, last_news: Instant::now() }
    }
}

impl Tally {
    /// Counts the events of a reply and returns the cursor id.
    fn note(&mut self, reply: &[u8], plan: &NullRead) -> Result<i64> {
        let batch = Batch::parse(reply)?;
        self.bytes += reply.len() as u64;
        if batch.events == 0 {
            return Ok(batch.cursor_id);
        }
        self.events += batch.events;
        self.last_news = Instant::now();
        if self.first.is_none() {
            self.events_first_batch = batch.events;
            let threads = plan.server_pid.and_then(|pid| ThreadTimes::read(pid).ok());
            let machine = MachineTimes::read().unwrap_or_default();
            self.first = Some(First { at: Instant::now(), threads, machine });
        }
        Ok(batch.cursor_id)
    }

    fn finish(self, plan: &NullRead) -> Result<NullReading> {
        let First { at, threads, machine } = self.first.context("no event was read")?;
        let window = self.last_news.duration_since(at);
        let host_stolen = MachineTimes::read().map_or(0.0, |now| now.stolen_since(machine));
        let busy = threads.zip(plan.server_pid.and_then(|pid| ThreadTimes::read(pid).ok()));
        let server_busy = busy.map(|(before, after)| {
            after.busiest_since(&before).as_secs_f64() / window.as_secs_f64().max(1e-9)
        });
        Ok(NullReading {
            events: self.events,
            events_first_batch: self.events_first_batch,
            window,
            bytes: self.bytes,
            cpu: Duration::ZERO,
            memory_bytes: 0,
            server_busy,
            host_stolen,
        })
    }
}

struct Connection {
    stream: TcpStream,
    request_id: i32,
    /// The last message received, header included.
    message: Vec<u8>,
}

impl Connection {
    fn open(address: &str, timeout: Duration) -> Result<Self> {
        ensure!(
            !address.contains('@') && !address.contains('/'),
            "the null reader takes host:port without credentials; it does not log in"
        );
        let stream = TcpStream::connect(address)
            .with_context(|| format!("could not connect the null reader to mongod at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout.max(Duration::from_millis(AWAIT_MS as u64 * 5))))?;
        Ok(Self { stream, request_id: 0, message: Vec::new() })
    }

    fn require_replica_set(&mut self) -> Result<()> {
        let hello = self.command(&doc! { "hello": 1, "$db": "admin" })?;
        ensure!(hello.contains_key("setName"), "mongod is not a member of a replica set");
        ensure!(hello.get_bool("isWritablePrimary").unwrap_or(false), "mongod is not the primary");
        Ok(())
    }

    fn open_stream(&mut self, plan: &NullRead) -> Result<i64> {
        let stage = doc! { "$changeStream": { "startAtOperationTime": plan.start_at } };
        let opening = self.command(&doc! {
            "aggregate": &plan.collection, "pipeline": [stage], "cursor": {}, "$db": &plan.database,
        })?;
        Ok(opening.get_document("cursor")?.get_i64("id")?)
    }

    fn command(&mut self, command: &Document) -> Result<Document> {
        self.send(command, 0)?;
        self.receive()?;
        let reply = Document::from_reader(self.reply()).context("could not read mongod's reply")?;
        Ok(reply)
    }

    fn send(&mut self, command: &Document, flags: u32) -> Result<()> {
        self.request_id += 1;
        let body = command.to_vec()?;
        let length = HEADER_BYTES + 5 + body.len();
        let mut message = Vec::with_capacity(length);
        for field in [length as i32, self.request_id, 0, OP_MSG] {
            message.extend_from_slice(&field.to_le_bytes());
        }
        message.extend_from_slice(&flags.to_le_bytes());
        message.push(0);
        message.extend_from_slice(&body);
        self.stream.write_all(&message).context("could not send to mongod")
    }

    /// Reads one whole message and returns its flags. Fails when the server reports an error.
    fn receive(&mut self) -> Result<u32> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).context("could not read from mongod")?;
        let length = i32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = i32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        ensure!(kind == OP_MSG, "mongod sent a message of kind {kind}, not OP_MSG");
        ensure!(
            (HEADER_BYTES + 10..=REPLY_BYTES_MAX).contains(&length),
            "mongod sent a message of {length} bytes"
        );
        // The buffer only grows: filling it with zeros for each reply would cost as much as the copy itself.
        let body_bytes = length - HEADER_BYTES;
        if self.message.len() < body_bytes {
            self.message.resize(body_bytes, 0);
        }
        self.stream
            .read_exact(&mut self.message[..body_bytes])
            .context("could not read from mongod")?;
        let flags = [self.message[0], self.message[1], self.message[2], self.message[3]];
        ensure!(self.message[4] == 0, "mongod sent a reply that begins with no body section");
        check_ok(self.reply())?;
        Ok(u32::from_le_bytes(flags))
    }

    /// The document of the last reply.
    fn reply(&self) -> &[u8] {
        let body = &self.message[5..];
        let length = i32::from_le_bytes([body[0], body[1], body[2], body[3]]) as usize;
        &body[..length.min(body.len())]
    }
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

/// One reply of a cursor: its id and how many events came.
struct Batch {
    cursor_id: i64,
    events: u64,
}

impl Batch {
    /// Walks over lengths only; no event is looked into.
    fn parse(reply: &[u8]) -> Result<Self> {
        let mut batch = Self { cursor_id: 0, events: 0 };
        for element in elements(reply) {
            let (name, _, cursor) = element?;
            if name != b"cursor" {
                continue;
            }
            for element in elements(cursor) {
                match element? {
                    (b"firstBatch" | b"nextBatch", _, events) => {
                        for event in elements(events) {
                            event?;
                            batch.events += 1;
                        }
                    }
                    (b"id", 0x12, id) => batch.cursor_id = i64::from_le_bytes(id.try_into()?),
                    _ => {}
                }
            }
        }
        Ok(batch)
    }
}

type Element<'a> = (&'a [u8], u8, &'a [u8]);

/// The elements of a document: name, type byte, value bytes.
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
        0x03 | 0x04 => length_prefix()?,
        0x05 => 5 + length_prefix()?,
        0x07 => 12,
        0x08 => 1,
        0x0a => 0,
        0x10 => 4,
        _ => bail!("a reply has an element of type {kind:#04x} outside of its events"),
    };
    ensure!(value_bytes <= value.len(), "a value is cut");
    Ok(((name, kind, &value[..value_bytes]), &value[value_bytes..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Vec<u8> {
        let event = doc! { "_id": { "_data": "82" }, "fullDocument": { "a": [1, 2.5, "x"] } };
        let cursor = doc! { "nextBatch": [event.clone(), event.clone(), event], "id": 77_i64,
        "postBatchResumeToken": { "_data": "83" }, "ns": "d.c" };
        let reply = doc! { "cursor": cursor, "ok": 1.0, "operationTime": Timestamp { time: 1, increment: 2 } };
        reply.to_vec().expect("encodes")
    }

    fn reading(window_ms: u64, server_busy: Option<f64>) -> NullReading {
        let window = Duration::from_millis(window_ms);
        NullReading {
            events: 300,
            events_first_batch: 100,
            window,
            bytes: 0,
            cpu: Duration::ZERO,
            memory_bytes: 0,
            server_busy,
            host_stolen: 0.0,
        }
    }

    #[test]
    fn events_are_counted_without_looking_into_them() {
        let batch = Batch::parse(&reply()).expect("whole");
        assert_eq!((batch.events, batch.cursor_id), (3, 77));
    }

    #[test]
    fn a_reply_that_is_cut_never_panics() {
        let reply = reply();
        for end in 0..reply.len() {
            let _ = Batch::parse(&reply[..end]);
            let _ = check_ok(&reply[..end]);
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
    fn only_a_long_window_with_a_busy_server_is_valid() {
        assert!(reading(2_500, Some(0.97)).invalid_because().is_none());
        for bad in [reading(1_000, Some(0.99)), reading(3_000, Some(0.90)), reading(3_000, None)] {
            assert!(bad.invalid_because().is_some(), "{bad:?}");
        }
    }

    #[test]
    fn credentials_are_refused_by_name() {
        let error = Connection::open("u:p@localhost:27017", WINDOW_MIN).err().expect("refused");
        assert!(error.to_string().contains("without credentials"), "{error}");
    }
}
