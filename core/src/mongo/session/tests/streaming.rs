//! An open stream, with exhaust and without.

use super::*;

/// A chain of replies, each answering the one before it.
fn chain(asked: &Asked, bodies: &[Document]) -> Vec<u8> {
    let mut response_to = asked.request_id;
    let mut bytes = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let request_id = 5_000 + i32::try_from(index).unwrap();
        bytes.extend(encode_reply(request_id, response_to, true, body));
        response_to = request_id;
    }
    bytes
}

#[test]
fn replies_follow_unasked_however_they_are_cut() {
    for cut in [usize::MAX, 100, 33, 1] {
        let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
        rig.cut = cut;
        let bytes = chain(
            &get_more,
            &[
                batch("nextBatch", [1, 2], 9, 2),
                batch("nextBatch", [], 9, 50),
                batch("nextBatch", [51], 9, 51),
            ],
        );
        let want = [
            Seen::Event(1),
            Seen::Event(2),
            Seen::BatchEnd,
            Seen::BatchEnd,
            Seen::Event(51),
            Seen::BatchEnd,
        ];
        assert_eq!(rig.receive(&bytes), want, "cut into {cut}");
        assert_eq!(rig.position(), token(51));
        rig.expect_nothing();
    }
}

#[test]
fn events_come_before_their_reply_has_ended_and_move_the_position() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let bytes = chain(&get_more, &[batch("nextBatch", [1, 2], 9, 90)]);
    let (first, rest) = bytes.split_at(bytes.len() - 60);
    assert_eq!(rig.receive(first), [Seen::Event(1), Seen::Event(2)]);
    assert_eq!(rig.position(), token(2), "behind the last event handed out");
    assert_eq!(rig.receive(rest), [Seen::BatchEnd]);
    assert_eq!(rig.position(), token(90), "the end of the batch");
}

#[test]
fn a_server_that_stops_replying_unasked_is_asked_again() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let body = batch("nextBatch", [1], 9, 1);
    assert_eq!(rig.reply(&get_more, false, &body), [Seen::Event(1), Seen::BatchEnd]);
    assert!(rig.expect("getMore").exhaust);
}

#[test]
fn an_old_router_is_asked_for_the_next_batch_before_this_one_is_handed_out() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(
        &doc! { "msg": "isdbgrid", "isWritablePrimary": true, "maxWireVersion": 21, "ok": 1.0 },
    );
    let aggregate = rig.expect("aggregate");
    rig.reply(&aggregate, false, &batch("firstBatch", [], 9, 100));
    let first = rig.expect("getMore");
    assert!(!first.exhaust);
    let bytes = encode_reply(1, first.request_id, false, &batch("nextBatch", [1], 9, 1));
    assert_eq!(rig.receive(&bytes[..40]), []);
    let second = rig.expect("getMore");
    assert_eq!(rig.receive(&bytes[40..]), [Seen::Event(1), Seen::BatchEnd]);
    rig.expect_nothing();
    let body = batch("nextBatch", [2], 9, 2);
    assert_eq!(rig.reply(&second, false, &body), [Seen::Event(2), Seen::BatchEnd]);
    rig.expect("getMore");
    rig.expect_nothing();
}

#[test]
fn a_new_router_goes_on_unasked() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(
        &doc! { "msg": "isdbgrid", "isWritablePrimary": true, "maxWireVersion": 22, "ok": 1.0 },
    );
    let aggregate = rig.expect("aggregate");
    rig.reply(&aggregate, false, &batch("firstBatch", [], 9, 100));
    assert!(rig.expect("getMore").exhaust);
}

#[test]
fn a_server_that_refuses_exhaust_is_asked_without() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    assert_eq!(rig.reply(&get_more, false, &error(223)), [Seen::Interrupted(1)]);
    rig.drain();
    rig.pass(Duration::from_millis(100));
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    rig.reply(&aggregate, false, &batch("firstBatch", [], 9, 100));
    assert!(!rig.expect("getMore").exhaust);
}

#[test]
fn an_invalidated_stream_is_opened_again_behind_the_invalidation() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let body = batch("nextBatch", [1, 2], 0, 2);
    let seen = rig.reply(&get_more, false, &body);
    assert_eq!(seen, [Seen::Event(1), Seen::Event(2), Seen::BatchEnd]);
    let aggregate = rig.expect("aggregate");
    assert_eq!(options(&aggregate), doc! { "startAfter": token(2) });
    let body = batch("firstBatch", [3], 10, 3);
    let seen = rig.reply(&aggregate, false, &body);
    assert_eq!(seen, [Seen::Opened, Seen::Event(3), Seen::BatchEnd]);
    assert_eq!(rig.expect("getMore").body.get_i64("getMore").unwrap(), 10);
}

#[test]
fn a_cursor_that_is_closed_at_once_is_opened_again_only_after_a_while() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let body = batch("nextBatch", [], 0, 100);
    let seen = rig.reply(&get_more, false, &body);
    assert_eq!(seen, [Seen::BatchEnd, Seen::Interrupted(1)]);
    assert_eq!(rig.drain(), None);
    for wait in [100, 200, 400] {
        rig.pass(Duration::from_millis(wait));
        rig.connect("a:1");
        rig.greet(&primary());
        let aggregate = rig.expect("aggregate");
        let seen = rig.reply(&aggregate, false, &batch("firstBatch", [], 0, 100));
        assert!(
            matches!(seen[..], [Seen::Opened, Seen::BatchEnd, Seen::Interrupted(_)]),
            "{seen:?}"
        );
        assert_eq!(rig.drain(), None);
    }
}

#[test]
fn an_event_without_its_token_stops_the_stream() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let body = doc! { "cursor": { "nextBatch": [{ "n": 1 }], "id": 9_i64 }, "ok": 1.0 };
    let failure = rig.refused(&get_more, &body);
    assert!(failure.to_string().contains("must keep _id"), "{failure}");
    assert!(matches!(rig.session.state(), SessionState::Failed { .. }));
}

#[test]
fn the_token_buffer_is_used_again_for_every_event() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    rig.receive(&chain(&get_more, &[batch("nextBatch", [1], 9, 1)]));
    let before = rig.session.token().unwrap().as_ptr();
    let last = Asked { request_id: 5_000, exhaust: true, body: Document::new() };
    rig.reply(&last, true, &batch("nextBatch", 2..100, 9, 100));
    assert_eq!(rig.session.token().unwrap().as_ptr(), before);
}
