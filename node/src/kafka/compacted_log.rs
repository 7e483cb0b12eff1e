//! A compacted topic that is read whole, then followed, and appended to (`KafkaBasedLog`).
//!
//! ```text
//!  start ── ensure the topic, read it to its end ──► follow, in a task ──► on_record
//!                                                       ▲      │ how far
//!  append ──► leaders ──► the topic ────────────────────┘      ▼
//!  read_to_end ── where does it end now? ─────────────────► wait until it was read
//! ```
//!
//! An append is seen by `on_record` like anybody else's record, when it is read back. A transaction that is open holds
//! up those who read to the end until it is over, as in Connect: what lies in it may come to count.

use std::sync::Arc;

use millrace_core::recovery::Backoff;
use millrace_io::clock;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::append::{Pair, append};
use super::client::{Client, PAUSE_FIRST, PAUSE_MAX};
use super::connection::Cluster;
use super::error::KafkaError;
use super::follower::{Follower, LogRecord, Places, ends, has_reached};
use super::topic::{TopicSpec, ensure};

/// See the module. Dropped, it stops following.
pub(crate) struct CompactedLog {
    topic: String,
    partitions: Vec<i32>,
    /// For all but following: one question at a time, so appends keep their order.
    client: Mutex<Client>,
    followed: watch::Receiver<Followed>,
    task: JoinHandle<()>,
}

/// How far the topic was read.
#[derive(Default)]
struct Followed {
    places: Places,
    /// What is in the way now, if it will not pass by itself.
    trouble: Option<Arc<KafkaError>>,
}

impl CompactedLog {
    /// Makes sure that the topic is there, reads it to its end, each record given to `on_record`, in order per
    /// partition, then follows it in a task of its own.
    ///
    /// # Errors
    /// When the topic is not what is asked for, or brokers refuse or stay away.
    pub(crate) async fn start(
        cluster: Cluster,
        spec: TopicSpec,
        on_record: impl FnMut(LogRecord<'_>) + Send + 'static,
    ) -> Result<Self, KafkaError> {
        let mut client = Client::new(cluster.clone());
        let partitions = ensure(&mut client, &spec).await?;
        let (report, followed) = watch::channel(Followed::default());
        let follower = Follower::new(Client::new(cluster), &spec.name, &partitions, on_record);
        let task = tokio::spawn(follow(follower, report));
        let log = Self { topic: spec.name, partitions, client: Mutex::new(client), followed, task };
        log.read_to_end().await?;
        Ok(log)
    }

    /// Everything that was in the log when this was called has been given to `on_record`.
    ///
    /// # Errors
    /// When brokers refuse or stay away; what passes is waited for without a limit once the end is known.
    pub(crate) async fn read_to_end(&self) -> Result<(), KafkaError> {
        let ends = ends(&mut *self.client.lock().await, &self.topic, &self.partitions).await?;
        let mut followed = self.followed.clone();
        let done = |followed: &Followed| {
            followed.trouble.is_some() || has_reached(&followed.places, &ends)
        };
        let stopped = |_| KafkaError::Stopped { topic: self.topic.clone() };
        let followed = followed.wait_for(done).await.map_err(stopped)?;
        match &followed.trouble {
            Some(error) => {
                Err(KafkaError::Trouble { topic: self.topic.clone(), error: Arc::clone(error) })
            }
            None => Ok(()),
        }
    }

    /// Appends `pairs`; all replicas in sync have them when it returns. Calls are served in their order.
    ///
    /// # Errors
    /// See [`append`].
    pub(crate) async fn append(&self, pairs: Vec<Pair>) -> Result<(), KafkaError> {
        append(&mut *self.client.lock().await, &self.topic, &self.partitions, pairs).await
    }
}

impl Drop for CompactedLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never ends by itself: what is in the way is tried again.
async fn follow<F: FnMut(LogRecord<'_>)>(
    mut follower: Follower<F>,
    report: watch::Sender<Followed>,
) {
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX);
    loop {
        let result = follower.step().await;
        let error = result.err().map(Arc::new);
        report.send_if_modified(|followed| {
            let trouble = error.clone().filter(|error| !error.may_pass());
            let is_news = followed.places != *follower.places()
                || followed.trouble.is_some() != trouble.is_some();
            if is_news {
                followed.places.clone_from(follower.places());
                followed.trouble = trouble;
            }
            is_news
        });
        match error {
            None => backoff.succeed(),
            Some(error) => {
                tracing::warn!("reading an internal topic is tried again: {error}");
                clock::wait_until(Some(backoff.fail(clock::now()))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex as Cell;

    use millrace_core::kafka::ErrorCode;
    use millrace_core::kafka::api::Api;
    use millrace_core::kafka::batch_reader::RecordBatches;
    use millrace_core::kafka::partitioner::partition_for_key;

    use super::*;
    use crate::kafka::scripted_broker::{Fault, ScriptedBroker};
    use crate::kafka::topic::Role;

    const TOPIC: &str = "connect-statuses";

    fn spec(role: Role) -> TopicSpec {
        let (name, settings) = (TOPIC.to_owned(), BTreeMap::new());
        TopicSpec { name, partitions: 3, replication_factor: -1, settings, role }
    }

    fn pair(key: &str, value: &str) -> Pair {
        (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    /// What was given out: `key=value`.
    #[derive(Clone, Default)]
    struct Seen(Arc<Cell<Vec<String>>>);

    impl Seen {
        fn now(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }

        async fn follow(&self, broker: &ScriptedBroker) -> Result<CompactedLog, KafkaError> {
            let seen = Arc::clone(&self.0);
            let text =
                |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
            CompactedLog::start(broker.cluster(), spec(Role::Statuses), move |record| {
                seen.lock().unwrap().push(format!("{}={}", text(record.key), text(record.value)));
            })
            .await
        }
    }

    #[tokio::test]
    async fn what_is_appended_is_read_back_by_who_appends_and_by_who_comes_later() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let seen = Seen::default();
        let log = seen.follow(&broker).await.unwrap();
        assert_eq!(seen.now(), Vec::<String>::new());
        let pairs: Vec<_> = (0..50).map(|i| pair(&format!("k{}", i % 7), &i.to_string())).collect();
        log.append(pairs).await.unwrap();
        log.append(vec![(b"k0".to_vec(), None)]).await.unwrap();
        log.read_to_end().await.unwrap();
        let later = Seen::default();
        drop(later.follow(&broker).await.unwrap());
        for seen in [seen.now(), later.now()] {
            assert_eq!(seen.len(), 51);
            for key in 0..7 {
                let prefix = format!("k{key}=");
                let values: Vec<_> =
                    seen.iter().filter_map(|one| one.strip_prefix(&prefix)).collect();
                let mut wanted: Vec<_> = (key..50).step_by(7).map(|i| i.to_string()).collect();
                wanted.extend((key == 0).then(|| "-".to_owned()));
                assert_eq!(values, wanted, "of a key in order");
            }
        }
        for (index, log) in broker.state().logs.iter().enumerate() {
            for batch in RecordBatches::new(&log.batches.concat()) {
                for record in batch.unwrap().records(&mut Vec::new(), 0).unwrap() {
                    assert_eq!(partition_for_key(record.unwrap().key.unwrap(), 3), index as u32);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_passes_is_tried_again() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let refused = Fault::Refused;
        broker.fail(Api::CreateTopics, &[refused(ErrorCode::INVALID_REPLICATION_FACTOR)]);
        broker.fail(Api::ListOffsets, &[Fault::Unanswered]);
        broker.fail(Api::Fetch, &[refused(ErrorCode::NOT_LEADER_OR_FOLLOWER), Fault::Unanswered]);
        broker.fail(Api::Produce, &[refused(ErrorCode::NOT_ENOUGH_REPLICAS), Fault::Unanswered]);
        let seen = Seen::default();
        let log = seen.follow(&broker).await.unwrap();
        log.append(vec![pair("k", "v")]).await.unwrap();
        log.read_to_end().await.unwrap();
        assert_eq!(seen.now(), ["k=v", "k=v"], "stored twice: the first answer was lost");
    }

    #[tokio::test]
    async fn log_that_does_not_reach_to_the_place_is_read_from_its_first_record() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let seen = Seen::default();
        let log = seen.follow(&broker).await.unwrap();
        log.append(vec![pair("k", "1"), pair("k", "2")]).await.unwrap();
        log.read_to_end().await.unwrap();
        let index = partition_for_key(b"k", 3) as usize;
        {
            let log = &mut broker.state().logs[index];
            (log.end, log.first) = (0, 0);
            log.batches.clear();
        }
        log.append(vec![pair("k", "3")]).await.unwrap();
        while seen.now().len() < 3 {
            tokio::task::yield_now().await;
        }
        // Records before the first are gone.
        broker.state().logs[index].first = 1;
        let later = Seen::default();
        later.follow(&broker).await.unwrap();
        assert_eq!(
            (seen.now(), later.now()),
            (vec!["k=1".into(), "k=2".into(), "k=3".into()], vec![])
        );
    }

    #[tokio::test]
    async fn what_does_not_pass_is_told_to_who_reads_to_the_end() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let log = Seen::default().follow(&broker).await.unwrap();
        log.append(vec![pair("k", "v")]).await.unwrap();
        broker.fail(Api::Fetch, &[Fault::Refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED); 3]);
        // Until it comes to that, what was read before is read.
        let error = loop {
            match log.read_to_end().await {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error.to_string(),
            }
        };
        for part in [TOPIC, "TOPIC_AUTHORIZATION_FAILED", "READ"] {
            assert!(error.contains(part), "{error}");
        }
        loop {
            if log.read_to_end().await.is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn topic_must_be_compacted_and_nothing_else() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        broker.state().exists = true;
        Seen::default().follow(&broker).await.unwrap();
        for policy in ["delete", "compact,delete"] {
            broker.state().policy = policy.to_owned();
            let error = Seen::default().follow(&broker).await.err().unwrap().to_string();
            let wanted = format!(
                "Topic 'connect-statuses' supplied via the 'status.storage.topic' property is required to have \
                 'cleanup.policy=compact' to guarantee consistency and durability of connector and task statuses, \
                 but found the topic currently has 'cleanup.policy={policy}'."
            );
            assert!(error.starts_with(&wanted), "{error}");
        }
        // Who may not look goes on, as in Connect.
        let denied = Fault::Refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        broker.fail(Api::CreateTopics, &[denied]);
        broker.fail(Api::DescribeConfigs, &[denied]);
        Seen::default().follow(&broker).await.unwrap();
    }

    #[tokio::test]
    async fn topic_of_configurations_has_one_partition() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let started = CompactedLog::start(broker.cluster(), spec(Role::Configs), |_| {}).await;
        assert_eq!(
            started.err().unwrap().to_string(),
            "Topic 'connect-statuses' supplied via the 'config.storage.topic' property is required to have a single \
             partition in order to guarantee consistency of connector configurations, but found 3 partitions."
        );
    }

    #[tokio::test]
    async fn settings_that_a_broker_refuses_end_the_start_with_its_words() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        broker.fail(Api::CreateTopics, &[Fault::Refused(ErrorCode::INVALID_CONFIG)]);
        let error = Seen::default().follow(&broker).await.err().unwrap().to_string();
        assert_eq!(error, "Unable to create topic(s) 'connect-statuses': in words");
    }
}
