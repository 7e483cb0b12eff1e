//! Heartbeats, compared by shape: how many there are and which tokens they carry is a matter of time.
//!
//! ```text
//! key      {"_data": "82…", "_typeBits": …}  in the form of its converter, the values of both left out
//! value    nothing, or the converter's own idea of nothing
//! ```
//!
//! A stream beats when its token has moved and nothing else came: notes in the oplog move it, and no stream shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::doc;
use mongodb::Client;
use rskafka::client::Client as Broker;

use crate::consumer::Topic;

use super::combination::{Combination, Lane};
use super::record::{Record, read_all};

/// How long a lane may be without one while its token moves.
const PATIENCE: Duration = Duration::from_secs(30);
const NOTE_INTERVAL: Duration = Duration::from_millis(200);
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A key without its token, a value and headers.
type Shape = (Option<String>, Option<String>, BTreeMap<String, Vec<u8>>);

/// Lets time pass until both lanes of each combination that asks for heartbeats have one, or for [`PATIENCE`].
pub(super) async fn let_all_beat(
    client: &Client,
    broker: &Broker,
    group: &[Combination],
) -> Result<()> {
    let asked = |one: &Combination| Lane::ALL.map(|lane| one.heartbeat_topic(lane));
    let mut missing: BTreeSet<String> = group.iter().flat_map(asked).flatten().collect();
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() && Instant::now() < deadline {
        let note = doc! { "appendOplogNote": 1, "data": { "for": "heartbeats" } };
        client
            .database("admin")
            .run_command(note)
            .await
            .context("move the tokens of idle streams")?;
        tokio::time::sleep(NOTE_INTERVAL).await;
        // A topic comes with its first record.
        for topic in broker.list_topics().await? {
            missing.remove(&topic.name);
        }
    }
    Ok(())
}

/// The heartbeats of a lane, if its combination asks for any; none where there is no topic.
pub(super) async fn read(
    broker: &Broker,
    one: &Combination,
    lane: Lane,
    topics: &[String],
) -> Result<Option<Vec<Record>>> {
    let Some(name) = one.heartbeat_topic(lane) else { return Ok(None) };
    if !topics.contains(&name) {
        return Ok(Some(Vec::new()));
    }
    let topic = Topic::open(broker, &name, OPEN_TIMEOUT).await?;
    Ok(Some(read_all(&topic).await?))
}

/// What differs between the heartbeats of the lanes, if anything does. There are two forms of tokens: those that have
/// type bits and those that have none. A lane need not have met both.
pub(super) fn difference(java: &[Record], node: &[Record]) -> Option<String> {
    let (of_java, of_node) = (shapes(java), shapes(node));
    let (fewer, more) =
        if of_java.len() < of_node.len() { (&of_java, &of_node) } else { (&of_node, &of_java) };
    let is_alike = !fewer.is_empty() && fewer.is_subset(more) && more.len() <= 2;
    (!is_alike)
        .then(|| format!("heartbeats: {of_java:?} in Java's lane, {of_node:?} in the node's"))
}

fn shapes(records: &[Record]) -> BTreeSet<Shape> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let shape = |record: &Record| {
        let key = record.key.as_ref().map(text).map(|key| without_tokens(&key));
        (key, record.value.as_ref().map(text), record.headers.clone())
    };
    records.iter().map(shape).collect()
}

/// Without what differs between tokens; what escapes the quotes around it stays.
fn without_tokens(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('"').collect();
    for at in 2..parts.len() {
        let name = parts[at - 2];
        if name.starts_with("_data") || name.starts_with("base64") {
            parts[at] = parts[at].trim_start_matches(|c| c != '\\');
        }
    }
    parts.join("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(token: &str, value: Option<&str>) -> Record {
        Record {
            partition: 0,
            offset: 0,
            key: Some(format!(r#""{{\"_data\": \"{token}\"}}""#).into_bytes()),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn tokens_and_numbers_of_heartbeats_may_differ_and_nothing_else() {
        let java = [beat("82AB", None), beat("82CD", None)];
        assert_eq!(difference(&java, &[beat("82EF01", None)]), None);
        assert!(difference(&java, &[]).is_some());
        assert!(difference(&[], &[]).is_some(), "nothing is no heartbeat");
        assert!(difference(&java, &[beat("82AB", Some("null"))]).is_some());
        let longer = Record { key: Some(b"{\"_data\":\"82AB\"}".to_vec()), ..beat("82AB", None) };
        assert!(difference(&java, &[longer]).is_some(), "another form");
    }

    #[test]
    fn a_lane_need_not_have_met_type_bits_but_if_both_have_they_are_written_alike() {
        let with_bits = |bits: &str, subtype: &str| {
            let key = format!(
                r#"{{"_data": "82AB", "_typeBits": {{"$binary": {{"base64": "{bits}", "subType": "{subtype}"}}}}}}"#
            );
            Record { key: Some(key.into_bytes()), ..beat("82AB", None) }
        };
        let plain = Record { key: Some(br#"{"_data": "82AB"}"#.to_vec()), ..beat("82AB", None) };
        let java = [plain.clone(), with_bits("ggAB", "00")];
        assert_eq!(difference(&java, std::slice::from_ref(&plain)), None);
        assert_eq!(difference(&java, &[with_bits("ggCK", "00"), plain.clone()]), None);
        assert!(difference(&java, &[with_bits("ggAB", "0"), plain]).is_some());
    }
}
