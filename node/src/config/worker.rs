//! What the worker of a standalone run runs with, from Connect's worker file.
//!
//! Both of Connect's stock files are taken: the standalone one, which keeps offsets in a file, and
//! the distributed one, which names an offset topic. Exactly one of the two must be there.
//! Properties of distributed mode are taken with a note; exactly-once is refused by name, never passed over. The REST
//! interface has a file of its own, [`super::rest`].
//!
//! The producer's settings (`producer.*`) are checked here and joined with a connector's own in
//! [`super::producer`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_core::link::Address;
use millrace_io::driver::DriverChoice;

use super::connect_properties::{Fate, family};
use super::connector_file::{properties_of_text, read_file};
use super::converter::{
    ConverterKind, HEADER_CONVERTER, HEADER_CONVERTER_CLASS, class_name, parse_converter,
};
use super::encryption::{self, KafkaSecurity, TLS_PROPERTIES};
use super::error::{ConfigError, Reason, Shown, Subject};
use super::producer::{check_names, parse_addresses};
use super::property::{Values, check_all, nearest};
use super::report::{Notice, Report};
use super::rest::RestConfig;
use super::rest_tls::LISTENER_PROPERTIES;
use super::sasl::SASL_PROPERTIES;
use super::worker_properties::{WORKER_FAMILIES, WORKER_PROPERTIES};

const FILE: &str = "offset.storage.file.filename";
const TOPIC: &str = "offset.storage.topic";

/// A worker, checked.
#[derive(Clone, Debug)]
pub(crate) struct WorkerConfig {
    /// Brokers to ask first; at least one.
    pub(crate) bootstrap: Vec<Address>,
    /// For connectors that name none.
    pub(crate) key_converter: ConverterKind,
    /// For connectors that name none.
    pub(crate) value_converter: ConverterKind,
    /// `header.converter` with its settings as they are written: read only where a connector has transformations, which
    /// alone make headers.
    pub(crate) header_converter: BTreeMap<String, String>,
    /// Where positions are kept.
    pub(crate) offsets: OffsetStorage,
    /// How often positions are written.
    pub(crate) offset_flush_interval_ms: u64,
    /// Whether connectors may declare topics.
    pub(crate) topic_creation_enable: bool,
    /// What drives the sockets; `None`: the file does not say.
    pub(crate) io_driver: Option<DriverChoice>,
    /// Batches of a pipeline that other threads compress at the same time; 0: its own thread does.
    pub(crate) compression_threads: usize,
    /// Bytes that the buffers of all pipelines may have together.
    pub(crate) memory_bytes_max: usize,
    /// How the worker's own connections to Kafka are made.
    pub(crate) security: KafkaSecurity,
    /// The REST interface.
    pub(crate) rest: RestConfig,
    /// `producer.*` without the prefix, checked.
    pub(super) producer: BTreeMap<String, String>,
}

/// Where positions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OffsetStorage {
    /// Connect's file of a serialised Java map.
    File(PathBuf),
    /// Connect's compacted topic.
    Topic {
        /// Its name.
        name: String,
        /// Partitions if it must be created, or -1 for the broker's default.
        partitions: i32,
        /// Copies if it must be created, or -1 for the broker's default.
        replication_factor: i16,
    },
}

impl WorkerConfig {
    /// The class that writes headers where a connector names none; as it is written if it is none that there is.
    pub(super) fn header_converter_class(&self) -> &str {
        let named = self.header_converter.get(HEADER_CONVERTER);
        named.map_or(HEADER_CONVERTER_CLASS, |named| class_name(named).unwrap_or(named))
    }

    /// Reads and checks the file. `strict` refuses properties that nobody knows.
    pub(crate) fn read(path: &Path, strict: bool) -> Result<(Self, Vec<Notice>), ConfigError> {
        Self::parse(path, &read_file(path)?, strict)
    }

    /// Checks the content of the file at `path`.
    pub(crate) fn parse(
        path: &Path,
        bytes: &[u8],
        strict: bool,
    ) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut notices = Vec::new();
        let given = properties_of_text(path, bytes, &mut notices)?;
        let mut report = Report::new(strict, notices);
        let config = Self::checked(&given, &mut report);
        report.finish(path, Subject::Worker, config)
    }

    fn checked(given: &BTreeMap<String, String>, report: &mut Report) -> Option<Self> {
        let table = WORKER_PROPERTIES.iter().chain(TLS_PROPERTIES).chain(LISTENER_PROPERTIES);
        let table = table.chain(SASL_PROPERTIES);
        let (values, unknown) = check_all(table, given, "", report);
        for name in unknown {
            check_family(name, report);
        }
        let producer: BTreeMap<String, String> = given
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("producer.")?.to_owned(), value.clone()))
            })
            .collect();
        check_names(&producer, "producer.", report);
        let key_converter = converter("key.converter", given, report);
        let value_converter = converter("value.converter", given, report);
        let offsets = offset_storage(&values, report);
        let bootstrap = bootstrap(&values, report);
        let security = encryption::of_worker(given, &values, report);
        let rest = RestConfig::new(given, &values, report);
        Some(Self {
            bootstrap: bootstrap?,
            key_converter: key_converter?,
            value_converter: value_converter?,
            header_converter: given
                .iter()
                .filter(|(name, _)| name.starts_with(HEADER_CONVERTER))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            offsets: offsets?,
            offset_flush_interval_ms: u64::try_from(values.integer("offset.flush.interval.ms")?)
                .ok()?,
            topic_creation_enable: values.boolean("topic.creation.enable"),
            io_driver: values.text("io.driver").parse().ok(),
            compression_threads: usize::try_from(values.integer("compression.threads")?).ok()?,
            memory_bytes_max: usize::try_from(values.integer("memory.bytes.max")?).ok()?,
            security: security.ok()?,
            rest,
            producer,
        })
    }
}

fn check_family(name: &str, report: &mut Report) {
    match family(WORKER_FAMILIES, name).map(|family| family.fate) {
        Some(Fate::Read) => {}
        Some(Fate::Accepted(meaning)) => report.info(format!("{name}: {meaning}")),
        Some(Fate::NotYet(what)) => report.refuse(name, Shown::Hidden, Reason::NotYet(what)),
        None => {
            let near = nearest(name, WORKER_PROPERTIES.iter().map(|property| property.name));
            report.unknown(name, near.map(str::to_owned));
        }
    }
}

fn converter(
    role: &str,
    given: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<ConverterKind> {
    if !given.contains_key(role) {
        report.missing(role);
        return None;
    }
    parse_converter(role, given, report)
}

fn offset_storage(values: &Values, report: &mut Report) -> Option<OffsetStorage> {
    match (values.text(FILE), values.text(TOPIC)) {
        ("", "") => {
            report.missing(&format!("{FILE} (or {TOPIC})"));
            None
        }
        (file, "") => Some(OffsetStorage::File(PathBuf::from(file))),
        ("", topic) => Some(OffsetStorage::Topic {
            name: topic.to_owned(),
            partitions: count("offset.storage.partitions", "Number of partitions", values, report)?,
            replication_factor: count(
                "offset.storage.replication.factor",
                "Replication factor",
                values,
                report,
            )?,
        }),
        (file, _) => {
            let text = format!("positions are kept in one place; remove {FILE} or {TOPIC}");
            report.refuse(FILE, Shown::Text(file.to_owned()), Reason::Conflict(text));
            None
        }
    }
}

/// A number that is positive or -1; the table has checked its type.
fn count<N: TryFrom<i64>>(
    name: &str,
    what: &'static str,
    values: &Values,
    report: &mut Report,
) -> Option<N> {
    let number = values.integer(name)?;
    if number == 0 {
        report.refuse(name, Shown::Text("0".to_owned()), Reason::NotACount(what));
    }
    N::try_from(number).ok()
}

fn bootstrap(values: &Values, report: &mut Report) -> Option<Vec<Address>> {
    let servers = values.list("bootstrap.servers");
    if servers.is_empty() {
        report.refuse("bootstrap.servers", Shown::Text(String::new()), Reason::Empty);
        return None;
    }
    parse_addresses("bootstrap.servers", servers, report)
}

#[cfg(test)]
mod tests {
    use millrace_core::connect::JsonSettings;

    use super::super::rest::{Admin, Listener};
    use super::*;

    const CONVERTERS: &str = "key.converter=JsonConverter\nvalue.converter=StringConverter\n";

    fn parse(text: &str, strict: bool) -> Result<(WorkerConfig, Vec<Notice>), ConfigError> {
        WorkerConfig::parse(Path::new("w.properties"), text.as_bytes(), strict)
    }

    fn with(lines: &str) -> Result<(WorkerConfig, Vec<Notice>), ConfigError> {
        parse(&format!("{CONVERTERS}offset.storage.file.filename=/tmp/o\n{lines}"), false)
    }

    fn fixture(name: &str) -> (WorkerConfig, Vec<Notice>) {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name);
        WorkerConfig::read(&path, true).unwrap()
    }

    #[test]
    fn stock_standalone_file_runs_unmodified() {
        let (worker, notices) = fixture("worker-standalone.properties");
        assert_eq!(worker.bootstrap, [Address::new("localhost", 9092)]);
        let json = ConverterKind::Json { schemas: true, settings: JsonSettings::DEFAULT };
        assert_eq!(worker.key_converter, json);
        assert_eq!(worker.value_converter, json);
        assert_eq!(worker.offsets, OffsetStorage::File("/tmp/connect.offsets".into()));
        assert_eq!(worker.offset_flush_interval_ms, 10_000);
        assert!(worker.topic_creation_enable);
        assert_eq!(notices, []);
    }

    #[test]
    fn stock_distributed_file_runs_unmodified_with_notes() {
        let (worker, notices) = fixture("worker-distributed.properties");
        assert_eq!(
            worker.offsets,
            OffsetStorage::Topic {
                name: "connect-offsets".to_owned(),
                partitions: 25,
                replication_factor: 1
            }
        );
        let names: Vec<_> =
            notices.iter().filter_map(|notice| notice.text.split(':').next()).collect();
        assert_eq!(
            names,
            [
                "group.id",
                "config.storage.topic",
                "config.storage.replication.factor",
                "status.storage.topic",
                "status.storage.replication.factor"
            ]
        );
    }

    #[test]
    fn offsets_are_kept_in_exactly_one_place() {
        let none = parse(CONVERTERS, false).unwrap_err().to_string();
        assert!(none.ends_with(
            "Missing required configuration \"offset.storage.file.filename (or \
             offset.storage.topic)\" which has no default value."
        ));
        let both = with("offset.storage.topic=t").unwrap_err().to_string();
        assert!(both.ends_with(
            "positions are kept in one place; remove offset.storage.file.filename or \
             offset.storage.topic"
        ));
        let topic = format!("{CONVERTERS}offset.storage.topic=t\noffset.storage.partitions=0");
        assert!(parse(&topic, false).unwrap_err().to_string().contains("must be positive, or -1"));
    }

    #[test]
    fn what_would_be_a_surprise_is_refused_by_name() {
        for (line, name) in [
            ("exactly.once.source.support=enabled", "exactly.once.source.support"),
            ("exactly.once.source.support=Preparing", "exactly.once.source.support"),
            ("sasl.login.class=x", "sasl.login.class"),
            ("producer.security.providers=x", "producer.security.providers"),
            ("config.providers=file", "config.providers"),
            ("config.providers.file.class=x", "config.providers.file.class"),
            ("producer.acks=0", "producer.acks"),
            (
                "connector.client.config.override.policy=None",
                "connector.client.config.override.policy",
            ),
            ("offset.storage.cleanup.policy=delete", "offset.storage.cleanup.policy"),
        ] {
            let error = with(line).unwrap_err().to_string();
            assert!(error.contains(&format!("for configuration {name}: not supported")), "{error}");
        }
        assert!(with("exactly.once.source.support=disabled\nsecurity.protocol=PLAINTEXT").is_ok());
    }

    #[test]
    fn rest_listens_where_the_file_says_and_by_default_where_connect_does() {
        let rest = |lines: &str| with(lines).unwrap().0.rest;
        let listener = |host: &str, port| Listener { host: host.to_owned(), port, tls: None };
        assert_eq!(rest("").listeners, [listener("", 8083)]);
        assert_eq!((rest("").admin, rest("").cross_origin), (Admin::Shared, None));
        assert_eq!(rest("listeners=").listeners, []);
        let two = rest("listeners=http://a:1, http://b:2\nadmin.listeners=http://c:3");
        assert_eq!(two.listeners, [listener("a", 1), listener("b", 2)]);
        assert_eq!(two.admin, Admin::Own(vec![listener("c", 3)]));
        assert_eq!(rest("admin.listeners=").admin, Admin::Off);
        let advertised = rest("rest.advertised.host.name=h\nrest.advertised.port=9");
        assert_eq!(advertised.advertised_host.as_deref(), Some("h"));
        assert_eq!(advertised.advertised_port, Some(9));
        let origins = rest("access.control.allow.origin=http://a, http://b").cross_origin.unwrap();
        assert_eq!((origins.origins.len(), origins.methods.len()), (2, 3));
    }

    #[test]
    fn rest_that_would_be_less_safe_than_the_file_says_is_refused_by_name() {
        for (line, reason) in [
            ("listeners=https://:8443", "shows a certificate"),
            ("admin.listeners=https://:8443", "shows a certificate"),
            ("rest.extension.classes=com.example.Audit", "Invalid value com.example.Audit"),
            ("rest.extension.classes=BasicAuthSecurityRestExtension", "rest.basic.auth.jaas.file"),
            ("response.http.headers.config=put X-Frame-Options:DENY", "header config action"),
            ("rest.advertised.listener=spdy", "Should be one of: [http, https]"),
        ] {
            let error = with(line).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let headers = with("response.http.headers.config=set X-Frame-Options:DENY").unwrap();
        assert_eq!(headers.0.rest.response_headers.len(), 1);
    }

    #[test]
    fn unknown_property_is_noted_and_refused_when_strict() {
        let (_, notices) = with("offset.flush.intervall.ms=1").unwrap();
        assert_eq!(
            notices[0].text,
            "The configuration 'offset.flush.intervall.ms' was supplied but isn't a known config. \
             Did you mean 'offset.flush.interval.ms'?"
        );
        let text = format!("{CONVERTERS}offset.storage.file.filename=/tmp/o\nfoo.bar=1");
        let error = parse(&text, true).unwrap_err().to_string();
        assert!(
            error.ends_with("Invalid value [hidden] for configuration foo.bar: unknown property")
        );
    }

    #[test]
    fn all_problems_are_shown_together() {
        let error = parse("bootstrap.servers=:1\noffset.flush.interval.ms=x", false).unwrap_err();
        let error = error.to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(
            lines,
            [
                "w.properties: Worker configuration is invalid and contains the following 5 error(s):",
                "  Invalid value x for configuration offset.flush.interval.ms: Not a number of type \
                 LONG",
                "  Missing required configuration \"key.converter\" which has no default value.",
                "  Missing required configuration \"value.converter\" which has no default value.",
                "  Missing required configuration \"offset.storage.file.filename (or \
                 offset.storage.topic)\" which has no default value.",
                "  Invalid value :1 for configuration bootstrap.servers: ':1' is no broker address; \
                 write host:port, several separated by commas",
            ]
        );
    }
}
