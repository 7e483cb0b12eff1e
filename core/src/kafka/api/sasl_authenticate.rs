//! SaslAuthenticate v2: one message of the mechanism, there and back (KIP-152, KIP-368).
//!
//! ```text
//! request    message bytes │ tags
//! answer     error i16 │ error message │ message bytes │ session lifetime i64, ms │ tags
//! ```
//!
//! The last answer says how long the session lasts; 0 is for ever.

use std::time::Duration;

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{Reader, WireError, put_compact_bytes, put_no_tags};

/// What a broker answers to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticateAnswer {
    /// Whether it goes on.
    pub error: ErrorCode,
    /// Why not, in words.
    pub error_message: Option<String>,
    /// Its own message; the last may be empty.
    pub message: Vec<u8>,
    /// When we must log in again; `None`: never.
    pub session_lifetime: Option<Duration>,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, message: &[u8]) {
    put_compact_bytes(out, message);
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(reader: &mut Reader<'_>) -> Result<AuthenticateAnswer, WireError> {
    let error = ErrorCode(reader.i16()?);
    let error_message = reader.compact_string()?.map(str::to_owned);
    let message = reader.compact_bytes()?.unwrap_or_default().to_vec();
    let lifetime_ms = u64::try_from(reader.i64()?).unwrap_or(0);
    reader.skip_tags()?;
    let session_lifetime = (lifetime_ms != 0).then(|| Duration::from_millis(lifetime_ms));
    Ok(AuthenticateAnswer { error, error_message, message, session_lifetime })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_compact_null, put_compact_string, put_i16, put_i64};

    /// An answer as a broker writes it.
    pub(crate) fn write(
        (error, words): (ErrorCode, Option<&str>),
        message: &[u8],
        lifetime_ms: i64,
    ) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i16(out, error.0);
        match words {
            Some(words) => put_compact_string(out, words),
            None => put_compact_null(out),
        }
        put_compact_bytes(out, message);
        put_i64(out, lifetime_ms);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn message_error_and_lifetime_are_read() {
        let bytes = write((ErrorCode::NONE, None), b"v=x", 3_000);
        let want = AuthenticateAnswer {
            error: ErrorCode::NONE,
            error_message: None,
            message: b"v=x".to_vec(),
            session_lifetime: Some(Duration::from_secs(3)),
        };
        assert_eq!(cut::at_every_byte(&bytes, read_answer), want);
        let error = (ErrorCode::SASL_AUTHENTICATION_FAILED, Some("no"));
        for lifetime_ms in [0, -1, i64::MIN] {
            let bytes = write(error, b"", lifetime_ms);
            let answer = read_answer(&mut Reader::new(&bytes)).unwrap();
            assert_eq!((answer.error, answer.error_message.as_deref()), error);
            assert_eq!(answer.session_lifetime, None);
        }
    }
}
