//! Charts as inline SVG, and the figure around each: how to read it, the legend, the numbers behind it.
//!
//! ```text
//! figure ─┬─ caption    what it shows, how to read it
//!         ├─ legend     colour, line and marker of every arm
//!         ├─ svg        title and description for those who do not see it
//!         └─ details    a table with every number that was drawn
//! ```
//!
//! A chart is as wide as the page lets it be, and its text has one size everywhere: lengths across are per cent of the
//! width, lengths down are px. Only curves need numbers across; they lie in an inner picture of 1000 units that is
//! stretched, with strokes that are not. So a phone and a print show the same chart, and no script is needed.
//!
//! A row of the table may know where it lies across the chart: the script shows that row when the pointer is there.

mod axis;
mod bars;
mod lines;

use maud::{Markup, html};

pub(super) use self::axis::Axis;
pub(super) use self::bars::{RangeBar, RangeBars, Segment, Stack, Stacks};
pub(super) use self::lines::{Line, LineChart, Mark, Shape};
use super::look::{Look, Marker};

/// Across, in an inner picture.
const ACROSS: f64 = 1_000.0;

/// A chart with all that belongs to it.
pub(super) struct Figure {
    /// Unique in the page.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub reading: String,
    /// Arms or parts, in the order of the chart.
    pub legend: Vec<(Swatch, String)>,
    /// One drawing, or one for each panel.
    pub panels: Vec<Panel>,
    /// What was drawn.
    pub table: Table,
}

/// One drawing of a figure.
pub(super) struct Panel {
    /// Whose it is, where a figure has several.
    pub head: Option<Markup>,
    /// Lines, bars.
    pub drawing: Markup,
    /// Below the drawing.
    pub foot: Option<Markup>,
}

/// What stands before a name in a legend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Swatch {
    Line(Look),
    Part(usize),
}

/// The numbers behind a chart.
#[derive(Default)]
pub(super) struct Table {
    /// Of the columns.
    pub heads: Vec<String>,
    /// One for each point across, or for each arm.
    pub rows: Vec<Row>,
}

/// One row of a table.
pub(super) struct Row {
    /// Share of the chart's width at which it lies.
    pub at: Option<f64>,
    /// The first is the row's name.
    pub cells: Vec<String>,
    /// Does not count.
    pub struck: bool,
}

impl Row {
    pub(super) fn new(cells: Vec<String>) -> Self {
        Self { at: None, cells, struck: false }
    }

    pub(super) fn at(at: f64, cells: Vec<String>) -> Self {
        Self { at: Some(at), cells, struck: false }
    }
}

impl From<Markup> for Panel {
    fn from(drawing: Markup) -> Self {
        Self { head: None, drawing, foot: None }
    }
}

impl Figure {
    pub(super) fn html(&self) -> Markup {
        let panels = match self.panels.len() {
            0 | 1 => "panels",
            2..=4 => "panels several",
            _ => "panels many",
        };
        html! {
            figure.chart id=(self.id) {
                figcaption { strong { (self.title) } " " span.reading { (self.reading) } }
                @if !self.legend.is_empty() { (self.legend()) }
                div class=(panels) {
                    @for panel in &self.panels {
                        div.panel {
                            @if let Some(head) = &panel.head { h5 { (head) } }
                            (panel.drawing)
                            @if let Some(foot) = &panel.foot { (foot) }
                        }
                    }
                }
                details.numbers {
                    summary { "Numbers: " (self.title) }
                    (self.table.html())
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for (index, (swatch, name)) in self.legend.iter().enumerate() {
                    li data-s=(index) { (swatch.html()) (name) }
                }
            }
        }
    }
}

impl Swatch {
    /// A short piece of the line, or of the part.
    pub(in crate::report) fn html(self) -> Markup {
        html! {
            svg.swatch aria-hidden="true" width="30" height="12" {
                @match self {
                    Self::Line(look) => g class=(look.class) {
                        path.line d="M1 6H29" {}
                        use.dot href={ "#" (look.marker.id()) } x="15" y="6" {}
                    }
                    Self::Part(part) => {
                        rect class={ "part p" (part % PARTS) } x="1" y="0" width="28" height="12" {}
                        text.number x="15" y="9.5" text-anchor="middle" { (part + 1) }
                    }
                }
            }
        }
    }
}

impl Table {
    pub(super) fn html(&self) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label="table" {
                table {
                    thead { tr { @for head in &self.heads { th scope="col" { (head) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr class=[row.struck.then_some("struck")] data-x=[row.at.map(|at| format!("{at:.4}"))] {
                                @for (column, cell) in row.cells.iter().enumerate() {
                                    @if column == 0 { th scope="row" colspan=[self.span(row, column)] { (cell) } }
                                    @else { td colspan=[self.span(row, column)] { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// A row that ends early does so with a sentence, which has the room of the columns that it does without.
    fn span(&self, row: &Row, column: usize) -> Option<usize> {
        let rest = self.heads.len().checked_sub(row.cells.len()).filter(|&rest| rest != 0)?;
        (column + 1 == row.cells.len()).then_some(rest + 1)
    }
}

/// Parts of a stack that can be told apart.
const PARTS: usize = 6;

/// Drawings that all charts use, once for a page.
pub(super) fn definitions() -> Markup {
    html! {
        svg.definitions aria-hidden="true" width="0" height="0" {
            defs { @for marker in Marker::ALL { path id=(marker.id()) d=(marker.path()) {} } }
        }
    }
}

/// The frame of a drawing: title and description for those who do not see it.
fn svg(id: &str, title: &str, description: &str, height: f64, content: &Markup) -> Markup {
    html! {
        svg.drawing role="img" aria-labelledby={ (id) "-t " (id) "-d" } height=(px(height)) {
            title id={ (id) "-t" } { (title) }
            desc id={ (id) "-d" } { (description) }
            (content)
        }
    }
}

/// A share of the width.
fn across(share: f64) -> String {
    format!("{}%", trimmed(share * 100.0, 2))
}

/// A length in px, to a tenth.
fn px(length: f64) -> String {
    trimmed(length, 1)
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Numbers beneath an axis that lies across, and its lines.
fn ticks_below(axis: &Axis, height: f64) -> Markup {
    html! {
        @for tick in axis.ticks() {
            line.rule x1=(across(tick.at)) x2=(across(tick.at)) y1="0" y2=(px(height)) {}
            @let class = if tick.wide_only { "tick wide" } else { "tick" };
            text class=(class) x=(across(tick.at)) y=(px(height + 16.0)) text-anchor=(anchor(tick.at)) {
                (tick.label)
            }
        }
    }
}

/// Labels at the ends do not leave the picture.
fn anchor(at: f64) -> &'static str {
    if 0.97 < at { "end" } else { "middle" }
}

/// Below a drawing: what the axis across counts.
fn unit_below(unit: &str) -> Markup {
    html! { p.unit { (unit) " →" } }
}

/// Above a drawing: what the axis up counts.
fn unit_above(unit: &str) -> Markup {
    html! { p.unit.up { "↑ " (unit) } }
}
