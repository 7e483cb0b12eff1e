//! Offsets in a compacted topic, in Kafka Connect's format.

use anyhow::Result;

use super::harness::{EVENTS, Setup, Stage, java, offsets};
use super::stage;

fn setup(stage: &Stage, topic: &str) -> Result<Setup> {
    Ok(stage
        .setup()?
        .without("offset.storage.file.filename")
        .worker("offset.storage.topic", topic)
        .worker("offset.storage.partitions", "5")
        .worker("offset.storage.replication.factor", "1"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_in_a_topic_are_connects_and_a_restart_goes_on_from_the_newest() -> Result<()> {
    let stage = stage("offsets").await?;
    let topic = format!("{}_offsets", stage.name);
    let setup = setup(&stage, &topic)?;
    // Killed before its first event: the opening position is there.
    let mut node = setup.start_running().await?;
    let positions = stage.records_of(&topic).await?;
    assert_eq!(positions.all().await?.len(), 1, "positions when the node said running");
    node.ensure_alive()?;
    node.kill()?;
    stage.insert(0..5).await?;
    let mut node = setup.start_running().await?;
    stage.records().await?.at_least(5, &mut node).await?;
    node.stop().await?;
    stage.insert(5..10).await?;
    let mut node = setup.start_running().await?;
    stage.records().await?.at_least(10, &mut node).await?;
    node.stop().await?;

    let records = stage.records().await?.all().await?;
    let keys: Vec<_> = records.iter().map(|record| record.key_text().to_owned()).collect();
    assert_eq!(keys, (0..10).map(|id| format!(r#"{{"_id": {id}}}"#)).collect::<Vec<_>>());
    let positions = positions.all().await?;
    let hosts = stage.testbed.mongodb().hosts().join(",");
    let key = format!(r#"["{0}",{{"ns":"mongodb://{hosts}/{0}.{EVENTS}"}}]"#, stage.name);
    let mut before = String::new();
    for position in &positions {
        assert_eq!(position.key_text(), key);
        assert_eq!(position.partition, positions[0].partition, "one key, one partition");
        let token = offsets::token_of(position.value_text())?;
        let text = format!(r#"{{"_id":"{{\"_data\": \"{token}\"}}"}}"#);
        assert_eq!(position.value_text(), text);
        assert!(before <= token, "a position went back from {before} to {token}");
        before = token;
    }
    let newest = records[9].token()?;
    assert!(newest <= before.as_str(), "{before} is stored, {newest} was acknowledged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offset_topic_is_created_compacted_with_the_partitions_asked_for() -> Result<()> {
    let stage = stage("compacted").await?;
    let topic = format!("{}_offsets", stage.name);
    setup(&stage, &topic)?.start_running().await?.stop().await?;
    assert_eq!(stage.records_of(&topic).await?.topic().partitions(), 5);
    let settings = java::topic_settings(stage.testbed.kafka(), &topic).await?;
    assert!(settings.contains("cleanup.policy=compact "), "{settings}");
    Ok(())
}
