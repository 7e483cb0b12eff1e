//! Single message transformations: what Kafka Connect does to a record between the connector and the converters.
//!
//! ```text
//!  event ─► Record ─► stage ─► stage ─► … ─► converters        a stage applies its transformation if its
//!                       │                                      predicate holds, or does not hold with `negate`
//!                       └─ no record: it is dropped            (the position behind it is stored all the same)
//! ```
//!
//! A [`Chain`] holds the stages in their order. A transformation works on topic and headers, or on one
//! [`Side`]: key or value. A source record has no partition and no timestamp, and nothing in Connect's box sets one.
//! Classes that are not in the box cannot be had. Facts: `connect-transforms` and `TransformationChain` 4.1.0.

use std::fmt;

mod cast;
mod date_format;
mod error;
mod extract_field;
mod flatten;
mod hash_map;
mod headers;
mod insert_field;
mod mask_field;
mod origin;
mod predicate;
mod record;
mod replace_field;
mod schema_metadata;
mod structure;
mod timestamp_converter;
mod topic;
mod whole;

pub use cast::{Cast, CastSpec, CastSpecError, read_spec};
pub use date_format::{DateFormat, DateFormatError};
pub use error::TransformError;
pub use extract_field::{ExtractField, FieldPath, UnpairedBacktick};
pub use flatten::Flatten;
pub use headers::HeaderFrom;
pub use insert_field::{InsertField, Insertion};
pub use mask_field::MaskField;
pub use origin::Origin;
pub use predicate::Predicate;
pub use record::{Header, Record, Side};
pub use replace_field::{Renames, ReplaceField};
pub use schema_metadata::SetSchemaMetadata;
pub use timestamp_converter::{TimeType, TimeUnit, TimestampConverter};
pub use topic::RegexRouter;
pub use whole::ValueToKey;

/// One transformation of Connect's box with its settings.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are those of the classes")]
pub enum Transformation {
    Cast(Cast),
    /// The names of the headers that go.
    DropHeaders(Vec<String>),
    ExtractField(ExtractField),
    /// Drops every record that gets to it.
    Filter,
    Flatten(Flatten),
    HeaderFrom(HeaderFrom),
    HoistField {
        side: Side,
        field: String,
    },
    InsertField(InsertField),
    InsertHeader(Header),
    MaskField(MaskField),
    RegexRouter(RegexRouter),
    ReplaceField(ReplaceField),
    SetSchemaMetadata(SetSchemaMetadata),
    TimestampConverter(TimestampConverter),
    /// Needs a timestamp that no record of a source connector has.
    TimestampRouter,
    ValueToKey(ValueToKey),
}

/// A transformation with its place in the connector's file.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name in `transforms`.
    pub alias: String,
    /// Java's class.
    pub class: String,
    /// When it is applied; `None`: always.
    pub condition: Option<Condition>,
    /// What it does.
    pub transformation: Transformation,
}

/// `predicate` and `negate` of a transformation.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is asked of a record.
    pub predicate: Predicate,
    /// Whether the answer no is wanted.
    pub negate: bool,
}

/// A stage could not be applied to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// Of the transformation.
    pub alias: String,
    /// Of the transformation.
    pub class: String,
    /// Why not.
    pub error: TransformError,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alias, class, error } = self;
        write!(
            f,
            "Tolerance exceeded in error handler: {error}; that is stage TRANSFORMATION with class {class}, \
             transforms.{alias}"
        )
    }
}

impl std::error::Error for ChainError {}

/// The stages of a connector in their order.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    stages: Vec<Stage>,
}

impl Chain {
    /// A chain of these stages.
    pub fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// What becomes of `record`; `None`: it is dropped.
    ///
    /// # Errors
    /// [`ChainError`] of the first stage that fails.
    pub fn apply(&self, mut record: Record) -> Result<Option<Record>, Box<ChainError>> {
        for stage in &self.stages {
            match stage.apply(record) {
                Ok(Some(changed)) => record = changed,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let (alias, class) = (stage.alias.clone(), stage.class.clone());
                    return Err(Box::new(ChainError { alias, class, error }));
                }
            }
        }
        Ok(Some(record))
    }
}

impl Stage {
    fn apply(&self, record: Record) -> Result<Option<Record>, TransformError> {
        if let Some(Condition { predicate, negate }) = &self.condition
            && predicate.holds(&record)? == *negate
        {
            return Ok(Some(record));
        }
        self.transformation.apply(record)
    }
}

impl Transformation {
    fn apply(&self, record: Record) -> Result<Option<Record>, TransformError> {
        match self {
            Self::Cast(cast) => cast.apply(record),
            Self::DropHeaders(names) => Ok(headers::drop_named(record, names)),
            Self::ExtractField(extract) => extract.apply(record),
            Self::Filter => return Ok(None),
            Self::Flatten(flatten) => flatten.apply(record),
            Self::HeaderFrom(header_from) => header_from.apply(record),
            Self::HoistField { side, field } => whole::hoist(record, *side, field),
            Self::InsertField(insert) => insert.apply(record),
            Self::InsertHeader(header) => Ok(headers::insert(record, header)),
            Self::MaskField(mask) => mask.apply(record),
            Self::RegexRouter(router) => router.apply(record),
            Self::ReplaceField(replace) => replace.apply(record),
            Self::SetSchemaMetadata(set) => set.apply(record),
            Self::TimestampConverter(converter) => converter.apply(record),
            Self::TimestampRouter => Err(TransformError::NoTimestamp { topic: record.topic }),
            Self::ValueToKey(value_to_key) => value_to_key.apply(record),
        }
        .map(Some)
    }
}
