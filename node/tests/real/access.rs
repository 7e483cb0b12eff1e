//! Authentication and rights, on a deployment where clients must authenticate.

use std::sync::Arc;

use anyhow::Result;
use bson::doc;
use millrace_testbed::{Mongodb, MongodbPlan, Plan, Servers, Testbed};
use serde_json::json;

use super::harness::rest::Ask;
use super::harness::servers::{Shared, fresh};
use super::harness::{Connector, EVENTS, Records, Setup};
use super::servers;

pub(crate) const PASSWORD: &str = "p@ss/wörd: 50%";

/// A replica set of one that refuses whoever it does not know.
pub(crate) async fn guarded() -> Result<Arc<Testbed>> {
    static SHARED: Shared = Shared::new();
    let plan = || Plan::only_mongodb(MongodbPlan::default().auth().cache_gb(0.25).oplog_mb(990));
    SHARED.get(Servers::Native, plan).await
}

/// A worker whose connector reads the database `name` as a user.
fn setup(mongodb: &Mongodb, bootstrap: &str, name: &str, login: (&str, &str)) -> Result<Setup> {
    let connector = Connector::new(name, &mongodb.uri_as(login.0, login.1));
    Ok(Setup::new(bootstrap)?.connector(connector.collection(name, EVENTS)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_read_the_database_replicates_it() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("reader"));
    let (mongodb, bootstrap) = (guarded.mongodb(), servers.kafka().bootstrap());
    let role = doc! { "role": "read", "db": &name };
    mongodb.create_user(&name, PASSWORD, vec![role.into()]).await?;
    let mut node = setup(mongodb, &bootstrap, &name, (&name, PASSWORD))?.start_running().await?;
    let events = mongodb.client().await?.database(&name).collection(EVENTS);
    events.insert_one(doc! { "_id": 1 }).await?;
    let records = Records::open(&bootstrap, &format!("{name}.{EVENTS}")).await?;
    let records = records.at_least(1, &mut node).await?;
    // It may not read the oplog: nobody sees how long the position survives, and the log says why.
    let told = node.logged("how long its position survives is not known").await?;
    assert!(told.contains("not authorized") && told.contains("find on local.oplog.rs"), "{told}");
    let log = node.stop().await?;
    assert_eq!(records[0].key_text(), r#"{"_id": 1}"#);
    assert!(!log.contains(PASSWORD) && !log.contains("p%40ss"), "a secret is in the log:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_ends_the_worker_and_is_not_repeated_in_the_log() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("password"));
    let mongodb = guarded.mongodb();
    mongodb.create_user(&name, PASSWORD, vec!["readAnyDatabase".into()]).await?;
    let setup = setup(mongodb, &servers.kafka().bootstrap(), &name, (&name, "s3cret-but-wrong"))?;
    let log = setup.fails(1).await?;
    for part in [&format!("connector {name} failed"), &format!("'{name}'"), "check user, password"]
    {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert!(!log.contains("s3cret"), "a secret is in the log:\n{log}");
    assert!(!setup.offsets().exists(), "a position of a stream that was never open");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_watch_is_told_the_actions_and_the_role() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("rights"));
    let mongodb = guarded.mongodb();
    let elsewhere = doc! { "role": "read", "db": "millrace_elsewhere" };
    mongodb.create_user(&name, PASSWORD, vec![elsewhere.into()]).await?;
    let setup = setup(mongodb, &servers.kafka().bootstrap(), &name, (&name, PASSWORD))?;
    let log = setup.fails(1).await?;
    let scope = format!("{name}.{EVENTS}");
    for part in [&format!("connector {name} failed"), "find", "changeStream", &scope, "role read"] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert!(!setup.offsets().exists(), "a position of a stream that was never open");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_over_rest_is_not_made_for_a_user_who_may_not_watch() -> Result<()> {
    let (guarded, servers, name) = (guarded().await?, servers().await?, fresh("asked"));
    let mongodb = guarded.mongodb();
    let elsewhere = doc! { "role": "read", "db": "millrace_elsewhere" };
    mongodb.create_user(&name, PASSWORD, vec![elsewhere.into()]).await?;
    let mut node = Setup::new(&servers.kafka().bootstrap())?.rest().start()?;
    let address = node.rest_address().await?;
    for (password, told) in [
        (PASSWORD, "Missing the following action permissions: changeStream, find"),
        ("s3cret-but-wrong", "Invalid user permissions authentication failed."),
    ] {
        let config = json!({
            "connector.class": "MongoSource",
            "connection.uri": mongodb.uri_as(&name, password),
            "database": name,
            "collection": EVENTS,
        });
        let put = Ask::new("PUT", &format!("/connectors/{name}/config")).json(&config);
        let answer = put.of(&address).await?;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(told), "{told:?} is not in: {}", answer.body);
        assert!(!answer.body.contains("s3cret"), "a secret is in: {}", answer.body);
    }
    node.stop().await.map(drop)
}
