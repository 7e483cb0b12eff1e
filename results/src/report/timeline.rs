//! A round second by second: events that came out, the tail of their latency, and what was done to the servers.
//!
//! ```text
//! events/s   ▁▁▂▇▇▇▇▇①▁▁▁█▇▇▇▇      one panel for each arm, all over the same axes
//!                     1  primary killed, 20.0–21.4 s; no event for 3 s
//! ```
//!
//! Shown is the round whose rate is the median of the arm's rounds: one that happened, not a mean of several. A long
//! run is drawn in steps of several seconds; their histograms are merged exactly, and the table names the slowest
//! second of each step, so that a stall is not lost in a mean.

use maud::{Markup, html};

use super::chart::{Axis, Figure, Line, LineChart, Mark, Panel, Row, Shape, Table};
use super::latency::percentile;
use super::look::Look;
use super::number::{self, significant, whole};
use super::standing::Counting;
use super::view::View;
use crate::histogram::LatencyHistogram;
use crate::record::{self, RoundRecord};

/// Steps of a line; more would be thinner than a pixel of a phone.
const STEPS_MAX: usize = 240;
const PANEL_PX: f64 = 120.0;

/// One second of a round; seconds that the record leaves out had no events.
#[derive(Clone, Copy)]
struct OneSecond<'a> {
    second: u32,
    events: u64,
    latency: Option<&'a LatencyHistogram>,
}

/// Several seconds of a round.
struct Span {
    from_s: f64,
    events_per_s: f64,
    /// The slowest second.
    least_per_s: f64,
    latency: Option<LatencyHistogram>,
}

/// The round of an arm that is shown.
struct Shown<'a> {
    arm: Counting<'a>,
    round: &'a RoundRecord,
    /// Of how many rounds it is the median.
    rounds: usize,
    spans: Vec<Span>,
    span_s: usize,
}

/// What is drawn over the seconds.
struct Course<'a> {
    id: &'static str,
    title: &'static str,
    reading: &'static str,
    y: Axis,
    value: fn(&Span) -> Option<f64>,
    cell: &'a dyn Fn(&Span, usize) -> String,
}

/// Both figures, as far as the run has them.
pub(super) fn html(view: &View<'_>) -> Markup {
    let shown: Vec<Shown<'_>> = view.arms.iter().filter_map(|arm| Shown::of(view, *arm)).collect();
    let figures = [throughput(view, &shown), tail(view, &shown)];
    html! { @for figure in figures.iter().flatten() { (figure.html()) } }
}

/// Seconds without a single event, from `mark` on until the next mark or the end; the longest such time. `None` where
/// there was none.
pub(super) fn outage_s(round: &RoundRecord, mark: &record::Mark) -> Option<u32> {
    let next = round.marks.iter().map(|other| other.at_s).filter(|&at_s| mark.at_s < at_s);
    let end_s = next.fold(f64::INFINITY, f64::min);
    let (mut longest, mut length) = (0, 0);
    for one in seconds(&round.series) {
        let second = f64::from(one.second);
        let within = mark.at_s.floor() <= second && second < end_s;
        length = if within && one.events == 0 { length + 1 } else { 0 };
        longest = longest.max(length);
    }
    (longest != 0).then_some(longest)
}

/// Every second from the first to the last.
fn seconds(series: &[record::Second]) -> Vec<OneSecond<'_>> {
    let mut all: Vec<OneSecond<'_>> = Vec::new();
    for one in series {
        let next = all.last().map_or(one.second, |last| last.second + 1);
        all.extend((next..one.second).map(|second| OneSecond { second, events: 0, latency: None }));
        let latency = one.latency.as_ref();
        all.push(OneSecond { second: one.second, events: one.events, latency });
    }
    all
}

impl<'a> Shown<'a> {
    fn of(view: &View<'a>, arm: Counting<'a>) -> Option<Self> {
        let mut rounds: Vec<&RoundRecord> =
            view.rounds(&arm).filter(|round| !round.series.is_empty()).collect();
        rounds.sort_by(|a, b| a.events_per_s().total_cmp(&b.events_per_s()));
        let round = *rounds.get(rounds.len().checked_sub(1)? / 2)?;
        let seconds = seconds(&round.series);
        let span_s = seconds.len().div_ceil(STEPS_MAX).max(1);
        let spans = seconds.chunks(span_s).map(Span::of).collect();
        Some(Self { arm, round, rounds: rounds.len(), spans, span_s })
    }

    fn end_s(&self) -> f64 {
        self.round.series.last().map_or(0.0, |last| f64::from(last.second) + 1.0)
    }

    fn panel(&self, id: &str, title: &str, chart: &LineChart) -> Panel {
        let (name, round) = (self.arm.name(), self.round.round);
        let description = format!("{title}, {name}, round {round}");
        let head = html! {
            (name) " " span.reading { "round " (round) ", the median of " (self.rounds) }
        };
        let marks = &self.round.marks;
        let foot = (!marks.is_empty()).then(
            || html! { ol.marks { @for mark in marks { li { (mark_text(self.round, mark)) } } } },
        );
        Panel { head: Some(head), foot, ..chart.panel(id, title, &description) }
    }

    fn chart(&self, x: Axis, course: &Course<'_>, look: Look) -> LineChart {
        let marks = (1..).zip(&self.round.marks).map(|(number, mark): (usize, _)| Mark {
            label: number.to_string(),
            from: mark.at_s,
            until: mark.until_s,
        });
        let points = self.spans.iter().map(|span| (span.from_s, (course.value)(span))).collect();
        let line = Line { look, legend: 0, shape: Shape::Steps, points };
        let y = course.y.clone();
        LineChart { x, y, height: PANEL_PX, lines: vec![line], marks: marks.collect() }
    }
}

impl Span {
    fn of(seconds: &[OneSecond<'_>]) -> Self {
        let events: Vec<f64> = seconds.iter().map(|second| second.events as f64).collect();
        let mut latency: Option<LatencyHistogram> = None;
        for second in seconds.iter().filter_map(|second| second.latency) {
            latency.get_or_insert_default().merge(second);
        }
        Self {
            from_s: seconds.first().map_or(0.0, |second| f64::from(second.second)),
            events_per_s: events.iter().sum::<f64>() / events.len().max(1) as f64,
            least_per_s: events.iter().copied().fold(f64::INFINITY, f64::min),
            latency: latency.filter(|latency| latency.count() != 0),
        }
    }
}

fn mark_text(round: &RoundRecord, mark: &record::Mark) -> String {
    let until = mark.until_s.map_or_else(String::new, |until| format!("–{until:.1}"));
    let outage = outage_s(round, mark).map_or_else(String::new, |seconds| {
        format!("; no event for {}", number::plural(seconds as usize, "second"))
    });
    format!("{}, {:.1}{until}{}s{outage}", mark.what, mark.at_s, number::GAP)
}

fn throughput(view: &View<'_>, shown: &[Shown<'_>]) -> Option<Figure> {
    let rates = shown.iter().flat_map(|shown| &shown.spans).map(|span| span.events_per_s);
    let cell = |span: &Span, span_s: usize| match span_s {
        1 => whole(span.events_per_s),
        _ => format!("{} (slowest second {})", whole(span.events_per_s), whole(span.least_per_s)),
    };
    let course = Course {
        id: "throughput",
        title: "Throughput over time",
        reading: "Events that came out in every second, the median round of each arm. A numbered line is something \
            that was done to the servers.",
        y: Axis::linear(rates, "events/s"),
        value: |span| Some(span.events_per_s),
        cell: &cell,
    };
    course.figure(view, shown.iter().collect())
}

fn tail(view: &View<'_>, shown: &[Shown<'_>]) -> Option<Figure> {
    let p99 = |span: &Span| Some(span.latency.as_ref()?.percentile_ms(99.0));
    let measured = |shown: &&Shown<'_>| shown.spans.iter().any(|span| span.latency.is_some());
    let shown: Vec<&Shown<'_>> = shown.iter().filter(measured).collect();
    let values = shown.iter().flat_map(|shown| &shown.spans).filter_map(p99);
    let cell = |span: &Span, _: usize| match &span.latency {
        Some(latency) => {
            format!("{} / {}", percentile(latency, 99.0), significant(latency.max_ms()))
        }
        None => number::NONE.to_owned(),
    };
    let course = Course {
        id: "tail-over-time",
        title: "Latency over time",
        reading: "99th percentile of the events that came out in every second, from the intended write on; the table \
            has the slowest behind it. The scale is logarithmic; a gap is a second without events.",
        y: Axis::log(values.collect::<Vec<_>>(), "ms"),
        value: p99,
        cell: &cell,
    };
    course.figure(view, shown)
}

impl Course<'_> {
    /// Panels over the same axes, and one table for all.
    fn figure(&self, view: &View<'_>, shown: Vec<&Shown<'_>>) -> Option<Figure> {
        let longest = shown.iter().max_by_key(|shown| shown.spans.len())?;
        let x =
            Axis::linear(shown.iter().map(|shown| shown.end_s()), "seconds since the first event");
        let id = view.id(self.id);
        let title = format!("{}{}", self.title, view.at_rate());
        let row = |(place, span): (usize, &Span)| {
            let cells = shown.iter().map(|shown| {
                let span = shown.spans.get(place);
                span.map_or_else(|| number::NONE.to_owned(), |span| (self.cell)(span, shown.span_s))
            });
            let head = number::with_unit(&whole(span.from_s), "s");
            Row::at(x.place(span.from_s), std::iter::once(head).chain(cells).collect())
        };
        let heads = shown.iter().map(|shown| format!("{}, {}", shown.arm.name(), self.y.unit));
        let table = Table {
            heads: std::iter::once("from second".to_owned()).chain(heads).collect(),
            rows: longest.spans.iter().enumerate().map(row).collect(),
        };
        let panel = |(place, shown): (usize, &&Shown<'_>)| {
            let chart = shown.chart(x.clone(), self, view.looks.of(shown.arm.name()));
            shown.panel(&format!("{id}-{place}"), &title, &chart)
        };
        let panels = shown.iter().enumerate().map(panel).collect();
        let reading = self.reading.to_owned();
        Some(Figure { id, title, reading, legend: Vec::new(), panels, table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Second;

    fn round(events: &[u64], marks: &[f64]) -> RoundRecord {
        let second = |(second, &events)| Second { second, events, latency: None };
        let mark = |&at_s| record::Mark { at_s, until_s: None, what: "killed".into() };
        RoundRecord {
            series: (0..).zip(events).map(second).collect(),
            marks: marks.iter().map(mark).collect(),
            ..RoundRecord::new(1, events.iter().sum(), 0, events.len() as f64)
        }
    }

    #[test]
    fn an_outage_is_the_longest_time_without_events_after_its_mark() {
        let round = round(&[0, 9, 0, 0, 0, 9, 0, 9, 9, 0, 9], &[1.7, 8.2]);
        assert_eq!(outage_s(&round, &round.marks[0]), Some(3));
        assert_eq!(outage_s(&round, &round.marks[1]), Some(1));
    }

    #[test]
    fn without_a_second_without_events_there_is_no_outage() {
        let round = round(&[0, 5, 5, 5], &[1.0]);
        assert_eq!(outage_s(&round, &round.marks[0]), None);
    }

    #[test]
    fn a_second_that_the_record_leaves_out_had_no_events() {
        let mut round = round(&[5, 5, 0, 0, 5], &[1.0]);
        round.series.drain(2..4);
        assert_eq!(outage_s(&round, &round.marks[0]), Some(2));
        assert_eq!(seconds(&round.series).len(), 5);
    }

    #[test]
    fn the_slowest_second_of_a_span_is_kept() {
        let round = round(&[100, 0, 200], &[]);
        let span = Span::of(&seconds(&round.series));
        assert_eq!((span.events_per_s, span.least_per_s), (100.0, 0.0));
    }
}
