//! Fills batches, puts them into requests, and keeps them until they are acknowledged.
//!
//! ```text
//!  append ──► open batch ──► queue of the partition ──► produce request, one batch per partition
//!                  closed when full, or when there is room in flight           │
//!                  and nothing more to append                                  ▼
//!  memory ◄──────────────── acknowledged, its id handed out ◄──────────────── answer
//! ```
//!
//! Batches form without waiting: an idle stream sends each record at once, a flood fills batches
//! while up to five requests per broker are in flight. `partition` keeps the order, `tail` resolves
//! doubts, `settled` compresses and keeps account. Sizes are bytes of whole batches: those of open
//! ones before they are compressed, those of closed ones as Kafka counts them against
//! `max.message.bytes`.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::kafka::api::init_producer_id::ProducerIdentity;
use crate::kafka::api::produce::Part;
use crate::kafka::batch::HEADER_BYTES;
use crate::kafka::client_error::ClientError;
use crate::kafka::cluster::{Cluster, NodeIndex};
use crate::kafka::config::ClientConfig;
use crate::kafka::connection::Sent;
use crate::kafka::delivery::IdentityWish;
use crate::kafka::partition::{BatchId, Flow, Open, Partition, PartitionSlot, Queued};
use crate::kafka::sealing::{SealId, SealedJob};
use crate::kafka::settled::Settled;
use crate::kafka::topics::{TopicFacts, TopicId, Topics};
use crate::recovery::Backoff;

/// While events keep coming, a batch that does not fill is sent at this age: its partition has few
/// records, and its first one holds back the position that may be stored.
const OPEN_AGE_MAX: Duration = Duration::from_millis(100);

/// Bytes of a record besides key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 36;

/// Where an appended record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The batch that holds it.
    pub batch: BatchId,
    /// Whether it is the first record of that batch.
    pub opened: bool,
}

/// Why a record was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// It is larger than the topic or a request takes, even alone.
    RecordTooLarge {
        /// Bytes of the batch with this record alone.
        record_bytes: usize,
        /// The topic's `max.message.bytes` or `max.request.size`, whichever is less.
        bytes_max: usize,
    },
    /// The topic is not ready, or has no such partition.
    UnknownPartition {
        /// The partition asked for.
        partition: u32,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordTooLarge { record_bytes, bytes_max } => write!(
                f,
                "a record needs {record_bytes} bytes where {bytes_max} are allowed; raise \
                 max.message.bytes of the topic and max.request.size of the producer"
            ),
            Self::UnknownPartition { partition } => {
                write!(f, "a record is for partition {partition}, which its topic does not have")
            }
        }
    }
}

impl std::error::Error for AppendError {}

/// The value of a record to append.
pub(super) enum Value<'a, F> {
    Null,
    /// With headers as [`put_headers`](crate::kafka::batch::put_headers) makes them.
    Encoded {
        value: Option<&'a [u8]>,
        headers: &'a [u8],
    },
    Written {
        size_hint: usize,
        write: F,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) partitions: Vec<Partition>,
    /// Partitions in doubt.
    pub(super) doubtful: Vec<PartitionSlot>,
    pub(super) settled: Settled,
    /// Partitions with something to send, in the order of their turn.
    pub(super) listed: VecDeque<PartitionSlot>,
    /// Topics of partitions that a broker has just stored something in for the first time.
    pub(super) written: Vec<TopicId>,
    /// Chosen for the next request; empty in between.
    chosen: Vec<PartitionSlot>,
    pub(super) identity: Option<ProducerIdentity>,
    next_batch: u64,
    pub(super) is_starving: bool,
    pub(super) delivery_timeout: Option<Duration>,
    pub(super) identity_wish: IdentityWish,
    is_idempotent: bool,
    in_flight_max: usize,
    batch_bytes_max: usize,
    request_bytes_max: usize,
    buffer_bytes_max: usize,
    linger: Duration,
    backoff: Backoff,
}

impl Producer {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let batch_bytes_max = config.batch_bytes_max.clamp(HEADER_BYTES, config.request_bytes_max);
        Self {
            partitions: Vec::new(),
            doubtful: Vec::new(),
            settled: Settled::new(config, batch_bytes_max),
            listed: VecDeque::new(),
            written: Vec::new(),
            chosen: Vec::new(),
            identity: None,
            identity_wish: IdentityWish::new(config),
            next_batch: 0,
            is_starving: false,
            is_idempotent: config.is_idempotent(),
            in_flight_max: config.in_flight_limit(),
            batch_bytes_max,
            request_bytes_max: config.request_bytes_max,
            buffer_bytes_max: config.buffer_bytes_max,
            linger: config.linger,
            delivery_timeout: config.delivery_timeout,
            backoff: config.backoff(),
        }
    }

    /// A new partition.
    pub(super) fn add(&mut self, topic: TopicId, index: i32) -> PartitionSlot {
        let backoff = self.backoff.clone();
        let slot = PartitionSlot(self.partitions.len());
        self.partitions.push(Partition::new(slot, topic, index, backoff, self.batch_bytes_max));
        slot
    }

    pub(super) fn has_room(&mut self) -> bool {
        let held_bytes = self.settled.held_bytes();
        self.settled.buffered_bytes < self.buffer_bytes_max && self.settled.memory.cover(held_bytes)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.settled.buffered_bytes == 0
    }

    /// Whether there is something that a broker must be found for.
    pub(super) fn wants_broker(&self) -> bool {
        !self.listed.is_empty() || !self.doubtful.is_empty()
    }

    /// Appends a record to the open batch of a partition, and closes that batch when it is full.
    pub(super) fn append(
        &mut self,
        slot: PartitionSlot,
        facts: &TopicFacts,
        key: Option<&[u8]>,
        timestamp_ms: i64,
        value: Value<'_, impl FnOnce(&mut Vec<u8>)>,
        now: Instant,
    ) -> Result<Appended, AppendError> {
        let message_max = facts.max_message_bytes.unwrap_or(usize::MAX).min(self.request_bytes_max);
        // The topic's limit is for what is sent. How small a record becomes that is compressed is
        // not known yet: as in Java only the request's limit holds for it here.
        let is_compressed = self.settled.compressor.codec().is_some();
        let record_max = if is_compressed { self.request_bytes_max } else { message_max };
        let unknown = AppendError::UnknownPartition { partition: slot.0 as u32 };
        let partition = self.partitions.get_mut(slot.0).ok_or(unknown)?;
        let batch_max = partition.batch_bytes_max.min(message_max);
        let hint = match &value {
            Value::Null => 0,
            Value::Encoded { value, headers } => value.map_or(0, <[u8]>::len) + headers.len(),
            Value::Written { size_hint, .. } => *size_hint,
        };
        let expected = hint + key.map_or(0, <[u8]>::len) + RECORD_OVERHEAD_BYTES;
        let is_full = |open: &Open| batch_max < open.builder.size_bytes() + expected;
        if partition.open.as_ref().is_some_and(is_full) {
            partition.close_open(&mut self.settled);
        }
        let mut opened = partition.open.is_none();
        let open = partition.open.get_or_insert_with(|| {
            self.next_batch += 1;
            Open::new(BatchId(self.next_batch), self.settled.buffer(), timestamp_ms, now)
        });
        let before = if opened { 0 } else { open.builder.size_bytes() };
        match value {
            Value::Null => open.builder.append_null(key, timestamp_ms),
            Value::Encoded { value, headers } => {
                open.builder.append_encoded(key, value, headers, timestamp_ms);
            }
            Value::Written { size_hint, write } => {
                open.builder.append(key, timestamp_ms, size_hint, write);
            }
        }
        self.settled.buffered_bytes += open.builder.size_bytes() - before;
        if batch_max < open.builder.size_bytes() && 1 < open.builder.count() {
            self.next_batch += 1;
            let buffer = self.settled.buffer();
            let mut next = Open::new(BatchId(self.next_batch), buffer, timestamp_ms, now);
            let before = open.builder.size_bytes();
            open.builder.move_last_to(&mut next.builder);
            self.settled.buffered_bytes += open.builder.size_bytes() + next.builder.size_bytes();
            self.settled.buffered_bytes -= before;
            partition.close_open(&mut self.settled);
            partition.open = Some(next);
            opened = true;
        }
        self.finish_append(slot, opened, record_max, batch_max)
    }

    fn finish_append(
        &mut self,
        slot: PartitionSlot,
        opened: bool,
        record_max: usize,
        batch_max: usize,
    ) -> Result<Appended, AppendError> {
        let mut batch = BatchId(self.next_batch);
        let Some(partition) = self.partitions.get_mut(slot.0) else {
            return Ok(Appended { batch, opened });
        };
        if !partition.is_listed {
            partition.is_listed = true;
            self.listed.push_back(slot);
        }
        if let Some(open) = &partition.open {
            batch = open.batch;
            let size_bytes = open.builder.size_bytes();
            if record_max < size_bytes
                && let Some(open) = partition.open.take()
            {
                self.settled.buffered_bytes -= size_bytes;
                self.settled.recycle(open.builder.recycle());
                let bytes_max = record_max;
                return Err(AppendError::RecordTooLarge { record_bytes: size_bytes, bytes_max });
            }
            if batch_max <= size_bytes {
                partition.close_open(&mut self.settled);
            }
        }
        Ok(Appended { batch, opened })
    }

    /// Closes the open batches: all of them, or the one of this id.
    pub(super) fn close_open(&mut self, only: Option<BatchId>) {
        for slot in &self.listed {
            let Some(partition) = self.partitions.get_mut(slot.0) else { continue };
            let open = partition.open.as_ref().map(|open| open.batch);
            if open.is_some() && (only.is_none() || only == open) {
                partition.close_open(&mut self.settled);
            }
        }
    }

    /// A batch was sealed on another thread.
    pub(super) fn handle_sealed(&mut self, job: SealedJob) {
        let (SealId { slot, serial }, batch) = self.settled.take_back(job);
        if let Some(partition) = self.partitions.get_mut(slot.0) {
            partition.handle_sealed(serial, batch);
        }
    }

    /// What to say of a batch that another thread has lost.
    pub(super) fn seal_lost(&self, id: SealId, reason: &str, topics: &Topics) -> ClientError {
        let partition = self.partitions.get(id.slot.0);
        ClientError::BatchLost {
            topic: partition.map_or("", |partition| topics.name(partition.topic)).to_owned(),
            partition: partition.map_or(-1, |partition| partition.index),
            reason: reason.to_owned(),
        }
    }

    /// Says which brokers are needed for what is to be sent.
    pub(super) fn want_leaders(&self, cluster: &mut Cluster) {
        for slot in self.listed.iter().chain(&self.doubtful) {
            if let Some(leader) = self.partitions.get(slot.0).and_then(|p| p.leader) {
                cluster.want(leader);
            }
        }
    }

    /// Sends one produce request to `node`, if something is due for it.
    pub(super) fn send(
        &mut self,
        node: NodeIndex,
        cluster: &mut Cluster,
        topics: &Topics,
        now: Instant,
    ) -> bool {
        self.choose(node, now);
        if self.chosen.is_empty() {
            return false;
        }
        let partitions = &mut self.partitions;
        self.chosen.sort_unstable_by_key(|slot| {
            partitions.get(slot.0).map(|partition| (partition.topic, partition.index))
        });
        for slot in &self.chosen {
            if partitions.get_mut(slot.0).is_some_and(|partition| partition.mark_sent(node)) {
                self.settled.stats.retries += 1;
            }
        }
        let mut sent = Vec::with_capacity(self.chosen.len());
        let mut parts = Vec::with_capacity(self.chosen.len());
        for slot in self.chosen.drain(..) {
            let Some(partition) = self.partitions.get(slot.0) else { continue };
            let Some(queued) = partition.last_sent() else { continue };
            let Some(sealed) = queued.sealed() else { continue };
            sent.push(Sent { slot, serial: queued.serial });
            let topic = topics.name(partition.topic);
            parts.push(Part { topic, partition: partition.index, batch: sealed.bytes() });
        }
        self.settled.stats.requests += 1;
        cluster.send_batches(node, sent, &parts, now);
        true
    }

    /// Fills `chosen` with partitions whose next batch goes into a request to `node`.
    fn choose(&mut self, node: NodeIndex, now: Instant) {
        let mut request_bytes = 0;
        for _ in 0..self.listed.len() {
            let Some(slot) = self.listed.pop_front() else { break };
            let size_bytes = self.next_batch_bytes(slot, node, now);
            if size_bytes != 0
                && request_bytes != 0
                && self.request_bytes_max < request_bytes + size_bytes
            {
                self.listed.push_front(slot);
                break;
            }
            if size_bytes != 0 {
                request_bytes += size_bytes;
                self.chosen.push(slot);
            }
            let Some(partition) = self.partitions.get_mut(slot.0) else { continue };
            // A chosen batch counts as unsent until the request is made; its partition leaves the
            // list a turn later.
            partition.is_listed = partition.has_unsent();
            if partition.is_listed {
                self.listed.push_back(slot);
            }
        }
    }

    /// Bytes of the batch that the partition can send to `node` now; 0 if there is none.
    fn next_batch_bytes(&mut self, slot: PartitionSlot, node: NodeIndex, now: Instant) -> usize {
        let (is_urgent, open_age) = (!self.has_room(), self.open_age());
        let Some(partition) = self.partitions.get_mut(slot.0) else { return 0 };
        if !partition.may_send(node, self.in_flight_max, now) {
            return 0;
        }
        if self.is_idempotent && partition.identity.is_none() {
            match self.identity {
                Some(identity) => partition.adopt(identity),
                None => return 0,
            }
        }
        if partition.next_unsent().is_none() {
            let due_at = partition.open.as_ref().map(|open| open.opened_at + open_age);
            if !is_urgent && due_at.is_none_or(|at| now < at) {
                return 0;
            }
            partition.close_open(&mut self.settled);
        }
        partition.next_unsent().map_or(0, Queued::size_bytes)
    }

    /// How long a batch is kept open though it could be sent.
    fn open_age(&self) -> Duration {
        if self.is_starving { self.linger } else { self.linger.max(OPEN_AGE_MAX) }
    }

    /// When the next batch is due that only waits for its time, after `after`.
    pub(super) fn send_deadline(&self, after: Instant) -> Option<Instant> {
        let partitions = self.listed.iter().chain(&self.doubtful);
        partitions
            .filter_map(|slot| self.partitions.get(slot.0))
            .flat_map(|partition| {
                let open_until =
                    partition.open.as_ref().map(|open| open.opened_at + self.open_age());
                let flow_until = match &partition.flow {
                    Flow::Waiting { until } => Some(*until),
                    Flow::Doubt(doubt) => Some(doubt.not_before),
                    Flow::Sending | Flow::Draining(_) => None,
                };
                [open_until, flow_until]
            })
            .flatten()
            .filter(|at| after < *at)
            .min()
    }
}
