//! The page as HTML: whole as it is, so that it can be read without a script.
//!
//! ```text
//!  header    who this worker is
//!  totals    what all connectors here come to
//!  failures  each failed task, its reason and what to do
//!  table     a row for each connector          <template> the same row, empty, for the script
//!  charts    drawn by the script
//! ```
//!
//! What the script fills in again has `data-f`, with the name of what it is. Every text that is not from this file goes
//! through [`Escaped`].

use std::fmt::{self, Display, Write};

use super::figures::{Connector, Counts, Seen, Standing};
use super::numbers::{bytes, count, duration, quantile};
use crate::herder::State;
use crate::rest::path_segment;

/// Where there is no number.
const NONE: &str = "–";
/// Where a worker has not told its reason.
const NO_TRACE: &str = "its worker has not said why; its log does";

/// What the columns of quantiles are of.
const LATENCY: &str =
    "From a change to its acknowledgement, in the last minute; at first, since the task began";

/// A text as it may stand between tags and in an attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

/// The whole page.
pub(super) fn page(seen: &Seen) -> String {
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Millrace {id}</title>
<link rel="icon" href="ui/icon.svg">
<link rel="stylesheet" href="ui/page.css">
<script src="ui/page.js" defer></script>
</head>
<body>
<a class="skip" href="#connectors">Skip to the connectors</a>
{header}
<main>
{totals}
{failures}
{table}
{CHARTS}
</main>
<footer>
<a href="metrics">Metrics</a>
<a href="connectors?expand=status&amp;expand=info">Connectors as JSON</a>
<a href="health">Health</a>
</footer>
<p id="said" class="unseen" role="status" aria-live="polite"></p>
{DIALOG}
</body>
</html>
"##,
        id = Escaped(&seen.worker.id),
        header = header(seen),
        totals = totals(seen),
        failures = failures(seen),
        table = table(seen),
    )
}

const DIALOG: &str = r#"<dialog id="confirm" aria-labelledby="confirm-title">
<h2 id="confirm-title"></h2>
<p>Its task ends, and its position stays: Resume goes on there, as long as the oplog reaches back to it.</p>
<div class="buttons"><button type="button" id="confirm-no">Cancel</button>
<button type="button" id="confirm-yes" class="grave">Stop</button></div>
</dialog>"#;

const CHARTS: &str = r#"<section id="charts" aria-labelledby="charts-title" hidden>
<div class="bar"><h2 id="charts-title">Since this page was opened, at most ten minutes</h2>
<label>of <select id="chosen"><option value="">all connectors here</option></select></label></div>
<div class="grid">
<figure><figcaption>Events per second</figcaption><svg data-chart="events" role="img"></svg></figure>
<figure><figcaption>Bytes per second, as BSON</figcaption><svg data-chart="bytes" role="img"></svg></figure>
<figure><figcaption>Latency: <span class="k0">p50</span>, <span class="k1">p99</span></figcaption>
<svg data-chart="latency" role="img"></svg></figure>
<figure><figcaption>Behind the server</figcaption><svg data-chart="lag" role="img"></svg></figure>
</div>
</section>"#;

fn header(seen: &Seen) -> String {
    let worker = &seen.worker;
    let leader = worker.leader_url.as_deref().map(|leader| fact("Leader", leader));
    format!(
        r#"<header>
<h1>Millrace</h1>
<p id="fresh">As of now; reload for newer figures</p>
<dl class="facts">{}{}{}{}{}</dl>
</header>"#,
        fact("Worker", &worker.id),
        fact("Mode", worker.mode),
        fact("Version", worker.version),
        fact("Kafka cluster", worker.kafka_cluster_id.as_deref().unwrap_or("not known yet")),
        leader.unwrap_or_default(),
    )
}

fn fact(name: &str, value: &str) -> String {
    format!("<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value))
}

fn totals(seen: &Seen) -> String {
    let in_state =
        |state| seen.connectors.iter().filter(|connector| connector.state == state).count() as u64;
    let here = || seen.connectors.iter().filter_map(Connector::counts);
    let worker = &seen.worker;
    let failed = in_state(State::Failed);
    let lent = format!("Buffers, of {}", bytes(worker.memory_bytes_max));
    let tiles = [
        ("running", "Running", count(in_state(State::Running)), false),
        ("failed", "Failed", count(failed), 0 < failed),
        ("events_s", "Events/s", NONE.to_owned(), false),
        ("bytes_s", "Bytes/s", NONE.to_owned(), false),
        ("p99", "Latency p99", latency(here(), 0.99), false),
        ("lag", "Largest lag", seconds(here().filter_map(|of| of.lag_s).max()), false),
        ("headroom", "Least headroom", seconds(here().filter_map(|of| of.headroom_s).min()), false),
        ("lent", &lent, bytes(worker.memory_lent_bytes), false),
        (
            "resident",
            "Resident memory",
            worker.resident_bytes.map_or(NONE.to_owned(), bytes),
            false,
        ),
    ];
    let mut text = r#"<section aria-labelledby="totals-title">
<h2 id="totals-title" class="unseen">This worker at a glance</h2>
<dl id="totals" class="tiles">"#
        .to_owned();
    for (key, name, value, is_bad) in tiles {
        let bad = if is_bad { r#" class="bad""# } else { "" };
        text += &format!(r#"<div{bad}><dt>{name}</dt><dd data-f="{key}">{value}</dd></div>"#);
    }
    text + "</dl>\n</section>"
}

fn failures(seen: &Seen) -> String {
    let all: String = seen.failures().map(|(what, standing)| failure(&what, standing)).collect();
    let hidden = if all.is_empty() { " hidden" } else { "" };
    format!(
        r#"<section id="failures" aria-labelledby="failures-title"{hidden}>
<h2 id="failures-title">Failed</h2>
<p>Once the reason is gone: Restart goes on where it stopped, if the oplog still has it.</p>
<ul id="failed">{all}</ul>
</section>"#
    )
}

fn failure(what: &str, standing: &Standing) -> String {
    let trace = standing.trace.as_deref().unwrap_or(NO_TRACE);
    let (what, trace, worker) = (Escaped(what), Escaped(trace), Escaped(&standing.worker_id));
    format!("<li><h3>{what}, on {worker}</h3><pre>{trace}</pre></li>")
}

fn table(seen: &Seen) -> String {
    let rows: String = seen.connectors.iter().map(|connector| row(Some(connector))).collect();
    let none = if rows.is_empty() { "" } else { " hidden" };
    format!(
        r#"<section id="connectors" aria-labelledby="connectors-title">
<h2 id="connectors-title">Connectors</h2>
<p id="refused" class="refused" hidden></p>
<p id="none"{none}>There are no connectors. POST /connectors makes one.</p>
<div class="scroll" role="region" aria-labelledby="connectors-title" tabindex="0">
<table>
<thead><tr><th scope="col">Connector</th><th scope="col">State</th><th scope="col">Worker</th>
<th scope="col" class="n">Events/s</th><th scope="col" class="n">Bytes/s</th>
<th scope="col" class="n" title="{LATENCY}">p50</th>
<th scope="col" class="n" title="{LATENCY}">p99</th>
<th scope="col" class="n" title="Between the last batch and the server's newest operation">Lag</th>
<th scope="col" class="n" title="What of the oplog may still be cut off before the position is lost">Headroom</th>
<th scope="col" class="n" title="Since the task began">Events</th>
<th scope="col" class="n" title="Changes that could not be written as they should, since the task began">Errors</th>
<th scope="col"><span class="unseen">Orders</span></th></tr></thead>
<tbody id="rows">{rows}</tbody>
</table>
</div>
<noscript><p>Rates, charts and buttons need JavaScript. What is shown is of when the page was loaded.</p></noscript>
<template id="row">{}</template>
</section>"#,
        row(None)
    )
}

/// A connector's row; without one, what the script makes rows of.
fn row(of: Option<&Connector>) -> String {
    let name = of.map_or("", |connector| connector.name.as_str());
    let state = of.map_or("", |connector| connector.state.name());
    let counts = of.and_then(Connector::counts);
    let number = |value: Option<u64>| value.map_or(NONE.to_owned(), count);
    let mut cells = String::new();
    for (key, value) in [
        ("events_s", NONE.to_owned()),
        ("bytes_s", NONE.to_owned()),
        ("p50", latency(counts.into_iter(), 0.5)),
        ("p99", latency(counts.into_iter(), 0.99)),
        ("lag", seconds(counts.and_then(|of| of.lag_s))),
        ("headroom", seconds(counts.and_then(|of| of.headroom_s))),
        ("events", number(counts.map(|of| of.events))),
        ("errors", number(counts.map(|of| of.errors))),
    ] {
        let spark = if key == "events_s" { r#"<svg aria-hidden="true"></svg>"# } else { "" };
        cells += &format!(r#"<td class="n">{spark}<span data-f="{key}">{value}</span></td>"#);
    }
    let worker = of.map_or(String::new(), worker_cell);
    format!(
        r#"<tr data-name="{name}"><th scope="row"><a data-f="name" href="connectors/{path}/status">{name}</a></th>
<td><span class="state" data-f="state" data-state="{state}">{state}</span></td><td data-f="worker">{worker}</td>
{cells}
<td class="orders" hidden></td></tr>"#,
        name = Escaped(name),
        path = path_segment(name),
    )
}

/// Where its task runs. A link only to what can be nothing but a host and a port.
fn worker_cell(connector: &Connector) -> String {
    let Some(task) = connector.tasks.first() else { return String::new() };
    let worker_id = &task.standing.worker_id;
    let id = Escaped(worker_id);
    if task.is_here {
        return "here".to_owned();
    }
    let is_address = worker_id.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok()
    });
    if is_address { format!(r#"<a href="//{id}/">{id}</a>"#) } else { id.to_string() }
}

fn seconds(value: Option<u32>) -> String {
    value.map_or(NONE.to_owned(), |seconds| duration(f64::from(seconds)))
}

/// The quantile of all `counts` together.
fn latency<'a>(counts: impl Iterator<Item = &'a Counts>, q: f64) -> String {
    let mut bounds: Vec<(f64, u64)> = Vec::new();
    let mut all = 0;
    for of in counts {
        all += of.latency_count;
        if bounds.is_empty() {
            bounds.clone_from(&of.latency);
        } else {
            for (sum, (_, counted)) in bounds.iter_mut().zip(&of.latency) {
                sum.1 += counted;
            }
        }
    }
    quantile(q, &bounds, all).map_or(NONE.to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::seen;
    use super::*;

    const HOSTILE: &str = r#"<img src=x onerror="alert(1)">'&"#;

    #[test]
    fn what_others_have_named_is_text_wherever_it_stands() {
        let page = page(&seen(HOSTILE, 1, &format!("{HOSTILE}:80"), HOSTILE));
        assert!(!page.contains("<img") && !page.contains("onerror=\""), "{page}");
        let escaped = "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;";
        assert_eq!(page.matches(escaped).count(), 5, "{page}");
        assert!(page.contains(
            "href=\"connectors/%3Cimg%20src%3Dx%20onerror%3D%22alert%281%29%22%3E%27%26/status\""
        ));
        assert!(!page.contains("href=\"//&lt;"), "a worker that is no address is no link");
    }

    #[test]
    fn a_page_without_a_script_has_states_figures_and_reasons() {
        let page = page(&seen("orders", 12_345, "there:8083", "no rights; grant read"));
        for part in [
            "<title>Millrace here:8083</title>",
            r#"data-state="RUNNING">RUNNING<"#,
            r#"data-state="FAILED">FAILED<"#,
            r#"data-state="STOPPED">STOPPED<"#,
            "<span data-f=\"events\">12\u{202f}345</span>",
            r#"<span data-f="lag">2.0 s</span>"#,
            r#"<span data-f="headroom">2.0 h</span>"#,
            r#"<a href="//there:8083/">there:8083</a>"#,
            "<h3>elsewhere, task 0, on there:8083</h3><pre>no rights; grant read</pre>",
            "<h3>unknown, on here:8083</h3><pre>no such class</pre>",
            r#"<div class="bad"><dt>Failed</dt><dd data-f="failed">2</dd>"#,
            "cluster</dd>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn the_policy_of_the_page_is_kept_by_its_markup() {
        let page = page(&seen("a", 1, "b:1", "c"));
        assert!(
            !page.contains(" style=") && !page.contains(" onclick") && !page.contains("<style")
        );
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains(r#"<script src="ui/page.js" defer></script>"#));
    }
}
