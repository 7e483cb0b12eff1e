//! Exact counts against those that were last accepted: any change is an alarm.
//!
//! ```text
//! cargo bench -p millrace-bench --bench instructions -- --json
//!     [{"corpus": "plain", "part": "json", "event_bytes": 1024, "instructions_per_event": 5120,
//!       "copied_bytes_per_event": 1060, "allocations_per_1000_events": 0}, ...]
//!                                           the last two are not in counts from before there were such
//! anything else that is counted
//!     {"allocations per event": 0, "system calls per 1000 events": 12}
//! ```
//!
//! A count that fell is an alarm as well: the next rise up to the old value would go unseen. Accepting writes the
//! counts with their commit, so that the reason of every change has a place in the history.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Finding, GateReport, Layer, change};
use crate::machine::Commit;

/// Raised when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Counts that rows from before there were such do not have, and what they are called.
const LATER_COUNTS: [(&str, &str); 2] = [
    ("copied_bytes_per_event", "copied bytes per event"),
    ("allocations_per_1000_events", "allocations per 1000 events"),
];

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Counts that were accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// UTC.
    pub accepted_at: String,
    /// The sources that they are of.
    pub commit: Commit,
    /// What was counted.
    pub counts: Counts,
}

/// Reads counts in one of the two forms above.
pub fn parse(text: &str) -> Result<Counts> {
    let json: Value = serde_json::from_str(text.trim()).context(
        "cannot read the counts: not one JSON document, as `--bench instructions -- --json` writes",
    )?;
    let mut counts = Counts::new();
    let mut add = |name: String, count: &Value| {
        let whole = count.as_u64().with_context(|| {
            format!("cannot read the counts: {name:?} is {count}, not a whole number")
        })?;
        let before = counts.insert(name.clone(), whole);
        ensure!(before.is_none(), "cannot read the counts: {name:?} is there twice");
        Ok(())
    };
    match &json {
        Value::Array(rows) => {
            for row in rows {
                let field = |name: &str| {
                    let value = row.get(name).and_then(Value::as_str);
                    value.with_context(|| {
                        format!("cannot read the counts: {row} has no text {name:?}")
                    })
                };
                let part = format!("{}/{}", field("corpus")?, field("part")?);
                let instructions = row.get("instructions_per_event").unwrap_or(&Value::Null);
                add(format!("{part} instructions per event"), instructions)?;
                for (field, unit) in LATER_COUNTS {
                    if let Some(count) = row.get(field) {
                        add(format!("{part} {unit}"), count)?;
                    }
                }
            }
        }
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, count)| add(name.clone(), count))?;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    ensure!(!counts.is_empty(), "cannot read the counts: there are none");
    Ok(counts)
}

/// Holds `new` against what was accepted. A count that was never accepted is a note.
pub fn judge(new: &Counts, accepted: &CountsRecord) -> GateReport {
    let finding = |subject: &str, alarm, what| Finding {
        layer: Layer::Counts,
        subject: subject.to_owned(),
        alarm,
        what,
    };
    let mut findings = Vec::new();
    for (name, &base) in &accepted.counts {
        match new.get(name) {
            None => {
                findings.push(finding(name, true, format!("{base} before, not counted any more")));
            }
            Some(&count) if count != base => {
                let percent =
                    if base == 0 { "from none".into() } else { change(count as f64, base as f64) };
                let what = format!("{base} became {count} ({percent})");
                findings.push(finding(name, true, what));
            }
            Some(_) => {}
        }
    }
    for (name, count) in new.iter().filter(|(name, _)| !accepted.counts.contains_key(*name)) {
        findings.push(finding(name, false, format!("{count}, not accepted yet: use --accept")));
    }
    let describe = &accepted.commit.describe;
    let checked =
        vec![format!("{} exact counts against those of {describe}", accepted.counts.len())];
    GateReport { findings, checked, not_checked: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCH: &str = r#"[{"corpus":"plain","event_bytes":1024,"instructions_per_event":5000,"part":"json"},
        {"corpus":"plain","event_bytes":1024,"instructions_per_event":900,"part":"bson"}]"#;

    fn accepted() -> CountsRecord {
        CountsRecord {
            schema_version: SCHEMA_VERSION,
            accepted_at: "2026-11-21T13:00:00Z".into(),
            commit: Commit { describe: "abc".into(), dirty: false },
            counts: parse(BENCH).expect("well-formed"),
        }
    }

    #[test]
    fn the_same_counts_pass() {
        let report = judge(&accepted().counts, &accepted());
        assert!(report.passed() && report.findings.is_empty());
        assert_eq!(report.checked, ["2 exact counts against those of abc"]);
    }

    #[test]
    fn a_change_by_one_is_an_alarm_in_both_directions() {
        for changed in ["5001", "4999"] {
            let new = parse(&BENCH.replace("5000", changed)).expect("well-formed");
            let text = judge(&new, &accepted()).text();
            assert!(!judge(&new, &accepted()).passed(), "{text}");
            assert!(text.contains("plain/json") && text.contains(changed), "{text}");
        }
    }

    #[test]
    fn a_planted_slow_down_of_five_percent_is_an_alarm() {
        let new = parse(&BENCH.replace("5000", "5250")).expect("well-formed");
        assert!(judge(&new, &accepted()).text().contains("5000 became 5250 (+5.0 %)"));
    }

    #[test]
    fn a_count_that_is_gone_is_an_alarm_and_a_new_one_a_note() {
        let mut new = accepted().counts;
        new.insert("more".into(), 1);
        assert!(judge(&new, &accepted()).passed());
        assert!(judge(&new, &accepted()).findings[0].what.contains("--accept"));
        new.retain(|name, _| !name.contains("json"));
        assert!(!judge(&new, &accepted()).passed());
    }

    #[test]
    fn copies_and_allocations_stand_beside_instructions_and_one_more_is_an_alarm() {
        for (field, unit) in LATER_COUNTS {
            let with = |count: u32| {
                let field = format!("\"{field}\":{count},\"part\":\"json\"");
                parse(&BENCH.replace("\"part\":\"json\"", &field)).expect("well-formed")
            };
            assert_eq!(with(0).len(), 3);
            let accepted = CountsRecord { counts: with(0), ..accepted() };
            assert!(judge(&with(0), &accepted).passed());
            let report = judge(&with(1), &accepted);
            assert!(!report.passed());
            let text = report.text();
            assert!(text.contains(&format!("plain/json {unit}: 0 became 1")), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_named_and_there() {
        for bad in [
            "",
            "[]",
            "{}",
            "7",
            r#"{"a": 1.5}"#,
            r#"{"a": -1}"#,
            r#"[{"corpus":"x"}]"#,
            r#"[{"corpus":"x","part":"y"}]"#,
            &BENCH.replace("bson", "json"),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse(r#"{"allocations per event": 0}"#).unwrap().values().sum::<u64>(), 0);
    }
}
