//! What a pipeline counts, for who watches it: plain integers of its own thread, read between two slices of work.
//!
//! Counters are since the start of the pipeline; what is "now" is said so.

use super::Pipeline;
use crate::kafka::TopicStats;
use crate::latency::Latency;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineStats {
    /// Events taken from the stream.
    pub events: u64,
    /// Bytes of these events, as BSON.
    pub event_bytes: u64,
    /// Records made of events, dead letters and heartbeats included.
    pub made_records: u64,
    /// Of these, the ones that transformations have dropped.
    pub filtered_records: u64,
    /// Of the records made, the acknowledged ones.
    pub acknowledged_records: u64,
    /// Records acknowledged, positions in the offset topic included.
    pub records: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes of the acknowledged batches.
    pub acknowledged_bytes: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Changes that went to the dead-letter topic.
    pub dead_letters: u64,
    /// Reads that brought bytes, of both peers.
    pub reads: u64,
    /// Produce requests, those sent again included.
    pub requests: u64,
    /// Produce requests without an answer now.
    pub requests_in_flight: u64,
    /// Bytes of batches open, waiting and in flight now.
    pub buffered_bytes: u64,
    /// How often the stream was opened.
    pub openings: u64,
    /// How often the stream was interrupted, or an attempt to open it again failed.
    pub interruptions: u64,
    /// How often something was skipped because the position was lost.
    pub gaps: u64,
    /// Seconds of cluster time between the end of the server's last batch and the server's newest operation then.
    pub lag_s: Option<u32>,
    /// Cluster time of the position that was stored last. Seconds since the Unix epoch.
    pub stored_time: Option<u32>,
    /// From a change to its acknowledgement: each record with the age of the oldest change in its batch. Copied
    /// documents and heartbeats have no such time and are not in it.
    pub latency: Latency,
}

/// What the pipeline counts itself, beside what its machines do.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) reads: u64,
    pub(super) openings: u64,
    pub(super) interruptions: u64,
    pub(super) gaps: u64,
    pub(super) lag_s: Option<u32>,
    pub(super) latency: Latency,
}

impl Pipeline {
    /// What was counted until now. Costs a few dozen loads, whatever was counted.
    pub fn stats(&self) -> PipelineStats {
        let (counts, outbound) = (&self.counts, &self.outbound);
        let client = outbound.client.stats();
        let positions = self.storing.topic_and_key().map(|(topic, _)| topic);
        let positions = positions.map_or(0, |topic| outbound.client.records_in(topic));
        PipelineStats {
            events: outbound.events(),
            event_bytes: outbound.event_bytes(),
            made_records: outbound.records() + outbound.heartbeats(),
            filtered_records: outbound.filtered(),
            acknowledged_records: client.records.saturating_sub(positions),
            records: client.records,
            batches: client.batches,
            acknowledged_bytes: client.bytes,
            retries: client.retries,
            dead_letters: outbound.dead_letter_count(),
            reads: counts.reads,
            requests: client.requests,
            requests_in_flight: client.in_flight,
            buffered_bytes: client.buffered_bytes,
            openings: counts.openings,
            interruptions: counts.interruptions,
            gaps: counts.gaps,
            lag_s: counts.lag_s,
            stored_time: self.storing.stored_time(),
            latency: counts.latency,
        }
    }

    /// Names and counts of the topics that were asked for, the one with positions among them. In the order in which
    /// they were asked for, so that a topic keeps its place.
    pub fn topic_stats(&self) -> impl Iterator<Item = (&str, TopicStats)> {
        self.outbound.client.topic_stats()
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, Document, Timestamp, doc};

    use crate::format::{JsonFormatter, OutputFormat};
    use crate::kafka::fake_broker::FakeCluster;
    use crate::kafka::{NewTopic, TopicStats};
    use crate::mongo::message::tests::encode_reply;
    use crate::pipeline::OffsetTopic;
    use crate::pipeline::peers::{Peers, config, reply};

    /// The clock of the scripted peers.
    const NOW_S: u32 = 1_700_000_000;

    fn token(seconds: u32) -> Document {
        doc! { "_data": format!("82{seconds:08X}00000001") }
    }

    /// A change made this long before now.
    fn insert(n: u32, collection: &str, age_ms: i64) -> Document {
        doc! {
            "_id": token(NOW_S - 100 + n), "operationType": "insert",
            "wallTime": DateTime::from_millis(i64::from(NOW_S) * 1_000 - age_ms),
            "ns": { "db": "d", "coll": collection }, "documentKey": { "_id": n },
        }
    }

    /// A stream whose positions go to a topic.
    fn running() -> Peers {
        let mut config = config(OutputFormat::Json(JsonFormatter::Default), 1);
        let create = NewTopic { partitions: 1, replication_factor: 1, settings: Vec::new() };
        config.offset_topic =
            Some(OffsetTopic { name: "offsets".to_owned(), create, key: b"key".to_vec() });
        let mut cluster = FakeCluster::new(1);
        for topic in ["d.a", "d.b", "offsets"] {
            cluster.add_topic(topic, 1, usize::MAX);
        }
        let mut peers = Peers::new(config, cluster);
        peers.run();
        assert!(peers.is_running);
        peers
    }

    #[test]
    fn every_record_counts_once_and_with_the_age_of_the_oldest_in_its_batch() {
        let mut peers = running();
        let before = peers.pipeline.stats();
        assert_eq!((before.records, before.acknowledged_records), (1, 0), "the first position");
        // Topics get known: the event that waits for one goes out alone.
        peers.send_reply(&reply(&[insert(1, "a", 0), insert(2, "b", 0)], &token(NOW_S - 90)));
        peers.run();
        let alone = peers.pipeline.stats();
        assert_eq!(alone.latency.buckets().next(), Some((0.001, 2)));

        peers.withholds = true;
        let events = [insert(3, "a", 3), insert(4, "a", 1), insert(5, "b", 700), insert(6, "a", 0)];
        let bytes: usize = events.iter().map(|event| event.to_vec().unwrap().len()).sum();
        peers.send_reply(&reply(&events, &token(NOW_S - 80)));
        peers.run();
        let sent = peers.pipeline.stats();
        assert_eq!((sent.made_records, sent.acknowledged_records), (6, 2));
        assert_eq!((sent.events, sent.event_bytes - alone.event_bytes), (6, bytes as u64));
        assert!(0 < sent.requests_in_flight && 0 < sent.buffered_bytes);
        peers.release();
        peers.run();
        let stats = peers.pipeline.stats();
        assert_eq!((stats.made_records, stats.acknowledged_records), (6, 6));
        assert_eq!((stats.requests_in_flight, stats.buffered_bytes), (0, 0));
        let taken = |bound: f64| {
            stats.latency.buckets().find(|bucket| bucket.0 == bound).map(|bucket| bucket.1)
        };
        assert_eq!([0.002, 0.005, 0.5, 1.0].map(taken), [2, 5, 5, 6].map(Some));
        assert_eq!((stats.latency.count(), stats.latency.sum_s()), (6, 0.709));
        let topics: Vec<(&str, TopicStats)> = peers.pipeline.topic_stats().collect();
        let records = |name| topics.iter().find(|topic| topic.0 == name).unwrap().1.records;
        assert_eq!((records("d.a"), records("d.b")), (4, 2));
        assert_eq!(records("offsets") + 6, stats.records);
    }

    #[test]
    fn the_distance_to_the_server_and_the_stored_position_are_told() {
        let mut peers = running();
        assert_eq!(peers.pipeline.stats().lag_s, None, "this server does not tell its time");
        let cursor = doc! {
            "nextBatch": [], "postBatchResumeToken": token(NOW_S - 7), "id": 9_i64, "ns": "d.c",
        };
        let answer = doc! {
            "cursor": cursor, "ok": 1.0, "operationTime": Timestamp { time: NOW_S - 5, increment: 1 },
        };
        peers.send_reply(&encode_reply(0, 0, true, &answer));
        peers.run();
        peers.pass(std::time::Duration::from_millis(200));
        peers.run();
        let stats = peers.pipeline.stats();
        assert_eq!((stats.lag_s, stats.stored_time), (Some(2), Some(NOW_S - 7)));
        assert_eq!((stats.openings, stats.interruptions, stats.gaps), (1, 0, 0));
        peers.lose_server();
        peers.run();
        assert_eq!(peers.pipeline.stats().interruptions, 1);
    }
}
