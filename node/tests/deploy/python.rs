//! Programs of others for YAML and Kubernetes: packages of the Python index, in a folder beside the build. Nothing is
//! installed, and no crate that only these tests would want.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{deploy, run};

/// The checker of Kubernetes' resources, with it their version and a reader of YAML.
const PACKAGE: &str = "kubernetes-validate==1.37.0";
const DOCUMENTS_AS_JSON: &str =
    "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

/// A Python that has the packages.
pub(crate) fn python() -> Result<Command> {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages()?);
    Ok(command)
}

/// Every document of a YAML file below `deploy/`.
pub(crate) fn yaml(path: &str) -> Result<Vec<Value>> {
    let json = run(python()?.args(["-c", DOCUMENTS_AS_JSON]).arg(deploy(path)))?;
    serde_json::from_str(&json).with_context(|| path.to_owned())
}

/// The folder of the packages: whole or not there, and fetched by one test only.
fn packages() -> Result<PathBuf> {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _fetching = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = beside.join(PACKAGE);
    if !folder.exists() {
        let fetched = tempfile::tempdir_in(beside)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        run(pip.arg(fetched.path()).arg(PACKAGE))?;
        fs::rename(fetched.keep(), &folder)?;
    }
    Ok(folder)
}
