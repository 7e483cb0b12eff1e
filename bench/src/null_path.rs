//! The null path: the shortest way from a change stream to a topic. What it adds to latency, nobody can leave out.
//!
//! ```text
//! reading thread         reply with events ──► open request ─┬─ fewer than 5 out: sent at once
//!                                                            └─ else it stays open, and grows
//! acknowledging thread   answer ──► one less out ──► what waits is sent
//! ```
//!
//! No linger, no decoding beyond the search for `documentKey`, no hand-over between threads: whoever finds that a
//! request may go sends it. Key and value are the raw bytes of `documentKey` and of the event. acks=all. It stores no
//! position, creates no topic and retries nothing; anything that goes wrong ends it. It is a bound, not a replicator.
//!
//! **It does not log in**, neither to MongoDB nor to Kafka, and speaks no TLS: an address with a user is refused. Of
//! several hosts it reads from the first that is the primary; of several brokers it writes to the first, which has
//! to lead the topic's partition 0, the only one that it fills.
//!
//! Runs as its own process, `millrace bench null-path`, so that its CPU time and memory are its own.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use mongodb::options::{ClientOptions, Tls};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::task::spawn_blocking;

use crate::produce::{Answer, Answers, IN_FLIGHT_MAX, OpenRequest, SealedRequest, Target};
use crate::raw_stream::{self, Batch, RawStream, Watched};
use crate::straight_line::{self, Options};

/// What its log says when the stream is open.
pub const RUNNING: &str = "null path running";
/// A server that says nothing for this long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Full requests that may wait while five are out; the change stream is not read then.
const WAITING_MAX: usize = 16;
const ANSWER_BUFFER_BYTES: usize = 4_096;

/// Replicates until SIGTERM or Ctrl-C, and ends when all that was read is acknowledged.
///
/// # Errors
/// When a server is not reached, asks for a login, or closes, and when a batch is refused.
pub async fn run(options: &Options) -> Result<()> {
    let hosts = hosts(&options.uri).await?;
    let stop = straight_line::stop_signal()?;
    let opened = spawn_blocking({
        let options = options.clone();
        move || open(&hosts, &options)
    });
    let (stream, lane) = opened.await.context("the opening panicked")??;
    let halt = Halt { requested: AtomicBool::new(false), socket: stream.socket()? };
    let halt = Arc::new(halt);
    eprintln!("{RUNNING}");
    tokio::spawn({
        let halt = halt.clone();
        async move {
            stop.await;
            halt.request();
        }
    });
    let replicated = spawn_blocking(move || replicate(stream, &lane, &halt));
    replicated.await.context("the null path panicked")?
}

/// The hosts of an address, which may be a plain `host:port`.
async fn hosts(uri: &str) -> Result<Vec<String>> {
    let uri = if uri.contains("://") { uri.to_owned() } else { format!("mongodb://{uri}") };
    let options = ClientOptions::parse(&uri).await.context("could not read MongoDB's address")?;
    let is_plain = matches!(options.tls, None | Some(Tls::Disabled));
    ensure!(
        options.credential.is_none() && is_plain,
        "the null path does not log in and speaks no TLS: give it an address without user and TLS"
    );
    Ok(options.hosts.iter().map(ToString::to_string).collect())
}

fn open(hosts: &[String], options: &Options) -> Result<(RawStream, Lane)> {
    let Options { database, collection, .. } = options;
    let start_at = options.start_at.context("the null path copies nothing: give --start-at")?;
    let lane = Lane::open(&options.bootstrap, &options.topic)?;
    let mut failed = anyhow!("the address names no host");
    for address in hosts {
        let watched = Watched { address, database, collection, start_at };
        match RawStream::open(&watched, SILENCE_MAX) {
            Ok(stream) => return Ok((stream, lane)),
            Err(error) => failed = error,
        }
    }
    Err(failed.context("could not open the change stream"))
}

/// Ends the reading.
#[derive(Debug)]
struct Halt {
    requested: AtomicBool,
    /// The reader waits here.
    socket: TcpStream,
}

impl Halt {
    fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

/// Reads on this thread and takes answers on another until the one is halted and the other has none to come.
fn replicate(mut stream: RawStream, lane: &Lane, halt: &Halt) -> Result<()> {
    thread::scope(|scope| {
        let acknowledging = scope.spawn(|| {
            let acknowledged = lane.acknowledge();
            if acknowledged.is_err() {
                lane.fail();
                halt.request();
            }
            acknowledged
        });
        let read = read_on(&mut stream, lane, halt);
        lane.close();
        let acknowledged = acknowledging.join().map_err(|_| anyhow!("a thread panicked"))?;
        acknowledged.and(read)
    })
}

fn read_on(stream: &mut RawStream, lane: &Lane, halt: &Halt) -> Result<()> {
    loop {
        lane.pass_on(stream.batch()?)?;
        match stream.advance() {
            Ok(()) => {}
            Err(_) if halt.is_requested() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// One connection to the broker, shared by both threads.
#[derive(Debug)]
struct Lane {
    target: Target,
    socket: TcpStream,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Takes the next events.
    open: OpenRequest,
    /// Full, and not sent.
    waiting: VecDeque<SealedRequest>,
    /// Memory of requests that were sent.
    spare: Vec<Vec<u8>>,
    sent: u32,
    answered: u32,
    /// Nothing will be added.
    is_closed: bool,
    has_failed: bool,
}

impl Lane {
    fn open(bootstrap: &str, topic: &str) -> Result<Self> {
        let address = bootstrap.split(',').next().unwrap_or(bootstrap).trim();
        let socket = TcpStream::connect(address)
            .with_context(|| format!("could not connect to the broker at {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        let target = Target::new(topic, 0);
        let state = State {
            open: target.open(Vec::new()),
            waiting: VecDeque::new(),
            spare: Vec::new(),
            sent: 0,
            answered: 0,
            is_closed: false,
            has_failed: false,
        };
        Ok(Self { target, socket, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Sends the events of a reply, or lets them wait where too many requests are out.
    fn pass_on(&self, batch: Batch<'_>) -> Result<()> {
        let mut state = self.state.lock();
        for event in batch.events() {
            let event = event?;
            let key = raw_stream::document_key(event)?;
            if !state.open.has_room(key, event) {
                state.seal(&self.target);
                self.send_waiting(&mut state)?;
                self.wait_for_room(&mut state)?;
            }
            state.open.append(key, event);
        }
        self.send_all(&mut state)
    }

    fn wait_for_room(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        while WAITING_MAX <= state.waiting.len() {
            ensure!(!state.has_failed, "the broker is gone");
            self.changed.wait(state);
        }
        Ok(())
    }

    /// Takes answers, and sends what waits for them, until the lane is closed and nothing is out.
    fn acknowledge(&self) -> Result<()> {
        let mut answers = Answers::default();
        loop {
            let mut state = self.state.lock();
            while state.in_flight() == 0 {
                if state.is_closed {
                    return Ok(());
                }
                self.changed.wait(&mut state);
            }
            let expected = state.answered;
            drop(state);
            let answer = self.receive(&mut answers)?;
            let number = answer.correlation_id;
            ensure!(number == expected as i32, "the broker answered {number}, not {expected}");
            let mut state = self.state.lock();
            state.answered = state.answered.wrapping_add(1);
            self.send_all(&mut state)?;
            self.changed.notify_all();
        }
    }

    fn receive(&self, answers: &mut Answers) -> Result<Answer> {
        loop {
            if let Some(answer) = answers.next()? {
                return Ok(answer);
            }
            let mut received = [0; ANSWER_BUFFER_BYTES];
            let count = (&self.socket).read(&mut received).context("the broker did not answer")?;
            if count == 0 {
                bail!("the broker closed the connection");
            }
            answers.feed(&received[..count]);
        }
    }

    /// Sends the open request too, if there is room for it and something in it.
    fn send_all(&self, state: &mut State) -> Result<()> {
        self.send_waiting(state)?;
        if state.has_room() && !state.open.is_empty() {
            state.seal(&self.target);
            self.send_waiting(state)?;
        }
        Ok(())
    }

    fn send_waiting(&self, state: &mut State) -> Result<()> {
        while state.has_room() {
            let Some(mut request) = state.waiting.pop_front() else { break };
            request.number(state.sent as i32);
            (&self.socket).write_all(request.bytes()).context("could not send to the broker")?;
            state.sent = state.sent.wrapping_add(1);
            state.spare.push(request.into_memory());
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Nothing will be added: the answers still to come are the last.
    fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// No answer will come.
    fn fail(&self) {
        self.state.lock().has_failed = true;
        self.changed.notify_all();
    }
}

impl State {
    fn in_flight(&self) -> usize {
        self.sent.wrapping_sub(self.answered) as usize
    }

    fn has_room(&self) -> bool {
        self.in_flight() < IN_FLIGHT_MAX
    }

    fn seal(&mut self, target: &Target) {
        let memory = self.spare.pop().unwrap_or_default();
        let full = std::mem::replace(&mut self.open, target.open(memory));
        self.waiting.push_back(full.seal());
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bson::doc;

    use super::*;
    use crate::wire::{Reader, Writer};

    const SOON: Duration = Duration::from_millis(200);

    fn reply(events: usize) -> Vec<u8> {
        let event = doc! { "documentKey": { "_id": 1_i64 }, "fullDocument": { "_id": 1_i64 } };
        let cursor = doc! { "nextBatch": vec![event; events], "id": 9_i64 };
        doc! { "cursor": cursor, "ok": 1.0 }.to_vec().expect("encodes")
    }

    /// Correlation id and number of records of the next request.
    fn take_request(broker: &mut TcpStream) -> Option<(i32, i32)> {
        let mut size = [0; 4];
        broker.read_exact(&mut size).ok()?;
        let mut request = vec![0; u32::from_be_bytes(size) as usize];
        broker.read_exact(&mut request).expect("whole");
        let mut from = Reader(&request[4..]);
        let correlation_id = from.i32().expect("a number");
        from.string(false).expect("client");
        from.take(2 + 2 + 4 + 4).expect("transaction, acks, timeout, topics");
        from.string(false).expect("topic");
        from.take(4 + 4).expect("partitions, index");
        let batch = from.bytes(false).expect("records").expect("a batch");
        Some((correlation_id, Reader(&batch[57..]).i32().expect("a count")))
    }

    fn answer(broker: &mut TcpStream, correlation_id: i32, code: i16) {
        let mut body = Writer::default();
        body.i32(correlation_id).array(1, false).string(Some(b"t"), false).array(1, false);
        body.i32(0).i16(code).i64(0).i64(-1).i64(0).i32(0);
        let size = (body.0.len() as u32).to_be_bytes();
        broker.write_all(&[&size[..], &body.0].concat()).expect("sent");
    }

    fn lane() -> (Lane, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let lane = Lane::open(&address, "t").expect("connects");
        let (broker, _) = listener.accept().expect("connected");
        broker.set_read_timeout(Some(SOON)).expect("set");
        (lane, broker)
    }

    fn pass_on(lane: &Lane, events: usize) {
        let reply = reply(events);
        lane.pass_on(Batch::parse(&reply).expect("whole")).expect("passed on");
    }

    #[test]
    fn a_reply_is_a_request_at_once_until_five_are_out_and_then_they_join() {
        let (lane, mut broker) = lane();
        thread::scope(|scope| {
            let acknowledging = scope.spawn(|| lane.acknowledge());
            for request in 0..5 {
                pass_on(&lane, 3);
                assert_eq!(take_request(&mut broker), Some((request, 3)));
            }
            pass_on(&lane, 0);
            pass_on(&lane, 2);
            pass_on(&lane, 5);
            assert_eq!(take_request(&mut broker), None, "five are out");
            answer(&mut broker, 0, 0);
            assert_eq!(take_request(&mut broker), Some((5, 7)));
            lane.close();
            assert!(!acknowledging.is_finished(), "five are still out");
            (1..=5).for_each(|request| answer(&mut broker, request, 0));
            acknowledging.join().expect("no panic").expect("all is acknowledged");
        });
    }

    #[test]
    fn a_refused_batch_or_a_wrong_answer_ends_it() {
        for (correlation_id, code, reason) in [(0, 6, "code 6"), (1, 0, "not 0")] {
            let (lane, mut broker) = lane();
            pass_on(&lane, 1);
            answer(&mut broker, correlation_id, code);
            let error = format!("{:#}", lane.acknowledge().expect_err("ends"));
            assert!(error.contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_is_taken_without_login_and_tls_only() {
        for uri in ["h:7", "mongodb://h:7/?replicaSet=rs0", "mongodb://h:7/?tls=false"] {
            assert_eq!(hosts(uri).await.expect(uri), ["h:7"]);
        }
        for uri in ["mongodb://u:p@h:7", "mongodb://h:7/?tls=true"] {
            let error = hosts(uri).await.expect_err("refused").to_string();
            assert!(error.contains("does not log in"), "{error}");
            assert!(!error.contains("u:p"));
        }
    }
}
