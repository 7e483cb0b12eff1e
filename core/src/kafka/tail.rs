//! Finds out which batches of a partition are stored, when broker and producer do not agree.
//!
//! A broker that answers OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID or
//! INVALID_PRODUCER_EPOCH knows something else about us than we do. Sending again under a new epoch
//! would then store twice what is stored already, so the log decides: its end is read back, and
//! what is found there is acknowledged before anything is sent under a new epoch.
//!
//! ```text
//!  End ── where does the log end? ──► Begin ── where did we begin? ──► Read ── batches …
//!   └───────── known from the last acknowledgement ────────────────────►  │
//!                                                                         ▼
//!        Sending ◄── next epoch ◄── Identity, if a new producer id is needed
//! ```
//!
//! Only what all replicas in sync have can be read. Above that, a batch of ours would have to be
//! one that its leader has stored and yet denies; brokers answer a repeated batch, one of the last
//! five, as stored. The next epoch is taken without asking, as Java's producer does (KIP-360): the
//! broker then refuses whatever of the old epoch still lingers in a dead connection.

use std::time::Instant;

use crate::kafka::api::fetch::{self, Fetched, Isolation};
use crate::kafka::api::init_producer_id::ProducerIdentity;
use crate::kafka::api::list_offsets::{self, EARLIEST, LATEST};
use crate::kafka::batch_reader::{BatchError, RecordBatches};
use crate::kafka::client_error::ClientError;
use crate::kafka::cluster::Cluster;
use crate::kafka::connection::Call;
use crate::kafka::errors::{ErrorClass, ErrorCode};
use crate::kafka::partition::{Flow, Partition, PartitionSlot, Stored};
use crate::kafka::producer::Producer;
use crate::kafka::sealed_batch::SealedBatch;
use crate::kafka::status::Notices;
use crate::kafka::topics::Topics;

/// Bytes of batches asked for at once.
const FETCH_BYTES_MAX: i32 = 1024 * 1024;

/// Where nothing was acknowledged yet, reading begins this long before our oldest record: clocks
/// differ.
const CLOCK_SLACK_MS: i64 = 10 * 60 * 1_000;

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Where the log ends.
    End,
    /// The first offset at `timestamp_ms`.
    Begin { end: i64, timestamp_ms: i64 },
    /// The batches from `next` on.
    Read { next: i64, end: i64 },
    /// Everything is read; a new producer id is awaited.
    Identity,
}

/// A partition whose log must be read back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) cause: ErrorCode,
    pub(super) step: Step,
    /// Whether the question of this step is open.
    pub(super) is_asked: bool,
    /// Not to be asked before.
    pub(super) not_before: Instant,
    /// Batches found stored.
    pub(super) found: usize,
}

/// A question to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    ListOffsets { timestamp_ms: i64 },
    Fetch { offset: i64 },
}

impl Doubt {
    pub(super) fn new(cause: ErrorCode, not_before: Instant) -> Self {
        Self { cause, step: Step::End, is_asked: false, not_before, found: 0 }
    }

    /// What to ask the leader now.
    pub(super) fn question(&self, now: Instant) -> Option<Question> {
        if self.is_asked || now < self.not_before {
            return None;
        }
        match self.step {
            Step::End => Some(Question::ListOffsets { timestamp_ms: LATEST }),
            Step::Begin { timestamp_ms, .. } => Some(Question::ListOffsets { timestamp_ms }),
            Step::Read { next, .. } => Some(Question::Fetch { offset: next }),
            Step::Identity => None,
        }
    }

    /// Whether the producer id itself is the trouble, so that another epoch of it would not help.
    fn wants_new_id(&self, identity: Option<ProducerIdentity>) -> bool {
        let cause_is_id = matches!(
            self.cause,
            ErrorCode::INVALID_PRODUCER_EPOCH
                | ErrorCode::PRODUCER_FENCED
                | ErrorCode::INVALID_PRODUCER_ID_MAPPING
        );
        cause_is_id || identity.is_none_or(|identity| identity.epoch == i16::MAX)
    }
}

/// What came of an answer.
#[derive(Debug)]
pub(super) enum Progress {
    /// The next question is due.
    Ask,
    /// Everything is read, `found` batches were there. The partition sends again under a new epoch.
    Resolved { found: usize },
    /// Everything is read. A new producer id is needed.
    NewId,
}

impl Partition {
    fn doubt_mut(&mut self) -> Option<&mut Doubt> {
        match &mut self.flow {
            Flow::Doubt(doubt) => Some(doubt),
            Flow::Sending | Flow::Draining(_) | Flow::Waiting { .. } => None,
        }
    }

    /// The answer to a question did not come, or was an error that passes: asks again at `at`.
    pub(super) fn ask_again(&mut self, at: Instant) {
        if let Some(doubt) = self.doubt_mut() {
            doubt.is_asked = false;
            doubt.not_before = at;
        }
    }

    /// The leader named an offset; -1 where no record is as young as was asked.
    pub(super) fn handle_offset(&mut self, offset: i64) -> Progress {
        let acknowledged_to = self.acknowledged_to;
        let oldest_ms = self.queue.iter().map(|queued| queued.first_ms).min().unwrap_or(0);
        let Some(doubt) = self.doubt_mut() else { return Progress::Ask };
        doubt.is_asked = false;
        match doubt.step {
            Step::End => match acknowledged_to {
                Some(next) if next < offset => doubt.step = Step::Read { next, end: offset },
                Some(_) => return self.finish(),
                None => {
                    let timestamp_ms = oldest_ms.saturating_sub(CLOCK_SLACK_MS).max(0);
                    doubt.step = Step::Begin { end: offset, timestamp_ms };
                }
            },
            Step::Begin { end, .. } if 0 <= offset && offset < end => {
                doubt.step = Step::Read { next: offset, end };
            }
            Step::Begin { .. } => return self.finish(),
            Step::Read { .. } | Step::Identity => {}
        }
        Progress::Ask
    }

    /// The log begins behind the offset that was asked for: reads from its beginning.
    pub(super) fn handle_out_of_range(&mut self) {
        if let Some(doubt) = self.doubt_mut()
            && let Step::Read { end, .. } = doubt.step
        {
            doubt.is_asked = false;
            doubt.step = Step::Begin { end, timestamp_ms: EARLIEST };
        }
    }

    /// The leader sent batches: hands those of ours that are among them to `take`.
    pub(super) fn handle_tail(
        &mut self,
        records: &[u8],
        now: Instant,
        mut take: impl FnMut(Stored),
    ) -> Result<Progress, BatchError> {
        let Some(&mut Doubt { step: Step::Read { mut next, end }, .. }) = self.doubt_mut() else {
            return Ok(Progress::Ask);
        };
        let before = next;
        for batch in RecordBatches::new(records) {
            let batch = batch?;
            next = next.max(batch.next_offset());
            let place = self.queue.iter().position(|queued| {
                queued.sealed().map(SealedBatch::stamp).is_some_and(|stamp| {
                    (stamp.producer_id, stamp.epoch, stamp.sequence)
                        == (batch.producer_id, batch.epoch, batch.sequence)
                })
            });
            let offset = batch.base_offset;
            if let Some(stored) = place.and_then(|place| self.take_stored(place, offset, now)) {
                take(stored);
                if let Some(doubt) = self.doubt_mut() {
                    doubt.found += 1;
                }
            }
        }
        // An empty answer is possible while replicas catch up.
        let pause_until = if next == before { self.backoff.fail(now) } else { now };
        let Some(doubt) = self.doubt_mut() else { return Ok(Progress::Ask) };
        doubt.is_asked = false;
        doubt.step = Step::Read { next, end };
        doubt.not_before = pause_until;
        Ok(if end <= next { self.finish() } else { Progress::Ask })
    }

    fn finish(&mut self) -> Progress {
        let identity = self.identity;
        let Some(doubt) = self.doubt_mut() else { return Progress::Ask };
        let found = doubt.found;
        if let Some(identity) = identity
            && !doubt.wants_new_id(Some(identity))
        {
            self.flow = Flow::Sending;
            self.adopt(ProducerIdentity { epoch: identity.epoch + 1, ..identity });
            return Progress::Resolved { found };
        }
        doubt.step = Step::Identity;
        Progress::NewId
    }

    /// A broker gave us a new producer id: a partition that waits for one goes on with it.
    pub(super) fn handle_identity(&mut self, identity: ProducerIdentity) -> Option<Progress> {
        let doubt = self.doubt_mut()?;
        let found = doubt.found;
        if doubt.step != Step::Identity {
            return None;
        }
        self.flow = Flow::Sending;
        self.adopt(identity);
        Some(Progress::Resolved { found })
    }
}

impl Producer {
    /// Asks the leaders of partitions in doubt what is due.
    pub(super) fn ask_tails(&mut self, cluster: &mut Cluster, topics: &Topics, now: Instant) {
        for slot in self.doubtful.iter().copied() {
            let Some(partition) = self.partitions.get_mut(slot.0) else { continue };
            let (topic, index) = (topics.name(partition.topic), partition.index);
            let Some(leader) = partition.leader else { continue };
            let Some(doubt) = partition.doubt_mut() else { continue };
            let Some(question) = doubt.question(now) else { continue };
            let Some(leader) = cluster.ready_or_want(leader) else { continue };
            doubt.is_asked = true;
            match question {
                Question::ListOffsets { timestamp_ms } => {
                    cluster.send(leader, Call::ListOffsets(slot), now, |out| {
                        list_offsets::write_request(out, topic, index, timestamp_ms);
                    });
                }
                Question::Fetch { offset } => cluster.send(leader, Call::Fetch(slot), now, |out| {
                    let from = [(index, offset)];
                    fetch::write_request(
                        out,
                        topic,
                        &from,
                        Isolation::Uncommitted,
                        FETCH_BYTES_MAX,
                    );
                }),
            }
        }
    }

    /// An answer to ListOffsets. `true`: metadata should be asked for.
    pub(super) fn handle_offset(
        &mut self,
        slot: PartitionSlot,
        answer: Result<i64, ErrorCode>,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<bool, ClientError> {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return Ok(false) };
        match answer {
            Ok(offset) => {
                let progress = partition.handle_offset(offset);
                self.handle_progress(slot, progress, topics, notices);
                Ok(false)
            }
            Err(error) => self.handle_tail_error(slot, error, topics, now),
        }
    }

    /// An answer to Fetch. `true`: metadata should be asked for.
    pub(super) fn handle_fetched(
        &mut self,
        slot: PartitionSlot,
        fetched: Fetched<'_>,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<bool, ClientError> {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return Ok(false) };
        if fetched.error == ErrorCode::OFFSET_OUT_OF_RANGE {
            partition.handle_out_of_range();
            return Ok(false);
        }
        if !fetched.error.is_none() {
            return self.handle_tail_error(slot, fetched.error, topics, now);
        }
        let settled = &mut self.settled;
        let progress = partition.handle_tail(fetched.records, now, |stored| settled.take(stored));
        match progress {
            Ok(progress) => {
                self.handle_progress(slot, progress, topics, notices);
                Ok(false)
            }
            Err(error) => Err(ClientError::TailUnreadable {
                topic: topics.name(partition.topic).to_owned(),
                partition: partition.index,
                error,
            }),
        }
    }

    fn handle_tail_error(
        &mut self,
        slot: PartitionSlot,
        error: ErrorCode,
        topics: &Topics,
        now: Instant,
    ) -> Result<bool, ClientError> {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return Ok(false) };
        if error.class() == ErrorClass::Fatal {
            return Err(ClientError::TailRefused {
                topic: topics.name(partition.topic).to_owned(),
                partition: partition.index,
                error,
            });
        }
        let at = partition.backoff.fail(now);
        partition.ask_again(at);
        Ok(error.class() == ErrorClass::RefreshMetadata)
    }
}
