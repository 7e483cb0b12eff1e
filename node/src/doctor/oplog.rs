//! How far back the oplog reaches: a worker that is down for longer cannot go on where it was.
//!
//! ```text
//!  ├──────────── window ────────────┤
//!  oldest entry                newest entry      a young oplog is not full yet, its window still grows
//! ```

use mongodb::bson::{Document, doc};

use super::finding::Finding;

pub(super) const CHECK: &str = "oplog window";
/// A day: a worker that fails in the evening is found in the morning, and the window still holds what it missed.
const WINDOW_HOURS_MIN: f64 = 24.0;
/// A capped collection is cut before it is quite full.
const FULL_PERCENT: f64 = 90.0;
/// How long the server may look for one entry. Milliseconds.
const FIND_TIME_MS_MAX: i32 = 4_000;

/// What the oplog is like. Seconds since 1970, and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Oplog {
    pub(super) oldest: u32,
    pub(super) newest: u32,
    /// Of the size that it may have; `None`: the user may not ask.
    pub(super) filled_percent: Option<f64>,
}

/// The question for the oldest entry, or for the newest.
pub(super) fn find_entry(newest: bool) -> Document {
    doc! {
        "find": "oplog.rs", "filter": {}, "projection": { "ts": 1 },
        "sort": { "$natural": if newest { -1 } else { 1 } },
        "limit": 1, "singleBatch": true, "maxTimeMS": FIND_TIME_MS_MAX, "$db": "local",
    }
}

/// The time of the entry in the answer.
pub(super) fn read_entry(answer: &Document) -> Option<u32> {
    let batch = answer.get_document("cursor").ok()?.get_array("firstBatch").ok()?;
    Some(batch.first()?.as_document()?.get_timestamp("ts").ok()?.time)
}

/// The question for its size.
pub(super) fn ask_size() -> Document {
    doc! {
        "aggregate": "oplog.rs", "cursor": {}, "$db": "local",
        "pipeline": [{ "$collStats": { "storageStats": {} } }],
    }
}

/// How full it is, in percent.
pub(super) fn read_size(answer: &Document) -> Option<f64> {
    let batch = answer.get_document("cursor").ok()?.get_array("firstBatch").ok()?;
    let stats = batch.first()?.as_document()?.get_document("storageStats").ok()?;
    let number = |name: &str| {
        let value = stats.get(name)?;
        let whole = || value.as_i64().map(|number| number as f64);
        value.as_f64().or_else(whole).or_else(|| value.as_i32().map(f64::from))
    };
    Some(100.0 * number("size")? / number("maxSize").filter(|size| 0.0 < *size)?)
}

impl Oplog {
    fn hours(self) -> f64 {
        f64::from(self.newest.saturating_sub(self.oldest)) / 3_600.0
    }

    /// Whether its oldest entries make room for new ones. Unknown counts as yes.
    pub(super) fn is_full(self) -> bool {
        self.filled_percent.is_none_or(|filled| FULL_PERCENT <= filled)
    }

    pub(super) fn judge(self) -> Finding {
        let (hours, filled) = (self.hours(), self.filled_percent);
        let seen = format!("{hours:.1} hours");
        match filled {
            _ if WINDOW_HOURS_MIN <= hours => Finding::ok(CHECK, seen),
            Some(filled) if !self.is_full() => Finding::ok(
                CHECK,
                format!("{seen}, and growing: {filled:.0} % of its size is used"),
            ),
            Some(_) | None => Finding::warning(
                CHECK,
                format!("{seen}: a worker that is down for longer loses its position"),
                "raise it to a day or more: db.adminCommand({ replSetResizeOplog: 1, size: <MB>, \
                 minRetentionHours: 24 })",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Outcome;
    use super::*;
    use mongodb::bson::Timestamp;

    fn judge(hours: u32, filled_percent: Option<f64>) -> Outcome {
        let oldest = 1_700_000_000;
        Oplog { oldest, newest: oldest + hours * 3_600, filled_percent }.judge().outcome
    }

    #[test]
    fn window_of_a_day_is_wide_enough_and_a_young_one_still_grows() {
        for (hours, filled) in [(24, Some(100.0)), (24, None), (1, Some(3.0))] {
            assert!(matches!(judge(hours, filled), Outcome::Ok { .. }), "{hours} {filled:?}");
        }
        for (hours, filled) in [(23, Some(99.0)), (1, None)] {
            assert!(matches!(judge(hours, filled), Outcome::Warning { .. }), "{hours} {filled:?}");
        }
    }

    #[test]
    fn answers_are_read_and_odd_ones_are_none() {
        let batch = |entry: Document| doc! { "cursor": { "firstBatch": [entry] } };
        let entry = batch(doc! { "ts": Timestamp { time: 7, increment: 1 } });
        assert_eq!(read_entry(&entry), Some(7));
        let size = batch(doc! { "storageStats": { "size": 50_i64, "maxSize": 200.0 } });
        assert_eq!(read_size(&size), Some(25.0));
        let none = batch(doc! { "storageStats": { "size": 50, "maxSize": 0 } });
        for odd in [doc! {}, doc! { "cursor": { "firstBatch": [] } }, batch(doc! { "ts": 7 }), none]
        {
            assert_eq!((read_entry(&odd), read_size(&odd)), (None, None), "{odd}");
        }
    }
}
