//! The replay server: as much of a mongod as a node needs that watches one collection, and no work behind it.
//!
//! ```text
//! node                                replay server
//!   hello                        ──►
//!                                ◄──  primary of a set of one
//!   aggregate [$changeStream]    ──►
//!                                ◄──  cursor, no event yet
//!   getMore, flag exhaustAllowed ──►
//!                                ◄──  the tape, reply after reply, as fast as the socket takes them
//!                                ◄──  then an empty reply every second, as a mongod that has no news
//! ```
//!
//! Each reply answers the one before it, as in a real exhaust stream; a `getMore` without the flag gets one reply.
//! The stream can be opened once: who opens it again has lost its connection or its place, and the tape cannot be
//! resumed, so that ends the server with an error. No login, no TLS, no other command.
//!
//! Runs as its own process, `millrace bench replay`, so that its CPU time is not the node's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{DateTime, Document, doc};
use clap::Args;
use tokio::sync::mpsc;

use super::tape::{Tape, address_message};
use crate::raw_stream::{
    self, BEFORE_DOCUMENT_BYTES, FLAG_EXHAUST_ALLOWED, FLAG_MORE_TO_COME, HEADER_BYTES, OP_MSG,
};
use crate::straight_line;

/// What its log says before its address when it listens.
pub const RUNNING: &str = "replay server at ";
/// The replica set that it is the primary of.
pub(crate) const REPLICA_SET: &str = "rs0";
const CURSOR_ID: i64 = 7_331;
/// The wire version of MongoDB 6.0.
const WIRE_VERSION: i32 = 17;
const COMMAND_NOT_FOUND: i32 = 59;
/// How often a stream without news says so.
const IDLE_REPLY_INTERVAL: Duration = Duration::from_secs(1);
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Options of `millrace bench replay`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The tape: messages of a change stream, one behind the other
    #[arg(long)]
    pub tape: PathBuf,
    /// Events to replay at least: whole replies are sent
    #[arg(long)]
    pub events: u64,
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the tape cannot be read, or a client asks for what the server does not do.
pub async fn run(options: &Options) -> Result<()> {
    let stop = straight_line::stop_signal()?;
    let server = Arc::new(Server::new(Tape::read(&options.tape)?, options.events)?);
    let mut failed = server.clone().start()?;
    eprintln!("{RUNNING}{}", server.address);
    tokio::select! {
        () = stop => Ok(()),
        Some(error) = failed.recv() => Err(error),
    }
}

#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    tape: Tape,
    replies: u64,
    was_opened: AtomicBool,
}

impl Server {
    pub(crate) fn new(tape: Tape, events: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("could not bind the replay server")?;
        let address = listener.local_addr()?;
        let replies = tape.covering(events).replies;
        Ok(Self { listener, address, tape, replies, was_opened: AtomicBool::new(false) })
    }

    /// Serves each connection on a thread of its own. What goes wrong on any of them comes out of the channel.
    pub(crate) fn start(self: Arc<Self>) -> Result<mpsc::UnboundedReceiver<anyhow::Error>> {
        let (failed, failures) = mpsc::unbounded_channel();
        thread::Builder::new().name("accept".to_owned()).spawn(move || {
            for stream in self.listener.incoming() {
                let (server, failed) = (self.clone(), failed.clone());
                thread::spawn(move || {
                    let served = stream.map_err(Into::into).and_then(|stream| server.serve(stream));
                    if let Err(error) = served {
                        let _ = failed.send(error); // nobody waits any more
                    }
                });
            }
        })?;
        Ok(failures)
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut own_id = 0;
        while let Some(request) = Request::read(&mut stream)? {
            let reply = match request.command() {
                "hello" => self.hello(),
                "aggregate" => {
                    let again = self.was_opened.swap(true, Ordering::SeqCst);
                    ensure!(
                        !again,
                        "the stream was opened a second time; a tape has no second start"
                    );
                    cursor(&request, "firstBatch")
                }
                "getMore" => return gone_is_the_end(self.play(stream, request)),
                name => doc! { "ok": 0.0, "code": COMMAND_NOT_FOUND, "codeName": "CommandNotFound",
                "errmsg": format!("the replay server does not know {name}") },
            };
            own_id += 1;
            let message = raw_stream::message([own_id, request.id], 0, &reply.to_vec()?);
            stream.write_all(&message)?;
        }
        Ok(())
    }

    fn hello(&self) -> Document {
        let address = self.address.to_string();
        doc! {
            "isWritablePrimary": true, "secondary": false, "setName": REPLICA_SET, "setVersion": 1,
            "hosts": [&address], "primary": &address, "me": &address,
            "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            "localTime": DateTime::now(), "minWireVersion": 0, "maxWireVersion": WIRE_VERSION,
            "readOnly": false, "ok": 1.0,
        }
    }

    /// Sends the tape to whoever has asked for the next batch, then empty replies.
    fn play(&self, mut stream: TcpStream, request: Request) -> Result<()> {
        let mut messages = self.tape.clone().into_messages();
        let turn = messages.len() as u64;
        let (mut request, mut own_id) = (request, 1_000_000);
        for number in 0..self.replies {
            let message = &mut messages[(number % turn) as usize];
            let exhaust = request.flags & FLAG_EXHAUST_ALLOWED;
            let flags = if exhaust == 0 { 0 } else { FLAG_MORE_TO_COME };
            address_message(message, [own_id, request.id], flags);
            stream.write_all(message)?;
            if !self.next_request(&mut stream, &mut request, &mut own_id)? {
                return Ok(());
            }
        }
        self.idle(stream, request, own_id)
    }

    /// What the next reply answers: the last one, where replies go out unasked. `false`: nobody asks any more.
    fn next_request(
        &self,
        stream: &mut TcpStream,
        request: &mut Request,
        own_id: &mut i32,
    ) -> Result<bool> {
        if request.flags & FLAG_EXHAUST_ALLOWED == 0 {
            let Some(next) = Request::read(stream)? else { return Ok(false) };
            ensure!(next.command() == "getMore", "{} instead of getMore", next.command());
            *request = next;
        } else {
            request.id = *own_id;
        }
        *own_id = own_id.wrapping_add(1);
        Ok(true)
    }

    fn idle(&self, mut stream: TcpStream, mut request: Request, mut own_id: i32) -> Result<()> {
        let empty = cursor(&request, "nextBatch").to_vec()?;
        while !is_closed_within(&stream, IDLE_REPLY_INTERVAL)? {
            let exhaust = request.flags & FLAG_EXHAUST_ALLOWED;
            let flags = if exhaust == 0 { 0 } else { FLAG_MORE_TO_COME };
            let message = raw_stream::message([own_id, request.id], flags, &empty);
            stream.write_all(&message)?;
            if !self.next_request(&mut stream, &mut request, &mut own_id)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// An open cursor without events.
fn cursor(request: &Request, batch: &str) -> Document {
    let database = request.body.get_str("$db").unwrap_or("admin");
    let collection = request.body.get_str("aggregate").or(request.body.get_str("collection"));
    let namespace = format!("{database}.{}", collection.unwrap_or("$cmd.aggregate"));
    let token = doc! { "_data": "8200000000000000002B0229296E04" };
    let mut cursor = doc! { "id": CURSOR_ID, "ns": namespace, "postBatchResumeToken": token };
    cursor.insert(batch, Vec::<Document>::new());
    doc! { "cursor": cursor, "ok": 1.0 }
}

/// Waits that long whether the other end closes.
fn is_closed_within(stream: &TcpStream, time: Duration) -> io::Result<bool> {
    stream.set_read_timeout(Some(time))?;
    let peeked = stream.peek(&mut [0]);
    stream.set_read_timeout(None)?;
    match peeked {
        Ok(0) => Ok(true),
        Ok(_) => {
            thread::sleep(time); // it has asked for the next batch already
            Ok(false)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// A node that stops closes its connection while the tape still plays.
fn gone_is_the_end(played: Result<()>) -> Result<()> {
    let gone = |error: &anyhow::Error| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
    };
    played.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })
}

/// A command of a client.
#[derive(Clone, Debug)]
struct Request {
    /// The client's number of it, or of what is to be answered in its place.
    id: i32,
    flags: u32,
    body: Document,
}

impl Request {
    /// The next command; `None` where the client has closed the connection.
    fn read(stream: &mut TcpStream) -> Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES + BEFORE_DOCUMENT_BYTES];
        match stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error).context("could not read a command"),
        }
        let field = |at: usize| {
            let [a, b, c, d] = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            i32::from_le_bytes([a, b, c, d])
        };
        let (length, id, kind, flags) = (field(0), field(4), field(12), field(16).cast_unsigned());
        ensure!(kind == OP_MSG, "a client sent a message of kind {kind}, not OP_MSG");
        let length = usize::try_from(length).unwrap_or(0);
        if !(header.len()..=REQUEST_BYTES_MAX).contains(&length) {
            bail!("a client sent a command of {length} bytes");
        }
        let mut body = vec![0; length - header.len()];
        stream.read_exact(&mut body).context("a command is cut")?;
        let body = Document::from_reader(&*body).context("a command is no document")?;
        Ok(Some(Self { id, flags, body }))
    }

    /// Its name, which is that of its first field.
    fn command(&self) -> &str {
        self.body.keys().next().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use bson::Timestamp;

    use super::*;
    use crate::alone::tape::tests::tape;
    use crate::raw_stream::{RawStream, Watched};

    const SOON: Duration = Duration::from_secs(5);

    fn serve(
        replies: u64,
        events_each: u64,
        events: u64,
    ) -> (Arc<Server>, mpsc::UnboundedReceiver<anyhow::Error>) {
        let server = Server::new(tape(replies, events_each), events).expect("binds");
        let server = Arc::new(server);
        let failures = server.clone().start().expect("starts");
        (server, failures)
    }

    fn open(server: &Server) -> Result<RawStream> {
        let address = server.address.to_string();
        let start_at = Timestamp { time: 1, increment: 1 };
        let watched = Watched { address: &address, database: "d", collection: "c", start_at };
        RawStream::open(&watched, SOON)
    }

    #[test]
    fn a_reader_gets_the_tape_in_turns_and_then_empty_replies() {
        let (server, _failures) = serve(3, 5, 38);
        let mut stream = open(&server).expect("opens");
        assert_eq!(stream.batch().expect("whole").events().count(), 0);
        let mut counts = Vec::new();
        for _ in 0..10 {
            stream.advance().expect("goes on");
            counts.push(stream.batch().expect("whole").events().count());
        }
        assert_eq!(counts, [5, 5, 5, 5, 5, 5, 5, 5, 0, 0]);
    }

    #[test]
    fn each_reply_answers_the_one_before_it() {
        let (server, _failures) = serve(2, 3, 9);
        let mut stream = TcpStream::connect(server.address).expect("connects");
        let get_more = doc! { "getMore": CURSOR_ID, "collection": "c", "$db": "d" };
        let body = get_more.to_vec().expect("encodes");
        let request = raw_stream::message([42, 0], FLAG_EXHAUST_ALLOWED, &body);
        stream.write_all(&request).expect("sent");
        let mut answered = 42;
        for _ in 0..4 {
            let mut header = [0; 16];
            stream.read_exact(&mut header).expect("a reply");
            let field =
                |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().expect("four"));
            assert_eq!(field(8), answered);
            answered = field(4);
            let mut rest = vec![0; field(0) as usize - 16];
            stream.read_exact(&mut rest).expect("whole");
            assert_eq!(rest[0], FLAG_MORE_TO_COME as u8);
        }
    }

    #[test]
    fn without_exhaust_every_batch_has_to_be_asked_for() {
        let (server, _failures) = serve(2, 3, 9);
        let mut stream = TcpStream::connect(server.address).expect("connects");
        let body =
            doc! { "getMore": CURSOR_ID, "collection": "c", "$db": "d" }.to_vec().expect("encodes");
        for id in [5, 9] {
            stream.write_all(&raw_stream::message([id, 0], 0, &body)).expect("sent");
            let mut header = [0; 20];
            stream.read_exact(&mut header).expect("a reply");
            assert_eq!((header[8], header[16]), (id as u8, 0), "it answers {id}, no more to come");
            let length = u32::from_le_bytes(*header.first_chunk().expect("four"));
            stream.read_exact(&mut vec![0; length as usize - 20]).expect("whole");
        }
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        assert!(stream.read(&mut [0]).is_err(), "nobody asked for more");
    }

    #[test]
    fn a_stream_that_is_opened_again_ends_the_server() {
        let (server, mut failures) = serve(1, 5, 5);
        let _first = open(&server).expect("opens");
        assert!(open(&server).is_err());
        let error = failures.blocking_recv().expect("told").to_string();
        assert!(error.contains("second time"), "{error}");
    }

    #[test]
    fn another_command_is_refused_by_name_and_the_connection_stays() {
        let (server, _failures) = serve(1, 5, 5);
        let mut stream = TcpStream::connect(server.address).expect("connects");
        for command in [doc! { "insert": "c", "$db": "d" }, doc! { "hello": 1, "$db": "admin" }] {
            let body = command.to_vec().expect("encodes");
            stream.write_all(&raw_stream::message([3, 0], 0, &body)).expect("sent");
            let reply = Request::read(&mut stream).expect("read").expect("a reply").body;
            let ok = reply.get_f64("ok").expect("there");
            assert_eq!(ok == 1.0, command.contains_key("hello"), "{reply}");
        }
    }
}
