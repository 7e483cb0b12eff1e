//! Debezium for MongoDB as a rival: the properties that make it replicate what every other arm replicates.
//!
//! ```text
//! snapshot.mode           no_data                 reads no documents, goes straight to the stream
//!                         initial                 where documents are to be copied: those first, then the stream
//! capture.start.op.time   <seconds><increment>    the cluster time as one 64-bit number; without it: from now on
//! capture.scope, .target  collection, db.coll     the same stream as the other arms', not the deployment's
//! filters.match.mode      literal                 mongod matches events as they are
//! capture.mode            change_streams          updates as deltas: no look-up of the whole document
//! tombstones.on.delete    false                   one record per event
//! converters              JsonConverter           without schemas, which would be most of the bytes
//! producer                20 ms linger, record batches of 1 MB, as connector-tuned has them
//! ```
//!
//! Everything else is Debezium's default: batches of 2048 records, a queue of 8192, a poll interval of 500 ms that only
//! an empty queue waits for, no heartbeats. So of the two things that make the MongoDB connector fast Debezium gets the
//! producer's. Its own batches are left alone: it drains a backlog with the machine's cores full, not waiting for them.
//!
//! The start: a connector without a stored offset streams from `capture.start.op.time`, so no offset has to be seeded.
//! With an include list instead of a scope Debezium would watch the whole deployment. With filters as regular
//! expressions, its default even where there are none, mongod would wrap every event in a new document and unwrap it
//! again ($replaceRoot, twice). Both cost mongod and say nothing about Debezium, so it is spared them.
//!
//! The JSON is Connect's own envelope. String converters would print a Java structure that nobody can read back.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::Timestamp;
use millrace_testbed::{ConnectPlan, ConnectWorker, Plugin, Truststore};

use crate::arm::{NodePlan, Start, Trust};

/// `snapshot.mode` of who begins with changes.
const NO_SNAPSHOT: &str = "no_data";
/// `snapshot.mode` of who copies what is there, and goes on with changes.
const SNAPSHOT: &str = "initial";
/// Debezium's properties beyond those that name servers, namespace and start.
pub const SETTINGS: &[(&str, &str)] = &[
    ("filters.match.mode", "literal"),
    ("capture.mode", "change_streams"),
    ("tombstones.on.delete", "false"),
    ("heartbeat.interval.ms", "0"),
    ("producer.override.linger.ms", "20"),
    ("producer.override.batch.size", "1000000"),
];

/// Starts a Connect worker with Debezium in it, and waits until its task runs. Whether its stream is open is for the
/// server to tell: see [`crate::open_streams`].
///
/// # Errors
/// When the plan has no topic prefix, which Debezium cannot do without; when the worker or the connector does not run.
pub async fn start(plan: &NodePlan, heap_mb: u32) -> Result<ConnectWorker> {
    let config = connector_config(plan)?;
    let worker = ConnectPlan::new(&plan.bootstrap, Plugin::DebeziumMongodb)
        .heap_mb(heap_mb)
        .property("key.converter", plan.converter())
        .property("value.converter", plan.converter())
        .property("key.converter.schemas.enable", "false")
        .property("value.converter.schemas.enable", "false");
    let worker = plan
        .worker_security()
        .iter()
        .fold(worker, |worker, (name, value)| worker.property(name, value));
    let worker = ConnectWorker::start(&worker).await.context("could not start Kafka Connect")?;
    worker.create(&plan.name, &config).await?;
    Ok(worker)
}

fn connector_config(plan: &NodePlan) -> Result<BTreeMap<String, String>> {
    ensure!(
        !plan.topic_prefix.is_empty(),
        "Debezium names its topics <prefix>.<database>.<collection>: give a topic prefix"
    );
    let (scope, target) = match &*plan.collection {
        "" => ("database", plan.database.clone()),
        collection => ("collection", format!("{}.{collection}", plan.database)),
    };
    let mut config = BTreeMap::from(
        [
            ("connector.class", "io.debezium.connector.mongodb.MongoDbConnector"),
            ("mongodb.connection.string", &plan.mongodb_uri),
            ("topic.prefix", &plan.topic_prefix),
            ("capture.scope", scope),
            ("capture.target", &target),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut set = |name: &str, value: String| config.insert(name.to_owned(), value);
    for (name, value) in SETTINGS {
        set(name, (*value).to_owned());
    }
    match plan.start {
        Start::Now => set("snapshot.mode", NO_SNAPSHOT.to_owned()),
        Start::At(start_at) => {
            set("snapshot.mode", NO_SNAPSHOT.to_owned());
            set("capture.start.op.time", operation_time(start_at).to_string())
        }
        Start::Copy => set("snapshot.mode", SNAPSHOT.to_owned()),
    };
    if let Some(Trust { mongodb: Truststore { path, password }, .. }) = &plan.trust {
        set("mongodb.ssl.enabled", "true".to_owned());
        set("mongodb.ssl.truststore", path.display().to_string());
        set("mongodb.ssl.truststore.password", (*password).to_owned());
    }
    for (name, value) in &plan.connector_settings {
        let (name, value) = in_own_words(name, value);
        set(name, value.to_owned());
    }
    Ok(config)
}

/// A setting of the MongoDB connector, as scenarios name them, as Debezium names it; its own settings are left alone.
fn in_own_words<'a>(name: &'a str, value: &'a str) -> (&'a str, &'a str) {
    match (name, value) {
        ("change.stream.full.document", "updateLookup") => {
            ("capture.mode", "change_streams_update_full")
        }
        own => own,
    }
}

/// A cluster time as the 64-bit number that BSON stores: seconds above, increment below.
fn operation_time(Timestamp { time, increment }: Timestamp) -> i64 {
    (u64::from(time) << 32 | u64::from(increment)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Format;

    fn plan(collection: &str, topic_prefix: &str) -> NodePlan {
        NodePlan {
            binary: "millrace".into(),
            name: "drain".into(),
            mongodb_uri: "mongodb://h:1/?replicaSet=rs0".into(),
            bootstrap: "h:2".into(),
            trust: None,
            database: "millrace_drain".into(),
            collection: collection.into(),
            further_collections: Vec::new(),
            topic_prefix: topic_prefix.into(),
            format: Format::Debezium,
            start: Start::At(Timestamp { time: 7, increment: 2 }),
            worker_settings: Vec::new(),
            connector_settings: vec![("max.batch.size".into(), "5".into())],
            cpus: Vec::new(),
        }
    }

    #[test]
    fn it_watches_the_collection_from_the_cluster_time_on() {
        let config = connector_config(&plan("events", "r1")).expect("a prefix");
        assert_eq!(config["capture.scope"], "collection");
        assert_eq!(config["capture.target"], "millrace_drain.events");
        assert_eq!(config["capture.start.op.time"], "30064771074");
        assert_eq!(config["snapshot.mode"], "no_data");
        assert_eq!(config["max.batch.size"], "5");
    }

    #[test]
    fn without_a_collection_it_watches_the_database_and_without_a_start_from_now_on() {
        let plan = NodePlan { start: Start::Now, ..plan("", "r1") };
        let config = connector_config(&plan).expect("a prefix");
        assert_eq!(config["capture.scope"], "database");
        assert_eq!(config["capture.target"], "millrace_drain");
        assert!(!config.contains_key("capture.start.op.time"));
        assert_eq!(config["snapshot.mode"], "no_data");
    }

    #[test]
    fn what_is_to_be_trusted_is_told_in_its_own_words() {
        let mongodb = Truststore { path: "/t/ca.p12".into(), password: "changeit" };
        let trust = Some(Trust { mongodb, kafka: Vec::new() });
        let config = connector_config(&NodePlan { trust, ..plan("events", "r1") });
        let config = config.expect("a prefix");
        assert_eq!(config["mongodb.ssl.enabled"], "true");
        assert_eq!(config["mongodb.ssl.truststore"], "/t/ca.p12");
        assert_eq!(config["mongodb.ssl.truststore.password"], "changeit");
    }

    #[test]
    fn who_copies_takes_a_snapshot_and_names_no_cluster_time() {
        let plan = NodePlan { start: Start::Copy, ..plan("events", "r1") };
        let config = connector_config(&plan).expect("a prefix");
        assert_eq!(config["snapshot.mode"], "initial");
        assert!(!config.contains_key("capture.start.op.time"));
    }

    #[test]
    fn a_scenario_that_looks_documents_up_says_so_in_the_connectors_words() {
        let lookup = ("change.stream.full.document".into(), "updateLookup".into());
        let plan = NodePlan { connector_settings: vec![lookup], ..plan("events", "r1") };
        let config = connector_config(&plan).expect("a prefix");
        assert_eq!(config["capture.mode"], "change_streams_update_full");
        assert!(!config.contains_key("change.stream.full.document"));
    }

    #[test]
    fn without_a_topic_prefix_it_is_refused() {
        let error = connector_config(&plan("events", "")).expect_err("refused").to_string();
        assert!(error.contains("topic prefix"), "{error}");
    }
}
