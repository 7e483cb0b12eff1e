//! What Kubernetes says of the resources: its own schemas, by a checker that carries them (`kubernetes-validate`, from
//! the Python package index into a folder beside the build). Resources of the Prometheus operator have no schema there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{deploy, is_there, run, yaml};

const WORKER: &str = "kubernetes/worker.yaml";
const MONITORING: &str = "kubernetes/monitoring.yaml";
/// The checker, and with it the version of Kubernetes.
const CHECKER: &str = "kubernetes-validate==1.37.0";

/// The checker, fetched if it is not there. It is whole or not there.
fn checker() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(CHECKER);
    let program = folder.join("bin/kubernetes-validate");
    if !program.exists() {
        let _ = fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", CHECKER]))?;
    }
    Ok(program)
}

/// By Kubernetes' own schemas; a field that is not in them is refused.
#[test]
fn every_resource_is_one_of_kubernetes() -> Result<()> {
    if !is_there("python3 with venv", Command::new("python3").args(["-c", "import ensurepip"]))? {
        return Ok(());
    }
    let check =
        |path: &Path| Command::new(checker()?).arg("--strict").arg(path).output().context("run it");
    let output = check(&deploy(WORKER))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    for document in yaml(WORKER)? {
        let kind = document["kind"].as_str().context("a kind")?.to_lowercase();
        assert!(said.contains(&format!("passed for resource {kind}/")), "{kind}: {said}");
    }
    let folder = tempfile::tempdir()?;
    let misspelt = folder.path().join("misspelt.yaml");
    fs::write(&misspelt, fs::read_to_string(deploy(WORKER))?.replace("maxSkew", "maxSquew"))?;
    assert!(!check(&misspelt)?.status.success(), "a misspelt field would not have been found");
    Ok(())
}

#[test]
fn resources_name_each_other_and_select_the_pods() -> Result<()> {
    let documents = yaml(WORKER)?;
    let of = |kind: &str| documents.iter().find(|document| document["kind"] == kind);
    let of = |kind: &str| of(kind).with_context(|| format!("no {kind}"));
    let deployment = &of("Deployment")?["spec"];
    let pod = &deployment["template"];
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&deployment["selector"]["matchLabels"], labels);
    assert_eq!(&of("Service")?["spec"]["selector"], labels);
    assert_eq!(&of("PodDisruptionBudget")?["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&of("NetworkPolicy")?["spec"]["podSelector"]["matchLabels"], labels);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], of("Service")?["spec"]["ports"][0]["port"]);
    let names = |list: &Value| -> BTreeSet<String> {
        let names = list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str());
        names.map(str::to_owned).collect()
    };
    assert_eq!(names(&container["volumeMounts"]), names(&pod["spec"]["volumes"]));
    let worker = container["args"][1].as_str().context("a worker file")?;
    let (folder, file) = worker.rsplit_once('/').context("a folder")?;
    assert_eq!(container["volumeMounts"][0]["mountPath"], folder);
    assert!(of("ConfigMap")?["data"][file].is_string(), "{file} is not in the ConfigMap");
    Ok(())
}

#[test]
fn alert_rules_are_those_of_the_rule_file() -> Result<()> {
    let documents = yaml(MONITORING)?;
    let rule = documents.iter().find(|document| document["kind"] == "PrometheusRule");
    let rules = &yaml("prometheus/alerts.yml")?[0]["groups"];
    assert_eq!(&rule.context("no PrometheusRule")?["spec"]["groups"], rules);
    assert!(rules.as_array().is_some_and(|groups| !groups.is_empty()));
    let monitor = documents.iter().find(|document| document["kind"] == "ServiceMonitor");
    let monitor = &monitor.context("no ServiceMonitor")?["spec"];
    let service = yaml(WORKER)?.into_iter().find(|document| document["kind"] == "Service");
    let service = service.context("no Service")?;
    assert_eq!(monitor["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_eq!(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    // The rules know the workers by this job, which the operator names after the service.
    assert_eq!(service["metadata"]["name"], "millrace");
    Ok(())
}
