//! How it stands with every connector, task and topic of a group, as the status topic last said.
//!
//! Workers write of what they run, and a task moves from one to the next: records of two may cross. What is believed
//! then follows `KafkaStatusBackingStore` of Connect 4.1.

use std::collections::BTreeMap;

use super::status_record::{Status, StatusRecord, Subject, TopicStatus, Unreadable};
use crate::herder::State;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct StatusCache {
    connectors: BTreeMap<String, Status>,
    tasks: BTreeMap<String, BTreeMap<i32, Status>>,
    topics: BTreeMap<String, BTreeMap<String, TopicStatus>>,
}

impl StatusCache {
    /// Takes in a record, and returns the connector that it has forgotten a topic of. An error says why it was passed
    /// over.
    pub(crate) fn apply(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<String>, Unreadable> {
        match StatusRecord::decode(key, value)? {
            StatusRecord::Status { of: Subject::Connector(connector), status: Some(status) } => {
                self.connectors.insert(connector, status);
            }
            StatusRecord::Status { of: Subject::Connector(connector), status: None } => {
                self.connectors.remove(&connector);
                self.tasks.remove(&connector);
            }
            StatusRecord::Status { of: Subject::Task(connector, task), status: Some(status) } => {
                let tasks = self.tasks.entry(connector).or_default();
                if !tasks.get(&task).is_some_and(|known| is_stale(&status, known)) {
                    tasks.insert(task, status);
                }
            }
            StatusRecord::Status { of: Subject::Task(connector, task), status: None } => {
                take(&mut self.tasks, &connector, &task);
            }
            StatusRecord::Topic { connector, topic, status: Some(status) } => {
                self.topics.entry(connector).or_default().insert(topic, status);
            }
            StatusRecord::Topic { connector, topic, status: None } => {
                take(&mut self.topics, &connector, &topic);
                return Ok(Some(connector));
            }
        }
        Ok(None)
    }

    /// The connectors that something is known of.
    pub(crate) fn connectors(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }

    /// How it stands with a connector.
    pub(crate) fn connector(&self, connector: &str) -> Option<&Status> {
        self.connectors.get(connector)
    }

    /// How it stands with a task.
    pub(crate) fn task(&self, connector: &str, task: i32) -> Option<&Status> {
        self.tasks.get(connector)?.get(&task)
    }

    /// How it stands with the tasks of a connector, by number.
    pub(crate) fn tasks(&self, connector: &str) -> impl Iterator<Item = (i32, &Status)> {
        self.tasks.get(connector).into_iter().flatten().map(|(task, status)| (*task, status))
    }

    /// The topics that a connector uses, by name.
    pub(crate) fn topics(&self, connector: &str) -> impl Iterator<Item = (&str, &TopicStatus)> {
        let topics = self.topics.get(connector).into_iter().flatten();
        topics.map(|(topic, status)| (topic.as_str(), status))
    }

    /// Whether `status` may be said of `of` without talking over another worker that knows more.
    pub(crate) fn may_say(&self, of: &Subject, status: &Status) -> bool {
        let known = match of {
            Subject::Connector(connector) => self.connector(connector),
            Subject::Task(connector, task) => self.task(connector, *task),
        };
        known.is_none_or(|known| {
            known.worker_id == status.worker_id || known.generation <= status.generation
        })
    }
}

/// A worker that gives a task up may say so after the next one has begun it.
fn is_stale(status: &Status, known: &Status) -> bool {
    status.state == State::Unassigned
        && known.state == State::Running
        && known.generation >= status.generation
}

fn take<K: Ord, V>(of: &mut BTreeMap<String, BTreeMap<K, V>>, connector: &str, key: &K) {
    if let Some(inner) = of.get_mut(connector) {
        inner.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    /// Sequences of records, and what `KafkaStatusBackingStore` knew after each: `ConnectTopics.java` made them.
    const READS: &str = include_str!("../../tests/fixtures/connect_topics/status-reads.jsonl");

    fn shown(status: &Status) -> Value {
        let Status { state, trace, worker_id, generation, version } = status;
        json!([state, trace, worker_id, generation, version])
    }

    fn known(cache: &StatusCache, connector: &str) -> Value {
        let tasks: Map<_, _> = cache
            .tasks(connector)
            .map(|(task, status)| (task.to_string(), shown(status)))
            .collect();
        let topics: Map<_, _> = cache
            .topics(connector)
            .map(|(topic, status)| (topic.to_owned(), json!(status.task)))
            .collect();
        let connector = cache.connector(connector).map(shown);
        json!({ "connector": connector, "tasks": tasks, "topics": topics })
    }

    #[test]
    fn any_sequence_of_records_leaves_what_java_knows_after_it() {
        let mut readings = 0;
        for line in READS.lines() {
            let reading: Map<String, Value> = serde_json::from_str(line).unwrap();
            let mut cache = StatusCache::default();
            let records: Vec<(String, Option<String>)> =
                serde_json::from_value(reading["records"].clone()).unwrap();
            for (key, value) in &records {
                let _ = cache.apply(key.as_bytes(), value.as_deref().map(str::as_bytes));
            }
            assert_eq!(json!(cache.connectors().collect::<Vec<_>>()), reading["names"], "{line}");
            for connector in ["orders", "orders-eu", "a"] {
                assert_eq!(known(&cache, connector), reading[connector], "{connector}: {line}");
            }
            readings += 1;
        }
        assert_eq!(readings, 30);
    }

    fn status(state: State, worker_id: &str, generation: i32) -> Status {
        let worker_id = worker_id.to_owned();
        Status { state, trace: None, worker_id, generation, version: None }
    }

    fn say(cache: &mut StatusCache, of: &Subject, status: Status) {
        let record = StatusRecord::Status { of: of.clone(), status: Some(status) };
        let (key, value) = record.encode();
        cache.apply(&key, value.as_deref()).unwrap();
    }

    #[test]
    fn task_that_runs_elsewhere_is_not_given_up_by_who_had_it() {
        for (of, believed) in [
            (Subject::Task("orders".to_owned(), 0), [State::Running, State::Running]),
            (Subject::Connector("orders".to_owned()), [State::Unassigned, State::Unassigned]),
        ] {
            for (generation, believed) in [4, 5].into_iter().zip(believed) {
                let mut cache = StatusCache::default();
                say(&mut cache, &of, status(State::Running, "b:1", 5));
                say(&mut cache, &of, status(State::Unassigned, "a:1", generation));
                let known = cache.connector("orders").or(cache.task("orders", 0));
                assert_eq!(known.map(|status| status.state), Some(believed), "{of:?}");
                say(&mut cache, &of, status(State::Unassigned, "b:1", 6));
                let known = cache.connector("orders").or(cache.task("orders", 0));
                assert_eq!(known.map(|status| status.state), Some(State::Unassigned));
            }
        }
    }

    #[test]
    fn other_worker_is_talked_over_only_in_a_later_generation_or_the_same() {
        let running = |worker_id, generation| status(State::Running, worker_id, generation);
        let of = Subject::Task("orders".to_owned(), 0);
        let mut cache = StatusCache::default();
        assert!(cache.may_say(&of, &running("a:1", 1)));
        say(&mut cache, &of, running("a:1", 5));
        assert!(cache.may_say(&of, &running("a:1", 4)));
        assert!(cache.may_say(&of, &running("b:1", 5)));
        assert!(!cache.may_say(&of, &running("b:1", 4)));
    }
}
