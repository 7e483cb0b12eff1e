//! The client against fake brokers, one story at a time; see [`super::simulation`] for all of them
//! at once.
//!
//! The [`Rig`] answers at once, unless answers are held back. Time passes only when a test says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::kafka::codec::tests::ALL;
use crate::kafka::fake_broker::{FakeCluster, Fate, address};
use crate::kafka::{
    Acks, AppendError, Appended, BatchId, Client, ClientConfig, ClientError, ClientState,
    Compression, ErrorCode, NewTopic, TopicId,
};
use crate::link::{LinkCommand, LinkId, LinkIds};

const TOPIC: &str = "orders";
const PRODUCE: [u8; 2] = [0, 0];

/// A broker's answer to ApiVersions of a version that it does not speak.
const UNSUPPORTED: [u8; 14] = [0, 0, 0, 10, 0, 0, 0, 0, 0, 35, 0, 0, 0, 0];

struct Rig {
    client: Client,
    ids: LinkIds,
    now: Instant,
    cluster: FakeCluster,
    links: BTreeMap<LinkId, usize>,
    down: BTreeSet<usize>,
    fates: VecDeque<Fate>,
    /// Produce requests received, without their size.
    produced: Vec<Vec<u8>>,
    holds: bool,
    held: VecDeque<(LinkId, Vec<u8>)>,
    connects: usize,
}

impl Rig {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let now = Instant::now();
        let mut config = ClientConfig::new(vec![address(0), address(1)]);
        change(&mut config);
        let mut cluster = FakeCluster::new(2);
        cluster.add_topic(TOPIC, 2, 1_000_000);
        Self {
            client: Client::new(config, now),
            ids: LinkIds::default(),
            now,
            cluster,
            links: BTreeMap::new(),
            down: BTreeSet::new(),
            fates: VecDeque::new(),
            produced: Vec::new(),
            holds: false,
            held: VecDeque::new(),
            connects: 0,
        }
    }

    fn topic(&mut self) -> TopicId {
        let topic = self.client.topic(TOPIC, None);
        self.pump().unwrap();
        assert!(self.client.topic_ready(topic).is_some());
        topic
    }

    fn append(&mut self, topic: TopicId, partition: u32, value: &[u8]) -> Appended {
        self.try_append(topic, partition, value).unwrap()
    }

    fn try_append(
        &mut self,
        topic: TopicId,
        partition: u32,
        value: &[u8],
    ) -> Result<Appended, AppendError> {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(value);
        self.client.append(topic, partition, Some(b"k"), 1_000, value.len(), write)
    }

    /// Does what the client wants until it wants nothing more.
    fn pump(&mut self) -> Result<(), ClientError> {
        while let Some(command) = self.client.poll(&mut self.ids, self.now) {
            match command {
                LinkCommand::Connect { link, address: to, .. } => {
                    self.connects += 1;
                    let broker = (0..9).find(|broker| address(*broker) == to).unwrap();
                    if self.down.contains(&broker) {
                        self.client.handle_closed(link, "connection refused", self.now)?;
                    } else {
                        self.links.insert(link, broker);
                        self.client.handle_connected(link, self.now);
                    }
                }
                LinkCommand::Send { link, segments } => {
                    let request = segments.concat().split_off(4);
                    if request[..2] == PRODUCE {
                        self.produced.push(request.clone());
                    }
                    let fates = &mut self.fates;
                    let fate = || fates.pop_front().unwrap_or(Fate::Fair);
                    let reply = self.cluster.handle(self.links[&link], &request, fate);
                    if self.holds {
                        self.held.push_back((link, reply));
                    } else {
                        self.reply(link, &reply)?;
                    }
                }
                LinkCommand::Close { link } => {
                    self.links.remove(&link);
                }
            }
        }
        Ok(())
    }

    fn reply(&mut self, link: LinkId, reply: &[u8]) -> Result<(), ClientError> {
        let Some(inbox) = self.client.inbox(link) else { return Ok(()) };
        let mut space = inbox.take_space().unwrap();
        space.bytes[space.filled..][..reply.len()].copy_from_slice(reply);
        inbox.give_back(space, reply.len());
        self.client.handle_received(link, self.now)
    }

    fn release(&mut self) {
        self.holds = false;
        while let Some((link, reply)) = self.held.pop_front() {
            self.reply(link, &reply).unwrap();
        }
        self.pump().unwrap();
    }

    /// Lets time pass, calling the client whenever it wants to be called.
    fn pass(&mut self, time: Duration) -> Result<(), ClientError> {
        let end = self.now + time;
        while let Some(deadline) = self.client.deadline().filter(|at| *at <= end) {
            assert!(self.now <= deadline, "a deadline that has passed");
            self.now = deadline;
            self.client.handle_timeout(self.now)?;
            self.pump()?;
        }
        self.now = end;
        Ok(())
    }

    fn acknowledged(&mut self) -> Vec<BatchId> {
        let stored = std::iter::from_fn(|| self.client.next_acknowledged());
        stored.filter(|stored| stored.is_whole).map(|stored| stored.batch).collect()
    }

    fn values(&self, partition: usize) -> Vec<String> {
        let values = self.cluster.topics[TOPIC].logs[partition].values();
        values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn brokers_that_cannot_be_reached_at_the_start_are_named_with_the_reason() {
    let mut rig = Rig::new(|_| {});
    rig.down.extend([0, 1]);
    rig.pump().unwrap();
    assert!(matches!(rig.client.state(), ClientState::Starting { attempts: 1, .. }));
    rig.pass(SECOND * 29).unwrap();
    let error = rig.pass(SECOND * 2).unwrap_err();
    let text = error.to_string();
    for part in ["broker-0:9092: connection refused", "broker-1:9092", "30 s"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn brokers_whose_advertised_addresses_cannot_be_reached_are_named() {
    let mut rig = Rig::new(|config| config.bootstrap = vec![address(7)]);
    rig.client.topic(TOPIC, None);
    rig.down.extend([0, 1]);
    rig.pump().unwrap();
    let error = rig.pass(SECOND * 31).unwrap_err();
    assert!(error.to_string().contains("broker-1:9092: connection refused"), "{error}");
    assert!(!error.to_string().contains("broker-7"), "{error}");
}

#[test]
fn a_broker_that_is_too_old_is_named_with_what_it_lacks() {
    let mut rig = Rig::new(|config| config.bootstrap.truncate(1));
    rig.holds = true;
    rig.pump().unwrap();
    let (link, _) = rig.held.pop_front().unwrap();
    let error = rig.reply(link, &UNSUPPORTED).unwrap_err();
    assert!(matches!(&error, ClientError::UnsupportedBroker { api: "ApiVersions", .. }));
    assert!(error.to_string().contains("broker-0:9092"), "{error}");
}

#[test]
fn a_listener_that_wants_tls_or_sasl_is_hinted_at() {
    let mut rig = Rig::new(|config| config.startup_timeout = SECOND);
    rig.holds = true;
    rig.pump().unwrap();
    let (link, _) = rig.held.pop_front().unwrap();
    rig.reply(link, b"\x15\x03\x03\0\x02\x02\x46").unwrap();
    let (link, versions) = rig.held.pop_front().unwrap();
    rig.reply(link, &versions).unwrap();
    rig.pump().unwrap();
    rig.client.handle_closed(link, "closed by the peer", rig.now).unwrap();
    rig.down.extend([0, 1]);
    rig.now += SECOND;
    let text = rig.client.handle_timeout(rig.now).unwrap_err().to_string();
    assert!(text.contains("TLS") && text.contains("SASL"), "{text}");
}

#[test]
fn a_topic_that_may_not_be_used_is_an_error() {
    let mut rig = Rig::new(|_| {});
    rig.cluster.metadata_error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    rig.client.topic(TOPIC, None);
    let error = rig.pump().unwrap_err();
    assert!(error.to_string().contains("allow DESCRIBE and WRITE on the topic"), "{error}");
}

#[test]
fn a_missing_topic_is_created_as_asked_or_left_to_the_brokers() {
    let mut rig = Rig::new(|_| {});
    let new = NewTopic { partitions: 5, replication_factor: 1, settings: Vec::new() };
    let created = rig.client.topic("created", Some(&new));
    let left = rig.client.topic("left", None);
    rig.cluster.creates_topics = true;
    rig.pump().unwrap();
    rig.pass(SECOND).unwrap();
    assert_eq!(rig.client.topic_ready(created).unwrap().partitions, 5);
    assert_eq!(rig.client.topic_ready(left).unwrap().partitions, 2);
}

#[test]
fn a_record_goes_out_at_once_when_there_is_nothing_more_to_append() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    rig.client.set_starving(true);
    let first = rig.append(topic, 0, b"one");
    assert!(first.opened);
    rig.pump().unwrap();
    assert_eq!(rig.acknowledged(), [first.batch]);
    assert!(rig.client.is_idle());
    assert_eq!(rig.values(0), ["one"]);
    let stats = rig.client.stats();
    assert_eq!((stats.records, stats.batches, stats.requests, stats.retries), (1, 1, 1, 0));
}

#[test]
fn while_records_keep_coming_a_batch_waits_to_fill_but_not_for_long() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    rig.client.set_starving(false);
    rig.append(topic, 0, b"one");
    rig.pump().unwrap();
    rig.pass(Duration::from_millis(99)).unwrap();
    assert!(rig.produced.is_empty());
    rig.pass(Duration::from_millis(1)).unwrap();
    assert_eq!(rig.produced.len(), 1);
}

#[test]
fn linger_keeps_a_batch_open_and_flush_and_seal_do_not_wait_for_it() {
    let mut rig = Rig::new(|config| config.linger = SECOND);
    let topic = rig.topic();
    rig.client.set_starving(true);
    let first = rig.append(topic, 0, b"one");
    rig.pump().unwrap();
    rig.pass(SECOND / 2).unwrap();
    assert_eq!(rig.append(topic, 0, b"two"), Appended { opened: false, ..first });
    rig.append(topic, 1, b"other");
    assert!(rig.produced.is_empty());
    rig.client.seal(first.batch);
    rig.pump().unwrap();
    assert_eq!((rig.values(0).len(), rig.values(1).len()), (2, 0));
    rig.client.flush();
    rig.pump().unwrap();
    assert_eq!(rig.values(1), ["other"]);
}

#[test]
fn a_request_carries_one_batch_of_each_partition_of_its_broker() {
    let mut rig = Rig::new(|config| config.batch_bytes_max = 200);
    rig.cluster.add_topic("second", 2, 1_000);
    let topic = rig.topic();
    let second = rig.client.topic("second", None);
    rig.pump().unwrap();
    rig.pass(SECOND).unwrap();
    for _ in 0..3 {
        rig.append(topic, 0, &[b'a'; 90]);
        rig.append(second, 0, &[b'b'; 90]);
    }
    rig.append(topic, 1, b"other broker");
    rig.client.flush();
    rig.pump().unwrap();
    let mut requests = rig.cluster.requests.clone();
    requests.sort_unstable();
    assert_eq!(requests, [1, 2, 2, 2]);
}

#[test]
fn a_full_buffer_has_no_room_and_goes_out_though_nobody_starves() {
    let mut rig = Rig::new(|config| config.buffer_bytes_max = 500);
    let topic = rig.topic();
    rig.client.set_starving(false);
    while rig.client.has_room() {
        rig.append(topic, 0, &[b'v'; 50]);
    }
    rig.pump().unwrap();
    assert!(rig.client.has_room());
    assert_eq!(rig.produced.len(), 1);
}

#[test]
fn a_record_too_large_for_the_topic_is_refused_and_the_others_are_kept() {
    let mut rig = Rig::new(|_| {});
    rig.cluster.topics.get_mut(TOPIC).unwrap().batch_bytes_max = 300;
    let topic = rig.topic();
    let first = rig.append(topic, 0, b"one");
    let error = rig.try_append(topic, 0, &[b'v'; 400]).unwrap_err();
    assert_eq!(error, AppendError::RecordTooLarge { record_bytes: 471, bytes_max: 300 });
    let last = rig.append(topic, 0, b"two");
    assert!(last.opened);
    rig.client.flush();
    rig.pump().unwrap();
    assert_eq!(rig.acknowledged(), [first.batch, last.batch]);
    assert_eq!(rig.values(0), ["one", "two"]);
    assert!(rig.client.is_idle());
}

#[test]
fn a_topics_limit_is_for_the_compressed_record_and_the_requests_for_the_plain_one() {
    for compression in ALL {
        let mut rig = Rig::new(|config| {
            config.compression = compression;
            config.request_bytes_max = 5_000;
        });
        rig.cluster.topics.get_mut(TOPIC).unwrap().batch_bytes_max = 300;
        let topic = rig.topic();
        let batch = rig.append(topic, 0, &[b'v'; 4_000]).batch;
        let error = rig.try_append(topic, 0, &[b'v'; 6_000]).unwrap_err();
        assert_eq!(error, AppendError::RecordTooLarge { record_bytes: 6_071, bytes_max: 5_000 });
        rig.client.flush();
        assert!(rig.client.stats().buffered_bytes < 300, "what is held is what is sent");
        rig.pump().unwrap();
        assert_eq!(rig.acknowledged(), [batch]);
        assert_eq!(rig.values(0), ["v".repeat(4_000)]);
        assert!(rig.client.is_idle());
    }
}

#[test]
fn halves_of_a_compressed_batch_are_compressed_too() {
    for compression in [Compression::Gzip { level: 9 }, Compression::Zstd { level: 3 }] {
        let mut rig = Rig::new(|config| config.compression = compression);
        rig.cluster.topics.get_mut(TOPIC).unwrap().batch_bytes_max = 700;
        rig.cluster.hides_settings = true;
        let topic = rig.topic();
        // Digits get smaller by half, whatever stands before them.
        let digits = |i: u64| {
            format!("{:060}", (i + 1).wrapping_mul(7_046_029_254_386_353_131) % 10_u64.pow(18))
        };
        let value = |i: u64| (0..4).map(|part| digits(4 * i + part)).collect::<String>();
        let wanted: Vec<_> = (0..24).map(value).collect();
        for value in &wanted {
            rig.append(topic, 0, value.as_bytes());
        }
        rig.client.flush();
        rig.pump().unwrap();
        assert_eq!(rig.values(0), wanted);
        let batches = &rig.cluster.topics[TOPIC].logs[0].batches;
        assert!(1 < batches.len(), "it was split");
        assert!(batches.iter().all(|batch| batch[22] != 0), "{compression:?}");
        assert!(rig.client.is_idle());
    }
}

#[test]
fn batches_too_large_for_a_topic_that_hides_its_limit_are_split_until_they_fit() {
    let mut rig = Rig::new(|_| {});
    rig.cluster.topics.get_mut(TOPIC).unwrap().batch_bytes_max = 300;
    rig.cluster.hides_settings = true;
    let topic = rig.topic();
    let batch = rig.append(topic, 0, &[b'0'; 60]).batch;
    for i in 1..10 {
        assert_eq!(rig.append(topic, 0, &[b'0' + i; 60]).batch, batch);
    }
    rig.client.flush();
    rig.pump().unwrap();
    assert_eq!(rig.acknowledged(), [batch]);
    let wanted: Vec<_> = (0..10).map(|i| i.to_string().repeat(60)).collect();
    assert_eq!(rig.values(0), wanted);
    rig.append(topic, 0, &[b'v'; 500]);
    rig.client.flush();
    let error = rig.pump().unwrap_err();
    assert!(matches!(error, ClientError::RecordTooLarge { record_bytes: 571, .. }), "{error}");
}

#[test]
fn an_answer_that_does_not_come_costs_the_connection_and_the_same_bytes_go_again() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    rig.holds = true;
    let batch = rig.append(topic, 0, b"one").batch;
    rig.client.flush();
    rig.pump().unwrap();
    let connects = rig.connects;
    rig.pass(SECOND * 29).unwrap();
    assert_eq!(rig.connects, connects);
    rig.held.clear();
    rig.holds = false;
    rig.pass(SECOND * 2).unwrap();
    assert_eq!(rig.connects, connects + 1);
    assert_eq!(rig.acknowledged(), [batch]);
    assert_eq!(rig.values(0), ["one"], "the broker recognised it");
    let [first, second] = &rig.produced[..] else { panic!("two requests") };
    assert_eq!(first[8..], second[8..], "all but the correlation id");
}

#[test]
fn a_partition_moves_to_its_new_leader() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    rig.cluster.topics.get_mut(TOPIC).unwrap().logs[0].leader = 1;
    let batch = rig.append(topic, 0, b"one").batch;
    rig.client.flush();
    rig.pump().unwrap();
    assert!(matches!(rig.client.state(), ClientState::Retrying { .. }));
    rig.pass(SECOND).unwrap();
    assert_eq!(rig.acknowledged(), [batch]);
    assert_eq!(rig.client.state(), ClientState::Serving);
}

#[test]
fn a_batch_that_the_broker_stored_and_denies_is_found_in_the_log() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    let lie = Fate::Denied(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    rig.fates.extend([Fate::Fair, lie]);
    let mut batches = Vec::new();
    for value in ["one", "two", "three"] {
        batches.push(rig.append(topic, 0, value.as_bytes()).batch);
        rig.client.flush();
        rig.pump().unwrap();
    }
    rig.pass(SECOND).unwrap();
    assert_eq!(rig.acknowledged(), batches);
    assert_eq!(rig.values(0), ["one", "two", "three"]);
}

#[test]
fn a_producer_that_was_fenced_reads_back_and_goes_on_under_a_new_id() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    let first_id = rig.cluster.next_producer_id;
    for value in ["one", "two"] {
        rig.append(topic, 0, value.as_bytes());
        rig.client.flush();
        rig.pump().unwrap();
        rig.cluster.topics.get_mut(TOPIC).unwrap().logs[0].fence_producers();
    }
    rig.pass(SECOND).unwrap();
    assert_eq!(rig.values(0), ["one", "two"]);
    assert_eq!(rig.acknowledged().len(), 2);
    assert_eq!(rig.cluster.next_producer_id, first_id + 1);
}

#[test]
fn a_producer_that_was_forgotten_sends_only_what_is_not_in_the_log() {
    let mut rig = Rig::new(|_| {});
    rig.cluster.refuses_unknown = true;
    let topic = rig.topic();
    for value in ["one", "two"] {
        rig.append(topic, 0, value.as_bytes());
        rig.client.flush();
        rig.pump().unwrap();
        rig.cluster.topics.get_mut(TOPIC).unwrap().logs[0].forget_producers();
    }
    rig.pass(SECOND).unwrap();
    assert_eq!(rig.values(0), ["one", "two"]);
}

#[test]
fn a_record_that_is_not_acknowledged_in_time_is_an_error_if_there_is_a_time() {
    let mut rig = Rig::new(|config| config.delivery_timeout = Some(SECOND * 5));
    let topic = rig.topic();
    rig.fates.extend([Fate::Refused(ErrorCode::NOT_ENOUGH_REPLICAS); 100]);
    rig.append(topic, 0, b"one");
    rig.client.flush();
    rig.pump().unwrap();
    rig.pass(SECOND * 4).unwrap();
    let error = rig.pass(SECOND * 2).unwrap_err();
    assert!(error.to_string().contains("NOT_ENOUGH_REPLICAS"), "{error}");
}

#[test]
fn a_connection_that_the_broker_closes_for_idleness_is_opened_again_with_the_next_batch() {
    let mut rig = Rig::new(|_| {});
    let topic = rig.topic();
    while rig.client.next_notice().is_some() {}
    let (connects, links) = (rig.connects, std::mem::take(&mut rig.links));
    for link in links.into_keys() {
        rig.client.handle_closed(link, "closed by the peer", rig.now).unwrap();
    }
    rig.pump().unwrap();
    rig.pass(SECOND * 60).unwrap();
    assert_eq!((rig.connects, rig.client.next_notice()), (connects, None));
    rig.append(topic, 1, b"one");
    rig.client.flush();
    rig.pump().unwrap();
    assert_eq!(rig.values(1), ["one"]);
}

#[test]
fn without_idempotence_one_request_is_in_flight_per_broker() {
    let mut rig = Rig::new(|config| config.acks = Acks::Leader);
    let topic = rig.topic();
    rig.holds = true;
    for value in ["one", "two", "three"] {
        rig.append(topic, 0, value.as_bytes());
        rig.client.flush();
        rig.pump().unwrap();
    }
    assert_eq!(rig.produced.len(), 1);
    rig.release();
    assert_eq!(rig.values(0), ["one", "two", "three"]);
    assert_eq!(rig.cluster.next_producer_id, 1_000, "no producer id was asked for");
}

#[test]
fn a_batch_that_is_compressed_elsewhere_keeps_the_client_busy_and_is_sent_again_with_the_same_bytes()
 {
    let mut rig = Rig::new(|config| {
        config.compression = ALL[0];
        config.compression_threads = 1;
    });
    let topic = rig.topic();
    let batch = rig.append(topic, 1, &[b'x'; 5_000]).batch;
    rig.client.set_starving(true);
    rig.pump().unwrap();
    let job = rig.client.next_seal_job().expect("the batch was closed");
    assert!(!rig.client.is_idle() && rig.produced.is_empty());
    let error = rig.client.seal_lost(job.id(), "it panicked").to_string();
    assert!(
        error.contains("partition 1 of topic orders") && error.contains("it panicked"),
        "{error}"
    );
    rig.fates.push_back(Fate::Refused(ErrorCode::NOT_ENOUGH_REPLICAS));
    rig.client.handle_sealed(job.run());
    rig.pump().unwrap();
    rig.pass(Duration::from_secs(1)).unwrap();
    let [first, again] = rig.produced.as_slice() else { panic!("{}", rig.produced.len()) };
    // Behind the header with the number of the request.
    assert_eq!(first[8..], again[8..]);
    assert_eq!(rig.acknowledged(), [batch]);
    assert!(rig.client.is_idle());
}
