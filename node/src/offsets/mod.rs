//! Where a connector goes on: positions as Kafka Connect stores them, in a file or in a compacted
//! topic.
//!
//! ```text
//! at start   java_file ◄─ file_store ─┐
//!            topic_reader ────────────┴─► StoredOffsets ─► position
//! later      writer ─► file_store ─► java_file   (a topic is written by the pipeline itself)
//!            topic: whether it is there for certain
//! by hand    named: what a connector has stored, as REST shows it ─► store ─► writer, topic_writer
//! ```
//!
//! Both hold the same pairs, so a connector can be taken over from Kafka Connect and handed back.
//! Pairs of other connectors are kept as they are.

mod file_store;
mod java_file;
mod named;
mod position;
mod store;
mod stored;
mod topic;
mod topic_reader;
mod topic_writer;
mod writer;

pub(crate) use named::NamedOffset;
pub(crate) use position::offset_key as key;
pub(crate) use store::{OffsetStore, may_pass};
pub(crate) use stored::{GoOn, StoredOffsets};
pub(crate) use writer::OffsetWriter;
