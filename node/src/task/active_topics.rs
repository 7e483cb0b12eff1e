//! The topics that a connector has written to, as Connect counts them: from its first record there until someone has
//! them forgotten, over all of its tasks.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// See the module. Clones are of the same connector.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveTopics {
    shared: Arc<Shared>,
}

/// Told of every topic; called where the pipeline runs, so it must not wait.
pub(crate) type Listener = Box<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Shared {
    names: Mutex<BTreeSet<String>>,
    resets: AtomicU64,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ActiveTopics {
    /// A task has written to a topic.
    pub(crate) fn add(&self, name: String) {
        if let Some(listener) = self.shared.listener.get() {
            listener(&name);
        }
        self.names_mut().insert(name);
    }

    /// Has `listener` told of every topic from now on; the first one stays.
    pub(crate) fn tell(&self, listener: Listener) {
        let _ = self.shared.listener.set(listener);
    }

    /// In the order of their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names_mut().iter().cloned().collect()
    }

    /// Forgets them.
    pub(crate) fn reset(&self) {
        self.names_mut().clear();
        self.shared.resets.fetch_add(1, Ordering::Release);
    }

    /// How often they were forgotten: a task that sees the number change names its topics again.
    pub(crate) fn resets(&self) -> u64 {
        self.shared.resets.load(Ordering::Acquire)
    }

    fn names_mut(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.shared.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_those_of_all_tasks_since_the_last_reset() {
        let topics = ActiveTopics::default();
        let other = topics.clone();
        for name in ["b", "a", "b"] {
            other.add(name.to_owned());
        }
        assert_eq!(topics.names(), ["a", "b"]);
        topics.reset();
        assert_eq!((other.names().len(), other.resets()), (0, 1));
        let (sender, told) = std::sync::mpsc::channel();
        topics.tell(Box::new(move |name| sender.send(name.to_owned()).unwrap()));
        other.add("c".to_owned());
        assert_eq!(told.recv().unwrap(), "c");
    }
}
