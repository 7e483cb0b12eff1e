//! Which partition a key belongs to, as Java's producer decides it.
//!
//! ```text
//! partition = (murmur2(key) & 0x7fffffff) % partitions
//! ```
//!
//! The same key must come to the same partition from here and from a Java producer, or a topic that
//! is taken over loses its order per key. A record without a key may go anywhere: [`Sticky`] stays
//! with one partition until a batch is full, so that batches are large. Facts: `Utils.murmur2` and
//! `BuiltInPartitioner` of Kafka; test values of `UtilsTest`.

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

/// Chooses partitions for records without a key: the same one until [`Sticky::move_on`].
#[derive(Clone, Debug, Default)]
pub struct Sticky {
    next: u32,
}

impl Sticky {
    /// The partition for the next record without a key.
    pub fn partition(&self, partitions: u32) -> u32 {
        self.next % partitions.max(1)
    }

    /// Goes to the next partition, to be called when a batch was closed.
    pub fn move_on(&mut self) {
        self.next = self.next.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn records_without_a_key_stay_together_until_moved_on() {
        let mut sticky = Sticky::default();
        assert_eq!((sticky.partition(3), sticky.partition(3)), (0, 0));
        sticky.move_on();
        assert_eq!(sticky.partition(3), 1);
        sticky.move_on();
        sticky.move_on();
        assert_eq!((sticky.partition(3), sticky.partition(2)), (0, 1));
    }
}
