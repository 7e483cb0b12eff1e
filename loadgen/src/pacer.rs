//! Releases every operation at its intended time, whatever becomes of it.
//!
//! ```text
//! units of the workload ─► prepare ─► wait until due ─► release     a thread of its own; nothing is skipped
//!                          bytes      sleep ……… spin    sink
//! ```
//!
//! A timer of an asynchronous runtime has steps of a millisecond, and a sleeping thread is woken 50 µs late because
//! the kernel may join wake-ups (timer slack). So the thread asks for a slack of 1 ns, sleeps until 60 µs before the
//! time, and spins for the rest. Spinning burns a core: it may take half of the time that has passed, not more.
//! Beyond that the thread only sleeps, and is some 20 to 60 µs late. At 10 000/s it spins about 40 % of a core; below
//! 1 000/s under 6 %.
//!
//! Against threads that are never idle no way of sleeping helps: the thread is put into a real-time class where the
//! system allows it (see `priority.rs`).

use std::fs;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use crate::lateness::Lateness;
use crate::priority;
use crate::schedule::Schedule;
use crate::stop::Stop;
use crate::workload::{Unit, Workload};

/// Sleeping threads are woken this late at most, as a rule.
const SPIN_MAX: Duration = Duration::from_micros(60);
/// Of the time that has passed, one part in so many may be spun away.
const SPIN_SHARE: u32 = 2;
/// A thread that waits for longer looks in between whether it is to stop.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Where operations go when they are due.
pub trait Sink {
    /// Makes the next unit ready, before its time has come.
    fn prepare(&mut self, unit: Unit<'_>);

    /// Lets go what was made ready and was intended for `due`. Must not wait: while it does, what comes next is late,
    /// and the run is invalid.
    fn release(&mut self, due: Instant) -> ControlFlow<()>;
}

/// Takes everything and does nothing: what is left is the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NullSink {
    /// What was released.
    pub operations: u64,
    /// What is released next.
    prepared: u64,
}

impl Sink for NullSink {
    fn prepare(&mut self, unit: Unit<'_>) {
        self.prepared = unit.operations.len() as u64;
    }

    fn release(&mut self, _due: Instant) -> ControlFlow<()> {
        self.operations += self.prepared;
        ControlFlow::Continue(())
    }
}

/// What the pacer did.
#[derive(Clone, Debug, Default)]
pub struct Paced {
    /// Operations released: the first so many of the workload.
    pub operations: u64,
    /// From the intended time to the release.
    pub lateness: Lateness,
    /// Time that was spun away.
    pub spun: Duration,
}

/// Releases the operations of `workload` at their times, until all are released, the sink breaks off, or a stop is
/// asked for. Takes the calling thread, which should be one of its own: its priority is raised where that is allowed.
pub fn pace(workload: &Workload, schedule: &Schedule, stop: &Stop, sink: &mut impl Sink) -> Paced {
    priority::raise();
    let mut waiting = Waiting::new(stop);
    let mut paced = release_all(workload, schedule, |due| waiting.until(due), sink);
    paced.spun = waiting.spun;
    paced
}

/// The loop of [`pace`] with a clock of the caller's: it returns when the time has come, or `None` to stop.
pub(crate) fn release_all(
    workload: &Workload,
    schedule: &Schedule,
    mut wait: impl FnMut(Instant) -> Option<Instant>,
    sink: &mut impl Sink,
) -> Paced {
    let mut paced = Paced::default();
    let mut arrivals = schedule.arrivals().in_order();
    let mut units = workload.units();
    while let Some(unit) = units.next_unit() {
        let due = schedule.start() + Duration::from_nanos(arrivals.offset_ns(unit.due_index()));
        let operations = unit.operations.len() as u64;
        sink.prepare(unit);
        let Some(now) = wait(due) else { break };
        paced.lateness.own.record(now.saturating_duration_since(due), operations);
        if sink.release(due).is_break() {
            break;
        }
        paced.operations += operations;
    }
    paced.lateness.behind = paced.lateness.own.clone();
    paced
}

/// Waits for moments, one after the other.
struct Waiting<'a> {
    stop: &'a Stop,
    began: Instant,
    spun: Duration,
}

impl<'a> Waiting<'a> {
    fn new(stop: &'a Stop) -> Self {
        ask_for_exact_timers();
        Self { stop, began: Instant::now(), spun: Duration::ZERO }
    }

    fn until(&mut self, due: Instant) -> Option<Instant> {
        loop {
            if self.stop.is_requested() {
                return None;
            }
            let now = Instant::now();
            let Some(left) = due.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Some(now);
            };
            let may_spin = self.spun * SPIN_SHARE < now - self.began;
            let asleep = left.saturating_sub(if may_spin { SPIN_MAX } else { Duration::ZERO });
            if asleep.is_zero() {
                return Some(self.spin(now, due));
            }
            thread::sleep(asleep.min(SLEEP_MAX));
        }
    }

    fn spin(&mut self, from: Instant, due: Instant) -> Instant {
        let mut now = from;
        while now < due {
            std::hint::spin_loop();
            now = Instant::now();
        }
        self.spun += now - from;
        now
    }
}

/// Sets the timer slack of this thread to 1 ns. Where that is not possible timers are some 50 µs late, and the
/// lateness of the run shows it.
fn ask_for_exact_timers() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else { return };
    let Some(id) = thread.file_name() else { return };
    let slack = std::path::Path::new("/proc").join(id).join("timerslack_ns");
    // Not every kernel has it, and a sandbox may forbid it.
    drop(fs::write(slack, "1"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Profile, Rate};
    use crate::document::DocumentShape;
    use crate::workload::{Collections, KeySpread, Mix, Operation, Transactions};

    fn workload(operations: u64) -> Workload {
        Workload {
            seed: 4,
            database: "d".into(),
            collections: Collections::one("c"),
            operations,
            writers: 3,
            mix: Mix::ALL,
            document: DocumentShape::PLAIN_1_KB.into(),
            key_spread: KeySpread::Uniform,
        }
    }

    fn schedule(rate_per_s: f64, operations: u64) -> Schedule {
        let profile = Profile::constant(Rate::per_s(rate_per_s).unwrap()).unwrap();
        Schedule::new(Instant::now() + Duration::from_millis(5), &profile, operations).unwrap()
    }

    /// Keeps what came and when; waits by itself at some operations.
    #[derive(Default)]
    struct Recording {
        operations: Vec<Operation>,
        dues: Vec<Instant>,
        early: u64,
        next: Vec<Operation>,
        stall: Option<(u64, Duration)>,
        stop_after: Option<(usize, Stop)>,
    }

    impl Sink for Recording {
        fn prepare(&mut self, unit: Unit<'_>) {
            self.next = unit.operations.to_vec();
        }

        fn release(&mut self, due: Instant) -> ControlFlow<()> {
            self.early += u64::from(Instant::now() < due);
            self.dues.push(due);
            self.operations.append(&mut self.next);
            if let Some((every, stall)) = self.stall
                && (self.operations.len() as u64).is_multiple_of(every)
            {
                thread::sleep(stall);
            }
            if let Some((after, stop)) = &self.stop_after
                && *after <= self.operations.len()
            {
                stop.request();
            }
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn every_operation_is_released_once_in_order_and_never_early() {
        let workload = workload(2_000);
        let mut sink = Recording::default();
        let paced = pace(&workload, &schedule(50_000.0, 2_000), &Stop::new(), &mut sink);
        assert_eq!(sink.operations, workload.schedule().collect::<Vec<_>>());
        assert_eq!((sink.early, paced.operations), (0, 2_000));
        assert_eq!(paced.lateness.own.count(), 2_000);
    }

    #[test]
    fn a_sink_that_stalls_makes_the_generator_late_and_shifts_no_intended_time() {
        let workload = workload(1_000);
        let schedule = schedule(5_000.0, 1_000);
        let stall = Some((250, Duration::from_millis(60)));
        let mut sink = Recording { stall, ..Recording::default() };
        let paced = pace(&workload, &schedule, &Stop::new(), &mut sink);
        let fault = paced.lateness.fault(None).expect("a late generator is found");
        assert!(Duration::from_millis(20) < fault.found, "{fault}");
        assert!(fault.to_string().contains("the load generator was late by itself"), "{fault}");
        let intended: Vec<_> = (0..1_000).map(|index| schedule.due(index)).collect();
        assert_eq!(sink.dues, intended);
        assert_eq!(sink.operations.len(), 1_000, "nothing is skipped");
    }

    #[test]
    fn a_stopped_load_is_the_beginning_of_the_whole() {
        let mut workload = workload(10_000);
        workload.mix.transactions = Transactions { operations: 7, permille: 500 };
        let stop = Stop::new();
        let stop_after = Some((100, stop.clone()));
        let mut sink = Recording { stop_after, ..Recording::default() };
        let paced = pace(&workload, &schedule(100_000.0, 10_000), &stop, &mut sink);
        assert!((100..120).contains(&paced.operations), "{}", paced.operations);
        let shorter = Workload { operations: paced.operations, ..workload };
        assert_eq!(sink.operations, shorter.schedule().collect::<Vec<_>>());
    }

    #[test]
    fn operations_of_a_transaction_are_released_together_when_the_first_is_due() {
        let mut workload = workload(2_000);
        workload.mix.transactions = Transactions { operations: 5, permille: 400 };
        let mut units = workload.units();
        let (mut singles, mut together) = (0, 0);
        while let Some(unit) = units.next_unit() {
            let first = unit.due_index();
            assert!(
                unit.operations
                    .iter()
                    .all(|operation| workload.due_index(operation.index) == first)
            );
            assert!(
                unit.operations.iter().all(|op| op.key.writer == unit.operations[0].key.writer)
            );
            match (unit.is_transaction, unit.operations.len()) {
                (true, 5) => together += 1,
                (false, 1) => singles += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(together * 5 + singles, 2_000);
        assert!((120..200).contains(&together), "{together} of 400 turns");
    }

    #[test]
    fn spinning_takes_at_most_half_of_the_time() {
        let began = Instant::now();
        let paced = pace(
            &workload(4_000),
            &schedule(20_000.0, 4_000),
            &Stop::new(),
            &mut NullSink::default(),
        );
        // A thread that loses its core while it spins has spun for so long.
        let allowed = began.elapsed() / SPIN_SHARE + Duration::from_millis(30);
        assert!(paced.spun <= allowed, "{:?} of {allowed:?}", paced.spun);
    }
}
