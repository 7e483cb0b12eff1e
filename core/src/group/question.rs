//! What a member asks, and what it is answered.

use crate::group::protocol::{PROTOCOL_TYPE, Protocol};
use crate::kafka::api::find_coordinator::{self, Coordinator, CoordinatorKey, NoCoordinator};
use crate::kafka::api::join_group::{self, JoinAnswer, JoinRequest};
use crate::kafka::api::sync_group::{self, SyncAnswer, SyncRequest};
use crate::kafka::api::{Api, heartbeat, leave_group};
use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{Reader, WireError};

/// One request. All but [`Question::Coordinator`] go to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which broker keeps the group? Any broker knows.
    Coordinator {
        /// The group.
        group: String,
    },
    /// Enter, or say again that one is in.
    Join {
        /// The group.
        group: String,
        /// As in the request.
        session_timeout_ms: i32,
        /// As in the request.
        rebalance_timeout_ms: i32,
        /// Empty for a member that has no id yet.
        member: String,
        /// With the worker's state, the preferred one first.
        protocols: Vec<(&'static str, Vec<u8>)>,
    },
    /// What is there to do?
    Sync {
        /// The group.
        group: String,
        /// That which begins.
        generation: i32,
        /// Who asks.
        member: String,
        /// The group's.
        protocol: Protocol,
        /// For everybody, from the leader.
        assignments: Vec<(String, Vec<u8>)>,
    },
    /// Is the group at rest?
    Heartbeat {
        /// The group.
        group: String,
        /// That of the member.
        generation: i32,
        /// Who lives.
        member: String,
    },
    /// Goodbye.
    Leave {
        /// The group.
        group: String,
        /// Who goes.
        member: String,
    },
}

/// What is answered to a question of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Where the coordinator is, or why it is not known.
    Coordinator(Result<Coordinator, NoCoordinator>),
    /// The next generation.
    Join(JoinAnswer),
    /// The assignment.
    Sync(SyncAnswer),
    /// Whether all is well.
    Heartbeat(ErrorCode),
    /// Whether one was in.
    Leave(ErrorCode),
}

impl Question {
    /// The kind of request.
    pub const fn api(&self) -> Api {
        match self {
            Self::Coordinator { .. } => Api::FindCoordinator,
            Self::Join { .. } => Api::JoinGroup,
            Self::Sync { .. } => Api::SyncGroup,
            Self::Heartbeat { .. } => Api::Heartbeat,
            Self::Leave { .. } => Api::LeaveGroup,
        }
    }

    /// Appends the body of the request.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Coordinator { group } => {
                find_coordinator::write_request(out, CoordinatorKey::Group(group));
            }
            Self::Join { group, session_timeout_ms, rebalance_timeout_ms, member, protocols } => {
                let request = JoinRequest {
                    group,
                    session_timeout_ms: *session_timeout_ms,
                    rebalance_timeout_ms: *rebalance_timeout_ms,
                    member,
                    protocol_type: PROTOCOL_TYPE,
                    protocols,
                };
                join_group::write_request(out, &request);
            }
            Self::Sync { group, generation, member, protocol, assignments } => {
                let request = SyncRequest {
                    group,
                    generation: *generation,
                    member,
                    protocol_type: PROTOCOL_TYPE,
                    protocol: protocol.name(),
                    assignments,
                };
                sync_group::write_request(out, &request);
            }
            Self::Heartbeat { group, generation, member } => {
                heartbeat::write_request(out, group, *generation, member);
            }
            Self::Leave { group, member } => leave_group::write_request(out, group, member),
        }
    }

    /// Reads the body of the answer.
    pub fn read(&self, reader: &mut Reader<'_>) -> Result<Answer, WireError> {
        match self {
            Self::Coordinator { .. } => {
                find_coordinator::read_answer(reader).map(Answer::Coordinator)
            }
            Self::Join { .. } => join_group::read_answer(reader).map(Answer::Join),
            Self::Sync { .. } => sync_group::read_answer(reader).map(Answer::Sync),
            Self::Heartbeat { .. } => heartbeat::read_answer(reader).map(Answer::Heartbeat),
            Self::Leave { .. } => leave_group::read_answer(reader).map(Answer::Leave),
        }
    }
}
