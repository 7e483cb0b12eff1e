//! One connector file, what is written for it, and what its records must show.
//!
//! ```text
//! file of the case      {"topic.prefix": "eu.", …}            {"topic.suffix": "v1", …}     {…}
//! in the Java lane      {"topic.prefix": "java-eu.", …}       {"topic.suffix": "v1.java"}   {"topic.suffix": "java"}
//! in the node lane      {"topic.prefix": "node-eu.", …}       {"topic.suffix": "v1.node"}   {"topic.suffix": "node"}
//! ```
//!
//! Both lanes write to one broker, so their topics must differ; everything else in the files is the same. A lane is
//! named after who begins it: later the sides are swapped, and each goes on in the topics of the other.

use std::collections::BTreeMap;
use std::pin::Pin;

use anyhow::Result;
use bson::Document;
use mongodb::{Client, Collection, Database};

/// The collection that a case writes to unless it says otherwise.
pub(crate) const EVENTS: &str = "events";
/// In a property: the operation time before anything of the trial was written.
pub(crate) const START_TIME: &str = "$START_TIME";
/// In a property: the mark of the lane, for topics that no prefix or suffix goes around.
pub(crate) const LANE: &str = "$LANE";

/// A set of topics, named after who fills it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Java,
    Node,
}

impl Lane {
    fn mark(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Node => "node",
        }
    }
}

/// Where a case writes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) uri: String,
    pub(crate) client: Client,
    /// The case's own database.
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn database(&self) -> Database {
        self.client.database(&self.name)
    }

    /// A database beside the case's own, outside its scope unless that is the deployment.
    pub(crate) fn second_database(&self) -> Database {
        self.client.database(&format!("{}_second", self.name))
    }

    pub(crate) fn collection(&self, name: &str) -> Collection<Document> {
        self.database().collection(name)
    }

    pub(crate) fn events(&self) -> Collection<Document> {
        self.collection(EVENTS)
    }
}

pub(crate) type Writing = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
/// Something that is written to a place.
pub(crate) type Write = fn(Place) -> Writing;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Name of the connector.
    pub(crate) name: String,
    /// Name of the database; the connector's scope is up to [`Case::config`].
    pub(crate) database: String,
    /// The collection of the hand-over's writes.
    pub(crate) collection: String,
    pub(crate) config: BTreeMap<String, String>,
    /// Written before any connector runs.
    pub(crate) before: Option<Write>,
    /// Written while both sides run for the first time.
    pub(crate) content: Write,
    /// Stands in the record of the content's last event, if no fence can come after that.
    pub(crate) last: Option<&'static str>,
    /// Must stand in some record of Java's, so that a case cannot be about nothing.
    pub(crate) shows: Vec<&'static str>,
    /// Whether a tombstone must be among Java's records.
    pub(crate) shows_tombstone: bool,
}

impl Case {
    /// A case that watches the collection [`EVENTS`] of a database of its own. Converters are the worker's.
    pub(crate) fn new(name: &str, content: Write) -> Self {
        let database = format!("oracle_{name}");
        let case = Self {
            name: name.to_owned(),
            config: BTreeMap::new(),
            database: database.clone(),
            collection: EVENTS.to_owned(),
            before: None,
            content,
            last: None,
            shows: Vec::new(),
            shows_tombstone: false,
        };
        case.set("connector.class", "com.mongodb.kafka.connect.MongoSourceConnector")
            .set("database", &database)
            .set("collection", EVENTS)
            // A worker ends its tasks one after the other, each when its poll returns.
            .set("poll.await.time.ms", "100")
    }

    pub(crate) fn set(mut self, property: &str, value: &str) -> Self {
        self.config.insert(property.to_owned(), value.to_owned());
        self
    }

    /// Watches the whole database.
    pub(crate) fn whole_database(self) -> Self {
        self.set("collection", "")
    }

    /// Texts as they are, without an envelope.
    pub(crate) fn strings(self) -> Self {
        const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";
        self.set("key.converter", STRING_CONVERTER).set("value.converter", STRING_CONVERTER)
    }

    pub(crate) fn before(mut self, write: Write) -> Self {
        self.before = Some(write);
        self
    }

    /// The content ends with an event after which the server closes the stream, so a fence might be missed: `text`
    /// stands in its record and in none before.
    pub(crate) fn last(mut self, text: &'static str) -> Self {
        self.last = Some(text);
        self
    }

    /// Java's records must show this.
    pub(crate) fn shows(mut self, text: &'static str) -> Self {
        self.shows.push(text);
        self
    }

    /// A tombstone must be among Java's records.
    pub(crate) fn shows_tombstone(mut self) -> Self {
        self.shows_tombstone = true;
        self
    }

    pub(crate) fn place(&self, client: &Client, uri: &str) -> Place {
        Place { uri: uri.to_owned(), client: client.clone(), name: self.database.clone() }
    }

    /// The connector's file in a lane, with `uri` as its address.
    pub(crate) fn file(&self, lane: Lane, uri: &str, start: &str) -> BTreeMap<String, String> {
        let mut config = self.config.clone();
        for value in config.values_mut() {
            *value = value.replace(START_TIME, start).replace(LANE, lane.mark());
        }
        config.insert("connection.uri".to_owned(), uri.to_owned());
        let prefix =
            self.property("topic.prefix").map(|prefix| format!("{}-{prefix}", lane.mark()));
        let (name, value) = match prefix {
            Some(prefix) => ("topic.prefix", prefix),
            None => ("topic.suffix", self.lane_suffix(lane)),
        };
        config.insert(name.to_owned(), value);
        config
    }

    /// The topic of a lane's heartbeats, if the case has any.
    pub(crate) fn heartbeat_topic(&self, lane: Lane) -> Option<String> {
        let topic = self.property("heartbeat.topic.name")?;
        Some(topic.replace(LANE, lane.mark()))
    }

    /// The name that a topic of a lane would have if the lane had no mark; `None` for other topics.
    pub(crate) fn unmarked(&self, lane: Lane, topic: &str) -> Option<String> {
        let rest = if self.property("topic.prefix").is_some() {
            topic.strip_prefix(&format!("{}-", lane.mark()))?
        } else {
            topic.strip_suffix(&self.lane_suffix(lane))?
        };
        let ours = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let second = format!("{}_second", self.database);
        let is_ours = ours.into_iter().any(|part| part == self.database || part == second);
        is_ours.then(|| rest.to_owned())
    }

    /// The text by which the fence of a round is known.
    pub(crate) fn fence(round: usize) -> String {
        format!("fence-{round}")
    }

    fn lane_suffix(&self, lane: Lane) -> String {
        let suffix =
            self.property("topic.suffix").map(|suffix| format!("{suffix}.")).unwrap_or_default();
        format!("{suffix}{}", lane.mark())
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.config.get(name).map(String::as_str)
    }
}
