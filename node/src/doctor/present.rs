//! What was found, as a table for people and as one JSON document for machines.
//!
//! ```text
//! this machine
//!   ✓ io_uring     can be used
//!   ! open files   at most 256, and 400 may be needed
//!                  → raise the limit: …
//! 1 ok, 1 warning
//! ```

use serde_json::json;

use super::finding::{Counts, Finding, Outcome, Subject};

/// Whether marks are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The table, with its sum below.
pub(super) fn text(subjects: &[Subject], colours: Colours) -> String {
    let mut out = String::new();
    for Subject { subject, findings } in subjects {
        out.push_str(&format!("{}\n", painted(subject, BOLD, colours)));
        let width = findings.iter().map(|finding| finding.check.chars().count()).max();
        for finding in findings {
            write_finding(&mut out, finding, width.unwrap_or(0), colours);
        }
        out.push('\n');
    }
    out.push_str(&sum(Counts::of(subjects)));
    out.push('\n');
    out
}

/// The same for machines.
pub(super) fn json(subjects: &[Subject]) -> String {
    let document = json!({ "counts": Counts::of(subjects), "subjects": subjects });
    document.to_string()
}

fn write_finding(out: &mut String, finding: &Finding, width: usize, colours: Colours) {
    let (mark, colour, seen, remedy) = match &finding.outcome {
        Outcome::Ok { seen } => ("✓", GREEN, seen, None),
        Outcome::Warning { seen, remedy } => ("!", YELLOW, seen, Some(remedy)),
        Outcome::Failure { seen, remedy } => ("✗", RED, seen, Some(remedy)),
        Outcome::NotChecked { because } => ("·", DIM, because, None),
    };
    let mark = painted(mark, colour, colours);
    let indent = " ".repeat(width + 7);
    let pad = " ".repeat(width.saturating_sub(finding.check.chars().count()));
    let not =
        if matches!(finding.outcome, Outcome::NotChecked { .. }) { "not checked: " } else { "" };
    let seen = seen.replace('\n', &format!("\n{indent}"));
    out.push_str(&format!("  {mark} {}{pad}   {not}{seen}\n", finding.check));
    if let Some(remedy) = remedy {
        out.push_str(&format!("{indent}→ {}\n", remedy.replace('\n', &format!("\n{indent}  "))));
    }
}

fn painted(text: &str, colour: &str, colours: Colours) -> String {
    match colours {
        Colours::On => format!("{colour}{text}{PLAIN}"),
        Colours::Off => text.to_owned(),
    }
}

fn sum(Counts { ok, warnings, failures, not_checked }: Counts) -> String {
    let many = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {more}")),
    };
    let parts = [
        Some(format!("{ok} ok")),
        many(warnings, "warning", "warnings"),
        many(failures, "failure", "failures"),
        many(not_checked, "not checked", "not checked"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Vec<Subject> {
        let mut machine = Subject::new("this machine");
        machine.push(Finding::ok("io_uring", "can be used"));
        machine.push(Finding::warning("files", "at most 9", "raise it"));
        let mut other = Subject::new("MongoDB");
        other.push(Finding::failure("c", "two\nlines", "do a\ndo b"));
        other.push(Finding::not_checked("d", "no right"));
        vec![machine, other]
    }

    #[test]
    fn table_has_marks_remedies_and_a_sum() {
        let want = "this machine
  ✓ io_uring   can be used
  ! files      at most 9
               → raise it

MongoDB
  ✗ c   two
        lines
        → do a
          do b
  · d   not checked: no right

1 ok, 1 warning, 1 failure, 1 not checked
";
        assert_eq!(text(&subjects(), Colours::Off), want);
    }

    #[test]
    fn only_marks_and_headings_are_coloured() {
        let plain = text(&subjects(), Colours::On);
        assert!(plain.contains("\x1b[31m✗\x1b[0m c   two"), "{plain}");
        assert!(!text(&subjects(), Colours::Off).contains('\x1b'));
    }

    #[test]
    fn document_says_the_same() {
        let document: serde_json::Value = serde_json::from_str(&json(&subjects())).unwrap();
        assert_eq!(document["counts"]["failures"], 1);
        let finding = &document["subjects"][0]["findings"][1];
        let want = json!({
            "check": "files", "verdict": "warning", "seen": "at most 9", "remedy": "raise it",
        });
        assert_eq!(finding, &want);
        assert_eq!(document["subjects"][1]["findings"][1]["because"], "no right");
    }
}
