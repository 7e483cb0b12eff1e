//! Load as the generator makes it: documents of all types with Unicode and special numbers, in a mix of operations.

use anyhow::Result;
use millrace_loadgen::document::{DocumentShape, Kinds};
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};
use millrace_loadgen::writer::write_backlog;

use crate::case::{Case, EVENTS, Place};
use crate::trial::trial;

const OPERATIONS: u64 = 2_000;
/// Sequences of operations, each on a connection of its own.
const WRITERS: u32 = 4;
/// Another seed is another trial: this one is written where a difference is to come again.
const SEED: u64 = 41;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_documents_have_javas_bytes() -> Result<()> {
    trial().await?.judge(&cases())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("random", |place| Box::pin(load(place, 700, 8))).strings().shows("NaN"),
        Case::new("random_in_json", |place| Box::pin(load(place, 2_000, 24))).shows("NaN"),
        Case::new("random_partitions", |place| Box::pin(load(place, 300, 3)))
            .set("topic.creation.default.partitions", "3")
            .set("topic.creation.default.replication.factor", "1"),
    ]
}

async fn load(place: Place, bytes: u32, fields: u32) -> Result<()> {
    let workload = Workload {
        seed: SEED,
        database: place.name,
        collections: Collections::one(EVENTS),
        operations: OPERATIONS,
        writers: WRITERS,
        mix: Mix::ALL,
        document: DocumentShape {
            bytes,
            fields,
            kinds: Kinds::All,
            unicode: true,
            special_doubles: true,
        }
        .into(),
        key_spread: KeySpread::Skewed,
    };
    write_backlog(&place.uri, &workload, |_| ()).await?;
    Ok(())
}
