//! What the leader of a group does: read what the members say, and write what each is to do.
//!
//! The assignment is of the newest config offset that any member has read, or of a newer one that the leader has:
//! members that are behind read on before they begin. A leader that is behind itself cannot assign: then all are told
//! so, read the config topic to its end and join again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::group::assignment::Assignment;
use crate::group::assignor::{Assignor, Generations, Share, Shares};
use crate::group::protocol::{Protocol, ProtocolError};
use crate::group::work::{ClusterWork, TaskId, Work};
use crate::group::worker_state::WorkerState;
use crate::kafka::api::join_group::JoinedMember;
use crate::kafka::wire::Reader;

/// Which worker runs what, as far as its leader has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    connectors: BTreeMap<String, String>,
    tasks: BTreeMap<TaskId, String>,
}

impl Owners {
    /// The URL of the worker that runs a connector.
    pub fn of_connector(&self, name: &str) -> Option<&str> {
        self.connectors.get(name).map(String::as_str)
    }

    /// The URL of the worker that runs a task.
    pub fn of_task(&self, task: &TaskId) -> Option<&str> {
        self.tasks.get(task).map(String::as_str)
    }

    fn add(&mut self, url: &str, work: Work) {
        self.connectors.extend(work.connectors.into_iter().map(|name| (name, url.to_owned())));
        self.tasks.extend(work.tasks.into_iter().map(|task| (task, url.to_owned())));
    }
}

/// A leader's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// By member, the bytes of its assignment.
    pub(super) assignments: Vec<(String, Vec<u8>)>,
    /// Who runs what from now on; `None` if nothing was decided.
    pub(super) owners: Option<Owners>,
}

/// A member says something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableMember {
    member: String,
    error: ProtocolError,
}

impl fmt::Display for UnreadableMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, error } = self;
        write!(
            f,
            "nothing is assigned, for what member {member} says of itself cannot be read: {error}; is it a worker of \
             Kafka Connect?"
        )
    }
}

/// Who leads, and in what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leadership<'a> {
    pub(super) member: &'a str,
    pub(super) url: &'a str,
    pub(super) protocol: Protocol,
    pub(super) generations: Generations,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Leader {
    assignor: Assignor,
}

impl Leader {
    pub(super) fn new(rebalance_delay_max: Duration) -> Self {
        Self { assignor: Assignor::new(rebalance_delay_max) }
    }

    /// Gives `known` to the `joined`.
    pub(super) fn decide(
        &mut self,
        leadership: Leadership<'_>,
        joined: &[JoinedMember],
        known: &ClusterWork,
        now: Instant,
    ) -> Result<Decision, UnreadableMember> {
        let mut states = BTreeMap::new();
        for JoinedMember { member, metadata } in joined {
            let state = WorkerState::read(&mut Reader::new(metadata))
                .map_err(|error| UnreadableMember { member: member.clone(), error })?;
            states.insert(member.clone(), state);
        }
        let newest = states.values().map(|state| state.config_offset).max().unwrap_or(-1);
        if known.config_offset < newest {
            let members = states.into_keys().map(|member| (member, Default::default())).collect();
            let shares = Shares { members, delay: Duration::ZERO };
            let assignments = write(leadership, newest, true, &shares);
            return Ok(Decision { assignments, owners: None });
        }
        let running = states.iter().map(|(member, state)| {
            let allocation = state.allocation.as_ref();
            let running = allocation.map(|allocation| allocation.assigned.clone());
            (member.clone(), running.unwrap_or_default())
        });
        let running = running.collect();
        let shares = self.assignor.assign(&known.work, leadership.generations, &running, now);
        let assignments = write(leadership, known.config_offset, false, &shares);
        let mut owners = Owners::default();
        for (member, share) in shares.members {
            if let Some(state) = states.get(&member) {
                owners.add(&state.url, share.total);
            }
        }
        Ok(Decision { assignments, owners: Some(owners) })
    }
}

fn write(
    leadership: Leadership<'_>,
    config_offset: i64,
    is_config_mismatch: bool,
    shares: &Shares,
) -> Vec<(String, Vec<u8>)> {
    let write = |(member, share): (&String, &Share)| {
        let assignment = Assignment {
            is_config_mismatch,
            leader: leadership.member.to_owned(),
            leader_url: leadership.url.to_owned(),
            config_offset,
            assigned: share.assigned.clone(),
            revoked: share.revoked.clone(),
            delay_ms: i32::try_from(shares.delay.as_millis()).unwrap_or(i32::MAX),
        };
        let mut bytes = Vec::new();
        assignment.write(&mut bytes, leadership.protocol);
        (member.clone(), bytes)
    };
    shares.members.iter().map(write).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    fn joined(member: &str, config_offset: i64) -> JoinedMember {
        let state =
            WorkerState { url: format!("http://{member}/"), config_offset, allocation: None };
        let mut metadata = Vec::new();
        state.write(&mut metadata, Protocol::Sessioned);
        JoinedMember { member: member.to_owned(), metadata }
    }

    fn leadership() -> Leadership<'static> {
        Leadership {
            member: "a",
            url: "http://a/",
            protocol: Protocol::Sessioned,
            generations: Generations { completed: -1, current: 1 },
        }
    }

    fn known(config_offset: i64) -> ClusterWork {
        let tasks = vec![TaskId::new("c", 0)];
        ClusterWork { config_offset, work: Work { connectors: vec!["c".into()], tasks } }
    }

    fn decide(known: &ClusterWork, joined: &[JoinedMember]) -> Result<Decision, UnreadableMember> {
        let mut leader = Leader::new(Duration::from_secs(300));
        leader.decide(leadership(), joined, known, Instant::now())
    }

    fn read(decision: &Decision) -> Vec<(String, Assignment)> {
        let read = |(member, bytes): &(String, Vec<u8>)| {
            (member.clone(), Assignment::read(&mut Reader::new(bytes)).unwrap())
        };
        decision.assignments.iter().map(read).collect()
    }

    #[test]
    fn what_is_known_is_dealt_and_its_owners_are_named() {
        let decision = decide(&known(7), &[joined("b", 7), joined("a", 5)]).unwrap();
        let assignments = read(&decision);
        let (member, assignment) = &assignments[0];
        assert_eq!((member.as_str(), assignment.config_offset), ("a", 7));
        assert_eq!(assignment.assigned, known(7).work);
        assert!(assignments[1].1.assigned.is_empty());
        let owners = decision.owners.unwrap();
        assert_eq!(owners.of_connector("c"), Some("http://a/"));
        assert_eq!(owners.of_task(&TaskId::new("c", 0)), Some("http://a/"));
        assert_eq!(owners.of_connector("d"), None);
    }

    #[test]
    fn a_leader_that_is_behind_tells_all_to_read_on() {
        let decision = decide(&known(6), &[joined("b", 7), joined("a", 6)]).unwrap();
        assert_eq!(decision.owners, None);
        for (_, assignment) in read(&decision) {
            assert!(assignment.is_config_mismatch && assignment.assigned.is_empty());
            assert_eq!(assignment.config_offset, 7);
        }
    }

    #[test]
    fn a_member_that_cannot_be_read_is_named() {
        let mut bad = joined("b", 1);
        bad.metadata.truncate(5);
        let error = decide(&known(6), &[bad]).unwrap_err().to_string();
        assert!(error.contains("member b"), "{error}");
    }
}
