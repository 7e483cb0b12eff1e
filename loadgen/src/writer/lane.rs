//! One connection of an open loop: writes what it is given, one unit after the other.
//!
//! Every operation may be sent again without a second event, so faults of network and elections are waited out:
//!
//! ```text
//! insert            a second one is refused: its _id is there
//! replace, delete   a second one changes nothing
//! $set              a second one changes nothing
//! other updates     ask for the version before theirs, which after the first is no longer there
//! transaction       the server tells whether it may be sent again as a whole, or only its commit
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::{RawDocumentBuf, doc};
use mongodb::error::{
    Error, ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR,
    UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
use mongodb::{ClientSession, Collection, Database};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::WriteConcern;
use super::prepared::{Built, Content, Prepared, Waiting};
use crate::delta::Delta;
use crate::lateness::Lateness;
use crate::workload::{Kind, Operation, Workload};

/// How long one unit is sent again: longer than an election and a restart of a primary.
const RETRY_FOR: Duration = Duration::from_secs(120);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The server's code for a second document with the same `_id`.
const DUPLICATE_KEY: i32 = 11_000;

/// What a connection is given.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) due: Instant,
    pub(super) unit: DueUnit,
}

#[derive(Debug)]
pub(super) enum DueUnit {
    Single(Prepared),
    Transaction(Vec<Prepared>),
}

/// When one unit of the load was sent and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTimes {
    /// [`Workload::due_index`] of its operations.
    pub due_index: u64,
    /// Operations in it: one, or those of a transaction.
    pub operations: u32,
    /// Before its first attempt.
    pub sent: Instant,
    /// When the last answer that it needed had come.
    pub acknowledged: Instant,
}

/// What one connection did.
#[derive(Clone, Debug, Default)]
pub struct ConnectionReport {
    /// Operations that the server acknowledged.
    pub operations: u64,
    /// BSON bytes of documents and of what updates set.
    pub bytes: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// How far the operations began behind their times.
    pub lateness: Lateness,
    /// The same for each part of the load.
    pub lateness_by_part: Vec<Lateness>,
}

/// A connection at work.
#[derive(Debug)]
pub(super) struct Lane {
    database: Database,
    workload: Arc<Workload>,
    write_concern: WriteConcern,
    /// Operations done by all connections.
    done: Arc<AtomicU64>,
    waiting: Arc<Waiting>,
    /// Where parts of the load end; behind the last is one more.
    part_ends: Arc<[Instant]>,
    /// Who wants to know the times of every unit.
    times: Option<mpsc::UnboundedSender<WriteTimes>>,
    report: ConnectionReport,
}

impl Lane {
    pub(super) fn new(
        database: Database,
        workload: Arc<Workload>,
        write_concern: WriteConcern,
        done: Arc<AtomicU64>,
        waiting: Arc<Waiting>,
        part_ends: Arc<[Instant]>,
        times: Option<mpsc::UnboundedSender<WriteTimes>>,
    ) -> Self {
        let lateness_by_part = vec![Lateness::default(); part_ends.len() + 1];
        let report = ConnectionReport { lateness_by_part, ..ConnectionReport::default() };
        Self { database, workload, write_concern, done, waiting, part_ends, times, report }
    }

    /// Writes until there is nothing more.
    pub(super) async fn run(
        mut self,
        mut units: mpsc::UnboundedReceiver<Due>,
    ) -> Result<ConnectionReport> {
        let mut session = None;
        let mut free = Instant::now();
        while let Some(Due { due, unit }) = units.recv().await {
            match unit {
                DueUnit::Single(prepared) => {
                    let built = self.waiting.take(&self.workload, prepared);
                    let sent = self.note_begin(due, free, 1);
                    self.write(&built).await?;
                    free = self.note_times(&[built], sent);
                }
                DueUnit::Transaction(prepared) => {
                    let take = |one| self.waiting.take(&self.workload, one);
                    let built: Vec<_> = prepared.into_iter().map(take).collect();
                    let sent = self.note_begin(due, free, built.len() as u64);
                    let session = match &mut session {
                        Some(session) => session,
                        none => none.insert(self.database.client().start_session().await?),
                    };
                    self.write_transaction(&built, session).await?;
                    free = self.note_times(&built, sent);
                }
            }
        }
        Ok(self.report)
    }

    /// Returns the moment at which the unit begins.
    fn note_begin(&mut self, due: Instant, free: Instant, operations: u64) -> Instant {
        let now = Instant::now();
        let part = self.part_ends.partition_point(|end| *end <= due);
        for lateness in [&mut self.report.lateness, &mut self.report.lateness_by_part[part]] {
            lateness.own.record(now.saturating_duration_since(due.max(free)), operations);
            lateness.behind.record(now.saturating_duration_since(due), operations);
        }
        now
    }

    /// Returns the moment at which the unit was acknowledged: now.
    fn note_times(&self, unit: &[Box<Built>], sent: Instant) -> Instant {
        let acknowledged = Instant::now();
        if let (Some(times), [first, ..]) = (&self.times, unit) {
            let due_index = self.workload.due_index(first.operation.index);
            let operations = unit.len() as u32;
            // Whoever asked may have failed meanwhile.
            let _ = times.send(WriteTimes { due_index, operations, sent, acknowledged });
        }
        acknowledged
    }

    async fn write(&mut self, built: &Built) -> Result<()> {
        let give_up = Instant::now() + RETRY_FOR;
        let mut attempts = 0;
        loop {
            match self.send(built, None).await {
                Ok(found) if found || attempts != 0 => break,
                Ok(_) => bail!(self.not_found(built.operation)),
                Err(error) if attempts != 0 && is_duplicate_key(&error) => break,
                Err(error) if passes(&error) && Instant::now() < give_up => {
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    return Err(error).with_context(|| self.cannot_write(built.operation));
                }
            }
            attempts += 1;
        }
        self.note_done([built], attempts);
        Ok(())
    }

    async fn write_transaction(
        &mut self,
        built: &[Box<Built>],
        session: &mut ClientSession,
    ) -> Result<()> {
        let give_up = Instant::now() + RETRY_FOR;
        let mut attempts = 0;
        while let Err(error) = self.send_transaction(built, session).await? {
            let again = error.contains_label(TRANSIENT_TRANSACTION_ERROR) || passes(&error);
            if !again || give_up < Instant::now() {
                return Err(error).with_context(|| {
                    format!("a transaction: {}", self.cannot_write(built[0].operation))
                });
            }
            attempts += 1;
            sleep(RETRY_PAUSE).await;
        }
        self.note_done(built.iter().map(AsRef::as_ref), attempts);
        Ok(())
    }

    /// Once as a whole, its commit as often as needed. The outer error is none that passes.
    async fn send_transaction(
        &self,
        built: &[Box<Built>],
        session: &mut ClientSession,
    ) -> Result<mongodb::error::Result<()>> {
        let begun =
            session.start_transaction().write_concern(self.write_concern.for_driver()).await;
        if let Err(error) = begun {
            return Ok(Err(error));
        }
        for operation in built {
            match self.send(operation, Some(session)).await {
                Ok(true) => {}
                Ok(false) => bail!(self.not_found(operation.operation)),
                Err(error) => {
                    // The server may have ended it already; what counts is the first error.
                    drop(session.abort_transaction().await);
                    return Ok(Err(error));
                }
            }
        }
        let give_up = Instant::now() + RETRY_FOR;
        loop {
            match session.commit_transaction().await {
                Ok(()) => return Ok(Ok(())),
                Err(error)
                    if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                        && Instant::now() < give_up =>
                {
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Sends an operation once and tells whether it found its document.
    async fn send(
        &self,
        built: &Built,
        session: Option<&mut ClientSession>,
    ) -> mongodb::error::Result<bool> {
        let Operation { key, version, kind, .. } = built.operation;
        let collection: Collection<RawDocumentBuf> =
            self.database.collection(&self.workload.collection(key));
        let query = doc! { "_id": key.id() };
        match (&built.content, kind) {
            (Content::Document(document), Kind::Insert) => {
                let insert = collection.insert_one(document);
                match session {
                    Some(session) => insert.session(session).await,
                    None => insert.await,
                }
                .map(|_| true)
            }
            (Content::Document(document), _) => {
                let replace = collection.replace_one(query, document);
                let replaced = match session {
                    Some(session) => replace.session(session).await,
                    None => replace.await,
                };
                Ok(replaced?.matched_count == 1)
            }
            (Content::Modification(modifications), _) => {
                let query = match self.workload.delta(key, version) {
                    Delta::Set => query,
                    Delta::Reset
                    | Delta::Unset { .. }
                    | Delta::Restore { .. }
                    | Delta::Inc { .. }
                    | Delta::Push
                    | Delta::Pop
                    | Delta::Truncate
                    | Delta::Element { .. } => {
                        doc! { "_id": key.id(), "v": version.cast_signed() - 1 }
                    }
                };
                let update = collection.update_one(query, modifications.clone());
                let updated = match session {
                    Some(session) => update.session(session).await,
                    None => update.await,
                };
                Ok(updated?.matched_count == 1)
            }
            (Content::Nothing, _) => {
                let delete = collection.delete_one(query);
                let deleted = match session {
                    Some(session) => delete.session(session).await,
                    None => delete.await,
                };
                Ok(deleted?.deleted_count == 1)
            }
        }
    }

    fn note_done<'a>(&mut self, built: impl IntoIterator<Item = &'a Built>, retries: u64) {
        let (mut operations, mut bytes) = (0, 0);
        built
            .into_iter()
            .for_each(|built| (operations, bytes) = (operations + 1, bytes + built.bytes));
        self.report.operations += operations;
        self.report.bytes += bytes;
        self.report.retries += retries;
        self.done.fetch_add(operations, Ordering::Relaxed);
    }

    fn not_found(&self, operation: Operation) -> String {
        let Operation { index, key, kind, .. } = operation;
        format!(
            "operation {index} ({kind:?} of _id {}) found no document in {}.{}: does somebody else write there?",
            key.id(),
            self.database.name(),
            self.workload.collection(key),
        )
    }

    fn cannot_write(&self, operation: Operation) -> String {
        let Operation { index, key, kind, .. } = operation;
        let collection = self.workload.collection(key);
        format!("cannot write operation {index} ({kind:?} of _id {}) to {collection}", key.id())
    }
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
