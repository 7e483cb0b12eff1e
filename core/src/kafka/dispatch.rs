//! What happened on the network, handed to whom it concerns.
//!
//! An answer that is not what the protocol says costs its connection, not the client: whatever was
//! asked there and not answered is asked again, elsewhere or later.

use std::time::Instant;

use crate::kafka::api::create_topics;
use crate::kafka::api::describe_configs::TopicSettings;
use crate::kafka::api::fetch::Fetched;
use crate::kafka::api::metadata::{self, Metadata};
use crate::kafka::api::{
    Api, api_versions, init_producer_id, list_offsets, sasl_authenticate, sasl_handshake,
};
use crate::kafka::client::Client;
use crate::kafka::client_error::ClientError;
use crate::kafka::cluster::{Lost, NodeIndex};
use crate::kafka::connection::{Answer, Call, Phase};
use crate::kafka::errors::ErrorCode;
use crate::kafka::partition::Flow;
use crate::kafka::sasl::{LoginFailure, SaslError, Undecided};
use crate::kafka::topics::TopicId;
use crate::kafka::wire::WireError;
use crate::link::LinkId;

/// Why an answer could not be dealt with.
enum Fault {
    /// It is not what the protocol says: the connection is given up.
    Wire(WireError),
    /// The broker does not tell its versions: the connection is given up.
    Versions(ErrorCode),
    /// The broker cannot tell whether to let us in: the connection is given up.
    Undecided(Undecided),
    Client(ClientError),
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Client {
    /// A connection is open.
    pub fn handle_connected(&mut self, link: LinkId, now: Instant) {
        self.now = now;
        if let Some(node) = self.cluster.node_of_link(link) {
            self.cluster.handle_connected(node, now);
        }
    }

    /// A connection was closed, or could not be opened.
    pub fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &str,
        now: Instant,
    ) -> Result<(), ClientError> {
        self.now = now;
        let Some(node) = self.cluster.node_of_link(link) else { return Ok(()) };
        let hint = match self.cluster.connection(node).map(|connection| connection.phase) {
            Some(Phase::Versions) => " when asked for its versions; does this listener want TLS?",
            Some(Phase::Authenticating) => " while we logged in",
            Some(Phase::Renewing) => " while we logged in again",
            Some(Phase::Ready) if !self.cluster.is_known() && !self.cluster.has_sasl() => {
                " when asked for metadata; does this listener want SASL?"
            }
            Some(Phase::Connecting | Phase::Ready) | None => "",
        };
        let lost = self.cluster.lose(node, &format!("{reason}{hint}"), now);
        self.after_lost(lost, &format!("{reason}{hint}"), now)
    }

    /// Gives up a connection from our side.
    pub(super) fn give_up(
        &mut self,
        node: NodeIndex,
        reason: &str,
        now: Instant,
    ) -> Result<(), ClientError> {
        let lost = self.cluster.close(node, reason, now);
        self.after_lost(lost, reason, now)
    }

    fn after_lost(
        &mut self,
        lost: Option<Lost>,
        reason: &str,
        now: Instant,
    ) -> Result<(), ClientError> {
        let Some(lost) = lost else { return Ok(()) };
        // The first failures are told one by one, later ones ever more rarely.
        if lost.attempts.is_power_of_two() {
            let (address, attempts) = (&lost.address, lost.attempts);
            self.notices.warn(format!("broker {address}: {reason}; attempt {attempts} failed"));
        }
        if lost.attempts != 0 && self.cluster.is_known() {
            self.refresh.hurry(now);
        }
        for call in &lost.calls {
            self.handle_unanswered(call, now)?;
        }
        Ok(())
    }

    fn handle_unanswered(&mut self, call: &Call, now: Instant) -> Result<(), ClientError> {
        match call {
            // Asked once for each connection, and again for the next.
            Call::ApiVersions | Call::SaslHandshake | Call::SaslAuthenticate(_) => {}
            Call::Metadata => self.refresh.failed(now),
            Call::AutoCreate(id) | Call::CreateTopic(id) | Call::DescribeConfigs(id) => {
                self.topics.ask_again(*id, now);
            }
            Call::InitProducerId => self.producer.identity_wish.ask_again(now),
            Call::ListOffsets(slot) | Call::Fetch(slot) => {
                self.producer.handle_tail_lost(*slot, now);
            }
            Call::Produce(sent) => {
                self.producer.handle_lost(sent, &self.topics, &mut self.notices, now)?;
            }
        }
        Ok(())
    }

    /// Bytes were received: the driver has given them back to [`Client::inbox`].
    pub fn handle_received(&mut self, link: LinkId, now: Instant) -> Result<(), ClientError> {
        self.now = now;
        let Some(node) = self.cluster.node_of_link(link) else { return Ok(()) };
        while let Some(connection) = self.cluster.connection_mut(node) {
            let answer = match connection.next_answer(now) {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(error) => {
                    self.give_up(node, &error.to_string(), now)?;
                    break;
                }
            };
            match self.handle_answer(node, &answer, now) {
                Ok(()) => {
                    if let Some(connection) = self.cluster.connection_mut(node) {
                        connection.consume(&answer);
                    }
                }
                Err(Fault::Client(error)) => return Err(error),
                Err(fault) => {
                    let what = answer.call.api().name();
                    let reason = match fault {
                        Fault::Wire(error) => format!("the answer to {what} is malformed: {error}"),
                        Fault::Versions(error) => format!("{what} was answered with {error}"),
                        Fault::Undecided(error) => error.to_string(),
                        Fault::Client(error) => error.to_string(),
                    };
                    self.handle_unanswered(&answer.call, now)?;
                    self.give_up(node, &reason, now)?;
                }
            }
        }
        Ok(())
    }

    fn handle_answer(
        &mut self,
        node: NodeIndex,
        answer: &Answer,
        now: Instant,
    ) -> Result<(), Fault> {
        let Some(connection) = self.cluster.connection(node) else { return Ok(()) };
        let body = &mut connection.body(answer);
        let (topics, notices) = (&self.topics, &mut self.notices);
        match &answer.call {
            Call::ApiVersions => {
                let has_sasl = self.cluster.has_sasl();
                let speaks = |api: Api| !api.is_of_groups() && (has_sasl || !api.is_sasl());
                let answer = api_versions::read_answer(body, speaks)?;
                self.handle_versions(node, answer, now)?;
            }
            Call::SaslHandshake => {
                let answer = sasl_handshake::read_answer(body)?;
                let taken = self.cluster.handle_handshake(node, answer, now);
                taken.map_err(|error| self.not_let_in(node, error))?;
            }
            Call::SaslAuthenticate(conversation) => {
                let answer = sasl_authenticate::read_answer(body)?;
                let taken = self.cluster.handle_said(node, conversation, &answer, now);
                taken.map_err(|failure| match failure {
                    LoginFailure::Final(error) => Fault::Client(self.not_let_in(node, error)),
                    LoginFailure::Passing(error) => Fault::Undecided(error),
                })?;
            }
            Call::Metadata => {
                let metadata = Metadata::read(body)?;
                self.handle_metadata(&metadata, None, now)?;
            }
            Call::AutoCreate(id) => {
                let metadata = Metadata::read(body)?;
                self.handle_metadata(&metadata, Some(*id), now)?;
            }
            Call::CreateTopic(id) => {
                let (error, message) = create_topics::read_answer(body)?;
                self.handle_created(*id, error, message, now)?;
            }
            Call::DescribeConfigs(id) => {
                let settings = TopicSettings::read(body)?;
                self.topics.handle_settings(*id, settings, now);
            }
            Call::InitProducerId => {
                let answer = init_producer_id::read_answer(body)?;
                self.producer.handle_identity(answer, topics, notices, now)?;
            }
            Call::ListOffsets(slot) => {
                let answer = list_offsets::read_answer(body)?;
                if self.producer.handle_offset(*slot, answer, topics, notices, now)? {
                    self.refresh.hurry(now);
                }
            }
            Call::Fetch(slot) => {
                let fetched = Fetched::read(body)?;
                if self.producer.handle_fetched(*slot, fetched, topics, notices, now)? {
                    self.refresh.hurry(now);
                }
            }
            Call::Produce(sent) => {
                if self.producer.handle_produced(sent, body, topics, notices, now)?? {
                    self.refresh.hurry(now);
                }
            }
        }
        Ok(())
    }

    fn handle_versions(
        &mut self,
        node: NodeIndex,
        answer: Result<Option<api_versions::Unsupported>, ErrorCode>,
        now: Instant,
    ) -> Result<(), Fault> {
        let (api, offered) = match answer {
            Ok(None) => {
                self.cluster.handle_versions(node, now);
                return Ok(());
            }
            Ok(Some(unsupported)) => (unsupported.api, unsupported.offered),
            Err(ErrorCode::UNSUPPORTED_VERSION) => (Api::ApiVersions, None),
            Err(error) => return Err(Fault::Versions(error)),
        };
        let Some(address) = self.cluster.address(node).cloned() else { return Ok(()) };
        let (api, version) = (api.name(), api.version());
        Err(ClientError::UnsupportedBroker { address, api, version, offered }.into())
    }

    fn not_let_in(&self, node: NodeIndex, error: SaslError) -> ClientError {
        let address = self.cluster.address(node).map(ToString::to_string).unwrap_or_default();
        ClientError::Authentication { broker: address, error }
    }

    fn handle_created(
        &mut self,
        id: TopicId,
        error: ErrorCode,
        message: Option<String>,
        now: Instant,
    ) -> Result<(), ClientError> {
        if error.is_none() {
            self.notices.info(format!("created topic {}", self.topics.name(id)));
        }
        self.topics.handle_created(id, error, message, now)?;
        self.refresh.hurry(now);
        Ok(())
    }

    /// Takes over brokers, topics and leaders. `auto`: the one topic that was asked for, with leave
    /// to create it.
    fn handle_metadata(
        &mut self,
        metadata: &Metadata,
        auto: Option<TopicId>,
        now: Instant,
    ) -> Result<(), ClientError> {
        for node in self.cluster.handle_metadata(metadata) {
            self.give_up(node, "the broker has another address now", now)?;
        }
        let mut is_complete = true;
        for topic in &metadata.topics {
            let Some(id) = self.topics.find(&topic.name) else { continue };
            if topic.error.is_none() && !topic.partitions.is_empty() {
                is_complete &= self.handle_leaders(id, topic, now);
                self.topics.handle_found(id);
            } else {
                is_complete = false;
                let may_create = auto.is_some();
                self.topics.handle_error(id, topic.error, may_create, now)?;
            }
        }
        if auto.is_none() {
            self.refresh.answered(is_complete && !self.topics.wants_metadata(), now);
        }
        Ok(())
    }

    /// Takes over the leaders of a topic. `false` if one is missing.
    fn handle_leaders(&mut self, id: TopicId, found: &metadata::Topic, now: Instant) -> bool {
        let Some(topic) = self.topics.get_mut(id) else { return true };
        while topic.slots.len() < found.partitions.len() {
            let index = topic.slots.len() as i32;
            topic.slots.push(self.producer.add(id, index));
        }
        topic.facts.partitions = topic.slots.len() as u32;
        let mut is_complete = true;
        for found in &found.partitions {
            let slot = usize::try_from(found.index).ok().and_then(|i| topic.slots.get(i));
            let Some(partition) = slot.and_then(|slot| self.producer.partitions.get_mut(slot.0))
            else {
                continue;
            };
            let leader = found.leader.and_then(|broker| self.cluster.node_of_broker(broker));
            is_complete &= leader.is_some();
            if leader.is_none() || partition.leader == leader {
                continue;
            }
            if partition.leader.is_some() {
                let (name, index) = (&topic.name, partition.index);
                self.notices.info(format!("partition {index} of topic {name} has another leader"));
                if let Flow::Waiting { until } = &mut partition.flow {
                    *until = now;
                }
            }
            partition.leader = leader;
            if let Some(leader) = leader {
                self.cluster.want(leader);
            }
        }
        is_complete
    }
}
