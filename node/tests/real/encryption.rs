//! Encrypted connections to both servers: whom the node trusts, who it says it is, and what it says when that fails.

use std::sync::Arc;

use anyhow::{Context, Result};
use bson::doc;
use millrace_testbed::{KafkaPlan, MongodbPlan, Plan, Servers, Testbed, Tls};

use super::harness::servers::{Shared, fresh};
use super::harness::{Connector, EVENTS, Records, Setup};

/// MongoDB wants a certificate of its clients; Kafka shows one, and has a listener in the clear for who looks on.
async fn servers() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || {
        let mongodb = MongodbPlan::default().tls(Tls::Mutual).cache_gb(0.25).oplog_mb(990);
        let kafka = KafkaPlan::default().tls(Tls::Offered).heap_mb(512);
        Plan::default().mongodb(mongodb).kafka(kafka)
    };
    SHARED.get(Servers::Native, plan).await
}

/// The node's files for encrypted connections to `servers`.
struct Encrypted {
    servers: Arc<Testbed>,
    name: String,
    connector: Connector,
    worker: Setup,
}

impl Encrypted {
    async fn new(subject: &str) -> Result<Self> {
        let (servers, name) = (servers().await?, fresh(subject));
        let (mongodb, kafka) = (servers.mongodb(), servers.kafka());
        let of_mongodb = mongodb.certificates().context("MongoDB's certificates")?;
        let truststore = of_mongodb.truststore().await?;
        // What the test's own driver is told in the string, Java tells in properties.
        let uri = mongodb.uri();
        let (uri, options) = uri.split_once('?').context("options")?;
        let mut options: Vec<&str> =
            options.split('&').filter(|option| !option.contains("File=")).collect();
        options.push("serverSelectionTimeoutMS=3000");
        let connector = Connector::new(&name, &format!("{uri}?{}", options.join("&")))
            .collection(&name, EVENTS)
            .set("connection.ssl.truststore", &truststore.path.display().to_string())
            .set("connection.ssl.truststorePassword", truststore.password)
            .set("connection.ssl.keystore", &of_mongodb.client.display().to_string());
        let ca = kafka.certificates().context("Kafka's certificates")?.ca.display().to_string();
        let worker = Setup::new(&kafka.bootstrap())?
            .worker("producer.security.protocol", "SSL")
            .worker("producer.ssl.truststore.type", "PEM")
            .worker("producer.ssl.truststore.location", &ca)
            .worker("security.protocol", "SSL")
            .worker("ssl.truststore.location", &ca);
        Ok(Self { servers, name, connector, worker })
    }

    /// Runs until the documents with these ids are in the topic.
    async fn replicates(&self, setup: &Setup, ids: std::ops::Range<i32>) -> Result<()> {
        let mut node = setup.start_running().await?;
        let database = self.servers.mongodb().client().await?.database(&self.name);
        for id in ids.clone() {
            // More than one record of TLS, both ways.
            let document = doc! { "_id": id, "text": "x".repeat(100_000) };
            database.collection(EVENTS).insert_one(document).await?;
        }
        let plain = self.servers.kafka().plain_bootstrap()?;
        let records = Records::open(&plain, &format!("{}.{EVENTS}", self.name)).await?;
        let records = records.at_least(u64::try_from(ids.end)?, &mut node).await?;
        node.stop().await?;
        let keys: Vec<String> = records.iter().map(|record| record.key_text().to_owned()).collect();
        let wanted: Vec<String> = (0..ids.end).map(|id| format!("{{\"_id\": {id}}}")).collect();
        assert_eq!(keys, wanted);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_go_over_encrypted_connections_by_either_driver() -> Result<()> {
    for driver in ["epoll", "uring"] {
        let encrypted = Encrypted::new(driver).await?;
        let setup = encrypted
            .worker
            .clone()
            .worker("io.driver", driver)
            .connector(encrypted.connector.clone());
        encrypted.replicates(&setup, 0..40).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_in_a_topic_are_read_over_an_encrypted_connection() -> Result<()> {
    let encrypted = Encrypted::new("tls_positions").await?;
    let setup = encrypted
        .worker
        .clone()
        .without("offset.storage.file.filename")
        .worker("offset.storage.topic", &format!("{}_offsets", encrypted.name))
        .worker("offset.storage.replication.factor", "1")
        .connector(encrypted.connector.clone());
    encrypted.replicates(&setup, 0..3).await?;
    encrypted.replicates(&setup, 3..5).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_trusted_says_which_server_and_what_to_do() -> Result<()> {
    let encrypted = Encrypted::new("untrusted").await?;
    let (mongodb, kafka) = (encrypted.servers.mongodb(), encrypted.servers.kafka());
    let of_kafka = kafka.certificates().context("certificates")?.ca.display().to_string();
    let of_mongodb = mongodb.certificates().context("certificates")?.ca.display().to_string();
    let setup = |connector: Connector| encrypted.worker.clone().connector(connector);
    let wrong = setup(encrypted.connector.clone().set("connection.ssl.truststore", &of_kafka));
    let log = wrong.fails(1).await?;
    assert!(log.contains("into the truststore") && log.contains("127.0.0.1"), "{log}");

    let nobody = setup(encrypted.connector.clone().set("connection.ssl.keystore", ""));
    let log = nobody.fails(1).await?;
    assert!(log.contains("client certificate"), "{log}");

    let wrong =
        setup(encrypted.connector.clone()).worker("producer.ssl.truststore.location", &of_mongodb);
    let log = wrong.fails(1).await?;
    assert!(log.contains("into the truststore") && log.contains("127.0.0.1"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_cannot_be_used_are_refused_by_name_before_anything_starts() -> Result<()> {
    let encrypted = Encrypted::new("stores").await?;
    let folder = tempfile::tempdir()?;
    let jks = folder.path().join("trust.jks");
    std::fs::write(&jks, [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2])?;
    for (property, value, said) in [
        ("connection.ssl.truststore", jks.display().to_string(), "-deststoretype PKCS12"),
        (
            "connection.ssl.truststore",
            "/nowhere/trust.p12".to_owned(),
            "reading /nowhere/trust.p12",
        ),
        (
            "connection.ssl.truststorePassword",
            "not-it-s3cret".to_owned(),
            "password is not its own",
        ),
    ] {
        let connector = encrypted.connector.clone().set(property, &value);
        let log = encrypted.worker.clone().connector(connector).fails(2).await?;
        assert!(log.contains(said) && log.contains("connection.ssl.truststore"), "{log}");
        assert!(!log.contains("s3cret"), "a secret is in the log:\n{log}");
    }
    Ok(())
}
