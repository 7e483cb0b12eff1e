//! When the broker appended each record, put onto the clock of this process.
//!
//! ```text
//! this process   Instant ──────┬───────────────────────────────────────┬──────►
//!                              │ both clocks read at once              │ and again: none was set meanwhile
//! wall clock     unix time ────┴──── batch appended, whole ms ─────────┴──────►
//! ```
//!
//! A broker of this machine reads the same wall clock. It writes whole milliseconds, cut off; half a millisecond is
//! added, so that a mean is right and a single time is wrong by half a millisecond at most.
//!
//! The log is read once more when all is over: heads of batches only, though the broker sends them whole.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tokio::task::spawn_blocking;

use crate::consumer::Topic;
use crate::kafka_admin::KafkaAdmin;

/// How far the clocks may move against each other during a run.
const DRIFT_MAX: Duration = Duration::from_millis(1);
/// What is cut off of a time, in the mean.
const HALF_A_MS: Duration = Duration::from_micros(500);

/// The wall clock and the clock of this process, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    instant: Instant,
    unix_time: Duration,
}

impl Clocks {
    /// Reads both.
    pub fn read() -> Self {
        let before = Instant::now();
        let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: before + before.elapsed() / 2, unix_time }
    }

    #[cfg(test)]
    pub(crate) fn known(instant: Instant, unix_time: Duration) -> Self {
        Self { instant, unix_time }
    }

    fn unix_time_of(self, instant: Instant) -> Duration {
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.unix_time + later,
            None => self.unix_time.saturating_sub(self.instant.saturating_duration_since(instant)),
        }
    }

    /// Fails if the wall clock was set since.
    fn ensure_not_set_until(&self, later: Self) -> Result<()> {
        let drift = self.unix_time_of(later.instant).abs_diff(later.unix_time);
        ensure!(
            drift <= DRIFT_MAX,
            "the wall clock was set by {drift:?} during the run, so that the broker's times say nothing"
        );
        Ok(())
    }
}

/// Append times of the batches of a topic.
#[derive(Clone, Debug)]
pub struct AppendTimes {
    clocks: Clocks,
    /// First offset and append time of each batch, by the place of the partition.
    batches: BTreeMap<i32, Vec<(i64, i64)>>,
}

impl AppendTimes {
    /// Asks the broker about these offsets of `topic`, by the places of its partitions. `clocks` were read before the
    /// first of them was appended.
    ///
    /// # Errors
    /// When the first broker of `bootstrap` does not lead a partition, or the wall clock was set.
    pub async fn read(
        bootstrap: &str,
        topic: &Topic,
        offsets: BTreeMap<i32, RangeInclusive<i64>>,
        clocks: Clocks,
    ) -> Result<Self> {
        clocks.ensure_not_set_until(Clocks::read())?;
        let (ends, bootstrap) = (topic.ends().await?, bootstrap.to_owned());
        let read = move || {
            let mut admin = KafkaAdmin::connect(&bootstrap)?;
            let mut batches = BTreeMap::new();
            for (place, (name, partition, _)) in (0..).zip(ends) {
                let Some(range) = offsets.get(&place) else { continue };
                let heads = admin.batches_in(&name, partition, range.clone())?;
                let times = heads.iter().map(|(offset, head)| (*offset, head.appended_ms));
                batches.insert(place, times.collect());
            }
            anyhow::Ok(batches)
        };
        let batches = spawn_blocking(read).await.context("reading append times panicked")??;
        Ok(Self { clocks, batches })
    }

    /// By place of the partition: first offsets and times, ms since 1970.
    #[cfg(test)]
    pub(crate) fn known(clocks: Clocks, batches: BTreeMap<i32, Vec<(i64, i64)>>) -> Self {
        Self { clocks, batches }
    }

    /// How long after `start` the record at this place and offset was appended; 0 if before. `None` if nobody asked
    /// about it.
    pub fn ns_since(&self, start: Instant, (place, offset): (i32, i64)) -> Option<u64> {
        let batches = self.batches.get(&place)?;
        let after = batches.partition_point(|(first, _)| *first <= offset);
        let (_, appended_ms) = *batches.get(after.checked_sub(1)?)?;
        let appended = Duration::from_millis(u64::try_from(appended_ms).ok()?) + HALF_A_MS;
        let since_start = appended.saturating_sub(self.clocks.unix_time_of(start));
        Some(since_start.as_nanos().min(u64::MAX.into()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(instant: Instant, unix_ms: u64) -> Clocks {
        Clocks::known(instant, Duration::from_millis(unix_ms))
    }

    #[test]
    fn a_record_has_the_time_of_its_batch_on_the_clock_of_this_process() {
        let now = Instant::now();
        let batches = BTreeMap::from([(0, vec![(10, 5_000), (13, 5_020)])]);
        let times = AppendTimes::known(clocks(now, 4_000), batches);
        let ms = |start: Instant, at| times.ns_since(start, at).map(|ns| ns as f64 / 1e6);
        for (offset, expected_ms) in [(10, 1_000.5), (12, 1_000.5), (13, 1_020.5), (99, 1_020.5)] {
            assert_eq!(ms(now, (0, offset)), Some(expected_ms), "{offset}");
        }
        assert_eq!(ms(now + Duration::from_secs(1), (0, 13)), Some(20.5), "a later begin");
        assert_eq!(ms(now + Duration::from_secs(9), (0, 13)), Some(0.0), "appended before it");
        assert_eq!((ms(now, (0, 9)), ms(now, (1, 10))), (None, None), "nobody asked");
    }

    #[test]
    fn a_wall_clock_that_was_set_is_noticed() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        for (unix_ms, is_right) in
            [(64_000, true), (64_001, true), (64_002, false), (62_000, false)]
        {
            let checked = clocks(now, 4_000).ensure_not_set_until(clocks(later, unix_ms));
            assert_eq!(checked.is_ok(), is_right, "{unix_ms}: {checked:?}");
        }
    }
}
