//! What a worker tells Prometheus: figures that are those of the topics, states that are those of REST.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bson::doc;
use millrace_bench::kafka_admin::KafkaAdmin;
use serde_json::Value;

use super::harness::exposition::Exposition;
use super::harness::rest::Ask;
use super::harness::{Connector, Stage, eventually, prometheus};
use super::stage;

/// The metrics that the dashboard and the rules that Strimzi ships for Connect ask a worker for.
const OF_STRIMZI: &str = include_str!("../fixtures/strimzi-connect-metric-names.txt");

/// Series of a connector with one task.
struct Series<'a> {
    connector: &'a str,
}

impl Series<'_> {
    fn task(&self, family: &str) -> String {
        format!("{family}{{connector=\"{}\",task=\"0\"}}", self.connector)
    }

    fn connector(&self, family: &str) -> String {
        format!("{family}{{connector=\"{}\"}}", self.connector)
    }

    fn state(&self, state: &str) -> String {
        format!(
            "kafka_connect_connector_status{{connector=\"{}\",status=\"{state}\"}}",
            self.connector
        )
    }

    fn task_state(&self, state: &str) -> String {
        let connector = self.connector;
        format!(
            "kafka_connect_connector_task_status{{connector=\"{connector}\",task=\"0\",status=\"{state}\"}}"
        )
    }

    fn bean(&self, attribute: &str) -> String {
        format!(
            "com_mongodb_kafka_connect_source_task_metrics_{attribute}{{connector=\"{}\",task=\"source-task-0\"}}",
            self.connector
        )
    }
}

const HEADROOM: &str = "millrace_source_oplog_headroom_seconds";
const WRITTEN: &str = "kafka_connect_source_task_source_record_write_total";

/// Asks until `series` has this value.
async fn until(address: &str, series: &str, value: f64) -> Result<Exposition> {
    eventually(&format!("{series} is {value}"), async || {
        let page = Exposition::of(address).await?;
        Ok((page.get(series) == Some(value)).then_some(page))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_the_records_of_the_topic_and_dashboards_find_their_names() -> Result<()> {
    const RECORDS: i32 = 137;
    let stage = stage("metrics").await?;
    let mut node = stage.setup()?.rest().start_running().await?;
    let address = node.rest_address().await?;
    let of = Series { connector: &stage.name };
    let before = until(&address, &of.task_state("running"), 1.0).await?;
    assert_eq!(before.value(&of.task(WRITTEN))?, 0.0);
    assert_eq!(before.value(&of.task("millrace_latency_seconds_count"))?, 0.0);

    stage.insert(0..RECORDS).await?;
    let count = stage.records().await?.at_least(RECORDS as u64, &mut node).await?.len() as f64;
    let after =
        eventually("all records are acknowledged, and the oplog was looked at", async || {
            let page = Exposition::of(&address).await?;
            let is_known = page.get(&of.task(HEADROOM)).is_some();
            Ok((is_known && page.get(&of.task(WRITTEN)) == Some(count)).then_some(page))
        })
        .await?;
    let topic = stage.topic();
    let client = format!("connector-producer-{}-0", stage.name);
    for series in [
        of.task("kafka_connect_source_task_source_record_poll_total"),
        of.task("millrace_events_total"),
        of.task("millrace_latency_seconds_count"),
        of.bean("records"),
        of.bean("records_acknowledged"),
        format!(
            "kafka_producer_topic_record_send_total{{clientid=\"{client}\",topic=\"{topic}\"}}"
        ),
    ] {
        assert_eq!(after.value(&series)?, count, "{series}");
    }
    for series in [
        of.task("kafka_connect_source_task_source_record_active_count"),
        of.task("kafka_connect_task_error_total_record_failures"),
        of.task("millrace_dead_letters_total"),
        of.task("millrace_gaps_total"),
        of.task("millrace_buffered_bytes"),
    ] {
        assert_eq!(after.value(&series)?, 0.0, "{series}");
    }
    let sent = format!("kafka_producer_outgoing_byte_total{{clientid=\"{client}\"}}");
    let bytes = after.value(&of.task("millrace_batch_bytes_total"))?;
    assert!(bytes < after.value(&sent)?, "requests are more than their batches");
    let read = after.value(&of.bean("mongodb_bytes_read"))?;
    assert!(read < after.value(&of.task("millrace_mongodb_received_bytes_total"))?);
    let waited = after.value(&of.task("millrace_latency_seconds_sum"))? / count;
    assert!(waited < 30.0, "clocks of one machine, and {waited} s");
    let of_strimzi = OF_STRIMZI.lines().filter(|line| !line.starts_with('#'));
    for family in of_strimzi.clone() {
        assert!(after.has_family(family), "{family} is not in\n{}", after.text);
    }
    assert!(20 < of_strimzi.count());

    for name in names_in_deploy()? {
        assert!(
            after.has_family(&name),
            "{name} is asked for in deploy, and is not in\n{}",
            after.text
        );
    }

    let (code, said) = prometheus::promtool(&["check", "metrics"], &after.text)?;
    // 3: readable, and called otherwise than Prometheus would have called them, which is Java's doing.
    ensure!(code == 0 || code == 3, "promtool: {code}: {said}");
    let ours = said.lines().filter(|line| line.starts_with("millrace_"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new());
    node.stop().await?;
    Ok(())
}

/// The metrics that our own dashboard and alerts ask for.
fn names_in_deploy() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in ["grafana/millrace.json", "prometheus/alerts.yml"] {
        let text = fs::read_to_string(deploy().join(file))?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let families =
            ["millrace_", "kafka_connect_", "kafka_producer_", "com_mongodb_", "process_"];
        let asked = words.filter(|word| families.iter().any(|family| word.starts_with(family)));
        names.extend(asked.map(str::to_owned));
    }
    ensure!(20 < names.len(), "{names:?}");
    Ok(names)
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// What Grafana needs of a dashboard to show it, by its JSON schema (`schemaVersion` 39), and nothing twice.
#[test]
fn grafana_finds_all_that_it_needs_in_the_dashboard() -> Result<()> {
    let text = fs::read_to_string(deploy().join("grafana/millrace.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    for key in ["title", "uid", "schemaVersion", "time", "templating", "annotations", "panels"] {
        assert!(!dashboard[key].is_null(), "{key}");
    }
    let panels = dashboard["panels"].as_array().context("panels")?;
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let id = panel["id"].as_u64().with_context(|| format!("no id: {panel}"))?;
        assert!(ids.insert(id), "{id} twice");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{id}");
        assert!(
            ["stat", "timeseries"].contains(&panel["type"].as_str().unwrap_or_default()),
            "{id}"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{id} has no unit");
        assert!(
            panel["fieldConfig"]["overrides"].is_array() && panel["options"].is_object(),
            "{id}"
        );
        let at = |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{id}: {key}"));
        let (x, y, w, h) = (at("x")?, at("y")?, at("w")?, at("h")?);
        assert!(0 < w && 0 < h && x + w <= 24, "{id} is beside the grid");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{id} lies on another panel");
        }
        let targets = panel["targets"].as_array().with_context(|| format!("{id}: targets"))?;
        let letters: BTreeSet<_> = targets.iter().filter_map(|of| of["refId"].as_str()).collect();
        assert!(!targets.is_empty() && letters.len() == targets.len(), "{id}: refId");
        for target in targets {
            assert!(target["expr"].as_str().is_some_and(|expr| !expr.is_empty()), "{id}");
            assert_eq!(target["datasource"]["type"], "prometheus", "{id}");
        }
    }
    Ok(())
}

/// The cluster time of what is stored, and what the server is ahead, are known once there is such a thing.
async fn knows_where_it_stands(stage: &Stage, address: &str) -> Result<()> {
    let of = Series { connector: &stage.name };
    let time = stage.operation_time().await?.time;
    eventually("a stored position of now", async || {
        let page = Exposition::of(address).await?;
        let stored = page.get(&of.task("millrace_stored_position_timestamp_seconds"));
        let lag = page.get(&of.bean("latest_mongodb_time_difference_secs"));
        let headroom = page.get(&of.task(HEADROOM));
        Ok((lag.is_some()
            && headroom.is_some()
            && stored.is_some_and(|stored| f64::from(time) - 60.0 < stored))
        .then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_is_paused_or_has_failed_is_shown_as_that() -> Result<()> {
    let stage = stage("metrics_states").await?;
    let topic = stage.topic();
    KafkaAdmin::connect(&stage.bootstrap())?.create_topic(
        &topic,
        1,
        &[("max.message.bytes", "20000")],
    )?;
    let mut node = stage.setup()?.rest().start_running().await?;
    let address = node.rest_address().await?;
    let of = Series { connector: &stage.name };
    until(&address, &of.task_state("running"), 1.0).await?;
    stage.insert([1]).await?;
    until(&address, &of.task(WRITTEN), 1.0).await?;
    knows_where_it_stands(&stage, &address).await?;

    let order = |what: &str| Ask::new("PUT", &format!("/connectors/{}/{what}", stage.name));
    order("pause").of(&address).await?.success()?;
    let paused = until(&address, &of.task_state("paused"), 1.0).await?;
    assert_eq!(paused.value(&of.state("paused"))?, 1.0);
    assert_eq!(paused.get(&of.state("running")), None, "one state at a time");
    let count = of.connector("kafka_connect_worker_connector_paused_task_count");
    assert_eq!(paused.value(&count)?, 1.0);
    assert_eq!(paused.value(&of.task(WRITTEN))?, 1.0, "a task that has ended keeps its figures");

    order("resume").of(&address).await?.success()?;
    let resumed = until(&address, &of.task_state("running"), 1.0).await?;
    assert_eq!(resumed.value(&count)?, 0.0);
    assert_eq!(resumed.value(&of.task(WRITTEN))?, 0.0, "counted from its last start");
    assert_eq!(resumed.value("kafka_connect_worker_task_startup_success_total")?, 2.0);
    stage.events().insert_one(doc! { "_id": 2, "text": "x".repeat(30_000) }).await?;
    let failed = until(&address, &of.task_state("failed"), 1.0).await?;
    for family in [
        of.connector("kafka_connect_worker_connector_failed_task_count"),
        of.task("kafka_connect_task_error_total_record_failures"),
        of.state("running"),
    ] {
        assert_eq!(failed.value(&family)?, 1.0, "{family}");
    }
    assert_eq!(failed.get(&of.task_state("running")), None);
    assert_eq!(failed.value(&of.task("millrace_mongodb_connections"))?, 0.0);
    node.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_of_one_client_id_share_the_series_of_their_producers() -> Result<()> {
    let stage = stage("metrics_client").await?;
    let mut setup = stage.worker()?.worker("producer.client.id", "shared").rest();
    let names = ["a", "b"].map(|name| format!("{}_{name}", stage.name));
    for name in &names {
        let connector = Connector::new(name, &stage.uri()).collection(&stage.name, "events");
        setup = setup.connector(connector);
    }
    let mut node = setup.start_running().await?;
    let address = node.rest_address().await?;
    for name in &names {
        node.running(name).await?;
    }
    stage.insert(0..10).await?;
    let of_topic = format!(
        "kafka_producer_topic_record_send_total{{clientid=\"shared\",topic=\"{}\"}}",
        stage.topic()
    );
    // The reader refuses a series that comes twice.
    let page = until(&address, &of_topic, 20.0).await?;
    let sum = |family: &str| -> Result<f64> {
        names.iter().map(|name| page.value(&Series { connector: name }.task(family))).sum()
    };
    let sent = page.value("kafka_producer_record_send_total{clientid=\"shared\"}")?;
    assert_eq!(sent, sum("millrace_batch_records_total")?);
    assert_eq!(sum(WRITTEN)?, 20.0, "connectors have series of their own");
    node.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_transformations_drop_are_polled_and_filtered() -> Result<()> {
    let stage = stage("metrics_filter").await?;
    let connector = stage
        .connector()
        .set("publish.full.document.only", "true")
        .set("publish.full.document.only.tombstone.on.delete", "true")
        .set("transforms", "drop")
        .set("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter")
        .set("transforms.drop.predicate", "gone")
        .set("predicates", "gone")
        .set(
            "predicates.gone.type",
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        );
    let mut node = stage.worker()?.connector(connector).rest().start_running().await?;
    let address = node.rest_address().await?;
    let of = Series { connector: &stage.name };
    stage.insert(0..3).await?;
    stage.events().delete_many(doc! { "_id": { "$lt": 2 } }).await?;
    stage.insert([9]).await?;
    let page = until(&address, &of.task(WRITTEN), 4.0).await?;
    assert_eq!(page.value(&of.bean("records_filtered"))?, 2.0);
    assert_eq!(page.value(&of.bean("records_acknowledged"))?, 4.0);
    for series in [
        of.task("kafka_connect_source_task_source_record_poll_total"),
        of.bean("records"),
        of.task("millrace_events_total"),
    ] {
        assert_eq!(page.value(&series)?, 6.0, "{series}");
    }
    assert_eq!(page.value(&of.task("kafka_connect_source_task_source_record_active_count"))?, 0.0);
    node.stop().await?;
    Ok(())
}

#[test]
fn reader_refuses_what_the_format_does_not_allow() {
    let good = concat!(
        "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"}\",d=\"\"} 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{t=\"0\",le=\"1\"} 2\nh_bucket{t=\"0\",le=\"+Inf\"} 3\n",
        "h_sum{t=\"0\"} 4.5\nh_count{t=\"0\"} 3\n",
    );
    let read = Exposition::parse(good.to_owned()).expect("a page as it should be");
    assert_eq!(read.get(r#"a_total{b="c\"}",d=""}"#), Some(1.0));
    for (from, to) in [
        ("} 1\n", "} one\n"),
        ("} 1\n", "} NaN\n"),
        ("} 1\n", "}\n"),
        ("a_total{", "b_total{"),
        ("b=\"c", "1b=\"c"),
        ("c\\\"}", "c\"}"),
        ("# HELP h x\n", ""),
        ("# TYPE h histogram", "# TYPE h bar chart"),
        ("# HELP h x\n# TYPE h histogram", "# HELP a_total x\n# TYPE a_total counter"),
        ("le=\"1\"} 2", "le=\"1\"} 4"),
        ("h_count{t=\"0\"} 3", "h_count{t=\"0\"} 4"),
        ("h_sum{t=\"0\"} 4.5\n", ""),
        ("h_count{t=\"0\"} 3\n", "h_sum{t=\"0\"} 4.5\n"),
        ("h_count{t=\"0\"} 3\n", "h_count{t=\"0\"} 3"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(Exposition::parse(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn prometheus_takes_the_alert_rules_and_they_fire_when_they_should() -> Result<()> {
    let folder = deploy().join("prometheus");
    for (check, file) in [("check", "alerts.yml"), ("test", "alerts.test.yml")] {
        let path = folder.join(file).display().to_string();
        let (code, said) = prometheus::promtool(&[check, "rules", &path], "")?;
        assert_eq!(code, 0, "{said}");
    }
    Ok(())
}
