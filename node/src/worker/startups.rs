//! How many starts went well, and how many did not, since the worker began.

use std::sync::atomic::{AtomicU64, Ordering};

/// Starts of one kind. Of two counters that are read one after the other none is wrong.
#[derive(Debug, Default)]
pub(crate) struct Startups {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Startups {
    pub(crate) fn succeeded(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> StartupFigures {
        let succeeded = self.succeeded.load(Ordering::Relaxed);
        StartupFigures { succeeded, failed: self.failed.load(Ordering::Relaxed) }
    }
}

/// How many starts went well, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartupFigures {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}
