//! The reference: Connect's worker with the MongoDB connector, started with Kafka's own worker files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use millrace_bench::oracle::sides;
use millrace_testbed::{ConnectPlan, ConnectWorker, Plugin, Testbed};
use mongodb::Client;

/// Properties of a worker's file that are addresses or places: they are set, not taken.
const PLACES: [&str; 3] = ["bootstrap.servers", "offset.storage.file.filename", "plugin.path"];

/// The text of a file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// A worker's file of `tests/fixtures` as properties.
pub(crate) fn worker_fixture(name: &str) -> Result<BTreeMap<String, String>> {
    let text = fixture(name)?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A worker with the connector and with a file of `tests/fixtures`.
pub(crate) fn worker_plan(testbed: &Testbed, fixture: &str) -> Result<ConnectPlan> {
    let plan = ConnectPlan::new(&testbed.kafka().bootstrap(), Plugin::MongodbConnector);
    // A short run: what compiles quickly is done first.
    let mut plan = plan.jvm("-XX:TieredStopAtLevel=1");
    for (name, value) in worker_fixture(fixture)? {
        if !PLACES.contains(&name.as_str()) {
            plan = plan.property(&name, &value);
        }
    }
    Ok(plan)
}

/// Starts a worker whose bytes count.
pub(crate) async fn reference_worker(plan: &ConnectPlan) -> Result<ConnectWorker> {
    let worker = ConnectWorker::start(plan).await?;
    let java = worker.java_version();
    ensure!(
        java == sides::JAVA_VERSION,
        "the reference worker runs on Java {}, but JAVA_HOME or PATH leads to Java {java}: set JAVA_HOME",
        sides::JAVA_VERSION
    );
    Ok(worker)
}

/// Waits until the server has worked on a change stream of every connector's `appName`.
///
/// A task that Connect calls running may not have opened its stream yet, and would miss what is written before.
pub(crate) async fn streams_open<'a>(
    client: &Client,
    connectors: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> Result<()> {
    sides::streams_open(client, connectors.map(app_name).collect()).await
}

fn app_name(config: &BTreeMap<String, String>) -> String {
    let uri = config.get("connection.uri").map(String::as_str).unwrap_or_default();
    uri.split_once("appName=").map(|(_, name)| name.to_owned()).unwrap_or_default()
}
