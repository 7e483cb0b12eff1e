//! A tokio runtime that outlives its callers', for work that must go on when a test has ended.

use std::{io, sync::OnceLock};

use anyhow::{Result, anyhow};
use tokio::runtime::{Builder, Runtime};

/// A runtime that is started at its first use and lives as long as the process.
///
/// At most one is ever built: a second one, built by a caller that lost a race, would be dropped on
/// the caller's own runtime, which tokio refuses with a panic.
pub(crate) struct OwnRuntime {
    thread_name: &'static str,
    workers: usize,
    started: OnceLock<io::Result<Runtime>>,
}

impl OwnRuntime {
    pub(crate) const fn new(thread_name: &'static str, workers: usize) -> Self {
        Self { thread_name, workers, started: OnceLock::new() }
    }

    /// The runtime.
    ///
    /// # Errors
    /// When the system gives it no thread or no epoll instance; the same at every later call.
    pub(crate) fn get(&self) -> Result<&Runtime> {
        let started = self.started.get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(self.workers)
                .thread_name(self.thread_name)
                .enable_all()
                .build()
        });
        started.as_ref().map_err(|error| anyhow!("start the threads {}: {error}", self.thread_name))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn threads_that_ask_at_once_from_within_runtimes_get_the_same_one() {
        const ASKING: usize = 16;
        static OWN: OwnRuntime = OwnRuntime::new("testbed-own-runtime", 1);
        static BARRIER: Barrier = Barrier::new(ASKING);
        let threads: Vec<_> = (0..ASKING)
            .map(|_| {
                thread::spawn(|| {
                    let callers = Builder::new_current_thread().build().unwrap();
                    callers.block_on(async {
                        BARRIER.wait();
                        OWN.get().unwrap().handle().id()
                    })
                })
            })
            .collect();
        let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
