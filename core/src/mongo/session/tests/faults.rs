//! A stream that is interrupted: nothing is skipped, nothing is handed out twice.

use super::*;

fn resume(rig: &mut Rig, wait_ms: u64) -> Asked {
    assert_eq!(rig.drain(), None, "it waits first");
    rig.pass(Duration::from_millis(wait_ms));
    rig.connect("a:1");
    rig.greet(&primary());
    rig.expect("aggregate")
}

#[test]
fn a_step_down_resumes_behind_the_last_event_handed_out() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let bytes = encode_reply(70, get_more.request_id, true, &batch("nextBatch", [1, 2, 3], 9, 3));
    rig.give(&bytes);
    for _ in 0..2 {
        assert!(matches!(rig.session.next_item(rig.now), Ok(Some(Item::Event(_)))));
    }
    // The third event was received and not handed out when the connection is lost.
    assert_eq!(rig.closed(), [Seen::Interrupted(1)]);
    assert!(rig.last_reason.contains("while reading the change stream: reset"));
    rig.pass(Duration::from_millis(100));
    rig.connect("a:1");
    rig.greet(&secondary(Some("b:2")));
    rig.connect("b:2");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    assert_eq!(options(&aggregate), doc! { "startAfter": token(2) });
    let seen = rig.reply(&aggregate, false, &batch("firstBatch", [3], 11, 3));
    assert_eq!(seen, [Seen::Opened, Seen::Event(3), Seen::BatchEnd]);
}

#[test]
fn a_connection_lost_at_any_byte_skips_and_repeats_nothing() {
    let body = |from: i32| batch("nextBatch", from..=4, 9, 4);
    let whole = encode_reply(70, 1, true, &body(1)).len();
    for cut in 0..whole {
        let (mut rig, get_more) =
            Rig::streaming(config(), ResumePosition::After(token(0).to_vec().unwrap()));
        let bytes = encode_reply(70, get_more.request_id, true, &body(1));
        let mut seen = rig.receive(&bytes[..cut]);
        assert_eq!(rig.closed(), [Seen::Interrupted(1)]);
        let aggregate = resume(&mut rig, 100);
        let after = options(&aggregate).get_document("startAfter").unwrap().clone();
        let from = (0..=4).find(|n| token(*n) == after).unwrap_or(0) + 1;
        rig.reply(&aggregate, false, &batch("firstBatch", [], 9, from - 1));
        let get_more = rig.expect("getMore");
        seen.extend(rig.reply(&get_more, true, &body(from)));
        seen.retain(|seen| matches!(seen, Seen::Event(_)));
        assert_eq!(seen, [1, 2, 3, 4].map(Seen::Event), "cut at byte {cut}");
    }
}

#[test]
fn retriable_codes_go_on_for_ever_and_wait_longer_each_time() {
    let (mut rig, mut asked) = Rig::streaming(config(), ResumePosition::Now);
    for (attempt, code) in [11602, 43, 91, 10107, 189, 237, 136, 50, 234].into_iter().enumerate() {
        let attempt = u32::try_from(attempt).unwrap();
        assert_eq!(
            rig.reply(&asked, false, &error(code)),
            [Seen::Interrupted(attempt + 1)],
            "{code}"
        );
        asked = resume(&mut rig, (100 << attempt).min(10_000));
        assert_eq!(options(&asked), doc! { "startAfter": token(100) });
    }
    let SessionState::Connecting { attempts, last_error } = rig.session.state() else {
        panic!("{:?}", rig.session.state());
    };
    assert!(last_error.unwrap().contains("234"));
    assert_eq!(attempts, 9);
    rig.reply(&asked, false, &batch("firstBatch", [], 9, 100));
    let get_more = rig.expect("getMore");
    rig.reply(&get_more, true, &batch("nextBatch", [], 9, 100));
    assert_eq!(rig.closed(), [Seen::Interrupted(1)], "a batch begins the count anew");
}

#[test]
fn unreachable_servers_are_no_failure_once_the_stream_was_open() {
    let (mut rig, _) = Rig::streaming(config(), ResumePosition::Now);
    rig.closed();
    let start = rig.now;
    while rig.now < start + Duration::from_secs(3_600) {
        rig.now = rig.now.max(rig.session.deadline().expect("a deadline"));
        rig.session.handle_timeout(rig.now).expect("no failure");
        if rig.drain().is_some() {
            rig.closed();
        }
    }
    assert!(matches!(rig.session.state(), SessionState::Connecting { .. }));
}

#[test]
fn a_lost_position_stops_the_stream_in_any_phase() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let failure = rig.refused(&get_more, &error(286));
    assert!(failure.is_position_lost());
    assert!(failure.to_string().contains("while reading the change stream"), "{failure}");
}

#[test]
fn a_silent_server_is_left_and_given_more_time_each_time() {
    let (mut rig, _) = Rig::streaming(config(), ResumePosition::Now);
    assert_eq!(rig.items(), []);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let since = rig.now;
        rig.now = rig.session.deadline().expect("a deadline");
        waits.push((rig.now - since).as_secs());
        rig.pass(Duration::ZERO);
        assert!(matches!(rig.items()[..], [Seen::Interrupted(_)]));
        let aggregate = resume(&mut rig, 10_000);
        rig.reply(&aggregate, false, &batch("firstBatch", [], 9, 100));
        rig.expect("getMore");
        rig.items();
    }
    assert_eq!(waits, [15, 30, 60], "the await time of 5 s and 10 s, then twice as much");
}

#[test]
fn bytes_that_nobody_takes_are_not_the_servers_fault() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    assert_eq!(rig.items(), []);
    rig.give(&encode_reply(70, get_more.request_id, true, &batch("nextBatch", [1], 9, 1)));
    rig.pass(Duration::from_secs(600));
    assert_eq!(rig.session.deadline(), None);
    assert_eq!(rig.items(), [Seen::Event(1), Seen::BatchEnd]);
}

#[test]
fn a_reply_to_something_else_ends_the_connection() {
    let (mut rig, get_more) = Rig::streaming(config(), ResumePosition::Now);
    let body = batch("nextBatch", [1], 9, 1);
    rig.reply(&get_more, true, &body);
    // The next reply must answer the one before it, not the request.
    assert_eq!(rig.reply(&get_more, true, &body), [Seen::Interrupted(1)]);
    assert!(rig.last_reason.contains("answered request"), "{}", rig.last_reason);
    resume(&mut rig, 100);
}

#[test]
fn bytes_that_are_no_reply_end_the_connection() {
    let mut rig = Rig::new(config(), ResumePosition::Now);
    rig.connect("a:1");
    let tls_alert = [0x15, 3, 3, 0, 2, 2, 0x46];
    assert_eq!(rig.receive(&tls_alert), []);
    rig.connect("b:2");
    let reasons: Vec<_> =
        rig.session.topology.reasons().into_iter().filter_map(|(_, why)| why).collect();
    assert!(reasons[0].contains("without TLS"), "{reasons:?}");
}

#[test]
fn what_a_closed_link_still_does_is_ignored() {
    let (mut rig, _) = Rig::streaming(config(), ResumePosition::Now);
    let old = rig.link.unwrap();
    rig.closed();
    assert!(rig.session.inbox(old).is_none());
    rig.session.handle_closed(old, "again", rig.now).unwrap();
    rig.session.handle_connected(old, [0; 24], rig.now).unwrap();
    assert_eq!(rig.items(), []);
    resume(&mut rig, 100);
}
