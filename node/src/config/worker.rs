//! What a worker runs with, from Connect's worker file.
//!
//! A standalone run takes both of Connect's stock files: the standalone one, which keeps offsets in a file, and the
//! distributed one, which names an offset topic. Exactly one of the two must be there. Properties of distributed mode
//! are taken with a note; what a worker in a group makes of them is in [`super::distributed`]. Exactly-once is refused
//! by name, never passed over. The REST interface has a file of its own, [`super::rest`].
//!
//! The producer's settings (`producer.*`) are checked here and joined with a connector's own in
//! [`super::producer`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_core::link::Address;
use millrace_io::driver::DriverChoice;

use super::client_overrides::{OVERRIDE_POLICY, OverridePolicy};
use super::connect_properties::{Fate, family};
use super::connector_file::{properties_of_text, read_file};
use super::converter::{
    ConverterKind, HEADER_CONVERTER, HEADER_CONVERTER_CLASS, class_name, parse_converter,
};
use super::distributed::DistributedConfig;
use super::distributed_properties::{DISTRIBUTED_PROPERTIES, TOPIC_PREFIXES};
use super::encryption::{self, KafkaSecurity, TLS_PROPERTIES};
use super::error::{ConfigError, Reason, Shown, Subject};
use super::producer::{check_names, parse_addresses};
use super::property::{Property, Values, check_all, nearest};
use super::providers::Providers;
use super::report::{Notice, Report};
use super::rest::RestConfig;
use super::rest_tls::LISTENER_PROPERTIES;
use super::sasl::SASL_PROPERTIES;
use super::worker_properties::{WORKER_FAMILIES, WORKER_PROPERTIES};

const RESTART: &str = "task.restart.enable";
const RESTART_BACKOFF: &str = "task.restart.backoff.ms";
const RESTART_BACKOFF_MAX: &str = "task.restart.backoff.max.ms";
const FILE: &str = "offset.storage.file.filename";
const TOPIC: &str = "offset.storage.topic";
const NOT_IN_A_GROUP: &str = "not used in a group, which keeps positions in its offset topic";
const DISTRIBUTED: &str = "belongs to distributed mode and is not used in a standalone run";

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
    /// What a worker in a group has beside; `None`: it is alone.
    pub(crate) distributed: Option<DistributedConfig>,
    /// When a task that has failed is begun again.
    pub(crate) task_restart: TaskRestart,
    /// What of Kafka's clients connectors may override.
    pub(super) override_policy: OverridePolicy,
    /// Who fills in placeholders.
    pub(super) providers: Providers,
    /// `producer.*` without the prefix, checked.
    pub(super) producer: BTreeMap<String, String>,
}

/// How a worker is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Alone.
    Standalone,
    /// In a group.
    Distributed,
}

/// When a task is begun again that has failed for a reason that passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskRestart {
    /// Never: a person does it.
    Off,
    /// After a pause, which doubles with every failure.
    After {
        /// The first pause.
        backoff_ms: u64,
        /// The longest one.
        backoff_max_ms: u64,
    },
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
    pub(crate) fn read(
        path: &Path,
        mode: Mode,
        strict: bool,
    ) -> Result<(Self, Vec<Notice>), ConfigError> {
        Self::parse(path, &read_file(path)?, mode, strict)
    }

    /// Reads and checks a file of a worker that may be run either way: one that names a group and its config topic is
    /// meant for one.
    pub(crate) fn read_any(path: &Path, strict: bool) -> Result<(Self, Vec<Notice>), ConfigError> {
        let bytes = read_file(path)?;
        let given = properties_of_text(path, &bytes, &mut Vec::new())?;
        let names = |name: &str| given.get(name).is_some_and(|value| !value.trim().is_empty());
        let is_of_group = names("group.id") && names("config.storage.topic");
        let mode = if is_of_group { Mode::Distributed } else { Mode::Standalone };
        Self::parse(path, &bytes, mode, strict)
    }

    /// Checks the content of the file at `path`.
    pub(crate) fn parse(
        path: &Path,
        bytes: &[u8],
        mode: Mode,
        strict: bool,
    ) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut notices = Vec::new();
        let given = properties_of_text(path, bytes, &mut notices)?;
        let mut report = Report::new(strict, notices);
        let config = Self::resolved(&given, mode, &mut report);
        report.finish(path, Subject::Worker, config)
    }

    /// Lets the providers of the file fill in its own placeholders, and checks what comes of it.
    fn resolved(given: &BTreeMap<String, String>, mode: Mode, report: &mut Report) -> Option<Self> {
        let providers = Providers::new(given, report)?;
        let resolved = providers.resolve(given).map_err(|problems| report.add(problems)).ok()?;
        let config = Self::checked(&resolved.properties, mode, providers, report);
        resolved.warnings.into_iter().for_each(|warning| report.warn(warning));
        report.conceal(&resolved.concealed);
        config
    }

    fn checked(
        given: &BTreeMap<String, String>,
        mode: Mode,
        providers: Providers,
        report: &mut Report,
    ) -> Option<Self> {
        let group: &[Property] = match mode {
            Mode::Standalone => &[],
            Mode::Distributed => DISTRIBUTED_PROPERTIES,
        };
        let table = WORKER_PROPERTIES.iter().chain(TLS_PROPERTIES).chain(LISTENER_PROPERTIES);
        let table = table.chain(SASL_PROPERTIES).chain(group);
        let (values, unknown) = check_all(table, given, "", report);
        for name in unknown {
            check_unknown(name, mode, report);
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
        let offsets = offset_storage(mode, &values, report);
        let bootstrap = bootstrap(&values, report);
        let security = encryption::of_worker(given, &values, report);
        let distributed = match mode {
            Mode::Standalone => None,
            Mode::Distributed => Some(DistributedConfig::new(given, &values, report)),
        };
        let rest = RestConfig::new(given, &values, report);
        let task_restart = task_restart(given, &values, &rest, report);
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
            task_restart: task_restart?,
            override_policy: OverridePolicy::parse(values.text(OVERRIDE_POLICY))?,
            providers,
            rest,
            distributed: match distributed {
                None => None,
                Some(read) => Some(read?),
            },
            producer,
        })
    }
}

fn check_unknown(name: &str, mode: Mode, report: &mut Report) {
    let is_of_group = DISTRIBUTED_PROPERTIES.iter().any(|property| property.name == name)
        || TOPIC_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match mode {
        Mode::Distributed if is_of_group => {}
        Mode::Standalone if is_of_group => report.info(format!("{name}: {DISTRIBUTED}")),
        Mode::Standalone | Mode::Distributed => check_family(name, report),
    }
}

fn check_family(name: &str, report: &mut Report) {
    match family(WORKER_FAMILIES, name).map(|family| family.fate) {
        Some(Fate::Read) => {}
        Some(Fate::Accepted(meaning)) => report.info(format!("{name}: {meaning}")),
        None => {
            let known = WORKER_PROPERTIES.iter().chain(DISTRIBUTED_PROPERTIES);
            let near = nearest(name, known.map(|property| property.name));
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

fn offset_storage(mode: Mode, values: &Values, report: &mut Report) -> Option<OffsetStorage> {
    match (mode, values.text(FILE), values.text(TOPIC)) {
        (Mode::Standalone, "", "") => {
            report.missing(&format!("{FILE} (or {TOPIC})"));
            None
        }
        // A group misses it with its other topics.
        (Mode::Distributed, _, "") => None,
        (Mode::Standalone, file, "") => Some(OffsetStorage::File(PathBuf::from(file))),
        (Mode::Standalone, "", topic) => offset_topic(topic, values, report),
        (Mode::Distributed, file, topic) => {
            if !file.is_empty() {
                report.info(format!("{FILE}: {NOT_IN_A_GROUP}"));
            }
            offset_topic(topic, values, report)
        }
        (Mode::Standalone, file, _) => {
            let text = format!("positions are kept in one place; remove {FILE} or {TOPIC}");
            report.refuse(FILE, Shown::Text(file.to_owned()), Reason::Conflict(text));
            None
        }
    }
}

fn offset_topic(name: &str, values: &Values, report: &mut Report) -> Option<OffsetStorage> {
    Some(OffsetStorage::Topic {
        name: name.to_owned(),
        partitions: count("offset.storage.partitions", "Number of partitions", values, report)?,
        replication_factor: count(
            "offset.storage.replication.factor",
            "Replication factor",
            values,
            report,
        )?,
    })
}

/// A number that is positive or -1; the table has checked its type.
pub(super) fn count<N: TryFrom<i64>>(
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

/// Without a REST interface a worker ends with its last connector, and whoever has started it sees that; so nothing is
/// begun again there unless the file says so.
fn task_restart(
    given: &BTreeMap<String, String>,
    values: &Values,
    rest: &RestConfig,
    report: &mut Report,
) -> Option<TaskRestart> {
    let is_on = if given.contains_key(RESTART) {
        values.boolean(RESTART)
    } else {
        !rest.listeners.is_empty()
    };
    let millis = |name: &str| values.integer(name).and_then(|number| u64::try_from(number).ok());
    let (backoff_ms, backoff_max_ms) = (millis(RESTART_BACKOFF)?, millis(RESTART_BACKOFF_MAX)?);
    if backoff_max_ms < backoff_ms {
        let text = format!("it is less than {RESTART_BACKOFF}, which is {backoff_ms}");
        let shown = Shown::Text(backoff_max_ms.to_string());
        report.refuse(RESTART_BACKOFF_MAX, shown, Reason::Conflict(text));
    }
    Some(if is_on { TaskRestart::After { backoff_ms, backoff_max_ms } } else { TaskRestart::Off })
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
        WorkerConfig::parse(Path::new("w.properties"), text.as_bytes(), Mode::Standalone, strict)
    }

    fn with(lines: &str) -> Result<(WorkerConfig, Vec<Notice>), ConfigError> {
        parse(&format!("{CONVERTERS}offset.storage.file.filename=/tmp/o\n{lines}"), false)
    }

    fn fixture(name: &str) -> (WorkerConfig, Vec<Notice>) {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name);
        WorkerConfig::read(&path, Mode::Standalone, true).unwrap()
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
                "config.storage.replication.factor",
                "config.storage.topic",
                "group.id",
                "status.storage.replication.factor",
                "status.storage.topic"
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
            ("producer.acks=0", "producer.acks"),
            (
                "connector.client.config.override.policy=com.example.Mine",
                "connector.client.config.override.policy",
            ),
        ] {
            let error = with(line).unwrap_err().to_string();
            assert!(error.contains(&format!("for configuration {name}: not supported")), "{error}");
        }
        assert!(with("exactly.once.source.support=disabled\nsecurity.protocol=PLAINTEXT").is_ok());
    }

    #[test]
    fn placeholders_of_the_file_are_filled_by_its_own_providers() {
        let env = "config.providers=env\nconfig.providers.env.class=EnvVarConfigProvider\n";
        let (worker, notices) =
            with(&format!("{env}producer.client.id=x${{env:PATH}}\nproducer.retries=5")).unwrap();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(worker.producer["client.id"], format!("x{path}"));
        assert!(notices.iter().all(|notice| !notice.text.contains(&path)));
        let error = with(&format!("{env}offset.flush.interval.ms=${{env:PATH}}")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("Invalid value ${env:PATH} for configuration"), "{error}");
        assert!(!error.contains(&path), "{error}");
        let error = with(&format!("{env}bootstrap.servers=${{env:a:PATH}}")).unwrap_err();
        assert!(error.to_string().contains("Path is not supported for EnvVarConfigProvider"));
    }

    #[test]
    fn failed_tasks_begin_again_by_themselves_beside_a_rest_interface() {
        let restart = |lines: &str| with(lines).unwrap().0.task_restart;
        let after = TaskRestart::After { backoff_ms: 1000, backoff_max_ms: 60_000 };
        assert_eq!(restart(""), after);
        assert_eq!(restart("listeners="), TaskRestart::Off);
        assert_eq!(restart("listeners=\ntask.restart.enable=true"), after);
        assert_eq!(restart("task.restart.enable=false"), TaskRestart::Off);
        let error = with("task.restart.backoff.ms=5\ntask.restart.backoff.max.ms=4").unwrap_err();
        assert!(error.to_string().contains("it is less than task.restart.backoff.ms, which is 5"));
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
