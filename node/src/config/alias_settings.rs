//! What is shown of the settings of transformations and predicates (`ConnectorConfig.enrich` of Connect 4.1.0).
//!
//! ```text
//! transforms=a ──► transforms.a.type, transforms.a.plugin.version   in the group `Transforms: a`
//!                  transforms.a.…                                   what the class takes, if there is such a class
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::error::{Problem, Reason};
use super::transforms::{self, Plugin};
use super::validation::{Errors, Given, PropertyShown};

/// Settings that Connect reads itself, and so knows by their whole names.
const OF_CONNECT: [&str; 4] = ["type", "plugin.version", "predicate", "negate"];

/// A property that lists aliases.
struct List {
    name: &'static str,
    group: &'static str,
    kind: &'static str,
    plugin: fn(Option<&str>) -> Plugin,
}

const LISTS: &[List] = &[
    List {
        name: "transforms",
        group: "Transforms",
        kind: "Transformation",
        plugin: transforms::transformation,
    },
    List {
        name: "predicates",
        group: "Predicates",
        kind: "Predicate",
        plugin: transforms::predicate,
    },
];

/// The aliases that a configuration lists.
pub(super) struct Aliases<'a> {
    /// Each once, in the order of the lists.
    in_order: Vec<(&'static List, &'a str)>,
    /// The same by the property that lists them.
    known: BTreeSet<(&'static str, &'a str)>,
}

impl<'a> Aliases<'a> {
    pub(super) fn new(given: &'a Given) -> Self {
        let (mut in_order, mut known) = (Vec::new(), BTreeSet::new());
        for list in LISTS {
            let text = given.get(list.name).and_then(Option::as_deref).unwrap_or_default();
            let aliases = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
            in_order.extend(
                aliases
                    .filter(|alias| known.insert((list.name, *alias)))
                    .map(|alias| (list, alias)),
            );
        }
        Self { in_order, known }
    }

    /// The settings of every alias, in the order of the lists.
    pub(super) fn rows(&self, given: &Given, errors: &mut Errors) -> Vec<PropertyShown> {
        let aliases = self.in_order.iter();
        aliases.flat_map(|(list, alias)| rows_of(list, alias, given, errors)).collect()
    }

    /// The name by which a transformation or predicate knows the setting that a problem is about; `None`: it is none of
    /// theirs, or was not given to them because its text could not be read.
    pub(super) fn bare_name<'b>(&self, problem: &'b Problem) -> Option<&'b str> {
        if matches!(problem.reason, Reason::NotBoolean | Reason::NotANumber(_)) {
            return None;
        }
        let (list, rest) = problem.name.split_once('.')?;
        // An alias may begin like another one: settings are those of the longest.
        let mut dots = rest.rmatch_indices('.').filter_map(|(at, _)| rest.split_at_checked(at));
        let (_, setting) = dots.find(|(alias, _)| self.known.contains(&(list, *alias)))?;
        let setting = setting.strip_prefix('.')?;
        (!OF_CONNECT.contains(&setting)).then_some(setting)
    }
}

fn rows_of(list: &List, alias: &str, given: &Given, errors: &mut Errors) -> Vec<PropertyShown> {
    let List { name, group, kind, plugin } = list;
    let (prefix, group) = (format!("{name}.{alias}."), format!("{group}: {alias}"));
    let written = given.get(&format!("{prefix}type")).and_then(Option::as_deref);
    let Plugin { classes, class, table } = plugin(written);
    let rows = table.iter().map(|property| PropertyShown::new(property, &prefix, given, errors));
    let mut rows: Vec<PropertyShown> = rows.collect();
    for (order, row) in (0..).zip(&mut rows) {
        if let Some(definition) = &mut row.definition {
            definition.put(&group, order);
        }
    }
    for (row, title) in rows.iter_mut().zip(["type", "version"]) {
        if let Some(definition) = &mut row.definition {
            definition.entitle(format!("{kind} {title} for {alias}"));
        }
    }
    if let Some(of_type) = rows.first_mut() {
        of_type.value.recommended_values = classes.into_iter().map(Cow::Owned).collect();
        of_type.value.value = class;
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::error::Shown;
    use super::*;

    fn given(entries: &[(&str, &str)]) -> Given {
        entries.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect()
    }

    fn shown(entries: &[(&str, &str)]) -> Vec<Value> {
        let given = given(entries);
        let rows = Aliases::new(&given).rows(&given, &mut Errors::new());
        rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect()
    }

    fn names(rows: &[Value]) -> Vec<&str> {
        rows.iter().map(|row| row["definition"]["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_must_be_given_comes_first_and_then_what_matters_more() {
        let class = "org.apache.kafka.connect.transforms.TimestampConverter$Value";
        let rows = shown(&[("transforms", "t, t"), ("transforms.t.type", class)]);
        let in_order = [
            "type",
            "plugin.version",
            "target.type",
            "field",
            "format",
            "negate",
            "predicate",
            "replace.null.with.default",
            "unix.precision",
        ];
        assert_eq!(names(&rows), in_order.map(|name| format!("transforms.t.{name}")));
        for (order, row) in rows.iter().enumerate() {
            let definition = &row["definition"];
            assert_eq!(
                (&definition["order"], &definition["group"]),
                (&json!(order), &json!("Transforms: t"))
            );
            assert_ne!(definition["documentation"], "");
        }
        assert_eq!(rows[0]["value"]["value"], class);
        assert_eq!(rows[0]["value"]["recommended_values"].as_array().unwrap().len(), 26);
        assert_eq!(rows[1]["value"]["value"], "4.1.0");
        assert_eq!(rows[2]["definition"]["required"], true);
    }

    #[test]
    fn every_setting_says_what_it_is_for() {
        for (list, kind) in [
            ("transforms", transforms::transformation(None)),
            ("predicates", transforms::predicate(None)),
        ] {
            for class in kind.classes {
                let rows = shown(&[(list, "a"), (&format!("{list}.a.type"), &class)]);
                for row in rows {
                    assert_ne!(row["definition"]["documentation"], "", "{class} {row}");
                }
            }
        }
    }

    #[test]
    fn of_a_class_that_there_is_not_only_class_and_version_are_shown() {
        let rows = shown(&[("predicates", "p"), ("predicates.p.type", "com.x.Predicate")]);
        assert_eq!(names(&rows), ["predicates.p.type", "predicates.p.plugin.version"]);
        assert_eq!(
            (&rows[0]["value"]["value"], &rows[1]["value"]["value"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(rows[0]["definition"]["display_name"], "Predicate type for p");
        let of_sides = "org.apache.kafka.connect.transforms.MaskField";
        let rows = shown(&[("transforms", "a"), ("transforms.a.type", of_sides)]);
        assert_eq!((rows.len(), &rows[0]["value"]["value"]), (2, &json!(of_sides)));
        assert!(shown(&[("transforms", "")]).is_empty());
    }

    #[test]
    fn a_class_names_its_settings_without_their_prefix() {
        let given = given(&[("transforms", "a,a.b")]);
        let bare = |name: &str, reason: Reason| {
            let value = Some(Shown::Text("x".to_owned()));
            let problem = Problem { name: name.to_owned(), value, reason };
            Aliases::new(&given).bare_name(&problem).map(str::to_owned)
        };
        assert_eq!(bare("transforms.a.regex", Reason::Empty).as_deref(), Some("regex"));
        assert_eq!(bare("transforms.a.b.regex", Reason::Empty).as_deref(), Some("regex"));
        for name in
            ["transforms.c.regex", "transforms.a.type", "transforms.a.b.negate", "transforms"]
        {
            assert_eq!(bare(name, Reason::Empty), None, "{name}");
        }
        assert_eq!(bare("transforms.a.schema.version", Reason::NotANumber("INT")), None);
    }
}
