//! Where the events of a pipeline come from: a copy of what is there, then the stream.
//!
//! ```text
//!  Copying ── all is copied ──► Streaming, from the position that the copy began with
//! ```
//!
//! The copy's connections are closed before the stream opens its own.

use std::collections::VecDeque;
use std::time::Instant;

use crate::inbox::Inbox;
use crate::link::{LinkCommand, LinkId, LinkIds};
use crate::mongo::copy::{Copier, CopyPosition, CopySpec, Progress};
use crate::mongo::session::{Item, ResumePosition, Session, SessionConfig, SessionError};

/// Events of a stream between two marks under load; a mark copies the token.
const STREAM_EVENTS_PER_MARK: u64 = 64;
/// Documents of a copy between two marks, under load or not; a mark lists what is left.
const COPY_EVENTS_PER_MARK: u64 = 8_192;

/// What is copied before the stream.
#[derive(Clone, Debug)]
pub struct CopyConfig {
    /// What is copied, and how.
    pub spec: CopySpec,
    /// How far an earlier copy was; `None`: it begins.
    pub resumed: Option<CopyPosition>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    active: Active,
    /// For the connections of a copy that has ended.
    closing: VecDeque<LinkCommand>,
}

#[derive(Debug)]
enum Active {
    Copying { copier: Box<Copier>, session: Box<SessionConfig> },
    Streaming(Box<Session>),
}

impl Source {
    pub(super) fn new(
        config: SessionConfig,
        start: ResumePosition,
        copy: Option<CopyConfig>,
        now: Instant,
    ) -> Self {
        let active = match copy {
            Some(CopyConfig { spec, resumed }) => Active::Copying {
                session: Box::new(config.clone()),
                copier: Box::new(Copier::new(config, spec, resumed, now)),
            },
            None => Active::Streaming(Box::new(Session::new(config, start, now))),
        };
        Self { active, closing: VecDeque::new() }
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
        match &mut self.active {
            Active::Copying { copier, .. } => copier.handle_closed(link, reason, now),
            Active::Streaming(session) => session.handle_closed(link, reason, now),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match &mut self.active {
            Active::Copying { copier, .. } => copier.handle_timeout(now),
            Active::Streaming(session) => session.handle_timeout(now),
        }
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
