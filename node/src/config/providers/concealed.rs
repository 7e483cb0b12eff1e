//! What providers have filled in, so that it can be kept out of texts.
//!
//! ```text
//! value of a property    shown as it is given:                ${file:/run/secrets/db.properties:uri}
//! a reason about it      not said if it quotes the value
//! any other text         a whole value that is found in it:   … topic ${file:/run/x.properties:prefix}.orders …
//! ```
//!
//! Passwords never get into a text in the first place; this is about values of other properties, which may be secrets
//! where somebody has put them elsewhere. What such a value does can be seen: the topics that are written, the servers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value with fewer bytes is no secret, and stands in texts that have nothing to do with it.
const SECRET_BYTES_MIN: usize = 4;

/// See the module. A clone is cheap.
#[derive(Clone, Default)]
pub(crate) struct Concealed(Option<Arc<Entries>>);

#[derive(Clone, Default)]
struct Entries {
    /// What is shown of a property, by its name.
    given: BTreeMap<String, String>,
    /// What was filled in, and the placeholder in its place; longer ones first.
    filled: Vec<(String, String)>,
}

impl Concealed {
    /// Notes that `filled` stands in place of `placeholder` in the value of `property`, which was `given`.
    pub(super) fn add(&mut self, property: &str, given: &str, filled: &str, placeholder: &str) {
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        entries.given.insert(property.to_owned(), given.to_owned());
        // The value of a property counts without the white space around it.
        let filled = filled.trim();
        let is_known = entries.filled.iter().any(|(known, _)| known == filled);
        if SECRET_BYTES_MIN <= filled.len() && !is_known {
            let place = entries.filled.partition_point(|(known, _)| filled.len() < known.len());
            entries.filled.insert(place, (filled.to_owned(), placeholder.to_owned()));
        }
    }

    /// Whether nothing was filled in.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What may be shown of `property`, if it is not its value.
    pub(crate) fn given(&self, property: &str) -> Option<&str> {
        self.0.as_ref()?.given.get(property).map(String::as_str)
    }

    /// `text` with the placeholder in place of every value that was filled in.
    pub(crate) fn without_secrets<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut safe = Cow::Borrowed(text);
        for (filled, placeholder) in self.0.iter().flat_map(|entries| &entries.filled) {
            if safe.contains(filled) {
                safe = Cow::Owned(safe.replace(filled, placeholder));
            }
        }
        safe
    }
}

impl fmt::Debug for Concealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_in_texts_where_values_would() {
        let mut concealed = Concealed::default();
        assert!(concealed.is_empty());
        concealed.add("topic.prefix", "${f::p}", " shop ", "${f::p}");
        concealed.add("connection.uri", "mongodb://u:${f::pw}@h", "shop-s3cret\n", "${f::pw}");
        concealed.add("batch.size", "${f::n}", "10", "${f::n}");
        let safe = concealed.without_secrets("shop.x shop-s3cret 10 shops");
        assert_eq!(
            safe, "${f::p}.x ${f::pw} 10 ${f::p}s",
            "the longer value first, the short one stays"
        );
        assert!(matches!(concealed.without_secrets("10"), Cow::Borrowed(_)));
        assert_eq!(concealed.given("connection.uri"), Some("mongodb://u:${f::pw}@h"));
        assert_eq!(concealed.given("database"), None);
        assert_eq!(format!("{concealed:?}"), "[hidden]");
        assert_eq!(Concealed::default().without_secrets("x"), "x");
    }
}
