//! Which converter writes keys or values, and its settings.
//!
//! A connector that names a converter brings that converter's settings along; else the worker's
//! converter and the worker's settings count, and settings in the connector's file are without
//! effect, as in Java (`Worker.startTask`: `plugins.newConverter(connectorConfig, …)`, then the
//! worker's).
//!
//! The settings of `JsonConverter` that concern defaults and the schema cache change nothing: the
//! MongoDB connector leaves no null where its schema has a default.

use std::collections::BTreeMap;

use millrace_core::connect::DecimalFormat;

use super::error::{Reason, Shown};
use super::property::{Kind, Property, check_all, nearest};
use super::report::Report;

const CLASSES: &str = "converters are StringConverter, ByteArrayConverter and JsonConverter; others come \
     with a later version";
const NO_CACHE: &str = "the JSON of a given schema is made once";
const NO_NULLS: &str = "changes nothing: no null stands where its schema has a default";

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
        /// `decimal.format`.
        decimals: DecimalFormat,
    },
    /// UTF-8 text.
    String,
}

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
    Property::boolean("schemas.enable", "true"),
    Property::int("schemas.cache.size", "1000").at_least(0).accepted(NO_CACHE),
    Property::text("decimal.format", "BASE64").one_of_any_case(&["base64", "numeric"]),
    Property::boolean("replace.null.with.default", "true").accepted(NO_NULLS),
    Property::optional("converter.type", Kind::Text).accepted("the worker sets it by itself"),
];
const STRING_SETTINGS: &[Property] = &[
    Property::text("converter.encoding", "UTF-8")
        .only(&["UTF-8", "UTF8"], "texts are written as UTF-8"),
    Property::optional("converter.type", Kind::Text).accepted("the worker sets it by itself"),
];
const BYTE_ARRAY_SETTINGS: &[Property] =
    &[Property::optional("converter.type", Kind::Text).accepted("the worker sets it by itself")];

/// Reads the converter that `role` (`key.converter` or `value.converter`) names in `properties`,
/// with its settings. `None` if there is none, or if it was refused.
pub(super) fn parse_converter(
    role: &str,
    properties: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<ConverterKind> {
    let class = properties.get(role).map(|class| class.trim())?;
    let kind = match class {
        "org.apache.kafka.connect.json.JsonConverter" | "JsonConverter" | "Json" => {
            ConverterKind::Json { schemas: true, decimals: DecimalFormat::Base64 }
        }
        "org.apache.kafka.connect.storage.StringConverter" | "StringConverter" | "String" => {
            ConverterKind::String
        }
        "org.apache.kafka.connect.converters.ByteArrayConverter"
        | "ByteArrayConverter"
        | "ByteArray" => ConverterKind::ByteArray,
        other => {
            report.refuse(role, Shown::Text(other.to_owned()), Reason::NotYet(CLASSES));
            return None;
        }
    };
    let table = match kind {
        ConverterKind::ByteArray => BYTE_ARRAY_SETTINGS,
        ConverterKind::Json { .. } => JSON_SETTINGS,
        ConverterKind::String => STRING_SETTINGS,
    };
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
            ConverterKind::Json { schemas: values.boolean("schemas.enable"), decimals }
        }
        ConverterKind::ByteArray | ConverterKind::String => kind,
    })
}

/// What `header.converter` names in `properties`; `None` if it was refused.
pub(super) fn parse_header_converter(
    properties: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<HeaderConverterKind> {
    match properties.get(HEADER_CONVERTER).map(|class| class.trim()) {
        None
        | Some(
            "org.apache.kafka.connect.storage.SimpleHeaderConverter"
            | "SimpleHeaderConverter"
            | "Simple",
        ) => Some(HeaderConverterKind::Simple),
        Some(_) => {
            parse_converter(HEADER_CONVERTER, properties, report).map(HeaderConverterKind::Of)
        }
    }
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

    const JSON: ConverterKind =
        ConverterKind::Json { schemas: true, decimals: DecimalFormat::Base64 };

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
        let plain = ConverterKind::Json { schemas: false, decimals: DecimalFormat::Base64 };
        assert_eq!((kind, notices), (Some(plain), Vec::new()));
        let (kind, notices) =
            parse(&[("key.converter", "Json"), ("key.converter.decimal.format", "Numeric")])
                .unwrap();
        let numeric = ConverterKind::Json { schemas: true, decimals: DecimalFormat::Numeric };
        assert_eq!((kind, notices), (Some(numeric), Vec::new()));
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
