//! What is given to workers: connectors and their tasks.
//!
//! Order matters as in Java: what was given last stands first and is the first to be taken back.

use std::collections::BTreeSet;
use std::fmt;

/// One task of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Its connector.
    pub connector: String,
    /// Its number, from 0.
    pub task: i32,
}

impl TaskId {
    /// Task `task` of `connector`.
    pub fn new(connector: impl Into<String>, task: i32) -> Self {
        Self { connector: connector.into(), task }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// Connectors and tasks, each at most once, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Names of connectors.
    pub connectors: Vec<String>,
    /// Tasks.
    pub tasks: Vec<TaskId>,
}

impl Work {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }

    /// Connectors and tasks together.
    pub fn len(&self) -> usize {
        self.connectors.len() + self.tasks.len()
    }

    /// Puts what is not here yet behind what is here.
    pub fn add(&mut self, more: &Self) {
        add(&mut self.connectors, &more.connectors);
        add(&mut self.tasks, &more.tasks);
    }

    /// Takes out what is in `other` too.
    pub fn remove(&mut self, other: &Self) {
        remove(&mut self.connectors, &other.connectors);
        remove(&mut self.tasks, &other.tasks);
    }

    /// What is here and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.remove(other);
        left
    }

    /// What is here and in `other`.
    pub fn shared_with(&self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// In the order of names and numbers.
    pub fn sorted(mut self) -> Self {
        self.connectors.sort();
        self.tasks.sort();
        self
    }
}

fn add<T: Clone + Ord>(here: &mut Vec<T>, more: &[T]) {
    let mut known: BTreeSet<T> = here.iter().cloned().collect();
    here.extend(more.iter().filter(|one| known.insert((*one).clone())).cloned());
}

fn remove<T: Ord>(here: &mut Vec<T>, other: &[T]) {
    let other: BTreeSet<&T> = other.iter().collect();
    here.retain(|one| !other.contains(one));
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |f: &mut fmt::Formatter<'_>, what, names: Vec<String>| {
            write!(f, "{what} [{}]", names.join(", "))
        };
        names(f, "connectors", self.connectors.clone())?;
        names(f, ", tasks", self.tasks.iter().map(TaskId::to_string).collect())
    }
}

/// What the config topic says is to run, and how far it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterWork {
    /// The offset up to which the config topic was read; -1 if it is empty.
    pub config_offset: i64,
    /// Every connector and every task.
    pub work: Work,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(connectors: &[&str], tasks: &[(&str, i32)]) -> Work {
        Work {
            connectors: connectors.iter().map(|name| (*name).to_owned()).collect(),
            tasks: tasks.iter().map(|(name, task)| TaskId::new(*name, *task)).collect(),
        }
    }

    #[test]
    fn work_is_a_set_that_keeps_its_order() {
        let mut one = work(&["b", "a"], &[("b", 1)]);
        one.add(&work(&["c", "a", "c"], &[("b", 0), ("b", 1)]));
        assert_eq!(one, work(&["b", "a", "c"], &[("b", 1), ("b", 0)]));
        let other = work(&["a", "x"], &[("b", 1)]);
        assert_eq!(one.without(&other), work(&["b", "c"], &[("b", 0)]));
        assert_eq!(one.shared_with(&other), work(&["a"], &[("b", 1)]));
        assert_eq!(one.len(), 5);
        assert_eq!(one.sorted(), work(&["a", "b", "c"], &[("b", 0), ("b", 1)]));
    }
}
