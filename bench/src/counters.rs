//! What is counted beside time and memory: connections of an arm, growth of the oplog. For capacity planning.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bson::doc;
use millrace_results::plan::rungs::{
    CONNECTIONS_KAFKA, CONNECTIONS_MONGODB, OPLOG_BYTES_PER_EVENT,
};
use mongodb::Client;
use serde_json::{Value, json};

use crate::procfs;

/// Connections of a process to both sides, where the system tells.
pub fn connections(pid: u32, mongodb_uri: &str, bootstrap: &str) -> BTreeMap<String, Value> {
    let sides = [
        (CONNECTIONS_MONGODB, ports(hosts_of_uri(mongodb_uri))),
        (CONNECTIONS_KAFKA, ports(bootstrap)),
    ];
    let counted = sides.into_iter().filter_map(|(name, ports)| {
        Some((name.to_owned(), json!(procfs::connections(pid, &ports).ok()?)))
    });
    counted.collect()
}

/// `mongodb://user:secret@h:1,h:2/?x=y` names the hosts `h:1,h:2`.
fn hosts_of_uri(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts)
}

fn ports(hosts: &str) -> Vec<u16> {
    let ports = hosts.split(',').filter_map(|host| host.rsplit_once(':'));
    ports.filter_map(|(_, port)| port.trim().parse().ok()).collect()
}

/// Bytes in the oplog, uncompressed.
///
/// # Errors
/// When the server does not tell: a user needs the right to read the database `local`.
pub async fn oplog_bytes(client: &Client) -> Result<u64> {
    let stats = client.database("local").run_command(doc! { "collStats": "oplog.rs" }).await;
    let stats = stats.context("could not ask for the size of the oplog")?;
    let bytes = stats.get_i64("size").or_else(|_| stats.get_i32("size").map(i64::from));
    Ok(bytes.context("the oplog has no size")?.unsigned_abs())
}

/// The growth of the oplog shared among the events that made it grow; nothing where it did not, being full.
pub fn oplog_growth(
    before: Option<u64>,
    after: Option<u64>,
    events: u64,
) -> BTreeMap<String, Value> {
    let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let grown = grown.filter(|grown| *grown != 0 && events != 0);
    let per_event = grown.map(|grown| json!(grown as f64 / events as f64));
    per_event.map(|bytes| (OPLOG_BYTES_PER_EVENT.to_owned(), bytes)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_every_form_of_address() {
        assert_eq!(hosts_of_uri("mongodb://h:1,i:2/?replicaSet=rs0"), "h:1,i:2");
        assert_eq!(hosts_of_uri("mongodb://u:p%40@h:1"), "h:1");
        assert_eq!(ports("127.0.0.1:9092, b:9093,c"), [9092, 9093]);
    }

    #[test]
    fn a_full_oplog_tells_nothing() {
        assert!(oplog_growth(Some(500), Some(500), 10).is_empty());
        assert!(oplog_growth(None, Some(500), 10).is_empty());
        assert_eq!(oplog_growth(Some(500), Some(1_500), 10)[OPLOG_BYTES_PER_EVENT], json!(100.0));
    }
}
