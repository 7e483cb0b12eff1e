//! What becomes of batches that were sent: answers, lost connections, time-outs, and whom we are
//! known as.
//!
//! ```text
//!  none, DUPLICATE           stored: id handed out, memory used again
//!  passing error             sent again after a pause, head first (see the picture in partition)
//!  too large                 split; an error for a single record
//!  sequence trouble          of the head: the log is read back; behind a refused head: sent again
//!  connection lost           sent again on the next; the broker recognises what was stored already
//!  anything else             an error: a person must change something
//! ```

use std::time::{Duration, Instant};

use crate::kafka::api::init_producer_id::ProducerIdentity;
use crate::kafka::api::produce::{PartAnswer, read_answer};
use crate::kafka::client_error::ClientError;
use crate::kafka::config::ClientConfig;
use crate::kafka::connection::Sent;
use crate::kafka::errors::{ErrorClass, ErrorCode};
use crate::kafka::partition::{AfterDrain, Flow, PartitionSlot, Queued};
use crate::kafka::producer::Producer;
use crate::kafka::sealed_batch::SealedBatch;
use crate::kafka::status::Notices;
use crate::kafka::tail::Progress;
use crate::kafka::topics::Topics;
use crate::kafka::wire::{Reader, WireError};
use crate::recovery::Backoff;

/// Whether a producer id is to be asked for.
#[derive(Debug)]
pub(super) struct IdentityWish {
    is_wanted: bool,
    is_asked: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
}

impl IdentityWish {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            is_wanted: config.is_idempotent(),
            is_asked: false,
            not_before: None,
            backoff: config.backoff(),
        }
    }

    /// Whether to ask a broker now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_wanted && !self.is_asked && self.not_before.is_none_or(|at| at <= now)
    }

    /// Whether a broker is needed.
    pub(super) fn is_open(&self) -> bool {
        self.is_wanted
    }

    pub(super) fn asked(&mut self) {
        self.is_asked = true;
    }

    /// The question was not answered, or with an error that passes.
    pub(super) fn ask_again(&mut self, now: Instant) {
        self.is_asked = false;
        self.not_before = Some(self.backoff.fail(now));
    }

    /// When the next question becomes due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_wanted && !self.is_asked { self.not_before } else { None }
    }
}

impl Producer {
    /// An answer to a produce request. `true`: metadata should be asked for.
    pub(super) fn handle_produced(
        &mut self,
        sent: &[Sent],
        body: &mut Reader<'_>,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<Result<bool, ClientError>, WireError> {
        let mut outcome = Ok(false);
        let mut answered = 0;
        read_answer(body, |part| {
            let slot = topics.slot(part.topic, part.partition);
            let Some(sent) = sent.iter().find(|sent| Some(sent.slot) == slot) else { return };
            answered += 1;
            if let Ok(refresh) = outcome {
                outcome = self.handle_part(*sent, &part, topics, notices, now).map(|r| r | refresh);
            }
        })?;
        if answered < sent.len() && outcome.is_ok() {
            return Err(WireError::Incomplete);
        }
        Ok(outcome)
    }

    fn handle_part(
        &mut self,
        sent: Sent,
        part: &PartAnswer<'_>,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<bool, ClientError> {
        let Some(partition) = self.partitions.get_mut(sent.slot.0) else { return Ok(false) };
        let Some(place) = partition.answered(sent.serial) else { return Ok(false) };
        let class = part.error.class();
        if part.error.is_none() || class == ErrorClass::Duplicate {
            if let Some(stored) = partition.take_stored(place, part.base_offset, now) {
                self.settled.take(stored);
            }
            if !partition.is_written {
                partition.is_written = true;
                self.written.push(partition.topic);
            }
            return self.settle(sent.slot, topics, notices, now).map(|()| false);
        }
        if partition.last_error != Some(part.error) {
            let (topic, index, error) = (topics.name(partition.topic), partition.index, part.error);
            notices.warn(format!("partition {index} of topic {topic}: {error}; trying again"));
        }
        partition.last_error = Some(part.error);
        match class {
            ErrorClass::Retry | ErrorClass::RefreshMetadata => {
                let at = partition.backoff.fail(now);
                partition.refuse(AfterDrain::Resend { at });
            }
            ErrorClass::SequenceTrouble if place == 0 => {
                partition.refuse(AfterDrain::Doubt { cause: part.error });
            }
            // Refused because the one before it was: it is sent again behind that.
            ErrorClass::SequenceTrouble => partition.refuse(AfterDrain::Resend { at: now }),
            ErrorClass::TooLarge => {
                let queued = partition.queue.get(place);
                let count = queued.and_then(Queued::sealed).map_or(0, SealedBatch::count);
                if count < 2 {
                    let topic = topics.get(partition.topic);
                    return Err(ClientError::RecordTooLarge {
                        topic: topics.name(partition.topic).to_owned(),
                        partition: partition.index,
                        record_bytes: queued.map_or(0, Queued::size_bytes),
                        bytes_max: topic.and_then(|topic| topic.facts.max_message_bytes),
                    });
                }
                partition.refuse(AfterDrain::Split);
            }
            ErrorClass::Fatal | ErrorClass::Duplicate => {
                return Err(ClientError::TopicRefused {
                    topic: topics.name(partition.topic).to_owned(),
                    action: "write to",
                    error: part.error,
                    message: part.message.map(str::to_owned),
                });
            }
        }
        self.settle(sent.slot, topics, notices, now)?;
        Ok(class == ErrorClass::RefreshMetadata)
    }

    /// Goes on with a partition after an answer.
    fn settle(
        &mut self,
        slot: PartitionSlot,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<(), ClientError> {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return Ok(()) };
        let settled = partition.settle(&mut self.settled.compressor, now);
        let split_bytes = settled.map_err(|error| ClientError::TailUnreadable {
            topic: topics.name(partition.topic).to_owned(),
            partition: partition.index,
            error,
        })?;
        if let Some(split_bytes) = split_bytes {
            let halves: usize = partition.queue.iter().take(2).map(Queued::size_bytes).sum();
            self.settled.buffered_bytes = self.settled.buffered_bytes + halves - split_bytes;
            let (topic, index) = (topics.name(partition.topic), partition.index);
            notices.warn(format!(
                "a batch of {split_bytes} bytes is larger than partition {index} of topic {topic} \
                 takes; split in two"
            ));
        }
        if let Flow::Doubt(_) = partition.flow
            && !self.doubtful.contains(&slot)
        {
            self.doubtful.push(slot);
        }
        self.list(slot);
        Ok(())
    }

    /// Puts a partition into the list if it has something to send.
    fn list(&mut self, slot: PartitionSlot) {
        if let Some(partition) = self.partitions.get_mut(slot.0)
            && partition.has_unsent()
            && !partition.is_listed
        {
            partition.is_listed = true;
            self.listed.push_back(slot);
        }
    }

    /// The connection of a produce request is lost: whether its batches are stored is not known.
    pub(super) fn handle_lost(
        &mut self,
        sent: &[Sent],
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<(), ClientError> {
        for sent in sent {
            if let Some(partition) = self.partitions.get_mut(sent.slot.0) {
                partition.answered(sent.serial);
            }
            self.settle(sent.slot, topics, notices, now)?;
        }
        Ok(())
    }

    /// The question about a tail was not answered.
    pub(super) fn handle_tail_lost(&mut self, slot: PartitionSlot, now: Instant) {
        if let Some(partition) = self.partitions.get_mut(slot.0) {
            let at = partition.backoff.fail(now);
            partition.ask_again(at);
        }
    }

    /// A tail was read on, perhaps to its end.
    pub(super) fn handle_progress(
        &mut self,
        slot: PartitionSlot,
        progress: Progress,
        topics: &Topics,
        notices: &mut Notices,
    ) {
        let Some(partition) = self.partitions.get_mut(slot.0) else { return };
        match progress {
            Progress::Ask => {}
            Progress::NewId => {
                self.identity = None;
                self.identity_wish.is_wanted = true;
            }
            Progress::Resolved { found } => {
                self.doubtful.retain(|doubtful| *doubtful != slot);
                let left = partition.queue.len();
                let (topic, index) = (topics.name(partition.topic), partition.index);
                notices.warn(format!(
                    "read back partition {index} of topic {topic}: {found} batches without an \
                     answer are stored, {left} are sent under a new epoch"
                ));
                self.list(slot);
            }
        }
    }

    /// InitProducerId was answered.
    pub(super) fn handle_identity(
        &mut self,
        answer: Result<ProducerIdentity, ErrorCode>,
        topics: &Topics,
        notices: &mut Notices,
        now: Instant,
    ) -> Result<(), ClientError> {
        let identity = match answer {
            Ok(identity) => identity,
            Err(error) if error.class() == ErrorClass::Fatal => {
                return Err(ClientError::ProducerRefused { error });
            }
            Err(error) => {
                notices.warn(format!("cannot become a producer: {error}; trying again"));
                self.identity_wish.ask_again(now);
                return Ok(());
            }
        };
        self.identity = Some(identity);
        self.identity_wish.is_wanted = false;
        self.identity_wish.is_asked = false;
        self.identity_wish.backoff.succeed();
        for slot in std::mem::take(&mut self.doubtful) {
            let Some(partition) = self.partitions.get_mut(slot.0) else { continue };
            match partition.handle_identity(identity) {
                Some(progress) => self.handle_progress(slot, progress, topics, notices),
                None => self.doubtful.push(slot),
            }
        }
        Ok(())
    }

    /// Failed attempts and last error of the partition that is worst off.
    pub(super) fn trouble(&self) -> Option<(u32, Option<String>)> {
        let troubled = self.partitions.iter().filter(|partition| partition.last_error.is_some());
        let worst = troubled.max_by_key(|partition| partition.backoff.attempts())?;
        Some((worst.backoff.attempts(), worst.last_error.map(|error| error.to_string())))
    }

    /// The partitions that wait for something, with when their oldest batch was opened.
    fn oldest(&self) -> impl Iterator<Item = (PartitionSlot, Instant)> {
        self.partitions.iter().enumerate().filter_map(|(i, partition)| {
            let queued = partition.queue.front().map(|queued| queued.opened_at);
            let opened_at = queued.or(partition.open.as_ref().map(|open| open.opened_at))?;
            Some((PartitionSlot(i), opened_at))
        })
    }

    /// When the oldest batch exceeds the delivery time-out.
    pub(super) fn delivery_deadline(&self) -> Option<Instant> {
        let timeout = self.delivery_timeout?;
        self.oldest().map(|(_, opened_at)| opened_at + timeout).min()
    }

    /// An error if a batch has exceeded the delivery time-out.
    pub(super) fn check_delivery(&self, topics: &Topics, now: Instant) -> Result<(), ClientError> {
        let timeout = self.delivery_timeout.unwrap_or(Duration::MAX);
        let late = self
            .oldest()
            .find(|(_, opened_at)| timeout <= now.saturating_duration_since(*opened_at));
        let Some((slot, opened_at)) = late else { return Ok(()) };
        let Some(partition) = self.partitions.get(slot.0) else { return Ok(()) };
        Err(ClientError::DeliveryTimeout {
            topic: topics.name(partition.topic).to_owned(),
            partition: partition.index,
            waited: now.saturating_duration_since(opened_at),
            error: partition.last_error,
        })
    }
}
