//! What held each arm back, in plain words, from what every process used.
//!
//! ```text
//! alone on a CPU, and busy for most of the time          the node itself: this is its ceiling
//! alone on a CPU, and often idle                         the rig's servers: its ceiling is higher
//! near the null reader, or mongod's thread never idle    mongod's change stream
//! near the null writer                                   the broker
//! a core or more of its own                              the arm itself
//! all cores of the machine                               the machine, and who used them
//! none of these                                          waiting: for answers, or for the load
//! ```
//!
//! The bounds are coarse on purpose: a sentence is for people, the numbers stand beside it in the record.

use std::thread;

use millrace_results::record::{ArmRecord, RoundRecord};
use serde_json::Value;

use crate::alone::NODE_CORE_SHARE;

/// From this part of a null arm's rate on, the null arm's server is the wall.
const NEAR: f64 = 0.9;
/// A thread or machine that is busy for this part of the time is full.
const FULL: f64 = 0.9;
/// A server that waits for a CPU for this part of the time has not the machine that it needs.
const WAITED: f64 = 0.01;

/// One sentence for each arm that replicated and counts; `None` if there was none.
pub fn of(arms: &[ArmRecord]) -> Option<String> {
    let sentences = arms.iter().filter(|arm| arm.valid && !arm.name.starts_with("null-"));
    let sentences: Vec<_> = sentences.filter_map(sentence).collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

fn sentence(arm: &ArmRecord) -> Option<String> {
    let rounds: Vec<_> = arm.rounds.iter().filter(|round| round.counts()).collect();
    let last = *rounds.last()?;
    if last.usage.is_empty() {
        return None; // it only reads: what it is held against stands beside it
    }
    let name = &arm.name;
    if last.offered_per_s.is_some() {
        // Where the load is given, the highest rate decides.
        let highest = rounds.into_iter().max_by(|a, b| {
            a.offered_per_s.unwrap_or(0.0).total_cmp(&b.offered_per_s.unwrap_or(0.0))
        })?;
        let offered = highest.offered_per_s?;
        if offered * 0.98 <= highest.events_per_s() {
            return Some(format!("{name} kept up with {offered:.0}/s: the load was the limit"));
        }
        return Some(format!("{name} at {offered:.0}/s: {}", wall(highest, arm)));
    }
    let middle = rounds.len() / 2;
    let mut by_rate = rounds;
    by_rate.sort_by(|a, b| a.events_per_s().total_cmp(&b.events_per_s()));
    Some(format!("{name}: {}", wall(by_rate[middle], arm)))
}

fn wall(round: &RoundRecord, arm: &ArmRecord) -> String {
    let share = |counter: &str| round.counters.get(counter).and_then(Value::as_f64);
    let (busy, waited) = (share("server_busy"), share("server_waited"));
    let cores = cores(round);
    let of = |process: &str| {
        cores.iter().find(|(name, _)| name == process).map_or(0.0, |(_, used)| *used)
    };
    let machine = thread::available_parallelism().map_or(1, usize::from) as f64;
    let used: f64 = cores.iter().map(|(_, used)| used).sum();
    let shares: Vec<_> = cores.iter().map(|(name, used)| format!("{name} {used:.1}")).collect();
    let shares = format!("cores used: {}", shares.join(", "));
    if let Some(share) = round.counters.get(NODE_CORE_SHARE).and_then(Value::as_f64) {
        return ceiling(share, &shares);
    }
    if arm.sink_ratio.is_some_and(|ratio| NEAR <= ratio) {
        return format!("the broker, it takes no more from a null writer ({shares})");
    }
    if arm.null_ratio.is_some_and(|ratio| NEAR <= ratio)
        || busy.is_some_and(|busy| FULL <= busy + waited.unwrap_or(0.0))
    {
        let busy = busy
            .map_or(String::new(), |busy| format!("its thread busy for {:.0} %, ", busy * 100.0));
        let waited = waited.filter(|waited| WAITED <= *waited).map_or(String::new(), |waited| {
            format!("waiting for a CPU for {:.0} %, ", waited * 100.0)
        });
        return format!("mongod's change stream ({busy}{waited}{shares})");
    }
    if machine * FULL <= used {
        return format!("the machine, all {machine:.0} cores are in use ({shares})");
    }
    if FULL <= of("arm") {
        return format!("the arm itself ({shares})");
    }
    format!("nothing is full, it waits for answers ({shares})")
}

/// Of a node that is alone between the rig's servers: whether its rate is its ceiling.
fn ceiling(share: f64, shares: &str) -> String {
    let percent = share * 100.0;
    if FULL <= share {
        return format!(
            "the node itself, its core was busy for {percent:.1} % of the time ({shares})"
        );
    }
    format!(
        "no ceiling of the node, its core was busy for {percent:.1} % of the time only: the rig's servers kept it \
         waiting, or took its core ({shares})"
    )
}

/// Cores that each process used on average.
fn cores(round: &RoundRecord) -> Vec<(String, f64)> {
    let rate = round.events_per_s();
    let used = round
        .usage
        .iter()
        .filter_map(|usage| Some((usage.process.clone(), usage.cpu_us_per_event? * rate / 1e6)));
    used.collect()
}

#[cfg(test)]
mod tests {
    use millrace_results::record::ProcessUsage;
    use serde_json::json;

    use super::*;

    /// A round at 10 000/s in which the arm and mongod used so much CPU for each event.
    fn arm(cpu_us: [f64; 2], busy: f64, null_ratio: Option<f64>) -> ArmRecord {
        let usage = |(process, cpu_us): (&str, f64)| ProcessUsage {
            process: process.to_owned(),
            cpu_us_per_event: Some(cpu_us),
            peak_rss_mib: None,
            voluntary_switches: None,
            involuntary_switches: None,
            system_calls: None,
        };
        let mut round = RoundRecord::new(1, 10_000, 1, 1.0);
        round.usage = ["arm", "mongod"].into_iter().zip(cpu_us).map(usage).collect();
        round.counters.insert("server_busy".to_owned(), json!(busy));
        ArmRecord { null_ratio, ..ArmRecord::from_rounds("node-json".to_owned(), vec![round]) }
    }

    #[test]
    fn a_server_that_waits_for_a_cpu_is_the_wall_and_the_wait_is_told() {
        let mut arm = arm([1.0, 50.0], 0.84, Some(0.85));
        arm.rounds[0].counters.insert("server_waited".to_owned(), json!(0.12));
        let said = of(&[arm]).expect("a sentence");
        assert!(said.contains("busy for 84 %, waiting for a CPU for 12 %"), "{said}");
    }

    #[test]
    fn the_wall_is_named() {
        let said = |arm: ArmRecord| of(&[arm]).expect("a sentence");
        assert!(said(arm([1.0, 50.0], 0.95, None)).contains("mongod's change stream (its thread"));
        assert!(said(arm([1.0, 50.0], 0.5, Some(0.93))).contains("mongod's change stream"));
        assert!(said(arm([95.0, 1.0], 0.1, Some(0.3))).contains("the arm itself"));
        assert!(said(arm([1.0, 1.0], 0.1, Some(0.3))).contains("waits for answers"));
        assert!(said(arm([9_000.0, 1.0], 0.1, Some(0.3))).contains("the machine"));
    }

    #[test]
    fn a_node_alone_that_was_kept_waiting_has_no_ceiling_there() {
        let said = |share: f64| {
            let mut arm = arm([95.0, 50.0], 0.95, None);
            arm.rounds[0].counters.insert(NODE_CORE_SHARE.to_owned(), json!(share));
            of(&[arm]).expect("a sentence")
        };
        assert!(said(0.97).contains("node-json: the node itself"), "{}", said(0.97));
        assert!(said(0.85).contains("no ceiling of the node"), "{}", said(0.85));
    }

    #[test]
    fn a_load_that_was_kept_up_with_is_the_limit_itself() {
        let mut arm = arm([1.0, 1.0], 0.1, None);
        arm.rounds[0].offered_per_s = Some(10_050.0);
        assert!(of(&[arm.clone()]).expect("a sentence").contains("the load was the limit"));
        arm.rounds[0].offered_per_s = Some(20_000.0);
        assert!(of(&[arm.clone()]).expect("a sentence").contains("node-json at 20000/s: nothing"));
        arm.valid = false;
        assert_eq!(of(&[arm]), None);
    }
}
