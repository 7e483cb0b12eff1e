//! The acknowledging broker: takes what a producer sends, says that it is stored, and only counts it.
//!
//! ```text
//! node ── Produce ──► read whole ─► headers of the batches (tally) ─► answer
//!                                        └─► status file, every 20 ms: what came so far
//! ```
//!
//! One thread for each connection; requests of a connection are answered in their order. No login, no TLS.
//!
//! Runs as its own process, `millrace bench acknowledge`, so that its CPU time is not the node's.

use std::fs;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::answers;
use super::tally::{Counts, Samples, Tally};
use crate::straight_line;

/// What its log says before its address when it listens.
pub const RUNNING: &str = "acknowledging broker at ";
/// How old the status file may be.
const STATUS_INTERVAL: Duration = Duration::from_millis(20);
/// Larger requests are read past the buffer.
const READ_BYTES: usize = 64 << 10;
const REQUEST_BYTES_MAX: usize = 128 << 20;

/// Options of `millrace bench acknowledge`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Is written anew again and again: what came so far, as JSON
    #[arg(long)]
    pub status: PathBuf,
    /// Takes whole batches, as a log segment with holes
    #[arg(long)]
    pub samples: PathBuf,
    /// Keep one of so many batches
    #[arg(long)]
    pub sample_every: u64,
    /// Records that will come: the batch with the last is kept
    #[arg(long)]
    pub records: u64,
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// When a client sends what no broker would take, or asks for what this one does not do.
pub async fn run(options: &Options) -> Result<()> {
    let stop = straight_line::stop_signal()?;
    let samples = Samples::new(&options.samples, options.sample_every, options.records)?;
    let broker = Arc::new(Broker::new(samples)?);
    write_status(&options.status, &broker.counts())?;
    let mut failed = broker.clone().start()?;
    eprintln!("{RUNNING}{}", broker.address);
    tokio::pin!(stop);
    loop {
        let stopped = tokio::select! {
            () = &mut stop => true,
            Some(error) = failed.recv() => return Err(error),
            () = tokio::time::sleep(STATUS_INTERVAL) => false,
        };
        write_status(&options.status, &broker.counts())?;
        if stopped {
            return Ok(());
        }
    }
}

/// Whoever reads it sees one whole status or another.
fn write_status(path: &Path, counts: &Counts) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(counts)?)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("could not write {}", path.display()))
}

#[derive(Debug)]
pub(crate) struct Broker {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    tally: Mutex<Tally>,
}

impl Broker {
    pub(crate) fn new(samples: Samples) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("could not bind the acknowledging broker")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tally: Mutex::new(Tally::new(samples)) })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.lock().counts().clone()
    }

    /// Serves each connection on a thread of its own. What goes wrong on any of them comes out of the channel.
    pub(crate) fn start(self: Arc<Self>) -> Result<mpsc::UnboundedReceiver<anyhow::Error>> {
        let (failed, failures) = mpsc::unbounded_channel();
        thread::Builder::new().name("accept".to_owned()).spawn(move || {
            for stream in self.listener.incoming() {
                let (broker, failed) = (self.clone(), failed.clone());
                thread::spawn(move || {
                    let served =
                        stream.map_err(Into::into).and_then(|stream| broker.serve(&stream));
                    if let Err(error) = served {
                        let _ = failed.send(error); // nobody waits any more
                    }
                });
            }
        })?;
        Ok(failures)
    }

    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let (mut from, mut to) = (BufReader::with_capacity(READ_BYTES, stream), stream);
        let mut request = Vec::new();
        while let Some(size) = read_request(&mut from, &mut request)? {
            let answer = answers::answer(&request[..size], self.address, &self.tally)?;
            let mut sized = Vec::with_capacity(4 + answer.len());
            sized.extend_from_slice(&(answer.len() as u32).to_be_bytes());
            sized.extend_from_slice(&answer);
            if to.write_all(&sized).is_err() {
                return Ok(()); // it does not wait for the answer
            }
        }
        Ok(())
    }
}

/// Reads a request without its size into the front of `request`, which only grows: filling it with zeros each time
/// would cost as much as the reading. Returns its size; `None` where the client has closed.
fn read_request(from: &mut impl Read, request: &mut Vec<u8>) -> Result<Option<usize>> {
    let mut size = [0; 4];
    match from.read_exact(&mut size) {
        Ok(()) => {}
        Err(error)
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).context("could not read a request"),
    }
    let size = u32::from_be_bytes(size) as usize;
    ensure!(size <= REQUEST_BYTES_MAX, "a client sent a request of {size} bytes");
    if request.len() < size {
        request.resize(size, 0);
    }
    from.read_exact(&mut request[..size]).context("a request is cut")?;
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::produce::Target;
    use crate::wire::{Reader, Writer};

    fn broker() -> (Arc<Broker>, mpsc::UnboundedReceiver<anyhow::Error>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = Samples::new(&folder.path().join("samples"), 10, 0).expect("made");
        let broker = Arc::new(Broker::new(samples).expect("binds"));
        let failures = broker.clone().start().expect("starts");
        (broker, failures, folder)
    }

    /// Metadata 9 of one topic.
    fn metadata(correlation_id: i32) -> Vec<u8> {
        let mut body = Writer::default();
        body.i16(3).i16(9).i32(correlation_id).string(Some(b"c"), false).put(&[0]);
        body.array(1, true).string(Some(b"t"), true).put(&[0]).put(&[1, 0, 0, 0]);
        let mut request = Writer::default();
        request.i32(body.0.len() as i32).put(&body.0);
        request.0
    }

    #[test]
    fn requests_of_a_connection_are_answered_in_their_order() {
        let (broker, _failures, _folder) = broker();
        let mut stream = TcpStream::connect(broker.address).expect("connects");
        stream.write_all(&[metadata(1), metadata(2), metadata(3)].concat()).expect("sent");
        for correlation_id in 1..=3 {
            let mut answer = Vec::new();
            assert!(read_request(&mut stream, &mut answer).expect("an answer").is_some());
            let mut from = Reader(&answer);
            assert_eq!(from.i32().expect("correlation id"), correlation_id);
            from.tags().expect("tags");
            assert_eq!(from.i32().expect("throttled"), 0);
            assert_eq!((from.array(true).expect("brokers"), from.i32().expect("id")), (1, 1));
            assert_eq!(from.string(true).expect("host"), Some(&b"127.0.0.1"[..]));
            assert_eq!(from.i32().expect("port"), i32::from(broker.address.port()));
        }
    }

    #[test]
    fn a_request_that_is_not_offered_ends_the_broker_with_the_reason() {
        let (broker, mut failures, _folder) = broker();
        let mut stream = TcpStream::connect(broker.address).expect("connects");
        let mut request = Target::new("t", 0).open(Vec::new());
        request.append(b"key", b"value");
        stream.write_all(request.seal().bytes()).expect("sent"); // Produce 7
        let error = failures.blocking_recv().expect("told").to_string();
        assert!(error.contains("version 7"), "{error}");
    }

    #[test]
    fn the_status_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("status");
        let counts = Counts { records: 5, skipped: 1, ..Counts::default() };
        write_status(&path, &counts).expect("written");
        let text = fs::read(&path).expect("there");
        assert_eq!(serde_json::from_slice::<Counts>(&text).expect("read"), counts);
    }
}
