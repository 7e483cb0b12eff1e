//! The documents that the benches of the hot path run over: named, seeded, the same on every machine.
//!
//! ```text
//!  small      100 B    2 fields    counters and flags
//!  plain      1 KB    10 fields    what the scenarios write
//!  wide       1 KB    40 fields    many short names
//!  large     16 KB    20 fields
//!  huge       1 MB    50 fields
//!  all        1 KB    10 fields    every BSON type, text beyond ASCII, control characters
//! ```
//!
//! Each document stands in an insert as a change stream of MongoDB 6.0 sends it. A corpus has several events, so that
//! no branch is foretold from the one before.

use bson::{Timestamp, doc};
use millrace_loadgen::document::{DocumentShape, Kinds};
use millrace_loadgen::workload::{Collections, Key, KeySpread, Mix, Workload};

/// Change events of one kind.
pub(crate) struct Corpus {
    pub(crate) name: &'static str,
    /// BSON.
    pub(crate) events: Vec<Vec<u8>>,
}

impl Corpus {
    /// Mean size of an event.
    pub(crate) fn event_bytes(&self) -> usize {
        self.events.iter().map(Vec::len).sum::<usize>() / self.events.len().max(1)
    }
}

/// Every corpus, the smallest documents first.
pub(crate) fn all() -> Vec<Corpus> {
    let plain = DocumentShape::PLAIN_1_KB;
    vec![
        corpus("small", 64, DocumentShape { bytes: 100, fields: 2, ..plain }),
        corpus("plain", 64, plain),
        corpus("wide", 64, DocumentShape { fields: 40, ..plain }),
        corpus("large", 16, DocumentShape { bytes: 16 << 10, fields: 20, ..plain }),
        corpus("huge", 2, DocumentShape { bytes: 1 << 20, fields: 50, ..plain }),
        corpus("all", 64, DocumentShape { kinds: Kinds::All, unicode: true, ..plain }),
    ]
}

fn corpus(name: &'static str, count: u32, document: DocumentShape) -> Corpus {
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
    Corpus { name, events: (0..count).map(|number| insert(&workload, number)).collect() }
}

fn insert(workload: &Workload, number: u32) -> Vec<u8> {
    let key = Key { writer: 0, number };
    let time = Timestamp { time: 1_790_000_000, increment: number + 1 };
    let event = doc! {
        "_id": { "_data": format!("82{:08X}{:08X}2B022C0100296E5A10{:064X}", time.time, time.increment, number) },
        "operationType": "insert",
        "clusterTime": time,
        "wallTime": bson::DateTime::from_millis(1_790_000_000_000 + i64::from(number)),
        "fullDocument": workload.document(key, 0),
        "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": key.id() },
    };
    event.to_vec().expect("an event has bytes")
}
