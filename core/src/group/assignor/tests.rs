//! Laws of the assignor over seeded histories of a cluster. That its outcome is Java's is shown by
//! `core/tests/java_assignor.rs`.

use proptest::prelude::*;

use super::*;
use crate::group::work::TaskId;

const DELAY_MAX: Duration = Duration::from_secs(300);

/// More rounds than any history needs to come to rest.
const ROUNDS_MAX: usize = 30;

#[derive(Clone, Debug)]
enum Change {
    Comes(u8),
    Goes(u8),
    /// With what it ran when it went.
    Returns(u8),
    Configured(u8, i32),
    Deleted(u8),
    Passes(u64),
    /// One that remembers nothing.
    NewLeader,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let worker = 0_u8..6;
    let connector = 0_u8..5;
    let change = prop_oneof![
        worker.clone().prop_map(Change::Comes),
        worker.clone().prop_map(Change::Goes),
        worker.prop_map(Change::Returns),
        (connector.clone(), 0..7).prop_map(|(name, tasks)| Change::Configured(name, tasks)),
        connector.prop_map(Change::Deleted),
        (0..400_000_u64).prop_map(Change::Passes),
        Just(Change::NewLeader),
    ];
    proptest::collection::vec(change, 1..25)
}

struct Cluster {
    assignor: Assignor,
    configured: BTreeMap<u8, i32>,
    members: BTreeMap<String, Work>,
    gone: BTreeMap<String, Work>,
    generation: i32,
    now: Instant,
}

impl Cluster {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new() -> Self {
        Self {
            assignor: Assignor::new(DELAY_MAX),
            configured: BTreeMap::new(),
            members: BTreeMap::from([("first".to_owned(), Work::default())]),
            gone: BTreeMap::new(),
            generation: 0,
            now: Instant::now(),
        }
    }

    fn make(&mut self, change: &Change) {
        match change {
            Change::Comes(worker) => {
                self.members.entry(worker.to_string()).or_default();
            }
            Change::Goes(worker) => {
                if let Some((worker, work)) = self.members.remove_entry(&worker.to_string()) {
                    self.gone.insert(worker, work);
                }
            }
            Change::Returns(worker) => {
                if let Some((worker, work)) = self.gone.remove_entry(&worker.to_string()) {
                    self.members.entry(worker).or_insert(work);
                }
            }
            Change::Configured(connector, tasks) => {
                self.configured.insert(*connector, *tasks);
            }
            Change::Deleted(connector) => {
                self.configured.remove(connector);
            }
            Change::Passes(ms) => self.now += Duration::from_millis(*ms),
            Change::NewLeader => self.assignor = Assignor::new(DELAY_MAX),
        }
    }

    fn configured(&self) -> Work {
        let tasks = |(name, tasks): (&u8, &i32)| {
            (0..*tasks).map(|task| TaskId::new(name.to_string(), task)).collect::<Vec<_>>()
        };
        Work {
            connectors: self.configured.keys().map(u8::to_string).collect(),
            tasks: self.configured.iter().flat_map(tasks).collect(),
        }
    }

    /// One rebalance; `None` when all is at rest, else how long until the next.
    fn rebalance(&mut self) -> Option<Duration> {
        let configured = self.configured();
        let completed = if self.generation == 0 { -1 } else { self.generation };
        self.generation += 1;
        let generations = Generations { completed, current: self.generation };
        let shares = self.assignor.assign(&configured, generations, &self.members, self.now);
        for (member, share) in &shares.members {
            for (other, work) in &self.members {
                let taken = share.assigned.shared_with(work);
                assert!(taken.is_empty(), "{member} is given {taken}, which {other} runs");
            }
        }
        let is_quiet = shares.members.values().all(|share| share.revoked.is_empty());
        for (member, share) in shares.members {
            let work = self.members.get_mut(&member).unwrap();
            let mut next = share.assigned.clone();
            next.add(&work.without(&share.revoked));
            assert_eq!(next.clone().sorted(), share.total.sorted());
            *work = next;
        }
        (!shares.delay.is_zero() || !is_quiet).then_some(shares.delay)
    }

    /// Everything runs once, and nothing else does.
    fn runs_what_is_configured(&self) {
        let mut runs = Work::default();
        for work in self.members.values() {
            runs.connectors.extend_from_slice(&work.connectors);
            runs.tasks.extend_from_slice(&work.tasks);
        }
        assert_eq!(runs.sorted(), self.configured().sorted());
    }

    fn is_level(&self) {
        for count in [|work: &Work| work.connectors.len(), |work: &Work| work.tasks.len()] {
            let counts: Vec<_> = self.members.values().map(count).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_cluster_comes_to_rest_with_everything_running_once_and_evenly(changes in changes()) {
        let mut cluster = Cluster::new();
        for change in changes {
            cluster.make(&change);
            if cluster.rebalance().is_none() {
                cluster.runs_what_is_configured();
            }
        }
        let mut rounds = 0;
        while let Some(delay) = cluster.rebalance() {
            cluster.now += delay;
            rounds += 1;
            prop_assert!(rounds < ROUNDS_MAX, "does not come to rest");
        }
        cluster.runs_what_is_configured();
        cluster.is_level();
    }
}

fn cluster(members: &[&str], tasks: i32) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.members = members.iter().map(|name| ((*name).to_owned(), Work::default())).collect();
    cluster.make(&Change::Configured(0, tasks));
    while cluster.rebalance().is_some() {}
    cluster
}

#[test]
fn what_a_lost_worker_ran_waits_for_it_and_is_given_back_when_it_returns() {
    let mut cluster = cluster(&["1", "2"], 4);
    let before = cluster.members["2"].clone();
    cluster.make(&Change::Goes(2));
    assert_eq!(cluster.rebalance(), Some(DELAY_MAX));
    cluster.now += Duration::from_secs(60);
    cluster.make(&Change::Comes(2));
    assert_eq!(cluster.rebalance(), Some(DELAY_MAX - Duration::from_secs(60)));
    assert!(cluster.members["2"].is_empty());
    cluster.now += Duration::from_secs(240);
    assert_eq!(cluster.rebalance(), None);
    assert_eq!(cluster.members["2"].clone().sorted(), before.sorted());
}

#[test]
fn what_a_lost_worker_ran_is_given_to_the_others_when_the_delay_is_over() {
    let mut cluster = cluster(&["1", "2"], 4);
    cluster.make(&Change::Goes(2));
    cluster.rebalance();
    cluster.now += DELAY_MAX;
    assert_eq!(cluster.rebalance(), None);
    assert_eq!(cluster.members["1"].tasks.len(), 4);
}

#[test]
fn a_worker_that_comes_is_given_its_share_in_two_rounds() {
    let mut cluster = cluster(&["1"], 4);
    cluster.make(&Change::Comes(2));
    assert_eq!(cluster.rebalance(), Some(Duration::ZERO));
    assert_eq!((cluster.members["1"].tasks.len(), cluster.members["2"].tasks.len()), (2, 0));
    assert_eq!(cluster.rebalance(), None);
    assert_eq!(cluster.members["2"].tasks.len(), 2);
}

#[test]
fn rounds_that_level_one_after_the_other_are_paused_between() {
    let mut cluster = cluster(&["1"], 9);
    cluster.make(&Change::Comes(2));
    cluster.rebalance();
    // Another comes before what was taken back is given to the first.
    cluster.make(&Change::Comes(3));
    assert_eq!(cluster.rebalance(), Some(Duration::from_millis(40)));
}

#[test]
fn pauses_grow_up_to_the_longest_delay() {
    let pause = |pauses| backoff(pauses, DELAY_MAX).as_millis();
    assert_eq!([1, 2, 3].map(pause), [40, 1_600, 64_000]);
    assert!(DELAY_MAX.as_millis() - pause(4) <= 1);
    assert_eq!(backoff(3, Duration::ZERO), Duration::ZERO);
}
