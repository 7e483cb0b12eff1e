//! The offsets file: Java's format, where a restart goes on, the opening position, idle streams.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bson::{Document, doc};

use super::harness::load::{self, Load};
use super::harness::records::Record;
use super::harness::{EVENTS, Stage, eventually, java, offsets};
use super::stage;

/// `{_id: n}` of each record, n alone.
fn ids(records: &[Record]) -> Vec<i32> {
    let id = |record: &Record| {
        let key = record.key_text();
        let id = key.strip_prefix(r#"{"_id": "#).and_then(|key| key.strip_suffix('}'));
        id.and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("key {key}"))
    };
    records.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_after_a_clean_stop_repeats_nothing_and_leaves_nothing_out() -> Result<()> {
    let stage = stage("restart").await?;
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    stage.insert(0..10).await?;
    stage.records().await?.at_least(10, &mut node).await?;
    node.stop().await?;
    let records = stage.records().await?.all().await?;
    let stored = offsets::token(&setup.offsets())?.expect("a position");
    let newest = records[9].token()?;
    assert!(newest <= stored.as_str(), "{stored} is stored, {newest} was acknowledged");

    stage.insert(10..20).await?;
    let mut node = setup.start_running().await?;
    stage.insert(20..30).await?;
    stage.records().await?.at_least(30, &mut node).await?;
    node.stop().await?;
    let records = stage.records().await?.all().await?;
    assert_eq!(ids(&records), (0..30).collect::<Vec<_>>());
    Ok(())
}

/// SIGTERM in the middle of a steady load, twice: what was taken is acknowledged and its position stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_stops_under_load_repeat_nothing() -> Result<()> {
    let stage = stage("stops").await?;
    let setup = load::setup(&stage)?;
    let mut node = setup.start_running().await?;
    let load = Load::start(&stage, 300.0, 1_500);
    let records = stage.records().await?;
    for count in [200, 600] {
        records.at_least(count, &mut node).await?;
        load.ensure_goes_on("a stop")?;
        node.stop().await?;
        node = setup.start_running().await?;
    }
    let report = load.judge(&stage, node).await?;
    assert!(report.is_exact(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_before_its_first_event_has_stored_where_it_began() -> Result<()> {
    let stage = stage("opening").await?;
    stage.insert([-1]).await?;
    let setup = stage.setup()?;
    setup.start_running().await?.kill()?;
    let stored = offsets::token(&setup.offsets())?;
    assert!(stored.is_some(), "the node said running without a stored position");
    stage.insert(0..10).await?;
    let mut node = setup.start_running().await?;
    let records = stage.records().await?.at_least(10, &mut node).await?;
    node.stop().await?;
    assert_eq!(ids(&records), (0..10).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_position_of_an_idle_stream_moves_with_writes_elsewhere() -> Result<()> {
    let stage = stage("idle").await?;
    let setup = stage.worker()?.connector(stage.connector().set("poll.await.time.ms", "200"));
    let mut node = setup.start_running().await?;
    let start = stage.operation_time().await?;
    let elsewhere = stage.database().collection::<Document>("elsewhere");
    elsewhere.insert_one(doc! { "_id": 1 }).await?;
    let event = elsewhere.watch().start_at_operation_time(start).await?.next_if_any().await?;
    let token = bson::serialize_to_document(&event.expect("it was written").id)?;
    let token = token.get_str("_data")?.to_owned();
    eventually("a stored position behind a write to another collection", async || {
        node.ensure_alive()?;
        let stored = offsets::token(&setup.offsets())?;
        Ok(stored.is_some_and(|stored| token < stored).then_some(()))
    })
    .await?;
    node.stop().await?;
    Ok(())
}

/// The file as Java's own classes read and write it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_reads_the_offsets_file_and_the_node_goes_on_from_what_java_wrote() -> Result<()> {
    let stage = stage("java").await?;
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    stage.insert(0..4).await?;
    let records = stage.records().await?.at_least(4, &mut node).await?;
    node.stop().await?;

    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/ConnectOffsets.java");
    let file = setup.offsets().display().to_string();
    let printed = java::program(&program, &["print", &file]).await?;
    let by_java: Vec<_> = printed.lines().filter_map(|line| line.split_once('\t')).collect();
    let ours = offsets::read(&setup.offsets())?;
    assert_eq!(by_java, ours.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
    let key = format!("[\"{}\",{{\"ns\":\"{}\"}}]", stage.name, partition(&stage));
    assert_eq!(ours.keys().collect::<Vec<_>>(), [&key]);

    // Back to the second of four, in a file that holds a reset position of someone else too.
    let second = format!(r#"{{"_id":"{{\"_data\": \"{}\"}}"}}"#, records[1].token()?);
    let other = r#"["other",{"ns":"mongodb://elsewhere/"}]"#;
    std::fs::remove_file(&file)?;
    java::program(&program, &["write", &file, &key, &second, other]).await?;
    let mut node = setup.start_running().await?;
    let records = stage.records().await?.at_least(6, &mut node).await?;
    node.stop().await?;
    assert_eq!(ids(&records), [0, 1, 2, 3, 2, 3]);
    let printed = java::program(&program, &["print", &file]).await?;
    assert!(printed.contains(&format!("{other}\tnull\n")), "a foreign entry is lost:\n{printed}");
    Ok(())
}

fn partition(stage: &Stage) -> String {
    format!("mongodb://{}/{}.{EVENTS}", stage.testbed.mongodb().hosts().join(","), stage.name)
}

/// Positions are stored now and then; a stop stores the last one whatever the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_right_after_an_acknowledgement_stores_its_position() -> Result<()> {
    let stage = stage("flush").await?;
    let setup = stage.setup()?;
    let mut node = setup.start_running().await?;
    for id in 0..3 {
        stage.insert([id]).await?;
        let records = stage.records().await?.at_least(id as u64 + 1, &mut node).await?;
        let newest = records[id as usize].token()?;
        let stopping = Instant::now();
        let (code, log) = node.interrupt().await?;
        assert_eq!(code, 0, "exit code after SIGINT:\n{log}");
        let stopped_after = stopping.elapsed();
        assert!(stopped_after < Duration::from_secs(5), "a stop took {stopped_after:?}");
        let stored = offsets::token(&setup.offsets())?.expect("a position");
        assert!(newest <= stored.as_str(), "{stored} is stored, {newest} was acknowledged");
        node = setup.start_running().await?;
    }
    node.stop().await?;
    Ok(())
}
