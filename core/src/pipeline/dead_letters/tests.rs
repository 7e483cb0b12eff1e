//! Laws of dead letters, between a scripted server and a fake broker.

use std::time::Duration;

use bson::{Document, doc};

use super::DeadLetterConfig;
use crate::connect::{Field, JsonSettings, Kind, Schema, SchemaOutput, SchemaSource};
use crate::format::{Converter, Encoder, JsonFormatter, OutputFormat};
use crate::kafka::fake_broker::FakeCluster;
use crate::pipeline::peers::{Peers, config, reply};
use crate::pipeline::{KeyDocument, PipelineError, Publish};

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const LITERAL: Converter = Converter::Json { schemas_enable: false };

fn running(letters: Option<Converter>, publish: Publish) -> Peers {
    let mut config = config(JSON, 1);
    config.records.publish = publish;
    config.dead_letters = letters.map(|converter| {
        let text = || Encoder::new(OutputFormat::Json(JsonFormatter::Relaxed), converter).unwrap();
        DeadLetterConfig { topic: "letters".to_owned(), key: text(), value: text(), log: true }
    });
    let mut cluster = FakeCluster::new(1);
    for topic in ["shop.orders", "letters"] {
        cluster.add_topic(topic, 1, usize::MAX);
    }
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running);
    peers
}

fn event(n: i32, collection: &str, document: Document) -> Document {
    doc! {
        "_id": { "_data": format!("82{n:08X}") }, "operationType": "insert",
        "fullDocument": document, "ns": { "db": "shop", "coll": collection },
        "documentKey": { "_id": i64::from(n) },
    }
}

/// Nested deeper than any formatter goes.
fn too_deep() -> Document {
    (0..300).fold(doc! {}, |inner, _| doc! { "a": inner })
}

fn send(peers: &mut Peers, events: &[Document]) -> Result<(), PipelineError> {
    peers.send_reply(&reply(events, &doc! { "_data": "82FFFFFFFF" }));
    peers.try_run()
}

#[test]
fn a_change_that_cannot_be_written_is_a_text_in_the_dead_letter_topic_and_the_stream_goes_on() {
    let mut peers =
        running(Some(Converter::String), Publish::FullDocument { tombstone_on_delete: true });
    let odd = event(2, "no topic", doc! { "long": 5_i64, "at": bson::DateTime::from_millis(0) });
    let mut deleted = event(3, "no topic", doc! {});
    deleted.remove("fullDocument");
    let good = |n| event(n, "orders", doc! { "n": n });
    send(&mut peers, &[good(1), odd, deleted, good(4)]).unwrap();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        peers.records("letters"),
        [
            (
                text(r#"{"_id": 2}"#),
                Some(text(r#"{"long": 5, "at": {"$date": "1970-01-01T00:00:00Z"}}"#))
            ),
            (text(r#"{"_id": 3}"#), Some(text("{}"))),
        ],
        "the value of a tombstone is an empty document"
    );
    assert_eq!(peers.records("shop.orders").len(), 2);
    assert_eq!(peers.pipeline.stats().dead_letters, 2);
    assert!(
        peers.said[0].contains("{\"_id\": 2} went to dead-letter topic letters"),
        "{:?}",
        peers.said
    );
    peers.pass(Duration::from_secs(1));
    peers.run();
    let stored = peers.stored.as_ref().expect("a position");
    assert_eq!(Document::from_reader(stored.as_bytes()).unwrap(), doc! { "_data": "82FFFFFFFF" });
}

#[test]
fn a_dead_letter_is_a_text_for_the_converters() {
    let mut peers = running(Some(LITERAL), Publish::FullDocument { tombstone_on_delete: false });
    send(&mut peers, &[event(2, "no topic", doc! { "a": "b" })]).unwrap();
    let (key, value) = (r#""{\"_id\": 2}""#.to_owned(), r#""{\"a\": \"b\"}""#.to_owned());
    assert_eq!(peers.records("letters"), [(key, Some(value))]);
}

#[test]
fn the_position_waits_for_a_dead_letter() {
    let mut peers = running(Some(Converter::String), Publish::Event);
    peers.cluster.topics.remove("letters");
    peers.cluster.creates_topics = false;
    send(&mut peers, &[event(2, "no topic", doc! {}), event(3, "orders", doc! {})]).unwrap();
    peers.pass(Duration::from_secs(1));
    peers.run();
    let stored = peers.stored.as_ref().expect("the opening position");
    assert_eq!(Document::from_reader(stored.as_bytes()).unwrap(), doc! { "_data": "8200000001" });
    assert_eq!(peers.records("shop.orders"), [], "order is kept");
    peers.cluster.add_topic("letters", 1, usize::MAX);
    for _ in 0..5 {
        peers.pass(Duration::from_secs(1));
        peers.run();
    }
    assert_eq!((peers.records("letters").len(), peers.records("shop.orders").len()), (1, 1));
}

/// A key of `documentKey._id` alone, which must be a number.
fn keys_of_numbers() -> Encoder {
    let record = |name: &str, kind| {
        let field = Field { name: name.to_owned(), schema: Schema::new(kind, false).into() };
        Kind::Struct(vec![field])
    };
    let schema = Schema::new(record("documentKey", record("_id", Kind::Int64)), false);
    let output = SchemaOutput {
        source: SchemaSource::Given(schema.into()),
        formatter: JsonFormatter::Default,
        json: JsonSettings::DEFAULT,
    };
    Encoder::schema(output, Converter::String).unwrap()
}

#[test]
fn a_key_that_cannot_be_written_moves_no_later_change_to_another_topic() {
    let mut config = config(JSON, 1);
    config.records.key = keys_of_numbers();
    config.records.key_document = KeyDocument::Event;
    let text = || Encoder::text(JsonFormatter::Relaxed);
    config.dead_letters = Some(DeadLetterConfig {
        topic: "letters".to_owned(),
        key: text(),
        value: text(),
        log: false,
    });
    let mut cluster = FakeCluster::new(1);
    for topic in ["shop.orders", "shop.lines", "letters"] {
        cluster.add_topic(topic, 1, usize::MAX);
    }
    let mut peers = Peers::new(config, cluster);
    peers.run();
    let mut first = event(1, "orders", doc! {});
    first.insert("documentKey", doc! { "_id": "no number" });
    let later = [event(2, "lines", doc! {}), event(3, "orders", doc! {})];
    send(&mut peers, &[&[first], &later[..]].concat()).unwrap();
    let counts = ["letters", "shop.lines", "shop.orders"].map(|topic| peers.records(topic).len());
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn without_a_dead_letter_topic_the_task_ends_and_names_the_document() {
    for (event, reason) in [
        (event(7, "no topic", doc! {}), "not ' '"),
        (event(7, "orders", too_deep()), "nested deeper"),
    ] {
        let mut peers = running(None, Publish::Event);
        let text = send(&mut peers, &[event]).expect_err("no way to write it").to_string();
        assert!(text.contains(reason) && text.contains("the change of {\"_id\": 7}"), "{text}");
        assert!(text.contains("errors.deadletterqueue.topic.name"), "{text}");
    }
}

#[test]
fn a_change_without_any_text_ends_the_task_and_leaves_nothing_behind() {
    let mut peers = running(Some(Converter::String), Publish::Event);
    let good = event(1, "orders", doc! {});
    let error = send(&mut peers, &[good, event(7, "orders", too_deep())]).expect_err("no text");
    assert!(matches!(&error, PipelineError::Change { document, .. } if document == "{\"_id\": 7}"));
    assert_eq!((peers.records("letters").len(), peers.pipeline.stats().dead_letters), (0, 0));
}
