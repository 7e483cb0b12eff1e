//! `topic.namespace.map`: topics that the operator gives to namespaces by hand.
//!
//! | order | key of the map | namespaces | topic |
//! |---|---|---|---|
//! | 1 | `shop.orders`, `shop` | this one | the value |
//! | 2 | `shop` | collections of this database | the value, separator, collection |
//! | 3 | `/sh.p\..*` | those of which all matches the expression | the value, its variables filled in |
//! | 4 | `*` | all others | the value |
//!
//! Expressions are tried in the order of the map. A key with an empty value counts for nothing. The
//! separator inside a key is always a dot, whatever `topic.separator` says. Prefix and suffix are
//! the router's business. Facts: the connector's `DefaultTopicMapper`.

use std::collections::BTreeMap;
use std::fmt;

use super::java_pattern::{JavaPattern, PatternError, TooCostly};
use super::template::{Template, TemplateError};

/// The mark at the beginning of an expression.
const PATTERN_MARK: char = '/';
/// The key for all namespaces that no other key fits.
const WILDCARD: &str = "*";

/// Why a map cannot be used. The messages are Java's, but for what an expression may not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapError {
    /// A `/` in a key that does not begin with one.
    MarkInsideKey,
    /// A value whose variables are wrong.
    Template(TemplateError),
    /// A key that is no expression.
    Pattern {
        /// Without its mark.
        pattern: String,
        /// Why not.
        error: PatternError,
    },
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkInsideKey => {
                write!(f, "'{PATTERN_MARK}' is not allowed in a simple namespace pattern")
            }
            Self::Template(error) => error.fmt(f),
            Self::Pattern { pattern, error } => f.write_str(&error.message(pattern)),
        }
    }
}

impl std::error::Error for MapError {}

/// An expression of the map took too long over a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CostlyPattern {
    pub(super) pattern: String,
}

/// See the file.
#[derive(Clone, Debug, Default)]
pub struct NamespaceMap {
    names: BTreeMap<String, String>,
    patterns: Vec<(JavaPattern, Template)>,
    wildcard: Option<String>,
}

impl NamespaceMap {
    /// The map of these keys and values, in their order, no key twice.
    ///
    /// # Errors
    /// [`MapError`] for the first pair that cannot be used.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        separator: &str,
    ) -> Result<Self, MapError> {
        let mut map = Self::default();
        for (key, value) in pairs {
            if key == WILDCARD {
                map.wildcard = Some(value.to_owned()).filter(|topic| !topic.is_empty());
            } else if let Some(pattern) = key.strip_prefix(PATTERN_MARK) {
                let java = JavaPattern::new(pattern).map_err(|error| {
                    let pattern = pattern.to_owned();
                    MapError::Pattern { pattern, error }
                })?;
                let template = Template::new(value, separator).map_err(MapError::Template)?;
                if !template.is_empty() {
                    map.patterns.push((java, template));
                }
            } else if key.contains(PATTERN_MARK) {
                return Err(MapError::MarkInsideKey);
            } else if !value.is_empty() {
                map.names.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(map)
    }

    /// The topic of a namespace without prefix and suffix; `None`: the map says nothing of it.
    /// `coll` is empty for a whole database.
    pub(super) fn topic(
        &self,
        db: &str,
        coll: &str,
        separator: &str,
    ) -> Result<Option<String>, CostlyPattern> {
        let namespace = if coll.is_empty() { db.to_owned() } else { format!("{db}.{coll}") };
        if let Some(topic) = self.names.get(&namespace) {
            return Ok(Some(topic.clone()));
        }
        if let Some(topic) = self.names.get(db) {
            return Ok(Some(format!("{topic}{separator}{coll}")));
        }
        for (pattern, template) in &self.patterns {
            let costly = |TooCostly| CostlyPattern { pattern: pattern.as_str().to_owned() };
            if pattern.matches(&namespace).map_err(costly)? {
                return Ok(Some(template.fill(db, coll, separator)));
            }
        }
        Ok(self.wildcard.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> NamespaceMap {
        NamespaceMap::new(pairs.iter().copied(), "-").expect("a map")
    }

    fn error(key: &str, value: &str) -> String {
        NamespaceMap::new([(key, value)], "-").expect_err("refused").to_string()
    }

    fn topic(map: &NamespaceMap, db: &str, coll: &str) -> Option<String> {
        map.topic(db, coll, "-").expect("cheap patterns")
    }

    #[test]
    fn a_name_comes_before_its_database_before_patterns_in_order_before_the_wildcard() {
        let map = map(&[
            ("*", "rest"),
            ("/sh.*", "first{sep_coll}"),
            ("/shop.*", "second"),
            ("shop", "all"),
            ("shop.orders", "orders"),
        ]);
        assert_eq!(topic(&map, "shop", "orders").as_deref(), Some("orders"));
        assert_eq!(topic(&map, "shop", "items").as_deref(), Some("all-items"));
        assert_eq!(topic(&map, "shop", "").as_deref(), Some("all"));
        assert_eq!(topic(&map, "shops", "items").as_deref(), Some("first-items"));
        assert_eq!(topic(&map, "shops", "").as_deref(), Some("first"));
        assert_eq!(topic(&map, "other", "shop").as_deref(), Some("rest"));
    }

    #[test]
    fn a_pattern_must_match_the_whole_namespace_with_its_dot() {
        let map = map(&[(r"/shop\.o", "x"), (r"/.*\.items", "y")]);
        assert_eq!(topic(&map, "shop", "orders"), None);
        assert_eq!(topic(&map, "shop", "o").as_deref(), Some("x"));
        assert_eq!(topic(&map, "my", "items").as_deref(), Some("y"));
        assert_eq!(topic(&map, "my-items", ""), None);
    }

    #[test]
    fn a_key_without_a_topic_counts_for_nothing() {
        let map = map(&[("a.b", ""), ("a", ""), ("/a.*", ""), ("*", "")]);
        assert_eq!(topic(&map, "a", "b"), None);
        assert_eq!(topic(&map, "a", ""), None);
        let separator_alone = NamespaceMap::new([("/.*", "{sep}")], "").expect("a map");
        assert_eq!(separator_alone.topic("a", "b", ""), Ok(None));
    }

    #[test]
    fn variables_are_for_patterns_only() {
        let map = map(&[("a.b", "{db}"), ("*", "{nobody}")]);
        assert_eq!(topic(&map, "a", "b").as_deref(), Some("{db}"));
        assert_eq!(topic(&map, "x", "").as_deref(), Some("{nobody}"));
    }

    #[test]
    fn mistakes_are_named_in_the_words_of_java() {
        assert_eq!(error("a/b", "x"), "'/' is not allowed in a simple namespace pattern");
        assert_eq!(error("/a(b", "x"), "Unclosed group near index 3\na(b");
        assert_eq!(
            error(r"/a\y", "x"),
            "Illegal/unsupported escape sequence near index 2\na\\y\n  ^"
        );
        assert_eq!(error("/a", "{DB}"), "DB is not a supported variable name");
    }

    #[test]
    fn a_pattern_that_never_ends_is_an_error_that_names_it() {
        let map = map(&[(r"/(?:(?=a)(?:a|aa)+)+b", "x")]);
        let name = "a".repeat(60);
        let pattern = r"(?:(?=a)(?:a|aa)+)+b".to_owned();
        assert_eq!(map.topic(&name, "", "-"), Err(CostlyPattern { pattern }));
    }
}
