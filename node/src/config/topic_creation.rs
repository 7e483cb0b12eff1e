//! Who creates topics, and with what (KIP-158).
//!
//! The worker creates a topic only where `topic.creation.enable` is on (its default) and the
//! connector declares the default group; else it is left to the broker, which may have
//! `auto.create.topics.enable` off. As in Java, declaring anything makes partitions and replication
//! factor mandatory, and -1 stands for the broker's own default.
//!
//! Groups other than the default one are refused by name.

use std::collections::BTreeMap;

use super::error::{Reason, Shown};
use super::report::Report;

/// Why there is only one group.
pub(super) const OTHER_GROUPS: &str =
    "only the default group of topic.creation; other groups come with a later version";
const PREFIX: &str = "topic.creation.";
const DEFAULT_GROUP: &str = "topic.creation.default.";

/// Who creates topics, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicCreation {
    /// The broker, when it is asked for a topic that is not there.
    ByBroker,
    /// We, before the first record of a topic.
    Declared {
        /// Number of partitions, or -1 for the broker's default.
        partitions: i32,
        /// Copies of each partition, or -1 for the broker's default.
        replication_factor: i16,
        /// Settings of the topic, such as `cleanup.policy`, passed to the broker as they are.
        settings: BTreeMap<String, String>,
    },
}

/// Reads the `topic.creation.*` properties of a connector. Problems go to `report`.
pub(super) fn parse_topic_creation(
    properties: &BTreeMap<String, String>,
    worker_creates: bool,
    report: &mut Report,
) -> TopicCreation {
    let mut counts = Counts::default();
    let mut settings = BTreeMap::new();
    let declared = properties.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut is_declared = false;
    for (name, value) in declared {
        is_declared = true;
        match name.strip_prefix(DEFAULT_GROUP) {
            Some("partitions") => counts.partitions = Some(count(name, value, report)),
            Some("replication.factor") => {
                counts.replication_factor = Some(count(name, value, report));
            }
            // The default group takes what no other group takes.
            Some("include") if value.trim() == ".*" => {}
            Some("exclude") if value.trim().is_empty() => {}
            Some("include" | "exclude") => refuse_group(name, value, report),
            Some(setting) => {
                settings.insert(setting.to_owned(), value.trim().to_owned());
            }
            // The table has it.
            None if name == "topic.creation.groups" => {}
            None => refuse_group(name, value, report),
        }
    }
    if !is_declared {
        return TopicCreation::ByBroker;
    }
    if counts.partitions.is_none() {
        report.missing("topic.creation.default.partitions");
    }
    if counts.replication_factor.is_none() {
        report.missing("topic.creation.default.replication.factor");
    }
    if !worker_creates {
        report.warn(
            "topic.creation.* has no effect: topic.creation.enable is off in the worker's file",
        );
        return TopicCreation::ByBroker;
    }
    match (counts.partitions.flatten(), counts.replication_factor.flatten()) {
        (Some(partitions), Some(replication_factor)) => {
            TopicCreation::Declared { partitions, replication_factor, settings }
        }
        // A problem was reported above.
        (None, _) | (_, None) => TopicCreation::ByBroker,
    }
}

/// Outer `None`: not given; inner: refused.
#[derive(Default)]
struct Counts {
    partitions: Option<Option<i32>>,
    replication_factor: Option<Option<i16>>,
}

trait Count: TryFrom<i64> {
    const WHAT: &'static str;
    const KIND: &'static str;
}

impl Count for i32 {
    const WHAT: &'static str = "Number of partitions";
    const KIND: &'static str = "INT";
}

impl Count for i16 {
    const WHAT: &'static str = "Replication factor";
    const KIND: &'static str = "SHORT";
}

fn count<N: Count>(name: &str, text: &str, report: &mut Report) -> Option<N> {
    let number = text.trim().parse::<i64>();
    let reason = match number {
        Ok(number) if number == -1 || number > 0 => match N::try_from(number) {
            Ok(count) => return Some(count),
            Err(_) => Reason::NotANumber(N::KIND),
        },
        Ok(_) => Reason::NotACount(N::WHAT),
        Err(_) => Reason::NotANumber(N::KIND),
    };
    report.refuse(name, Shown::Text(text.to_owned()), reason);
    None
}

fn refuse_group(name: &str, value: &str, report: &mut Report) {
    report.refuse(name, Shown::Text(value.to_owned()), Reason::NotYet(OTHER_GROUPS));
}

#[cfg(test)]
mod tests {
    use super::super::error::{ConfigError, Subject};
    use super::super::report::Notice;
    use super::*;

    fn parse(
        entries: &[(&str, &str)],
        worker_creates: bool,
    ) -> Result<(TopicCreation, Vec<Notice>), ConfigError> {
        let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut report = Report::new(false, Vec::new());
        let creation = parse_topic_creation(&entries.collect(), worker_creates, &mut report);
        report.finish("c".as_ref(), Subject::Connector, Some(creation))
    }

    const BOTH: [(&str, &str); 2] = [
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.replication.factor", "-1"),
    ];

    #[test]
    fn without_a_declaration_the_broker_creates() {
        assert_eq!(parse(&[("topic.prefix", "x")], true).unwrap().0, TopicCreation::ByBroker);
    }

    #[test]
    fn declaration_holds_counts_and_settings() {
        let mut entries = BOTH.to_vec();
        entries.push(("topic.creation.default.cleanup.policy", "compact"));
        entries.push(("topic.creation.groups", ""));
        assert_eq!(
            parse(&entries, true).unwrap().0,
            TopicCreation::Declared {
                partitions: 3,
                replication_factor: -1,
                settings: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
            }
        );
    }

    #[test]
    fn worker_that_creates_nothing_is_heeded_and_noted() {
        let (creation, notices) = parse(&BOTH, false).unwrap();
        assert_eq!((creation, notices.len()), (TopicCreation::ByBroker, 1));
    }

    #[test]
    fn half_a_declaration_is_refused_in_the_words_of_java() {
        let error = parse(&BOTH[..1], true).unwrap_err().to_string();
        assert!(error.ends_with(
            "Missing required configuration \"topic.creation.default.replication.factor\" which \
             has no default value."
        ));
    }

    #[test]
    fn counts_that_are_none_are_refused() {
        for (partitions, reason) in [
            ("0", "Number of partitions must be positive, or -1"),
            ("-2", "Number of partitions must be positive, or -1"),
            ("x", "Not a number of type INT"),
            ("2147483648", "Not a number of type INT"),
        ] {
            let entries = [BOTH[1], ("topic.creation.default.partitions", partitions)];
            let error = parse(&entries, true).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn other_groups_are_refused_by_name() {
        let mut entries = BOTH.to_vec();
        entries.push(("topic.creation.g.partitions", "5"));
        let error = parse(&entries, true).unwrap_err().to_string();
        assert!(error.contains("for configuration topic.creation.g.partitions: not supported"));
    }
}
