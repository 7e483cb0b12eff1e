//! Heartbeats: their keys and values in each converter, in topics that both sides write in turn.
//!
//! How many there are and which tokens they carry is a matter of time. So a record is compared with its token made
//! unreadable, and all heartbeats of both lanes must be the same then. That each side goes on from a heartbeat of the
//! other is the business of the trial: a gap or a repetition would be seen in the topics of the events.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bson::doc;

use crate::case::{Case, LANE, Place, Write};
use crate::harness::records::Record;
use crate::trial::trial;

const CONTENT: Write = |place| Box::pin(a_few(place));

/// Key and value, as text, of the one heartbeat that there is when tokens are not looked at.
type Shape = (String, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_are_javas_in_every_converter() -> Result<()> {
    let trial = trial().await?;
    trial.judge(&cases())?;
    for (case, value) in [
        ("beats_as_strings", None),
        ("beats_as_literals", Some("null")),
        (
            "beats_in_envelopes",
            Some(r#"{"schema":{"type":"bytes","optional":true},"payload":null}"#),
        ),
    ] {
        let [java, node] = trial.heartbeats(case)?;
        let (of_java, of_node) = (shapes(java), shapes(node));
        eprintln!("{case}: {} heartbeats in Java's lane, {} in the node's", java.len(), node.len());
        ensure!(
            of_java == of_node,
            "{case}: {of_java:?} in Java's lane, {of_node:?} in the node's"
        );
        ensure!(of_java.len() == 1, "{case}: heartbeats of {} kinds", of_java.len());
        let seen = of_java.iter().next().and_then(|(_, value)| value.as_deref());
        ensure!(seen == value, "{case}: the value is {seen:?}");
    }
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    let beating = |name: &str| {
        Case::new(name, CONTENT)
            .set("heartbeat.interval.ms", "50")
            .set("heartbeat.topic.name", &format!("{LANE}-{name}"))
    };
    vec![
        beating("beats_as_strings").strings(),
        beating("beats_as_literals")
            .set("key.converter", JSON)
            .set("value.converter", JSON)
            .set("key.converter.schemas.enable", "false")
            .set("value.converter.schemas.enable", "false"),
        beating("beats_in_envelopes"),
    ]
}

fn shapes(records: &[Record]) -> BTreeSet<Shape> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let without_token = |key: String| {
        key.split('"')
            .map(|part| if part.starts_with("82") { "token" } else { part })
            .collect::<Vec<_>>()
            .join("\"")
    };
    let shape = |record: &Record| {
        let key = record.key.as_ref().map(text).map(without_token).unwrap_or_default();
        (key, record.value.as_ref().map(text))
    };
    records.iter().map(shape).collect()
}

async fn a_few(place: Place) -> Result<()> {
    place.events().insert_many((0..20).map(|id| doc! { "_id": id })).await?;
    Ok(())
}
