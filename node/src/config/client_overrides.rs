//! What a connector may override of Kafka's clients, and what becomes of the clients that are not there.
//!
//! ```text
//! producer.override.*   what it writes with: [`super::producer`]
//! admin.override.*      Java creates topics with a client of its own; here it is done over the producer's connections,
//!                       so what says how to connect must say the same as for the producer
//! consumer.override.*   read by Java for exactly-once delivery alone: taken without effect
//! ```
//!
//! Which of them a connector may have at all says the worker (KIP-458, `connector.client.config.override.policy`). As
//! in Java the policy is asked about the clients that there are: the producer, and the other for declared topics.

use std::collections::BTreeMap;

use super::encryption::TLS_PROPERTIES;
use super::error::{Reason, Shown};
use super::producer::{OVERRIDE as PRODUCER, ProducerSettings, parse_addresses, property};
use super::property::Kind;
use super::report::Report;
use super::sasl::SASL_PROPERTIES;
use super::worker::WorkerConfig;

/// The property of the worker.
pub(super) const OVERRIDE_POLICY: &str = "connector.client.config.override.policy";
/// How the names of settings of the admin client begin.
pub(super) const ADMIN: &str = "admin.override.";
/// Names that a policy goes by: its class, that without the package, and Connect's short one.
pub(super) const OVERRIDE_POLICIES: &[&str] = &[
    "All",
    "AllConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy",
    "None",
    "NoneConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy",
    "Principal",
    "PrincipalConnectorClientConfigOverridePolicy",
    "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy",
];
/// What the policy `Principal` allows: who the connector is.
const OF_PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

const OVER_PRODUCER: &str = "topics are created over the producer's connections";

/// What connectors may override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverridePolicy {
    All,
    None,
    Principal,
}

impl OverridePolicy {
    /// Reads one of [`OVERRIDE_POLICIES`], in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let class = text.rsplit('.').next()?.to_ascii_lowercase();
        match class.strip_suffix("connectorclientconfigoverridepolicy").unwrap_or(&class) {
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            "principal" => Some(Self::Principal),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
        }
    }

    fn allows(self, setting: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => OF_PRINCIPAL.contains(&setting),
        }
    }

    /// The settings of one client that it allows, without the `prefix` of their names; the others go to `report`.
    fn allowed(
        self,
        prefix: &str,
        given: &BTreeMap<String, String>,
        report: &mut Report,
    ) -> BTreeMap<String, String> {
        let mut allowed = BTreeMap::new();
        for (name, value) in given {
            let Some(setting) = name.strip_prefix(prefix) else { continue };
            if self.allows(setting) {
                allowed.insert(setting.to_owned(), value.clone());
            } else {
                let (policy, setting) = (self.name(), setting.to_owned());
                report.problem(name, Reason::OverrideNotAllowed { policy, setting });
            }
        }
        allowed
    }
}

/// The `producer.override.*` that count, without their prefix.
pub(super) fn of_producer(
    given: &BTreeMap<String, String>,
    worker: &WorkerConfig,
    report: &mut Report,
) -> BTreeMap<String, String> {
    worker.override_policy.allowed(PRODUCER, given, report)
}

/// Whether Java would have an admin client for the connector.
pub(super) fn has_admin<'a>(mut given: impl Iterator<Item = &'a String>) -> bool {
    given.any(|name| name.starts_with("topic.creation."))
}

/// Checks that `admin.override.*` does not ask for other connections than those of `producer`.
pub(super) fn check_admin(
    given: &BTreeMap<String, String>,
    worker: &WorkerConfig,
    producer: &ProducerSettings,
    report: &mut Report,
) {
    if !has_admin(given.keys()) {
        for name in given.keys().filter(|name| name.starts_with(ADMIN)) {
            report.info(format!("{name}: read only where topics are declared"));
        }
        return;
    }
    for (setting, value) in worker.override_policy.allowed(ADMIN, given, report) {
        let name = format!("{ADMIN}{setting}");
        let is_same = match setting.as_str() {
            "bootstrap.servers" => {
                let servers: Vec<String> =
                    value.split(',').map(|it| it.trim().to_owned()).collect();
                let Some(servers) = parse_addresses(&name, &servers, report) else { continue };
                servers == *producer.bootstrap.as_ref().unwrap_or(&worker.bootstrap)
            }
            _ if !is_of_connection(&setting) => true,
            setting => is_of_producer(setting, &value, given, worker),
        };
        if is_same {
            report.info(format!("{name}: {OVER_PRODUCER}"));
        } else {
            let shown = match property(&setting).map(|property| property.kind) {
                Some(Kind::Password) => Shown::Hidden,
                Some(_) | None => Shown::Text(value),
            };
            let remedy = format!(
                "{OVER_PRODUCER}, and they have another {setting}; remove the property, or give \
                 {PRODUCER}{setting} the same value"
            );
            report.refuse(&name, shown, Reason::Conflict(remedy));
        }
    }
}

/// Whether a setting of a client says where to connect, how, and as whom.
fn is_of_connection(setting: &str) -> bool {
    TLS_PROPERTIES.iter().chain(SASL_PROPERTIES).any(|property| property.name == setting)
}

/// Whether the connector's producer has `value` too.
fn is_of_producer(
    setting: &str,
    value: &str,
    given: &BTreeMap<String, String>,
    worker: &WorkerConfig,
) -> bool {
    let of_connector = given.get(&format!("{PRODUCER}{setting}"));
    let counts = of_connector.or_else(|| worker.producer.get(setting)).map(String::as_str);
    let counts = counts.or_else(|| property(setting)?.default);
    counts.is_some_and(|counts| counts.trim() == value.trim())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::connector_file::ConnectorFile;
    use super::super::error::ConfigError;
    use super::super::report::Notice;
    use super::super::source::SourceConfig;
    use super::super::source_check::tests::worker;
    use super::*;

    const DECLARED: &str =
        "topic.creation.default.partitions=1\ntopic.creation.default.replication.factor=1\n";

    fn source(
        policy: OverridePolicy,
        lines: &str,
    ) -> Result<(SourceConfig, Vec<Notice>), ConfigError> {
        let mut worker = worker();
        worker.override_policy = policy;
        worker.producer.insert("sasl.mechanism".to_owned(), "PLAIN".to_owned());
        let text = format!("name=c\nconnector.class=MongoSource\n{lines}");
        let file = ConnectorFile::parse(Path::new("c"), text.as_bytes()).unwrap();
        SourceConfig::new(&file, &worker, true)
    }

    fn error(policy: OverridePolicy, lines: &str) -> String {
        source(policy, lines).unwrap_err().to_string()
    }

    #[test]
    fn a_policy_goes_by_its_class_and_by_its_short_name() {
        for name in OVERRIDE_POLICIES {
            assert!(OverridePolicy::parse(name).is_some(), "{name}");
        }
        assert_eq!(OverridePolicy::parse("none"), Some(OverridePolicy::None));
        let class = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
        assert_eq!(OverridePolicy::parse(class), Some(OverridePolicy::Principal));
        assert_eq!(OverridePolicy::parse("Allowlist"), None);
    }

    #[test]
    fn what_the_policy_does_not_allow_is_refused_in_javas_words() {
        let lines = "producer.override.linger.ms=5\nproducer.override.sasl.mechanism=PLAIN";
        assert!(source(OverridePolicy::All, lines).is_ok());
        let refused = |setting: &str, policy: &str| {
            format!(
                "The '{policy}' policy does not allow '{setting}' to be overridden in the connector configuration."
            )
        };
        let principal = error(OverridePolicy::Principal, lines);
        assert!(
            principal.ends_with(&format!("1 error(s):\n  {}", refused("linger.ms", "Principal")))
        );
        let none = error(OverridePolicy::None, lines);
        for setting in ["linger.ms", "sasl.mechanism"] {
            assert!(none.contains(&refused(setting, "None")), "{none}");
        }
    }

    #[test]
    fn the_policy_is_asked_about_the_clients_that_java_would_have() {
        let admin = "admin.override.retries=5\n";
        assert!(source(OverridePolicy::None, admin).is_ok(), "no topics are declared");
        assert!(source(OverridePolicy::None, "consumer.override.max.poll.records=5").is_ok());
        let declared = error(OverridePolicy::None, &format!("{DECLARED}{admin}"));
        assert!(declared.contains("The 'None' policy does not allow 'retries'"), "{declared}");
    }

    #[test]
    fn an_admin_client_with_connections_of_its_own_is_refused_by_name() {
        let with = |line: &str| source(OverridePolicy::All, &format!("{DECLARED}{line}"));
        for same in [
            "admin.override.bootstrap.servers=localhost:9092",
            "admin.override.security.protocol=PLAINTEXT",
            "admin.override.sasl.mechanism=PLAIN",
            "admin.override.request.timeout.ms=5",
            "admin.override.bootstrap.servers=h:1\nproducer.override.bootstrap.servers=h:1",
        ] {
            let (_, notices) = with(same).expect(same);
            let is_said = notices.iter().any(|notice| notice.text.ends_with(OVER_PRODUCER));
            assert!(is_said, "{notices:?}");
        }
        for (line, shown) in [
            ("admin.override.bootstrap.servers=h:1", "h:1"),
            ("admin.override.security.protocol=SSL", "SSL"),
            ("admin.override.sasl.mechanism=SCRAM-SHA-256", "SCRAM-SHA-256"),
            ("admin.override.sasl.jaas.config=x s3cret", "[hidden]"),
        ] {
            let error = with(line).unwrap_err().to_string();
            let (name, _) = line.split_once('=').unwrap();
            let text = format!("Invalid value {shown} for configuration {name}: {OVER_PRODUCER}");
            assert!(error.contains(&text), "{error}");
        }
        assert!(source(OverridePolicy::All, "admin.override.security.protocol=SSL").is_ok());
    }
}
