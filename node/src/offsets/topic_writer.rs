//! Writes pairs into the compacted offset topic of Kafka Connect, for connectors that are stopped.
//!
//! A key goes to the partition that Java's producer chooses for it, as the pipeline does it; else nobody would find
//! the old value replaced. All replicas in sync have a pair when a call ends.

use millrace_core::kafka::partitioner::partition_for_key;
use millrace_io::clock;
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;

use super::topic_reader::{Brokers, Cluster, OffsetTopicError, partitions};
use super::writer::Pair;

/// Writes `pairs` one after the other; what was written before an error stays.
pub(super) async fn write(
    cluster: &Cluster,
    topic: &str,
    pairs: Vec<Pair>,
) -> Result<(), OffsetTopicError> {
    let brokers = Brokers::new(cluster, topic);
    let client = brokers.connect().await?;
    let known = partitions(&client, topic).await.map_err(|error| brokers.failed(error))?;
    let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(OffsetTopicError::Missing { topic: topic.to_owned() });
    }
    for (key, value) in pairs {
        let index = partition_for_key(&key, count).cast_signed();
        let handling = UnknownTopicHandling::Retry;
        let partition = client.partition_client(topic, index, handling).await;
        let partition = partition.map_err(|error| brokers.failed(error))?;
        let timestamp = DateTime::from_timestamp_millis(clock::unix_ms()).unwrap_or_default();
        let record = Record { key: Some(key), value, headers: Default::default(), timestamp };
        let produced = partition.produce(vec![record], Compression::NoCompression).await;
        produced.map_err(|error| brokers.failed(error))?;
    }
    Ok(())
}
