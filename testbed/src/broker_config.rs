//! What a broker is started with: its `server.properties` and its Java command lines.
//!
//! ```text
//! CLIENT      what the plan says: plain, TLS, SASL; advertised as itself or as its proxy
//! INTERNAL    plain: between brokers, and for the testbed's own questions, past any proxy; for clients too where
//!             encryption is only offered
//! CONTROLLER  plain: the quorum
//! ```
//!
//! The broker's own defaults stand, except for what one or three brokers must have (replication
//! factors) and for what would only make tests wait (the rebalance delay, fifty offset partitions).
//! The flags of the Java machine are those of Kafka's own start script, so that it performs as it
//! does when that script starts it.

use std::{fmt::Write as _, path::Path, process::Command};

use crate::{
    plan::{KafkaPlan, Sasl},
    security::{Certificates, Secret, Tls},
    software::KafkaSoftware,
};

/// The cluster id: 16 bytes in base 64, as `kafka-storage random-uuid` makes them.
const CLUSTER_ID: &str = "bWlsbHJhY2V0ZXN0YmVkMQ";
/// The user that clients are where they must say who they are.
pub(crate) const USER: &str = "millrace";
/// What Log4j 2 is given in images that log through it: everything from INFO, on standard output.
/// Without it a broker logs errors only. The jars that are fetched log through SLF4J's own binding.
pub(crate) const LOG4J: &str = "rootLogger.level=INFO
rootLogger.appenderRef.console.ref=CONSOLE
appender.console.type=Console
appender.console.name=CONSOLE
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
";

/// The ports of one broker on 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Listeners {
    pub(crate) client: u16,
    /// `host:port` that clients are told: the broker's own, or its proxy's.
    pub(crate) advertised: String,
    pub(crate) internal: u16,
    pub(crate) controller: u16,
}

/// What the brokers of one cluster share.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) plan: KafkaPlan,
    pub(crate) software: KafkaSoftware,
    pub(crate) certificates: Option<Certificates>,
    /// Of [`USER`].
    pub(crate) password: Option<Secret>,
}

/// The text of `server.properties` of the broker `index`. Lines of the plan come last, and the last
/// one of a name counts.
pub(crate) fn server_properties(
    cluster: &Cluster,
    index: usize,
    all: &[Listeners],
    data: &Path,
) -> String {
    let Some(own) = all.get(index) else { return String::new() };
    let plan = &cluster.plan;
    let node_id = |index: usize| index + 1;
    let voters = all.iter().enumerate();
    let voters = voters.map(|(i, at)| format!("{}@127.0.0.1:{}", node_id(i), at.controller));
    let replicas = all.len();
    let in_sync = if replicas == 1 { 1 } else { replicas - 1 };
    let mut lines = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node_id(index).to_string()),
        ("controller.quorum.voters", voters.collect::<Vec<_>>().join(",")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        (
            "listeners",
            format!(
                "CLIENT://127.0.0.1:{},INTERNAL://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
                own.client, own.internal, own.controller
            ),
        ),
        (
            "advertised.listeners",
            format!("CLIENT://{},INTERNAL://127.0.0.1:{}", own.advertised, own.internal),
        ),
        (
            "listener.security.protocol.map",
            format!(
                "CLIENT:{},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
                security_protocol(plan.tls, plan.sasl)
            ),
        ),
        ("inter.broker.listener.name", "INTERNAL".to_owned()),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", plan.auto_create_topics.to_string()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
        ("share.coordinator.state.topic.min.isr", in_sync.to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    if replicas > 1 {
        lines.push(("default.replication.factor", replicas.to_string()));
        lines.push(("min.insync.replicas", in_sync.to_string()));
    }
    lines.extend(security_lines(cluster));
    let planned = plan.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = lines.iter().map(|(name, value)| (*name, value.as_str()));
    let mut text = String::new();
    for (name, value) in own.chain(planned) {
        let _ = writeln!(text, "{name}={}", value.replace('\\', "\\\\"));
    }
    text
}

/// `security.protocol` of clients.
pub(crate) fn security_protocol(tls: Tls, sasl: Option<Sasl>) -> &'static str {
    match (tls, sasl) {
        (Tls::Off, None) => "PLAINTEXT",
        (Tls::Off, Some(_)) => "SASL_PLAINTEXT",
        (Tls::Offered | Tls::Server | Tls::Mutual, None) => "SSL",
        (Tls::Offered | Tls::Server | Tls::Mutual, Some(_)) => "SASL_SSL",
    }
}

/// The line that logs a Java client in; also what a broker checks PLAIN clients against.
pub(crate) fn jaas_line(sasl: Sasl, password: &str) -> String {
    let module = match sasl {
        Sasl::Plain => "plain.PlainLoginModule",
        Sasl::ScramSha256 | Sasl::ScramSha512 => "scram.ScramLoginModule",
    };
    format!(
        "org.apache.kafka.common.security.{module} required username=\"{USER}\" \
         password=\"{password}\""
    )
}

fn security_lines(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(certificates) = &cluster.certificates {
        let asked = match cluster.plan.tls {
            Tls::Off | Tls::Offered | Tls::Server => "none",
            Tls::Mutual => "required",
        };
        let server = certificates.server.display().to_string();
        lines.extend([
            ("listener.name.client.ssl.keystore.type", "PEM".to_owned()),
            ("listener.name.client.ssl.keystore.location", server),
            ("listener.name.client.ssl.truststore.type", "PEM".to_owned()),
            ("listener.name.client.ssl.truststore.location", certificates.ca.display().to_string()),
            ("listener.name.client.ssl.client.auth", asked.to_owned()),
        ]);
    }
    if let (Some(sasl), Some(password)) = (cluster.plan.sasl, &cluster.password) {
        let password = password.text();
        let line = jaas_line(sasl, password);
        let (name, line) = match sasl {
            Sasl::Plain => (
                "listener.name.client.plain.sasl.jaas.config",
                format!("{line} user_{USER}=\"{password}\";"),
            ),
            Sasl::ScramSha256 => {
                ("listener.name.client.scram-sha-256.sasl.jaas.config", format!("{line};"))
            }
            Sasl::ScramSha512 => {
                ("listener.name.client.scram-sha-512.sasl.jaas.config", format!("{line};"))
            }
        };
        lines.push(("listener.name.client.sasl.enabled.mechanisms", sasl.mechanism().to_owned()));
        lines.push((name, line));
    }
    lines
}

/// Writes the first metadata of a broker into its data folder, and tells the version of Java.
pub(crate) fn format_command(cluster: &Cluster, properties: &Path) -> Command {
    let mut java = cluster.software.java();
    // A short run: what compiles quickly and starts no threads is done first.
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-showversion"]);
    java.arg("-cp").arg(cluster.software.class_path()).arg("kafka.tools.StorageTool");
    java.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(properties);
    if let (Some(sasl @ (Sasl::ScramSha256 | Sasl::ScramSha512)), Some(password)) =
        (cluster.plan.sasl, &cluster.password)
    {
        let (mechanism, password) = (sasl.mechanism(), password.text());
        java.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={password}]"));
    }
    java
}

/// Runs the broker whose folder is `folder`.
pub(crate) fn broker_command(cluster: &Cluster, folder: &Path, properties: &Path) -> Command {
    let mut java = cluster.software.java();
    let heap_mb = cluster.plan.heap_mb;
    java.arg(format!("-Xmx{heap_mb}m")).arg(format!("-Xms{heap_mb}m"));
    add_server_flags(&mut java, folder);
    let log4j = folder.join("log4j2.properties");
    java.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
    java.arg("-cp").arg(cluster.software.class_path()).arg("kafka.Kafka").arg(properties);
    java
}

/// Adds the flags of Kafka's own start scripts, for a server in `folder`; heap and class path are
/// for the caller to add.
pub(crate) fn add_server_flags(java: &mut Command, folder: &Path) {
    java.args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
    java.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
    // Codecs unpack their libraries into the temporary folder, and a killed server leaves them
    // there.
    java.arg(format!("-Djava.io.tmpdir={}", folder.join("data/tmp").display()));
    java.arg("-XX:-UsePerfData");
    java.args(["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::image::Image;

    fn cluster(plan: KafkaPlan) -> Cluster {
        let software = KafkaSoftware::Image(Image::parse("kafka:1").unwrap());
        Cluster { plan, software, certificates: None, password: Some(Secret::new()) }
    }

    fn listeners(start: u16) -> Listeners {
        let (client, internal, controller) = (start, start + 1, start + 2);
        Listeners { client, advertised: "127.0.0.1:99".to_owned(), internal, controller }
    }

    #[test]
    fn planned_property_comes_after_the_own_one() {
        let plan = KafkaPlan::default()
            .auto_create_topics(false)
            .property("message.max.bytes", "2000")
            .property("node.id", "7");
        let text = server_properties(&cluster(plan), 0, &[listeners(1)], Path::new("/data"));
        assert!(text.contains("\nauto.create.topics.enable=false\n"), "{text}");
        assert!(text.contains("\nlog.dirs=/data\n"), "{text}");
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:3\n"), "{text}");
        assert!(text.contains("advertised.listeners=CLIENT://127.0.0.1:99,"), "{text}");
        assert!(text.ends_with("\nmessage.max.bytes=2000\nnode.id=7\n"), "{text}");
    }

    #[test]
    fn three_brokers_vote_and_keep_three_replicas() {
        let all = [listeners(1), listeners(11), listeners(21)];
        let cluster = cluster(KafkaPlan::default().brokers(3));
        let text = server_properties(&cluster, 2, &all, Path::new("/data"));
        assert!(text.contains("quorum.voters=1@127.0.0.1:3,2@127.0.0.1:13,3@127.0.0.1:23\n"));
        assert!(text.contains("\nnode.id=3\n") && text.contains("\nmin.insync.replicas=2\n"));
        assert!(text.contains("\ndefault.replication.factor=3\n"), "{text}");
    }

    #[test]
    fn mechanism_decides_where_the_user_is_kept() {
        let plain = cluster(KafkaPlan::default().sasl(Sasl::Plain));
        let text = server_properties(&plain, 0, &[listeners(1)], Path::new("/data"));
        assert!(text.contains("CLIENT:SASL_PLAINTEXT,"), "{text}");
        let password = plain.password.as_ref().unwrap().text();
        assert!(text.contains(&format!("user_millrace=\"{password}\";")), "{text}");
        let arguments = |cluster: &Cluster| {
            let command = format_command(cluster, Path::new("p"));
            command.get_args().any(|word| word == "--add-scram")
        };
        assert!(!arguments(&plain));
        let scram = cluster(KafkaPlan::default().sasl(Sasl::ScramSha512));
        assert!(arguments(&scram));
        let text = server_properties(&scram, 0, &[listeners(1)], Path::new("/data"));
        assert!(text.contains("sasl.enabled.mechanisms=SCRAM-SHA-512\n"), "{text}");
        assert!(!text.contains("user_millrace"), "{text}");
    }
}
