//! A worker that is driven by its REST interface: failures that stay where they are, positions changed by hand.
//!
//! What its answers look like is held against Connect in `tests/oracle`.

use std::collections::BTreeSet;
use std::net::TcpListener;

use anyhow::{Context, Result};
use bson::doc;
use millrace_bench::kafka_admin::KafkaAdmin;
use serde_json::{Value, json};

use super::harness::rest::Ask;
use super::harness::{Connector, NodeProcess, Setup, Stage, eventually, java};
use super::stage;

/// `max.message.bytes` of a topic, and a document that is larger.
const LIMIT: &str = "20000";
const LARGE_BYTES: usize = 30_000;

/// The REST interface of a node.
struct Rest {
    address: String,
}

impl Rest {
    async fn of(node: &mut NodeProcess) -> Result<Self> {
        Ok(Self { address: node.rest_address().await? })
    }

    async fn ask(&self, ask: Ask) -> Result<Value> {
        ask.of(&self.address).await?.success()
    }

    async fn state(&self, name: &str) -> Result<Value> {
        self.ask(Ask::get(&format!("/connectors/{name}/tasks/0/status"))).await
    }

    async fn until(&self, name: &str, state: &str) -> Result<Value> {
        eventually(&format!("{name} is {state}"), async || {
            let answer = Ask::get(&format!("/connectors/{name}/tasks/0/status"));
            let status = answer.of(&self.address).await?.json()?;
            Ok((status["state"] == state).then_some(status))
        })
        .await
    }

    async fn create(&self, stage: &Stage, name: &str, collection: &str) -> Result<()> {
        let config = json!({
            "connector.class": "MongoSource",
            "connection.uri": stage.uri(),
            "database": stage.name,
            "collection": collection,
        });
        self.ask(Ask::new("POST", "/connectors").json(&json!({ "name": name, "config": config })))
            .await?;
        self.until(name, "RUNNING").await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_connector_is_shown_and_restarted_and_the_worker_and_the_others_go_on()
-> Result<()> {
    let stage = stage("rest").await?;
    let (bad, good) = (format!("{}_bad", stage.name), format!("{}_good", stage.name));
    let topic = format!("{}.bad", stage.name);
    let mut admin = KafkaAdmin::connect(&stage.bootstrap())?;
    admin.create_topic(&topic, 1, &[("max.message.bytes", LIMIT)])?;
    let mut node = stage.worker()?.rest().start()?;
    let rest = Rest::of(&mut node).await?;
    rest.create(&stage, &bad, "bad").await?;
    rest.create(&stage, &good, "good").await?;

    let large = doc! { "_id": 1, "text": "x".repeat(LARGE_BYTES) };
    stage.database().collection("bad").insert_one(large).await?;
    let failed = rest.until(&bad, "FAILED").await?;
    let trace = failed["trace"].as_str().context("a trace")?;
    assert!(trace.contains(&topic) && trace.contains("max.message.bytes"), "{trace}");
    stage.database().collection("good").insert_one(doc! { "_id": 1 }).await?;
    stage.records_of(&format!("{}.good", stage.name)).await?.at_least(1, &mut node).await?;
    assert_eq!(rest.state(&good).await?["state"], "RUNNING");

    java::set_topic(stage.testbed.kafka(), &topic, "max.message.bytes=200000").await?;
    let restart = format!("/connectors/{bad}/restart?includeTasks=true&onlyFailed=true");
    let plan = rest.ask(Ask::new("POST", &restart)).await?;
    assert_eq!(plan["tasks"][0]["state"], "RESTARTING");
    rest.until(&bad, "RUNNING").await?;
    let records = stage.records_of(&topic).await?.at_least(1, &mut node).await?;
    assert_eq!(records[0].key_text(), r#"{"_id": 1}"#);
    let log = node.stop().await?;
    let restarted = |name: &str| log.contains(&format!("connector {name} starts again"));
    assert!(restarted(&bad) && !restarted(&good), "{log}");
    Ok(())
}

/// Stops a connector, lets its position be forgotten or put back, and looks where it goes on.
async fn goes_on_where_it_is_told(stage: &Stage, setup: fn(&Stage, Setup) -> Setup) -> Result<()> {
    let mut node = setup(stage, stage.setup()?.rest()).start_running().await?;
    let rest = Rest::of(&mut node).await?;
    let path = |tail: &str| format!("/connectors/{}/{tail}", stage.name);
    let stop = Ask::new("PUT", &path("stop"));
    let resume = Ask::new("PUT", &path("resume"));
    stage.insert([0]).await?;
    let records = stage.records().await?;
    records.at_least(1, &mut node).await?;
    rest.ask(stop.clone()).await?;
    let behind_0 = rest.ask(Ask::get(&path("offsets"))).await?;
    assert_eq!(behind_0["offsets"].as_array().map(Vec::len), Some(1), "{behind_0}");

    stage.insert([1, 2]).await?;
    rest.ask(resume.clone()).await?;
    records.at_least(3, &mut node).await?;
    rest.ask(stop.clone()).await?;
    rest.ask(Ask::new("PATCH", &path("offsets")).json(&behind_0)).await?;
    assert_eq!(rest.ask(Ask::get(&path("offsets"))).await?, behind_0);
    rest.ask(resume.clone()).await?;
    records.at_least(5, &mut node).await?;

    rest.ask(stop).await?;
    rest.ask(Ask::new("DELETE", &path("offsets"))).await?;
    assert_eq!(rest.ask(Ask::get(&path("offsets"))).await?, json!({ "offsets": [] }));
    stage.insert([3]).await?;
    rest.ask(resume).await?;
    rest.until(&stage.name, "RUNNING").await?;
    stage.insert([4]).await?;
    let records = records.at_least(6, &mut node).await?;
    node.stop().await?;
    let keys: Vec<_> = records.iter().map(|record| record.key_text()).collect();
    let want = [0, 1, 2, 1, 2, 4].map(|id| format!(r#"{{"_id": {id}}}"#));
    assert_eq!(
        keys, want,
        "1 and 2 again after the position was put back, 3 not after it was forgotten"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_goes_on_where_it_is_told_from_a_file() -> Result<()> {
    goes_on_where_it_is_told(&stage("rest_file").await?, |_, setup| setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_goes_on_where_it_is_told_from_a_topic() -> Result<()> {
    let stage = stage("rest_topic").await?;
    goes_on_where_it_is_told(&stage, |stage, setup| {
        setup
            .without("offset.storage.file.filename")
            .worker("offset.storage.topic", &format!("{}-offsets", stage.name))
            .worker("offset.storage.replication.factor", "1")
    })
    .await?;
    let stored = stage.records_of(&format!("{}-offsets", stage.name)).await?.all().await?;
    let partitions: BTreeSet<_> = stored.iter().map(|record| record.partition).collect();
    assert_eq!(partitions.len(), 1, "whoever writes a key writes it where the others look");
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_worker_before_anything_starts() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let listener = format!("http://{}", taken.local_addr()?);
    let setup = Setup::new("127.0.0.1:1")?.worker("listeners", &listener);
    let log = setup.connector(Connector::new("c", "mongodb://127.0.0.1:1")).fails(1).await?;
    assert!(log.contains(&listener) && log.contains("listeners in the worker's file"), "{log}");
    assert!(!log.contains("connector c"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_worker_to_which_no_connector_could_come_is_refused() -> Result<()> {
    let log = Setup::new("127.0.0.1:1")?.fails(2).await?;
    assert!(log.contains("there is no connector"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_page_of_elsewhere_is_answered_as_the_file_says() -> Result<()> {
    let origin = "http://page.example";
    let setup = Setup::new("127.0.0.1:1")?.rest().worker("access.control.allow.origin", origin);
    let mut node = setup.start()?;
    let address = node.rest_address().await?;
    let from = |page: &str| Ask::get("/connectors").header("Origin", page);
    let allowed = from(origin).of(&address).await?;
    assert_eq!(allowed.header("access-control-allow-origin"), Some(origin));
    let other = from("http://other.example").of(&address).await?;
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
    node.stop().await?;
    Ok(())
}
