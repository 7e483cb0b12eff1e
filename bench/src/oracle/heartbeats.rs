//! Heartbeats, compared by shape: how many there are and which tokens they carry is a matter of time.
//!
//! ```text
//! key      {"_data": "82…"}  in the form of its converter, the token made unreadable
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
/// The shortest run of hexadecimal digits that is a token.
const TOKEN_DIGITS_MIN: usize = 20;

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

/// What differs between the heartbeats of the lanes, if anything does.
pub(super) fn difference(java: &[Record], node: &[Record]) -> Option<String> {
    let (of_java, of_node) = (shapes(java), shapes(node));
    let is_one = of_java.len() == 1 && of_java == of_node;
    (!is_one).then(|| {
        format!("heartbeats: {of_java:?} in Java's lane, {of_node:?} in the node's, and one shape was expected")
    })
}

/// Keys without their tokens, values and headers.
fn shapes(
    records: &[Record],
) -> BTreeSet<(Option<String>, Option<String>, BTreeMap<String, Vec<u8>>)> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let shape = |record: &Record| {
        let key = record.key.as_ref().map(text).map(|key| without_tokens(&key));
        (key, record.value.as_ref().map(text), record.headers.clone())
    };
    records.iter().map(shape).collect()
}

fn without_tokens(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let (mut shape, mut rest) = (String::new(), text);
    while let Some(begin) = rest.find(is_digit) {
        let (before, from) = rest.split_at(begin);
        let (run, behind) = from.split_at(from.find(|c| !is_digit(c)).unwrap_or(from.len()));
        shape.push_str(before);
        shape.push_str(if run.len() < TOKEN_DIGITS_MIN { run } else { "token" });
        rest = behind;
    }
    shape + rest
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
        let (one, other) = ("82AB".repeat(12), "82CD".repeat(15));
        let java = [beat(&one, None), beat(&other, None)];
        assert_eq!(difference(&java, &[beat(&other, None)]), None);
        assert!(difference(&java, &[]).is_some());
        assert!(difference(&[], &[]).is_some(), "nothing is no heartbeat");
        assert!(difference(&java, &[beat(&other, Some("null"))]).is_some());
        assert!(difference(&java, &[beat("82AB", None)]).is_some(), "no token");
        let longer = Record { key: Some(format!("{one} ").into_bytes()), ..beat(&one, None) };
        assert!(difference(&java, &[longer]).is_some());
    }
}
