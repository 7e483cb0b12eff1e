//! An operation and the bytes that it writes, made before its time has come.
//!
//! Building a document takes 2 µs for a KB and 20 ms for 16 MB. Done after the intended time it would be lateness of
//! the generator, so it is done before, while the pacer waits.

use std::sync::atomic::{AtomicU64, Ordering};

use bson::{Bson, Document, RawDocumentBuf};
use mongodb::options::UpdateModifications;

use crate::bson_writer::BsonWriter;
use crate::document::decode;
use crate::workload::{Kind, Operation, Workload};

/// As long as less than this waits for connections, operations are built ahead. Beyond it they wait unbuilt (a slow
/// server must not fill the memory), and are built when their connection is free.
const WAITING_BYTES_MAX: u64 = 256 << 20;

/// What an operation writes.
#[derive(Debug)]
pub(super) enum Content {
    Document(RawDocumentBuf),
    Modification(UpdateModifications),
    Nothing,
}

/// An operation that is ready to be sent.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) operation: Operation,
    pub(super) content: Content,
    pub(super) bytes: u64,
}

impl Built {
    pub(super) fn new(workload: &Workload, operation: Operation) -> Self {
        let Operation { key, version, kind, .. } = operation;
        let (content, bytes) = match kind {
            Kind::Insert | Kind::Replace => {
                let bytes = workload.document_bytes(key, version);
                let length = bytes.len();
                let document = RawDocumentBuf::from_bytes(bytes);
                (Content::Document(document.expect("a document has its own length")), length)
            }
            Kind::Update => {
                let mut writer = BsonWriter::default();
                let open = writer.open();
                workload.push_modification(&mut writer, key, version);
                writer.close_document(open);
                let length = writer.len();
                (Content::Modification(modifications(decode(writer.into_bytes()))), length)
            }
            Kind::Delete => (Content::Nothing, 0),
        };
        Self { operation, content, bytes: bytes as u64 }
    }
}

/// The `u` of a statement: operators, or the stages of a pipeline.
fn modifications(mut statement: Document) -> UpdateModifications {
    match statement.remove("u") {
        Some(Bson::Array(stages)) => {
            let stages = stages.into_iter().filter_map(|stage| stage.as_document().cloned());
            UpdateModifications::Pipeline(stages.collect())
        }
        operators => {
            let operators = operators.and_then(|operators| operators.as_document().cloned());
            UpdateModifications::Document(operators.unwrap_or_default())
        }
    }
}

/// An operation on its way to its connection.
#[derive(Debug)]
pub(super) enum Prepared {
    Built(Box<Built>),
    Unbuilt(Operation),
}

/// Bytes that wait for connections.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicU64);

impl Waiting {
    /// Builds the operation if there is room for it.
    pub(super) fn prepare(&self, workload: &Workload, operation: Operation) -> Prepared {
        if WAITING_BYTES_MAX <= self.0.load(Ordering::Relaxed) {
            return Prepared::Unbuilt(operation);
        }
        let built = Box::new(Built::new(workload, operation));
        self.0.fetch_add(built.bytes, Ordering::Relaxed);
        Prepared::Built(built)
    }

    /// Takes an operation out of the queue, and builds it if that is still to be done.
    pub(super) fn take(&self, workload: &Workload, prepared: Prepared) -> Box<Built> {
        match prepared {
            Prepared::Built(built) => {
                self.0.fetch_sub(built.bytes, Ordering::Relaxed);
                built
            }
            Prepared::Unbuilt(operation) => Box::new(Built::new(workload, operation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{Collections, Key, KeySpread, Mix};

    #[test]
    fn what_waits_is_bounded_in_bytes_and_every_operation_is_built_in_the_end() {
        let workload = Workload {
            seed: 1,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 100,
            writers: 1,
            mix: Mix::INSERTS,
            document: DocumentShape::named("huge").unwrap().into(),
            key_spread: KeySpread::Uniform,
        };
        let waiting = Waiting(AtomicU64::new(WAITING_BYTES_MAX - (3 << 20)));
        let prepared: Vec<_> = workload
            .schedule()
            .take(5)
            .map(|operation| waiting.prepare(&workload, operation))
            .collect();
        let built: Vec<_> = prepared.iter().map(|one| matches!(one, Prepared::Built(_))).collect();
        assert_eq!(built, [true, true, true, false, false]);
        for (number, prepared) in (0..).zip(prepared) {
            let Content::Document(document) = &waiting.take(&workload, prepared).content else {
                panic!("an insert has a document")
            };
            assert_eq!(document.as_bytes(), workload.document_bytes(Key { writer: 0, number }, 0));
        }
        assert_eq!(waiting.0.into_inner(), WAITING_BYTES_MAX - (3 << 20));
    }
}
