//! `millrace doctor`: a set-up that would run is found healthy, and each fault is found and named before it hits.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::{Document, doc};
use millrace_bench::kafka_admin::KafkaAdmin;
use millrace_testbed::{MongodbPlan, Plan, Servers, Testbed};
use serde_json::Value;

use super::access::{PASSWORD, guarded};
use super::harness::servers::fresh;
use super::harness::{Connector, EVENTS, Setup, offsets};
use super::{servers, stage};

/// What it has found.
struct Examined {
    code: i32,
    document: Value,
    log: String,
}

async fn examine(setup: &Setup) -> Result<Examined> {
    let (code, said, log) = setup.clone().argument("--json").doctor().await?;
    let document = serde_json::from_str(&said).with_context(|| format!("{said}\n{log}"))?;
    Ok(Examined { code, document, log })
}

impl Examined {
    fn findings(&self) -> impl Iterator<Item = &Value> {
        let subjects = self.document["subjects"].as_array().into_iter().flatten();
        subjects.filter_map(|subject| subject["findings"].as_array()).flatten()
    }

    /// The one finding of that name: its verdict, and all that it says.
    fn of(&self, check: &str) -> (&str, String) {
        let mut found = self.findings().filter(|finding| finding["check"] == check);
        let finding = found.next().unwrap_or_else(|| panic!("no {check} in {:#}", self.document));
        (finding["verdict"].as_str().unwrap_or_default(), finding.to_string())
    }

    fn assert_fails(&self, check: &str, parts: &[&str]) {
        let (verdict, said) = self.of(check);
        assert_eq!((self.code, verdict), (1, "failure"), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "not all of {parts:?} in {said}");
    }

    fn failures(&self) -> Vec<&Value> {
        self.findings().filter(|finding| finding["verdict"] == "failure").collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_would_run_has_no_failure_and_is_left_as_it_was() -> Result<()> {
    let stage = stage("healthy").await?;
    let setup = stage.setup()?;
    let examined = examine(&setup).await?;
    assert_eq!((examined.failures(), examined.code), (vec![], 0), "{}", examined.log);
    for check in [
        "io_uring",
        "open files",
        "servers",
        "version",
        "clock",
        "oplog window",
        "change stream",
        "brokers",
        "producer id",
    ] {
        assert_eq!(examined.of(check).0, "ok", "{:#}", examined.document);
    }
    assert!(examined.of("position").1.contains("none is stored"));
    assert!(!setup.offsets().exists(), "it has stored something");
    let admin = stage.testbed.kafka().client().await?;
    let topics = admin.list_topics().await?;
    assert!(topics.iter().all(|topic| topic.name != stage.topic()), "it has created the topic");

    let mut node = setup.start_running().await?;
    stage.insert([1]).await?;
    stage.records().await?.at_least(1, &mut node).await?;
    node.stop().await?;
    let examined = examine(&setup).await?;
    assert!(examined.of("position").1.contains("would resume"), "{:#}", examined.document);
    assert_eq!(examined.of(&format!("topic {}", stage.topic())).0, "ok");
    assert_eq!(examined.code, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_has_no_colours_in_a_pipe_and_ends_with_a_sum() -> Result<()> {
    let (code, said, _) = stage("table").await?.setup()?.doctor().await?;
    assert!(said.contains("  ✓ change stream") && !said.contains('\x1b'), "{said}");
    let sum = said.lines().last().context("nothing")?;
    assert!(sum.contains(" ok") && !sum.contains("failure"), "{sum}");
    assert_eq!(code, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_oplog_has_passed_by_is_found_before_the_task_fails() -> Result<()> {
    let stage = stage("doctor_lost").await?;
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    stage.insert([0]).await?;
    stage.records().await?.at_least(1, &mut node).await?;
    node.stop().await?;
    let stored = offsets::read(&setup.offsets())?;
    let (key, value) = stored.iter().next().context("a position")?;
    // An hour after 1970 is in no oplog.
    let old = format!("8200000E10{}", &offsets::token_of(value)?[10..]);
    offsets::write(&setup.offsets(), key, &old)?;
    let before = fs::read(setup.offsets())?;
    let examined = examine(&setup).await?;
    examined.assert_fails("position", &["the oplog begins at", "resume.policy.lost.position"]);
    assert_eq!(examined.of("change stream").0, "ok", "the stream itself can be opened");
    assert_eq!(fs::read(setup.offsets())?, before, "the stored offset was changed");

    let goes_on = stage.connector().set("resume.policy.lost.position", "oldest");
    let examined = examine(&setup.connector(goes_on)).await?;
    assert_eq!((examined.code, examined.of("position").0), (0, "warning"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_not_there_are_named_in_time() -> Result<()> {
    let name = fresh("nowhere");
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let connector =
        Connector::new(&name, &format!("mongodb://{address}")).collection(&name, EVENTS);
    let began = Instant::now();
    let examined = examine(&Setup::new(&address)?.connector(connector)).await?;
    examined.assert_fails("servers", &[&address, "connection.uri"]);
    examined.assert_fails("brokers", &[&address, "bootstrap.servers"]);
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_does_not_hold_it_up() -> Result<()> {
    let (servers, name) = (servers().await?, fresh("mute"));
    // Takes connections by its backlog, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0")?;
    let uri = format!("mongodb://{}", mute.local_addr()?);
    let connector = Connector::new(&name, &uri).collection(&name, EVENTS);
    let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector);
    let began = Instant::now();
    let examined = examine(&setup).await?;
    examined.assert_fails("servers", &["nothing came from"]);
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standalone_mongod_is_told_how_to_become_a_set() -> Result<()> {
    let (servers, name) = (servers().await?, fresh("doctor_alone"));
    let plan = Plan::only_mongodb(MongodbPlan::standalone().cache_gb(0.25));
    let standalone = Testbed::up(plan, Servers::Native).await?;
    let connector = Connector::new(&name, &standalone.mongodb().uri()).collection(&name, EVENTS);
    let setup = Setup::new(&servers.kafka().bootstrap())?.connector(connector);
    examine(&setup).await?.assert_fails("servers", &["standalone", "--replSet", "rs.initiate()"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_rights_or_with_a_wrong_password_is_told_and_no_secret_shown() -> Result<()>
{
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("doctor_rights"));
    let mongodb = guarded.mongodb();
    let elsewhere = doc! { "role": "read", "db": "millrace_elsewhere" };
    mongodb.create_user(&name, PASSWORD, vec![elsewhere.into()]).await?;
    let setup = |password: &str| -> Result<Setup> {
        let connector = Connector::new(&name, &mongodb.uri_as(&name, password));
        Ok(Setup::new(&servers.kafka().bootstrap())?.connector(connector.collection(&name, EVENTS)))
    };
    let examined = examine(&setup(PASSWORD)?).await?;
    examined.assert_fails(
        "privileges",
        &["find and changeStream", &format!("'{name}.{EVENTS}'"), "grantRolesToUser"],
    );
    examined.assert_fails("change stream", &["role read"]);
    let wrong = examine(&setup("s3cret-but-wrong")?).await?;
    wrong.assert_fails("servers", &[&format!("'{name}'"), "check user, password"]);
    for examined in [examined, wrong] {
        let said = format!("{}{}", examined.document, examined.log);
        assert!(!said.contains("s3cret") && !said.contains(PASSWORD), "a secret is in {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_are_required_and_not_stored_are_missed() -> Result<()> {
    let stage = stage("images").await?;
    stage.database().create_collection(EVENTS).await?;
    let connector = stage.connector().set("change.stream.full.document.before.change", "required");
    let setup = stage.worker()?.connector(connector);
    examine(&setup).await?.assert_fails("pre- and post-images", &["collMod", EVENTS]);
    let change: Document =
        doc! { "collMod": EVENTS, "changeStreamPreAndPostImages": { "enabled": true } };
    stage.database().run_command(change).await?;
    let examined = examine(&setup).await?;
    assert_eq!((examined.code, examined.of("pre- and post-images").0), (0, "ok"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_would_lose_or_refuse_are_named() -> Result<()> {
    let stage = stage("doctor_topics").await?;
    let offset_topic = format!("{}_offsets", stage.name);
    let mut admin = KafkaAdmin::connect(&stage.bootstrap())?;
    admin.create_topic(&offset_topic, 1, &[("cleanup.policy", "delete")])?;
    admin.create_topic(&stage.topic(), 1, &[("max.message.bytes", "20000")])?;
    // The broker hears of them a moment after the controller.
    stage.records_of(&offset_topic).await?;
    stage.records().await?;
    let setup = stage
        .setup()?
        .without("offset.storage.file.filename")
        .worker("offset.storage.topic", &offset_topic);
    let examined = examine(&setup).await?;
    examined.assert_fails(
        &format!("topic {offset_topic}"),
        &["cleanup.policy=compact", "cleanup.policy=delete"],
    );
    let (verdict, said) = examined.of(&format!("topic {}", stage.topic()));
    assert!(verdict == "warning" && said.contains("max.message.bytes=1048576"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_cannot_be_created_is_found_without_creating_one() -> Result<()> {
    let stage = stage("doctor_create").await?;
    let connector = |copies: &str| {
        let connector = stage.connector().set("topic.creation.default.partitions", "1");
        connector.set("topic.creation.default.replication.factor", copies)
    };
    let check = format!("topic {}", stage.topic());
    let examined = examine(&stage.worker()?.connector(connector("99"))).await?;
    examined.assert_fails(&check, &["INVALID_REPLICATION_FACTOR"]);
    let examined = examine(&stage.worker()?.connector(connector("1"))).await?;
    assert!(examined.of(&check).1.contains("would be created"), "{:#}", examined.document);
    let topics = stage.testbed.kafka().client().await?.list_topics().await?;
    assert!(topics.iter().all(|topic| topic.name != stage.topic()), "it was created");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_wrong_is_said_first_and_has_an_exit_code_of_its_own() -> Result<()> {
    let stage = stage("doctor_file").await?;
    let connector = stage.connector().set("connection.uri", "mongodb://u:s3cret@h:x");
    let examined = examine(&stage.worker()?.connector(connector)).await?;
    assert_eq!(examined.code, 2, "{}", examined.log);
    let first = &examined.document["subjects"][0];
    assert_eq!(first["subject"], "configuration");
    assert_eq!(first["findings"][1]["verdict"], "failure", "{first:#}");
    assert!(first.to_string().contains("connection.uri"), "{first:#}");
    assert!(!examined.document.to_string().contains("s3cret"));
    Ok(())
}
