//! Writes every operation at its intended time, however slow the server is.
//!
//! ```text
//! pacer (a thread)      waits until an operation is due, puts it into the lane of its key
//! lane 0 … n (tasks)    a connection each, one operation after the other, so the order of a key holds
//! ```
//!
//! Both have threads of their own, of a real-time class where the system allows it: what else the process and the
//! machine do delays them as little as can be.
//!
//! The pacer builds an operation before its time has come. A slow server fills lanes, it does not slow the pacer;
//! when 256 MB wait, further operations wait unbuilt, some 60 bytes each. Where there are transactions, a writer
//! stays on one lane, because a transaction holds keys of many lanes; then there are never more operations in flight
//! than writers.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::doc;
use mongodb::options::DatabaseOptions;
use mongodb::{Client, Database};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::lane::{ConnectionReport, Due, DueUnit, Lane, WriteTimes};
use super::prepared::Waiting;
use super::{WriteConcern, Written, connect, next_operation_time, prepare_collections};
use crate::lateness::Lateness;
use crate::pacer::{Paced, Sink, pace};
use crate::priority;
use crate::schedule::Schedule;
use crate::stop::Stop;
use crate::workload::{Key, Operation, Unit, Workload};

/// Connections unless asked otherwise: at 5 ms each enough for 12 800/s.
pub const CONNECTIONS: NonZero<u32> = NonZero::new(64).expect("64 is not 0");
/// Threads that write.
const WRITING_THREADS: usize = 2;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A load that follows a schedule.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    workload: Arc<Workload>,
    schedule: Schedule,
    connections: NonZero<u32>,
    write_concern: WriteConcern,
    part_ends: Arc<[Instant]>,
    times: Option<mpsc::UnboundedSender<WriteTimes>>,
    stop: Stop,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct OpenLoopReport {
    /// What was written: the first so many operations of the workload.
    pub written: Written,
    /// Of all connections.
    pub lateness: Lateness,
    /// The same for each part of the load; one unless [`OpenLoop::parts`] made more.
    pub lateness_by_part: Vec<Lateness>,
    /// Each by itself.
    pub connections: Vec<ConnectionReport>,
    /// What the pacer did.
    pub paced: Paced,
    /// Whether the system gave the generator's threads a real-time class.
    pub is_raised: bool,
}

/// Writes the whole workload with `w: majority`, the operation with index n at `start` + n / `rate_per_s`. See
/// [`OpenLoop::run`].
pub async fn write_open_loop(
    uri: &str,
    workload: &Workload,
    rate_per_s: f64,
    start: Instant,
) -> Result<(Written, Lateness)> {
    let schedule = Schedule::constant(start, rate_per_s).context("cannot pace the load")?;
    let report = OpenLoop::new(workload, schedule).run(uri, |_| ()).await?;
    Ok((report.written, report.lateness))
}

impl OpenLoop {
    /// Over 64 connections with `w: majority`, never stopped.
    pub fn new(workload: &Workload, schedule: Schedule) -> Self {
        Self {
            workload: Arc::new(workload.clone()),
            schedule,
            connections: CONNECTIONS,
            write_concern: WriteConcern::MAJORITY,
            part_ends: Arc::default(),
            times: None,
            stop: Stop::new(),
        }
    }

    /// Operations in flight at most.
    pub fn connections(mut self, connections: NonZero<u32>) -> Self {
        self.connections = connections;
        self
    }

    /// When an operation counts as done.
    pub fn write_concern(mut self, write_concern: WriteConcern) -> Self {
        self.write_concern = write_concern;
        self
    }

    /// Tells the lateness of parts of the load apart. Each but the last ends that long after the start of the schedule,
    /// in the order of time.
    pub fn parts(mut self, ends: impl IntoIterator<Item = Duration>) -> Self {
        let start = self.schedule.start();
        self.part_ends = ends.into_iter().map(|end| start + end).collect();
        self
    }

    /// Tells `times` when each unit was sent and acknowledged, as soon as it was.
    pub fn times(mut self, times: mpsc::UnboundedSender<WriteTimes>) -> Self {
        self.times = Some(times);
        self
    }

    /// Ends early when `stop` asks: nothing more is released, what was released is written.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Writes each operation at its time. `on_progress` is given the number of those done, ten times a second.
    ///
    /// Connections are opened before: a start half a second ahead is not missed. Ends when the last operation is
    /// acknowledged, with an error when one is refused or cannot be sent for two minutes.
    pub async fn run(&self, uri: &str, on_progress: impl Fn(u64)) -> Result<OpenLoopReport> {
        self.workload.check()?;
        let done = Arc::new(AtomicU64::new(0));
        let (mut result, mut report) = oneshot::channel();
        let (open_loop, uri, counted) = (self.clone(), uri.to_owned(), Arc::clone(&done));
        let generate = move || {
            let is_raised = priority::raise();
            let ended = on_a_runtime(async {
                tokio::select! {
                    report = open_loop.generate(&uri, counted, is_raised) => report,
                    // Whoever asked has given up: the connections close, nothing more is written.
                    () = result.closed() => bail!("nobody waits for the load any more"),
                }
            });
            drop(result.send(ended));
        };
        let generator = thread::Builder::new().name("generator".to_owned()).spawn(generate);
        generator.context("cannot start the thread that writes the load")?;
        let mut tick = interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                report = &mut report => {
                    break report.context("the thread that writes the load panicked")?;
                }
                _ = tick.tick() => on_progress(done.load(Ordering::Relaxed)),
            }
        }
    }

    async fn generate(
        &self,
        uri: &str,
        done: Arc<AtomicU64>,
        is_raised: bool,
    ) -> Result<OpenLoopReport> {
        let client = connect(uri, self.connections.get()).await?;
        prepare_collections(&client, &self.workload).await?;
        let started_at_operation_time = next_operation_time(&client).await?;
        open_connections(&client, self.connections.get()).await?;
        let waiting = Arc::new(Waiting::default());
        let mut lanes = JoinSet::new();
        let mut queues = Vec::new();
        for place in 0..self.connections.get() as usize {
            let (queue, units) = mpsc::unbounded_channel();
            queues.push(queue);
            let database = self.database(&client);
            let (workload, done) = (Arc::clone(&self.workload), Arc::clone(&done));
            let waiting = Arc::clone(&waiting);
            let part_ends = Arc::clone(&self.part_ends);
            let (concern, times) = (self.write_concern, self.times.clone());
            let lane = Lane::new(database, workload, concern, done, waiting, part_ends, times);
            lanes.spawn(async move { (place, lane.run(units).await) });
        }
        let paced = self.start_pacer(queues, waiting)?;
        let mut connections = vec![ConnectionReport::default(); lanes.len()];
        while let Some(ended) = lanes.join_next().await {
            let (place, report) = ended.context("a connection of the open loop panicked")?;
            connections[place] = report?;
        }
        let paced = paced.await.context("the thread that paces the load panicked")?;
        let report = self.report(connections, paced, started_at_operation_time);
        Ok(OpenLoopReport { is_raised, ..report })
    }

    fn start_pacer(
        &self,
        queues: Vec<mpsc::UnboundedSender<Due>>,
        waiting: Arc<Waiting>,
    ) -> Result<oneshot::Receiver<Paced>> {
        let (workload, schedule) = (Arc::clone(&self.workload), self.schedule.clone());
        let stop = self.stop.clone();
        let (result, paced) = oneshot::channel();
        let work = move || {
            let mut sink = Lanes { workload: Arc::clone(&workload), queues, waiting, next: None };
            // Whoever asked may have failed meanwhile.
            drop(result.send(pace(&workload, &schedule, &stop, &mut sink)));
        };
        let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(work);
        pacer.context("cannot start the thread that paces the load")?;
        Ok(paced)
    }

    fn report(
        &self,
        connections: Vec<ConnectionReport>,
        paced: Paced,
        started_at_operation_time: bson::Timestamp,
    ) -> OpenLoopReport {
        let mut lateness = Lateness::default();
        connections.iter().for_each(|connection| lateness.merge(&connection.lateness));
        let mut lateness_by_part = vec![Lateness::default(); self.part_ends.len() + 1];
        for connection in &connections {
            let parts = lateness_by_part.iter_mut().zip(&connection.lateness_by_part);
            parts.for_each(|(sum, part)| sum.merge(part));
        }
        let sum = |part: fn(&ConnectionReport) -> u64| connections.iter().map(part).sum();
        let written = Written {
            operations: sum(|connection| connection.operations),
            bytes: sum(|connection| connection.bytes),
            elapsed: self.schedule.start().elapsed(),
            started_at_operation_time,
            write_concern: self.write_concern,
            retries: sum(|connection| connection.retries),
        };
        OpenLoopReport { written, lateness, lateness_by_part, connections, paced, is_raised: false }
    }

    fn database(&self, client: &Client) -> Database {
        let concern = self.write_concern.for_driver();
        let options = DatabaseOptions::builder().write_concern(concern).build();
        client.database_with_options(&self.workload.database, options)
    }
}

/// A runtime that ends with the work. Two threads: the driver's work for one operation must not keep the next waiting.
fn on_a_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let raise = || {
        priority::raise();
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(WRITING_THREADS)
        .thread_name("generator")
        .on_thread_start(raise)
        .enable_all()
        .build();
    runtime.context("cannot start the runtime that writes the load")?.block_on(work)
}

/// Pings on all connections at once, so that no operation waits for a handshake.
async fn open_connections(client: &Client, connections: u32) -> Result<()> {
    let mut pings = JoinSet::new();
    for _ in 0..connections {
        let database = client.database("admin");
        pings.spawn(async move { database.run_command(doc! { "ping": 1 }).await });
    }
    while let Some(pong) = pings.join_next().await {
        pong.context("a ping panicked")?.context("cannot open the connections of the open loop")?;
    }
    Ok(())
}

/// Puts every unit into the lane of its key, or of its writer. Breaks off when a lane is gone: then the run has
/// failed.
struct Lanes {
    workload: Arc<Workload>,
    queues: Vec<mpsc::UnboundedSender<Due>>,
    waiting: Arc<Waiting>,
    /// What is released next, and to which lane.
    next: Option<(usize, DueUnit)>,
}

impl Lanes {
    fn lane_of(&self, key: Key) -> usize {
        let writers = self.workload.writers;
        let place = if self.workload.mix.transactions.are_used() {
            u64::from(key.writer)
        } else {
            // Neighbouring keys lie in different lanes.
            u64::from(key.number) * u64::from(writers) + u64::from(key.writer)
        };
        (place % self.queues.len() as u64) as usize
    }
}

impl Sink for Lanes {
    fn prepare(&mut self, unit: Unit<'_>) {
        let prepare = |operation: &Operation| self.waiting.prepare(&self.workload, *operation);
        let lane = self.lane_of(unit.operations[0].key);
        let unit = match unit.operations {
            [operation] if !unit.is_transaction => DueUnit::Single(prepare(operation)),
            operations => DueUnit::Transaction(operations.iter().map(prepare).collect()),
        };
        self.next = Some((lane, unit));
    }

    fn release(&mut self, due: Instant) -> ControlFlow<()> {
        let Some((lane, unit)) = self.next.take() else { return ControlFlow::Continue(()) };
        match self.queues[lane].send(Due { due, unit }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{Collections, KeySpread, Mix, Transactions};

    fn workload() -> Workload {
        Workload {
            seed: 0,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 1,
            writers: 2,
            mix: Mix::INSERTS,
            document: DocumentShape::PLAIN_1_KB.into(),
            key_spread: KeySpread::Uniform,
        }
    }

    fn lanes(mix: Mix) -> Lanes {
        let queues = (0..64).map(|_| mpsc::unbounded_channel().0).collect();
        let workload = Arc::new(Workload { mix, ..workload() });
        Lanes { workload, queues, waiting: Arc::default(), next: None }
    }

    #[test]
    fn operations_of_a_key_share_a_lane_and_keys_fill_all_lanes() {
        let lanes = lanes(Mix::ALL);
        let keys = (0..2).flat_map(|writer| (0..32).map(move |number| Key { writer, number }));
        let mut places: Vec<_> = keys.map(|key| lanes.lane_of(key)).collect();
        places.sort_unstable();
        assert_eq!(places, (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn with_transactions_a_writer_stays_on_its_lane() {
        let transactions = Transactions { operations: 3, permille: 1 };
        let lanes = lanes(Mix { transactions, ..Mix::ALL });
        assert!((0..99).all(|number| lanes.lane_of(Key { writer: 1, number }) == 1));
    }

    #[test]
    fn a_queued_operation_is_small() {
        assert!(size_of::<Due>() <= 56, "{}", size_of::<Due>());
    }

    #[tokio::test]
    async fn a_rate_of_nothing_is_refused() {
        for rate_per_s in [0.0, -1.0, f64::NAN] {
            let refused =
                write_open_loop("mongodb://x", &workload(), rate_per_s, Instant::now()).await;
            let error = format!("{:#}", refused.unwrap_err());
            assert!(
                error.contains("ask for a rate above zero") || error.contains("/s is none"),
                "{error}"
            );
        }
    }
}
