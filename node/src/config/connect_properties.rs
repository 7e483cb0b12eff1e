//! The connector properties that belong to Kafka Connect itself, and what becomes of them here.
//!
//! Declared ones as `SourceConnectorConfig.configDef()` of Connect 4.1.0 prints them; families of
//! properties by their prefix. A family that is `Read` has its own file: [`super::converter`],
//! [`super::transforms`], [`super::topic_creation`], [`super::producer`], [`super::client_overrides`].

use super::converter::{CONVERTER_CLASSES, CONVERTER_VERSION, HEADER_CONVERTER_CLASS};
use super::definition::Width;
use super::property::{Kind, Property};
use super::topic_creation::OTHER_GROUPS;

const COMMON: &str = "Common";
const ERROR_HANDLING: &str = "Error Handling";
const EXACTLY_ONCE_SUPPORT: &str = "Exactly Once Support";

const EXACTLY_ONCE: &str = "exactly-once delivery comes with a later version; with 'requested' the \
                            connector delivers at least once, as on a Connect worker that has it \
                            disabled";
const PLUGIN_VERSION: &str = "connector and converters are built in and have one version";
/// The version of the MongoDB connector whose configuration and records are ours.
pub(crate) const CONNECTOR_VERSION: &str = "2.0.1";
/// The versions of a converter that may be asked for: ours, and Connect's whose bytes it writes.
const CONVERTER_VERSIONS: &[&str] = &[CONVERTER_VERSION, "4.1.0"];
const NO_RETRY: &str =
    "nothing between reading and sending can fail for a while, so nothing is retried there";

/// In the order of Java's declaration, without what the MongoDB connector declares again
/// (`errors.*`).
pub(crate) const CONNECT_PROPERTIES: &[Property] = &[
    Property::optional("name", Kind::Text).required().names_something()
        .high("The connector's name, which no other connector has.")
        .at(COMMON, 1, Width::Medium, "Connector name"),
    Property::optional("connector.class", Kind::Text).required()
        .high("The connector's class or its short name, MongoSource or MongoSourceConnector.")
        .at(COMMON, 2, Width::Long, "Connector class"),
    Property::optional("connector.plugin.version", Kind::Text)
        .only(&[CONNECTOR_VERSION], PLUGIN_VERSION)
        .default_of_java(Some(CONNECTOR_VERSION))
        .recommends(&[CONNECTOR_VERSION])
        .medium("The version of the connector that is wanted; there is one.")
        .at(COMMON, 3, Width::Medium, "Connector version"),
    Property::int("tasks.max", "1")
        .at_least(1)
        .accepted("the MongoDB source connector always runs as one task, in Java too")
        .high("How many tasks there may be; this connector always has one.")
        .at(COMMON, 4, Width::Short, "Tasks max"),
    Property::boolean("tasks.max.enforce", "true")
        .accepted("the MongoDB source connector always runs as one task, in Java too")
        .low("Whether more tasks than tasks.max are an error; this connector always has one.")
        .at(COMMON, 5, Width::Short, "Enforce tasks max"),
    Property::optional("key.converter", Kind::Class)
        .recommends(&CONVERTER_CLASSES)
        .low("The class that writes keys; without it the worker's.")
        .at(COMMON, 6, Width::Short, "Key converter class"),
    Property::optional("key.converter.plugin.version", Kind::Text)
        .only(CONVERTER_VERSIONS, PLUGIN_VERSION)
        .recommends(&[CONVERTER_VERSION])
        .low("The version of the key converter that is wanted; there is one.")
        .at(COMMON, 7, Width::Short, "Key converter version"),
    Property::optional("value.converter", Kind::Class)
        .recommends(&CONVERTER_CLASSES)
        .low("The class that writes values; without it the worker's.")
        .at(COMMON, 8, Width::Short, "Value converter class"),
    Property::optional("value.converter.plugin.version", Kind::Text)
        .only(CONVERTER_VERSIONS, PLUGIN_VERSION)
        .recommends(&[CONVERTER_VERSION])
        .low("The version of the value converter that is wanted; there is one.")
        .at(COMMON, 9, Width::Short, "Value converter version"),
    Property::optional("header.converter", Kind::Class)
        .recommends(&[HEADER_CONVERTER_CLASS])
        .low("The class that writes headers; without it the worker's.")
        .at(COMMON, 10, Width::Short, "Header converter class"),
    Property::optional("header.converter.plugin.version", Kind::Text)
        .only(CONVERTER_VERSIONS, PLUGIN_VERSION)
        .recommends(&[CONVERTER_VERSION])
        .low("The version of the header converter that is wanted; there is one.")
        .at(COMMON, 11, Width::Short, "Header converter version"),
    Property::list("transforms", "")
        .low("The names of the transformations that every record goes through, in their order.")
        .at("Transforms", 12, Width::Long, "Transforms"),
    Property::list("predicates", "")
        .low("The names of the conditions that transformations refer to.")
        .at("Predicates", 13, Width::Long, "Predicates"),
    Property::text("config.action.reload", "restart")
        .one_of_strings(&["none", "restart"])
        .accepted("file, directory and environment do not say when a value is old, so nothing follows; in Java too")
        .low("What follows when a value from a config provider changes: nothing, or a restart.")
        .at(COMMON, 14, Width::Medium, "Reload Action"),
    Property::long("errors.retry.timeout", "0").accepted(NO_RETRY)
        .medium("How long an operation that fails is tried again, in milliseconds; -1: for ever.")
        .at(ERROR_HANDLING, 1, Width::Medium, "Retry Timeout for Errors"),
    Property::long("errors.retry.delay.max.ms", "60000").accepted(NO_RETRY)
        .medium("The longest pause between two attempts, in milliseconds.")
        .at(ERROR_HANDLING, 2, Width::Medium, "Maximum Delay Between Retries for Errors"),
    Property::boolean("errors.log.include.messages", "false")
        .not_yet("the content of records is never logged")
        .medium("Whether the log shows the record that an error is about.")
        .at(ERROR_HANDLING, 5, Width::Short, "Log Error Details"),
    Property::list("topic.creation.groups", "").not_yet(OTHER_GROUPS)
        .low("The names of groups of topics that are created alike, beside the default group.")
        .at("Topic Creation", 1, Width::Long, "Topic Creation Groups"),
    Property::text("exactly.once.support", "requested")
        .one_of_strings_any_case(&["REQUIRED", "REQUESTED"])
        .only(&["requested"], EXACTLY_ONCE)
        .medium("Whether the connector must deliver exactly once, or may deliver at least once.")
        .at(EXACTLY_ONCE_SUPPORT, 2, Width::Short, "Exactly once support"),
    Property::text("transaction.boundary", "poll")
        .one_of_strings_any_case(&["INTERVAL", "POLL", "CONNECTOR"])
        .not_yet(EXACTLY_ONCE)
        .medium("Where transactions end with exactly-once delivery.")
        .at(EXACTLY_ONCE_SUPPORT, 3, Width::Short, "Transaction Boundary"),
    Property::optional("transaction.boundary.interval.ms", Kind::Long)
        .at_least_if_given(0)
        .not_yet(EXACTLY_ONCE)
        .low(
            "How long a transaction lasts with transaction.boundary=interval; without it \
             the worker's flush interval.",
        )
        .at(EXACTLY_ONCE_SUPPORT, 4, Width::Short, "Transaction boundary interval"),
    Property::optional("offsets.storage.topic", Kind::Text).non_empty().not_yet(
        "an offset topic of the connector's own comes with a later version; the worker's is used",
    )
        .low("A topic for the positions of this connector alone; without it the worker's.")
        .at("offsets.topic", 1, Width::Long, "Offsets topic"),
];

/// Properties whose names begin alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// How their names begin.
    pub(crate) prefix: &'static str,
    /// What becomes of them.
    pub(crate) fate: Fate,
}

/// What becomes of a family.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Another file reads it.
    Read,
    /// Taken without effect; the text says why.
    Accepted(&'static str),
}

/// The families of a connector file. The first prefix that fits counts.
pub(crate) const CONNECT_FAMILIES: &[Family] = &[
    Family { prefix: "key.converter.", fate: Fate::Read },
    Family { prefix: "value.converter.", fate: Fate::Read },
    Family { prefix: "topic.creation.", fate: Fate::Read },
    Family { prefix: "producer.override.", fate: Fate::Read },
    Family { prefix: "header.converter.", fate: Fate::Read },
    Family { prefix: "transforms.", fate: Fate::Read },
    Family { prefix: "predicates.", fate: Fate::Read },
    Family {
        prefix: "consumer.override.",
        fate: Fate::Accepted("a source connector consumes nothing unless it delivers exactly once"),
    },
    Family { prefix: "admin.override.", fate: Fate::Read },
];

/// The family that `name` belongs to.
pub(crate) fn family<'a>(families: &'a [Family], name: &str) -> Option<&'a Family> {
    families.iter().find(|family| name.starts_with(family.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_property_is_in_two_tables() {
        for property in CONNECT_PROPERTIES {
            let twice = super::super::source_properties::SOURCE_PROPERTIES
                .iter()
                .any(|source| source.name == property.name);
            assert!(!twice, "{}", property.name);
        }
    }

    #[test]
    fn family_is_told_by_its_prefix() {
        assert!(matches!(
            family(CONNECT_FAMILIES, "transforms.a.type").map(|family| family.fate),
            Some(Fate::Read)
        ));
        assert!(family(CONNECT_FAMILIES, "transform.a").is_none());
    }
}
