//! The Kafka requests that a producer makes, as far as the acknowledging broker answers them: one version each.
//!
//! ```text
//! request   key i16 │ version i16 │ correlation id i32 │ client id │ tags │ body
//! answer    correlation id i32 │ tags, except for ApiVersions │ body
//!
//! ApiVersions 3   Metadata 9   CreateTopics 5   DescribeConfigs 4   InitProducerId 4   ListOffsets 6   Produce 9
//! ```
//!
//! Every topic that is asked for is there, with one partition. Fetch 12 is offered and refused: a producer reads a
//! partition back only when it is in doubt, and a broker that acknowledges everything leaves no doubt.
//! Layouts: `clients/src/main/resources/common/message` of Kafka.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use parking_lot::Mutex;

use super::tally::Tally;
use crate::wire::{Reader, Writer};

const PRODUCE: (i16, i16) = (0, 9);
const FETCH: (i16, i16) = (1, 12);
const LIST_OFFSETS: (i16, i16) = (2, 6);
const METADATA: (i16, i16) = (3, 9);
const API_VERSIONS: (i16, i16) = (18, 3);
const CREATE_TOPICS: (i16, i16) = (19, 5);
const INIT_PRODUCER_ID: (i16, i16) = (22, 4);
const DESCRIBE_CONFIGS: (i16, i16) = (32, 4);
/// What is offered; the newest versions that Kafka 2.8 has and 4.1 still has.
const OFFERED: [(i16, i16); 8] = [
    PRODUCE,
    FETCH,
    LIST_OFFSETS,
    METADATA,
    API_VERSIONS,
    CREATE_TOPICS,
    INIT_PRODUCER_ID,
    DESCRIBE_CONFIGS,
];

const BROKER_ID: i32 = 1;
const PRODUCER_ID: i64 = 4_000;
/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_MAX: &[u8] = b"1048588";
const OPERATIONS_UNKNOWN: i32 = i32::MIN;
const LATEST: i64 = -1;
const NO_ERROR: i16 = 0;

/// Answers one request, both without their sizes.
///
/// # Errors
/// When the request is malformed, or one that this broker does not answer.
pub(crate) fn answer(request: &[u8], address: SocketAddr, tally: &Mutex<Tally>) -> Result<Vec<u8>> {
    let mut from = Reader(request);
    let (api, correlation_id) = ((from.i16()?, from.i16()?), from.i32()?);
    let (key, version) = api;
    ensure!(OFFERED.contains(&api), "a request of kind {key} and version {version} is not offered");
    from.string(false)?; // client id
    from.tags()?;
    let mut to = Writer::default();
    to.i32(correlation_id);
    if api != API_VERSIONS {
        to.put(&[0]); // no tags
    }
    match api {
        API_VERSIONS => api_versions(&mut to),
        METADATA => metadata(&mut from, address, &mut to)?,
        CREATE_TOPICS => create_topics(&mut from, &mut to)?,
        DESCRIBE_CONFIGS => describe_configs(&mut from, &mut to)?,
        INIT_PRODUCER_ID => {
            to.i32(0).i16(NO_ERROR).i64(PRODUCER_ID).i16(0).put(&[0]);
        }
        LIST_OFFSETS => list_offsets(&mut from, tally, &mut to)?,
        PRODUCE => produce(&mut from, tally, &mut to)?,
        _ => bail!("a producer reads a partition back, so it is in doubt about a batch"), // Fetch
    }
    Ok(to.0)
}

fn api_versions(to: &mut Writer) {
    to.i16(NO_ERROR).array(OFFERED.len(), true);
    for (key, version) in OFFERED {
        to.i16(key).i16(version).i16(version).put(&[0]);
    }
    to.i32(0).put(&[0]);
}

fn metadata(from: &mut Reader<'_>, address: SocketAddr, to: &mut Writer) -> Result<()> {
    let host = address.ip().to_string();
    to.i32(0).array(1, true).i32(BROKER_ID).string(Some(host.as_bytes()), true);
    to.i32(address.port().into()).string(None, true).put(&[0]);
    to.string(Some(b"millrace-bench"), true).i32(BROKER_ID);
    let topics = from.array(true)?;
    to.array(topics, true);
    for _ in 0..topics {
        let name = from.string(true)?;
        from.tags()?;
        to.i16(NO_ERROR).string(name, true).i8(0).array(1, true);
        to.i16(NO_ERROR).i32(0).i32(BROKER_ID).i32(0);
        to.array(1, true).i32(BROKER_ID).array(1, true).i32(BROKER_ID).array(0, true).put(&[0]);
        to.i32(OPERATIONS_UNKNOWN).put(&[0]);
    }
    to.i32(OPERATIONS_UNKNOWN).put(&[0]);
    Ok(())
}

fn create_topics(from: &mut Reader<'_>, to: &mut Writer) -> Result<()> {
    let topics = from.array(true)?;
    to.i32(0).array(topics, true);
    for _ in 0..topics {
        let name = from.string(true)?;
        from.take(4 + 2)?; // partitions, replication factor
        for _ in 0..from.array(true)? {
            from.i32()?;
            let replicas = from.array(true)?;
            from.take(4 * replicas)?;
            from.tags()?;
        }
        for _ in 0..from.array(true)? {
            from.string(true)?;
            from.string(true)?;
            from.tags()?;
        }
        from.tags()?;
        to.string(name, true).i16(NO_ERROR).string(None, true).i32(1).i16(1).array(0, true);
        to.put(&[0]);
    }
    to.put(&[0]);
    Ok(())
}

fn describe_configs(from: &mut Reader<'_>, to: &mut Writer) -> Result<()> {
    let resources = from.array(true)?;
    to.i32(0).array(resources, true);
    for _ in 0..resources {
        let (kind, name) = (from.i8()?, from.string(true)?);
        for _ in 0..from.array(true)? {
            from.string(true)?;
        }
        from.tags()?;
        to.i16(NO_ERROR).string(None, true).i8(kind).string(name, true).array(2, true);
        for (name, value) in
            [(&b"max.message.bytes"[..], MESSAGE_BYTES_MAX), (b"cleanup.policy", b"delete")]
        {
            // Not read only, source 5 (a default), not sensitive, no synonyms, type unknown, no documentation.
            to.string(Some(name), true).string(Some(value), true).i8(0).i8(5).i8(0);
            to.array(0, true).i8(0).string(None, true).put(&[0]);
        }
        to.put(&[0]);
    }
    to.put(&[0]);
    Ok(())
}

fn list_offsets(from: &mut Reader<'_>, tally: &Mutex<Tally>, to: &mut Writer) -> Result<()> {
    from.take(4 + 1)?; // replica, isolation
    let topics = from.array(true)?;
    to.i32(0).array(topics, true);
    for _ in 0..topics {
        let name = from.string(true)?.unwrap_or_default();
        let partitions = from.array(true)?;
        to.string(Some(name), true).array(partitions, true);
        for _ in 0..partitions {
            let (partition, _epoch, timestamp) = (from.i32()?, from.i32()?, from.i64()?);
            from.tags()?;
            let end = if timestamp == LATEST { tally.lock().end(name, partition) } else { 0 };
            to.i32(partition).i16(NO_ERROR).i64(-1).i64(end).i32(0).put(&[0]);
        }
        from.tags()?;
        to.put(&[0]);
    }
    to.put(&[0]);
    Ok(())
}

fn produce(from: &mut Reader<'_>, tally: &Mutex<Tally>, to: &mut Writer) -> Result<()> {
    let transaction = from.string(true)?;
    ensure!(transaction.is_none(), "a transaction is not offered");
    from.take(2 + 4)?; // acks, timeout
    let mut tally = tally.lock();
    tally.note_request();
    let topics = from.array(true)?;
    to.array(topics, true);
    for _ in 0..topics {
        let name = from.string(true)?.unwrap_or_default();
        let partitions = from.array(true)?;
        to.string(Some(name), true).array(partitions, true);
        for _ in 0..partitions {
            let (partition, batch) = (from.i32()?, from.bytes(true)?.unwrap_or_default());
            from.tags()?;
            let base_offset = tally.take(name, partition, batch, Instant::now())?;
            to.i32(partition).i16(NO_ERROR).i64(base_offset).i64(-1).i64(0);
            to.array(0, true).string(None, true).put(&[0]);
        }
        from.tags()?;
        to.put(&[0]);
    }
    to.i32(0).put(&[0]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::tally::{Counts, Samples};
    use crate::record_batch::tests::{batch, record};

    fn tally() -> (Mutex<Tally>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = Samples::new(&folder.path().join("samples"), 10, 0).expect("made");
        (Mutex::new(Tally::new(samples)), folder)
    }

    fn request(api: (i16, i16), body: &[u8]) -> Vec<u8> {
        let mut request = Writer::default();
        request.i16(api.0).i16(api.1).i32(77).string(Some(b"client"), false).put(&[0]).put(body);
        request.0
    }

    fn produce_request(batch: &[u8]) -> Vec<u8> {
        let mut body = Writer::default();
        body.string(None, true).i16(-1).i32(30_000).array(1, true).string(Some(b"t"), true);
        body.array(1, true).i32(0).bytes(Some(batch), true).put(&[0, 0, 0]);
        request(PRODUCE, &body.0)
    }

    fn answer_to(request: &[u8], tally: &Mutex<Tally>) -> Result<Vec<u8>> {
        answer(request, SocketAddr::from(([127, 0, 0, 1], 9_092)), tally)
    }

    #[test]
    fn a_batch_is_acknowledged_with_the_offset_of_its_first_record() {
        let (tally, _folder) = tally();
        for (sequence, base_offset) in [(0, 0), (2, 2)] {
            let batch = batch(&[record(1, b"a"), record(2, b"b")], 5, sequence);
            let answer = answer_to(&produce_request(&batch), &tally).expect("acknowledged");
            let mut from = Reader(&answer);
            assert_eq!(from.i32().expect("correlation id"), 77);
            from.tags().expect("tags");
            assert_eq!(from.array(true).expect("topics"), 1);
            assert_eq!(from.string(true).expect("name"), Some(&b"t"[..]));
            assert_eq!(from.array(true).expect("partitions"), 1);
            assert_eq!((from.i32().expect("index"), from.i16().expect("code")), (0, 0));
            assert_eq!(from.i64().expect("base offset"), base_offset);
            from.take(16).expect("append time, log start");
            assert_eq!(from.array(true).expect("record errors"), 0);
            assert_eq!(from.string(true).expect("message"), None);
            from.tags().expect("tags of the partition");
            from.tags().expect("tags of the topic");
            assert_eq!(from.i32().expect("throttled"), 0);
            from.tags().expect("tags");
            assert!(from.0.is_empty());
        }
        let tally = tally.lock();
        let Counts { records, batches, requests, .. } = *tally.counts();
        assert_eq!((records, batches, requests, tally.end(b"t", 0)), (4, 2, 2, 4));
    }

    #[test]
    fn a_request_that_is_cut_is_an_error() {
        let (tally, _folder) = tally();
        let request = produce_request(&batch(&[record(1, b"a")], 5, 0));
        for end in 0..request.len() - 2 {
            assert!(answer_to(&request[..end], &tally).is_err(), "{end}");
        }
        assert_eq!(tally.lock().counts().skipped, 0);
    }

    #[test]
    fn what_a_broker_without_doubts_is_not_asked_is_refused() {
        let (tally, _folder) = tally();
        let error = answer_to(&request(FETCH, &[]), &tally).expect_err("refused").to_string();
        assert!(error.contains("in doubt"), "{error}");
        assert!(answer_to(&request((0, 8), &[]), &tally).is_err());
    }
}
