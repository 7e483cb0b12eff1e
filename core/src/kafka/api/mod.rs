//! The requests that are spoken, one file each, and the one version of each.
//!
//! One version per request, the newest that Kafka 2.8 has and 4.1 still has, so there is one layout
//! to read and to test. All of them are flexible (KIP-482): request header v2, answer header v1,
//! except that the answer to ApiVersions has header v0 for ever. Layouts:
//! `clients/src/main/resources/common/message` of Kafka.
//!
//! Each file has a `write_request` that appends a body, and an answer that is read from a
//! [`Reader`] with every length checked.
//!
//! [`Reader`]: crate::kafka::wire::Reader

use crate::kafka::wire::{Reader, WireError};

pub mod api_versions;
pub mod create_topics;
pub mod describe_configs;
pub mod fetch;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Append batches.
    Produce,
    /// Read batches.
    Fetch,
    /// Ask for the end of a partition.
    ListOffsets,
    /// Ask for brokers, topics and leaders.
    Metadata,
    /// Ask for the versions that a broker speaks.
    ApiVersions,
    /// Create topics.
    CreateTopics,
    /// Become an idempotent producer.
    InitProducerId,
    /// Ask for settings of a topic.
    DescribeConfigs,
}

impl Api {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::InitProducerId,
        Self::DescribeConfigs,
    ];

    /// The number of this kind in a request header.
    pub const fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::Fetch => 1,
            Self::ListOffsets => 2,
            Self::Metadata => 3,
            Self::ApiVersions => 18,
            Self::CreateTopics => 19,
            Self::InitProducerId => 22,
            Self::DescribeConfigs => 32,
        }
    }

    /// The version that is spoken.
    pub const fn version(self) -> i16 {
        match self {
            Self::Produce | Self::Metadata => 9,
            Self::Fetch => 12,
            Self::ListOffsets => 6,
            Self::ApiVersions => 3,
            Self::CreateTopics => 5,
            Self::InitProducerId | Self::DescribeConfigs => 4,
        }
    }

    /// Kafka's name of this kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::ListOffsets => "ListOffsets",
            Self::Metadata => "Metadata",
            Self::ApiVersions => "ApiVersions",
            Self::CreateTopics => "CreateTopics",
            Self::InitProducerId => "InitProducerId",
            Self::DescribeConfigs => "DescribeConfigs",
        }
    }

    /// Reads the header of an answer to this kind: the correlation id.
    pub fn read_header(self, reader: &mut Reader<'_>) -> Result<i32, WireError> {
        let correlation = reader.i32()?;
        match self {
            Self::ApiVersions => {}
            Self::Produce
            | Self::Fetch
            | Self::ListOffsets
            | Self::Metadata
            | Self::CreateTopics
            | Self::InitProducerId
            | Self::DescribeConfigs => reader.skip_tags()?,
        }
        Ok(correlation)
    }
}

#[cfg(test)]
pub(crate) mod cut {
    use crate::kafka::wire::{Reader, WireError};

    /// Asserts that `read` takes all of `bytes`, and fails on any cut of them.
    pub(crate) fn at_every_byte<T>(
        bytes: &[u8],
        read: impl Fn(&mut Reader<'_>) -> Result<T, WireError>,
    ) -> T {
        for cut in 0..bytes.len() {
            let error = read(&mut Reader::new(&bytes[..cut])).err();
            assert!(error.is_some(), "cut at {cut} of {} was read", bytes.len());
        }
        let mut reader = Reader::new(bytes);
        let whole = read(&mut reader).expect("the whole answer");
        assert_eq!(reader.left(), 0, "bytes behind the answer");
        whole
    }
}
