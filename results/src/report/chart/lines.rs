//! Lines over two axes: curves through measured points, and steps over seconds.
//!
//! ```text
//!  ↑ ms
//! 10 ┼────────────────①──────────       ① a mark: something was done to the servers
//!    │        ╭─■          ×            × a point that does not count, at the foot
//!  1 ┼──●─────╯
//!    └──┴─────┴─────┴─────┴──→
//! ```
//!
//! A value that is `None` breaks the line: what was not measured is not bridged.

use maud::{Markup, html};

use super::{ACROSS, Axis, Panel, across, px, svg, ticks_below, unit_above, unit_below};
use crate::report::look::Look;

/// Several lines over the same axes.
pub(in crate::report) struct LineChart {
    pub x: Axis,
    pub y: Axis,
    /// Of the area between the axes, px.
    pub height: f64,
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
}

/// One line.
pub(in crate::report) struct Line {
    pub look: Look,
    /// Place in the figure's legend.
    pub legend: usize,
    pub shape: Shape,
    /// In the order of x; `None` where nothing counts.
    pub points: Vec<(f64, Option<f64>)>,
}

/// How points are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Shape {
    /// Straight from point to point, with a marker at each.
    Marked,
    /// Straight from point to point.
    Plain,
    /// Markers alone.
    Points,
    /// Flat from each x to the next; filled down to an axis that begins at nothing.
    Steps,
}

/// Something that happened at some x.
pub(in crate::report) struct Mark {
    /// Its number in the text below.
    pub label: String,
    pub from: f64,
    pub until: Option<f64>,
}

impl LineChart {
    /// The drawing, with its axes named above and below.
    pub(in crate::report) fn panel(&self, id: &str, title: &str, description: &str) -> Panel {
        let content = html! {
            (self.grid())
            (ticks_below(&self.x, self.height))
            line.base x1="0" x2="100%" y1=(px(self.height)) y2=(px(self.height)) {}
            @for mark in &self.marks { (self.mark(mark)) }
            @for line in &self.lines { (self.line(line)) }
        };
        let drawing = html! {
            (unit_above(&self.y.unit))
            div.plot { (svg(id, title, description, self.height + 20.0, &content)) }
            (unit_below(&self.x.unit))
        };
        Panel::from(drawing)
    }

    fn grid(&self) -> Markup {
        html! {
            @for tick in self.y.ticks() {
                @let y = px(self.y_px(tick.at));
                line.rule x1="0" x2="100%" y1=(y) y2=(y) {}
                text.tick x="-8" y=(y) dy="4" text-anchor="end" { (tick.label) }
            }
        }
    }

    fn y_px(&self, share: f64) -> f64 {
        (1.0 - share) * self.height
    }

    fn mark(&self, mark: &Mark) -> Markup {
        let from = self.x.place(mark.from);
        let until = mark.until.map_or(from, |until| self.x.place(until));
        html! {
            g.mark {
                @if from < until {
                    rect x=(across(from)) width=(across(until - from)) y="0" height=(px(self.height)) {}
                }
                line x1=(across(from)) x2=(across(from)) y1="-4" y2=(px(self.height)) {}
                circle cx=(across(from)) cy="-10" r="7" {}
                text x=(across(from)) y="-6.5" text-anchor="middle" { (mark.label) }
            }
        }
    }

    fn line(&self, line: &Line) -> Markup {
        let whole_height = format!("0 0 {ACROSS} {}", px(self.height));
        let absent = line.points.iter().filter(|(_, y)| y.is_none() && line.shape == Shape::Marked);
        html! {
            g class=(line.look.class) data-s=(line.legend) {
                svg.curve x="0" y="0" width="100%" height=(px(self.height)) viewBox=(whole_height)
                    preserveAspectRatio="none" {
                    @match line.shape {
                        Shape::Marked | Shape::Plain => path.line d=(self.path(&line.points)) {}
                        Shape::Points => {}
                        Shape::Steps => {
                            @if !self.y.is_log() { path.area d=(self.steps(&line.points, true)) {} }
                            path.line.thin d=(self.steps(&line.points, false)) {}
                        }
                    }
                }
                @if matches!(line.shape, Shape::Marked | Shape::Points) {
                    @for (x, y) in line.points.iter().filter_map(|&(x, y)| Some((x, y?))) {
                        use.dot href={ "#" (line.look.marker.id()) } x=(across(self.x.place(x)))
                            y=(px(self.y_px(self.y.place(y)))) {}
                    }
                }
                @for (x, _) in absent {
                    use.absent href="#m-cross" x=(across(self.x.place(*x))) y=(px(self.height)) {}
                }
            }
        }
    }

    fn at(&self, x: f64, y: f64) -> (String, String) {
        (px(self.x.place(x) * ACROSS), px(self.y_px(self.y.place(y))))
    }

    fn path(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        for piece in points.split(|(_, y)| y.is_none()) {
            let mut command = 'M';
            for (x, y) in piece.iter().filter_map(|&(x, y)| Some((x, y?))) {
                let (x, y) = self.at(x, y);
                path.push_str(&format!("{command}{x} {y}"));
                command = 'L';
            }
        }
        path
    }

    /// Every point is flat up to the next; the last as long as the one before. What follows a gap begins anew.
    fn steps(&self, points: &[(f64, Option<f64>)], closed: bool) -> String {
        let length = match points {
            [.., (before, _), (last, _)] => last - before,
            _ => 1.0,
        };
        let mut path = String::new();
        let mut open: Option<String> = None;
        for (index, &(x, y)) in points.iter().enumerate() {
            let Some(y) = y else {
                close(&mut path, open.take(), closed, self.height);
                continue;
            };
            let next = points.get(index + 1).map_or(x + length, |(next, _)| *next);
            let ((x, y), (until, _)) = (self.at(x, y), self.at(next, y));
            match open {
                Some(_) => path.push_str(&format!("V{y}H{until}")),
                None => {
                    let down = if closed {
                        format!("M{x} {}V{y}", px(self.height))
                    } else {
                        format!("M{x} {y}")
                    };
                    path.push_str(&format!("{down}H{until}"));
                }
            }
            open = Some(x);
        }
        close(&mut path, open, closed, self.height);
        path
    }
}

fn close(path: &mut String, open: Option<String>, closed: bool, height: f64) {
    if open.is_some() && closed {
        path.push_str(&format!("V{}Z", px(height)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::look::Look;

    fn chart() -> LineChart {
        LineChart {
            x: Axis::linear([4.0], "s"),
            y: Axis::linear([100.0], "events/s"),
            height: 100.0,
            lines: Vec::new(),
            marks: Vec::new(),
        }
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let path = chart().path(&[(0.0, Some(0.0)), (2.0, Some(50.0)), (4.0, Some(100.0))]);
        assert_eq!(path, "M0 100L500 50L1000 0");
    }

    #[test]
    fn what_was_not_measured_is_not_bridged() {
        let points = [(0.0, Some(0.0)), (1.0, None), (2.0, Some(50.0)), (3.0, Some(50.0))];
        assert_eq!(chart().path(&points), "M0 100M500 50L750 50");
        assert_eq!(chart().steps(&points, false), "M0 100H250M500 50H750V50H1000");
    }

    #[test]
    fn steps_are_flat_and_closed_down_to_the_axis() {
        let points = [(0.0, Some(100.0)), (1.0, Some(50.0))];
        assert_eq!(chart().steps(&points, true), "M0 100V0H250V50H500V100Z");
    }

    #[test]
    fn a_point_that_does_not_count_has_a_cross_at_the_foot() {
        let line = Line {
            look: Look::REFERENCE,
            legend: 0,
            shape: Shape::Marked,
            points: vec![(0.0, Some(1.0)), (2.0, None)],
        };
        let text = chart().line(&line).into_string();
        assert_eq!(
            (text.matches("class=\"dot\"").count(), text.matches("class=\"absent\"").count()),
            (1, 1)
        );
        assert!(text.contains("x=\"50%\" y=\"100\""), "{text}");
    }
}
