//! Where the latency of each event goes: the points of its way, joined from several observers and cut into stages.
//!
//! ```text
//! intended ─ queue ─► sent ─ write ─► acknowledged ─ replicate ─► appended ─ deliver ─► received
//!    │                 └─ connection of the load ─┘                  │                      │
//! schedule                                          broker's clock, ms, this machine's   consumer
//! ```
//!
//! Nobody on the way is asked, so every arm is cut alike. What lies between the acknowledgement and the append (change
//! stream, arm, produce request) is one stage: a second reader of the stream would tell it apart, and would take CPU
//! from the mongod that the arm reads from.
//!
//! Observers do not wait for each other. An arm may have an event at the broker before the writer has read its
//! acknowledgement, and a broker's millisecond may be over before the event is sent. A point that lies behind a later
//! one is moved to it, and none lies before the intended time: then no stage is negative and together they are the
//! latency, event by event. How many events had such a point is counted.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::writer::WriteTimes;
use millrace_results::histogram::LatencyHistogram;
use millrace_results::record::stages::Stage;

use crate::append_times::AppendTimes;

/// The points of one event, as they were observed; ns since the begin of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// When it was to be sent.
    pub intended_ns: u64,
    /// When it was.
    pub sent_ns: u64,
    /// When the write concern was met.
    pub acknowledged_ns: u64,
    /// When the broker appended its record, where that is known.
    pub appended_ns: Option<u64>,
    /// When the consumer had it.
    pub received_ns: u64,
}

/// The stages of many events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageTally {
    /// By stage.
    pub stages: BTreeMap<Stage, LatencyHistogram>,
    /// Events.
    pub events: u64,
    /// Events of which a point was moved.
    pub moved: u64,
}

impl StageTally {
    /// Cuts one event.
    pub fn record(&mut self, points: Points) {
        let Points { intended_ns, sent_ns, acknowledged_ns, appended_ns, received_ns } = points;
        self.events += 1;
        match appended_ns {
            Some(appended_ns) => self.cut(
                intended_ns,
                [
                    (Stage::Queue, sent_ns),
                    (Stage::Write, acknowledged_ns),
                    (Stage::Replicate, appended_ns),
                    (Stage::Deliver, received_ns),
                ],
            ),
            None => self.cut(
                intended_ns,
                [
                    (Stage::Queue, sent_ns),
                    (Stage::Write, acknowledged_ns),
                    (Stage::ReplicateAndDeliver, received_ns),
                ],
            ),
        }
    }

    /// Each stage with its end.
    fn cut<const STAGES: usize>(&mut self, begin_ns: u64, mut ends: [(Stage, u64); STAGES]) {
        let observed = ends;
        let mut later_ns = u64::MAX;
        for (_, end_ns) in ends.iter_mut().rev() {
            later_ns = later_ns.min(*end_ns).max(begin_ns);
            *end_ns = later_ns;
        }
        self.moved += u64::from(ends != observed);
        let mut begin_ns = begin_ns;
        for (stage, end_ns) in ends {
            let part = Duration::from_nanos(end_ns - begin_ns);
            self.stages.entry(stage).or_default().record(part);
            begin_ns = end_ns;
        }
    }

    /// As records name them.
    pub fn named(&self) -> BTreeMap<String, LatencyHistogram> {
        self.stages
            .iter()
            .map(|(stage, latency)| (stage.name().to_owned(), latency.clone()))
            .collect()
    }
}

/// An arrival at the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Place of its partition, and offset there.
    pub at: (i32, i64),
    /// When it was complete.
    pub received: Instant,
}

/// Joins writes and arrivals by the index in the schedule. Holds what waits for its counterpart, and 56 bytes for each
/// event that is complete: the broker is asked about them when the load is over.
#[derive(Debug)]
pub struct Join {
    schedule: Schedule,
    /// Units of which not all operations have arrived, with the number of those.
    written: HashMap<u64, (WriteTimes, u32)>,
    /// What arrived before its acknowledgement.
    early: HashMap<u64, Vec<Arrival>>,
    complete: Vec<Complete>,
}

#[derive(Clone, Copy, Debug)]
struct Complete {
    points: Points,
    at: (i32, i64),
}

impl Join {
    /// Of a load that follows `schedule`.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, written: HashMap::new(), early: HashMap::new(), complete: Vec::new() }
    }

    /// A unit was acknowledged.
    pub fn handle_written(&mut self, times: WriteTimes) {
        let early = self.early.remove(&times.due_index).unwrap_or_default();
        for arrival in &early {
            self.join(times, *arrival);
        }
        let missing = times.operations.saturating_sub(early.len() as u32);
        if missing != 0 {
            self.written.insert(times.due_index, (times, missing));
        }
    }

    /// An event arrived for the first time; its unit is due with `due_index`.
    pub fn handle_arrival(&mut self, due_index: u64, arrival: Arrival) {
        match self.written.get_mut(&due_index) {
            Some((times, missing)) => {
                let times = *times;
                *missing -= 1;
                if *missing == 0 {
                    self.written.remove(&due_index);
                }
                self.join(times, arrival);
            }
            None => self.early.entry(due_index).or_default().push(arrival),
        }
    }

    fn join(&mut self, times: WriteTimes, arrival: Arrival) {
        let start = self.schedule.start();
        let since_start = |at: Instant| {
            at.saturating_duration_since(start).as_nanos().min(u64::MAX.into()) as u64
        };
        let points = Points {
            intended_ns: since_start(self.schedule.due(times.due_index)),
            sent_ns: since_start(times.sent),
            acknowledged_ns: since_start(times.acknowledged),
            appended_ns: None,
            received_ns: since_start(arrival.received),
        };
        self.complete.push(Complete { points, at: arrival.at });
    }

    /// The offsets from the first to the last that is complete, by the place of the partition.
    pub fn offsets(&self) -> BTreeMap<i32, std::ops::RangeInclusive<i64>> {
        let mut offsets = BTreeMap::new();
        for Complete { at: (place, offset), .. } in &self.complete {
            let range = offsets.entry(*place).or_insert(*offset..=*offset);
            *range = *range.start().min(offset)..=*range.end().max(offset);
        }
        offsets
    }

    /// Cuts every event that is complete and adds it to the tally that `phase` chooses by the intended time, counted
    /// from the begin of the schedule. An event whose append time is not known is cut without.
    pub fn cut(
        self,
        appended: Option<&AppendTimes>,
        tallies: &mut [StageTally],
        phase: impl Fn(Duration) -> usize,
    ) {
        for Complete { mut points, at } in self.complete {
            points.appended_ns =
                appended.and_then(|times| times.ns_since(self.schedule.start(), at));
            let phase = phase(Duration::from_nanos(points.intended_ns));
            if let Some(tally) = tallies.get_mut(phase) {
                tally.record(points);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append_times::Clocks;

    const MS: u64 = 1_000_000;
    const STAGES: [Stage; 4] = [Stage::Queue, Stage::Write, Stage::Replicate, Stage::Deliver];
    /// What each of [`STAGES`] takes at ease.
    const AT_EASE_MS: [u64; 4] = [1, 4, 3, 2];

    /// One event with stages of these lengths.
    fn points(intended_ns: u64, lengths_ms: [u64; 4]) -> Points {
        let mut end_ns = intended_ns;
        let [sent_ns, acknowledged_ns, appended_ns, received_ns] = lengths_ms.map(|length_ms| {
            end_ns += length_ms * MS;
            end_ns
        });
        let appended_ns = Some(appended_ns);
        Points { intended_ns, sent_ns, acknowledged_ns, appended_ns, received_ns }
    }

    fn max_ms(tally: &StageTally, stage: Stage) -> f64 {
        tally.stages.get(&stage).map_or(0.0, LatencyHistogram::max_ms)
    }

    fn mean_ms(tally: &StageTally) -> f64 {
        tally.stages.values().map(LatencyHistogram::mean_ms).sum()
    }

    /// From 0 to `below`, by a seed: splitmix64.
    fn draw(seed: &mut u64, below: u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below
    }

    #[test]
    fn a_stall_shows_in_its_stage_and_in_no_other() {
        for stalled in 0..4 {
            let mut tally = StageTally::default();
            for event in 0..1_000 {
                let mut lengths_ms = AT_EASE_MS;
                // A second's worth of waiting, that drains while time passes.
                lengths_ms[stalled] += if event < 200 { 1_000 - event * 5 } else { 0 };
                tally.record(points(event * 5 * MS, lengths_ms));
            }
            for (place, stage) in STAGES.into_iter().enumerate() {
                let (found, ease) = (max_ms(&tally, stage), AT_EASE_MS[place] as f64);
                let expected = if place == stalled { ease + 1_000.0 } else { ease };
                assert!((found - expected).abs() <= expected / 500.0, "{stage:?}: {found} ms");
            }
            assert_eq!((tally.events, tally.moved), (1_000, 0));
        }
    }

    #[test]
    fn stages_add_up_to_the_latency_in_whatever_order_the_points_were_observed() {
        let mut seed = 7;
        let (mut moved, mut in_order) = (0, 0);
        for _ in 0..2_000 {
            let mut at = || 1_000 * MS + draw(&mut seed, 20) * MS;
            let [intended_ns, sent_ns, acknowledged_ns, appended_ns] = [at(), at(), at(), at()];
            let received_ns = intended_ns + draw(&mut seed, 20) * MS;
            let appended_ns = (draw(&mut seed, 4) != 0).then_some(appended_ns);
            let points = Points { intended_ns, sent_ns, acknowledged_ns, appended_ns, received_ns };
            let mut tally = StageTally::default();
            tally.record(points);
            let latency_ms = (received_ns - intended_ns) as f64 / 1e6;
            let sum_ms = mean_ms(&tally);
            assert!(
                (sum_ms - latency_ms).abs() <= latency_ms / 500.0 + 0.004,
                "{points:?}: {sum_ms}"
            );
            let observed = [Some(sent_ns), Some(acknowledged_ns), appended_ns, Some(received_ns)];
            let observed = std::iter::once(intended_ns).chain(observed.into_iter().flatten());
            let is_ordered = observed.is_sorted();
            assert_eq!(tally.moved, u64::from(!is_ordered), "{points:?}");
            moved += tally.moved;
            in_order += u64::from(is_ordered);
        }
        assert!(1_000 < moved && 5 < in_order, "{moved} moved, {in_order} in order");
    }

    #[test]
    fn a_write_that_is_acknowledged_after_its_arrival_ends_there() {
        let mut tally = StageTally::default();
        let late = Points { acknowledged_ns: 12 * MS, ..points(0, AT_EASE_MS) };
        tally.record(late);
        assert_eq!(tally.moved, 1);
        let parts = STAGES.map(|stage| max_ms(&tally, stage).round());
        // Appended after 8 ms: the write cannot have taken longer.
        assert_eq!(parts, [1.0, 7.0, 0.0, 2.0]);
    }

    struct Load {
        join: Join,
        start: Instant,
    }

    impl Load {
        /// One write is due each millisecond.
        fn new() -> Self {
            let start = Instant::now();
            let schedule = Schedule::constant(start, 1_000.0).expect("a rate");
            Self { join: Join::new(schedule), start }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn write(&mut self, due_index: u64, operations: u32) {
            let (sent, acknowledged) = (self.at(due_index + 1), self.at(due_index + 5));
            self.join.handle_written(WriteTimes { due_index, operations, sent, acknowledged });
        }

        fn arrive(&mut self, due_index: u64, offset: i64) {
            let received = self.at(due_index + 10);
            self.join.handle_arrival(due_index, Arrival { at: (0, offset), received });
        }

        /// Appended 8 ms after each was due, half a millisecond of the broker's clock included.
        fn append_times(&self, offsets: u64) -> AppendTimes {
            let clocks = Clocks::known(self.start, Duration::from_millis(1_000));
            let batches = (0..offsets as i64).map(|offset| (offset, 1_008 + offset));
            AppendTimes::known(clocks, BTreeMap::from([(0, batches.collect())]))
        }
    }

    #[test]
    fn writes_and_arrivals_are_joined_in_either_order_and_cut_where_they_were_due() {
        let mut load = Load::new();
        for due_index in 0..40 {
            let is_early = due_index % 2 == 0;
            if is_early {
                load.arrive(due_index, due_index as i64);
            }
            load.write(due_index, 1);
            if !is_early {
                load.arrive(due_index, due_index as i64);
            }
        }
        // Never written, and never arrived.
        load.arrive(41, 41);
        load.write(42, 1);
        assert_eq!(load.join.offsets(), BTreeMap::from([(0, 0..=39)]));
        let times = load.append_times(40);
        let mut tallies = [StageTally::default(), StageTally::default()];
        load.join.cut(Some(&times), &mut tallies, |due| usize::from(10 <= due.as_millis()));
        for (tally, events) in tallies.iter().zip([10, 30]) {
            assert_eq!((tally.events, tally.moved), (events, 0));
            for (stage, ms) in STAGES.into_iter().zip([1.0, 4.0, 3.5, 1.5]) {
                let found = tally.stages[&stage].mean_ms();
                assert!((found - ms).abs() < 0.01, "{stage:?}: {found} ms");
            }
        }
    }

    #[test]
    fn the_operations_of_a_transaction_share_the_times_of_its_write() {
        for arrivals_before in 0..=3 {
            let mut load = Load::new();
            (0..arrivals_before).for_each(|offset| load.arrive(7, offset));
            load.write(7, 3);
            (arrivals_before..3).for_each(|offset| load.arrive(7, offset));
            assert!(load.join.written.is_empty() && load.join.early.is_empty());
            let mut tallies = [StageTally::default()];
            load.join.cut(None, &mut tallies, |_| 0);
            let [tally] = tallies;
            assert_eq!(tally.events, 3, "{arrivals_before}");
            for (stage, ms) in
                [(Stage::Queue, 1.0), (Stage::Write, 4.0), (Stage::ReplicateAndDeliver, 5.0)]
            {
                assert!((tally.stages[&stage].mean_ms() - ms).abs() < 0.01, "{stage:?}");
            }
        }
    }
}
