//! How fast one core judges events: `cargo bench -p millrace-loadgen --bench ledger`.
//!
//! ```text
//! identity     key, kind and version against what was written, duplicates and order
//! digest       the same, and a hash of the bytes that arrived against the derived one
//! content      the same, and every byte against the document derived anew
//! ```
//!
//! 1 KB of plain fields, events in the order of the schedule. Bytes are made outside the measured time, in chunks
//! that do not stay in the cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use millrace_loadgen::digest;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::ledger::{Content, Ledger, Observed};
use millrace_loadgen::workload::{Collections, KeySpread, Kind, Mix, Operation, Workload};

const EVENTS: u64 = 400_000;
const CHUNK: usize = 20_000;

fn workload(mix: Mix) -> Workload {
    Workload {
        seed: 42,
        database: "d".to_owned(),
        collections: Collections::one("c"),
        operations: EVENTS,
        writers: 4,
        mix,
        document: DocumentShape::PLAIN_1_KB.into(),
        key_spread: KeySpread::Uniform,
    }
}

/// What a consumer holds of an event.
struct Arrived {
    operation: Operation,
    bytes: Vec<u8>,
}

fn arrive(workload: &Workload, operation: Operation) -> Arrived {
    let Operation { key, version, kind, .. } = operation;
    let bytes = match kind {
        Kind::Insert | Kind::Replace => workload.document_bytes(key, version),
        Kind::Update => workload.update_bytes(key, version),
        Kind::Delete => Vec::new(),
    };
    Arrived { operation, bytes }
}

fn by_identity(_: &Workload, _: &Ledger, _: &Arrived) -> Content {
    Content::Matches
}

fn by_digest(_: &Workload, ledger: &Ledger, arrived: &Arrived) -> Content {
    let Operation { key, version, kind, .. } = arrived.operation;
    let found = match kind {
        Kind::Insert | Kind::Replace => Some(digest::of_document(&arrived.bytes)),
        Kind::Update => digest::of_update(&arrived.bytes, None, None),
        Kind::Delete => Some(0),
    };
    if found == ledger.digest(key, version) { Content::Matches } else { Content::Differs }
}

fn by_content(workload: &Workload, _: &Ledger, arrived: &Arrived) -> Content {
    let Operation { key, version, kind, .. } = arrived.operation;
    let same = match kind {
        Kind::Insert | Kind::Replace => workload.document_bytes(key, version) == arrived.bytes,
        Kind::Update => workload.update_bytes(key, version) == arrived.bytes,
        Kind::Delete => true,
    };
    if same { Content::Matches } else { Content::Differs }
}

/// Events per second of a ledger that judges content in this way.
fn rate(
    workload: &Workload,
    mut ledger: Ledger,
    judge: fn(&Workload, &Ledger, &Arrived) -> Content,
) -> f64 {
    let mut taken = Duration::ZERO;
    let mut operations = workload.schedule();
    loop {
        let chunk: Vec<_> =
            operations.by_ref().take(CHUNK).map(|operation| arrive(workload, operation)).collect();
        if chunk.is_empty() {
            break;
        }
        let began = Instant::now();
        for arrived in &chunk {
            let content = judge(workload, &ledger, arrived);
            let Operation { key, version, kind, .. } = arrived.operation;
            let version = (kind != Kind::Delete).then_some(version);
            black_box(ledger.observe(Observed { key, kind, version, content }));
        }
        taken += began.elapsed();
    }
    let verdict = ledger.verdict();
    assert!(verdict.is_exact(), "{verdict}");
    EVENTS as f64 / taken.as_secs_f64()
}

fn main() {
    for (name, mix) in [("inserts", Mix::INSERTS), ("all kinds", Mix::ALL)] {
        let workload = workload(mix);
        let began = Instant::now();
        let ledger = Ledger::with_digests(&workload);
        let derived = EVENTS as f64 / began.elapsed().as_secs_f64();
        let identity = rate(&workload, Ledger::new(&workload), by_identity);
        let digest = rate(&workload, ledger, by_digest);
        let content = rate(&workload, Ledger::new(&workload), by_content);
        println!(
            "{name:<10} M events/s on one core: identity {:.2}  with digest {:.2}  with content {:.2}  (digests derived \
             on all cores: {:.2})",
            identity / 1e6,
            digest / 1e6,
            content / 1e6,
            derived / 1e6
        );
    }
}
