//! A broker for tests: one topic in memory, served over a socket, with faults where a test wants them.
//!
//! It leads every partition, unless told otherwise, takes any batch, and answers a fetch without records after a
//! short wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use millrace_core::kafka::ErrorCode;
use millrace_core::kafka::api::Api;
use millrace_core::kafka::batch_reader::RecordBatches;
use millrace_core::kafka::wire::{
    Reader, put_bool, put_compact_bytes, put_compact_length, put_compact_null, put_compact_string,
    put_i8, put_i16, put_i32, put_i64, put_no_tags,
};
use millrace_core::link::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::Cluster;
use crate::config::KafkaSecurity;

const WAIT: Duration = Duration::from_millis(10);

/// What happens to a request instead of what should.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Refused(ErrorCode),
    /// Done, but the connection ends before the answer.
    Unanswered,
}

/// One partition: batches with their base offsets set.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) batches: Vec<Vec<u8>>,
    pub(crate) first: i64,
    pub(crate) end: i64,
    /// What every fetch of it is answered with.
    pub(crate) refusal: Option<ErrorCode>,
    pub(crate) is_leaderless: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) topic: String,
    pub(crate) exists: bool,
    /// Ports of the brokers that it knows; the first leads.
    pub(crate) brokers: Vec<u16>,
    /// How many connections there were.
    pub(crate) connections: usize,
    pub(crate) policy: String,
    pub(crate) logs: Vec<Log>,
    /// By kind, what happens to the next requests of it.
    pub(crate) faults: BTreeMap<i16, VecDeque<Fault>>,
    /// Transactional ids that were fenced.
    pub(crate) fenced: Vec<String>,
    /// Bytes of batches.
    sent_bytes: usize,
}

/// See the module. It ends with the runtime of its test.
pub(crate) struct ScriptedBroker {
    address: Address,
    state: Arc<Mutex<State>>,
}

impl ScriptedBroker {
    /// A broker that has no topic yet; one that is made has this many partitions.
    pub(crate) async fn start(topic: &str, partitions: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let state = Arc::new(Mutex::new(State {
            topic: topic.to_owned(),
            exists: false,
            brokers: vec![address.port],
            connections: 0,
            policy: "compact".to_owned(),
            logs: (0..partitions).map(|_| Log::default()).collect(),
            faults: BTreeMap::new(),
            fenced: Vec::new(),
            sent_bytes: 0,
        }));
        let (served, port) = (Arc::clone(&state), address.port);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, port, Arc::clone(&served)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let (bootstrap, security) = (vec![self.address.clone()], KafkaSecurity::default());
        Cluster { bootstrap, security, client_id: "test".to_owned() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn fail(&self, api: Api, faults: &[Fault]) {
        self.state().faults.entry(api.key()).or_default().extend(faults);
    }
}

async fn serve(mut stream: TcpStream, port: u16, state: Arc<Mutex<State>>) {
    while let Ok(size) = stream.read_u32().await {
        let mut request = vec![0; size as usize];
        stream.read_exact(&mut request).await.unwrap();
        let mut reader = Reader::new(&request);
        let key = reader.i16().unwrap();
        let _version = reader.i16().unwrap();
        let correlation = reader.i32().unwrap();
        let _client_id = reader.name().unwrap();
        reader.skip_tags().unwrap();
        let api = Api::ALL.into_iter().find(|api| api.key() == key).unwrap();
        let mut out = Vec::new();
        put_i32(&mut out, correlation);
        if api != Api::ApiVersions {
            put_no_tags(&mut out);
        }
        let (fault, is_empty) = {
            let mut state = state.lock().unwrap();
            let fault = state.faults.get_mut(&key).and_then(VecDeque::pop_front);
            let bytes_before = state.sent_bytes;
            state.answer(api, fault, port, &mut reader, &mut out);
            (fault, api == Api::Fetch && state.sent_bytes == bytes_before)
        };
        if matches!(fault, Some(Fault::Unanswered)) {
            return;
        }
        if is_empty {
            tokio::time::sleep(WAIT).await;
        }
        stream.write_u32(out.len() as u32).await.unwrap();
        stream.write_all(&out).await.unwrap();
    }
}

impl State {
    fn answer(
        &mut self,
        api: Api,
        fault: Option<Fault>,
        port: u16,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) {
        let error = match fault {
            Some(Fault::Refused(error)) => error,
            Some(Fault::Unanswered) | None => ErrorCode::NONE,
        };
        match api {
            Api::ApiVersions => versions(out),
            Api::Metadata => self.metadata(reader, out),
            Api::CreateTopics => self.create(error, out),
            Api::DescribeConfigs => self.describe(error, out),
            Api::ListOffsets => self.list(error, reader, out),
            Api::Fetch => self.fetch(error, reader, out),
            Api::Produce => self.produce(error, reader, out),
            Api::FindCoordinator => coordinator(error, port, out),
            Api::InitProducerId => self.fence(error, reader, out),
            Api::JoinGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::SyncGroup
            | Api::SaslHandshake
            | Api::SaslAuthenticate => panic!("{api:?} is not known here"),
        }
        put_no_tags(out);
    }

    fn metadata(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        let asked = reader.compact_array().unwrap();
        put_i32(out, 0);
        put_compact_length(out, self.brokers.len());
        for (id, port) in (1..).zip(&self.brokers) {
            put_i32(out, id);
            put_compact_string(out, "127.0.0.1");
            put_i32(out, i32::from(*port));
            put_compact_null(out);
            put_no_tags(out);
        }
        put_compact_string(out, "scripted");
        put_i32(out, 1);
        put_compact_length(out, asked);
        if asked == 1 {
            let name = reader.compact_name().unwrap();
            let exists = self.exists && name == self.topic;
            let error = if exists { 0 } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0 };
            put_i16(out, error);
            put_compact_string(out, name);
            put_bool(out, false);
            let partitions = if exists { self.logs.len() } else { 0 };
            put_compact_length(out, partitions);
            for index in 0..partitions {
                put_i16(out, 0);
                put_i32(out, index as i32);
                put_i32(out, if self.logs[index].is_leaderless { -1 } else { 1 });
                put_i32(out, 0);
                for _replicas in 0..3 {
                    put_compact_length(out, 0);
                }
                put_no_tags(out);
            }
            put_i32(out, i32::MIN);
            put_no_tags(out);
        }
        put_i32(out, i32::MIN);
    }

    fn create(&mut self, error: ErrorCode, out: &mut Vec<u8>) {
        let error = match error {
            ErrorCode::NONE if self.exists => ErrorCode::TOPIC_ALREADY_EXISTS,
            error => error,
        };
        self.exists |= error.is_none();
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, &self.topic);
        put_i16(out, error.0);
        put_compact_string(out, "in words");
        put_i32(out, -1);
        put_i16(out, -1);
        put_compact_length(out, 0);
        put_no_tags(out);
    }

    fn describe(&self, error: ErrorCode, out: &mut Vec<u8>) {
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_i16(out, error.0);
        put_compact_null(out);
        put_i8(out, 2);
        put_compact_string(out, &self.topic);
        put_compact_length(out, usize::from(error.is_none()));
        if error.is_none() {
            put_compact_string(out, "cleanup.policy");
            put_compact_string(out, &self.policy);
            out.extend_from_slice(&[0, 1, 0]);
            put_compact_length(out, 0);
            put_i8(out, 7);
            put_compact_null(out);
            put_no_tags(out);
        }
        put_no_tags(out);
    }

    fn list(&self, error: ErrorCode, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        reader.take(5).unwrap();
        let (_, topic) = (reader.compact_array().unwrap(), reader.compact_name().unwrap());
        let (_, index) = (reader.compact_array().unwrap(), reader.i32().unwrap());
        let _epoch = reader.i32().unwrap();
        let log = &self.logs[index as usize];
        let offset = if reader.i64().unwrap() == -2 { log.first } else { log.end };
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, topic);
        put_compact_length(out, 1);
        put_i32(out, index);
        put_i16(out, error.0);
        put_i64(out, -1);
        put_i64(out, offset);
        put_i32(out, 0);
        put_no_tags(out);
        put_no_tags(out);
    }

    fn fetch(&mut self, error: ErrorCode, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        reader.take(16).unwrap();
        assert_eq!(reader.i8().unwrap(), 1, "what is not committed does not count");
        reader.take(8).unwrap();
        let (_, topic) = (reader.compact_array().unwrap(), reader.compact_name().unwrap());
        let count = reader.compact_array().unwrap();
        put_i32(out, 0);
        put_i16(out, 0);
        put_i32(out, 0);
        put_compact_length(out, 1);
        put_compact_string(out, topic);
        put_compact_length(out, count);
        for _ in 0..count {
            let index = reader.i32().unwrap();
            reader.take(4).unwrap();
            let from = reader.i64().unwrap();
            reader.take(16).unwrap();
            reader.skip_tags().unwrap();
            let log = &self.logs[index as usize];
            let is_inside = log.first <= from && from <= log.end;
            let error = log.refusal.unwrap_or(error);
            let error = if is_inside { error } else { ErrorCode::OFFSET_OUT_OF_RANGE };
            let is_wanted = |batch: &&Vec<u8>| {
                from < RecordBatches::new(batch).next().unwrap().unwrap().next_offset()
            };
            let records: Vec<u8> = if error.is_none() {
                log.batches.iter().filter(is_wanted).flatten().copied().collect()
            } else {
                Vec::new()
            };
            put_i32(out, index);
            put_i16(out, error.0);
            put_i64(out, log.end);
            put_i64(out, log.end);
            put_i64(out, log.first);
            put_compact_length(out, 0);
            put_i32(out, -1);
            put_compact_bytes(out, &records);
            self.sent_bytes += records.len();
            put_no_tags(out);
        }
        put_no_tags(out);
    }

    fn produce(&mut self, error: ErrorCode, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        assert_eq!(reader.compact_string().unwrap(), None);
        assert_eq!(reader.i16().unwrap(), -1, "all replicas in sync are to have it");
        let _timeout_ms = reader.i32().unwrap();
        let (_, topic) = (reader.compact_array().unwrap(), reader.compact_name().unwrap());
        let (_, index) = (reader.compact_array().unwrap(), reader.i32().unwrap());
        let mut batch = reader.compact_bytes().unwrap().unwrap().to_vec();
        let log = &mut self.logs[index as usize];
        if error.is_none() {
            batch[..8].copy_from_slice(&log.end.to_be_bytes());
            log.end = RecordBatches::new(&batch).next().unwrap().unwrap().next_offset();
            log.batches.push(batch);
        }
        put_compact_length(out, 1);
        put_compact_string(out, topic);
        put_compact_length(out, 1);
        put_i32(out, index);
        put_i16(out, error.0);
        put_i64(out, -1);
        put_i64(out, -1);
        put_i64(out, 0);
        put_compact_length(out, 0);
        put_compact_null(out);
        put_no_tags(out);
        put_no_tags(out);
        put_i32(out, 0);
    }

    fn fence(&mut self, error: ErrorCode, reader: &mut Reader<'_>, out: &mut Vec<u8>) {
        if error.is_none() {
            self.fenced.push(reader.compact_name().unwrap().to_owned());
        }
        put_i32(out, 0);
        put_i16(out, error.0);
        put_i64(out, 7);
        put_i16(out, 1);
    }
}

fn coordinator(error: ErrorCode, port: u16, out: &mut Vec<u8>) {
    put_i32(out, 0);
    put_i16(out, error.0);
    put_compact_null(out);
    put_i32(out, 1);
    put_compact_string(out, "127.0.0.1");
    put_i32(out, i32::from(port));
}

fn versions(out: &mut Vec<u8>) {
    put_i16(out, 0);
    put_compact_length(out, Api::ALL.len());
    for api in Api::ALL {
        put_i16(out, api.key());
        put_i16(out, 0);
        put_i16(out, api.version());
        put_no_tags(out);
    }
    put_i32(out, 0);
}
