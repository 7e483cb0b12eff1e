//! The way of an event whose connector has transformations: over a record of Connect instead of straight into a batch.
//!
//! ```text
//!  event ─► key, value as Connect's data ─► chain ─► header, key and value converters ─► bytes
//!                                            └─ dropped: its position is stored like any other
//! ```
//!
//! Everything here allocates. Heartbeats take the same way, dead letters do not. Facts:
//! `AbstractWorkerSourceTask.sendRecords` and `convertTransformedRecord` of Connect 4.1.0.

use super::error::PipelineError;
use crate::connect::{ConversionError, Datum, DatumConverter, Kind, Schema, Value, header_text};
use crate::format::EncodeError;
use crate::kafka::put_headers;
use crate::mongo::bson::RawDoc;
use crate::route::check_topic;
use crate::transform::{Chain, Origin, Record};

#[cfg(test)]
mod tests;

/// How records are made, changed and written.
#[derive(Clone, Debug)]
pub struct TransformConfig {
    /// `transforms`
    pub chain: Chain,
    /// What the connector makes of a key's document.
    pub key: Origin,
    /// What the connector makes of a value's document.
    pub value: Origin,
    /// `key.converter`
    pub key_converter: DatumConverter,
    /// `value.converter`
    pub value_converter: DatumConverter,
    /// `header.converter`
    pub header_converter: HeaderConverter,
}

/// What headers are written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderConverter {
    /// `org.apache.kafka.connect.storage.SimpleHeaderConverter`
    Simple,
    /// One that writes keys and values, too.
    Of(DatumConverter),
}

/// A record, all bytes.
#[derive(Debug)]
pub(super) struct Produced {
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// As a batch has them.
    pub(super) headers: Vec<u8>,
}

impl TransformConfig {
    /// The record for `topic`; without a value it is a tombstone.
    pub(super) fn record(
        &self,
        topic: &str,
        key: RawDoc<'_>,
        value: Option<RawDoc<'_>>,
    ) -> Result<Record, EncodeError> {
        let key = self.key.datum(key)?;
        let value = value.map_or(Ok(Datum::NULL), |value| self.value.datum(value))?;
        Ok(Record { topic: topic.to_owned(), key, value, headers: Vec::new() })
    }

    /// The heartbeat for `topic` with this text as its key.
    pub(super) fn heartbeat(topic: &str, key: String) -> Record {
        let value = Datum::new(Schema::new(Kind::Bytes, true), Value::Null);
        Record { topic: topic.to_owned(), key: Datum::string(key), value, headers: Vec::new() }
    }

    /// What the chain and the converters make of `record`, which comes from `namespace`; `None`: it is dropped.
    pub(super) fn produce(
        &self,
        record: Record,
        namespace: &str,
    ) -> Result<Option<Produced>, PipelineError> {
        let record = self.chain.apply(record).map_err(PipelineError::Transform)?;
        let Some(record) = record else { return Ok(None) };
        let produced =
            self.convert(&record).map_err(|error| PipelineError::Format(error.into()))?;
        check_topic(namespace, &produced.topic)?;
        Ok(Some(produced))
    }

    fn convert(&self, record: &Record) -> Result<Produced, ConversionError> {
        let values: Vec<Option<Vec<u8>>> = record
            .headers
            .iter()
            .map(|header| self.header_converter.convert(&header.value))
            .collect::<Result<_, _>>()?;
        let names = record.headers.iter().map(|header| header.key.as_str());
        let pairs: Vec<_> = names.zip(values.iter().map(Option::as_deref)).collect();
        let mut headers = Vec::new();
        put_headers(&pairs, &mut headers);
        Ok(Produced {
            topic: record.topic.clone(),
            key: self.key_converter.convert(&record.key)?,
            value: self.value_converter.convert(&record.value)?,
            headers,
        })
    }
}

impl HeaderConverter {
    fn convert(&self, header: &Datum) -> Result<Option<Vec<u8>>, ConversionError> {
        match self {
            Self::Simple => Ok(header_text(header).map(String::into_bytes)),
            Self::Of(converter) => converter.convert(header),
        }
    }
}
