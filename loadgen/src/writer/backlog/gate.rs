//! Where a stopped backlog ends: at one index for all writers.
//!
//! Before each window a writer says how far the window may reach. As long as nobody asks for a stop, that is how far
//! it may go. Once somebody has asked, the furthest index that any writer was given is the end for all.

use std::sync::{Mutex, PoisonError};

use crate::stop::Stop;

/// Asked before each window.
#[derive(Debug)]
pub(super) struct Gate {
    stop: Stop,
    furthest: Mutex<Furthest>,
}

#[derive(Debug)]
struct Furthest {
    end: u64,
    stopped: bool,
}

impl Gate {
    pub(super) fn new(stop: Stop) -> Self {
        Self { stop, furthest: Mutex::new(Furthest { end: 0, stopped: false }) }
    }

    /// The index that a window which would end before `wanted` must not reach. A writer that is there already is
    /// done.
    pub(super) fn enter(&self, wanted: u64) -> u64 {
        let mut furthest = self.furthest.lock().unwrap_or_else(PoisonError::into_inner);
        furthest.stopped |= self.stop.is_requested();
        if furthest.stopped {
            return furthest.end;
        }
        furthest.end = furthest.end.max(wanted);
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_writers_end_where_the_furthest_was_let_in() {
        let stop = Stop::new();
        let gate = Gate::new(stop.clone());
        assert_eq!(gate.enter(100), 100);
        assert_eq!(gate.enter(300), 300);
        assert_eq!(gate.enter(200), 200);
        stop.request();
        assert_eq!(gate.enter(400), 300, "nobody goes further");
        assert_eq!(gate.enter(250), 300, "but everybody as far");
    }
}
