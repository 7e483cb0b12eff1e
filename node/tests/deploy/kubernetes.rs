//! What Kubernetes says of the resources: its own schemas, by a checker that carries them. Resources of the Prometheus
//! operator have none there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::python::{python, yaml};
use super::{deploy, read};

const WORKER: &str = "kubernetes/worker.yaml";
const MONITORING: &str = "kubernetes/monitoring.yaml";
/// By Kubernetes' own schemas; a field that is not in them is refused.
#[test]
fn every_resource_is_one_of_kubernetes() -> Result<()> {
    let check = |path: &Path| -> Result<(bool, String)> {
        let mut command = python()?;
        let output = command.args(["-m", "kubernetes_validate", "--strict"]).arg(path).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (is_valid, said) = check(&deploy(WORKER))?;
    assert!(is_valid, "{said}");
    for document in yaml(WORKER)? {
        let kind = document["kind"].as_str().context("a kind")?.to_lowercase();
        assert!(said.contains(&format!("passed for resource {kind}/")), "{kind}: {said}");
    }
    let folder = tempfile::tempdir()?;
    let misspelt = folder.path().join("misspelt.yaml");
    fs::write(&misspelt, read(WORKER)?.replace("readOnlyRootFilesystem", "readOnlyRootFilesytem"))?;
    let (is_valid, said) = check(&misspelt)?;
    assert!(
        !is_valid && said.contains("readOnlyRootFilesytem"),
        "it would not have been found: {said}"
    );
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
