//! What a client tells about itself: counters, notices for a log, and how its start goes.

use std::collections::VecDeque;
use std::fmt;

use crate::kafka::partition::BatchId;

/// Notices kept while nobody takes them; then the oldest go.
const NOTICES_MAX: usize = 256;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records acknowledged.
    pub records: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes of the acknowledged batches.
    pub bytes: u64,
    /// Produce requests sent.
    pub requests: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Bytes of batches open, waiting and in flight now.
    pub buffered_bytes: u64,
    /// Produce requests without an answer now.
    pub in_flight: u64,
}

/// What of a topic is acknowledged, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicStats {
    /// Records.
    pub records: u64,
    /// Bytes of their batches, as sent.
    pub bytes: u64,
}

/// A batch that is stored, or half of one that had to be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The batch.
    pub batch: BatchId,
    /// Its records that are stored now.
    pub records: u32,
    /// Whether with these all of its records are stored.
    pub is_whole: bool,
}

/// How it stands between a client and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// No broker has said yet what the cluster is.
    Starting {
        /// Failed attempts since the start.
        attempts: u32,
        /// Why the last one failed.
        last_error: Option<String>,
    },
    /// Batches go out.
    Serving,
    /// Something is retried.
    Retrying {
        /// Failed attempts since it went well.
        attempts: u32,
        /// Why the last one failed.
        last_error: Option<String>,
    },
}

/// Something that a log should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All is well, and something changed.
    Info(String),
    /// Something went wrong and was dealt with, or is being retried.
    Warning(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info(text) | Self::Warning(text) => f.write_str(text),
        }
    }
}

/// Notices not yet taken.
#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: VecDeque<Notice>,
}

impl Notices {
    pub(super) fn info(&mut self, text: String) {
        self.push(Notice::Info(text));
    }

    pub(super) fn warn(&mut self, text: String) {
        self.push(Notice::Warning(text));
    }

    fn push(&mut self, notice: Notice) {
        if self.queue.len() == NOTICES_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(notice);
    }

    pub(super) fn take(&mut self) -> Option<Notice> {
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_that_nobody_takes_do_not_pile_up() {
        let mut notices = Notices::default();
        for i in 0..NOTICES_MAX + 2 {
            notices.info(i.to_string());
        }
        assert_eq!(notices.take(), Some(Notice::Info("2".into())));
        assert_eq!(notices.queue.len(), NOTICES_MAX - 1);
    }
}
