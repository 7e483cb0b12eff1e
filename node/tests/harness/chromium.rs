//! A browser without a screen: opens a page, lets its scripts run for a while, and gives the document that there is
//! then.
//!
//! Time inside of the page is virtual and stands still while an answer is awaited: five seconds of it pass at once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Names of the program; Debian has the first.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser, if this machine has one. Where a commit is checked (`CI=true`) it must.
pub(crate) fn find() -> Result<Option<&'static str>> {
    let is_there = |program: &&&str| {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let found = PROGRAMS.iter().find(is_there).copied();
    if found.is_none() {
        let remedy = "there is no browser: apt-get install chromium";
        ensure!(std::env::var_os("CI").is_none(), "{remedy}");
        eprintln!("skipped: {remedy}");
    }
    Ok(found)
}

/// The document of `url` after `page_time`.
pub(crate) async fn document(program: &str, url: &str, page_time: Duration) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let command = command(program, folder.path(), page_time, &["--dump-dom", url]);
    let output = tokio::task::spawn_blocking(move || {
        let mut command = command;
        let output = command.output();
        drop(folder);
        output
    });
    let output = output.await?.with_context(|| format!("start {program}"))?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || !text.contains("</html>") {
        bail!("{program} {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

fn command(program: &str, folder: &Path, page_time: Duration, last: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    // A browser that hangs does not hold up the tests.
    command.args(["60", program, "--headless", "--disable-gpu", "--disable-dev-shm-usage"]);
    // As root, which a container's user is, the browser refuses its sandbox. It sees nothing but our page.
    command.args(["--no-sandbox", "--no-first-run", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", folder.display()));
    command.arg(format!("--virtual-time-budget={}", page_time.as_millis()));
    command.args(last);
    command
}
