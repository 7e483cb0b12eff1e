//! What a worker in a group runs with, beside what every worker does.
//!
//! ```text
//! group.id, session.timeout.ms, …              membership
//! {config,offset,status}.storage.topic         what the group knows; *.partitions, *.replication.factor and any
//!                                              setting of a topic count where the topic has to be made
//! inter.worker.*                               how workers know each other
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::distributed_properties::{CONFIG_STORAGE, OFFSET_STORAGE, STATUS_STORAGE};
use super::error::{Reason, Shown};
use super::property::Values;
use super::report::Report;
use super::worker::count;

/// What is not a setting of the topic itself.
const OF_THE_WORKER: [&str; 4] = ["topic", "partitions", "replication.factor", "file.filename"];
/// Ways to sign that there are.
const SIGNATURES: &[&str] = &["HmacSHA1", "HmacSHA256", "HmacSHA384", "HmacSHA512"];

/// A worker in a group, checked.
#[derive(Clone, Debug)]
pub(crate) struct DistributedConfig {
    pub(crate) group_id: String,
    /// What the worker's clients call themselves; empty: something of the worker's name.
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    /// How long reading the config topic may take before the worker leaves the group.
    pub(crate) sync_timeout: Duration,
    /// How long the work of a worker that has gone waits for it to come back.
    pub(crate) rebalance_delay_max: Duration,
    /// Whether requests between workers are signed (`sessioned`), or not (`compatible`).
    pub(crate) is_sessioned: bool,
    pub(crate) config_topic: StorageTopic,
    pub(crate) offset_topic: StorageTopic,
    pub(crate) status_topic: StorageTopic,
    pub(crate) key: SessionKeyConfig,
}

/// A topic in which the group keeps something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageTopic {
    pub(crate) name: String,
    /// If it has to be made; -1: the broker's default.
    pub(crate) partitions: i32,
    /// If it has to be made; -1: the broker's default.
    pub(crate) replication_factor: i16,
    /// Its settings, if it has to be made.
    pub(crate) settings: BTreeMap<String, String>,
}

/// How requests between workers are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionKeyConfig {
    pub(crate) generation_algorithm: String,
    /// In bits; `None`: what the algorithm has by itself.
    pub(crate) size_bits: Option<u32>,
    /// How long a key is used; zero: for ever.
    pub(crate) lifetime: Duration,
    pub(crate) signature_algorithm: String,
    /// What signatures of others may be by.
    pub(crate) verification_algorithms: Vec<String>,
}

impl DistributedConfig {
    /// Reads what the tables have checked.
    pub(super) fn new(
        given: &BTreeMap<String, String>,
        values: &Values,
        report: &mut Report,
    ) -> Option<Self> {
        let ms = |name| {
            values.integer(name).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
        };
        check_heartbeat(values, report);
        let is_sessioned = !values.text("connect.protocol").eq_ignore_ascii_case("compatible");
        if values.text("connect.protocol").eq_ignore_ascii_case("eager") {
            let why = "workers that rebalance eagerly stop all work at each change of the group; use \
                       sessioned or compatible";
            report.refuse("connect.protocol", Shown::Text("eager".to_owned()), Reason::NotYet(why));
        }
        let group_id = required("group.id", values, report);
        let mut topic = |prefix, name| StorageTopic::read(prefix, name, given, values, report);
        let config_topic = topic(CONFIG_STORAGE, "config.storage.topic");
        let offset_topic = topic(OFFSET_STORAGE, "offset.storage.topic");
        let status_topic = topic(STATUS_STORAGE, "status.storage.topic");
        Some(Self {
            group_id: group_id?,
            client_id: values.text("client.id").to_owned(),
            session_timeout: ms("session.timeout.ms")?,
            rebalance_timeout: ms("rebalance.timeout.ms")?,
            heartbeat_interval: ms("heartbeat.interval.ms")?,
            request_timeout: ms("request.timeout.ms")?,
            retry_backoff: ms("retry.backoff.ms")?,
            sync_timeout: ms("worker.sync.timeout.ms")?,
            rebalance_delay_max: ms("scheduled.rebalance.max.delay.ms")?,
            is_sessioned,
            config_topic: config_topic?,
            offset_topic: offset_topic?,
            status_topic: status_topic?,
            key: SessionKeyConfig::read(values, report)?,
        })
    }
}

/// The coordinator would take a worker for dead between two signs of life.
fn check_heartbeat(values: &Values, report: &mut Report) {
    let (heartbeat, session) =
        (values.integer("heartbeat.interval.ms"), values.integer("session.timeout.ms"));
    if let (Some(heartbeat), Some(session)) = (heartbeat, session)
        && session <= heartbeat
    {
        let text =
            format!("Heartbeat must be set lower than the session timeout, which is {session} ms");
        let shown = Shown::Text(heartbeat.to_string());
        report.refuse("heartbeat.interval.ms", shown, Reason::Conflict(text));
    }
}

fn required(name: &'static str, values: &Values, report: &mut Report) -> Option<String> {
    let text = values.text(name).trim();
    if text.is_empty() {
        report.missing(name);
    }
    (!text.is_empty()).then(|| text.to_owned())
}

impl StorageTopic {
    /// `named_by`: the property with its name; all others begin with `prefix`.
    fn read(
        prefix: &str,
        named_by: &'static str,
        given: &BTreeMap<String, String>,
        values: &Values,
        report: &mut Report,
    ) -> Option<Self> {
        let name = required(named_by, values, report);
        let partitions_name = format!("{prefix}partitions");
        let replicas_name = format!("{prefix}replication.factor");
        // The config topic has one partition, always.
        let partitions = match values.integer(&partitions_name) {
            None => Some(1),
            Some(_) => count(&partitions_name, "Number of partitions", values, report),
        };
        let replication_factor = count(&replicas_name, "Replication factor", values, report);
        let settings = given.iter().filter_map(|(property, value)| {
            let setting = property.strip_prefix(prefix)?;
            (!OF_THE_WORKER.contains(&setting)).then(|| (setting.to_owned(), value.clone()))
        });
        let mut settings: BTreeMap<String, String> = settings.collect();
        if let Some(policy) = settings.remove("cleanup.policy")
            && policy.trim() != "compact"
        {
            report.warn(format!(
                "Ignoring '{prefix}cleanup.policy={policy}' setting, since compaction is always used"
            ));
        }
        Some(Self {
            name: name?,
            partitions: partitions?,
            replication_factor: replication_factor?,
            settings,
        })
    }
}

impl SessionKeyConfig {
    fn read(values: &Values, report: &mut Report) -> Option<Self> {
        const SIGNATURE: &str = "inter.worker.signature.algorithm";
        const GENERATION: &str = "inter.worker.key.generation.algorithm";
        const VERIFICATION: &str = "inter.worker.verification.algorithms";
        let verification = values.list(VERIFICATION).to_vec();
        let signature = values.text(SIGNATURE).to_owned();
        let named = [(SIGNATURE, &signature), (GENERATION, &values.text(GENERATION).to_owned())];
        let named = named.into_iter().chain(verification.iter().map(|name| (VERIFICATION, name)));
        for (property, algorithm) in named {
            if !SIGNATURES.iter().any(|known| known.eq_ignore_ascii_case(algorithm)) {
                let why = "HmacSHA1, HmacSHA256, HmacSHA384 and HmacSHA512 are";
                report.refuse(property, Shown::Text(algorithm.clone()), Reason::NotYet(why));
            }
        }
        if !verification.contains(&signature) {
            let text = format!("Signature algorithm must be present in {VERIFICATION} list");
            report.refuse(SIGNATURE, Shown::Text(signature.clone()), Reason::Conflict(text));
        }
        let lifetime_ms = u64::try_from(values.integer("inter.worker.key.ttl.ms")?).ok()?;
        Some(Self {
            generation_algorithm: values.text(GENERATION).to_owned(),
            size_bits: values
                .integer("inter.worker.key.size")
                .and_then(|bits| u32::try_from(bits).ok()),
            lifetime: Duration::from_millis(lifetime_ms),
            signature_algorithm: signature,
            verification_algorithms: verification,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::report::Severity;
    use super::super::worker::{Mode, OffsetStorage, WorkerConfig};
    use super::*;

    const FILE: &str = "bootstrap.servers=b:9092\ngroup.id=g\nkey.converter=StringConverter\n\
                        value.converter=StringConverter\nconfig.storage.topic=c\noffset.storage.topic=o\n\
                        status.storage.topic=s\n";

    fn read(lines: &str) -> Result<DistributedConfig, String> {
        let text = format!("{FILE}{lines}");
        WorkerConfig::parse(Path::new("w"), text.as_bytes(), Mode::Distributed, true)
            .map(|(worker, _)| worker.distributed.expect("a group"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn stock_file_runs_unmodified_without_a_note() {
        let path = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/worker-distributed.properties"
        ));
        let (worker, notices) = WorkerConfig::read(path, Mode::Distributed, true).unwrap();
        let group = worker.distributed.unwrap();
        assert_eq!((group.group_id.as_str(), notices), ("connect-cluster", vec![]));
        assert_eq!((group.config_topic.partitions, group.config_topic.replication_factor), (1, 1));
        assert_eq!((group.offset_topic.partitions, group.status_topic.partitions), (25, 5));
        assert_eq!(group.session_timeout, Duration::from_secs(10));
        assert!(group.is_sessioned && group.rebalance_delay_max.is_zero());
    }

    #[test]
    fn settings_of_a_topic_are_those_behind_its_prefix() {
        let group = read(
            "config.storage.min.insync.replicas=2\nstatus.storage.partitions=-1\n\
             offset.storage.cleanup.policy=compact\nconfig.storage.replication.factor=-1",
        )
        .unwrap();
        let settings = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
        assert_eq!(group.config_topic.settings, settings);
        assert_eq!(group.config_topic.replication_factor, -1);
        assert_eq!((group.status_topic.partitions, group.offset_topic.settings.len()), (-1, 0));
    }

    #[test]
    fn what_connect_passes_over_is_said_and_not_refused() {
        let text = format!(
            "{FILE}offset.storage.cleanup.policy=delete\nstatus.storage.cleanup.policy=compact\n\
             offset.storage.file.filename=/tmp/connect.offsets\n"
        );
        let (worker, notices) =
            WorkerConfig::parse(Path::new("w"), text.as_bytes(), Mode::Distributed, true).unwrap();
        let offsets = &worker.distributed.as_ref().unwrap().offset_topic;
        assert!(offsets.settings.is_empty(), "{offsets:?}");
        assert!(matches!(&worker.offsets, OffsetStorage::Topic { name, .. } if name == "o"));
        let said = |severity| {
            let of = notices.iter().filter(move |notice| notice.severity == severity);
            of.map(|notice| notice.text.as_str()).collect::<Vec<_>>()
        };
        let ignored = "Ignoring 'offset.storage.cleanup.policy=delete' setting, since compaction is always used";
        assert_eq!(said(Severity::Warning), [ignored]);
        let [of_file] = said(Severity::Info)[..] else { panic!("{notices:?}") };
        assert!(of_file.starts_with("offset.storage.file.filename: "), "{of_file}");
    }

    #[test]
    fn a_topic_that_is_not_named_is_missed_once() {
        let error = read("offset.storage.topic=").unwrap_err();
        assert!(error.contains("contains the following 1 error(s)"), "{error}");
    }

    #[test]
    fn what_a_group_cannot_be_run_with_is_named() {
        for (line, text) in [
            ("group.id=", "Missing required configuration \"group.id\""),
            ("connect.protocol=eager", "use sessioned or compatible"),
            ("connect.protocol=x", "connect.protocol"),
            ("heartbeat.interval.ms=10000", "Heartbeat must be set lower than the session timeout"),
            ("status.storage.partitions=0", "must be positive, or -1"),
            ("inter.worker.signature.algorithm=HmacMD5", "HmacMD5"),
            ("inter.worker.signature.algorithm=HmacSHA1", "must be present in"),
            ("config.storage.topic=", "Missing required configuration \"config.storage.topic\""),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(text), "{line}: {error}");
        }
        assert!(!read("connect.protocol=COMPATIBLE").unwrap().is_sessioned);
    }
}
