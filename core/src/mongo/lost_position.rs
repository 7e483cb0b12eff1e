//! How far a position that the server no longer knows lies from what it still has.
//!
//! ```text
//!  ──────────┬─────────────┬───────────────────────────┬──►  cluster time
//!            │    gap      │ oplog: { ts: … } …        │
//!         position       begins                   server's time
//! ```
//!
//! The error of a lost position does not say where the oplog begins. So the server that refused is
//! asked for its oldest entry, over the same connection. A router has no oplog, and a user may lack
//! the right to read `local`: then it is unknown, and the text says why. Times are cluster times, in
//! seconds since 1970-01-01 UTC.

use std::fmt;

use super::bson::{BsonError, RawDoc, RawValue};
use super::bson_write::DocWriter;
use super::error_codes::ServerError;
use super::watch::ResumePosition;
use crate::format::date_time;

/// How long the server may look for its oldest entry. Milliseconds.
const FIND_TIME_MS_MAX: i32 = 5_000;

/// What is known of a lost position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPosition {
    /// The position's time, if it tells one, and its counter within the second.
    pub time: Option<(u32, u32)>,
    /// The server's time when it refused, if it said.
    pub server_time: Option<u32>,
    /// The oldest entry of the oplog.
    pub oplog: OplogBegin,
}

/// Where the oplog begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OplogBegin {
    /// With this entry.
    At {
        /// Seconds since 1970-01-01 UTC.
        time: u32,
        /// Counter within the second, from 1.
        increment: u32,
    },
    /// It could not be found out.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl LostPosition {
    /// The oldest place that a stream can go on from and that lies behind the position: the begin of the
    /// oplog, or the position's own time where the oplog reaches back so far. `None`: unknown.
    pub fn oldest(&self) -> Option<ResumePosition> {
        let OplogBegin::At { time, increment } = self.oplog else { return None };
        let own = self.time.filter(|own| {
            (time, increment) < *own
                && self.server_time.is_some_and(|server_time| own.0 <= server_time)
        });
        Some(match own {
            Some((time, increment)) => ResumePosition::AtOperationTime { time, increment },
            // The server takes no start that is not behind its oldest entry.
            None => {
                ResumePosition::AtOperationTime { time, increment: increment.saturating_add(1) }
            }
        })
    }
}

impl fmt::Display for LostPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            None => f.write_str("the position tells no time")?,
            Some((time, _)) => write!(f, "the position is of cluster time {}", Seconds(time))?,
        }
        if let (Some((time, _)), Some(server_time)) = (self.time, self.server_time)
            && time <= server_time
        {
            write!(f, ", {} ago", Span(server_time - time))?;
        }
        let (begin, increment) = match &self.oplog {
            OplogBegin::Unknown { reason } => {
                return write!(f, "; where the oplog begins is unknown: {reason}");
            }
            OplogBegin::At { time, increment } => (*time, *increment),
        };
        match self.time {
            None => write!(f, "; the oplog begins at {}", Seconds(begin)),
            Some(time) if time <= (begin, increment) => write!(
                f,
                "; the oplog begins at {}: the gap is at least {}",
                Seconds(begin),
                Span(begin - time.0)
            ),
            Some(_) => write!(
                f,
                "; the oplog begins before it, at {}: the event itself is not there, as after a \
                 roll-back or a restore",
                Seconds(begin)
            ),
        }
    }
}

/// The command for the oldest entry of the oplog.
pub(super) fn write_find(doc: &mut DocWriter<'_>) {
    doc.string("find", "oplog.rs");
    doc.document("filter", |_| {});
    doc.document("projection", |fields| fields.int32("ts", 1));
    doc.document("sort", |keys| keys.int32("$natural", 1));
    doc.int32("limit", 1);
    doc.boolean("singleBatch", true);
    doc.int32("maxTimeMS", FIND_TIME_MS_MAX);
    doc.string("$db", "local");
}

/// What the answer to it says.
pub(super) fn read_find(body: RawDoc<'_>) -> OplogBegin {
    match oldest_entry(body) {
        Ok(Some((time, increment))) => OplogBegin::At { time, increment },
        Ok(None) => {
            let error = ServerError::from_body(body);
            let reason = if error.code == 0 && error.message.is_empty() {
                "this server has no oplog, as a router has none".to_owned()
            } else {
                format!("reading local.oplog.rs failed: {error}")
            };
            OplogBegin::Unknown { reason }
        }
        Err(error) => OplogBegin::Unknown { reason: error.to_string() },
    }
}

fn oldest_entry(body: RawDoc<'_>) -> Result<Option<(u32, u32)>, BsonError> {
    let Some(RawValue::Document(cursor)) = body.get(b"cursor")? else { return Ok(None) };
    let Some(RawValue::Array(batch)) = cursor.get(b"firstBatch")? else { return Ok(None) };
    let Some(entry) = batch.iter().next().transpose()? else { return Ok(None) };
    let RawValue::Document(entry) = entry.value else { return Ok(None) };
    Ok(match entry.get(b"ts")? {
        Some(RawValue::Timestamp { time, increment }) => Some((time, increment)),
        Some(_) | None => None,
    })
}

/// A cluster time as a number and as people read it.
pub(crate) struct Seconds(pub(crate) u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        date_time::write(i64::from(self.0) * 1_000, &mut text);
        write!(f, "{} s ({})", self.0, String::from_utf8_lossy(&text))
    }
}

/// A length of time in its two largest units.
struct Span(u32);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, minutes) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, hours, minutes) => write!(f, "{hours} h {minutes} min"),
            (days, hours, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Document, Timestamp, doc};

    fn lost(time: Option<u32>, server_time: Option<u32>, begin: Option<u32>) -> LostPosition {
        let oplog = match begin {
            Some(time) => OplogBegin::At { time, increment: 3 },
            None => OplogBegin::Unknown { reason: "no right".to_owned() },
        };
        LostPosition { time: time.map(|time| (time, 1)), server_time, oplog }
    }

    fn read(body: &Document) -> OplogBegin {
        read_find(RawDoc::new(&body.to_vec().unwrap()).unwrap())
    }

    #[test]
    fn the_text_says_how_large_the_gap_is_and_what_is_unknown() {
        let at = 1_700_000_000;
        for (lost, text) in [
            (
                lost(Some(at), Some(at + 90_000), Some(at + 3_725)),
                "the position is of cluster time 1700000000 s (2023-11-14T22:13:20Z), 1 d 1 h ago; \
                 the oplog begins at 1700003725 s (2023-11-14T23:15:25Z): the gap is at least 1 h 2 min",
            ),
            (
                lost(Some(at), Some(at + 61), Some(at - 5)),
                "the position is of cluster time 1700000000 s (2023-11-14T22:13:20Z), 1 min 1 s ago; \
                 the oplog begins before it, at 1699999995 s (2023-11-14T22:13:15Z): the event itself \
                 is not there, as after a roll-back or a restore",
            ),
            (
                lost(Some(at), None, None),
                "the position is of cluster time 1700000000 s (2023-11-14T22:13:20Z); where the oplog \
                 begins is unknown: no right",
            ),
            (
                lost(None, Some(at), Some(at)),
                "the position tells no time; the oplog begins at 1700000000 s (2023-11-14T22:13:20Z)",
            ),
        ] {
            assert_eq!(lost.to_string(), text);
        }
    }

    #[test]
    fn the_oldest_place_is_behind_the_position_and_in_the_oplog() {
        let oldest = |time, server_time, begin| match lost(time, server_time, begin).oldest() {
            Some(ResumePosition::AtOperationTime { time, increment }) => Some((time, increment)),
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        assert_eq!(oldest(Some(10), Some(100), Some(50)), Some((50, 4)), "behind the oldest");
        assert_eq!(oldest(Some(50), Some(100), Some(50)), Some((50, 4)), "counters count");
        assert_eq!(oldest(Some(60), Some(100), Some(50)), Some((60, 1)), "nothing twice");
        assert_eq!(oldest(Some(200), Some(100), Some(50)), Some((50, 4)), "no time of this server");
        assert_eq!(oldest(Some(60), None, Some(50)), Some((50, 4)));
        assert_eq!(oldest(None, Some(100), Some(50)), Some((50, 4)));
        assert_eq!(oldest(Some(10), Some(100), None), None);
    }

    #[test]
    fn answers_of_every_kind_are_read() {
        let batch = |batch: Vec<Document>| doc! { "cursor": { "firstBatch": batch }, "ok": 1.0 };
        let ts = Timestamp { time: 7, increment: 2 };
        assert_eq!(read(&batch(vec![doc! { "ts": ts }])), OplogBegin::At { time: 7, increment: 2 });
        for (body, words) in [
            (batch(vec![]), "has no oplog"),
            (batch(vec![doc! { "ts": 1 }]), "has no oplog"),
            (
                doc! { "ok": 0.0, "errmsg": "no", "code": 13, "codeName": "Unauthorized" },
                "no (code 13",
            ),
        ] {
            let OplogBegin::Unknown { reason } = read(&body) else { panic!("{body}") };
            assert!(reason.contains(words), "{reason}");
        }
    }
}
