//! Laws of the noise floor, counted over machines whose noise is known.

use super::*;
use crate::synthetic::{Folder, Synthetic};

fn twins(seed: u64) -> Synthetic {
    let arms = vec![("node-json", 0.8), ("node-json#2", 0.8)];
    Synthetic { arms, latencies: false, ..Synthetic::new(seed) }
}

fn null_ratio(record: &NoiseRecord) -> &NoiseFloor {
    let is_it = |floor: &&NoiseFloor| floor.arm == "node-json" && floor.metric == Metric::NullRatio;
    record.floors.iter().find(is_it).expect("a floor of the null ratio")
}

#[test]
fn the_floor_within_a_run_holds_for_nineteen_of_twenty_new_runs() {
    let (mut held, mut floors) = (0, Vec::new());
    for seed in 0..40 {
        let mut machine = twins(seed);
        let record = NoiseRecord::of(&machine.history(0, 10)).expect("twins");
        let floor = null_ratio(&record).within_run.expect("fifty pairs");
        floors.push(floor);
        for run in machine.history(10, 20) {
            let ratio = run.arms[2].null_ratio.zip(run.arms[1].null_ratio);
            let (second, first) = ratio.expect("valid");
            held += u32::from((second / first).ln().abs() < floor.ln_1p());
        }
    }
    // Two arms with 4 % each are 5.7 % apart in a round, and their medians of five 6 % at the 95 % quantile.
    let floor = median(floors).expect("forty");
    assert!((0.045..0.075).contains(&floor), "{floor}");
    assert!((740..=790).contains(&held), "{held} of 800");
}

#[test]
fn the_floor_between_runs_holds_for_nineteen_of_twenty_new_pairs_of_runs() {
    let mut held = 0;
    for seed in 0..40 {
        let mut machine = Synthetic { latencies: false, ..Synthetic::new(seed) };
        let mut history = machine.history(0, 12);
        history.iter_mut().for_each(|run| run.commit.describe = "same".into());
        let record = NoiseRecord::of(&history).expect("a repeated commit");
        let floor = null_ratio(&record).between_runs.expect("twelve runs");
        let found = record.floor("node-json", Metric::NullRatio, None).expect("known");
        assert_eq!(found, Floor { noise: floor, origin: FloorOrigin::BetweenRuns });
        for pair in machine.history(12, 40).chunks(2) {
            let ratio = pair[0].arms[1].null_ratio.zip(pair[1].arms[1].null_ratio);
            let (one, other) = ratio.expect("valid");
            held += u32::from((one / other).ln().abs() < floor.ln_1p());
        }
    }
    assert!((730..=790).contains(&held), "{held} of 800");
}

#[test]
fn runs_under_other_conditions_and_changed_sources_are_left_out() {
    let mut history = twins(3).history(0, 6);
    history[0].machine.cores = 64;
    history[1].seed += 1;
    let record = NoiseRecord::of(&history).expect("twins");
    assert_eq!((record.runs.len(), null_ratio(&record).pairs), (4, 20));

    let mut history = Synthetic::new(1).history(0, 8);
    history.iter_mut().for_each(|run| run.commit.describe = "same".into());
    history[0].commit.dirty = true;
    assert!(NoiseRecord::of(&history).is_ok());
    history.iter_mut().take(5).for_each(|run| run.commit.dirty = true); // three are left
    let error = NoiseRecord::of(&history).unwrap_err().to_string();
    assert!(error.contains("none of 8 like runs has an arm twice"), "{error}");
}

#[test]
fn rounds_that_do_not_count_are_no_evidence() {
    let mut history = twins(3).history(0, 3);
    assert!(NoiseRecord::of(&history).is_ok());
    history[0].arms[1].rounds[2].invalid_reason = Some("late".into());
    history[1].arms[2].valid = false;
    let error = NoiseRecord::of(&history).unwrap_err().to_string();
    assert!(error.contains("in at least 10 rounds"), "{error}");
}

#[test]
fn an_arm_without_twin_is_held_against_the_widest_floor_of_the_figure() {
    let record = NoiseRecord::of(&twins(3).history(0, 4)).expect("twins");
    let own = record.floor("node-json", Metric::CpuPerEvent, None).expect("measured");
    assert_eq!(record.floor("node-bson", Metric::CpuPerEvent, None), Some(own));
    assert_eq!(own.origin, FloorOrigin::WithinRun);
    assert_eq!(record.floor("node-json", Metric::SinkRatio, None), None);
}

#[test]
fn a_run_is_held_against_its_own_scenario_then_the_twins_then_what_was_kept() {
    let folder = Folder::new("noise");
    let store = Store::at(folder.path());
    let run = Synthetic { latencies: false, ..Synthetic::new(1) }.run(50);
    assert_eq!(NoiseRecord::for_run(&run, &store).unwrap(), None);

    let history = twins(1).history(0, 3);
    let kept = NoiseRecord::of(&history).expect("twins");
    store.baselines().append(Kind::Noise, &kept).unwrap();
    assert_eq!(NoiseRecord::for_run(&run, &store).unwrap(), Some(kept));
    let mut elsewhere = run.clone();
    elsewhere.machine.cores = 64;
    assert_eq!(NoiseRecord::for_run(&elsewhere, &store).unwrap(), None);

    let store_as = |history: &[RunRecord], scenario: &str, machine: &str| {
        for run in history {
            let mut run = RunRecord { scenario: scenario.into(), seed: 7, ..run.clone() };
            run.machine.cpu_model = machine.into();
            run.seed = if scenario == SCENARIO { 7 } else { 42 };
            store.append(&run).unwrap();
        }
    };
    store_as(&history, SCENARIO, "another machine");
    assert_eq!(NoiseRecord::for_run(&run, &store).unwrap().unwrap().scenario, "drain");
    store_as(&history, SCENARIO, &run.machine.cpu_model);
    assert_eq!(NoiseRecord::for_run(&run, &store).unwrap().unwrap().scenario, SCENARIO);
    store_as(&history, "drain", &run.machine.cpu_model);
    let own = NoiseRecord::for_run(&run, &store).unwrap().unwrap();
    assert_eq!((own.scenario.as_str(), own.runs.len()), ("drain", 3));
    assert!(own.text().contains("null ratio     15"), "{}", own.text());
}

#[test]
fn students_quantiles_are_those_of_the_printed_tables() {
    for (degrees, expected) in [(3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042)] {
        assert!((student_97_5(degrees) / expected - 1.0).abs() < 0.01, "{degrees}");
    }
}

#[test]
fn twins_are_told_by_their_number() {
    assert_eq!(first_of_twins("node-json#2"), Some("node-json"));
    assert_eq!(first_of_twins("node-json"), None);
    assert_eq!(first_of_twins("node#x"), None);
}
