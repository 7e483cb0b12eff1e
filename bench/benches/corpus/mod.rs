//! The documents that the benches of the hot path run over: named, seeded, the same on every machine.
//!
//! ```text
//!  small      100 B    2 fields    counters and flags
//!  plain      1 KB    10 fields    what the scenarios write
//!  wide       1 KB    40 fields    many short names
//!  large     16 KB    20 fields
//!  huge       1 MB    50 fields
//!  all        1 KB    10 fields    every BSON type, text beyond ASCII, control characters
//!  cjk, emoji, numbers, binary, nested    1 KB of one kind of value each: see `texts`
//!  mixed      up to 1 KB             all of the above but large and huge, in turns
//! ```
//!
//! Each document stands in an insert as a change stream of MongoDB 6.0 sends it. A corpus has several events, so that
//! no branch is foretold from the one before.

mod texts;

use bson::{Document, Timestamp, doc};
use millrace_loadgen::document::{DocumentShape, Kinds};
use millrace_loadgen::workload::{Collections, Key, KeySpread, Mix, Workload};

/// Change events of one kind.
pub(crate) struct Corpus {
    /// BSON.
    pub(crate) events: Vec<Vec<u8>>,
}

/// Every corpus, the smallest documents first.
pub(crate) const NAMES: [&str; 12] = [
    "small", "plain", "wide", "large", "huge", "all", "cjk", "emoji", "numbers", "binary",
    "nested", "mixed",
];

/// The corpus of this name. No other is made: under valgrind that takes longer than what is counted.
pub(crate) fn named(name: &str) -> Option<Corpus> {
    let plain = DocumentShape::PLAIN_1_KB;
    Some(match name {
        "small" => corpus(64, DocumentShape { bytes: 100, fields: 2, ..plain }),
        "plain" => corpus(64, plain),
        "wide" => corpus(64, DocumentShape { fields: 40, ..plain }),
        "large" => corpus(16, DocumentShape { bytes: 16 << 10, fields: 20, ..plain }),
        "huge" => corpus(2, DocumentShape { bytes: 1 << 20, fields: 50, ..plain }),
        "all" => corpus(64, DocumentShape { kinds: Kinds::All, unicode: true, ..plain }),
        "cjk" => corpus_of(texts::cjk),
        "emoji" => corpus_of(texts::emoji),
        "numbers" => corpus_of(texts::numbers),
        "binary" => corpus_of(texts::binary),
        "nested" => corpus_of(texts::nested),
        "mixed" => mixed(),
        _ => return None,
    })
}

/// An event of each corpus of small documents, then the next of each: no two alike follow each other.
fn mixed() -> Corpus {
    let large = ["large", "huge", "mixed"];
    let small = NAMES.into_iter().filter(|name| !large.contains(name)).filter_map(named);
    let corpora: Vec<Corpus> = small.collect();
    let events =
        (0..16).flat_map(|number| corpora.iter().map(move |corpus| corpus.events[number].clone()));
    Corpus { events: events.collect() }
}

fn corpus_of(document: fn(u64) -> Document) -> Corpus {
    let event = |number: u32| {
        let key = Key { writer: 0, number };
        let document = document(u64::from(number));
        insert(document, key.id(), number)
    };
    Corpus { events: (0..64).map(event).collect() }
}

fn corpus(count: u32, document: DocumentShape) -> Corpus {
    let workload = Workload {
        seed: 42,
        database: "shop".to_owned(),
        collections: Collections::one("orders"),
        operations: u64::from(count),
        writers: 1,
        mix: Mix::INSERTS,
        document: document.into(),
        key_spread: KeySpread::Uniform,
    };
    let event = |number| {
        let key = Key { writer: 0, number };
        insert(workload.document(key, 0), key.id(), number)
    };
    Corpus { events: (0..count).map(event).collect() }
}

fn insert(document: Document, id: i64, number: u32) -> Vec<u8> {
    let time = Timestamp { time: 1_790_000_000, increment: number + 1 };
    let event = doc! {
        "_id": { "_data": format!("82{:08X}{:08X}2B022C0100296E5A10{:064X}", time.time, time.increment, number) },
        "operationType": "insert",
        "clusterTime": time,
        "wallTime": bson::DateTime::from_millis(1_790_000_000_000 + i64::from(number)),
        "fullDocument": document,
        "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": id },
    };
    event.to_vec().expect("an event has bytes")
}
