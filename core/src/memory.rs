//! One number for the memory of all pipelines of a process: buffers are lent from it and given back.
//!
//! ```text
//!  MemoryBudget  bytes_max ──┬── Loan of an inbox: segments that hold bytes, and spare ones
//!   (shared)                 ├── Loan of a producer: batches that are open, queued or in flight, and spare ones
//!                            └── … of every other pipeline
//! ```
//!
//! A loan first asks, and a holder that is told no makes do with what it has: it reads no further, or takes no more
//! events, until memory comes back to it. So that every pipeline moves on however many there are, each holder has a
//! floor that it takes without asking; an event that is larger than that passes too, and its memory is returned
//! behind it. The budget is therefore kept but for the floors and for single events.
//!
//! Lent are whole grains, so that the shared counter is touched once per many events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a loan grows and shrinks by.
const GRAIN_BYTES: usize = 256 * 1024;

/// Bytes that the buffers of a process may have together. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    /// No other memory depends on it, so relaxed order is enough.
    lent_bytes: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self { shared: Arc::new(Shared { bytes_max, lent_bytes: AtomicUsize::new(0) }) }
    }

    /// A budget that never says no.
    pub fn unbounded() -> Self {
        Self::new(usize::MAX)
    }

    /// What it may lend. Bytes.
    pub fn bytes_max(&self) -> usize {
        self.shared.bytes_max
    }

    /// What is lent now. Bytes; more than [`MemoryBudget::bytes_max`] where floors need it.
    pub fn lent_bytes(&self) -> usize {
        self.shared.lent_bytes.load(Ordering::Relaxed)
    }

    /// A loan of nothing, whose holder may always have `floor_bytes`.
    pub fn loan(&self, floor_bytes: usize) -> Loan {
        Loan { budget: self.clone(), lent_bytes: 0, floor_bytes }
    }

    /// Whether holders should return what they keep for later: a quarter and less is left.
    fn is_tight(&self) -> bool {
        self.bytes_max() - self.bytes_max() / 4 <= self.lent_bytes()
    }
}

/// What one holder has of the budget. Returned when dropped.
#[derive(Debug)]
pub struct Loan {
    budget: MemoryBudget,
    lent_bytes: usize,
    floor_bytes: usize,
}

impl Loan {
    /// A loan that is never refused.
    pub fn unbounded() -> Self {
        MemoryBudget::unbounded().loan(0)
    }

    /// Makes the loan cover `bytes`, all that the holder will have. `false`: the budget is used up, and it stays.
    pub fn cover(&mut self, bytes: usize) -> bool {
        if bytes <= self.lent_bytes {
            return true;
        }
        if bytes <= self.floor_bytes {
            self.settle(bytes);
            return true;
        }
        let wanted = in_grains(bytes);
        let more = wanted - self.lent_bytes;
        let bytes_max = self.budget.bytes_max();
        let lend = |lent: usize| lent.checked_add(more).filter(|lent| *lent <= bytes_max);
        let counter = &self.budget.shared.lent_bytes;
        let is_lent = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lend).is_ok();
        if is_lent {
            self.lent_bytes = wanted;
        }
        is_lent
    }

    /// Makes the loan fit `bytes`, which the holder has, whatever the budget says.
    pub fn settle(&mut self, bytes: usize) {
        let wanted = in_grains(bytes);
        let counter = &self.budget.shared.lent_bytes;
        if self.lent_bytes < wanted {
            counter.fetch_add(wanted - self.lent_bytes, Ordering::Relaxed);
        } else if wanted < self.lent_bytes {
            counter.fetch_sub(self.lent_bytes - wanted, Ordering::Relaxed);
        }
        self.lent_bytes = wanted;
    }

    /// Whether the holder should return what it keeps for later.
    pub fn is_tight(&self) -> bool {
        self.budget.is_tight()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.settle(0);
    }
}

fn in_grains(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(GRAIN_BYTES).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_is_bounded_and_comes_back() {
        let budget = MemoryBudget::new(4 * GRAIN_BYTES);
        let (mut first, mut second) = (budget.loan(0), budget.loan(0));
        assert!(first.cover(3 * GRAIN_BYTES));
        assert!(!second.cover(2 * GRAIN_BYTES));
        assert_eq!(budget.lent_bytes(), 3 * GRAIN_BYTES, "what is refused changes nothing");
        assert!(second.cover(1));
        assert!(second.cover(GRAIN_BYTES), "a grain is a grain");
        first.settle(GRAIN_BYTES + 1);
        assert!(second.cover(2 * GRAIN_BYTES));
        drop(first);
        assert_eq!(budget.lent_bytes(), 2 * GRAIN_BYTES);
        drop(second);
        assert_eq!(budget.lent_bytes(), 0);
    }

    #[test]
    fn every_holder_has_its_floor_however_little_there_is() {
        let budget = MemoryBudget::new(0);
        let mut loans: Vec<Loan> = (0..3).map(|_| budget.loan(2 * GRAIN_BYTES)).collect();
        for loan in &mut loans {
            assert!(loan.cover(2 * GRAIN_BYTES));
            assert!(!loan.cover(2 * GRAIN_BYTES + 1));
        }
        assert!(budget.is_tight());
        assert_eq!(budget.lent_bytes(), 6 * GRAIN_BYTES, "and it is counted");
    }

    #[test]
    fn threads_never_lend_more_than_there_is() {
        let budget = MemoryBudget::new(8 * GRAIN_BYTES);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut loan = budget.loan(0);
                    for round in 0..2_000_usize {
                        let bytes = (round % 5) * GRAIN_BYTES;
                        if loan.cover(bytes) {
                            assert!(budget.lent_bytes() <= budget.bytes_max());
                            loan.settle(bytes / 2);
                        }
                        loan.settle(0);
                    }
                });
            }
        });
        assert_eq!(budget.lent_bytes(), 0);
    }
}
