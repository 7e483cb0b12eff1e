//! Laws of what a pipeline says about the topics that it has written to.

use bson::{Document, doc};

use crate::format::{JsonFormatter, OutputFormat};
use crate::kafka::NewTopic;
use crate::kafka::fake_broker::FakeCluster;
use crate::pipeline::OffsetTopic;
use crate::pipeline::peers::{Peers, config, reply};

const TOPIC: &str = "shop.orders";

fn token(n: u32) -> Document {
    doc! { "_data": format!("82{n:08X}") }
}

fn insert(peers: &mut Peers, n: u32) {
    let event = doc! {
        "_id": token(n), "operationType": "insert", "fullDocument": { "_id": n },
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": n },
    };
    peers.send_reply(&reply(&[event], &token(n)));
    peers.run();
}

/// A stream that runs and stores its positions in a topic.
fn running() -> Peers {
    let mut config = config(OutputFormat::Json(JsonFormatter::Default), 1);
    let create = NewTopic { partitions: 1, replication_factor: 1, settings: Vec::new() };
    config.offset_topic =
        Some(OffsetTopic { name: "offsets".to_owned(), create, key: b"key".to_vec() });
    let mut cluster = FakeCluster::new(1);
    cluster.add_topic(TOPIC, 1, usize::MAX);
    cluster.add_topic("offsets", 1, usize::MAX);
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running, "the opening position is in the topic");
    peers
}

#[test]
fn topic_is_named_with_its_first_record_and_again_when_that_was_forgotten() {
    let mut peers = running();
    assert!(peers.written.is_empty(), "no record, and positions do not count");
    insert(&mut peers, 1);
    insert(&mut peers, 2);
    assert_eq!(peers.written, [TOPIC]);
    peers.pipeline.forget_written();
    peers.run();
    assert_eq!(peers.written, [TOPIC], "nothing was written since");
    insert(&mut peers, 3);
    assert_eq!(peers.written, [TOPIC, TOPIC]);
}
