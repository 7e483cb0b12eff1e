//! The connector files that are compared: one value of every dimension each.
//!
//! ```text
//! dimension      values
//! key, value     json or bson, by the String, ByteArray or Json converter, with and without schemas
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
//! ```
//!
//! Both lanes have the same file; topics alone carry the mark of their lane, `java07` and `node07`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use bson::Timestamp;

use super::backlog::{EVENTS, Namespace, second};
use super::pairwise::{self, Choice};

/// A property and its value; `None` leaves it out.
type Setting = (&'static str, &'static str);

struct Dimension {
    name: &'static str,
    values: &'static [Value],
}

struct Value {
    name: &'static str,
    settings: &'static [Setting],
}

const fn value(name: &'static str, settings: &'static [Setting]) -> Value {
    Value { name, settings }
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Numbers of the dimensions that more than their settings depends on.
const START: usize = 7;
const SCOPE: usize = 8;
const TOPICS: usize = 9;
const TOLERANCE: usize = 10;
const PIPELINE: usize = 12;

const DIMENSIONS: [Dimension; 14] = [
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
];

/// A set of topics, named after who fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The connector in Kafka Connect.
    Java,
    /// Ours.
    Node,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Java, Self::Node];

    fn mark(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Node => "node",
        }
    }
}

/// What is there before the connectors run, and when that began.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) uri: String,
    pub(super) database: String,
    pub(super) start: Timestamp,
}

/// One connector file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    number: usize,
    /// Number of the value of each dimension.
    values: Vec<usize>,
}

/// At least `at_least` combinations, in which every two values that can go together do.
///
/// # Errors
/// When there are not so many.
pub fn combinations(at_least: usize, seed: u64) -> Result<Vec<Combination>> {
    let sizes = DIMENSIONS.each_ref().map(|dimension| dimension.values.len());
    let rows = pairwise::rows(&sizes, forbidden, at_least, seed)?;
    let numbered = (1..).zip(rows);
    Ok(numbered.map(|(number, values)| Combination { number, values }).collect())
}

/// Collections are copied beside each other: in one topic for all of them the order would be a matter of time.
fn forbidden(one: Choice, other: Choice) -> bool {
    let is = |choice: Choice, dimension, name| {
        choice.dimension == dimension && value_of(dimension, choice.value).name == name
    };
    is(one, START, "copy") && is(other, TOPICS, "wildcard")
}

fn value_of(dimension: usize, value: usize) -> &'static Value {
    &DIMENSIONS[dimension].values[value]
}

impl Combination {
    /// Name of its connectors, `c07`.
    pub fn name(&self) -> String {
        format!("c{:02}", self.number)
    }

    fn is(&self, dimension: usize) -> &'static str {
        value_of(dimension, self.values[dimension]).name
    }

    /// Whether what is there before it runs becomes records, and as events or copies.
    pub(super) fn reads_before(&self) -> bool {
        self.is(START) != "latest"
    }

    /// Whether it has a change stream open as soon as it runs.
    pub(super) fn streams_at_once(&self) -> bool {
        self.is(START) != "copy"
    }

    /// Whether changes of a namespace reach it.
    pub(super) fn sees(&self, namespace: &Namespace, database: &str) -> bool {
        match self.is(SCOPE) {
            "collection" => namespace.database == database && namespace.collection == EVENTS,
            "database" => namespace.database == database,
            _ => true,
        }
    }

    /// Database and collection that it watches.
    pub(super) fn scope<'a>(&self, database: &'a str) -> (Option<&'a str>, Option<&'static str>) {
        match self.is(SCOPE) {
            "collection" => (Some(database), Some(EVENTS)),
            "database" => (Some(database), None),
            _ => (None, None),
        }
    }

    pub(super) fn shows_expanded_events(&self) -> bool {
        DIMENSIONS.iter().zip(&self.values).any(|(dimension, value)| {
            dimension.name == "expanded" && dimension.values[*value].name == "yes"
        })
    }

    /// Stands in the name of every topic of a lane, and in no other.
    fn mark(&self, lane: Lane) -> String {
        format!("{}{:02}", lane.mark(), self.number)
    }

    /// The name that a topic would have without the mark of the lane; `None` for topics of others.
    pub fn unmarked(&self, lane: Lane, topic: &str) -> Option<String> {
        let mark = self.mark(lane);
        let mut parts = topic.split(['.', '-']);
        parts.any(|part| part == mark).then(|| topic.replacen(&mark, "lane", 1))
    }

    /// Its connector's file in a lane. The stream carries the name of who runs it.
    pub(super) fn file(&self, lane: Lane, ground: &Ground) -> BTreeMap<String, String> {
        let database = &ground.database;
        let separator = if ground.uri.contains('?') { '&' } else { '?' };
        let uri = format!("{}{separator}appName={}", ground.uri, self.app_name(lane, ground));
        let mut config = BTreeMap::new();
        let mut set = |name: &str, value: &str| config.insert(name.to_owned(), value.to_owned());
        set("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector");
        set("connection.uri", &uri);
        // A worker ends its tasks one after the other, each when its poll returns.
        set("poll.await.time.ms", "100");
        for (dimension, value) in self.values.iter().enumerate() {
            for (name, value) in value_of(dimension, *value).settings {
                set(name, value);
            }
        }
        let (watched, collection) = self.scope(database);
        set("database", watched.unwrap_or_default());
        set("collection", collection.unwrap_or_default());
        match self.is(START) {
            "timestamp" => {
                let Timestamp { time, increment } = ground.start;
                let start = format!(r#"{{"$timestamp": {{"t": {time}, "i": {increment}}}}}"#);
                set("startup.mode.timestamp.start.at.operation.time", &start);
            }
            "copy" if watched.is_none() => {
                let of_ground = format!("^{database}(_second)?\\.");
                set("startup.mode.copy.existing.namespace.regex", &of_ground);
            }
            _ => {}
        }
        if let Some(pipeline) = self.pipeline(database) {
            set("pipeline", &pipeline);
        }
        if self.is(TOLERANCE) == "dead-letters" {
            let topic = format!("{}-letters", self.mark(lane));
            set("errors.deadletterqueue.topic.name", &topic);
        }
        for (name, value) in self.topics(lane, database) {
            set(name, &value);
        }
        config
    }

    /// How the server knows the stream of a lane.
    pub(super) fn app_name(&self, lane: Lane, ground: &Ground) -> String {
        format!("{}-{}-{}", lane.mark(), ground.database, self.name())
    }

    fn pipeline(&self, database: &str) -> Option<String> {
        let mut stages = Vec::new();
        if self.scope(database).0.is_none() {
            let ours = format!(
                r#"{{"$match": {{"ns.db": {{"$in": ["{database}", "{}"]}}}}}}"#,
                second(database)
            );
            stages.push(ours);
        }
        match self.is(PIPELINE) {
            "filter" => stages.push(
                r#"{"$match": {"operationType": {"$ne": "delete"}}}, {"$unset": ["wallTime", "lsid"]}"#.to_owned(),
            ),
            "added" => stages.push(
                r#"{"$addFields": {"by": "a \"pipeline\"", "at": {"$numberDecimal": "1E+3"}, "n": 1.5}}"#.to_owned(),
            ),
            _ => {}
        }
        (!stages.is_empty()).then(|| format!("[{}]", stages.join(", ")))
    }

    fn topics(&self, lane: Lane, database: &str) -> Vec<(&'static str, String)> {
        let mark = self.mark(lane);
        let second = second(database);
        let map = match self.is(TOPICS) {
            "suffix" => return vec![("topic.suffix", mark)],
            "separator" => {
                return vec![
                    ("topic.prefix", mark),
                    ("topic.suffix", "v1".to_owned()),
                    ("topic.separator", "-".to_owned()),
                ];
            }
            "map" => format!(
                r#"{{"{database}.{EVENTS}": "exact", "{database}": "of_database", "{second}": "of_second"}}"#
            ),
            "expression" => r#"{"/(?i)ORACLE_\\d++\\.e.+$": "first{sep}{db}{sep_coll}", "/.*\\.(?!e).*": "{coll_sep}of{sep}{db}"}"#.to_owned(),
            "wildcard" => format!(r#"{{"{database}.no_such": "unseen", "*": "everything"}}"#),
            _ => return vec![("topic.prefix", mark)],
        };
        vec![("topic.prefix", mark), ("topic.namespace.map", map)]
    }
}

impl fmt::Display for Combination {
    /// `c07  key=text value=bson …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name())?;
        for (dimension, value) in DIMENSIONS.iter().zip(&self.values) {
            write!(f, " {}={}", dimension.name, dimension.values[*value].name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ground() -> Ground {
        Ground {
            uri: "mongodb://h:1/?replicaSet=rs0".to_owned(),
            database: "oracle_1".to_owned(),
            start: Timestamp { time: 7, increment: 2 },
        }
    }

    #[test]
    fn the_numbers_of_dimensions_are_those_of_their_names() {
        let named = [
            (START, "start"),
            (SCOPE, "scope"),
            (TOPICS, "topics"),
            (TOLERANCE, "tolerance"),
            (PIPELINE, "pipeline"),
        ];
        for (number, name) in named {
            assert_eq!(DIMENSIONS[number].name, name);
        }
    }

    #[test]
    fn there_are_sixty_combinations_of_different_files() {
        for seed in 0..3 {
            let all = combinations(60, seed).unwrap();
            assert!(60 <= all.len() && all.len() < 90, "{}", all.len());
            let files: BTreeSet<_> = all
                .iter()
                .map(|one| {
                    let mut file = one.file(Lane::Java, &ground());
                    let name = one.mark(Lane::Java);
                    for value in file.values_mut() {
                        *value = value.replace(&name, "").replace(&one.name(), "");
                    }
                    file
                })
                .collect();
            assert_eq!(files.len(), all.len());
        }
    }

    #[test]
    fn lanes_differ_in_topics_and_the_name_of_the_stream_alone() {
        for one in combinations(60, 1).unwrap() {
            let [java, node] = Lane::ALL.map(|lane| one.file(lane, &ground()));
            assert_eq!(java.keys().collect::<Vec<_>>(), node.keys().collect::<Vec<_>>());
            for (name, value) in &java {
                let as_node = value.replace("java", "node");
                assert_eq!(&as_node, &node[name], "{name}");
                let may = name.starts_with("topic.") || name.contains("deadletter");
                assert!(value == &node[name] || may || name == "connection.uri", "{name}");
            }
        }
    }

    #[test]
    fn a_topic_is_known_by_the_mark_of_its_lane_and_combination() {
        let all = combinations(60, 1).unwrap();
        let one = &all[6];
        for topic in ["java07.oracle_1.events", "oracle_1.events.java07", "java07-oracle_1-x-v1"] {
            let unmarked = one.unmarked(Lane::Java, topic).unwrap();
            assert_eq!(Some(unmarked), one.unmarked(Lane::Node, &topic.replace("java", "node")));
            assert_eq!(all[7].unmarked(Lane::Java, topic), None);
        }
        assert_eq!(one.unmarked(Lane::Java, "java077.oracle_1.events"), None);
    }

    #[test]
    fn what_is_copied_beside_each_other_is_not_mixed_in_one_topic() {
        for one in combinations(90, 2).unwrap() {
            assert!(one.is(START) != "copy" || one.is(TOPICS) != "wildcard", "{one}");
        }
    }
}
