//! Workers in one group, over TCP, with a broker that goes by Kafka's rules.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::fake_coordinator::FakeCoordinator;
use super::*;
use crate::config::KafkaSecurity;

/// What the config topic says.
#[derive(Default)]
struct Topic(Mutex<ClusterWork>);

impl Topic {
    fn with(tasks: i32) -> Arc<Self> {
        let topic = Self::default();
        topic.set(tasks);
        Arc::new(topic)
    }

    fn set(&self, tasks: i32) {
        let mut known = self.0.lock().unwrap();
        known.config_offset += 1;
        known.work.connectors = vec!["c".into()];
        known.work.tasks = (0..tasks).map(|task| TaskId::new("c", task)).collect();
    }
}

impl Worker for Topic {
    fn config_offset(&self) -> i64 {
        self.0.lock().unwrap().config_offset
    }

    fn work(&self) -> ClusterWork {
        self.0.lock().unwrap().clone()
    }
}

/// A worker that does at once what it is told.
struct Node {
    membership: Membership,
    events: UnboundedReceiver<GroupEvent>,
    runs: BTreeSet<TaskId>,
}

impl Node {
    fn start(coordinator: &FakeCoordinator, topic: &Arc<Topic>) -> Self {
        let cluster = Cluster {
            bootstrap: vec![coordinator.address.clone()],
            security: KafkaSecurity::default(),
            client_id: "test".into(),
        };
        let settings = GroupSettings {
            group_id: "g".into(),
            url: "http://localhost:8083/".into(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_millis(20),
            request_timeout: Duration::from_secs(40),
            retry_backoff: Duration::from_millis(10),
            rebalance_delay_max: Duration::ZERO,
            protocols: Protocols::Sessioned,
        };
        let (membership, events) = Membership::start(cluster, settings, Arc::clone(topic));
        Self { membership, events, runs: BTreeSet::new() }
    }

    /// Takes events until `is_done`.
    async fn until(&mut self, is_done: impl Fn(&Self) -> bool) {
        while !is_done(self) {
            let event = timeout(Duration::from_secs(10), self.events.recv()).await;
            let event = event.expect("an event within the time").expect("a member");
            match event {
                GroupEvent::Assigned { assigned, handled } => {
                    for task in &assigned.revoked.tasks {
                        assert!(self.runs.remove(task), "{task} is revoked but does not run");
                    }
                    self.runs.extend(assigned.added.tasks.iter().cloned());
                    assert_eq!(self.runs, assigned.total.tasks.iter().cloned().collect());
                    drop(handled);
                }
                GroupEvent::Lost { .. } => self.runs.clear(),
                GroupEvent::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn view(&self) -> GroupView {
        self.membership.view().borrow().clone()
    }
}

#[tokio::test]
async fn two_workers_share_the_tasks_and_one_that_leaves_gives_its_own_back() {
    let coordinator = FakeCoordinator::start().await;
    let topic = Topic::with(4);
    let mut first = Node::start(&coordinator, &topic);
    first.until(|node| node.runs.len() == 4).await;
    let view = first.view();
    assert!(view.member.is_leader && view.member.protocol == Some(Protocol::Sessioned));
    let mut second = Node::start(&coordinator, &topic);
    tokio::join!(
        first.until(|node| node.runs.len() == 2),
        second.until(|node| node.runs.len() == 2),
    );
    assert!(first.runs.is_disjoint(&second.runs));
    let leaving = second.membership.leave();
    tokio::join!(first.until(|node| node.runs.len() == 4), leaving);
    assert_eq!(coordinator.left().len(), 1);
    assert!(second.events.recv().await.is_none(), "nothing is told to a worker that has left");
}

#[tokio::test]
async fn a_change_of_the_config_topic_is_dealt_when_a_worker_asks_for_it() {
    let coordinator = FakeCoordinator::start().await;
    let topic = Topic::with(1);
    let mut node = Node::start(&coordinator, &topic);
    node.until(|node| node.runs.len() == 1).await;
    topic.set(3);
    node.membership.rejoin();
    node.until(|node| node.runs.len() == 3).await;
    let mut view = node.membership.view();
    view.wait_for(|view| view.rebalances.completed == 2).await.unwrap();
    assert!(!view.borrow().member.is_rebalancing);
}

#[tokio::test]
async fn a_worker_that_is_kicked_out_comes_back_with_what_it_runs() {
    let coordinator = FakeCoordinator::start().await;
    let topic = Topic::with(2);
    let mut node = Node::start(&coordinator, &topic);
    node.until(|node| node.runs.len() == 2).await;
    let before = node.view().member.member_id;
    coordinator.expire(&before);
    let mut view = node.membership.view();
    let is_back = |view: &GroupView| view.member.member_id != before && 1 < view.member.generation;
    timeout(Duration::from_secs(10), view.wait_for(is_back)).await.unwrap().unwrap();
    let Some(GroupEvent::Assigned { assigned, .. }) = node.events.recv().await else { panic!() };
    assert!(assigned.added.is_empty() && assigned.total.tasks.len() == 2);
}

#[tokio::test]
async fn a_worker_whose_herder_goes_leaves_the_group() {
    let coordinator = FakeCoordinator::start().await;
    let topic = Topic::with(2);
    let mut node = Node::start(&coordinator, &topic);
    node.until(|node| node.runs.len() == 2).await;
    let mut view = node.membership.view();
    drop(node);
    while timeout(Duration::from_secs(10), view.changed()).await.unwrap().is_ok() {}
    assert_eq!(coordinator.left().len(), 1);
}
