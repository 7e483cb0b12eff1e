//! What a pipeline does whose position is lost: fails, or goes on and accounts for what it skips.

use std::time::Duration;

use bson::{Document, Timestamp, doc};

use super::LostPositionPolicy;
use super::peers::{Peers, config, last_reply, reply};
use crate::format::{JsonFormatter, OutputFormat};
use crate::kafka::fake_broker::FakeCluster;
use crate::mongo::copy::CopySpec;
use crate::mongo::session::ResumePosition;
use crate::mongo::watch::Scope;

const JSON: OutputFormat = OutputFormat::Json(JsonFormatter::Default);
const TOPIC: &str = "shop.orders";
const OPENING: &str = "8200000001";

fn token(seconds: u32) -> Document {
    doc! { "_data": format!("82{seconds:08X}00000001") }
}

/// A pipeline behind a position of 100 s that the server refuses `refuses` times; its oplog begins at `begin`.
fn started(policy: LostPositionPolicy, refuses: u32, begin: Option<u32>) -> Peers {
    let mut config = config(JSON, 1);
    config.start = ResumePosition::After(token(100).to_vec().unwrap());
    config.lost_position = policy;
    config.gaps = Some("1..2 now".to_owned());
    let (database, collection) = ("shop".to_owned(), "orders".to_owned());
    config.session.watch.scope = Scope::Collection { database, collection };
    let mut cluster = FakeCluster::new(1);
    cluster.add_topic(TOPIC, 1, usize::MAX);
    let mut peers = Peers::new(config, cluster);
    (peers.refuses, peers.oplog_begin) = (refuses, begin);
    peers
}

fn event(id: i32) -> Document {
    doc! {
        "_id": token(900), "operationType": "delete",
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": id },
    }
}

/// The value of the offset that was stored last.
fn stored(peers: &Peers) -> String {
    String::from_utf8(peers.stored.as_ref().expect("a position").offset_value().unwrap()).unwrap()
}

fn warning<'a>(peers: &'a Peers, words: &str) -> &'a str {
    let said = peers.said.iter().find(|said| said.contains(words));
    said.unwrap_or_else(|| panic!("{words:?} is not in {:?}", peers.said))
}

/// The stream goes on, and what is stored later still tells of the gap.
fn goes_on(peers: &mut Peers, gap: &str) {
    assert!(peers.is_running, "{:?}", peers.said);
    assert!(
        stored(peers).ends_with(&format!(r#"","millrace.gaps":"1..2 now, {gap}"}}"#)),
        "{}",
        stored(peers)
    );
    peers.send_reply(&reply(&[event(7)], &token(901)));
    peers.run();
    peers.pass(Duration::from_secs(1));
    peers.run();
    assert_eq!(peers.stored_document(), Some(token(901)));
    assert!(stored(peers).contains(gap), "{}", stored(peers));
    assert_eq!(peers.records(TOPIC).last().unwrap().0, r#"{"_id": 7}"#);
}

#[test]
fn without_a_policy_the_pipeline_fails_and_says_how_large_the_gap_is() {
    let mut peers = started(LostPositionPolicy::Fail, 1, Some(160));
    let error = peers.try_run().expect_err("a failure").to_string();
    for words in
        ["100 s (1970-01-01T00:01:40Z), 13 min 20 s ago", "at least 1 min 0 s", "resume.policy"]
    {
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    assert_eq!(
        (peers.streams.len(), peers.stored.is_none()),
        (1, true),
        "nothing was opened or stored"
    );
}

#[test]
fn oldest_goes_on_where_the_oplog_begins() {
    let mut peers = started(LostPositionPolicy::Oldest, 1, Some(160));
    peers.run();
    let want = doc! { "startAtOperationTime": Timestamp { time: 160, increment: 3 } };
    assert_eq!(peers.streams.last(), Some(&want));
    let said = warning(&peers, "resume.policy.lost.position=oldest");
    for words in ["from cluster time 100 s", "to 160 s", "changes in between are skipped"] {
        assert!(said.contains(words), "{said}");
    }
    goes_on(&mut peers, "100..160 oldest");
}

#[test]
fn oldest_goes_on_at_the_position_itself_where_the_oplog_reaches_it() {
    let mut peers = started(LostPositionPolicy::Oldest, 1, Some(60));
    peers.run();
    let want = doc! { "startAtOperationTime": Timestamp { time: 100, increment: 1 } };
    assert_eq!(peers.streams.last(), Some(&want));
    goes_on(&mut peers, "100..100 oldest");
}

#[test]
fn oldest_fails_where_nobody_knows_what_is_oldest() {
    let mut peers = started(LostPositionPolicy::Oldest, 1, None);
    let error = peers.try_run().expect_err("a failure").to_string();
    assert!(
        error.contains("where the oplog begins is unknown: this server has no oplog"),
        "{error}"
    );
}

#[test]
fn now_goes_on_where_the_new_stream_is_opened() {
    let mut peers = started(LostPositionPolicy::Now, 1, None);
    peers.run();
    assert_eq!(peers.streams.last(), Some(&doc! {}));
    let said = warning(&peers, "resume.policy.lost.position=now");
    assert!(said.contains("from cluster time 100 s") && said.contains("to 1 s"), "{said}");
    assert_eq!(peers.stored_document(), Some(doc! { "_data": OPENING }));
    goes_on(&mut peers, "100..1 now");
}

#[test]
fn copy_sends_what_the_collections_hold_before_it_goes_on() {
    let spec = CopySpec { threads_max: 1, ..CopySpec::default() };
    let mut peers = started(LostPositionPolicy::Copy(spec), 1, Some(160));
    peers.run();
    let said = warning(&peers, "resume.policy.lost.position=copy");
    assert!(said.contains("the collections are copied again"), "{said}");
    assert!(peers.is_running, "{:?}", peers.said);
    let copying = stored(&peers);
    assert!(copying.contains(r#""copy":"true","millrace.copy""#), "{copying}");
    assert!(copying.ends_with(r#""millrace.gaps":"1..2 now, 100..1 copy"}"#), "{copying}");
    peers.send_reply(&last_reply(&[doc! { "_id": 1 }, doc! { "_id": 2 }]));
    peers.run();
    peers.pass(Duration::from_secs(1));
    peers.run();
    let keys = || peers.records(TOPIC).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(), [r#"{"_id": 1}"#, r#"{"_id": 2}"#]);
    assert_eq!(peers.streams.last(), Some(&doc! { "startAfter": { "_data": OPENING } }));
    goes_on(&mut peers, "100..1 copy");
}

#[test]
fn a_stream_that_falls_out_of_the_oplog_goes_on_too_and_every_gap_counts() {
    let mut peers = started(LostPositionPolicy::Now, 0, None);
    peers.run();
    for _ in 0..2 {
        peers.refuses = 1;
        peers.lose_server();
        peers.pass(Duration::from_secs(2));
        peers.run();
    }
    goes_on(&mut peers, "1..1 now, 1..1 now");
}

#[test]
fn a_server_that_refuses_every_position_ends_the_task() {
    let mut peers = started(LostPositionPolicy::Now, u32::MAX, None);
    let started = peers.now;
    let error = loop {
        match peers.try_run() {
            Ok(()) => peers.pass(Duration::from_secs(1)),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("no longer be resumed"), "{error}");
    assert_eq!(peers.streams.len(), 13);
    let waited = peers.now - started;
    assert!((Duration::from_secs(50)..Duration::from_secs(90)).contains(&waited), "{waited:?}");
}

#[test]
fn a_server_that_cuts_its_oplog_meanwhile_is_waited_for() {
    let mut peers = started(LostPositionPolicy::Oldest, 3, Some(160));
    peers.run();
    assert_eq!((peers.streams.len(), peers.is_running), (2, false));
    peers.oplog_begin = Some(170);
    for _ in 0..3 {
        peers.pass(Duration::from_secs(1));
        peers.run();
    }
    let start = doc! { "startAtOperationTime": Timestamp { time: 170, increment: 3 } };
    assert_eq!((peers.streams.len(), peers.streams.last()), (4, Some(&start)));
    goes_on(&mut peers, "100..170 oldest");
}
