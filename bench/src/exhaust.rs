//! The null reader: reads a change stream, or a collection, with exhaust as fast as the server sends it, and does
//! nothing with it.
//!
//! ```text
//! mongod ─► raw_stream ─► counted, dropped
//! ```
//!
//! It is the wall that every other arm is measured against: nothing that reads the same can be faster than a reader
//! that only counts. A collection is read over and over until there were so many documents and the window is long
//! enough to judge: mongod reads documents far faster than it makes change events.
//!
//! So it must be shown that the server was the limit and not the reader: the thread of mongod that serves the cursor
//! has to be busy for at least [`SERVER_BUSY_MIN`] of the window, else the reading is not valid.
//!
//! It does not log in: see `raw_stream`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::Timestamp;

use crate::null_writer::Pair;
use crate::procfs::{self, MachineTimes, ThreadTimes};
use crate::raw_stream::{self, RawStream, Watched};

/// Share of the window that the serving thread must have been on the CPU.
pub const SERVER_BUSY_MIN: f64 = 0.95;

/// CPU time is counted in steps of 10 ms: a shorter window judges nothing.
pub const WINDOW_MIN: Duration = Duration::from_secs(2);

/// What of a collection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its changes from a cluster time on.
    Changes(Timestamp),
    /// Its documents.
    Documents,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct NullRead {
    /// Host and port of the primary.
    pub address: String,
    /// Database of the collection.
    pub database: String,
    /// The collection to read; of changes empty for all of the database.
    pub collection: String,
    /// What of it.
    pub source: Source,
    /// Events or documents to read.
    pub events: u64,
    /// Process id of mongod, if it runs on this machine.
    pub server_pid: Option<u32>,
    /// Give up when no event comes for this long.
    pub idle_max: Duration,
}

/// What was read, and how.
#[derive(Clone, Debug)]
pub struct NullReading {
    /// Events read.
    pub events: u64,
    /// Events in the first batch that had any: they were there when the window opened.
    pub events_first_batch: u64,
    /// From the first batch with events to the last.
    pub window: Duration,
    /// Bytes of all replies.
    pub bytes: u64,
    /// CPU time of the reading thread, from before it connected.
    pub cpu: Duration,
    /// Memory that the reader needs: its receive buffer, bytes.
    pub memory_bytes: u64,
    /// Share of the window in which the busiest thread of mongod was on the CPU. `None` if mongod runs elsewhere.
    pub server_busy: Option<f64>,
    /// Part of the window's CPU time that the host kept to itself, 0 to 1.
    pub host_stolen: f64,
}

impl NullReading {
    /// Why this reading is no wall to measure against, or `None` if it is one.
    pub fn invalid_because(&self) -> Option<String> {
        if let Some(reason) = too_short(self.window) {
            return Some(reason);
        }
        match self.server_busy {
            None => Some("mongod is not a process of this machine: its load is unknown".to_owned()),
            Some(busy) if busy < SERVER_BUSY_MIN => Some(format!(
                "mongod's serving thread was busy for {:.1} % of the window, at least {:.0} % are needed; the \
                 host kept {:.1} % of this machine's CPU time to itself",
                busy * 100.0,
                SERVER_BUSY_MIN * 100.0,
                self.host_stolen * 100.0
            )),
            Some(_) => None,
        }
    }
}

/// Why a window judges nothing, if it does not: the same for both null arms.
pub(crate) fn too_short(window: Duration) -> Option<String> {
    (window < WINDOW_MIN).then(|| {
        format!(
            "the window of {:.2} s is shorter than {} s; use more events",
            window.as_secs_f64(),
            WINDOW_MIN.as_secs()
        )
    })
}

/// Reads `plan.events` events. Blocks the thread. `on_progress` gets the number of events read so far.
pub fn read(plan: &NullRead, mut on_progress: impl FnMut(u64)) -> Result<NullReading> {
    let cpu_before = procfs::own_thread_cpu()?;
    let mut stream = plan.open()?;
    let mut tally = Tally::default();
    tally.note(&stream, plan)?;
    while !tally.is_enough(plan) {
        stream
            .advance()
            .with_context(|| format!("the stream failed after {} events", tally.events))?;
        tally.note(&stream, plan)?;
        on_progress(tally.events);
        ensure!(
            tally.last_news.elapsed() < plan.idle_max,
            "no event came for {} s: {} of {} events read",
            plan.idle_max.as_secs(),
            tally.events,
            plan.events
        );
    }
    let mut reading = tally.finish(plan)?;
    reading.cpu = procfs::own_thread_cpu()?.saturating_sub(cpu_before);
    reading.memory_bytes = stream.memory_bytes() as u64;
    Ok(reading)
}

/// Keys and values of the first `plan.events` events, as the records of an arm that writes raw BSON have them. Blocks.
pub(crate) fn sample(plan: &NullRead) -> Result<Vec<Pair>> {
    let mut stream = plan.open()?;
    let (mut pairs, mut news) = (Vec::new(), Instant::now());
    loop {
        for event in stream.batch()?.events() {
            let event = event?;
            pairs.push((raw_stream::document_key(event)?.to_vec(), event.to_vec()));
            if pairs.len() as u64 == plan.events {
                return Ok(pairs);
            }
            news = Instant::now();
        }
        ensure!(news.elapsed() < plan.idle_max, "the sample ends after {} events", pairs.len());
        stream.advance()?;
    }
}

impl NullRead {
    fn open(&self) -> Result<RawStream> {
        let (address, database, collection) = (&*self.address, &*self.database, &*self.collection);
        match self.source {
            Source::Changes(start_at) => {
                let watched = Watched { address, database, collection, start_at };
                RawStream::open(&watched, self.idle_max)
            }
            Source::Documents => RawStream::scan(address, database, collection, self.idle_max),
        }
    }
}

/// Events counted so far, and when.
struct Tally {
    events: u64,
    events_first_batch: u64,
    bytes: u64,
    first: Option<First>,
    last_news: Instant,
}

/// The moment of the first event.
struct First {
    at: Instant,
    threads: Option<ThreadTimes>,
    machine: MachineTimes,
}

impl Default for Tally {
    fn default() -> Self {
        Self { events: 0, events_first_batch: 0, bytes: 0, first: None, last_news: Instant::now() }
    }
}

impl Tally {
    fn is_enough(&self, plan: &NullRead) -> bool {
        let window = self.first.as_ref().map(|first| self.last_news.duration_since(first.at));
        let is_long = || window.is_some_and(|window| WINDOW_MIN < window);
        plan.events <= self.events
            && match plan.source {
                Source::Changes(_) => true,
                Source::Documents => is_long(),
            }
    }

    /// Counts the events of the last reply.
    fn note(&mut self, stream: &RawStream, plan: &NullRead) -> Result<()> {
        self.bytes += stream.reply_bytes() as u64;
        let mut events = 0;
        for event in stream.batch()?.events() {
            event?;
            events += 1;
        }
        if events == 0 {
            return Ok(());
        }
        self.events += events;
        self.last_news = Instant::now();
        if self.first.is_none() {
            self.events_first_batch = events;
            let threads = plan.server_pid.and_then(|pid| ThreadTimes::read(pid).ok());
            let machine = MachineTimes::read().unwrap_or_default();
            self.first = Some(First { at: Instant::now(), threads, machine });
        }
        Ok(())
    }

    fn finish(self, plan: &NullRead) -> Result<NullReading> {
        let First { at, threads, machine } = self.first.context("no event was read")?;
        let window = self.last_news.duration_since(at);
        let host_stolen = MachineTimes::read().map_or(0.0, |now| now.stolen_since(machine));
        let busy = threads.zip(plan.server_pid.and_then(|pid| ThreadTimes::read(pid).ok()));
        let server_busy = busy.map(|(before, after)| {
            after.busiest_since(&before).ran.as_secs_f64() / window.as_secs_f64().max(1e-9)
        });
        Ok(NullReading {
            events: self.events,
            events_first_batch: self.events_first_batch,
            window,
            bytes: self.bytes,
            cpu: Duration::ZERO,
            memory_bytes: 0,
            server_busy,
            host_stolen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(window_ms: u64, server_busy: Option<f64>) -> NullReading {
        let window = Duration::from_millis(window_ms);
        NullReading {
            events: 300,
            events_first_batch: 100,
            window,
            bytes: 0,
            cpu: Duration::ZERO,
            memory_bytes: 0,
            server_busy,
            host_stolen: 0.0,
        }
    }

    #[test]
    fn only_a_long_window_with_a_busy_server_is_valid() {
        assert!(reading(2_500, Some(0.97)).invalid_because().is_none());
        for bad in [reading(1_000, Some(0.99)), reading(3_000, Some(0.90)), reading(3_000, None)] {
            assert!(bad.invalid_because().is_some(), "{bad:?}");
        }
    }
}
