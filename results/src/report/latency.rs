//! Latency: the whole distribution at one rate, and how it grows with the rate.
//!
//! ```text
//! ms, log                                       ms, log
//!  │                    ╭──                      │             ╭─ p99
//!  │          ╭─────────╯                        │        ╭────╯
//!  │──────────╯                                  │────────╯
//!  └─┬─────┬──────┬───────→ percentile           └──┬────┬────┬──→ writes/s that were offered
//!   50 %  90 %   99 %                              10 k 20 k 30 k
//! ```
//!
//! Percentiles come from histograms that were merged exactly; they are never averaged. Every nine takes the same room,
//! because the tail is what a user meets; the curve ends with the slowest event.

use maud::{Markup, html};

use super::chart::{Axis, Figure, Line, LineChart, Row, Shape, Swatch, Table};
use super::look::Look;
use super::number::{self, significant, whole};
use super::standing::Rung;
use super::view::{Load, View, writes_per_s};
use crate::histogram::LatencyHistogram;
use crate::record::StepRecord;

/// Below this many events beyond it a percentile says little about the next run.
const EVENTS_BEYOND_MIN: f64 = 10.0;
/// Explains the sign after such a percentile.
pub(super) const FEW_NOTE: &str = "† fewer than 10 events lie beyond this percentile";
/// Points of a curve for each nine.
const POINTS_PER_NINE: usize = 20;
const CURVE_PX: f64 = 280.0;
const LADDER_PX: f64 = 230.0;
const IN_TABLE: [f64; 9] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 99.999];

/// Three digits, with a sign if it rests on few events.
pub(super) fn percentile(latency: &LatencyHistogram, percent: f64) -> String {
    let sign = if rests_on_few(latency, percent) { "†" } else { "" };
    format!("{}{sign}", significant(latency.percentile_ms(percent)))
}

pub(super) fn rests_on_few(latency: &LatencyHistogram, percent: f64) -> bool {
    latency.count() as f64 * (100.0 - percent) / 100.0 < EVENTS_BEYOND_MIN - 1e-6
}

/// Curves and ladder, as far as the run has latencies.
pub(super) fn html(view: &View<'_>) -> Markup {
    let ladder = match view.load {
        Load::Ladder => ladder(view),
        Load::Drained | Load::Offered { .. } => Vec::new(),
    };
    html! {
        @if !ladder.is_empty() { div.grid.three { @for figure in &ladder { (figure.html()) } } }
        @if let Some(curves) = curves(view) { (curves.html()) }
    }
}

/// One line for each arm, from the fastest event to the slowest.
fn curves(view: &View<'_>) -> Option<Figure> {
    let measured: Vec<(&str, LatencyHistogram)> =
        view.arms.iter().filter_map(|arm| Some((arm.name(), arm.latency_at(view.rate)?))).collect();
    let most = measured.iter().map(|(_, latency)| latency.count()).max()?;
    let curves: Vec<_> = measured.iter().map(|(_, latency)| curve(latency)).collect();
    let values = curves.iter().flatten().filter_map(|(_, ms)| *ms);
    let y = Axis::log(values.collect::<Vec<_>>(), "ms");
    let mut lines = Vec::new();
    for ((legend, (name, latency)), points) in (0..).zip(&measured).zip(curves) {
        let look = view.looks.of(name);
        lines.push(Line { look, legend, shape: Shape::Plain, points });
        lines.push(Line { look, legend, shape: Shape::Points, points: nines(latency) });
    }
    let chart = LineChart { x: Axis::nines(most), y, height: CURVE_PX, lines, marks: Vec::new() };
    let id = view.id("latency");
    let title = format!("Latency by percentile{}", view.at_rate());
    let reading = "From the intended write to the consumer, all rounds that count merged exactly. Lower is better. \
        Both scales are logarithmic; every curve ends with its slowest event."
        .to_owned();
    Some(Figure {
        panels: vec![chart.panel(&id, &title, &reading)],
        legend: measured.iter().map(|(name, _)| legend(view.looks.of(name), name)).collect(),
        table: percentile_table(&measured, &chart.x),
        id,
        title,
        reading,
    })
}

fn legend(look: Look, name: &str) -> (Swatch, String) {
    (Swatch::Line(look), name.to_owned())
}

/// Pairs of 1/(1-p) and ms; points that change nothing are left out.
fn curve(latency: &LatencyHistogram) -> Vec<(f64, Option<f64>)> {
    let count = latency.count() as f64;
    let mut points: Vec<(f64, Option<f64>)> = Vec::new();
    let last = (count.log10() * POINTS_PER_NINE as f64) as usize;
    for point in 0..=last {
        let x = 10_f64.powf(point as f64 / POINTS_PER_NINE as f64);
        let ms = Some(latency.percentile_ms(100.0 * (1.0 - 1.0 / x)));
        if let [.., (_, before), (middle, same)] = &mut points[..]
            && *before == ms
            && *same == ms
        {
            *middle = x;
        } else {
            points.push((x, ms));
        }
    }
    points.push((count, Some(latency.max_ms())));
    points
}

/// The points that have a label below them.
fn nines(latency: &LatencyHistogram) -> Vec<(f64, Option<f64>)> {
    let count = latency.count() as f64;
    let labelled = std::iter::once(2.0).chain((1..).map(|nines| 10_f64.powi(nines)));
    labelled
        .take_while(|x| *x <= count)
        .map(|x| (x, Some(latency.percentile_ms(100.0 * (1.0 - 1.0 / x)))))
        .collect()
}

fn percentile_table(measured: &[(&str, LatencyHistogram)], x: &Axis) -> Table {
    let names = measured.iter().map(|(name, _)| format!("{name}, ms"));
    let row = |head: String, at: Option<f64>, cell: &dyn Fn(&LatencyHistogram) -> String| {
        let cells = measured.iter().map(|(_, latency)| cell(latency));
        Row { at, ..Row::new(std::iter::once(head).chain(cells).collect()) }
    };
    let most = measured.iter().map(|(_, latency)| latency.count()).max().unwrap_or(0) as f64;
    let mut rows: Vec<Row> = IN_TABLE
        .into_iter()
        .filter(|percent| 100.0 / (100.0 - percent) <= most)
        .map(|percent| {
            let at = x.place(100.0 / (100.0 - percent));
            row(format!("p{percent}"), Some(at), &|latency| percentile(latency, percent))
        })
        .collect();
    rows.push(row("slowest".to_owned(), Some(1.0), &|latency| significant(latency.max_ms())));
    rows.push(row("events".to_owned(), None, &|latency| whole(latency.count() as f64)));
    let few = |(_, latency): &(&str, LatencyHistogram)| {
        IN_TABLE.into_iter().any(|percent| rests_on_few(latency, percent))
    };
    if measured.iter().any(few) {
        rows.push(Row::new(vec![FEW_NOTE.to_owned()]));
    }
    Table { heads: std::iter::once("percentile".to_owned()).chain(names).collect(), rows }
}

/// Delivered rate, median and tail against the offered rate.
fn ladder(view: &View<'_>) -> Vec<Figure> {
    let p50 = |step: &StepRecord| Some(step.latency.as_ref()?.percentile_ms(50.0));
    let p99 = |step: &StepRecord| Some(step.latency.as_ref()?.percentile_ms(99.0));
    let delivered = Ladder {
        id: "delivered",
        title: "Delivered against offered",
        reading: "An arm that keeps up stays on the dotted line; where it leaves it is its knee.",
        unit: "events/s",
        value: &|step| step.events_per_s,
        write: whole,
        log: false,
    };
    let tail = Ladder {
        id: "ladder-p99",
        title: "99th percentile against offered rate",
        reading: "From the intended write to the consumer. Lower is better; a cross is a rung that does not count.",
        unit: "ms",
        value: &p99,
        write: significant,
        log: true,
    };
    let middle = Ladder {
        id: "ladder-p50",
        title: "Median latency against offered rate",
        value: &p50,
        ..tail
    };
    [delivered, middle, tail].iter().filter_map(|ladder| ladder.figure(view)).collect()
}

#[derive(Clone, Copy)]
struct Ladder<'a> {
    id: &'static str,
    title: &'static str,
    reading: &'static str,
    unit: &'static str,
    value: &'a dyn Fn(&StepRecord) -> Option<f64>,
    write: fn(f64) -> String,
    log: bool,
}

impl Ladder<'_> {
    fn figure(&self, view: &View<'_>) -> Option<Figure> {
        let mut lines: Vec<Line> = (0..)
            .zip(&view.arms)
            .map(|(legend, arm)| Line {
                look: view.looks.of(arm.name()),
                legend,
                shape: Shape::Marked,
                points: arm.rungs().map(|rung| self.point(rung)).collect(),
            })
            .collect();
        let offers: Vec<f64> =
            lines.iter().flat_map(|line| &line.points).map(|point| point.0).collect();
        let values: Vec<f64> =
            lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1).collect();
        if values.is_empty() {
            return None;
        }
        let mut named: Vec<_> =
            view.arms.iter().map(|arm| legend(view.looks.of(arm.name()), arm.name())).collect();
        if !self.log {
            let top = offers.iter().copied().fold(0.0, f64::max);
            let points = vec![(0.0, Some(0.0)), (top, Some(top))];
            lines.insert(
                0,
                Line { look: Look::REFERENCE, legend: named.len(), shape: Shape::Plain, points },
            );
            named.push(legend(Look::REFERENCE, "all that was offered"));
        }
        let x = Axis::linear(offers.iter().copied(), "writes/s that were offered");
        let y = match self.log {
            true => Axis::log(values, self.unit),
            false => Axis::linear(offers.iter().copied().chain(values), self.unit),
        };
        let chart = LineChart { x, y, height: LADDER_PX, lines, marks: Vec::new() };
        let id = view.id(self.id);
        Some(Figure {
            panels: vec![chart.panel(&id, self.title, self.reading)],
            table: self.table(view, offers, &chart.x),
            id,
            title: self.title.to_owned(),
            reading: self.reading.to_owned(),
            legend: named,
        })
    }

    fn point(&self, rung: Rung<'_>) -> (f64, Option<f64>) {
        match rung {
            Rung::Counts(step) => (step.offered_per_s, (self.value)(step)),
            Rung::Invalid { offered_per_s, .. } => (offered_per_s, None),
        }
    }

    fn table(&self, view: &View<'_>, mut offers: Vec<f64>, x: &Axis) -> Table {
        offers.sort_by(f64::total_cmp);
        offers.dedup();
        let cell = |offer: f64, rung: Rung<'_>| match rung {
            Rung::Counts(step) if step.offered_per_s == offer => {
                Some(number::or_none((self.value)(step), self.write))
            }
            Rung::Invalid { offered_per_s, reason } if offered_per_s == offer => {
                Some(format!("does not count: {reason}"))
            }
            Rung::Counts(_) | Rung::Invalid { .. } => None,
        };
        let row = |offer: f64| {
            let cells = view.arms.iter().map(|arm| {
                let found = arm.rungs().find_map(|rung| cell(offer, rung));
                found.unwrap_or_else(|| number::NONE.to_owned())
            });
            Row::at(x.place(offer), std::iter::once(writes_per_s(offer)).chain(cells).collect())
        };
        let names = view.arms.iter().map(|arm| format!("{}, {}", arm.name(), self.unit));
        Table {
            heads: std::iter::once("offered".to_owned()).chain(names).collect(),
            rows: offers.into_iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn histogram(latencies_ms: impl IntoIterator<Item = u64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        latencies_ms.into_iter().for_each(|ms| histogram.record(Duration::from_millis(ms)));
        histogram
    }

    #[test]
    fn a_curve_goes_from_the_fastest_event_to_the_slowest() {
        let points = curve(&histogram(1..=1_000));
        let (first, last) = (points[0], points[points.len() - 1]);
        assert!(first.0 == 1.0 && first.1.is_some_and(|ms| ms <= 1.001), "{first:?}");
        assert!(last.0 == 1_000.0 && last.1.is_some_and(|ms| 999.0 < ms), "{last:?}");
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }

    #[test]
    fn one_slow_event_in_a_thousand_is_seen_at_the_end_of_the_curve() {
        let points = curve(&histogram(std::iter::repeat_n(2, 999).chain([1_000])));
        assert!(points.len() < 8, "{points:?}");
        assert!(points.last().and_then(|point| point.1).is_some_and(|ms| 999.0 < ms));
    }

    #[test]
    fn a_percentile_that_rests_on_few_events_says_so() {
        let few = histogram(1..=1_000);
        assert_eq!(percentile(&few, 99.0), "990");
        assert_eq!(percentile(&few, 99.9).chars().last(), Some('†'));
        assert!(!rests_on_few(&histogram(std::iter::repeat_n(1, 10_000)), 99.9));
    }
}
