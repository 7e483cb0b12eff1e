//! `millrace doctor`: says what would fail, before it fails.
//!
//! ```text
//! files ─► configuration ─┬─► machine     io_uring, limits, memory
//!                         ├─► worker      its brokers, its group and topics, its offsets
//!                         └─► connectors  MongoDB, topics          all at once, each within the time limit
//! facts, asked for by I/O ─► judge: a pure function ─► Finding: ok, warning, failure, not checked ─► table or JSON
//! ```
//!
//! Nothing is changed: topics are created by a request that only validates, streams are opened and left. Files are read
//! as `standalone` reads them.

mod deployment;
mod finding;
mod group;
mod images;
mod kafka;
mod limits;
mod machine;
mod mongo_link;
mod mongodb;
mod oplog;
mod position;
mod present;
mod privileges;
mod topics;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::{join, join_all};
use millrace_io::driver::{Driver, Runtime};

use crate::config::{ConnectorFile, Notice, Severity, SourceConfig, WorkerConfig};
use finding::{Counts, Finding, Subject};
use kafka::Destination;
use machine::{Machine, Needs};
use position::Offsets;
use present::Colours;

pub(crate) const HELP: &str =
    "Without files the machine alone is looked at. Nothing is changed anywhere, and a worker \
may run meanwhile.

Exit codes: 0 nothing would fail, 1 something would, 2 wrong usage or a file that is wrong.

Examples:
  millrace doctor
  millrace doctor worker.properties
  millrace doctor worker.properties mongodb-source.json
  millrace doctor worker.properties orders.json customers.json --json --timeout 60";

/// Options of `millrace doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Worker file (.properties)
    worker: Option<PathBuf>,
    /// Connector files (.properties, or the JSON that one would POST)
    connectors: Vec<PathBuf>,
    /// Refuse properties that Kafka Connect and the connector do not know
    #[arg(long)]
    strict: bool,
    /// How long servers may take to answer, in all
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What the files say, as far as they can be used.
struct Files {
    worker: Option<WorkerConfig>,
    connectors: Vec<SourceConfig>,
    /// `None` without files.
    findings: Option<Subject>,
}

/// Runs the checks, prints what they found and says how the process is to exit.
pub(crate) fn run(args: &DoctorArgs) -> ExitCode {
    let files = Files::read(args);
    let is_misconfigured = files
        .findings
        .as_ref()
        .is_some_and(|subject| subject.findings.iter().any(Finding::is_failure));
    let subjects = match examine(files, Duration::from_secs(args.timeout)) {
        Ok(subjects) => subjects,
        Err(error) => {
            tracing::error!("no runtime for the checks: {error}");
            return ExitCode::FAILURE;
        }
    };
    if args.json {
        println!("{}", present::json(&subjects));
    } else {
        print!("{}", present::text(&subjects, colours()));
    }
    match (is_misconfigured, Counts::of(&subjects).failures) {
        (true, _) => ExitCode::from(2),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    }
}

/// As <https://no-color.org> says: any text in the variable turns them off.
fn colours() -> Colours {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty());
    if !refused && std::io::stdout().is_terminal() { Colours::On } else { Colours::Off }
}

fn examine(files: Files, timeout: Duration) -> std::io::Result<Vec<Subject>> {
    let Files { worker, connectors, findings } = files;
    let mut machine = Subject::new("this machine");
    machine.findings = Machine::look().judge(Needs::of(worker.as_ref(), &connectors));
    let mut subjects: Vec<Subject> = findings.into_iter().chain([machine]).collect();
    if let Some(worker) = worker {
        let servers = Runtime::new(Driver::Epoll)?;
        subjects.extend(servers.block_on(ask_servers(&worker, &connectors, timeout)));
    }
    Ok(subjects)
}

/// Everything that has to be asked for, at once.
async fn ask_servers(
    worker: &WorkerConfig,
    connectors: &[SourceConfig],
    timeout: Duration,
) -> Vec<Subject> {
    let offsets = Offsets::of(worker);
    let of_worker = async {
        let kafka = within(timeout, Subject::new("Kafka of the worker"), async |subject| {
            kafka::check(subject, &Destination::of_worker(worker)).await;
        });
        let stored = within(timeout, Subject::new("offsets of the worker"), async |subject| {
            subject.push(match offsets.read().await {
                Ok(stored) => {
                    Finding::ok("offsets", format!("can be read, {} stored", stored.len()))
                }
                Err(error) => Finding::of_error("offsets", &error),
            });
        });
        <[Subject; 2]>::from(join(kafka, stored).await)
    };
    let of_connectors = join_all(connectors.iter().map(async |source| {
        let subject = |what: &str| Subject::new(format!("{what} of connector {}", source.name));
        let mongodb = within(timeout, subject("MongoDB"), async |subject| {
            mongodb::check(subject, source, &offsets).await;
        });
        let kafka = within(timeout, subject("Kafka"), async |subject| {
            kafka::check(subject, &Destination::of_connector(source, worker)).await;
        });
        <[Subject; 2]>::from(join(mongodb, kafka).await)
    }));
    let (of_worker, of_connectors) = join(of_worker, of_connectors).await;
    of_worker.into_iter().chain(of_connectors.into_iter().flatten()).collect()
}

/// Lets `check` fill `subject`. What it has found by the end of `timeout` is kept.
async fn within(
    timeout: Duration,
    mut subject: Subject,
    check: impl AsyncFnOnce(&mut Subject),
) -> Subject {
    if tokio::time::timeout(timeout, check(&mut subject)).await.is_err() {
        subject.push(Finding::failure(
            "time",
            format!("the next answer had not come after {} s in all", timeout.as_secs()),
            "see whether the server is overloaded or behind a firewall that drops packets, or allow more by --timeout",
        ));
    }
    subject
}

impl Files {
    fn read(args: &DoctorArgs) -> Self {
        let mut files = Self { worker: None, connectors: Vec::new(), findings: None };
        let Some(path) = &args.worker else { return files };
        let mut subject = Subject::new("configuration");
        match WorkerConfig::read_any(path, args.strict) {
            Ok((worker, notices)) => {
                say(&mut subject, path, &notices);
                files.connectors = args
                    .connectors
                    .iter()
                    .filter_map(|path| read_connector(path, &worker, args.strict, &mut subject))
                    .collect();
                files.worker = Some(worker);
            }
            Err(error) => {
                subject.push(refused(path, &error));
                for path in &args.connectors {
                    let because = "the worker's file must be right first";
                    subject.push(Finding::not_checked(path.display().to_string(), because));
                }
            }
        }
        files.findings = Some(subject);
        files
    }
}

fn read_connector(
    path: &Path,
    worker: &WorkerConfig,
    strict: bool,
    subject: &mut Subject,
) -> Option<SourceConfig> {
    let read = ConnectorFile::read(path).and_then(|file| SourceConfig::new(&file, worker, strict));
    match read {
        Ok((source, notices)) => {
            say(subject, path, &notices);
            Some(source)
        }
        Err(error) => {
            subject.push(refused(path, &error));
            None
        }
    }
}

fn refused(path: &Path, error: &impl ToString) -> Finding {
    let remedy = "correct the file; COMPAT.md lists every property and what becomes of it";
    Finding::failure(path.display().to_string(), error.to_string(), remedy)
}

/// Says that a file is right, and what in it is probably not what its author wanted.
fn say(subject: &mut Subject, path: &Path, notices: &[Notice]) {
    let name = path.display().to_string();
    subject.push(Finding::ok(name.clone(), "can be run"));
    for notice in notices.iter().filter(|notice| notice.severity == Severity::Warning) {
        let remedy = "see whether that is meant; COMPAT.md lists every property";
        subject.push(Finding::warning(name.clone(), notice.text.clone(), remedy));
    }
}
