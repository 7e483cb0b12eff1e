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
    /// Of these, the acknowledged ones.
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

    /// Names and counts of the topics that were asked for, the one with positions among them. In the order in which they
    /// were asked for, so that a topic keeps its place.
    pub fn topic_stats(&self) -> impl Iterator<Item = (&str, TopicStats)> {
        self.outbound.client.topic_stats()
    }
}
