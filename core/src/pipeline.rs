//! Owns every machine of one replication stream and joins them; the only file that sees both peers.
//!
//! ```text
//!   Source (copy, then Session) ── event ──► RecordMaker ── key, value ──► Client (open batch)
//!                 │                                                 │
//!                 └── position ──► Progress ◄──── acknowledged ─────┘
//!                                     │
//!                                  SafeToken ──► Storing: the driver's file or the offset topic
//! ```
//!
//! The driver tells what happened (`handle_*`), calls [`Pipeline::work`] while that returns `true`
//! and [`Pipeline::poll`] until that returns `None`, then waits for a completion or for
//! [`Pipeline::deadline`].
//!
//! Back-pressure is bytes: while the client has no room, no event is taken, the inbox fills and the
//! socket is not read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::inbox::Space;
use crate::kafka::{
    Acknowledged, Client, ClientConfig, NewTopic, Notice, SealId, SealJob, SealedJob, partitioner,
};
use crate::link::{LinkCommand, LinkId, LinkIds};
use crate::mongo::session::{Item, ResumePosition, SessionConfig};
use crate::progress::{Progress, SafeToken};

#[cfg(test)]
mod copied;
mod dead_letters;
mod error;
mod heartbeat;
#[cfg(test)]
mod large_events;
#[cfg(test)]
mod lost_position;
mod outbound;
#[cfg(test)]
mod peers;
mod records;
mod source;
mod stats;
#[cfg(test)]
mod steady_state;
mod storing;
mod transformed;
#[cfg(test)]
mod written;

pub use dead_letters::DeadLetterConfig;
pub use error::PipelineError;
pub use heartbeat::HeartbeatConfig;
pub use records::{KeyDocument, Publish, RecordConfig};
pub use source::{CopyConfig, LostPositionPolicy};
pub use stats::PipelineStats;
pub use storing::OffsetTopic;
pub use transformed::{HeaderConverter, TransformConfig};

use heartbeat::Heartbeats;
use outbound::{Outbound, Taken};
use records::RecordMaker;
use source::Source;
use stats::Counts;
use storing::{Storing, Writing};

/// Events taken before the driver gets to look at its sockets again: about 0.1 ms of work.
const EVENTS_PER_SLICE: usize = 128;
/// How long nothing must have come before the memory that holds nothing is returned.
const REST_BEFORE_RELEASE: Duration = Duration::from_secs(1);

/// What one pipeline is made of.
#[derive(Debug)]
pub struct PipelineConfig {
    /// The MongoDB side.
    pub session: SessionConfig,
    /// Where the stream begins.
    pub start: ResumePosition,
    /// What is copied before the stream, which then begins where the copy was begun; `None`: nothing.
    pub copy: Option<CopyConfig>,
    /// What follows when the server no longer knows the position.
    pub lost_position: LostPositionPolicy,
    /// The record of gaps that was stored with the position.
    pub gaps: Option<String>,
    /// The Kafka side.
    pub client: ClientConfig,
    /// How events become records.
    pub records: RecordConfig,
    /// How missing topics are created; `None`: by the broker, with its defaults.
    pub create_topics: Option<NewTopic>,
    /// Where changes go that cannot be written; `None`: such a change ends the task.
    pub dead_letters: Option<DeadLetterConfig>,
    /// Records for idle times; `None`: none.
    pub heartbeats: Option<HeartbeatConfig>,
    /// Where positions are stored; `None`: the driver does it.
    pub offset_topic: Option<OffsetTopic>,
    /// The least time between two stored positions.
    pub store_interval: Duration,
}

/// What a pipeline wants.
#[derive(Debug)]
pub enum Output {
    /// Do this on the network.
    Link(LinkCommand),
    /// Run this on another thread, then call [`Pipeline::handle_sealed`].
    Seal(Box<SealJob>),
    /// Store this position, then call [`Pipeline::handle_stored`].
    Store(SafeToken),
    /// The stream is open, or its place behind a copy known, and that is stored. Said once.
    Running,
    /// Records are in this topic. Said at least once for each topic, and again after
    /// [`Pipeline::forget_written`].
    Written(String),
    /// Something that an operator should know went wrong and was dealt with.
    Warning(String),
    /// Something that an operator may want to know.
    Notice(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The stream is not open, or its opening position is not stored.
    Opening {
        opened: bool,
    },
    Running,
    Stopping,
}

/// Whether there is something to do, and if not, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Busy,
    /// Memory is returned at this time.
    Until(Instant),
    Released,
}

/// See the module.
#[derive(Debug)]
pub struct Pipeline {
    ids: LinkIds,
    source: Source,
    outbound: Outbound,
    heartbeats: Option<Heartbeats>,
    storing: Storing,
    phase: Phase,
    /// Whether a task killed now would begin at the same place again without a stored position.
    start_is_kept: bool,
    /// Events taken when the last mark was set.
    marked_event: u64,
    counts: Counts,
    rest: Rest,
    said: VecDeque<Output>,
}

impl Pipeline {
    /// A pipeline that has done nothing yet.
    pub fn new(config: PipelineConfig, now: Instant) -> Self {
        let mut client = Client::new(config.client, now);
        let offset_topic = config.offset_topic.map(|topic| {
            let id = client.topic(&topic.name, Some(&topic.create));
            (id, topic)
        });
        let start_is_kept = match (&config.copy, &config.start) {
            (Some(copy), _) => copy.resumed.is_some(),
            (None, ResumePosition::Now) => false,
            (None, ResumePosition::AtOperationTime { .. } | ResumePosition::After(_)) => true,
        };
        let maker = RecordMaker::new(config.records);
        let mut outbound = Outbound::new(client, maker, config.create_topics, config.dead_letters);
        outbound.progress = Progress::with_gaps(config.gaps);
        Self {
            ids: LinkIds::default(),
            source: Source::new(
                config.session,
                config.start,
                config.copy,
                config.lost_position,
                now,
            ),
            outbound,
            heartbeats: config.heartbeats.map(Heartbeats::new),
            storing: Storing::new(offset_topic, config.store_interval, now),
            phase: Phase::Opening { opened: false },
            start_is_kept,
            marked_event: 0,
            counts: Counts::default(),
            rest: Rest::Busy,
            said: VecDeque::new(),
        }
    }

    /// Takes a bounded slice of what was received. `true`: there is more, call again.
    ///
    /// `unix_ms` becomes the timestamp of the records.
    pub fn work(&mut self, now: Instant, unix_ms: i64) -> Result<bool, PipelineError> {
        let events_before = self.outbound.progress.events();
        let more = self.take_slice(now, unix_ms);
        if events_before != self.outbound.progress.events() {
            self.rest = Rest::Busy;
        }
        more
    }

    fn take_slice(&mut self, now: Instant, unix_ms: i64) -> Result<bool, PipelineError> {
        if self.phase == Phase::Stopping
            || self.outbound.retry_waiting(unix_ms)? == Taken::TopicNotReady
        {
            self.outbound.client.set_starving(true);
            return Ok(false);
        }
        self.heartbeat_that_waits(unix_ms)?;
        for _ in 0..EVENTS_PER_SLICE {
            if !self.outbound.client.has_room() {
                // Many half-full batches may hold the room: they must go out to make some.
                self.outbound.client.set_starving(true);
                return Ok(false);
            }
            let item = match self.source.next_item(now) {
                Ok(item) => item,
                Err(error) => {
                    self.source.restart(error, now)?;
                    continue;
                }
            };
            match item {
                Some(Item::Event(event)) => match self.outbound.take(event, unix_ms)? {
                    Taken::Done => self.mark_sometimes(self.source.events_per_mark(false)),
                    Taken::TopicNotReady => break,
                },
                Some(Item::BatchEnd) => {
                    self.counts.lag_s = self.source.lag_s();
                    self.heartbeat_if_idle(now, unix_ms)?;
                    self.mark();
                }
                Some(Item::Opened) => self.opened(),
                Some(Item::Interrupted { reason, attempt }) => {
                    self.counts.interruptions += 1;
                    let text = format!("MongoDB: {reason}; attempt {attempt} to go on");
                    self.said.push_back(Output::Warning(text));
                }
                None => {
                    self.mark_sometimes(self.source.events_per_mark(true));
                    self.outbound.client.set_starving(true);
                    return Ok(false);
                }
            }
        }
        self.outbound.client.set_starving(false);
        Ok(true)
    }

    /// The next wish; `None`: nothing until something happens or [`Pipeline::deadline`] passes.
    pub fn poll(&mut self, now: Instant, unix_ms: i64) -> Result<Option<Output>, PipelineError> {
        if let Some(said) = self.said.pop_front() {
            return Ok(Some(said));
        }
        self.settle_acknowledged(unix_ms);
        if let Some(output) = self.store(now, unix_ms)? {
            return Ok(Some(output));
        }
        if let Phase::Opening { opened: true } = self.phase
            && (self.start_is_kept || self.storing.has_stored())
        {
            self.phase = Phase::Running;
            return Ok(Some(Output::Running));
        }
        if let Some(topic) = self.next_written() {
            return Ok(Some(Output::Written(topic)));
        }
        if let Some(namespace) = self.outbound.maker.next_unrouted() {
            let text = format!(
                "no topic set: topic.namespace.map leaves no name for {namespace}, so its changes \
                 are not published"
            );
            return Ok(Some(Output::Warning(text)));
        }
        if let Some(said) = self.outbound.next_said() {
            return Ok(Some(Output::Warning(said)));
        }
        if let Some(notice) = self.outbound.client.next_notice() {
            return Ok(Some(match notice {
                Notice::Warning(text) => Output::Warning(format!("Kafka: {text}")),
                Notice::Info(text) => Output::Notice(format!("Kafka: {text}")),
            }));
        }
        if let Some(command) = self.source.poll(&mut self.ids, now) {
            return Ok(Some(Output::Link(command)));
        }
        let command = self.outbound.client.poll(&mut self.ids, now);
        if command.is_none() && self.rest == Rest::Busy && self.outbound.client.is_idle() {
            self.rest = Rest::Until(now + REST_BEFORE_RELEASE);
        }
        Ok(match command {
            Some(command) => Some(Output::Link(command)),
            // Whatever closes a batch does so before the client wants nothing more.
            None => self.outbound.client.next_seal_job().map(Box::new).map(Output::Seal),
        })
    }

    /// When [`Pipeline::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let progress = &self.outbound.progress;
        let storing = self.storing.deadline(progress.has_safe_token());
        let release = match self.rest {
            Rest::Until(at) => Some(at),
            Rest::Busy | Rest::Released => None,
        };
        [self.source.deadline(), self.outbound.client.deadline(), storing, release]
            .into_iter()
            .flatten()
            .min()
    }

    /// A connection is open. `nonce` is random; authentication uses it.
    pub fn handle_connected(
        &mut self,
        link: LinkId,
        nonce: [u8; 24],
        now: Instant,
    ) -> Result<(), PipelineError> {
        if self.source.inbox(link).is_some() {
            self.source.handle_connected(link, nonce, now)?;
        } else {
            self.outbound.client.handle_connected(link, now);
        }
        Ok(())
    }

    /// A connection was lost or never came to be.
    pub fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &str,
        now: Instant,
    ) -> Result<(), PipelineError> {
        if self.source.inbox(link).is_some() {
            self.source.handle_closed(link, reason, now)?;
        } else {
            self.outbound.client.handle_closed(link, reason, now)?;
        }
        Ok(())
    }

    /// A buffer to read into; `None`: the link is unknown, or enough is read ahead.
    pub fn take_space(&mut self, link: LinkId) -> Option<Space> {
        if let Some(inbox) = self.source.inbox(link) {
            return inbox.take_space();
        }
        self.outbound.client.inbox(link)?.take_space()
    }

    /// The buffer comes back with `count` new bytes.
    pub fn handle_received(
        &mut self,
        link: LinkId,
        space: Space,
        count: usize,
        now: Instant,
    ) -> Result<(), PipelineError> {
        self.counts.reads += u64::from(count != 0);
        if let Some(inbox) = self.source.inbox(link) {
            inbox.give_back(space, count);
        } else if let Some(inbox) = self.outbound.client.inbox(link) {
            inbox.give_back(space, count);
            self.outbound.client.handle_received(link, now)?;
        }
        Ok(())
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PipelineError> {
        self.source.handle_timeout(now)?;
        self.outbound.client.handle_timeout(now)?;
        if let Rest::Until(at) = self.rest
            && at <= now
        {
            self.rest = Rest::Released;
            self.source.release_memory();
            self.outbound.client.release_memory();
        }
        Ok(())
    }

    /// A batch was sealed on another thread.
    pub fn handle_sealed(&mut self, job: SealedJob) {
        self.outbound.client.handle_sealed(job);
    }

    /// A batch was lost on another thread: why the pipeline cannot go on.
    pub fn seal_lost(&self, id: SealId, reason: &str) -> PipelineError {
        self.outbound.client.seal_lost(id, reason).into()
    }

    /// The position last asked for is stored, or could not be.
    pub fn handle_stored(&mut self, result: Result<(), String>) -> Result<(), PipelineError> {
        self.storing.ended(result.is_ok());
        result.map_err(PipelineError::Store)
    }

    /// Says again which topics records are in, as further ones are acknowledged.
    pub fn forget_written(&mut self) {
        self.outbound.client.forget_written();
    }

    /// Takes no further events; what was taken is sent, acknowledged and its position stored.
    pub fn stop(&mut self) {
        if !self.outbound.forget_waiting() && self.phase != Phase::Stopping {
            self.mark_sometimes(1);
        }
        self.phase = Phase::Stopping;
        self.outbound.client.flush();
    }

    /// Whether more may be taken in before brokers have acknowledged something.
    pub fn has_room(&mut self) -> bool {
        self.outbound.client.has_room()
    }

    /// Whether a stopping pipeline has nothing left to do.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Stopping
            && self.outbound.client.is_idle()
            && !self.storing.is_writing()
            && !self.outbound.progress.has_safe_token()
    }

    fn opened(&mut self) {
        self.counts.openings += 1;
        if let Some(gap) = self.source.take_gap() {
            self.counts.gaps += 1;
            self.outbound.progress.gap(&gap);
            self.said.push_back(Output::Warning(gap.told()));
            // Whoever were killed now would skip more, or other things, when he begins again.
            self.start_is_kept = false;
            self.mark();
        }
        if let Phase::Opening { opened } = &mut self.phase {
            *opened = true;
            self.mark();
        }
    }

    /// Notes where the stream stands, behind everything taken so far.
    fn mark(&mut self) {
        if let Some(position) = self.source.position() {
            self.outbound.progress.mark(position);
            self.marked_event = self.outbound.progress.events();
        }
    }

    /// At the end of a batch. Until the opening position is stored nothing is written.
    fn heartbeat_if_idle(&mut self, now: Instant, unix_ms: i64) -> Result<(), PipelineError> {
        match (&mut self.heartbeats, self.source.token()) {
            (Some(heartbeats), Some(token)) if self.phase == Phase::Running => {
                heartbeats.batch_ended(token, &mut self.outbound, now, unix_ms)
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn heartbeat_that_waits(&mut self, unix_ms: i64) -> Result<(), PipelineError> {
        match (&mut self.heartbeats, self.source.token()) {
            (Some(heartbeats), Some(token)) => {
                heartbeats.write_if_waiting(token, &mut self.outbound, unix_ms)
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Marks if `events` were taken since the last mark.
    fn mark_sometimes(&mut self, events: u64) {
        if self.marked_event + events <= self.outbound.progress.events() {
            self.mark();
        }
    }

    fn settle_acknowledged(&mut self, unix_ms: i64) {
        let Outbound { client, progress, .. } = &mut self.outbound;
        while let Some(Acknowledged { batch, records, is_whole }) = client.next_acknowledged() {
            if let Some(made_at_ms) = progress.made_at_ms(batch) {
                self.counts.latency.observe(unix_ms.saturating_sub(made_at_ms), records);
            }
            if is_whole && !self.storing.acknowledged(batch) {
                progress.acknowledged(batch);
            }
        }
    }

    /// A topic with records; the one with positions does not count.
    fn next_written(&mut self) -> Option<String> {
        let offsets = self.storing.topic_and_key().map(|(topic, _)| topic);
        while let Some((topic, name)) = self.outbound.client.next_written() {
            if Some(topic) != offsets {
                return Some(name.to_owned());
            }
        }
        None
    }

    /// Begins to store the newest safe position, if it is time to.
    fn store(&mut self, now: Instant, unix_ms: i64) -> Result<Option<Output>, PipelineError> {
        let at_once = self.phase != Phase::Running;
        if !self.storing.may_begin(now, at_once) {
            return Ok(None);
        }
        let Some((topic, key)) = self.storing.topic_and_key() else {
            let Some(token) = self.outbound.progress.take_safe_token() else { return Ok(None) };
            self.storing.begun(Writing::ByDriver, token.cluster_time(), now);
            return Ok(Some(Output::Store(token)));
        };
        let Some(facts) = self.outbound.client.topic_ready(topic) else {
            self.storing.postpone(now);
            return Ok(None);
        };
        let Some(token) = self.outbound.progress.take_safe_token() else { return Ok(None) };
        let value = storing::offset_value(&token)?;
        let partition = partitioner::partition_for_key(key, facts.partitions);
        let client = &mut self.outbound.client;
        let batch = client
            .append(topic, partition, Some(key), unix_ms, value.len(), |out| {
                out.extend_from_slice(&value);
            })
            .map_err(|error| PipelineError::Store(error.to_string()))?
            .batch;
        client.seal(batch);
        self.storing.begun(Writing::Batch(batch), token.cluster_time(), now);
        Ok(None)
    }
}
