//! Servers in containers, for real: they serve, heed faults, and are gone when they must be.
//!
//! Runs where a Docker daemon answers, and under `CI=true` whether one does or not: then its want is
//! a failure. Images that are not there are built from the native files.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bson::{Document, doc};
use millrace_testbed::{
    KafkaPlan, Lifetime, Limits, MongodbPlan, Origin, Plan, Process, Servers, Testbed,
    build_images, detached,
};
use rskafka::{
    chrono::DateTime,
    client::partition::{Compression, OffsetAt, UnknownTopicHandling},
    record::Record,
};
use testcontainers::{
    bollard::query_parameters::ListContainersOptionsBuilder, core::client::docker_client_instance,
};

const ACT: &str = "MILLRACE_TEST_ACT";

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// False where no daemon answers and none is asked for.
fn there_is_docker() -> bool {
    let answers = on_a_runtime(async {
        let api = docker_client_instance().await.ok()?;
        tokio::time::timeout(Duration::from_secs(3), api.ping()).await.ok()?.ok()
    });
    if answers.is_none() {
        let in_ci = env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "no Docker daemon answers, and CI=true wants one");
        eprintln!("no Docker daemon answers: not run");
    }
    answers.is_some()
}

fn plan() -> Plan {
    Plan::default()
        .mongodb(MongodbPlan::default().cache_gb(0.25).oplog_mb(990))
        .kafka(KafkaPlan::default().heap_mb(512))
}

async fn up(plan: Plan) -> Testbed {
    match Testbed::up(plan.clone(), Servers::Docker).await {
        Err(error) if format!("{error:#}").contains("testbed images") => {
            let built = build_images().await.unwrap();
            assert!(built.iter().all(|image| image.name.starts_with("millrace/")), "{built:?}");
            Testbed::up(plan, Servers::Docker).await.unwrap()
        }
        servers => servers.unwrap(),
    }
}

/// Roles of the containers that belong to a run folder.
async fn containers(folder: &Path) -> Vec<String> {
    let api = docker_client_instance().await.unwrap();
    let label = format!("io.millrace.testbed.folder={}", folder.display());
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let all = api.list_containers(Some(options)).await.unwrap();
    let role = |labels: HashMap<String, String>| labels["io.millrace.testbed.role"].clone();
    let mut roles: Vec<_> = all.into_iter().filter_map(|c| c.labels.map(role)).collect();
    roles.sort();
    roles
}

async fn insert_and_count(servers: &Testbed) -> Result<u64> {
    let database = servers.mongodb().client().await?.database("millrace_test");
    let documents = database.collection::<Document>("kept");
    documents.insert_one(doc! { "a": 1 }).await?;
    Ok(documents.count_documents(doc! {}).await?)
}

/// Produces one record and returns how many there are, by the address that clients are given.
async fn produce_and_count(servers: &Testbed) -> Result<i64> {
    let bootstrap = vec![servers.kafka().bootstrap()];
    let client = rskafka::client::ClientBuilder::new(bootstrap).build().await?;
    let partition = client.partition_client("kept", 0, UnknownTopicHandling::Retry).await?;
    let record = Record {
        key: None,
        value: Some(vec![1]),
        headers: Default::default(),
        timestamp: DateTime::from_timestamp_nanos(0),
    };
    partition.produce(vec![record], Compression::NoCompression).await?;
    Ok(partition.get_offset(OffsetAt::Latest).await?)
}

#[test]
fn servers_in_containers_serve_heed_faults_and_are_gone_afterwards() {
    if !there_is_docker() {
        return;
    }
    on_a_runtime(async {
        let limits = Limits::default().cpus([0]);
        let mut plan = plan();
        plan.kafka = plan.kafka.map(|kafka| kafka.limits(limits.memory_mb(1_024)));
        let servers = up(plan).await;
        let facts = servers.facts();
        assert_eq!(facts.origin, Origin::Docker);
        assert!(facts.mongodb.unwrap().image.unwrap().contains("mongo"));
        let kafka = facts.kafka.unwrap();
        assert!(kafka.image.unwrap().contains("kafka") && kafka.java >= Some(17));
        assert_eq!(kafka.version.as_deref(), Some("4.1.0"));
        let bounds = kafka.bounds.unwrap();
        assert_eq!((bounds.cpus.as_deref(), bounds.memory_mb), (Some("0"), Some(1_024)));
        let folder = servers.folder().unwrap().to_owned();
        assert_eq!(containers(&folder).await, ["kafka", "mongod-0"]);

        let controller = servers.kafka().client().await.unwrap().controller_client().unwrap();
        controller.create_topic("kept", 1, 1, 5_000).await.unwrap();
        assert_eq!(insert_and_count(&servers).await.unwrap(), 1);
        assert_eq!(produce_and_count(&servers).await.unwrap(), 1);

        servers.mongodb().pause(0).unwrap();
        let answer =
            tokio::time::timeout(Duration::from_millis(500), insert_and_count(&servers)).await;
        servers.mongodb().resume(0).unwrap();
        assert!(answer.is_err(), "{answer:?}");

        let pid = servers.mongodb().pid(0).unwrap();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert_eq!(name.trim(), "mongod");
        servers.mongodb().kill(0).unwrap();
        assert!(servers.mongodb().pid(0).is_err());
        servers.kafka().stop().await.unwrap();
        servers.mongodb().start(0).await.unwrap();
        servers.kafka().start().await.unwrap();
        assert!(2 <= insert_and_count(&servers).await.unwrap());
        assert_eq!(produce_and_count(&servers).await.unwrap(), 2);
        let log = fs::read_to_string(servers.kafka().log_path().unwrap()).unwrap();
        assert_eq!(log.matches("Kafka Server started").count(), 2);

        drop(servers);
        assert_eq!(containers(&folder).await, [""; 0]);
        assert!(!folder.exists());
    });
}

#[test]
fn container_that_does_not_come_up_says_why_and_is_gone() {
    if !there_is_docker() {
        return;
    }
    on_a_runtime(async {
        drop(up(Plan::only_mongodb(MongodbPlan::default())).await);
        let plan = Plan::only_mongodb(MongodbPlan::default().parameter("noSuchParameter", "1"));
        let error = Testbed::up(plan, Servers::Docker).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("noSuchParameter") && text.contains("ended by itself"), "{text}");
        let log = text.split(' ').find(|word| word.ends_with("/mongod-0/log")).unwrap();
        let folder = Path::new(log).parent().unwrap().parent().unwrap();
        assert!(Path::new(log).is_file(), "{log}");
        assert_eq!(containers(folder).await, [""; 0]);
        fs::remove_dir_all(folder).unwrap();
    });
}

#[test]
fn containers_of_a_killed_parent_are_removed() {
    const TEST: &str = "containers_of_a_killed_parent_are_removed";
    if env::var_os(ACT).is_some() {
        return on_a_runtime(async {
            let servers = up(Plan::only_mongodb(MongodbPlan::default())).await;
            println!("folder: {}", servers.folder().unwrap().display());
            std::future::pending::<()>().await;
        });
    }
    if !there_is_docker() {
        return;
    }
    let log = tempfile::tempdir().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(ACT, "parent");
    let path = log.path().join("log");
    let mut parent = Process::start("parent", command, &path, Lifetime::WithParent).unwrap();
    let folder = PathBuf::from(logged(&mut parent, "folder:"));
    assert_eq!(on_a_runtime(containers(&folder)), ["mongod-0"]);
    parent.kill().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while folder.exists() || !on_a_runtime(containers(&folder)).is_empty() {
        assert!(Instant::now() < deadline, "the container is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn detached_containers_stay_until_they_are_taken_down() {
    if !there_is_docker() {
        return;
    }
    on_a_runtime(async {
        drop(up(Plan::only_mongodb(MongodbPlan::default())).await);
        let plan = Plan::only_mongodb(MongodbPlan::default());
        let state = detached::up_from(plan, Servers::Docker).await.unwrap();
        assert!(state.containers && state.processes.is_empty());
        let all = detached::status().await.unwrap();
        let status = all.into_iter().find(|s| s.state.folder == state.folder).unwrap();
        assert_eq!(status.running, ["mongod-0"]);
        let client = mongodb::Client::with_uri_str(state.mongodb_uri.as_ref().unwrap()).await;
        client.unwrap().database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
        let report = state.down().await.unwrap();
        assert_eq!(report.containers, ["mongod-0"]);
        assert_eq!(containers(&state.folder).await, [""; 0]);
        assert!(!state.folder.exists());
    });
}

/// The text after `word` on its line in the log, as soon as the line is whole.
fn logged(process: &mut Process, word: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let log = process.log_tail(1_000);
        let rest = log.split_once(word).and_then(|(_, rest)| rest.split_once('\n'));
        if let Some((line, _)) = rest {
            return line.trim().to_owned();
        }
        let ended = process.try_wait().context("wait for the parent").unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "no {word:?} in:\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
