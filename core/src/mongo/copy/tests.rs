//! Copies from a scripted server that holds collections, whole and with every connection cut at any moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bson::{Document, doc};
use proptest::prelude::*;

use super::*;
use crate::java_pattern::JavaPattern;
use crate::link::Address;
use crate::memory::MemoryBudget;
use crate::mongo::message::tests::encode_reply;
use crate::mongo::server_api::ServerApi;
use crate::mongo::watch::tests::spec;

/// Documents in a batch of the server.
const BATCH: usize = 3;
const TOKEN: &str = "8200000001";

/// A primary with collections of one database, whose documents have numbers for ids.
#[derive(Debug, Default)]
struct Server {
    collections: BTreeMap<String, Vec<i32>>,
    /// What `$collStats` says that a document has. Bytes.
    document_bytes: i64,
    cursors: BTreeMap<i64, VecDeque<Document>>,
    last_cursor: i64,
    last_reply: i32,
    /// Every command but `getMore`, as it was asked.
    asked: Vec<Document>,
    /// The `getMore`s.
    asked_on: Vec<Document>,
    /// The command that is refused, and by which code.
    refuses: Option<(&'static str, i32)>,
    /// The database that `listDatabases` names, beside the server's own.
    database: String,
}

impl Server {
    fn new(collections: &[(&str, i32)], document_bytes: i64) -> Self {
        let collections =
            collections.iter().map(|(name, count)| ((*name).to_owned(), (0..*count).collect()));
        Self {
            collections: collections.collect(),
            document_bytes,
            database: "d".to_owned(),
            ..Self::default()
        }
    }

    /// What it sends for one message.
    fn answer(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let request = i32::from_le_bytes(message[4..8].try_into().unwrap());
        let exhaust = message[18] & 1 != 0;
        let body = Document::from_reader(&message[21..]).unwrap();
        let name = body.keys().next().unwrap().clone();
        if name == "getMore" {
            self.asked_on.push(body.clone());
            return self.batches(request, exhaust, body.get_i64("getMore").unwrap());
        }
        self.asked.push(body.clone());
        if let Some((refused, code)) = self.refuses
            && body.to_string().contains(refused)
        {
            let error = doc! { "ok": 0.0, "code": code, "errmsg": "no" };
            return vec![encode_reply(self.next_reply(), request, false, &error)];
        }
        let reply = match name.as_str() {
            "hello" | "isMaster" => doc! {
                "isWritablePrimary": true, "setName": "rs0", "hosts": ["a:1"], "primary": "a:1",
                "maxWireVersion": 17, "ok": 1.0,
            },
            "killCursors" => doc! { "ok": 1.0 },
            "listDatabases" => doc! {
                "databases": [{ "name": "admin" }, { "name": &self.database }, { "name": "local" }], "ok": 1.0,
            },
            "listCollections" => {
                let wanted = body.get_document("filter").unwrap().get_str("name");
                let is_listed =
                    |name: &&String| wanted.as_ref().map_or(true, |wanted| wanted == name);
                let names = self.collections.keys().filter(is_listed);
                let mut items: VecDeque<_> =
                    names.map(|name| doc! { "name": name, "type": "collection" }).collect();
                items.push_back(doc! { "name": "system.views", "type": "collection" });
                self.first_batch(items)
            }
            "find" => {
                let documents = self.found(&body);
                self.first_batch(documents)
            }
            "aggregate" => self.aggregate(&body),
            other => panic!("the script has no answer to {other}"),
        };
        vec![encode_reply(self.next_reply(), request, false, &reply)]
    }

    fn aggregate(&mut self, body: &Document) -> Document {
        let stages = body.get_array("pipeline").unwrap();
        let stage = stages[0].as_document().unwrap();
        if stage.contains_key("$changeStream") {
            return doc! {
                "cursor": { "firstBatch": [], "id": 77_i64, "ns": "d.c",
                    "postBatchResumeToken": { "_data": TOKEN } },
                "ok": 1.0,
            };
        }
        let documents = self.collections[body.get_str("aggregate").unwrap()].clone();
        let count = documents.len() as i64;
        let items = if stage.contains_key("$collStats") {
            let size = count * self.document_bytes;
            VecDeque::from([doc! { "count": count, "size": size, "plain": true }])
        } else if let Ok(sample) = stage.get_document("$sample") {
            let wanted = sample.get_i64("size").unwrap() as usize;
            let step = (documents.len() / wanted).max(1);
            documents.iter().step_by(step).map(|id| doc! { "_id": *id }).collect()
        } else {
            // With a pipeline the server makes the event.
            let event = |id: &i32| doc! { "_id": { "_id": *id }, "__": { "db": "d" } };
            documents.iter().map(event).collect()
        };
        self.first_batch(items)
    }

    fn found(&self, find: &Document) -> VecDeque<Document> {
        let bound = |name: &str| find.get_document(name).ok().map(|b| b.get_i32("_id").unwrap());
        let ids = self.collections.get(find.get_str("find").unwrap()).into_iter().flatten();
        ids.filter(|id| bound("min").is_none_or(|min| min <= **id))
            .filter(|id| bound("max").is_none_or(|max| **id < max))
            .map(|id| doc! { "_id": *id, "text": "x" })
            .collect()
    }

    fn first_batch(&mut self, mut items: VecDeque<Document>) -> Document {
        let batch: Vec<_> = items.drain(..BATCH.min(items.len())).map(bson::Bson::from).collect();
        let mut id = 0;
        if !items.is_empty() {
            self.last_cursor += 1;
            id = self.last_cursor;
            self.cursors.insert(id, items);
        }
        doc! { "cursor": { "firstBatch": batch, "id": id, "ns": "d.c" }, "ok": 1.0 }
    }

    fn batches(&mut self, request: i32, exhaust: bool, id: i64) -> Vec<Vec<u8>> {
        let (mut replies, mut answers) = (Vec::new(), request);
        loop {
            let Some(items) = self.cursors.get_mut(&id) else {
                let error = doc! { "ok": 0.0, "code": 43, "errmsg": "no cursor" };
                replies.push(encode_reply(self.next_reply(), answers, false, &error));
                return replies;
            };
            let batch: Vec<_> =
                items.drain(..BATCH.min(items.len())).map(bson::Bson::from).collect();
            let is_last = items.is_empty();
            let left = if is_last { 0 } else { id };
            let cursor = doc! { "nextBatch": batch, "id": left, "ns": "d.c" };
            let more = exhaust && !is_last;
            let reply = self.next_reply();
            replies.push(encode_reply(reply, answers, more, &doc! { "cursor": cursor, "ok": 1.0 }));
            if is_last {
                self.cursors.remove(&id);
            }
            if !more {
                return replies;
            }
            answers = reply;
        }
    }

    fn next_reply(&mut self) -> i32 {
        self.last_reply += 1;
        self.last_reply
    }

    fn commands(&self) -> Vec<&str> {
        self.asked.iter().map(|body| body.keys().next().unwrap().as_str()).collect()
    }
}

/// A copy, its driver, its server and the clock.
struct Rig {
    copier: Copier,
    ids: LinkIds,
    now: Instant,
    server: Server,
    /// What is on its way to each open link.
    links: BTreeMap<LinkId, VecDeque<u8>>,
    copied: Vec<(String, i32)>,
    interruptions: u32,
}

fn config(scope: Scope) -> SessionConfig {
    SessionConfig {
        seeds: vec![Address::new("a", 1)],
        replica_set: None,
        login: None,
        app_name: "test".to_owned(),
        watch: spec(scope),
        server_selection_timeout: Duration::from_secs(30),
        server_api: None,
        read_ahead_bytes_max: 1 << 20,
        memory: MemoryBudget::unbounded(),
    }
}

fn threads(threads_max: usize) -> CopySpec {
    CopySpec { threads_max, allow_disk_use: true, ..CopySpec::default() }
}

fn database() -> Scope {
    Scope::Database("d".to_owned())
}

impl Rig {
    fn new(server: Server, spec: CopySpec) -> Self {
        Self::of(config(database()), server, spec)
    }

    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn of(config: SessionConfig, server: Server, spec: CopySpec) -> Self {
        let now = Instant::now();
        Self {
            copier: Copier::new(config, spec, None, now),
            ids: LinkIds::default(),
            now,
            server,
            links: BTreeMap::new(),
            copied: Vec::new(),
            interruptions: 0,
        }
    }

    /// Throws the copy away and begins another from its position, which goes through bytes.
    fn restart(&mut self, config: SessionConfig, spec: CopySpec) {
        let Some(position) = self.copier.position().map(<[u8]>::to_vec) else { return };
        let position = CopyPosition::read(&position).unwrap();
        self.links.clear();
        self.copier = Copier::new(config, spec, Some(position), self.now);
    }

    /// Does one thing. `false`: all is copied.
    fn step(&mut self, bytes: usize) -> Result<bool, SessionError> {
        match self.copier.advance(self.now)? {
            Progress::Event => {
                let event = Document::from_reader(self.copier.event().unwrap().as_bytes()).unwrap();
                let id = event.get_document("_id").unwrap().get_i32("_id").unwrap();
                let ns = event.get_document("ns").unwrap();
                self.copied.push((ns.get_str("coll").unwrap_or("").to_owned(), id));
            }
            Progress::Opened => {}
            Progress::Interrupted { .. } => self.interruptions += 1,
            Progress::Ended => return Ok(false),
            Progress::Wait => self.deliver(bytes)?,
        }
        Ok(true)
    }

    /// Carries out what is wanted and brings each link up to `bytes`; lets time pass if there is neither.
    fn deliver(&mut self, bytes: usize) -> Result<(), SessionError> {
        let mut idle = true;
        while let Some(command) = self.copier.poll(&mut self.ids, self.now) {
            idle = false;
            match command {
                LinkCommand::Connect { link, .. } => {
                    self.links.insert(link, VecDeque::new());
                    self.copier.handle_connected(link, [7; 24], self.now);
                }
                LinkCommand::Send { link, segments } => {
                    for message in segments {
                        let replies = self.server.answer(&message).concat();
                        self.links.get_mut(&link).expect("an open link").extend(replies);
                    }
                }
                LinkCommand::Close { link } => {
                    self.links.remove(&link);
                }
            }
        }
        for (link, arriving) in &mut self.links {
            let Some(inbox) = self.copier.inbox(*link) else { continue };
            let part: Vec<u8> = arriving.drain(..bytes.min(arriving.len())).collect();
            if part.is_empty() {
                continue;
            }
            idle = false;
            let mut space = inbox.take_space().expect("room");
            space.bytes[space.filled..space.filled + part.len()].copy_from_slice(&part);
            inbox.give_back(space, part.len());
        }
        if idle {
            self.now = self.copier.deadline().expect("something to wait for").max(self.now);
            self.copier.handle_timeout(self.now)?;
        }
        Ok(())
    }

    fn cut(&mut self, which: usize) {
        let links: Vec<_> = self.links.keys().copied().collect();
        if let Some(link) = links.get(which % links.len().max(1)) {
            self.links.remove(link);
            self.copier.handle_closed(*link, "cut by the test", self.now).unwrap();
        }
    }

    fn run(&mut self) {
        while self.step(64 * 1024).unwrap() {}
    }

    fn everything(&self) -> Vec<(String, i32)> {
        let collections = self.server.collections.iter();
        collections.flat_map(|(name, ids)| ids.iter().map(|id| (name.clone(), *id))).collect()
    }
}

#[test]
fn every_document_of_every_collection_is_copied_once_and_the_stream_goes_on_where_it_was() {
    for threads_max in [1, 2, 9] {
        let server = Server::new(&[("a", 20), ("b", 0), ("c", 7)], 1);
        let mut rig = Rig::new(server, threads(threads_max));
        rig.run();
        let want = rig.everything();
        rig.copied.sort();
        assert_eq!(rig.copied, want);
        let token = doc! { "_data": TOKEN }.to_vec().unwrap();
        assert_eq!(rig.copier.stream(), token);
        assert_eq!(rig.interruptions, 0);
        let closed: Vec<_> = rig.copier.close().collect();
        assert_eq!(closed.len(), rig.links.len());
        assert!(rig.links.len() <= threads_max.max(1), "{} links", rig.links.len());
    }
}

#[test]
fn the_place_of_the_stream_is_taken_before_anything_is_listed_or_read() {
    let mut rig = Rig::new(Server::new(&[("a", 1)], 1), threads(1));
    rig.run();
    let names = rig.server.commands();
    let want = ["hello", "aggregate", "killCursors", "listCollections", "aggregate", "find"];
    assert_eq!(names, want);
    let opening = rig.server.asked[1].get_array("pipeline").unwrap()[0].as_document().unwrap();
    assert!(opening.contains_key("$changeStream"));
    assert_eq!(rig.server.asked[2].get_array("cursors").unwrap(), &[77_i64.into()]);
}

#[test]
fn a_deployment_is_copied_without_the_servers_own_databases() {
    let mut rig = Rig::of(config(Scope::Deployment), Server::new(&[("a", 5)], 1), threads(1));
    rig.run();
    assert_eq!(rig.copied.len(), 5);
    let listed: Vec<_> =
        rig.server.asked.iter().filter(|body| body.contains_key("listCollections")).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].get_str("$db").unwrap(), "d");
}

#[test]
fn every_command_of_a_copy_asks_for_the_stable_api() {
    let server_api = Some(ServerApi { strict: false, deprecation_errors: true });
    let config = SessionConfig { server_api, ..config(database()) };
    let mut rig = Rig::of(config, Server::new(&[("a", 2_000)], 64 << 10), threads(2));
    rig.run();
    let server = &rig.server;
    assert!(!server.asked_on.is_empty());
    for body in server.asked.iter().chain(&server.asked_on) {
        assert_eq!(body.get_str("apiVersion").ok(), Some("1"), "{body}");
        assert_eq!(body.get_bool("apiDeprecationErrors").ok(), Some(true), "{body}");
    }
}

#[test]
fn a_large_collection_is_read_in_ranges_that_meet() {
    let mut rig = Rig::new(Server::new(&[("a", 2_000)], 64 << 10), threads(3));
    rig.run();
    let finds: Vec<_> = rig.server.asked.iter().filter(|body| body.contains_key("find")).collect();
    assert_eq!(finds.len(), 7, "125 MiB by 16");
    for find in finds {
        assert_eq!(find.get_document("hint").unwrap(), &doc! { "_id": 1 });
        assert_eq!(find.get_document("sort").unwrap(), &doc! { "_id": 1 });
        assert!(find.contains_key("min") || find.contains_key("max"));
    }
    let want = rig.everything();
    rig.copied.sort();
    assert_eq!(rig.copied, want);
}

#[test]
fn with_a_pipeline_the_server_makes_the_event_and_no_collection_is_cut() {
    let mut config = config(database());
    config.watch.pipeline = vec![doc! { "$match": { "a": 1 } }.to_vec().unwrap()];
    let spec = CopySpec { pipeline: vec![doc! { "$limit": 5 }.to_vec().unwrap()], ..threads(2) };
    let mut rig = Rig::of(config, Server::new(&[("a", 2_000)], 64 << 10), spec);
    rig.run();
    assert_eq!(rig.copied.len(), 2_000);
    let read = rig.server.asked.last().unwrap();
    let literal = |text: &str| doc! { "$literal": text };
    let event = doc! {
        "_id": { "_id": "$_id", "copyingData": true },
        "operationType": "insert",
        "ns": { "db": literal("d"), "coll": literal("a") },
        "documentKey": { "_id": "$_id" },
        "fullDocument": "$$ROOT",
    };
    let want: bson::Bson = vec![
        doc! { "$limit": 5 },
        doc! { "$replaceRoot": { "newRoot": event } },
        doc! { "$match": { "a": 1 } },
        doc! { "$addFields": { "__": "$ns" } },
        doc! { "$project": { "ns": 0 } },
    ]
    .into();
    assert_eq!(read.get("pipeline"), Some(&want));
    assert!(read.get_bool("allowDiskUse").unwrap());
}

fn chosen(pattern: &str) -> CopySpec {
    CopySpec { namespace_regex: Some(JavaPattern::of_part(pattern).unwrap()), ..threads(1) }
}

#[test]
fn a_pattern_chooses_among_the_collections_that_are_listed() {
    let collections = [("ax", 1), ("bx", 2), ("c", 3)];
    for (pattern, documents) in [("x$", 3), (r"d\.(?!a)", 5), (r"^\.", 0), ("(?<=d.)a|c", 4)] {
        let mut rig = Rig::new(Server::new(&collections, 1), chosen(pattern));
        rig.run();
        assert_eq!(rig.copied.len(), documents, "{pattern}");
    }
    let scope = Scope::Collection { database: "d".to_owned(), collection: "ax".to_owned() };
    let mut rig = Rig::of(config(scope), Server::new(&collections, 1), chosen("b"));
    rig.run();
    assert!(rig.copied.is_empty());
    let list = rig.server.asked.iter().find(|body| body.contains_key("listCollections")).unwrap();
    assert_eq!(list.get_document("filter").unwrap(), &doc! { "name": "ax" });
}

#[test]
fn a_pattern_that_takes_too_long_stops_the_copy() {
    let name = "a".repeat(60);
    let mut rig = Rig::new(Server::new(&[(&name, 1)], 1), chosen(r"(?:(?=a)(?:a|aa)+)+b"));
    let error = loop {
        match rig.step(1 << 20) {
            Ok(more) => assert!(more, "a copy that ended"),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(text.contains("namespace.regex") && text.contains(&name), "{text}");
}

#[test]
fn a_collection_that_cannot_be_measured_or_drawn_from_is_read_whole() {
    for refused in ["$collStats", "$sample"] {
        for code in [13, 26, 166] {
            let mut server = Server::new(&[("a", 2_000)], 64 << 10);
            server.refuses = Some((refused, code));
            let mut rig = Rig::new(server, threads(2));
            rig.run();
            assert_eq!(rig.copied.len(), 2_000, "{refused} {code}");
        }
    }
}

#[test]
fn what_cannot_be_read_stops_the_copy_and_names_the_collection() {
    let mut server = Server::new(&[("a", 4)], 1);
    server.refuses = Some(("\"find\"", 13));
    let mut rig = Rig::new(server, threads(1));
    let error = loop {
        match rig.step(1 << 20) {
            Ok(more) => assert!(more, "a copy that ended"),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(text.contains("copying existing documents on collection 'd.a'"), "{text}");
    assert_eq!(rig.copier.advance(rig.now), Err(error));
}

#[test]
fn a_dropped_collection_has_nothing_to_copy() {
    let mut server = Server::new(&[("a", 4), ("b", 4)], 1);
    server.refuses = Some(("\"find\": \"a\"", 26));
    let mut rig = Rig::new(server, threads(1));
    rig.run();
    assert_eq!(rig.copied.len(), 4);
}

#[test]
fn a_server_that_says_nothing_is_left_and_asked_again() {
    let mut rig = Rig::new(Server::new(&[("a", 40)], 1), threads(1));
    while rig.copied.len() < 10 {
        rig.step(64).unwrap();
    }
    // What is under way never arrives.
    rig.links.values_mut().for_each(VecDeque::clear);
    rig.run();
    assert_eq!(rig.interruptions, 1);
    let want = rig.everything();
    rig.copied.sort();
    rig.copied.dedup();
    assert_eq!(rig.copied, want);
}

proptest! {
    /// Links are cut and the node is killed at any moment, and goes on from a position it may have stored.
    #[test]
    fn nothing_is_left_out_whatever_is_cut_and_whenever_it_restarts(
        faults in proptest::collection::vec((1_usize..400, 0_usize..9, any::<bool>()), 0..12),
        threads_max in 1_usize..4,
        bytes in 40_usize..3_000,
    ) {
        let server = Server::new(&[("a", 1_200), ("b", 30), ("c", 3)], 64 << 10);
        let mut rig = Rig::new(server, threads(threads_max));
        let (mut faults, mut left) = (faults.into_iter(), 0);
        let mut fault = None;
        loop {
            if left == 0 {
                match fault.take() {
                    Some((which, true)) => rig.cut(which),
                    Some((_, false)) => rig.restart(config(database()), threads(threads_max)),
                    None => {}
                }
                let next = faults.next();
                fault = next.map(|(_, which, cut)| (which, cut));
                left = next.map_or(usize::MAX, |(steps, _, _)| steps);
            }
            left -= 1;
            if !rig.step(bytes).unwrap() {
                break;
            }
        }
        let want = rig.everything();
        rig.copied.sort();
        rig.copied.dedup();
        prop_assert_eq!(&rig.copied, &want);
        let token = doc! { "_data": TOKEN }.to_vec().unwrap();
        prop_assert_eq!(rig.copier.stream(), token.as_slice());
    }
}
