//! The answer of a run in one sentence, computed from its record.
//!
//! ```text
//! drained   the node's arms, each with its share of the null reader; the fastest rival, and by what factor
//! offered   median and 99.9th percentile of the node's best arm, of the null path, of the best rival
//! ladder    how far each arm keeps up
//! faults    for how many seconds no event came
//! ```
//!
//! Ratios, tails and outages stand with the range of their rounds. The sentence is the same whoever is ahead. A factor
//! between two arms is the median of the factors of their rounds, as is every ratio here.

use std::collections::{BTreeMap, BTreeSet};

use super::number::{self, ratio, significant, with_unit};
use super::standing::{Counting, spread};
use super::timeline;
use super::view::{Load, Part, View, writes_per_s};
use crate::record::RoundRecord;

/// One sentence.
pub(super) fn sentence(view: &View<'_>) -> String {
    if view.arms.is_empty() {
        return "There is no answer: no arm of this run counts.".to_owned();
    }
    let marked = view.arms.iter().any(|arm| view.rounds(arm).any(|round| !round.marks.is_empty()));
    let answer = match (marked, view.load) {
        (true, _) => outages(view),
        (false, Load::Drained) => drained(view),
        (false, Load::Offered { rate_per_s }) => offered(view, rate_per_s),
        (false, Load::Ladder) => ladder(view),
    };
    match answer {
        Some(answer) => answer,
        None => "There is no answer in a sentence: the arms that count have no figures in common."
            .to_owned(),
    }
}

fn of_part<'a>(view: &View<'a>, part: Part) -> Vec<Counting<'a>> {
    view.arms.iter().filter(|arm| Part::of(arm.name()) == part).copied().collect()
}

/// Those that the question is about: the node's arms, or all if it has none here.
fn subjects<'a>(view: &View<'a>) -> Vec<Counting<'a>> {
    let nodes = of_part(view, Part::Node);
    if nodes.is_empty() { view.arms.clone() } else { nodes }
}

/// The arm with the largest figure.
fn best<'a>(
    arms: &[Counting<'a>],
    figure: impl Fn(&Counting<'a>) -> Option<f64>,
) -> Option<(Counting<'a>, f64)> {
    let figures = arms.iter().filter_map(|arm| Some((*arm, figure(arm)?)));
    figures.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// ` (0.71–1.08 over 5 rounds)`.
fn over_rounds(min: f64, max: f64, rounds: usize, write: fn(f64) -> String) -> String {
    format!(" ({} over {})", number::range(min, max, write), number::plural(rounds, "round"))
}

fn drained(view: &View<'_>) -> Option<String> {
    let rate = |arm: &Counting<'_>| arm.arm().events_per_s;
    let mut moved: Vec<_> =
        subjects(view).into_iter().filter_map(|arm| Some((arm, rate(&arm)?))).collect();
    moved.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let clause = |(arm, rate): &(Counting<'_>, f64)| {
        let rate = with_unit(&significant(*rate), "events/s");
        format!("{} moves {rate}{}", arm.name(), share_of_null(arm))
    };
    let clauses: Vec<String> = moved.iter().map(clause).collect();
    let (first, _) = moved.first()?;
    let rival = best(&of_part(view, Part::Rival), rate)
        .filter(|(rival, _)| rival.name() != first.name())
        .map(|(rival, rate)| {
            let rate = with_unit(&significant(rate), "events/s");
            let factor = factor(first, &rival)
                .map_or_else(String::new, |factor| format!(", {} is {factor}", first.name()));
            format!("; the fastest rival, {}, moves {rate}{factor}", rival.name())
        });
    Some(format!("{}{}.", clauses.join(", "), rival.unwrap_or_default()))
}

fn share_of_null(arm: &Counting<'_>) -> String {
    let ratios: Vec<f64> = arm.rounds().filter_map(|round| round.null_ratio).collect();
    let rounds = ratios.len();
    spread(ratios).map_or_else(String::new, |(middle, min, max)| {
        format!(", {} of the null reader{}", ratio(middle), over_rounds(min, max, rounds, ratio))
    })
}

/// `5.3 times as fast (4.1–6.0 over 5 rounds)`: of the rounds that both have.
fn factor(arm: &Counting<'_>, other: &Counting<'_>) -> Option<String> {
    let rates: BTreeMap<u32, f64> =
        other.rounds().map(|round| (round.round, round.events_per_s())).collect();
    let factors: Vec<f64> = arm
        .rounds()
        .filter_map(|round| {
            Some(round.events_per_s() / rates.get(&round.round).filter(|rate| 0.0 < **rate)?)
        })
        .collect();
    let rounds = factors.len();
    let (middle, min, max) = spread(factors)?;
    Some(format!("{} times as fast{}", ratio(middle), over_rounds(min, max, rounds, ratio)))
}

fn offered(view: &View<'_>, rate_per_s: f64) -> Option<String> {
    let tail = |arm: &Counting<'_>| Some(-arm.latency_at(view.rate)?.percentile_ms(99.9));
    let figures = |arm: &Counting<'_>| {
        let latency = arm.latency_at(view.rate)?;
        let [half, most] = [50.0, 99.9].map(|percent| significant(latency.percentile_ms(percent)));
        let tails =
            view.rounds(arm).filter_map(|round| Some(round.latency.as_ref()?.percentile_ms(99.9)));
        let tails: Vec<f64> = tails.collect();
        let rounds = tails.len();
        let range = spread(tails)
            .map_or_else(String::new, |(_, min, max)| over_rounds(min, max, rounds, significant));
        Some((with_unit(&half, "ms"), with_unit(&most, "ms"), range))
    };
    let (subject, _) = best(&subjects(view), tail)?;
    let (half, most, range) = figures(&subject)?;
    let mut answer = format!(
        "At {}, {} brings half of the events to the consumer within {half} of the intended write and 99.9 % \
         within {most}{range}",
        writes_per_s(rate_per_s),
        subject.name()
    );
    for (part, who) in [(Part::Rival, "the quickest rival"), (Part::Null, "the bound")] {
        let other =
            best(&of_part(view, part), tail).filter(|(arm, _)| arm.name() != subject.name());
        if let Some((arm, (half, most, _))) = other.and_then(|(arm, _)| Some((arm, figures(&arm)?)))
        {
            answer.push_str(&format!("; {who}, {}, {half} and {most}", arm.name()));
        }
    }
    Some(answer + ".")
}

fn ladder(view: &View<'_>) -> Option<String> {
    let top = |arm: &Counting<'_>| arm.arm().steps.last().map(|step| step.offered_per_s);
    let clause = |arm: &Counting<'_>| match arm.knee() {
        Some(step) => {
            let least = if Some(step.offered_per_s) == top(arm) { "at least " } else { "" };
            let p99 = step.latency.as_ref().map_or_else(String::new, |latency| {
                let p99 = with_unit(&significant(latency.percentile_ms(99.0)), "ms");
                let wanted = arm.p99_ms_max().map_or_else(String::new, |max| {
                    format!(", at most {} are wanted", with_unit(&significant(max), "ms"))
                });
                format!(" (p99 {p99} there{wanted})")
            });
            format!("{} keeps up with {least}{}{p99}", arm.name(), writes_per_s(step.offered_per_s))
        }
        None => format!("{} keeps up with none of the rates offered", arm.name()),
    };
    let mut clauses: Vec<String> = subjects(view).iter().map(clause).collect();
    let rival = best(&of_part(view, Part::Rival), |arm| Some(arm.knee()?.offered_per_s));
    if let Some((rival, _)) = rival.filter(|_| !of_part(view, Part::Node).is_empty()) {
        clauses.push(format!("of the rivals {}", clause(&rival)));
    }
    Some(clauses.join("; ") + ".")
}

/// For how long each arm was silent after what was done to the servers, at the median over the rounds.
fn outages(view: &View<'_>) -> Option<String> {
    let longest = |round: &RoundRecord| {
        let outages = round.marks.iter().filter_map(|mark| timeline::outage_s(round, mark));
        f64::from(outages.max().unwrap_or(0))
    };
    let clause = |arm: &Counting<'_>| {
        let marked = view.rounds(arm).filter(|round| !round.marks.is_empty());
        let outages: Vec<f64> = marked.map(longest).collect();
        let rounds = outages.len();
        let (middle, min, max) = spread(outages)?;
        let range = over_rounds(min, max, rounds, number::whole);
        Some(format!("{} {}{range}", arm.name(), number::whole(middle)))
    };
    let clauses: Vec<String> = view.arms.iter().filter_map(clause).collect();
    let rounds = view.arms.iter().flat_map(|arm| view.rounds(arm));
    let causes: BTreeSet<String> =
        rounds.flat_map(|round| &round.marks).map(|mark| format!("“{}”", mark.what)).collect();
    let causes: Vec<String> = causes.into_iter().collect();
    (!clauses.is_empty()).then(|| {
        let (causes, arms) = (causes.join(" or "), clauses.join(", "));
        format!("Most whole seconds without an event after {causes}: {arms}.")
    })
}
