//! What the tests of the node as a process share: its files, the process, and views from outside.
//!
//! ```text
//! servers   the real MongoDB and Kafka that the tests of one binary share
//! stage     what one test works with: servers, a database and a topic of its own
//! setup     worker and connector files in a folder of their own
//! node      the process: its log, its signals, its exit code
//! offsets   the offsets file, read by Java's rules without any code of the node
//! records   what a topic holds, by another Kafka client than the node's
//! exposition  the figures of a worker, as Prometheus reads them
//! prometheus  Prometheus and its checker
//! chromium  a browser without a screen
//! reference Connect's own worker, and Kafka's worker files
//! answers   two answers of REST interfaces, held against each other
//! definitions  what of answers about properties is not compared
//! rest      requests to a REST interface, the node's or Connect's
//! load      a steady load, and the judgement of what arrived of it
//! window    what a topic may hold after kills
//! dns       a DNS server that knows what a test tells it
//! java      Kafka's own command line tools, and small programs in Java
//! ```
//!
//! The node is known by its command line, its log, its exit code and what it leaves behind. Nothing here uses its code.

pub(crate) mod answers;
pub(crate) mod chromium;
pub(crate) mod definitions;
pub(crate) mod dns;
pub(crate) mod exposition;
pub(crate) mod java;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod offsets;
pub(crate) mod prometheus;
pub(crate) mod records;
pub(crate) mod reference;
pub(crate) mod rest;
pub(crate) mod servers;
pub(crate) mod setup;
pub(crate) mod stage;
pub(crate) mod window;

pub(crate) use node::NodeProcess;
pub(crate) use records::Records;
pub(crate) use setup::{Connector, Setup};
pub(crate) use stage::{EVENTS, Stage};

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a test waits for something that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// `listeners` of a worker for a node beside others.
pub(crate) const FREE_PORT: &str = "http://127.0.0.1:0";
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Asks `look` until it finds something, at most [`PATIENCE`]. `what` says what was waited for.
pub(crate) async fn eventually<T>(
    what: &str,
    look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    eventually_within(PATIENCE, what, look).await
}

/// As [`eventually`], at most for `patience`.
pub(crate) async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if deadline <= Instant::now() {
            bail!("not within {} s: {what}", patience.as_secs());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
