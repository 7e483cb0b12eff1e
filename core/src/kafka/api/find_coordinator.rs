//! FindCoordinator v3: which broker keeps a group, or the transactions of a producer.
//!
//! ```text
//! request    key │ type of the key i8 │ tags
//! answer     throttle i32 │ error i16 │ message │ broker id i32 │ host │ port i32 │ tags
//! ```

use crate::kafka::errors::ErrorCode;
use crate::kafka::wire::{Reader, WireError, put_compact_string, put_i8, put_no_tags};
use crate::link::Address;

/// Whose coordinator is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorKey<'a> {
    /// That of the group with this name.
    Group(&'a str),
    /// That of the producer with this transactional id.
    Transaction(&'a str),
}

/// A broker that keeps what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    /// The broker's id.
    pub id: i32,
    /// Where it listens.
    pub address: Address,
}

/// Why there is no coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCoordinator {
    /// The broker's code.
    pub error: ErrorCode,
    /// What it says about it.
    pub message: Option<String>,
}

/// Appends the body of a request.
pub fn write_request(out: &mut Vec<u8>, key: CoordinatorKey<'_>) {
    let (name, kind) = match key {
        CoordinatorKey::Group(name) => (name, 0),
        CoordinatorKey::Transaction(name) => (name, 1),
    };
    put_compact_string(out, name);
    put_i8(out, kind);
    put_no_tags(out);
}

/// Reads an answer.
pub fn read_answer(
    reader: &mut Reader<'_>,
) -> Result<Result<Coordinator, NoCoordinator>, WireError> {
    let _throttle_ms = reader.i32()?;
    let error = ErrorCode(reader.i16()?);
    let message = reader.compact_string()?.map(str::to_owned);
    let id = reader.i32()?;
    let host = reader.compact_name()?;
    let port = reader.i32()?;
    reader.skip_tags()?;
    if !error.is_none() {
        return Ok(Err(NoCoordinator { error, message }));
    }
    let port = u16::try_from(port).map_err(|_| WireError::Length { declared: i64::from(port) })?;
    Ok(Ok(Coordinator { id, address: Address::new(host, port) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::api::cut;
    use crate::kafka::wire::{put_compact_null, put_i16, put_i32};

    fn write(answer: Result<(i32, &str, i32), ErrorCode>) -> Vec<u8> {
        let out = &mut Vec::new();
        put_i32(out, 0);
        put_i16(out, answer.err().unwrap_or(ErrorCode::NONE).0);
        match answer {
            Ok(_) => put_compact_null(out),
            Err(_) => put_compact_string(out, "not now"),
        }
        let (id, host, port) = answer.unwrap_or((-1, "", -1));
        put_i32(out, id);
        put_compact_string(out, host);
        put_i32(out, port);
        put_no_tags(out);
        out.clone()
    }

    #[test]
    fn an_answer_is_read_whole_and_refused_when_cut() {
        let coordinator = Coordinator { id: 7, address: Address::new("seven", 9092) };
        let bytes = write(Ok((7, "seven", 9092)));
        assert_eq!(cut::at_every_byte(&bytes, read_answer), Ok(coordinator));
        let error = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        let none = NoCoordinator { error, message: Some("not now".into()) };
        assert_eq!(cut::at_every_byte(&write(Err(error)), read_answer), Err(none));
        let bytes = write(Ok((7, "seven", 70_000)));
        assert_eq!(
            read_answer(&mut Reader::new(&bytes)),
            Err(WireError::Length { declared: 70_000 })
        );
    }

    #[test]
    fn a_request_is_the_bytes_of_the_protocol() {
        let mut out = Vec::new();
        write_request(&mut out, CoordinatorKey::Group("g"));
        write_request(&mut out, CoordinatorKey::Transaction("t"));
        assert_eq!(out, [2, b'g', 0, 0, 2, b't', 1, 0]);
    }
}
