//! SaslHandshake v1: by which mechanism we log in (KIP-152).
//!
//! ```text
//! request    mechanism string
//! answer     error i16 │ [mechanism string]
//! ```
//!
//! Not flexible: lengths are of two and four bytes, and there are no tagged fields.

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{Reader, WireError, put_name};

/// What a broker says to a mechanism.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// Whether it takes it.
    pub error: ErrorCode,
    /// Those that it takes, in its order.
    pub enabled: Vec<String>,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, mechanism: &str) {
    put_name(out, mechanism);
}

/// Reads an answer.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<HandshakeAnswer, WireError> {
    let error = ErrorCode(reader.i16()?);
    // As many as are there: the count allocates nothing.
    let count = reader.i32()?;
    let mut enabled = Vec::new();
    for _ in 0..count {
        enabled.push(reader.name()?.to_owned());
    }
    Ok(HandshakeAnswer { error, enabled })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_i16, put_i32};

    /// An answer as a broker writes it.
    pub(crate) fn write(error: ErrorCode, enabled: &[&str]) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i16(out, error.0);
        put_i32(out, enabled.len() as i32);
        for mechanism in enabled {
            put_name(out, mechanism);
        }
        out.clone()
    }

    #[test]
    fn mechanisms_of_a_broker_are_read() {
        let bytes = write(ErrorCode::UNSUPPORTED_SASL_MECHANISM, &["PLAIN", "SCRAM-SHA-512"]);
        let answer = cut::at_every_byte(&bytes, read_answer);
        assert_eq!(answer.error, ErrorCode::UNSUPPORTED_SASL_MECHANISM);
        assert_eq!(answer.enabled, ["PLAIN", "SCRAM-SHA-512"]);
    }

    #[test]
    fn an_impossible_number_of_mechanisms_is_no_allocation() {
        let mut bytes = write(ErrorCode::NONE, &["PLAIN"]);
        bytes[2..6].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(read_answer(&mut Reader::new(&bytes)).is_err());
    }

    /// As `kafka-clients` 4.1.0 serialises it.
    #[test]
    fn request_names_the_mechanism() {
        let mut out = Vec::new();
        write_request(&mut out, "PLAIN");
        assert_eq!(out, b"\0\x05PLAIN");
    }
}
