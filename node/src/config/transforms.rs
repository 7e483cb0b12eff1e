//! `transforms` and `predicates`: the chain that a connector's file describes.
//!
//! ```text
//!  transforms=route,stamp                     aliases, each once
//!  transforms.route.type=…RegexRouter         a class of Connect's box, by its name with or without the package
//!  transforms.route.regex=…                   what the class takes, see `transform_classes`
//!  transforms.route.predicate=isOrders        an alias of `predicates`
//!  transforms.route.negate=true               applied where the predicate does not hold
//!  predicates=isOrders
//!  predicates.isOrders.type=…TopicNameMatches
//! ```
//!
//! Java finds an unknown predicate when the connector starts, here the check of the file finds it. Facts:
//! `ConnectorConfig.enrich` and `transformationStages` of Connect 4.1.0.

use std::collections::BTreeMap;

use millrace_core::transform::{Chain, Condition, Predicate, Stage};

use super::error::{Reason, Shown};
use super::property::{Kind, Property, Values, check_all, nearest};
use super::report::Report;
use super::transform_classes::{Class, PREDICATES, TRANSFORMATIONS, is_abstract, side_of};

const TRANSFORMS: &str = "transforms";
const ALIASES: &str = "predicates";
const ONE_VERSION: &str = "transformations and predicates are built in and have one version";

/// What every transformation takes beside its own settings.
const OF_ALL: &[Property] = &[
    TYPE,
    VERSION,
    Property::optional("predicate", Kind::Text)
        .medium("The name of a condition; the transformation is for the records that fulfil it."),
    Property::boolean("negate", "false")
        .medium("Whether the transformation is for the records that do not fulfil the condition."),
];
/// What every predicate takes.
const OF_ALL_PREDICATES: &[Property] = &[TYPE, VERSION];
const TYPE: Property = Property::optional("type", Kind::Class)
    .required()
    .high("The class, with or without its package.");
const VERSION: Property = Property::optional("plugin.version", Kind::Text)
    .only(&[CLASSES_VERSION], ONE_VERSION)
    .high("The version of the class that is wanted; there is one.");
/// The version of Connect whose transformations and predicates these are.
const CLASSES_VERSION: &str = "4.1.0";

/// The settings of one alias.
pub(super) struct Settings {
    /// `transforms.<alias>.`
    pub(super) prefix: String,
    pub(super) values: Values,
    /// Whose key or value it changes; for classes without sides it says nothing.
    pub(super) class: String,
}

impl Settings {
    /// The whole name of a setting.
    pub(super) fn name(&self, setting: &str) -> String {
        format!("{}{setting}", self.prefix)
    }

    /// Refuses a setting as it is written.
    pub(super) fn refuse(&self, setting: &str, reason: Reason, report: &mut Report) {
        let shown = match self.values.list(setting) {
            [] => self.values.text(setting).to_owned(),
            items => format!("[{}]", items.join(", ")),
        };
        report.refuse(&self.name(setting), Shown::Text(shown), reason);
    }
}

/// The chain of a connector's file; `None` if something was refused. It may be empty.
pub(super) fn parse_chain(
    values: &Values,
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<Chain> {
    let aliases = aliases(TRANSFORMS, values, given, report)?;
    let of_predicates = self::aliases(ALIASES, values, given, report)?;
    let mut predicates = BTreeMap::new();
    let mut is_whole = true;
    for alias in of_predicates {
        let prefix = format!("{ALIASES}.{alias}.");
        let made = settings(&prefix, of_predicates, OF_ALL_PREDICATES, PREDICATES, given, report)
            .and_then(|(class, settings)| (class.make)(&settings, report));
        is_whole &= made.is_some();
        predicates.insert(alias.as_str(), made);
    }
    let mut stages = Vec::new();
    for alias in aliases {
        let prefix = format!("{TRANSFORMS}.{alias}.");
        let stage = settings(&prefix, aliases, OF_ALL, TRANSFORMATIONS, given, report).and_then(
            |(class, settings)| {
                let condition = condition(&settings, given, &predicates, report);
                let transformation = (class.make)(&settings, report)?;
                let class = format!("org.apache.kafka.connect.transforms.{}", settings.class);
                Some(Stage { alias: alias.clone(), class, condition: condition?, transformation })
            },
        );
        is_whole &= stage.is_some();
        stages.extend(stage);
    }
    is_whole.then(|| Chain::new(stages))
}

/// The aliases of a list, if each is there once. Settings of others are warned of.
fn aliases<'a>(
    list: &str,
    values: &'a Values,
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<&'a [String]> {
    let aliases = values.list(list);
    let is_twice =
        |(index, alias): (usize, &String)| aliases.iter().take(index).any(|other| other == alias);
    if aliases.iter().enumerate().any(is_twice) {
        let shown = Shown::Text(format!("[{}]", aliases.join(", ")));
        report.refuse(list, shown, Reason::DuplicateAlias);
        return None;
    }
    let prefix = format!("{list}.");
    for name in given.keys().filter(|name| name.starts_with(&prefix)) {
        let is_ours = |alias: &String| name.starts_with(&format!("{prefix}{alias}."));
        if !aliases.iter().any(is_ours) {
            report.unknown(name, None);
        }
    }
    Some(aliases)
}

/// What a form shows of the classes that there are, and of the one that is wanted.
pub(super) struct Plugin {
    /// The whole names of all classes, in the order of the alphabet.
    pub(super) classes: Vec<String>,
    /// The wanted class with its package, also one of which there are only sides; `None`: there is no such class.
    pub(super) class: Option<String>,
    /// What it takes: `type` and `plugin.version`, then the rest in Connect's order.
    pub(super) table: Vec<Property>,
}

/// A transformation by what its `type` says.
pub(super) fn transformation(written: Option<&str>) -> Plugin {
    plugin(written, TRANSFORMATIONS, OF_ALL)
}

/// A predicate by what its `type` says.
pub(super) fn predicate(written: Option<&str>) -> Plugin {
    plugin(written, PREDICATES, OF_ALL_PREDICATES)
}

fn plugin<T>(
    written: Option<&str>,
    classes: &'static [Class<T>],
    of_all: &'static [Property],
) -> Plugin {
    let names = classes.iter().flat_map(Class::full_names).collect();
    let found = written.and_then(|written| find(written.trim(), classes));
    let Some((class, name)) = found else {
        let class = written.and_then(|written| is_abstract(written.trim()));
        return Plugin { classes: names, class, table: vec![TYPE, VERSION] };
    };
    let own = of_all.iter().filter(|property| ![TYPE.name, VERSION.name].contains(&property.name));
    let mut own: Vec<Property> = own.chain(class.table).map(|row| class.with_need(*row)).collect();
    own.sort_by_key(|property| (property.definition.rank(), property.name));
    let version = VERSION.default_of_java(Some(CLASSES_VERSION)).recommends(&[CLASSES_VERSION]);
    let mut table = vec![TYPE, version];
    table.append(&mut own);
    Plugin { classes: names, class: Some(format!("{}{name}", class.package)), table }
}

/// The class that `prefix` names, and its settings.
fn settings<T>(
    prefix: &str,
    aliases: &[String],
    of_all: &'static [Property],
    classes: &'static [Class<T>],
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<(&'static Class<T>, Settings)> {
    let type_of = format!("{prefix}type");
    let Some(written) = given.get(&type_of).map(|class| class.trim()) else {
        report.missing(&type_of);
        return None;
    };
    let Some((class, name)) = find(written, classes) else {
        let shown = Shown::Text(written.to_owned());
        match is_abstract(written) {
            Some(name) => report.problem(&type_of, Reason::AbstractClass(name)),
            None => report.refuse(&type_of, shown, Reason::ClassNotFound(written.to_owned())),
        }
        return None;
    };
    // An alias may begin like another one: settings are those of the longest.
    let of_another = |name: &str| {
        let longer = aliases.iter().map(|alias| {
            let list = prefix.split_once('.').map_or("", |(list, _)| list);
            format!("{list}.{alias}.")
        });
        longer.into_iter().any(|other| prefix.len() < other.len() && name.starts_with(&other))
    };
    let own: BTreeMap<String, String> = given
        .iter()
        .filter(|(name, _)| !of_another(name))
        .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect();
    let table = || of_all.iter().chain(class.table);
    let (values, unknown) = check_all(table(), &own, prefix, report);
    for name in unknown {
        let near = nearest(name, table().map(|property| property.name));
        report.unknown(&format!("{prefix}{name}"), near.map(|near| format!("{prefix}{near}")));
    }
    let missing = class.required.iter().filter(|name| !own.contains_key(**name));
    let missing: Vec<String> = missing.map(|name| format!("{prefix}{name}")).collect();
    for name in &missing {
        report.missing(name);
    }
    let settings = Settings { prefix: prefix.to_owned(), values, class: name };
    missing.is_empty().then_some((class, settings))
}

/// The class of a name, with or without its package, and the name without it.
fn find<T>(written: &str, classes: &'static [Class<T>]) -> Option<(&'static Class<T>, String)> {
    classes.iter().find_map(|class| {
        let name = written.strip_prefix(class.package).unwrap_or(written);
        let bare = match side_of(name) {
            Some((bare, _)) if class.has_sides => bare,
            None if !class.has_sides => name,
            Some(_) | None => return None,
        };
        (bare == class.name).then(|| (class, name.to_owned()))
    })
}

/// `predicate` and `negate` of a transformation; `None` if they were refused.
fn condition(
    settings: &Settings,
    given: &BTreeMap<String, String>,
    predicates: &BTreeMap<&str, Option<Predicate>>,
    report: &mut Report,
) -> Option<Option<Condition>> {
    let Some(alias) = settings.values.optional_text("predicate") else {
        let (negate, predicate) = (settings.name("negate"), settings.name("predicate"));
        if given.contains_key(&negate) {
            let reason = format!(
                "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be \
                 negated."
            );
            report.problem(&settings.name("type"), Reason::Conflict(reason));
            return None;
        }
        return Some(None);
    };
    let Some(predicate) = predicates.get(alias) else {
        let reason = format!("Unknown configuration '{ALIASES}.{alias}.type'");
        settings.refuse("predicate", Reason::Conflict(reason), report);
        return None;
    };
    let negate = settings.values.boolean("negate");
    predicate.clone().map(|predicate| Some(Condition { predicate, negate }))
}

#[cfg(test)]
mod tests {
    use super::super::converter::{ConverterKind, HeaderConverterKind};
    use super::super::source_check::tests::{error, source};

    const ROUTE: &str = "transforms=r\ntransforms.r.type=RegexRouter\ntransforms.r.regex=a(.*)\n\
                         transforms.r.replacement=b$1";

    #[test]
    fn a_chain_is_in_the_order_of_its_aliases() {
        let lines = "transforms=b, a\ntransforms.a.type=org.apache.kafka.connect.transforms.Filter\n\
                     transforms.b.type=InsertField$Value\ntransforms.b.static.field=f\n\
                     transforms.b.static.value=v\ntransforms.a.predicate=p\ntransforms.a.negate=true\n\
                     predicates=p\npredicates.p.type=RecordIsTombstone";
        let (config, notices) = source(lines, true).unwrap();
        let chain = format!("{:?}", config.chain);
        let place = |text: &str| chain.find(text).unwrap_or_else(|| panic!("{text} in {chain}"));
        assert!(place("InsertField") < place("negate: true"));
        assert!(place("negate: true") < place("transformation: Filter"));
        assert_eq!(notices, []);
        assert!(source("transforms=", true).unwrap().0.chain.is_empty());
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_java() {
        for (lines, message) in [
            (
                "transforms=a,b,a",
                "Invalid value [a, b, a] for configuration transforms: Duplicate alias provided.",
            ),
            (
                "transforms=a",
                "Missing required configuration \"transforms.a.type\" which has no default value.",
            ),
            (
                "transforms=a\ntransforms.a.type=com.x.Smt",
                "Invalid value com.x.Smt for configuration transforms.a.type: Class com.x.Smt could not be found.",
            ),
            (
                "transforms=a\ntransforms.a.type=org.apache.kafka.connect.transforms.MaskField",
                "This class is abstract and cannot be created. Did you mean \
                 org.apache.kafka.connect.transforms.MaskField$Key, \
                 org.apache.kafka.connect.transforms.MaskField$Value?",
            ),
            (
                "transforms=a\ntransforms.a.type=Filter\ntransforms.a.negate=true",
                "Config 'transforms.a.negate' was provided but there is no config 'transforms.a.predicate' \
                 defining a predicate to be negated.",
            ),
            (
                "transforms=a\ntransforms.a.type=Filter\ntransforms.a.predicate=p",
                "Invalid value p for configuration transforms.a.predicate: Unknown configuration \
                 'predicates.p.type'",
            ),
            (
                "transforms=a\ntransforms.a.type=RegexRouter\ntransforms.a.regex=(\ntransforms.a.replacement=x",
                "Invalid value ( for configuration transforms.a.regex: Invalid regex: Unclosed group near index 1\n(",
            ),
            (
                "transforms=a\ntransforms.a.type=HoistField$Key",
                "Missing required configuration \"transforms.a.field\" which has no default value.",
            ),
            (
                "transforms=a\ntransforms.a.type=DropHeaders\ntransforms.a.headers=",
                "Invalid value [] for configuration transforms.a.headers: Empty list",
            ),
            ("transforms=a\ntransforms.a.type=InsertField$Key", "No field insertion configured"),
            (
                "transforms=a\ntransforms.a.type=Cast$Value\ntransforms.a.spec=a:int9",
                "Invalid type found in casting spec: int9",
            ),
            (
                "predicates=p\npredicates.p.type=TopicNameMatches\npredicates.p.pattern=",
                "Invalid value  for configuration predicates.p.pattern: String must be non-empty",
            ),
        ] {
            let error = error(lines);
            assert!(error.ends_with(message), "{error}\nwant: {message}");
        }
    }

    #[test]
    fn settings_that_nobody_knows_are_warned_of() {
        let lines = format!("{ROUTE}\ntransforms.r.regexp=x\ntransforms.s.type=Filter");
        let (_, notices) = source(&lines, false).unwrap();
        let texts: Vec<_> = notices.iter().map(|notice| notice.text.as_str()).collect();
        assert!(
            texts.iter().any(|text| text.ends_with("Did you mean 'transforms.r.regex'?")),
            "{texts:?}"
        );
        assert!(texts.iter().any(|text| text.contains("'transforms.s.type'")), "{texts:?}");
    }

    #[test]
    fn headers_are_written_by_a_converter_where_there_are_transformations() {
        let of = |lines: &str| source(lines, true).unwrap();
        assert_eq!(of(ROUTE).0.header_converter, HeaderConverterKind::Simple);
        let text = HeaderConverterKind::Of(ConverterKind::String);
        assert_eq!(of(&format!("{ROUTE}\nheader.converter=String")).0.header_converter, text);
        let (config, notices) = of("header.converter=com.x.Avro");
        assert_eq!(config.header_converter, HeaderConverterKind::Simple);
        assert!(notices[0].text.contains("records have no headers"), "{notices:?}");
        let error = error(&format!("{ROUTE}\nheader.converter=com.x.Avro"));
        assert!(
            error.contains("com.x.Avro for configuration header.converter: not supported"),
            "{error}"
        );
    }

    #[test]
    fn an_alias_may_begin_like_another() {
        let lines = "transforms=a,a.b\ntransforms.a.type=Filter\ntransforms.a.b.type=HoistField$Key\n\
                     transforms.a.b.field=f";
        assert_eq!(source(lines, true).unwrap().1, []);
    }
}
