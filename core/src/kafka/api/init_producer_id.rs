//! InitProducerId v4: the identity under which a broker recognises batches that come twice (KIP-98,
//! KIP-360).
//!
//! ```text
//! request    transactional id │ transaction timeout i32 │ producer id i64 │ epoch i16 │ tags
//! answer     throttle i32 │ error i16 │ producer id i64 │ epoch i16 │ tags
//! ```
//!
//! Without a transactional id a broker always gives a new id and looks at no current one, so none
//! is sent (`TransactionCoordinator.handleInitProducerId`). With one, whoever had it before is fenced.

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{
    Reader, WireError, put_compact_null, put_compact_string, put_i16, put_i32, put_i64, put_no_tags,
};

/// What a broker recognises a producer by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Given by a broker.
    pub id: i64,
    /// From 0, raised when sequences start again from 0.
    pub epoch: i16,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>) {
    put_compact_null(out);
    put_i32(out, i32::MAX);
    put_i64(out, -1);
    put_i16(out, -1);
    put_no_tags(out);
}

/// Appends the body of a request that ends whatever a producer with this `transactional_id` has open, and shuts out
/// that producer itself; nothing is written under the identity in the answer.
pub fn write_fencing_request(out: &mut Vec<u8>, transactional_id: &str, timeout_ms: i32) {
    put_compact_string(out, transactional_id);
    put_i32(out, timeout_ms);
    put_i64(out, -1);
    put_i16(out, -1);
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(
    reader: &mut Reader<'_>,
) -> Result<Result<ProducerIdentity, ErrorCode>, WireError> {
    let _throttle_ms = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    let identity = ProducerIdentity { id: reader.i64()?, epoch: reader.i16()? };
    reader.skip_tags()?;
    Ok(if error.is_none() { Ok(identity) } else { Err(error) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kafka::api::cut;

    /// An answer as a broker writes it.
    pub(crate) fn write(error: ErrorCode, id: i64) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_i16(out, error.0);
        put_i64(out, id);
        put_i16(out, 0);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let identity = cut::at_every_byte(&write(ErrorCode::NONE, 9), read_answer);
        assert_eq!(identity, Ok(ProducerIdentity { id: 9, epoch: 0 }));
        let refused = write(ErrorCode::CLUSTER_AUTHORIZATION_FAILED, -1);
        let refused = read_answer(&mut Reader::new(&refused)).unwrap();
        assert_eq!(refused, Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    }

    #[test]
    fn a_request_asks_for_a_new_id() {
        let mut out = Vec::new();
        write_request(&mut out);
        let mut wanted = vec![0, 0x7f, 255, 255, 255];
        wanted.extend_from_slice(&[255; 10]);
        wanted.push(0);
        assert_eq!(out, wanted);
    }

    #[test]
    fn a_request_that_fences_names_the_transactional_id() {
        let mut out = Vec::new();
        write_fencing_request(&mut out, "id", 9);
        let mut wanted = vec![3, b'i', b'd', 0, 0, 0, 9];
        wanted.extend_from_slice(&[255; 10]);
        wanted.push(0);
        assert_eq!(out, wanted);
    }
}
