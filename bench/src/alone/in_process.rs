//! Both servers on threads of the calling process, with a tape made of given events: for a test that looks inside of a
//! node while it runs.
//!
//! ```text
//! events ─► tape ─► replay server ═══ tape, in turns ═══► node ═══ Produce ═══► acknowledging broker ─► counts
//! └──────────── threads ─────────┘                 of the test                 └────── threads ──────┘
//! ```
//!
//! No mongod is needed, and the events are the test's. What the servers cost is on their own threads, but in the same
//! process: nothing is timed here. The threads end with the process.

use std::sync::Arc;

use anyhow::{Context, Result};
use bson::Document;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::broker::Broker;
use super::replay::{REPLICA_SET, Server};
use super::tally::{Counts, Samples};
use super::tape::Tape;

/// See the module.
#[derive(Debug)]
pub struct InProcess {
    replay: Arc<Server>,
    broker: Arc<Broker>,
    failures: [UnboundedReceiver<anyhow::Error>; 2],
    events: u64,
    /// A sample of the batches, that nobody reads.
    _folder: TempDir,
}

impl InProcess {
    /// Starts both. At least `events_min` events are replayed: those given, in turns, `events_each` in a reply.
    ///
    /// # Errors
    /// When there is no event, no socket or no thread.
    pub fn start(events: &[Document], events_each: usize, events_min: u64) -> Result<Self> {
        let tape = Tape::of_events(events, events_each)?;
        let events = tape.covering(events_min).events;
        let folder = TempDir::with_prefix("millrace-in-process-")
            .context("could not make a temporary folder for the broker")?;
        let samples = Samples::new(&folder.path().join("samples"), u64::MAX, 0)?;
        let replay = Arc::new(Server::new(tape, events_min)?);
        let broker = Arc::new(Broker::new(samples)?);
        let failures = [replay.clone().start()?, broker.clone().start()?];
        Ok(Self { replay, broker, failures, events, _folder: folder })
    }

    /// How the replay server is reached.
    pub fn mongodb_uri(&self) -> String {
        format!("mongodb://{}/?replicaSet={REPLICA_SET}", self.replay.address)
    }

    /// How the broker is reached.
    pub fn bootstrap(&self) -> String {
        self.broker.address.to_string()
    }

    /// Events that are replayed.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What the broker took so far.
    pub fn counts(&self) -> Counts {
        self.broker.counts()
    }

    /// Fails with what a server could not do, if there was such a thing.
    pub fn ensure_served(&mut self) -> Result<()> {
        match self.failures.iter_mut().find_map(|failures| failures.try_recv().ok()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
