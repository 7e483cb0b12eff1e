//! What a worker and its connectors will meet at Kafka: every broker, under the name that it gives itself, then every
//! topic that will be written to.
//!
//! ```text
//! bootstrap.servers ─► Metadata ─► brokers as they advertise themselves ─► each is connected to
//!                                └► topics ─► topics::Wanted::judge
//! ```

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use millrace_core::kafka::api::describe_configs::{self, Resource};
use millrace_core::kafka::api::metadata::{self, Metadata};
use millrace_core::kafka::api::{Api, create_topics, init_producer_id};
use millrace_core::kafka::wire::Reader;
use millrace_core::kafka::{ErrorCode, NewTopic};
use millrace_core::link::Address;

use super::finding::{Finding, Subject};
use super::group;
use super::topics::{AUTO_CREATE, CLEANUP_POLICY, Producing, Role, SETTINGS, Settings, Wanted};
use crate::config::{OffsetStorage, Scope, SourceConfig, TopicCreation, WorkerConfig};
use crate::kafka::{Cluster, Connection, KafkaError, Role as Keeps};

const BROKERS: &str = "brokers";
const PRODUCER: &str = "producer id";
/// How long one broker may take to be connected to and to let us in.
const OPENING_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a broker may take for one answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT_MS: i32 = 5_000;

/// A cluster, and what is to be written there.
pub(super) struct Destination {
    cluster: Cluster,
    topics: Vec<Wanted>,
    /// That of the worker.
    group: Option<String>,
    /// Whether topics are named as changes come, so that not all are known.
    names_come_later: bool,
    /// Whether a producer is made.
    produces: bool,
}

impl Destination {
    /// Where the worker keeps its state.
    pub(super) fn of_worker(worker: &WorkerConfig) -> Self {
        let topics = match (&worker.distributed, &worker.offsets) {
            (Some(group), _) => vec![
                Wanted::of_group(Keeps::Configs, &group.config_topic),
                Wanted::of_group(Keeps::Offsets, &group.offset_topic),
                Wanted::of_group(Keeps::Statuses, &group.status_topic),
            ],
            (None, OffsetStorage::File(_)) => Vec::new(),
            (None, OffsetStorage::Topic { name, partitions, replication_factor }) => {
                let (partitions, replication_factor) = (*partitions, *replication_factor);
                let (keeps, settings) = (Keeps::Offsets, BTreeMap::new());
                let role = Role::Internal { keeps, partitions, replication_factor, settings };
                vec![Wanted { name: name.clone(), role }]
            }
        };
        let group = worker.distributed.as_ref().map(|group| group.group_id.clone());
        let cluster = Cluster {
            bootstrap: worker.bootstrap.clone(),
            security: worker.security.clone(),
            client_id: "millrace-doctor".to_owned(),
        };
        Self { cluster, topics, group, names_come_later: false, produces: false }
    }

    /// Where a connector writes.
    pub(super) fn of_connector(source: &SourceConfig, worker: &WorkerConfig) -> Self {
        let producer = &source.producer;
        let producing = Producing {
            creation: source.topic_creation.clone(),
            acks: producer.acks,
            request_bytes_max: producer.request_bytes_max,
        };
        let own = source.dead_letters.iter().map(|letters| letters.topic.clone());
        let own = own.chain(source.heartbeats.iter().map(|heartbeats| heartbeats.topic.clone()));
        let of_changes = topic_of_changes(source);
        let names_come_later = of_changes.is_none();
        let topics = of_changes.into_iter().chain(own);
        let topics = topics.map(|name| Wanted { name, role: Role::Records(producing.clone()) });
        let cluster = Cluster {
            bootstrap: producer.bootstrap.clone().unwrap_or_else(|| worker.bootstrap.clone()),
            security: producer.security.clone(),
            client_id: "millrace-doctor".to_owned(),
        };
        let topics = topics.collect();
        Self { cluster, topics, group: None, names_come_later, produces: true }
    }
}

/// The topic of the one collection that is watched; `None`: there are more, or transformations name it.
fn topic_of_changes(source: &SourceConfig) -> Option<String> {
    let Scope::Collection { database, collection } = &source.scope else { return None };
    if !source.chain.is_empty() {
        return None;
    }
    let mut router = source.topic.router();
    let topic = router.route(database.as_bytes(), Some(collection.as_bytes())).ok().flatten()?;
    Some(router.name(topic).to_owned())
}

/// Looks at the brokers and topics of `destination`.
pub(super) async fn check(subject: &mut Subject, destination: &Destination) {
    let Some((mut connection, metadata)) = find(subject, destination).await else { return };
    if destination.produces {
        subject.push(judge_producer(&ask_producer_id(&mut connection).await));
    }
    if let Some(group) = &destination.group {
        subject.push(group::check(&mut connection, group).await);
    }
    check_topics(subject, destination, &metadata, connection).await;
    if destination.names_come_later {
        let because = "topics are named as changes come, so not all are known yet";
        subject.push(Finding::not_checked("topics of changes", because));
    }
}

/// A connection that an earlier question has broken says nothing about the next topic: another one is opened.
async fn check_topics(
    subject: &mut Subject,
    destination: &Destination,
    metadata: &Metadata,
    mut connection: Connection,
) {
    let cluster = &destination.cluster;
    let mut lost = None;
    for wanted in &destination.topics {
        if lost.is_none() && !connection.is_usable() {
            match open(cluster, connection.broker()).await {
                Ok(another) => connection = another,
                Err(error) => lost = Some(error),
            }
        }
        if let Some(error) = &lost {
            subject.push(Finding::not_checked(wanted.check(), format!("nobody to ask: {error}")));
            continue;
        }
        let known = metadata.topics.iter().find(|topic| topic.name == wanted.name);
        let finding = match known {
            Some(topic) if topic.error != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                let settings =
                    ask_settings(&mut connection, Resource::Topic(&wanted.name), &SETTINGS);
                settings.await.map(|settings| wanted.judge(topic, &settings))
            }
            Some(_) | None => ask_creation(cluster, metadata, &mut connection, wanted).await,
        };
        subject.push(finding.unwrap_or_else(|error| unanswered(wanted.check(), &error)));
    }
}

/// A connection to a broker, and what it says of the cluster; what there is to say of all brokers goes into `subject`.
async fn find(subject: &mut Subject, destination: &Destination) -> Option<(Connection, Metadata)> {
    let Destination { cluster, topics, .. } = destination;
    let mut errors = Vec::new();
    let mut usable = None;
    for opened in open_all(cluster, &cluster.bootstrap).await {
        match opened {
            Ok(connection) => usable = usable.or(Some(connection)),
            Err(error) => errors.push(error),
        }
    }
    let Some(mut connection) = usable else {
        subject.push(Finding::failure(BROKERS, said(&errors), remedy_of(&errors)));
        return None;
    };
    let names: Vec<&str> = topics.iter().map(|wanted| wanted.name.as_str()).collect();
    let write = |out: &mut Vec<u8>| metadata::write_question(out, names.into_iter());
    let asked = connection.request(Api::Metadata, write, Metadata::read, ANSWER_TIMEOUT).await;
    let metadata = match asked {
        Ok(metadata) => metadata,
        Err(error) => {
            subject.push(unanswered(BROKERS, &error));
            return None;
        }
    };
    let advertised: Vec<Address> =
        metadata.brokers.iter().map(|broker| broker.address.clone()).collect();
    let unseen: Vec<Address> =
        advertised.into_iter().filter(|broker| !cluster.bootstrap.contains(broker)).collect();
    let opened = open_all(cluster, &unseen).await;
    let unreached: Vec<KafkaError> = opened.into_iter().filter_map(Result::err).collect();
    subject.push(judge_brokers(&metadata, &errors, &unreached));
    Some((connection, metadata))
}

async fn open_all(cluster: &Cluster, brokers: &[Address]) -> Vec<Result<Connection, KafkaError>> {
    join_all(brokers.iter().map(|broker| open(cluster, broker))).await
}

async fn open(cluster: &Cluster, broker: &Address) -> Result<Connection, KafkaError> {
    let opened = tokio::time::timeout(OPENING_TIMEOUT, Connection::open(cluster, broker)).await;
    opened.unwrap_or_else(|_| {
        let text = format!("silent for {} s", OPENING_TIMEOUT.as_secs());
        let error = io::Error::new(io::ErrorKind::TimedOut, text);
        Err(KafkaError::Connect { broker: broker.clone(), error })
    })
}

/// `gone`: of those in bootstrap.servers; `unreached`: of those that the cluster names besides.
fn judge_brokers(metadata: &Metadata, gone: &[KafkaError], unreached: &[KafkaError]) -> Finding {
    let cluster = metadata.cluster_id.as_deref().unwrap_or("without a name");
    let count = metadata.brokers.len();
    if !unreached.is_empty() {
        return Finding::failure(
            BROKERS,
            format!("cluster {cluster} names brokers that cannot be used: {}", said(unreached)),
            "clients write to brokers under the names in their advertised.listeners: make these resolve and answer \
             from here",
        );
    }
    if gone.is_empty() {
        let all = "speak what Kafka 2.8 and later speak";
        return Finding::ok(
            BROKERS,
            format!("all {count} of cluster {cluster} let us in and {all}"),
        );
    }
    Finding::warning(
        BROKERS,
        format!("cluster {cluster} of {count} answers, but {}", said(gone)),
        "take brokers that are gone out of bootstrap.servers, or start them",
    )
}

fn said(errors: &[KafkaError]) -> String {
    let errors: Vec<String> = errors.iter().map(KafkaError::to_string).collect();
    errors.join("; ")
}

fn remedy_of(errors: &[KafkaError]) -> &'static str {
    if errors.iter().any(|error| matches!(error, KafkaError::Login { .. })) {
        "check security.protocol, sasl.mechanism and sasl.jaas.config, and that the broker knows the user"
    } else {
        "check bootstrap.servers and security.protocol, and that the brokers run and can be reached from here"
    }
}

async fn ask_producer_id(connection: &mut Connection) -> Result<ErrorCode, KafkaError> {
    let read = |reader: &mut Reader<'_>| {
        Ok(match init_producer_id::read_answer(reader)? {
            Ok(_) => ErrorCode::NONE,
            Err(error) => error,
        })
    };
    let write = |out: &mut Vec<u8>| init_producer_id::write_request(out);
    connection.request(Api::InitProducerId, write, read, ANSWER_TIMEOUT).await
}

fn judge_producer(answer: &Result<ErrorCode, KafkaError>) -> Finding {
    match answer {
        Ok(ErrorCode::NONE) => Finding::ok(PRODUCER, "given: the producer is idempotent"),
        Ok(
            error @ (ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        ) => Finding::failure(
            PRODUCER,
            format!("refused: {error}"),
            "give the user Write on the topics, or IdempotentWrite on the cluster: kafka-acls --add \
                 --allow-principal User:… --operation IdempotentWrite --cluster",
        ),
        Ok(error) => Finding::warning(
            PRODUCER,
            format!("not given now: {error}"),
            "it is asked for again until it is; see what the brokers log if that lasts",
        ),
        Err(error) => unanswered(PRODUCER, error),
    }
}

async fn ask_settings(
    connection: &mut Connection,
    resource: Resource<'_>,
    settings: &[&str],
) -> Result<Settings, KafkaError> {
    let write = |out: &mut Vec<u8>| describe_configs::write_question(out, resource, settings);
    let read = describe_configs::read_values;
    connection.request(Api::DescribeConfigs, write, read, ANSWER_TIMEOUT).await
}

/// Whether a topic that is not there could be created by who would.
async fn ask_creation(
    cluster: &Cluster,
    metadata: &Metadata,
    connection: &mut Connection,
    wanted: &Wanted,
) -> Result<Finding, KafkaError> {
    let new = match &wanted.role {
        Role::Records(Producing { creation: TopicCreation::ByBroker, .. }) => {
            let own = metadata.brokers.iter().find(|broker| broker.address == *connection.broker());
            let Some(own) = own.or(metadata.brokers.first()) else {
                return Ok(wanted.judge_by_broker(None));
            };
            let settings =
                ask_settings(connection, Resource::Broker(own.id), &[AUTO_CREATE]).await?;
            let enabled =
                settings.ok().and_then(|settings| settings.get(AUTO_CREATE)?.parse().ok());
            return Ok(wanted.judge_by_broker(enabled));
        }
        Role::Records(Producing {
            creation: TopicCreation::Declared { partitions, replication_factor, settings },
            ..
        }) => NewTopic {
            partitions: *partitions,
            replication_factor: *replication_factor,
            settings: settings.clone().into_iter().collect(),
        },
        Role::Internal { partitions, replication_factor, settings, .. } => NewTopic {
            partitions: *partitions,
            replication_factor: *replication_factor,
            settings: [(CLEANUP_POLICY.to_owned(), "compact".to_owned())]
                .into_iter()
                .chain(settings.clone())
                .collect(),
        },
    };
    let write = |out: &mut Vec<u8>| {
        create_topics::write_question(out, &wanted.name, &new, ANSWER_TIMEOUT_MS);
    };
    let (api, read) = (Api::CreateTopics, create_topics::read_answer);
    let controller = metadata.brokers.iter().find(|broker| broker.id == metadata.controller);
    let (error, message) = match controller {
        Some(broker) if broker.address != *connection.broker() => {
            let mut controller = open(cluster, &broker.address).await?;
            controller.request(api, write, read, ANSWER_TIMEOUT).await?
        }
        Some(_) | None => connection.request(api, write, read, ANSWER_TIMEOUT).await?,
    };
    Ok(wanted.judge_creation(error, message.as_deref()))
}

pub(super) fn unanswered(check: impl Into<String>, error: &KafkaError) -> Finding {
    Finding::failure(check, error.to_string(), "see what the broker logs about this connection")
}

#[cfg(test)]
mod tests {
    use millrace_core::kafka::api::metadata::Broker;

    use millrace_core::kafka::sasl::SaslError;

    use super::super::finding::Outcome;
    use super::*;
    use crate::config::{Mode, StorageTopic};
    use crate::kafka::scripted_broker::{Fault, ScriptedBroker};

    #[test]
    fn broker_that_advertises_what_nobody_reaches_is_a_failure() {
        let broker = Broker { id: 1, address: Address::new("internal", 9092) };
        let metadata = Metadata { brokers: vec![broker], ..Metadata::default() };
        let broker = Address::new("internal", 9092);
        let some = [KafkaError::Connect { broker, error: io::ErrorKind::TimedOut.into() }];
        assert!(judge_brokers(&metadata, &[], &some).is_failure());
        let gone = judge_brokers(&metadata, &some, &[]);
        assert!(matches!(gone.outcome, Outcome::Warning { .. }));
        assert!(matches!(judge_brokers(&metadata, &[], &[]).outcome, Outcome::Ok { .. }));
    }

    #[test]
    fn only_a_broker_that_refuses_the_user_is_a_matter_of_login() {
        let broker = || Address::new("log in", 1);
        let gone = KafkaError::Connect { broker: broker(), error: io::ErrorKind::TimedOut.into() };
        assert!(remedy_of(&[gone]).starts_with("check bootstrap.servers"));
        let error = ErrorCode::SASL_AUTHENTICATION_FAILED;
        let refused = SaslError::Refused { error, message: None };
        let refused = KafkaError::Login { broker: broker(), error: refused };
        assert!(remedy_of(&[refused]).contains("sasl.jaas.config"));
    }

    fn destination(broker: &ScriptedBroker) -> Destination {
        let topic = |name: &str| StorageTopic {
            name: name.to_owned(),
            partitions: 1,
            replication_factor: 1,
            settings: BTreeMap::new(),
        };
        let wanted = [(Keeps::Configs, "c"), (Keeps::Offsets, "o"), (Keeps::Statuses, "s")];
        let topics = wanted.map(|(keeps, name)| Wanted::of_group(keeps, &topic(name))).into();
        let (cluster, group) = (broker.cluster(), Some("g".to_owned()));
        Destination { cluster, topics, group, names_come_later: false, produces: false }
    }

    #[tokio::test]
    async fn a_connection_that_is_lost_at_one_topic_is_made_anew_for_the_next() {
        let broker = ScriptedBroker::start("c", 1).await;
        let destination = destination(&broker);
        broker.fail(Api::CreateTopics, &[Fault::Unanswered]);
        let mut subject = Subject::new("s");
        let connection = open(&destination.cluster, &destination.cluster.bootstrap[0]).await;
        let metadata = Metadata::default();
        check_topics(&mut subject, &destination, &metadata, connection.unwrap()).await;
        let failures: Vec<bool> = subject.findings.iter().map(Finding::is_failure).collect();
        assert_eq!(failures, [true, false, false], "{subject:?}");
    }

    #[tokio::test]
    async fn coordinator_of_a_group_is_asked_for() {
        let broker = ScriptedBroker::start("c", 1).await;
        let destination = destination(&broker);
        let opened = open(&destination.cluster, &destination.cluster.bootstrap[0]).await;
        let mut connection = opened.unwrap();
        assert!(!group::check(&mut connection, "g").await.is_failure());
        let refused = Fault::Refused(ErrorCode::GROUP_AUTHORIZATION_FAILED);
        broker.fail(Api::FindCoordinator, &[refused]);
        assert!(group::check(&mut connection, "g").await.is_failure());
    }

    #[test]
    fn every_topic_of_a_group_is_looked_at() {
        let file = "bootstrap.servers=b:1\ngroup.id=g\nkey.converter=StringConverter\n\
                    value.converter=StringConverter\nconfig.storage.topic=c\noffset.storage.topic=o\n\
                    status.storage.topic=s\n";
        let path = std::path::Path::new("w");
        let worker = WorkerConfig::parse(path, file.as_bytes(), Mode::Distributed, true);
        let destination = Destination::of_worker(&worker.unwrap().0);
        let names: Vec<&str> = destination.topics.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((names, destination.group.as_deref()), (vec!["c", "o", "s"], Some("g")));
    }

    #[test]
    fn producer_id_that_is_refused_names_the_right() {
        let finding = judge_producer(&Ok(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        let Outcome::Failure { remedy, .. } = finding.outcome else { panic!() };
        assert!(remedy.contains("IdempotentWrite"));
        let passing = judge_producer(&Ok(ErrorCode::COORDINATOR_NOT_AVAILABLE));
        assert!(matches!(passing.outcome, Outcome::Warning { .. }));
    }
}
