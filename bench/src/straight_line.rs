//! The straight line that anybody would write in an afternoon: the official driver's change stream, and rdkafka.
//!
//! ```text
//! aggregate [{ $changeStream }].batch() ──► each event, raw ──► ThreadedProducer (idempotent, 20 ms linger)
//! aggregate [{ $replaceRoot }].batch()  ──► a copy: mongod makes an event of each document, as for the connector
//! ```
//!
//! It is the fairest rival of the node: native, no JVM, both libraries at their best (raw batches without decoding, a
//! producer with its own thread). It lacks all that a replication node is for: it stores no position, creates no
//! topic, retries no lost cursor. A delivery that fails ends it.
//!
//! Runs as its own process, `millrace bench straight-line`, so that its CPU time and memory are its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, RawDocumentBuf, Timestamp, doc};
use clap::Args;
use futures_util::StreamExt;
use mongodb::Client;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

/// What its log says when the stream is open.
pub const RUNNING: &str = "straight line running";
/// How long the end of the stream waits for acknowledgements.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a full queue of the producer is waited for before it is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);

/// Options of `millrace bench straight-line` and of `millrace bench null-path`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Where to read
    #[arg(long)]
    pub uri: String,
    /// Where to write
    #[arg(long)]
    pub bootstrap: String,
    /// Database to watch
    #[arg(long)]
    pub database: String,
    /// Collection to watch
    #[arg(long)]
    pub collection: String,
    /// Topic, which must be there
    #[arg(long)]
    pub topic: String,
    /// Where the stream starts: seconds and increment of a cluster time, with a comma
    #[arg(long, value_parser = parse_timestamp, required_unless_present = "copy")]
    pub start_at: Option<Timestamp>,
    /// Copy what is in the collection, and no changes
    #[arg(long, conflicts_with = "start_at")]
    pub copy: bool,
}

fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    let parts = text.split_once(',').and_then(|(time, increment)| {
        Some(Timestamp { time: time.parse().ok()?, increment: increment.parse().ok()? })
    });
    parts.ok_or_else(|| format!("{text:?} is not SECONDS,INCREMENT"))
}

#[derive(Clone, Debug, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Replicates until SIGTERM or Ctrl-C.
///
/// # Errors
/// When a server is not reached, the stream ends, or a record was not delivered.
pub async fn run(options: &Options) -> Result<()> {
    let client = Client::with_uri_str(&options.uri).await.context("could not read the address")?;
    let collection =
        client.database(&options.database).collection::<RawDocumentBuf>(&options.collection);
    let mut batches = collection
        .aggregate([stage(options)])
        .batch()
        .await
        .context("could not open the cursor")?;
    let deliveries = Deliveries::default();
    let producer: ThreadedProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", &options.bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.kbytes", "65536")
        .create_with_context(deliveries.clone())
        .context("could not make the producer")?;
    eprintln!("{RUNNING}");

    let stop = stop_signal()?;
    tokio::pin!(stop);
    loop {
        let batch = tokio::select! {
            () = &mut stop => break,
            batch = batches.next() => match batch {
                Some(batch) => batch?,
                None if options.copy => break stop.await,
                None => bail!("the change stream has ended"),
            },
        };
        for event in batch.doc_slices()? {
            let event = event?.as_document().context("an event is no document")?;
            send(
                &producer,
                &options.topic,
                event.as_bytes(),
                event.get_document("documentKey")?.as_bytes(),
            )
            .await?;
        }
        let failed = deliveries.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not delivered");
    }
    let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH_TIMEOUT)).await?;
    flushed.context("not all records were acknowledged")
}

/// What asks for events: changes, or documents in the shape of the MongoDB connector's copies.
fn stage(options: &Options) -> Document {
    let Options { database, collection, start_at, .. } = options;
    if let Some(start_at) = start_at {
        return doc! { "$changeStream": { "startAtOperationTime": start_at } };
    }
    let event = doc! {
        "_id": { "_id": "$_id", "copyingData": true },
        "operationType": "insert",
        "documentKey": { "_id": "$_id" },
        "fullDocument": "$$ROOT",
        "ns": { "db": { "$literal": database }, "coll": { "$literal": collection } },
    };
    doc! { "$replaceRoot": { "newRoot": event } }
}

async fn send(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    value: &[u8],
    key: &[u8],
) -> Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                record = returned;
                tokio::time::sleep(QUEUE_FULL_WAIT).await;
            }
            Err((error, _)) => return Err(error).context("could not produce a record"),
        }
    }
}

/// Comes true at SIGTERM or Ctrl-C.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_time_is_two_numbers() {
        assert_eq!(parse_timestamp("7,2"), Ok(Timestamp { time: 7, increment: 2 }));
        assert!(parse_timestamp("7").is_err() && parse_timestamp("7,x").is_err());
    }
}
