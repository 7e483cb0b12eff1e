//! One connection to the primary that asks one command after the other and reads the answers.
//!
//! ```text
//!            ┌──── another server, or wait ◄─────┬───────────┬──────────┐ Retry
//!            ▼                                   │           │          │
//!  Waiting ──► Connecting ──► Handshake ──► Idle ──► ask ──► Asked ──► Idle
//! ```
//!
//! A cursor is read to its end: its first batch, then one `getMore` with exhaust, which the server answers batch after
//! batch unasked. What was asked when the connection was lost is forgotten, and said: who asked it asks again. A
//! machine: it opens no connection and reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::piece::Namespace;
use crate::inbox::Inbox;
use crate::link::{Address, LinkCommand, LinkId, LinkIds, Protocol};
use crate::mongo::bson::RawDoc;
use crate::mongo::bson_write::DocWriter;
use crate::mongo::error_codes::ServerError;
use crate::mongo::handshake::Handshake;
use crate::mongo::peer::{
    BACKOFF_FIRST, BACKOFF_MAX, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, Peer, SEGMENT_BYTES,
};
use crate::mongo::quiet::Quiet;
use crate::mongo::reply::{Reply, ReplyError, ReplyReader};
use crate::mongo::server_api::{ServerApi, encode_with_api};
use crate::mongo::session::SessionConfig;
use crate::mongo::session_error::{Doing, SessionError};
use crate::mongo::topology::Topology;
use crate::recovery::{Backoff, Recovery};

/// Largest reply that is taken in whole, and the largest document. Bytes.
const REPLY_BYTES_MAX: usize = 17 << 20;
/// A pipeline may work long before its first document; doubled with each silence.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

mod listening;

/// How a command is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// By one reply without a cursor.
    Whole,
    /// By the first batch of a cursor, which is then left open.
    FirstBatch(Doing),
    /// By all batches of a cursor. `getMore` names the collection.
    Cursor(Namespace),
}

impl Answer {
    fn doing(&self) -> Doing {
        match self {
            Self::FirstBatch(doing) => *doing,
            Self::Whole | Self::Cursor(_) => Doing::Copying,
        }
    }
}

/// What a look at the connection came to.
#[derive(Debug)]
pub(super) enum Heard {
    /// More bytes are needed.
    Wait,
    /// The connection is open and nothing is asked.
    Idle,
    /// An answer that is whole: see [`Reader::body`], then [`Reader::take_whole`].
    Whole,
    /// A document of the cursor lies at the front: see [`Reader::document`].
    Document,
    /// The cursor, or its first batch, was read to its end; see [`Reader::reply`].
    End,
    /// The server cannot do what was asked, now or later. The connection is idle again.
    Refused(Box<ServerError>),
    /// The connection is lost, and with it what was asked.
    Interrupted { reason: String, attempt: u32 },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    /// What every command asks for.
    api: Option<ServerApi>,
    state: State,
    topology: Topology,
    inbox: Inbox,
    reply: ReplyReader,
    quiet: Quiet,
    /// Silences in a row that ended a connection.
    silences: u32,
    backoff: Backoff,
    commands: VecDeque<LinkCommand>,
    last_request: i32,
    exhaust_refused: bool,
    /// Since when a primary is looked for, if finding none in time is an error.
    selecting_since: Option<Instant>,
    interrupted: Option<String>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Connecting { peer: Peer, until: Instant },
    Handshake { peer: Peer, handshake: Box<Handshake>, asked: i32 },
    Idle { peer: Peer },
    Asked { peer: Peer, answer: Answer, asked: i32 },
}

impl Reader {
    /// A reader that has done nothing yet. With `is_first` it is an error to find no primary in time.
    pub(super) fn new(config: &SessionConfig, is_first: bool, now: Instant) -> Self {
        Self {
            api: config.server_api,
            state: State::Waiting { until: now },
            topology: Topology::new(&config.seeds),
            inbox: Inbox::new(SEGMENT_BYTES, REPLY_BYTES_MAX).within(config.memory.loan(0)),
            reply: ReplyReader::default(),
            quiet: Quiet::new(now),
            silences: 0,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            commands: VecDeque::new(),
            last_request: 0,
            exhaust_refused: false,
            selecting_since: is_first.then_some(now),
            interrupted: None,
        }
    }

    /// What the driver is to do.
    pub(super) fn poll(&mut self, ids: &mut LinkIds, now: Instant) -> Option<LinkCommand> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        let State::Waiting { until } = self.state else { return None };
        if now < until {
            return None;
        }
        let address = self.topology.next_address()?;
        let link = ids.next_id();
        let peer = Peer { link, address: address.clone(), exhaust: false };
        self.state = State::Connecting { peer, until: now + CONNECT_TIMEOUT };
        Some(LinkCommand::Connect { link, address, protocol: Protocol::Mongodb })
    }

    /// When to call [`Reader::handle_timeout`], then [`Reader::poll`].
    pub(super) fn deadline(&self, config: &SessionConfig) -> Option<Instant> {
        let own = match &self.state {
            State::Waiting { until } | State::Connecting { until, .. } => Some(*until),
            State::Handshake { .. } | State::Asked { .. } => {
                self.quiet.deadline(self.silence_max())
            }
            State::Idle { .. } => None,
        };
        let selection = self.selecting_since.map(|since| since + config.server_selection_timeout);
        own.into_iter().chain(selection).min()
    }

    /// The connection is open. `nonce` must be random and new.
    pub(super) fn handle_connected(
        &mut self,
        config: &SessionConfig,
        nonce: [u8; 24],
        now: Instant,
    ) {
        let State::Connecting { peer, .. } = &self.state else { return };
        let (peer, handshake) = (peer.clone(), Box::new(Handshake::new(nonce)));
        let asked = self.next_request();
        let hello = handshake.command(config, asked);
        self.send(peer.link, hello, now);
        self.state = State::Handshake { peer, handshake, asked };
    }

    /// The connection was lost, or never came to be.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub(super) fn handle_closed(
        &mut self,
        config: &SessionConfig,
        reason: &str,
        now: Instant,
    ) -> Result<(), SessionError> {
        let Some((peer, doing)) = self.peer() else { return Ok(()) };
        let address = peer.address.clone();
        self.fail(SessionError::Closed { address, doing, reason: reason.to_owned() }, config, now)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`SessionError::Unreachable`], if the time to find a primary is over.
    pub(super) fn handle_timeout(
        &mut self,
        config: &SessionConfig,
        now: Instant,
    ) -> Result<(), SessionError> {
        self.check_selection(config, now)?;
        let silence_max = self.silence_max();
        let waited = match &self.state {
            State::Connecting { until, .. } if *until <= now => CONNECT_TIMEOUT,
            State::Handshake { .. } | State::Asked { .. }
                if self.quiet.is_over(self.inbox.unread_bytes(), silence_max, now) =>
            {
                if matches!(self.state, State::Asked { .. }) {
                    self.silences = self.silences.saturating_add(1);
                }
                silence_max
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Idle { .. }
            | State::Asked { .. } => return Ok(()),
        };
        let Some((peer, doing)) = self.peer() else { return Ok(()) };
        let address = peer.address.clone();
        self.fail(SessionError::Silent { address, doing, waited }, config, now)
    }

    /// The connection, if there is one or is to be one.
    pub(super) fn link(&self) -> Option<LinkId> {
        self.peer().map(|(peer, _)| peer.link)
    }

    /// Whether the connection is open and nothing is asked.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    /// The server at the other end.
    pub(super) fn address(&self) -> Option<&Address> {
        self.peer().map(|(peer, _)| &peer.address)
    }

    /// Where the driver puts what the connection received.
    pub(super) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Asks, once [`Heard::Idle`] was said. Elsewhere it changes nothing.
    pub(super) fn ask(
        &mut self,
        answer: Answer,
        now: Instant,
        fill: impl FnOnce(&mut DocWriter<'_>),
    ) {
        let State::Idle { peer } = &self.state else { return };
        let peer = peer.clone();
        let asked = self.next_request();
        self.send(peer.link, encode_with_api(self.api, asked, false, fill), now);
        self.state = State::Asked { peer, answer, asked };
    }

    /// The document that was said last, where it lies.
    ///
    /// # Errors
    /// [`SessionError::Reply`] if its frame is broken.
    pub(super) fn document(&self) -> Result<RawDoc<'_>, SessionError> {
        self.reply.event(&self.inbox).map_err(|error| self.malformed(ReplyError::Bson(error)))
    }

    /// The answer that is whole.
    ///
    /// # Errors
    /// [`SessionError::Reply`].
    pub(super) fn body(&mut self) -> Result<RawDoc<'_>, SessionError> {
        let address = self.address().cloned();
        let reply = ReplyReader::whole(&mut self.inbox, REPLY_BYTES_MAX);
        match (reply, address) {
            (Ok(Some((_, body))), _) => Ok(body),
            (Err(error), Some(address)) => Err(SessionError::Reply { address, error }),
            (Ok(None), _) | (Err(_), None) => Ok(RawDoc::EMPTY),
        }
    }

    /// Takes off the answer that is whole; the connection is idle again.
    pub(super) fn take_whole(&mut self) {
        if let Ok(Some((header, _))) = ReplyReader::whole(&mut self.inbox, REPLY_BYTES_MAX) {
            ReplyReader::skip_whole(&mut self.inbox, header);
        }
        self.rest();
    }

    /// All of the last reply but its documents.
    pub(super) fn reply(&self) -> &Reply {
        self.reply.reply()
    }

    /// An error for bytes of this server that are no valid answer.
    pub(super) fn malformed(&self, error: ReplyError) -> SessionError {
        let address = self.address().cloned().unwrap_or_else(|| Address::new("", 0));
        SessionError::Reply { address, error }
    }
}

/// What the other parts share.
impl Reader {
    fn next_request(&mut self) -> i32 {
        self.last_request = self.last_request.wrapping_add(1);
        self.last_request
    }

    fn send(&mut self, link: LinkId, message: Bytes, now: Instant) {
        self.commands.push_back(LinkCommand::Send { link, segments: vec![message] });
        self.quiet.restart(now);
    }

    fn rest(&mut self) {
        if let State::Asked { peer, .. } = &self.state {
            self.state = State::Idle { peer: peer.clone() };
        }
    }

    /// Gives up the connection and decides what follows. `Err`: nothing can.
    fn fail(
        &mut self,
        error: SessionError,
        config: &SessionConfig,
        now: Instant,
    ) -> Result<(), SessionError> {
        let peer = self.peer().map(|(peer, _)| (peer.link, peer.address.clone()));
        let was_ready = matches!(self.state, State::Idle { .. } | State::Asked { .. });
        if let Some((link, _)) = &peer {
            self.inbox.clear();
            self.reply.reset();
            self.commands.retain(|command| matches!(command, LinkCommand::Close { .. }));
            if !matches!(error, SessionError::Closed { .. }) {
                self.commands.push_back(LinkCommand::Close { link: *link });
            }
        }
        if error.recovery() == Recovery::Stop {
            self.state = State::Waiting { until: now + BACKOFF_MAX };
            return Err(error);
        }
        let reason = error.to_string();
        let address = peer.map(|(_, address)| address);
        if let Some(address) = &address {
            self.topology.note(address, reason.clone());
        }
        self.state = State::Waiting { until: now };
        if was_ready || !self.topology.has_untried() {
            self.topology.begin_round(address.as_ref().filter(|_| was_ready));
            self.state = State::Waiting { until: self.backoff.fail(now) };
            self.interrupted = Some(reason);
        }
        self.check_selection(config, now)
    }

    fn check_selection(&self, config: &SessionConfig, now: Instant) -> Result<(), SessionError> {
        let timeout = config.server_selection_timeout;
        match self.selecting_since {
            Some(since) if since + timeout <= now => {
                Err(SessionError::Unreachable { timeout, tried: self.topology.reasons() })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn peer(&self) -> Option<(&Peer, Doing)> {
        match &self.state {
            State::Connecting { peer, .. } => Some((peer, Doing::Connecting)),
            State::Handshake { peer, .. } => Some((peer, Doing::Handshaking)),
            State::Idle { peer } => Some((peer, Doing::Copying)),
            State::Asked { peer, answer, .. } => Some((peer, answer.doing())),
            State::Waiting { .. } => None,
        }
    }

    /// How long nothing may come before the connection counts as dead.
    fn silence_max(&self) -> Duration {
        match &self.state {
            State::Asked { .. } => {
                ANSWER_TIMEOUT.saturating_mul(1 << self.silences.min(8)).min(ANSWER_TIMEOUT_MAX)
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Handshake { .. }
            | State::Idle { .. } => HANDSHAKE_TIMEOUT,
        }
    }
}
