//! The same requests to the REST interface of a real Connect worker and to the node's: the same status, content type
//! and JSON, but for what [`Difference`] lists.
//!
//! Both have no connector at first. Every request of a law goes to both before the next one; what takes its time (a
//! task that starts) is waited for on both sides. All that differs is collected and shown together.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use millrace_testbed::ConnectWorker;
use serde_json::{Value, json};

use crate::harness::answers::{Difference, Of, differing};
use crate::harness::reference::{reference_worker, worker_plan};
use crate::harness::rest::Ask;
use crate::harness::{NodeProcess, Stage, eventually};
use crate::{servers, validate};

/// Both interfaces, and what they were seen to differ in.
pub(crate) struct Both {
    java: ConnectWorker,
    node: NodeProcess,
    java_address: String,
    node_address: String,
    differing: Vec<String>,
}

impl Both {
    async fn start(stage: &Stage) -> Result<Self> {
        let plan = worker_plan(&stage.testbed, "worker-standalone.properties")?;
        let plan = plan.heap_mb(512).property("offset.flush.interval.ms", "500");
        let setup = stage.worker()?.rest();
        let json = "org.apache.kafka.connect.json.JsonConverter";
        let setup = setup.worker("key.converter", json).worker("value.converter", json);
        let java = reference_worker(&plan).await?;
        let mut node = setup.start()?;
        let node_address = node.rest_address().await?;
        let java_address = java.rest_url().replace("http://", "");
        Ok(Self { java, node, java_address, node_address, differing: Vec::new() })
    }

    /// Sends a request to both and holds the answers against each other.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<()> {
        self.ask_but(ask, Difference::None).await
    }

    pub(crate) async fn ask_but(&mut self, ask: Ask, difference: Difference) -> Result<()> {
        let java = ask.of(&self.java_address).await?;
        let node = ask.of(&self.node_address).await?;
        let java = Of { answer: &java, addresses: &[&self.java_address] };
        let node = Of { answer: &node, addresses: &[&self.node_address] };
        let places = differing(java, node, difference);
        if !places.is_empty() {
            self.differing.push(format!("{ask:?}\n{}", places.join("\n")));
        }
        Ok(())
    }

    /// Waits until `is` holds of the answer to a GET of `path` on both sides.
    async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        for address in [&self.java_address, &self.node_address] {
            let mut last = Value::Null;
            let waited = eventually("an answer", async || {
                last = Ask::get(path).of(address).await?.json()?;
                Ok(is(&last).then_some(()))
            });
            waited.await.with_context(|| format!("{address}{path}: {last}"))?;
        }
        Ok(())
    }

    /// Waits until connector and task of `name` are in these states on both sides; no task where `task` is empty.
    async fn until_states(&self, name: &str, connector: &str, task: &str) -> Result<()> {
        self.until(&format!("/connectors/{name}/status"), |status| {
            let state = |pointer| status.pointer(pointer).and_then(Value::as_str).unwrap_or("");
            state("/connector/state") == connector && state("/tasks/0/state") == task
        })
        .await
    }

    /// Ends both and fails if they have differed, or something else was `asked` in vain.
    async fn end(self, asked: Result<()>) -> Result<()> {
        let log = self.node.stop().await?;
        let differing = self.differing.join("\n");
        ensure!(
            asked.is_ok() && differing.is_empty(),
            "{asked:#?}; {} answers differ:\n{differing}\n\nthe node logged:\n{log}",
            self.differing.len()
        );
        self.java.stop().await
    }
}

pub(crate) fn config(stage: &Stage) -> BTreeMap<String, Value> {
    let config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSourceConnector",
        "connection.uri": stage.uri(),
        "database": stage.name,
        "collection": "events",
        "poll.await.time.ms": 100,
        "topic.creation.default.partitions": 1,
        "topic.creation.default.replication.factor": 1,
    });
    config
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_connect() -> Result<()> {
    let stage = Stage::new(servers().await?, "rest").await?;
    let mut both = Both::start(&stage).await?;
    let asked = laws(&mut both, &stage).await;
    both.end(asked).await
}

async fn laws(both: &mut Both, stage: &Stage) -> Result<()> {
    without_connectors(both).await?;
    loggers(both).await?;
    bodies(both, stage).await?;
    validate::laws(both, stage).await?;
    life(both, stage).await?;
    positions(both, stage).await
}

async fn without_connectors(both: &mut Both) -> Result<()> {
    both.until("/", |server| server["kafka_cluster_id"].is_string()).await?;
    for path in [
        "/",
        "/health",
        "/health/",
        "/connectors",
        "/connectors/",
        "/connectors?expand=status&expand=info",
        "/nope",
        "/connectors/a/b/c",
        "/connectors/no",
        "/connectors/no/config",
        "/connectors/no/status",
        "/connectors/no/tasks",
        "/connectors/no/tasks/0/status",
        "/connectors/no/tasks/x/status",
        "/connectors/no/topics",
        "/connectors/no/offsets",
        "/connectors/no/tasks-config",
        "/connectors/n%C3%BC%20o",
    ] {
        both.ask(Ask::get(path)).await?;
    }
    for (method, path) in [
        ("DELETE", "/connectors/no"),
        ("PUT", "/connectors/no/pause"),
        ("PUT", "/connectors/no/resume"),
        ("POST", "/connectors/no/restart?includeTasks=true"),
        ("PUT", "/connectors/no/topics/reset"),
        ("DELETE", "/connectors/no/offsets"),
        ("DELETE", "/connectors"),
        ("PUT", "/connectors/no"),
        ("POST", "/connectors/no/pause"),
        ("DELETE", "/"),
        ("PUT", "/health"),
        ("GET", "/connectors/no/restart"),
    ] {
        both.ask(Ask::new(method, path)).await?;
    }
    for accepted in ["*/*", "text/plain", "application/json;q=0.5, text/html", "application/*"] {
        both.ask(Ask::get("/connectors").header("Accept", accepted)).await?;
    }
    both.ask(Ask::new("HEAD", "/connectors")).await?;
    // A standalone worker of Java looks for none of these before it uses them.
    for (method, path) in [
        ("PUT", "/connectors/no/stop"),
        ("POST", "/connectors/no/restart"),
        ("POST", "/connectors/no/tasks/0/restart"),
    ] {
        both.ask_but(Ask::new(method, path), Difference::Refusal).await?;
    }
    Ok(())
}

async fn bodies(both: &mut Both, stage: &Stage) -> Result<()> {
    let name = &stage.name;
    let offsets = json!({ "offsets": [{ "partition": { "ns": "x" }, "offset": { "_id": "y" } }] });
    both.ask(Ask::new("PATCH", "/connectors/no/offsets").json(&offsets)).await?;
    both.ask(Ask::new("PATCH", "/connectors/no/config").json(&json!({ "a": "b" }))).await?;
    both.ask(Ask::new("POST", "/connectors").text("text/plain", "{}")).await?;
    both.ask(Ask::new("PUT", "/connectors/no/config").text("text/plain", "{}")).await?;
    for body in
        ["{", "[]", "5", "{\"name\": \"x\", \"confi\": {}}", "{\"name\": {}, \"config\": {}}"]
    {
        let ask = Ask::new("POST", "/connectors").text("application/json", body);
        both.ask_but(ask, Difference::Message).await?;
    }
    for body in ["", "{\"name\": \"x\"}", "null"] {
        let ask = Ask::new("POST", "/connectors").text("application/json", body);
        both.ask_but(ask, Difference::Refusal).await?;
    }
    both.ask_but(
        Ask::new("POST", "/connectors")
            .json(&json!({ "name": "x", "config": config(stage), "initial_state": "FLYING" })),
        Difference::Message,
    )
    .await?;
    both.ask_but(
        Ask::new("POST", "/connectors").json(&json!({ "name": "x", "config": { "a": "b" } })),
        Difference::Message,
    )
    .await?;
    let mut unknown = config(stage);
    unknown.insert("connector.class".to_owned(), json!("com.example.None"));
    both.ask_but(
        Ask::new("POST", "/connectors").json(&json!({ "name": "x", "config": unknown })),
        Difference::Message,
    )
    .await?;
    let mut other = config(stage);
    other.insert("name".to_owned(), json!("other"));
    both.ask(Ask::new("POST", "/connectors").json(&json!({ "name": name, "config": other })))
        .await?;
    let path = format!("/connectors/{name}/config");
    both.ask(Ask::new("PUT", &path).json(&json!(other))).await?;
    for (property, value) in [
        ("batch.size", json!("-1")),
        ("change.stream.full.document", json!("never")),
        ("heartbeat.topic.name", json!("")),
        ("tasks.max", json!(0)),
    ] {
        let mut invalid = config(stage);
        invalid.insert(property.to_owned(), value);
        both.ask(Ask::new("PUT", &path).json(&json!(invalid))).await?;
    }
    both.ask(Ask::get("/connectors")).await
}

async fn everything_of(both: &mut Both, name: &str) -> Result<()> {
    for path in
        ["", "/config", "/status", "/tasks", "/tasks/0/status", "/tasks/1/status", "/topics", "/"]
    {
        both.ask(Ask::get(&format!("/connectors/{name}{path}"))).await?;
    }
    both.ask(Ask::get("/connectors?expand=info&expand=status&expand=more")).await?;
    both.ask(Ask::get("/connectors?expand=info")).await
}

async fn life(both: &mut Both, stage: &Stage) -> Result<()> {
    let name = &stage.name;
    let path = |tail: &str| format!("/connectors/{name}{tail}");
    let post = json!({ "name": format!(" {name} "), "config": config(stage) });
    both.ask(Ask::new("POST", "/connectors").json(&post)).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(Ask::new("POST", "/connectors").json(&post)).await?;
    everything_of(both, name).await?;

    stage.insert([1, 2, 3]).await?;
    let has_topic = |topics: &Value| topics.to_string().contains(&stage.topic());
    both.until(&path("/topics"), has_topic).await?;
    both.ask(Ask::get(&path("/topics"))).await?;
    both.ask(Ask::new("PUT", &path("/topics/reset"))).await?;
    both.ask(Ask::get(&path("/topics"))).await?;
    stage.insert([4]).await?;
    both.until(&path("/topics"), has_topic).await?;

    both.ask(Ask::new("PUT", &path("/pause"))).await?;
    both.until_states(name, "PAUSED", "PAUSED").await?;
    everything_of(both, name).await?;
    both.ask(Ask::new("PUT", &path("/resume"))).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(Ask::new("PUT", &path("/resume"))).await?;
    both.ask(Ask::new("POST", &path("/restart"))).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(Ask::new("POST", &path("/restart?includeTasks=true"))).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(Ask::new("POST", &path("/restart?includeTasks=true&onlyFailed=true"))).await?;
    both.ask(Ask::new("POST", &path("/restart?onlyFailed=true"))).await?;
    both.ask(Ask::new("POST", &path("/tasks/0/restart"))).await?;
    // A task that there is not is not asked for: Java's worker makes a broken one, which stays.
    both.until_states(name, "RUNNING", "RUNNING").await?;

    let mut changed = config(stage);
    changed.insert("batch.size".to_owned(), json!("7"));
    both.ask(Ask::new("PUT", &path("/config")).json(&json!(changed))).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    let patch = json!({ "batch.size": null, "poll.max.batch.size": 9 });
    both.ask(Ask::new("PATCH", &path("/config")).json(&patch)).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    let patch = Ask::new("PATCH", &path("/config")).json(&json!({ "batch.size": "x" }));
    both.ask(patch).await?;
    both.ask(Ask::get(&path("/tasks"))).await?;

    both.ask(Ask::new("DELETE", &path("/offsets"))).await?;
    both.ask(Ask::new("PUT", &path("/stop"))).await?;
    both.until_states(name, "STOPPED", "").await?;
    everything_of(both, name).await?;
    both.ask(Ask::new("PUT", &path("/stop"))).await?;
    both.ask(Ask::new("PUT", &path("/config")).json(&json!(changed))).await?;
    both.ask(Ask::get(&path("/status"))).await
}

async fn positions(both: &mut Both, stage: &Stage) -> Result<()> {
    let name = &stage.name;
    let path = |tail: &str| format!("/connectors/{name}{tail}");
    both.ask(Ask::new("DELETE", &path("/offsets"))).await?;
    both.ask(Ask::get(&path("/offsets"))).await?;
    both.ask(Ask::new("DELETE", &path("/offsets"))).await?;
    for body in [json!({}), json!({ "offsets": [] }), json!({ "offsets": null })] {
        both.ask(Ask::new("PATCH", &path("/offsets")).json(&body)).await?;
    }
    for offsets in [
        json!([{ "partition": { "ns": ["a"] }, "offset": { "_id": "y" } }]),
        json!([{ "partition": { "ns": "a" }, "offset": { "_id": {} } }]),
        json!([{ "partition": { "ns": "a" }, "offset": "x" }]),
    ] {
        let ask = Ask::new("PATCH", &path("/offsets")).json(&json!({ "offsets": offsets }));
        both.ask_but(ask, Difference::Message).await?;
    }
    let two = json!({ "offsets": [
        { "partition": { "ns": "a" }, "offset": { "_id": "y", "n": 1, "b": true, "f": 1.5 } },
        { "partition": { "ns": "😀" }, "offset": { "_id": null } },
    ] });
    both.ask(Ask::new("PATCH", &path("/offsets")).json(&two)).await?;
    // The order of partitions is a hash map's.
    both.until(&path("/offsets"), |offsets| offsets.to_string().contains("\"b\":true")).await?;
    let one = json!({ "offsets": [{ "partition": { "ns": "😀" }, "offset": null }] });
    both.ask(Ask::new("PATCH", &path("/offsets")).json(&one)).await?;
    both.ask(Ask::get(&path("/offsets"))).await?;
    both.ask(Ask::new("DELETE", &path("/offsets"))).await?;
    both.ask(Ask::get(&path("/offsets"))).await?;

    both.ask(Ask::new("PUT", &path("/resume"))).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(Ask::new("DELETE", &path(""))).await?;
    both.ask(Ask::get("/connectors")).await?;
    both.ask(Ask::get(&path("/status"))).await?;
    for (state, connector) in [("paused", "PAUSED"), ("STOPPED", "STOPPED")] {
        let post = json!({ "name": name, "config": config(stage), "initial_state": state });
        both.ask(Ask::new("POST", "/connectors").json(&post)).await?;
        both.until_states(name, connector, "").await?;
        both.ask(Ask::get(&path(""))).await?;
        both.ask(Ask::get(&path("/status"))).await?;
        both.ask(Ask::new("DELETE", &path(""))).await?;
    }
    let put = Ask::new("PUT", &path("/config")).json(&json!(config(stage)));
    both.ask(put.clone()).await?;
    both.until_states(name, "RUNNING", "RUNNING").await?;
    both.ask(put).await?;
    both.ask(Ask::new("DELETE", &path(""))).await
}

/// Which loggers there are is each program's own.
async fn loggers(both: &mut Both) -> Result<()> {
    both.ask(Ask::get("/admin/loggers/none.such")).await?;
    let set = |body: Value| Ask::new("PUT", "/admin/loggers/com.example").json(&body);
    both.ask(set(json!({}))).await?;
    both.ask(set(json!({ "level": "loud" }))).await?;
    both.ask(set(json!({ "level": "debug" }))).await?;
    both.until("/admin/loggers/com.example", |logger| logger["level"] == "DEBUG").await?;
    let cluster = Ask::new("PUT", "/admin/loggers/com.example?scope=cluster");
    both.ask(cluster.json(&json!({ "level": "INFO" }))).await
}
