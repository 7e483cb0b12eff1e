//! One connection through the proxy: two pumps, one for each direction.
//!
//! ```text
//! read ──► queue of (due, bytes) ──► gate ──► throttle ──► write
//!   no more than QUEUE_BYTES_MAX wait; beyond that the sender waits
//! ```

use std::{collections::VecDeque, io, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::{Instant, sleep, sleep_until},
};

use super::{Direction, Ends, Flow, Gate, LOOK_AGAIN, Shared};

/// What is read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// What may wait for its time: a second at 64 MiB/s.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// A throttled direction passes on no more at once than this share of a second allows.
const THROTTLE_SLICE: Duration = Duration::from_millis(5);

/// Serves one connection until both sides have closed it or one breaks.
pub(super) async fn serve(mut ends: Ends, shared: &Shared) {
    // A server behind a dead network does not answer, and does not refuse either.
    wait_for_gate(shared, Direction::ToServer).await;
    let server = match TcpStream::connect(&shared.upstream).await {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!("the proxy cannot reach {}: {error}", shared.upstream);
            ends.reset.store(true, Ordering::SeqCst);
            return;
        }
    };
    let Ends { client, server: slot, reset } = &mut ends;
    let server = slot.insert(server);
    for stream in [&*client, &*server] {
        // Without it the proxy itself would delay what is small.
        if stream.set_nodelay(true).is_err() {
            return;
        }
    }
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let to_server = Pump::new(shared, Direction::ToServer).run(client_read, server_write);
    let to_client = Pump::new(shared, Direction::ToClient).run(server_read, client_write);
    if let Err(Broken) = tokio::try_join!(to_server, to_client).map(drop) {
        reset.store(true, Ordering::SeqCst);
    }
}

/// A connection that must not go on: a peer is gone, or bytes of it were swallowed.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

struct Pump<'a> {
    shared: &'a Shared,
    direction: Direction,
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued_bytes: usize,
    /// When the throttle lets the next byte through.
    free_at: Instant,
    /// Whether the sender has closed.
    ended: bool,
    /// Whether bytes were swallowed.
    lost: bool,
}

impl<'a> Pump<'a> {
    fn new(shared: &'a Shared, direction: Direction) -> Self {
        Self {
            shared,
            direction,
            queue: VecDeque::new(),
            queued_bytes: 0,
            free_at: Instant::now(),
            ended: false,
            lost: false,
        }
    }

    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Broken> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match self.gate() {
                Gate::Open if self.lost => return Err(Broken),
                Gate::Open => {}
                Gate::Stalled => {
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                Gate::Swallowing => {
                    self.swallow(&mut from, &mut chunk).await;
                    continue;
                }
            }
            let due = self.queue.front().map(|(due, _)| *due);
            let may_read = !self.ended && self.queued_bytes < QUEUE_BYTES_MAX;
            tokio::select! {
                // What is due goes first, or a fast sender would put it off for ever.
                biased;
                () = until(due), if due.is_some() => {
                    let Some((_, bytes)) = self.queue.pop_front() else { continue };
                    self.queued_bytes -= bytes.len();
                    self.pass(&bytes, &mut to).await?;
                }
                read = from.read(&mut chunk), if may_read => {
                    let read = match read {
                        // The receiver is not to hear of it.
                        Err(_) if self.gate() == Gate::Swallowing => 0,
                        read => read?,
                    };
                    self.take(chunk.get(..read).unwrap_or_default(), &mut to).await?;
                }
                else => {
                    to.shutdown().await?;
                    return Ok(());
                }
            }
        }
    }

    fn gate(&self) -> Gate {
        self.shared.flow(self.direction).gate
    }

    /// Queues what was read, or passes it on at once if nothing holds it up.
    async fn take(&mut self, bytes: &[u8], to: &mut WriteHalf<'_>) -> Result<(), Broken> {
        if bytes.is_empty() {
            self.ended = true;
            return Ok(());
        }
        // Asked for again: it may have changed while nothing came.
        let flow = self.shared.flow(self.direction);
        if flow == Flow::default() && self.queue.is_empty() {
            return self.pass(bytes, to).await;
        }
        self.queue.push_back((Instant::now() + flow.delay, bytes.to_vec()));
        self.queued_bytes += bytes.len();
        Ok(())
    }

    /// Writes in slices, so that conditions that change in between hold for the rest.
    async fn pass(&mut self, mut bytes: &[u8], to: &mut WriteHalf<'_>) -> Result<(), Broken> {
        let passed = self.shared.passed(self.direction);
        while !bytes.is_empty() {
            let flow = self.shared.flow(self.direction);
            match flow.gate {
                Gate::Open => {}
                Gate::Stalled => {
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                Gate::Swallowing => {
                    self.lost = true;
                    return Ok(());
                }
            }
            let slice = match flow.bytes_per_s {
                None => bytes.len(),
                Some(rate) => self.wait_for_slice(rate, bytes.len()).await,
            };
            let (now, later) = bytes.split_at(slice);
            to.write_all(now).await?;
            passed.fetch_add(now.len() as u64, Ordering::Relaxed);
            bytes = later;
        }
        Ok(())
    }

    /// Waits until the throttle lets a slice of `bytes` through, and returns how large it may be.
    async fn wait_for_slice(&mut self, rate: u64, bytes: usize) -> usize {
        sleep_until(self.free_at).await;
        let bytes = slice_bytes(rate).min(bytes);
        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
        // What was late is caught up with, for a slice and no more: no burst after a pause.
        self.free_at = self.free_at.max(Instant::now() - THROTTLE_SLICE) + takes;
        bytes
    }

    /// Throws away what comes until the gate is no longer so.
    async fn swallow(&mut self, from: &mut ReadHalf<'_>, chunk: &mut [u8]) {
        self.lost |= !self.queue.is_empty();
        while self.gate() == Gate::Swallowing {
            tokio::select! {
                read = from.read(chunk), if !self.ended => {
                    // An end or a reset is not passed on either.
                    self.ended = !matches!(read, Ok(1..));
                    self.lost = true;
                }
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

async fn wait_for_gate(shared: &Shared, direction: Direction) {
    while shared.flow(direction).gate != Gate::Open {
        sleep(LOOK_AGAIN).await;
    }
}

/// Ends when `due` is reached; never without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What a rate allows in one slice of time, at least a byte.
fn slice_bytes(rate: u64) -> usize {
    let bytes = rate as f64 * THROTTLE_SLICE.as_secs_f64();
    (bytes as usize).max(1)
}
