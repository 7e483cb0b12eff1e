//! Metadata v9: brokers, topics, and who leads each partition.
//!
//! ```text
//! request    [topic, tags] │ allow auto creation │ cluster operations │ topic operations │ tags
//! answer     throttle i32 │ [broker id i32, host, port i32, rack, tags] │ cluster id
//!            │ controller id i32
//!            │ [error i16, name, internal, [error i16, index i32, leader i32, leader epoch i32,
//!               replicas [i32], in sync [i32], offline [i32], tags], operations i32, tags]
//!            │ operations i32 │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_bool, put_compact_length, put_compact_string, put_no_tags,
};
use crate::link::Address;

/// The operations where a broker says nothing of them.
const NOT_SAID: i32 = i32::MIN;

/// Appends the body of a request for `topics`; for none of them it asks for the brokers only.
pub fn write_request<'a>(
    out: &mut Vec<u8>,
    topics: impl ExactSizeIterator<Item = &'a str>,
    allow_auto_creation: bool,
) {
    put_compact_length(out, topics.len());
    for name in topics {
        put_compact_string(out, name);
        put_no_tags(out);
    }
    put_bool(out, allow_auto_creation);
    put_bool(out, false);
    put_bool(out, false);
    put_no_tags(out);
}

/// The same for who wants to know what he may do with `topics`; none is created.
pub fn write_question<'a>(out: &mut Vec<u8>, topics: impl ExactSizeIterator<Item = &'a str>) {
    write_request(out, topics, false);
    // Before the tags at the end.
    if let [.., topic_operations, _] = out.as_mut_slice() {
        *topic_operations = 1;
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Brokers that are up.
    pub brokers: Vec<Broker>,
    /// What the cluster is called, if it is called anything.
    pub cluster_id: Option<String>,
    /// Where topics are created; -1 if unknown.
    pub controller: i32,
    /// The topics asked for.
    pub topics: Vec<Topic>,
}

/// A broker that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The broker's id.
    pub id: i32,
    /// Where it listens.
    pub address: Address,
}

/// A topic asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Why there is nothing to say about it.
    pub error: ErrorCode,
    /// Its name.
    pub name: String,
    /// Its partitions, in any order.
    pub partitions: Vec<Partition>,
    /// What we may do with it; `None`: the broker was not asked, or does not say.
    pub operations: Option<Operations>,
}

/// What a client may do with a topic: a bit for each `AclOperation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations(u32);

impl Operations {
    /// Whether records may be written.
    pub fn may_write(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// Whether records may be read.
    pub fn may_read(self) -> bool {
        self.0 & 1 << 3 != 0
    }
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// How many copies there are to be.
    pub replicas: usize,
    /// How many of them have everything.
    pub in_sync: usize,
}

impl Metadata {
    /// Reads an answer.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let _throttle_ms = reader.i32()?;
        let mut metadata = Self::default();
        for _ in 0..reader.compact_array()? {
            let id = reader.i32()?;
            let host = reader.compact_name()?;
            let port = reader.i32()?;
            let port =
                u16::try_from(port).map_err(|_| WireError::Length { declared: i64::from(port) })?;
            let _rack = reader.compact_string()?;
            reader.skip_tags()?;
            metadata.brokers.push(Broker { id, address: Address::new(host, port) });
        }
        metadata.cluster_id = reader.compact_string()?.map(str::to_owned);
        metadata.controller = reader.i32()?;
        for _ in 0..reader.compact_array()? {
            metadata.topics.push(Topic::read(reader)?);
        }
        let _cluster_operations = reader.i32()?;
        reader.skip_tags()?;
        Ok(metadata)
    }
}

impl Topic {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let error = ErrorCode(reader.i16()?);
        let name = reader.compact_name()?.to_owned();
        let _internal = reader.bool()?;
        let mut partitions = Vec::new();
        for _ in 0..reader.compact_array()? {
            let _error = reader.i16()?;
            let index = reader.i32()?;
            let leader = reader.i32()?;
            let _leader_epoch = reader.i32()?;
            let replicas = read_count(reader)?;
            let in_sync = read_count(reader)?;
            let _offline = read_count(reader)?;
            reader.skip_tags()?;
            let leader = (0 <= leader).then_some(leader);
            partitions.push(Partition { index, leader, replicas, in_sync });
        }
        let operations = reader.i32()?;
        reader.skip_tags()?;
        let operations = (operations != NOT_SAID).then_some(Operations(operations.cast_unsigned()));
        Ok(Self { error, name, partitions, operations })
    }
}

/// How many broker ids follow; they themselves are passed over.
fn read_count(reader: &mut Reader<'_>) -> Result<usize, WireError> {
    let count = reader.compact_array()?;
    reader.take(count.saturating_mul(4))?;
    Ok(count)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_compact_null, put_i16, put_i32};

    /// An answer as a broker writes it.
    pub(crate) fn write(metadata: &Metadata) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_compact_length(out, metadata.brokers.len());
        for broker in &metadata.brokers {
            put_i32(out, broker.id);
            put_compact_string(out, &broker.address.host);
            put_i32(out, i32::from(broker.address.port));
            put_compact_null(out);
            put_no_tags(out);
        }
        match &metadata.cluster_id {
            Some(id) => put_compact_string(out, id),
            None => put_compact_null(out),
        }
        put_i32(out, metadata.controller);
        put_compact_length(out, metadata.topics.len());
        for topic in &metadata.topics {
            put_i16(out, topic.error.0);
            put_compact_string(out, &topic.name);
            put_bool(out, false);
            put_compact_length(out, topic.partitions.len());
            for partition in &topic.partitions {
                put_i16(out, 0);
                put_i32(out, partition.index);
                put_i32(out, partition.leader.unwrap_or(-1));
                put_i32(out, 7);
                for replicas in [2, 1, 0] {
                    put_compact_length(out, replicas);
                    (0..replicas as i32).for_each(|broker| put_i32(out, broker));
                }
                put_no_tags(out);
            }
            let operations = topic.operations.map(|operations| operations.0.cast_signed());
            put_i32(out, operations.unwrap_or(NOT_SAID));
            put_no_tags(out);
        }
        put_i32(out, NOT_SAID);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let metadata = Metadata {
            brokers: vec![
                Broker { id: 1, address: Address::new("one", 9092) },
                Broker { id: 2, address: Address::new("::1", 9093) },
            ],
            cluster_id: Some("cluster".to_owned()),
            controller: 2,
            topics: vec![
                Topic {
                    error: ErrorCode::NONE,
                    name: "t".into(),
                    partitions: vec![
                        Partition { index: 1, leader: Some(2), replicas: 2, in_sync: 1 },
                        Partition { index: 0, leader: None, replicas: 2, in_sync: 1 },
                    ],
                    operations: Some(Operations(1 << 4 | 1 << 8)),
                },
                Topic {
                    error: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    name: "gone".into(),
                    partitions: vec![],
                    operations: None,
                },
            ],
        };
        assert_eq!(cut::at_every_byte(&write(&metadata), Metadata::read), metadata);
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, ["ab"].into_iter(), true);
        assert_eq!(out, [2, 3, b'a', b'b', 0, 1, 0, 0, 0]);
        out.clear();
        write_question(&mut out, ["ab"].into_iter());
        assert_eq!(out, [2, 3, b'a', b'b', 0, 0, 0, 1, 0]);
    }

    #[test]
    fn operations_are_bits_of_their_numbers() {
        assert!(Operations(1 << 4).may_write() && !Operations(1 << 4).may_read());
        assert!(Operations(1 << 3).may_read() && !Operations(1 << 3).may_write());
    }
}
