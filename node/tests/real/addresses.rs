//! Servers that are not there, or are not what they should be: said by name, with what to do about it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::Result;
use millrace_testbed::{MongodbPlan, Plan, Servers, Testbed};

use super::harness::servers::fresh;
use super::harness::{Connector, EVENTS, Setup};
use super::{servers, stage};

/// A connector whose reason to fail must be said in time.
fn connector(name: &str, uri: &str) -> Connector {
    Connector::new(name, uri).collection(name, EVENTS)
}

fn assert_says(log: &str, parts: &[&str]) {
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongodb_that_nobody_serves_is_named_after_the_time_that_the_address_allows() -> Result<()>
{
    let (servers, name) = (servers().await?, fresh("refused"));
    // Bound and never listening to what comes: a port that certainly refuses nobody else.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let uri = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=1500");
    let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector(&name, &uri));
    let started = Instant::now();
    let log = setup.fails(1).await?;
    let elapsed = started.elapsed();
    assert!(Duration::from_millis(1_400) < elapsed, "it gave up after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(15), "it took {elapsed:?}");
    let failed = format!("connector {name} failed");
    assert_says(&log, &[&failed, &format!("127.0.0.1:{port}"), "refused", "connection.uri"]);
    assert!(!setup.offsets().exists(), "a position of a stream that was never open");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongodb_host_that_does_not_exist_is_named() -> Result<()> {
    let (servers, name) = (servers().await?, fresh("unknown"));
    let uri = "mongodb://no-such-host.invalid:27017/?serverSelectionTimeoutMS=1500";
    let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector(&name, uri));
    let log = setup.fails(1).await?;
    assert_says(&log, &[&format!("connector {name} failed"), "no-such-host.invalid:27017"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standalone_mongod_is_told_from_a_replica_set_and_how_to_initiate_one() -> Result<()> {
    let (servers, name) = (servers().await?, fresh("standalone"));
    let plan = Plan::only_mongodb(MongodbPlan::standalone().cache_gb(0.25));
    let standalone = Testbed::up(plan, Servers::Native).await?;
    let address = standalone.mongodb().hosts()[0].clone();
    let setup = Setup::new(&servers.kafka().bootstrap())?
        .connector(connector(&name, &standalone.mongodb().uri()));
    let log = setup.fails(1).await?;
    let failed = format!("connector {name} failed");
    assert_says(&log, &[&failed, &address, "standalone", "--replSet", "rs.initiate()"]);
    Ok(())
}

/// With offsets in a file it is the task that fails, with offsets in a topic the worker: both at once, each takes 30 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_nobody_serves_is_named() -> Result<()> {
    let stage = stage("kafka").await?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let bootstrap = format!("127.0.0.1:{port}");
    let in_file = Setup::new(&bootstrap)?.connector(stage.connector());
    let in_topic = Setup::new(&bootstrap)?
        .without("offset.storage.file.filename")
        .worker("offset.storage.topic", "millrace_never")
        .connector(stage.connector());
    let (in_file, in_topic) = tokio::try_join!(in_file.fails(1), in_topic.fails(1))?;
    let failed = format!("connector {} failed", stage.name);
    assert_says(&in_file, &[&failed, &bootstrap, "refused", "bootstrap.servers"]);
    assert_says(&in_topic, &[&bootstrap, "millrace_never", "bootstrap.servers"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongodb_given_as_kafka_and_a_kafka_given_as_mongodb_are_named() -> Result<()> {
    let stage = stage("swapped").await?;
    let (mongodb, kafka) = (stage.testbed.mongodb().hosts()[0].clone(), stage.bootstrap());
    let uri = format!("mongodb://{kafka}/?serverSelectionTimeoutMS=1500");
    let setup = Setup::new(&kafka)?.connector(connector(&stage.name, &uri));
    let log = setup.fails(1).await?;
    assert_says(&log, &[&format!("connector {} failed", stage.name), &kafka, "connection.uri"]);
    let setup = Setup::new(&mongodb)?.connector(stage.connector());
    let log = setup.fails(1).await?;
    assert_says(
        &log,
        &[&format!("connector {} failed", stage.name), &mongodb, "bootstrap.servers"],
    );
    Ok(())
}
