//! Configuration that cannot be run: exit code 2, everything that is wrong by name, nothing started.

use anyhow::Result;
use serde_json::{Value, json};

use super::harness::{EVENTS, Setup};
use super::stage;

/// No server is asked: an address that nobody serves shows if one is.
const NOWHERE: &str = "127.0.0.1:1";

fn setup() -> Result<Setup> {
    Setup::new(NOWHERE)
}

/// The file of a connector with further properties.
fn connector(properties: &[(&str, &str)]) -> String {
    let mut config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSourceConnector",
        "connection.uri": format!("mongodb://{NOWHERE}"),
        "database": "millrace_files",
        "collection": EVENTS,
    });
    for (name, value) in properties {
        config[*name] = Value::from(*value);
    }
    json!({ "name": "files", "config": config }).to_string()
}

async fn refused(setup: Setup, parts: &[&str]) -> Result<()> {
    let log = setup.fails(2).await?;
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert!(!log.contains(" running"), "something was started:\n{log}");
    assert!(!setup.offsets().exists(), "something was started");
    Ok(())
}

#[tokio::test]
async fn json_with_a_fault_is_named_by_line_and_column() -> Result<()> {
    let text = "{\n  \"name\": \"files\",\n  \"config\": { \"tasks.max\" \"1\" }\n}\n";
    refused(setup()?.connector_file("faulty.json", text)?, &["faulty.json:3:27: "]).await
}

#[tokio::test]
async fn properties_with_a_fault_are_named_by_line_and_column() -> Result<()> {
    let text = "name=files\n# comment\ndatabase=a\\u00zz\n";
    refused(setup()?.connector_file("faulty.properties", text)?, &["faulty.properties:3:"]).await
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() -> Result<()> {
    let mut setup = setup()?.connector_file("gone.json", "")?;
    std::fs::remove_file(setup.folder().join("gone.json"))?;
    setup = setup.connector_file("files.json", &connector(&[]))?;
    refused(setup, &["gone.json", "No such file"]).await
}

#[tokio::test]
async fn what_java_knows_and_we_do_not_is_refused_by_name_and_all_at_once() -> Result<()> {
    let text = connector(&[
        ("mongo.custom.auth.mechanism.enable", "true"),
        ("topic.mapper", "com.example.Mapper"),
        ("output.schema.key", r#""string""#),
        ("poll.max.batch.size", "many"),
    ]);
    let parts = [
        "mongo.custom.auth.mechanism.enable",
        "com.example.Mapper for configuration topic.mapper",
        "configuration output.schema.key: Only Record schemas are supported at the top-level",
        "many for configuration poll.max.batch.size: Not a number of type INT",
        "4 error(s)",
    ];
    refused(setup()?.connector_file("files.json", &text)?, &parts).await
}

#[tokio::test]
async fn exactly_once_is_never_passed_over() -> Result<()> {
    let text = connector(&[("exactly.once.support", "required")]);
    refused(setup()?.connector_file("files.json", &text)?, &["exactly.once.support"]).await?;
    let setup = setup()?.worker("exactly.once.source.support", "enabled");
    refused(setup.connector_file("files.json", &connector(&[]))?, &["exactly.once.source.support"])
        .await
}

#[tokio::test]
async fn a_worker_file_that_lacks_what_it_needs_is_refused_with_all_that_is_missing() -> Result<()>
{
    let setup = setup()?
        .without("offset.storage.file.filename")
        .without("key.converter")
        .worker("value.converter", "io.confluent.connect.avro.AvroConverter")
        .connector_file("files.json", &connector(&[]))?;
    let parts =
        ["worker.properties", "offset.storage.file.filename", "key.converter", "AvroConverter"];
    refused(setup, &parts).await
}

#[tokio::test]
async fn another_connector_is_refused_and_nothing_beside_it_is_started() -> Result<()> {
    let other = include_str!("../fixtures/file-source.properties");
    let setup = setup()?
        .connector_file("files.json", &connector(&[]))?
        .connector_file("file-source.properties", other)?;
    refused(setup, &["file-source.properties", "FileStreamSource"]).await
}

#[tokio::test]
async fn two_connectors_of_one_name_are_refused() -> Result<()> {
    let setup = setup()?
        .connector_file("one.json", &connector(&[]))?
        .connector_file("two.json", &connector(&[]))?;
    refused(setup, &["two.json", "'files'"]).await
}

#[tokio::test]
async fn a_secret_that_is_refused_is_not_shown() -> Result<()> {
    let text = connector(&[("connection.uri", "mongodb://user:s3cret@host:port/")]);
    let setup = setup()?.connector_file("files.json", &text)?;
    let log = setup.fails(2).await?;
    assert!(log.contains("connection.uri") && !log.contains("s3cret"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_property_is_warned_of_with_a_likely_name_and_refused_when_strict() -> Result<()>
{
    let stage = stage("unknown").await?;
    let connector = stage.connector().set("toppic.prefix", "x");
    let setup = stage.worker()?.connector(connector);
    let mut node = setup.start_running().await?;
    let warning = node.logged("toppic.prefix").await?;
    node.stop().await?;
    for part in ["WARN", "Did you mean 'topic.prefix'?"] {
        assert!(warning.contains(part), "{part:?} is not in: {warning}");
    }
    let log = setup.strict().fails(2).await?;
    let refusal = "unknown property; did you mean 'topic.prefix'?";
    assert!(log.contains("toppic.prefix") && log.contains(refusal), "{log}");
    Ok(())
}
