//! The properties of a worker in a group, beside those of every worker.
//!
//! As `DistributedConfig` of Connect 4.1.0 has them, but for one default: the work of a worker that has gone is given
//! to others at once, since a task begins here within a fraction of a second. In a standalone run they have no effect.

use super::property::{Kind, Property};

const CLIENTS: &str = "the worker's own clients have fixed times";
const UNSYNC: &str = "read by eager workers only, also in Java";
const RECOVERY: &str = "a client that has lost every broker begins again with bootstrap.servers";

/// Names of properties that [`super::distributed`] reads.
pub(super) const DISTRIBUTED_PROPERTIES: &[Property] = &[
    Property::text("group.id", ""),
    Property::int("session.timeout.ms", "10000").at_least(1),
    Property::int("rebalance.timeout.ms", "60000").at_least(1),
    Property::int("heartbeat.interval.ms", "3000").at_least(1),
    Property::long("metadata.max.age.ms", "300000").at_least(0).accepted(CLIENTS),
    Property::text("client.id", ""),
    Property::long("retry.backoff.ms", "100").at_least(0),
    Property::long("retry.backoff.max.ms", "1000").at_least(0).accepted(CLIENTS),
    Property::int("request.timeout.ms", "40000").at_least(1),
    Property::int("worker.sync.timeout.ms", "3000").at_least(1),
    Property::int("worker.unsync.backoff.ms", "300000").at_least(0).accepted(UNSYNC),
    Property::text("config.storage.topic", ""),
    Property::short("config.storage.replication.factor", "3").at_least(-1),
    Property::text("status.storage.topic", ""),
    Property::int("status.storage.partitions", "5").at_least(-1),
    Property::short("status.storage.replication.factor", "3").at_least(-1),
    Property::text("connect.protocol", "sessioned").one_of_any_case(&[
        "eager",
        "compatible",
        "sessioned",
    ]),
    Property::int("scheduled.rebalance.max.delay.ms", "0").at_least(0),
    Property::int("inter.worker.key.ttl.ms", "3600000").at_least(0),
    Property::text("inter.worker.key.generation.algorithm", "HmacSHA256"),
    Property::optional("inter.worker.key.size", Kind::Int),
    Property::text("inter.worker.signature.algorithm", "HmacSHA256"),
    Property::list("inter.worker.verification.algorithms", "HmacSHA256"),
    Property::text("metadata.recovery.strategy", "rebootstrap").accepted(RECOVERY),
    Property::long("metadata.recovery.rebootstrap.trigger.ms", "300000").accepted(RECOVERY),
];

/// The topics of a worker in a group; what stands behind a prefix is a setting of the topic if it has to be made.
pub(super) const TOPIC_PREFIXES: [&str; 3] = [CONFIG_STORAGE, OFFSET_STORAGE, STATUS_STORAGE];
pub(super) const CONFIG_STORAGE: &str = "config.storage.";
pub(super) const OFFSET_STORAGE: &str = "offset.storage.";
pub(super) const STATUS_STORAGE: &str = "status.storage.";
