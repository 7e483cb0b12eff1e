//! Which topic a change goes to: the connector's `DefaultTopicMapper`.
//!
//! ```text
//!  [topic.prefix separator] db [separator coll] [separator topic.suffix]
//!                           └────────────────┘ or what [`NamespaceMap`] says of the namespace
//!
//!  db shop, coll orders, prefix "eu", separator "."      eu.shop.orders
//!  db shop, no coll (dropDatabase)                       eu.shop
//!  no db                                                 no topic: the caller drops the change
//! ```
//!
//! The separator is put even where a prefix already ends in one: `eu..shop`, as in Java. Topics are
//! numbered from 0 in the order of their first change, so the producer keeps its state in a vector.
//! Two namespaces may share a topic. A known namespace is found without an allocation; each new one
//! is kept for good, as in Java.

use std::collections::BTreeMap;
use std::fmt;

mod namespace_map;
mod template;

pub use namespace_map::{MapError, NamespaceMap};
pub use template::TemplateError;

use namespace_map::CostlyPattern;

/// Characters of a topic name that Kafka takes at most (`Topic.MAX_NAME_LENGTH`).
pub const TOPIC_CHARS_MAX: usize = 249;

/// A topic of one [`Router`]: 0, 1, 2, … in the order in which they were first needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIndex(u32);

impl TopicIndex {
    /// Its place in a vector of topics.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is wrong with the name of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicNameFault {
    /// Something else than an ASCII letter, a digit, `.`, `_` or `-`.
    Character(char),
    /// More than [`TOPIC_CHARS_MAX`].
    TooLong {
        /// Characters of the name.
        chars: usize,
    },
    /// `.` or `..`.
    Dots,
    /// Nothing.
    Empty,
    /// The change has an empty database name.
    NoDatabase,
    /// It is not known: an expression of `topic.namespace.map` takes too long over the namespace.
    CostlyPattern {
        /// The expression.
        pattern: String,
    },
}

/// A namespace whose topic Kafka would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// `db` or `db.coll`.
    pub namespace: String,
    /// The name that the settings give it.
    pub topic: String,
    /// Why Kafka refuses it.
    pub fault: TopicNameFault,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, topic, fault } = self;
        write!(f, "cannot send changes of {namespace:?} to topic {topic:?}: ")?;
        match fault {
            TopicNameFault::Character(character) => write!(
                f,
                "Kafka allows letters, digits, '.', '_' and '-' in a topic name, not {character:?}"
            ),
            TopicNameFault::TooLong { chars } => {
                write!(f, "the name has {chars} characters, Kafka allows {TOPIC_CHARS_MAX}")
            }
            TopicNameFault::Empty => f.write_str("the topic has no name"),
            TopicNameFault::Dots => f.write_str("Kafka keeps this name for itself"),
            TopicNameFault::NoDatabase => f.write_str("the database has no name"),
            TopicNameFault::CostlyPattern { pattern } => write!(
                f,
                "the expression {pattern:?} of topic.namespace.map backtracks without an end over it"
            ),
        }?;
        f.write_str(
            "; change topic.prefix, topic.suffix, topic.separator, topic.namespace.map or transforms if it comes \
             from them, or leave the namespace out with a $match on \"ns\" in pipeline",
        )
    }
}

impl std::error::Error for RouteError {}

/// Names topics and remembers them. See the file.
#[derive(Clone, Debug)]
pub struct Router {
    prefix: String,
    suffix: String,
    separator: String,
    map: NamespaceMap,
    /// Whether names are taken that Kafka refuses: transformations may make others of them.
    takes_any_name: bool,
    names: Vec<String>,
    by_name: BTreeMap<String, TopicIndex>,
    by_namespace: BTreeMap<Vec<u8>, Topic>,
    /// The namespace that was asked for last, and its topic: changes come in runs.
    last: Option<Topic>,
    last_namespace: Vec<u8>,
    /// The namespace that is looked up, kept for its memory.
    wanted: Vec<u8>,
    /// Namespaces that were found to have no topic and that nobody has been told of.
    unrouted: Vec<String>,
}

/// The topic of a namespace; `None`: the map leaves nothing of its name, and its changes make no
/// record.
type Topic = Option<TopicIndex>;

impl Router {
    /// A router for `topic.prefix`, `topic.suffix` (empty: none) and `topic.separator`.
    pub fn new(prefix: &str, suffix: &str, separator: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            separator: separator.to_owned(),
            map: NamespaceMap::default(),
            takes_any_name: false,
            names: Vec::new(),
            by_name: BTreeMap::new(),
            by_namespace: BTreeMap::new(),
            last: None,
            last_namespace: Vec::new(),
            wanted: Vec::new(),
            unrouted: Vec::new(),
        }
    }

    /// The router that asks `map` first.
    #[must_use]
    pub fn with_map(mut self, map: NamespaceMap) -> Self {
        self.map = map;
        self
    }

    /// The router that takes names which Kafka refuses: [`check_topic`] is asked about what becomes of them.
    #[must_use]
    pub fn with_any_name(mut self) -> Self {
        self.takes_any_name = true;
        self
    }

    /// The topic for changes of `db` and `coll`; `None` if `topic.namespace.map` makes an empty name
    /// of them, whose changes Java drops. A change without a database is not asked for: Java drops it,
    /// too.
    ///
    /// Without allocation for a namespace that was routed before. A topic is new if its index is
    /// what [`Router::topic_count`] was before.
    ///
    /// # Errors [`RouteError`] if Kafka would refuse the name; each time, since a namespace without
    /// a topic is not kept.
    pub fn route(&mut self, db: &[u8], coll: Option<&[u8]>) -> Result<Topic, RouteError> {
        let coll = coll.unwrap_or_default();
        self.wanted.clear();
        self.wanted.extend_from_slice(&db.len().to_le_bytes());
        self.wanted.extend_from_slice(db);
        self.wanted.extend_from_slice(coll);
        if let Some(topic) = self.last
            && self.last_namespace == self.wanted
        {
            return Ok(topic);
        }
        let topic = match self.by_namespace.get(self.wanted.as_slice()) {
            Some(topic) => *topic,
            None => {
                let topic = self.add(db, coll)?;
                self.by_namespace.insert(self.wanted.clone(), topic);
                topic
            }
        };
        std::mem::swap(&mut self.last_namespace, &mut self.wanted);
        self.last = Some(topic);
        Ok(topic)
    }

    /// The name of a topic of this router.
    pub fn name(&self, topic: TopicIndex) -> &str {
        self.names.get(topic.index()).map_or("", String::as_str)
    }

    /// A namespace whose changes make no record, said once.
    pub fn next_unrouted(&mut self) -> Option<String> {
        self.unrouted.pop()
    }

    /// Topics named so far; the next new one has this index.
    pub fn topic_count(&self) -> usize {
        self.names.len()
    }

    /// Names the topic of a new namespace, which may be one that another namespace has already.
    fn add(&mut self, db: &[u8], coll: &[u8]) -> Result<Topic, RouteError> {
        let (db, coll) = (String::from_utf8_lossy(db), String::from_utf8_lossy(coll));
        let namespace = || if coll.is_empty() { db.to_string() } else { format!("{db}.{coll}") };
        let name = self.name_of(&db, &coll).map_err(|CostlyPattern { pattern }| RouteError {
            namespace: namespace(),
            topic: String::new(),
            fault: TopicNameFault::CostlyPattern { pattern },
        })?;
        let fault = match db.is_empty() {
            true => Some(TopicNameFault::NoDatabase),
            false if self.takes_any_name => None,
            false => fault_of(&name),
        };
        if let Some(fault) = fault {
            return Err(RouteError { namespace: namespace(), topic: name, fault });
        }
        if name.is_empty() {
            self.unrouted.push(namespace());
            return Ok(None);
        }
        if let Some(topic) = self.by_name.get(&name) {
            return Ok(Some(*topic));
        }
        let topic = TopicIndex(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.clone());
        self.by_name.insert(name, topic);
        Ok(Some(topic))
    }

    /// What the map says, or else database and collection, between prefix and suffix.
    fn name_of(&self, db: &str, coll: &str) -> Result<String, CostlyPattern> {
        let separator = self.separator.as_str();
        let joined = |parts: &[&str]| {
            let parts = parts.iter().copied().filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join(separator)
        };
        let middle = match self.map.topic(db, coll, separator)? {
            Some(mapped) => mapped,
            None => joined(&[db, coll]),
        };
        let before = if self.prefix.is_empty() { "" } else { separator };
        let after = if self.suffix.is_empty() { "" } else { separator };
        Ok(format!("{}{before}{middle}{after}{}", self.prefix, self.suffix))
    }
}

/// Whether Kafka takes this name for changes of `namespace`.
///
/// # Errors
/// [`RouteError`] if it does not.
pub fn check_topic(namespace: &str, topic: &str) -> Result<(), RouteError> {
    let fault = if topic.is_empty() { Some(TopicNameFault::Empty) } else { fault_of(topic) };
    fault.map_or(Ok(()), |fault| {
        Err(RouteError { namespace: namespace.to_owned(), topic: topic.to_owned(), fault })
    })
}

/// Why Kafka refuses the name, if it does (`org.apache.kafka.common.internals.Topic`).
fn fault_of(name: &str) -> Option<TopicNameFault> {
    let legal = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if let Some(character) = name.chars().find(|&character| !legal(character)) {
        return Some(TopicNameFault::Character(character));
    }
    match name {
        "." | ".." => Some(TopicNameFault::Dots),
        _ if name.len() > TOPIC_CHARS_MAX => Some(TopicNameFault::TooLong { chars: name.len() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(router: &mut Router, db: &str, coll: Option<&str>) -> String {
        let topic = router.route(db.as_bytes(), coll.map(str::as_bytes)).expect("a legal name");
        router.name(topic.expect("a topic")).to_owned()
    }

    #[test]
    fn names_are_the_parts_that_are_there_joined_by_the_separator() {
        let mut router = Router::new("", "", ".");
        assert_eq!(name(&mut router, "shop", Some("orders")), "shop.orders");
        assert_eq!(name(&mut router, "shop", None), "shop");
        assert_eq!(name(&mut router, "shop", Some("")), "shop");
        assert!(router.route(b"", Some(b"orders")).is_err());
        let mut router = Router::new("eu.", "v1", ".");
        assert_eq!(name(&mut router, "shop", Some("orders")), "eu..shop.orders.v1");
        assert_eq!(name(&mut router, "shop", None), "eu..shop.v1");
        let mut router = Router::new("eu", "", "-");
        assert_eq!(name(&mut router, "shop", Some("a.b")), "eu-shop-a.b");
    }

    #[test]
    fn topics_are_numbered_once_each_and_shared_by_namespaces_of_one_name() {
        let mut router = Router::new("", "", "_");
        let mut route = |db: &str, coll: &str| {
            router.route(db.as_bytes(), Some(coll.as_bytes())).expect("legal").expect("a topic")
        };
        let first = route("a", "b_c");
        let second = route("a", "x");
        assert_ne!(first, second);
        assert_eq!(route("a_b", "c"), first);
        for _ in 0..3 {
            assert_eq!(route("a", "x"), second);
            assert_eq!(route("a", "b_c"), first);
        }
        assert_eq!(router.topic_count(), 2);
        assert_eq!(second.index(), 1);
    }

    #[test]
    fn names_that_kafka_refuses_are_errors_each_time() {
        let mut router = Router::new("", "", ".");
        for _ in 0..2 {
            let error =
                router.route(b"shop", Some("bestellungen ü".as_bytes())).expect_err("refused");
            assert_eq!(error.fault, TopicNameFault::Character(' '));
            assert!(error.to_string().contains("\"shop.bestellungen ü\""), "{error}");
            assert!(error.to_string().contains("pipeline"), "{error}");
        }
        assert!(router.route(b"shop\xff", None).is_err());
        let legal = [b'x'; 244];
        assert!(router.route(b"shop", Some(&legal)).is_ok());
        let error = router.route(b"shop", Some(&[b'x'; 245])).expect_err("too long");
        assert_eq!(error.fault, TopicNameFault::TooLong { chars: 250 });
        assert_eq!(
            router.route(b"..", None).map_err(|error| error.fault),
            Err(TopicNameFault::Dots)
        );
        assert_eq!(router.topic_count(), 1);
    }
}
