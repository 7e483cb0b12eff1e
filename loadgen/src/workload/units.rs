//! What is written in one piece: an operation by itself, or those of one transaction.

use super::{Operation, Workload};

/// Neighbouring operations of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// At least one, in their order. They are due together, at the time of the first.
    pub operations: &'a [Operation],
    /// Whether they are one transaction, maybe of a single operation where the workload ends.
    pub is_transaction: bool,
}

impl Unit<'_> {
    /// The index at whose time it is intended to begin.
    pub fn due_index(&self) -> u64 {
        self.operations[0].index
    }
}

/// See [`Workload::units`].
pub struct Units<'a> {
    workload: &'a Workload,
    schedule: Box<dyn Iterator<Item = Operation> + Send>,
    ahead: Option<Operation>,
    operations: Vec<Operation>,
}

impl<'a> Units<'a> {
    pub(super) fn new(workload: &'a Workload) -> Self {
        let mut schedule = Box::new(workload.schedule());
        let ahead = schedule.next();
        Self { workload, schedule, ahead, operations: Vec::new() }
    }

    /// The next one; it lives until it is asked for again.
    pub fn next_unit(&mut self) -> Option<Unit<'_>> {
        let first = self.ahead.take()?;
        self.operations.clear();
        self.operations.push(first);
        self.ahead = self.schedule.next();
        let is_transaction = self.workload.transaction_of(first.index).is_some();
        if is_transaction {
            let turn = self.workload.mix.transactions.turn();
            while let Some(next) = self.ahead.take_if(|next| next.index < first.index + turn) {
                self.operations.push(next);
                self.ahead = self.schedule.next();
            }
        }
        Some(Unit { operations: &self.operations, is_transaction })
    }
}
