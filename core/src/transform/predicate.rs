//! Predicates: what a transformation may ask of a record before it is applied.

use super::error::TransformError;
use super::record::Record;
use crate::connect::Value;
use crate::java_pattern::JavaPattern;

/// See the module.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// `HasHeaderKey`: a header has this name.
    HasHeaderKey(String),
    /// `RecordIsTombstone`: the value is null.
    RecordIsTombstone,
    /// `TopicNameMatches`: the whole name of the topic matches.
    TopicNameMatches(Box<JavaPattern>),
}

impl Predicate {
    /// Whether it holds for `record`.
    pub(super) fn holds(&self, record: &Record) -> Result<bool, TransformError> {
        match self {
            Self::HasHeaderKey(name) => Ok(record.headers.iter().any(|header| header.key == *name)),
            Self::RecordIsTombstone => Ok(record.value.value == Value::Null),
            Self::TopicNameMatches(pattern) => {
                pattern.is_match(&record.topic).map_err(|_| TransformError::CostlyPattern {
                    pattern: pattern.as_str().to_owned(),
                    topic: record.topic.clone(),
                })
            }
        }
    }
}
