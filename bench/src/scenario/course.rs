//! A load at intended times, cut into the phases that are told apart.
//!
//! ```text
//! steps     warm-up │ 200/s │ 1 000/s │ 4 000/s        one load, one ledger, one start of the arm
//! phases            └ recorded each by itself ┘        an event belongs to the phase in which it was due
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_loadgen::arrivals::{Profile, Rate};
use millrace_loadgen::settings::{Load, LoadSettings, ProfileSettings, StepSettings};

use super::Step;

/// A part of the load that is recorded, or not, by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Writes per second, on average.
    pub offered_per_s: f64,
    /// After the first intended write.
    pub begins: Duration,
    /// For how long writes are due in it.
    pub lasts: Duration,
    /// Whether it goes into the record.
    pub is_recorded: bool,
}

impl Phase {
    /// When the last write of it is due, at most.
    pub fn ends(&self) -> Duration {
        self.begins + self.lasts
    }
}

/// A load with its phases, which touch each other.
#[derive(Clone, Debug)]
pub struct Course {
    load: Load,
    profile: Profile,
    phases: Vec<Phase>,
}

impl Course {
    /// One rate after the other.
    pub fn steps(settings: &LoadSettings, steps: &[Step]) -> Result<Self> {
        let mut phases = Vec::new();
        let mut begins = Duration::ZERO;
        for step in steps {
            let lasts = Duration::try_from_secs_f64(step.lasts_s)
                .with_context(|| format!("a step cannot last {} s", step.lasts_s))?;
            let (offered_per_s, is_recorded) = (step.per_s, !step.warm_up);
            phases.push(Phase { offered_per_s, begins, lasts, is_recorded });
            begins += lasts;
        }
        let steps =
            steps.iter().map(|&Step { per_s, lasts_s, .. }| StepSettings { per_s, lasts_s });
        let profile = ProfileSettings::Steps { steps: steps.collect() };
        Self::new(settings, profile, phases)
    }

    /// One profile, one phase.
    pub(super) fn profile(
        settings: &LoadSettings,
        profile: &ProfileSettings,
        lasts_s: f64,
    ) -> Result<Self> {
        let lasts = Duration::try_from_secs_f64(lasts_s)
            .with_context(|| format!("a load cannot last {lasts_s} s"))?;
        let phase = Phase { offered_per_s: 0.0, begins: Duration::ZERO, lasts, is_recorded: true };
        let mut course = Self::new(settings, profile.clone(), vec![phase])?;
        course.phases[0].offered_per_s = course.load.workload.operations as f64 / lasts_s;
        Ok(course)
    }

    fn new(settings: &LoadSettings, profile: ProfileSettings, phases: Vec<Phase>) -> Result<Self> {
        ensure!(phases.iter().any(|phase| phase.is_recorded), "nothing of it is recorded");
        let mut settings = LoadSettings { profile: Some(profile), ..settings.clone() };
        let probe =
            LoadSettings { operations: Some(1), ..settings.clone() }.resolve(Path::new(""))?;
        let profile = probe.profile.context("a course has a profile")?;
        let lasts = phases.last().map_or(Duration::ZERO, Phase::ends);
        settings.operations = Some(operations_within(&profile, lasts)?);
        let load = settings.resolve(Path::new(""))?;
        Ok(Self { load, profile, phases })
    }

    /// What is written; the database is that of the settings.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// When it is due.
    pub fn profile_of_load(&self) -> &Profile {
        &self.profile
    }

    /// In the order of time.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// From the first intended write to the end of the last phase.
    pub fn lasts(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, Phase::ends)
    }

    /// The place of the phase in which a write is due that many after the first.
    pub fn phase_at(&self, offset: Duration) -> usize {
        let ended = self.phases.partition_point(|phase| phase.ends() <= offset);
        ended.min(self.phases.len() - 1)
    }
}

/// How many events of `profile` are due before `lasts` is over.
fn operations_within(profile: &Profile, lasts: Duration) -> Result<u64> {
    let most = profile.peak().as_per_s() * lasts.as_secs_f64();
    ensure!(
        (1.0..=Rate::MAX.as_per_s() * 60.0).contains(&most),
        "{most:.0} writes in {lasts:.1?} are none, or too many"
    );
    let most = most.ceil() as u64 + 1;
    let most = profile.events_max().map_or(most, |events| events.min(most));
    let arrivals = profile.arrivals(most)?;
    let lasts_ns = lasts.as_nanos() as u64;
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if arrivals.offset_ns(middle) < lasts_ns { low = middle + 1 } else { high = middle }
    }
    ensure!(low != 0, "no write is due within {lasts:.1?}");
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(per_s: f64, lasts_s: f64, warm_up: bool) -> Step {
        Step { per_s, lasts_s, warm_up }
    }

    #[test]
    fn steps_touch_each_other_and_hold_as_many_writes_as_they_say() {
        let steps = [step(100.0, 2.0, true), step(200.0, 5.0, false), step(1_000.0, 1.0, false)];
        let course = Course::steps(&LoadSettings::default(), &steps).expect("a course");
        assert_eq!(course.load().workload.operations, 200 + 1_000 + 1_000);
        assert_eq!(course.lasts(), Duration::from_secs(8));
        let at = |ms| course.phase_at(Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(1_999), at(2_000), at(6_999), at(7_000), at(90_000)],
            [0, 0, 1, 1, 2, 2]
        );
    }

    #[test]
    fn a_profile_is_one_phase_at_its_mean_rate() {
        let burst = ProfileSettings::Burst {
            base_per_s: 100.0,
            peak_per_s: 1_000.0,
            every_s: 5.0,
            lasts_s: 1.0,
        };
        let course = Course::profile(&LoadSettings::default(), &burst, 10.0).expect("a course");
        assert_eq!(course.load().workload.operations, 2 * (400 + 1_000));
        assert_eq!(course.phases()[0].offered_per_s, 280.0);
    }

    #[test]
    fn a_load_of_nothing_is_refused() {
        let course = |steps: &[Step]| Course::steps(&LoadSettings::default(), steps).map(drop);
        assert!(course(&[]).is_err());
        assert!(course(&[step(100.0, 2.0, true)]).is_err());
        assert!(course(&[step(100.0, -2.0, false)]).is_err());
        assert!(course(&[step(0.0, 2.0, false)]).is_err());
    }
}
