//! Writes pairs into the compacted offset topic of Kafka Connect, for connectors that are stopped.
//!
//! A key goes to the partition that Java's producer chooses for it, as the pipeline does it; else nobody would find
//! the old value replaced. All replicas in sync have a pair when a call ends.

use super::topic::OffsetTopic;
use super::topic_reader::OffsetTopicError;
use crate::kafka::{Client, Pair, append};

/// Writes `pairs` in their order; what was written before an error stays.
pub(super) async fn write(topic: &OffsetTopic, pairs: Vec<Pair>) -> Result<(), OffsetTopicError> {
    let failed = |error| OffsetTopicError::new(topic, error);
    let mut client = Client::new(topic.cluster().clone());
    let partitions = topic.partitions(&mut client).await.map_err(failed)?;
    if partitions.is_empty() {
        return Err(OffsetTopicError::Missing { topic: topic.name().to_owned() });
    }
    append(&mut client, topic.name(), &partitions, pairs).await.map_err(failed)
}
