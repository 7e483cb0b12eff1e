//! The status topic of a group: how it stands with what any worker runs, and what this one says of its own.
//!
//! ```text
//!  put ──► StatusQueue ── a task, in order ──► status topic ──► StatusCache ──► connector, task, topics
//! ```
//!
//! Saying something never waits: it is queued, and written until it is, for a state that is lost would be shown wrongly
//! for as long as the task lives. What was said is known here once it was read back, like anybody else's word.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_core::recovery::Backoff;
use millrace_io::clock;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::status_cache::StatusCache;
use super::status_queue::{StatusQueue, Waiting};
use super::status_record::{Status, StatusRecord, Subject, TopicStatus};
use crate::kafka::{Cluster, CompactedLog, KafkaError, LogRecord, TopicSpec};

/// Pauses between attempts to write.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// See the module. Dropped, it writes no more.
pub(crate) struct StatusStore {
    #[cfg(test)]
    log: Arc<CompactedLog>,
    shared: Arc<Mutex<Shared>>,
    /// Whether everything is written.
    settled: watch::Sender<bool>,
    writer: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    cache: StatusCache,
    queue: StatusQueue,
}

impl StatusStore {
    /// Reads the topic, which is made if it is not there, and follows it. Connectors that somebody has forgotten a
    /// topic of are sent to `forgotten`.
    ///
    /// # Errors
    /// When the topic is not fit, or brokers refuse or stay away.
    pub(crate) async fn start(
        cluster: Cluster,
        topic: TopicSpec,
        forgotten: UnboundedSender<String>,
    ) -> Result<Self, KafkaError> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let own = Arc::clone(&shared);
        let take = move |record: LogRecord<'_>| {
            if let Some(connector) = take(&own, record) {
                // Nobody listens any more while the worker ends.
                let _ = forgotten.send(connector);
            }
        };
        let log = CompactedLog::start(cluster, topic, take).await?;
        let log = Arc::new(log);
        let settled = watch::Sender::new(true);
        let writing = write(Arc::clone(&log), Arc::clone(&shared), settled.clone());
        Ok(Self {
            #[cfg(test)]
            log,
            shared,
            settled,
            writer: tokio::spawn(writing),
        })
    }

    /// Says how it stands with a connector or a task.
    pub(crate) fn put(&self, of: Subject, status: Status) {
        self.say(StatusRecord::Status { of, status: Some(status) }, false);
    }

    /// As [`StatusStore::put`], unless another worker of a later generation has said something of it.
    pub(crate) fn put_safe(&self, of: Subject, status: Status) {
        self.say(StatusRecord::Status { of, status: Some(status) }, true);
    }

    /// Says that a connector or a task is no more. Nothing is known any more of the tasks of a connector that is gone.
    pub(crate) fn remove(&self, of: Subject) {
        self.say(StatusRecord::Status { of, status: None }, false);
    }

    /// Says that a connector uses a topic.
    pub(crate) fn put_topic(&self, connector: &str, topic: &str, status: TopicStatus) {
        self.say_topic(connector, topic, Some(status));
    }

    /// Says that a connector does not use a topic, as far as is known.
    pub(crate) fn delete_topic(&self, connector: &str, topic: &str) {
        self.say_topic(connector, topic, None);
    }

    /// Looks at what is known. Keep it short: nothing is read or said meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&StatusCache) -> T) -> T {
        look(&lock(&self.shared).cache)
    }

    /// Everything that was said is written. Waits as long as brokers stay away.
    pub(crate) async fn flush(&self) {
        // The sender is here, so this cannot fail.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// What was said before this was called, by whomever, is known.
    ///
    /// # Errors
    /// When brokers refuse or stay away.
    #[cfg(test)]
    pub(crate) async fn refresh(&self) -> Result<(), KafkaError> {
        self.log.read_to_end().await
    }

    fn say_topic(&self, connector: &str, topic: &str, status: Option<TopicStatus>) {
        let (connector, topic) = (connector.to_owned(), topic.to_owned());
        self.say(StatusRecord::Topic { connector, topic, status }, false);
    }

    fn say(&self, record: StatusRecord, gives_way: bool) {
        lock(&self.shared).queue.put(Waiting { record, gives_way });
        self.settled.send_replace(false);
    }
}

impl Drop for StatusStore {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Takes in a record, and says of which connector it has forgotten a topic.
fn take(shared: &Mutex<Shared>, record: LogRecord<'_>) -> Option<String> {
    let key = record.key.unwrap_or_default();
    match lock(shared).cache.apply(key, record.value) {
        Ok(forgotten) => forgotten,
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
}

/// Writes what is said until it is written; never ends by itself.
async fn write(log: Arc<CompactedLog>, shared: Arc<Mutex<Shared>>, settled: watch::Sender<bool>) {
    let mut said = settled.subscribe();
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX);
    while said.wait_for(|settled| !settled).await.is_ok() {
        let taken = {
            let Shared { cache, queue } = &mut *lock(&shared);
            queue.take(cache)
        };
        let pairs: Vec<_> = taken.iter().map(|waiting| waiting.record.encode()).collect();
        match log.append(pairs).await {
            Ok(()) => {
                backoff.succeed();
                lock(&shared).queue.written();
            }
            Err(error) => {
                lock(&shared).queue.failed(taken);
                if backoff.attempts() == 0 {
                    tracing::error!(
                        "Failed to write status update, and it is tried again: {error}"
                    );
                }
                clock::wait_until(Some(backoff.fail(clock::now()))).await;
            }
        }
        // Asked while it is set, so that what is said between the two is not taken for written.
        settled.send_modify(|settled| *settled = lock(&shared).queue.is_settled());
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Whoever panicked did so in a record that is passed over.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_core::kafka::ErrorCode;
    use millrace_core::kafka::api::Api;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::herder::State;
    use crate::kafka::Role;
    use crate::kafka::scripted_broker::{Fault, ScriptedBroker};

    const TOPIC: &str = "connect-statuses";

    fn spec() -> TopicSpec {
        let (name, settings) = (TOPIC.to_owned(), BTreeMap::new());
        TopicSpec { name, partitions: 3, replication_factor: -1, settings, role: Role::Statuses }
    }

    fn status(state: State) -> Status {
        let worker_id = "127.0.0.1:8083".to_owned();
        Status { state, trace: None, worker_id, generation: 1, version: None }
    }

    fn task() -> Subject {
        Subject::Task("orders".to_owned(), 0)
    }

    fn state(store: &StatusStore) -> Option<State> {
        store.look(|cache| cache.task("orders", 0).map(|status| status.state))
    }

    #[tokio::test]
    async fn what_is_said_is_known_once_it_was_written_and_read_back() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let store =
            StatusStore::start(broker.cluster(), spec(), unbounded_channel().0).await.unwrap();
        store.flush().await;
        store.put(task(), status(State::Running));
        store.put(Subject::Connector("orders".to_owned()), status(State::Running));
        store.put_topic("orders", "shop.orders", TopicStatus { task: 0, discovered_ms: 7 });
        assert_eq!(state(&store), None);
        store.flush().await;
        store.refresh().await.unwrap();
        assert_eq!(state(&store), Some(State::Running));
        let topics = |store: &StatusStore| store.look(|cache| cache.topics("orders").count());
        assert_eq!(topics(&store), 1);

        let other =
            StatusStore::start(broker.cluster(), spec(), unbounded_channel().0).await.unwrap();
        assert_eq!(state(&other), Some(State::Running));
        store.delete_topic("orders", "shop.orders");
        store.remove(task());
        store.flush().await;
        other.refresh().await.unwrap();
        assert_eq!((state(&other), topics(&other)), (None, 0));
        assert!(other.look(|cache| cache.connector("orders").is_some()));
    }

    #[tokio::test]
    async fn what_a_broker_refuses_is_said_again_until_it_is_written() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let store =
            StatusStore::start(broker.cluster(), spec(), unbounded_channel().0).await.unwrap();
        let refused = Fault::Refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        broker.fail(Api::Produce, &[refused, refused]);
        store.put(task(), status(State::Unassigned));
        store.put(task(), status(State::Running));
        store.flush().await;
        store.refresh().await.unwrap();
        assert_eq!(state(&store), Some(State::Running));
    }
}
