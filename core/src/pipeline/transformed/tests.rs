//! Laws of transformed records, between a scripted server and a fake broker.

use std::time::Duration;

use bson::{Document, doc};

use super::{HeaderConverter, TransformConfig};
use crate::connect::{Datum, DatumConverter, JsonSettings};
use crate::format::{Converter, Encoder, JavaVersion, JsonFormatter, OutputFormat};
use crate::java_pattern::JavaPattern;
use crate::kafka::fake_broker::FakeCluster;
use crate::pipeline::peers::{Peers, config, reply};
use crate::pipeline::{DeadLetterConfig, HeartbeatConfig, PipelineConfig, PipelineError, Publish};
use crate::route::Router;
use crate::transform::{
    Chain, Condition, ExtractField, FieldPath, Header, Origin, Predicate, RegexRouter, Side, Stage,
    Transformation,
};

const TEXT: DatumConverter =
    DatumConverter { converter: Converter::String, json: JsonSettings::DEFAULT };

fn stage(condition: Option<(Predicate, bool)>, transformation: Transformation) -> Stage {
    let condition = condition.map(|(predicate, negate)| Condition { predicate, negate });
    Stage { alias: "t".to_owned(), class: "C".to_owned(), condition, transformation }
}

fn route(regex: &str, replacement: &str) -> Transformation {
    Transformation::RegexRouter(RegexRouter::new(regex, replacement).unwrap())
}

fn running(stages: Vec<Stage>, dead_letters: bool) -> Peers {
    running_with(stages, |config| {
        config.dead_letters = dead_letters.then(|| {
            let text = || text(JsonFormatter::Relaxed);
            DeadLetterConfig { topic: "letters".to_owned(), key: text(), value: text(), log: true }
        });
    })
}

fn text(format: JsonFormatter) -> Encoder {
    Encoder::new(OutputFormat::Json(format), Converter::String).unwrap()
}

fn running_with(stages: Vec<Stage>, change: impl FnOnce(&mut PipelineConfig)) -> Peers {
    let mut config = config(OutputFormat::Json(JsonFormatter::Default), 1);
    let origin = || Origin::text(JsonFormatter::Default, JavaVersion::default()).unwrap();
    config.records.publish = Publish::FullDocument { tombstone_on_delete: true };
    config.records.router = Router::new("", "", ".").with_any_name();
    config.records.transforms = Some(Box::new(TransformConfig {
        chain: Chain::new(stages),
        key: origin(),
        value: origin(),
        key_converter: TEXT,
        value_converter: TEXT,
        header_converter: HeaderConverter::Simple,
    }));
    change(&mut config);
    let mut cluster = FakeCluster::new(1);
    for topic in ["shop.orders", "eu.orders", "letters", "beats"] {
        cluster.add_topic(topic, 1, usize::MAX);
    }
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running);
    peers
}

fn event(n: i32, collection: &str) -> Document {
    doc! {
        "_id": { "_data": format!("82{n:08X}") }, "operationType": "insert",
        "fullDocument": { "_id": n }, "ns": { "db": "shop", "coll": collection },
        "documentKey": { "_id": n },
    }
}

fn send(peers: &mut Peers, events: &[Document]) -> Result<(), PipelineError> {
    peers.send_reply(&reply(events, &doc! { "_data": "82FFFFFFFF" }));
    peers.try_run()
}

fn stored(peers: &mut Peers) -> Document {
    peers.pass(Duration::from_secs(1));
    peers.run();
    Document::from_reader(peers.stored.as_ref().expect("a position").as_bytes()).unwrap()
}

#[test]
fn a_record_goes_where_the_chain_sends_it_also_from_a_topic_that_kafka_refuses() {
    let header = Header { key: "by".to_owned(), value: Datum::string("me".to_owned()) };
    let stages = vec![
        stage(None, route(r"shop\.no topic", "eu.orders")),
        stage(None, Transformation::InsertHeader(header)),
    ];
    let mut peers = running(stages, false);
    send(&mut peers, &[event(1, "orders"), event(2, "no topic")]).unwrap();
    let record = |n: i32| (format!(r#"{{"_id": {n}}}"#), Some(format!(r#"{{"_id": {n}}}"#)));
    assert_eq!(peers.records("shop.orders"), [record(1)]);
    assert_eq!(peers.records("eu.orders"), [record(2)]);
    assert_eq!(stored(&mut peers), doc! { "_data": "82FFFFFFFF" });
}

#[test]
fn the_position_behind_a_dropped_record_is_stored() {
    let is_gone = Some((Predicate::RecordIsTombstone, false));
    let mut peers = running(vec![stage(is_gone, Transformation::Filter)], false);
    let mut gone = event(2, "orders");
    gone.remove("fullDocument");
    send(&mut peers, &[event(1, "orders"), gone]).unwrap();
    assert_eq!(peers.records("shop.orders").len(), 1);
    assert_eq!(stored(&mut peers), doc! { "_data": "82FFFFFFFF" });
}

/// With heartbeats, each due with the first idle batch behind a second; the chain drops what is for these topics.
fn with_heartbeats(dropped_topics: &str) -> Peers {
    let there =
        Predicate::TopicNameMatches(Box::new(JavaPattern::of_whole(dropped_topics).unwrap()));
    running_with(vec![stage(Some((there, false)), Transformation::Filter)], |config| {
        config.heartbeats = Some(HeartbeatConfig {
            topic: "beats".to_owned(),
            interval: Duration::from_secs(1),
            key: text(JsonFormatter::Relaxed),
            value: None,
        });
    })
}

/// Records made, those of them that were filtered, and those that were acknowledged.
fn counts(peers: &Peers) -> [u64; 3] {
    let stats = peers.pipeline.stats();
    [stats.made_records, stats.filtered_records, stats.acknowledged_records]
}

#[test]
fn a_batch_whose_records_are_all_dropped_is_counted_and_is_no_idle_time() {
    let mut peers = with_heartbeats("shop.*");
    let mut unrouted = event(3, "orders");
    unrouted.remove("ns");
    send(&mut peers, &[event(1, "orders"), event(2, "orders"), unrouted]).unwrap();
    assert_eq!(counts(&peers), [2, 2, 0], "what makes no record is not filtered");
    assert_eq!(
        peers.records("beats"),
        [],
        "the connector has made records, whatever became of them"
    );
    peers.pass(Duration::from_secs(2));
    send(&mut peers, &[]).unwrap();
    assert_eq!(counts(&peers), [3, 2, 1]);
    assert_eq!(peers.records("beats").len(), 1);
    assert_eq!(peers.pipeline.stats().events, 3);
}

#[test]
fn a_heartbeat_that_is_dropped_is_counted_and_is_no_event() {
    let mut peers = with_heartbeats("beats");
    send(&mut peers, &[]).unwrap();
    assert_eq!((counts(&peers), peers.pipeline.stats().events), ([1, 1, 0], 0));
    send(&mut peers, &[event(1, "orders")]).unwrap();
    assert_eq!((counts(&peers), peers.pipeline.stats().events), ([2, 1, 1], 1));
    assert_eq!(stored(&mut peers), doc! { "_data": "82FFFFFFFF" });
}

/// Fails for every record of a topic: texts have no fields.
fn failing(topic: &str) -> Vec<Stage> {
    let path = FieldPath::name("a");
    let extract = ExtractField {
        side: Side::Value,
        field: "a".to_owned(),
        path,
        replace_null_with_default: true,
    };
    let there = Predicate::TopicNameMatches(Box::new(JavaPattern::of_whole(topic).unwrap()));
    vec![stage(Some((there, false)), Transformation::ExtractField(extract))]
}

#[test]
fn a_record_that_the_chain_fails_on_ends_the_task_with_the_words_of_java() {
    let mut peers = running(failing(".*"), false);
    let text = send(&mut peers, &[event(7, "orders")]).unwrap_err().to_string();
    for part in [
        "Only Struct objects supported for [field extraction], found: java.lang.String",
        "the change of {\"_id\": 7}",
        "class C, transforms.t",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn with_tolerance_it_becomes_a_dead_letter_as_it_was() {
    let mut peers = running(failing("shop.orders"), true);
    send(&mut peers, &[event(1, "orders"), event(2, "no topic")]).unwrap();
    let letters = peers.records("letters");
    let record = |n: i32| (format!(r#"{{"_id": {n}}}"#), Some(format!(r#"{{"_id": {n}}}"#)));
    assert_eq!(letters, [record(1), record(2)], "the second one has no topic that Kafka takes");
    assert_eq!(peers.pipeline.stats().dead_letters, 2);
    assert!(peers.said[0].contains("found: java.lang.String"), "{:?}", peers.said);
    assert_eq!(stored(&mut peers), doc! { "_data": "82FFFFFFFF" });
}

#[test]
fn a_key_is_changed_as_a_value_is() {
    let stages =
        vec![stage(None, Transformation::HoistField { side: Side::Key, field: "k".to_owned() })];
    let mut peers = running(stages, false);
    send(&mut peers, &[event(1, "orders")]).unwrap();
    let key = r#"Struct{k={"_id": 1}}"#.to_owned();
    assert_eq!(peers.records("shop.orders"), [(key, Some(r#"{"_id": 1}"#.to_owned()))]);
}
