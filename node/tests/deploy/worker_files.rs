//! Every worker and connector file of `deploy/` is one that the binary takes, with every property known to it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::python::yaml;
use super::{MILLRACE, read};

/// What `doctor` says of the files alone. Servers are not there: that is its own affair.
fn said_of(worker: &str, connector: Option<&str>) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("worker.properties");
    // A provider's folder must be there.
    let worker = worker.replace("/etc/millrace/mongodb", &folder.path().display().to_string());
    fs::write(&path, worker)?;
    let mut command = Command::new(MILLRACE);
    command.env("POD_IP", "127.0.0.1").arg("doctor").arg(&path);
    if let Some(connector) = connector {
        let path = folder.path().join("connector.json");
        fs::write(&path, connector)?;
        command.arg(path);
    }
    let output = command.args(["--strict", "--json", "--timeout", "1"]).output()?;
    let document: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let subjects = document["subjects"].as_array().context("subjects")?;
    let files = subjects.iter().find(|subject| subject["subject"] == "configuration");
    Ok(files.context("nothing is said of the files")?["findings"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

fn assert_fine(findings: &[Value], count: usize) {
    assert_eq!(findings.len(), count, "{findings:#?}");
    assert!(findings.iter().all(|finding| finding["verdict"] == "ok"), "{findings:#?}");
}

#[test]
fn files_of_compose_can_be_run() -> Result<()> {
    let mut connector: Value = serde_json::from_str(&read("compose/connector.json")?)?;
    connector["name"] = "orders".into();
    let findings = said_of(&read("compose/worker.properties")?, Some(&connector.to_string()))?;
    assert_fine(&findings, 2);
    Ok(())
}

#[test]
fn worker_of_kubernetes_can_be_run() -> Result<()> {
    let documents = yaml("kubernetes/worker.yaml")?;
    let map = documents.iter().find(|document| document["kind"] == "ConfigMap");
    let worker = &map.context("no ConfigMap")?["data"]["worker.properties"];
    assert_fine(&said_of(worker.as_str().context("no worker file")?, None)?, 1);
    Ok(())
}

/// The others could not fail if nothing did.
#[test]
fn a_property_that_nobody_knows_is_found() -> Result<()> {
    let worker = format!("{}\nbootsrap.servers=x\n", read("compose/worker.properties")?);
    let findings = said_of(&worker, None)?;
    assert_eq!(findings[0]["verdict"], "failure", "{findings:#?}");
    assert!(findings[0]["seen"].to_string().contains("bootsrap.servers"), "{findings:#?}");
    Ok(())
}
