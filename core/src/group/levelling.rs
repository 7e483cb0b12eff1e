//! Even loads: what is above a worker's share, and who is given what is free.
//!
//! Connectors and tasks are counted apart. With n pieces on w workers each has n / w of them, and n % w workers have
//! one more.

use std::collections::BTreeMap;

use crate::group::work::Work;

/// What a worker will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerLoad {
    pub(super) worker: String,
    pub(super) work: Work,
}

/// What each worker has above its share; workers without any are not named.
pub(super) fn too_much(configured: &Work, loads: &[WorkerLoad]) -> BTreeMap<String, Work> {
    let mut surplus: BTreeMap<String, Work> = BTreeMap::new();
    if loads.iter().all(|load| load.work.is_empty()) || configured.is_empty() {
        return surplus;
    }
    let connectors = pieces(loads, |work| work.connectors.len());
    for (worker, count) in surplus_counts(configured.connectors.len(), &connectors) {
        if let Some(load) = loads.get(worker) {
            let back = load.work.connectors.iter().take(count).cloned().collect();
            surplus.entry(load.worker.clone()).or_default().connectors = back;
        }
    }
    let tasks = pieces(loads, |work| work.tasks.len());
    for (worker, count) in surplus_counts(configured.tasks.len(), &tasks) {
        if let Some(load) = loads.get(worker) {
            let back = load.work.tasks.iter().take(count).cloned().collect();
            surplus.entry(load.worker.clone()).or_default().tasks = back;
        }
    }
    surplus
}

fn pieces(loads: &[WorkerLoad], count: impl Fn(&Work) -> usize) -> Vec<usize> {
    loads.iter().map(|load| count(&load.work)).collect()
}

/// How many pieces of `total` each worker has above its share: its place and the number.
fn surplus_counts(total: usize, pieces: &[usize]) -> Vec<(usize, usize)> {
    let (Some(least), Some(extras)) =
        (total.checked_div(pieces.len()), total.checked_rem(pieces.len()))
    else {
        return Vec::new();
    };
    let with = |count| pieces.iter().filter(|one| **one == count).count();
    let (at_least, one_more) = (with(least), with(least + 1));
    if one_more == extras && at_least + one_more == pieces.len() {
        return Vec::new();
    }
    let mut extras_left = extras;
    let mut surplus = Vec::new();
    for (place, count) in pieces.iter().copied().enumerate() {
        if count <= least {
            continue;
        }
        let share = if extras_left == 0 { least } else { least + 1 };
        extras_left = extras_left.saturating_sub(1);
        if share < count {
            surplus.push((place, count - share));
        }
    }
    surplus
}

/// Gives `free` to the workers that have least, in turns.
pub(super) fn assign_evenly(loads: &mut [WorkerLoad], free: &Work) {
    deal(
        loads,
        &free.connectors,
        |work| work.connectors.len(),
        |work, connector| {
            work.connectors.push(connector);
        },
    );
    deal(loads, &free.tasks, |work| work.tasks.len(), |work, task| work.tasks.push(task));
}

/// A round goes to all workers that have as few as the least loaded one.
fn deal<T: Clone>(
    loads: &mut [WorkerLoad],
    free: &[T],
    count: impl Fn(&Work) -> usize,
    mut give: impl FnMut(&mut Work, T),
) {
    loads.sort_by(|a, b| count(&a.work).cmp(&count(&b.work)).then_with(|| a.worker.cmp(&b.worker)));
    let mut free = free.iter().cloned();
    let mut left = free.len();
    while 0 < left {
        let Some(least) = loads.first().map(|load| count(&load.work)) else { return };
        let least_loaded = loads.iter().position(|load| least < count(&load.work));
        let round = least_loaded.unwrap_or(loads.len());
        for (load, piece) in loads.iter_mut().take(round).zip(&mut free) {
            give(&mut load.work, piece);
        }
        left = free.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_quotient_and_the_first_have_the_remainder() {
        assert_eq!(surplus_counts(7, &[3, 2, 2]), []);
        assert_eq!(surplus_counts(7, &[7, 0, 0]), [(0, 4)]);
        assert_eq!(surplus_counts(7, &[3, 4, 0]), [(1, 2)]);
        assert_eq!(surplus_counts(0, &[0, 0]), []);
        assert_eq!(surplus_counts(3, &[]), []);
    }
}
