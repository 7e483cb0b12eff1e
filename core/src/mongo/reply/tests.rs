//! Replies made by an independent encoder, received in every cut.

use bson::{Bson, Document, Timestamp, doc};
use proptest::prelude::*;

use super::*;
use crate::mongo::message::tests::encode_reply;

/// All that a reader gives, in order.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Begin(i32),
    Event(Document),
    End { id: i64, token: Vec<u8>, ok: bool, code: i32, time: Option<(u32, u32)>, events: u64 },
}

fn receive(inbox: &mut Inbox, data: &[u8]) {
    let mut space = inbox.take_space().expect("room to read");
    space.bytes[space.filled..space.filled + data.len()].copy_from_slice(data);
    inbox.give_back(space, data.len());
}

fn drain(reader: &mut ReplyReader, inbox: &mut Inbox) -> Result<Vec<Given>, ReplyError> {
    let mut given = Vec::new();
    loop {
        match reader.advance(inbox)? {
            Progress::Wait => return Ok(given),
            Progress::Begin(header) => given.push(Given::Begin(header.request_id)),
            Progress::Event => {
                let event = reader.event(inbox).map_err(ReplyError::Bson)?;
                given.push(Given::Event(
                    Document::from_reader(event.as_bytes()).unwrap_or_default(),
                ));
            }
            Progress::End(_) => {
                let reply = reader.reply();
                given.push(Given::End {
                    id: reply.cursor_id,
                    token: reply.post_batch_token.clone(),
                    ok: reply.ok,
                    code: reply.error.code,
                    time: reply.operation_time,
                    events: reply.events,
                });
            }
        }
    }
}

fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Given>, ReplyError> {
    let (mut reader, mut inbox) = (ReplyReader::default(), Inbox::new(1 << 20, usize::MAX));
    let mut given = Vec::new();
    for part in parts {
        receive(&mut inbox, part);
        given.extend(drain(&mut reader, &mut inbox)?);
    }
    Ok(given)
}

fn batch_reply(events: &[Document], name: &str) -> Document {
    let events: Vec<Bson> = events.iter().cloned().map(Bson::Document).collect();
    doc! {
        "cursor": {
            "partialResultsReturned": false,
            name: events,
            "postBatchResumeToken": { "_data": "82ff" },
            "id": 77_i64,
            "ns": "d.c",
        },
        "ok": 1.0,
        "$clusterTime": { "odd": [Bson::Undefined, { "a": 1 }] },
        "operationTime": Timestamp { time: 5, increment: 1 },
        "regex": bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() },
    }
}

fn events(count: i32) -> Vec<Document> {
    (0..count)
        .map(|n| doc! { "_id": { "_data": n.to_string() }, "text": "x".repeat(n as usize) })
        .collect()
}

fn two_replies() -> (Vec<u8>, Vec<Given>) {
    let mut bytes = encode_reply(10, 1, true, &batch_reply(&events(12), "nextBatch"));
    bytes.extend(encode_reply(11, 10, false, &batch_reply(&[], "firstBatch")));
    let token = doc! { "_data": "82ff" }.to_vec().unwrap();
    let end = |events| {
        let (token, time) = (token.clone(), Some((5, 1)));
        Given::End { id: 77, token, ok: true, code: 0, time, events }
    };
    let mut want = vec![Given::Begin(10)];
    want.extend(events(12).into_iter().map(Given::Event));
    want.extend([end(12), Given::Begin(11), end(0)]);
    (bytes, want)
}

#[test]
fn replies_cut_at_any_byte_give_the_same_events() {
    let (bytes, want) = two_replies();
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(read([left, right]).unwrap(), want, "cut at byte {cut}");
    }
    assert_eq!(read(bytes.chunks(1)).unwrap(), want, "byte by byte");
}

#[test]
fn an_event_is_given_as_soon_as_it_is_whole() {
    let (bytes, _) = two_replies();
    let event = events(1).remove(0).to_vec().unwrap();
    let end = bytes.windows(event.len()).position(|part| part == event).unwrap() + event.len();
    let given = read([&bytes[..end]]).unwrap();
    assert_eq!(given.len(), 2, "the beginning and the event");
    assert_eq!(read([&bytes[..end - 1]]).unwrap().len(), 1);
}

#[test]
fn an_event_larger_than_every_segment_is_given_whole() {
    let large = doc! { "_id": { "_data": "1" }, "text": "y".repeat(3 << 20) };
    let bytes = encode_reply(1, 1, false, &batch_reply(std::slice::from_ref(&large), "nextBatch"));
    let given = read(bytes.chunks(100_000)).unwrap();
    assert_eq!(given[1], Given::Event(large));
    assert!(matches!(given[2], Given::End { events: 1, .. }));
}

#[test]
fn an_error_reply_is_collected() {
    let body = doc! {
        "ok": 0.0, "errmsg": "gone", "code": 286, "codeName": "ChangeStreamHistoryLost",
        "errorLabels": ["NonResumableChangeStreamError"],
    };
    let bytes = encode_reply(1, 1, false, &body);
    let (mut reader, mut inbox) = (ReplyReader::default(), Inbox::new(1 << 20, usize::MAX));
    receive(&mut inbox, &bytes);
    drain(&mut reader, &mut inbox).unwrap();
    let error = &reader.reply().error;
    assert_eq!((error.code, error.message.as_str()), (286, "gone"));
    assert!(error.labelled_non_resumable && !error.labelled_resumable && !reader.reply().ok);
}

#[test]
fn a_checksum_is_skipped() {
    let (mut bytes, want) = two_replies();
    let first = usize::try_from(u32::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    bytes.splice(first..first, [1, 2, 3, 4]);
    let length = u32::try_from(first + 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[16] |= 1;
    assert_eq!(read([bytes.as_slice()]).unwrap(), want);
    assert_eq!(read(bytes.chunks(7)).unwrap(), want);
}

#[test]
fn a_whole_reply_is_given_without_being_taken() {
    let (bytes, want) = two_replies();
    for cut in 0..bytes.len() {
        let mut inbox = Inbox::new(1 << 20, usize::MAX);
        receive(&mut inbox, &bytes[..cut]);
        let first = usize::try_from(u32::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
        let whole = ReplyReader::whole(&mut inbox, first).unwrap().map(|(header, _)| header);
        assert_eq!(whole.is_some(), first <= cut, "cut {cut}");
        receive(&mut inbox, &bytes[cut..]);
        let (header, body) = ReplyReader::whole(&mut inbox, first).unwrap().unwrap();
        let (reply, batch_is_empty) = Reply::peek(body).unwrap();
        assert_eq!((reply.cursor_id, reply.ok, header.request_id), (77, true, 10));
        assert!(batch_is_empty, "a nextBatch is no firstBatch");
        assert_eq!(drain(&mut ReplyReader::default(), &mut inbox).unwrap(), want);
    }
    let mut inbox = Inbox::new(1 << 20, usize::MAX);
    receive(&mut inbox, &bytes[..4]);
    let refused = ReplyReader::whole(&mut inbox, 100);
    assert!(matches!(refused, Err(ReplyError::TooLarge { bytes_max: 100, .. })));
}

#[test]
fn a_batch_of_anything_but_documents_is_refused() {
    let body = doc! { "cursor": { "nextBatch": [1], "id": 1_i64 }, "ok": 1.0 };
    let bytes = encode_reply(1, 1, false, &body);
    assert_eq!(read([bytes.as_slice()]), Err(ReplyError::NoDocument { kind: 0x10 }));
}

#[test]
fn a_reply_with_a_second_section_is_refused() {
    let mut bytes = encode_reply(1, 1, false, &doc! { "ok": 1.0 });
    bytes.extend([0; 8]);
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    assert!(matches!(read([bytes.as_slice()]), Err(ReplyError::Bson(BsonError::Frame { .. }))));
}

proptest! {
    #[test]
    fn no_altered_bytes_make_the_reader_panic_or_run_over(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        chunk in 1_usize..600,
    ) {
        let (mut bytes, _) = two_replies();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = read([bytes.as_slice()]);
        let parts = read(bytes.chunks(chunk));
        // Where the reader stops depends on the bytes alone, not on how they were cut.
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            prop_assert_eq!(whole, parts);
        }
    }
}
