//! The records of the config topic (`config.storage.topic`): what a group of workers is to do, one fact a record.
//!
//! ```text
//! key                          value, JSON                                        null
//! connector-<c>                {"properties":{…}}                                 the connector is removed
//! target-state-<c>             {"state":"PAUSED","state.v2":"STOPPED"}            back to STARTED
//! task-<c>-<n>                 {"properties":{…}}                                 -
//! commit-<c>                   {"tasks":2}                                        -
//! tasks-fencing-<c>            {"task-count":2}                                   -
//! restart-connector-<c>        {"include-tasks":true,"only-failed":false}         -
//! session-key                  {"key":"<base64>","algorithm":"HmacSHA256","creation-timestamp":<ms>}
//! logger-cluster-<namespace>   {"level":"DEBUG"}                                  -
//! ```
//!
//! Names, values and what is forgiven are those of `KafkaConfigBackingStore` of Connect 4.1: workers of Java read what
//! is written here, and the other way. One thing differs: here a property has a text or is not there, so one that is
//! `null` is left out when it is read. What cannot be read is passed over by whoever reads the topic.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::session_key::SessionKey;
use super::signature::BASE64;
use crate::config::TargetState;
use crate::herder::Restart;
use crate::kafka::Pair;

/// The properties of a connector or a task. May hold secrets.
pub(crate) type Config = BTreeMap<String, String>;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ConfigRecord {
    /// What a connector is; `None`: it is removed.
    Connector { connector: String, config: Option<Config> },
    /// What it is meant to do; `None`: nothing was said.
    TargetState { connector: String, state: Option<TargetState> },
    /// A task, which counts with the next [`ConfigRecord::Commit`].
    Task { connector: String, task: i32, config: Config },
    /// All tasks of a connector are written.
    Commit { connector: String, tasks: u32 },
    /// How many producers must be fenced before the tasks may change.
    TaskCount { connector: String, tasks: u32 },
    /// Somebody wants a restart, now.
    Restart(RestartRequest),
    /// What requests between workers are signed with.
    SessionKey(SessionKey),
    /// How much every worker is to log, now.
    LoggerLevel { namespace: String, level: String },
}

/// What to restart of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestartRequest {
    pub(crate) connector: String,
    pub(crate) restart: Restart,
}

/// As Connect writes it in an error.
impl fmt::Display for RestartRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connector, restart: Restart { include_tasks, only_failed } } = self;
        write!(
            f,
            "restart request for {{connectorName='{connector}', onlyFailed={only_failed}, \
             includeTasks={include_tasks}}}"
        )
    }
}

/// A record that says nothing that is understood.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("passing over the record {key} of the config topic: {why}")]
pub(crate) struct Unreadable {
    key: String,
    why: Why,
}

impl Unreadable {
    /// Whether the record counts in the offset up to which the topic was read: as in Java, unless it is no JSON.
    /// Workers of a group compare these offsets, so all must count alike.
    pub(super) fn is_counted(&self) -> bool {
        match self.why {
            Why::Json(_) => false,
            Why::Key | Why::Null | Why::NoObject(_) | Why::Field { .. } | Why::Value { .. } => true,
        }
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
enum Why {
    #[error("its value is no JSON: {0}")]
    Json(String),
    #[error("a key like this is not known")]
    Key,
    #[error("its value is unexpectedly null")]
    Null,
    #[error("its value should be an object but is {0}")]
    NoObject(&'static str),
    #[error("'{field}' field should be {wanted} but is {found}")]
    Field { field: &'static str, wanted: &'static str, found: &'static str },
    #[error("'{field}' field has a value that is not known: {value}")]
    Value { field: &'static str, value: String },
}

const CONNECTOR: &str = "connector-";
const TARGET_STATE: &str = "target-state-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const TASK_COUNT: &str = "tasks-fencing-";
const RESTART: &str = "restart-connector-";
const SESSION_KEY: &str = "session-key";
const LOGGER: &str = "logger-cluster-";

const STATES: [(&str, TargetState); 3] = [
    ("STARTED", TargetState::Started),
    ("PAUSED", TargetState::Paused),
    ("STOPPED", TargetState::Stopped),
];

impl ConfigRecord {
    /// Reads a record.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Unreadable> {
        let key = String::from_utf8_lossy(key).into_owned();
        let read = read_value(value).and_then(|value| read(&key, value));
        read.map_err(|why| Unreadable { key, why })
    }

    /// The record.
    pub(crate) fn encode(&self) -> Pair {
        let properties = |config: &Config| json!({ "properties": config });
        let (key, value) = match self {
            Self::Connector { connector, config } => {
                (format!("{CONNECTOR}{connector}"), config.as_ref().map(properties))
            }
            Self::TargetState { connector, state } => {
                (format!("{TARGET_STATE}{connector}"), state.map(target_state))
            }
            Self::Task { connector, task, config } => {
                (format!("{TASK}{connector}-{task}"), Some(properties(config)))
            }
            Self::Commit { connector, tasks } => {
                (format!("{COMMIT}{connector}"), Some(json!({ "tasks": tasks })))
            }
            Self::TaskCount { connector, tasks } => {
                (format!("{TASK_COUNT}{connector}"), Some(json!({ "task-count": tasks })))
            }
            Self::Restart(RestartRequest { connector, restart }) => {
                let Restart { include_tasks, only_failed } = restart;
                let value = json!({ "include-tasks": include_tasks, "only-failed": only_failed });
                (format!("{RESTART}{connector}"), Some(value))
            }
            Self::SessionKey(key) => (SESSION_KEY.to_owned(), Some(session_key(key))),
            Self::LoggerLevel { namespace, level } => {
                (format!("{LOGGER}{namespace}"), Some(json!({ "level": level })))
            }
        };
        (key.into_bytes(), value.map(|value| value.to_string().into_bytes()))
    }
}

/// Workers before 3.5 know no STOPPED, and look at `state` only.
fn target_state(state: TargetState) -> Value {
    let (old, new) = match state {
        TargetState::Started => ("STARTED", "STARTED"),
        TargetState::Paused => ("PAUSED", "PAUSED"),
        TargetState::Stopped => ("PAUSED", "STOPPED"),
    };
    json!({ "state": old, "state.v2": new })
}

fn session_key(key: &SessionKey) -> Value {
    json!({
        "key": BASE64.encode(key.expose()),
        "algorithm": key.algorithm(),
        "creation-timestamp": key.created_ms(),
    })
}

/// The first JSON value that is there; `null` is nothing.
fn read_value(bytes: Option<&[u8]>) -> Result<Option<Value>, Why> {
    let Some(bytes) = bytes else { return Ok(None) };
    let value = Value::deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    let value = value.map_err(|error| Why::Json(error.to_string()))?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn read(key: &str, value: Option<Value>) -> Result<ConfigRecord, Why> {
    let owned = str::to_owned;
    if let Some(connector) = key.strip_prefix(TARGET_STATE).map(owned) {
        let state = value.map(object).transpose()?.map(|fields| read_state(&fields)).transpose()?;
        Ok(ConfigRecord::TargetState { connector, state })
    } else if let Some(connector) = key.strip_prefix(CONNECTOR).map(owned) {
        let config =
            value.map(object).transpose()?.map(|fields| read_config(&fields)).transpose()?;
        Ok(ConfigRecord::Connector { connector, config })
    } else if let Some(rest) = key.strip_prefix(TASK) {
        let (connector, task) = rest.rsplit_once('-').ok_or(Why::Key)?;
        let (connector, task) = (connector.to_owned(), task.parse().map_err(|_| Why::Key)?);
        Ok(ConfigRecord::Task { connector, task, config: read_config(&needed(value)?)? })
    } else if let Some(connector) = key.strip_prefix(COMMIT).map(owned) {
        Ok(ConfigRecord::Commit { connector, tasks: count(&needed(value)?, "tasks")? })
    } else if let Some(connector) = key.strip_prefix(RESTART).map(owned) {
        let fields = needed(value)?;
        // What is missing or odd is false.
        let flag = |name| fields.get(name).and_then(Value::as_bool).unwrap_or(false);
        let (include_tasks, only_failed) = (flag("include-tasks"), flag("only-failed"));
        let restart = Restart { include_tasks, only_failed };
        Ok(ConfigRecord::Restart(RestartRequest { connector, restart }))
    } else if let Some(connector) = key.strip_prefix(TASK_COUNT).map(owned) {
        Ok(ConfigRecord::TaskCount { connector, tasks: count(&needed(value)?, "task-count")? })
    } else if key == SESSION_KEY {
        read_session_key(&needed(value)?).map(ConfigRecord::SessionKey)
    } else if let Some(namespace) = key.strip_prefix(LOGGER).map(owned) {
        let level = text(&needed(value)?, "level")?.to_owned();
        Ok(ConfigRecord::LoggerLevel { namespace, level })
    } else {
        Err(Why::Key)
    }
}

fn needed(value: Option<Value>) -> Result<Map<String, Value>, Why> {
    value.map_or(Err(Why::Null), object)
}

fn object(value: Value) -> Result<Map<String, Value>, Why> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Why::NoObject(kind(Some(&value))))
        }
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    }
}

fn wrong(fields: &Map<String, Value>, field: &'static str, wanted: &'static str) -> Why {
    Why::Field { field, wanted, found: kind(fields.get(field)) }
}

fn text<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Why> {
    let value = fields.get(field).and_then(Value::as_str);
    value.ok_or_else(|| wrong(fields, field, "a text"))
}

fn count(fields: &Map<String, Value>, field: &'static str) -> Result<u32, Why> {
    let count = fields.get(field).and_then(Value::as_u64);
    // Java has it in an int.
    let count = count.and_then(|count| u32::try_from(count).ok()).filter(|&n| n <= i32::MAX as u32);
    count.ok_or_else(|| wrong(fields, field, "a count"))
}

fn read_config(fields: &Map<String, Value>) -> Result<Config, Why> {
    let properties = fields.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| wrong(fields, "properties", "an object"))?;
    Ok(read_properties(properties))
}

/// The properties that have a value; what is no text becomes its text.
pub(crate) fn read_properties(properties: &Map<String, Value>) -> Config {
    let given =
        properties.iter().filter_map(|(name, value)| Some((name.clone(), property(value)?)));
    given.collect()
}

fn property(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// `state.v2` counts, and `state` where that is no text.
fn read_state(fields: &Map<String, Value>) -> Result<TargetState, Why> {
    let (field, name) = match fields.get("state.v2").and_then(Value::as_str) {
        Some(name) => ("state.v2", name),
        None => ("state", text(fields, "state")?),
    };
    let state = STATES.iter().find(|(known, _)| *known == name);
    let unknown = || Why::Value { field, value: name.to_owned() };
    state.map(|(_, state)| *state).ok_or_else(unknown)
}

fn read_session_key(fields: &Map<String, Value>) -> Result<SessionKey, Why> {
    // What the key's text is stays out of the log.
    let odd = || Why::Field { field: "key", wanted: "Base64 of a key", found: "something else" };
    let bytes = BASE64.decode(text(fields, "key")?).map_err(|_| odd())?;
    let algorithm = text(fields, "algorithm")?.to_owned();
    let created_ms = fields.get("creation-timestamp").and_then(Value::as_i64);
    let created_ms = created_ms.ok_or_else(|| wrong(fields, "creation-timestamp", "a number"))?;
    SessionKey::new(bytes, algorithm, created_ms).ok_or_else(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `KafkaConfigBackingStore` writes, in the order of `ConnectTopics.java`.
    const WRITES: &str = include_str!("../../tests/fixtures/connect_topics/config-writes.jsonl");

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn records() -> Vec<ConfigRecord> {
        let connector = || "orders".to_owned();
        let orders =
            config(&[("name", "orders"), ("pipeline", "[{\"$match\": {\"a\": \"ü/\t\u{1}\"}}]")]);
        let created = ConfigRecord::Connector { connector: connector(), config: Some(orders) };
        let target = |state| ConfigRecord::TargetState { connector: connector(), state };
        let task = |task, class| {
            let config = config(&[("task.class", class)]);
            ConfigRecord::Task { connector: connector(), task, config }
        };
        let restart = |include_tasks, only_failed| {
            let restart = Restart { include_tasks, only_failed };
            ConfigRecord::Restart(RestartRequest { connector: connector(), restart })
        };
        let key = SessionKey::new(vec![1, 2, 3, 4, 5], "HmacSHA256".to_owned(), 1_700_000_000_000);
        vec![
            created.clone(),
            target(Some(TargetState::Stopped)),
            created,
            task(0, "T"),
            task(1, "U"),
            ConfigRecord::Commit { connector: connector(), tasks: 2 },
            target(Some(TargetState::Paused)),
            target(Some(TargetState::Started)),
            ConfigRecord::TaskCount { connector: connector(), tasks: 2 },
            ConfigRecord::SessionKey(key.unwrap()),
            restart(false, true),
            restart(true, false),
            ConfigRecord::LoggerLevel {
                namespace: "org.apache.kafka.connect".to_owned(),
                level: "DEBUG".to_owned(),
            },
            ConfigRecord::Connector { connector: connector(), config: None },
            target(None),
        ]
    }

    fn decode(key: &str, value: &str) -> Result<ConfigRecord, Unreadable> {
        ConfigRecord::decode(key.as_bytes(), Some(value.as_bytes()))
    }

    #[test]
    fn what_java_wrote_is_read_and_written_as_java_wrote_it() {
        let lines: Vec<_> = WRITES.lines().collect();
        assert_eq!(lines.len(), records().len());
        for (line, record) in lines.into_iter().zip(records()) {
            let (key, value): (String, Option<String>) = serde_json::from_str(line).unwrap();
            let read = ConfigRecord::decode(key.as_bytes(), value.as_deref().map(str::as_bytes));
            assert!(read.unwrap() == record, "{line}");
            let (written_key, written) = record.encode();
            assert_eq!(String::from_utf8(written_key).unwrap(), key);
            let written = written.map(|bytes| String::from_utf8(bytes).unwrap());
            // A property without a value is read as none at all.
            assert_eq!(written, value.map(|value| value.replace("\"nothing\":null,", "")));
        }
    }

    #[test]
    fn every_record_is_read_back_and_cut_anywhere_it_is_passed_over() {
        for record in records() {
            let (key, value) = record.encode();
            assert!(ConfigRecord::decode(&key, value.as_deref()).unwrap() == record);
            let Some(value) = value else { continue };
            for end in 0..value.len() {
                let error = ConfigRecord::decode(&key, Some(&value[..end])).err().unwrap();
                assert!(!error.is_counted(), "{error}");
            }
        }
    }

    #[test]
    fn unreadable_record_says_what_is_wrong_and_counts_unless_it_is_no_json() {
        for (key, value, text) in [
            ("other", "{}", "other of the config topic: a key like this is not known"),
            ("task-orders", "{}", "a key like this is not known"),
            ("task-orders-x", "{}", "a key like this is not known"),
            ("task-orders-0", "null", "its value is unexpectedly null"),
            ("connector-orders", "[]", "its value should be an object but is an array"),
            ("connector-orders", "{}", "'properties' field should be an object but is missing"),
            ("commit-orders", r#"{"tasks":"1"}"#, "'tasks' field should be a count but is a text"),
            ("commit-orders", r#"{"tasks":-1}"#, "'tasks' field should be a count but is a number"),
            (
                "target-state-orders",
                r#"{"state":"RUNNING"}"#,
                "'state' field has a value that is not known: RUNNING",
            ),
            ("session-key", r#"{"key":"!"}"#, "'key' field should be Base64 of a key but is"),
        ] {
            let error = decode(key, value).err().unwrap();
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.is_counted(), "{error}");
        }
        assert!(!decode("connector-orders", "{").err().unwrap().is_counted());
    }

    #[test]
    fn older_state_counts_only_where_the_newer_one_is_no_text() {
        let state = |value| {
            let Ok(ConfigRecord::TargetState { state, .. }) = decode("target-state-orders", value)
            else {
                return None;
            };
            state
        };
        assert_eq!(state(r#"{"state":"PAUSED"}"#), Some(TargetState::Paused));
        assert_eq!(state(r#"{"state":"PAUSED","state.v2":7}"#), Some(TargetState::Paused));
        assert_eq!(state(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#), Some(TargetState::Stopped));
        assert_eq!(state(r#"{"state":"PAUSED","state.v2":"ODD"}"#), None);
    }

    #[test]
    fn connector_may_have_dashes_and_numbers_in_its_name() {
        let (key, value) = ConfigRecord::Task {
            connector: "orders-1-".to_owned(),
            task: 12,
            config: Config::new(),
        }
        .encode();
        assert_eq!(key, b"task-orders-1--12");
        let Ok(ConfigRecord::Task { connector, task, .. }) =
            ConfigRecord::decode(&key, value.as_deref())
        else {
            panic!("not read back")
        };
        assert_eq!((connector.as_str(), task), ("orders-1-", 12));
    }
}
