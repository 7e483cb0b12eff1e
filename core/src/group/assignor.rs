//! Who is to run what: decided by the leader of a group, at each rebalance (KIP-415).
//!
//! ```text
//! configured ─┐             ┌ deleted     was given, is not configured        ► revoked
//! given last ─┼─ compared ──┼ doubled     run by more than one                ► revoked from all
//! running ────┘             ├ lost        was given, nobody runs it           ► waits, then assigned
//!                           ├ created     configured, never given             ► assigned
//!                           └ too much    above the share of its worker       ► revoked, assigned next time
//! ```
//!
//! Nothing moves from one worker to another in one round: what is revoked is assigned in the round after, when the
//! worker has joined again without it. What a lost worker ran waits for it to come back, up to the setting
//! `scheduled.rebalance.max.delay.ms`; while anything waits, loads are not levelled. Two rounds that level one after
//! the other are paused between: 40 ms, and forty times more each time, up to the same setting.
//!
//! The outcome is that of Kafka Connect 4.1, worker by worker and task by task, up to the order in which workers are
//! looked at: Java's is that of a hash table, here it is that of their ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::group::levelling::{WorkerLoad, assign_evenly, too_much};
use crate::group::work::Work;

/// The first pause between rounds that level, and by how much it grows.
const BACKOFF_FACTOR: f64 = 40.0;

/// Of which generation the leader's memory is, and in which it assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generations {
    /// The last one in which this worker was given an assignment; -1 if none.
    pub completed: i32,
    /// That which begins.
    pub current: i32,
}

/// What one member is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What is new for it.
    pub assigned: Work,
    /// What it gives back. It may not run all of it: what is lost and found a home that is full already is named, too.
    pub revoked: Work,
    /// What it runs when it has done both.
    pub total: Work,
}

/// What everybody is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// By member.
    pub members: BTreeMap<String, Share>,
    /// After this all join again; zero: not for this.
    pub delay: Duration,
}

/// The memory of a leader between rebalances.
#[derive(Debug)]
pub struct Assignor {
    delay_max: Duration,
    /// What was given out, less what was taken back.
    previous: Work,
    /// What was taken back last time.
    previous_revoked: Work,
    previous_generation: i32,
    previous_members: BTreeSet<String>,
    /// When what is lost is given to others, or loads are levelled again.
    due: Option<Instant>,
    /// Workers that came, idle, while something was lost: perhaps the lost one itself.
    candidates: Vec<String>,
    has_levelled: bool,
    pauses: u32,
}

impl Assignor {
    /// A leader that remembers nothing, with the setting `scheduled.rebalance.max.delay.ms`.
    pub fn new(delay_max: Duration) -> Self {
        Self {
            delay_max,
            previous: Work::default(),
            previous_revoked: Work::default(),
            previous_generation: -1,
            previous_members: BTreeSet::new(),
            due: None,
            candidates: Vec::new(),
            has_levelled: false,
            pauses: 0,
        }
    }

    /// Gives `configured` to `members`, which run what they say.
    pub fn assign(
        &mut self,
        configured: &Work,
        generations: Generations,
        members: &BTreeMap<String, Work>,
        now: Instant,
    ) -> Shares {
        let running = all(members.values());
        self.forget_what_is_out_of_date(generations, &running);
        let configured = configured.clone().sorted();
        let deleted = self.previous.without(&configured);
        let lost = self.previous.without(&running).without(&deleted).sorted();
        let created = configured.without(&self.previous).without(&running);
        let doubled = doubled(members);

        let mut revoked: BTreeMap<String, Work> = BTreeMap::new();
        let mut loads = Vec::with_capacity(members.len());
        for (member, work) in members {
            let mut back = deleted.shared_with(work);
            back.add(&doubled.shared_with(work));
            loads.push(WorkerLoad { worker: member.clone(), work: work.without(&back) });
            revoked.insert(member.clone(), back);
        }
        let (homeless, mut delay) = self.find_homes(&lost, &mut loads, now);
        if delay.is_zero() {
            let surplus = too_much(&configured, &loads);
            delay = self.level(surplus, &mut loads, &mut revoked, now);
        } else {
            self.has_levelled = false;
        }
        let mut free = created;
        free.add(&homeless);
        assign_evenly(&mut loads, &free);

        self.previous_generation = generations.current;
        self.previous_members = members.keys().cloned().collect();
        self.remember(&loads, &revoked, &lost);
        let shares = loads.into_iter().map(|load| {
            let before = members.get(&load.worker).map(|work| work.without(&deleted));
            let assigned = load.work.without(&before.unwrap_or_default());
            let revoked = revoked.remove(&load.worker).unwrap_or_default();
            let total = load.work.without(&revoked);
            (load.worker, Share { assigned, revoked, total })
        });
        Shares { members: shares.collect(), delay }
    }

    /// Another leader may have led since, or the last revocation may not have reached everybody.
    fn forget_what_is_out_of_date(&mut self, generations: Generations, running: &Work) {
        if self.previous_generation != generations.completed {
            self.previous = Work::default();
        }
        let revoked = std::mem::take(&mut self.previous_revoked);
        if !revoked.shared_with(running).is_empty() {
            self.previous = running.clone();
        }
    }

    /// What of the `lost` is assigned like something new, and how long the rest waits.
    fn find_homes(
        &mut self,
        lost: &Work,
        loads: &mut [WorkerLoad],
        now: Instant,
    ) -> (Work, Duration) {
        if lost.is_empty() && !self.has_levelled {
            self.end_waiting();
            return (Work::default(), Duration::ZERO);
        }
        let is_here = |member: &String| loads.iter().any(|load| load.worker == *member);
        // Nobody has gone: some did not get what they were given. Or nobody is waited for.
        if (self.due.is_none() && self.previous_members.iter().all(is_here))
            || self.delay_max.is_zero()
        {
            return (lost.clone(), Duration::ZERO);
        }
        if self.due.is_none_or(|due| now < due) {
            self.remember_candidates(loads);
            let delay = self.due.map_or(self.delay_max, |due| (due - now).min(self.delay_max));
            self.due = Some(now + delay);
            return (Work::default(), delay);
        }
        let given = self.give_to_candidates(lost, loads);
        self.end_waiting();
        self.has_levelled = false;
        (if given { Work::default() } else { lost.clone() }, Duration::ZERO)
    }

    fn remember_candidates(&mut self, loads: &[WorkerLoad]) {
        for load in loads {
            if load.work.is_empty() && !self.candidates.contains(&load.worker) {
                self.candidates.push(load.worker.clone());
            }
        }
    }

    /// Deals the `lost` to those who came for it; `false` if there is nobody.
    fn give_to_candidates(&self, lost: &Work, loads: &mut [WorkerLoad]) -> bool {
        let place = |name: &String| loads.iter().position(|load| load.worker == *name);
        let places: Vec<usize> = self.candidates.iter().filter_map(place).collect();
        let deal = |index: usize| places.get(index.checked_rem(places.len())?).copied();
        for (index, connector) in lost.connectors.iter().enumerate() {
            if let Some(load) = deal(index).and_then(|place| loads.get_mut(place)) {
                load.work.connectors.push(connector.clone());
            }
        }
        for (index, task) in lost.tasks.iter().enumerate() {
            if let Some(load) = deal(index).and_then(|place| loads.get_mut(place)) {
                load.work.tasks.push(task.clone());
            }
        }
        !places.is_empty()
    }

    fn end_waiting(&mut self) {
        self.candidates.clear();
        self.due = None;
    }

    /// Takes the `surplus` back, unless that was just done: then after a pause, which is returned.
    fn level(
        &mut self,
        surplus: BTreeMap<String, Work>,
        loads: &mut [WorkerLoad],
        revoked: &mut BTreeMap<String, Work>,
        now: Instant,
    ) -> Duration {
        if surplus.is_empty() {
            // Only a level round right behind one that took something back ends the row of pauses.
            if self.has_levelled {
                self.has_levelled = false;
                self.pauses = 0;
            }
            return Duration::ZERO;
        }
        if self.has_levelled {
            self.pauses = self.pauses.saturating_add(1);
            let pause = backoff(self.pauses, self.delay_max);
            if !pause.is_zero() {
                self.due = Some(now + pause);
                return pause;
            }
        }
        self.has_levelled = true;
        for load in loads {
            if let Some(back) = surplus.get(&load.worker) {
                load.work.remove(back);
                revoked.entry(load.worker.clone()).or_default().add(back);
            }
        }
        Duration::ZERO
    }

    fn remember(&mut self, loads: &[WorkerLoad], revoked: &BTreeMap<String, Work>, lost: &Work) {
        self.previous_revoked = all(revoked.values());
        self.previous = all(loads.iter().map(|load| &load.work)).without(&self.previous_revoked);
        self.previous.add(lost);
    }
}

/// The pause after so many rounds that level. In floating point like Java's, whose longest is now and then a
/// millisecond short.
fn backoff(pauses: u32, longest: Duration) -> Duration {
    let exponent_max = (longest.as_millis() as f64).log(BACKOFF_FACTOR);
    let pause_ms = BACKOFF_FACTOR.powf(f64::from(pauses).min(exponent_max));
    Duration::from_millis(pause_ms as u64).min(longest)
}

fn all<'a>(works: impl Iterator<Item = &'a Work>) -> Work {
    let mut all = Work::default();
    for work in works {
        all.connectors.extend_from_slice(&work.connectors);
        all.tasks.extend_from_slice(&work.tasks);
    }
    let mut once = Work::default();
    once.add(&all);
    once
}

/// What is run by more than one member.
fn doubled(members: &BTreeMap<String, Work>) -> Work {
    let mut seen = Work::default();
    let mut doubled = Work::default();
    for work in members.values() {
        doubled.add(&seen.shared_with(work));
        seen.add(work);
    }
    doubled
}

#[cfg(test)]
mod tests;
