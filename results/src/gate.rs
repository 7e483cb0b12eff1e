//! Says whether a release may go out: what became slower, by which evidence, and what was not looked at.
//!
//! ```text
//! what is judged                       how                                            alarm
//! counts     instructions, allocations against the last accepted                      any change
//! paired     micro benches, old | new  Wilcoxon's signed ranks over interleaved pairs p ≤ 1 %, loss ≥ 1 %
//! history    macro runs                E-divisive change points; a fence for one run  loss ≥ 2 %, by chance in 2 %
//! ```
//!
//! Three layers because noise differs: a count has none, so the smallest change shows; a pair shares its
//! second of the machine; a macro run has 2 % and more after all medians, so one run can only show a large loss, and a
//! small one needs some runs. How many is counted in the tests of [`history`].

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod counts;
pub mod history;
pub mod paired;

/// What a gate found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// What there was to look at: so many counts, pairs, series.
    pub checked: Vec<String>,
    /// What could not be judged, and what to do about it.
    pub not_checked: Vec<String>,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// How it was found.
    pub layer: Layer,
    /// Such as `node-json null ratio`.
    pub subject: String,
    /// Whether it stops a release.
    pub alarm: bool,
    /// Value before and after, and the evidence.
    pub what: String,
}

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Exact counts.
    Counts,
    /// Interleaved pairs.
    Paired,
    /// Runs of a scenario.
    History,
}

impl GateReport {
    /// Whether nothing stops the release.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| !finding.alarm)
    }

    /// Adds what another gate found.
    pub fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.checked.extend(other.checked);
        self.not_checked.extend(other.not_checked);
    }

    /// Lines for a terminal, the verdict last.
    pub fn text(&self) -> String {
        let Self { findings, checked, not_checked } = self;
        let mut text = String::new();
        for finding in findings {
            text.push_str(&format!("{finding}\n"));
        }
        checked.iter().for_each(|line| text.push_str(&format!("checked      {line}\n")));
        not_checked.iter().for_each(|line| text.push_str(&format!("not checked  {line}\n")));
        let alarms = findings.iter().filter(|finding| finding.alarm).count();
        text.push_str(&match (alarms, checked.is_empty()) {
            (0, true) => "nothing was checked\n".to_owned(),
            (0, false) => "passed\n".to_owned(),
            (1, _) => "failed: 1 alarm\n".to_owned(),
            (alarms, _) => format!("failed: {alarms} alarms\n"),
        });
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.alarm { "ALARM" } else { "note" };
        write!(f, "{word:<11}  {}: {}", self.subject, self.what)
    }
}

/// `+3.1 %` or `-0.4 %`.
fn change(new: f64, base: f64) -> String {
    format!("{:+.1} %", (new / base - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(alarm: bool) -> Finding {
        Finding { layer: Layer::Counts, subject: "a/b".into(), alarm, what: "5 became 6".into() }
    }

    #[test]
    fn one_alarm_stops_a_release_and_notes_do_not() {
        let mut report = GateReport { checked: vec!["1 count".into()], ..GateReport::default() };
        assert!(report.passed() && report.text().ends_with("passed\n"));
        report.findings.push(finding(false));
        assert!(report.passed());
        report.add(GateReport { findings: vec![finding(true)], ..GateReport::default() });
        assert!(!report.passed());
        assert!(report.text().contains("ALARM        a/b: 5 became 6\n"), "{}", report.text());
        assert!(report.text().ends_with("failed: 1 alarm\n"));
    }

    #[test]
    fn a_gate_that_looked_at_nothing_does_not_say_passed() {
        assert_eq!(GateReport::default().text(), "nothing was checked\n");
    }
}
