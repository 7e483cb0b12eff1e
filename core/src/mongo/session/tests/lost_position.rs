//! A position that the server no longer knows: how far it lies back is asked before the session fails.

use super::*;
use crate::mongo::lost_position::{LostPosition, OplogBegin};

const POSITION: u32 = 1_000;

fn start() -> ResumePosition {
    let data = format!("82{POSITION:08X}00000001");
    ResumePosition::After(doc! { "_data": data }.to_vec().unwrap())
}

fn lost() -> Document {
    let mut lost = error(286);
    lost.insert("operationTime", bson::Timestamp { time: POSITION + 500, increment: 1 });
    lost
}

fn oldest(time: u32) -> Document {
    let entry = doc! { "ts": bson::Timestamp { time, increment: 4 } };
    doc! { "cursor": { "firstBatch": [entry], "id": 0_i64, "ns": "local.oplog.rs" }, "ok": 1.0 }
}

/// A session whose `aggregate` was refused, and what it asks then.
fn refused() -> (Rig, Asked) {
    let mut rig = Rig::new(config(), start());
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    assert_eq!(rig.reply(&aggregate, false, &lost()), []);
    let find = rig.expect("find");
    (rig, find)
}

fn failure(rig: &mut Rig) -> LostPosition {
    let failure = rig.session.next_item(rig.now).expect_err("a failure");
    assert!(failure.is_position_lost());
    assert_eq!(rig.session.next_item(rig.now), Err(failure.clone()));
    assert_eq!(rig.drain(), None);
    assert_eq!(rig.link, None, "the connection is given up");
    failure.lost_position().expect("what is known of it").0.clone()
}

#[test]
fn the_server_that_refused_is_asked_for_its_oldest_entry() {
    let (mut rig, find) = refused();
    assert!(!find.exhaust);
    let want = doc! {
        "find": "oplog.rs", "filter": {}, "projection": { "ts": 1 }, "sort": { "$natural": 1 },
        "limit": 1, "singleBatch": true, "maxTimeMS": 5_000, "$db": "local",
    };
    assert_eq!(find.body, want);
    rig.give(&encode_reply(2, find.request_id, false, &oldest(POSITION + 90)));
    let want = LostPosition {
        time: Some((POSITION, 1)),
        server_time: Some(POSITION + 500),
        oplog: OplogBegin::At { time: POSITION + 90, increment: 4 },
    };
    assert_eq!(failure(&mut rig), want);
}

#[test]
fn a_stream_that_falls_out_of_the_oplog_asks_too() {
    let (mut rig, get_more) = Rig::streaming(config(), start());
    assert_eq!(rig.reply(&get_more, false, &lost()), []);
    let find = rig.expect("find");
    rig.give(&encode_reply(2, find.request_id, false, &oldest(POSITION + 90)));
    let lost = failure(&mut rig);
    assert_eq!(lost.oplog, OplogBegin::At { time: POSITION + 90, increment: 4 });
}

#[test]
fn an_answer_to_what_was_asked_before_is_passed_over() {
    let (mut rig, find) = refused();
    rig.give(&encode_reply(2, find.request_id - 7, false, &error(43)));
    assert_eq!(rig.items(), []);
    rig.give(&encode_reply(3, find.request_id, false, &oldest(POSITION + 90)));
    assert!(matches!(failure(&mut rig).oplog, OplogBegin::At { .. }));
}

#[test]
fn what_cannot_be_found_out_is_said_to_be_unknown_and_why() {
    let unknown = |mut rig: Rig| match failure(&mut rig).oplog {
        OplogBegin::Unknown { reason } => reason,
        other @ OplogBegin::At { .. } => panic!("{other:?}"),
    };
    let (mut rig, find) = refused();
    rig.give(&encode_reply(2, find.request_id, false, &error(13)));
    assert!(unknown(rig).contains("reading local.oplog.rs failed: no (code 13"));

    let (mut rig, find) = refused();
    rig.give(&encode_reply(2, find.request_id, false, &batch("firstBatch", [], 0, 1)));
    assert!(unknown(rig).contains("has no oplog"));

    let (mut rig, _) = refused();
    let link = rig.link.take().unwrap();
    let closed = rig.session.handle_closed(link, "reset", rig.now).expect_err("a failure");
    assert!(closed.is_position_lost());
    assert!(unknown(rig).contains("was lost while asking where the oplog begins: reset"));

    let (mut rig, _) = refused();
    rig.now += Duration::from_secs(10);
    let silent = rig.session.handle_timeout(rig.now).expect_err("a failure");
    assert!(silent.is_position_lost());
    assert!(unknown(rig).contains("nothing came from a:1 for 10s"));
}
