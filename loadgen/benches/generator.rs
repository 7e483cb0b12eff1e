//! What the generator can do by itself: `cargo bench -p millrace-loadgen --bench generator`.
//!
//! ```text
//! scheduled, built     operations per second and core without and with their documents, into a null sink
//! lateness             from the intended time to the release at 1 000, 10 000 and 50 000/s, into a null sink
//! ```
//!
//! Lateness tells about the machine as much as about the generator: run it where nothing else runs.

use std::thread;
use std::time::{Duration, Instant};

use millrace_loadgen::arrivals::{Profile, Rate};
use millrace_loadgen::ceiling::Ceiling;
use millrace_loadgen::document::DocumentShape;
use millrace_loadgen::pacer::{NullSink, pace};
use millrace_loadgen::schedule::Schedule;
use millrace_loadgen::stop::Stop;
use millrace_loadgen::workload::{Collections, KeySpread, Mix, Workload};

const MEASURED_FOR: Duration = Duration::from_secs(2);
const PACED_S: u64 = 5;

fn workload(mix: Mix, shape: &str, key_spread: KeySpread) -> Workload {
    Workload {
        seed: 42,
        database: "d".to_owned(),
        collections: Collections::one("c"),
        operations: 1_000_000,
        writers: 4,
        mix,
        document: DocumentShape::named(shape).expect("a name of a shape").into(),
        key_spread,
    }
}

fn constant(per_s: f64) -> Profile {
    Profile::constant(Rate::per_s(per_s).expect("a rate")).expect("a profile")
}

fn ceilings() {
    let zipf = KeySpread::Zipf { theta_permille: 990 };
    let even = constant(1_000.0);
    let poisson = even.clone().poisson(1).expect("a curve");
    for (name, mix, shape, spread, profile) in [
        ("inserts, 1 KB plain", Mix::INSERTS, "plain", KeySpread::Uniform, &even),
        ("all kinds, 1 KB plain", Mix::ALL, "plain", KeySpread::Uniform, &even),
        ("the same, Poisson", Mix::ALL, "plain", KeySpread::Uniform, &poisson),
        ("updates, zipf 0.99", Mix::UPDATES, "plain", zipf, &even),
        ("inserts, 1 KB all types", Mix::INSERTS, "all", KeySpread::Uniform, &even),
        ("inserts, 100 B", Mix::INSERTS, "small", KeySpread::Uniform, &even),
    ] {
        let workload = workload(mix, shape, spread);
        let ceiling = Ceiling::measure(&workload, profile, MEASURED_FOR).expect("no trace");
        let (scheduled, built) = (ceiling.scheduled_per_s / 1e6, ceiling.built_per_s / 1e6);
        println!("{name:<24} scheduled {scheduled:6.2} M/s   built {built:6.3} M/s");
    }
}

fn lateness(per_s: u64) {
    let operations = per_s * PACED_S;
    let workload = Workload { operations, ..workload(Mix::INSERTS, "plain", KeySpread::Uniform) };
    let start = Instant::now() + Duration::from_millis(100);
    let schedule = Schedule::new(start, &constant(per_s as f64), operations).expect("a curve");
    let pacing = move || pace(&workload, &schedule, &Stop::new(), &mut NullSink::default());
    let paced = thread::spawn(pacing).join().expect("the pacer ends");
    let delays = &paced.lateness.own;
    let us = |percent: f64| delays.percentile(percent).as_secs_f64() * 1e6;
    println!(
        "{per_s:>6}/s lateness µs: p50 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.0}   spun {:.0} % of a core",
        us(50.0),
        us(99.0),
        us(99.9),
        delays.max().as_secs_f64() * 1e6,
        paced.spun.as_secs_f64() / PACED_S as f64 * 100.0
    );
}

fn main() {
    ceilings();
    [1_000, 10_000, 50_000].into_iter().for_each(lateness);
}
