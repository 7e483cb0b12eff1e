//! One connection to a broker: which answers are awaited, in which order, and since when.
//!
//! ```text
//!  Connecting ── open ──► Versions ── answered ──► Ready ── closed ──► its open calls are left
//!                            └──► Authenticating ──►┘ ▲
//!                              where SASL is wanted   └──► Renewing, before the session ends
//! ```
//!
//! Brokers answer the requests of a connection in order, so what is expected is a queue. What an
//! answer means is not known here: it is handed out with the [`Call`] that it belongs to.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::inbox::Inbox;
use crate::kafka::api::Api;
use crate::kafka::partition::PartitionSlot;
use crate::kafka::sasl::Conversation;
use crate::kafka::topics::TopicId;
use crate::kafka::wire::{FRAME_BYTES_MAX, Reader, WireError, next_frame};
use crate::link::LinkId;

/// Longest wait for a connection to open, and for the first answer on it.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// One read takes up to this many bytes; answers are small.
const READ_BYTES: usize = 16 * 1024;

/// One batch of a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) slot: PartitionSlot,
    /// Names the batch among those of the partition.
    pub(super) serial: u64,
}

/// What was asked, to know what an answer is about.
#[derive(Debug)]
pub(super) enum Call {
    ApiVersions,
    SaslHandshake,
    /// Boxed: every other call is small, and there is one for each request.
    SaslAuthenticate(Box<Conversation>),
    Metadata,
    /// Metadata of one topic, which the broker may create.
    AutoCreate(TopicId),
    CreateTopic(TopicId),
    DescribeConfigs(TopicId),
    InitProducerId,
    ListOffsets(PartitionSlot),
    Fetch(PartitionSlot),
    Produce(Vec<Sent>),
}

impl Call {
    pub(super) fn api(&self) -> Api {
        match self {
            Self::ApiVersions => Api::ApiVersions,
            Self::SaslHandshake => Api::SaslHandshake,
            Self::SaslAuthenticate(_) => Api::SaslAuthenticate,
            Self::Metadata | Self::AutoCreate(_) => Api::Metadata,
            Self::CreateTopic(_) => Api::CreateTopics,
            Self::DescribeConfigs(_) => Api::DescribeConfigs,
            Self::InitProducerId => Api::InitProducerId,
            Self::ListOffsets(_) => Api::ListOffsets,
            Self::Fetch(_) => Api::Fetch,
            Self::Produce(_) => Api::Produce,
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Versions,
    Authenticating,
    Ready,
    /// Logging in again: until that is done the broker takes nothing else. What was asked before is
    /// still answered, first.
    Renewing,
}

/// An answer that lies whole at the front of the inbox.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) call: Call,
    body: Range<usize>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: LinkId,
    pub(super) phase: Phase,
    /// When to log in again.
    pub(super) renew_at: Option<Instant>,
    pub(super) inbox: Inbox,
    next_correlation: i32,
    expected: VecDeque<(i32, Call)>,
    /// When the wait for the next answer began: at the answer before, or at the request if none was
    /// open.
    waiting_since: Instant,
    /// Produce requests among the expected.
    produces: usize,
}

impl Connection {
    pub(super) fn new(link: LinkId, now: Instant) -> Self {
        Self {
            link,
            phase: Phase::Connecting,
            renew_at: None,
            inbox: Inbox::new(READ_BYTES, FRAME_BYTES_MAX + READ_BYTES),
            next_correlation: 0,
            expected: VecDeque::new(),
            waiting_since: now,
            produces: 0,
        }
    }

    /// Awaits one more answer and returns the correlation id for its request.
    pub(super) fn expect(&mut self, call: Call, now: Instant) -> i32 {
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1) & i32::MAX;
        if self.expected.is_empty() {
            self.waiting_since = now;
        }
        if let Call::Produce(_) = call {
            self.produces += 1;
        }
        self.expected.push_back((correlation, call));
        correlation
    }

    /// The next answer, once all of it was received. It stays in the inbox until
    /// [`Connection::consume`].
    pub(super) fn next_answer(&mut self, now: Instant) -> Result<Option<Answer>, WireError> {
        let Some(size) = next_frame(&mut self.inbox)? else { return Ok(None) };
        let frame = self.inbox.bytes().get(4..size + 4).unwrap_or_default();
        let mut reader = Reader::new(frame);
        let Some((wanted, call)) = self.expected.pop_front() else {
            return Err(WireError::Unasked);
        };
        if let Call::Produce(_) = call {
            self.produces -= 1;
        }
        self.waiting_since = now;
        let header = call.api().read_header(&mut reader);
        let body = size + 4 - reader.left()..size + 4;
        match header {
            Ok(got) if got == wanted => Ok(Some(Answer { call, body })),
            Ok(got) => Err(self.put_back(wanted, call, WireError::Correlation { wanted, got })),
            Err(error) => Err(self.put_back(wanted, call, error)),
        }
    }

    /// The answer is none: the call is open until the connection is given up.
    fn put_back(&mut self, correlation: i32, call: Call, error: WireError) -> WireError {
        if let Call::Produce(_) = call {
            self.produces += 1;
        }
        self.expected.push_front((correlation, call));
        error
    }

    /// The bytes of an answer behind its header.
    pub(super) fn body(&self, answer: &Answer) -> Reader<'_> {
        Reader::new(self.inbox.bytes().get(answer.body.clone()).unwrap_or_default())
    }

    /// Takes an answer out of the inbox.
    pub(super) fn consume(&mut self, answer: &Answer) {
        self.inbox.consume(answer.body.end);
    }

    /// When the broker has kept silent for too long.
    pub(super) fn deadline(&self, request_timeout: Duration) -> Option<Instant> {
        match self.phase {
            Phase::Connecting | Phase::Versions | Phase::Authenticating => {
                Some(self.waiting_since + OPENING_TIMEOUT.min(request_timeout))
            }
            Phase::Ready | Phase::Renewing => {
                (!self.expected.is_empty()).then(|| self.waiting_since + request_timeout)
            }
        }
    }

    /// Requests without an answer.
    pub(super) fn open_calls(&self) -> usize {
        self.expected.len()
    }

    /// Produce requests without an answer.
    pub(super) fn open_produces(&self) -> usize {
        self.produces
    }

    /// Gives the connection up; what was not answered.
    pub(super) fn into_calls(self) -> impl Iterator<Item = Call> {
        self.expected.into_iter().map(|(_, call)| call)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;
    use crate::link::LinkIds;

    fn receive(connection: &mut Connection, bytes: &[u8]) {
        let mut space = connection.inbox.take_space().unwrap();
        space.bytes[space.filled..][..bytes.len()].copy_from_slice(bytes);
        connection.inbox.give_back(space, bytes.len());
    }

    #[test]
    fn answers_belong_to_calls_in_the_order_of_asking() {
        let now = Instant::now();
        let mut connection = Connection::new(LinkIds::default().next_id(), now);
        assert_eq!(connection.expect(Call::ApiVersions, now), 0);
        assert_eq!(connection.expect(Call::InitProducerId, now), 1);
        receive(&mut connection, &[0, 0, 0, 5, 0, 0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 1]);
        let answer = connection.next_answer(now).unwrap().unwrap();
        assert!(matches!(answer.call, Call::ApiVersions));
        assert_eq!(connection.body(&answer).left(), 1);
        connection.consume(&answer);
        assert!(connection.next_answer(now).unwrap().is_none());
        receive(&mut connection, &[0, 9]);
        let answer = connection.next_answer(now).unwrap().unwrap();
        assert!(matches!(answer.call, Call::InitProducerId));
        assert_eq!(connection.body(&answer).i8(), Ok(9));
    }

    #[test]
    fn an_answer_to_something_else_leaves_the_call_open() {
        let now = Instant::now();
        let mut connection = Connection::new(LinkIds::default().next_id(), now);
        connection.expect(Call::Produce(Vec::new()), now);
        receive(&mut connection, &[0, 0, 0, 5, 0, 0, 0, 9, 0]);
        let error = connection.next_answer(now).unwrap_err();
        assert_eq!(error, WireError::Correlation { wanted: 0, got: 9 });
        assert_eq!((connection.open_calls(), connection.open_produces()), (1, 1));
    }

    #[test]
    fn the_wait_for_an_answer_begins_anew_with_each_answer() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(3));
        let later = start + Duration::from_secs(2);
        let mut connection = Connection::new(LinkIds::default().next_id(), start);
        connection.phase = Phase::Ready;
        assert_eq!(connection.deadline(timeout), None);
        connection.expect(Call::ApiVersions, start);
        connection.expect(Call::ApiVersions, start);
        assert_eq!(connection.deadline(timeout), Some(start + timeout));
        receive(&mut connection, &[0, 0, 0, 4, 0, 0, 0, 0]);
        connection.next_answer(later).unwrap().unwrap();
        assert_eq!(connection.deadline(timeout), Some(later + timeout));
    }
}
