//! `topic.prefix`, `topic.suffix`, `topic.separator` and `topic.namespace.map`.
//!
//! ```text
//!  {"shop.orders": "orders", "/sh.*": "shops{sep_coll}", "*": "rest"}
//!   └ JSON of MongoDB's dialect, all values texts ─► NamespaceMap, every key and value checked
//! ```
//!
//! What a map means is the business of [`millrace_core::route`].

use millrace_core::route::{NamespaceMap, Router};

use super::error::{Reason, Shown};
use super::extended_json::document_from_json;
use super::property::Values;
use super::report::Report;
use super::source::Scope;

const MAP: &str = "topic.namespace.map";

/// How topics are named: `prefix` `separator` namespace `separator` `suffix`, where empty parts take
/// their separator along, and the namespace is what `map` makes of it.
#[derive(Clone, Debug)]
pub(crate) struct TopicNaming {
    pub(crate) prefix: String,
    pub(crate) separator: String,
    pub(crate) suffix: String,
    pub(crate) map: NamespaceMap,
}

impl TopicNaming {
    /// Checks the map, and warns of a separator that will stand twice.
    pub(super) fn new(values: &Values, scope: Option<&Scope>, report: &mut Report) -> Option<Self> {
        let separator = values.text("topic.separator").to_owned();
        let naming = Self {
            prefix: values.text("topic.prefix").to_owned(),
            suffix: values.text("topic.suffix").to_owned(),
            map: namespace_map(values.text(MAP), &separator, report)?,
            separator,
        };
        naming.warn_of_doubled_separators(scope, report);
        Some(naming)
    }

    /// What names the topics.
    pub(crate) fn router(&self) -> Router {
        Router::new(&self.prefix, &self.suffix, &self.separator).with_map(self.map.clone())
    }

    fn warn_of_doubled_separators(&self, scope: Option<&Scope>, report: &mut Report) {
        let Self { prefix, separator, suffix, map: _ } = self;
        if separator.is_empty() {
            return;
        }
        let (db, coll) = match scope {
            Some(Scope::Collection { database, collection }) => {
                (database.as_str(), collection.as_str())
            }
            Some(Scope::Database(database)) => (database.as_str(), "collection"),
            Some(Scope::Deployment) | None => ("database", "collection"),
        };
        let mut router = self.router();
        // Names that Kafka refuses are errors when they are needed.
        let Ok(Some(topic)) = router.route(db.as_bytes(), Some(coll.as_bytes())) else { return };
        let example = router.name(topic);
        for (doubled, name, side) in [
            (prefix.ends_with(separator.as_str()), "topic.prefix", "ends"),
            (suffix.starts_with(separator.as_str()), "topic.suffix", "begins"),
        ] {
            if doubled {
                report.warn(format!(
                    "{name} {side} with topic.separator '{separator}', which is put there once \
                     more, in Java too: changes of {db}.{coll} go to topic {example}"
                ));
            }
        }
    }
}

fn namespace_map(text: &str, separator: &str, report: &mut Report) -> Option<NamespaceMap> {
    if text.is_empty() {
        return Some(NamespaceMap::default());
    }
    let reason = match document_from_json(text) {
        Err(error) => Reason::NotADocument(error),
        Ok(document) => {
            let texts: Option<Vec<(&str, &str)>> =
                document.iter().map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
            match texts.map(|pairs| NamespaceMap::new(pairs, separator)) {
                Some(Ok(map)) => return Some(map),
                Some(Err(error)) => Reason::NamespaceMap(error),
                None => Reason::NotAllTexts,
            }
        }
    };
    report.refuse(MAP, Shown::Text(text.to_owned()), reason);
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::connector_file::ConnectorFile;
    use super::super::report::Severity;
    use super::super::source::SourceConfig;
    use super::super::source_check::tests::{error, source, worker};

    fn topic(lines: &str, db: &str, coll: &str) -> String {
        let config = source(lines, true).unwrap().0;
        let mut router = config.topic.router();
        let topic = router.route(db.as_bytes(), Some(coll.as_bytes())).unwrap().unwrap();
        router.name(topic).to_owned()
    }

    /// What the real connector says; see `core/tests/golden/README.md`.
    #[test]
    fn maps_give_the_topics_and_the_messages_of_java() {
        let golden = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../core/tests/golden/topic_map.tsv"
        ));
        let mut counts = [0, 0];
        for line in golden.lines() {
            let [prefix, suffix, separator, map, db, coll, want, verdict] =
                line.split('\t').collect::<Vec<_>>()[..]
            else {
                panic!("wrong number of columns: {line}");
            };
            let mut config = serde_json::json!({
                "name": "c", "connector.class": "MongoSource", "topic.prefix": prefix,
                "topic.suffix": suffix, "topic.namespace.map": map,
            });
            config["topic.separator"] = separator.into();
            let file = ConnectorFile::parse(Path::new("c.json"), config.to_string().as_bytes());
            match SourceConfig::new(&file.unwrap(), &worker(), true) {
                Ok((config, _)) => {
                    let mut router = config.topic.router();
                    let got = match router.route(db.as_bytes(), Some(coll.as_bytes())) {
                        Ok(topic) => topic.map_or("", |topic| router.name(topic)).to_owned(),
                        Err(error) => error.topic,
                    };
                    assert_eq!((got.as_str(), "mapped"), (want, verdict), "{line}");
                    counts[0] += 1;
                }
                Err(error) => {
                    let want = want.replace("\\n", "\n");
                    assert!(error.to_string().ends_with(&want), "{error}\n{want}");
                    assert_eq!(verdict, "refused", "{line}");
                    counts[1] += 1;
                }
            }
        }
        assert_eq!(counts, [108, 10]);
    }

    #[test]
    fn of_a_doubled_key_the_last_value_counts_at_the_first_place() {
        let line =
            "topic.namespace.map={\"/s.*\": \"one\", \"/.*o.*\": \"two\", \"/s.*\": \"three\"}";
        assert_eq!(topic(line, "shop", "orders"), "three");
        assert_eq!(topic(line, "my", "orders"), "two");
    }

    #[test]
    fn backslashes_may_be_quoted_once_too_few_as_in_java() {
        let properties_file = r#"topic.namespace.map={"/sh.p\\.\\w+": "all"}"#;
        assert_eq!(topic(properties_file, "shop", "orders"), "all");
    }

    #[test]
    fn prefix_suffix_and_separator_go_around_what_is_mapped() {
        let lines = "topic.prefix=eu\ntopic.suffix=v1\ntopic.separator=-\n\
                     topic.namespace.map={\"shop\": \"all\", '*': 'rest'}";
        assert_eq!(topic(lines, "shop", "orders"), "eu-all-orders-v1");
        assert_eq!(topic(lines, "my", "orders"), "eu-rest-v1");
    }

    #[test]
    fn what_is_no_map_for_us_is_refused_with_the_reason() {
        for (map, reason) in [
            (
                "{\"/[a&&b]\": \"x\"}",
                "not supported by this version: && in a class near index 2\n[a&&b]\n  ^",
            ),
            ("[]", "Not a valid JSON document: the text is no document"),
        ] {
            let error = error(&format!("topic.namespace.map={map}"));
            let want =
                format!("Invalid value {map} for configuration topic.namespace.map: {reason}");
            assert!(error.ends_with(&want), "{error}");
        }
    }

    #[test]
    fn a_separator_that_will_stand_twice_is_warned_of_with_the_name_that_comes_of_it() {
        let (_, notices) = source(
            "database=shop\ntopic.prefix=eu.\ntopic.suffix=.v1\ntopic.namespace.map={shop: 'all'}",
            true,
        )
        .unwrap();
        let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "topic.prefix ends with topic.separator '.', which is put there once more, in Java \
                 too: changes of shop.collection go to topic eu..all.collection..v1",
                "topic.suffix begins with topic.separator '.', which is put there once more, in \
                 Java too: changes of shop.collection go to topic eu..all.collection..v1",
            ]
        );
        assert!(notices.iter().all(|notice| notice.severity == Severity::Warning));
        let (_, notices) = source("topic.prefix=eu\ntopic.suffix=v1", true).unwrap();
        assert_eq!(notices, []);
    }
}
