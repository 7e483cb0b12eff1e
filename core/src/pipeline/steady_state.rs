//! What an event costs once a stream runs: no allocation, and memory that does not grow.

use std::time::Duration;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, Timestamp, doc};

use super::peers::{Peers, config, reply};
use crate::format::{JsonFormatter, OutputFormat};
use crate::kafka::Compression;
use crate::kafka::codec::tests::ALL;
use crate::kafka::fake_broker::FakeCluster;
use crate::memory::MemoryBudget;

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const EVENTS_PER_REPLY: usize = 1_000;
const REPLIES_PER_FLOOD: u64 = 16;
const FLOODS: u64 = 16;
const FLOOD_LASTS: Duration = Duration::from_millis(150);
const TOPICS: [&str; 3] = ["orders", "people", "things"];
/// Allocations that a batch may cost: the queue's share of its bytes, a request's head and its lists.
const PER_BATCH_MAX: u64 = 6;
/// The same where it is compressed on another thread: each comes back, and goes out, by itself.
const PER_BATCH_ELSEWHERE_MAX: u64 = 9;
/// Allocations that a reply of the server may cost.
const PER_REPLY_MAX: u64 = 1;

/// Documents of every shape that tells paths of the formatter apart.
fn documents() -> Vec<Document> {
    let text = |unit: &str, times| unit.repeat(times);
    vec![
        doc! { "a": 1 },
        doc! { "ascii": text("plain text, ", 80), "n": 5_i64, "d": 1.5e300, "t": true },
        doc! { "cjk": text("語彙", 100), "emoji": text("🚀", 60), "quoted": text("\"\\\n", 50) },
        doc! { "numbers": (0..60).map(|n| Bson::Double(f64::from(n) / 7.0)).collect::<Vec<_>>() },
        doc! { "binary": Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 900] } },
        doc! { "nested": { "b": [{ "c": [[1, 2], [3]] }, { "d": { "e": { "f": Bson::Null } } }] } },
        doc! {
            "at": bson::DateTime::from_millis(1_700_000_000_000),
            "decimal": "1234567890.0987654321E-20".parse::<bson::Decimal128>().unwrap(),
            "regex": bson::Regex { pattern: "^a+".try_into().unwrap(), options: "i".try_into().unwrap() },
            "min": Bson::MinKey, "max": Bson::MaxKey, "ts": Timestamp { time: 1, increment: 2 },
            "code": Bson::JavaScriptCode("f()".to_owned()), "oid": ObjectId::from_bytes([3; 12]),
        },
    ]
}

/// Events of every operation over all topics.
fn events() -> Vec<Document> {
    let mut events = Vec::new();
    for (number, document) in (0_i32..).zip(documents()) {
        for (topic, collection) in (0_i32..).zip(TOPICS) {
            for (place, operation) in (0..).zip(["insert", "replace", "update", "delete"]) {
                let n = number * 100 + topic * 10 + place;
                let mut event = doc! {
                    "_id": { "_data": format!("82{n:08X}2B0229296E04") },
                    "operationType": operation,
                    "clusterTime": Timestamp { time: 1_700_000_000, increment: 1 },
                    "ns": { "db": "shop", "coll": collection },
                    "documentKey": { "_id": n },
                };
                if operation != "delete" {
                    event.insert("fullDocument", document.clone());
                }
                if operation == "update" {
                    event.insert(
                        "updateDescription",
                        doc! { "updatedFields": document.clone(), "removedFields": ["x"], "truncatedArrays": [] },
                    );
                }
                events.push(event);
            }
        }
    }
    events
}

fn running_within(format: OutputFormat, memory: &MemoryBudget) -> Peers {
    running(format, Compression::None, 0, memory)
}

fn running(
    format: OutputFormat,
    compression: Compression,
    threads: usize,
    memory: &MemoryBudget,
) -> Peers {
    let mut config = config(format, 2);
    config.session.memory = memory.clone();
    config.client.memory = memory.clone();
    config.client.compression = compression;
    config.client.compression_threads = threads;
    let mut cluster = FakeCluster::new(2);
    for topic in TOPICS {
        cluster.add_topic(&format!("shop.{topic}"), 3, usize::MAX);
    }
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running, "{:?}", peers.said);
    peers
}

/// Sends `floods` times a flood of replies, and lets the brokers forget what they stored.
fn send(peers: &mut Peers, reply: &[u8], floods: u64) {
    for _ in 0..floods {
        for _ in 0..REPLIES_PER_FLOOD {
            peers.send_reply(reply);
        }
        peers.run();
        // Positions are stored, and their buffers come back.
        peers.pass(FLOOD_LASTS);
        for topic in peers.cluster.topics.values_mut() {
            topic.logs.iter_mut().for_each(|log| log.batches.clear());
        }
        peers.cluster.requests.clear();
    }
}

fn assert_steady(format: OutputFormat, compression: Compression, floods: u64) {
    assert_steady_on(0, format, compression, floods);
}

fn assert_steady_on(threads: usize, format: OutputFormat, compression: Compression, floods: u64) {
    let batch: Vec<Document> = events().into_iter().cycle().take(EVENTS_PER_REPLY).collect();
    let reply = reply(&batch, &doc! { "_data": "82FFFFFFFF" });
    let mut peers = running(format, compression, threads, &MemoryBudget::unbounded());
    for round in 0..2 {
        // Buffers reach their size.
        send(&mut peers, &reply, 2);
        let before = peers.pipeline.stats();
        peers.allocations = 0;
        send(&mut peers, &reply, floods);
        let after = peers.pipeline.stats();
        let (allocations, batches) = (peers.allocations, after.batches - before.batches);
        let events = floods * REPLIES_PER_FLOOD * EVENTS_PER_REPLY as u64;
        assert_eq!(after.events - before.events, events);
        assert_eq!(after.records - before.records, events);
        let per_batch_max = if threads == 0 { PER_BATCH_MAX } else { PER_BATCH_ELSEWHERE_MAX };
        let allowed = per_batch_max * batches + PER_REPLY_MAX * floods * REPLIES_PER_FLOOD;
        println!(
            "{format:?}, {compression:?}, {threads} threads, round {round}: {allocations} allocations, {events} events, {batches} batches"
        );
        assert!(allowed < events / 20, "batches of a few records prove nothing: {batches}");
        assert!(
            allocations <= allowed,
            "{format:?}, round {round}: {allocations} allocations for {events} events in {batches} batches"
        );
        // The second round is behind a reconnect.
        if round == 0 {
            peers.lose_server();
            peers.run();
            peers.pass(Duration::from_secs(1));
            peers.run();
        }
    }
}

#[test]
fn an_event_larger_than_the_budget_passes_and_its_memory_is_returned() {
    let budget = MemoryBudget::new(4 << 20);
    let mut config = config(OutputFormat::Bson, 1);
    config.session.memory = budget.clone();
    config.client.memory = budget.clone();
    config.client.request_bytes_max = 64 << 20;
    let mut cluster = FakeCluster::new(1);
    cluster.add_topic("shop.orders", 1, usize::MAX);
    let mut peers = Peers::new(config, cluster);
    peers.run();
    let document =
        doc! { "binary": Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 15 << 20] } };
    let large = doc! {
        "_id": { "_data": "82AA" }, "operationType": "insert", "fullDocument": document,
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": 1 },
    };
    let mut small = large.clone();
    small.insert("fullDocument", doc! { "a": 1 });
    let reply = reply(&[small.clone(), large, small], &doc! { "_data": "82FF" });
    for round in 1..=3 {
        peers.send_reply(&reply);
        peers.run();
        assert_eq!(peers.pipeline.stats().records, 3 * round);
        assert!(budget.lent_bytes() <= 4 << 20, "{} bytes are still lent", budget.lent_bytes());
    }
    peers.pass(Duration::from_secs(2));
    peers.run();
    peers.pass(Duration::from_secs(2));
    assert_eq!(budget.lent_bytes(), 0, "at rest nothing is held");
}

#[test]
fn pipelines_that_share_little_memory_all_move_on() {
    let budget = MemoryBudget::new(2 << 20);
    let batch: Vec<Document> = events().into_iter().cycle().take(EVENTS_PER_REPLY).collect();
    let reply = reply(&batch, &doc! { "_data": "82FFFFFFFF" });
    let mut all: Vec<Peers> = (0..4).map(|_| running_within(JSON, &budget)).collect();
    for _ in 0..3 {
        for peers in &mut all {
            for _ in 0..REPLIES_PER_FLOOD {
                peers.send_reply(&reply);
            }
        }
        all.iter_mut().for_each(Peers::run);
    }
    for peers in &all {
        let want = 3 * REPLIES_PER_FLOOD * EVENTS_PER_REPLY as u64;
        assert_eq!(peers.pipeline.stats().records, want);
    }
}

#[test]
fn an_event_allocates_nothing_in_bson() {
    assert_steady(OutputFormat::Bson, Compression::None, FLOODS);
}

#[test]
fn an_event_allocates_nothing_in_json() {
    assert_steady(JSON, Compression::None, FLOODS);
}

#[test]
fn an_event_allocates_nothing_in_the_other_formatters() {
    for formatter in [JsonFormatter::Extended, JsonFormatter::Simplified] {
        assert_steady(OutputFormat::Json(formatter), Compression::None, 2);
    }
}

#[test]
fn an_event_allocates_nothing_when_its_batch_is_compressed() {
    for compression in ALL {
        for threads in [0, 2] {
            assert_steady_on(threads, JSON, compression, 1);
        }
    }
}
