//! What a document becomes in a Kafka record, byte for byte what the MongoDB Kafka connector
//! writes.
//!
//! ```text
//!                 ┌ json ──── escape ── unicode, utf8       text of the connector's formatters
//!                 │    ├───── notation                      what each formatter writes its way
//!                 │    └───── jdk                           what each Java writes its way
//!  RawDoc ─ converter   ├──── double, decimal128, binary, date_time    values inside that text
//!                 └ raw bytes, base64
//!  resume token ─ token ── token/text, json_reader          what Connect stores as a position
//! ```
//!
//! Everything is appended to the `Vec<u8>` of the caller in one pass, with no value held in
//! between. On an error the vector may hold the beginning of the text: the caller truncates it to
//! the length that it had.
//!
//! The reference is `mongo-kafka-connect` 2.0.1, which carries BSON library 4.7.2, in Connect 4.1.0
//! on JDK 17 or, where that is asked for, on JDK 25 ([`JavaVersion`]). Later BSON libraries write decimals with
//! a `+` in the exponent, which is not done here.

use std::fmt;

use crate::mongo::bson::BsonError;

pub(crate) mod binary;
mod block;
pub mod converter;
pub(crate) mod date_time;
pub(crate) mod decimal128;
pub(crate) mod double;
mod escape;
mod fragment;
mod jdk;
pub mod json;
mod json_reader;
mod notation;
pub mod token;
mod unicode;
pub(crate) mod utf8;

pub use converter::{Converter, EncodeError, Encoder, EncoderError, OutputFormat};
pub use jdk::JavaVersion;
pub use notation::JsonFormatter;

/// Levels of documents and arrays in one document, itself counted. MongoDB stores none deeper
/// (`BSONDepth` of the server: 200).
pub const DEPTH_MAX: u32 = 200;

/// Why a document has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The bytes are no BSON.
    Bson(BsonError),
    /// Documents and arrays lie deeper in one another than [`DEPTH_MAX`].
    TooDeep,
}

impl From<BsonError> for FormatError {
    fn from(error: BsonError) -> Self {
        Self::Bson(error)
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bson(error) => write!(f, "cannot write a document as JSON: {error}"),
            Self::TooDeep => write!(
                f,
                "cannot write a document as JSON: it is nested deeper than {DEPTH_MAX} levels, \
                 which no MongoDB server stores"
            ),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bson(error) => Some(error),
            Self::TooDeep => None,
        }
    }
}
