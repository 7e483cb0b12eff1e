//! `millrace compat`: writes the generated parts of COMPAT.md anew.
//!
//! ```text
//! <!-- oracle:begin -->       what the last run of the oracle compared       <!-- oracle:end -->
//! <!-- properties:begin -->   every property and what becomes of it here     <!-- properties:end -->
//! ```
//!
//! What stands around them is written by hand. A test holds the file against the tables of `config`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use millrace_bench::oracle::verdict::Verdict;

use crate::config::state_table;

pub(crate) const EXAMPLES: &str = "Examples:
  millrace bench run oracle                             compares, and keeps what it found
  millrace compat                                       writes that and the properties into ./COMPAT.md
  millrace compat docs/COMPAT.md --check                fails if the file says something else";

/// Options of `millrace compat`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompatArgs {
    /// The file, which has the markers of both parts
    #[arg(default_value = "COMPAT.md")]
    file: PathBuf,
    /// Change nothing, fail if the file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Runs the command and says how the process is to exit.
pub(crate) fn run(args: &CompatArgs) -> ExitCode {
    match write(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn write(CompatArgs { file, check }: &CompatArgs) -> Result<()> {
    let shown = file.display();
    let before = fs::read_to_string(file).with_context(|| format!("could not read {shown}"))?;
    let after = generated(&before, file)?;
    if *check {
        ensure!(
            before == after,
            "{shown} is not what would be written: run millrace compat {shown}"
        );
        return Ok(());
    }
    fs::write(file, after).with_context(|| format!("could not write {shown}"))
}

/// `text` with both parts made anew; `file` says of which repository the records are.
fn generated(text: &str, file: &Path) -> Result<String> {
    let repository = file.canonicalize().context("could not find the file's folder")?;
    let records = repository.parent().context("a file lies in a folder")?.join("results/records");
    let last = Verdict::last(&records)?;
    let oracle =
        last.map_or_else(|| "The oracle was not run yet.\n".to_owned(), |last| last.summary());
    let text = replaced(text, "oracle", &oracle)?;
    replaced(&text, "properties", &state_table::tables())
}

/// `text` with `part` between the markers of `name`.
fn replaced(text: &str, name: &str, part: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {name}:{edge} -->"));
    let markers = || format!("there must be one {begin} and one {end} behind it in the file");
    let (before, rest) = text.split_once(&begin).with_context(markers)?;
    let (_, after) = rest.split_once(&end).with_context(markers)?;
    ensure!(!before.contains(&end) && !after.contains(&begin) && !after.contains(&end), markers());
    Ok(format!("{before}{begin}\n{part}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compat_md_says_what_the_tables_and_the_last_run_say() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../COMPAT.md");
        let text = fs::read_to_string(&file).unwrap();
        let expected = generated(&text, &file).unwrap();
        for (line, expected) in text.lines().zip(expected.lines()) {
            assert_eq!(line, expected, "make it anew with `millrace compat`");
        }
        assert_eq!(text.len(), expected.len(), "make it anew with `millrace compat`");
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
        let new = replaced(text, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n");
        for bad in ["", "<!-- x:end --><!-- x:begin -->", &format!("{text}{text}")] {
            assert!(replaced(bad, "x", "new\n").is_err(), "{bad}");
        }
    }
}
