//! `errors.tolerance`, `errors.log.enable`, `errors.deadletterqueue.topic.name` and their twins with
//! `mongo.` in front: what becomes of a change that cannot be written.
//!
//! A twin that is there counts, whatever it says (`ConfigHelper.getOverrideOrFallback`).
//!
//! ```text
//!  tolerance none                      the task ends and names the document
//!  tolerance all, with a topic         the change goes to that topic as text
//!  tolerance all, without a topic      the task ends: Java would drop the change
//! ```

use std::collections::BTreeMap;

use super::converter::ConverterKind;
use super::property::Values;
use super::report::Report;

const TOLERANCE: &str = "errors.tolerance";
const LOG: &str = "errors.log.enable";
const TOPIC: &str = "errors.deadletterqueue.topic.name";

/// Where changes go that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetters {
    pub(crate) topic: String,
    /// Each is logged.
    pub(crate) log: bool,
}

impl DeadLetters {
    /// The settings, if they name a topic that can be written.
    pub(super) fn new(
        values: &Values,
        given: &BTreeMap<String, String>,
        [key, value]: [ConverterKind; 2],
        report: &mut Report,
    ) -> Option<Self> {
        let effective = |name: &str| {
            let twin = format!("mongo.{name}");
            if given.contains_key(&twin) { twin } else { name.to_owned() }
        };
        let (tolerance, topic) = (effective(TOLERANCE), effective(TOPIC));
        let name = values.text(&topic);
        if !values.text(&tolerance).eq_ignore_ascii_case("all") {
            if !name.is_empty() {
                report.warn(format!("{topic} has no effect without {tolerance}=all"));
            }
            return None;
        }
        if name.is_empty() {
            report.warn(format!(
                "{tolerance}=all without {TOPIC}: a change that cannot be written ends the task, \
                 where Java drops it; name a topic and it goes there"
            ));
            return None;
        }
        for (side, converter) in [("key", key), ("value", value)] {
            if converter == ConverterKind::ByteArray {
                report.warn(format!(
                    "{topic} needs a {side}.converter that takes text, and ByteArrayConverter does \
                     not: a change that cannot be written ends the task"
                ));
                return None;
            }
        }
        report.info(format!(
            "{tolerance}=all: changes that cannot be written go to {name}; what Kafka refuses and a \
             lost resume token still end the task, where Java would go on without"
        ));
        let log = values.boolean(&effective(LOG));
        Some(Self { topic: name.to_owned(), log })
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Severity;
    use super::super::source_check::tests::source;
    use super::*;

    fn dead_letters(lines: &str) -> (Option<DeadLetters>, Vec<(Severity, String)>) {
        let (config, notices) = source(lines, true).unwrap();
        let notices = notices.into_iter().map(|notice| (notice.severity, notice.text));
        (config.dead_letters, notices.collect())
    }

    fn some(topic: &str, log: bool) -> Option<DeadLetters> {
        Some(DeadLetters { topic: topic.to_owned(), log })
    }

    #[test]
    fn tolerance_and_a_topic_are_both_needed() {
        assert_eq!(dead_letters("errors.log.enable=true"), (None, Vec::new()));
        let (letters, notices) =
            dead_letters("errors.tolerance=ALL\nerrors.deadletterqueue.topic.name=d");
        assert_eq!(letters, some("d", false));
        assert_eq!(notices[0].0, Severity::Info);
        let (letters, notices) = dead_letters("errors.tolerance=all");
        assert_eq!((letters, notices[0].0), (None, Severity::Warning));
        assert!(notices[0].1.contains("ends the task, where Java drops it"), "{notices:?}");
        let (letters, notices) = dead_letters("errors.deadletterqueue.topic.name=d");
        assert_eq!(letters, None);
        assert!(notices[0].1.ends_with("has no effect without errors.tolerance=all"));
    }

    #[test]
    fn a_twin_counts_by_being_there() {
        let both =
            "errors.tolerance=all\nerrors.deadletterqueue.topic.name=d\nerrors.log.enable=true";
        assert_eq!(dead_letters(both).0, some("d", true));
        for (line, want) in [
            ("mongo.errors.tolerance=none", None),
            ("mongo.errors.deadletterqueue.topic.name=m", some("m", true)),
            ("mongo.errors.deadletterqueue.topic.name=", None),
            ("mongo.errors.log.enable=false", some("d", false)),
        ] {
            assert_eq!(dead_letters(&format!("{both}\n{line}")).0, want, "{line}");
        }
        let twins = "mongo.errors.tolerance=all\nmongo.errors.deadletterqueue.topic.name=m";
        assert_eq!(dead_letters(&format!("errors.tolerance=none\n{twins}")).0, some("m", false));
    }

    #[test]
    fn a_converter_of_bytes_has_no_dead_letters_and_says_so() {
        let (letters, notices) = dead_letters(
            "errors.tolerance=all\nerrors.deadletterqueue.topic.name=d\nvalue.converter=ByteArray\n\
             output.format.value=bson",
        );
        assert_eq!(letters, None);
        let said =
            notices.iter().any(|(_, text)| text.contains("a value.converter that takes text"));
        assert!(said, "{notices:?}");
    }
}
