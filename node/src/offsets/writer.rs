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
use super::stored::StoredOffsets;
use crate::kafka::Pair;

/// What the thread is asked for.
enum Order {
    Write(Write),
    Read { answer: oneshot::Sender<StoredOffsets> },
}

struct Write {
    pairs: Vec<Pair>,
    done: oneshot::Sender<Result<(), String>>,
}

/// Stores the positions of one connector; clones write for the same one.
#[derive(Clone)]
pub(crate) struct OffsetWriter {
    orders: Orders,
    key: Vec<u8>,
}

/// The way to the thread that owns a file. The thread ends when the last of them is gone.
#[derive(Clone)]
pub(super) struct Orders {
    sender: mpsc::Sender<Order>,
    path: PathBuf,
}

/// Starts the thread that owns `store`.
pub(super) fn start(store: FileStore) -> Orders {
    let (sender, received) = mpsc::channel();
    let path = store.path().to_owned();
    thread::spawn(move || serve(store, &received));
    Orders { sender, path }
}

impl Orders {
    /// The writer of the offset record with this `key`.
    pub(super) fn writer(&self, key: Vec<u8>) -> OffsetWriter {
        OffsetWriter { orders: self.clone(), key }
    }

    /// All that is stored.
    pub(super) async fn read(&self) -> Result<StoredOffsets, String> {
        let (answer, read) = oneshot::channel();
        self.send(Order::Read { answer })?;
        read.await.map_err(|_| self.gone())
    }

    /// Ends when `pairs` are on the disk.
    pub(super) async fn write(&self, pairs: Vec<Pair>) -> Result<(), String> {
        let (done, ended) = oneshot::channel();
        self.send(Order::Write(Write { pairs, done }))?;
        ended.await.map_err(|_| self.gone())?
    }

    fn send(&self, order: Order) -> Result<(), String> {
        self.sender.send(order).map_err(|_| self.gone())
    }

    fn gone(&self) -> String {
        format!("the thread that writes {} has ended", self.path.display())
    }
}

impl OffsetWriter {
    /// Ends when `token` is on the disk.
    pub(crate) async fn store(&self, token: &SafeToken) -> Result<(), String> {
        let value = token.offset_value().map_err(|error| error.to_string())?;
        self.orders.write(vec![(self.key.clone(), Some(value))]).await
    }
}

fn serve(mut store: FileStore, received: &mpsc::Receiver<Order>) {
    while let Ok(first) = received.recv() {
        let (mut waiting, mut readers) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(received.try_iter()) {
            match order {
                Order::Write(Write { pairs, done }) => {
                    for (key, value) in pairs {
                        store.put(key, value);
                    }
                    waiting.push(done);
                }
                Order::Read { answer } => readers.push(answer),
            }
        }
        let result = store.flush().map_err(|error| error.to_string());
        // Who has ended meanwhile no longer asks.
        for done in waiting {
            let _ = done.send(result.clone());
        }
        for answer in readers {
            let _ = answer.send(store.stored().clone());
        }
    }
}
