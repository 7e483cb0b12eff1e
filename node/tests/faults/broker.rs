//! A broker that is away or silent under load: the node waits, visibly, and sends the very same batches again.

use std::time::Duration;

use anyhow::Result;
use millrace_testbed::Kafka;

use super::harness::load::{self, Load, goes_on};
use super::harness::{NodeProcess, Stage, eventually};
use super::stage;
use super::unread::{port_of, unread_bytes};

const RATE_PER_S: f64 = 200.0;
const OPERATIONS: u64 = 3_000;

/// Runs `fault` in the middle of a load, with one node process: waiting for it fails as soon as it has ended.
async fn restart(stage: &Stage, fault: impl AsyncFnOnce(&Kafka) -> Result<()>) -> Result<()> {
    let setup = load::setup(stage)?;
    let mut node = setup.start_running().await?;
    let load = Load::start(stage, RATE_PER_S, OPERATIONS);
    stage.records().await?.at_least(200, &mut node).await?;
    load.ensure_goes_on("the broker is stopped")?;
    let warnings = |node: &NodeProcess| node.log().matches(": Kafka: ").count();
    let (kafka, warned) = (stage.testbed.kafka(), warnings(&node));
    fault(kafka).await?;
    eprintln!("the broker is away");
    tokio::time::sleep(Duration::from_millis(500)).await;
    node.ensure_alive()?;
    kafka.start().await?;
    eprintln!("the broker is back");
    goes_on(stage, &mut node, "after_restart").await?;
    assert!(warned < warnings(&node), "nothing is said of the broker:\n{}", node.log());
    let report = load.judge(stage, node).await?;
    assert!(report.is_exact(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_stopped_and_started_under_load_gets_every_event_once() -> Result<()> {
    let (stage, _turn) = stage("broker_stop").await?;
    restart(&stage, async |kafka| kafka.stop().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_and_started_under_load_gets_every_event_once() -> Result<()> {
    let (stage, _turn) = stage("broker_kill").await?;
    restart(&stage, async |kafka| kafka.kill()).await
}

/// The broker wakes up to requests that the node has given up, and appends them; then it gets them once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_silent_longer_than_the_request_timeout_gets_every_event_once() -> Result<()> {
    let (stage, _turn) = stage("broker_silent").await?;
    let connector = load::connector(&stage).set("producer.override.request.timeout.ms", "700");
    let mut node = stage.worker()?.connector(connector).start_running().await?;
    let load = Load::start(&stage, RATE_PER_S, OPERATIONS);
    stage.records().await?.at_least(100, &mut node).await?;
    let (kafka, port) = (stage.testbed.kafka(), port_of(&stage.bootstrap())?);
    for round in 1..=3 {
        load.ensure_goes_on("the broker falls silent")?;
        kafka.pause()?;
        let given_up = in_flight_until_given_up(&node, port).await;
        kafka.resume()?;
        eprintln!("silence {round}: {} bytes were in flight", given_up?);
        goes_on(&stage, &mut node, &format!("after_silence_{round}")).await?;
    }
    let report = load.judge(&stage, node).await?;
    assert!(report.is_exact(), "{report}");
    Ok(())
}

/// Waits until requests lie unread at the stopped broker and the node has closed their connection. Returns their bytes.
async fn in_flight_until_given_up(node: &NodeProcess, port: u16) -> Result<u64> {
    let in_flight = eventually("requests in the sockets of the stopped broker", async || {
        Ok(Some(unread_bytes(node.pid(), port)?).filter(|&unread| 0 < unread))
    });
    let in_flight = in_flight.await?;
    let warnings = node.log().matches(": Kafka: ").count();
    eventually("the node to give up its requests", async || {
        Ok((warnings < node.log().matches(": Kafka: ").count()).then_some(()))
    })
    .await?;
    Ok(in_flight)
}
