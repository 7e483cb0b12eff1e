//! What a member goes by, and what it needs to know of the worker.

use std::time::Duration;

use crate::group::protocol::Protocols;
use crate::group::work::ClusterWork;

/// What a member goes by; the names are those of the worker's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// `group.id`.
    pub group_id: String,
    /// Where other workers reach this one.
    pub url: String,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `rebalance.timeout.ms`.
    pub rebalance_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `scheduled.rebalance.max.delay.ms`.
    pub rebalance_delay_max: Duration,
    /// `connect.protocol`.
    pub protocols: Protocols,
}

/// What the group needs to know of the worker, asked when it joins and when it leads.
pub trait Worker {
    /// How far this worker has read the config topic: one past the last record, markers of transactions not counted;
    /// -1 if there is none.
    fn config_offset(&self) -> i64;
    /// What the config topic says is to run, as far as it was read.
    fn work(&self) -> ClusterWork;
}
