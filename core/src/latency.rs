//! How long something takes, in a histogram of fixed size: bounds for people who wait, from a millisecond to an hour.
//!
//! ```text
//!  seconds   0.001 0.002 0.005 0.01 … 1 2 5 10 30 60 300 900 3600   more
//!  count       │     │     │     │      one each, not added up        │
//! ```
//!
//! Nothing is allocated, and an observation is a search in a few bounds: it is made once for a batch.

/// Upper ends of the buckets, each included. Milliseconds.
const BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
    900_000, 3_600_000,
];

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// By bucket; the last one is of what took longer than every bound.
    counts: [u64; BOUNDS_MS.len() + 1],
    sum_ms: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [0; BOUNDS_MS.len() + 1], sum_ms: 0 }
    }
}

impl Latency {
    /// `count` things took `ms` milliseconds. A negative time says that clocks differ, and counts as none.
    pub fn observe(&mut self, ms: i64, count: u32) {
        let ms = u64::try_from(ms).unwrap_or(0);
        let bucket = BOUNDS_MS.partition_point(|bound| *bound < ms);
        if let Some(counted) = self.counts.get_mut(bucket) {
            *counted += u64::from(count);
        }
        self.sum_ms = self.sum_ms.saturating_add(ms.saturating_mul(u64::from(count)));
    }

    /// Everything observed.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all times. Seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_ms as f64 / 1e3
    }

    /// Each bound in seconds, with how many took at most that long.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS_MS.iter().zip(self.counts).scan(0, |counted, (bound, count)| {
            *counted += count;
            Some((*bound as f64 / 1e3, *counted))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_takes_it_and_in_all_behind() {
        let mut latency = Latency::default();
        for (ms, count) in [(-5, 1), (1, 2), (2, 4), (10, 8), (11, 16), (3_600_000, 32)] {
            latency.observe(ms, count);
        }
        latency.observe(3_600_001, 64);
        let buckets: Vec<_> = latency.buckets().collect();
        assert_eq!(buckets[..5], [(0.001, 3), (0.002, 7), (0.005, 7), (0.01, 15), (0.02, 31)]);
        assert_eq!((buckets[17], latency.count()), ((3_600.0, 63), 127));
        let want = 2.0 + 8.0 + 80.0 + 176.0 + 32.0 * 3.6e6 + 64.0 * 3_600_001.0;
        assert_eq!(latency.sum_s(), want / 1e3);
    }

    #[test]
    fn buckets_only_grow_and_no_time_overflows() {
        let mut latency = Latency::default();
        latency.observe(i64::MAX, u32::MAX);
        latency.observe(i64::MIN, 1);
        let buckets: Vec<_> = latency.buckets().collect();
        assert!(buckets.is_sorted());
        assert_eq!((buckets[0].1, latency.count()), (1, 1 + u64::from(u32::MAX)));
    }
}
