//! What a broker is started with: its `server.properties` and its Java command lines.
//!
//! The broker's own defaults stand, except for what a single broker must have (replication factors
//! of one) and for what would only make tests wait (the rebalance delay, fifty offset partitions).
//! The flags of the Java machine are those of Kafka's own start script, so that it performs as it
//! does when that script starts it.

use std::{fmt::Write as _, path::Path, process::Command};

use crate::{fetch::KafkaLibraries, plan::KafkaPlan};

/// The cluster id: 16 bytes in base 64, as `kafka-storage random-uuid` makes them.
const CLUSTER_ID: &str = "bWlsbHJhY2V0ZXN0YmVkMQ";

/// The text of `server.properties`. Lines of the plan come last, and the last one of a name counts.
pub(crate) fn server_properties(
    plan: &KafkaPlan,
    data: &Path,
    broker: u16,
    controller: u16,
) -> String {
    let lines = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        (
            "listeners",
            format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"),
        ),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{broker}")),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", plan.auto_create_topics.to_string()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    let planned = plan.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = lines.iter().map(|(name, value)| (*name, value.as_str()));
    let mut text = String::new();
    for (name, value) in own.chain(planned) {
        let _ = writeln!(text, "{name}={}", value.replace('\\', "\\\\"));
    }
    text
}

/// Writes the first metadata of a broker into its data folder.
pub(crate) fn format_command(libraries: &KafkaLibraries, properties: &Path) -> Command {
    let mut java = Command::new(&libraries.java);
    // A short run: what compiles quickly and starts no threads is done first.
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
    java.arg("-cp").arg(libraries.class_path()).arg("kafka.tools.StorageTool");
    java.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(properties);
    java
}

/// Runs the broker.
pub(crate) fn broker_command(
    libraries: &KafkaLibraries,
    plan: &KafkaPlan,
    folder: &Path,
    properties: &Path,
) -> Command {
    let mut java = server_java(libraries, folder);
    java.arg(format!("-Xmx{}m", plan.heap_mb)).arg(format!("-Xms{}m", plan.heap_mb));
    java.arg("-cp").arg(libraries.class_path()).arg("kafka.Kafka").arg(properties);
    java
}

/// A Java machine with the flags of Kafka's own start scripts, for a server in `folder`; heap and
/// class path are for the caller to add.
pub(crate) fn server_java(libraries: &KafkaLibraries, folder: &Path) -> Command {
    let mut java = Command::new(&libraries.java);
    java.args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
    java.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
    java.args(["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
    // Codecs unpack their libraries into the temporary folder, and a killed server leaves them
    // there.
    java.arg(format!("-Djava.io.tmpdir={}", folder.join("data/tmp").display()));
    java.arg("-XX:-UsePerfData");
    java
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_property_comes_after_the_own_one() {
        let plan = KafkaPlan::default()
            .auto_create_topics(false)
            .property("message.max.bytes", "2000")
            .property("node.id", "7");
        let text = server_properties(&plan, Path::new("/data"), 1, 2);
        assert!(text.contains("\nauto.create.topics.enable=false\n"), "{text}");
        assert!(text.contains("\nlog.dirs=/data\n"), "{text}");
        assert!(text.contains("\ncontroller.quorum.voters=1@127.0.0.1:2\n"), "{text}");
        assert!(text.ends_with("\nmessage.max.bytes=2000\nnode.id=7\n"), "{text}");
    }
}
