//! Asks the brokers of a cluster: finds the one to ask, and asks again until it is answered.
//!
//! ```text
//!  a question ──► to any broker, the controller, the leader of a partition, a coordinator
//!      ▲               │ found by Metadata or FindCoordinator, kept until something fails
//!      │ pause         ▼
//!      └──────── connection, kept for the next question ──► answer
//!        what may pass                                 └──► what does not pass, or not in time: an error
//! ```
//!
//! A question whose future is dropped costs its connection and nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_core::kafka::ErrorCode;
use millrace_core::kafka::api::Api;
use millrace_core::kafka::api::find_coordinator::{self, CoordinatorKey, NoCoordinator};
use millrace_core::kafka::api::metadata::{self, Metadata};
use millrace_core::kafka::wire::{Reader, WireError};
use millrace_core::link::Address;
use millrace_core::recovery::Backoff;
use millrace_io::clock;

use super::connection::{Cluster, Connection};
use super::error::KafkaError;

/// How long one broker may take for one answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long brokers may stay away, or say what passes, before that is an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between attempts.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(100);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Between the two looks for a topic that does not seem to be there.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// By partition of a topic, who leads it; `None`: nobody at the moment.
pub(super) type Leaders = BTreeMap<i32, Option<Address>>;

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To<'a> {
    Any,
    Controller,
    Leader { topic: &'a str, partition: i32 },
    Coordinator(CoordinatorKey<'a>),
}

/// What is asked for, and of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) api: Api,
    pub(crate) to: To<'a>,
    /// What it is about, for an error: `topic connect-configs`.
    pub(crate) about: &'a str,
}

/// A broker says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: ErrorCode,
    pub(crate) message: Option<String>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}

impl Question<'_> {
    pub(super) fn refused(&self, Refusal { error, message }: Refusal) -> KafkaError {
        KafkaError::Refused {
            request: self.api.name(),
            about: self.about.to_owned(),
            error,
            message,
        }
    }
}

/// See the module.
pub(crate) struct Client {
    cluster: Cluster,
    connections: BTreeMap<Address, Connection>,
    controller: Option<Address>,
    leaders: BTreeMap<String, Leaders>,
}

impl Client {
    /// Connects when it is asked something.
    pub(crate) fn new(cluster: Cluster) -> Self {
        let (connections, leaders) = (BTreeMap::new(), BTreeMap::new());
        Self { cluster, connections, controller: None, leaders }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Asks until there is an answer. `write` appends the body of the request, `read` reads that of an answer and says
    /// whether the broker refuses; both may be called again.
    ///
    /// # Errors
    /// What does not pass, or what was last in the way when the time was up.
    pub(crate) async fn ask<T, R: Into<Refusal>>(
        &mut self,
        question: Question<'_>,
        write: impl Fn(&mut Vec<u8>),
        read: impl Fn(&mut Reader<'_>) -> Result<Result<T, R>, WireError>,
    ) -> Result<T, KafkaError> {
        let mut patience = Patience::new();
        loop {
            match self.attempt(question, &write, &read).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    self.forget();
                    patience.pause(error).await?;
                }
            }
        }
    }

    /// The numbers of the partitions of `topic`, in order; none if the broker that is asked does not know it, which
    /// another may. `may_create`: the broker may then create it, if it creates topics by itself.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn partitions(
        &mut self,
        topic: &str,
        may_create: bool,
    ) -> Result<Vec<i32>, KafkaError> {
        let mut patience = Patience::new();
        loop {
            match self.learn(topic, may_create).await {
                Ok(leaders) => return Ok(leaders.into_keys().collect()),
                Err(error) => patience.pause(error).await?,
            }
        }
    }

    /// The same of a topic that was there before: that a broker does not know it may pass.
    ///
    /// # Errors
    /// As [`Client::ask`], and [`KafkaError::Vanished`].
    pub(crate) async fn partitions_there(&mut self, topic: &str) -> Result<Vec<i32>, KafkaError> {
        let mut patience = Patience::new();
        loop {
            let error = match self.look_everywhere(topic).await {
                Ok(partitions) if !partitions.is_empty() => return Ok(partitions),
                Ok(_) => KafkaError::Vanished { topic: topic.to_owned() },
                Err(error) => error,
            };
            patience.pause(error).await?;
        }
    }

    /// The same of a topic that may not be there: none if no broker of the cluster knows it, asked twice. One
    /// broker is not believed: it may not have heard of the topic yet, or the topic is just being made anew.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) async fn partitions_anywhere(
        &mut self,
        topic: &str,
    ) -> Result<Vec<i32>, KafkaError> {
        let mut patience = Patience::new();
        let mut is_second = false;
        loop {
            match self.look_everywhere(topic).await {
                Ok(partitions) if is_second || !partitions.is_empty() => return Ok(partitions),
                Ok(_) => {
                    is_second = true;
                    clock::wait(LOOK_PAUSE).await;
                }
                Err(error) => patience.pause(error).await?,
            }
        }
    }

    /// Asks broker after broker, until one knows `topic`. If none does, each must have said so.
    async fn look_everywhere(&mut self, topic: &str) -> Result<Vec<i32>, KafkaError> {
        let mut connection = self.any().await?;
        let brokers = ask_metadata(&mut connection, None, false).await?.brokers;
        self.keep(connection);
        let mut absence = Ok(Vec::new());
        for broker in brokers {
            match self.look_at(&broker.address, topic).await {
                Ok(leaders) if leaders.is_empty() => {}
                Ok(leaders) => return Ok(leaders.into_keys().collect()),
                Err(error) => absence = Err(error),
            }
        }
        absence
    }

    async fn look_at(&mut self, broker: &Address, topic: &str) -> Result<Leaders, KafkaError> {
        let connection = self.connect(broker).await?;
        self.learn_from(connection, topic, false).await
    }

    /// Who leads the partitions of `topic`, as it was known last; asks once where nothing is known.
    pub(super) async fn leaders(&mut self, topic: &str) -> Result<Leaders, KafkaError> {
        match self.leaders.get(topic) {
            Some(leaders) => Ok(leaders.clone()),
            None => self.learn(topic, false).await,
        }
    }

    /// Something failed: what is known of brokers may be old.
    pub(super) fn forget(&mut self) {
        self.controller = None;
        self.leaders.clear();
    }

    async fn attempt<T, R: Into<Refusal>>(
        &mut self,
        question: Question<'_>,
        write: impl FnOnce(&mut Vec<u8>),
        read: impl FnOnce(&mut Reader<'_>) -> Result<Result<T, R>, WireError>,
    ) -> Result<T, KafkaError> {
        let mut connection = self.find(question).await?;
        let answer = connection.request(question.api, write, read, ANSWER_TIMEOUT).await?;
        self.keep(connection);
        answer.map_err(|refusal| question.refused(refusal.into()))
    }

    /// A connection to whom is to be asked.
    async fn find(&mut self, question: Question<'_>) -> Result<Connection, KafkaError> {
        match question.to {
            To::Any => self.any().await,
            To::Controller => {
                if self.controller.is_none() {
                    let mut connection = self.any().await?;
                    let metadata = ask_metadata(&mut connection, None, false).await?;
                    self.keep(connection);
                    self.note(&metadata);
                }
                // Brokers that have no controller of their own pass on what is for it.
                match self.controller.clone() {
                    Some(controller) => self.connect(&controller).await,
                    None => self.any().await,
                }
            }
            To::Leader { topic, partition } => {
                let leader = self.leaders(topic).await?.remove(&partition).flatten();
                let unknown = || question.refused(ErrorCode::LEADER_NOT_AVAILABLE.into());
                self.connect(&leader.ok_or_else(unknown)?).await
            }
            To::Coordinator(key) => {
                let mut connection = self.any().await?;
                let write = |out: &mut Vec<u8>| find_coordinator::write_request(out, key);
                let api = Api::FindCoordinator;
                let found = connection
                    .request(api, write, find_coordinator::read_answer, ANSWER_TIMEOUT)
                    .await?;
                self.keep(connection);
                let refused = |NoCoordinator { error, message }| {
                    Question { api, ..question }.refused(Refusal { error, message })
                };
                self.connect(&found.map_err(refused)?.address).await
            }
        }
    }

    /// A connection to whichever broker lets us in.
    async fn any(&mut self) -> Result<Connection, KafkaError> {
        while let Some((_, connection)) = self.connections.pop_first() {
            if connection.is_usable() {
                return Ok(connection);
            }
        }
        let mut attempts = Vec::new();
        for broker in &self.cluster.bootstrap {
            match Connection::open(&self.cluster, broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.may_pass() => attempts.push(error),
                Err(error) => return Err(error),
            }
        }
        Err(KafkaError::Unreachable { attempts })
    }

    async fn connect(&mut self, broker: &Address) -> Result<Connection, KafkaError> {
        match self.take(broker) {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.cluster, broker).await,
        }
    }

    /// A connection to `broker` that is there and can be used.
    pub(super) fn take(&mut self, broker: &Address) -> Option<Connection> {
        self.connections.remove(broker).filter(Connection::is_usable)
    }

    /// Keeps a connection for another question.
    pub(super) fn keep(&mut self, connection: Connection) {
        self.connections.insert(connection.broker().clone(), connection);
    }

    async fn learn(&mut self, topic: &str, may_create: bool) -> Result<Leaders, KafkaError> {
        let connection = self.any().await?;
        self.learn_from(connection, topic, may_create).await
    }

    async fn learn_from(
        &mut self,
        mut connection: Connection,
        topic: &str,
        may_create: bool,
    ) -> Result<Leaders, KafkaError> {
        let metadata = ask_metadata(&mut connection, Some(topic), may_create).await?;
        self.keep(connection);
        self.note(&metadata);
        let address = |id| metadata.brokers.iter().find(|broker| Some(broker.id) == id);
        let known = metadata.topics.iter().find(|known| known.name == topic);
        let leaders: Leaders = match known.map(|known| (known.error, known)) {
            None | Some((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, _)) => return Ok(Leaders::new()),
            Some((ErrorCode::NONE, known)) => {
                let leader = |id| address(id).map(|broker| broker.address.clone());
                known.partitions.iter().map(|one| (one.index, leader(one.leader))).collect()
            }
            Some((error, _)) => {
                let about = &format!("topic {topic}");
                let question = Question { api: Api::Metadata, to: To::Any, about };
                return Err(question.refused(error.into()));
            }
        };
        self.leaders.insert(topic.to_owned(), leaders.clone());
        Ok(leaders)
    }

    fn note(&mut self, metadata: &Metadata) {
        let controller = metadata.brokers.iter().find(|broker| broker.id == metadata.controller);
        self.controller = controller.map(|broker| broker.address.clone());
    }
}

async fn ask_metadata(
    connection: &mut Connection,
    topic: Option<&str>,
    may_create: bool,
) -> Result<Metadata, KafkaError> {
    let write = |out: &mut Vec<u8>| {
        let topics: Vec<_> = topic.into_iter().collect();
        metadata::write_request(out, topics.into_iter(), may_create);
    };
    let metadata = connection.request(Api::Metadata, write, Metadata::read, ANSWER_TIMEOUT).await?;
    if metadata.brokers.is_empty() {
        // What it says of topics is worth as little.
        return Err(KafkaError::Ignorant { broker: connection.broker().clone() });
    }
    Ok(metadata)
}

/// How often and how long something is tried.
pub(super) struct Patience {
    ends: Instant,
    backoff: Backoff,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { ends: clock::now() + PATIENCE, backoff: Backoff::new(PAUSE_FIRST, PAUSE_MAX) }
    }

    /// Waits before another attempt; the error if there is to be none.
    pub(super) async fn pause(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        let next = self.backoff.fail(clock::now());
        if !error.may_pass() || self.ends < next {
            return Err(error);
        }
        tracing::debug!("Kafka is asked again: {error}");
        clock::wait_until(Some(next)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::scripted_broker::ScriptedBroker;

    const TOPIC: &str = "connect-offsets";

    #[tokio::test]
    async fn topic_is_there_though_the_first_broker_has_not_heard_of_it() {
        let (first, second) =
            (ScriptedBroker::start(TOPIC, 3).await, ScriptedBroker::start(TOPIC, 3).await);
        first.state().brokers = vec![first.port(), second.port()];
        second.state().brokers = vec![second.port(), first.port()];
        second.state().exists = true;
        // Port 1: a broker that has died.
        first.state().brokers.insert(1, 1);
        let mut client = Client::new(first.cluster());
        assert_eq!(client.partitions_anywhere(TOPIC).await.unwrap(), [0, 1, 2]);
        let mut client = Client::new(first.cluster());
        assert_eq!(client.partitions_there(TOPIC).await.unwrap(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn topic_is_absent_only_if_it_is_twice() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        let mut client = Client::new(broker.cluster());
        assert_eq!(client.partitions_anywhere(TOPIC).await.unwrap(), Vec::<i32>::new());
        let made_anew = async {
            clock::wait(LOOK_PAUSE / 2).await;
            broker.state().exists = true;
        };
        let (partitions, ()) = tokio::join!(client.partitions_anywhere(TOPIC), made_anew);
        assert_eq!(partitions.unwrap(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn broker_that_knows_no_brokers_is_asked_again() {
        let broker = ScriptedBroker::start(TOPIC, 3).await;
        broker.state().brokers.clear();
        let mut client = Client::new(broker.cluster());
        let error = client.learn(TOPIC, false).await.unwrap_err();
        assert!(error.may_pass(), "{error}");
        let heard = async {
            clock::wait(LOOK_PAUSE * 3).await;
            let mut state = broker.state();
            state.exists = true;
            state.brokers.push(broker.port());
        };
        let (partitions, ()) = tokio::join!(client.partitions_anywhere(TOPIC), heard);
        assert_eq!(partitions.unwrap(), [0, 1, 2]);
    }
}
