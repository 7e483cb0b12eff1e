//! What a task has counted, for whoever watches it.
//!
//! ```text
//!  Pipeline, Links, StageClock ── integers of the task's thread ──► publish ──► Figures ──► read: GET /metrics
//!                                   before each wait, and every 100 ms under load
//! ```
//!
//! The task never waits for a reader: where one is just reading, it publishes at its next turn. A reader sees what was
//! published last, whether the task runs, hangs or has ended. All of it is since the task began.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use millrace_core::kafka::TopicStats;
use millrace_core::pipeline::{Pipeline, PipelineStats};

use super::links::Traffic;

/// Topics that have figures of their own, the first ones that a task asked for: each costs whoever scrapes them series.
const TOPICS_MAX: usize = 100;
/// The longest that figures of a task under load are old.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// What a task's thread does with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From received bytes to open batches.
    Take,
    /// Batches are sealed, compressed where the task does that itself, and handed to the sockets.
    Send,
    /// Bytes that have come are taken in, while there is more to work on.
    Read,
    /// There is nothing to do: MongoDB has sent nothing more.
    Idle,
    /// There is no room: brokers have not acknowledged enough.
    Full,
}

impl Stage {
    pub(crate) const ALL: [Self; 5] = [Self::Take, Self::Send, Self::Read, Self::Idle, Self::Full];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Send => "send",
            Self::Read => "read",
            Self::Idle => "idle",
            Self::Full => "full",
        }
    }
}

/// Time by stage; each is closed by the clock that is read there, once or twice in a turn of many events.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageClock {
    since: Instant,
    spent: [Duration; Stage::ALL.len()],
}

impl StageClock {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, spent: [Duration::ZERO; Stage::ALL.len()] }
    }

    /// All time since the end of the last stage was spent in this one.
    pub(super) fn ended(&mut self, stage: Stage, now: Instant) {
        if let Some(spent) = self.spent.get_mut(stage as usize) {
            *spent += now.saturating_duration_since(self.since);
        }
        self.since = now;
    }
}

/// What is acknowledged of one topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicFigures {
    /// `None`: all further topics together.
    pub(crate) name: Option<String>,
    pub(crate) stats: TopicStats,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) pipeline: PipelineStats,
    pub(crate) traffic: Traffic,
    /// In the order in which the task asked for them, at most [`TOPICS_MAX`] and one for the rest.
    pub(crate) topics: Vec<TopicFigures>,
    /// Changes that could not be written as they should, the one that ended the task included.
    pub(crate) failed_records: u64,
    /// By stage.
    pub(crate) spent: [Duration; Stage::ALL.len()],
    /// How often the task was begun again by itself; the other figures are those since then.
    pub(crate) restarts: u64,
    /// Cluster time of the oldest entry of the oplog when somebody last looked. Seconds since the Unix epoch.
    pub(crate) oplog_begin: Option<u32>,
}

impl Figures {
    /// How much of the oplog lies before the stored position: how long it may still be cut off before that is lost.
    /// Seconds; 0: it is lost, or is at the very beginning.
    pub(crate) fn headroom_s(&self) -> Option<u32> {
        Some(self.pipeline.stored_time?.saturating_sub(self.oplog_begin?))
    }

    pub(crate) fn spent(&self, stage: Stage) -> Duration {
        self.spent.get(stage as usize).copied().unwrap_or_default()
    }

    fn take(&mut self, pipeline: &Pipeline, traffic: Traffic, stages: &StageClock) {
        self.pipeline = pipeline.stats();
        self.failed_records = self.pipeline.dead_letters;
        self.traffic = traffic;
        self.spent = stages.spent;
        let all =
            TopicStats { records: self.pipeline.records, bytes: self.pipeline.acknowledged_bytes };
        take_topics(&mut self.topics, all, pipeline.topic_stats());
    }
}

/// Takes in the figures of the first topics of `each`, and what they leave of `all`. Looks at no further topic: there
/// may be thousands, and this is done at every turn. A topic keeps its place, so its name is copied once.
fn take_topics<'a>(
    topics: &mut Vec<TopicFigures>,
    all: TopicStats,
    each: impl Iterator<Item = (&'a str, TopicStats)>,
) {
    topics.truncate(TOPICS_MAX);
    let mut others = all;
    for (index, (name, stats)) in each.take(TOPICS_MAX).enumerate() {
        match topics.get_mut(index) {
            Some(topic) => topic.stats = stats,
            None => topics.push(TopicFigures { name: Some(name.to_owned()), stats }),
        }
        others.records = others.records.saturating_sub(stats.records);
        others.bytes = others.bytes.saturating_sub(stats.bytes);
    }
    if others != TopicStats::default() {
        topics.push(TopicFigures { name: None, stats: others });
    }
}

/// Where a task leaves its figures, and others read them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FiguresCell {
    shared: Arc<Mutex<Figures>>,
}

impl FiguresCell {
    /// What was published last.
    pub(crate) fn read(&self) -> Figures {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets all but how often that was.
    pub(crate) fn begin_again(&self) {
        let mut figures = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (restarts, oplog_begin) = (figures.restarts + 1, figures.oplog_begin);
        *figures = Figures { restarts, oplog_begin, ..Figures::default() };
    }

    /// For who looks at the oplog as long as somebody wants to know.
    pub(super) fn observer(&self) -> OplogObserver {
        OplogObserver { shared: Arc::downgrade(&self.shared) }
    }

    /// The task has ended; `failed_record`: with a change that could not be written.
    pub(super) fn end(
        &self,
        pipeline: &Pipeline,
        traffic: Traffic,
        stages: &StageClock,
        failed_record: bool,
    ) {
        let mut figures = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        figures.take(pipeline, traffic, stages);
        figures.failed_records += u64::from(failed_record);
        // Connections and batches go with the task.
        figures.traffic.mongodb.open = 0;
        figures.traffic.kafka.open = 0;
        figures.pipeline.requests_in_flight = 0;
        figures.pipeline.buffered_bytes = 0;
    }
}

/// The end of a [`FiguresCell`] for what is known of the oplog.
#[derive(Clone, Debug)]
pub(super) struct OplogObserver {
    shared: Weak<Mutex<Figures>>,
}

impl OplogObserver {
    /// The oplog begins at this cluster time; `None`: nobody knows. `false`: nobody reads the figures any more.
    pub(super) fn note(&self, begin: Option<u32>) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        shared.lock().unwrap_or_else(PoisonError::into_inner).oplog_begin = begin;
        true
    }

    pub(super) fn is_wanted(&self) -> bool {
        0 < self.shared.strong_count()
    }
}

/// The task's end of a [`FiguresCell`].
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) stages: StageClock,
    cell: FiguresCell,
    due: Instant,
}

impl Publisher {
    pub(super) fn new(cell: FiguresCell, now: Instant) -> Self {
        Self { stages: StageClock::new(now), cell, due: now }
    }

    /// Whether figures are due though there is more to work on.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Publishes, unless somebody is reading.
    pub(super) fn publish(&mut self, pipeline: &Pipeline, traffic: Traffic, now: Instant) {
        if let Ok(mut figures) = self.cell.shared.try_lock() {
            figures.take(pipeline, traffic, &self.stages);
            self.due = now + PUBLISH_INTERVAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_the_first_topics_are_looked_at_and_the_others_are_what_they_leave() {
        let names: Vec<String> = (0..2 * TOPICS_MAX).map(|n| format!("t{n}")).collect();
        let stats = |records| TopicStats { records, bytes: 10 * records };
        let mut figures = Vec::new();
        let mut publish = |count: usize, records: u64| {
            let looked_at = Cell::new(0);
            let each = names.iter().take(count).map(|name| {
                looked_at.set(looked_at.get() + 1);
                (name.as_str(), stats(records))
            });
            take_topics(&mut figures, stats(count as u64 * records), each);
            let name = |of: &TopicFigures| of.name.clone().unwrap_or_else(|| "others".to_owned());
            let shown = figures.iter().map(|of| (name(of), of.stats.records)).collect::<Vec<_>>();
            assert!(figures.iter().all(|of| of.stats.bytes == 10 * of.stats.records));
            (looked_at.get(), shown)
        };
        let named = |n: usize, records| (format!("t{n}"), records);
        assert_eq!(publish(2, 3), (2, vec![named(0, 3), named(1, 3)]));
        let want: Vec<_> = (0..TOPICS_MAX).map(|n| named(n, 4)).collect();
        assert_eq!(publish(TOPICS_MAX, 4), (TOPICS_MAX, want));
        // Twice: what others had is not added to what they have.
        for records in [5, 6] {
            let (looked_at, shown) = publish(2 * TOPICS_MAX, records);
            let others = ("others".to_owned(), TOPICS_MAX as u64 * records);
            assert_eq!((looked_at, shown.len()), (TOPICS_MAX, TOPICS_MAX + 1));
            assert_eq!(shown[TOPICS_MAX - 1..], [named(TOPICS_MAX - 1, records), others]);
        }
    }

    #[test]
    fn headroom_is_known_with_both_ends_and_never_below_nothing() {
        let cell = FiguresCell::default();
        let observer = cell.observer();
        let headroom = |stored_time: Option<u32>, begin: Option<u32>| {
            assert!(observer.note(begin));
            let pipeline = PipelineStats { stored_time, ..PipelineStats::default() };
            Figures { pipeline, ..cell.read() }.headroom_s()
        };
        assert_eq!(headroom(Some(90), Some(30)), Some(60));
        assert_eq!(headroom(Some(30), Some(90)), Some(0));
        assert_eq!((headroom(None, Some(90)), headroom(Some(90), None)), (None, None));
        drop(cell);
        assert!(!observer.is_wanted() && !observer.note(Some(1)));
    }

    #[test]
    fn time_belongs_to_the_stage_that_it_ends_with() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut clock = StageClock::new(begun);
        for (stage, ms) in
            [(Stage::Take, 3), (Stage::Send, 4), (Stage::Full, 14), (Stage::Take, 16)]
        {
            clock.ended(stage, at(ms));
        }
        let figures = Figures { spent: clock.spent, ..Figures::default() };
        let spent = Stage::ALL.map(|stage| figures.spent(stage).as_millis());
        assert_eq!(spent, [5, 1, 0, 0, 10]);
    }
}
