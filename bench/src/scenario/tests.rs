//! The scenarios that are there, and what is refused before any server starts.

use super::*;

#[test]
fn every_scenario_can_be_run_and_asks_a_question() {
    for scenario in Scenario::all().expect("well-formed") {
        assert!(scenario.question.ends_with('?'), "{}", scenario.question);
        let kept = serde_json::to_value(&scenario).expect("serializes");
        let again: Scenario = serde_json::from_value(kept.clone()).expect("is read back");
        assert_eq!(serde_json::to_value(&again).expect("serializes"), kept);
    }
}

#[test]
fn a_setting_that_no_scenario_has_is_refused() {
    let refused = |file: &str| format!("{:#}", Scenario::parse(file).expect_err("refused"));
    let file = FILES[0].replace("\nrounds = 5", "\nrounds = 5\nround = 5");
    assert!(refused(&file).contains("round"));
    assert!(refused("name = \"x\"").contains("question"));
    let file = format!("{}\n[[fault]]\nat_s = 1\nfault = \"election\"", FILES[0]);
    assert!(refused(&file).contains("a backlog has no fault"), "{}", refused(&file));
}

#[test]
fn a_replay_is_taken_by_the_node_from_one_collection_and_has_no_broker() {
    let all = Scenario::all().expect("well-formed");
    let alone = all.into_iter().find(|scenario| scenario.name == "node-alone").expect("there");
    assert!(alone.plan().kafka.is_none() && alone.plan().mongodb.is_some());
    let refused = |change: fn(&mut Scenario)| {
        let mut changed = alone.clone();
        change(&mut changed);
        format!("{:#}", changed.check().expect_err("refused"))
    };
    assert!(refused(|one| one.arms.push(Arm::NullReader.into())).contains("not by null-reader"));
    assert!(refused(|one| one.load.collections = 2).contains("load.collections = 1"));
    assert!(refused(|one| one.servers.heap_mb = Some(1)).contains("has none"));
    assert!(refused(|one| one.replay = None).contains("servers.heap_mb"));
    let mut resized = alone.clone();
    resized.resize(Some(7_000), None).expect("events");
    assert_eq!(resized.measure(), Measure::Alone(Replay { events: 7_000 }));
    assert_eq!(resized.load.operations, alone.load.operations, "what is captured stays");
}

#[test]
fn a_fault_after_the_load_is_refused() {
    let failover = Scenario::all().expect("well-formed");
    let mut failover =
        failover.into_iter().find(|scenario| scenario.name == "failover").expect("there");
    assert!(!failover.faults.is_empty());
    let refused = failover.resize(None, Some(2.0)).expect_err("too short");
    assert!(refused.to_string().contains("not within"), "{refused:#}");
}

#[test]
fn a_backlog_is_resized_in_events_and_a_load_in_seconds() {
    let [mut drain, mut latency] =
        [FILES[0], FILES[1]].map(|file| Scenario::parse(file).expect("well-formed"));
    drain.resize(Some(5_000), None).expect("events");
    assert_eq!(drain.backlog().expect("a load").workload.operations, 5_000);
    assert!(drain.resize(None, Some(3.0)).is_err());
    assert!(latency.resize(Some(5_000), None).is_err());
    latency.set_rates(&[50.0, 100.0]).expect("rates");
    latency.resize(None, Some(3.0)).expect("seconds");
    let phases = latency.course().expect("a course").phases().to_vec();
    let recorded = phases.iter().filter(|phase| phase.is_recorded);
    let rates: Vec<_> =
        recorded.map(|phase| (phase.offered_per_s, phase.lasts.as_secs())).collect();
    assert_eq!(rates, [(50.0, 3), (100.0, 3)]);
}

fn named(name: &str) -> Scenario {
    let mut all = Scenario::all().expect("well-formed").into_iter();
    all.find(|scenario| scenario.name == name).expect("there")
}

fn refused(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) -> String {
    change(&mut scenario);
    format!("{:#}", scenario.check().expect_err("refused"))
}

#[test]
fn a_snapshot_is_of_documents_that_lie_still_in_one_collection() {
    let snapshot = named("snapshot");
    assert_eq!(snapshot.measure(), Measure::Snapshot);
    let refused = |change: &dyn Fn(&mut Scenario)| refused(snapshot.clone(), change);
    assert!(
        refused(&|one: &mut Scenario| one.load.collections = 2).contains("load.collections = 1")
    );
    assert!(refused(&|one: &mut Scenario| one.load.mix.update = 1).contains("inserts alone"));
    assert!(refused(&|one: &mut Scenario| one.connectors = vec![1, 2]).contains("leave out"));
    assert!(
        refused(&|one: &mut Scenario| one.replay = Some(Replay { events: 1 }))
            .contains("leave out")
    );
    let step = Step { per_s: 10.0, lasts_s: 1.0, warm_up: false };
    assert!(refused(&|one: &mut Scenario| one.steps.push(step)).contains("leave out step"));
    let mut resized = snapshot.clone();
    resized.resize(Some(5_000), None).expect("documents");
    assert_eq!(resized.size(), "5000 documents");
}

#[test]
fn arms_encrypt_where_a_backlog_is_read_and_servers_offer_it_only_there() {
    let tls = named("tls");
    assert_eq!((tls.is_encrypted(), tls.measure()), (true, Measure::Backlog));
    let offered = |plan: &Plan| {
        [plan.mongodb.as_ref().map(|plan| plan.tls), plan.kafka.as_ref().map(|plan| plan.tls)]
    };
    assert_eq!(offered(&tls.plan()), [Some(Tls::Offered); 2]);
    assert_eq!(offered(&named("drain").plan()), [Some(Tls::Off); 2]);
    for name in ["latency", "ladder", "node-alone"] {
        let text = refused(named(name), |one| one.needs.push(Feature::Tls));
        assert!(text.contains("arms encrypt only where") || text.contains("no needs"), "{text}");
    }
    let clear = "connector-tuned+in-the-clear".parse::<Entry>().expect("an entry");
    let text = refused(named("drain"), |one| one.arms.push(clear));
    assert!(text.contains("in the clear anyway"), "{text}");
}
