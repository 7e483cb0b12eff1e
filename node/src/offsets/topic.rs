//! The offset topic, and whether it is known to be there.
//!
//! ```text
//!  not seen ── no broker knows it ──► it holds nothing; the first position creates it
//!     │ seen, ensured, written to
//!     ▼
//!  there ── a broker does not know it ──► an error that may pass, never "nothing is stored"
//! ```
//!
//! Whoever took a topic that is there for one that is not would begin anew and write over its positions.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::kafka::{Client, Cluster, KafkaError};

/// See the module.
pub(crate) struct OffsetTopic {
    cluster: Cluster,
    name: String,
    is_there: AtomicBool,
}

impl OffsetTopic {
    /// A topic that nobody has looked for yet.
    pub(super) fn new(cluster: Cluster, name: String) -> Self {
        Self { cluster, name, is_there: AtomicBool::new(false) }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It is there, and stays.
    pub(super) fn expect(&self) {
        self.is_there.store(true, Ordering::Relaxed);
    }

    /// The numbers of its partitions, in order; none if it is not there, which is certain.
    pub(super) async fn partitions(&self, client: &mut Client) -> Result<Vec<i32>, KafkaError> {
        if self.is_there.load(Ordering::Relaxed) {
            return client.partitions_there(&self.name).await;
        }
        let partitions = client.partitions_anywhere(&self.name).await?;
        if !partitions.is_empty() {
            self.expect();
        }
        Ok(partitions)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millrace_io::clock;

    use super::*;
    use crate::kafka::scripted_broker::ScriptedBroker;
    use crate::offsets::StoredOffsets;
    use crate::offsets::{topic_reader, topic_writer};

    const TOPIC: &str = "connect-offsets";
    /// Longer than it takes to be certain of a topic that nobody has seen.
    const ABSENCE: Duration = Duration::from_millis(1500);

    fn topic(broker: &ScriptedBroker) -> OffsetTopic {
        OffsetTopic::new(broker.cluster(), TOPIC.to_owned())
    }

    /// Reads, while nobody knows the topic for some time.
    async fn read_in_absence(topic: &OffsetTopic, broker: &ScriptedBroker) -> StoredOffsets {
        broker.state().exists = false;
        let returns = async {
            clock::wait(ABSENCE).await;
            broker.state().exists = true;
        };
        let (read, ()) = tokio::join!(topic_reader::read(topic), returns);
        read.unwrap()
    }

    #[tokio::test]
    async fn topic_that_was_seen_or_is_expected_never_reads_as_empty() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let seen = topic(&broker);
        assert!(topic_reader::read(&seen).await.unwrap() == StoredOffsets::default());
        assert!(topic_writer::write(&seen, Vec::new()).await.is_err(), "not there yet");
        broker.state().exists = true;
        let pairs = vec![(b"key".to_vec(), Some(b"value".to_vec()))];
        topic_writer::write(&seen, pairs).await.unwrap();
        let mut stored = StoredOffsets::default();
        stored.insert(b"key".to_vec(), Some(b"value".to_vec()));
        assert!(read_in_absence(&seen, &broker).await == stored);
        let expected = topic(&broker);
        expected.expect();
        assert!(read_in_absence(&expected, &broker).await == stored);
        let new = read_in_absence(&topic(&broker), &broker).await;
        assert!(new == StoredOffsets::default(), "nobody has seen it");
    }
}
