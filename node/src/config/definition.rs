//! What of a property is shown to who fills in a form: the facts of Java's `ConfigDef.ConfigKey` that no check needs.
//!
//! ```text
//! Property::int("batch.size", "0").at_least(0)          what it is
//!     .medium("How many events …")                      how much it matters, and what it is for
//!     .at(CHANGE_STREAM, 2, Width::Medium, "The …"),    where it stands in a form
//! ```
//!
//! Groups, orders, widths and titles are those of Connect 4.1.0 and of connector 2.0.1, as a worker's
//! `/connector-plugins/{plugin}/config` shows them. What a property is for is said in our own words.

use std::borrow::Cow;

use serde::Serialize;

use super::property::{Kind, Property, Value};

/// How Java shows a value that is a secret.
pub(super) const HIDDEN: &str = "[hidden]";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    importance: Importance,
    documentation: &'static str,
    place: Option<Place>,
    dependents: &'static [&'static str],
    recommended: &'static [&'static str],
    default: DefaultShown,
}

/// How much a property matters.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Importance {
    High,
    Medium,
    Low,
}

/// How much room a value needs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// Where a property stands in a form, and under which title.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: Option<&'static str>,
    order: i32,
    width: Width,
    title: &'static str,
}

/// Which default is shown.
#[derive(Clone, Copy, Debug)]
enum DefaultShown {
    /// The one that counts.
    Used,
    /// Java's, where ours is another one.
    Java(Option<&'static str>),
    /// The number of processors.
    Processors,
    /// There is none: the property must be given.
    Required,
}

impl Definition {
    /// Nothing is known but what the checks need.
    pub(super) const UNKNOWN: Self = Self {
        importance: Importance::Low,
        documentation: "",
        place: None,
        dependents: &[],
        recommended: &[],
        default: DefaultShown::Used,
    };

    /// The values that a form offers.
    pub(super) fn recommended(&self) -> &'static [&'static str] {
        self.recommended
    }

    /// The group that it stands in.
    pub(super) fn group(&self) -> Option<&'static str> {
        self.place.and_then(|place| place.group)
    }

    /// What Java sorts by: what must be given comes first, then what matters more (`ConfigDef.embed`).
    pub(super) fn rank(&self) -> (bool, Importance) {
        (!matches!(self.default, DefaultShown::Required), self.importance)
    }
}

impl Property {
    /// It matters a lot; what it is for.
    pub(crate) const fn high(self, documentation: &'static str) -> Self {
        self.documented(Importance::High, documentation)
    }

    /// It matters; what it is for.
    pub(crate) const fn medium(self, documentation: &'static str) -> Self {
        self.documented(Importance::Medium, documentation)
    }

    /// It matters little; what it is for.
    pub(crate) const fn low(self, documentation: &'static str) -> Self {
        self.documented(Importance::Low, documentation)
    }

    const fn documented(mut self, importance: Importance, documentation: &'static str) -> Self {
        self.definition.importance = importance;
        self.definition.documentation = documentation;
        self
    }

    /// Where it stands in a form.
    pub(crate) const fn at(
        mut self,
        group: &'static str,
        order: i32,
        width: Width,
        title: &'static str,
    ) -> Self {
        self.definition.place = Some(Place { group: Some(group), order, width, title });
        self
    }

    /// Its title, where it stands in no group.
    pub(crate) const fn titled(mut self, width: Width, title: &'static str) -> Self {
        self.definition.place = Some(Place { group: None, order: -1, width, title });
        self
    }

    /// The properties that mean something only beside this one.
    pub(crate) const fn dependents(mut self, names: &'static [&'static str]) -> Self {
        self.definition.dependents = names;
        self
    }

    /// The values that a form offers.
    pub(crate) const fn recommends(mut self, values: &'static [&'static str]) -> Self {
        self.definition.recommended = values;
        self
    }

    /// Java's default, where ours is another one.
    pub(crate) const fn default_of_java(mut self, default: Option<&'static str>) -> Self {
        self.definition.default = DefaultShown::Java(default);
        self
    }

    /// Java's default is the number of processors.
    pub(crate) const fn default_is_processors(mut self) -> Self {
        self.definition.default = DefaultShown::Processors;
        self
    }

    /// It must be given.
    pub(crate) const fn required(mut self) -> Self {
        self.definition.default = DefaultShown::Required;
        self
    }

    /// The value of `text` as Java's REST interface shows it; `None` if it cannot be read.
    pub(super) fn value_shown(&self, text: &str) -> Option<String> {
        self.read(text).ok().map(|value| self.text_of(&value))
    }

    /// The value that counts where none is given, as Java's REST interface shows it.
    pub(super) fn default_shown(&self) -> Option<String> {
        match self.definition.default {
            DefaultShown::Required => None,
            DefaultShown::Used => self.value_shown(self.default?),
            DefaultShown::Java(default) => self.value_shown(default?),
            DefaultShown::Processors => {
                std::thread::available_parallelism().ok().map(|count| count.to_string())
            }
        }
    }

    /// A value as Java shows it.
    pub(super) fn text_of(&self, value: &Value) -> String {
        match value {
            Value::Text(_) if self.kind == Kind::Password => HIDDEN.to_owned(),
            Value::Boolean(is_on) => is_on.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::List(items) => items.join(","),
            Value::Text(text) => text.clone(),
        }
    }
}

/// A property's definition as Java's REST interface shows it (`ConfigKeyInfo`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DefinitionShown {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    default_value: Option<String>,
    importance: Importance,
    documentation: &'static str,
    group: Option<Cow<'static, str>>,
    width: Width,
    display_name: Cow<'static, str>,
    dependents: &'static [&'static str],
    order: i32,
}

impl DefinitionShown {
    /// The group that it stands in.
    pub(super) fn group(&self) -> Option<&Cow<'static, str>> {
        self.group.as_ref()
    }

    /// Puts it at place `order` of a group that has no table of its own.
    pub(super) fn put(&mut self, group: &str, order: i32) {
        self.group = Some(Cow::Owned(group.to_owned()));
        self.order = order;
    }

    /// Gives it a title that is made.
    pub(super) fn entitle(&mut self, title: String) {
        self.display_name = Cow::Owned(title);
        self.width = Width::Long;
    }

    /// Says what counts where nothing is given.
    pub(super) fn set_default(&mut self, default: &str) {
        self.default_value = Some(default.to_owned());
    }

    /// That of `property`, whose name has `prefix` in front where it is given.
    pub(super) fn new(property: &Property, prefix: &str) -> Self {
        let Definition { importance, documentation, place, dependents, default, .. } =
            property.definition;
        Self {
            name: format!("{prefix}{}", property.name),
            kind: property.kind.name(),
            required: matches!(default, DefaultShown::Required),
            default_value: property.default_shown(),
            importance,
            documentation,
            group: property.definition.group().map(Cow::Borrowed),
            width: place.map_or(Width::None, |place| place.width),
            display_name: Cow::Borrowed(place.map_or(property.name, |place| place.title)),
            dependents,
            order: place.map_or(-1, |place| place.order),
        }
    }
}
