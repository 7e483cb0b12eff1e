//! Members over virtual time against a coordinator that goes by Kafka's rules.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::group::protocol::Protocols;
use crate::group::work::{ClusterWork, TaskId};
use crate::kafka::api::find_coordinator::NoCoordinator;
use crate::kafka::api::join_group::JoinedMember;
use crate::link::Address;

struct Own {
    offset: Cell<i64>,
    work: Work,
}

impl Worker for Own {
    fn config_offset(&self) -> i64 {
        self.offset.get()
    }

    fn work(&self) -> ClusterWork {
        ClusterWork { config_offset: self.offset.get(), work: self.work.clone() }
    }
}

fn own() -> Own {
    let work = Work {
        connectors: vec!["a".into(), "b".into()],
        tasks: vec![TaskId::new("a", 0), TaskId::new("a", 1), TaskId::new("b", 0)],
    };
    Own { offset: Cell::new(4), work }
}

fn settings() -> MemberSettings {
    MemberSettings {
        group_id: "g".into(),
        url: "http://me/".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        heartbeat_interval: Duration::from_secs(3),
        request_timeout: Duration::from_secs(40),
        retry_backoff: Duration::from_millis(100),
        rebalance_delay_max: Duration::from_secs(300),
        protocols: Protocols::Sessioned,
    }
}

#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

fn coordinator() -> Answer {
    Answer::Coordinator(Ok(Coordinator { id: 1, address: Address::new("k", 9092) }))
}

fn refused(error: ErrorCode) -> JoinAnswer {
    JoinAnswer {
        error,
        generation: -1,
        protocol_type: None,
        protocol: None,
        leader: String::new(),
        member: String::new(),
        members: Vec::new(),
    }
}

fn joined(generation: i32, leader: &str, members: Vec<JoinedMember>) -> Answer {
    Answer::Join(JoinAnswer {
        error: ErrorCode::NONE,
        generation,
        protocol_type: Some("connect".into()),
        protocol: Some("sessioned".into()),
        leader: leader.into(),
        member: "me".into(),
        members,
    })
}

fn synced(assignment: &Assignment) -> Answer {
    let mut bytes = Vec::new();
    assignment.write(&mut bytes, Protocol::Sessioned);
    let (protocol_type, protocol) = (Some("connect".into()), Some("sessioned".into()));
    Answer::Sync(SyncAnswer { error: ErrorCode::NONE, protocol_type, protocol, assignment: bytes })
}

fn assignment(assigned: Work, revoked: Work) -> Assignment {
    Assignment {
        is_config_mismatch: false,
        leader: "other".into(),
        leader_url: "http://other/".into(),
        config_offset: 4,
        assigned,
        revoked,
        delay_ms: 0,
    }
}

fn tasks(tasks: &[(&str, i32)]) -> Work {
    let tasks = tasks.iter().map(|(name, task)| TaskId::new(*name, *task)).collect();
    Work { connectors: Vec::new(), tasks }
}

/// A member and the time.
struct Rig {
    member: Member,
    own: Own,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { member: Member::new(settings()), own: own(), now: start() }
    }

    /// A member that runs `assigned`, and has said that it is ready.
    fn inside(assigned: &Work) -> Self {
        let mut rig = Self::new();
        rig.asked("FindCoordinator");
        rig.answer(coordinator());
        rig.enter(1, &assignment(assigned.clone(), Work::default()));
        rig.member.handle_ready();
        rig
    }

    /// From the question to join to the event.
    fn enter(&mut self, generation: i32, assignment: &Assignment) -> Assigned {
        self.asked("JoinGroup");
        self.answer(joined(generation, "other", vec![]));
        self.asked("SyncGroup");
        self.answer(synced(assignment));
        self.assigned()
    }

    fn poll(&mut self) -> Step {
        self.member.poll(&self.own, self.now)
    }

    fn asked(&mut self, name: &str) -> Question {
        let step = self.poll();
        match &step {
            Step::Ask(question, _) if question.api().name() == name => question.clone(),
            Step::Ask(..) | Step::Tell(_) | Step::Wait(_) | Step::End(_) => {
                panic!("{name} was to be asked, not {step:?}")
            }
        }
    }

    fn waits(&mut self) -> Duration {
        let step = self.poll();
        let Step::Wait(Some(until)) = step else { panic!("not waiting but {step:?}") };
        until - self.now
    }

    fn event(&mut self) -> Event {
        let step = self.poll();
        let Step::Tell(event) = step else { panic!("nothing told but {step:?}") };
        event
    }

    fn assigned(&mut self) -> Assigned {
        match self.event() {
            Event::Assigned(assigned) => *assigned,
            Event::Lost => panic!("lost"),
        }
    }

    fn answer(&mut self, answer: Answer) -> Option<Trouble> {
        self.member.handle_answer(answer, &self.own, self.now)
    }

    fn heartbeat(&mut self, error: ErrorCode) {
        self.asked("Heartbeat");
        self.answer(Answer::Heartbeat(error));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn pass_ms(&mut self, time_ms: u64) {
        self.pass(Duration::from_millis(time_ms));
    }
}

/// What a worker says it runs.
fn allocation(question: Question) -> (String, Option<Work>) {
    let Question::Join { member, protocols, .. } = question else { panic!("{question:?}") };
    let names: Vec<_> = protocols.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["sessioned", "compatible"]);
    let state = WorkerState::read(&mut Reader::new(&protocols[0].1)).unwrap();
    (member, state.allocation.map(|allocation| allocation.assigned))
}

#[test]
fn a_worker_is_given_an_id_joins_syncs_and_beats() {
    let mut rig = Rig::new();
    rig.asked("FindCoordinator");
    rig.answer(coordinator());
    assert_eq!(allocation(rig.asked("JoinGroup")), (String::new(), None));
    let given = JoinAnswer { member: "me".into(), ..refused(ErrorCode::MEMBER_ID_REQUIRED) };
    rig.answer(Answer::Join(given));
    assert_eq!(allocation(rig.asked("JoinGroup")).0, "me");
    rig.answer(joined(7, "other", vec![]));
    assert!(matches!(rig.asked("SyncGroup"), Question::Sync { generation: 7, .. }));
    rig.answer(synced(&assignment(tasks(&[("a", 0)]), Work::default())));
    let assigned = rig.assigned();
    assert_eq!((assigned.generation, assigned.total), (7, tasks(&[("a", 0)])));
    for _ in 0..5 {
        assert_eq!(rig.waits(), Duration::from_secs(3));
        rig.pass_ms(3_000);
        rig.heartbeat(ErrorCode::NONE);
    }
    assert!(!rig.member.view().is_leader);
}

#[test]
fn a_leader_deals_and_knows_who_runs_what() {
    let mut rig = Rig::new();
    rig.asked("FindCoordinator");
    rig.answer(coordinator());
    let Question::Join { protocols, .. } = rig.asked("JoinGroup") else { panic!() };
    let metadata = protocols[0].1.clone();
    let members = vec![
        JoinedMember { member: "me".into(), metadata: metadata.clone() },
        JoinedMember { member: "you".into(), metadata },
    ];
    rig.answer(joined(1, "me", members));
    let Question::Sync { assignments, .. } = rig.asked("SyncGroup") else { panic!() };
    let assignments: BTreeMap<_, _> = assignments.into_iter().collect();
    let mine = Assignment::read(&mut Reader::new(&assignments["me"])).unwrap();
    let yours = Assignment::read(&mut Reader::new(&assignments["you"])).unwrap();
    assert_eq!(mine.assigned.len() + yours.assigned.len(), 5);
    rig.answer(synced(&mine));
    assert!(rig.assigned().is_leader);
    let view = rig.member.view();
    assert!(view.is_leader && !view.is_rebalancing);
    assert_eq!(view.owners.unwrap().of_connector("a"), Some("http://me/"));
}

#[test]
fn what_is_revoked_is_given_back_only_when_the_worker_is_ready() {
    let mut rig = Rig::inside(&tasks(&[("a", 0), ("a", 1)]));
    rig.pass_ms(3_000);
    rig.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS);
    let assigned = rig.enter(2, &assignment(tasks(&[("b", 0)]), tasks(&[("a", 0)])));
    assert_eq!(assigned.total, tasks(&[("b", 0), ("a", 1)]));
    assert_eq!((assigned.added, assigned.revoked), (tasks(&[("b", 0)]), tasks(&[("a", 0)])));
    // It is still stopping, and stays a member meanwhile.
    for _ in 0..4 {
        rig.pass_ms(3_000);
        rig.heartbeat(ErrorCode::REBALANCE_IN_PROGRESS);
    }
    rig.member.handle_ready();
    let (_, allocation) = allocation(rig.asked("JoinGroup"));
    assert_eq!(allocation, Some(tasks(&[("b", 0), ("a", 1)])));
}

#[test]
fn a_worker_joins_again_when_the_delay_has_passed() {
    let mut rig = Rig::inside(&Work::default());
    rig.member.rejoin();
    let delayed = assignment(Work::default(), Work::default());
    rig.enter(2, &Assignment { delay_ms: 4_000, ..delayed });
    rig.member.handle_ready();
    rig.pass_ms(3_000);
    rig.heartbeat(ErrorCode::NONE);
    assert_eq!(rig.waits(), Duration::from_secs(1));
    rig.pass_ms(1_000);
    rig.asked("JoinGroup");
}

#[test]
fn a_wish_to_join_that_comes_while_joining_is_not_forgotten() {
    let mut rig = Rig::inside(&Work::default());
    rig.member.rejoin();
    rig.asked("JoinGroup");
    rig.member.rejoin();
    rig.answer(joined(2, "other", vec![]));
    rig.asked("SyncGroup");
    rig.answer(synced(&assignment(Work::default(), Work::default())));
    rig.assigned();
    rig.member.handle_ready();
    rig.asked("JoinGroup");
}

#[test]
fn a_leader_that_was_behind_makes_all_join_again_after_a_pause() {
    let mut rig = Rig::inside(&tasks(&[("a", 0)]));
    rig.member.rejoin();
    let behind = assignment(Work::default(), Work::default());
    let assigned = rig.enter(2, &Assignment { is_config_mismatch: true, ..behind });
    assert!(assigned.is_config_mismatch && assigned.total == tasks(&[("a", 0)]));
    rig.member.handle_ready();
    assert_eq!(rig.waits(), Duration::from_millis(100));
    rig.pass_ms(100);
    rig.asked("JoinGroup");
}

#[test]
fn a_session_without_an_answered_heartbeat_is_lost_and_everything_with_it() {
    let mut rig = Rig::inside(&tasks(&[("a", 0)]));
    rig.pass_ms(3_000);
    rig.asked("Heartbeat");
    rig.pass_ms(500);
    rig.member.handle_failure(rig.now);
    for patience_ms in [3_000, 3_000, 200] {
        rig.pass_ms(100);
        let Step::Ask(question, patience) = rig.poll() else { panic!() };
        assert_eq!(question.api(), Api::FindCoordinator);
        assert_eq!(patience, Duration::from_millis(patience_ms), "not beyond the session");
        rig.pass(patience);
        rig.member.handle_failure(rig.now);
    }
    assert_eq!(rig.event(), Event::Lost);
    rig.pass_ms(100);
    rig.asked("FindCoordinator");
    rig.answer(coordinator());
    assert!(matches!(rig.poll(), Step::Wait(None)), "the worker is still stopping");
    rig.member.handle_ready();
    assert_eq!(allocation(rig.asked("JoinGroup")), ("me".into(), None));
}

#[test]
fn a_coordinator_that_moves_in_time_is_followed_without_a_rebalance() {
    for error in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE] {
        let mut rig = Rig::inside(&tasks(&[("a", 0)]));
        rig.pass_ms(3_000);
        rig.heartbeat(error);
        assert_eq!(rig.waits(), Duration::from_millis(100));
        rig.pass_ms(100);
        rig.asked("FindCoordinator");
        let (error, message) = (ErrorCode::COORDINATOR_NOT_AVAILABLE, None);
        rig.answer(Answer::Coordinator(Err(NoCoordinator { error, message })));
        rig.pass_ms(100);
        rig.asked("FindCoordinator");
        rig.answer(coordinator());
        rig.heartbeat(ErrorCode::NONE);
        assert_eq!(rig.waits(), Duration::from_secs(3));
    }
}

#[test]
fn a_member_that_is_kicked_out_says_what_it_runs_and_gets_a_new_id() {
    let mut rig = Rig::inside(&tasks(&[("a", 0)]));
    rig.pass_ms(3_000);
    rig.heartbeat(ErrorCode::UNKNOWN_MEMBER_ID);
    let expected = (String::new(), Some(tasks(&[("a", 0)])));
    assert_eq!(allocation(rig.asked("JoinGroup")), expected);
}

#[test]
fn an_old_generation_keeps_its_member_id() {
    let mut rig = Rig::inside(&tasks(&[("a", 0)]));
    rig.pass_ms(3_000);
    rig.heartbeat(ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(allocation(rig.asked("JoinGroup")).0, "me");
    rig.answer(joined(2, "other", vec![]));
    rig.asked("SyncGroup");
    let error = ErrorCode::REBALANCE_IN_PROGRESS;
    let (protocol_type, protocol, assignment) = (None, None, Vec::new());
    rig.answer(Answer::Sync(SyncAnswer { error, protocol_type, protocol, assignment }));
    rig.pass_ms(100);
    rig.asked("JoinGroup");
}

#[test]
fn a_coordinator_that_loads_is_asked_again() {
    let mut rig = Rig::inside(&Work::default());
    rig.member.rejoin();
    rig.asked("JoinGroup");
    let trouble = rig.answer(Answer::Join(refused(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)));
    assert!(trouble.unwrap().to_string().contains("COORDINATOR_LOAD_IN_PROGRESS"));
    assert_eq!(rig.waits(), Duration::from_millis(100));
    rig.pass_ms(100);
    rig.asked("JoinGroup");
}

#[test]
fn what_a_person_must_change_ends_the_membership() {
    for error in [
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ErrorCode::FENCED_INSTANCE_ID,
        ErrorCode::INVALID_SESSION_TIMEOUT,
    ] {
        let mut rig = Rig::inside(&Work::default());
        rig.member.rejoin();
        rig.asked("JoinGroup");
        rig.answer(Answer::Join(refused(error)));
        let Step::End(Err(end)) = rig.poll() else { panic!("{error}") };
        assert!(end.to_string().contains("group 'g'"), "{end}");
    }
}

#[test]
fn a_worker_that_leaves_says_goodbye_and_is_gone() {
    let mut rig = Rig::inside(&Work::default());
    rig.member.leave();
    assert!(matches!(rig.asked("LeaveGroup"), Question::Leave { member, .. } if member == "me"));
    rig.answer(Answer::Leave(ErrorCode::NONE));
    assert!(matches!(rig.poll(), Step::End(Ok(()))));
    // Without a coordinator, or when the goodbye fails, nobody waits for it.
    let mut rig = Rig::inside(&Work::default());
    rig.member.leave();
    rig.asked("LeaveGroup");
    rig.member.handle_failure(rig.now);
    assert!(matches!(rig.poll(), Step::End(Ok(()))));
}

#[test]
fn a_worker_that_steps_out_joins_when_it_is_ready_or_loses_its_session() {
    let mut rig = Rig::inside(&tasks(&[("a", 0)]));
    rig.member.rejoin();
    rig.enter(2, &assignment(Work::default(), Work::default()));
    rig.member.step_out();
    rig.asked("LeaveGroup");
    rig.answer(Answer::Leave(ErrorCode::NONE));
    assert_eq!(rig.waits(), Duration::from_secs(10));
    rig.pass_ms(10_000);
    assert_eq!(rig.event(), Event::Lost);
    rig.member.handle_ready();
    rig.member.handle_ready();
    assert_eq!(allocation(rig.asked("JoinGroup")), (String::new(), None));
}
