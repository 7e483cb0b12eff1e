//! What is said of every property of a connector's configuration: Connect's answer to `config/validate`.
//!
//! ```text
//! tables ──► rows ─┐
//! given values ────┼─► definition and value, in the order of Connect's answer
//! problems ────────┘   errors stand with the property that they are about
//! ```
//!
//! Connect's rules: its own properties come first, then the connector's; what both declare stands where Connect has
//! it and says what the connector says. Producer settings and settings of converters follow if they are given; those of
//! transformations and predicates stand behind Connect's own. An error about a property that no table has stands in
//! front, without a definition. Passwords are hidden. Behind all of Java's properties are our own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::alias_settings::Aliases;
use super::client_overrides;
use super::connect_properties::CONNECT_PROPERTIES;
use super::converter;
use super::definition::{DefinitionShown, HIDDEN};
use super::error::{Problem, Reason, Shown};
use super::own_properties::OWN_PROPERTIES;
use super::producer;
use super::property::{Kind, Property};
use super::source::SourceConfig;
use super::source_properties;
use super::worker::WorkerConfig;

/// What Connect and the connector both declare stands before this property.
const BEHIND_COMMON: &str = "errors.log.include.messages";

/// What may be written by a converter of the connector's own.
const ROLES: [&str; 3] = ["header.converter", "key.converter", "value.converter"];

/// The whole answer (`ConfigInfos`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Validation {
    /// The connector's class, as it was given.
    name: String,
    error_count: usize,
    groups: Vec<Cow<'static, str>>,
    configs: Vec<PropertyShown>,
}

/// One property (`ConfigInfo`).
#[derive(Clone, Debug, Serialize)]
pub(super) struct PropertyShown {
    pub(super) definition: Option<DefinitionShown>,
    pub(super) value: ValueShown,
}

/// Its value, and what is wrong with it (`ConfigValueInfo`).
#[derive(Clone, Debug, Serialize)]
pub(super) struct ValueShown {
    name: String,
    pub(super) value: Option<String>,
    pub(super) recommended_values: Vec<Cow<'static, str>>,
    errors: Vec<String>,
    visible: bool,
}

/// What was given; `None`: `null`.
pub(super) type Given = BTreeMap<String, Option<String>>;
/// Errors by the property that they are about.
pub(super) type Errors = BTreeMap<String, Vec<String>>;

impl Validation {
    /// What there is to say of `given`, in which `problems` were found. `class` is its `connector.class`.
    pub(crate) fn new(
        class: &str,
        given: &Given,
        problems: &[Problem],
        worker: &WorkerConfig,
    ) -> Self {
        let (aliases, mut errors) = (Aliases::new(given), Errors::new());
        for problem in problems {
            let errors = errors.entry(problem.name.clone()).or_default();
            errors.push(text_of(problem, &aliases));
            errors.extend(consequence(problem).map(|problem| problem.to_string()));
        }
        let mut configs: Vec<PropertyShown> = declared()
            .into_iter()
            .map(|property| PropertyShown::new(property, "", given, &mut errors))
            .collect();
        for shown in &mut configs {
            shown.default_to_worker(given, worker);
        }
        hide_versions(&mut configs);
        let of_aliases = aliases.rows(given, &mut errors);
        let mut settings = client_settings(producer::OVERRIDE, given, &mut errors);
        if client_overrides::has_admin(given.keys()) {
            settings.extend(client_settings(client_overrides::ADMIN, given, &mut errors));
        }
        for role in ROLES {
            settings.extend(converter_settings(role, given, &configs, &mut errors));
        }
        let mut all: Vec<PropertyShown> = errors.into_iter().map(PropertyShown::unknown).collect();
        let groups = groups(&of_aliases, &settings);
        let of_connector = configs.split_off(of_connect().len());
        all.extend(configs.into_iter().chain(of_aliases).chain(of_connector));
        let of_connector: usize = all.iter().map(|shown| shown.value.errors.len()).sum();
        // Of settings Connect counts the properties, not the errors.
        let of_settings = settings.iter().filter(|shown| !shown.value.errors.is_empty()).count();
        all.append(&mut settings);
        for shown in &mut all {
            shown.leave_unresolved(given, worker);
        }
        Self {
            name: class.to_owned(),
            error_count: of_connector + of_settings,
            groups,
            configs: all,
        }
    }

    /// How many errors there are.
    pub(crate) fn error_count(&self) -> usize {
        self.error_count
    }

    /// Every error, in the order of the answer.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        self.configs.iter().flat_map(|shown| &shown.value.errors).map(String::as_str)
    }
}

impl PropertyShown {
    /// `property`, whose name has `prefix` in front in `given` and in `errors`.
    pub(super) fn new(
        property: &Property,
        prefix: &str,
        given: &Given,
        errors: &mut Errors,
    ) -> Self {
        let name = format!("{prefix}{}", property.name);
        let value = match given.get(&name) {
            None => property.default_shown(),
            Some(None) => None,
            Some(Some(class)) if property.kind == Kind::Class && name.ends_with(".converter") => {
                converter::class_name(class).map(str::to_owned)
            }
            Some(Some(text)) => property.value_shown(text),
        };
        let recommended = property.definition.recommended();
        Self {
            definition: Some(DefinitionShown::new(property, prefix)),
            value: ValueShown {
                value,
                recommended_values: recommended.iter().copied().map(Cow::Borrowed).collect(),
                errors: errors.remove(&name).unwrap_or_default(),
                visible: true,
                name,
            },
        }
    }

    /// Where the worker's setting counts if nothing is given, it is the default.
    fn default_to_worker(&mut self, given: &Given, worker: &WorkerConfig) {
        let ValueShown { name, value, .. } = &mut self.value;
        let default = match name.as_str() {
            "key.converter" => worker.key_converter.class(),
            "value.converter" => worker.value_converter.class(),
            "header.converter" => worker.header_converter_class(),
            name if name.ends_with(".converter.plugin.version") => converter::CONVERTER_VERSION,
            _ => return,
        };
        if !given.contains_key(name) {
            *value = Some(default.to_owned());
        }
        if let Some(definition) = &mut self.definition {
            definition.set_default(default);
        }
    }

    /// What a provider fills in is not shown, as Connect would: the placeholder is.
    fn leave_unresolved(&mut self, given: &Given, worker: &WorkerConfig) {
        let is_hidden = self.value.value.as_deref() == Some(HIDDEN);
        if let (false, Some(Some(text))) = (is_hidden, given.get(&self.value.name))
            && worker.providers.may_fill(text)
        {
            self.value.value = Some(text.clone());
        }
    }

    /// A property that no table has.
    fn unknown((name, errors): (String, Vec<String>)) -> Self {
        let value =
            ValueShown { name, value: None, recommended_values: Vec::new(), errors, visible: true };
        Self { definition: None, value }
    }
}

/// The definitions of a plug-in's properties, by its class or short name; `None`: there is no such plug-in. What both
/// Connect and the connector declare stands where the connector has it.
pub(crate) fn definitions(plugin: &str) -> Option<Vec<DefinitionShown>> {
    let shown = |property: &Property| DefinitionShown::new(property, "");
    if SourceConfig::is_class(plugin) {
        let of_connector = source_properties::declared().iter();
        return Some(
            of_connector.chain(CONNECT_PROPERTIES).chain(OWN_PROPERTIES).map(shown).collect(),
        );
    }
    Some(converter::settings_of(plugin)?.iter().map(shown).collect())
}

/// What is wrong with a property that is `null`. Connect has a line of its own for what it declares, and for what
/// nobody does.
pub(crate) fn objections_to_null(name: &str) -> Vec<Problem> {
    let of_connector = source_properties::declared().iter().any(|known| known.name == name);
    let supplied = Problem { name: name.to_owned(), value: None, reason: Reason::NullSupplied };
    match objection_to_null(name) {
        None => vec![supplied],
        Some(of_check) if of_connector => vec![of_check],
        Some(of_check) => vec![of_check, supplied],
    }
}

/// What Java's check says of `null`.
fn objection_to_null(name: &str) -> Option<Problem> {
    let property = declared().into_iter().find(|property| property.name == name)?;
    let (name, value) = (name.to_owned(), Some(Shown::Text("null".to_owned())));
    property.objection_to_null().map(|reason| Problem { name, value, reason })
}

/// What Java says besides of text that is no number: that there is no number.
fn consequence(problem: &Problem) -> Option<Problem> {
    let is_unread = matches!(problem.reason, Reason::NotANumber(_));
    is_unread.then(|| objection_to_null(&problem.name)).flatten()
}

/// The text of a problem. A converter knows its settings without their prefix, and so names them in Java; so do
/// transformations and predicates.
fn text_of(problem: &Problem, aliases: &Aliases<'_>) -> String {
    if let Some(setting) = aliases.bare_name(problem) {
        return problem.text_about(setting);
    }
    let bare = ROLES.into_iter().find_map(|role| {
        let setting = problem.name.strip_prefix(role)?.strip_prefix('.')?;
        (setting != "plugin.version").then_some(setting)
    });
    problem.text_about(bare.unwrap_or(&problem.name))
}

/// Java does not show which version of a converter it is that cannot be had.
fn hide_versions(configs: &mut [PropertyShown]) {
    let is_refused = |shown: &&PropertyShown| !shown.value.errors.is_empty();
    let refused: Vec<String> =
        configs.iter().filter(is_refused).map(|shown| shown.value.name.clone()).collect();
    for shown in configs {
        let of_role = shown.value.name.strip_suffix(".plugin.version");
        if of_role.is_some_and(|role| refused.iter().any(|refused| refused == role)) {
            shown.value.visible = false;
        }
    }
}

/// Every property of a connector, in the order of Connect's answer.
fn declared() -> Vec<&'static Property> {
    let mut all = of_connect();
    all.extend(source_properties::declared().iter().filter(|property| !is_common(property)));
    all.extend(OWN_PROPERTIES);
    all
}

/// What Connect declares, with what the connector declares again.
fn of_connect() -> Vec<&'static Property> {
    let mut all = Vec::new();
    for property in CONNECT_PROPERTIES {
        if property.name == BEHIND_COMMON {
            all.extend(source_properties::declared().iter().filter(|property| is_common(property)));
        }
        all.push(property);
    }
    all
}

fn is_common(property: &Property) -> bool {
    COMMON.contains(&property.name)
}

/// What Connect and the connector both declare.
const COMMON: [&str; 2] = ["errors.tolerance", "errors.log.enable"];

/// The groups of all properties and of what is there besides, each once.
fn groups(of_aliases: &[PropertyShown], settings: &[PropertyShown]) -> Vec<Cow<'static, str>> {
    let of_tables = |table: &'static [Property]| {
        table.iter().filter_map(|property| property.definition.group().map(Cow::Borrowed))
    };
    let mut groups = Vec::new();
    let mut add = |group: Cow<'static, str>| {
        if !groups.contains(&group) {
            groups.push(group);
        }
    };
    let shown = |shown: &PropertyShown| shown.definition.as_ref()?.group().cloned();
    of_tables(CONNECT_PROPERTIES).for_each(&mut add);
    of_aliases.iter().filter_map(shown).for_each(&mut add);
    of_tables(source_properties::declared()).for_each(&mut add);
    of_tables(OWN_PROPERTIES).for_each(&mut add);
    settings.iter().filter_map(shown).for_each(&mut add);
    groups
}

/// The settings of one of Kafka's clients that are given. Most of what both clients have means the same for both.
fn client_settings(prefix: &str, given: &Given, errors: &mut Errors) -> Vec<PropertyShown> {
    let mut shown = Vec::new();
    for (name, text) in given {
        let Some(bare) = name.strip_prefix(prefix) else { continue };
        shown.push(match producer::property(bare) {
            Some(property) => PropertyShown::new(property, prefix, given, errors),
            None => {
                let errors = errors.remove(name).unwrap_or_default();
                let mut unknown = PropertyShown::unknown((name.clone(), errors));
                let is_hidden = producer::may_be_secret(bare);
                unknown.value.value =
                    if is_hidden { Some(HIDDEN.to_owned()) } else { text.clone() };
                unknown
            }
        });
    }
    shown
}

/// The settings of the converter that `given` names for `role`, if it can be used.
fn converter_settings(
    role: &str,
    given: &Given,
    configs: &[PropertyShown],
    errors: &mut Errors,
) -> Vec<PropertyShown> {
    let is_refused =
        configs.iter().any(|shown| shown.value.name == role && !shown.value.errors.is_empty());
    let Some(Some(class)) = given.get(role).filter(|_| !is_refused) else { return Vec::new() };
    let Some(table) = converter::settings_of(class) else { return Vec::new() };
    let prefix = format!("{role}.");
    let mut given = given.clone();
    // Connect tells a converter what it writes.
    let side = role.trim_end_matches(".converter").to_owned();
    given.entry(format!("{prefix}{}", converter::TYPE)).or_insert(Some(side));
    table.iter().map(|property| PropertyShown::new(property, &prefix, &given, errors)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::producer_properties::PRODUCER_PROPERTIES;
    use super::super::source_check::tests::worker;
    use super::super::worker::Mode;
    use super::*;

    fn validation(given: &[(&str, &str)], problems: &[(&str, &str)]) -> Validation {
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned())));
        let problems =
            problems.iter().map(|(name, text)| Problem::of_server(name, (*text).to_owned()));
        let problems: Vec<_> = problems.collect();
        Validation::new("MongoSource", &given.collect(), &problems, &worker())
    }

    fn value_of<'a>(validation: &'a Validation, name: &str) -> &'a ValueShown {
        let mut values = validation.configs.iter().map(|shown| &shown.value);
        values.find(|value| value.name == name).expect(name)
    }

    #[test]
    fn every_property_that_is_shown_says_what_it_is_for() {
        let converters = ["Json", "String", "ByteArray"];
        let converters = converters.into_iter().filter_map(converter::settings_of).flatten();
        for property in declared().into_iter().chain(PRODUCER_PROPERTIES).chain(converters) {
            let shown = serde_json::to_value(DefinitionShown::new(property, "")).unwrap();
            assert_ne!(shown["documentation"], "", "{}", property.name);
        }
        for property in declared() {
            assert!(property.definition.group().is_some(), "{}", property.name);
        }
    }

    #[test]
    fn what_both_declare_stands_once_where_connect_has_it() {
        let names: Vec<&str> = declared().iter().map(|property| property.name).collect();
        let place = |name: &str| names.iter().position(|other| *other == name).unwrap();
        for pair in [
            "errors.retry.delay.max.ms",
            "errors.tolerance",
            "errors.log.enable",
            "errors.log.include.messages",
        ]
        .windows(2)
        {
            assert_eq!(place(pair[0]) + 1, place(pair[1]));
        }
        let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(once.len(), names.len());
        assert!(place("name") == 0 && place("offsets.storage.topic") < place("connection.uri"));
    }

    #[test]
    fn errors_are_counted_and_stand_with_what_they_are_about() {
        let json = ("key.converter", "JsonConverter");
        let validation = validation(
            &[json, ("producer.override.sasl.jaas.config", "s3cret")],
            &[
                ("batch.size", "one"),
                ("batch.size", "two"),
                ("transforms.a.type", "three"),
                ("key.converter.schemas.enable", "four"),
                ("key.converter.schemas.enable", "five"),
                ("producer.override.sasl.jaas.config", "six"),
            ],
        );
        let errors: Vec<&str> = validation.errors().collect();
        assert_eq!(errors, ["three", "one", "two", "six", "four", "five"]);
        assert_eq!(validation.error_count(), 5, "a setting counts once");
        assert!(validation.configs[0].definition.is_none());
        assert_eq!(
            value_of(&validation, "key.converter.converter.type").value.as_deref(),
            Some("key")
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let given = [
            ("connection.uri", "mongodb://u:s3cret@h/"),
            ("connection.ssl.keystorePassword", "s3cret"),
            ("producer.override.ssl.key.password", "s3cret"),
            ("producer.override.sasl.jaas.config", "s3cret"),
            ("producer.override.sasl.jaas.confg", "s3cret"),
            ("producer.override.ssl.keystore.pasword", "s3cret"),
        ];
        let validation = validation(&given, &[]);
        for (name, _) in given {
            assert_eq!(value_of(&validation, name).value.as_deref(), Some(HIDDEN), "{name}");
        }
        assert!(!serde_json::to_string(&validation).unwrap().contains("s3cret"));
    }

    #[test]
    fn a_placeholder_is_shown_where_connect_shows_what_it_stands_for() {
        let text = "config.providers=env\nconfig.providers.env.class=EnvVarConfigProvider\n\
                    key.converter=String\nvalue.converter=String\noffset.storage.file.filename=/o";
        let (worker, _) =
            WorkerConfig::parse("w".as_ref(), text.as_bytes(), Mode::Standalone, true).unwrap();
        let given = [
            ("batch.size", "${env:PATH}", Some("${env:PATH}")),
            ("key.converter", "${env:PATH}", Some("${env:PATH}")),
            ("connection.uri", "mongodb://${env:PATH}", Some(HIDDEN)),
            ("poll.max.batch.size", "${vault:x}", None),
        ];
        let all = given.map(|(name, text, _)| (name.to_owned(), Some(text.to_owned())));
        let validation = Validation::new("MongoSource", &all.into(), &[], &worker);
        for (name, _, shown) in given {
            assert_eq!(value_of(&validation, name).value.as_deref(), shown, "{name}");
        }
    }

    #[test]
    fn worker_says_what_a_connector_leaves_open() {
        let json = "org.apache.kafka.connect.json.JsonConverter";
        let open = validation(&[], &[]);
        assert_eq!(value_of(&open, "key.converter").value.as_deref(), Some(json));
        let named = validation(&[("key.converter", "String")], &[]);
        let class = "org.apache.kafka.connect.storage.StringConverter";
        assert_eq!(value_of(&named, "key.converter").value.as_deref(), Some(class));
        assert_eq!(
            value_of(&named, "key.converter.converter.encoding").value.as_deref(),
            Some("UTF-8")
        );
        let of_headers = |worker: &WorkerConfig| {
            let open = Validation::new("MongoSource", &Given::new(), &[], worker);
            let open = serde_json::to_value(&open).unwrap();
            let mut shown = open["configs"].as_array().unwrap().iter();
            let shown = shown.find(|shown| shown["value"]["name"] == "header.converter").unwrap();
            [&shown["value"]["value"], &shown["definition"]["default_value"]].map(Clone::clone)
        };
        let mut worker = worker();
        let simple = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
        assert_eq!(of_headers(&worker), [simple, simple]);
        worker.header_converter.insert("header.converter".to_owned(), "StringConverter".to_owned());
        assert_eq!(of_headers(&worker), [class, class]);
    }
}
