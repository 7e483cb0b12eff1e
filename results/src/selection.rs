//! Which run of a history is meant: by its place, its commit, or a file.
//!
//! ```text
//! latest   latest~1   latest~3    the last run, the one before it, ...
//! 1   2   17                      line of results/records/<scenario>.jsonl, the oldest is 1
//! e5a243b   v0.1-3-ge5a243b       the last run of that commit
//! old/drain.jsonl   run.json      the last run in that file
//! ```

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use crate::record::RunRecord;
use crate::store;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// So many before the last.
    FromLatest(usize),
    /// Line of the scenario's file, or the beginning of a commit of digits only.
    Number(String),
    /// The beginning of a commit.
    Commit(String),
    /// The last run in it.
    File(PathBuf),
}

impl FromStr for Selection {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_file = text.contains('/') || text.ends_with(".json") || text.ends_with(".jsonl");
        if is_file {
            return Ok(Self::File(text.into()));
        }
        if let Some(before) = text.strip_prefix("latest") {
            let before = if before.is_empty() { "~0" } else { before };
            let number = before.strip_prefix('~').and_then(|number| number.parse().ok());
            return number.map(Self::FromLatest).with_context(|| {
                format!("{text:?} names no run: after `latest` comes nothing or ~N, as in latest~1")
            });
        }
        ensure!(
            !text.is_empty(),
            "an empty text names no run: use latest, latest~1, a number, a commit or a file"
        );
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(if is_number { Self::Number(text.to_owned()) } else { Self::Commit(text.to_owned()) })
    }
}

/// As it is written on the command line.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromLatest(0) => f.write_str("latest"),
            Self::FromLatest(before) => write!(f, "latest~{before}"),
            Self::Number(text) | Self::Commit(text) => f.write_str(text),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Selection {
    /// The run that is meant among those of `scenario`, oldest first.
    pub fn pick(&self, scenario: &str, history: &[RunRecord]) -> Result<RunRecord> {
        let found = match self {
            Self::FromLatest(before) => history.len().checked_sub(before + 1),
            Self::Number(number) => {
                let place = number.parse::<usize>().ok().and_then(|line| line.checked_sub(1));
                place.filter(|&place| place < history.len()).or_else(|| last_of(number, history))
            }
            Self::Commit(commit) => last_of(commit, history),
            Self::File(path) => return last_in(path),
        };
        let Some(place) = found else {
            let commits: Vec<_> = history.iter().map(|run| run.commit.describe.as_str()).collect();
            bail!(
                "no run of {scenario} is {self}: there are {}{}; run `millrace bench run {scenario}`",
                history.len(),
                if commits.is_empty() {
                    String::new()
                } else {
                    format!(", of {}", commits.join(", "))
                },
            );
        };
        Ok(history[place].clone())
    }
}

/// The last run whose commit, or the hash in what `git describe` says of it, begins so.
fn last_of(commit: &str, history: &[RunRecord]) -> Option<usize> {
    let is_meant = |run: &RunRecord| {
        let describe = &run.commit.describe;
        let hash = describe.rsplit_once("-g").map(|(_, hash)| hash);
        describe.starts_with(commit) || hash.is_some_and(|hash| hash.starts_with(commit))
    };
    history.iter().rposition(is_meant)
}

fn last_in(path: &Path) -> Result<RunRecord> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    // A file that a person or a tool has laid out over many lines holds one run.
    if let Ok(run) = store::parse(&text) {
        return Ok(run);
    }
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    let line = line.with_context(|| format!("{shown} holds no run: it is empty"))?;
    store::parse(line).with_context(|| format!("cannot read the last run in {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Folder, Synthetic};

    fn pick(text: &str, history: &[RunRecord]) -> Result<String> {
        let run = text.parse::<Selection>()?.pick("drain", history)?;
        Ok(run.started_at)
    }

    #[test]
    fn runs_are_named_by_place_commit_and_number() {
        let mut history = Synthetic::new(1).history(0, 5);
        let commits = ["abc1", "v0.1-3-gabc2", "abc1", "777", "v0.2"];
        for (run, commit) in history.iter_mut().zip(commits) {
            run.commit.describe = commit.into();
        }
        for (text, place) in [
            ("latest", 4),
            ("latest~1", 3),
            ("latest~4", 0),
            ("1", 0),
            ("5", 4),
            ("777", 3),
            ("abc1", 2),
            ("abc2", 1),
            ("abc", 2),
            ("v0.1", 1),
        ] {
            assert_eq!(pick(text, &history).unwrap(), history[place].started_at, "{text}");
            assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_run_that_is_not_there_is_an_error_that_says_which_are() {
        let history = Synthetic::new(1).history(0, 2);
        for text in ["latest~2", "3", "fff", "latest-1", "latest~", "", "nowhere/run.json"] {
            assert!(pick(text, &history).is_err(), "{text}");
        }
        let error = pick("fff", &history).unwrap_err().to_string();
        assert!(error.contains("there are 2, of 000000000000, 000000000001"), "{error}");
    }

    #[test]
    fn files_hold_one_run_or_one_for_each_line() {
        let history = Synthetic::new(1).history(0, 2);
        let folder = Folder::new("selection");
        let lines: Vec<_> = history.iter().map(|run| serde_json::to_string(run).unwrap()).collect();
        let pretty = serde_json::to_string_pretty(&history[0]).unwrap();
        for (name, text, place) in
            [("runs.jsonl", format!("{}\n\n", lines.join("\n")), 1), ("run.json", pretty, 0)]
        {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            assert_eq!(pick(&path.display().to_string(), &[]).unwrap(), history[place].started_at);
        }
        fs::write(folder.path().join("cut.json"), &lines[0][..99]).unwrap();
        assert!(pick(&folder.path().join("cut.json").display().to_string(), &[]).is_err());
    }
}
