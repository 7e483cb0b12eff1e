//! What is to be written to the status topic: the newest of each key, in the order in which keys were last said.
//!
//! ```text
//!  put ──► waiting ── take ──► being written ── written ──► nothing
//!             ▲                      │ failed: what nobody has said anew
//!             └──────────────────────┘
//! ```
//!
//! The topic is compacted and only the newest of a key counts, so what was overtaken while it waited is never written:
//! however long brokers stay away, there is at most one record for each connector, task and topic.

use super::status_cache::StatusCache;
use super::status_record::StatusRecord;

/// One record and whether it may be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) record: StatusRecord,
    /// Not written if another worker has said something newer meanwhile.
    pub(super) gives_way: bool,
}

impl Waiting {
    fn may_be_said(&self, cache: &StatusCache) -> bool {
        match &self.record {
            StatusRecord::Status { of, status: Some(status) } if self.gives_way => {
                cache.may_say(of, status)
            }
            StatusRecord::Status { .. } | StatusRecord::Topic { .. } => true,
        }
    }

    fn is_about(&self, other: &StatusRecord) -> bool {
        match (&self.record, other) {
            (StatusRecord::Status { of, .. }, StatusRecord::Status { of: other, .. }) => {
                of == other
            }
            (
                StatusRecord::Topic { connector, topic, .. },
                StatusRecord::Topic { connector: other_connector, topic: other_topic, .. },
            ) => connector == other_connector && topic == other_topic,
            (StatusRecord::Status { .. }, StatusRecord::Topic { .. })
            | (StatusRecord::Topic { .. }, StatusRecord::Status { .. }) => false,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct StatusQueue {
    waiting: Vec<Waiting>,
    /// Taken, and neither written nor failed yet.
    is_writing: bool,
}

impl StatusQueue {
    /// Whether everything is written.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing
    }

    pub(super) fn put(&mut self, waiting: Waiting) {
        self.waiting.retain(|earlier| !earlier.is_about(&waiting.record));
        self.waiting.push(waiting);
    }

    /// All that is to be written now; what may not be said is forgotten.
    pub(super) fn take(&mut self, cache: &StatusCache) -> Vec<Waiting> {
        self.waiting.retain(|waiting| waiting.may_be_said(cache));
        self.is_writing = !self.waiting.is_empty();
        std::mem::take(&mut self.waiting)
    }

    /// What was taken is written.
    pub(super) fn written(&mut self) {
        self.is_writing = false;
    }

    /// What was taken is not written, or not known to be. By the time it is tried again, others may have said more.
    pub(super) fn failed(&mut self, mut taken: Vec<Waiting>) {
        self.is_writing = false;
        taken.retain(|old| !self.waiting.iter().any(|new| new.is_about(&old.record)));
        for waiting in &mut taken {
            waiting.gives_way = true;
        }
        taken.append(&mut self.waiting);
        self.waiting = taken;
    }
}

#[cfg(test)]
mod tests {
    use super::super::status_record::{Status, Subject};
    use super::*;
    use crate::herder::State;

    fn task(number: i32, state: State, worker_id: &str, generation: i32) -> Waiting {
        let worker_id = worker_id.to_owned();
        let status = Status { state, trace: None, worker_id, generation, version: None };
        let of = Subject::Task("orders".to_owned(), number);
        Waiting { record: StatusRecord::Status { of, status: Some(status) }, gives_way: false }
    }

    fn topic(topic: &str) -> Waiting {
        let (connector, topic) = ("orders".to_owned(), topic.to_owned());
        let record = StatusRecord::Topic { connector, topic, status: None };
        Waiting { record, gives_way: false }
    }

    fn said(by: &Waiting) -> StatusCache {
        let mut cache = StatusCache::default();
        let (key, value) = by.record.encode();
        cache.apply(&key, value.as_deref()).unwrap();
        cache
    }

    #[test]
    fn newest_of_a_key_is_written_and_others_in_their_order() {
        let mut queue = StatusQueue::default();
        for waiting in [
            task(0, State::Unassigned, "a:1", 1),
            task(1, State::Running, "a:1", 1),
            topic("t"),
            task(0, State::Running, "a:1", 1),
            topic("u"),
        ] {
            queue.put(waiting);
        }
        let taken = queue.take(&StatusCache::default());
        let expected = [
            task(1, State::Running, "a:1", 1),
            topic("t"),
            task(0, State::Running, "a:1", 1),
            topic("u"),
        ];
        assert_eq!(taken, expected);
        assert!(!queue.is_settled());
        queue.written();
        assert!(queue.is_settled());
    }

    #[test]
    fn what_failed_is_tried_first_unless_it_was_said_anew() {
        let mut queue = StatusQueue::default();
        queue.put(task(0, State::Running, "a:1", 1));
        queue.put(task(1, State::Running, "a:1", 1));
        let taken = queue.take(&StatusCache::default());
        queue.put(task(0, State::Failed, "a:1", 1));
        queue.put(task(2, State::Running, "a:1", 1));
        queue.failed(taken);
        assert!(!queue.is_settled());
        let second_try = Waiting { gives_way: true, ..task(1, State::Running, "a:1", 1) };
        let expected =
            [second_try, task(0, State::Failed, "a:1", 1), task(2, State::Running, "a:1", 1)];
        assert_eq!(queue.take(&StatusCache::default()), expected);
    }

    #[test]
    fn second_try_and_careful_words_give_way_to_a_worker_that_knows_more() {
        let newer = said(&task(0, State::Running, "b:1", 2));
        let mut queue = StatusQueue::default();
        // Said as it is: whoever runs the task knows best.
        queue.put(task(0, State::Unassigned, "a:1", 1));
        let taken = queue.take(&newer);
        assert_eq!(taken.len(), 1);
        queue.failed(taken);
        assert_eq!(queue.take(&newer), []);
        assert!(queue.is_settled());
        queue.put(Waiting { gives_way: true, ..task(0, State::Unassigned, "a:1", 1) });
        assert_eq!(queue.take(&newer), []);
        queue.put(Waiting { gives_way: true, ..task(0, State::Unassigned, "a:1", 2) });
        assert_eq!(queue.take(&newer).len(), 1);
    }
}
