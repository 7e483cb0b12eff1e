//! Laws of the sums that records hold.

use std::time::Duration;

use super::*;

fn rounds(rates: &[u64]) -> Vec<RoundRecord> {
    (1..)
        .zip(rates)
        .map(|(round, &rate)| RoundRecord::new(round, rate * 2, rate * 2_000, 2.0))
        .collect()
}

fn arm(rounds: Vec<RoundRecord>) -> ArmRecord {
    ArmRecord::from_rounds("arm".into(), rounds)
}

#[test]
fn ratios_are_taken_round_by_round() {
    let arms = arms(
        vec![("null".into(), rounds(&[100, 200, 50])), ("node".into(), rounds(&[90, 100, 49]))],
        Some("null"),
        None,
    );
    assert_eq!(arms[0].null_ratio, Some(1.0));
    let node = &arms[1];
    assert_eq!(node.events_per_s, Some(90.0));
    assert_eq!(node.mb_per_s, Some(0.09));
    assert_eq!(node.events, 180);
    assert_eq!((node.null_ratio_min, node.null_ratio), (Some(0.5), Some(0.9)));
    assert_eq!(node.null_ratio_max, Some(0.98));
}

#[test]
fn without_a_null_arm_there_are_no_ratios() {
    let arms = arms(vec![("node".into(), rounds(&[1, 2]))], None, None);
    assert_eq!((arms[0].null_ratio, arms[0].valid), (None, true));
}

#[test]
fn a_round_that_does_not_count_is_left_out_of_every_median() {
    let mut null = rounds(&[100, 1_000, 100]);
    null[1].invalid_reason = Some("mongod was 80 % busy".into());
    let arms = arms(
        vec![("null".into(), null), ("node".into(), rounds(&[80, 90, 90]))],
        Some("null"),
        None,
    );
    assert_eq!(arms[0].events_per_s, Some(100.0));
    assert!(arms[0].valid && arms[1].valid);
    assert_eq!(arms[1].rounds[1].null_ratio, None);
    assert_eq!(arms[1].null_ratio, Some(f64::midpoint(0.8, 0.9)));
}

#[test]
fn an_arm_with_half_of_its_rounds_not_counting_is_invalid() {
    let mut rounds = rounds(&[1, 2, 3, 4]);
    rounds[0].invalid_reason = Some("cold".into());
    assert!(arm(rounds.clone()).valid);
    rounds[3].invalid_reason = Some("late".into());
    let arm = arm(rounds);
    assert_eq!(arm.invalid_reason.as_deref(), Some("2 of 4 rounds count: cold"));
    assert_eq!((arm.valid, arm.events_per_s), (false, None));
}

#[test]
fn a_single_fault_takes_all_throughput_away() {
    let faults: [fn(&mut Faults) -> &mut u64; 5] = [
        |faults| &mut faults.lost,
        |faults| &mut faults.duplicated,
        |faults| &mut faults.reordered,
        |faults| &mut faults.corrupted,
        |faults| &mut faults.unexpected,
    ];
    for fault in faults {
        let mut rounds = rounds(&[1, 2, 3]);
        *fault(&mut rounds[1].faults) = 1;
        rounds[0].latency = Some(LatencyHistogram::new());
        let arm = arm(rounds);
        assert!(
            !arm.valid && arm.invalid_reason.as_deref().is_some_and(|why| why.starts_with("1 "))
        );
        assert_eq!((arm.events_per_s, arm.mb_per_s, arm.null_ratio), (None, None, None));
        assert_eq!((arm.latency, arm.cpu_us_per_event), (None, None));
        assert_eq!(*fault(&mut { arm.faults }), 1);
    }
}

#[test]
fn an_arm_without_rounds_is_invalid() {
    assert_eq!(
        arm(Vec::new()).invalid_reason.as_deref(),
        Some("0 of 0 rounds count: nothing was measured")
    );
}

#[test]
fn peaks_are_the_largest_and_latencies_are_merged() {
    let mut rounds = rounds(&[1, 2, 3]);
    for (round, peak) in rounds.iter_mut().zip([30.0, 90.0, 10.0]) {
        round.peak_rss_mib = Some(peak);
        round.cpu_us_per_event = Some(peak / 10.0);
        let mut latency = LatencyHistogram::new();
        latency.record(Duration::from_millis(peak as u64));
        round.latency = Some(latency);
    }
    let arm = arm(rounds);
    assert_eq!((arm.peak_rss_mib, arm.cpu_us_per_event), (Some(90.0), Some(3.0)));
    assert_eq!(arm.latency.map(|latency| latency.count()), Some(3));
}

#[test]
fn rounds_at_several_rates_are_steps_and_have_no_latency_together() {
    let mut rounds = rounds(&[100, 200, 100]);
    for round in &mut rounds {
        round.offered_per_s = Some(round.events_per_s());
        let mut latency = LatencyHistogram::new();
        latency.record(Duration::from_millis(round.events));
        round.latency = Some(latency);
    }
    rounds[1].invalid_reason = Some("late".into());
    let arm = arm(rounds);
    let facts: Vec<_> = arm
        .steps
        .iter()
        .map(|step| (step.offered_per_s, step.valid, step.latency.as_ref().map(|l| l.count())))
        .collect();
    assert_eq!(facts, [(100.0, true, Some(2)), (200.0, false, None)]);
    assert_eq!(arm.latency, None);
}

#[test]
fn an_unsupported_arm_is_not_valid_and_says_what_it_lacks() {
    let arm = ArmRecord::unsupported("debezium".into(), "raw BSON".into());
    assert!(!arm.valid);
    assert_eq!(arm.invalid_reason.as_deref(), Some("unsupported: raw BSON"));
}

#[test]
fn json_carries_faults_beside_the_figures() {
    let json = serde_json::to_value(arm(rounds(&[5]))).unwrap();
    for name in ["name", "events", "events_per_s", "null_ratio", "cpu_us_per_event", "peak_rss_mib"]
    {
        assert!(json.get(name).is_some(), "{name}");
    }
    for name in ["lost", "duplicated", "reordered", "corrupted", "unexpected"] {
        assert_eq!(json[name], 0, "{name}");
        assert_eq!(json["rounds"][0][name], 0, "{name}");
    }
}
