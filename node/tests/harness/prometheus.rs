//! Prometheus and its checker `promtool`: the machine's, else those of Debian's package, unpacked beside the build.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use millrace_testbed::{Lifetime, Process};
use serde_json::Value;
use tempfile::TempDir;

use super::rest::Ask;

/// What `promtool` says of `input`, and the exit code.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Result<(i32, String)> {
    let mut command = Command::new(find("promtool")?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start promtool")?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().context("promtool was killed")?;
    Ok((code, String::from_utf8_lossy(&said).into_owned()))
}

/// A Prometheus that scrapes one worker every second.
pub(crate) struct Prometheus {
    _process: Process,
    /// `host:port` of its HTTP API.
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with these alert rules, evaluated every second.
    pub(crate) async fn start(worker: &str, rules: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("millrace-prometheus-")?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("alerts.yml"), rules)?;
        fs::write(
            path("prometheus.yml"),
            format!(
                "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [alerts.yml]\n\
                 scrape_configs:\n  - job_name: millrace\n    static_configs: [{{ targets: ['{worker}'] }}]\n"
            ),
        )?;
        let address = free_address()?;
        let mut command = Command::new(find("prometheus")?);
        command
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let log = path("prometheus.log");
        let process = Process::start("prometheus", command, &log, Lifetime::WithParent)?;
        Ok(Self { _process: process, address, _folder: folder })
    }

    /// The alerts that are pending or fire; none before it serves.
    pub(crate) async fn alerts(&self) -> Result<Vec<Value>> {
        self.ask("/api/v1/alerts", |data| data["alerts"].clone()).await
    }

    /// The series that it has of a query.
    pub(crate) async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        self.ask(&format!("/api/v1/query?query={query}"), |data| data["result"].clone()).await
    }

    async fn ask(&self, path: &str, take: impl Fn(&Value) -> Value) -> Result<Vec<Value>> {
        let Ok(answer) = Ask::get(path).of(&self.address).await else { return Ok(Vec::new()) };
        if answer.status == 503 {
            return Ok(Vec::new());
        }
        let list = take(&answer.success()?["data"]);
        list.as_array().cloned().with_context(|| format!("no list in {}", answer.body))
    }
}

/// Prometheus does not say which port it was given, so it is told one that is free now.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// One of the two. Once for all tests of a binary: `apt-get` lets only one of them in at a time.
fn find(program: &'static str) -> Result<PathBuf> {
    static FOUND: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(program) {
        return Ok(path.clone());
    }
    let on_path = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    let path = if on_path.is_ok_and(|status| status.success()) {
        PathBuf::from(program)
    } else {
        unpacked(program).with_context(|| {
            format!("fetch {program} by apt-get download (on Debian and Ubuntu: apt-get install prometheus)")
        })?
    };
    found.insert(program, path.clone());
    Ok(path)
}

/// The one beside the build. It is whole or not there: it is fetched to a folder of its own, then moved.
fn unpacked(program: &str) -> Result<PathBuf> {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = beside.join(program);
    if !path.is_file() {
        let folder = tempfile::tempdir_in(beside)?;
        fetch(folder.path())?;
        fs::rename(folder.path().join("usr/bin").join(program), &path)?;
    }
    Ok(path)
}

/// Downloads the package without installing it: no daemon is started, no right is needed where the lists are fresh.
fn fetch(folder: &Path) -> Result<()> {
    let download = || run_in(folder, "apt-get", &["download", "prometheus"]);
    if download().is_err() {
        run_in(folder, "apt-get", &["update", "-qq"])?;
        download()?;
    }
    let packages = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages = packages.filter(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = packages.next().context("apt-get left no package")?;
    run_in(folder, "dpkg-deb", &["-x", &package.display().to_string(), "."])
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}
