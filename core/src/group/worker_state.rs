//! What a worker says of itself when it joins (Connect's metadata, versions 1 and 2).
//!
//! ```text
//! version i16 │ URL │ config offset i64 │ allocation: length i32, or -1, and an assignment
//! ```
//!
//! The allocation is what the worker runs; null or absent, it runs nothing.

use crate::group::assignment::Assignment;
use crate::group::protocol::{Protocol, ProtocolError};
use crate::kafka::wire::{Reader, WireError, put_i16, put_i32, put_i64, put_name};

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerState {
    /// Where it takes requests of other workers.
    pub url: String,
    /// How far it has read the config topic; -1 if that is empty.
    pub config_offset: i64,
    /// What it runs, as `assigned`; the rest says nothing.
    pub allocation: Option<Assignment>,
}

impl WorkerState {
    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>, protocol: Protocol) {
        put_i16(out, protocol.version());
        put_name(out, &self.url);
        put_i64(out, self.config_offset);
        let Some(allocation) = &self.allocation else { return put_i32(out, -1) };
        let mut bytes = Vec::new();
        allocation.write(&mut bytes, protocol);
        put_i32(out, bytes.len() as i32);
        out.extend_from_slice(&bytes);
    }

    /// Reads the bytes; what newer versions have behind them is not read.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let version = reader.i16()?;
        if version < 0 {
            return Err(ProtocolError::Version(version));
        }
        let url = reader.name()?.to_owned();
        let config_offset = reader.i64()?;
        let declared = if reader.left() == 0 { -1 } else { reader.i32()? };
        let allocation = match usize::try_from(declared) {
            Ok(length) => Some(Assignment::read(&mut Reader::new(reader.take(length)?))?),
            Err(_) if declared == -1 => None,
            Err(_) => return Err(WireError::Length { declared: i64::from(declared) }.into()),
        };
        Ok(Self { url, config_offset, allocation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::assignment::tests::{FULL, bytes, full};

    fn states() -> [(WorkerState, String); 2] {
        let url = "http://w:8083/".to_owned();
        let text = "000e 687474703a2f2f773a383038332f";
        let busy = WorkerState { url: url.clone(), config_offset: 7, allocation: Some(full()) };
        let new = WorkerState { url, config_offset: -1, allocation: None };
        [
            (busy, format!("{text} 0000000000000007 00000075 VVVV {FULL}")),
            (new, format!("{text} ffffffffffffffff ffffffff")),
        ]
    }

    /// Made by `IncrementalCooperativeConnectProtocol.serializeMetadata` of Java 4.1.0.
    #[test]
    fn the_bytes_are_those_of_java() {
        for (protocol, version) in [(Protocol::Compatible, "0001"), (Protocol::Sessioned, "0002")] {
            for (state, hex) in states() {
                let java = bytes(&format!("{version}{}", hex.replace("VVVV", version)));
                let mut out = Vec::new();
                state.write(&mut out, protocol);
                assert_eq!(out, java);
                assert_eq!(WorkerState::read(&mut Reader::new(&java)), Ok(state));
            }
        }
    }

    #[test]
    fn a_cut_is_refused_but_before_the_allocation() {
        for (state, _) in states() {
            let mut whole = Vec::new();
            state.write(&mut whole, Protocol::Sessioned);
            for cut in 0..whole.len() {
                let read = WorkerState::read(&mut Reader::new(&whole[..cut]));
                assert_eq!(read.is_ok(), cut == 2 + 16 + 8, "{cut}");
            }
        }
    }

    /// The metadata of the eager protocol: version 0, and no allocation.
    #[test]
    fn metadata_of_the_oldest_version_is_read_as_that_of_an_idle_worker() {
        let java = bytes("0000 000e 687474703a2f2f773a383038332f 0000000000000007");
        let state = WorkerState::read(&mut Reader::new(&java)).unwrap();
        assert_eq!((state.config_offset, state.allocation), (7, None));
    }
}
