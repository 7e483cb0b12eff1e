//! Turns a MongoDB change stream into Kafka record batches.
//!
//! Follow one event through the files, top to bottom:
//!
//! 1. [`inbox`]            holds the bytes that a socket has received
//! 2. [`mongo::message`]   frames them; [`mongo::reply`] takes events out of a reply while it still arrives
//! 3. [`mongo::session`]   knows which reply is expected, what to ask next and where to resume
//! 4. [`event`]            views one change without copying it
//! 5. [`route`]            names the topic, [`kafka::partitioner`] the partition
//!    [`transform`]        changes the record first, where the operator wants that; a slower way
//! 6. [`format`]           writes key and value straight into the open batch
//! 7. [`kafka::batch`]     the open batch, sealed when full or when the inbox is empty
//! 8. [`kafka::producer`]  sends batches in order, keeps their bytes until they are acknowledged
//! 9. [`progress`]         says which resume token may now be stored
//!
//! [`pipeline`] owns all of these and is the only file that sees both peers.
//!
//! This crate opens no socket, reads no clock, starts no thread and draws no random number. Bytes and time come in as
//! arguments; wishes go out as values. Bytes of a peer never panic: every length is checked against what is there.

#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

#[cfg(test)]
mod allocations;
pub mod gaps;
pub mod inbox;
pub mod java_pattern;
pub mod latency;
pub mod link;
pub mod memory;
pub mod recovery;
pub mod scram;

pub mod mongo;

pub mod connect;
pub mod event;
pub mod format;
pub mod route;
pub mod transform;

pub mod group;
pub mod kafka;

pub mod pipeline;
pub mod progress;
