//! Every round of a run as it was recorded, and what is needed to run it again.
//!
//! A round that does not count keeps its row, struck out, with its reason in place of its figures. So do the rounds of
//! an arm that does not count, whatever the round itself says.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{Row, Table};
use super::number::{self, ratio, significant, whole};
use super::standing::Standing;
use super::view::View;
use crate::record::{RoundRecord, RunRecord};

/// Both, folded away.
pub(super) fn html(view: &View<'_>) -> Markup {
    html! {
        details.numbers { summary { "Every round" } (table(view).html()) }
        details.numbers { summary { "To run it again" } (again(view.run)) }
    }
}

fn table(view: &View<'_>) -> Table {
    let heads = [
        "arm",
        "round",
        "offered/s",
        "events",
        "seconds",
        "events/s",
        "of null reader",
        "of null writer",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU µs/event",
        "RSS MiB",
        "generator late p99 ms",
        "contents judged",
        "counted beside",
    ];
    let mut rows = Vec::new();
    for arm in &view.run.arms {
        for round in &arm.rounds {
            let counts = match Standing::of(view.run, arm) {
                Standing::Counts(_) => None,
                Standing::Invalid(_) | Standing::Unsupported(_) => Some("its arm does not count"),
            };
            rows.push(row(&arm.name, round, counts));
        }
    }
    Table { heads: heads.map(str::to_owned).to_vec(), rows }
}

fn row(arm: &str, round: &RoundRecord, arm_reason: Option<&str>) -> Row {
    let faults = (!round.faults.is_none()).then(|| round.faults.text());
    let reason =
        faults.or_else(|| round.invalid_reason.clone()).or_else(|| arm_reason.map(str::to_owned));
    let name =
        [arm.to_owned(), round.round.to_string(), number::or_none(round.offered_per_s, whole)];
    if let Some(reason) = reason {
        let cells = name.into_iter().chain([reason]).collect();
        return Row { struck: true, ..Row::new(cells) };
    }
    let latency = |value: &dyn Fn(&crate::histogram::LatencyHistogram) -> f64| {
        number::or_none(round.latency.as_ref().map(value), significant)
    };
    let figures = [
        whole(round.events as f64),
        significant(round.seconds),
        whole(round.events_per_s()),
        number::or_none(round.null_ratio, ratio),
        number::or_none(round.sink_ratio, ratio),
        latency(&|latency| latency.percentile_ms(50.0)),
        latency(&|latency| latency.percentile_ms(99.0)),
        latency(&|latency| latency.max_ms()),
        number::or_none(round.cpu_us_per_event, significant),
        number::or_none(round.peak_rss_mib, whole),
        number::or_none(round.lateness.as_ref().map(|late| late.percentile_ms(99.0)), significant),
        round
            .content
            .map_or_else(|| number::NONE.to_owned(), |content| content.text(|n| whole(n as f64))),
        counters(&round.counters),
    ];
    Row::new(name.into_iter().chain(figures).collect())
}

fn counters(counters: &BTreeMap<String, Value>) -> String {
    let text = |(name, value): (&String, &Value)| match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_u64() => format!("{name} {}", significant(float)),
            Some(_) | None => format!("{name} {number}"),
        },
        Value::String(text) => format!("{name} {text}"),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            format!("{name} {value}")
        }
    };
    counters.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn again(run: &RunRecord) -> Markup {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let machine = &run.machine;
    html! {
        dl {
            dt { "command" } dd { code { (run.command_line.join(" ")) } }
            dt { "commit" } dd {
                code { (run.commit.describe) }
                @if run.commit.dirty { ", with changes that are not in it" }
            }
            dt { "seed" } dd { (run.seed) }
            dt { "machine" } dd {
                (machine.cpu_model) ", " (number::plural(machine.cores, "core")) ", "
                (number::with_unit(&whole(machine.memory_mib as f64), "MiB")) ", "
                (machine.os) ", kernel " (machine.kernel)
            }
            dt { "load" } dd {
                "documents of " (number::with_unit(&whole(f64::from(run.document_bytes)), "bytes"))
                ", w:" (run.write_concern)
            }
            dt { "servers" } dd { pre { (pretty(&run.servers)) } }
            @if !run.settings.is_null() { dt { "settings" } dd { pre { (pretty(&run.settings)) } } }
        }
    }
}
