//! What a leader tells a member to do (Connect's assignment, versions 1 and 2).
//!
//! ```text
//! version i16 │ error i16 │ leader │ leader's URL │ config offset i64
//!             │ assigned [connector, [task i32]] │ revoked [connector, [task i32]] │ delay i32, ms
//! ```
//!
//! Strings have a length of two bytes, arrays one of four; task -1 is the connector itself. The last three fields may
//! be absent, and the arrays null. Assigned is what is new; what a member has and is not told to give back it keeps.

use std::collections::BTreeMap;

use crate::group::protocol::{Protocol, ProtocolError};
use crate::group::work::{TaskId, Work};
use crate::kafka::wire::{Reader, WireError, put_i16, put_i32, put_i64, put_name};

/// In place of a task: the connector itself.
const CONNECTOR: i32 = -1;

/// What a member is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The leader had not read the config topic as far as a member: nothing is assigned. All read it to its end and
    /// join again.
    pub is_config_mismatch: bool,
    /// The member id of the leader.
    pub leader: String,
    /// Where the leader takes requests of other workers.
    pub leader_url: String,
    /// How far the config topic must be read to know what is assigned.
    pub config_offset: i64,
    /// What is new.
    pub assigned: Work,
    /// What the member must stop.
    pub revoked: Work,
    /// After this the member joins again; 0: not by itself. Milliseconds.
    pub delay_ms: i32,
}

impl Assignment {
    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>, protocol: Protocol) {
        put_i16(out, protocol.version());
        put_i16(out, i16::from(self.is_config_mismatch));
        put_name(out, &self.leader);
        put_name(out, &self.leader_url);
        put_i64(out, self.config_offset);
        write_work(out, &self.assigned);
        write_work(out, &self.revoked);
        put_i32(out, self.delay_ms);
    }

    /// Reads the bytes. Newer versions add fields at the end, which are not read.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        let version = reader.i16()?;
        if version < 0 {
            return Err(ProtocolError::Version(version));
        }
        let is_config_mismatch = reader.i16()? != 0;
        let leader = reader.name()?.to_owned();
        let leader_url = reader.name()?.to_owned();
        let config_offset = reader.i64()?;
        let assigned = read_work(reader)?;
        let revoked = read_work(reader)?;
        let delay_ms = if reader.left() == 0 { 0 } else { reader.i32()? };
        Ok(Self {
            is_config_mismatch,
            leader,
            leader_url,
            config_offset,
            assigned,
            revoked,
            delay_ms,
        })
    }
}

/// By connector, in the order in which connectors are first named: those that run here, then those of tasks.
fn write_work(out: &mut Vec<u8>, work: &Work) {
    let mut order: Vec<&str> = work.connectors.iter().map(String::as_str).collect();
    let mut tasks: BTreeMap<&str, Vec<i32>> =
        order.iter().map(|name| (*name, vec![CONNECTOR])).collect();
    for TaskId { connector, task } in &work.tasks {
        let of_connector = tasks.entry(connector).or_insert_with(|| {
            order.push(connector);
            Vec::new()
        });
        of_connector.push(*task);
    }
    put_i32(out, order.len() as i32);
    for name in order {
        let tasks = tasks.get(name).map_or(&[][..], Vec::as_slice);
        put_name(out, name);
        put_i32(out, tasks.len() as i32);
        tasks.iter().for_each(|task| put_i32(out, *task));
    }
}

fn read_work(reader: &mut Reader<'_>) -> Result<Work, WireError> {
    let mut work = Work::default();
    if reader.left() == 0 {
        return Ok(work);
    }
    // A connector takes at least the length of its name and that of its tasks.
    for _ in 0..read_length(reader, 6)?.unwrap_or(0) {
        let connector = reader.name()?;
        let tasks = read_length(reader, 4)?.ok_or(WireError::Length { declared: -1 })?;
        for _ in 0..tasks {
            match reader.i32()? {
                CONNECTOR => work.connectors.push(connector.to_owned()),
                task => work.tasks.push(TaskId::new(connector, task)),
            }
        }
    }
    Ok(work)
}

/// The length of an array whose elements have at least `element_bytes`; `None` is null.
fn read_length(reader: &mut Reader<'_>, element_bytes: usize) -> Result<Option<usize>, WireError> {
    let declared = reader.i32()?;
    if declared == -1 {
        return Ok(None);
    }
    let length = usize::try_from(declared)
        .map_err(|_| WireError::Length { declared: i64::from(declared) })?;
    let wanted = length.saturating_mul(element_bytes);
    if reader.left() < wanted {
        return Err(WireError::Truncated { wanted, left: reader.left() });
    }
    Ok(Some(length))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bytes from hexadecimal text.
    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter(char::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
        pairs.map(|pair| u8::from_str_radix(&pair, 16).unwrap()).collect()
    }

    /// As Java 4.1.0 writes `full` by `IncrementalCooperativeConnectProtocol.serializeAssignment`, but for the version.
    pub(crate) const FULL: &str = "0000 0008 6c65616465722d31 000e 687474703a2f2f683a383038332f \
        000000000000000c 00000003 0001 61 00000003 ffffffff 00000000 00000001 0001 62 00000001 ffffffff \
        0001 63 00000001 00000000 00000002 0001 64 00000002 ffffffff 00000000 0001 65 00000001 00000002 000493e0";

    /// The same of an assignment that failed.
    const FAILED: &str = "0001 0008 6c65616465722d31 000e 687474703a2f2f683a383038332f 000000000000000c \
        00000000 00000000 00000000";

    pub(crate) fn full() -> Assignment {
        let tasks = |tasks: &[(&str, i32)]| {
            tasks.iter().map(|(name, task)| TaskId::new(*name, *task)).collect::<Vec<_>>()
        };
        Assignment {
            is_config_mismatch: false,
            leader: "leader-1".into(),
            leader_url: "http://h:8083/".into(),
            config_offset: 12,
            assigned: Work {
                connectors: vec!["a".into(), "b".into()],
                tasks: tasks(&[("a", 0), ("a", 1), ("c", 0)]),
            },
            revoked: Work { connectors: vec!["d".into()], tasks: tasks(&[("d", 0), ("e", 2)]) },
            delay_ms: 300_000,
        }
    }

    fn failed() -> Assignment {
        let none = Work::default();
        Assignment {
            is_config_mismatch: true,
            assigned: none.clone(),
            revoked: none,
            delay_ms: 0,
            ..full()
        }
    }

    #[test]
    fn the_bytes_are_those_of_java() {
        for (protocol, version) in [(Protocol::Compatible, "0001"), (Protocol::Sessioned, "0002")] {
            for (assignment, hex) in [(full(), FULL), (failed(), FAILED)] {
                let java = bytes(&format!("{version}{hex}"));
                let mut out = Vec::new();
                assignment.write(&mut out, protocol);
                assert_eq!(out, java);
                assert_eq!(Assignment::read(&mut Reader::new(&java)), Ok(assignment));
            }
        }
    }

    #[test]
    fn a_cut_is_refused_but_where_fields_may_be_absent() {
        let mut whole = Vec::new();
        full().write(&mut whole, Protocol::Compatible);
        let absent_from = 2 + 2 + 10 + 16 + 8;
        let revoked_from = absent_from + 4 + 19 + 11 + 11;
        let delay_from = whole.len() - 4;
        for cut in 0..whole.len() {
            let read = Assignment::read(&mut Reader::new(&whole[..cut]));
            assert_eq!(
                read.is_ok(),
                [absent_from, revoked_from, delay_from].contains(&cut),
                "{cut}"
            );
        }
        let short = Assignment::read(&mut Reader::new(&whole[..absent_from])).unwrap();
        assert!(short.assigned.is_empty() && short.revoked.is_empty());
        let mut with_nulls = whole[..absent_from].to_vec();
        with_nulls.extend_from_slice(&[255; 8]);
        assert_eq!(Assignment::read(&mut Reader::new(&with_nulls)), Ok(short));
    }

    #[test]
    fn lengths_and_versions_that_cannot_be_are_refused() {
        let mut whole = Vec::new();
        full().write(&mut whole, Protocol::Compatible);
        let mut bad = whole.clone();
        bad[0] = 0xff;
        assert_eq!(Assignment::read(&mut Reader::new(&bad)), Err(ProtocolError::Version(-255)));
        for length in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xfe]] {
            let mut bad = whole.clone();
            bad[38..42].copy_from_slice(&length);
            assert!(Assignment::read(&mut Reader::new(&bad)).is_err());
        }
    }
}
