//! Where a connector goes on: positions as Kafka Connect stores them, in a file or in a compacted
//! topic.
//!
//! ```text
//! at start   java_file ◄─ file_store ─┐
//!            topic_reader ────────────┴─► StoredOffsets ─► position
//! later      writer ─► file_store ─► java_file   (a topic is written by the pipeline itself)
//! ```
//!
//! Both hold the same pairs, so a connector can be taken over from Kafka Connect and handed back.
//! Pairs of other connectors are kept as they are.

mod file_store;
mod java_file;
mod position;
mod stored;
mod topic_reader;
mod writer;

use std::path::Path;

use anyhow::Context;
use millrace_core::link::Address;
use millrace_io::tls::TlsClient;

pub(crate) use stored::{GoOn, StoredOffsets};
pub(crate) use writer::{OffsetWriter, OffsetWriters};

/// Reads the offsets file at `path` and starts the thread that writes it.
pub(crate) fn open_file(path: &Path) -> anyhow::Result<(StoredOffsets, OffsetWriters)> {
    let store = file_store::FileStore::open(path)?;
    Ok((store.stored().clone(), writer::start(store)))
}

/// Reads the offset topic `name` to its end. Blocks; not for use inside a runtime.
pub(crate) fn read_topic(
    bootstrap: &[Address],
    tls: Option<&TlsClient>,
    name: &str,
) -> anyhow::Result<StoredOffsets> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime to read the offset topic with")?;
    Ok(runtime.block_on(topic_reader::read(bootstrap, tls, name))?)
}

pub(crate) use position::offset_key as key;
