//! Finds where a connector goes on among all that is stored.
//!
//! ```text
//! key    ["orders",{"ns":"mongodb://h1:27017,h2:27017/shop.orders"}]
//!         └ connector      └ hosts, sorted ─────────┘ └ scope ──┘
//! ```
//!
//! The hosts are part of the name, so a replica set that got a new member, or an address that is
//! written differently, would lose its position in Java: the connector silently starts from now.
//! Here a position of the same connector and the same scope under other hosts is taken over if
//! there is exactly one, and refused if there are several. Where the partition has a name of its
//! own (`offset.partition.name`) the operator has chosen, and nothing else is looked at; the same
//! holds where the position was reset (a key with nothing stored under it).
//!
//! The bytes of keys and values are written and read in [`millrace_core::format::token`].

use std::fmt;

use millrace_core::format::token::{
    OffsetError, StoredOffset, read_offset_key, read_offset_value, write_offset_key,
};
use thiserror::Error;

use crate::config::SourcePartition;

use super::stored::StoredOffsets;

/// What is stored for a connector.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoredPosition {
    /// Go on after this resume token (BSON).
    Found { token: Vec<u8> },
    /// Nothing, or it was reset.
    Absent,
    /// A copy of existing data had not ended. `position` says how far it was (BSON), if we wrote it; Java begins again.
    CopyUnfinished { position: Option<Vec<u8>> },
    /// Nothing under our partition, but this under the same scope with other hosts.
    FoundUnderOtherHosts { partition: String, token: Vec<u8> },
}

/// Why a connector must not start.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PositionError {
    /// There is a position, but it cannot be read. Starting from now would lose events.
    #[error(
        "the position stored for connector {connector} under {partition} cannot be used: {error}; \
         repair or remove it, or set offset.partition.name to start without it"
    )]
    Unreadable { connector: String, partition: String, error: OffsetError },
    /// Several positions could be meant.
    #[error(
        "connector {connector} has no position under {partition}, but different ones under {}; set \
         offset.partition.name to the one to go on from, or to a new name to start without any",
        List(candidates)
    )]
    Ambiguous { connector: String, partition: String, candidates: Vec<String> },
}

/// The key of a connector's position, byte for byte as Connect writes it.
pub(crate) fn offset_key(connector: &str, partition: &str) -> Vec<u8> {
    let mut key = Vec::new();
    write_offset_key(connector, partition, &mut key);
    key
}

/// Looks for the position of `connector`.
pub(super) fn find_position(
    stored: &StoredOffsets,
    connector: &str,
    partition: &SourcePartition,
) -> Result<StoredPosition, PositionError> {
    let mut elsewhere: Vec<(String, Vec<u8>)> = Vec::new();
    for (key, value) in stored.iter() {
        // Keys of other connectors may have any form.
        let Ok(key) = read_offset_key(key) else { continue };
        if key.connector != connector {
            continue;
        }
        let ours = key.partition == partition.name;
        if !ours && !is_same_scope(&key.partition, partition) {
            continue;
        }
        let offset = match value {
            Some(value) => Some(read_offset_value(value).map_err(|error| {
                let (connector, partition) = (connector.to_owned(), key.partition.clone());
                PositionError::Unreadable { connector, partition, error }
            })?),
            None => None,
        };
        match (ours, offset) {
            (true, Some(StoredOffset::Token(token))) => return Ok(StoredPosition::Found { token }),
            (true, Some(StoredOffset::Copying { position })) => {
                return Ok(StoredPosition::CopyUnfinished { position });
            }
            (true, None) => return Ok(StoredPosition::Absent),
            (false, Some(StoredOffset::Token(token))) => elsewhere.push((key.partition, token)),
            (false, Some(StoredOffset::Copying { .. }) | None) => {}
        }
    }
    the_only_one(elsewhere, connector, &partition.name)
}

/// The position under other hosts, if all that were found say the same.
fn the_only_one(
    mut elsewhere: Vec<(String, Vec<u8>)>,
    connector: &str,
    partition: &str,
) -> Result<StoredPosition, PositionError> {
    let Some((name, token)) = elsewhere.pop() else { return Ok(StoredPosition::Absent) };
    if elsewhere.iter().all(|(_, other)| *other == token) {
        return Ok(StoredPosition::FoundUnderOtherHosts { partition: name, token });
    }
    let mut candidates: Vec<String> = elsewhere.into_iter().map(|(name, _)| name).collect();
    candidates.push(name);
    let (connector, partition) = (connector.to_owned(), partition.to_owned());
    Err(PositionError::Ambiguous { connector, partition, candidates })
}

/// Whether `stored` differs from our partition only in scheme and hosts. Never where the operator
/// chose the name.
fn is_same_scope(stored: &str, partition: &SourcePartition) -> bool {
    !partition.is_custom
        && scope(stored).is_some_and(|stored| Some(stored) == scope(&partition.name))
}

/// What stands behind the hosts of `mongodb://hosts/scope` or `mongodb+srv://host/scope`. Database
/// names hold no `/`.
fn scope(partition: &str) -> Option<&str> {
    let (scheme, rest) = partition.split_once("://")?;
    let (_, scope) = rest.split_once('/')?;
    matches!(scheme, "mongodb" | "mongodb+srv").then_some(scope)
}

struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    const OURS: &str = "mongodb://h1:27017/db.coll";

    fn token(data: &str) -> Vec<u8> {
        doc! { "_data": data }.to_vec().unwrap()
    }

    fn partition(name: &str) -> SourcePartition {
        SourcePartition { name: name.to_owned(), is_custom: false }
    }

    fn stored(entries: &[(&str, &str, Option<&str>)]) -> StoredOffsets {
        let mut stored = StoredOffsets::default();
        for (connector, partition, value) in entries {
            let value = value.map(|value| value.as_bytes().to_vec());
            stored.insert(offset_key(connector, partition), value);
        }
        stored
    }

    fn find(entries: &[(&str, &str, Option<&str>)]) -> Result<StoredPosition, PositionError> {
        find_position(&stored(entries), "c", &partition(OURS))
    }

    const V1: Option<&str> = Some(r#"{"_id":"{\"_data\": \"8201\"}"}"#);
    const V2: Option<&str> = Some(r#"{"_id":"{\"_data\": \"8202\"}"}"#);

    /// Printed by the internal JsonConverter of Connect 4.1.0.
    #[test]
    fn key_is_the_bytes_of_connect() {
        assert_eq!(
            offset_key("c-é\u{7f}", "mongodb://h:27017/db.coll"),
            "[\"c-é\u{7f}\",{\"ns\":\"mongodb://h:27017/db.coll\"}]".as_bytes()
        );
    }

    #[test]
    fn position_of_ours_is_found() {
        let entries = [("c", OURS, V1), ("d", OURS, V2), ("c", "mongodb://h2:27017/db.coll", V2)];
        assert_eq!(find(&entries), Ok(StoredPosition::Found { token: token("8201") }));
    }

    #[test]
    fn heartbeat_position_is_a_position() {
        let heartbeat = Some(r#"{"_id":"{\"_data\": \"8203\"}","HEARTBEAT":"true"}"#);
        assert_eq!(
            find(&[("c", OURS, heartbeat)]),
            Ok(StoredPosition::Found { token: token("8203") })
        );
    }

    #[test]
    fn nothing_stored_is_absent() {
        assert_eq!(find(&[]), Ok(StoredPosition::Absent));
        let others = [
            ("d", OURS, V1),
            ("c", "mongodb://h1:27017/db.other", V1),
            ("c", "mongodb://h1:27017/db", V1),
        ];
        assert_eq!(find(&others), Ok(StoredPosition::Absent));
    }

    #[test]
    fn position_of_a_copy_is_none() {
        let copy = Some(r#"{"_id":"{\"_id\": 5, \"copyingData\": true}","copy":"true"}"#);
        let unfinished = Ok(StoredPosition::CopyUnfinished { position: None });
        assert_eq!(find(&[("c", OURS, copy)]), unfinished);
        assert_eq!(find(&[("c", "mongodb://h9/db.coll", copy)]), Ok(StoredPosition::Absent));
    }

    #[test]
    fn only_position_under_other_hosts_is_taken_over() {
        for other in ["mongodb://h1:27017,h2:27017/db.coll", "mongodb+srv://cluster/db.coll"] {
            assert_eq!(
                find(&[("c", other, V1), ("d", "mongodb://h3/db.coll", V2)]),
                Ok(StoredPosition::FoundUnderOtherHosts {
                    partition: other.to_owned(),
                    token: token("8201")
                })
            );
        }
    }

    #[test]
    fn several_positions_under_other_hosts_are_refused_by_name() {
        let entries = [("c", "mongodb://h2/db.coll", V1), ("c", "mongodb://h3/db.coll", V2)];
        assert_eq!(
            find(&entries).unwrap_err().to_string(),
            "connector c has no position under mongodb://h1:27017/db.coll, but different ones under \
             mongodb://h2/db.coll and mongodb://h3/db.coll; set offset.partition.name to the one to \
             go on from, or to a new name to start without any"
        );
        let same = [("c", "mongodb://h2/db.coll", V1), ("c", "mongodb://h3/db.coll", V1)];
        assert!(matches!(find(&same), Ok(StoredPosition::FoundUnderOtherHosts { .. })));
    }

    #[test]
    fn reset_position_stays_reset() {
        let entries = [("c", OURS, None), ("c", "mongodb://h2/db.coll", V1)];
        assert_eq!(find(&entries), Ok(StoredPosition::Absent));
    }

    #[test]
    fn custom_name_looks_at_no_other() {
        let custom = SourcePartition { name: "mongodb://x/db.coll".to_owned(), is_custom: true };
        let stored = stored(&[("c", OURS, V1)]);
        assert_eq!(find_position(&stored, "c", &custom), Ok(StoredPosition::Absent));
    }

    #[test]
    fn deployment_scope_is_found_under_other_hosts_too() {
        let stored = stored(&[("c", "mongodb://h2/", V1)]);
        let found = find_position(&stored, "c", &partition("mongodb://h1/"));
        assert!(matches!(found, Ok(StoredPosition::FoundUnderOtherHosts { .. })));
    }

    #[test]
    fn position_that_cannot_be_read_is_refused_and_never_skipped() {
        for value in ["", "{}", "x", r#"{"_id":"{}"}"#, r#"{"_id":5}"#] {
            for name in [OURS, "mongodb://h2/db.coll"] {
                let found = find(&[("c", name, Some(value))]);
                assert!(
                    matches!(found, Err(PositionError::Unreadable { .. })),
                    "{value} {found:?}"
                );
            }
        }
        assert!(find(&[("d", OURS, Some("x"))]).is_ok());
    }

    #[test]
    fn foreign_keys_are_passed_over() {
        let mut stored = stored(&[("c", OURS, V1)]);
        stored.insert(
            b"[\"c\",{\"filename\":\"/tmp/x\"}]".to_vec(),
            Some(b"{\"position\":5}".to_vec()),
        );
        stored.insert(b"\xff".to_vec(), None);
        assert!(matches!(
            find_position(&stored, "c", &partition(OURS)),
            Ok(StoredPosition::Found { .. })
        ));
    }
}
