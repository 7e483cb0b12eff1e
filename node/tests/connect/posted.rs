//! What users do first: `curl` posts the stock connector, documents are written, `kafka-console-consumer` shows them.
//!
//! ```text
//!  mongodb-source.json ── curl -X POST ──► a worker of Java  ──► java..yourDatabase.yourCollection  ─┐ the same lines,
//!   (address, prefix)  └─ curl -X POST ──► a node            ──► mongo..yourDatabase.yourCollection ─┘ byte for byte
//! ```
//!
//! Both read the same change stream, so even its tokens and times are equal. The worker files are Kafka's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Binary, DateTime, Document, Timestamp, doc, spec::BinarySubtype};
use millrace_testbed::{ConnectWorker, Testbed};
use mongodb::Collection;
use serde_json::{Value, json};

use crate::group::{Group, Kind};
use crate::harness::java::{Shown, console_consumer};
use crate::harness::reference::{fixture, reference_worker, worker_fixture, worker_plan};
use crate::harness::rest::Ask;
use crate::harness::{FREE_PORT, NodeProcess, Setup, Stage, eventually};
use crate::stage;

const STANDALONE: &str = "worker-standalone.properties";
const FILE: &str = "mongodb-source.json";
const NAME: &str = "mongodb-source-connector";
const STOCK_PREFIX: &str = "mongo.";
/// What is written: 3 documents, an update, a replacement and a deletion.
const CHANGES: usize = 6;

/// The stock file with the address of the servers, and topics that nobody else writes.
fn stock_file(stage: &Stage, folder: &Path, prefix: &str) -> Result<PathBuf> {
    let text = fixture(FILE)?;
    for stock in ["mongodb://localhost:27017", STOCK_PREFIX] {
        ensure!(text.contains(stock), "{FILE} does not hold {stock}");
    }
    let text = text.replace("mongodb://localhost:27017", &stage.uri());
    let path = folder.join(format!("{prefix}json"));
    std::fs::write(&path, text.replace(STOCK_PREFIX, prefix))?;
    Ok(path)
}

/// `curl -X POST -H "Content-Type: application/json" --data @file`: the status and the body.
async fn curl_post(address: &str, file: &Path) -> Result<(u16, Value)> {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-S", "-w", "\n%{http_code}", "-X", "POST"]);
    curl.args(["-H", "Content-Type: application/json", "--data"]);
    curl.arg(format!("@{}", file.display())).arg(format!("http://{address}/connectors"));
    let output = tokio::task::spawn_blocking(move || curl.output()).await?;
    let output = output.context("could not run curl: install it")?;
    let [printed, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    ensure!(output.status.success(), "curl: {}\n{errors}", output.status);
    let (body, status) = printed.rsplit_once('\n').context("no status")?;
    Ok((status.parse()?, serde_json::from_str(body).with_context(|| body.to_owned())?))
}

async fn runs(address: &str) -> Result<()> {
    eventually(&format!("{NAME} runs at {address}"), async || {
        let status = Ask::get(&format!("/connectors/{NAME}/status")).of(address).await?.json()?;
        ensure!(status["tasks"][0]["state"] != "FAILED", "{status}");
        Ok((status["tasks"][0]["state"] == "RUNNING").then_some(()))
    })
    .await
}

fn collection(stage: &Stage) -> Collection<Document> {
    stage.client.database("yourDatabase").collection("yourCollection")
}

/// Values of the kinds that texts show differently.
async fn write(stage: &Stage) -> Result<()> {
    let documents = collection(stage);
    let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255] };
    documents
        .insert_many([
            doc! { "_id": 1, "text": "é\"\\\u{1}😀", "n": 5_i64, "d": 1.5, "none": null },
            doc! { "_id": "two", "at": DateTime::from_millis(1_700_000_000_123), "list": [1, { "a": true }] },
            doc! { "_id": { "a": 3 }, "bytes": binary, "ts": Timestamp { time: 7, increment: 1 } },
        ])
        .await?;
    documents.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 6_i64 } }).await?;
    documents.replace_one(doc! { "_id": "two" }, doc! { "replaced": true }).await?;
    documents.delete_one(doc! { "_id": { "a": 3 } }).await?;
    Ok(())
}

async fn lines_of(testbed: &Testbed, prefix: &str) -> Result<Vec<String>> {
    let topic = format!("{prefix}.yourDatabase.yourCollection");
    let shown = Shown { from_beginning: true, max_messages: CHANGES, print_key: true };
    let printed = console_consumer(testbed.kafka(), &topic, shown).await?;
    Ok(printed.lines().map(str::to_owned).collect())
}

async fn java(stage: &Stage) -> Result<ConnectWorker> {
    reference_worker(&worker_plan(&stage.testbed, STANDALONE)?.heap_mb(512)).await
}

/// A node that runs Kafka's own standalone worker file.
async fn node(stage: &Stage, setup: &Setup) -> Result<NodeProcess> {
    let mut file = worker_fixture(STANDALONE)?;
    file.insert("bootstrap.servers".to_owned(), stage.bootstrap());
    file.insert("offset.storage.file.filename".to_owned(), setup.offsets().display().to_string());
    file.insert("listeners".to_owned(), FREE_PORT.to_owned());
    let text = file.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    setup.clone().worker_file(text).start()
}

/// Posts the stock file to `address` and to a worker of Java, writes, and fails unless both topics show the same lines.
async fn shows_what_java_shows(stage: &Stage, address: &str, prefix: &str) -> Result<()> {
    let setup = stage.worker()?;
    // The stock file names its collection, so another test may have written to it.
    collection(stage).drop().await?;
    let worker = java(stage).await?;
    let java_address = worker.rest_url().replace("http://", "");
    let java_prefix = format!("java-{prefix}");
    let mut answers = Vec::new();
    for (address, prefix) in [(&*java_address, &*java_prefix), (address, prefix)] {
        let file = stock_file(stage, setup.folder(), prefix)?;
        let (status, mut body) = curl_post(address, &file).await?;
        ensure!(status == 201, "{status}: {body}");
        ensure!(body["config"]["topic.prefix"] == prefix, "{body}");
        body["config"]["topic.prefix"] = json!("of its side");
        // A standalone worker knows its tasks at once, a group hands them out first.
        body["tasks"] = json!("of its mode");
        answers.push(body);
        runs(address).await?;
    }
    ensure!(answers[0] == answers[1], "Java {}\nnode {}", answers[0], answers[1]);
    // A task that runs may not have opened its stream yet: what it must see is written then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    write(stage).await?;
    let java = lines_of(&stage.testbed, &java_prefix).await?;
    let node = lines_of(&stage.testbed, prefix).await?;
    worker.stop().await?;
    eprintln!("the first of {} lines: {}", java.len(), java[0]);
    ensure!(java.len() == CHANGES, "{java:#?}");
    ensure!(java == node, "Java shows {java:#?}\nthe node shows {node:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_connector_posted_with_curl_to_a_standalone_node_shows_the_lines_of_java()
-> Result<()> {
    let (stage, _turn) = stage("posted").await?;
    let mut node = node(&stage, &stage.worker()?).await?;
    let address = node.rest_address().await?;
    shows_what_java_shows(&stage, &address, STOCK_PREFIX).await?;
    node.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_connector_posted_with_curl_to_a_distributed_node_shows_the_lines_of_java()
-> Result<()> {
    let (stage, _turn) = stage("posted_group").await?;
    let node = Group::new(&stage, "nodes").start(Kind::Node).await?;
    shows_what_java_shows(&stage, &node.address, "distributed.").await?;
    node.stop().await
}
