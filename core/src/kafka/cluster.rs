//! The brokers, and one connection to each of those that are needed.
//!
//! A node is a broker that the cluster named, or an address of `bootstrap.servers` that no broker
//! has claimed yet (a seed). Until a broker has named the others, every seed is tried at once; from
//! then on a connection is opened to each broker that has something to get, and to any broker while
//! one is needed and none is there. A lost connection is opened again after a pause that doubles.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::inbox::Inbox;
use crate::kafka::api::metadata::Metadata;
use crate::kafka::api::produce::{self, Head, Part};
use crate::kafka::api::sasl_authenticate::AuthenticateAnswer;
use crate::kafka::api::sasl_handshake::HandshakeAnswer;
use crate::kafka::api::{api_versions, sasl_authenticate, sasl_handshake};
use crate::kafka::config::ClientConfig;
use crate::kafka::connection::{Call, Connection, Phase, Sent};
use crate::kafka::sasl::{self, Conversation, LoginFailure, Sasl, SaslError, Step};
use crate::kafka::wire::finish_request;
use crate::link::{Address, LinkCommand, LinkId, LinkIds, Protocol};
use crate::recovery::Backoff;

/// Place of a node in the cluster; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeIndex(usize);

#[derive(Debug)]
struct Node {
    /// `None`: a seed.
    broker: Option<i32>,
    address: Address,
    connection: Option<Connection>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    last_error: Option<String>,
    /// Whether there is something to send to it.
    wanted: bool,
}

/// A connection that is no more.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) address: Address,
    /// What was not answered.
    pub(super) calls: Vec<Call>,
    /// Failed attempts since the last success; 0 if the connection was idle.
    pub(super) attempts: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    nodes: Vec<Node>,
    controller: Option<i32>,
    /// Whether a broker has named the brokers.
    is_known: bool,
    outgoing: VecDeque<LinkCommand>,
    client_id: String,
    acks: i16,
    request_timeout: Duration,
    in_flight_max: usize,
    backoff: Backoff,
    sasl: Option<Sasl>,
}

impl Cluster {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            controller: None,
            is_known: false,
            outgoing: VecDeque::new(),
            client_id: config.client_id.clone(),
            acks: config.acks.code(),
            request_timeout: config.request_timeout,
            in_flight_max: config.in_flight_limit(),
            backoff: config.backoff(),
            sasl: config.sasl.clone().map(Sasl::new),
        };
        for address in &config.bootstrap {
            if cluster.nodes.iter().all(|node| node.address != *address) {
                cluster.add(None, address.clone());
            }
        }
        cluster
    }

    fn add(&mut self, broker: Option<i32>, address: Address) {
        self.nodes.push(Node {
            broker,
            address,
            connection: None,
            backoff: self.backoff.clone(),
            retry_at: None,
            last_error: None,
            wanted: false,
        });
    }

    /// The next wish for the network.
    pub(super) fn next_command(&mut self) -> Option<LinkCommand> {
        self.outgoing.pop_front()
    }

    /// Opens the connections that are wanted and whose pause is over. `any_needed`: a broker is
    /// needed, whichever.
    pub(super) fn connect(&mut self, any_needed: bool, ids: &mut LinkIds, now: Instant) {
        let every = any_needed && !self.indices().any(|node| self.is_up(node));
        for node in &mut self.nodes {
            let wanted = every || if self.is_known { node.wanted } else { node.broker.is_none() };
            let paused = node.retry_at.is_some_and(|at| now < at);
            if wanted && node.connection.is_none() && !paused {
                let link = ids.next_id();
                node.retry_at = None;
                node.connection = Some(Connection::new(link, now));
                let address = node.address.clone();
                self.outgoing.push_back(LinkCommand::Connect {
                    link,
                    address,
                    protocol: Protocol::Kafka,
                });
            }
        }
    }

    /// The connection is open: asks which versions the broker speaks.
    pub(super) fn handle_connected(&mut self, node: NodeIndex, now: Instant) {
        if let Some(connection) = self.connection_mut(node) {
            connection.phase = Phase::Versions;
            self.send(node, Call::ApiVersions, now, api_versions::write_request);
        }
    }

    /// Whether we log in at brokers.
    pub(super) fn has_sasl(&self) -> bool {
        self.sasl.is_some()
    }

    /// The broker speaks our versions: logs in, or uses it at once where that is not wanted.
    pub(super) fn handle_versions(&mut self, node: NodeIndex, now: Instant) {
        if self.sasl.is_some() {
            self.log_in(node, Phase::Authenticating, now);
        } else {
            self.now_ready(node);
        }
    }

    /// Logs in again where the session is about to end. Called before anything is sent, so that a
    /// connection that has nothing to send is left alone, as Java's clients leave it.
    pub(super) fn renew_sessions(&mut self, now: Instant) {
        if self.sasl.is_none() {
            return;
        }
        for node in self.indices() {
            let due = self.connection(node).and_then(|connection| connection.renew_at);
            if self.is_ready(node) && due.is_some_and(|at| at <= now) {
                self.log_in(node, Phase::Renewing, now);
            }
        }
    }

    fn log_in(&mut self, node: NodeIndex, phase: Phase, now: Instant) {
        let Some(mechanism) = self.sasl.as_ref().map(Sasl::mechanism) else { return };
        if let Some(connection) = self.connection_mut(node) {
            connection.phase = phase;
            self.send(node, Call::SaslHandshake, now, |out| {
                sasl_handshake::write_request(out, mechanism.name());
            });
        }
    }

    /// The broker takes the mechanism, or does not.
    pub(super) fn handle_handshake(
        &mut self,
        node: NodeIndex,
        answer: HandshakeAnswer,
        now: Instant,
    ) -> Result<(), SaslError> {
        let Some(sasl) = &mut self.sasl else { return Ok(()) };
        sasl::check_handshake(sasl.mechanism(), answer)?;
        let (message, conversation) = sasl.begin();
        self.say(node, &message, conversation, now);
        Ok(())
    }

    fn say(&mut self, node: NodeIndex, message: &[u8], conversation: Conversation, now: Instant) {
        self.send(node, Call::SaslAuthenticate(Box::new(conversation)), now, |out| {
            sasl_authenticate::write_request(out, message);
        });
    }

    /// The broker has answered what was said last.
    pub(super) fn handle_said(
        &mut self,
        node: NodeIndex,
        conversation: &Conversation,
        answer: &AuthenticateAnswer,
        now: Instant,
    ) -> Result<(), LoginFailure> {
        match conversation.handle(answer)? {
            Step::Send(message, conversation) => self.say(node, &message, conversation, now),
            Step::Done { session_lifetime } => {
                self.now_ready(node);
                if let Some(connection) = self.connection_mut(node) {
                    connection.renew_at = sasl::renewal(session_lifetime, now);
                }
            }
        }
        Ok(())
    }

    fn now_ready(&mut self, node: NodeIndex) {
        let Some(node) = self.nodes.get_mut(node.0) else { return };
        if let Some(connection) = &mut node.connection {
            connection.phase = Phase::Ready;
        }
        node.backoff.succeed();
        node.last_error = None;
    }

    /// Takes over which brokers there are. Returns the nodes whose connection leads to an old
    /// address.
    pub(super) fn handle_metadata(&mut self, metadata: &Metadata) -> Vec<NodeIndex> {
        self.is_known = true;
        self.controller = (0 <= metadata.controller).then_some(metadata.controller);
        for node in &mut self.nodes {
            node.wanted &= metadata.brokers.iter().any(|broker| node.broker == Some(broker.id));
        }
        let mut moved = Vec::new();
        for broker in &metadata.brokers {
            let is_seed = |node: &Node| node.broker.is_none() && node.address == broker.address;
            let known = self.nodes.iter().position(|node| node.broker == Some(broker.id));
            let place = known.or_else(|| self.nodes.iter().position(is_seed));
            match place.and_then(|i| self.nodes.get_mut(i).map(|node| (i, node))) {
                Some((i, node)) => {
                    node.broker = Some(broker.id);
                    if node.address != broker.address {
                        node.address = broker.address.clone();
                        moved.push(NodeIndex(i));
                    }
                }
                None => self.add(Some(broker.id), broker.address.clone()),
            }
        }
        moved
    }

    /// Sends a request whose body `write_body` appends.
    pub(super) fn send(
        &mut self,
        node: NodeIndex,
        call: Call,
        now: Instant,
        write_body: impl FnOnce(&mut Vec<u8>),
    ) {
        let api = call.api();
        let Some(connection) = self.connection_mut(node) else { return };
        let (link, correlation) = (connection.link, connection.expect(call, now));
        let mut request = Vec::with_capacity(256);
        api.begin_request(&mut request, correlation, &self.client_id);
        write_body(&mut request);
        let size_bytes = request.len();
        finish_request(&mut request, size_bytes);
        let segments = vec![Bytes::from(request)];
        self.outgoing.push_back(LinkCommand::Send { link, segments });
    }

    /// Sends a produce request: `parts` are the batches that `sent` names.
    pub(super) fn send_batches(
        &mut self,
        node: NodeIndex,
        sent: Vec<Sent>,
        parts: &[Part<'_>],
        now: Instant,
    ) {
        let Some(connection) = self.connection_mut(node) else { return };
        let (link, correlation) = (connection.link, connection.expect(Call::Produce(sent), now));
        let timeout_ms = i32::try_from(self.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let head = Head { correlation, client_id: &self.client_id, acks: self.acks, timeout_ms };
        let segments = produce::request(head, parts);
        self.outgoing.push_back(LinkCommand::Send { link, segments });
    }

    /// Gives up a connection, telling the driver to close it.
    pub(super) fn close(&mut self, node: NodeIndex, reason: &str, now: Instant) -> Option<Lost> {
        let link = self.connection(node)?.link;
        self.outgoing.retain(|command| match command {
            LinkCommand::Send { link: to, .. } | LinkCommand::Connect { link: to, .. } => {
                *to != link
            }
            LinkCommand::Close { .. } => true,
        });
        self.outgoing.push_back(LinkCommand::Close { link });
        self.lose(node, reason, now)
    }

    /// Takes note that a connection was closed or never opened.
    pub(super) fn lose(&mut self, node: NodeIndex, reason: &str, now: Instant) -> Option<Lost> {
        let node = self.nodes.get_mut(node.0)?;
        let connection = node.connection.take()?;
        let was_idle = connection.phase == Phase::Ready && connection.open_calls() == 0;
        if was_idle {
            // Brokers close connections that are idle for long; one is opened when there is
            // something to send.
            node.wanted = false;
        } else {
            node.retry_at = Some(node.backoff.fail(now));
            node.last_error = Some(reason.to_owned());
        }
        Some(Lost {
            address: node.address.clone(),
            calls: connection.into_calls().collect(),
            attempts: if was_idle { 0 } else { node.backoff.attempts() },
        })
    }

    /// The nodes whose broker has kept silent for too long.
    pub(super) fn silent(&self, now: Instant) -> Option<NodeIndex> {
        let late = |node: NodeIndex| {
            let deadline = self.connection(node).and_then(|c| c.deadline(self.request_timeout));
            deadline.is_some_and(|at| at <= now)
        };
        self.indices().find(|node| late(*node))
    }

    /// When [`Cluster::silent`] will find one.
    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        let connections = self.nodes.iter().filter_map(|node| node.connection.as_ref());
        connections.filter_map(|c| c.deadline(self.request_timeout)).min()
    }

    /// When the next connection after `after` is tried again.
    pub(super) fn retry_deadline(&self, after: Instant) -> Option<Instant> {
        self.nodes.iter().filter_map(|node| node.retry_at).filter(|at| after < *at).min()
    }

    /// Every node.
    pub(super) fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len()).map(NodeIndex)
    }

    pub(super) fn connection(&self, node: NodeIndex) -> Option<&Connection> {
        self.nodes.get(node.0)?.connection.as_ref()
    }

    pub(super) fn connection_mut(&mut self, node: NodeIndex) -> Option<&mut Connection> {
        self.nodes.get_mut(node.0)?.connection.as_mut()
    }

    pub(super) fn inbox(&mut self, node: NodeIndex) -> Option<&mut Inbox> {
        self.connection_mut(node).map(|connection| &mut connection.inbox)
    }

    /// The node of a connection that is open or being opened.
    pub(super) fn node_of_link(&self, link: LinkId) -> Option<NodeIndex> {
        self.indices().find(|node| self.connection(*node).is_some_and(|c| c.link == link))
    }

    pub(super) fn node_of_broker(&self, broker: i32) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| node.broker == Some(broker)).map(NodeIndex)
    }

    /// Host and port of a node.
    pub(super) fn address(&self, node: NodeIndex) -> Option<&Address> {
        self.nodes.get(node.0).map(|node| &node.address)
    }

    /// Whether `node` can be asked, now or when we have logged in there again.
    fn is_up(&self, node: NodeIndex) -> bool {
        let phase = self.connection(node).map(|connection| connection.phase);
        matches!(phase, Some(Phase::Ready | Phase::Renewing))
    }

    fn is_ready(&self, node: NodeIndex) -> bool {
        self.connection(node).is_some_and(|connection| connection.phase == Phase::Ready)
    }

    /// Whether a produce request may be sent to `node` now.
    pub(super) fn can_produce(&self, node: NodeIndex) -> bool {
        self.connection(node).is_some_and(|connection| {
            connection.phase == Phase::Ready && connection.open_produces() < self.in_flight_max
        })
    }

    /// A broker that can be asked anything: the one with the fewest open requests.
    pub(super) fn any_ready(&self) -> Option<NodeIndex> {
        self.indices()
            .filter(|node| self.is_ready(*node))
            .min_by_key(|node| self.connection(*node).map(Connection::open_calls))
    }

    /// `node` if it can be asked now; asks for a connection to it otherwise.
    pub(super) fn ready_or_want(&mut self, node: NodeIndex) -> Option<NodeIndex> {
        self.want(node);
        self.is_ready(node).then_some(node)
    }

    /// Where topics are created: the controller, or any broker while that is not known.
    pub(super) fn controller_ready(&mut self) -> Option<NodeIndex> {
        match self.controller.and_then(|broker| self.node_of_broker(broker)) {
            Some(node) => self.ready_or_want(node),
            None => self.any_ready(),
        }
    }

    /// Says that there is something to send to `node`.
    pub(super) fn want(&mut self, node: NodeIndex) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.wanted = true;
        }
    }

    /// Whether a broker has named the brokers.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether a broker that was named can be asked now. With wrong `advertised.listeners` none
    /// ever can.
    pub(super) fn has_ready_broker(&self) -> bool {
        let named = |node: NodeIndex| self.nodes.get(node.0).is_some_and(|n| n.broker.is_some());
        self.indices().any(|node| named(node) && self.is_up(node))
    }

    /// A seed's connection that is not needed any more: idle, with a real broker ready.
    pub(super) fn spare_seed(&self) -> Option<NodeIndex> {
        let idle = |node: &Node| {
            node.broker.is_none() && node.connection.as_ref().is_some_and(|c| c.open_calls() == 0)
        };
        if !self.has_ready_broker() {
            return None;
        }
        self.nodes.iter().position(idle).map(NodeIndex)
    }

    /// Each address with why it could not be used; only those that brokers named, if there are any.
    pub(super) fn failures(&self) -> Vec<(Address, String)> {
        let nodes = self.nodes.iter().filter(|node| !self.is_known || node.broker.is_some());
        nodes.map(|node| (node.address.clone(), node.failure())).collect()
    }

    /// Failed attempts and last error of the node that is worst off.
    pub(super) fn trouble(&self) -> Option<(u32, Option<String>)> {
        self.nodes
            .iter()
            .filter(|node| 0 < node.backoff.attempts() && (node.wanted || !self.is_known))
            .max_by_key(|node| node.backoff.attempts())
            .map(|node| (node.backoff.attempts(), node.last_error.clone()))
    }

    /// Produce requests without an answer.
    pub(super) fn open_produces(&self) -> usize {
        let connections = self.nodes.iter().filter_map(|node| node.connection.as_ref());
        connections.map(Connection::open_produces).sum()
    }
}

impl Node {
    fn failure(&self) -> String {
        match (&self.last_error, self.connection.as_ref().map(|c| c.phase)) {
            (Some(error), _) => error.clone(),
            (None, Some(Phase::Connecting)) => "the connection does not open".to_owned(),
            (
                None,
                Some(Phase::Versions | Phase::Authenticating | Phase::Ready | Phase::Renewing),
            ) => "no answer".to_owned(),
            (None, None) => "not tried".to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(in crate::kafka) fn node(index: usize) -> NodeIndex {
        NodeIndex(index)
    }
}
