//! What becomes of batches that are full and of those that are stored: their bytes, counted and used
//! again.
//!
//! ```text
//!  open batch ── seal ──► compressed, in a buffer of its size ─── stored ──► spare_compressed
//!      ▲                │ or as it is ───────────────────────── stored ─┐
//!      └───── spare ◄───┴── the open batch's buffer, at once ◄──────────┘
//! ```
//!
//! `buffered_bytes` counts open batches as they are and closed ones as they are sent; a batch that
//! is compressed on another thread (`sealing`) counts as an open one until it is back.

use std::collections::VecDeque;

use crate::kafka::batch::{BatchBuilder, Stamp};
use crate::kafka::codec::Compressor;
use crate::kafka::config::ClientConfig;
use crate::kafka::partition::{Content, Stored};
use crate::kafka::sealed_batch::SealedBatch;
use crate::kafka::sealing::{SealId, SealJob, SealedJob, Sealing, memory_for};
use crate::kafka::status::{Acknowledged, Stats, TopicStats};
use crate::kafka::topics::TopicId;
use crate::memory::Loan;

/// Acknowledged batches, and the memory that they leave.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) acknowledged: VecDeque<Acknowledged>,
    pub(super) stats: Stats,
    /// By [`TopicId::index`], as far as something of a topic is stored.
    topics: Vec<TopicStats>,
    pub(super) buffered_bytes: usize,
    pub(super) compressor: Compressor,
    sealing: Sealing,
    /// Of open batches.
    spare: Spare,
    /// Of compressed ones.
    spare_compressed: Spare,
    spare_max: usize,
    pub(super) memory: Loan,
}

/// Buffers that hold nothing.
#[derive(Debug)]
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// Of all of them.
    bytes: usize,
    /// A larger one is not kept.
    one_bytes_max: usize,
}

impl Spare {
    fn new(one_bytes_max: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, one_bytes_max }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Whether it is kept.
    fn put(&mut self, buffer: Vec<u8>, count_max: usize) -> bool {
        let is_kept = self.buffers.len() < count_max && buffer.capacity() <= self.one_bytes_max;
        if is_kept {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
        is_kept
    }

    fn release(&mut self) {
        self.buffers = Vec::new();
        self.bytes = 0;
    }
}

impl Settled {
    pub(super) fn new(config: &ClientConfig, batch_bytes_max: usize) -> Self {
        Self {
            acknowledged: VecDeque::new(),
            stats: Stats::default(),
            topics: Vec::new(),
            buffered_bytes: 0,
            compressor: Compressor::new(config.compression),
            sealing: Sealing::new(config.compression, config.compression_threads),
            spare: Spare::new(batch_bytes_max.saturating_mul(2)),
            spare_compressed: Spare::new(batch_bytes_max),
            spare_max: config.buffer_bytes_max / batch_bytes_max + 1,
            memory: config.memory.loan(batch_bytes_max.saturating_mul(2)),
        }
    }

    /// Memory for an open batch.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.take().unwrap_or_default()
    }

    /// Finishes an open batch, whose bytes are counted already, or leaves that to a job.
    pub(super) fn close(&mut self, id: SealId, builder: BatchBuilder, stamp: Stamp) -> Content {
        if self.sealing.is_elsewhere() {
            let count = builder.count();
            self.sealing.push(id, builder, stamp);
            return Content::Away { count, stamp };
        }
        Content::Sealed(self.seal(builder, stamp))
    }

    /// A compressed batch leaves its buffer to the next open batch at once.
    fn seal(&mut self, builder: BatchBuilder, stamp: Stamp) -> SealedBatch {
        if self.compressor.codec().is_none() {
            return builder.seal(stamp);
        }
        let open_bytes = builder.size_bytes();
        let spare = &mut self.spare_compressed;
        let (sealed, left_over) = builder
            .seal_compressed(stamp, &mut self.compressor, |bytes| memory_for(bytes, spare.take()));
        self.buffered_bytes = self.buffered_bytes + sealed.bytes().len() - open_bytes;
        if let Some(buffer) = left_over {
            self.recycle(buffer);
        }
        sealed
    }

    /// The next batch to seal on another thread.
    pub(super) fn next_seal_job(&mut self) -> Option<SealJob> {
        self.sealing.next(|| self.spare_compressed.take())
    }

    /// A job has ended: takes what it leaves, and returns the batch.
    pub(super) fn take_back(&mut self, job: SealedJob) -> (SealId, SealedBatch) {
        let SealedJob { id, batch, open_bytes, open_memory, room, room_bytes, compressor } = job;
        self.sealing.take_back(compressor, room_bytes);
        self.buffered_bytes = self.buffered_bytes + batch.bytes().len() - open_bytes;
        if let Some(memory) = open_memory {
            self.recycle(memory);
        }
        if let Some(room) = room {
            self.keep(room, true);
        }
        (id, batch)
    }

    /// Takes a batch that is stored.
    pub(super) fn take(&mut self, stored: Stored) {
        let Stored { batch, topic, is_whole, .. } = stored;
        let (size_bytes, records) = (stored.sealed.bytes().len(), stored.sealed.count());
        self.stats.records += u64::from(records);
        self.stats.bytes += size_bytes as u64;
        self.stats.batches += u64::from(is_whole);
        self.count(topic, records, size_bytes);
        self.buffered_bytes -= size_bytes;
        self.acknowledged.push_back(Acknowledged { batch, records, is_whole });
        let is_compressed = stored.sealed.codec().is_some();
        if let Some(buffer) = stored.sealed.recycle() {
            self.keep(buffer, is_compressed);
        }
    }

    /// What of a topic is stored.
    pub(super) fn topic(&self, topic: TopicId) -> TopicStats {
        self.topics.get(topic.index()).copied().unwrap_or_default()
    }

    fn count(&mut self, topic: TopicId, records: u32, size_bytes: usize) {
        let index = topic.index();
        if self.topics.len() <= index {
            self.topics.resize(index + 1, TopicStats::default());
        }
        if let Some(topic) = self.topics.get_mut(index) {
            topic.records += u64::from(records);
            topic.bytes += size_bytes as u64;
        }
    }

    /// Takes the memory of an open batch that is not needed any more.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        self.keep(buffer, false);
    }

    fn keep(&mut self, buffer: Vec<u8>, was_compressed: bool) {
        let count_max = if self.memory.is_tight() { 1 } else { self.spare_max };
        let spare = if was_compressed { &mut self.spare_compressed } else { &mut self.spare };
        if !spare.put(buffer, count_max) {
            self.memory.settle(self.held_bytes());
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.buffered_bytes
            .saturating_add(self.spare.bytes)
            .saturating_add(self.spare_compressed.bytes)
            .saturating_add(self.sealing.room_bytes())
    }

    /// Returns the memory that holds nothing.
    pub(super) fn release(&mut self) {
        self.spare.release();
        self.spare_compressed.release();
        self.memory.settle(self.held_bytes());
    }
}
