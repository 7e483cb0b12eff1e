//! Checks a connector file and makes a [`SourceConfig`] of it.
//!
//! ```text
//! ConnectorFile ─► connector.class ─► tables ─► connection, pipeline, start, … ─► SourceConfig
//!                  (else: refused)    (unknown, not yet, wrong)  (what depends on each other)
//! ```
//!
//! All problems of a file are collected; only a foreign connector class ends the check at once,
//! because its properties stand in no table here.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::format::JsonFormatter;
use millrace_core::transform::Chain;

use super::client_overrides;
use super::collation::parse_collation;
use super::connect_properties::{CONNECT_FAMILIES, CONNECT_PROPERTIES, Fate, family};
use super::connector_file::ConnectorFile;
use super::converter::{
    ConverterKind, HEADER_CONVERTER, HeaderConverterKind, parse_converter, parse_header_converter,
    warn_of_idle_settings,
};
use super::copy_existing;
use super::dead_letters::DeadLetters;
use super::encryption;
use super::error::{ConfigError, Problem, Reason, Shown, Subject};
use super::extended_json::stages_from_json;
use super::heartbeats::Heartbeats;
use super::json_formatter::parse_formatter;
use super::mongo_uri::MongoConnection;
use super::operation_time::OperationTime;
use super::output_schema;
use super::own_properties::{OWN_PROPERTIES, java_version, lost_position, split_large_events};
use super::producer::parse_producer;
use super::property::{Values, check_all, nearest};
use super::providers::{Concealed, Resolved};
use super::report::{Notice, Report};
use super::server_api::ServerApi;
use super::source::{
    FullDocument, FullDocumentBeforeChange, Output, OutputFormat, Publish, Scope, SourceConfig,
    SourcePartition, Startup, Unresolved,
};
use super::source_properties::SOURCE_PROPERTIES;
use super::topic_creation::parse_topic_creation;
use super::topic_naming::TopicNaming;
use super::transforms::parse_chain;
use super::worker::WorkerConfig;

/// The connector's class, and its names without the package as Connect shortens them.
const CLASSES: [&str; 3] =
    ["com.mongodb.kafka.connect.MongoSourceConnector", "MongoSourceConnector", "MongoSource"];
const OTHER_CLASS: &str = "the one connector is com.mongodb.kafka.connect.MongoSourceConnector; \
                           others come with a later version";

/// What was found in a configuration.
pub(crate) struct Examined {
    /// What would run. May be there in spite of problems.
    pub(crate) source: Option<SourceConfig>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<Notice>,
    /// Nothing is wrong with the connector's own properties: Java asks the server then.
    pub(crate) may_connect: bool,
}

impl SourceConfig {
    /// Whether `class` names the connector, by its class or one of its short names.
    pub(crate) fn is_class(class: &str) -> bool {
        CLASSES.contains(&class.trim())
    }

    /// Checks a connector's file against the tables; what it leaves open comes from `worker`.
    /// `strict` refuses properties that nobody knows.
    pub(crate) fn new(
        file: &ConnectorFile,
        worker: &WorkerConfig,
        strict: bool,
    ) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut report = Report::new(strict, file.notices.clone());
        check_class(file, &mut report);
        let config =
            if report.has_problems() { None } else { Self::resolved(file, worker, &mut report) };
        report.finish(&file.path, Subject::Connector, config)
    }

    /// As [`SourceConfig::new`], with all that was found beside what was made of it.
    pub(crate) fn examine(file: &ConnectorFile, worker: &WorkerConfig, strict: bool) -> Examined {
        let mut report = Report::new(strict, file.notices.clone());
        let source = Self::resolved(file, worker, &mut report);
        let may_connect = !report.has_problems_among(SOURCE_PROPERTIES);
        let (problems, notices) = report.into_parts();
        Examined { source, problems, notices, may_connect }
    }

    /// The same connector with what the providers of `worker` have now. Reads files.
    ///
    /// # Errors
    /// When a provider cannot say what it has, or what it has cannot be run.
    pub(crate) fn renewed(&self, worker: &WorkerConfig) -> Result<Self, ConfigError> {
        match &self.unresolved {
            None => Ok(self.clone()),
            // What is to be said about the others was said when they were given.
            Some(Unresolved { file, .. }) => {
                Self::new(file, worker, false).map(|(source, _)| source)
            }
        }
    }

    /// What must not be shown of its values.
    pub(crate) fn concealed(&self) -> Concealed {
        let unresolved = self.unresolved.as_ref();
        unresolved.map(|unresolved| unresolved.concealed.clone()).unwrap_or_default()
    }

    /// Lets the worker's providers fill in the placeholders, and checks what comes of it.
    fn resolved(file: &ConnectorFile, worker: &WorkerConfig, report: &mut Report) -> Option<Self> {
        let resolved = worker.providers.resolve(&file.properties);
        let Resolved { properties, concealed, warnings } =
            resolved.map_err(|problems| report.add(problems)).ok()?;
        warnings.into_iter().for_each(|warning| report.warn(warning));
        if concealed.is_empty() {
            return Self::checked(file, worker, report);
        }
        let source = Self::checked(&file.with_properties(properties), worker, report);
        report.conceal(&concealed);
        let file = Arc::new(file.with_properties(file.properties.clone()));
        source.map(|source| Self { unresolved: Some(Unresolved { file, concealed }), ..source })
    }

    fn checked(file: &ConnectorFile, worker: &WorkerConfig, report: &mut Report) -> Option<Self> {
        let given = &file.properties;
        let table = SOURCE_PROPERTIES.iter().chain(CONNECT_PROPERTIES).chain(OWN_PROPERTIES);
        let (values, unknown) = check_all(table, given, "", report);
        for name in unknown {
            check_family(name, report);
        }
        if !given.contains_key("name") {
            report.missing("name");
        }
        let mongo = connection(values.text("connection.uri"), report);
        let pipeline = pipeline(values.text("pipeline"), report);
        let collation = parse_collation(values.text("collation"), report);
        let server_api = ServerApi::new(&values, report);
        let scope = scope(&values, report);
        let split_large_events = split_large_events(&values, pipeline.as_deref(), report);
        copy_existing::check(&values, report);
        let startup = startup(given, &values, report);
        let formatter = parse_formatter(values.text("output.json.formatter"), report);
        let key = output("key", &values, formatter, file, worker.key_converter, report);
        let value = output("value", &values, formatter, file, worker.value_converter, report);
        output_schema::check(&values, report);
        let chain = parse_chain(&values, given, report);
        let header_converter = header_converter(chain.as_ref(), given, worker, report);
        let topic_creation = parse_topic_creation(given, worker.topic_creation_enable, report);
        let overrides = client_overrides::of_producer(given, worker, report);
        let producer = parse_producer(&worker.producer, &overrides, report);
        if let Some(producer) = &producer {
            client_overrides::check_admin(given, worker, producer, report);
        }
        let publish = publish(&values, report);
        let topic = TopicNaming::new(&values, scope.as_ref(), report);
        let heartbeats = Heartbeats::new(&values, key.as_ref(), report);
        let (key, value) = (key?, value?);
        let dead_letters =
            DeadLetters::new(&values, given, [key.converter, value.converter], report);
        let java = java_version(&values, report);
        let (mongo, scope) = (mongo?, scope?);
        let mongo_tls = encryption::mongodb(&values, &mongo, report);
        Some(Self {
            name: file.name.clone(),
            partition: SourcePartition::new(values.text("offset.partition.name"), &mongo, &scope),
            mongo,
            mongo_tls: mongo_tls.ok()?,
            scope,
            pipeline: pipeline?,
            batch_size: u32::try_from(values.integer("batch.size")?).ok().filter(|size| *size > 0),
            // The server takes no more than an INT.
            await_time_ms: u32::try_from(
                values.integer("poll.await.time.ms")?.min(i32::MAX.into()),
            )
            .ok()?,
            full_document: match publish {
                Publish::FullDocument { .. } => Some(FullDocument::UpdateLookup),
                Publish::Event => FullDocument::parse(values.text("change.stream.full.document")),
            },
            full_document_before_change: FullDocumentBeforeChange::parse(
                values.text("change.stream.full.document.before.change"),
            ),
            show_expanded_events: values.boolean("change.stream.show.expanded.events"),
            collation: collation.ok()?,
            split_large_events,
            server_api,
            publish,
            document_key_as_key: values.boolean("change.stream.document.key.as.key"),
            topic: topic?,
            lost_position: lost_position(&values, startup.as_ref()),
            startup: startup?,
            java,
            key,
            value,
            chain: chain?,
            header_converter: header_converter?,
            dead_letters,
            heartbeats,
            topic_creation,
            producer: producer?,
            unresolved: None,
        })
    }
}

fn check_class(file: &ConnectorFile, report: &mut Report) {
    match file.properties.get("connector.class").map(|class| class.trim()) {
        None => report.missing("connector.class"),
        Some(class) if SourceConfig::is_class(class) => {}
        Some(class) => {
            let (shown, reason) = (Shown::Text(class.to_owned()), Reason::NotYet(OTHER_CLASS));
            report.refuse("connector.class", shown, reason);
        }
    }
}

/// A property that no table knows: one of a family, or unknown.
fn check_family(name: &str, report: &mut Report) {
    match family(CONNECT_FAMILIES, name).map(|family| family.fate) {
        Some(Fate::Read) => {}
        Some(Fate::Accepted(meaning)) => report.info(format!("{name}: {meaning}")),
        None => {
            let known = SOURCE_PROPERTIES.iter().chain(CONNECT_PROPERTIES).chain(OWN_PROPERTIES);
            let near = nearest(name, known.map(|property| property.name));
            report.unknown(name, near.map(str::to_owned));
        }
    }
}

fn scope(values: &Values, report: &mut Report) -> Option<Scope> {
    let (database, collection) = (values.text("database"), values.text("collection"));
    match (database.is_empty(), collection.is_empty()) {
        (true, true) => Some(Scope::Deployment),
        (false, true) => Some(Scope::Database(database.to_owned())),
        (false, false) => Some(Scope::Collection {
            database: database.to_owned(),
            collection: collection.to_owned(),
        }),
        // Java looks at it when nothing else is wrong with the connector's own.
        (true, false) if report.has_problems_among(SOURCE_PROPERTIES) => None,
        (true, false) => {
            let shown = Shown::Text(collection.to_owned());
            report.refuse("collection", shown, Reason::DatabaseMissing);
            None
        }
    }
}

fn connection(uri: &str, report: &mut Report) -> Option<MongoConnection> {
    match MongoConnection::parse(uri, report) {
        Ok(connection) => Some(connection),
        Err(error) => {
            report.refuse("connection.uri", Shown::Hidden, Reason::Uri(error));
            None
        }
    }
}

fn pipeline(text: &str, report: &mut Report) -> Option<Vec<Vec<u8>>> {
    match stages_from_json(text) {
        Ok(stages) => Some(stages),
        Err(error) => {
            let reason = Reason::NotAPipeline(error);
            report.refuse("pipeline", Shown::Text(text.to_owned()), reason);
            None
        }
    }
}

fn startup(
    given: &BTreeMap<String, String>,
    values: &Values,
    report: &mut Report,
) -> Option<Startup> {
    const START: &str = "startup.mode.timestamp.start.at.operation.time";
    let time = match values.text(START) {
        "" => None,
        text => match OperationTime::parse(text) {
            Some(time) => Some(time),
            None => {
                report.refuse(START, Shown::Text(text.to_owned()), Reason::NotAnOperationTime);
                return None;
            }
        },
    };
    if copy_existing::is_wanted(values) {
        return copy_existing::parse(given, values).map(Startup::CopyExisting);
    }
    copy_existing::warn_of_idle(given, report);
    let by_timestamp = values.text("startup.mode").eq_ignore_ascii_case("timestamp");
    Some(match time {
        Some(time) if by_timestamp => Startup::Timestamp(time),
        Some(_) => {
            report.warn(format!("{START} has no effect without startup.mode=timestamp"));
            Startup::Latest
        }
        None => Startup::Latest,
    })
}

fn publish(values: &Values, report: &mut Report) -> Publish {
    const TOMBSTONES: &str = "publish.full.document.only.tombstone.on.delete";
    let tombstone_on_delete = values.boolean(TOMBSTONES);
    if values.boolean("publish.full.document.only") {
        return Publish::FullDocument { tombstone_on_delete };
    }
    if tombstone_on_delete {
        report.warn(format!("{TOMBSTONES} has no effect without publish.full.document.only=true"));
    }
    Publish::Event
}

/// Format and converter of `side` (`key` or `value`), if they fit together.
fn output(
    side: &str,
    values: &Values,
    formatter: JsonFormatter,
    file: &ConnectorFile,
    of_worker: ConverterKind,
    report: &mut Report,
) -> Option<Output> {
    let (role, property) = (format!("{side}.converter"), format!("output.format.{side}"));
    warn_of_idle_settings(&role, &file.properties, report);
    let converter = if file.properties.contains_key(&role) {
        parse_converter(&role, &file.properties, report)?
    } else {
        of_worker
    };
    let written = values.text(&property);
    let is_bytes = converter == ConverterKind::ByteArray;
    let conflict = match written.to_ascii_lowercase().as_str() {
        "schema" if is_bytes => format!(
            "ByteArrayConverter takes no structs; use {property}=bson, or {role}=…JsonConverter"
        ),
        "schema" => {
            let source = output_schema::parse_source(side, values, converter, report)?;
            return Some(Output { format: OutputFormat::Schema { source, formatter }, converter });
        }
        "bson" if converter == ConverterKind::String => format!(
            "StringConverter takes no bytes; use {property}=json, or {role}=…ByteArrayConverter"
        ),
        "bson" => return Some(Output { format: OutputFormat::Bson, converter }),
        _ if is_bytes => {
            format!(
                "ByteArrayConverter takes no text; use {property}=bson, or {role}=…StringConverter"
            )
        }
        _ => return Some(Output { format: OutputFormat::Json(formatter), converter }),
    };
    report.refuse(&property, Shown::Text(written.to_owned()), Reason::Conflict(conflict));
    None
}

/// The connector's converter of headers, else the worker's. Without transformations there are no headers.
fn header_converter(
    chain: Option<&Chain>,
    given: &BTreeMap<String, String>,
    worker: &WorkerConfig,
    report: &mut Report,
) -> Option<HeaderConverterKind> {
    let is_own = given.contains_key(HEADER_CONVERTER);
    if chain.is_some_and(Chain::is_empty) {
        if is_own {
            report.info(format!("{HEADER_CONVERTER}: without transforms records have no headers"));
        }
        return Some(HeaderConverterKind::Simple);
    }
    parse_header_converter(if is_own { given } else { &worker.header_converter }, report)
}

#[cfg(test)]
pub(super) mod tests;
