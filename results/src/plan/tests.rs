//! Laws of plans made from ladders whose truth is known.

use serde_json::json;

use super::rungs::{CONNECTIONS_MONGODB, CONNECTORS, OPLOG_BYTES_PER_EVENT};
use super::*;
use crate::record::{self, ProcessUsage, RoundRecord};
use crate::stats::random::Random;
use crate::synthetic::{Folder, Synthetic};

const TRUTH: Usl = Usl { lambda: 20_000.0, sigma: 0.1, kappa: 0.004 };
const MONGOD_US: f64 = 10.0;
const NULL_PER_S: f64 = 120_000.0;

/// A run of `connectors` with three rounds for each rung and 3 % noise.
fn connectors(seed: u64, rungs: &[u32]) -> RunRecord {
    let mut random = Random::seeded(seed);
    let (mut node, mut null) = (Vec::new(), Vec::new());
    let numbered = (1..).zip(rungs.iter().flat_map(|&rung| [rung; 3]));
    for (number, rung) in numbered {
        let rate = TRUTH.rate(f64::from(rung)) * (0.03 * random.normal()).exp();
        let events = 300_000_u64;
        let mut round = RoundRecord::new(number, events, events * 1_340, events as f64 / rate);
        let usage = |process: &str, cpu: f64, rss: f64| ProcessUsage {
            process: process.into(),
            cpu_us_per_event: Some(cpu),
            peak_rss_mib: Some(rss),
            voluntary_switches: None,
            involuntary_switches: None,
            system_calls: None,
        };
        let noise = (0.02 * random.normal()).exp();
        round.usage = vec![
            usage("arm", 2.0 * noise, 30.0 + 5.0 * f64::from(rung)),
            usage("mongod", MONGOD_US * noise, 1_200.0),
            usage("kafka", 4.0 * noise, 900.0),
        ];
        round.counters.insert(CONNECTORS.into(), json!(rung));
        round.counters.insert(CONNECTIONS_MONGODB.into(), json!(2 * rung + 3));
        round.counters.insert(OPLOG_BYTES_PER_EVENT.into(), json!(1_100.0 * noise));
        let mut reader =
            RoundRecord::new(number, events, events * 1_330, events as f64 / NULL_PER_S);
        reader.counters.insert(CONNECTORS.into(), json!(rung));
        node.push(round);
        null.push(reader);
    }
    let arms = vec![("null-reader".into(), null), ("node-json".into(), node)];
    RunRecord {
        scenario: "connectors".into(),
        arms: record::arms(arms, Some("null-reader"), None),
        ..Synthetic::new(1).run(1)
    }
}

const RUNGS: [u32; 6] = [1, 2, 3, 4, 6, 8];

fn evidence(seed: u64) -> Evidence {
    Evidence { scaling: connectors(seed, &RUNGS), latency: None }
}

fn demand(events_per_s: f64) -> Demand {
    Demand { events_per_s, document_bytes: None, p99_ms: None, outage_h: Some(24.0) }
}

fn amount(plan: &Plan, what: &str) -> Interval {
    let need = plan.answers.needs.iter().find(|need| need.what == what);
    need.unwrap_or_else(|| panic!("no {what} among {:?}", plan.answers.needs)).amount
}

#[test]
fn needs_are_those_of_the_truth() {
    let plan = plan(demand(60_000.0), &evidence(1), "node-json").expect("enough rungs");
    let exact = TRUTH.load_for(60_000.0).expect("reached");
    for (what, truth, tolerance) in [
        ("connectors", exact.ceil(), 1.01),
        ("cores of mongod", 0.6, 0.05),
        ("cores of kafka", 0.24, 0.03),
        ("cores together", 0.96, 0.1),
        ("memory of node-json", 30.0 + 5.0 * exact, 5.0),
        ("connections to MongoDB", 2.0 * exact + 3.0, 2.0),
        ("into Kafka", 60_000.0 * 1_340.0 / 1e6, 0.1),
        ("oplog for an outage of 24 h", 60_000.0 * 86_400.0 * 1_100.0 / 1_073_741_824.0, 200.0),
    ] {
        let found = amount(&plan, what);
        assert!((found.estimate - truth).abs() < tolerance, "{what}: {found:?}, truth {truth}");
        assert!(found.low <= found.estimate && found.estimate <= found.high, "{what}: {found:?}");
    }
    assert!(plan.answers.needs.iter().all(|need| !need.from.is_empty()));
}

#[test]
fn the_held_out_rung_is_foretold_from_the_others_alone() {
    let base = plan(demand(60_000.0), &evidence(1), "node-json").expect("enough rungs");
    let error = base.held_out.error;
    assert!(error.abs() < 0.1 && base.held_out.rung == 8.0 && !base.held_out.foretold, "{error}");
    // Another last rung moves what was measured, not what was predicted.
    let mut other = evidence(1);
    other.scaling.arms[1].rounds.iter_mut().skip(15).for_each(|round| round.seconds *= 2.0);
    let other = plan(demand(30_000.0), &other, "node-json").expect("enough rungs");
    assert_eq!(other.held_out.predicted.estimate, base.held_out.predicted.estimate);
    assert!((other.held_out.measured * 2.0 / base.held_out.measured - 1.0).abs() < 1e-9);
    assert!(0.8 < other.held_out.error, "a broken law is told by its error");
    let record = other.prediction_record();
    let json = serde_json::to_string(&record).expect("JSON");
    assert_eq!(serde_json::from_str::<PredictionRecord>(&json).expect("JSON"), record);
}

#[test]
fn what_the_run_foretold_before_it_measured_counts() {
    let mut evidence = evidence(1);
    let ladder = Ladder::of(&evidence.scaling, "node-json").expect("rungs");
    let foretold = predict_next(&ladder.points(5), 8.0, 3).expect("five rungs");
    assert!((foretold.estimate / TRUTH.rate(8.0) - 1.0).abs() < 0.1, "{foretold:?}");
    assert_eq!(predict_next(&ladder.points(3), 8.0, 3), None, "three rungs foretell nothing");
    for round in evidence.scaling.arms[1].rounds.iter_mut().skip(15) {
        round.counters.insert(PREDICTED_EVENTS_PER_S.into(), json!(foretold.estimate * 0.9));
    }
    let plan = plan(demand(60_000.0), &evidence, "node-json").expect("enough rungs");
    assert!(plan.held_out.foretold);
    assert_eq!(plan.held_out.predicted.estimate, foretold.estimate * 0.9);
}

#[test]
fn the_largest_share_is_the_bottleneck() {
    let plan = plan(demand(60_000.0), &evidence(1), "node-json").expect("enough rungs");
    let share = |of: &str| {
        let found = plan.answers.utilisation.iter().find(|used| used.of.contains(of));
        found.unwrap_or_else(|| panic!("no {of}")).share.estimate
    };
    assert!((share("change stream") - 0.5).abs() < 0.01);
    assert!((share("2 cores") - 0.48).abs() < 0.05);
    let first = plan.answers.bottleneck().expect("some");
    assert!(first.of.contains("node-json can give"), "{first:?}");
    assert!((first.share.estimate - 60_000.0 / TRUTH.rate_max()).abs() < 0.05, "{first:?}");
}

#[test]
fn beyond_the_largest_rung_is_marked_and_beyond_twice_refused() {
    let largest = Ladder::of(&evidence(1).scaling, "node-json").expect("rungs").events_per_s_max();
    let within = plan(demand(largest * 0.9), &evidence(1), "node-json").expect("inside");
    assert!(!within.answers.extrapolated);
    let above = plan(demand(largest * 1.1), &evidence(1), "node-json").expect("near");
    assert!(above.answers.extrapolated && text::text(&above).contains("EXTRAPOLATED"));
    let error = plan(demand(largest * 2.1), &evidence(1), "node-json").unwrap_err().to_string();
    assert!(error.contains("nothing is said beyond 2 times that"), "{error}");
    let large = Demand { document_bytes: Some(4_096.0), ..demand(10_000.0) };
    assert!(plan(large, &evidence(1), "node-json").unwrap_err().to_string().contains("4096 bytes"));
}

#[test]
fn another_size_widens_the_interval_to_both_ways_of_growing() {
    let sized = |document_bytes| {
        let demand = Demand { document_bytes, ..demand(50_000.0) };
        plan(demand, &evidence(1), "node-json").expect("near")
    };
    let (same, near, large) = (sized(None), sized(Some(1_100.0)), sized(Some(2_048.0)));
    for what in ["cores of mongod", "into Kafka"] {
        assert_eq!(amount(&same, what), amount(&near, what), "a tenth more counts as measured");
    }
    let (cores, bytes) = (amount(&large, "cores of mongod"), amount(&large, "into Kafka"));
    assert!(cores.contains(0.5) && cores.contains(1.0), "{cores:?}");
    assert!(
        bytes.contains(0.05 * (1_340.0 + 1_024.0)) && bytes.contains(0.05 * 2_680.0),
        "{bytes:?}"
    );
}

#[test]
fn what_no_run_has_is_named_with_what_to_run() {
    let mut evidence = evidence(1);
    for round in &mut evidence.scaling.arms[1].rounds {
        round.usage.retain(|usage| usage.process == "arm");
        round.counters.remove(OPLOG_BYTES_PER_EVENT);
        round.null_ratio = None;
    }
    let demand = Demand { p99_ms: Some(50.0), ..demand(60_000.0) };
    let plan = plan(demand, &evidence, "node-json").expect("enough rungs");
    for gap in [
        "cores of mongod",
        "memory of kafka",
        "oplog for",
        "change stream",
        "connections to Kafka",
        "p99",
    ] {
        let line = plan.answers.missing.iter().find(|line| line.contains(gap));
        assert!(line.is_some_and(|line| line.contains("millrace bench run")), "{gap}: {line:?}");
    }
    assert!(plan.answers.needs.iter().all(|need| need.what != "cores together"));
    let text = text::text(&plan);
    assert!(text.contains("not known  oplog for an outage of 24 h"), "{text}");
}

#[test]
fn the_p99_is_that_of_the_next_higher_measured_rate() {
    let mut latency = Synthetic::new(2).run(7);
    latency.scenario = "ladder".into();
    let mut rounds = latency.arms[1].rounds.clone();
    for round in &mut rounds {
        let offered = 10_000 * u64::from(round.round);
        round.offered_per_s = Some(offered as f64);
        round.seconds = round.events as f64 / offered as f64;
    }
    latency.arms[1] = record::ArmRecord::from_rounds("node-json".into(), rounds.clone());
    let evidence = Evidence { latency: Some(latency), ..evidence(1) };
    let expected = rounds[3].latency.as_ref().expect("set").percentile_ms(99.0);
    for (p99_ms, kept) in [(expected * 2.0, "is kept"), (expected / 2.0, "is not kept")] {
        let demand = Demand { p99_ms: Some(p99_ms), ..demand(35_000.0) };
        let plan = plan(demand, &evidence, "node-json").expect("enough rungs");
        assert_eq!(amount(&plan, "p99").estimate, expected);
        let note =
            plan.answers.needs.iter().find(|need| need.what == "p99").and_then(|p| p.note.clone());
        assert!(note.is_some_and(|note| note.contains(kept) && note.contains("40000/s offered")));
    }
}

#[test]
fn too_few_rungs_and_impossible_demands_are_refused() {
    let few = Evidence { scaling: connectors(1, &RUNGS[..4]), latency: None };
    let error = plan(demand(1_000.0), &few, "node-json").unwrap_err().to_string();
    assert!(error.contains("cannot fit a law to 4 rungs"), "{error}");
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(plan(demand(bad), &evidence(1), "node-json").is_err(), "{bad}");
    }
}

#[test]
fn evidence_is_the_newest_run_that_counts() {
    let folder = Folder::new("evidence");
    let store = Store::at(folder.path());
    let error = Evidence::newest(&store, "node-json").unwrap_err().to_string();
    assert!(error.contains("millrace bench run connectors"), "{error}");
    let ladder = RunRecord { scenario: "ladder".into(), ..connectors(1, &RUNGS) };
    store.append(&ladder).expect("stored");
    let found = Evidence::newest(&store, "node-json").expect("a ladder");
    assert_eq!((found.scaling, found.latency), (ladder.clone(), None));
    let cut_short = RunRecord { cut_short: true, ..connectors(3, &RUNGS) };
    for run in [&connectors(2, &RUNGS), &cut_short] {
        store.append(run).expect("stored");
    }
    let found = Evidence::newest(&store, "node-json").expect("both");
    assert_eq!((found.scaling, found.latency), (connectors(2, &RUNGS), Some(ladder)));
}
