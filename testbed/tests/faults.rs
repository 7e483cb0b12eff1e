//! Every fault against real servers: a client sees what its name says, and its undo ends it.
//!
//! Most tests share one set, three members and a broker with proxies before them, one test at a
//! time; each leaves it as it found it.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    net::TcpStream,
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use millrace_testbed::{
    Kafka, KafkaPlan, Mongodb, MongodbPlan, Plan, Servers, Testbed,
    faults::{Fault, Target},
};
use mongodb::Client;
use rskafka::{
    chrono::DateTime,
    client::{
        ClientBuilder,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};

/// Clients of Kafka try for ever; a test does not.
const LIMIT: Duration = Duration::from_secs(240);

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.block_on(async { tokio::time::timeout(LIMIT, future).await });
    done.expect("the test is not done")
}

/// Runs one test on the shared servers while no other test does.
fn on_shared_servers(test: impl AsyncFnOnce(&Testbed) -> Result<()>) {
    static SHARED: OnceLock<Testbed> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mongodb = MongodbPlan::default().members(3).cache_gb(0.25).oplog_mb(16);
    let plan = Plan::default()
        .mongodb(mongodb.election_timeout_ms(2_000).proxied())
        .kafka(KafkaPlan::default().heap_mb(512).proxied());
    let servers = SHARED.get_or_init(|| on_a_runtime(Testbed::up(plan, Servers::Native)).unwrap());
    on_a_runtime(test(servers)).unwrap();
}

/// A client of one member through its proxy.
async fn proxied_client(mongodb: &Mongodb, member: usize) -> Result<Client> {
    let host = &mongodb.hosts()[member];
    assert_eq!(*host, mongodb.proxy(member)?.address());
    Ok(Client::with_uri_str(format!("mongodb://{host}/?directConnection=true")).await?)
}

async fn ping(client: &Client) -> Result<Duration> {
    let begun = Instant::now();
    client.database("admin").run_command(doc! { "ping": 1 }).await?;
    Ok(begun.elapsed())
}

/// The quickest of several: others are late on a loaded machine, none is early.
async fn quickest_ping(client: &Client) -> Result<Duration> {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        quickest = quickest.min(ping(client).await?);
    }
    Ok(quickest)
}

async fn within<T>(limit_ms: u64, work: impl Future<Output = Result<T>>) -> Option<Result<T>> {
    tokio::time::timeout(Duration::from_millis(limit_ms), work).await.ok()
}

/// A partition as a client reaches it: by the address that it is given.
async fn partition(kafka: &Kafka, topic: &str) -> Result<PartitionClient> {
    let controller = kafka.client().await?.controller_client()?;
    // It may be there from a test before.
    let _ = controller.create_topic(topic, 1, 1, 5_000).await;
    let client = ClientBuilder::new(vec![kafka.bootstrap()]).build().await?;
    Ok(client.partition_client(topic, 0, UnknownTopicHandling::Retry).await?)
}

async fn produce(partition: &PartitionClient, bytes: usize) -> Result<Duration> {
    let record = Record {
        key: None,
        value: Some(vec![7; bytes]),
        headers: Default::default(),
        timestamp: DateTime::from_timestamp_nanos(0),
    };
    let begun = Instant::now();
    partition.produce(vec![record], Compression::NoCompression).await?;
    Ok(begun.elapsed())
}

#[test]
fn delay_is_what_a_client_measures() {
    on_shared_servers(async |servers| {
        let primary = servers.mongodb().primary().await?;
        let client = proxied_client(servers.mongodb(), primary).await?;
        let topic = partition(servers.kafka(), "delay").await?;
        let before = quickest_ping(&client).await?;
        produce(&topic, 1).await?;
        ensure!(before < Duration::from_millis(20), "{before:?}");
        let target = Target::Primary;
        let mongodb = Fault::Delay { target, to_server_ms: 20, to_client_ms: 40 };
        let mongodb = servers.inject(&mongodb).await?;
        let target = Target::Broker(0);
        let kafka = Fault::Delay { target, to_server_ms: 50, to_client_ms: 0 };
        let kafka = servers.inject(&kafka).await?;
        let with = quickest_ping(&client).await?;
        ensure!((60..80).contains(&with.as_millis()), "{with:?}");
        let produced = produce(&topic, 1).await?;
        ensure!(produced >= Duration::from_millis(50), "{produced:?}");
        mongodb.undo(servers).await?;
        kafka.undo(servers).await?;
        let after = quickest_ping(&client).await?;
        ensure!(after < Duration::from_millis(20), "{after:?}");
        Ok(())
    });
}

#[test]
fn throttle_is_what_a_producer_measures() {
    on_shared_servers(async |servers| {
        let topic = partition(servers.kafka(), "throttle").await?;
        let before = produce(&topic, 500_000).await?;
        ensure!(before < Duration::from_millis(900), "{before:?}");
        let fault = Fault::Throttle { target: Target::Broker(0), bytes_per_s: 500_000 };
        let throttled = servers.inject(&fault).await?;
        let with = produce(&topic, 500_000).await?;
        throttled.undo(servers).await?;
        ensure!((950..1_500).contains(&with.as_millis()), "{with:?}");
        Ok(())
    });
}

#[test]
fn stalled_server_answers_when_the_stall_is_over() {
    on_shared_servers(async |servers| {
        let topic = partition(servers.kafka(), "stall").await?;
        produce(&topic, 1).await?;
        let stalled = servers.inject(&Fault::Stall { target: Target::Broker(0) }).await?;
        let waiting = produce(&topic, 1);
        tokio::pin!(waiting);
        ensure!(within(500, &mut waiting).await.is_none(), "it was answered");
        stalled.undo(servers).await?;
        let answer = within(5_000, waiting).await.context("it is not answered")??;
        ensure!(answer >= Duration::from_millis(500), "{answer:?}");
        Ok(())
    });
}

#[test]
fn reset_is_what_a_connected_client_sees() {
    on_shared_servers(async |servers| {
        let proxy = servers.kafka().proxy(0)?;
        let accepted = proxy.accepted();
        let mut stream = TcpStream::connect(servers.kafka().bootstrap())?;
        // The kernel accepts before the proxy does, and only the proxy can reset.
        while proxy.accepted() == accepted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        servers.inject(&Fault::Reset { target: Target::Broker(0) }).await?.undo(servers).await?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let error = stream.read(&mut [0]).err().context("it was closed without RST")?;
        ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
        produce(&partition(servers.kafka(), "reset").await?, 1).await?;
        servers.inject(&Fault::Reset { target: Target::Primary }).await?.undo(servers).await?;
        ping(&proxied_client(servers.mongodb(), 0).await?).await?;
        servers.mongodb().wait_ready().await
    });
}

#[test]
fn half_open_server_takes_connections_and_answers_nothing() {
    on_shared_servers(async |servers| {
        let secondary = (servers.mongodb().primary().await? + 1) % 3;
        let client = proxied_client(servers.mongodb(), secondary).await?;
        ping(&client).await?;
        let fault = Fault::HalfOpen { target: Target::Member(secondary) };
        let half_open = servers.inject(&fault).await?;
        let again = servers.inject(&fault).await.err().context("it was made worse twice")?;
        ensure!(format!("{again:#}").contains("undo that first"), "{again:#}");
        ensure!(TcpStream::connect(&servers.mongodb().hosts()[secondary]).is_ok());
        let answer = within(500, ping(&client)).await;
        half_open.undo(servers).await?;
        ensure!(answer.is_none(), "{answer:?}");
        ping(&proxied_client(servers.mongodb(), secondary).await?).await?;
        servers.mongodb().wait_ready().await
    });
}

#[test]
fn killed_primary_is_replaced_and_comes_back_with_the_undo() {
    on_shared_servers(async |servers| {
        let mongodb = servers.mongodb();
        let primary = mongodb.primary().await?;
        let killed = servers.inject(&Fault::Kill { target: Target::Primary }).await?;
        ensure!(mongodb.pid(primary).is_err());
        ensure!(mongodb.primary().await? != primary);
        killed.undo(servers).await?;
        ping(&proxied_client(mongodb, primary).await?).await?;
        mongodb.wait_ready().await
    });
}

#[test]
fn killed_broker_refuses_and_comes_back_with_the_undo() {
    on_shared_servers(async |servers| {
        let topic = partition(servers.kafka(), "killed").await?;
        produce(&topic, 1).await?;
        let killed = servers.inject(&Fault::Kill { target: Target::Broker(0) }).await?;
        ensure!(servers.kafka().client().await.is_err());
        killed.undo(servers).await?;
        produce(&partition(servers.kafka(), "killed").await?, 1).await?;
        Ok(())
    });
}

#[test]
fn paused_broker_answers_when_it_goes_on() {
    on_shared_servers(async |servers| {
        let topic = partition(servers.kafka(), "paused").await?;
        produce(&topic, 1).await?;
        let paused = servers.inject(&Fault::Pause { target: Target::Broker(0) }).await?;
        let waiting = produce(&topic, 1);
        tokio::pin!(waiting);
        ensure!(within(500, &mut waiting).await.is_none(), "it was answered");
        paused.undo(servers).await?;
        within(5_000, waiting).await.context("it is not answered")??;
        Ok(())
    });
}

#[test]
fn slow_broker_takes_longer_on_average() {
    on_shared_servers(async |servers| {
        let topic = partition(servers.kafka(), "slow").await?;
        async fn mean(topic: &PartitionClient) -> Result<Duration> {
            let mut sum = Duration::ZERO;
            for _ in 0..50 {
                sum += produce(topic, 1).await?;
                // So that requests come at all points of the cycle.
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            Ok(sum / 50)
        }
        mean(&topic).await?;
        let before = mean(&topic).await?;
        let fault = Fault::Slow { target: Target::Broker(0), running_percent: 10 };
        let slow = servers.inject(&fault).await?;
        let with = mean(&topic).await;
        slow.undo(servers).await?;
        let (with, after) = (with?, mean(&topic).await?);
        ensure!(with > before * 2 && with > after * 2, "{before:?}, {with:?}, {after:?}");
        Ok(())
    });
}

#[test]
fn election_and_step_down_give_another_primary() {
    on_shared_servers(async |servers| {
        let mongodb = servers.mongodb();
        for fault in [Fault::Election, Fault::StepDown { for_s: 5 }] {
            let before = mongodb.primary().await?;
            servers.inject(&fault).await?.undo(servers).await?;
            ensure!(mongodb.primary().await? != before, "{fault:?}");
        }
        mongodb.wait_ready().await
    });
}

#[test]
fn rolling_restart_renews_every_process_and_a_patient_writer_loses_nothing() {
    on_shared_servers(async |servers| {
        let mongodb = servers.mongodb();
        let pids = || (0..3).map(|member| mongodb.pid(member)).collect::<Result<Vec<_>>>();
        let (before, broker) = (pids()?, servers.kafka().pid()?);
        let documents = mongodb.client().await?.database("millrace_test").collection("rolled");
        let write = async {
            let mut written = 0;
            loop {
                // The driver tries once more by itself; a second time is ours.
                let mut tries = 0;
                while documents.insert_one(doc! { "_id": written }).await.is_err() && tries < 50 {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let found = documents.find_one(doc! { "_id": written }).await;
                    if matches!(found, Ok(Some(_))) {
                        break;
                    }
                }
                written += 1;
                WRITTEN.store(written, std::sync::atomic::Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        static WRITTEN: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);
        tokio::select! {
            () = write => {}
            done = async {
                servers.inject(&Fault::RollingRestartMongodb).await?.undo(servers).await
            } => done?,
        }
        let written = WRITTEN.load(std::sync::atomic::Ordering::Relaxed);
        let found = mongodb.client().await?.database("millrace_test");
        let found = found.collection::<Document>("rolled").count_documents(doc! {}).await?;
        ensure!(written > 10 && found >= u64::try_from(written)?, "{found} of {written}");
        servers.inject(&Fault::RollingRestartKafka).await?.undo(servers).await?;
        let after = pids()?;
        ensure!(before.iter().all(|pid| !after.contains(pid)), "{before:?}, {after:?}");
        ensure!(servers.kafka().pid()? != broker);
        Ok(())
    });
}

#[test]
fn resume_token_of_before_a_rolled_over_oplog_is_lost() {
    on_shared_servers(async |servers| {
        let database = servers.mongodb().client().await?.database("millrace_test");
        let documents = database.collection::<Document>("history");
        let mut stream = documents.watch().await?;
        documents.insert_one(doc! { "a": 1 }).await?;
        while stream.next_if_any().await?.is_none() {}
        let token = stream.resume_token().context("no token")?;
        drop(stream);
        drop(documents.watch().resume_after(token.clone()).await?);
        servers.inject(&Fault::OplogRollOver).await?.undo(servers).await?;
        let error = match documents.watch().resume_after(token).await {
            Ok(mut stream) => stream.next_if_any().await.err(),
            Err(error) => Some(error),
        };
        let error = error.context("the token is still good")?.to_string();
        ensure!(error.contains("ChangeStreamHistoryLost") || error.contains("286"), "{error}");
        Ok(())
    });
}

#[test]
fn full_disk_stops_writes_until_room_is_given_back() {
    let mongodb = MongodbPlan::default().cache_gb(0.25).oplog_mb(990).disk_mb(450);
    let plan =
        Plan::default().mongodb(mongodb).kafka(KafkaPlan::default().heap_mb(512).disk_mb(100));
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let error = on_a_runtime(Testbed::up(plan, Servers::Native)).unwrap_err();
        assert!(error.to_string().contains("takes root"), "{error:#}");
        return;
    }
    let folder = on_a_runtime(async {
        let servers = Testbed::up(plan, Servers::Native).await.unwrap();
        let topic = partition(servers.kafka(), "full").await.unwrap();
        produce(&topic, 100_000).await.unwrap();
        let full = Fault::DiskFull { target: Target::Broker(0) };
        let full = servers.inject(&full).await.unwrap();
        let produced = async { produce(&topic, 900_000).await };
        let answer = within(5_000, produced).await;
        assert!(!matches!(answer, Some(Ok(_))), "a full disk took 900 kB: {answer:?}");
        full.undo(&servers).await.unwrap();
        produce(&partition(servers.kafka(), "full").await.unwrap(), 100_000).await.unwrap();

        let full = Fault::DiskFull { target: Target::Member(0) };
        let full = servers.inject(&full).await.unwrap();
        let blob = "x".repeat(1 << 20);
        let write = async || {
            let client = servers.mongodb().client().await?;
            let documents = client.database("millrace_test").collection("full");
            for _ in 0..300 {
                documents.insert_one(doc! { "blob": &blob }).await?;
            }
            anyhow::Ok(())
        };
        let answer = within(20_000, write()).await;
        assert!(!matches!(answer, Some(Ok(()))), "a full disk took 300 MB");
        full.undo(&servers).await.unwrap();
        let client = servers.mongodb().client().await.unwrap();
        let documents = client.database("millrace_test").collection("room");
        documents.insert_one(doc! { "a": 1 }).await.unwrap();
        servers.folder().unwrap().to_owned()
    });
    assert!(!folder.exists());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
}

#[test]
fn fault_that_the_plan_has_no_room_for_says_what_to_plan() {
    on_shared_servers(async |servers| {
        let full = Fault::DiskFull { target: Target::Broker(0) };
        let error = servers.inject(&full).await.err().context("it was done")?;
        ensure!(format!("{error:#}").contains("disk_mb"), "{error:#}");
        let nobody = Fault::Kill { target: Target::Member(9) };
        let error = servers.inject(&nobody).await.err().context("it was done")?;
        ensure!(format!("{error:#}").contains("there is no member 9"), "{error:#}");
        Ok(())
    });
}
