//! A plan as lines for a terminal.

use super::Plan;
use crate::stats::Interval;
use crate::table::render;

/// The demand, the law and how well it foretells, what is needed, what gives way first, what could not be said.
pub fn text(plan: &Plan) -> String {
    [demand(plan), model(plan), needs(plan), bottleneck(plan), missing(plan)].join("\n")
}

fn demand(plan: &Plan) -> String {
    let demand = &plan.demand;
    let more = [
        demand.document_bytes.map(|bytes| format!("documents of {bytes} bytes")),
        demand.p99_ms.map(|ms| format!("p99 at most {ms} ms")),
        demand.outage_h.map(|hours| format!("an outage of {hours} h")),
    ];
    let mut text = format!("plan for {} events/s", demand.events_per_s);
    more.into_iter().flatten().for_each(|more| text.push_str(&format!(", {more}")));
    if plan.answers.extrapolated {
        text.push_str("\nEXTRAPOLATED: the rate is above the largest that was measured");
    }
    text.push('\n');
    text
}

fn model(plan: &Plan) -> String {
    let (model, held_out) = (&plan.model, &plan.held_out);
    let percent = |interval: Interval| {
        let Interval { estimate, low, high, .. } = interval.scaled(100.0);
        format!("{estimate:.2} % ({low:.2}-{high:.2})")
    };
    let foretold = if held_out.foretold { "foretold by the run" } else { "held out" };
    format!(
        "{} in {} ({}, {}), {} rungs of {}\n  contention {}, coherency {}\n  last rung, {}, {foretold}: predicted \
         {:.0}/s ({:.0}-{:.0}), measured {:.0}/s, error {:+.1} %\n",
        model.arm,
        model.scenario,
        model.run.commit,
        model.run.started_at,
        model.rungs.len(),
        model.axis,
        percent(model.sigma),
        percent(model.kappa),
        model.axis.load(held_out.rung),
        held_out.predicted.estimate,
        held_out.predicted.low,
        held_out.predicted.high,
        held_out.measured,
        held_out.error * 100.0
    )
}

fn needs(plan: &Plan) -> String {
    let rows = plan.answers.needs.iter().map(|need| {
        let unit = if need.unit.is_empty() { String::new() } else { format!(" {}", need.unit) };
        let Interval { estimate, low, high, .. } = need.amount;
        let [estimate, low, high] = [estimate, low, high].map(amount);
        vec![need.what.clone(), format!("{estimate}{unit}"), format!("{low}-{high}")]
    });
    let table = render(&["needs", "amount", "interval"], &rows.collect::<Vec<_>>());
    let notes = plan
        .answers
        .needs
        .iter()
        .filter_map(|need| need.note.as_ref().map(|note| format!("{}: {note}\n", need.what)));
    format!("{table}{}", notes.collect::<String>())
}

fn bottleneck(plan: &Plan) -> String {
    let lines = plan.answers.utilisation.iter().enumerate().map(|(place, used)| {
        let word = if place == 0 { "gives way first" } else { "" };
        let Interval { estimate, low, high, .. } = used.share.scaled(100.0);
        format!("{word:<15}  {estimate:>4.0} % ({low:.0}-{high:.0}) of {}\n", used.of)
    });
    lines.collect()
}

fn missing(plan: &Plan) -> String {
    plan.answers.missing.iter().map(|line| format!("not known  {line}\n")).collect()
}

fn amount(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
