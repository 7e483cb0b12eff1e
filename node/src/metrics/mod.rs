//! `GET /metrics`: everything that a worker knows of itself, for Prometheus.
//!
//! | names | what | labels |
//! |---|---|---|
//! | `kafka_connect_*` | Connect's figures of worker, connectors and tasks | `connector`, `task` |
//! | `kafka_producer_*` | figures of Kafka's producer | `clientid`, `topic` |
//! | `com_mongodb_kafka_connect_*` | the MongoDB connector's figures | `connector`, `task` |
//! | `millrace_*` | our own | `connector`, `task` |
//! | `process_*` | of the process | |
//!
//! The first three are called as Prometheus' JMX exporter calls Java's beans: with the rules that Strimzi ships for
//! Connect (names of labels in lower case) and, for the connector, without any. Only what is known has a series: what
//! Java averages over half a minute is left to `rate()` of a counter, and what a JVM or a Kafka consumer would have is
//! not there. Figures of a task count from its last start, as in Connect.
//!
//! * [`exposition`] the format
//! * [`worker`] Connect's figures of worker, connectors and the states of tasks
//! * [`task`] what a task has counted, under all of its names
//! * [`process`] the process

use crate::herder::WorkerFigures;

mod exposition;
mod process;
mod task;
mod worker;

pub(crate) use exposition::CONTENT_TYPE;

use exposition::Page;

/// The whole answer.
pub(crate) fn text(figures: &WorkerFigures) -> String {
    let mut page = Page::default();
    worker::write(figures, &mut page);
    task::write(figures, &mut page);
    process::write(&mut page);
    page.into_text()
}
