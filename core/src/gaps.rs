//! What was skipped because the operator allowed it: said in the log, and carried on by every position stored later.
//!
//! ```text
//!  1700000000..1700003600 oldest, 1700090000..1700090005 now      cluster times, seconds since 1970; ? is unknown
//!  +2 before, 17…                                                 of more than sixteen the newest are kept
//! ```

use std::fmt;

use crate::mongo::lost_position::Seconds;

/// Gaps that a record names; the older ones are counted.
const GAPS_MAX: usize = 16;
const SEPARATOR: &str = ", ";

/// What lies between a lost position and where the stream went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The position that was lost.
    pub from: Option<u32>,
    /// Where the stream goes on.
    pub to: Option<u32>,
    /// What `resume.policy.lost.position` says.
    pub policy: &'static str,
    /// Why the position was lost.
    pub reason: String,
}

impl Gap {
    /// What a log says of it.
    pub(crate) fn told(&self) -> String {
        let time = |time: Option<u32>| {
            time.map_or_else(|| "unknown".to_owned(), |time| Seconds(time).to_string())
        };
        let what = if self.policy == "copy" {
            "the collections are copied again: what they hold is sent, what was changed or deleted in between is not"
        } else {
            "changes in between are skipped"
        };
        format!(
            "MongoDB: {}; resume.policy.lost.position={}: from cluster time {} to {} {what}; the stored offset says so",
            self.reason,
            self.policy,
            time(self.from),
            time(self.to)
        )
    }

    /// `record`, which may be empty, with this gap behind it.
    pub(crate) fn added_to(&self, record: &str) -> String {
        let mut entries: Vec<&str> =
            record.split(SEPARATOR).filter(|entry| !entry.is_empty()).collect();
        let counted = |entry: &str| entry.strip_prefix('+')?.strip_suffix(" before")?.parse().ok();
        let mut before: usize = match entries.first().copied().and_then(counted) {
            Some(before) => {
                entries.remove(0);
                before
            }
            None => 0,
        };
        let own = self.to_string();
        entries.push(&own);
        let dropped = entries.len().saturating_sub(GAPS_MAX);
        before += dropped;
        let head = (before != 0).then(|| format!("+{before} before"));
        let kept = entries.into_iter().skip(dropped);
        head.as_deref().into_iter().chain(kept).collect::<Vec<_>>().join(SEPARATOR)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<u32>| time.map_or_else(|| "?".to_owned(), |time| time.to_string());
        write!(f, "{}..{} {}", time(self.from), time(self.to), self.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: u32) -> Gap {
        Gap { from: Some(from), to: Some(from + 5), policy: "now", reason: String::new() }
    }

    #[test]
    fn a_record_names_every_gap_in_order() {
        let first = Gap { from: None, to: None, policy: "oldest", reason: String::new() };
        let record = gap(7).added_to(&first.added_to(""));
        assert_eq!(record, "?..? oldest, 7..12 now");
    }

    #[test]
    fn a_record_stays_short_and_counts_what_it_no_longer_names() {
        let record = (1..=40).fold(String::new(), |record, from| gap(from).added_to(&record));
        assert!(record.starts_with("+24 before, 25..30 now, 26..31 now, "), "{record}");
        assert!(record.ends_with(", 40..45 now"), "{record}");
        assert_eq!(record.split(SEPARATOR).count(), 17);
    }
}
