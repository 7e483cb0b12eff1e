//! What commands print for people: aligned text without colour.
//!
//! Machines get the same facts as JSON. Nothing is measured or decided here.

use millrace_results::record::RunRecord;
use millrace_results::table::{self, thousands};
use millrace_testbed::detached::{DownReport, End, State, Status};

use crate::demo::{Kept, Summary};
use crate::scenario::Scenario;

/// The result of the tour.
pub(crate) fn demo(summary: &Summary) -> String {
    let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| thousands(rate as u64));
    let mut rows = vec![
        ["events".to_owned(), thousands(summary.events), ledger_line(summary)],
        ["events/s".to_owned(), rate(summary.events_per_s), "by the broker's clock".to_owned()],
        ["MB/s".to_owned(), decimal(summary.mb_per_s, 1), "keys and values".to_owned()],
        ["ratio to null reader".to_owned(), decimal(summary.null_ratio, 2), null_line(summary)],
    ];
    if let Some(latency) = &summary.latency_ms {
        let load = format!(
            "{} events, {}/s, w:{}",
            thousands(latency.events),
            thousands(latency.rate_per_s.into()),
            latency.write_concern
        );
        rows.push(["latency p50 ms".to_owned(), format!("{:.2}", latency.p50), load]);
        let from = "intended write to consumer".to_owned();
        rows.push(["latency p99 ms".to_owned(), format!("{:.2}", latency.p99), from]);
        let max = format!("max {:.1}", latency.max);
        rows.push(["latency p99.9 ms".to_owned(), format!("{:.2}", latency.p99_9), max]);
    }
    rows.push([
        "CPU µs/event".to_owned(),
        format!("{:.2}", summary.cpu_us_per_event),
        "of the node".to_owned(),
    ]);
    rows.push([
        "peak RSS MiB".to_owned(),
        format!("{:.0}", summary.peak_rss_mib),
        "of the node".to_owned(),
    ]);
    let mut text: String = rows
        .iter()
        .map(|[name, value, note]| format!("{name:<22}{value:>12}   {note}\n"))
        .collect();
    text.push_str(&format!("{:<22}{:>12.1}\n", "whole tour s", summary.elapsed_s));
    if let Some(kept) = &summary.kept {
        text.push_str(&look_around(kept));
    }
    text
}

fn ledger_line(summary: &Summary) -> String {
    if summary.is_clean() {
        "each once, in order per key, content compared".to_owned()
    } else {
        format!("ledger: {}", summary.faults.text())
    }
}

fn null_line(summary: &Summary) -> String {
    let null = &summary.null_reader;
    let rate = null.events_per_s.map(|rate| thousands(rate as u64));
    match (rate, &null.invalid_reason, null.server_busy) {
        (None, reason, _) => format!("no null reader: {}", reason.as_deref().unwrap_or("-")),
        (Some(rate), Some(reason), _) => format!("null reader {rate}/s, a rough guide: {reason}"),
        (Some(rate), None, busy) => {
            let busy = busy.map_or("-".to_owned(), |busy| format!("{:.0}", busy * 100.0));
            format!("null reader {rate}/s, mongod {busy} % busy")
        }
    }
}

fn look_around(kept: &Kept) -> String {
    let Kept { mongodb_uri, kafka_bootstrap, node_pid, node_folder, database, topics } = kept;
    let folder = node_folder.display();
    let topic = topics.first().map_or("", String::as_str);
    format!(
        "\nServers and node are still running.\n\
         \x20 MongoDB        mongosh \"{mongodb_uri}\"\n\
         \x20 Kafka          kcat -b {kafka_bootstrap} -t {topic} -o beginning -c 3\n\
         \x20 topics         {}\n\
         \x20 node           pid {node_pid}, watches database {database}\n\
         \x20 its files      {folder}/worker.properties, connector.json, node.log\n\
         \x20 more changes   millrace load --uri \"{mongodb_uri}\" --database {database} \
         --collection more --rate 100 --operations 1000\n\
         \x20 end it all     millrace testbed down\n",
        topics.join(", "),
    )
}

/// The scenarios and their questions.
pub(crate) fn scenarios(scenarios: &[Scenario]) -> String {
    let line = |scenario: &Scenario| {
        let arms: Vec<_> = scenario.arms.iter().map(ToString::to_string).collect();
        let (name, question) = (&scenario.name, &scenario.question);
        format!(
            "{name:<16} {question}\n{:<16} {}, {} rounds of {}\n",
            "",
            scenario.size(),
            scenario.rounds,
            arms.join(", ")
        )
    };
    scenarios.iter().map(line).collect()
}

/// The arms of a run.
pub(crate) fn record(record: &RunRecord) -> String {
    let RunRecord { scenario, question, rounds, seed, .. } = record;
    let cut_short = if record.cut_short { ", cut short" } else { "" };
    let mut text = format!("{scenario}: {question}\n{rounds} rounds, seed {seed}{cut_short}\n\n");
    text.push_str(&table::arms(&record.arms));
    for below in [table::latency_stages(&record.arms), table::contents(&record.arms)] {
        if !below.is_empty() {
            text.push_str(&format!("\n{below}"));
        }
    }
    if let Some(bottleneck) = &record.bottleneck {
        text.push_str("\nwhat held them back\n");
        bottleneck.split("; ").for_each(|sentence| text.push_str(&format!("  {sentence}\n")));
    }
    text
}

/// Servers that were just left running.
pub(crate) fn servers_up(state: &State) -> String {
    let none = || "-".to_owned();
    format!(
        "MongoDB  {}\nKafka    {}\nfolder   {}\nEnd them with: millrace testbed down\n",
        state.mongodb_uri.clone().unwrap_or_else(none),
        state.kafka_bootstrap.clone().unwrap_or_else(none),
        state.folder.display()
    )
}

/// What became of the servers.
pub(crate) fn servers_down(report: &DownReport) -> String {
    if report.processes.is_empty() {
        return "no servers were left running\n".to_owned();
    }
    let line = |ended: &millrace_testbed::detached::Ended| {
        let how = match ended.end {
            End::WasGone => "had ended before",
            End::Stopped => "stopped",
            End::Killed => "killed",
        };
        format!("{:<10} pid {:<8} {how}\n", ended.role, ended.pid)
    };
    report.processes.iter().map(line).collect()
}

/// The servers that were left running.
pub(crate) fn servers(all: &[Status]) -> String {
    if all.is_empty() {
        return "no servers were left running\n".to_owned();
    }
    let set = |status: &Status| {
        let processes = |what: &str, roles: &[String]| {
            if roles.is_empty() { String::new() } else { format!("{what}  {}\n", roles.join(", ")) }
        };
        format!(
            "{}{}{}",
            servers_up(&status.state),
            processes("running", &status.running),
            processes("ended  ", &status.ended)
        )
    };
    all.iter().map(set).collect::<Vec<_>>().join("\n")
}

fn decimal(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}
