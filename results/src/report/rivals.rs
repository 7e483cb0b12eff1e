//! Arms side by side: what each did, with every round, and what it cost.
//!
//! A bar is the median of the rounds; its whisker spans the smallest and the largest, dots are the rounds themselves.
//! The ratio to the null reader is formed inside each round, and is the figure that can be compared between machines.
//! Arms that do not count stand in the same list without a figure.

use maud::{Markup, html};

use super::arm_table::NULL_WRITER;
use super::chart::{Axis, Figure, RangeBar, RangeBars, Row, Table};
use super::number::{self, ratio, significant, whole};
use super::standing::{Counting, Standing, spread};
use super::view::{Load, View};
use crate::record::RoundRecord;

/// What bars can show, and of which rounds.
struct Metric {
    id: &'static str,
    title: String,
    reading: &'static str,
    unit: &'static str,
    value: fn(&RoundRecord) -> Option<f64>,
    write: fn(f64) -> String,
    /// An arm of which this says nothing.
    leaves_out: Option<&'static str>,
}

impl Metric {
    fn rounds(&self, view: &View<'_>, arm: &Counting<'_>) -> Vec<f64> {
        match self.leaves_out {
            Some(name) if name == arm.name() => Vec::new(),
            Some(_) | None => arm.rounds_at(view.rate).filter_map(self.value).collect(),
        }
    }
}

/// All that the run has figures for.
pub(super) fn html(view: &View<'_>) -> Markup {
    let figures: Vec<Figure> =
        metrics(view).iter().filter_map(|metric| figure(view, metric)).collect();
    let three = figures.len() == 3;
    html! { div.grid.three[three] { @for figure in &figures { (figure.html()) } } }
}

fn metrics(view: &View<'_>) -> Vec<Metric> {
    let at = view.at_rate();
    let cpu = Metric {
        id: "cpu",
        title: format!("CPU per event{at}"),
        reading: "User and system time of the arm's own process. Less is better.",
        unit: "µs per event",
        value: |round| round.cpu_us_per_event,
        write: significant,
        leaves_out: None,
    };
    let memory = Metric {
        id: "memory",
        title: format!("Peak memory{at}"),
        reading: "The most memory of the arm's own process that was resident in a round. Less is better.",
        unit: "MiB",
        value: |round| round.peak_rss_mib,
        write: whole,
        leaves_out: None,
    };
    let latency = Metric {
        id: "tail",
        title: format!("99th percentile of the latency{at}"),
        reading: "From the intended write to the consumer. Less is better.",
        unit: "ms",
        value: |round| Some(round.latency.as_ref()?.percentile_ms(99.0)),
        write: significant,
        leaves_out: None,
    };
    match view.load {
        Load::Drained => vec![rate(), null_ratio(), cpu, memory],
        Load::Offered { .. } | Load::Ladder => vec![latency, cpu, memory],
    }
}

fn rate() -> Metric {
    Metric {
        id: "rate",
        title: "Throughput".to_owned(),
        reading: "Events per second from the first to the last. More is better.",
        unit: "events/s",
        value: |round| Some(round.events_per_s()),
        write: whole,
        leaves_out: None,
    }
}

fn null_ratio() -> Metric {
    Metric {
        id: "ratio",
        title: "Throughput as a share of the null reader".to_owned(),
        reading: "Each round against the null reader of the same round. More is better; 1 is the source's ceiling.",
        unit: "of the null reader's rate",
        value: |round| round.null_ratio,
        write: ratio,
        leaves_out: Some(NULL_WRITER),
    }
}

fn figure(view: &View<'_>, metric: &Metric) -> Option<Figure> {
    let all: Vec<f64> = view.arms.iter().flat_map(|arm| metric.rounds(view, arm)).collect();
    if all.is_empty() {
        return None;
    }
    let bars = RangeBars {
        x: Axis::fitting(&all, metric.unit),
        bars: view
            .run
            .arms
            .iter()
            .filter_map(|arm| bar(view, metric, &Standing::of(view.run, arm), &arm.name))
            .collect(),
    };
    let id = view.id(metric.id);
    let scale = if bars.x.is_log() { " The scale is logarithmic." } else { "" };
    let reading =
        format!("{} Median, every round as a dot, and their range.{scale}", metric.reading);
    Some(Figure {
        panels: vec![bars.panel(&id, &metric.title, &reading)],
        id,
        title: metric.title.clone(),
        reading,
        legend: Vec::new(),
        table: table(view, metric),
    })
}

/// `None` where the arm counts and was not measured in this respect.
fn bar(view: &View<'_>, metric: &Metric, standing: &Standing<'_>, name: &str) -> Option<RangeBar> {
    let name = name.to_owned();
    let arm = match standing {
        Standing::Counts(arm) => arm,
        Standing::Invalid(_) => return Some(RangeBar::Absent { name, why: "does not count" }),
        Standing::Unsupported(_) => return Some(RangeBar::Absent { name, why: "unsupported" }),
    };
    let rounds = metric.rounds(view, arm);
    let (median, min, max) = spread(rounds.iter().copied())?;
    let range = if min < max {
        format!(" ({})", number::range(min, max, metric.write))
    } else {
        String::new()
    };
    let text = format!("{}{range}", (metric.write)(median));
    Some(RangeBar::Counts { look: view.looks.of(&name), name, median, rounds, text })
}

fn table(view: &View<'_>, metric: &Metric) -> Table {
    let heads = ["arm", "median", "smallest", "largest", "rounds"].map(str::to_owned).to_vec();
    let mut rows = Vec::new();
    for arm in &view.arms {
        let values = metric.rounds(view, arm);
        if let Some((median, min, max)) = spread(values.iter().copied()) {
            let figures = [median, min, max].map(metric.write);
            let rounds: Vec<String> = values.into_iter().map(metric.write).collect();
            let name = std::iter::once(arm.name().to_owned());
            rows.push(Row::new(name.chain(figures).chain([rounds.join(" · ")]).collect()));
        }
    }
    for (name, why) in view.absent() {
        rows.push(Row { struck: true, ..Row::new(vec![name.to_owned(), why]) });
    }
    let mut heads: Vec<String> = heads;
    heads[1] = format!("median, {}", metric.unit);
    Table { heads, rows }
}
