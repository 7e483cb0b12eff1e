//! One partition: its open batch, and the batches that wait for an acknowledgement, in order.
//!
//! ```text
//!  queue   ┌ in flight ┬ in flight ┬ waiting ┬ waiting ┐   open batch
//!          head ── sent in this order ──────────────►     closed when full or when it is due
//! ```
//!
//! Order is kept whatever happens: nothing overtakes the head. When a batch is refused, nothing
//! more is sent until the answers of all that are in flight are in; then everything that is left
//! goes out again, the very same bytes from the head on. Batches that were stored in the meantime
//! have left the queue; those stored without our knowing are recognised by the broker, which
//! remembers the last five batches of a producer.
//!
//! ```text
//!              refused                 all answers in
//!  Sending ───────────────► Draining ───────────────► Waiting (a pause) ──► Sending
//!     ▲                         ├── too large ──────► head split in two ──► Sending
//!     └── new epoch ── Doubt ◄──┴── sequence trouble
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::kafka::api::init_producer_id::ProducerIdentity;
use crate::kafka::batch::{BatchBuilder, Stamp};
use crate::kafka::batch_reader::BatchError;
use crate::kafka::cluster::NodeIndex;
use crate::kafka::codec::Compressor;
use crate::kafka::errors::ErrorCode;
use crate::kafka::sealed_batch::SealedBatch;
use crate::kafka::sealing::SealId;
use crate::kafka::settled::Settled;
use crate::kafka::tail::Doubt;
use crate::kafka::topics::TopicId;
use crate::recovery::Backoff;

/// How long a broker is trusted to remember a producer that sends nothing.
///
/// A broker that knows nothing of a producer takes its next batch whatever the sequence
/// (`ProducerAppendInfo.checkSequence`). If the first of several in flight were refused there for a
/// passing reason, the second would be stored before it. So a partition starts with one batch in
/// flight, until that is acknowledged, and does so again after a long silence: brokers forget after
/// a day (`producer.id.expiration.ms`) or when the last record of a producer is deleted.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Place of a partition among all of a client; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionSlot(pub(super) usize);

/// Names a batch; counts up in the order of opening, over all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub(crate) u64);

/// A batch that is being filled.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) batch: BatchId,
    pub(super) builder: BatchBuilder,
    pub(super) opened_at: Instant,
    /// Timestamp of its first record.
    pub(super) first_ms: i64,
}

impl Open {
    pub(super) fn new(batch: BatchId, memory: Vec<u8>, first_ms: i64, now: Instant) -> Self {
        Self { batch, builder: BatchBuilder::new(memory), opened_at: now, first_ms }
    }
}

/// What there is of a closed batch.
#[derive(Debug)]
pub(super) enum Content {
    /// It is sealed on another thread, and gets this stamp when it is back.
    Away { count: u32, stamp: Stamp },
    /// What is sent.
    Sealed(SealedBatch),
}

impl Content {
    fn count(&self) -> u32 {
        match self {
            Self::Away { count, .. } => *count,
            Self::Sealed(sealed) => sealed.count(),
        }
    }

    fn restamp(self, stamp: Stamp) -> Self {
        match self {
            Self::Away { count, .. } => Self::Away { count, stamp },
            Self::Sealed(sealed) => Self::Sealed(sealed.restamp(stamp)),
        }
    }
}

/// A closed batch, kept until it is acknowledged.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batch: BatchId,
    /// Names it among those of the partition; the halves of a split batch have their own.
    pub(super) serial: u64,
    pub(super) content: Content,
    pub(super) opened_at: Instant,
    pub(super) first_ms: i64,
    pub(super) in_flight: bool,
    pub(super) was_sent: bool,
}

impl Queued {
    /// What is sent, once there is such a thing.
    pub(super) fn sealed(&self) -> Option<&SealedBatch> {
        match &self.content {
            Content::Away { .. } => None,
            Content::Sealed(sealed) => Some(sealed),
        }
    }

    /// Bytes that are sent; 0 while they are not there.
    pub(super) fn size_bytes(&self) -> usize {
        self.sealed().map_or(0, |sealed| sealed.bytes().len())
    }
}

/// A batch that is in the log and has left the queue.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) batch: BatchId,
    pub(super) topic: TopicId,
    pub(super) sealed: SealedBatch,
    /// Whether all of the batch's records are stored; not so for the first half of a split batch.
    pub(super) is_whole: bool,
}

/// What the partition does once no answer is open any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterDrain {
    Resend { at: Instant },
    Split,
    Doubt { cause: ErrorCode },
}

/// See the picture of the module.
#[derive(Debug)]
pub(super) enum Flow {
    Sending,
    Draining(AfterDrain),
    Waiting { until: Instant },
    Doubt(Doubt),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Partition {
    slot: PartitionSlot,
    pub(super) topic: TopicId,
    pub(super) index: i32,
    pub(super) leader: Option<NodeIndex>,
    pub(super) open: Option<Open>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) flow: Flow,
    /// Whom the brokers know us as; `None` until the first batch is sent, and always without
    /// idempotence.
    pub(super) identity: Option<ProducerIdentity>,
    /// An offset behind which everything lies that may be stored and is not acknowledged.
    pub(super) acknowledged_to: Option<i64>,
    pub(super) backoff: Backoff,
    pub(super) last_error: Option<ErrorCode>,
    /// Whether it is in the producer's list of partitions with something to send.
    pub(super) is_listed: bool,
    /// Whether a broker has stored something in it since that was last forgotten.
    pub(super) is_written: bool,
    /// Learned from a broker that refused a larger one.
    pub(super) batch_bytes_max: usize,
    /// Batches in flight, and where to.
    in_flight: usize,
    sent_to: Option<NodeIndex>,
    next: Stamp,
    next_serial: u64,
    acknowledged_at: Option<Instant>,
}

impl Partition {
    pub(super) fn new(
        slot: PartitionSlot,
        topic: TopicId,
        index: i32,
        backoff: Backoff,
        batch_bytes_max: usize,
    ) -> Self {
        Self {
            slot,
            topic,
            index,
            leader: None,
            open: None,
            queue: VecDeque::new(),
            flow: Flow::Sending,
            identity: None,
            acknowledged_to: None,
            backoff,
            last_error: None,
            is_listed: false,
            is_written: false,
            batch_bytes_max,
            in_flight: 0,
            sent_to: None,
            next: Stamp::NONE,
            next_serial: 0,
            acknowledged_at: None,
        }
    }

    /// Whether there is anything that is not in flight.
    pub(super) fn has_unsent(&self) -> bool {
        self.open.is_some() || self.in_flight < self.queue.len()
    }

    /// Closes the open batch and puts it behind the others. `settled` keeps account of its bytes,
    /// which become fewer if it is compressed, and may leave that to a job.
    pub(super) fn close_open(&mut self, settled: &mut Settled) {
        let Some(open) = self.open.take() else { return };
        let serial = self.take_serial();
        let content = settled.close(SealId { slot: self.slot, serial }, open.builder, self.next);
        self.next = self.next.after(content.count());
        self.queue.push_back(Queued {
            batch: open.batch,
            serial,
            content,
            opened_at: open.opened_at,
            first_ms: open.first_ms,
            in_flight: false,
            was_sent: false,
        });
    }

    /// A batch is sealed. Whom the brokers know us as may have changed while it was away.
    pub(super) fn handle_sealed(&mut self, serial: u64, batch: SealedBatch) {
        let Some(queued) = self.queue.iter_mut().find(|queued| queued.serial == serial) else {
            return;
        };
        if let Content::Away { stamp, .. } = queued.content {
            let is_its_own = batch.stamp() == stamp;
            let batch = if is_its_own { batch } else { batch.restamp(stamp) };
            queued.content = Content::Sealed(batch);
        }
    }

    fn take_serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Sends under `identity` from now on: everything that is queued is stamped anew, with
    /// sequences from 0. Only when nothing is in flight and it is known that nothing in the queue
    /// is stored.
    pub(super) fn adopt(&mut self, identity: ProducerIdentity) {
        self.identity = Some(identity);
        self.acknowledged_at = None;
        self.next = Stamp { producer_id: identity.id, epoch: identity.epoch, sequence: 0 };
        for queued in std::mem::take(&mut self.queue) {
            let count = queued.content.count();
            let content = queued.content.restamp(self.next);
            self.queue.push_back(Queued { content, ..queued });
            self.next = self.next.after(count);
        }
    }

    /// Whether the next batch may be sent to `node`, as far as the partition is concerned.
    pub(super) fn may_send(&mut self, node: NodeIndex, in_flight_max: usize, now: Instant) -> bool {
        if let Flow::Waiting { until } = self.flow
            && until <= now
        {
            self.flow = Flow::Sending;
        }
        let is_open = match self.flow {
            Flow::Sending => true,
            Flow::Draining(_) | Flow::Waiting { .. } | Flow::Doubt(_) => false,
        };
        let window = match (self.identity, self.acknowledged_at) {
            (None, _) => 1,
            (Some(_), Some(at)) if now <= at + REMEMBERED => in_flight_max,
            (Some(_), _) => 1,
        };
        let same_way = self.in_flight == 0 || self.sent_to == Some(node);
        is_open && self.leader == Some(node) && same_way && self.in_flight < window
    }

    /// The next batch to send, if one is closed.
    pub(super) fn next_unsent(&self) -> Option<&Queued> {
        self.queue.get(self.in_flight)
    }

    /// Notes that the next batch goes to `node`; whether it had been sent before.
    pub(super) fn mark_sent(&mut self, node: NodeIndex) -> bool {
        let Some(queued) = self.queue.get_mut(self.in_flight) else { return false };
        queued.in_flight = true;
        self.in_flight += 1;
        self.sent_to = Some(node);
        std::mem::replace(&mut queued.was_sent, true)
    }

    /// The batch sent last.
    pub(super) fn last_sent(&self) -> Option<&Queued> {
        self.queue.get(self.in_flight.checked_sub(1)?)
    }

    /// Takes note that the answer for a batch is in, or will not come. Its place in the queue.
    pub(super) fn answered(&mut self, serial: u64) -> Option<usize> {
        let place =
            self.queue.iter().position(|queued| queued.serial == serial && queued.in_flight)?;
        self.queue.get_mut(place)?.in_flight = false;
        self.in_flight -= 1;
        Some(place)
    }

    /// Takes a stored batch out of the queue. `base_offset` is -1 where the broker does not say.
    pub(super) fn take_stored(
        &mut self,
        place: usize,
        base_offset: i64,
        now: Instant,
    ) -> Option<Stored> {
        self.queue.get(place)?.sealed()?;
        let queued = self.queue.remove(place)?;
        let Content::Sealed(sealed) = queued.content else { return None };
        // Only behind the head: what was sent before this one may be stored too, and must be found
        // in the log then.
        if 0 <= base_offset && place == 0 {
            let to = base_offset.saturating_add(i64::from(sealed.count()));
            self.acknowledged_to = Some(self.acknowledged_to.map_or(to, |before| before.max(to)));
        }
        self.acknowledged_at = Some(now);
        self.backoff.succeed();
        self.last_error = None;
        let is_whole = self.queue.iter().all(|other| other.batch != queued.batch);
        Some(Stored { batch: queued.batch, topic: self.topic, sealed, is_whole })
    }

    /// A batch was refused: nothing more is sent until the open answers are in. The first reason
    /// counts.
    pub(super) fn refuse(&mut self, after: AfterDrain) {
        match self.flow {
            Flow::Sending | Flow::Waiting { .. } => self.flow = Flow::Draining(after),
            Flow::Draining(_) | Flow::Doubt(_) => {}
        }
    }

    /// Goes on from Draining once no answer is open. Returns the head's size if it was split.
    pub(super) fn settle(
        &mut self,
        compressor: &mut Compressor,
        now: Instant,
    ) -> Result<Option<usize>, BatchError> {
        let Flow::Draining(after) = self.flow else { return Ok(None) };
        if self.in_flight != 0 {
            return Ok(None);
        }
        match after {
            AfterDrain::Resend { at } => self.flow = Flow::Waiting { until: at },
            AfterDrain::Doubt { cause } => {
                self.flow = Flow::Doubt(Doubt::new(cause, self.backoff.fail(now)));
            }
            AfterDrain::Split => {
                self.flow = Flow::Sending;
                return self.split_head(compressor);
            }
        }
        Ok(None)
    }

    fn split_head(&mut self, compressor: &mut Compressor) -> Result<Option<usize>, BatchError> {
        let Some(head) = self.queue.front() else { return Ok(None) };
        let size_bytes = head.size_bytes();
        let Some(sealed) = head.sealed() else { return Ok(None) };
        let Some((first, second)) = sealed.split(compressor)? else { return Ok(None) };
        let Some(head) = self.queue.pop_front() else { return Ok(None) };
        for sealed in [second, first] {
            let serial = self.take_serial();
            let content = Content::Sealed(sealed);
            self.queue.push_front(Queued { serial, content, was_sent: false, ..head });
        }
        self.batch_bytes_max = self.batch_bytes_max.min(size_bytes / 2).max(1);
        Ok(Some(size_bytes))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;
    use crate::kafka::cluster::tests::node;
    use crate::kafka::codec::Compression;
    use crate::kafka::config::ClientConfig;
    use crate::kafka::topics::tests::topic;

    fn partition(batches: u64, now: Instant) -> Partition {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut partition = Partition::new(PartitionSlot(0), topic(0), 0, backoff, 1_000);
        let mut settled = Settled::new(&ClientConfig::new(Vec::new()), 1_000);
        partition.leader = Some(node(0));
        partition.adopt(ProducerIdentity { id: 7, epoch: 0 });
        for batch in 0..batches {
            let mut builder = BatchBuilder::new(Vec::new());
            for _ in 0..3 {
                builder.append_null(Some(b"k"), 1);
            }
            let batch = BatchId(batch);
            partition.open = Some(Open { batch, builder, opened_at: now, first_ms: 1 });
            partition.close_open(&mut settled);
        }
        partition
    }

    fn no_compression() -> Compressor {
        Compressor::new(Compression::None)
    }

    fn send_all(partition: &mut Partition, now: Instant) -> Vec<u64> {
        let mut sent = Vec::new();
        while partition.may_send(node(0), 5, now) && partition.next_unsent().is_some() {
            sent.push(partition.next_unsent().unwrap().serial);
            partition.mark_sent(node(0));
        }
        sent
    }

    fn acknowledge(partition: &mut Partition, serial: u64, now: Instant) {
        let place = partition.answered(serial).unwrap();
        partition.take_stored(place, -1, now);
    }

    #[test]
    fn one_batch_is_in_flight_until_the_broker_is_known_to_remember_us() {
        let now = Instant::now();
        let mut partition = partition(9, now);
        assert_eq!(send_all(&mut partition, now), [1]);
        acknowledge(&mut partition, 1, now);
        assert_eq!(send_all(&mut partition, now), [2, 3, 4, 5, 6]);
        for serial in 2..=6 {
            acknowledge(&mut partition, serial, now);
        }
        let much_later = now + REMEMBERED + Duration::from_secs(1);
        assert_eq!(send_all(&mut partition, much_later), [7]);
    }

    #[test]
    fn a_refused_batch_is_sent_again_first_and_only_after_all_answers() {
        let now = Instant::now();
        let mut partition = partition(5, now);
        assert_eq!(send_all(&mut partition, now), [1]);
        acknowledge(&mut partition, 1, now);
        assert_eq!(send_all(&mut partition, now), [2, 3, 4, 5]);
        let bytes = partition.queue[0].sealed().unwrap().bytes().clone();
        let at = now + Duration::from_millis(100);
        for serial in 2..=4 {
            partition.answered(serial).unwrap();
            partition.refuse(AfterDrain::Resend { at });
            partition.settle(&mut no_compression(), now).unwrap();
            assert!(send_all(&mut partition, at).is_empty(), "answers are open");
        }
        acknowledge(&mut partition, 5, now);
        partition.settle(&mut no_compression(), now).unwrap();
        assert!(send_all(&mut partition, now).is_empty(), "the pause is not over");
        assert_eq!(partition.queue[0].sealed().unwrap().bytes(), &bytes);
        assert_eq!(send_all(&mut partition, at), [2, 3, 4]);
    }

    #[test]
    fn a_moved_partition_sends_nothing_while_the_old_leader_owes_answers() {
        let now = Instant::now();
        let mut partition = partition(3, now);
        partition.acknowledged_at = Some(now);
        partition.mark_sent(node(0));
        partition.leader = Some(node(1));
        assert!(!partition.may_send(node(0), 5, now));
        assert!(!partition.may_send(node(1), 5, now));
        acknowledge(&mut partition, 1, now);
        assert!(partition.may_send(node(1), 5, now));
    }

    #[test]
    fn a_split_batch_keeps_its_sequences_and_is_stored_when_both_halves_are() {
        let now = Instant::now();
        let mut partition = partition(2, now);
        partition.mark_sent(node(0));
        partition.answered(1).unwrap();
        partition.refuse(AfterDrain::Split);
        assert!(partition.settle(&mut no_compression(), now).unwrap().is_some());
        let sequences: Vec<_> = partition
            .queue
            .iter()
            .map(|queued| queued.sealed().unwrap().stamp().sequence)
            .collect();
        assert_eq!(sequences, [0, 1, 3]);
        assert!(!partition.take_stored(0, 7, now).unwrap().is_whole);
        let stored = partition.take_stored(0, 8, now).unwrap();
        assert_eq!((stored.batch, stored.is_whole), (BatchId(0), true));
    }

    #[test]
    fn a_stored_batch_behind_an_unsure_one_does_not_move_where_reading_back_begins() {
        let now = Instant::now();
        let mut partition = partition(3, now);
        partition.take_stored(0, 10, now);
        assert_eq!(partition.acknowledged_to, Some(13));
        partition.take_stored(1, 16, now);
        assert_eq!(partition.acknowledged_to, Some(13));
    }

    #[test]
    fn a_new_identity_numbers_the_queue_from_zero() {
        let now = Instant::now();
        let mut partition = partition(3, now);
        partition.take_stored(0, -1, now);
        partition.adopt(ProducerIdentity { id: 7, epoch: 1 });
        let stamps: Vec<_> =
            partition.queue.iter().map(|queued| queued.sealed().unwrap().stamp()).collect();
        let stamp = |sequence| Stamp { producer_id: 7, epoch: 1, sequence };
        assert_eq!(stamps, [stamp(0), stamp(3)]);
    }
}
