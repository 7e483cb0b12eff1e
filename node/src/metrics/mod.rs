//! `GET /metrics`: everything that a worker knows of itself, for Prometheus.
//!
//! | names | what | labels |
//! |---|---|---|
//! | `kafka_connect_*` | Connect's figures of worker, connectors and tasks | `connector`, `task` |
//! | `kafka_producer_*` | figures of Kafka's producer | `clientid`, `topic` |
//! | `kafka_consumer_*`, `kafka_admin_client_*` | of what reads and makes the worker's own topics | `clientid` |
//! | `com_mongodb_kafka_connect_*` | the MongoDB connector's figures | `connector`, `task` |
//! | `millrace_*` | our own | `connector`, `task` |
//! | `process_*` | of the process | |
//! | `jvm_*` | what comes next to a JVM's memory, threads and garbage collector | `area`, `gc` |
//! | `container_*`, `kubelet_*` | not of a worker: Kubernetes has them | |
//!
//! The first three are called as Prometheus' JMX exporter calls Java's beans: with the rules that Strimzi ships for
//! Connect (names of labels in lower case) and, for the connector, without any. Only what is known has a series: what
//! Java averages over half a minute is left to `rate()` of a counter. Every name that Strimzi's dashboard asks a worker
//! for is there (`node/tests/fixtures/strimzi-connect-metric-names.txt`); where the thing itself is not, the value is
//! zero and the help says so. Figures of a task count from its last start, as in Connect.
//!
//! * [`exposition`] the format
//! * [`group`] the worker among others, and the clients of its own topics
//! * [`worker`] Connect's figures of worker, connectors and the states of tasks
//! * [`task`] what a task has counted, under all of its names
//! * [`process`] the process
//! * [`jvm`] what dashboards for Java ask for

use crate::herder::WorkerFigures;

mod exposition;
mod group;
mod jvm;
mod process;
mod task;
mod worker;

pub(crate) use exposition::CONTENT_TYPE;
pub(crate) use process::figures as of_process;

use exposition::Page;

/// The whole answer.
pub(crate) fn text(figures: &WorkerFigures) -> String {
    let mut page = Page::default();
    worker::write(figures, &mut page);
    group::write(&figures.group, &mut page);
    task::write(figures, &mut page);
    let status = process::status();
    process::write(&status, &mut page);
    jvm::write(figures.memory_lent_bytes, process::figures_of(&status), &mut page);
    page.into_text()
}
