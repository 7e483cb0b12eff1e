//! Data as Kafka Connect knows it: values with a schema, made of documents and written by converters.
//!
//! ```text
//!             projection ◄── a schema of the connector's file    output.schema.key, output.schema.value
//!  RawDoc ─►      │      ◄── inference, a schema per document    output.schema.infer.value
//!                 ▼
//!           Schema, Value ─► json        JsonConverter: payload, or an envelope of schema and payload
//!                         ─► java_text   StringConverter: `Struct.toString()`
//! ```
//!
//! [`encoder`] puts these together; [`converting`] writes values that are no documents any more, [`header_text`]
//! headers, and [`literal`] reads them. Values own what they hold, since transformations change them: this is the
//! slower way, which plain JSON and BSON never take. Not bounded here is the depth of a given schema: the one
//! who reads it bounds it. Facts: `connect-api` and `connect-json` 4.1.0, `source.schema` of
//! mongo-kafka-connect 2.0.1.

mod converting;
mod datum;
mod decimal;
mod decoded;
mod encoder;
mod error;
mod header_text;
mod inference;
mod java_text;
mod json;
mod literal;
mod projection;
mod schema;
#[cfg(test)]
mod tests;
mod value;

pub use converting::DatumConverter;
pub use datum::Datum;
pub use decimal::Decimal;
pub(crate) use encoder::SchemaEncoder;
pub use encoder::{SchemaOutput, SchemaSource};
pub use error::ConversionError;
pub(crate) use header_text::{date_text, header_text};
pub(crate) use java_text::{civil, days_of};
pub use json::{DecimalFormat, JsonSettings};
pub use literal::{ComplexLiteral, parse_literal};
pub use schema::{Field, Kind, Schema};
pub use value::Value;
