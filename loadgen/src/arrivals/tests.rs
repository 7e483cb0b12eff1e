//! Laws of profiles: where events lie, and that they do not drift.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rate(per_s: f64) -> Rate {
    Rate::per_s(per_s).unwrap()
}

fn offsets(profile: &Profile, events: u64) -> Vec<u64> {
    let arrivals = profile.arrivals(events).unwrap();
    let mut in_order = arrivals.in_order();
    (0..events).map(|index| in_order.offset_ns(index)).collect()
}

/// Events whose time lies in the second that begins at `second`.
fn count_in(offsets: &[u64], second: u64) -> usize {
    offsets.iter().filter(|&&ns| ns / 1_000_000_000 == second).count()
}

#[test]
fn a_constant_rate_is_exact_after_four_thousand_million_events() {
    for (per_s, index, expected_ns) in [
        (2_000.0, 1, 500_000),
        (3.0, 1, 333_333_333),
        (3.0, 3_000_000_000, 1_000_000_000_000_000_000),
        (0.001, 1, 1_000_000_000_000),
        (10_000_000.0, 4_000_000_000, 400_000_000_000),
    ] {
        let arrivals = Profile::constant(rate(per_s)).unwrap().arrivals(1).unwrap();
        assert_eq!(arrivals.offset_ns(index), expected_ns, "{per_s}/s");
    }
}

#[test]
fn a_ramp_passes_through_its_mean_and_holds_its_end() {
    let profile = Profile::ramp(rate(0.0), rate(1_000.0), 10 * SECOND).unwrap();
    let offsets = offsets(&profile, 8_000);
    // 5 000 events in ten seconds, a quarter of them in the first half.
    assert_eq!((offsets[1_250], offsets[5_000]), (5_000_000_000, 10_000_000_000));
    assert_eq!(offsets[6_000], 11_000_000_000);
    assert_eq!(profile.peak(), rate(1_000.0));
}

#[test]
fn steps_follow_each_other_and_the_last_is_held() {
    let steps = [(rate(10.0), SECOND), (rate(100.0), 2 * SECOND), (rate(5.0), SECOND)];
    let offsets = offsets(&Profile::steps(steps).unwrap(), 230);
    let counts: Vec<_> = (0..5).map(|second| count_in(&offsets, second)).collect();
    assert_eq!(counts, [10, 100, 100, 5, 5]);
}

#[test]
fn a_burst_comes_at_the_end_of_every_period() {
    let profile = Profile::burst(rate(10.0), rate(1_000.0), 5 * SECOND, SECOND).unwrap();
    let offsets = offsets(&profile, 2_080);
    let counts: Vec<_> = (0..10).map(|second| count_in(&offsets, second)).collect();
    assert_eq!(counts, [10, 10, 10, 10, 1_000, 10, 10, 10, 10, 1_000]);
    assert_eq!(profile.peak(), rate(1_000.0));
}

#[test]
fn a_sine_has_its_mean_its_peak_and_its_trough() {
    let profile = Profile::sine(rate(1_000.0), rate(800.0), 60 * SECOND).unwrap();
    let offsets = offsets(&profile, 120_001);
    assert_eq!(offsets[60_000], 60_000_000_000, "one period makes as many as the mean does");
    assert_eq!(offsets[120_000], 120_000_000_000);
    for second in 0..60 {
        let middle = (second as f64 + 0.5) / 60.0 * std::f64::consts::TAU;
        let expected = 1_000.0 + 800.0 * middle.sin();
        let found = count_in(&offsets, second) as f64;
        assert!((found - expected).abs() < 3.0, "second {second}: {found}, not {expected}");
    }
}

#[test]
fn random_gaps_keep_the_rate_and_spread_like_poisson() {
    let profile = Profile::constant(rate(100.0)).unwrap().poisson(11).unwrap();
    let offsets = offsets(&profile, 100_000);
    let seconds = 900;
    let counts: Vec<_> = {
        let mut counts = vec![0.0; seconds];
        for ns in &offsets {
            if let Some(count) = counts.get_mut((ns / 1_000_000_000) as usize) {
                *count += 1.0;
            }
        }
        counts
    };
    let mean = counts.iter().sum::<f64>() / seconds as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / seconds as f64;
    assert!((mean - 100.0).abs() < 1.5, "{mean}");
    // Of independent arrivals the variance is the mean; even gaps would have none.
    assert!((80.0..120.0).contains(&variance), "{variance}");
    assert_eq!(profile.arrivals(100_000), profile.arrivals(100_000));
}

#[test]
fn random_gaps_follow_the_curve() {
    let even = Profile::burst(rate(10.0), rate(1_000.0), 5 * SECOND, SECOND).unwrap();
    let offsets = offsets(&even.poisson(1).unwrap(), 2_000);
    let (quiet, loud) = (count_in(&offsets, 2), count_in(&offsets, 4));
    assert!(quiet < 30 && 850 < loud, "{quiet} {loud}");
}

#[test]
fn the_peak_of_a_trace_is_the_fullest_second_wherever_it_begins() {
    let profile =
        Profile::trace("offsets_us\n0\n900000\n1000000\n1899999\n1900000\n5000000").unwrap();
    assert_eq!(profile.peak(), rate(3.0));
}

#[test]
fn impossible_profiles_are_refused() {
    let five = rate(5.0);
    let part = |duration| Profile::ramp(five, rate(6.0), duration).unwrap_err();
    for (error, expected) in [
        (Rate::per_s(-1.0).unwrap_err(), "a rate of -1/s is none"),
        (Rate::per_s(f64::NAN).unwrap_err(), "a rate of NaN/s is none"),
        (Rate::per_s(1e9).unwrap_err(), "ask for 0.001 to 10000000/s"),
        (Profile::constant(Rate::ZERO).unwrap_err(), "it makes no events"),
        (Profile::steps([]).unwrap_err(), "it makes no events"),
        (Profile::ramp(five, Rate::ZERO, SECOND).unwrap_err(), "it makes no events"),
        (part(Duration::ZERO), "a part of 0ns is not possible"),
        (part(Duration::from_hours(25)), "a part of 90000s is not possible"),
        (Profile::burst(five, five, SECOND, SECOND).unwrap_err(), "fills its whole period"),
        (Profile::sine(five, rate(6.0), SECOND).unwrap_err(), "larger than the mean"),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    let trace = Profile::trace("offsets_us\n1").unwrap();
    assert!(trace.clone().poisson(1).unwrap_err().to_string().contains("not random"));
    let more = trace.arrivals(2).unwrap_err().to_string();
    assert_eq!(more, "the trace has 1 arrivals, not 2: ask for fewer operations");
}
