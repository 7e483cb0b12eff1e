//! The files of `deploy/`: what can be started is started, what cannot is held against its schema, and what one file
//! says of another is true.
//!
//! ```text
//! worker_files   the binary itself reads every worker and connector file
//! docker         the last stage of the image is built around the binary and run    a Docker daemon
//! systemd        systemd-analyze verifies the unit, its parts fit the image        systemd-analyze
//! compose        services, files and folders that are named are there              docker compose
//! kubernetes     the schemas of Kubernetes; alert rules are those of prometheus/
//! python         what reads YAML and knows the schemas: packages from the Python index   python3 with pip
//! ```
//!
//! Where a Docker daemon or systemd is missing the test says so and passes; in CI (`CI=true`) a missing daemon fails.

mod compose;
mod docker;
mod kubernetes;
mod python;
mod systemd;
mod worker_files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

const MILLRACE: &str = env!("CARGO_BIN_EXE_millrace");

/// A file or folder below `deploy/`.
fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(deploy(path)).with_context(|| path.to_owned())
}

/// Whether `tool` is here; says so if it is not.
fn is_here(tool: &str, command: &mut Command) -> bool {
    let found = command.output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("passed over: {tool} is not here");
    }
    found
}

/// Runs `command`, which must succeed; what it has printed.
fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("start {command:?}"))?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    if !status.success() {
        bail!("{command:?}: {status}\n{said}");
    }
    Ok(said)
}
