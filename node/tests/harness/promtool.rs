//! `promtool`, Prometheus' own checker: the machine's, else that of Debian's package, unpacked beside the build.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

/// What it says of `input`, and the exit code.
pub(crate) fn run(arguments: &[&str], input: &str) -> Result<(i32, String)> {
    let mut command = Command::new(find()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start promtool")?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().context("promtool was killed")?;
    Ok((code, String::from_utf8_lossy(&said).into_owned()))
}

/// Once for all tests of a binary: `apt-get` lets only one of them in at a time.
fn find() -> Result<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*found {
        return Ok(path.clone());
    }
    let on_path = Command::new("promtool").arg("--version").stdout(Stdio::null()).status();
    let path = if on_path.is_ok_and(|status| status.success()) {
        PathBuf::from("promtool")
    } else {
        unpacked().context(
            "fetch promtool by apt-get download (on Debian and Ubuntu: apt-get install prometheus)",
        )?
    };
    Ok(found.insert(path).clone())
}

/// The one beside the build. It is whole or not there: it is fetched to a folder of its own, then moved.
fn unpacked() -> Result<PathBuf> {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let promtool = beside.join("promtool");
    if !promtool.is_file() {
        let folder = tempfile::tempdir_in(beside)?;
        fetch(folder.path())?;
        fs::rename(folder.path().join("usr/bin/promtool"), &promtool)?;
    }
    Ok(promtool)
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
