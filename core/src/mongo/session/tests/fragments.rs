//! Events that the server has split: joined, or passed on, and no position inside them.

use super::*;

/// Fragment `of` an event: its token is `number`, and a joined event is recognised by `n`.
fn fragment(number: i32, fragment: i32, of: i32, fields: Document) -> Document {
    let mut event = doc! { "_id": token(number), "splitEvent": { "fragment": fragment, "of": of } };
    event.extend(fields);
    event
}

fn whole(number: i32) -> Document {
    doc! { "_id": token(number), "n": number }
}

/// The event 11 in two fragments.
fn halves() -> [Document; 2] {
    let large = doc! { "fullDocument": { "a": 1 } };
    [fragment(10, 1, 2, doc! { "n": 11, "operationType": "update" }), fragment(11, 2, 2, large)]
}

fn reply_of(name: &str, events: &[Document], post_batch: i32) -> Document {
    let events: Vec<bson::Bson> = events.iter().cloned().map(Into::into).collect();
    let cursor =
        doc! { name: events, "postBatchResumeToken": token(post_batch), "id": 9_i64, "ns": "d.c" };
    doc! { "cursor": cursor, "ok": 1.0 }
}

fn next(events: &[Document], post_batch: i32) -> Document {
    reply_of("nextBatch", events, post_batch)
}

fn joining() -> SessionConfig {
    let watch = WatchSpec { split_large_events: true, ..config().watch };
    SessionConfig { watch, memory: MemoryBudget::new(64 << 20), ..config() }
}

fn passing_on() -> SessionConfig {
    let pipeline = vec![doc! { "$changeStreamSplitLargeEvent": {} }.to_vec().unwrap()];
    SessionConfig { watch: WatchSpec { pipeline, ..config().watch }, ..config() }
}

/// The last reply of an exhaust chain is what the next one answers.
fn answered(asked: &Asked) -> Asked {
    Asked { request_id: asked.request_id + 1_000, exhaust: true, body: Document::new() }
}

fn resume(rig: &mut Rig) -> Asked {
    assert_eq!(rig.drain(), None, "it waits first");
    rig.pass(Duration::from_millis(100));
    rig.connect("a:1");
    rig.greet(&primary());
    rig.expect("aggregate")
}

#[test]
fn the_server_is_asked_to_split_behind_every_other_stage() {
    let mut rig = Rig::new(joining(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    let stages = aggregate.body.get_array("pipeline").unwrap();
    assert_eq!(stages[1..], [doc! { "$changeStreamSplitLargeEvent": {} }.into()]);
}

#[test]
fn fragments_are_handed_out_as_one_event_however_replies_are_cut() {
    for cut in [usize::MAX, 50, 1] {
        let (mut rig, get_more) = Rig::streaming(joining(), ResumePosition::Now);
        rig.cut = cut;
        let [first, second] = halves();
        let seen = rig.reply(&get_more, true, &next(&[whole(9), first], 10));
        assert_eq!(seen, [Seen::Event(9), Seen::BatchEnd], "cut into {cut}");
        assert_eq!(rig.position(), token(9), "before the event, not at the end of the batch");
        let seen = rig.reply(&answered(&get_more), true, &next(&[second, whole(12)], 20));
        assert_eq!(seen, [Seen::Event(11), Seen::Event(12), Seen::BatchEnd]);
        assert_eq!(rig.position(), token(20));
    }
}

#[test]
fn a_joined_event_has_the_fields_of_all_fragments_and_the_last_token() {
    let (mut rig, get_more) = Rig::streaming(joining(), ResumePosition::Now);
    rig.give(&encode_reply(70, get_more.request_id, true, &next(&halves(), 11)));
    let Ok(Some(Item::Event(event))) = rig.session.next_item(rig.now) else { panic!("an event") };
    let want = doc! {
        "_id": token(11), "operationType": "update", "fullDocument": { "a": 1 }, "n": 11,
    };
    assert_eq!(event.as_bytes(), want.to_vec().unwrap());
    assert_eq!(rig.position(), token(11));
}

#[test]
fn an_event_cut_off_at_any_byte_comes_again_whole_and_once() {
    let batches = [next(&[whole(9), halves()[0].clone()], 10), next(&halves()[1..], 11)];
    let bytes = |asked: &Asked| {
        let mut bytes = encode_reply(70, asked.request_id, true, &batches[0]);
        bytes.extend(encode_reply(71, 70, true, &batches[1]));
        bytes
    };
    let whole_bytes = bytes(&Asked { request_id: 1, exhaust: true, body: Document::new() }).len();
    for cut in 0..whole_bytes {
        let start = ResumePosition::After(token(8).to_vec().unwrap());
        let (mut rig, get_more) = Rig::streaming(joining(), start);
        let mut seen = rig.receive(&bytes(&get_more)[..cut]);
        assert_eq!(rig.closed(), [Seen::Interrupted(1)]);
        let aggregate = resume(&mut rig);
        let after = options(&aggregate).get_document("startAfter").unwrap().clone();
        assert_ne!(after, token(10), "the token of the first fragment, at byte {cut}");
        let left = match () {
            () if after == token(11) => vec![],
            () if after == token(9) => halves().to_vec(),
            () => [&[whole(9)], &halves()[..]].concat(),
        };
        seen.extend(rig.reply(&aggregate, false, &reply_of("firstBatch", &left, 11)));
        seen.retain(|seen| matches!(seen, Seen::Event(_)));
        assert_eq!(seen, [9, 11].map(Seen::Event), "cut at byte {cut}");
    }
}

#[test]
fn a_cursor_that_ends_inside_an_event_is_opened_again_before_it() {
    let start = ResumePosition::After(token(8).to_vec().unwrap());
    let (mut rig, get_more) = Rig::streaming(joining(), start);
    let mut body = next(&[whole(9), halves()[0].clone()], 10);
    body.get_document_mut("cursor").unwrap().insert("id", 0_i64);
    assert_eq!(rig.reply(&get_more, false, &body), [Seen::Event(9), Seen::BatchEnd]);
    let aggregate = rig.expect("aggregate");
    assert_eq!(options(&aggregate), doc! { "startAfter": token(9) });
    let seen = rig.reply(&aggregate, false, &reply_of("firstBatch", &halves(), 11));
    assert_eq!(seen, [Seen::Opened, Seen::Event(11), Seen::BatchEnd]);
}

#[test]
fn fragments_that_are_passed_on_leave_the_position_before_their_event() {
    let (mut rig, get_more) = Rig::streaming(passing_on(), ResumePosition::Now);
    let [first, mut second] = halves();
    second.insert("n", 12);
    let seen = rig.reply(&get_more, true, &next(&[whole(9), first.clone()], 10));
    assert_eq!(seen, [Seen::Event(9), Seen::Event(11), Seen::BatchEnd], "one by one");
    assert_eq!(rig.position(), token(9));
    assert_eq!(rig.closed(), [Seen::Interrupted(1)]);
    let aggregate = resume(&mut rig);
    assert_eq!(options(&aggregate), doc! { "startAfter": token(9) });
    let stages = aggregate.body.get_array("pipeline").unwrap();
    assert_eq!(stages.len(), 2, "the stage stands there once");
    let seen = rig.reply(&aggregate, false, &reply_of("firstBatch", &[first, second], 11));
    assert_eq!(seen, [Seen::Opened, Seen::Event(11), Seen::Event(12), Seen::BatchEnd]);
    assert_eq!(rig.position(), token(11));
}

#[test]
fn a_position_inside_an_event_stops_a_stream_that_joins() {
    let start = ResumePosition::After(token(10).to_vec().unwrap());
    let (mut rig, get_more) = Rig::streaming(joining(), start);
    let failure = rig.refused(&get_more, &next(&halves()[1..], 11));
    let text = failure.to_string();
    assert!(text.contains("fragment 2 of 2 came first"), "{text}");
    assert!(text.contains("store an earlier offset"), "{text}");
}

#[test]
fn fragments_out_of_order_are_read_again() {
    let (mut rig, get_more) = Rig::streaming(joining(), ResumePosition::Now);
    let body = next(&[whole(9), halves()[0].clone(), whole(12)], 12);
    assert_eq!(rig.reply(&get_more, true, &body), [Seen::Event(9), Seen::Interrupted(1)]);
    assert!(
        rig.last_reason.contains("a whole event of a change stream where fragment 2 of 2 was due")
    );
    let aggregate = resume(&mut rig);
    assert_eq!(options(&aggregate), doc! { "startAfter": token(9) });
}

/// An event of 1.5 MB in three fragments, given to a session of which `bytes_max` are the budget. What became of it,
/// and the budget's bytes while the first two fragments were kept.
fn large_event(bytes_max: usize) -> (Result<Vec<Seen>, SessionError>, MemoryBudget, usize) {
    let memory = MemoryBudget::new(bytes_max);
    let config = SessionConfig { memory: memory.clone(), ..joining() };
    let (mut rig, get_more) = Rig::streaming(config, ResumePosition::Now);
    let large = doc! { "n": 3, "fullDocument": "x".repeat(1 << 19) };
    let parts: Vec<Document> = (1..=3).map(|n| fragment(n, n, 3, large.clone())).collect();
    let (mut seen, mut lent_bytes) = (Vec::new(), 0);
    for part in encode_reply(70, get_more.request_id, true, &next(&parts, 3)).chunks(64 * 1024) {
        rig.give(part);
        lent_bytes = lent_bytes.max(memory.lent_bytes());
        loop {
            match rig.session.next_item(rig.now) {
                Ok(Some(Item::Event(_))) => seen.push(Seen::Event(3)),
                Ok(Some(Item::BatchEnd)) => seen.push(Seen::BatchEnd),
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break,
                Err(failure) => {
                    rig.session.release_memory();
                    assert_eq!(memory.lent_bytes(), 0);
                    return (Err(failure), memory, lent_bytes);
                }
            }
        }
    }
    rig.session.release_memory();
    (Ok(seen), memory, lent_bytes)
}

#[test]
fn the_memory_of_an_event_is_lent_while_it_is_put_together() {
    let (seen, memory, lent_bytes) = large_event(8 << 20);
    assert_eq!(seen, Ok(vec![Seen::Event(3), Seen::BatchEnd]));
    assert!((3 << 19..4 << 20).contains(&lent_bytes), "{lent_bytes}");
    assert_eq!(memory.lent_bytes(), 0, "it comes back");
}

#[test]
fn an_event_beyond_the_budget_stops_the_stream_and_says_how_large_it_is() {
    let (seen, _, _) = large_event(1 << 20);
    let text = seen.expect_err("more than there may be").to_string();
    assert!(text.contains("has 10") && text.contains("memory.bytes.max is 1048576"), "{text}");
}

#[test]
fn a_server_that_cannot_split_says_which_version_can() {
    let mut rig = Rig::new(joining(), ResumePosition::Now);
    rig.connect("a:1");
    rig.greet(&primary());
    let aggregate = rig.expect("aggregate");
    let mut body = error(40324);
    body.insert("errmsg", "Unrecognized pipeline stage name: '$changeStreamSplitLargeEvent'");
    let failure = rig.refused(&aggregate, &body);
    assert!(failure.to_string().contains("needs MongoDB 6.0.9"), "{failure}");
}
