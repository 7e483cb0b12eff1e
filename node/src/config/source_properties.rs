//! Every property of the MongoDB source connector, and what becomes of it here.
//!
//! One line per property: type, name, Java's default, Java's check, our support. Names, types,
//! defaults and checks were printed by `MongoSourceConfig.CONFIG` of connector 2.0.1;
//! `getOverrideOrFallback` pairs are beside each other.
//!
//! Not in the declaration but read all the same by Java: the `mongo.custom.auth.mechanism.*`
//! properties, the last rows.

use super::definition::Width;
use super::output_schema;
use super::property::{Kind, Property};

const CONNECTION: &str = "Connection";
const SERVER_API: &str = "Server Api";
const SSL: &str = "SSL";
const CHANGE_STREAM: &str = "Change stream";
const TOPIC_MAPPING: &str = "Topic mapping";
const SCHEMA: &str = "Schema";
const STARTUP: &str = "Startup";
const ERRORS: &str = "Errors";
const PARTITION: &str = "Partition";
const STARTUP_DEPENDENTS: &[&str] = &[
    "startup.mode.timestamp.start.at.operation.time",
    "startup.mode.copy.existing.max.threads",
    "startup.mode.copy.existing.queue.size",
    "startup.mode.copy.existing.pipeline",
    "startup.mode.copy.existing.namespace.regex",
    "startup.mode.copy.existing.allow.disk.use",
];

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
    )
    .high(
        "How MongoDB is reached: a connection string of the official drivers, with its \
             options.",
    )
    .at(CONNECTION, 1, Width::Medium, "MongoDB Connection URI"),
    Property::text("database", "")
        .medium("The database that is watched; empty: every database.")
        .at(CONNECTION, 2, Width::Medium, "The database to watch."),
    Property::text("collection", "")
        .medium("The collection of the database that is watched; empty: every collection.")
        .at(CONNECTION, 3, Width::Medium, "The collection to watch."),
    Property::text("server.api.version", "")
        .medium("The version of the Stable API that every command asks for; empty: none.")
        .at(SERVER_API, 1, Width::Medium, "The server API version."),
    Property::boolean("server.api.deprecation.errors", "false")
        .medium("Whether the server refuses what the Stable API has deprecated.")
        .at(SERVER_API, 2, Width::Medium, "Deprecation errors"),
    Property::boolean("server.api.strict", "false")
        .medium("Whether the server refuses what is not part of the Stable API.")
        .at(SERVER_API, 3, Width::Medium, "Strict"),
    Property::text("connection.ssl.truststore", "")
        .medium(
            "The file with the certificates that an encrypted connection trusts; empty: the \
             system's authorities.",
        )
        .at(SSL, 1, Width::Long, "SSL TrustStore"),
    Property::password("connection.ssl.truststorePassword", "")
        .medium("The password of the trust store.")
        .at(SSL, 2, Width::Medium, "SSL TrustStore Password"),
    Property::text("connection.ssl.keystore", "")
        .medium("The file with the certificate and the key that an encrypted connection shows.")
        .at(SSL, 3, Width::Long, "SSL KeyStore"),
    Property::password("connection.ssl.keystorePassword", "")
        .medium("The password of the key store.")
        .at(SSL, 4, Width::Medium, "SSL KeyStore Password"),
    Property::text("pipeline", "[]")
        .medium("A JSON array of aggregation stages that events go through, behind $changeStream.")
        .at(CHANGE_STREAM, 1, Width::Medium, "The pipeline to apply to the change stream"),
    Property::int("batch.size", "0")
        .at_least(0)
        .medium("How many events a reply of the server has at most; 0 leaves it to the server.")
        .at(CHANGE_STREAM, 2, Width::Medium, "The cursor batch size"),
    Property::boolean("publish.full.document.only", "false")
        .high(
            "Whether the value of a record is the changed document alone instead of the \
             whole event.",
        )
        .at(CHANGE_STREAM, 3, Width::Medium, "Publish only the `fullDocument` field"),
    Property::boolean("publish.full.document.only.tombstone.on.delete", "false")
        .medium(
            "Whether an event without a document becomes a record without a value; needs \
             publish.full.document.only.",
        )
        .at(
            CHANGE_STREAM,
            4,
            Width::Medium,
            "Send a null value on a delete event. Requires publish.full.document.only=true.",
        ),
    Property::boolean("change.stream.document.key.as.key", "true")
        .medium(
            "Whether the key of a record is the event's documentKey where it has one; else \
             it is the resume token.",
        )
        .at(CHANGE_STREAM, 5, Width::Medium, "Use the `documentKey` for the source record key"),
    Property::text("change.stream.full.document.before.change", "")
        .one_of(BEFORE_CHANGE)
        .or_empty()
        .high("Which events carry the document as it was before the change.")
        .at(CHANGE_STREAM, 6, Width::Medium, "The `fullDocumentBeforeChange` configuration.")
        .recommends(BEFORE_CHANGE),
    Property::text("change.stream.full.document", "")
        .one_of(FULL_DOCUMENT)
        .or_empty()
        .high("Which document an event of an update carries.")
        .at(CHANGE_STREAM, 7, Width::Medium, "The `fullDocument` configuration.")
        .recommends(FULL_DOCUMENT),
    Property::boolean("change.stream.show.expanded.events", "false")
        .medium("Whether there are events for changes of indexes, collections and shards too.")
        .at(CHANGE_STREAM, 8, Width::Medium, "The `showExpandedEvents` configuration."),
    Property::text("collation", "")
        .high("A JSON document that says how the stages of the pipeline compare texts.")
        .at(CHANGE_STREAM, 9, Width::Medium, "The collation options"),
    Property::int("poll.max.batch.size", "1000")
        .at_least(1)
        .accepted(
            "there is no poll here: batches end when they are full or when no event is waiting",
        )
        .low("How many events Java hands on at once; without effect here.")
        .at(CHANGE_STREAM, 10, Width::Medium, "The maximum batch size"),
    Property::long("poll.await.time.ms", "5000")
        .at_least(1)
        .low("How long the server waits for an event before it replies without one.")
        .at(CHANGE_STREAM, 11, Width::Medium, "Poll await time (ms)"),
    Property::text("topic.mapper", TOPIC_MAPPER)
        .not_yet(
            "Java topic mappers cannot be loaded; use topic.namespace.map, topic.prefix, \
         topic.suffix and topic.separator",
        )
        .high("The class that names topics; only the default one is supported.")
        .at(TOPIC_MAPPING, 1, Width::Long, "The topic mapper class"),
    Property::text("topic.separator", ".")
        .low("What stands between prefix, database, collection and suffix in the name of a topic.")
        .at(TOPIC_MAPPING, 2, Width::Medium, "The topic separator"),
    Property::text("topic.prefix", "").low("What the name of every topic begins with.").at(
        TOPIC_MAPPING,
        3,
        Width::Medium,
        "The topic prefix",
    ),
    Property::text("topic.suffix", "").low("What the name of every topic ends with.").at(
        TOPIC_MAPPING,
        4,
        Width::Medium,
        "The topic suffix",
    ),
    Property::text("topic.namespace.map", "")
        .high(
            "A JSON document that gives topics for namespaces, by name, by regular \
             expression or for all others.",
        )
        .at(TOPIC_MAPPING, 5, Width::Medium, "The namespace to topic map"),
    Property::text("output.format.key", "json")
        .one_of_any_case(FORMATS)
        .high("What a key is made as: JSON text, BSON bytes, or a value with a schema.")
        .at(SCHEMA, 1, Width::Medium, "The key output format")
        .recommends(FORMATS),
    Property::text("output.format.value", "json")
        .one_of_any_case(FORMATS)
        .high("What a value is made as: JSON text, BSON bytes, or a value with a schema.")
        .at(SCHEMA, 2, Width::Medium, "The value output format")
        .recommends(FORMATS),
    Property::boolean("output.schema.infer.value", "false")
        .medium(
            "Whether the schema of each value is derived from its document; needs \
             output.format.value=schema.",
        )
        .at(SCHEMA, 3, Width::Medium, "Enable Infer Schemas for the value"),
    Property::text("output.schema.key", output_schema::DEFAULT_KEY)
        .high("The Avro schema of keys, for output.format.key=schema.")
        .at(SCHEMA, 4, Width::Medium, "The Avro schema definition for the key."),
    Property::text("output.schema.value", output_schema::DEFAULT_VALUE)
        .high("The Avro schema of values, for output.format.value=schema.")
        .at(SCHEMA, 5, Width::Medium, "The Avro schema definition for the value."),
    Property::text("output.json.formatter", DEFAULT_JSON)
        .medium(
            "The class that says how BSON types are written in JSON: DefaultJson, \
             ExtendedJson or SimplifiedJson.",
        )
        .at(SCHEMA, 6, Width::Medium, "The json formatter class"),
    Property::text("startup.mode", "")
        .one_of_any_case(&["latest", "timestamp", "copy_existing"])
        .or_empty()
        .medium(
            "Where reading begins while no position is stored: at the latest event, at a \
             time, or with a copy of what is there.",
        )
        .at(
            STARTUP,
            1,
            Width::Medium,
            "The start up behavior when there is no source offset available.",
        )
        .dependents(STARTUP_DEPENDENTS),
    Property::text("startup.mode.timestamp.start.at.operation.time", "")
        .medium(
            "The time at which reading begins with startup.mode=timestamp: seconds since \
             1970, an ISO 8601 instant, or a BSON timestamp.",
        )
        .at(STARTUP, 2, Width::Medium, "The `startAtOperationTime` configuration."),
    Property::optional("startup.mode.copy.existing.max.threads", Kind::Int)
        .at_least(1)
        .default_is_processors()
        .medium("How many pieces are copied at the same time.")
        .at(STARTUP, 3, Width::Medium, "Copy existing max number of threads"),
    Property::int("startup.mode.copy.existing.queue.size", "16000")
        .at_least(1)
        .accepted(COPY_QUEUE)
        .medium("How many copied documents Java queues; without effect here.")
        .at(STARTUP, 4, Width::Medium, "Copy existing queue size"),
    Property::text("startup.mode.copy.existing.pipeline", "")
        .medium("A JSON array of aggregation stages that copied documents go through.")
        .at(STARTUP, 5, Width::Medium, "Copy existing initial pipeline"),
    Property::text("startup.mode.copy.existing.namespace.regex", "")
        .medium(
            "A regular expression of the namespaces that are copied; empty: all that are \
             watched.",
        )
        .at(STARTUP, 6, Width::Medium, "Copy existing namespace regex"),
    Property::boolean("startup.mode.copy.existing.allow.disk.use", "true")
        .medium("Whether the server may use its disk for the aggregations of a copy.")
        .at(STARTUP, 7, Width::Medium, "Copy existing allow disk use with the copying aggregation"),
    Property::boolean("copy.existing", "false")
        .medium(
            "Whether what is there is copied first; startup.mode=copy_existing is its newer \
             name.",
        )
        .at(STARTUP, 8, Width::Medium, "Copy existing data"),
    Property::optional("copy.existing.max.threads", Kind::Int)
        .at_least(1)
        .default_is_processors()
        .medium(
            "The older name of startup.mode.copy.existing.max.threads, which counts if both \
             are given.",
        )
        .at(STARTUP, 9, Width::Medium, "Copy existing max number of threads"),
    Property::int("copy.existing.queue.size", "16000")
        .at_least(1)
        .accepted(COPY_QUEUE)
        .medium(
            "The older name of startup.mode.copy.existing.queue.size, which counts if both \
             are given.",
        )
        .at(STARTUP, 10, Width::Medium, "Copy existing queue size"),
    Property::text("copy.existing.pipeline", "")
        .medium(
            "The older name of startup.mode.copy.existing.pipeline, which counts if both \
             are given.",
        )
        .at(STARTUP, 11, Width::Medium, "Copy existing initial pipeline"),
    Property::text("copy.existing.namespace.regex", "")
        .medium(
            "The older name of startup.mode.copy.existing.namespace.regex, which counts if \
             both are given.",
        )
        .at(STARTUP, 12, Width::Medium, "Copy existing namespace regex"),
    Property::boolean("copy.existing.allow.disk.use", "true")
        .medium(
            "The older name of startup.mode.copy.existing.allow.disk.use, which counts if \
             both are given.",
        )
        .at(
            STARTUP,
            13,
            Width::Medium,
            "Copy existing allow disk use with the copying aggregation",
        ),
    Property::text("errors.tolerance", "none")
        .one_of_any_case(TOLERANCE)
        .medium(
            "What a change that cannot be written does: none ends the task, all sends it to \
             the dead-letter topic.",
        )
        .at(ERRORS, 1, Width::Short, "Error Tolerance"),
    Property::text("mongo.errors.tolerance", "none")
        .one_of_any_case(TOLERANCE)
        .medium("As errors.tolerance, and counts in its place if it is given.")
        .at(ERRORS, 2, Width::Short, "Error Tolerance"),
    Property::boolean("errors.log.enable", "false")
        .medium("Whether every tolerated error is logged.")
        .at(ERRORS, 3, Width::Short, "Log Errors"),
    Property::boolean("mongo.errors.log.enable", "false")
        .medium("As errors.log.enable, and counts in its place if it is given.")
        .at(ERRORS, 4, Width::Short, "Log Errors"),
    Property::text("errors.deadletterqueue.topic.name", "")
        .medium("The topic for changes that cannot be written; needs errors.tolerance=all.")
        .at(ERRORS, 5, Width::Short, "Output errors to the dead letter queue"),
    Property::text("mongo.errors.deadletterqueue.topic.name", "")
        .medium("As errors.deadletterqueue.topic.name, and counts in its place if it is given.")
        .at(ERRORS, 6, Width::Short, "Output errors to the dead letter queue"),
    Property::long("heartbeat.interval.ms", "0")
        .at_least(0)
        .medium(
            "How long nothing may be written before a record with the position alone is; 0: \
             never.",
        )
        .at(ERRORS, 7, Width::Medium, "Heartbeat interval"),
    Property::text("heartbeat.topic.name", "__mongodb_heartbeats")
        .non_empty()
        .medium("The topic of the records that are written while there are no events.")
        .at(ERRORS, 8, Width::Medium, "The heartbeat topic name"),
    Property::text("offset.partition.name", "")
        .medium(
            "The name under which positions are stored; empty: made of servers, database \
             and collection. A new name forgets the position.",
        )
        .at(PARTITION, 1, Width::Short, "Offset partition name"),
    Property::text("provider", "")
        .accepted("not sent to the server")
        .low("A name that Java's driver adds to its own when it greets the server; not sent here.")
        .at("", -1, Width::None, "provider"),
    Property::boolean("mongo.custom.auth.mechanism.enable", "false").not_yet(CUSTOM_AUTH),
    Property::text("mongo.custom.auth.mechanism.providerClass", "").not_yet(CUSTOM_AUTH),
];

/// How many of the rows `MongoSourceConfig` declares; the others it reads undeclared.
const DECLARED: usize = 55;

/// What `MongoSourceConfig` declares.
pub(super) fn declared() -> &'static [Property] {
    SOURCE_PROPERTIES.split_at(DECLARED).0
}

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
