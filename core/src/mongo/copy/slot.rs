//! One reader and what it is at: which piece, and how that is copied or taken apart.
//!
//! ```text
//!  Databases, Collections   List ──► smaller pieces
//!  Unmeasured               Measure ──► small, or of a special kind ──► Whole
//!                                  └──► Split ──► Range, Range, …
//!  Whole, Range             Read ──► documents
//! ```
//!
//! A collection is cut at ids drawn at random: no pass over it is needed and no right beyond reading.

use std::time::Instant;

use super::commands::{self, CopySpec, Maker};
use super::piece::{Namespace, Piece};
use super::reader::{Answer, Reader};
use crate::mongo::bson::{BsonError, RawDoc, RawValue};
use crate::mongo::bson_write::write_document;
use crate::mongo::watch::{Scope, WatchSpec};

/// What a range is to hold, about. Bytes of documents.
const RANGE_BYTES: i64 = 16 << 20;
/// Ranges of one collection at most: all that are left stand in the position.
const RANGES_MAX: i64 = 256;
/// Documents drawn for each range, so that the ranges are of like size.
const SAMPLES_PER_RANGE: i64 = 16;
/// The server draws at random only less than a twentieth of a collection; else it reads all of it.
const SAMPLED_PART_MAX: i64 = 21;

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) reader: Reader,
    pub(super) work: Work,
}

/// What a reader was asked for.
#[derive(Debug)]
pub(super) enum Work {
    Nothing,
    /// The position of the stream.
    Opening,
    /// To end the stream's cursor.
    Closing,
    Piece {
        piece: Piece,
        step: Step,
    },
}

/// How a piece is worked on.
#[derive(Debug)]
pub(super) enum Step {
    List,
    Measure(Measured),
    Split { chunks: i64, samples: Vec<Vec<u8>> },
    Read,
}

/// What the server says of a collection, summed over its shards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    documents: i64,
    bytes: i64,
    /// An ordinary collection, that has an index on `_id`.
    plain: bool,
}

impl Measured {
    /// Adds what one shard says.
    pub(super) fn add(&mut self, shard: RawDoc<'_>) -> Result<(), BsonError> {
        for element in shard {
            let element = element?;
            let number = element.value.as_i64().unwrap_or(0);
            match element.name {
                b"count" => self.documents = self.documents.saturating_add(number),
                b"size" => self.bytes = self.bytes.saturating_add(number),
                b"plain" => self.plain &= element.value == RawValue::Boolean(true),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many documents are drawn to cut it into `chunks`.
    pub(super) fn samples(self, chunks: i64) -> i64 {
        chunks.saturating_mul(SAMPLES_PER_RANGE).min(self.documents / SAMPLED_PART_MAX)
    }

    /// Into how many ranges the collection is cut; `None`: it is read whole.
    pub(super) fn chunks(self) -> Option<i64> {
        let by_size = self.bytes / RANGE_BYTES;
        let chunks = by_size.min(self.documents / SAMPLED_PART_MAX).min(RANGES_MAX);
        (self.plain && 2 <= chunks).then_some(chunks)
    }
}

impl Work {
    pub(super) fn piece(&self) -> Option<&Piece> {
        match self {
            Self::Piece { piece, .. } => Some(piece),
            Self::Nothing | Self::Opening | Self::Closing => None,
        }
    }
}

impl Piece {
    /// What an error names.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Databases => Scope::Deployment,
            Self::Collections { database } => Scope::Database(database.clone()),
            Self::Unmeasured(namespace)
            | Self::Whole(namespace)
            | Self::Range { namespace, .. } => Scope::Collection {
                database: namespace.database.clone(),
                collection: namespace.collection.clone(),
            },
        }
    }

    /// The element `id` was copied. Allocates the first time.
    pub(super) fn move_from(&mut self, id: &[u8]) {
        if let Self::Range { from, .. } = self {
            let from = from.get_or_insert_default();
            from.clear();
            write_document(from, |bound| bound.raw_elements(id));
        }
    }
}

impl Slot {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, work: Work::Nothing }
    }

    pub(super) fn is_free(&self) -> bool {
        matches!(self.work, Work::Nothing)
    }

    /// Asks for the first thing that is needed of `piece`.
    pub(super) fn begin(&mut self, piece: Piece, spec: &CopySpec, watch: &WatchSpec, now: Instant) {
        let reader = &mut self.reader;
        let step = match &piece {
            Piece::Databases => {
                reader.ask(Answer::Whole, now, commands::write_list_databases);
                Step::List
            }
            Piece::Collections { database } => {
                let cursor = Namespace {
                    database: database.clone(),
                    collection: "$cmd.listCollections".to_owned(),
                };
                reader.ask(Answer::Cursor(cursor), now, |doc| {
                    commands::write_list_collections(&watch.scope, database, doc);
                });
                Step::List
            }
            Piece::Unmeasured(namespace)
                if spec.pipeline.is_empty() && Maker::of(watch) == Maker::Node =>
            {
                reader.ask(Answer::Cursor(namespace.clone()), now, |doc| {
                    commands::write_measure(namespace, doc);
                });
                Step::Measure(Measured { documents: 0, bytes: 0, plain: true })
            }
            Piece::Unmeasured(namespace) | Piece::Whole(namespace) => {
                reader.ask(Answer::Cursor(namespace.clone()), now, |doc| {
                    commands::write_whole(spec, watch, namespace, doc);
                });
                Step::Read
            }
            Piece::Range { namespace, from, to } => {
                reader.ask(Answer::Cursor(namespace.clone()), now, |doc| {
                    commands::write_range(namespace, from.as_deref(), to.as_deref(), doc);
                });
                Step::Read
            }
        };
        self.work = Work::Piece { piece, step };
    }

    /// Asks where to cut a collection that was measured.
    pub(super) fn split(
        &mut self,
        namespace: Namespace,
        chunks: i64,
        documents: i64,
        now: Instant,
    ) {
        self.reader.ask(Answer::Cursor(namespace.clone()), now, |doc| {
            commands::write_sample(&namespace, documents, doc);
        });
        let step = Step::Split { chunks, samples: Vec::new() };
        self.work = Work::Piece { piece: Piece::Unmeasured(namespace), step };
    }
}

/// Up to `chunks` ranges that are all of a collection, cut at `samples`, which are in order.
pub(super) fn ranges(namespace: &Namespace, chunks: i64, samples: Vec<Vec<u8>>) -> Vec<Piece> {
    let chunks = usize::try_from(chunks).unwrap_or(1).max(1);
    let drawn = samples.len();
    let cut_at = |chunk: usize| chunk * drawn / chunks;
    let mut cuts = Vec::new();
    let mut chunk = 1;
    for (place, sample) in samples.into_iter().enumerate() {
        if chunk < chunks && place == cut_at(chunk) {
            cuts.push(sample);
            while chunk < chunks && cut_at(chunk) <= place {
                chunk += 1;
            }
        }
    }
    cuts.dedup();
    if cuts.is_empty() {
        return vec![Piece::Whole(namespace.clone())];
    }
    let mut ranges = Vec::new();
    let mut from = None;
    for cut in cuts {
        let to = Some(cut.clone());
        ranges.push(Piece::Range { namespace: namespace.clone(), from, to });
        from = Some(cut);
    }
    ranges.push(Piece::Range { namespace: namespace.clone(), from, to: None });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    fn measured(documents: i64, bytes: i64, plain: bool) -> Option<i64> {
        let mut measured = Measured { documents: 0, bytes: 0, plain: true };
        let shard = doc! { "count": documents, "size": bytes as f64, "plain": plain };
        measured.add(RawDoc::new(&shard.to_vec().unwrap()).unwrap()).unwrap();
        measured.chunks()
    }

    #[test]
    fn only_large_ordinary_collections_are_cut() {
        assert_eq!(measured(1_000_000, 31 << 20, true), None);
        assert_eq!(measured(1_000_000, 32 << 20, true), Some(2));
        assert_eq!(measured(1_000_000, 32 << 20, false), None);
        assert_eq!(measured(1_000_000, 1 << 40, true), Some(RANGES_MAX));
        assert_eq!(measured(0, 0, true), None);
        // Too few large documents to draw from.
        assert_eq!(measured(40, 1 << 30, true), None);
        assert_eq!(measured(100, 1 << 30, true), Some(4));
    }

    proptest! {
        #[test]
        fn ranges_meet_and_are_all_of_the_collection(
            chunks in 0_i64..40, mut ids in proptest::collection::vec(0_i32..200, 0..100)
        ) {
            ids.sort_unstable();
            let samples = ids.iter().map(|id| doc! { "_id": *id }.to_vec().unwrap()).collect();
            let namespace = Namespace { database: "d".to_owned(), collection: "c".to_owned() };
            let ranges = ranges(&namespace, chunks, samples);
            prop_assert!(ranges.len() <= usize::try_from(chunks).unwrap().max(1));
            let mut end = None;
            for (place, range) in ranges.iter().enumerate() {
                match range {
                    Piece::Whole(_) => prop_assert_eq!(ranges.len(), 1),
                    Piece::Range { from, to, .. } => {
                        prop_assert_eq!(from, &end, "range {}", place);
                        prop_assert_eq!(to.is_none(), place + 1 == ranges.len());
                        prop_assert!(from.is_none() || from != to, "an empty range");
                        end.clone_from(to);
                    }
                    Piece::Databases | Piece::Collections { .. } | Piece::Unmeasured(_) => {
                        prop_assert!(false, "{:?}", range);
                    }
                }
            }
        }
    }
}
