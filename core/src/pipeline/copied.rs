//! What a pipeline does with a copy: what a document costs, what is stored meanwhile, and the stream behind it.

use std::time::Duration;

use bson::{Document, doc};

use super::CopyConfig;
use super::peers::{Peers, config, last_reply, reply};
use crate::format::{JsonFormatter, OutputFormat};
use crate::kafka::fake_broker::FakeCluster;
use crate::mongo::copy::{CopyPosition, CopySpec};
use crate::mongo::watch::Scope;

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const DOCUMENTS_PER_REPLY: i32 = 1_000;
const REPLIES: u64 = 256;
/// What a batch, a reply of the server and a stored position may cost.
const PER_BATCH_MAX: u64 = 6;
const PER_REPLY_MAX: u64 = 1;
/// The token of the scripted server's stream.
const OPENING: &str = "8200000001";

/// A pipeline that copies one collection and has not read a document yet.
fn copying(format: OutputFormat, resumed: Option<CopyPosition>) -> Peers {
    let mut config = config(format, 2);
    let (database, collection) = ("shop".to_owned(), "orders".to_owned());
    config.session.watch.scope = Scope::Collection { database, collection };
    let spec = CopySpec { threads_max: 1, ..CopySpec::default() };
    config.copy = Some(CopyConfig { spec, resumed });
    let mut cluster = FakeCluster::new(2);
    cluster.add_topic("shop.orders", 3, usize::MAX);
    let mut peers = Peers::new(config, cluster);
    peers.run();
    peers
}

fn documents() -> Vec<Document> {
    let text = "some text, ".repeat(20);
    (0..DOCUMENTS_PER_REPLY).map(|n| doc! { "_id": n, "text": &text, "n": [n, 1.5] }).collect()
}

#[test]
fn a_copied_document_allocates_nothing() {
    for format in [OutputFormat::Bson, JSON] {
        let mut peers = copying(format, None);
        let reply = reply(&documents(), &doc! { "_data": "82" });
        for warm_up in [true, false] {
            let before = peers.pipeline.stats();
            peers.allocations = 0;
            for _ in 0..REPLIES {
                peers.send_reply(&reply);
                peers.run();
                peers.pass(Duration::from_millis(10));
            }
            for topic in peers.cluster.topics.values_mut() {
                topic.logs.iter_mut().for_each(|log| log.batches.clear());
            }
            let after = peers.pipeline.stats();
            let (events, batches) = (after.events - before.events, after.batches - before.batches);
            let allowed = batches * PER_BATCH_MAX + REPLIES * PER_REPLY_MAX;
            let allocations = peers.allocations;
            assert_eq!(events, REPLIES * DOCUMENTS_PER_REPLY as u64);
            assert!(allowed < events / 20, "batches of a few records prove nothing: {batches}");
            assert!(
                warm_up || allocations <= allowed,
                "{format:?}: {allocations} allocations for {events} documents in {batches} batches"
            );
        }
    }
}

#[test]
fn running_is_said_when_the_copy_has_a_stored_position() {
    let peers = copying(JSON, None);
    assert!(peers.is_running, "{:?}", peers.said);
    let stored = peers.stored_document().expect("a position");
    assert_eq!(stored.get_document("stream").unwrap(), &doc! { "_data": OPENING });
    assert!(stored.get_bool("copyingData").unwrap());
    let pieces = stored.get_array("left").unwrap();
    assert_eq!(pieces, &[doc! { "db": "shop", "coll": "orders" }.into()]);
}

#[test]
fn the_stream_goes_on_behind_the_copy_and_its_token_waits_for_every_copied_record() {
    let mut peers = copying(JSON, None);
    // The topic is known before answers stay away.
    peers.send_reply(&reply(&documents()[..1], &doc! { "_data": "82" }));
    peers.run();
    assert_eq!(peers.pipeline.stats().records, 1);
    peers.withholds = true;
    peers.send_reply(&last_reply(&documents()[1..]));
    peers.run();
    peers.pass(Duration::from_millis(200));
    peers.run();
    assert_eq!(peers.pipeline.stats().events, 1_000);
    let copying = |peers: &Peers| peers.stored_document().unwrap().contains_key("copyingData");
    assert!(copying(&peers), "records are out, and {:?} is stored", peers.stored_document());

    peers.release();
    peers.run();
    peers.pass(Duration::from_millis(200));
    peers.run();
    assert_eq!(peers.pipeline.stats().records, 1_000);
    assert_eq!(peers.stored_document(), Some(doc! { "_data": OPENING }));
    let event = doc! {
        "_id": { "_data": "8200000002" }, "operationType": "delete",
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": 1 },
    };
    peers.send_reply(&reply(&[event], &doc! { "_data": "8200000003" }));
    peers.run();
    peers.pass(Duration::from_millis(200));
    peers.run();
    assert_eq!(peers.pipeline.stats().records, 1_001);
    assert_eq!(peers.stored_document(), Some(doc! { "_data": "8200000003" }));
}
