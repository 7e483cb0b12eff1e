//! Which operation comes on which key, in which order. Derived from a seed, the same on every machine.
//!
//! ```text
//! index      0   1   2   3   4   5   …     the global schedule: writers take turns
//! writer     0   1   2   0   1   2   …     index / operations of a turn, modulo writers; a turn has one operation,
//!                                          or as many as a transaction
//! ```
//!
//! Each writer owns its keys, so the operations on one key come in the order of that writer's sequence. A key is
//! inserted first, deleted last or never, and not used again: version 0 is the insert, every update and replace adds
//! one, the delete has the last number. The first n operations of a workload are the workload of n operations.

mod collections;
mod key;
mod key_spread;
mod mix;
mod units;
mod writer_operations;
mod zipf;

use std::borrow::Cow;
use std::fmt;

pub use collections::Collections;
pub use key::Key;
pub use key_spread::KeySpread;
pub use mix::{Deltas, Mix, Transactions};
pub use units::{Unit, Units};
pub use writer_operations::WriterOperations;

use crate::document::Documents;
use crate::random::{Domain, below, rng};

/// What is written, all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The same seed gives the same operations and documents.
    pub seed: u64,
    /// Where the collections lie.
    pub database: String,
    /// Where documents lie.
    pub collections: Collections,
    /// Writes in total, over all writers.
    pub operations: u64,
    /// Independent sequences, each with its own keys; at least one.
    pub writers: u32,
    /// How often each kind comes.
    pub mix: Mix,
    /// What an inserted document looks like.
    pub document: Documents,
    /// Which of its living keys a writer chooses.
    pub key_spread: KeySpread,
}

/// What happens to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It comes to be.
    Insert,
    /// Some of its fields change.
    Update,
    /// All but its `_id` is replaced.
    Replace,
    /// It is gone.
    Delete,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Place in the global schedule.
    pub index: u64,
    /// The document.
    pub key: Key,
    /// 0 for the insert, then one more for each operation on the key, the delete included.
    pub version: u32,
    /// What is done.
    pub kind: Kind,
}

/// Why a workload cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// No writer.
    NoWriter,
    /// More writers than an `_id` has room for.
    WritersMax(u32),
    /// No collection.
    NoCollection,
    /// Every weight is zero.
    EmptyMix,
    /// There are updates, but every weight of a delta is zero.
    EmptyDeltas,
    /// Numbers of a key spread that make no sense.
    KeySpread(&'static str),
    /// More than all turns are to be transactions, or transactions without operations.
    Transactions,
    /// Larger documents than the server takes.
    DocumentBytesMax(u64),
    /// More operations than the ledger can number.
    OperationsMax(u64),
}

/// The server takes documents of 16 MiB; the statement around it has room of its own.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWriter => {
                write!(f, "a workload without writers writes nothing: ask for at least one")
            }
            Self::WritersMax(writers) => {
                write!(f, "{writers} writers do not fit into an _id: ask for at most {}", i32::MAX)
            }
            Self::NoCollection => write!(f, "a workload needs at least one collection to write to"),
            Self::EmptyMix => {
                write!(f, "all weights of the mix are zero: give at least one kind a weight")
            }
            Self::EmptyDeltas => {
                write!(f, "all weights of the deltas are zero: give at least one a weight")
            }
            Self::KeySpread(fault) => f.write_str(fault),
            Self::Transactions => {
                write!(f, "transactions need operations, and a share between 0 and 1")
            }
            Self::DocumentBytesMax(bytes) => write!(
                f,
                "documents of up to {bytes} bytes are too large: the server takes {DOCUMENT_BYTES_MAX}"
            ),
            Self::OperationsMax(operations) => {
                write!(f, "{operations} operations are too many: ask for at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for WorkloadError {}

impl Workload {
    /// Checks that the workload can be run at all. Everything else here takes that for granted.
    pub fn check(&self) -> Result<(), WorkloadError> {
        if self.writers == 0 {
            return Err(WorkloadError::NoWriter);
        }
        if i32::try_from(self.writers).is_err() {
            return Err(WorkloadError::WritersMax(self.writers));
        }
        if self.collections.count() == 0 {
            return Err(WorkloadError::NoCollection);
        }
        if self.mix.total() == 0 {
            return Err(WorkloadError::EmptyMix);
        }
        if self.mix.update != 0 && self.mix.deltas.total() == 0 {
            return Err(WorkloadError::EmptyDeltas);
        }
        let Transactions { operations, permille } = self.mix.transactions;
        if 1_000 < permille || (permille != 0 && operations == 0) {
            return Err(WorkloadError::Transactions);
        }
        if let Some(fault) = self.key_spread.fault() {
            return Err(WorkloadError::KeySpread(fault));
        }
        let bytes_max = self.document.bytes_max();
        if DOCUMENT_BYTES_MAX < bytes_max {
            return Err(WorkloadError::DocumentBytesMax(bytes_max));
        }
        if u32::try_from(self.operations).is_err() {
            return Err(WorkloadError::OperationsMax(self.operations));
        }
        Ok(())
    }

    /// The operations of one writer, in its order. Costs some 20 ns each, and 8 bytes per living key.
    pub fn operations(&self, writer: u32) -> WriterOperations {
        WriterOperations::new(self, writer)
    }

    /// The operations of all writers by their index.
    pub fn schedule(&self) -> impl Iterator<Item = Operation> + use<> {
        let mut writers: Vec<_> = (0..self.writers).map(|writer| self.operations(writer)).collect();
        let turn = self.mix.transactions.turn();
        (0..self.operations).map_while(move |index| {
            let turn = usize::try_from(index / turn % writers.len() as u64).ok()?;
            writers[turn].next()
        })
    }

    /// As [`Self::schedule`], what is written together in one piece.
    pub fn units(&self) -> Units<'_> {
        Units::new(self)
    }

    /// The index of the first operation of the transaction that this operation belongs to; `None` if it is written by
    /// itself.
    pub fn transaction_of(&self, index: u64) -> Option<u64> {
        let transactions = self.mix.transactions;
        if !transactions.are_used() {
            return None;
        }
        let turn = index / transactions.turn();
        let mut rng = rng(self.seed, Domain::Transactions, turn.cast_signed(), 0);
        (below(&mut rng, 1_000) < u64::from(transactions.permille))
            .then(|| turn * transactions.turn())
    }

    /// The index at whose time the operation is intended to begin: its own, or that of the first of its transaction.
    pub fn due_index(&self, index: u64) -> u64 {
        self.transaction_of(index).unwrap_or(index)
    }

    /// The place of a key's collection among [`Self::collections`].
    pub fn collection_index(&self, key: Key) -> usize {
        key.number as usize % self.collections.count()
    }

    /// The collection that a key lies in.
    pub fn collection(&self, key: Key) -> Cow<'_, str> {
        self.collections.name(self.collection_index(key))
    }
}

#[cfg(test)]
mod tests;
