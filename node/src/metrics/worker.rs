//! Connect's figures of a worker, its connectors and the states of their tasks, and what of memory the tasks share.

use super::exposition::{Kind, Page};
use crate::config::CONNECTOR_VERSION;
use crate::herder::{CONNECTOR_CLASS, ConnectorFigures, SOURCE, State, WorkerFigures};

/// Whether a task in this state counts.
type Counts = fn(State) -> bool;

/// `connect-worker-metrics` of each connector: which of its tasks count.
const TASK_COUNTS: [(&str, Counts); 7] = [
    ("kafka_connect_worker_connector_total_task_count", |_| true),
    ("kafka_connect_worker_connector_running_task_count", |state| state == State::Running),
    ("kafka_connect_worker_connector_paused_task_count", |state| state == State::Paused),
    ("kafka_connect_worker_connector_failed_task_count", |state| state == State::Failed),
    ("kafka_connect_worker_connector_unassigned_task_count", |state| state == State::Unassigned),
    ("kafka_connect_worker_connector_restarting_task_count", |state| state == State::Restarting),
    // A task that is taken away is not shown any more.
    ("kafka_connect_worker_connector_destroyed_task_count", |_| false),
];

pub(super) fn write(worker: &WorkerFigures, page: &mut Page) {
    write_worker(worker, page);
    write_task_counts(&worker.connectors, page);
    write_connectors(&worker.connectors, page);
    write_own(worker, page);
}

fn write_worker(worker: &WorkerFigures, page: &mut Page) {
    let connectors =
        worker.connectors.iter().filter(|connector| connector.state.is_some()).count() as f64;
    let tasks =
        worker.connectors.iter().filter(|connector| connector.task.is_some()).count() as f64;
    for (name, help, value) in [
        ("kafka_connect_worker_connector_count", "Connectors of this worker.", connectors),
        ("kafka_connect_worker_task_count", "Tasks of this worker.", tasks),
    ] {
        page.single(name, Kind::Gauge, help, value);
    }
    let (connectors, tasks) = (worker.connector_startups, worker.task_startups);
    for (name, help, value) in [
        (
            "kafka_connect_worker_connector_startup_attempts_total",
            "Connectors that were to be made.",
            connectors.succeeded + connectors.failed,
        ),
        (
            "kafka_connect_worker_connector_startup_success_total",
            "Connectors that were made.",
            connectors.succeeded,
        ),
        (
            "kafka_connect_worker_connector_startup_failure_total",
            "Connectors that could not be made.",
            connectors.failed,
        ),
        (
            "kafka_connect_worker_task_startup_attempts_total",
            "Tasks that were to begin.",
            tasks.succeeded + tasks.failed,
        ),
        ("kafka_connect_worker_task_startup_success_total", "Tasks that began.", tasks.succeeded),
        (
            "kafka_connect_worker_task_startup_failure_total",
            "Tasks that could not begin.",
            tasks.failed,
        ),
    ] {
        page.single(name, Kind::Counter, help, value as f64);
    }
}

fn write_task_counts(connectors: &[ConnectorFigures], page: &mut Page) {
    for (name, counts) in TASK_COUNTS {
        let mut family = page.family(name, Kind::Gauge, "Tasks of the connector, by their state.");
        for connector in connectors {
            let count = connector.task.as_ref().is_some_and(|task| counts(task.state));
            family.series(&[("connector", &connector.name)], f64::from(u8::from(count)));
        }
    }
}

fn write_connectors(connectors: &[ConnectorFigures], page: &mut Page) {
    // In a group each connector is one worker's, so that it is counted once.
    let own = || connectors.iter().filter_map(|one| Some((one.name.as_str(), one.state?)));
    let help = "State of the connector; its task has one of its own.";
    let mut family = page.family("kafka_connect_connector_status", Kind::Gauge, help);
    for (name, state) in own() {
        family.series(&[("connector", name), ("status", state.metric())], 1.0);
    }
    for (name, help, label, value) in [
        (
            "kafka_connect_connector_connector_class",
            "Class of the connector.",
            "connector_class",
            CONNECTOR_CLASS,
        ),
        (
            "kafka_connect_connector_connector_type",
            "Whether the connector is a source or a sink.",
            "connector_type",
            SOURCE,
        ),
        (
            "kafka_connect_connector_connector_version",
            "Version of the MongoDB connector whose records these are.",
            "connector_version",
            CONNECTOR_VERSION,
        ),
    ] {
        let mut family = page.family(name, Kind::Gauge, help);
        for (connector, _) in own() {
            family.series(&[("connector", connector), (label, value)], 1.0);
        }
    }
    let help = "State of the task.";
    let mut family = page.family("kafka_connect_connector_task_status", Kind::Gauge, help);
    for ConnectorFigures { name, task, .. } in connectors {
        if let Some(task) = task {
            let labels =
                [("connector", name.as_str()), ("task", "0"), ("status", task.state.metric())];
            family.series(&labels, 1.0);
        }
    }
}

fn write_own(worker: &WorkerFigures, page: &mut Page) {
    let version = ("version", env!("CARGO_PKG_VERSION"));
    page.family("millrace_build_info", Kind::Gauge, "The version of this program.")
        .series(&[version], 1.0);
    let (name, help) = (
        "millrace_memory_budget_bytes",
        "What the buffers of all tasks may have (memory.bytes.max).",
    );
    page.single(name, Kind::Gauge, help, worker.memory_bytes_max as f64);
    let (name, help) = ("millrace_memory_lent_bytes", "What the buffers of all tasks have of it.");
    page.single(name, Kind::Gauge, help, worker.memory_lent_bytes as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::TaskFigures;
    use crate::task::Figures;

    #[test]
    fn a_connector_is_counted_where_it_is_and_its_task_where_that_is() {
        let task = |state| {
            Some(TaskFigures { state, client_id: String::new(), figures: Figures::default() })
        };
        let connector =
            |name: &str, state, task| ConnectorFigures { name: name.to_owned(), state, task };
        let connectors = vec![
            connector("own", Some(State::Running), None),
            connector("elsewhere", None, task(State::Failed)),
        ];
        let mut page = Page::default();
        write(&WorkerFigures { connectors, ..WorkerFigures::default() }, &mut page);
        let text = page.into_text();
        for line in [
            "kafka_connect_worker_connector_count 1",
            "kafka_connect_worker_task_count 1",
            r#"kafka_connect_connector_status{connector="own",status="running"} 1"#,
            r#"kafka_connect_worker_connector_failed_task_count{connector="elsewhere"} 1"#,
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains(r#"connector_status{connector="elsewhere""#), "{text}");
        assert!(!text.contains(r#"connector_class{connector="elsewhere""#), "{text}");
    }
}
