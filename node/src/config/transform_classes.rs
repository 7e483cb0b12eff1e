//! The transformations and predicates of Connect's box: what each takes, and what is made of that.
//!
//! Types, defaults and messages are those of each class's `ConfigDef` and `configure`, `connect-transforms` 4.1.0.

use millrace_core::connect::parse_literal;
use millrace_core::java_pattern::{JavaPattern, PatternError};
use millrace_core::transform::{
    Cast, DateFormat, DateFormatError, ExtractField, FieldPath, Flatten, Header, HeaderFrom,
    InsertField, Insertion, MaskField, Predicate, RegexRouter, Renames, ReplaceField,
    SetSchemaMetadata, Side, TimeType, TimeUnit, TimestampConverter, Transformation, ValueToKey,
    read_spec,
};

use super::error::Reason;
use super::property::{Kind, Property};
use super::report::Report;
use super::transforms::Settings;

const PACKAGE: &str = "org.apache.kafka.connect.transforms.";
const PREDICATE_PACKAGE: &str = "org.apache.kafka.connect.transforms.predicates.";
const REPLACE_NULL: &str = "replace.null.with.default";
const WITH_DEFAULTS: Property = Property::boolean(REPLACE_NULL, "true")
    .medium("Whether a field that is null is taken for its default, where it has one.");
const LITERALS: &str = "arrays and maps as the literal of a header";

/// A class of the box.
pub(super) struct Class<T> {
    pub(super) package: &'static str,
    pub(super) name: &'static str,
    /// It is used as `…$Key` or `…$Value`.
    pub(super) has_sides: bool,
    pub(super) table: &'static [Property],
    /// Settings without a default.
    pub(super) required: &'static [&'static str],
    /// What is made of the settings; `None` if some were refused.
    pub(super) make: fn(&Settings, &mut Report) -> Option<T>,
}

type Make<T> = fn(&Settings, &mut Report) -> Option<T>;

const fn class<T>(
    name: &'static str,
    table: &'static [Property],
    required: &'static [&'static str],
    make: Make<T>,
) -> Class<T> {
    Class { package: PACKAGE, name, has_sides: false, table, required, make }
}

impl<T> Class<T> {
    /// Its names as `type` may have them, with the package.
    pub(super) fn full_names(&self) -> Vec<String> {
        let sides: &[&str] = if self.has_sides { &["$Key", "$Value"] } else { &[""] };
        sides.iter().map(|side| format!("{}{}{side}", self.package, self.name)).collect()
    }

    /// A row of the table, which is marked if the class cannot do without.
    pub(super) fn with_need(&self, row: Property) -> Property {
        if self.required.contains(&row.name) { row.required() } else { row }
    }

    const fn with_sides(mut self) -> Self {
        self.has_sides = true;
        self
    }

    const fn predicate(mut self) -> Self {
        self.package = PREDICATE_PACKAGE;
        self
    }
}

/// Every transformation.
pub(super) const TRANSFORMATIONS: &[Class<Transformation>] = &[
    class(
        "Cast",
        &[
            Property::list("spec", "").high(
                "The fields and the type of each, field:type; a type alone is for the whole.",
            ),
            WITH_DEFAULTS,
        ],
        &["spec"],
        cast,
    )
    .with_sides(),
    class(
        "DropHeaders",
        &[Property::list("headers", "").high("The headers to take away.")],
        &["headers"],
        drop_headers,
    ),
    class("ExtractField", EXTRACT_FIELD, &["field"], extract_field).with_sides(),
    class("Filter", &[], &[], |_, _| Some(Transformation::Filter)),
    class(
        "Flatten",
        &[Property::text("delimiter", ".")
            .medium("What stands between the names of nested fields.")],
        &[],
        flatten,
    )
    .with_sides(),
    class("HeaderFrom", HEADER_FROM, &["fields", "headers", "operation"], header_from).with_sides(),
    class(
        "HoistField",
        &[Property::optional("field", Kind::Text).medium("The field that everything is put into.")],
        &["field"],
        hoist_field,
    )
    .with_sides(),
    class("InsertField", INSERT_FIELD, &[], insert_field).with_sides(),
    class("InsertHeader", INSERT_HEADER, &["header", "value.literal"], insert_header),
    class("MaskField", MASK_FIELD, &["fields"], mask_field).with_sides(),
    class("RegexRouter", REGEX_ROUTER, &["regex", "replacement"], regex_router),
    class("ReplaceField", REPLACE_FIELD, &[], replace_field).with_sides(),
    class("SetSchemaMetadata", SET_SCHEMA_METADATA, &[], set_schema_metadata).with_sides(),
    class("TimestampConverter", TIMESTAMP_CONVERTER, &["target.type"], timestamp_converter)
        .with_sides(),
    class("TimestampRouter", TIMESTAMP_ROUTER, &[], |_, _| Some(Transformation::TimestampRouter)),
    class(
        "ValueToKey",
        &[
            Property::list("fields", "").high("The fields of the value that make the key."),
            WITH_DEFAULTS,
        ],
        &["fields"],
        value_to_key,
    ),
];

/// Every predicate.
pub(super) const PREDICATES: &[Class<Predicate>] = &[
    class(
        "HasHeaderKey",
        &[Property::optional("name", Kind::Text)
            .non_empty()
            .medium("The header that is looked for.")],
        &["name"],
        |of, _| Some(Predicate::HasHeaderKey(of.values.text("name").to_owned())),
    )
    .predicate(),
    class("RecordIsTombstone", &[], &[], |_, _| Some(Predicate::RecordIsTombstone)).predicate(),
    class(
        "TopicNameMatches",
        &[Property::optional("pattern", Kind::Text)
            .non_empty()
            .medium("The expression that the whole name of the topic fits.")],
        &["pattern"],
        |of, report| {
            let pattern = pattern(of, "pattern", JavaPattern::of_whole, report)?;
            Some(Predicate::TopicNameMatches(Box::new(pattern)))
        },
    )
    .predicate(),
];

/// The name without its side, and the side: `InsertField$Value`.
pub(super) fn side_of(name: &str) -> Option<(&str, Side)> {
    let key = name.strip_suffix("$Key").map(|bare| (bare, Side::Key));
    key.or_else(|| name.strip_suffix("$Value").map(|bare| (bare, Side::Value)))
}

/// The whole name of a class that is used by its sides only, if `written` is one.
pub(super) fn is_abstract(written: &str) -> Option<String> {
    let name = written.strip_prefix(PACKAGE).unwrap_or(written);
    let is_one = TRANSFORMATIONS.iter().any(|class| class.has_sides && class.name == name);
    is_one.then(|| format!("{PACKAGE}{name}"))
}

fn side(of: &Settings) -> Side {
    side_of(&of.class).map_or(Side::Value, |(_, side)| side)
}

fn with_defaults(of: &Settings) -> bool {
    of.values.boolean(REPLACE_NULL)
}

fn text(of: &Settings, name: &str) -> String {
    of.values.text(name).to_owned()
}

/// A list that must not be empty.
fn filled(of: &Settings, name: &str, report: &mut Report) -> Option<Vec<String>> {
    let items = of.values.list(name).to_vec();
    if items.is_empty() {
        report.refuse(
            &of.name(name),
            super::error::Shown::Text("[]".to_owned()),
            Reason::EmptyList,
        );
        return None;
    }
    Some(items)
}

/// What `make` makes of a setting that is a regular expression.
fn pattern<T>(
    of: &Settings,
    name: &str,
    make: impl FnOnce(&str) -> Result<T, PatternError>,
    report: &mut Report,
) -> Option<T> {
    make(of.values.text(name))
        .map_err(|error| of.refuse(name, Reason::NotARegex(error), report))
        .ok()
}

fn cast(of: &Settings, report: &mut Report) -> Option<Transformation> {
    match read_spec(of.values.list("spec")) {
        Ok(spec) => Some(Transformation::Cast(Cast {
            side: side(of),
            spec,
            replace_null_with_default: with_defaults(of),
        })),
        Err(error) => {
            report.problem(&of.name("spec"), Reason::Conflict(error.to_string()));
            None
        }
    }
}

fn drop_headers(of: &Settings, report: &mut Report) -> Option<Transformation> {
    filled(of, "headers", report).map(Transformation::DropHeaders)
}

const EXTRACT_FIELD: &[Property] = &[
    Property::optional("field", Kind::Text).medium("The field to take out."),
    WITH_DEFAULTS,
    Property::text("field.syntax.version", "V1")
        .one_of_strings_any_case(&["V1", "V2"])
        .high("How field is read: as one name (V1), or as a path with dots (V2)."),
];

fn extract_field(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let field = text(of, "field");
    let is_path = of.values.text("field.syntax.version").eq_ignore_ascii_case("V2");
    let path = match FieldPath::parse(&field) {
        Ok(path) if is_path => path,
        Err(at) if is_path => {
            let reason = format!(
                "Incomplete backtick pair in path: [{field}], consider adding a backslash before backtick at \
                 position {} to escape it",
                at.0
            );
            report.problem(&of.name("field"), Reason::Conflict(reason));
            return None;
        }
        Ok(_) | Err(_) => FieldPath::name(&field),
    };
    let replace_null_with_default = with_defaults(of);
    let extract = ExtractField { side: side(of), field, path, replace_null_with_default };
    Some(Transformation::ExtractField(extract))
}

fn flatten(of: &Settings, _: &mut Report) -> Option<Transformation> {
    Some(Transformation::Flatten(Flatten { side: side(of), delimiter: text(of, "delimiter") }))
}

const HEADER_FROM: &[Property] = &[
    Property::list("fields", "").high("The fields that headers are made from."),
    Property::list("headers", "").high("The header of each field, in the same order."),
    Property::optional("operation", Kind::Text)
        .one_of_strings(&["move", "copy"])
        .high("Whether the fields are taken away (move) or stay (copy)."),
    WITH_DEFAULTS,
];

fn header_from(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let (fields, headers) = (filled(of, "fields", report), filled(of, "headers", report));
    let (fields, headers) = (fields?, headers?);
    if fields.len() != headers.len() {
        let reason =
            "'fields' config must have the same number of elements as 'headers' config.".to_owned();
        report.problem(&of.name("fields"), Reason::Conflict(reason));
        return None;
    }
    Some(Transformation::HeaderFrom(HeaderFrom {
        side: side(of),
        names: fields.into_iter().zip(headers).collect(),
        moves: of.values.text("operation") == "move",
        replace_null_with_default: with_defaults(of),
    }))
}

fn hoist_field(of: &Settings, _: &mut Report) -> Option<Transformation> {
    Some(Transformation::HoistField { side: side(of), field: text(of, "field") })
}

const INSERT_FIELD: &[Property] = &[
    Property::optional("topic.field", Kind::Text).medium("The field for the topic of the record."),
    Property::optional("partition.field", Kind::Text)
        .medium("The field for the partition of the record."),
    Property::optional("offset.field", Kind::Text)
        .medium("The field for the offset of the record."),
    Property::optional("timestamp.field", Kind::Text)
        .medium("The field for the timestamp of the record."),
    Property::optional("static.field", Kind::Text).medium("The field for static.value."),
    Property::optional("static.value", Kind::Text).medium("The text of static.field."),
    WITH_DEFAULTS,
];

fn insert_field(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let field = |name: &str| of.values.optional_text(name).map(Insertion::parse);
    let insert = InsertField {
        side: side(of),
        topic: field("topic.field"),
        partition: field("partition.field"),
        offset: field("offset.field"),
        timestamp: field("timestamp.field"),
        fixed: field("static.field")
            .zip(of.values.optional_text("static.value").map(str::to_owned)),
        replace_null_with_default: with_defaults(of),
    };
    let others = [&insert.topic, &insert.partition, &insert.offset, &insert.timestamp];
    let has_fixed = of.values.optional_text("static.field").is_some();
    let reason = if others.iter().all(|field| field.is_none()) && !has_fixed {
        "No field insertion configured".to_owned()
    } else if has_fixed && insert.fixed.is_none() {
        let field = of.values.text("static.field");
        format!(
            "Invalid value null for configuration static.value: No value specified for static field: {field}"
        )
    } else {
        return Some(Transformation::InsertField(insert));
    };
    report.problem(&of.name("static.value"), Reason::Conflict(reason));
    None
}

const INSERT_HEADER: &[Property] = &[
    Property::optional("header", Kind::Text).high("The name of the header."),
    Property::optional("value.literal", Kind::Text).high("The value of the header, as text."),
];

fn insert_header(of: &Settings, report: &mut Report) -> Option<Transformation> {
    match parse_literal(of.values.text("value.literal")) {
        Ok(value) => Some(Transformation::InsertHeader(Header { key: text(of, "header"), value })),
        Err(_) => {
            of.refuse("value.literal", Reason::NotYet(LITERALS), report);
            None
        }
    }
}

const MASK_FIELD: &[Property] = &[
    Property::list("fields", "").high("The fields to mask."),
    Property::optional("replacement", Kind::Text)
        .non_empty()
        .low("What stands in place of numbers and texts; without it what is empty or zero."),
    WITH_DEFAULTS,
];

fn mask_field(of: &Settings, report: &mut Report) -> Option<Transformation> {
    Some(Transformation::MaskField(MaskField {
        side: side(of),
        fields: filled(of, "fields", report)?,
        replacement: of.values.optional_text("replacement").map(str::to_owned),
        replace_null_with_default: with_defaults(of),
    }))
}

const REGEX_ROUTER: &[Property] = &[
    Property::optional("regex", Kind::Text)
        .high("The expression that the name of a topic is to fit."),
    Property::optional("replacement", Kind::Text).high("The new name of such a topic."),
];

fn regex_router(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let make = |regex: &str| RegexRouter::new(regex, of.values.text("replacement"));
    pattern(of, "regex", make, report).map(Transformation::RegexRouter)
}

const REPLACE_FIELD: &[Property] = &[
    Property::list("exclude", "").medium("The fields to take away."),
    Property::list("include", "").medium("The only fields to keep."),
    Property::list("renames", "").medium("The fields to rename, old:new."),
    WITH_DEFAULTS,
];

fn replace_field(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let mut renames = Vec::new();
    for item in of.values.list("renames") {
        // Java's split leaves out what is empty at the end.
        let parts: Vec<&str> = item.trim_end_matches(':').split(':').collect();
        let [old, new] = parts.as_slice() else {
            of.refuse(
                "renames",
                Reason::Conflict(format!("Invalid rename mapping: {item}")),
                report,
            );
            return None;
        };
        renames.push(((*old).to_owned(), (*new).to_owned()));
    }
    Some(Transformation::ReplaceField(ReplaceField {
        side: side(of),
        exclude: of.values.list("exclude").to_vec(),
        include: of.values.list("include").to_vec(),
        renames: Renames::new(renames),
        replace_null_with_default: with_defaults(of),
    }))
}

const SET_SCHEMA_METADATA: &[Property] = &[
    Property::optional("schema.name", Kind::Text).high("The name of the schema."),
    Property::optional("schema.version", Kind::Int).high("The version of the schema."),
    WITH_DEFAULTS,
];

fn set_schema_metadata(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let name = of.values.optional_text("schema.name").map(str::to_owned);
    let version =
        of.values.integer("schema.version").and_then(|version| i32::try_from(version).ok());
    if name.is_none() && version.is_none() {
        let reason = Reason::Conflict("Neither schema name nor version configured".to_owned());
        report.problem(&of.name("schema.name"), reason);
        return None;
    }
    let replace_null_with_default = with_defaults(of);
    let set = SetSchemaMetadata { side: side(of), name, version, replace_null_with_default };
    Some(Transformation::SetSchemaMetadata(set))
}

const TIMESTAMP_CONVERTER: &[Property] = &[
    Property::text("field", "").high("The field with the time; none: the whole."),
    Property::optional("target.type", Kind::Text)
        .one_of_strings(&["string", "unix", "Date", "Time", "Timestamp"])
        .high("What the time is turned into."),
    Property::text("format", "").medium("The pattern of times that are text."),
    Property::text("unix.precision", "milliseconds")
        .one_of_strings(&["nanoseconds", "microseconds", "milliseconds", "seconds"])
        .low("The unit of times that are numbers."),
    WITH_DEFAULTS,
];

fn timestamp_converter(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let target = match of.values.text("target.type") {
        "string" => TimeType::Text,
        "unix" => TimeType::Unix,
        "Date" => TimeType::Date,
        "Time" => TimeType::Time,
        "Timestamp" => TimeType::Timestamp,
        _ => return None,
    };
    let pattern = of.values.text("format");
    let format = match DateFormat::new(pattern) {
        _ if pattern.is_empty() && target == TimeType::Text => {
            let reason = "TimestampConverter requires format option to be specified when using string timestamps";
            report.problem(&of.name("format"), Reason::Conflict(reason.to_owned()));
            return None;
        }
        _ if pattern.is_empty() => None,
        Ok(format) => Some(format),
        Err(DateFormatError::Unsupported(letter)) => {
            let reason =
                format!("not supported by this version: the letter {letter}, or so few of it");
            of.refuse("format", Reason::Conflict(reason), report);
            return None;
        }
        Err(DateFormatError::Illegal) => {
            let reason = format!(
                "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
            );
            report.problem(&of.name("format"), Reason::Conflict(reason));
            return None;
        }
    };
    Some(Transformation::TimestampConverter(TimestampConverter {
        side: side(of),
        field: text(of, "field"),
        target,
        format,
        unit: match of.values.text("unix.precision") {
            "seconds" => TimeUnit::Seconds,
            "microseconds" => TimeUnit::Microseconds,
            "nanoseconds" => TimeUnit::Nanoseconds,
            _ => TimeUnit::Milliseconds,
        },
        replace_null_with_default: with_defaults(of),
    }))
}

const TIMESTAMP_ROUTER: &[Property] = &[
    Property::text("topic.format", "${topic}-${timestamp}")
        .high("The new name, where ${topic} and ${timestamp} stand for what they say."),
    Property::text("timestamp.format", "yyyyMMdd").high("The pattern of ${timestamp}."),
];

fn value_to_key(of: &Settings, report: &mut Report) -> Option<Transformation> {
    let fields = filled(of, "fields", report)?;
    let replace_null_with_default = with_defaults(of);
    Some(Transformation::ValueToKey(ValueToKey { fields, replace_null_with_default }))
}
