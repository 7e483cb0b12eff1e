//! Sessions against a scripted server: each test reads like the transcript of a conversation.

use std::time::{Duration, Instant};

use bson::{Document, doc};

use super::*;
use crate::mongo::bson::RawValue;
use crate::mongo::message::tests::encode_reply;
use crate::mongo::watch::{Scope, tests::spec};

mod faults;
mod fragments;
mod lost_position;
mod opening;
mod streaming;

/// What a session gave.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Opened,
    Event(i32),
    BatchEnd,
    Interrupted(u32),
}

/// A command that a session sent.
#[derive(Debug)]
struct Asked {
    request_id: i32,
    exhaust: bool,
    body: Document,
}

/// A session, its driver and the clock.
struct Rig {
    session: Session,
    ids: LinkIds,
    now: Instant,
    link: Option<LinkId>,
    asked: VecDeque<Asked>,
    /// How replies are cut on their way.
    cut: usize,
    last_reason: String,
}

pub(in crate::mongo) fn config() -> SessionConfig {
    SessionConfig {
        seeds: vec![Address::new("a", 1), Address::new("b", 2)],
        replica_set: None,
        login: None,
        app_name: "test".to_owned(),
        server_api: None,
        watch: spec(Scope::Database("d".to_owned())),
        server_selection_timeout: Duration::from_secs(30),
        read_ahead_bytes_max: 1 << 20,
        memory: MemoryBudget::unbounded(),
    }
}

fn primary() -> Document {
    doc! {
        "isWritablePrimary": true, "setName": "rs0", "hosts": ["a:1", "b:2"], "primary": "a:1",
        "maxWireVersion": 17, "ok": 1.0,
    }
}

fn secondary(primary: Option<&str>) -> Document {
    let mut hello = doc! {
        "isWritablePrimary": false, "secondary": true, "setName": "rs0",
        "hosts": ["a:1", "b:2", "c:3"],
        "maxWireVersion": 17, "ok": 1.0,
    };
    if let Some(primary) = primary {
        hello.insert("primary", primary);
    }
    hello
}

fn token(n: i32) -> Document {
    doc! { "_data": format!("82{n:08X}") }
}

fn batch(name: &str, events: impl IntoIterator<Item = i32>, id: i64, post_batch: i32) -> Document {
    let events: Vec<bson::Bson> =
        events.into_iter().map(|n| doc! { "_id": token(n), "n": n }.into()).collect();
    let cursor =
        doc! { name: events, "postBatchResumeToken": token(post_batch), "id": id, "ns": "d.c" };
    doc! { "cursor": cursor, "ok": 1.0 }
}

fn error(code: i32) -> Document {
    doc! { "ok": 0.0, "errmsg": "no", "code": code, "codeName": "Name" }
}

impl Rig {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new(config: SessionConfig, start: ResumePosition) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(config, start, now),
            ids: LinkIds::default(),
            now,
            link: None,
            asked: VecDeque::new(),
            cut: usize::MAX,
            last_reason: String::new(),
        }
    }

    /// A session that streams from "a" with cursor 9, asked with the request that is returned.
    fn streaming(config: SessionConfig, start: ResumePosition) -> (Self, Asked) {
        let mut rig = Self::new(config, start);
        rig.connect("a:1");
        rig.greet(&primary());
        let aggregate = rig.expect("aggregate");
        assert_eq!(
            rig.reply(&aggregate, false, &batch("firstBatch", [], 9, 100)),
            [Seen::Opened, Seen::BatchEnd]
        );
        let asked = rig.expect("getMore");
        (rig, asked)
    }

    /// Carries out what the session wants; the address it connects to.
    fn drain(&mut self) -> Option<String> {
        let mut connect = None;
        while let Some(command) = self.session.poll(&mut self.ids, self.now) {
            match command {
                LinkCommand::Connect { link, address, .. } => {
                    assert_eq!(self.link.replace(link), None, "one link at a time");
                    connect = Some(address.to_string());
                }
                LinkCommand::Send { link, segments } => {
                    assert_eq!(Some(link), self.link);
                    self.asked.extend(segments.iter().map(|message| read_command(message)));
                }
                LinkCommand::Close { link } => {
                    assert_eq!(self.link.take(), Some(link));
                    self.asked.clear();
                }
            }
        }
        connect
    }

    fn connect(&mut self, address: &str) {
        assert_eq!(self.drain().as_deref(), Some(address));
        let link = self.link.expect("a link");
        self.session.handle_connected(link, [7; 24], self.now).unwrap();
        self.drain();
    }

    fn greet(&mut self, hello: &Document) {
        let asked = self.expect("hello");
        assert_eq!(self.reply(&asked, false, hello), []);
    }

    fn expect(&mut self, command: &str) -> Asked {
        assert_eq!(self.drain(), None);
        let asked = self.asked.pop_front().unwrap_or_else(|| panic!("{command} is expected"));
        assert_eq!(asked.body.keys().next().map(String::as_str), Some(command));
        asked
    }

    fn expect_nothing(&mut self) {
        assert_eq!(self.drain(), None);
        assert!(self.asked.is_empty(), "{:?}", self.asked);
    }

    /// A reply with the next id behind the request's.
    fn reply(&mut self, asked: &Asked, more_to_come: bool, body: &Document) -> Vec<Seen> {
        let message = encode_reply(asked.request_id + 1_000, asked.request_id, more_to_come, body);
        self.receive(&message)
    }

    fn receive(&mut self, message: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        for part in message.chunks(self.cut) {
            self.give(part);
            seen.extend(self.items());
        }
        seen
    }

    fn give(&mut self, part: &[u8]) {
        let inbox = self.session.inbox(self.link.expect("a link")).expect("its inbox");
        let mut space = inbox.take_space().expect("room");
        space.bytes[space.filled..space.filled + part.len()].copy_from_slice(part);
        inbox.give_back(space, part.len());
    }

    fn items(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(item) = self.session.next_item(self.now).expect("no failure") {
            seen.push(match item {
                Item::Opened => Seen::Opened,
                Item::Event(event) => match event.get(b"n") {
                    Ok(Some(RawValue::Int32(n))) => Seen::Event(n),
                    other => panic!("{other:?}"),
                },
                Item::BatchEnd => Seen::BatchEnd,
                Item::Interrupted { reason, attempt } => {
                    self.last_reason = reason;
                    Seen::Interrupted(attempt)
                }
            });
        }
        seen
    }

    /// The failure that a reply leads to, and again on every later call.
    fn refused(&mut self, asked: &Asked, body: &Document) -> SessionError {
        self.give(&encode_reply(1, asked.request_id, false, body));
        let error = loop {
            match self.session.next_item(self.now) {
                Ok(Some(_)) => {}
                Ok(None) => self.refuse_to_measure(),
                Err(error) => break error,
            }
        };
        assert_eq!(self.session.next_item(self.now), Err(error.clone()));
        assert_eq!(error.recovery(), Recovery::Stop);
        assert_eq!(self.drain(), None);
        assert_eq!(self.link, None, "the connection is given up");
        error
    }

    /// Whoever has lost his position asks how far the oplog reaches back.
    fn refuse_to_measure(&mut self) {
        let find = self.expect("find");
        self.give(&encode_reply(2, find.request_id, false, &error(13)));
    }

    fn closed(&mut self) -> Vec<Seen> {
        let link = self.link.take().expect("a link");
        self.asked.clear();
        self.session.handle_closed(link, "reset", self.now).expect("no failure");
        self.items()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now).expect("no failure");
    }

    fn position(&self) -> Document {
        Document::from_reader(self.session.token().expect("a token")).expect("a document")
    }
}

fn read_command(message: &[u8]) -> Asked {
    let field = |at: usize| i32::from_le_bytes(message[at..at + 4].try_into().unwrap());
    assert_eq!(usize::try_from(field(0)).unwrap(), message.len());
    let body = Document::from_reader(&message[21..]).expect("valid BSON");
    Asked { request_id: field(4), exhaust: field(16) == 1 << 16, body }
}

/// The options of `$changeStream` in an `aggregate`.
fn options(asked: &Asked) -> Document {
    let stage = asked.body.get_array("pipeline").unwrap()[0].as_document().unwrap();
    stage.get_document("$changeStream").unwrap().clone()
}
