//! When metadata is asked for: at the start, when something was not where we thought, and every
//! five minutes.

use std::time::{Duration, Instant};

use crate::kafka::config::ClientConfig;
use crate::recovery::Backoff;

/// Leaders and partitions are looked up anew after this long, as in Java's clients
/// (`metadata.max.age.ms`).
const AGE_MAX: Duration = Duration::from_mins(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Refresh {
    due: Option<Instant>,
    is_asked: bool,
    /// Whether there is a topic that no question so far was about.
    has_new_topic: bool,
    answered_at: Option<Instant>,
    pause: Duration,
    backoff: Backoff,
}

impl Refresh {
    pub(super) fn new(config: &ClientConfig, now: Instant) -> Self {
        Self {
            due: Some(now),
            is_asked: false,
            has_new_topic: false,
            answered_at: None,
            pause: config.retry_backoff,
            backoff: config.backoff(),
        }
    }

    /// Whether to ask now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.is_asked && self.due.is_some_and(|at| at <= now)
    }

    /// When to ask.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_asked { None } else { self.due }
    }

    pub(super) fn asked(&mut self) {
        self.is_asked = true;
        self.has_new_topic = false;
        self.due = None;
    }

    /// There is a topic that nobody asked about: asks at once, because no answer can have been about
    /// it. If an answer is awaited, once more right after it.
    ///
    /// With the pause of [`Refresh::hurry`] a hundred topics would take ten seconds to begin with.
    pub(super) fn new_topic(&mut self, now: Instant) {
        self.has_new_topic = true;
        self.due = Some(now);
    }

    /// Something was not where we thought: asks soon, but not in a frenzy. If an answer is awaited,
    /// once more after it.
    pub(super) fn hurry(&mut self, now: Instant) {
        let at = self.answered_at.map_or(now, |answered| now.max(answered + self.pause));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// No answer came.
    pub(super) fn failed(&mut self, now: Instant) {
        self.is_asked = false;
        self.due = Some(self.backoff.fail(now));
    }

    /// An answer came; `is_complete`: every topic was there, with all its leaders.
    pub(super) fn answered(&mut self, is_complete: bool, now: Instant) {
        self.is_asked = false;
        self.answered_at = Some(now);
        let next = if is_complete {
            self.backoff.succeed();
            now + AGE_MAX
        } else {
            self.backoff.fail(now)
        };
        self.due = Some(match self.due {
            Some(_) if self.has_new_topic => now,
            Some(due) => due.max(now + self.pause).min(next),
            None => next,
        });
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn a_new_topic_is_asked_about_at_once_and_an_old_one_is_not() {
        let now = Instant::now();
        let mut refresh = Refresh::new(&ClientConfig::new(Vec::new()), now);
        refresh.asked();
        refresh.answered(true, now);
        refresh.new_topic(now);
        assert!(refresh.is_due(now));
        refresh.asked();
        refresh.new_topic(now);
        assert!(!refresh.is_due(now), "an answer is awaited");
        refresh.answered(false, now);
        assert!(refresh.is_due(now), "that answer was not about it");
        refresh.asked();
        refresh.answered(false, now);
        assert!(!refresh.is_due(now), "the same is asked again after a pause");
    }

    #[test]
    fn metadata_is_asked_for_soon_when_needed_and_never_in_a_frenzy() {
        let now = Instant::now();
        let mut refresh = Refresh::new(&ClientConfig::new(Vec::new()), now);
        let pause = Duration::from_millis(100);
        assert!(refresh.is_due(now));
        refresh.asked();
        assert!(!refresh.is_due(now + AGE_MAX));
        refresh.answered(true, now);
        assert_eq!(refresh.deadline(), Some(now + AGE_MAX));
        refresh.hurry(now);
        assert_eq!(refresh.deadline(), Some(now + pause));
        refresh.asked();
        refresh.hurry(now + pause);
        refresh.answered(true, now + pause);
        assert_eq!(refresh.deadline(), Some(now + pause * 2), "what was asked before may be old");
        refresh.asked();
        refresh.answered(false, now);
        refresh.asked();
        refresh.answered(false, now);
        assert_eq!(refresh.deadline(), Some(now + pause * 2));
    }
}
