//! The connector files that are compared: one value of every dimension each.
//!
//! Both lanes have the same file; topics alone carry the mark of their lane, `java07` and `node07`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use bson::Timestamp;

use super::backlog::{EVENTS, Namespace, second};
use super::dimensions::{DIMENSIONS, dimension, forbidden};
use super::pairwise;

/// The end of the name of a dead-letter topic.
const LETTERS: &str = "-letters";

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

impl Combination {
    /// Name of its connectors, `c07`.
    pub fn name(&self) -> String {
        format!("c{:02}", self.number)
    }

    /// Its value of the dimension `name`.
    fn is(&self, name: &str) -> &'static str {
        let (number, values) = dimension(name);
        values[self.values[number]].name
    }

    /// Whether what is there before it runs becomes records, and as events or copies.
    pub(super) fn reads_before(&self) -> bool {
        self.is("start") != "latest"
    }

    /// Whether it has a change stream open as soon as it runs.
    pub(super) fn streams_at_once(&self) -> bool {
        self.is("start") != "copy"
    }

    /// Whether changes of a namespace reach it.
    pub(super) fn sees(&self, namespace: &Namespace, database: &str) -> bool {
        match self.is("scope") {
            "collection" => namespace.database == database && namespace.collection == EVENTS,
            "database" => namespace.database == database,
            _ => true,
        }
    }

    /// Database and collection that it watches.
    pub(super) fn scope<'a>(&self, database: &'a str) -> (Option<&'a str>, Option<&'static str>) {
        match self.is("scope") {
            "collection" => (Some(database), Some(EVENTS)),
            "database" => (Some(database), None),
            _ => (None, None),
        }
    }

    pub(super) fn shows_expanded_events(&self) -> bool {
        self.is("expanded") == "yes"
    }

    /// The topic of a lane's heartbeats, if there are any. Their number is a matter of time, so it is no topic of
    /// [`Combination::unmarked`].
    pub(super) fn heartbeat_topic(&self, lane: Lane) -> Option<String> {
        (self.is("heartbeats") == "beating").then(|| format!("{}_heartbeats", self.mark(lane)))
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

    /// Whether a topic, by its unmarked name, has dead letters of collections that are copied beside each other: their
    /// order is a matter of time.
    pub(super) fn mixes_copies(&self, unmarked: &str) -> bool {
        self.is("start") == "copy" && unmarked.ends_with(LETTERS)
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
        for (dimension, value) in DIMENSIONS.iter().zip(&self.values) {
            for (name, value) in dimension.values[*value].settings {
                set(name, value);
            }
        }
        let (watched, collection) = self.scope(database);
        set("database", watched.unwrap_or_default());
        set("collection", collection.unwrap_or_default());
        match self.is("start") {
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
        if self.is("tolerance") == "dead-letters" {
            let topic = format!("{}{LETTERS}", self.mark(lane));
            set("errors.deadletterqueue.topic.name", &topic);
        }
        if let Some(topic) = self.heartbeat_topic(lane) {
            set("heartbeat.topic.name", &topic);
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
        match self.is("pipeline") {
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
        let map = match self.is("topics") {
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
    fn there_are_sixty_combinations_of_different_files() {
        for seed in 0..3 {
            let all = combinations(60, seed).unwrap();
            assert!(60 <= all.len() && all.len() < 110, "{}", all.len());
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
                let may = name.contains("topic.");
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
    fn a_heartbeat_topic_is_none_of_those_that_are_compared() {
        let all = combinations(60, 1).unwrap();
        let topics: Vec<_> =
            all.iter().filter_map(|one| Some((one, one.heartbeat_topic(Lane::Java)?))).collect();
        assert!(10 < topics.len());
        assert!(topics.iter().all(|(one, topic)| one.unmarked(Lane::Java, topic).is_none()));
    }

    #[test]
    fn what_cannot_go_together_does_not() {
        for one in combinations(120, 2).unwrap() {
            assert!(one.is("start") != "copy" || one.is("topics") != "wildcard", "{one}");
            let strict = one.is("tolerance") != "dead-letters";
            assert!(!strict || matches!(one.is("value-schema"), "none" | "of-events"), "{one}");
            assert_eq!(
                one.is("key").starts_with("struct"),
                one.is("key-schema") != "none",
                "{one}"
            );
        }
    }
}
