//! Laws of heartbeats, between a scripted server and a fake broker.

use std::time::Duration;

use bson::{Document, doc};

use super::HeartbeatConfig;
use crate::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use crate::kafka::fake_broker::FakeCluster;
use crate::pipeline::peers::{Peers, config, reply};

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const INTERVAL: Duration = Duration::from_secs(2);

fn token(n: u32) -> Document {
    doc! { "_data": format!("82{n:08X}") }
}

fn key(n: u32) -> String {
    format!("{{\"_data\": \"82{n:08X}\"}}")
}

/// A stream that runs, with a heartbeat topic unless it is to come later.
fn running(converter: Converter, has_topic: bool) -> Peers {
    let mut config = config(JSON, 1);
    config.heartbeats = Some(HeartbeatConfig {
        topic: "beats".to_owned(),
        interval: INTERVAL,
        key: Encoder::new(OutputFormat::Json(JsonFormatter::Relaxed), converter).unwrap(),
        value: converter.optional_bytes_null(),
    });
    let mut cluster = FakeCluster::new(1);
    cluster.add_topic("shop.orders", 1, usize::MAX);
    if has_topic {
        cluster.add_topic("beats", 1, usize::MAX);
    } else {
        cluster.creates_topics = false;
    }
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running);
    peers
}

/// A batch of the server, after some time.
fn batch(peers: &mut Peers, after: Duration, events: &[Document], post_batch: u32) {
    peers.pass(after);
    peers.send_reply(&reply(events, &token(post_batch)));
    peers.run();
}

fn keys(peers: &Peers) -> Vec<String> {
    peers.records("beats").into_iter().map(|(key, _)| key).collect()
}

fn insert(n: u32) -> Document {
    doc! {
        "_id": token(n), "operationType": "insert", "fullDocument": { "_id": 1 },
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": 1 },
    }
}

#[test]
fn a_heartbeat_comes_with_an_idle_batch_a_new_token_and_more_than_the_interval() {
    let mut peers = running(Converter::String, true);
    assert_eq!(keys(&peers), [""; 0], "nothing before a batch of the running stream");
    batch(&mut peers, Duration::ZERO, &[], 1);
    assert_eq!(keys(&peers), [key(1)], "the first is due at once");
    batch(&mut peers, INTERVAL, &[], 2);
    assert_eq!(keys(&peers), [key(1)], "exactly the interval is too early");
    batch(&mut peers, Duration::from_millis(1), &[], 3);
    assert_eq!(keys(&peers), [key(1), key(3)]);
    batch(&mut peers, INTERVAL * 2, &[], 3);
    assert_eq!(keys(&peers).len(), 2, "the same token");
    batch(&mut peers, Duration::from_millis(1), &[], 4);
    assert_eq!(keys(&peers).len(), 2, "the interval runs from the last look");
    batch(&mut peers, INTERVAL * 2, &[insert(5)], 6);
    assert_eq!(keys(&peers).len(), 2, "a batch with a record");
    batch(&mut peers, Duration::ZERO, &[], 6);
    assert_eq!(keys(&peers), [key(1), key(3), key(6)]);
    assert_eq!(peers.pipeline.stats().events, 1, "heartbeats are no events");
}

#[test]
fn the_position_says_that_a_heartbeat_brought_it_until_the_stream_moves_on() {
    let mut peers = running(Converter::String, true);
    let stored = |peers: &mut Peers| {
        peers.pass(Duration::from_secs(1));
        peers.run();
        let stored = peers.stored.as_ref().expect("a position");
        (Document::from_reader(stored.as_bytes()).unwrap(), stored.is_by_heartbeat())
    };
    assert!(!stored(&mut peers).1);
    batch(&mut peers, Duration::ZERO, &[], 1);
    assert_eq!(stored(&mut peers), (token(1), true));
    batch(&mut peers, Duration::ZERO, &[], 1);
    assert_eq!(stored(&mut peers), (token(1), true), "not stored again without the mark");
    batch(&mut peers, Duration::ZERO, &[], 2);
    assert_eq!(stored(&mut peers), (token(2), false), "a newer position is not held back");
}

#[test]
fn key_and_value_are_what_the_converters_make_of_a_text_and_of_null_bytes() {
    let envelope =
        r#"{"schema":{"type":"string","optional":false},"payload":"{\"_data\": \"8200000001\"}"}"#;
    for (converter, key, value) in [
        (Converter::String, key(1).as_str(), None),
        (
            Converter::Json { schemas_enable: false },
            r#""{\"_data\": \"8200000001\"}""#,
            Some("null"),
        ),
        (
            Converter::Json { schemas_enable: true },
            envelope,
            Some(r#"{"schema":{"type":"bytes","optional":true},"payload":null}"#),
        ),
    ] {
        let mut peers = running(converter, true);
        batch(&mut peers, Duration::ZERO, &[], 1);
        let want = (key.to_owned(), value.map(str::to_owned));
        assert_eq!(peers.records("beats"), [want]);
    }
}

#[test]
fn a_heartbeat_waits_for_its_topic_but_not_past_a_record() {
    let mut peers = running(Converter::String, false);
    batch(&mut peers, Duration::ZERO, &[], 1);
    peers.cluster.add_topic("beats", 1, usize::MAX);
    for _ in 0..5 {
        peers.pass(Duration::from_secs(1));
        peers.run();
    }
    assert_eq!(keys(&peers), [key(1)]);

    let mut peers = running(Converter::String, false);
    batch(&mut peers, Duration::ZERO, &[], 1);
    batch(&mut peers, Duration::ZERO, &[insert(2)], 3);
    peers.cluster.add_topic("beats", 1, usize::MAX);
    for _ in 0..5 {
        peers.pass(Duration::from_secs(1));
        peers.run();
    }
    assert_eq!(keys(&peers), [""; 0]);
    assert_eq!(peers.records("shop.orders").len(), 1);
}
