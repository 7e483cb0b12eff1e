//! The compose file: what it names is there, and fits together.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::python::yaml;
use super::{deploy, is_here, read, run};

const FILE: &str = "compose/compose.yaml";

fn services() -> Result<serde_json::Map<String, Value>> {
    let documents = yaml(FILE)?;
    documents[0]["services"].as_object().cloned().context("no services")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[test]
fn every_file_that_is_mounted_is_there() -> Result<()> {
    let mut mounted = 0;
    for (name, service) in services()? {
        for volume in texts(&service["volumes"]) {
            let (from, to) = volume.split_once(':').context("no place in the container")?;
            assert!(to.starts_with('/'), "{name}: {volume}");
            if from.starts_with('.') {
                mounted += 1;
                assert!(deploy("compose").join(from).exists(), "{name}: {from} is not there");
            }
        }
        if let Some(context) = service["build"]["context"].as_str() {
            let dockerfile = service["build"]["dockerfile"].as_str().context("no Dockerfile")?;
            assert!(deploy("compose").join(context).join(dockerfile).exists(), "{dockerfile}");
        }
    }
    assert!(mounted > 4, "only {mounted} files are mounted");
    Ok(())
}

#[test]
fn whoever_is_waited_for_says_when_it_is_ready() -> Result<()> {
    let services = services()?;
    for (name, service) in &services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let other = services.get(other).with_context(|| format!("{name}: no {other}"))?;
            assert_eq!(how["condition"], "service_healthy", "{name}");
            assert!(other["healthcheck"]["test"].is_array(), "{name}");
        }
    }
    Ok(())
}

/// Addresses inside the files are names of services.
#[test]
fn worker_connector_and_prometheus_look_where_the_services_are() -> Result<()> {
    let services = services()?;
    let worker = read("compose/worker.properties")?;
    let line = worker.lines().find_map(|line| line.strip_prefix("bootstrap.servers="));
    let (host, port) = line.and_then(|line| line.split_once(':')).context("a broker")?;
    let broker = services.get(host).context("the broker")?;
    let advertised = broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str();
    assert!(advertised.is_some_and(|listeners| listeners.contains(&format!("://{host}:{port}"))));
    let connector: Value = serde_json::from_str(&read("compose/connector.json")?)?;
    let uri = connector["connection.uri"].as_str().context("connection.uri")?;
    let mongodb = uri.trim_start_matches("mongodb://").split(':').next().context("a host")?;
    assert!(services.contains_key(mongodb), "{uri}");
    let prometheus = &yaml("compose/prometheus.yml")?[0]["scrape_configs"][0];
    assert_eq!(prometheus["static_configs"][0]["targets"][0], "millrace:8083");
    // The alert rules and the dashboard go by this name.
    assert_eq!(prometheus["job_name"], "millrace");
    assert!(read("prometheus/alerts.yml")?.contains(r#"job="millrace""#));
    let datasource = &yaml("compose/grafana/datasources.yaml")?[0]["datasources"][0];
    assert_eq!(datasource["url"], "http://prometheus:9090");
    let path = &yaml("compose/grafana/dashboards.yaml")?[0]["providers"][0]["options"]["path"];
    let dashboards = format!("../grafana:{}:ro", path.as_str().context("a path")?);
    let grafana = services.get("grafana").context("grafana")?;
    assert!(texts(&grafana["volumes"]).any(|volume| volume == dashboards), "{dashboards}");
    Ok(())
}

#[test]
fn compose_takes_the_file() -> Result<()> {
    // Debian's package of Docker comes without it, so CI may lack it too.
    if !is_here("docker compose", Command::new("docker").args(["compose", "version"])) {
        return Ok(());
    }
    let mut command = Command::new("docker");
    command.args(["compose", "--file"]).arg(deploy(FILE)).args(["config", "--quiet"]);
    run(&mut command).map(drop)
}

#[test]
fn dashboard_that_grafana_opens_first_is_there() -> Result<()> {
    let services = services()?;
    let grafana = services.get("grafana").context("grafana")?;
    let home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    let name = home.and_then(|home| home.rsplit('/').next()).context("a dashboard")?;
    let _dashboard: Value = serde_json::from_str(&read(&format!("grafana/{name}"))?)?;
    Ok(())
}
