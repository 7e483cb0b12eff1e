//! Appends pairs to a topic, each to the partition of its key, and waits until all replicas in sync have them.
//!
//! A key goes to the partition that Java's producer chooses for it; else nobody would find the old value replaced.
//! Pairs of one partition keep their order. As in Connect, the producer is not idempotent: what a broker has stored
//! without being able to say so is stored again. In a compacted topic that is harmless, the newest of a key counts.

use std::collections::BTreeMap;

use bytes::Bytes;
use millrace_core::kafka::api::Api;
use millrace_core::kafka::api::produce::{self, Part};
use millrace_core::kafka::batch::{BatchBuilder, NO_HEADERS, Stamp};
use millrace_core::kafka::partitioner::partition_for_key;
use millrace_core::kafka::wire::WireError;
use millrace_io::clock;

use super::client::{ANSWER_TIMEOUT, Client, Question, Refusal, To};
use super::error::KafkaError;

/// A batch is closed above this size, as Java's `batch.size` has it.
const BATCH_BYTES: usize = 16 * 1024;

/// A key and what is stored under it; `None`: nothing any more.
pub(crate) type Pair = (Vec<u8>, Option<Vec<u8>>);

/// Appends `pairs` to a topic that has these `partitions`. What was appended before an error stays.
///
/// # Errors
/// What does not pass, or lasts; what was then asked last may have been stored or not.
pub(crate) async fn append(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
    pairs: Vec<Pair>,
) -> Result<(), KafkaError> {
    let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    let mut open: BTreeMap<i32, BatchBuilder> = BTreeMap::new();
    for (key, value) in pairs {
        let partition = partition_for_key(&key, count).cast_signed();
        let batch = open.entry(partition).or_insert_with(|| BatchBuilder::new(Vec::new()));
        batch.append_encoded(Some(&key), value.as_deref(), NO_HEADERS, clock::unix_ms());
        if BATCH_BYTES < batch.size_bytes()
            && let Some(batch) = open.remove(&partition)
        {
            produce(client, topic, partition, batch).await?;
        }
    }
    for (partition, batch) in open {
        produce(client, topic, partition, batch).await?;
    }
    Ok(())
}

async fn produce(
    client: &mut Client,
    topic: &str,
    partition: i32,
    batch: BatchBuilder,
) -> Result<(), KafkaError> {
    let about = &format!("partition {partition} of topic {topic}");
    let question = Question { api: Api::Produce, to: To::Leader { topic, partition }, about };
    let batch: Bytes = batch.seal(Stamp::NONE).bytes().clone();
    let timeout_ms = i32::try_from(ANSWER_TIMEOUT.as_millis() / 2).unwrap_or(i32::MAX);
    let write = |out: &mut Vec<u8>| {
        produce::write_request(out, &Part { topic, partition, batch: &batch }, timeout_ms);
    };
    let answer = client.ask(question, write, |reader| {
        let mut answer = None;
        produce::read_answer(reader, |part| {
            let message = part.message.map(str::to_owned);
            answer = Some(Refusal { error: part.error, message });
        })?;
        let answer = answer.ok_or(WireError::Incomplete)?;
        Ok(if answer.error.is_none() { Ok(()) } else { Err(answer) })
    });
    answer.await
}
