//! How often each kind of operation comes, what updates change, and what is written in transactions.
//!
//! Weights are relative: only their ratios count.

/// Weights of the kinds of operations.
///
/// A writer without a living key inserts, whatever the weights say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// New documents.
    pub insert: u16,
    /// Changes of some fields: see `deltas`.
    pub update: u16,
    /// Whole new contents of a key.
    pub replace: u16,
    /// Deletes of a key, which is never used again.
    pub delete: u16,
    /// What an update changes.
    pub deltas: Deltas,
    /// What is written together.
    pub transactions: Transactions,
}

impl Mix {
    /// Nothing but inserts.
    pub const INSERTS: Self = Self {
        insert: 1,
        update: 0,
        replace: 0,
        delete: 0,
        deltas: Deltas::SET,
        transactions: Transactions::NONE,
    };
    /// Half inserts, the rest mostly updates: every kind comes, and the number of living keys grows.
    pub const ALL: Self = Self { insert: 50, update: 30, replace: 12, delete: 8, ..Self::INSERTS };
    /// A tenth inserts, else updates of every kind of delta.
    pub const UPDATES: Self = Self { insert: 10, update: 90, deltas: Deltas::ALL, ..Self::INSERTS };

    pub(super) fn total(self) -> u64 {
        [self.insert, self.update, self.replace, self.delete].map(u64::from).iter().sum()
    }
}

/// Weights of what an update does.
///
/// If anything but `set` has a weight, documents carry fields for it beside their payload: `count`, `list`, `maybe0`
/// to `maybe3` (see `delta.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deltas {
    /// `$set` of one to three payload fields.
    pub set: u16,
    /// `$unset` of one of the fields `maybe…`, and `$set` of one when all are gone.
    pub unset: u16,
    /// `$inc` of `count`.
    pub inc: u16,
    /// `$push` behind the end of `list`.
    pub push: u16,
    /// `$pop` of the last of `list`.
    pub pop: u16,
    /// `list` shortened by a pipeline: the one update that a change stream reports as `truncatedArrays`.
    pub truncate: u16,
    /// `$set` of one element of `list`.
    pub element: u16,
}

impl Deltas {
    /// Payload fields alone.
    pub const SET: Self =
        Self { set: 1, unset: 0, inc: 0, push: 0, pop: 0, truncate: 0, element: 0 };
    /// Each as often as the others.
    pub const ALL: Self =
        Self { set: 1, unset: 1, inc: 1, push: 1, pop: 1, truncate: 1, element: 1 };

    /// Whether documents carry fields beside their payload.
    pub fn need_fields(self) -> bool {
        self.total() != u64::from(self.set)
    }

    pub(crate) fn total(self) -> u64 {
        let Self { set, unset, inc, push, pop, truncate, element } = self;
        [set, unset, inc, push, pop, truncate, element].map(u64::from).iter().sum()
    }
}

/// Which operations are written in transactions.
///
/// A writer takes turns of `operations` operations; so many of a thousand turns are one transaction, which is due
/// with its first operation. The others are written one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// In each transaction.
    pub operations: u16,
    /// Share of the turns that are transactions; 0 writes none.
    pub permille: u16,
}

impl Transactions {
    /// Every operation by itself.
    pub const NONE: Self = Self { operations: 1, permille: 0 };

    /// Whether there are any.
    pub fn are_used(self) -> bool {
        self.permille != 0
    }

    /// Neighbouring operations of one writer.
    pub(super) fn turn(self) -> u64 {
        if self.are_used() { u64::from(self.operations.max(1)) } else { 1 }
    }
}
