//! The testbed against real servers: they serve, heed faults, and end when they must.
//!
//! Most tests share one set, three members with authentication and a broker, one test at a time.
//! The set sits in a static, so no destructor ends it: that the test run leaves no server behind is
//! the kernel's work, and what `servers_of_a_killed_parent_end` checks. Tests that need another
//! process (a parent to kill, other settings) run this binary again with one test and
//! `MILLRACE_TEST_ACT` set.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use bson::{Document, doc};
use millrace_testbed::{
    Kafka, KafkaPlan, Lifetime, Mongodb, MongodbPlan, Plan, Process, Servers, Testbed,
    detached::{self, End},
};
use mongodb::error::ErrorKind;
use rskafka::{
    chrono::DateTime,
    client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    record::Record,
};

const ACT: &str = "MILLRACE_TEST_ACT";

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Runs one test on the shared servers while no other test does.
fn on_shared_servers(test: impl AsyncFnOnce(&Mongodb, &Kafka) -> Result<()>) {
    static SHARED: OnceLock<Testbed> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let plan = Plan::default()
        .mongodb(MongodbPlan::default().members(3).auth().election_timeout_ms(2_000))
        .kafka(KafkaPlan::default().heap_mb(512).property("message.max.bytes", "20000"));
    let servers = SHARED.get_or_init(|| on_a_runtime(Testbed::up(plan, Servers::Native)).unwrap());
    on_a_runtime(test(servers.mongodb(), servers.kafka())).unwrap();
}

/// Runs `test` of this binary in a process of its own, which sees `act` in `MILLRACE_TEST_ACT`.
fn other_process(test: &str, act: &str, settings: &[(&str, String)], log: &Path) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ACT, act);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    Process::start(act, command, log, Lifetime::WithParent).unwrap()
}

/// The text after `word` on its line in the log, as soon as the line is whole.
fn logged(process: &mut Process, word: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let log = process.log_tail(1_000);
        if let Some((_, rest)) = log.split_once(word)
            && let Some((line, _)) = rest.split_once('\n')
        {
            return line.trim().to_owned();
        }
        assert!(process.try_wait().unwrap().is_none(), "it has ended:\n{log}");
        assert!(Instant::now() < deadline, "no {word:?} in:\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie whose new parent is slow to take notice is dead.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn soon(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn insert(mongodb: &Mongodb, name: &str) -> Result<()> {
    let documents = mongodb.client().await?.database("millrace_test").collection(name);
    documents.insert_one(doc! { "a": 1 }).await?;
    Ok(())
}

async fn count(mongodb: &Mongodb, name: &str) -> Result<u64> {
    let database = mongodb.client().await?.database("millrace_test");
    Ok(database.collection::<Document>(name).count_documents(doc! {}).await?)
}

async fn partition(kafka: &Kafka, topic: &str) -> Result<PartitionClient> {
    let client = kafka.client().await?;
    Ok(client.partition_client(topic, 0, UnknownTopicHandling::Retry).await?)
}

async fn produce(kafka: &Kafka, topic: &str, value: Vec<u8>) -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let record = Record {
        key: None,
        value: Some(value),
        headers: Default::default(),
        timestamp: DateTime::from_timestamp_nanos(now.as_nanos().try_into()?),
    };
    let partition = partition(kafka, topic).await?;
    let produced = partition.produce(vec![record], Compression::NoCompression).await?;
    Ok(produced.first().copied().unwrap_or(-1))
}

#[test]
fn replica_set_with_authentication_and_broker_serve() {
    on_shared_servers(async |mongodb, kafka| {
        assert_eq!(mongodb.member_count(), 3);
        assert_eq!(mongodb.hosts().len(), 3);
        assert!(mongodb.version().starts_with("6.0."), "{}", mongodb.version());
        assert_eq!(kafka.version(), Some("4.1.0"));
        insert(mongodb, "serves").await?;
        assert_eq!(count(mongodb, "serves").await?, 1);
        for member in 0..3 {
            let direct = mongodb::Client::with_uri_str(mongodb.member_uri(member)?).await?;
            let status =
                direct.database("admin").run_command(doc! { "replSetGetStatus": 1 }).await?;
            assert!(matches!(status.get_i32("myState"), Ok(1 | 2)), "{status}");
            assert!(mongodb.log_path(member)?.is_file());
        }
        kafka.client().await?.controller_client()?.create_topic("serves", 3, 1, 5_000).await?;
        assert_eq!(produce(kafka, "serves", vec![1]).await?, 0);
        assert!(kafka.log_path()?.is_file());
        Ok(())
    });
}

#[test]
fn wrong_password_and_missing_right_are_refused() {
    on_shared_servers(async |mongodb, _| {
        let wrong = mongodb::Client::with_uri_str(mongodb.uri_as("millrace_root", "wrong")).await?;
        let error = wrong.database("admin").run_command(doc! { "ping": 1 }).await.unwrap_err();
        assert!(matches!(*error.kind, ErrorKind::Authentication { .. }), "{error}");

        let role = doc! { "role": "read", "db": "millrace_test" };
        mongodb.create_user("reader", "p@ss/word", vec![role.into()]).await?;
        let reader = mongodb::Client::with_uri_str(mongodb.uri_as("reader", "p@ss/word")).await?;
        let documents = reader.database("millrace_test").collection("rights");
        documents.find_one(doc! {}).await?;
        let error = documents.insert_one(doc! {}).await.unwrap_err();
        assert!(error.to_string().contains("not authorized"), "{error}");
        Ok(())
    });
}

#[test]
fn killed_primary_is_replaced_and_comes_back_with_its_data() {
    on_shared_servers(async |mongodb, _| {
        insert(mongodb, "killed").await?;
        let killed = mongodb.primary().await?;
        let pid = mongodb.pid(killed)?;
        mongodb.kill(killed)?;
        assert!(!is_alive(pid));
        assert!(mongodb.pid(killed).is_err() && mongodb.kill(killed).is_err());
        assert_ne!(mongodb.primary().await?, killed);
        insert(mongodb, "killed").await?;
        mongodb.start(killed).await?;
        assert_ne!(mongodb.pid(killed)?, pid);
        assert!(mongodb.start(killed).await.is_err());
        mongodb.wait_ready().await?;
        assert_eq!(count(mongodb, "killed").await?, 2);
        Ok(())
    });
}

#[test]
fn step_down_gives_another_primary() {
    on_shared_servers(async |mongodb, _| {
        let before = mongodb.primary().await?;
        mongodb.step_down().await?;
        assert_ne!(mongodb.primary().await?, before);
        mongodb.wait_ready().await
    });
}

#[test]
fn paused_member_answers_nothing_until_it_is_resumed() {
    on_shared_servers(async |mongodb, _| {
        let paused = (mongodb.primary().await? + 1) % 3;
        let direct = mongodb::Client::with_uri_str(mongodb.member_uri(paused)?).await?;
        let admin = direct.database("admin");
        let ping = || admin.run_command(doc! { "ping": 1 }).into_future();
        ping().await?;
        mongodb.pause(paused)?;
        let answer = tokio::time::timeout(Duration::from_millis(500), ping()).await;
        mongodb.resume(paused)?;
        assert!(answer.is_err(), "{answer:?}");
        ping().await?;
        Ok(())
    });
}

#[test]
fn restarted_broker_keeps_its_data() {
    on_shared_servers(async |_, kafka| {
        kafka.client().await?.controller_client()?.create_topic("kept", 1, 1, 5_000).await?;
        let pid = kafka.pid()?;
        for round in 0..2 {
            assert_eq!(produce(kafka, "kept", vec![7; 100]).await?, round);
            if round == 0 {
                kafka.kill()?;
            } else {
                kafka.stop().await?;
            }
            assert!(kafka.pid().is_err());
            kafka.start().await?;
        }
        assert_eq!(partition(kafka, "kept").await?.get_offset(OffsetAt::Latest).await?, 2);
        assert_ne!(kafka.pid()?, pid);
        Ok(())
    });
}

#[test]
fn planned_property_reaches_the_broker() {
    on_shared_servers(async |_, kafka| {
        kafka.client().await?.controller_client()?.create_topic("limited", 1, 1, 5_000).await?;
        produce(kafka, "limited", vec![0; 19_000]).await?;
        let error = produce(kafka, "limited", vec![0; 21_000]).await.unwrap_err();
        assert!(format!("{error:#}").contains("MessageTooLarge"), "{error:#}");
        Ok(())
    });
}

#[test]
fn servers_given_from_outside_are_used_and_left_alone() {
    const TEST: &str = "servers_given_from_outside_are_used_and_left_alone";
    if env::var_os(ACT).is_some() {
        return on_a_runtime(use_external_servers());
    }
    let folder = tempfile::tempdir().unwrap();
    on_shared_servers(async |mongodb, kafka| {
        let settings = [
            ("MILLRACE_MONGODB_URI", mongodb.uri()),
            ("MILLRACE_KAFKA_BOOTSTRAP", kafka.bootstrap()),
        ];
        let mut user = other_process(TEST, "user", &settings, &folder.path().join("log"));
        let ended = loop {
            if let Some(status) = user.try_wait()? {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(ended.success(), "{}", user.log_tail(100));
        assert!(is_alive(kafka.pid()?) && is_alive(mongodb.pid(0)?));
        Ok(())
    });
}

async fn use_external_servers() {
    let servers = Testbed::up(Plan::default(), Servers::Auto).await.unwrap();
    assert!(servers.is_external() && servers.folder().is_none());
    let facts = servers.facts().mongodb.unwrap();
    assert_eq!((facts.members, facts.auth), (3, true));
    insert(servers.mongodb(), "external").await.unwrap();
    let error = servers.kafka().kill().unwrap_err().to_string();
    assert!(error.contains("was not started here"), "{error}");
    assert!(servers.mongodb().step_down().await.is_err());
    assert!(servers.own_name("orders").is_err() && servers.own_name("millrace_a").is_ok());
}

#[test]
fn servers_of_a_killed_parent_end() {
    const TEST: &str = "servers_of_a_killed_parent_end";
    if env::var_os(ACT).is_some() {
        return on_a_runtime(async {
            let servers = Testbed::up(Plan::default(), Servers::Native).await.unwrap();
            let (mongod, kafka) =
                (servers.mongodb().pid(0).unwrap(), servers.kafka().pid().unwrap());
            println!("servers: {mongod} {kafka} {}", servers.folder().unwrap().display());
            std::future::pending::<()>().await;
        });
    }
    let log = tempfile::tempdir().unwrap();
    let mut parent = other_process(TEST, "parent", &[], &log.path().join("log"));
    let line = logged(&mut parent, "servers:");
    let mut words = line.split(' ');
    let mut pid = || words.next().unwrap().parse::<u32>().unwrap();
    let (mongod, kafka) = (pid(), pid());
    let folder = PathBuf::from(words.next().unwrap());
    assert!(is_alive(mongod) && is_alive(kafka) && folder.is_dir());
    parent.kill().unwrap();
    soon("the servers end", || !is_alive(mongod) && !is_alive(kafka));
    soon("their folder is removed", || !folder.exists());
}

#[test]
fn servers_end_when_their_owner_panics() {
    let (pid, folder) = on_a_runtime(async {
        let task = tokio::spawn(async {
            let plan = Plan::only_mongodb(MongodbPlan::default().cache_gb(0.25));
            let servers = Testbed::up(plan, Servers::Native).await.unwrap();
            insert(servers.mongodb(), "panic").await.unwrap();
            let pid = servers.mongodb().pid(0).unwrap();
            std::panic::panic_any((pid, servers.folder().unwrap().to_owned()));
        });
        *task.await.unwrap_err().into_panic().downcast::<(u32, PathBuf)>().unwrap()
    });
    assert!(!is_alive(pid) && !folder.exists());
}

#[test]
fn standalone_is_no_replica_set() {
    on_a_runtime(async {
        let plan = Plan::only_mongodb(MongodbPlan::standalone());
        let servers = Testbed::up(plan, Servers::Native).await.unwrap();
        let mongodb = servers.mongodb();
        assert_eq!(mongodb.replica_set(), None);
        assert!(!mongodb.uri().contains("replicaSet"));
        insert(mongodb, "alone").await.unwrap();
        let documents = mongodb
            .client()
            .await
            .unwrap()
            .database("millrace_test")
            .collection::<Document>("alone");
        let error = documents.watch().await.unwrap_err();
        assert!(error.to_string().contains("replica set"), "{error}");
        mongodb.stop(0).await.unwrap();
        mongodb.start(0).await.unwrap();
        assert_eq!(count(mongodb, "alone").await.unwrap(), 1);
    });
}

#[test]
fn server_that_does_not_come_up_says_why_and_where_its_log_is() {
    let plan = Plan::only_mongodb(MongodbPlan::default().parameter("noSuchParameter", "1"));
    let error = on_a_runtime(Testbed::up(plan, Servers::Native)).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("noSuchParameter") && text.contains("ended by itself"), "{text}");
    let log = text.split(' ').find(|word| word.ends_with("/mongod-0/log")).unwrap();
    assert!(Path::new(log).is_file(), "{log}");
    fs::remove_dir_all(Path::new(log).parent().unwrap().parent().unwrap()).unwrap();
}

#[test]
fn detached_servers_outlive_their_starter_until_they_are_ended() {
    const TEST: &str = "detached_servers_outlive_their_starter_until_they_are_ended";
    if env::var_os(ACT).is_some() {
        return on_a_runtime(async {
            let mut state = detached::up(Plan::default()).await.unwrap();
            let mut node = Command::new("sleep");
            node.arg("100");
            let log = state.folder.join("node.log");
            let node = Process::start("node", node, &log, Lifetime::Detached).unwrap();
            state.add_process("node", node.pid()).unwrap();
            node.leave();
            println!("state: {}", state.folder.display());
            std::future::pending::<()>().await;
        });
    }
    let log = tempfile::tempdir().unwrap();
    let mut starter = other_process(TEST, "starter", &[], &log.path().join("log"));
    let folder = PathBuf::from(logged(&mut starter, "state:"));
    starter.kill().unwrap();
    let find = || {
        let all = on_a_runtime(detached::status()).unwrap();
        all.into_iter().find(|status| status.state.folder == folder)
    };
    let status = find().unwrap();
    assert_eq!(status.ended, [""; 0]);
    assert_eq!(status.running.last().map(String::as_str), Some("node"));
    assert_eq!(status.running.len(), 3);
    assert!(serde_json::to_string(&status).unwrap().contains("mongodb_uri"));
    on_a_runtime(async {
        let uri = status.state.mongodb_uri.as_ref().unwrap();
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
        let report = status.state.down().await.unwrap();
        let ends: Vec<(&str, End)> =
            report.processes.iter().map(|ended| (ended.role.as_str(), ended.end)).collect();
        assert_eq!(ends.first(), Some(&("node", End::Stopped)));
        assert!(ends.contains(&("mongod-0", End::Killed)), "{ends:?}");
        assert!(ends.contains(&("kafka", End::Killed)), "{ends:?}");
    });
    assert!(find().is_none() && !folder.exists());
}
