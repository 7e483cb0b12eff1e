//! Whether a topic is what its writer needs: there or creatable, led, writable, large enough, kept in the right way.
//!
//! ```text
//! Metadata ─► not there ─► CreateTopics that only validates ─► would be created, or why not
//!         └─► there ─► partitions, copies, rights; DescribeConfigs ─► policy, sizes
//! ```

use std::collections::BTreeMap;

use millrace_core::kafka::ErrorCode;
use millrace_core::kafka::api::metadata::Topic;

use super::finding::Finding;
use crate::config::{Acks, StorageTopic, TopicCreation};
use crate::kafka::{self, KafkaError};

pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(super) const MIN_IN_SYNC: &str = "min.insync.replicas";
/// A setting of brokers.
pub(super) const AUTO_CREATE: &str = "auto.create.topics.enable";
/// The settings that are asked for.
pub(super) const SETTINGS: [&str; 3] = [CLEANUP_POLICY, MAX_MESSAGE_BYTES, MIN_IN_SYNC];

/// The largest document of MongoDB. Bytes.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The worker's own state, found again by its key. Numbers and settings are for one that has to be made.
    Internal {
        keeps: kafka::Role,
        partitions: i32,
        replication_factor: i16,
        settings: BTreeMap<String, String>,
    },
    /// What a connector writes.
    Records(Producing),
}

/// What of a producer matters to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producing {
    pub(super) creation: TopicCreation,
    pub(super) acks: Acks,
    /// `max.request.size`.
    pub(super) request_bytes_max: u32,
}

/// A topic that will be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) role: Role,
}

/// What brokers say of the settings of a topic.
pub(super) type Settings = Result<BTreeMap<String, String>, ErrorCode>;

impl Wanted {
    /// A topic of a group of workers.
    pub(super) fn of_group(keeps: kafka::Role, topic: &StorageTopic) -> Self {
        let StorageTopic { name, partitions, replication_factor, settings } = topic.clone();
        Self { name, role: Role::Internal { keeps, partitions, replication_factor, settings } }
    }

    pub(super) fn check(&self) -> String {
        format!("topic {}", self.name)
    }

    /// Of a topic that is there, or that brokers will say nothing about.
    pub(super) fn judge(&self, topic: &Topic, settings: &Settings) -> Finding {
        let check = self.check();
        if !topic.error.is_none() {
            return self.refused("cannot be looked at", topic.error, None);
        }
        let leaderless = topic.partitions.iter().filter(|one| one.leader.is_none()).count();
        if 0 < leaderless {
            return Finding::failure(
                check,
                format!("{leaderless} of {} partitions have no leader", topic.partitions.len()),
                "start the brokers that have them; kafka-topics --describe names them",
            );
        }
        if topic.operations.is_some_and(|may| !may.may_write()) {
            return self.refused("may not be written", ErrorCode::TOPIC_AUTHORIZATION_FAILED, None);
        }
        let is_read = matches!(self.role, Role::Internal { .. });
        if is_read && topic.operations.is_some_and(|may| !may.may_read()) {
            return self.refused("may not be read", ErrorCode::TOPIC_AUTHORIZATION_FAILED, None);
        }
        if let Some(finding) = self.judge_single(topic) {
            return finding;
        }
        match settings {
            Err(error) => Finding::not_checked(
                check,
                format!(
                    "it is there; its settings are not told ({error}): the right DescribeConfigs would show them"
                ),
            ),
            Ok(settings) => self.judge_settings(topic, settings),
        }
    }

    /// Changes of configurations have one order: the config topic has one partition.
    fn judge_single(&self, topic: &Topic) -> Option<Finding> {
        let (name, found) = (self.name.clone(), topic.partitions.len());
        match self.role {
            Role::Internal { keeps: keeps @ kafka::Role::Configs, .. } if found != 1 => {
                let (property, purpose) = (keeps.property(), keeps.purpose());
                let error = KafkaError::NotSingle { topic: name, property, purpose, found };
                let remedy = format!(
                    "name another topic in {property}; a topic that is not there is made with one partition"
                );
                Some(Finding::failure(self.check(), error.to_string(), remedy))
            }
            Role::Internal { .. } | Role::Records(_) => None,
        }
    }

    fn judge_settings(&self, topic: &Topic, settings: &BTreeMap<String, String>) -> Finding {
        let copies = topic.partitions.iter().map(|one| one.replicas).min().unwrap_or(0);
        let in_sync = topic.partitions.iter().map(|one| one.in_sync).min().unwrap_or(0);
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok());
        let (name, check) = (&self.name, self.check());
        let seen = format!("{} partitions, {copies} copies each", topic.partitions.len());
        let least = number(MIN_IN_SYNC).and_then(|least| usize::try_from(least).ok()).unwrap_or(1);
        let waits_for_all = match &self.role {
            Role::Internal { .. } => true,
            Role::Records(producing) => producing.acks == Acks::All,
        };
        if waits_for_all && in_sync < least {
            return Finding::failure(
                check,
                format!(
                    "{seen}, {in_sync} in sync, and {MIN_IN_SYNC} is {least}: no write with acks=all succeeds"
                ),
                format!(
                    "start the brokers that lag, give {name} more copies, or lower {MIN_IN_SYNC}"
                ),
            );
        }
        match &self.role {
            Role::Internal { keeps, .. } => {
                let policy = settings.get(CLEANUP_POLICY).map_or("", String::as_str);
                if policy == "compact" {
                    return Finding::ok(check, format!("{seen}, compacted"));
                }
                let (topic, found) = (name.clone(), policy.to_owned());
                let (property, purpose) = (keeps.property(), keeps.purpose());
                let error = KafkaError::NotCompacted { topic, property, purpose, found };
                let remedy = format!(
                    "kafka-configs --alter --entity-type topics --entity-name {name} \
                     --add-config cleanup.policy=compact"
                );
                Finding::failure(check, error.to_string(), remedy)
            }
            Role::Records(producing) => judge_sizes(
                check,
                &seen,
                name,
                producing.request_bytes_max,
                number(MAX_MESSAGE_BYTES),
            ),
        }
    }

    /// Of a topic that is not there: what a broker answers who is asked whether it could be created.
    pub(super) fn judge_creation(&self, answer: ErrorCode, message: Option<&str>) -> Finding {
        match answer {
            ErrorCode::NONE => Finding::ok(self.check(), "not there yet, and would be created"),
            // Somebody has just created it.
            ErrorCode::TOPIC_ALREADY_EXISTS => Finding::ok(self.check(), "there"),
            error => self.refused("not there, and cannot be created", error, message),
        }
    }

    /// Of a topic that is not there and that is left to the broker; `enabled`: whether it creates topics by itself.
    pub(super) fn judge_by_broker(&self, enabled: Option<bool>) -> Finding {
        let (check, name) = (self.check(), &self.name);
        match enabled {
            Some(true) => {
                Finding::ok(check, format!("not there yet; the broker creates it ({AUTO_CREATE})"))
            }
            Some(false) => Finding::failure(
                check,
                format!("not there, and brokers create none ({AUTO_CREATE}=false)"),
                format!(
                    "kafka-topics --create --topic {name}, or topic.creation.default.partitions=-1 and \
                     topic.creation.default.replication.factor=-1 in the connector's file"
                ),
            ),
            None => Finding::not_checked(
                check,
                format!("not there; whether brokers create topics ({AUTO_CREATE}) is not told"),
            ),
        }
    }

    fn refused(&self, what: &str, error: ErrorCode, message: Option<&str>) -> Finding {
        let name = &self.name;
        let said = message.map_or_else(String::new, |message| format!(", {message}"));
        let seen = format!("{what}: {error}{said}");
        let remedy = match error {
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                let (read, also) = match self.role {
                    Role::Internal { .. } => ("Read, ", "--operation Read "),
                    Role::Records(_) => ("", ""),
                };
                format!(
                    "give the user {read}Describe, Write and Create on it: kafka-acls --add --allow-principal User:… \
                     {also}--operation Write --operation Create --operation Describe --topic {name}"
                )
            }
            ErrorCode::INVALID_REPLICATION_FACTOR => {
                "ask for as many copies as there are brokers, or for -1, the broker's default"
                    .to_owned()
            }
            ErrorCode::INVALID_TOPIC_EXCEPTION => {
                "choose another name: letters, digits, '.', '_' and '-', 249 at most".to_owned()
            }
            _ => format!("see what the brokers log about topic {name}"),
        };
        Finding::failure(self.check(), seen, remedy)
    }
}

/// Both sides of the largest record: what the producer may send, and what the topic takes.
fn judge_sizes(
    check: String,
    seen: &str,
    name: &str,
    request_bytes_max: u32,
    message_bytes_max: Option<u64>,
) -> Finding {
    let sends = u64::from(request_bytes_max);
    let Some(takes) = message_bytes_max else { return Finding::ok(check, seen) };
    let least = sends.min(takes);
    let seen = format!("{seen}; takes {takes} bytes, max.request.size is {sends}");
    if takes < sends {
        Finding::warning(
            check,
            format!("{seen}: a record between the two stops the task"),
            format!(
                "kafka-configs --alter --entity-type topics --entity-name {name} \
                 --add-config {MAX_MESSAGE_BYTES}={sends}"
            ),
        )
    } else if least < DOCUMENT_BYTES_MAX {
        Finding::ok(check, format!("{seen}; documents of MongoDB may have 16 MiB"))
    } else {
        Finding::ok(check, seen)
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::kafka::api::metadata::{Metadata, Partition};
    use millrace_core::kafka::wire::{
        Reader, put_bool, put_compact_length, put_compact_null, put_compact_string, put_i16,
        put_i32, put_no_tags,
    };

    use super::super::finding::Outcome;
    use super::*;

    fn records() -> Wanted {
        let creation = TopicCreation::ByBroker;
        let producing = Producing { creation, acks: Acks::All, request_bytes_max: 1_048_576 };
        Wanted { name: "t".to_owned(), role: Role::Records(producing) }
    }

    fn internal() -> Wanted {
        keeping(kafka::Role::Offsets)
    }

    fn keeping(keeps: kafka::Role) -> Wanted {
        let settings = BTreeMap::new();
        let role = Role::Internal { keeps, partitions: 25, replication_factor: 3, settings };
        Wanted { name: "o".to_owned(), role }
    }

    fn topic() -> Topic {
        let one = Partition { index: 0, leader: Some(1), replicas: 3, in_sync: 2 };
        let (name, partitions) = ("t".to_owned(), vec![one]);
        Topic { error: ErrorCode::NONE, name, partitions, operations: None }
    }

    fn settings(values: &[(&str, &str)]) -> Settings {
        Ok(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn is_ok(finding: &Finding) -> bool {
        matches!(finding.outcome, Outcome::Ok { .. })
    }

    #[test]
    fn topic_of_records_must_take_what_is_sent() {
        let judged = |bytes| records().judge(&topic(), &settings(&[(MAX_MESSAGE_BYTES, bytes)]));
        assert!(is_ok(&judged("1048588")));
        let Outcome::Warning { remedy, .. } = judged("20000").outcome else { panic!() };
        assert!(remedy.ends_with("max.message.bytes=1048576"), "{remedy}");
    }

    #[test]
    fn too_few_copies_in_sync_fail_writes_that_wait_for_all() {
        let few = settings(&[(MIN_IN_SYNC, "3"), (CLEANUP_POLICY, "compact")]);
        assert!(records().judge(&topic(), &few).is_failure());
        assert!(internal().judge(&topic(), &few).is_failure());
        let Role::Records(producing) = records().role else { panic!() };
        let role = Role::Records(Producing { acks: Acks::Leader, ..producing });
        assert!(is_ok(&Wanted { name: "t".to_owned(), role }.judge(&topic(), &few)));
    }

    #[test]
    fn internal_topic_must_be_compacted_and_nothing_else() {
        for (policy, fine) in [("compact", true), ("delete", false), ("compact,delete", false)] {
            let finding = internal().judge(&topic(), &settings(&[(CLEANUP_POLICY, policy)]));
            assert_eq!(is_ok(&finding), fine, "{policy}");
            assert_eq!(finding.is_failure(), !fine, "{policy}");
        }
    }

    /// A topic of which a broker says that we may do what `operations` has a bit for.
    fn topic_with(operations: i32) -> Topic {
        let mut out = Vec::new();
        put_i32(&mut out, 0);
        put_compact_length(&mut out, 0);
        put_compact_null(&mut out);
        put_i32(&mut out, 1);
        put_compact_length(&mut out, 1);
        put_i16(&mut out, 0);
        put_compact_string(&mut out, "t");
        put_bool(&mut out, false);
        put_compact_length(&mut out, 0);
        put_i32(&mut out, operations);
        put_no_tags(&mut out);
        put_i32(&mut out, i32::MIN);
        put_no_tags(&mut out);
        let mut said = Metadata::read(&mut Reader::new(&out)).unwrap().topics.remove(0);
        said.partitions = topic().partitions;
        said
    }

    #[test]
    fn a_topic_of_the_worker_must_be_readable_too() {
        let compacted = settings(&[(CLEANUP_POLICY, "compact")]);
        let (read, write) = (1 << 3, 1 << 4);
        assert!(is_ok(&internal().judge(&topic_with(read | write), &compacted)));
        let finding = internal().judge(&topic_with(write), &compacted);
        let Outcome::Failure { seen, remedy } = finding.outcome else { panic!() };
        assert!(seen.contains("may not be read"), "{seen}");
        assert!(remedy.contains("--operation Read"), "{remedy}");
        assert!(is_ok(&records().judge(&topic_with(write), &settings(&[]))));
    }

    #[test]
    fn topic_of_a_group_is_judged_by_what_it_keeps() {
        let judged = |keeps, partitions, policy| {
            let mut topic = topic();
            topic.partitions = vec![topic.partitions[0]; partitions];
            keeping(keeps).judge(&topic, &settings(&[(CLEANUP_POLICY, policy)]))
        };
        let seen = |finding: Finding| match finding.outcome {
            Outcome::Failure { seen, .. } => seen,
            Outcome::Ok { .. } | Outcome::Warning { .. } | Outcome::NotChecked { .. } => {
                String::new()
            }
        };
        assert!(is_ok(&judged(kafka::Role::Configs, 1, "compact")));
        assert!(is_ok(&judged(kafka::Role::Statuses, 5, "compact")));
        let split = seen(judged(kafka::Role::Configs, 2, "compact"));
        assert!(split.contains("a single partition") && split.contains("2 partitions"), "{split}");
        for (keeps, property, purpose) in [
            (kafka::Role::Configs, "config.storage.topic", "connector configurations"),
            (kafka::Role::Statuses, "status.storage.topic", "connector and task statuses"),
        ] {
            let deleted = seen(judged(keeps, 1, "delete"));
            assert!(deleted.contains(property) && deleted.contains(purpose), "{deleted}");
            assert!(!deleted.contains("offsets"), "{deleted}");
        }
    }

    #[test]
    fn missing_topic_is_as_bad_as_nobody_can_create_it() {
        let wanted = records();
        assert!(is_ok(&wanted.judge_creation(ErrorCode::NONE, None)));
        let refused = wanted.judge_creation(ErrorCode::TOPIC_AUTHORIZATION_FAILED, Some("no"));
        let Outcome::Failure { seen, remedy } = refused.outcome else { panic!() };
        assert!(seen.contains("TOPIC_AUTHORIZATION_FAILED, no") && remedy.contains("kafka-acls"));
        assert!(is_ok(&wanted.judge_by_broker(Some(true))));
        assert!(wanted.judge_by_broker(Some(false)).is_failure());
        assert!(!wanted.judge_by_broker(None).is_failure());
    }

    #[test]
    fn topic_without_leader_or_rights_fails() {
        let mut leaderless = topic();
        leaderless.partitions[0].leader = None;
        let mut unknown = topic();
        unknown.error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        for topic in [leaderless, unknown] {
            assert!(records().judge(&topic, &settings(&[])).is_failure());
        }
        let finding = records().judge(&topic(), &Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        assert!(matches!(finding.outcome, Outcome::NotChecked { .. }));
    }
}
