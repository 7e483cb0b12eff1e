//! What the config topic says, record by record: connectors, their tasks, what they are meant to do.
//!
//! ```text
//! task-a-0, task-a-1   wait ...
//! commit-a (2)         ... and count together; is one missing, a is inconsistent and has no tasks until they are
//!                      written anew
//! ```
//!
//! The topic is compacted, so a record of a set may be gone; what is known follows `KafkaConfigBackingStore` of Connect
//! 4.1 record by record, for a leader of either kind decides on it. [`ClusterConfig`] is what is known at one offset,
//! and does not change while somebody holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config_record::{Config, ConfigRecord, RestartRequest, Unreadable};
use super::session_key::SessionKey;
use crate::config::TargetState;

/// What a record changed, for whoever acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigChange {
    /// A connector is new, or has other properties.
    ConnectorUpdated(String),
    /// A connector is gone, with its tasks.
    ConnectorRemoved(String),
    /// The tasks of a connector were written.
    TasksUpdated(String),
    /// A connector is meant to do something else.
    TargetState(String),
    /// There is a new session key.
    SessionKey,
    /// Somebody wants a restart.
    Restart(RestartRequest),
    /// Somebody wants a logger of every worker to say more or less.
    LoggerLevel { namespace: String, level: String },
}

/// What is known of a group's connectors at one offset of the config topic.
#[derive(Clone, Default)]
pub(crate) struct ClusterConfig {
    /// The offset behind the last record that counts; `None`: there was none.
    next_offset: Option<i64>,
    session_key: Option<SessionKey>,
    connectors: BTreeMap<String, Arc<Config>>,
    target_states: BTreeMap<String, TargetState>,
    task_counts: BTreeMap<String, u32>,
    tasks: BTreeMap<String, BTreeMap<i32, Arc<Config>>>,
    /// The connectors' properties when their tasks were written.
    applied: BTreeMap<String, Arc<Config>>,
    task_count_records: BTreeMap<String, u32>,
    pending_fencing: BTreeSet<String>,
    inconsistent: BTreeSet<String>,
}

impl ClusterConfig {
    /// The offset of the next record; -1 if there is none, as Connect's group protocol has it.
    pub(crate) fn offset(&self) -> i64 {
        self.next_offset.unwrap_or(-1)
    }

    /// What requests between workers are signed with.
    pub(crate) fn session_key(&self) -> Option<&SessionKey> {
        self.session_key.as_ref()
    }

    /// The names of the connectors, sorted.
    pub(crate) fn connectors(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }

    /// Whether there is a connector of that name.
    pub(crate) fn contains(&self, connector: &str) -> bool {
        self.connectors.contains_key(connector)
    }

    /// The properties of a connector.
    pub(crate) fn connector_config(&self, connector: &str) -> Option<&Config> {
        self.connectors.get(connector).map(Arc::as_ref)
    }

    /// The properties that a connector had when its tasks were written: others now mean that its tasks are out of date.
    pub(crate) fn applied_config(&self, connector: &str) -> Option<&Config> {
        self.applied.get(connector).map(Arc::as_ref)
    }

    /// What a connector is meant to do; it runs unless something else was said.
    pub(crate) fn target_state(&self, connector: &str) -> Option<TargetState> {
        self.target_states.get(connector).copied()
    }

    /// How many tasks were last written, of a connector that is inconsistent too.
    pub(crate) fn task_count(&self, connector: &str) -> u32 {
        self.task_counts.get(connector).copied().unwrap_or(0)
    }

    /// The tasks of a connector; none of one that is inconsistent.
    pub(crate) fn tasks(&self, connector: &str) -> Vec<i32> {
        if self.is_inconsistent(connector) {
            return Vec::new();
        }
        (0..self.task_count(connector).cast_signed()).collect()
    }

    /// The properties of a task.
    pub(crate) fn task_config(&self, connector: &str, task: i32) -> Option<&Config> {
        self.tasks.get(connector)?.get(&task).map(Arc::as_ref)
    }

    /// Whether the tasks of a connector were not written whole.
    pub(crate) fn is_inconsistent(&self, connector: &str) -> bool {
        self.inconsistent.contains(connector)
    }

    /// Whether tasks were written since producers were last fenced.
    pub(crate) fn pending_fencing(&self, connector: &str) -> bool {
        self.pending_fencing.contains(connector)
    }

    /// How many producers of tasks may be about.
    pub(crate) fn task_count_record(&self, connector: &str) -> Option<u32> {
        self.task_count_records.get(connector).copied()
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct ConfigState {
    known: Arc<ClusterConfig>,
    /// Tasks that wait for their commit.
    deferred: BTreeMap<String, BTreeMap<i32, Arc<Config>>>,
}

impl ConfigState {
    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<ClusterConfig> {
        Arc::clone(&self.known)
    }

    /// Takes in the record at `offset`. An error says why it was passed over.
    pub(crate) fn apply(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<ConfigChange>, Unreadable> {
        let record = ConfigRecord::decode(key, value);
        if record.as_ref().err().is_none_or(Unreadable::is_counted) {
            self.known_mut().next_offset = Some(offset.saturating_add(1));
        }
        Ok(self.take_in(record?))
    }

    fn take_in(&mut self, record: ConfigRecord) -> Option<ConfigChange> {
        match record {
            ConfigRecord::Connector { connector, config: Some(config) } => {
                self.put_connector(connector, config)
            }
            ConfigRecord::Connector { connector, config: None } => {
                self.remove(&connector);
                Some(ConfigChange::ConnectorRemoved(connector))
            }
            ConfigRecord::TargetState { connector, state } => self.target_state(connector, state),
            ConfigRecord::Task { connector, task, config } => {
                self.deferred.entry(connector).or_default().insert(task, Arc::new(config));
                None
            }
            ConfigRecord::Commit { connector, tasks } => self.commit(connector, tasks),
            ConfigRecord::TaskCount { connector, tasks } => {
                let known = self.known_mut();
                known.pending_fencing.remove(&connector);
                known.task_count_records.insert(connector, tasks);
                None
            }
            ConfigRecord::Restart(request) => Some(ConfigChange::Restart(request)),
            ConfigRecord::SessionKey(key) => {
                self.known_mut().session_key = Some(key);
                Some(ConfigChange::SessionKey)
            }
            ConfigRecord::LoggerLevel { namespace, level } => {
                Some(ConfigChange::LoggerLevel { namespace, level })
            }
        }
    }

    /// Copies what is known only while somebody holds it.
    fn known_mut(&mut self) -> &mut ClusterConfig {
        Arc::make_mut(&mut self.known)
    }

    fn put_connector(&mut self, connector: String, config: Config) -> Option<ConfigChange> {
        let known = self.known_mut();
        known.target_states.entry(connector.clone()).or_default();
        known.connectors.insert(connector.clone(), Arc::new(config));
        Some(ConfigChange::ConnectorUpdated(connector))
    }

    /// What stays of a connector that is removed is what Java keeps of it: one that comes back under its name finds its
    /// old producers fenced.
    fn remove(&mut self, connector: &str) {
        self.deferred.remove(connector);
        let known = self.known_mut();
        known.connectors.remove(connector);
        known.task_counts.remove(connector);
        known.tasks.remove(connector);
        known.applied.remove(connector);
    }

    fn target_state(
        &mut self,
        connector: String,
        state: Option<TargetState>,
    ) -> Option<ConfigChange> {
        let known = self.known_mut();
        let exists = known.contains(&connector);
        let Some(state) = state else {
            // It comes with the removal of the connector, which is told by itself.
            if exists {
                known.target_states.insert(connector, TargetState::default());
            } else {
                known.target_states.remove(&connector);
            }
            return None;
        };
        let before = known.target_states.insert(connector.clone(), state);
        // A connector may be created stopped: then its state is there first.
        (exists && before != Some(state)).then_some(ConfigChange::TargetState(connector))
    }

    fn commit(&mut self, connector: String, count: u32) -> Option<ConfigChange> {
        let deferred = self.deferred.remove(&connector);
        let known = Arc::make_mut(&mut self.known);
        let Some(config) = known.connectors.get(&connector).cloned() else {
            // The connector was removed, and compaction has taken every trace of that.
            self.remove(&connector);
            return None;
        };
        let deferred = deferred.unwrap_or_default();
        // More than these may be there: left over from a larger set by compaction.
        if (0..count.cast_signed()).all(|task| deferred.contains_key(&task)) {
            known.tasks.entry(connector.clone()).or_default().extend(deferred);
            known.inconsistent.remove(&connector);
            known.applied.insert(connector.clone(), config);
        } else {
            known.inconsistent.insert(connector.clone());
        }
        known.task_counts.insert(connector.clone(), count);
        known.pending_fencing.insert(connector.clone());
        Some(ConfigChange::TasksUpdated(connector))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    /// Sequences of records, and what `KafkaConfigBackingStore` knew after each: `ConnectTopics.java` made them.
    const READS: &str = include_str!("../../tests/fixtures/connect_topics/config-reads.jsonl");

    #[derive(Deserialize)]
    struct Reading {
        records: Vec<(String, Option<String>)>,
        changes: Vec<String>,
        state: Value,
    }

    fn feed(state: &mut ConfigState, records: &[(String, Option<String>)]) -> Vec<String> {
        let mut changes = Vec::new();
        for (offset, (key, value)) in (0..).zip(records) {
            let applied = state.apply(offset, key.as_bytes(), value.as_deref().map(str::as_bytes));
            changes.extend(applied.ok().flatten().map(shown));
        }
        changes
    }

    fn shown(change: ConfigChange) -> String {
        match change {
            ConfigChange::ConnectorUpdated(connector) => format!("config {connector}"),
            ConfigChange::ConnectorRemoved(connector) => format!("removed {connector}"),
            ConfigChange::TasksUpdated(_) => "tasks".to_owned(),
            ConfigChange::TargetState(connector) => format!("target {connector}"),
            ConfigChange::SessionKey => "session key".to_owned(),
            ConfigChange::Restart(RestartRequest { connector, restart }) => {
                format!("restart {connector} {} {}", restart.include_tasks, restart.only_failed)
            }
            ConfigChange::LoggerLevel { namespace, level } => format!("logger {namespace} {level}"),
        }
    }

    /// As `ConnectTopics.java` shows what Connect knows.
    fn known(state: &ConfigState, names: &[String]) -> Value {
        use base64::Engine as _;
        let known = state.snapshot();
        let connector = |name: &String| {
            let target = known.target_state(name).map(|state| match state {
                TargetState::Started => "STARTED",
                TargetState::Paused => "PAUSED",
                TargetState::Stopped => "STOPPED",
            });
            let tasks: serde_json::Map<_, _> = known
                .tasks(name)
                .into_iter()
                .map(|task| (task.to_string(), json!(known.task_config(name, task))))
                .collect();
            let shown = json!({
                "config": known.connector_config(name),
                "target": target,
                "applied": known.applied_config(name),
                "task_count": known.task_count(name),
                "tasks": tasks,
                "task_count_record": known.task_count_record(name),
                "pending_fencing": known.pending_fencing(name),
                "inconsistent": known.is_inconsistent(name),
            });
            (name.clone(), shown)
        };
        let key = known
            .session_key()
            .map(|key| base64::engine::general_purpose::STANDARD.encode(key.expose()));
        json!({
            "offset": known.offset(),
            "names": known.connectors().collect::<Vec<_>>(),
            "session_key": key,
            "connectors": names.iter().map(connector).collect::<serde_json::Map<_, _>>(),
        })
    }

    fn record(key: &str, value: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn any_sequence_of_records_leaves_what_java_knows_after_it() {
        let mut readings = 0;
        for line in READS.lines() {
            let Reading { records, changes, state: expected } = serde_json::from_str(line).unwrap();
            let connectors = expected["connectors"].as_object().unwrap();
            let names: Vec<_> = connectors.keys().cloned().collect();
            let mut state = ConfigState::default();
            assert_eq!(feed(&mut state, &records), changes, "{line}");
            assert_eq!(known(&state, &names), expected, "{line}");
            readings += 1;
        }
        assert_eq!(readings, 30);
    }

    #[test]
    fn tasks_count_when_they_are_committed_and_not_before() {
        let mut state = ConfigState::default();
        let begin = [
            record("connector-orders", r#"{"properties":{"a":"1"}}"#),
            record("task-orders-0", r#"{"properties":{"b":"2"}}"#),
        ];
        assert_eq!(feed(&mut state, &begin), ["config orders"]);
        let before = state.snapshot();
        assert_eq!((before.tasks("orders"), before.task_config("orders", 0)), (vec![], None));
        feed(&mut state, &[record("commit-orders", r#"{"tasks":1}"#)]);
        let after = state.snapshot();
        assert_eq!(after.tasks("orders"), [0]);
        assert_eq!(after.task_config("orders", 0).unwrap()["b"], "2");
        // Who held what was known before still does.
        assert_eq!(before.tasks("orders"), Vec::<i32>::new());
    }

    #[test]
    fn set_of_tasks_with_a_hole_has_none() {
        let mut state = ConfigState::default();
        let records = [
            record("connector-orders", r#"{"properties":{}}"#),
            record("task-orders-1", r#"{"properties":{}}"#),
            record("commit-orders", r#"{"tasks":2}"#),
        ];
        feed(&mut state, &records);
        let known = state.snapshot();
        assert!(known.is_inconsistent("orders"));
        assert_eq!((known.tasks("orders"), known.task_count("orders")), (vec![], 2));
        // A count that nobody could have written costs nothing.
        feed(&mut state, &[record("commit-orders", r#"{"tasks":2147483647}"#)]);
        assert_eq!(state.snapshot().tasks("orders"), Vec::<i32>::new());
    }

    #[test]
    fn record_that_cannot_be_read_changes_nothing_but_the_offset() {
        let mut state = ConfigState::default();
        assert!(state.apply(4, b"connector-orders", Some(b"[]")).is_err());
        assert_eq!(state.snapshot().offset(), 5);
        assert!(state.apply(5, b"connector-orders", Some(b"{")).is_err());
        assert_eq!(state.snapshot().offset(), 5);
        assert_eq!(state.snapshot().connectors().count(), 0);
    }
}
