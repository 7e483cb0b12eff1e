//! Connection strings that leave much to others: servers that DNS knows, users that are certificates, mechanisms that
//! the server chooses.

use std::sync::Arc;

use anyhow::{Context, Result};
use bson::{Bson, doc};
use millrace_testbed::{Kafka, MongodbPlan, Plan, Servers, Testbed, Tls};

use super::access::{self, PASSWORD};
use super::harness::dns::{Answer, DnsServer};
use super::harness::servers::{Shared, fresh};
use super::harness::{Connector, EVENTS, Records, Setup, offsets};
use super::servers;

/// The subject of the clients' certificate, as RFC 2253 writes it.
const SUBJECT: &str = "OU=client,O=Millrace,CN=client";
/// A name whose servers may be called `127.0.0.1`: they must share its parent, and that needs no more DNS.
const CLUSTER: &str = "cluster.0.0.1";

/// A replica set of one that asks for a certificate, and for a user.
async fn guarded() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || {
        let mongodb = MongodbPlan::default().auth().tls(Tls::Mutual).cache_gb(0.25).oplog_mb(990);
        Plan::only_mongodb(mongodb)
    };
    SHARED.get(Servers::Native, plan).await
}

/// A worker whose connector reads the database `name` at `uri`.
async fn setup(guarded: &Testbed, kafka: &Kafka, name: &str, uri: &str) -> Result<Setup> {
    let certificates = guarded.mongodb().certificates().context("certificates")?;
    let truststore = certificates.truststore().await?;
    let connector = Connector::new(name, uri)
        .collection(name, EVENTS)
        .set("connection.ssl.truststore", &truststore.path.display().to_string())
        .set("connection.ssl.truststorePassword", truststore.password)
        .set("connection.ssl.keystore", &certificates.client.display().to_string());
    Ok(Setup::new(&kafka.bootstrap())?.connector(connector))
}

/// Runs until a document is in the topic.
async fn replicates(guarded: &Testbed, kafka: &Kafka, name: &str, setup: &Setup) -> Result<()> {
    let mut node = setup.start_running().await?;
    let database = guarded.mongodb().client().await?.database(name);
    database.collection(EVENTS).insert_one(doc! { "_id": 1 }).await?;
    let records = Records::open(&kafka.bootstrap(), &format!("{name}.{EVENTS}")).await?;
    let records = records.at_least(1, &mut node).await?;
    assert_eq!(records[0].key_text(), r#"{"_id": 1}"#);
    node.stop().await?;
    Ok(())
}

/// A user who may read everything and whose password the server keeps for `mechanism` alone.
async fn create_user_of(testbed: &Testbed, name: &str, mechanism: &str) -> Result<()> {
    let admin = testbed.mongodb().client().await?.database("admin");
    let user = doc! {
        "createUser": name, "pwd": PASSWORD, "roles": ["readAnyDatabase"], "mechanisms": [mechanism],
    };
    admin.run_command(user).await.with_context(|| format!("create the user {name}"))?;
    Ok(())
}

/// The connection string of a user, with `authMechanism`.
fn uri_by(testbed: &Testbed, name: &str, mechanism: &str) -> String {
    let uri = testbed.mongodb().uri_as(name, PASSWORD);
    let delimiter = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{delimiter}authMechanism={mechanism}")
}

/// Makes the subject of the certificate a user that may read everything.
async fn let_the_certificate_in(guarded: &Testbed) -> Result<()> {
    let external = guarded.mongodb().client().await?.database("$external");
    let role = doc! { "role": "readAnyDatabase", "db": "admin" };
    external.run_command(doc! { "createUser": SUBJECT, "roles": [role] }).await?;
    Ok(())
}

fn hosts(guarded: &Testbed) -> String {
    let uri = guarded.mongodb().java_uri();
    let (_, rest) = uri.rsplit_once('@').unwrap_or(("", &uri));
    rest.split('/').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_logs_in_once_its_subject_is_a_user() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("x509"));
    let kafka = servers.kafka();
    let uri = format!("mongodb://{}/?tls=true&authMechanism=MONGODB-X509", hosts(&guarded));
    let setup = setup(&guarded, kafka, &name, &uri).await?;
    let log = setup.fails(1).await?;
    let told = log.contains("$external") && log.contains("the subject of the client certificate");
    assert!(told && log.contains("connection.ssl.keystore"), "{log}");
    let_the_certificate_in(&guarded).await?;
    replicates(&guarded, kafka, &name, &setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_sha_1_replicates_whether_the_mechanism_is_named_or_not() -> Result<()> {
    let (guarded, servers, name) = (access::guarded().await?, servers().await?, fresh("sha_1"));
    create_user_of(&guarded, &name, "SCRAM-SHA-1").await?;
    let negotiated = guarded.mongodb().uri_as(&name, PASSWORD);
    let named = uri_by(&guarded, &name, "SCRAM-SHA-1");
    for (database, uri) in [(format!("{name}_any"), negotiated), (format!("{name}_named"), named)] {
        let connector = Connector::new(&database, &uri).collection(&database, EVENTS);
        let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector);
        replicates(&guarded, servers.kafka(), &database, &setup).await.context(database)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mechanism_that_the_user_does_not_have_is_refused_by_the_server() -> Result<()> {
    let (guarded, servers, name) = (access::guarded().await?, servers().await?, fresh("no_sha_1"));
    create_user_of(&guarded, &name, "SCRAM-SHA-256").await?;
    let connector = Connector::new(&name, &uri_by(&guarded, &name, "SCRAM-SHA-1"));
    let connector = connector.collection(&name, EVENTS);
    let log = Setup::new(&servers.kafka().bootstrap())?.connector(connector).fails(1).await?;
    for part in [&format!("refused user '{name}'"), "Authentication failed", "authMechanism"] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains("p%40ss"), "a secret is in the log:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_dns_knows_are_found_and_encrypted() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("srv"));
    let kafka = servers.kafka();
    let role = Bson::from("readAnyDatabase");
    guarded.mongodb().create_user(&name, "pass", vec![role]).await?;
    let hosts = hosts(&guarded);
    let (_, port) = hosts.rsplit_once(':').context("a port")?;
    let set = guarded.mongodb().facts().replica_set.clone().context("a set")?;
    let dns = DnsServer::start(&[
        ("_mongodb._tcp.cluster.0.0.1", Answer::Srv(vec![("127.0.0.1".to_owned(), port.parse()?)])),
        (CLUSTER, Answer::Txt(vec![format!("authSource=admin&replicaSet={set}")])),
    ])
    .await?;
    // The path would be the database of the user, if the record did not say otherwise.
    let uri = format!("mongodb+srv://{name}:pass@{CLUSTER}/elsewhere");
    let setup = setup(&guarded, kafka, &name, &uri).await?;
    let setup = setup.env("MILLRACE_DNS_SERVER", &dns.address().to_string());
    replicates(&guarded, kafka, &name, &setup).await?;
    let stored = offsets::read(&setup.offsets())?;
    let place = format!("mongodb+srv://{CLUSTER}/{name}.{EVENTS}");
    assert!(stored.keys().all(|key| key.contains(&place)), "{stored:?}");
    assert_eq!(stored.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_dns_does_not_know_fails_the_connector_with_the_name() -> Result<()> {
    let (servers, name, dns) = (servers().await?, fresh("no_srv"), DnsServer::start(&[]).await?);
    let connector = Connector::new(&name, "mongodb+srv://u:s3cret@nowhere.0.0.1/");
    let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector);
    let log = setup.env("MILLRACE_DNS_SERVER", &dns.address().to_string()).fails(1).await?;
    let words = "No SRV records available for '_mongodb._tcp.nowhere.0.0.1'.";
    assert!(log.contains(words) && !log.contains("s3cret"), "{log}");
    Ok(())
}
