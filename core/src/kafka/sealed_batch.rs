//! A finished batch: sent as often as needed, stamped anew for a new epoch, cut in two where a broker
//! takes no batch of its size.
//!
//! How its bytes lie: the picture in [`super::batch`].

use bytes::Bytes;

use crate::kafka::batch::{BatchBuilder, Stamp, put_stamp};
use crate::kafka::batch_reader::{BatchError, RecordBatches};
use crate::kafka::codec::{Codec, Compressor};

/// A finished batch: its bytes are sent as often as needed and do not change.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    bytes: Bytes,
    count: u32,
    stamp: Stamp,
    codec: Option<Codec>,
}

impl SealedBatch {
    /// A batch whose header is filled in.
    pub(super) fn new(bytes: Vec<u8>, count: u32, stamp: Stamp, codec: Option<Codec>) -> Self {
        Self { bytes: Bytes::from(bytes), count, stamp, codec }
    }

    /// The batch as it goes over the wire; a clone shares the memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Records in the batch.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Producer and sequence.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// What the records are compressed with; `None` if they are not.
    pub fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// Gives the batch another stamp, as after a new epoch. Copies it if the socket still has a
    /// share. Compressed records stay as they are.
    pub fn restamp(self, stamp: Stamp) -> Self {
        let mut bytes = Vec::from(self.bytes);
        put_stamp(&mut bytes, stamp);
        Self { bytes: Bytes::from(bytes), stamp, ..self }
    }

    /// Cuts the batch in two at half its records, with the sequences that the records had. `None`
    /// for a single record. Copies both halves; compressed records are read back and each half
    /// compressed by itself.
    pub fn split(&self, compressor: &mut Compressor) -> Result<Option<(Self, Self)>, BatchError> {
        if self.count < 2 {
            return Ok(None);
        }
        let Some(batch) = RecordBatches::new(&self.bytes).next().transpose()? else {
            return Ok(None);
        };
        let first_count = self.count / 2;
        let mut first = BatchBuilder::new(Vec::with_capacity(self.bytes.len() / 2));
        let mut second = BatchBuilder::new(Vec::with_capacity(self.bytes.len() / 2));
        // The bytes are our own: they hold what they held when they were compressed.
        let mut room = Vec::new();
        for record in batch.records(&mut room, i32::MAX as usize)? {
            let record = record?;
            let half = if first.count() < first_count { &mut first } else { &mut second };
            half.append_encoded(record.key, record.value, record.headers, record.timestamp_ms);
        }
        let mut seal = |half: BatchBuilder, stamp| {
            half.seal_compressed(stamp, compressor, Vec::with_capacity).0
        };
        Ok(Some((seal(first, self.stamp), seal(second, self.stamp.after(first_count)))))
    }

    /// The memory of the batch, if nobody else has a share of it.
    pub fn recycle(mut self) -> Option<Vec<u8>> {
        if !self.bytes.is_unique() {
            return None;
        }
        // Taking the memory of a `Bytes` moves its content to the front; of nothing, nothing is
        // moved.
        self.bytes.truncate(0);
        Some(Vec::from(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::batch::HEADER_BYTES;
    use crate::kafka::batch::tests::{any_record, build, contents, put};
    use crate::kafka::codec::Compression;
    use crate::kafka::codec::tests::ALL;
    use proptest::prelude::*;

    #[test]
    fn memory_comes_back_whole_once_nobody_shares_it() {
        let mut builder = BatchBuilder::new(Vec::with_capacity(4_096));
        put(&mut builder, None, 1, 3, b"one");
        let batch = builder.seal(Stamp::NONE);
        let share = batch.bytes().clone();
        assert!(batch.clone().recycle().is_none());
        drop(share);
        assert_eq!(batch.recycle().unwrap().capacity(), 4_096);
    }

    #[test]
    fn a_restamped_batch_differs_in_stamp_and_checksum_only() {
        let mut builder = BatchBuilder::new(Vec::new());
        put(&mut builder, Some(b"k"), 5, 1, b"v");
        let old = builder.seal(Stamp { producer_id: 1, epoch: 2, sequence: 3 });
        let stamp = Stamp { producer_id: 1, epoch: 3, sequence: 0 };
        let new = old.clone().restamp(stamp);
        let batch = RecordBatches::new(new.bytes()).next().unwrap().unwrap();
        assert_eq!((batch.producer_id, batch.epoch, batch.sequence), (1, 3, 0));
        assert_eq!(old.bytes()[..17], new.bytes()[..17]);
        assert_eq!(old.bytes()[21..43], new.bytes()[21..43]);
        assert_eq!(old.bytes()[57..], new.bytes()[57..]);
    }

    #[test]
    fn a_compressed_batch_is_the_plain_one_with_other_records_codec_length_and_checksum() {
        let stamp = Stamp { producer_id: 7, epoch: 1, sequence: 40 };
        let filled = || {
            let mut builder = BatchBuilder::new(Vec::with_capacity(40_000));
            for i in 0..300 {
                put(&mut builder, Some(b"key"), 1_000 + i % 9, 100, &[b'x'; 100]);
            }
            builder
        };
        let plain = filled().seal(stamp);
        for compression in ALL {
            let mut compressor = Compressor::new(compression);
            let (batch, left_over) =
                filled().seal_compressed(stamp, &mut compressor, Vec::with_capacity);
            assert_eq!(left_over.unwrap().capacity(), 40_000, "the builder's is free at once");
            assert_eq!(batch.codec(), compressor.codec());
            assert_eq!(batch.bytes()[21..23], compressor.codec().unwrap().code().to_be_bytes());
            assert_eq!(batch.bytes()[12..17], plain.bytes()[12..17]);
            assert_eq!(batch.bytes()[23..HEADER_BYTES], plain.bytes()[23..HEADER_BYTES]);
            assert!(batch.bytes().len() < plain.bytes().len() / 4);
            assert_eq!(contents(&batch), contents(&plain));
            let again = batch.clone().restamp(Stamp { epoch: 2, ..stamp });
            assert_eq!((again.codec(), contents(&again)), (batch.codec(), contents(&plain)));
        }
    }

    #[test]
    fn records_that_do_not_get_smaller_are_sealed_where_they_lie() {
        for compression in ALL {
            let mut builder = BatchBuilder::new(Vec::with_capacity(100));
            put(&mut builder, None, 1, 3, b"one");
            let stamp = Stamp::NONE;
            let mut compressor = Compressor::new(compression);
            let (batch, left_over) =
                builder.seal_compressed(stamp, &mut compressor, Vec::with_capacity);
            assert!(batch.codec().is_none() && left_over.is_none());
            assert_eq!(batch.recycle().unwrap().capacity(), 100);
        }
    }

    proptest! {
        #[test]
        fn halves_of_a_batch_hold_its_records_and_sequences(
            records in proptest::collection::vec(any_record(), 2..40),
        ) {
            let stamp = Stamp { producer_id: 1, epoch: 0, sequence: 10 };
            for compression in [&ALL[..], &[Compression::None]].concat() {
                let compressor = &mut Compressor::new(compression);
                let (whole, _) = build(&records).seal_compressed(stamp, compressor, Vec::with_capacity);
                let (first, second) = whole.split(compressor).unwrap().unwrap();
                prop_assert_eq!(first.stamp(), whole.stamp());
                prop_assert_eq!(second.stamp(), whole.stamp().after(first.count()));
                let mut joined = contents(&first);
                joined.extend(contents(&second));
                prop_assert_eq!(joined, contents(&whole));
            }
        }
    }
}
