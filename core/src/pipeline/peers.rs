//! A pipeline between a scripted MongoDB server and fake brokers, over byte slices, without a clock.
//!
//! The server answers the handshake, the first `aggregate` and what a copy asks, then sends what the test gives it as
//! exhaust replies. What the pipeline allocates while it works is counted; what the peers allocate is
//! not.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bson::{Document, doc};

use super::{
    KeyDocument, LostPositionPolicy, Output, Pipeline, PipelineConfig, PipelineError, Publish,
    RecordConfig,
};
use crate::allocations::count;
use crate::format::{Converter, Encoder, OutputFormat};
use crate::kafka::ClientConfig;
use crate::kafka::batch_reader::RecordBatches;
use crate::kafka::fake_broker::{FakeCluster, Fate, address};
use crate::link::{Address, LinkCommand, LinkId};
use crate::memory::MemoryBudget;
use crate::mongo::message::tests::encode_reply;
use crate::mongo::session::{ResumePosition, SessionConfig};
use crate::mongo::watch::{Scope, tests::spec};
use crate::progress::SafeToken;
use crate::route::Router;

/// Bytes that arrive in one read.
const READ_BYTES: usize = 64 * 1024;
const CURSOR: i64 = 9;

/// See the module.
pub(super) struct Peers {
    pub(super) pipeline: Pipeline,
    pub(super) cluster: FakeCluster,
    pub(super) now: Instant,
    /// Taken by the pipeline since the test last looked.
    pub(super) allocations: u64,
    pub(super) said: Vec<String>,
    /// Topics that the pipeline has said to have records.
    pub(super) written: Vec<String>,
    pub(super) is_running: bool,
    /// The position stored last.
    pub(super) stored: Option<SafeToken>,
    /// Whether the brokers' answers stay on the way until [`Peers::release`].
    pub(super) withholds: bool,
    withheld: Vec<(LinkId, Vec<u8>)>,
    /// How many streams the server refuses because the position is lost, and where its oplog begins; none: it has none.
    pub(super) refuses: u32,
    pub(super) oplog_begin: Option<u32>,
    /// The options of every `$changeStream` that was asked for.
    pub(super) streams: Vec<Document>,
    server: Option<LinkId>,
    brokers: BTreeMap<LinkId, (usize, Vec<u8>)>,
    /// What is on its way to the pipeline.
    arriving: VecDeque<(LinkId, Vec<u8>)>,
    opened: VecDeque<LinkId>,
    /// The request that the next exhaust reply answers.
    answers: i32,
    next_reply: i32,
}

/// The pipeline of the connector's defaults but for the format.
pub(super) fn config(format: OutputFormat, brokers: usize) -> PipelineConfig {
    let encoder = || {
        let converter = match format {
            OutputFormat::Bson => Converter::ByteArray,
            OutputFormat::Json(_) => Converter::String,
        };
        Encoder::new(format, converter).expect("a pair that the connector knows")
    };
    PipelineConfig {
        session: SessionConfig {
            seeds: vec![Address::new("server", 27_017)],
            replica_set: None,
            login: None,
            app_name: "test".to_owned(),
            server_api: None,
            watch: spec(Scope::Deployment),
            server_selection_timeout: Duration::from_secs(30),
            read_ahead_bytes_max: 16 << 20,
            memory: MemoryBudget::unbounded(),
        },
        start: ResumePosition::Now,
        copy: None,
        lost_position: LostPositionPolicy::Fail,
        gaps: None,
        client: ClientConfig::new((0..brokers).map(address).collect()),
        records: RecordConfig {
            key: encoder(),
            value: encoder(),
            publish: Publish::Event,
            key_document: KeyDocument::DocumentKey,
            router: Router::new("", "", "."),
            transforms: None,
        },
        create_topics: None,
        dead_letters: None,
        heartbeats: None,
        offset_topic: None,
        store_interval: Duration::from_millis(100),
    }
}

/// The batch of one exhaust reply, framed; who it answers is filled in when it is sent.
pub(super) fn reply(events: &[Document], post_batch: &Document) -> Vec<u8> {
    let events: Vec<bson::Bson> = events.iter().cloned().map(Into::into).collect();
    let cursor = doc! {
        "nextBatch": events, "postBatchResumeToken": post_batch.clone(), "id": CURSOR, "ns": "d.c",
    };
    encode_reply(0, 0, true, &doc! { "cursor": cursor, "ok": 1.0 })
}

/// The last batch of a cursor, as the answer to what was asked last.
pub(super) fn last_reply(documents: &[Document]) -> Vec<u8> {
    let documents: Vec<bson::Bson> = documents.iter().cloned().map(Into::into).collect();
    let cursor = doc! { "nextBatch": documents, "id": 0_i64, "ns": "d.c" };
    encode_reply(0, 0, false, &doc! { "cursor": cursor, "ok": 1.0 })
}

impl Peers {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    pub(super) fn new(config: PipelineConfig, cluster: FakeCluster) -> Self {
        let now = Instant::now();
        Self {
            pipeline: Pipeline::new(config, now),
            cluster,
            now,
            allocations: 0,
            said: Vec::new(),
            written: Vec::new(),
            is_running: false,
            stored: None,
            withholds: false,
            withheld: Vec::new(),
            refuses: 0,
            oplog_begin: None,
            streams: Vec::new(),
            server: None,
            brokers: BTreeMap::new(),
            arriving: VecDeque::new(),
            opened: VecDeque::new(),
            answers: 0,
            next_reply: 1_000,
        }
    }

    /// Sends a reply made by [`reply`] in the name of the server.
    pub(super) fn send_reply(&mut self, reply: &[u8]) {
        let link = self.server.expect("a server that is connected");
        let mut reply = reply.to_vec();
        reply[4..8].copy_from_slice(&self.next_reply.to_le_bytes());
        reply[8..12].copy_from_slice(&self.answers.to_le_bytes());
        self.answers = self.next_reply;
        self.next_reply += 1;
        self.arriving.push_back((link, reply));
    }

    /// The position stored last, decoded.
    pub(super) fn stored_document(&self) -> Option<Document> {
        Document::from_reader(self.stored.as_ref()?.as_bytes()).ok()
    }

    /// Lets the brokers' answers arrive, those that were withheld first.
    pub(super) fn release(&mut self) {
        self.withholds = false;
        self.arriving.extend(self.withheld.drain(..));
    }

    /// Cuts the connection to the server.
    pub(super) fn lose_server(&mut self) {
        let link = self.server.take().expect("a server that is connected");
        self.pipeline.handle_closed(link, "cut by the test", self.now).unwrap();
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pipeline.handle_timeout(self.now).unwrap();
    }

    /// Runs until nothing is left to do or to deliver.
    pub(super) fn run(&mut self) {
        self.try_run().unwrap();
    }

    /// The same, up to the first error.
    pub(super) fn try_run(&mut self) -> Result<(), PipelineError> {
        loop {
            let more = self.counted(|pipeline, now| pipeline.work(now, 1_700_000_000_000))?;
            while let Some(output) =
                self.counted(|pipeline, now| pipeline.poll(now, 1_700_000_000_000))?
            {
                self.carry_out(output);
            }
            let mut delivered = false;
            while self.deliver() {
                delivered = true;
            }
            if !more && !delivered {
                return Ok(());
            }
        }
    }

    /// Keys and values that a topic holds, as text.
    pub(super) fn records(&self, topic: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a text");
        let mut found = Vec::new();
        for batch in self.cluster.topics[topic].logs.iter().flat_map(|log| &log.batches) {
            let batch = RecordBatches::new(batch).next().unwrap().unwrap();
            let mut room = Vec::new();
            for record in batch.records(&mut room, 1 << 20).unwrap() {
                let record = record.unwrap();
                found.push((text(record.key.unwrap_or_default()), record.value.map(text)));
            }
        }
        found
    }

    fn counted<T>(&mut self, work: impl FnOnce(&mut Pipeline, Instant) -> T) -> T {
        let (result, allocations) = count(|| work(&mut self.pipeline, self.now));
        self.allocations += allocations;
        result
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Link(LinkCommand::Connect { link, address, .. }) => {
                match address.host.strip_prefix("broker-") {
                    Some(broker) => {
                        self.brokers.insert(link, (broker.parse().unwrap(), Vec::new()));
                    }
                    None => self.server = Some(link),
                }
                self.opened.push_back(link);
            }
            Output::Link(LinkCommand::Send { link, segments }) => {
                for segment in segments {
                    self.heard(link, &segment);
                }
            }
            Output::Link(LinkCommand::Close { link }) => {
                self.brokers.remove(&link);
                if self.server == Some(link) {
                    self.server = None;
                }
            }
            Output::Seal(job) => {
                let job = self.counted(|_, _| job.run());
                self.counted(|pipeline, _| pipeline.handle_sealed(job));
            }
            Output::Store(token) => {
                self.stored = Some(token);
                self.pipeline.handle_stored(Ok(())).unwrap();
            }
            Output::Running => self.is_running = true,
            Output::Written(topic) => self.written.push(topic),
            Output::Warning(text) | Output::Notice(text) => self.said.push(text),
        }
    }

    fn heard(&mut self, link: LinkId, bytes: &[u8]) {
        if self.server == Some(link) {
            self.command(link, bytes);
            return;
        }
        let Some((broker, received)) = self.brokers.get_mut(&link) else { return };
        received.extend_from_slice(bytes);
        while let Some(size) = received.first_chunk::<4>() {
            let end = 4 + u32::from_be_bytes(*size) as usize;
            let Some(request) = received.get(4..end) else { break };
            let answer = self.cluster.handle(*broker, request, || Fate::Fair);
            received.drain(..end);
            if self.withholds {
                self.withheld.push((link, answer));
            } else {
                self.arriving.push_back((link, answer));
            }
        }
    }

    fn command(&mut self, link: LinkId, message: &[u8]) {
        let asked = i32::from_le_bytes(message[4..8].try_into().unwrap());
        let body = Document::from_reader(&message[21..]).unwrap();
        let name = body.keys().next().unwrap().as_str();
        if body.to_string().contains("$changeStream") {
            let stage = body.get_array("pipeline").unwrap()[0].as_document().unwrap();
            self.streams.push(stage.get_document("$changeStream").unwrap().clone());
        }
        let answer = match name {
            "hello" | "isMaster" => doc! {
                "isWritablePrimary": true, "setName": "rs0", "hosts": ["server:27017"],
                "primary": "server:27017", "maxWireVersion": 17, "ok": 1.0,
            },
            "aggregate" if body.to_string().contains("$collStats") => doc! {
                "cursor": { "firstBatch": [{ "count": 1, "size": 1 }], "id": 0_i64 }, "ok": 1.0,
            },
            "aggregate" if self.refuses != 0 => {
                self.refuses -= 1;
                doc! {
                    "ok": 0.0, "errmsg": "no longer in the oplog", "code": 286,
                    "operationTime": bson::Timestamp { time: 900, increment: 1 },
                }
            }
            "find" if body.get_str("$db").is_ok_and(|name| name == "local") => {
                let entry = self
                    .oplog_begin
                    .map(|time| doc! { "ts": bson::Timestamp { time, increment: 2 } }.into());
                let batch: Vec<bson::Bson> = entry.into_iter().collect();
                doc! { "cursor": { "firstBatch": batch, "id": 0_i64 }, "ok": 1.0 }
            }
            "killCursors" => doc! { "ok": 1.0 },
            "find" => doc! { "cursor": { "firstBatch": [], "id": CURSOR }, "ok": 1.0 },
            "aggregate" => doc! {
                "cursor": {
                    "firstBatch": [], "postBatchResumeToken": { "_data": "8200000001" },
                    "id": CURSOR, "ns": "d.c",
                },
                "ok": 1.0,
            },
            "getMore" => {
                self.answers = asked;
                return;
            }
            other => panic!("the script has no answer to {other}"),
        };
        self.arriving.push_back((link, encode_reply(0, asked, false, &answer)));
    }

    /// Brings the pipeline one connection or one read. `false`: there is none that it wants.
    fn deliver(&mut self) -> bool {
        if let Some(link) = self.opened.pop_front() {
            self.pipeline.handle_connected(link, [7; 24], self.now).unwrap();
            return true;
        }
        for _ in 0..self.arriving.len() {
            let Some((link, mut bytes)) = self.arriving.pop_front() else { break };
            let space = self.counted(|pipeline, _| pipeline.take_space(link));
            let Some(mut space) = space else {
                self.arriving.push_back((link, bytes));
                continue;
            };
            let free = &mut space.bytes[space.filled..];
            let read = free.len().min(bytes.len()).min(READ_BYTES);
            free[..read].copy_from_slice(&bytes[..read]);
            self.counted(|pipeline, now| pipeline.handle_received(link, space, read, now).unwrap());
            if read < bytes.len() {
                bytes.drain(..read);
                self.arriving.push_front((link, bytes));
            }
            return true;
        }
        false
    }
}
