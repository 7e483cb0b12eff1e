//! `/connector-plugins/{p}/config` and `…/config/validate`: every property with its definition, its value and what is
//! wrong with it, as a real worker answers.
//!
//! What is not compared, since it is meant, stands in `harness/definitions.rs`; beside that the reason of an error
//! where Java's libraries word it. Not asked: what we refuse and Java takes, and `null` where Java fails on it or takes
//! it for a value.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::Stage;
use crate::harness::answers::Difference;
use crate::harness::reference::fixture;
use crate::harness::rest::Ask;
use crate::rest::{Both, config};

const SOURCE: &str = "com.mongodb.kafka.connect.MongoSourceConnector";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

/// One property of a configuration that is right otherwise, with each of these values.
const VALUES: &[(&str, &[&str])] = &[
    ("name", &["", "  ", "a\u{7}b"]),
    ("tasks.max", &["0", "-1", "x", "", " 2 ", "99999999999"]),
    ("tasks.max.enforce", &["false", "yes"]),
    ("config.action.reload", &["none", "RESTART", ""]),
    ("errors.retry.timeout", &["-1", "x"]),
    ("errors.retry.delay.max.ms", &["5", "1.5"]),
    ("errors.tolerance", &["all", "ALL", "some", ""]),
    ("mongo.errors.tolerance", &["all", "some"]),
    ("errors.log.enable", &["true", "1"]),
    ("exactly.once.support", &["REQUESTED", "maybe"]),
    ("transaction.boundary", &["POLL", "never"]),
    ("transaction.boundary.interval.ms", &["-1", "x"]),
    ("offsets.storage.topic", &[""]),
    ("server.api.version", &["1"]),
    ("server.api.strict", &["TRUE", "on"]),
    ("batch.size", &["-1", "x", "5", "2147483648"]),
    ("publish.full.document.only", &["true", "x"]),
    ("change.stream.full.document.before.change", &["off", "OFF", "never"]),
    ("change.stream.full.document", &["updateLookup", "updatelookup", "never"]),
    ("poll.max.batch.size", &["0", "7"]),
    ("poll.await.time.ms", &["0", "-5", "x"]),
    ("topic.prefix", &["a b", " x "]),
    ("topic.namespace.map", &["{\"a.b\": \"c\"}"]),
    ("output.format.key", &["JSON", "bson", "xml", ""]),
    ("output.format.value", &["Json", "avro"]),
    ("startup.mode", &["LATEST", "copy_existing", "later"]),
    ("startup.mode.timestamp.start.at.operation.time", &["30", "yesterday"]),
    ("startup.mode.copy.existing.max.threads", &["0", "3", "x"]),
    ("startup.mode.copy.existing.queue.size", &["0", "1"]),
    ("startup.mode.copy.existing.allow.disk.use", &["no"]),
    ("copy.existing", &["true", "maybe"]),
    ("copy.existing.max.threads", &["0"]),
    ("heartbeat.interval.ms", &["-1", "1000", "x"]),
    ("heartbeat.topic.name", &["", "beats"]),
    ("offset.partition.name", &["p"]),
    ("connection.ssl.truststorePassword", &["secret"]),
    ("provider", &["p"]),
    ("no.such.property", &["x"]),
    ("key.converter", &[JSON, STRING, "JsonConverter", "Json", "StringConverter"]),
    ("value.converter", &[JSON, STRING]),
    ("header.converter", &["org.apache.kafka.connect.storage.SimpleHeaderConverter"]),
    ("producer.override.linger.ms", &["5"]),
    ("producer.override.acks", &["1"]),
    ("producer.override.batch.size", &["16384"]),
    ("producer.override.compression.type", &["zstd"]),
    ("producer.override.client.id", &["c"]),
    ("producer.override.no.such", &["x"]),
    ("topic.creation.default.cleanup.policy", &["compact"]),
];

/// As [`VALUES`], where Java words the reason by itself, or takes what we refuse: that, and what, is compared, and not
/// the reason.
const REASONS: &[(&str, &[&str])] = &[
    ("connection.uri", &["localhost", "mongodb://", "mongodb://h/?replicaSet"]),
    ("server.api.version", &["2"]),
    ("pipeline", &["[", "{}", "x", "[1]"]),
    ("collation", &["{", "{\"locale\": 5}"]),
    ("topic.mapper", &["x y", "com.example.Mapper"]),
    ("topic.namespace.map", &["{", "[]", "{\"a.b\": 5}"]),
    ("output.schema.key", &["{", "{\"type\": \"nothing\"}"]),
    ("output.schema.value", &["x"]),
    ("output.json.formatter", &["x y"]),
    ("startup.mode.copy.existing.pipeline", &["["]),
    ("startup.mode.copy.existing.namespace.regex", &["["]),
    ("key.converter", &["com.example.None"]),
];

/// The transformations that need no setting, or say themselves which they need.
const TRANSFORMATIONS: &[&str] = &[
    "Cast$Value",
    "DropHeaders",
    "ExtractField$Key",
    "Filter",
    "Flatten$Value",
    "HeaderFrom$Key",
    "HoistField$Value",
    "InsertHeader",
    "MaskField$Value",
    "RegexRouter",
    "ReplaceField$Value",
    "TimestampConverter$Value",
    "TimestampRouter",
    "ValueToKey",
];

pub(crate) async fn laws(both: &mut Both, stage: &Stage) -> Result<()> {
    definitions(both).await?;
    requests(both, stage).await?;
    values(both, stage).await?;
    together(both, stage).await?;
    transformations(both, stage).await?;
    servers(both, stage).await?;
    refused_at_creation(both, stage).await
}

async fn definitions(both: &mut Both) -> Result<()> {
    for plugin in
        [SOURCE, "MongoSource", "MongoSourceConnector", JSON, STRING, BYTES, "StringConverter"]
    {
        both.ask(Ask::get(&format!("/connector-plugins/{plugin}/config"))).await?;
    }
    both.ask(Ask::get("/connector-plugins/MongoSource/config/")).await?;
    for plugin in ["com.example.None", "Mongo", "x%20y"] {
        both.ask(Ask::get(&format!("/connector-plugins/{plugin}/config"))).await?;
    }
    Ok(())
}

fn validate(plugin: &str, body: &Value) -> Ask {
    Ask::new("PUT", &format!("/connector-plugins/{plugin}/config/validate")).json(body)
}

/// What is asked, and of which plug-in.
async fn requests(both: &mut Both, stage: &Stage) -> Result<()> {
    let right = named(stage);
    for plugin in
        [SOURCE, "MongoSource", "MongoSourceConnector", "Source", "Connector", "x", "MongoSink"]
    {
        both.ask(validate(plugin, &json!(right))).await?;
    }
    for class in [
        "MongoSource",
        "MongoSourceConnector",
        "com.mongodb.kafka.connect.MongoSink",
        "FileStreamSource",
    ] {
        let mut other = right.clone();
        other.insert("connector.class".to_owned(), json!(class));
        both.ask(validate("MongoSource", &json!(other))).await?;
    }
    let slash = "/connector-plugins/MongoSource/config/validate/";
    both.ask(Ask::new("PUT", slash).json(&json!(right))).await?;
    for body in [json!({}), json!({ "name": "x" }), json!({ "connector.class": null })] {
        both.ask_but(validate("MongoSource", &body), Difference::Message).await?;
    }
    // Without a name, and with the default address, where no server is.
    both.ask(validate(SOURCE, &json!({ "connector.class": SOURCE }))).await?;
    let none = json!({ "connector.class": "com.example.None" });
    both.ask_but(validate("None", &none), Difference::Message).await?;
    let path = "/connector-plugins/MongoSource/config/validate";
    for body in ["{", "[]", "5", "{\"a\": []}", "{\"a\": {}}"] {
        let ask = Ask::new("PUT", path).text("application/json", body);
        both.ask_but(ask, Difference::Message).await?;
    }
    for body in ["", "null"] {
        let ask = Ask::new("PUT", path).text("application/json", body);
        both.ask_but(ask, Difference::Refusal).await?;
    }
    both.ask(Ask::new("PUT", path).text("text/plain", "{}")).await?;
    both.ask(Ask::get(path)).await?;
    both.ask(Ask::new("POST", path).json(&json!({}))).await
}

async fn values(both: &mut Both, stage: &Stage) -> Result<()> {
    for (table, difference) in [(VALUES, Difference::None), (REASONS, Difference::Reasons)] {
        for (property, values) in table {
            for value in *values {
                let mut changed = named(stage);
                changed.insert((*property).to_owned(), json!(value));
                both.ask_but(validate("MongoSource", &json!(changed)), difference).await?;
            }
        }
    }
    for property in ["batch.size", "tasks.max", "config.action.reload", "no.such.property"] {
        let mut without = named(stage);
        without.insert(property.to_owned(), Value::Null);
        both.ask(validate("MongoSource", &json!(without))).await?;
    }
    Ok(())
}

/// Several properties that belong together, and files as they are.
async fn together(both: &mut Both, stage: &Stage) -> Result<()> {
    for changes in [
        json!({ "batch.size": "x", "tasks.max": 0, "output.format.key": "xml", "copy.existing": "maybe" }),
        json!({ "database": "", "collection": "c" }),
        json!({ "database": "", "collection": "c", "batch.size": -1 }),
        json!({ "database": "", "collection": "c", "tasks.max": -1 }),
        json!({ "key.converter": JSON, "key.converter.schemas.enable": "false" }),
        json!({ "key.converter": JSON, "key.converter.schemas.enable": "maybe", "value.converter": STRING }),
        json!({ "key.converter": JSON, "key.converter.schemas.cache.size": "x" }),
        json!({ "value.converter": JSON, "value.converter.decimal.format": "octal" }),
        json!({ "value.converter": JSON, "value.converter.converter.type": "key" }),
        json!({ "value.converter": BYTES, "output.format.value": "bson" }),
        json!({ "value.converter.schemas.enable": "false" }),
        json!({ "producer.override.linger.ms": 5, "producer.override.acks": "all" }),
        json!({ "topic.creation.groups": "" }),
    ] {
        both.ask(validate("MongoSource", &changed(stage, &changes))).await?;
    }
    for file in ["file-source.properties", "s3-sink.properties"] {
        let text = fixture(file)?;
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let config: BTreeMap<&str, &str> = lines.collect();
        both.ask(validate("MongoSource", &json!(config))).await?;
    }
    let posted: Value = serde_json::from_str(&fixture("mongodb-source.json")?)?;
    let mut here = posted["config"].clone();
    here["connection.uri"] = json!(stage.uri());
    both.ask(validate(SOURCE, &here)).await?;
    here["name"] = posted["name"].clone();
    both.ask(validate(SOURCE, &here)).await
}

/// Transformations and predicates, whose settings are there for every alias.
async fn transformations(both: &mut Both, stage: &Stage) -> Result<()> {
    for class in TRANSFORMATIONS {
        let class = format!("org.apache.kafka.connect.transforms.{class}");
        let alone = json!({ "transforms": "a", "transforms.a.type": class });
        both.ask(validate("MongoSource", &changed(stage, &alone))).await?;
    }
    for class in ["HasHeaderKey", "RecordIsTombstone", "TopicNameMatches", "com.example.None"] {
        let alone = json!({ "predicates": "p, q", "predicates.p.type": class });
        both.ask(validate("MongoSource", &changed(stage, &alone))).await?;
    }
    let insert = "org.apache.kafka.connect.transforms.InsertField$Value";
    let route = json!({ "transforms.a.type": "RegexRouter", "transforms.a.replacement": "b$1" });
    for changes in [
        json!({ "transforms.a.regex": "a(.*)" }),
        json!({}),
        json!({ "transforms.a.regex": "(" }),
        json!({ "transforms.a.regex": "a", "transforms.a.plugin.version": "4.1.0" }),
        json!({ "transforms.a.type": "com.example.None" }),
        json!({ "transforms.a.type": "org.apache.kafka.connect.transforms.MaskField" }),
        json!({ "transforms.a.type": "Filter", "transforms.a.negate": "true" }),
        json!({ "transforms.a.type": "Filter", "transforms.a.negate": "x", "transforms.a.predicate": "p",
                "predicates": "p", "predicates.p.type": "RecordIsTombstone" }),
        json!({ "transforms.a.type": "Filter", "transforms.a.negate": "true", "transforms.a.predicate": "p",
                "predicates": "p", "predicates.p.type": "TopicNameMatches", "predicates.p.pattern": "x.*" }),
        json!({ "transforms.a.type": insert, "transforms.a.static.field": "f", "transforms.a.static.value": "v" }),
        json!({ "transforms": "b, a", "transforms.a.type": insert, "transforms.a.topic.field": "t",
                "transforms.b.type": "TimestampRouter", "predicates": "" }),
        json!({ "transforms.a.type": "org.apache.kafka.connect.transforms.HeaderFrom$Value",
                "transforms.a.fields": "", "transforms.a.headers": "h", "transforms.a.operation": "x" }),
        json!({ "transforms.a.type": "org.apache.kafka.connect.transforms.SetSchemaMetadata$Key",
                "transforms.a.schema.name": "n", "transforms.a.schema.version": "x" }),
    ] {
        let mut all = changed(stage, &json!({ "transforms": "a" }));
        for given in [&route, &changes] {
            for (name, value) in given.as_object().into_iter().flatten() {
                all[name] = value.clone();
            }
        }
        both.ask(validate("MongoSource", &all)).await?;
    }
    Ok(())
}

/// What only a server can say.
async fn servers(both: &mut Both, stage: &Stage) -> Result<()> {
    let nobody = json!({ "connection.uri": "mongodb://localhost:1" });
    both.ask(validate("MongoSource", &changed(stage, &nobody))).await
}

/// What `config/validate` says is why a connector is not made.
async fn refused_at_creation(both: &mut Both, stage: &Stage) -> Result<()> {
    let path = format!("/connectors/{}/config", stage.name);
    for changes in [
        json!({ "batch.size": "x" }),
        json!({ "batch.size": "x", "tasks.max": 0, "output.format.key": "xml", "copy.existing": "maybe" }),
        json!({ "database": "", "collection": "c" }),
        json!({ "batch.size": null }),
        json!({ "tasks.max": null, "no.such.property": null }),
        json!({ "key.converter": JSON, "key.converter.schemas.cache.size": "x" }),
    ] {
        let changed = changed(stage, &changes);
        both.ask(Ask::new("PUT", &path).json(&changed)).await?;
        let post = json!({ "name": stage.name, "config": changed });
        both.ask(Ask::new("POST", "/connectors").json(&post)).await?;
    }
    let nobody = changed(stage, &json!({ "connection.uri": "mongodb://localhost:1" }));
    both.ask(Ask::new("PUT", &path).json(&nobody)).await?;
    both.ask(Ask::get("/connectors")).await
}

fn named(stage: &Stage) -> BTreeMap<String, Value> {
    let mut named = config(stage);
    named.insert("name".to_owned(), json!(stage.name));
    named
}

/// A configuration that is right but for `changes`.
fn changed(stage: &Stage, changes: &Value) -> Value {
    let mut changed = named(stage);
    let changes = changes.as_object().into_iter().flatten();
    changed.extend(changes.map(|(name, value)| (name.clone(), value.clone())));
    json!(changed)
}
