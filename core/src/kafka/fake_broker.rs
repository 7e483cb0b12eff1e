//! Brokers for tests: they speak the protocol over byte slices, and take batches by Kafka's rules.
//!
//! One log per partition stands for all its replicas; each partition has a leader, and other
//! brokers refuse it. The rules for idempotent batches are those of
//! `ProducerAppendInfo.checkSequence` and `ProducerStateEntry`: the last five batches of a producer
//! are known, the next sequence must follow, a new epoch begins at 0, and of an unknown producer
//! anything is taken (or refused, as brokers before 2.4 do). A test decides the fate of each batch
//! and so makes faults.

use std::collections::{BTreeMap, VecDeque};

use crate::kafka::api::create_topics::tests as create_topics;
use crate::kafka::api::describe_configs::tests as describe_configs;
use crate::kafka::api::fetch::tests as fetch;
use crate::kafka::api::init_producer_id::tests as init_producer_id;
use crate::kafka::api::list_offsets::tests as list_offsets;
use crate::kafka::api::metadata::{self, Broker, Metadata};
use crate::kafka::api::produce::{PartAnswer, tests as produce};
use crate::kafka::api::{Api, api_versions};
use crate::kafka::batch_reader::RecordBatches;
use crate::kafka::errors::ErrorCode;
use crate::kafka::fake_login::FakeLogin;
use crate::kafka::wire::{Reader, WireError, put_i32, put_no_tags};
use crate::link::Address;

/// What a broker does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fair,
    /// Does not store it and says so.
    Refused(ErrorCode),
    /// Goes by the rules, then answers this.
    Denied(ErrorCode),
}

#[derive(Debug, Default)]
struct Known {
    epoch: i16,
    /// First and last sequence, and base offset, of the last five batches.
    last: VecDeque<(i32, i32, i64)>,
}

/// One partition.
#[derive(Debug, Default)]
pub(crate) struct FakeLog {
    pub(crate) leader: usize,
    pub(crate) batches: Vec<Vec<u8>>,
    next_offset: i64,
    producers: BTreeMap<i64, Known>,
}

impl FakeLog {
    fn append(&mut self, batch: &[u8], refuses_unknown: bool) -> Result<i64, ErrorCode> {
        let read = RecordBatches::new(batch).next().ok_or(ErrorCode::CORRUPT_MESSAGE)?;
        let read = read.map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
        let (first, count) = (read.sequence, read.count);
        let last = ((i64::from(first) + i64::from(count) - 1) % (i64::from(i32::MAX) + 1)) as i32;
        if 0 <= read.producer_id {
            if refuses_unknown && first != 0 && !self.producers.contains_key(&read.producer_id) {
                return Err(ErrorCode::UNKNOWN_PRODUCER_ID);
            }
            let is_new = !self.producers.contains_key(&read.producer_id);
            let known = self.producers.entry(read.producer_id).or_default();
            if is_new {
                known.epoch = read.epoch;
            }
            if read.epoch < known.epoch {
                return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
            }
            if known.epoch == read.epoch {
                let twice = known.last.iter().find(|(f, l, _)| (*f, *l) == (first, last));
                if let Some((_, _, offset)) = twice {
                    return Ok(*offset);
                }
                let follows = known
                    .last
                    .back()
                    .is_none_or(|(_, l, _)| first == if *l == i32::MAX { 0 } else { l + 1 });
                if !follows {
                    return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
                }
            } else if first != 0 {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            } else {
                *known = Known { epoch: read.epoch, last: VecDeque::new() };
            }
            known.last.push_back((first, last, self.next_offset));
            if 5 < known.last.len() {
                known.last.pop_front();
            }
        }
        let mut stored = batch.to_vec();
        stored[..8].copy_from_slice(&self.next_offset.to_be_bytes());
        self.batches.push(stored);
        let offset = self.next_offset;
        self.next_offset += i64::from(count);
        Ok(offset)
    }

    /// Forgets every producer, as after their last records were deleted.
    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
    }

    /// Raises the epoch of every producer, as if somebody else had taken it over.
    pub(crate) fn fence_producers(&mut self) {
        self.producers.values_mut().for_each(|known| known.epoch = i16::MAX);
    }

    /// The values of the log, in order.
    pub(crate) fn values(&self) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        for batch in &self.batches {
            let batch = RecordBatches::new(batch).next().unwrap().unwrap();
            let mut room = Vec::new();
            for record in batch.records(&mut room, 10 << 20).unwrap() {
                let record = record.unwrap();
                assert_eq!(record.offset, values.len() as i64);
                values.push(record.value.unwrap_or_default().to_vec());
            }
        }
        values
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct FakeTopic {
    pub(crate) logs: Vec<FakeLog>,
    pub(crate) batch_bytes_max: usize,
}

/// All brokers together.
#[derive(Debug)]
pub(crate) struct FakeCluster {
    pub(crate) brokers: usize,
    pub(crate) topics: BTreeMap<String, FakeTopic>,
    /// Whether a topic is made when metadata is asked for with leave to.
    pub(crate) creates_topics: bool,
    /// Whether settings of topics may not be read.
    pub(crate) hides_settings: bool,
    /// Whether batches of unknown producers are refused, as brokers before 2.4 do.
    pub(crate) refuses_unknown: bool,
    pub(crate) metadata_error: ErrorCode,
    pub(crate) next_producer_id: i64,
    /// Batches in each produce request received.
    pub(crate) requests: Vec<usize>,
    /// Who must say who they are, and how; `None`: nobody.
    pub(crate) login: Option<FakeLogin>,
}

/// The address of a broker.
pub(crate) fn address(broker: usize) -> Address {
    Address::new(format!("broker-{broker}"), 9_092)
}

impl FakeCluster {
    pub(crate) fn new(brokers: usize) -> Self {
        Self {
            brokers,
            topics: BTreeMap::new(),
            creates_topics: false,
            hides_settings: false,
            refuses_unknown: false,
            metadata_error: ErrorCode::NONE,
            next_producer_id: 1_000,
            requests: Vec::new(),
            login: None,
        }
    }

    pub(crate) fn add_topic(&mut self, name: &str, partitions: usize, batch_bytes_max: usize) {
        let log = |i: usize| FakeLog { leader: i % self.brokers, ..FakeLog::default() };
        let logs = (0..partitions).map(log).collect();
        self.topics.insert(name.to_owned(), FakeTopic { logs, batch_bytes_max });
    }

    fn log(&mut self, topic: &str, partition: i32) -> Option<&mut FakeLog> {
        self.topics.get_mut(topic)?.logs.get_mut(partition as usize)
    }

    /// Answers a whole request without its size, with the size.
    pub(crate) fn handle(
        &mut self,
        broker: usize,
        request: &[u8],
        fate: impl FnMut() -> Fate,
    ) -> Vec<u8> {
        let mut reader = Reader::new(request);
        let (key, version) = (reader.i16().unwrap(), reader.i16().unwrap());
        let correlation = reader.i32().unwrap();
        let client_id_bytes = reader.i16().unwrap();
        reader.take(client_id_bytes as usize).unwrap();
        let api = Api::ALL.into_iter().find(|api| api.key() == key).expect("a request of ours");
        assert_eq!(version, api.version());
        if api != Api::SaslHandshake {
            reader.skip_tags().unwrap();
        }
        if let Some(login) = &mut self.login {
            login.check(broker, api);
        }
        let body = self.answer(api, broker, &mut reader, fate).expect("a well-formed request");
        assert_eq!(reader.left(), 0, "bytes behind a {} request", api.name());
        let mut out = Vec::new();
        put_i32(&mut out, 0);
        put_i32(&mut out, correlation);
        if api != Api::ApiVersions && api != Api::SaslHandshake {
            put_no_tags(&mut out);
        }
        out.extend_from_slice(&body);
        let size = out.len() as u32 - 4;
        out[..4].copy_from_slice(&size.to_be_bytes());
        out
    }

    fn answer(
        &mut self,
        api: Api,
        broker: usize,
        reader: &mut Reader<'_>,
        fate: impl FnMut() -> Fate,
    ) -> Result<Vec<u8>, WireError> {
        match api {
            Api::ApiVersions => {
                reader.compact_name()?;
                reader.compact_name()?;
                reader.skip_tags()?;
                Ok(api_versions::tests::kafka_4_1())
            }
            Api::Metadata => self.metadata(reader),
            Api::CreateTopics => self.create_topic(reader),
            Api::DescribeConfigs => self.describe(reader),
            Api::InitProducerId => {
                reader.take(reader.left())?;
                self.next_producer_id += 1;
                Ok(init_producer_id::write(ErrorCode::NONE, self.next_producer_id))
            }
            Api::Produce => self.produce(broker, reader, fate),
            Api::ListOffsets => self.list_offsets(broker, reader),
            Api::Fetch => self.fetch(broker, reader),
            Api::FindCoordinator
            | Api::JoinGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::SyncGroup => unreachable!("a producer is in no group"),
            Api::SaslHandshake | Api::SaslAuthenticate => {
                let login = self.login.as_mut().expect("a listener with SASL");
                login.answer(api, broker, reader)
            }
        }
    }

    fn metadata(&mut self, reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        let mut names = Vec::new();
        for _ in 0..reader.compact_array()? {
            names.push(reader.compact_name()?.to_owned());
            reader.skip_tags()?;
        }
        let may_create = reader.bool()?;
        reader.take(2)?;
        reader.skip_tags()?;
        let mut topics = Vec::new();
        for name in names {
            if may_create && self.creates_topics && !self.topics.contains_key(&name) {
                self.add_topic(&name, 2, usize::MAX);
            }
            let logs = self.topics.get(&name).map_or(&[][..], |topic| &topic.logs);
            let error = match (logs.is_empty(), self.metadata_error) {
                (true, ErrorCode::NONE) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                (_, error) => error,
            };
            let partitions = logs.iter().enumerate().map(|(i, log)| metadata::Partition {
                index: i as i32,
                leader: Some(log.leader as i32),
                replicas: 2,
                in_sync: 1,
            });
            let partitions = partitions.collect();
            topics.push(metadata::Topic { error, name, partitions, operations: None });
        }
        let broker = |i| Broker { id: i as i32, address: address(i) };
        let brokers = (0..self.brokers).map(broker).collect();
        Ok(metadata::tests::write(&Metadata {
            brokers,
            cluster_id: Some("fake".to_owned()),
            controller: 0,
            topics,
        }))
    }

    fn create_topic(&mut self, reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        reader.compact_array()?;
        let name = reader.compact_name()?.to_owned();
        let partitions = reader.i32()?;
        reader.take(reader.left())?;
        let error = match self.topics.contains_key(&name) {
            true => ErrorCode::TOPIC_ALREADY_EXISTS,
            false => ErrorCode::NONE,
        };
        if error.is_none() {
            self.add_topic(&name, partitions.max(1) as usize, usize::MAX);
        }
        Ok(create_topics::write(&name, error, None))
    }

    fn describe(&mut self, reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        reader.compact_array()?;
        reader.i8()?;
        let name = reader.compact_name()?;
        reader.take(reader.left())?;
        let error = match self.hides_settings {
            true => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            false => ErrorCode::NONE,
        };
        let bytes_max = self.topics.get(name).map_or(0, |topic| topic.batch_bytes_max);
        Ok(describe_configs::write(name, error, bytes_max))
    }

    fn produce(
        &mut self,
        broker: usize,
        reader: &mut Reader<'_>,
        mut fate: impl FnMut() -> Fate,
    ) -> Result<Vec<u8>, WireError> {
        reader.compact_string()?;
        reader.take(6)?;
        let mut answers = Vec::new();
        for _ in 0..reader.compact_array()? {
            let topic = reader.compact_name()?;
            for _ in 0..reader.compact_array()? {
                let partition = reader.i32()?;
                let batch = reader.compact_bytes()?.unwrap_or_default();
                reader.skip_tags()?;
                let result = self.take_batch(broker, topic, partition, batch, fate());
                let error = result.err().unwrap_or(ErrorCode::NONE);
                let base_offset = result.unwrap_or(-1);
                answers.push(PartAnswer { topic, partition, error, base_offset, message: None });
            }
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
        self.requests.push(answers.len());
        Ok(produce::write(&answers))
    }

    fn take_batch(
        &mut self,
        broker: usize,
        topic: &str,
        partition: i32,
        batch: &[u8],
        fate: Fate,
    ) -> Result<i64, ErrorCode> {
        let bytes_max = self.topics.get(topic).map_or(0, |topic| topic.batch_bytes_max);
        let refuses_unknown = self.refuses_unknown;
        let log = self.log(topic, partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if log.leader != broker {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if bytes_max < batch.len() {
            return Err(ErrorCode::MESSAGE_TOO_LARGE);
        }
        match fate {
            Fate::Fair => log.append(batch, refuses_unknown),
            Fate::Refused(error) => Err(error),
            Fate::Denied(error) => log.append(batch, refuses_unknown).and(Err(error)),
        }
    }

    fn list_offsets(
        &mut self,
        broker: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Vec<u8>, WireError> {
        reader.take(5)?;
        reader.compact_array()?;
        let topic = reader.compact_name()?;
        reader.compact_array()?;
        let partition = reader.i32()?;
        reader.i32()?;
        let timestamp_ms = reader.i64()?;
        reader.take(reader.left())?;
        let Some(log) = self.log(topic, partition).filter(|log| log.leader == broker) else {
            return Ok(list_offsets::write(
                topic,
                partition,
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
                -1,
            ));
        };
        let offset = if timestamp_ms == -1 { log.next_offset } else { 0 };
        Ok(list_offsets::write(topic, partition, ErrorCode::NONE, offset))
    }

    fn fetch(&mut self, broker: usize, reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
        reader.take(25)?;
        reader.compact_array()?;
        let topic = reader.compact_name()?;
        reader.compact_array()?;
        let partition = reader.i32()?;
        reader.i32()?;
        let offset = reader.i64()?;
        reader.take(reader.left())?;
        let Some(log) = self.log(topic, partition).filter(|log| log.leader == broker) else {
            return Ok(fetch::write(topic, partition, ErrorCode::NOT_LEADER_OR_FOLLOWER, &[]));
        };
        let mut records = Vec::new();
        for batch in &log.batches {
            let read = RecordBatches::new(batch).next().unwrap().unwrap();
            if offset < read.next_offset() && records.len() < 10_000 {
                records.extend_from_slice(batch);
            }
        }
        // The last batch is cut, as brokers do, unless it is the first one.
        let whole = RecordBatches::new(&records).count();
        records.truncate(if 1 < whole { records.len() - 3 } else { records.len() });
        Ok(fetch::write(topic, partition, ErrorCode::NONE, &records))
    }
}
