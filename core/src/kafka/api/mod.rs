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

use crate::kafka::wire::{self, Reader, WireError, put_no_tags};

pub mod api_versions;
pub mod create_topics;
pub mod describe_configs;
pub mod fetch;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;

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
    /// Say by which SASL mechanism to log in.
    SaslHandshake,
    /// One message of a SASL mechanism.
    SaslAuthenticate,
}

impl Api {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::InitProducerId,
        Self::DescribeConfigs,
        Self::SaslHandshake,
        Self::SaslAuthenticate,
    ];

    /// The number of this kind in a request header.
    pub const fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::Fetch => 1,
            Self::ListOffsets => 2,
            Self::Metadata => 3,
            Self::SaslHandshake => 17,
            Self::ApiVersions => 18,
            Self::CreateTopics => 19,
            Self::InitProducerId => 22,
            Self::DescribeConfigs => 32,
            Self::SaslAuthenticate => 36,
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
            Self::SaslHandshake => 1,
            Self::SaslAuthenticate => 2,
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
            Self::SaslHandshake => "SaslHandshake",
            Self::SaslAuthenticate => "SaslAuthenticate",
        }
    }

    /// Whether this kind is only for logging in by SASL.
    pub const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslHandshake | Self::SaslAuthenticate)
    }

    /// Appends the header of a request of this kind, with room for the size; to be ended by
    /// [`wire::finish_request`].
    pub fn begin_request(self, out: &mut Vec<u8>, correlation: i32, client_id: &str) {
        wire::begin_request(out, self.key(), self.version(), correlation, client_id);
        // The handshake is older than KIP-482 and has never got a flexible version.
        if self != Self::SaslHandshake {
            put_no_tags(out);
        }
    }

    /// A whole request of this kind, its size in front.
    pub fn request(
        self,
        correlation: i32,
        client_id: &str,
        write_body: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let mut request = Vec::new();
        self.begin_request(&mut request, correlation, client_id);
        write_body(&mut request);
        let size_bytes = request.len();
        wire::finish_request(&mut request, size_bytes);
        request
    }

    /// Reads the header of the answer to the request `wanted` of this kind.
    pub fn expect(self, reader: &mut Reader<'_>, wanted: i32) -> Result<(), WireError> {
        let got = self.read_header(reader)?;
        if got == wanted { Ok(()) } else { Err(WireError::Correlation { wanted, got }) }
    }

    /// Reads the header of an answer to this kind: the correlation id.
    pub fn read_header(self, reader: &mut Reader<'_>) -> Result<i32, WireError> {
        let correlation = reader.i32()?;
        match self {
            Self::ApiVersions | Self::SaslHandshake => {}
            Self::Produce
            | Self::Fetch
            | Self::ListOffsets
            | Self::Metadata
            | Self::CreateTopics
            | Self::InitProducerId
            | Self::DescribeConfigs
            | Self::SaslAuthenticate => reader.skip_tags()?,
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
