//! What adds up: stages to a latency, processes to the CPU time of an event.
//!
//! ```text
//! node-json   ▓▓▓▓▒▒▒▒▒▒░░     queue → write → replicate → deliver
//! ```
//!
//! Percentiles of stages do not add up to the percentile of the whole, means do: so the stack shows means, the table
//! the percentiles as well, and beside them the mean of the whole as it was measured. What every process used is
//! stacked because an arm that moves work into the servers has not saved it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart::{Axis, Figure, Row, Segment, Stack, Stacks, Swatch, Table};
use super::latency::percentile;
use super::number::{self, significant, whole};
use super::standing::{Counting, median};
use super::view::View;
use crate::histogram::LatencyHistogram;
use crate::record::{self, ProcessUsage};

/// Both figures, as far as the run has them.
pub(super) fn html(view: &View<'_>) -> Markup {
    let figures = [stages(view), usage(view)];
    html! { div.grid { @for figure in figures.iter().flatten() { (figure.html()) } } }
}

/// Values of each arm by the name of the part.
type Parts<'a> = Vec<(Counting<'a>, BTreeMap<String, f64>)>;

const STAGES_READING: &str = "Mean of every stage, all rounds that count merged exactly. Means add up; percentiles \
     would not. queue: intended until sent; write: until acknowledged; replicate: until the broker has appended it \
     (change stream, arm, produce request); deliver: until a consumer has it.";

fn stages(view: &View<'_>) -> Option<Figure> {
    let merged: Vec<_> =
        view.arms.iter().map(|arm| (*arm, record::stages::merged(view.rounds(arm)))).collect();
    let means: Parts<'_> = merged
        .iter()
        .map(|(arm, stages)| {
            let means = stages.iter().map(|(name, stage)| ((*name).to_owned(), stage.mean_ms()));
            (*arm, means.collect())
        })
        .collect();
    let mut rows = Vec::new();
    for (arm, stages) in merged.iter().filter(|(_, stages)| !stages.is_empty()) {
        for (name, stage) in stages {
            rows.push(stage_row(format!("{}: {name}", arm.name()), stage));
        }
        if let Some(whole) = arm.latency_at(view.rate) {
            rows.push(stage_row(format!("{}: whole, as measured", arm.name()), &whole));
        }
    }
    let heads = ["stage", "mean, ms", "p50, ms", "p99, ms", "p99.9, ms", "events"];
    stacked(
        view,
        &means,
        "stages",
        format!("Where the latency is spent{}", view.at_rate()),
        STAGES_READING.to_owned(),
        "ms",
        Table { heads: heads.map(str::to_owned).to_vec(), rows },
    )
}

fn stage_row(name: String, stage: &LatencyHistogram) -> Row {
    let percentiles = [50.0, 99.0, 99.9].map(|percent| percentile(stage, percent));
    let mean = std::iter::once(significant(stage.mean_ms()));
    let count = std::iter::once(whole(stage.count() as f64));
    Row::new(std::iter::once(name).chain(mean).chain(percentiles).chain(count).collect())
}

fn usage(view: &View<'_>) -> Option<Figure> {
    let cpu: Parts<'_> = view
        .arms
        .iter()
        .map(|arm| {
            let named = processes(view, arm).into_iter();
            let cpu = named.filter_map(|(name, used)| {
                Some((name.to_owned(), median(used.iter().filter_map(|u| u.cpu_us_per_event))?))
            });
            (*arm, cpu.collect())
        })
        .collect();
    let rows = view.arms.iter().flat_map(|arm| usage_rows(view, arm)).collect();
    let heads =
        ["process", "CPU, µs per event", "peak RSS, MiB", "waits", "preemptions", "system calls"];
    stacked(
        view,
        &cpu,
        "usage",
        format!("What every process used{}", view.at_rate()),
        "CPU time per event of the arm, the servers and the rig; median of the rounds. Less is better.".to_owned(),
        "µs per event",
        Table { heads: heads.map(str::to_owned).to_vec(), rows },
    )
}

fn processes<'a>(view: &View<'a>, arm: &Counting<'a>) -> BTreeMap<&'a str, Vec<&'a ProcessUsage>> {
    let mut processes: BTreeMap<&str, Vec<&ProcessUsage>> = BTreeMap::new();
    for used in view.rounds(arm).flat_map(|round| &round.usage) {
        processes.entry(&used.process).or_default().push(used);
    }
    processes
}

/// Medians of the rounds; memory is the most of all rounds.
fn usage_rows(view: &View<'_>, arm: &Counting<'_>) -> Vec<Row> {
    let row = |(process, used): (&str, Vec<&ProcessUsage>)| {
        let counted = |count: fn(&ProcessUsage) -> Option<u64>| {
            let counts = used.iter().filter_map(|used| count(used)).map(|count| count as f64);
            number::or_none(median(counts), whole)
        };
        let cpu = median(used.iter().filter_map(|used| used.cpu_us_per_event));
        let memory = used.iter().filter_map(|used| used.peak_rss_mib).reduce(f64::max);
        Row::new(vec![
            format!("{}: {process}", arm.name()),
            number::or_none(cpu, significant),
            number::or_none(memory, whole),
            counted(|used| used.voluntary_switches),
            counted(|used| used.involuntary_switches),
            counted(|used| used.system_calls),
        ])
    };
    processes(view, arm).into_iter().map(row).collect()
}

fn stacked(
    view: &View<'_>,
    arms: &Parts<'_>,
    id: &str,
    title: String,
    reading: String,
    unit: &str,
    table: Table,
) -> Option<Figure> {
    let mut names: Vec<&String> = arms.iter().flat_map(|(_, parts)| parts.keys()).collect();
    // Stages in the order of the way; what is none by its name.
    names.sort_unstable_by_key(|name| (record::stages::place(name), *name));
    names.dedup();
    let sums = arms.iter().map(|(_, parts)| parts.values().sum::<f64>());
    let x = Axis::linear(sums, unit);
    let stack = |(arm, parts): &(Counting<'_>, BTreeMap<String, f64>)| Stack {
        name: arm.name().to_owned(),
        segments: (0..)
            .zip(&names)
            .filter_map(|(part, name)| Some(Segment { part, value: *parts.get(*name)? }))
            .collect(),
        text: number::with_unit(&significant(parts.values().sum()), unit),
    };
    let stacks = arms.iter().filter(|(_, parts)| !parts.is_empty()).map(stack).collect();
    let id = view.id(id);
    let panel = Stacks { x, stacks }.panel(&id, &title, &reading);
    let legend = (0..).zip(&names).map(|(part, name)| (Swatch::Part(part), (*name).clone()));
    let legend: Vec<_> = legend.collect();
    (!legend.is_empty()).then(|| Figure { id, title, reading, legend, panels: vec![panel], table })
}
