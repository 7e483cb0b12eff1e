//! Laws of the whole page, held against records as a full rig would write them.
//!
//! The page of these records is left at `target/report-sample.html`, for the eye.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::histogram::LatencyHistogram;
use crate::record::{ArmRecord, Faults, Mark, RoundRecord, Second};

mod colours;
mod markup;
mod synthetic;

const BYTES_MAX: usize = 1_000_000;

fn page_of(runs: impl IntoIterator<Item = RunRecord>) -> String {
    page_with(runs, &|_| Vec::new())
}

fn page_with(
    runs: impl IntoIterator<Item = RunRecord>,
    change_points: &dyn Fn(&[f64]) -> Vec<usize>,
) -> String {
    let mut report = Report::default();
    runs.into_iter().for_each(|run| report.add(run));
    report.html("2026-11-21T14:00:00Z", change_points)
}

/// The text between `<figure` with that id and its end.
fn figure<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no figure {id}"));
    let end = page[start..].find("</figure>").expect("the end of the figure");
    &page[start..start + end]
}

/// The largest jump between neighbours, if it is one.
fn one_jump(values: &[f64]) -> Vec<usize> {
    let jumps =
        values.windows(2).enumerate().map(|(at, pair)| (at + 1, (pair[1] / pair[0] - 1.0).abs()));
    let largest = jumps.max_by(|(_, a), (_, b)| a.total_cmp(b));
    largest.filter(|(_, jump)| 0.12 < *jump).map(|(at, _)| at).into_iter().collect()
}

#[test]
fn the_page_is_well_formed_and_leads_nowhere() {
    let page = page_with(synthetic::runs(), &one_jump);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/report-sample.html");
    std::fs::write(sample, &page).expect("the target folder");
    let elements = markup::elements(&page).expect("well-formed");
    for element in &elements {
        for name in ["src", "srcset", "action", "data", "poster", "style", "onclick"] {
            assert_eq!(element.attribute(name), None, "{element:?}");
        }
        let target = element.attribute("href").or(element.attribute("xlink:href"));
        assert!(target.is_none_or(|target| target.starts_with('#')), "{element:?}");
        assert!(!["link", "iframe", "img", "object", "base"].contains(&element.name.as_str()));
    }
    for reach in ["http:", "https:", "//cdn", "@import", "fetch(", "XMLHttpRequest", "WebSocket"] {
        assert!(!page.contains(reach), "{reach}");
    }
    let policy = elements.iter().find(|element| element.attribute("http-equiv").is_some());
    assert!(
        policy
            .and_then(|meta| meta.attribute("content"))
            .is_some_and(|text| text.starts_with("default-src 'none'"))
    );
}

#[test]
fn every_name_in_the_page_is_unique_and_every_link_has_its_end() {
    let elements = markup::elements(&page_of(synthetic::runs())).expect("well-formed");
    let ids: Vec<&str> = elements.iter().filter_map(|element| element.attribute("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len());
    let described = |element: &markup::Element| {
        let names = element.attribute("aria-labelledby")?.split(' ').map(str::to_owned);
        Some(names.collect::<Vec<_>>())
    };
    for name in elements.iter().filter_map(described).flatten() {
        assert!(unique.contains(name.as_str()), "{name}");
    }
    for target in elements.iter().filter_map(|element| element.attribute("href")) {
        assert!(unique.contains(&target[1..]), "{target}");
    }
}

#[test]
fn nothing_from_a_record_becomes_markup() {
    let evil = "<script>alert(1)</script>\"'&<img src=x onerror=y> https://evil";
    let run = poisoned(evil);
    let page = page_of([run.clone(), RunRecord { started_at: "z".into(), ..run }]);
    let elements = markup::elements(&page).expect("well-formed");
    let scripts = elements.iter().filter(|element| element.name == "script").count();
    assert_eq!(scripts, 1);
    assert!(!elements.iter().any(|element| element.name == "img"));
    let shown = page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count();
    assert!(shown > 20, "only {shown} places show it");
}

/// Every text of the record is `evil`.
fn poisoned(evil: &str) -> RunRecord {
    let text = || evil.to_owned();
    let mut latency = LatencyHistogram::new();
    latency.record(Duration::from_millis(3));
    let mut round = RoundRecord::new(1, 100, 100, 1.0);
    round.latency = Some(latency.clone());
    round.offered_per_s = Some(100.0);
    round.stages.insert(text(), latency.clone());
    round.series = vec![Second { second: 0, events: 100, latency: Some(latency) }];
    round.marks = vec![Mark { at_s: 0.5, until_s: None, what: text() }];
    round.counters.insert(text(), text().into());
    round.usage = vec![crate::record::ProcessUsage {
        process: text(),
        cpu_us_per_event: Some(1.0),
        peak_rss_mib: None,
        voluntary_switches: None,
        involuntary_switches: None,
        system_calls: None,
    }];
    let mut late = RoundRecord::new(1, 1, 1, 1.0);
    late.invalid_reason = Some(text());
    let mut run = synthetic::drains(1).remove(0);
    for field in [&mut run.scenario, &mut run.question, &mut run.started_at, &mut run.write_concern]
    {
        *field = text();
    }
    run.commit.describe = text();
    (run.machine.cpu_model, run.machine.kernel, run.machine.os) = (text(), text(), text());
    run.command_line = vec![text()];
    (run.servers, run.settings) =
        (serde_json::json!({ evil: evil }), serde_json::json!({ evil: evil }));
    run.bottleneck = Some(text());
    run.arms = vec![
        ArmRecord::from_rounds(text(), vec![round]),
        ArmRecord::from_rounds(format!("{evil}2"), vec![late]),
        ArmRecord::unsupported(format!("{evil}3"), text()),
    ];
    run
}

#[test]
fn every_chart_draws_every_arm_that_counts_and_has_its_numbers() {
    let runs = synthetic::runs();
    let page = page_of(runs.clone());
    let newest = |scenario: &str| {
        let run = runs.iter().rfind(|run| run.scenario == scenario).expect("a run of it");
        standing::counting(run).iter().map(|arm| arm.name().to_owned()).collect::<Vec<_>>()
    };
    // Scenarios by name: drain, failover, ladder, latency, update-lookup.
    let bars = ["rate", "cpu", "memory", "usage"].map(|figure| ("drain", format!("s1-{figure}")));
    let named = bars.into_iter().chain([("latency", "s4-stages".to_owned())]);
    for (scenario, id) in named {
        let (drawing, numbers) = figure(&page, &id).split_once("<details").expect("numbers");
        for arm in newest(scenario) {
            let name = format!("class=\"name\" x=\"0\" y=\"14\">{arm}<");
            assert!(drawing.contains(&name) && numbers.contains(&arm), "{id}: {arm}");
        }
    }
    let ladders = ["delivered", "ladder-p50", "ladder-p99", "latency"]
        .map(|figure| ("ladder", format!("s3-{figure}")));
    let courses = ["latency", "throughput", "tail-over-time"]
        .map(|figure| ("latency", format!("s4-{figure}")));
    for (scenario, id) in ladders.into_iter().chain(courses) {
        let (drawing, numbers) = figure(&page, &id).split_once("<details").expect("numbers");
        for arm in newest(scenario) {
            let line = format!("<g class=\"{}\" data-s=", Looks::default().of(&arm).class);
            assert!(drawing.contains(&line) && numbers.contains(&arm), "{id}: {arm}");
        }
    }
    // The null writer does not read: its share of the reader's rate would say nothing.
    assert!(!figure(&page, "s1-ratio").contains("null-writer"));
}

#[test]
fn stages_are_drawn_in_the_order_of_the_way() {
    let page = page_of(synthetic::runs());
    let (legend, _) = figure(&page, "s4-stages").split_once("</ul>").expect("a legend");
    let places: Vec<_> = crate::record::stages::Stage::ALL
        .iter()
        .filter_map(|stage| legend.find(&format!("</svg>{}</li>", stage.name())))
        .collect();
    assert!(places.len() == 4 && places.is_sorted(), "{legend}");
}

#[test]
fn every_round_says_how_its_contents_were_judged() {
    let page = page_of(synthetic::drains(1)).replace(number::GAP, " ");
    assert!(page.contains("contents judged") && page.contains("400 000 in full"));
}

#[test]
fn an_arm_with_a_fault_shows_no_figure_anywhere() {
    let mut run = synthetic::drains(1).remove(0);
    let round = |number: u32, rate: u64| RoundRecord {
        cpu_us_per_event: Some(66.66),
        ..RoundRecord::new(number, rate, rate, 1.0)
    };
    let null = vec![RoundRecord::new(1, 88_888, 88_888, 1.0)];
    // The second round is clean, and does not count either.
    let mut broken = vec![round(1, 77_777), round(2, 55_555)];
    broken[0].faults = Faults { lost: 2, ..Faults::default() };
    let arms = vec![("null-reader".into(), null), ("node-json".into(), broken.clone())];
    run.arms = crate::record::arms(arms, Some("null-reader"), None);
    let shown = |page: &str, figure: &str| page.replace(number::GAP, "").contains(figure);
    let page = page_of([run.clone()]);
    assert!(shown(&page, "88888") && page.contains("<s>node-json</s>"));
    assert!(page.contains("does not count: 2 lost"));
    for figure in ["77777", "77800", "55555", "55600", "66666", "66.66", "66.7"] {
        assert!(!shown(&page, figure), "{figure}");
    }
    // The check can fail: without the fault the figures are there.
    broken[0].faults = Faults::default();
    run.arms[1] = ArmRecord::from_rounds("node-json".into(), broken);
    let page = page_of([run]);
    for figure in ["77777", "55555", "66666", "66.7"] {
        assert!(shown(&page, figure), "{figure}");
    }
}

#[test]
fn an_arm_that_does_not_count_is_named_with_its_reason() {
    let page = page_of(synthetic::runs());
    for reason in [
        "does not count: 3 lost",
        "does not count: 2 of 5 rounds count: the generator was late",
        "unsupported: looking up the document of an update",
    ] {
        assert!(page.contains(reason), "{reason}");
    }
    assert!(figure(&page, "s1-rate").contains("name struck"));
}

#[test]
fn a_run_of_which_nothing_counts_has_no_answer() {
    let mut run = synthetic::drains(1).remove(0);
    run.arms = vec![ArmRecord::from_rounds("node-json".into(), Vec::new())];
    let page = page_of([run]);
    assert!(page.contains("There is no answer: no arm of this run counts."));
    assert!(!page.contains("<figure"));
}

#[test]
fn answers_name_figure_range_and_rival() {
    let mut report = Report::default();
    synthetic::runs().into_iter().for_each(|run| report.add(run));
    let answers: Vec<String> = report
        .summaries()
        .into_iter()
        .map(|summary| summary.answer.replace(number::GAP, " "))
        .collect();
    let [drain, failover, ladder, latency, lookup] = &answers[..] else { panic!("{answers:?}") };
    for part in [
        "node-bson moves ",
        " of the null reader (",
        " over 5 rounds)",
        "the fastest rival, straight-line, moves",
        "times as fast",
    ] {
        assert!(drain.contains(part), "{part}: {drain}");
    }
    let outages = "Most whole seconds without an event after “broker connection reset” or “primary killed with \
                   SIGKILL”: node-json 3 (";
    assert!(failover.starts_with(outages), "{failover}");
    assert!(
        ladder.contains("; node-bson keeps up with at least 80 000 writes/s (p99 "),
        "{ladder}"
    );
    assert!(ladder.contains("; of the rivals straight-line keeps up with 48 000"), "{ladder}");
    assert!(
        latency.starts_with("At 1000 writes/s, node-bson brings half of the events"),
        "{latency}"
    );
    assert!(latency.contains("; the bound, null-path, "), "{latency}");
    assert!(lookup.contains("node-json moves"), "{lookup}");
}

#[test]
fn a_change_of_level_is_marked_and_put_into_words() {
    let runs = synthetic::drains(14);
    let page = page_with(runs.clone(), &one_jump).replace(number::GAP, " ");
    let plain = page_of(runs);
    let marks = |page: &str| figure(page, "s1-history-ratio").matches("class=\"mark\"").count();
    assert_eq!((marks(&plain), marks(&page)), (0, 1));
    assert!(page.contains("node-json: from 11-10 "), "the eighth run brought it");
}

#[test]
fn runs_under_other_conditions_are_in_no_line() {
    let mut runs = synthetic::drains(4);
    runs[1].machine.cores = 64;
    let page = page_of(runs).replace(number::GAP, " ");
    assert!(page.contains(
        "4 runs, 3 under the conditions of the newest; the others are in the table only"
    ));
    let rows = figure(&page, "s1-history-ratio").matches("data-x=").count();
    assert_eq!(rows, 3);
}

#[test]
fn the_newest_run_is_shown_whatever_the_order_of_the_lines() {
    let mut runs = synthetic::drains(3);
    runs.rotate_left(1);
    let mut report = Report::default();
    runs.into_iter().for_each(|run| report.add(run));
    let summary = report.summaries().remove(0);
    assert_eq!((summary.started_at.as_str(), summary.runs), ("2026-11-04T13:04:23Z", 3));
}

#[test]
fn fifty_records_fit_into_a_megabyte() {
    let mut report = Report::default();
    synthetic::drains(30).into_iter().for_each(|run| report.add(run));
    for kind in synthetic::runs().into_iter().filter(|run| run.scenario != "drain") {
        for day in 10..15 {
            report
                .add(RunRecord { started_at: format!("2026-11-{day}T09:30:00Z"), ..kind.clone() });
        }
    }
    assert_eq!(report.summaries().iter().map(|summary| summary.runs).sum::<usize>(), 50);
    let bytes = report.html("2026-11-21T14:00:00Z", &|_| Vec::new()).len();
    assert!(bytes < BYTES_MAX, "{bytes}");
}

#[test]
fn behind_every_chart_are_its_numbers() {
    let page = page_of(synthetic::runs());
    let figures: Vec<&str> = page.split("<figure").skip(1).collect();
    assert!(figures.len() > 25, "{}", figures.len());
    for figure in figures {
        let figure = figure.split_once("</figure>").expect("its end").0;
        assert!(figure.contains("<tbody><tr"), "{figure:.200}");
        let (drawings, described) =
            (figure.matches("class=\"drawing\"").count(), figure.matches("<desc id=").count());
        assert!(0 < drawings && drawings == described, "{figure:.200}");
    }
}

#[test]
fn real_records_are_read_and_broken_lines_are_named() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    let report = Report::read(&Store::at(&records)).expect("the records of the repository");
    assert!(!report.is_empty() && report.unreadable().is_empty());
    markup::elements(&report.html("now", &|_| Vec::new())).expect("well-formed");

    let folder = std::env::temp_dir().join(format!("millrace-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let line = std::fs::read_to_string(records.join("drain.jsonl")).expect("records");
    std::fs::write(folder.join("drain.jsonl"), format!("{{\"torn\n{line}")).expect("a file");
    let report = Report::read(&Store::at(&folder)).expect("all but one line");
    std::fs::remove_dir_all(&folder).expect("the folder");
    assert_eq!((report.unreadable().len(), report.summaries().len()), (1, 1));
    assert!(report.html("now", &|_| Vec::new()).contains("drain.jsonl:1"));
}
