//! A real Prometheus that scrapes a worker, with the alert rules that are shipped: a fault makes them fire.

use std::fs;
use std::path::Path;

use anyhow::Result;
use bson::doc;
use millrace_bench::kafka_admin::KafkaAdmin;

use super::harness::eventually;
use super::harness::prometheus::Prometheus;
use super::stage;

/// The rules as they are shipped, but for how long a condition must last: a test cannot wait for minutes.
fn impatient_rules() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/alerts.yml");
    let rules = fs::read_to_string(path)?;
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 1s\n"),
        Some(_) | None => format!("{line}\n"),
    });
    Ok(lines.collect())
}

/// Names of the alerts that fire for this connector.
async fn firing(prometheus: &Prometheus, connector: &str) -> Result<Vec<String>> {
    let alerts =
        prometheus.alerts().await?.into_iter().filter(|alert| {
            alert["state"] == "firing" && alert["labels"]["connector"] == connector
        });
    Ok(alerts.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_fires_the_alert_of_a_real_prometheus_and_a_running_one_none()
-> Result<()> {
    let stage = stage("prometheus").await?;
    KafkaAdmin::connect(&stage.bootstrap())?.create_topic(
        &stage.topic(),
        1,
        &[("max.message.bytes", "20000")],
    )?;
    let mut node = stage.setup()?.rest().start_running().await?;
    let address = node.rest_address().await?;
    let prometheus = Prometheus::start(&address, &impatient_rules()?).await?;
    stage.insert([1]).await?;
    let written = format!(
        "kafka_connect_source_task_source_record_write_total{{connector=\"{}\"}} == 1",
        stage.name
    );
    eventually("Prometheus has scraped the record", async || {
        Ok((!prometheus.query(&written).await?.is_empty()).then_some(()))
    })
    .await?;
    // Stored a moment after its record.
    eventually("no alert is left", async || {
        Ok(firing(&prometheus, &stage.name).await?.is_empty().then_some(()))
    })
    .await?;

    stage.events().insert_one(doc! { "_id": 2, "text": "x".repeat(30_000) }).await?;
    eventually("the alert fires", async || {
        let firing = firing(&prometheus, &stage.name).await?;
        Ok((firing == ["MillraceTaskFailed"]).then_some(()))
    })
    .await?;
    node.stop().await?;
    eventually("a worker that is gone fires another", async || {
        let alerts = prometheus.alerts().await?;
        let down = alerts.iter().find(|alert| alert["labels"]["alertname"] == "MillraceWorkerDown");
        Ok(down.filter(|alert| alert["state"] == "firing").map(drop))
    })
    .await
}
