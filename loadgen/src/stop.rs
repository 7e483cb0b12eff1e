//! Asks a load to end early, in a way that what was written stays a workload of its own.
//!
//! A load that is asked to stop releases nothing more and finishes what is under way. Then exactly the first n
//! operations are written, and because the first n operations of a workload are the workload of n operations, the
//! ledger of n operations judges the run as if it had never been meant to be longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to end; clones ask for the same. It cannot be taken back.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
