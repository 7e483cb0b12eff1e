//! Records as a full rig would write them: several rivals, all kinds of load, faults, arms that do not count.
//!
//! Figures are made up from a seed, in the size of what was seen on real servers, and go through the same sums as
//! measured ones. They are for layout and laws of the report, and are never kept as records.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::histogram::LatencyHistogram;
use crate::machine::{Commit, Machine};
use crate::record::{
    self, ArmRecord, ContentCheck, ContentRecord, Faults, Mark, ProcessUsage, RoundRecord,
    RunRecord, SCHEMA_VERSION, Second,
};

/// What an arm is like: rate and latency at ease, CPU, memory.
struct Nature {
    name: &'static str,
    events_per_s: f64,
    p50_ms: f64,
    /// Of the logarithm of a latency.
    spread: f64,
    cpu_us: f64,
    rss_mib: f64,
}

const NATURES: [Nature; 10] = [
    nature("null-reader", 86_000.0, 1.9, 0.12, 0.42, 32.0),
    nature("null-writer", 410_000.0, 1.2, 0.12, 0.9, 20.0),
    nature("null-path", 84_000.0, 2.0, 0.14, 0.8, 30.0),
    nature("node-json", 70_000.0, 2.4, 0.16, 3.2, 40.0),
    nature("node-bson", 82_000.0, 2.2, 0.15, 1.4, 43.0),
    nature("connector-default", 9_100.0, 8.1, 0.2, 113.0, 1_905.0),
    nature("connector-tuned", 12_000.0, 24.0, 0.25, 71.0, 1_870.0),
    nature("connector-bson", 16_000.0, 22.0, 0.24, 42.0, 1_790.0),
    nature("debezium", 15_900.0, 14.7, 0.3, 96.0, 2_110.0),
    nature("straight-line", 52_000.0, 3.1, 0.2, 9.5, 88.0),
];

const fn nature(
    name: &'static str,
    events_per_s: f64,
    p50_ms: f64,
    spread: f64,
    cpu_us: f64,
    rss_mib: f64,
) -> Nature {
    Nature { name, events_per_s, p50_ms, spread, cpu_us, rss_mib }
}

/// Numbers from a seed: splitmix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from 0 to 1.
    pub(super) fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About 0, mostly within -2 to 2.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }

    /// Around 1.
    fn near(&mut self, spread: f64) -> f64 {
        (self.normal() * spread).exp()
    }

    fn latency(&mut self, nature: &Nature, stretch: f64, events: u64) -> LatencyHistogram {
        let mut latency = LatencyHistogram::new();
        for _ in 0..events {
            let pause = if self.even() < 0.004 { 1.0 + 6.0 * self.even() } else { 1.0 };
            let ms = nature.p50_ms * stretch * pause * self.near(nature.spread);
            latency.record(Duration::from_secs_f64(ms / 1_000.0));
        }
        latency
    }
}

/// Every kind of run.
pub(super) fn runs() -> Vec<RunRecord> {
    let mut runs = drains(14);
    runs.extend([latency(), ladder(), failover(), lookup()]);
    runs
}

/// A history of drains: in the eighth JSON became faster, in the fifth an arm did not count.
pub(super) fn drains(count: u32) -> Vec<RunRecord> {
    (0..count).map(drain).collect()
}

fn drain(number: u32) -> RunRecord {
    let mut dice = Dice::new(u64::from(number) + 7);
    let mut drift = 1.0;
    let mut arms = empty_arms(|nature| nature.name != "null-path");
    for round in 1..=5 {
        drift *= dice.near(0.06);
        for (nature, rounds) in &mut arms {
            let slow = if nature.name == "node-json" && number < 8 { 0.84 } else { 1.0 };
            let rate = nature.events_per_s * drift * slow * dice.near(0.05);
            let mut round = RoundRecord::new(round, 400_000, 532_391_244, 400_000.0 / rate);
            use_of(&mut round, nature, &mut dice);
            let reads_nothing = ["null-reader", "null-writer"].contains(&nature.name);
            round.content = (!reads_nothing).then_some(ContentRecord {
                in_full: 400_000,
                ..ContentRecord::new(ContentCheck::Full)
            });
            round.counters = BTreeMap::from([
                ("events_first_batch".to_owned(), json!(101)),
                ("server_busy".to_owned(), json!(0.9878)),
            ]);
            rounds.push(round);
        }
    }
    if number == 4 {
        of(&mut arms, "node-json")[2].faults.reordered = 1;
    }
    of(&mut arms, "debezium")[3].faults = Faults { lost: 3, ..Faults::default() };
    of(&mut arms, "straight-line")[1].invalid_reason = Some("mongod was 82 % busy".to_owned());
    let question =
        "How near does the node come to the wall, a reader of the change stream that does nothing?";
    let mut run = run("drain", question, arms, &[]);
    run.started_at = format!("2026-11-{:02}T13:04:23Z", number + 2);
    run.commit.describe =
        format!("v0.1-{number}-g{:07x}", 0x0062_7f9b_u32.wrapping_mul(number + 3) & 0x0fff_ffff);
    run.bottleneck = Some(
        "mongod: the node reads at 0.95 of what the change stream gives; the broker idles.".into(),
    );
    run
}

fn latency() -> RunRecord {
    let mut dice = Dice::new(1);
    let mut arms = empty_arms(|nature| !["null-reader", "null-writer"].contains(&nature.name));
    for number in 1..=5 {
        for (nature, rounds) in &mut arms {
            let mut round = offered_round(number, nature, 1_000.0, 30, &mut dice);
            round.stages = stages(nature, &mut dice);
            use_of(&mut round, nature, &mut dice);
            rounds.push(round);
        }
    }
    for round in of(&mut arms, "connector-tuned").iter_mut().take(3) {
        round.invalid_reason =
            Some("the generator was late: p99 of 212 µs, at most 50 µs".to_owned());
    }
    run(
        "latency",
        "How long is a change on its way at a steady rate, and what does its tail look like?",
        arms,
        &[],
    )
}

fn ladder() -> RunRecord {
    let mut dice = Dice::new(2);
    let mut arms = empty_arms(|nature| !nature.name.starts_with("null-"));
    for (nature, rounds) in &mut arms {
        let rates = [2_000.0, 4_000.0, 8_000.0, 16_000.0, 32_000.0, 48_000.0, 64_000.0, 80_000.0];
        let held = rates.iter().position(|rate| nature.events_per_s < *rate).unwrap_or(rates.len());
        for (number, &rate) in (0..).zip(rates.iter().take(held + 1)) {
            for repeat in 1..=3 {
                rounds.push(offered_round(number * 3 + repeat, nature, rate, 4, &mut dice));
            }
        }
    }
    for round in of(&mut arms, "straight-line")
        .iter_mut()
        .filter(|round| round.offered_per_s == Some(16_000.0))
    {
        round.invalid_reason = Some("the generator was late".to_owned());
    }
    run(
        "ladder",
        "Up to which rate does each arm keep up, and what does that cost in latency?",
        arms,
        &[],
    )
}

fn failover() -> RunRecord {
    let mut dice = Dice::new(3);
    let mut arms =
        empty_arms(|nature| ["node-json", "node-bson", "connector-default"].contains(&nature.name));
    for number in 1..=5 {
        for (nature, rounds) in &mut arms {
            let mut round = offered_round(number, nature, 2_000.0, 60, &mut dice);
            let out =
                if nature.name.starts_with("node") { 3 } else { 11 } + u32::from(dice.even() < 0.4);
            silence(&mut round, 20, out);
            silence(&mut round, 41, 1);
            round.marks = vec![
                Mark {
                    at_s: 20.2,
                    until_s: Some(22.9),
                    what: "primary killed with SIGKILL".into(),
                },
                Mark { at_s: 41.0, until_s: None, what: "broker connection reset".into() },
            ];
            rounds.push(round);
        }
    }
    let mut run = run(
        "failover",
        "For how long do events stop when the primary is killed under load?",
        arms,
        &[],
    );
    run.cut_short = true;
    run.commit.dirty = true;
    run
}

fn lookup() -> RunRecord {
    let mut dice = Dice::new(4);
    let mut arms = empty_arms(|nature| {
        ["null-reader", "node-json", "connector-default"].contains(&nature.name)
    });
    for number in 1..=3 {
        for (nature, rounds) in &mut arms {
            let rate = nature.events_per_s * 0.2 * dice.near(0.05);
            rounds.push(RoundRecord::new(number, 100_000, 140_000_000, 100_000.0 / rate));
        }
    }
    let lacks = [("straight-line", "looking up the document of an update")];
    run(
        "update-lookup",
        "What does looking up the whole document of every update cost?",
        arms,
        &lacks,
    )
}

type Arms = Vec<(&'static Nature, Vec<RoundRecord>)>;

fn empty_arms(wanted: impl Fn(&Nature) -> bool) -> Arms {
    NATURES.iter().filter(|nature| wanted(nature)).map(|nature| (nature, Vec::new())).collect()
}

fn of<'a>(arms: &'a mut Arms, name: &str) -> &'a mut Vec<RoundRecord> {
    let found = arms.iter_mut().find(|(nature, _)| nature.name == name);
    &mut found.expect("an arm of the run").1
}

fn offered_round(
    number: u32,
    nature: &Nature,
    rate: f64,
    seconds: u32,
    dice: &mut Dice,
) -> RoundRecord {
    let delivered = rate.min(nature.events_per_s * dice.near(0.02));
    // As in a queue: the nearer to the ceiling, the longer.
    let load = rate / nature.events_per_s;
    let stretch = if load < 0.95 { 1.0 + 0.6 * load / (1.0 - load) } else { 60.0 * load };
    let events = (delivered * f64::from(seconds)) as u64;
    // Every histogram takes 180 KB: the many short rounds of a ladder do without.
    let detailed = 10 < seconds;
    let second = |second| Second {
        second,
        events: (delivered * dice.near(0.01)) as u64,
        latency: detailed.then(|| dice.latency(nature, stretch, 60)),
    };
    let series = (0..seconds).map(second).collect();
    RoundRecord {
        offered_per_s: Some(rate),
        latency: Some(dice.latency(nature, stretch, 6_000)),
        lateness: Some(dice.latency(&NATURES[0], 0.01, 500)),
        cpu_us_per_event: Some(nature.cpu_us * dice.near(0.04)),
        peak_rss_mib: Some(nature.rss_mib),
        series,
        ..RoundRecord::new(number, events, events * 1_300, f64::from(seconds))
    }
}

/// `length` seconds without an event from `from` on, and what was held back in the second after.
fn silence(round: &mut RoundRecord, from: u32, length: u32) {
    let mut held_back = 0;
    for second in &mut round.series {
        if (from + 1..from + 1 + length).contains(&second.second) {
            held_back += std::mem::take(&mut second.events);
            second.latency = None;
        } else if second.second == from + 1 + length {
            second.events += held_back;
            let mut late = LatencyHistogram::new();
            (1..=100 * length)
                .for_each(|step| late.record(Duration::from_millis(u64::from(step) * 10)));
            if let Some(all) = &mut round.latency {
                all.merge(&late);
            }
            second.latency = Some(late);
        }
    }
}

fn stages(nature: &Nature, dice: &mut Dice) -> BTreeMap<String, LatencyHistogram> {
    let shares = [("queue", 0.05), ("write", 0.4), ("replicate", 0.4), ("deliver", 0.15)];
    let stage = |(name, share): (&str, f64)| (name.to_owned(), dice.latency(nature, share, 800));
    shares.map(stage).into()
}

fn use_of(round: &mut RoundRecord, nature: &Nature, dice: &mut Dice) {
    let mut process = |name: &str, cpu_us: f64, rss_mib: f64| ProcessUsage {
        process: name.to_owned(),
        cpu_us_per_event: Some(cpu_us * dice.near(0.05)),
        peak_rss_mib: Some(rss_mib),
        voluntary_switches: Some((cpu_us * 900.0) as u64),
        involuntary_switches: Some((cpu_us * 70.0) as u64),
        system_calls: None,
    };
    round.usage = vec![
        process("arm", nature.cpu_us, nature.rss_mib),
        process("mongod", 11.0, 1_240.0),
        process("kafka", 4.1, 890.0),
        process("rig", 0.6, 61.0),
    ];
    round.cpu_us_per_event = round.usage[0].cpu_us_per_event;
    round.peak_rss_mib = Some(nature.rss_mib);
}

fn run(scenario: &str, question: &str, arms: Arms, lacks: &[(&str, &str)]) -> RunRecord {
    let rounds = arms.iter().map(|(_, rounds)| rounds.len()).max().unwrap_or(0);
    let named = arms.into_iter().map(|(nature, rounds)| (nature.name.to_owned(), rounds)).collect();
    let mut arms = record::arms(named, Some("null-reader"), Some("null-writer"));
    arms.extend(
        lacks.iter().map(|(arm, what)| ArmRecord::unsupported((*arm).into(), (*what).into())),
    );
    RunRecord {
        schema_version: SCHEMA_VERSION,
        scenario: scenario.into(),
        question: question.into(),
        seed: 42,
        started_at: "2026-11-20T09:30:00Z".into(),
        commit: Commit { describe: "v0.1-21-g83be5d9".into(), dirty: false },
        command_line: ["millrace", "bench", "run", scenario, "--rivals", "all"]
            .map(str::to_owned)
            .into(),
        machine: Machine {
            cpu_model: "Intel(R) Xeon(R) Processor".into(),
            cores: 2,
            memory_mib: 24_105,
            kernel: "6.18.44".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
        },
        servers: json!({
            "mongodb": { "version": "6.0.27", "members": 1, "cache_gb": 1.0, "oplog_mb": 8_192 },
            "kafka": { "version": "4.1.0", "java": 17, "heap_mb": 1_024 },
            "connect": { "version": "4.1.0", "heap_mb": 2_048 },
        }),
        write_concern: "majority".into(),
        document_bytes: 1_024,
        rounds: rounds as u32,
        settings: json!({ "name": scenario, "rounds": rounds, "document": { "bytes": 1_024 } }),
        cut_short: false,
        bottleneck: None,
        arms,
    }
}
