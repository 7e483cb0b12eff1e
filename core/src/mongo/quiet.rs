//! Tells a dead connection from a slow one, and both from a node that does not listen.
//!
//! ```text
//!  we wait, no byte comes ……………………… silence: over after a while
//!  bytes come, no whole event yet ……… not silent: the time begins anew
//!  bytes lie there and nobody looks …… back-pressure: the server is not to blame, no time runs
//! ```

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(super) struct Quiet {
    since: Instant,
    /// Unread bytes at the last look.
    unread_bytes: usize,
    /// Whether the last look found nothing to hand out.
    waiting: bool,
}

impl Quiet {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, unread_bytes: 0, waiting: false }
    }

    /// Something was asked: an answer is due from now on.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self { since: now, unread_bytes: 0, waiting: true };
    }

    /// Something was handed out.
    pub(super) fn busy(&mut self) {
        self.waiting = false;
    }

    /// There is nothing to hand out; so many bytes are unread.
    pub(super) fn wait(&mut self, unread_bytes: usize, now: Instant) {
        if !self.waiting || self.unread_bytes != unread_bytes {
            *self = Self { since: now, unread_bytes, waiting: true };
        }
    }

    /// When [`Quiet::is_over`] is to be asked.
    pub(super) fn deadline(&self, silence_max: Duration) -> Option<Instant> {
        self.waiting.then(|| self.since + silence_max)
    }

    /// Whether nothing has come for `silence_max`. If bytes have come that nobody has looked at, no
    /// time runs until somebody looks.
    pub(super) fn is_over(
        &mut self,
        unread_bytes: usize,
        silence_max: Duration,
        now: Instant,
    ) -> bool {
        if self.unread_bytes != unread_bytes {
            self.waiting = false;
        }
        self.waiting && self.since + silence_max <= now
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(15);

    #[test]
    fn silence_is_over_only_while_somebody_listens() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut quiet = Quiet::new(start);
        quiet.restart(start);
        quiet.wait(0, at(5));
        assert_eq!(quiet.deadline(MAX), Some(at(15)), "asking began it, looking does not");
        quiet.wait(10, at(6));
        assert_eq!(quiet.deadline(MAX), Some(at(21)), "bytes begin it anew");
        assert!(!quiet.is_over(10, MAX, at(20)));
        assert!(!quiet.is_over(50, MAX, at(30)), "bytes came that nobody looked at");
        assert_eq!(quiet.deadline(MAX), None);
        assert!(!quiet.is_over(50, MAX, at(90)));
        quiet.wait(50, at(100));
        assert!(quiet.is_over(50, MAX, at(115)));
        quiet.busy();
        assert!(!quiet.is_over(50, MAX, at(200)));
    }
}
