//! Batches that are compressed on another thread: the job that goes out, and what comes back.
//!
//! ```text
//!  a batch is closed ──► waiting ──► SealJob ══ run, on another thread ══► SealedJob
//!  its place in the queue    in order    with a compressor, one of a few       │
//!  of its partition is taken                                                   ▼
//!  sent when it is sealed and everything before it is sent ◄──────── put into that place
//! ```
//!
//! Order is that of the places, so jobs may end in any order. A batch keeps its place and its sequence while it is
//! away, and nothing behind it overtakes it. Its bytes count as buffered as long as it is away, as those of an open
//! batch; so do the bytes of the room that goes along. There are as many jobs out at once as there are compressors.
//!
//! Nothing here starts a thread: a job is a value, and who drives the client runs it where it likes.

use std::collections::VecDeque;

use crate::kafka::batch::{BatchBuilder, Stamp};
use crate::kafka::codec::{Compression, Compressor};
use crate::kafka::partition::PartitionSlot;
use crate::kafka::sealed_batch::SealedBatch;

/// Memory of compressed batches comes in multiples of this, so that the next one fits, too.
const COMPRESSED_STEP_BYTES: usize = 4_096;

/// Which batch a job is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealId {
    pub(super) slot: PartitionSlot,
    pub(super) serial: u64,
}

/// A closed batch, to be compressed and sealed by [`SealJob::run`] on whatever thread.
#[derive(Debug)]
pub struct SealJob {
    id: SealId,
    builder: BatchBuilder,
    stamp: Stamp,
    compressor: Compressor,
    /// For the result, if it fits.
    room: Option<Vec<u8>>,
}

/// A batch that was sealed, with all that went along.
#[derive(Debug)]
pub struct SealedJob {
    pub(super) id: SealId,
    pub(super) batch: SealedBatch,
    /// Bytes of the batch when it was open.
    pub(super) open_bytes: usize,
    /// The open batch's memory, if the sealed one lies elsewhere.
    pub(super) open_memory: Option<Vec<u8>>,
    /// The room that was not needed.
    pub(super) room: Option<Vec<u8>>,
    pub(super) room_bytes: usize,
    pub(super) compressor: Compressor,
}

impl SealJob {
    /// Which batch it is of, for whoever has to say that it was lost.
    pub fn id(&self) -> SealId {
        self.id
    }

    /// Compresses and seals the batch. Costs the time of the codec.
    pub fn run(self) -> SealedJob {
        let Self { id, builder, stamp, mut compressor, mut room } = self;
        let open_bytes = builder.size_bytes();
        let room_bytes = room.as_ref().map_or(0, Vec::capacity);
        let (batch, open_memory) =
            builder.seal_compressed(stamp, &mut compressor, |bytes| memory_for(bytes, room.take()));
        SealedJob { id, batch, open_bytes, open_memory, room, room_bytes, compressor }
    }
}

/// Memory for a compressed batch: `spare` if it fits. One that is far too large would hold memory that nobody counts.
pub(super) fn memory_for(bytes: usize, spare: Option<Vec<u8>>) -> Vec<u8> {
    let fits = bytes..=bytes.saturating_mul(2).saturating_add(COMPRESSED_STEP_BYTES);
    let capacity = bytes.next_multiple_of(COMPRESSED_STEP_BYTES);
    spare
        .filter(|spare| fits.contains(&spare.capacity()))
        .unwrap_or_else(|| Vec::with_capacity(capacity))
}

/// Jobs that wait for a compressor, and those that are out.
#[derive(Debug)]
pub(super) struct Sealing {
    compression: Compression,
    /// Compressors at most; 0: batches are sealed where they are closed.
    threads: usize,
    made: usize,
    idle: Vec<Compressor>,
    waiting: VecDeque<(SealId, BatchBuilder, Stamp)>,
    /// Of the rooms that are out.
    room_bytes: usize,
}

impl Sealing {
    pub(super) fn new(compression: Compression, threads: usize) -> Self {
        Self {
            compression,
            threads: if compression == Compression::None { 0 } else { threads },
            made: 0,
            idle: Vec::new(),
            waiting: VecDeque::new(),
            room_bytes: 0,
        }
    }

    /// Whether batches are sealed on other threads at all.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.threads != 0
    }

    pub(super) fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    pub(super) fn push(&mut self, id: SealId, builder: BatchBuilder, stamp: Stamp) {
        self.waiting.push_back((id, builder, stamp));
    }

    /// The next job, if a compressor is free for it. `room` is asked for memory that holds nothing.
    pub(super) fn next(&mut self, room: impl FnOnce() -> Option<Vec<u8>>) -> Option<SealJob> {
        if self.waiting.is_empty() {
            return None;
        }
        let compressor = match self.idle.pop() {
            Some(compressor) => compressor,
            None if self.made < self.threads => {
                self.made += 1;
                Compressor::new(self.compression)
            }
            None => return None,
        };
        let (id, builder, stamp) = self.waiting.pop_front()?;
        let room = room();
        self.room_bytes += room.as_ref().map_or(0, Vec::capacity);
        Some(SealJob { id, builder, stamp, compressor, room })
    }

    /// A job has ended: what went along is back.
    pub(super) fn take_back(&mut self, compressor: Compressor, room_bytes: usize) {
        self.idle.push(compressor);
        self.room_bytes = self.room_bytes.saturating_sub(room_bytes);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::kafka::api::init_producer_id::ProducerIdentity;
    use crate::kafka::batch_reader::RecordBatches;
    use crate::kafka::cluster::tests::node;
    use crate::kafka::codec::tests::ALL;
    use crate::kafka::config::ClientConfig;
    use crate::kafka::partition::{BatchId, Open, Partition};
    use crate::kafka::settled::Settled;
    use crate::kafka::topics::tests::topic;
    use crate::recovery::Backoff;

    const RECORDS: u32 = 50;

    /// A partition that a broker knows, and what seals its batches.
    fn partition(compression: Compression, threads: usize) -> (Partition, Settled) {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut partition = Partition::new(PartitionSlot(0), topic(0), 0, backoff, 100_000);
        partition.leader = Some(node(0));
        partition.adopt(ProducerIdentity { id: 7, epoch: 0 });
        let mut config = ClientConfig::new(Vec::new());
        config.compression = compression;
        config.compression_threads = threads;
        (partition, Settled::new(&config, 100_000))
    }

    fn close(partition: &mut Partition, settled: &mut Settled, batch: u64) {
        let mut builder = BatchBuilder::new(Vec::new());
        for _ in 0..RECORDS {
            builder.append(Some(b"key"), 1, 200, |out| out.extend_from_slice(&[b'x'; 200]));
        }
        settled.buffered_bytes += builder.size_bytes();
        let batch = BatchId(batch);
        partition.open = Some(Open { batch, builder, opened_at: Instant::now(), first_ms: 1 });
        partition.close_open(settled);
    }

    fn come_back(partition: &mut Partition, settled: &mut Settled, job: SealJob) {
        let (id, batch) = settled.take_back(job.run());
        partition.handle_sealed(id.serial, batch);
    }

    #[test]
    fn batches_go_out_in_the_order_of_closing_whatever_order_they_come_back_in() {
        let (mut partition, mut settled) = partition(ALL[0], 3);
        (1..=3).for_each(|batch| close(&mut partition, &mut settled, batch));
        let mut jobs: Vec<_> = std::iter::from_fn(|| settled.next_seal_job()).collect();
        assert_eq!(jobs.len(), 3);
        for back in [2, 1] {
            come_back(&mut partition, &mut settled, jobs.remove(back));
            assert_eq!(partition.next_unsent().unwrap().size_bytes(), 0, "the first is away");
        }
        come_back(&mut partition, &mut settled, jobs.remove(0));
        for batch in 1..=3 {
            let next = partition.next_unsent().unwrap();
            assert!(next.batch == BatchId(batch) && next.size_bytes() != 0);
            let sequence = (batch as i32 - 1) * RECORDS as i32;
            assert_eq!(next.sealed().unwrap().stamp().sequence, sequence);
            partition.mark_sent(node(0));
        }
    }

    #[test]
    fn a_batch_sealed_elsewhere_is_the_one_that_is_sealed_here() {
        for compression in ALL {
            let [here, elsewhere] = [0, 1].map(|threads| {
                let (mut partition, mut settled) = partition(compression, threads);
                close(&mut partition, &mut settled, 1);
                assert_eq!(partition.next_unsent().unwrap().size_bytes() == 0, threads == 1);
                if let Some(job) = settled.next_seal_job() {
                    come_back(&mut partition, &mut settled, job);
                }
                let sealed = partition.next_unsent().unwrap().sealed().unwrap();
                assert_eq!(settled.buffered_bytes, sealed.bytes().len());
                sealed.bytes().clone()
            });
            assert!(here == elsewhere, "{compression:?}");
        }
    }

    #[test]
    fn a_batch_that_was_away_gets_the_stamp_of_a_new_identity() {
        let (mut partition, mut settled) = partition(ALL[0], 1);
        close(&mut partition, &mut settled, 1);
        close(&mut partition, &mut settled, 2);
        partition.adopt(ProducerIdentity { id: 8, epoch: 3 });
        while let Some(job) = settled.next_seal_job() {
            come_back(&mut partition, &mut settled, job);
        }
        for sequence in [0, RECORDS as i32] {
            let sealed = partition.next_unsent().unwrap().sealed().unwrap();
            let batch = RecordBatches::new(sealed.bytes()).next().unwrap().expect("its checksum");
            assert_eq!((batch.producer_id, batch.epoch, batch.sequence), (8, 3, sequence));
            partition.mark_sent(node(0));
        }
    }

    #[test]
    fn as_many_jobs_are_out_as_there_are_threads_and_their_bytes_count() {
        let (mut partition, mut settled) = partition(ALL[0], 2);
        (1..=3).for_each(|batch| close(&mut partition, &mut settled, batch));
        let open_bytes = settled.buffered_bytes;
        let jobs = [(); 2].map(|()| settled.next_seal_job().unwrap());
        assert!(settled.next_seal_job().is_none(), "two threads are at work");
        assert_eq!(settled.buffered_bytes, open_bytes);
        let [first, _second] = jobs;
        come_back(&mut partition, &mut settled, first);
        assert!(settled.buffered_bytes < open_bytes && open_bytes / 2 < settled.buffered_bytes);
        assert!(settled.next_seal_job().is_some());
    }
}
