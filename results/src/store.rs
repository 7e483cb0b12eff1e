//! The history of runs: `results/records/<scenario>.jsonl`, one line per run, appended and never rewritten.
//!
//! It lives in the repository, so a figure and the code that made it have one history. A line that a crash cut short
//! stays where it is: the next record begins on a line of its own, and reading names the broken one.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::baselines::Baselines;
use crate::record::{RunRecord, SCHEMA_VERSION};

/// Names another folder for the records.
pub const RECORDS_ENV: &str = "MILLRACE_RECORDS";

/// A folder of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The records in `folder`, which is made with the first of them.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder that [`RECORDS_ENV`] names, else that of the repository around the current folder.
    pub fn locate() -> Result<Self> {
        let named = env::var_os(RECORDS_ENV).filter(|folder| !folder.is_empty());
        if let Some(folder) = named {
            return Ok(Self::at(folder));
        }
        let here =
            env::current_dir().context("cannot find the records: there is no current folder")?;
        let folder = records_around(&here).with_context(|| {
            let here = here.display();
            format!("cannot find the records: {here} is outside of the repository; set {RECORDS_ENV} to a folder")
        })?;
        Ok(Self::at(folder))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the records of a scenario are.
    pub fn path(&self, scenario: &str) -> PathBuf {
        self.folder.join(format!("{scenario}.jsonl"))
    }

    /// What runs are held against, in a folder below, so that no file of it is taken for a scenario.
    pub fn baselines(&self) -> Baselines {
        Baselines::at(self.folder.join("baselines"))
    }

    /// Appends one line, on disk when this returns, and tells to which file.
    pub fn append(&self, record: &RunRecord) -> Result<PathBuf> {
        ensure!(
            is_file_name(&record.scenario),
            "cannot store a run of scenario {:?}: its name is made of a-z, 0-9, - and _",
            record.scenario
        );
        let path = self.path(&record.scenario);
        let line = serde_json::to_string(record).context("cannot write a run record as JSON")?;
        append_line(&path, &line)
            .with_context(|| format!("cannot append a run to {}", path.display()))?;
        Ok(path)
    }

    /// All runs of a scenario, oldest first; none if it never ran.
    pub fn read(&self, scenario: &str) -> Result<Vec<RunRecord>> {
        self.runs(scenario)?.collect()
    }

    /// The runs of a scenario one by one, oldest first; none if it never ran. A line that cannot be read is an error of
    /// its own, and the next is read. A run takes much more memory than its line: each of its histograms 180 KB.
    pub fn runs(&self, scenario: &str) -> Result<impl Iterator<Item = Result<RunRecord>> + use<>> {
        let path = self.path(scenario);
        let file = match File::open(&path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut lines = (1..).zip(file.into_iter().flat_map(|file| file.split(b'\n')));
        let mut failed = false;
        let runs = std::iter::from_fn(move || {
            // A folder or a failing disk gives the same error for ever.
            let (number, line) = lines.next().filter(|_| !failed)?;
            failed = line.is_err();
            let run = match line {
                Ok(line) if line.trim_ascii().is_empty() => return Some(None),
                Ok(line) => std::str::from_utf8(&line).map_err(Into::into).and_then(parse),
                Err(error) => Err(error.into()),
            };
            let place = || format!("cannot read the run at {}:{number}", path.display());
            Some(Some(run.with_context(place)))
        });
        Ok(runs.flatten())
    }

    /// The scenarios that have records, by name; none if nothing was ever recorded.
    pub fn scenarios(&self) -> Result<Vec<String>> {
        let failed = || format!("cannot list the records in {}", self.folder.display());
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(failed),
        };
        let mut scenarios = Vec::new();
        for entry in entries {
            let name = entry.with_context(failed)?.file_name();
            let scenario = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
            scenarios.extend(scenario.filter(|name| is_file_name(name)).map(str::to_owned));
        }
        scenarios.sort_unstable();
        Ok(scenarios)
    }
}

/// Appends `line` and its end, after an end for a line that was cut short; on disk when this returns.
pub(crate) fn append_line(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let start = if ends_within_a_line(&mut file)? { "\n" } else { "" };
    // One write, so that two processes do not mix their lines.
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_data()
}

fn ends_within_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// One run as JSON, of this schema or an earlier one.
pub fn parse(line: &str) -> Result<RunRecord> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let Version { schema_version } = serde_json::from_str(line)?;
    ensure!(
        schema_version <= SCHEMA_VERSION,
        "it has schema {schema_version}, this program knows up to {SCHEMA_VERSION}: use a newer one"
    );
    Ok(serde_json::from_str(line)?)
}

fn is_file_name(scenario: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !scenario.is_empty() && scenario.bytes().all(good)
}

/// `results/records` of the repository that `folder` lies in, told by the manifest of this crate.
fn records_around(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|root| root.join("results")).find_map(|results| {
        let manifest = fs::read_to_string(results.join("Cargo.toml")).ok()?;
        manifest.contains("\"millrace-results\"").then(|| results.join("records"))
    })
}

#[cfg(test)]
mod tests {
    use std::process;

    use serde_json::json;

    use super::*;
    use crate::machine::{Commit, Machine};
    use crate::record::{ArmRecord, RoundRecord};

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("millrace-results-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn store(&self) -> Store {
            Store::at(self.0.join("below"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn record(scenario: &str, seed: u64) -> RunRecord {
        let round = RoundRecord::new(1, 1_000, 1_000_000, 0.7);
        RunRecord {
            schema_version: SCHEMA_VERSION,
            scenario: scenario.into(),
            question: "how fast?".into(),
            seed,
            started_at: "2026-11-21T10:49:59Z".into(),
            commit: Commit { describe: "abc".into(), dirty: true },
            command_line: vec!["millrace".into(), "line\nbreak".into()],
            machine: Machine::here(),
            servers: json!({ "mongod": "6.0.5", "cache_gb": 1 }),
            write_concern: "1".into(),
            document_bytes: 1_024,
            rounds: 1,
            settings: serde_json::Value::Null,
            cut_short: false,
            bottleneck: None,
            arms: vec![ArmRecord::from_rounds("null-reader".into(), vec![round])],
        }
    }

    #[test]
    fn what_was_appended_is_read_in_order() {
        let folder = Folder::new("order");
        let store = folder.store();
        assert_eq!(store.read("drain").unwrap(), []);
        let runs = [record("drain", 1), record("drain", 2)];
        for run in &runs {
            assert_eq!(store.append(run).unwrap(), store.path("drain"));
        }
        store.append(&record("other", 3)).unwrap();
        assert_eq!(store.scenarios().unwrap(), ["drain", "other"]);
        assert_eq!(store.read("drain").unwrap(), runs);
    }

    #[test]
    fn a_record_is_one_line_and_older_lines_keep_their_bytes() {
        let folder = Folder::new("line");
        let store = folder.store();
        store.append(&record("drain", 1)).unwrap();
        let before = fs::read_to_string(store.path("drain")).unwrap();
        store.append(&record("drain", 2)).unwrap();
        let after = fs::read_to_string(store.path("drain")).unwrap();
        assert!(after.starts_with(&before));
        assert_eq!((before.lines().count(), after.lines().count()), (1, 2));
    }

    #[test]
    fn a_torn_line_is_named_and_harms_no_other() {
        let folder = Folder::new("torn");
        let store = folder.store();
        store.append(&record("drain", 1)).unwrap();
        let path = store.path("drain");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{}", &text[..text.len() / 2])).unwrap();
        store.append(&record("drain", 2)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(text.lines().nth(2).unwrap()).unwrap().seed, 2);
        let error = format!("{:#}", store.read("drain").unwrap_err());
        assert!(error.contains("drain.jsonl:2"), "{error}");
        let seeds: Vec<_> =
            store.runs("drain").unwrap().map(|run| run.ok().map(|run| run.seed)).collect();
        assert_eq!(seeds, [Some(1), None, Some(2)]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_error() {
        let folder = Folder::new("unreadable");
        fs::create_dir_all(folder.store().path("drain")).unwrap();
        let runs: Vec<_> = folder.store().runs("drain").unwrap().collect();
        assert!(matches!(&runs[..], [Err(_)]), "{runs:?}");
    }

    #[test]
    fn the_scenarios_of_a_folder_are_listed_by_name() {
        let folder = Folder::new("list");
        let store = folder.store();
        assert_eq!(store.scenarios().unwrap(), Vec::<String>::new());
        store.append(&record("soak", 1)).unwrap();
        store.append(&record("drain", 1)).unwrap();
        fs::write(store.path("drain").with_extension("txt"), "no records").unwrap();
        assert_eq!(store.scenarios().unwrap(), ["drain", "soak"]);
    }

    #[test]
    fn a_record_of_a_later_schema_is_refused_and_later_fields_are_not() {
        let mut json = serde_json::to_value(record("drain", 1)).unwrap();
        json["weather"] = json!("fair");
        assert!(parse(&json.to_string()).is_ok());
        json["schema_version"] = json!(SCHEMA_VERSION + 1);
        let error = parse(&json.to_string()).unwrap_err().to_string();
        assert!(error.contains("it has schema 2, this program knows up to 1"), "{error}");
    }

    #[test]
    fn a_scenario_cannot_leave_the_folder() {
        let folder = Folder::new("leave");
        for scenario in ["", "../x", "a/b", "A", "a b", "."] {
            assert!(folder.store().append(&record(scenario, 1)).is_err(), "{scenario}");
        }
        assert!(!folder.0.exists());
    }

    #[test]
    fn the_repository_is_found_from_anywhere_within() {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let expected = Some(crate_folder.join("records"));
        assert_eq!(records_around(crate_folder), expected);
        assert_eq!(records_around(&crate_folder.join("src")), expected);
        assert_eq!(records_around(Path::new("/proc")), None);
    }
}
