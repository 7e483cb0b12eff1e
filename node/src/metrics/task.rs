//! What a task has counted, under the names of Connect, of Kafka's producer, of the MongoDB connector, and our own.
//!
//! One table for each set of labels: a line is a family.

use std::collections::BTreeMap;

use millrace_core::kafka::TopicStats;

use super::exposition::{Kind, Page};
use crate::herder::{ConnectorFigures, TaskFigures, WorkerFigures};
use crate::task::{Figures, Stage, TopicFigures};

/// The topics that have no figures of their own; no topic of Kafka can be called so.
const OTHER_TOPICS: &str = "(other)";

/// A family with a series for each task; where there is no value, there is none.
struct Line {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&Figures) -> Option<f64>,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&Figures) -> Option<f64>,
) -> Line {
    Line { name, kind: Kind::Counter, help, value }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Figures) -> Option<f64>) -> Line {
    Line { name, kind: Kind::Gauge, help, value }
}

#[allow(clippy::unnecessary_wraps, reason = "lines without a value are the exception")]
fn n(number: u64) -> Option<f64> {
    Some(number as f64)
}

/// A task that has ended leaves none, acknowledged or not.
fn active_records(of: &Figures) -> u64 {
    let sent = of.pipeline.made_records.saturating_sub(of.pipeline.filtered_records);
    match of.pipeline.buffered_bytes {
        0 => 0,
        _ => sent.saturating_sub(of.pipeline.acknowledged_records),
    }
}

/// `source-task-metrics` and `task-error-metrics`.
const CONNECT: &[Line] = &[
    counter(
        "kafka_connect_source_task_source_record_poll_total",
        "Records made of changes, before transformations; dead letters and heartbeats included.",
        |of| n(of.pipeline.made_records),
    ),
    counter(
        "kafka_connect_source_task_source_record_write_total",
        "Of these, the ones that brokers have acknowledged.",
        |of| n(of.pipeline.acknowledged_records),
    ),
    gauge(
        "kafka_connect_source_task_source_record_active_count",
        "Records made, not dropped, and not acknowledged yet.",
        |of| n(active_records(of)),
    ),
    gauge(
        "kafka_connect_task_error_total_record_failures",
        "Changes that could not be written as they should; the last one may have ended the task.",
        |of| n(of.failed_records),
    ),
    gauge(
        "kafka_connect_task_error_total_record_errors",
        "Changes that could not be written as they should.",
        |of| n(of.failed_records),
    ),
    gauge(
        "kafka_connect_task_error_total_records_skipped",
        "Changes that are neither a record nor a dead letter because of an error: there are none.",
        |_| Some(0.0),
    ),
    gauge(
        "kafka_connect_task_error_deadletterqueue_produce_requests",
        "Records for the dead-letter topic.",
        |of| n(of.pipeline.dead_letters),
    ),
];

/// `producer-metrics`.
const PRODUCER: &[Line] = &[
    counter(
        "kafka_producer_record_send_total",
        "Records that brokers have acknowledged, positions in the offset topic included.",
        |of| n(of.pipeline.records),
    ),
    counter(
        "kafka_producer_request_total",
        "Produce requests sent, repeated ones included.",
        |of| n(of.pipeline.requests),
    ),
    gauge("kafka_producer_requests_in_flight", "Produce requests without an answer.", |of| {
        n(of.pipeline.requests_in_flight)
    }),
    gauge("kafka_producer_connection_count", "Connections to brokers.", |of| {
        n(of.traffic.kafka.open)
    }),
    counter("kafka_producer_connection_creation_total", "Connections opened to brokers.", |of| {
        n(of.traffic.kafka.opened)
    }),
    counter("kafka_producer_outgoing_byte_total", "Bytes for brokers, before encryption.", |of| {
        n(of.traffic.kafka.sent_bytes)
    }),
    counter("kafka_producer_incoming_byte_total", "Bytes from brokers, after decryption.", |of| {
        n(of.traffic.kafka.received_bytes)
    }),
];

/// `com.mongodb.kafka.connect:type=source-task-metrics`, of copy and stream together.
const MONGODB: &[Line] = &[
    counter(
        "com_mongodb_kafka_connect_source_task_metrics_records",
        "Records made of changes, before transformations; dead letters and heartbeats included.",
        |of| n(of.pipeline.made_records),
    ),
    counter(
        "com_mongodb_kafka_connect_source_task_metrics_records_filtered",
        "Of these, the ones that transformations have dropped.",
        |of| n(of.pipeline.filtered_records),
    ),
    counter(
        "com_mongodb_kafka_connect_source_task_metrics_records_acknowledged",
        "Records that brokers have acknowledged.",
        |of| n(of.pipeline.acknowledged_records),
    ),
    counter(
        "com_mongodb_kafka_connect_source_task_metrics_mongodb_bytes_read",
        "Bytes of events and copied documents, as BSON.",
        |of| n(of.pipeline.event_bytes),
    ),
    gauge(
        "com_mongodb_kafka_connect_source_task_metrics_latest_mongodb_time_difference_secs",
        "Seconds between the end of the last batch and the newest operation of its server.",
        |of| of.pipeline.lag_s.map(f64::from),
    ),
    counter(
        "com_mongodb_kafka_connect_source_task_metrics_initial_commands_successful",
        "How often the stream or the copy before it was opened.",
        |of| n(of.pipeline.openings),
    ),
];

const OWN: &[Line] = &[
    counter("millrace_events_total", "Events and copied documents taken in.", |of| {
        n(of.pipeline.events)
    }),
    counter("millrace_event_bytes_total", "Bytes of these, as BSON.", |of| {
        n(of.pipeline.event_bytes)
    }),
    counter("millrace_dead_letters_total", "Changes that went to the dead-letter topic.", |of| {
        n(of.pipeline.dead_letters)
    }),
    counter("millrace_batches_total", "Record batches acknowledged.", |of| n(of.pipeline.batches)),
    counter("millrace_batch_records_total", "Records in these.", |of| n(of.pipeline.records)),
    counter("millrace_batch_bytes_total", "Bytes of these, as sent.", |of| {
        n(of.pipeline.acknowledged_bytes)
    }),
    counter("millrace_batch_retries_total", "Record batches sent again.", |of| {
        n(of.pipeline.retries)
    }),
    gauge("millrace_buffered_bytes", "Bytes of batches open, waiting or in flight.", |of| {
        n(of.pipeline.buffered_bytes)
    }),
    counter("millrace_stream_openings_total", "How often stream or copy was opened.", |of| {
        n(of.pipeline.openings)
    }),
    counter(
        "millrace_stream_interruptions_total",
        "How often the stream was interrupted, or could not be opened again at once.",
        |of| n(of.pipeline.interruptions),
    ),
    counter(
        "millrace_task_restarts_total",
        "How often a failed task began again by itself.",
        |of| n(of.restarts),
    ),
    counter("millrace_gaps_total", "Lost positions behind which the stream went on.", |of| {
        n(of.pipeline.gaps)
    }),
    gauge(
        "millrace_stored_position_timestamp_seconds",
        "Cluster time of the position that was stored last: everything before it is acknowledged.",
        |of| of.pipeline.stored_time.map(f64::from),
    ),
    gauge(
        "millrace_source_oplog_headroom_seconds",
        "Cluster time between the oldest entry of the oplog and the position that was stored last: what may still be \
         cut off before the position is lost. Only where the user may read local.oplog.rs.",
        |of| of.headroom_s().map(f64::from),
    ),
    gauge("millrace_mongodb_connections", "Connections to MongoDB.", |of| {
        n(of.traffic.mongodb.open)
    }),
    counter("millrace_mongodb_connections_opened_total", "Connections opened to MongoDB.", |of| {
        n(of.traffic.mongodb.opened)
    }),
    counter(
        "millrace_mongodb_received_bytes_total",
        "Bytes from MongoDB, after decryption.",
        |of| n(of.traffic.mongodb.received_bytes),
    ),
];

/// The name of a connector, and its task.
type Task<'a> = (&'a str, &'a TaskFigures);

pub(super) fn write(worker: &WorkerFigures, page: &mut Page) {
    let tasks: Vec<Task<'_>> = worker.connectors.iter().filter_map(of_connector).collect();
    write_lines(CONNECT, &tasks, own_labels, page);
    write_producers(&tasks, page);
    write_topics(&tasks, page);
    write_lines(
        MONGODB,
        &tasks,
        |(name, _)| [("connector", name), ("task", "source-task-0")],
        page,
    );
    write_lines(OWN, &tasks, own_labels, page);
    write_stages(&tasks, page);
    let help = "From a change to its acknowledgement, in seconds by the clocks of the primary and of this machine: \
                each record with the age of the oldest change in its batch. Before MongoDB 6.0 up to a second too \
                long; without copied documents.";
    let mut family = page.family("millrace_latency_seconds", Kind::Histogram, help);
    for task in &tasks {
        family.histogram(&own_labels(*task), &task.1.figures.pipeline.latency);
    }
}

fn of_connector(connector: &ConnectorFigures) -> Option<Task<'_>> {
    Some((&connector.name, connector.task.as_ref()?))
}

fn own_labels<'a>((name, _): Task<'a>) -> [(&'a str, &'a str); 2] {
    [("connector", name), ("task", "0")]
}

fn write_lines<const LABELS: usize>(
    lines: &[Line],
    tasks: &[Task<'_>],
    labels: impl for<'a> Fn(Task<'a>) -> [(&'a str, &'a str); LABELS],
    page: &mut Page,
) {
    for line in lines {
        let mut family = page.family(line.name, line.kind, line.help);
        for task in tasks {
            if let Some(value) = (line.value)(&task.1.figures) {
                family.series(&labels(*task), value);
            }
        }
    }
}

/// Connectors may share a client id (`producer.client.id`): their producers are one series, the sum.
fn write_producers(tasks: &[Task<'_>], page: &mut Page) {
    for line in PRODUCER {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (_, task) in tasks {
            if let Some(value) = (line.value)(&task.figures) {
                *sums.entry(&task.client_id).or_default() += value;
            }
        }
        let mut family = page.family(line.name, line.kind, line.help);
        for (client_id, sum) in sums {
            family.series(&[("clientid", client_id)], sum);
        }
    }
}

/// `producer-topic-metrics`, with the sum over all producers of one client id.
fn write_topics(tasks: &[Task<'_>], page: &mut Page) {
    type Count = fn(&TopicStats) -> u64;
    let families: [(&str, &str, Count); 2] = [
        ("kafka_producer_topic_record_send_total", "Records acknowledged.", |of| of.records),
        ("kafka_producer_topic_byte_total", "Bytes of their batches, as sent.", |of| of.bytes),
    ];
    for (name, help, value) in families {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (_, TaskFigures { client_id, figures, .. }) in tasks {
            for TopicFigures { name, stats } in &figures.topics {
                let topic = name.as_deref().unwrap_or(OTHER_TOPICS);
                *sums.entry((client_id, topic)).or_default() += value(stats);
            }
        }
        let mut family = page.family(name, Kind::Counter, help);
        for ((client_id, topic), sum) in sums {
            family.series(&[("clientid", client_id), ("topic", topic)], sum as f64);
        }
    }
}

fn write_stages(tasks: &[Task<'_>], page: &mut Page) {
    let help = "What the task's time was spent with: take (from bytes to batches), send (sealing and sending), \
                read (more bytes), idle (waiting for MongoDB), full (waiting for brokers).";
    let mut family = page.family("millrace_stage_seconds_total", Kind::Counter, help);
    for (name, task) in tasks {
        for stage in Stage::ALL {
            let labels = [("connector", *name), ("task", "0"), ("stage", stage.name())];
            family.series(&labels, task.figures.spent(stage).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::pipeline::PipelineStats;

    use super::*;
    use crate::herder::State;

    fn connector(name: &str, pipeline: PipelineStats) -> ConnectorFigures {
        let topic = |name: Option<&str>, records| TopicFigures {
            name: name.map(str::to_owned),
            stats: TopicStats { records, bytes: 10 * records },
        };
        let topics = vec![topic(Some("t"), 2), topic(None, 3)];
        let figures = Figures { pipeline, topics, ..Figures::default() };
        let client_id = format!("producer of {name}");
        let task = TaskFigures { state: State::Running, client_id, figures };
        ConnectorFigures { name: name.to_owned(), state: Some(State::Running), task: Some(task) }
    }

    #[test]
    fn producers_of_one_client_id_are_one_series() {
        let connectors = ["a", "b", "c"].map(|name| {
            let pipeline = PipelineStats { records: 5, ..PipelineStats::default() };
            let mut connector = connector(name, pipeline);
            let task = connector.task.as_mut().unwrap();
            task.client_id = if name == "c" { "alone" } else { "shared" }.to_owned();
            connector
        });
        let connectors = connectors.into_iter().collect();
        let mut page = Page::default();
        write(&WorkerFigures { connectors, ..WorkerFigures::default() }, &mut page);
        let page = page.into_text();
        for (series, value) in [
            (r#"kafka_producer_record_send_total{clientid="shared"}"#, 10),
            (r#"kafka_producer_record_send_total{clientid="alone"}"#, 5),
            (r#"kafka_producer_topic_record_send_total{clientid="shared",topic="t"}"#, 4),
            (r#"kafka_producer_topic_record_send_total{clientid="shared",topic="(other)"}"#, 6),
            (r#"kafka_producer_topic_record_send_total{clientid="alone",topic="t"}"#, 2),
        ] {
            let lines: Vec<_> = page.lines().filter(|line| line.starts_with(series)).collect();
            assert_eq!(lines, [format!("{series} {value}")], "{page}");
        }
    }

    fn page() -> String {
        let known = PipelineStats { lag_s: Some(7), made_records: 5, ..PipelineStats::default() };
        let known = PipelineStats { acknowledged_records: 3, buffered_bytes: 9, ..known };
        let paused = ConnectorFigures { task: None, ..connector("c", PipelineStats::default()) };
        let connectors =
            vec![connector("a", known), connector("b", PipelineStats::default()), paused];
        let mut page = Page::default();
        write(&WorkerFigures { connectors, ..WorkerFigures::default() }, &mut page);
        page.into_text()
    }

    #[test]
    fn what_is_not_known_has_no_series() {
        let page = page();
        let lags: Vec<_> = page.lines().filter(|line| line.contains("difference_secs{")).collect();
        let bean =
            "com_mongodb_kafka_connect_source_task_metrics_latest_mongodb_time_difference_secs";
        assert_eq!(lags, [format!("{bean}{{connector=\"a\",task=\"source-task-0\"}} 7")]);
        assert!(!page.contains("stored_position"), "{page}");
        assert!(!page.contains("connector=\"c\""), "{page}");
    }

    #[test]
    fn figures_are_found_under_the_names_that_dashboards_know() {
        let page = page();
        for line in [
            r#"kafka_connect_source_task_source_record_poll_total{connector="a",task="0"} 5"#,
            r#"kafka_connect_source_task_source_record_active_count{connector="a",task="0"} 2"#,
            r#"kafka_producer_topic_record_send_total{clientid="producer of a",topic="t"} 2"#,
            r#"kafka_producer_topic_byte_total{clientid="producer of b",topic="(other)"} 30"#,
            r#"millrace_latency_seconds_bucket{connector="b",task="0",le="+Inf"} 0"#,
            r#"millrace_stage_seconds_total{connector="a",task="0",stage="idle"} 0"#,
        ] {
            assert!(page.lines().any(|other| other == line), "{line}\n{page}");
        }
    }
}
