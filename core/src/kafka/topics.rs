//! The topics that are written: whether each exists, how it is made if not, and what it takes.
//!
//! ```text
//!             metadata: missing             made, or made by somebody else
//!  Unknown ─────────────────────► Missing ────────────────────────────────► Unknown
//!     │ metadata: partitions                 CreateTopics, or metadata that
//!     ▼                                      lets the broker make it
//!  Undescribed ── DescribeConfigs ──► Ready
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kafka::api::create_topics::NewTopic;
use crate::kafka::api::describe_configs::TopicSettings;
use crate::kafka::client_error::ClientError;
use crate::kafka::config::ClientConfig;
use crate::kafka::errors::{ErrorClass, ErrorCode};
use crate::kafka::partition::PartitionSlot;
use crate::recovery::Backoff;

/// Names a topic of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(u32);

impl TopicId {
    /// Ids are given out in order, from 0.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known about a topic that can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    /// Number of partitions; it may grow.
    pub partitions: u32,
    /// The topic's `max.message.bytes`: the largest batch that it takes. `None` if we may not know.
    pub max_message_bytes: Option<usize>,
    /// The topic's `cleanup.policy`. `None` if we may not know.
    pub cleanup_policy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Unknown,
    Missing,
    Undescribed,
    Ready,
}

/// A question that is due about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// CreateTopics.
    Create,
    /// Metadata with leave to create it.
    AutoCreate,
    /// DescribeConfigs.
    Describe,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) create: Option<NewTopic>,
    pub(super) facts: TopicFacts,
    /// By partition.
    pub(super) slots: Vec<PartitionSlot>,
    pub(super) stage: Stage,
    is_asked: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    missing_since: Option<Instant>,
    /// Whether CreateTopics was answered well, so that only patience is needed.
    is_created: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Topics {
    topics: Vec<Topic>,
    by_name: BTreeMap<String, TopicId>,
    backoff: Backoff,
    missing_timeout: Duration,
}

impl Topics {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            backoff: config.backoff(),
            missing_timeout: config.startup_timeout,
        }
    }

    /// The topic of this name; with whether it is new.
    pub(super) fn ask(&mut self, name: &str, create: Option<&NewTopic>) -> (TopicId, bool) {
        if let Some(id) = self.by_name.get(name) {
            return (*id, false);
        }
        let id = TopicId(self.topics.len() as u32);
        self.topics.push(Topic {
            name: name.to_owned(),
            create: create.cloned(),
            facts: TopicFacts::default(),
            slots: Vec::new(),
            stage: Stage::Unknown,
            is_asked: false,
            not_before: None,
            backoff: self.backoff.clone(),
            missing_since: None,
            is_created: false,
        });
        self.by_name.insert(name.to_owned(), id);
        (id, true)
    }

    pub(super) fn get(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(id.0 as usize)
    }

    pub(super) fn get_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.topics.get_mut(id.0 as usize)
    }

    /// The name of a topic, for requests and texts.
    pub(super) fn name(&self, id: TopicId) -> &str {
        self.get(id).map_or("", |topic| &topic.name)
    }

    pub(super) fn find(&self, name: &str) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn slot(&self, name: &str, partition: i32) -> Option<PartitionSlot> {
        let topic = self.get(self.find(name)?)?;
        topic.slots.get(usize::try_from(partition).ok()?).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = TopicId> + use<> {
        (0..self.topics.len() as u32).map(TopicId)
    }

    /// Names to ask metadata for: all but those that are to be made first.
    pub(super) fn names(&self) -> Vec<&str> {
        let topics = self.topics.iter().filter(|topic| topic.stage != Stage::Missing);
        topics.map(|topic| topic.name.as_str()).collect()
    }

    /// Whether metadata is needed to get on with some topic.
    pub(super) fn wants_metadata(&self) -> bool {
        self.topics.iter().any(|topic| topic.stage == Stage::Unknown)
    }

    /// Whether some topic is not ready, so that a broker is needed.
    pub(super) fn wants_broker(&self) -> bool {
        self.topics.iter().any(|topic| topic.stage != Stage::Ready)
    }

    /// The next question that is due.
    pub(super) fn wish(&self, now: Instant) -> Option<(TopicId, Wish)> {
        self.ids().find_map(|id| {
            let topic = self.get(id)?;
            if topic.is_asked || topic.not_before.is_some_and(|at| now < at) {
                return None;
            }
            match (topic.stage, &topic.create) {
                (Stage::Missing, Some(_)) => Some((id, Wish::Create)),
                (Stage::Missing, None) => Some((id, Wish::AutoCreate)),
                (Stage::Undescribed, _) => Some((id, Wish::Describe)),
                (Stage::Unknown | Stage::Ready, _) => None,
            }
        })
    }

    /// When the next question after `after` becomes due.
    pub(super) fn deadline(&self, after: Instant) -> Option<Instant> {
        let waiting = self.topics.iter().filter(|topic| !topic.is_asked);
        waiting.filter_map(|topic| topic.not_before).filter(|at| after < *at).min()
    }

    pub(super) fn asked(&mut self, id: TopicId) {
        if let Some(topic) = self.get_mut(id) {
            topic.is_asked = true;
        }
    }

    /// A question was not answered, or with an error that passes.
    pub(super) fn ask_again(&mut self, id: TopicId, now: Instant) {
        if let Some(topic) = self.get_mut(id) {
            topic.is_asked = false;
            topic.not_before = Some(topic.backoff.fail(now));
        }
    }

    /// Metadata could not name the partitions of a topic. `may_create`: the broker had leave to
    /// create it.
    pub(super) fn handle_error(
        &mut self,
        id: TopicId,
        error: ErrorCode,
        may_create: bool,
        now: Instant,
    ) -> Result<(), ClientError> {
        let missing_timeout = self.missing_timeout;
        let Some(topic) = self.get_mut(id) else { return Ok(()) };
        if topic.stage == Stage::Ready && error.class() != ErrorClass::Fatal {
            return Ok(());
        }
        // The broker that creates topics by itself says this while others of the cluster still
        // start.
        let may_pass = error == ErrorCode::INVALID_REPLICATION_FACTOR;
        if error.class() == ErrorClass::Fatal && !may_pass {
            return Err(topic.refused("describe", error, None));
        }
        let since = *topic.missing_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        if missing_timeout <= waited {
            let by_broker = topic.create.is_none();
            let topic = topic.name.clone();
            return Err(ClientError::TopicMissing { topic, error, by_broker, waited });
        }
        if topic.stage == Stage::Unknown
            && error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            && !topic.is_created
        {
            topic.stage = Stage::Missing;
        } else if may_create {
            self.ask_again(id, now);
        }
        Ok(())
    }

    /// CreateTopics was answered.
    pub(super) fn handle_created(
        &mut self,
        id: TopicId,
        error: ErrorCode,
        message: Option<String>,
        now: Instant,
    ) -> Result<(), ClientError> {
        let Some(topic) = self.get_mut(id) else { return Ok(()) };
        if error.is_none() || error == ErrorCode::TOPIC_ALREADY_EXISTS {
            topic.is_asked = false;
            topic.is_created = true;
            topic.stage = Stage::Unknown;
            return Ok(());
        }
        if error.class() == ErrorClass::Fatal {
            return Err(topic.refused("create", error, message));
        }
        self.ask_again(id, now);
        Ok(())
    }

    /// The topic exists.
    pub(super) fn handle_found(&mut self, id: TopicId) {
        if let Some(topic) = self.get_mut(id) {
            topic.missing_since = None;
            topic.is_created = false;
            match topic.stage {
                Stage::Unknown | Stage::Missing => {
                    topic.stage = Stage::Undescribed;
                    topic.is_asked = false;
                    topic.not_before = None;
                    topic.backoff.succeed();
                }
                Stage::Undescribed | Stage::Ready => {}
            }
        }
    }

    /// DescribeConfigs was answered. That we may not know the settings is no reason not to write.
    pub(super) fn handle_settings(&mut self, id: TopicId, settings: TopicSettings, now: Instant) {
        let passes = match settings.error.class() {
            ErrorClass::Retry | ErrorClass::RefreshMetadata => !settings.error.is_none(),
            ErrorClass::Duplicate
            | ErrorClass::TooLarge
            | ErrorClass::SequenceTrouble
            | ErrorClass::Fatal => false,
        };
        if passes {
            return self.ask_again(id, now);
        }
        if let Some(topic) = self.get_mut(id) {
            topic.is_asked = false;
            topic.not_before = None;
            topic.stage = Stage::Ready;
            topic.facts.max_message_bytes = settings.max_message_bytes;
            topic.facts.cleanup_policy = settings.cleanup_policy;
        }
    }
}

impl Topic {
    pub(super) fn refused(
        &self,
        action: &'static str,
        error: ErrorCode,
        message: Option<String>,
    ) -> ClientError {
        ClientError::TopicRefused { topic: self.name.clone(), action, error, message }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
pub(crate) mod tests {
    use super::*;

    pub(in crate::kafka) fn topic(id: u32) -> TopicId {
        TopicId(id)
    }

    fn topics(create: Option<&NewTopic>) -> (Topics, TopicId, Instant) {
        let mut topics = Topics::new(&ClientConfig::new(Vec::new()));
        let (id, is_new) = topics.ask("t", create);
        assert!(is_new);
        assert_eq!(topics.ask("t", create), (id, false));
        (topics, id, Instant::now())
    }

    const MISSING: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

    #[test]
    fn a_missing_topic_is_created_once_and_then_waited_for() {
        let new = NewTopic { partitions: 3, replication_factor: -1, settings: Vec::new() };
        let (mut topics, id, now) = topics(Some(&new));
        assert_eq!(topics.wish(now), None);
        assert_eq!(topics.names(), ["t"]);
        topics.handle_error(id, MISSING, false, now).unwrap();
        assert_eq!(topics.wish(now), Some((id, Wish::Create)));
        assert!(topics.names().is_empty(), "a broker must not create it by its defaults");
        topics.asked(id);
        assert_eq!(topics.wish(now), None);
        topics.handle_created(id, ErrorCode::NONE, None, now).unwrap();
        topics.handle_error(id, MISSING, false, now).unwrap();
        assert_eq!(topics.wish(now), None);
        assert_eq!(topics.names(), ["t"]);
        topics.handle_found(id);
        assert_eq!(topics.wish(now), Some((id, Wish::Describe)));
    }

    #[test]
    fn a_topic_that_the_broker_does_not_create_is_an_error_in_the_end() {
        let (mut topics, id, now) = topics(None);
        topics.handle_error(id, MISSING, false, now).unwrap();
        assert_eq!(topics.wish(now), Some((id, Wish::AutoCreate)));
        topics.handle_error(id, MISSING, true, now).unwrap();
        assert_eq!(topics.wish(now), None);
        let later = now + Duration::from_secs(30);
        assert_eq!(topics.wish(later), Some((id, Wish::AutoCreate)));
        let error = topics.handle_error(id, MISSING, true, later).unwrap_err();
        assert!(error.to_string().contains("auto.create.topics.enable"), "{error}");
    }

    #[test]
    fn a_topic_that_vanishes_from_metadata_is_no_reason_to_give_up() {
        let (mut topics, id, now) = topics(None);
        topics.handle_found(id);
        let none = TopicSettings { error: MISSING, max_message_bytes: None, cleanup_policy: None };
        topics.handle_settings(id, none.clone(), now);
        assert_eq!(topics.get(id).unwrap().stage, Stage::Undescribed);
        let error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        topics.handle_settings(id, TopicSettings { error, ..none }, now);
        assert_eq!(topics.get(id).unwrap().stage, Stage::Ready);
        let later = now + Duration::from_secs(300);
        topics.handle_error(id, MISSING, false, later).unwrap();
        assert_eq!(topics.get(id).unwrap().stage, Stage::Ready);
        let refused = topics.handle_error(id, ErrorCode::TOPIC_AUTHORIZATION_FAILED, false, later);
        assert!(matches!(refused, Err(ClientError::TopicRefused { .. })));
    }

    #[test]
    fn a_topic_that_may_not_be_created_is_an_error_with_the_brokers_words() {
        let new = NewTopic { partitions: 1, replication_factor: 9, settings: Vec::new() };
        let (mut topics, id, now) = topics(Some(&new));
        topics.handle_error(id, MISSING, false, now).unwrap();
        let message = Some("replication factor larger than brokers".to_owned());
        let error = ErrorCode::INVALID_REPLICATION_FACTOR;
        let error = topics.handle_created(id, error, message, now).unwrap_err();
        assert!(error.to_string().contains("larger than brokers"), "{error}");
    }
}
