//! What scenarios compare, and what each of them lacks.

use serde::{Deserialize, Serialize};

use crate::arm::Format;
use crate::rival::Rival;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Reads the change stream and drops it.
    NullReader,
    /// The node, which reads the change stream and drops it.
    NodeReader,
    /// The node, keys and values as JSON text.
    NodeJson,
    /// The node, keys and values as BSON.
    NodeBson,
    /// See [`Rival::ConnectorDefault`].
    ConnectorDefault,
    /// See [`Rival::ConnectorTuned`].
    ConnectorTuned,
    /// See [`Rival::ConnectorBson`].
    ConnectorBson,
    /// See [`Rival::StraightLine`].
    StraightLine,
    /// Writes records like the events, and reads nothing.
    NullWriter,
    /// See [`Rival::NullPath`].
    NullPath,
    /// See [`Rival::Debezium`].
    Debezium,
}

/// Something that a scenario takes and not every arm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Record batches that are compressed.
    Compression,
    /// Connections that are encrypted.
    Tls,
    /// What is in a collection already, before its changes.
    Snapshot,
    /// The document as it is when an update is read, beside what the update changed.
    Lookup,
    /// Changes of several collections, each to its own topic.
    ManyCollections,
    /// Going on after a change of primary or leader.
    FailOver,
}

impl Arm {
    /// Every rival, in the order of tables.
    pub const RIVALS: [Self; 5] = [
        Self::ConnectorDefault,
        Self::ConnectorTuned,
        Self::ConnectorBson,
        Self::StraightLine,
        Self::Debezium,
    ];

    /// The arm that records call so.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::from(name)).ok()
    }

    /// As records name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NullReader => "null-reader",
            Self::NodeReader => "node-reader",
            Self::NodeJson => "node-json",
            Self::NodeBson => "node-bson",
            Self::ConnectorDefault => "connector-default",
            Self::ConnectorTuned => "connector-tuned",
            Self::ConnectorBson => "connector-bson",
            Self::StraightLine => "straight-line",
            Self::NullWriter => "null-writer",
            Self::NullPath => "null-path",
            Self::Debezium => "debezium",
        }
    }

    /// Whether it is the node.
    pub fn is_node(self) -> bool {
        matches!(self, Self::NodeReader | Self::NodeJson | Self::NodeBson)
    }

    /// Who replicates, and what becomes of an event; `None`: nobody does.
    pub fn contender(self) -> Option<(Option<Rival>, Format)> {
        let rival = match self {
            Self::NullReader | Self::NodeReader | Self::NullWriter => return None,
            Self::NodeJson => return Some((None, Format::Json)),
            Self::NodeBson => return Some((None, Format::Bson)),
            Self::ConnectorDefault => Rival::ConnectorDefault,
            Self::ConnectorTuned => Rival::ConnectorTuned,
            Self::ConnectorBson => Rival::ConnectorBson,
            Self::StraightLine => Rival::StraightLine,
            Self::NullPath => Rival::NullPath,
            Self::Debezium => Rival::Debezium,
        };
        Some((Some(rival), rival.format()))
    }

    /// Why it cannot take part in a scenario that takes `feature`, if it cannot.
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (Self::NullReader, Feature::Lookup | Feature::ManyCollections | Feature::Snapshot)
            | (Self::NullWriter | Self::StraightLine | Self::Debezium, Feature::Snapshot)
            // Bounds in the clear of what others do encrypted.
            | (Self::NullReader | Self::NullWriter, Feature::Tls) => None,
            (Self::NodeReader, _) => Some("it reads one change stream, and writes nothing"),
            (Self::NullReader, _) => {
                Some("it reads one change stream, in the clear, and writes nothing")
            }
            (Self::NullWriter, _) => {
                Some("it writes what was prepared, in the clear, and reads nothing")
            }
            (Self::NullPath, _) => {
                Some("it reads one change stream and writes one topic, in the clear")
            }
            (Self::StraightLine, Feature::Tls) => {
                Some("its librdkafka is built without OpenSSL, so it produces in the clear only")
            }
            (Self::StraightLine, _) => Some("the straight line has no settings"),
            (Self::Debezium, Feature::ManyCollections) => {
                Some("the rig gives Debezium one collection")
            }
            (Self::NodeJson | Self::NodeBson, _)
            | (Self::ConnectorDefault | Self::ConnectorTuned | Self::ConnectorBson, _)
            | (Self::Debezium, _) => None,
        }
    }

    /// Whether a round of it leaves the next one cold: it brings a virtual machine of its own.
    pub fn starts_cold(self) -> bool {
        match self {
            Self::ConnectorDefault
            | Self::ConnectorTuned
            | Self::ConnectorBson
            | Self::Debezium => true,
            Self::NullReader
            | Self::NodeReader
            | Self::NodeJson
            | Self::NodeBson
            | Self::StraightLine
            | Self::NullWriter
            | Self::NullPath => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_one_name_in_files_and_in_records() {
        let bounds =
            [Arm::NullReader, Arm::NullWriter, Arm::NullPath, Arm::NodeJson, Arm::NodeBson];
        for arm in bounds.into_iter().chain(Arm::RIVALS) {
            assert_eq!(Arm::named(arm.name()), Some(arm));
        }
        assert_eq!(Arm::named("node-xml"), None);
    }
}
