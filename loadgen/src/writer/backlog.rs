//! Writes as fast as the server takes it.
//!
//! Each writer sends windows of its sequence. A key is inserted first and deleted last, so a window may go out as
//!
//! ```text
//! insert {documents}  ►  update {updates and replaces in order}  ►  delete {deletes}      per collection
//! ```
//!
//! without changing the order of any key: at most three commands per collection instead of one per operation. The
//! commands are written as BSON in one pass and handed to the driver, which adds session and cluster time. A
//! transaction is a window of its own.
//!
//! A backlog that is stopped ends at the same index for all writers: the furthest that one of them has begun. So what
//! is written is the beginning of the workload, and the ledger of so many operations holds.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bson::RawDocumentBuf;
use mongodb::{ClientSession, Database};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{WriteConcern, Written, connect, next_operation_time, prepare_collections};
use crate::bson_writer::{BsonWriter, Open, element};
use crate::stop::Stop;
use crate::workload::{DOCUMENT_BYTES_MAX, Kind, Operation, Workload, WriterOperations};

mod gate;

use gate::Gate;

/// Enough to make the round trip cheap, little enough to overlap deriving and writing.
const WINDOW_OPERATIONS_MAX: u64 = 1_000;
/// Three commands of this size lie well below the 48 MB of a message.
const WINDOW_BYTES_MAX: u64 = 4 << 20;

/// Writes the whole workload with `w: 1`. See [`Backlog::run`].
pub async fn write_backlog(
    uri: &str,
    workload: &Workload,
    on_progress: impl Fn(u64),
) -> Result<Written> {
    Backlog::new(workload).run(uri, on_progress).await
}

/// A load without times.
#[derive(Clone, Debug)]
pub struct Backlog {
    workload: Arc<Workload>,
    write_concern: WriteConcern,
    stop: Stop,
}

impl Backlog {
    /// With `w: 1`, never stopped.
    pub fn new(workload: &Workload) -> Self {
        let (write_concern, stop) = (WriteConcern::ONE, Stop::new());
        Self { workload: Arc::new(workload.clone()), write_concern, stop }
    }

    /// When a command counts as done.
    pub fn write_concern(mut self, write_concern: WriteConcern) -> Self {
        self.write_concern = write_concern;
        self
    }

    /// Ends early when `stop` asks, after at most a window more of each writer.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Writes everything, each writer on a connection of its own.
    ///
    /// `on_progress` is given the number of operations done so far, after each window. The first error ends
    /// everything: a backlog is written again from scratch, not mended.
    pub async fn run(&self, uri: &str, on_progress: impl Fn(u64)) -> Result<Written> {
        self.workload.check()?;
        let client = connect(uri, self.workload.writers.max(1)).await?;
        prepare_collections(&client, &self.workload).await?;
        let started_at_operation_time = next_operation_time(&client).await?;
        let start = Instant::now();
        let gate = Arc::new(Gate::new(self.stop.clone()));
        let (progress, mut windows) = mpsc::unbounded_channel();
        let mut writers = JoinSet::new();
        for writer in 0..self.workload.writers {
            let writer = BacklogWriter {
                database: client.database(&self.workload.database),
                workload: Arc::clone(&self.workload),
                operations: self.workload.operations(writer),
                write_concern: self.write_concern,
                gate: Arc::clone(&gate),
            };
            writers.spawn(writer.run(progress.clone()));
        }
        drop(progress);
        let mut written = Written {
            operations: 0,
            bytes: 0,
            elapsed: start.elapsed(),
            started_at_operation_time,
            write_concern: self.write_concern,
            retries: 0,
        };
        while let Some(Sent { operations, bytes }) = windows.recv().await {
            written.operations += operations;
            written.bytes += bytes;
            on_progress(written.operations);
        }
        while let Some(ended) = writers.join_next().await {
            ended.context("a writer of the backlog panicked")??;
        }
        written.elapsed = start.elapsed();
        Ok(written)
    }
}

/// What one window held.
#[derive(Debug)]
struct Sent {
    operations: u64,
    bytes: u64,
}

struct BacklogWriter {
    database: Database,
    workload: Arc<Workload>,
    operations: WriterOperations,
    write_concern: WriteConcern,
    gate: Arc<Gate>,
}

impl BacklogWriter {
    async fn run(mut self, progress: mpsc::UnboundedSender<Sent>) -> Result<()> {
        let mut session = None;
        loop {
            let end = self.gate.enter(self.window_end());
            let concern = self.write_concern;
            let window = Window::fill(&self.workload, &mut self.operations, end, concern);
            if window.operations == 0 {
                return Ok(());
            }
            let sent = Sent { operations: window.operations, bytes: window.bytes };
            if window.is_transaction {
                let session = match &mut session {
                    Some(session) => session,
                    none => none.insert(self.database.client().start_session().await?),
                };
                self.run_transaction(window, session).await?;
            } else {
                for command in window.commands {
                    command.run(&self.database, None).await?;
                }
            }
            if progress.send(sent).is_err() {
                // Another writer failed and nobody waits any more.
                return Ok(());
            }
        }
    }

    /// The index that the next window does not reach.
    fn window_end(&self) -> u64 {
        let bytes = self.workload.document.bytes().max(1);
        let operations = (WINDOW_BYTES_MAX / bytes).clamp(1, WINDOW_OPERATIONS_MAX);
        let turn = u64::from(self.workload.mix.transactions.operations);
        self.operations.next_index() + operations.max(turn) * u64::from(self.workload.writers)
    }

    async fn run_transaction(&self, window: Window, session: &mut ClientSession) -> Result<()> {
        let failed = "a transaction of the backlog failed";
        let concern = self.write_concern.for_driver();
        session.start_transaction().write_concern(concern).await.context(failed)?;
        for command in window.commands {
            command.run(&self.database, Some(session)).await.context(failed)?;
        }
        session.commit_transaction().await.context(failed)
    }
}

/// The next operations of one writer as commands, in the order in which they are to be run.
#[derive(Debug)]
struct Window {
    commands: Vec<Command>,
    operations: u64,
    bytes: u64,
    is_transaction: bool,
}

impl Window {
    /// Takes operations with an index below `end`.
    fn fill(
        workload: &Workload,
        operations: &mut WriterOperations,
        end: u64,
        write_concern: WriteConcern,
    ) -> Self {
        let document_bytes_max = workload.document.bytes_max();
        let first = workload.transaction_of(operations.next_index());
        let concern = first.is_none().then_some(write_concern);
        let mut commands: Vec<Command> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while operations.next_index() < end
            && workload.transaction_of(operations.next_index()) == first
        {
            let Some(operation) = operations.next() else { break };
            let collection = workload.collection_index(operation.key);
            let stage = Stage::of(operation.kind);
            let is_it = |command: &&mut Command| {
                command.is_for(stage, collection)
                    && command.bytes() + document_bytes_max < DOCUMENT_BYTES_MAX
            };
            // The last one for a collection is the one that is open.
            let command = match commands.iter_mut().rev().find(is_it) {
                Some(command) => command,
                None => {
                    let name = workload.collection(operation.key);
                    commands.push(Command::begin(stage, collection, &name, concern));
                    commands.last_mut().expect("just pushed")
                }
            };
            bytes += command.push(workload, operation) as u64;
            count += 1;
            if first.is_none() && (WINDOW_BYTES_MAX <= bytes || WINDOW_OPERATIONS_MAX <= count) {
                break;
            }
        }
        // A stable sort: commands of one stage and collection stay in their order.
        commands.sort_by_key(|command| command.stage as u8);
        Self { commands, operations: count, bytes, is_transaction: first.is_some() }
    }
}

/// Place of a command within its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Insert,
    Update,
    Delete,
}

impl Stage {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Insert => Self::Insert,
            Kind::Update | Kind::Replace => Self::Update,
            Kind::Delete => Self::Delete,
        }
    }

    /// Name of the command and of its list.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Insert => ("insert", "documents"),
            Self::Update => ("update", "updates"),
            Self::Delete => ("delete", "deletes"),
        }
    }
}

/// `{ insert: collection, ordered: true, writeConcern: { w: 1 }, documents: [ …` while it grows. Within a transaction
/// the commit carries the write concern.
#[derive(Debug)]
struct Command {
    stage: Stage,
    collection: usize,
    name: String,
    bson: BsonWriter,
    document: Open,
    list: Open,
    statements: usize,
}

impl Command {
    fn begin(
        stage: Stage,
        collection: usize,
        name: &str,
        write_concern: Option<WriteConcern>,
    ) -> Self {
        let (command, list) = stage.names();
        let mut bson = BsonWriter::default();
        let document = bson.open();
        bson.element(element::STRING, command);
        bson.string(name);
        bson.element(element::BOOLEAN, "ordered");
        bson.raw(&[1]);
        if let Some(write_concern) = write_concern {
            write_concern.push(&mut bson);
        }
        bson.element(element::ARRAY, list);
        let list = bson.open();
        let name = name.to_owned();
        Self { stage, collection, name, bson, document, list, statements: 0 }
    }

    fn is_for(&self, stage: Stage, collection: usize) -> bool {
        self.stage == stage && self.collection == collection
    }

    fn bytes(&self) -> u64 {
        self.bson.len() as u64
    }

    /// Appends a statement and returns the bytes of document in it.
    fn push(&mut self, workload: &Workload, operation: Operation) -> usize {
        let Operation { key, version, kind, .. } = operation;
        self.bson.element(element::DOCUMENT, self.statements);
        self.statements += 1;
        if kind == Kind::Insert {
            let start = self.bson.len();
            workload.push_document(&mut self.bson, key, version);
            return self.bson.len() - start;
        }
        let statement = self.bson.open();
        self.bson.element(element::DOCUMENT, "q");
        let query = self.bson.open();
        self.bson.element(element::INT64, "_id");
        self.bson.i64(key.id());
        self.bson.close_document(query);
        let bytes = match kind {
            Kind::Insert => unreachable!("an insert is no statement with a query"),
            Kind::Update => {
                let start = self.bson.len();
                workload.push_modification(&mut self.bson, key, version);
                self.bson.len() - start
            }
            Kind::Replace => {
                self.bson.element(element::DOCUMENT, "u");
                let start = self.bson.len();
                workload.push_document(&mut self.bson, key, version);
                self.bson.len() - start
            }
            Kind::Delete => {
                self.bson.element(element::INT32, "limit");
                self.bson.i32(1);
                0
            }
        };
        self.bson.close_document(statement);
        bytes
    }

    async fn run(mut self, database: &Database, session: Option<&mut ClientSession>) -> Result<()> {
        self.bson.close_document(self.list);
        self.bson.close_document(self.document);
        let (command, _) = self.stage.names();
        let (collection, statements) = (&self.name, self.statements);
        let raw = RawDocumentBuf::from_bytes(self.bson.into_bytes())?;
        let action = database.run_raw_command(raw);
        let reply = match session {
            Some(session) => action.session(session).await,
            None => action.await,
        };
        let reply = reply.with_context(|| {
            format!(
                "cannot {command} {statements} documents of the backlog in {}.{collection}",
                database.name()
            )
        })?;
        // A command with failed statements is `ok: 1`; `n` counts those that found their document.
        let done = reply.get_i32("n").unwrap_or(0);
        ensure!(
            usize::try_from(done) == Ok(statements) && !reply.contains_key("writeConcernError"),
            "{command} of {statements} documents of the backlog in {}.{collection} did {done}; is the collection \
             empty at the start, and does nobody else write to it? The server says: {reply}",
            database.name(),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bson::{Document, doc};

    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{Collections, Key, KeySpread, Mix, Transactions};

    fn workload(document: DocumentShape) -> Workload {
        Workload {
            seed: 5,
            database: "d".into(),
            collections: vec!["a".to_owned(), "b".to_owned()].into(),
            operations: 4_321,
            writers: 2,
            mix: Mix::ALL,
            document: document.into(),
            key_spread: KeySpread::Skewed,
        }
    }

    fn fill(workload: &Workload, operations: &mut WriterOperations) -> Window {
        Window::fill(workload, operations, u64::MAX, WriteConcern::ONE)
    }

    fn finish(mut command: Command) -> Document {
        command.bson.close_document(command.list);
        command.bson.close_document(command.document);
        Document::from_reader(command.bson.into_bytes().as_slice()).expect("valid BSON")
    }

    fn statements(command: &Document) -> impl Iterator<Item = &Document> {
        let list =
            command.values().last().and_then(|list| list.as_array()).expect("a list at the end");
        list.iter().map(|statement| statement.as_document().expect("a statement"))
    }

    #[test]
    fn windows_keep_the_order_of_every_key_and_lose_nothing() {
        let workload = workload(DocumentShape::ALL_1_KB);
        let mut sent: HashMap<i64, Vec<Document>> = HashMap::new();
        let mut operations = workload.operations(1);
        let mut count = 0;
        loop {
            let window = fill(&workload, &mut operations);
            if window.operations == 0 {
                break;
            }
            count += window.operations;
            for command in window.commands.into_iter().map(finish) {
                for statement in statements(&command) {
                    let query = statement.get_document("q").unwrap_or(statement);
                    sent.entry(query.get_i64("_id").unwrap()).or_default().push(statement.clone());
                }
            }
        }
        assert_eq!(count, 2_160);
        let mut expected: HashMap<i64, Vec<Document>> = HashMap::new();
        for Operation { key, version, kind, .. } in workload.operations(1) {
            let q = doc! { "_id": key.id() };
            expected.entry(key.id()).or_default().push(match kind {
                Kind::Insert => workload.document(key, version),
                Kind::Update => doc! { "q": q, "u": { "$set": workload.update(key, version) } },
                Kind::Replace => doc! { "q": q, "u": workload.document(key, version) },
                Kind::Delete => doc! { "q": q, "limit": 1 },
            });
        }
        assert_eq!(sent, expected);
    }

    #[test]
    fn commands_name_their_collection_and_write_concern() {
        let workload = workload(DocumentShape::PLAIN_1_KB);
        let window = fill(&workload, &mut workload.operations(0));
        assert_eq!(window.commands.len(), 6);
        for command in window.commands.into_iter().map(finish) {
            let collection = command.values().next().and_then(|name| name.as_str()).unwrap();
            for statement in statements(&command) {
                let query = statement.get_document("q").unwrap_or(statement);
                let key = Key::from_id(query.get_i64("_id").unwrap()).unwrap();
                assert_eq!(workload.collection(key), collection);
            }
            assert_eq!(command.get_document("writeConcern").unwrap(), &doc! { "w": 1 });
        }
    }

    #[test]
    fn windows_of_large_documents_are_bounded_in_bytes() {
        let workload = workload(DocumentShape { bytes: 1 << 20, ..DocumentShape::PLAIN_1_KB });
        let window = fill(&workload, &mut workload.operations(0));
        assert!(window.operations < 30, "{}", window.operations);
        assert!((WINDOW_BYTES_MAX..2 * WINDOW_BYTES_MAX).contains(&window.bytes));
    }

    #[test]
    fn no_command_is_larger_than_a_server_takes() {
        let workload =
            Workload { mix: Mix::INSERTS, ..workload(DocumentShape::named("max").expect("there")) };
        let window = fill(&workload, &mut workload.operations(0));
        let command = window.commands.into_iter().next().expect("one").bson.into_bytes().len();
        // 16 KiB more than a document may be.
        assert!((15_900_000..(16 << 20) + (16 << 10)).contains(&command), "{command}");
        assert_eq!(window.operations, 1);
    }

    #[test]
    fn a_transaction_is_a_window_of_its_own_without_a_write_concern() {
        let mut workload = workload(DocumentShape::PLAIN_1_KB);
        workload.mix.transactions = Transactions { operations: 8, permille: 500 };
        let mut operations = workload.operations(1);
        let (mut together, mut alone) = (0, 0);
        loop {
            let first = operations.next_index();
            let window = fill(&workload, &mut operations);
            if window.operations == 0 {
                break;
            }
            assert_eq!(window.is_transaction, workload.transaction_of(first).is_some());
            if window.is_transaction {
                assert!(window.operations == 8 || workload.operations < first + 8);
                together += window.operations;
            } else {
                alone += window.operations;
            }
            for command in window.commands.into_iter().map(finish) {
                assert_ne!(command.contains_key("writeConcern"), window.is_transaction);
            }
        }
        assert_eq!(together + alone, 2_160);
        assert!(700 < together && 700 < alone, "{together} {alone}");
    }

    #[test]
    fn thousands_of_collections_get_commands_of_their_own() {
        let mut workload = workload(DocumentShape::named("small").expect("there"));
        workload.collections = Collections::Numbered { prefix: "c".to_owned(), count: 3_000 };
        workload.mix = Mix::INSERTS;
        let window = fill(&workload, &mut workload.operations(0));
        assert_eq!((window.operations, window.commands.len()), (1_000, 1_000));
    }
}
