//! Which partition a key belongs to, as Java's producer decides it.
//!
//! ```text
//! partition = (murmur2(key) & 0x7fffffff) % partitions
//! ```
//!
//! The same key must come to the same partition from here and from a Java producer, or a topic that
//! is taken over loses its order per key. A record without a key may go anywhere: [`Sticky`] stays
//! with one partition of a topic until a batch is full, so that batches are large. Facts: `Utils.murmur2` and
//! `BuiltInPartitioner` of Kafka; test values of `UtilsTest`.

use std::collections::BTreeMap;

use super::topics::TopicId;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// Murmur2 with 32 bits and Kafka's seed.
pub fn murmur2(data: &[u8]) -> i32 {
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

/// The partition of a record with this key. `partitions` of 0 counts as 1.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) as u32 & 0x7fff_ffff) % partitions.max(1)
}

/// Chooses partitions for records without a key: in each topic the same one until its batch is full.
#[derive(Clone, Debug, Default)]
pub struct Sticky {
    topics: BTreeMap<TopicId, Stay>,
}

/// A topic's stay with a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Stay {
    /// Counts on without an end: how many partitions there are may change.
    partition: u32,
    has_batch: bool,
}

impl Sticky {
    /// The partition for the next record of `topic` without a key.
    pub fn partition(&self, topic: TopicId, partitions: u32) -> u32 {
        self.topics.get(&topic).map_or(0, |stay| stay.partition) % partitions.max(1)
    }

    /// A record without a key was the first of a batch. If it is not the first batch of the stay, the one before it
    /// was closed, and `topic` goes to its next partition.
    pub fn batch_opened(&mut self, topic: TopicId) {
        let stay = self.topics.entry(topic).or_default();
        if stay.has_batch {
            stay.partition = stay.partition.wrapping_add(1);
        }
        stay.has_batch = !stay.has_batch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::tests::topic as id;

    #[test]
    fn hashes_are_those_of_java() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_loses_its_sign_bit_and_nothing_else() {
        assert_eq!(partition_for_key(b"21", 12), (-973_932_308_i32 & 0x7fff_ffff) as u32 % 12);
        assert_eq!(partition_for_key(b"anything", 1), 0);
        assert_eq!(partition_for_key(b"anything", 0), 0);
    }

    #[test]
    fn records_without_a_key_stay_together_until_a_later_batch_is_opened() {
        let [topic, other] = [id(0), id(1)];
        let mut sticky = Sticky::default();
        assert_eq!(sticky.partition(topic, 3), 0);
        sticky.batch_opened(topic);
        assert_eq!(sticky.partition(topic, 3), 0, "its first batch is open");
        sticky.batch_opened(topic);
        assert_eq!(sticky.partition(topic, 3), 1);
        sticky.batch_opened(topic);
        assert_eq!(sticky.partition(topic, 3), 1, "the first batch of the next partition is open");
        sticky.batch_opened(topic);
        assert_eq!((sticky.partition(topic, 3), sticky.partition(topic, 2)), (2, 0));
        assert_eq!(sticky.partition(other, 3), 0, "each topic has a place of its own");
    }
}
