//! The pairs of an offset store, in the order of their keys.
//!
//! A key is `["<connector>",{"ns":"<partition>"}]`, a value is JSON or nothing: nothing means that
//! someone has reset the position. What keys and values say is the business of [`super::position`].

use std::collections::BTreeMap;

use millrace_core::format::token::read_offset_gaps;

use crate::config::SourcePartition;

use super::position::{self, PositionError, StoredPosition};

/// Where a connector goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GoOn {
    /// Nothing is stored: where the configuration says.
    Begin,
    /// After this resume token (BSON).
    After { token: Vec<u8> },
    /// In a copy of existing data, where `position` (BSON) says, else from its beginning.
    Copy { position: Option<Vec<u8>> },
}

/// All pairs of a store. The newest value of a key counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredOffsets {
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl StoredOffsets {
    /// Puts a value in place of what was stored under `key`.
    pub(crate) fn insert(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.entries.insert(key, value);
    }

    /// The pairs, sorted by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.entries.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What was skipped before the position under `key`, as its own record says.
    pub(crate) fn gaps(&self, key: &[u8]) -> Option<String> {
        read_offset_gaps(self.entries.get(key)?.as_deref()?).ok()?
    }

    /// Where a connector goes on. What is remarkable about it goes to the log.
    pub(crate) fn position(
        &self,
        connector: &str,
        partition: &SourcePartition,
    ) -> Result<GoOn, PositionError> {
        match position::find_position(self, connector, partition)? {
            StoredPosition::Found { token } => Ok(GoOn::After { token }),
            StoredPosition::Absent => Ok(GoOn::Begin),
            StoredPosition::CopyUnfinished { position } => Ok(GoOn::Copy { position }),
            StoredPosition::FoundUnderOtherHosts { partition: other, token } => {
                tracing::warn!(
                    "connector {connector}: no position is stored under {}, but one under {other}; \
                     going on from there",
                    partition.name
                );
                Ok(GoOn::After { token })
            }
        }
    }
}
