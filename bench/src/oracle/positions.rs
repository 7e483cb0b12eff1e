//! Holds the positions that the two sides have stored against each other.
//!
//! ```text
//! key      ["c07",{"ns":"mongodb://h:1/db.coll"}]      the same text
//! value    {"_id":"{\"_data\": \"82…\"}"}              the same text around the token
//! token    both open a stream whose next event is the same
//! ```
//!
//! Tokens need not be equal: Java stores that of its last record, the node also the newer one of an idle stream. Where
//! there are heartbeats either may be the last record, and then the value has the mark of one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bson::{Document, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::Client;
use mongodb::change_stream::event::ResumeToken;
use tokio::time::timeout;

use super::backlog::BEHIND;
use super::combination::{Combination, Lane};
use super::offsets::token_of;

/// How long the server may take to find the event behind a position.
const NEXT_EVENT_PATIENCE: Duration = Duration::from_secs(20);
/// In the value of a position that was stored with a heartbeat.
const HEARTBEAT_MARK: &str = r#","HEARTBEAT":"true""#;

/// Positions by their key.
pub(super) type Positions = BTreeMap<String, String>;

/// What comes of holding two positions against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Keys or forms differ.
    Differ(String),
    /// They are the same around these tokens, Java's and the node's: see [`next_event`].
    Alike([String; 2]),
}

/// Compares the positions of one combination.
pub(super) fn compare(combination: &Combination, java: &Positions, node: &Positions) -> Compared {
    let ours = |positions: &Positions| -> Positions {
        let begin = format!(r#"["{}","#, combination.name());
        let ours = positions.iter().filter(|(key, _)| key.starts_with(&begin));
        ours.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (java, node) = (ours(java), ours(node));
    let keys = |positions: &Positions| positions.keys().cloned().collect::<Vec<_>>().join(" ");
    if java.len() != 1 || keys(&java) != keys(&node) {
        let (java, node) = (keys(&java), keys(&node));
        let text = format!("keys of positions: {java} in Java's file, {node} in the node's");
        return Compared::Differ(text);
    }
    let value = |positions: Positions| positions.into_values().next().unwrap_or_default();
    let (java, node) = (value(java), value(node));
    let may_beat = combination.heartbeat_topic(Lane::Java).is_some();
    let form = |value: &str, token: &str| {
        let form = value.replace(token, "");
        if may_beat { form.replacen(HEARTBEAT_MARK, "", 1) } else { form }
    };
    match (token_of(&java), token_of(&node)) {
        (Ok(theirs), Ok(ours)) if form(&java, &theirs) == form(&node, &ours) => {
            Compared::Alike([theirs, ours])
        }
        _ => Compared::Differ(format!("position: {java} in Java's file, {node} in the node's")),
    }
}

/// What is wrong with a position: the next event behind it is not the one that was written when nobody read.
pub(super) async fn next_event(
    client: &Client,
    combination: &Combination,
    database: &str,
    token: &str,
) -> Result<Option<String>> {
    let token: ResumeToken = bson::deserialize_from_document(doc! { "_data": token })
        .with_context(|| format!("no resume token: {token}"))?;
    let expanded = combination.shows_expanded_events();
    let stream = match combination.scope(database) {
        (Some(database), Some(collection)) => {
            let collection = client.database(database).collection::<Document>(collection);
            collection.watch().start_after(token).show_expanded_events(expanded).await
        }
        (Some(database), None) => {
            let database = client.database(database);
            database.watch().start_after(token).show_expanded_events(expanded).await
        }
        (None, _) => client.watch().start_after(token).show_expanded_events(expanded).await,
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return Ok(Some(format!("no stream opens there: {error}"))),
    };
    let mut stream = stream.with_type::<RawDocumentBuf>();
    let next = match timeout(NEXT_EVENT_PATIENCE, stream.next()).await {
        Ok(Some(next)) => next?,
        Ok(None) => bail!("a change stream ended"),
        Err(_) => return Ok(Some("nothing comes behind it".to_owned())),
    };
    let key = next.get_document("documentKey").ok().and_then(|key| key.get_str("_id").ok());
    Ok((key != Some(BEHIND)).then(|| format!("behind it comes {next:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::combination::combinations;
    use super::*;

    fn positions(key: &str, value: &str) -> Positions {
        [(key.to_owned(), value.to_owned()), (r#"["c998",{}]"#.to_owned(), "{}".to_owned())].into()
    }

    #[test]
    fn keys_and_forms_are_compared_and_tokens_handed_on() {
        let all = combinations(60, 1).unwrap();
        let silent = |one: &&Combination| one.heartbeat_topic(Lane::Java).is_none();
        let one = all.iter().find(silent).unwrap();
        let key = format!(r#"["{}",{{"ns":"x"}}]"#, one.name());
        let (key, value) = (key.as_str(), r#"{"_id":"{\"_data\": \"82AA\"}"}"#);
        let java = positions(key, value);
        let of_node = |key: &str, value: &str| compare(one, &java, &positions(key, value));
        assert_eq!(of_node(key, value), Compared::Alike(["82AA", "82AA"].map(str::to_owned)));
        let newer = r#"{"_id":"{\"_data\": \"82BB\"}"}"#;
        assert_eq!(of_node(key, newer), Compared::Alike(["82AA", "82BB"].map(str::to_owned)));
        for (key, value) in [
            (key.replace('x', "y").as_str(), value),
            (r#"["c999",{"ns":"x"}]"#, value),
            (key, r#"{"_id":"{\"_data\":\"82AA\"}"}"#),
            (key, r#"{"_id":"{\"_data\": \"82AA\"}","HEARTBEAT":"true"}"#),
            (key, "{}"),
        ] {
            assert!(matches!(of_node(key, value), Compared::Differ(_)), "{key} {value}");
        }
    }

    #[test]
    fn either_side_may_end_with_a_heartbeat_where_there_are_any() {
        let all = combinations(60, 1).unwrap();
        let one = all.iter().find(|one| one.heartbeat_topic(Lane::Java).is_some()).unwrap();
        let stored = |mark: &str| -> Positions {
            let key = format!(r#"["{}",{{"ns":"x"}}]"#, one.name());
            [(key, format!(r#"{{"_id":"{{\"_data\": \"82AA\"}}"{mark}}}"#))].into()
        };
        for (java, node, alike) in [
            (HEARTBEAT_MARK, "", true),
            ("", HEARTBEAT_MARK, true),
            (HEARTBEAT_MARK, r#","copy":"true""#, false),
        ] {
            let compared = compare(one, &stored(java), &stored(node));
            assert_eq!(matches!(compared, Compared::Alike(_)), alike, "{java} {node}");
        }
    }
}
