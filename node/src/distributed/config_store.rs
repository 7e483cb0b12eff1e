//! The config topic of a group: what it says now, what changes in it, and how to change it.
//!
//! ```text
//!  put_* ──► append ──► config topic ──► every worker of the group: ConfigState ──► snapshot
//!    ▲                                        │ one record                └──────► changes, in their order
//!    └─────── this worker has read it ────────┘
//! ```
//!
//! One worker of a group writes at a time, its leader; target states and log levels anybody may write. A write has
//! ended when this worker has read it back, so the next snapshot has it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::config_record::{Config, ConfigRecord, RestartRequest};
use super::config_state::{ClusterConfig, ConfigChange, ConfigState};
use super::session_key::SessionKey;
use crate::config::TargetState;
use crate::kafka::{Cluster, CompactedLog, KafkaError, LogRecord, TopicSpec};

/// How long a write may take until it is read back, as in Connect.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the config topic was not written or read, in Connect's words.
#[derive(Debug, Error)]
pub(crate) enum ConfigStoreError {
    #[error("Error writing {what} to Kafka: {error}")]
    Write { what: String, error: KafkaError },
    #[error("Error writing {what} to Kafka: it was not written and read back within {} s", .after.as_secs())]
    SlowWrite { what: String, after: Duration },
    #[error("Error trying to read to end of config log: {0}")]
    Read(KafkaError),
    #[error("Error trying to read to end of config log: not within {} ms", .after.as_millis())]
    SlowRead { after: Duration },
}

/// See the module.
pub(crate) struct ConfigStore {
    log: CompactedLog,
    reading: Arc<Mutex<Reading>>,
}

#[derive(Default)]
struct Reading {
    state: ConfigState,
    /// Who is told of changes; nobody before the topic was read for the first time.
    changes: Option<UnboundedSender<ConfigChange>>,
}

impl Reading {
    fn take(&mut self, record: LogRecord<'_>) {
        let key = record.key.unwrap_or_default();
        match self.state.apply(record.offset, key, record.value) {
            Ok(Some(change)) => {
                if let Some(changes) = &self.changes {
                    // Nobody listens any more while the worker ends.
                    let _ = changes.send(change);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }
}

impl ConfigStore {
    /// Reads the topic, which is made if it is not there, and follows it. Of what it says already nothing is sent to
    /// `changes`: it is in the first snapshot.
    ///
    /// # Errors
    /// When the topic is not fit, or brokers refuse or stay away.
    pub(crate) async fn start(
        cluster: Cluster,
        topic: TopicSpec,
        changes: UnboundedSender<ConfigChange>,
    ) -> Result<Self, KafkaError> {
        let reading = Arc::new(Mutex::new(Reading::default()));
        let own = Arc::clone(&reading);
        let log =
            CompactedLog::start(cluster, topic, move |record| lock(&own).take(record)).await?;
        lock(&reading).changes = Some(changes);
        Ok(Self { log, reading })
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<ClusterConfig> {
        lock(&self.reading).state.snapshot()
    }

    /// What was written before this was called is in the next snapshot.
    pub(crate) async fn refresh(&self, after: Duration) -> Result<(), ConfigStoreError> {
        let slow = |_| ConfigStoreError::SlowRead { after };
        let read = timeout(after, self.log.read_to_end()).await.map_err(slow)?;
        read.map_err(ConfigStoreError::Read)
    }

    /// Makes a connector, or changes its properties; with `state`, also what it is meant to do.
    pub(crate) async fn put_connector(
        &self,
        connector: &str,
        config: Config,
        state: Option<TargetState>,
    ) -> Result<(), ConfigStoreError> {
        let connector = connector.to_owned();
        // The state is first: whoever begins the connector already knows that it is to stay stopped.
        let state = state.map(|state| {
            let connector = connector.clone();
            ConfigRecord::TargetState { connector, state: Some(state) }
        });
        let config = ConfigRecord::Connector { connector, config: Some(config) };
        let records: Vec<_> = state.into_iter().chain([config]).collect();
        self.write("connector configuration", &records).await
    }

    /// Removes a connector with its tasks.
    pub(crate) async fn remove_connector(&self, connector: &str) -> Result<(), ConfigStoreError> {
        let config = ConfigRecord::Connector { connector: connector.to_owned(), config: None };
        let state = ConfigRecord::TargetState { connector: connector.to_owned(), state: None };
        self.write("connector configuration", &[config, state]).await
    }

    /// Gives a connector these tasks, numbered from 0, and no others.
    pub(crate) async fn put_task_configs(
        &self,
        connector: &str,
        configs: Vec<Config>,
    ) -> Result<(), ConfigStoreError> {
        self.write("task configurations", &task_records(connector, configs)).await
    }

    /// Says what a connector is meant to do.
    pub(crate) async fn put_target_state(
        &self,
        connector: &str,
        state: TargetState,
    ) -> Result<(), ConfigStoreError> {
        let connector = connector.to_owned();
        let record = ConfigRecord::TargetState { connector, state: Some(state) };
        self.write("target state", &[record]).await
    }

    /// Says how many tasks of a connector may have producers that a later set of tasks must fence.
    pub(crate) async fn put_task_count(
        &self,
        connector: &str,
        tasks: u32,
    ) -> Result<(), ConfigStoreError> {
        let record = ConfigRecord::TaskCount { connector: connector.to_owned(), tasks };
        self.write("task count record", &[record]).await
    }

    /// Gives the group a new session key.
    pub(crate) async fn put_session_key(&self, key: SessionKey) -> Result<(), ConfigStoreError> {
        self.write("session key", &[ConfigRecord::SessionKey(key)]).await
    }

    /// Has every worker restart what it runs of a connector.
    pub(crate) async fn put_restart(
        &self,
        request: RestartRequest,
    ) -> Result<(), ConfigStoreError> {
        let what = request.to_string();
        self.write(&what, &[ConfigRecord::Restart(request)]).await
    }

    /// Has a logger of every worker say more or less.
    pub(crate) async fn put_logger_level(
        &self,
        namespace: &str,
        level: &str,
    ) -> Result<(), ConfigStoreError> {
        let (namespace, level) = (namespace.to_owned(), level.to_owned());
        self.write("logger level", &[ConfigRecord::LoggerLevel { namespace, level }]).await
    }

    /// Appends the records and reads them back. After an error they may be there, or come.
    async fn write(&self, what: &str, records: &[ConfigRecord]) -> Result<(), ConfigStoreError> {
        let pairs = records.iter().map(ConfigRecord::encode).collect();
        let writing = async {
            self.log.append(pairs).await?;
            self.log.read_to_end().await
        };
        let failed = |error| ConfigStoreError::Write { what: what.to_owned(), error };
        let slow = |_| ConfigStoreError::SlowWrite { what: what.to_owned(), after: WRITE_TIMEOUT };
        timeout(WRITE_TIMEOUT, writing).await.map_err(slow)?.map_err(failed)
    }
}

/// The tasks, and what makes them count. They are appended together: one batch that a broker stores twice is harmless,
/// a commit that it stores twice would make the connector inconsistent.
fn task_records(connector: &str, configs: Vec<Config>) -> Vec<ConfigRecord> {
    let numbered = (0..).zip(configs);
    let mut records: Vec<_> = numbered
        .map(|(task, config)| ConfigRecord::Task { connector: connector.to_owned(), task, config })
        .collect();
    let tasks = u32::try_from(records.len()).unwrap_or(u32::MAX);
    records.push(ConfigRecord::Commit { connector: connector.to_owned(), tasks });
    records
}

fn lock(reading: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    // Whoever panicked did so in a record that is passed over.
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::herder::Restart;
    use crate::kafka::Role;
    use crate::kafka::scripted_broker::ScriptedBroker;

    const TOPIC: &str = "connect-configs";

    fn spec() -> TopicSpec {
        let (name, settings) = (TOPIC.to_owned(), BTreeMap::new());
        TopicSpec { name, partitions: 1, replication_factor: -1, settings, role: Role::Configs }
    }

    fn config(value: &str) -> Config {
        Config::from([("a".to_owned(), value.to_owned())])
    }

    #[tokio::test]
    async fn what_is_written_is_known_at_once_here_and_later_elsewhere() {
        let broker = ScriptedBroker::start(TOPIC, 1).await;
        let (sender, mut changes) = unbounded_channel();
        let store = ConfigStore::start(broker.cluster(), spec(), sender).await.unwrap();
        assert_eq!(store.snapshot().offset(), -1);
        store.put_connector("orders", config("1"), Some(TargetState::Stopped)).await.unwrap();
        let known = store.snapshot();
        assert_eq!(known.connector_config("orders"), Some(&config("1")));
        assert_eq!((known.target_state("orders"), known.offset()), (Some(TargetState::Stopped), 2));
        store.put_target_state("orders", TargetState::Started).await.unwrap();
        store.put_task_configs("orders", vec![config("2"), config("3")]).await.unwrap();
        let known = store.snapshot();
        assert_eq!((known.tasks("orders"), known.pending_fencing("orders")), (vec![0, 1], true));
        assert_eq!(known.task_config("orders", 1), Some(&config("3")));
        store.put_task_count("orders", 2).await.unwrap();
        assert_eq!(store.snapshot().task_count_record("orders"), Some(2));
        let key = SessionKey::new(vec![1], "HmacSHA256".to_owned(), 9).unwrap();
        store.put_session_key(key.clone()).await.unwrap();
        assert_eq!(store.snapshot().session_key(), Some(&key));
        let restart = Restart { include_tasks: true, only_failed: false };
        let request = RestartRequest { connector: "orders".to_owned(), restart };
        store.put_restart(request.clone()).await.unwrap();
        store.put_logger_level("millrace", "DEBUG").await.unwrap();
        let level = ConfigChange::LoggerLevel {
            namespace: "millrace".to_owned(),
            level: "DEBUG".to_owned(),
        };
        let orders = || "orders".to_owned();
        for expected in [
            ConfigChange::ConnectorUpdated(orders()),
            ConfigChange::TargetState(orders()),
            ConfigChange::TasksUpdated(orders()),
            ConfigChange::SessionKey,
            ConfigChange::Restart(request),
            level,
        ] {
            assert_eq!(changes.try_recv().unwrap(), expected);
        }

        let (sender, mut later) = unbounded_channel();
        let other = ConfigStore::start(broker.cluster(), spec(), sender).await.unwrap();
        assert!(later.try_recv().is_err());
        assert_eq!(other.snapshot().tasks("orders"), [0, 1]);
        store.remove_connector("orders").await.unwrap();
        other.refresh(Duration::from_secs(10)).await.unwrap();
        assert_eq!(other.snapshot().connectors().count(), 0);
        assert_eq!(other.snapshot().target_state("orders"), None);
        assert_eq!(later.try_recv().unwrap(), ConfigChange::ConnectorRemoved(orders()));
        drop(other);
        drop(store);
    }

    #[tokio::test]
    async fn connector_without_tasks_has_none_and_is_consistent() {
        let broker = ScriptedBroker::start(TOPIC, 1).await;
        let (sender, _changes) = unbounded_channel();
        let store = ConfigStore::start(broker.cluster(), spec(), sender).await.unwrap();
        store.put_connector("orders", config("1"), None).await.unwrap();
        store.put_task_configs("orders", vec![config("2")]).await.unwrap();
        store.put_task_configs("orders", Vec::new()).await.unwrap();
        let known = store.snapshot();
        assert!(known.tasks("orders").is_empty() && !known.is_inconsistent("orders"));
        assert_eq!(known.target_state("orders"), Some(TargetState::Started));
    }
}
