//! Writes positions into the offsets file, on a thread of its own.
//!
//! A write ends on the disk, which takes milliseconds; the pipelines must not wait for that. Writes
//! that have come together while the disk was busy go into the file as one.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use millrace_core::progress::SafeToken;
use tokio::sync::oneshot;

use super::file_store::FileStore;

struct Write {
    key: Vec<u8>,
    value: Vec<u8>,
    done: oneshot::Sender<Result<(), String>>,
}

/// Stores the positions of one connector; clones write for the same one.
#[derive(Clone)]
pub(crate) struct OffsetWriter {
    writes: mpsc::Sender<Write>,
    key: Vec<u8>,
    path: PathBuf,
}

/// Starts the thread that owns `store`. It ends when the last writer is gone.
pub(crate) fn start(store: FileStore) -> OffsetWriters {
    let (writes, received) = mpsc::channel();
    let path = store.path().to_owned();
    let thread = thread::spawn(move || write_all(store, &received));
    OffsetWriters { writes, path, thread }
}

/// Makes writers, one for each connector of the worker.
pub(crate) struct OffsetWriters {
    writes: mpsc::Sender<Write>,
    path: PathBuf,
    thread: thread::JoinHandle<()>,
}

impl OffsetWriters {
    /// The writer of the offset record with this `key`.
    pub(crate) fn writer(&self, key: Vec<u8>) -> OffsetWriter {
        OffsetWriter { writes: self.writes.clone(), key, path: self.path.clone() }
    }

    /// Waits until everything asked for is on the disk. All writers must be gone.
    pub(crate) fn finish(self) {
        drop(self.writes);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes {} has panicked", self.path.display());
        }
    }
}

impl OffsetWriter {
    /// Ends when `token` is on the disk.
    pub(crate) async fn store(&self, token: &SafeToken) -> Result<(), String> {
        let value = token.offset_value().map_err(|error| error.to_string())?;
        let (done, ended) = oneshot::channel();
        let write = Write { key: self.key.clone(), value, done };
        let gone = || format!("the thread that writes {} has ended", self.path.display());
        self.writes.send(write).map_err(|_| gone())?;
        ended.await.map_err(|_| gone())?
    }
}

fn write_all(mut store: FileStore, received: &mpsc::Receiver<Write>) {
    while let Ok(first) = received.recv() {
        let mut waiting = Vec::new();
        for write in std::iter::once(first).chain(received.try_iter()) {
            store.put(write.key, write.value);
            waiting.push(write.done);
        }
        let result = store.flush().map_err(|error| error.to_string());
        for done in waiting {
            // A task that has ended meanwhile no longer asks.
            let _ = done.send(result.clone());
        }
    }
}
