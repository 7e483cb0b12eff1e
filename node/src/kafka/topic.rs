//! The topics in which a worker keeps things: created when missing, else checked, as Connect does it.
//!
//! ```text
//!  CreateTopics ──► created ─────────────────────────────────────► partitions
//!       ├─────────► there already ──► DescribeConfigs: compacted? ──►┤
//!       └─────────► not allowed ─────► the same ────────────────────►┘ a broker may create it by itself
//! ```
//!
//! What the worker's user may not look at is not checked (`TopicAdmin`): Connect says so and goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_core::kafka::api::describe_configs::{self, TopicSettings};
use millrace_core::kafka::api::{Api, create_topics};
use millrace_core::kafka::{ErrorCode, NewTopic};
use millrace_io::clock;

use super::client::{ANSWER_TIMEOUT, Client, Question, Refusal, To};
use super::error::KafkaError;

/// How long a topic may take to appear once it was asked for.
const APPEARANCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at whether it is there.
const PAUSE: Duration = Duration::from_millis(100);
const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Configs,
    Offsets,
    Statuses,
}

impl Role {
    /// The property of the worker that names the topic.
    pub(crate) const fn property(self) -> &'static str {
        match self {
            Self::Configs => "config.storage.topic",
            Self::Offsets => "offset.storage.topic",
            Self::Statuses => "status.storage.topic",
        }
    }

    /// What lies in it, in Connect's words.
    pub(crate) const fn purpose(self) -> &'static str {
        match self {
            Self::Configs => "connector configurations",
            Self::Offsets => "source connector offsets",
            Self::Statuses => "connector and task statuses",
        }
    }
}

/// A topic that a worker needs.
#[derive(Clone, Debug)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    /// -1: the broker's default.
    pub(crate) partitions: i32,
    /// -1: the broker's default.
    pub(crate) replication_factor: i16,
    /// Further settings of a topic that is created. It is compacted whatever they say.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) role: Role,
}

/// Makes sure that the topic is there and fit, and names its partitions.
pub(crate) async fn ensure(client: &mut Client, spec: &TopicSpec) -> Result<Vec<i32>, KafkaError> {
    let creation = create(client, spec).await?;
    if creation != Creation::Created {
        check_policy(client, spec).await?;
    }
    let partitions = await_partitions(client, spec, creation == Creation::NotAllowed).await?;
    let (topic, found) = (spec.name.clone(), partitions.len());
    let (property, purpose) = (spec.role.property(), spec.role.purpose());
    match spec.role {
        Role::Configs if found != 1 => {
            Err(KafkaError::NotSingle { topic, property, purpose, found })
        }
        Role::Configs | Role::Offsets | Role::Statuses => Ok(partitions),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    Created,
    WasThere,
    NotAllowed,
}

impl Creation {
    /// What became of the topic, after its name.
    const fn in_words(self) -> &'static str {
        match self {
            Self::Created => "was created",
            Self::WasThere => "is there already",
            Self::NotAllowed => {
                "may not be created by the worker's user; it is used if it is there"
            }
        }
    }
}

async fn create(client: &mut Client, spec: &TopicSpec) -> Result<Creation, KafkaError> {
    let about = &format!("topic {}", spec.name);
    let question = Question { api: Api::CreateTopics, to: To::Controller, about };
    let mut settings = spec.settings.clone();
    settings.insert(CLEANUP_POLICY.to_owned(), COMPACT.to_owned());
    let topic = NewTopic {
        partitions: spec.partitions,
        replication_factor: spec.replication_factor,
        settings: settings.into_iter().collect(),
    };
    let timeout_ms = i32::try_from(ANSWER_TIMEOUT.as_millis() / 2).unwrap_or(i32::MAX);
    let write = |out: &mut Vec<u8>| {
        create_topics::write_request(out, &spec.name, &topic, timeout_ms);
    };
    let answer = client.ask(question, write, |reader| {
        let (error, message) = create_topics::read_answer(reader)?;
        Ok(match error {
            ErrorCode::NONE => Ok(Creation::Created),
            ErrorCode::TOPIC_ALREADY_EXISTS => Ok(Creation::WasThere),
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                Ok(Creation::NotAllowed)
            }
            error => Err(Refusal { error, message }),
        })
    });
    let topic = spec.name.clone();
    match answer.await {
        Ok(creation) => {
            tracing::info!("internal topic {topic} {}", creation.in_words());
            Ok(creation)
        }
        Err(KafkaError::Refused { error: ErrorCode::INVALID_CONFIG, message, .. }) => {
            Err(KafkaError::Settings { topic, message: message.unwrap_or_default() })
        }
        Err(error @ KafkaError::Login { .. }) => Err(error),
        Err(error) => Err(KafkaError::NotCreated { topic, error: Box::new(error) }),
    }
}

/// Fails if the topic is not compacted, and only that.
async fn check_policy(client: &mut Client, spec: &TopicSpec) -> Result<(), KafkaError> {
    let about = &format!("topic {}", spec.name);
    let question = Question { api: Api::DescribeConfigs, to: To::Any, about };
    let write = |out: &mut Vec<u8>| describe_configs::write_request(out, &spec.name);
    let answer = client.ask(question, write, |reader| {
        let settings = TopicSettings::read(reader)?;
        Ok(match settings.error {
            ErrorCode::NONE => Ok(settings.cleanup_policy),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Ok(None),
            error => Err(error),
        })
    });
    let Some(policy) = answer.await? else {
        tracing::info!(
            "whether topic {} is compacted is not known: the worker's user may not describe its settings",
            spec.name
        );
        return Ok(());
    };
    let is_compacted_only =
        policy.split(',').map(str::trim).filter(|one| !one.is_empty()).all(is_compact);
    if is_compacted_only {
        return Ok(());
    }
    let (topic, found) = (spec.name.clone(), policy);
    let (property, purpose) = (spec.role.property(), spec.role.purpose());
    Err(KafkaError::NotCompacted { topic, property, purpose, found })
}

fn is_compact(policy: &str) -> bool {
    policy.eq_ignore_ascii_case(COMPACT)
}

/// A topic appears a little after it was created.
async fn await_partitions(
    client: &mut Client,
    spec: &TopicSpec,
    may_create: bool,
) -> Result<Vec<i32>, KafkaError> {
    let ends = clock::now() + APPEARANCE_TIMEOUT;
    loop {
        let partitions = client.partitions(&spec.name, may_create).await?;
        if !partitions.is_empty() {
            return Ok(partitions);
        }
        if ends < clock::now() {
            return Err(KafkaError::NoPartitions { topic: spec.name.clone() });
        }
        clock::wait(PAUSE).await;
    }
}
