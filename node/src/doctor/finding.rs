//! What the checks have found: a verdict, what was seen, and what to do about it.
//!
//! ```text
//! Findings ─┬─ Subject "this machine"          ─┬─ Finding  io_uring     ok
//!           └─ Subject "MongoDB of orders"      └─ Finding  open files   warning, with a remedy
//! ```
//!
//! A warning or a failure without a remedy cannot be made.

use serde::Serialize;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// As it should be.
    Ok { seen: String },
    /// It will run, and something is not as it should be.
    Warning { seen: String, remedy: String },
    /// It will not run, or not for long.
    Failure { seen: String, remedy: String },
    /// Nobody knows.
    NotChecked { because: String },
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Ok { seen: seen.into() } }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        seen: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (seen, remedy) = (seen.into(), remedy.into());
        Self { check: check.into(), outcome: Outcome::Warning { seen, remedy } }
    }

    pub(super) fn failure(
        check: impl Into<String>,
        seen: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (seen, remedy) = (seen.into(), remedy.into());
        Self { check: check.into(), outcome: Outcome::Failure { seen, remedy } }
    }

    pub(super) fn not_checked(check: impl Into<String>, because: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::NotChecked { because: because.into() } }
    }

    /// A failure of an error that names its remedy behind its last semicolon, as errors here do.
    pub(super) fn of_error(check: impl Into<String>, error: &impl ToString) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((seen, remedy)) => Self::failure(check, seen, remedy),
            None => Self::failure(check, text, "mend what is said above, and ask again"),
        }
    }

    pub(super) fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Failure { .. })
    }
}

/// What was looked at, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Subject {
    pub(super) subject: String,
    pub(super) findings: Vec<Finding>,
}

impl Subject {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), findings: Vec::new() }
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// How many there are of each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) ok: usize,
    pub(super) warnings: usize,
    pub(super) failures: usize,
    pub(super) not_checked: usize,
}

impl Counts {
    pub(super) fn of(subjects: &[Subject]) -> Self {
        let mut counts = Self::default();
        for finding in subjects.iter().flat_map(|subject| &subject.findings) {
            *match finding.outcome {
                Outcome::Ok { .. } => &mut counts.ok,
                Outcome::Warning { .. } => &mut counts.warnings,
                Outcome::Failure { .. } => &mut counts.failures,
                Outcome::NotChecked { .. } => &mut counts.not_checked,
            } += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_of_an_error_stands_behind_its_last_semicolon() {
        let error = "a failed: refused; twice; is it running?";
        let finding = Finding::of_error("c", &error);
        assert_eq!(finding, Finding::failure("c", "a failed: refused; twice", "is it running?"));
        assert!(Finding::of_error("c", &"a failed").is_failure());
    }

    #[test]
    fn every_verdict_is_counted() {
        let mut subject = Subject::new("s");
        for finding in [
            Finding::ok("a", "x"),
            Finding::warning("b", "x", "y"),
            Finding::failure("c", "x", "y"),
            Finding::failure("d", "x", "y"),
            Finding::not_checked("e", "x"),
        ] {
            subject.push(finding);
        }
        let counts = Counts { ok: 1, warnings: 1, failures: 2, not_checked: 1 };
        assert_eq!(Counts::of(&[subject]), counts);
    }
}
