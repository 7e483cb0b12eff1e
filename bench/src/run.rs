//! A run of a scenario: its rounds, interleaved among the arms, and the record that they become.
//!
//! ```text
//! round 1   null-reader  null-writer  node-bson    node-json       every arm meets the same servers and the same load
//! round 2   null-writer  node-json    null-reader  node-bson
//! round 3   node-json    node-bson    null-writer  null-reader
//! round 4   node-bson    null-reader  node-json    null-writer
//! ```
//!
//! Why interleaved: the speed of a machine drifts by the minute, with its neighbours, its caches and its clock. So an
//! arm is only compared with the null reader of its own round. The ratio of an arm is the median over the rounds.
//!
//! Why in this order: an arm leaves something behind for the next, a cold cache or pages that are still to be written.
//! In a balanced Latin square (E. J. Williams 1949) each arm comes at each place once, and right after each other arm
//! once; for an odd number of arms it takes twice as many rounds.
//!
//! A round in which the null reader is no wall (mongod was not busy: a reader that was too slow, or a host that gave
//! the CPU to a neighbour) has no ratios. It is kept with its reason, and another is run, up to twice the rounds but
//! one.
//!
//! The first rounds warm up and are not recorded: the broker's machine code is compiled while it works, which takes as
//! much CPU again as the work (17 µs per event in the first round, 6 µs in the fourth). An arm that brings a virtual
//! machine of its own starts cold in every round, so it has no part in them.
//!
//! A run that is stopped keeps its rounds that were finished, and of a load what was written until then.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use millrace_loadgen::ceiling::{Ceiling, MEASURED_FOR};
use millrace_loadgen::stop::Stop;
use millrace_results::gate::paired::BASE_SUFFIX;
use millrace_results::machine::{self, Commit, Machine};
use millrace_results::record::{self, ArmRecord, RoundRecord, RunRecord, SCHEMA_VERSION};
use millrace_results::utc;
use millrace_testbed::{Servers, Testbed};
use tokio::task::spawn_blocking;

use crate::bottleneck;
use crate::ground::Ground;
use crate::progress::Progress;
use crate::scenario::{Arm, Entry, Measure, Scenario};

/// A run of a scenario.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its settings.
    pub scenario: Scenario,
    /// Where the servers come from.
    pub servers: Servers,
    /// The binary `millrace`.
    pub binary: PathBuf,
    /// Another build of it: the node's arms run once more by this one.
    pub base: Option<PathBuf>,
    /// Ends it early.
    pub stop: Stop,
}

/// The run was stopped before anything was measured that could be kept.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Interrupted {}

/// Fails if `stop` was requested.
pub fn ensure_not_stopped(stop: &Stop) -> Result<()> {
    if stop.is_requested() { Err(Interrupted.into()) } else { Ok(()) }
}

/// One who takes part: an arm, under a name of its own and by a binary.
struct Contestant<'a> {
    entry: Entry,
    /// `x`; `x#2` of the same once more; `x@base` by the build that it is held against.
    name: String,
    binary: &'a Path,
    rounds: Vec<RoundRecord>,
}

/// Runs all rounds of all arms. Nothing is stored.
///
/// # Errors
/// When the scenario is impossible (then no server was started), or an arm fails. [`Interrupted`] when it was stopped
/// before anything was measured.
pub async fn run(run: &Run, progress: Progress) -> Result<RunRecord> {
    let Run { scenario, servers, stop, .. } = run;
    scenario.check()?;
    let (arms, unsupported) = split(scenario);
    let ceiling = ceiling(scenario).await?;
    // Of the moment of the start: who edits files meanwhile does not change what is measured.
    let (started_at, commit) = (utc::text(SystemTime::now()), Commit::of(Path::new(".")));
    let waiting = progress.wait("servers");
    let testbed = Arc::new(Testbed::up(scenario.plan(), *servers).await?);
    waiting.finish_and_clear();
    ensure_not_stopped(stop)?;
    let ground = Ground::prepare(run, &testbed, ceiling, progress).await?;
    let facts = serde_json::to_value(testbed.facts())?;
    let testbed = ground.needs_servers().then_some(testbed);
    let mut contestants = contestants(run, &arms);
    run_rounds(run, &mut contestants, &ground, progress).await?;
    drop(testbed);

    let rounds = contestants.into_iter().map(|one| (one.name, one.rounds)).collect();
    let mut arms = record::arms(rounds, Some(Arm::NullReader.name()), Some(Arm::NullWriter.name()));
    arms.extend(unsupported);
    let load = ground.load(scenario)?;
    Ok(RunRecord {
        schema_version: SCHEMA_VERSION,
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.load.seed,
        started_at,
        commit,
        command_line: machine::command_line(),
        machine: Machine::here(),
        servers: facts,
        write_concern: load.write_concern.to_string(),
        document_bytes: load.workload.document.bytes() as u32,
        rounds: scenario.rounds,
        settings: serde_json::to_value(scenario)?,
        cut_short: stop.is_requested(),
        bottleneck: bottleneck::of(&arms),
        arms,
    })
}

/// The arms that take part, and the records of those that cannot.
fn split(scenario: &Scenario) -> (Vec<Entry>, Vec<ArmRecord>) {
    let lacks = |entry: &Entry| scenario.needs.iter().find_map(|&feature| entry.lacks(feature));
    let (able, unable): (Vec<Entry>, Vec<Entry>) =
        scenario.arms.iter().cloned().partition(|entry| lacks(entry).is_none());
    let unsupported = unable.into_iter().map(|entry| {
        ArmRecord::unsupported(entry.to_string(), lacks(&entry).unwrap_or_default().to_owned())
    });
    (able, unsupported.collect())
}

/// What the generator can do by itself; refuses a load above it.
async fn ceiling(scenario: &Scenario) -> Result<Option<Ceiling>> {
    let course = match scenario.measure() {
        Measure::Backlog | Measure::Snapshot | Measure::Connectors | Measure::Alone(_) => {
            return Ok(None);
        }
        Measure::Live => scenario.course()?,
        Measure::Ladder(ladder) => scenario.course_at(ladder.to_per_s, ladder.lasts_s)?,
    };
    let (workload, profile) = (course.load().workload.clone(), course.profile_of_load().clone());
    let peak = profile.peak();
    let ceiling = spawn_blocking(move || Ceiling::measure(&workload, &profile, MEASURED_FOR));
    let ceiling = ceiling.await.context("measuring the ceiling of the generator failed")??;
    ceiling.check(peak)?;
    Ok(Some(ceiling))
}

fn contestants<'a>(run: &'a Run, arms: &[Entry]) -> Vec<Contestant<'a>> {
    let mut contestants: Vec<Contestant<'_>> = Vec::new();
    let one = |entry: &Entry, name, binary| {
        let entry = entry.clone();
        Contestant { entry, name, binary, rounds: Vec::new() }
    };
    for entry in arms {
        let before = contestants.iter().filter(|one| one.entry == *entry).count();
        let name = match before {
            0 => entry.to_string(),
            _ => format!("{entry}#{}", before + 1),
        };
        contestants.push(one(entry, name, &run.binary));
    }
    let nodes = arms.iter().filter(|entry| entry.arm.is_node());
    for (entry, base) in nodes.zip(run.base.iter().cycle()) {
        contestants.push(one(entry, format!("{entry}{BASE_SUFFIX}"), base));
    }
    contestants
}

async fn run_rounds(
    Run { scenario, stop, .. }: &Run,
    contestants: &mut [Contestant<'_>],
    ground: &Ground,
    progress: Progress,
) -> Result<()> {
    let last_round = scenario.warm_up_rounds + 2 * scenario.rounds - 1;
    let (mut round, mut walls) = (0, 0);
    while walls < scenario.rounds && round < last_round {
        round += 1;
        let warms_up = round <= scenario.warm_up_rounds;
        let mut is_wall = !warms_up;
        for place in order_of(round, contestants.len()) {
            let one = &mut contestants[place];
            if warms_up && one.entry.arm.starts_cold() {
                continue;
            }
            let who = (&one.entry, round);
            let measured = ground.measure(scenario, who, one.binary, stop, progress).await;
            let measured = match measured {
                Err(error) if error.is::<Interrupted>() => return ensure_kept(contestants),
                measured => {
                    measured.with_context(|| format!("round {round} of {} failed", one.name))?
                }
            };
            measured.iter().for_each(|measured| log(&one.name, measured));
            is_wall &= one.entry.arm != Arm::NullReader || measured.iter().all(RoundRecord::counts);
            // A fault counts whenever it happens.
            let is_kept = |measured: &RoundRecord| !warms_up || !measured.faults.is_none();
            one.rounds.extend(measured.into_iter().filter(is_kept));
        }
        if stop.is_requested() {
            return ensure_kept(contestants);
        }
        walls += u32::from(is_wall);
    }
    Ok(())
}

/// A stopped run has something to show, or it is none.
fn ensure_kept(contestants: &[Contestant<'_>]) -> Result<()> {
    ensure!(contestants.iter().any(|one| !one.rounds.is_empty()), Interrupted);
    Ok(())
}

/// The places of the arms in a round: a row of a balanced Latin square.
fn order_of(round: u32, arms: usize) -> Vec<usize> {
    let row = round.saturating_sub(1) as usize;
    // 0, 1, n-1, 2, n-2, …: neighbours differ by every number once.
    let zigzag = |step: usize| if step % 2 == 1 { step.div_ceil(2) } else { arms - step / 2 };
    let mut order: Vec<usize> = (0..arms).map(|step| (zigzag(step) + row) % arms).collect();
    // An odd number of arms takes the mirror image as well.
    if arms % 2 == 1 && row / arms.max(1) % 2 == 1 {
        order.reverse();
    }
    order
}

fn log(arm: &str, round: &RoundRecord) {
    let events_per_s = round.events_per_s().round();
    let p99_ms = round.latency.as_ref().map(|latency| latency.percentile_ms(99.0));
    let number = round.round;
    tracing::info!(round = number, arm, events_per_s, round.offered_per_s, p99_ms, "arm done");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_comes_at_every_place_and_after_every_other_as_often() {
        for arms in 2..=9_usize {
            let rounds = if arms % 2 == 0 { arms } else { 2 * arms };
            let mut places = vec![0; arms * arms];
            let mut followers = vec![0; arms * arms];
            for round in 1..=rounds as u32 {
                let order = order_of(round, arms);
                order.iter().enumerate().for_each(|(place, arm)| places[arm * arms + place] += 1);
                order.windows(2).for_each(|pair| followers[pair[0] * arms + pair[1]] += 1);
            }
            assert!(places.iter().all(|&times| times == rounds / arms), "{arms}: {places:?}");
            let after = |arm: usize, next: usize| followers[arm * arms + next];
            let pairs = (0..arms).flat_map(|arm| (0..arms).map(move |next| (arm, next)));
            for (arm, next) in pairs {
                let expected = if arm == next { 0 } else { rounds / arms };
                assert_eq!(after(arm, next), expected, "{next} after {arm} of {arms}");
            }
        }
        assert_eq!(order_of(1, 1), [0]);
    }

    #[test]
    fn an_arm_that_lacks_what_is_needed_is_told_and_not_run() {
        let mut drain = Scenario::all().expect("well-formed").remove(0);
        drain.needs = vec![crate::scenario::Feature::Tls];
        drain.arms = [Arm::StraightLine, Arm::ConnectorTuned].map(Entry::from).into();
        let (able, unable) = split(&drain);
        assert_eq!(able, [Entry::from(Arm::ConnectorTuned)]);
        assert_eq!(unable.len(), 1);
        assert!(
            !unable[0].valid
                && unable[0].unsupported.as_ref().is_some_and(|lack| lack.contains("OpenSSL"))
        );
    }

    #[test]
    fn a_stopped_run_that_measured_nothing_is_no_record() {
        let one = |rounds| {
            let (name, binary) = ("node-json".to_owned(), Path::new("millrace"));
            [Contestant { entry: Arm::NodeJson.into(), name, binary, rounds }]
        };
        assert!(ensure_kept(&one(Vec::new())).is_err_and(|error| error.is::<Interrupted>()));
        assert!(ensure_kept(&one(vec![RoundRecord::new(1, 1, 1, 1.0)])).is_ok());
    }

    #[test]
    fn the_same_arm_twice_and_another_build_have_names_of_their_own() {
        let mut run = Run {
            scenario: Scenario::all().expect("well-formed").remove(0),
            servers: Servers::Native,
            binary: PathBuf::from("new"),
            base: None,
            stop: Stop::new(),
        };
        let arms = ["null-reader", "node-json", "node-json", "node-json+a=b"];
        let arms = arms.map(|text| text.parse::<Entry>().expect("an entry"));
        let names = |run: &Run, arms: &[Entry]| -> Vec<_> {
            let all = contestants(run, arms);
            all.iter().map(|one| format!("{} by {}", one.name, one.binary.display())).collect()
        };
        assert_eq!(
            names(&run, &arms),
            [
                "null-reader by new",
                "node-json by new",
                "node-json#2 by new",
                "node-json+a=b by new"
            ]
        );
        run.base = Some(PathBuf::from("old"));
        assert_eq!(
            names(&run, &arms[..2]),
            ["null-reader by new", "node-json by new", "node-json@base by old"]
        );
    }
}
