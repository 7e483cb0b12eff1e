//! What a member wants next, what it tells the worker, and what it shows.

use std::time::{Duration, Instant};

use crate::group::leader::Owners;
use crate::group::protocol::Protocol;
use crate::group::question::Question;
use crate::group::refusal::GroupError;
use crate::group::work::Work;
use crate::kafka::api::find_coordinator::Coordinator;

/// What is wanted.
#[derive(Debug)]
pub enum Step {
    /// Ask this, at the coordinator if it is known, and hand in the answer, or the failure after this patience.
    Ask(Question, Duration),
    /// Tell the worker; it says [`Member::handle_ready`](super::Member::handle_ready) when that is done.
    Tell(Event),
    /// Nothing until then, or until the worker wants something.
    Wait(Option<Instant>),
    /// The membership is over.
    End(Result<(), GroupError>),
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A rebalance is done.
    Assigned(Box<Assigned>),
    /// The session is over: everything must stop, for others are given it.
    Lost,
}

/// What a worker is to do from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The generation of the group.
    pub generation: i32,
    /// What the group speaks.
    pub protocol: Protocol,
    /// The leader was behind and has assigned nothing: the config topic is to be read to its end.
    pub is_config_mismatch: bool,
    /// How far the config topic must be read before anything new is begun.
    pub config_offset: i64,
    /// The member id of the leader.
    pub leader: String,
    /// Where the leader takes requests of other workers.
    pub leader_url: String,
    /// Whether this worker is the leader.
    pub is_leader: bool,
    /// What is new.
    pub added: Work,
    /// What must be stopped, if it runs; the worker is ready when it is.
    pub revoked: Work,
    /// All that this worker runs from now on.
    pub total: Work,
    /// After this it joins again; zero: not by itself.
    pub delay: Duration,
}

/// What is known of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberView {
    /// As the coordinator calls this worker; empty before it has.
    pub member_id: String,
    /// The last generation in which there was an assignment; -1 before.
    pub generation: i32,
    /// The member id of the leader.
    pub leader_id: String,
    /// Where the leader takes requests of other workers.
    pub leader_url: String,
    /// What the group speaks; `None` before the first assignment.
    pub protocol: Option<Protocol>,
    /// Whether this worker leads.
    pub is_leader: bool,
    /// Whether it is not settled who runs what.
    pub is_rebalancing: bool,
    /// Who runs what; only a leader knows.
    pub owners: Option<Owners>,
    /// The broker that keeps the group.
    pub coordinator: Option<Coordinator>,
}
