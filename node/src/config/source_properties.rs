//! Every property of the MongoDB source connector, and what becomes of it here.
//!
//! One line per property: type, name, Java's default, Java's check, our support. Names, types,
//! defaults and checks were printed by `MongoSourceConfig.CONFIG` of connector 2.0.1;
//! `getOverrideOrFallback` pairs are beside each other.
//!
//! Not in the declaration but read all the same by Java: the `mongo.custom.auth.mechanism.*`
//! properties, the last rows.

use super::output_schema;
use super::property::{Kind, Property};

const COPY_QUEUE: &str =
    "there is no queue: the memory of a copy is bounded in bytes, by memory.bytes.max";
const CUSTOM_AUTH: &str = "Java credential providers cannot be loaded; use SCRAM-SHA-256";
const FULL_DOCUMENT: &[&str] = &["default", "updateLookup", "whenAvailable", "required"];
const BEFORE_CHANGE: &[&str] = &["default", "off", "whenAvailable", "required"];
const FORMATS: &[&str] = &["json", "bson", "schema"];
const TOLERANCE: &[&str] = &["none", "all"];
const DEFAULT_JSON: &str = "com.mongodb.kafka.connect.source.json.formatter.DefaultJson";
const TOPIC_MAPPER: &str = "com.mongodb.kafka.connect.source.topic.mapping.DefaultTopicMapper";

/// In the order of Java's declaration.
pub(crate) const SOURCE_PROPERTIES: &[Property] = &[
    Property::password(
        "connection.uri",
        "mongodb://localhost:27017,localhost:27018,localhost:27019",
    ),
    Property::text("database", ""),
    Property::text("collection", ""),
    Property::text("server.api.version", ""),
    Property::boolean("server.api.deprecation.errors", "false"),
    Property::boolean("server.api.strict", "false"),
    Property::text("connection.ssl.truststore", ""),
    Property::password("connection.ssl.truststorePassword", ""),
    Property::text("connection.ssl.keystore", ""),
    Property::password("connection.ssl.keystorePassword", ""),
    Property::text("pipeline", "[]"),
    Property::int("batch.size", "0").at_least(0),
    Property::boolean("publish.full.document.only", "false"),
    Property::boolean("publish.full.document.only.tombstone.on.delete", "false"),
    Property::boolean("change.stream.document.key.as.key", "true"),
    Property::text("change.stream.full.document.before.change", "")
        .one_of(BEFORE_CHANGE)
        .or_empty(),
    Property::text("change.stream.full.document", "").one_of(FULL_DOCUMENT).or_empty(),
    Property::boolean("change.stream.show.expanded.events", "false"),
    Property::text("collation", ""),
    Property::int("poll.max.batch.size", "1000").at_least(1).accepted(
        "there is no poll here: batches end when they are full or when no event is waiting",
    ),
    Property::long("poll.await.time.ms", "5000").at_least(1),
    Property::text("topic.mapper", TOPIC_MAPPER).not_yet(
        "Java topic mappers cannot be loaded; use topic.namespace.map, topic.prefix, topic.suffix and \
         topic.separator",
    ),
    Property::text("topic.separator", "."),
    Property::text("topic.prefix", ""),
    Property::text("topic.suffix", ""),
    Property::text("topic.namespace.map", ""),
    Property::text("output.format.key", "json").one_of_any_case(FORMATS),
    Property::text("output.format.value", "json").one_of_any_case(FORMATS),
    Property::boolean("output.schema.infer.value", "false"),
    Property::text("output.schema.key", output_schema::DEFAULT_KEY),
    Property::text("output.schema.value", output_schema::DEFAULT_VALUE),
    Property::text("output.json.formatter", DEFAULT_JSON),
    Property::text("startup.mode", "")
        .one_of_any_case(&["latest", "timestamp", "copy_existing"])
        .or_empty(),
    Property::text("startup.mode.timestamp.start.at.operation.time", ""),
    Property::optional("startup.mode.copy.existing.max.threads", Kind::Int).at_least(1),
    Property::int("startup.mode.copy.existing.queue.size", "16000")
        .at_least(1)
        .accepted(COPY_QUEUE),
    Property::text("startup.mode.copy.existing.pipeline", ""),
    Property::text("startup.mode.copy.existing.namespace.regex", ""),
    Property::boolean("startup.mode.copy.existing.allow.disk.use", "true"),
    Property::boolean("copy.existing", "false"),
    Property::optional("copy.existing.max.threads", Kind::Int).at_least(1),
    Property::int("copy.existing.queue.size", "16000").at_least(1).accepted(COPY_QUEUE),
    Property::text("copy.existing.pipeline", ""),
    Property::text("copy.existing.namespace.regex", ""),
    Property::boolean("copy.existing.allow.disk.use", "true"),
    Property::text("errors.tolerance", "none").one_of_any_case(TOLERANCE),
    Property::text("mongo.errors.tolerance", "none").one_of_any_case(TOLERANCE),
    Property::boolean("errors.log.enable", "false"),
    Property::boolean("mongo.errors.log.enable", "false"),
    Property::text("errors.deadletterqueue.topic.name", ""),
    Property::text("mongo.errors.deadletterqueue.topic.name", ""),
    Property::long("heartbeat.interval.ms", "0").at_least(0),
    Property::text("heartbeat.topic.name", "__mongodb_heartbeats").non_empty(),
    Property::text("offset.partition.name", ""),
    Property::text("provider", "").accepted("not sent to the server"),
    Property::boolean("mongo.custom.auth.mechanism.enable", "false").not_yet(CUSTOM_AUTH),
    Property::text("mongo.custom.auth.mechanism.providerClass", "").not_yet(CUSTOM_AUTH),
];

/// How many of the rows `MongoSourceConfig` declares; the others it reads undeclared.
#[cfg(test)]
const DECLARED: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_property_of_java_is_there_once() {
        let names: BTreeSet<&str> =
            SOURCE_PROPERTIES.iter().map(|property| property.name).collect();
        assert_eq!(names.len(), SOURCE_PROPERTIES.len());
        let undeclared = names.iter().filter(|name| name.starts_with("mongo.custom.")).count();
        assert_eq!(names.len() - undeclared, DECLARED);
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for property in SOURCE_PROPERTIES {
            if let Some(default) = property.default {
                assert!(property.parse(default).is_ok(), "{}", property.name);
            }
        }
    }
}
