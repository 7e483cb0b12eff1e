//! Which converter writes keys or values, and its settings.
//!
//! A connector that names a converter brings that converter's settings along; else the worker's
//! converter and the worker's settings count, and settings in the connector's file are without
//! effect, as in Java (`Worker.startTask`: `plugins.newConverter(connectorConfig, …)`, then the
//! worker's).
//!
//! The setting of `JsonConverter` that concerns the schema cache changes nothing.

use std::collections::BTreeMap;

use millrace_core::connect::{DecimalFormat, JsonSettings};

use super::definition::Width;
use super::error::{Reason, Shown};
use super::property::{Kind, Property, check_all, nearest};
use super::report::Report;

const CLASSES: &str = "converters are StringConverter, ByteArrayConverter and JsonConverter; others come \
     with a later version";
const NO_CACHE: &str = "the JSON of a given schema is made once";

/// The property of the converter of headers.
pub(super) const HEADER_CONVERTER: &str = "header.converter";

/// A converter of Kafka Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConverterKind {
    /// Bytes as they are.
    ByteArray,
    /// A JSON text; with `schemas` in an envelope of schema and payload.
    Json {
        /// `schemas.enable`.
        schemas: bool,
        /// Those that concern values.
        settings: JsonSettings,
    },
    /// UTF-8 text.
    String,
}

impl ConverterKind {
    const JSON: Self = Self::Json { schemas: true, settings: JsonSettings::DEFAULT };
    const ALL: [Self; 3] = [Self::ByteArray, Self::JSON, Self::String];

    fn of_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| is_named(kind.class(), class))
    }

    /// Its Java class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::ByteArray => "org.apache.kafka.connect.converters.ByteArrayConverter",
            Self::Json { .. } => "org.apache.kafka.connect.json.JsonConverter",
            Self::String => "org.apache.kafka.connect.storage.StringConverter",
        }
    }

    fn settings(self) -> &'static [Property] {
        match self {
            Self::ByteArray => BYTE_ARRAY_SETTINGS,
            Self::Json { .. } => JSON_SETTINGS,
            Self::String => STRING_SETTINGS,
        }
    }
}

/// The classes of the converters that there are.
pub(crate) const CONVERTER_CLASSES: [&str; 3] =
    [ConverterKind::ByteArray.class(), ConverterKind::JSON.class(), ConverterKind::String.class()];

/// The version of these converters.
pub(crate) const CONVERTER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The class that writes headers unless another is named.
pub(super) const HEADER_CONVERTER_CLASS: &str =
    "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// The class that `text` names, whole; `None` if it is no converter.
pub(super) fn class_name(text: &str) -> Option<&'static str> {
    if is_named(HEADER_CONVERTER_CLASS, text) {
        return Some(HEADER_CONVERTER_CLASS);
    }
    Some(ConverterKind::of_class(text)?.class())
}

/// Whether `text` names a class as Connect takes it: whole, without its package, without `Converter` too.
fn is_named(class: &str, text: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    let short = simple.strip_suffix("Converter").unwrap_or(simple);
    [class, simple, short].contains(&text.trim())
}

/// The settings of the converter that `text` names; `None` if it is no converter.
pub(super) fn settings_of(text: &str) -> Option<&'static [Property]> {
    Some(ConverterKind::of_class(text)?.settings())
}

/// What a converter writes: `key`, `value` or `header`. Connect sets it by itself.
pub(super) const TYPE: &str = "converter.type";

/// The settings of each converter, without the prefix.
/// What headers are written by. Only transformations make headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderConverterKind {
    /// `SimpleHeaderConverter`, Connect's default.
    Simple,
    /// One that writes keys and values, too.
    Of(ConverterKind),
}

/// The settings of `JsonConverter` and of `StringConverter`, without the prefix.
const JSON_SETTINGS: &[Property] = &[
    CONVERTER_TYPE,
    Property::boolean("schemas.enable", "true")
        .high("Whether every key or value is written in an envelope with its schema.")
        .at("Schemas", 0, Width::Medium, "Enable Schemas"),
    Property::int("schemas.cache.size", "1000")
        .accepted(NO_CACHE)
        .high("How many schemas Java keeps; without effect here.")
        .at("Schemas", 1, Width::Medium, "Schema Cache Size"),
    Property::text("decimal.format", "BASE64")
        .one_of_strings_any_case(&["NUMERIC", "BASE64"])
        .low("How a decimal is written: as base64 text or as a number.")
        .at("Serialization", 0, Width::Medium, "Decimal Format"),
    Property::boolean("replace.null.with.default", "true")
        .low("Whether a null is written as the default of its schema.")
        .at("Serialization", 1, Width::Medium, "Replace null with default"),
];
const STRING_SETTINGS: &[Property] = &[
    CONVERTER_TYPE,
    Property::text("converter.encoding", "UTF-8")
        .only(&["UTF-8", "UTF8"], "texts are written as UTF-8")
        .high("The character set of texts.")
        .titled(Width::Medium, "Encoding"),
];
const BYTE_ARRAY_SETTINGS: &[Property] = &[CONVERTER_TYPE];
const CONVERTER_TYPE: Property = Property::optional(TYPE, Kind::Text)
    .required()
    .one_of_strings(&["key", "value", "header"])
    .accepted("the worker sets it by itself")
    .low("Whether keys, values or headers are written; the worker says it.");

/// Reads the converter that `role` (`key.converter` or `value.converter`) names in `properties`,
/// with its settings. `None` if there is none, or if it was refused.
pub(super) fn parse_converter(
    role: &str,
    properties: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<ConverterKind> {
    let class = properties.get(role).map(|class| class.trim())?;
    let Some(kind) = ConverterKind::of_class(class) else {
        report.refuse(role, Shown::Text(class.to_owned()), Reason::NotYet(CLASSES));
        return None;
    };
    let table = kind.settings();
    let prefix = format!("{role}.");
    let settings = settings(&prefix, properties);
    let (values, unknown) = check_all(table.iter(), &settings, &prefix, report);
    for name in unknown {
        // Stock worker files set schemas.enable whatever the converter is; Java ignores it.
        if name != "schemas.enable" {
            let near = nearest(name, table.iter().map(|property| property.name));
            report.unknown(&format!("{prefix}{name}"), near.map(|near| format!("{prefix}{near}")));
        }
    }
    Some(match kind {
        ConverterKind::Json { .. } => {
            let is_numeric = values.text("decimal.format").eq_ignore_ascii_case("numeric");
            let decimals = if is_numeric { DecimalFormat::Numeric } else { DecimalFormat::Base64 };
            let replace_null_with_default = values.boolean("replace.null.with.default");
            let settings = JsonSettings { decimals, replace_null_with_default };
            ConverterKind::Json { schemas: values.boolean("schemas.enable"), settings }
        }
        ConverterKind::ByteArray | ConverterKind::String => kind,
    })
}

/// What `header.converter` names in `properties`; `None` if it was refused.
pub(super) fn parse_header_converter(
    properties: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<HeaderConverterKind> {
    let class = properties.get(HEADER_CONVERTER);
    if class.is_none_or(|class| is_named(HEADER_CONVERTER_CLASS, class)) {
        return Some(HeaderConverterKind::Simple);
    }
    parse_converter(HEADER_CONVERTER, properties, report).map(HeaderConverterKind::Of)
}

/// Warns of settings of a converter that the file does not name.
pub(super) fn warn_of_idle_settings(
    role: &str,
    properties: &BTreeMap<String, String>,
    report: &mut Report,
) {
    if properties.contains_key(role) {
        return;
    }
    let prefix = format!("{role}.");
    for name in settings(&prefix, properties).keys() {
        report.warn(format!(
            "{prefix}{name} has no effect without {role} in the same file; the worker's converter \
             is used as it is"
        ));
    }
}

/// The properties that begin with `prefix`, without it. The version of the plug-in is no setting.
fn settings(prefix: &str, properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let settings = properties.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(prefix)?;
        (name != "plugin.version").then(|| (name.to_owned(), value.clone()))
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::super::error::{ConfigError, Subject};
    use super::super::report::Notice;
    use super::*;

    const JSON: ConverterKind = ConverterKind::JSON;

    fn parse(
        entries: &[(&str, &str)],
    ) -> Result<(Option<ConverterKind>, Vec<Notice>), ConfigError> {
        let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut report = Report::new(false, Vec::new());
        let kind = parse_converter("key.converter", &entries.collect(), &mut report);
        report.finish("c".as_ref(), Subject::Worker, Some(kind))
    }

    #[test]
    fn converters_are_known_by_class_and_by_alias() {
        for (class, kind) in [
            ("org.apache.kafka.connect.json.JsonConverter", JSON),
            ("JsonConverter", JSON),
            ("org.apache.kafka.connect.storage.StringConverter", ConverterKind::String),
            (" org.apache.kafka.connect.converters.ByteArrayConverter ", ConverterKind::ByteArray),
        ] {
            assert_eq!(
                parse(&[("key.converter", class)]).unwrap(),
                (Some(kind), Vec::new()),
                "{class}"
            );
        }
    }

    #[test]
    fn schemas_are_on_unless_switched_off() {
        let (kind, notices) =
            parse(&[("key.converter", "Json"), ("key.converter.schemas.enable", "False")]).unwrap();
        let plain = ConverterKind::Json { schemas: false, settings: JsonSettings::DEFAULT };
        assert_eq!((kind, notices), (Some(plain), Vec::new()));
        let (kind, notices) =
            parse(&[("key.converter", "Json"), ("key.converter.decimal.format", "Numeric")])
                .unwrap();
        let settings = JsonSettings { decimals: DecimalFormat::Numeric, ..JsonSettings::DEFAULT };
        let numeric = ConverterKind::Json { schemas: true, settings };
        assert_eq!((kind, notices), (Some(numeric), Vec::new()));
        let (kind, notices) = parse(&[
            ("key.converter", "Json"),
            ("key.converter.replace.null.with.default", "false"),
        ])
        .unwrap();
        let settings = JsonSettings { replace_null_with_default: false, ..JsonSettings::DEFAULT };
        let with_nulls = ConverterKind::Json { schemas: true, settings };
        assert_eq!((kind, notices), (Some(with_nulls), Vec::new()));
        let (kind, notices) =
            parse(&[("key.converter", "String"), ("key.converter.schemas.enable", "true")])
                .unwrap();
        assert_eq!((kind, notices), (Some(ConverterKind::String), Vec::new()));
    }

    #[test]
    fn other_converters_and_encodings_are_refused_by_name() {
        let avro = "io.confluent.connect.avro.AvroConverter";
        let error = parse(&[("key.converter", avro)]).unwrap_err().to_string();
        assert!(error.contains(&format!(
            "Invalid value {avro} for configuration key.converter: not supported"
        )));
        let latin =
            [("key.converter", "String"), ("key.converter.converter.encoding", "ISO-8859-1")];
        assert!(
            parse(&latin).unwrap_err().to_string().contains("key.converter.converter.encoding")
        );
    }

    #[test]
    fn misspelt_setting_is_noted_with_the_likely_name() {
        let (_, notices) =
            parse(&[("key.converter", "Json"), ("key.converter.schema.enable", "x")]).unwrap();
        assert!(notices[0].text.ends_with("Did you mean 'key.converter.schemas.enable'?"));
    }
}
