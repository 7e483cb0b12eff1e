//! `millrace report`: all records as one HTML file.
//!
//! ```text
//! results/records/*.jsonl ─► results/report.html      and on stdout what each scenario found
//! ```
//!
//! Exits 1 when there is nothing to show, and when a line of the records could not be read: the page is written then
//! and says so, but it is not whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use clap::Args;
use millrace_results::report::{Report, Summary};
use millrace_results::stats::change_points::{self, Sensitivity};
use millrace_results::stats::random::Random;
use millrace_results::store::Store;
use millrace_results::utc;
use serde_json::json;

use super::{Outcome, WrongUsage, print};

pub(super) const EXAMPLES: &str = "Examples:
  millrace report
  millrace report --out /tmp/report.html
  millrace report --records ../other/results/records --json";

/// Options of `millrace report`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where to write it
    #[arg(long, default_value = "results/report.html", value_name = "FILE")]
    out: PathBuf,
    /// The folder with the records; also from MILLRACE_RECORDS, else that of the repository
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What was written, for people and machines.
struct Written<'a> {
    out: &'a Path,
    bytes: usize,
    scenarios: Vec<Summary>,
    unreadable: &'a [String],
}

pub(super) fn run(options: &Options) -> Result<Outcome> {
    let store = match &options.records {
        Some(folder) if folder.is_dir() => Store::at(folder),
        Some(folder) => {
            let text = format!("--records {} is no folder", folder.display());
            return Err(WrongUsage(text).into());
        }
        None => Store::locate()?,
    };
    let report = Report::read(&store)?;
    for error in report.unreadable() {
        tracing::warn!("{error}");
    }
    ensure!(
        !report.is_empty(),
        "there is nothing to report: {} holds no run that can be read; `millrace bench run drain` makes one",
        store.folder().display()
    );
    let page = report.html(&utc::text(SystemTime::now()), &changes_of_level);
    write(&options.out, &page)?;
    let written = Written {
        out: &options.out,
        bytes: page.len(),
        scenarios: report.summaries(),
        unreadable: report.unreadable(),
    };
    print(options.json, || Ok(written.json()), || written.text())?;
    Ok(if report.unreadable().is_empty() { Outcome::Done } else { Outcome::Failed })
}

fn write(out: &Path, page: &str) -> Result<()> {
    let failed = || format!("cannot write the report to {}", out.display());
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(out, page).with_context(failed)
}

impl Written<'_> {
    fn json(&self) -> serde_json::Value {
        json!({
            "out": self.out,
            "bytes": self.bytes,
            "scenarios": self.scenarios,
            "unreadable": self.unreadable,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for summary in &self.scenarios {
            text.push_str(&format!("{}: {}\n", summary.scenario, summary.answer));
            for (arm, why) in &summary.not_counting {
                text.push_str(&format!("  {arm} {why}\n"));
            }
        }
        let missing = match self.unreadable.len() {
            0 => String::new(),
            count => format!(", without {count} records that could not be read"),
        };
        text.push_str(&format!("written to {}{missing}\n", self.out.display()));
        text
    }
}

/// Where a history changes its level, by the gate's own test.
fn changes_of_level(history: &[f64]) -> Vec<usize> {
    let sensitivity = Sensitivity { significance: 0.01, segment_min: 3 };
    let found = change_points::find(history, sensitivity, Random::named("report"));
    found.into_iter().map(|change| change.at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, records: &Path) -> Options {
        Options {
            out: folder.join("new/report.html"),
            records: Some(records.to_owned()),
            json: true,
        }
    }

    fn records() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/records")
    }

    #[test]
    fn the_records_of_the_repository_become_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(folder.path(), &records());
        assert_eq!(run(&options).expect("written"), Outcome::Done);
        let page = fs::read_to_string(&options.out).expect("the page");
        assert!(page.contains("null-reader") && page.ends_with("</html>"));
    }

    #[test]
    fn a_record_that_cannot_be_read_fails_the_command_after_the_page_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = fs::read_to_string(records().join("drain.jsonl")).expect("records");
        fs::write(folder.path().join("drain.jsonl"), format!("torn\n{line}")).expect("a file");
        let options = options(folder.path(), folder.path());
        assert_eq!(run(&options).expect("written"), Outcome::Failed);
        assert!(fs::read_to_string(&options.out).expect("the page").contains("drain.jsonl:1"));
    }

    #[test]
    fn without_records_the_error_says_what_makes_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = run(&options(folder.path(), folder.path())).expect_err("nothing there");
        assert!(error.to_string().contains("millrace bench run drain"), "{error}");
        let error = run(&options(folder.path(), &folder.path().join("gone"))).expect_err("gone");
        assert!(error.is::<WrongUsage>(), "{error}");
    }
}
