//! The page: head, contents, a section for each scenario, method and bias.
//!
//! ```text
//! head        what, when, commit, machine
//! contents    every scenario with its question, its answer and how many arms count
//! sections    question, answer, bottleneck, arms, charts, rounds, history
//! statements  METHODOLOGY.md, BIAS.md
//! ```
//!
//! One file: style and script are inside, and its security policy forbids the browser to load anything. Without the
//! script everything can be read; it adds the theme's switch, lines that can be hidden, and the numbers at the pointer.
//! All text from records goes through `maud`, which escapes it; only our own two files are written as they are.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::history::{self, PastRun};
use super::look::Looks;
use super::view::View;
use super::{
    answer, arm_table, chart, latency, number, parts, rivals, rounds, statement, timeline,
};
use crate::record::RunRecord;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const METHOD_TITLE: &str = "How it was measured";
const BIAS_TITLE: &str = "Whom the rig favours, and how to check";
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// One scenario as the page needs it.
pub(super) struct Section<'a> {
    pub newest: &'a RunRecord,
    /// Oldest first, the newest included.
    pub runs: &'a [PastRun],
}

/// The whole file.
pub(super) fn html(
    sections: &[Section<'_>],
    unreadable: &[String],
    written_at: &str,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> Markup {
    let runs = sections.iter().flat_map(|section| section.runs);
    let looks = Looks::of_arms(runs.flat_map(PastRun::arm_names));
    let views: Vec<View<'_>> = (1..)
        .zip(sections)
        .map(|(number, section): (usize, _)| {
            View::new(section.newest, &looks, format!("s{number}"))
        })
        .collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Millrace: what was measured" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (chart::definitions())
                (head(sections, written_at))
                main {
                    @if !unreadable.is_empty() { (broken_lines(unreadable)) }
                    (contents(&views))
                    @for (view, section) in views.iter().zip(sections) {
                        (scenario(view, section, change_points))
                    }
                    (statements())
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(sections: &[Section<'_>], written_at: &str) -> Markup {
    let newest = sections.iter().map(|section| section.newest).max_by_key(|run| &run.started_at);
    let runs: usize = sections.iter().map(|section| section.runs.len()).sum();
    html! {
        header {
            h1 { "Millrace" span { "what was measured" } }
            p.facts {
                (number::plural(sections.len(), "scenario")) ", " (number::plural(runs, "run"))
                ", written " (day_and_time(written_at))
            }
            @if let Some(run) = newest {
                p.facts {
                    "newest run " (day_and_time(&run.started_at)) " · " (commit(run)) " · " (machine(run))
                }
            }
        }
    }
}

fn broken_lines(unreadable: &[String]) -> Markup {
    html! {
        section.notice {
            h2 { "Records that could not be read" }
            p { "They are missing below." }
            ul { @for error in unreadable { li { (error) } } }
        }
    }
}

fn contents(views: &[View<'_>]) -> Markup {
    html! {
        nav aria-label="scenarios" {
            @for view in views {
                a.card href={ "#" (view.id) } {
                    strong { (view.run.scenario) } " "
                    span.count {
                        (view.arms.len()) " of " (number::plural(view.run.arms.len(), "arm")) " count"
                    }
                    span.answer { (answer::sentence(view)) }
                }
            }
            p.more {
                a href="#method" { (METHOD_TITLE) } " · " a href="#bias" { (BIAS_TITLE) }
            }
        }
    }
}

fn scenario(
    view: &View<'_>,
    section: &Section<'_>,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> Markup {
    let run = view.run;
    html! {
        section id=(view.id) {
            h2 { (run.scenario) }
            p.question { (run.question) }
            @if run.cut_short {
                p.warning { "This run was cut short: what was measured until then is shown." }
            }
            p.answer { (answer::sentence(view)) }
            @if let Some(bottleneck) = &run.bottleneck {
                p.bottleneck { strong { "Bottleneck. " } (bottleneck) }
            }
            p.facts {
                (day_and_time(&run.started_at)) " · " (commit(run))
                " · " (number::plural(run.rounds as usize, "round"))
                " · documents of " (number::with_unit(&number::whole(f64::from(run.document_bytes)), "bytes"))
                " · w:" (run.write_concern) " · " (machine(run))
            }
            (arm_table::html(view))
            @if let Some(footnote) = arm_table::footnote(view) { (footnote) }
            (rivals::html(view))
            (latency::html(view))
            (timeline::html(view))
            (parts::html(view))
            (rounds::html(view))
            (history::html(&view.id, section.runs, view.looks, change_points))
        }
    }
}

fn statements() -> Markup {
    html! {
        section.statement id="method" {
            h2 { (METHOD_TITLE) }
            (statement::html(statement::METHODOLOGY))
        }
        section.statement id="bias" { h2 { (BIAS_TITLE) } (statement::html(statement::BIAS)) }
    }
}

fn commit(run: &RunRecord) -> Markup {
    html! {
        "commit " code { (run.commit.describe) }
        @if run.commit.dirty { " with changes that are not in it" }
    }
}

fn machine(run: &RunRecord) -> Markup {
    let machine = &run.machine;
    let memory_gib = (machine.memory_mib as f64 / 1_024.0).round();
    html! {
        (number::plural(machine.cores, "core")) " of " (machine.cpu_model) ", "
        (number::with_unit(&number::whole(memory_gib), "GiB")) ", " (machine.os)
    }
}

/// `2026-11-21T13:04:23Z` as `2026-11-21 13:04 UTC`; anything else as it is.
fn day_and_time(time: &str) -> String {
    match (time.get(..10), time.get(10..11), time.get(11..16), time.ends_with('Z')) {
        (Some(day), Some("T"), Some(time), true) => format!("{day} {time} UTC"),
        _ => time.to_owned(),
    }
}
