//! A client and fake brokers, joined without a network.
//!
//! Answers come at once, unless they are held back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::kafka::fake_broker::{FakeCluster, Fate, address};
use crate::kafka::{AppendError, Appended, BatchId, Client, ClientConfig, ClientError, TopicId};
use crate::link::{LinkCommand, LinkId, LinkIds};

/// A topic of two partitions, each on its own broker.
pub(crate) const TOPIC: &str = "orders";
const PRODUCE: [u8; 2] = [0, 0];

/// See the module.
pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) ids: LinkIds,
    pub(crate) now: Instant,
    pub(crate) cluster: FakeCluster,
    pub(crate) links: BTreeMap<LinkId, usize>,
    pub(crate) down: BTreeSet<usize>,
    pub(crate) fates: VecDeque<Fate>,
    /// Produce requests received, without their size.
    pub(crate) produced: Vec<Vec<u8>>,
    pub(crate) holds: bool,
    pub(crate) held: VecDeque<(LinkId, Vec<u8>)>,
    pub(crate) connects: usize,
}

impl Rig {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    pub(crate) fn new(change: impl FnOnce(&mut ClientConfig)) -> Self {
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

    pub(crate) fn topic(&mut self) -> TopicId {
        let topic = self.client.topic(TOPIC, None);
        self.pump().unwrap();
        assert!(self.client.topic_ready(topic).is_some());
        topic
    }

    pub(crate) fn append(&mut self, topic: TopicId, partition: u32, value: &[u8]) -> Appended {
        self.try_append(topic, partition, value).unwrap()
    }

    pub(crate) fn try_append(
        &mut self,
        topic: TopicId,
        partition: u32,
        value: &[u8],
    ) -> Result<Appended, AppendError> {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(value);
        self.client.append(topic, partition, Some(b"k"), 1_000, value.len(), write)
    }

    /// Does what the client wants until it wants nothing more.
    pub(crate) fn pump(&mut self) -> Result<(), ClientError> {
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

    pub(crate) fn reply(&mut self, link: LinkId, reply: &[u8]) -> Result<(), ClientError> {
        let Some(inbox) = self.client.inbox(link) else { return Ok(()) };
        let mut space = inbox.take_space().unwrap();
        space.bytes[space.filled..][..reply.len()].copy_from_slice(reply);
        inbox.give_back(space, reply.len());
        self.client.handle_received(link, self.now)
    }

    pub(crate) fn release(&mut self) {
        self.holds = false;
        while let Some((link, reply)) = self.held.pop_front() {
            self.reply(link, &reply).unwrap();
        }
        self.pump().unwrap();
    }

    /// Lets time pass, calling the client whenever it wants to be called.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), ClientError> {
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

    pub(crate) fn acknowledged(&mut self) -> Vec<BatchId> {
        let stored = std::iter::from_fn(|| self.client.next_acknowledged());
        stored.filter(|stored| stored.is_whole).map(|stored| stored.batch).collect()
    }

    pub(crate) fn values(&self, partition: usize) -> Vec<String> {
        let values = self.cluster.topics[TOPIC].logs[partition].values();
        values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }
}
