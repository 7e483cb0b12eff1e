//! Where the events of a pipeline come from: a copy of what is there, then the stream.
//!
//! ```text
//!  Copying ── all is copied ──► Streaming, from the position that the copy began with
//! ```
//!
//! The copy's connections are closed before the stream opens its own. A stream whose position is lost begins
//! again where [`LostPositionPolicy`] says, if it says more than to fail: the gap is told when the new one is open.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::gaps::Gap;
use crate::inbox::Inbox;
use crate::link::{LinkCommand, LinkId, LinkIds};
use crate::mongo::copy::{Copier, CopyPosition, CopySpec, Progress};
use crate::mongo::session::{Item, ResumePosition, Session, SessionConfig, SessionError};
use crate::recovery::Backoff;

/// Events of a stream between two marks under load; a mark copies the token.
const STREAM_EVENTS_PER_MARK: u64 = 64;
/// Documents of a copy between two marks, under load or not; a mark lists what is left.
const COPY_EVENTS_PER_MARK: u64 = 8_192;
/// A server that cuts its oplog passes a position by while the stream is opened there, and is waited for: about a
/// minute in all.
const RESTARTS_IN_A_ROW_MAX: u32 = 12;
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(10);

/// What is copied before the stream.
#[derive(Clone, Debug)]
pub struct CopyConfig {
    /// What is copied, and how.
    pub spec: CopySpec,
    /// How far an earlier copy was; `None`: it begins.
    pub resumed: Option<CopyPosition>,
}

/// What follows when the server no longer knows the position (`resume.policy.lost.position`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostPositionPolicy {
    /// The task fails and says how large the gap would be.
    Fail,
    /// The stream goes on where the oplog begins.
    Oldest,
    /// The stream goes on now.
    Now,
    /// Everything that is watched is copied again, then the stream goes on where the copy began.
    Copy(CopySpec),
}

impl LostPositionPolicy {
    fn name(&self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Oldest => "oldest",
            Self::Now => "now",
            Self::Copy(_) => "copy",
        }
    }
}

/// How a source begins again.
#[derive(Debug)]
struct Restarts {
    policy: LostPositionPolicy,
    config: SessionConfig,
    /// Of restarts since a stream was open.
    backoff: Backoff,
    /// Its end is known when the stream is open.
    gap: Option<Gap>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    active: Active,
    restarts: Box<Restarts>,
    /// For the connections of a copy that has ended.
    closing: VecDeque<LinkCommand>,
}

#[derive(Debug)]
enum Active {
    Copying { copier: Box<Copier>, session: Box<SessionConfig> },
    Streaming(Box<Session>),
}

fn seconds((seconds, _): (u32, u32)) -> u32 {
    seconds
}

impl Active {
    fn new(
        config: SessionConfig,
        start: ResumePosition,
        copy: Option<CopyConfig>,
        now: Instant,
    ) -> Self {
        match copy {
            Some(CopyConfig { spec, resumed }) => Self::Copying {
                session: Box::new(config.clone()),
                copier: Box::new(Copier::new(config, spec, resumed, now)),
            },
            None => Self::Streaming(Box::new(Session::new(config, start, now))),
        }
    }
}

impl Source {
    pub(super) fn new(
        config: SessionConfig,
        start: ResumePosition,
        copy: Option<CopyConfig>,
        policy: LostPositionPolicy,
        now: Instant,
    ) -> Self {
        let restarts = Box::new(Restarts {
            policy,
            config: config.clone(),
            backoff: Backoff::new(RESTART_FIRST, RESTART_MAX),
            gap: None,
        });
        let active = Active::new(config, start, copy, now);
        Self { active, restarts, closing: VecDeque::new() }
    }

    /// Begins again where the policy says, if `error` is a lost position and the policy says where.
    ///
    /// # Errors
    /// `error`, if not.
    pub(super) fn restart(
        &mut self,
        error: SessionError,
        now: Instant,
    ) -> Result<(), SessionError> {
        let Restarts { policy, config, backoff, gap } = &mut *self.restarts;
        let may_begin =
            *policy != LostPositionPolicy::Fail && backoff.attempts() < RESTARTS_IN_A_ROW_MAX;
        let Some((lost, reason)) = error.lost_position().filter(|_| may_begin) else {
            return Err(error);
        };
        let (start, copy) = match policy {
            LostPositionPolicy::Fail => return Err(error),
            LostPositionPolicy::Oldest => match lost.oldest() {
                Some(start) => (start, None),
                None => return Err(error),
            },
            LostPositionPolicy::Now => (ResumePosition::Now, None),
            LostPositionPolicy::Copy(spec) => (ResumePosition::Now, Some(spec.clone())),
        };
        let is_first = backoff.attempts() == 0;
        let later = backoff.fail(now);
        let at = if is_first { now } else { later };
        // What was lost first counts, if the stream was not open since.
        gap.get_or_insert(Gap {
            from: lost.time.map(seconds),
            to: None,
            policy: policy.name(),
            reason: String::new(),
        });
        if let Some(gap) = gap {
            gap.to = start.cluster_time().map(seconds);
            gap.reason = reason;
        }
        let copy = copy.map(|spec| CopyConfig { spec, resumed: None });
        let active = Active::new(config.clone(), start, copy, at);
        if let Active::Streaming(session) = std::mem::replace(&mut self.active, active) {
            self.closing.extend(session.into_commands());
        }
        Ok(())
    }

    /// To be asked when the stream is open: what was skipped before.
    pub(super) fn take_gap(&mut self) -> Option<Gap> {
        self.restarts.backoff.succeed();
        let mut gap = self.restarts.gap.take()?;
        if gap.to.is_none() {
            gap.to = match &self.active {
                Active::Copying { copier, .. } => {
                    ResumePosition::After(copier.stream().to_vec()).cluster_time().map(seconds)
                }
                Active::Streaming(session) => session.position().cluster_time().map(seconds),
            };
        }
        Some(gap)
    }

    /// The next event or notice; `None`: wait. The end of a copy is said as the end of a batch.
    pub(super) fn next_item(&mut self, now: Instant) -> Result<Option<Item<'_>>, SessionError> {
        if let Active::Copying { copier, session } = &mut self.active {
            match copier.advance(now)? {
                Progress::Wait => return Ok(None),
                Progress::Opened => return Ok(Some(Item::Opened)),
                Progress::Interrupted { reason, attempt } => {
                    return Ok(Some(Item::Interrupted { reason, attempt }));
                }
                Progress::Event => {}
                Progress::Ended => {
                    let start = ResumePosition::After(copier.stream().to_vec());
                    self.closing.extend(copier.close());
                    let session = Session::new(SessionConfig::clone(session), start, now);
                    self.active = Active::Streaming(Box::new(session));
                    return Ok(Some(Item::BatchEnd));
                }
            }
        }
        match &mut self.active {
            Active::Copying { copier, .. } => Ok(copier.event().ok().map(Item::Event)),
            Active::Streaming(session) => session.next_item(now),
        }
    }

    /// Behind the last event handed out, to be stored when that is acknowledged.
    pub(super) fn position(&mut self) -> Option<&[u8]> {
        match &mut self.active {
            Active::Copying { copier, .. } => copier.position(),
            Active::Streaming(session) => session.token(),
        }
    }

    /// The stream's resume token; none while what is there is copied.
    pub(super) fn token(&mut self) -> Option<&[u8]> {
        match &mut self.active {
            Active::Copying { .. } => None,
            Active::Streaming(session) => session.token(),
        }
    }

    /// How far the stream is behind its server, in seconds of cluster time: what the server's last reply said of itself
    /// and of the end of its batch. `None` where it says neither, and while what is there is copied.
    pub(super) fn lag_s(&self) -> Option<u32> {
        match &self.active {
            Active::Copying { .. } => None,
            Active::Streaming(session) => session.lag_s(),
        }
    }

    /// How many events may be taken before the position is looked at again. `waiting`: no more are there.
    pub(super) fn events_per_mark(&self, waiting: bool) -> u64 {
        match &self.active {
            Active::Copying { .. } => COPY_EVENTS_PER_MARK,
            Active::Streaming(_) if waiting => 1,
            Active::Streaming(_) => STREAM_EVENTS_PER_MARK,
        }
    }

    pub(super) fn poll(&mut self, ids: &mut LinkIds, now: Instant) -> Option<LinkCommand> {
        self.closing.pop_front().or_else(|| match &mut self.active {
            Active::Copying { copier, .. } => copier.poll(ids, now),
            Active::Streaming(session) => session.poll(ids, now),
        })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.active {
            Active::Copying { copier, .. } => copier.deadline(),
            Active::Streaming(session) => session.deadline(),
        }
    }

    pub(super) fn handle_connected(
        &mut self,
        link: LinkId,
        nonce: [u8; 24],
        now: Instant,
    ) -> Result<(), SessionError> {
        match &mut self.active {
            Active::Copying { copier, .. } => {
                copier.handle_connected(link, nonce, now);
                Ok(())
            }
            Active::Streaming(session) => session.handle_connected(link, nonce, now),
        }
    }

    pub(super) fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &str,
        now: Instant,
    ) -> Result<(), SessionError> {
        let handled = match &mut self.active {
            Active::Copying { copier, .. } => copier.handle_closed(link, reason, now),
            Active::Streaming(session) => session.handle_closed(link, reason, now),
        };
        handled.or_else(|error| self.restart(error, now))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        let handled = match &mut self.active {
            Active::Copying { copier, .. } => copier.handle_timeout(now),
            Active::Streaming(session) => session.handle_timeout(now),
        };
        handled.or_else(|error| self.restart(error, now))
    }

    /// `None` if `link` is none of the source.
    pub(super) fn inbox(&mut self, link: LinkId) -> Option<&mut Inbox> {
        match &mut self.active {
            Active::Copying { copier, .. } => copier.inbox(link),
            Active::Streaming(session) => session.inbox(link),
        }
    }

    pub(super) fn release_memory(&mut self) {
        match &mut self.active {
            Active::Copying { copier, .. } => copier.release_memory(),
            Active::Streaming(session) => session.release_memory(),
        }
    }
}
