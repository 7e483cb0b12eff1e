//! A scenario over its commits: what each arm was in every run under the same conditions.
//!
//! ```text
//! of the null reader
//!  1.0 ┼        ╭──■──■          ┆ a change: from this run on the figure is another
//!  0.8 ┼──●──●──╯       ×        × the arm did not count in this run
//!      └──┴──┴──┴──┴──┴──→ runs, by commit
//! ```
//!
//! Runs belong together when machine, servers, load and settings are the same as in the newest; others are in the
//! table, apart, and in no line. Of an older run only the figures of its arms are kept, so that a long history fits.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::{Axis, Figure, Line, LineChart, Mark, Row, Shape, Swatch, Table};
use super::look::Looks;
use super::number::{self, ratio, significant, whole};
use super::standing::{Standing, median};
use super::view::Part;
use crate::record::RunRecord;

const HISTORY_PX: f64 = 210.0;

/// What is kept of a run.
#[derive(Clone, Debug)]
pub(super) struct PastRun {
    pub started_at: String,
    commit: String,
    conditions: String,
    arms: Vec<PastArm>,
}

#[derive(Clone, Debug)]
struct PastArm {
    name: String,
    /// Or why it has none.
    figures: Result<Figures, String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    events_per_s: Option<f64>,
    null_ratio: Option<f64>,
    cpu_us_per_event: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    knee_per_s: Option<f64>,
}

/// What is drawn over the runs.
#[derive(Clone, Copy)]
struct Metric {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    value: fn(&Figures) -> Option<f64>,
    write: fn(f64) -> String,
    /// The null arms are the measure here, not the measured.
    without_null: bool,
}

const METRICS: [Metric; 5] = [
    Metric {
        id: "ratio",
        title: "share of the null reader",
        unit: "of the null reader's rate",
        value: |figures| figures.null_ratio,
        write: ratio,
        without_null: true,
    },
    Metric {
        id: "knee",
        title: "highest rate kept up with",
        unit: "writes/s",
        value: |figures| figures.knee_per_s,
        write: whole,
        without_null: false,
    },
    Metric {
        id: "p50",
        title: "median latency",
        unit: "ms",
        value: |figures| figures.p50_ms,
        write: significant,
        without_null: false,
    },
    Metric {
        id: "p99",
        title: "99th percentile of the latency",
        unit: "ms",
        value: |figures| figures.p99_ms,
        write: significant,
        without_null: false,
    },
    Metric {
        id: "cpu",
        title: "CPU per event",
        unit: "µs per event",
        value: |figures| figures.cpu_us_per_event,
        write: significant,
        without_null: true,
    },
];

impl PastRun {
    pub(super) fn of(run: &RunRecord) -> Self {
        let arm = |arm| {
            let figures = match Standing::of(run, arm) {
                Standing::Counts(arm) => {
                    let record = arm.arm();
                    let percentile = |percent| {
                        record.latency.as_ref().map(|latency| latency.percentile_ms(percent))
                    };
                    let laddered = 1 < record.steps.len();
                    Ok(Figures {
                        events_per_s: record.events_per_s.filter(|_| !laddered),
                        null_ratio: record.null_ratio.filter(|_| record.steps.is_empty()),
                        cpu_us_per_event: record.cpu_us_per_event.filter(|_| !laddered),
                        p50_ms: percentile(50.0),
                        p99_ms: percentile(99.0),
                        knee_per_s: arm.knee().map(|step| step.offered_per_s).filter(|_| laddered),
                    })
                }
                Standing::Invalid(reason) => Err(format!("does not count: {reason}")),
                Standing::Unsupported(lack) => Err(format!("unsupported: {lack}")),
            };
            PastArm { name: arm.name.clone(), figures }
        };
        let dirty = if run.commit.dirty { "+" } else { "" };
        Self {
            started_at: run.started_at.clone(),
            commit: format!("{}{dirty}", run.commit.describe),
            conditions: conditions(run),
            arms: run.arms.iter().map(arm).collect(),
        }
    }

    /// The arms that it had, whether they count or not.
    pub(super) fn arm_names(&self) -> impl Iterator<Item = &str> {
        self.arms.iter().map(|arm| arm.name.as_str())
    }

    fn value(&self, arm: &str, metric: &Metric) -> Option<f64> {
        let arm = self.arms.iter().find(|past| past.name == arm)?;
        arm.figures.as_ref().ok().and_then(metric.value)
    }

    /// `11-21 627f9b2`.
    fn label(&self) -> String {
        let day = self.started_at.get(5..10).unwrap_or(&self.started_at);
        format!("{day} {}", short(&self.commit))
    }
}

/// Runs with equal text were made under the same conditions. Rounds and arms may differ: a median of more rounds is the
/// same figure, known better.
fn conditions(run: &RunRecord) -> String {
    let mut settings = run.settings.clone();
    if let Some(settings) = settings.as_object_mut() {
        for free in ["rounds", "arms"] {
            settings.remove(free);
        }
    }
    let machine = &run.machine;
    // A hypervisor takes some memory away, not always as much: whole GiB tell machines apart.
    let memory_gib = (machine.memory_mib as f64 / 1_024.0).round();
    let (cpu, cores, os) = (&machine.cpu_model, machine.cores, &machine.os);
    let (servers, write_concern, bytes) = (&run.servers, &run.write_concern, run.document_bytes);
    let (kernel, seed) = (&machine.kernel, run.seed);
    format!(
        "{cpu}|{cores}|{memory_gib}|{os}|{kernel}|{servers}|{seed}|{write_concern}|{bytes}|{settings}"
    )
}

/// A commit as people name it.
fn short(commit: &str) -> String {
    let hash = commit.rsplit("-g").next().unwrap_or(commit);
    hash.chars().take(7).collect()
}

/// Lines over the runs, oldest first, and a table of all of them.
pub(super) fn html(
    id: &str,
    runs: &[PastRun],
    looks: &Looks,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> Markup {
    let Some(newest) = runs.last() else { return html! {} };
    let alike: Vec<&PastRun> =
        runs.iter().filter(|run| run.conditions == newest.conditions).collect();
    let figures: Vec<Figure> = METRICS
        .iter()
        .filter(|_| 1 < alike.len())
        .filter_map(|metric| figure(id, &alike, metric, looks, change_points))
        .collect();
    let others = runs.len() - alike.len();
    html! {
        h4 { "History" }
        p {
            (number::plural(runs.len(), "run")) ", " (alike.len()) " under the conditions of the newest"
            @if others != 0 { "; the others are in the table only, because their figures cannot be compared" }
            "."
        }
        @if !figures.is_empty() { div.grid { @for figure in &figures { (figure.html()) } } }
        details.numbers { summary { "All runs" } (table(runs).html()) }
    }
}

fn figure(
    id: &str,
    runs: &[&PastRun],
    metric: &Metric,
    looks: &Looks,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> Option<Figure> {
    let names: Vec<&str> = names(runs)
        .into_iter()
        .filter(|name| !metric.without_null || Part::of(name) != Part::Null)
        .filter(|name| runs.iter().any(|run| run.value(name, metric).is_some()))
        .collect();
    if names.is_empty() {
        return None;
    }
    let x = Axis::places(runs.iter().map(|run| short(&run.commit)).collect(), "runs, by commit");
    let values: Vec<f64> = names
        .iter()
        .flat_map(|name| runs.iter().filter_map(|run| run.value(name, metric)))
        .collect();
    let (mut marks, mut changes) = (Vec::new(), Vec::new());
    for name in &names {
        for change in changes_of(name, runs, metric, change_points) {
            marks.push(Mark {
                label: (changes.len() + 1).to_string(),
                from: change.run as f64 - 0.5,
                until: None,
            });
            changes.push(change.text);
        }
    }
    let lines = (0..).zip(&names).map(|(legend, name)| Line {
        look: looks.of(name),
        legend,
        shape: Shape::Marked,
        points: (0..)
            .zip(runs)
            .map(|(place, run)| (f64::from(place), run.value(name, metric)))
            .collect(),
    });
    let chart = LineChart {
        lines: lines.collect(),
        y: Axis::fitting(&values, metric.unit),
        x,
        height: HISTORY_PX,
        marks,
    };
    let id = format!("{id}-history-{}", metric.id);
    let title = format!("Over commits: {}", metric.title);
    let scale = if chart.y.is_log() { " The scale is logarithmic." } else { "" };
    let reading =
        format!("A point for each run. A cross is a run in which the arm does not count.{scale}");
    let mut panel = chart.panel(&id, &title, &reading);
    if !changes.is_empty() {
        panel.foot = Some(html! { ol.marks { @for change in &changes { li { (change) } } } });
    }
    Some(Figure {
        panels: vec![panel],
        legend: names
            .iter()
            .map(|name| (Swatch::Line(looks.of(name)), (*name).to_owned()))
            .collect(),
        table: metric_table(runs, &names, metric, &chart.x),
        id,
        title,
        reading,
    })
}

struct Change {
    /// The first run of the new level.
    run: usize,
    text: String,
}

fn changes_of(
    name: &str,
    runs: &[&PastRun],
    metric: &Metric,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> Vec<Change> {
    let measured: Vec<(usize, f64)> = runs
        .iter()
        .enumerate()
        .filter_map(|(run, past)| Some((run, past.value(name, metric)?)))
        .collect();
    let values: Vec<f64> = measured.iter().map(|(_, value)| *value).collect();
    let found: BTreeSet<usize> = change_points(&values).into_iter().collect();
    let points: Vec<usize> =
        found.into_iter().filter(|point| (1..values.len()).contains(point)).collect();
    let level = |from: usize, to: usize| median(values[from..to].iter().copied()).unwrap_or(0.0);
    let change = |(index, &point): (usize, &usize)| {
        let from = if index == 0 { 0 } else { points[index - 1] };
        let to = points.get(index + 1).copied().unwrap_or(values.len());
        let (before, after) = (level(from, point), level(point, to));
        let run = measured[point].0;
        let by = if before == 0.0 {
            String::new()
        } else {
            format!(" ({:+.0} %)", (after / before - 1.0) * 100.0)
        };
        let (before, after) = ((metric.write)(before), (metric.write)(after));
        let text = format!("{name}: from {} on {after} instead of {before}{by}", runs[run].label());
        Change { run, text }
    };
    points.iter().enumerate().map(change).collect()
}

/// All arms, in the order of the newest run that has them.
fn names<'a>(runs: &[&'a PastRun]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for arm in runs.iter().rev().flat_map(|run| &run.arms) {
        if !names.contains(&arm.name.as_str()) {
            names.push(&arm.name);
        }
    }
    names
}

fn metric_table(runs: &[&PastRun], names: &[&str], metric: &Metric, x: &Axis) -> Table {
    let row = |(place, run): (u32, &&PastRun)| {
        let cells = names.iter().map(|name| number::or_none(run.value(name, metric), metric.write));
        Row::at(x.place(f64::from(place)), std::iter::once(run.label()).chain(cells).collect())
    };
    let heads = names.iter().map(|name| format!("{name}, {}", metric.unit));
    Table {
        heads: std::iter::once("run".to_owned()).chain(heads).collect(),
        rows: (0..).zip(runs).map(row).collect(),
    }
}

/// Every arm of every run, the newest first; conditions are numbered as they come.
fn table(runs: &[PastRun]) -> Table {
    let mut known: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for run in runs.iter().rev() {
        if !known.contains(&run.conditions.as_str()) {
            known.push(&run.conditions);
        }
        let place = known.iter().position(|conditions| *conditions == run.conditions).unwrap_or(0);
        for arm in &run.arms {
            let name = [
                run.started_at.clone(),
                short(&run.commit),
                (place + 1).to_string(),
                arm.name.clone(),
            ];
            let (cells, struck) = match &arm.figures {
                Ok(figures) => (figures.cells(), false),
                Err(reason) => (vec![reason.clone()], true),
            };
            rows.push(Row { struck, ..Row::new(name.into_iter().chain(cells).collect()) });
        }
    }
    let heads = [
        "begun",
        "commit",
        "conditions",
        "arm",
        "events/s",
        "of null reader",
        "CPU µs/event",
        "p50 ms",
        "p99 ms",
        "keeps up to, writes/s",
    ];
    Table { heads: heads.map(str::to_owned).to_vec(), rows }
}

impl Figures {
    fn cells(&self) -> Vec<String> {
        vec![
            number::or_none(self.events_per_s, whole),
            number::or_none(self.null_ratio, ratio),
            number::or_none(self.cpu_us_per_event, significant),
            number::or_none(self.p50_ms, significant),
            number::or_none(self.p99_ms, significant),
            number::or_none(self.knee_per_s, whole),
        ]
    }
}
