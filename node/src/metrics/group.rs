//! The worker as one of a group: what it was given, and names of clients that dashboards ask for.
//!
//! Names are those of `connect-coordinator-metrics` and `connect-worker-rebalance-metrics`. A standalone worker has no
//! group: it was given all that it has, and nothing is ever handed out anew.

use super::exposition::{Kind, Page};
use crate::herder::GroupFigures;

/// What the readers of config, offset and status topic are called together.
const CLIENT: &str = "worker";

pub(super) fn write(group: &GroupFigures, page: &mut Page) {
    for (name, kind, help, value) in [
        (
            "kafka_connect_coordinator_assigned_connectors",
            Kind::Gauge,
            "Connectors that were given to this worker.",
            group.assigned_connectors,
        ),
        (
            "kafka_connect_coordinator_assigned_tasks",
            Kind::Gauge,
            "Tasks that were given to this worker.",
            group.assigned_tasks,
        ),
        (
            "kafka_connect_worker_rebalance_rebalancing",
            Kind::Gauge,
            "Whether connectors and tasks are being handed out anew; 0 in a standalone worker.",
            u64::from(group.is_rebalancing),
        ),
        (
            "kafka_connect_worker_rebalance_completed_rebalances_total",
            Kind::Counter,
            "How often they were; 0 in a standalone worker.",
            group.completed_rebalances,
        ),
        (
            "kafka_connect_worker_rebalance_epoch",
            Kind::Gauge,
            "Generation of the group; 0 in a standalone worker.",
            group.epoch,
        ),
    ] {
        page.single(name, kind, help, value as f64);
    }
    if let Some(leader) = &group.leader_url {
        let help = "The worker that decides for the group.";
        page.family("kafka_connect_worker_rebalance_leader_name", Kind::Gauge, help)
            .series(&[("leader_name", leader)], 1.0);
    }
    write_clients(page);
}

/// Dashboards ask for these; the worker's own connections are not counted.
fn write_clients(page: &mut Page) {
    for (name, kind, help) in [
        (
            "kafka_consumer_connection_count",
            Kind::Gauge,
            "Always 0: connections that read the worker's own topics are not counted, and connectors read no topics.",
        ),
        (
            "kafka_consumer_incoming_byte_total",
            Kind::Counter,
            "Always 0: what comes over connections that read the worker's own topics is not counted.",
        ),
        (
            "kafka_admin_client_connection_count",
            Kind::Gauge,
            "Always 0: connections that make the worker's own topics are not counted, and topics of connectors are \
             made over their producers' connections.",
        ),
    ] {
        page.family(name, kind, help).series(&[("clientid", CLIENT)], 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_group_shows_what_it_was_given_and_who_leads() {
        let group = GroupFigures {
            assigned_tasks: 3,
            is_rebalancing: true,
            completed_rebalances: 7,
            leader_url: Some("http://a:8083/".to_owned()),
            ..GroupFigures::default()
        };
        let mut page = Page::default();
        write(&group, &mut page);
        let page = page.into_text();
        for line in [
            "kafka_connect_coordinator_assigned_tasks 3",
            "kafka_connect_worker_rebalance_rebalancing 1",
            "kafka_connect_worker_rebalance_completed_rebalances_total 7",
            r#"kafka_connect_worker_rebalance_leader_name{leader_name="http://a:8083/"} 1"#,
            r#"kafka_consumer_incoming_byte_total{clientid="worker"} 0"#,
        ] {
            assert!(page.lines().any(|other| other == line), "{line}\n{page}");
        }
        let mut alone = Page::default();
        write(&GroupFigures::default(), &mut alone);
        assert!(!alone.into_text().contains("leader_name"));
    }
}
