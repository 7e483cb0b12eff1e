//! `RegexRouter`: another topic for a record whose topic matches.

use super::error::TransformError;
use super::record::Record;
use crate::java_pattern::{JavaPattern, PatternError};

/// See the module.
#[derive(Clone, Debug)]
pub struct RegexRouter {
    whole: JavaPattern,
    part: JavaPattern,
    replacement: String,
}

impl RegexRouter {
    /// The router for `regex` and `replacement`, which is in Java's notation, too. As in Java, a mistake in it shows
    /// with the first topic that matches.
    ///
    /// # Errors
    /// What is wrong with `regex`.
    pub fn new(regex: &str, replacement: &str) -> Result<Self, PatternError> {
        let (whole, part) = (JavaPattern::of_whole(regex)?, JavaPattern::of_part(regex)?);
        Ok(Self { whole, part, replacement: replacement.to_owned() })
    }

    pub(super) fn apply(&self, mut record: Record) -> Result<Record, TransformError> {
        let costly = |topic: &str| TransformError::CostlyPattern {
            pattern: self.whole.as_str().to_owned(),
            topic: topic.to_owned(),
        };
        if self.whole.is_match(&record.topic).map_err(|_| costly(&record.topic))? {
            let routed = self.part.replace_first(&record.topic, &self.replacement);
            record.topic = routed.map_err(TransformError::Replacement)?;
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Datum;

    fn routed(regex: &str, replacement: &str, topic: &str) -> Result<String, String> {
        let router = RegexRouter::new(regex, replacement).unwrap();
        let record = Record {
            topic: topic.to_owned(),
            key: Datum::NULL,
            value: Datum::NULL,
            headers: Vec::new(),
        };
        router.apply(record).map(|record| record.topic).map_err(|error| error.to_string())
    }

    #[test]
    fn the_whole_topic_must_match_and_the_first_match_is_replaced() {
        let ok = |topic: &str| Ok(topic.to_owned());
        assert_eq!(routed(r"shop\.(.*)", "eu.$1", "shop.orders"), ok("eu.orders"));
        assert_eq!(routed(r"shop\.(.*)", "eu.$1", "a.shop.orders"), ok("a.shop.orders"));
        assert_eq!(routed(r"(?<db>\w+)\.(\w+)", "$2-${db}$0", "a.b"), ok("b-aa.b"));
        // All of it matches by the second choice, and the first match is by the first.
        assert_eq!(routed("a|ab", "x", "ab"), ok("xb"));
        assert_eq!(routed("(a)|(b)", r"$2\$\\", "a"), ok(r"$\"));
        assert_eq!(routed("(a)(b)", "$13$1", "ab"), ok("a3a"));
    }

    #[test]
    fn a_mistake_in_the_replacement_is_told_in_javas_words() {
        for (replacement, message) in [
            ("$1", "No group 1"),
            ("$x", "Illegal group reference"),
            ("$", "Illegal group reference: group index is missing"),
            ("\\", "character to be escaped is missing"),
            ("${a}", "No group with name {a}"),
            ("${a", "named capturing group is missing trailing '}'"),
            ("${1}", "capturing group name {1} starts with digit character"),
        ] {
            assert_eq!(routed("a.*", replacement, "abc"), Err(message.to_owned()), "{replacement}");
        }
    }
}
