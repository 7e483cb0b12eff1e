//! `millrace bench compare|gate|noise|export`: what kept records say. Nothing is measured here.
//!
//! ```text
//! results/records ─┬─ compare   two runs, figure by figure, against the noise floor
//!                  ├─ gate      counts, pairs, history: exit 1 on a regression, and where nothing could be checked
//!                  ├─ noise     the noise floor, kept beside the records on demand
//!                  └─ export    CSV, OpenMessaging JSON, percentile text, the README's table
//! ```

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use millrace_results::baselines::Kind;
use millrace_results::compare;
use millrace_results::export::{ExportFile, csv, hgrm, omb};
use millrace_results::gate::counts::{self, CountsRecord};
use millrace_results::gate::{GateReport, history, paired};
use millrace_results::machine::Commit;
use millrace_results::noise::{self, NoiseRecord};
use millrace_results::readme_table;
use millrace_results::selection::Selection;
use millrace_results::store::Store;
use millrace_results::utc;

use super::{Outcome, WrongUsage, print};

/// Options of `millrace bench compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The scenario
    #[arg(default_value = "drain")]
    scenario: String,
    /// The run that is judged: latest, latest~N, a number, a commit, or a file
    #[arg(long, default_value = "latest", value_name = "RUN")]
    new: Selection,
    /// The run that it is held against
    #[arg(long, default_value = "latest~1", value_name = "RUN")]
    base: Selection,
    /// Show figures of runs that are not alike, with a warning
    #[arg(long)]
    force: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Options of `millrace bench gate`.
#[derive(Debug, Args)]
pub struct Gate {
    /// Scenarios whose history is judged; all without it
    scenarios: Vec<String>,
    /// Exact counts as JSON, such as the instructions bench prints; - reads them from stdin
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// Keep these counts as those that the next ones are held against
    #[arg(long, requires = "counts")]
    accept: bool,
    /// Micro benches of two builds, measured in turns, as JSON
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Options of `millrace bench noise`.
#[derive(Debug, Args)]
pub struct Noise {
    /// The scenario; its arms are the same build twice, or its runs repeat a commit
    #[arg(default_value = noise::SCENARIO)]
    scenario: String,
    /// Keep it beside the records
    #[arg(long)]
    keep: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Options of `millrace bench export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The scenario
    #[arg(default_value = "drain")]
    scenario: String,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// The run: latest, latest~N, a number, a commit, or a file; csv has all without it
    #[arg(long, value_name = "RUN")]
    run: Option<Selection>,
    /// The folder to write to; without it a single file goes to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Formats of other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One row for each round
    Csv,
    /// Results of the OpenMessaging benchmark
    Omb,
    /// Percentile text of HdrHistogram
    Hgrm,
    /// The README's table; with --out the README there gets it between its markers
    Readme,
}

pub(super) fn compare(options: &Compare) -> Result<Outcome> {
    let Compare { scenario, new, base, force, json } = options;
    let store = Store::locate()?;
    let history = store.read(scenario)?;
    let (new, base) = (new.pick(scenario, &history)?, base.pick(scenario, &history)?);
    let noise = NoiseRecord::for_run(&new, &store)?;
    let found = compare::runs(&new, &base, noise.as_ref(), *force)?;
    print(*json, || Ok(serde_json::to_value(&found)?), || found.text())?;
    Ok(Outcome::Done)
}

pub(super) fn gate(options: &Gate) -> Result<Outcome> {
    let store = Store::locate()?;
    let mut report = GateReport::default();
    if let Some(path) = &options.counts {
        report.add(judge_counts(&store, path, options.accept)?);
    }
    if let Some(path) = &options.pairs {
        let pairs = paired::parse(&read(path)?).with_context(|| path.display().to_string())?;
        report.add(paired::judge(&pairs));
    }
    let known = store.scenarios()?;
    for name in &options.scenarios {
        if !known.contains(name) {
            let known = known.join(", ");
            let text =
                format!("there are no records of scenario {name:?}; there are some of: {known}");
            return Err(WrongUsage(text).into());
        }
    }
    let chosen = if options.scenarios.is_empty() { &known } else { &options.scenarios };
    for scenario in chosen.iter().filter(|scenario| *scenario != noise::SCENARIO) {
        let runs = store.read(scenario)?;
        let pairs = runs.last().map(paired::of_run).unwrap_or_default();
        report.add(paired::judge(&pairs));
        report.add(history::judge(&runs));
    }
    print(options.json, || Ok(serde_json::to_value(&report)?), || report.text())?;
    // A gate that looked at nothing must not let anything through.
    let open = report.passed() && !report.checked.is_empty();
    Ok(if open { Outcome::Done } else { Outcome::Failed })
}

/// Holds the counts in `path` against those accepted last, or accepts them.
fn judge_counts(store: &Store, path: &Path, accept: bool) -> Result<GateReport> {
    let new = counts::parse(&read(path)?).with_context(|| path.display().to_string())?;
    let baselines = store.baselines();
    if accept {
        let record = CountsRecord {
            schema_version: counts::SCHEMA_VERSION,
            accepted_at: utc::text(SystemTime::now()),
            commit: Commit::of(Path::new(".")),
            counts: new,
        };
        let path = baselines.append(Kind::Counts, &record)?;
        let accepted =
            format!("{} counts are accepted, in {}", record.counts.len(), path.display());
        return Ok(GateReport { checked: vec![accepted], ..GateReport::default() });
    }
    let accepted: Vec<CountsRecord> = baselines.read(Kind::Counts)?;
    Ok(match accepted.last() {
        Some(accepted) => counts::judge(&new, accepted),
        None => {
            let gap = format!("{} counts: none were accepted yet; use --accept", new.len());
            GateReport { not_checked: vec![gap], ..GateReport::default() }
        }
    })
}

pub(super) fn noise(options: &Noise) -> Result<Outcome> {
    let store = Store::locate()?;
    let record = NoiseRecord::of(&store.read(&options.scenario)?)?;
    if options.keep {
        let path = store.baselines().append(Kind::Noise, &record)?;
        tracing::info!("noise floor appended to {}", path.display());
    }
    print(options.json, || Ok(serde_json::to_value(&record)?), || record.text())?;
    Ok(Outcome::Done)
}

pub(super) fn export(options: &Export) -> Result<Outcome> {
    let Export { scenario, format, run, out } = options;
    let store = Store::locate()?;
    let history = store.read(scenario)?;
    let picked = || run.as_ref().unwrap_or(&Selection::FromLatest(0)).pick(scenario, &history);
    let files = match format {
        Format::Csv => {
            let runs = if run.is_some() { vec![picked()?] } else { history.clone() };
            vec![ExportFile { name: format!("{scenario}.csv"), text: csv::text(&runs) }]
        }
        Format::Omb => omb::files(&picked()?),
        Format::Hgrm => hgrm::files(&picked()?),
        Format::Readme => vec![readme(&store, out.as_deref())?],
    };
    match (files.as_slice(), out) {
        ([], _) => {
            let what = format!("the run of {scenario} has nothing to write as {format:?}");
            anyhow::bail!("{what}: no arm that counts has what it takes (hgrm needs latencies)");
        }
        (files, Some(folder)) => write(folder, files)?,
        ([file], None) => print!("{}", file.text),
        (files, None) => {
            let text =
                format!("these are {} files; say where to write them with --out", files.len());
            return Err(WrongUsage(text).into());
        }
    }
    Ok(Outcome::Done)
}

/// The table, or the README of `folder` with the table in it.
fn readme(store: &Store, folder: Option<&Path>) -> Result<ExportFile> {
    let name = "README.md".to_owned();
    let text = match folder {
        None => readme_table::tables(store)?,
        Some(folder) => {
            let path = folder.join(&name);
            let shown = path.display().to_string();
            let before =
                fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
            readme_table::replaced(&before, store)
                .with_context(|| format!("cannot change {shown}"))?
        }
    };
    Ok(ExportFile { name, text })
}

fn write(folder: &Path, files: &[ExportFile]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in files {
        let path = folder.join(&file.name);
        fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
        tracing::info!("wrote {}", path.display());
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin().lock().take(1 << 26)).context("cannot read stdin");
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
