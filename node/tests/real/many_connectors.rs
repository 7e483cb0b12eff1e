//! Many connectors in one worker: what an idle one costs, and that they share threads without holding each other up.

use std::fs;

use anyhow::{Context, Result};
use bson::doc;

use super::harness::{Connector, NodeProcess, Stage};
use super::stage;

const IDLE: usize = 50;
/// Of memory for each idle connector.
const IDLE_KIB_MAX: u64 = 1_024;

/// Memory that is resident. KiB.
fn resident_kib(node: &NodeProcess) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

fn threads(node: &NodeProcess) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/task", node.pid()))?.count())
}

fn connector(stage: &Stage, number: usize) -> Connector {
    let name = format!("{}_{number}", stage.name);
    Connector::new(&name, &stage.uri()).collection(&stage.name, &format!("c{number}"))
}

/// A worker whose connectors all run.
async fn worker_of(stage: &Stage, connectors: usize) -> Result<NodeProcess> {
    let mut setup = stage.worker()?;
    for number in 0..connectors {
        setup = setup.connector(connector(stage, number));
    }
    let mut node = setup.start_running().await?;
    for number in 0..connectors {
        node.running(&format!("{}_{number}", stage.name)).await?;
    }
    Ok(node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connector_costs_less_than_a_mebibyte() -> Result<()> {
    let stage = stage("idle").await?;
    let one = worker_of(&stage, 1).await?;
    let (alone_kib, threads_alone) = (resident_kib(&one)?, threads(&one)?);
    one.stop().await?;
    let many = worker_of(&stage, IDLE + 1).await?;
    let each_kib = resident_kib(&many)?.saturating_sub(alone_kib) / IDLE as u64;
    println!("{each_kib} KiB for each of {IDLE} idle connectors; one alone has {alone_kib} KiB");
    let cores = std::thread::available_parallelism()?.get();
    assert!(threads(&many)? <= threads_alone + cores, "threads do not grow with connectors");
    many.stop().await?;
    assert!(each_kib <= IDLE_KIB_MAX, "{each_kib} KiB for each idle connector");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_many_connectors_gets_its_events() -> Result<()> {
    let stage = stage("many").await?;
    let connectors = 9;
    let mut node = worker_of(&stage, connectors).await?;
    for id in 0..20 {
        for number in 0..connectors {
            let collection = stage.database().collection(&format!("c{number}"));
            collection.insert_one(doc! { "_id": id }).await?;
        }
    }
    for number in 0..connectors {
        let topic = format!("{}.c{number}", stage.name);
        let records = stage.records_of(&topic).await?.at_least(20, &mut node).await?;
        let keys: Vec<String> = records.iter().map(|record| record.key_text().to_owned()).collect();
        let want: Vec<String> = (0..20).map(|id| format!(r#"{{"_id": {id}}}"#)).collect();
        assert_eq!(keys, want, "connector {number}");
    }
    node.stop().await?;
    Ok(())
}
