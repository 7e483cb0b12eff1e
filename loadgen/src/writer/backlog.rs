//! Writes as fast as the server takes it.
//!
//! Each writer sends windows of its sequence. A key is inserted first and deleted last, so a window may go out as
//!
//! ```text
//! insert {documents}  ►  update {updates and replaces in order}  ►  delete {deletes}      per collection
//! ```
//!
//! without changing the order of any key: at most three commands instead of one per operation. The commands are written
//! as BSON in one pass and handed to the driver, which adds session and cluster time.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bson::RawDocumentBuf;
use mongodb::Database;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Written, connect, next_operation_time};
use crate::bson_writer::{BsonWriter, Open, element};
use crate::workload::{Kind, Operation, Workload, WriterOperations};

/// Enough to make the round trip cheap, little enough to overlap deriving and writing.
const WINDOW_OPERATIONS_MAX: usize = 1_000;
/// Three commands of this size lie well below the 48 MB of a message; one below the 16 MB of a document.
const WINDOW_BYTES_MAX: usize = 4 << 20;

/// Writes the whole workload with `w: 1`, each of its writers on a connection of its own.
///
/// `on_progress` is given the number of operations done so far, after each window. The first error ends everything:
/// a backlog is written again from scratch, not mended.
pub async fn write_backlog(
    uri: &str,
    workload: &Workload,
    on_progress: impl Fn(u64),
) -> Result<Written> {
    workload.check()?;
    let client = connect(uri, workload.writers.max(1)).await?;
    let started_at_operation_time = next_operation_time(&client).await?;
    let start = Instant::now();
    let workload = Arc::new(workload.clone());
    let (progress, mut windows) = mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for writer in 0..workload.writers {
        let database = client.database(&workload.database);
        writers.spawn(write_windows(database, Arc::clone(&workload), writer, progress.clone()));
    }
    drop(progress);
    let mut written = Written {
        operations: 0,
        bytes: 0,
        elapsed: start.elapsed(),
        started_at_operation_time,
        write_concern: "1",
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

/// What one window held.
#[derive(Debug)]
struct Sent {
    operations: u64,
    bytes: u64,
}

async fn write_windows(
    database: Database,
    workload: Arc<Workload>,
    writer: u32,
    progress: mpsc::UnboundedSender<Sent>,
) -> Result<()> {
    let mut operations = workload.operations(writer);
    loop {
        let window = Window::fill(&workload, &mut operations);
        if window.operations == 0 {
            return Ok(());
        }
        let sent = Sent { operations: window.operations, bytes: window.bytes };
        for command in window.commands {
            command.run(&database).await?;
        }
        if progress.send(sent).is_err() {
            // Another writer failed and nobody waits any more.
            return Ok(());
        }
    }
}

/// The next operations of one writer as commands, in the order in which they are to be run.
#[derive(Debug)]
struct Window {
    commands: Vec<Command>,
    operations: u64,
    bytes: u64,
}

impl Window {
    fn fill(workload: &Workload, operations: &mut WriterOperations) -> Self {
        let mut by_stage: [Vec<Command>; 3] = Stage::ORDER.map(|stage| {
            workload.collections.iter().map(|name| Command::begin(stage, name)).collect()
        });
        let mut count = 0;
        let mut bytes = 0;
        for operation in operations.take(WINDOW_OPERATIONS_MAX) {
            let collection = workload.collection_index(operation.key);
            let command = &mut by_stage[Stage::of(operation.kind) as usize][collection];
            bytes += command.push(workload, operation);
            count += 1;
            if WINDOW_BYTES_MAX <= bytes {
                break;
            }
        }
        let commands = by_stage.into_iter().flatten().filter(|command| command.statements != 0);
        Self { commands: commands.collect(), operations: count, bytes: bytes as u64 }
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
    const ORDER: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

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

/// `{ insert: collection, ordered: true, writeConcern: { w: 1 }, documents: [ …` while it grows.
#[derive(Debug)]
struct Command {
    stage: Stage,
    collection: String,
    bson: BsonWriter,
    document: Open,
    list: Open,
    statements: usize,
}

impl Command {
    fn begin(stage: Stage, collection: &str) -> Self {
        let (command, list) = stage.names();
        let mut bson = BsonWriter::default();
        let document = bson.open();
        bson.element(element::STRING, command);
        bson.string(collection);
        bson.element(element::BOOLEAN, "ordered");
        bson.raw(&[1]);
        bson.element(element::DOCUMENT, "writeConcern");
        let concern = bson.open();
        bson.element(element::INT32, "w");
        bson.i32(1);
        bson.close_document(concern);
        bson.element(element::ARRAY, list);
        let list = bson.open();
        Self { stage, collection: collection.to_owned(), bson, document, list, statements: 0 }
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
            Kind::Update => self.push_set(workload, operation),
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

    fn push_set(&mut self, workload: &Workload, operation: Operation) -> usize {
        self.bson.element(element::DOCUMENT, "u");
        let update = self.bson.open();
        self.bson.element(element::DOCUMENT, "$set");
        let start = self.bson.len();
        workload.push_update(&mut self.bson, operation.key, operation.version);
        let bytes = self.bson.len() - start;
        self.bson.close_document(update);
        bytes
    }

    async fn run(mut self, database: &Database) -> Result<()> {
        self.bson.close_document(self.list);
        self.bson.close_document(self.document);
        let (command, _) = self.stage.names();
        let (collection, statements) = (&self.collection, self.statements);
        let raw = RawDocumentBuf::from_bytes(self.bson.into_bytes())?;
        let reply = database.run_raw_command(raw).await.with_context(|| {
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
    use crate::workload::{Key, KeySpread, Mix};

    fn workload(document: DocumentShape) -> Workload {
        Workload {
            seed: 5,
            database: "d".into(),
            collections: vec!["a".into(), "b".into()],
            operations: 4_321,
            writers: 2,
            mix: Mix::ALL,
            document,
            key_spread: KeySpread::Skewed,
        }
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
            let window = Window::fill(&workload, &mut operations);
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
        let window = Window::fill(&workload, &mut workload.operations(0));
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
        let window = Window::fill(&workload, &mut workload.operations(0));
        assert!(window.operations < 30, "{}", window.operations);
        assert!((WINDOW_BYTES_MAX as u64..2 * WINDOW_BYTES_MAX as u64).contains(&window.bytes));
    }
}
