//! The table of a run's arms: every arm has its row, the ones that do not count have a reason in place of figures.
//!
//! ```text
//! arm           events/s   of the null reader   CPU µs/event   …   ledger
//! null-reader     85 535   1.00                        0.425       clean
//! node-json       69 796   0.79 (0.66–1.05)             3.25       clean
//! debezium      does not count: 2 lost
//! ```
//!
//! A column in which no arm has a figure is left out. On a phone every row becomes a card with the columns' names.

use maud::{Markup, html};

use super::chart::Swatch;
use super::latency::{self, percentile};
use super::number::{self, ratio, significant, whole};
use super::standing::{Counting, Standing, median};
use super::view::{Load, View};

/// Does not read, so that a share of the reader's rate says nothing of it.
pub(super) const NULL_WRITER: &str = "null-writer";
/// Does not write.
const NULL_READER: &str = "null-reader";

struct Column {
    head: String,
    cells: Vec<Option<String>>,
}

impl Column {
    /// A cell for each arm that counts.
    fn of(view: &View<'_>, head: &str, cell: impl Fn(&Counting<'_>) -> Option<String>) -> Self {
        Self { head: head.to_owned(), cells: view.arms.iter().map(cell).collect() }
    }
}

/// The table.
pub(super) fn html(view: &View<'_>) -> Markup {
    let columns: Vec<Column> = columns(view)
        .into_iter()
        .filter(|column| column.cells.iter().any(Option::is_some))
        .collect();
    let mut counted = 0..;
    html! {
        div.scroll {
            table.arms {
                thead { tr {
                    th scope="col" { "arm" }
                    @for column in &columns { th scope="col" { (column.head) } }
                    th scope="col" { "ledger" }
                } }
                tbody {
                    @for arm in &view.run.arms {
                        @match Standing::of(view.run, arm) {
                            Standing::Counts(_) => @if let Some(place) = counted.next() {
                                (counting_row(view, &arm.name, &columns, place))
                            },
                            Standing::Invalid(reason) => {
                                (absent_row(view, &arm.name, &format!("does not count: {reason}"), columns.len()))
                            },
                            Standing::Unsupported(lack) => {
                                (absent_row(view, &arm.name, &format!("unsupported: {lack}"), columns.len()))
                            },
                        }
                    }
                }
            }
        }
    }
}

fn counting_row(view: &View<'_>, name: &str, columns: &[Column], place: usize) -> Markup {
    html! {
        tr {
            th scope="row" { (swatch(view, name)) (name) }
            @for column in columns {
                td data-label=(column.head) {
                    (column.cells.get(place).cloned().flatten().unwrap_or_else(|| number::NONE.to_owned()))
                }
            }
            td.clean data-label="ledger" { "clean" }
        }
    }
}

fn absent_row(view: &View<'_>, name: &str, reason: &str, columns: usize) -> Markup {
    html! {
        tr.absent {
            th scope="row" { (swatch(view, name)) s { (name) } }
            td.reason colspan=(columns + 1) { (reason) }
        }
    }
}

fn swatch(view: &View<'_>, name: &str) -> Markup {
    Swatch::Line(view.looks.of(name)).html()
}

fn columns(view: &View<'_>) -> Vec<Column> {
    let mut columns = throughput(view);
    let at = match view.load {
        Load::Ladder => view.at_rate(),
        Load::Drained | Load::Offered { .. } => String::new(),
    };
    for percent in [50.0, 99.0, 99.9] {
        columns.push(Column::of(view, &format!("p{percent} ms{at}"), |arm| {
            arm.latency_at(view.rate).map(|latency| percentile(&latency, percent))
        }));
    }
    columns.push(Column::of(view, &format!("CPU µs/event{at}"), |arm| {
        median(view.rounds(arm).filter_map(|round| round.cpu_us_per_event)).map(significant)
    }));
    columns.push(Column::of(view, "peak RSS MiB", |arm| arm.arm().peak_rss_mib.map(whole)));
    columns.push(Column::of(view, "rounds", |arm| {
        let (counting, all) = (arm.rounds().count(), arm.arm().rounds.len());
        Some(if counting == all { all.to_string() } else { format!("{counting} of {all}") })
    }));
    columns
}

/// A median over the rungs of a ladder would mean nothing: there it is the highest rung that was kept up with. At a
/// rate that was given, a share of the null reader's rate says nothing.
fn throughput(view: &View<'_>) -> Vec<Column> {
    let rate = || Column::of(view, "events/s", |arm| arm.arm().events_per_s.map(whole));
    match view.load {
        Load::Ladder => vec![Column::of(view, "keeps up to, writes/s", |arm| {
            arm.knee().map(|step| whole(step.offered_per_s))
        })],
        Load::Offered { .. } => vec![rate()],
        Load::Drained => vec![
            rate(),
            Column::of(view, "MB/s", |arm| arm.arm().mb_per_s.map(significant)),
            Column::of(view, "of the null reader", |arm| {
                let arm = Some(arm.arm()).filter(|arm| arm.name != NULL_WRITER)?;
                let range = arm.null_ratio_min.zip(arm.null_ratio_max);
                arm.null_ratio.map(|middle| with_range(middle, range))
            }),
            Column::of(view, "of the null writer", |arm| {
                let arm = Some(arm.arm()).filter(|arm| arm.name != NULL_READER)?;
                arm.sink_ratio.map(ratio)
            }),
        ],
    }
}

fn with_range(middle: f64, range: Option<(f64, f64)>) -> String {
    match range {
        Some((min, max)) if min < max => {
            format!("{} ({})", ratio(middle), number::range(min, max, ratio))
        }
        Some(_) | None => ratio(middle),
    }
}

/// Below the table, where a percentile rests on too few events.
pub(super) fn footnote(view: &View<'_>) -> Option<Markup> {
    let few = view.arms.iter().filter_map(|arm| arm.latency_at(view.rate)).any(|latency| {
        [50.0, 99.0, 99.9].into_iter().any(|percent| latency::rests_on_few(&latency, percent))
    });
    few.then(|| html! { p.footnote { (latency::FEW_NOTE) } })
}
