//! The Kafka client: takes records, keeps their order, says which batches are stored.
//!
//! ```text
//!  bootstrap ──► ApiVersions, login ──► Metadata ──► a connection to each leader ──► Produce …
//!                                   ▲        InitProducerId                      │
//!                                   └── a leader moved, a broker was lost, ◄─────┘
//!                                       five minutes passed
//! ```
//!
//! A machine without I/O: [`Client::poll`] says what is wanted of the network, `handle_*` tell what
//! happened there. It joins the brokers' connections ([`super::cluster`]), the topics
//! ([`super::topics`]) and the batches ([`super::producer`]); [`super::dispatch`] hands an answer
//! to whom it concerns. Faults that pass are retried for ever, with a [`Notice`]; a [`ClientError`]
//! needs a person, and the client is of no use after it.

use std::time::{Duration, Instant};

use crate::inbox::Inbox;
use crate::kafka::api::create_topics::{self, NewTopic};
use crate::kafka::api::{describe_configs, init_producer_id, metadata};
use crate::kafka::client_error::ClientError;
use crate::kafka::cluster::Cluster;
use crate::kafka::config::ClientConfig;
use crate::kafka::connection::Call;
use crate::kafka::partition::BatchId;
use crate::kafka::producer::{AppendError, Appended, Producer, Value};
use crate::kafka::refresh::Refresh;
use crate::kafka::sealing::{SealId, SealJob, SealedJob};
use crate::kafka::status::{Acknowledged, ClientState, Notice, Notices, Stats, TopicStats};
use crate::kafka::topics::{Stage, TopicFacts, TopicId, Topics, Wish};
use crate::link::{LinkCommand, LinkId, LinkIds};

/// How long a broker may take for CreateTopics.
const CREATE_TIMEOUT_MS: i32 = 30_000;

/// See the module.
#[derive(Debug)]
pub struct Client {
    pub(super) cluster: Cluster,
    pub(super) topics: Topics,
    pub(super) producer: Producer,
    pub(super) refresh: Refresh,
    pub(super) notices: Notices,
    started_at: Instant,
    startup_timeout: Duration,
    /// Whether a broker that the cluster named was ever ready.
    has_started: bool,
    /// The last time that was told.
    pub(super) now: Instant,
    /// The last time at which everything that was due was done.
    polled_at: Instant,
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(config: ClientConfig, now: Instant) -> Self {
        Self {
            cluster: Cluster::new(&config),
            topics: Topics::new(&config),
            producer: Producer::new(&config),
            refresh: Refresh::new(&config, now),
            notices: Notices::default(),
            started_at: now,
            startup_timeout: config.startup_timeout,
            has_started: false,
            now,
            polled_at: now,
        }
    }

    /// Asks for a topic; the same name gives the same id. `create` says how it is made if it is
    /// missing; `None` leaves that to the brokers (`auto.create.topics.enable`). It can be written
    /// once [`Client::topic_ready`] says so.
    pub fn topic(&mut self, name: &str, create: Option<&NewTopic>) -> TopicId {
        let (id, is_new) = self.topics.ask(name, create);
        if is_new {
            self.refresh.new_topic(self.now);
        }
        id
    }

    /// What is known about a topic, once it can be written.
    pub fn topic_ready(&self, topic: TopicId) -> Option<&TopicFacts> {
        let topic = self.topics.get(topic)?;
        (topic.stage == Stage::Ready).then_some(&topic.facts)
    }

    /// Appends a record to the open batch of a partition; `write_value` appends the value to the
    /// buffer that it gets, and `size_hint` is its expected length. Does not allocate once memory
    /// is recycled.
    pub fn append(
        &mut self,
        topic: TopicId,
        partition: u32,
        key: Option<&[u8]>,
        timestamp_ms: i64,
        size_hint: usize,
        write_value: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Appended, AppendError> {
        let value = Value::Written { size_hint, write: write_value };
        self.append_value(topic, partition, key, timestamp_ms, value)
    }

    /// Appends a record without a value: a tombstone where the topic is compacted.
    pub fn append_null(
        &mut self,
        topic: TopicId,
        partition: u32,
        key: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<Appended, AppendError> {
        let value: Value<'_, fn(&mut Vec<u8>)> = Value::Null;
        self.append_value(topic, partition, key, timestamp_ms, value)
    }

    /// Appends a record all of which is there already; `headers` as [`put_headers`](super::batch::put_headers)
    /// makes them.
    pub fn append_encoded(
        &mut self,
        topic: TopicId,
        partition: u32,
        key: Option<&[u8]>,
        timestamp_ms: i64,
        value: Option<&[u8]>,
        headers: &[u8],
    ) -> Result<Appended, AppendError> {
        let value: Value<'_, fn(&mut Vec<u8>)> = Value::Encoded { value, headers };
        self.append_value(topic, partition, key, timestamp_ms, value)
    }

    fn append_value(
        &mut self,
        topic: TopicId,
        partition: u32,
        key: Option<&[u8]>,
        timestamp_ms: i64,
        value: Value<'_, impl FnOnce(&mut Vec<u8>)>,
    ) -> Result<Appended, AppendError> {
        let unknown = AppendError::UnknownPartition { partition };
        let topic = self.topics.get(topic).ok_or(unknown)?;
        let slot = *topic.slots.get(partition as usize).ok_or(unknown)?;
        self.producer.append(slot, &topic.facts, key, timestamp_ms, value, self.now)
    }

    /// Whether more may be appended: fewer than `buffer_bytes_max` bytes of batches are open,
    /// waiting or in flight, and there is memory for more.
    pub fn has_room(&mut self) -> bool {
        self.producer.has_room()
    }

    /// Returns the memory that holds nothing. Costs the next batches an allocation.
    pub fn release_memory(&mut self) {
        self.producer.settled.release();
    }

    /// Says whether there is nothing to append for now, so that open batches may go out as they
    /// are.
    pub fn set_starving(&mut self, is_starving: bool) {
        self.producer.is_starving = is_starving;
    }

    /// Closes an open batch, so that it goes out without waiting for more records.
    pub fn seal(&mut self, batch: BatchId) {
        self.producer.close_open(Some(batch));
    }

    /// Closes all open batches, as for a shutdown.
    pub fn flush(&mut self) {
        self.producer.close_open(None);
    }

    /// The next batch to compress on another thread, after [`Client::poll`] has nothing more; there is none with
    /// `compression_threads` 0, nor while as many are out. Each comes back to [`Client::handle_sealed`], in any order.
    pub fn next_seal_job(&mut self) -> Option<SealJob> {
        self.producer.settled.next_seal_job()
    }

    /// A batch is sealed, and may be sent by the next [`Client::poll`].
    pub fn handle_sealed(&mut self, job: SealedJob) {
        self.producer.handle_sealed(job);
    }

    /// A batch did not come back: its records are in memory no more. What was not acknowledged must be read again.
    pub fn seal_lost(&self, id: SealId, reason: &str) -> ClientError {
        self.producer.seal_lost(id, reason, &self.topics)
    }

    /// What is stored and was not named yet: the next batch, or the half of one that was split. Batches
    /// of one partition come in order unless a lost answer had to be asked for again.
    pub fn next_acknowledged(&mut self) -> Option<Acknowledged> {
        self.producer.settled.acknowledged.pop_front()
    }

    /// A topic that brokers have stored something in, and that was not named yet; it may be named once for each of its
    /// partitions.
    pub fn next_written(&mut self) -> Option<(TopicId, &str)> {
        let topic = self.producer.written.pop()?;
        Some((topic, self.topics.name(topic)))
    }

    /// Names topics again when something more is stored in them.
    pub fn forget_written(&mut self) {
        for partition in &mut self.producer.partitions {
            partition.is_written = false;
        }
    }

    /// Whether nothing is open, waiting or in flight.
    pub fn is_idle(&self) -> bool {
        self.producer.is_idle()
    }

    /// Something that a log should say.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.take()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        Stats {
            buffered_bytes: self.producer.settled.buffered_bytes as u64,
            in_flight: self.cluster.open_produces() as u64,
            ..self.producer.settled.stats
        }
    }

    /// What of each topic is acknowledged since the start, in the order in which the topics were asked for.
    pub fn topic_stats(&self) -> impl Iterator<Item = (&str, TopicStats)> {
        self.topics.ids().map(|id| (self.topics.name(id), self.producer.settled.topic(id)))
    }

    /// Records of one topic that are acknowledged since the start.
    pub fn records_in(&self, topic: TopicId) -> u64 {
        self.producer.settled.topic(topic).records
    }

    /// How it stands between us and the brokers.
    pub fn state(&self) -> ClientState {
        match (self.has_started, self.cluster.trouble().or_else(|| self.producer.trouble())) {
            (false, trouble) => {
                let (attempts, last_error) = trouble.unwrap_or_default();
                ClientState::Starting { attempts, last_error }
            }
            (true, Some((attempts, last_error))) => ClientState::Retrying { attempts, last_error },
            (true, None) => ClientState::Serving,
        }
    }

    /// Where received bytes go; `None` if the link is not one of this client's.
    pub fn inbox(&mut self, link: LinkId) -> Option<&mut Inbox> {
        let node = self.cluster.node_of_link(link)?;
        self.cluster.inbox(node)
    }

    /// The next wish for the network; to be asked until there is none, after everything that
    /// happened.
    pub fn poll(&mut self, ids: &mut LinkIds, now: Instant) -> Option<LinkCommand> {
        if let Some(command) = self.cluster.next_command() {
            return Some(command);
        }
        self.now = now;
        self.polled_at = now;
        self.connect(ids, now);
        self.cluster.renew_sessions(now);
        self.ask(now);
        for node in self.cluster.indices() {
            while self.cluster.can_produce(node)
                && self.producer.send(node, &mut self.cluster, &self.topics, now)
            {}
        }
        self.cluster.next_command()
    }

    fn connect(&mut self, ids: &mut LinkIds, now: Instant) {
        self.has_started |= self.cluster.is_known() && self.cluster.has_ready_broker();
        self.producer.want_leaders(&mut self.cluster);
        let any_needed = self.refresh.is_due(now)
            || self.topics.wants_broker()
            || self.producer.wants_broker()
            || self.producer.identity_wish.is_open();
        self.cluster.connect(any_needed, ids, now);
        if let Some(seed) = self.cluster.spare_seed() {
            self.cluster.close(seed, "not needed", now);
        }
    }

    /// Asks brokers what is due, apart from produce requests.
    fn ask(&mut self, now: Instant) {
        let Some(node) = self.cluster.any_ready() else { return };
        if self.refresh.is_due(now) {
            self.refresh.asked();
            let names = self.topics.names();
            self.cluster.send(node, Call::Metadata, now, |out| {
                metadata::write_request(out, names.into_iter(), false);
            });
        }
        if self.producer.identity_wish.is_due(now) {
            self.producer.identity_wish.asked();
            let write = init_producer_id::write_request;
            self.cluster.send(node, Call::InitProducerId, now, write);
        }
        while let Some((id, wish)) = self.topics.wish(now) {
            self.ask_about(id, wish, now);
        }
        self.producer.ask_tails(&mut self.cluster, &self.topics, now);
    }

    fn ask_about(&mut self, id: TopicId, wish: Wish, now: Instant) {
        let node = match wish {
            Wish::Create => self.cluster.controller_ready(),
            Wish::AutoCreate | Wish::Describe => self.cluster.any_ready(),
        };
        let Some(node) = node else { return self.topics.ask_again(id, now) };
        self.topics.asked(id);
        let Some(topic) = self.topics.get(id) else { return };
        let name = topic.name.as_str();
        match (wish, &topic.create) {
            (Wish::Create, Some(new)) => {
                self.cluster.send(node, Call::CreateTopic(id), now, |out| {
                    create_topics::write_request(out, name, new, CREATE_TIMEOUT_MS);
                });
            }
            (Wish::Create | Wish::AutoCreate, _) => {
                self.cluster.send(node, Call::AutoCreate(id), now, |out| {
                    metadata::write_request(out, std::iter::once(name), true);
                });
            }
            (Wish::Describe, _) => self.cluster.send(node, Call::DescribeConfigs(id), now, |out| {
                describe_configs::write_request(out, name);
            }),
        }
    }

    /// When [`Client::handle_timeout`] and then [`Client::poll`] are due, if nothing happens
    /// before.
    pub fn deadline(&self) -> Option<Instant> {
        // What was due when poll was called last is done, or waits for something else to happen.
        let after = self.polled_at;
        let polled = [
            self.refresh.deadline().filter(|at| after < *at),
            self.producer.identity_wish.deadline().filter(|at| after < *at),
            self.cluster.retry_deadline(after),
            self.topics.deadline(after),
            self.producer.send_deadline(after),
        ];
        let checked = [
            self.cluster.silence_deadline(),
            self.producer.delivery_deadline(),
            (!self.has_started).then(|| self.started_at + self.startup_timeout),
        ];
        polled.into_iter().chain(checked).flatten().min()
    }

    /// Time has passed: gives up connections that keep silent, and ends what has waited for too
    /// long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ClientError> {
        self.now = now;
        while let Some(node) = self.cluster.silent(now) {
            self.give_up(node, "no answer in time", now)?;
        }
        if !self.has_started && self.started_at + self.startup_timeout <= now {
            if !self.cluster.is_known() || self.cluster.trouble().is_some() {
                let attempts = self.cluster.failures();
                let waited = now.saturating_duration_since(self.started_at);
                return Err(ClientError::Unreachable { attempts, waited });
            }
            self.has_started = true;
        }
        self.producer.check_delivery(&self.topics, now)
    }
}
