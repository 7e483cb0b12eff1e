//! The connector properties that belong to Kafka Connect itself, and what becomes of them here.
//!
//! Declared ones as `SourceConnectorConfig.configDef()` of Connect 4.1.0 prints them; families of
//! properties by their prefix. A family that is `Read` has its own file: [`super::converter`],
//! [`super::transforms`], [`super::topic_creation`], [`super::producer`].

use super::property::{Kind, Property};

const EXACTLY_ONCE: &str = "exactly-once delivery comes with a later version; with 'requested' the \
                            connector delivers at least once, as on a Connect worker that has it \
                            disabled";
const PLUGIN_VERSION: &str = "connector and converters are built in and have one version";
const NO_RETRY: &str =
    "nothing between reading and sending can fail for a while, so nothing is retried there";

/// In the order of Java's declaration, without what the MongoDB connector declares again
/// (`errors.*`).
pub(crate) const CONNECT_PROPERTIES: &[Property] = &[
    Property::optional("name", Kind::Text).non_empty(),
    Property::optional("connector.class", Kind::Text),
    Property::optional("connector.plugin.version", Kind::Text).not_yet(PLUGIN_VERSION),
    Property::int("tasks.max", "1")
        .at_least(1)
        .accepted("the MongoDB source connector always runs as one task, in Java too"),
    Property::boolean("tasks.max.enforce", "true")
        .accepted("the MongoDB source connector always runs as one task, in Java too"),
    Property::optional("key.converter", Kind::Text),
    Property::optional("key.converter.plugin.version", Kind::Text).not_yet(PLUGIN_VERSION),
    Property::optional("value.converter", Kind::Text),
    Property::optional("value.converter.plugin.version", Kind::Text).not_yet(PLUGIN_VERSION),
    Property::optional("header.converter", Kind::Text),
    Property::optional("header.converter.plugin.version", Kind::Text).not_yet(PLUGIN_VERSION),
    Property::list("transforms", ""),
    Property::list("predicates", ""),
    Property::text("config.action.reload", "restart")
        .one_of(&["none", "restart"])
        .accepted("read only together with config.providers"),
    Property::long("errors.retry.timeout", "0").accepted(NO_RETRY),
    Property::long("errors.retry.delay.max.ms", "60000").accepted(NO_RETRY),
    Property::boolean("errors.log.include.messages", "false")
        .not_yet("the content of records is never logged"),
    Property::text("exactly.once.support", "requested")
        .one_of_any_case(&["required", "requested"])
        .only(&["requested"], EXACTLY_ONCE),
    Property::text("transaction.boundary", "poll")
        .one_of_any_case(&["interval", "poll", "connector"])
        .not_yet(EXACTLY_ONCE),
    Property::optional("transaction.boundary.interval.ms", Kind::Long)
        .at_least(0)
        .not_yet(EXACTLY_ONCE),
    Property::optional("offsets.storage.topic", Kind::Text).non_empty().not_yet(
        "an offset topic of the connector's own comes with a later version; the worker's is used",
    ),
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
    /// Refused with the text.
    NotYet(&'static str),
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
        fate: Fate::NotYet("a source connector consumes nothing; remove the property"),
    },
    Family {
        prefix: "admin.override.",
        fate: Fate::NotYet(
            "topics are created over the producer's connections; use producer.override.*",
        ),
    },
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
