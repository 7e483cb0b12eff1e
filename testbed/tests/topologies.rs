//! Topologies, encryption, passwords and limits against real servers: each is held against a client
//! that does without.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bson::doc;
use millrace_testbed::{
    Kafka, KafkaPlan, Lifetime, Limits, MongodbPlan, Plan, Process, Sasl, Servers, Testbed, Tls,
};
use mongodb::Client;
use rskafka::{
    chrono::DateTime,
    client::{
        ClientBuilder, Credentials, SaslConfig,
        partition::{Compression, UnknownTopicHandling},
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

async fn ping(uri: &str) -> Result<(), String> {
    let separator = if uri.contains('?') { '&' } else { '?' };
    let uri = format!("{uri}{separator}serverSelectionTimeoutMS=3000");
    let client = Client::with_uri_str(uri).await.map_err(|error| error.to_string())?;
    let ping = client.database("admin").run_command(doc! { "ping": 1 }).await;
    ping.map(drop).map_err(|error| error.to_string())
}

/// Runs a tool of Kafka with `input`; what it printed and whether it went well.
fn tool(kafka: &Kafka, class: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp"]);
    java.arg(kafka.libraries().unwrap().join("*")).arg(class);
    java.args(["--bootstrap-server", &kafka.bootstrap()]).args(arguments);
    java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = java.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn write_properties(path: &Path, properties: &[(String, String)]) {
    let line = |(name, value): &(String, String)| format!("{name}={value}\n");
    fs::write(path, properties.iter().map(line).collect::<String>()).unwrap();
}

async fn produce(kafka: &Kafka, topic: &str) -> Result<(), String> {
    let client = kafka.client().await.map_err(|error| format!("{error:#}"))?;
    let partition = client.partition_client(topic, 0, UnknownTopicHandling::Retry).await;
    let partition = partition.map_err(|error| error.to_string())?;
    let record = Record {
        key: None,
        value: Some(vec![7]),
        headers: Default::default(),
        timestamp: DateTime::from_timestamp_nanos(0),
    };
    let produced = partition.produce(vec![record], Compression::NoCompression);
    match tokio::time::timeout(Duration::from_secs(20), produced).await {
        Ok(done) => done.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

#[test]
fn mongod_with_tls_refuses_a_client_without_it() {
    on_a_runtime(async {
        for tls in [Tls::Server, Tls::Mutual] {
            let plan = MongodbPlan::default().cache_gb(0.25).oplog_mb(990).tls(tls).auth();
            let servers = Testbed::up(Plan::only_mongodb(plan), Servers::Native).await.unwrap();
            let mongodb = servers.mongodb();
            assert_eq!(mongodb.facts().tls, Some(tls));
            let uri = mongodb.uri();
            ping(&uri).await.unwrap();
            ping(&mongodb.member_uri(0).unwrap()).await.unwrap();
            let certificates = mongodb.certificates().unwrap();
            let plain = uri.split("&tls=").next().unwrap();
            assert!(ping(plain).await.is_err(), "{tls:?}: a plain client was served");
            assert!(mongodb.plain_uri().is_err(), "{tls:?} lets nobody in without");
            // The system's authorities did not sign it.
            assert!(ping(&format!("{plain}&tls=true")).await.is_err());
            let ca = certificates.ca.to_str().unwrap();
            let without_own = format!("{plain}&tls=true&tlsCAFile={}", ca.replace('/', "%2F"));
            match tls {
                Tls::Mutual => assert!(ping(&without_own).await.is_err()),
                Tls::Server | Tls::Offered | Tls::Off => ping(&without_own).await.unwrap(),
            }
            mongodb.kill(0).unwrap();
            mongodb.start(0).await.unwrap();
            ping(&uri).await.unwrap();
        }
    });
}

#[test]
fn servers_that_offer_tls_serve_who_takes_it_and_who_does_not() {
    on_a_runtime(async {
        let mongodb = MongodbPlan::default().cache_gb(0.25).oplog_mb(990).tls(Tls::Offered);
        let plan = Plan::default().mongodb(mongodb).kafka(KafkaPlan::default().tls(Tls::Offered));
        let servers = Testbed::up(plan, Servers::Native).await.unwrap();
        let (mongodb, kafka) = (servers.mongodb(), servers.kafka());
        let plain = mongodb.plain_uri().unwrap();
        assert!(!plain.contains("tls") && mongodb.uri().contains("tls=true"), "{plain}");
        for uri in [plain, mongodb.uri()] {
            ping(&uri).await.unwrap();
        }
        let java = mongodb.java_uri();
        assert!(java.contains("tls=true") && !java.contains("CAFile"), "{java}");
        assert!(ping(&java).await.is_err(), "the system's authorities did not sign it");
        let names = ClientBuilder::new(vec![kafka.plain_bootstrap().unwrap()]).build().await;
        names.unwrap().list_topics().await.unwrap();
        let encrypted = ClientBuilder::new(vec![kafka.bootstrap()]).build();
        let refused = tokio::time::timeout(Duration::from_secs(3), encrypted).await;
        assert!(!matches!(refused, Ok(Ok(_))), "a plain client was served where TLS is spoken");
    });
}

#[test]
fn three_brokers_with_tls_and_scram_serve_their_users_and_survive_one_of_them() {
    on_a_runtime(async {
        let plan = KafkaPlan::default().brokers(3).heap_mb(320);
        let plan = plan.tls(Tls::Mutual).sasl(Sasl::ScramSha512);
        let servers = Testbed::up(Plan::only_kafka(plan), Servers::Native).await.unwrap();
        let kafka = servers.kafka();
        assert_eq!((kafka.broker_count(), kafka.bootstrap().split(',').count()), (3, 3));
        let controller = kafka.client().await.unwrap().controller_client().unwrap();
        controller.create_topic("kept", 1, 3, 10_000).await.unwrap();

        let folder = servers.folder().unwrap();
        let good = folder.join("good.properties");
        write_properties(&good, &kafka.client_properties());
        let good = good.to_str().unwrap();
        let topic = ["--topic", "kept"];
        let class = "org.apache.kafka.tools.ConsoleProducer";
        let with = [&topic[..], &["--producer.config", good]].concat();
        let (done, text) = tool(kafka, class, &with, "one\ntwo\n");
        assert!(done && !text.contains("ERROR"), "{text}");
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let with = [&topic[..], &["--consumer.config", good, "--from-beginning"]].concat();
        let with = [&with[..], &["--max-messages", "2", "--timeout-ms", "30000"]].concat();
        let (done, text) = tool(kafka, class, &with, "");
        assert!(done && text.contains("one\ntwo\n"), "{text}");

        for spoil in ["sasl.jaas.config", "ssl.keystore.location"] {
            let mut properties = kafka.client_properties();
            let (_, password) = kafka.login().unwrap();
            for (name, value) in &mut properties {
                match spoil {
                    "sasl.jaas.config" => *value = value.replace(password, "wrong"),
                    _ if name.starts_with("ssl.keystore") => value.clear(),
                    _ => {}
                }
            }
            properties.retain(|(_, value)| !value.is_empty());
            properties.push(("default.api.timeout.ms".to_owned(), "6000".to_owned()));
            let path = folder.join("bad.properties");
            write_properties(&path, &properties);
            let with = ["--list", "--command-config", path.to_str().unwrap()];
            let (done, text) = tool(kafka, "org.apache.kafka.tools.TopicCommand", &with, "");
            assert!(!done, "{spoil}: a client without it was served:\n{text}");
        }

        let describe = ["--describe", "--topic", "kept", "--command-config", good];
        let (_, text) = tool(kafka, "org.apache.kafka.tools.TopicCommand", &describe, "");
        assert!(text.contains("ReplicationFactor: 3") && text.contains("min.insync.replicas=2"));
        kafka.kill_broker(1).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = produce(kafka, "kept").await {
            assert!(Instant::now() < deadline, "two of three take no record: {error}");
        }
        kafka.start_broker(1).await.unwrap();
        produce(kafka, "kept").await.unwrap();
    });
}

#[test]
fn broker_with_plain_passwords_refuses_who_has_none() {
    on_a_runtime(async {
        let plan = KafkaPlan::default().heap_mb(320).sasl(Sasl::Plain);
        let servers = Testbed::up(Plan::only_kafka(plan), Servers::Native).await.unwrap();
        let (user, password) = servers.kafka().login().unwrap();
        let ask = async |password: Option<&str>| {
            let mut builder = ClientBuilder::new(vec![servers.kafka().bootstrap()]);
            if let Some(password) = password {
                let login = Credentials::new(user.to_owned(), password.to_owned());
                builder = builder.sasl_config(SaslConfig::Plain(login));
            }
            let ask = async { builder.build().await?.list_topics().await };
            tokio::time::timeout(Duration::from_secs(5), ask).await
        };
        assert!(matches!(ask(Some(password)).await, Ok(Ok(_))));
        assert!(!matches!(ask(Some("wrong")).await, Ok(Ok(_))));
        assert!(!matches!(ask(None).await, Ok(Ok(_))));
    });
}

#[test]
fn server_has_the_cpus_and_memory_that_it_was_given_and_says_so() {
    on_a_runtime(async {
        let limits = Limits::default().cpus([0]).memory_mb(900);
        let plan = MongodbPlan::default().cache_gb(0.25).oplog_mb(990).limits(limits);
        let servers = Testbed::up(Plan::only_mongodb(plan), Servers::Native).await.unwrap();
        let bounds = servers.mongodb().facts().bounds.clone().unwrap();
        assert_eq!(bounds.cpus.as_deref(), Some("0"));
        let pid = servers.mongodb().pid(0).unwrap();
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let name = format!("millrace-{}-", std::process::id());
        match bounds.memory_mb {
            Some(memory_mb) => assert!(memory_mb == 900 && groups.contains(&name), "{groups}"),
            None => assert!(bounds.note.unwrap().contains("cgroup"), "no word of the reason"),
        }
        servers.mongodb().kill(0).unwrap();
        servers.mongodb().start(0).await.unwrap();
    });
}

#[test]
fn process_that_touches_more_memory_than_it_was_given_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let start = |limits: &Limits| {
        let mut greedy = Command::new("sh");
        // `tail` keeps all that it reads.
        greedy.args(["-c", "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c"]);
        let log = folder.path().join("log");
        Process::start_limited("greedy", greedy, &log, Lifetime::WithParent, limits).unwrap()
    };
    let wrote = |mut process: Process| {
        while process.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        process.log_tail(3)
    };
    assert!(wrote(start(&Limits::default())).contains("200000000"));
    let limited = start(&Limits::default().memory_mb(64));
    match limited.unlimited().map(str::to_owned) {
        None => assert!(!wrote(limited).contains("200000000")),
        Some(why) => assert!(why.contains("memory is not limited"), "{why}"),
    }
}
