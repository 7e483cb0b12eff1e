//! Keeps one change stream open, over one connection at a time, for as long as it takes.
//!
//! ```text
//!            ┌──────────────── another server, or wait ◄────────────────┐ Retry
//!            ▼                                                          │
//!  Waiting ──► Connecting ──► Handshake ──► Opening ──► Streaming ──────┤
//!                                              ▲            │           │ Stop
//!                                              └────────────┘           ├──► Failed
//!                                         cursor closed: startAfter     └──► Measuring ──► Failed
//!                                                                    position lost
//! ```
//!
//! `aggregate` opens the stream, one `getMore` with exhaust makes the server reply unasked from
//! then on; where a router cannot, each batch is asked for before the one before it is handed out.
//! The position moves with every event handed out, and a new connection resumes there: nothing is
//! skipped, nothing is handed out twice. Until the stream was open once, finding no primary is an
//! error after `server_selection_timeout`; later it is tried for ever.
//!
//! A server may work long before it answers: it reads its log from the position up to the first
//! change that matches. So the time after which silence counts as death doubles with each silence,
//! else such a stream would never get there. A machine: it opens no connection and reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::bson::RawDoc;
use super::fragments::Fragments;
use super::handshake::Handshake;
use super::login::Login;
use super::peer::{
    BACKOFF_FIRST, BACKOFF_MAX, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, Peer, SEGMENT_BYTES,
};
use super::quiet::Quiet;
use super::reply::ReplyReader;
pub use super::server_api::ServerApi;
use super::session_error::Doing;
pub use super::session_error::SessionError;
use super::topology::Topology;
pub use super::watch::{ResumePosition, WatchSpec};
use crate::inbox::Inbox;
use crate::link::{Address, LinkCommand, LinkId, LinkIds, Protocol};
use crate::memory::MemoryBudget;
use crate::recovery::{Backoff, Recovery};

mod measuring;
mod replies;
#[cfg(test)]
pub(super) mod tests;

use replies::Outcome;

/// Largest reply to `aggregate`, which is taken in whole: a batch of 16 MB and its frame. Bytes.
const OPENING_REPLY_BYTES_MAX: usize = 17 << 20;
const OPENING_TIMEOUT: Duration = Duration::from_secs(30);
/// What a server may need beyond the await time.
const STREAMING_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// What a session is to do.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Servers to ask first; others are learnt from them.
    pub seeds: Vec<Address>,
    /// `replicaSet`: the set that a server must belong to.
    pub replica_set: Option<String>,
    /// Who we are; `None`: nobody.
    pub login: Option<Login>,
    /// How we are called in the server's logs.
    pub app_name: String,
    /// The Stable API that every command asks for; `None`: whatever the server has.
    pub server_api: Option<ServerApi>,
    /// What is watched.
    pub watch: WatchSpec,
    /// How long a primary is looked for at the start. Default of the drivers: 30 s.
    pub server_selection_timeout: Duration,
    /// Received bytes that wait to be handed out, at most. At least 17 MiB are used, since an event
    /// may have 16 MB.
    pub read_ahead_bytes_max: usize,
    /// Where the memory for received bytes comes from.
    pub memory: MemoryBudget,
}

/// What [`Session::next_item`] hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// The stream is open, for the first time or again. [`Session::position`] is where it begins.
    Opened,
    /// A change event, whole and framed, its inside unchecked. [`Session::position`] is behind it.
    Event(RawDoc<'a>),
    /// All events of a batch, maybe none, were handed out. [`Session::position`] is at the batch's
    /// end, which may be far behind its last event.
    BatchEnd,
    /// The stream is interrupted; the session goes on by itself.
    Interrupted {
        /// Why.
        reason: String,
        /// Interruptions since the last batch.
        attempt: u32,
    },
}

/// What a session does, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState<'a> {
    /// No stream is open.
    Connecting {
        /// Interruptions since the last batch.
        attempts: u32,
        /// Why the last attempt failed.
        last_error: Option<&'a str>,
    },
    /// The stream is open.
    Open {
        /// The server.
        address: &'a Address,
    },
    /// A person must decide.
    Failed {
        /// What.
        error: &'a SessionError,
    },
}

/// See the module. After each `handle_*` and after bytes were given to [`Session::inbox`], call
/// [`Session::next_item`] until it waits, then [`Session::poll`] until it waits.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    position: ResumePosition,
    state: State,
    topology: Topology,
    inbox: Inbox,
    reader: ReplyReader,
    /// `None`: no event comes in fragments.
    fragments: Option<Box<Fragments>>,
    quiet: Quiet,
    /// Silences in a row that ended a connection.
    silences: u32,
    backoff: Backoff,
    commands: VecDeque<LinkCommand>,
    last_request: i32,
    /// Since when a primary is looked for.
    selecting_since: Instant,
    was_open: bool,
    exhaust_refused: bool,
    interrupted: Option<String>,
    last_error: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Nothing is open.
    Waiting { until: Instant },
    /// The driver opens a connection.
    Connecting { peer: Peer, until: Instant },
    /// A command of the handshake is on the way.
    Handshake { peer: Peer, handshake: Box<Handshake>, asked: i32 },
    /// `aggregate` is on the way.
    Opening { peer: Peer, asked: i32 },
    /// The reply to `aggregate` or to `getMore` is read or awaited.
    Streaming { peer: Peer, stream: Stream },
    /// The position is lost; the server is asked where its oplog begins.
    Measuring { peer: Peer, asked: i32, lost: Box<SessionError> },
    /// For good.
    Failed { error: SessionError },
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    /// [`Doing::Opening`] while the reply to `aggregate` is read, then [`Doing::Streaming`].
    doing: Doing,
    cursor_id: i64,
    /// What the reply that is read or awaited must answer.
    asked: i32,
    /// The request for the batch after that.
    asked_ahead: Option<i32>,
    /// Whether an event was handed out since the stream was opened.
    had_event: bool,
}

impl Session {
    /// A session that has done nothing yet.
    pub fn new(config: SessionConfig, start: ResumePosition, now: Instant) -> Self {
        let read_ahead_bytes_max = config.read_ahead_bytes_max.max(OPENING_REPLY_BYTES_MAX);
        let state = if config.seeds.is_empty() {
            let timeout = config.server_selection_timeout;
            State::Failed { error: SessionError::Unreachable { timeout, tried: Vec::new() } }
        } else {
            State::Waiting { until: now }
        };
        Self {
            topology: Topology::new(&config.seeds),
            inbox: Inbox::new(SEGMENT_BYTES, read_ahead_bytes_max).within(config.memory.loan(0)),
            fragments: config
                .watch
                .fragments()
                .map(|fate| Box::new(Fragments::new(fate, &config.memory))),
            config,
            position: start,
            state,
            reader: ReplyReader::default(),
            quiet: Quiet::new(now),
            silences: 0,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            commands: VecDeque::new(),
            last_request: 0,
            selecting_since: now,
            was_open: false,
            exhaust_refused: false,
            interrupted: None,
            last_error: None,
        }
    }

    /// What the driver is to do; `None`: nothing until something happens or [`Session::deadline`]
    /// passes.
    pub fn poll(&mut self, ids: &mut LinkIds, now: Instant) -> Option<LinkCommand> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        match self.state {
            State::Waiting { until } if until <= now => {
                let address = self.topology.next_address()?;
                let link = ids.next_id();
                let peer = Peer { link, address: address.clone(), exhaust: false };
                self.state = State::Connecting { peer, until: now + CONNECT_TIMEOUT };
                Some(LinkCommand::Connect { link, address, protocol: Protocol::Mongodb })
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Opening { .. }
            | State::Streaming { .. }
            | State::Measuring { .. }
            | State::Failed { .. } => None,
        }
    }

    /// When to call [`Session::handle_timeout`], then [`Session::poll`].
    pub fn deadline(&self) -> Option<Instant> {
        let (own, selecting) = match &self.state {
            State::Waiting { until } | State::Connecting { until, .. } => (Some(*until), true),
            State::Handshake { .. } => (self.quiet.deadline(self.silence_max()), true),
            State::Opening { .. } | State::Streaming { .. } | State::Measuring { .. } => {
                (self.quiet.deadline(self.silence_max()), false)
            }
            State::Failed { .. } => (None, false),
        };
        let selection = (selecting && !self.was_open)
            .then(|| self.selecting_since + self.config.server_selection_timeout);
        own.into_iter().chain(selection).min()
    }

    /// The connection is open. `nonce` must be random and new.
    ///
    /// # Errors
    /// Never. It returns what the other `handle_*` do, so that a driver treats all alike.
    pub fn handle_connected(
        &mut self,
        link: LinkId,
        nonce: [u8; 24],
        now: Instant,
    ) -> Result<(), SessionError> {
        match &self.state {
            State::Connecting { peer, .. } if peer.link == link => {
                let peer = peer.clone();
                let handshake = Box::new(Handshake::new(nonce));
                let asked = self.next_request();
                let hello = handshake.command(&self.config, asked);
                self.send(link, hello, now);
                self.state = State::Handshake { peer, handshake, asked };
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Opening { .. }
            | State::Streaming { .. }
            | State::Measuring { .. }
            | State::Failed { .. } => {}
        }
        Ok(())
    }

    /// The connection was lost, or never came to be. What was received and not handed out is read
    /// again later.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &str,
        now: Instant,
    ) -> Result<(), SessionError> {
        let Some((peer, doing)) = self.peer().filter(|(peer, _)| peer.link == link) else {
            return Ok(());
        };
        let address = peer.address.clone();
        self.fail(SessionError::Closed { address, doing, reason: reason.to_owned() }, now)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        self.check_selection(now)?;
        let silence_max = self.silence_max();
        let waited = match &self.state {
            State::Connecting { until, .. } if *until <= now => CONNECT_TIMEOUT,
            State::Handshake { .. }
            | State::Opening { .. }
            | State::Streaming { .. }
            | State::Measuring { .. }
                if self.quiet.is_over(self.inbox.unread_bytes(), silence_max, now) =>
            {
                if matches!(self.state, State::Opening { .. } | State::Streaming { .. }) {
                    self.silences = self.silences.saturating_add(1);
                }
                silence_max
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Opening { .. }
            | State::Streaming { .. }
            | State::Measuring { .. }
            | State::Failed { .. } => return Ok(()),
        };
        let Some((peer, doing)) = self.peer() else { return Ok(()) };
        let address = peer.address.clone();
        self.fail(SessionError::Silent { address, doing, waited }, now)
    }

    /// Where the driver puts what the connection received; `None` if `link` is not the session's.
    pub fn inbox(&mut self, link: LinkId) -> Option<&mut Inbox> {
        self.peer().filter(|(peer, _)| peer.link == link)?;
        Some(&mut self.inbox)
    }

    /// Returns the memory that holds nothing. Costs the next read an allocation.
    pub fn release_memory(&mut self) {
        self.inbox.release();
    }

    /// The next event or notice; `None`: wait. An event stays valid until the next call.
    ///
    /// Cost per event: its frame and the search of `_id`, the first field; the token is copied,
    /// nothing is allocated.
    ///
    /// # Errors
    /// Those whose [`SessionError::recovery`] is to stop, at this and every later call.
    pub fn next_item(&mut self, now: Instant) -> Result<Option<Item<'_>>, SessionError> {
        Ok(match self.next_outcome(now)? {
            Outcome::Wait => None,
            Outcome::Opened => Some(Item::Opened),
            // Its frame was checked when its token was read.
            Outcome::Event => self.reader.event(&self.inbox).ok().map(Item::Event),
            Outcome::Joined => {
                self.fragments.as_ref().and_then(|joined| joined.event().ok()).map(Item::Event)
            }
            Outcome::BatchEnd => Some(Item::BatchEnd),
            Outcome::Interrupted { reason } => {
                Some(Item::Interrupted { reason, attempt: self.backoff.attempts() })
            }
        })
    }

    /// Behind the last event handed out, or at the end of the batch if all its events were. Never
    /// between the fragments of an event, even where these are handed out one by one.
    pub fn position(&self) -> &ResumePosition {
        &self.position
    }

    /// To be asked at the end of a batch: seconds of cluster time between that and the server's newest operation.
    pub fn lag_s(&self) -> Option<u32> {
        let (server_s, _) = self.reader.reply().operation_time?;
        let (position_s, _) = self.position.cluster_time()?;
        Some(server_s.saturating_sub(position_s))
    }

    /// The resume token of [`Session::position`], if that is one.
    pub fn token(&self) -> Option<&[u8]> {
        match &self.position {
            ResumePosition::Now | ResumePosition::AtOperationTime { .. } => None,
            ResumePosition::After(token) => Some(token),
        }
    }

    /// What a session that has failed still wants of its driver: it closes its connection.
    pub(crate) fn into_commands(self) -> impl Iterator<Item = LinkCommand> {
        self.commands.into_iter()
    }

    /// What it does.
    pub fn state(&self) -> SessionState<'_> {
        match &self.state {
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Opening { .. }
            | State::Measuring { .. } => SessionState::Connecting {
                attempts: self.backoff.attempts(),
                last_error: self.last_error.as_deref(),
            },
            State::Streaming { peer, .. } => SessionState::Open { address: &peer.address },
            State::Failed { error } => SessionState::Failed { error },
        }
    }
}

/// What the other parts share.
impl Session {
    fn next_request(&mut self) -> i32 {
        self.last_request = self.last_request.wrapping_add(1);
        self.last_request
    }

    fn send(&mut self, link: LinkId, message: Bytes, now: Instant) {
        self.commands.push_back(LinkCommand::Send { link, segments: vec![message] });
        self.quiet.restart(now);
    }

    /// Gives up the connection and decides what follows. `Err`: the session has failed for good.
    fn fail(&mut self, error: SessionError, now: Instant) -> Result<(), SessionError> {
        let is_closed = matches!(error, SessionError::Closed { .. });
        let Some(error) = self.measure(error, now) else { return Ok(()) };
        let peer = self.peer().map(|(peer, _)| (peer.link, peer.address.clone()));
        let was_ready = matches!(self.state, State::Opening { .. } | State::Streaming { .. });
        if let Some((link, _)) = &peer {
            self.drop_link(*link, !is_closed);
        }
        // One member may be restarted alone for maintenance while the others serve.
        let elsewhere = matches!(error, SessionError::Standalone { .. })
            && (self.was_open || 1 < self.topology.len());
        if error.recovery() == Recovery::Stop && !elsewhere {
            self.state = State::Failed { error: error.clone() };
            return Err(error);
        }
        let address = peer.map(|(_, address)| address).or(error.address().cloned());
        let reason = error.to_string();
        if let Some(address) = &address {
            self.topology.note(address, reason.clone());
        }
        self.last_error = Some(reason.clone());
        let round_is_over = !self.topology.has_untried();
        if was_ready || round_is_over {
            self.topology.begin_round(address.as_ref().filter(|_| was_ready));
            self.state = State::Waiting { until: self.backoff.fail(now) };
            self.interrupted = Some(reason);
        } else {
            self.state = State::Waiting { until: now };
        }
        self.check_selection(now)
    }

    /// Fails if the time to find a primary at the start is over.
    fn check_selection(&mut self, now: Instant) -> Result<(), SessionError> {
        let timeout = self.config.server_selection_timeout;
        let selecting = match self.state {
            State::Waiting { .. } | State::Connecting { .. } | State::Handshake { .. } => true,
            State::Opening { .. }
            | State::Streaming { .. }
            | State::Measuring { .. }
            | State::Failed { .. } => false,
        };
        if self.was_open || !selecting || now < self.selecting_since + timeout {
            return Ok(());
        }
        if let Some((peer, _)) = self.peer() {
            let link = peer.link;
            self.drop_link(link, true);
        }
        let error = SessionError::Unreachable { timeout, tried: self.topology.reasons() };
        self.state = State::Failed { error: error.clone() };
        Err(error)
    }

    /// Forgets the event that was begun: its fragments come again.
    fn forget_fragments(&mut self) {
        if let Some(fragments) = &mut self.fragments {
            fragments.reset();
        }
    }

    /// Drops everything that belongs to the connection, what is yet to be sent included.
    fn drop_link(&mut self, link: LinkId, is_open: bool) {
        self.inbox.clear();
        self.reader.reset();
        self.forget_fragments();
        self.commands.retain(|command| matches!(command, LinkCommand::Close { .. }));
        if is_open {
            self.commands.push_back(LinkCommand::Close { link });
        }
    }

    fn peer(&self) -> Option<(&Peer, Doing)> {
        match &self.state {
            State::Connecting { peer, .. } => Some((peer, Doing::Connecting)),
            State::Handshake { peer, .. } => Some((peer, Doing::Handshaking)),
            State::Opening { peer, .. } => Some((peer, Doing::Opening)),
            State::Streaming { peer, stream } => Some((peer, stream.doing)),
            State::Measuring { peer, .. } => Some((peer, Doing::Measuring)),
            State::Waiting { .. } | State::Failed { .. } => None,
        }
    }

    /// How long nothing may come before the connection counts as dead.
    fn silence_max(&self) -> Duration {
        let await_time = Duration::from_millis(self.config.watch.await_time_ms_used());
        let patience = |first: Duration| {
            first.saturating_mul(1_u32 << self.silences.min(16)).min(TIMEOUT_MAX.max(first))
        };
        match &self.state {
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Measuring { .. }
            | State::Failed { .. } => HANDSHAKE_TIMEOUT,
            State::Opening { .. } => patience(OPENING_TIMEOUT),
            State::Streaming { .. } => patience(await_time + STREAMING_TIMEOUT),
        }
    }
}
