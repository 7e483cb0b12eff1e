//! The records of the status topic (`status.storage.topic`): how it stands with connectors, tasks and topics.
//!
//! ```text
//! key                                value, JSON; null: it is gone
//! status-connector-<c>               {"state":"RUNNING","trace":null,"worker_id":"h:8083","generation":3,
//!                                     "version":"2.0.1"}
//! status-task-<c>-<n>                the same
//! status-topic-<t>:connector-<c>     {"topic":{"name":"<t>","connector":"<c>","task":0,"discoverTimestamp":<ms>}}
//! ```
//!
//! Names and values are those of `KafkaStatusBackingStore` of Connect 4.1. Workers before 4.1 write no `version`.

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::herder::State;
use crate::kafka::Pair;

/// How it stands with a connector or a task, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Why it has failed.
    pub(crate) trace: Option<String>,
    /// The worker that it runs on, `host:port`.
    pub(crate) worker_id: String,
    /// The generation of the group in which the worker said so.
    pub(crate) generation: i32,
    /// The version of the connector's class.
    pub(crate) version: Option<String>,
}

/// That a connector uses a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicStatus {
    /// The task that used it first.
    pub(crate) task: i32,
    /// When, in milliseconds since 1970.
    pub(crate) discovered_ms: i64,
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Connector(String),
    Task(String, i32),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatusRecord {
    /// How it stands; `None`: it is no more.
    Status { of: Subject, status: Option<Status> },
    /// A topic in use; `None`: not any more.
    Topic { connector: String, topic: String, status: Option<TopicStatus> },
}

/// A record that says nothing that is understood.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    #[error("passing over the record {key} of the status topic: a key like this is not known")]
    Key { key: String },
    #[error("passing over the record {key} of the status topic: {error}")]
    Value { key: String, error: serde_json::Error },
    #[error("passing over the record {key} of the status topic: the state {state} is not known")]
    State { key: String, state: String },
}

const CONNECTOR: &str = "status-connector-";
const TASK: &str = "status-task-";
const TOPIC: &str = "status-topic-";
const OF_CONNECTOR: &str = "connector-";

const STATES: [(&str, State); 6] = [
    ("UNASSIGNED", State::Unassigned),
    ("RUNNING", State::Running),
    ("PAUSED", State::Paused),
    ("STOPPED", State::Stopped),
    ("FAILED", State::Failed),
    ("RESTARTING", State::Restarting),
];

impl StatusRecord {
    /// Reads a record.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Unreadable> {
        let key = String::from_utf8_lossy(key).into_owned();
        if let Some(rest) = key.strip_prefix(TOPIC) {
            let Some((topic, connector)) = topic_key(rest) else {
                return Err(Unreadable::Key { key });
            };
            let (topic, connector) = (topic.to_owned(), connector.to_owned());
            let status = value.map(|value| read_topic(key, value)).transpose()?;
            return Ok(Self::Topic { connector, topic, status });
        }
        let Some(of) = subject(&key) else { return Err(Unreadable::Key { key }) };
        let status = value.map(|value| read_status(key, value)).transpose()?;
        Ok(Self::Status { of, status })
    }

    /// The record.
    pub(crate) fn encode(&self) -> Pair {
        let (key, value) = match self {
            Self::Status { of, status } => (subject_key(of), status.as_ref().map(status_value)),
            Self::Topic { connector, topic, status } => {
                let key = format!("{TOPIC}{topic}:{OF_CONNECTOR}{connector}");
                let value = status.as_ref().map(|TopicStatus { task, discovered_ms }| {
                    json!({ "topic": {
                        "name": topic,
                        "connector": connector,
                        "task": task,
                        "discoverTimestamp": discovered_ms,
                    } })
                });
                (key, value)
            }
        };
        (key.into_bytes(), value.map(|value| value.to_string().into_bytes()))
    }
}

fn subject(key: &str) -> Option<Subject> {
    if let Some(connector) = key.strip_prefix(CONNECTOR) {
        return (!connector.is_empty()).then(|| Subject::Connector(connector.to_owned()));
    }
    let (connector, task) = key.strip_prefix(TASK)?.rsplit_once('-')?;
    Some(Subject::Task(connector.to_owned(), task.parse().ok()?))
}

fn subject_key(of: &Subject) -> String {
    match of {
        Subject::Connector(connector) => format!("{CONNECTOR}{connector}"),
        Subject::Task(connector, task) => format!("{TASK}{connector}-{task}"),
    }
}

/// A topic has no colon in its name; a connector may.
fn topic_key(rest: &str) -> Option<(&str, &str)> {
    let (topic, connector) = rest.split_once(':')?;
    let connector = connector.strip_prefix(OF_CONNECTOR)?;
    (!topic.is_empty() && !connector.is_empty()).then_some((topic, connector))
}

fn status_value(status: &Status) -> Value {
    let Status { state, trace, worker_id, generation, version } = status;
    let name = STATES.iter().find(|(_, known)| known == state).map(|(name, _)| name);
    json!({
        "state": name,
        "trace": trace,
        "worker_id": worker_id,
        "generation": generation,
        "version": version,
    })
}

#[derive(Deserialize)]
struct StatusValue {
    state: String,
    trace: Option<String>,
    worker_id: String,
    generation: i32,
    version: Option<String>,
}

fn read_status(key: String, bytes: &[u8]) -> Result<Status, Unreadable> {
    let read: StatusValue = match serde_json::from_slice(bytes) {
        Ok(read) => read,
        Err(error) => return Err(Unreadable::Value { key, error }),
    };
    let StatusValue { state, trace, worker_id, generation, version } = read;
    match STATES.iter().find(|(name, _)| *name == state) {
        Some((_, state)) => Ok(Status { state: *state, trace, worker_id, generation, version }),
        None => Err(Unreadable::State { key, state }),
    }
}

#[derive(Deserialize)]
struct TopicValue {
    topic: TopicFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicFields {
    task: i32,
    discover_timestamp: i64,
}

fn read_topic(key: String, bytes: &[u8]) -> Result<TopicStatus, Unreadable> {
    match serde_json::from_slice(bytes) {
        Ok(TopicValue { topic: TopicFields { task, discover_timestamp } }) => {
            Ok(TopicStatus { task, discovered_ms: discover_timestamp })
        }
        Err(error) => Err(Unreadable::Value { key, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `KafkaStatusBackingStore` writes, in the order of `ConnectTopics.java`.
    const WRITES: &str = include_str!("../../tests/fixtures/connect_topics/status-writes.jsonl");

    fn records() -> Vec<StatusRecord> {
        let status = |state, trace: Option<&str>, version: Option<&str>| Status {
            state,
            trace: trace.map(str::to_owned),
            worker_id: "127.0.0.1:8083".to_owned(),
            generation: 3,
            version: version.map(str::to_owned),
        };
        let connector =
            |status| StatusRecord::Status { of: Subject::Connector("orders".to_owned()), status };
        let task =
            |status| StatusRecord::Status { of: Subject::Task("orders".to_owned(), 0), status };
        let topic = |status| StatusRecord::Topic {
            connector: "orders".to_owned(),
            topic: "shop.orders".to_owned(),
            status,
        };
        vec![
            connector(Some(status(State::Running, None, Some("2.0.1")))),
            task(Some(status(State::Failed, Some("java.lang.X: no\n\tat Y"), Some("2.0.1")))),
            task(Some(status(State::Unassigned, None, None))),
            topic(Some(TopicStatus { task: 0, discovered_ms: 1_700_000_000_000 })),
            topic(None),
            task(None),
            connector(None),
        ]
    }

    #[test]
    fn what_java_wrote_is_read_and_written_as_java_wrote_it() {
        let lines: Vec<_> = WRITES.lines().collect();
        assert_eq!(lines.len(), records().len());
        for (line, record) in lines.into_iter().zip(records()) {
            let (key, value): (String, Option<String>) = serde_json::from_str(line).unwrap();
            let read = StatusRecord::decode(key.as_bytes(), value.as_deref().map(str::as_bytes));
            assert_eq!(read.unwrap(), record);
            let written = record.encode();
            assert_eq!(written, (key.into_bytes(), value.map(String::into_bytes)), "{line}");
        }
    }

    #[test]
    fn value_that_is_cut_anywhere_is_passed_over() {
        for record in records() {
            let (key, value) = record.encode();
            let Some(value) = value else { continue };
            for end in 0..value.len() {
                assert!(StatusRecord::decode(&key, Some(&value[..end])).is_err());
            }
        }
    }

    #[test]
    fn unreadable_record_is_told_by_its_key() {
        for (key, value) in [
            ("other", "{}"),
            ("status-connector-", "{}"),
            ("status-task-orders", "{}"),
            ("status-topic-orders", "{}"),
            ("status-topic-:connector-orders", "{}"),
            ("status-topic-orders:connector-", "{}"),
            ("status-connector-orders", "[]"),
            ("status-connector-orders", r#"{"state":"ODD","worker_id":"w","generation":1}"#),
            ("status-topic-t:connector-orders", r#"{"topic":{"task":"0"}}"#),
        ] {
            let error = StatusRecord::decode(key.as_bytes(), Some(value.as_bytes())).unwrap_err();
            let begin = format!("passing over the record {key} of the status topic: ");
            assert!(error.to_string().starts_with(&begin), "{error}");
        }
    }

    #[test]
    fn every_state_has_a_name_of_its_own() {
        for (name, state) in STATES {
            let shown = serde_json::to_value(state).unwrap();
            assert_eq!(shown, name);
        }
    }
}
