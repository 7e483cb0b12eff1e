//! Config providers: what they fill in is used and nowhere shown, and what has changed is found by a restart.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bson::doc;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::exposition::Exposition;
use super::harness::rest::{Answer, Ask};
use super::harness::{Connector, EVENTS, NodeProcess, Setup, Stage, eventually};
use super::stage;

/// Stands in every value that a provider fills in, and so must stand in nothing that the node says.
const CANARY: &str = "canary";

/// What a test keeps outside of the configuration.
struct Secrets {
    folder: TempDir,
}

impl Secrets {
    fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("millrace-secrets-")? })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("db.properties")
    }

    fn write(&self, properties: &[(&str, &str)]) -> Result<()> {
        let lines = properties.iter().map(|(name, value)| format!("{name}={value}\n"));
        Ok(fs::write(self.file(), lines.collect::<String>())?)
    }

    /// The placeholder of a property of the file.
    fn of_file(&self, key: &str) -> String {
        format!("${{file:{}:{key}}}", self.file().display())
    }

    /// The providers `file`, `dir` and `env`, which may look here and nowhere else.
    fn providers(&self, setup: Setup) -> Setup {
        let package = "org.apache.kafka.common.config.provider";
        let path = self.path().display().to_string();
        setup
            .worker("config.providers", "file,dir,env")
            .worker("config.providers.file.class", &format!("{package}.FileConfigProvider"))
            .worker("config.providers.file.param.allowed.paths", &path)
            .worker("config.providers.dir.class", &format!("{package}.DirectoryConfigProvider"))
            .worker("config.providers.dir.param.allowed.paths", &path)
            .worker("config.providers.env.class", &format!("{package}.EnvVarConfigProvider"))
            .worker("config.providers.env.param.allowlist.pattern", "DB_.*")
    }
}

/// Everything that a worker at `address` says of a connector.
async fn all_answers(address: &str, name: &str) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for tail in ["", "/config", "/tasks", "/status", "/tasks/0/status", "/offsets"] {
        answers.push(Ask::get(&format!("/connectors/{name}{tail}")).of(address).await?);
    }
    answers.push(Ask::get("/connectors?expand=info&expand=status").of(address).await?);
    Ok(answers)
}

fn assert_no_canary(text: &str) {
    assert!(!text.to_lowercase().contains(CANARY), "{text}");
}

async fn until_running(node: &mut NodeProcess, name: &str) -> Result<()> {
    let address = node.rest_address().await?;
    eventually("the task runs", async || {
        let status = Ask::get(&format!("/connectors/{name}/tasks/0/status"));
        let status = status.of(&address).await?.json()?;
        Ok((status["state"] == "RUNNING").then_some(()))
    })
    .await
}

fn config(stage: &Stage, secrets: &Secrets) -> Value {
    json!({
        "name": stage.name,
        "connector.class": "MongoSource",
        "connection.uri": secrets.of_file("uri"),
        "database": format!("${{dir:{}:database}}", secrets.path().display()),
        "collection": EVENTS,
        "batch.size": "${env:DB_BATCH}",
        "pipeline": "[{$match: {'fullDocument.x': {$ne: '${env:DB_VALUE}'}}}]",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_providers_fill_in_is_used_and_shown_nowhere() -> Result<()> {
    let (stage, secrets) = (stage("providers").await?, Secrets::new()?);
    let database = format!("{}_{CANARY}", stage.name);
    let uri = format!("{}&appName={CANARY}", stage.uri());
    let values = [("broken", "[{canary: }]"), ("host", "mongodb://canary:x/")];
    secrets.write(&[("uri", &uri), values[0], values[1]])?;
    fs::write(secrets.path().join("database"), format!("{database}\n"))?;
    let setup = secrets.providers(stage.worker()?.rest());
    let mut node = setup.env("DB_BATCH", "7").env("DB_VALUE", CANARY).start()?;
    let address = node.rest_address().await?;

    let given = config(&stage, &secrets);
    let name = &stage.name;
    let post = Ask::new("POST", "/connectors").json(&json!({ "name": name, "config": given }));
    let created = post.of(&address).await?.success()?;
    assert_eq!(created["config"], given, "what is kept is what was given");
    until_running(&mut node, name).await?;
    stage.client.database(&database).collection(EVENTS).insert_one(doc! { "_id": 1 }).await?;
    let topic = format!("{database}.{EVENTS}");
    stage.records_of(&topic).await?.at_least(1, &mut node).await?;

    let mut answers = all_answers(&address, name).await?;
    answers.retain(|answer| !answer.body.contains("\"offsets\""));
    let validate = |changes: Value| {
        let mut config = given.clone();
        for (property, value) in changes.as_object().into_iter().flatten() {
            config[property] = value.clone();
        }
        Ask::new("PUT", "/connector-plugins/MongoSource/config/validate").json(&config)
    };
    answers.push(validate(json!({})).of(&address).await?);
    for (property, value, word) in [
        ("batch.size", "${env:DB_VALUE}".to_owned(), "Not a number"),
        ("publish.full.document.only", "${env:DB_VALUE}".to_owned(), "true or false"),
        ("pipeline", secrets.of_file("broken"), "what the placeholder stands for"),
        ("connection.uri", secrets.of_file("host"), "what the placeholder stands for"),
        ("producer.override.acks", "${env:DB_VALUE}".to_owned(), "Invalid value ${env:DB_VALUE}"),
        ("topic.prefix", "${file:/etc/none.properties:x}".to_owned(), ""),
        (
            "topic.prefix",
            format!("${{file:{}/none:x}}", secrets.path().display()),
            "Could not read",
        ),
    ] {
        let answer = validate(json!({ property: value })).of(&address).await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains(word), "{property}: {}", answer.body);
        answers.push(answer);
        let put = Ask::new("PUT", &format!("/connectors/{name}-2/config"));
        let mut config = given.clone();
        config[property] = value.into();
        config["name"] = format!("{name}-2").into();
        answers.push(put.json(&config).of(&address).await?);
    }
    answers.iter().for_each(|answer| assert_no_canary(&answer.body));
    let shown = answers.iter().find(|answer| answer.body.contains("error_count"));
    let shown = shown.expect("an answer of validate").json()?;
    assert_eq!(shown["error_count"], 0, "{shown}");
    for (property, value) in [("batch.size", "${env:DB_BATCH}"), ("connection.uri", "[hidden]")] {
        let mut rows = shown["configs"].as_array().into_iter().flatten();
        let row = rows.find(|row| row["value"]["name"] == property).expect(property);
        assert_eq!(row["value"]["value"], value);
    }
    assert_no_canary(&node.stop().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_has_changed_is_found_by_a_restart() -> Result<()> {
    let (stage, secrets) = (stage("rotation").await?, Secrets::new()?);
    let databases = ["a", "b"].map(|tail| format!("{}_{tail}", stage.name));
    secrets.write(&[("uri", &stage.uri()), ("database", &databases[0])])?;
    let connector = Connector::new(&stage.name, &secrets.of_file("uri"))
        .set("database", &secrets.of_file("database"))
        .set("offset.partition.name", "one");
    let setup = secrets.providers(stage.worker()?.rest()).connector(connector);
    let mut node = setup.start_running().await?;
    let address = node.rest_address().await?;
    secrets.write(&[("uri", &stage.uri()), ("database", &databases[1])])?;
    let restart = format!("/connectors/{}/tasks/0/restart", stage.name);
    Ask::new("POST", &restart).of(&address).await?.success()?;
    until_running(&mut node, &stage.name).await?;
    for database in &databases {
        let events = stage.client.database(database).collection(EVENTS);
        events.insert_one(doc! { "_id": 1 }).await?;
    }
    let topic = format!("{}.{EVENTS}", databases[1]);
    stage.records_of(&topic).await?.at_least(1, &mut node).await?;
    node.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_failed_for_servers_that_were_away_begins_again_by_itself() -> Result<()> {
    let (stage, secrets) = (stage("restarts").await?, Secrets::new()?);
    secrets.write(&[("uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300")])?;
    let connector =
        Connector::new(&stage.name, &secrets.of_file("uri")).collection(&stage.name, EVENTS);
    let setup = secrets.providers(stage.worker()?.rest()).connector(connector);
    let mut node = setup.worker("task.restart.backoff.ms", "100").start()?;
    let address = node.rest_address().await?;
    let series = format!(r#"millrace_task_restarts_total{{connector="{}",task="0"}}"#, stage.name);
    let restarts = async || anyhow::Ok(Exposition::of(&address).await?.get(&series));
    eventually("two restarts", async || Ok(restarts().await?.filter(|count| 2.0 <= *count)))
        .await?;
    let failed = eventually("the task has failed", async || {
        let status = Ask::get(&format!("/connectors/{}/tasks/0/status", stage.name));
        let status = status.of(&address).await?.json()?;
        Ok((status["state"] == "FAILED").then_some(status))
    });
    assert!(failed.await?["trace"].as_str().is_some_and(|trace| trace.contains("127.0.0.1:1")));

    secrets.write(&[("uri", &stage.uri())])?;
    until_running(&mut node, &stage.name).await?;
    stage.insert([1]).await?;
    stage.records().await?.at_least(1, &mut node).await?;
    let log = node.stop().await?;
    assert!(log.contains("starts again in 100 ms by itself"), "{log}");
    assert!(log.contains("starts again in 200 ms by itself"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_waits_to_begin_again_can_be_stopped() -> Result<()> {
    let stage = stage("waits").await?;
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300";
    let connector = Connector::new(&stage.name, uri);
    let setup = stage.worker()?.rest().worker("task.restart.backoff.ms", "60000");
    let mut node = setup.connector(connector).start()?;
    node.logged("starts again in 60000 ms by itself").await?;
    let address = node.rest_address().await?;
    let status = Ask::get(&format!("/connectors/{}/tasks/0/status", stage.name));
    let status = status.of(&address).await?.json()?;
    let told = "Failure 1 in a row; the task begins again by itself after 60000 ms.";
    assert!(status["trace"].as_str().is_some_and(|trace| trace.ends_with(told)), "{status}");
    let stop = Ask::new("PUT", &format!("/connectors/{}/stop", stage.name));
    stop.of(&address).await?.success()?;
    let status = Ask::get(&format!("/connectors/{}/status", stage.name));
    let status = status.of(&address).await?.json()?;
    assert_eq!(status["connector"]["state"], "STOPPED");
    assert_eq!(status["tasks"], json!([]));
    node.stop().await.map(drop)
}
