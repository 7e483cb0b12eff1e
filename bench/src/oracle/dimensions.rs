//! What connector files differ in, and what each of it can be.
//!
//! ```text
//! dimension      values
//! key, value     json, bson or schema, by the String, ByteArray or Json converter, with and without schemas
//! key-schema     none without output.format.key=schema; the default; an own one
//! value-schema   none without output.format.value=schema; the default, of events or of anything; own; inferred
//! formatter      DefaultJson, ExtendedJson, SimplifiedJson
//! document       default, updateLookup, whenAvailable, required
//! before         default, off, whenAvailable, required
//! publish        the event, the document alone, with tombstones
//! identity       document key, resume token
//! start          latest, timestamp, copy_existing
//! scope          collection, database, deployment
//! topics         prefix, suffix, both with a separator, three partitions, maps by name, expression and wildcard
//! tolerance      none, all, all with a dead-letter topic
//! expanded       no, yes
//! pipeline       none, a filter, an added field
//! batches        as they come, small
//! producer       default, each codec, small batches that wait
//! heartbeats     none, some
//! ```
//!
//! What cannot go together is left out, each with its reason: see [`forbidden`].

use super::pairwise::Choice;

/// A property and its value.
type Setting = (&'static str, &'static str);

/// Something that connector files differ in.
pub(super) struct Dimension {
    pub(super) name: &'static str,
    pub(super) values: &'static [Value],
}

/// What it can be, and the properties that say so alone; others are the business of a combination.
pub(super) struct Value {
    pub(super) name: &'static str,
    pub(super) settings: &'static [Setting],
}

const fn value(name: &'static str, settings: &'static [Setting]) -> Value {
    Value { name, settings }
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Paths into events, fields of documents, and types that some of what is written does not fit.
const OWN_VALUE: &str = r#"{"type": "record", "name": "Own", "namespace": "of.the.oracle", "fields": [
    {"name": "_id", "type": ["null", "string"]}, {"name": "operationType", "type": ["string", "null"]},
    {"name": "documentKey._id", "type": ["string", "null"]},
    {"name": "fullDocument.n", "type": ["double", "null"]},
    {"name": "fullDocument.x", "type": ["string", "null"]}, {"name": "x", "type": ["string", "null"]},
    {"name": "n", "type": ["long", "null"]},
    {"name": "list", "type": [{"type": "array", "items": ["float", "null"]}, "null"]},
    {"name": "deep", "type": [{"type": "record", "name": "Deep", "fields": [
        {"name": "a", "type": [{"type": "map", "values": ["string", "null"]}, "null"]}]}, "null"]},
    {"name": "count", "type": "double", "default": 0.1},
    {"name": "missing", "type": "string", "default": "é\"😀"}]}"#;
const OWN_KEY: &str = r#"{"type": "record", "name": "OwnKey", "fields": [
    {"name": "operationType", "type": "string"}, {"name": "documentKey._id", "type": ["string", "null"]},
    {"name": "ns", "type": {"type": "record", "name": "ns", "fields": [
        {"name": "db", "type": "string"}, {"name": "coll", "type": ["string", "null"]}]}}]}"#;

pub(super) const DIMENSIONS: [Dimension; 18] = [
    Dimension {
        name: "key",
        values: &[
            value("text", &[("output.format.key", "json"), ("key.converter", STRING)]),
            value(
                "json+schema",
                &[
                    ("output.format.key", "json"),
                    ("key.converter", JSON),
                    ("key.converter.schemas.enable", "true"),
                ],
            ),
            value(
                "json",
                &[
                    ("output.format.key", "json"),
                    ("key.converter", JSON),
                    ("key.converter.schemas.enable", "false"),
                ],
            ),
            value("bson", &[("output.format.key", "bson"), ("key.converter", BYTES)]),
            value(
                "bson-in-json+schema",
                &[
                    ("output.format.key", "bson"),
                    ("key.converter", JSON),
                    ("key.converter.schemas.enable", "true"),
                ],
            ),
            value("struct-in-text", &[("output.format.key", "schema"), ("key.converter", STRING)]),
            value(
                "struct-in-json+schema",
                &[
                    ("output.format.key", "schema"),
                    ("key.converter", JSON),
                    ("key.converter.schemas.enable", "true"),
                ],
            ),
            value(
                "struct-in-json",
                &[
                    ("output.format.key", "schema"),
                    ("key.converter", JSON),
                    ("key.converter.schemas.enable", "false"),
                ],
            ),
        ],
    },
    Dimension {
        name: "key-schema",
        values: &[
            value("none", &[]),
            value("default", &[]),
            value("own", &[("output.schema.key", OWN_KEY)]),
        ],
    },
    Dimension {
        name: "value",
        values: &[
            value("text", &[("output.format.value", "json"), ("value.converter", STRING)]),
            value(
                "json+schema",
                &[
                    ("output.format.value", "json"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "true"),
                ],
            ),
            value(
                "json",
                &[
                    ("output.format.value", "json"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "false"),
                ],
            ),
            value("bson", &[("output.format.value", "bson"), ("value.converter", BYTES)]),
            value(
                "bson-in-json",
                &[
                    ("output.format.value", "bson"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "false"),
                ],
            ),
            value(
                "bson-in-json+schema",
                &[
                    ("output.format.value", "bson"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "true"),
                ],
            ),
            value(
                "struct-in-text",
                &[("output.format.value", "schema"), ("value.converter", STRING)],
            ),
            value(
                "struct-in-json+schema",
                &[
                    ("output.format.value", "schema"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "true"),
                ],
            ),
            value(
                "struct-in-json",
                &[
                    ("output.format.value", "schema"),
                    ("value.converter", JSON),
                    ("value.converter.schemas.enable", "false"),
                ],
            ),
        ],
    },
    Dimension {
        name: "value-schema",
        values: &[
            value("none", &[]),
            value("of-events", &[]),
            value("default", &[]),
            value("own", &[("output.schema.value", OWN_VALUE)]),
            value("inferred", &[("output.schema.infer.value", "true")]),
        ],
    },
    Dimension {
        name: "formatter",
        values: &[
            value("default", &[]),
            value(
                "extended",
                &[(
                    "output.json.formatter",
                    "com.mongodb.kafka.connect.source.json.formatter.ExtendedJson",
                )],
            ),
            value(
                "simplified",
                &[(
                    "output.json.formatter",
                    "com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson",
                )],
            ),
        ],
    },
    Dimension {
        name: "document",
        values: &[
            value("default", &[]),
            value("lookup", &[("change.stream.full.document", "updateLookup")]),
            value("when-available", &[("change.stream.full.document", "whenAvailable")]),
            value("required", &[("change.stream.full.document", "required")]),
        ],
    },
    Dimension {
        name: "before",
        values: &[
            value("default", &[]),
            value("off", &[("change.stream.full.document.before.change", "off")]),
            value(
                "when-available",
                &[("change.stream.full.document.before.change", "whenAvailable")],
            ),
            value("required", &[("change.stream.full.document.before.change", "required")]),
        ],
    },
    Dimension {
        name: "publish",
        values: &[
            value("event", &[]),
            value("document", &[("publish.full.document.only", "true")]),
            value(
                "document+tombstones",
                &[
                    ("publish.full.document.only", "true"),
                    ("publish.full.document.only.tombstone.on.delete", "true"),
                ],
            ),
        ],
    },
    Dimension {
        name: "identity",
        values: &[
            value("document-key", &[]),
            value("token", &[("change.stream.document.key.as.key", "false")]),
        ],
    },
    Dimension {
        name: "start",
        values: &[
            value("timestamp", &[("startup.mode", "timestamp")]),
            value("latest", &[("startup.mode", "latest")]),
            value("copy", &[("startup.mode", "copy_existing")]),
        ],
    },
    Dimension {
        name: "scope",
        values: &[value("collection", &[]), value("database", &[]), value("deployment", &[])],
    },
    Dimension {
        name: "topics",
        values: &[
            value("prefix", &[]),
            value("suffix", &[]),
            value("separator", &[]),
            value(
                "partitions",
                &[
                    ("topic.creation.default.partitions", "3"),
                    ("topic.creation.default.replication.factor", "1"),
                ],
            ),
            value("map", &[]),
            value("expression", &[]),
            value("wildcard", &[]),
        ],
    },
    Dimension {
        name: "tolerance",
        values: &[
            value("none", &[]),
            value("all", &[("errors.tolerance", "all")]),
            value(
                "dead-letters",
                &[("mongo.errors.tolerance", "all"), ("errors.log.enable", "true")],
            ),
        ],
    },
    Dimension {
        name: "expanded",
        values: &[
            value("no", &[]),
            value("yes", &[("change.stream.show.expanded.events", "true")]),
        ],
    },
    Dimension {
        name: "pipeline",
        values: &[value("none", &[]), value("filter", &[]), value("added", &[])],
    },
    Dimension {
        name: "batches",
        values: &[
            value("default", &[]),
            value("small", &[("batch.size", "50"), ("poll.max.batch.size", "20")]),
        ],
    },
    Dimension {
        name: "producer",
        values: &[
            value("default", &[]),
            value("gzip", &[("producer.override.compression.type", "gzip")]),
            value("snappy", &[("producer.override.compression.type", "snappy")]),
            value("lz4", &[("producer.override.compression.type", "lz4")]),
            value("zstd", &[("producer.override.compression.type", "zstd")]),
            value(
                "lingering",
                &[("producer.override.linger.ms", "40"), ("producer.override.batch.size", "2000")],
            ),
        ],
    },
    Dimension {
        name: "heartbeats",
        values: &[value("none", &[]), value("beating", &[("heartbeat.interval.ms", "50")])],
    },
];

/// The number and the values of a dimension.
///
/// # Panics
/// When there is none of that name: a slip of ours.
pub(super) fn dimension(name: &str) -> (usize, &'static [Value]) {
    let found = DIMENSIONS.iter().enumerate().find(|(_, dimension)| dimension.name == name);
    let (number, dimension) = found.unwrap_or_else(|| panic!("no dimension {name:?}"));
    (number, dimension.values)
}

/// What cannot go together.
pub(super) fn forbidden(one: Choice, other: Choice) -> bool {
    let name = |choice: Choice| {
        let dimension = &DIMENSIONS[choice.dimension];
        (dimension.name, dimension.values[choice.value].name)
    };
    matches_nothing(name(one), name(other)) || differs_by_chance(name(one), name(other))
}

/// A schema and a format that does not ask for one.
fn matches_nothing(one: (&str, &str), other: (&str, &str)) -> bool {
    match (one, other) {
        (("key", format), ("key-schema", schema))
        | (("value", format), ("value-schema", schema)) => {
            format.starts_with("struct") == (schema == "none")
        }
        _ => false,
    }
}

/// What would differ though nothing is wrong, or does so on purpose.
fn differs_by_chance(one: (&str, &str), other: (&str, &str)) -> bool {
    match (one, other) {
        // Collections are copied beside each other: in one topic for all the order would be a matter of time.
        (("start", "copy"), ("topics", "wildcard")) => true,
        // The text of bytes in Java is the address of an array.
        (("value", "struct-in-text"), ("value-schema", "inferred")) => true,
        // Every event fits the default schema; a document may have a field `ns` that is none.
        (("value-schema", "of-events"), ("publish", publish)) => publish != "event",
        // Keys of heartbeats and of dead letters are texts, which ByteArrayConverter does not take: Java's task ends
        // with the first, the node says so at the start.
        (
            ("key", "bson"),
            ("heartbeats", "beating") | ("value-schema", "default" | "own" | "inferred"),
        ) => true,
        // What does not fit ends Java's task, or is dropped; here it ends the task. Tests of the node hold both.
        (("value-schema", "default" | "own" | "inferred"), ("tolerance", tolerance)) => {
            tolerance != "dead-letters"
        }
        _ => false,
    }
}
