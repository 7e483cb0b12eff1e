//! The properties of a Connect worker, and what becomes of them in a standalone run.
//!
//! As `StandaloneConfig` and `DistributedConfig` of Connect 4.1.0 print them; behind them the node's
//! own, which Connect would pass over with a warning. Those of TLS and SASL are in
//! [`super::encryption`], [`super::rest_tls`] and [`super::sasl`], those of a group in
//! [`super::distributed_properties`].

use super::client_overrides::{OVERRIDE_POLICIES, OVERRIDE_POLICY};
use super::connect_properties::{Family, Fate};
use super::property::{Kind, Property};

const BUILT_IN: &str = "the connector and its converters are built in, nothing is loaded";
const SOCKETS: &str = "sockets are tuned by the node itself";
const OWN_POLICIES: &str = "All, None and Principal are built in, Java classes cannot be loaded";
const METRICS: &str = "metrics have their own settings here";

/// In the order of Java's declarations: common ones, standalone, distributed (where it is of use alone as well); then
/// the node's own.
pub(super) const WORKER_PROPERTIES: &[Property] = &[
    Property::list("bootstrap.servers", "localhost:9092"),
    Property::text("client.dns.lookup", "use_all_dns_ips").accepted(SOCKETS),
    Property::optional("key.converter", Kind::Text),
    Property::optional("key.converter.plugin.version", Kind::Text).not_yet(BUILT_IN),
    Property::optional("value.converter", Kind::Text),
    Property::optional("value.converter.plugin.version", Kind::Text).not_yet(BUILT_IN),
    Property::long("task.shutdown.graceful.timeout.ms", "5000")
        .accepted("stopping waits until what was sent is acknowledged"),
    Property::long("offset.flush.interval.ms", "60000").at_least(0),
    Property::long("offset.flush.timeout.ms", "5000")
        .accepted("a position that cannot be stored is tried again"),
    Property::list("plugin.path", "").accepted(BUILT_IN),
    Property::text("plugin.discovery", "hybrid_warn").accepted(BUILT_IN),
    Property::optional("header.converter", Kind::Text),
    Property::optional("header.converter.plugin.version", Kind::Text).not_yet(BUILT_IN),
    Property::list("config.providers", ""),
    Property::text(OVERRIDE_POLICY, "All").only(OVERRIDE_POLICIES, OWN_POLICIES),
    Property::boolean("topic.creation.enable", "true"),
    Property::boolean("topic.tracking.enable", "true"),
    Property::boolean("topic.tracking.allow.reset", "true"),
    Property::list("listeners", "http://:8083"),
    Property::optional("rest.advertised.host.name", Kind::Text),
    Property::optional("rest.advertised.port", Kind::Int).between(0, 65_535),
    Property::optional("rest.advertised.listener", Kind::Text).one_of_any_case(&["http", "https"]),
    Property::text("access.control.allow.origin", ""),
    Property::text("access.control.allow.methods", ""),
    Property::text("response.http.headers.config", ""),
    Property::list("rest.extension.classes", ""),
    Property::optional("admin.listeners", Kind::List),
    Property::list("metric.reporters", "").accepted(METRICS),
    Property::optional("metrics.num.samples", Kind::Int).accepted(METRICS),
    Property::optional("metrics.recording.level", Kind::Text).accepted(METRICS),
    Property::optional("metrics.sample.window.ms", Kind::Long).accepted(METRICS),
    Property::optional("offset.storage.file.filename", Kind::Text),
    Property::text("exactly.once.source.support", "disabled")
        .one_of_any_case(&["disabled", "enabled", "preparing"])
        .not_yet("exactly-once delivery comes with a later version; use disabled"),
    Property::optional("send.buffer.bytes", Kind::Int).accepted(SOCKETS),
    Property::optional("receive.buffer.bytes", Kind::Int).accepted(SOCKETS),
    Property::optional("reconnect.backoff.ms", Kind::Long).accepted(SOCKETS),
    Property::optional("reconnect.backoff.max.ms", Kind::Long).accepted(SOCKETS),
    Property::optional("socket.connection.setup.timeout.ms", Kind::Long).accepted(SOCKETS),
    Property::optional("socket.connection.setup.timeout.max.ms", Kind::Long).accepted(SOCKETS),
    Property::optional("connections.max.idle.ms", Kind::Long).accepted(SOCKETS),
    Property::optional("offset.storage.topic", Kind::Text),
    Property::int("offset.storage.partitions", "25").at_least(-1),
    Property::short("offset.storage.replication.factor", "3").at_least(-1),
    Property::optional("internal.key.converter", Kind::Text)
        .accepted("positions are always JSON without schemas"),
    Property::optional("internal.value.converter", Kind::Text)
        .accepted("positions are always JSON without schemas"),
    Property::optional("rest.basic.auth.jaas.file", Kind::Text),
    Property::optional("io.driver", Kind::Text).one_of(&["auto", "uring", "epoll"]),
    Property::long("memory.bytes.max", "67108864").at_least(1 << 20),
    Property::int("compression.threads", "0").between(0, 64),
    Property::optional("task.restart.enable", Kind::Boolean),
    Property::long("task.restart.backoff.ms", "1000").at_least(1),
    Property::long("task.restart.backoff.max.ms", "60000").at_least(1),
];

/// The families of a worker's file. The first prefix that fits counts.
pub(super) const WORKER_FAMILIES: &[Family] = &[
    Family { prefix: "producer.", fate: Fate::Read },
    Family { prefix: "key.converter.", fate: Fate::Read },
    Family { prefix: "value.converter.", fate: Fate::Read },
    Family { prefix: "header.converter.", fate: Fate::Read },
    Family { prefix: "listeners.https.", fate: Fate::Read },
    Family { prefix: "admin.listeners.https.", fate: Fate::Read },
    Family {
        prefix: "admin.",
        fate: Fate::Accepted("topics are created over the producer's connections"),
    },
    Family { prefix: "consumer.", fate: Fate::Accepted("a source connector consumes nothing") },
    Family { prefix: "config.providers.", fate: Fate::Read },
    Family { prefix: "metrics.context.", fate: Fate::Accepted(METRICS) },
    Family {
        prefix: "internal.key.converter.",
        fate: Fate::Accepted("positions are always JSON without schemas"),
    },
    Family {
        prefix: "internal.value.converter.",
        fate: Fate::Accepted("positions are always JSON without schemas"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_property_is_there_once_and_its_default_passes() {
        let names: BTreeSet<&str> =
            WORKER_PROPERTIES.iter().map(|property| property.name).collect();
        assert_eq!(names.len(), WORKER_PROPERTIES.len());
        for property in WORKER_PROPERTIES {
            if let Some(default) = property.default {
                assert!(property.parse(default).is_ok(), "{}", property.name);
            }
        }
    }
}
