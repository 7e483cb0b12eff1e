//! Writes every operation at its intended time, however slow the server is.
//!
//! ```text
//! pacer (a thread)      sleeps until an operation is due, puts it into the lane of its key
//! lane 0 … 63 (tasks)   one operation after the other, so the order of a key holds
//! ```
//!
//! A slow server fills lanes, it does not slow the pacer: a queued operation is 32 bytes, and no more are queued
//! than the workload has. The pacer is a thread because timers of the runtime have millisecond steps.
//!
//! Every operation may be sent again without a second event: a second insert is refused, a second `$set` or replace
//! changes nothing, a second delete finds nothing. So faults of network and elections are waited out.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};
use mongodb::options::{DatabaseOptions, WriteConcern};
use mongodb::{Client, Collection, Database};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Written, connect, next_operation_time};
use crate::schedule::Schedule;
use crate::workload::{Key, Kind, Operation, Workload};

/// Operations in flight at most: at 5 ms each enough for 12 800/s.
const LANES: u32 = 64;
/// An operation that begins this much after its time counts as late.
const LATE_AFTER: Duration = Duration::from_millis(10);
/// How long one operation is sent again: longer than an election and a restart of a primary.
const RETRY_FOR: Duration = Duration::from_secs(120);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The server's code for a second document with the same `_id`.
const DUPLICATE_KEY: i32 = 11_000;

/// How far the beginnings of operations were behind their intended times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Half of the operations began at most this late.
    pub p50: Duration,
    /// 99 of 100 began at most this late.
    pub p99: Duration,
    /// The latest.
    pub max: Duration,
    /// Operations that began more than 10 ms late: the load was not the one that was asked for.
    pub late_count: u64,
}

/// Writes the whole workload with `w: majority`, the operation with index n at `start` + n / `rate_per_s`.
///
/// Connections are opened before: a `start` half a second ahead is not missed. Ends when the last operation is
/// acknowledged, with an error when one is refused or cannot be sent for two minutes.
pub async fn write_open_loop(
    uri: &str,
    workload: &Workload,
    rate_per_s: f64,
    start: Instant,
) -> Result<(Written, Lateness)> {
    workload.check()?;
    ensure!(
        0.0 < rate_per_s,
        "cannot write at {rate_per_s} operations/s: ask for a rate above zero"
    );
    let client = connect(uri, LANES).await?;
    let started_at_operation_time = next_operation_time(&client).await?;
    open_connections(&client).await?;
    let workload = Arc::new(workload.clone());
    let schedule = Schedule::new(start, rate_per_s);
    let mut lanes = JoinSet::new();
    let mut queues = Vec::new();
    for _ in 0..LANES {
        let (queue, operations) = mpsc::unbounded_channel();
        queues.push(queue);
        let database = majority(&client, &workload);
        lanes.spawn(Lane::new(database, Arc::clone(&workload)).run(schedule, operations));
    }
    let paced = Arc::clone(&workload);
    thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(move || pace(&paced, schedule, &queues))
        .context("cannot start the thread that paces the load")?;
    let mut total = Lane::new(majority(&client, &workload), workload);
    while let Some(ended) = lanes.join_next().await {
        total.add(ended.context("a lane of the open loop panicked")??);
    }
    let written = Written {
        operations: total.lateness_us.len() as u64,
        bytes: total.bytes,
        elapsed: start.elapsed(),
        started_at_operation_time,
        write_concern: "majority",
        retries: total.retries,
    };
    Ok((written, summarise(total.lateness_us)))
}

/// Pings on all lanes at once, so that no operation waits for a handshake.
async fn open_connections(client: &Client) -> Result<()> {
    let mut pings = JoinSet::new();
    for _ in 0..LANES {
        let database = client.database("admin");
        pings.spawn(async move { database.run_command(doc! { "ping": 1 }).await });
    }
    while let Some(pong) = pings.join_next().await {
        pong.context("a ping panicked")?.context("cannot open the connections of the open loop")?;
    }
    Ok(())
}

/// Puts every operation into its lane when it is due. Ends early when a lane is gone: then the run has failed.
fn pace(workload: &Workload, schedule: Schedule, queues: &[mpsc::UnboundedSender<Operation>]) {
    for operation in workload.schedule() {
        thread::sleep(schedule.due(operation.index).saturating_duration_since(Instant::now()));
        if queues[lane_of(operation.key, workload.writers)].send(operation).is_err() {
            return;
        }
    }
}

/// Neighbouring keys lie in different lanes.
fn lane_of(key: Key, writers: u32) -> usize {
    let place = u64::from(key.number) * u64::from(writers) + u64::from(key.writer);
    (place % u64::from(LANES)) as usize
}

fn summarise(mut lateness_us: Vec<u32>) -> Lateness {
    lateness_us.sort_unstable();
    let Some(last) = lateness_us.len().checked_sub(1) else {
        return Lateness::default();
    };
    let at =
        |permille: usize| Duration::from_micros(u64::from(lateness_us[last * permille / 1_000]));
    let in_time = lateness_us
        .partition_point(|&late_us| Duration::from_micros(u64::from(late_us)) <= LATE_AFTER);
    Lateness {
        p50: at(500),
        p99: at(990),
        max: at(1_000),
        late_count: (lateness_us.len() - in_time) as u64,
    }
}

/// One operation after the other, and what came of them.
#[derive(Debug)]
struct Lane {
    database: Database,
    workload: Arc<Workload>,
    lateness_us: Vec<u32>,
    bytes: u64,
    retries: u64,
}

impl Lane {
    fn new(database: Database, workload: Arc<Workload>) -> Self {
        Self { database, workload, lateness_us: Vec::new(), bytes: 0, retries: 0 }
    }

    async fn run(
        mut self,
        schedule: Schedule,
        mut operations: mpsc::UnboundedReceiver<Operation>,
    ) -> Result<Self> {
        while let Some(operation) = operations.recv().await {
            let late = schedule.lateness(operation.index, Instant::now());
            self.lateness_us.push(u32::try_from(late.as_micros()).unwrap_or(u32::MAX));
            self.write(operation).await?;
        }
        Ok(self)
    }

    fn add(&mut self, other: Self) {
        self.lateness_us.extend(other.lateness_us);
        self.bytes += other.bytes;
        self.retries += other.retries;
    }

    async fn write(&mut self, operation: Operation) -> Result<()> {
        let Operation { index, key, version, kind } = operation;
        let content = match kind {
            Kind::Insert | Kind::Replace => self.workload.document_bytes(key, version),
            Kind::Update => self.workload.update_bytes(key, version),
            Kind::Delete => Vec::new(),
        };
        self.bytes += content.len() as u64;
        let give_up = Instant::now() + RETRY_FOR;
        let mut attempts = 0;
        loop {
            match self.send(key, kind, &content).await {
                Ok(found) if found || attempts != 0 => break,
                Ok(_) => bail!(
                    "operation {index} ({kind:?} of _id {}) found no document in {}.{}: \
                     does somebody else write there?",
                    key.id(),
                    self.database.name(),
                    self.workload.collection(key),
                ),
                Err(error) if attempts != 0 && is_duplicate_key(&error) => break,
                Err(error) if passes(&error) && Instant::now() < give_up => {
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    let collection = self.workload.collection(key);
                    return Err(error).with_context(|| {
                        format!(
                            "cannot write operation {index} ({kind:?} of _id {}) to {collection}",
                            key.id()
                        )
                    });
                }
            }
            attempts += 1;
        }
        self.retries += attempts;
        Ok(())
    }

    /// Sends an operation once and tells whether it found its document.
    async fn send(&self, key: Key, kind: Kind, content: &[u8]) -> mongodb::error::Result<bool> {
        let collection: Collection<RawDocumentBuf> =
            self.database.collection(self.workload.collection(key));
        let query = doc! { "_id": key.id() };
        Ok(match kind {
            Kind::Insert => {
                collection.insert_one(RawDocumentBuf::from_bytes(content.to_vec())?).await?;
                true
            }
            Kind::Update => {
                let set = Document::from_reader(content)?;
                collection.update_one(query, doc! { "$set": set }).await?.matched_count == 1
            }
            Kind::Replace => {
                let document = RawDocumentBuf::from_bytes(content.to_vec())?;
                collection.replace_one(query, document).await?.matched_count == 1
            }
            Kind::Delete => collection.delete_one(query).await?.deleted_count == 1,
        })
    }
}

/// The same database, every write acknowledged by a majority.
fn majority(client: &Client, workload: &Workload) -> Database {
    let options = DatabaseOptions::builder().write_concern(WriteConcern::majority()).build();
    client.database_with_options(&workload.database, options)
}

fn is_duplicate_key(error: &Error) -> bool {
    matches!(
        error.kind.as_ref(),
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY
    )
}

/// Faults of the network and elections pass by themselves.
fn passes(error: &Error) -> bool {
    error.contains_label(RETRYABLE_WRITE_ERROR)
        || matches!(
            error.kind.as_ref(),
            ErrorKind::Io(_)
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::ServerSelection { .. }
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{KeySpread, Mix};

    #[test]
    fn operations_of_a_key_share_a_lane_and_keys_fill_all_lanes() {
        let mut lanes: Vec<_> = (0..2)
            .flat_map(|writer| (0..LANES / 2).map(move |number| Key { writer, number }))
            .map(|key| {
                assert_eq!(lane_of(key, 2), lane_of(key, 2));
                lane_of(key, 2)
            })
            .collect();
        lanes.sort_unstable();
        assert_eq!(lanes, (0..LANES as usize).collect::<Vec<_>>());
    }

    #[test]
    fn lateness_is_summarised_by_rank() {
        let lateness = summarise((0..=1_000).rev().map(|step| step * 20).collect());
        assert_eq!(lateness.p50, Duration::from_millis(10));
        assert_eq!(lateness.p99, Duration::from_micros(19_800));
        assert_eq!(lateness.max, Duration::from_millis(20));
        assert_eq!(lateness.late_count, 500);
        assert_eq!(summarise(Vec::new()), Lateness::default());
    }

    #[tokio::test]
    async fn a_rate_of_nothing_is_refused() {
        let workload = Workload {
            seed: 0,
            database: "d".into(),
            collections: vec!["c".into()],
            operations: 1,
            writers: 1,
            mix: Mix::INSERTS,
            document: DocumentShape::PLAIN_1_KB,
            key_spread: KeySpread::Uniform,
        };
        for rate_per_s in [0.0, -1.0, f64::NAN] {
            let refused =
                write_open_loop("mongodb://x", &workload, rate_per_s, Instant::now()).await;
            assert!(refused.unwrap_err().to_string().contains("ask for a rate above zero"));
        }
    }
}
