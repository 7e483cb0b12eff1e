//! Positions that the server no longer knows, and positions under other hosts: never a silent start from now.

use std::fs;

use anyhow::{Context, Result};

use super::harness::{Connector, EVENTS, Setup, Stage, offsets};
use super::stage;

/// Runs a node until two events are stored, and stops it.
async fn replicated(stage: &Stage) -> Result<Setup> {
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    stage.insert([0, 1]).await?;
    stage.records().await?.at_least(2, &mut node).await?;
    node.stop().await?;
    Ok(setup)
}

/// A node with the `changed` token of an event must fail, leave its file as it is and publish nothing.
async fn fails_with(subject: &str, changed: fn(&str) -> String, parts: &[&str]) -> Result<()> {
    let stage = stage(subject).await?;
    let setup = replicated(&stage).await?;
    let records = stage.records().await?.all().await?;
    let stored = offsets::read(&setup.offsets())?;
    let key = stored.keys().next().context("a position")?;
    offsets::write(&setup.offsets(), key, &changed(records[1].token()?))?;
    let before = fs::read(setup.offsets())?;
    stage.insert([2, 3]).await?;
    for _ in 0..2 {
        let log = setup.fails(1).await?;
        for part in [&[&*format!("connector {} failed", stage.name)][..], parts].concat() {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
        assert!(!log.contains(" running"), "it ran from another position:\n{log}");
        assert_eq!(fs::read(setup.offsets())?, before, "the stored offset was changed");
    }
    assert_eq!(stage.records().await?.all().await?.len(), 2, "records in the topic");
    Ok(())
}

/// Not a law about faults: the other tests of this file can only fail if a right token goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_event_that_is_known_is_gone_on_from() -> Result<()> {
    let stage = stage("known").await?;
    let setup = replicated(&stage).await?;
    let records = stage.records().await?.all().await?;
    let stored = offsets::read(&setup.offsets())?;
    let key = stored.keys().next().context("a position")?;
    offsets::write(&setup.offsets(), key, records[0].token()?)?;
    let mut node = setup.start_running().await?;
    let again = stage.records().await?.at_least(3, &mut node).await?;
    node.stop().await?;
    assert_eq!(again[2].value, records[1].value);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_token_stops_the_task_and_stays_stored() -> Result<()> {
    let no_hex = |token: &str| "Z".repeat(token.len());
    fails_with("no_hex", no_hex, &["offset.partition.name"]).await?;
    let no_token = |token: &str| "AB".repeat(token.len() / 2);
    fails_with("no_token", no_token, &["offset.partition.name"]).await
}

/// As after a roll-back: the time is in the oplog, the event is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_event_that_never_was_stops_the_task_and_stays_stored() -> Result<()> {
    // The collection's UUID: 16 bytes behind `82`, seconds, increment and ten bytes of other fields.
    let other = |token: &str| format!("{}{}{}", &token[..38], "0".repeat(32), &token[70..]);
    fails_with("never", other, &["offset.partition.name"]).await
}

/// `82`, then the seconds of the token's time in eight digits: an hour after 1970 is in no oplog.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_older_than_the_oplog_stops_the_task_and_stays_stored() -> Result<()> {
    let older = |token: &str| format!("8200000E10{}", &token[10..]);
    fails_with("old", older, &["no longer be resumed", "offset.partition.name"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_is_no_offset_stops_the_task_and_stays_stored() -> Result<()> {
    let stage = stage("no_offset").await?;
    let setup = replicated(&stage).await?;
    let bytes = fs::read(setup.offsets())?;
    let at = bytes.windows(5).position(|text| text == b"_data").context("an offset")?;
    let before = [&bytes[..at], b"_dada", &bytes[at + 5..]].concat();
    fs::write(setup.offsets(), &before)?;
    stage.insert([2]).await?;
    let log = setup.fails(1).await?;
    assert!(log.contains(&format!("connector {} failed", stage.name)), "{log}");
    assert!(log.contains("offset.partition.name"), "the remedy is not in:\n{log}");
    assert_eq!(fs::read(setup.offsets())?, before, "the stored offset was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offsets_file_that_java_cannot_read_ends_the_worker_and_stays() -> Result<()> {
    let stage = stage("no_file").await?;
    let setup = replicated(&stage).await?;
    let bytes = fs::read(setup.offsets())?;
    for cut in [1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(setup.offsets(), &bytes[..cut])?;
        let log = setup.fails(1).await?;
        assert!(log.contains("connect.offsets") && log.contains("cut off"), "{cut}: {log}");
        assert_eq!(fs::read(setup.offsets())?, &bytes[..cut], "the file was changed");
    }
    Ok(())
}

fn through(stage: &Stage, hosts: &str) -> Connector {
    let uri = format!("mongodb://{hosts}/?replicaSet=rs0");
    Connector::new(&stage.name, &uri).collection(&stage.name, EVENTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_under_another_host_list_is_taken_over_and_two_are_refused() -> Result<()> {
    let stage = stage("hosts").await?;
    let setup = replicated(&stage).await?;
    let host = stage.testbed.mongodb().hosts()[0].clone();
    let alias = host.replace("127.0.0.1", "localhost");
    assert_ne!(host, alias, "a deployment on 127.0.0.1 is needed");
    stage.insert([2, 3]).await?;

    let setup = setup.connector(through(&stage, &alias));
    let mut node = setup.start_running().await?;
    let records = stage.records().await?.at_least(4, &mut node).await?;
    let log = node.stop().await?;
    let keys: Vec<_> = records.iter().map(|record| record.key_text()).collect();
    assert_eq!(keys, [r#"{"_id": 0}"#, r#"{"_id": 1}"#, r#"{"_id": 2}"#, r#"{"_id": 3}"#]);
    let taken_over = log.lines().find(|line| line.contains("going on from there"));
    let taken_over = taken_over.context("nothing says that a position was taken over")?;
    for part in ["WARN", &host, &alias] {
        assert!(taken_over.contains(part), "{part:?} is not in: {taken_over}");
    }
    assert_eq!(offsets::read(&setup.offsets())?.len(), 2, "one position under each list");

    // Both lists have a position now, and not the same.
    stage.insert([4]).await?;
    let before = fs::read(setup.offsets())?;
    let setup = setup.connector(through(&stage, &format!("{alias},{host}")));
    let log = setup.fails(1).await?;
    let failed = format!("connector {} failed", stage.name);
    let [first, second] = [&host, &alias].map(|host| format!("mongodb://{host}/{}", stage.name));
    for part in [failed.as_str(), &first, &second, "offset.partition.name"] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    assert_eq!(fs::read(setup.offsets())?, before, "the stored offsets were changed");
    assert_eq!(stage.records().await?.all().await?.len(), 4, "records in the topic");
    Ok(())
}
