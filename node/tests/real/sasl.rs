//! Brokers that ask who the node is: by every mechanism, again and again, and in vain.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::doc;
use millrace_testbed::{KafkaPlan, Plan, Sasl, Servers, Testbed, Tls};

use super::harness::rest::Ask;
use super::harness::servers::{Shared, fresh};
use super::harness::{Connector, EVENTS, NodeProcess, Records, Setup, eventually};

/// Sessions end after this long, so that every test that takes its time logs in again.
const SESSION: Duration = Duration::from_secs(3);

/// Encrypted listeners with SCRAM-SHA-512, and one in the clear for who looks on.
async fn brokers() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || {
        let session_ms = SESSION.as_millis().to_string();
        let kafka = KafkaPlan::default().heap_mb(320).tls(Tls::Offered).sasl(Sasl::ScramSha512);
        Plan::only_kafka(kafka.property("connections.max.reauth.ms", &session_ms))
    };
    SHARED.get(Servers::Native, plan).await
}

/// One test: brokers of its choice, and the MongoDB that all share.
struct Trial {
    mongodb: Arc<Testbed>,
    brokers: Arc<Testbed>,
    name: String,
}

impl Trial {
    async fn new(brokers: Arc<Testbed>, subject: &str) -> Result<Self> {
        Ok(Self { mongodb: super::servers().await?, brokers, name: fresh(subject) })
    }

    fn connector(&self) -> Connector {
        Connector::new(&self.name, &self.mongodb.mongodb().uri()).collection(&self.name, EVENTS)
    }

    /// A worker whose own connections and whose connectors log in.
    fn worker(&self) -> Result<Setup> {
        let kafka = self.brokers.kafka();
        let mut setup = Setup::new(&kafka.bootstrap())?;
        for (name, value) in kafka.client_properties() {
            setup = setup.worker(&name, &value).worker(&format!("producer.{name}"), &value);
        }
        Ok(setup)
    }

    async fn insert(&self, ids: std::ops::Range<i32>) -> Result<()> {
        let database = self.mongodb.mongodb().client().await?.database(&self.name);
        let documents: Vec<_> = ids.map(|id| doc! { "_id": id }).collect();
        database.collection(EVENTS).insert_many(documents).await?;
        Ok(())
    }

    /// Waits for the documents from 0 on, each once and in order.
    async fn arrive(&self, count: i32, node: &mut NodeProcess) -> Result<()> {
        let plain = self.brokers.kafka().plain_bootstrap()?;
        let records = Records::open(&plain, &format!("{}.{EVENTS}", self.name)).await?;
        let records = records.at_least(u64::try_from(count)?, node).await?;
        let keys: Vec<String> = records.iter().map(|record| record.key_text().to_owned()).collect();
        let wanted: Vec<String> = (0..count).map(|id| format!("{{\"_id\": {id}}}")).collect();
        assert_eq!(keys, wanted);
        Ok(())
    }

    fn password(&self) -> Result<&str> {
        Ok(self.brokers.kafka().login().context("a login")?.1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_an_operator_replicate_by_either_driver() -> Result<()> {
    for driver in ["epoll", "uring"] {
        let trial = Trial::new(brokers().await?, driver).await?;
        let kafka = trial.brokers.kafka();
        let (user, password) = kafka.login().context("a login")?;
        let ca = kafka.certificates().context("certificates")?.ca.display().to_string();
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/worker-sasl.properties");
        let mut text = std::fs::read_to_string(&path)?;
        for (from, to) in [
            ("broker1:9093", &*kafka.bootstrap()),
            ("\"connect\"", &format!("\"{user}\"")),
            ("connect-secret", password),
            ("/etc/kafka/ca.pem", &ca),
            ("connect-offsets", &format!("{}_offsets", trial.name)),
        ] {
            assert!(text.contains(from), "the file does not hold {from}");
            text = text.replace(from, to);
        }
        text.push_str(&format!("io.driver={driver}\n"));
        let setup = trial.worker()?.worker_file(text).connector(trial.connector()).strict();
        let mut node = setup.start_running().await?;
        let rest = node.rest_address().await?;
        trial.insert(0..20).await?;
        trial.arrive(20, &mut node).await?;
        eventually("the worker has asked what the cluster is called", async || {
            let root = Ask::get("/").of(&rest).await?.body;
            Ok((!root.contains("\"kafka_cluster_id\":\"\"") && !root.contains("null"))
                .then_some(()))
        })
        .await?;
        let first = node.stop().await?;
        // What was stored is read again over a connection of the worker.
        let mut node = setup.start_running().await?;
        trial.insert(20..25).await?;
        trial.arrive(25, &mut node).await?;
        let log = format!("{first}{}", node.stop().await?);
        assert!(!log.contains(password), "a secret is in the log:\n{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mechanism_lets_the_node_in_without_encryption_too() -> Result<()> {
    for sasl in [Sasl::Plain, Sasl::ScramSha256] {
        let plan = Plan::only_kafka(KafkaPlan::default().heap_mb(320).sasl(sasl));
        let brokers = Arc::new(Testbed::up(plan, Servers::Native).await?);
        let trial = Trial::new(brokers, "mechanism").await?;
        let setup = trial.worker()?.connector(trial.connector());
        let mut node = setup.start_running().await?;
        trial.insert(0..5).await?;
        trial.arrive(5, &mut node).await?;
        let log = node.stop().await?;
        let password = trial.password()?;
        assert!(!log.contains(password), "a secret is in the log:\n{log}");
        let wrong = trial.connector().set(
            "producer.override.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=nobody password=s3cret;",
        );
        let log = setup.clone().connector(wrong).fails(1).await?;
        assert!(log.contains("SASL_AUTHENTICATION_FAILED (58)"), "{log}");
        assert!(!log.contains("s3cret"), "a secret is in the log:\n{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_is_renewed_and_nothing_is_lost() -> Result<()> {
    for driver in ["epoll", "uring"] {
        let trial = Trial::new(brokers().await?, "sessions").await?;
        let setup = trial.worker()?.worker("io.driver", driver).connector(trial.connector());
        let mut node = setup.start_running().await?;
        let started = Instant::now();
        let mut sent = 0;
        while started.elapsed() < SESSION * 3 {
            trial.insert(sent..sent + 10).await?;
            sent += 10;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trial.arrive(sent, &mut node).await?;
        let log = node.stop().await?;
        // A broker closes a connection that is used after its session's end, and that would be told.
        let is_shut_out = |line: &str| line.contains("WARN") && line.contains("broker");
        assert!(!log.lines().any(is_shut_out), "the node was shut out:\n{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_let_in_is_told_by_the_broker_and_does_not_try_for_ever() -> Result<()> {
    let trial = Trial::new(brokers().await?, "refused").await?;
    let scram = |password: &str| {
        format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"millrace\" \
             password=\"{password}\";"
        )
    };
    let setup = |property: &str, value: &str| {
        let connector = trial.connector().set(&format!("producer.override.{property}"), value);
        anyhow::Ok(trial.worker()?.connector(connector))
    };
    let refused = "SASL_AUTHENTICATION_FAILED (58): Authentication failed during authentication due to invalid \
                   credentials with SASL mechanism SCRAM-SHA-512";
    let log = setup("sasl.jaas.config", &scram("s3cret-but-wrong"))?.fails(1).await?;
    for part in [refused, "cannot log in at broker 127.0.0.1", "check username and password"] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert!(!log.contains("s3cret"), "a secret is in the log:\n{log}");

    let log = setup("sasl.mechanism", "PLAIN")?.fails(1).await?;
    let words = "UNSUPPORTED_SASL_MECHANISM (33): Client SASL mechanism 'PLAIN' not enabled in the server, enabled \
                 mechanisms are [SCRAM-SHA-512]";
    assert!(log.contains(words), "{log}");

    // The worker's own connections, by which it reads the offset topic.
    let topic = format!("{}_offsets", trial.name);
    let setup = trial.worker()?.without("offset.storage.file.filename");
    let setup = setup.worker("offset.storage.topic", &topic).connector(trial.connector());
    let started = Instant::now();
    let log = setup.worker("sasl.jaas.config", &scram("s3cret-but-wrong")).fails(1).await?;
    assert!(log.contains(refused) && log.contains(&topic), "{log}");
    assert!(started.elapsed() < Duration::from_secs(15), "tried for long:\n{log}");
    assert!(!log.contains("s3cret"), "a secret is in the log:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_without_sasl_says_so() -> Result<()> {
    let trial = Trial::new(brokers().await?, "no_sasl").await?;
    let plain = trial.brokers.kafka().plain_bootstrap()?;
    let connector = trial
        .connector()
        .set("producer.override.bootstrap.servers", &plain)
        .set("producer.override.security.protocol", "SASL_PLAINTEXT");
    let log = trial.worker()?.connector(connector).fails(1).await?;
    assert!(log.contains("ILLEGAL_SASL_STATE (34): Unexpected handshake request"), "{log}");
    Ok(())
}
