//! Bars: one figure of each arm with the range of its rounds, or parts that add up.
//!
//! ```text
//! node-json                         69 796 (54 984–89 666)
//! ██████████████████████┃███            the bar ends at the median
//!              ·  ├──·──·───·───┤       whisker: smallest and largest round; a dot is a round
//! connector-tuned                     does not count
//! ```
//!
//! Name and figure stand above the bar, so that the bar has the whole width of a phone. Parts bear the number that they
//! have in the legend, so that nobody has to tell colours apart. Over a logarithmic axis a bar's length would mean
//! nothing: there only range and median are drawn.

use maud::{Markup, html};

use super::{Axis, Panel, across, px, svg, ticks_below, unit_below};
use crate::report::look::Look;

const ROW_PX: f64 = 42.0;
const BAR_TOP_PX: f64 = 20.0;
const BAR_PX: f64 = 13.0;
/// Share of the width that a part needs for its number, on a phone as well.
const NUMBERED_MIN: f64 = 0.04;

/// Arms beside each other.
pub(in crate::report) struct RangeBars {
    pub x: Axis,
    pub bars: Vec<RangeBar>,
}

/// One arm.
pub(in crate::report) enum RangeBar {
    /// Its rounds, and what is written beside it.
    Counts { name: String, look: Look, median: f64, rounds: Vec<f64>, text: String },
    /// Named, and no more.
    Absent { name: String, why: &'static str },
}

/// Arms whose figures have parts.
pub(in crate::report) struct Stacks {
    pub x: Axis,
    pub stacks: Vec<Stack>,
}

/// One arm.
pub(in crate::report) struct Stack {
    pub name: String,
    pub segments: Vec<Segment>,
    /// Written beside it.
    pub text: String,
}

/// One part of an arm's figure.
pub(in crate::report) struct Segment {
    /// Place in the figure's legend.
    pub part: usize,
    pub value: f64,
}

impl RangeBars {
    pub(in crate::report) fn panel(&self, id: &str, title: &str, description: &str) -> Panel {
        let rows = self.bars.iter().map(|bar| (bar.head(), self.bar(bar)));
        panel(&self.x, rows.collect(), [id, title, description])
    }

    fn bar(&self, bar: &RangeBar) -> Markup {
        let (middle, top) = (px(BAR_TOP_PX + BAR_PX / 2.0), px(BAR_TOP_PX));
        match bar {
            RangeBar::Counts { look, median, rounds, .. } => {
                let place = |value: f64| across(self.x.place(value));
                let (min, max) = rounds.iter().fold((*median, *median), |(min, max), &round| {
                    (min.min(round), max.max(round))
                });
                html! {
                    g class=(look.class) {
                        @if self.x.is_log() {
                            line.nothing x1="0" x2=(place(min)) y1=(middle) y2=(middle) {}
                            line.range x1=(place(min)) x2=(place(max)) y1=(middle) y2=(middle) {}
                        } @else {
                            rect.bar x="0" y=(top) width=(place(*median)) height=(px(BAR_PX)) rx="2" {}
                        }
                        line.whisker x1=(place(min)) x2=(place(max)) y1=(middle) y2=(middle) {}
                        @for end in [min, max] {
                            line.whisker x1=(place(end)) x2=(place(end)) y1=(px(BAR_TOP_PX + 3.0))
                                y2=(px(BAR_TOP_PX + BAR_PX - 3.0)) {}
                        }
                        @for round in rounds { circle.round cx=(place(*round)) cy=(middle) r="2.2" {} }
                        line.median x1=(place(*median)) x2=(place(*median)) y1=(px(BAR_TOP_PX - 1.0))
                            y2=(px(BAR_TOP_PX + BAR_PX + 1.0)) {}
                    }
                }
            }
            RangeBar::Absent { .. } => html! {
                line.nothing x1="0" x2="100%" y1=(middle) y2=(middle) {}
            },
        }
    }
}

impl RangeBar {
    fn head(&self) -> Head<'_> {
        match self {
            Self::Counts { name, text, .. } => Head { name, text, struck: false },
            Self::Absent { name, why } => Head { name, text: why, struck: true },
        }
    }
}

impl Stacks {
    pub(in crate::report) fn panel(&self, id: &str, title: &str, description: &str) -> Panel {
        let rows = self.stacks.iter().map(|stack| {
            (Head { name: &stack.name, text: &stack.text, struck: false }, self.stack(stack))
        });
        panel(&self.x, rows.collect(), [id, title, description])
    }

    fn stack(&self, stack: &Stack) -> Markup {
        let mut end = 0.0;
        let parts = stack.segments.iter().map(|segment| {
            let start = end;
            end += segment.value;
            (segment.part, self.x.place(start), self.x.place(end))
        });
        html! {
            @for (part, start, end) in parts {
                rect class={ "part p" (part % super::PARTS) } x=(across(start))
                    width=(across((end - start).max(0.0))) y=(px(BAR_TOP_PX)) height=(px(BAR_PX)) {}
                @if NUMBERED_MIN < end - start {
                    text.number x=(across(f64::midpoint(start, end))) y=(px(BAR_TOP_PX + BAR_PX - 3.0))
                        text-anchor="middle" { (part + 1) }
                }
            }
        }
    }
}

struct Head<'a> {
    name: &'a str,
    text: &'a str,
    struck: bool,
}

fn panel(x: &Axis, rows: Vec<(Head<'_>, Markup)>, [id, title, description]: [&str; 3]) -> Panel {
    let height = rows.len() as f64 * ROW_PX;
    let content = html! {
        (ticks_below(x, height))
        @for (row, (head, bar)) in rows.into_iter().enumerate() {
            svg.row x="0" y=(px(row as f64 * ROW_PX)) width="100%" height=(px(ROW_PX)) {
                text.name.struck[head.struck] x="0" y="14" { (head.name) }
                text.value x="100%" y="14" text-anchor="end" { (head.text) }
                (bar)
            }
        }
    };
    let drawing = html! {
        div.plot.bars { (svg(id, title, description, height + 20.0, &content)) }
        (unit_below(&x.unit))
    };
    Panel::from(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(rounds: Vec<f64>, median: f64) -> String {
        let counts = RangeBar::Counts {
            name: "node".into(),
            look: Look::REFERENCE,
            median,
            rounds,
            text: "x".into(),
        };
        let absent = RangeBar::Absent { name: "rival".into(), why: "does not count" };
        let bars = RangeBars { x: Axis::linear([100.0], "events/s"), bars: vec![counts, absent] };
        bars.panel("id", "title", "description").drawing.into_string()
    }

    #[test]
    fn a_bar_ends_at_the_median_and_its_whisker_at_the_ends_of_the_rounds() {
        let text = bars(vec![40.0, 50.0, 80.0], 50.0);
        assert!(text.contains("class=\"bar\" x=\"0\" y=\"20\" width=\"50%\""), "{text}");
        assert!(text.contains("class=\"whisker\" x1=\"40%\" x2=\"80%\""), "{text}");
        assert_eq!(text.matches("class=\"round\"").count(), 3);
    }

    #[test]
    fn an_arm_that_does_not_count_has_its_name_and_no_bar() {
        let text = bars(vec![50.0], 50.0);
        assert!(text.contains("class=\"name struck\"") && text.contains("does not count"));
        assert_eq!(text.matches("class=\"bar\"").count(), 1);
    }

    #[test]
    fn parts_lie_end_to_end() {
        let segments = [(0, 25.0), (1, 50.0)].map(|(part, value)| Segment { part, value });
        let stack = Stack { name: "a".into(), segments: segments.into(), text: "75".into() };
        let text = Stacks { x: Axis::linear([100.0], "ms"), stacks: vec![stack] };
        let text = text.panel("id", "t", "d").drawing.into_string();
        assert!(
            text.contains("x=\"0%\" width=\"25%\"") && text.contains("x=\"25%\" width=\"50%\""),
            "{text}"
        );
    }
}
