//! How much load this machine's generator could make if nothing took any time but itself.
//!
//! ```text
//! scheduled   derive the operation ─► its time ─► read the clock ─► null sink
//! built       the same, and the bytes of the document or update
//! ```
//!
//! Measured on one core before a run, on the workload and profile of the run, and kept in its record: a figure near
//! the ceiling measures the generator. A profile that asks for more at its peak is refused before it starts. What the
//! driver and the network cost comes on top; the lateness of the run tells about that.

use std::fmt;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::arrivals::{Profile, ProfileError, Rate};
use crate::bson_writer::BsonWriter;
use crate::pacer::{NullSink, Sink, release_all};
use crate::schedule::Schedule;
use crate::workload::{Kind, Unit, Workload};

/// Enough for rates that settle within a few percent.
pub const MEASURED_FOR: Duration = Duration::from_millis(400);
/// Operations after which the generator begins anew: it holds 8 bytes per living key.
const ROUND_OPERATIONS: u64 = 500_000;

/// What the generator could do by itself, on one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Operations per second without their documents.
    pub scheduled_per_s: f64,
    /// Operations per second with them.
    pub built_per_s: f64,
}

/// A profile that no generator of this machine can follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AboveCeiling {
    /// What it asks for at its peak.
    pub peak: Rate,
    /// What there is.
    pub ceiling: Ceiling,
}

impl fmt::Display for AboveCeiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peak, ceiling } = self;
        write!(
            f,
            "the profile asks for {:.0} operations/s at its peak, but the generator builds {:.0}/s on one core of this \
             machine: lower the rate, make the documents smaller, or share the load among several machines",
            peak.as_per_s(),
            ceiling.built_per_s
        )
    }
}

impl std::error::Error for AboveCeiling {}

impl Ceiling {
    /// Measures for `lasts` on the calling thread, one half for each figure. Nothing waits for its time.
    pub fn measure(
        workload: &Workload,
        profile: &Profile,
        lasts: Duration,
    ) -> Result<Self, ProfileError> {
        let scheduled_per_s = rate(workload, profile, lasts / 2, NullSink::default())?;
        let built_per_s = rate(workload, profile, lasts / 2, Building::new(workload))?;
        Ok(Self { scheduled_per_s, built_per_s })
    }

    /// Refuses a rate that cannot be reached.
    pub fn check(self, peak: Rate) -> Result<(), AboveCeiling> {
        if self.built_per_s < peak.as_per_s() {
            return Err(AboveCeiling { peak, ceiling: self });
        }
        Ok(())
    }
}

/// Operations per second into a sink, over as many rounds as fit into the time.
fn rate(
    workload: &Workload,
    profile: &Profile,
    lasts: Duration,
    mut sink: impl Sink,
) -> Result<f64, ProfileError> {
    let endless = Workload { operations: ROUND_OPERATIONS, ..workload.clone() };
    let known = profile.events_max().unwrap_or(ROUND_OPERATIONS).min(ROUND_OPERATIONS);
    let began = Instant::now();
    let schedule = Schedule::new(began, profile, known)?;
    let began = Instant::now();
    let mut operations = 0;
    loop {
        // The first of a round is always taken, however long the machine was busy with something else.
        let mut taken = 0_u64;
        let clock = |_due| {
            let now = Instant::now();
            taken += 1;
            (taken == 1 || now - began < lasts).then_some(now)
        };
        operations += release_all(&endless, &schedule, clock, &mut sink).operations;
        if lasts <= began.elapsed() {
            break;
        }
    }
    Ok(operations as f64 / began.elapsed().as_secs_f64().max(1e-9))
}

/// Makes the bytes of every operation, and drops them.
struct Building<'a> {
    workload: &'a Workload,
    writer: BsonWriter,
}

impl<'a> Building<'a> {
    fn new(workload: &'a Workload) -> Self {
        Self { workload, writer: BsonWriter::default() }
    }
}

impl Sink for Building<'_> {
    fn prepare(&mut self, unit: Unit<'_>) {
        for operation in unit.operations {
            self.writer.clear();
            match operation.kind {
                Kind::Insert | Kind::Replace => {
                    self.workload.push_document(&mut self.writer, operation.key, operation.version);
                }
                Kind::Update => {
                    self.workload.push_modification(
                        &mut self.writer,
                        operation.key,
                        operation.version,
                    );
                }
                Kind::Delete => {}
            }
            black_box(self.writer.len());
        }
    }

    fn release(&mut self, _due: Instant) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentShape;
    use crate::workload::{Collections, KeySpread, Mix};

    fn workload(shape: &str) -> Workload {
        Workload {
            seed: 4,
            database: "d".into(),
            collections: Collections::one("c"),
            operations: 10,
            writers: 3,
            mix: Mix::INSERTS,
            document: DocumentShape::named(shape).unwrap().into(),
            key_spread: KeySpread::Uniform,
        }
    }

    fn constant(rate_per_s: f64) -> Profile {
        Profile::constant(Rate::per_s(rate_per_s).unwrap()).unwrap()
    }

    #[test]
    fn larger_documents_lower_the_ceiling_of_building() {
        let lasts = Duration::from_millis(200);
        let ceiling = |shape| Ceiling::measure(&workload(shape), &constant(1.0), lasts).unwrap();
        let (small, large) = (ceiling("small"), ceiling("large"));
        assert!(large.built_per_s * 4.0 < small.built_per_s, "{small:?} {large:?}");
        assert!(small.built_per_s < small.scheduled_per_s, "{small:?}");
    }

    #[test]
    fn a_rate_above_the_ceiling_is_refused_with_both_figures() {
        let ceiling = Ceiling { scheduled_per_s: 5e6, built_per_s: 4e5 };
        assert_eq!(ceiling.check(constant(400_000.0).peak()), Ok(()));
        let refused = ceiling.check(constant(400_001.0).peak()).unwrap_err().to_string();
        assert!(refused.contains("asks for 400001 operations/s at its peak"), "{refused}");
        assert!(refused.contains("builds 400000/s"), "{refused}");
    }

    #[test]
    fn traces_that_are_shorter_than_the_measurement_have_a_ceiling_too() {
        let trace = Profile::trace("offsets_us\n0\n10\n20").unwrap();
        let ceiling =
            Ceiling::measure(&workload("small"), &trace, Duration::from_millis(20)).unwrap();
        assert!(1_000.0 < ceiling.built_per_s, "{ceiling:?}");
    }
}
