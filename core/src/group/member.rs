//! One worker as a member of its group.
//!
//! ```text
//!            ┌──────────────── refused, kicked, lost ───────────────┐
//!            ▼                                                      │
//!  no coordinator ──► outside ── join ──► syncing ── sync ──► inside, heartbeats
//!                        ▲                   (the leader assigns)   │
//!                        └── a rebalance, and the worker is ready ──┘
//! ```
//!
//! [`Member::poll`] says what is wanted next: a question to be asked, an event to be told, or time to pass. One
//! question is open at a time, as on one connection of Kafka.
//!
//! * A worker joins again only when it is *ready*: when it has stopped what was revoked. For what it says it runs when
//!   it joins is all that others are not given. Heartbeats go on meanwhile.
//! * The session is over when no request that was sent within the last session timeout has been answered. The
//!   coordinator gives up the member no sooner than that, so what the worker runs can be stopped before it is given to
//!   others. While a join or a sync is open the coordinator waits too, and nothing is over: its answer begins the
//!   session anew. Only if the coordinator is cut off just then is the bound the patience of the question.
//! * A member that is kicked out keeps its work and says so when it joins again, as in Java; work that was given to
//!   another since is then revoked from both.

mod events;
mod settings;

use std::time::{Duration, Instant};

pub use self::events::{Assigned, Event, MemberView, Step};
pub use self::settings::{MemberSettings, Worker};
use crate::group::assignment::Assignment;
use crate::group::assignor::Generations;
use crate::group::leader::{Leader, Leadership, Owners};
use crate::group::protocol::{PROTOCOL_TYPE, Protocol};
use crate::group::question::{Answer, Question};
use crate::group::refusal::{GroupError, Trouble};
use crate::group::work::Work;
use crate::group::worker_state::WorkerState;
use crate::kafka::api::Api;
use crate::kafka::api::find_coordinator::Coordinator;
use crate::kafka::api::join_group::JoinAnswer;
use crate::kafka::api::sync_group::SyncAnswer;
use crate::kafka::errors::{ErrorClass, ErrorCode};
use crate::kafka::wire::Reader;

/// A join is answered when the slowest member has joined; by so much more it may be late.
const JOIN_LATENESS: Duration = Duration::from_secs(5);

/// How long a goodbye may take: nobody needs its answer.
const LEAVING_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Seat {
    generation: i32,
    protocol: Protocol,
}

#[derive(Debug)]
enum Place {
    /// To join.
    Outside,
    /// Joined; the leader has what it assigns.
    Syncing { seat: Seat, assignments: Vec<(String, Vec<u8>)> },
    /// At work.
    Inside { seat: Seat, heartbeat_at: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Not,
    /// To join again when the worker is ready.
    ForNow,
    ForGood,
}

/// See the module.
#[derive(Debug)]
pub struct Member {
    settings: MemberSettings,
    leader: Leader,
    coordinator: Option<Coordinator>,
    member_id: String,
    place: Place,
    leaving: Leaving,
    /// What the worker runs, as its last assignment; `None` after the session was lost.
    held: Option<Assignment>,
    owners: Option<Owners>,
    completed: i32,
    protocol: Option<Protocol>,
    /// Events that the worker has not yet dealt with.
    unhandled: usize,
    untold: Option<Event>,
    wants_to_join: bool,
    /// When the assignment asks to join again.
    join_at: Option<Instant>,
    /// Nothing is asked before.
    retry_at: Option<Instant>,
    asked_at: Option<Instant>,
    /// When the last request was sent that has shown us alive; `None` outside of a session.
    alive_at: Option<Instant>,
    failed: Option<GroupError>,
}

impl Member {
    /// A worker that is in no group yet.
    pub fn new(settings: MemberSettings) -> Self {
        Self {
            leader: Leader::new(settings.rebalance_delay_max),
            settings,
            coordinator: None,
            member_id: String::new(),
            place: Place::Outside,
            leaving: Leaving::Not,
            held: None,
            owners: None,
            completed: -1,
            protocol: None,
            unhandled: 0,
            untold: None,
            wants_to_join: false,
            join_at: None,
            retry_at: None,
            asked_at: None,
            alive_at: None,
            failed: None,
        }
    }

    /// The broker that keeps the group, once it is known.
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
    }

    /// What is known of the group.
    pub fn view(&self) -> MemberView {
        let held = self.held.as_ref();
        let is_inside = matches!(self.place, Place::Inside { .. });
        let is_leader = held.is_some_and(|held| held.leader == self.member_id);
        MemberView {
            member_id: self.member_id.clone(),
            generation: self.completed,
            leader_id: held.map(|held| held.leader.clone()).unwrap_or_default(),
            leader_url: held.map(|held| held.leader_url.clone()).unwrap_or_default(),
            protocol: self.protocol,
            is_leader,
            is_rebalancing: !is_inside || self.wants_to_join,
            owners: if is_leader { self.owners.clone() } else { None },
            coordinator: self.coordinator.clone(),
        }
    }

    /// The worker wants a rebalance: it has read the config topic further, say.
    pub fn rejoin(&mut self) {
        self.wants_to_join = true;
    }

    /// The worker has done all that an event asked of it.
    pub fn handle_ready(&mut self) {
        self.unhandled = self.unhandled.saturating_sub(1);
    }

    /// Out of the group, until the worker is ready for the events that it was told. It has stopped everything, and
    /// comes back as one that runs nothing.
    pub fn step_out(&mut self) {
        if self.leaving == Leaving::Not {
            self.leaving = Leaving::ForNow;
            self.held = None;
            self.owners = None;
            self.join_at = None;
        }
    }

    /// Out of the group.
    pub fn leave(&mut self) {
        self.leaving = Leaving::ForGood;
    }

    /// What is wanted now.
    pub fn poll(&mut self, worker: &(impl Worker + ?Sized), now: Instant) -> Step {
        if let Some(error) = self.failed.clone() {
            return Step::End(Err(error));
        }
        if let Some(step) = self.poll_leaving(now) {
            return step;
        }
        if let Some(event) = self.untold.take() {
            self.unhandled += 1;
            return Step::Tell(event);
        }
        let lost_at = self.alive_at.map(|at| at + self.settings.session_timeout);
        if lost_at.is_some_and(|at| at <= now) {
            self.unhandled += 1;
            self.end_session();
            return Step::Tell(Event::Lost);
        }
        if let Some(at) = self.retry_at.filter(|at| now < *at) {
            return Step::Wait(earliest([Some(at), lost_at]));
        }
        let patience = self.settings.request_timeout;
        let session_left = lost_at.map_or(patience, |at| patience.min(at - now));
        if self.coordinator.is_none() {
            let group = self.settings.group_id.clone();
            // One broker that is silent must not cost the session: there are others to ask.
            let patience = session_left.min(self.settings.heartbeat_interval);
            return Step::Ask(Question::Coordinator { group }, patience);
        }
        let is_ready = self.unhandled == 0;
        let join_at = self.join_at.filter(|_| is_ready);
        match &mut self.place {
            Place::Outside if !is_ready => Step::Wait(lost_at),
            Place::Outside => self.ask_to_join(worker, now),
            Place::Inside { .. }
                if is_ready && (self.wants_to_join || join_at.is_some_and(|at| at <= now)) =>
            {
                self.ask_to_join(worker, now)
            }
            Place::Inside { heartbeat_at, .. } if now < *heartbeat_at => {
                Step::Wait(earliest([Some(*heartbeat_at), join_at, lost_at]))
            }
            Place::Inside { seat, .. } => {
                self.asked_at = Some(now);
                let (group, member) = (self.settings.group_id.clone(), self.member_id.clone());
                let generation = seat.generation;
                // If the broker is gone for good, half of what is left is to find the next coordinator.
                Step::Ask(Question::Heartbeat { group, generation, member }, session_left / 2)
            }
            Place::Syncing { seat, assignments } => {
                self.asked_at = Some(now);
                let question = Question::Sync {
                    group: self.settings.group_id.clone(),
                    generation: seat.generation,
                    member: self.member_id.clone(),
                    protocol: seat.protocol,
                    assignments: std::mem::take(assignments),
                };
                Step::Ask(question, patience)
            }
        }
    }

    fn poll_leaving(&mut self, now: Instant) -> Option<Step> {
        if self.leaving == Leaving::Not {
            return None;
        }
        if self.coordinator.is_some() && !self.member_id.is_empty() {
            self.asked_at = Some(now);
            let (group, member) = (self.settings.group_id.clone(), self.member_id.clone());
            return Some(Step::Ask(Question::Leave { group, member }, LEAVING_PATIENCE));
        }
        if self.leaving == Leaving::ForGood {
            return Some(Step::End(Ok(())));
        }
        self.leaving = Leaving::Not;
        self.go_outside();
        None
    }

    fn ask_to_join(&mut self, worker: &(impl Worker + ?Sized), now: Instant) -> Step {
        self.asked_at = Some(now);
        self.wants_to_join = false;
        self.join_at = None;
        self.owners = None;
        self.go_outside();
        let settings = &self.settings;
        let state = WorkerState {
            url: settings.url.clone(),
            config_offset: worker.config_offset(),
            allocation: self.held.clone(),
        };
        let write = |protocol: &Protocol| {
            let mut metadata = Vec::new();
            state.write(&mut metadata, *protocol);
            (protocol.name(), metadata)
        };
        let question = Question::Join {
            group: settings.group_id.clone(),
            session_timeout_ms: milliseconds(settings.session_timeout),
            rebalance_timeout_ms: milliseconds(settings.rebalance_timeout),
            member: self.member_id.clone(),
            protocols: settings.protocols.offered().iter().map(write).collect(),
        };
        let longest = settings.rebalance_timeout.saturating_add(JOIN_LATENESS);
        Step::Ask(question, longest.max(settings.request_timeout))
    }

    /// Takes the answer to the question that was open; what is wrong with it, for the log.
    pub fn handle_answer(
        &mut self,
        answer: Answer,
        worker: &(impl Worker + ?Sized),
        now: Instant,
    ) -> Option<Trouble> {
        self.retry_at = None;
        match answer {
            Answer::Coordinator(Ok(coordinator)) => {
                self.coordinator = Some(coordinator);
                None
            }
            Answer::Coordinator(Err(none)) => {
                self.handle_refusal(Api::FindCoordinator, none.error, now)
            }
            Answer::Join(answer) => self.handle_joined(answer, worker, now),
            Answer::Sync(answer) => self.handle_synced(answer, now),
            Answer::Heartbeat(error) => self.handle_heartbeat(error, now),
            Answer::Leave(_) => {
                self.member_id.clear();
                None
            }
        }
    }

    /// The question that was open is not answered: the connection is lost, or patience is at its end.
    pub fn handle_failure(&mut self, now: Instant) {
        self.coordinator = None;
        self.pause(now);
        match self.place {
            Place::Outside | Place::Inside { .. } => {}
            Place::Syncing { .. } => self.go_outside(),
        }
    }

    fn handle_joined(
        &mut self,
        answer: JoinAnswer,
        worker: &(impl Worker + ?Sized),
        now: Instant,
    ) -> Option<Trouble> {
        if answer.error == ErrorCode::MEMBER_ID_REQUIRED {
            self.member_id = answer.member;
            return None;
        }
        if !answer.error.is_none() {
            return self.handle_refusal(Api::JoinGroup, answer.error, now);
        }
        if answer.protocol_type.as_deref().is_some_and(|kind| kind != PROTOCOL_TYPE) {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            return self.handle_refusal(Api::JoinGroup, error, now);
        }
        let name = answer.protocol.as_deref().unwrap_or_default();
        let protocol = match Protocol::from_name(name) {
            Ok(protocol) => protocol,
            Err(error) => {
                self.failed = Some(GroupError::Protocol(error));
                return None;
            }
        };
        self.alive_at = Some(now);
        self.member_id = answer.member;
        let mut assignments = Vec::new();
        if answer.leader == self.member_id {
            let leadership = Leadership {
                member: &self.member_id,
                url: &self.settings.url,
                protocol,
                generations: Generations { completed: self.completed, current: answer.generation },
            };
            match self.leader.decide(leadership, &answer.members, &worker.work(), now) {
                Ok(decision) => {
                    assignments = decision.assignments;
                    self.owners = decision.owners;
                }
                Err(error) => {
                    self.pause(now);
                    return Some(Trouble::Member(error));
                }
            }
        }
        let seat = Seat { generation: answer.generation, protocol };
        self.place = Place::Syncing { seat, assignments };
        None
    }

    fn handle_synced(&mut self, answer: SyncAnswer, now: Instant) -> Option<Trouble> {
        if !answer.error.is_none() {
            return self.handle_refusal(Api::SyncGroup, answer.error, now);
        }
        let Place::Syncing { seat, .. } = std::mem::replace(&mut self.place, Place::Outside) else {
            return None;
        };
        let assignment = match Assignment::read(&mut Reader::new(&answer.assignment)) {
            Ok(assignment) => assignment,
            Err(error) => {
                self.pause(now);
                return Some(Trouble::Assignment(error));
            }
        };
        let Seat { generation, protocol } = seat;
        self.alive_at = Some(now);
        self.completed = generation;
        self.protocol = Some(protocol);
        let heartbeat_at = now + self.settings.heartbeat_interval;
        self.place = Place::Inside { seat, heartbeat_at };
        self.take(assignment, protocol, now);
        None
    }

    /// What is new, and what is kept.
    fn take(&mut self, assignment: Assignment, protocol: Protocol, now: Instant) {
        let mut total = assignment.assigned.clone();
        if let Some(held) = &self.held {
            total.add(&held.assigned.without(&assignment.revoked));
        }
        let delay = Duration::from_millis(u64::try_from(assignment.delay_ms).unwrap_or(0));
        self.join_at = (!delay.is_zero()).then(|| now + delay);
        self.wants_to_join |= assignment.is_config_mismatch || !assignment.revoked.is_empty();
        if assignment.is_config_mismatch {
            self.pause(now);
        }
        self.untold = Some(Event::Assigned(Box::new(Assigned {
            generation: self.completed,
            protocol,
            is_config_mismatch: assignment.is_config_mismatch,
            config_offset: assignment.config_offset,
            leader: assignment.leader.clone(),
            leader_url: assignment.leader_url.clone(),
            is_leader: assignment.leader == self.member_id,
            added: assignment.assigned,
            revoked: assignment.revoked,
            total: total.clone(),
            delay,
        })));
        self.held = Some(Assignment { assigned: total, revoked: Work::default(), ..assignment });
    }

    fn handle_heartbeat(&mut self, error: ErrorCode, now: Instant) -> Option<Trouble> {
        if error.is_none() || error == ErrorCode::REBALANCE_IN_PROGRESS {
            self.alive_at = self.asked_at;
            self.wants_to_join |= !error.is_none();
            if let Place::Inside { heartbeat_at, .. } = &mut self.place {
                *heartbeat_at = now + self.settings.heartbeat_interval;
            }
            return None;
        }
        self.handle_refusal(Api::Heartbeat, error, now)
    }

    /// What each error asks for is the same for every request.
    fn handle_refusal(&mut self, api: Api, error: ErrorCode, now: Instant) -> Option<Trouble> {
        match error {
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.member_id.clear();
                self.go_outside();
            }
            ErrorCode::ILLEGAL_GENERATION => self.go_outside(),
            ErrorCode::REBALANCE_IN_PROGRESS => {
                // The coordinator has kept the place while the question was open.
                self.alive_at = self.alive_at.map(|_| now);
                self.go_outside();
                self.pause(now);
            }
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.handle_failure(now);
            }
            _ => match error.class() {
                ErrorClass::Fatal => {
                    let group = self.settings.group_id.clone();
                    self.failed = Some(GroupError::Refused { group, api, error });
                    return None;
                }
                ErrorClass::Retry
                | ErrorClass::RefreshMetadata
                | ErrorClass::Duplicate
                | ErrorClass::TooLarge
                | ErrorClass::SequenceTrouble => {
                    self.pause(now);
                    if let Place::Syncing { .. } = self.place {
                        self.go_outside();
                    }
                }
            },
        }
        Some(Trouble::Refused { api, error })
    }

    fn end_session(&mut self) {
        self.go_outside();
        self.alive_at = None;
        self.held = None;
        self.owners = None;
        self.join_at = None;
    }

    fn go_outside(&mut self) {
        self.place = Place::Outside;
    }

    fn pause(&mut self, now: Instant) {
        self.retry_at = Some(now + self.settings.retry_backoff);
    }
}

fn earliest<const N: usize>(instants: [Option<Instant>; N]) -> Option<Instant> {
    instants.into_iter().flatten().min()
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
