//! Reads a change stream to a number of events and drops them: what the node's reading side alone can do.
//!
//! For the rig, which holds it against its own null reader, and for an operator who wants to know what a server's
//! change stream gives. Nothing is produced, and no position is read or stored.

use std::time::{Duration, Instant};

use millrace_core::mongo::session::{Item, ResumePosition, SessionConfig, SessionError};
use millrace_io::clock;
use millrace_io::driver::{self, Driver, Runtime};
use serde::Serialize;

use super::links::Encryption;
use super::stream::Stream;

/// Events counted before the sockets are looked at again.
const EVENTS_PER_SLICE: usize = 128;

/// What was read. Times and rates leave out the first batch, with whose arrival the clock begins.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    /// What drove the socket.
    pub(crate) io_driver: String,
    /// Events read.
    pub(crate) events: u64,
    /// Bytes of these events.
    pub(crate) event_bytes: u64,
    /// Events of the first batch that had any.
    pub(crate) events_first_batch: u64,
    /// From the end of that batch to the last event. Seconds.
    pub(crate) window_s: f64,
}

/// Reads `events_wanted` events from `start`.
///
/// # Errors
/// When there is no runtime for `driver`, and what ends a change stream.
pub(crate) fn read(
    config: SessionConfig,
    start: ResumePosition,
    events_wanted: u64,
    (driver, encryption): (Driver, Encryption),
) -> anyhow::Result<Reading> {
    let reader = Reader {
        stream: Stream::new(config, start, (driver, encryption)),
        driver,
        events: 0,
        event_bytes: 0,
        first_batch: None,
    };
    Ok(Runtime::new(driver)?.block_on(reader.run(events_wanted))?)
}

struct Reader {
    stream: Stream,
    driver: Driver,
    events: u64,
    event_bytes: u64,
    /// Its events, and when it ended.
    first_batch: Option<(u64, Instant)>,
}

impl Reader {
    async fn run(mut self, events_wanted: u64) -> Result<Reading, SessionError> {
        loop {
            let more = self.count()?;
            if events_wanted <= self.events {
                return Ok(self.reading());
            }
            self.stream.carry_out();
            if more {
                driver::turn(self.driver).await;
                self.stream.complete_what_ended()?;
            } else {
                self.stream.wait().await?;
            }
        }
    }

    /// Takes a slice of what was received. `true`: there is more.
    fn count(&mut self) -> Result<bool, SessionError> {
        let now = clock::now();
        for _ in 0..EVENTS_PER_SLICE {
            match self.stream.session.next_item(now)? {
                Some(Item::Event(event)) => {
                    self.events += 1;
                    self.event_bytes += event.as_bytes().len() as u64;
                }
                Some(Item::BatchEnd) if self.events != 0 => {
                    self.first_batch.get_or_insert((self.events, now));
                }
                Some(Item::Interrupted { reason, .. }) => tracing::warn!("MongoDB: {reason}"),
                Some(Item::BatchEnd | Item::Opened) => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn reading(&self) -> Reading {
        let (events_first_batch, window) = match self.first_batch {
            Some((events, ended_at)) => (events, clock::now().saturating_duration_since(ended_at)),
            None => (self.events, Duration::ZERO),
        };
        Reading {
            io_driver: self.driver.to_string(),
            events: self.events,
            event_bytes: self.event_bytes,
            events_first_batch,
            window_s: window.as_secs_f64(),
        }
    }
}
