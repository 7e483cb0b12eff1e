//! What a pipeline stores and publishes of events that come in fragments, killed between two of them or not.

use std::time::Duration;

use bson::{Document, doc};

use super::peers::{Peers, config, reply};
use crate::format::{JsonFormatter, OutputFormat};
use crate::kafka::fake_broker::FakeCluster;
use crate::memory::MemoryBudget;
use crate::mongo::session::ResumePosition;

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const TOPIC: &str = "shop.orders";

/// Who asks the server to split.
#[derive(Clone, Copy)]
enum AskedBy {
    Us,
    ThePipeline,
}

/// A pipeline that runs from `start`, and its budget.
fn running(asked_by: AskedBy, start: ResumePosition) -> (Peers, MemoryBudget) {
    let memory = MemoryBudget::new(16 << 20);
    let mut config = config(JSON, 1);
    config.start = start;
    config.session.memory = memory.clone();
    config.client.memory = memory.clone();
    match asked_by {
        AskedBy::Us => config.session.watch.split_large_events = true,
        AskedBy::ThePipeline => {
            let stage = doc! { "$changeStreamSplitLargeEvent": {} }.to_vec().unwrap();
            config.session.watch.pipeline = vec![stage];
        }
    }
    let mut cluster = FakeCluster::new(1);
    cluster.add_topic(TOPIC, 1, usize::MAX);
    let mut peers = Peers::new(config, cluster);
    peers.run();
    assert!(peers.is_running, "{:?}", peers.said);
    (peers, memory)
}

fn token(n: i32) -> Document {
    doc! { "_data": format!("82{n:08X}") }
}

fn whole(n: i32) -> Document {
    doc! {
        "_id": token(n), "operationType": "delete",
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": n },
    }
}

/// The event 4 in three fragments. As the server cuts it, the small fields are in the first.
fn fragments() -> [Document; 3] {
    let fragment = |n: i32, fields: Document| {
        let mut event = doc! { "_id": token(1 + n), "splitEvent": { "fragment": n, "of": 3 } };
        event.extend(fields);
        event
    };
    let large = "x".repeat(400_000);
    let small = doc! {
        "documentKey": { "_id": 4 }, "operationType": "update",
        "ns": { "db": "shop", "coll": "orders" },
    };
    [
        fragment(1, small),
        fragment(2, doc! { "updateDescription": { "updatedFields": { "a": &large } } }),
        fragment(3, doc! { "fullDocument": { "a": &large } }),
    ]
}

/// What the scripted server sends, waited for until all positions are stored.
fn send(peers: &mut Peers, events: &[Document], post_batch: i32) {
    peers.send_reply(&reply(events, &token(post_batch)));
    peers.run();
    peers.pass(Duration::from_secs(2));
    peers.run();
}

fn keys(peers: &Peers) -> Vec<String> {
    peers.records(TOPIC).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn fragments_make_one_record_and_their_memory_comes_back() {
    let (mut peers, memory) = running(AskedBy::Us, ResumePosition::Now);
    send(&mut peers, &[whole(1)], 1);
    for (n, fragment) in (2..).zip(fragments()) {
        assert_eq!(peers.stored_document(), Some(token(1)), "before fragment {n}");
        send(&mut peers, &[fragment], n);
    }
    assert_eq!(peers.stored_document(), Some(token(4)));
    let records = peers.records(TOPIC);
    assert_eq!(keys(&peers), [r#"{"_id": 1}"#, r#"{"_id": 4}"#]);
    let value = records[1].1.as_deref().unwrap();
    let large = "x".repeat(400_000);
    let want = format!(
        r#"{{"_id": {{"_data": "8200000004"}}, "operationType": "update", "fullDocument": {{"a": "{large}"}}, "ns": {{"db": "shop", "coll": "orders"}}, "documentKey": {{"_id": 4}}, "updateDescription": {{"updatedFields": {{"a": "{large}"}}}}}}"#
    );
    assert!(value == want, "{}", value.replace(&large, "…"));
    for _ in 0..3 {
        peers.pass(Duration::from_secs(2));
        peers.run();
    }
    assert_eq!(memory.lent_bytes(), 0);
}

/// After `kill -9` a node begins at the position that was stored last.
fn killed_after(asked_by: AskedBy, fragments_before: usize) {
    let (mut peers, _) = running(asked_by, ResumePosition::Now);
    let (before, rest) = (&fragments()[..fragments_before], &fragments()[fragments_before..]);
    send(&mut peers, &[&[whole(1)], before].concat(), 1 + i32::try_from(fragments_before).unwrap());
    let stored = peers.stored_document().expect("a position");
    let inside = !before.is_empty() && !rest.is_empty();
    assert_eq!(inside || before.is_empty(), stored == token(1), "{fragments_before}: {stored}");
    drop(peers);

    let start = ResumePosition::After(stored.to_vec().unwrap());
    let (mut peers, _) = running(asked_by, start);
    let again = if stored == token(1) { fragments().to_vec() } else { Vec::new() };
    send(&mut peers, &[&again[..], &[whole(9)]].concat(), 9);
    // Passed on, only the first fragment has a namespace; the others make no record, as in Java.
    let want = if again.is_empty() { vec![9] } else { vec![4, 9] };
    assert_eq!(
        keys(&peers),
        want.iter().map(|id| format!(r#"{{"_id": {id}}}"#)).collect::<Vec<_>>()
    );
}

#[test]
fn a_node_killed_between_fragments_repeats_the_whole_event() {
    for fragments_before in 0..=3 {
        killed_after(AskedBy::Us, fragments_before);
        killed_after(AskedBy::ThePipeline, fragments_before);
    }
}

#[test]
fn a_node_that_is_stopped_between_fragments_stores_the_position_before_them() {
    for asked_by in [AskedBy::Us, AskedBy::ThePipeline] {
        let (mut peers, _) = running(asked_by, ResumePosition::Now);
        peers.send_reply(&reply(&[whole(1), fragments()[0].clone()], &token(2)));
        peers.run();
        peers.pipeline.stop();
        peers.run();
        peers.pass(Duration::from_secs(2));
        peers.run();
        assert!(peers.pipeline.is_settled());
        assert_eq!(peers.stored_document(), Some(token(1)));
    }
}

#[test]
fn a_connection_lost_between_fragments_brings_the_event_once() {
    let (mut peers, _) = running(AskedBy::Us, ResumePosition::Now);
    send(&mut peers, &[&[whole(1)], &fragments()[..2]].concat(), 3);
    peers.lose_server();
    peers.pass(Duration::from_secs(2));
    peers.run();
    send(&mut peers, &[&fragments()[..], &[whole(9)]].concat(), 9);
    assert_eq!(keys(&peers), [1, 4, 9].map(|id| format!(r#"{{"_id": {id}}}"#)));
    assert_eq!(peers.stored_document(), Some(token(9)));
}
