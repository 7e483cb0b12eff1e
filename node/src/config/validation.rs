//! What is said of every property of a connector's configuration: Connect's answer to `config/validate`.
//!
//! ```text
//! tables ──► rows ─┐
//! given values ────┼─► definition and value, in the order of Connect's answer
//! problems ────────┘   errors stand with the property that they are about
//! ```
//!
//! Connect's rules: its own properties come first, then the connector's; what both declare stands where Connect has
//! it and says what the connector says. Producer settings and settings of converters follow if they are given. An
//! error about a property that no table has stands in front, without a definition. Passwords are hidden. Behind all
//! of Java's properties are our own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::connect_properties::CONNECT_PROPERTIES;
use super::converter;
use super::definition::{DefinitionShown, HIDDEN};
use super::error::{Problem, Reason, Shown};
use super::own_properties::OWN_PROPERTIES;
use super::producer;
use super::property::{Kind, Property};
use super::source::SourceConfig;
use super::source_properties;

/// What Connect and the connector both declare stands before this property.
const BEHIND_COMMON: &str = "errors.log.include.messages";

/// The whole answer (`ConfigInfos`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Validation {
    /// The connector's class, as it was given.
    name: String,
    error_count: usize,
    groups: Vec<&'static str>,
    configs: Vec<PropertyShown>,
}

/// One property (`ConfigInfo`).
#[derive(Clone, Debug, Serialize)]
struct PropertyShown {
    definition: Option<DefinitionShown>,
    value: ValueShown,
}

/// Its value, and what is wrong with it (`ConfigValueInfo`).
#[derive(Clone, Debug, Serialize)]
struct ValueShown {
    name: String,
    value: Option<String>,
    recommended_values: &'static [&'static str],
    errors: Vec<String>,
    visible: bool,
}

/// What was given; `None`: `null`.
type Given = BTreeMap<String, Option<String>>;
/// Errors by the property that they are about.
type Errors = BTreeMap<String, Vec<String>>;

impl Validation {
    /// What there is to say of `given`, in which `problems` were found. `class` is its `connector.class`.
    pub(crate) fn new(class: &str, given: &Given, problems: &[Problem]) -> Self {
        let mut errors = Errors::new();
        for problem in problems {
            errors.entry(problem.name.clone()).or_default().push(problem.to_string());
        }
        let mut configs: Vec<PropertyShown> = declared()
            .into_iter()
            .map(|property| PropertyShown::new(property, "", given, &mut errors))
            .collect();
        let mut settings = producer_settings(given, &mut errors);
        for role in ["header.converter", "key.converter", "value.converter"] {
            settings.extend(converter_settings(role, given, &configs, &mut errors));
        }
        let mut all: Vec<PropertyShown> = errors.into_iter().map(PropertyShown::unknown).collect();
        all.append(&mut configs);
        let of_connector: usize = all.iter().map(|shown| shown.value.errors.len()).sum();
        // Of settings Connect counts the properties, not the errors.
        let of_settings = settings.iter().filter(|shown| !shown.value.errors.is_empty()).count();
        let groups = groups(&settings);
        all.append(&mut settings);
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
    fn new(property: &Property, prefix: &str, given: &Given, errors: &mut Errors) -> Self {
        let name = format!("{prefix}{}", property.name);
        let value = match given.get(&name) {
            None => property.default_shown(),
            Some(None) => None,
            Some(Some(class)) if property.kind == Kind::Class && name.ends_with(".converter") => {
                converter::class_name(class).map(str::to_owned)
            }
            Some(Some(text)) => property.value_shown(text),
        };
        Self {
            definition: Some(DefinitionShown::new(property, prefix)),
            value: ValueShown {
                value,
                recommended_values: property.definition.recommended(),
                errors: errors.remove(&name).unwrap_or_default(),
                visible: true,
                name,
            },
        }
    }

    /// A property that no table has.
    fn unknown((name, errors): (String, Vec<String>)) -> Self {
        let value =
            ValueShown { name, value: None, recommended_values: &[], errors, visible: true };
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

/// What is wrong with a property that is `null`.
pub(crate) fn objections_to_null(name: &str) -> Vec<Problem> {
    let name = name.to_owned();
    let of_check = declared().into_iter().find(|property| property.name == name);
    let of_check = of_check.and_then(Property::objection_to_null).map(|reason| Problem {
        name: name.clone(),
        value: Some(Shown::Text("null".to_owned())),
        reason,
    });
    let always = Problem { name, value: None, reason: Reason::NullSupplied };
    of_check.into_iter().chain([always]).collect()
}

/// Every property of a connector, in the order of Connect's answer.
fn declared() -> Vec<&'static Property> {
    let is_common = |property: &&Property| COMMON.contains(&property.name);
    let of_connector = source_properties::declared().iter();
    let (common, of_connector): (Vec<&Property>, Vec<_>) = of_connector.partition(is_common);
    let mut all = Vec::new();
    for property in CONNECT_PROPERTIES {
        if property.name == BEHIND_COMMON {
            all.extend(&common);
        }
        all.push(property);
    }
    all.extend(of_connector);
    all.extend(OWN_PROPERTIES);
    all
}

/// What Connect and the connector both declare.
const COMMON: [&str; 2] = ["errors.tolerance", "errors.log.enable"];

/// The groups of all properties and of `settings`, each once.
fn groups(settings: &[PropertyShown]) -> Vec<&'static str> {
    let of_connector = source_properties::declared().iter();
    let properties = CONNECT_PROPERTIES.iter().chain(of_connector).chain(OWN_PROPERTIES);
    let of_properties = properties.filter_map(|property| property.definition.group());
    let of_settings = settings.iter().filter_map(|shown| shown.definition.as_ref()?.group());
    let mut groups = Vec::new();
    for group in of_properties.chain(of_settings) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The `producer.override.*` that are given.
fn producer_settings(given: &Given, errors: &mut Errors) -> Vec<PropertyShown> {
    let mut shown = Vec::new();
    for (name, text) in given {
        let Some(bare) = name.strip_prefix(producer::OVERRIDE) else { continue };
        shown.push(match producer::property(bare) {
            Some(property) => PropertyShown::new(property, producer::OVERRIDE, given, errors),
            None => {
                let errors = errors.remove(name).unwrap_or_default();
                let mut unknown = PropertyShown::unknown((name.clone(), errors));
                let may_be_secret = producer::is_security(bare);
                unknown.value.value =
                    if may_be_secret { Some(HIDDEN.to_owned()) } else { text.clone() };
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
